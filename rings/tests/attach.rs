//! Attaching to a ring: every way to be refused, provoked; epochs and beats; what memory it lies in.
#![cfg(all(target_os = "linux", not(any(loom, miri))))]

use rings::Ordering::Relaxed;
use rings::{
    Access, BULK_RING, BulkConsumer, BulkProducer, Consumer, HEADER_BYTES, Ident, Locked, MAGIC, Memory,
    Node, Pages, Producer, RING, Role, Segment, SegmentError, WordsMut, bulk_ring, bulk_ring_segment,
    bulk_ring_segment_as, heap_bulk_ring, heap_ring, ring, ring_segment, ring_segment_as,
};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

const OURS: Ident = Ident { build_hash: 0xb11d, config_hash: 0xc0f1, ..RING };

fn again(segment: &Segment, expect: &Ident, access: Access) -> Result<Segment, SegmentError> {
    Segment::from_fd(segment.fd().try_clone_to_owned().unwrap(), expect, access)
}

/// A sealed copy of a segment of eight slots with the header word at `offset` replaced.
fn header_with(offset: u64, value: u64) -> Result<Segment, SegmentError> {
    let segment = ring_segment_as("header", 8, &OURS, Memory::default()).unwrap();
    let source = File::from(segment.fd().try_clone_to_owned().unwrap());
    let mut bytes = vec![0; source.metadata().unwrap().len() as usize];
    source.read_exact_at(&mut bytes, 0).unwrap();
    // SAFETY: a nul-terminated name; the descriptor is ours.
    let copy = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"copy".as_ptr(), libc::MFD_ALLOW_SEALING)) };
    let copy = File::from(copy);
    copy.write_all_at(&bytes, 0).unwrap();
    copy.write_all_at(&value.to_le_bytes(), offset).unwrap();
    let seals = libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
    // SAFETY: a plain call on an open descriptor.
    assert_eq!(unsafe { libc::fcntl(copy.as_raw_fd(), libc::F_ADD_SEALS, seals) }, 0);
    Segment::from_fd(copy.into(), &OURS, Access::ReadWrite)
}

#[test]
fn each_hostile_header_word_is_refused_by_its_own_name() {
    macro_rules! refused {
        ($offset:expr, $value:expr, $why:pat) => {{
            let found = header_with($offset, $value);
            assert!(matches!(found, Err($why)), "{found:?}");
        }};
    }
    header_with(0, MAGIC).unwrap();
    refused!(0, 0, SegmentError::NotReady);
    refused!(0, MAGIC ^ 1, SegmentError::WrongMagic { .. });
    refused!(8, u64::MAX, SegmentError::WrongType { found: u32::MAX, .. });
    let kind = u64::from(RING.type_id) << 32;
    refused!(8, kind | 1, SegmentError::WrongLayout { found: 1, expected: 2 });
    refused!(16, u64::MAX, SegmentError::Truncated { expected: u64::MAX, .. });
    refused!(16, 1 << 62, SegmentError::Truncated { .. });
    refused!(16, 7, SegmentError::WrongSize { expected: 263, .. });
    refused!(16, 0, SegmentError::WrongSize { expected: 256, .. });
    refused!(48, 0xbad, SegmentError::WrongBuild { found: 0xbad, expected: 0xb11d });
    refused!(56, 0, SegmentError::WrongConfig { found: 0, expected: 0xc0f1 });
    // What names nothing that is used may hold anything: creation time, creator, epoch, and what is not assigned.
    for offset in [24, 32, 40, 64, HEADER_BYTES as u64 - 8] {
        let segment = header_with(offset, u64::MAX).unwrap();
        Producer::attach(&segment).unwrap().push([1; 7]).unwrap();
    }
}

/// The engine and a strategy of another build, or under another configuration, do not speak.
#[test]
fn mixed_versions_are_refused_at_the_hand_over() {
    let segment = ring_segment_as("orders", 8, &OURS, Memory::default()).unwrap();
    assert_eq!(segment.header().ident, OURS);
    again(&segment, &OURS, Access::ReadWrite).unwrap();
    again(&segment, &RING, Access::ReadOnly).unwrap();
    let other = Ident { build_hash: 1, ..OURS };
    assert!(matches!(
        again(&segment, &other, Access::ReadWrite),
        Err(SegmentError::WrongBuild { found: 0xb11d, .. })
    ));
    let other = Ident { config_hash: 1, ..OURS };
    assert!(matches!(again(&segment, &other, Access::ReadWrite), Err(SegmentError::WrongConfig { .. })));
    assert!(matches!(again(&segment, &BULK_RING, Access::ReadWrite), Err(SegmentError::WrongType { .. })));
    let bulk =
        bulk_ring_segment_as("bulk", 8, &Ident { build_hash: 3, ..BULK_RING }, Memory::default()).unwrap();
    let expect = Ident { build_hash: 4, ..BULK_RING };
    assert!(matches!(
        again(&bulk, &expect, Access::ReadWrite),
        Err(SegmentError::WrongBuild { found: 3, expected: 4 })
    ));
}

