//! A stop asked for by a person or a program, through the control segment.

use crate::control::{COMMAND, CONTROL_FILE, ControlError, LAYOUT_VERSION, SENDERS, TYPE_ID};
use crate::trip::Source;
use rings::{Access, Ident, Ordering, Segment, SegmentError, WordMut};
use std::path::Path;
use wire::Ts;

/// Asks for a stop. Needs no authority beyond being able to write the segment: stopping must never be refused.
#[derive(Clone)]
pub struct Commander {
    word: WordMut,
}

impl std::fmt::Debug for Commander {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commander").finish_non_exhaustive()
    }
}

impl Commander {
    pub(crate) fn new(word: WordMut) -> Commander {
        Commander { word }
    }

    /// Opens the control segment of a running engine from another process.
    ///
    /// # Errors
    /// Each way of failing has its own [`SegmentError`].
    pub fn open(dir: &Path) -> Result<Commander, ControlError> {
        let expect = Ident { type_id: TYPE_ID, layout_version: LAYOUT_VERSION, ..Ident::default() };
        let segment = Segment::open_file(&dir.join(CONTROL_FILE), &expect, Access::ReadWrite)?;
        let words = segment.words_mut()?;
        let short = SegmentError::Truncated { found: words.len() as u64 * 8, expected: SENDERS as u64 * 8 };
        words.word(COMMAND).map(|word| Commander { word }).ok_or(ControlError::Segment(short))
    }

    /// Asks for a stop at `now`, as an operator or as a drill. The kill thread sees it in its next cycle.
    pub fn stop(&self, now: Ts, drill: bool) {
        // Every request is a new value: it tells the time and moves on even when two come in one nanosecond. Of
        // two that race one value is lost, and either trips.
        let next = (now.0 << 1).max((self.word.load(Ordering::Relaxed) | 1).wrapping_add(1)) & !1;
        self.word.store(next | drill as u64, Ordering::SeqCst);
    }
}

/// Which source a change of the command word stands for.
pub(crate) fn command_source(word: u64) -> Source {
    if word & 1 == 1 { Source::Test } else { Source::Command }
}
