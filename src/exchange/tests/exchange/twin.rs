//! The engine beside the naive model: random traffic of every kind of order leaves both in the same state after every
//! operation, by what they said happened, by their books and by their balances.

use crate::listing::*;
use crate::naive::{Did, Naive, Owned, told};
use corelane_exchange::*;
use std::collections::HashMap;
use wire::*;

const ACCOUNTS: usize = 5;

fn name(reject: &ExReject) -> &'static str {
    match reject {
        ExReject::Filter { name, .. } => name.name(),
        ExReject::InsufficientBalance { .. } => "balance",
        ExReject::WouldTake { .. } => "would take",
        ExReject::WouldTrigger { .. } => "would trigger",
        ExReject::ThinBook { .. } => "thin book",
        ExReject::PairPrices => "pair prices",
        ExReject::Composition => "composition",
        other => panic!("not expected of this traffic: {other}"),
    }
}

fn rules() -> Instrument {
    Instrument {
        tick: Px(5),
        lot: Qty(10),
        qty_min: Qty(20),
        qty_max: Qty(50_0000),
        notional_min: 1_500_000,
        open_orders_max: 12,
        market_qty: QtyRule { min: Qty(100), max: Qty(24_0000), step: Qty(0) },
        band_buy: PriceBand { up: 100_600_000, down: 99_000_000 },
        band_sell: PriceBand { up: 101_000_000, down: 99_400_000 },
        ..instrument()
    }
}

/// A band of 24 ticks of 0.05, buys a little lower; now and then something off the rules.
fn random_px(r: &mut Lcg, side: Side) -> Px {
    Px(100_00 - side.sign() * 20 + 5 * (r.below(24) as i64 - 12) + (r.below(60) == 0) as i64)
}

fn random_submit(r: &mut Lcg) -> Submit {
    let side = r.side();
    let px = random_px(r, side);
    let qty = match r.below(60) {
        0 => r.below(30) as i64,
        1 => 60_0000,
        2 => 100 + r.below(10) as i64,
        _ => 10 * (10 + r.below(3_000) as i64),
    };
    let kind = match r.below(10) {
        0 => OrderKind::Market,
        1 | 2 => OrderKind::LimitMaker,
        _ => OrderKind::Limit,
    };
    let tif = match r.below(8) {
        0 => Tif::Ioc,
        1 => Tif::Fok,
        _ => Tif::Gtc,
    };
    let stp = [Stp::None, Stp::ExpireTaker, Stp::ExpireMaker, Stp::ExpireBoth][r.below(4) as usize];
    let asleep = r.below(5) == 0;
    let trigger_kind = [TriggerKind::StopLoss, TriggerKind::TakeProfit][r.below(2) as usize];
    let trigger = asleep.then(|| Trigger { kind: trigger_kind, px: random_px(r, side) });
    let quote = (kind == OrderKind::Market && !asleep && r.below(2) == 0)
        .then(|| r.below(400) as i128 * UNIT + r.below(UNIT as u64) as i128);
    // What is not locked may be more than there is to pay with.
    let qty = match (quote, kind) {
        (Some(_), _) => 0,
        (None, OrderKind::Market) if asleep => qty * 8,
        _ => qty,
    };
    Submit { token: r.below(1_000), kind, tif, stp, trigger, quote, ..Submit::limit(side, px, Qty(qty)) }
}

/// A pair around 100.00, of which a maker order or a take-profit is one.
fn random_pair(r: &mut Lcg) -> [Submit; 2] {
    let (side, qty) = (r.side(), Qty(10 * (10 + r.below(2_000) as i64)));
    let away = |r: &mut Lcg, sign: i64| Px(100_00 + sign * side.sign() * 5 * r.below(10) as i64);
    let near = Submit { token: r.below(1_000), ..Submit::limit(side, away(r, -1), qty) };
    let kind = [OrderKind::Limit, OrderKind::Market][r.below(2) as usize];
    let profit = match r.below(2) {
        0 => Submit { kind: OrderKind::LimitMaker, ..near },
        _ => {
            let trigger = Some(Trigger { kind: TriggerKind::TakeProfit, px: away(r, -1) });
            Submit { kind, trigger, ..near }
        }
    };
    let trigger = Some(Trigger { kind: TriggerKind::StopLoss, px: away(r, 1) });
    let stop = Submit { token: r.below(1_000), kind, trigger, ..Submit::limit(side, away(r, 1), qty) };
    if r.below(2) == 0 { [profit, stop] } else { [stop, profit] }
}

struct Twins {
    ex: Exchange,
    naive: Naive,
    /// The public book as a follower of level events sees it.
    public: HashMap<(bool, i64), i64>,
    seen: HashMap<&'static str, u32>,
}

