//! The quoter against scripted and random messages.

use super::*;
use wire::{AssetId, InstrumentId, VenueId, flag};

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
        px_min: Px(10),
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

fn spec() -> QuoterSpec {
    QuoterSpec {
        size: 100,
        half_spread_ticks: 2,
        skew_ticks: 3,
        requote_ticks: 2,
        position_max: 300,
        order_life_min_us: 1_000,
        in_flight_max: 2,
    }
}

/// A quoter with the runner's part around it.
struct Desk {
    quoter: Quoter,
    out: Intents,
    seq: u64,
    now: u64,
}

impl Desk {
    fn new(spec: QuoterSpec) -> Desk {
        let quoter = Quoter::new(spec, instrument()).expect("sound parameters");
        Desk { quoter, out: Intents::new(1, 1_000), seq: 0, now: 1_000_000_000 }
    }

    /// In sync, trading, nothing quoted yet.
    fn ready(spec: QuoterSpec) -> Desk {
        let mut d = Desk::new(spec);
        assert!(d.trading(true).is_empty() && d.book(BookState::InSync).is_empty());
        d
    }

    fn market(&mut self, kind: Kind, body: [i64; 4]) -> Vec<Msg> {
        self.out.clear();
        self.seq += 1;
        let m = Msg::new(kind, InstrumentId(0), Ts(self.now)).body(body);
        self.out.begin(self.seq, m.ts_recv());
        self.quoter.on_market(self.seq, &m, &mut self.out);
        self.out.as_slice().to_vec()
    }

    fn top(&mut self, bid: i64, bid_qty: i64, ask: i64, ask_qty: i64) -> Vec<Msg> {
        self.market(Kind::Top, [bid, bid_qty, ask, ask_qty])
    }

    fn book(&mut self, state: BookState) -> Vec<Msg> {
        self.market(Kind::BookState, [state as i64, 0, 0, 0])
    }

    fn report(&mut self, kind: Kind, body: [i64; 4]) -> Vec<Msg> {
        self.out.clear();
        let m = Msg::new(kind, InstrumentId(0), Ts(self.now)).body(body);
        self.out.begin_at(m.ts_recv());
        self.quoter.on_order(&m, &mut self.out);
        self.out.as_slice().to_vec()
    }

    fn trading(&mut self, on: bool) -> Vec<Msg> {
        self.report(Kind::Trading, [on as i64, 0, 0, 0])
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
        self.quoter.on_timer(Ts(self.now), &mut self.out);
        self.out.as_slice().to_vec()
    }

    /// Quotes both sides and lets both rest; returns their ids.
    fn quote_both(&mut self) -> (i64, i64) {
        let sent = self.top(10_000, 1, 10_020, 1);
        let (bid, ask) = (sent[0].body[2], sent[1].body[2]);
        assert!(self.order(OrderState::Live, bid).is_empty());
        assert!(self.order(OrderState::Live, ask).is_empty());
        (bid, ask)
    }
}

fn short(sent: &[Msg]) -> Vec<(Kind, bool, i64)> {
    sent.iter().map(|m| (m.kind().expect("known"), m.has(flag::SELL), m.body[0])).collect()
}

#[test]
fn quotes_both_sides_rounded_away_from_the_mid() {
    let mut d = Desk::ready(spec());
    // Microprice 10 013: bid 9 993 → 9 990, ask 10 033 → 10 040.
    let sent = d.top(10_000, 13, 10_020, 7);
    assert_eq!(short(&sent), [(Kind::IntentNew, false, 9_990), (Kind::IntentNew, true, 10_040)]);
    assert!(sent.iter().all(|m| m.body[1] == 100 && m.order_type() == Some(OrderType::Limit)));
    assert_eq!(sent[0].cause() as u64, d.seq);
    assert!(d.top(10_000, 13, 10_020, 7).is_empty(), "one order a side");
}

#[test]
fn nothing_without_trading_book_or_touch() {
    let mut d = Desk::new(spec());
    assert!(d.top(10_000, 1, 10_020, 1).is_empty());
    d.trading(true);
    assert!(d.top(10_000, 1, 10_020, 1).is_empty());
    d.book(BookState::Syncing);
    assert!(d.top(10_000, 1, 10_020, 1).is_empty());
    assert!(
        d.book(BookState::InSync).len() == 2,
        "a top that came while syncing is of the book that is in sync"
    );
    let mut d = Desk::ready(spec());
    assert!(d.top(10_000, 0, 10_020, 1).is_empty());
    assert!(d.top(10_020, 1, 10_020, 1).is_empty());
    assert_eq!(d.top(10_000, 1, 10_020, 1).len(), 2);
}

