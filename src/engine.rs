//! Assembly: instruments, settings and the ends of every seam in, four agents joined by rings out.
//!
//! The rings, by number in the interleaving record:
//!
//! | ring | from | to | when full |
//! |---|---|---|---|
//! | 0 `market_strategy` | feed | strategy | consumer is lapped, hears the current state when it has caught up |
//! | 1 `market_oms` | feed | oms | the same |
//! | 2 `signal` | strategy | oms | the intent is refused to the strategy |
//! | 3 `order` | oms | gateway | the order is refused with a reason |
//! | 4 `report_oms` | gateway | oms | the gateway stops reading its sockets |
//! | 5 `report_strategy` | oms | strategy | trading halts: a strategy that missed an answer must not go on |

pub mod assembly;
pub mod rings;

use std::sync::{Arc, Mutex};

use ::rings::SegmentError;
use agent::Clock;
use kill::{ControlError, KillView, SenderAck};
use net::Link;
use risk::{LimitError, Limits};
use stats::StatsError;
use stats::boards::Boards;
use strategies::{Chosen, SpecError, StrategySpec};
use venue_binance::SelfTrade;
use venue_binance::{
    BinanceDepthSequence, BinanceFeed, BinanceOrders, Credentials, CredentialsError, InstrumentError,
};
use wire::{Decimal, Instrument, Px, Qty};

use crate::agents::feed::{FeedAgent, SnapshotSource};
use crate::agents::gateway::{ASSETS_MAX, Gateway, GatewaySettings};
use crate::agents::killer::Handles;
use crate::agents::oms::{OmsAgent, OmsFinal};
use crate::agents::strategy::StrategyAgent;
use crate::controls::Controls;
use crate::feed::FeedSettings;
use crate::meters::{FeedMeters, GatewayMeters, OmsMeters, StrategyMeters};
use crate::oms::OmsError;
use crate::rate_book::SharedRates;
use crate::tape::{TapedLink, TapedSnapshots, Tapes};
use assembly::{Assembly, FeedEnds, GatewayEnds, OmsEnds, StrategyEnds};
use rings::Rings;

/// Source number of the strategy that lives in the engine's process.
pub const SOURCE: u16 = 1;
/// Number of the market-data connection.
pub const MARKET_LINK: u32 = 0;
/// Number of the connection that carries orders.
pub const ORDER_LINK: u32 = 1;
/// Number of the second, always-open order connection.
pub const STANDBY_LINK: u32 = 2;

/// Names of the rings in the order of their numbers.
pub const RINGS: [&str; 6] =
    ["market_strategy", "market_oms", "signal", "order", "report_oms", "report_strategy"];

