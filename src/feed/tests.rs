//! The feed against a made-up venue: joining, gaps, tops that run ahead, and what its consumers hear.

use agent::{Agent, Clock, Cycle, VirtualClock};
use rings::Consumer;
use stats::StatsSegment;
use venue::{DepthHead, Level};
use venue_binance::BinanceDepthSequence;
use wire::{AssetId, Kind, Px, Qty, Side, VenueId};

use super::market::{BOOK_LEVELS, SNAPSHOT_RETRY_NS};
use super::*;
use crate::agents::feed::{FeedAgent, Interest, Outlet, SnapshotAnswer};
use crate::meters::{self, Meters};
use crate::sim::MemSnapshots;
use crate::sim::wires::{WireSettings, Wires};

const NOW: Ts = Ts(1_000_000_000_000);
const MS: u64 = 1_000_000;
const ID: InstrumentId = InstrumentId(0);
const PENDING: usize = 4;
/// A price may double; the exchange may be 10 ms ahead.
const BOUNDS: Bounds = Bounds { price_change_max_bps: 10_000, exchange_ahead_max_ns: 10 * MS };
const SETTINGS: FeedSettings =
    FeedSettings { pending_updates_max: PENDING, depth_silence_ns: 500 * MS, bounds: BOUNDS };

/// A venue that speaks in words: `D first last` and levels `b px qty` or `a px qty`; `T id px qty px qty`;
/// `X id px qty`; `bye`. `@ms` in front is the exchange's time, from [`NOW`]. Anything else is not JSON.
struct Made {
    instruments: Vec<Instrument>,
}

impl FeedSession for Made {
    fn snapshot_weight(&self) -> u32 {
        5
    }

    fn stream_target(&self) -> String {
        "/stream".into()
    }

    fn snapshot_target(&self, _: InstrumentId) -> String {
        "/snapshot".into()
    }

    fn on_message<S: FnMut(MarketEvent<'_>)>(
        &mut self,
        payload: &mut [u8],
        mut sink: S,
    ) -> Result<(), FeedError> {
        let text = String::from_utf8_lossy(payload).into_owned();
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let ms = words.first().and_then(|w| w.strip_prefix('@')).map(|ms| ms.parse::<u64>().expect("a time"));
        if ms.is_some() {
            words.remove(0);
        }
        let ts_exch = ms.map(|ms| NOW.plus_ns(ms * MS));
        let number = |i: usize| words[i].parse::<i64>().expect("a number");
        let level = |i: usize| Level { px: Px(number(i)), qty: Qty(number(i + 1)) };
        match words.first() {
            Some(&"D") => {
                let side = |name| {
                    (3..words.len()).step_by(3).filter(|i| words[*i] == name).map(|i| level(i + 1)).collect()
                };
                let (bids, asks): (Vec<Level>, Vec<Level>) = (side("b"), side("a"));
                let (first_id, last_id) = (number(1) as u64, number(2) as u64);
                let head = DepthHead { instrument: ID, first_id, last_id, ts_exch };
                sink(MarketEvent::Depth { head, bids: &bids, asks: &asks });
            }
            Some(&"T") => {
                let (bid, ask) = (level(2), level(4));
                sink(MarketEvent::Top { instrument: ID, update_id: number(1) as u64, bid, ask });
            }
            Some(&"X") => {
                let Level { px, qty } = level(2);
                let (trade_id, aggressor) = (number(1) as u64, Side::Sell);
                sink(MarketEvent::Trade {
                    instrument: ID,
                    trade_id,
                    px,
                    qty,
                    aggressor,
                    ts_exch: ts_exch.unwrap_or(NOW),
                });
            }
            Some(&"bye") => sink(MarketEvent::Shutdown),
            _ => return Err(FeedError::Syntax { len: payload.len() }),
        }
        Ok(())
    }

