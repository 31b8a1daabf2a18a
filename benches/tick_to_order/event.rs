//! From an event in the market rings to an order in the order ring: strategy and oms alone.

use std::error::Error;
use std::hint::black_box;
use std::sync::{Arc, Mutex};

use agent::{Agent, Clock, Invoker, RingId};
use corelane::agents::oms::{OmsAgent, OmsPorts};
use corelane::agents::strategy::{StrategyAgent, StrategyPorts};
use corelane::controls::Controls;
use corelane::meters::{self, BeatSink, Meters};
use corelane::oms::Oms;
use corelane::tape::{RingIn, RingOut, Tape};
use hdrhistogram::Histogram;
use kill::KillSwitch;
use rings::{Consumer, Payload, Producer};
use risk::{Gate, Limits, LimitsSpec};
use stats::StatsSegment;
use stats::boards::Boards;
use strategies::quoter::{Quoter, QuoterSpec};
use wire::{AssetId, BookState, Instrument, InstrumentId, Kind, Msg, Px, Qty, Ts, VenueId, flag};

use crate::protocol;

/// Capacity of every ring: the shipped configuration's of the smaller ones.
const RING: usize = 1_024;
/// Order slots, as live.
const SLOTS: usize = 1_024;
/// How long the venue may still take an order, as live.
const ORDER_LATE_MAX_NS: u64 = 3_000_000_000;
/// Price step and order size of the instrument, 8 decimals.
const TICK: i64 = 1_000_000;
const SIZE: i64 = 100_000;
/// Price around which the market stands.
const PRICE: i64 = 60_000 * 100_000_000;

pub(crate) fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId(0),
        venue: VenueId(0),
        symbol: "BTCUSDT".into(),
        base: "BTC".into(),
        quote: "USDT".into(),
        base_id: AssetId(0),
        quote_id: AssetId(1),
        px_decimals: 8,
        qty_decimals: 8,
        quote_decimals: 8,
        tick: Px(TICK),
        px_min: Px(TICK),
        px_max: Px(100_000_000_000_000),
        lot: Qty(1_000),
        qty_min: Qty(1_000),
        qty_max: Qty(900_000_000_000),
        notional_min: 5 * 10i128.pow(16),
        open_orders_max: 200,
        market_qty: Default::default(),
        band_buy: Default::default(),
        band_sell: Default::default(),
        trading: true,
    }
}

fn limits() -> LimitsSpec {
    LimitsSpec {
        order_qty_max: 2 * SIZE,
        order_notional_max: 500 * 10i128.pow(16),
        position_max: 3 * SIZE,
        position_notional_max: 5_000 * 10i128.pow(16),
        open_orders_max: 6,
        collar_mid_bps: 500,
        collar_touch_bps: 100,
        // As many as the loop can make: the bucket is looked at, and never empty.
        order_rate_per_s: 1_000_000,
        order_burst: 1_000_000,
        // A busy host stops the thread for longer than any market would.
        data_age_max_us: 60_000_000,
        intent_age_max_us: 60_000_000,
    }
}

struct Rig {
    clock: Clock,
    market: [Producer; 2],
    reports: Producer,
    orders: Consumer,
    agents: Invoker<'static, BeatSink>,
    trade_id: i64,
    _segment: StatsSegment,
    _kill: KillSwitch,
}

/// Spans of `ticks` ticks after `warm_up` others.
pub(crate) fn run(clock: &Clock, warm_up: usize, ticks: usize) -> Result<Histogram<u64>, Box<dyn Error>> {
    let mut rig = Rig::new(clock.clone())?;
    rig.open()?;
    let mut spans = super::histogram()?;
    for n in 0..warm_up + ticks {
        let span_ns = rig.tick(n)?;
        if n >= warm_up {
            spans.saturating_record(span_ns.max(1));
        }
    }
    Ok(spans)
}

