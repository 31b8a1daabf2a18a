//! The naive model: one vector of open orders, scanned for everything; sums and locks recomputed each time; whatever
//! would happen is found out by letting it happen to a copy.

use crate::listing::*;
use corelane_exchange::*;
use std::collections::HashMap;
use wire::*;

/// What happened, as both sides tell it; levels are compared as books.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Did {
    Accepted { id: u64 },
    Trade { px: i64, qty: i64, taker: u64, maker: u64, fees: [i64; 2] },
    Prevented { taker_token: u64, maker_token: u64, px: i64, leaves: [i64; 2], mode: Stp },
    Triggered { id: u64 },
    Cancelled { id: u64, cum: i64 },
    Expired { id: u64, cum: i64, why: ExpireReason },
}

/// The engine's events in the model's words.
pub(crate) fn told(events: &[ExEvent]) -> Vec<Did> {
    let one = |event: &ExEvent| {
        Some(match event {
            ExEvent::Accepted { id, .. } => Did::Accepted { id: id.0 },
            ExEvent::Trade { px, qty, taker, maker, .. } => Did::Trade {
                px: px.0,
                qty: qty.0,
                taker: taker.id.0,
                maker: maker.id.0,
                fees: [taker.fee, maker.fee],
            },
            ExEvent::Prevented { taker_token, maker_token, px, taker_leaves, maker_leaves, mode, .. } => {
                Did::Prevented {
                    taker_token: *taker_token,
                    maker_token: *maker_token,
                    px: px.0,
                    leaves: [taker_leaves.0, maker_leaves.0],
                    mode: *mode,
                }
            }
            ExEvent::Triggered { id, .. } => Did::Triggered { id: id.0 },
            ExEvent::Cancelled { id, cum, .. } => Did::Cancelled { id: id.0, cum: cum.0 },
            ExEvent::Expired { id, cum, reason, .. } => Did::Expired { id: id.0, cum: cum.0, why: *reason },
            ExEvent::Level { .. } => return None,
        })
    };
    events.iter().filter_map(one).collect()
}

#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) account: usize,
    pub(crate) s: Submit,
    left: i64,
    /// When it got in line; `None` = it is not in the book.
    rested: Option<u64>,
    asleep: bool,
    partner: Option<u64>,
}

/// Total base and quote of an account, free and locked together, at 8 decimals.
#[derive(Clone, Copy)]
pub(crate) struct Owned {
    pub(crate) base: i128,
    pub(crate) quote: i128,
}

#[derive(Clone)]
pub(crate) struct Naive {
    pub(crate) rules: Instrument,
    pub(crate) filters: HashMap<usize, Filters>,
    pub(crate) open: Vec<Order>,
    pub(crate) owned: Vec<Owned>,
    pub(crate) fees: (i128, i128),
    pub(crate) last_id: u64,
    pub(crate) last_px: Option<i64>,
    pub(crate) lines: u64,
    pub(crate) did: Vec<Did>,
}

/// Value at 8 decimals of a price of 2 and a quantity of 4.
fn value(px: i64, qty: i64) -> i128 {
    px as i128 * qty as i128 * 100
}

/// Base and quote that an order needs.
fn needs(s: &Submit, qty: i64) -> (i128, i128) {
    match (s.side, s.kind) {
        (Side::Sell, _) => (qty as i128 * 10_000, 0),
        (Side::Buy, OrderKind::Market) => (0, 0),
        (Side::Buy, _) => (0, value(s.px.0, qty)),
    }
}

impl Naive {
    pub(crate) fn balances(&self, account: usize) -> [i128; 4] {
        let (mut base, mut quote) = (0, 0);
        for o in self.open.iter().filter(|o| o.account == account) {
            let (b, q) = needs(&o.s, o.left);
            match o.partner.and_then(|id| self.open.iter().find(|p| p.id == id)) {
                // Of a pair the dearer one counts; the older one speaks for both.
                Some(p) if p.id < o.id => {}
                Some(p) => {
                    let (pb, pq) = needs(&p.s, p.left);
                    (base, quote) = (base + b.max(pb), quote + q.max(pq));
                }
                None => (base, quote) = (base + b, quote + q),
            }
        }
        let o = self.owned[account];
        [o.base - base, base, o.quote - quote, quote]
    }