    fn parse_snapshot(&self, _: InstrumentId, body: &mut [u8]) -> Result<Snapshot, FeedError> {
        Err(FeedError::Syntax { len: body.len() })
    }

    fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }
}

fn made() -> Made {
    let instrument = Instrument {
        id: ID,
        venue: VenueId(0),
        symbol: "BTCUSDT".into(),
        base: "BTC".into(),
        quote: "USDT".into(),
        base_id: AssetId(0),
        quote_id: AssetId(1),
        px_decimals: 2,
        qty_decimals: 5,
        quote_decimals: 8,
        tick: Px(1),
        px_min: Px(0),
        px_max: Px(0),
        lot: Qty(1),
        qty_min: Qty(1),
        qty_max: Qty(0),
        notional_min: 0,
        open_orders_max: 0,
        market_qty: Default::default(),
        band_buy: Default::default(),
        band_sell: Default::default(),
        trading: true,
    };
    Made { instruments: vec![instrument] }
}

/// Bids 100 and 99, asks 110 and 111, one each.
fn snapshot(last_id: u64) -> Snapshot {
    let side = |levels: [i64; 2]| levels.map(|px| Level { px: Px(px), qty: Qty(1) }).to_vec();
    Snapshot { instrument: ID, last_id, bids: side([100, 99]), asks: side([110, 111]) }
}

struct Bench {
    feed: Feed<Made, BinanceDepthSequence>,
    out: Vec<Msg>,
    now: Ts,
}

impl Bench {
    /// Connected, nothing heard.
    fn up() -> Bench {
        let mut b = Bench { feed: Feed::new(made(), 0, SETTINGS), out: Vec::new(), now: NOW };
        assert_eq!(b.feed.state(ID), BookState::Down);
        b.feed.on_up(b.now, &mut |m| b.out.push(m));
        assert_eq!(b.states(), [BookState::Syncing]);
        b
    }

    /// In sync after update 12.
    fn in_sync() -> Bench {
        let mut b = Bench::up();
        b.hear("D 9 10 b 98 5").expect("sound");
        b.hear("D 11 12 b 100 2").expect("sound");
        assert_eq!(b.wish(), Some(ID));
        b.snapshot(10);
        assert_eq!(b.states(), [BookState::InSync]);
        b
    }

    /// A ms later, a message.
    fn hear(&mut self, text: &str) -> Result<Heard, FeedError> {
        self.now = self.now.plus_ns(MS);
        self.feed.on_message(&mut text.as_bytes().to_vec(), self.now, &mut |m| self.out.push(m))
    }

    fn wish(&mut self) -> Option<InstrumentId> {
        self.feed.take_snapshot_wish(self.now)
    }

    fn snapshot(&mut self, last_id: u64) {
        self.feed.on_snapshot(&snapshot(last_id), self.now, &mut |m| self.out.push(m));
    }

    /// Book states said since last asked; tops and levels are left.
    fn states(&mut self) -> Vec<BookState> {
        let is_state = |m: &Msg| m.kind() == Some(Kind::BookState);
        let said =
            self.out.iter().filter(|m| is_state(m)).map(|m| BookState::from_u8(m.body[0] as u8)).collect();
        self.out.retain(|m| !is_state(m));
        said
    }

    /// Tops said since last asked, each with its receive time.
    fn tops(&mut self) -> Vec<([i64; 4], Ts)> {
        let tops = self.out.iter().filter(|m| m.kind() == Some(Kind::Top));
        let said = tops.map(|m| (m.body, m.ts_recv())).collect();
        self.out.clear();
        said
    }

    fn counts(&self) -> FeedCounts {
        self.feed.counts
    }

    /// Every doubt so far, by kind.
    fn doubts(&self) -> Vec<Doubt> {
        use Doubt::*;
        [TimeBack, TimeAhead, PriceJump, TickerOrder, TradeOrder, NotTheTicker]
            .into_iter()
            .flat_map(|d| vec![d; self.counts().doubted[d.index()] as usize])
            .collect()
    }
}

