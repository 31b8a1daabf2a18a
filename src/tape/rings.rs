//! Rings as an agent sees them.

use journal::{Tape, Word};
use rings::{Consumer, Full, Payload, Producer};

use super::channel;

/// The consuming end of a ring.
pub struct RingIn {
    ring: Consumer,
    tape: Tape,
    id: u8,
}

impl RingIn {
    /// Ring number `id`.
    pub fn new(ring: Consumer, id: u8, tape: &Tape) -> RingIn {
        RingIn { ring, tape: tape.clone(), id }
    }

    /// The next message, taken.
    #[inline]
    pub fn pop(&mut self) -> Option<(u64, Payload)> {
        if self.tape.is_replay() && !self.tape.script(|s| s.may_take(self.id)).unwrap_or(false) {
            return None;
        }
        self.ring.pop()
    }

    /// The next message, left where it is.
    #[inline]
    pub fn peek(&mut self) -> Option<(u64, Payload)> {
        if self.tape.is_replay() && !self.tape.script(|s| s.is_due(self.id)).unwrap_or(false) {
            return None;
        }
        self.ring.peek()
    }

    /// Takes the message that was peeked.
    #[inline]
    pub fn release(&mut self) {
        self.tape.script(|s| s.may_take(self.id));
        self.ring.release();
    }

    /// Whether nothing is there now. Not an answer that may be used unrecorded: see [`Word`].
    pub fn is_empty(&mut self) -> bool {
        self.ring.is_empty()
    }

    /// Slots of the ring.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }
}

/// The producing end of a ring. What is published is folded into the ring's hash.
pub struct RingOut {
    ring: Producer,
    tape: Tape,
    id: u8,
    room: Word,
}

impl RingOut {
    /// Ring number `id`.
    pub fn new(ring: Producer, id: u8, tape: &Tape) -> RingOut {
        RingOut { ring, tape: tape.clone(), id, room: Word::new(tape, channel::ROOM + id) }
    }

    /// Publishes a message.
    ///
    /// # Errors
    /// The ring is full, or was then.
    #[inline]
    pub fn push(&mut self, message: Payload) -> Result<(), Full> {
        self.push_as(message, &message)
    }

    /// The same, with `hashed` in the ring's hash: what is not part of it are stamps for statistics.
    ///
    /// # Errors
    /// As [`RingOut::push`].
    #[inline(always)]
    pub fn push_as(&mut self, message: Payload, hashed: &Payload) -> Result<(), Full> {
        if self.tape.refusal_due(self.id) {
            return Err(Full { wanted: 1, free: 0 });
        }
        let pushed = self.ring.push(message);
        match pushed {
            Ok(()) => self.tape.put(self.id, hashed),
            Err(_) => self.refuse(),
        }
        pushed
    }

    /// Publishes a run, whole or not at all.
    ///
    /// # Errors
    /// As [`RingOut::push`].
    #[inline]
    pub fn push_run(&mut self, run: &[Payload]) -> Result<(), Full> {
        self.push_run_as(run, run)
    }

    /// The same, with `hashed` in the ring's hash.
    ///
    /// # Errors
    /// As [`RingOut::push`].
    #[inline]
    pub fn push_run_as(&mut self, run: &[Payload], hashed: &[Payload]) -> Result<(), Full> {
        if self.tape.refusal_due(self.id) {
            return Err(Full { wanted: run.len() as u32, free: 0 });
        }
        let pushed = self.ring.push_run(run);
        match pushed {
            Ok(()) => hashed.iter().for_each(|m| self.tape.put(self.id, m)),
            Err(_) => self.refuse(),
        }
        pushed
    }

    #[cold]
    fn refuse(&self) {
        self.tape.refused(self.id, true);
    }

    /// Whether `count` messages fit. An input, for it depends on how far the consumer is.
    #[inline]
    pub fn has_room(&mut self, count: usize) -> bool {
        let live = self.tape.is_replay() || self.ring.has_room(count);
        self.room.see(live as u64) != 0
    }

    /// Position of the next message.
    #[inline]
    pub fn next_seq(&self) -> u64 {
        self.ring.next_seq()
    }

    /// Slots of the ring.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }
}
