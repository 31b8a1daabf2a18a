//! Why the gate refused an order.

use std::fmt;

use wire::BookState;

/// A refusal, with the value that broke the rule and the limit it broke. Prices and quantities are mantissas at
/// the instrument's scales, notionals at `px_decimals + qty_decimals`, ages in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reject {
    /// The kill switch is tripped.
    Killed,
    /// Trading is not allowed at the moment (start, recovery, operator).
    TradingOff,
    /// The venue does not accept orders for the instrument.
    InstrumentOff,
    /// The book is not in sync.
    BookNotInSync {
        /// What it is.
        state: BookState,
    },
    /// A side of the touch is empty, or the touch is crossed.
    NoTouch {
        /// Best bid, zero when empty.
        bid_px: i64,
        /// Best ask, zero when empty.
        ask_px: i64,
    },
    /// Market data is too old.
    StaleData {
        /// Age.
        age_ns: u64,
        /// Oldest allowed.
        max_ns: u64,
    },
    /// A time lies further in the future than clocks of this machine can differ.
    TimeAhead {
        /// How far.
        ahead_ns: u64,
        /// Furthest allowed.
        max_ns: u64,
    },
    /// The intent is older than its time to live, or than any may be; an intent without one has a limit of zero.
    IntentAged {
        /// Age.
        age_ns: u64,
        /// Oldest allowed.
        max_ns: u64,
    },
    /// Price is not positive, below the venue's lowest or above its highest.
    PxRange {
        /// Price.
        px: i64,
        /// The bound it broke.
        bound: i64,
    },
    /// Price is not a multiple of the tick.
    Tick {
        /// Price.
        px: i64,
        /// Tick.
        tick: i64,
    },
    /// Quantity is not positive, or below the venue's smallest or above its largest.
    QtyRange {
        /// Quantity.
        qty: i64,
        /// The bound it broke.
        bound: i64,
    },
    /// Quantity is not a multiple of the lot.
    Lot {
        /// Quantity.
        qty: i64,
        /// Lot.
        lot: i64,
    },
    /// Price × quantity is below the venue's smallest.
    NotionalMin {
        /// Price × quantity.
        notional: i128,
        /// Smallest.
        min: i128,
    },
    /// The order is larger than the limit.
    OrderQty {
        /// Quantity.
        qty: i64,
        /// Limit.
        max: i64,
    },
    /// The order is worth more than the limit.
    OrderNotional {
        /// Price × quantity; of a sell, at the better of its price and the bid.
        notional: i128,
        /// Limit.
        max: i128,
    },
    /// The position would be too large if every open order of this side filled, this one included.
    Position {
        /// That position, signed.
        position: i128,
        /// Limit, either way.
        max: i64,
    },
    /// That position would be worth too much at the touch.
    PositionNotional {
        /// Its value.
        notional: i128,
        /// Limit.
        max: i128,
    },
    /// As many orders as allowed are open.
    OpenOrders {
        /// Open orders, this one included.
        open: u32,
        /// Limit.
        max: u32,
    },
    /// The price is too far from the mid.
    CollarMid {
        /// Price.
        px: i64,
        /// Limit in basis points.
        max_bps: i64,
    },
    /// The price reaches too far through the opposite touch.
    CollarTouch {
        /// Price.
        px: i64,
        /// Limit in basis points.
        max_bps: i64,
    },
    /// The order could trade with an own resting order.
    SelfMatch {
        /// Price.
        px: i64,
        /// Best own price on the other side.
        own_px: i64,
    },
    /// The order rate is spent.
    Rate {
        /// Orders a second.
        rate_per_s: u32,
        /// Burst.
        burst: u32,
    },
    /// An input that cannot be: a negative open quantity.
    Input {
        /// The value.
        value: i64,
    },
    /// Only orders that reduce the position are allowed, and this one could open or turn it.
    ReduceOnly {
        /// The position if every open order of this side filled, this one included, signed.
        position: i128,
    },
    /// The stop price is on the side of the market where it would wake the order at once.
    StopSide {
        /// Stop price.
        px: i64,
        /// The touch that it must be beyond.
        touch_px: i64,
    },
    /// A stop price on an order that does not wait for one, or the limit price of one that does reaches too far
    /// through it.
    StopLimit {
        /// Stop price.
        px: i64,
        /// Limit in basis points; zero = there must be no stop price.
        max_bps: i64,
    },
    /// A post-only order would take.
    WouldCross {
        /// Price.
        px: i64,
        /// The touch it would meet.
        touch_px: i64,
    },
    /// The price is further from the middle than the venue lets it be from its average price.
    PriceBand {
        /// Price.
        px: i64,
        /// Factor of the middle that it broke, 8 decimals.
        factor: i64,
    },
}

