//! The slot ring in one thread and two, on the heap: order, refusal, hostile words, deaths at every store.

use std::sync::{Arc, Weak};

use super::*;

fn message(n: u64) -> Payload {
    std::array::from_fn(|i| n * 7 + i as u64)
}

fn hold() -> Hold {
    Hold::Token { _mine: Arc::new(()), peer: Weak::new() }
}

/// A ring whose memory the test can reach, with nothing attached.
fn bare(capacity: usize) -> Parts {
    Parts::heap(capacity, RING_TAG).0
}

#[test]
fn messages_come_in_order_with_their_numbers() {
    let (mut tx, mut rx) = heap_ring(4);
    assert_eq!((tx.capacity(), rx.capacity()), (4, 4));
    for n in 0..100 {
        assert!(rx.is_empty());
        assert_eq!(tx.next_seq(), n);
        tx.push(message(n)).unwrap();
        assert!(!rx.is_empty());
        assert_eq!(tx.depth(), 1);
        assert_eq!(rx.peek(), Some((n, message(n))));
        assert_eq!(rx.peek(), Some((n, message(n))), "peeking does not release");
        assert_eq!(rx.next_seq(), n);
        rx.release();
        rx.release();
        assert_eq!(rx.next_seq(), n + 1, "the second release had nothing to release");
    }
    assert_eq!(rx.pop(), None);
}

#[test]
fn a_full_ring_refuses_and_writes_nothing() {
    let (mut tx, mut rx) = heap_ring(4);
    (0..3).for_each(|n| tx.push(message(n)).unwrap());
    assert_eq!(tx.push_run(&[message(9); 2]), Err(Full { wanted: 2, free: 1 }));
    tx.push_run(&[]).unwrap();
    tx.push(message(3)).unwrap();
    assert_eq!(tx.push(message(9)), Err(Full { wanted: 1, free: 0 }));
    assert_eq!((tx.free(), tx.depth(), tx.next_seq()), (0, 4, 4));
    assert_eq!(rx.pop(), Some((0, message(0))));
    assert_eq!(tx.free(), 1);
    assert!(tx.has_room(1) && !tx.has_room(2));
    assert_eq!(tx.push_run(&[message(9); 5]), Err(Full { wanted: 5, free: 1 }), "longer than the ring");
    assert_eq!(rx.poll(10, |n, p| assert_eq!(*p, message(n))), 3);
    tx.push_run(&[message(4), message(5), message(6), message(7)]).unwrap();
    assert_eq!(rx.poll(10, |n, p| assert_eq!(*p, message(n))), 4);
}

#[test]
fn capacities_on_the_heap_are_rounded_up() {
    for (asked, got) in [(0, 2), (1, 2), (2, 2), (3, 4), (64, 64), (65, 128)] {
        assert_eq!(heap_ring(asked).0.capacity(), got);
    }
}

#[test]
fn poll_stops_at_its_limit_and_publishes_once() {
    let (mut tx, mut rx) = heap_ring(8);
    (0..8).for_each(|n| tx.push(message(n)).unwrap());
    assert!(rx.peek().is_some());
    let free = Cell::new(None);
    assert_eq!(
        rx.poll(5, |n, _| {
            if n == 4 {
                free.set(Some(tx.free()));
            }
        }),
        5,
        "the peeked message is among them"
    );
    assert_eq!((free.get(), tx.free()), (Some(0), 5));
    rx.release();
    assert_eq!((rx.next_seq(), rx.poll(0, |_, _| ())), (5, 0));
}

#[test]
fn a_panic_in_poll_loses_no_room() {
    let (mut tx, mut rx) = heap_ring(4);
    (0..4).for_each(|n| tx.push(message(n)).unwrap());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        rx.poll(4, |n, _| assert!(n < 1, "planted"));
    }));
    assert!(caught.is_err());
    assert_eq!(tx.free(), 0);
    assert_eq!(rx.pop(), Some((2, message(2))));
    assert_eq!(tx.free(), 3);
}

#[test]
fn a_slot_of_another_lap_is_not_ready() {
    let parts = bare(2);
    let mut rx = Consumer::at_start(&parts, hold());
    for stale in [0, 3, 2, u64::MAX] {
        parts.slots.at(0)[SEQUENCE].store(stale, Ordering::Release);
        assert_eq!(rx.pop(), None, "sequence {stale} is not message 0");
    }
    parts.slots.at(0)[SEQUENCE].store(1, Ordering::Release);
    assert!(rx.pop().is_some());
    assert_eq!(rx.pop(), None);
}

#[test]
fn a_hostile_position_stops_the_ring_and_nothing_more() {
    let parts = bare(4);
    let mut tx = Producer::at_start(&parts, hold());
    (0..4).for_each(|n| tx.push(message(n)).unwrap());
    for hostile in [5, 1 << 40, u64::MAX, u64::MAX - 3] {
        parts.released.store(hostile, Ordering::Release);
        assert_eq!(tx.push(message(4)), Err(Full { wanted: 1, free: 0 }), "position {hostile}");
        assert!(tx.depth() <= 4);
    }
    parts.released.store(2, Ordering::Release);
    tx.push(message(4)).unwrap();
    parts.released.store(1, Ordering::Release);
    assert_eq!(tx.free(), 1, "a position that went back is not believed");
}

