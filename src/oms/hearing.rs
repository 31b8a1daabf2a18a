//! Whether the account stream can be heard: it is deaf trading to go on for long by asking alone.

use wire::Ts;

/// The first wait after the stream has missed twice in a row, ns; doubles with every further miss.
const WAIT_NS: u64 = 500_000_000;
/// Doublings at most: 8 s between two looks whether it speaks again.
const DOUBLINGS_MAX: u32 = 4;

/// Ends of orders that the account stream should have told and that came only because we asked.
///
/// One may be an accident. From the second in a row on, with not one report of the stream between, trading waits; then
/// the next order shows whether the stream speaks again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hearing {
    missed: u32,
    wait_until: Ts,
    /// When the session began: what was missed before is no fault of this one's stream.
    since: Ts,
}

impl Hearing {
    /// A session has begun.
    pub(super) fn begin(&mut self, now: Ts) {
        self.since = now;
    }

    /// The stream told an execution or an end.
    #[inline]
    pub(super) fn heard(&mut self) {
        self.missed = 0;
    }

    /// An order entered at `ts_new` has ended, and nobody told us but the answer to a question.
    pub(super) fn missed(&mut self, ts_new: Ts, now: Ts) {
        if ts_new < self.since || now < self.wait_until {
            return; // of an earlier session, or of the same silence
        }
        self.missed += 1;
        if self.missed > 1 {
            self.wait_until = now.plus_ns(WAIT_NS << (self.missed - 2).min(DOUBLINGS_MAX));
        }
    }

    /// Whether trading waits.
    pub(super) fn is_waiting(&self, now: Ts) -> bool {
        now < self.wait_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_stream_is_waited_for_ever_longer_and_one_word_ends_it() {
        const MS: u64 = 1_000_000;
        let mut h = Hearing::default();
        h.begin(Ts(5));
        h.missed(Ts(4), Ts(6));
        h.missed(Ts(4), Ts(7));
        assert!(!h.is_waiting(Ts(7)), "of an earlier session");
        let mut now = Ts(10);
        h.missed(now, now);
        assert!(!h.is_waiting(now), "one may be an accident");
        for wait_ms in [500, 1_000, 2_000, 4_000, 8_000, 8_000] {
            h.missed(now, now);
            h.missed(now, now); // the same silence
            assert!(h.is_waiting(now.plus_ns(wait_ms * MS - 1)), "{wait_ms}");
            now = now.plus_ns(wait_ms * MS);
            assert!(!h.is_waiting(now), "{wait_ms}");
        }
        h.heard();
        h.missed(now, now);
        assert!(!h.is_waiting(now));
    }
}
