//! Section `strategy.maker`.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::exact;
use crate::lines::Checker;
use crate::trading::Risk;

/// Most levels on a side.
const LEVELS_MAX: u32 = 8;

/// Where the maker quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MakerModel {
    /// Avellaneda and Stoikov, with a rolling horizon.
    As,
    /// Guéant, Lehalle and Fernandez-Tapia, far from any horizon.
    #[default]
    Glft,
}

/// Section `strategy.maker`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Maker {
    /// Where to quote.
    pub model: MakerModel,
    /// Risk aversion, 1/(ticks · orders).
    #[serde(with = "exact")]
    pub gamma: Decimal,
    /// Horizon of the model `as`, ms.
    pub horizon_ms: u32,
    /// Quantity of each order, base.
    #[serde(with = "exact")]
    pub size: Decimal,
    /// Orders on each side.
    pub levels: u32,
    /// Least distance from level to level, ticks.
    pub step_min_ticks: u32,
    /// Levels are as far apart as the mid moves in this time, ms.
    pub step_ms: u32,
    /// Least distance between bid and ask, ticks.
    pub spread_min_ticks: u32,
    /// Largest distance between bid and ask, ticks.
    pub spread_max_ticks: u32,
    /// The venue's maker fee that each quote is moved away by, parts per million of the price.
    pub maker_fee_ppm: i32,
    /// An order is kept while a wanted price is nearer than this, ticks.
    pub requote_ticks: u32,
    /// Largest position that orders may lead to, base.
    #[serde(with = "exact")]
    pub position_max: Decimal,
    /// Shortest life of an order that is too far out, µs.
    pub order_life_min_us: u32,
    /// New orders per second, sustained.
    pub orders_per_s: u32,
    /// Orders waiting for an answer before another is sent.
    pub in_flight_max: u32,
    /// Half-life of the volatility, ms.
    pub sigma_half_life_ms: u32,
    /// Time between samples of the mid, ms.
    pub sigma_sample_ms: u32,
    /// Least volatility that is believed, ticks/√s.
    #[serde(with = "exact")]
    pub sigma_min_ticks: Decimal,
    /// Most volatility in which quotes stand, ticks/√s.
    #[serde(with = "exact")]
    pub sigma_max_ticks: Decimal,
    /// Orders per second of one side that reach the mid, at the start.
    #[serde(with = "exact")]
    pub arrivals_per_s: Decimal,
    /// How fast they thin out with the distance, at the start, 1/ticks.
    #[serde(with = "exact")]
    pub arrivals_decay: Decimal,
    /// Half-life of what trades say about both, ms; 0 = the start stays.
    pub arrivals_half_life_ms: u32,
}

impl Default for Maker {
    fn default() -> Self {
        Maker {
            model: MakerModel::Glft,
            gamma: Decimal::new(1, 3),
            horizon_ms: 1_000,
            size: Decimal::new(1, 3),
            levels: 2,
            step_min_ticks: 10,
            step_ms: 200,
            spread_min_ticks: 2,
            spread_max_ticks: 20_000,
            maker_fee_ppm: 0,
            requote_ticks: 10,
            position_max: Decimal::new(5, 3),
            order_life_min_us: 100_000,
            orders_per_s: 5,
            in_flight_max: 4,
            sigma_half_life_ms: 10_000,
            sigma_sample_ms: 100,
            sigma_min_ticks: Decimal::new(1, 0),
            sigma_max_ticks: Decimal::new(5_000, 0),
            arrivals_per_s: Decimal::new(2, 0),
            arrivals_decay: Decimal::new(2, 2),
            arrivals_half_life_ms: 60_000,
        }
    }
}

