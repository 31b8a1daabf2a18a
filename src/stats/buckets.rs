//! The bucket arithmetic of HdrHistogram, fixed at three significant digits from 1 ns to 100 s.
//!
//! Values below 2048 have a bucket each; above, every doubling is cut into 1024 buckets, so a bucket is never
//! wider than a thousandth of its value. An index is a count of leading zeros, a shift and an add.
//!
//! | values, ns | bucket width, ns | indices |
//! |---|---|---|
//! | 0 .. 2047 | 1 | 0 .. 2047 |
//! | 2048 .. 4095 | 2 | 2048 .. 3071 |
//! | 2^(10+k) .. 2^(11+k) − 1 | 2^k | 1024·(k+1) .. 1024·(k+2) − 1 |
//!
//! Source: HdrHistogram, `AbstractHistogram.countsArrayIndex`, with `lowestDiscernibleValue` 1,
//! `highestTrackableValue` 10^11 and three digits; quantiles follow `getValueAtPercentile`.

/// Largest value told apart, ns: 100 s. What is longer counts as this.
pub const VALUE_MAX_NS: u64 = 100_000_000_000;

/// Buckets of a histogram, each one word.
pub const BUCKETS: usize = 28 * HALF;

/// Half of the 2048 sub-buckets that three significant digits need.
pub(crate) const HALF: usize = 1024;
const HALF_BITS: u32 = 10;

const _: () = assert!(index_of(VALUE_MAX_NS) < BUCKETS && index_of(u64::MAX) == index_of(VALUE_MAX_NS));

/// Bucket of a value in ns; always below [`BUCKETS`].
#[inline]
pub const fn index_of(value_ns: u64) -> usize {
    let value = if value_ns > VALUE_MAX_NS { VALUE_MAX_NS } else { value_ns };
    let shift = 64 - (HALF_BITS + 1) - (value | (2 * HALF as u64 - 1)).leading_zeros();
    // In bucket `shift`, the top eleven bits of the value; those of bucket 0 start below HALF.
    ((shift as usize) << HALF_BITS) + (value >> shift) as usize
}

/// Smallest value of a bucket, ns.
pub const fn lowest_ns(index: usize) -> u64 {
    if index < 2 * HALF {
        return index as u64;
    }
    ((index % HALF + HALF) as u64) << (index / HALF - 1)
}

/// Width of a bucket, ns.
pub const fn width_ns(index: usize) -> u64 {
    if index < 2 * HALF { 1 } else { 1 << (index / HALF - 1) }
}

/// Largest value of a bucket, ns.
pub const fn highest_ns(index: usize) -> u64 {
    lowest_ns(index) + width_ns(index) - 1
}

/// The counts of one histogram, copied out, and what can be asked of them.
///
/// The copy is not taken at one instant when the writer lives; every answer is computed from the counts in
/// the copy alone, so it is consistent with itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistCounts {
    counts: Vec<u64>,
    total: u64,
}

impl HistCounts {
    /// From counts by bucket; those beyond [`BUCKETS`] are not read.
    pub fn from_counts(counts: impl IntoIterator<Item = u64>) -> HistCounts {
        let mut counts: Vec<u64> = counts.into_iter().take(BUCKETS).collect();
        counts.resize(BUCKETS, 0);
        let total = counts.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
        HistCounts { counts, total }
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The buckets that are not empty, lowest first: its largest value, ns, and its count. Recorded into an
    /// HdrHistogram of the same bounds they give its counts back.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, n)| **n > 0)
            .map(|(i, n)| (highest_ns(i).min(VALUE_MAX_NS), *n))
    }

