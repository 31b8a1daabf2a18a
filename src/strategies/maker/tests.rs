//! The maker against scripted and random messages.

use super::*;
use wire::{AssetId, InstrumentId, VenueId, flag};

const TICK: i64 = 10;
const SIZE: i64 = 100;

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
        tick: Px(TICK),
        px_min: Px(TICK),
        px_max: Px(1_000_000),
        lot: Qty(5),
        qty_min: Qty(5),
        qty_max: Qty(10_000),
        notional_min: 0,
        open_orders_max: 200,
        market_qty: Default::default(),
        band_buy: Default::default(),
        band_sell: Default::default(),
        trading: true,
    }
}

/// Volatility is held at 4 ticks/√s by its bounds, arrivals at A = 50/s and k = 1/tick: with γ = 0.5 the model's answer
/// is a number that can be worked out.
fn spec() -> MakerSpec {
    MakerSpec {
        model: Model::Glft,
        gamma: 0.5,
        size: SIZE,
        levels: 3,
        step_min_ticks: 1,
        step_us: 250_000,
        spread_min_ticks: 0,
        spread_max_ticks: 1_000,
        maker_fee_ppm: 0,
        requote_ticks: 2,
        position_max: 5 * SIZE,
        order_life_min_us: 1_000,
        orders_per_s: 10_000,
        in_flight_max: 6,
        sigma_half_life_us: 1_000_000,
        sigma_sample_us: 100_000,
        sigma_min: 4.0,
        sigma_max: 1e4,
        arrivals_per_s: 50.0,
        arrivals_decay: 1.0,
        arrivals_half_life_us: None,
    }
}

/// A maker with the runner's part around it.
struct Desk {
    maker: Maker,
    out: Intents,
    seq: u64,
    now: u64,
}

impl Desk {
    fn new(spec: MakerSpec) -> Desk {
        let maker = Maker::new(spec, instrument()).expect("sound parameters");
        Desk { maker, out: Intents::new(1, 1_000), seq: 0, now: 1_000_000_000 }
    }

    /// In sync and warm, trading off: everything is known but nothing quoted.
    fn warm(spec: MakerSpec) -> Desk {
        let mut d = Desk::new(spec);
        assert!(d.book(BookState::InSync).is_empty());
        for _ in 0..=20 {
            assert!(d.top(10_000, 10_020).is_empty());
            d.now += 100_000_000;
        }
        d
    }

    /// The same, trading.
    fn ready(spec: MakerSpec) -> Desk {
        let mut d = Desk::warm(spec);
        assert!(d.trading(true, false).is_empty(), "orders answer a touch, not a word of the engine");
        d
    }

    fn market(&mut self, kind: Kind, flags: u8, body: [i64; 4]) -> Vec<Msg> {
        self.out.clear();
        self.seq += 1;
        let m = Msg::new(kind, InstrumentId(0), Ts(self.now)).flags(flags).body(body);
        self.out.begin(self.seq, m.ts_recv());
        self.maker.on_market(self.seq, &m, &mut self.out);
        self.out.as_slice().to_vec()
    }

    fn top(&mut self, bid: i64, ask: i64) -> Vec<Msg> {
        self.market(Kind::Top, 0, [bid, 1, ask, 9])
    }

    fn book(&mut self, state: BookState) -> Vec<Msg> {
        self.market(Kind::BookState, 0, [state as i64, 0, 0, 0])
    }

    fn report(&mut self, kind: Kind, body: [i64; 4]) -> Vec<Msg> {
        self.out.clear();
        let m = Msg::new(kind, InstrumentId(0), Ts(self.now)).body(body);
        self.out.begin_at(m.ts_recv());
        self.maker.on_order(&m, &mut self.out);
        self.out.as_slice().to_vec()
    }

    fn trading(&mut self, on: bool, reduce: bool) -> Vec<Msg> {
        self.report(Kind::Trading, [on as i64, 0, reduce as i64, 0])
    }

    fn order(&mut self, state: OrderState, id: i64) -> Vec<Msg> {
        self.report(Kind::Order, [state as i64, 0, id, 0])
    }

