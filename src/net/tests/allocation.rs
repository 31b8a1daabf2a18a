//! After warm-up a link allocates nothing of its own; rustls' allocations are counted apart.

mod host;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use corelane_net as net;
use host::{Host, Rig, Seen};
use net::{Backend, Link};

thread_local!(static ALLOCATIONS: Cell<u64> = const { Cell::new(0) });

/// The system's allocator with a count per thread.
struct Counting;

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `System.alloc` above with this layout.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: `at` came from this allocator, which is the system's.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sends `count` messages, takes each answer, and returns the allocations made by the link's thread meanwhile.
fn echo(rig: &mut Rig, count: usize) -> u64 {
    let before = ALLOCATIONS.get();
    let payload = [b'x'; 200];
    for _ in 0..count {
        rig.link.send(&payload, &mut || true).unwrap();
        let mut answered = false;
        while !answered {
            rig.link.poll(8, &|| 1, &mut |event| match event {
                net::LinkEvent::Message { payload, .. } => {
                    assert_eq!(payload.len(), 200);
                    answered = true;
                }
                other => panic!("{other:?}"),
            });
        }
        rig.link.unsent_bytes().unwrap();
        rig.link.warm_up(&payload).unwrap();
    }
    ALLOCATIONS.get() - before
}

#[test]
fn polling_and_sending_allocate_nothing() {
    const COUNT: usize = 2_000;
    host::matrix(|backend, tls| {
        let secure = tls.is_some();
        let (client, server) = tls.unzip();
        let host = Host::start(server, |_, connection, seen| match seen {
            Seen::Upgrade(_) => connection.accept_upgrade().unwrap(),
            Seen::Text(payload) => connection.send_text(&payload).unwrap(),
            _ => {}
        });
        let mut rig = Rig::to(host.port, client, backend);
        rig.up();
        echo(&mut rig, 200);
        let made = echo(&mut rig, COUNT);
        let per_round_trip = made as f64 / COUNT as f64;
        eprintln!("{backend:?}, tls {secure}: {per_round_trip} allocations a round trip");
        if secure {
            // Sealing and opening one record each: rustls' own.
            assert!(per_round_trip <= 3.01, "{per_round_trip}");
        } else {
            assert_eq!(made, 0);
        }
    });
}

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(ALLOCATIONS.get() - before, 1);
    let _ = Backend::Recv;
}
