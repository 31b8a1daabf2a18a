//! The recorded market's fill rule, case by case.

use crate::listing::*;
use corelane_exchange::*;
use wire::*;

fn recorded() -> (RecordedMarket, AccountIx, Vec<ExEvent>) {
    let mut m = RecordedMarket::new(ExchangeConfig { instrument: instrument(), fees: FEES }).expect("valid");
    let us = m.add_account(100 * UNIT, 100_000 * UNIT);
    // 99.00 × 5 bid, 101.00 × 3 offered.
    m.on_top(Ts(1), Some((Px(99_00), Qty(5_0000))), Some((Px(101_00), Qty(3_0000))));
    (m, us, Vec::new())
}

/// `(px, qty, order)` of our fills in `out`, which is cleared.
fn fills(out: &mut Vec<ExEvent>) -> Vec<(i64, i64, u64)> {
    let found = trades(out).iter().map(|t| (t.0, t.1, t.2.max(t.3))).collect();
    out.clear();
    found
}

#[test]
fn a_crossing_order_takes_the_displayed_quantity_at_the_recorded_price_and_rests() {
    let (mut m, us, mut out) = recorded();
    let id = m.submit(Ts(2), us, limit(Side::Buy, 102_00, 4_0000), &mut out).expect("accepted");
    let Some(ExEvent::Trade { trade_id: 1, px, qty, taker, maker, taker_side, .. }) = out.get(1) else {
        panic!("{out:?}")
    };
    assert_eq!((*px, *qty, *taker_side), (Px(101_00), Qty(3_0000), Side::Buy));
    assert_eq!((taker.id, taker.account, taker.leaves), (id, us, Qty(1_0000)));
    assert_eq!(taker.fee, 3 * 100_000_000 * 2 / 1_000);
    assert_eq!(*maker, Party::OUTSIDE);
    assert_eq!(maker.account, AccountIx::NONE);
    // 303 paid, 102 locked for the rest; no level of ours is public.
    assert_eq!(
        four(m.balances(us)),
        [103 * UNIT - 6 * UNIT / 1_000, 0, (100_000 - 303 - 102) * UNIT, 102 * UNIT]
    );
    assert_eq!((out.len(), level_events(&out)), (2, vec![]));
    // What we took is gone until the recording speaks again.
    out.clear();
    m.submit(Ts(3), us, ioc(Side::Buy, 102_00, 1_0000), &mut out).expect("accepted");
    assert_eq!((trades(&out), expiries(&out)), (vec![], vec![(2, 0, ExpireReason::ImmediateOrCancel)]));
    m.on_top(Ts(4), None, Some((Px(101_00), Qty(3_0000))));
    out.clear();
    m.submit(Ts(5), us, ioc(Side::Buy, 101_00, 4_0000), &mut out).expect("accepted");
    assert_eq!(expiries(&out), [(3, 3_0000, ExpireReason::ImmediateOrCancel)]);
    assert_eq!(fills(&mut out), [(101_00, 3_0000, 3)]);
}

#[test]
fn a_crossing_sell_mirrors_it_and_a_market_order_takes_the_top_only() {
    let (mut m, us, mut out) = recorded();
    m.submit(Ts(2), us, limit(Side::Sell, 98_00, 6_0000), &mut out).expect("accepted");
    assert_eq!(fills(&mut out), [(99_00, 5_0000, 1)]);
    assert_eq!(m.open_orders(us).map(|o| (o.px, o.leaves())).collect::<Vec<_>>(), [(Px(98_00), Qty(1_0000))]);
    m.cancel_all(Ts(3), us, &mut out);
    out.clear();
    m.submit(Ts(3), us, market(Side::Buy, 5_0000), &mut out).expect("accepted");
    assert_eq!(expiries(&out), [(2, 3_0000, ExpireReason::NoLiquidity)]);
    assert_eq!(fills(&mut out), [(101_00, 3_0000, 2)]);
    m.submit(Ts(4), us, market(Side::Buy, 5_0000), &mut out).expect("accepted");
    assert_eq!(expiries(&out), [(3, 0, ExpireReason::NoLiquidity)]);
}

#[test]
fn a_maker_order_must_not_reach_the_recorded_quote() {
    let (mut m, us, mut out) = recorded();
    assert_eq!(
        m.submit(Ts(2), us, maker(Side::Sell, 99_00, 1_0000), &mut out),
        Err(ExReject::WouldTake { side: Side::Sell, px: Px(99_00), best: Px(99_00) })
    );
    m.submit(Ts(2), us, maker(Side::Sell, 99_01, 1_0000), &mut out).expect("rests");
}

