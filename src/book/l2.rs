//! Both sides of one instrument.

use wire::{Px, Qty, Side};

use crate::Top;
use crate::ladder::{Change, Ladder};

/// Why a snapshot was refused. The book is empty afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// Best bid at or above best ask.
    #[error("snapshot is crossed: best bid {bid_px:?} is at or above best ask {ask_px:?}")]
    Crossed {
        /// Best bid.
        bid_px: Px,
        /// Best ask.
        ask_px: Px,
    },
    /// Levels of a side do not run strictly from best to worst.
    #[error("{side:?} level {index} at {px:?} is not worse than the level before it")]
    Unordered {
        /// Which side.
        side: Side,
        /// Position of the level, from 0.
        index: usize,
        /// Its price.
        px: Px,
    },
    /// A price or quantity of zero or less.
    #[error("{side:?} level {index}: price {px:?} and quantity {qty:?} must be positive")]
    NotPositive {
        /// Which side.
        side: Side,
        /// Position of the level, from 0.
        index: usize,
        /// Its price.
        px: Px,
        /// Its quantity.
        qty: Qty,
    },
}

/// An order book by price, of bounded depth.
///
/// One writer. Prices and quantities are mantissas at the instrument's scales; quantities are absolute.
/// A side keeps the best `levels` prices it was told of. Once a level had to be dropped
/// ([`L2Book::truncated`]) the far end is no longer complete: what lay beyond the bound is not remembered and
/// does not come back when nearer levels leave, until the next snapshot. Up to [`L2Book::complete_to`] every level
/// is exact; when the market has eaten its way past that price, the best level is a guess, the book is
/// [`L2Book::exhausted`] and must be resynchronised like a crossed one.
///
/// ```
/// # use corelane_book as book;
/// use book::L2Book;
/// use wire::{Px, Qty, Side};
///
/// let mut book = L2Book::with_capacity(1_000);
/// book.load([(Px(99), Qty(5))].into_iter(), [(Px(101), Qty(7))].into_iter())?;
/// book.set(Side::Buy, Px(100), Qty(1));
/// assert_eq!(book.best().bid_px, Px(100));
/// book.set(Side::Buy, Px(100), Qty(0));
/// assert_eq!(book.best().bid_px, Px(99));
/// // A crossed snapshot is refused whole.
/// assert!(book.load([(Px(101), Qty(5))].into_iter(), [(Px(101), Qty(7))].into_iter()).is_err());
/// assert!(book.is_empty());
/// # Ok::<(), book::BookError>(())
/// ```
#[derive(Clone, Debug)]
pub struct L2Book {
    bids: Ladder,
    asks: Ladder,
    refused: u64,
}

impl L2Book {
    /// An empty book that keeps up to `levels` (at least 1) per side. The only place that allocates:
    /// about 64 bytes a level and side.
    pub fn with_capacity(levels: usize) -> L2Book {
        L2Book { bids: Ladder::with_capacity(levels), asks: Ladder::with_capacity(levels), refused: 0 }
    }

    /// Empties both sides; counters stay.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Replaces the book by a snapshot, each side from best to worst. Levels beyond the capacity are dropped
    /// and counted. Some 10 ns a level.
    ///
    /// # Errors
    /// A level is out of order, not positive, or the snapshot is crossed. The book is then empty.
    pub fn load(
        &mut self,
        bids: impl Iterator<Item = (Px, Qty)>,
        asks: impl Iterator<Item = (Px, Qty)>,
    ) -> Result<(), BookError> {
        self.clear();
        let loaded = load_side(&mut self.bids, Side::Buy, bids)
            .and_then(|()| load_side(&mut self.asks, Side::Sell, asks))
            .and_then(|()| {
                let top = self.best();
                if top.crossed() {
                    return Err(BookError::Crossed { bid_px: top.bid_px, ask_px: top.ask_px });
                }
                Ok(())
            });
        if loaded.is_err() {
            self.clear();
        }
        loaded
    }

