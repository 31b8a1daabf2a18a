//! The control segment as an observer reads it, alive or dead.

use crate::control::{
    ACK, BEAT, COMMAND, CONTROL_FILE, COUNT, ControlError, DETAIL, DETAIL_BYTES, EPOCH, LAYOUT_VERSION,
    LatchStatus, NAME, NAME_MAX, NOTE, SENDER_WORDS, SENDERS, SENDERS_MAX, SUBJECT, SUBJECT_BYTES, TRIP,
    TYPE_ID, is_tripped,
};
use crate::logic::State;
use crate::trip::{Source, TripId};
use rings::{Access, Header, Ident, Ordering, Segment, Words};
use std::path::Path;
use wire::Ts;

/// What tripped, as told to observers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TripTold {
    /// When it was decided.
    pub ts: Ts,
    /// Who asked; `None` = a code this version does not know.
    pub source: Option<Source>,
    /// Under which id; `None` = a damaged word.
    pub id: Option<TripId>,
    /// Name of the line or agent, `""` when it has none.
    pub subject: String,
    /// What was wrong.
    pub detail: String,
}

/// How far a sender was at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Duty cycle.
    pub cycle: u64,
    /// Orders put on the wire so far.
    pub orders_sent: u64,
}

/// One sender as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderSnapshot {
    /// Name of the sender.
    pub name: String,
    /// How far it is.
    pub progress: Progress,
    /// How far it was when the present epoch's word was given; `None` while armed.
    pub at_word: Option<Progress>,
    /// When and how far it acknowledged the present epoch.
    pub acked: Option<(Ts, Progress)>,
    /// When it was aborted in the present epoch.
    pub aborted: Option<Ts>,
}

/// The control segment at about one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlSnapshot {
    /// The epoch; odd = tripped.
    pub epoch: u64,
    /// Whether no order may leave.
    pub tripped: bool,
    /// Where the kill thread says the switch stands; `None` = it has not said yet.
    pub state: Option<State>,
    /// What tripped; `None` while armed, or before the kill thread has told.
    pub trip: Option<TripTold>,
    /// Whether the latch is on disk.
    pub latch: LatchStatus,
    /// The kill thread's last beat; `Ts(0)` = never.
    pub kill_beat: Ts,
    /// The kill thread's cycle at that beat.
    pub kill_cycle: u64,
    /// The command word.
    pub command: u64,
    /// Senders in order.
    pub senders: Vec<SenderSnapshot>,
}

/// Reads the control segment of an engine.
#[derive(Debug)]
pub struct ControlReader {
    /// `None` in the writer's own process.
    segment: Option<Segment>,
    words: Words,
}

impl ControlReader {
    /// Opens the file `control` in an instance directory, read-only.
    ///
    /// # Errors
    /// Each way of failing has its own [`rings::SegmentError`].
    pub fn open(dir: &Path) -> Result<ControlReader, ControlError> {
        let expect = Ident { type_id: TYPE_ID, layout_version: LAYOUT_VERSION, ..Ident::default() };
        let segment = Segment::open_file(&dir.join(CONTROL_FILE), &expect, Access::ReadOnly)?;
        Ok(ControlReader { words: segment.words(), segment: Some(segment) })
    }

    /// Reads the words of a switch in this process.
    pub fn over(words: Words) -> ControlReader {
        ControlReader { segment: None, words }
    }

    /// Header of the file; `None` for a reader in the writer's process.
    pub fn header(&self) -> Option<Header> {
        self.segment.as_ref().map(Segment::header)
    }

    /// Whether the engine that writes it still lives.
    pub fn owner_alive(&self) -> bool {
        self.segment.as_ref().is_none_or(Segment::owner_alive)
    }

    /// Everything as it stands now. Words outside the segment read as zero, whatever its counts claim.
    pub fn snapshot(&self) -> ControlSnapshot {
        let epoch = self.load(EPOCH);
        let tripped = is_tripped(epoch);
        let claimed = usize::try_from(self.load(COUNT)).unwrap_or(usize::MAX);
        let room = self.words.len().saturating_sub(SENDERS) / SENDER_WORDS;
        let senders = claimed.min(room).min(SENDERS_MAX);
        let errno = self.load(TRIP + 6) as u32 as i32;
        ControlSnapshot {
            epoch,
            tripped,
            state: u8::try_from(self.load(TRIP + 4)).ok().and_then(State::from_u8),
            trip: if tripped { self.trip(epoch) } else { None },
            latch: match self.load(TRIP + 5) {
                1 => LatchStatus::Pending,
                2 => LatchStatus::Written,
                3 => LatchStatus::Failed { errno },
                _ => LatchStatus::None,
            },
            kill_beat: Ts(self.load(BEAT)),
            kill_cycle: self.load(BEAT + 1),
            command: self.load(COMMAND),
            senders: (0..senders).map(|sender| self.sender(sender, epoch)).collect(),
        }
    }

    fn trip(&self, epoch: u64) -> Option<TripTold> {
        self.whole(TRIP, epoch, || TripTold {
            ts: Ts(self.load(TRIP + 1)),
            source: Source::from_word(self.load(TRIP + 2)),
            id: TripId::from_word(self.load(TRIP + 3)),
            subject: self.text(SUBJECT, SUBJECT_BYTES),
            detail: self.text(DETAIL, DETAIL_BYTES),
        })
    }

