//! `corelane run --agents NAME`: one agent of a running engine, as a process of its own.
//!
//! It joins through the door, takes its ring ends, lets go what was left in those it reads (market data of before, orders
//! that another gateway was to send: the oms knows them as unknown), and steps its agent. Declared gone, a strategy lets go
//! of everything and joins anew, with nothing of what it knew. When the engine dies it ends; a gateway cancels what is open
//! first, for nobody else can.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::{Agent, Clock, Runner, RunnerHandle, ThreadSpec};
use kill::{KillView, SenderAck};
use rings::{Access, Consumer, Ident, Segment};
use stats::StatsSegment;
use stats::instance::{self, Found};
use topology::{AgentName, Config, Topology};
use venue_binance::{ExchangeInfo, parse_exchange_info_full};
use wire::{InstrumentId, VenueId};

use super::hello::{BYE, DOOR_FILE, ENDED, READY, Welcome, ask, read_answer, rings_of};
use super::{Away, Member};
use crate::agents::gateway::Predecessors;
use crate::agents::killer::Handles;
use crate::cli::MemberArgs;
use crate::configured;
use crate::controls::{Controls, Mode, StopState, Told};
use crate::engine::assembly::{Assembly, GatewayEnds, StrategyEnds, strategy_agent};
use crate::engine::rings::Rings;
use crate::engine::{EngineError, in_full};
use crate::interrupt;
use crate::meters::{self, BeatSink, Meters};
use crate::run::host;
use crate::settings;
use crate::tape::Tape;
use crate::wiring::links;

/// Time between two looks at the engine.
const LOOK: Duration = Duration::from_millis(2);
/// How long an engine that is not there yet, or still deals with the one before, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a gateway may take to cancel what is open when the engine has died.
const LAST_STOP: Duration = Duration::from_secs(12);

/// Why a member could not join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// No engine.
    #[error("no engine is to be found: {0}")]
    NoEngine(String),
    /// The engine said no.
    #[error("refused by the engine ({code}): {why}")]
    Refused {
        /// [`super::hello::Refusal::code`].
        code: String,
        /// Its reason.
        why: String,
    },
    /// The connection to it.
    #[error("connection to the engine: {0}")]
    Connection(#[from] io::Error),
    /// What the agent needs cannot be had.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<rings::SegmentError> for JoinError {
    fn from(error: rings::SegmentError) -> JoinError {
        EngineError::from(error).into()
    }
}

fn refused(what: &'static str, why: impl ToString) -> EngineError {
    EngineError::Start { what, why: why.to_string() }
}

/// How a member's life with an engine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The engine ended in order.
    Ended,
    /// The engine died.
    Died,
    /// The engine had declared it gone.
    DeclaredGone,
    /// Its agent panicked.
    Panicked,
    /// Somebody asked it to end.
    Asked(&'static str),
}

/// Runs one agent; returns the process's exit code: 0 when it or the engine ended in order.
pub fn main(args: &MemberArgs) -> i32 {
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            in_full(&error).lines().for_each(|line| eprintln!("corelane {}: {line}", args.member.name()));
            1
        }
    }
}

fn run(args: &MemberArgs) -> Result<i32, JoinError> {
    let layered = configured::load_with_dirs(&args.config, &args.sets)
        .map_err(|e| refused("configuration", format!("refused\n{e}")))?;
    interrupt::catch().map_err(|e| refused("SIGINT and SIGTERM", e))?;
    let (member, name) = (args.member, args.member.name());
    let (mut first, mut dir) = (true, args.dir.clone());
    loop {
        let joined = match Joined::enter(&layered.config, member, dir.as_deref(), first) {
            Ok(joined) => joined,
            // There was an engine a moment ago.
            Err(JoinError::NoEngine(_)) if !first => {
                println!("{name}: the engine is gone");
                return Ok(1);
            }
            Err(error) => return Err(error),
        };
        (first, dir) = (false, Some(joined.dir.clone()));
        println!("{name} {} has joined {} as pid {}", joined.join, joined.dir.display(), std::process::id());
        let (end, said) = joined.live();
        said.into_iter().for_each(|line| println!("{name}: {line}"));
        match end {
            End::Ended => println!("{name}: the engine has ended"),
            End::Died => println!("{name}: the engine is gone"),
            End::Panicked => println!("{name}: its thread has died"),
            End::Asked(signal) => println!("{name}: {signal}: it has left"),
            End::DeclaredGone => {
                println!("{name}: it was silent for too long and counts as gone; it joins anew");
                continue;
            }
        }
        return Ok(i32::from(!matches!(end, End::Ended | End::Asked(_))));
    }
}

