//! The words of the house: prices, quantities, times, identities, instruments, and the fixed-size messages
//! that cross rings.
//!
//! This crate has no clock, no I/O, no allocation on the message path and no dependency. Numbers are integer
//! mantissas from the parser on; text and mantissa convert exactly or refuse.

#![forbid(unsafe_code)]

mod instrument;
mod msg;
mod num;
mod order_type;
mod reject_reason;

pub use instrument::{
    AccountId, AssetId, Instrument, InstrumentId, OrderId, PriceBand, QtyRule, Slot, VenueId,
};
pub use msg::{BookState, Kind, MSG_WORDS, Msg, NotSent, OrderState, QueryStatus, flag};
pub use num::{
    DECIMAL_TEXT_MAX, DECIMALS_MAX, Decimal, DecimalError, POW10, Px, Qty, Side, Ts, parse_decimal,
    write_decimal,
};
pub use order_type::OrderType;
pub use reject_reason::RejectReason;
