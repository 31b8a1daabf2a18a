//! What the venue still takes from this address: request weight and pauses, shared by everyone who sends.
//!
//! Weight is counted here as requests leave and corrected by what the venue says it has counted: the higher of both
//! holds, so the book is never looser than either. The words are atomic and may lie in shared memory, for the gateway and
//! the housekeeping thread write them, each of its own process maybe; neither waits for the other.

use rings::{Ordering, WordsMut};
use wire::Ts;

/// The venue's window of request weight, ns: a minute of its clock.
const WINDOW_NS: u64 = 60_000_000_000;
/// Part of the weight that new orders and questions leave to cancels and stops: a tenth.
const RESERVE_PARTS: u32 = 10;
/// Part of the weight that all but cancels leave to them: a fiftieth.
const CANCEL_PARTS: u32 = 50;
/// First pause after a refusal that names no end, ns; doubles with every further one.
const PAUSE_NS: u64 = 1_000_000_000;
/// Longest such pause, ns.
const PAUSE_MAX_NS: u64 = 64_000_000_000;
/// Pause after a ban that names no end: the venue's shortest, ns.
const BAN_NS: u64 = 120_000_000_000;

/// Who wants to spend weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A new order.
    Order,
    /// A request that can wait: a snapshot, what became of an order.
    Question,
    /// What a stop needs to know.
    Stop,
    /// A cancel, or what the connection for it needs.
    Cancel,
}

/// Window number << 32 | weight used in it.
const USED: usize = 0;
/// Nothing leaves before, ns.
const ALL_UNTIL: usize = 1;
/// No new order leaves before, ns.
const ORDERS_UNTIL: usize = 2;
/// The pause is a ban.
const BANNED_UNTIL: usize = 3;
/// Refusals in a row that named no end.
const REFUSALS: usize = 4;
/// Words of a book.
pub const RATE_WORDS: usize = 5;

/// Sets a word to what `next` makes of it, unless that is nothing; whether it was set.
#[inline]
pub(crate) fn update(words: &WordsMut, at: usize, mut next: impl FnMut(u64) -> Option<u64>) -> bool {
    let mut seen = words.load(at, Ordering::Acquire);
    while let Some(new) = next(seen) {
        match words.compare_exchange(at, seen, new) {
            Ok(_) => return true,
            Err(now) => seen = now,
        }
    }
    false
}

/// The book; clones share it.
#[derive(Clone, Debug)]
pub struct RateBook {
    words: WordsMut,
    limit: u32,
}

impl RateBook {
    /// A book for `limit` weight a minute.
    pub fn new(limit: u32) -> RateBook {
        RateBook::over(WordsMut::heap(RATE_WORDS), limit)
    }

    /// A book over words that others may share: [`RATE_WORDS`] of them.
    pub fn over(words: WordsMut, limit: u32) -> RateBook {
        RateBook { words, limit }
    }

    #[inline]
    fn load(&self, at: usize) -> u64 {
        self.words.load(at, Ordering::Relaxed)
    }

    /// Raises a word to `least`, if it is lower.
    fn raise_to(&self, at: usize, least: u64) {
        update(&self.words, at, |word| (word < least).then_some(least));
    }

    /// Weight that the venue takes in a minute.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Weight used in the window of `now`, as far as it is known.
    pub fn used(&self, now: Ts) -> u32 {
        let word = self.load(USED);
        if word >> 32 == window(now) { word as u32 } else { 0 }
    }

    /// Takes `weight` for a request that is about to leave; `false` and nothing taken when it must not.
    #[inline]
    pub fn take(&self, weight: u32, need: Need, now: Ts) -> bool {
        if now.0 < self.load(ALL_UNTIL) || (need == Need::Order && now.0 < self.load(ORDERS_UNTIL)) {
            return false;
        }
        let reserve = match need {
            Need::Order | Need::Question => self.limit / RESERVE_PARTS,
            Need::Stop => self.limit / CANCEL_PARTS,
            Need::Cancel => 0,
        };
        self.raise(now, |used| used.checked_add(weight).filter(|sum| *sum <= self.limit - reserve))
    }

    /// The venue says that so much of its window is used.
    pub fn heard(&self, used: u32, now: Ts) {
        self.raise(now, |known| Some(known.max(used)));
        self.words.store(REFUSALS, 0, Ordering::Relaxed);
    }

