//! Typed limits and the inline gate that every order passes.
//!
//! Raw numbers become [`Limits`] once, or are refused with field, value and rule; only checked limits reach a
//! [`Gate`]. The gate judges one order of one instrument against limits, the venue's rules and the state of the
//! moment. Whatever it cannot know blocks: a book that is not in sync, data that is old or from the future, a
//! side of the touch that is empty. Cancels never pass through it: taking risk off needs no permission.
//!
//! The crate has no clock, no I/O and no unsafe code; time is an input.

#![forbid(unsafe_code)]

mod gate;
mod limits;
mod rate;
mod reject;

pub use book::Top;
pub use gate::{Gate, GateInputs, GateOrder, TIME_AHEAD_MAX_NS};
pub use limits::{LimitError, Limits, LimitsSpec};
pub use rate::TokenBucket;
pub use reject::Reject;
