//! The slot ring: one producer, one consumer, a cache line a message.
//!
//! A slot is one line of 64 bytes: seven payload words and the sequence word, stored last with release, which is
//! both the message's number and its ready flag; a hop moves one line. Message `n` lives in slot `n` modulo the
//! capacity and is ready when the sequence word holds `n + 1`: zero is a slot never written, and what an earlier
//! lap left differs by a multiple of the capacity, so a stale slot is never taken for a fresh one. (One vector store
//! of the whole line would be shorter, but is not atomic on x86-64: measured torn on Zen 4.)
//!
//! ```text
//! word   what                                                     written by
//!    0   tag of the ring format, written last                     creator
//!    1   capacity, slots                                          creator
//!    2   process id of the last producer                          producer, at attach
//!    3   process id of the last consumer                          consumer, at attach
//!   16   position: messages the consumer has released             consumer
//!   32   slots, 8 words each: payload 0..7, sequence              producer
//! ```
//!
//! The producer keeps the last position it saw and looks again only when that copy says full; the consumer never
//! looks at anything but the next slot. Neither spins: an empty [`peek`](Consumer::peek) or a [`Full`] push returns,
//! and the wait (with `spin_loop`, which helps the writer of the line) is the caller's.
//!
//! What the peer wrote is input. Slots are addressed by masked numbers only, a position outside the window counts
//! as full, and a sequence that is not the next one counts as empty; a broken peer can stop a ring, nothing more.
//!
//! Orderings, with their partners:
//! * sequence: release store in `push` and `push_run`, acquire load in `peek` and `poll` (payload before sequence);
//! * position: release store in `release`, `pop` and `poll`, acquire load in `refresh` (payload read before it is
//!   overwritten).
//!
//! Payload words are relaxed atomics, plain moves on x86-64, because a peer that breaks the protocol may race for
//! them and the race must stay defined.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use crate::atomic::Ordering;
use crate::error::SegmentError;
#[cfg(not(loom))]
use crate::lock::Held;
use crate::words::{APART_WORDS, LINE_WORDS, Lines, WordMut, WordsMut};

/// What a message carries: 56 bytes, the meaning of which is its users'.
pub type Payload = [u64; 7];

/// The largest capacity of a ring, slots.
pub const CAPACITY_MAX: usize = 1 << 26;

/// First word of a ring.
pub(crate) const RING_TAG: u64 = u64::from_le_bytes(*b"slotring");

pub(crate) const W_TAG: usize = 0;
pub(crate) const W_CAPACITY: usize = 1;
pub(crate) const W_PRODUCER_PID: usize = 2;
pub(crate) const W_CONSUMER_PID: usize = 3;
const W_POSITION: usize = APART_WORDS;
const W_SLOTS: usize = 2 * APART_WORDS;
const SEQUENCE: usize = 7;
/// No ring gets this far: at a billion messages a second, in 146 years. Below it no number overflows.
const POSITION_MAX: u64 = 1 << 62;
const _: () = assert!(size_of::<Payload>() / 8 == SEQUENCE && SEQUENCE + 1 == LINE_WORDS);

/// The ring has no room for what was to be pushed; nothing was written. The producer decides what that means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Slots asked for.
    pub wanted: u32,
    /// Slots free.
    pub free: u32,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ring full: {} slots wanted, {} free", self.wanted, self.free)
    }
}

impl std::error::Error for Full {}

/// What an endpoint holds while it has its role: a lock, or on the heap a token.
#[derive(Debug)]
pub(crate) enum Hold {
    /// The role's lock.
    #[cfg(not(loom))]
    Lock(Held),
    /// Our token, which the peer watches, and the peer's.
    Token {
        /// Lives as long as this endpoint.
        _mine: Arc<()>,
        /// Lives as long as the peer.
        peer: Weak<()>,
    },
}

/// The producing end. Not shared: one thread at a time pushes. Aligned so that two ends born together never share a
/// pair of cache lines.
#[derive(Debug)]
#[repr(align(128))]
pub struct Producer {
    slots: Lines,
    position: WordMut,
    /// Number of the next message.
    next: u64,
    /// The last position seen; always within `next - capacity ..= next`.
    seen: u64,
    pub(crate) hold: Hold,
    _one_thread: PhantomData<Cell<()>>,
}

