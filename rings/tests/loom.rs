//! The protocols under every interleaving and every value the memory model lets a load return, within a bound on
//! preemptions. Run with `RUSTFLAGS="--cfg loom" cargo test -p corelane-rings --test loom --release`.
#![cfg(loom)]

use loom::thread;
use rings::{Payload, heap_board, heap_ring};

fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn message(n: u64) -> Payload {
    std::array::from_fn(|i| 100 * (n + 1) + i as u64)
}

/// Two slots, three messages: the third takes the slot of the first, so that a reuse before its release, or a
/// payload after its sequence, shows as a wrong word.
#[test]
fn a_ring_of_two_slots_delivers_three_messages_whole() {
    explore(3, || {
        let (mut tx, mut rx) = heap_ring(2);
        let producer = thread::spawn(move || {
            for n in 0..3 {
                while tx.push(message(n)).is_err() {
                    thread::yield_now();
                }
            }
        });
        for n in 0..3 {
            loop {
                if let Some(got) = rx.peek() {
                    assert_eq!(got, (n, message(n)));
                    rx.release();
                    break;
                }
                thread::yield_now();
            }
        }
        assert_eq!(rx.pop(), None);
        producer.join().unwrap();
    });
}

/// Whoever sees the first message of a run can read all of it at once.
#[test]
fn a_run_is_seen_whole_or_not_at_all() {
    explore(3, || {
        let (mut tx, mut rx) = heap_ring(2);
        let producer = thread::spawn(move || tx.push_run(&[message(0), message(1)]).unwrap());
        let seen = rx.poll(2, |n, payload| assert_eq!(*payload, message(n)));
        assert!(seen == 0 || seen == 2, "{seen} of a run of 2");
        producer.join().unwrap();
        assert_eq!(seen + rx.poll(2, |n, payload| assert_eq!(*payload, message(n))), 2);
    });
}

/// A run that must wait for the slots of the messages before it.
#[test]
fn a_run_never_overwrites_what_is_not_released() {
    explore(3, || {
        let (mut tx, mut rx) = heap_ring(2);
        tx.push(message(0)).unwrap();
        let producer = thread::spawn(move || {
            while tx.push_run(&[message(1), message(2)]).is_err() {
                thread::yield_now();
            }
        });
        let mut next = 0;
        while next < 3 {
            let got = rx.poll(2, |n, payload| {
                assert_eq!((n, *payload), (next, message(n)));
                next += 1;
            });
            if got == 0 {
                thread::yield_now();
            }
        }
        producer.join().unwrap();
    });
}

/// A reader between and during two publications sees one of the three values, never a mixture, and never an older
/// one than before.
#[test]
fn a_board_is_never_torn() {
    explore(3, || {
        let (mut writer, reader) = heap_board::<2>();
        let thread = thread::spawn(move || {
            writer.publish([1, 10]);
            writer.publish([2, 20]);
        });
        let mut last = 0;
        for _ in 0..2 {
            if let Some((published, value)) = reader.try_read(1) {
                assert_eq!(value, [published, published * 10]);
                assert!(published >= last, "{published} after {last}");
                last = published;
            }
        }
        thread.join().unwrap();
        assert_eq!(reader.read(), [2, 20]);
    });
}
