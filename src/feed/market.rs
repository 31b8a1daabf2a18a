//! One instrument's book: joining snapshot and updates, judging what comes, saying what has changed.

use book::L2Book;
use venue::{DepthHead, DepthSequence, DepthVerdict, FeedError, Level, Snapshot, SnapshotVerdict};
use wire::{BookState, InstrumentId, Kind, Msg, Px, Qty, Side, Ts, flag};

use super::integrity::{Bounds, Doubt, GoodPrice, StreamTime, Ticker, TickerCheck};
use super::{FeedCounts, FeedSettings};

/// Levels kept for each buffered depth update, on average.
const LEVELS_PER_UPDATE: usize = 64;
/// Tickers remembered for the book check, for each depth update that may be buffered: a ticker stream runs ahead of
/// a depth stream by at most so many.
const TICKERS_PER_UPDATE: usize = 8;
/// Levels a book holds on each side.
pub(super) const BOOK_LEVELS: usize = 10_000;
/// First pause between two snapshot requests; doubles with each up to the maximum.
pub(super) const SNAPSHOT_RETRY_NS: u64 = 100_000_000;
/// Time in sync after which a snapshot is asked for at once again.
const CALM_NS: u64 = 10_000_000_000;
/// Longest pause between snapshot requests.
const SNAPSHOT_RETRY_NS_MAX: u64 = 5_000_000_000;

/// One depth update.
#[derive(Clone, Copy)]
pub(super) struct Update<'a> {
    pub(super) head: DepthHead,
    pub(super) bids: &'a [Level],
    pub(super) asks: &'a [Level],
    pub(super) ts_recv: Ts,
}

/// One public trade.
#[derive(Clone, Copy)]
pub(super) struct PublicTrade {
    pub(super) id: u64,
    pub(super) px: Px,
    pub(super) qty: Qty,
    pub(super) aggressor: Side,
    pub(super) ts_exch: Ts,
    pub(super) ts_recv: Ts,
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

    fn has_room(&self, u: &Update<'_>) -> bool {
        let levels = self.levels.len() + u.bids.len() + u.asks.len();
        self.heads.len() < self.updates_max && levels <= self.updates_max * LEVELS_PER_UPDATE
    }

    fn push(&mut self, u: &Update<'_>) {
        self.heads.push((u.head, u.bids.len() as u32, u.asks.len() as u32, u.ts_recv));
        self.levels.extend_from_slice(u.bids);
        self.levels.extend_from_slice(u.asks);
    }

