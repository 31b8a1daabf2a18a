//! The runner: who is stepped when, and how time moves.

use std::sync::{Arc, Mutex, PoisonError};

use agent::{Agent, Clock, Invoker, VirtualClock};
use kill::{Commander, ControlReader, ControlSnapshot, KillDuty, RearmError};
use stats::boards::Boards;
use stats::{StatsReader, StatsSegment};
use topology::Config;
use venue::FeedSession;
use venue_binance::sim::{BinanceSim, ConnId, HttpIn, Out, Outbox, ReceivedOrder, SimConfig};
use venue_binance::{BinanceFeed, Credentials, exchange_info_target, parse_exchange_info_full};
use wire::{InstrumentId, Ts, VenueId};

use super::snapshots::MemSnapshots;
use super::wires::{Turn, WireSettings, Wires};
use crate::agents::feed::SnapshotAnswer;
use crate::agents::killer::{Handles, KillAgent, RearmDesk};
use crate::agents::oms::OmsFinal;
use crate::controls::{Controls, StopState};
use crate::engine::{EngineError, EngineParts, MARKET_LINK, ORDER_LINK, STANDBY_LINK, assemble};
use crate::meters::{self, BeatSink, Meters};
use crate::rate_book::SharedRates;
use crate::settings::engine_settings;
use crate::tape::{self, TapeSink, Tapes};

/// Longest stride of virtual time, ns: timers are looked at this often.
const STRIDE_NS: u64 = 1_000_000;
/// Turns of the agents at one instant at most.
const TURNS_MAX: usize = 10_000;
/// Virtual time that a clean stop may take, ns.
const QUIESCE_NS: u64 = 30_000_000_000;

/// What to run.
pub struct SimSetup {
    /// The venue.
    pub venue: SimConfig,
    /// The engine's configuration.
    pub config: Config,
    /// API key and secret of the venue's account.
    pub credentials: Credentials,
    /// Start of virtual time.
    pub start: Ts,
    /// Trading ends after this long, ns; `None` = when the recording ends.
    pub run_ns: Option<u64>,
    /// Seed of wires and faults.
    pub seed: u64,
    /// Latency and faults of the three connections: market, orders, standby.
    pub wires: [WireSettings; 3],
    /// The kill switch with its lines and latch, one sender named `gateway`, no watched agents.
    pub kill: KillDuty,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Still running.
    Running,
    /// Stopped as asked: nothing open, balances read.
    Quiesced,
    /// The kill switch tripped and the stop was confirmed.
    Killed,
    /// The stop did not get through by its deadline.
    TimedOut,
}

/// What a run left behind.
#[derive(Debug)]
pub struct SimOutcome {
    /// How it ended.
    pub fate: Fate,
    /// Virtual time that passed, ns.
    pub ran_ns: u64,
    /// What the oms knew.
    pub oms: OmsFinal,
    /// Statistics.
    pub stats: stats::Snapshot,
    /// Hash over the order payloads.
    pub orders_hash: [u64; 2],
    /// New orders as the venue saw them.
    pub received: Vec<ReceivedOrder>,
    /// Open orders as the venue has them.
    pub venue_open_orders: usize,
    /// Balances as the venue has them: asset, free and locked together.
    pub venue_balances: Vec<(String, topology::Decimal)>,
    /// Client orders' fills at the venue.
    pub venue_fills: u64,
    /// State of the book at the end.
    pub book_state: wire::BookState,
    /// The kill switch at the end.
    pub kill: ControlSnapshot,
    /// What the journal holds, and the fault that ended it; `None` = there was none.
    pub journal: Option<(journal::Totals, Option<journal::Fault>)>,
}

/// Someone between the venue's REST answers and the engine: status and body in, status and body out.
pub type RestTamper = Box<dyn FnMut(u16, Vec<u8>) -> (u16, Vec<u8>)>;

/// The engine and its venue in one thread.
pub struct OneThread {
    rest_tamper: Option<RestTamper>,
    clock: VirtualClock,
    venue: BinanceSim,
    wires: Wires,
    snapshots: MemSnapshots,
    parser: BinanceFeed,
    targets: [String; 3],
    invoker: Invoker<'static, (BeatSink, TapeSink)>,
    segment: StatsSegment,
    reader: StatsReader,
    controls: Controls,
    kill: kill::KillView,
    kill_reader: ControlReader,
    commander: Commander,
    rearm: RearmDesk,
    last: Arc<Mutex<Option<OmsFinal>>>,
    out: Outbox,
    start: Ts,
    end: Option<Ts>,
    quiesce_by: Option<Ts>,
    held_requests: u64,
    killed_stop: bool,
    was_in_sync: bool,
    assets: Vec<String>,
    journal: Option<(journal::Drain, journal::Notes)>,
    journal_hangs: bool,
}

