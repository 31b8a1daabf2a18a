//! What a venue is to the engine: sans-I/O contracts for market data, orders and account.
//!
//! An implementation takes bytes and returns events, or takes a request and returns bytes. It owns no socket,
//! no clock and no thread; the time it needs (signing, ages) is passed in. So the same code runs live, against
//! the simulated venue, in the one-thread engine and under a fuzzer.

#![forbid(unsafe_code)]

mod feed;
mod orders;

pub use feed::{
    DepthHead, DepthSequence, DepthVerdict, FeedError, FeedSession, Level, MarketEvent, Snapshot,
    SnapshotVerdict,
};
pub use orders::{
    AccountAsset, CancelOrder, ClientOrderId, ClientOrderIdError, EncodeError, Fill, HalfDone, NewOrder,
    OpenOrder, OrderError, OrderEvent, OrderSession, QueryAnswer, QueryKind, RestRequest,
};
