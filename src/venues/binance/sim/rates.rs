//! Rate limits: fixed windows aligned to the clock, request weight by address, unfilled orders by account.

use super::config::SimLimits;
use super::reject::Reject;
use std::io::Write;
use wire::Ts;

const SECOND_NS: u64 = 1_000_000_000;
/// Windows of the three limits, ns.
const TEN_SECONDS_NS: u64 = 10 * SECOND_NS;
const MINUTE_NS: u64 = 60 * SECOND_NS;
const DAY_NS: u64 = 86_400 * SECOND_NS;
/// What the first fill of an order gives back: 1 as taker, 5 as maker (`order_count_decrement.md`, examples 1 and 2).
const TAKER_CREDIT: u32 = 1;
const MAKER_CREDIT: u32 = 5;

/// What has been used of each limit.
pub(super) struct Rates {
    limits: SimLimits,
    orders_10s: Window,
    orders_day: Window,
    weight: Window,
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
        }
    }

    pub(super) fn limits(&self) -> &SimLimits {
        &self.limits
    }

    /// Charges a request's weight; it is charged even when it is refused.
    pub(super) fn charge(&mut self, now: Ts, weight: u32) -> Result<(), Reject> {
        let window = self.weight.roll(now);
        window.count = window.count.saturating_add(weight);
        if window.count > self.limits.weight_per_min {
            return Err(Reject::too_much_weight(self.limits.weight_per_min, window.ends_ms()));
        }
        Ok(())
    }

    /// Counts a new order, or refuses it uncounted.
    pub(super) fn take_order(&mut self, now: Ts) -> Result<(), Reject> {
        let short = self.orders_10s.roll(now);
        if short.count >= self.limits.orders_per_10s {
            return Err(Reject::too_many_orders(self.limits.orders_per_10s, "10 SECOND", short.ends_ms()));
        }
        let day = self.orders_day.roll(now);
        if day.count >= self.limits.orders_per_day {
            return Err(Reject::too_many_orders(self.limits.orders_per_day, "1 DAY", day.ends_ms()));
        }
        self.orders_10s.count += 1;
        self.orders_day.count += 1;
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
        let used =
            [self.orders_10s.roll(now).count, self.orders_day.roll(now).count, self.weight.roll(now).count];
        self.put(out, orders, Some(used));
    }

    /// Appends the `rateLimits` array of `exchangeInfo`.
    pub(super) fn put_limits(&self, out: &mut Vec<u8>) {
        self.put(out, true, None);
    }

    fn put(&self, out: &mut Vec<u8>, orders: bool, used: Option<[u32; 3]>) {
        let rows = [
            ("ORDERS", "SECOND", 10, self.limits.orders_per_10s),
            ("ORDERS", "DAY", 1, self.limits.orders_per_day),
            ("REQUEST_WEIGHT", "MINUTE", 1, self.limits.weight_per_min),
        ];
        out.push(b'[');
        for (i, (kind, interval, num, limit)) in rows.into_iter().enumerate().skip(if orders { 0 } else { 2 })
        {
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
            stream_requests_per_s: 5,
        })
    }

    #[test]
    fn windows_follow_the_clock() {
        let mut r = rates();
        let t = Ts(1_000_000_000 * SECOND_NS + 9 * SECOND_NS);
        assert!(r.take_order(t).is_ok() && r.take_order(t).is_ok());
        let refused = r.take_order(t).expect_err("the third");
        assert_eq!((refused.code, refused.status), (-1015, 429));
        assert_eq!(refused.retry_after_ms, Some(1_000_000_010_000));
        let later = t.plus_ns(SECOND_NS);
        assert!(r.take_order(later).is_ok(), "a new window");
        assert_eq!(r.take_order(later).map_err(|e| e.msg.contains("DAY")), Err(true));

        assert!(r.charge(t, 10).is_ok());
        assert_eq!(r.charge(t, 1).map_err(|e| (e.code, e.status)), Err((-1003, 429)));
        assert!(r.charge(t.plus_ns(MINUTE_NS), 10).is_ok());
    }

    #[test]
    fn fills_give_orders_back() {
        let mut r = rates();
        let t = Ts(40 * SECOND_NS);
        assert!(r.take_order(t).is_ok() && r.take_order(t).is_ok());
        r.first_fill(t, false);
        assert!(r.take_order(t).is_ok());
        assert!(r.take_order(t).is_err());
        r.first_fill(t, true);
        assert!(r.take_order(t).is_ok() && r.take_order(t).is_ok());
    }
}
