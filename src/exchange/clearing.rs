//! The back office that both markets share: judging, locking, booking trades, ending orders.

use crate::ledger::{Amounts, Ledger};
use crate::pair::Pair;
use crate::register::Register;
use crate::rules::{Rules, Standing, fee};
use crate::sleeping::Sleeping;
use crate::{
    AMOUNT_DECIMALS, AccountIx, Balances, ExEvent, ExOrderId, ExReject, ExchangeConfig, ExchangeConfigError,
    ExpireReason, Filters, LastTrade, OrderKind, Party, Stp, Submit,
};
use std::collections::BTreeMap;
use wire::{Decimal, Instrument, OrderState, Px, Qty, Side, Ts};

/// Rules, balances and order records; knows no book. Not to be had outside this crate.
#[derive(Clone, Debug)]
pub struct Clearing {
    pub(crate) rules: Rules,
    pub(crate) orders: Register,
    pub(crate) sleeping: Sleeping,
    pub(crate) pairs: BTreeMap<u64, Pair>,
    pub(crate) ledger: Ledger,
    filters: BTreeMap<AccountIx, Filters>,
    last_trade: Option<LastTrade>,
    prevented: u64,
}

impl Clearing {
    pub(crate) fn new(config: ExchangeConfig) -> Result<Clearing, ExchangeConfigError> {
        Ok(Clearing {
            rules: Rules::new(config)?,
            orders: Register::default(),
            sleeping: Sleeping::default(),
            pairs: BTreeMap::new(),
            ledger: Ledger::default(),
            filters: BTreeMap::new(),
            last_trade: None,
            prevented: 0,
        })
    }

    pub(crate) fn add_account(&mut self, base: i128, quote: i128) -> AccountIx {
        self.orders.add_account();
        self.ledger.add(base, quote)
    }

    pub(crate) fn accounts(&self) -> usize {
        self.ledger.len()
    }

    pub(crate) fn balances(&self, account: AccountIx) -> Balances {
        self.ledger.balances(account).unwrap_or_default()
    }

    pub(crate) fn fees_collected(&self) -> (i128, i128) {
        let fees = self.ledger.fees();
        (fees.base, fees.quote)
    }

    pub(crate) fn last_trade(&self) -> Option<LastTrade> {
        self.last_trade
    }

    pub(crate) fn instrument(&self) -> &Instrument {
        self.rules.instrument()
    }

    pub(crate) fn set_trading(&mut self, trading: bool) {
        self.rules.set_trading(trading);
    }

    pub(crate) fn set_filters(&mut self, account: AccountIx, filters: Filters) {
        self.filters.insert(account, filters);
    }

    /// Everything that can be said of an order without a book, but for its balance. `more` orders of the same request
    /// were judged before it.
    pub(crate) fn judge(
        &self,
        account: AccountIx,
        order: &Submit,
        best_opposite: Option<Px>,
        last_px: Option<Px>,
        more: usize,
    ) -> Result<(), ExReject> {
        if account.0 as usize >= self.ledger.len() {
            return Err(ExReject::UnknownAccount { account });
        }
        let mut standing =
            Standing { open_orders: self.orders.open_count(account) + more, last_px, ..Standing::default() };
        let filters = self.filters.get(&account);
        if let Some(filters) = filters {
            let held = self.balances(account);
            standing.position = held.base_free + held.base_locked;
            for open in self.orders.open_orders(account) {
                standing.algo_orders += (open.trigger.is_some() && !open.working) as usize;
                if open.side == Side::Buy {
                    standing.position += self.rules.base_amount(open.leaves());
                }
            }
            standing.algo_orders += more;
            return self.rules.judge(order, best_opposite, &standing, filters);
        }
        self.rules.judge(order, best_opposite, &standing, &Filters::default())
    }

    /// Whether what is free covers `need`.
    pub(crate) fn afford(&self, account: AccountIx, need: Amounts) -> Result<(), ExReject> {
        let free = self.balances(account);
        for (asset, needed, free) in
            [("base", need.base, free.base_free), ("quote", need.quote, free.quote_free)]
        {
            if needed > free {
                let amount = |mantissa| Decimal { mantissa, decimals: AMOUNT_DECIMALS };
                return Err(ExReject::InsufficientBalance {
                    asset,
                    needed: amount(needed),
                    free: amount(free),
                });
            }
        }
        Ok(())
    }

    /// Checks the balance, locks, records and announces an order that was judged. `market_cost` is what a market
    /// buy will pay, zero otherwise. Returns its slot.
    pub(crate) fn accept(
        &mut self,
        now: Ts,
        account: AccountIx,
        order: &Submit,
        market_cost: i128,
        out: &mut Vec<ExEvent>,
    ) -> Result<u32, ExReject> {
        let lock = self.rules.lock(order.side, order.kind, order.px, order.qty);
        self.afford(account, Amounts { quote: lock.quote.max(market_cost), ..lock })?;
        self.ledger.lock(account, lock);
        let slot = self.orders.open(now, account, order);
        self.announce(now, slot, out);
        Ok(slot)
    }

    pub(crate) fn announce(&self, now: Ts, slot: u32, out: &mut Vec<ExEvent>) {
        let o = self.orders.get(slot);
        out.push(ExEvent::Accepted {
            id: o.id,
            account: o.account,
            token: o.token,
            side: o.side,
            px: o.px,
            qty: o.qty,
            kind: o.kind,
            tif: o.tif,
            ts: now,
        });
    }

