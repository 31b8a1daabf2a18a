//! What a thread does when a whole turn of its agents found nothing to do.

use std::time::Duration;

/// Idle strategy of a thread. From the top: less latency, more heat.
///
/// Measured on a shared 2-core VM: `Spin` and `Pause` notice work within a cache miss; a yield is 0.5 us of
/// kernel even when nobody else wants the core; anything that sleeps wakes 10-20 us after its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Idle {
    /// Look again at once. Only on a core of one's own without a hyper-twin.
    Spin,
    /// One PAUSE (25 ns here): frees the sibling's pipeline and leaves the polled line alone for a moment.
    #[default]
    Pause,
    /// `sched_yield`: let another runnable thread of this core go first.
    Yield,
    /// Sleep. For kill and housekeeping on a shared core.
    Park {
        /// Time to sleep, ns.
        ns: u64,
    },
}

impl Idle {
    /// Idles once.
    #[inline]
    pub fn idle(self) {
        match self {
            Idle::Spin => {}
            Idle::Pause => std::hint::spin_loop(),
            Idle::Yield => std::thread::yield_now(),
            Idle::Park { ns } => std::thread::sleep(Duration::from_nanos(ns)),
        }
    }

    /// Whether the strategy gives the core away for a stated time.
    pub fn sleeps(self) -> bool {
        matches!(self, Idle::Park { ns } if ns > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn park_sleeps_at_least_as_long_as_asked_and_the_rest_do_not() {
        let t = Instant::now();
        Idle::Park { ns: 2_000_000 }.idle();
        assert!(t.elapsed() >= Duration::from_millis(2));
        for idle in [Idle::Spin, Idle::Pause, Idle::Yield] {
            idle.idle();
            assert!(!idle.sleeps());
        }
        assert!(Idle::Park { ns: 1 }.sleeps() && !Idle::Park { ns: 0 }.sleeps());
    }
}
