//! The protocols under every interleaving and every value the memory model lets a load return, within a bound on
//! preemptions. Run with `RUSTFLAGS="--cfg loom" cargo test -p corelane-rings --test loom --release`.
#![cfg(loom)]

use loom::thread;
use rings::{HeapRing, Payload, heap_board, heap_bulk_ring, heap_ring};

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

/// A claim behaves as a run, and a batch that is not released comes again.
#[test]
fn a_claim_is_seen_whole_and_a_batch_stays_until_released() {
    explore(3, || {
        let (mut tx, mut rx) = heap_ring(2);
        let producer = thread::spawn(move || {
            let mut claim = tx.claim(2).unwrap();
            claim.put(&message(0)).unwrap();
            claim.put(&message(1)).unwrap();
            assert_eq!(claim.commit(), 2);
            while tx.push(message(2)).is_err() {
                thread::yield_now();
            }
        });
        let mut next = 0;
        while next < 3 {
            let first = rx.batch(2).count();
            assert!(next > 0 || first != 1, "a half of a run");
            let mut batch = rx.batch(2);
            let mut seen = 0;
            for got in &mut batch {
                assert_eq!(got, (next + seen, message(next + seen)));
                seen += 1;
            }
            assert!(seen as usize >= first, "what was there is there again");
            assert_eq!(batch.release() as u64, seen);
            next += seen;
            if seen == 0 {
                thread::yield_now();
            }
        }
        producer.join().unwrap();
    });
}

/// Two slots, three records, singly and as a run: none before it is whole, none after its slot is taken.
#[test]
fn a_bulk_ring_delivers_whole_records() {
    explore(3, || {
        let record = |n: u64| std::array::from_fn(|i| 100 * (n + 1) + i as u64);
        let (mut tx, mut rx) = heap_bulk_ring(2);
        let producer = thread::spawn(move || {
            tx.push(&record(0)).unwrap();
            while tx.push_with(2, record).is_err() {
                thread::yield_now();
            }
        });
        let mut next = 0;
        while next < 3 {
            let before = next;
            let got = rx.poll(2, |n, found| {
                assert_eq!((n, *found), (next, record(next)));
                next += 1;
            });
            assert!(got != 1 || before != 1, "a half of the run");
            if got == 0 {
                thread::yield_now();
            }
        }
        producer.join().unwrap();
        assert_eq!(rx.pop(), None);
    });
}

/// A producer dies in a run and its successor pushes, while the consumer looks on: nothing of the run is ever seen, and
/// whoever sees a message of the successor sees its epoch.
#[test]
fn a_run_cut_off_is_taken_back_under_the_consumers_eyes() {
    explore(3, || {
        let ring = HeapRing::new(2);
        let (tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let producers = thread::spawn(move || {
            tx.die_in_run(&[message(8), message(9)]);
            let mut tx = ring.producer().unwrap();
            assert_eq!((tx.epoch(), tx.next_seq()), (2, 0));
            tx.push(message(0)).unwrap();
            tx.push(message(1)).unwrap();
        });
        let mut next = 0;
        while next < 2 {
            if let Some(got) = rx.pop() {
                assert_eq!(got, (next, message(next)));
                assert_eq!(rx.producer_epoch(), 2);
                next += 1;
            } else {
                thread::yield_now();
            }
        }
        producers.join().unwrap();
        assert_eq!(rx.pop(), None);
    });
}

/// A consumer dies between taking and releasing and its successor goes on, while the producer waits for room: the
/// message comes again, and no slot is written before it is released.
#[test]
fn a_consumers_successor_goes_on_while_the_producer_pushes() {
    explore(3, || {
        let ring = HeapRing::new(2);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let producer = thread::spawn(move || {
            for n in 0..3 {
                while tx.push(message(n)).is_err() {
                    thread::yield_now();
                }
            }
            tx.consumer_epoch()
        });
        let first = loop {
            if let Some(got) = rx.peek() {
                break got;
            }
            thread::yield_now();
        };
        assert_eq!(first, (0, message(0)));
        drop(rx);
        let mut rx = ring.consumer().unwrap();
        for n in 0..3 {
            loop {
                if let Some(got) = rx.pop() {
                    assert_eq!(got, (n, message(n)));
                    break;
                }
                thread::yield_now();
            }
        }
        // The third message needed the successor's release, and so its epoch was there to see.
        assert_eq!(producer.join().unwrap(), 2);
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
