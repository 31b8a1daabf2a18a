//! One agent at a time: what each is built from, wherever it is to live.

use std::sync::{Arc, Mutex};

use agent::{Clock, RingId};
use kill::{KillView, SenderAck};
use net::Link;
use risk::Gate;
use stats::boards::{PositionWriter, TopWriter};
use strategies::Chosen;
use venue_binance::{BinanceDepthSequence, BinanceFeed, BinanceOrders, asset_names};
use wire::Instrument;

use super::rings::{MARKET_OMS, MARKET_STRATEGY, ORDER, REPORT_OMS, REPORT_STRATEGY, Rings, SIGNAL};
use super::{
    EngineError, EngineSettings, MARKET_LINK, ORDER_LINK, STANDBY_LINK, StrategySettings, check_money,
};
use crate::agents::feed::{FeedAgent, Interest, Outlet, SnapshotSource};
use crate::agents::gateway::{Gateway, GatewayParts, Predecessors};
use crate::agents::killer::Handles;
use crate::agents::oms::{OmsAgent, OmsFinal, OmsPorts};
use crate::agents::strategy::{StrategyAgent, StrategyPorts};
use crate::controls::{Controls, Told};
use crate::feed::Feed;
use crate::meters::{FeedMeters, GatewayMeters, OmsMeters, StrategyMeters};
use crate::oms::Oms;
use crate::rate_book::SharedRates;
use crate::tape::{Tape, TapedLink, TapedSnapshots};

/// The feed's ends.
pub struct FeedEnds<L, S> {
    /// Market-data connection.
    pub market: L,
    /// Snapshots.
    pub snapshots: S,
    /// Statistics.
    pub meters: FeedMeters,
    /// One board of the top an instrument.
    pub boards: Vec<TopWriter>,
    /// Whether the clock of the stage stamps is that of the duty cycles.
    pub stage_is_cycle_clock: bool,
    /// Its end of the journal.
    pub tape: Tape,
}

/// The strategy's ends.
pub struct StrategyEnds {
    /// Its source number, which its order ids begin with.
    pub source: u16,
    /// Statistics.
    pub meters: StrategyMeters,
    /// Its end of the journal.
    pub tape: Tape,
}

/// The oms's ends.
pub struct OmsEnds {
    /// Statistics.
    pub meters: OmsMeters,
    /// One board of the position an instrument.
    pub boards: Vec<PositionWriter>,
    /// The kill epoch.
    pub kill: KillView,
    /// Its end of the journal.
    pub tape: Tape,
}

/// The gateway's ends.
pub struct GatewayEnds<L> {
    /// Order connection.
    pub primary: L,
    /// Second order connection.
    pub standby: L,
    /// Statistics.
    pub meters: GatewayMeters,
    /// The kill epoch.
    pub kill: KillView,
    /// Where it acknowledges it.
    pub ack: SenderAck,
    /// Where it leaves the means to cut its order connection.
    pub handles: Handles,
    /// What the venue still takes from this address.
    pub rates: SharedRates,
    /// What its predecessors have left.
    pub before: Option<Predecessors>,
    /// Its end of the journal.
    pub tape: Tape,
}

/// What all agents of an engine share, checked.
pub struct Assembly<'a> {
    settings: &'a EngineSettings,
    /// What is traded.
    pub instruments: Vec<Instrument>,
    /// Names of the assets by number.
    pub assets: Vec<String>,
    stage: Clock,
}

