//! The market behind the venue: a live book with a crowd, or a recording, under one set of calls.

use super::tape::Tape;
use exchange::{
    AccountIx, Balances, Crowd, ExEvent, ExOrder, ExOrderId, ExReject, Exchange, RecordedMarket, Submit,
};
use wire::{Px, Qty, Side, Ts};

/// Best bid and best ask.
pub(super) type Top = (Option<(Px, Qty)>, Option<(Px, Qty)>);

/// Where our orders trade.
pub(super) enum Market {
    Live { exchange: Box<Exchange>, crowd: Box<Crowd> },
    Recorded { market: Box<RecordedMarket>, tape: Box<Tape> },
}

impl Market {
    pub(super) fn submit(
        &mut self,
        now: Ts,
        account: AccountIx,
        order: Submit,
        out: &mut Vec<ExEvent>,
    ) -> Result<ExOrderId, ExReject> {
        match self {
            Market::Live { exchange, .. } => exchange.submit(now, account, order, out),
            Market::Recorded { market, .. } => market.submit(now, account, order, out),
        }
    }

    pub(super) fn submit_pair(
        &mut self,
        now: Ts,
        account: AccountIx,
        orders: [Submit; 2],
        out: &mut Vec<ExEvent>,
    ) -> Result<[ExOrderId; 2], ExReject> {
        match self {
            Market::Live { exchange, .. } => exchange.submit_pair(now, account, orders, out),
            Market::Recorded { market, .. } => market.submit_pair(now, account, orders, out),
        }
    }

    /// Judges an order by the filters alone.
    pub(super) fn judge(&self, account: AccountIx, order: &Submit) -> Result<(), ExReject> {
        match self {
            Market::Live { exchange, .. } => exchange.judge(account, order),
            Market::Recorded { market, .. } => market.judge(account, order),
        }
    }

    /// The quantity of an order that is known.
    pub(super) fn order_qty(&self, id: ExOrderId) -> Option<Qty> {
        let order = match self {
            Market::Live { exchange, .. } => exchange.order(id),
            Market::Recorded { market, .. } => market.order(id),
        };
        order.map(|o| o.qty)
    }

    pub(super) fn cancel(
        &mut self,
        now: Ts,
        account: AccountIx,
        id: ExOrderId,
        out: &mut Vec<ExEvent>,
    ) -> Result<(), ExReject> {
        match self {
            Market::Live { exchange, .. } => exchange.cancel(now, account, id, out),
            Market::Recorded { market, .. } => market.cancel(now, account, id, out),
        }
    }

    pub(super) fn open_orders(&self, account: AccountIx) -> Vec<&ExOrder> {
        match self {
            Market::Live { exchange, .. } => exchange.open_orders(account).collect(),
            Market::Recorded { market, .. } => market.open_orders(account).collect(),
        }
    }

    pub(super) fn balances(&self, account: AccountIx) -> Balances {
        match self {
            Market::Live { exchange, .. } => exchange.balances(account),
            Market::Recorded { market, .. } => market.balances(account),
        }
    }

    pub(super) fn set_trading(&mut self, trading: bool) {
        match self {
            Market::Live { exchange, .. } => exchange.set_trading(trading),
            Market::Recorded { market, .. } => market.set_trading(trading),
        }
    }

    /// Id of the book's last change; 0 in a recording, whose book is not ours.
    pub(super) fn update_id(&self) -> u64 {
        match self {
            Market::Live { exchange, .. } => exchange.update_id(),
            Market::Recorded { .. } => 0,
        }
    }

    /// The public best, for a live book.
    pub(super) fn live_top(&self) -> Option<Top> {
        match self {
            Market::Live { exchange, .. } => Some(exchange.best()),
            Market::Recorded { .. } => None,
        }
    }

    /// The best `n` levels of a side of a live book, best first.
    pub(super) fn levels(&self, side: Side, n: usize) -> Vec<(Px, Qty)> {
        match self {
            Market::Live { exchange, .. } => exchange.levels(side, n),
            Market::Recorded { .. } => Vec::new(),
        }
    }
}
