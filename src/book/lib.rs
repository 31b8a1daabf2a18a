//! Order books by price (L2).
//!
//! [`L2Book`] keeps both sides of one instrument as absolute quantities by price. It applies what it is told:
//! whether an update continues the book is the venue's sequence rule, and is judged before it arrives here.
//! A book that is [`L2Book::crossed`] after a whole update is wrong and must be resynchronised.
//!
//! The crate has no clock, no I/O and no venue. Memory is taken once, in [`L2Book::with_capacity`]; after that
//! nothing allocates and every update has a bounded cost (see `ladder.rs` for the structure and its proof).

#![forbid(unsafe_code)]

mod l2;
mod ladder;
mod top;

pub use l2::{BookError, L2Book};
pub use ladder::Change;
pub use top::{Top, microprice};
