//! Rounds: every candidate does every task once a round, in an order drawn anew from the seed, between two looks.
//!
//! Interleaving makes what changes slowly (heat, the host's mood) fall on all alike; the shuffle keeps any from always
//! following the same one.

use std::time::{Duration, Instant};

use crate::candidates::Candidate;
use crate::contract::{Failure, Task};
use crate::machine::{Dropped, Line, Look, Regime, judge};
use crate::sides::{Done, Job};
use crate::work::Load;

/// Round trips of a ping-pong: twice as many hops.
const TRIPS: u64 = 100_000;

/// Round trips before them.
const TRIPS_WARM_UP: u64 = 10_000;

/// Records of the stream that tells how many make [`STREAM_NS`].
const TRIAL: u64 = 100_000;

/// Longest wait for a quiet machine before that.
const TRIAL_PATIENCE: Duration = Duration::from_secs(1);

/// What a stream should take, ns.
const STREAM_NS: f64 = 60e6;

/// Records of a stream: at least, and at most.
const STREAM: (f64, f64) = (100_000.0, 20_000_000.0);

/// What is to be measured, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Repetitions that must count, of every cell.
    pub(crate) wanted: usize,
    /// Rounds end when this is over, in whole rounds.
    pub(crate) limit: Duration,
    /// Seed of the order.
    pub(crate) seed: u64,
    /// Whether a look in vain is followed by `spin_loop`.
    pub(crate) hint: bool,
    /// The two cores.
    pub(crate) cores: (usize, usize),
    /// A short run that only shows that everything runs.
    pub(crate) smoke: bool,
}

/// One candidate doing one task.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    /// Who.
    pub(crate) candidate: Candidate,
    /// What.
    pub(crate) task: Task,
}

impl Cell {
    /// For people.
    pub(crate) fn name(&self) -> String {
        format!("{} ({}, {})", self.candidate.name, self.candidate.way.word(), self.task.word())
    }
}

/// What one repetition found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Figure {
    /// One way, ns.
    Hop {
        /// Median.
        p50_ns: f64,
        /// 90th percentile.
        p90_ns: f64,
        /// 99th percentile.
        p99_ns: f64,
    },
    /// Millions of records a second.
    Rate {
        /// That many.
        per_us: f64,
    },
}

impl Figure {
    fn of(task: Task, count: u64, mut done: Done) -> Figure {
        if task != Task::PingPong {
            return Figure::Rate { per_us: count as f64 * 1e3 / done.stream_ns.max(1) as f64 };
        }
        done.trips_ns.sort_unstable();
        let one_way = |q: f64| {
            let at = (done.trips_ns.len() as f64 * q) as usize;
            done.trips_ns.get(at).map_or(0.0, |&trip| f64::from(trip) / 2.0)
        };
        Figure::Hop { p50_ns: one_way(0.5), p90_ns: one_way(0.9), p99_ns: one_way(0.99) }
    }

    /// The one number that is compared: the median hop, ns, or the rate, millions a second.
    pub(crate) fn main(self) -> f64 {
        match self {
            Figure::Hop { p50_ns, .. } => p50_ns,
            Figure::Rate { per_us } => per_us,
        }
    }
}

/// One repetition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repetition {
    /// Round it was part of.
    pub(crate) round: usize,
    /// Which cell.
    pub(crate) cell: usize,
    /// Round trips, or records, that counted in it.
    pub(crate) count: u64,
    /// What it found.
    pub(crate) figure: Figure,
    /// The machine before it.
    pub(crate) before: Look,
    /// The machine after it.
    pub(crate) after: Look,
    /// The larger share of its time that a side waited for its core, less what the candidate's own process ran.
    pub(crate) waited: f64,
    /// The bare line beside it, when it counts.
    pub(crate) verdict: Result<Line, Dropped>,
}

impl Repetition {
    /// The bare line beside it, ns; none when it does not count.
    pub(crate) fn probe_ns(&self) -> Option<f64> {
        self.verdict.ok().map(|line| line.p50_ns)
    }