impl OneThread {
    /// Lists the venue's instrument, builds the agents and arms the kill switch.
    ///
    /// # Errors
    /// The venue or the engine cannot be built from this setup.
    pub fn new(setup: SimSetup) -> Result<OneThread, EngineError> {
        let clock = VirtualClock::new(setup.start);
        let mut venue =
            BinanceSim::new(setup.venue, setup.start).map_err(|e| EngineError::Venue(e.to_string()))?;
        let mut out = Outbox::new();
        let symbol = setup.config.instrument.symbol.as_str();
        let target = exchange_info_target(&[symbol]);
        let mut body = http_now(&mut venue, &target, setup.start, &mut out)?;
        // Parsing writes into the body.
        let listing = body.clone();
        let info = parse_exchange_info_full(&mut body, VenueId(0), &[symbol], InstrumentId(0))?;
        let instruments = info.instruments;
        let Some(first) = instruments.first() else {
            return Err(EngineError::Venue(format!("{symbol} is not listed")));
        };
        let settings = engine_settings(&setup.config, first, &info.rate_limits, setup.credentials)?;
        let segment = StatsSegment::heap(&meters::layout(settings.slots))?;
        let Meters { feed, strategy, oms, gateway, mut sinks } = Meters::take(&segment)?;
        let wires = Wires::new(3, WireSettings::default(), setup.seed, clock.clone());
        for (i, settings) in setup.wires.into_iter().enumerate() {
            wires.set(i as u32, settings);
        }
        let snapshots = MemSnapshots::default();
        let controls = Controls::default();
        let killer = KillAgent::new(setup.kill, Vec::new(), Vec::new());
        let parser = BinanceFeed::new(instruments.clone()).with_snapshot_levels(settings.snapshot_levels);
        let stage = Clock::live();
        let (tapes, journal) = if setup.config.journal.on {
            let session = tape::Session {
                config: &setup.config,
                listing: &listing,
                instance: "sim",
                streams: [0; 4],
                armed_epoch: killer.view().epoch(),
                hashes: (meters::build_hash(), meters::fnv(format!("{:?}", setup.config).as_bytes())),
                now: stage.now(),
            };
            let taping = tape::begin(&session)
                .map_err(|e| EngineError::Start { what: "journal", why: e.to_string() })?;
            (taping.tapes, Some((taping.drain, taping.notes)))
        } else {
            (Tapes::off(), None)
        };
        let parts = EngineParts {
            market: wires.link(MARKET_LINK),
            primary: wires.link(ORDER_LINK),
            standby: wires.link(STANDBY_LINK),
            snapshots: snapshots.clone(),
            feed_meters: feed,
            strategy_meters: strategy,
            oms_meters: oms,
            gateway_meters: gateway,
            boards: Boards::heap(instruments.len())?,
            kill: killer.view(),
            ack: killer.sender("gateway")?,
            handles: Handles::default(),
            rates: SharedRates::new(settings.weight_per_min),
            controls: controls.clone(),
            stage,
            stage_is_cycle_clock: false,
            tapes: tapes.clone(),
        };
        let built = assemble(&settings, instruments, parts)?;
        let targets = [parser.stream_target(), built.order_target.clone(), built.order_target.clone()];
        let kill = killer.view();
        let kill_reader = ControlReader::over(killer.duty().switch().words());
        let commander = killer.duty().switch().commander();
        let rearm = killer.rearm_desk();
        let last = built.last.clone();
        let (mut sink, mut tape_sink) = (BeatSink::default(), TapeSink::default());
        for name in ["kill", "feed", "strategy", "oms", "gateway"] {
            sink.add(&mut sinks, name);
            tape_sink.add(tape::agent_index(name).map_or_else(tape::Tape::off, |i| tapes.of(i)));
        }
        let agents: Vec<Box<dyn Agent>> = vec![
            Box::new(killer),
            Box::new(built.feed),
            Box::new(built.strategy),
            Box::new(built.oms),
            Box::new(built.gateway),
        ];
        let mut invoker = Invoker::new(agents, Clock::Virtual(clock.clone()), (sink, tape_sink));
        invoker.start();
        Ok(OneThread {
            rest_tamper: None,
            clock,
            venue,
            wires,
            snapshots,
            parser,
            targets,
            invoker,
            reader: segment.reader(),
            segment,
            controls,
            kill,
            kill_reader,
            commander,
            rearm,
            last,
            out,
            start: setup.start,
            end: setup.run_ns.map(|ns| setup.start.plus_ns(ns)),
            quiesce_by: None,
            held_requests: 0,
            killed_stop: false,
            was_in_sync: false,
            assets: built.assets,
            journal,
            journal_hangs: false,
        })
    }

