//! The ledger against balances computed the plain way.

use super::*;
use wire::{OrderId, OrderType, VenueId};

fn instrument(id: u32, base: u16, quote: u16, px_decimals: u8, qty_decimals: u8) -> Instrument {
    Instrument {
        id: InstrumentId(id),
        venue: VenueId(0),
        symbol: format!("S{id}"),
        base: format!("A{base}"),
        quote: format!("A{quote}"),
        base_id: AssetId(base),
        quote_id: AssetId(quote),
        px_decimals,
        qty_decimals,
        quote_decimals: 8,
        tick: Px(1),
        px_min: Px(0),
        px_max: Px(0),
        lot: Qty(1),
        qty_min: Qty(0),
        qty_max: Qty(0),
        notional_min: 0,
        open_orders_max: 0,
        market_qty: Default::default(),
        band_buy: Default::default(),
        band_sell: Default::default(),
        trading: true,
    }
}

fn buy(px: i64, qty: i64, fee: i64, fee_asset: u16) -> LedgerFill {
    LedgerFill {
        instrument: InstrumentId(0),
        side: Side::Buy,
        px: Px(px),
        qty: Qty(qty),
        fee,
        fee_asset: AssetId(fee_asset),
    }
}

/// BTC 0, USDT 1, BNB 2; BTCUSDT with 2 price and 5 quantity decimals.
fn ledger() -> Ledger {
    Ledger::new(&[instrument(0, 0, 1, 2, 5)], &[AssetId(2)]).expect("sound scales")
}

#[test]
fn a_buy_moves_both_assets_and_the_fee_to_the_last_digit() {
    let mut l = ledger();
    l.deposit(AssetId(0), 100_000_000).expect("fits"); // 1 BTC
    l.deposit(AssetId(1), 1_000_000_000_000).expect("fits"); // 10 000 USDT
    l.deposit(AssetId(2), 100_000_000).expect("fits");
    // 0.01234 BTC at 61 737.63, fee 0.00001234 BTC.
    let booked = l.apply(&buy(6_173_763, 1_234, 1_234, 0)).expect("books");
    assert_eq!(booked, Booked { position: 1_234, realised: 0 });
    // 1 + 0.01234 - 0.00001234 BTC.
    assert_eq!(l.difference(AssetId(0), 101_232_766, 0), 0);
    // 10 000 - 761.8423542 USDT, part of it locked.
    assert_eq!(l.difference(AssetId(1), 900_000_000_000, 23_815_764_580), 0);
    assert_eq!(l.difference(AssetId(1), 900_000_000_000, 23_815_764_581), 100_000_000, "one last digit");
    assert_eq!((l.fees(AssetId(0)), l.fees(AssetId(1))), (1_234, 0));
    // Fee in a third asset, and a rebate.
    l.apply(&LedgerFill { side: Side::Sell, ..buy(6_173_763, 1_234, 50, 2) }).expect("books");
    l.apply(&LedgerFill { side: Side::Sell, ..buy(6_173_763, 1_000, -7, 2) }).expect("books");
    assert_eq!((l.fees(AssetId(2)), l.difference(AssetId(2), 99_999_957, 0)), (43, 0));
    assert_eq!(l.position(InstrumentId(0)).map(|p| p.base), Some(-1_000));
    assert_eq!(l.unrealised(InstrumentId(0), Px(6_173_762)), Ok(1_000));
    assert_eq!(l.check(), Ok(()));
}

#[test]
fn faults_are_typed_and_post_nothing() {
    let mut l = ledger();
    l.deposit(AssetId(1), 5).expect("fits");
    let before = format!("{l:?}");
    assert_eq!(
        l.apply(&LedgerFill { instrument: InstrumentId(1), ..buy(1, 1, 0, 0) }),
        Err(LedgerError::Instrument(InstrumentId(1)))
    );
    assert_eq!(l.apply(&buy(1, 1, 1, 3)), Err(LedgerError::Asset(AssetId(3))));
    assert_eq!(l.apply(&buy(0, 1, 0, 0)), Err(LedgerError::NotPositive { px: Px(0), qty: Qty(1) }));
    assert_eq!(l.apply(&buy(1, -1, 0, 0)), Err(LedgerError::NotPositive { px: Px(1), qty: Qty(-1) }));
    assert_eq!(l.apply(&buy(i64::MAX, i64::MAX, 0, 0)), Err(LedgerError::Overflow { field: "quote leg" }));
    assert_eq!(l.deposit(AssetId(3), 1), Err(LedgerError::Asset(AssetId(3))));
    assert_eq!(l.unrealised(InstrumentId(1), Px(1)), Err(LedgerError::Instrument(InstrumentId(1))));
    assert_eq!(format!("{l:?}"), before);
    assert!(l.apply(&buy(1, 1, 0, 999)).is_ok(), "no fee, so its asset does not matter");
    let fine = [instrument(0, 0, 1, 9, 8)];
    let refused = LedgerError::Scale { instrument: InstrumentId(0), decimals: 17 };
    assert_eq!(Ledger::new(&fine, &[]).map(|_| ()), Err(refused));
}

