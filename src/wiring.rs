//! The live engine: topology in, running threads out.
//!
//! Order of a start: statistics and kill switch first (a tripped state directory ends it here), then connections on
//! the housekeeping side, then agents joined by rings, then their threads, the kill thread last. Order of a stop:
//! quoting ends, open orders are cancelled and confirmed, then threads are stopped and joined in turn.

pub mod links;
mod settle;

pub use settle::{Doubt, KillStop};

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use agent::{Agent, Clock, CycleSink, Idle, Runner, RunnerHandle, ThreadSpec};
use kill::{
    Commander, ControlReader, ControlSnapshot, FileLine, KillDuty, KillParts, KillSwitch, Latch, LatchRecord,
    LatchState, Line, SignalFlag, State, Watched,
};
use net::dial::DialReports;
use net::http::{CallConfig, Request, call};
use net::{Dialer, Endpoint, Link, WsLink};
use rings::{Memory, Words};
use stats::boards::Boards;
use stats::instance::Instance;
use stats::{StatsError, StatsSegment};
use topology::{AgentName, Config, Topology};
use venue::FeedSession;
use venue_binance::{BinanceFeed, Credentials, exchange_info_target, parse_exchange_info_full};
use wire::{Instrument, InstrumentId, Ts, VenueId};

use crate::agents::housekeeping::{SnapshotQueue, SnapshotReport, SnapshotWorker};
use crate::agents::killer::{Handles, KillAgent, RearmDesk};
use crate::agents::oms::OmsFinal;
use crate::apart::Member;
use crate::apart::door::{Door, DoorParts};
use crate::commands::Console;
use crate::controls::Controls;
use crate::engine::assembly::{Assembly, FeedEnds, GatewayEnds, OmsEnds, StrategyEnds};
use crate::engine::rings::{CONSUMERS, Rings};
use crate::engine::{EngineError, MARKET_LINK, ORDER_LINK, SOURCE, STANDBY_LINK, in_full};
use crate::meters::{self, AGENTS, BeatSink, Meters};
use crate::rearm::LINE_FILE;
use crate::settings::engine_settings;
use crate::tape::{self, JournalWriter, TapeSink, Tapes, agent_index};

/// Time that every kill line must have been closed before a re-arm, ns.
const SETTLE_NS: u64 = 1_000_000_000;

/// Where the venue is.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// REST.
    pub rest: Endpoint,
    /// Market-data streams.
    pub stream: Endpoint,
    /// Order entry and account.
    pub order: Endpoint,
}

/// What a live engine is started from.
pub struct LiveSetup<'a> {
    /// The checked configuration.
    pub config: &'a Config,
    /// Where the venue is.
    pub endpoints: Endpoints,
    /// API key and secret.
    pub credentials: Credentials,
    /// Directory of the kill latch.
    pub state_dir: &'a Path,
    /// Base directory of instances.
    pub shm_base: &'a Path,
    /// Name of this instance.
    pub name: &'a str,
    /// Seed of back-off jitter and mask keys.
    pub seed: u64,
}

/// What a drill puts around an engine that is otherwise the one that trades.
pub struct Drill<'a, L> {
    /// Agents of the caller, stepped last on the gateway's thread in the order given: they see that thread from
    /// inside. What they do in a duty cycle the trading path waits for.
    pub observers: Vec<Box<dyn Agent + Send>>,
    /// Takes each connection with its number ([`MARKET_LINK`], [`ORDER_LINK`], [`STANDBY_LINK`]) and gives what the
    /// agent shall have in its place.
    pub wrap: &'a mut dyn FnMut(u32, WsLink) -> L,
    /// An agent that goes on working while its heartbeats are withheld: as long as the flag is up.
    pub muted: Option<(AgentName, Arc<AtomicBool>)>,
}

