//! Replay of a journal: the agents rebuilt from its configuration, given what they were given, held to what they said.
//!
//! Every recorded cycle is one step of the same agent code. On one hot thread the journal's order is the order of the
//! run; with several, a cycle waits until the messages that it took have been published again, so the interleaving is
//! that of the run whatever the threads did. What is compared: the running hash of every ring, every byte at the wire
//! but key and signature, every abort, and that no input is left over or missing.
//!
//! Needs no credentials, no network and no clock.

mod why;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use agent::{Agent, Clock, Cycle, CycleSink, Pulse, RingId, VirtualClock};
use journal::{File, Item, Kind, OpenError, Put, Scan, Script, Session, Tail, Tape, Tapes};
use kill::{KillSwitch, is_tripped};
use serde_json::Value;
use stats::StatsSegment;
use stats::boards::Boards;
use topology::Config;
use venue_binance::{Credentials, parse_exchange_info_full};
use wire::{InstrumentId, Ts, VenueId};

use crate::agents::killer::Handles;
use crate::agents::oms::OmsFinal;
use crate::controls::Controls;
use crate::engine::{EngineError, EngineParts, RINGS, assemble};
use crate::meters::{self, AGENTS, Meters};
use crate::settings::engine_settings;
use crate::tape::{NoLink, NoSnapshots};
pub use why::{Event, Moment, Story, why};

/// Agents that are recorded.
const RECORDED: usize = 4;
/// Rings of a replay are so much longer than those of the run: with several threads the order of steps is not exactly
/// that of the run.
const RING_FACTOR: usize = 4;
/// Changes of epoch that a replay goes through to arm its switch as the run's was, at most.
const EPOCHS_MAX: u64 = 1_000_000;

/// Why a journal cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A file cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The session's beginning is not there: state is not stored, so nothing can be rebuilt.
    #[error("the session's first file is missing: this one is number {number}, and state is not stored")]
    Start {
        /// Number of the first file that is there.
        number: u32,
    },
    /// A record of the session's beginning is missing or is not what it must be.
    #[error("{what}: {why}")]
    Begin {
        /// Which.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// The engine cannot be built from it.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What a replay came to.
#[derive(Debug)]
pub struct Outcome {
    /// Cycles replayed, by agent.
    pub cycles: [u64; RECORDED],
    /// Messages at the wire that were compared.
    pub sent: u64,
    /// Publications compared: agent, ring and cycle each.
    pub published: u64,
    /// Where the replay first went another way.
    pub divergence: Option<journal::Divergence>,
    /// How the last file ends; `None` = nothing could be read of it.
    pub tail: Option<Tail>,
    /// Why reading stopped before the end, if it did.
    pub damage: Option<String>,
    /// Cycles that wait for messages whose record died with the process.
    pub waiting: u64,
    /// Sequence number of the last record that was read.
    pub last_seq: u64,
    /// What the oms knew at its closing, when the journal has that.
    pub oms: Option<OmsFinal>,
}

impl Outcome {
    /// Whether all that the journal holds came out the same.
    pub fn is_same(&self) -> bool {
        self.divergence.is_none() && self.damage.is_none()
    }

    /// Cycles of all agents.
    pub fn cycles_total(&self) -> u64 {
        self.cycles.iter().sum()
    }
}

/// Replays a session from its first file to its end, or to where it first goes another way.
///
/// # Errors
/// [`ReplayError`]: nothing was replayed.
pub fn replay(session: &Session) -> Result<Outcome, ReplayError> {
    replay_watched(session, None)
}

/// Told of every cycle that was replayed, and of what it published.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(&journal::Cycle<'_>, &[u8], &[Put]);

/// The same with somebody watching.
fn replay_watched(session: &Session, watch: Option<Watch<'_>>) -> Result<Outcome, ReplayError> {
    let mut files = session.files();
    let first = files.next().ok_or(ReplayError::Start { number: 0 })??;
    if first.header.number != 0 {
        return Err(ReplayError::Start { number: first.header.number });
    }
    let mut stage = Stage::build(&first, watch)?;
    let mut next = Some(first);
    while let Some(file) = next.take() {
        if !stage.file(&file) {
            break;
        }
        next = match files.next() {
            None => None,
            Some(Ok(file)) if Some(file.header.first_seq) == stage.seq.checked_add(1) => Some(file),
            Some(Ok(file)) => {
                let found = file.header.first_seq;
                stage.damage =
                    Some(format!("the next file begins at record {found}, expected {}", stage.seq + 1));
                None
            }
            Some(Err(error)) => {
                stage.damage = Some(error.to_string());
                None
            }
        };
    }
    Ok(stage.outcome())
}

fn body(scan: Scan<'_>, kind: Kind, what: &'static str) -> Result<Vec<u8>, ReplayError> {
    let mut scan = scan;
    let found = scan.find(|r| r.kind == kind).map(|r| r.body.to_vec());
    found.ok_or_else(|| ReplayError::Begin { what, why: "the record is not there".into() })
}

/// The agents, and what they wait for.
struct Stage<'w> {
    watch: Option<Watch<'w>>,
    agents: Vec<Box<dyn Agent>>,
    tapes: Vec<Tape>,
    clocks: Vec<(VirtualClock, Clock)>,
    last: Arc<Mutex<Option<OmsFinal>>>,
    /// Recorded cycles by stream, in order.
    queues: Vec<VecDeque<Vec<u8>>>,
    /// Messages in each ring.
    held: [i64; RINGS.len()],
    cycles: [u64; RECORDED],
    sent: u64,
    published: u64,
    divergence: Option<journal::Divergence>,
    tail: Option<Tail>,
    damage: Option<String>,
    seq: u64,
}