#[test]
fn a_trade_strictly_through_fills_at_our_price_up_to_its_quantity() {
    let (mut m, us, mut out) = recorded();
    m.submit(Ts(2), us, limit(Side::Buy, 98_00, 4_0000), &mut out).expect("rests");
    out.clear();
    // A quote that crosses us fills nothing.
    m.on_top(Ts(3), Some((Px(96_00), Qty(1_0000))), Some((Px(97_00), Qty(9_0000))));
    m.on_trade(Ts(3), Px(98_01), Qty(9_0000), Side::Sell, &mut out);
    m.on_trade(Ts(3), Px(98_00), Qty(9_0000), Side::Sell, &mut out);
    assert_eq!(out, []);
    // Either aggressor counts when it is through.
    m.on_trade(Ts(4), Px(97_99), Qty(1_0000), Side::Sell, &mut out);
    m.on_trade(Ts(5), Px(97_00), Qty(1_5000), Side::Buy, &mut out);
    let Some(ExEvent::Trade { px, taker, maker, taker_side, .. }) = out.get(1) else { panic!("{out:?}") };
    assert_eq!((*px, *taker, *taker_side), (Px(98_00), Party::OUTSIDE, Side::Sell));
    assert_eq!((maker.leaves, maker.cum), (Qty(1_5000), Qty(2_5000)));
    assert_eq!(maker.fee, 150_000_000 / 1_000); // 1.5 base at 0.1 %
    assert_eq!(fills(&mut out), [(98_00, 1_0000, 1), (98_00, 1_5000, 1)]);
    m.on_trade(Ts(6), Px(90_00), Qty(9_0000), Side::Sell, &mut out);
    assert_eq!(fills(&mut out), [(98_00, 1_5000, 1)]);
    assert_eq!(m.order(ExOrderId(1)).map(|o| o.state), Some(OrderState::Filled));
    m.on_trade(Ts(7), Px(90_00), Qty(9_0000), Side::Sell, &mut out);
    assert_eq!(out, []);
    assert_eq!(m.balances(us).quote_free, (100_000 - 4 * 98) * UNIT);
}

#[test]
fn at_our_price_the_displayed_queue_trades_first() {
    let (mut m, us, mut out) = recorded();
    m.submit(Ts(2), us, limit(Side::Buy, 99_00, 2_0000), &mut out).expect("rests behind 5");
    out.clear();
    m.on_trade(Ts(3), Px(99_00), Qty(4_0000), Side::Sell, &mut out);
    // A buyer's trade at our price says nothing of the bid queue, nor does a smaller display.
    m.on_trade(Ts(3), Px(99_00), Qty(9_0000), Side::Buy, &mut out);
    m.on_top(Ts(4), Some((Px(99_00), Qty(1))), None);
    assert_eq!(fills(&mut out), []);
    // 1 is still ahead; 1.5 trade: half a unit is ours.
    m.on_trade(Ts(5), Px(99_00), Qty(1_5000), Side::Sell, &mut out);
    assert_eq!(fills(&mut out), [(99_00, 5000, 1)]);
    m.on_trade(Ts(6), Px(99_00), Qty(9_0000), Side::Sell, &mut out);
    assert_eq!(fills(&mut out), [(99_00, 1_5000, 1)]);
}

#[test]
fn at_our_price_a_sell_mirrors_it() {
    let (mut m, us, mut out) = recorded();
    m.submit(Ts(2), us, limit(Side::Sell, 101_00, 2_0000), &mut out).expect("rests behind 3");
    out.clear();
    m.on_trade(Ts(3), Px(101_00), Qty(9_0000), Side::Sell, &mut out);
    m.on_trade(Ts(3), Px(101_00), Qty(3_0000), Side::Buy, &mut out);
    assert_eq!(fills(&mut out), []);
    m.on_trade(Ts(4), Px(101_00), Qty(1_0000), Side::Buy, &mut out);
    assert_eq!(fills(&mut out), [(101_00, 1_0000, 1)]);
    m.on_trade(Ts(5), Px(101_01), Qty(9_0000), Side::Sell, &mut out);
    assert_eq!(fills(&mut out), [(101_00, 1_0000, 1)]);
    // 2 × 101 less 0.1 %.
    assert_eq!(four(m.balances(us)), [98 * UNIT, 0, 100_000 * UNIT + 202 * UNIT - 202 * UNIT / 1_000, 0]);
}

