//! What the engine may do and when it stops: sections `strategy`, `risk` and `kill`.

use std::path::PathBuf;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::exact;
use crate::lines::Checker;
use crate::maker::Maker;

/// Which strategy runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StrategyKind {
    /// Two-sided quotes around the middle.
    #[default]
    Quoter,
    /// Ladders by a model of inventory risk.
    Maker,
}

/// Section `strategy`: which one runs, and one table a strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Strategy {
    /// The one that runs.
    pub kind: StrategyKind,
    /// Two-sided quotes around the middle.
    pub quoter: Quoter,
    /// Ladders by a model of inventory risk.
    pub maker: Maker,
}

/// Section `strategy.quoter`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quoter {
    /// Distance of each quote from the middle, ticks.
    pub half_spread_ticks: u32,
    /// Quantity of each quote, base.
    #[serde(with = "exact")]
    pub size: Decimal,
    /// Ticks by which both quotes move against the inventory, for each [`Quoter::size`] of it.
    pub skew_ticks: u32,
    /// Ticks that the wanted price must move before a quote is replaced.
    pub requote_ticks: u32,
    /// Inventory at which the side that adds to it is withdrawn, base.
    #[serde(with = "exact")]
    pub position_max: Decimal,
    /// Shortest time between placing a quote and moving it, µs.
    pub order_life_min_us: u32,
    /// Quotes waiting for an answer before another is sent.
    pub in_flight_max: u32,
}

impl Default for Quoter {
    fn default() -> Self {
        Quoter {
            half_spread_ticks: 100,
            size: Decimal::new(1, 3),
            skew_ticks: 20,
            requote_ticks: 10,
            position_max: Decimal::new(5, 3),
            order_life_min_us: 100_000,
            in_flight_max: 2,
        }
    }
}

impl Quoter {
    fn check(&self, c: &mut Checker<'_>) {
        c.range("strategy.quoter.half_spread_ticks", self.half_spread_ticks, 0, 1_000_000);
        c.positive("strategy.quoter.size", self.size);
        c.range("strategy.quoter.skew_ticks", self.skew_ticks, 0, 1_000_000);
        c.range("strategy.quoter.requote_ticks", self.requote_ticks, 1, 1_000_000);
        c.range("strategy.quoter.order_life_min_us", self.order_life_min_us, 1, 3_600_000_000);
        c.range("strategy.quoter.in_flight_max", self.in_flight_max, 1, 2);
        c.positive("strategy.quoter.position_max", self.position_max);
    }

    /// What must fit the limits of the gate when it is the one that runs.
    fn check_against(&self, risk: &Risk, c: &mut Checker<'_>) {
        c.rule(
            "strategy.quoter.size",
            self.size,
            self.size <= risk.order_qty_max,
            format_args!(
                "must not exceed risk.order_qty_max = {}: every quote would be refused",
                risk.order_qty_max
            ),
        );
        c.rule(
            "strategy.quoter.position_max",
            self.position_max,
            self.position_max <= risk.position_max,
            format_args!("must not exceed risk.position_max = {}", risk.position_max),
        );
    }
}

impl Strategy {
    pub(crate) fn check(&self, risk: &Risk, c: &mut Checker<'_>) {
        self.quoter.check(c);
        self.maker.check(c);
        match self.kind {
            StrategyKind::Quoter => self.quoter.check_against(risk, c),
            StrategyKind::Maker => self.maker.check_against(risk, c),
        }
    }
}

/// What the venue is told to do when an order of ours would meet another of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelfTrade {
    /// What it does by itself.
    #[default]
    Venue,
    /// They trade.
    None,
    /// The one that takes expires.
    ExpireTaker,
    /// The one that rests expires.
    ExpireMaker,
    /// Both expire.
    ExpireBoth,
    /// Both shrink by what would have traded.
    Decrement,
}

