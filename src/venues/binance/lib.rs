//! Binance spot: parse, session, orders, signing, and the server half for simulation.
//!
//! Bytes in, events out; requests in, bytes out. This crate owns no socket, no clock and no thread; the server
//! half in `sim` is the same protocol from the other side. What it takes from the venue's documents
//! (`binance-spot-api-docs`, state of 2026-07-21) is cited where it is used.
//!
//! ```text
//!   market stream ──▶ feed ──▶ MarketEvent        REST ──▶ snapshot, instruments
//!        depth ids ──▶ sync (joins snapshot and stream)
//!
//!   NewOrder, CancelOrder, queries ──▶ orders (writes, signs) ──▶ WebSocket API
//!   WebSocket API ──▶ session (answers, by request id) ──▶ OrderEvent
//!                ├──▶ trades (executions, listed) ─────▶ OrderEvent
//!                └──▶ executions (account stream) ───────▶ OrderEvent
//! ```
//!
//! Messages are read from simd-json's tape in place (`json`), the two hottest by a scanner before it (`scan`).
//! Decimal text becomes a mantissa exactly or refuses the message; a refused message has delivered nothing. After
//! the buffers made at construction nothing allocates, on either path, as long as messages keep to [`LEVELS_MAX`]
//! and [`OPEN_ORDERS_MAX`].

#![forbid(unsafe_code)]

mod codes;
mod executions;
mod feed;
mod instruments;
mod json;
mod limits;
mod names;
mod orders;
mod pem;
mod place;
mod scan;
mod session;
mod sign;
pub mod sim;
mod snapshot;
mod sync;
mod trades;

pub use codes::{REASONS, code, is_fate_open, reason_name, reject_reason};
pub use feed::{BinanceFeed, LEVELS_MAX, SNAPSHOT_DEPTH};
pub use instruments::{
    DECIMALS, ExchangeInfo, InstrumentError, RateLimit, RateLimitKind, asset_names, exchange_info_target,
    parse_exchange_info, parse_exchange_info_full,
};
pub use orders::{RECV_WINDOW_MS, TRADES_MAX};
pub use place::SelfTrade;
pub use session::{BinanceOrders, OPEN_ORDERS_MAX};
pub use sign::{API_KEY_LEN_MAX, Credentials, CredentialsError, SIGNATURE_LEN};
pub use sync::BinanceDepthSequence;
