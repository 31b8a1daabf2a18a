//! Every reason at its boundary, impossible inputs, and random orders against a plain twin.

use super::*;
use crate::LimitsSpec;
use wire::{AssetId, InstrumentId, VenueId};

fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId(0),
        venue: VenueId(0),
        symbol: "BTCUSDT".into(),
        base: "BTC".into(),
        quote: "USDT".into(),
        base_id: AssetId(0),
        quote_id: AssetId(1),
        px_decimals: 2,
        qty_decimals: 5,
        quote_decimals: 8,
        tick: Px(10),
        px_min: Px(20),
        px_max: Px(2_000_000),
        lot: Qty(5),
        qty_min: Qty(10),
        qty_max: Qty(100_000),
        notional_min: 500_000,
        open_orders_max: 200,
        market_qty: Default::default(),
        band_buy: Default::default(),
        band_sell: Default::default(),
        trading: true,
    }
}

fn spec() -> LimitsSpec {
    LimitsSpec {
        order_qty_max: 1_000,
        order_notional_max: 9_000_000,
        position_max: 2_000,
        position_notional_max: 19_000_000,
        open_orders_max: 5,
        collar_mid_bps: 500,
        collar_touch_bps: 100,
        order_rate_per_s: 10,
        order_burst: 3,
        data_age_max_us: 100,
        intent_age_max_us: 500,
    }
}

const NOW: Ts = Ts(1_000_000_000_000);

fn gate() -> Gate {
    Gate::new(Limits::new(spec()).expect("sound limits"), &instrument()).expect("sound rules")
}

fn order() -> GateOrder {
    GateOrder {
        side: Side::Buy,
        px: Px(10_000),
        qty: Qty(100),
        kind: OrderType::Limit,
        stop_px: Px(0),
        ts_intent: NOW,
        ttl_us: 400,
    }
}

fn inputs() -> GateInputs {
    GateInputs {
        now: NOW,
        top: Top { bid_px: Px(9_990), bid_qty: Qty(1), ask_px: Px(10_010), ask_qty: Qty(1) },
        ts_top: NOW,
        book_state: BookState::InSync,
        position: 0,
        open_buy_qty: 0,
        open_sell_qty: 0,
        open_orders: 0,
        own_bid_px: Px(0),
        own_ask_px: Px(0),
        killed: false,
        trading: true,
        reduce_only: false,
    }
}

fn check(order: GateOrder, at: GateInputs) -> Result<(), Reject> {
    gate().check(&order, &at)
}

#[test]
fn a_sound_order_passes() {
    assert_eq!(check(order(), inputs()), Ok(()));
    assert_eq!(check(GateOrder { side: Side::Sell, kind: OrderType::Ioc, ..order() }, inputs()), Ok(()));
    assert_eq!(check(GateOrder { kind: OrderType::Market, ..order() }, inputs()), Ok(()));
}

#[test]
fn state_blocks() {
    assert_eq!(check(order(), GateInputs { killed: true, ..inputs() }), Err(Reject::Killed));
    assert_eq!(check(order(), GateInputs { trading: false, ..inputs() }), Err(Reject::TradingOff));
    for state in [BookState::Down, BookState::Syncing, BookState::Gap] {
        let at = GateInputs { book_state: state, ..inputs() };
        assert_eq!(check(order(), at), Err(Reject::BookNotInSync { state }));
    }
    let mut i = instrument();
    i.trading = false;
    let mut g = Gate::new(Limits::new(spec()).expect("sound"), &i).expect("sound");
    assert_eq!(g.check(&order(), &inputs()), Err(Reject::InstrumentOff));
    let good = inputs().top;
    for top in [
        Top { bid_qty: Qty(0), ..good },
        Top { ask_qty: Qty(0), ..good },
        Top { ask_qty: Qty(-1), ..good },
        Top { bid_px: Px(0), ..good },
        Top { bid_px: Px(10_010), ..good },
        Top::default(),
    ] {
        let refused = Reject::NoTouch { bid_px: top.bid_px.0, ask_px: top.ask_px.0 };
        assert_eq!(check(order(), GateInputs { top, ..inputs() }), Err(refused));
    }
    let at = GateInputs { open_sell_qty: -1, ..inputs() };
    assert_eq!(check(order(), at), Err(Reject::Input { value: -1 }));
}