/// The directory of the engine to join.
fn find(config: &Config, dir: Option<&Path>) -> Result<PathBuf, JoinError> {
    let nobody = |why: &dyn ToString| JoinError::NoEngine(why.to_string());
    let base = match dir {
        Some(dir) => dir.to_path_buf(),
        None => host::shm_base(config)?,
    };
    let found = Found::at(&base).map_or_else(|| instance::newest(&base), Ok);
    let found = found.map_err(|e| nobody(&e))?;
    if found.alive { Ok(found.dir) } else { Err(nobody(&format!("{}: it is dead", found.dir.display()))) }
}

/// An agent that is part of an engine.
struct Joined {
    member: Member,
    join: u16,
    dir: PathBuf,
    stream: UnixStream,
    told: Told,
    runner: RunnerHandle,
    stop: Arc<AtomicBool>,
    /// What a gateway has besides.
    desk: Option<Desk>,
    said: Vec<String>,
}

/// What belongs to a gateway.
struct Desk {
    controls: Controls,
    dialer: net::Dialer,
}

impl Joined {
    /// Finds the engine and joins it; `wait` = for one that is not there yet.
    fn enter(config: &Config, member: Member, dir: Option<&Path>, wait: bool) -> Result<Joined, JoinError> {
        let began = Instant::now();
        let ident = meters::ident(config);
        loop {
            let error = match Joined::try_enter(config, member, dir, &ident) {
                Ok(joined) => return Ok(joined),
                Err(error) => error,
            };
            let may_change = match &error {
                JoinError::NoEngine(_) => wait,
                JoinError::Refused { code, .. } => code == "settling" || code == "there" && !wait,
                // The ends of one who has just died are free in a moment.
                JoinError::Engine(EngineError::Segment(rings::SegmentError::RoleTaken { .. })) => true,
                _ => false,
            };
            if !may_change || began.elapsed() > PATIENCE || interrupt::asked().is_some() {
                return Err(error);
            }
            std::thread::sleep(10 * LOOK);
        }
    }

    fn try_enter(
        config: &Config,
        member: Member,
        dir: Option<&Path>,
        ident: &Ident,
    ) -> Result<Joined, JoinError> {
        let dir = find(config, dir)?;
        let mut stream = UnixStream::connect(dir.join(DOOR_FILE))
            .map_err(|e| JoinError::NoEngine(format!("{}: {e}", dir.join(DOOR_FILE).display())))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let answer = ask(&mut stream, member, ident)?;
        let welcome = read_answer(&answer).map_err(|(code, why)| JoinError::Refused { code, why })?;
        let mut rings = Rings::default();
        for &ring in rings_of(member) {
            let fd = rings::receive(&stream)?;
            rings.put(ring, Segment::from_fd(fd, &rings::RING, Access::ReadWrite)?);
        }
        let told = Told::open(&dir, ident)?;
        let segment =
            StatsSegment::open(&dir, &meters::layout(settings::SLOTS), ident).map_err(EngineError::from)?;
        let left = rings_of(member).iter().map(|&ring| let_go(&rings, ring)).sum::<Result<usize, _>>()?;
        let mut said = Vec::new();
        if left > 0 {
            said.push(format!("{left} messages of before were let go"));
        }
        let parts = Parts { config, member, dir: &dir, ident, welcome: &welcome, rings: &rings, told: &told };
        let Meters { strategy, gateway, mut sinks, .. } =
            Meters::take(&segment).map_err(EngineError::from)?;
        let hand = Arc::new(stream.try_clone()?);
        let (agent, desk): (Box<dyn Agent + Send>, _) = match member {
            Member::Strategy => (parts.strategy(strategy)?, None),
            Member::Gateway => {
                let trace = segment.trace_reader().map_err(EngineError::from)?;
                let before = Predecessors { trace, any: welcome.join > 1 };
                let (agent, desk) = parts.gateway(gateway, before, hand, &mut said)?;
                (agent, Some(desk))
            }
        };
        stream.write_all(&[READY])?;
        await_place(&told, member, welcome.join, &mut stream)?;
        let mut sink = BeatSink::default();
        sink.add(&mut sinks, member.name());
        let stop = Arc::new(AtomicBool::new(false));
        let spec = parts.thread(&mut said)?;
        let runner = Runner::spawn(spec, vec![agent], welcome.clock.clone(), sink, stop.clone())
            .map_err(|e| refused("thread", e))?;
        said.extend(runner.placement().refused.as_ref().map(|why| format!("went without: {why}")));
        for line in said.drain(..) {
            println!("{}: {line}", member.name());
        }
        Ok(Joined { member, join: welcome.join, dir, stream, told, runner, stop, desk, said })
    }

