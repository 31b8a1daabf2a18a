//! What does the first order after a quiet time cost, and what do warm-ups take off it?
//!
//! The whole engine over TLS on loopback against the simulated venue, as `corelane` runs it with two cores, with warm-ups
//! and without by turns. The venue's crowd acts a few times a second; what counts are the orders that answer the first
//! messages after at least 100 ms without any (messages within 1 ms of each other are one burst), the first of each cause.
//!
//! **Timed**: from the moment the bytes were visible until the order was handed to the kernel, as every order's trace has
//! it: parse (TLS, WebSocket, JSON, book), decide, gate, send (encode, sign, seal and the system call itself). Warm-ups
//! go through decide, gate and send up to the seal; parse and the system call are as cold as before.
//! **Not timed**: the venue, the way to it and back.
//!
//! **A regression means** that quiet markets are answered late. There is no bar: what a quiet time costs is the
//! machine's, by what else runs on its cores. Each pair of runs is a ratio of its own; a busy host moves both sides.
//!
//! `cargo bench --bench warm_up` measures; `-- --pairs N --seconds S` say how much (6, 20). Without `--bench` one short
//! pair runs, to keep this file from rotting.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agent::{cpu, probe};
use corelane::demo::live::endpoints;
use corelane::demo::{figures, market};
use corelane::engine::MARKET_LINK;
use corelane::simvenue::{HostOptions, SimVenueHost};
use corelane::wiring::{Drill, Live, LiveSetup};
use net::{AbortHandle, Link, LinkEvent, SendError, WsLink};
use topology::{Config, Profile};
use venue_binance::sim::{SimFaults, SimLimits, SimMarket};
use wire::Ts;

/// Turns of the crowd a second.
const ACTIONS_PER_S: f64 = 5.0;
/// A quiet time is at least so long, ns.
const QUIET_NS: u64 = 100_000_000;
/// Messages nearer to each other are one burst, ns.
const BURST_NS: u64 = 1_000_000;
/// What is told of a run: stages as the trace has them, and the whole.
const ROWS: [&str; 5] = ["parse", "decide", "gate", "send", "tick to order"];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let number = |flag: &str, default: u64| match args.iter().position(|arg| arg == flag) {
        None => Ok(default),
        Some(i) => args.get(i + 1).and_then(|n| n.parse().ok()).ok_or(format!("{flag} needs a number")),
    };
    let measure = args.iter().any(|arg| arg == "--bench");
    let (pairs, seconds) = if measure { (6, 20) } else { (1, 1) };
    let (pairs, seconds) = (number("--pairs", pairs)?, number("--seconds", seconds)?);
    println!("{}", agent::Clock::live().describe());
    if measure {
        println!("{}", probe::hiccup(Duration::from_millis(200)));
    }
    let mut all: [Vec<[u64; 5]>; 2] = [Vec::new(), Vec::new()];
    let mut ratios = Vec::new();
    for pair in 0..pairs {
        let mut medians = [0.0; 2];
        // Who goes first changes with every pair.
        for side in [pair % 2, 1 - pair % 2].map(|side| side as usize) {
            let run = std::thread::spawn(move || run(side == 1, seconds, pair).map_err(|e| e.to_string()));
            let (orders, warm_ups) = run.join().map_err(|_| "a run panicked")??;
            medians[side] = quantile(&orders, 4, 0.5);
            println!(
                "pair {pair} {}: {:>3} orders after a quiet time, p50 {:>7.2} us, {warm_ups} warm-ups",
                NAMES[side],
                orders.len(),
                medians[side] / 1_000.0
            );
            all[side].extend(orders);
        }
        if medians.iter().all(|m| *m > 0.0) {
            ratios.push(medians[1] / medians[0]);
        }
    }
    println!("\n{:<14} {:<8} {:>6} {:>9} {:>9} {:>9}   (us)", "", "warm-ups", "orders", "p50", "p90", "p99");
    for (row, name) in ROWS.iter().enumerate() {
        for (side, orders) in all.iter().enumerate() {
            let at = |q| quantile(orders, row, q) / 1_000.0;
            let (p50, p90, p99) = (at(0.5), at(0.9), at(0.99));
            println!("{name:<14} {:<8} {:>6} {p50:>9.2} {p90:>9.2} {p99:>9.2}", NAMES[side], orders.len());
        }
    }
    ratios.sort_unstable_by(f64::total_cmp);
    if let (Some(low), Some(high)) = (ratios.first(), ratios.last()) {
        let middle = ratios[ratios.len() / 2];
        println!("\np50 with / without, {} pairs: median {middle:.2}, {low:.2} to {high:.2}", ratios.len());
    }
    Ok(())
}

const NAMES: [&str; 2] = ["without", "with"];

/// Value of a row at a quantile, ns; zero without orders.
fn quantile(orders: &[[u64; 5]], row: usize, q: f64) -> f64 {
    let mut values: Vec<u64> = orders.iter().map(|o| o[row]).collect();
    values.sort_unstable();
    let at = (values.len() as f64 * q) as usize;
    values.get(at.min(values.len().saturating_sub(1))).map_or(0.0, |ns| *ns as f64)
}

