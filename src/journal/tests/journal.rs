//! The journal through its public interface: written, read back, rotated, kept within its budget, cut and damaged.

mod rig;

use journal::{
    Cycle, Damage, DiskPolicy, EndReason, Fault, File, Item, Kind, OpenError, Problem, Session, Tail, verify,
};
use proptest::prelude::*;
use rig::{Dir, Rig, config};

fn written(turns: usize, close: bool) -> (Dir, Vec<u8>) {
    let dir = Dir::new();
    let mut rig = Rig::new(config(dir.path()));
    for i in 0..turns {
        rig.turn(format!("message number {i}").as_bytes());
    }
    rig.notes.say(5, "pause, by uid 0");
    rig.drain.poll(9);
    if close {
        rig.drain.close(9);
    }
    let path = dir.files().pop().expect("a file");
    let bytes = std::fs::read(path).expect("read");
    (dir, bytes)
}

fn end_of(bytes: Vec<u8>) -> (usize, Option<Tail>) {
    let file = File::from_bytes(bytes).expect("a header");
    let mut scan = file.scan();
    let n = scan.by_ref().count();
    (n, scan.tail())
}

#[test]
fn what_was_written_is_read_back_in_order() {
    let (dir, _) = written(3, true);
    let session = Session::find(dir.path()).expect("a session");
    let file = session.files().next().expect("one").expect("opens");
    assert_eq!((file.header.number, file.header.instance.as_str(), file.header.first_seq), (0, "test", 1));
    let records: Vec<_> = file.scan().collect();
    let kinds: Vec<Kind> = records.iter().map(|r| r.kind).collect();
    let cycle = Kind::Cycle;
    let head = [Kind::Config, Kind::Listing, Kind::Streams];
    assert_eq!(kinds[..3], head);
    assert_eq!(kinds[3..], [cycle, cycle, cycle, cycle, cycle, cycle, Kind::Note, Kind::End]);
    assert!(records.iter().enumerate().all(|(i, r)| r.seq == i as u64 + 1));
    assert_eq!((records[0].body, records[1].body, records[2].body), (&b"{}"[..], &b"[]"[..], &[0u8, 0][..]));
    let second = Cycle::decode(records[6].body).expect("a cycle");
    assert_eq!((second.agent, second.number, second.now_ns), (1, 2, 2_001));
    let items: Vec<_> = second.items().map(|i| i.expect("item")).collect();
    let sent = Item::Sent { link: 1, result: 0, bytes: b"message number 1" };
    assert_eq!(items, [Item::Took { ring: 0, count: 1 }, sent]);
    assert_eq!(records[9].body[8..], b"pause, by uid 0"[..]);

    let report = verify(&session);
    assert!(report.is_whole() && report.from_start);
    assert_eq!((report.cycles.clone(), report.span_ns), (vec![3, 3], Some((1_000, 3_001))));
    assert_eq!(report.tail(), Some(Tail::Closed { reason: EndReason::Closed, fault: None }));
}

#[test]
fn a_session_rotates_and_goes_on_in_the_next_file() {
    let dir = Dir::new();
    let mut rig = Rig::new(config(dir.path()));
    let long = vec![b'x'; 3_000];
    for _ in 0..100 {
        rig.turn(&long);
        rig.drain.poll(7);
    }
    rig.turn(&vec![b'y'; 100_000]); // longer than a file is meant to be: its file is
    rig.drain.close(8);
    assert!(dir.files().len() > 8, "{}", dir.files().len());
    let report = verify(&Session::find(dir.path()).expect("a session"));
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(report.cycles, [101, 101]);
    // One missing in the middle is seen, and so is one put in its place.
    let files = dir.files();
    std::fs::remove_file(&files[3]).expect("removed");
    let report = verify(&Session::find(dir.path()).expect("a session"));
    assert!(matches!(report.files.last().and_then(|f| f.problem.as_ref()), Some(Problem::Missing { .. })));
    std::fs::copy(&files[5], &files[3]).expect("copied");
    let report = verify(&Session::find(dir.path()).expect("a session"));
    assert!(!report.is_whole() && report.files.len() == 4);
    // One file alone is whole in itself, but does not begin the session.
    let alone = verify(&Session::find(&files[2]).expect("a file"));
    assert!(alone.is_whole() && !alone.from_start);
}