    fn fill(&mut self, qty: i64, id: i64, position: i64) -> Vec<Msg> {
        self.report(Kind::OwnFill, [1, qty, id, position])
    }

    fn timer(&mut self) -> Vec<Msg> {
        self.out.clear();
        self.out.begin_at(Ts(self.now));
        self.maker.on_timer(Ts(self.now), &mut self.out);
        self.out.as_slice().to_vec()
    }

    /// Quotes both ladders and lets them rest; what was sent.
    fn quote(&mut self) -> Vec<Msg> {
        let sent = self.top(10_000, 10_020);
        for m in &sent {
            self.order(OrderState::Live, m.body[2]);
        }
        sent
    }

    /// Prices wanted at a position, in ticks from the mid 10 010 (bids are negative).
    fn away(&mut self, position: i64) -> [Vec<f64>; 2] {
        self.maker.position = position;
        let ladder = self.maker.wanted().expect("quoting");
        [Side::Buy, Side::Sell]
            .map(|side| ladder.side(side).iter().map(|px| (px.0 - 10_010) as f64 / TICK as f64).collect())
    }
}

fn prices(sent: &[Msg]) -> [Vec<i64>; 2] {
    [false, true].map(|sell| {
        let of = |m: &&Msg| m.kind() == Some(Kind::IntentNew) && m.has(flag::SELL) == sell;
        sent.iter().filter(of).map(|m| m.body[0]).collect()
    })
}

fn cancels(sent: &[Msg]) -> Vec<i64> {
    sent.iter().filter(|m| m.kind() == Some(Kind::IntentCancel)).map(|m| m.body[2]).collect()
}

/// γ = 0.5, σ = 4, A = 50, k = 1: c1 = 2 ln 1.5 = 0.81093, c2 = sqrt(0.5/100 · 1.5³) = sqrt(0.016875) = 0.129904, so
/// skew = 0.519615 and half spread = 0.81093 + 0.259808 = 1.070738 ticks; a step is ⌈4 · √0.25⌉ = 2 ticks.
#[test]
fn a_ladder_as_worked_by_hand() {
    let mut d = Desk::warm(spec());
    let shape = d.maker.shape().expect("warm");
    assert!((shape.skew - 0.519_615_24).abs() < 1e-8, "{shape:?}");
    assert!((shape.half_spread - 1.070_737_8).abs() < 1e-7, "{shape:?}");
    assert_eq!(d.away(0), [vec![-2.0, -4.0, -6.0], vec![2.0, 4.0, 6.0]]);
    // Two long: all is 1.039 ticks lower, bids at -2.11 down to -3, asks at 0.03 up to 1.
    assert_eq!(d.away(2 * SIZE), [vec![-3.0, -5.0, -7.0], vec![1.0, 3.0, 5.0]]);
    assert_eq!(d.away(-2 * SIZE), [vec![-1.0, -3.0, -5.0], vec![3.0, 5.0, 7.0]]);
    d.trading(true, false);
    let sent = d.top(10_000, 10_020);
    assert_eq!(prices(&sent), [vec![10_000, 9_980, 9_960], vec![10_040, 10_060, 10_080]], "two short by now");
    assert!(sent.iter().all(|m| m.body[1] == SIZE && m.order_type() == Some(OrderType::PostOnly)));
    assert!(d.top(10_000, 10_020).is_empty(), "one order a place");
}

#[test]
fn at_zero_inventory_both_ladders_mirror_each_other() {
    for (model, gamma) in
        [(Model::Glft, 0.01), (Model::Glft, 3.0), (Model::AvellanedaStoikov { horizon_s: 0.2 }, 0.3)]
    {
        let mut d = Desk::warm(MakerSpec { model, gamma, levels: 5, position_max: 9 * SIZE, ..spec() });
        let [bids, asks] = d.away(0);
        assert_eq!(bids.iter().map(|x| -x).collect::<Vec<_>>(), asks, "{model:?} {gamma}");
        assert_eq!(asks.len(), 5);
    }
}

