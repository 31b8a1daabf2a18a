//! Parameters of the quoter: raw numbers in, a checked value out.

use crate::ParamError;
use wire::Instrument;

/// Parameters as configured, unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuoterSpec {
    /// Quantity of each quote, instrument's quantity scale; a multiple of the lot within the venue's bounds.
    pub size: i64,
    /// Distance of each quote from the (skewed) microprice, ticks; 0 to 1 000 000.
    pub half_spread_ticks: i64,
    /// How far both quotes shift against the position, ticks for each `size` of position; 0 (no skew) to
    /// 1 000 000.
    pub skew_ticks: i64,
    /// A quote is moved when its wanted price is at least this far away, ticks; 1 to 1 000 000.
    pub requote_ticks: i64,
    /// Largest position either way that a quote may lead to, instrument's quantity scale; at least `size`.
    pub position_max: i64,
    /// Shortest time between placing a quote and moving it, and the pause after a reject, µs; 1 to an hour.
    /// Pulling quotes does not wait.
    pub order_life_min_us: i64,
    /// Most orders of both sides waiting for an answer (new or cancel) before another is sent; 1 or 2. Pulling
    /// quotes does not wait.
    pub in_flight_max: i64,
}

/// Checked parameters for one instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuoterParams {
    pub(super) spec: QuoterSpec,
    pub(super) tick: i64,
    pub(super) order_life_min_ns: u64,
}

const TICKS_MAX: i64 = 1_000_000;
const LIFE_MAX_US: i64 = 3_600_000_000;

impl QuoterParams {
    /// Checks raw parameters against each other and the instrument's rules.
    ///
    /// # Errors
    /// The first field that breaks its rule.
    pub fn new(spec: QuoterSpec, i: &Instrument) -> Result<QuoterParams, ParamError> {
        let s = &spec;
        let within = |field, value, min, max, rule| {
            if (min..=max).contains(&value) { Ok(()) } else { Err(ParamError { field, value, rule }) }
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
            return Err(ParamError { field: "size", value: s.size, rule });
        }
        within("half_spread_ticks", s.half_spread_ticks, 0, TICKS_MAX, "must be 0 to 1000000")?;
        within("skew_ticks", s.skew_ticks, 0, TICKS_MAX, "must be 0 to 1000000")?;
        within("requote_ticks", s.requote_ticks, 1, TICKS_MAX, "must be 1 to 1000000")?;
        within("position_max", s.position_max, s.size, i64::MAX, "must be at least size")?;
        within("order_life_min_us", s.order_life_min_us, 1, LIFE_MAX_US, "must be 1 to 3600000000")?;
        within("in_flight_max", s.in_flight_max, 1, 2, "must be 1 or 2")?;
        Ok(QuoterParams { spec, tick: i.tick.0, order_life_min_ns: s.order_life_min_us as u64 * 1_000 })
    }

    /// The checked numbers.
    pub fn spec(&self) -> &QuoterSpec {
        &self.spec
    }
}