impl Maker {
    /// Its own ranges, whichever strategy runs.
    pub(crate) fn check(&self, c: &mut Checker<'_>) {
        let real = |c: &mut Checker<'_>, key: &str, value: Decimal, min: Decimal, max: Decimal| {
            c.rule(key, value, min <= value && value <= max, format_args!("must be {min} to {max}"));
        };
        let millionth = Decimal::new(1, 6);
        real(c, "strategy.maker.gamma", self.gamma, Decimal::new(1, 9), Decimal::new(1_000_000, 0));
        c.range("strategy.maker.horizon_ms", self.horizon_ms, 1, 86_400_000);
        c.positive("strategy.maker.size", self.size);
        c.range("strategy.maker.levels", self.levels, 1, LEVELS_MAX);
        c.range("strategy.maker.step_min_ticks", self.step_min_ticks, 1, 1_000_000);
        c.range("strategy.maker.step_ms", self.step_ms, 0, 3_600_000);
        c.range("strategy.maker.spread_min_ticks", self.spread_min_ticks, 0, 1_000_000);
        c.range("strategy.maker.spread_max_ticks", self.spread_max_ticks, 1, 10_000_000);
        c.rule(
            "strategy.maker.spread_max_ticks",
            self.spread_max_ticks,
            self.spread_max_ticks >= self.spread_min_ticks,
            format_args!("must not be less than spread_min_ticks = {}", self.spread_min_ticks),
        );
        c.range("strategy.maker.maker_fee_ppm", self.maker_fee_ppm, -10_000, 100_000);
        c.range("strategy.maker.requote_ticks", self.requote_ticks, 1, 1_000_000);
        c.rule(
            "strategy.maker.position_max",
            self.position_max,
            self.position_max >= self.size,
            format_args!("must not be less than size = {}", self.size),
        );
        c.range("strategy.maker.order_life_min_us", self.order_life_min_us, 1, 3_600_000_000);
        c.range("strategy.maker.orders_per_s", self.orders_per_s, 1, 10_000);
        c.range("strategy.maker.in_flight_max", self.in_flight_max, 1, 2 * self.levels.clamp(1, LEVELS_MAX));
        c.range("strategy.maker.sigma_half_life_ms", self.sigma_half_life_ms, 10, 86_400_000);
        c.range("strategy.maker.sigma_sample_ms", self.sigma_sample_ms, 1, 3_600_000);
        c.rule(
            "strategy.maker.sigma_sample_ms",
            self.sigma_sample_ms,
            self.sigma_sample_ms <= self.sigma_half_life_ms,
            format_args!("must not exceed sigma_half_life_ms = {}", self.sigma_half_life_ms),
        );
        let most = Decimal::new(1_000_000, 0);
        real(c, "strategy.maker.sigma_min_ticks", self.sigma_min_ticks, millionth, most);
        real(c, "strategy.maker.sigma_max_ticks", self.sigma_max_ticks, self.sigma_min_ticks, most);
        real(c, "strategy.maker.arrivals_per_s", self.arrivals_per_s, millionth, most);
        real(c, "strategy.maker.arrivals_decay", self.arrivals_decay, millionth, Decimal::ONE_HUNDRED);
        let half_life = self.arrivals_half_life_ms;
        c.rule(
            "strategy.maker.arrivals_half_life_ms",
            half_life,
            half_life == 0 || (100..=86_400_000).contains(&half_life),
            "must be 0 or 100..=86400000",
        );
    }

    /// What must fit the limits of the gate when it is the one that runs.
    pub(crate) fn check_against(&self, risk: &Risk, c: &mut Checker<'_>) {
        c.rule(
            "strategy.maker.size",
            self.size,
            self.size <= risk.order_qty_max,
            format_args!(
                "must not exceed risk.order_qty_max = {}: every quote would be refused",
                risk.order_qty_max
            ),
        );
        c.rule(
            "strategy.maker.position_max",
            self.position_max,
            self.position_max <= risk.position_max,
            format_args!("must not exceed risk.position_max = {}", risk.position_max),
        );
        let ladder = 2 * self.levels.min(LEVELS_MAX);
        c.rule(
            "strategy.maker.levels",
            self.levels,
            ladder <= risk.open_orders_max && ladder <= risk.orders_burst,
            format_args!(
                "must not exceed half of risk.open_orders_max = {} and of risk.orders_burst = {}: both sides stand \
                 at once",
                risk.open_orders_max, risk.orders_burst
            ),
        );
        c.rule(
            "strategy.maker.orders_per_s",
            self.orders_per_s,
            self.orders_per_s <= risk.orders_per_s,
            format_args!("must not exceed risk.orders_per_s = {}", risk.orders_per_s),
        );
    }
}