#[test]
fn more_inventory_lower_quotes_and_never_through_the_touch() {
    let mut d = Desk::warm(MakerSpec { gamma: 2.0, position_max: 20 * SIZE, ..spec() });
    let mut last = [f64::MAX; 2];
    for q in -30..=30 {
        let [bids, asks] = d.away(q * SIZE / 2);
        let first = [bids[0], asks[0]];
        assert!(first[0] <= last[0] && first[1] <= last[1], "{q}: {first:?} after {last:?}");
        assert!(first[0] <= 0.0 && first[1] >= 0.0, "{q}: {first:?} crosses the touch");
        last = first;
    }
    // Half a tick from the mid is the touch itself: at the ends one side stands at its own best.
    d.maker.top = Top { bid_px: Px(10_000), bid_qty: Qty(1), ask_px: Px(10_010), ask_qty: Qty(1) };
    d.maker.position = 15 * SIZE;
    assert_eq!(d.maker.wanted().expect("quoting").side(Side::Sell)[0], Px(10_010));
    d.maker.position = -15 * SIZE;
    assert_eq!(d.maker.wanted().expect("quoting").side(Side::Buy)[0], Px(10_000));
}

#[test]
fn more_volatility_wider_and_further_apart() {
    let ladder = |sigma| {
        let mut d = Desk::warm(MakerSpec { sigma_min: sigma, ..spec() });
        let [_, asks] = d.away(0);
        (asks[0], asks[1] - asks[0])
    };
    let all: Vec<_> = [1.0, 4.0, 8.0, 16.0, 64.0].map(ladder).to_vec();
    assert!(all.windows(2).all(|w| w[1].0 >= w[0].0 && w[1].1 >= w[0].1), "{all:?}");
    assert_eq!((all[0].1, all[4].1), (1.0, 32.0), "a step is the larger of one tick and half of sigma");
    assert!(all[4].0 > all[0].0 + 3.0);
}

#[test]
fn the_volatility_that_counts_is_the_markets_own() {
    let mut d =
        Desk::ready(MakerSpec { sigma_sample_us: 1_000, sigma_min: 0.01, sigma_max: 150.0, ..spec() });
    let mut sigma = |step: i64| {
        for n in 0..3_000 {
            d.now += 1_000_000;
            let up = (n / 2) % 2 * step;
            d.top(10_000 + up, 10_020 + up);
        }
        (d.maker.sigma().ok(), d.maker.shape().ok().map(|s| s.half_spread), d.maker.idle())
    };
    let (calm, near, quoting) = sigma(0);
    assert_eq!((calm, quoting), (Some(0.01), None));
    // Back and forth by a tick each 2 ms: 1/0.002 square ticks a second, less what looks like noise.
    let (moved, far, quoting) = sigma(10);
    assert!(moved > Some(10.0) && moved < Some(30.0) && far > near && quoting.is_none(), "{moved:?} {far:?}");
    assert_eq!(sigma(100).2, Some(Idle::VolatilityHigh));
    assert!(d.maker.order_states(Side::Buy).all(|s| s != QuoteState::Live), "everything is pulled");
}

#[test]
fn arrivals_are_learnt_from_trades() {
    let mut d = Desk::ready(MakerSpec { arrivals_half_life_us: Some(2_000_000), ..spec() });
    let told = d.maker.arrivals().expect("the start");
    assert!((told.rate_per_s - 50.0).abs() < 1e-9 && (told.decay_per_tick - 1.0).abs() < 1e-9);
    d.top(10_000, 10_020);
    for n in 0..4_000 {
        d.now += 10_000_000;
        // Each order reaches three ticks beyond half a tick: k = ln(1 + 1/3.5), far flatter than at the start.
        assert!(d.market(Kind::Trade, 0, [10_050, 5, n, 0]).is_empty(), "a trade is no touch");
    }
    let k = d.maker.arrivals().expect("in range").decay_per_tick;
    assert!((k - (1.0f64 + 1.0 / 3.5).ln()).abs() < 1e-6, "{k}");
}

