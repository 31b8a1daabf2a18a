//! How often somebody trades how deep: the arrival intensity of a market maker's models.

use wire::{Px, Side, Ts};

use crate::{QuantError, Unready, decay, seconds, twice_mid, within};

/// Orders that the starting values are worth until they have decayed.
const PRIOR_ORDERS: f64 = 50.0;
/// Bounds of what is reported, and of the starting values.
const RATE: (f64, f64) = (1e-6, 1e6);
const DECAY: (f64, f64) = (1e-6, 1e2);
/// Deeper trades count as this deep, ticks: one order through an empty book says little about the next.
const DEPTH_MAX: f64 = 1e4;

/// Parameters of an [`Intensity`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntensitySpec {
    /// Price step, mantissa; more than 0.
    pub tick: Px,
    /// `A` to start with: orders per second that would reach a quote at the mid, of one side; 1e-6 to 1e6.
    pub rate_per_s: f64,
    /// `k` to start with: how fast that falls with the distance, 1/ticks; 1e-6 to 100.
    pub decay_per_tick: f64,
    /// Time after which a trade counts half, ns; 100 ms to a day. `None`: the starting values stay.
    pub half_life_ns: Option<u64>,
}

/// `λ(δ) = A e^(-kδ)`: orders per second that reach a quote `δ` ticks from the mid, of one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// `A`, orders per second of one side.
    pub rate_per_s: f64,
    /// `k`, 1/ticks.
    pub decay_per_tick: f64,
}

/// Online estimate of [`Rates`] from public trades (Avellaneda and Stoikov, *High-frequency trading in a limit order
/// book*, Quant. Finance 8, 2008, for the form).
///
/// An order that takes is told by its trades: those of one side and one exchange time are one order, and the worst of
/// their prices is as deep as it reached. Depth is measured from the mid before the order. If arrivals thin out as
/// `e^(-kδ)`, depths beyond the nearest possible quote (half a tick from the mid) are exponential, and in whole ticks
/// geometric: with the mean excess `m` ticks over half a tick, the likeliest k is `ln(1 + 1/m)`, and
/// `A = (orders per second and side) e^(k/2)`. Orders, time and excess are sums that decay with the half-life, and start
/// as 50 orders that agree with the starting values: there is an estimate from the first moment, which the market then
/// takes over.
///
/// What it cannot know: our place in the queue. A quote behind others is hit less often than this says.
///
/// Cost: a few comparisons a trade, an `exp` an order; [`Intensity::rates`] an `exp` and a `ln`, for slow beats.
#[derive(Clone, Debug)]
pub struct Intensity {
    spec: IntensitySpec,
    half_life_s: Option<f64>,
    /// Orders, their time, their excess over half a tick: decayed sums.
    orders: f64,
    time_s: f64,
    excess: f64,
    last: Option<Ts>,
    open: Option<Taker>,
}

/// The order whose trades are coming in.
#[derive(Clone, Copy, Debug)]
struct Taker {
    side: Side,
    exchange_us: i64,
    mid2: i64,
    excess: f64,
}

impl Intensity {
    /// An estimate that says what it starts with.
    ///
    /// # Errors
    /// The first parameter that breaks its rule.
    pub fn new(spec: IntensitySpec) -> Result<Intensity, QuantError> {
        within("tick", spec.tick.0 as f64, (1.0, f64::MAX), "must be positive")?;
        within("rate_per_s", spec.rate_per_s, RATE, "must be 1e-6 to 1e6")?;
        within("decay_per_tick", spec.decay_per_tick, DECAY, "must be 1e-6 to 100")?;
        if let Some(ns) = spec.half_life_ns {
            within("half_life_ns", ns as f64, (1e8, 8.64e13), "must be 100 ms to a day")?;
        }
        let k = spec.decay_per_tick;
        Ok(Intensity {
            spec,
            half_life_s: spec.half_life_ns.map(|ns| ns as f64 / 1e9),
            orders: PRIOR_ORDERS,
            time_s: PRIOR_ORDERS / (2.0 * spec.rate_per_s * (-0.5 * k).exp()),
            excess: PRIOR_ORDERS / k.exp_m1(),
            last: None,
            open: None,
        })
    }