/// A running engine.
pub struct Live {
    /// The engine's clock.
    pub clock: Clock,
    /// Mode and progress words.
    pub controls: Controls,
    /// What the engine went without, a line each.
    pub without: Vec<String>,
    /// Names of the assets by number.
    pub assets: Vec<String>,
    /// What it trades, by number.
    pub instruments: Vec<Instrument>,
    /// Connection attempts and their last errors.
    pub dials: DialReports,
    segment: StatsSegment,
    instance: Instance,
    control: ControlReader,
    switch_words: Words,
    commander: Commander,
    rearm: RearmDesk,
    hot: Vec<RunnerHandle>,
    killer: RunnerHandle,
    hot_stop: Arc<AtomicBool>,
    kill_stop: Arc<AtomicBool>,
    dead: Vec<Arc<AtomicBool>>,
    dialer: Dialer,
    snapshots: SnapshotWorker,
    last: Arc<Mutex<Option<OmsFinal>>>,
    journal: Option<(JournalWriter, journal::Notes)>,
    /// Where agents that live apart come in.
    door: Option<Door>,
}

/// What a stopped engine leaves behind.
#[derive(Debug)]
pub struct Ended {
    /// What the oms knew.
    pub oms: OmsFinal,
    /// Statistics as they stood.
    pub stats: stats::Snapshot,
    /// The kill switch as it stood.
    pub kill: ControlSnapshot,
    /// Threads that ended by panic, a line each.
    pub panics: Vec<String>,
    /// What the journal holds, and the fault that ended it; `None` = there was none.
    pub journal: Option<(journal::Totals, Option<journal::Fault>)>,
}

/// The kill switch of a state directory, armed; or why it is not.
///
/// # Errors
/// The directory cannot be made, or it holds a trip: names the command that clears it.
pub fn kill_duty(
    switch: KillSwitch,
    config: &Config,
    state_dir: &Path,
    watched: Vec<Watched>,
    signal: Option<SignalFlag>,
    now: Ts,
) -> Result<KillDuty, EngineError> {
    let latch = Latch::create(state_dir)
        .map_err(|e| EngineError::Start { what: "state directory", why: e.to_string() })?;
    let mut lines: Vec<Box<dyn Line>> = Vec::new();
    // A line that stands beside the latch is watched without being named; `rearm` looks at the same file.
    let beside = state_dir.join(LINE_FILE);
    let named = &config.kill.line_file;
    // What cannot be looked at is watched too: it reads as open.
    if beside.try_exists().unwrap_or(true) {
        lines.push(Box::new(FileLine::new(LINE_FILE, &beside)));
    }
    if !named.as_os_str().is_empty() && *named != beside {
        lines.push(Box::new(FileLine::new("line", named)));
    }
    let duty = KillDuty::start(
        KillParts {
            switch,
            latch,
            lines,
            agents: watched,
            signal,
            ack_deadline_ns: config.kill.ack_deadline_ms as u64 * 1_000_000,
            settle_ns: SETTLE_NS,
        },
        now,
    );
    match (duty.state(), duty.trip()) {
        (State::Armed, _) => Ok(duty),
        (_, Some(trip)) => Err(tripped(trip, state_dir)),
        (state, None) => {
            Err(EngineError::Start { what: "kill switch", why: format!("came up {}", state.name()) })
        }
    }
}

/// Refuses a state directory that holds a trip, before anything else is tried. An unreadable latch is left to
/// [`kill_duty`], which names it anew.
fn refuse_tripped(state_dir: &Path) -> Result<(), EngineError> {
    match latch_state(state_dir) {
        LatchState::Tripped(trip) => Err(tripped(&trip, state_dir)),
        _ => Ok(()),
    }
}

fn tripped(trip: &LatchRecord, state_dir: &Path) -> EngineError {
    EngineError::Start {
        what: "kill switch",
        why: format!(
            "tripped by {} at {} ({}); deal with the cause, then: corelane rearm --trip {} --state-dir {}",
            trip.source,
            kill::utc(trip.ts),
            trip.detail,
            trip.id,
            state_dir.display()
        ),
    }
}

/// Whether a state directory holds a trip, without starting anything.
pub fn latch_state(state_dir: &Path) -> LatchState {
    Latch::new(state_dir).load()
}

impl Live {
    /// Starts an engine.
    ///
    /// # Errors
    /// [`EngineError`] names what could not be had; nothing keeps running then.
    pub fn start(setup: LiveSetup<'_>) -> Result<Live, EngineError> {
        Live::start_observed(setup, Vec::new())
    }