#[test]
fn the_fee_and_the_least_spread_push_outwards_and_the_largest_ends_it() {
    let first = |spec| Desk::warm(spec).away(0)[1][0];
    assert_eq!(first(MakerSpec { spread_min_ticks: 12, ..spec() }), 6.0);
    // A thousandth of 1000 ticks is one tick, on top of 1.07.
    assert_eq!(first(MakerSpec { maker_fee_ppm: 1_000, ..spec() }), 3.0);
    assert_eq!(first(MakerSpec { maker_fee_ppm: -10_000, spread_min_ticks: 2, ..spec() }), 1.0);
    let mut d = Desk::ready(MakerSpec { maker_fee_ppm: 100_000, spread_max_ticks: 100, ..spec() });
    assert!(d.top(10_000, 10_020).is_empty());
    assert_eq!(d.maker.idle(), Some(Idle::SpreadWide));
}

#[test]
fn every_reason_not_to_quote_has_a_name_and_pulls() {
    let mut d = Desk::new(spec());
    assert_eq!(d.maker.idle(), Some(Idle::TradingOff));
    d.trading(true, false);
    assert_eq!(d.maker.idle(), Some(Idle::BookNotInSync));
    d.book(BookState::InSync);
    assert_eq!(d.maker.idle(), Some(Idle::WarmingUp));
    let mut d = Desk::ready(spec());
    assert_eq!(d.quote().len(), 6);
    assert_eq!(d.maker.idle(), None);
    let ids = d.maker.side(Side::Buy).iter().map(|q| q.id.0 as i64).collect::<Vec<_>>();
    assert_eq!(cancels(&d.market(Kind::Top, 0, [10_000, 0, 10_020, 1])).len(), 6, "an empty side");
    assert_eq!(d.maker.idle(), Some(Idle::NoTouch));
    for id in ids {
        d.order(OrderState::Cancelled, id);
    }
    d.now += 1_000_000;
    assert_eq!(prices(&d.top(10_000, 10_020)), [vec![9_990, 9_970, 9_950], vec![]], "what is confirmed gone");
    for (what, why) in
        [(d.book(BookState::Gap), Idle::BookNotInSync), (d.trading(false, false), Idle::TradingOff)]
    {
        // Orders that were not seen resting yet are pulled too.
        assert!(what.len() == 3 || why == Idle::TradingOff, "{what:?}");
    }
    // Far from any price that there is: nothing rather than nonsense.
    let mut d = Desk::ready(MakerSpec { gamma: 1e6, sigma_min: 1e9, sigma_max: 1e9, ..spec() });
    assert!(d.top(10_000, 10_020).is_empty());
    assert!(matches!(d.maker.idle(), Some(Idle::ModelRange | Idle::SpreadWide)), "{:?}", d.maker.idle());
}

#[test]
fn a_move_by_one_step_costs_one_order_a_side() {
    let mut d = Desk::ready(spec());
    let sent = d.quote();
    let (lowest_bid, nearest_ask) = (sent[2].body[2], sent[3].body[2]);
    d.now += 2_000_000;
    // Up by one step of two ticks: the lowest bid is no longer wanted, and the nearest ask is too near.
    let sent = d.top(10_020, 10_040);
    assert_eq!(cancels(&sent), [lowest_bid, nearest_ask]);
    assert_eq!(prices(&sent), [vec![], vec![]], "places are filled again when their orders are gone");
    d.order(OrderState::Cancelled, lowest_bid);
    assert!(d.order(OrderState::Cancelled, nearest_ask).is_empty());
    assert_eq!(prices(&d.top(10_020, 10_040)), [vec![10_010], vec![10_090]]);
}