#[test]
fn without_a_known_queue_only_a_trade_through_fills() {
    let (mut m, us, mut out) = recorded();
    // Inside the spread, and deeper than the best.
    m.submit(Ts(2), us, limit(Side::Buy, 100_00, 1_0000), &mut out).expect("rests");
    m.submit(Ts(2), us, limit(Side::Buy, 98_50, 1_0000), &mut out).expect("rests");
    out.clear();
    m.on_trade(Ts(3), Px(100_00), Qty(99_0000), Side::Sell, &mut out);
    assert_eq!(fills(&mut out), []);
    m.on_trade(Ts(3), Px(98_50), Qty(99_0000), Side::Sell, &mut out);
    assert_eq!(fills(&mut out), [(100_00, 1_0000, 1)]);
    m.on_trade(Ts(3), Px(98_49), Qty(99_0000), Side::Sell, &mut out);
    assert_eq!(fills(&mut out), [(98_50, 1_0000, 2)]);
}

#[test]
fn a_trade_is_shared_by_price_then_time() {
    let (mut m, us, mut out) = recorded();
    let other = m.add_account(0, 100_000 * UNIT);
    m.submit(Ts(2), us, limit(Side::Buy, 98_00, 1_0000), &mut out).expect("rests");
    m.submit(Ts(2), other, limit(Side::Buy, 99_00, 2_0000), &mut out).expect("rests");
    m.submit(Ts(2), us, limit(Side::Buy, 98_00, 1_0000), &mut out).expect("rests");
    out.clear();
    m.on_trade(Ts(3), Px(97_00), Qty(3_5000), Side::Sell, &mut out);
    assert_eq!(fills(&mut out), [(99_00, 2_0000, 2), (98_00, 1_0000, 1), (98_00, 5000, 3)]);

    // At our price: two orders behind the same 5. A trade of 6.5 leaves 1.5: 1 to the first, 0.5 to the next.
    let (mut m, us, mut out) = recorded();
    m.submit(Ts(2), us, limit(Side::Buy, 99_00, 1_0000), &mut out).expect("rests");
    m.submit(Ts(2), us, limit(Side::Buy, 99_00, 1_0000), &mut out).expect("rests");
    out.clear();
    m.on_trade(Ts(3), Px(99_00), Qty(6_5000), Side::Sell, &mut out);
    assert_eq!(fills(&mut out), [(99_00, 1_0000, 1), (99_00, 5000, 2)]);
}

#[test]
fn an_own_order_in_the_way_expires_the_remainder() {
    let (mut m, us, mut out) = recorded();
    m.submit(Ts(2), us, limit(Side::Sell, 101_00, 1_0000), &mut out).expect("rests");
    out.clear();
    // The recorded 3 at the same price come first; then our own order stops the rest.
    m.submit(Ts(3), us, limit(Side::Buy, 101_00, 4_0000), &mut out).expect("accepted");
    assert_eq!(expiries(&out), [(2, 3_0000, ExpireReason::SelfTrade)]);
    // With the own order at a better price nothing trades at all.
    m.submit(Ts(4), us, limit(Side::Sell, 100_00, 1_0000), &mut out).expect("rests");
    m.on_top(Ts(4), None, Some((Px(101_00), Qty(3_0000))));
    out.clear();
    m.submit(Ts(5), us, market(Side::Buy, 1_0000), &mut out).expect("accepted");
    assert_eq!((trades(&out), expiries(&out)), (vec![], vec![(4, 0, ExpireReason::SelfTrade)]));
}