#[test]
fn the_budget_is_kept_by_dropping_the_oldest_or_by_refusing() {
    let long = vec![b'x'; 3_000];
    for policy in [DiskPolicy::DropOldest, DiskPolicy::Refuse] {
        let dir = Dir::new();
        let budget = 300 << 10;
        let mut rig = Rig::new(journal::StoreConfig { budget_bytes: budget, policy, ..config(dir.path()) });
        for _ in 0..200 {
            rig.turn(&long);
            rig.drain.poll(7);
            assert!(dir.bytes() <= budget, "{policy:?}: {}", dir.bytes());
        }
        let fault = rig.drain.health().fault();
        rig.drain.close(8);
        assert!(dir.bytes() <= budget);
        let report = verify(&Session::find(dir.path()).expect("a session"));
        match policy {
            DiskPolicy::DropOldest => {
                assert_eq!(fault, None);
                assert!(report.is_whole() && !report.from_start, "{report:?}");
                assert!(rig.drain.totals().dropped > 5);
            }
            DiskPolicy::Refuse => {
                assert_eq!(fault, Some(Fault::Budget));
                assert!(rig.drain.error().is_some_and(|e| e.to_string().contains("budget of 307200")));
                // What was written before the fault is whole, and says why it ends.
                assert!(report.is_whole() && report.from_start, "{report:?}");
                let end = Tail::Closed { reason: EndReason::Faulted, fault: Some(Fault::Budget) };
                assert_eq!(report.tail(), Some(end));
                assert_eq!(rig.tapes.of(1).ready(), Fault::Budget as u8, "no record, no order");
            }
        }
    }
}

#[test]
fn a_file_that_is_being_written_is_never_dropped() {
    let dir = Dir::new();
    let first = Rig::new(config(dir.path()));
    let budget_bytes = 100 << 10; // room for one file
    let mut second = config(dir.path());
    second.started_ns += 1;
    (second.budget_bytes, second.policy) = (budget_bytes, DiskPolicy::DropOldest);
    let refused = Rig::try_new(second.clone()).err().expect("the other engine writes");
    assert_eq!(refused.fault(), Fault::Budget);
    drop(first);
    assert!(Rig::try_new(second).is_ok(), "its writer is gone");
}

#[test]
fn a_disk_that_fails_is_a_fault_and_what_was_written_stands() {
    let dir = Dir::new();
    let inner = dir.path().join("inner");
    let mut rig = Rig::new(config(&inner));
    let moved = dir.path().join("moved");
    std::fs::rename(&inner, &moved).expect("moved away");
    for _ in 0..100 {
        rig.turn(&[b'x'; 3_000]);
        rig.drain.poll(7);
    }
    assert_eq!(rig.drain.health().fault(), Some(Fault::Disk));
    assert_eq!(rig.tapes.of(0).ready(), Fault::Disk as u8);
    rig.drain.close(8);
    let report = verify(&Session::find(&moved).expect("a session"));
    assert!(report.is_whole(), "{report:?}");
    assert!(report.cycles_total() > 10);
}

#[test]
fn a_directory_without_journals_and_a_path_without_a_file_are_told_apart() {
    let dir = Dir::new();
    std::fs::write(dir.path().join("other.txt"), "x").expect("written");
    let none = Session::find(dir.path()).expect_err("nothing there").to_string();
    assert!(none.contains("holds no journal"), "{none}");
    assert!(Session::find(&dir.path().join("nowhere")).is_err());
}

#[test]
fn each_kind_of_wrong_file_has_its_own_error() {
    let (_dir, good) = written(1, true);
    let open = |bytes: Vec<u8>| File::from_bytes(bytes).expect_err("refused");
    assert!(matches!(open(Vec::new()), OpenError::Empty));
    assert!(matches!(open(good[..100].to_vec()), OpenError::Short { bytes: 100 }));
    assert!(matches!(open(vec![0; 4096]), OpenError::Unbegun));
    let mut foreign = good.clone();
    foreign[..8].copy_from_slice(b"\x1f\x8b\x08\0\0\0\0\0");
    assert!(matches!(open(foreign), OpenError::Foreign { .. }));
    let mut old = good.clone();
    old[8] = 0;
    assert!(matches!(open(old), OpenError::Version { found: 0 }));
    let mut header = good.clone();
    header[20] ^= 1;
    assert!(matches!(open(header), OpenError::Header));
    assert!(matches!(File::open(std::path::Path::new("/nowhere/x")), Err(OpenError::Io { .. })));
}