#[test]
fn a_body_that_is_no_sound_bulk_ring_is_refused() {
    for capacity in [0, 1, 3, 1 << 27, usize::MAX] {
        assert!(matches!(bulk_ring("odd", capacity), Err(SegmentError::BadCapacity { .. })), "{capacity}");
    }
    let attach = |spoil: &dyn Fn(&WordsMut)| {
        let segment = bulk_ring_segment("spoilt", 8).unwrap();
        spoil(&segment.words_mut().unwrap());
        (BulkProducer::attach(&segment).map(drop), BulkConsumer::attach(&segment).map(drop))
    };
    macro_rules! refused {
        ($($word:expr => $value:expr),+; $why:pat) => {
            assert!(matches!(attach(&|words| { $(words.store($word, $value, Relaxed);)+ }), (Err($why), Err($why))));
        };
    }
    refused!(0 => 0; SegmentError::NotReady);
    refused!(0 => u64::from_le_bytes(*b"slotring"); SegmentError::WrongMagic { .. });
    refused!(1 => 7; SegmentError::BadCapacity { capacity: 7, .. });
    refused!(1 => 16; SegmentError::WrongSize { found: 896, expected: 1408 });
    refused!(16 => 1; SegmentError::BadCount { released: 1, committed: 0, capacity: 8 });
    refused!(32 => 9; SegmentError::BadCount { released: 0, committed: 9, capacity: 8 });
    refused!(16 => u64::MAX, 32 => u64::MAX; SegmentError::BadCount { .. });
    refused!(16 => 1 << 62, 32 => 1 << 62; SegmentError::BadCount { .. });
    assert!(matches!(attach(&|words| words.store(32, 8, Relaxed)), (Ok(()), Ok(()))));

    let segment = bulk_ring_segment("roles", 8).unwrap();
    let _tx = BulkProducer::attach(&segment).unwrap();
    let _rx = BulkConsumer::attach(&segment).unwrap();
    let us = std::process::id();
    let taken = BulkProducer::attach(&segment);
    assert!(matches!(taken, Err(SegmentError::RoleTaken { role: Role::Producer, pid }) if pid == us));
    let taken = BulkConsumer::attach(&segment);
    assert!(matches!(taken, Err(SegmentError::RoleTaken { role: Role::Consumer, pid }) if pid == us));
    let observer = again(&segment, &BULK_RING, Access::ReadOnly).unwrap();
    assert!(matches!(BulkProducer::attach(&observer), Err(SegmentError::ReadOnly)));
    assert!(matches!(BulkConsumer::attach(&observer), Err(SegmentError::ReadOnly)));
}

#[test]
fn a_peer_knows_of_a_new_holder_by_its_epoch_and_of_a_hang_by_its_beat() {
    let segment = ring_segment("epochs", 8).unwrap();
    let tx = Producer::attach(&segment).unwrap();
    assert_eq!((tx.epoch(), tx.consumer_epoch(), tx.consumer_beat()), (1, 0, 0), "nobody came yet");
    for epoch in 1..=3 {
        let rx = Consumer::attach(&segment).unwrap();
        assert_eq!((rx.epoch(), tx.consumer_epoch(), rx.producer_epoch()), (epoch, epoch, 1));
        rx.beat(100 + epoch);
        assert_eq!(tx.consumer_beat(), 100 + epoch);
        drop(rx);
        assert_eq!((tx.consumer_epoch(), tx.consumer_beat()), (epoch, 100 + epoch), "what it left");
    }
    tx.beat(7);
    assert_eq!(Consumer::attach(&segment).unwrap().producer_beat(), 7);
    // A peer that scribbles on its epoch changes what it says of itself, and 0 stays "never".
    segment.words_mut().unwrap().store(18, u64::MAX, Relaxed);
    assert_eq!(Consumer::attach(&segment).unwrap().epoch(), 1);

    let (tx, rx) = heap_ring(2);
    assert_eq!((tx.epoch(), rx.epoch(), tx.consumer_epoch(), rx.producer_epoch()), (1, 1, 1, 1));
    let (tx, rx) = heap_bulk_ring(2);
    tx.beat(3);
    rx.beat(4);
    assert_eq!((tx.consumer_beat(), rx.producer_beat(), tx.consumer_alive()), (4, 3, true));
    drop(tx);
    assert!(!rx.producer_alive());
}

