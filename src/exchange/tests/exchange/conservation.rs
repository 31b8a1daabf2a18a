//! Nothing is made or lost: balances of all accounts plus fees collected never change in sum, and none is
//! negative.

use crate::listing::*;
use corelane_exchange::*;
use wire::*;

fn totals(ex: &Exchange) -> (i128, i128) {
    let fees = ex.fees_collected();
    (0..ex.accounts()).fold(fees, |(base, quote), n| {
        let b = four(ex.balances(AccountIx(n as u32)));
        assert!(b.iter().all(|x| *x >= 0), "account {n}: {b:?}");
        (base + b[0] + b[1], quote + b[2] + b[3])
    })
}

/// Scales and fees of all sorts: (px decimals, qty decimals, tick, lot, maker ppm, taker ppm).
const LISTINGS: [(u8, u8, i64, i64, i64, i64); 5] = [
    (2, 4, 1, 1, 1_000, 1_000),
    (8, 8, 1_000_000, 1_000, -137, 433),
    (0, 0, 1, 1, 0, 1_000_000),
    (4, 5, 5, 10, -1_000_000, 1_000_000),
    (6, 2, 100, 1, 333_333, -1),
];

#[test]
fn random_traffic_conserves_both_assets() {
    for (seed, (px_decimals, qty_decimals, tick, lot, maker_ppm, taker_ppm)) in
        LISTINGS.into_iter().enumerate()
    {
        let rules = Instrument {
            px_decimals,
            qty_decimals,
            tick: Px(tick),
            lot: Qty(lot),
            px_max: Px(0),
            qty_max: Qty(0),
            ..instrument()
        };
        let fees = Fees { maker_ppm, taker_ppm };
        let mut ex = Exchange::new(ExchangeConfig { instrument: rules, fees }).expect("valid");
        let lot_amount = lot as i128 * UNIT / 10i128.pow(qty_decimals as u32);
        let quote_per_lot =
            tick as i128 * lot as i128 * UNIT / 10i128.pow((px_decimals + qty_decimals) as u32) * 1_000;
        for n in 1..=6 {
            ex.add_account(n * 500 * lot_amount, n * 500 * quote_per_lot);
        }
        let (before, mut r, mut out) = (totals(&ex), Lcg(seed as u64), Vec::new());
        let (mut traded, mut woke, mut refused) = (0, 0, 0);
        for op in 0..6_000 {
            out.clear();
            let account = AccountIx(r.below(6) as u32);
            if r.below(4) == 0 {
                let id = ex.open_orders(account).nth(r.below(5) as usize).map(|o| o.id);
                if let Some(id) = id {
                    ex.cancel(Ts(op), account, id, &mut out).expect("open");
                }
            } else {
                let kind = [OrderKind::Limit, OrderKind::Limit, OrderKind::Market, OrderKind::LimitMaker]
                    [r.below(4) as usize];
                let tif = [Tif::Gtc, Tif::Gtc, Tif::Ioc, Tif::Fok][r.below(4) as usize];
                let stp =
                    [Stp::None, Stp::ExpireTaker, Stp::ExpireMaker, Stp::ExpireBoth][r.below(4) as usize];
                let (side, px) = (r.side(), Px(tick * (990 + r.below(20) as i64)));
                let qty = Qty(lot * (1 + r.below(200) as i64));
                let away = |r: &mut Lcg, sign: i64| Px(px.0 + sign * side.sign() * tick * r.below(6) as i64);
                let stop = |px| Some(Trigger { kind: TriggerKind::StopLoss, px });
                let submit = Submit { kind, tif, stp, ..Submit::limit(side, px, qty) };
                refused += match r.below(6) {
                    0 => {
                        let trigger = stop(away(&mut r, 1));
                        let asleep = Submit { trigger, ..submit };
                        ex.submit(Ts(op), account, asleep, &mut out).is_err()
                    }
                    1 => {
                        let near = Submit { kind: OrderKind::LimitMaker, px: away(&mut r, -1), ..submit };
                        let far = Submit { kind: OrderKind::Limit, trigger: stop(away(&mut r, 1)), ..submit };
                        ex.submit_pair(Ts(op), account, [near, far], &mut out).is_err()
                    }
                    2 if kind == OrderKind::Market => {
                        let quote = Some(quote_per_lot * r.below(200) as i128);
                        ex.submit(Ts(op), account, Submit { quote, ..submit }, &mut out).is_err()
                    }
                    _ => ex.submit(Ts(op), account, submit, &mut out).is_err(),
                } as u32;
            }
            traded += trades(&out).len();
            woke += out.iter().filter(|e| matches!(e, ExEvent::Triggered { .. })).count();
            assert_eq!(totals(&ex), before, "listing {seed}, operation {op}");
        }
        let did = format!("listing {seed}: {traded} trades, {woke} woken, {refused} refused");
        assert!(traded > 200 && woke > 20 && refused > 20, "{did}");
        for n in 0..6 {
            ex.cancel_all(Ts(9_999), AccountIx(n), &mut out);
            let b = ex.balances(AccountIx(n));
            assert_eq!((b.base_locked, b.quote_locked), (0, 0), "all is free once nothing is open");
        }
        assert_eq!((totals(&ex), ex.best()), (before, (None, None)));
    }
}
