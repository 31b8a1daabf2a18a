//! The journal: what every agent was given and what it said, so that a run can be asked and repeated.
//!
//! ```text
//!   agent ── Tape ──▶ Recorder ──ring of bytes──▶ Drain ──▶ Store ──▶ files (mapped, rotated, within a budget)
//!   (hot thread)      one a thread                 (housekeeping)       │
//!   agent ◀── Tape ◀── Script ◀───────── cycles ◀── Session, Scan ◀─────┘
//!   (replay)                                                            └──▶ show, verify
//! ```
//!
//! - **A record is one duty cycle of one agent** in which something happened: its number, its time, then every input
//!   in the order in which the agent met it ([`Item`]), what it took from its rings, and a running hash of what it
//!   published. Idle cycles leave none. A record is whole or absent: no cycle is ever half known.
//! - **Inputs are stored, outputs are recomputed.** Only the bytes at the wire are kept as well, without key and
//!   signature. Replaying a journal gives each agent the same inputs and compares what it says.
//! - **Writing never waits.** On the way to an order a hot thread stores what it met in a buffer of its own; when
//!   every agent of the thread has had its turn, it copies the finished records into a ring of bytes. What does not
//!   fit raises a [`Fault`], which shuts the gate of the engine and is never taken back.
//! - **Process death is survived, power loss is not promised**: what has reached the mapping is the kernel's to keep.
//!   What was still in the ring or in the present turn, some hundred microseconds of a healthy engine, dies with its
//!   process.
//! - A reader trusts nothing: every length is bounded, every record carries a CRC-32C, and what is wrong is named
//!   with its offset.
//!
//! The layout of files and records is in [`layout`], that of items in [`item`]. Absent on purpose: clocks, threads
//! (the drain is stepped by whoever has one), any knowledge of venues, orders or the engine.

mod confined;
pub mod cycle;
mod drain;
mod fault;
pub mod item;
pub mod layout;
mod map;
mod read;
mod recorder;
mod script;
mod session;
mod store;
mod tape;
mod verify;

pub use cycle::{Cycle, CycleError};
pub use drain::{Drain, Note, Notes};
pub use fault::{Fault, Health};
pub use item::{Item, ItemError};
pub use layout::{EndReason, FileHeader, Kind};
pub use read::{Damage, File, OpenError, Record, Scan, Tail};
pub use recorder::RECORD_RESERVE;
pub use script::{Divergence, Put, Script};
pub use session::{Session, SessionError, SessionName};
pub use store::{DiskPolicy, Store, StoreConfig, StoreError, Totals};
pub use tape::{Tape, Tapes, Word};
pub use verify::{FileReport, Problem, Report, verify};