    /// The regime it belongs to, when it counts.
    pub(crate) fn regime(&self) -> Option<Regime> {
        self.probe_ns().map(Regime::of)
    }

    /// The regime it ran in whether it counts or not; `None` when the looks did not see the cores in one place.
    pub(crate) fn regime_seen(&self) -> Option<Regime> {
        let of = |look: Look| look.line.map(|line| Regime::of(line.p50_ns));
        self.regime().or_else(|| of(self.before).filter(|&regime| of(self.after) == Some(regime)))
    }
}

/// A repetition that found nothing: a side died, stood still or brought a wrong word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Round it was part of.
    pub(crate) round: usize,
    /// Which cell.
    pub(crate) cell: usize,
    /// What went wrong.
    pub(crate) why: String,
}

/// All that was measured.
pub(crate) struct Measured {
    /// What could be run.
    pub(crate) cells: Vec<Cell>,
    /// In the order they ran.
    pub(crate) repetitions: Vec<Repetition>,
    /// Those that went wrong.
    pub(crate) broken: Vec<Broken>,
    /// Rounds.
    pub(crate) rounds: usize,
    /// What could not be run, and why.
    pub(crate) failed: Vec<(String, String)>,
}

/// Runs the plan; `tell` hears a word on each round.
pub(crate) fn run(
    plan: &Plan,
    candidates: &[Candidate],
    mut tell: impl FnMut(&str),
) -> Result<Measured, Failure> {
    let begin = Instant::now();
    let due = begin + plan.limit;
    let mut measured = Measured {
        cells: Vec::new(),
        repetitions: Vec::new(),
        broken: Vec::new(),
        rounds: 0,
        failed: Vec::new(),
    };
    let mut loads = Vec::new();
    for &candidate in candidates {
        for &task in candidate.tasks {
            let cell = Cell { candidate, task };
            // What fails once is told once and left out, and hides nothing else.
            match load_for(plan, cell, due) {
                Ok(load) => {
                    measured.cells.push(cell);
                    loads.push(load);
                }
                Err(why) => measured.failed.push((cell.name(), why.to_string())),
            }
        }
    }
    let mut dice = Dice(plan.seed);
    let mut late = measured.cells.is_empty();
    while !late {
        let mut order: Vec<usize> = (0..measured.cells.len()).collect();
        dice.shuffle(&mut order);
        for cell in order {
            match repetition(plan, due, &measured, cell, loads[cell]) {
                Ok(Some(mut repetition)) => {
                    if let (Figure::Rate { per_us }, false) = (repetition.figure, plan.smoke) {
                        let fits = stream(per_us / 1e3, plan.hint);
                        if fits.count > 2 * loads[cell].count {
                            repetition.verdict = repetition.verdict.and(Err(Dropped::Short));
                        }
                        if fits.count > loads[cell].count {
                            loads[cell] = fits;
                        }
                    }
                    measured.repetitions.push(repetition);
                }
                Ok(None) => {
                    late = true;
                    break;
                }
                Err(why) => {
                    tell(&format!("round {}: {}: {why}", measured.rounds, measured.cells[cell].name()));
                    measured.broken.push(Broken { round: measured.rounds, cell, why: why.to_string() });
                }
            }
        }
        measured.rounds += 1;
        let kept = |cell: usize| measured.counted().filter(|r| r.cell == cell).count();
        let least = (0..measured.cells.len()).map(kept).min().unwrap_or(0);
        tell(&format!(
            "round {}: {} of {} repetitions count, at least {least} of each; {:.0} s",
            measured.rounds,
            measured.counted().count(),
            measured.repetitions.len(),
            begin.elapsed().as_secs_f64()
        ));
        late |= least >= plan.wanted || plan.smoke || Instant::now() >= due;
    }
    Ok(measured)
}

