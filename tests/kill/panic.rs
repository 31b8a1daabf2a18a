//! A thread that panics: the gate shuts at once, the trip names the thread, and its last words are reported.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::{Agent, Cycle};
use corelane::demo::live::endpoints;
use corelane::demo::market;
use corelane::simvenue::{HostOptions, SimVenueHost};
use corelane::wiring::{Live, LiveSetup, latch_state};
use kill::{LatchState, Source, State};
use topology::{Config, Profile};
use venue_binance::sim::SimFaults;

use crate::rig::Scratch;

/// Longest wait for any one thing.
const PATIENCE: Duration = Duration::from_secs(30);
/// The venue listens on for so long after the gate has shut.
const LISTEN_ON: Duration = Duration::from_millis(500);

/// An agent of the trading thread that falls when it is told to.
struct Falls(Arc<AtomicBool>);

impl Agent for Falls {
    fn name(&self) -> &str {
        "falls"
    }

    fn do_work(&mut self, _: &mut Cycle<'_>) -> usize {
        assert!(!self.0.load(Ordering::Acquire), "slot 7 is lost");
        0
    }
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn run() {
    let scratch = Scratch::make("panic");
    let mut config = Config::parse(market::DEMO_TOML).expect("the demo's configuration");
    config.engine.profile = Profile::Compact;
    // Long before any beat is stale.
    config.kill.stale_beat_ms = 60_000;
    let sim = market::sim_config(&config, 3, &[], SimFaults::default()).expect("a crowd");
    let venue = SimVenueHost::start(sim, HostOptions::default()).expect("a venue");
    let falls = Arc::new(AtomicBool::new(false));
    let state_dir = scratch.0.join("state");
    let live = Live::start_observed(
        LiveSetup {
            config: &config,
            endpoints: endpoints(&venue).expect("the venue's certificate"),
            credentials: market::credentials().expect("constants"),
            state_dir: &state_dir,
            shm_base: &scratch.0.join("shm"),
            name: "panic",
            seed: 3,
        },
        vec![Box::new(Falls(falls.clone()))],
    )
    .expect("an engine");
    wait_for("orders", || live.kill().senders[0].progress.orders_sent >= 10);
    assert!(!live.kill().tripped && !live.is_dead());

    falls.store(true, Ordering::Release);
    // The sender is on the dead thread: nobody acknowledges, and the kill thread cuts its connection.
    wait_for("the gate to shut", || live.kill().state == Some(State::Aborted));
    let kill = live.kill();
    let trip = kill.trip.expect("a trip");
    assert!(matches!(trip.source, Some(Source::Panic { .. })), "tripped by {:?}", trip.source);
    assert_eq!((trip.subject.as_str(), trip.detail.as_str()), ("hot", "the thread panicked"));
    assert!(live.is_dead());
    let shut = venue.received().len();
    std::thread::sleep(LISTEN_ON);
    assert_eq!(venue.received().len(), shut, "orders after the gate was shut");
    match latch_state(&state_dir) {
        LatchState::Tripped(record) => {
            assert_eq!((Some(record.id), record.subject.as_str()), (trip.id, "hot"));
        }
        other => panic!("the latch reads {other:?}"),
    }
    let panics = live.stop().panics;
    assert_eq!(panics, ["agent \"falls\" on thread \"hot\" panicked: slot 7 is lost"]);
    let _ = venue.stop();
    let _ = fs::remove_dir_all(&state_dir);
}
