//! Whole runs, recorded and replayed.

use corelane::replay::{Outcome, replay};
use corelane::sim::wires::Faults;
use journal::{EndReason, Tail, verify};

use crate::rig::{Dir, config, run};

/// Everything that a wire can do to an engine, a little of each.
const ROUGH: Faults = Faults {
    lost_ppm: 2_000,
    twice_ppm: 2_000,
    swapped_ppm: 2_000,
    late_ppm: 5_000,
    cut_ppm: 400,
    stalled_ppm: 5_000,
};

fn same(outcome: &Outcome, what: &str) {
    assert!(outcome.is_same(), "{what}: {:?} {:?}", outcome.divergence, outcome.damage);
    let closed = Tail::Closed { reason: EndReason::Closed, fault: None };
    assert_eq!((outcome.tail, outcome.waiting), (Some(closed), 0), "{what}");
}

#[test]
fn twenty_seeds_replay_to_the_same_hashes_bytes_and_books() {
    let (mut cycles, mut sent, mut downs) = (0, 0, 0);
    for seed in 1..=20 {
        let dir = Dir::new();
        let faults = if seed % 2 == 0 { [ROUGH, ROUGH] } else { [Faults::default(); 2] };
        let ran = run(&config(&dir), &dir, seed, 3.0, faults);
        let session = dir.session();
        let report = verify(&session);
        assert!(report.is_whole() && report.from_start, "seed {seed}: {report:?}");
        let outcome = replay(&session).expect("replayed");
        same(&outcome, &format!("seed {seed}"));
        assert_eq!(outcome.cycles.to_vec(), report.cycles, "seed {seed}");
        // The state as well: orders, positions, ledger, balances as the engine had them when it closed.
        assert_eq!(outcome.oms.as_ref(), Some(&ran.oms), "seed {seed}");
        assert!(!ran.received.is_empty(), "seed {seed} traded");
        cycles += outcome.cycles_total();
        sent += outcome.sent;
        let named = |name: &str| ran.stats.counters.iter().find(|c| c.0 == name).map_or(0, |c| c.1);
        downs += named("gateway.sessions_lost") + named("feed.link_downs");
    }
    println!(
        "20 seeds: {cycles} cycles, {sent} messages at the wire, {downs} connections lost, all the same"
    );
    assert!(downs > 10, "the rough half lost connections: {downs}");
}

#[test]
fn a_run_that_keeps_warm_replays_as_one_that_does_not() {
    for seed in 31..=34 {
        let dir = Dir::new();
        let mut config = config(&dir);
        (config.runtime.warm_up_quiet_ms, config.runtime.warm_up_every_ms) = (1, 1);
        let faults = if seed % 2 == 0 { [ROUGH, ROUGH] } else { [Faults::default(); 2] };
        let ran = run(&config, &dir, seed, 3.0, faults);
        let warm_ups = ran.stats.counters.iter().find(|c| c.0 == "gateway.warm_ups").map_or(0, |c| c.1);
        assert!(warm_ups > 20, "seed {seed}: {warm_ups} warm-ups");
        let outcome = replay(&dir.session()).expect("replayed");
        same(&outcome, &format!("seed {seed}"));
        assert_eq!(outcome.oms.as_ref(), Some(&ran.oms), "seed {seed}");
    }
}
