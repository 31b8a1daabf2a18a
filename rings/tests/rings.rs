//! Rings in segments: a naive twin under random traffic, a soak between two threads on two mappings of one
//! descriptor, roles and resumption.
#![cfg(not(any(loom, miri)))]

use std::collections::VecDeque;

use proptest::prelude::*;
use rings::{
    Access, BoardReader, BoardWriter, BulkConsumer, BulkProducer, Consumer, Full, Payload, Producer, RING,
    Record, Role, Segment, SegmentError, board, board_words, bulk_ring_segment, heap_ring, ring,
    ring_segment,
};

fn message(n: u64) -> Payload {
    std::array::from_fn(|i| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(i as u32 * 8))
}

/// A second mapping of the same memory, as another process would make.
fn mapped_again(segment: &Segment) -> Segment {
    Segment::from_fd(segment.fd().try_clone_to_owned().unwrap(), &RING, Access::ReadWrite).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Push,
    Run(usize),
    Pop,
    PeekAndRelease,
    PeekOnly,
    Poll(usize),
    /// Claims, puts, and commits or not.
    Claim(usize, usize, bool),
    /// Reads a batch, and releases it or not.
    Batch(usize, bool),
    Producer,
    Consumer,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Push),
        3 => (0usize..7).prop_map(Step::Run),
        3 => Just(Step::Pop),
        1 => Just(Step::PeekAndRelease),
        1 => Just(Step::PeekOnly),
        2 => (0usize..9).prop_map(Step::Poll),
        2 => (0usize..7, 0usize..7, any::<bool>()).prop_map(|(room, put, commit)| Step::Claim(room, put, commit)),
        2 => (0usize..9, any::<bool>()).prop_map(|(limit, release)| Step::Batch(limit, release)),
        1 => Just(Step::Producer),
        1 => Just(Step::Consumer),
    ]
}