#[test]
fn reduce_only_lets_the_position_come_to_zero_and_not_past_it() {
    let buy = |qty| GateOrder { qty: Qty(qty), ..order() };
    let sell = |qty| GateOrder { side: Side::Sell, ..buy(qty) };
    let at = |position, open_buy_qty, open_sell_qty| GateInputs {
        position,
        open_buy_qty,
        open_sell_qty,
        reduce_only: true,
        ..inputs()
    };
    assert_eq!(check(buy(100), at(-100, 0, 0)), Ok(()));
    assert_eq!(check(buy(100), at(-95, 0, 0)), Err(Reject::ReduceOnly { position: 5 }));
    assert_eq!(check(buy(100), at(-200, 100, 0)), Ok(()), "with what is in flight it comes to zero");
    assert_eq!(check(buy(100), at(-200, 105, 0)), Err(Reject::ReduceOnly { position: 5 }));
    assert_eq!(check(sell(100), at(100, 0, 0)), Ok(()));
    assert_eq!(check(sell(100), at(100, 0, 5)), Err(Reject::ReduceOnly { position: -5 }));
    for flat in [buy(100), sell(100)] {
        assert!(matches!(check(flat, at(0, 0, 0)), Err(Reject::ReduceOnly { .. })));
    }
    assert!(matches!(check(buy(100), at(100, 0, 0)), Err(Reject::ReduceOnly { .. })));
    assert!(matches!(check(sell(100), at(-100, 0, 0)), Err(Reject::ReduceOnly { .. })));
}

#[test]
fn ages_at_their_boundaries() {
    let at = |ns: u64| GateInputs { ts_top: Ts(NOW.0 - ns), ..inputs() };
    assert_eq!(check(order(), at(100_000)), Ok(()));
    assert_eq!(check(order(), at(100_001)), Err(Reject::StaleData { age_ns: 100_001, max_ns: 100_000 }));
    let aged = |ns: u64, ttl_us| GateOrder { ts_intent: Ts(NOW.0 - ns), ttl_us, ..order() };
    assert_eq!(check(aged(400_000, 400), inputs()), Ok(()));
    let refused = Reject::IntentAged { age_ns: 400_001, max_ns: 400_000 };
    assert_eq!(check(aged(400_001, 400), inputs()), Err(refused));
    assert_eq!(check(aged(500_000, u32::MAX), inputs()), Ok(()));
    let refused = Reject::IntentAged { age_ns: 500_001, max_ns: 500_000 };
    assert_eq!(check(aged(500_001, u32::MAX), inputs()), Err(refused));
    assert_eq!(check(aged(0, 0), inputs()), Err(Reject::IntentAged { age_ns: 0, max_ns: 0 }));
    let never = GateInputs { ts_top: Ts(0), ..inputs() };
    assert!(matches!(check(order(), never), Err(Reject::StaleData { .. })));
}

#[test]
fn a_time_from_the_future_is_a_broken_clock() {
    let at = |ns: u64| GateInputs { ts_top: NOW.plus_ns(ns), ..inputs() };
    assert_eq!(check(order(), at(1_000_000)), Ok(()));
    let refused = Reject::TimeAhead { ahead_ns: 1_000_001, max_ns: 1_000_000 };
    assert_eq!(check(order(), at(1_000_001)), Err(refused));
    let intent = GateOrder { ts_intent: NOW.plus_ns(1_000_001), ..order() };
    assert_eq!(check(intent, inputs()), Err(refused));
}

#[test]
fn venue_rules_at_their_boundaries() {
    let px = |px| GateOrder { px: Px(px), ..order() };
    let qty = |qty| GateOrder { qty: Qty(qty), ..order() };
    assert_eq!(check(px(10), inputs()), Err(Reject::PxRange { px: 10, bound: 20 }));
    assert_eq!(check(px(-10), inputs()), Err(Reject::PxRange { px: -10, bound: 20 }));
    assert_eq!(check(px(2_000_010), inputs()), Err(Reject::PxRange { px: 2_000_010, bound: 2_000_000 }));
    assert_eq!(check(px(10_001), inputs()), Err(Reject::Tick { px: 10_001, tick: 10 }));
    assert_eq!(check(qty(5), inputs()), Err(Reject::QtyRange { qty: 5, bound: 10 }));
    assert_eq!(check(qty(0), inputs()), Err(Reject::QtyRange { qty: 0, bound: 10 }));
    assert_eq!(check(qty(-100), inputs()), Err(Reject::QtyRange { qty: -100, bound: 10 }));
    assert_eq!(check(qty(100_005), inputs()), Err(Reject::QtyRange { qty: 100_005, bound: 100_000 }));
    assert_eq!(check(qty(101), inputs()), Err(Reject::Lot { qty: 101, lot: 5 }));
    assert_eq!(check(qty(50), inputs()), Ok(()));
    assert_eq!(check(qty(45), inputs()), Err(Reject::NotionalMin { notional: 450_000, min: 500_000 }));
    let market = GateOrder { kind: OrderType::Market, px: Px(10_003), ..order() };
    assert_eq!(check(market, inputs()), Ok(()), "the assumed price of a market order needs no tick");
    let market = GateOrder { kind: OrderType::Market, px: Px(0), ..order() };
    assert_eq!(check(market, inputs()), Err(Reject::PxRange { px: 0, bound: 1 }));
}

