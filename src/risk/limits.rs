//! Limits: raw numbers in, a checked value out.

use wire::{Instrument, Qty};

/// Highest accepted rate and burst.
const RATE_MAX: i64 = 1_000_000;
/// Longest accepted age: an hour.
const AGE_MAX_US: i64 = 3_600_000_000;
/// Widest accepted collar: half the price.
const COLLAR_MAX_BPS: i64 = 5_000;
/// Most open orders that any limit may allow.
const OPEN_ORDERS_MAX: i64 = 65_536;

/// Limits as configured, unchecked. Every field must be positive and within its range; no value means "off".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsSpec {
    /// Largest order, instrument's quantity scale; 1 and more.
    pub order_qty_max: i64,
    /// Largest price × quantity of an order, at `px_decimals + qty_decimals`; 1 and more.
    pub order_notional_max: i128,
    /// Largest position either way if every open order of that side fills, instrument's quantity scale; at least
    /// `order_qty_max`.
    pub position_max: i64,
    /// Largest value of that position at the touch, at `px_decimals + qty_decimals`; at least
    /// `order_notional_max`.
    pub position_notional_max: i128,
    /// Most open orders, pending and unknown ones included; 1 to 65 536.
    pub open_orders_max: i64,
    /// Furthest that a price may lie from the mid, either way, basis points; 1 to 5 000.
    pub collar_mid_bps: i64,
    /// Furthest that a price may reach through the opposite touch, basis points; 1 to 5 000.
    pub collar_touch_bps: i64,
    /// Orders per second in the long run; 1 to 1 000 000.
    pub order_rate_per_s: i64,
    /// Orders at once after a pause; 1 to 1 000 000.
    pub order_burst: i64,
    /// Oldest market data to trade on, µs; 1 to an hour.
    pub data_age_max_us: i64,
    /// Oldest intent, whatever its own time to live, µs; 1 to an hour.
    pub intent_age_max_us: i64,
}

/// Why limits were refused. What was in force before stays in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{field} = {value}: {rule}")]
pub struct LimitError {
    /// The field of [`LimitsSpec`] or of the instrument.
    pub field: &'static str,
    /// Its value.
    pub value: i128,
    /// What it must satisfy.
    pub rule: &'static str,
}

/// Checked limits. Made only by [`Limits::new`], so every holder may rely on the ranges of [`LimitsSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits(LimitsSpec);

impl Limits {
    /// Checks raw limits.
    ///
    /// # Errors
    /// The first field that is zero, negative, out of range, or contradicts another.
    pub fn new(spec: LimitsSpec) -> Result<Limits, LimitError> {
        let s = &spec;
        positive("order_qty_max", s.order_qty_max as i128)?;
        positive("order_notional_max", s.order_notional_max)?;
        positive("position_max", s.position_max as i128)?;
        positive("position_notional_max", s.position_notional_max)?;
        within("open_orders_max", s.open_orders_max, OPEN_ORDERS_MAX, "must be at most 65536")?;
        within("collar_mid_bps", s.collar_mid_bps, COLLAR_MAX_BPS, "must be at most 5000 basis points")?;
        within("collar_touch_bps", s.collar_touch_bps, COLLAR_MAX_BPS, "must be at most 5000 basis points")?;
        within("order_rate_per_s", s.order_rate_per_s, RATE_MAX, "must be at most 1000000 a second")?;
        within("order_burst", s.order_burst, RATE_MAX, "must be at most 1000000")?;
        within("data_age_max_us", s.data_age_max_us, AGE_MAX_US, "must be at most an hour")?;
        within("intent_age_max_us", s.intent_age_max_us, AGE_MAX_US, "must be at most an hour")?;
        if s.order_qty_max > s.position_max {
            return Err(LimitError {
                field: "order_qty_max",
                value: s.order_qty_max as i128,
                rule: "must be at most position_max",
            });
        }
        if s.order_notional_max > s.position_notional_max {
            return Err(LimitError {
                field: "order_notional_max",
                value: s.order_notional_max,
                rule: "must be at most position_notional_max",
            });
        }
        Ok(Limits(spec))
    }

    /// The checked numbers.
    #[inline]
    pub fn spec(&self) -> &LimitsSpec {
        &self.0
    }

    /// Checks that an instrument's rules are known, and that some order could satisfy both rules and limits.
    ///
    /// # Errors
    /// Tick or lot is unknown (zero or less), another rule is negative or contradicts itself, or the smallest
    /// order of the venue is above the largest of these limits.
    pub fn check_instrument(&self, i: &Instrument) -> Result<(), LimitError> {
        let err = |field, value: i64, rule| Err(LimitError { field, value: value as i128, rule });
        positive("tick", i.tick.0 as i128)?;
        positive("lot", i.lot.0 as i128)?;
        for (field, value) in [
            ("px_min", i.px_min.0),
            ("px_max", i.px_max.0),
            ("qty_min", i.qty_min.0),
            ("qty_max", i.qty_max.0),
        ] {
            if value < 0 {
                return err(field, value, "must not be negative");
            }
        }
        if i.notional_min < 0 {
            return Err(LimitError {
                field: "notional_min",
                value: i.notional_min,
                rule: "must not be negative",
            });
        }
        if i.px_max.0 != 0 && i.px_min > i.px_max {
            return err("px_min", i.px_min.0, "must be at most px_max");
        }
        if i.qty_max.0 != 0 && i.qty_min > i.qty_max {
            return err("qty_min", i.qty_min.0, "must be at most qty_max");
        }
        if i.qty_min > Qty(self.0.order_qty_max) {
            return err("order_qty_max", self.0.order_qty_max, "must be at least the instrument's qty_min");
        }
        if i.lot > Qty(self.0.order_qty_max) {
            return err("order_qty_max", self.0.order_qty_max, "must be at least the instrument's lot");
        }
        if i.notional_min > self.0.order_notional_max {
            return Err(LimitError {
                field: "order_notional_max",
                value: self.0.order_notional_max,
                rule: "must be at least the instrument's notional_min",
            });
        }
        Ok(())
    }
}