#[test]
fn a_snapshot_joins_the_buffered_updates() {
    let mut b = Bench::up();
    assert_eq!(b.wish(), None, "the first update asks");
    b.hear("D 8 9 b 97 5").expect("sound");
    b.hear("D 10 12 b 100 7 a 110 0").expect("sound");
    b.hear("D 13 14 b 101 3").expect("sound");
    assert_eq!((b.wish(), b.wish()), (Some(ID), None), "asked for once");
    assert!(b.out.is_empty(), "nothing is told before it can be true");
    b.snapshot(9);
    assert_eq!(b.states(), [BookState::InSync]);
    // One top: those on the way are of the past, and the last keeps the time of its update.
    assert_eq!(b.tops(), [([101, 3, 111, 1], NOW.plus_ns(3 * MS))]);
    let counts = b.counts();
    assert_eq!((counts.updates_seen, counts.stale_dropped, counts.applied, counts.gaps), (3, 1, 2, 0));
    assert_eq!((counts.snapshots, counts.overflows), (1, 0));
    b.hear("D 15 15 b 101 0").expect("sound");
    assert_eq!(b.tops(), [([100, 7, 111, 1], NOW.plus_ns(4 * MS))]);
    b.hear("D 16 16 b 50 1").expect("sound");
    assert_eq!(b.out.iter().filter(|m| m.kind() == Some(Kind::Depth)).count(), 1);
    assert_eq!(b.tops(), [], "the touch is the same");
    b.hear("D 16 16 b 101 9").expect("sound");
    assert_eq!((b.states(), b.counts().gaps), (vec![BookState::Gap], 1), "heard twice");
    assert_eq!(b.tops(), []);
}

#[test]
fn a_missing_id_is_a_gap_until_the_next_snapshot() {
    let mut b = Bench::in_sync();
    b.out.clear();
    b.hear("D 14 15 b 105 1").expect("sound");
    assert_eq!((b.states(), b.counts().gaps), (vec![BookState::Gap], 1));
    assert_eq!(b.tops(), [], "nothing of an unsound book");
    b.hear("T 15 105 1 110 1").expect("sound");
    assert_eq!(b.tops(), [], "a ticker neither");
    assert_eq!(b.wish(), None, "the last snapshot is hardly here");
    b.now = b.now.plus_ns(SNAPSHOT_RETRY_NS);
    assert_eq!(b.wish(), Some(ID));
    b.snapshot(14);
    assert_eq!(b.states(), [BookState::InSync]);
    assert_eq!(
        b.feed.book(ID).map(|book| book.best().bid_px),
        Some(Px(105)),
        "the update that showed the gap counts"
    );
    assert_eq!(b.counts().snapshots, 2);
}

#[test]
fn an_old_snapshot_is_fetched_again_after_a_pause() {
    let mut b = Bench::up();
    b.hear("D 20 21 b 100 1").expect("sound");
    assert_eq!(b.wish(), Some(ID));
    b.snapshot(18);
    assert_eq!((b.states(), b.counts().snapshots), (vec![], 0));
    assert_eq!(b.wish(), None);
    b.now = b.now.plus_ns(SNAPSHOT_RETRY_NS);
    assert_eq!(b.wish(), Some(ID));
    b.feed.on_snapshot_failed(ID, b.now);
    b.now = b.now.plus_ns(SNAPSHOT_RETRY_NS);
    assert_eq!(b.wish(), None, "each pause is twice the last");
    b.now = b.now.plus_ns(SNAPSHOT_RETRY_NS);
    assert_eq!(b.wish(), Some(ID));
    b.snapshot(20);
    assert_eq!(b.states(), [BookState::InSync]);
}