#[test]
fn a_venue_rule_of_zero_is_not_checked() {
    let mut i = instrument();
    (i.px_min, i.px_max, i.qty_min, i.qty_max) = (Px(0), Px(0), Qty(0), Qty(0));
    (i.notional_min, i.open_orders_max) = (0, 0);
    let mut g = Gate::new(Limits::new(spec()).expect("sound"), &i).expect("sound");
    assert_eq!(g.check(&GateOrder { qty: Qty(5), ..order() }, &inputs()), Ok(()));
    let none = GateOrder { qty: Qty(0), ..order() };
    assert_eq!(g.check(&none, &inputs()), Err(Reject::QtyRange { qty: 0, bound: 1 }));
}

#[test]
fn size_limits_at_their_boundaries() {
    let cheap = |qty| GateOrder { qty: Qty(qty), px: Px(9_000), kind: OrderType::Market, ..order() };
    let at = GateInputs {
        top: Top { bid_px: Px(8_990), bid_qty: Qty(1), ask_px: Px(9_010), ask_qty: Qty(1) },
        ..inputs()
    };
    assert_eq!(check(cheap(1_000), at), Ok(()), "1000 × 9000 is just the notional limit");
    assert_eq!(check(cheap(1_005), at), Err(Reject::OrderQty { qty: 1_005, max: 1_000 }));
    let dear = GateOrder { px: Px(9_001), ..cheap(1_000) };
    assert_eq!(check(dear, at), Err(Reject::OrderNotional { notional: 9_001_000, max: 9_000_000 }));
    // A sell below the bid fetches the bid.
    let at = GateInputs { top: Top { bid_px: Px(9_001), ..at.top }, ..at };
    let sell = GateOrder { side: Side::Sell, ..cheap(1_000) };
    assert_eq!(check(sell, at), Err(Reject::OrderNotional { notional: 9_001_000, max: 9_000_000 }));
}

#[test]
fn position_limit_counts_every_open_order_of_the_side() {
    let at = |position, open_buy_qty, open_sell_qty| GateInputs {
        position,
        open_buy_qty,
        open_sell_qty,
        top: Top { bid_px: Px(8_990), ask_px: Px(9_010), ..inputs().top },
        ..inputs()
    };
    let buy = GateOrder { px: Px(9_000), ..order() };
    let sell = GateOrder { side: Side::Sell, ..buy };
    assert_eq!(check(buy, at(1_500, 400, 9_999)), Ok(()));
    assert_eq!(check(buy, at(1_500, 401, 0)), Err(Reject::Position { position: 2_001, max: 2_000 }));
    assert_eq!(check(sell, at(-1_500, 9_999, 400)), Ok(()));
    assert_eq!(check(sell, at(-1_500, 0, 401)), Err(Reject::Position { position: -2_001, max: 2_000 }));
    // What only reduces passes, however far out the position is.
    assert_eq!(check(sell, at(i64::MAX, 0, 0)), Ok(()));
    assert_eq!(check(buy, at(i64::MIN, 0, 0)), Ok(()));
}

#[test]
fn position_value_at_its_boundary() {
    let at = |position| GateInputs { position, ..inputs() };
    // (1795 + 100) × 10 010 = 18 968 950; five more is 19 019 000.
    assert_eq!(check(order(), at(1_795)), Ok(()));
    let refused = Reject::PositionNotional { notional: 19_019_000, max: 19_000_000 };
    assert_eq!(check(order(), at(1_800)), Err(refused));
    let sell = GateOrder { side: Side::Sell, ..order() };
    assert_eq!(check(sell, at(-1_800)), Err(refused));
    assert_eq!(check(sell, at(1_800)), Ok(()));
}