impl<'a> Assembly<'a> {
    /// Checks what is to be traded.
    ///
    /// # Errors
    /// Money that the venue cannot say.
    pub fn new(
        settings: &'a EngineSettings,
        instruments: Vec<Instrument>,
        stage: Clock,
    ) -> Result<Assembly<'a>, EngineError> {
        let assets = asset_names(&instruments);
        check_money(&instruments, assets.len())?;
        Ok(Assembly { settings, instruments, assets, stage })
    }

    /// The feed agent.
    ///
    /// # Errors
    /// A ring end that is not to be had.
    pub fn feed<L: Link, S: SnapshotSource>(
        &self,
        ends: FeedEnds<L, S>,
        rings: &Rings,
        told: Told,
    ) -> Result<FeedAgent<TapedLink<L>, TapedSnapshots<S>, BinanceFeed, BinanceDepthSequence>, EngineError>
    {
        let FeedEnds { market, snapshots, meters, boards, stage_is_cycle_clock, tape } = ends;
        let outlets = vec![
            Outlet::new(rings.out(MARKET_STRATEGY, &tape)?, Interest::TOP_AND_TRADES),
            Outlet::new(rings.out(MARKET_OMS, &tape)?, Interest::TOP),
        ];
        Ok(FeedAgent::new(
            TapedLink::new(market, MARKET_LINK, &tape),
            TapedSnapshots::new(snapshots, &tape),
            Feed::new(BinanceFeed::new(self.instruments.clone()), 0, self.settings.feed),
            outlets,
            meters,
            boards,
            self.stage.clone(),
            stage_is_cycle_clock,
        )
        .watching(told, &tape))
    }

    /// The strategy agent.
    ///
    /// # Errors
    /// A parameter that breaks its rule, or a ring end that is not to be had.
    pub fn strategy(
        &self,
        ends: StrategyEnds,
        rings: &Rings,
        told: Told,
    ) -> Result<StrategyAgent<Chosen>, EngineError> {
        strategy_agent(&self.instruments, self.settings.strategy, ends, rings, told, self.stage.clone())
    }

    /// The oms agent; what it knows at the end is written to `last`.
    ///
    /// # Errors
    /// A limit or a scale that does not fit an instrument, or a ring end that is not to be had.
    pub fn oms(
        &self,
        ends: OmsEnds,
        rings: &Rings,
        controls: Controls,
        last: Arc<Mutex<Option<OmsFinal>>>,
    ) -> Result<OmsAgent, EngineError> {
        let OmsEnds { meters, boards, kill, tape } = ends;
        let settings = self.settings;
        let gates = self
            .instruments
            .iter()
            .map(|i| Ok((i.clone(), Gate::new(settings.limits, i)?)))
            .collect::<Result<Vec<_>, EngineError>>()?;
        Ok(OmsAgent::new(
            Oms::new(gates, self.assets.len(), settings.slots, settings.gateway.order_late_max_ns)?,
            OmsPorts {
                market: (rings.input(MARKET_OMS, &tape)?, RingId(MARKET_OMS as u16)),
                signals: (rings.input(SIGNAL, &tape)?, RingId(SIGNAL as u16)),
                reports: (rings.input(REPORT_OMS, &tape)?, RingId(REPORT_OMS as u16)),
                orders: rings.out(ORDER, &tape)?,
                updates: rings.out(REPORT_STRATEGY, &tape)?,
                kill,
                controls,
                meters,
                boards,
                stage: self.stage.clone(),
                tape,
            },
            last,
        ))
    }

    fn codec(&self) -> BinanceOrders {
        let settings = self.settings;
        BinanceOrders::new(self.instruments.clone(), self.assets.clone(), settings.credentials.clone())
            .with_self_trade(settings.self_trade)
    }

    /// HTTP target of the order connections.
    pub fn order_target(&self) -> String {
        venue::OrderSession::target(&self.codec())
    }

    /// The gateway agent.
    ///
    /// # Errors
    /// A ring end that is not to be had.
    pub fn gateway<L: Link>(
        &self,
        ends: GatewayEnds<L>,
        rings: &Rings,
        controls: Controls,
    ) -> Result<Gateway<TapedLink<L>, BinanceOrders>, EngineError> {
        let GatewayEnds { primary, standby, meters, kill, ack, handles, rates, before, tape } = ends;
        Ok(Gateway::new(
            GatewayParts {
                primary: (TapedLink::new(primary, ORDER_LINK, &tape), self.codec()),
                standby: (TapedLink::new(standby, STANDBY_LINK, &tape), self.codec()),
                orders: rings.input(ORDER, &tape)?,
                reports: rings.out(REPORT_OMS, &tape)?,
                kill,
                ack,
                handles,
                controls,
                meters,
                stage: self.stage.clone(),
                tape,
                instruments: self.instruments.iter().map(|i| i.id).collect(),
                slots: self.settings.slots,
                rates,
                settings: self.settings.gateway,
                before,
            },
            RingId(ORDER as u16),
        ))
    }
}

/// The strategy agent, from what a process that holds nothing else knows.
///
/// # Errors
/// A parameter that breaks its rule, or a ring end that is not to be had.
pub fn strategy_agent(
    instruments: &[Instrument],
    settings: StrategySettings,
    ends: StrategyEnds,
    rings: &Rings,
    told: Told,
    stage: Clock,
) -> Result<StrategyAgent<Chosen>, EngineError> {
    let first =
        instruments.first().ok_or(EngineError::Start { what: "instruments", why: "none listed".into() })?;
    let StrategyEnds { source, meters, tape } = ends;
    let agent = StrategyAgent::new(
        Chosen::new(settings.spec, first.clone())?,
        source,
        settings.ttl_us,
        StrategyPorts {
            market: (rings.input(MARKET_STRATEGY, &tape)?, RingId(MARKET_STRATEGY as u16)),
            updates: (rings.input(REPORT_STRATEGY, &tape)?, RingId(REPORT_STRATEGY as u16)),
            signals: rings.out(SIGNAL, &tape)?,
            told,
            meters,
            stage,
            tape,
        },
    );
    Ok(agent.keeping_warm(settings.warm_up_quiet_ns, settings.warm_up_every_ns))
}
