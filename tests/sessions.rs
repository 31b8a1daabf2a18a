//! Order sessions through their troubles, the whole engine in one thread: executions missed while nothing was
//! connected, connections that reach the end of their lives, a venue whose clock is not ours.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use corelane::cli::DemoArgs;
use corelane::demo::market::DEMO_TOML;
use corelane::demo::{figures, memory};
use corelane::engine::{ORDER_LINK, STANDBY_LINK};
use corelane::sim::wires::WireSettings;
use corelane::sim::{Fate, OneThread, SimOutcome, SimSetup};
use topology::Config;
use venue_binance::sim::SimFaults;

const SECOND_NS: u64 = 1_000_000_000;

/// A run with a state directory of its own.
struct Run {
    engine: OneThread,
    state_dir: PathBuf,
}

impl Run {
    fn new(seed: u64, seconds: f64, net: &str, change: impl FnOnce(&mut SimSetup)) -> Run {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let state_dir = std::env::temp_dir().join(format!("corelane-sessions-{}-{run}", std::process::id()));
        let config = Config::parse(&DEMO_TOML.replacen("[net]\n", &format!("[net]\n{net}"), 1))
            .expect("a configuration");
        let args = DemoArgs { seconds: Some(seconds), seed, ..DemoArgs::default() };
        let wires = [WireSettings::default(); 3];
        let mut setup =
            memory::setup(&config, &args, &state_dir, SimFaults::default(), wires).expect("a setup");
        change(&mut setup);
        Run { engine: OneThread::new(setup).expect("an engine"), state_dir }
    }

    /// Runs to the end: how it ended, and what engine and venue differ in.
    fn finish(mut self) -> (SimOutcome, Vec<String>) {
        let fate = loop {
            let fate = self.engine.step();
            if fate != Fate::Running {
                break fate;
            }
        };
        let assets = self.engine.assets().to_vec();
        let outcome = self.engine.finish(fate);
        let agreement =
            figures::agreement(&outcome.oms, &assets, fate == Fate::Quiesced, outcome.venue_open_orders);
        // A directory in the temporary folder: what is left of it harms nobody.
        let _ = std::fs::remove_dir_all(&self.state_dir);
        (outcome, agreement.differences)
    }
}

fn counter(outcome: &SimOutcome, name: &str) -> u64 {
    figures::counter(&outcome.stats, name)
}

#[test]
fn executions_missed_while_nothing_was_connected_are_fetched_and_trading_comes_back() {
    let (mut missed_in, mut listed) = (0, 0);
    for seed in 0..12 {
        let mut run = Run::new(seed, 8.0, "", |_| {});
        assert_eq!(run.engine.run_for(SECOND_NS), Fate::Running);
        while run.engine.venue().open_orders().len() < 2 {
            assert_eq!(run.engine.step(), Fate::Running, "seed {seed}: never two orders open");
        }
        for link in [ORDER_LINK, STANDBY_LINK] {
            let slow = WireSettings { reconnect_ns: 3 * SECOND_NS, ..WireSettings::default() };
            run.engine.wires().set(link, slow);
            run.engine.wires().cut(link);
        }
        let before = run.engine.venue().fills();
        assert_eq!(run.engine.run_for(2 * SECOND_NS), Fate::Running);
        let missed = run.engine.venue().fills() - before;
        let down_until = run.engine.now();
        let (outcome, differences) = run.finish();
        let shown = format!("seed {seed}, {missed} executions missed");
        assert_eq!((outcome.fate, &differences), (Fate::Quiesced, &Vec::new()), "{shown}");
        assert!(outcome.oms.ledger_balances, "{shown}");
        let after = outcome.received.iter().filter(|o| o.ts > down_until).count();
        assert!(after > 0, "{shown}: trading did not come back by itself");
        assert!(counter(&outcome, "gateway.trades_listed") >= missed, "{shown}");
        assert_eq!(counter(&outcome, "oms.conflicts"), 0, "{shown}");
        missed_in += (missed > 0) as u64;
        listed += counter(&outcome, "gateway.trades_listed");
    }
    println!("executions were missed in {missed_in} of 12 seeds; {listed} were listed");
    assert!(missed_in >= 4, "executions were missed in {missed_in} seeds only");
}

#[test]
fn order_connections_are_replaced_before_their_end_without_a_gap() {
    let life = "connection_life_s = 3\n";
    let run = Run::new(5, 20.0, life, |setup| {
        setup.venue.limits.connection_ms = 60_000;
        setup.venue.limits.shutdown_notice_ms = 0;
    });
    let start = run.engine.now();
    let (outcome, differences) = run.finish();
    assert_eq!((outcome.fate, differences), (Fate::Quiesced, Vec::new()));
    let rolled = counter(&outcome, "gateway.rolled_over");
    assert!((5..=13).contains(&rolled), "{rolled} times in 20 s of connections that live 3 s");
    assert_eq!(counter(&outcome, "oms.unknown"), 0, "no order was in doubt");
    assert_eq!(counter(&outcome, "gateway.not_sent_no_session"), 0, "no order found the session gone");
    assert_eq!(counter(&outcome, "oms.gate_trading_off"), 0, "trading was never off");
    // Orders all along: no second without one once trading began.
    let seconds: std::collections::BTreeSet<u64> =
        outcome.received.iter().map(|o| o.ts.since_ns(start) / SECOND_NS).collect();
    assert!(seconds.len() >= 18, "orders in the seconds {seconds:?}");
}

#[test]
fn a_shutdown_that_the_venue_announces_on_both_connections_loses_no_order() {
    for seed in 0..3 {
        let run = Run::new(seed, 12.0, "", |setup| {
            setup.venue.limits.connection_ms = 5_000;
            setup.venue.limits.shutdown_notice_ms = 2_500;
        });
        let (outcome, differences) = run.finish();
        assert_eq!((outcome.fate, differences), (Fate::Quiesced, Vec::new()), "seed {seed}");
        assert!(counter(&outcome, "gateway.rolled_over") >= 1, "seed {seed}");
        assert_eq!(counter(&outcome, "oms.conflicts"), 0, "seed {seed}");
        assert_eq!(counter(&outcome, "oms.unknown"), 0, "seed {seed}: no order was in doubt");
    }
}

#[test]
fn the_venue_s_clock_is_known_within_its_error() {
    let (outcome, differences) = Run::new(1, 3.0, "", |_| {}).finish();
    assert_eq!((outcome.fate, differences), (Fate::Quiesced, Vec::new()));
    let gauge = |name: &str| figures::gauge(&outcome.stats, name);
    let (offset, error) = (gauge("gateway.venue_clock_offset_us"), gauge("gateway.venue_clock_error_us"));
    // In one thread the venue reads our clock: the true offset is zero.
    assert!(offset.abs() <= error && error < 50_000, "{offset} us, give or take {error}");
    assert!(gauge("gateway.weight_used") > 0);
    assert_eq!(counter(&outcome, "gateway.rejected_time"), 0);
}