    /// Virtual time.
    pub fn now(&self) -> Ts {
        self.clock.now()
    }

    /// The wires, for faults in the middle of a run.
    pub fn wires(&self) -> &Wires {
        &self.wires
    }

    /// Puts someone between the venue's snapshots and the engine; `None` takes him away.
    pub fn tamper_rest(&mut self, tamper: Option<RestTamper>) {
        self.rest_tamper = tamper;
    }

    /// Changes the venue itself in the middle of a run.
    pub fn venue_mut(&mut self) -> &mut BinanceSim {
        &mut self.venue
    }

    /// Names of the assets by number.
    pub fn assets(&self) -> &[String] {
        &self.assets
    }

    /// Mode and progress words.
    pub fn controls(&self) -> &Controls {
        &self.controls
    }

    /// Notes a command, or a word about the engine, in the journal, if there is one.
    pub fn note(&self, text: &str) {
        if let Some((_, notes)) = &self.journal {
            notes.say(self.clock.now().0, text);
        }
    }

    /// Why the journal cannot go on, if so: the gate is shut then.
    pub fn journal_fault(&self) -> Option<journal::Fault> {
        self.journal.as_ref().and_then(|(drain, _)| drain.health().fault())
    }

    /// For drills: the disk side of the journal stops working, as a hung disk would. Its ring fills up.
    pub fn hang_journal(&mut self) {
        self.journal_hangs = true;
    }

    /// Asks for a stop as an operator would: the kill agent sees it in its next cycle.
    pub fn command_stop(&self) {
        self.commander.stop(self.clock.now(), false);
    }

    /// Re-arms the trip of this id as an operator would, carried out by the kill agent in its next cycle; the gateway
    /// then goes through the opening of a session again.
    ///
    /// # Errors
    /// What the kill agent says is not so; nothing has changed then.
    pub fn rearm(&mut self, trip_id: &str, uid: u32) -> Result<(), RearmError> {
        self.rearm.ask(trip_id, uid);
        self.invoker.step();
        let answer = self.rearm.answer().unwrap_or(Err(RearmError::NotShut));
        if answer.is_ok() {
            self.killed_stop = false;
        }
        answer
    }

    /// Ends trading now, as if its time were up: the clean stop follows.
    pub fn end(&mut self) {
        self.end = Some(self.clock.now());
    }

    /// The kill switch as an observer sees it.
    pub fn kill(&self) -> ControlSnapshot {
        self.kill_reader.snapshot()
    }

    /// State of the book as the feed has it now.
    pub fn book_state(&self) -> wire::BookState {
        wire::BookState::from_u8(self.reader.gauge("feed.book_state").unwrap_or(0) as u8)
    }

    /// Whether the book was in sync after any turn of the last step: it may come into sync and be lost again at one
    /// instant.
    pub fn was_in_sync(&self) -> bool {
        self.was_in_sync
    }

    /// The venue's own view.
    pub fn venue(&self) -> &BinanceSim {
        &self.venue
    }

    /// Everything that happens at this instant, then time moves to the next thing that is due. A run that has ended
    /// may be stepped on, to see that nothing comes after.
    pub fn step(&mut self) -> Fate {
        let now = self.clock.now();
        self.was_in_sync = false;
        for _ in 0..TURNS_MAX {
            let busy = self.venue_turn(now);
            let work = self.invoker.step();
            self.was_in_sync |= self.book_state() == wire::BookState::InSync;
            if !busy && work == 0 {
                break;
            }
        }
        if let Some((drain, _)) = self.journal.as_mut().filter(|_| !self.journal_hangs) {
            drain.poll(now.0);
        }
        let fate = self.fate(now);
        let due = [self.venue.next_at(), self.wires.next_at()].into_iter().flatten().min();
        let stride = now.plus_ns(STRIDE_NS);
        self.clock.set(due.unwrap_or(stride).clamp(now.plus_ns(1), stride));
        fate
    }

    /// Steps until the run has ended and says what it left behind.
    pub fn run(mut self) -> SimOutcome {
        loop {
            let fate = self.step();
            if fate != Fate::Running {
                return self.finish(fate);
            }
        }
    }

    /// Steps for `ns` of virtual time or until the run has ended.
    pub fn run_for(&mut self, ns: u64) -> Fate {
        let until = self.clock.now().plus_ns(ns);
        loop {
            let fate = self.step();
            if fate != Fate::Running || self.clock.now() >= until {
                return fate;
            }
        }
    }

    /// The agents' view of statistics right now (agents publish about every 50 ms).
    pub fn stats(&self) -> stats::Snapshot {
        self.segment.snapshot()
    }

