//! Warm-up orders: they go the whole way, and nothing of them is left on it.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use corelane::cli::DemoArgs;
use corelane::demo::live::endpoints;
use corelane::demo::{figures, market, memory};
use corelane::engine::ORDER_LINK;
use corelane::sim::wires::WireSettings;
use corelane::sim::{Fate, OneThread, SimOutcome};
use corelane::simvenue::{HostOptions, SimVenueHost};
use corelane::wiring::{Drill, Live, LiveSetup};
use net::{AbortHandle, Link, LinkEvent, SendError, WsLink};
use stats::Snapshot;
use topology::{Config, Profile, StrategyKind};
use venue::ClientOrderId;
use venue_binance::sim::{SimFaults, SimMarket};

/// Longest wait for any one thing.
const PATIENCE: Duration = Duration::from_secs(60);
/// Turns a second of a crowd that leaves gaps of some ms.
const ACTIONS_PER_S: f64 = 60.0;

pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let n = MADE.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("corelane-runtime-{name}-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory of our own");
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The demo's configuration with a gate whose tokens are scarce.
fn config(kind: StrategyKind, quiet_ms: u32) -> Config {
    let mut config = Config::parse(market::DEMO_TOML).expect("the demo's configuration");
    config.engine.profile = Profile::Compact;
    config.strategy.kind = kind;
    (config.risk.orders_per_s, config.risk.orders_burst) = (2, 2);
    (config.runtime.warm_up_quiet_ms, config.runtime.warm_up_every_ms) = (quiet_ms, 1);
    config
}

fn quiet_crowd(market: &mut SimMarket) {
    if let SimMarket::Crowd { config, .. } = market {
        config.actions_per_s = ACTIONS_PER_S;
    }
}

/// A run in one thread and virtual time.
fn virtually(kind: StrategyKind, quiet_ms: u32, seed: u64) -> SimOutcome {
    let scratch = Scratch::new("virtual");
    let config = config(kind, quiet_ms);
    let args = DemoArgs { seconds: Some(30.0), seed, ..DemoArgs::default() };
    let wires = [WireSettings::default(); 3];
    let mut setup = memory::setup(&config, &args, &scratch.0, SimFaults::default(), wires).expect("a setup");
    quiet_crowd(&mut setup.venue.market);
    OneThread::new(setup).expect("an engine").run()
}

/// What a run has counted, without what is counted of warm-ups and of messages on rings, which they are.
fn counted(stats: &Snapshot) -> Vec<(&str, u64)> {
    let other = |name: &str| name.contains("warm_up") || name.contains(".ring_");
    stats.counters.iter().filter(|(name, _)| !other(name)).map(|(name, n)| (name.as_str(), *n)).collect()
}

/// Orders as the venue received them: everything but the number of the duty cycle, of which warm-ups make more.
fn received(run: &SimOutcome) -> Vec<String> {
    run.received
        .iter()
        .map(|r| {
            let id = ClientOrderId::parse(r.client_id.as_bytes()).expect("our own");
            let mut order = r.clone();
            order.client_id = format!("{:?} {:?}", id.ts, id.slot);
            format!("{order:?}")
        })
        .collect()
}

#[test]
fn a_run_with_warm_ups_is_the_run_without() {
    let mut refused_for_rate = 0;
    for (kind, seed) in [
        (StrategyKind::Quoter, 1),
        (StrategyKind::Quoter, 2),
        (StrategyKind::Maker, 3),
        (StrategyKind::Maker, 4),
    ] {
        let (without, with) = (virtually(kind, 0, seed), virtually(kind, 3, seed));
        let count = |name: &str| figures::counter(&with.stats, name);
        let warm_ups = count("strategy.warm_ups");
        println!("{kind:?} seed {seed}: {} orders, {warm_ups} warm-ups", with.received.len());
        assert!(warm_ups > 500, "{kind:?} seed {seed}: {warm_ups} warm-ups");
        assert_eq!(count("oms.warm_ups") + count("oms.warm_ups_refused"), warm_ups);
        assert_eq!(count("gateway.warm_ups") + count("gateway.warm_ups_refused"), count("oms.warm_ups"));
        // The gate lets them pass as far as it has tokens, of which they take none.
        assert!(count("gateway.warm_ups") > 100, "{kind:?} seed {seed}: as far as the last gate");
        assert!(without.stats.counters.iter().all(|(name, n)| !name.contains("warm_up") || *n == 0));

        assert_eq!((with.fate, without.fate), (Fate::Quiesced, Fate::Quiesced));
        assert!(with.received.len() > 10);
        assert_eq!(received(&with), received(&without), "{kind:?} seed {seed}: what the venue received");
        assert_eq!(counted(&with.stats), counted(&without.stats), "{kind:?} seed {seed}");
        assert_eq!(with.oms, without.oms, "positions and ledger");
        assert_eq!(with.venue_balances, without.venue_balances);
        let weight = |run: &SimOutcome| figures::gauge(&run.stats, "gateway.weight_used");
        assert_eq!(weight(&with), weight(&without), "the venue's rate limit");
        let trace = |run: &SimOutcome| -> BTreeSet<String> {
            run.stats.orders.iter().map(|o| format!("{:?} {} {:?}", o.slot, o.cause, o.state)).collect()
        };
        assert_eq!(trace(&with), trace(&without), "rows of the order trace");
        refused_for_rate += count("oms.gate_rate");
    }
    assert!(refused_for_rate > 0, "the tokens were never scarce: nothing was shown of them");
}

/// What the order link saw.
#[derive(Default)]
struct Seen {
    warm_ups: AtomicU64,
    /// Warm-ups after which the socket had been given a byte, or had one waiting.
    leaks: AtomicU64,
    orders: AtomicU64,
}

