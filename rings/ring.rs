//! The slot ring: one producer, one consumer, a cache line a message.
//!
//! A slot is one line of 64 bytes: seven payload words and the sequence word, stored last with release, which is
//! both the message's number and its ready flag; a hop moves one line. Message `n` lives in slot `n` modulo the
//! capacity and is ready when the sequence word holds `n + 1`: zero is a slot never written, and what an earlier
//! lap left differs by a multiple of the capacity, so a stale slot is never taken for a fresh one. (One vector store
//! of the whole line would be shorter, but is not atomic on x86-64: measured torn on Zen 4.)
//!
//! ```text
//!          0        8       16       24       32       40       48       56       64
//! slot     | word 0 | word 1 | word 2 | word 3 | word 4 | word 5 | word 6 |  n + 1 |
//! ```
//!
//! The words before the slots are those of every ring: see `control.rs`.
//!
//! The producer keeps the last position it saw and looks again only when that copy says full; the consumer never
//! looks at anything but the next slot. Neither spins: an empty [`peek`](Consumer::peek) or a [`Full`] push returns,
//! and the wait (with `spin_loop`, which helps the writer of the line) is the caller's.
//!
//! What the peer wrote is input. Slots are addressed by masked numbers only, a position outside the window counts
//! as full, and a sequence that is not the next one counts as empty; a broken peer can stop a ring, nothing more.
//!
//! Orderings, with their partners:
//! * sequence: release store in `commit`, acquire load in `message` (payload before sequence);
//! * position: release store in `publish`, acquire load in `refresh` (payload read before it is overwritten).
//!
//! Payload words are relaxed atomics, plain moves on x86-64, because a peer that breaks the protocol may race for
//! them and the race must stay defined.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use crate::atomic::Ordering;
use crate::control::{POSITION_MAX, Parts};
use crate::error::SegmentError;
use crate::life::{Hold, Life};
use crate::words::{LINE_WORDS, Lines, WordMut};

mod batch;
pub use batch::{Batch, Claim};

/// What a message carries: 56 bytes, the meaning of which is its users'.
pub type Payload = [u64; 7];

/// First word of a slot ring.
pub(crate) const RING_TAG: u64 = u64::from_le_bytes(*b"slotring");

const SEQUENCE: usize = 7;
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
    pub(crate) life: Life,
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
    pub(crate) life: Life,
    _one_thread: PhantomData<Cell<()>>,
}

/// A ring on the heap, for two threads of one process (tests, model checkers, an engine in one thread): the same
/// protocol without the mapping. The capacity is rounded up to a power of two within
/// 2..=[`CAPACITY_MAX`](crate::CAPACITY_MAX).
pub fn heap_ring(capacity: usize) -> (Producer, Consumer) {
    let (parts, producer, consumer) = Parts::heap(capacity, RING_TAG);
    (Producer::at_start(&parts, producer), Consumer::at_start(&parts, consumer))
}

/// A slot ring on the heap whose ends can be attached again, for the model checker: what a segment is to processes. That
/// an end has one holder at a time is the model's to see to.
#[cfg(loom)]
#[derive(Debug)]
pub struct HeapRing(Parts);

#[cfg(loom)]
impl HeapRing {
    /// A ring of `capacity` slots with neither end attached.
    pub fn new(capacity: usize) -> HeapRing {
        HeapRing(Parts::heap(capacity, RING_TAG).0)
    }

    /// Attaches the producing end.
    ///
    /// # Errors
    /// [`SegmentError::BadPosition`].
    pub fn producer(&self) -> Result<Producer, SegmentError> {
        Producer::resume(&self.0, Hold::nobody())
    }

    /// Attaches the consuming end.
    ///
    /// # Errors
    /// [`SegmentError::BadPosition`].
    pub fn consumer(&self) -> Result<Consumer, SegmentError> {
        Consumer::resume(&self.0, Hold::nobody())
    }
}

#[cfg(loom)]
impl Producer {
    /// Dies just before the last store of a run: all but the first message bear their sequence.
    pub fn die_in_run(self, run: &[Payload]) {
        for (seq, payload) in (self.next..).zip(run).skip(1) {
            commit(&self.slots, payload, seq);
        }
    }
}

impl Producer {
    /// The producer of a ring nothing was pushed to.
    fn at_start(parts: &Parts, hold: Hold) -> Producer {
        Producer::at(parts, 0, 0, hold)
    }

    fn at(parts: &Parts, next: u64, seen: u64, hold: Hold) -> Producer {
        Producer {
            slots: parts.slots.clone(),
            position: parts.released.clone(),
            next,
            seen,
            life: parts.as_producer(hold),
            _one_thread: PhantomData,
        }
    }

    /// The producer of a ring in use, going on after the last message its predecessor committed. A run the
    /// predecessor had begun and not committed is taken back. The caller holds the role.
    ///
    /// # Errors
    /// [`SegmentError::BadPosition`].
    pub(crate) fn resume(parts: &Parts, hold: Hold) -> Result<Producer, SegmentError> {
        let slots = &parts.slots;
        let (capacity, seen) = (slots.count(), parts.released.load(Ordering::Acquire));
        check_position(slots, seen)?;
        let committed = |seq: u64| slots.at(seq)[SEQUENCE].load(Ordering::Acquire) == seq + 1;
        let end = seen + capacity;
        let next = (seen..end).find(|&seq| !committed(seq)).unwrap_or(end);
        for seq in (next..end).filter(|&seq| committed(seq)) {
            // Behind an uncommitted slot, so no consumer has come here. Back to the value of the lap before; the
            // release store of `next` will order this for the consumer.
            slots.at(seq)[SEQUENCE].store((seq + 1).saturating_sub(capacity), Ordering::Relaxed);
        }
        Ok(Producer::at(parts, next, seen, hold))
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
    fn at_start(parts: &Parts, hold: Hold) -> Consumer {
        Consumer::at(parts, 0, hold)
    }

    fn at(parts: &Parts, next: u64, hold: Hold) -> Consumer {
        Consumer {
            slots: parts.slots.clone(),
            position: parts.released.clone(),
            next,
            peeked: false,
            life: parts.as_consumer(hold),
            _one_thread: PhantomData,
        }
    }

    /// The consumer of a ring in use, going on at the published position: a message its predecessor took and had
    /// not released is delivered again. The caller holds the role.
    ///
    /// # Errors
    /// [`SegmentError::BadPosition`].
    pub(crate) fn resume(parts: &Parts, hold: Hold) -> Result<Consumer, SegmentError> {
        let next = parts.released.load(Ordering::Acquire);
        check_position(&parts.slots, next)?;
        Ok(Consumer::at(parts, next, hold))
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
        // A lap at most: a peer that goes on beyond what is released does not keep us here.
        let limit = limit.min(self.capacity());
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
        self.message(self.next)
    }

    /// Message `seq`, at or after the next and within a lap of it, if it is ready.
    #[inline(always)]
    fn message(&self, seq: u64) -> Option<(u64, Payload)> {
        let slot = self.slots.at(seq);
        // Partner: the release store of the sequence in `commit`.
        if slot[SEQUENCE].load(Ordering::Acquire) != seq + 1 {
            return None;
        }
        self.slots.reads(seq);
        let [payload @ .., _] = self.slots.read(seq);
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
    // Partner: the acquire load in `Consumer::message`.
    slot[SEQUENCE].store(seq + 1, Ordering::Release);
    slots.ask_ahead(seq);
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
mod tests;