#[test]
fn position_shifts_both_quotes_against_it() {
    let price = |position: i64| {
        let mut d = Desk::ready(spec());
        d.quoter.position = position;
        d.quoter.top = Top { bid_px: Px(10_000), bid_qty: Qty(1), ask_px: Px(10_020), ask_qty: Qty(1) };
        d.quoter.wanted()
    };
    let flat = price(0);
    assert_eq!(flat, Wanted { bid_px: Some(Px(9_990)), ask_px: Some(Px(10_030)) });
    assert_eq!(
        price(100),
        Wanted { bid_px: Some(Px(9_960)), ask_px: Some(Px(10_020)) },
        "long: 30 lower, ask held at the touch"
    );
    assert_eq!(
        price(-100),
        Wanted { bid_px: Some(Px(10_000)), ask_px: Some(Px(10_060)) },
        "short: 30 higher, bid held at the touch"
    );
}

#[test]
fn never_at_or_through_the_touch() {
    let mut d = Desk::ready(QuoterSpec { half_spread_ticks: 0, skew_ticks: 1_000_000, ..spec() });
    d.quoter.position = -100;
    d.quoter.top = Top { bid_px: Px(10_000), bid_qty: Qty(1), ask_px: Px(10_010), ask_qty: Qty(1) };
    assert_eq!(d.quoter.wanted().bid_px, Some(Px(10_000)));
    d.quoter.position = 100;
    assert_eq!(d.quoter.wanted().ask_px, Some(Px(10_010)));
    assert_eq!(d.quoter.wanted().bid_px, None, "below the lowest price");
}

#[test]
fn position_limit_stops_the_side_that_adds() {
    let mut d = Desk::ready(spec());
    let (bid, _) = d.quote_both();
    // 201 + 100 would be above 300: the bid is gone by the fill and does not come back, the ask stays.
    assert!(d.fill(100, bid, 201).iter().all(|m| !m.has(flag::SELL) || m.kind() != Some(Kind::IntentNew)));
    assert_eq!(d.quoter.quote_state(Side::Buy), QuoteState::None);
    d.now += 1;
    assert!(short(&d.top(10_000, 1, 10_020, 1)).iter().all(|s| s.0 != Kind::IntentNew));
    // And a resting quote that would add is pulled when another fill took the room.
    let mut d = Desk::ready(spec());
    let (bid, ask) = d.quote_both();
    let sent = d.report(Kind::OwnFill, [1, 1, 999, -250]);
    assert_eq!(short(&sent), [(Kind::IntentCancel, false, 0)]);
    assert_eq!(sent[0].body[2], ask);
    assert_ne!(bid, ask);
}

#[test]
fn moves_only_beyond_the_threshold_and_after_its_life() {
    let mut d = Desk::ready(spec());
    let (bid, ask) = d.quote_both();
    d.now += 1_000_000;
    assert!(d.top(10_010, 1, 10_030, 1).is_empty(), "one tick is below the threshold");
    d.now -= 1;
    let mut young = Desk::ready(spec());
    young.quote_both();
    young.now += 999_999;
    assert!(young.top(10_100, 1, 10_120, 1).is_empty(), "too young");
    young.now += 1;
    assert_eq!(young.timer().len(), 2, "the timer sees that it is old enough");

    d.now += 1;
    let sent = d.top(10_020, 1, 10_040, 1);
    assert_eq!(short(&sent), [(Kind::IntentCancel, false, 0), (Kind::IntentCancel, false, 0)]);
    assert_eq!((sent[0].body[2], sent[1].body[2]), (bid, ask));
    assert!(d.top(10_020, 1, 10_040, 1).is_empty(), "waits for the confirmation");
    assert!(d.order(OrderState::CancelPending, bid).is_empty());
    assert!(d.order(OrderState::Cancelled, ask).is_empty(), "a new quote answers a touch");
    assert_eq!(short(&d.top(10_020, 1, 10_040, 1)), [(Kind::IntentNew, true, 10_050)]);
    assert!(d.order(OrderState::Cancelled, bid).is_empty());
    assert_eq!(short(&d.top(10_020, 1, 10_040, 1)), [(Kind::IntentNew, false, 10_010)]);
}

#[test]
fn in_flight_limit_holds_back_the_second_side() {
    let mut d = Desk::ready(QuoterSpec { in_flight_max: 1, ..spec() });
    let sent = d.top(10_000, 1, 10_020, 1);
    assert_eq!(short(&sent), [(Kind::IntentNew, false, 9_990)]);
    assert!(d.top(10_000, 1, 10_020, 1).is_empty(), "the first is still on its way");
    assert!(d.order(OrderState::Live, sent[0].body[2]).is_empty());
    assert_eq!(short(&d.top(10_000, 1, 10_020, 1)), [(Kind::IntentNew, true, 10_030)]);
}

