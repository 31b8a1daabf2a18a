//! The processor's own counter as a clock: 10 ns a read, no system call, one line for all cores.
//!
//! Costs measured on a Xeon (2.3 GHz, KVM): `rdtsc` 9.6 ns, `clock_gettime` 22.5 ns, reading it twice per stage
//! costs as much as a hop between cores. Hence: calibrate once, multiply and shift ever after.
//!
//! The counter is trusted only when it is *invariant* (constant rate in every power state). On x86 CPUID leaf
//! 0x8000_0007 says so; on aarch64 the architecture does. A second guard is the calibration itself: its two
//! halves must agree within [`HALVES_PPM_MAX`], or something (a live migration, an emulator) is playing with
//! the rate.

use std::sync::OnceLock;

use wire::Ts;

use crate::clock::{os_ns, wall_ns};

/// Length of the calibration against `CLOCK_MONOTONIC_RAW`, ns. The ends are read to about 30 ns, so the rate
/// is right to about 1 ppm.
const CALIBRATION_NS: u64 = 50_000_000;

/// Most that the rates of the two halves of the calibration may differ, parts per million.
const HALVES_PPM_MAX: u64 = 500;

/// Joins counter ticks to engine time: `ts = ts_ns + ((tsc - tsc) * ns_per_tick_q32 >> 32)`.
///
/// Three plain words, so that a second process can be handed the engine's calibration and read the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calibration {
    /// Counter at the anchor, ticks.
    pub tsc: u64,
    /// Engine time at the anchor, ns since the Unix epoch.
    pub ts_ns: u64,
    /// Nanoseconds per tick, times 2^32.
    pub ns_per_tick_q32: u64,
}

impl Calibration {
    /// Engine time at counter value `tsc`. Values before the anchor read as the anchor. Wraps only after 584
    /// years.
    #[inline]
    pub fn ts(&self, tsc: u64) -> Ts {
        Ts(self.ts_ns.wrapping_add(self.span_ns(tsc.saturating_sub(self.tsc))))
    }

    /// Nanoseconds in `ticks`, rounded down.
    #[inline]
    pub fn span_ns(&self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.ns_per_tick_q32)) >> 32) as u64
    }

    /// Counter frequency, kHz, for people.
    pub fn khz(&self) -> u64 {
        if self.ns_per_tick_q32 == 0 {
            return 0;
        }
        ((1_000_000u128 << 32) / u128::from(self.ns_per_tick_q32)) as u64
    }
}

/// Why the counter cannot be a clock on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoTsc {
    /// CPUID does not promise a constant rate.
    #[error("the TSC is not invariant (CPUID 0x80000007, EDX bit 8 is clear)")]
    NotInvariant,
    /// The rate changed while it was measured.
    #[error("the counter ran at two rates {ppm} ppm apart within the calibration, at most 500 are trusted")]
    Unsteady {
        /// Difference of the halves, parts per million.
        ppm: u64,
    },
    /// No counter is known for this architecture.
    #[error("this architecture has no counter that is known here")]
    Architecture,
}

/// Engine time from the counter. `Copy`: three words, no shared state.
#[derive(Clone, Copy, Debug)]
pub struct TscClock {
    calibration: Calibration,
}

impl TscClock {
    /// The process's counter clock. The first call calibrates (50 ms of spinning) and samples the wall clock
    /// once; every later call returns the same calibration, so all clocks of a process agree to the tick.
    ///
    /// # Errors
    /// [`NoTsc`]: the counter is not a clock here.
    pub fn calibrated() -> Result<TscClock, NoTsc> {
        static ONCE: OnceLock<Result<TscClock, NoTsc>> = OnceLock::new();
        *ONCE.get_or_init(|| Ok(TscClock { calibration: calibrate()? }))
    }

    /// A clock that reads the same time as the process which made this calibration, on the same boot of the
    /// same machine.
    pub fn from_calibration(calibration: Calibration) -> TscClock {
        TscClock { calibration }
    }

    /// How ticks become time.
    pub fn calibration(&self) -> Calibration {
        self.calibration
    }

    /// Engine time, about 10 ns a call. Not ordered against surrounding loads and stores: it may be early by
    /// the depth of the pipeline (some 20 ns).
    #[inline]
    pub fn now(&self) -> Ts {
        self.calibration.ts(ticks())
    }
}

/// Raw counter, ticks.
#[inline]
pub(crate) fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: RDTSC exists on every x86-64 processor and touches no memory; a kernel that traps it
        // (PR_TSC_SIGSEGV) does so only on request of this very process.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: CNTVCT_EL0 is readable from user space on Linux, and reading it has no side effect.
        unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
        ticks
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        os_ns(libc::CLOCK_MONOTONIC_RAW)
    }
}