/// Drives a ring and a queue through the same steps. `again` replaces an endpoint by one attached anew.
fn same_as_queue(
    steps: &[Step],
    (mut tx, mut rx): (Producer, Consumer),
    again_tx: impl Fn(Producer) -> Producer,
    again_rx: impl Fn(Consumer) -> Consumer,
) {
    let capacity = tx.capacity();
    let mut twin: VecDeque<(u64, Payload)> = VecDeque::new();
    let mut pushed = 0;
    for step in steps {
        match *step {
            Step::Push => {
                let room = twin.len() < capacity;
                assert_eq!(tx.push(message(pushed)).is_ok(), room);
                if room {
                    twin.push_back((pushed, message(pushed)));
                    pushed += 1;
                }
            }
            Step::Run(len) => {
                let run: Vec<Payload> = (pushed..).take(len).map(message).collect();
                let free = capacity - twin.len();
                let refused = Full { wanted: len as u32, free: free as u32 };
                assert_eq!(tx.push_run(&run), if len <= free { Ok(()) } else { Err(refused) });
                if len <= free {
                    twin.extend((pushed..).zip(run));
                    pushed += len as u64;
                }
            }
            Step::Pop => assert_eq!(rx.pop(), twin.pop_front()),
            Step::PeekAndRelease => {
                assert_eq!(rx.peek(), twin.pop_front());
                rx.release();
            }
            Step::PeekOnly => assert_eq!(rx.peek(), twin.front().copied()),
            Step::Poll(limit) => {
                let mut got = Vec::new();
                let count = rx.poll(limit, |seq, payload| got.push((seq, *payload)));
                let expected: Vec<_> = twin.drain(..limit.min(twin.len())).collect();
                assert_eq!((count, &got), (expected.len(), &expected));
            }
            Step::Claim(room, put, commit) => {
                let free = capacity - twin.len();
                match tx.claim(room) {
                    Err(full) => {
                        assert!(room > free);
                        assert_eq!(full, Full { wanted: room as u32, free: free as u32 });
                    }
                    Ok(mut claim) => {
                        assert!(room <= free && claim.room() == room && claim.next_seq() == pushed);
                        for n in 0..put {
                            let taken = claim.put(&message(pushed + n as u64));
                            assert_eq!(
                                taken,
                                if n < room { Ok(()) } else { Err(Full { wanted: 1, free: 0 }) }
                            );
                        }
                        let put = put.min(room);
                        assert_eq!(claim.room(), room - put);
                        if commit {
                            assert_eq!(claim.commit(), put);
                            twin.extend((pushed..).take(put).map(|n| (n, message(n))));
                            pushed += put as u64;
                        }
                    }
                }
            }
            Step::Batch(limit, release) => {
                let mut batch = rx.batch(limit);
                let got: Vec<_> = (&mut batch).collect();
                let expected: Vec<_> = twin.iter().take(limit).copied().collect();
                assert_eq!(got, expected);
                if release {
                    assert_eq!(batch.release(), got.len());
                    twin.drain(..got.len());
                }
            }
            Step::Producer => tx = again_tx(tx),
            Step::Consumer => rx = again_rx(rx),
        }
        assert_eq!(tx.next_seq(), pushed);
        assert_eq!(rx.next_seq(), pushed - twin.len() as u64);
        assert_eq!((rx.is_empty(), tx.depth()), (twin.is_empty(), twin.len()));
        assert_eq!((tx.free(), tx.has_room(capacity - twin.len())), (capacity - twin.len(), true));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_heap_ring_is_a_bounded_queue(power in 1u32..5, steps in prop::collection::vec(step(), 1..200)) {
        same_as_queue(&steps, heap_ring(1 << power), |tx| tx, |rx| rx);
    }

    #[test]
    fn a_ring_whose_ends_come_and_go_is_a_bounded_queue(
        power in 1u32..4,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let segment = ring_segment("twin", 1 << power).unwrap();
        let ends = (Producer::attach(&segment).unwrap(), Consumer::attach(&segment).unwrap());
        same_as_queue(
            &steps,
            ends,
            |tx| { drop(tx); Producer::attach(&mapped_again(&segment)).unwrap() },
            |rx| { drop(rx); Consumer::attach(&mapped_again(&segment)).unwrap() },
        );
    }
}

/// What may be done to a bulk ring.
#[derive(Clone, Debug)]
enum BulkStep {
    Push,
    Run(usize),
    With(usize),
    Pop,
    Poll(usize),
    Producer,
    Consumer,
}

fn bulk_step() -> impl Strategy<Value = BulkStep> {
    prop_oneof![
        3 => Just(BulkStep::Push),
        2 => (0usize..9).prop_map(BulkStep::Run),
        2 => (0usize..9).prop_map(BulkStep::With),
        3 => Just(BulkStep::Pop),
        3 => (0usize..9).prop_map(BulkStep::Poll),
        1 => Just(BulkStep::Producer),
        1 => Just(BulkStep::Consumer),
    ]
}

fn record(n: u64) -> Record {
    std::array::from_fn(|i| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(i as u32 * 8))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_bulk_ring_whose_ends_come_and_go_is_a_bounded_queue(
        power in 1u32..4,
        steps in prop::collection::vec(bulk_step(), 1..100),
    ) {
        let capacity = 1 << power;
        let segment = bulk_ring_segment("twin", capacity).unwrap();
        let (mut tx, mut rx) = (BulkProducer::attach(&segment).unwrap(), BulkConsumer::attach(&segment).unwrap());
        let mut twin: VecDeque<u64> = VecDeque::new();
        let mut pushed = 0;
        for step in steps {
            let free = capacity - twin.len();
            let outcome = |len: usize| {
                if len <= free { Ok(()) } else { Err(Full { wanted: len as u32, free: free as u32 }) }
            };
            let count = match step {
                BulkStep::Push => {
                    prop_assert_eq!(tx.push(&record(pushed)), outcome(1));
                    1
                }
                BulkStep::Run(len) => {
                    let run: Vec<Record> = (pushed..).take(len).map(record).collect();
                    prop_assert_eq!(tx.push_run(&run), outcome(len));
                    len
                }
                BulkStep::With(len) => {
                    prop_assert_eq!(tx.push_with(len, record), outcome(len));
                    len
                }
                BulkStep::Pop => {
                    prop_assert_eq!(rx.pop(), twin.pop_front().map(|n| (n, record(n))));
                    0
                }
                BulkStep::Poll(limit) => {
                    let expected: Vec<u64> = twin.drain(..limit.min(twin.len())).collect();
                    let mut got = Vec::new();
                    prop_assert_eq!(rx.poll(limit, |seq, r| got.push((seq, *r))), expected.len());
                    prop_assert_eq!(got, expected.iter().map(|n| (*n, record(*n))).collect::<Vec<_>>());
                    0
                }
                BulkStep::Producer => {
                    drop(tx);
                    tx = BulkProducer::attach(&segment).unwrap();
                    0
                }
                BulkStep::Consumer => {
                    drop(rx);
                    rx = BulkConsumer::attach(&segment).unwrap();
                    0
                }
            };
            if count <= free {
                twin.extend(pushed..pushed + count as u64);
                pushed += count as u64;
            }
            prop_assert_eq!((tx.next_seq(), rx.next_seq()), (pushed, pushed - twin.len() as u64));
            prop_assert_eq!((rx.is_empty(), tx.free()), (twin.is_empty(), capacity - twin.len()));
        }
    }
}

#[test]
fn a_soak_on_two_mappings_keeps_every_word() {
    const COUNT: u64 = 2_000_000;
    let segment = ring_segment("soak", 64).unwrap();
    let mut rx = Consumer::attach(&mapped_again(&segment)).unwrap();
    let mut tx = Producer::attach(&segment).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut n, mut run) = (0, Vec::new());
        while n < COUNT {
            run.clear();
            run.extend((n..COUNT.min(n + 1 + n % 9)).map(message));
            while tx.push_run(&run).is_err() {
                std::thread::yield_now();
            }
            n += run.len() as u64;
        }
    });
    let mut next = 0;
    while next < COUNT {
        // By turns the three ways to consume.
        let got = match next % 3 {
            0 => rx.poll(7, |seq, payload| {
                assert_eq!((seq, *payload), (next, message(next)));
                next += 1;
            }),
            1 => rx.pop().map_or(0, |found| {
                assert_eq!(found, (next, message(next)));
                next += 1;
                1
            }),
            _ => rx.peek().map_or(0, |found| {
                assert_eq!(found, (next, message(next)));
                rx.release();
                next += 1;
                1
            }),
        };
        if got == 0 {
            std::thread::yield_now();
        }
    }
    thread.join().unwrap();
    assert!(rx.is_empty() && !rx.producer_alive());
}

