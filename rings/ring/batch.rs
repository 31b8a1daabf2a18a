//! Runs of the slot ring built and read where they lie: claim, put, commit; batch, look, release.
//!
//! [`Producer::push_run`] and [`Consumer::poll`] are shorter where the run is at hand and where what was handed over is
//! done with. These are for the rest: a run whose length or contents come up as it is written, and messages that must
//! stay in the ring until what they caused is safe.

use super::{Consumer, Full, Payload, Producer, SEQUENCE, commit};
use crate::atomic::Ordering;

/// Room for a run, filled in order. [`commit`](Claim::commit) shows the consumer what was put, as a whole; a claim
/// that is dropped (or forgotten) leaves the ring as it was.
#[derive(Debug)]
#[must_use = "a claim that is not committed is abandoned"]
pub struct Claim<'a> {
    ring: &'a mut Producer,
    room: usize,
    put: usize,
    /// The first message, written at commit with its sequence: until then the consumer looks at its line.
    first: Payload,
}

/// Messages that are ready, read in order. [`release`](Batch::release) gives back the slots of what was read; a batch
/// that is dropped releases nothing, and its messages come again.
#[derive(Debug)]
pub struct Batch<'a> {
    ring: &'a mut Consumer,
    limit: usize,
    read: usize,
}

impl Producer {
    /// Claims room for a run of up to `count` messages. Nothing is shared until the commit.
    ///
    /// # Errors
    /// [`Full`] when there is not room for all of them, also when `count` is beyond the capacity.
    #[inline]
    pub fn claim(&mut self, count: usize) -> Result<Claim<'_>, Full> {
        if !self.has_room(count) {
            return Err(self.full(count));
        }
        Ok(Claim { ring: self, room: count, put: 0, first: Payload::default() })
    }
}

impl Claim<'_> {
    /// Puts the next message of the run. The line is the producer's own until the commit.
    ///
    /// # Errors
    /// [`Full`] when the claim has no room left; what was put stays.
    #[inline]
    pub fn put(&mut self, payload: &Payload) -> Result<(), Full> {
        if self.put == self.room {
            return Err(Full { wanted: 1, free: 0 });
        }
        if self.put == 0 {
            self.first = *payload;
        } else {
            let seq = self.ring.next + self.put as u64;
            self.ring.slots.writes(seq);
            for (cell, word) in self.ring.slots.at(seq).iter().zip(payload) {
                cell.store(*word, Ordering::Relaxed);
            }
            self.ring.slots.ask_ahead(seq);
        }
        self.put += 1;
        Ok(())
    }

    /// Messages that can still be put.
    pub fn room(&self) -> usize {
        self.room - self.put
    }

    /// Number of the message to be put next.
    pub fn next_seq(&self) -> u64 {
        self.ring.next + self.put as u64
    }

    /// Publishes what was put, as a whole: the first message's sequence is stored last. Returns how many; room that
    /// was claimed and not used is given back.
    #[inline]
    pub fn commit(self) -> usize {
        if self.put == 0 {
            return 0;
        }
        let start = self.ring.next;
        let ring = self.ring;
        for seq in start + 1..start + self.put as u64 {
            // Partner: the acquire load in `Consumer::message`.
            ring.slots.at(seq)[SEQUENCE].store(seq + 1, Ordering::Release);
        }
        commit(&ring.slots, &self.first, start);
        ring.next = start + self.put as u64;
        self.put
    }
}

impl Consumer {
    /// The messages that are ready, up to `limit` and a lap, without releasing any. One that was peeked and not released is the
    /// first.
    #[inline]
    pub fn batch(&mut self, limit: usize) -> Batch<'_> {
        self.peeked = false;
        let limit = limit.min(self.capacity());
        Batch { ring: self, limit, read: 0 }
    }
}

impl Batch<'_> {
    /// Releases what was read and publishes the position, once. Returns how many.
    #[inline]
    pub fn release(self) -> usize {
        if self.read > 0 {
            self.ring.next += self.read as u64;
            self.ring.publish();
        }
        self.read
    }
}

/// The messages, with their numbers.
impl Iterator for Batch<'_> {
    type Item = (u64, Payload);

    #[inline]
    fn next(&mut self) -> Option<(u64, Payload)> {
        if self.read == self.limit {
            return None;
        }
        let message = self.ring.message(self.ring.next + self.read as u64)?;
        self.read += 1;
        Some(message)
    }
}
