//! The feed's logic: venue messages in, normalised events out, one book per instrument.
//!
//! This file owns the books, their synchronisation and the checks on them. It has no socket, ring or clock: bytes
//! and times come in through arguments, events leave through a closure, and the wish for a snapshot is a value
//! that the agent reads. Live, replay and the one-thread engine run exactly this code.
//!
//! ```text
//!   Down ──up──▶ Syncing ──snapshot bridged──▶ InSync ──id missing, crossed, stalled──▶ Gap ──bridged──▶ InSync
//!     ▲              │                            │                                       │
//!     └── link down ─┴──── malformed message ─────┴───────────────────────────────────────┘  (see `refuse`)
//! ```
//!
//! *Bridged* means that an update has continued the snapshot; before that nobody knows whether both are of one book.
//! *Stalled* means that tickers or updates come and none of them reaches the book.
//!
//! Messages that are well-formed and cannot be true are the business of [`integrity`](Doubt).

mod integrity;
mod market;
#[cfg(test)]
mod tests;

use book::L2Book;
use venue::{DepthSequence, FeedError, FeedSession, MarketEvent, Snapshot};
use wire::{BookState, Instrument, InstrumentId, Msg, Ts};

pub use integrity::{Bounds, Doubt, Ticker};
use market::{Market, PublicTrade, Update};

/// Checked settings of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedSettings {
    /// Depth updates (and 64 levels for each, together) kept while a snapshot is under way; more restart the
    /// synchronisation.
    pub pending_updates_max: usize,
    /// How long a book may take nothing while its ticker or its updates move on, ns; then it is out of sync.
    pub depth_silence_ns: u64,
    /// What is still plausible.
    pub bounds: Bounds,
}

/// What the feed counted. One writer: the feed agent copies it to the statistics segment on its slow beat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedCounts {
    /// Messages received, market or control.
    pub messages: u64,
    /// Messages refused, by [`FeedError::index`].
    pub refused: [u64; FeedError::NAMES.len()],
    /// Depth updates received.
    pub updates_seen: u64,
    /// Depth updates older than the snapshot.
    pub stale_dropped: u64,
    /// Depth updates applied to a book.
    pub applied: u64,
    /// Missing or repeated depth ids found, and books eaten past the levels that they hold (each restarts the
    /// synchronisation).
    pub gaps: u64,
    /// Synchronisations restarted because too much was buffered.
    pub overflows: u64,
    /// Snapshots applied.
    pub snapshots: u64,
    /// Snapshots that could not be had: refused, cut short or malformed.
    pub snapshots_failed: u64,
    /// Book checks made against the ticker.
    pub bbo_samples: u64,
    /// Book checks in which price and size of both sides were equal.
    pub bbo_matches: u64,
    /// Tickers received.
    pub tickers: u64,
    /// Public trades received.
    pub trades: u64,
    /// Missing trade ids found.
    pub trade_gaps: u64,
    /// Crossed tickers, and books crossed after an update (each restarts the synchronisation).
    pub crossed: u64,
    /// Books that took nothing for too long while the market moved on (each restarts the synchronisation).
    pub stalled: u64,
    /// Broken promises by [`Doubt::index`].
    pub doubted: [u64; Doubt::NAMES.len()],
}

/// Books of one venue connection.
pub struct Feed<V, Q> {
    session: V,
    markets: Vec<Market<Q>>,
    /// What has been counted so far.
    pub counts: FeedCounts,
}

impl<V: FeedSession, Q: DepthSequence> Feed<V, Q> {
    /// Books for every instrument of the session, all `Down`.
    pub fn new(session: V, source: u16, settings: FeedSettings) -> Feed<V, Q> {
        let ids = session.instruments().iter().map(|i| i.id);
        let markets = ids.map(|id| Market::new(id, source, settings)).collect();
        Feed { session, markets, counts: FeedCounts::default() }
    }

    /// State of an instrument's book; an unknown instrument is `Down`.
    pub fn state(&self, instrument: InstrumentId) -> BookState {
        self.markets.iter().find(|m| m.id == instrument).map_or(BookState::Down, |m| m.state)
    }

    /// `InSync` when every book is; else the state of the first that is not.
    pub fn worst_state(&self) -> BookState {
        self.markets.iter().map(|m| m.state).find(|s| *s != BookState::InSync).unwrap_or(BookState::InSync)
    }

    /// Each market's state and top, the time of the message that brought it with it.
    pub fn tops(&self) -> impl Iterator<Item = (&Instrument, BookState, Ticker)> {
        let markets = self.session.instruments().iter().zip(&self.markets);
        markets.map(|(instrument, m)| (instrument, m.state, m.top))
    }

