//! Market data of one venue connection.

use wire::{DecimalError, Instrument, InstrumentId, Px, Qty, Side, Ts};

/// One price level. `qty` zero = the level is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Price.
    pub px: Px,
    /// Total quantity resting there, absolute (not a change).
    pub qty: Qty,
}

/// What a depth update says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthHead {
    /// Which book.
    pub instrument: InstrumentId,
    /// First update id that the message covers.
    pub first_id: u64,
    /// Last update id that the message covers.
    pub last_id: u64,
    /// Exchange event time, when the message carries one.
    pub ts_exch: Option<Ts>,
}

/// What a market-data message said. Slices live until the next call.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum MarketEvent<'a> {
    /// Changed levels of a book.
    Depth {
        /// Which book, which ids.
        head: DepthHead,
        /// Changed bids.
        bids: &'a [Level],
        /// Changed asks.
        asks: &'a [Level],
    },
    /// Best bid and ask as of `update_id`.
    Top {
        /// Which book.
        instrument: InstrumentId,
        /// The venue's book update id.
        update_id: u64,
        /// Best bid.
        bid: Level,
        /// Best ask.
        ask: Level,
    },
    /// A public trade.
    Trade {
        /// Which instrument.
        instrument: InstrumentId,
        /// The venue's trade id, +1 per trade.
        trade_id: u64,
        /// Price.
        px: Px,
        /// Quantity.
        qty: Qty,
        /// Side of the aggressor.
        aggressor: Side,
        /// Exchange trade time.
        ts_exch: Ts,
    },
    /// The venue answered a subscription or another request without market content.
    Control,
    /// The venue announces that it will close this connection; reconnect now.
    Shutdown,
}

/// A full book at one update id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Which book.
    pub instrument: InstrumentId,
    /// Id of the last update it contains.
    pub last_id: u64,
    /// Bids, best first.
    pub bids: Vec<Level>,
    /// Asks, best first.
    pub asks: Vec<Level>,
}

/// Why a market-data message was refused. Small and `Copy`; `name` is the counter's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// Not JSON, or cut short.
    #[error("message of {len} bytes is not valid JSON")]
    Syntax {
        /// Length in bytes.
        len: usize,
    },
    /// A field that must be there is not, or has the wrong type.
    #[error("field {field:?} is missing or of the wrong type")]
    Field {
        /// Its name on the wire.
        field: &'static str,
    },
    /// A number broke the rule of its field.
    #[error("field {field:?}: {error}")]
    Number {
        /// Its name on the wire.
        field: &'static str,
        /// Which rule.
        error: DecimalError,
    },
    /// A symbol that was not subscribed.
    #[error("symbol is not one of those subscribed")]
    Symbol,
    /// A price of zero on a level or trade, or ids that run backwards inside one message.
    #[error("field {field:?}: value {value} breaks {rule}")]
    Range {
        /// Its name on the wire.
        field: &'static str,
        /// The value.
        value: u64,
        /// The rule.
        rule: &'static str,
    },
    /// More levels than are reserved for one message.
    #[error("{levels} levels in one message, at most {max} are taken")]
    TooManyLevels {
        /// Levels in the message.
        levels: usize,
        /// The bound.
        max: usize,
    },
    /// An event type this session does not know.
    #[error("unknown event type")]
    UnknownEvent,
    /// The venue answered with an error.
    #[error("venue error {code}")]
    Venue {
        /// The venue's code.
        code: i32,
    },
}

impl FeedError {
    /// Name of every kind of error, for counters.
    pub const NAMES: [&'static str; 9] = [
        "syntax",
        "field",
        "number",
        "symbol",
        "range",
        "too_many_levels",
        "unknown_event",
        "venue_error",
        "negative",
    ];

    /// Index of this error's counter in [`FeedError::NAMES`].
    pub const fn index(self) -> usize {
        match self {
            FeedError::Syntax { .. } => 0,
            FeedError::Field { .. } => 1,
            FeedError::Number { error: DecimalError::Negative, .. } => 8,
            FeedError::Number { .. } => 2,
            FeedError::Symbol => 3,
            FeedError::Range { .. } => 4,
            FeedError::TooManyLevels { .. } => 5,
            FeedError::UnknownEvent => 6,
            FeedError::Venue { .. } => 7,
        }
    }
}

/// Market-data half of a venue connection, sans I/O.
pub trait FeedSession {
    /// HTTP target of the WebSocket upgrade, with every subscription in it where the venue allows that.
    fn stream_target(&self) -> String;

    /// HTTP target of the REST snapshot of one book.
    fn snapshot_target(&self, instrument: InstrumentId) -> String;

    /// Weight of a snapshot request, as the venue counts it.
    fn snapshot_weight(&self) -> u32;

    /// Decodes one WebSocket text message in place (the bytes are rewritten) and calls `sink` for each event.
    /// After warm-up nothing is allocated.
    ///
    /// # Errors
    /// The message was refused whole: `sink` has not been called for any part of it.
    fn on_message<S: FnMut(MarketEvent<'_>)>(&mut self, payload: &mut [u8], sink: S)
    -> Result<(), FeedError>;

    /// Decodes the body of a REST snapshot. Runs on the housekeeping thread; allocates.
    ///
    /// # Errors
    /// As [`FeedSession::on_message`]; also levels out of order or crossed.
    fn parse_snapshot(&self, instrument: InstrumentId, body: &mut [u8]) -> Result<Snapshot, FeedError>;

    /// Rules and scales of every instrument of this session.
    fn instruments(&self) -> &[Instrument];
}

/// What to do with a depth update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepthVerdict {
    /// No snapshot yet: keep it.
    Buffer,
    /// Older than the book: drop it, count it.
    Stale,
    /// Continues the book: apply it whole.
    Apply,
    /// Something between the book and this update is missing: discard everything, ask for a snapshot.
    Gap,
}

/// What to do with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotVerdict {
    /// Load it, then offer the buffered updates again in order.
    Accept,
    /// Older than the first buffered update: fetch another.
    Refetch,
}

/// A venue's own rule for joining a snapshot and a stream of updates. Pure; one per book.
pub trait DepthSequence: Default {
    /// Judges an update; on `Apply` the rule has moved on to `last_id`.
    fn on_depth(&mut self, first_id: u64, last_id: u64) -> DepthVerdict;

    /// Judges a snapshot against the first update buffered since the last reset; on `Accept` updates are
    /// judged against it from now on.
    fn on_snapshot(&mut self, last_id: u64) -> SnapshotVerdict;

    /// Forgets everything: a new connection, or a gap.
    fn reset(&mut self);
}
