//! A naive twin: one vector, scanned for everything, sums recomputed each time. Random traffic must leave both in
//! the same state after every operation.

use crate::listing::*;
use corelane_exchange::*;
use std::collections::HashMap;
use wire::*;

#[derive(Clone)]
struct Order {
    id: u64,
    account: usize,
    submit: Submit,
    left: i64,
}

/// Total base and quote of an account, free and locked together, at 8 decimals.
#[derive(Clone, Copy)]
struct Owned {
    base: i128,
    quote: i128,
}

struct Twin {
    rules: Instrument,
    book: Vec<Order>,
    owned: Vec<Owned>,
    fees: (i128, i128),
    last_id: u64,
}

impl Twin {
    /// Value at 8 decimals of a price of 2 and a quantity of 4.
    fn value(px: i64, qty: i64) -> i128 {
        px as i128 * qty as i128 * 100
    }

    /// Base and quote locked by an account's resting orders.
    fn locked(&self, account: usize) -> (i128, i128) {
        let mine = self.book.iter().filter(|o| o.account == account);
        mine.fold((0, 0), |(base, quote), o| match o.submit.side {
            Side::Sell => (base + o.left as i128 * 10_000, quote),
            Side::Buy => (base, quote + Self::value(o.submit.px.0, o.left)),
        })
    }

    fn balances(&self, account: usize) -> [i128; 4] {
        let (base, quote) = self.locked(account);
        let o = self.owned[account];
        [o.base - base, base, o.quote - quote, quote]
    }

    /// Index of the resting order that an incoming one meets next.
    fn next(&self, s: &Submit) -> Option<usize> {
        let mut found: Option<usize> = None;
        for (n, o) in self.book.iter().enumerate() {
            let reaches = s.kind == OrderKind::Market
                || if s.side == Side::Buy { o.submit.px <= s.px } else { o.submit.px >= s.px };
            if o.submit.side == s.side || !reaches {
                continue;
            }
            let better = found.is_none_or(|f| {
                let (old, new) = (self.book[f].submit.px, o.submit.px);
                if s.side == Side::Buy { new < old } else { new > old }
            });
            if better {
                found = Some(n);
            }
        }
        found
    }

    /// Trades, and why the remainder ended if it did.
    #[allow(clippy::type_complexity, reason = "spelt out once, compared at once")]
    fn run(
        &mut self,
        id: u64,
        account: usize,
        s: &Submit,
    ) -> (Vec<(i64, i64, u64, u64, i64, i64)>, i64, Option<ExpireReason>) {
        let (mut done, mut left) = (Vec::new(), s.qty.0);
        while left > 0 {
            let Some(n) = self.next(s) else { break };
            if self.book[n].account == account {
                return (done, left, Some(ExpireReason::SelfTrade));
            }
            let maker = self.book[n].clone();
            let (px, qty) = (maker.submit.px.0, left.min(maker.left));
            let (base, quote) = (qty as i128 * 10_000, Self::value(px, qty));
            let (buyer, seller, buyer_ppm, seller_ppm) = match s.side {
                Side::Buy => (account, maker.account, FEES.taker_ppm, FEES.maker_ppm),
                Side::Sell => (maker.account, account, FEES.maker_ppm, FEES.taker_ppm),
            };
            let buyer_fee = base * buyer_ppm as i128 / 1_000_000;
            let seller_fee = quote * seller_ppm as i128 / 1_000_000;
            self.owned[buyer].base += base - buyer_fee;
            self.owned[buyer].quote -= quote;
            self.owned[seller].base -= base;
            self.owned[seller].quote += quote - seller_fee;
            self.fees = (self.fees.0 + buyer_fee, self.fees.1 + seller_fee);
            let (taker_fee, maker_fee) =
                if s.side == Side::Buy { (buyer_fee, seller_fee) } else { (seller_fee, buyer_fee) };
            done.push((px, qty, id, maker.id, taker_fee as i64, maker_fee as i64));
            left -= qty;
            self.book[n].left -= qty;
            if self.book[n].left == 0 {
                self.book.remove(n);
            }
        }
        let reason = match s.kind {
            OrderKind::Market => Some(ExpireReason::NoLiquidity),
            OrderKind::Limit if s.tif == Tif::Ioc => Some(ExpireReason::ImmediateOrCancel),
            _ => None,
        };
        (done, left, reason.filter(|_| left > 0))
    }

