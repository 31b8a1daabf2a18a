//! Modes, cancel-all and re-arming, judged by the venue: the whole engine in one thread, told by the same words as by
//! an operator's commands.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use corelane::cli::DemoArgs;
use corelane::controls::{Mode, StopState};
use corelane::demo::{figures, market::DEMO_TOML, memory};
use corelane::oms::Halt;
use corelane::sim::wires::WireSettings;
use corelane::sim::{Fate, OneThread};
use kill::RearmError;
use topology::{Config, Decimal};
use venue_binance::sim::SimFaults;

const SECOND_NS: u64 = 1_000_000_000;
const SEEDS: u64 = 6;

/// An engine and its state directory, removed at the end.
struct Bench {
    engine: OneThread,
    state_dir: PathBuf,
}

impl Bench {
    fn new(seed: u64) -> Bench {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let state_dir = std::env::temp_dir().join(format!("corelane-modes-{}-{run}", std::process::id()));
        let config = Config::parse(DEMO_TOML).expect("the demo's configuration");
        let args = DemoArgs { seconds: Some(3_600.0), seed, ..DemoArgs::default() };
        let wires = [WireSettings::default(); 3];
        let setup = memory::setup(&config, &args, &state_dir, SimFaults::default(), wires).expect("a setup");
        Bench { engine: OneThread::new(setup).expect("an engine"), state_dir }
    }

    /// Steps until this holds, at most a minute of virtual time.
    fn until(&mut self, what: &str, mut holds: impl FnMut(&OneThread) -> bool) {
        let by = self.engine.now().plus_ns(60 * SECOND_NS);
        while !holds(&self.engine) {
            assert!(
                self.engine.now() < by,
                "{what}: not within a minute; halt {:?}",
                self.engine.controls().halt()
            );
            self.engine.step();
        }
    }

    fn run_for(&mut self, seconds: f64, mut look: impl FnMut(&OneThread)) {
        let by = self.engine.now().plus_ns((seconds * 1e9) as u64);
        while self.engine.now() < by {
            self.engine.step();
            look(&self.engine);
        }
    }

    /// Puts a mode in force and waits until both the gateway and the oms follow it.
    fn mode(&mut self, from: Mode, to: Mode) {
        let change = self.engine.controls().set_mode(from, to).expect("the mode that was");
        self.until("the mode is followed", |engine| engine.controls().follows(change));
    }

    fn received(&self) -> u64 {
        self.engine.venue().received().len() as u64
    }

    /// What the base balance at the venue has moved by.
    fn moved(engine: &OneThread) -> Decimal {
        engine.venue().balances().first().map(|(_, free, locked)| *free + *locked).unwrap_or_default()
            - Decimal::from(10)
    }

    fn trades_again(&mut self) {
        let before = self.received();
        self.until("orders arrive again", |engine| engine.venue().received().len() as u64 > before + 5);
        assert_eq!(self.engine.controls().halt(), Halt::None);
    }

    /// Ends in order, and compares both sides to the last digit.
    fn end(mut self) {
        self.engine.end();
        let fate = loop {
            let fate = self.engine.step();
            if fate != Fate::Running {
                break fate;
            }
        };
        assert_eq!(fate, Fate::Quiesced);
        let assets = self.engine.assets().to_vec();
        let outcome = self.engine.finish(fate);
        let agreement = figures::agreement(&outcome.oms, &assets, true, outcome.venue_open_orders);
        assert!(agreement.holds(), "{}", agreement.differences.join("; "));
        let _ = std::fs::remove_dir_all(&self.state_dir);
    }
}

#[test]
fn in_pause_nothing_is_open_and_nothing_arrives() {
    for seed in 1..=SEEDS {
        let mut b = Bench::new(seed);
        b.run_for(1.0 + 0.137 * seed as f64, |_| {});
        b.mode(Mode::Normal, Mode::Pause);
        let sent = b.engine.controls().gateway_heard().orders_sent;
        assert!(sent > 0);
        assert_eq!(b.engine.controls().orders_open(), 0, "followed means withdrawn");
        b.run_for(2.0, |engine| assert!(engine.venue().received().len() as u64 <= sent));
        assert_eq!((b.received(), b.engine.venue().open_orders().len()), (sent, 0), "seed {seed}");
        assert_eq!(b.engine.controls().halt(), Halt::Pause);
        b.mode(Mode::Pause, Mode::Normal);
        b.trades_again();
        b.end();
    }
}

#[test]
fn in_reduce_the_position_never_grows() {
    let mut reduced = 0;
    for seed in 1..=SEEDS {
        let mut b = Bench::new(100 + seed);
        let some = Decimal::new(3, 3);
        b.until("a position of 0.003", |engine| Bench::moved(engine).abs() >= some);
        b.mode(Mode::Normal, Mode::Reduce);
        let before = Bench::moved(&b.engine);
        let mut last = before;
        b.run_for(20.0, |engine| {
            let moved = Bench::moved(engine);
            assert!(moved.abs() <= last.abs(), "seed {seed}: from {last} to {moved}");
            last = moved;
        });
        reduced += (last.abs() < before.abs()) as usize;
        assert!(b.engine.venue().open_orders().len() <= 1, "only the side that reduces is quoted");
        b.mode(Mode::Reduce, Mode::Normal);
        b.trades_again();
        b.end();
    }
    println!("{reduced} of {SEEDS} positions were reduced");
    assert!(reduced > 0, "a mode in which nothing trades proves nothing");
}