    fn clear(&mut self) {
        self.heads.clear();
        self.levels.clear();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SnapshotWish {
    No,
    From(Ts),
    Asked,
}

/// The book of one instrument and what guards it.
pub(super) struct Market<Q> {
    pub(super) id: InstrumentId,
    pub(super) book: L2Book,
    pub(super) state: BookState,
    pub(super) top: Ticker,
    source: u16,
    bounds: Bounds,
    sequence: Q,
    pending: Pending,
    tickers: TickerCheck,
    good: GoodPrice,
    depth_time: StreamTime,
    trade_time: StreamTime,
    /// 0 = none on this connection.
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

// ---- Setup, connections, snapshots ----

impl<Q: DepthSequence> Market<Q> {
    pub(super) fn new(id: InstrumentId, source: u16, settings: FeedSettings) -> Market<Q> {
        let FeedSettings { pending_updates_max: updates_max, depth_silence_ns, bounds } = settings;
        Market {
            id,
            book: L2Book::with_capacity(BOOK_LEVELS),
            state: BookState::Down,
            top: Ticker::default(),
            source,
            bounds,
            sequence: Q::default(),
            pending: Pending::new(updates_max),
            tickers: TickerCheck::new(updates_max * TICKERS_PER_UPDATE),
            good: GoodPrice::default(),
            depth_time: StreamTime::default(),
            trade_time: StreamTime::default(),
            last_trade_id: 0,
            snapshot: SnapshotWish::No,
            asked_at: Ts(0),
            retry_ns: SNAPSHOT_RETRY_NS,
            loaded: false,
            book_id: 0,
            depth_at: Ts(0),
            synced_at: Ts(0),
            depth_silence_ns,
        }
    }

    /// A new connection: its streams begin anew.
    pub(super) fn on_up(&mut self, now: Ts, out: &mut impl FnMut(Msg)) {
        self.restart(BookState::Syncing, now, out);
        self.last_trade_id = 0;
        (self.depth_time, self.trade_time) = (StreamTime::default(), StreamTime::default());
    }

    pub(super) fn restart(&mut self, state: BookState, now: Ts, out: &mut impl FnMut(Msg)) {
        if self.state == BookState::InSync && now.since_ns(self.synced_at) > CALM_NS {
            self.retry_ns = SNAPSHOT_RETRY_NS;
        }
        self.sequence.reset();
        self.book.clear();
        self.pending.clear();
        self.tickers.forget_books();
        self.top = Ticker::default();
        self.good = GoodPrice::default();
        self.loaded = false;
        if state == BookState::Down {
            self.tickers.clear();
            self.snapshot = SnapshotWish::No;
            self.asked_at = Ts(0);
            self.retry_ns = SNAPSHOT_RETRY_NS;
        } else if self.snapshot != SnapshotWish::Asked {
            // The first buffered update asks. When a request is under way, its answer is judged against the
            // new buffer instead.
            self.snapshot = SnapshotWish::No;
        }
        self.state = state;
        out(self.state_msg(now));
    }

    /// A broken promise: the book starts over.
    #[cold]
    fn doubt(&mut self, doubt: Doubt, now: Ts, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        counts.doubted[doubt.index()] += 1;
        if matches!(doubt, Doubt::TickerOrder | Doubt::NotTheTicker) {
            // One ticker of the future would pass for the newest for ever.
            self.tickers.clear();
        }
        if self.state != BookState::Down {
            self.restart(BookState::Gap, now, out);
        }
    }

    /// Whether a snapshot should be requested now; the wish is then marked as asked for.
    pub(super) fn take_snapshot_wish(&mut self, now: Ts) -> bool {
        let due = matches!(self.snapshot, SnapshotWish::From(at) if at <= now);
        if due {
            self.snapshot = SnapshotWish::Asked;
            if self.asked_at != Ts(0) {
                self.retry_ns = (self.retry_ns * 2).min(SNAPSHOT_RETRY_NS_MAX);
            }
            self.asked_at = now;
        }
        due
    }

    pub(super) fn on_snapshot_failed(&mut self, now: Ts) {
        if self.snapshot == SnapshotWish::Asked {
            self.wish(now);
        }
    }

    /// Wishes for a snapshot: at once after a calm time, else with a pause since the last that doubles. A book that
    /// falls out of sync again and again must not spend the venue's budget on snapshots.
    fn wish(&mut self, now: Ts) {
        let at = if self.asked_at == Ts(0) { now } else { self.asked_at.plus_ns(self.retry_ns).max(now) };
        self.snapshot = SnapshotWish::From(at);
    }

    pub(super) fn on_snapshot(
        &mut self,
        snapshot: &Snapshot,
        now: Ts,
        counts: &mut FeedCounts,
        out: &mut impl FnMut(Msg),
    ) {
        if self.snapshot != SnapshotWish::Asked || self.state == BookState::Down || self.loaded {
            return; // asked for before the connection was lost
        }
        if self.sequence.on_snapshot(snapshot.last_id) == SnapshotVerdict::Refetch {
            self.wish(now);
            return;
        }
        let pair = |l: &Level| (l.px, l.qty);
        if self.book.load(snapshot.bids.iter().map(pair), snapshot.asks.iter().map(pair)).is_err() {
            counts.refused[FeedError::Range { field: "", value: 0, rule: "" }.index()] += 1;
            self.restart(BookState::Syncing, now, out);
            self.wish(now);
            return;
        }
        counts.snapshots += 1;
        self.snapshot = SnapshotWish::No;
        self.loaded = true;
        self.book_id = snapshot.last_id;
        self.depth_at = now;
        self.replay(counts, out);
        if self.state == BookState::InSync {
            self.publish_newest_top(now, counts, out);
        }
    }

    /// Applies the buffer in order, without the tops on the way: they are of the past. It is moved out so that `apply`
    /// may use `self`, and given back: no allocation, unless the buffer itself has a gap.
    fn replay(&mut self, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        let mut heads = core::mem::take(&mut self.pending.heads);
        let mut levels = core::mem::take(&mut self.pending.levels);
        let mut without_tops = |msg: Msg| {
            if msg.kind() != Some(Kind::Top) {
                out(msg);
            }
        };
        let mut rest = levels.as_slice();
        for &(head, bids, asks, ts_recv) in &heads {
            let (bids, behind) = rest.split_at(bids as usize);
            let (asks, behind) = behind.split_at(asks as usize);
            rest = behind;
            let u = Update { head, bids, asks, ts_recv };
            if self.loaded {
                self.sequenced(u, counts, &mut without_tops);
            } else if self.sequence.on_depth(head.first_id, head.last_id) == DepthVerdict::Buffer {
                self.pending.push(&u);
            }
        }
        heads.clear();
        levels.clear();
        heads.append(&mut self.pending.heads);
        levels.append(&mut self.pending.levels);
        self.pending.heads = heads;
        self.pending.levels = levels;
    }

    /// After a snapshot the ticker stream may already be ahead of the book: the newer of the two is the top.
    fn publish_newest_top(&mut self, now: Ts, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        let best = self.book.best();
        self.good.believe(
            Level { px: best.bid_px, qty: best.bid_qty },
            Level { px: best.ask_px, qty: best.ask_qty },
        );
        if let Some(newest) = self.tickers.newest().filter(|t| t.update_id > self.top.update_id) {
            if let Err(doubt) = self.plausible(&newest, counts) {
                self.tickers.clear();
                return self.refuse(doubt, now, counts, out);
            }
            self.top = newest;
        }
        if self.top.update_id != 0 {
            self.publish_top(out);
        }
    }
}

// ---- Per message ----

impl<Q: DepthSequence> Market<Q> {
    pub(super) fn on_trade(&mut self, t: PublicTrade, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        let last = core::mem::replace(&mut self.last_trade_id, t.id);
        let order = match t.id.checked_sub(last) {
            _ if last == 0 => Ok(()),
            Some(1) => Ok(()),
            Some(2..) => {
                counts.trade_gaps += 1;
                Ok(())
            }
            _ => Err(Doubt::TradeOrder),
        };
        let time = self.trade_time.check(t.ts_exch, t.ts_recv, &self.bounds);
        let near = if self.good.allows(t.px.0, &self.bounds) { Ok(()) } else { Err(Doubt::PriceJump) };
        if let Err(doubt) = order.and(time).and(near) {
            counts.doubted[doubt.index()] += 1;
            return;
        }
        let side = if t.aggressor == Side::Sell { flag::SELL } else { 0 };
        let mut msg = Msg::new(Kind::Trade, self.id, t.ts_recv).flags(side | flag::END).body([
            t.px.0,
            t.qty.0,
            t.id as i64,
            0,
        ]);
        msg.source = self.source;
        msg.venue_seq = t.id as u32;
        msg.exch_delta_us = exch_delta_us(t.ts_exch, t.ts_recv);
        out(msg);
    }

    pub(super) fn on_ticker(&mut self, ticker: Ticker, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        let now = ticker.ts_recv;
        if self.tickers.newest().is_some_and(|last| ticker.update_id <= last.update_id) {
            return self.doubt(Doubt::TickerOrder, now, counts, out);
        }
        if let Err(doubt) = self.plausible(&ticker, counts) {
            if self.loaded {
                self.refuse(doubt, now, counts, out);
            }
            return;
        }
        if ticker.update_id > self.book_id && self.is_stalled(now) {
            return self.stall(now, counts, out);
        }
        let settled = self.tickers.on_ticker(ticker);
        counts.bbo_samples += settled.samples;
        counts.bbo_matches += settled.matches;
        if settled.broken {
            return self.refuse(Some(Doubt::NotTheTicker), now, counts, out);
        }
        if self.state == BookState::InSync && ticker.update_id > self.top.update_id {
            self.top = ticker;
            self.publish_top(out);
        }
    }

    pub(super) fn on_depth(&mut self, u: Update<'_>, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        if let Some(exch) = u.head.ts_exch
            && let Err(doubt) = self.depth_time.check(exch, u.ts_recv, &self.bounds)
        {
            return self.doubt(doubt, u.ts_recv, counts, out);
        }
        self.sequenced(u, counts, out);
    }

    fn sequenced(&mut self, u: Update<'_>, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        match self.sequence.on_depth(u.head.first_id, u.head.last_id) {
            DepthVerdict::Apply => self.apply(u, counts, out),
            DepthVerdict::Stale => {
                counts.stale_dropped += 1;
                if self.is_stalled(u.ts_recv) {
                    self.stall(u.ts_recv, counts, out);
                }
            }
            DepthVerdict::Buffer => self.buffer(u, counts, out),
            DepthVerdict::Gap => {
                counts.gaps += 1;
                self.restart(BookState::Gap, u.ts_recv, out);
                // The update that showed the gap is the first of the new buffer.
                if self.sequence.on_depth(u.head.first_id, u.head.last_id) == DepthVerdict::Buffer {
                    self.buffer(u, counts, out);
                }
            }
        }
    }

    fn buffer(&mut self, u: Update<'_>, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        if !self.pending.has_room(&u) {
            counts.overflows += 1;
            self.restart(BookState::Syncing, u.ts_recv, out);
            return;
        }
        self.pending.push(&u);
        if self.snapshot == SnapshotWish::No {
            self.wish(u.ts_recv);
        }
    }

    fn apply(&mut self, u: Update<'_>, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        for l in u.bids {
            self.book.set(Side::Buy, l.px, l.qty);
        }
        for l in u.asks {
            self.book.set(Side::Sell, l.px, l.qty);
        }
        counts.applied += 1;
        let best = self.book.best();
        let top = Ticker {
            ts_recv: u.ts_recv,
            update_id: u.head.last_id,
            bid: Level { px: best.bid_px, qty: best.bid_qty },
            ask: Level { px: best.ask_px, qty: best.ask_qty },
        };
        if let Err(doubt) = self.plausible(&top, counts) {
            return self.refuse(doubt, u.ts_recv, counts, out);
        }
        if self.book.exhausted() {
            counts.gaps += 1;
            return self.restart(BookState::Gap, u.ts_recv, out);
        }
        let settled = self.tickers.on_book(top);
        counts.bbo_samples += settled.samples;
        counts.bbo_matches += settled.matches;
        if settled.broken {
            return self.refuse(Some(Doubt::NotTheTicker), u.ts_recv, counts, out);
        }
        self.book_id = u.head.last_id;
        self.depth_at = u.ts_recv;
        let bridged = self.state != BookState::InSync;
        if bridged {
            // Only an update that continues the snapshot proves that both are of one book.
            self.state = BookState::InSync;
            self.synced_at = u.ts_recv;
            out(self.state_msg(u.ts_recv));
        }
        self.publish_levels(&u, out);
        if top.update_id > self.top.update_id {
            let changed = top.bid != self.top.bid || top.ask != self.top.ask;
            self.top = top;
            if changed {
                self.publish_top(out);
            }
        }
        if bridged {
            self.publish_newest_top(u.ts_recv, counts, out);
        }
    }