#[test]
fn open_orders_at_their_boundary() {
    let at = |open_orders| GateInputs { open_orders, ..inputs() };
    assert_eq!(check(order(), at(4)), Ok(()));
    assert_eq!(check(order(), at(5)), Err(Reject::OpenOrders { open: 6, max: 5 }));
    assert_eq!(check(order(), at(u32::MAX)), Err(Reject::OpenOrders { open: u32::MAX, max: 5 }));
    let mut i = instrument();
    i.open_orders_max = 2;
    let mut g = Gate::new(Limits::new(spec()).expect("sound"), &i).expect("sound");
    assert_eq!(
        g.check(&order(), &at(2)),
        Err(Reject::OpenOrders { open: 3, max: 2 }),
        "the venue's is lower"
    );
}

#[test]
fn collars_at_their_boundaries() {
    // Mid 10 000, 500 bps: 9 500 to 10 500. Ask 10 010, 100 bps through it: 10 110.1.
    let px = |side, px| GateOrder { side, px: Px(px), ..order() };
    assert_eq!(check(px(Side::Buy, 9_500), inputs()), Ok(()));
    assert_eq!(check(px(Side::Buy, 9_490), inputs()), Err(Reject::CollarMid { px: 9_490, max_bps: 500 }));
    assert_eq!(check(px(Side::Sell, 10_500), inputs()), Ok(()));
    assert_eq!(check(px(Side::Sell, 10_510), inputs()), Err(Reject::CollarMid { px: 10_510, max_bps: 500 }));
    assert_eq!(check(px(Side::Buy, 10_110), inputs()), Ok(()));
    let refused = Reject::CollarTouch { px: 10_120, max_bps: 100 };
    assert_eq!(check(px(Side::Buy, 10_120), inputs()), Err(refused));
    // Bid 9 990, 100 bps through it: 9 890.1.
    assert_eq!(check(px(Side::Sell, 9_900), inputs()), Ok(()));
    let refused = Reject::CollarTouch { px: 9_890, max_bps: 100 };
    assert_eq!(check(px(Side::Sell, 9_890), inputs()), Err(refused));
    let market = GateOrder { kind: OrderType::Market, ..px(Side::Buy, 10_111) };
    assert!(matches!(check(market, inputs()), Err(Reject::CollarTouch { .. })), "market orders too");
}

#[test]
fn own_orders_are_not_met() {
    let at = |bid, ask| GateInputs { own_bid_px: Px(bid), own_ask_px: Px(ask), ..inputs() };
    let sell = GateOrder { side: Side::Sell, ..order() };
    assert_eq!(check(order(), at(10_000, 10_010)), Ok(()));
    let refused = Reject::SelfMatch { px: 10_000, own_px: 10_000 };
    assert_eq!(check(order(), at(0, 10_000)), Err(refused));
    assert_eq!(check(sell, at(9_990, 10_000)), Ok(()));
    assert_eq!(check(sell, at(10_000, 0)), Err(refused));
}

#[test]
fn a_judgement_that_takes_nothing_says_the_same_and_changes_nothing() {
    let mut g = gate();
    let bad = GateOrder { qty: Qty(0), ..order() };
    for _ in 0..100 {
        assert_eq!(g.judge(&order(), &inputs(), false), Ok(()));
        assert_eq!(g.judge(&bad, &inputs(), false), check(bad, inputs()));
    }
    for _ in 0..3 {
        assert_eq!(g.check(&order(), &inputs()), Ok(()), "every token is still there");
    }
    let refused = Err(Reject::Rate { rate_per_s: 10, burst: 3 });
    assert_eq!(g.judge(&order(), &inputs(), false), refused, "one that finds none is told so");
    assert_eq!(g.check(&order(), &inputs()), refused);
}

