//! The engine in one thread, someone in the middle of its wires, and what is asked of it afterwards.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use corelane::cli::DemoArgs;
use corelane::demo::{market, memory};
use corelane::sim::wires::{Tamper, Way, WireSettings};
use corelane::sim::{Fate, OneThread, SimOutcome};
use serde_json::Value;
use topology::Config;
use venue_binance::sim::SimFaults;

/// Number of the market connection.
pub(crate) const MARKET: u32 = 0;
/// Numbers of the two order connections.
pub(crate) const ORDERS: [u32; 2] = [1, 2];
/// A millisecond and a second, ns.
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const S: u64 = 1_000_000_000;

pub(crate) struct Rig {
    pub(crate) engine: OneThread,
    dir: PathBuf,
}

impl Rig {
    /// A demo engine with its own latch.
    pub(crate) fn new(seed: u64) -> Rig {
        Rig::with(seed, SimFaults::default(), "")
    }

    /// The same with faults of the venue and lines of configuration that go before the demo's.
    pub(crate) fn with(seed: u64, faults: SimFaults, swap: &str) -> Rig {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("corelane-scenario-{}-{number}", std::process::id()));
        let mut text = market::DEMO_TOML.to_string();
        for line in swap.lines().filter(|l| !l.is_empty()) {
            let key = line.split(" = ").next().expect("a key");
            let old =
                text.lines().find(|l| l.starts_with(&format!("{key} = "))).expect("known key").to_string();
            text = text.replace(&old, line);
        }
        let config = Config::parse(&text).expect("configuration");
        let args = DemoArgs { seed, seconds: Some(100_000.0), ..DemoArgs::default() };
        let wires = [WireSettings::default(); 3];
        let setup = memory::setup(&config, &args, &dir, faults, wires).expect("setup");
        Rig { engine: OneThread::new(setup).expect("engine"), dir }
    }

    pub(crate) fn run(&mut self, ns: u64) {
        assert_eq!(self.engine.run_for(ns), Fate::Running);
    }

    /// Puts `f` in the middle of the messages that come in on these connections.
    pub(crate) fn inward(
        &mut self,
        conns: &[u32],
        f: impl FnMut(Vec<u8>) -> Vec<(u64, Vec<u8>)> + Send + Clone + 'static,
    ) {
        for conn in conns {
            let mut f = f.clone();
            let tamper: Tamper = Box::new(move |way, payload| match way {
                Way::Inward => f(payload),
                Way::Outward => vec![(0, payload)],
            });
            self.engine.wires().tamper(*conn, Some(tamper));
        }
    }

    pub(crate) fn honest(&mut self) {
        for i in 0..3 {
            self.engine.wires().tamper(i, None);
        }
    }

    /// Statistics after the agents have had time to publish.
    pub(crate) fn counters(&mut self) -> BTreeMap<String, i64> {
        let stats = self.engine.stats();
        let mut all: BTreeMap<String, i64> =
            stats.counters.iter().map(|c| (c.0.to_string(), c.1 as i64)).collect();
        all.extend(stats.gauges.iter().map(|g| (g.0.to_string(), g.1)));
        all
    }

    /// Orders that the venue received in the next `ns`.
    pub(crate) fn orders_in(&mut self, ns: u64) -> usize {
        let before = self.engine.venue().received().len();
        self.run(ns);
        self.engine.venue().received().len() - before
    }

    /// Ends trading in order and says what was left.
    pub(crate) fn finish(mut self) -> SimOutcome {
        self.engine.end();
        let fate = loop {
            let fate = self.engine.step();
            if fate != Fate::Running {
                break fate;
            }
        };
        let dir = self.dir.clone();
        let outcome = self.engine.finish(fate);
        let _ = std::fs::remove_dir_all(dir);
        outcome
    }
}

/// Ends in order, and ledger and venue agree to the last digit.
pub(crate) fn agrees(rig: Rig) {
    let outcome = rig.finish();
    assert_eq!(outcome.fate, Fate::Quiesced, "{:?}", outcome.oms);
    assert_eq!((outcome.oms.open_orders, outcome.venue_open_orders), (0, 0));
    assert!(outcome.oms.ledger_balances);
    for line in &outcome.oms.assets {
        assert_eq!(line.difference, Some(0), "halt {}: {line:?}", outcome.oms.halt);
    }
}

/// The message as JSON.
pub(crate) fn json(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).expect("the venue sends JSON")
}

/// Whether the message is an event of the account stream of this type; where its fields are.
pub(crate) fn event<'a>(message: &'a Value, kind: &str) -> Option<&'a Value> {
    let event = message.get("event")?;
    (event.get("e")?.as_str()? == kind).then_some(event)
}

/// The message with a text replaced once.
pub(crate) fn swap(payload: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(payload).expect("text");
    assert!(text.contains(from), "{from} is not in {text}");
    text.replacen(from, to, 1).into_bytes()
}