#[test]
fn too_much_to_buffer_starts_over() {
    let mut b = Bench::up();
    for id in 0..PENDING {
        b.hear(&format!("D {0} {0} b 100 {0}", 100 + id)).expect("sound");
    }
    assert_eq!(b.wish(), Some(ID));
    b.hear("D 104 104 b 100 4").expect("sound");
    assert_eq!((b.states(), b.counts().overflows), (vec![BookState::Syncing], 1));
    b.hear("D 105 106 b 100 5").expect("sound");
    b.snapshot(102);
    assert_eq!(b.states(), [], "the snapshot under way is older than what is kept");
    b.now = b.now.plus_ns(SNAPSHOT_RETRY_NS);
    assert_eq!(b.wish(), Some(ID));
    b.snapshot(105);
    assert_eq!(b.states(), [BookState::InSync]);
    assert_eq!(b.tops(), [([100, 5, 110, 1], NOW.plus_ns(6 * MS))]);
}

#[test]
fn a_message_that_cannot_be_read_puts_the_books_out_of_sync() {
    let mut b = Bench::in_sync();
    b.out.clear();
    assert_eq!(b.hear("<html>"), Err(FeedError::Syntax { len: 6 }));
    assert_eq!((b.states(), b.counts().refused[0]), (vec![BookState::Syncing], 1));
    assert_eq!(b.wish(), None);
    b.hear("D 13 14 b 100 9").expect("sound");
    b.now = b.now.plus_ns(SNAPSHOT_RETRY_NS);
    assert_eq!(b.wish(), Some(ID));
    b.snapshot(13);
    assert_eq!((b.states(), b.feed.worst_state()), (vec![BookState::InSync], BookState::InSync));
    // While the connection is down there is nothing to put out of sync, and no snapshot to take.
    b.feed.on_down(b.now, &mut |m| b.out.push(m));
    assert_eq!(b.states(), [BookState::Down]);
    assert_eq!(b.hear("{"), Err(FeedError::Syntax { len: 1 }));
    b.snapshot(20);
    assert_eq!((b.states(), b.feed.state(ID)), (vec![], BookState::Down));
}

#[test]
fn a_ticker_runs_ahead_and_the_newer_of_two_is_the_top() {
    let mut b = Bench::up();
    b.hear("T 15 102 1 109 1").expect("sound");
    b.hear("D 9 10 b 98 5").expect("sound");
    b.hear("D 11 12 b 101 2").expect("sound");
    b.wish();
    b.snapshot(10);
    assert_eq!(b.states(), [BookState::InSync]);
    assert_eq!(b.tops(), [([102, 1, 109, 1], NOW.plus_ns(MS))], "the ticker, received when it was");
    b.hear("D 13 14 b 101 4").expect("sound");
    assert_eq!(b.tops(), [], "older than the ticker");
    b.hear("D 15 15 b 102 1 a 109 1").expect("sound");
    assert_eq!((b.counts().bbo_samples, b.counts().bbo_matches), (1, 1));
    b.hear("D 16 17 b 103 4").expect("sound");
    assert_eq!(b.tops(), [([103, 4, 109, 1], NOW.plus_ns(6 * MS))], "the book has caught up");
    b.hear("D 18 18 b 103 5").expect("sound");
    b.hear("T 19 103 3 108 1").expect("sound");
    assert_eq!(b.states(), [BookState::Gap], "17 and 18 should have been as 15");
}