fn invariant() -> Result<(), NoTsc> {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::__cpuid;
        const EXTENDED_MAX: u32 = 0x8000_0000;
        const POWER: u32 = 0x8000_0007;
        const INVARIANT_TSC: u32 = 1 << 8;
        if __cpuid(EXTENDED_MAX).eax >= POWER && __cpuid(POWER).edx & INVARIANT_TSC != 0 {
            Ok(())
        } else {
            Err(NoTsc::NotInvariant)
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        // The generic timer counts at one fixed rate by definition (Arm ARM, D11.1).
        Ok(())
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        Err(NoTsc::Architecture)
    }
}

fn calibrate() -> Result<Calibration, NoTsc> {
    invariant()?;
    let raw = || os_ns(libc::CLOCK_MONOTONIC_RAW);
    let at = |due: u64| {
        while raw() < due {
            std::hint::spin_loop();
        }
        sample(raw)
    };
    let a = sample(raw);
    let m = at(a.ns + CALIBRATION_NS / 2);
    let b = at(m.ns + CALIBRATION_NS / 2);
    let ppm = rates_apart_ppm(rate_q32(&a, &m), rate_q32(&m, &b));
    if ppm > HALVES_PPM_MAX {
        return Err(NoTsc::Unsteady { ppm });
    }
    let wall = sample(wall_ns);
    Ok(Calibration { tsc: wall.tsc, ts_ns: wall.ns, ns_per_tick_q32: rate_q32(&a, &b) })
}

/// A counter value and a kernel time that belong together.
struct Sample {
    tsc: u64,
    ns: u64,
}

/// Reads counter, clock, counter and keeps the tightest of 16 brackets: an interrupt inside one is discarded.
fn sample(read_ns: impl Fn() -> u64) -> Sample {
    let mut best = Sample { tsc: 0, ns: 0 };
    let mut width = u64::MAX;
    for _ in 0..16 {
        let before = ticks();
        let ns = read_ns();
        let after = ticks();
        let w = after.saturating_sub(before);
        if w < width {
            width = w;
            best = Sample { tsc: before + w / 2, ns };
        }
    }
    best
}

fn rate_q32(a: &Sample, b: &Sample) -> u64 {
    let ticks = u128::from(b.tsc.saturating_sub(a.tsc).max(1));
    let ns = u128::from(b.ns.saturating_sub(a.ns));
    u64::try_from((ns << 32) / ticks).unwrap_or(u64::MAX)
}

fn rates_apart_ppm(a: u64, b: u64) -> u64 {
    let apart = u128::from(a.abs_diff(b)) * 1_000_000;
    u64::try_from(apart / u128::from(a.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_holds_for_years() {
        // 2.5 GHz: 0.4 ns a tick.
        let c = Calibration { tsc: 1_000, ts_ns: 5_000, ns_per_tick_q32: (4u64 << 32) / 10 };
        assert_eq!(c.ts(1_000), Ts(5_000));
        assert_eq!(c.ts(0), Ts(5_000), "before the anchor");
        let year_ticks = 365 * 86_400 * 2_500_000_000u64;
        let year_ns = 365 * 86_400 * 1_000_000_000u64;
        let off = c.ts(1_000 + year_ticks).0.abs_diff(5_000 + year_ns);
        assert!(off < year_ns / 1_000_000_000, "{off} ns of rounding a year, more than 1 ppb");
        assert_eq!(c.khz(), 2_500_000);
    }

    #[test]
    fn two_rates_are_told_apart() {
        assert_eq!(rates_apart_ppm(1_000_000, 1_000_000), 0);
        assert_eq!(rates_apart_ppm(1_000_000, 1_001_000), 1_000);
        assert_eq!(rates_apart_ppm(0, u64::MAX), u64::MAX);
    }

    #[test]
    fn one_calibration_a_process_and_it_can_be_handed_on() {
        let (Ok(a), Ok(b)) = (TscClock::calibrated(), TscClock::calibrated()) else {
            println!("skipped: no invariant counter here");
            return;
        };
        assert_eq!(a.calibration(), b.calibration());
        let other = TscClock::from_calibration(a.calibration());
        let (t0, t1, t2) = (a.now(), other.now(), a.now());
        assert!(t0 <= t1 && t1 <= t2);
    }

    #[test]
    fn rate_agrees_with_the_kernel() {
        let Ok(clock) = TscClock::calibrated() else {
            println!("skipped: no invariant counter here");
            return;
        };
        let raw = || os_ns(libc::CLOCK_MONOTONIC_RAW);
        let a = sample(raw);
        while raw() < a.ns + 100_000_000 {}
        let b = sample(raw);
        let by_tsc = clock.calibration().span_ns(b.tsc - a.tsc);
        let off_ppm = by_tsc.abs_diff(b.ns - a.ns) * 1_000_000 / (b.ns - a.ns);
        assert!(off_ppm < 200, "{off_ppm} ppm from CLOCK_MONOTONIC_RAW");
    }
}
