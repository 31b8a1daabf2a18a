//! Orders as the exchange knows them.

use crate::AccountIx;
use wire::{OrderState, Px, Qty, Side, Ts};

/// The exchange's order number: from 1, +1 per accepted order, never reused. 0 is no order (the recorded
/// market's side of a trade).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ExOrderId(pub u64);

/// What an order does on arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderKind {
    /// Takes what its price allows; what then happens to the remainder is the [`Tif`]'s matter.
    Limit,
    /// Takes at any price; the remainder expires. Price and [`Tif`] are ignored.
    Market,
    /// Rests or is refused, never takes. [`Tif`] is ignored: it rests until cancelled.
    LimitMaker,
}

/// How long an order's remainder lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tif {
    /// Until cancelled.
    Gtc,
    /// Immediate or cancel: the remainder expires at once.
    Ioc,
    /// Fill or kill: all of it at once, or nothing.
    Fok,
}

/// Which orders expire when an order would trade with one of the same account (self-trade prevention). The mode of
/// the arriving order decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stp {
    /// None: the account trades with itself.
    None,
    /// The remainder of the arriving order; the resting order stays.
    #[default]
    ExpireTaker,
    /// The resting order; the arriving one goes on.
    ExpireMaker,
    /// Both.
    ExpireBoth,
}

/// Which way the market has to move before an order works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TriggerKind {
    /// Against the order: a buy waits for a trade at the stop price or above, a sell for one at it or below.
    StopLoss,
    /// In its favour: a buy waits for a trade at the stop price or below, a sell for one at it or above.
    TakeProfit,
}

/// A stop price: until a trade reaches it the order sleeps outside the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trigger {
    /// Which way.
    pub kind: TriggerKind,
    /// The stop price, mantissa at the instrument's `px_decimals`.
    pub px: Px,
}

impl Trigger {
    /// Whether it waits for prices to rise.
    #[inline]
    pub fn waits_for_rise(self, side: Side) -> bool {
        (self.kind == TriggerKind::StopLoss) == (side == Side::Buy)
    }

    /// Whether a trade at `px` sets it off.
    #[inline]
    pub fn is_reached(self, side: Side, px: Px) -> bool {
        if self.waits_for_rise(side) { px >= self.px } else { px <= self.px }
    }
}

/// A new order as it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submit {
    /// The sender's own mark, echoed in every event; the exchange neither reads it nor asks that it be unique.
    pub token: u64,
    /// Side.
    pub side: Side,
    /// Limit price, mantissa at the instrument's `px_decimals`; ignored for [`OrderKind::Market`].
    pub px: Px,
    /// Quantity of the base asset, mantissa at the instrument's `qty_decimals`; for market orders too, unless they
    /// give [`Submit::quote`].
    pub qty: Qty,
    /// Behaviour on arrival.
    pub kind: OrderKind,
    /// Life of the remainder; only [`OrderKind::Limit`] reads it.
    pub tif: Tif,
    /// Self-trade prevention.
    pub stp: Stp,
    /// Sleeps until this is reached; not for [`OrderKind::LimitMaker`].
    pub trigger: Option<Trigger>,
    /// A market order for an amount of quote, mantissa at 8 decimals, instead of a quantity: whole lots are bought
    /// or sold while their value stays within it. [`Submit::qty`] is ignored; not together with a trigger.
    pub quote: Option<i128>,
}

impl Submit {
    /// A limit order until cancelled, expiring as taker at a self-trade, without a mark: what most orders differ from
    /// in a field or two.
    pub const fn limit(side: Side, px: Px, qty: Qty) -> Submit {
        Submit {
            token: 0,
            side,
            px,
            qty,
            kind: OrderKind::Limit,
            tif: Tif::Gtc,
            stp: Stp::ExpireTaker,
            trigger: None,
            quote: None,
        }
    }

    /// Whether a remainder would rest in the book.
    #[inline]
    pub fn may_rest(&self) -> bool {
        rests(self.kind, self.tif)
    }
}

/// Whether an order of this behaviour rests with what it does not take.
#[inline]
fn rests(kind: OrderKind, tif: Tif) -> bool {
    match kind {
        OrderKind::Limit => tif == Tif::Gtc,
        OrderKind::Market => false,
        OrderKind::LimitMaker => true,
    }
}

/// An accepted order, open or done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExOrder {
    /// The exchange's number.
    pub id: ExOrderId,
    /// Whose.
    pub account: AccountIx,
    /// The sender's mark.
    pub token: u64,
    /// Side.
    pub side: Side,
    /// Limit price; zero for a market order.
    pub px: Px,
    /// Original quantity.
    pub qty: Qty,
    /// Filled so far.
    pub cum: Qty,
    /// Quote value of the fills so far, mantissa at 8 decimals.
    pub quote_cum: i128,
    /// Behaviour on arrival.
    pub kind: OrderKind,
    /// Life of the remainder.
    pub tif: Tif,
    /// Self-trade prevention when it takes.
    pub stp: Stp,
    /// What it waits or waited for.
    pub trigger: Option<Trigger>,
    /// Whether it works: `false` while it waits for its trigger.
    pub working: bool,
    /// The pair it belongs to while both of it are open: the number of the pair's first order; 0 = none.
    pub pair: u64,
    /// Whether its funds are locked for it alone: not while it sleeps in a pair, whose lock is shared.
    pub(crate) holds: bool,
    /// `Live`, `PartiallyFilled`, `Filled`, `Cancelled` or `Expired`.
    pub state: OrderState,
    /// When it was accepted.
    pub ts_accepted: Ts,
    /// When it last changed.
    pub ts_changed: Ts,
}

impl ExOrder {
    /// Quantity not filled; of a done order, the part that never will be.
    #[inline]
    pub fn leaves(&self) -> Qty {
        Qty(self.qty.0 - self.cum.0)
    }

    /// Whether a remainder would rest in the book.
    #[inline]
    pub(crate) fn may_rest(&self) -> bool {
        rests(self.kind, self.tif)
    }

    /// Whether it may trade at `px` of the opposite side.
    #[inline]
    pub(crate) fn crosses(&self, px: Px) -> bool {
        crosses(self.kind, self.side, self.px, px)
    }

    /// Whether it can still trade.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }
}

/// Whether an order of this behaviour and price may trade at `px` of the opposite side.
#[inline]
pub(crate) fn crosses(kind: OrderKind, side: Side, limit: Px, px: Px) -> bool {
    match (kind, side) {
        (OrderKind::Market, _) => true,
        (_, Side::Buy) => limit >= px,
        (_, Side::Sell) => limit <= px,
    }
}