fn positive(field: &'static str, value: i128) -> Result<(), LimitError> {
    if value <= 0 { Err(LimitError { field, value, rule: "must be positive" }) } else { Ok(()) }
}

fn within(field: &'static str, value: i64, max: i64, rule: &'static str) -> Result<(), LimitError> {
    positive(field, value as i128)?;
    if value > max { Err(LimitError { field, value: value as i128, rule }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> LimitsSpec {
        LimitsSpec {
            order_qty_max: 1_000,
            order_notional_max: 1_000,
            position_max: 1_000,
            position_notional_max: 1_000,
            open_orders_max: 1,
            collar_mid_bps: 1,
            collar_touch_bps: 1,
            order_rate_per_s: 1,
            order_burst: 1,
            data_age_max_us: 1,
            intent_age_max_us: 1,
        }
    }

    /// Sets one field of a spec.
    type Set = fn(&mut LimitsSpec, i64);

    #[test]
    fn every_field_refuses_zero_negative_and_too_much() {
        let fields: [(&str, Set, Option<i64>); 11] = [
            ("order_qty_max", |s, v| s.order_qty_max = v, Some(1_000)),
            ("order_notional_max", |s, v| s.order_notional_max = v as i128, Some(1_000)),
            ("position_max", |s, v| s.position_max = v, None),
            ("position_notional_max", |s, v| s.position_notional_max = v as i128, None),
            ("open_orders_max", |s, v| s.open_orders_max = v, Some(65_536)),
            ("collar_mid_bps", |s, v| s.collar_mid_bps = v, Some(5_000)),
            ("collar_touch_bps", |s, v| s.collar_touch_bps = v, Some(5_000)),
            ("order_rate_per_s", |s, v| s.order_rate_per_s = v, Some(1_000_000)),
            ("order_burst", |s, v| s.order_burst = v, Some(1_000_000)),
            ("data_age_max_us", |s, v| s.data_age_max_us = v, Some(3_600_000_000)),
            ("intent_age_max_us", |s, v| s.intent_age_max_us = v, Some(3_600_000_000)),
        ];
        assert!(Limits::new(spec()).is_ok());
        for (field, set, max) in fields {
            let with = |v| {
                let mut s = spec();
                set(&mut s, v);
                Limits::new(s).map(|_| ())
            };
            for bad in [0, -1, i64::MIN] {
                let refused = LimitError { field, value: bad as i128, rule: "must be positive" };
                assert_eq!(with(bad), Err(refused));
            }
            match max {
                Some(max) => {
                    assert_eq!(with(max), Ok(()), "{field}");
                    assert_eq!(with(max + 1).map_err(|e| (e.field, e.value)), Err((field, max as i128 + 1)));
                }
                None => assert_eq!(with(i64::MAX), Ok(()), "{field}"),
            }
        }
    }

    #[test]
    fn the_error_reads_well() {
        let e = Limits::new(LimitsSpec { collar_mid_bps: 5_001, ..spec() })
            .map(|_| ())
            .map_err(|e| e.to_string());
        assert_eq!(e, Err("collar_mid_bps = 5001: must be at most 5000 basis points".to_owned()));
    }

    #[test]
    fn unknown_or_impossible_instrument_rules_are_refused() {
        use wire::{AssetId, InstrumentId, Px, VenueId};
        let sound = Instrument {
            id: InstrumentId(0),
            venue: VenueId(0),
            symbol: String::new(),
            base: String::new(),
            quote: String::new(),
            base_id: AssetId(0),
            quote_id: AssetId(1),
            px_decimals: 2,
            qty_decimals: 5,
            quote_decimals: 8,
            tick: Px(1),
            px_min: Px(0),
            px_max: Px(0),
            lot: Qty(1_000),
            qty_min: Qty(1_000),
            qty_max: Qty(0),
            notional_min: 1_000,
            open_orders_max: 0,
            market_qty: Default::default(),
            band_buy: Default::default(),
            band_sell: Default::default(),
            trading: true,
        };
        let limits = Limits::new(spec()).expect("sound limits");
        assert_eq!(limits.check_instrument(&sound), Ok(()));
        let field = |change: fn(&mut Instrument)| {
            let mut i = sound.clone();
            change(&mut i);
            limits.check_instrument(&i).map_err(|e| e.field)
        };
        assert_eq!(field(|i| i.tick = Px(0)), Err("tick"));
        assert_eq!(field(|i| i.lot = Qty(-1)), Err("lot"));
        assert_eq!(field(|i| i.lot = Qty(1_001)), Err("order_qty_max"));
        assert_eq!(field(|i| i.px_min = Px(-1)), Err("px_min"));
        assert_eq!(field(|i| (i.px_min, i.px_max) = (Px(2), Px(1))), Err("px_min"));
        assert_eq!(field(|i| i.qty_max = Qty(999)), Err("qty_min"));
        assert_eq!(field(|i| i.qty_min = Qty(1_001)), Err("order_qty_max"));
        assert_eq!(field(|i| i.notional_min = 1_001), Err("order_notional_max"));
        assert_eq!(field(|i| i.notional_min = -1), Err("notional_min"));
    }
}
