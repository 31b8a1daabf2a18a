//! The venue's rate budget: a token bucket for orders with a reserve that only cancels may touch.

use wire::Ts;

/// Tokens in thousandths, so that refill is exact in integers.
const MILLI: u64 = 1_000;

/// Requests per interval, refilled continuously.
#[derive(Clone, Debug)]
pub struct Budget {
    capacity_milli: u64,
    reserve_milli: u64,
    tokens_milli: u64,
    per_token_ns: u64,
    refilled: Ts,
}

impl Budget {
    /// At most `per_interval` requests in any `interval_ns` (both above zero): half of them at once, half by refill;
    /// `reserve` of those at once are kept for cancels.
    pub fn new(per_interval: u32, interval_ns: u64, reserve: u32, now: Ts) -> Budget {
        // Half at once and half by refill: no interval, wherever it begins, carries more than the whole.
        let per_interval = (per_interval / 2).max(1);
        let capacity_milli = per_interval as u64 * MILLI;
        Budget {
            capacity_milli,
            reserve_milli: reserve.min(per_interval - 1) as u64 * MILLI,
            tokens_milli: capacity_milli,
            per_token_ns: (interval_ns / per_interval as u64).max(1),
            refilled: now,
        }
    }

    /// Takes the tokens of one new order; `false` when only the cancels' reserve is left.
    #[inline]
    pub fn take_order(&mut self, now: Ts) -> bool {
        self.take_orders(1, now)
    }

    /// Takes a token for each of `n` new orders that one message carries, or none; `false` when that would touch the
    /// cancels' reserve.
    #[inline]
    pub fn take_orders(&mut self, n: u32, now: Ts) -> bool {
        self.refill(now);
        self.take(n as u64 * MILLI, self.reserve_milli)
    }

    /// Takes one token for a cancel; `false` when not even the reserve has one.
    #[inline]
    pub fn take_cancel(&mut self, now: Ts) -> bool {
        self.refill(now);
        self.take(MILLI, 0)
    }

    #[inline]
    fn take(&mut self, milli: u64, left_milli: u64) -> bool {
        let enough = self.tokens_milli >= milli + left_milli;
        if enough {
            self.tokens_milli -= milli;
        }
        enough
    }

    #[inline]
    fn refill(&mut self, now: Ts) {
        let milli = now.since_ns(self.refilled).saturating_mul(MILLI) / self.per_token_ns;
        if milli > 0 {
            self.tokens_milli = (self.tokens_milli + milli).min(self.capacity_milli);
            self.refilled = if self.tokens_milli == self.capacity_milli {
                now
            } else {
                self.refilled.plus_ns(milli * self.per_token_ns / MILLI)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancels_have_a_reserve_and_time_refills() {
        let mut b = Budget::new(20, 1_000_000_000, 3, Ts(0));
        assert_eq!((0..20).filter(|_| b.take_order(Ts(0))).count(), 7);
        assert_eq!((0..20).filter(|_| b.take_cancel(Ts(0))).count(), 3);
        assert!(!b.take_order(Ts(100_000_000)), "one token came back, the reserve keeps it");
        assert!(b.take_cancel(Ts(100_000_000)));
        assert_eq!((0..20).filter(|_| b.take_order(Ts(10_000_000_000))).count(), 7);
    }

    #[test]
    fn two_orders_in_a_message_take_two_tokens_or_none() {
        let mut b = Budget::new(20, 1_000_000_000, 3, Ts(0));
        assert_eq!((0..20).filter(|_| b.take_orders(2, Ts(0))).count(), 3, "7 beside the reserve");
        assert!(b.take_order(Ts(0)), "the odd one is left");
        assert_eq!((0..20).filter(|_| b.take_cancel(Ts(0))).count(), 3);
    }

    #[test]
    fn no_more_than_the_rate_in_any_window() {
        let mut b = Budget::new(100, 1_000_000_000, 0, Ts(0));
        let sent: Vec<u64> = (0..3_000u64).filter(|ms| b.take_order(Ts(ms * 1_000_000))).collect();
        let most =
            sent.iter().map(|from| sent.iter().filter(|ms| (*from..from + 1_000).contains(ms)).count());
        let most = most.max();
        assert!(
            matches!(most, Some(99 | 100)),
            "{most:?}: the first second carries the burst and the refill"
        );
        assert!(sent.len() >= 195, "{}: 50 at once and 50 a second for three seconds", sent.len());
    }
}