#[test]
fn too_near_goes_at_once_too_far_waits_out_its_life() {
    let mut d = Desk::ready(MakerSpec { levels: 1, in_flight_max: 2, ..spec() });
    let sent = d.quote();
    let (bid, ask) = (sent[0].body[2], sent[1].body[2]);
    // Two ticks up at once: the ask is two ticks too near, the bid two ticks too far out but young.
    d.now += 1_000;
    assert_eq!(cancels(&d.top(10_020, 10_040)), [ask]);
    d.now += 998_999;
    assert!(cancels(&d.top(10_020, 10_040)).is_empty());
    d.now += 1;
    assert_eq!(cancels(&d.timer()), [bid]);
    // Less than the threshold moves nothing.
    let mut d = Desk::ready(MakerSpec { levels: 1, in_flight_max: 2, ..spec() });
    d.quote();
    d.now += 10_000_000;
    assert!(d.top(10_010, 10_030).is_empty());
}

#[test]
fn the_position_limit_holds_with_everything_open_filled() {
    let mut d = Desk::ready(MakerSpec { position_max: 3 * SIZE, ..spec() });
    let sent = d.quote();
    assert_eq!(prices(&sent).map(|p| p.len()), [3, 3]);
    let first_bid = sent[0].body[2];
    // One bid fills: the other two fill the limit, so its place stays empty.
    d.fill(SIZE, first_bid, SIZE);
    d.now += 10_000_000;
    let sent = d.top(10_000, 10_020);
    assert!(prices(&sent)[0].is_empty(), "{sent:?}");
    // At the limit only asks are wanted, and what is open beyond it is pulled at once.
    let sent = d.report(Kind::OwnFill, [1, 1, 999, 3 * SIZE]);
    assert!(!cancels(&sent).is_empty());
    assert!(
        d.maker.order_states(Side::Buy).all(|s| matches!(s, QuoteState::None | QuoteState::CancelPending))
    );
    assert_eq!(d.away(3 * SIZE)[0], []);
    assert_eq!(d.away(3 * SIZE)[1].len(), 3);
}

#[test]
fn reduce_only_quotes_what_brings_the_position_to_zero() {
    let mut d = Desk::ready(spec());
    d.fill(1, 999, 2 * SIZE);
    d.trading(true, true);
    assert_eq!(prices(&d.top(10_000, 10_020)).map(|p| p.len()), [0, 2]);
    let mut d = Desk::ready(spec());
    d.trading(true, true);
    assert!(d.top(10_000, 10_020).is_empty(), "flat: nothing to reduce");
}

#[test]
fn the_pace_is_kept_and_the_reducing_side_goes_first() {
    let mut d = Desk::ready(MakerSpec { orders_per_s: 10, levels: 2, in_flight_max: 4, ..spec() });
    let mut sent = 0;
    d.fill(1, 999, 2 * SIZE);
    for n in 0..2_000i64 {
        d.now += 1_000_000;
        let up = n % 2 * 100;
        for m in d.top(10_000 + up, 10_020 + up) {
            if m.kind() == Some(Kind::IntentNew) {
                assert!(sent > 0 || m.has(flag::SELL), "long: the first order sells");
                sent += 1;
                d.order(OrderState::Live, m.body[2]);
            } else {
                d.order(OrderState::Cancelled, m.body[2]);
            }
        }
    }
    // A burst of four, then ten a second for two seconds.
    assert!((20..=24).contains(&sent), "{sent}");
}

#[test]
fn never_quotes_into_its_own_other_side() {
    let mut d =
        Desk::ready(MakerSpec { levels: 1, in_flight_max: 2, order_life_min_us: 1_000_000, ..spec() });
    let sent = d.quote();
    d.order(OrderState::Rejected, sent[0].body[2]);
    d.maker.orders[0][0].not_before = Ts(0);
    // The bid that is wanted now is above our ask, whose cancel is on its way.
    let sent = d.top(10_200, 10_220);
    assert_eq!((cancels(&sent).len(), prices(&sent)), (1, [vec![], vec![]]));
}

#[test]
fn stop_withdraws_everything_and_ends_it() {
    let mut d = Desk::ready(spec());
    d.quote();
    d.out.clear();
    d.maker.on_stop(&mut d.out);
    assert_eq!(d.out.as_slice().iter().map(|m| m.kind()).collect::<Vec<_>>(), [Some(Kind::IntentCancelAll)]);
    assert!(d.top(10_200, 10_220).is_empty() && d.timer().is_empty());
}