/// Section `risk`: what the gate lets through, of each account and instrument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Risk {
    /// Largest order, base.
    #[serde(with = "exact")]
    pub order_qty_max: Decimal,
    /// Largest order, quote.
    #[serde(with = "exact")]
    pub order_notional_max: Decimal,
    /// Largest position, long or short, open orders counted as filled, base.
    #[serde(with = "exact")]
    pub position_max: Decimal,
    /// Largest value of that position at the touch, quote.
    #[serde(with = "exact")]
    pub position_notional_max: Decimal,
    /// Most open orders, those in flight and unknown included.
    pub open_orders_max: u32,
    /// Furthest that a price may be through the other side's best, basis points.
    pub collar_bps: u32,
    /// Furthest that a price may lie from the middle, either way, basis points.
    pub collar_mid_bps: u32,
    /// New orders per second, sustained.
    pub orders_per_s: u32,
    /// New orders at once, after a pause.
    pub orders_burst: u32,
    /// Age of market data beyond which nothing new is sent, ms.
    pub market_stale_ms: u32,
    /// Age of an intent, from the bytes that caused it, beyond which it is refused, µs.
    pub intent_age_us_max: u32,
    /// What the venue does when an order of ours would meet another of ours.
    pub self_trade: SelfTrade,
}

impl Default for Risk {
    fn default() -> Self {
        Risk {
            order_qty_max: Decimal::new(2, 3),
            order_notional_max: Decimal::new(500, 0),
            position_max: Decimal::new(1, 2),
            position_notional_max: Decimal::new(2_000, 0),
            open_orders_max: 4,
            collar_bps: 100,
            collar_mid_bps: 500,
            orders_per_s: 5,
            orders_burst: 10,
            market_stale_ms: 2_000,
            intent_age_us_max: 5_000,
            self_trade: SelfTrade::Venue,
        }
    }
}

impl Risk {
    pub(crate) fn check(&self, c: &mut Checker<'_>) {
        c.positive("risk.order_qty_max", self.order_qty_max);
        c.positive("risk.order_notional_max", self.order_notional_max);
        c.positive("risk.position_max", self.position_max);
        c.positive("risk.position_notional_max", self.position_notional_max);
        c.rule(
            "risk.order_qty_max",
            self.order_qty_max,
            self.order_qty_max <= self.position_max,
            format_args!("must not exceed risk.position_max = {}", self.position_max),
        );
        c.range("risk.open_orders_max", self.open_orders_max, 1, 1_000);
        c.range("risk.collar_bps", self.collar_bps, 1, 5_000);
        c.range("risk.collar_mid_bps", self.collar_mid_bps, 1, 5_000);
        c.range("risk.orders_per_s", self.orders_per_s, 1, 10_000);
        c.range("risk.orders_burst", self.orders_burst, 1, 10_000);
        c.range("risk.market_stale_ms", self.market_stale_ms, 1, 60_000);
        c.range("risk.intent_age_us_max", self.intent_age_us_max, 10, 1_000_000);
    }
}

/// Section `kill`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kill {
    /// Time between two looks at lines, commands and heartbeats, µs.
    pub poll_us: u32,
    /// Time that a sender has to acknowledge a trip before its connection is aborted, ms.
    pub ack_deadline_ms: u32,
    /// File that is watched as a kill line; empty = none.
    pub line_file: PathBuf,
    /// Age of an agent's heartbeat that trips, ms.
    pub stale_beat_ms: u32,
}

impl Default for Kill {
    fn default() -> Self {
        Kill { poll_us: 200, ack_deadline_ms: 50, line_file: PathBuf::new(), stale_beat_ms: 500 }
    }
}

impl Kill {
    pub(crate) fn check(&self, c: &mut Checker<'_>) {
        c.range("kill.poll_us", self.poll_us, 10, 10_000);
        c.range("kill.ack_deadline_ms", self.ack_deadline_ms, 1, 10_000);
        c.absolute_or_none("kill.line_file", &self.line_file);
        c.range("kill.stale_beat_ms", self.stale_beat_ms, 1, 60_000);
        c.rule(
            "kill.stale_beat_ms",
            self.stale_beat_ms,
            u64::from(self.stale_beat_ms) * 1_000 >= 5 * u64::from(self.poll_us),
            format_args!("must be at least 5 polls of kill.poll_us = {}", self.poll_us),
        );
    }
}