    /// Sets the absolute quantity at a price; zero removes the level, and removing an unknown level is fine.
    ///
    /// A price that is not positive or a negative quantity changes nothing and is counted
    /// ([`L2Book::refused`]). Some 50 ns, wherever in the book: never more than one block and the
    /// directory move.
    #[inline]
    pub fn set(&mut self, side: Side, px: Px, qty: Qty) -> Change {
        if px.0 <= 0 || qty.0 < 0 {
            self.refused += 1;
            return Change::Refused;
        }
        match side {
            Side::Buy => self.bids.set(px.0, qty.0),
            Side::Sell => self.asks.set(-px.0, qty.0),
        }
    }

    /// Best bid and ask; a zero quantity means that the side is empty.
    #[inline]
    pub fn best(&self) -> Top {
        let (bid_px, bid_qty) = self.bids.best().unwrap_or((0, 0));
        let (ask_key, ask_qty) = self.asks.best().unwrap_or((0, 0));
        Top { bid_px: Px(bid_px), bid_qty: Qty(bid_qty), ask_px: Px(-ask_key), ask_qty: Qty(ask_qty) }
    }

    /// Best bid at or above best ask. Between the levels of one update this may pass; after it, it is an error
    /// of the data.
    #[inline]
    pub fn crossed(&self) -> bool {
        self.best().crossed()
    }

    /// Worst price of a side up to which no level is missing; `None` when none is missing anywhere.
    pub fn complete_to(&self, side: Side) -> Option<Px> {
        let key = match side {
            Side::Buy => self.bids.complete_from(),
            Side::Sell => self.asks.complete_from(),
        };
        (key != i64::MIN).then(|| Px(side.sign().saturating_mul(key)))
    }

    /// Beyond `px` (below it for bids, above it for asks) levels may be missing until the next snapshot. For a
    /// snapshot that was cut at the venue's limit: its worst price.
    pub fn complete_only_to(&mut self, side: Side, px: Px) {
        match side {
            Side::Buy => self.bids.complete_only_from(px.0),
            Side::Sell => self.asks.complete_only_from(px.0.saturating_neg()),
        }
    }

    /// The best level of a side lies beyond what is complete, or is missing: the true one may be better. Resync.
    #[inline]
    pub fn exhausted(&self) -> bool {
        self.bids.exhausted() || self.asks.exhausted()
    }

    /// Levels of a side, best first.
    pub fn depth(&self, side: Side) -> impl Iterator<Item = (Px, Qty)> + '_ {
        let (ladder, sign) = match side {
            Side::Buy => (&self.bids, 1),
            Side::Sell => (&self.asks, -1),
        };
        ladder.iter().map(move |(key, qty)| (Px(sign * key), Qty(qty)))
    }

    /// Quantity at a price, zero when there is none.
    #[inline]
    pub fn qty_at(&self, side: Side, px: Px) -> Qty {
        if px.0 <= 0 {
            return Qty(0);
        }
        Qty(match side {
            Side::Buy => self.bids.qty(px.0),
            Side::Sell => self.asks.qty(-px.0),
        })
    }

    /// Number of levels on a side.
    pub fn len(&self, side: Side) -> usize {
        match side {
            Side::Buy => self.bids.len(),
            Side::Sell => self.asks.len(),
        }
    }

    /// Neither side holds a level.
    pub fn is_empty(&self) -> bool {
        self.bids.len() == 0 && self.asks.len() == 0
    }

    /// Levels that each side can hold.
    pub fn capacity(&self) -> usize {
        self.bids.capacity()
    }

    /// Levels dropped at the far end since the book was made.
    pub fn truncated(&self) -> u64 {
        self.bids.truncated() + self.asks.truncated()
    }

    /// Updates refused by [`L2Book::set`] since the book was made.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