#[test]
fn an_end_without_a_close_is_open_and_a_torn_record_does_not_count() {
    let (_dir, bytes) = written(4, false);
    let (whole, tail) = end_of(bytes.clone());
    let Some(Tail::Open { at }) = tail else { panic!("{tail:?}") };
    assert_eq!(whole, 3 + 8 + 1);
    // A record whose length was not yet published.
    let mut torn = bytes.clone();
    torn[at + 4..at + 40].fill(7);
    assert_eq!(end_of(torn), (whole, Some(Tail::Torn { at })));
    // A length that was lost in the middle is damage: records follow it.
    let file = File::from_bytes(bytes.clone()).expect("header");
    let fifth = file.scan().nth(4).expect("a record").offset;
    let mut hole = bytes.clone();
    hole[fifth..fifth + 4].fill(0);
    let (n, tail) = end_of(hole);
    assert_eq!(n, 4);
    assert!(matches!(tail, Some(Tail::Damaged { at, damage: Damage::Hole { seq: 6, .. } }) if at == fifth));
    // The same record twice.
    let sixth = file.scan().nth(5).expect("a record").offset;
    let mut twice = bytes.clone();
    twice.copy_within(fifth..sixth, sixth);
    let (_, tail) = end_of(twice);
    assert!(
        matches!(tail, Some(Tail::Damaged { damage: Damage::Sequence { found: 5, expected: 6 }, .. })),
        "{tail:?}"
    );
}

/// Offsets of the records of a good file, and where they end.
fn records(bytes: &[u8]) -> Vec<usize> {
    let file = File::from_bytes(bytes.to_vec()).expect("a header");
    file.scan().map(|r| r.offset).collect()
}

#[test]
fn any_flipped_bit_is_found_at_its_record() {
    let (_dir, bytes) = written(2, true);
    let offsets = records(&bytes);
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let Ok(file) = File::from_bytes(bad) else {
            assert!(bit / 8 < 128, "only the header stops a file from opening");
            continue;
        };
        assert!(bit / 8 >= 128, "bit {bit} of the header went unseen");
        let mut scan = file.scan();
        let n = scan.by_ref().count();
        let hit = offsets.iter().rposition(|o| *o <= bit / 8).expect("a record");
        assert_eq!(n, hit, "bit {bit}: every record before the damage, none after");
        assert!(
            matches!(scan.tail(), Some(Tail::Damaged { at, .. }) if at == offsets[hit]),
            "bit {bit}: {:?}",
            scan.tail()
        );
    }
}

#[test]
fn any_cut_is_found_where_the_file_ends() {
    let (_dir, bytes) = written(3, true);
    let offsets = records(&bytes);
    for cut in 128..bytes.len() {
        let (n, tail) = end_of(bytes[..cut].to_vec());
        let whole = offsets.iter().skip(1).filter(|o| **o <= cut).count();
        assert_eq!(n, whole, "cut at {cut}");
        assert!(matches!(tail, Some(Tail::Damaged { .. })), "cut at {cut}: {tail:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever is done to a file, it is read without a panic, and what is read of it was written.
    #[test]
    fn mutations_never_panic_and_never_invent(
        edits in prop::collection::vec((0usize..4000, any::<u8>(), 0u8..4, 1usize..64), 1..12),
        close in any::<bool>(),
    ) {
        let (_dir, good) = written(4, close);
        let mut bad = good.clone();
        for (at, byte, how, n) in edits {
            let at = at % bad.len();
            match how {
                0 => bad[at] = byte,
                1 => bad.truncate(at.max(1)),
                2 => { let n = n.min(bad.len() - at); bad[at..at + n].fill(byte); }
                _ => { let n = n.min(bad.len() - at); let from = (at + byte as usize) % (bad.len() - n + 1); bad.copy_within(from..from + n, at); }
            }
        }
        if let (Ok(bad), Ok(good)) = (File::from_bytes(bad), File::from_bytes(good)) {
            let mut scan = bad.scan();
            let read: Vec<_> = scan.by_ref().collect();
            prop_assert!(scan.tail().is_some());
            let written: Vec<_> = good.scan().collect();
            prop_assert!(read.len() <= written.len());
            prop_assert_eq!(&read[..], &written[..read.len()]);
            for r in read.iter().filter(|r| r.kind == Kind::Cycle) {
                let _ = Cycle::decode(r.body).map(|c| c.items().count());
            }
        }
    }

    /// Any bytes at all as a cycle.
    #[test]
    fn any_body_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(cycle) = Cycle::decode(&body) {
            let _ = cycle.check();
            prop_assert!(cycle.items().count() <= body.len());
        }
    }
}
