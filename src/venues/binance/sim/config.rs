//! What a simulated venue is made from.

use super::capture::{CaptureError, CaptureSource};
use super::faults::SimFaults;
use exchange::{CrowdConfig, Fees, Filters};
use rust_decimal::Decimal;
use wire::Instrument;

/// Everything a [`super::BinanceSim`] needs to start. The same configuration, connections, requests and times
/// give the same bytes.
pub struct SimConfig {
    /// The one instrument that is listed; `exchangeInfo` and every filter are made from it.
    pub instrument: Instrument,
    /// Where prices come from.
    pub market: SimMarket,
    /// The one account that may trade.
    pub account: SimAccount,
    /// Fees of that account, charged in the asset received.
    pub fees: Fees,
    /// Cadence of `<symbol>@depth@100ms`, ms, 1 or more; the venue's is 100. `<symbol>@depth` runs at ten times it.
    pub depth_interval_ms: u64,
    /// Rate limits.
    pub limits: SimLimits,
    /// What goes wrong on purpose.
    pub faults: SimFaults,
}

/// Where the prices of a simulated venue come from.
pub enum SimMarket {
    /// A seeded crowd trades with itself and with us in one matching engine.
    Crowd {
        /// Seed of everything the crowd does.
        seed: u64,
        /// How the crowd behaves.
        config: CrowdConfig,
    },
    /// Recorded frames are played byte for byte; our orders fill against the recorded trades and quotes.
    Recorded {
        /// Lines of `<local epoch ns> <raw JSON>`.
        lines: Box<dyn CaptureSource>,
    },
}

/// The account that may trade.
#[derive(Clone)]
pub struct SimAccount {
    /// Public part of the key, sent with every signed request.
    pub api_key: String,
    /// HMAC secret.
    pub secret: String,
    /// Free amount of the base asset at the start.
    pub base: Decimal,
    /// Free amount of the quote asset at the start.
    pub quote: Decimal,
}

/// What the venue allows: rates, in fixed windows aligned to the clock, lives of connections, filters of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimLimits {
    /// Unfilled orders per 10 s.
    pub orders_per_10s: u32,
    /// Unfilled orders per day.
    pub orders_per_day: u32,
    /// Request weight per minute.
    pub weight_per_min: u32,
    /// Requests that one market connection may send per second (SUBSCRIBE and the like).
    pub stream_requests_per_s: u32,
    /// Requests over the weight limit within one minute after which the address is banned (418): 2 minutes the first
    /// time, twice as long each further time, 3 days at most. 0 = never.
    pub ban_after: u32,
    /// How long a connection may live, ms.
    pub connection_ms: u64,
    /// How long before that end a `serverShutdown` event says so, ms; 0 = not at all.
    pub shutdown_notice_ms: u64,
    /// Filters of the account beyond the instrument's own; `exchangeInfo` lists those that are set.
    pub filters: Filters,
}

impl Default for SimLimits {
    /// The venue's published figures: 50 orders in 10 s, 160000 a day, weight 6000 a minute, 5 messages a second,
    /// connections of 24 hours. It bans for repeated violation without saying how often that is: after 20 here.
    /// Nor does it say how long before an end its notice comes: 10 minutes here.
    fn default() -> SimLimits {
        SimLimits {
            orders_per_10s: 50,
            orders_per_day: 160_000,
            weight_per_min: 6_000,
            stream_requests_per_s: 5,
            ban_after: 20,
            connection_ms: 86_400_000,
            shutdown_notice_ms: 600_000,
            filters: Filters::default(),
        }
    }
}

/// How fast recorded lines fall due.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum CapturePace {
    /// Each line at its own stamp: the caller's clock runs in capture time.
    #[default]
    Stamps,
    /// Relative to the start of play, this many times as fast as recorded (1.0 = as recorded; above 0). Time spent
    /// waiting for a snapshot request does not count.
    Scaled(f64),
    /// At once: every call plays as many lines as it is allowed to.
    Max,
}

/// Why a simulated venue could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// A configured value breaks its rule.
    #[error("{field} is {value}, {rule}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// The rule.
        rule: &'static str,
    },
    /// The capture could not be opened.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

impl SimError {
    pub(super) fn config(field: &'static str, value: impl ToString, rule: &'static str) -> SimError {
        SimError::Config { field, value: value.to_string(), rule }
    }
}
