//! What the machine itself can do this minute: a cache line between two cores, and time stolen from one.
//!
//! Every latency figure is read beside these two. A hypervisor moves virtual cores about within seconds (the
//! same line took 35, 60 or 230 ns here), so a probe is taken in the same run as what it judges.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::clock::os_ns;
use crate::cpu::{self, Refused};
use crate::{Calibration, TscClock, tsc};

/// Repetitions of the ping-pong; their spread shows whether the host moved meanwhile.
const REPETITIONS: usize = 5;

/// Most round trips of a repetition.
const ROUNDS_MAX: usize = 10_000_000;

/// Longest that one repetition may take, ns: on a crowded core the peer may not run at all.
const PATIENCE_NS: u64 = 5_000_000_000;

/// One-way time of a cache line between two cores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbeReport {
    /// First core.
    pub core_a: usize,
    /// Second core.
    pub core_b: usize,
    /// Round trips of each repetition.
    pub rounds: usize,
    /// Repetitions.
    pub repetitions: usize,
    /// Median over repetitions of the median round trip, halved, ns.
    pub p50_ns: f64,
    /// The same of the fastest repetition, ns.
    pub p50_min_ns: f64,
    /// The same of the slowest repetition, ns.
    pub p50_max_ns: f64,
    /// Median over repetitions of the 99th percentile round trip, halved, ns.
    pub p99_ns: f64,
}

impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cache line core {} to {}: {:.1} ns one-way p50 ({} repetitions {:.1}..{:.1}), p99 {:.1}",
            self.core_a,
            self.core_b,
            self.p50_ns,
            self.repetitions,
            self.p50_min_ns,
            self.p50_max_ns,
            self.p99_ns
        )
    }
}

/// Why there is no probe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// This process may use one core only, or the same was named twice.
    #[error("a cache line travels between two cores; only core {core} was given")]
    OneCore {
        /// That core.
        core: usize,
    },
    /// A core could not be had.
    #[error("probe not run: {0}")]
    Core(#[from] Refused),
    /// Rounds outside the range.
    #[error("rounds = {rounds}, must be 1..={max}")]
    Rounds {
        /// Rounds asked for.
        rounds: usize,
        /// The bound.
        max: usize,
    },
    /// The two sides did not get to run at the same time for long enough.
    #[error("probe of cores {core_a} and {core_b} not finished within {patience_ms} ms: a core is busy")]
    Busy {
        /// First core.
        core_a: usize,
        /// Second core.
        core_b: usize,
        /// Patience, ms.
        patience_ms: u64,
    },
    /// A side of the ping-pong panicked.
    #[error("a probe thread panicked")]
    Panicked,
}

/// Ping-pong between the first and the last core that this process may use, 20,000 rounds.
///
/// # Errors
/// [`ProbeError::OneCore`] on a machine of one; else as [`cache_line_ns`].
pub fn cache_line() -> Result<ProbeReport, ProbeError> {
    let cores = cpu::allowed_cores();
    match (cores.first(), cores.last()) {
        (Some(&a), Some(&b)) => cache_line_ns(a, b, 20_000),
        _ => Err(ProbeError::OneCore { core: 0 }),
    }
}

/// Ping-pong of two cache lines between `core_a` and `core_b`, `rounds` (1..=10,000,000) round trips in each
/// of 5 repetitions; 20,000 take some 3 ms each. Runs on threads of its own; the caller's placement is left
/// alone. Spins both cores meanwhile.
///
/// # Errors
/// [`ProbeError`].
pub fn cache_line_ns(core_a: usize, core_b: usize, rounds: usize) -> Result<ProbeReport, ProbeError> {
    if core_a == core_b {
        return Err(ProbeError::OneCore { core: core_a });
    }
    if !(1..=ROUNDS_MAX).contains(&rounds) {
        return Err(ProbeError::Rounds { rounds, max: ROUNDS_MAX });
    }
    let mut p50 = [0.0f64; REPETITIONS];
    let mut p99 = [0.0f64; REPETITIONS];
    for i in 0..REPETITIONS {
        let mut trips = repetition(core_a, core_b, rounds)?;
        trips.sort_unstable();
        p50[i] = quantile(&trips, 0.5) / 2.0;
        p99[i] = quantile(&trips, 0.99) / 2.0;
    }
    p50.sort_unstable_by(f64::total_cmp);
    p99.sort_unstable_by(f64::total_cmp);
    Ok(ProbeReport {
        core_a,
        core_b,
        rounds,
        repetitions: REPETITIONS,
        p50_ns: p50[REPETITIONS / 2],
        p50_min_ns: p50[0],
        p50_max_ns: p50[REPETITIONS - 1],
        p99_ns: p99[REPETITIONS / 2],
    })
}

/// What the two sides of the ping-pong share, each word on lines of its own.
#[derive(Default)]
struct Table {
    ping: CachePadded<AtomicU64>,
    pong: CachePadded<AtomicU64>,
    ready: CachePadded<AtomicU64>,
    give_up: CachePadded<AtomicBool>,
}