    /// A public trade: when it came in, its time at the exchange (µs, any origin), the side that took, its price, and
    /// the best prices before it.
    #[inline]
    pub fn on_trade(&mut self, ts: Ts, exchange_us: i64, taker: Side, px: Px, (bid, ask): (Px, Px)) {
        let Some(half_life_s) = self.half_life_s else { return };
        let same = |o: &Taker| o.side == taker && o.exchange_us == exchange_us;
        if let Some(open) = self.open.as_mut().filter(|o| same(o)) {
            open.excess = open.excess.max(excess(taker, px, open.mid2, self.spec.tick));
            return;
        }
        let dt_s = self.last.replace(ts).map_or(0.0, |at| seconds(ts, at));
        let left = decay(dt_s, half_life_s);
        let done = self.open.take();
        self.orders = self.orders * left + done.is_some() as u8 as f64;
        self.excess = self.excess * left + done.map_or(0.0, |o| o.excess);
        self.time_s = self.time_s * left + dt_s;
        self.open = twice_mid(bid, ask).map(|mid2| Taker {
            side: taker,
            exchange_us,
            mid2,
            excess: excess(taker, px, mid2, self.spec.tick),
        });
    }

    /// The market was out of sight: the time until the next trade does not count.
    pub fn on_gap(&mut self) {
        self.last = None;
        self.open = None;
    }

    /// The estimate.
    ///
    /// # Errors
    /// It is outside of 1e-6..=1e6 orders per second, or 1e-6..=100 per tick: no order was ever seen beyond the
    /// nearest price, or hardly any at all.
    pub fn rates(&self) -> Result<Rates, Unready> {
        let k = (self.orders / self.excess).ln_1p();
        let a = self.orders / (2.0 * self.time_s) * (0.5 * k).exp();
        let inside = |x: f64, (min, max): (f64, f64)| x >= min * (1.0 - 1e-9) && x <= max * (1.0 + 1e-9);
        if inside(a, RATE) && inside(k, DECAY) {
            Ok(Rates { rate_per_s: a, decay_per_tick: k })
        } else {
            Err(Unready::IntensityRange)
        }
    }
}

