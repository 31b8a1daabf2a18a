//! The control segment: the kill epoch, who acknowledged it, and the kill thread's own heartbeat.
//!
//! | words | holds | written by |
//! |---|---|---|
//! | 0 | number of senders | creator |
//! | 16 | **epoch**, alone on its pair of lines; odd = tripped, even = armed | kill |
//! | 32..40 | trip: epoch it belongs to, ts, source, id, state, latch state, errno, – | kill |
//! | 40..48 | subject: length, 48 bytes | kill |
//! | 48..64 | detail: length, 120 bytes | kill |
//! | 64, 65 | kill thread's beat: ts, cycle | kill |
//! | 80 | command: changes when somebody asks for a stop; odd = a drill | operators |
//! | 96 + 64·i | sender i | |
//! | +0, +1 | progress: cycle, orders sent | sender |
//! | +16..+20 | acknowledgement: epoch, ts, cycle, orders sent | sender |
//! | +32..+37 | at the word: epoch, cycle, orders sent; aborted: epoch, ts | kill |
//! | +48..+55 | name: length, 48 bytes | creator |
//!
//! Writers are two lines (16 words) apart. The segment is born tripped, at epoch 1: until a kill thread has found
//! every line closed and no latch, no order leaves.

use crate::command::Commander;
use crate::gate::KillView;
use crate::logic::State;
use crate::sender::SenderAck;
use crate::trip::{Trip, TripId};
use rings::{Access, Ident, Ordering, Segment, SegmentError, WordMut, Words, WordsMut};
use std::path::Path;
use std::sync::atomic::{AtomicBool, fence};
use wire::Ts;

/// Name of the segment's file in the instance directory.
pub const CONTROL_FILE: &str = "control";
/// Type id in the segment's header.
pub const TYPE_ID: u32 = u32::from_le_bytes(*b"kill");
/// Version of the layout that this crate writes and reads.
pub const LAYOUT_VERSION: u32 = 1;
/// Most senders of one engine.
pub const SENDERS_MAX: usize = 64;
/// Longest sender name, bytes.
pub const NAME_MAX: usize = 48;

pub(crate) const COUNT: usize = 0;
pub(crate) const EPOCH: usize = 16;
pub(crate) const TRIP: usize = 32;
pub(crate) const SUBJECT: usize = 40;
pub(crate) const DETAIL: usize = 48;
pub(crate) const BEAT: usize = 64;
pub(crate) const COMMAND: usize = 80;
pub(crate) const SENDERS: usize = 96;
pub(crate) const SENDER_WORDS: usize = 64;
pub(crate) const ACK: usize = 16;
pub(crate) const NOTE: usize = 32;
pub(crate) const NAME: usize = 48;
pub(crate) const SUBJECT_BYTES: usize = 48;
pub(crate) const DETAIL_BYTES: usize = 120;

/// Words of a segment for so many senders.
const fn words_for(senders: usize) -> usize {
    SENDERS + senders * SENDER_WORDS
}

pub(crate) const fn sender_at(sender: usize) -> usize {
    SENDERS + sender * SENDER_WORDS
}

/// First word of a segment's epoch: tripped, for nobody has armed it.
const EPOCH_BORN: u64 = 1;

/// Whether an epoch says that no order may leave.
#[inline]
pub const fn is_tripped(epoch: u64) -> bool {
    epoch & 1 == 1
}

/// Why a control segment could not be made, opened or handed out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The segment could not be made or attached.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// Nobody to stop, or more than there is room for.
    #[error("{senders} senders: 1 to {SENDERS_MAX} are allowed")]
    Senders {
        /// How many were given.
        senders: usize,
    },
    /// A sender's name is empty, too long or given twice.
    #[error("sender name {name:?}: 1 to {NAME_MAX} bytes and unique is the rule")]
    Name {
        /// The name.
        name: String,
    },
    /// No sender of this name.
    #[error("no sender {name:?} was declared")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The sender's line has been handed out already.
    #[error("sender {name:?} has its acknowledging end already; every sender has one")]
    Taken {
        /// The name.
        name: String,
    },
}

/// Whether the latch of the present trip is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LatchStatus {
    /// No trip, so no latch.
    #[default]
    None,
    /// Not yet written.
    Pending,
    /// On disk and flushed.
    Written,
    /// The disk refused; it is tried again every cycle.
    Failed {
        /// The system's error number, 0 when it gave none.
        errno: i32,
    },
}

/// The writing end, for the kill thread alone.
#[derive(Debug)]
pub struct KillSwitch {
    /// Keeps the owner's lock of a named segment; `None` otherwise.
    _segment: Option<Segment>,
    words: WordsMut,
    senders: Vec<String>,
    taken: Vec<AtomicBool>,
}

