//! Refusals, each with field, value and rule.

use crate::{AccountIx, ExOrderId};
use core::fmt;
use wire::{Decimal, Px, Qty, Side};

/// A rule of the instrument, under the name venues give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FilterName {
    /// Price bounds and tick.
    PriceFilter,
    /// Quantity bounds and lot.
    LotSize,
    /// Price × quantity.
    Notional,
    /// Open orders of the account.
    MaxNumOrders,
    /// Quantity bounds and lot of market orders.
    MarketLotSize,
    /// Price against the last traded one.
    PercentPriceBySide,
    /// Orders of the account that wait for a trigger.
    MaxNumAlgoOrders,
    /// Base that the account could come to hold.
    MaxPosition,
}

impl FilterName {
    /// The venues' name: `PRICE_FILTER`, `LOT_SIZE` and so on.
    pub const fn name(self) -> &'static str {
        match self {
            FilterName::PriceFilter => "PRICE_FILTER",
            FilterName::LotSize => "LOT_SIZE",
            FilterName::Notional => "NOTIONAL",
            FilterName::MaxNumOrders => "MAX_NUM_ORDERS",
            FilterName::MarketLotSize => "MARKET_LOT_SIZE",
            FilterName::PercentPriceBySide => "PERCENT_PRICE_BY_SIDE",
            FilterName::MaxNumAlgoOrders => "MAX_NUM_ALGO_ORDERS",
            FilterName::MaxPosition => "MAX_POSITION",
        }
    }

    /// The field that the rule is about.
    pub const fn field(self) -> &'static str {
        match self {
            FilterName::PriceFilter => "px",
            FilterName::LotSize => "qty",
            FilterName::Notional => "notional",
            FilterName::MaxNumOrders => "open_orders",
            FilterName::MarketLotSize => "qty",
            FilterName::PercentPriceBySide => "px",
            FilterName::MaxNumAlgoOrders => "algo_orders",
            FilterName::MaxPosition => "position",
        }
    }
}

impl fmt::Display for FilterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a filter bounds its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FilterRule {
    /// Not below the bound.
    AtLeast,
    /// Not above the bound.
    AtMost,
    /// A multiple of the bound.
    MultipleOf,
}

impl fmt::Display for FilterRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            FilterRule::AtLeast => "at least",
            FilterRule::AtMost => "at most",
            FilterRule::MultipleOf => "a multiple of",
        })
    }
}

/// Why an order or a cancel was refused. A refused call changes nothing and gives no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExReject {
    /// A rule of the instrument.
    #[error("filter {name}: {} is {value}, must be {rule} {bound}", name.field())]
    Filter {
        /// Which.
        name: FilterName,
        /// The order's value.
        value: Decimal,
        /// How it is bounded.
        rule: FilterRule,
        /// The bound.
        bound: Decimal,
    },
    /// The account's free balance does not cover the order.
    #[error("{asset} balance: {free} free, the order needs {needed}")]
    InsufficientBalance {
        /// `"base"` or `"quote"`.
        asset: &'static str,
        /// What the order would lock or pay, at 8 decimals.
        needed: Decimal,
        /// What is free, at 8 decimals.
        free: Decimal,
    },
    /// A [`crate::OrderKind::LimitMaker`] order would trade at once.
    #[error("side {side:?}, px mantissa {px}: a maker order must not reach the best opposite price {best}", px = px.0, best = best.0)]
    WouldTake {
        /// Its side.
        side: Side,
        /// Its price.
        px: Px,
        /// The best opposite price.
        best: Px,
    },
    /// An order's trigger is reached already.
    #[error("side {side:?}, stop px mantissa {px}: must not be reached by the last trade at {last}", px = px.0, last = last.0)]
    WouldTrigger {
        /// Its side.
        side: Side,
        /// Its stop price.
        px: Px,
        /// The last traded price.
        last: Px,
    },
    /// A trigger on a maker order, or an amount of quote on anything but a market order without trigger.
    #[error("kind, trigger and quote must go together")]
    Composition,
    /// A market order for an amount of quote found less than the smallest quantity.
    #[error("qty is {qty}, the opposite side must offer at least {min}", qty = qty.0, min = min.0)]
    ThinBook {
        /// What there was, in whole lots.
        qty: Qty,
        /// The smallest quantity.
        min: Qty,
    },
    /// The two orders of a pair do not make one.
    #[error("pair: must be one side, one quantity, and a maker order or take-profit with a stop-loss")]
    PairShape,
    /// The market is not between the two orders of a pair.
    #[error("pair: the last trade must lie between the two prices")]
    PairPrices,
    /// No open order of this account has this number (never existed, done, or somebody else's).
    #[error("order id {}: must be an open order of the account", id.0)]
    UnknownOrder {
        /// The number.
        id: ExOrderId,
    },
    /// No such account.
    #[error("account {}: must be one that was added", account.0)]
    UnknownAccount {
        /// The number.
        account: AccountIx,
    },
    /// The instrument is halted; cancels still pass.
    #[error("trading is false: the instrument takes no new orders")]
    NotTrading,
    /// The level's total would no longer fit 64 bits.
    #[error("px mantissa {px}: level total {total} + qty {qty} must fit 64 bits", px = px.0, total = total.0, qty = qty.0)]
    LevelFull {
        /// Price of the level.
        px: Px,
        /// What rests there.
        total: Qty,
        /// What was to be added.
        qty: Qty,
    },
}

/// Why an exchange could not be made from a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeConfigError {
    /// A scale out of range.
    #[error("{field} is {value}, must be at most {max}")]
    Decimals {
        /// Field of the instrument.
        field: &'static str,
        /// Its value.
        value: u8,
        /// The bound.
        max: u8,
    },
    /// A negative rule.
    #[error("{field} is {value}, must be zero (not checked) or more")]
    Negative {
        /// Field of the instrument.
        field: &'static str,
        /// Its mantissa.
        value: i128,
    },
    /// A lower bound above its upper bound.
    #[error("{field} is {min}, must not exceed the upper bound {max}")]
    Bounds {
        /// The lower bound's field.
        field: &'static str,
        /// Its mantissa.
        min: i64,
        /// The upper bound's mantissa.
        max: i64,
    },
    /// Trades would not be exact: the product or step has digits beyond the 8 decimals of amounts.
    #[error("{field} is {value}, must have no digit beyond {decimals} decimals")]
    Inexact {
        /// `"lot"` or `"tick * lot"`.
        field: &'static str,
        /// The offending step.
        value: Decimal,
        /// Decimals that amounts carry.
        decimals: u8,
    },
    /// A fee out of range.
    #[error("{field} is {value}, must lie within ±{max}")]
    Fee {
        /// `"maker_ppm"` or `"taker_ppm"`.
        field: &'static str,
        /// Its value.
        value: i64,
        /// The bound.
        max: i64,
    },
}
