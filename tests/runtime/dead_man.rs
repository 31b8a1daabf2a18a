//! The dead-man timers do not trip an engine that lives.
//!
//! A few seconds at the demo's limit by default. The hour at the limit of `corelane run`'s own default, on the machine
//! that is to be judged, with nothing else running:
//!
//! ```sh
//! CORELANE_DEAD_MAN_S=3600 CORELANE_DEAD_MAN_MS=500 cargo test --release --test runtime -- dead_man --nocapture
//! ```

use std::time::{Duration, Instant};

use corelane::demo::live::endpoints;
use corelane::demo::{figures, market};
use corelane::simvenue::{HostOptions, SimVenueHost};
use corelane::wiring::{Live, LiveSetup};
use topology::Config;
use venue_binance::sim::SimFaults;

use crate::warm_up::{Scratch, on_a_thread_of_its_own};

/// Between two looks at the engine, and between two lines that say how it is.
const LOOK: Duration = Duration::from_millis(20);
const TELL: Duration = Duration::from_secs(60);

fn asked(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Err(_) => default,
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} = {text:?}: must be a whole number")),
    }
}

#[test]
fn dead_man_timers_do_not_trip_an_engine_that_lives() {
    on_a_thread_of_its_own(run);
}

fn run() {
    let scratch = Scratch::new("dead-man");
    let mut config = Config::parse(market::DEMO_TOML).expect("the demo's configuration");
    let seconds = asked("CORELANE_DEAD_MAN_S", 3);
    config.kill.stale_beat_ms = asked("CORELANE_DEAD_MAN_MS", config.kill.stale_beat_ms.into()) as u32;
    let sim = market::sim_config(&config, 11, &[], SimFaults::default()).expect("a crowd");
    let venue = SimVenueHost::start(sim, HostOptions::default()).expect("a venue");
    let live = Live::start(LiveSetup {
        config: &config,
        endpoints: endpoints(&venue).expect("the venue's certificate"),
        credentials: market::credentials().expect("constants"),
        state_dir: &scratch.0.join("state"),
        shm_base: &scratch.0.join("shm"),
        name: "deadman",
        seed: 11,
    })
    .expect("an engine");
    let (began, mut told) = (Instant::now(), Instant::now());
    while began.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(LOOK);
        assert!(!live.is_dead(), "a thread panicked");
        let kill = live.kill();
        let after = began.elapsed().as_secs_f64();
        assert!(!kill.tripped, "tripped after {after:.1} s: {:?}", kill.trip);
        if told.elapsed() >= TELL {
            told = Instant::now();
            println!("{after:>6.0} s: {}", longest(&live.stats()));
        }
    }
    live.controls.quiesce();
    live.wait_quiet();
    let ended = live.stop();
    assert!(!ended.kill.tripped, "tripped at the end: {:?}", ended.kill.trip);
    assert_eq!(ended.panics, Vec::<String>::new());
    let orders = figures::counter(&ended.stats, "gateway.orders_sent");
    assert!(orders > 0, "an engine that lives trades");
    println!(
        "{seconds} s, limit {} ms, {orders} orders, 0 trips; {}",
        config.kill.stale_beat_ms,
        longest(&ended.stats)
    );
}

/// The longest duty cycle of each agent.
fn longest(stats: &stats::Snapshot) -> String {
    let each = stats.agents.iter().map(|a| format!("{} {:.1} ms", a.name, a.longest_ns as f64 / 1e6));
    format!("longest cycles: {}", each.collect::<Vec<_>>().join(", "))
}