#[test]
fn every_book_is_held_against_the_ticker_of_its_id() {
    let mut b = Bench::in_sync();
    b.hear("T 12 100 2 110 1").expect("sound");
    b.hear("D 13 14 b 50 1").expect("sound");
    assert_eq!(b.counts().bbo_samples, 0, "the ticker of 14 may be on its way");
    b.hear("T 16 100 3 110 1").expect("sound");
    assert_eq!((b.counts().bbo_samples, b.counts().bbo_matches), (1, 1), "it was that of 12");
    b.hear("D 15 15 b 50 2").expect("sound");
    assert_eq!((b.counts().bbo_samples, b.counts().bbo_matches), (2, 2));
    b.out.clear();
    b.hear("D 16 16 b 50 3").expect("sound");
    assert_eq!((b.counts().bbo_samples, b.counts().bbo_matches), (3, 2), "3 is not 2");
    assert_eq!((b.doubts(), b.states()), (vec![], vec![]), "once may be a state that the ticker left out");
    b.out.clear();
    b.hear("T 17 100 3 110 1").expect("sound");
    b.out.clear();
    b.hear("D 17 17 b 50 3").expect("sound");
    assert_eq!(b.doubts(), [Doubt::NotTheTicker]);
    assert_eq!((b.states(), b.tops()), (vec![BookState::Gap], vec![]));
    b.hear("D 18 19 b 50 3").expect("sound");
    b.now = b.now.plus_ns(SNAPSHOT_RETRY_NS);
    assert_eq!(b.wish(), Some(ID));
    b.snapshot(18);
    assert_eq!(b.states(), [BookState::InSync]);
    assert_eq!(
        b.tops(),
        [([100, 1, 110, 1], NOW.plus_ns(10 * MS))],
        "the tickers so far are believed no more"
    );
}

#[test]
fn a_ticker_of_the_future_does_not_pass_for_the_newest_for_ever() {
    let mut b = Bench::in_sync();
    b.hear("T 13 100 2 110 1").expect("sound");
    b.hear("T 9000000 104 2 109 1").expect("sound");
    b.out.clear();
    b.hear("T 14 100 3 110 1").expect("sound");
    assert_eq!((b.doubts(), b.states(), b.tops()), (vec![Doubt::TickerOrder], vec![BookState::Gap], vec![]));
    b.hear("D 13 14 b 50 1").expect("sound");
    b.now = b.now.plus_ns(SNAPSHOT_RETRY_NS);
    assert_eq!(b.wish(), Some(ID));
    b.snapshot(13);
    b.out.clear();
    b.hear("T 15 101 1 110 1").expect("sound");
    assert_eq!(b.tops(), [([101, 1, 110, 1], b.now)]);
}

#[test]
fn prices_that_cannot_be_are_not_believed() {
    let mut b = Bench::in_sync();
    // The middle is 105: up to 210 is believed.
    b.hear("T 13 100 1 210 1").expect("sound");
    assert_eq!((b.tops().len(), b.doubts()), (2, vec![]));
    // The middle is 155.
    b.hear("X 1 311 1").expect("sound");
    assert_eq!((b.out.len(), b.doubts()), (0, vec![Doubt::PriceJump]), "dropped, and the book stays");
    b.hear("X 2 310 1").expect("sound");
    assert_eq!(b.out.len(), 1);
    b.out.clear();
    b.hear("T 14 150 1 311 1").expect("sound");
    assert_eq!((b.states(), b.tops()), (vec![BookState::Gap], vec![]));
    assert_eq!(b.doubts(), [Doubt::PriceJump, Doubt::PriceJump]);
    b.hear("D 13 14 b 50 1").expect("sound");
    b.now = b.now.plus_ns(SNAPSHOT_RETRY_NS);
    assert_eq!(b.wish(), Some(ID));
    b.snapshot(13);
    b.hear("D 15 15 a 110 0 a 111 0 a 900 1").expect("sound");
    assert_eq!(b.doubts().len(), 3, "nor when the book comes to it by an update");
    // A market that has truly moved is believed from the next snapshot on.
    b.hear("X 3 900 1").expect("sound");
    assert_eq!(b.doubts().len(), 3);
}