#[test]
fn rate_is_taken_only_by_orders_that_pass() {
    let mut g = gate();
    for _ in 0..100 {
        assert!(g.check(&GateOrder { qty: Qty(101), ..order() }, &inputs()).is_err());
    }
    for _ in 0..3 {
        assert_eq!(g.check(&order(), &inputs()), Ok(()));
    }
    assert_eq!(g.check(&order(), &inputs()), Err(Reject::Rate { rate_per_s: 10, burst: 3 }));
    let later = |ns| {
        let now = NOW.plus_ns(ns);
        (GateOrder { ts_intent: now, ..order() }, GateInputs { now, ts_top: now, ..inputs() })
    };
    let (o, at) = later(99_999_999);
    assert!(g.check(&o, &at).is_err());
    let (o, at) = later(100_000_000);
    assert_eq!(g.check(&o, &at), Ok(()));
}

#[test]
fn an_update_swaps_whole_or_not_at_all() {
    let mut g = gate();
    let tight = Limits::new(LimitsSpec { order_qty_max: 50, ..spec() }).expect("sound");
    let mut bad = instrument();
    bad.tick = Px(0);
    assert_eq!(g.update(tight, &bad).map_err(|e| e.field), Err("tick"));
    assert_eq!(g.limits().spec(), &spec());
    for _ in 0..3 {
        assert_eq!(g.check(&order(), &inputs()), Ok(()));
    }
    assert_eq!(g.update(tight, &instrument()), Ok(()));
    assert_eq!(g.check(&order(), &inputs()), Err(Reject::OrderQty { qty: 100, max: 50 }));
    let small = GateOrder { qty: Qty(50), ..order() };
    assert!(matches!(g.check(&small, &inputs()), Err(Reject::Rate { .. })), "no fresh budget");
}

#[test]
fn names_and_indices_agree() {
    let names: std::collections::HashSet<_> = Reject::NAMES.iter().collect();
    assert_eq!(names.len(), Reject::NAMES.len());
    assert_eq!((Reject::Killed.index(), Reject::Killed.name()), (0, "killed"));
    let last = Reject::PriceBand { px: 1, factor: 2 };
    assert_eq!((last.index(), last.name()), (Reject::NAMES.len() - 1, "price_band"));
    let tick = Reject::Tick { px: 15, tick: 10 };
    assert_eq!(tick.to_string(), "tick: value 15, limit 10");
    assert_eq!(tick.value_and_limit(), (15, 10));
}

struct Seed(u64);

