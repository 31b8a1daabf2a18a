//! No record, no new risk: a ring that is full and a disk that will not take more shut the gate, by name, for good;
//! cancels still leave.

use corelane::demo::figures;
use corelane::replay::replay;
use corelane::sim::wires::Faults;
use corelane::sim::{Fate, OneThread};
use journal::{EndReason, Fault, Tail, verify};
use topology::{Config, WhenFull};
use wire::NotSent;

use crate::rig::{Dir, config, engine};

const CALM: [Faults; 2] =
    [Faults { lost_ppm: 0, twice_ppm: 0, swapped_ppm: 0, late_ppm: 0, cut_ppm: 0, stalled_ppm: 0 }; 2];

/// Steps until the journal fails, then to the end of the run; what came after the fault is judged.
fn after_the_fault(mut engine: OneThread, dir: &Dir, fault: Fault, hang: bool) {
    while engine.venue().received().len() < 20 {
        assert_eq!(engine.step(), Fate::Running, "it trades first");
    }
    if hang {
        engine.hang_journal();
    }
    while engine.journal_fault().is_none() {
        assert_eq!(engine.step(), Fate::Running, "the journal fails before the run is over");
    }
    assert_eq!(engine.journal_fault(), Some(fault));
    let at_fault = engine.now();
    let mut halted = false;
    let fate = loop {
        let fate = engine.step();
        halted |= engine.controls().halt().name() == "journal";
        if fate != Fate::Running {
            break fate;
        }
    };
    assert!(halted, "the reason has its name");
    assert_eq!(fate, Fate::Quiesced, "cancels left: everything is confirmed as cancelled");
    let assets = engine.assets().to_vec();
    let outcome = engine.finish(fate);
    // What was on its way when the fault came arrives within the wire's latency; nothing is sent after.
    let late = outcome.received.iter().filter(|o| o.ts > at_fault.plus_ns(1_000_000)).count();
    assert_eq!(late, 0, "orders reached the venue after the fault");
    assert_eq!(outcome.venue_open_orders, 0);
    let agreement = figures::agreement(&outcome.oms, &assets, true, outcome.venue_open_orders);
    assert!(agreement.holds(), "{:?}", agreement.differences);
    assert_eq!(outcome.journal.map(|j| j.1), Some(Some(fault)));

    let report = verify(&dir.session());
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(report.tail(), Some(Tail::Closed { reason: EndReason::Faulted, fault: Some(fault) }));
    if report.from_start {
        let outcome = replay(&dir.session()).expect("replayed");
        assert!(outcome.is_same(), "{:?} {:?}", outcome.divergence, outcome.damage);
    }
}

fn small(dir: &Dir) -> Config {
    let mut config = config(dir);
    config.journal.file_mib = 1;
    config.journal.budget_mib = 2;
    config.journal.ring_kib = 256;
    config
}

#[test]
fn a_full_ring_shuts_the_gate_and_the_cancels_leave() {
    let dir = Dir::new();
    let mut config = small(&dir);
    config.journal.budget_mib = 64;
    after_the_fault(engine(&config, &dir, 3, 30.0, CALM), &dir, Fault::RingFull, true);
}

#[test]
fn a_spent_budget_shuts_the_gate_and_what_was_recorded_replays() {
    let dir = Dir::new();
    let mut config = small(&dir);
    config.journal.when_full = WhenFull::Refuse;
    after_the_fault(engine(&config, &dir, 4, 60.0, CALM), &dir, Fault::Budget, false);
}

#[test]
fn a_disk_that_fails_shuts_the_gate() {
    let dir = Dir::new();
    let mut config = small(&dir);
    config.journal.budget_mib = 64;
    let mut engine = engine(&config, &dir, 5, 60.0, CALM);
    for _ in 0..100 {
        engine.step();
    }
    // Its next file cannot be made: the directory is not there any more.
    let away = dir.path().join("away");
    std::fs::rename(dir.journal(), &away).expect("moved");
    let dir = AtEnd { dir, away };
    while engine.journal_fault().is_none() {
        assert_eq!(engine.step(), Fate::Running);
    }
    dir.bring_back();
    after_the_fault(engine, &dir.dir, Fault::Disk, false);
}

/// The journal's directory, moved away.
struct AtEnd {
    dir: Dir,
    away: std::path::PathBuf,
}

impl AtEnd {
    fn bring_back(&self) {
        std::fs::rename(&self.away, self.dir.journal()).expect("moved back");
    }
}

#[test]
fn dropping_the_oldest_keeps_the_budget_and_trading_goes_on() {
    let dir = Dir::new();
    let config = small(&dir);
    let mut engine = engine(&config, &dir, 6, 40.0, CALM);
    while engine.step() == Fate::Running {
        assert_eq!(engine.journal_fault(), None);
    }
    let outcome = engine.finish(Fate::Quiesced);
    let bytes: u64 = std::fs::read_dir(dir.journal())
        .expect("listed")
        .map(|e| e.and_then(|e| e.metadata()).map_or(0, |m| m.len()))
        .sum();
    assert!(bytes <= 2 << 20, "{bytes}");
    assert!(outcome.journal.is_some_and(|(totals, fault)| totals.dropped > 0 && fault.is_none()));
    let report = verify(&dir.session());
    assert!(report.is_whole() && !report.from_start);
    let refused = replay(&dir.session()).expect_err("its beginning is gone").to_string();
    assert!(refused.contains("first file is missing"), "{refused}");
}

#[test]
fn the_gateway_has_a_name_for_it_as_well() {
    assert_eq!(NotSent::Journal.name(), "journal");
    assert!(NotSent::ALL.contains(&NotSent::Journal));
}