impl KillSwitch {
    /// Makes the file `control` in `dir` for these senders. Of `ident` the build and configuration hashes are
    /// used; type and layout version are this crate's.
    ///
    /// # Errors
    /// Bad senders, or the segment's own refusal.
    pub fn create(dir: &Path, senders: &[&str], ident: &Ident) -> Result<KillSwitch, ControlError> {
        check(senders)?;
        let ident = Ident { type_id: TYPE_ID, layout_version: LAYOUT_VERSION, ..*ident };
        let segment = Segment::create_file(&dir.join(CONTROL_FILE), &ident, words_for(senders.len()) * 8)?;
        let words = segment.words_mut()?;
        Ok(KillSwitch::fill(Some(segment), words, senders))
    }

    /// The same on the heap, for an engine in one process that nobody else watches.
    ///
    /// # Errors
    /// Bad senders.
    pub fn heap(senders: &[&str]) -> Result<KillSwitch, ControlError> {
        check(senders)?;
        Ok(KillSwitch::fill(None, WordsMut::heap(words_for(senders.len())), senders))
    }

    fn fill(segment: Option<Segment>, words: WordsMut, senders: &[&str]) -> KillSwitch {
        words.store(EPOCH, EPOCH_BORN, Ordering::SeqCst);
        for (i, name) in senders.iter().enumerate() {
            write_text(&words, sender_at(i) + NAME, name, NAME_MAX);
        }
        // Last, so that who comes early finds no sender rather than a nameless one.
        words.store(COUNT, senders.len() as u64, Ordering::Release);
        KillSwitch {
            _segment: segment,
            words,
            senders: senders.iter().map(|name| name.to_string()).collect(),
            taken: senders.iter().map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// Names of the senders, in order.
    pub fn senders(&self) -> &[String] {
        &self.senders
    }

    /// The acknowledging end of this sender, once.
    ///
    /// # Errors
    /// [`ControlError::Unknown`], [`ControlError::Taken`].
    pub fn sender(&self, name: &str) -> Result<SenderAck, ControlError> {
        let found = self.senders.iter().position(|sender| sender == name);
        let sender = found.ok_or_else(|| ControlError::Unknown { name: name.to_string() })?;
        let words = self.words.range(sender_at(sender), SENDER_WORDS);
        let words = words.ok_or_else(|| ControlError::Unknown { name: name.to_string() })?;
        // Only uniqueness matters; the end itself travels by the caller's own synchronisation.
        if self.taken[sender].swap(true, Ordering::Relaxed) {
            return Err(ControlError::Taken { name: name.to_string() });
        }
        Ok(SenderAck::new(words))
    }

    /// What senders and gates look at, for as many as like.
    pub fn view(&self) -> KillView {
        KillView::new(word(&self.words, EPOCH).reader(), word(&self.words, BEAT).reader())
    }

    /// The end by which a stop is asked for, for as many as like.
    pub fn commander(&self) -> Commander {
        Commander::new(word(&self.words, COMMAND))
    }

    /// A reader in this process, as a tool would open it.
    pub fn words(&self) -> Words {
        self.words.reader()
    }

    /// The present epoch.
    pub fn epoch(&self) -> u64 {
        self.words.load(EPOCH, Ordering::Relaxed)
    }

    /// Says that the kill thread lives.
    pub fn beat(&mut self, now: Ts, cycle: u64) {
        self.words.store(BEAT + 1, cycle, Ordering::Relaxed);
        // Partner: the Acquire load of `KillView::kill_beat`.
        self.words.store(BEAT, now.0, Ordering::Release);
    }

    /// **The word.** Stores the next odd epoch before anything else is done, then notes how far every sender
    /// was. Returns the epoch; already tripped, the present one.
    pub fn trip(&mut self) -> u64 {
        let present = self.epoch();
        if is_tripped(present) {
            return present;
        }
        let epoch = present.wrapping_add(1);
        // SeqCst, partner of every sender's Acquire load: visible before any load or store below is made.
        self.words.store(EPOCH, epoch, Ordering::SeqCst);
        for sender in 0..self.senders.len() {
            let at = sender_at(sender);
            let (cycle, orders) = (self.load(at), self.load(at + 1));
            self.words.store(at + NOTE + 1, cycle, Ordering::Relaxed);
            self.words.store(at + NOTE + 2, orders, Ordering::Relaxed);
            self.words.store(at + NOTE, epoch, Ordering::Release);
        }
        epoch
    }

    /// Stores the next even epoch: orders may leave. Returns it; already armed, the present one. Whether that is
    /// right has been decided elsewhere.
    pub fn arm(&mut self) -> u64 {
        let present = self.epoch();
        if !is_tripped(present) {
            return present;
        }
        let epoch = present.wrapping_add(1);
        self.words.store(EPOCH, epoch, Ordering::SeqCst);
        epoch
    }

    /// Tells observers what tripped.
    pub fn tell_trip(&mut self, trip: &Trip, id: TripId, subject: &str, detail: &str) {
        // Zero while the rest changes: a reader takes the words for none of any epoch.
        self.words.store(TRIP, 0, Ordering::Relaxed);
        fence(Ordering::Release);
        self.words.store(TRIP + 1, trip.ts.0, Ordering::Relaxed);
        self.words.store(TRIP + 2, trip.source.to_word(), Ordering::Relaxed);
        self.words.store(TRIP + 3, id.to_word(), Ordering::Relaxed);
        write_text(&self.words, SUBJECT, subject, SUBJECT_BYTES);
        write_text(&self.words, DETAIL, detail, DETAIL_BYTES);
        self.words.store(TRIP, self.epoch(), Ordering::Release);
    }

    /// Tells observers where the switch stands.
    pub fn tell_state(&mut self, state: State, latch: LatchStatus) {
        let (code, errno) = match latch {
            LatchStatus::None => (0, 0),
            LatchStatus::Pending => (1, 0),
            LatchStatus::Written => (2, 0),
            LatchStatus::Failed { errno } => (3, errno),
        };
        self.words.store(TRIP + 6, errno as u32 as u64, Ordering::Relaxed);
        self.words.store(TRIP + 5, code, Ordering::Relaxed);
        self.words.store(TRIP + 4, state as u64, Ordering::Release);
    }

    /// Counts an abort of this sender as its acknowledgement of the present epoch.
    pub fn aborted(&mut self, sender: usize, now: Ts) {
        if sender < self.senders.len() {
            let at = sender_at(sender) + NOTE;
            self.words.store(at + 4, now.0, Ordering::Relaxed);
            self.words.store(at + 3, self.epoch(), Ordering::Release);
        }
    }

    /// Whether this sender has acknowledged the present epoch itself.
    pub fn has_acked(&self, sender: usize) -> bool {
        // Acquire, partner of the Release in `SenderAck::acknowledge`: who sees the acknowledgement sees all
        // that the sender did before it.
        sender < self.senders.len() && self.load(sender_at(sender) + ACK) == self.epoch()
    }

    /// Whether this sender was aborted in the present epoch.
    pub fn was_aborted(&self, sender: usize) -> bool {
        sender < self.senders.len() && self.load(sender_at(sender) + NOTE + 3) == self.epoch()
    }

    /// The command word; it differs from an earlier reading when somebody has asked since.
    pub fn command(&self) -> u64 {
        self.load(COMMAND)
    }

    fn load(&self, at: usize) -> u64 {
        self.words.load(at, Ordering::Acquire)
    }
}

/// Joins the segment of a running engine.
pub(crate) fn attach(dir: &Path, ident: &Ident, access: Access) -> Result<Segment, ControlError> {
    let ident = Ident { type_id: TYPE_ID, layout_version: LAYOUT_VERSION, ..*ident };
    Ok(Segment::open_file(&dir.join(CONTROL_FILE), &ident, access)?)
}

/// A segment of so few words holds no sender.
pub(crate) fn too_short(words: usize) -> ControlError {
    let (found, expected) = (words as u64 * 8, words_for(1) as u64 * 8);
    SegmentError::WrongSize { found, expected }.into()
}

fn check(senders: &[&str]) -> Result<(), ControlError> {
    if !(1..=SENDERS_MAX).contains(&senders.len()) {
        return Err(ControlError::Senders { senders: senders.len() });
    }
    for (i, name) in senders.iter().enumerate() {
        if !(1..=NAME_MAX).contains(&name.len()) || senders[..i].contains(name) {
            return Err(ControlError::Name { name: name.to_string() });
        }
    }
    Ok(())
}

/// A word of the fixed part, which every control segment has.
fn word(words: &WordsMut, at: usize) -> WordMut {
    words.word(at).unwrap_or_else(|| unreachable!("word {at} lies before the first sender"))
}

/// Writes a length and as many bytes of `text` as fit, cut at a character.
fn write_text(words: &WordsMut, at: usize, text: &str, room: usize) {
    let text = cut(text, room);
    words.store(at, text.len() as u64, Ordering::Relaxed);
    for (i, bytes) in text.as_bytes().chunks(8).enumerate() {
        let mut word = [0u8; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        words.store(at + 1 + i, u64::from_le_bytes(word), Ordering::Relaxed);
    }
}

/// As much of `text` as fits into `room` bytes, whole characters only.
pub(crate) fn cut(text: &str, room: usize) -> &str {
    let end = (0..=room.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests;
