//! Rate limits: fixed windows aligned to the clock, request weight by address, unfilled orders by account.

use super::config::SimLimits;
use super::reject::Reject;
use std::io::Write;
use std::ops::Range;
use wire::Ts;

const SECOND_NS: u64 = 1_000_000_000;
/// Windows of the three limits, ns.
const TEN_SECONDS_NS: u64 = 10 * SECOND_NS;
const MINUTE_NS: u64 = 60 * SECOND_NS;
const DAY_NS: u64 = 86_400 * SECOND_NS;
/// Length of the first ban, and of the longest.
const BAN_FIRST_NS: u64 = 120 * SECOND_NS;
const BAN_MAX_NS: u64 = 3 * DAY_NS;
/// What the first fill of an order gives back: 1 as taker, 5 as maker (`order_count_decrement.md`, examples 1 and 2).
const TAKER_CREDIT: u32 = 1;
const MAKER_CREDIT: u32 = 5;

/// What has been used of each limit.
pub(super) struct Rates {
    limits: SimLimits,
    orders_10s: Window,
    orders_day: Window,
    weight: Window,
    /// Requests over the limit in the current minute.
    over: u32,
    bans: u32,
    banned_until: Option<Ts>,
}

struct Window {
    len_ns: u64,
    started: u64,
    count: u32,
}

impl Window {
    fn new(len_ns: u64) -> Window {
        Window { len_ns, started: 0, count: 0 }
    }

    fn roll(&mut self, now: Ts) -> &mut Window {
        let started = now.0 / self.len_ns * self.len_ns;
        if started != self.started {
            self.started = started;
            self.count = 0;
        }
        self
    }

    fn ends_ms(&self) -> u64 {
        (self.started + self.len_ns) / 1_000_000
    }
}

impl Rates {
    pub(super) fn new(limits: SimLimits) -> Rates {
        Rates {
            limits,
            orders_10s: Window::new(TEN_SECONDS_NS),
            orders_day: Window::new(DAY_NS),
            weight: Window::new(MINUTE_NS),
            over: 0,
            bans: 0,
            banned_until: None,
        }
    }

    pub(super) fn limits(&self) -> &SimLimits {
        &self.limits
    }

    /// Charges a request's weight; it is charged even when it is refused. Who goes on regardless is banned.
    pub(super) fn charge(&mut self, now: Ts, weight: u32) -> Result<(), Reject> {
        if let Some(until) = self.banned_until.filter(|until| *until > now) {
            return Err(Reject::banned(until.as_ms()));
        }
        let started = self.weight.started;
        let window = self.weight.roll(now);
        if window.started != started {
            self.over = 0;
        }
        window.count = window.count.saturating_add(weight);
        if window.count <= self.limits.weight_per_min {
            return Ok(());
        }
        self.over += 1;
        if self.limits.ban_after != 0 && self.over > self.limits.ban_after {
            let ban_ns = BAN_FIRST_NS.saturating_mul(1 << self.bans.min(20)).min(BAN_MAX_NS);
            let until = now.plus_ns(ban_ns);
            self.bans += 1;
            self.banned_until = Some(until);
            return Err(Reject::banned(until.as_ms()));
        }
        Err(Reject::too_much_weight(self.limits.weight_per_min, window.ends_ms()))
    }

    /// Counts new orders, or refuses them uncounted.
    pub(super) fn take_orders(&mut self, now: Ts, n: u32) -> Result<(), Reject> {
        let short = self.orders_10s.roll(now);
        if short.count.saturating_add(n) > self.limits.orders_per_10s {
            return Err(Reject::too_many_orders(self.limits.orders_per_10s, "10 SECOND", short.ends_ms()));
        }
        let day = self.orders_day.roll(now);
        if day.count.saturating_add(n) > self.limits.orders_per_day {
            return Err(Reject::too_many_orders(self.limits.orders_per_day, "1 DAY", day.ends_ms()));
        }
        self.orders_10s.count += n;
        self.orders_day.count += n;
        Ok(())
    }

    /// An order traded for the first time.
    pub(super) fn first_fill(&mut self, now: Ts, maker: bool) {
        let credit = if maker { MAKER_CREDIT } else { TAKER_CREDIT };
        for window in [&mut self.orders_10s, &mut self.orders_day] {
            window.roll(now);
            window.count = window.count.saturating_sub(credit);
        }
    }

    /// Appends the `rateLimits` array of a reply.
    pub(super) fn put_used(&mut self, out: &mut Vec<u8>, orders: bool, now: Ts) {
        let used = self.used(now);
        self.put(out, if orders { 0 } else { 2 }..3, Some(used));
    }

    /// Appends what is used of the limits of orders.
    pub(super) fn put_orders_used(&mut self, out: &mut Vec<u8>, now: Ts) {
        let used = self.used(now);
        self.put(out, 0..2, Some(used));
    }