    /// Index of the resting order that an incoming one meets next.
    fn next(&self, s: &Submit) -> Option<usize> {
        let mut found: Option<usize> = None;
        for (n, o) in self.open.iter().enumerate() {
            let reaches = s.kind == OrderKind::Market
                || if s.side == Side::Buy { o.s.px <= s.px } else { o.s.px >= s.px };
            if o.s.side == s.side || o.rested.is_none() || !reaches {
                continue;
            }
            let better = found.is_none_or(|f| {
                let (old, new) = (&self.open[f], o);
                let nearer = if s.side == Side::Buy { new.s.px < old.s.px } else { new.s.px > old.s.px };
                nearer || new.s.px == old.s.px && new.rested < old.rested
            });
            if better {
                found = Some(n);
            }
        }
        found
    }

    fn expire(&mut self, id: u64, why: ExpireReason) {
        let Some(at) = self.open.iter().position(|o| o.id == id) else { return };
        let o = self.open.remove(at);
        self.did.push(Did::Expired { id, cum: o.s.qty.0 - o.left, why });
        self.part(o.partner);
    }

    /// Ends the other half of a pair.
    fn part(&mut self, partner: Option<u64>) {
        if let Some(partner) = partner {
            for o in &mut self.open {
                if o.id == partner || o.partner == Some(partner) {
                    o.partner = None;
                }
            }
            self.expire(partner, ExpireReason::PairDone);
        }
    }

    fn trade(&mut self, taker: usize, maker: usize, qty: i64) {
        let (t, m) = (self.open[taker].clone(), self.open[maker].clone());
        let px = m.s.px.0;
        let (base, quote) = (qty as i128 * 10_000, value(px, qty));
        let (buyer, seller, buyer_ppm, seller_ppm) = match t.s.side {
            Side::Buy => (t.account, m.account, FEES.taker_ppm, FEES.maker_ppm),
            Side::Sell => (m.account, t.account, FEES.maker_ppm, FEES.taker_ppm),
        };
        let buyer_fee = base * buyer_ppm as i128 / 1_000_000;
        let seller_fee = quote * seller_ppm as i128 / 1_000_000;
        self.owned[buyer].base += base - buyer_fee;
        self.owned[buyer].quote -= quote;
        self.owned[seller].base -= base;
        self.owned[seller].quote += quote - seller_fee;
        self.fees = (self.fees.0 + buyer_fee, self.fees.1 + seller_fee);
        let fees = if t.s.side == Side::Buy { [buyer_fee, seller_fee] } else { [seller_fee, buyer_fee] };
        self.did.push(Did::Trade { px, qty, taker: t.id, maker: m.id, fees: fees.map(|f| f as i64) });
        self.last_px = Some(px);
        self.open[taker].left -= qty;
        self.open[maker].left -= qty;
        self.part(m.partner);
        self.open.retain(|o| o.left > 0 || o.id == t.id);
    }

    /// Matches an open order; whether it has to go because it met one of its own account.
    fn take(&mut self, id: u64) -> bool {
        loop {
            let Some(taker) = self.open.iter().position(|o| o.id == id) else { return false };
            let t = self.open[taker].clone();
            if t.left == 0 {
                return false;
            }
            let Some(maker) = self.next(&t.s) else { return false };
            let m = self.open[maker].clone();
            if m.account == t.account && t.s.stp != Stp::None {
                self.did.push(Did::Prevented {
                    taker_token: t.s.token,
                    maker_token: m.s.token,
                    px: m.s.px.0,
                    leaves: [t.left, m.left],
                    mode: t.s.stp,
                });
                if t.s.stp != Stp::ExpireTaker {
                    self.expire(m.id, ExpireReason::SelfTrade);
                }
                if t.s.stp != Stp::ExpireMaker {
                    return true;
                }
                continue;
            }
            self.trade(taker, maker, t.left.min(m.left));
        }
    }

