//! What the machine was like beside a repetition: the bare cache line's time, and what others took from the cores.
//!
//! A repetition stands between two looks. Each look spins both cores for some milliseconds and counts what is missing
//! (foreign load), and bounces a bare line between them (the probe). A repetition counts only between two quiet looks
//! whose probes agree; and it belongs to the regime its probes show.

use std::fmt;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use agent::probe::{self, HiccupReport, ProbeError};
use agent::{Clock, cpu};

use crate::contract::Failure;

/// A probe from this on is of cores far apart, ns.
pub(crate) const FAR_NS: f64 = 100.0;

/// Relative difference of two probes above which the host moved a core in between.
const MOVED: f64 = 0.25;

/// How long a look spins, per core.
const SPIN: Duration = Duration::from_millis(6);

/// Round trips of each of the probe's five repetitions.
const PROBE_ROUNDS: usize = 4_000;

/// Of a core's time, the share others may take in a look, parts per million; interrupts alone take up to 13,000.
const LOST_PPM_MAX: u64 = 40_000;

/// Longest single gap in a look, ns: a time slice of somebody else's is longer.
const GAP_NS_MAX: u64 = 700_000;

/// Of a repetition's time, the share either side may wait for its core.
const WAITED_MAX: f64 = 0.02;

/// How the cores lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Regime {
    /// They share a cache.
    Near,
    /// They do not.
    Far,
}

impl Regime {
    /// The regime a probe shows.
    pub(crate) fn of(probe_ns: f64) -> Regime {
        if probe_ns < FAR_NS { Regime::Near } else { Regime::Far }
    }

    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Regime::Near => "near",
            Regime::Far => "far",
        }
    }
}

/// Why a repetition does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// Others ran on the cores, before or after.
    Load,
    /// A side waited for its core meanwhile.
    Waited,
    /// The host moved a core meanwhile.
    Moved,
    /// A stream that took less than half as long as it should: it was tried out on a busy machine.
    Short,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dropped::Load => "foreign load",
            Dropped::Waited => "kept from a core",
            Dropped::Moved => "cores moved",
            Dropped::Short => "too short",
        })
    }
}

/// The bare line between the two cores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    /// One way, median, ns.
    pub(crate) p50_ns: f64,
    /// One way, 99th percentile, ns.
    pub(crate) p99_ns: f64,
}

/// One look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Look {
    /// Missing from the core where more was missing, parts per million.
    pub(crate) lost_ppm: u64,
    /// Longest gap on either core, ns.
    pub(crate) gap_ns: u64,
    /// The probe; `None` when the cores were too busy to take it.
    pub(crate) line: Option<Line>,
}

impl Look {
    /// Spins, and probes if that was quiet; about 20 ms.
    pub(crate) fn take(core_a: usize, core_b: usize) -> Result<Look, Failure> {
        let spin = |core: usize| {
            move || -> Result<HiccupReport, Failure> {
                cpu::pin(core)?;
                Ok(probe::hiccup(SPIN))
            }
        };
        let (a, b) = thread::scope(|scope| {
            let (a, b) = (scope.spawn(spin(core_a)), scope.spawn(spin(core_b)));
            (a.join(), b.join())
        });
        let a = a.map_err(|_| "a spinning thread panicked")??;
        let b = b.map_err(|_| "a spinning thread panicked")??;
        let mut look =
            Look { lost_ppm: a.lost_ppm.max(b.lost_ppm), gap_ns: a.max_ns.max(b.max_ns), line: None };
        if look.lost_ppm <= LOST_PPM_MAX && look.gap_ns <= GAP_NS_MAX {
            look.line = match probe::cache_line_ns(core_a, core_b, PROBE_ROUNDS) {
                Ok(line) => Some(Line { p50_ns: line.p50_ns, p99_ns: line.p99_ns }),
                Err(ProbeError::Busy { .. }) => None,
                Err(why) => return Err(why.into()),
            };
        }
        Ok(look)
    }

    /// Looks until the cores are quiet; `None` when they have not been by `due`.
    pub(crate) fn quiet(core_a: usize, core_b: usize, due: Instant) -> Result<Option<Look>, Failure> {
        loop {
            let look = Look::take(core_a, core_b)?;
            if look.line.is_some() {
                return Ok(Some(look));
            }
            if Instant::now() >= due {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(40));
        }
    }
}

/// The line beside a repetition between two looks, when the repetition counts: the mean of both medians, the worse of
/// both tails. `waited` is the share of its time that a side waited for somebody else to leave its core.
pub(crate) fn judge(before: &Look, after: &Look, waited: f64) -> Result<Line, Dropped> {
    let (Some(before), Some(after)) = (before.line, after.line) else { return Err(Dropped::Load) };
    if (before.p50_ns - after.p50_ns).abs() > MOVED * before.p50_ns.min(after.p50_ns) {
        return Err(Dropped::Moved);
    }
    if waited > WAITED_MAX {
        return Err(Dropped::Waited);
    }
    Ok(Line { p50_ns: (before.p50_ns + after.p50_ns) / 2.0, p99_ns: before.p99_ns.max(after.p99_ns) })
}

/// What every figure is worth nothing without: processor, kernel, governor, clock, commit.
pub(crate) fn describe() -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let cpuinfo = read("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let commit = std::process::Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"])
        .output();
    let commit = commit.ok().map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let unknown = || "unknown".to_owned();
    vec![
        ("cpu", cpu.map_or_else(unknown, |(_, name)| name.to_owned())),
        ("cores", cpu::allowed_cores().len().to_string()),
        ("kernel", read("/proc/sys/kernel/osrelease").unwrap_or_else(unknown)),
        ("governor", read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").unwrap_or_else(unknown)),
        ("clock", Clock::live().describe()),
        ("commit", commit.filter(|text| !text.is_empty()).unwrap_or_else(unknown)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Line = Line { p50_ns: 60.0, p99_ns: 80.0 };
    const QUIET: Look = Look { lost_ppm: 10_000, gap_ns: 60_000, line: Some(LINE) };

    #[test]
    fn only_quiet_and_steady_repetitions_count() {
        assert_eq!(judge(&QUIET, &QUIET, 0.0), Ok(LINE));
        let crowded = Look { lost_ppm: 500_000, line: None, ..QUIET };
        assert_eq!(judge(&crowded, &QUIET, 0.0), Err(Dropped::Load));
        assert_eq!(judge(&QUIET, &crowded, 0.0), Err(Dropped::Load));
        let later = |p50_ns| Look { line: Some(Line { p50_ns, p99_ns: 90.0 }), ..QUIET };
        assert_eq!(judge(&QUIET, &later(76.0), 0.0), Err(Dropped::Moved));
        assert_eq!(judge(&later(76.0), &QUIET, 0.0), Err(Dropped::Moved));
        assert_eq!(judge(&QUIET, &later(70.0), 0.0), Ok(Line { p50_ns: 65.0, p99_ns: 90.0 }));
        assert_eq!(judge(&QUIET, &QUIET, 0.05), Err(Dropped::Waited));
    }

    #[test]
    fn regimes_part_where_the_design_parts_them() {
        assert_eq!((Regime::of(60.0), Regime::of(230.0)), (Regime::Near, Regime::Far));
    }
}