/// Whatever of it the host gives: what it does not is reported, and the ring works.
#[test]
fn memory_is_as_asked_or_the_report_says_why_not() {
    let plain = ring_segment("plain", 64).unwrap().memory();
    assert_eq!((plain.pages, plain.locked, plain.node), (Pages::Ordinary, Locked::NotAsked, Node::NotAsked));
    let asked = Memory { huge: true, locked: true, near_core: Some(0) };
    let segment = ring_segment_as("asked", 1024, &RING, asked).unwrap();
    let report = segment.memory();
    println!("{report}");
    let size = File::from(segment.fd().try_clone_to_owned().unwrap()).metadata().unwrap().len();
    match report.pages {
        Pages::Huge { bytes } => assert_eq!(size % bytes, 0),
        Pages::NotHuge { errno } => {
            assert!(errno != 0 && size == HEADER_BYTES as u64 + segment.words().len() as u64 * 8)
        }
        Pages::Ordinary => panic!("huge pages were asked for"),
    }
    match report.locked {
        Locked::Yes => assert!(locked_kib(&segment) >= 64, "the kernel knows"),
        Locked::No { errno } => {
            assert!(matches!(errno, libc::ENOMEM | libc::EPERM | libc::EAGAIN), "{errno}")
        }
        Locked::NotAsked => panic!("a lock was asked for"),
    }
    assert!(!matches!(report.node, Node::NotAsked));
    let peer = again(&segment, &RING, Access::ReadWrite).unwrap();
    assert_eq!(matches!(peer.memory().pages, Pages::Huge { .. }), matches!(report.pages, Pages::Huge { .. }));
    let (mut tx, mut rx) = (Producer::attach(&segment).unwrap(), Consumer::attach(&peer).unwrap());
    for n in 0..3000 {
        tx.push([n; 7]).unwrap();
        assert_eq!(rx.pop(), Some((n, [n; 7])));
    }
}

/// KiB of the segment's mapping that the kernel counts as locked.
fn locked_kib(segment: &Segment) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let inode = File::from(segment.fd().try_clone_to_owned().unwrap()).metadata().unwrap().ino();
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let of_ours = maps.split_once(&format!(" {inode} ")).unwrap().1;
    let line = of_ours.lines().find(|line| line.starts_with("Locked:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A process that may lock nothing gets its ring, and the reason.
#[test]
fn a_refused_lock_is_reported() {
    let report = std::thread::spawn(|| {
        // The raw calls change this thread only; the limit below is the process's, so it is put back.
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is a local of the right type.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) }, 0);
        let none = libc::rlimit { rlim_cur: 0, ..limit };
        // SAFETY: as above.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const none) }, 0);
        // SAFETY: numbers only; gives up the effective user of this thread, and with it the right to pass the limit.
        unsafe { libc::syscall(libc::SYS_setresuid, -1, 65_534, -1) };
        let segment =
            Segment::memfd_in("unlocked", &RING, 4096, Memory { locked: true, ..Memory::default() });
        // SAFETY: as above.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) }, 0);
        segment.unwrap().memory()
    })
    .join()
    .unwrap();
    assert!(matches!(report.locked, Locked::No { errno: libc::ENOMEM | libc::EPERM }), "{report}");
}

#[test]
fn both_ends_of_a_ring_made_here_work() {
    let (mut tx, mut rx) = ring("here", 8).unwrap();
    tx.push([5; 7]).unwrap();
    assert_eq!(rx.pop(), Some((0, [5; 7])));
    let (mut tx, mut rx) = bulk_ring("here", 8).unwrap();
    tx.push_with(8, |seq| [seq; 8]).unwrap();
    assert_eq!(tx.push(&[9; 8]).unwrap_err(), rings::Full { wanted: 1, free: 0 });
    assert_eq!(rx.poll(99, |seq, record| assert_eq!(*record, [seq; 8])), 8);
}