    /// What would be traded, tried on a copy: quantity and value.
    fn tried(&self, account: usize, s: &Submit) -> (i64, i128) {
        let mut copy = self.clone();
        copy.did.clear();
        let id = copy.enter(account, s, None);
        copy.take(id);
        copy.did.iter().fold((0, 0), |(qty, quote), did| match did {
            Did::Trade { px, qty: q, .. } => (qty + q, quote + value(*px, *q)),
            _ => (qty, quote),
        })
    }

    /// Lot after lot for an amount of quote: what it buys or sells, and whether the other side ended first.
    fn lots_for(&self, account: usize, s: &Submit, quote: i128) -> (i64, bool) {
        let all = Submit { quote: None, qty: Qty(i64::MAX / 4), ..*s };
        let mut copy = self.clone();
        copy.did.clear();
        let id = copy.enter(account, &all, None);
        copy.take(id);
        let (mut qty, mut spent) = (0, 0);
        for did in copy.did {
            let Did::Trade { px, qty: there, .. } = did else { continue };
            let mut taken = 0;
            while taken < there {
                if spent + value(px, self.rules.lot.0) > quote {
                    return (qty, false);
                }
                spent += value(px, self.rules.lot.0);
                taken += self.rules.lot.0;
                qty += self.rules.lot.0;
            }
        }
        (qty, true)
    }

    fn enter(&mut self, account: usize, s: &Submit, partner: Option<u64>) -> u64 {
        self.last_id += 1;
        let (id, asleep) = (self.last_id, s.trigger.is_some());
        self.open.push(Order { id, account, s: *s, left: s.qty.0, rested: None, asleep, partner });
        self.did.push(Did::Accepted { id });
        id
    }

    /// Carries out an order that is not in the book.
    fn work(&mut self, id: u64) {
        let Some(o) = self.open.iter().find(|o| o.id == id).cloned() else { return };
        let fok = o.s.kind == OrderKind::Limit && o.s.tif == Tif::Fok;
        if fok {
            let mut without = self.clone();
            without.open.retain(|o| o.id != id);
            if without.tried(o.account, &o.s).0 < o.left {
                return self.expire(id, ExpireReason::FillOrKill);
            }
        }
        let own = self.take(id);
        let Some(o) = self.open.iter_mut().find(|o| o.id == id) else { return };
        if o.left == 0 {
            self.open.retain(|o| o.id != id);
        } else if own {
            self.expire(id, ExpireReason::SelfTrade);
        } else if o.s.kind == OrderKind::Market {
            self.expire(id, ExpireReason::NoLiquidity);
        } else if o.s.kind == OrderKind::Limit && o.s.tif == Tif::Ioc {
            self.expire(id, ExpireReason::ImmediateOrCancel);
        } else {
            self.lines += 1;
            o.rested = Some(self.lines);
        }
    }

    /// Wakes what the trades among `self.did[from..]` reach, oldest first, and what that leads to.
    fn settle(&mut self, from: usize) {
        let (mut seen, mut woken) = (from, Vec::new());
        loop {
            let prices: Vec<i64> = self.did[seen..]
                .iter()
                .filter_map(|d| if let Did::Trade { px, .. } = d { Some(*px) } else { None })
                .collect();
            seen = self.did.len();
            for o in self.open.iter().filter(|o| o.asleep) {
                let Some(t) = o.s.trigger else { continue };
                let up = (o.s.side == Side::Buy) == (t.kind == TriggerKind::StopLoss);
                if !woken.contains(&o.id)
                    && prices.iter().any(|px| if up { *px >= t.px.0 } else { *px <= t.px.0 })
                {
                    woken.push(o.id);
                }
            }
            if woken.is_empty() {
                return;
            }
            let id = woken.remove(0);
            let Some(o) = self.open.iter_mut().find(|o| o.id == id) else { continue };
            o.asleep = false;
            let (account, s, partner) = (o.account, o.s, o.partner);
            self.did.push(Did::Triggered { id });
            self.part(partner);
            let unpaid = s.kind == OrderKind::Market && s.side == Side::Buy && {
                let mut without = self.clone();
                without.open.retain(|o| o.id != id);
                without.tried(account, &s).1 > self.balances(account)[2]
            };
            if unpaid {
                self.expire(id, ExpireReason::Rejected);
            } else {
                self.work(id);
            }
        }
    }