    fn refusal(&self, account: usize, s: &Submit) -> Option<&'static str> {
        let r = &self.rules;
        let px = match s.kind {
            OrderKind::Market => self.next(s).map(|n| self.book[n].submit.px.0),
            _ if s.px < r.px_min || s.px > r.px_max || s.px.0 % r.tick.0 != 0 => return Some("PRICE_FILTER"),
            _ => Some(s.px.0),
        };
        if s.qty < r.qty_min || s.qty > r.qty_max || s.qty.0 % r.lot.0 != 0 {
            return Some("LOT_SIZE");
        }
        if px.is_some_and(|px| (px as i128 * s.qty.0 as i128) < r.notional_min) {
            return Some("NOTIONAL");
        }
        let rests = s.kind == OrderKind::LimitMaker || s.kind == OrderKind::Limit && s.tif == Tif::Gtc;
        let open = self.book.iter().filter(|o| o.account == account).count();
        if rests && open >= r.open_orders_max as usize {
            return Some("MAX_NUM_ORDERS");
        }
        if s.kind == OrderKind::LimitMaker && self.next(s).is_some() {
            return Some("would take");
        }
        let [base_free, _, quote_free, _] = self.balances(account);
        let needed = match (s.side, s.kind) {
            (Side::Sell, _) => return (s.qty.0 as i128 * 10_000 > base_free).then_some("balance"),
            (Side::Buy, OrderKind::Market) => {
                // What it would pay: run it on a copy.
                let mut copy =
                    Twin { rules: r.clone(), book: self.book.clone(), owned: self.owned.clone(), ..*self };
                copy.run(0, account, s).0.iter().map(|t| Self::value(t.0, t.1)).sum()
            }
            (Side::Buy, _) => Self::value(s.px.0, s.qty.0),
        };
        (needed > quote_free).then_some("balance")
    }

    fn levels(&self, side: Side) -> Vec<(Px, Qty)> {
        let mut levels: HashMap<Px, i64> = HashMap::new();
        for o in self.book.iter().filter(|o| o.submit.side == side) {
            *levels.entry(o.submit.px).or_default() += o.left;
        }
        let mut levels: Vec<_> = levels.into_iter().map(|(px, qty)| (px, Qty(qty))).collect();
        levels.sort();
        if side == Side::Buy {
            levels.reverse();
        }
        levels
    }
}

fn name(reject: &ExReject) -> &'static str {
    match reject {
        ExReject::Filter { name, .. } => name.name(),
        ExReject::InsufficientBalance { .. } => "balance",
        ExReject::WouldTake { .. } => "would take",
        other => panic!("not expected of this traffic: {other}"),
    }
}

fn random_submit(r: &mut Lcg) -> Submit {
    let kind = match r.below(10) {
        0 => OrderKind::Market,
        1 | 2 => OrderKind::LimitMaker,
        _ => OrderKind::Limit,
    };
    let tif = if r.below(5) == 0 { Tif::Ioc } else { Tif::Gtc };
    let side = r.side();
    // A band of 24 ticks of 0.05, buys a little lower; now and then something off the rules.
    let px = 100_00 - side.sign() * 20 + 5 * (r.below(24) as i64 - 12) + (r.below(60) == 0) as i64;
    let qty = match r.below(60) {
        0 => r.below(30) as i64,
        1 => 60_0000,
        2 => 100 + r.below(10) as i64,
        _ => 10 * (10 + r.below(3_000) as i64),
    };
    Submit { token: r.below(1_000), side, px: Px(px), qty: Qty(qty), kind, tif }
}

