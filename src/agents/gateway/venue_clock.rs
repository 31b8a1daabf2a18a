//! What time it is at the venue: its clock's offset from ours, with an error bar.
//!
//! A question with round trip `r` whose answer names the venue's time `t` says that the venue's clock showed `t`
//! somewhere within those `r`: offset = t − (sent + r / 2), give or take r / 2 and the half millisecond that the answer
//! is cut to. Of the samples kept the one with the smallest error counts; an error grows with its age, for clocks
//! drift. The engine's own time is never touched: the offset is applied to the timestamps of requests alone.

use wire::Ts;

/// Samples kept.
const SAMPLES: usize = 8;
/// How far two clocks may drift apart, parts per million: ten times a bad quartz.
const DRIFT_PPM: u64 = 500;
/// Half of what the venue's answer is cut to, ns.
const CUT_NS: u64 = 500_000;
/// A round trip beyond this tells nothing: the answer belongs to an older question, or the line is broken.
const ROUND_MAX_NS: u64 = 5_000_000_000;
/// Questions in a row at the start and whenever the venue refuses a time.
const BURST: u32 = 5;
/// Time between questions of a burst, ns.
const BURST_NS: u64 = 200_000_000;
/// Time between questions otherwise, ns.
const CALM_NS: u64 = 60_000_000_000;
/// How long an unanswered question is waited for, ns.
const ANSWER_NS: u64 = 2_000_000_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sample {
    at: Ts,
    offset_ns: i64,
    error_ns: u64,
}

impl Sample {
    fn error_at(&self, now: Ts) -> u64 {
        self.error_ns.saturating_add((now.since_ns(self.at) as u128 * DRIFT_PPM as u128 / 1_000_000) as u64)
    }
}

/// An estimate of the venue's clock.
#[derive(Clone, Debug, Default)]
pub struct VenueClock {
    samples: [Sample; SAMPLES],
    taken: usize,
    /// Of the best sample when the last came: what requests are stamped with.
    offset_ns: i64,
    asked: Option<Ts>,
    next: Ts,
    burst: u32,
}

impl VenueClock {
    /// A clock that knows nothing yet and wants to ask at once.
    pub fn new() -> VenueClock {
        VenueClock { burst: BURST, ..VenueClock::default() }
    }

    /// Whether there is an estimate.
    pub fn is_known(&self) -> bool {
        self.taken > 0
    }

    /// Whether a question should leave now.
    #[inline]
    pub fn wants_to_ask(&self, now: Ts) -> bool {
        now >= self.next && self.asked.is_none_or(|at| now.since_ns(at) > ANSWER_NS)
    }

    /// A question has left.
    pub fn on_asked(&mut self, now: Ts) {
        self.asked = Some(now);
        self.burst = self.burst.saturating_sub(1);
        self.next = now.plus_ns(if self.burst > 0 { BURST_NS } else { CALM_NS });
    }

    /// The answer to the last question: the venue's time, ns.
    pub fn on_answer(&mut self, venue_ns: u64, now: Ts) {
        let Some(asked) = self.asked.take() else { return };
        let round_ns = now.since_ns(asked);
        if round_ns > ROUND_MAX_NS {
            return;
        }
        let middle = asked.0.saturating_add(round_ns / 2);
        // Times of this century in ns are below 2^63, so the difference fits.
        let offset_ns =
            (venue_ns.min(i64::MAX as u64) as i64).wrapping_sub(middle.min(i64::MAX as u64) as i64);
        let error_ns = round_ns / 2 + CUT_NS;
        self.samples[self.taken % SAMPLES] =
            Sample { at: now, offset_ns: offset_ns.saturating_add(CUT_NS as i64), error_ns };
        self.taken += 1;
        self.offset_ns = self.offset(now).0;
    }

    /// A connection is gone, and the answer with it, perhaps: a question may leave at once.
    pub fn on_lost(&mut self, now: Ts) {
        if self.asked.take().is_some() {
            self.next = now;
        }
    }

    /// The venue refused a time: what was known is void, and is asked anew at once.
    pub fn distrust(&mut self, now: Ts) {
        self.taken = 0;
        self.asked = None;
        self.burst = BURST;
        self.next = now;
    }

