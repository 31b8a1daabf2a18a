//! Token bucket in integers.

use wire::Ts;

/// A token in the bucket's unit: one token comes in every `UNIT / rate` nanoseconds.
const UNIT: u64 = 1_000_000_000;

/// Admits `rate_per_s` a second in the long run and `burst` at once after a pause. Exact: the level is kept in
/// billionths of a token, so no fraction is lost between looks. Time that runs backwards adds nothing.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    rate_per_s: u64,
    level_max: u64,
    level: u64,
    ts: Ts,
}

impl TokenBucket {
    /// A full bucket. Both numbers are taken as at least 1 and at most 2³¹.
    pub fn new(rate_per_s: u32, burst: u32) -> TokenBucket {
        let level_max = (burst.clamp(1, 1 << 31)) as u64 * UNIT;
        TokenBucket {
            rate_per_s: rate_per_s.clamp(1, 1 << 31) as u64,
            level_max,
            level: level_max,
            ts: Ts(0),
        }
    }

    /// Whole tokens there would be at `now`.
    #[inline]
    pub fn available(&self, now: Ts) -> u64 {
        self.level_at(now) / UNIT
    }

    /// Whether a token is there at `now`; takes none.
    #[inline]
    pub fn has(&self, now: Ts) -> bool {
        self.level_at(now) >= UNIT
    }

    /// Takes a token; false, and nothing taken, when there is none.
    #[inline]
    pub fn take(&mut self, now: Ts) -> bool {
        let level = self.level_at(now);
        if level < UNIT {
            return false;
        }
        self.level = level - UNIT;
        self.ts = self.ts.max(now);
        true
    }

    /// The same bucket with another rate and burst: what is over the new burst is lost, nothing is gained.
    pub fn with_rate(&self, rate_per_s: u32, burst: u32) -> TokenBucket {
        let new = TokenBucket::new(rate_per_s, burst);
        TokenBucket { level: self.level.min(new.level_max), ts: self.ts, ..new }
    }

    #[inline]
    fn level_at(&self, now: Ts) -> u64 {
        let gained = now.since_ns(self.ts).saturating_mul(self.rate_per_s);
        self.level.saturating_add(gained).min(self.level_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate_to_the_nanosecond() {
        let mut b = TokenBucket::new(3, 2);
        let t0 = Ts(5_000_000_000);
        assert!(b.take(t0) && b.take(t0) && !b.take(t0));
        // A third of a second, rounded up: 333 333 333 ns make 0.999999999 of a token.
        assert!(!b.take(t0.plus_ns(333_333_333)));
        assert!(b.take(t0.plus_ns(333_333_334)));
        assert_eq!(b.available(t0.plus_ns(10_000_000_000)), 2);
    }

    #[test]
    fn in_the_long_run_exactly_the_rate() {
        let mut b = TokenBucket::new(1_000, 10);
        let taken = (0..10_000_000u64).filter(|i| b.take(Ts(1 + i * 1_000))).count();
        // 10 s less one look: the burst and 1 000 a second.
        assert_eq!(taken, 10 + 9_999);
    }

    #[test]
    fn a_refusal_costs_nothing_and_time_backwards_gives_nothing() {
        let mut b = TokenBucket::new(1, 1);
        assert!(b.take(Ts(10_000_000_000)));
        for _ in 0..100 {
            assert!(!b.take(Ts(10_500_000_000)) && !b.take(Ts(0)));
        }
        assert!(b.take(Ts(11_000_000_000)));
        assert!(!b.take(Ts(11_999_999_999)));
        assert!(b.take(Ts(u64::MAX)));
        // A token taken at an earlier time does not set the bucket's clock back.
        let mut b = TokenBucket::new(1, 2);
        assert!(b.take(Ts(10_000_000_000)) && b.take(Ts(5_000_000_000)) && !b.take(Ts(10_000_000_000)));
    }

    #[test]
    fn a_new_rate_gives_nothing_away() {
        let mut b = TokenBucket::new(1, 5);
        for _ in 0..5 {
            assert!(b.take(Ts(0)));
        }
        let mut wider = b.with_rate(1, 100);
        assert!(!wider.take(Ts(0)));
        assert_eq!(TokenBucket::new(1, 5).with_rate(1, 2).available(Ts(0)), 2);
    }
}