#[test]
fn crossed_tickers_and_times_that_cannot_be_are_not_believed() {
    let mut b = Bench::in_sync();
    b.out.clear();
    b.hear("T 13 110 1 110 1").expect("sound");
    assert_eq!((b.states(), b.tops(), b.counts().crossed), (vec![BookState::Gap], vec![], 1));

    let mut b = Bench::in_sync();
    b.out.clear();
    b.hear("@4 D 13 13 b 50 1").expect("sound");
    b.hear("@4 D 14 14 b 50 2").expect("sound");
    assert_eq!((b.doubts(), b.states()), (vec![], vec![]));
    b.hear("@3 D 15 15 b 50 3").expect("sound");
    assert_eq!((b.doubts(), b.states()), (vec![Doubt::TimeBack], vec![BookState::Gap]));

    let mut b = Bench::in_sync();
    b.out.clear();
    // Heard at 3 ms; 13 ms is as far ahead as is believed.
    b.hear("@14 D 13 13 b 50 1").expect("sound");
    assert_eq!((b.doubts(), b.states()), (vec![Doubt::TimeAhead], vec![BookState::Gap]));

    let mut b = Bench::in_sync();
    b.out.clear();
    b.hear("@13 X 1 100 1").expect("sound");
    b.hear("@5 X 2 100 1").expect("sound");
    b.hear("@900 X 3 100 1").expect("sound");
    assert_eq!((b.doubts(), b.states()), (vec![Doubt::TimeBack, Doubt::TimeAhead], vec![]));
    assert_eq!(b.out.iter().map(|m| m.body[2]).collect::<Vec<_>>(), [1], "two trades were dropped");
    b.hear("@6 X 4 100 1").expect("sound");
    assert_eq!(b.out.len(), 2);
}

#[test]
fn a_crossed_book_is_a_gap() {
    let mut b = Bench::in_sync();
    b.out.clear();
    b.hear("D 13 13 b 110 1").expect("sound");
    assert_eq!((b.states(), b.counts().crossed), (vec![BookState::Gap], 1));
    b.now = b.now.plus_ns(SNAPSHOT_RETRY_NS);
    assert_eq!((b.tops(), b.wish()), (vec![], None), "the next update asks");
    b.hear("D 14 14 b 110 0").expect("sound");
    assert_eq!(b.wish(), Some(ID));
}

#[test]
fn a_book_eaten_past_the_levels_it_holds_is_a_gap() {
    let mut b = Bench::up();
    b.hear("D 10 12 b 1 0").expect("sound");
    assert_eq!(b.wish(), Some(ID));
    let bids = (0..=BOOK_LEVELS as i64).map(|i| Level { px: Px(20_000 - i), qty: Qty(1) }).collect();
    let deep = Snapshot { bids, ..snapshot(10) };
    let deep = Snapshot { asks: vec![Level { px: Px(30_000), qty: Qty(1) }], ..deep };
    b.feed.on_snapshot(&deep, b.now, &mut |m| b.out.push(m));
    assert_eq!(b.states(), [BookState::InSync]);
    let gone = |from: i64, to: i64| (from..to).map(|i| format!(" b {} 0", 20_000 - i)).collect::<String>();
    b.hear(&format!("D 13 13{}", gone(0, BOOK_LEVELS as i64 - 1))).expect("sound");
    assert_eq!((b.states(), b.counts().gaps), (vec![], 0), "one left");
    b.hear(&format!("D 14 14{}", gone(BOOK_LEVELS as i64 - 1, BOOK_LEVELS as i64))).expect("sound");
    assert_eq!((b.states(), b.counts().gaps), (vec![BookState::Gap], 1), "the venue has one more");
}

#[test]
fn a_crossed_ticker_is_a_gap_and_no_top() {
    for crossed in ["T 13 111 1 110 1", "T 13 110 1 110 1"] {
        let mut b = Bench::in_sync();
        b.out.clear();
        b.hear(crossed).expect("sound");
        assert_eq!((b.states(), b.counts().crossed), (vec![BookState::Gap], 1));
        assert_eq!(b.tops(), []);
    }
    let mut b = Bench::in_sync();
    b.hear("T 13 110 0 110 1").expect("sound");
    assert_eq!(b.counts().crossed, 0, "an empty side crosses nothing");
}