    /// Whether a top can be: bid below ask, both near the last good price. A crossed one is counted here.
    #[inline]
    fn plausible(&self, top: &Ticker, counts: &mut FeedCounts) -> Result<(), Option<Doubt>> {
        if top.bid.px >= top.ask.px && top.ask.qty.0 != 0 && top.bid.qty.0 != 0 {
            counts.crossed += 1;
            return Err(None);
        }
        if self.good.allows(top.bid.px.0, &self.bounds) && self.good.allows(top.ask.px.0, &self.bounds) {
            Ok(())
        } else {
            Err(Some(Doubt::PriceJump))
        }
    }

    #[cold]
    fn refuse(&mut self, doubt: Option<Doubt>, now: Ts, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        match doubt {
            Some(doubt) => self.doubt(doubt, now, counts, out),
            None => self.restart(BookState::Gap, now, out),
        }
    }

    /// The market moves on, and nothing of it has reached the book for too long.
    fn is_stalled(&self, now: Ts) -> bool {
        self.loaded && now.since_ns(self.depth_at) > self.depth_silence_ns
    }

    #[cold]
    fn stall(&mut self, now: Ts, counts: &mut FeedCounts, out: &mut impl FnMut(Msg)) {
        counts.stalled += 1;
        self.restart(BookState::Gap, now, out);
    }