#[test]
fn random_traffic_leaves_engine_and_twin_in_the_same_state() {
    let rules = Instrument {
        tick: Px(5),
        lot: Qty(10),
        qty_min: Qty(20),
        qty_max: Qty(50_0000),
        notional_min: 1_500_000,
        open_orders_max: 12,
        ..instrument()
    };
    let mut seen: HashMap<&'static str, u32> = HashMap::new();
    for seed in 0..4u64 {
        let mut r = Lcg(seed);
        let mut ex = exchange_with(rules.clone());
        let mut twin = Twin { rules: rules.clone(), book: vec![], owned: vec![], fees: (0, 0), last_id: 0 };
        for n in 1..=5i128 {
            ex.add_account(10 * n * UNIT, 1_000 * n * UNIT);
            twin.owned.push(Owned { base: 10 * n * UNIT, quote: 1_000 * n * UNIT });
        }
        let mut out = Vec::new();
        // The public book as a follower of level events sees it.
        let mut public: HashMap<(bool, i64), i64> = HashMap::new();
        for op in 0..5_000u64 {
            out.clear();
            let account = r.below(5) as usize;
            let ix = AccountIx(account as u32);
            match r.below(100) {
                0..70 => {
                    let s = random_submit(&mut r);
                    let refusal = twin.refusal(account, &s);
                    match ex.submit(Ts(op), ix, s, &mut out) {
                        Err(reject) => {
                            assert_eq!(
                                refusal,
                                Some(name(&reject)),
                                "seed {seed} op {op}: {reject} of {s:?}"
                            );
                            assert!(out.is_empty());
                            *seen.entry(name(&reject)).or_default() += 1;
                        }
                        Ok(id) => {
                            assert_eq!(refusal, None, "seed {seed} op {op}: {s:?}");
                            twin.last_id += 1;
                            assert_eq!(id.0, twin.last_id);
                            let (done, left, ended) = twin.run(id.0, account, &s);
                            assert_eq!(trades(&out), done, "seed {seed} op {op}");
                            let expected: Vec<_> =
                                ended.iter().map(|why| (id.0, s.qty.0 - left, *why)).collect();
                            assert_eq!(expiries(&out), expected, "seed {seed} op {op}");
                            *seen.entry(ended.map_or("no expiry", |e| e.name())).or_default() += 1;
                            *seen.entry("trade").or_default() += done.len() as u32;
                            if left > 0 && ended.is_none() {
                                twin.book.push(Order { id: id.0, account, submit: s, left });
                            }
                        }
                    }
                }
                70..98 => {
                    // Any order's number, open or not, ours or not.
                    let near = twin.book.get(r.below(1 + twin.book.len() as u64) as usize).map(|o| o.id);
                    let id = near.unwrap_or(r.below(1 + twin.last_id));
                    let at = twin.book.iter().position(|o| o.id == id && o.account == account);
                    assert_eq!(ex.cancel(Ts(op), ix, ExOrderId(id), &mut out).is_ok(), at.is_some());
                    at.map(|at| twin.book.remove(at));
                    *seen.entry(if at.is_some() { "cancel" } else { "no cancel" }).or_default() += 1;
                }
                kind => {
                    // One account's orders, or now and then everybody's, which leaves the book empty.
                    let whose = if kind == 99 && r.below(2) == 0 { 0..5 } else { account..account + 1 };
                    for account in whose {
                        let open = twin.book.iter().filter(|o| o.account == account).count();
                        assert_eq!(ex.cancel_all(Ts(op), AccountIx(account as u32), &mut out), open);
                        twin.book.retain(|o| o.account != account);
                    }
                }
            }
            for (_, side, px, total) in level_events(&out) {
                public.insert((side == Side::Buy, px), total);
            }
            public.retain(|_, total| *total != 0);
            let (bids, asks) = (twin.levels(Side::Buy), twin.levels(Side::Sell));
            assert_eq!(ex.levels(Side::Buy, usize::MAX), bids, "seed {seed} op {op}");
            assert_eq!(ex.levels(Side::Sell, usize::MAX), asks, "seed {seed} op {op}");
            assert_eq!(ex.best(), (bids.first().copied(), asks.first().copied()));
            assert_eq!(public.len(), bids.len() + asks.len(), "seed {seed} op {op}");
            for (side, levels) in [(true, &bids), (false, &asks)] {
                for (px, qty) in levels {
                    assert_eq!(public.get(&(side, px.0)), Some(&qty.0), "seed {seed} op {op}");
                }
            }
            for n in 0..5 {
                assert_eq!(four(ex.balances(AccountIx(n as u32))), twin.balances(n), "seed {seed} op {op}");
                let open: Vec<u64> = ex.open_orders(AccountIx(n as u32)).map(|o| o.id.0).collect();
                let expected: Vec<u64> = twin.book.iter().filter(|o| o.account == n).map(|o| o.id).collect();
                assert_eq!(open, expected, "seed {seed} op {op}");
            }
            assert_eq!(ex.fees_collected(), twin.fees, "seed {seed} op {op}");
        }
    }
    // The traffic met everything it is here to meet.
    for what in [
        "trade",
        "cancel",
        "no cancel",
        "no expiry",
        "immediate_or_cancel",
        "no_liquidity",
        "self_trade",
        "balance",
        "would take",
        "PRICE_FILTER",
        "LOT_SIZE",
        "NOTIONAL",
        "MAX_NUM_ORDERS",
    ] {
        assert!(seen.get(what).copied().unwrap_or(0) >= 3, "{what} hardly happened: {seen:?}");
    }
}
