//! The back office that both markets share: judging, locking, booking trades, ending orders.

use crate::ledger::{Amounts, Ledger};
use crate::register::Register;
use crate::rules::{Rules, fee};
use crate::{
    AMOUNT_DECIMALS, AccountIx, Balances, ExEvent, ExOrderId, ExReject, ExchangeConfig, ExchangeConfigError,
    ExpireReason, LastTrade, OrderKind, Party, Submit,
};
use wire::{Decimal, Instrument, OrderState, Px, Qty, Side, Ts};

/// Rules, balances and order records; knows no book.
#[derive(Clone, Debug)]
pub(crate) struct Clearing {
    pub(crate) rules: Rules,
    pub(crate) orders: Register,
    ledger: Ledger,
    last_trade: Option<LastTrade>,
}

impl Clearing {
    pub(crate) fn new(config: ExchangeConfig) -> Result<Clearing, ExchangeConfigError> {
        Ok(Clearing {
            rules: Rules::new(config)?,
            orders: Register::default(),
            ledger: Ledger::default(),
            last_trade: None,
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

    /// Everything that can be said of an order without a book, but for its balance.
    pub(crate) fn judge(
        &self,
        account: AccountIx,
        order: &Submit,
        best_opposite: Option<Px>,
    ) -> Result<(), ExReject> {
        if account.0 as usize >= self.ledger.len() {
            return Err(ExReject::UnknownAccount { account });
        }
        self.rules.judge(order, best_opposite, self.orders.open_count(account))
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
        let free = self.balances(account);
        let lock = self.rules.lock(order.side, order.kind, order.px, order.qty);
        for (asset, needed, free) in
            [("base", lock.base, free.base_free), ("quote", lock.quote.max(market_cost), free.quote_free)]
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
        self.ledger.lock(account, lock);
        let slot = self.orders.open(now, account, order);
        let o = self.orders.get(slot);
        out.push(ExEvent::Accepted {
            id: o.id,
            account,
            token: o.token,
            side: o.side,
            px: o.px,
            qty: o.qty,
            kind: o.kind,
            tif: o.tif,
            ts: now,
        });
        Ok(slot)
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
        let fees = self.rules.fees();
        let taker = taker.map_or(Party::OUTSIDE, |slot| self.fill(now, slot, px, qty, fees.taker_ppm));
        let maker = maker.map_or(Party::OUTSIDE, |slot| self.fill(now, slot, px, qty, fees.maker_ppm));
        let trade_id = self.last_trade.map_or(1, |t| t.trade_id + 1);
        self.last_trade = Some(LastTrade { trade_id, px, qty, taker_side, ts: now });
        out.push(ExEvent::Trade { trade_id, px, qty, taker, maker, taker_side, ts: now });
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
        let (account, side, kind, px, leaves) = (o.account, o.side, o.kind, o.px, o.leaves());
        let held = self.rules.lock(side, kind, px, leaves);
        debug_assert!(kind != OrderKind::Market || side == Side::Sell || held == Amounts::default());
        self.ledger.unlock(account, held);
        self.orders.close(slot);
    }
}
