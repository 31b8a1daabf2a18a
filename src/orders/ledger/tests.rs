//! The ledger against balances computed the plain way.

use rust_decimal::Decimal;

use super::*;
use crate::entry::Leg;
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
    l.assets[2][Account::Cash as usize] = i128::MIN + 1;
    l.assets[2][Account::External as usize] = i128::MAX;
    let before = l.clone();
    assert_eq!(l.apply(&buy(100, 100, 1, 2)), Err(LedgerError::Overflow { field: "balance" }));
    assert_eq!(l, before);
    l.apply(&buy(1, i64::MAX, 0, 0)).expect("books");
    let before = l.clone();
    assert_eq!(l.apply(&buy(1, 1, 0, 0)), Err(LedgerError::Overflow { field: "position" }));
    assert_eq!(l, before);
    // Both fee legs in the asset of the quote legs: the last one overflows, the others come back in reverse.
    let mut l = ledger();
    l.assets[1][Account::Cash as usize] = i128::MIN + 10i128.pow(15);
    l.assets[1][Account::Trading as usize] = i128::MAX - 10i128.pow(15);
    let before = l.clone();
    assert_eq!(l.apply(&buy(1, 9, 10_000_000, 1)), Err(LedgerError::Overflow { field: "balance" }));
    assert_eq!(l, before);
    assert_eq!(l.deposit(AssetId(1), i64::MIN), Err(LedgerError::Overflow { field: "balance" }));
    assert_eq!(l, before);
    l.assets[1][Account::Cash as usize] = i128::MIN;
    assert_eq!(l.difference(AssetId(1), i64::MAX, i64::MAX), i128::MAX, "saturates");
}

#[test]
fn a_broken_account_is_named() {
    let sound = || {
        let mut l = ledger();
        l.apply(&buy(100, 100, 1, 2)).expect("books");
        assert_eq!(l.check(), Ok(()));
        l
    };
    let mut l = sound();
    l.assets[1][Account::Cash as usize] += 1;
    assert_eq!(l.check(), Err(AssetId(1)), "the legs");
    // Balanced in itself, and not what the position says.
    let mut l = sound();
    l.assets[0][Account::Position as usize] += 1;
    l.assets[0][Account::Cash as usize] -= 1;
    assert_eq!(l.check(), Err(AssetId(0)));
    let mut l = sound();
    l.assets[1][Account::Trading as usize] += 1;
    l.assets[1][Account::Fees as usize] -= 1;
    assert_eq!(l.check(), Err(AssetId(1)));
    let mut l = sound();
    l.assets[2][Account::Fees as usize] = i128::MAX;
    l.assets[2][Account::External as usize] = 1;
    assert_eq!(l.check(), Err(AssetId(2)), "a sum that overflows");
}

#[test]
fn an_entry_shows_what_it_moves() {
    let l = ledger();
    let leg = |account, asset, amount| Leg { account, asset: AssetId(asset), amount };
    // 0.01234 BTC at 61 737.63, fee 0.5 BNB.
    let entry = l.entry(&buy(6_173_763, 1_234, 50_000_000, 2)).expect("fits");
    let (btc, usdt, bnb) = (1_234 * 10i128.pow(11), 6_173_763 * 1_234 * 10i128.pow(9), 5 * 10i128.pow(15));
    assert_eq!(
        entry.legs(),
        [
            leg(Account::Position, 0, btc),
            leg(Account::Trading, 0, -btc),
            leg(Account::Cash, 1, -usdt),
            leg(Account::Trading, 1, usdt),
            leg(Account::Cash, 2, -bnb),
            leg(Account::Fees, 2, bnb),
        ]
    );
    let free = l.entry(&LedgerFill { side: Side::Sell, ..buy(6_173_763, 1_234, 0, 2) }).expect("fits");
    assert_eq!(free.legs().len(), 4);
    assert_eq!(free.legs()[0], leg(Account::Position, 0, -btc));
}

/// Position and profit the plain way: average price in decimals, profit by the price difference of what closes.
#[derive(Clone, Copy, Default)]
struct Plain {
    base: i128,
    cash: i128,
    px_avg: Decimal,
    realised: Decimal,
    /// Partial closes since it was flat: each may leave less than one unit to the next.
    closes: u32,
}

impl Plain {
    fn trade(&mut self, sign: i128, px: i64, qty: i64) {
        let d = |n: i128| Decimal::from_i128_with_scale(n, 0);
        let delta = sign * qty as i128;
        self.cash -= delta * px as i128;
        let left = self.base + delta;
        if self.base * sign >= 0 {
            let cost = self.px_avg * d(self.base.abs()) + d(px as i128) * d(qty as i128);
            self.px_avg = cost / d(left.abs());
        } else {
            let closed = self.base.abs().min(qty as i128);
            self.realised += (d(px as i128) - self.px_avg) * d(closed) * d(-sign);
            self.closes += 1;
            if left * self.base <= 0 {
                (self.px_avg, self.closes) = (d(px as i128), 0);
            }
        }
        self.base = left;
    }
}