/// The consuming end. Not shared: one thread at a time consumes.
#[derive(Debug)]
#[repr(align(128))]
pub struct Consumer {
    slots: Lines,
    position: WordMut,
    /// Number of the next message.
    next: u64,
    /// Whether `next` has been peeked and may be released.
    peeked: bool,
    pub(crate) hold: Hold,
    _one_thread: PhantomData<Cell<()>>,
}

/// A ring on the heap, for two threads of one process (tests, model checkers, an engine in one thread): the same
/// protocol without the mapping. The capacity is rounded up to a power of two within 2..=[`CAPACITY_MAX`].
pub fn heap_ring(capacity: usize) -> (Producer, Consumer) {
    let capacity = capacity.clamp(2, CAPACITY_MAX).next_power_of_two();
    let words = WordsMut::heap(ring_words(capacity));
    words.store(W_CAPACITY, capacity as u64, Ordering::Relaxed);
    words.store(W_TAG, RING_TAG, Ordering::Release);
    let (ours, theirs) = (Arc::new(()), Arc::new(()));
    let (see_consumer, see_producer) = (Arc::downgrade(&theirs), Arc::downgrade(&ours));
    let Some((slots, position)) = parts(&words, capacity) else {
        unreachable!("the words were cut for this capacity");
    };
    let producer =
        Producer::at_start(slots.clone(), position.clone(), Hold::Token { _mine: ours, peer: see_consumer });
    let consumer = Consumer::at_start(slots, position, Hold::Token { _mine: theirs, peer: see_producer });
    (producer, consumer)
}

/// Words a ring of `capacity` slots takes.
pub(crate) fn ring_words(capacity: usize) -> usize {
    W_SLOTS + capacity * LINE_WORDS
}

/// The slots and the position word of a ring; `None` when they do not lie in `words`.
pub(crate) fn parts(words: &WordsMut, capacity: usize) -> Option<(Lines, WordMut)> {
    Some((words.lines(W_SLOTS, capacity)?, words.word(W_POSITION)?))
}

impl Producer {
    /// The producer of a ring nothing was pushed to.
    fn at_start(slots: Lines, position: WordMut, hold: Hold) -> Producer {
        Producer { slots, position, next: 0, seen: 0, hold, _one_thread: PhantomData }
    }

    /// The producer of a ring in use, going on after the last message its predecessor committed. A run the
    /// predecessor had begun and not committed is taken back. The caller holds the role.
    ///
    /// # Errors
    /// [`SegmentError::BadPosition`].
    pub(crate) fn resume(slots: Lines, position: WordMut, hold: Hold) -> Result<Producer, SegmentError> {
        let (capacity, seen) = (slots.count(), position.load(Ordering::Acquire));
        check_position(&slots, seen)?;
        let committed = |seq: u64| slots.at(seq)[SEQUENCE].load(Ordering::Acquire) == seq + 1;
        let end = seen + capacity;
        let next = (seen..end).find(|&seq| !committed(seq)).unwrap_or(end);
        for seq in (next..end).filter(|&seq| committed(seq)) {
            // Behind an uncommitted slot, so no consumer has come here. Back to the value of the lap before; the
            // release store of `next` will order this for the consumer.
            slots.at(seq)[SEQUENCE].store((seq + 1).saturating_sub(capacity), Ordering::Relaxed);
        }
        Ok(Producer { slots, position, next, seen, hold, _one_thread: PhantomData })
    }

    /// Pushes one message. About 3 ns while the line is ours.
    ///
    /// # Errors
    /// [`Full`]; nothing was written.
    #[inline]
    pub fn push(&mut self, payload: Payload) -> Result<(), Full> {
        if !self.has_room(1) {
            return Err(self.full(1));
        }
        let next = self.next;
        commit(&self.slots, &payload, next);
        self.next = next + 1;
        Ok(())
    }