    /// The book of an instrument.
    pub fn book(&self, instrument: InstrumentId) -> Option<&L2Book> {
        self.markets.iter().find(|m| m.id == instrument).map(|m| &m.book)
    }

    /// The connection came up: books wait for a snapshot.
    pub fn on_up(&mut self, now: Ts, out: &mut impl FnMut(Msg)) {
        for m in &mut self.markets {
            m.on_up(now, out);
        }
    }

    /// The connection is gone: nothing may trade on these books.
    pub fn on_down(&mut self, now: Ts, out: &mut impl FnMut(Msg)) {
        for m in &mut self.markets {
            m.restart(BookState::Down, now, out);
        }
    }

    /// One WebSocket text message, decoded in place.
    ///
    /// # Errors
    /// The message was refused. It has been counted, and since nobody can tell what it would have changed, every
    /// book of this connection is out of sync until its next snapshot.
    pub fn on_message(
        &mut self,
        payload: &mut [u8],
        ts_recv: Ts,
        out: &mut impl FnMut(Msg),
    ) -> Result<Heard, FeedError> {
        let Feed { session, markets, counts } = self;
        counts.messages += 1;
        let mut heard = Heard::Market;
        let result = session.on_message(payload, |event| match event {
            MarketEvent::Depth { head, bids, asks } => {
                counts.updates_seen += 1;
                if let Some(m) = market(markets, head.instrument) {
                    m.on_depth(Update { head, bids, asks, ts_recv }, counts, out);
                }
            }
            MarketEvent::Top { instrument, update_id, bid, ask } => {
                counts.tickers += 1;
                if let Some(m) = market(markets, instrument) {
                    m.on_ticker(Ticker { ts_recv, update_id, bid, ask }, counts, out);
                }
            }
            MarketEvent::Trade { instrument, trade_id: id, px, qty, aggressor, ts_exch } => {
                counts.trades += 1;
                if let Some(m) = market(markets, instrument) {
                    m.on_trade(PublicTrade { id, px, qty, aggressor, ts_exch, ts_recv }, counts, out);
                }
            }
            MarketEvent::Shutdown => heard = Heard::Shutdown,
            _ => heard = Heard::Control,
        });
        match result {
            Ok(()) => Ok(heard),
            Err(error) => {
                self.refuse(error, ts_recv, out);
                Err(error)
            }
        }
    }

    #[cold]
    fn refuse(&mut self, error: FeedError, now: Ts, out: &mut impl FnMut(Msg)) {
        self.counts.refused[error.index()] += 1;
        for m in &mut self.markets {
            if m.state != BookState::Down {
                m.restart(BookState::Syncing, now, out);
            }
        }
    }

    /// The instrument whose snapshot should be requested now, if any. The wish is marked as asked for: each
    /// answer goes to [`Feed::on_snapshot`] or [`Feed::on_snapshot_failed`].
    pub fn take_snapshot_wish(&mut self, now: Ts) -> Option<InstrumentId> {
        self.markets.iter_mut().find_map(|m| m.take_snapshot_wish(now).then_some(m.id))
    }

    /// A snapshot arrived: load it and replay what was buffered, or ask for a newer one.
    pub fn on_snapshot(&mut self, snapshot: &Snapshot, now: Ts, out: &mut impl FnMut(Msg)) {
        if let Some(m) = market(&mut self.markets, snapshot.instrument) {
            m.on_snapshot(snapshot, now, &mut self.counts, out);
        }
    }

    /// A snapshot could not be had: ask again after a pause that doubles.
    pub fn on_snapshot_failed(&mut self, instrument: InstrumentId, now: Ts) {
        self.counts.snapshots_failed += 1;
        if let Some(m) = market(&mut self.markets, instrument) {
            m.on_snapshot_failed(now);
        }
    }

    /// Current book states and tops again, for a consumer whose ring overflowed. A top keeps the time at which it
    /// was received.
    pub fn repeat(&self, now: Ts, out: &mut impl FnMut(Msg)) {
        for m in &self.markets {
            out(m.state_msg(now));
            if m.state == BookState::InSync && m.top.update_id != 0 {
                out(m.top_msg());
            }
        }
    }
}

/// What kind of message it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Market data.
    Market,
    /// An answer to a subscription or the like.
    Control,
    /// The venue is about to close the connection.
    Shutdown,
}

fn market<Q: DepthSequence>(markets: &mut [Market<Q>], id: InstrumentId) -> Option<&mut Market<Q>> {
    markets.iter_mut().find(|m| m.id == id)
}