    /// A sleeping order works from now on. Locks what it needs if nothing was locked for it alone; whether that was
    /// possible.
    pub(crate) fn wake(&mut self, now: Ts, slot: u32, out: &mut Vec<ExEvent>) -> bool {
        let o = self.orders.get_mut(slot);
        o.working = true;
        o.ts_changed = now;
        let o = *o;
        out.push(ExEvent::Triggered { id: o.id, account: o.account, token: o.token, ts: now });
        self.part(now, slot, out);
        if !o.holds {
            let need = self.rules.lock(o.side, o.kind, o.px, o.leaves());
            if self.afford(o.account, need).is_err() {
                return false;
            }
            self.ledger.lock(o.account, need);
            self.orders.get_mut(slot).holds = true;
        }
        true
    }

    /// Notes that two orders of one account did not trade.
    pub(crate) fn prevent(
        &mut self,
        now: Ts,
        taker: u32,
        maker: u32,
        px: Px,
        mode: Stp,
        out: &mut Vec<ExEvent>,
    ) {
        let (taker, maker) = (self.orders.get(taker), self.orders.get(maker));
        out.push(ExEvent::Prevented {
            match_id: self.prevented,
            account: taker.account,
            taker_token: taker.token,
            maker_token: maker.token,
            px,
            taker_leaves: taker.leaves(),
            maker_leaves: maker.leaves(),
            mode,
            ts: now,
        });
        self.prevented += 1;
    }

    /// Books a trade of `qty` at `px` between two orders, `None` being the recorded market. `px × qty` is
    /// exact and fits; `qty` is within both orders' leaves.
    #[allow(clippy::too_many_arguments, reason = "the facts of one trade; no second caller to share a type")]
    pub(crate) fn trade(
        &mut self,
        now: Ts,
        taker: Option<u32>,
        maker: Option<u32>,
        taker_side: Side,
        px: Px,
        qty: Qty,
        out: &mut Vec<ExEvent>,
    ) {
        let (fees, maker_slot) = (self.rules.fees(), maker);
        let taker = taker.map_or(Party::OUTSIDE, |slot| self.fill(now, slot, px, qty, fees.taker_ppm));
        let maker = maker.map_or(Party::OUTSIDE, |slot| self.fill(now, slot, px, qty, fees.maker_ppm));
        let trade_id = self.last_trade.map_or(1, |t| t.trade_id + 1);
        self.last_trade = Some(LastTrade { trade_id, px, qty, taker_side, ts: now });
        out.push(ExEvent::Trade { trade_id, px, qty, taker, maker, taker_side, ts: now });
        if let Some(slot) = maker_slot {
            self.part(now, slot, out);
        }
    }

    /// Ends an open order by the exchange's own act and gives back what it holds.
    pub(crate) fn expire(&mut self, now: Ts, slot: u32, reason: ExpireReason, out: &mut Vec<ExEvent>) {
        self.end(now, slot, OrderState::Expired);
        let o = self.orders.get(slot);
        out.push(ExEvent::Expired {
            id: o.id,
            account: o.account,
            token: o.token,
            cum: o.cum,
            reason,
            ts: now,
        });
    }

    /// Ends an open order by cancel and gives back what it holds.
    pub(crate) fn cancel(&mut self, now: Ts, slot: u32, out: &mut Vec<ExEvent>) {
        self.end(now, slot, OrderState::Cancelled);
        let o = self.orders.get(slot);
        out.push(ExEvent::Cancelled { id: o.id, account: o.account, token: o.token, cum: o.cum, ts: now });
    }

    /// Slot of an open order of this account.
    pub(crate) fn open_slot(&self, account: AccountIx, id: ExOrderId) -> Result<u32, ExReject> {
        self.orders.open_slot(account, id).ok_or(ExReject::UnknownOrder { id })
    }

    pub(crate) fn oldest_open(&self, account: AccountIx) -> Option<ExOrderId> {
        self.orders.oldest_open(account)
    }

    /// Value of `qty` at `px`; of a resting order's price and quantity, which were judged, it always fits.
    pub(crate) fn quote_amount(&self, px: Px, qty: Qty) -> i128 {
        self.rules.quote_amount(px, qty).unwrap_or(i128::MAX)
    }

    /// One order's side of a trade: releases its lock for `qty`, pays and receives, counts.
    fn fill(&mut self, now: Ts, slot: u32, px: Px, qty: Qty, fee_ppm: i64) -> Party {
        let (base, quote) = (self.rules.base_amount(qty), self.quote_amount(px, qty));
        let o = self.orders.get_mut(slot);
        o.cum.0 += qty.0;
        o.quote_cum += quote;
        o.ts_changed = now;
        let done = o.leaves().0 == 0;
        o.state = if done { OrderState::Filled } else { OrderState::PartiallyFilled };
        let o = *o;
        let held: Amounts = self.rules.lock(o.side, o.kind, o.px, qty);
        self.ledger.unlock(o.account, held);
        let fee = match o.side {
            Side::Buy => {
                let fee = fee(base, fee_ppm);
                self.ledger.buy(o.account, quote, base, fee as i128);
                fee
            }
            Side::Sell => {
                let fee = fee(quote, fee_ppm);
                self.ledger.sell(o.account, base, quote, fee as i128);
                fee
            }
        };
        if done {
            self.orders.close(slot);
        }
        Party { id: o.id, account: o.account, token: o.token, leaves: o.leaves(), cum: o.cum, fee }
    }

    fn end(&mut self, now: Ts, slot: u32, state: OrderState) {
        let o = self.orders.get_mut(slot);
        o.state = state;
        o.ts_changed = now;
        let o = *o;
        if o.holds {
            let held = self.rules.lock(o.side, o.kind, o.px, o.leaves());
            debug_assert!(o.kind != OrderKind::Market || o.side == Side::Sell || held == Amounts::default());
            self.ledger.unlock(o.account, held);
        }
        if !o.working {
            self.sleeping.remove(slot, &o);
        }
        self.orders.close(slot);
    }
}