    fn publish_levels(&self, u: &Update<'_>, out: &mut impl FnMut(Msg)) {
        let n = u.bids.len() + u.asks.len();
        let sides = u.bids.iter().map(|l| (l, 0u8)).chain(u.asks.iter().map(|l| (l, flag::SELL)));
        let delta = u.head.ts_exch.map_or(i32::MIN, |t| exch_delta_us(t, u.ts_recv));
        for (i, (&Level { px: Px(px), qty: Qty(qty) }, side)) in sides.enumerate() {
            let end = if i + 1 == n { flag::END } else { 0 };
            let mut msg = Msg::new(Kind::Depth, self.id, u.ts_recv).flags(side | end).body([px, qty, 0, 0]);
            msg.source = self.source;
            msg.venue_seq = u.head.last_id as u32;
            msg.exch_delta_us = delta;
            out(msg);
        }
    }

    /// The present top is believed from here on.
    #[inline]
    fn publish_top(&mut self, out: &mut impl FnMut(Msg)) {
        self.good.believe(self.top.bid, self.top.ask);
        out(self.top_msg());
    }

    pub(super) fn state_msg(&self, now: Ts) -> Msg {
        let mut msg =
            Msg::new(Kind::BookState, self.id, now).flags(flag::END).body([self.state as u8 as i64, 0, 0, 0]);
        msg.source = self.source;
        msg
    }

    pub(super) fn top_msg(&self) -> Msg {
        let Ticker { ts_recv, update_id, bid, ask } = self.top;
        let mut msg = Msg::new(Kind::Top, self.id, ts_recv)
            .flags(flag::END)
            .body([bid.px.0, bid.qty.0, ask.px.0, ask.qty.0]);
        msg.source = self.source;
        msg.venue_seq = update_id as u32;
        msg
    }
}

/// Exchange time minus receive time, µs; `i32::MIN` when it does not fit.
fn exch_delta_us(exch: Ts, recv: Ts) -> i32 {
    let delta = (exch.0 as i128 - recv.0 as i128) / 1_000;
    i32::try_from(delta).unwrap_or(i32::MIN)
}