    fn fate(&mut self, now: Ts) -> Fate {
        let stop = self.controls.stop();
        if self.kill.is_tripped() {
            // The gateway publishes `Running` when it sees the word; an outcome before that is an older stop's.
            self.killed_stop |= stop == StopState::Running;
            return match stop {
                StopState::Confirmed if self.killed_stop => Fate::Killed,
                StopState::TimedOut => Fate::TimedOut,
                _ => Fate::Running,
            };
        }
        match self.quiesce_by {
            None => {
                let over = self.end.is_some_and(|end| now >= end);
                if over || (self.venue.finished() && self.wires.next_inward_at().is_none()) {
                    self.controls.quiesce();
                    self.quiesce_by = Some(now.plus_ns(QUIESCE_NS));
                }
                Fate::Running
            }
            Some(by) => {
                if self.controls.is_quiet() {
                    return if stop == StopState::TimedOut { Fate::TimedOut } else { Fate::Quiesced };
                }
                if now >= by { Fate::TimedOut } else { Fate::Running }
            }
        }
    }

    /// Closes the agents and collects what is left.
    pub fn finish(mut self, fate: Fate) -> SimOutcome {
        self.invoker.close();
        if let Some((drain, _)) = &mut self.journal {
            drain.close(self.clock.now().0);
        }
        let stats = self.segment.snapshot();
        let gauge = |name: &str| stats.gauges.iter().find(|g| g.0 == name).map_or(0, |g| g.1) as u64;
        let orders_hash = [gauge("gateway.hash_a"), gauge("gateway.hash_b")];
        SimOutcome {
            fate,
            ran_ns: self.clock.now().since_ns(self.start),
            oms: self.last.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default(),
            orders_hash,
            received: self.venue.received().to_vec(),
            venue_open_orders: self.venue.open_orders().len(),
            venue_balances: self
                .venue
                .balances()
                .into_iter()
                .map(|(asset, free, locked)| (asset, free + locked))
                .collect(),
            venue_fills: self.venue.fills(),
            book_state: wire::BookState::from_u8(gauge("feed.book_state") as u8),
            kill: self.kill_reader.snapshot(),
            journal: self.journal.as_ref().map(|(drain, _)| (drain.totals(), drain.health().fault())),
            stats,
        }
    }

    // ---- the venue's turn ---------------------------------------------------------------------------------

    fn venue_turn(&mut self, now: Ts) -> bool {
        let mut busy = false;
        while let Some(turn) = self.wires.turn(now) {
            busy = true;
            match turn {
                Turn::Gone(i) => self.venue.close(ConnId(i)),
                Turn::Connect(i) => {
                    if self.venue.open(ConnId(i), &self.targets[i as usize], now).is_ok() {
                        self.wires.accepted(i);
                    }
                }
            }
        }
        while let Some(instrument) = self.snapshots.take_request() {
            busy = true;
            let request = HttpIn {
                id: instrument.0 as u64,
                method: "GET".into(),
                target: self.parser.snapshot_target(instrument),
                ..HttpIn::default()
            };
            self.held_requests += 1;
            self.venue.http(request, now, &mut self.out);
        }
        while let Some((i, payload)) = self.wires.to_venue(now) {
            busy = true;
            self.venue.on_text(ConnId(i), &payload, now, &mut self.out);
        }
        self.venue.advance(now, &mut self.out);
        busy |= !self.out.is_empty();
        for out in std::mem::take(&mut self.out) {
            match out {
                Out::Text { conn, payload } => self.wires.to_engine(conn.0, payload, now),
                Out::Close { conn } => self.wires.closed(conn.0),
                Out::Http { id, status, body, .. } => {
                    self.held_requests -= 1;
                    let (status, mut body) = match &mut self.rest_tamper {
                        Some(tamper) => tamper(status, body),
                        None => (status, body),
                    };
                    let instrument = InstrumentId(id as u32);
                    let snapshot = match status {
                        200 => self.parser.parse_snapshot(instrument, &mut body).ok(),
                        _ => None,
                    };
                    self.snapshots.answer(match snapshot {
                        Some(snapshot) => SnapshotAnswer::Ready(snapshot),
                        None => SnapshotAnswer::Failed(instrument),
                    });
                }
            }
        }
        busy
    }
}

fn http_now(venue: &mut BinanceSim, target: &str, now: Ts, out: &mut Outbox) -> Result<Vec<u8>, EngineError> {
    let request = HttpIn { method: "GET".into(), target: target.into(), ..HttpIn::default() };
    venue.http(request, now, out);
    match out.pop() {
        Some(Out::Http { status: 200, body, .. }) => Ok(body),
        other => Err(EngineError::Venue(format!("GET {target} was answered by {other:?}"))),
    }
}