/// When bytes became visible, and how quiet it had been before their burst, ns.
type Heard = Arc<Mutex<Vec<(Ts, u64)>>>;

/// The market link, with a note of each message.
struct Listening {
    inner: WsLink,
    heard: Option<Heard>,
    last_ns: u64,
    quiet_ns: u64,
}

impl Link for Listening {
    fn poll(&mut self, budget: usize, stamp: &dyn Fn() -> u64, sink: &mut dyn FnMut(LinkEvent<'_>)) -> usize {
        let Listening { inner, heard, last_ns, quiet_ns } = self;
        inner.poll(budget, stamp, &mut |event| {
            if let (Some(heard), LinkEvent::Message { ts_visible_ns, .. }) = (&heard, &event) {
                let gap_ns = ts_visible_ns.saturating_sub(*last_ns);
                if gap_ns >= BURST_NS {
                    *quiet_ns = gap_ns;
                }
                *last_ns = *ts_visible_ns;
                if *quiet_ns >= QUIET_NS {
                    heard
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((Ts(*ts_visible_ns), *quiet_ns));
                }
            }
            sink(event);
        })
    }

    fn send(&mut self, payload: &[u8], last_check: &mut dyn FnMut() -> bool) -> Result<(), SendError> {
        self.inner.send(payload, last_check)
    }

    fn warm_up(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.inner.warm_up(payload)
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

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind is in the temporary directory and says whose it was.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Stages of the first orders after quiet times, ns, and how many warm-ups there were.
type Ran = (Vec<[u64; 5]>, u64);

/// One engine's life.
fn run(warm: bool, seconds: u64, seed: u64) -> Result<Ran, Box<dyn Error>> {
    let scratch = Scratch(std::env::temp_dir().join(format!("corelane-warm-up-{}", std::process::id())));
    std::fs::create_dir_all(&scratch.0)?;
    let mut config = Config::parse(market::DEMO_TOML)?;
    config.engine.profile = Profile::Compact;
    config.runtime.warm_up_quiet_ms = if warm { 10 } else { 0 };
    config.runtime.warm_up_every_ms = 10;
    let quoter = &mut config.strategy.quoter;
    (quoter.half_spread_ticks, quoter.requote_ticks, quoter.order_life_min_us) = (0, 1, 1);
    (config.risk.orders_per_s, config.risk.orders_burst) = (10_000, 10_000);
    (config.risk.intent_age_us_max, config.risk.market_stale_ms) = (1_000_000, 60_000);
    config.kill.stale_beat_ms = 60_000;
    let mut sim = market::sim_config(&config, seed + 1, &[], SimFaults::default())?;
    if let SimMarket::Crowd { config, .. } = &mut sim.market {
        config.actions_per_s = ACTIONS_PER_S;
    }
    sim.limits = SimLimits { orders_per_10s: 1_000_000, weight_per_min: u32::MAX, ..SimLimits::default() };
    // The venue stays off the trading thread's core: it inherits where its starter may run.
    let beside = cpu::allowed_cores().first().copied().unwrap_or(0);
    let start = move || {
        cpu::pin(beside).map_err(|e| e.to_string())?;
        SimVenueHost::start(sim, HostOptions::default()).map_err(|e| e.to_string())
    };
    let venue = std::thread::spawn(start).join().map_err(|_| "the venue panicked")??;
    let heard = Heard::default();
    let noted = heard.clone();
    let live = Live::start_drill(
        LiveSetup {
            config: &config,
            endpoints: endpoints(&venue)?,
            credentials: market::credentials()?,
            state_dir: &scratch.0.join("state"),
            shm_base: &scratch.0.join("shm"),
            name: "bench",
            seed,
        },
        Drill {
            observers: Vec::new(),
            wrap: &mut |number, inner| Listening {
                inner,
                heard: (number == MARKET_LINK).then(|| noted.clone()),
                last_ns: 0,
                quiet_ns: 0,
            },
            muted: None,
        },
    )?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        if live.is_dead() || live.kill().tripped {
            return Err("the engine did not live to the end".into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    live.controls.quiesce();
    live.wait_quiet();
    let ended = live.stop();
    drop(venue.stop());
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    let mut orders: Vec<&stats::OrderTrace> = ended.stats.orders.iter().collect();
    orders.sort_by_key(|order| order.risk);
    let (mut found, mut answered) = (Vec::new(), Vec::new());
    for order in orders {
        let (Some(recv), Some(total_ns)) = (order.recv, order.tick_to_order_ns()) else { continue };
        let [Some(parse), Some(decide), Some(gate), Some(send), _] = order.stages_ns() else { continue };
        if answered.contains(&order.cause) || !heard.iter().any(|(at, _)| *at == recv) {
            continue;
        }
        answered.push(order.cause);
        found.push([parse, decide, gate, send, total_ns]);
    }
    Ok((found, figures::counter(&ended.stats, "gateway.warm_ups")))
}