#[test]
fn partial_fills_keep_the_quote_and_the_last_one_replaces_it() {
    let mut d = Desk::ready(spec());
    let (bid, _) = d.quote_both();
    assert!(d.fill(40, bid, 40).is_empty());
    assert!(d.order(OrderState::PartiallyFilled, bid).is_empty());
    assert_eq!(d.quoter.quote_state(Side::Buy), QuoteState::Live);
    assert!(d.fill(60, bid, 100).is_empty());
    // Long 100: the new bid is 30 lower, the ask (30 → wants 20 lower) has not lived long enough.
    assert_eq!(short(&d.top(10_000, 1, 10_020, 1)), [(Kind::IntentNew, false, 9_960)]);
    assert!(d.order(OrderState::Filled, bid).is_empty(), "the old order's end is no news");
    assert_eq!(d.quoter.quote_state(Side::Buy), QuoteState::Pending);
}

#[test]
fn a_fill_before_the_ack_counts_as_resting() {
    let mut d = Desk::ready(spec());
    let sent = d.top(10_000, 1, 10_020, 1);
    d.fill(10, sent[0].body[2], 10);
    assert_eq!(d.quoter.quote_state(Side::Buy), QuoteState::Live);
}

#[test]
fn rejects_pause_longer_each_time() {
    let mut d = Desk::ready(spec());
    let mut id = d.top(10_000, 1, 10_020, 1)[0].body[2];
    for pause in [1_000_000u64, 2_000_000, 4_000_000] {
        assert!(d.order(OrderState::Rejected, id).is_empty());
        d.now += pause - 1;
        assert!(d.top(10_000, 1, 10_020, 1).is_empty(), "pause of {pause} ns");
        d.now += 1;
        let sent = d.top(10_000, 1, 10_020, 1);
        assert_eq!(short(&sent), [(Kind::IntentNew, false, 9_990)]);
        id = sent[0].body[2];
    }
    d.order(OrderState::Live, id);
    d.order(OrderState::Cancelled, id);
    d.top(10_000, 1, 10_020, 1);
    assert_eq!(d.quoter.quote_state(Side::Buy), QuoteState::Pending, "no pause after an order that lived");
}

#[test]
fn a_lost_book_or_trading_off_pulls_everything_at_once() {
    for off in [BookState::Gap, BookState::Down, BookState::Syncing] {
        let mut d = Desk::ready(spec());
        let (bid, ask) = d.quote_both();
        let sent = d.book(off);
        assert_eq!(sent.iter().map(|m| m.body[2]).collect::<Vec<_>>(), [bid, ask]);
        assert!(sent.iter().all(|m| m.kind() == Some(Kind::IntentCancel)));
        d.order(OrderState::Cancelled, bid);
        assert!(d.book(BookState::InSync).is_empty(), "the old touch is forgotten");
        assert_eq!(short(&d.top(10_000, 1, 10_020, 1)), [(Kind::IntentNew, false, 9_990)]);
    }
    let mut d = Desk::ready(spec());
    d.quote_both();
    assert_eq!(d.trading(false).len(), 2);
    let mut d = Desk::ready(spec());
    d.quote_both();
    assert_eq!(d.top(10_000, 1, 0, 0).len(), 2, "one-sided touch");
}

#[test]
fn a_pending_quote_is_pulled_and_its_ack_does_not_revive_it() {
    let mut d = Desk::ready(spec());
    let bid = d.top(10_000, 1, 10_020, 1)[0].body[2];
    assert_eq!(d.trading(false).len(), 2);
    assert!(d.order(OrderState::Live, bid).is_empty(), "the ack crossed our cancel");
    assert_eq!(d.quoter.quote_state(Side::Buy), QuoteState::CancelPending);
    let sent = d.order(OrderState::Live, bid);
    assert_eq!(short(&sent), [(Kind::IntentCancel, false, 0)], "the cancel was refused: ask again");
    assert!(d.order(OrderState::Cancelled, bid).is_empty());
}

#[test]
fn a_lost_cancel_is_asked_for_again_and_a_heard_one_is_not() {
    let mut d = Desk::ready(spec());
    let (bid, ask) = d.quote_both();
    assert_eq!(d.trading(false).len(), 2);
    assert!(d.order(OrderState::CancelPending, ask).is_empty());
    d.now += 999_999_999;
    assert!(d.timer().is_empty());
    d.now += 1;
    let again = d.timer();
    assert_eq!(again.iter().map(|m| m.body[2]).collect::<Vec<_>>(), [bid]);
    assert!(d.timer().is_empty(), "not at once again");
}

