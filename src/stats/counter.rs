//! Counters and gauges: one word, one writer.

use crate::cells::Cell;

/// A rising count. Sent to the thread that counts, which alone writes it: a load, an add, a store.
#[derive(Debug)]
pub struct Counter {
    cell: Cell,
}

impl Counter {
    pub(crate) fn new(cell: Cell) -> Counter {
        Counter { cell }
    }

    /// Adds `n`, wrapping at 2^64. About 1 ns.
    #[inline]
    pub fn add(&self, n: u64) {
        self.cell.store(0, self.cell.load(0).wrapping_add(n));
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// The count so far, a previous writer's included.
    #[inline]
    pub fn count(&self) -> u64 {
        self.cell.load(0)
    }
}

/// A signed level: depth, position, state code.
#[derive(Debug)]
pub struct Gauge {
    cell: Cell,
}

impl Gauge {
    pub(crate) fn new(cell: Cell) -> Gauge {
        Gauge { cell }
    }

    /// Stores the level. About 1 ns.
    #[inline]
    pub fn set(&self, level: i64) {
        self.cell.store(0, level as u64);
    }

    /// The level last stored.
    #[inline]
    pub fn level(&self) -> i64 {
        self.cell.load(0) as i64
    }
}