    /// Pushes a run of messages as a whole: the first slot's sequence is stored last, so a consumer that sees the
    /// first sees all, and a producer that dies in between leaves none. An empty run is no message.
    ///
    /// # Errors
    /// [`Full`], also for a run longer than the capacity; nothing was written.
    #[inline]
    pub fn push_run(&mut self, run: &[Payload]) -> Result<(), Full> {
        let Some((first, rest)) = run.split_first() else { return Ok(()) };
        if !self.has_room(run.len()) {
            return Err(self.full(run.len()));
        }
        let start = self.next;
        for (seq, payload) in (start + 1..).zip(rest) {
            commit(&self.slots, payload, seq);
        }
        commit(&self.slots, first, start);
        self.next = start + run.len() as u64;
        Ok(())
    }

    /// Whether `count` messages can be pushed. Looks at the consumer's position only when the last one seen says no.
    #[inline]
    pub fn has_room(&mut self, count: usize) -> bool {
        let count = count as u64;
        self.known_free() >= count || {
            self.refresh();
            self.known_free() >= count
        }
    }

    /// Slots free now. Looks at the consumer's position, which costs a line from its core; to ask whether there is
    /// room, [`has_room`](Producer::has_room) is cheaper.
    pub fn free(&mut self) -> usize {
        self.refresh();
        self.known_free() as usize
    }

    /// Number of the next message to be pushed, from 0.
    #[inline]
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// Number of slots, a power of two.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.slots.count() as usize
    }

    /// Messages pushed and not yet released. Looks at the consumer's position, which costs a line from its core.
    pub fn depth(&self) -> usize {
        self.next.wrapping_sub(self.position.load(Ordering::Relaxed)).min(self.slots.count()) as usize
    }

    /// Slots free as of the position last seen.
    #[inline(always)]
    fn known_free(&self) -> u64 {
        self.slots.count() - (self.next - self.seen)
    }

    #[cold]
    fn refresh(&mut self) {
        // Partner: the release store of the position in `Consumer`.
        let position = self.position.load(Ordering::Acquire);
        // Never backwards, never past what was pushed: anything else is not a consumer's and is not believed.
        if (self.seen..=self.next).contains(&position) {
            self.seen = position;
        }
    }

    #[cold]
    fn full(&self, wanted: usize) -> Full {
        Full { wanted: wanted.min(u32::MAX as usize) as u32, free: self.known_free() as u32 }
    }
}

impl Consumer {
    /// The consumer of a ring nothing was released from.
    fn at_start(slots: Lines, position: WordMut, hold: Hold) -> Consumer {
        Consumer { slots, position, next: 0, peeked: false, hold, _one_thread: PhantomData }
    }

    /// The consumer of a ring in use, going on at the published position: a message its predecessor took and had
    /// not released is delivered again. The caller holds the role.
    ///
    /// # Errors
    /// [`SegmentError::BadPosition`].
    pub(crate) fn resume(slots: Lines, position: WordMut, hold: Hold) -> Result<Consumer, SegmentError> {
        let next = position.load(Ordering::Acquire);
        check_position(&slots, next)?;
        Ok(Consumer { slots, position, next, peeked: false, hold, _one_thread: PhantomData })
    }

    /// The next message and its number, from 0, without releasing it; `None` when there is none yet. Peeking again
    /// gives the same message.
    #[inline]
    pub fn peek(&mut self) -> Option<(u64, Payload)> {
        let message = self.next_message();
        self.peeked = message.is_some();
        message
    }

    /// Releases the message last peeked and publishes the position; does nothing when none was.
    #[inline]
    pub fn release(&mut self) {
        if self.peeked {
            self.peeked = false;
            self.next += 1;
            self.publish();
        }
    }

    /// The next message and its number, released at once; `None` when there is none yet.
    #[inline]
    pub fn pop(&mut self) -> Option<(u64, Payload)> {
        let message = self.next_message()?;
        self.peeked = false;
        self.next += 1;
        self.publish();
        Some(message)
    }

    /// Hands up to `limit` messages with their numbers to `each` and publishes the position once, after the last.
    /// Returns how many. A message peeked and not released is the first. Should `each` panic, the messages handed
    /// over are released by the next call, the one it panicked on with them.
    #[inline]
    pub fn poll(&mut self, limit: usize, mut each: impl FnMut(u64, &Payload)) -> usize {
        self.peeked = false;
        let mut count = 0;
        while count < limit
            && let Some((seq, payload)) = self.next_message()
        {
            self.next += 1;
            count += 1;
            each(seq, &payload);
        }
        if count > 0 {
            self.publish();
        }
        count
    }