#[test]
fn a_snapshot_that_no_update_continues_is_not_in_sync() {
    let mut b = Bench::up();
    b.hear("D 9 10 b 98 5").expect("sound");
    assert_eq!(b.wish(), Some(ID));
    b.snapshot(12);
    b.hear("T 12 100 1 110 1").expect("sound");
    assert_eq!((b.states(), b.tops()), (vec![], vec![]));
    b.hear("D 11 13 b 101 1").expect("sound");
    assert_eq!(b.states(), [BookState::InSync]);
}

#[test]
fn a_book_that_stands_still_while_the_market_moves_is_out_of_sync() {
    let later = |b: &mut Bench| b.now = b.now.plus_ns(SETTINGS.depth_silence_ns);
    // Tickers go on; no update comes.
    let mut b = Bench::in_sync();
    later(&mut b);
    b.hear("T 12 100 2 110 1").expect("sound");
    assert_eq!(b.counts().stalled, 0, "nothing has happened since the last update");
    b.hear("T 13 100 2 110 1").expect("sound");
    assert_eq!((b.counts().stalled, b.feed.state(ID)), (1, BookState::Gap));
    // An update from the end of numbers does not swallow those that follow.
    let mut b = Bench::in_sync();
    b.hear("D 13 9000000000000000000 b 98 5").expect("sound");
    assert_eq!(b.feed.state(ID), BookState::InSync);
    b.hear("D 14 14 b 98 5").expect("sound");
    assert_eq!((b.counts().gaps, b.feed.state(ID)), (1, BookState::Gap));
    // A snapshot from there never comes into sync.
    let mut b = Bench::up();
    b.hear("D 9 10 b 98 5").expect("sound");
    assert_eq!(b.wish(), Some(ID));
    b.snapshot(9_000_000_000_000_000_000);
    b.hear("D 11 11 b 98 5").expect("sound");
    later(&mut b);
    b.hear("D 12 12 b 98 5").expect("sound");
    assert_eq!((b.counts().stalled, b.feed.state(ID)), (1, BookState::Gap));
}

#[test]
fn a_book_that_breaks_again_and_again_asks_with_longer_and_longer_pauses() {
    let mut b = Bench::in_sync();
    let (mut id, mut asked) = (12, 0);
    b.hear("T 90000000 111 1 110 1").expect("sound");
    let end = b.now.plus_ns(60_000 * MS);
    while b.now < end {
        id += 1;
        b.hear(&format!("D {id} {id} b 98 {id}")).expect("sound");
        if b.wish().is_some() {
            asked += 1;
            b.snapshot(id);
            b.hear(&format!("D {0} {0} b 98 {0}", id + 1)).expect("sound");
            id += 1;
            assert_eq!(b.feed.state(ID), BookState::InSync);
            b.hear("T 90000000 111 1 110 1").expect("sound");
        }
        b.out.clear();
    }
    assert!((10..20).contains(&asked), "{asked} snapshots in a minute");
    // After a calm time the next is asked for at once.
    assert_ne!(b.feed.state(ID), BookState::InSync);
    b.now = b.now.plus_ns(6_000 * MS);
    assert_eq!(b.wish(), Some(ID));
    b.snapshot(id);
    for _ in 0..11 {
        b.now = b.now.plus_ns(1_000 * MS);
        id += 1;
        b.hear(&format!("D {id} {id} b 98 5")).expect("sound");
    }
    b.hear("T 90000001 111 1 110 1").expect("sound");
    b.hear(&format!("D {0} {0} b 98 5", id + 1)).expect("sound");
    assert_eq!(b.wish(), Some(ID), "at once");
}