impl Twins {
    fn new() -> Twins {
        let mut ex = exchange_with(rules());
        let filters = Filters { algo_orders_max: 3, position_max: 14 * UNIT, notional_max: 250_000_000 };
        let mut owned = vec![];
        for n in 1..=ACCOUNTS as i128 {
            ex.add_account(10 * n * UNIT, 1_000 * n * UNIT);
            owned.push(Owned { base: 10 * n * UNIT, quote: 1_000 * n * UNIT });
        }
        ex.set_filters(AccountIx(0), filters);
        let naive = Naive {
            rules: rules(),
            filters: HashMap::from([(0, filters)]),
            open: vec![],
            owned,
            fees: (0, 0),
            last_id: 0,
            last_px: None,
            lines: 0,
            did: vec![],
        };
        Twins { ex, naive, public: HashMap::new(), seen: HashMap::new() }
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// One random operation on both; what the engine said.
    fn step(&mut self, op: u64, r: &mut Lcg, out: &mut Vec<ExEvent>) {
        let account = r.below(ACCOUNTS as u64) as usize;
        let ix = AccountIx(account as u32);
        match r.below(100) {
            0..65 => {
                let s = random_submit(r);
                let expected = self.naive.submit(account, &s);
                let got = self.ex.submit(Ts(op), ix, s, out).map(|_| ()).map_err(|e| name(&e));
                assert_eq!(got, expected, "operation {op}: {s:?}");
                self.saw(got.err().unwrap_or("taken"));
            }
            65..72 => {
                let pair = random_pair(r);
                let expected = self.naive.submit_pair(account, &pair);
                let got = self.ex.submit_pair(Ts(op), ix, pair, out).map(|_| ()).map_err(|e| name(&e));
                assert_eq!(got, expected, "operation {op}: {pair:?}");
                self.saw(got.err().unwrap_or("pair"));
            }
            kind @ 72..98 => {
                // Any order's number, open or not, ours or not.
                let near =
                    self.naive.open.get(r.below(1 + self.naive.open.len() as u64) as usize).map(|o| o.id);
                let id = near.unwrap_or(r.below(1 + self.naive.last_id));
                let expected = self.naive.cancel(account, id);
                assert_eq!(self.ex.cancel(Ts(op), ix, ExOrderId(id), out).is_ok(), expected);
                self.saw(if expected { "cancel" } else { "no cancel" });
                // Now and then a new order in place of the old one, whether that went or not.
                if kind > 90 {
                    let s = random_submit(r);
                    let expected = self.naive.submit(account, &s);
                    let got = self.ex.submit(Ts(op), ix, s, out).map(|_| ()).map_err(|e| name(&e));
                    assert_eq!(got, expected, "operation {op}: {s:?} in place of {id}");
                }
            }
            kind => {
                // One account's orders, or now and then everybody's, which leaves the book empty.
                let whose = if kind == 99 && r.below(2) == 0 { 0..ACCOUNTS } else { account..account + 1 };
                for account in whose {
                    self.ex.cancel_all(Ts(op), AccountIx(account as u32), out);
                    self.naive.cancel_all(account);
                }
            }
        }
    }

    fn compare(&mut self, what: &str, out: &[ExEvent]) {
        let did = std::mem::take(&mut self.naive.did);
        assert_eq!(told(out), did, "{what}");
        for event in &did {
            let named = match event {
                Did::Trade { .. } => "trade",
                Did::Triggered { .. } => "triggered",
                Did::Expired { why, .. } => why.name(),
                Did::Prevented { mode: Stp::ExpireMaker, .. } => "expire maker",
                Did::Prevented { mode: Stp::ExpireBoth, .. } => "expire both",
                _ => continue,
            };
            self.saw(named);
        }
        for (_, side, px, total) in level_events(out) {
            self.public.insert((side == Side::Buy, px), total);
        }
        self.public.retain(|_, total| *total != 0);
        let (bids, asks) = (self.naive.levels(Side::Buy), self.naive.levels(Side::Sell));
        assert_eq!(self.ex.levels(Side::Buy, usize::MAX), bids, "{what}");
        assert_eq!(self.ex.levels(Side::Sell, usize::MAX), asks, "{what}");
        assert_eq!(self.ex.best(), (bids.first().copied(), asks.first().copied()));
        assert_eq!(self.public.len(), bids.len() + asks.len(), "{what}");
        for (side, levels) in [(true, &bids), (false, &asks)] {
            for (px, qty) in levels {
                assert_eq!(self.public.get(&(side, px.0)), Some(&qty.0), "{what}");
            }
        }
        for n in 0..ACCOUNTS {
            let ix = AccountIx(n as u32);
            assert_eq!(four(self.ex.balances(ix)), self.naive.balances(n), "{what}, account {n}");
            let open: Vec<u64> = self.ex.open_orders(ix).map(|o| o.id.0).collect();
            let expected: Vec<u64> =
                self.naive.open.iter().filter(|o| o.account == n).map(|o| o.id).collect();
            assert_eq!(open, expected, "{what}");
        }
        assert_eq!(self.ex.fees_collected(), self.naive.fees, "{what}");
    }
}

#[test]
fn random_traffic_leaves_engine_and_twin_in_the_same_state() {
    let mut seen: HashMap<&'static str, u32> = HashMap::new();
    let seeds = std::env::var("CORELANE_TWIN_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(24);
    for seed in 0..seeds {
        let mut r = Lcg(seed);
        let mut twins = Twins::new();
        let mut out = Vec::new();
        for op in 0..4_000u64 {
            out.clear();
            twins.step(op, &mut r, &mut out);
            twins.compare(&format!("seed {seed}, operation {op}"), &out);
        }
        for (what, n) in twins.seen {
            *seen.entry(what).or_default() += n;
        }
    }
    // The traffic met everything it is here to meet.
    for what in [
        "trade",
        "taken",
        "cancel",
        "no cancel",
        "pair",
        "triggered",
        "immediate_or_cancel",
        "fill_or_kill",
        "no_liquidity",
        "self_trade",
        "pair_done",
        "rejected",
        "expire maker",
        "expire both",
        "balance",
        "would take",
        "would trigger",
        "thin book",
        "pair prices",
        "composition",
        "PRICE_FILTER",
        "PERCENT_PRICE_BY_SIDE",
        "LOT_SIZE",
        "MARKET_LOT_SIZE",
        "NOTIONAL",
        "MAX_NUM_ORDERS",
        "MAX_NUM_ALGO_ORDERS",
        "MAX_POSITION",
    ] {
        assert!(seen.get(what).copied().unwrap_or(0) >= 3, "{what} hardly happened: {seen:?}");
    }
}
