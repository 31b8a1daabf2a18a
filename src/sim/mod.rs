//! The whole engine in one thread: agents and simulated venue stepped in turn, from a seed and a virtual clock.
//!
//! Sockets, clock and kill line are stand-ins ([`wires`], [`agent::VirtualClock`], [`kill::Line`]); every other
//! part is the one that runs live. Time moves to the next thing that is due, so hours pass in seconds. The same
//! seed gives the same order bytes; a failing seed reproduces itself.
//!
//! Determinism stops at the stage stamps: they are read from the machine's clock and go to the statistics only.

mod one_thread;
mod snapshots;
pub mod wires;

pub use one_thread::{Fate, OneThread, RestTamper, SimOutcome, SimSetup};
pub use snapshots::MemSnapshots;
