//! Filters and configuration: what is refused, and in which words.

use crate::listing::*;
use corelane_exchange::*;
use wire::*;

fn strict() -> Instrument {
    Instrument {
        tick: Px(5),
        px_min: Px(10),
        px_max: Px(1_000_00),
        lot: Qty(10),
        qty_min: Qty(100),
        qty_max: Qty(50_0000),
        notional_min: 10_000_000, // 10.000000 at 2 + 4 decimals
        open_orders_max: 2,
        ..instrument()
    }
}

#[test]
fn each_filter_names_itself_field_value_and_rule() {
    let mut ex = exchange_with(strict());
    let a = ex.add_account(1_000_000 * UNIT, 1_000_000_000 * UNIT);
    let mut out = Vec::new();
    for (order, says) in [
        (limit(Side::Buy, 5, 10_0000), "filter PRICE_FILTER: px is 0.05, must be at least 0.1"),
        (limit(Side::Buy, 0, 10_0000), "filter PRICE_FILTER: px is 0, must be at least 0.1"),
        (limit(Side::Buy, 1_000_05, 1_0000), "filter PRICE_FILTER: px is 1000.05, must be at most 1000"),
        (limit(Side::Buy, 100_03, 1_0000), "filter PRICE_FILTER: px is 100.03, must be a multiple of 0.05"),
        (limit(Side::Sell, 100_00, 90), "filter LOT_SIZE: qty is 0.009, must be at least 0.01"),
        (limit(Side::Sell, 100_00, -1), "filter LOT_SIZE: qty is -0.0001, must be at least 0.01"),
        (limit(Side::Sell, 100_00, 50_0010), "filter LOT_SIZE: qty is 50.001, must be at most 50"),
        (limit(Side::Sell, 100_00, 1_0001), "filter LOT_SIZE: qty is 1.0001, must be a multiple of 0.001"),
        (limit(Side::Sell, 100_00, 990), "filter NOTIONAL: notional is 9.9, must be at least 10"),
    ] {
        let refused = ex.submit(Ts(1), a, order, &mut out).expect_err(says);
        assert_eq!(refused.to_string(), says);
    }
    // Exactly the bounds pass.
    ex.submit(Ts(1), a, limit(Side::Sell, 100_00, 1000), &mut out).expect("10.00 of notional");
    ex.submit(Ts(1), a, limit(Side::Sell, 1_000_00, 50_0000), &mut out).expect("upper bounds");
    let refused = ex.submit(Ts(1), a, limit(Side::Sell, 100_00, 1000), &mut out).expect_err("third");
    assert_eq!(refused.to_string(), "filter MAX_NUM_ORDERS: open_orders is 3, must be at most 2");
    // What cannot rest is not counted against it.
    ex.submit(Ts(1), a, ioc(Side::Sell, 100_00, 1000), &mut out).expect("does not rest");
    // A market order's notional is judged at the best opposite price.
    let b = ex.add_account(0, 1_000_000 * UNIT);
    let refused = ex.submit(Ts(2), b, market(Side::Buy, 990), &mut out).expect_err("9.9");
    assert!(matches!(refused, ExReject::Filter { name: FilterName::Notional, .. }), "{refused}");
    ex.submit(Ts(2), b, market(Side::Buy, 1000), &mut out).expect("10.00");
    assert_eq!(
        ex.submit(Ts(2), AccountIx(9), market(Side::Buy, 1000), &mut out),
        Err(ExReject::UnknownAccount { account: AccountIx(9) })
    );
}

#[test]
fn rules_of_zero_are_not_checked_but_numbers_still_fit() {
    let free = Instrument {
        tick: Px(0),
        px_min: Px(0),
        px_max: Px(0),
        lot: Qty(0),
        qty_min: Qty(0),
        qty_max: Qty(0),
        open_orders_max: 0,
        ..instrument()
    };
    let mut ex = exchange_with(free);
    let a = ex.add_account(AMOUNT_MAX, AMOUNT_MAX);
    let mut out = Vec::new();
    for (order, name) in [
        (limit(Side::Buy, 0, 1), FilterName::PriceFilter),
        (limit(Side::Buy, i64::MIN, 1), FilterName::PriceFilter),
        (limit(Side::Buy, 1, 0), FilterName::LotSize),
        (limit(Side::Sell, 1, i64::MAX), FilterName::LotSize),
        (market(Side::Sell, i64::MAX), FilterName::LotSize),
        (limit(Side::Buy, i64::MAX, 1_0000), FilterName::Notional),
    ] {
        match ex.submit(Ts(1), a, order, &mut out) {
            Err(ExReject::Filter { name: named, .. }) => assert_eq!(named, name, "{order:?}"),
            other => panic!("{order:?}: {other:?}"),
        }
    }
    // The largest quantity whose amount fits 64 bits, again and again, up to where the level would not.
    let huge = limit(Side::Sell, 1, i64::MAX / 10_000);
    let mut accepted = 0;
    while ex.submit(Ts(1), a, huge, &mut out).is_ok() {
        accepted += 1;
        assert!(accepted <= 10_000);
    }
    assert_eq!(accepted, 10_000);
    assert!(matches!(ex.submit(Ts(1), a, huge, &mut out), Err(ExReject::LevelFull { .. })));
}

#[test]
fn configurations_that_cannot_be_exact_or_sane_are_refused() {
    let refused = |i: Instrument, fees| {
        Exchange::new(ExchangeConfig { instrument: i, fees }).map(|_| ()).expect_err("refused").to_string()
    };
    // 8 + 8 decimals are fine with a coarse tick and lot, not with the finest ones.
    let fine = Instrument { px_decimals: 8, qty_decimals: 8, ..instrument() };
    let coarse =
        Instrument { tick: Px(1_000_000), lot: Qty(1_000), px_max: Px(0), qty_max: Qty(0), ..fine.clone() };
    assert!(Exchange::new(ExchangeConfig { instrument: coarse, fees: FEES }).is_ok());
    assert_eq!(refused(fine, FEES), "tick * lot is 0.0000000000000001, must have no digit beyond 8 decimals");
    assert_eq!(
        refused(Instrument { qty_decimals: 9, ..instrument() }, FEES),
        "lot is 0.000000001, must have no digit beyond 8 decimals"
    );
    assert_eq!(
        refused(Instrument { px_decimals: 19, ..instrument() }, FEES),
        "px_decimals is 19, must be at most 18"
    );
    assert_eq!(
        refused(Instrument { lot: Qty(-1), ..instrument() }, FEES),
        "lot is -1, must be zero (not checked) or more"
    );
    assert_eq!(
        refused(Instrument { qty_min: Qty(9), qty_max: Qty(8), ..instrument() }, FEES),
        "qty_min is 9, must not exceed the upper bound 8"
    );
    assert_eq!(
        refused(instrument(), Fees { maker_ppm: -1_000_001, taker_ppm: 0 }),
        "maker_ppm is -1000001, must lie within ±1000000"
    );
}
