//! Duty cycles and what drives them: the [`Agent`] trait, the [`Invoker`] that steps agents in a fixed order,
//! the [`Runner`] that gives an invoker a pinned thread, clocks, pools, and probes of the machine itself.
//!
//! ```text
//!   Runner (thread, core, idle, FIFO)
//!     └─ Invoker ── step ──▶ Agent::do_work(&mut Cycle) ──▶ consumed(ring, count) ─┐
//!                               (each agent once, in order)                        ▼
//!                                                       CycleSink: interleaving record and heartbeat
//! ```
//!
//! - The invoker knows no thread, so the one-thread engine, replay and the live engine run the same code.
//! - Time is read once per agent and cycle and handed over as a value; an agent that needs a second look for a
//!   stage stamp asks [`Cycle::stamp`].
//! - What an agent took from its rings is reported per cycle to a [`CycleSink`]. A journal is a sink: it can be
//!   added without touching an agent.
//! - Every duty cycle is timed: its longest, the share of time in cycles that found work, and how many took longer
//!   than a bound go out with the heartbeat ([`Pulse`]).
//! - A panic is caught at the thread's edge, names thread and agent, and raises a shared flag before a single
//!   line of it is printed ([`Runner`]).
//! - After start nothing here allocates, locks or formats; the only system calls are those of the idle strategy
//!   asked for (yield, park).
//!
//! Absent on purpose: rings (agents own theirs), statistics, configuration, and any word of trading.

mod clock;
pub mod cpu;
mod cycle;
mod idle;
mod invoker;
mod panic_flag;
pub mod pool;
pub mod probe;
mod runner;
mod slow_beat;
mod tsc;

pub use clock::{Clock, VirtualClock, WallClock};
pub use cycle::{Agent, Cycle, CycleSink, Pulse, RingId};
pub use idle::Idle;
pub use invoker::{AgentTotals, Invoker};
pub use pool::Pool;
pub use runner::{Exit, Panicked, Placement, Runner, RunnerHandle, SpawnError, ThreadSpec};
pub use slow_beat::SlowBeat;
pub use tsc::{Calibration, NoTsc, TscClock};