    /// Value at a quantile in `0.0..=1.0`, ns: the largest value of the bucket in which it falls, as
    /// HdrHistogram answers. Zero when empty. Quantile 0 gives the smallest value of the lowest bucket.
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        let wanted = ((quantile.clamp(0.0, 1.0) * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0u64;
        for (index, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= wanted {
                return if quantile == 0.0 { lowest_ns(index) } else { highest_ns(index) };
            }
        }
        // Only rounding of a total beyond 2^53 can ask for more than there is.
        self.max_ns()
    }

    /// Largest value of the highest bucket that is not empty, ns; zero when all are.
    pub fn max_ns(&self) -> u64 {
        self.counts.iter().rposition(|count| *count > 0).map_or(0, highest_ns)
    }

    /// Mean of the values, each taken as the middle of its bucket, ns; zero when empty.
    pub fn mean_ns(&self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        let mut mean = 0.0;
        for (index, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let middle = lowest_ns(index) + (width_ns(index) >> 1);
            mean += middle as f64 * (*count as f64 / self.total as f64);
        }
        mean
    }

    /// What was counted since `earlier`; a bucket that ran backwards counts nothing.
    pub fn since(&self, earlier: &HistCounts) -> HistCounts {
        HistCounts::from_counts(
            self.counts.iter().zip(&earlier.counts).map(|(now, then)| now.saturating_sub(*then)),
        )
    }

    /// The usual figures.
    pub fn summary(&self) -> HistSnapshot {
        HistSnapshot {
            count: self.total,
            p50_ns: self.quantile_ns(0.5),
            p90_ns: self.quantile_ns(0.9),
            p99_ns: self.quantile_ns(0.99),
            p999_ns: self.quantile_ns(0.999),
            max_ns: self.max_ns(),
            mean_ns: self.mean_ns(),
        }
    }
}

/// The usual figures of one histogram, true to three significant digits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HistSnapshot {
    /// Number of values.
    pub count: u64,
    /// Median, ns.
    pub p50_ns: u64,
    /// 90th percentile, ns.
    pub p90_ns: u64,
    /// 99th percentile, ns.
    pub p99_ns: u64,
    /// 99.9th percentile, ns.
    pub p999_ns: u64,
    /// Largest, ns.
    pub max_ns: u64,
    /// Mean, ns.
    pub mean_ns: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;

    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*state ^ *state >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd)
    }

    #[test]
    fn buckets_tile_the_range() {
        let mut next = 0;
        for index in 0..BUCKETS {
            assert_eq!(lowest_ns(index), next, "bucket {index}");
            next = highest_ns(index) + 1;
            if highest_ns(index) <= VALUE_MAX_NS {
                assert_eq!(index_of(lowest_ns(index)), index);
                assert_eq!(index_of(highest_ns(index)), index);
            }
        }
    }

    #[test]
    fn answers_equal_hdrhistogram() {
        for seed in 1..=12u64 {
            let mut state = seed;
            let mut hdr = Histogram::<u64>::new_with_bounds(1, VALUE_MAX_NS, 3).unwrap();
            let mut counts = vec![0u64; BUCKETS];
            for _ in 0..20_000 {
                let bits = random(&mut state) % (4 + seed * 5);
                let value = random(&mut state) >> (63 - bits % 64);
                // Between 100 s and 2^37 ns the reference still tells apart what counts as 100 s here.
                hdr.record(value.min(VALUE_MAX_NS)).unwrap();
                counts[index_of(value)] += 1;
            }
            let ours = HistCounts::from_counts(counts);
            assert_eq!(ours.count(), hdr.len());
            for step in 0..=1000 {
                let quantile = step as f64 / 1000.0;
                assert_eq!(ours.quantile_ns(quantile), hdr.value_at_quantile(quantile), "{seed}: {quantile}");
            }
            for quantile in [0.9999, 0.99999, 1.0, 2.0] {
                assert_eq!(ours.quantile_ns(quantile), hdr.value_at_quantile(quantile), "{seed}: {quantile}");
            }
            let mean_error = (ours.mean_ns() - hdr.mean()).abs() / hdr.mean();
            assert!(mean_error < 1e-9, "{seed}: {} and {}", ours.mean_ns(), hdr.mean());
        }
    }

    #[test]
    fn bucket_edges_equal_hdrhistogram() {
        let hdr = Histogram::<u64>::new_with_bounds(1, VALUE_MAX_NS, 3).unwrap();
        let mut state = 99;
        for _ in 0..20_000 {
            let value = (random(&mut state) >> (random(&mut state) % 64)).min(VALUE_MAX_NS);
            let index = index_of(value);
            assert_eq!(lowest_ns(index), hdr.lowest_equivalent(value));
            assert_eq!(highest_ns(index), hdr.highest_equivalent(value));
        }
    }

    #[test]
    fn empty_and_hostile_counts_answer() {
        let empty = HistCounts::from_counts([]);
        assert_eq!((empty.count(), empty.quantile_ns(0.99), empty.max_ns()), (0, 0, 0));
        assert_eq!(empty.mean_ns(), 0.0);
        let full = HistCounts::from_counts(std::iter::repeat_n(u64::MAX, BUCKETS + 5));
        assert_eq!(full.count(), u64::MAX);
        assert!(full.summary().p50_ns <= full.max_ns());
    }

    #[test]
    fn an_interval_is_the_difference() {
        let then = HistCounts::from_counts([1, 2, 3]);
        let now = HistCounts::from_counts([1, 5, 2]);
        assert_eq!(now.since(&then), HistCounts::from_counts([0, 3, 0]));
    }
}