    /// Sets the weight of the window of `now` to what `f` makes of it, unless that is nothing.
    #[inline]
    fn raise(&self, now: Ts, f: impl Fn(u32) -> Option<u32>) -> bool {
        let at = window(now);
        let next = |word: u64| {
            let used = if word >> 32 == at { word as u32 } else { 0 };
            f(used).map(|sum| at << 32 | sum as u64)
        };
        update(&self.words, USED, next)
    }

    /// The venue refused for a rate limit: nothing leaves before `until`, or before a pause that grows with every
    /// refusal in a row and is stretched by up to a quarter, so that many senders do not come back as one.
    pub fn refused(&self, until: Option<Ts>, now: Ts) {
        let n = self.words.fetch_add(REFUSALS, 1, Ordering::Relaxed).min(16);
        let pause = (PAUSE_NS << n).min(PAUSE_MAX_NS);
        let until = until.unwrap_or(now.plus_ns(pause + jitter(now, pause / 4)));
        self.raise_to(ALL_UNTIL, until.0);
    }

    /// The venue has as many new orders of ours as it takes for now: cancels leave, new orders do not.
    pub fn orders_refused(&self, until: Ts) {
        self.raise_to(ORDERS_UNTIL, until.0);
    }

    /// The venue banned the address: nothing leaves before the end of the ban.
    pub fn banned(&self, until: Option<Ts>, now: Ts) {
        let until = until.unwrap_or(now.plus_ns(BAN_NS + jitter(now, BAN_NS / 4)));
        self.raise_to(ALL_UNTIL, until.0);
        self.raise_to(BANNED_UNTIL, until.0);
    }

    /// Weight with its window, end of the pause, end of the ban: all that another book has to follow.
    pub fn words(&self) -> [u64; 3] {
        [USED, ALL_UNTIL, BANNED_UNTIL].map(|at| self.load(at))
    }

    /// Takes over what another book has heard of the venue, as its words say: never looser than before.
    pub fn follow(&self, words: [u64; 3], now: Ts) {
        if words[0] >> 32 == window(now) {
            self.raise(now, |known| Some(known.max(words[0] as u32)));
        }
        self.raise_to(ALL_UNTIL, words[1]);
        self.raise_to(BANNED_UNTIL, words[2]);
    }

    /// Whether the address is banned.
    pub fn is_banned(&self, now: Ts) -> bool {
        now.0 < self.load(BANNED_UNTIL)
    }

    /// Whether nothing at all may leave.
    pub fn is_paused(&self, now: Ts) -> bool {
        now.0 < self.load(ALL_UNTIL)
    }
}

/// The books of the two who send from this address. Each writes its own alone: what the gateway reads of the other's is
/// an input like any other, so a replay can give it again.
#[derive(Clone, Debug)]
pub struct SharedRates {
    /// The gateway's.
    pub orders: RateBook,
    /// Of those who send REST requests.
    pub rest: RateBook,
}

impl SharedRates {
    /// Books for `limit` weight a minute.
    pub fn new(limit: u32) -> SharedRates {
        SharedRates { orders: RateBook::new(limit), rest: RateBook::new(limit) }
    }

    /// Takes `weight` for a REST request that is about to leave; `false` and nothing taken when it must not.
    pub fn take_rest(&self, weight: u32, now: Ts) -> bool {
        self.rest.follow(self.orders.words(), now);
        self.rest.take(weight, Need::Question, now)
    }

    /// Whether the address is banned.
    pub fn is_banned(&self, now: Ts) -> bool {
        self.rest.is_banned(now) || self.orders.is_banned(now)
    }
}

#[inline]
fn window(now: Ts) -> u64 {
    (now.0 / WINDOW_NS) & 0xffff_ffff
}