fn load_side(
    ladder: &mut Ladder,
    side: Side,
    levels: impl Iterator<Item = (Px, Qty)>,
) -> Result<(), BookError> {
    let mut previous = i64::MAX;
    let mut checked = Ok(());
    for (index, (px, qty)) in levels.enumerate() {
        let key = side.sign() * px.0.max(0);
        if px.0 <= 0 || qty.0 <= 0 {
            checked = Err(BookError::NotPositive { side, index, px, qty });
            break;
        }
        if index > 0 && key >= previous {
            checked = Err(BookError::Unordered { side, index, px });
            break;
        }
        previous = key;
        ladder.load_next(key, qty.0);
    }
    ladder.finish_load();
    checked
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The same book, written to be obviously right.
    #[derive(Default)]
    struct Naive {
        bids: BTreeMap<i64, i64>,
        asks: BTreeMap<i64, i64>,
        truncated: u64,
    }

    impl Naive {
        fn set(&mut self, side: Side, px: i64, qty: i64, capacity: usize) {
            let map = if side == Side::Buy { &mut self.bids } else { &mut self.asks };
            if qty == 0 {
                map.remove(&px);
                return;
            }
            map.insert(px, qty);
            if map.len() > capacity {
                self.truncated += 1;
                if side == Side::Buy {
                    map.pop_first()
                } else {
                    map.pop_last()
                };
            }
        }

        fn side(&self, side: Side) -> Vec<(Px, Qty)> {
            match side {
                Side::Buy => self.bids.iter().rev().map(|(p, q)| (Px(*p), Qty(*q))).collect(),
                Side::Sell => self.asks.iter().map(|(p, q)| (Px(*p), Qty(*q))).collect(),
            }
        }
    }

    struct Seed(u64);

    impl Seed {
        fn next(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % bound
        }
    }

    fn assert_same(book: &L2Book, naive: &Naive, context: &str) {
        for side in [Side::Buy, Side::Sell] {
            assert_eq!(book.depth(side).collect::<Vec<_>>(), naive.side(side), "{context}");
            assert_eq!(book.len(side), naive.side(side).len());
        }
        assert_eq!(book.truncated(), naive.truncated, "{context}");
        let top = book.best();
        assert_eq!(top.side(Side::Buy), naive.side(Side::Buy).first().copied().unwrap_or_default());
        assert_eq!(top.side(Side::Sell), naive.side(Side::Sell).first().copied().unwrap_or_default());
        book.bids.check();
        book.asks.check();
    }

    #[test]
    fn random_traffic_leaves_book_and_naive_twin_equal() {
        // Price ranges below, near and above the capacity; removals rare, even and dominant in turn.
        for (seed, capacity, range) in [
            (1, 10, 30),
            (2, 100, 80),
            (3, 300, 2_000),
            (4, 1_000, 900),
            (5, 1, 5),
            (6, 64, 64),
            (7, 2_000, 6_000),
        ] {
            let mut rng = Seed(0x9e37_79b9_7f4a_7c15 ^ seed);
            let mut book = L2Book::with_capacity(capacity);
            let mut naive = Naive::default();
            for step in 0..30_000u64 {
                let side = if rng.next(2) == 0 { Side::Buy } else { Side::Sell };
                let px = 1 + rng.next(range) as i64;
                let removals = [10, 50, 90][(step / 5_000 % 3) as usize];
                let qty = if rng.next(100) < removals { 0 } else { 1 + rng.next(1_000) as i64 };
                book.set(side, Px(px), Qty(qty));
                naive.set(side, px, qty, capacity);
                assert_eq!(book.best().bid_px.0, naive.bids.last_key_value().map_or(0, |l| *l.0));
                assert_eq!(book.best().ask_px.0, naive.asks.first_key_value().map_or(0, |l| *l.0));
                assert_eq!(book.qty_at(side, Px(px)).0, naive.side_qty(side, px));
                if step % 499 == 0 {
                    assert_same(&book, &naive, &format!("seed {seed} step {step}"));
                }
            }
            assert_same(&book, &naive, &format!("seed {seed} end"));
        }
    }

    impl Naive {
        fn side_qty(&self, side: Side, px: i64) -> i64 {
            let map = if side == Side::Buy { &self.bids } else { &self.asks };
            map.get(&px).copied().unwrap_or(0)
        }
    }

    /// Snapshots good and bad, updates good and bad, clearings and cut snapshots in one stream: every answer of the
    /// book, [`Change`] included, is the twin's, and what the book calls complete is what the market truly holds.
    #[test]
    fn book_twin_and_market_agree_at_every_step() {
        let (mut exhausted, mut cut, mut refused) = (0, 0, 0);
        for (seed, capacity, range) in [(1, 4, 12), (2, 8, 60), (3, 70, 160), (4, 200, 260), (5, 2, 40)] {
            let mut rng = Seed(0x1234_5678_9abc_def1 ^ (seed << 33));
            let mut book = L2Book::with_capacity(capacity);
            let mut naive = Naive::default();
            // Every level that the venue holds, however deep.
            let mut market = Naive::default();
            for step in 0..20_000u64 {
                let context = format!("seed {seed} step {step}");
                match rng.next(400) {
                    0 => {
                        let limit = 1 + rng.next(capacity as u64 * 2) as usize;
                        // Bids and asks of the twin's market may overlap; a snapshot never does.
                        let middle = 1 + rng.next(range) as i64;
                        market.bids.retain(|px, _| *px < middle);
                        market.asks.retain(|px, _| *px >= middle);
                        let sides = [Side::Buy, Side::Sell].map(|s| market.side(s));
                        let shown = |n: usize| sides[n].iter().copied().take(limit);
                        book.load(shown(0), shown(1)).expect("sound snapshot");
                        naive = Naive { truncated: naive.truncated, ..Naive::default() };
                        for (n, side) in [Side::Buy, Side::Sell].into_iter().enumerate() {
                            // What exceeds the capacity is dropped from the far end, and counted.
                            shown(n).take(capacity).for_each(|l| naive.set(side, l.0.0, l.1.0, capacity));
                            naive.truncated += shown(n).count().saturating_sub(capacity) as u64;
                            if limit < sides[n].len() {
                                book.complete_only_to(side, sides[n][limit - 1].0);
                                cut += 1;
                            }
                        }
                    }
                    1 => {
                        let bad = [(Px(5), Qty(1)), (Px(5 + rng.next(2) as i64), Qty(rng.next(2) as i64))];
                        assert!(book.load(bad.iter().copied(), [].into_iter()).is_err());
                        naive = Naive { truncated: naive.truncated, ..Naive::default() };
                        market = Naive::default();
                        refused += 1;
                    }
                    2 => {
                        book.clear();
                        naive = Naive { truncated: naive.truncated, ..Naive::default() };
                        market = Naive::default();
                    }
                    3 => {
                        let (px, qty) = [(0, 1), (-4, 1), (4, -1)][rng.next(3) as usize];
                        assert_eq!(book.set(Side::Buy, Px(px), Qty(qty)), Change::Refused);
                    }
                    _ => {
                        let side = if rng.next(2) == 0 { Side::Buy } else { Side::Sell };
                        let px = 1 + rng.next(range) as i64;
                        let removals = [20, 50, 85][(step / 700 % 3) as usize];
                        let qty = if rng.next(100) < removals { 0 } else { 1 + rng.next(90) as i64 };
                        let (len, had) = (naive.side(side).len(), naive.side_qty(side, px));
                        let expect = match (qty, had) {
                            (0, 0) => Change::Unknown,
                            (0, _) => Change::Removed,
                            (_, 0) if len == capacity => Change::Truncated,
                            (_, 0) => Change::Added,
                            _ => Change::Changed,
                        };
                        assert_eq!(book.set(side, Px(px), Qty(qty)), expect, "{context}");
                        naive.set(side, px, qty, capacity);
                        market.set(side, px, qty, usize::MAX);
                    }
                }
                assert_same(&book, &naive, &context);
                for side in [Side::Buy, Side::Sell] {
                    let to = book.complete_to(side);
                    let within = |l: &(Px, Qty)| match (to, side) {
                        (None, _) => true,
                        (Some(to), Side::Buy) => l.0 >= to,
                        (Some(to), Side::Sell) => l.0 <= to,
                    };
                    let known: Vec<_> = book.depth(side).take_while(within).collect();
                    let truth: Vec<_> = market.side(side).into_iter().take_while(within).collect();
                    assert_eq!(known, truth, "{context}: {side:?} complete to {to:?}");
                    if !book.exhausted() {
                        let best = market.side(side).first().copied().unwrap_or_default();
                        assert_eq!(book.best().side(side), best, "{context}");
                    }
                }
                exhausted += book.exhausted() as u32;
            }
        }
        assert!(exhausted > 500 && cut > 50 && refused > 100, "{exhausted} {cut} {refused}");
    }

    #[test]
    fn a_book_eaten_past_its_bound_says_so() {
        let mut book = L2Book::with_capacity(2);
        for px in [10, 11, 12] {
            book.set(Side::Sell, Px(px), Qty(1));
        }
        assert_eq!((book.complete_to(Side::Sell), book.complete_to(Side::Buy)), (Some(Px(11)), None));
        book.set(Side::Sell, Px(10), Qty(0));
        assert!(!book.exhausted());
        book.set(Side::Sell, Px(11), Qty(0));
        assert!(book.exhausted(), "empty here, 12 at the venue");
        book.set(Side::Sell, Px(13), Qty(1));
        assert!(book.exhausted(), "13 here, 12 at the venue");
        book.set(Side::Sell, Px(11), Qty(1));
        assert!(!book.exhausted(), "11 is the best again");
        book.set(Side::Sell, Px(11), Qty(0));
        book.load([].into_iter(), [(Px(12), Qty(1))].into_iter()).expect("sound snapshot");
        assert!(!book.exhausted());
        book.complete_only_to(Side::Buy, Px(9));
        assert!(book.exhausted(), "an empty side that was cut");
    }

    #[test]
    fn a_loaded_book_takes_updates_like_one_built_by_updates() {
        let mut rng = Seed(77);
        for n in [0i64, 1, 47, 48, 49, 500, 5_000] {
            let mut book = L2Book::with_capacity(5_000);
            let mut naive = Naive::default();
            let bids: Vec<_> = (0..n).map(|i| (Px(100_000 - 2 * i), Qty(i + 1))).collect();
            let asks: Vec<_> = (0..n).map(|i| (Px(100_001 + 3 * i), Qty(i + 1))).collect();
            book.load(bids.iter().copied(), asks.iter().copied()).expect("sound snapshot");
            for (px, qty) in &bids {
                naive.set(Side::Buy, px.0, qty.0, 5_000);
            }
            for (px, qty) in &asks {
                naive.set(Side::Sell, px.0, qty.0, 5_000);
            }
            assert_same(&book, &naive, "loaded");
            for _ in 0..5_000 {
                let side = if rng.next(2) == 0 { Side::Buy } else { Side::Sell };
                let (px, qty) = (90_000 + rng.next(25_000) as i64, rng.next(3) as i64);
                book.set(side, Px(px), Qty(qty));
                naive.set(side, px, qty, 5_000);
            }
            assert_same(&book, &naive, "loaded and updated");
        }
    }

    #[test]
    fn load_drops_and_counts_what_is_beyond_the_capacity() {
        let mut book = L2Book::with_capacity(3);
        let bids = (0..5).map(|i| (Px(100 - i), Qty(1)));
        book.load(bids, [(Px(101), Qty(1))].into_iter()).expect("sound snapshot");
        assert_eq!((book.len(Side::Buy), book.truncated()), (3, 2));
        assert_eq!(book.depth(Side::Buy).last(), Some((Px(98), Qty(1))));
    }

    #[test]
    fn a_full_side_keeps_its_best_levels() {
        let mut book = L2Book::with_capacity(2);
        book.set(Side::Sell, Px(10), Qty(1));
        book.set(Side::Sell, Px(12), Qty(1));
        assert_eq!(book.set(Side::Sell, Px(13), Qty(1)), Change::Truncated);
        assert_eq!(book.set(Side::Sell, Px(11), Qty(1)), Change::Truncated);
        assert_eq!(book.depth(Side::Sell).map(|l| l.0.0).collect::<Vec<_>>(), [10, 11]);
        assert_eq!(
            (book.truncated(), book.complete_to(Side::Sell)),
            (2, Some(Px(11))),
            "no less than it holds"
        );
    }

    #[test]
    fn bad_snapshots_are_refused_whole() {
        let l = |px, qty| (Px(px), Qty(qty));
        let mut book = L2Book::with_capacity(10);
        let mut load = |bids: &[(Px, Qty)], asks: &[(Px, Qty)]| {
            book.set(Side::Buy, Px(1), Qty(1));
            let r = book.load(bids.iter().copied(), asks.iter().copied());
            assert!(r.is_ok() || book.is_empty());
            book.bids.check();
            book.asks.check();
            r
        };
        assert_eq!(
            load(&[l(10, 1)], &[l(10, 1)]),
            Err(BookError::Crossed { bid_px: Px(10), ask_px: Px(10) })
        );
        assert_eq!(
            load(&[l(10, 1), l(10, 1)], &[]),
            Err(BookError::Unordered { side: Side::Buy, index: 1, px: Px(10) })
        );
        assert_eq!(
            load(&[], &[l(10, 1), l(11, 1), l(9, 1)]),
            Err(BookError::Unordered { side: Side::Sell, index: 2, px: Px(9) })
        );
        for (px, qty) in [(0, 1), (1, 0), (-1, 1), (1, -1), (i64::MIN, 1)] {
            let refused = BookError::NotPositive { side: Side::Sell, index: 0, px: Px(px), qty: Qty(qty) };
            assert_eq!(load(&[], &[l(px, qty)]), Err(refused));
        }
        assert_eq!(load(&[l(9, 1)], &[l(10, 1)]), Ok(()));
    }

    #[test]
    fn bad_updates_change_nothing_and_are_counted() {
        let mut book = L2Book::with_capacity(10);
        book.set(Side::Sell, Px(5), Qty(1));
        for (px, qty) in [(0, 1), (-5, 1), (5, -1), (i64::MIN, 0)] {
            assert_eq!(book.set(Side::Sell, Px(px), Qty(qty)), Change::Refused);
        }
        assert_eq!((book.refused(), book.qty_at(Side::Sell, Px(5))), (4, Qty(1)));
        assert_eq!(book.set(Side::Sell, Px(6), Qty(0)), Change::Unknown);
        assert_eq!(book.set(Side::Sell, Px(i64::MAX), Qty(i64::MAX)), Change::Added);
        assert_eq!(book.best().ask_px, Px(5));
    }

    #[test]
    fn crossed_is_seen() {
        let mut book = L2Book::with_capacity(10);
        book.set(Side::Sell, Px(10), Qty(1));
        assert!(!book.crossed());
        book.set(Side::Buy, Px(9), Qty(1));
        assert!(!book.crossed());
        book.set(Side::Buy, Px(10), Qty(1));
        assert!(book.crossed());
    }

    #[test]
    fn nothing_grows_after_with_capacity() {
        let mut book = L2Book::with_capacity(500);
        let before = (book.bids.footprint(), book.asks.footprint());
        let mut rng = Seed(5);
        for step in 0..100_000u64 {
            // Filled at random, then thinned from the far end, so that splits and merges both run.
            let px = if step % 2_000 < 1_200 { 1 + rng.next(3_000) } else { 1 + step % 3_000 };
            let qty = if step % 2_000 < 1_200 { 1 } else { 0 };
            book.set(Side::Buy, Px(px as i64), Qty(qty));
        }
        assert_eq!((book.bids.footprint(), book.asks.footprint()), before);
        book.bids.check();
    }
}
