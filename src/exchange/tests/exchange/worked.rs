//! Examples worked by hand.

use crate::listing::*;
use corelane_exchange::*;
use wire::*;

#[test]
fn price_then_time_at_the_resting_price_with_fees_and_locks() {
    let mut ex = exchange_with(instrument());
    let (a, b) = (ex.add_account(10 * UNIT, 0), ex.add_account(0, 10_000 * UNIT));
    let mut out = Vec::new();
    // Sells: 101.00 first, then two at 100.00.
    for (px, qty) in [(101_00, 2_0000), (100_00, 1_0000), (100_00, 3_0000)] {
        ex.submit(Ts(1), a, limit(Side::Sell, px, qty), &mut out).expect("accepted");
    }
    assert_eq!(four(ex.balances(a)), [4 * UNIT, 6 * UNIT, 0, 0]);
    assert_eq!(ex.best(), (None, Some((Px(100_00), Qty(4_0000)))));
    out.clear();

    // Buys 5 at up to 102.00: 1 + 3 at 100.00, 1 at 101.00.
    let id = ex.submit(Ts(2), b, limit(Side::Buy, 102_00, 5_0000), &mut out).expect("accepted");
    let e = 100_000_000i64; // one unit
    assert_eq!(
        trades(&out),
        [
            (100_00, 1_0000, 4, 2, e * 2 / 1_000, 100 * e / 1_000),
            (100_00, 3_0000, 4, 3, 3 * e * 2 / 1_000, 300 * e / 1_000),
            (101_00, 1_0000, 4, 1, e * 2 / 1_000, 101 * e / 1_000),
        ]
    );
    assert_eq!(level_events(&out), [(4, Side::Sell, 100_00, 0), (5, Side::Sell, 101_00, 1_0000)]);
    // The buyer paid 501, not 510, and got 5 less 0.2 %; the seller got 501 less 0.1 %.
    assert_eq!(four(ex.balances(b)), [5 * UNIT - UNIT / 100, 0, 9_499 * UNIT, 0]);
    assert_eq!(four(ex.balances(a)), [4 * UNIT, UNIT, 501 * UNIT - 501 * UNIT / 1_000, 0]);
    assert_eq!(ex.fees_collected(), (UNIT / 100, 501 * UNIT / 1_000));
    let order = ex.order(id).expect("kept");
    assert_eq!((order.state, order.cum, order.quote_cum), (OrderState::Filled, Qty(5_0000), 501 * UNIT));
    let rest = ex.order(ExOrderId(1)).expect("open");
    assert_eq!((rest.state, rest.leaves()), (OrderState::PartiallyFilled, Qty(1_0000)));
    assert_eq!(
        ex.last_trade(),
        Some(LastTrade { trade_id: 3, px: Px(101_00), qty: Qty(1_0000), taker_side: Side::Buy, ts: Ts(2) })
    );
}

#[test]
fn events_of_one_order_come_in_their_stated_order() {
    let mut ex = exchange_with(instrument());
    let (a, b) = (ex.add_account(10 * UNIT, 0), ex.add_account(0, 10_000 * UNIT));
    let mut out = Vec::new();
    ex.submit(Ts(1), a, limit(Side::Sell, 100_00, 1_0000), &mut out).expect("accepted");
    ex.submit(Ts(2), a, limit(Side::Sell, 100_00, 1_0000), &mut out).expect("accepted");
    out.clear();
    ex.submit(Ts(3), b, limit(Side::Buy, 100_00, 3_0000), &mut out).expect("accepted");
    let names: Vec<&str> = out
        .iter()
        .map(|e| match e {
            ExEvent::Accepted { .. } => "accepted",
            ExEvent::Trade { .. } => "trade",
            ExEvent::Cancelled { .. } => "cancelled",
            ExEvent::Expired { .. } => "expired",
            ExEvent::Level { .. } => "level",
            ExEvent::Triggered { .. } => "triggered",
            ExEvent::Prevented { .. } => "prevented",
        })
        .collect();
    assert_eq!(names, ["accepted", "trade", "trade", "level", "level"]);
    assert_eq!(level_events(&out), [(3, Side::Sell, 100_00, 0), (4, Side::Buy, 100_00, 1_0000)]);
    assert_eq!(ex.update_id(), 4);
    let Some(ExEvent::Trade { taker, maker, taker_side, ts, .. }) = out.get(2) else { panic!("{out:?}") };
    assert_eq!((taker.cum, taker.leaves, maker.leaves), (Qty(2_0000), Qty(1_0000), Qty(0)));
    assert_eq!((taker.token, taker.account, maker.account, *taker_side, *ts), (7, b, a, Side::Buy, Ts(3)));
}

