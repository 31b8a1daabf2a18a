//! Gives agents a thread: named, pinned, idling as asked, and never silently dead.
//!
//! ```text
//! spawn ─▶ pin ─▶ FIFO (if asked) ─▶ on_start ─▶ turn, idle, turn, ... ─▶ stop ─▶ on_close in order ─▶ Exit
//!           │ refused: SpawnError      └──────────── panic anywhere ────────────┐
//!           ▼                                                                   ▼
//!        no thread                         dead flag ─▶ on_close of the others ─▶ Panicked
//! ```

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use crate::cpu::{self, Refused};
use crate::{Agent, AgentTotals, Clock, CycleSink, Idle, Invoker, panic_flag};

/// What a thread is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadSpec {
    /// Name, shown by `top -H`; the kernel keeps its first 15 bytes.
    pub name: String,
    /// Core to pin to; `None` leaves the thread to the scheduler.
    pub core: Option<usize>,
    /// What to do when a turn found nothing.
    pub idle: Idle,
    /// SCHED_FIFO priority, 1..=99; `None` keeps the normal class.
    pub fifo: Option<u8>,
    /// A duty cycle that takes longer counts as slow, ns.
    pub slow_ns: u64,
}

/// Where a thread ended up.
#[derive(Debug)]
pub struct Placement {
    /// Core it is pinned to.
    pub core: Option<usize>,
    /// SCHED_FIFO priority it runs at.
    pub fifo: Option<u8>,
    /// Why it does not run at the priority asked for; it runs in the normal class.
    pub refused: Option<Refused>,
}

/// Why a thread was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The system gave no thread, or the name holds a zero byte.
    #[error("thread {thread:?} not started: {error}")]
    Thread {
        /// Its name.
        thread: String,
        /// What the system said.
        error: io::Error,
    },
    /// The thread cannot be where the table says.
    #[error("thread {thread:?} not started: {refused}")]
    Pin {
        /// Its name.
        thread: String,
        /// Why.
        refused: Refused,
    },
}

/// What the agents of a thread did until they were stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// In stepping order.
    pub agents: Vec<AgentTotals>,
}

/// A thread that ended by panic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("agent {agent:?} on thread {thread:?} panicked: {message}")]
pub struct Panicked {
    /// The thread's name.
    pub thread: String,
    /// The agent that ran.
    pub agent: String,
    /// What it said.
    pub message: String,
}

/// Starts threads; see the module.
pub struct Runner;

impl Runner {
    /// Starts a thread that steps `agents` in order until `stop`. Returns when the thread has its core and
    /// class, just before `on_start`.
    ///
    /// # Errors
    /// [`SpawnError`]. SCHED_FIFO that is refused is no error: see [`RunnerHandle::placement`].
    pub fn spawn<S: CycleSink + 'static>(
        spec: ThreadSpec,
        agents: Vec<Box<dyn Agent + Send>>,
        clock: Clock,
        sink: S,
        stop: Arc<AtomicBool>,
    ) -> Result<RunnerHandle, SpawnError> {
        Runner::spawn_watched(spec, agents, clock, sink, stop, Arc::new(AtomicBool::new(false)))
    }

    /// The same with a `dead` flag that others already watch. Any panic on the thread sets it, before its
    /// message is printed; nothing ever clears it. One flag may serve all threads of an engine.
    ///
    /// # Errors
    /// As [`Runner::spawn`].
    pub fn spawn_watched<S: CycleSink + 'static>(
        spec: ThreadSpec,
        agents: Vec<Box<dyn Agent + Send>>,
        clock: Clock,
        sink: S,
        stop: Arc<AtomicBool>,
        dead: Arc<AtomicBool>,
    ) -> Result<RunnerHandle, SpawnError> {
        let name = spec.name.clone();
        let (placed, placement) = mpsc::sync_channel(1);
        let thread_dead = dead.clone();
        let body = move || {
            panic_flag::raise_on_panic(thread_dead.clone());
            let place = place(&spec);
            let go_on = place.is_ok();
            // The spawner waits for exactly this message; if it is gone, nobody wants the thread.
            if placed.send(place).is_err() || !go_on {
                return Ok(Exit { agents: Vec::new() });
            }
            live(&spec, agents, clock, sink, &stop, &thread_dead)
        };
        // A name with a zero byte makes `Builder::spawn` panic; refuse it like any other bad name.
        if name.contains('\0') {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "the name holds a zero byte");
            return Err(SpawnError::Thread { thread: name, error });
        }
        let thread = std::thread::Builder::new().name(name.clone()).spawn(body);
        let thread = thread.map_err(|error| SpawnError::Thread { thread: name.clone(), error })?;
        match placement.recv() {
            Ok(Ok(placement)) => Ok(RunnerHandle { name, placement, dead, thread }),
            Ok(Err(refused)) => Err(SpawnError::Pin { thread: name, refused }),
            Err(_) => {
                let error = io::Error::other("it ended before it was placed");
                Err(SpawnError::Thread { thread: name, error })
            }
        }
    }
}