#[test]
fn unknown_waits() {
    let mut d = Desk::ready(spec());
    let (bid, ask) = d.quote_both();
    d.order(OrderState::Unknown, bid);
    d.now += 10_000_000;
    let sent = d.top(10_100, 1, 10_120, 1);
    assert_eq!(sent.iter().map(|m| m.body[2]).collect::<Vec<_>>(), [ask], "only the ask moves");
    assert!(d.trading(false).is_empty());
    d.trading(true);
    assert_eq!(short(&d.order(OrderState::Live, bid)), [(Kind::IntentCancel, false, 0)]);
}

#[test]
fn does_not_quote_into_its_own_other_side() {
    let mut d = Desk::ready(spec());
    let (bid, _) = d.quote_both();
    // The bid is gone and waits out a reject; the market jumps above our ask at 10 030, which is too young to move.
    d.order(OrderState::Rejected, bid);
    d.now += 999_999;
    d.quoter.quotes[0].not_before = Ts(0);
    assert!(d.top(10_100, 1, 10_120, 1).is_empty());
    assert_eq!(d.quoter.quote_state(Side::Buy), QuoteState::None);
    // Without the ask in the way it would have quoted.
    let mut d = Desk::ready(spec());
    assert_eq!(d.top(10_100, 1, 10_120, 1).len(), 2);
}

#[test]
fn small_notional_is_not_quoted() {
    let mut i = instrument();
    i.notional_min = 9_990 * 100 + 1;
    let mut quoter = Quoter::new(spec(), i).expect("sound parameters");
    quoter.top = Top { bid_px: Px(10_000), bid_qty: Qty(1), ask_px: Px(10_020), ask_qty: Qty(1) };
    assert_eq!(quoter.wanted(), Wanted { bid_px: None, ask_px: Some(Px(10_030)) });
}

#[test]
fn stop_withdraws_everything_and_ends_it() {
    let mut d = Desk::ready(spec());
    let (bid, _) = d.quote_both();
    d.out.clear();
    d.quoter.on_stop(&mut d.out);
    assert_eq!(short(d.out.as_slice()), [(Kind::IntentCancelAll, false, 0)]);
    assert!(d.order(OrderState::Cancelled, bid).is_empty());
    assert!(d.top(10_100, 1, 10_120, 1).is_empty());
}

#[test]
fn other_instruments_and_unknown_kinds_are_not_ours() {
    let mut d = Desk::ready(spec());
    let m = Msg::new(Kind::Top, InstrumentId(9), Ts(5)).body([10_000, 1, 10_020, 1]);
    d.quoter.on_market(1, &m, &mut d.out);
    d.quoter.on_order(&Msg::new(Kind::OwnFill, InstrumentId(9), Ts(5)).body([1, 1, 1, 777]), &mut d.out);
    d.quoter.on_market(2, &Msg::default(), &mut d.out);
    assert!(d.out.is_empty());
    assert_eq!((d.quoter.position(), d.quoter.name()), (0, "quoter"));
}

#[test]
fn bad_parameters_are_refused_by_name() {
    let refused = |s: QuoterSpec| Quoter::new(s, instrument()).map(|_| ()).map_err(|e| e.field);
    assert_eq!(refused(QuoterSpec { size: 0, ..spec() }), Err("size"));
    assert_eq!(refused(QuoterSpec { size: 101, ..spec() }), Err("size"));
    assert_eq!(refused(QuoterSpec { size: 10_005, position_max: i64::MAX, ..spec() }), Err("size"));
    assert_eq!(refused(QuoterSpec { half_spread_ticks: -1, ..spec() }), Err("half_spread_ticks"));
    assert_eq!(refused(QuoterSpec { skew_ticks: 1_000_001, ..spec() }), Err("skew_ticks"));
    assert_eq!(refused(QuoterSpec { requote_ticks: 0, ..spec() }), Err("requote_ticks"));
    assert_eq!(refused(QuoterSpec { position_max: 99, ..spec() }), Err("position_max"));
    assert_eq!(refused(QuoterSpec { order_life_min_us: 0, ..spec() }), Err("order_life_min_us"));
    assert_eq!(refused(QuoterSpec { in_flight_max: 3, ..spec() }), Err("in_flight_max"));
    let mut i = instrument();
    i.tick = Px(0);
    assert_eq!(Quoter::new(spec(), i).map(|_| ()).map_err(|e| e.field), Err("tick"));
}