    /// Number of the next message to be delivered, from 0.
    #[inline]
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// Whether no message waits.
    #[inline]
    pub fn is_empty(&mut self) -> bool {
        self.slots.at(self.next)[SEQUENCE].load(Ordering::Relaxed) != self.next + 1
    }

    /// Number of slots, a power of two.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.slots.count() as usize
    }

    #[inline(always)]
    fn next_message(&self) -> Option<(u64, Payload)> {
        let (seq, slot) = (self.next, self.slots.at(self.next));
        // Partner: the release store of the sequence in `commit`.
        if slot[SEQUENCE].load(Ordering::Acquire) != seq + 1 {
            return None;
        }
        self.slots.reads(seq);
        let mut payload = Payload::default();
        for (word, cell) in payload.iter_mut().zip(slot) {
            *word = cell.load(Ordering::Relaxed);
        }
        Some((seq, payload))
    }

    #[inline(always)]
    fn publish(&self) {
        // Partner: the acquire load in `Producer::refresh`: the slot was read before it may be written again.
        self.position.store(self.next, Ordering::Release);
    }
}

/// Fills the slot of message `seq` and marks it ready.
#[inline(always)]
fn commit(slots: &Lines, payload: &Payload, seq: u64) {
    let slot = slots.at(seq);
    slots.writes(seq);
    for (cell, word) in slot.iter().zip(payload) {
        cell.store(*word, Ordering::Relaxed);
    }
    // Partner: the acquire load in `Consumer::next_message`.
    slot[SEQUENCE].store(seq + 1, Ordering::Release);
}