    /// Offset of the venue's clock from ours and its error bar, ns; zero and the widest without an answer yet.
    #[inline]
    pub fn offset(&self, now: Ts) -> (i64, u64) {
        let known = &self.samples[..self.taken.min(SAMPLES)];
        let best = known.iter().min_by_key(|s| s.error_at(now));
        best.map_or((0, u64::MAX), |s| (s.offset_ns, s.error_at(now)))
    }

    /// A time of the venue on our clock.
    pub fn at_home(&self, venue: Ts) -> Ts {
        Ts(venue.0.saturating_add_signed(self.offset_ns.saturating_neg()))
    }

    /// The venue's time at a time of ours.
    #[inline]
    pub fn at_venue(&self, now: Ts) -> Ts {
        Ts(now.0.saturating_add_signed(self.offset_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const NOW: Ts = Ts(1_700_000_000_000 * MS);

    /// A venue whose clock is `offset_ms` ahead and whose answer names whole ms.
    fn ask(c: &mut VenueClock, now: Ts, there_ns: u64, back_ns: u64, offset_ms: i64) -> Ts {
        assert!(c.wants_to_ask(now));
        c.on_asked(now);
        assert!(!c.wants_to_ask(now.plus_ns(1)), "one question at a time");
        let read = (now.0 + there_ns).saturating_add_signed(offset_ms * MS as i64) / MS * MS;
        let back = now.plus_ns(there_ns + back_ns);
        c.on_answer(read, back);
        back
    }

    #[test]
    fn the_offset_lies_within_its_error_whatever_the_way() {
        let mut state = 7u64;
        let mut next = move |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % n
        };
        for _ in 0..500 {
            let mut c = VenueClock::new();
            assert_eq!(c.offset(NOW), (0, u64::MAX));
            let offset_ms = next(20_000) as i64 - 10_000;
            let mut now = NOW;
            let mut best = u64::MAX;
            for _ in 0..BURST {
                let (there, back) = (next(80 * MS), next(80 * MS));
                now = ask(&mut c, now, there, back, offset_ms).plus_ns(BURST_NS);
                best = best.min((there + back) / 2 + CUT_NS);
                let (offset, error) = c.offset(now);
                assert!((offset - offset_ms * MS as i64).unsigned_abs() <= error, "{offset} ± {error}");
            }
            // The best of them counts, worse only by its age.
            assert!(c.offset(now).1 <= best + 2 * MS);
            let at = c.at_venue(now);
            assert!((at.0 as i64 - now.0 as i64 - offset_ms * MS as i64).unsigned_abs() <= best + 2 * MS);
            assert_eq!(c.at_home(at), now);
        }
    }

    #[test]
    fn questions_come_in_a_burst_then_calmly_and_at_once_after_a_refusal() {
        let mut c = VenueClock::new();
        let mut now = NOW;
        for n in 0..BURST {
            assert!(c.wants_to_ask(now), "{n}");
            now = ask(&mut c, now, MS, MS, 3).plus_ns(BURST_NS - 2 * MS);
        }
        assert!(!c.wants_to_ask(now) && c.wants_to_ask(now.plus_ns(CALM_NS)));
        c.distrust(now);
        assert!(!c.is_known() && c.wants_to_ask(now));
        // An answer that never comes is not waited for without end; one that comes late tells nothing.
        c.on_asked(now);
        assert!(!c.wants_to_ask(now.plus_ns(ANSWER_NS)));
        assert!(c.wants_to_ask(now.plus_ns(ANSWER_NS + 1)));
        c.on_answer(now.0, now.plus_ns(ROUND_MAX_NS + 1));
        assert!(!c.is_known());
        c.on_answer(now.0, now);
        assert!(!c.is_known(), "nothing was asked");
    }

    #[test]
    fn errors_grow_with_age() {
        let mut c = VenueClock::new();
        let now = ask(&mut c, NOW, MS, MS, 0);
        assert_eq!(c.offset(now).1, MS + CUT_NS);
        assert_eq!(c.offset(now.plus_ns(10_000 * MS)).1, MS + CUT_NS + 5 * MS);
    }
}
