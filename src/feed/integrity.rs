//! Is this message plausible? What a venue promises about its streams, checked message by message.
//!
//! | promise | counter | when it is broken |
//! |---|---|---|
//! | depth ids follow each other | `gaps` | the book starts over |
//! | trade ids follow each other | `trade_gaps` | counted; a trade changes no book |
//! | no trade comes twice or late | `doubted`: trade order | the trade is dropped |
//! | ticker ids rise | `doubted`: ticker order | the book starts over, without the tickers so far |
//! | exchange time does not go back within a stream | `doubted`: time back | depth: starts over; trade: dropped |
//! | exchange time is not ahead of ours by more than `feed.exchange_ahead_max_ms` | `doubted`: time ahead | the same |
//! | prices stay within `feed.price_change_max_bps` of the last good one | `doubted`: price jump | book, ticker: starts over; trade: dropped |
//! | book and ticker are the same at the same id, one time in two | `doubted`: not the ticker | the book starts over, without the tickers so far |
//! | bids are below asks | `crossed` | the book starts over |
//! | nothing is negative, symbols are those subscribed | `refused` | refused by the parser; every book starts over |
//!
//! A book that starts over is out of sync until its next snapshot, and nothing trades on it. So a price that has truly
//! moved further than the limit costs one snapshot, from which the next good price is taken. Integers only; nothing
//! here allocates after construction.

use venue::Level;
use wire::Ts;

/// Applied updates that may wait for the ticker stream to reach them; older ones go unchecked.
const CHECKS_MAX: usize = 256;
/// Differences between book and ticker in a row that prove one of them wrong.
const DIFFERENCES_MAX: u32 = 2;

/// What is still plausible: section `feed` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Largest change of a price against the last good one, basis points.
    pub price_change_max_bps: u32,
    /// How far exchange time may be ahead of the receive time, ns.
    pub exchange_ahead_max_ns: u64,
}

/// A broken promise that the parser cannot see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Exchange time went back within its stream.
    TimeBack,
    /// Exchange time is too far ahead of ours.
    TimeAhead,
    /// A price is too far from the last good one.
    PriceJump,
    /// A ticker's id is not above that of the one before.
    TickerOrder,
    /// A trade's id is not above that of the one before.
    TradeOrder,
    /// Book and ticker differ at the same id, twice in a row.
    NotTheTicker,
}

impl Doubt {
    /// Name of every doubt, for counters.
    pub const NAMES: [&'static str; 6] =
        ["time_back", "time_ahead", "price_jump", "ticker_order", "trade_order", "not_the_ticker"];

    /// Index of this doubt's counter in [`Doubt::NAMES`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Exchange time of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamTime {
    last: Ts,
}

impl StreamTime {
    /// Judges the next time of the stream. One that went back is where the stream is from now on; one that is ahead
    /// is forgotten.
    #[inline]
    pub(super) fn check(&mut self, exch: Ts, recv: Ts, bounds: &Bounds) -> Result<(), Doubt> {
        if exch > recv.plus_ns(bounds.exchange_ahead_max_ns) {
            return Err(Doubt::TimeAhead);
        }
        let back = exch < self.last;
        self.last = exch;
        if back { Err(Doubt::TimeBack) } else { Ok(()) }
    }
}

/// The last good price: the middle of the last top that was believed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GoodPrice {
    /// Zero = none.
    px: i64,
}

impl GoodPrice {
    /// Whether `px` is near enough; anything is while there is no good price, and an empty side (zero) has none.
    #[inline]
    pub(super) fn allows(self, px: i64, bounds: &Bounds) -> bool {
        self.px == 0
            || px == 0
            || px.abs_diff(self.px) as u128 * 10_000 <= self.px as u128 * bounds.price_change_max_bps as u128
    }

