//! Where in an order its executions lie, from reports that may come twice or out of order.
//!
//! An execution with quantity `q` and cumulative quantity `c` is the half-open interval `(c - q, c]` of the
//! order. Intervals already covered are duplicates; the covered part is one prefix plus a few detached
//! intervals that wait for an earlier execution still on its way.

/// Executions that may wait at once for an earlier one. One stream delivers in order, so even one is rare.
const DETACHED: usize = 8;

/// What an interval is to those known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cover {
    /// New; it is covered now.
    New,
    /// Wholly covered before.
    Duplicate,
    /// Partly covered: two reports contradict each other. Nothing changed.
    Overlap,
    /// More intervals wait than can be kept. Nothing changed.
    TooMany,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Covered {
    /// `(0, prefix]` is covered.
    prefix: i64,
    /// Sorted, disjoint, not touching each other nor the prefix: `(from, to]`.
    detached: [(i64, i64); DETACHED],
    n: u8,
}

impl Covered {
    pub(crate) const NOTHING: Covered = Covered { prefix: 0, detached: [(0, 0); DETACHED], n: 0 };

    /// Covers `(from, to]`; the caller ensures `0 <= from < to`.
    #[inline]
    pub(crate) fn cover(&mut self, from: i64, to: i64) -> Cover {
        if from == self.prefix && self.n == 0 {
            self.prefix = to;
            return Cover::New;
        }
        self.cover_out_of_order(from, to)
    }

    #[cold]
    fn cover_out_of_order(&mut self, from: i64, to: i64) -> Cover {
        if to <= self.prefix {
            return Cover::Duplicate;
        }
        if from < self.prefix {
            return Cover::Overlap;
        }
        let n = self.n as usize;
        for &(a, b) in &self.detached[..n] {
            if from >= a && to <= b {
                return Cover::Duplicate;
            }
            if from < b && a < to {
                return Cover::Overlap;
            }
        }
        if from == self.prefix {
            self.prefix = to;
        } else {
            let touches = self.detached[..n].iter_mut().find(|i| i.1 == from || i.0 == to);
            match touches {
                Some(i) if i.1 == from => i.1 = to,
                Some(i) => i.0 = from,
                None if n == DETACHED => return Cover::TooMany,
                None => {
                    self.detached[n] = (from, to);
                    self.n += 1;
                }
            }
        }
        self.join();
        Cover::New
    }

    /// Sorts, then merges intervals that touch, the prefix first.
    fn join(&mut self) {
        let n = self.n as usize;
        self.detached[..n].sort_unstable();
        let mut kept = 0;
        for i in 0..n {
            let (from, to) = self.detached[i];
            if from == self.prefix {
                self.prefix = to;
            } else if kept > 0 && self.detached[kept - 1].1 == from {
                self.detached[kept - 1].1 = to;
            } else {
                self.detached[kept] = (from, to);
                kept += 1;
            }
        }
        // What is not in use is zero, so that equal covers are equal values.
        self.detached[kept..n].fill((0, 0));
        self.n = kept as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_with_repeats_covers_each_part_once() {
        let mut state = 3u64;
        let mut next = move |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % n
        };
        for _ in 0..2_000 {
            let cuts = 1 + next(DETACHED as u64 * 2) as usize;
            let mut at = 0;
            let parts: Vec<(i64, i64)> = (0..cuts)
                .map(|_| {
                    let from = at;
                    at += 1 + next(5) as i64;
                    (from, at)
                })
                .collect();
            let mut order: Vec<usize> = (0..cuts).chain(0..cuts).collect();
            for i in (1..order.len()).rev() {
                order.swap(i, next(i as u64 + 1) as usize);
            }
            let mut covered = Covered::NOTHING;
            let mut seen = vec![false; cuts];
            for i in order {
                let expect = if seen[i] { Cover::Duplicate } else { Cover::New };
                assert_eq!(covered.cover(parts[i].0, parts[i].1), expect);
                seen[i] = true;
            }
            assert_eq!((covered.prefix, covered.n), (at, 0));
        }
    }

    #[test]
    fn contradictions_change_nothing() {
        let mut c = Covered::NOTHING;
        assert_eq!(c.cover(0, 10), Cover::New);
        assert_eq!(c.cover(20, 30), Cover::New);
        let before = c;
        for (from, to) in [(5, 15), (15, 25), (25, 35), (15, 35), (0, 11)] {
            assert_eq!(c.cover(from, to), Cover::Overlap, "({from}, {to}]");
        }
        assert_eq!(c, before);
        assert_eq!(c.cover(3, 7), Cover::Duplicate);
    }

    #[test]
    fn waiting_intervals_are_bounded() {
        let mut c = Covered::NOTHING;
        for i in 0..DETACHED as i64 {
            assert_eq!(c.cover(10 + 2 * i, 11 + 2 * i), Cover::New);
        }
        let before = c;
        assert_eq!(c.cover(100, 101), Cover::TooMany);
        assert_eq!(c, before);
        assert_eq!(c.cover(0, 10), Cover::New);
        assert_eq!(c.cover(100, 101), Cover::New);
    }
}
