//! From one decrypted message to an order, signed: the four agents as live, between links that are memory.
//!
//! The order side talks to the simulated venue, so that every order is acknowledged, and cancelled by the quoter itself
//! when the market moves on. The market side is scripted: a ticker that moves away, and when the quote is gone the
//! ticker that is timed.

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent::{Agent, Clock, Cycle, Invoker, cpu};
use corelane::agents::feed::{SnapshotAnswer, SnapshotSource};
use corelane::agents::killer::{Handles, KillAgent};
use corelane::controls::Controls;
use corelane::demo::market;
use corelane::engine::{EngineParts, assemble};
use corelane::meters::{self, BeatSink, Meters};
use corelane::settings::engine_settings;
use corelane::tape::{self, JournalWriter, TapeSink, Tapes};
use corelane::wiring::kill_duty;
use hdrhistogram::Histogram;
use kill::KillSwitch;
use net::{AbortHandle, Link, LinkEvent, SendError};
use stats::StatsSegment;
use stats::boards::Boards;
use topology::Config;
use venue::{Level, Snapshot};
use venue_binance::sim::{BinanceSim, ConnId, HttpIn, Out, Outbox, SimFaults, SimLimits, SimMarket};
use venue_binance::{exchange_info_target, parse_exchange_info_full};
use wire::{InstrumentId, Px, Qty, Ts, VenueId};

use crate::protocol;

/// Best bid of the scripted market, in cents. Far below the simulated venue's crowd: asks sell at once, which
/// makes the quoter as short as it may be, and bids rest for ever. So each tick leads to exactly one order.
const BID_CENTS: u64 = 30_000_00;
/// Update id of the snapshot.
const SNAPSHOT_ID: u64 = 100;
/// Times that the market may leave until the quote is gone.
const LEAVES_MAX: usize = 20;
/// One tick in so many may be lost.
const LOST_MAX: usize = 50;
/// Turns of agents and venue until a tick must have been dealt with.
const TURNS_MAX: usize = 1_000;
/// Time of a turn on a clock that stands still, ns.
const TURN_NS: u64 = 1_000;

/// Spans of `ticks` ticks after `warm_up` others: to the order ring, and to the signed bytes. With a journal whose
/// thread runs on core `journal`, or without.
pub(crate) fn run(
    clock: &Clock,
    warm_up: usize,
    ticks: usize,
    journal: Option<usize>,
) -> Result<[Histogram<u64>; 2], Box<dyn Error>> {
    let state = Scratch::new();
    let mut rig = Rig::new(clock.clone(), &state.0, journal)?;
    rig.open()?;
    let mut spans = [super::histogram()?, super::histogram()?];
    let mut lost = 0;
    for n in 0..warm_up + ticks {
        let Some(ns) = rig.tick(n)? else {
            lost += 1;
            continue;
        };
        if n >= warm_up {
            spans.iter_mut().zip(ns).for_each(|(h, ns)| h.saturating_record(ns.max(1)));
        }
    }
    if lost * LOST_MAX > warm_up + ticks {
        return Err(format!("{lost} ticks led to no order").into());
    }
    rig.end()?;
    Ok(spans)
}

/// The same ticks by count: what the agents do with a message that leads to an order, up to its signed bytes.
pub(crate) fn counted(
    clock: Clock,
    journal: Option<usize>,
) -> Result<impl FnMut(usize) -> Result<(), String>, String> {
    let text = |e: Box<dyn Error>| e.to_string();
    let state = Scratch::new();
    let mut rig = Rig::new(clock, &state.0, journal).map_err(text)?;
    rig.open().map_err(text)?;
    Ok(move |n| {
        let _ = &state;
        rig.move_away(n).map_err(text)?;
        let message = rig.ticker(BID_CENTS + (n as u64 * 7) % 16, n);
        rig.load(&message);
        rig.script.step.store(DELIVER, Ordering::Relaxed);
        protocol::hot(|| rig.agents.step());
        if lock(&rig.wires[0].outward).len() != 1 {
            return Err(format!("tick {n} led to no order"));
        }
        rig.settle().map_err(text)
    })
}

