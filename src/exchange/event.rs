//! What the exchange says happened.

use crate::{AccountIx, ExOrderId, OrderKind, Stp, Tif};
use wire::{Px, Qty, Side, Ts};

/// One side of a trade, after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Order; `ExOrderId(0)` for the recorded market.
    pub id: ExOrderId,
    /// Account; [`AccountIx::NONE`] for the recorded market.
    pub account: AccountIx,
    /// The sender's mark; 0 for the recorded market.
    pub token: u64,
    /// Quantity left after this trade; 0 = the order is filled and done.
    pub leaves: Qty,
    /// Cumulative filled quantity after this trade.
    pub cum: Qty,
    /// Fee of this trade, mantissa at 8 decimals of the asset received (base for the buyer, quote for the
    /// seller); positive = paid, negative = rebate.
    pub fee: i64,
}

impl Party {
    /// The recorded market's side of a trade.
    pub const OUTSIDE: Party =
        Party { id: ExOrderId(0), account: AccountIx::NONE, token: 0, leaves: Qty(0), cum: Qty(0), fee: 0 };
}

/// Why the exchange itself ended an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExpireReason {
    /// Remainder of an immediate-or-cancel order.
    ImmediateOrCancel,
    /// Remainder of a market order that found the opposite side empty.
    NoLiquidity,
    /// It would have traded with an order of the same account, and a mode of [`Stp`] ended it instead.
    SelfTrade,
    /// A fill-or-kill order that could not be filled whole.
    FillOrKill,
    /// The other order of its pair traded or began to work.
    PairDone,
    /// Its trigger was reached and it could not be carried out: no funds, or its level was full.
    Rejected,
}

impl ExpireReason {
    /// Name for counters and reports.
    pub const fn name(self) -> &'static str {
        match self {
            ExpireReason::ImmediateOrCancel => "immediate_or_cancel",
            ExpireReason::NoLiquidity => "no_liquidity",
            ExpireReason::SelfTrade => "self_trade",
            ExpireReason::FillOrKill => "fill_or_kill",
            ExpireReason::PairDone => "pair_done",
            ExpireReason::Rejected => "rejected",
        }
    }
}

/// An event, in the order in which things happened.
///
/// An incoming order gives `Accepted`, then for each level it reaches the `Trade`s there followed by that
/// level's `Level`, then either `Level` (the remainder rests) or `Expired` (it does not) or nothing (filled). A
/// prevented self-trade is a `Prevented` followed by the `Expired` of each order that it ends. An order with a trigger
/// gives `Accepted` alone; when a trade reaches it, and the order that traded is done with, `Triggered` follows and it
/// goes on as if it had just arrived. Orders that the same trades set off do so in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExEvent {
    /// An order passed every rule and its funds are locked.
    Accepted {
        /// The exchange's number.
        id: ExOrderId,
        /// Whose.
        account: AccountIx,
        /// The sender's mark.
        token: u64,
        /// Side.
        side: Side,
        /// Limit price; zero for a market order.
        px: Px,
        /// Quantity.
        qty: Qty,
        /// Behaviour on arrival.
        kind: OrderKind,
        /// Life of the remainder.
        tif: Tif,
        /// When.
        ts: Ts,
    },
    /// Two orders traded at the resting order's price.
    Trade {
        /// From 1, +1 per trade.
        trade_id: u64,
        /// Price.
        px: Px,
        /// Quantity.
        qty: Qty,
        /// The order that arrived.
        taker: Party,
        /// The order that rested.
        maker: Party,
        /// Side of the taker, the aggressor.
        taker_side: Side,
        /// When.
        ts: Ts,
    },
    /// An order left by cancel.
    Cancelled {
        /// Order.
        id: ExOrderId,
        /// Whose.
        account: AccountIx,
        /// The sender's mark.
        token: u64,
        /// Filled before.
        cum: Qty,
        /// When.
        ts: Ts,
    },
    /// An order ended by its own terms or the exchange's rules.
    Expired {
        /// Order.
        id: ExOrderId,
        /// Whose.
        account: AccountIx,
        /// The sender's mark.
        token: u64,
        /// Filled before.
        cum: Qty,
        /// Why.
        reason: ExpireReason,
        /// When.
        ts: Ts,
    },
    /// An order's trigger was reached: it works from now on.
    Triggered {
        /// Order.
        id: ExOrderId,
        /// Whose.
        account: AccountIx,
        /// The sender's mark.
        token: u64,
        /// When.
        ts: Ts,
    },
    /// Two orders of one account would have traded and did not.
    Prevented {
        /// From 0, +1 per prevented trade.
        match_id: u64,
        /// Whose.
        account: AccountIx,
        /// The mark of the order that arrived.
        taker_token: u64,
        /// The mark of the order that rested.
        maker_token: u64,
        /// The price that the trade would have had.
        px: Px,
        /// What was left of the order that arrived.
        taker_leaves: Qty,
        /// What was left of the order that rested.
        maker_leaves: Qty,
        /// The mode that decided: never [`Stp::None`].
        mode: Stp,
        /// When.
        ts: Ts,
    },
    /// A level of the public book changed. Never sent by [`crate::RecordedMarket`], whose book is the
    /// recording's.
    Level {
        /// +1 per event, without gaps.
        update_id: u64,
        /// Which side of the book.
        side: Side,
        /// Price.
        px: Px,
        /// Total resting there now, absolute; 0 = the level is gone.
        qty_total: Qty,
    },
}

/// Best bid and best ask, each with the total displayed there; `None` = the side is empty.
pub type TopOfBook = (Option<(Px, Qty)>, Option<(Px, Qty)>);

/// The latest trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastTrade {
    /// Its number.
    pub trade_id: u64,
    /// Price.
    pub px: Px,
    /// Quantity.
    pub qty: Qty,
    /// Side of the taker.
    pub taker_side: Side,
    /// When.
    pub ts: Ts,
}