    fn broken_rule(&self, account: usize, s: &Submit, more: usize) -> Option<&'static str> {
        let (r, f) = (&self.rules, self.filters.get(&account).copied().unwrap_or_default());
        if s.trigger.is_some() && s.kind == OrderKind::LimitMaker {
            return Some("composition");
        }
        let off = |px: Px| px < r.px_min || px > r.px_max || px.0 % r.tick.0 != 0;
        if s.trigger.is_some_and(|t| off(t.px)) || s.kind != OrderKind::Market && off(s.px) {
            return Some("PRICE_FILTER");
        }
        let px = match (s.kind, s.trigger) {
            (OrderKind::Market, Some(t)) => Some(t.px.0),
            (OrderKind::Market, None) => self.next(s).map(|n| self.open[n].s.px.0),
            _ => Some(s.px.0),
        };
        let band = if s.side == Side::Buy { r.band_buy } else { r.band_sell };
        if let (Some(last), true) = (self.last_px, s.kind != OrderKind::Market) {
            let (px, one) = (s.px.0 as i128 * 100_000_000, last as i128);
            if px > one * band.up as i128 || px < one * band.down as i128 {
                return Some("PERCENT_PRICE_BY_SIDE");
            }
        }
        if let Some(quote) = s.quote {
            if quote < r.notional_min * 100 {
                return Some("NOTIONAL");
            }
        } else {
            if let Some(broken) = self.broken_qty(s) {
                return Some(broken);
            }
            let worth = px.map(|px| px as i128 * s.qty.0 as i128);
            if worth.is_some_and(|w| w < r.notional_min)
                || s.kind != OrderKind::Market
                    && f.notional_max != 0
                    && worth.is_some_and(|w| w > f.notional_max)
            {
                return Some("NOTIONAL");
            }
        }
        let mine = || self.open.iter().filter(|o| o.account == account);
        let rests = s.kind == OrderKind::LimitMaker || s.kind == OrderKind::Limit && s.tif == Tif::Gtc;
        if (rests || s.trigger.is_some()) && mine().count() + more >= r.open_orders_max as usize {
            return Some("MAX_NUM_ORDERS");
        }
        let asleep = mine().filter(|o| o.asleep).count() + more;
        if s.trigger.is_some() && f.algo_orders_max != 0 && asleep >= f.algo_orders_max as usize {
            return Some("MAX_NUM_ALGO_ORDERS");
        }
        self.position_broken(account, s, &f).then_some("MAX_POSITION")
    }

    fn position_broken(&self, account: usize, s: &Submit, f: &Filters) -> bool {
        let mine = self.open.iter().filter(|o| o.account == account && o.s.side == Side::Buy);
        let buys: i128 = mine.map(|o| o.left as i128 * 10_000).sum();
        let after = self.owned[account].base + buys + s.qty.0 as i128 * 10_000;
        s.side == Side::Buy && f.position_max != 0 && after > f.position_max
    }

    fn broken_qty(&self, s: &Submit) -> Option<&'static str> {
        let r = &self.rules;
        if s.qty < r.qty_min || s.qty > r.qty_max || s.qty.0 % r.lot.0 != 0 {
            return Some("LOT_SIZE");
        }
        let market = s.kind == OrderKind::Market;
        (market && (s.qty > r.market_qty.max || s.qty < r.market_qty.min)).then_some("MARKET_LOT_SIZE")
    }

    /// A new order: what it did, or the rule that refused it.
    pub(crate) fn submit(&mut self, account: usize, s: &Submit) -> Result<(), &'static str> {
        if let Some(broken) = self.broken_rule(account, s, 0) {
            return Err(broken);
        }
        let mut s = *s;
        if let (Some(t), Some(last)) = (s.trigger, self.last_px)
            && t.is_reached(s.side, Px(last))
        {
            return Err("would trigger");
        }
        if let Some(quote) = s.quote {
            let (qty, ended) = self.lots_for(account, &s, quote);
            s.qty = Qty(qty);
            if ended && s.qty < self.rules.qty_min {
                return Err("thin book");
            }
            let f = self.filters.get(&account).copied().unwrap_or_default();
            if let Some(broken) = self.broken_qty(&s) {
                return Err(broken);
            }
            if self.position_broken(account, &s, &f) {
                return Err("MAX_POSITION");
            }
        }
        if s.kind == OrderKind::LimitMaker && self.next(&s).is_some() {
            return Err("would take");
        }
        let (base, mut quote) = needs(&s, s.qty.0);
        if s.kind == OrderKind::Market && s.side == Side::Buy && s.trigger.is_none() {
            quote = self.tried(account, &s).1;
        }
        let [base_free, _, quote_free, _] = self.balances(account);
        if base > base_free || quote > quote_free {
            return Err("balance");
        }
        let from = self.did.len();
        let id = self.enter(account, &s, None);
        if s.trigger.is_none() {
            self.work(id);
            self.settle(from);
        }
        Ok(())
    }

    /// Two orders of which one cancels the other.
    pub(crate) fn submit_pair(&mut self, account: usize, pair: &[Submit; 2]) -> Result<(), &'static str> {
        for (nth, s) in pair.iter().enumerate() {
            if let Some(broken) = self.broken_rule(account, s, nth) {
                return Err(broken);
            }
        }
        for s in pair {
            let wrong = |last: i64| match s.trigger {
                Some(t) => t.is_reached(s.side, Px(last)),
                None => {
                    if s.side == Side::Buy {
                        s.px.0 >= last
                    } else {
                        s.px.0 <= last
                    }
                }
            };
            if self.last_px.is_some_and(wrong) {
                return Err("pair prices");
            }
            if s.kind == OrderKind::LimitMaker && self.next(s).is_some() {
                return Err("would take");
            }
        }
        let [a, b] = pair.map(|s| needs(&s, s.qty.0));
        let [base_free, _, quote_free, _] = self.balances(account);
        if a.0.max(b.0) > base_free || a.1.max(b.1) > quote_free {
            return Err("balance");
        }
        let first = self.last_id + 1;
        self.enter(account, &pair[0], Some(first + 1));
        self.enter(account, &pair[1], Some(first));
        for (id, s) in [(first, &pair[0]), (first + 1, &pair[1])] {
            if s.trigger.is_none() {
                self.work(id);
            }
        }
        Ok(())
    }

    /// Whether the order was this account's and open.
    pub(crate) fn cancel(&mut self, account: usize, id: u64) -> bool {
        let Some(o) = self.open.iter().find(|o| o.id == id && o.account == account).cloned() else {
            return false;
        };
        let mut gone: Vec<u64> = o.partner.into_iter().chain([id]).collect();
        gone.sort_unstable();
        for id in gone {
            let Some(at) = self.open.iter().position(|o| o.id == id) else { continue };
            let o = self.open.remove(at);
            self.did.push(Did::Cancelled { id, cum: o.s.qty.0 - o.left });
        }
        true
    }

    pub(crate) fn cancel_all(&mut self, account: usize) {
        while let Some(id) = self.open.iter().filter(|o| o.account == account).map(|o| o.id).min() {
            self.cancel(account, id);
        }
    }

    pub(crate) fn levels(&self, side: Side) -> Vec<(Px, Qty)> {
        let mut levels: HashMap<Px, i64> = HashMap::new();
        for o in self.open.iter().filter(|o| o.s.side == side && o.rested.is_some()) {
            *levels.entry(o.s.px).or_default() += o.left;
        }
        let mut levels: Vec<_> = levels.into_iter().map(|(px, qty)| (px, Qty(qty))).collect();
        levels.sort();
        if side == Side::Buy {
            levels.reverse();
        }
        levels
    }
}