/// Refuses a position the slots contradict: the slot before it must hold that message, or the one a lap later.
fn check_position(slots: &Lines, position: u64) -> Result<(), SegmentError> {
    if position == 0 {
        return Ok(());
    }
    let slot = slots.at(position - 1)[SEQUENCE].load(Ordering::Relaxed);
    if position < POSITION_MAX && (slot == position || slot == position + slots.count()) {
        return Ok(());
    }
    Err(SegmentError::BadPosition { found: position, slot })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn message(n: u64) -> Payload {
        std::array::from_fn(|i| n * 7 + i as u64)
    }

    fn hold() -> Hold {
        Hold::Token { _mine: Arc::new(()), peer: Weak::new() }
    }

    /// A ring whose memory the test can reach, with nothing attached.
    fn bare(capacity: usize) -> (WordsMut, Lines, WordMut) {
        let words = WordsMut::heap(ring_words(capacity));
        let (slots, position) = parts(&words, capacity).unwrap();
        (words, slots, position)
    }

    #[test]
    fn messages_come_in_order_with_their_numbers() {
        let (mut tx, mut rx) = heap_ring(4);
        assert_eq!((tx.capacity(), rx.capacity()), (4, 4));
        for n in 0..100 {
            assert!(rx.is_empty());
            assert_eq!(tx.next_seq(), n);
            tx.push(message(n)).unwrap();
            assert!(!rx.is_empty());
            assert_eq!(tx.depth(), 1);
            assert_eq!(rx.peek(), Some((n, message(n))));
            assert_eq!(rx.peek(), Some((n, message(n))), "peeking does not release");
            assert_eq!(rx.next_seq(), n);
            rx.release();
            rx.release();
            assert_eq!(rx.next_seq(), n + 1, "the second release had nothing to release");
        }
        assert_eq!(rx.pop(), None);
    }

    #[test]
    fn a_full_ring_refuses_and_writes_nothing() {
        let (mut tx, mut rx) = heap_ring(4);
        (0..3).for_each(|n| tx.push(message(n)).unwrap());
        assert_eq!(tx.push_run(&[message(9); 2]), Err(Full { wanted: 2, free: 1 }));
        tx.push_run(&[]).unwrap();
        tx.push(message(3)).unwrap();
        assert_eq!(tx.push(message(9)), Err(Full { wanted: 1, free: 0 }));
        assert_eq!((tx.free(), tx.depth(), tx.next_seq()), (0, 4, 4));
        assert_eq!(rx.pop(), Some((0, message(0))));
        assert_eq!(tx.free(), 1);
        assert!(tx.has_room(1) && !tx.has_room(2));
        assert_eq!(tx.push_run(&[message(9); 5]), Err(Full { wanted: 5, free: 1 }), "longer than the ring");
        assert_eq!(rx.poll(10, |n, p| assert_eq!(*p, message(n))), 3);
        tx.push_run(&[message(4), message(5), message(6), message(7)]).unwrap();
        assert_eq!(rx.poll(10, |n, p| assert_eq!(*p, message(n))), 4);
    }

    #[test]
    fn capacities_on_the_heap_are_rounded_up() {
        for (asked, got) in [(0, 2), (1, 2), (2, 2), (3, 4), (64, 64), (65, 128)] {
            assert_eq!(heap_ring(asked).0.capacity(), got);
        }
    }

    #[test]
    fn poll_stops_at_its_limit_and_publishes_once() {
        let (mut tx, mut rx) = heap_ring(8);
        (0..8).for_each(|n| tx.push(message(n)).unwrap());
        assert!(rx.peek().is_some());
        let free = Cell::new(None);
        assert_eq!(
            rx.poll(5, |n, _| {
                if n == 4 {
                    free.set(Some(tx.free()));
                }
            }),
            5,
            "the peeked message is among them"
        );
        assert_eq!((free.get(), tx.free()), (Some(0), 5));
        rx.release();
        assert_eq!((rx.next_seq(), rx.poll(0, |_, _| ())), (5, 0));
    }

    #[test]
    fn a_panic_in_poll_loses_no_room() {
        let (mut tx, mut rx) = heap_ring(4);
        (0..4).for_each(|n| tx.push(message(n)).unwrap());
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            rx.poll(4, |n, _| assert!(n < 1, "planted"));
        }));
        assert!(caught.is_err());
        assert_eq!(tx.free(), 0);
        assert_eq!(rx.pop(), Some((2, message(2))));
        assert_eq!(tx.free(), 3);
    }

    #[test]
    fn a_slot_of_another_lap_is_not_ready() {
        let (_words, slots, position) = bare(2);
        let mut rx = Consumer::at_start(slots.clone(), position, hold());
        for stale in [0, 3, 2, u64::MAX] {
            slots.at(0)[SEQUENCE].store(stale, Ordering::Release);
            assert_eq!(rx.pop(), None, "sequence {stale} is not message 0");
        }
        slots.at(0)[SEQUENCE].store(1, Ordering::Release);
        assert!(rx.pop().is_some());
        assert_eq!(rx.pop(), None);
    }

    #[test]
    fn a_hostile_position_stops_the_ring_and_nothing_more() {
        let (_words, slots, position) = bare(4);
        let mut tx = Producer::at_start(slots, position.clone(), hold());
        (0..4).for_each(|n| tx.push(message(n)).unwrap());
        for hostile in [5, 1 << 40, u64::MAX, u64::MAX - 3] {
            position.store(hostile, Ordering::Release);
            assert_eq!(tx.push(message(4)), Err(Full { wanted: 1, free: 0 }), "position {hostile}");
            assert!(tx.depth() <= 4);
        }
        position.store(2, Ordering::Release);
        tx.push(message(4)).unwrap();
        position.store(1, Ordering::Release);
        assert_eq!(tx.free(), 1, "a position that went back is not believed");
    }

    #[test]
    fn attaching_refuses_a_position_the_slots_contradict() {
        let (_words, slots, position) = bare(4);
        let mut tx = Producer::at_start(slots.clone(), position.clone(), hold());
        (0..3).for_each(|n| tx.push(message(n)).unwrap());
        for bad in [4, 5, 8, 1 << 62, u64::MAX - 4, u64::MAX] {
            position.store(bad, Ordering::Release);
            let refused = Consumer::resume(slots.clone(), position.clone(), hold());
            assert!(matches!(refused, Err(SegmentError::BadPosition { found, .. }) if found == bad));
            let refused = Producer::resume(slots.clone(), position.clone(), hold());
            assert!(matches!(refused, Err(SegmentError::BadPosition { found, .. }) if found == bad));
        }
        for good in 0..=3 {
            position.store(good, Ordering::Release);
            assert_eq!(Consumer::resume(slots.clone(), position.clone(), hold()).unwrap().next_seq(), good);
            assert_eq!(Producer::resume(slots.clone(), position.clone(), hold()).unwrap().next_seq(), 3);
        }
    }

    /// A producer that dies after any of its stores leaves a ring that goes on with whole runs only.
    #[test]
    fn a_run_cut_off_after_any_store_is_taken_back() {
        const CAPACITY: u64 = 4;
        for (before, released) in [(0, 0), (1, 0), (1, 1), (5, 4), (6, 6), (7, 6), (9, 8)] {
            let room = CAPACITY - (before - released);
            for run in 1..=room {
                // 8 stores a slot, the first slot last: all but the very last may have happened.
                for stores in 0..run * 8 {
                    let (_words, slots, position) = bare(CAPACITY as usize);
                    let mut tx = Producer::at_start(slots.clone(), position.clone(), hold());
                    let mut rx = Consumer::at_start(slots.clone(), position.clone(), hold());
                    for n in 0..before {
                        tx.push(message(n)).unwrap();
                        if n < released {
                            rx.pop().unwrap();
                        }
                    }
                    drop(tx);
                    let order = (1..run).chain([0]).map(|k| before + k);
                    let all = order.flat_map(|seq| {
                        let word = |i: usize| if i == SEQUENCE { seq + 1 } else { !message(seq)[i] };
                        (0..8).map(move |i| (seq, i, word(i))).collect::<Vec<_>>()
                    });
                    for (seq, i, value) in all.take(stores as usize) {
                        slots.at(seq)[i].store(value, Ordering::Release);
                    }
                    let mut tx = Producer::resume(slots, position, hold()).unwrap();
                    assert_eq!(tx.next_seq(), before, "nothing of the run was committed");
                    assert_eq!(rx.poll(99, |n, p| assert_eq!(*p, message(n))) as u64, before - released);
                    // One message, and no remnant of the run behind it.
                    for n in before..before + 2 * CAPACITY {
                        tx.push(message(n)).unwrap();
                        assert_eq!(rx.pop(), Some((n, message(n))));
                        assert_eq!(rx.pop(), None);
                    }
                }
            }
        }
    }

    #[test]
    fn both_ends_resume_where_the_words_say() {
        let (_words, slots, position) = bare(4);
        let (mut tx, mut rx) = (
            Producer::at_start(slots.clone(), position.clone(), hold()),
            Consumer::at_start(slots.clone(), position.clone(), hold()),
        );
        for n in 0..50 {
            tx.push(message(2 * n)).unwrap();
            tx = Producer::resume(slots.clone(), position.clone(), hold()).unwrap();
            tx.push(message(2 * n + 1)).unwrap();
            assert_eq!(rx.peek(), Some((2 * n, message(2 * n))));
            rx = Consumer::resume(slots.clone(), position.clone(), hold()).unwrap();
            assert_eq!(rx.pop(), Some((2 * n, message(2 * n))), "peeked, not released: delivered again");
            rx = Consumer::resume(slots.clone(), position.clone(), hold()).unwrap();
            assert_eq!(rx.pop(), Some((2 * n + 1, message(2 * n + 1))));
        }
    }

    /// Short enough for Miri as well: two threads, runs of every length, every word checked.
    #[test]
    fn two_threads_agree_on_every_word() {
        let count = if cfg!(miri) { 200 } else { 200_000 };
        let (mut tx, mut rx) = heap_ring(8);
        let producer = std::thread::spawn(move || {
            let mut n = 0;
            while n < count {
                let run: Vec<Payload> = (n..count.min(n + 1 + n % 5)).map(message).collect();
                while tx.push_run(&run).is_err() {
                    std::thread::yield_now();
                }
                n += run.len() as u64;
            }
        });
        let mut n = 0;
        while n < count {
            let got = rx.poll(3, |seq, payload| {
                assert_eq!((seq, *payload), (n, message(n)));
                n += 1;
            });
            if got == 0 {
                std::thread::yield_now();
            }
        }
        producer.join().unwrap();
        assert_eq!(rx.pop(), None);
    }
}
