//! Bad frames in virtual time, where every instant can be looked at: not one order between the frame that costs the
//! book and the snapshot that brings it back.

use corelane::cli::{DemoArgs, Transport};
use corelane::demo::{figures, market, memory};
use corelane::sim::wires::WireSettings;
use corelane::sim::{Fate, OneThread};
use topology::Config;
use venue_binance::sim::{Garbage, GarbageKind, SimFaults};
use wire::{BookState, Ts};

/// Market messages between two bad frames: more time than the longest pause between two snapshot requests.
const APART: u64 = 8_000;
/// The longest way from the gateway to the venue: latency and jitter of the wire.
const IN_FLIGHT_NS: u64 = 80_000;

#[test]
fn no_order_leaves_between_a_bad_frame_and_the_next_snapshot() {
    let state_dir = std::env::temp_dir().join(format!("corelane-hostile-virtual-{}", std::process::id()));
    let garbage = GarbageKind::ALL.iter().enumerate();
    let faults = SimFaults {
        garbage_frames: garbage
            .map(|(i, kind)| Garbage { nth: (i as u64 + 1) * APART, kind: *kind })
            .collect(),
        ..SimFaults::default()
    };
    let args = DemoArgs { seconds: Some(60.0), transport: Transport::Memory, ..DemoArgs::default() };
    let config = Config::parse(market::DEMO_TOML).expect("the demo's configuration");
    let setup = memory::setup(&config, &args, &state_dir, faults, [WireSettings::default(); 3]);
    let mut engine = OneThread::new(setup.expect("a setup")).expect("an engine");

    let (mut stretches, mut out_ns, mut sent_out) = (0, 0u64, 0);
    let mut left: Option<Ts> = None;
    let mut received = 0;
    let fate = loop {
        let now = engine.now();
        let fate = engine.step();
        let state = engine.book_state();
        let arrived = engine.venue().received().len() - received;
        received += arrived;
        match (state, left) {
            // Before the first snapshot nothing can be out of step yet: it counts like any other stretch.
            (BookState::InSync, Some(at)) => {
                out_ns += now.since_ns(at);
                left = None;
            }
            (BookState::InSync, None) => {}
            (_, None) => {
                stretches += 1;
                left = Some(now);
            }
            (_, Some(at)) if now.since_ns(at) > IN_FLIGHT_NS => sent_out += arrived,
            _ => {}
        }
        if fate != Fate::Running {
            break fate;
        }
    };
    let assets = engine.assets().to_vec();
    let outcome = engine.finish(fate);
    let _ = std::fs::remove_dir_all(&state_dir);
    let counter = |name: &str| figures::counter(&outcome.stats, name);
    println!("{stretches} stretches out of sync, {} ms in all; {received} orders", out_ns / 1_000_000);
    assert_eq!(sent_out, 0, "orders sent while the book was out of sync");
    assert_eq!(stretches, 1 + GarbageKind::ALL.len(), "each bad frame costs the book, once");
    assert_eq!(counter("feed.refused_syntax"), 3, "truncated, not JSON, empty");
    assert_eq!(counter("feed.refused_number"), 3, "NaN, 1e400, forty digits");
    assert_eq!(counter("feed.refused_negative"), 1, "-1");
    assert_eq!(counter("feed.refused_unknown_event"), 1);
    assert_eq!(counter("feed.snapshots"), 1 + GarbageKind::ALL.len() as u64);
    assert!(received > 50, "{received}");
    assert_eq!(fate, Fate::Quiesced);
    let agreement = figures::agreement(&outcome.oms, &assets, true, outcome.venue_open_orders);
    assert!(agreement.holds(), "{:?}", agreement.differences);
}