#[test]
fn ioc_market_and_maker_orders() {
    let mut ex = exchange_with(instrument());
    let (a, b) = (ex.add_account(10 * UNIT, 0), ex.add_account(5 * UNIT, 1_000 * UNIT));
    let mut out = Vec::new();
    ex.submit(Ts(1), a, limit(Side::Sell, 100_00, 1_0000), &mut out).expect("accepted");
    ex.submit(Ts(1), a, limit(Side::Sell, 102_00, 1_0000), &mut out).expect("accepted");
    out.clear();

    ex.submit(Ts(2), b, ioc(Side::Buy, 101_00, 2_0000), &mut out).expect("accepted");
    assert_eq!(expiries(&out), [(3, 1_0000, ExpireReason::ImmediateOrCancel)]);
    assert_eq!(ex.balances(b).quote_locked, 0);
    assert_eq!(
        ex.submit(Ts(3), b, maker(Side::Buy, 102_00, 1_0000), &mut out),
        Err(ExReject::WouldTake { side: Side::Buy, px: Px(102_00), best: Px(102_00) })
    );
    ex.submit(Ts(3), b, maker(Side::Buy, 101_99, 1_0000), &mut out).expect("rests");
    assert_eq!(ex.best().0, Some((Px(101_99), Qty(1_0000))));
    out.clear();

    // A market buy of 3 finds 1 at 102.00; 798 is free of 1000 - 100 - 101.99, which is enough for that one.
    ex.submit(Ts(4), b, market(Side::Buy, 3_0000), &mut out).expect("accepted");
    assert_eq!(expiries(&out), [(5, 1_0000, ExpireReason::NoLiquidity)]);
    // A market sell into nothing of others gives the base back.
    let before = ex.balances(b);
    out.clear();
    ex.submit(Ts(5), b, market(Side::Sell, 1_0000), &mut out).expect("accepted");
    assert_eq!(expiries(&out), [(6, 0, ExpireReason::SelfTrade)]);
    assert_eq!(ex.balances(b), before);
    // Nor can it sell what it lacks.
    assert!(matches!(
        ex.submit(Ts(6), b, market(Side::Sell, 900_0000), &mut out),
        Err(ExReject::InsufficientBalance { asset: "base", .. })
    ));
}

#[test]
fn a_market_buy_is_refused_whole_when_the_book_costs_more_than_is_free() {
    let mut ex = exchange_with(instrument());
    let (a, b) = (ex.add_account(10 * UNIT, 0), ex.add_account(0, 302 * UNIT));
    let mut out = Vec::new();
    ex.submit(Ts(1), a, limit(Side::Sell, 100_00, 1_0000), &mut out).expect("accepted");
    ex.submit(Ts(1), a, limit(Side::Sell, 101_00, 9_0000), &mut out).expect("accepted");
    out.clear();
    let refused = ex.submit(Ts(2), b, market(Side::Buy, 3_0001), &mut out).expect_err("costs 302.0101");
    assert_eq!(refused.to_string(), "quote balance: 302 free, the order needs 302.0101");
    assert!(out.is_empty());
    ex.submit(Ts(2), b, market(Side::Buy, 3_0000), &mut out).expect("costs exactly 302");
    assert_eq!(four(ex.balances(b)), [3 * UNIT - 6 * UNIT / 1_000, 0, 0, 0]);
}

#[test]
fn self_trade_expires_the_incoming_remainder_and_leaves_the_resting_order() {
    let mut ex = exchange_with(instrument());
    let (a, b) = (ex.add_account(10 * UNIT, 10_000 * UNIT), ex.add_account(10 * UNIT, 0));
    let mut out = Vec::new();
    ex.submit(Ts(1), b, limit(Side::Sell, 100_00, 1_0000), &mut out).expect("accepted");
    ex.submit(Ts(1), a, limit(Side::Sell, 100_00, 1_0000), &mut out).expect("accepted");
    ex.submit(Ts(1), b, limit(Side::Sell, 100_00, 1_0000), &mut out).expect("accepted");
    out.clear();
    ex.submit(Ts(2), a, limit(Side::Buy, 100_00, 3_0000), &mut out).expect("accepted");
    assert_eq!(trades(&out).iter().map(|t| t.3).collect::<Vec<_>>(), [1]);
    assert_eq!(expiries(&out), [(4, 1_0000, ExpireReason::SelfTrade)]);
    assert_eq!(ex.levels(Side::Sell, 5), [(Px(100_00), Qty(2_0000))]);
    assert_eq!((ex.balances(a).quote_locked, ex.levels(Side::Buy, 5).len()), (0, 0));
    // Filled to the last lot before its own order is reached: nothing expires.
    ex.submit(Ts(3), b, limit(Side::Sell, 99_00, 1_0000), &mut out).expect("accepted");
    out.clear();
    ex.submit(Ts(4), a, limit(Side::Buy, 100_00, 1_0000), &mut out).expect("accepted");
    assert_eq!((trades(&out).len(), expiries(&out)), (1, vec![]));
}