#[test]
fn quotes_that_cannot_trade_exactly_are_an_empty_side_and_odd_quantities_round_down() {
    let coarse = Instrument { tick: Px(10), lot: Qty(100), ..instrument() };
    let mut m = RecordedMarket::new(ExchangeConfig { instrument: coarse, fees: FEES }).expect("valid");
    let us = m.add_account(100 * UNIT, 100_000 * UNIT);
    let mut out = Vec::new();
    m.on_top(Ts(1), Some((Px(99_05), Qty(1_0000))), Some((Px(i64::MAX / 10 * 10), Qty(i64::MAX))));
    assert_eq!((m.best(), m.quotes_refused()), ((None, None), 2));
    m.on_top(Ts(1), Some((Px(99_00), Qty(0))), Some((Px(101_00), Qty(199))));
    assert_eq!((m.best(), m.quotes_refused()), ((None, Some((Px(101_00), Qty(199)))), 2));
    m.submit(Ts(2), us, limit(Side::Buy, 101_00, 1_0000), &mut out).expect("accepted");
    assert_eq!(fills(&mut out), [(101_00, 100, 1)]);
    m.on_trade(Ts(3), Px(100_99), Qty(250), Side::Sell, &mut out);
    m.on_trade(Ts(3), Px(100_99), Qty(99), Side::Sell, &mut out);
    m.on_trade(Ts(3), Px(100_99), Qty(-500), Side::Sell, &mut out);
    assert_eq!(fills(&mut out), [(101_00, 200, 1)]);
}

#[test]
fn rules_balances_and_cancels_are_the_exchanges() {
    let (mut m, us, mut out) = recorded();
    let id = m.submit(Ts(2), us, limit(Side::Buy, 90_00, 1_0000), &mut out).expect("rests");
    assert!(matches!(
        m.submit(Ts(2), us, limit(Side::Sell, 101_00, 0), &mut out),
        Err(ExReject::Filter { name: FilterName::LotSize, .. })
    ));
    assert!(matches!(
        m.submit(Ts(2), us, limit(Side::Buy, 90_00, 5_000_0000), &mut out),
        Err(ExReject::InsufficientBalance { asset: "quote", .. })
    ));
    assert_eq!(m.cancel(Ts(3), AccountIx(5), id, &mut out), Err(ExReject::UnknownOrder { id }));
    m.cancel(Ts(3), us, id, &mut out).expect("open");
    out.clear();
    m.on_trade(Ts(4), Px(1_00), Qty(9_0000), Side::Sell, &mut out);
    assert_eq!((out.len(), four(m.balances(us))), (0, [100 * UNIT, 0, 100_000 * UNIT, 0]));
}

#[test]
fn random_recordings_never_overdraw_and_every_trade_adds_up() {
    let (mut m, us, mut out) = recorded();
    let mut r = Lcg(11);
    // What the recorded market gave and took, by the events alone.
    let (mut base, mut quote) = (100 * UNIT, 100_000 * UNIT);
    let mut traded = 0;
    for op in 0..20_000u64 {
        out.clear();
        let px = 100_00 + r.below(20) as i64 - 10;
        match r.below(5) {
            0 => {
                let bid = (Px(px), Qty(1 + r.below(5_0000) as i64));
                m.on_top(
                    Ts(op),
                    Some(bid),
                    Some((Px(px + 1 + r.below(3) as i64), Qty(1 + r.below(5_0000) as i64))),
                );
            }
            1 | 2 => m.on_trade(Ts(op), Px(px), Qty(1 + r.below(3_0000) as i64), r.side(), &mut out),
            3 => {
                let order =
                    [limit, ioc, maker][r.below(3) as usize](r.side(), px, 1 + r.below(2_0000) as i64);
                let _ = m.submit(Ts(op), us, order, &mut out);
            }
            _ => {
                let id = m.open_orders(us).nth(r.below(4) as usize).map(|o| o.id);
                if let Some(id) = id {
                    m.cancel(Ts(op), us, id, &mut out).expect("open");
                }
            }
        }
        for e in &out {
            let ExEvent::Trade { px, qty, taker, maker, taker_side, .. } = e else { continue };
            let we_take = taker.account == us;
            assert_ne!(we_take, maker.account == us, "one side is ours, one the recording's");
            let side = if we_take { *taker_side } else { taker_side.opposite() };
            let fee = (taker.fee + maker.fee) as i128;
            base += side.sign() as i128 * qty.0 as i128 * 10_000 - if side == Side::Buy { fee } else { 0 };
            quote -= side.sign() as i128 * px.0 as i128 * qty.0 as i128 * 100
                + if side == Side::Sell { fee } else { 0 };
            traded += 1;
        }
        let b = four(m.balances(us));
        assert!(b.iter().all(|x| *x >= 0), "operation {op}: {b:?}");
        assert_eq!((b[0] + b[1], b[2] + b[3]), (base, quote), "operation {op}");
    }
    assert!(traded > 1_000, "{traded}");
}