#[test]
fn an_end_has_one_holder_at_a_time() {
    let segment = ring_segment("roles", 8).unwrap();
    let tx = Producer::attach(&segment).unwrap();
    assert!(!tx.consumer_alive());
    let rx = Consumer::attach(&mapped_again(&segment)).unwrap();
    assert!(tx.consumer_alive() && rx.producer_alive());
    assert!(segment.role_held(Role::Producer) && segment.role_held(Role::Consumer));
    let us = std::process::id();
    let taken = Producer::attach(&mapped_again(&segment));
    assert!(matches!(taken, Err(SegmentError::RoleTaken { role: Role::Producer, pid }) if pid == us));
    let taken = Consumer::attach(&segment);
    assert!(matches!(taken, Err(SegmentError::RoleTaken { role: Role::Consumer, pid }) if pid == us));
    drop(tx);
    assert!(!rx.producer_alive() && !segment.role_held(Role::Producer));
    Producer::attach(&segment).unwrap();
}

#[test]
fn a_heap_end_sees_its_peer_leave() {
    let (tx, rx) = heap_ring(2);
    assert!(tx.consumer_alive() && rx.producer_alive());
    drop(rx);
    assert!(!tx.consumer_alive());
}

#[test]
fn a_body_that_is_no_sound_ring_is_refused() {
    for capacity in [0, 1, 3, 1 << 27, usize::MAX] {
        assert!(matches!(ring("odd", capacity), Err(SegmentError::BadCapacity { .. })), "{capacity}");
    }
    let attach = |spoil: &dyn Fn(&rings::WordsMut)| {
        let segment = ring_segment("spoilt", 8).unwrap();
        spoil(&segment.words_mut().unwrap());
        (Producer::attach(&segment).map(drop), Consumer::attach(&segment).map(drop))
    };
    use rings::Ordering::Relaxed;
    macro_rules! refused {
        ($word:expr, $value:expr, $why:pat) => {
            assert!(matches!(attach(&|words| words.store($word, $value, Relaxed)), (Err($why), Err($why))));
        };
    }
    refused!(0, 0, SegmentError::NotReady);
    refused!(0, 5, SegmentError::WrongMagic { found: 5, .. });
    refused!(1, 7, SegmentError::BadCapacity { capacity: 7, .. });
    refused!(1, 0, SegmentError::BadCapacity { capacity: 0, .. });
    refused!(1, 1 << 60, SegmentError::BadCapacity { .. });
    refused!(1, 16, SegmentError::WrongSize { found: 896, expected: 1408 });
    refused!(1, 4, SegmentError::WrongSize { found: 896, expected: 640 });
    refused!(16, 3, SegmentError::BadPosition { found: 3, slot: 0 });
    let read_only = {
        let segment = ring_segment("observer", 8).unwrap();
        Segment::from_fd(segment.fd().try_clone_to_owned().unwrap(), &RING, Access::ReadOnly).unwrap()
    };
    assert!(matches!(Producer::attach(&read_only), Err(SegmentError::ReadOnly)));
    assert!(matches!(Consumer::attach(&read_only), Err(SegmentError::ReadOnly)));
}

