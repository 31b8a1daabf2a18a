//! The tick table: when a market event was received, parsed and acted on, by its sequence in the market ring.
//!
//! ```text
//! row (8 words)   0 cause + 1 (0 = being written)   1 recv   2 parsed      written by the feed
//!                 3 cause + 1                       4 signal               written by the strategy
//!                 5..8 zero
//! ```
//!
//! The row of an event is its sequence modulo the rows, so an event is forgotten after as many others. Each
//! half carries the sequence it belongs to, cleared before and set after its times: a reader that finds its
//! own sequence on both sides of its reading has one event's times, else none.

use crate::cells::{Cell, SharedCell};
use crate::layout::TICK_WORDS;
use std::sync::atomic::{Ordering, fence};
use wire::Ts;

const FEED_CAUSE: usize = 0;
const RECV: usize = 1;
const PARSED: usize = 2;
const SIGNAL_CAUSE: usize = 3;
const SIGNAL: usize = 4;

/// Labels of the words of a row, in order.
pub(crate) const LABELS: [&str; 5] =
    ["feed_cause_plus_1", "recv_ns", "parsed_ns", "strategy_cause_plus_1", "signal_ns"];

fn row_at(cause: u32, rows: usize) -> usize {
    (cause as usize & (rows - 1)) * TICK_WORDS
}

/// What is known of one market event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// Its bytes became visible; with `parsed`.
    pub recv: Option<Ts>,
    /// It was parsed and published.
    pub parsed: Option<Ts>,
    /// A strategy acted on it.
    pub signal: Option<Ts>,
}

/// The feed's end of the tick table.
#[derive(Debug)]
pub struct TickWriter {
    cell: Cell,
    rows: usize,
}

impl TickWriter {
    pub(crate) fn new(cell: Cell, rows: usize) -> TickWriter {
        TickWriter { cell, rows }
    }

    /// Tells when the event of this market-ring sequence (low 32 bits) was received and parsed. About 3 ns.
    #[inline]
    pub fn parsed(&self, cause: u32, recv: Ts, parsed: Ts) {
        let row = row_at(cause, self.rows);
        self.cell.store(row + FEED_CAUSE, 0);
        // Partner: the Acquire fence in `TickReader::read`. No time below is seen before the clearing above.
        fence(Ordering::Release);
        self.cell.store(row + RECV, recv.0);
        self.cell.store(row + PARSED, parsed.0);
        self.cell.store(row + FEED_CAUSE, cause as u64 + 1);
    }
}

/// The strategy's end of the tick table.
#[derive(Debug)]
pub struct SignalWriter {
    cell: Cell,
    rows: usize,
}

impl SignalWriter {
    pub(crate) fn new(cell: Cell, rows: usize) -> SignalWriter {
        SignalWriter { cell, rows }
    }

    /// Tells when the strategy acted on the event of this market-ring sequence. About 2 ns.
    #[inline]
    pub fn signal(&self, cause: u32, signal: Ts) {
        let row = row_at(cause, self.rows);
        self.cell.store(row + SIGNAL_CAUSE, 0);
        // Partner: the Acquire fence in `TickReader::read`.
        fence(Ordering::Release);
        self.cell.store(row + SIGNAL, signal.0);
        self.cell.store(row + SIGNAL_CAUSE, cause as u64 + 1);
    }
}

/// Reads the tick table; oms copies from it into the order trace.
#[derive(Clone, Debug)]
pub struct TickReader {
    cell: SharedCell,
    rows: usize,
}

impl TickReader {
    pub(crate) fn new(cell: SharedCell, rows: usize) -> TickReader {
        TickReader { cell, rows }
    }

    /// What is known of the event of this market-ring sequence; nothing when it was overwritten. About 3 ns
    /// in cache.
    #[inline]
    pub fn read(&self, cause: u32) -> Tick {
        let row = row_at(cause, self.rows);
        let mut tick = Tick::default();
        let own = cause as u64 + 1;
        if self.cell.load(row + FEED_CAUSE) == own {
            let (recv, parsed) = (self.cell.load(row + RECV), self.cell.load(row + PARSED));
            fence(Ordering::Acquire);
            if self.cell.load(row + FEED_CAUSE) == own {
                (tick.recv, tick.parsed) = (Some(Ts(recv)), Some(Ts(parsed)));
            }
        }
        if self.cell.load(row + SIGNAL_CAUSE) == own {
            let signal = self.cell.load(row + SIGNAL);
            fence(Ordering::Acquire);
            if self.cell.load(row + SIGNAL_CAUSE) == own {
                tick.signal = Some(Ts(signal));
            }
        }
        tick
    }
}
