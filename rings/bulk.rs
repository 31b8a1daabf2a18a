//! The bulk ring: one producer, one consumer, an index pair, runs copied whole.
//!
//! A record is a full line of 64 bytes; what says that it is there is not in it but in the committed count, stored
//! once a run. A single record so costs two lines from core to core where the [slot ring](crate::ring()) costs one;
//! a run of many costs its lines and one more, and its copy runs ahead of the cores' distance because nothing in a
//! line must be looked at before the next is fetched. For recordings, snapshots and curves; orders and market data
//! go by slots.
//!
//! The words before the slots are those of every ring: see `control.rs`. Each side keeps a copy of the other's count and
//! looks again only when that copy says full, or empty.
//!
//! What the peer wrote is input: slots are addressed by masked numbers only, and a count that goes back, or beyond what
//! the ring holds, is not believed and leaves things as they were.
//!
//! Orderings, with their partners:
//! * committed: release store in `commit`, acquire load in `look` (records before their count);
//! * released: release store in `publish`, acquire load in `refresh` (records read before they are overwritten).

use std::cell::Cell;
use std::marker::PhantomData;

use crate::atomic::Ordering;
use crate::control::{POSITION_MAX, Parts};
use crate::error::SegmentError;
use crate::life::{Hold, Life};
use crate::ring::Full;
use crate::words::{LINE_WORDS, Lines, WordMut};

/// What a bulk ring carries: 64 bytes, the meaning of which is its users'.
pub type Record = [u64; LINE_WORDS];

/// First word of a bulk ring.
pub(crate) const BULK_TAG: u64 = u64::from_le_bytes(*b"bulkring");

/// The producing end. Not shared: one thread at a time pushes.
#[derive(Debug)]
#[repr(align(128))]
pub struct BulkProducer {
    slots: Lines,
    released: WordMut,
    committed: WordMut,
    /// Number of the next record.
    next: u64,
    /// The last released count seen; always within `next - capacity ..= next`.
    seen: u64,
    pub(crate) life: Life,
    _one_thread: PhantomData<Cell<()>>,
}

/// The consuming end. Not shared: one thread at a time consumes.
#[derive(Debug)]
#[repr(align(128))]
pub struct BulkConsumer {
    slots: Lines,
    released: WordMut,
    committed: WordMut,
    /// Number of the next record.
    next: u64,
    /// The last committed count seen; always within `next ..= next + capacity`.
    seen: u64,
    pub(crate) life: Life,
    _one_thread: PhantomData<Cell<()>>,
}

/// A bulk ring on the heap, for two threads of one process. The capacity is rounded up to a power of two within
/// 2..=[`CAPACITY_MAX`](crate::CAPACITY_MAX).
pub fn heap_bulk_ring(capacity: usize) -> (BulkProducer, BulkConsumer) {
    let (parts, producer, consumer) = Parts::heap(capacity, BULK_TAG);
    (BulkProducer::at(&parts, 0, 0, producer), BulkConsumer::at(&parts, 0, 0, consumer))
}

impl BulkProducer {
    fn at(parts: &Parts, next: u64, seen: u64, hold: Hold) -> BulkProducer {
        BulkProducer {
            slots: parts.slots.clone(),
            released: parts.released.clone(),
            committed: parts.committed.clone(),
            next,
            seen,
            life: parts.as_producer(hold),
            _one_thread: PhantomData,
        }
    }

    /// The producer of a ring in use, going on after the last record its predecessor committed. The caller holds the
    /// role.
    ///
    /// # Errors
    /// [`SegmentError::BadCount`].
    pub(crate) fn resume(parts: &Parts, hold: Hold) -> Result<BulkProducer, SegmentError> {
        let (released, committed) = counts(parts)?;
        Ok(BulkProducer::at(parts, committed, released, hold))
    }

    /// Pushes one record.
    ///
    /// # Errors
    /// [`Full`]; nothing was written.
    #[inline]
    pub fn push(&mut self, record: &Record) -> Result<(), Full> {
        self.push_run(std::slice::from_ref(record))
    }

    /// Pushes a run of records as a whole: their count is stored once, after the last. An empty run is no record.
    ///
    /// # Errors
    /// [`Full`], also for a run longer than the capacity; nothing was written.
    #[inline]
    pub fn push_run(&mut self, run: &[Record]) -> Result<(), Full> {
        if !self.has_room(run.len()) {
            return Err(self.full(run.len()));
        }
        for (seq, record) in (self.next..).zip(run) {
            self.write(seq, record);
        }
        self.commit(run.len());
        Ok(())
    }

    /// Pushes a run of `count` records made by `each` from their numbers, as a whole. Nothing is pushed when `each`
    /// panics.
    ///
    /// # Errors
    /// [`Full`], also for a run longer than the capacity; `each` was not called.
    #[inline]
    pub fn push_with(&mut self, count: usize, mut each: impl FnMut(u64) -> Record) -> Result<(), Full> {
        if !self.has_room(count) {
            return Err(self.full(count));
        }
        for seq in self.next..self.next + count as u64 {
            let record = each(seq);
            self.write(seq, &record);
        }
        self.commit(count);
        Ok(())
    }