impl Reject {
    /// Every [`Reject::name`], in the order of [`Reject::index`].
    pub const NAMES: [&'static str; 28] = [
        "killed",
        "trading_off",
        "instrument_off",
        "book_not_in_sync",
        "no_touch",
        "stale_data",
        "time_ahead",
        "intent_aged",
        "px_range",
        "tick",
        "qty_range",
        "lot",
        "notional_min",
        "order_qty",
        "order_notional",
        "position",
        "position_notional",
        "open_orders",
        "collar_mid",
        "collar_touch",
        "self_match",
        "rate",
        "input",
        "reduce_only",
        "stop_side",
        "stop_limit",
        "would_cross",
        "price_band",
    ];

    /// Position of this reason in [`Reject::NAMES`]; the reason code in messages and counters.
    #[inline]
    pub const fn index(&self) -> usize {
        match self {
            Reject::Killed => 0,
            Reject::TradingOff => 1,
            Reject::InstrumentOff => 2,
            Reject::BookNotInSync { .. } => 3,
            Reject::NoTouch { .. } => 4,
            Reject::StaleData { .. } => 5,
            Reject::TimeAhead { .. } => 6,
            Reject::IntentAged { .. } => 7,
            Reject::PxRange { .. } => 8,
            Reject::Tick { .. } => 9,
            Reject::QtyRange { .. } => 10,
            Reject::Lot { .. } => 11,
            Reject::NotionalMin { .. } => 12,
            Reject::OrderQty { .. } => 13,
            Reject::OrderNotional { .. } => 14,
            Reject::Position { .. } => 15,
            Reject::PositionNotional { .. } => 16,
            Reject::OpenOrders { .. } => 17,
            Reject::CollarMid { .. } => 18,
            Reject::CollarTouch { .. } => 19,
            Reject::SelfMatch { .. } => 20,
            Reject::StopSide { .. } => 24,
            Reject::StopLimit { .. } => 25,
            Reject::WouldCross { .. } => 26,
            Reject::PriceBand { .. } => 27,
            Reject::Rate { .. } => 21,
            Reject::Input { .. } => 22,
            Reject::ReduceOnly { .. } => 23,
        }
    }

    /// Name for counters and reports.
    #[inline]
    pub const fn name(&self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// The value that broke the rule and the limit it broke; zeros where there is no number.
    pub const fn value_and_limit(&self) -> (i128, i128) {
        match *self {
            Reject::Killed | Reject::TradingOff | Reject::InstrumentOff => (0, 0),
            Reject::BookNotInSync { state } => (state as i128, BookState::InSync as i128),
            Reject::NoTouch { bid_px, ask_px } => (bid_px as i128, ask_px as i128),
            Reject::StaleData { age_ns, max_ns } | Reject::IntentAged { age_ns, max_ns } => {
                (age_ns as i128, max_ns as i128)
            }
            Reject::TimeAhead { ahead_ns, max_ns } => (ahead_ns as i128, max_ns as i128),
            Reject::PxRange { px, bound } => (px as i128, bound as i128),
            Reject::Tick { px, tick } => (px as i128, tick as i128),
            Reject::QtyRange { qty, bound } => (qty as i128, bound as i128),
            Reject::Lot { qty, lot } => (qty as i128, lot as i128),
            Reject::NotionalMin { notional, min } => (notional, min),
            Reject::OrderQty { qty, max } => (qty as i128, max as i128),
            Reject::OrderNotional { notional, max } | Reject::PositionNotional { notional, max } => {
                (notional, max)
            }
            Reject::Position { position, max } => (position, max as i128),
            Reject::OpenOrders { open, max } => (open as i128, max as i128),
            Reject::CollarMid { px, max_bps } | Reject::CollarTouch { px, max_bps } => {
                (px as i128, max_bps as i128)
            }
            Reject::SelfMatch { px, own_px } => (px as i128, own_px as i128),
            Reject::StopSide { px, touch_px } | Reject::WouldCross { px, touch_px } => {
                (px as i128, touch_px as i128)
            }
            Reject::StopLimit { px, max_bps } => (px as i128, max_bps as i128),
            Reject::PriceBand { px, factor } => (px as i128, factor as i128),
            Reject::Rate { rate_per_s, burst } => (rate_per_s as i128, burst as i128),
            Reject::Input { value } => (value as i128, 0),
            Reject::ReduceOnly { position } => (position, 0),
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, limit) = self.value_and_limit();
        write!(f, "{}: value {value}, limit {limit}", self.name())
    }
}

impl std::error::Error for Reject {}