#[test]
fn an_emergency_empties_the_venue_and_is_left_by_the_opening_of_a_session() {
    for seed in 1..=SEEDS {
        let mut b = Bench::new(200 + seed);
        b.run_for(1.0 + 0.093 * seed as f64, |_| {});
        b.mode(Mode::Normal, Mode::Emergency);
        let sent = b.engine.controls().gateway_heard().orders_sent;
        b.until("the stop", |engine| engine.controls().stop() == StopState::Confirmed);
        b.run_for(2.0, |_| {});
        assert_eq!((b.received(), b.engine.venue().open_orders().len()), (sent, 0), "seed {seed}");
        assert!(!b.engine.controls().session_ready());
        // By way of Pause: the session opens anew, and nothing is sent.
        b.mode(Mode::Emergency, Mode::Pause);
        b.until("the opening", |engine| engine.controls().session_ready());
        b.run_for(1.0, |_| {});
        assert_eq!(b.received(), sent);
        b.mode(Mode::Pause, Mode::Normal);
        b.trades_again();
        b.end();
    }
}

#[test]
fn cancel_all_is_confirmed_by_the_venue_and_trading_goes_on() {
    for seed in 1..=SEEDS {
        let mut b = Bench::new(300 + seed);
        b.run_for(1.0 + 0.071 * seed as f64, |_| {});
        for mode in [Mode::Normal, Mode::Pause] {
            if mode == Mode::Pause {
                b.mode(Mode::Normal, Mode::Pause);
            }
            let number = b.engine.controls().ask_cancel_all();
            b.until("the cancel-all", |engine| engine.controls().cancel_all_done().0 == number);
            assert_eq!(b.engine.controls().cancel_all_done().1, StopState::Confirmed);
            assert_eq!(b.engine.venue().open_orders().len(), 0, "seed {seed} in {mode:?}");
        }
        b.mode(Mode::Pause, Mode::Normal);
        b.trades_again();
        b.end();
    }
}

#[test]
fn after_a_trip_only_the_named_trip_is_re_armed_and_the_session_opens_anew() {
    let uid = stats::instance::process_uid().expect("a user");
    for seed in 1..=SEEDS {
        let mut b = Bench::new(400 + seed);
        b.run_for(1.0 + 0.059 * seed as f64, |_| {});
        assert!(matches!(b.engine.rearm("7K3F-9Q2M", uid), Err(RearmError::NotTripped)));
        for round in 0..2 {
            b.engine.command_stop();
            b.until("the kill", |engine| {
                engine.kill().tripped
                    && engine.controls().stop() == StopState::Confirmed
                    && !engine.controls().session_ready()
            });
            let sent = b.received();
            b.run_for(2.0, |_| {});
            assert_eq!(
                (b.received(), b.engine.venue().open_orders().len()),
                (sent, 0),
                "seed {seed}, {round}"
            );
            let trip = b.engine.kill().trip.and_then(|trip| trip.id).expect("its id").to_string();
            let wrong = if trip == "7K3F-9Q2M" { "9Q2M-7K3F" } else { "7K3F-9Q2M" };
            assert!(matches!(b.engine.rearm(wrong, uid), Err(RearmError::WrongId { .. })));
            assert!(matches!(b.engine.rearm(&trip, uid + 1), Err(RearmError::NotOwner { .. })));
            b.run_for(1.0, |_| {});
            assert_eq!(b.received(), sent, "a refused re-arm changes nothing");
            b.engine.rearm(&trip, uid).expect("re-armed");
            assert!(!b.engine.kill().tripped);
            // The opening: cancelled, listed and compared before an order may leave.
            b.until("the opening", |engine| {
                assert!(engine.controls().session_ready() || engine.venue().received().len() as u64 == sent);
                engine.controls().session_ready()
            });
            b.trades_again();
        }
        b.end();
    }
}

#[test]
fn a_trip_in_pause_and_a_mode_changed_while_tripped_hold_after_the_re_arm() {
    let uid = stats::instance::process_uid().expect("a user");
    let mut b = Bench::new(500);
    b.run_for(1.0, |_| {});
    b.engine.command_stop();
    b.until("the kill", |engine| engine.kill().tripped && engine.controls().stop() == StopState::Confirmed);
    b.mode(Mode::Normal, Mode::Pause);
    let sent = b.received();
    let trip = b.engine.kill().trip.and_then(|trip| trip.id).expect("its id").to_string();
    b.run_for(1.0, |_| {});
    b.engine.rearm(&trip, uid).expect("re-armed");
    b.run_for(3.0, |_| {});
    assert_eq!((b.received(), b.engine.controls().halt()), (sent, Halt::Pause));
    b.mode(Mode::Pause, Mode::Normal);
    b.trades_again();
    b.end();
}