/// What a duty cycle takes, ns: mean of an agent's cycle in turns in which nothing happens, and mean of a whole tick
/// with everything it leads to (two messages, an order, its cancel, their answers), divided by its cycles.
#[allow(dead_code, reason = "the bench of the journal asks")]
pub(crate) fn cycle_ns(
    clock: &Clock,
    turns: usize,
    ticks: usize,
    journal: Option<usize>,
) -> Result<[f64; 2], Box<dyn Error>> {
    let state = Scratch::new();
    let mut rig = Rig::new(clock.clone(), &state.0, journal)?;
    rig.open()?;
    for n in 0..200 {
        rig.tick(n)?;
    }
    let agents = rig.agents.len() as f64;
    let began = clock.now();
    for _ in 0..turns {
        rig.agents.step();
    }
    let idle_ns = clock.now().since_ns(began) as f64 / (turns as f64 * agents);
    let cycles = |rig: &Rig| rig.agents.all_totals().map(|t| t.cycles).sum::<u64>();
    let (before, began) = (cycles(&rig), clock.now());
    for n in 0..ticks {
        rig.tick(n)?;
    }
    let busy_ns = clock.now().since_ns(began) as f64 / (cycles(&rig) - before) as f64;
    rig.end()?;
    Ok([idle_ns, busy_ns])
}

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        Scratch(std::env::temp_dir().join(format!("corelane-tick-to-order-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind is in the temporary directory and says whose it was.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

// ---- links ---------------------------------------------------------------------------------------------------

/// What the script and the market link share.
#[derive(Default)]
struct Script {
    /// [`IDLE`], [`LOAD`] or [`DELIVER`].
    step: AtomicU8,
    message: Mutex<String>,
}

const IDLE: u8 = 0;
const LOAD: u8 = 1;
const DELIVER: u8 = 2;

/// Delivers scripted messages: loaded in one poll, which is not timed, delivered in the next.
struct MarketLink {
    script: Arc<Script>,
    up: bool,
    buffer: Vec<u8>,
    len: usize,
}

/// What the venue's side and an order link share.
#[derive(Default)]
struct Wire {
    waiting: AtomicUsize,
    inward: Mutex<VecDeque<Vec<u8>>>,
    outward: Mutex<VecDeque<Vec<u8>>>,
    /// Buffers that the venue's side has read: a link that allocates would hide what the engine does.
    spent: Mutex<Vec<Vec<u8>>>,
    /// When bytes were handed over last, ns.
    sent_ns: AtomicU64,
}

struct OrderLink {
    wire: Arc<Wire>,
    clock: Clock,
    up: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // One thread: never contended, and a panic ends the run anyway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Either kind: the engine has one type of link.
enum MemLink {
    Market(MarketLink),
    Order(OrderLink),
}

impl Link for MemLink {
    #[inline]
    fn poll(&mut self, budget: usize, stamp: &dyn Fn() -> u64, sink: &mut dyn FnMut(LinkEvent<'_>)) -> usize {
        match self {
            MemLink::Market(link) => link.poll(stamp, sink),
            MemLink::Order(link) => link.poll(budget, stamp, sink),
        }
    }

    fn send(&mut self, payload: &[u8], last_check: &mut dyn FnMut() -> bool) -> Result<(), SendError> {
        let MemLink::Order(link) = self else { return Err(SendError::Down) };
        if !last_check() {
            return Err(SendError::Withheld);
        }
        link.wire.sent_ns.store(link.clock.now().0, Ordering::Relaxed);
        let mut bytes = lock(&link.wire.spent).pop().unwrap_or_default();
        bytes.extend_from_slice(payload);
        lock(&link.wire.outward).push_back(bytes);
        Ok(())
    }

    fn unsent_bytes(&mut self) -> Result<usize, io::Error> {
        Ok(0)
    }

    fn abort(&mut self) {}

    fn is_up(&self) -> bool {
        true
    }

    fn abort_handle(&self) -> Option<AbortHandle> {
        None
    }
}

impl MarketLink {
    #[inline]
    fn poll(&mut self, stamp: &dyn Fn() -> u64, sink: &mut dyn FnMut(LinkEvent<'_>)) -> usize {
        if !self.up {
            self.up = true;
            sink(LinkEvent::Up);
            return 1;
        }
        match self.script.step.load(Ordering::Relaxed) {
            DELIVER => {
                self.script.step.store(IDLE, Ordering::Relaxed);
                let ts_visible_ns = stamp();
                sink(LinkEvent::Message { payload: &mut self.buffer[..self.len], ts_visible_ns });
                1
            }
            LOAD => {
                self.script.step.store(IDLE, Ordering::Relaxed);
                let message = lock(&self.script.message);
                self.len = message.len();
                self.buffer.clear();
                self.buffer.extend_from_slice(message.as_bytes());
                // Readable padding behind the message, as on the real link.
                self.buffer.resize(self.len + net::ws::PADDING, 0);
                0
            }
            _ => 0,
        }
    }
}

impl OrderLink {
    #[inline]
    fn poll(&mut self, budget: usize, stamp: &dyn Fn() -> u64, sink: &mut dyn FnMut(LinkEvent<'_>)) -> usize {
        if !self.up {
            self.up = true;
            sink(LinkEvent::Up);
            return 1;
        }
        let mut events = 0;
        while events < budget && self.wire.waiting.load(Ordering::Relaxed) > 0 {
            self.wire.waiting.fetch_sub(1, Ordering::Relaxed);
            let Some(mut payload) = lock(&self.wire.inward).pop_front() else { break };
            let len = payload.len();
            payload.resize(len + net::ws::PADDING, 0);
            sink(LinkEvent::Message { payload: &mut payload[..len], ts_visible_ns: stamp() });
            events += 1;
        }
        events
    }
}

/// One snapshot, given when first asked for.
struct OneSnapshot {
    asked: bool,
    snapshot: Option<Snapshot>,
}

impl SnapshotSource for OneSnapshot {
    fn request(&mut self, _: InstrumentId) -> bool {
        self.asked = true;
        true
    }

    fn poll(&mut self) -> Option<SnapshotAnswer> {
        if self.asked { self.snapshot.take().map(SnapshotAnswer::Ready) } else { None }
    }

    fn recycle(&mut self, _: Snapshot) {}
}

/// Stamps between oms and gateway: what the oms has published stands in the order ring.
struct Mark(Arc<AtomicU64>);

impl Agent for Mark {
    fn name(&self) -> &str {
        "mark"
    }

    fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
        self.0.store(cycle.now().0, Ordering::Relaxed);
        0
    }
}

// ---- the rig -------------------------------------------------------------------------------------------------

struct Rig {
    clock: Clock,
    agents: Invoker<'static, (BeatSink, TapeSink)>,
    /// Writes the files, and keeps the fault.
    journal: Option<JournalWriter>,
    script: Arc<Script>,
    wires: [Arc<Wire>; 2],
    venue: BinanceSim,
    out: Outbox,
    mark_ns: Arc<AtomicU64>,
    update_id: u64,
    segment: StatsSegment,
}

impl Rig {
    fn new(clock: Clock, state_dir: &Path, journal: Option<usize>) -> Result<Rig, Box<dyn Error>> {
        let mut config = Config::parse(market::DEMO_TOML)?;
        config.strategy.quoter.order_life_min_us = 1;
        config.strategy.quoter.position_max = config.strategy.quoter.size;
        // As many as the loop can make: every bucket is looked at, and never empty.
        config.risk.orders_per_s = 1_000_000;
        config.risk.orders_burst = 1_000_000;
        // A busy host stops the thread for longer than any market would.
        config.risk.intent_age_us_max = 60_000_000;
        config.risk.market_stale_ms = 60_000;
        config.kill.stale_beat_ms = 60_000;
        // Only the ticker moves here.
        config.feed.depth_silence_ms = 120_000;
        let mut sim = market::sim_config(&config, 1, &[], SimFaults::default())?;
        if let SimMarket::Crowd { config, .. } = &mut sim.market {
            config.actions_per_s = 0.0;
        }
        sim.limits = SimLimits {
            orders_per_10s: 1_000_000_000,
            orders_per_day: u32::MAX,
            weight_per_min: u32::MAX,
            stream_requests_per_s: 5,
            ..SimLimits::default()
        };
        let mut venue = BinanceSim::new(sim, clock.now())?;
        let mut body = exchange_info(&mut venue, clock.now())?;
        let listing = body.clone();
        let info = parse_exchange_info_full(&mut body, VenueId(0), &["BTCUSDT"], InstrumentId(0))?;
        let first = info.instruments.first().ok_or("BTCUSDT is not listed")?;
        let settings = engine_settings(&config, first, &info.rate_limits, market::credentials()?)?;

        let segment = StatsSegment::heap(&meters::layout(settings.slots))?;
        let Meters { feed, strategy, oms, gateway, mut sinks } = Meters::take(&segment)?;
        let duty =
            kill_duty(KillSwitch::heap(&["gateway"])?, &config, state_dir, Vec::new(), None, clock.now())?;
        let killer = KillAgent::new(duty, Vec::new(), Vec::new());
        let script = Arc::new(Script::default());
        let wires: [Arc<Wire>; 2] = Default::default();
        let order = |wire: &Arc<Wire>| {
            MemLink::Order(OrderLink { wire: wire.clone(), clock: clock.clone(), up: false })
        };
        let buffer = Vec::with_capacity(4_096);
        let level = |cents: u64| vec![Level { px: Px(cents as i64 * 1_000_000), qty: Qty(100_000_000) }];
        let snapshot = Snapshot {
            instrument: InstrumentId(0),
            last_id: SNAPSHOT_ID,
            bids: level(BID_CENTS),
            asks: level(BID_CENTS + 100),
        };
        config.journal.dir = state_dir.join("journal");
        let taping = if journal.is_some() {
            Some(tape::begin(&tape::Session {
                config: &config,
                listing: &listing,
                instance: "bench",
                streams: [0; 4],
                armed_epoch: killer.view().epoch(),
                hashes: (0, 0),
                now: clock.now(),
            })?)
        } else {
            None
        };
        let tapes = taping.as_ref().map_or_else(Tapes::off, |t| t.tapes.clone());
        let parts = EngineParts {
            market: MemLink::Market(MarketLink { script: script.clone(), up: false, buffer, len: 0 }),
            primary: order(&wires[0]),
            standby: order(&wires[1]),
            snapshots: OneSnapshot { asked: false, snapshot: Some(snapshot) },
            feed_meters: feed,
            strategy_meters: strategy,
            oms_meters: oms,
            gateway_meters: gateway,
            boards: Boards::heap(1)?,
            kill: killer.view(),
            ack: killer.sender("gateway")?,
            handles: Handles::default(),
            rates: corelane::rate_book::SharedRates::new(settings.weight_per_min),
            controls: Controls::default(),
            stage: clock.clone(),
            stage_is_cycle_clock: true,
            tapes: tapes.clone(),
        };
        let built = assemble(&settings, info.instruments, parts)?;
        for i in 0..2 {
            venue
                .open(ConnId(i), &built.order_target, clock.now())
                .map_err(|status| format!("the venue answers {status}"))?;
        }
        let mark_ns = Arc::new(AtomicU64::new(0));
        let (mut sink, mut tape_sink) = (BeatSink::default(), TapeSink::default());
        for name in ["feed", "strategy", "oms"] {
            sink.add(&mut sinks, name);
        }
        // Stepped in this order; the stamping agent and the kill agent have no tape.
        for name in ["feed", "strategy", "oms", "mark", "gateway", "kill"] {
            tape_sink.add(tape::agent_index(name).map_or_else(tape::Tape::off, |i| tapes.of(i)));
        }
        let agents: Vec<Box<dyn Agent>> = vec![
            Box::new(built.feed),
            Box::new(built.strategy),
            Box::new(built.oms),
            Box::new(Mark(mark_ns.clone())),
            Box::new(built.gateway),
            Box::new(killer),
        ];
        let agents = Invoker::new(agents, clock.clone(), (sink, tape_sink));
        let journal =
            taping.zip(journal).map(|(t, core)| beside(core, t.drain, clock.clone())).transpose()?;
        Ok(Rig {
            clock,
            journal,
            agents,
            script,
            wires,
            venue,
            out: Outbox::new(),
            mark_ns,
            update_id: SNAPSHOT_ID,
            segment,
        })
    }

    /// A journal that could not keep up measured nothing.
    fn end(&mut self) -> Result<(), Box<dyn Error>> {
        let Some(writer) = self.journal.take() else { return Ok(()) };
        let fault = writer.health().fault();
        writer.stop();
        fault.map_or(Ok(()), |f| Err(format!("the journal failed: {}", f.name()).into()))
    }

    /// Connections, opening sequence, book; then ticks until the quoter is short and quotes its bid alone.
    fn open(&mut self) -> Result<(), Box<dyn Error>> {
        self.agents.start();
        self.settle()?;
        self.hear(&depth(SNAPSHOT_ID, BID_CENTS, self.clock.now()))?;
        // The update that continues the snapshot: before it nobody knows whether both are of one book.
        self.update_id += 1;
        self.hear(&depth(self.update_id, BID_CENTS, self.clock.now()))?;
        // The book's own touch has been quoted: from here on the market leaves and comes back.
        self.move_away(0)?;
        for n in 0..50 {
            self.come_back(n)?;
            self.settle()?;
            if self.venue.fills() > 0 && self.venue.open_orders().len() == 1 {
                return Ok(());
            }
            self.move_away(n)?;
        }
        // What the agents have counted they publish on their slow beat.
        let asked = self.clock.now();
        while self.clock.now().since_ns(asked) < 100_000_000 {
            self.step();
        }
        let stats = self.segment.snapshot();
        let counters: Vec<_> = stats.counters.iter().filter(|c| c.1 > 0).collect();
        Err(format!("the quoter does not quote one side: {counters:?}").into())
    }

    /// One timed tick, to the ring and to the signed bytes, ns. `None` when it led to no order: a host that stops this
    /// thread for longer than a deadline of the engine or the venue is answered by caution, not by an order.
    fn tick(&mut self, n: usize) -> Result<Option<[u64; 2]>, Box<dyn Error>> {
        for _ in 0..LEAVES_MAX {
            self.move_away(n)?;
            if self.venue.open_orders().is_empty() {
                break;
            }
        }
        if !self.venue.open_orders().is_empty() {
            return Err(format!("the quote before tick {n} is still open").into());
        }
        let (began, sent) = self.come_back(n)?;
        let ring_ns = self.mark_ns.load(Ordering::Relaxed).saturating_sub(began.0);
        self.settle()?;
        Ok((sent > began.0).then(|| [ring_ns, sent - began.0]))
    }

    /// The market leaves: the quote is cancelled, and the venue says so.
    fn move_away(&mut self, n: usize) -> Result<(), Box<dyn Error>> {
        let message = self.ticker(BID_CENTS - 500, n);
        self.hear(&message)
    }

    /// The market is back: the tick that leads to an order. When it began, and when bytes were handed over, ns.
    fn come_back(&mut self, n: usize) -> Result<(Ts, u64), Box<dyn Error>> {
        let message = self.ticker(BID_CENTS + (n as u64 * 7) % 16, n);
        self.load(&message);
        self.script.step.store(DELIVER, Ordering::Relaxed);
        let began = self.clock.now();
        self.agents.step();
        Ok((began, self.wires[0].sent_ns.load(Ordering::Relaxed)))
    }

    fn ticker(&mut self, bid_cents: u64, n: usize) -> String {
        self.update_id += 1;
        let ask_cents = bid_cents + 3 + n as u64 % 3;
        format!(
            r#"{{"stream":"btcusdt@bookTicker","data":{{"u":{},"s":"BTCUSDT","b":"{}.{:02}000000","B":"{}.78826000","a":"{}.{:02}000000","A":"{}.54698000"}}}}"#,
            self.update_id,
            bid_cents / 100,
            bid_cents % 100,
            1 + n % 16,
            ask_cents / 100,
            ask_cents % 100,
            16 - n % 16,
        )
    }

    fn load(&mut self, message: &str) {
        lock(&self.script.message).replace_range(.., message);
        self.script.step.store(LOAD, Ordering::Relaxed);
        self.agents.step();
    }

    fn hear(&mut self, message: &str) -> Result<(), Box<dyn Error>> {
        self.load(message);
        self.script.step.store(DELIVER, Ordering::Relaxed);
        self.settle()
    }

    /// One turn of every agent. A clock that stands still is moved on: the agents' deadlines are in its time.
    fn step(&mut self) -> usize {
        if let Clock::Virtual(clock) = &self.clock {
            clock.advance_ns(TURN_NS);
        }
        self.agents.step()
    }

    /// Agents and venue by turns until nobody has anything to say.
    fn settle(&mut self) -> Result<(), Box<dyn Error>> {
        for _ in 0..TURNS_MAX {
            let mut busy = self.step() > 0;
            for (i, wire) in self.wires.iter().enumerate() {
                while let Some(mut payload) = { lock(&wire.outward).pop_front() } {
                    busy = true;
                    self.venue.on_text(ConnId(i as u32), &payload, self.clock.now(), &mut self.out);
                    payload.clear();
                    lock(&wire.spent).push(payload);
                }
            }
            for said in self.out.drain(..) {
                let Out::Text { conn, payload } = said else { return Err("the venue hangs up".into()) };
                let wire = &self.wires[conn.0 as usize];
                lock(&wire.inward).push_back(payload);
                wire.waiting.fetch_add(1, Ordering::Relaxed);
                busy = true;
            }
            if !busy {
                return Ok(());
            }
        }
        Err(format!("agents and venue do not come to rest in {TURNS_MAX} turns").into())
    }
}

/// The journal's thread on a core of its own, as live: a thread runs where the one that made it does.
fn beside(core: usize, drain: journal::Drain, clock: Clock) -> io::Result<JournalWriter> {
    let spawn = move || {
        if let Err(refused) = cpu::pin(core) {
            eprintln!("journal not pinned: {refused}");
        }
        JournalWriter::spawn(drain, clock)
    };
    std::thread::scope(|scope| scope.spawn(spawn).join())
        .unwrap_or_else(|_| Err(io::Error::other("the spawning thread panicked")))
}

/// An update of one bid, as of `now`: a time that is not near its own makes the feed doubt it.
fn depth(id: u64, bid_cents: u64, now: Ts) -> String {
    format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{},"s":"BTCUSDT","U":{id},"u":{id},"b":[["{}.{:02}000000","1.00000000"]],"a":[]}}}}"#,
        now.0 / 1_000_000,
        bid_cents / 100,
        bid_cents % 100
    )
}

fn exchange_info(venue: &mut BinanceSim, now: Ts) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut out = Outbox::new();
    let target = exchange_info_target(&["BTCUSDT"]);
    venue.http(HttpIn { method: "GET".into(), target, ..HttpIn::default() }, now, &mut out);
    match out.pop() {
        Some(Out::Http { status: 200, body, .. }) => Ok(body),
        other => Err(format!("exchangeInfo was answered by {other:?}").into()),
    }
}