/// The link that trades, with a look at its socket around each warm-up.
struct Watched {
    inner: WsLink,
    number: u32,
    seen: Arc<Seen>,
}

impl Link for Watched {
    fn poll(&mut self, budget: usize, stamp: &dyn Fn() -> u64, sink: &mut dyn FnMut(LinkEvent<'_>)) -> usize {
        self.inner.poll(budget, stamp, sink)
    }

    fn send(&mut self, payload: &[u8], last_check: &mut dyn FnMut() -> bool) -> Result<(), SendError> {
        let sent = self.inner.send(payload, last_check);
        let order = payload.starts_with(br#"{"id":"p"#) && self.number == ORDER_LINK;
        self.seen.orders.fetch_add((order && sent.is_ok()) as u64, Ordering::AcqRel);
        sent
    }

    fn warm_up(&mut self, payload: &[u8]) -> Result<(), SendError> {
        assert!(payload.starts_with(br#"{"id":"p"#), "an order, whole");
        assert!(payload.windows(11).any(|w| w == b"\"signature\""), "and signed");
        let before = (self.inner.counters().bytes_out, self.inner.unsent_bytes().ok());
        let made = self.inner.warm_up(payload);
        let after = (self.inner.counters().bytes_out, self.inner.unsent_bytes().ok());
        // What the kernel still holds of an order may leave meanwhile; it cannot become more.
        let leak = after.0 != before.0 || after.1 > before.1;
        self.seen.leaks.fetch_add(leak as u64, Ordering::AcqRel);
        self.seen.warm_ups.fetch_add(made.is_ok() as u64, Ordering::AcqRel);
        made
    }

    fn unsent_bytes(&mut self) -> Result<usize, io::Error> {
        self.inner.unsent_bytes()
    }

    fn abort(&mut self) {
        self.inner.abort();
    }

    fn is_up(&self) -> bool {
        self.inner.is_up()
    }

    fn abort_handle(&self) -> Option<AbortHandle> {
        self.inner.abort_handle()
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starting an engine pins the thread that does it.
pub(crate) fn on_a_thread_of_its_own(test: fn()) {
    std::thread::spawn(test).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn over_tls_not_a_byte_of_them_reaches_the_venue() {
    on_a_thread_of_its_own(live);
}

fn live() {
    let scratch = Scratch::new("live");
    let mut config = config(StrategyKind::Quoter, 2);
    (config.risk.orders_per_s, config.risk.orders_burst) = (1_000, 1_000);
    config.risk.intent_age_us_max = 1_000_000;
    config.kill.stale_beat_ms = 60_000;
    config.runtime.slow_cycle_us = 1;
    let mut sim = market::sim_config(&config, 5, &[], SimFaults::default()).expect("a crowd");
    quiet_crowd(&mut sim.market);
    let venue = SimVenueHost::start(sim, HostOptions::default()).expect("a venue");
    let seen = Arc::new(Seen::default());
    let watching = seen.clone();
    let live = Live::start_drill(
        LiveSetup {
            config: &config,
            endpoints: endpoints(&venue).expect("the venue's certificate"),
            credentials: market::credentials().expect("constants"),
            state_dir: &scratch.0.join("state"),
            shm_base: &scratch.0.join("shm"),
            name: "warm",
            seed: 5,
        },
        Drill {
            observers: Vec::new(),
            wrap: &mut |number, inner| Watched { inner, number, seen: watching.clone() },
            muted: None,
        },
    )
    .expect("an engine");
    wait_for("orders between warm-ups", || {
        assert!(!live.is_dead() && !live.kill().tripped);
        seen.warm_ups.load(Ordering::Acquire) >= 300 && seen.orders.load(Ordering::Acquire) >= 20
    });

    // A word ends them with everything else.
    live.commander().stop(live.clock.now(), false);
    live.wait_stopped();
    let at_stop = seen.warm_ups.load(Ordering::Acquire);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(seen.warm_ups.load(Ordering::Acquire), at_stop, "none comes past a shut gate");

    let assets = live.assets.clone();
    let ended = live.stop();
    let venue = venue.stop().expect("a clean end of the venue");
    assert_eq!(ended.panics, Vec::<String>::new());
    assert_eq!(seen.leaks.load(Ordering::Acquire), 0, "bytes at the socket");
    let count = |name: &str| figures::counter(&ended.stats, name);
    assert_eq!(count("gateway.warm_ups"), at_stop);
    let orders = count("gateway.orders_sent");
    assert_eq!((orders, ended.kill.senders[0].progress.orders_sent), (orders, orders));
    assert_eq!(seen.orders.load(Ordering::Acquire), orders);
    assert_eq!(venue.received().len() as u64, orders, "the venue has the orders and nothing else");
    let ids: BTreeSet<&str> = venue.received().iter().map(|r| r.client_id.as_str()).collect();
    assert_eq!(ids.len() as u64, orders, "each id once");
    let agreement = figures::agreement(&ended.oms, &assets, true, venue.open_orders().len());
    assert!(agreement.holds(), "{:?}", agreement.differences);

    // What the duty cycles cost stands beside it.
    for name in ["feed", "strategy", "oms", "gateway"] {
        let agent = ended.stats.agents.iter().find(|a| a.name == name).expect("an agent");
        assert_eq!(agent.slow_ns, 1_000, "{name}");
        assert!(agent.busy_ns > 0 && agent.since.0 > 0, "{name}: {agent:?}");
        assert!(agent.busy_ppm(None).is_some_and(|ppm| ppm <= 1_000_000), "{name}: {agent:?}");
    }
    // A signature and a seal take longer than that everywhere.
    let gateway = ended.stats.agents.iter().find(|a| a.name == "gateway").expect("an agent");
    assert!(gateway.slow > 300, "{gateway:?}");
}
