//! From the configuration file's units to the instrument's integers: decimals meet scales here and nowhere else.

use risk::{Limits, LimitsSpec};
use strategies::StrategySpec;
use strategies::maker::{MakerSpec, Model};
use strategies::quoter::QuoterSpec;
use topology::{Config, Decimal, MakerModel, SelfTrade, StrategyKind, mantissa};
use venue_binance::{Credentials, RECV_WINDOW_MS, RateLimit, RateLimitKind};
use wire::Instrument;

use crate::agents::gateway::GatewaySettings;
use crate::engine::{EngineError, EngineSettings, StrategySettings};
use crate::feed::{Bounds, FeedSettings};

/// Part of the venue's order budget that is kept for cancels.
const CANCEL_RESERVE: u32 = 5;
/// Order budget when the venue names none: its published example.
const ORDERS_DEFAULT: (u32, u64) = (50, 10);
/// Request weight a minute when the venue names none: its published figure.
const WEIGHT_DEFAULT: u32 = 6_000;
/// Order slots: open orders, and those that wait for late reports.
pub const SLOTS: usize = 1_024;
/// How long a stop may take: cancels confirmed, or reported as not.
const STOP_DEADLINE_NS: u64 = 10_000_000_000;
/// How far the venue's clock may be behind ours when it judges the age of an order.
const ORDER_LATE_SLACK_NS: u64 = 1_000_000_000;

fn at(key: &'static str, value: Decimal, decimals: u8) -> Result<i64, EngineError> {
    mantissa(value, decimals).ok_or(EngineError::Start {
        what: key,
        why: format!("{value} does not fit the instrument's {decimals} decimals"),
    })
}

/// Price × quantity limits are at the sum of both scales, which may exceed what `mantissa` takes.
fn notional(key: &'static str, value: Decimal, i: &Instrument) -> Result<i128, EngineError> {
    let quote = at(key, value, i.px_decimals)?;
    Ok(quote as i128 * wire::POW10[i.qty_decimals as usize] as i128)
}

/// Checks a configuration against the instrument that it is to trade.
///
/// # Errors
/// A decimal that the instrument's scale cannot hold, or a limit that breaks its rule: names the key.
pub fn engine_settings(
    config: &Config,
    instrument: &Instrument,
    rate_limits: &[RateLimit],
    credentials: Credentials,
) -> Result<EngineSettings, EngineError> {
    let r = &config.risk;
    let qty = |key, value| at(key, value, instrument.qty_decimals);
    let limits = Limits::new(LimitsSpec {
        order_qty_max: qty("risk.order_qty_max", r.order_qty_max)?,
        order_notional_max: notional("risk.order_notional_max", r.order_notional_max, instrument)?,
        position_max: qty("risk.position_max", r.position_max)?,
        position_notional_max: notional("risk.position_notional_max", r.position_notional_max, instrument)?,
        open_orders_max: r.open_orders_max as i64,
        collar_mid_bps: r.collar_mid_bps as i64,
        collar_touch_bps: r.collar_bps as i64,
        order_rate_per_s: r.orders_per_s as i64,
        order_burst: r.orders_burst as i64,
        data_age_max_us: r.market_stale_ms as i64 * 1_000,
        intent_age_max_us: r.intent_age_us_max as i64,
    })?;
    let (budget, interval_s) = rate_limits
        .iter()
        .filter(|l| l.kind == RateLimitKind::Orders && l.interval_s <= 60)
        .map(|l| (u32::try_from(l.limit).unwrap_or(u32::MAX), l.interval_s))
        .min_by_key(|(limit, interval_s)| *limit as u64 / interval_s.max(&1))
        .unwrap_or(ORDERS_DEFAULT);
    let weight_per_min = rate_limits
        .iter()
        .filter(|l| l.kind == RateLimitKind::RequestWeight)
        .map(|l| l.limit.saturating_mul(60) / l.interval_s.max(1))
        .min()
        .map_or(WEIGHT_DEFAULT, |weight| u32::try_from(weight).unwrap_or(u32::MAX));
    let gateway = GatewaySettings {
        budget,
        budget_interval_ns: interval_s.max(1) * 1_000_000_000,
        cancel_reserve: CANCEL_RESERVE.min(budget.saturating_sub(1)),
        connection_life_ns: config.net.connection_life_s as u64 * 1_000_000_000,
        kill_beat_max_ns: config.kill.stale_beat_ms as u64 * 1_000_000,
        stop_deadline_ns: STOP_DEADLINE_NS,
        order_late_max_ns: RECV_WINDOW_MS * 1_000_000 + ORDER_LATE_SLACK_NS,
    };
    let rings = &config.rings;
    Ok(EngineSettings {
        symbol: config.instrument.symbol.clone(),
        limits,
        strategy: strategy(config, instrument)?,
        gateway,
        weight_per_min,
        self_trade: self_trade(r.self_trade),
        slots: SLOTS,
        snapshot_levels: config.feed.snapshot_levels,
        feed: FeedSettings {
            pending_updates_max: config.feed.pending_updates_max as usize,
            depth_silence_ns: config.feed.depth_silence_ms as u64 * 1_000_000,
            bounds: Bounds {
                price_change_max_bps: config.feed.price_change_max_bps,
                exchange_ahead_max_ns: config.feed.exchange_ahead_max_ms as u64 * 1_000_000,
            },
        },
        rings: [
            rings.market_strategy,
            rings.market_oms,
            rings.signal,
            rings.order,
            rings.report_oms,
            rings.report_strategy,
        ],
        credentials,
    })
}

