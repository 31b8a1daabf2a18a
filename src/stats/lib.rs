//! What the engine says of itself while it runs: counters, gauges, latency histograms, heartbeats, and when each
//! order passed each stage, in one shared-memory file per engine.
//!
//! ```text
//!  agents ──▶ handles (Counter Gauge Hist Beat TraceWriter TickWriter SignalWriter)
//!                │ plain stores, one writer per cell
//!                ▼
//!     /dev/shm/corelane-<uid>/<instance>/stats ──▶ StatsReader ──▶ Snapshot ──▶ tools, exporters
//!                │                                  (read-only, alive or dead)
//!                └──▶ BeatReader ──▶ kill thread;  TickReader ──▶ oms
//! ```
//!
//! Everything is declared in a [`Layout`] before the start; [`StatsSegment`] hands each cell out once, to the
//! thread that will write it. A write is one or two plain moves: nothing locks, allocates, formats or enters the
//! kernel. The names lie in the segment, so a reader knows no engine: `readers/` has one for C and one for Python.
//!
//! Deliberately absent: a clock (times are passed in), the meaning of any name, history.
//!
//! ```
//! # use corelane_stats as stats;
//! use stats::{Layout, StatsSegment};
//! let mut layout = Layout::new();
//! layout.counter("feed.messages").hist("feed.parse");
//! let segment = StatsSegment::heap(&layout)?;
//! let messages = segment.counter("feed.messages")?;
//! assert!(segment.counter("feed.messages").is_err(), "one writer per cell");
//! std::thread::spawn(move || messages.inc()).join().unwrap();
//! assert_eq!(segment.snapshot().counters, [("feed.messages".to_string(), 1)]);
//! # Ok::<(), stats::StatsError>(())
//! ```
//!
//! A handle moves to its thread but cannot be shared by two:
//!
//! ```
//! fn movable<T: Send>() {}
//! movable::<corelane_stats::Counter>();
//! ```
//! ```compile_fail,E0277
//! fn shareable<T: Sync>() {}
//! shareable::<corelane_stats::Counter>();
//! ```

#![forbid(unsafe_code)]

mod beat;
pub mod boards;
pub mod buckets;
mod cells;
mod counter;
mod hist;
pub mod instance;
mod layout;
mod reader;
#[cfg(test)]
mod scratch;
mod segment;
mod tick;
mod trace;

pub use beat::{AgentState, Beat, BeatReader};
pub use buckets::{HistCounts, HistSnapshot, VALUE_MAX_NS};
pub use counter::{Counter, Gauge};
pub use hist::Hist;
pub use layout::{CellKind, Layout, LayoutError, NAME_MAX, ROWS_MAX, owner_of};
pub use reader::{AgentSnapshot, Snapshot, StatsReader};
pub use segment::{LAYOUT_VERSION, STATS_FILE, StatsError, StatsSegment, TYPE_ID};
pub use tick::{SignalWriter, Tick, TickReader, TickWriter};
pub use trace::{Field, OrderTrace, STAGES, TraceReader, TraceWriter};
