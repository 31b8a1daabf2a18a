//! What stands between an agent and the world, so that what it met can be recorded and played back.
//!
//! Each agent holds a [`Tape`]. Off, everything here passes through. Recording, each input is noted as it passes, and
//! what the agent publishes is folded into a hash. Replaying, the notes take the place of the world: the same agent
//! code runs, its links deliver recorded messages, its rings give as many messages as they gave then, and whatever it
//! says is compared.
//!
//! # What an agent must do to stay replayable
//!
//! 1. **Rings** are held as [`RingIn`] and [`RingOut`], links as [`TapedLink`], snapshot sources as
//!    [`TapedSnapshots`]; what was taken is reported by `Cycle::consumed`. `engine::assemble` does the wrapping.
//! 2. **Time** is `cycle.now()` or the time of a message. `cycle.stamp()` is for statistics, and for a link to stamp
//!    arriving bytes with; a second reading that decides anything, or leaves in a message, is `tape.stamp(..)`.
//! 3. **Words** of others (mode, kill epoch, heartbeats, a ring's room) are read through a [`Word`] with a channel of
//!    its own, and only the word's answer is used.
//! 4. **Idle cycles are not recorded.** Whoever changes state that decides anything because time has passed, without
//!    having met an input or published something, calls `tape.mark()` in that cycle. Better still: make that state a
//!    function of recorded cycles (a budget that refills when it is asked).
//! 5. No other source: no random number, no environment, no map with a seeded hash order.
//!
//! `tests/journal` replays runs of twenty seeds with faults; an agent that breaks a rule is named there with the cycle
//! in which it went another way.

mod link;
mod rings;
mod sink;
mod snapshots;
mod writer;

pub use journal::{Tape, Tapes, Word};
pub use link::{NoLink, TapedLink, redact};
pub use rings::{RingIn, RingOut};
pub use sink::TapeSink;
pub use snapshots::{NoSnapshots, TapedSnapshots};
pub use writer::{JournalError, JournalWriter, Session, Taping, agent_index, begin};

/// Channels of words and refusals within an agent: rings 0 to 5 by their numbers, and then these.
pub mod channel {
    /// The queue of snapshot requests.
    pub const SNAPSHOTS: u8 = 32;
    /// The control word.
    pub const CONTROL: u8 = 33;
    /// The kill epoch.
    pub const KILL: u8 = 34;
    /// Whether kill thread and epoch let an order leave.
    pub const MAY_SEND: u8 = 35;
    /// The journal's own fault.
    pub const JOURNAL: u8 = 36;
    /// Whether the order ring is empty.
    pub const ORDERS_EMPTY: u8 = 37;
    /// What REST has used of the venue's limits and been told of them: three words.
    pub const REST: u8 = 38;
    /// Who is there of those that live in processes of their own.
    pub const STANDING: u8 = 41;
    /// Whether a ring has room: 64 and the ring's number.
    pub const ROOM: u8 = 64;
    /// Unsent bytes of a link: 128 and the link's number.
    pub const UNSENT: u8 = 128;
}
