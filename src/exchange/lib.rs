//! A deterministic exchange in memory: price-time matching, fees, balances and filters of one instrument, and
//! seeded participants that make its book live. It serves the simulated venue, paper trading and backtests.
//!
//! There is no clock, no I/O, no thread and no hidden randomness here: time is a [`wire::Ts`] passed in, and
//! the same calls give the same events, bit for bit. Matching and accounting are integers only; floating point
//! appears nowhere but in the participants' idea of a fair price ([`Crowd`]), and even there without a libm
//! call, so that a seed means the same on every machine.
//!
//! Two markets share one back office (rules, balances, fees, order records):
//!
//! ```text
//!   Exchange        a real book: everybody's orders match by price, then time
//!   RecordedMarket  only our orders; a recording's trades and quotes decide what fills
//!         └──────────┬──────────┘
//!                 Market = judge, lock, match or sleep, wake, cancel
//!                Clearing = Rules (filters, exact scales) + Ledger (balances, fees) + Register (orders)
//! ```
//!
//! Every amount of money or asset (balances, fees, [`ExOrder::quote_cum`]) is a mantissa at
//! [`AMOUNT_DECIMALS`] = 8 decimals, for base and quote alike, as venues report them. An instrument whose
//! `tick × lot` is finer than that is refused by configuration, so every trade is exact.
//!
//! It knows limit, market (by quantity or by amount of quote) and maker orders, immediate-or-cancel and fill-or-kill,
//! stops and take-profits, pairs of which one cancels the other, and the modes of self-trade prevention.
//!
//! What it does not do: iceberg, pegged and trailing orders, amendments, auctions, margin.

#![forbid(unsafe_code)]

mod clearing;
mod crowd;
mod engine;
mod event;
mod ladder;
mod ledger;
mod market;
mod order;
mod pair;
mod recorded;
mod register;
mod reject;
mod rng;
mod rules;
mod sleeping;

pub use crowd::{Crowd, CrowdConfig, CrowdStats};
pub use engine::{Exchange, OpenBook};
pub use event::{ExEvent, ExpireReason, LastTrade, Party, TopOfBook};
pub use ledger::{AMOUNT_DECIMALS, AMOUNT_MAX, AccountIx, Balances};
pub use market::Market;
pub use order::{ExOrder, ExOrderId, OrderKind, Stp, Submit, Tif, Trigger, TriggerKind};
pub use recorded::{RecordedMarket, Recording};
pub use register::DONE_KEPT_PER_ACCOUNT;
pub use reject::{ExReject, ExchangeConfigError, FilterName, FilterRule};
pub use rules::{ExchangeConfig, FEE_PPM_MAX, Fees, Filters};