    /// Appends the `rateLimits` array of `exchangeInfo`.
    pub(super) fn put_limits(&self, out: &mut Vec<u8>) {
        self.put(out, 0..3, None);
    }

    /// Headers of an HTTP answer; the counts of orders go with a request that placed one.
    pub(super) fn headers(&self, orders: bool, retry_after_s: Option<u64>) -> Vec<(String, String)> {
        let weight = self.weight.count;
        let mut headers = vec![("X-MBX-USED-WEIGHT", weight), ("X-MBX-USED-WEIGHT-1M", weight)];
        if orders {
            headers.push(("X-MBX-ORDER-COUNT-10S", self.orders_10s.count));
            headers.push(("X-MBX-ORDER-COUNT-1D", self.orders_day.count));
        }
        let mut headers: Vec<(String, String)> =
            headers.into_iter().map(|(name, n)| (name.to_string(), n.to_string())).collect();
        headers.extend(retry_after_s.map(|s| ("Retry-After".to_string(), s.to_string())));
        headers
    }

    fn used(&mut self, now: Ts) -> [u32; 3] {
        [self.orders_10s.roll(now).count, self.orders_day.roll(now).count, self.weight.roll(now).count]
    }

    fn put(&self, out: &mut Vec<u8>, which: Range<usize>, used: Option<[u32; 3]>) {
        let rows = [
            ("ORDERS", "SECOND", 10, self.limits.orders_per_10s),
            ("ORDERS", "DAY", 1, self.limits.orders_per_day),
            ("REQUEST_WEIGHT", "MINUTE", 1, self.limits.weight_per_min),
        ];
        out.push(b'[');
        for (i, (kind, interval, num, limit)) in rows.into_iter().enumerate() {
            if !which.contains(&i) {
                continue;
            }
            if out.last() != Some(&b'[') {
                out.push(b',');
            }
            let _ = write!(
                out,
                r#"{{"rateLimitType":"{kind}","interval":"{interval}","intervalNum":{num},"limit":{limit}"#
            );
            if let Some(used) = used {
                let _ = write!(out, r#","count":{}"#, used[i]);
            }
            out.push(b'}');
        }
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates() -> Rates {
        Rates::new(SimLimits {
            orders_per_10s: 2,
            orders_per_day: 3,
            weight_per_min: 10,
            ban_after: 2,
            ..SimLimits::default()
        })
    }

    #[test]
    fn windows_follow_the_clock() {
        let mut r = rates();
        let t = Ts(1_000_000_000 * SECOND_NS + 9 * SECOND_NS);
        assert!(r.take_orders(t, 1).is_ok() && r.take_orders(t, 1).is_ok());
        let refused = r.take_orders(t, 1).expect_err("the third");
        assert_eq!((refused.code, refused.status), (-1015, 429));
        assert_eq!(refused.retry_after_ms, Some(1_000_000_010_000));
        let later = t.plus_ns(SECOND_NS);
        assert!(r.take_orders(later, 1).is_ok(), "a new window");
        assert_eq!(r.take_orders(later, 1).map_err(|e| e.msg.contains("DAY")), Err(true));

        assert!(r.charge(t, 10).is_ok());
        assert_eq!(r.charge(t, 1).map_err(|e| (e.code, e.status)), Err((-1003, 429)));
        assert!(r.charge(t.plus_ns(MINUTE_NS), 10).is_ok());
    }

    #[test]
    fn who_goes_on_regardless_is_banned_and_for_longer_each_time() {
        let mut r = rates();
        let t = Ts(1_000_000_000 * SECOND_NS);
        assert!(r.charge(t, 10).is_ok());
        let statuses: Vec<u16> = (0..4).map(|_| r.charge(t, 1).map_or_else(|e| e.status, |()| 200)).collect();
        assert_eq!(statuses, [429, 429, 418, 418]);
        let banned = r.charge(t.plus_ns(119 * SECOND_NS), 1).expect_err("still");
        assert_eq!((banned.code, banned.retry_after_ms), (-1003, Some(1_000_000_120_000)));
        let later = t.plus_ns(120 * SECOND_NS);
        assert!(r.charge(later, 10).is_ok(), "lifted");
        let [.., again] = [0; 3].map(|_| r.charge(later, 1).map_err(|e| e.retry_after_ms));
        assert_eq!(again, Err(Some(1_000_000_360_000)), "four minutes the second time");
    }

    #[test]
    fn fills_give_orders_back() {
        let mut r = rates();
        let t = Ts(40 * SECOND_NS);
        assert!(r.take_orders(t, 1).is_ok() && r.take_orders(t, 1).is_ok());
        r.first_fill(t, false);
        assert!(r.take_orders(t, 1).is_ok());
        assert!(r.take_orders(t, 1).is_err());
        r.first_fill(t, true);
        assert!(r.take_orders(t, 1).is_ok() && r.take_orders(t, 1).is_ok());
    }
}