/// The same ticks by count: what happens between a push and its order.
pub(crate) fn counted(clock: Clock) -> Result<impl FnMut(usize) -> Result<(), String>, String> {
    let mut rig = Rig::new(clock).map_err(|e| e.to_string())?;
    rig.open().map_err(|e| e.to_string())?;
    Ok(move |n| {
        let words = top(n, rig.clock.now()).to_words();
        let led = protocol::hot(|| rig.react(words)).map_err(|e| e.to_string())?;
        rig.after(n, led).map_err(|e| e.to_string())
    })
}

impl Rig {
    fn new(clock: Clock) -> Result<Rig, Box<dyn Error>> {
        let (market_strategy, market_strategy_rx) = rings::ring("market_strategy", RING)?;
        let (market_oms, market_oms_rx) = rings::ring("market_oms", RING)?;
        let (signals, signals_rx) = rings::ring("signal", RING)?;
        let (orders_tx, orders) = rings::ring("order", RING)?;
        let (reports, reports_rx) = rings::ring("report_oms", RING)?;
        let (updates, updates_rx) = rings::ring("report_strategy", RING)?;
        let tape = Tape::off();
        let taken = |ring, id| (RingIn::new(ring, id as u8, &tape), RingId(id));
        let out = |ring, id| RingOut::new(ring, id, &tape);
        let mut kill = KillSwitch::heap(&["gateway"])?;
        kill.arm();
        let segment = StatsSegment::heap(&meters::layout(SLOTS))?;
        let Meters { strategy, oms, mut sinks, .. } = Meters::take(&segment)?;
        let controls = Controls::default();
        let spec = QuoterSpec {
            size: SIZE,
            half_spread_ticks: 1,
            skew_ticks: 1,
            requote_ticks: 2,
            // One fill fills it: from then on one side quotes, and each tick leads to exactly one order.
            position_max: SIZE,
            order_life_min_us: 1,
            in_flight_max: 2,
        };
        let gate = Gate::new(Limits::new(limits())?, &instrument())?;
        let strategy = StrategyAgent::new(
            Quoter::new(spec, instrument())?,
            1,
            60_000_000,
            StrategyPorts {
                market: taken(market_strategy_rx, 0),
                updates: taken(updates_rx, 5),
                signals: out(signals, 2),
                told: controls.told(),
                meters: strategy,
                stage: clock.clone(),
                tape: tape.clone(),
            },
        );
        let oms = OmsAgent::new(
            Oms::new(vec![(instrument(), gate)], 2, SLOTS, ORDER_LATE_MAX_NS)?,
            OmsPorts {
                market: taken(market_oms_rx, 1),
                signals: taken(signals_rx, 2),
                reports: taken(reports_rx, 4),
                orders: out(orders_tx, 3),
                updates: out(updates, 5),
                kill: kill.view(),
                controls,
                meters: oms,
                boards: Boards::heap(1)?.position_writers()?,
                stage: clock.clone(),
                tape: tape.clone(),
            },
            Arc::new(Mutex::new(None)),
        );
        let mut sink = BeatSink::default();
        sink.add(&mut sinks, "strategy");
        sink.add(&mut sinks, "oms");
        let agents: Vec<Box<dyn Agent>> = vec![Box::new(strategy), Box::new(oms)];
        Ok(Rig {
            agents: Invoker::new(agents, clock.clone(), sink),
            clock,
            market: [market_strategy, market_oms],
            reports,
            orders,
            trade_id: 1,
            _segment: segment,
            _kill: kill,
        })
    }

