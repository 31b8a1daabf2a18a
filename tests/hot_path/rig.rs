//! The engine as it runs, over TLS against the simulated venue, with somebody on its trading thread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agent::{Agent, Cycle};
use corelane::demo::{figures, live::endpoints, market};
use corelane::simvenue::{Handle, HostOptions, SimVenueHost};
use corelane::wiring::{Live, LiveSetup};
use std::os::fd::OwnedFd;
use topology::{Backend, Config, Profile};
use venue_binance::sim::{SimFaults, SimLimits, SimMarket};
use wire::Ts;

use crate::allocations;
use crate::syscalls::{self, Listener};

/// Orders sent before anything is counted.
const WARM_ORDERS: u64 = 200;
/// Market messages heard before anything is counted.
const WARM_MESSAGES: u64 = 5_000;
/// Actions a second of the simulated crowd.
const ACTIONS_PER_S: f64 = 20_000.0;
/// Longest wait for any one thing: a crowded host is slow, a broken engine never gets there.
const PATIENCE: Duration = Duration::from_secs(180);

/// What one back end's run has shown.
pub(crate) struct Findings {
    /// Market messages while counting.
    pub(crate) messages: u64,
    /// Orders handed to the kernel while counting.
    pub(crate) orders: u64,
    /// Wall time of the counting.
    pub(crate) took: Duration,
    /// Allocations of the trading thread meanwhile.
    pub(crate) allocations: allocations::Allocations,
    /// Its calls beside its I/O, by number; or why they could not be counted.
    pub(crate) calls: Result<BTreeMap<i64, u64>, String>,
    /// Calls that strace saw afterwards, by name; or why it could not be run.
    pub(crate) traced: Result<BTreeMap<String, u64>, String>,
    /// Why the engine was not trading at the end, empty when all was well.
    pub(crate) trouble: String,
}

/// What the observer on the trading thread is told, and tells.
#[derive(Default)]
struct Shared {
    /// Zero (nothing yet), [`COUNT`] or [`OVER`].
    phase: AtomicU8,
    /// The phase that the observer has entered.
    entered: AtomicU8,
    thread: AtomicI32,
    filter: Mutex<Option<Result<OwnedFd, String>>>,
}

/// Calls are counted while this is set.
pub(crate) static CALLS: AtomicBool = AtomicBool::new(false);

const COUNT: u8 = 1;
const OVER: u8 = 2;

struct Observer {
    shared: Arc<Shared>,
    receive: i64,
}

impl Agent for Observer {
    fn name(&self) -> &str {
        "observer"
    }

    fn on_start(&mut self, _now: Ts) {
        allocations::watch_this_thread();
        // SAFETY: takes nothing and cannot fail.
        self.shared.thread.store(unsafe { libc::gettid() }, Ordering::SeqCst);
    }

    fn do_work(&mut self, _cycle: &mut Cycle<'_>) -> usize {
        let phase = self.shared.phase.load(Ordering::Acquire);
        if phase != self.shared.entered.load(Ordering::Relaxed) {
            if phase == COUNT {
                let filter = syscalls::watch_this_thread(&[self.receive, libc::SYS_sendto]);
                *self.shared.filter.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(filter.map_err(|e| e.to_string()));
                allocations::start();
            } else {
                allocations::stop();
            }
            self.shared.entered.store(phase, Ordering::Release);
        }
        0
    }
}

impl Shared {
    fn enter(&self, phase: u8) {
        self.phase.store(phase, Ordering::Release);
        wait_until("the observer to be stepped", || self.entered.load(Ordering::Acquire) == phase);
    }
}

pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Directories of one run, removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Scratch {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
        let dir = base.join(format!("corelane-hot-path-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory in shared memory");
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind says whose it was.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(backend: Backend) -> Config {
    let mut config = Config::parse(market::DEMO_TOML).expect("the demo's configuration");
    config.engine.profile = Profile::Compact;
    config.net.backend = backend;
    // Quotes that follow every tick, and a gate and a venue that let them.
    config.strategy.quoter.requote_ticks = 1;
    config.strategy.quoter.order_life_min_us = 100;
    config.risk.orders_per_s = 10_000;
    config.risk.orders_burst = 10_000;
    // A tracer or a busy host stops the thread for longer than any market would.
    config.risk.intent_age_us_max = 1_000_000;
    config.risk.market_stale_ms = 60_000;
    config.kill.stale_beat_ms = 60_000;
    config
}

fn venue(config: &Config) -> Handle {
    let mut sim = market::sim_config(config, 11, &[], SimFaults::default()).expect("a crowd");
    if let SimMarket::Crowd { config, .. } = &mut sim.market {
        config.actions_per_s = ACTIONS_PER_S;
    }
    sim.limits = SimLimits {
        orders_per_10s: 1_000_000,
        orders_per_day: u32::MAX,
        weight_per_min: u32::MAX,
        stream_requests_per_s: 5,
        ..SimLimits::default()
    };
    SimVenueHost::start(sim, HostOptions::default()).expect("a venue on loopback")
}

/// Runs the engine on one back end until `messages` ticks and `orders` orders have gone by after warm-up.
///
/// `None` when the host cannot show it: the reason has been printed.
pub(crate) fn observe(backend: Backend, messages: u64, orders: u64) -> Option<Findings> {
    if agent::cpu::allowed_cores().len() < 2 {
        println!("skipped: with one core the trading thread yields, which is a system call by design");
        return None;
    }
    let dir = Scratch::make();
    let config = config(backend);
    let venue = venue(&config);
    let shared = Arc::new(Shared::default());
    let receive = if backend == Backend::Uring { libc::SYS_io_uring_enter } else { libc::SYS_recvfrom };
    let observer = Observer { shared: shared.clone(), receive };
    let live = Live::start_observed(
        LiveSetup {
            config: &config,
            endpoints: endpoints(&venue).expect("the venue's certificate"),
            credentials: market::credentials().expect("the demo's credentials"),
            state_dir: &dir.0.join("state"),
            shm_base: &dir.0.join("shm"),
            name: "hot-path",
            seed: 3,
        },
        vec![Box::new(observer)],
    )
    .expect("an engine");
    let went_without = live.without.iter().find(|w| w.contains("io_uring")).cloned();
    if let Some(line) = went_without {
        println!("skipped: {line}");
        live.stop();
        return None;
    }

    let seen = |live: &Live| {
        let stats = live.stats();
        (figures::counter(&stats, "feed.messages"), figures::counter(&stats, "gateway.orders_sent"))
    };
    wait_until("warm-up", || {
        let now = seen(&live);
        now.0 >= WARM_MESSAGES && now.1 >= WARM_ORDERS
    });
    let lost_before = lost_connections(&live);
    shared.enter(COUNT);
    let filter = shared.filter.lock().unwrap_or_else(PoisonError::into_inner).take();
    CALLS.store(true, Ordering::SeqCst);
    let listener = filter.expect("the observer has tried").map(|fd| Listener::new(fd, &CALLS));
    let began = Instant::now();
    let before = seen(&live);
    let mut after = before;
    wait_until("ticks and orders", || {
        after = seen(&live);
        assert!(!live.is_dead() && !live.kill().tripped, "the engine stopped");
        after.0 - before.0 >= messages && after.1 - before.1 >= orders
    });
    shared.enter(OVER);
    let calls = match &listener {
        Ok(listener) => Ok(listener.counted()),
        Err(why) => Err(format!("no seccomp listener: {why}")),
    };
    let took = began.elapsed();
    let traced = trace(shared.thread.load(Ordering::SeqCst), || seen(&live).0);
    let lost = lost_connections(&live) - lost_before;
    let ended = live.stop();
    if let Ok(listener) = listener {
        listener.serve_to_the_end();
    }
    Some(Findings {
        messages: after.0 - before.0,
        orders: after.1 - before.1,
        took,
        allocations: allocations::counted(),
        calls,
        traced,
        trouble: match (lost, ended.panics.join("; ")) {
            (0, panics) => panics,
            (n, _) => format!("{n} connections were lost, which is not what is measured here"),
        },
    })
}

fn lost_connections(live: &Live) -> u64 {
    let stats = live.stats();
    figures::counter(&stats, "feed.link_downs") + figures::counter(&stats, "gateway.sessions_lost")
}

/// System calls of one thread as strace sees them, while at least 200 messages go by.
fn trace(thread: i32, messages: impl Fn() -> u64) -> Result<BTreeMap<String, u64>, String> {
    let out = std::env::temp_dir().join(format!("corelane-strace-{}", std::process::id()));
    let child = std::process::Command::new("strace")
        .args(["-q", "-p", &thread.to_string(), "-o"])
        .arg(&out)
        .stderr(std::process::Stdio::piped())
        .spawn();
    let mut child = child.map_err(|e| format!("strace: {e}"))?;
    let (start, began) = (messages(), Instant::now());
    let enough = || messages() >= start + 200 && began.elapsed() > Duration::from_secs(1);
    while !enough() && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
        if !matches!(child.try_wait(), Ok(None)) {
            break; // it could not attach
        }
    }
    let ended = !matches!(child.try_wait(), Ok(None));
    if !ended {
        // SAFETY: our own child, not waited for yet, so the number is still its own.
        unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    }
    let said = child.wait_with_output().map_err(|e| format!("strace: {e}"))?;
    let text = std::fs::read_to_string(&out).unwrap_or_default();
    // A file in the temporary directory that stays behind harms nobody.
    let _ = std::fs::remove_file(&out);
    if ended {
        return Err(format!("strace: {}", String::from_utf8_lossy(&said.stderr).trim()));
    }
    let mut calls = BTreeMap::new();
    for line in text.lines() {
        let name = line.split('(').next().unwrap_or_default();
        if line.contains('(') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let what = match name {
                "ioctl" if line.contains("SIOCOUTQNSD") || line.contains("0x894b") => "ioctl SIOCOUTQNSD",
                other => other,
            };
            *calls.entry(what.to_string()).or_default() += 1;
        }
    }
    Ok(calls)
}
