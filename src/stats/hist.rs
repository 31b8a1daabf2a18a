//! Latency histograms: one word per bucket, one writer.

use crate::buckets::index_of;
use crate::cells::Cell;

/// Records durations into the buckets of [`crate::buckets`]. There is no running total, maximum or sum: a
/// reader derives all from the buckets, so a record is one load and one store.
#[derive(Debug)]
pub struct Hist {
    cell: Cell,
}

impl Hist {
    pub(crate) fn new(cell: Cell) -> Hist {
        Hist { cell }
    }

    /// Counts one duration in ns; beyond 100 s it counts as 100 s. About 2 ns when its bucket is in cache.
    #[inline]
    pub fn record(&self, ns: u64) {
        let index = index_of(ns);
        self.cell.store(index, self.cell.load(index).wrapping_add(1));
    }
}
