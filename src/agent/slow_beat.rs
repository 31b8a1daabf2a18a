//! What need not be done in every duty cycle.

use wire::Ts;

/// Says once in a while that the time has come: for timers, copies of counts, looks at what changes by the second. In
/// every other cycle it costs a subtraction and a branch. The first look is due at once.
///
/// Whoever acts on it changes by time alone: where cycles are recorded, this one must be.
///
/// ```
/// use wire::Ts;
/// let mut beat = agent::SlowBeat::new(1_000);
/// let due: Vec<u64> = (5_000..8_000).filter(|t| beat.due(Ts(*t))).collect();
/// assert_eq!(due, [5_000, 6_000, 7_000]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SlowBeat {
    every_ns: u64,
    last: Ts,
}

impl SlowBeat {
    /// A beat at least `every_ns` long.
    pub const fn new(every_ns: u64) -> SlowBeat {
        SlowBeat { every_ns, last: Ts(0) }
    }

    /// Whether it is due at `now`; if so, the next is `every_ns` from here.
    #[inline]
    pub fn due(&mut self, now: Ts) -> bool {
        let due = now.since_ns(self.last) >= self.every_ns;
        if due {
            self.last = now;
        }
        due
    }

    /// The next look is due, whenever it is.
    pub fn hurry(&mut self) {
        self.last = Ts(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_looks_do_not_pile_up_and_time_that_stands_still_is_not_due() {
        let mut beat = SlowBeat::new(10);
        assert!(beat.due(Ts(100)) && !beat.due(Ts(100)) && !beat.due(Ts(109)));
        assert!(beat.due(Ts(195)), "nine beats late");
        assert!(!beat.due(Ts(196)) && !beat.due(Ts(204)) && beat.due(Ts(205)));
        assert!(!beat.due(Ts(3)), "a clock that went back is not ahead");
        beat.hurry();
        assert!(beat.due(Ts(206)));
    }
}