#[test]
fn cancel_gives_back_what_was_locked_and_only_to_its_owner() {
    let mut ex = exchange_with(instrument());
    let (a, b) = (ex.add_account(UNIT, 1_000 * UNIT), ex.add_account(0, 0));
    let mut out = Vec::new();
    let id = ex.submit(Ts(1), a, limit(Side::Buy, 100_00, 2_0000), &mut out).expect("accepted");
    ex.submit(Ts(1), a, limit(Side::Sell, 110_00, 5000), &mut out).expect("accepted");
    ex.submit(Ts(1), a, limit(Side::Buy, 99_00, 1_0000), &mut out).expect("accepted");
    assert_eq!(four(ex.balances(a)), [UNIT / 2, UNIT / 2, 701 * UNIT, 299 * UNIT]);
    assert_eq!(ex.open_orders(a).map(|o| o.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(ex.cancel(Ts(2), b, id, &mut out), Err(ExReject::UnknownOrder { id }));
    out.clear();
    ex.cancel(Ts(2), a, id, &mut out).expect("open");
    assert_eq!(
        out,
        [
            ExEvent::Cancelled { id, account: a, token: 7, cum: Qty(0), ts: Ts(2) },
            ExEvent::Level { update_id: 4, side: Side::Buy, px: Px(100_00), qty_total: Qty(0) },
        ]
    );
    assert_eq!(ex.cancel(Ts(2), a, id, &mut out), Err(ExReject::UnknownOrder { id }));
    assert_eq!(ex.order(id).map(|o| o.state), Some(OrderState::Cancelled));
    // A halt refuses new orders and lets cancels pass.
    ex.set_trading(false);
    assert_eq!(ex.submit(Ts(3), a, limit(Side::Buy, 1_00, 1), &mut out), Err(ExReject::NotTrading));
    assert_eq!(ex.cancel_all(Ts(3), a, &mut out), 2);
    assert_eq!(four(ex.balances(a)), [UNIT, 0, 1_000 * UNIT, 0]);
    assert_eq!((ex.best(), ex.cancel_all(Ts(3), a, &mut out)), ((None, None), 0));
}

#[test]
fn fees_truncate_toward_zero_and_rebates_are_paid_out() {
    let fees = Fees { maker_ppm: -250, taker_ppm: 750 };
    let mut ex = Exchange::new(ExchangeConfig { instrument: instrument(), fees }).expect("valid");
    let (a, b) = (ex.add_account(UNIT, 0), ex.add_account(0, UNIT));
    let mut out = Vec::new();
    // 0.0001 at 0.33: worth 0.000033 = 3300 mantissa; base received 10_000.
    ex.submit(Ts(1), a, limit(Side::Sell, 33, 1), &mut out).expect("accepted");
    ex.submit(Ts(2), b, limit(Side::Buy, 33, 1), &mut out).expect("accepted");
    // Taker 10_000 × 750 ppm = 7.5 → 7; maker 3300 × -250 ppm = -0.825 → 0.
    assert_eq!(trades(&out), [(33, 1, 2, 1, 7, 0)]);
    // And 1 at 1.00: maker receives 1 quote, rebate 25_000 mantissa.
    out.clear();
    ex.submit(Ts(3), a, limit(Side::Sell, 100, 5000), &mut out).expect("accepted");
    ex.submit(Ts(4), b, limit(Side::Buy, 100, 5000), &mut out).expect("accepted");
    assert_eq!(trades(&out), [(100, 5000, 4, 3, 37_500, -12_500)]);
    assert_eq!(ex.balances(a).quote_free, 3_300 + UNIT / 2 + 12_500);
    assert_eq!(ex.fees_collected(), (7 + 37_500, -12_500));
}