impl Seed {
    fn next(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// Mostly near `centre`, at times anything at all.
    fn near(&mut self, centre: i64, spread: i64, step: i64) -> i64 {
        match self.next(24) {
            0 => [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX][self.next(7) as usize],
            1 => (self.next(u64::MAX) as i64) >> self.next(64),
            _ => (centre + (self.next(2 * spread as u64 + 1) as i64 - spread)) / step * step,
        }
    }
}

/// What a passed order must satisfy, in plain 128-bit words and divisions-free rules, written apart from the gate.
fn assert_within_limits(o: &GateOrder, at: &GateInputs, s: &LimitsSpec, i: &Instrument) {
    let (px, qty) = (o.px.0 as i128, o.qty.0 as i128);
    let (bid, ask) = (at.top.bid_px.0 as i128, at.top.ask_px.0 as i128);
    assert!(!at.killed && at.trading && i.trading && at.book_state == BookState::InSync);
    assert!(bid > 0 && ask > bid && at.top.bid_qty.0 > 0 && at.top.ask_qty.0 > 0);
    let age = |ts: Ts| at.now.0 as i128 - ts.0 as i128;
    assert!(age(at.ts_top) <= s.data_age_max_us as i128 * 1_000 && age(at.ts_top) >= -1_000_000);
    assert!(age(o.ts_intent) <= (o.ttl_us as i128 * 1_000).min(s.intent_age_max_us as i128 * 1_000));
    assert!(age(o.ts_intent) >= -1_000_000);
    assert!(px > 0 && qty > 0);
    if !o.kind.is_market() {
        assert!(px % i.tick.0 as i128 == 0 && px >= i.px_min.0 as i128 && px <= i.px_max.0 as i128);
    }
    assert!(qty % i.lot.0 as i128 == 0 && qty >= i.qty_min.0 as i128 && qty <= i.qty_max.0 as i128);
    assert!(px * qty >= i.notional_min);
    assert!(qty <= s.order_qty_max as i128 && px * qty <= s.order_notional_max);
    let position = at.position as i128;
    match o.side {
        Side::Buy => {
            let worst = position + at.open_buy_qty as i128 + qty;
            assert!(worst <= s.position_max as i128 && worst * ask <= s.position_notional_max);
            let reach = if o.kind.has_stop() { o.stop_px.0 as i128 } else { ask };
            assert!(px * 10_000 <= reach * (10_000 + s.collar_touch_bps as i128));
            assert!(at.own_ask_px.0 <= 0 || px < at.own_ask_px.0 as i128);
        }
        Side::Sell => {
            let worst = position - at.open_sell_qty as i128 - qty;
            assert!(worst >= -(s.position_max as i128) && -worst * ask <= s.position_notional_max);
            assert!(bid * qty <= s.order_notional_max);
            let reach = if o.kind.has_stop() { o.stop_px.0 as i128 } else { bid };
            assert!(px * 10_000 >= reach * (10_000 - s.collar_touch_bps as i128));
            assert!(at.own_bid_px.0 <= 0 || px > at.own_bid_px.0 as i128);
        }
    }
    let stop = o.stop_px.0 as i128;
    match (o.kind, o.side) {
        (OrderType::StopLimit, Side::Buy) | (OrderType::TakeProfitLimit, Side::Sell) => {
            assert!(stop > ask && stop % i.tick.0 as i128 == 0);
        }
        (OrderType::StopLimit, Side::Sell) | (OrderType::TakeProfitLimit, Side::Buy) => {
            assert!(0 < stop && stop < bid && stop % i.tick.0 as i128 == 0);
        }
        (OrderType::PostOnly, Side::Buy) => assert!(px < ask && stop == 0),
        (OrderType::PostOnly, Side::Sell) => assert!(px > bid && stop == 0),
        _ => assert!(stop == 0),
    }
    assert!(at.open_orders < i.open_orders_max.min(s.open_orders_max as u32));
    let (low, high) = (10_000 - s.collar_mid_bps as i128, 10_000 + s.collar_mid_bps as i128);
    assert!(px * 20_000 >= (bid + ask) * low && px * 20_000 <= (bid + ask) * high);
}

#[test]
fn each_type_has_rules_of_its_own() {
    let with =
        |kind, side, px, stop_px| GateOrder { kind, side, px: Px(px), stop_px: Px(stop_px), ..order() };
    let verdict = |o| check(o, inputs()).map_err(|r| (r.name(), r.value_and_limit()));
    let (bid, ask) = (inputs().top.bid_px.0, inputs().top.ask_px.0);
    use OrderType::{Limit, PostOnly, StopLimit, TakeProfitLimit};
    use Side::{Buy, Sell};
    // Post-only: one tick from the other side at the nearest.
    assert_eq!(verdict(with(PostOnly, Buy, ask - 10, 0)), Ok(()));
    let limits = |px: i64, touch: i64| (px as i128, touch as i128);
    assert_eq!(verdict(with(PostOnly, Buy, ask, 0)), Err(("would_cross", limits(ask, ask))));
    assert_eq!(verdict(with(PostOnly, Sell, bid, 0)), Err(("would_cross", limits(bid, bid))));
    assert_eq!(verdict(with(Limit, Buy, ask, 0)), Ok(()));
    // Stops: beyond the touch, on the tick, and the limit price within the collar behind them.
    for (kind, side, touch, out) in [
        (StopLimit, Buy, ask, 10),
        (StopLimit, Sell, bid, -10),
        (TakeProfitLimit, Sell, ask, 10),
        (TakeProfitLimit, Buy, bid, -10),
    ] {
        let at = |stop| verdict(with(kind, side, stop, stop));
        assert_eq!(at(touch + out), Ok(()), "{kind:?} {side:?}");
        assert_eq!(at(touch), Err(("stop_side", limits(touch, touch))), "{kind:?} {side:?}");
        let crooked = verdict(with(kind, side, touch + out, touch + out + 5));
        assert_eq!(crooked.map_err(|e| e.0), Err("tick"));
        let beyond = verdict(with(kind, side, touch + out + side.sign() * 120, touch + out));
        assert_eq!(beyond.map_err(|e| e.0), Err("stop_limit"), "{kind:?} {side:?}");
        assert_eq!(verdict(with(kind, side, touch, 0)).map_err(|e| e.0), Err("px_range"));
    }
    assert_eq!(verdict(with(Limit, Buy, bid, bid)), Err(("stop_limit", limits(bid, 0))));
}

#[test]
fn market_quantities_and_price_bands_are_the_instruments() {
    let mut i = instrument();
    i.market_qty = wire::QtyRule { min: Qty(20), max: Qty(450), step: Qty(10) };
    i.band_buy = wire::PriceBand { down: 99_000_000, up: 100_500_000 };
    let mut g = Gate::new(Limits::new(spec()).expect("sound limits"), &i).expect("sound rules");
    let mut verdict = |o| g.check(&o, &inputs()).map_err(|r| r.name());
    let market = |qty| GateOrder { kind: OrderType::Market, qty: Qty(qty), ..order() };
    assert_eq!(verdict(market(450)), Ok(()));
    assert_eq!(verdict(market(460)), Err("qty_range"));
    assert_eq!(verdict(market(445)), Err("lot"));
    assert_eq!(verdict(GateOrder { qty: Qty(445), ..order() }), Ok(()));
    let mid = (inputs().top.bid_px.0 + inputs().top.ask_px.0) / 2;
    let buy = |px: i64| GateOrder { side: Side::Buy, px: Px(px / 10 * 10), ..order() };
    assert_eq!(verdict(buy(mid * 9_895 / 10_000)), Err("price_band"));
    assert_eq!(verdict(buy(mid * 9_905 / 10_000)), Ok(()));
}

/// Random orders around every boundary, with the ends of every type among them: nothing panics (tests check
/// arithmetic), what passes violates nothing, and every reason but the constructed ones is met.
#[test]
fn what_passes_violates_nothing() {
    let mut rng = Seed(0x1234_5678_9abc_def1);
    let mut met = [0u32; Reject::NAMES.len()];
    let mut passed = 0;
    let mut g = gate();
    let mut times: Vec<u64> = Vec::new();
    let mut now = NOW;
    for _ in 0..400_000 {
        now = now.plus_ns(rng.next(60_000_000));
        let time = |rng: &mut Seed, spread: u64| match rng.next(30) {
            0 => Ts(rng.next(u64::MAX)),
            1 => Ts([0, u64::MAX][rng.next(2) as usize]),
            _ => Ts(now.0 + 10_000 - rng.next(spread)),
        };
        let kind = OrderType::ALL[rng.next(7) as usize];
        let o = GateOrder {
            side: if rng.next(2) == 0 { Side::Buy } else { Side::Sell },
            px: Px(rng.near(10_000, 700, 10)),
            qty: Qty(rng.near(500, 560, 5)),
            kind,
            stop_px: Px(if kind.has_stop() || rng.next(40) == 0 { rng.near(10_000, 100, 10) } else { 0 }),
            ts_intent: time(&mut rng, 450_000),
            ttl_us: [0, 100, 400, u32::MAX][(rng.next(20) as usize).min(3)],
        };
        let bid = rng.near(9_990, 50, 10);
        let at = GateInputs {
            now,
            top: Top {
                bid_px: Px(bid),
                bid_qty: Qty(rng.near(10, 10, 1)),
                ask_px: Px(rng.near(bid.clamp(1, 1 << 40) + 30, 30, 10)),
                ask_qty: Qty(rng.near(10, 10, 1)),
            },
            ts_top: time(&mut rng, 120_000),
            book_state: BookState::from_u8((2 + rng.next(40) / 38) as u8),
            position: rng.near(0, 1_500, 1),
            open_buy_qty: rng.near(500, 510, 1),
            open_sell_qty: rng.near(500, 510, 1),
            open_orders: rng.next(7) as u32,
            own_bid_px: Px(rng.near(9_900, 100, 10).max(0)),
            own_ask_px: Px(rng.near(10_100, 100, 10).max(0)),
            killed: rng.next(50) == 0,
            trading: rng.next(50) != 0,
            reduce_only: rng.next(8) == 0,
        };
        match g.check(&o, &at) {
            Ok(()) => {
                assert_within_limits(&o, &at, &spec(), &instrument());
                passed += 1;
                times.push(now.0);
            }
            Err(r) => met[r.index()] += 1,
        }
    }
    assert!(passed > 2_000, "{passed} passed");
    for (name, n) in Reject::NAMES.iter().zip(met) {
        assert!(n > 0 || ["instrument_off", "price_band"].contains(name), "{name} was never met");
    }
    // Any window of a second holds at most burst + rate.
    for (n, start) in times.iter().enumerate() {
        let within = times[n..].iter().take_while(|t| **t - start < 1_000_000_000).count();
        assert!(within <= 13, "{within} orders within a second");
    }
}