    /// Until something ends it; what is to be said about that.
    fn live(mut self) -> (End, Vec<String>) {
        let end = self.wait();
        if end == End::Died {
            self.cancel_all();
        }
        self.stop.store(true, Ordering::Release);
        self.said.extend(self.runner.join().err().map(|panic| panic.to_string()));
        // Its agent is stopped: whatever it said is in the rings.
        let _ = self.stream.write_all(&[BYE]);
        if let Some(desk) = self.desk.take() {
            desk.dialer.stop();
        }
        (end, self.said)
    }

    fn wait(&mut self) -> End {
        let mut asked: Option<(&'static str, Instant)> = None;
        loop {
            std::thread::sleep(LOOK);
            match hear(&mut self.stream) {
                Heard::Nothing => {}
                Heard::Ended => return End::Ended,
                Heard::Died => return End::Died,
            }
            if self.runner.is_dead() {
                return End::Panicked;
            }
            if self.told.standing().of(self.member) != Away::Here(self.join) {
                return End::DeclaredGone;
            }
            asked = asked.or_else(|| interrupt::asked().map(|signal| (signal, Instant::now())));
            let Some((signal, since)) = asked else { continue };
            // A signal to all processes of an engine ends the engine, which needs its gateway for that.
            let needed = self.member == Member::Gateway
                && (self.told.mode() == Mode::Quiesce || since.elapsed() < Duration::from_secs(1));
            if !needed {
                return End::Asked(signal);
            }
        }
    }

    /// The engine has died, and the word that its processes read is nobody's: the clean stop is asked for in its stead.
    fn cancel_all(&mut self) {
        let Some(desk) = &self.desk else { return };
        desk.controls.quiesce();
        let began = Instant::now();
        while !desk.controls.has_stopped() && began.elapsed() < LAST_STOP && !self.runner.is_dead() {
            std::thread::sleep(LOOK);
        }
        let confirmed = desk.controls.has_stopped() && desk.controls.stop() == StopState::Confirmed;
        self.said.push(if confirmed {
            "the venue holds no open order".into()
        } else {
            "NOT confirmed that nothing is open: look at the venue".into()
        });
    }
}

enum Heard {
    Nothing,
    Ended,
    Died,
}

/// What the engine says: that it ends, or nothing, for ever.
fn hear(stream: &mut UnixStream) -> Heard {
    let mut byte = [0];
    match stream.read(&mut byte) {
        Ok(1) if byte[0] == ENDED => Heard::Ended,
        Ok(_) => Heard::Died,
        Err(e)
            if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
        {
            Heard::Nothing
        }
        Err(_) => Heard::Died,
    }
}

/// Waits until the engine says that this process is heard.
fn await_place(told: &Told, member: Member, join: u16, stream: &mut UnixStream) -> Result<(), JoinError> {
    stream.set_read_timeout(Some(LOOK))?;
    let began = Instant::now();
    while told.standing().of(member) != Away::Here(join) {
        if !matches!(hear(stream), Heard::Nothing) || began.elapsed() > PATIENCE {
            return Err(JoinError::NoEngine("it has gone while it was joined".into()));
        }
    }
    // From here on the socket is looked at in passing.
    stream.set_read_timeout(Some(Duration::from_micros(1)))?;
    Ok(())
}

/// Takes what stands in a ring that a member reads, and lets it go; how much it was.
fn let_go(rings: &Rings, ring: usize) -> Result<usize, JoinError> {
    if ring == crate::engine::rings::SIGNAL || ring == crate::engine::rings::REPORT_OMS {
        return Ok(0); // of these it has the other end
    }
    let mut consumer = Consumer::attach(rings.segment(ring)?)?;
    Ok((0..consumer.capacity()).take_while(|_| consumer.pop().is_some()).count())
}

/// What a member's agent is built from.
struct Parts<'a> {
    config: &'a Config,
    member: Member,
    dir: &'a Path,
    ident: &'a Ident,
    welcome: &'a Welcome,
    rings: &'a Rings,
    told: &'a Told,
}