    /// Takes the middle of a believed top; a top with an empty side says nothing.
    #[inline]
    pub(super) fn believe(&mut self, bid: Level, ask: Level) {
        if bid.px.0 > 0 && ask.px.0 > 0 {
            self.px = bid.px.0.midpoint(ask.px.0);
        }
    }
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

impl Ticker {
    fn is_as(&self, other: &Ticker) -> bool {
        self.bid == other.bid && self.ask == other.ask
    }
}

/// Two streams that tell the same: after update `u` the book's best prices and sizes are those of the last ticker with
/// an id up to `u`. That can be said once a ticker with this id or a later one has come, whichever stream runs ahead.
///
/// Binance's ticker leaves out states that do not outlast one burst of its matching engine: in 6,491 recorded updates
/// two differ from the ticker of their id, never two in a row. A book that is wrong stays wrong. So the second
/// difference in a row is the proof.
pub(super) struct TickerCheck {
    /// The last tickers; `next` counts all.
    tickers: Box<[Ticker]>,
    next: usize,
    /// Tops of the book that no ticker has reached yet, oldest at `first`.
    waiting: Box<[Ticker]>,
    first: usize,
    len: usize,
    /// Differences since book and ticker were last the same.
    in_a_row: u32,
}

/// What a message has settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// Comparisons made.
    pub(super) samples: u64,
    /// Those in which price and size of both sides were the same.
    pub(super) matches: u64,
    /// The promise is broken.
    pub(super) broken: bool,
}

impl TickerCheck {
    /// Remembers `tickers_max` (at least 1) tickers.
    pub(super) fn new(tickers_max: usize) -> TickerCheck {
        let tops = |n: usize| vec![Ticker::default(); n.max(1)].into_boxed_slice();
        TickerCheck {
            tickers: tops(tickers_max),
            next: 0,
            waiting: tops(CHECKS_MAX),
            first: 0,
            len: 0,
            in_a_row: 0,
        }
    }

    /// Forgets every ticker and every top that waits.
    pub(super) fn clear(&mut self) {
        self.next = 0;
        self.forget_books();
    }

    /// Forgets the tops that wait: the book they were of is no more.
    pub(super) fn forget_books(&mut self) {
        (self.len, self.in_a_row) = (0, 0);
    }

    /// The last ticker.
    #[inline]
    pub(super) fn newest(&self) -> Option<Ticker> {
        let last = self.next.checked_sub(1)?;
        self.tickers.get(last % self.tickers.len()).copied()
    }

    /// The last ticker with an id at or below `update_id`.
    fn at(&self, update_id: u64) -> Option<Ticker> {
        let have = self.next.min(self.tickers.len());
        (1..=have)
            .map(|back| self.tickers[(self.next - back) % self.tickers.len()])
            .find(|t| t.update_id <= update_id)
    }

    #[inline]
    fn settle(&mut self, ticker: &Ticker, book: &Ticker, settled: &mut Settled) {
        settled.samples += 1;
        if ticker.is_as(book) {
            settled.matches += 1;
            self.in_a_row = 0;
        } else {
            self.in_a_row += 1;
            settled.broken |= self.in_a_row >= DIFFERENCES_MAX;
        }
    }

    /// The book is so after an update. It is compared now, or when its ticker has come.
    #[inline]
    pub(super) fn on_book(&mut self, book: Ticker) -> Settled {
        let mut settled = Settled::default();
        match self.newest() {
            Some(newest) if newest.update_id >= book.update_id => {
                if let Some(ticker) = self.at(book.update_id) {
                    self.settle(&ticker, &book, &mut settled);
                }
            }
            Some(_) => {
                if self.len == self.waiting.len() {
                    self.first = (self.first + 1) % self.waiting.len();
                    self.len -= 1;
                }
                let at = (self.first + self.len) % self.waiting.len();
                self.waiting[at] = book;
                self.len += 1;
            }
            None => {}
        }
        settled
    }

    /// The next ticker, whose id is above the last one's.
    #[inline]
    pub(super) fn on_ticker(&mut self, ticker: Ticker) -> Settled {
        let mut settled = Settled::default();
        while self.len > 0 {
            let book = self.waiting[self.first];
            if book.update_id > ticker.update_id {
                break;
            }
            self.first = (self.first + 1) % self.waiting.len();
            self.len -= 1;
            let of_its_id = if book.update_id == ticker.update_id { Some(ticker) } else { self.newest() };
            if let Some(of_its_id) = of_its_id {
                self.settle(&of_its_id, &book, &mut settled);
            }
        }
        let at = self.next % self.tickers.len();
        self.tickers[at] = ticker;
        self.next += 1;
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Px, Qty};

    const BOUNDS: Bounds = Bounds { price_change_max_bps: 100, exchange_ahead_max_ns: 50 };

    fn top(update_id: u64, qty: i64) -> Ticker {
        let level = |px| Level { px: Px(px), qty: Qty(qty) };
        Ticker { ts_recv: Ts(0), update_id, bid: level(99), ask: level(101) }
    }