/// How far beyond half a tick from the mid a price is on the taker's way, ticks; 0 for one before that.
fn excess(taker: Side, px: Px, mid2: i64, tick: Px) -> f64 {
    let away2 = taker.sign() as i128 * (2 * px.0 as i128 - mid2 as i128);
    (away2 as f64 / (2.0 * tick.0 as f64) - 0.5).clamp(0.0, DEPTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: IntensitySpec = IntensitySpec {
        tick: Px(10),
        rate_per_s: 100.0,
        decay_per_tick: 0.8,
        half_life_ns: Some(20_000_000_000),
    };

    #[test]
    fn starts_with_what_it_was_told_and_stays_there_when_told_so() {
        let mut fixed = Intensity::new(IntensitySpec { half_life_ns: None, ..SPEC }).expect("sound");
        for _ in 0..2 {
            let r = fixed.rates().expect("in range");
            assert!((r.rate_per_s - 100.0).abs() < 1e-9 && (r.decay_per_tick - 0.8).abs() < 1e-12, "{r:?}");
            for i in 0..1_000 {
                fixed.on_trade(Ts(i * 1_000_000_000), i as i64, Side::Buy, Px(1_500), (Px(990), Px(1_000)));
            }
        }
    }

    /// Orders of both sides, `rate` a second each at the mid, depths `e^(-k δ)`; mid between 990 and 1000.
    fn fed(rate: f64, k: f64, seconds: f64, trades_each: usize) -> Rates {
        let mut x = Intensity::new(SPEC).expect("sound");
        let mut seed = 7u64;
        let mut unit = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((seed >> 11) as f64 / (1u64 << 53) as f64).max(1e-12)
        };
        let arriving = 2.0 * rate * (-0.5 * k).exp();
        let (mut t, mut i) = (0.0, 0);
        while t < seconds {
            t += -unit().ln() / arriving;
            i += 1;
            let side = if unit() < 0.5 { Side::Buy } else { Side::Sell };
            // Whole ticks beyond the best.
            let ticks = (-unit().ln() / k).floor() as i64;
            for n in 0..trades_each as i64 {
                let at = ticks * (n + 1) / trades_each as i64;
                let px = if side == Side::Buy { 1_000 + 10 * at } else { 990 - 10 * at };
                x.on_trade(Ts((t * 1e9) as u64), i, side, Px(px), (Px(990), Px(1_000)));
            }
        }
        x.rates().expect("in range")
    }

    #[test]
    fn finds_rate_and_decay() {
        for (rate, k, trades) in [(40.0, 0.8, 1), (40.0, 0.8, 4), (300.0, 2.0, 2), (150.0, 0.1, 3)] {
            let r = fed(rate, k, 300.0, trades);
            assert!((r.rate_per_s / rate - 1.0).abs() < 0.12, "{rate} {k}: {r:?}");
            assert!((r.decay_per_tick / k - 1.0).abs() < 0.08, "{rate} {k}: {r:?}");
        }
    }

    #[test]
    fn trades_of_one_order_count_once_and_as_deep_as_the_worst() {
        let spec = IntensitySpec { half_life_ns: Some(86_400_000_000_000), ..SPEC };
        let mut x = Intensity::new(spec).expect("sound");
        let touch = (Px(990), Px(1_000));
        let before = (x.orders, x.excess);
        x.on_trade(Ts(0), 5, Side::Buy, Px(1_000), touch);
        // The book has moved on meanwhile; the mid before the order counts.
        x.on_trade(Ts(0), 5, Side::Buy, Px(1_030), (Px(1_000), Px(1_030)));
        x.on_trade(Ts(0), 5, Side::Sell, Px(990), touch); // another order closes the first
        assert_eq!((x.orders - before.0, x.excess - before.1), (1.0, 3.0));
        x.on_trade(Ts(0), 6, Side::Sell, Px(1_200), touch); // against its own direction: nothing beyond the nearest
        x.on_trade(Ts(0), 7, Side::Sell, Px(990), touch);
        assert_eq!((x.orders - before.0, x.excess - before.1), (3.0, 3.0));
    }

    #[test]
    fn orders_that_never_go_deeper_end_out_of_range_not_in_infinity() {
        let mut x = Intensity::new(IntensitySpec { half_life_ns: Some(100_000_000), ..SPEC }).expect("sound");
        let mut last = Ok(Rates { rate_per_s: 0.0, decay_per_tick: 0.0 });
        for i in 0..100_000 {
            x.on_trade(Ts(i * 10_000_000), i as i64, Side::Buy, Px(1_000), (Px(990), Px(1_000)));
            last = x.rates();
            if let Ok(r) = last {
                assert!(r.rate_per_s.is_finite() && r.decay_per_tick <= 100.1, "{r:?}");
            }
        }
        assert_eq!(last, Err(Unready::IntensityRange));
    }

    #[test]
    fn hostile_numbers_never_come_out() {
        let mut x = Intensity::new(SPEC).expect("sound");
        let ends = [i64::MIN, -1, 0, 1, i64::MAX / 2, i64::MAX];
        let mut n = 0u64;
        for _ in 0..3 {
            for a in ends {
                for b in ends {
                    for c in ends {
                        n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
                        let side = if n & 1 == 0 { Side::Buy } else { Side::Sell };
                        x.on_trade(Ts(n), a, side, Px(b), (Px(c), Px(a)));
                        if let Ok(r) = x.rates() {
                            assert!(r.rate_per_s.is_finite() && r.decay_per_tick.is_finite());
                        }
                        x.on_gap();
                    }
                }
            }
        }
    }

    #[test]
    fn refuses_what_it_cannot_work_with() {
        let field = |spec| Intensity::new(spec).expect_err("broken").field;
        assert_eq!(field(IntensitySpec { tick: Px(0), ..SPEC }), "tick");
        assert_eq!(field(IntensitySpec { rate_per_s: f64::NAN, ..SPEC }), "rate_per_s");
        assert_eq!(field(IntensitySpec { decay_per_tick: 0.0, ..SPEC }), "decay_per_tick");
        assert_eq!(field(IntensitySpec { half_life_ns: Some(0), ..SPEC }), "half_life_ns");
    }
}