/// Why an engine cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The venue refused or answered nonsense.
    #[error("venue: {0}")]
    Venue(String),
    /// A limit breaks its rule.
    #[error("limits: {0}")]
    Limit(#[from] LimitError),
    /// A strategy parameter breaks its rule.
    #[error("strategy: {0}")]
    Strategy(#[from] SpecError),
    /// exchangeInfo could not be read.
    #[error("instruments: {0}")]
    Instrument(#[from] InstrumentError),
    /// Key or secret cannot be used.
    #[error("credentials: {0}")]
    Credentials(#[from] CredentialsError),
    /// Shared memory.
    #[error("shared memory: {0}")]
    Segment(#[from] SegmentError),
    /// Statistics.
    #[error("statistics: {0}")]
    Stats(#[from] StatsError),
    /// Kill switch.
    #[error("kill switch: {0}")]
    Kill(#[from] ControlError),
    /// Order management.
    #[error("oms: {0}")]
    Oms(#[from] OmsError),
    /// Anything else that start-up needs: names what and why.
    #[error("{what}: {why}")]
    Start {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        why: String,
    },
}

/// An error with what caused it, in one line.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        // Some errors quote their cause, others leave it to the reader.
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

/// Checked settings of the strategy agent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StrategySettings {
    /// The strategy and its parameters.
    pub spec: StrategySpec,
    /// Time to live of its intents, µs.
    pub ttl_us: u32,
    /// Without market data for so long the way of an order is kept warm, ns; 0 = never.
    pub warm_up_quiet_ns: u64,
    /// Time between two orders that keep it warm, ns.
    pub warm_up_every_ns: u64,
}

/// Checked settings of an engine.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Venue symbol.
    pub symbol: String,
    /// Limits of the gate.
    pub limits: Limits,
    /// The strategy.
    pub strategy: StrategySettings,
    /// Settings of the gateway.
    pub gateway: GatewaySettings,
    /// Request weight that the venue takes in a minute.
    pub weight_per_min: u32,
    /// What the venue is told of orders of ours that would meet; `None` = nothing.
    pub self_trade: Option<SelfTrade>,
    /// Order slots.
    pub slots: usize,
    /// Levels of a REST snapshot, each side.
    pub snapshot_levels: u32,
    /// Settings of the feed.
    pub feed: FeedSettings,
    /// Capacity of each ring, in the order of [`RINGS`]; powers of two.
    pub rings: [usize; 6],
    /// API key and secret.
    pub credentials: Credentials,
}

/// The ends that differ between live and simulation, and everything handed out once.
pub struct EngineParts<L, S> {
    /// Market-data connection.
    pub market: L,
    /// Order connection.
    pub primary: L,
    /// Second order connection.
    pub standby: L,
    /// Snapshots.
    pub snapshots: S,
    /// Statistics of the feed.
    pub feed_meters: FeedMeters,
    /// Statistics of the strategy.
    pub strategy_meters: StrategyMeters,
    /// Statistics of the oms.
    pub oms_meters: OmsMeters,
    /// Statistics of the gateway.
    pub gateway_meters: GatewayMeters,
    /// Boards of top and position, one of each an instrument.
    pub boards: Boards,
    /// The kill epoch, armed.
    pub kill: KillView,
    /// The gateway's acknowledgement.
    pub ack: SenderAck,
    /// Where the gateway leaves the means to cut its order connection.
    pub handles: Handles,
    /// What the venue still takes from this address.
    pub rates: SharedRates,
    /// Mode and progress words.
    pub controls: Controls,
    /// Clock of the stage stamps.
    pub stage: Clock,
    /// Whether that is the clock of the duty cycles.
    pub stage_is_cycle_clock: bool,
    /// The journal's end of each agent, in the order of the duty cycle.
    pub tapes: Tapes,
}

/// Four agents, joined.
pub struct Agents<L, S> {
    /// Market data.
    pub feed: FeedAgent<TapedLink<L>, TapedSnapshots<S>, BinanceFeed, BinanceDepthSequence>,
    /// Strategy.
    pub strategy: StrategyAgent<Chosen>,
    /// Order management.
    pub oms: OmsAgent,
    /// Order entry.
    pub gateway: Gateway<TapedLink<L>, BinanceOrders>,
    /// What the oms knows once it has closed.
    pub last: Arc<Mutex<Option<OmsFinal>>>,
    /// Names of the assets by number.
    pub assets: Vec<String>,
    /// HTTP target of the order connections.
    pub order_target: String,
}

/// Whether every amount that trading can move is one that the venue can say, and all of them fit one listing: else the
/// ledger, which is exact, would never agree with the venue's balances.
fn check_money(instruments: &[Instrument], assets: usize) -> Result<(), EngineError> {
    let refused = |why| Err(EngineError::Start { what: "instruments", why });
    if assets > ASSETS_MAX {
        return refused(format!("{assets} assets, at most {ASSETS_MAX} balances are compared"));
    }
    for i in instruments {
        // A step of zero is one that the venue does not check.
        let smallest = Instrument::notional(Px(i.tick.0.max(1)), Qty(i.lot.0.max(1)));
        let finer = i.notional_decimals().saturating_sub(i.quote_decimals) as usize;
        if finer >= wire::POW10.len() || smallest % wire::POW10[finer] as i128 != 0 {
            let symbol = &i.symbol;
            let tick = Decimal { mantissa: i.tick.0 as i128, decimals: i.px_decimals };
            let lot = Decimal { mantissa: i.lot.0 as i128, decimals: i.qty_decimals };
            return refused(format!(
                "{symbol}: tick {tick} times lot {lot} is finer than the {} decimals in which the venue keeps {}",
                i.quote_decimals, i.quote
            ));
        }
    }
    Ok(())
}

/// Joins agents by rings.
///
/// # Errors
/// A limit, parameter or scale that does not fit the instrument, or shared memory that cannot be had.
pub fn assemble<L: Link, S: SnapshotSource>(
    settings: &EngineSettings,
    instruments: Vec<Instrument>,
    mut parts: EngineParts<L, S>,
) -> Result<Agents<L, S>, EngineError> {
    let [feed_tape, strategy_tape, oms_tape, gateway_tape] = [0, 1, 2, 3].map(|agent| parts.tapes.of(agent));
    let rings = Rings::create(&settings.rings, Default::default())?;
    let all = Assembly::new(settings, instruments, parts.stage)?;
    let (controls, kill) = (parts.controls, parts.kill);
    let feed = FeedEnds {
        market: parts.market,
        snapshots: parts.snapshots,
        meters: parts.feed_meters,
        boards: parts.boards.top_writers()?,
        stage_is_cycle_clock: parts.stage_is_cycle_clock,
        tape: feed_tape,
    };
    let strategy = StrategyEnds { source: SOURCE, meters: parts.strategy_meters, tape: strategy_tape };
    let oms = OmsEnds {
        meters: parts.oms_meters,
        boards: parts.boards.position_writers()?,
        kill: kill.clone(),
        tape: oms_tape,
    };
    let gateway = GatewayEnds {
        primary: parts.primary,
        standby: parts.standby,
        meters: parts.gateway_meters,
        kill,
        ack: parts.ack,
        handles: parts.handles,
        rates: parts.rates,
        before: None,
        tape: gateway_tape,
    };
    let last = Arc::new(Mutex::new(None));
    Ok(Agents {
        feed: all.feed(feed, &rings, controls.told())?,
        strategy: all.strategy(strategy, &rings, controls.told())?,
        oms: all.oms(oms, &rings, controls.clone(), last.clone())?,
        gateway: all.gateway(gateway, &rings, controls)?,
        last,
        order_target: all.order_target(),
        assets: all.assets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use venue_binance::{asset_names, parse_exchange_info};
    use wire::{AssetId, InstrumentId, VenueId};

    fn listed(symbol: &str, base: &str, tick: &str, lot: &str) -> Instrument {
        let quote = symbol.trim_start_matches(base);
        let mut info = format!(
            r#"{{"timezone":"UTC","serverTime":1,"rateLimits":[],"exchangeFilters":[],"symbols":[{{"symbol":"{symbol}","status":"TRADING","baseAsset":"{base}","baseAssetPrecision":8,"quoteAsset":"{quote}","quotePrecision":8,"quoteAssetPrecision":8,"filters":[{{"filterType":"PRICE_FILTER","minPrice":"{tick}","maxPrice":"1000.00000000","tickSize":"{tick}"}},{{"filterType":"LOT_SIZE","minQty":"{lot}","maxQty":"9000.00000000","stepSize":"{lot}"}}]}}]}}"#
        )
        .into_bytes();
        let all = parse_exchange_info(&mut info, VenueId(0), &[symbol], InstrumentId(0)).expect("a listing");
        all.into_iter().next().expect("an instrument")
    }

    #[test]
    fn money_that_the_venue_cannot_say_is_refused_by_name() {
        for (tick, lot) in
            [("0.01000000", "0.00001000"), ("0.00000001", "1.00000000"), ("0.00050000", "0.00002000")]
        {
            assert!(check_money(&[listed("ETHBTC", "ETH", tick, lot)], 2).is_ok(), "{tick} {lot}");
        }
        for (tick, lot) in
            [("0.00001000", "0.00010000"), ("0.00000001", "0.10000000"), ("0.00030000", "0.00005000")]
        {
            let bad =
                check_money(&[listed("ETHBTC", "ETH", tick, lot)], 2).expect_err("finer than 8 decimals");
            let text = bad.to_string();
            assert!(text.contains("ETHBTC") && text.contains(tick.trim_end_matches('0')), "{text}");
            assert!(text.ends_with("is finer than the 8 decimals in which the venue keeps BTC"), "{text}");
        }
    }

    #[test]
    fn more_assets_than_one_listing_names_are_refused() {
        let mut i = listed("ETHBTC", "ETH", "0.01000000", "0.00001000");
        i.quote_id = AssetId(64);
        assert!(check_money(&[i.clone()], 64).is_ok());
        let bad = check_money(&[i.clone()], asset_names(&[i]).len()).expect_err("65 assets");
        assert_eq!(bad.to_string(), "instruments: 65 assets, at most 64 balances are compared");
    }
}