struct Seed(u64);

impl Seed {
    fn next(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// An engine that does what it likes with the quoter's orders, late, out of order and twice, but ends each at
/// most once. After every step: at most one order a side is open, no price is at or through the touch it was
/// made from, every price and size obeys the venue's rules, and no order could break the position limit.
fn random_run(seed: u64) -> Vec<Msg> {
    let mut rng = Seed(0x9e37_79b9_7f4a_7c15 ^ (seed << 8 | 1));
    let in_flight_max = 1 + (seed % 2) as i64;
    let mut d = Desk::ready(QuoterSpec { in_flight_max, ..spec() });
    let mut open: Vec<(i64, bool, i64)> = Vec::new(); // id, sell, leaves
    let mut ended: Vec<i64> = Vec::new();
    let mut position = 0i64;
    let mut log = Vec::new();
    let mut pulled = false;
    for _ in 0..3_000 {
        d.now += rng.next(700_000);
        let pick = |rng: &mut Seed, open: &[(i64, bool, i64)]| {
            if open.is_empty() { None } else { Some(rng.next(open.len() as u64) as usize) }
        };
        let sent = match rng.next(14) {
            0..=4 => {
                let bid = 9_000 + 10 * rng.next(200) as i64;
                let ask = bid + 10 * rng.next(6) as i64;
                let (bq, aq) = (rng.next(20) as i64, rng.next(20) as i64);
                d.top(bid, bq, ask, aq)
            }
            5 => {
                let state = [BookState::InSync, BookState::InSync, BookState::Gap][rng.next(3) as usize];
                pulled = state != BookState::InSync;
                d.book(state)
            }
            6 => {
                let on = rng.next(4) != 0;
                d.trading(on)
            }
            7 => d.timer(),
            8 | 9 => match pick(&mut rng, &open) {
                Some(at) => {
                    let state = [
                        OrderState::Live,
                        OrderState::Live,
                        OrderState::Pending,
                        OrderState::Unknown,
                        OrderState::CancelPending,
                        OrderState::PartiallyFilled,
                    ][rng.next(6) as usize];
                    d.order(state, open[at].0)
                }
                None => Vec::new(),
            },
            10 => match pick(&mut rng, &open) {
                Some(at) => {
                    let (id, _, _) = open.swap_remove(at);
                    ended.push(id);
                    let state = [OrderState::Cancelled, OrderState::Rejected, OrderState::Expired]
                        [rng.next(3) as usize];
                    d.order(state, id)
                }
                None => Vec::new(),
            },
            11 | 12 => match pick(&mut rng, &open) {
                Some(at) => {
                    let (id, sell, leaves) = open[at];
                    let qty = 1 + rng.next(leaves as u64) as i64;
                    position += if sell { -qty } else { qty };
                    open[at].2 -= qty;
                    if open[at].2 == 0 {
                        open.swap_remove(at);
                        ended.push(id);
                    }
                    d.fill(qty, id, position)
                }
                None => Vec::new(),
            },
            _ => match ended.last().copied() {
                // Late news of an order that has ended.
                Some(id) => d.order(OrderState::Live, id),
                None => Vec::new(),
            },
        };
        for m in &sent {
            log.push(*m);
            match m.kind() {
                Some(Kind::IntentNew) => {
                    let (px, sell) = (m.body[0], m.has(flag::SELL));
                    assert!(px % 10 == 0 && px > 0 && m.body[1] == 100, "seed {seed}");
                    let top = d.quoter.top;
                    assert!(if sell { px > top.bid_px.0 } else { px < top.ask_px.0 }, "seed {seed}");
                    assert!(d.quoter.trading && !pulled, "seed {seed}");
                    let after = position + if sell { -100 } else { 100 };
                    assert!(if sell { after >= -300 } else { after <= 300 }, "seed {seed}");
                    open.push((m.body[2], sell, 100));
                }
                Some(Kind::IntentCancel) => {
                    assert!(open.iter().any(|o| o.0 == m.body[2]), "seed {seed}: cancel of an open order");
                }
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        for sell in [false, true] {
            assert!(open.iter().filter(|o| o.1 == sell).count() <= 1, "seed {seed}: one order a side");
        }
    }
    assert!(log.iter().filter(|m| m.kind() == Some(Kind::IntentNew)).count() > 50, "seed {seed}: quoted");
    log
}

#[test]
fn random_messages_never_lead_to_two_orders_on_a_side() {
    for seed in 0..200 {
        random_run(seed);
    }
}

#[test]
fn the_same_events_give_the_same_intents() {
    assert_eq!(random_run(7), random_run(7));
}