impl Table {
    /// Spins until `word` reads `want`; `false` when either side has given up.
    #[inline]
    fn await_value(&self, word: &AtomicU64, want: u64, due_ns: u64) -> bool {
        let mut spins = 0u32;
        while word.load(Ordering::Acquire) != want {
            spins = spins.wrapping_add(1);
            if spins.is_multiple_of(4096) {
                if os_ns(libc::CLOCK_MONOTONIC) >= due_ns {
                    self.give_up.store(true, Ordering::Release);
                }
                if self.give_up.load(Ordering::Acquire) {
                    return false;
                }
            }
        }
        true
    }

    fn pinned(&self, core: usize) -> Result<(), ProbeError> {
        cpu::pin(core).inspect_err(|_| self.give_up.store(true, Ordering::Release))?;
        self.ready.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

/// Round trip times of one repetition, ns.
fn repetition(core_a: usize, core_b: usize, rounds: usize) -> Result<Vec<u32>, ProbeError> {
    let busy = || ProbeError::Busy { core_a, core_b, patience_ms: PATIENCE_NS / 1_000_000 };
    let table = Table::default();
    let due_ns = os_ns(libc::CLOCK_MONOTONIC) + PATIENCE_NS;
    let span = span();
    let last = rounds as u64;
    std::thread::scope(|s| {
        let a = s.spawn(|| {
            let mut trips = vec![0u32; rounds];
            table.pinned(core_a)?;
            if !table.await_value(&table.ready, 2, due_ns) {
                return Err(busy());
            }
            let mut before = tsc::ticks();
            for (i, trip) in (1..=last).zip(&mut trips) {
                table.ping.store(i, Ordering::Release);
                if !table.await_value(&table.pong, i, due_ns) {
                    return Err(busy());
                }
                let now = tsc::ticks();
                *trip = u32::try_from(span.span_ns_q4(now.saturating_sub(before))).unwrap_or(u32::MAX);
                before = now;
            }
            Ok(trips)
        });
        let b = s.spawn(|| {
            table.pinned(core_b)?;
            for i in 1..=last {
                if !table.await_value(&table.ping, i, due_ns) {
                    return Err(busy());
                }
                table.pong.store(i, Ordering::Release);
            }
            Ok(())
        });
        let (a, b) = (a.join(), b.join());
        // A side that could not pin says why; the other only saw it give up.
        match (a, b) {
            (Ok(Ok(trips)), Ok(Ok(()))) => Ok(trips),
            (Ok(Err(e @ ProbeError::Core(_))), _) | (_, Ok(Err(e @ ProbeError::Core(_)))) => Err(e),
            (Err(_), _) | (_, Err(_)) => Err(ProbeError::Panicked),
            (Ok(Err(e)), _) | (_, Ok(Err(e))) => Err(e),
        }
    })
}

/// Value at quantile `q` of sorted times in sixteenths of a ns, in ns.
fn quantile(sorted: &[u32], q: f64) -> f64 {
    let at = (sorted.len() as f64 * q) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(0.0, |&t| f64::from(t) / 16.0)
}

/// Turns ticks into time, for spans only.
#[derive(Clone, Copy)]
struct Span(Calibration);

impl Span {
    fn ns(self, ticks: u64) -> u64 {
        self.0.span_ns(ticks)
    }

    /// In sixteenths of a ns: a tick is less than one.
    #[inline]
    fn span_ns_q4(self, ticks: u64) -> u64 {
        self.0.span_ns(ticks.saturating_mul(16))
    }
}

/// The counter's rate; a counter that is no clock is still fit for short spans at the rate measured now.
fn span() -> Span {
    match TscClock::calibrated() {
        Ok(clock) => Span(clock.calibration()),
        Err(_) => {
            let (t0, n0) = (tsc::ticks(), os_ns(libc::CLOCK_MONOTONIC_RAW));
            while os_ns(libc::CLOCK_MONOTONIC_RAW) < n0 + 20_000_000 {}
            let (t1, n1) = (tsc::ticks(), os_ns(libc::CLOCK_MONOTONIC_RAW));
            let q32 = (u128::from(n1 - n0) << 32) / u128::from(t1.saturating_sub(t0).max(1));
            let ns_per_tick_q32 = u64::try_from(q32).unwrap_or(u64::MAX);
            Span(Calibration { tsc: 0, ts_ns: 0, ns_per_tick_q32 })
        }
    }
}

/// Gaps of a loop that does nothing but read the counter: what interrupts, the scheduler and the hypervisor
/// take from a core. The floor under every tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HiccupReport {
    /// Length of the measurement, ns.
    pub elapsed_ns: u64,
    /// Longest gap, ns.
    pub max_ns: u64,
    /// Sum of the gaps above 1 us, ns.
    pub lost_ns: u64,
    /// The same as parts per million of the time measured.
    pub lost_ppm: u64,
    /// Gaps above 1 us.
    pub over_1us: u64,
    /// The same by length; class `i` reaches up to [`HiccupReport::BOUNDS_US`]`[i]`, the last is open.
    pub classes: [u64; 6],
}

impl HiccupReport {
    /// Upper bounds of the classes but the last, us.
    pub const BOUNDS_US: [u64; 5] = [10, 20, 50, 100, 1_000];