#[test]
fn a_board_on_a_segment_is_read_through_a_read_only_mapping() {
    let ident = rings::BOARD;
    let segment = Segment::memfd_as("board", &ident, board_words(12) * 8).unwrap();
    assert!(matches!(BoardReader::<12>::attach(&segment), Err(SegmentError::NotReady)));
    let mut writer = BoardWriter::<12>::attach(&segment).unwrap();
    assert!(matches!(
        BoardWriter::<12>::attach(&segment),
        Err(SegmentError::RoleTaken { role: Role::Writer, .. })
    ));
    let observer =
        Segment::from_fd(segment.fd().try_clone_to_owned().unwrap(), &ident, Access::ReadOnly).unwrap();
    let reader = BoardReader::<12>::attach(&observer).unwrap();
    assert!(matches!(BoardWriter::<12>::attach(&observer), Err(SegmentError::ReadOnly)));
    writer.publish([7; 12]);
    assert_eq!(reader.read(), [7; 12]);
    drop(writer);
    assert_eq!(BoardWriter::<12>::attach(&segment).unwrap().published(), 1);

    let (mut writer, reader) = board::<4>("small").unwrap();
    let thread = std::thread::spawn(move || {
        for n in 1..=300_000 {
            writer.publish([n, !n, n << 1, n ^ 0x55]);
            if n % 32 == 0 {
                std::thread::yield_now();
            }
        }
    });
    let mut last = 0;
    while last < 300_000 {
        let [n, a, b, c] = reader.read();
        assert!(n >= last && (n == 0 || (a, b, c) == (!n, n << 1, n ^ 0x55)), "torn: {n} {a} {b} {c}");
        if n == last {
            std::thread::yield_now();
        }
        last = n;
    }
    thread.join().unwrap();
}
