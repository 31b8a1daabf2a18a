//! One life of the engine, over TLS against the simulated venue: it trades as fast as it can, it is tripped, and the
//! venue tells what reached it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use corelane::controls::StopState;
use corelane::demo::live::{classify, endpoints};
use corelane::demo::{figures, market};
use corelane::engine::STANDBY_LINK;
use corelane::simvenue::{ConnKind, Handle, HostOptions, SimVenueHost};
use corelane::wiring::{Drill, Ended, Live, LiveSetup, latch_state};
use kill::{ControlReader, ControlSnapshot, LatchState, State};
use topology::{AgentName, Config, Profile};
use venue::ClientOrderId;
use venue_binance::sim::{BinanceSim, ReceivedOrder, SimFaults, SimLimits, SimMarket};
use wire::Ts;

use crate::link::{Ambush, DrillLink, Scene};

/// Orders sent before a trip may come.
const WARM_ORDERS: u64 = 60;
/// A trip comes within this time after them.
const MOMENT_NS_MAX: u64 = 150_000_000;
/// Without an ambush it comes within this time after an order.
const AFTER_ORDER_NS_MAX: u64 = 1_000_000;
/// Turns a second of the simulated crowd.
const ACTIONS_PER_S: f64 = 12_000.0;
/// An order must have been sent so shortly before the word.
const FLOW_NS: u64 = 5_000_000;
/// Longest wait for an order to walk into an ambush.
const AMBUSH_MAX: Duration = Duration::from_millis(500);
/// The venue listens on for so long after the stop has ended.
const LISTEN_ON: Duration = Duration::from_secs(1);
/// Orders without an answer that the quoter has out at most; what was cut off is among them.
const IN_FLIGHT_MAX: i64 = 2;
/// By then the engine's counts have been published.
const SLOW_BEAT: Duration = Duration::from_millis(120);
/// Counter of the orders whose cancellation was confirmed after a trip.
const CANCELS: &str = "gateway.cancels_confirmed";
/// Longest wait for any one thing: a crowded host is slow, a broken engine never gets there.
const PATIENCE: Duration = Duration::from_secs(30);
/// Receive buffer of the venue where its window is to shut, bytes.
const SMALL_RECV_BYTES: u32 = 4_096;
/// Time and cycle in a client order id, cut to its fields.
const TS_MASK: u64 = (1 << 60) - 1;

/// What trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The line's file reads `0`.
    LineOpen,
    /// The line's file is gone.
    LineDeleted,
    /// The line's file is empty.
    LineEmpty,
    /// The line's file cannot be read: it is a directory.
    LineUnreadable,
    /// SIGUSR1.
    Signal,
    /// An operator's command.
    Command,
    /// The same as a drill.
    Test,
    /// An agent stops beating and goes on working.
    StaleBeat(AgentName),
    /// The gateway's thread stops between an order's last check and the kernel.
    Frozen,
}

/// One trip to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) cause: Cause,
    /// What happens to the next order once the trip has been asked for.
    pub(crate) ambush: Ambush,
    pub(crate) seed: u64,
}

/// What a trip came to, as the venue saw it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Why the trip does not count: there was nothing to stop.
    pub(crate) unfit: Option<String>,
    /// What must not be.
    pub(crate) wrong: Vec<String>,
    pub(crate) source: String,
    /// New orders that reached the venue in all, and those stamped later than word and acknowledgement.
    pub(crate) total: u64,
    pub(crate) after_word: u64,
    pub(crate) after_ack: u64,
    /// Orders sent in the 5 ms before the word.
    pub(crate) just_before: u64,
    /// Orders open at the word whose cancellation the venue confirmed.
    pub(crate) cancels_confirmed: u64,
    pub(crate) overtaken: usize,
    pub(crate) caught: usize,
    pub(crate) ack_ns: u64,
    pub(crate) confirm: Duration,
    pub(crate) took: Duration,
    /// Orders a second before the word.
    pub(crate) rate: u64,
    pub(crate) aborted_unsent: u64,
    /// Orders that were cut off with their connection.
    pub(crate) lost: i64,
    /// The kill thread cut the connection.
    pub(crate) cut: bool,
}

