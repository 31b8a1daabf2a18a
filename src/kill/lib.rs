//! The stop: one epoch that every sender looks at last before it sends, what trips it, and the latch by which it
//! outlives the program.
//!
//! ```text
//!  lines ─┐                         ┌──▶ control segment: epoch ──▶ KillView (gates, senders)
//!  beats ─┼─▶ KillLogic ─▶ KillDuty ┼──▶ Latch: fsynced file in the state directory
//!  flags ─┘   (pure)                └──▶ abort callback, for who has not acknowledged by the deadline
//!                                   ◀─── SenderAck: epoch, ts, cycle, orders sent
//! ```
//!
//! Rules that nothing here relaxes:
//! - the epoch is odd while tripped, born odd, and made even only by a start that found the latch clear and every
//!   line closed, or by a person who names the trip;
//! - any error of a line, a first bad sample, a beat too old or too far ahead, a thread that panics, an unreadable latch:
//!   all trip;
//! - the gate is shut when every sender has acknowledged the epoch or has been aborted;
//! - cancelling and closing positions is trading, and not done here.
//!
//! Deliberately absent: a thread, a clock (times are passed in), sockets, any knowledge of what senders send.
//! Unsafe code is confined to the signal handler and the kernel's random numbers.
//!
//! ```
//! # use {corelane_kill as kill, wire::Ts};
//! let mut switch = kill::KillSwitch::heap(&["gateway"])?;
//! let (view, ack) = (switch.view(), switch.sender("gateway")?);
//! assert!(view.is_tripped(), "born shut");
//! let armed = switch.arm();
//! assert!(view.allows(armed));
//! let epoch = switch.trip();
//! assert!(!view.allows(armed) && !switch.has_acked(0));
//! ack.acknowledge(epoch, Ts(5), 1, 0);
//! assert!(switch.has_acked(0), "one sender, so the gate is shut");
//! # Ok::<(), kill::ControlError>(())
//! ```

#![deny(unsafe_code)]

mod command;
mod control;
mod duty;
mod gate;
mod latch;
mod line;
mod logic;
mod observe;
mod random;
#[cfg(test)]
mod scratch;
mod sender;
mod signal;
mod trip;

pub use command::Commander;
pub use control::{
    CONTROL_FILE, ControlError, KillSwitch, LAYOUT_VERSION, LatchStatus, NAME_MAX, SENDERS_MAX, TYPE_ID,
    is_tripped,
};
pub use duty::{KillDuty, KillParts};
pub use gate::{KillView, Shut};
pub use latch::{
    LATCH_FILE, LATCH_UNREADABLE_FILE, Latch, LatchError, LatchRecord, LatchState, Rearm, RearmError, utc,
};
pub use line::{FileLine, Line, LineFault, LineSample};
pub use logic::{Inputs, KillConfig, KillLogic, Settle, State, Watched};
pub use observe::{ControlReader, ControlSnapshot, Progress, SenderSnapshot, TripTold};
pub use sender::SenderAck;
pub use signal::SignalFlag;
pub use trip::{Fault, Source, Trip, TripId};
