//! Parameters of the maker: raw numbers in, a checked value out.

use quant::{IntensitySpec, QuantError, VolatilitySpec};
use wire::Instrument;

use super::Model;
use crate::{ParamError, SpecError};

/// Most levels on a side: both sides' changes fit one event's intents.
pub const LEVELS_MAX: usize = strategy::INTENTS_MAX / 2;

/// Parameters as configured, unchecked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MakerSpec {
    /// Where to quote; a horizon is 1 ms to a day.
    pub model: Model,
    /// Risk aversion γ, 1/(ticks · orders of `size`); 1e-9 to 1e6.
    pub gamma: f64,
    /// Quantity of each order, instrument's quantity scale; a multiple of the lot within the venue's bounds.
    pub size: i64,
    /// Orders on each side, 1 to [`LEVELS_MAX`].
    pub levels: i64,
    /// Least distance of one level from the next, ticks; 1 to 1 000 000.
    pub step_min_ticks: i64,
    /// Levels are as far apart as the mid moves in this time (one standard deviation, rounded up), when that is more,
    /// µs; 0 to an hour.
    pub step_us: i64,
    /// Least distance between the innermost quotes, ticks; 0 to 1 000 000.
    pub spread_min_ticks: i64,
    /// Largest such distance: wider than that nothing is quoted, ticks; `spread_min_ticks` to 10 000 000.
    pub spread_max_ticks: i64,
    /// The venue's maker fee, by which each quote is moved away, parts per million of the price; -10 000 to 100 000.
    pub maker_fee_ppm: i64,
    /// An order is kept while it is nearer than this to a price that is wanted, ticks; 1 to 1 000 000.
    pub requote_ticks: i64,
    /// Largest position either way that orders may lead to, instrument's quantity scale; at least `size`.
    pub position_max: i64,
    /// Shortest life of an order that is too far out, and the pause after a reject, µs; 1 to an hour. Orders that are
    /// too near, and pulling, do not wait.
    pub order_life_min_us: i64,
    /// New orders per second, sustained; 1 to 10 000. After a pause one ladder, `2 · levels`, may leave at once.
    pub orders_per_s: i64,
    /// Orders waiting for an answer before another is sent, 1 to `2 · levels`. Pulling does not wait.
    pub in_flight_max: i64,
    /// Half-life of the volatility estimate, µs; see [`VolatilitySpec`].
    pub sigma_half_life_us: i64,
    /// Time between its samples, µs.
    pub sigma_sample_us: i64,
    /// Least volatility that is believed, ticks/√s.
    pub sigma_min: f64,
    /// Most volatility in which quotes stand, ticks/√s.
    pub sigma_max: f64,
    /// Orders per second of one side that reach the mid, at the start; see [`IntensitySpec`].
    pub arrivals_per_s: f64,
    /// How fast they thin out with the distance, at the start, 1/ticks.
    pub arrivals_decay: f64,
    /// Half-life of what trades say about both, µs; `None` = the start stays.
    pub arrivals_half_life_us: Option<i64>,
}

/// Checked parameters for one instrument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MakerParams {
    pub(super) spec: MakerSpec,
    pub(super) tick: i64,
    pub(super) levels: usize,
    pub(super) order_life_min_ns: u64,
    pub(super) volatility: VolatilitySpec,
    pub(super) intensity: IntensitySpec,
}

const TICKS_MAX: i64 = 1_000_000;
const HOUR_US: i64 = 3_600_000_000;

impl MakerParams {
    /// Checks raw parameters against each other and the instrument's rules.
    ///
    /// # Errors
    /// The first field that breaks its rule.
    pub fn new(spec: MakerSpec, i: &Instrument) -> Result<MakerParams, SpecError> {
        let s = &spec;
        let within = |field, value, min, max, rule| {
            if (min..=max).contains(&value) { Ok(()) } else { Err(ParamError { field, value, rule }) }
        };
        let ticks = |field, value, min| {
            within(
                field,
                value,
                min,
                TICKS_MAX,
                if min == 0 { "must be 0 to 1000000" } else { "must be 1 to 1000000" },
            )
        };
        let size_max = if i.qty_max.0 == 0 { i64::MAX } else { i.qty_max.0 };
        within(
            "tick",
            i.tick.0,
            1,
            i64::MAX / TICKS_MAX,
            "must be positive and leave room for 1000000 ticks",
        )?;
        within("lot", i.lot.0, 1, i64::MAX, "must be positive")?;
        within(
            "size",
            s.size,
            i.qty_min.0.max(1),
            size_max,
            "must be within the instrument's qty_min and qty_max",
        )?;
        if s.size % i.lot.0 != 0 {
            let rule = "must be a multiple of the instrument's lot";
            return Err(ParamError { field: "size", value: s.size, rule }.into());
        }
        within("levels", s.levels, 1, LEVELS_MAX as i64, "must be 1 to 8")?;
        ticks("step_min_ticks", s.step_min_ticks, 1)?;
        within("step_us", s.step_us, 0, HOUR_US, "must be 0 to 3600000000")?;
        ticks("spread_min_ticks", s.spread_min_ticks, 0)?;
        let rule = "must be spread_min_ticks to 10000000";
        within("spread_max_ticks", s.spread_max_ticks, s.spread_min_ticks.max(1), 10 * TICKS_MAX, rule)?;
        within("maker_fee_ppm", s.maker_fee_ppm, -10_000, 100_000, "must be -10000 to 100000")?;
        ticks("requote_ticks", s.requote_ticks, 1)?;
        within("position_max", s.position_max, s.size, i64::MAX / 4, "must be at least size")?;
        within("order_life_min_us", s.order_life_min_us, 1, HOUR_US, "must be 1 to 3600000000")?;
        within("orders_per_s", s.orders_per_s, 1, 10_000, "must be 1 to 10000")?;
        within("in_flight_max", s.in_flight_max, 1, 2 * s.levels, "must be 1 to twice the levels")?;
        let real = |field, value: f64, min, max, rule| {
            if value >= min && value <= max { Ok(()) } else { Err(QuantError { field, value, rule }) }
        };
        real("gamma", s.gamma, 1e-9, 1e6, "must be 1e-9 to 1e6")?;
        if let Model::AvellanedaStoikov { horizon_s } = s.model {
            real("horizon_s", horizon_s, 1e-3, 86_400.0, "must be 1 ms to a day")?;
        }
        let ns = |us: i64| u64::try_from(us).unwrap_or(0).saturating_mul(1_000);
        let volatility = VolatilitySpec {
            tick: i.tick,
            half_life_ns: ns(s.sigma_half_life_us),
            sample_ns: ns(s.sigma_sample_us),
            sigma_min: s.sigma_min,
            sigma_max: s.sigma_max,
        };
        let intensity = IntensitySpec {
            tick: i.tick,
            rate_per_s: s.arrivals_per_s,
            decay_per_tick: s.arrivals_decay,
            half_life_ns: s.arrivals_half_life_us.map(ns),
        };
        Ok(MakerParams {
            spec,
            tick: i.tick.0,
            levels: s.levels as usize,
            order_life_min_ns: ns(s.order_life_min_us),
            volatility,
            intensity,
        })
    }

    /// The checked numbers.
    pub fn spec(&self) -> &MakerSpec {
        &self.spec
    }
}
