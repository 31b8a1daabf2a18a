//! Orders of our account as the venue's order desk keeps them.

use super::listing::{D8, Listing};
use exchange::{OrderKind, Stp, Tif, Trigger, TriggerKind};
use std::collections::BTreeMap;
use wire::{Px, Qty, Side, Ts};

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    New,
    PartiallyFilled,
    Filled,
    Canceled,
    Expired,
    ExpiredInMatch,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Status::New => "NEW",
            Status::PartiallyFilled => "PARTIALLY_FILLED",
            Status::Filled => "FILLED",
            Status::Canceled => "CANCELED",
            Status::Expired => "EXPIRED",
            Status::ExpiredInMatch => "EXPIRED_IN_MATCH",
        }
    }

    pub(super) fn is_open(self) -> bool {
        matches!(self, Status::New | Status::PartiallyFilled)
    }
}

/// One of our orders, open or done.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) id: u64,
    /// The id it was placed with. Order queries show it for as long as the order is known.
    pub(super) client_id: String,
    /// The id it got when it was cancelled; the cancel's own reply and event carry it as `clientOrderId`.
    pub(super) cancel_id: Option<String>,
    /// The order list that it belongs to.
    pub(super) list: Option<u64>,
    pub(super) side: Side,
    pub(super) kind: OrderKind,
    pub(super) tif: Tif,
    pub(super) stp: Stp,
    pub(super) trigger: Option<Trigger>,
    /// `strategyId` and `strategyType` as they were sent.
    pub(super) strategy: [Option<u64>; 2],
    /// Zero for a market order.
    pub(super) px: Px,
    pub(super) qty: Qty,
    /// The amount of quote that it was placed for, zero if for a quantity.
    pub(super) quote_qty: D8,
    pub(super) cum: Qty,
    /// Quote value of the fills, at 8 decimals.
    pub(super) quote_cum: D8,
    pub(super) status: Status,
    pub(super) expiry: Option<&'static str>,
    pub(super) placed: Ts,
    pub(super) changed: Ts,
    /// Since when it has been in the book; `None` while it waits for its stop price.
    pub(super) working: Option<Ts>,
    pub(super) fills: Vec<OrderFill>,
    /// Trades with the same account that it was part of and that did not happen.
    pub(super) prevented: Vec<Prevented>,
}

/// One execution of an order.
#[derive(Clone, Copy, Debug)]
pub(super) struct OrderFill {
    pub(super) trade_id: u64,
    pub(super) px: Px,
    pub(super) qty: Qty,
    pub(super) fee: D8,
    pub(super) maker: bool,
    pub(super) ts: Ts,
}

/// A self-trade that was prevented.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prevented {
    pub(super) id: u64,
    pub(super) taker: u64,
    pub(super) maker: u64,
    pub(super) px: Px,
    pub(super) mode: Stp,
    /// What was left of the taker, if that expired.
    pub(super) taker_qty: Option<Qty>,
    /// What was left of the maker, if that expired.
    pub(super) maker_qty: Option<Qty>,
    pub(super) ts: Ts,
}

/// How much a reply to `order.place` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Ack,
    Result,
    Full,
}

/// What one `executionReport` is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Execution {
    /// `NEW`, `TRADE`, `CANCELED`, `EXPIRED`, `TRADE_PREVENTION`.
    pub(super) kind: &'static str,
    /// Running number of the report.
    pub(super) id: u64,
    /// The fill, for `TRADE`.
    pub(super) fill: Option<OrderFill>,
    pub(super) ts: Ts,
}

/// The venue's name of a mode of self-trade prevention.
pub(super) fn stp_name(stp: Stp) -> &'static str {
    match stp {
        Stp::None => "NONE",
        Stp::ExpireTaker => "EXPIRE_TAKER",
        Stp::ExpireMaker => "EXPIRE_MAKER",
        Stp::ExpireBoth => "EXPIRE_BOTH",
    }
}

impl Order {
    pub(super) fn side_name(&self) -> &'static str {
        match self.side {
            Side::Buy => "BUY",
            Side::Sell => "SELL",
        }
    }

    pub(super) fn kind_name(&self) -> &'static str {
        match (self.kind, self.trigger.map(|t| t.kind)) {
            (OrderKind::LimitMaker, _) => "LIMIT_MAKER",
            (OrderKind::Limit, None) => "LIMIT",
            (OrderKind::Limit, Some(TriggerKind::StopLoss)) => "STOP_LOSS_LIMIT",
            (OrderKind::Limit, Some(TriggerKind::TakeProfit)) => "TAKE_PROFIT_LIMIT",
            (OrderKind::Market, None) => "MARKET",
            (OrderKind::Market, Some(TriggerKind::StopLoss)) => "STOP_LOSS",
            (OrderKind::Market, Some(TriggerKind::TakeProfit)) => "TAKE_PROFIT",
        }
    }

    pub(super) fn tif_name(&self) -> &'static str {
        match self.tif {
            Tif::Gtc => "GTC",
            Tif::Ioc => "IOC",
            Tif::Fok => "FOK",
        }
    }

    /// Which asset its fees are paid in.
    pub(super) fn fee_asset<'a>(&self, listing: &'a Listing) -> &'a str {
        match self.side {
            Side::Buy => &listing.instrument.base,
            Side::Sell => &listing.instrument.quote,
        }
    }

    /// The prevented trade that ended it, and what of it that was.
    pub(super) fn ended_by_prevention(&self) -> Option<(&Prevented, Qty)> {
        let last = self.prevented.last().filter(|_| self.status == Status::ExpiredInMatch)?;
        let qty = if last.taker == self.id { last.taker_qty } else { last.maker_qty };
        Some((last, qty?))
    }
}

/// All orders of the account, found by either of their identities.
#[derive(Default)]
pub(super) struct Orders {
    list: Vec<Order>,
    by_id: BTreeMap<u64, usize>,
    /// The latest order placed or cancelled under each client id.
    by_client: BTreeMap<String, usize>,
}

impl Orders {
    /// Index that the next order will have: its token in the matching engine.
    pub(super) fn next_ix(&self) -> usize {
        self.list.len()
    }

    pub(super) fn push(&mut self, order: Order) {
        let ix = self.list.len();
        self.by_id.insert(order.id, ix);
        self.by_client.insert(order.client_id.clone(), ix);
        self.list.push(order);
    }

    pub(super) fn get_mut(&mut self, ix: usize) -> Option<&mut Order> {
        self.list.get_mut(ix)
    }

    pub(super) fn get(&self, ix: usize) -> Option<&Order> {
        self.list.get(ix)
    }

    /// All of them, oldest first.
    pub(super) fn all(&self) -> &[Order] {
        &self.list
    }

    pub(super) fn by_id(&self, id: u64) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn by_client(&self, client_id: &str) -> Option<usize> {
        self.by_client.get(client_id).copied()
    }

    /// Whether an open order was placed under this client id.
    pub(super) fn is_taken(&self, client_id: &str) -> bool {
        let order = self.by_client(client_id).and_then(|ix| self.get(ix));
        order.is_some_and(|o| o.status.is_open() && o.client_id == client_id)
    }

    /// Notes the client id that a cancelled order got; an id already in use stays with its order.
    pub(super) fn renamed(&mut self, ix: usize, cancel_id: &str) {
        self.by_client.entry(cancel_id.to_string()).or_insert(ix);
    }
}
