//! A sender's side of a stop: how far it is, and that it has stopped.

use crate::control::{ACK, ControlError, SENDER_WORDS, attach, sender_at, too_short};
use crate::observe::ControlReader;
use rings::{Access, Ident, Ordering, WordsMut};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::atomic::fence;
use wire::Ts;

/// One sender's end: says how far it is, and that it has stopped. Movable to the sender's thread, not shareable.
#[derive(Debug)]
pub struct SenderAck {
    words: WordsMut,
    _one_thread: PhantomData<std::cell::Cell<()>>,
}

impl SenderAck {
    pub(crate) fn new(words: WordsMut) -> SenderAck {
        SenderAck { words, _one_thread: PhantomData }
    }

    /// The acknowledging end of a sender that lives in another process than the kill thread. That nobody else holds it is
    /// the caller's to see to.
    ///
    /// # Errors
    /// [`ControlError::Unknown`]; else each way to fail has its own [`rings::SegmentError`].
    pub fn open(dir: &Path, ident: &Ident, name: &str) -> Result<SenderAck, ControlError> {
        let words = attach(dir, ident, Access::ReadWrite)?.words_mut()?;
        let reader = ControlReader::over(words.reader());
        let found = reader.snapshot().senders.iter().position(|sender| sender.name == name);
        let sender = found.ok_or_else(|| ControlError::Unknown { name: name.to_string() })?;
        let len = words.len();
        words.range(sender_at(sender), SENDER_WORDS).map(SenderAck::new).ok_or_else(|| too_short(len))
    }

    /// The last duty cycle that this sender's predecessors named, and the orders that they had sent.
    pub fn before(&self) -> (u64, u64) {
        let acknowledged = self.words.load(ACK + 2, Ordering::Relaxed);
        (self.words.load(0, Ordering::Relaxed).max(acknowledged), self.words.load(1, Ordering::Acquire))
    }

    /// Says that `orders_sent` orders have been put on the wire so far, this one included, in duty cycle
    /// `cycle`. Called right before the send call, whose entry into the kernel makes it visible: so the count
    /// that the kill thread notes with its word is short by one order at most. About 2 ns.
    #[inline]
    pub fn sent(&self, cycle: u64, orders_sent: u64) {
        self.words.store(0, cycle, Ordering::Relaxed);
        self.words.store(1, orders_sent, Ordering::Release);
    }

    /// Acknowledges `epoch`: no order leaves under it any more. `ts`, `cycle` and `orders_sent` are those after
    /// the last send. Says `false`, and changes nothing, when that epoch was acknowledged before.
    #[inline]
    pub fn acknowledge(&self, epoch: u64, ts: Ts, cycle: u64, orders_sent: u64) -> bool {
        if self.acknowledged() == epoch {
            return false;
        }
        // Zero while the rest changes: observers take the words for none of any epoch.
        self.words.store(ACK, 0, Ordering::Relaxed);
        fence(Ordering::Release);
        self.words.store(ACK + 1, ts.0, Ordering::Relaxed);
        self.words.store(ACK + 2, cycle, Ordering::Relaxed);
        self.words.store(ACK + 3, orders_sent, Ordering::Relaxed);
        // Release, partner of the Acquire in `crate::KillSwitch::has_acked`.
        self.words.store(ACK, epoch, Ordering::Release);
        true
    }

    /// The epoch last acknowledged; 0 = none.
    #[inline]
    pub fn acknowledged(&self) -> u64 {
        self.words.load(ACK, Ordering::Relaxed)
    }
}