    /// Session, balances and book come up; the first bid fills, so that the quoter is as long as it may be.
    fn open(&mut self) -> Result<(), Box<dyn Error>> {
        self.agents.start();
        self.report(Kind::Session, 0, [1, 0, 0, 0])?;
        self.report(Kind::Balance, 0, [10 * 100_000_000, 0, 0, 1])?;
        self.report(Kind::Balance, flag::END, [1_000_000 * 100_000_000, 0, 1, 1])?;
        let now = self.clock.now();
        self.publish(Msg::new(Kind::BookState, InstrumentId(0), now).body([
            BookState::InSync as i64,
            0,
            0,
            0,
        ]))?;
        self.settle();
        let now = self.clock.now();
        self.publish(top(0, now))?;
        self.settle();
        while let Some((_, words)) = self.orders.pop() {
            let order = Msg::from_words(words);
            self.acknowledge(&order)?;
            if order.has(flag::SELL) {
                self.gone(&order)?;
            } else {
                self.fill(&order)?;
            }
        }
        self.settle();
        Ok(())
    }

    /// One tick, from its push to its order; then the order is acknowledged and gone before the next.
    fn tick(&mut self, n: usize) -> Result<u64, Box<dyn Error>> {
        let words = top(n, self.clock.now()).to_words();
        let began = self.clock.now();
        let order = self.react(words)?;
        let ended = self.clock.now();
        self.after(n, order)?;
        Ok(ended.since_ns(began))
    }

    /// From the push of a price to what then stands first in the order ring: what is timed and counted.
    #[inline]
    fn react(&mut self, words: Payload) -> Result<Option<Payload>, rings::Full> {
        self.market[0].push(words)?;
        self.market[1].push(words)?;
        self.agents.step();
        Ok(black_box(self.orders.peek()).map(|(_, words)| words))
    }

    /// The one order is acknowledged and gone.
    fn after(&mut self, n: usize, order: Option<Payload>) -> Result<(), Box<dyn Error>> {
        let Some(words) = order else {
            return Err(format!("tick {n} led to no order").into());
        };
        self.orders.release();
        let order = Msg::from_words(words);
        if order.kind() != Some(Kind::SendNew) || self.orders.peek().is_some() {
            return Err(format!("tick {n} led to more than one new order").into());
        }
        self.acknowledge(&order)?;
        self.gone(&order)?;
        self.settle();
        Ok(())
    }

    fn publish(&mut self, msg: Msg) -> Result<(), rings::Full> {
        self.market[0].push(msg.to_words())?;
        self.market[1].push(msg.to_words())
    }

    fn report(&mut self, kind: Kind, flags: u8, body: [i64; 4]) -> Result<(), rings::Full> {
        let now = self.clock.now();
        self.reports.push(Msg::new(kind, InstrumentId(0), now).flags(flags).body(body).to_words())
    }

    fn acknowledge(&mut self, order: &Msg) -> Result<(), rings::Full> {
        self.report(Kind::Sent, flag::END, [1, 0, order.body[2], 0])?;
        self.report(Kind::Acked, flag::END, [0, 77, order.body[2], 0])
    }

    fn gone(&mut self, order: &Msg) -> Result<(), rings::Full> {
        self.report(Kind::Cancelled, flag::END, [0, 77, order.body[2], 0])
    }

    fn fill(&mut self, order: &Msg) -> Result<(), rings::Full> {
        let [px, qty, slot, _] = order.body;
        self.trade_id += 1;
        self.report(Kind::Fill, flag::MAKER, [px, qty, slot, self.trade_id])?;
        self.report(Kind::FillFee, flag::END, [0, 0, qty, 77])
    }

    /// Reports to the oms, its words to the strategy.
    fn settle(&mut self) {
        for _ in 0..3 {
            self.agents.step();
        }
    }
}

/// The `n`-th best price: all sixteen cases of a small walk, and sizes that lean either way.
fn top(n: usize, now: Ts) -> Msg {
    let step = (n.wrapping_mul(7) % 16) as i64;
    let bid = PRICE + step * TICK;
    let ask = bid + (1 + step % 3) * TICK;
    let (bid_qty, ask_qty) = (SIZE * (1 + step), SIZE * (16 - step));
    Msg::new(Kind::Top, InstrumentId(0), now).flags(flag::END).body([bid, bid_qty, ask, ask_qty])
}