/// The next repetition of a cell, between two looks; `None` when the machine was not quiet before `due`.
fn repetition(
    plan: &Plan,
    due: Instant,
    measured: &Measured,
    cell: usize,
    load: Load,
) -> Result<Option<Repetition>, Failure> {
    let Cell { candidate, task } = measured.cells[cell];
    let (core_a, core_b) = plan.cores;
    let before = match Look::quiet(core_a, core_b, if plan.smoke { Instant::now() } else { due })? {
        Some(look) => look,
        None if plan.smoke => Look::take(core_a, core_b)?,
        None => return Ok(None),
    };
    let done = (candidate.run)(Job { task, load, core_a, core_b })?;
    let after = Look::take(core_a, core_b)?;
    let waited = (done.waited - done.beside).max(0.0);
    let verdict = judge(&before, &after, waited);
    let figure = Figure::of(task, load.count, done);
    let count = load.count;
    Ok(Some(Repetition { round: measured.rounds, cell, count, figure, before, after, waited, verdict }))
}

/// How much a cell is to do: by count for ping-pong, by time for a stream, tried out here.
fn load_for(plan: &Plan, cell: Cell, due: Instant) -> Result<Load, Failure> {
    let Cell { candidate, task } = cell;
    let (core_a, core_b) = plan.cores;
    let try_out = |load: Load| (candidate.run)(Job { task, load, core_a, core_b });
    let short = Load { warm_up: 100, count: 2_000, hint: plan.hint };
    if plan.smoke {
        return try_out(short).map(|_| short);
    }
    if task == Task::PingPong {
        try_out(short)?;
        return Ok(Load { warm_up: TRIPS_WARM_UP, count: TRIPS, hint: plan.hint });
    }
    // Tried out on a busy machine it begins too short, and grows with what is found.
    Look::quiet(core_a, core_b, due.min(Instant::now() + TRIAL_PATIENCE))?;
    let done = try_out(Load { warm_up: TRIAL / 10, count: TRIAL, hint: plan.hint })?;
    Ok(stream(TRIAL as f64 / done.stream_ns.max(1) as f64, plan.hint))
}

/// A stream of about [`STREAM_NS`] at so many records a ns.
fn stream(per_ns: f64, hint: bool) -> Load {
    let count = (per_ns * STREAM_NS).clamp(STREAM.0, STREAM.1) as u64;
    Load { warm_up: count / 10, count, hint }
}

/// SplitMix64: the order of a run can be had again from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Fisher and Yates.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, (self.roll() % (i as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_order_again_and_loses_nothing() {
        let order = |seed: u64| {
            let mut items: Vec<u32> = (0..30).collect();
            Dice(seed).shuffle(&mut items);
            items
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let mut sorted = order(3);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..30).collect::<Vec<u32>>());
    }

    #[test]
    fn a_stream_takes_about_as_long_as_it_should() {
        // 100 million records a second: six million in 60 ms, and a tenth of that before.
        assert_eq!(stream(0.1, true), Load { warm_up: 600_000, count: 6_000_000, hint: true });
        assert_eq!((stream(1e-9, true).count, stream(10.0, false).count), (100_000, 20_000_000));
    }

    #[test]
    fn a_hop_is_half_a_round_trip_and_a_rate_is_per_time() {
        let done = |trips_ns: Vec<u32>, stream_ns| Done { trips_ns, stream_ns, waited: 0.0, beside: 0.0 };
        let trips: Vec<u32> = (0..1000).rev().map(|n| 2 * n).collect();
        let hop = Figure::of(Task::PingPong, 1000, done(trips, 0));
        assert_eq!(hop, Figure::Hop { p50_ns: 500.0, p90_ns: 900.0, p99_ns: 990.0 });
        let rate = Figure::of(Task::Single, 3_000_000, done(Vec::new(), 60_000_000));
        assert_eq!((rate, rate.main()), (Figure::Rate { per_us: 50.0 }, 50.0));
    }
}