/// Self-trade prevention as the venue knows it, `None` = what it does by itself.
fn self_trade(mode: SelfTrade) -> Option<venue_binance::SelfTrade> {
    use venue_binance::SelfTrade as Venue;
    match mode {
        SelfTrade::Venue => None,
        SelfTrade::None => Some(Venue::None),
        SelfTrade::ExpireTaker => Some(Venue::ExpireTaker),
        SelfTrade::ExpireMaker => Some(Venue::ExpireMaker),
        SelfTrade::ExpireBoth => Some(Venue::ExpireBoth),
        SelfTrade::Decrement => Some(Venue::Decrement),
    }
}

/// The strategy that the configuration names, at the instrument's scales.
///
/// # Errors
/// A decimal that the instrument's scale cannot hold: names the key.
pub fn strategy(config: &Config, instrument: &Instrument) -> Result<StrategySettings, EngineError> {
    let ns = |ms: u32| u64::from(ms) * 1_000_000;
    Ok(StrategySettings {
        spec: strategy_spec(config, instrument)?,
        ttl_us: config.risk.intent_age_us_max,
        warm_up_quiet_ns: ns(config.runtime.warm_up_quiet_ms),
        warm_up_every_ns: ns(config.runtime.warm_up_every_ms),
    })
}

fn strategy_spec(config: &Config, instrument: &Instrument) -> Result<StrategySpec, EngineError> {
    let qty = |key, value| at(key, value, instrument.qty_decimals);
    let us = |ms: u32| ms as i64 * 1_000;
    Ok(match config.strategy.kind {
        StrategyKind::Quoter => {
            let q = &config.strategy.quoter;
            StrategySpec::Quoter(QuoterSpec {
                size: qty("strategy.quoter.size", q.size)?,
                half_spread_ticks: q.half_spread_ticks as i64,
                skew_ticks: q.skew_ticks as i64,
                requote_ticks: q.requote_ticks as i64,
                position_max: qty("strategy.quoter.position_max", q.position_max)?,
                order_life_min_us: q.order_life_min_us as i64,
                in_flight_max: q.in_flight_max as i64,
            })
        }
        StrategyKind::Maker => {
            let m = &config.strategy.maker;
            let horizon_s = m.horizon_ms as f64 / 1e3;
            StrategySpec::Maker(MakerSpec {
                model: match m.model {
                    MakerModel::As => Model::AvellanedaStoikov { horizon_s },
                    MakerModel::Glft => Model::Glft,
                },
                gamma: real("strategy.maker.gamma", m.gamma)?,
                size: qty("strategy.maker.size", m.size)?,
                levels: m.levels as i64,
                step_min_ticks: m.step_min_ticks as i64,
                step_us: us(m.step_ms),
                spread_min_ticks: m.spread_min_ticks as i64,
                spread_max_ticks: m.spread_max_ticks as i64,
                maker_fee_ppm: m.maker_fee_ppm as i64,
                requote_ticks: m.requote_ticks as i64,
                position_max: qty("strategy.maker.position_max", m.position_max)?,
                order_life_min_us: m.order_life_min_us as i64,
                orders_per_s: m.orders_per_s as i64,
                in_flight_max: m.in_flight_max as i64,
                sigma_half_life_us: us(m.sigma_half_life_ms),
                sigma_sample_us: us(m.sigma_sample_ms),
                sigma_min: real("strategy.maker.sigma_min_ticks", m.sigma_min_ticks)?,
                sigma_max: real("strategy.maker.sigma_max_ticks", m.sigma_max_ticks)?,
                arrivals_per_s: real("strategy.maker.arrivals_per_s", m.arrivals_per_s)?,
                arrivals_decay: real("strategy.maker.arrivals_decay", m.arrivals_decay)?,
                arrivals_half_life_us: (m.arrivals_half_life_ms > 0).then(|| us(m.arrivals_half_life_ms)),
            })
        }
    })
}

/// A model's parameter, which is a float from here on.
fn real(key: &'static str, value: Decimal) -> Result<f64, EngineError> {
    f64::try_from(value).map_err(|e| EngineError::Start { what: key, why: format!("{value}: {e}") })
}
