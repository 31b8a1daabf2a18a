//! Online estimates of what a strategy needs to know of its market: how far the price moves ([`Volatility`]), and how
//! often somebody trades how deep into the book ([`Intensity`]).
//!
//! Integers come in (prices in mantissas, times in nanoseconds), floats go out: these are models, not accounts. Nothing
//! that goes out is ever NaN, infinite or out of its stated range; where an estimate cannot be had, an [`Unready`]
//! says why. Time arrives with the events. After construction nothing allocates; `exp` and `ln` run once a sample, not
//! once an event.
//!
//! Deliberately absent: clocks, order books, anything that decides. Prices are measured in **ticks** and times in
//! **seconds**, so σ is in ticks per √second and λ in orders per second.

#![forbid(unsafe_code)]

mod intensity;
mod volatility;

use wire::{Px, Ts};

pub use intensity::{Intensity, IntensitySpec, Rates};
pub use volatility::{Volatility, VolatilitySpec};

/// Why there is no estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Unready {
    /// Too little was seen so far.
    #[error("too few samples yet")]
    WarmingUp,
    /// The market moves more than the range allows: the model does not hold there.
    #[error("volatility is above its range")]
    VolatilityHigh,
    /// Rate or decay of the arrivals is outside of what can be worked with.
    #[error("order arrivals are outside of their range")]
    IntensityRange,
}

/// A parameter that breaks its rule.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{field} = {value}: {rule}")]
pub struct QuantError {
    /// Its name.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// What it must satisfy.
    pub rule: &'static str,
}

/// The middle of a touch, times two: exact in integers. `None` when it does not fit 64 bits.
pub(crate) fn twice_mid(bid: Px, ask: Px) -> Option<i64> {
    bid.0.checked_add(ask.0)
}

/// The share of an old weight that is left after `dt_s` at this half-life; within 0..=1 for any input.
pub(crate) fn decay(dt_s: f64, half_life_s: f64) -> f64 {
    (-std::f64::consts::LN_2 * dt_s / half_life_s).exp().clamp(0.0, 1.0)
}

pub(crate) fn seconds(later: Ts, earlier: Ts) -> f64 {
    later.since_ns(earlier) as f64 / 1e9
}

/// A number must be within bounds; NaN never is.
pub(crate) fn within(
    field: &'static str,
    value: f64,
    (min, max): (f64, f64),
    rule: &'static str,
) -> Result<(), QuantError> {
    if value >= min && value <= max { Ok(()) } else { Err(QuantError { field, value, rule }) }
}