#[test]
fn trades_are_numbered_without_holes() {
    let mut b = Bench::up();
    for id in [7, 8, 10, 11] {
        b.hear(&format!("X {id} 100 3")).expect("sound");
    }
    assert_eq!((b.counts().trades, b.counts().trade_gaps), (4, 1));
    b.hear("X 11 100 4").expect("sound");
    assert_eq!(b.doubts(), [Doubt::TradeOrder]);
    let last = b.out.last().copied().unwrap_or_default();
    assert_eq!((last.kind(), last.side(), last.body), (Some(Kind::Trade), Side::Sell, [100, 3, 11, 0]));
    b.feed.on_up(b.now, &mut |_| {});
    b.hear("X 50 100 3").expect("sound");
    assert_eq!(b.counts().trade_gaps, 1, "a new connection counts anew");
    assert_eq!(b.hear("bye"), Ok(Heard::Shutdown));
}

/// The agent with one consumer whose ring holds 64 messages.
struct Rig {
    agent: FeedAgent<crate::sim::wires::MemLink, MemSnapshots, Made, BinanceDepthSequence>,
    consumer: Consumer,
    wires: Wires,
    time: VirtualClock,
    cycles: u64,
}

impl Rig {
    fn new() -> Rig {
        let time = VirtualClock::new(NOW);
        let wires = Wires::new(1, WireSettings { jitter_ns: 0, ..WireSettings::default() }, 1, time.clone());
        let segment = StatsSegment::heap(&meters::layout(4)).expect("statistics");
        let meters = Meters::take(&segment).expect("every name").feed;
        let (producer, consumer) = rings::ring("market", 64).expect("a ring");
        let snapshots = MemSnapshots::default();
        snapshots.answer(SnapshotAnswer::Failed(ID)); // for nobody: ignored
        let agent = FeedAgent::new(
            wires.link(0),
            snapshots,
            Feed::new(made(), 0, SETTINGS),
            vec![Outlet::new(
                crate::tape::RingOut::new(producer, 0, &crate::tape::Tape::off()),
                Interest::TOP_AND_TRADES,
            )],
            meters,
            Vec::new(),
            Clock::Virtual(time.clone()),
            true,
        );
        assert!(wires.turn(NOW).is_some());
        wires.accepted(0);
        Rig { agent, consumer, wires, time, cycles: 0 }
    }

    fn say(&mut self, text: &str) {
        self.wires.to_engine(0, text.as_bytes().to_vec(), self.time.now());
    }

    fn work(&mut self) {
        self.time.advance_ns(MS);
        for _ in 0..40 {
            self.cycles += 1;
            let clock = Clock::Virtual(self.time.clone());
            self.agent.do_work(&mut Cycle::new(&clock, 0, self.cycles, &mut ()));
        }
    }

    fn drain(&mut self) -> Vec<Msg> {
        std::iter::from_fn(|| self.consumer.pop().map(|(_, words)| Msg::from_words(words))).collect()
    }
}

#[test]
fn a_lapped_consumer_hears_the_present_and_nothing_of_the_past() {
    let mut rig = Rig::new();
    rig.work();
    assert_eq!(rig.drain().len(), 1, "syncing");
    for id in 1..=200 {
        rig.say(&format!("X {id} 100 1"));
    }
    rig.work();
    assert_eq!(rig.agent.counts().trades, 200, "the feed does not wait");
    let heard = rig.drain();
    let ids: Vec<i64> = heard.iter().map(|m| m.body[2]).collect();
    assert_eq!(ids, (1..=64).collect::<Vec<_>>(), "as many as fit, in order");
    rig.say("X 201 100 1");
    rig.work();
    let heard = rig.drain();
    let kinds: Vec<_> = heard.iter().filter_map(Msg::kind).collect();
    assert_eq!(kinds.last(), Some(&Kind::BookState), "then where the book is now: {kinds:?}");
    rig.say("X 202 100 1");
    rig.work();
    let heard = rig.drain();
    assert_eq!(heard.iter().map(|m| m.body[2]).collect::<Vec<_>>(), [202], "and what is new");
}