/// Directories of one run, removed with it.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn make(name: &str) -> Scratch {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
        let n = MADE.fetch_add(1, Ordering::Relaxed);
        let dir = base.join(format!("corelane-kill-{}-{n}-{name}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory of our own");
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind says whose it was.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a plan on a thread of its own: starting an engine pins the thread that does it.
pub(crate) fn run(plan: Plan) -> Outcome {
    let thread = std::thread::spawn(move || Rig::start(plan).run());
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

struct Rig {
    plan: Plan,
    scratch: Scratch,
    venue: Handle,
    live: Live,
    scene: Arc<Scene>,
    muted: Arc<AtomicBool>,
    began: Instant,
}

fn config(plan: &Plan, line: &Path) -> Config {
    let mut config = Config::parse(market::DEMO_TOML).expect("the demo's configuration");
    config.engine.profile = Profile::Compact;
    // Quotes that follow every tick at the touch, and a gate that lets them.
    let quoter = &mut config.strategy.quoter;
    (quoter.half_spread_ticks, quoter.requote_ticks, quoter.order_life_min_us) = (0, 1, 1);
    config.risk.orders_per_s = 10_000;
    config.risk.orders_burst = 10_000;
    config.risk.intent_age_us_max = 1_000_000;
    config.risk.market_stale_ms = 60_000;
    config.kill.line_file = line.to_path_buf();
    config.kill.stale_beat_ms = match plan.cause {
        Cause::StaleBeat(_) | Cause::Frozen => 150,
        // Only what is asked for may trip, however busy the host.
        _ => 20_000,
    };
    config
}

fn venue(config: &Config, plan: &Plan) -> Handle {
    let mut sim = market::sim_config(config, plan.seed, &[], SimFaults::default()).expect("a crowd");
    if let SimMarket::Crowd { config, .. } = &mut sim.market {
        config.actions_per_s = ACTIONS_PER_S;
    }
    sim.limits = SimLimits {
        orders_per_10s: 1_000_000,
        orders_per_day: u32::MAX,
        weight_per_min: u32::MAX,
        ..SimLimits::default()
    };
    let recv_buffer_bytes = (plan.ambush == Ambush::FillWindow).then_some(SMALL_RECV_BYTES);
    SimVenueHost::start(sim, HostOptions { recv_buffer_bytes, ..HostOptions::default() }).expect("a venue")
}

impl Rig {
    fn start(plan: Plan) -> Rig {
        let began = Instant::now();
        let scratch = Scratch::make("trip");
        let line = scratch.0.join("line");
        fs::write(&line, "1").expect("a closed line");
        let config = config(&plan, &line);
        let venue = venue(&config, &plan);
        let (scene, muted) = (Arc::new(Scene::default()), Arc::new(AtomicBool::new(false)));
        let wrapped = scene.clone();
        let live = Live::start_drill(
            LiveSetup {
                config: &config,
                endpoints: endpoints(&venue).expect("the venue's certificate"),
                credentials: market::credentials().expect("constants"),
                state_dir: &scratch.0.join("state"),
                shm_base: &scratch.0.join("shm"),
                name: "kill",
                seed: plan.seed,
            },
            Drill {
                observers: Vec::new(),
                wrap: &mut |number, link| DrillLink::new(number, link, wrapped.clone()),
                muted: match plan.cause {
                    Cause::StaleBeat(agent) => Some((agent, muted.clone())),
                    _ => None,
                },
            },
        )
        .expect("an engine");
        scene.watch(ControlReader::open(live.dir()).expect("its control segment"));
        Rig { plan, scratch, venue, live, scene, muted, began }
    }

    fn run(self) -> Outcome {
        let sent = |kill: &ControlSnapshot| kill.senders[0].progress.orders_sent;
        let warm = self.wait(|kill| kill.tripped || sent(kill) >= WARM_ORDERS);
        assert!(warm, "no orders: {:?}", self.live.stats().counters);
        let (flow_from, sent_from) = (Instant::now(), sent(&self.live.kill()));
        std::thread::sleep(Duration::from_nanos(mix(self.plan.seed) % MOMENT_NS_MAX));
        let kill = self.live.kill();
        if kill.tripped {
            // A beat that a busy host has made stale.
            self.live.stop();
            self.venue.stop().expect("a clean end of the venue");
            let unfit = Some(format!("tripped before its time: {:?}", kill.trip));
            return Outcome { unfit, ..Outcome::default() };
        }
        let rate = (sent(&kill) - sent_from) as f64 / flow_from.elapsed().as_secs_f64();
        self.ambush();
        self.wait_for_order(sent(&kill));
        self.trip();
        assert!(
            self.wait(|kill| kill.tripped && kill.trip.is_some()),
            "not tripped by {:?}",
            self.plan.cause
        );
        let word = Instant::now();
        if self.plan.ambush == Ambush::FillWindow {
            // The window opens again while the stop is under way, and again nothing of ours may come through it.
            std::thread::sleep(Duration::from_millis(300));
            self.venue.stall(ConnKind::All, false);
        }
        let ended = self.wait(|kill| {
            let shut = kill.senders.iter().all(|s| s.acked.is_some());
            let stop = self.live.controls.stop();
            let over = stop == StopState::Confirmed && self.live.controls.orders_open() == 0;
            shut && (over || stop == StopState::TimedOut)
        });
        let confirm = word.elapsed();
        // A trip that had nothing to stop is made again: nobody need listen for what it lets through.
        std::thread::sleep(SLOW_BEAT);
        let listened = self.just_before() > 0 && figures::counter(&self.live.stats(), CANCELS) > 0;
        if listened || self.plan.cause == Cause::Frozen {
            std::thread::sleep(LISTEN_ON);
        }
        let mut outcome = self.judge(ended);
        (outcome.rate, outcome.confirm) = (rate as u64, confirm);
        outcome
    }

    /// Orders that reached the venue and were sent shortly before the word.
    fn just_before(&self) -> u64 {
        let word = self.live.kill().trip.map_or(Ts(0), |trip| trip.ts);
        shortly_before(word, &self.venue.received())
    }

    /// Lays the ambush, and waits for what must have happened before the word.
    fn ambush(&self) {
        if self.plan.ambush == Ambush::FillWindow {
            self.venue.stall(ConnKind::Orders, true);
        }
        self.scene.set(self.plan.ambush);
        let began = Instant::now();
        let waits = || match self.plan.ambush {
            Ambush::FillWindow => self.scene.caught().is_empty(),
            Ambush::HoldForWord => !self.scene.is_in_hand(),
            _ => false,
        };
        while waits() && began.elapsed() < AMBUSH_MAX {
            std::thread::yield_now();
        }
    }

    /// Without an ambush the word shall fall into the flow: at some moment within a millisecond of an order.
    fn wait_for_order(&self, sent: u64) {
        if self.plan.ambush == Ambush::None {
            self.wait(|kill| kill.tripped || kill.senders[0].progress.orders_sent > sent);
            let until = Instant::now() + Duration::from_nanos(mix(self.plan.seed ^ 1) % AFTER_ORDER_NS_MAX);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
        }
    }

    fn trip(&self) {
        let line = self.scratch.0.join("line");
        match self.plan.cause {
            // Written beside it and put in its place: a file that is being written reads as empty.
            Cause::LineOpen => self.replace_line("0"),
            Cause::LineEmpty => self.replace_line(""),
            Cause::LineDeleted => fs::remove_file(&line).expect("the line"),
            Cause::LineUnreadable => {
                let beside = self.scratch.0.join("directory");
                fs::create_dir(&beside).expect("a directory");
                exchange(&beside, &line);
            }
            Cause::Signal => {
                // SAFETY: raising a signal touches no memory; the engine has installed its handler.
                unsafe { libc::raise(libc::SIGUSR1) };
            }
            Cause::Command => self.live.commander().stop(self.live.clock.now(), false),
            Cause::Test => self.live.commander().stop(self.live.clock.now(), true),
            Cause::StaleBeat(_) => self.muted.store(true, Ordering::Release),
            // The ambush is the cause.
            Cause::Frozen => {}
        }
    }

    fn replace_line(&self, text: &str) {
        let beside = self.scratch.0.join("beside");
        fs::write(&beside, text).expect("a file");
        fs::rename(&beside, self.scratch.0.join("line")).expect("in the line's place");
    }

    fn wait(&self, done: impl Fn(&ControlSnapshot) -> bool) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if done(&self.live.kill()) {
                return true;
            }
            assert!(!self.live.is_dead(), "a thread of the engine has died");
            std::thread::sleep(Duration::from_micros(500));
        }
        false
    }

    /// Stops everything and compares what the engine said with what the venue received.
    fn judge(self, ended: bool) -> Outcome {
        let Rig { plan, scratch, venue, live, scene, began, .. } = self;
        let stop = live.controls.stop();
        let assets = live.assets.clone();
        let Ended { oms, stats, kill, panics, .. } = live.stop();
        let venue: BinanceSim = venue.stop().expect("a clean end of the venue");
        let counter = |name: &str| figures::counter(&stats, name);
        let mut wrong = panics;
        let mut claim = |holds: bool, says: String| {
            if !holds {
                wrong.push(says);
            }
        };
        let (trip, gateway) = (kill.trip.clone().expect("a trip"), &kill.senders[0]);
        let (ack_ts, ack) = gateway.acked.unwrap_or((Ts(u64::MAX), Default::default()));
        let arrivals = classify(venue.received(), trip.ts, ack.cycle);
        let ids: Vec<(ClientOrderId, &str)> = venue
            .received()
            .iter()
            .filter_map(|r| Some((ClientOrderId::parse(r.client_id.as_bytes()).ok()?, r.client_id.as_str())))
            .collect();
        let just_before = shortly_before(trip.ts, venue.received());
        let after_ack = ids
            .iter()
            .filter(|(id, _)| id.ts.0 > ack_ts.0 & TS_MASK || id.cycle >= ack.cycle & 0xff_ffff_ffff)
            .count() as u64;
        let cancels_confirmed = counter(CANCELS);
        let expected = match plan.cause {
            Cause::LineOpen | Cause::LineDeleted | Cause::LineEmpty | Cause::LineUnreadable => "line 0",
            Cause::Signal => "signal",
            Cause::Command => "command",
            Cause::Test => "test",
            Cause::StaleBeat(_) | Cause::Frozen => "stale_beat",
        };
        let source = trip.source.map_or_else(String::new, |s| s.to_string());
        claim(source.starts_with(expected), format!("tripped by {source}, not by {:?}", plan.cause));
        claim(gateway.acked.is_some(), "the gateway has not acknowledged".into());
        claim(after_ack == 0, format!("{after_ack} orders after the acknowledgement"));
        claim(arrivals.after_ack == 0, format!("{} orders in later cycles", arrivals.after_ack));
        claim(arrivals.after_word <= 1, format!("{} orders after the word", arrivals.after_word));
        let noted = gateway.at_word.map_or(0, |p| p.orders_sent);
        claim(
            arrivals.total <= noted + 1,
            format!("{} orders arrived, {noted} when the word was given", arrivals.total),
        );
        for id in scene.overtaken() {
            claim(
                ids.iter().all(|(_, text)| *text != id),
                format!("order {id} came to its last check after the word and is at the venue"),
            );
        }
        for id in scene.caught() {
            claim(
                ids.iter().all(|(_, text)| *text != id),
                format!("order {id} was not out at the word and is at the venue"),
            );
        }
        // What was cut off with its connection never arrived; nothing else may be missing, and nothing be more.
        let cut = gateway.aborted.is_some();
        let gone = counter("gateway.down_aborted") > 0;
        let lost = ack.orders_sent as i64 - arrivals.total as i64;
        claim(
            lost == 0 || (gone && (0..=IN_FLIGHT_MAX).contains(&lost)),
            format!("{} orders sent, {} arrived", ack.orders_sent, arrivals.total),
        );
        claim(ended && stop == StopState::Confirmed, format!("the stop ended as {stop:?}"));
        claim(venue.open_orders().is_empty(), format!("{} orders open", venue.open_orders().len()));
        let agreement =
            figures::agreement(&oms, &assets, stop == StopState::Confirmed, venue.open_orders().len());
        claim(agreement.holds(), format!("engine and venue differ: {:?}", agreement.differences));
        let latched = latch_state(&scratch.0.join("state"));
        claim(
            matches!(&latched, LatchState::Tripped(record) if Some(record.id) == trip.id),
            format!("the latch reads {latched:?}"),
        );
        let state = if cut { State::Aborted } else { State::Acked };
        claim(kill.state == Some(state), format!("the switch ended {:?}, cut {cut}", kill.state));
        if plan.ambush == Ambush::FillWindow && !scene.caught().is_empty() {
            claim(counter("gateway.aborted_unsent") == 1, "no connection was aborted".into());
            claim(scene.cancel_alls(STANDBY_LINK) > 0, "no cancel-all on the second connection".into());
        }
        let unfit = match (just_before, cancels_confirmed) {
            _ if plan.ambush >= Ambush::FreezeUntilCut && scene.caught().is_empty() => {
                Some("no order walked into the ambush".to_string())
            }
            _ if plan.cause == Cause::Frozen => None,
            (0, _) => Some("no order in the 5 ms before the word".to_string()),
            (_, 0) => Some("no open order at the word".to_string()),
            _ => None,
        };
        Outcome {
            unfit,
            wrong,
            source,
            total: arrivals.total,
            after_word: arrivals.after_word,
            after_ack,
            just_before,
            cancels_confirmed,
            overtaken: scene.overtaken().len(),
            caught: scene.caught().len(),
            ack_ns: ack_ts.since_ns(trip.ts),
            took: began.elapsed(),
            aborted_unsent: counter("gateway.aborted_unsent"),
            lost,
            cut,
            ..Outcome::default()
        }
    }
}

fn shortly_before(word: Ts, received: &[ReceivedOrder]) -> u64 {
    let word = word.0 & TS_MASK;
    let ids = received.iter().filter_map(|r| ClientOrderId::parse(r.client_id.as_bytes()).ok());
    ids.filter(|id| id.ts.0 <= word && id.ts.0 + FLOW_NS > word).count() as u64
}

/// Puts `from` in the place of `to`, whatever they are, without a moment in which `to` is missing.
fn exchange(from: &Path, to: &Path) {
    use std::os::unix::ffi::OsStrExt;
    let c = |path: &Path| std::ffi::CString::new(path.as_os_str().as_bytes()).expect("no zero byte");
    let (from, to) = (c(from), c(to));
    // SAFETY: both paths are live C strings for the call, which reads them only.
    let done = unsafe {
        libc::renameat2(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::RENAME_EXCHANGE)
    };
    assert_eq!(done, 0, "renameat2: {}", std::io::Error::last_os_error());
}

/// A well-mixed number out of a seed (splitmix64, Steele, Lea and Flood 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