    /// Adds a gap.
    #[cold]
    fn add(&mut self, gap_ns: u64) {
        self.max_ns = self.max_ns.max(gap_ns);
        self.lost_ns += gap_ns;
        self.over_1us += 1;
        self.classes[Self::BOUNDS_US.iter().take_while(|&&us| gap_ns >= us * 1_000).count()] += 1;
    }
}

impl fmt::Display for HiccupReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.classes;
        write!(
            f,
            "hiccups in {} ms: longest {} us, {} ppm lost, {} over 1 us (1-10: {}, 10-20: {}, 20-50: {}, \
             50-100: {}, 100-1000: {}, over 1 ms: {})",
            self.elapsed_ns / 1_000_000,
            self.max_ns / 1_000,
            self.lost_ppm,
            self.over_1us,
            c[0],
            c[1],
            c[2],
            c[3],
            c[4],
            c[5]
        )
    }
}

/// Spins on the calling thread's core for `duration` and reports the gaps. Pin first; on a single core it
/// measures whoever else runs there, which is the truth of such a machine.
pub fn hiccup(duration: Duration) -> HiccupReport {
    let span = span();
    let want_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut report = HiccupReport::default();
    let start = tsc::ticks();
    let mut before = start;
    loop {
        let now = tsc::ticks();
        let gap_ns = span.ns(now.saturating_sub(before));
        if gap_ns > 1_000 {
            report.add(gap_ns);
        }
        before = now;
        report.elapsed_ns = span.ns(now.saturating_sub(start));
        if report.elapsed_ns >= want_ns {
            break;
        }
    }
    let ppm = u128::from(report.lost_ns) * 1_000_000 / u128::from(report.elapsed_ns.max(1));
    report.lost_ppm = ppm as u64;
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cores_or_a_reason() {
        match cache_line() {
            Ok(r) => {
                println!("{r}");
                assert!(r.p50_min_ns <= r.p50_ns && r.p50_ns <= r.p50_max_ns && r.p50_ns <= r.p99_ns);
                // A line cannot travel in under a nanosecond; a millisecond is no cache line any more.
                assert!(r.p50_ns > 1.0 && r.p50_min_ns < 1_000_000.0, "{r}");
            }
            Err(ProbeError::OneCore { .. }) => assert_eq!(cpu::allowed_cores().len(), 1),
            Err(e @ ProbeError::Busy { .. }) => println!("skipped: {e}"),
            Err(e) => panic!("{e}"),
        }
    }

    #[test]
    fn one_core_and_no_core_are_told() {
        assert!(matches!(cache_line_ns(0, 0, 10), Err(ProbeError::OneCore { core: 0 })));
        assert!(matches!(cache_line_ns(0, 1, 0), Err(ProbeError::Rounds { rounds: 0, .. })));
        let first = cpu::allowed_cores()[0];
        for (a, b) in [(first, 5_000), (5_000, first)] {
            assert!(matches!(
                cache_line_ns(a, b, 10),
                Err(ProbeError::Core(Refused::Core { core: 5_000, .. }))
            ));
        }
    }

    #[test]
    fn gaps_fall_into_their_classes() {
        let mut r = HiccupReport::default();
        for ns in [1_001, 9_999, 10_000, 49_999, 99_999, 100_000, 999_999, 1_000_000] {
            r.add(ns);
        }
        assert_eq!((r.classes, r.over_1us, r.max_ns), ([2, 1, 1, 1, 2, 1], 8, 1_000_000));
        assert_eq!(r.lost_ns, 1_001 + 9_999 + 10_000 + 49_999 + 99_999 + 100_000 + 999_999 + 1_000_000);
    }

    #[test]
    fn a_core_kept_from_running_shows() {
        // Two spinners on one core: each must lose about half, in gaps of a scheduler slice.
        let core = cpu::allowed_cores()[0];
        let stop = AtomicBool::new(false);
        let report = std::thread::scope(|s| {
            s.spawn(|| {
                let _ = cpu::pin(core);
                while !stop.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
            });
            let meter = s.spawn(|| {
                let _ = cpu::pin(core);
                hiccup(Duration::from_millis(300))
            });
            let report = meter.join();
            stop.store(true, Ordering::Release);
            report.expect("no panic")
        });
        println!("{report}");
        assert!(report.elapsed_ns >= 300_000_000);
        assert!(report.lost_ppm > 100_000 && report.max_ns > 100_000, "{report}");
        assert_eq!(report.classes.iter().sum::<u64>(), report.over_1us);
    }
}