#[test]
fn an_overflow_in_the_last_leg_takes_the_first_ones_back() {
    let mut l = ledger();
    l.assets[2].account = i128::MIN + 1;
    l.assets[2].equity = i128::MAX;
    let before = format!("{l:?}");
    assert_eq!(l.apply(&buy(100, 100, 1, 2)), Err(LedgerError::Overflow { field: "balance" }));
    assert_eq!(format!("{l:?}"), before);
    l.apply(&buy(1, i64::MAX, 0, 0)).expect("books");
    let before = format!("{l:?}");
    assert_eq!(l.apply(&buy(1, 1, 0, 0)), Err(LedgerError::Overflow { field: "position" }));
    assert_eq!(format!("{l:?}"), before);
}

#[test]
fn a_broken_account_is_named() {
    let mut l = ledger();
    l.apply(&buy(100, 100, 1, 2)).expect("books");
    assert_eq!(l.check(), Ok(()));
    l.assets[1].account += 1;
    assert_eq!(l.check(), Err(AssetId(1)));
}

/// Random executions on three instruments that share assets, among them one whose fee asset is its base and one
/// whose quote is the other's base: every account sums to zero, every balance equals the plain sum.
#[test]
fn double_entry_always_balances_and_equals_the_plain_sum() {
    let listed = [instrument(0, 0, 1, 2, 5), instrument(1, 2, 0, 8, 8), instrument(2, 2, 1, 4, 3)];
    for seed in 1..100u64 {
        let mut state = seed;
        let mut next = |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % n
        };
        let mut l = Ledger::new(&listed, &[AssetId(3)]).expect("sound scales");
        let mut plain = [0i128; 4];
        let mut fees = [0i128; 4];
        for a in 0..4 {
            let amount = next(1 << 40) as i64;
            l.deposit(AssetId(a), amount).expect("fits");
            plain[a as usize] += amount as i128 * 10i128.pow(8);
        }
        for _ in 0..300 {
            let i = &listed[next(3) as usize];
            let side = if next(2) == 0 { Side::Buy } else { Side::Sell };
            let (px, qty) = (1 + next(1 << 30) as i64, 1 + next(1 << 30) as i64);
            let (fee, fee_asset) = (next(1 << 20) as i64 - 1_000, next(4) as u16);
            let f = LedgerFill {
                instrument: i.id,
                side,
                px: Px(px),
                qty: Qty(qty),
                fee,
                fee_asset: AssetId(fee_asset),
            };
            l.apply(&f).expect("books");
            let sign = side.sign() as i128;
            let (b, q) = (i.base_id.0 as usize, i.quote_id.0 as usize);
            plain[b] += sign * qty as i128 * 10i128.pow(16 - i.qty_decimals as u32);
            plain[q] -= sign * px as i128 * qty as i128 * 10i128.pow(16 - i.notional_decimals() as u32);
            plain[fee_asset as usize] -= fee as i128 * 10i128.pow(8);
            fees[fee_asset as usize] += fee as i128;
            assert_eq!(l.check(), Ok(()));
        }
        for a in 0..4u16 {
            assert_eq!(l.expected_balance(AssetId(a)), plain[a as usize]);
            assert_eq!(l.fees(AssetId(a)), fees[a as usize]);
        }
    }
}

/// An order's executions through the table into the ledger, repeated and out of order: money moves once.
#[test]
fn repeated_reports_move_money_once() {
    use crate::{Applied, Fill, OrderEntry, OrderTable};
    let mut l = ledger();
    let mut t = OrderTable::with_capacity(4);
    let slot = t
        .insert(&OrderEntry {
            id: OrderId(1),
            instrument: InstrumentId(0),
            side: Side::Buy,
            px: Px(100),
            qty: Qty(30),
            kind: OrderType::Limit,
            now: wire::Ts(1),
        })
        .expect("room");
    for cum in [10, 30, 10, 20, 30, 20] {
        let fill = Fill { px: Px(100), qty: Qty(10), cum_qty: Some(Qty(cum)), trade_id: cum as u64 };
        if let Applied::Fill { qty, .. } = t.on_fill(slot, fill) {
            l.apply(&buy(100, qty.0, 1, 2)).expect("books");
        }
    }
    assert_eq!(l.position(InstrumentId(0)).map(|p| (p.base, p.fills)), Some((30, 3)));
    assert_eq!(l.fees(AssetId(2)), 3);
}