impl<'w> Stage<'w> {
    fn build(first: &File, watch: Option<Watch<'w>>) -> Result<Stage<'w>, ReplayError> {
        let begin = |what: &'static str| move |why: String| ReplayError::Begin { what, why };
        let begun = body(first.scan(), Kind::Config, "configuration")?;
        let wrong = |e: serde_json::Error| begin("configuration")(e.to_string());
        let mut begun: Value = serde_json::from_slice(&begun).map_err(wrong)?;
        let armed_epoch = begun["armed_epoch"].as_u64();
        let armed_epoch = armed_epoch.ok_or_else(|| begin("configuration")("no armed epoch".into()))?;
        let config: Config = serde_json::from_value(begun["config"].take()).map_err(wrong)?;
        let mut listing = body(first.scan(), Kind::Listing, "listing")?;
        let streams = body(first.scan(), Kind::Streams, "streams")?;
        let symbol = config.instrument.symbol.as_str();
        let info = parse_exchange_info_full(&mut listing, VenueId(0), &[symbol], InstrumentId(0))
            .map_err(EngineError::from)?;
        let listed = info.instruments.first();
        let listed = listed.ok_or_else(|| begin("listing")(format!("{symbol} is not in it")))?;
        // What these sign is cut out before it is compared.
        let nobody = Credentials::new("replay".into(), "replay".into()).map_err(EngineError::from)?;
        let mut settings = engine_settings(&config, listed, &info.rate_limits, nobody)?;
        settings.rings = settings.rings.map(|n| n * RING_FACTOR);
        let segment = StatsSegment::heap(&meters::layout(settings.slots)).map_err(EngineError::from)?;
        let Meters { feed, strategy, oms, gateway, .. } =
            Meters::take(&segment).map_err(EngineError::from)?;
        let switch = armed(armed_epoch)?;
        let tapes = Tapes::replay(RECORDED);
        let parts = EngineParts {
            market: NoLink,
            primary: NoLink,
            standby: NoLink,
            snapshots: NoSnapshots,
            feed_meters: feed,
            strategy_meters: strategy,
            oms_meters: oms,
            gateway_meters: gateway,
            boards: Boards::heap(info.instruments.len()).map_err(EngineError::from)?,
            kill: switch.view(),
            ack: switch.sender("gateway").map_err(EngineError::from)?,
            handles: Handles::default(),
            rates: crate::rate_book::SharedRates::new(settings.weight_per_min),
            controls: Controls::default(),
            stage: Clock::Virtual(VirtualClock::new(Ts(0))),
            stage_is_cycle_clock: false,
            tapes: tapes.clone(),
        };
        let built = assemble(&settings, info.instruments, parts)?;
        let clock = |_| {
            let time = VirtualClock::new(Ts(0));
            (time.clone(), Clock::Virtual(time))
        };
        if watch.is_some() {
            (0..RECORDED).for_each(|i| {
                tapes.of(i).script(Script::listen);
            });
        }
        Ok(Stage {
            watch,
            agents: vec![
                Box::new(built.feed),
                Box::new(built.strategy),
                Box::new(built.oms),
                Box::new(built.gateway),
            ],
            tapes: (0..RECORDED).map(|i| tapes.of(i)).collect(),
            clocks: (0..RECORDED).map(clock).collect(),
            last: built.last,
            queues: vec![VecDeque::new(); streams.iter().map(|s| *s as usize + 1).max().unwrap_or(1)],
            held: [0; RINGS.len()],
            cycles: [0; RECORDED],
            sent: 0,
            published: 0,
            divergence: None,
            tail: None,
            damage: None,
            seq: first.header.first_seq.wrapping_sub(1),
        })
    }

    /// Goes through one file; `false` when nothing after it can be replayed.
    fn file(&mut self, file: &File) -> bool {
        let mut scan = file.scan();
        for record in scan.by_ref() {
            self.seq = record.seq;
            if record.kind != Kind::Cycle {
                continue;
            }
            if let Err(why) = self.queue(record.stream, record.body) {
                self.damage = Some(format!("offset {}: {why}", record.offset));
                return false;
            }
            self.advance();
            if self.divergence.is_some() {
                return false;
            }
        }
        self.tail = scan.tail();
        if let Some(Tail::Damaged { at, damage }) = self.tail {
            self.damage = Some(format!("offset {at}: {damage}"));
            return false;
        }
        true
    }

    fn queue(&mut self, stream: u8, body: &[u8]) -> Result<(), String> {
        let cycle = journal::Cycle::decode(body).map_err(|e| e.to_string())?;
        cycle.check().map_err(|e| e.to_string())?;
        if cycle.agent as usize >= RECORDED {
            return Err(format!("agent {} is none of {RECORDED}", cycle.agent));
        }
        let queue = self.queues.get_mut(stream as usize);
        queue.ok_or_else(|| format!("stream {stream} was not announced"))?.push_back(body.to_vec());
        Ok(())
    }

    /// Steps whatever can be stepped, the earliest first.
    fn advance(&mut self) {
        while self.divergence.is_none() {
            let ready = |queue: &VecDeque<Vec<u8>>| {
                let cycle = journal::Cycle::decode(queue.front()?).ok()?;
                let here = cycle.items().map_while(Result::ok).all(|item| match item {
                    Item::Took { ring, count } => {
                        self.held.get(ring as usize).is_some_and(|held| *held >= count as i64)
                    }
                    _ => true,
                });
                here.then_some(cycle.now_ns)
            };
            let next = self.queues.iter().enumerate().filter_map(|(i, q)| Some((ready(q)?, i))).min();
            let Some((_, stream)) = next else { return };
            let Some(body) = self.queues[stream].pop_front() else { return };
            self.step(&body);
        }
    }

    /// One recorded cycle.
    fn step(&mut self, body: &[u8]) {
        let Ok(cycle) = journal::Cycle::decode(body) else { return };
        let i = cycle.agent as usize;
        let (tape, (time, clock)) = (&self.tapes[i], &self.clocks[i]);
        tape.script(|s| s.load(&cycle, body));
        time.set(Ts(cycle.now_ns));
        if cycle.closing {
            self.agents[i].on_close(Ts(cycle.now_ns));
        } else {
            let mut sink = Took(tape);
            let mut duty = Cycle::new(clock, i, cycle.number, &mut sink);
            self.agents[i].do_work(&mut duty);
        }
        tape.end(cycle.number, cycle.now_ns);
        self.divergence = tape.script(|s| s.divergence().cloned()).flatten();
        self.cycles[i] += 1;
        if let Some(watch) = &mut self.watch {
            tape.script(|s| watch(&cycle, body, s.said()));
        }
        for item in cycle.items().map_while(Result::ok) {
            match item {
                Item::Took { ring, count } => self.hold(ring, -(count as i64)),
                Item::Put { ring, count, .. } => {
                    self.hold(ring, count as i64);
                    self.published += 1;
                }
                Item::Sent { .. } => self.sent += 1,
                _ => {}
            }
        }
    }

    fn hold(&mut self, ring: u8, change: i64) {
        if let Some(held) = self.held.get_mut(ring as usize) {
            *held += change;
        }
    }

    fn outcome(mut self) -> Outcome {
        let waiting: u64 = self.queues.iter().map(|q| q.len() as u64).sum();
        // A journal that was closed in order holds the record of every message that was taken.
        let closed = matches!(self.tail, Some(Tail::Closed { fault: None, .. }));
        if waiting > 0 && closed && self.divergence.is_none() && self.damage.is_none() {
            self.damage = Some(format!("{waiting} cycles took messages that nobody published"));
        }
        Outcome {
            cycles: self.cycles,
            sent: self.sent,
            published: self.published,
            divergence: self.divergence,
            tail: self.tail,
            damage: self.damage,
            waiting,
            last_seq: self.seq,
            oms: self.last.lock().unwrap_or_else(PoisonError::into_inner).take(),
        }
    }
}

/// A switch armed at the epoch at which the run's was.
fn armed(epoch: u64) -> Result<KillSwitch, ReplayError> {
    let mut switch = KillSwitch::heap(&["gateway"]).map_err(EngineError::from)?;
    if is_tripped(epoch) || epoch > EPOCHS_MAX {
        let why = format!("armed epoch {epoch} must be even and at most {EPOCHS_MAX}");
        return Err(ReplayError::Begin { what: "configuration", why });
    }
    while switch.epoch() < epoch {
        switch.arm();
        if switch.epoch() < epoch {
            switch.trip();
        }
    }
    Ok(switch)
}

/// What the agent reports as taken goes to its tape, to be compared.
struct Took<'a>(&'a Tape);

impl CycleSink for Took<'_> {
    fn record(&mut self, _: usize, _: u64, ring: RingId, count: u32) {
        self.0.took(ring.0 as u8, count);
    }

    fn beat(&mut self, _: usize, _: &Pulse) {}
}

/// Name of a recorded agent.
pub fn agent_name(agent: u8) -> &'static str {
    AGENTS[..RECORDED].get(agent as usize).copied().unwrap_or("unknown")
}
