//! Where time comes from: the counter, the kernel, or a number that a test or replay sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wire::Ts;

use crate::tsc::{NoTsc, TscClock};

/// A source of engine time. Clones read the same time; any thread may read.
///
/// Live clocks sample the wall clock once and then follow a monotonic one: a step of the wall clock never moves
/// engine time, and by the same token engine time drifts from the wall clock by the error of the machine's
/// oscillator (tens of ppm, so some ms a minute). [`Clock::wall_ahead_ns`] says by how much.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The processor's counter; about 10 ns a read.
    Tsc(TscClock),
    /// `clock_gettime`; about 23 ns a read.
    Wall(WallClock),
    /// Set by hand: tests, simulation, replay.
    Virtual(VirtualClock),
}

impl Clock {
    /// The best clock of this machine: the counter when it is invariant, else `clock_gettime`, which then says
    /// why in [`Clock::describe`]. The first call takes 50 ms to calibrate; later calls return a clock that
    /// reads the same time.
    pub fn live() -> Clock {
        match TscClock::calibrated() {
            Ok(tsc) => Clock::Tsc(tsc),
            Err(why) => Clock::Wall(WallClock::because(why)),
        }
    }

    /// Engine time. Monotone on every core for live clocks.
    #[inline]
    pub fn now(&self) -> Ts {
        match self {
            Clock::Tsc(c) => c.now(),
            Clock::Wall(c) => c.now(),
            Clock::Virtual(c) => c.now(),
        }
    }

    /// By how many ns the wall clock (`CLOCK_REALTIME`) is ahead of engine time now; negative = behind. Zero
    /// for a virtual clock. For requests that carry wall time and for health reports; reads the kernel's
    /// clock, so not for the message path.
    pub fn wall_ahead_ns(&self) -> i64 {
        match self {
            Clock::Virtual(_) => 0,
            live => wall_ns().wrapping_sub(live.now().0) as i64,
        }
    }

    /// One line for the start-up report: which clock, and why not the faster one.
    pub fn describe(&self) -> String {
        match self {
            Clock::Tsc(c) => {
                let khz = c.calibration().khz();
                format!(
                    "clock: counter at {}.{:03} MHz, calibrated against CLOCK_MONOTONIC_RAW",
                    khz / 1000,
                    khz % 1000
                )
            }
            Clock::Wall(c) => match c.why {
                Some(why) => format!("clock: clock_gettime(CLOCK_MONOTONIC), because {why}"),
                None => "clock: clock_gettime(CLOCK_MONOTONIC), as asked".to_owned(),
            },
            Clock::Virtual(c) => format!("clock: virtual, at {} ns", c.now().0),
        }
    }
}

/// The kernel's monotonic clock plus the offset to the epoch, taken once.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    offset_ns: u64,
    why: Option<NoTsc>,
}

impl WallClock {
    /// Samples the wall clock now. The offset is right to about 1 us.
    pub fn new() -> WallClock {
        WallClock { offset_ns: wall_ns().wrapping_sub(os_ns(libc::CLOCK_MONOTONIC)), why: None }
    }

    /// A clock that reads the same time as the one with this [`offset_ns`](WallClock::offset_ns), on the same boot.
    pub fn with_offset(offset_ns: u64) -> WallClock {
        WallClock { offset_ns, why: None }
    }

    /// Engine time less `CLOCK_MONOTONIC`, ns, wrapping.
    pub fn offset_ns(&self) -> u64 {
        self.offset_ns
    }

    /// The same, as the fall-back of a machine whose counter will not do.
    fn because(why: NoTsc) -> WallClock {
        static OFFSET: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
        let offset_ns = *OFFSET.get_or_init(|| WallClock::new().offset_ns);
        WallClock { offset_ns, why: Some(why) }
    }

    /// Engine time.
    #[inline]
    pub fn now(&self) -> Ts {
        Ts(os_ns(libc::CLOCK_MONOTONIC).wrapping_add(self.offset_ns))
    }
}