    #[test]
    fn time_goes_forward_and_not_too_far() {
        let mut t = StreamTime::default();
        let mut check = |exch, recv| t.check(Ts(exch), Ts(recv), &BOUNDS);
        assert_eq!((check(100, 60), check(100, 60), check(110, 60)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(check(111, 60), Err(Doubt::TimeAhead));
        assert_eq!((check(109, 60), check(109, 60)), (Err(Doubt::TimeBack), Ok(())));
        assert_eq!(check(u64::MAX, u64::MAX), Ok(()), "receive time plus the bound does not wrap");
    }

    #[test]
    fn prices_stay_near_the_last_good_one() {
        let mut good = GoodPrice::default();
        assert!(good.allows(i64::MAX, &BOUNDS), "nothing to compare with");
        good.believe(top(1, 1).bid, Level::default());
        assert!(good.allows(i64::MAX, &BOUNDS), "half a top says nothing");
        good.px = 10_000;
        assert!(good.allows(10_100, &BOUNDS) && good.allows(9_900, &BOUNDS) && good.allows(0, &BOUNDS));
        assert!(!good.allows(10_101, &BOUNDS) && !good.allows(9_899, &BOUNDS));
        good.px = i64::MAX;
        assert!(good.allows(i64::MAX, &BOUNDS) && !good.allows(1, &BOUNDS));
    }

    /// Samples, matches, whether broken.
    fn book(t: &mut TickerCheck, top: Ticker) -> (u64, u64, bool) {
        let Settled { samples, matches, broken } = t.on_book(top);
        (samples, matches, broken)
    }

    fn ticker(t: &mut TickerCheck, top: Ticker) -> (u64, u64, bool) {
        let Settled { samples, matches, broken } = t.on_ticker(top);
        (samples, matches, broken)
    }

    const NOTHING: (u64, u64, bool) = (0, 0, false);

    #[test]
    fn book_and_ticker_meet_whichever_runs_ahead() {
        let mut t = TickerCheck::new(4);
        assert_eq!(book(&mut t, top(3, 1)), NOTHING, "no ticker of its id or before");
        assert_eq!(ticker(&mut t, top(5, 1)), NOTHING);
        assert_eq!(book(&mut t, top(4, 1)), NOTHING, "the only ticker is later");
        assert_eq!(book(&mut t, top(5, 1)), (1, 1, false), "the ticker has been here");
        assert_eq!(book(&mut t, top(7, 1)), NOTHING, "not yet");
        assert_eq!(book(&mut t, top(8, 2)), NOTHING, "not yet");
        assert_eq!(ticker(&mut t, top(6, 1)), NOTHING, "not yet either");
        assert_eq!(ticker(&mut t, top(8, 2)), (2, 2, false), "7 is as 6, 8 as 8");
        assert_eq!(book(&mut t, top(9, 1)), NOTHING);
        assert_eq!(ticker(&mut t, top(11, 1)), (1, 0, false), "9 should have been as 8");
        assert_eq!(book(&mut t, top(10, 2)), (1, 1, false), "a state that the ticker left out");
        assert_eq!(book(&mut t, top(11, 2)), (1, 0, false));
        assert_eq!(book(&mut t, top(11, 3)), (1, 0, true), "twice in a row");
        for id in 12..17 {
            ticker(&mut t, top(id, 1));
        }
        assert_eq!(book(&mut t, top(11, 2)), NOTHING, "its ticker is forgotten");
        assert_eq!(book(&mut t, top(20, 2)), NOTHING);
        t.clear();
        assert_eq!(ticker(&mut t, top(21, 1)), NOTHING);
        assert_eq!(book(&mut t, top(22, 2)), NOTHING);
        assert_eq!(ticker(&mut t, top(23, 1)), (1, 0, false), "counted anew");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut t = TickerCheck::new(4);
        ticker(&mut t, top(1, 1));
        for id in 0..2 * CHECKS_MAX as u64 + 10 {
            assert_eq!(book(&mut t, top(2 + id, 1)), NOTHING);
        }
        let all = CHECKS_MAX as u64;
        assert_eq!(ticker(&mut t, top(1_000_000, 1)), (all, all, false));
        assert_eq!(ticker(&mut t, top(1_000_001, 1)), NOTHING);
    }
}
