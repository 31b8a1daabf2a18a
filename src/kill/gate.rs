//! What stands between an order and the wire: the epoch, and whether the kill thread lives.

use crate::control::{BEAT, ControlError, EPOCH, attach, is_tripped, too_short};
use rings::{Access, Ident, Ordering, Word};
use std::path::Path;
use wire::Ts;

/// Why the gate is shut, for those who ask before sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shut {
    /// The epoch is not the one under which the order was allowed.
    Epoch {
        /// The present epoch.
        epoch: u64,
    },
    /// The kill thread has not beaten for too long.
    KillBeat {
        /// Age of its beat, ns.
        age_ns: u64,
    },
}

/// What senders and gates look at.
#[derive(Clone)]
pub struct KillView {
    epoch: Word,
    beat: Word,
}

impl std::fmt::Debug for KillView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KillView")
            .field("epoch", &self.epoch())
            .field("kill_beat", &self.kill_beat())
            .finish()
    }
}

impl KillView {
    pub(crate) fn new(epoch: Word, beat: Word) -> KillView {
        KillView { epoch, beat }
    }

    /// Joins the control segment of a running engine, of which the build and configuration hashes are those of `ident`.
    ///
    /// # Errors
    /// Each way to fail has its own [`rings::SegmentError`].
    pub fn open(dir: &Path, ident: &Ident) -> Result<KillView, ControlError> {
        let words = attach(dir, ident, Access::ReadOnly)?.words();
        match (words.word(EPOCH), words.word(BEAT)) {
            (Some(epoch), Some(beat)) => Ok(KillView::new(epoch, beat)),
            _ => Err(too_short(words.len())),
        }
    }

    /// The epoch. Acquire, partner of the SeqCst store in [`crate::KillSwitch::trip`]; a sender makes this its last
    /// load before the send call. About 1 ns while nobody writes it.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether no order may leave.
    #[inline]
    pub fn is_tripped(&self) -> bool {
        is_tripped(self.epoch())
    }

    /// Whether an order allowed under the epoch `armed` may leave now: nothing has tripped since, even if
    /// somebody armed again in between.
    #[inline]
    pub fn allows(&self, armed: u64) -> bool {
        let epoch = self.epoch();
        epoch == armed && !is_tripped(epoch)
    }

    /// Time of the kill thread's last beat; `Ts(0)` = never.
    #[inline]
    pub fn kill_beat(&self) -> Ts {
        Ts(self.beat.load(Ordering::Acquire))
    }

    /// The same as a bare number, ns.
    #[inline]
    pub fn kill_beat_ns(&self) -> u64 {
        self.kill_beat().0
    }

    /// The early check of a gate: the epoch is still `armed`, and the kill thread's last beat is at most
    /// `beat_limit_ns` from `now`, in either direction.
    ///
    /// # Errors
    /// Why the gate is shut.
    #[inline]
    pub fn check(&self, now: Ts, armed: u64, beat_limit_ns: u64) -> Result<(), Shut> {
        if !self.allows(armed) {
            return Err(Shut::Epoch { epoch: self.epoch() });
        }
        let beat = self.kill_beat();
        let age_ns = now.since_ns(beat).max(beat.since_ns(now));
        if age_ns > beat_limit_ns { Err(Shut::KillBeat { age_ns }) } else { Ok(()) }
    }
}