    /// Whether `count` records can be pushed. Looks at the released count only when the last one seen says no.
    #[inline]
    pub fn has_room(&mut self, count: usize) -> bool {
        let count = count as u64;
        self.known_free() >= count || {
            self.refresh();
            self.known_free() >= count
        }
    }

    /// Slots free now. Looks at the released count, which costs a line from the consumer's core.
    pub fn free(&mut self) -> usize {
        self.refresh();
        self.known_free() as usize
    }

    /// Number of the next record to be pushed, from 0.
    #[inline]
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// Number of slots, a power of two.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.slots.count() as usize
    }

    #[inline(always)]
    fn write(&self, seq: u64, record: &Record) {
        self.slots.writes(seq);
        for (cell, word) in self.slots.at(seq).iter().zip(record) {
            cell.store(*word, Ordering::Relaxed);
        }
        self.slots.ask_ahead(seq);
    }

    #[inline(always)]
    fn commit(&mut self, count: usize) {
        self.next += count as u64;
        // Partner: the acquire load in `BulkConsumer::look`.
        self.committed.store(self.next, Ordering::Release);
    }

    #[inline(always)]
    fn known_free(&self) -> u64 {
        self.slots.count() - (self.next - self.seen)
    }

    #[cold]
    fn refresh(&mut self) {
        // Partner: the release store in `BulkConsumer::publish`.
        let released = self.released.load(Ordering::Acquire);
        if (self.seen..=self.next).contains(&released) {
            self.seen = released;
        }
    }

    #[cold]
    fn full(&self, wanted: usize) -> Full {
        Full { wanted: wanted.min(u32::MAX as usize) as u32, free: self.known_free() as u32 }
    }
}

impl BulkConsumer {
    fn at(parts: &Parts, next: u64, seen: u64, hold: Hold) -> BulkConsumer {
        BulkConsumer {
            slots: parts.slots.clone(),
            released: parts.released.clone(),
            committed: parts.committed.clone(),
            next,
            seen,
            life: parts.as_consumer(hold),
            _one_thread: PhantomData,
        }
    }

    /// The consumer of a ring in use, going on at the released count. The caller holds the role.
    ///
    /// # Errors
    /// [`SegmentError::BadCount`].
    pub(crate) fn resume(parts: &Parts, hold: Hold) -> Result<BulkConsumer, SegmentError> {
        let (released, committed) = counts(parts)?;
        Ok(BulkConsumer::at(parts, released, committed, hold))
    }

    /// The next record and its number, from 0, released at once; `None` when there is none yet.
    #[inline]
    pub fn pop(&mut self) -> Option<(u64, Record)> {
        if self.ready() == 0 {
            return None;
        }
        let seq = self.next;
        let record = self.read(seq);
        self.next = seq + 1;
        self.publish();
        Some((seq, record))
    }

    /// Hands up to `limit` records with their numbers to `each` and publishes the released count once, after the last.
    /// Returns how many. Should `each` panic, the records handed over are released by the next call.
    #[inline]
    pub fn poll(&mut self, limit: usize, mut each: impl FnMut(u64, &Record)) -> usize {
        if self.ready() < limit as u64 {
            self.look();
        }
        let count = self.ready_known().min(limit as u64);
        for _ in 0..count {
            let seq = self.next;
            let record = self.read(seq);
            self.next = seq + 1;
            each(seq, &record);
        }
        if count > 0 {
            self.publish();
        }
        count as usize
    }

    /// Number of the next record to be delivered, from 0.
    #[inline]
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// Whether no record waits.
    #[inline]
    pub fn is_empty(&mut self) -> bool {
        self.ready() == 0
    }

    /// Number of slots, a power of two.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.slots.count() as usize
    }

    /// Records known to wait; looks when none is.
    #[inline(always)]
    fn ready(&mut self) -> u64 {
        if self.ready_known() == 0 {
            self.look();
        }
        self.ready_known()
    }

    #[inline(always)]
    fn ready_known(&self) -> u64 {
        self.seen - self.next
    }

    #[inline(always)]
    fn look(&mut self) {
        // Partner: the release store in `BulkProducer::commit`.
        let committed = self.committed.load(Ordering::Acquire);
        if (self.seen..=self.next + self.slots.count()).contains(&committed) {
            self.seen = committed;
        }
    }

    #[inline(always)]
    fn read(&self, seq: u64) -> Record {
        self.slots.reads(seq);
        self.slots.read(seq)
    }

    #[inline(always)]
    fn publish(&self) {
        // Partner: the acquire load in `BulkProducer::refresh`: the records were read before they may be written again.
        self.released.store(self.next, Ordering::Release);
    }
}

/// The released and the committed count, checked against each other.
fn counts(parts: &Parts) -> Result<(u64, u64), SegmentError> {
    let (released, committed) =
        (parts.released.load(Ordering::Acquire), parts.committed.load(Ordering::Acquire));
    let capacity = parts.slots.count();
    // Read in this order the second may only be ahead: by what is in the ring, and by what passed in between.
    let sound = committed < POSITION_MAX && released <= committed && committed - released <= capacity;
    if sound {
        Ok((released, committed))
    } else {
        Err(SegmentError::BadCount { released, committed, capacity })
    }
}