    /// The same with agents of the caller, stepped last on the gateway's thread in the order given: audits and
    /// drills see that thread from inside. What they do in a duty cycle the trading path waits for.
    ///
    /// # Errors
    /// As [`Live::start`].
    pub fn start_observed(
        setup: LiveSetup<'_>,
        observers: Vec<Box<dyn Agent + Send>>,
    ) -> Result<Live, EngineError> {
        Live::start_drill(setup, Drill { observers, wrap: &mut |_, link| link, muted: None })
    }

    /// The same with a drill around it.
    ///
    /// # Errors
    /// As [`Live::start`].
    pub fn start_drill<L: Link + Send + 'static>(
        setup: LiveSetup<'_>,
        drill: Drill<'_, L>,
    ) -> Result<Live, EngineError> {
        let Drill { mut observers, wrap, muted } = drill;
        let config = setup.config;
        let what = |what: &'static str| move |why: String| EngineError::Start { what, why };
        let clock = Clock::live();
        let mut without = Vec::new();
        if !matches!(clock, Clock::Tsc(_)) {
            without.push(clock.describe());
        }

        // The kill switch comes first: a tripped directory starts nothing.
        refuse_tripped(setup.state_dir)?;
        let instance = Instance::create(setup.shm_base, setup.name)
            .map_err(|e| what("instance directory")(e.to_string()))?;
        let ident = meters::ident(config);
        let segment = StatsSegment::create(instance.dir(), &meters::layout(crate::settings::SLOTS), &ident)
            .map_err(|e| {
            what("shared memory")(format!("{}: {}", instance.dir().display(), in_full(&e)))
        })?;
        let switch = KillSwitch::create(instance.dir(), &["gateway"], &ident)?;
        let switch_words = switch.words();
        let control = ControlReader::over(switch.words());
        let commander = switch.commander();
        let limit_ns = config.kill.stale_beat_ms as u64 * 1_000_000;
        // One that lives apart is gone when it is silent, which is no trip.
        let here = AGENTS[..4]
            .iter()
            .filter(|name| !config.runtime.apart.iter().any(|a| a.name() == **name))
            .collect::<Vec<_>>();
        let watched = here.iter().map(|a| Watched { agent: a.to_string(), limit_ns }).collect::<Vec<_>>();
        let signal = SignalFlag::install().map_err(|e| what("SIGUSR1")(e.to_string()))?;

        // Instruments, over REST.
        let target = exchange_info_target(&[&config.instrument.symbol]);
        let call_config = CallConfig {
            connect_ms: config.net.connect_ms,
            tls_ms: config.net.tls_ms,
            head_ms: config.net.first_message_ms,
            body_ms: config.net.first_message_ms,
            ..CallConfig::default()
        };
        let mut response = call(&setup.endpoints.rest, &Request::get(&target), &call_config)
            .map_err(|e| EngineError::Venue(format!("GET {target}: {e}")))?;
        if response.status != 200 {
            return Err(EngineError::Venue(format!("GET {target}: status {}", response.status)));
        }
        // Parsing writes into the body.
        let listing = response.body.clone();
        let info = parse_exchange_info_full(
            &mut response.body,
            VenueId(0),
            &[&config.instrument.symbol],
            InstrumentId(0),
        )?;
        let Some(first) = info.instruments.first() else {
            return Err(EngineError::Venue(format!("{} is not listed", config.instrument.symbol)));
        };
        let settings = engine_settings(config, first, &info.rate_limits, setup.credentials)?;
        let controls = Controls::create(instance.dir(), &ident)?;
        let rates = controls.rates(settings.weight_per_min);

        // Topology: which thread, which core.
        let allowed = agent::cpu::allowed_cores();
        let topology = Topology::build(config, &allowed).map_err(|e| what("topology")(e.to_string()))?;
        if let Some(core) = topology.thread_of(AgentName::Housekeeping).and_then(|t| t.core)
            && let Err(refused) = agent::cpu::pin(core)
        {
            without.push(format!("housekeeping on core {core}: {refused}"));
        }
        if config.runtime.mlock
            && let Err(refused) = agent::cpu::lock_memory()
        {
            without.push(format!("locked memory: {refused}"));
        }

        // Housekeeping: connections and snapshots.
        let parser =
            BinanceFeed::new(info.instruments.clone()).with_snapshot_levels(config.feed.snapshot_levels);
        let all = Assembly::new(&settings, info.instruments, clock.clone())?;
        let strategy_apart = config.runtime.apart.contains(&AgentName::Strategy);
        let gateway_apart = config.runtime.apart.contains(&AgentName::Gateway);
        let backend = links::backend(config, &mut without);
        let mut specs = vec![links::market(config, &setup.endpoints.stream, &parser.stream_target())];
        if !gateway_apart {
            specs.extend(links::orders(config, &setup.endpoints.order, &all.order_target()));
        }
        let (dialer, made) = links::dial(config, backend, specs, setup.seed)?;
        let dials = dialer.reports();
        let mut made = made.into_iter();
        let mut next_link = || made.next().ok_or(what("dialer")("fewer mailboxes than links".into()));
        let (queue, snapshots): (SnapshotQueue, SnapshotWorker) = SnapshotWorker::spawn(
            setup.endpoints.rest.clone(),
            parser,
            call_config,
            rates.clone(),
            clock.clone(),
        )
        .map_err(|e| what("snapshot thread")(e.to_string()))?;

        // Armed as late as possible: from here on the agents must beat.
        let mut duty = kill_duty(switch, config, setup.state_dir, watched, Some(signal), clock.now())?;
        // Raised by a thread that panics; the kill thread's own is seen by those who send, in its beat.
        let dead: Vec<Arc<AtomicBool>> = topology.threads.iter().map(|_| Arc::default()).collect();
        let others = topology.threads.iter().zip(&dead).filter(|(t, _)| !t.agents.contains(&AgentName::Kill));
        duty.watch_threads(others.map(|(t, flag)| (t.name.clone(), flag.clone())).collect());
        let beats_read = here.iter().map(|a| segment.beat_reader(a)).collect::<Result<Vec<_>, _>>()?;
        let handles = Handles::default();
        let killer = KillAgent::new(duty, beats_read, vec![handles.clone()]);
        let rearm = killer.rearm_desk();
        let taping = if config.journal.on {
            let thread_of = |name: &&str| {
                topology.threads.iter().position(|t| t.agents.iter().any(|a| a.name() == *name))
            };
            let mut streams = [0u8; 4];
            let mut threads = Vec::new();
            for (stream, thread) in streams.iter_mut().zip(AGENTS[..4].iter().map(thread_of)) {
                let seen = threads.iter().position(|t| *t == thread);
                *stream = seen.unwrap_or(threads.len()) as u8;
                if seen.is_none() {
                    threads.push(thread);
                }
            }
            let session = tape::Session {
                config,
                listing: &listing,
                instance: setup.name,
                streams,
                armed_epoch: killer.view().epoch(),
                hashes: (ident.build_hash, ident.config_hash),
                now: clock.now(),
            };
            Some(tape::begin(&session).map_err(|e| what("journal")(e.to_string()))?)
        } else {
            None
        };
        let tapes = taping.as_ref().map_or_else(Tapes::off, |t| t.tapes.clone());
        let Meters { feed, strategy, oms, gateway, mut sinks } = Meters::take(&segment)?;
        let [feed_tape, strategy_tape, oms_tape, gateway_tape] = [0, 1, 2, 3].map(|agent| tapes.of(agent));
        let memory = CONSUMERS.map(|consumer| Memory {
            huge: config.runtime.huge_pages,
            near_core: topology.thread_of(consumer).and_then(|thread| thread.core),
            ..Memory::default()
        });
        let rings = Rings::create(&settings.rings, memory)?;
        without.extend(rings.without());
        let mut boards = Boards::create(instance.dir(), all.instruments.len(), &ident)?;
        let last = Arc::new(Mutex::new(None));
        let feed = FeedEnds {
            market: wrap(MARKET_LINK, next_link()?),
            snapshots: queue,
            meters: feed,
            boards: boards.top_writers()?,
            stage_is_cycle_clock: true,
            tape: feed_tape,
        };
        let oms =
            OmsEnds { meters: oms, boards: boards.position_writers()?, kill: killer.view(), tape: oms_tape };
        let mut agents: Vec<(AgentName, Box<dyn Agent + Send>)> = vec![
            (AgentName::Feed, Box::new(all.feed(feed, &rings, controls.told())?)),
            (AgentName::Oms, Box::new(all.oms(oms, &rings, controls.clone(), last.clone())?)),
        ];
        if !strategy_apart {
            let ends = StrategyEnds { source: SOURCE, meters: strategy, tape: strategy_tape };
            agents.push((AgentName::Strategy, Box::new(all.strategy(ends, &rings, controls.told())?)));
        }
        if !gateway_apart {
            let ends = GatewayEnds {
                primary: wrap(ORDER_LINK, next_link()?),
                standby: wrap(STANDBY_LINK, next_link()?),
                meters: gateway,
                kill: killer.view(),
                ack: killer.sender("gateway")?,
                handles: handles.clone(),
                rates,
                before: None,
                tape: gateway_tape,
            };
            agents.push((AgentName::Gateway, Box::new(all.gateway(ends, &rings, controls.clone())?)));
        }
        agents.push((AgentName::Kill, Box::new(killer)));
        let door = if config.runtime.apart.is_empty() {
            None
        } else {
            let members = Member::ALL
                .into_iter()
                .filter(|member| config.runtime.apart.iter().any(|a| a.name() == member.name()))
                .map(|member| Ok((member, segment.beat_reader(member.name())?)))
                .collect::<Result<Vec<_>, StatsError>>()?;
            let parts = DoorParts {
                dir: instance.dir().to_path_buf(),
                ident,
                uid: stats::instance::process_uid().map_err(|e| what("user id")(e.to_string()))?,
                members,
                rings,
                controls: controls.clone(),
                handles,
                clock: clock.clone(),
                listing,
                away_ns: u64::from(config.runtime.away_ms) * 1_000_000,
            };
            Some(Door::open(parts).map_err(|e| what("door")(e.to_string()))?)
        };
        let (hot_stop, kill_stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut hot = Vec::new();
        let mut kill_handle = None;
        for (thread, dead) in topology.threads.iter().zip(&dead) {
            let mut boxed: Vec<Box<dyn Agent + Send>> = Vec::new();
            let (mut sink, mut tape_sink) = (BeatSink::default(), TapeSink::default());
            for name in &thread.agents {
                if let Some(i) = agents.iter().position(|a| a.0 == *name) {
                    boxed.push(agents.swap_remove(i).1);
                    sink.add(&mut sinks, name.name());
                    tape_sink.add(agent_index(name.name()).map_or_else(tape::Tape::off, |i| tapes.of(i)));
                    if let Some((_, flag)) = muted.as_ref().filter(|(agent, _)| agent == name) {
                        sink.mute(flag.clone());
                    }
                }
            }
            if boxed.is_empty() {
                continue; // housekeeping is this thread and its helpers
            }
            if thread.agents.contains(&AgentName::Gateway) {
                boxed.append(&mut observers);
            }
            let is_kill = thread.agents == [AgentName::Kill];
            let spec = thread_spec(thread, config.runtime.slow_cycle_us);
            let stop = if is_kill { kill_stop.clone() } else { hot_stop.clone() };
            let spawned = if taping.is_some() {
                Runner::spawn_watched(spec, boxed, clock.clone(), (sink, tape_sink), stop, dead.clone())
            } else {
                Runner::spawn_watched(spec, boxed, clock.clone(), sink, stop, dead.clone())
            };
            let handle = spawned.map_err(|e| what("thread")(e.to_string()))?;
            if let Some(refused) = &handle.placement().refused {
                without.push(format!("thread {}: {refused}", thread.name));
            }
            if is_kill {
                kill_handle = Some(handle);
            } else {
                hot.push(handle);
            }
        }
        let killer =
            kill_handle.ok_or(EngineError::Start { what: "topology", why: "no thread for kill".into() })?;
        let journal = taping
            .map(|t| Ok((JournalWriter::spawn(t.drain, clock.clone())?, t.notes)))
            .transpose()
            .map_err(|e: std::io::Error| what("journal thread")(e.to_string()))?;
        Ok(Live {
            clock,
            controls,
            without,
            assets: all.assets,
            instruments: all.instruments,
            dials,
            segment,
            instance,
            control,
            switch_words,
            commander,
            rearm,
            hot,
            killer,
            hot_stop,
            kill_stop,
            dead,
            dialer,
            snapshots,
            last,
            journal,
            door,
        })
    }

    /// Notes a command, or a word about the engine, in the journal, if there is one.
    pub fn note(&self, text: &str) {
        if let Some((_, notes)) = &self.journal {
            notes.say(self.clock.now().0, text);
        }
    }

    /// Where others leave notes for the journal, if there is one.
    pub fn notes(&self) -> Option<journal::Notes> {
        self.journal.as_ref().map(|(_, notes)| notes.clone())
    }

    /// Why the journal cannot go on, if so: the gate is shut then.
    pub fn journal_fault(&self) -> Option<journal::Fault> {
        self.journal.as_ref().and_then(|(writer, _)| writer.health().fault())
    }

    /// Statistics right now (agents publish about every 50 ms).
    pub fn stats(&self) -> stats::Snapshot {
        self.segment.snapshot()
    }

    /// The kill switch right now.
    pub fn kill(&self) -> ControlSnapshot {
        self.control.snapshot()
    }

    /// Asks the kill thread for a stop.
    pub fn commander(&self) -> &Commander {
        &self.commander
    }

    /// Where a re-arm is asked for.
    pub fn rearm_desk(&self) -> &RearmDesk {
        &self.rearm
    }

    /// Handles for whoever carries out commands; the reading end of listings goes with the first.
    pub fn console(&self, state_dir: &Path) -> Console {
        Console {
            controls: self.controls.clone(),
            kill: ControlReader::over(self.switch_words.clone()),
            commander: self.commander.clone(),
            rearm: self.rearm.clone(),
            stats: self.segment.reader(),
            clock: self.clock.clone(),
            instruments: self.instruments.clone(),
            dir: self.dir().to_path_buf(),
            state_dir: state_dir.to_path_buf(),
            dead: self.dead.clone(),
            listing: self.controls.take_listing_reader(),
            rearming: false,
        }
    }

    /// Whether some thread has died by panic.
    pub fn is_dead(&self) -> bool {
        self.dead.iter().any(|flag| flag.load(Ordering::Acquire))
    }

    /// What fetching of snapshots has come to.
    pub fn snapshot_report(&self) -> SnapshotReport {
        self.snapshots.report()
    }

    /// The instance directory.
    pub fn dir(&self) -> &Path {
        self.instance.dir()
    }

    /// Stops the threads and collects what is left. A clean stop or a kill should have run before.
    pub fn stop(self) -> Ended {
        // Members first: what they have said is then in the rings, for those who are still here.
        drop(self.door);
        self.hot_stop.store(true, Ordering::Release);
        let mut panics = Vec::new();
        for handle in self.hot {
            panics.extend(handle.join().err().map(|p| p.to_string()));
        }
        // The kill thread outlives the senders: nobody sends unwatched.
        let kill = self.control.snapshot();
        self.kill_stop.store(true, Ordering::Release);
        panics.extend(self.killer.join().err().map(|p| p.to_string()));
        self.dialer.stop();
        self.snapshots.stop();
        let oms = self.last.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        let journal = self.journal.map(|(writer, _)| {
            let fault = writer.health().clone();
            (writer.stop(), fault.fault())
        });
        Ended { oms, stats: self.segment.snapshot(), kill, panics, journal }
    }
}

/// What a thread of the table is to be; duty cycles above `slow_cycle_us` count as slow.
pub fn thread_spec(thread: &topology::Thread, slow_cycle_us: u32) -> ThreadSpec {
    ThreadSpec {
        name: thread.name.clone(),
        core: thread.core,
        idle: idle(thread.idle),
        fifo: thread.fifo,
        slow_ns: u64::from(slow_cycle_us) * 1_000,
    }
}

fn idle(idle: topology::Idle) -> Idle {
    match idle {
        topology::Idle::Spin => Idle::Spin,
        topology::Idle::Pause => Idle::Pause,
        topology::Idle::Yield => Idle::Yield,
        topology::Idle::Park { ns } => Idle::Park { ns },
    }
}

const _: () = {
    /// Sinks move to their threads.
    const fn movable<T: CycleSink>() {}
    movable::<BeatSink>();
};