/// A running thread. Dropping the handle leaves the thread to run; its panic is then known by the flag alone.
#[must_use = "join it, or a panic's message goes unread"]
#[derive(Debug)]
pub struct RunnerHandle {
    name: String,
    placement: Placement,
    dead: Arc<AtomicBool>,
    thread: JoinHandle<Result<Exit, Panicked>>,
}

impl RunnerHandle {
    /// Waits for the thread to end. Set `stop` first.
    ///
    /// # Errors
    /// [`Panicked`]: which agent, and what it said.
    pub fn join(self) -> Result<Exit, Panicked> {
        match self.thread.join() {
            Ok(end) => end,
            // Only what runs outside the catch: a drop of the agents that panics.
            Err(payload) => {
                Err(Panicked { thread: self.name, agent: "runner".to_owned(), message: message(&*payload) })
            }
        }
    }

    /// The thread's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it ended up, and what was refused.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Whether the flag of [`Runner::spawn_watched`] is up.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Whether the thread has ended, by stop or by panic.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

fn place(spec: &ThreadSpec) -> Result<Placement, Refused> {
    if let Some(core) = spec.core {
        cpu::pin(core)?;
    }
    if spec.idle.sleeps() {
        cpu::wake_on_time();
    }
    let (fifo, refused) = match spec.fifo.map(|p| (p, cpu::fifo(p))) {
        None => (None, None),
        Some((priority, Ok(()))) => (Some(priority), None),
        Some((_, Err(refused))) => (None, Some(refused)),
    };
    Ok(Placement { core: spec.core, fifo, refused })
}

fn live<S: CycleSink>(
    spec: &ThreadSpec,
    agents: Vec<Box<dyn Agent + Send>>,
    clock: Clock,
    sink: S,
    stop: &AtomicBool,
    dead: &AtomicBool,
) -> Result<Exit, Panicked> {
    let agents = agents.into_iter().map(|a| -> Box<dyn Agent> { a }).collect();
    let mut invoker = Invoker::new(agents, clock, sink).with_slow_ns(spec.slow_ns);
    // After a panic only `running`, the totals, the sink's `ended` and the other agents' `on_close` are touched:
    // the agent that panicked, whose state may be half written, is never called again.
    let end = catch_unwind(AssertUnwindSafe(|| {
        invoker.start();
        turns(&mut invoker, spec.idle, stop);
        invoker.close();
    }));
    match end {
        Ok(()) => Ok(Exit { agents: invoker.all_totals().cloned().collect() }),
        Err(payload) => Err(bury(spec, &mut invoker, &*payload, dead)),
    }
}

/// Everything that runs per turn is below this call.
#[inline]
fn turns<S: CycleSink>(invoker: &mut Invoker<'_, S>, idle: Idle, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        if invoker.step() == 0 {
            idle.idle();
        }
    }
}

#[cold]
fn bury<S: CycleSink>(
    spec: &ThreadSpec,
    invoker: &mut Invoker<'_, S>,
    payload: &(dyn Any + Send),
    dead: &AtomicBool,
) -> Panicked {
    // The hook has done so already, unless someone replaced it.
    dead.store(true, Ordering::Release);
    let culprit = invoker.running();
    let agent = invoker.totals(culprit).map_or_else(|| "runner".to_owned(), |t| t.name.clone());
    let _ = catch_unwind(AssertUnwindSafe(|| invoker.sink_mut().ended(culprit, true)));
    for i in (0..invoker.len()).filter(|&i| i != culprit) {
        // A second panic has been printed by the hook; the first is the one to report.
        let _ = catch_unwind(AssertUnwindSafe(|| invoker.close_agent(i)));
    }
    Panicked { thread: spec.name.clone(), agent, message: message(payload) }
}

fn message(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a value that is not text".to_owned(),
    }
}