#[test]
fn refuses_parameters_that_break_their_rules() {
    let says = |spec| Maker::new(spec, instrument()).expect_err("broken").to_string();
    for (spec, want) in [
        (MakerSpec { size: 101, ..spec() }, "size = 101: must be a multiple of the instrument's lot"),
        (MakerSpec { size: 0, ..spec() }, "size = 0: must be within"),
        (MakerSpec { levels: 9, ..spec() }, "levels = 9: must be 1 to 8"),
        (MakerSpec { step_min_ticks: 0, ..spec() }, "step_min_ticks = 0: must be 1 to 1000000"),
        (MakerSpec { step_us: -1, ..spec() }, "step_us = -1"),
        (MakerSpec { spread_min_ticks: -1, ..spec() }, "spread_min_ticks = -1: must be 0 to 1000000"),
        (MakerSpec { spread_max_ticks: 0, ..spec() }, "spread_max_ticks = 0: must be spread_min_ticks"),
        (MakerSpec { maker_fee_ppm: 100_001, ..spec() }, "maker_fee_ppm = 100001"),
        (MakerSpec { requote_ticks: 0, ..spec() }, "requote_ticks = 0"),
        (MakerSpec { position_max: 99, ..spec() }, "position_max = 99: must be at least size"),
        (MakerSpec { order_life_min_us: 0, ..spec() }, "order_life_min_us = 0"),
        (MakerSpec { orders_per_s: 0, ..spec() }, "orders_per_s = 0"),
        (MakerSpec { in_flight_max: 7, ..spec() }, "in_flight_max = 7: must be 1 to twice the levels"),
        (MakerSpec { gamma: f64::NAN, ..spec() }, "gamma = NaN: must be 1e-9 to 1e6"),
        (MakerSpec { model: Model::AvellanedaStoikov { horizon_s: 0.0 }, ..spec() }, "horizon_s = 0"),
        (MakerSpec { sigma_sample_us: 0, ..spec() }, "sample_ns = 0"),
        (MakerSpec { sigma_half_life_us: -5, ..spec() }, "half_life_ns = 0"),
        (MakerSpec { sigma_max: 1.0, ..spec() }, "sigma_max = 1"),
        (MakerSpec { arrivals_per_s: 0.0, ..spec() }, "rate_per_s = 0"),
        (MakerSpec { arrivals_decay: -1.0, ..spec() }, "decay_per_tick = -1"),
        (MakerSpec { arrivals_half_life_us: Some(1), ..spec() }, "half_life_ns = 1000"),
    ] {
        assert!(says(spec).contains(want), "{want}: {}", says(spec));
    }
}

struct Seed(u64);