/// Executions on both sides through zero and back, with fees in base, quote and a third asset, rebates, deposits,
/// withdrawals, and refused entries between them, on three instruments that share assets: after every step each
/// entry and the trial balance are zero, and positions, profit, fees and balances equal those kept the plain way.
#[test]
fn any_sequence_balances_and_equals_the_plain_sums() {
    let listed = [instrument(0, 0, 1, 2, 5), instrument(1, 2, 0, 8, 8), instrument(2, 2, 1, 4, 3)];
    let (mut turned, mut refused, mut flat) = (0, 0, 0);
    for seed in 1..60u64 {
        let mut state = seed;
        let mut next = |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % n
        };
        let mut l = Ledger::new(&listed, &[AssetId(3)]).expect("sound scales");
        let mut plain = [Plain::default(); 3];
        let (mut held, mut fees, mut brought) = ([0i128; 4], [0i128; 4], [0i128; 4]);
        for _ in 0..400 {
            let i = next(3) as usize;
            let (listing, p) = (&listed[i], &mut plain[i]);
            let side = if next(2) == 0 { Side::Buy } else { Side::Sell };
            let closing = p.base != 0 && side.sign() as i128 * p.base < 0 && next(4) == 0;
            let qty = if closing { p.base.abs() as i64 } else { 1 + next(50_000) as i64 };
            let f = LedgerFill {
                instrument: listing.id,
                side,
                px: Px(1 + next(10_000_000) as i64),
                qty: Qty(qty),
                fee: next(1 << 20) as i64 - (1 << 18),
                fee_asset: AssetId(next(4) as u16),
            };
            let before = l.clone();
            match next(10) {
                0 => {
                    let (asset, amount) = (next(4) as usize, next(1 << 40) as i64 - (1 << 39));
                    l.deposit(AssetId(asset as u16), amount).expect("fits");
                    held[asset] += amount as i128 * 10i128.pow(8);
                    brought[asset] += amount as i128 * 10i128.pow(8);
                }
                1 => {
                    let bad = [
                        LedgerFill { instrument: listed[0].id, px: Px(i64::MAX), qty: Qty(i64::MAX), ..f },
                        LedgerFill { fee: 1, fee_asset: AssetId(4), ..f },
                        LedgerFill { instrument: InstrumentId(3), ..f },
                        LedgerFill { qty: Qty(0), ..f },
                    ];
                    assert!(l.apply(&bad[next(4) as usize]).is_err());
                    assert_eq!(l, before, "nothing half done");
                    refused += 1;
                }
                _ => {
                    let entry = l.entry(&f).expect("fits");
                    for a in 0..4 {
                        let of = entry.legs().iter().filter(|leg| leg.asset == AssetId(a));
                        assert_eq!(of.map(|leg| leg.amount).sum::<i128>(), 0);
                    }
                    let was = *l.position(listing.id).expect("listed");
                    let booked = l.apply(&f).expect("books");
                    let sign = side.sign() as i128;
                    p.trade(sign, f.px.0, qty);
                    turned += (p.base * (was.base as i128) < 0) as u32;
                    flat += (p.base == 0) as u32;
                    let (b, q) = (listing.base_id.0 as usize, listing.quote_id.0 as usize);
                    held[b] += sign * qty as i128 * 10i128.pow(16 - listing.qty_decimals as u32);
                    let unit = 10i128.pow(16 - listing.notional_decimals() as u32);
                    held[q] -= sign * f.px.0 as i128 * qty as i128 * unit;
                    held[f.fee_asset.0 as usize] -= f.fee as i128 * 10i128.pow(8);
                    fees[f.fee_asset.0 as usize] += f.fee as i128;
                    let now = *l.position(listing.id).expect("listed");
                    assert_eq!(booked.position, now.base);
                    assert_eq!(booked.realised, now.realised - was.realised);
                }
            }
            assert_eq!(l.check(), Ok(()));
            for (p, listing) in plain.iter().zip(&listed) {
                let of = l.position(listing.id).expect("listed");
                assert_eq!((of.base as i128, of.cash), (p.base, p.cash));
                for mark in [1, 54_321, 9_999_999] {
                    let open = l.unrealised(listing.id, Px(mark)).expect("fits");
                    assert_eq!(of.realised + open, p.cash + p.base * mark as i128);
                }
                let off = (Decimal::from_i128_with_scale(of.realised, 0) - p.realised).abs();
                let allowed = Decimal::from(p.closes) + Decimal::new(1, 3);
                assert!(off <= allowed, "realised {} beside {}", of.realised, p.realised);
                if let Some(entry) = of.px_entry() {
                    let off = (Decimal::from(entry.0) - p.px_avg).abs();
                    assert!(off <= allowed + Decimal::ONE, "entry {entry:?} beside {}", p.px_avg);
                }
            }
            for a in 0..4u16 {
                let n = a as usize;
                assert_eq!(l.expected_balance(AssetId(a)), held[n]);
                assert_eq!(l.fees(AssetId(a)), fees[n]);
                assert_eq!(l.balance(Account::External, AssetId(a)), -brought[n]);
            }
        }
    }
    assert!(turned > 100 && refused > 100 && flat > 100, "{turned} turned, {refused} refused, {flat} flat");
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
