//! Heartbeats: when an agent last ran, how far it is, and its longest duty cycle.
//!
//! | word | holds |
//! |---|---|
//! | 0 | time of the last beat, [`Ts`], 0 = never |
//! | 1 | duty cycle number at that beat |
//! | 2 | longest duty cycle, ns |
//! | 3 | when that one ended, [`Ts`] |
//! | 4 | [`AgentState`] |
//! | 5 | units of work done in all |
//! | 6 | time in duty cycles that found work, ns in all |
//! | 7 | duty cycles that took longer than word 8 |
//! | 8 | what counts as long, ns |
//! | 9 | time of the first beat, [`Ts`] |

use crate::cells::{Cell, SharedCell};
use wire::Ts;

pub(crate) const LAST: usize = 0;
pub(crate) const CYCLE: usize = 1;
pub(crate) const LONGEST_NS: usize = 2;
pub(crate) const LONGEST_AT: usize = 3;
pub(crate) const STATE: usize = 4;
pub(crate) const WORK: usize = 5;
pub(crate) const BUSY_NS: usize = 6;
pub(crate) const SLOW: usize = 7;
pub(crate) const SLOW_NS: usize = 8;
pub(crate) const SINCE: usize = 9;

/// Labels of the words, in order.
pub(crate) const LABELS: [&str; 10] = [
    "last_beat_ns",
    "cycles",
    "longest_cycle_ns",
    "longest_cycle_at_ns",
    "state",
    "work",
    "busy_ns",
    "slow_cycles",
    "slow_cycle_ns",
    "first_beat_ns",
];

/// Where an agent is in its life, as far as it said so itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AgentState {
    /// Declared; its thread has not spoken yet.
    #[default]
    Absent = 0,
    /// In its start hook.
    Starting = 1,
    /// Running duty cycles.
    Running = 2,
    /// Ended in order.
    Closed = 3,
    /// Ended by a panic.
    Panicked = 4,
}

impl AgentState {
    /// The state with this code; anything unknown is `Absent`.
    pub const fn from_u8(code: u8) -> AgentState {
        match code {
            1 => AgentState::Starting,
            2 => AgentState::Running,
            3 => AgentState::Closed,
            4 => AgentState::Panicked,
            _ => AgentState::Absent,
        }
    }

    /// Name for people.
    pub const fn name(self) -> &'static str {
        match self {
            AgentState::Absent => "absent",
            AgentState::Starting => "starting",
            AgentState::Running => "running",
            AgentState::Closed => "closed",
            AgentState::Panicked => "panicked",
        }
    }
}

/// The writing end of one agent's heartbeat.
#[derive(Debug)]
pub struct Beat {
    cell: Cell,
}

impl Beat {
    pub(crate) fn new(cell: Cell) -> Beat {
        Beat { cell }
    }

    /// Says: alive at `now`, in duty cycle `cycle`. About 2 ns.
    #[inline]
    pub fn beat(&self, now: Ts, cycle: u64) {
        self.cell.store(CYCLE, cycle);
        if self.cell.load(SINCE) == 0 {
            self.cell.store(SINCE, now.0);
        }
        // Release, read with Acquire by `BeatReader`: who sees this time sees what the agent did before.
        self.cell.store(LAST, now.0);
    }

    /// Says that a duty cycle ending at `now` took `cycle_ns`; kept when it is the longest so far. Returns
    /// whether it was.
    #[inline]
    pub fn longest(&self, now: Ts, cycle_ns: u64) -> bool {
        let longer = cycle_ns > self.cell.load(LONGEST_NS);
        if longer {
            self.cell.store(LONGEST_AT, now.0);
            self.cell.store(LONGEST_NS, cycle_ns);
        }
        longer
    }

    /// Adds units of work done.
    #[inline]
    pub fn work(&self, units: u64) {
        self.cell.store(WORK, self.cell.load(WORK).wrapping_add(units));
    }

    /// Adds to what is known of the duty: `busy_ns` in cycles that found work, and `slow` cycles that took longer than
    /// `slow_ns`.
    #[inline]
    pub fn duty(&self, busy_ns: u64, slow: u64, slow_ns: u64) {
        self.cell.store(BUSY_NS, self.cell.load(BUSY_NS).wrapping_add(busy_ns));
        self.cell.store(SLOW, self.cell.load(SLOW).wrapping_add(slow));
        self.cell.store(SLOW_NS, slow_ns);
    }

    /// Says where the agent is in its life.
    pub fn state(&self, state: AgentState) {
        self.cell.store(STATE, state as u64);
    }
}

/// The reading end, for the kill thread and anyone else who watches.
#[derive(Clone, Debug)]
pub struct BeatReader {
    cell: SharedCell,
}

impl BeatReader {
    pub(crate) fn new(cell: SharedCell) -> BeatReader {
        BeatReader { cell }
    }

    /// Time of the last beat; `Ts(0)` = never.
    #[inline]
    pub fn last(&self) -> Ts {
        Ts(self.cell.load(LAST))
    }

    /// Age of the last beat at `now`, ns; `u64::MAX` when there was none, 0 when it lies ahead of `now`.
    #[inline]
    pub fn age_ns(&self, now: Ts) -> u64 {
        match self.last() {
            Ts(0) => u64::MAX,
            last => now.since_ns(last),
        }
    }

    /// Where the agent is in its life.
    pub fn state(&self) -> AgentState {
        AgentState::from_u8(u8::try_from(self.cell.load(STATE)).unwrap_or(u8::MAX))
    }
}
