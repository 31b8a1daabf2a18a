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
    /// Quantity of the base asset, mantissa at the instrument's `qty_decimals`; for market orders too.
    pub qty: Qty,
    /// Behaviour on arrival.
    pub kind: OrderKind,
    /// Life of the remainder; only [`OrderKind::Limit`] reads it.
    pub tif: Tif,
}

impl Submit {
    /// Whether a remainder would rest in the book.
    #[inline]
    pub fn may_rest(&self) -> bool {
        match self.kind {
            OrderKind::Limit => self.tif == Tif::Gtc,
            OrderKind::Market => false,
            OrderKind::LimitMaker => true,
        }
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

    /// Whether it can still trade.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }
}