/// Between zero and `most`, from the low digits of the time: the same time gives the same pause.
fn jitter(now: Ts, most: u64) -> u64 {
    (now.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) % most.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const NOW: Ts = Ts(1_700_000_040 * S);

    #[test]
    fn never_looser_than_either_count_and_cancels_have_a_reserve() {
        let book = RateBook::new(100);
        assert_eq!((0..200).filter(|_| book.take(1, Need::Order, NOW)).count(), 90);
        assert!(!book.take(1, Need::Order, NOW) && book.take(4, Need::Cancel, NOW));
        assert_eq!(book.used(NOW), 94);
        book.heard(50, NOW);
        assert_eq!(book.used(NOW), 94, "the venue has not counted what is on the way");
        book.heard(99, NOW);
        assert!(!book.take(2, Need::Cancel, NOW) && book.take(1, Need::Cancel, NOW));
        // Another minute, and another sender.
        let later = NOW.plus_ns(60 * S);
        let other = book.clone();
        assert!(other.take(30, Need::Order, later) && !book.take(61, Need::Order, later));
        other.heard(95, later);
        assert!(!book.take(1, Need::Order, later) && book.take(5, Need::Cancel, later));
    }

    #[test]
    fn questions_leave_the_reserve_to_stops_and_those_the_last_of_it_to_cancels() {
        let book = RateBook::new(1_000);
        book.orders_refused(NOW.plus_ns(S));
        assert_eq!((0..1_000).filter(|_| book.take(4, Need::Question, NOW)).count(), 225, "900 of 1000");
        assert_eq!((0..1_000).filter(|_| book.take(6, Need::Stop, NOW)).count(), 13, "980 of 1000");
        assert_eq!((0..1_000).filter(|_| book.take(1, Need::Cancel, NOW)).count(), 22);
    }

    #[test]
    fn pauses_end_when_the_venue_says_or_grow_when_it_does_not() {
        let book = RateBook::new(6_000);
        book.refused(Some(NOW.plus_ns(7 * S)), NOW);
        assert!(!book.take(1, Need::Cancel, NOW.plus_ns(7 * S - 1)));
        assert!(book.take(1, Need::Order, NOW.plus_ns(7 * S)));
        let mut at = NOW.plus_ns(100 * S);
        let mut last = 0;
        for n in 1..5 {
            book.refused(None, at);
            let mut until = at;
            while book.is_paused(until) {
                until = until.plus_ns(S / 100);
            }
            let paused = until.since_ns(at);
            let (least, most) = (S << n, (S << n) + (S << n) / 4 + S / 50);
            assert!((least..=most).contains(&paused) && paused > last, "{n}: {paused}");
            (last, at) = (paused, until);
        }
        book.heard(0, at);
        book.refused(None, at);
        assert!(!book.is_paused(at.plus_ns(S + S / 4)), "after an answer the first pause again");
    }

    #[test]
    fn both_books_know_what_the_other_has_used() {
        let rates = SharedRates::new(100);
        assert!(rates.orders.take(60, Need::Order, NOW));
        assert!(!rates.take_rest(50, NOW) && rates.take_rest(25, NOW));
        rates.orders.follow(rates.rest.words(), NOW);
        assert_eq!(rates.orders.used(NOW), 85);
        assert!(!rates.orders.take(6, Need::Order, NOW));
        rates.rest.banned(Some(NOW.plus_ns(S)), NOW);
        rates.orders.follow(rates.rest.words(), NOW);
        assert!(
            rates.orders.is_banned(NOW) && !rates.orders.take(1, Need::Cancel, NOW) && rates.is_banned(NOW)
        );
        // What was used in another minute counts for nothing.
        let later = NOW.plus_ns(60 * S);
        rates.orders.follow([(NOW.0 / WINDOW_NS) << 32 | 99, 0, 0], later);
        assert_eq!(rates.orders.used(later), 0);
    }

    #[test]
    fn orders_wait_alone_and_bans_have_their_name() {
        let book = RateBook::new(6_000);
        book.orders_refused(NOW.plus_ns(S));
        assert!(!book.take(1, Need::Order, NOW) && book.take(1, Need::Cancel, NOW));
        assert!(!book.is_banned(NOW) && !book.is_paused(NOW));
        book.banned(Some(NOW.plus_ns(5 * S)), NOW);
        assert!(book.is_banned(NOW.plus_ns(5 * S - 1)) && !book.take(1, Need::Cancel, NOW));
        assert!(!book.is_banned(NOW.plus_ns(5 * S)) && book.take(1, Need::Cancel, NOW.plus_ns(5 * S)));
        book.banned(None, NOW);
        assert!(book.is_banned(NOW.plus_ns(BAN_NS - 1)));
    }
}