impl Seed {
    fn next(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Random messages of every kind; the world answers the maker's orders, late, out of order and twice, but ends each at
/// most once. Whatever comes: at most `levels` orders a side are open, prices obey the venue's rules and do not take,
/// our own sides never meet, and if all of a side filled the position limit would hold.
fn random_run(seed: u64) -> Vec<Msg> {
    let mut rng = Seed(0x9e37_79b9_7f4a_7c15 ^ (seed << 8 | 1));
    let levels = 1 + (seed % 4) as i64;
    let limit = 5 * SIZE;
    let model =
        if seed.is_multiple_of(3) { Model::AvellanedaStoikov { horizon_s: 0.1 } } else { Model::Glft };
    let arrivals_half_life_us = if seed.is_multiple_of(2) { Some(500_000) } else { None };
    let mut d = Desk::ready(MakerSpec { levels, model, in_flight_max: 2, arrivals_half_life_us, ..spec() });
    let mut open: Vec<(i64, bool, i64, i64)> = Vec::new(); // id, sell, leaves, px
    let mut ended: Vec<i64> = Vec::new();
    let (mut position, mut mid, mut pulled) = (0i64, 1_000i64, false);
    let mut log = Vec::new();
    for _ in 0..3_000 {
        d.now += rng.next(700_000);
        let at = if open.is_empty() { None } else { Some(rng.next(open.len() as u64) as usize) };
        let sent = match rng.next(15) {
            0..=5 => {
                mid = (mid + rng.next(7) as i64 - 3).clamp(900, 1_100);
                d.top(10 * mid, 10 * (mid + rng.next(4) as i64))
            }
            6 => {
                let state = [BookState::InSync, BookState::InSync, BookState::Gap][rng.next(3) as usize];
                pulled = state != BookState::InSync;
                d.book(state)
            }
            7 => {
                let on = rng.next(4) != 0;
                d.trading(on, false)
            }
            8 => d.timer(),
            9 => d.market(Kind::Trade, rng.next(2) as u8, [10 * (mid + rng.next(9) as i64 - 4), 1, 0, 0]),
            10 | 11 => at.map_or(Vec::new(), |at| {
                let state = [
                    OrderState::Live,
                    OrderState::Live,
                    OrderState::Pending,
                    OrderState::Unknown,
                    OrderState::CancelPending,
                    OrderState::PartiallyFilled,
                ][rng.next(6) as usize];
                d.order(state, open[at].0)
            }),
            12 => at.map_or(Vec::new(), |at| {
                let (id, ..) = open.swap_remove(at);
                ended.push(id);
                let state =
                    [OrderState::Cancelled, OrderState::Rejected, OrderState::Expired][rng.next(3) as usize];
                d.order(state, id)
            }),
            13 => at.map_or(Vec::new(), |at| {
                let (id, sell, leaves, _) = open[at];
                let qty = 1 + rng.next(leaves as u64) as i64;
                position += if sell { -qty } else { qty };
                open[at].2 -= qty;
                if open[at].2 == 0 {
                    open.swap_remove(at);
                    ended.push(id);
                }
                d.fill(qty, id, position)
            }),
            // Late news of an order that has ended.
            _ => ended.last().copied().map_or(Vec::new(), |id| d.order(OrderState::Live, id)),
        };
        for m in &sent {
            log.push(*m);
            match m.kind() {
                Some(Kind::IntentNew) => {
                    let (px, sell) = (m.body[0], m.has(flag::SELL));
                    assert!(px % TICK == 0 && px > 0 && m.body[1] == SIZE, "seed {seed}");
                    let top = d.maker.top;
                    assert!(if sell { px > top.bid_px.0 } else { px < top.ask_px.0 }, "seed {seed}: takes");
                    assert!(d.maker.trading && !pulled, "seed {seed}");
                    let meets =
                        |o: &&(i64, bool, i64, i64)| o.1 != sell && if sell { px <= o.3 } else { px >= o.3 };
                    assert!(open.iter().find(meets).is_none(), "seed {seed}: meets our own");
                    open.push((m.body[2], sell, SIZE, px));
                }
                Some(Kind::IntentCancel) => {
                    assert!(open.iter().any(|o| o.0 == m.body[2]), "seed {seed}: cancel of an open order");
                }
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        for sell in [false, true] {
            let side = open.iter().filter(|o| o.1 == sell);
            assert!(side.clone().count() as i64 <= levels, "seed {seed}: one order a place");
            let all: i64 = side.map(|o| o.2).sum();
            let after = if sell { all - position } else { all + position };
            // Fills of one side may take the other beyond what it could place now, never beyond the limit itself.
            assert!(after <= limit + levels * SIZE, "seed {seed}: {after}");
        }
        assert!(position.abs() <= limit, "seed {seed}: {position}");
    }
    assert!(log.iter().filter(|m| m.kind() == Some(Kind::IntentNew)).count() > 50, "seed {seed}: quoted");
    log
}

#[test]
fn random_messages_never_break_what_must_hold() {
    for seed in 0..150 {
        random_run(seed);
    }
}

#[test]
fn the_same_events_give_the_same_intents() {
    assert_eq!(random_run(7), random_run(7));
}