/// A producer that goes on over what is not released does not keep the consumer in a poll for ever.
#[test]
fn a_poll_and_a_batch_end_after_a_lap() {
    let parts = bare(4);
    let mut rx = Consumer::at_start(&parts, hold());
    let scribble = |seq: u64| commit(&parts.slots, &message(seq), seq);
    (0..4).for_each(scribble);
    assert_eq!(
        rx.poll(usize::MAX, |seq, _| if seq < 100 {
            scribble(seq + 4)
        }),
        4
    );
    let mut batch = rx.batch(usize::MAX);
    let read = (&mut batch).take(100).map(|(seq, _)| scribble(seq + 4)).count();
    assert_eq!((read, batch.release()), (4, 4));
}

#[test]
fn attaching_refuses_a_position_the_slots_contradict() {
    let parts = bare(4);
    let mut tx = Producer::at_start(&parts, hold());
    (0..3).for_each(|n| tx.push(message(n)).unwrap());
    for bad in [4, 5, 8, 1 << 62, u64::MAX - 4, u64::MAX] {
        parts.released.store(bad, Ordering::Release);
        let refused = Consumer::resume(&parts, hold());
        assert!(matches!(refused, Err(SegmentError::BadPosition { found, .. }) if found == bad));
        let refused = Producer::resume(&parts, hold());
        assert!(matches!(refused, Err(SegmentError::BadPosition { found, .. }) if found == bad));
    }
    for good in 0..=3 {
        parts.released.store(good, Ordering::Release);
        assert_eq!(Consumer::resume(&parts, hold()).unwrap().next_seq(), good);
        assert_eq!(Producer::resume(&parts, hold()).unwrap().next_seq(), 3);
    }
}

/// A producer that dies after any of its stores leaves a ring that goes on with whole runs only.
#[test]
fn a_run_cut_off_after_any_store_is_taken_back() {
    const CAPACITY: u64 = 4;
    for (before, released) in [(0, 0), (1, 0), (1, 1), (5, 4), (6, 6), (7, 6), (9, 8)] {
        let room = CAPACITY - (before - released);
        for run in 1..=room {
            // 8 stores a slot, the first slot last: all but the very last may have happened.
            for stores in 0..run * 8 {
                let parts = bare(CAPACITY as usize);
                let mut tx = Producer::at_start(&parts, hold());
                let mut rx = Consumer::at_start(&parts, hold());
                for n in 0..before {
                    tx.push(message(n)).unwrap();
                    if n < released {
                        rx.pop().unwrap();
                    }
                }
                drop(tx);
                let order = (1..run).chain([0]).map(|k| before + k);
                let all = order.flat_map(|seq| {
                    let word = |i: usize| if i == SEQUENCE { seq + 1 } else { !message(seq)[i] };
                    (0..8).map(move |i| (seq, i, word(i))).collect::<Vec<_>>()
                });
                for (seq, i, value) in all.take(stores as usize) {
                    parts.slots.at(seq)[i].store(value, Ordering::Release);
                }
                let mut tx = Producer::resume(&parts, hold()).unwrap();
                assert_eq!(tx.next_seq(), before, "nothing of the run was committed");
                assert_eq!(rx.poll(99, |n, p| assert_eq!(*p, message(n))) as u64, before - released);
                // One message, and no remnant of the run behind it.
                for n in before..before + 2 * CAPACITY {
                    tx.push(message(n)).unwrap();
                    assert_eq!(rx.pop(), Some((n, message(n))));
                    assert_eq!(rx.pop(), None);
                }
            }
        }
    }
}

#[test]
fn both_ends_resume_where_the_words_say() {
    let parts = bare(4);
    let (mut tx, mut rx) = (Producer::at_start(&parts, hold()), Consumer::at_start(&parts, hold()));
    for n in 0..50 {
        tx.push(message(2 * n)).unwrap();
        tx = Producer::resume(&parts, hold()).unwrap();
        tx.push(message(2 * n + 1)).unwrap();
        assert_eq!(rx.peek(), Some((2 * n, message(2 * n))));
        rx = Consumer::resume(&parts, hold()).unwrap();
        assert_eq!(rx.pop(), Some((2 * n, message(2 * n))), "peeked, not released: delivered again");
        rx = Consumer::resume(&parts, hold()).unwrap();
        assert_eq!(rx.pop(), Some((2 * n + 1, message(2 * n + 1))));
    }
}

/// Short enough for Miri as well: two threads, runs of every length, every word checked.
#[test]
fn two_threads_agree_on_every_word() {
    let count = if cfg!(miri) { 200 } else { 200_000 };
    let (mut tx, mut rx) = heap_ring(8);
    let producer = std::thread::spawn(move || {
        let mut n = 0;
        while n < count {
            let run: Vec<Payload> = (n..count.min(n + 1 + n % 5)).map(message).collect();
            while tx.push_run(&run).is_err() {
                std::thread::yield_now();
            }
            n += run.len() as u64;
        }
    });
    let mut n = 0;
    while n < count {
        let got = rx.poll(3, |seq, payload| {
            assert_eq!((seq, *payload), (n, message(n)));
            n += 1;
        });
        if got == 0 {
            std::thread::yield_now();
        }
    }
    producer.join().unwrap();
    assert_eq!(rx.pop(), None);
}
