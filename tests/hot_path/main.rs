//! After warm-up the trading thread allocates nothing and asks the kernel for its I/O alone.
//!
//! The engine runs as it does live: its own threads, TLS over loopback, a busy simulated market, orders by the
//! thousand. An observer stepped on the trading thread counts from inside. What rustls allocates for each record is
//! counted apart and printed: the record path is its own. Of system calls only these may occur: receiving
//! (`io_uring_enter`, or `recvfrom` on the other back end), `sendto`, and the `ioctl` that asks for unsent bytes.
//! They are judged twice: by a seccomp filter on the thread over the whole run, and by strace, where there is one,
//! for a second afterwards.

mod allocations;
mod rig;
mod syscalls;

use std::collections::BTreeMap;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use topology::Backend;

/// Ticks that must go by while counting.
const TICKS: u64 = 100_000;
/// Orders that must be sent meanwhile.
const ORDERS: u64 = 1_000;

/// One engine at a time: each wants the machine, and counting is per process.
static ALONE: Mutex<()> = Mutex::new(());

fn judge(backend: Backend, receive: &str) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    corelane::allocator::keep_freed_memory(); // as the program does
    let Some(found) = rig::observe(backend, TICKS, ORDERS) else { return };
    println!(
        "{backend:?}: {} ticks and {} orders in {:.1} s",
        found.messages,
        found.orders,
        found.took.as_secs_f64()
    );
    println!(
        "allocations: {} of our own, {} of rustls ({:.2} a tick)",
        found.allocations.own,
        found.allocations.tls,
        found.allocations.tls as f64 / found.messages as f64
    );
    println!("calls beside the I/O: {:?}", found.calls);
    println!("strace: {:?}", found.traced);
    assert_eq!(found.trouble, "");

    for (count, stack) in &found.allocations.stacks {
        println!("--- {count} from\n{stack}");
    }
    assert_eq!(found.allocations.own, 0, "allocations outside of rustls; the stacks are above");

    match found.calls {
        Ok(calls) => assert!(calls.is_empty(), "calls by number: {calls:?}"),
        Err(why) => println!("skipped: {why}"),
    }
    match found.traced {
        Ok(calls) => {
            let allowed = [receive, "sendto", "ioctl SIOCOUTQNSD", "restart_syscall"];
            let others: Vec<_> = calls.keys().filter(|name| !allowed.contains(&name.as_str())).collect();
            assert!(calls.get(receive).is_some_and(|n| *n > 0), "strace saw no {receive}: {calls:?}");
            assert!(others.is_empty(), "{others:?} among {calls:?}");
        }
        Err(why) => println!("skipped: {why}"),
    }
}

#[test]
fn nothing_but_io_through_io_uring() {
    judge(Backend::Uring, "io_uring_enter");
}

#[test]
fn nothing_but_io_through_recv() {
    judge(Backend::Recv, "recvfrom");
}

/// Both counters see what they are for, and nothing else.
#[test]
fn the_counters_count() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::spawn(|| {
        allocations::watch_this_thread();
        drop(std::hint::black_box(vec![1u8; 100]));
        allocations::start();
        for _ in 0..3 {
            drop(std::hint::black_box(vec![1u8; 100]));
        }
        allocations::stop();
        drop(std::hint::black_box(vec![1u8; 100]));
    })
    .join()
    .expect("three allocations");
    let counted = allocations::counted();
    assert_eq!((counted.own, counted.tls), (3, 0));
    for (_, stack) in &counted.stacks {
        assert!(stack.contains("the_counters_count"), "{stack}");
    }

    let (filter, go, done) = (AtomicI32::new(0), AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let made = syscalls::watch_this_thread(&[libc::SYS_sendto]);
            filter.store(made.map_or(-1, IntoRawFd::into_raw_fd), Ordering::SeqCst);
            while !go.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            for _ in 0..2 {
                // SAFETY: takes nothing and cannot fail.
                unsafe { libc::getppid() };
            }
            for request in [0x894b, libc::FIONREAD] {
                let mut count: libc::c_int = 0;
                // SAFETY: no such descriptor, so nothing is written; if it were, it would be this live int.
                unsafe { libc::ioctl(-1, request, &raw mut count) };
            }
            done.store(true, Ordering::SeqCst);
            // Ending is made of calls as well.
            while go.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
        });
        rig::wait_until("the filter", || filter.load(Ordering::SeqCst) != 0);
        rig::CALLS.store(true, Ordering::SeqCst);
        go.store(true, Ordering::SeqCst);
        if filter.load(Ordering::SeqCst) < 0 {
            println!("skipped: no seccomp listener");
            rig::wait_until("two calls", || done.load(Ordering::SeqCst));
            return go.store(false, Ordering::SeqCst);
        }
        // SAFETY: the thread has given this descriptor away.
        let listener = syscalls::Listener::new(
            unsafe { OwnedFd::from_raw_fd(filter.load(Ordering::SeqCst)) },
            &rig::CALLS,
        );
        rig::wait_until("two calls", || done.load(Ordering::SeqCst));
        let calls = listener.counted();
        go.store(false, Ordering::SeqCst);
        listener.serve_to_the_end();
        assert_eq!(calls, BTreeMap::from([(libc::SYS_getppid, 2), (libc::SYS_ioctl, 1)]));
    });
}