    fn sender(&self, sender: usize, epoch: u64) -> SenderSnapshot {
        let at = SENDERS + sender * SENDER_WORDS;
        let progress = |at| Progress { cycle: self.load(at), orders_sent: self.load(at + 1) };
        let note = at + NOTE;
        SenderSnapshot {
            name: self.text(at + NAME, NAME_MAX),
            progress: progress(at),
            at_word: self.whole(note, epoch, || progress(note + 1)).filter(|_| is_tripped(epoch)),
            acked: self.whole(at + ACK, epoch, || (Ts(self.load(at + ACK + 1)), progress(at + ACK + 2))),
            aborted: self.whole(note + 3, epoch, || Ts(self.load(note + 4))),
        }
    }

    /// Reads words guarded by the epoch in word `guard`: given only when it holds `epoch` before and after.
    fn whole<T>(&self, guard: usize, epoch: u64, read: impl FnOnce() -> T) -> Option<T> {
        if self.load(guard) != epoch {
            return None;
        }
        let value = read();
        // Partner: the Release fence of the writer after it cleared the guard.
        std::sync::atomic::fence(Ordering::Acquire);
        (self.load(guard) == epoch).then_some(value)
    }

    /// A text of at most `room` bytes; what a terminal should not be sent becomes a question mark.
    fn text(&self, at: usize, room: usize) -> String {
        let len = usize::try_from(self.load(at)).unwrap_or(usize::MAX).min(room);
        let bytes: Vec<u8> =
            (0..len.div_ceil(8)).flat_map(|i| self.load(at + 1 + i).to_le_bytes()).take(len).collect();
        let text = String::from_utf8_lossy(&bytes);
        text.chars()
            .map(|c| if c.is_control() || c == char::REPLACEMENT_CHARACTER { '?' } else { c })
            .collect()
    }

    fn load(&self, at: usize) -> u64 {
        self.words.get(at, Ordering::Acquire).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::KillSwitch;
    use crate::scratch::Scratch;
    use crate::trip::{Fault, Trip};
    use rings::WordsMut;

    #[test]
    fn a_tool_sees_the_whole_trip_alive_and_dead() {
        let scratch = Scratch::new("observe");
        let mut switch =
            KillSwitch::create(scratch.path(), &["gateway", "hedger"], &Ident::default()).unwrap();
        let ack = switch.sender("gateway").unwrap();
        let reader = ControlReader::open(scratch.path()).unwrap();
        assert!(reader.owner_alive() && reader.snapshot().tripped);
        assert_eq!(reader.snapshot().trip, None);
        switch.arm();
        switch.beat(Ts(77), 5);
        ack.sent(3, 12);
        let armed = reader.snapshot();
        assert_eq!((armed.tripped, armed.kill_beat, armed.kill_cycle), (false, Ts(77), 5));
        assert_eq!(armed.senders[0].progress, Progress { cycle: 3, orders_sent: 12 });
        assert_eq!((armed.senders[0].at_word, armed.senders[0].acked), (None, None));

        let trip = Trip { source: Source::Line { line: 1 }, fault: Fault::Asked, ts: Ts(80) };
        let epoch = switch.trip();
        let id = TripId::random();
        let long = "é".repeat(200);
        switch.tell_trip(&trip, id, "estop", &long);
        switch.tell_state(State::Tripped, LatchStatus::Failed { errno: 28 });
        ack.sent(4, 13);
        ack.acknowledge(epoch, Ts(81), 4, 13);
        switch.aborted(1, Ts(90));
        drop((switch, ack));
        assert!(!reader.owner_alive());
        let dead = ControlReader::open(scratch.path()).unwrap().snapshot();
        assert_eq!((dead.tripped, dead.epoch, dead.state), (true, 3, Some(State::Tripped)));
        assert_eq!(dead.latch, LatchStatus::Failed { errno: 28 });
        let told = dead.trip.unwrap();
        assert_eq!((told.ts, told.source, told.id), (Ts(80), Some(trip.source), Some(id)));
        assert_eq!((told.subject.as_str(), told.detail), ("estop", "é".repeat(60)));
        let gateway = &dead.senders[0];
        assert_eq!(gateway.at_word, Some(Progress { cycle: 3, orders_sent: 12 }));
        assert_eq!(gateway.acked, Some((Ts(81), Progress { cycle: 4, orders_sent: 13 })));
        let hedger = &dead.senders[1];
        assert_eq!((hedger.name.as_str(), hedger.acked, hedger.aborted), ("hedger", None, Some(Ts(90))));
    }

    #[test]
    fn any_words_at_all_are_survived() {
        let mut state = 11u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state ^ state >> 31
        };
        for _ in 0..500 {
            let len = (random() % 300) as usize;
            let words = WordsMut::heap(len);
            for at in 0..len {
                let value = [0, random(), u64::MAX, random() % 200, 3];
                words.store(at, value[random() as usize % value.len()], Ordering::Relaxed);
            }
            let snapshot = ControlReader::over(words.reader()).snapshot();
            assert!(snapshot.senders.len() * SENDER_WORDS <= len);
        }
    }
}
