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

#[cfg(test)]
mod tests;

use book::L2Book;
use venue::{
    DepthHead, DepthSequence, DepthVerdict, FeedError, FeedSession, Level, MarketEvent, Snapshot,
    SnapshotVerdict,
};
use wire::{BookState, Instrument, InstrumentId, Kind, Msg, Px, Qty, Side, Ts, flag};

/// Levels kept for each buffered depth update, on average.
const LEVELS_PER_UPDATE: usize = 64;
/// Tickers remembered for the book check, for each depth update that may be buffered: a ticker stream runs ahead of
/// a depth stream by at most so many.
const TICKERS_PER_UPDATE: usize = 8;
/// Levels a book holds on each side.
const BOOK_LEVELS: usize = 10_000;
/// Every how many applied updates the book is compared with the ticker.
const CHECK_EVERY: u64 = 20;
/// First pause between two snapshot requests; doubles with each up to the maximum.
const SNAPSHOT_RETRY_NS: u64 = 100_000_000;
/// Time in sync after which a snapshot is asked for at once again.
const CALM_NS: u64 = 10_000_000_000;
/// Longest pause between snapshot requests.
const SNAPSHOT_RETRY_NS_MAX: u64 = 5_000_000_000;

/// Checked settings of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedSettings {
    /// Depth updates (and 64 levels for each, together) kept while a snapshot is under way; more restart the
    /// synchronisation.
    pub pending_updates_max: usize,
    /// How long a book may take nothing while its ticker or its updates move on, ns; then it is out of sync.
    pub depth_silence_ns: u64,
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
    /// Missing depth ids found, and books eaten past the levels that they hold (each restarts the
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
}

/// Best prices as of an update id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticker {
    /// When the message that brought it was received.
    pub ts_recv: Ts,
    /// The venue's update id; 0 = there was none yet.
    pub update_id: u64,
    /// Best bid.
    pub bid: Level,
    /// Best ask.
    pub ask: Level,
}

/// Buffered updates: heads with the number of levels on each side and the receive time, levels in one flat row.
struct Pending {
    heads: Vec<(DepthHead, u32, u32, Ts)>,
    levels: Vec<Level>,
    updates_max: usize,
}

impl Pending {
    fn new(updates_max: usize) -> Pending {
        Pending {
            heads: Vec::with_capacity(updates_max),
            levels: Vec::with_capacity(updates_max * LEVELS_PER_UPDATE),
            updates_max,
        }
    }
}

struct Market<Q> {
    id: InstrumentId,
    book: L2Book,
    sequence: Q,
    state: BookState,
    pending: Pending,
    tickers: Box<[Ticker]>,
    ticker_next: usize,
    top: Ticker,
    last_trade_id: u64,
    snapshot: SnapshotWish,
    /// When a snapshot was asked for last.
    asked_at: Ts,
    retry_ns: u64,
    /// A snapshot is in the book.
    loaded: bool,
    /// Last update id in the book.
    book_id: u64,
    /// When the book last took something.
    depth_at: Ts,
    /// When it came into sync.
    synced_at: Ts,
    depth_silence_ns: u64,
}

/// A depth update in its parts, borrowed from the message.
#[derive(Clone, Copy)]
struct Update<'a> {
    head: DepthHead,
    bids: &'a [Level],
    asks: &'a [Level],
    ts_recv: Ts,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SnapshotWish {
    No,
    From(Ts),
    Asked,
}

/// Books of one venue connection.
pub struct Feed<V, Q> {
    session: V,
    source: u16,
    markets: Vec<Market<Q>>,
    /// What has been counted so far.
    pub counts: FeedCounts,
}

