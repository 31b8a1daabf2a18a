//! Order states, positions and the ledger: what the engine believes about its own orders and money.
//!
//! - [`OrderTable`]: every open order in a fixed table, its life as the venue reports it (late, twice, or out of
//!   order), and the open risk of each instrument, kept incrementally.
//! - [`Ledger`]: positions, profit and loss, fees and expected balances per asset, in double entry and exact
//!   integers, so that they compare with the venue's balances to the last digit.
//!
//! Nothing here has a clock, a ring or a socket. Memory is taken at construction. Every fault of the input is a
//! small typed value; nothing panics and nothing wraps.

#![forbid(unsafe_code)]

mod entry;
mod executions;
mod id_map;
mod ledger;
mod order;
mod place;
mod position;
mod table;

pub use entry::{Account, Entry, Leg};
pub use ledger::{AMOUNT_DECIMALS, Booked, FEE_DECIMALS, Ledger, LedgerError, LedgerFill};
pub use order::{Applied, Fill, Order, OrderEntry, Question};
pub use position::Position;
pub use table::{Exposure, InsertError, OrderTable, Tally};