impl Parts<'_> {
    fn listed(&self) -> Result<ExchangeInfo, EngineError> {
        let symbol = &self.config.instrument.symbol;
        let mut listing = self.welcome.listing.clone();
        Ok(parse_exchange_info_full(&mut listing, VenueId(0), &[symbol], InstrumentId(0))?)
    }

    fn clock(&self) -> Clock {
        self.welcome.clock.clone()
    }

    fn strategy(&self, meters: meters::StrategyMeters) -> Result<Box<dyn Agent + Send>, JoinError> {
        let info = self.listed()?;
        let first = info.instruments.first().ok_or_else(|| refused("instruments", "none listed"))?;
        let settings = settings::strategy(self.config, first)?;
        let ends = StrategyEnds { source: self.welcome.join, meters, tape: Tape::off() };
        let (rings, told) = (self.rings, self.told.clone());
        Ok(Box::new(strategy_agent(&info.instruments, settings, ends, rings, told, self.clock())?))
    }

    fn gateway(
        &self,
        meters: meters::GatewayMeters,
        before: Predecessors,
        hand: Arc<UnixStream>,
        said: &mut Vec<String>,
    ) -> Result<(Box<dyn Agent + Send>, Desk), JoinError> {
        let info = self.listed()?;
        let first = info.instruments.first().ok_or_else(|| refused("instruments", "none listed"))?;
        let credentials = host::credentials(self.config)?;
        let settings = settings::engine_settings(self.config, first, &info.rate_limits, credentials)?;
        let all = Assembly::new(&settings, info.instruments, self.clock())?;
        let order = host::endpoints(self.config)?.order;
        let seed = u64::from(std::process::id());
        let backend = links::backend(self.config, said);
        let specs = links::orders(self.config, &order, &all.order_target());
        let (dialer, mut made) = links::dial(self.config, backend, specs, seed)?;
        let (Some(standby), Some(primary)) = (made.pop(), made.pop()) else {
            return Err(refused("dialer", "fewer mailboxes than links").into());
        };
        let controls = Controls::open(self.dir, self.ident)?;
        let ends = GatewayEnds {
            primary,
            standby,
            meters,
            kill: KillView::open(self.dir, self.ident).map_err(EngineError::from)?,
            ack: SenderAck::open(self.dir, self.ident, "gateway").map_err(EngineError::from)?,
            handles: Handles::across(hand),
            rates: controls.rates(settings.weight_per_min),
            before: Some(before),
            tape: Tape::off(),
        };
        let gateway = all.gateway(ends, self.rings, controls.clone())?;
        Ok((Box::new(gateway), Desk { controls, dialer }))
    }

    fn thread(&self, said: &mut Vec<String>) -> Result<ThreadSpec, EngineError> {
        let agent = match self.member {
            Member::Strategy => AgentName::Strategy,
            Member::Gateway => AgentName::Gateway,
        };
        let allowed = agent::cpu::allowed_cores();
        let topology = Topology::build(self.config, &allowed).map_err(|e| refused("topology", e))?;
        if self.config.runtime.mlock
            && let Err(why) = agent::cpu::lock_memory()
        {
            said.push(format!("went without: locked memory: {why}"));
        }
        let thread = topology.thread_of(agent).ok_or_else(|| refused("topology", "no thread for it"))?;
        Ok(crate::wiring::thread_spec(thread, self.config.runtime.slow_cycle_us))
    }
}