impl Default for WallClock {
    fn default() -> Self {
        WallClock::new()
    }
}

/// Time that stands still until told otherwise. Clones share it.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    now_ns: Arc<AtomicU64>,
}

impl VirtualClock {
    /// A clock that reads `start`.
    pub fn new(start: Ts) -> VirtualClock {
        VirtualClock { now_ns: Arc::new(AtomicU64::new(start.0)) }
    }

    /// Engine time.
    #[inline]
    pub fn now(&self) -> Ts {
        Ts(self.now_ns.load(Ordering::Acquire))
    }

    /// Moves to `t`. Engine time is monotone: an earlier `t` leaves the clock where it is.
    #[inline]
    pub fn set(&self, t: Ts) {
        self.now_ns.fetch_max(t.0, Ordering::AcqRel);
    }

    /// Moves `ns` nanoseconds into the future, saturating at the end of time.
    #[inline]
    pub fn advance_ns(&self, ns: u64) {
        let add = |now: u64| Some(now.saturating_add(ns));
        // The closure always returns `Some`, so the update cannot fail.
        let _ = self.now_ns.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
    }
}

/// `clock_gettime` in ns; 0 when the kernel does not know the clock (none of those used here).
#[inline]
pub(crate) fn os_ns(clock: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid, exclusively borrowed timespec for the duration of the call.
    unsafe { libc::clock_gettime(clock, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// `CLOCK_REALTIME`, ns since the Unix epoch.
#[inline]
pub(crate) fn wall_ns() -> u64 {
    os_ns(libc::CLOCK_REALTIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_clones_share_time_and_never_go_back() {
        let c = VirtualClock::new(Ts(100));
        let seen = Clock::Virtual(c.clone());
        c.advance_ns(50);
        assert_eq!(seen.now(), Ts(150));
        c.set(Ts(1_000));
        assert_eq!(seen.now(), Ts(1_000));
        c.set(Ts(10));
        assert_eq!(seen.now(), Ts(1_000));
        c.advance_ns(u64::MAX);
        assert_eq!(seen.now(), Ts(u64::MAX));
        assert_eq!(seen.wall_ahead_ns(), 0);
    }

    fn monotone_and_near_the_wall(clock: &Clock) {
        // The clock was anchored moments ago in this process: a second of slack covers a slewed wall clock.
        assert!(clock.wall_ahead_ns().unsigned_abs() < 1_000_000_000, "{} ns", clock.wall_ahead_ns());
        let mut last = clock.now();
        for _ in 0..1_000_000 {
            let now = clock.now();
            assert!(now >= last, "{now:?} after {last:?}");
            last = now;
        }
    }

    #[test]
    fn live_clock_is_monotone_and_near_the_wall() {
        let clock = Clock::live();
        println!("{}", clock.describe());
        monotone_and_near_the_wall(&clock);
        assert!(!clock.describe().contains('\n'));
    }

    #[test]
    fn fall_back_is_monotone_near_the_wall_and_says_why() {
        let clock = Clock::Wall(WallClock::because(NoTsc::NotInvariant));
        monotone_and_near_the_wall(&clock);
        assert!(clock.describe().contains("not invariant"), "{}", clock.describe());
    }

    #[test]
    fn time_agrees_across_threads() {
        let clock = Clock::live();
        let last = Arc::new(AtomicU64::new(0));
        std::thread::scope(|s| {
            for _ in 0..2 {
                let (clock, last) = (clock.clone(), last.clone());
                s.spawn(move || {
                    for _ in 0..100_000 {
                        // What another thread published happened before; the read after it must not be
                        // earlier by more than the pipeline's slack.
                        let seen = last.load(Ordering::Acquire);
                        let now = clock.now().0;
                        assert!(now + 1_000 >= seen, "{now} is before {seen}");
                        last.fetch_max(now, Ordering::AcqRel);
                    }
                });
            }
        });
    }
}