impl<V: FeedSession, Q: DepthSequence> Feed<V, Q> {
    /// Books for every instrument of the session, all `Down`.
    pub fn new(session: V, source: u16, settings: FeedSettings) -> Feed<V, Q> {
        let pending_updates_max = settings.pending_updates_max;
        let markets = session
            .instruments()
            .iter()
            .map(|i| Market {
                id: i.id,
                book: L2Book::with_capacity(BOOK_LEVELS),
                sequence: Q::default(),
                state: BookState::Down,
                pending: Pending::new(pending_updates_max),
                tickers: vec![Ticker::default(); (pending_updates_max * TICKERS_PER_UPDATE).max(1)]
                    .into_boxed_slice(),
                ticker_next: 0,
                top: Ticker::default(),
                last_trade_id: 0,
                snapshot: SnapshotWish::No,
                asked_at: Ts(0),
                retry_ns: SNAPSHOT_RETRY_NS,
                loaded: false,
                book_id: 0,
                depth_at: Ts(0),
                synced_at: Ts(0),
                depth_silence_ns: settings.depth_silence_ns,
            })
            .collect();
        Feed { session, source, markets, counts: FeedCounts::default() }
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
            m.restart(BookState::Syncing, now, self.source, out);
            m.last_trade_id = 0;
        }
    }

    /// The connection is gone: nothing may trade on these books.
    pub fn on_down(&mut self, now: Ts, out: &mut impl FnMut(Msg)) {
        for m in &mut self.markets {
            m.restart(BookState::Down, now, self.source, out);
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
        let Feed { session, source, markets, counts } = self;
        counts.messages += 1;
        let mut heard = Heard::Market;
        let result =
            session.on_message(payload, |event| match event {
                MarketEvent::Depth { head, bids, asks } => {
                    counts.updates_seen += 1;
                    if let Some(m) = market(markets, head.instrument) {
                        m.on_depth(Update { head, bids, asks, ts_recv }, *source, counts, out);
                    }
                }
                MarketEvent::Top { instrument, update_id, bid, ask } => {
                    counts.tickers += 1;
                    if let Some(m) = market(markets, instrument) {
                        m.on_ticker(Ticker { ts_recv, update_id, bid, ask }, *source, counts, out);
                    }
                }
                MarketEvent::Trade { instrument, trade_id, px, qty, aggressor, ts_exch } => {
                    counts.trades += 1;
                    if let Some(m) = market(markets, instrument) {
                        if m.last_trade_id != 0 && trade_id != m.last_trade_id + 1 {
                            counts.trade_gaps += 1;
                        }
                        m.last_trade_id = trade_id;
                        let side = if aggressor == Side::Sell { flag::SELL } else { 0 };
                        let mut msg = Msg::new(Kind::Trade, instrument, ts_recv)
                            .flags(side | flag::END)
                            .body([px.0, qty.0, trade_id as i64, 0]);
                        msg.source = *source;
                        msg.venue_seq = trade_id as u32;
                        msg.exch_delta_us = exch_delta_us(ts_exch, ts_recv);
                        out(msg);
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
                m.restart(BookState::Syncing, now, self.source, out);
            }
        }
    }

    /// The instrument whose snapshot should be requested now, if any. The wish is marked as asked for: each
    /// answer goes to [`Feed::on_snapshot`] or [`Feed::on_snapshot_failed`].
    pub fn take_snapshot_wish(&mut self, now: Ts) -> Option<InstrumentId> {
        let m =
            self.markets.iter_mut().find(|m| matches!(m.snapshot, SnapshotWish::From(at) if at <= now))?;
        m.snapshot = SnapshotWish::Asked;
        if m.asked_at != Ts(0) {
            m.retry_ns = (m.retry_ns * 2).min(SNAPSHOT_RETRY_NS_MAX);
        }
        m.asked_at = now;
        Some(m.id)
    }

    /// A snapshot arrived: load it and replay what was buffered, or ask for a newer one.
    pub fn on_snapshot(&mut self, snapshot: &Snapshot, now: Ts, out: &mut impl FnMut(Msg)) {
        let source = self.source;
        let Some(m) = market(&mut self.markets, snapshot.instrument) else { return };
        if m.snapshot != SnapshotWish::Asked || m.state == BookState::Down || m.loaded {
            return; // asked for before the connection was lost
        }
        m.on_snapshot(snapshot, now, source, &mut self.counts, out);
    }

    /// A snapshot could not be had: ask again after a pause that doubles.
    pub fn on_snapshot_failed(&mut self, instrument: InstrumentId, now: Ts) {
        self.counts.snapshots_failed += 1;
        if let Some(m) = market(&mut self.markets, instrument)
            && m.snapshot == SnapshotWish::Asked
        {
            m.wish(now);
        }
    }

    /// Current book states and tops again, for a consumer whose ring overflowed. A top keeps the time at which it
    /// was received.
    pub fn repeat(&self, now: Ts, out: &mut impl FnMut(Msg)) {
        for m in &self.markets {
            out(m.state_msg(now, self.source));
            if m.state == BookState::InSync && m.top.update_id != 0 {
                out(m.top_msg(self.source));
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

fn market<Q>(markets: &mut [Market<Q>], id: InstrumentId) -> Option<&mut Market<Q>> {
    markets.iter_mut().find(|m| m.id == id)
}

/// Exchange time minus receive time, µs; `i32::MIN` when it does not fit.
fn exch_delta_us(exch: Ts, recv: Ts) -> i32 {
    let delta = (exch.0 as i128 - recv.0 as i128) / 1_000;
    i32::try_from(delta).unwrap_or(i32::MIN)
}

impl<Q: DepthSequence> Market<Q> {
    fn restart(&mut self, state: BookState, now: Ts, source: u16, out: &mut impl FnMut(Msg)) {
        if self.state == BookState::InSync && now.since_ns(self.synced_at) > CALM_NS {
            self.retry_ns = SNAPSHOT_RETRY_NS;
        }
        self.sequence.reset();
        self.book.clear();
        self.pending.heads.clear();
        self.pending.levels.clear();
        self.top = Ticker::default();
        self.loaded = false;
        if state == BookState::Down {
            self.ticker_next = 0;
            self.tickers.fill(Ticker::default());
            self.snapshot = SnapshotWish::No;
            self.asked_at = Ts(0);
            self.retry_ns = SNAPSHOT_RETRY_NS;
        } else if self.snapshot != SnapshotWish::Asked {
            // The first buffered update asks. When a request is under way, its answer is judged against the
            // new buffer instead.
            self.snapshot = SnapshotWish::No;
        }
        self.state = state;
        out(self.state_msg(now, source));
    }

    fn state_msg(&self, now: Ts, source: u16) -> Msg {
        let mut msg =
            Msg::new(Kind::BookState, self.id, now).flags(flag::END).body([self.state as u8 as i64, 0, 0, 0]);
        msg.source = source;
        msg
    }

    fn top_msg(&self, source: u16) -> Msg {
        let Ticker { ts_recv, update_id, bid, ask } = self.top;
        let mut msg = Msg::new(Kind::Top, self.id, ts_recv)
            .flags(flag::END)
            .body([bid.px.0, bid.qty.0, ask.px.0, ask.qty.0]);
        msg.source = source;
        msg.venue_seq = update_id as u32;
        msg
    }

    fn on_ticker(&mut self, ticker: Ticker, source: u16, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        if ticker.bid.px >= ticker.ask.px && ticker.bid.qty.0 > 0 && ticker.ask.qty.0 > 0 {
            return self.cross(ticker.ts_recv, source, counts, out);
        }
        if ticker.update_id > self.book_id && self.is_stalled(ticker.ts_recv) {
            return self.stall(ticker.ts_recv, source, counts, out);
        }
        let at = self.ticker_next % self.tickers.len();
        self.tickers[at] = ticker;
        self.ticker_next += 1;
        if self.state == BookState::InSync && ticker.update_id > self.top.update_id {
            self.top = ticker;
            out(self.top_msg(source));
        }
    }

    fn on_depth(
        &mut self,
        update: Update<'_>,
        source: u16,
        counts: &mut FeedCounts,
        out: &mut impl FnMut(Msg),
    ) {
        let (head, now) = (update.head, update.ts_recv);
        match self.sequence.on_depth(head.first_id, head.last_id) {
            DepthVerdict::Apply => self.apply(update, source, counts, out),
            DepthVerdict::Stale => {
                counts.stale_dropped += 1;
                if self.is_stalled(now) {
                    self.stall(now, source, counts, out);
                }
            }
            DepthVerdict::Buffer => self.buffer(update, source, counts, out),
            DepthVerdict::Gap => {
                counts.gaps += 1;
                self.restart(BookState::Gap, now, source, out);
                // The update that showed the gap is the first of the new buffer.
                if self.sequence.on_depth(head.first_id, head.last_id) == DepthVerdict::Buffer {
                    self.buffer(update, source, counts, out);
                }
            }
        }
    }

    fn buffer(
        &mut self,
        update: Update<'_>,
        source: u16,
        counts: &mut FeedCounts,
        out: &mut impl FnMut(Msg),
    ) {
        let Update { head, bids, asks, ts_recv } = update;
        let levels = bids.len() + asks.len();
        let p = &mut self.pending;
        if p.heads.len() >= p.updates_max || p.levels.len() + levels > p.updates_max * LEVELS_PER_UPDATE {
            counts.overflows += 1;
            self.restart(BookState::Syncing, ts_recv, source, out);
            return;
        }
        p.heads.push((head, bids.len() as u32, asks.len() as u32, ts_recv));
        p.levels.extend_from_slice(bids);
        p.levels.extend_from_slice(asks);
        if self.snapshot == SnapshotWish::No {
            self.wish(ts_recv);
        }
    }

    /// Wishes for a snapshot: at once after a calm time, else with a pause since the last that doubles. A book that
    /// falls out of sync again and again must not spend the venue's budget on snapshots.
    fn wish(&mut self, now: Ts) {
        let at = if self.asked_at == Ts(0) { now } else { self.asked_at.plus_ns(self.retry_ns).max(now) };
        self.snapshot = SnapshotWish::From(at);
    }

    /// The market moves on, and nothing of it has reached the book for too long.
    fn is_stalled(&self, now: Ts) -> bool {
        self.loaded && now.since_ns(self.depth_at) > self.depth_silence_ns
    }

    /// The venue says that its book is crossed: nothing it said before can be trusted.
    #[cold]
    fn cross(&mut self, now: Ts, source: u16, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        counts.crossed += 1;
        if self.loaded {
            self.restart(BookState::Gap, now, source, out);
        }
    }

    #[cold]
    fn stall(&mut self, now: Ts, source: u16, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        counts.stalled += 1;
        self.restart(BookState::Gap, now, source, out);
    }

    fn on_snapshot(
        &mut self,
        snapshot: &Snapshot,
        now: Ts,
        source: u16,
        counts: &mut FeedCounts,
        out: &mut impl FnMut(Msg),
    ) {
        if self.sequence.on_snapshot(snapshot.last_id) == SnapshotVerdict::Refetch {
            self.wish(now);
            return;
        }
        let pair = |l: &Level| (l.px, l.qty);
        if self.book.load(snapshot.bids.iter().map(pair), snapshot.asks.iter().map(pair)).is_err() {
            counts.refused[FeedError::Range { field: "", value: 0, rule: "" }.index()] += 1;
            self.restart(BookState::Syncing, now, source, out);
            self.wish(now);
            return;
        }
        counts.snapshots += 1;
        self.snapshot = SnapshotWish::No;
        self.loaded = true;
        self.book_id = snapshot.last_id;
        self.depth_at = now;
        // Replay the buffer in order, without the tops on the way: they are of the past. It is moved out so that
        // `apply` may use `self`, and given back: no allocation, unless the buffer itself has a gap.
        let mut heads = core::mem::take(&mut self.pending.heads);
        let mut levels = core::mem::take(&mut self.pending.levels);
        let mut without_tops = |msg: Msg| {
            if msg.kind() != Some(Kind::Top) {
                out(msg);
            }
        };
        let mut at = 0;
        for &(head, bids, asks, ts_recv) in &heads {
            let (b, a) = (bids as usize, asks as usize);
            let bids = &levels[at..at + b];
            let asks = &levels[at + b..at + b + a];
            at += b + a;
            let update = Update { head, bids, asks, ts_recv };
            if self.loaded {
                self.on_depth(update, source, counts, &mut without_tops);
            } else if self.sequence.on_depth(head.first_id, head.last_id) == DepthVerdict::Buffer {
                self.pending.heads.push((head, b as u32, a as u32, ts_recv));
                self.pending.levels.extend_from_slice(bids);
                self.pending.levels.extend_from_slice(asks);
            }
        }
        heads.clear();
        levels.clear();
        heads.append(&mut self.pending.heads);
        levels.append(&mut self.pending.levels);
        self.pending.heads = heads;
        self.pending.levels = levels;
        if self.state == BookState::InSync {
            self.publish_newest_top(source, out);
        }
    }

    /// After a snapshot the ticker stream may already be ahead of the book: the newer of the two is the top.
    fn publish_newest_top(&mut self, source: u16, out: &mut impl FnMut(Msg)) {
        if let Some(last) = self.ticker_next.checked_sub(1) {
            let newest = self.tickers[last % self.tickers.len()];
            if newest.update_id > self.top.update_id {
                self.top = newest;
            }
        }
        if self.top.update_id != 0 {
            out(self.top_msg(source));
        }
    }

    fn apply(&mut self, update: Update<'_>, source: u16, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        let Update { head, bids, asks, ts_recv } = update;
        for l in bids {
            self.book.set(Side::Buy, l.px, l.qty);
        }
        for l in asks {
            self.book.set(Side::Sell, l.px, l.qty);
        }
        counts.applied += 1;
        if self.book.crossed() {
            counts.crossed += 1;
            self.restart(BookState::Gap, ts_recv, source, out);
            return;
        }
        if self.book.exhausted() {
            counts.gaps += 1;
            self.restart(BookState::Gap, ts_recv, source, out);
            return;
        }
        self.book_id = head.last_id;
        self.depth_at = ts_recv;
        let bridged = self.state != BookState::InSync;
        if bridged {
            // Only an update that continues the snapshot proves that both are of one book.
            self.state = BookState::InSync;
            self.synced_at = ts_recv;
            out(self.state_msg(ts_recv, source));
        }
        let best = self.book.best();
        if counts.applied.is_multiple_of(CHECK_EVERY)
            && let Some(ticker) = self.ticker_at(head.last_id)
        {
            counts.bbo_samples += 1;
            let same = ticker.bid == Level { px: best.bid_px, qty: best.bid_qty }
                && ticker.ask == Level { px: best.ask_px, qty: best.ask_qty };
            counts.bbo_matches += same as u64;
        }
        self.publish_levels(update, source, out);
        if head.last_id > self.top.update_id {
            let top = Ticker {
                ts_recv,
                update_id: head.last_id,
                bid: Level { px: best.bid_px, qty: best.bid_qty },
                ask: Level { px: best.ask_px, qty: best.ask_qty },
            };
            let changed = top.bid != self.top.bid || top.ask != self.top.ask;
            self.top = top;
            if changed {
                out(self.top_msg(source));
            }
        }
        if bridged {
            self.publish_newest_top(source, out);
        }
    }

    fn publish_levels(&self, update: Update<'_>, source: u16, out: &mut impl FnMut(Msg)) {
        let Update { head, bids, asks, ts_recv } = update;
        let n = bids.len() + asks.len();
        let sides = bids.iter().map(|l| (l, 0u8)).chain(asks.iter().map(|l| (l, flag::SELL)));
        let delta = head.ts_exch.map_or(i32::MIN, |t| exch_delta_us(t, ts_recv));
        for (i, (&Level { px: Px(px), qty: Qty(qty) }, side)) in sides.enumerate() {
            let end = if i + 1 == n { flag::END } else { 0 };
            let mut msg = Msg::new(Kind::Depth, self.id, ts_recv).flags(side | end).body([px, qty, 0, 0]);
            msg.source = source;
            msg.venue_seq = head.last_id as u32;
            msg.exch_delta_us = delta;
            out(msg);
        }
    }

    /// The last ticker with an update id at or below `update_id`.
    fn ticker_at(&self, update_id: u64) -> Option<Ticker> {
        let have = self.ticker_next.min(self.tickers.len());
        (1..=have)
            .map(|back| self.tickers[(self.ticker_next - back) % self.tickers.len()])
            .find(|t| t.update_id <= update_id)
    }
}
