//! The bars our rings are held to, judged by pairs: both sides of a ratio come from the same round.

use std::fmt;

use crate::candidates::Way;
use crate::contract::Task;
use crate::machine::Regime;
use crate::rounds::{Measured, Repetition};
use crate::summary::Spread;

/// Fewest pairs to judge by.
const PAIRS_MIN: usize = 3;

/// Nanoseconds over the probe a hop may take, with both cores near.
const OVER_PROBE_NS: f64 = 25.0;

/// Times the probe a hop may take, with the cores far apart.
const OVER_PROBE_FAR: f64 = 1.25;

/// On which side of its number a bar lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// No more than.
    AtMost(f64),
    /// No less than.
    AtLeast(f64),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::AtMost(bar) => write!(f, "at most {bar:.2}"),
            Wanted::AtLeast(bar) => write!(f, "at least {bar:.2}"),
        }
    }
}

/// What became of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// Too few pairs, or one of the two was not measured.
    Unknown,
}

impl Verdict {
    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Fails => "FAILS",
            Verdict::Unknown => "cannot tell",
        }
    }
}

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bar {
    /// What is compared with what.
    pub(crate) what: String,
    /// Median and extremes over the pairs.
    pub(crate) found: Option<Spread>,
    /// What it should be.
    pub(crate) wanted: Wanted,
}

impl Bar {
    /// Judged by the median.
    pub(crate) fn verdict(&self) -> Verdict {
        let Some(found) = self.found.filter(|f| f.count >= PAIRS_MIN) else { return Verdict::Unknown };
        let holds = match self.wanted {
            Wanted::AtMost(bar) => found.median <= bar,
            Wanted::AtLeast(bar) => found.median >= bar,
        };
        if holds { Verdict::Holds } else { Verdict::Fails }
    }
}

/// Who, where, doing what.
type Side = (&'static str, Way, Task);

const SLOT: &str = "rings slot";
const BULK: &str = "rings bulk";
const RTRB: &str = "rtrb";
const AERON: &str = "Aeron IPC";

/// All bars, in one regime.
pub(crate) fn all(measured: &Measured, regime: Regime) -> Vec<Bar> {
    use Task::{Batched, PingPong, Single};
    use Way::{Processes, Threads};
    let ratio = |what: &str, ours: Side, theirs: Side, wanted| Bar {
        what: what.to_owned(),
        found: pairs(measured, regime, ours, theirs, |a, b| a / b),
        wanted,
    };
    let over_probe = |way: Way| {
        let hops = measured.of(SLOT, way, PingPong, regime);
        let (text, found, bar) = match regime {
            Regime::Far => ("of the probe", Spread::of(hops.filter_map(of_probe)), OVER_PROBE_FAR),
            Regime::Near => ("over the probe, ns", Spread::of(hops.filter_map(over_probe_ns)), OVER_PROBE_NS),
        };
        Bar { what: format!("hop, {}: {text}", way.word()), found, wanted: Wanted::AtMost(bar) }
    };
    vec![
        over_probe(Threads),
        over_probe(Processes),
        ratio(
            "hop, threads: of rtrb's",
            (SLOT, Threads, PingPong),
            (RTRB, Threads, PingPong),
            Wanted::AtMost(0.75),
        ),
        ratio(
            "hop, processes: of Aeron's",
            (SLOT, Processes, PingPong),
            (AERON, Processes, PingPong),
            Wanted::AtMost(1.0),
        ),
        Bar {
            what: "hop: processes less threads, ns".to_owned(),
            found: pairs(measured, regime, (SLOT, Processes, PingPong), (SLOT, Threads, PingPong), |a, b| {
                a - b
            }),
            wanted: Wanted::AtMost(10.0),
        },
        ratio(
            "single, slot ring: of rtrb's",
            (SLOT, Threads, Single),
            (RTRB, Threads, Single),
            Wanted::AtLeast(1.4),
        ),
        ratio(
            "in runs, slot ring: of rtrb's",
            (SLOT, Threads, Batched),
            (RTRB, Threads, Batched),
            Wanted::AtLeast(1.0),
        ),
        ratio(
            "in runs, bulk ring: of rtrb's",
            (BULK, Threads, Batched),
            (RTRB, Threads, Batched),
            Wanted::AtLeast(1.5),
        ),
    ]
}

fn of_probe(r: &Repetition) -> Option<f64> {
    Some(r.figure.main() / r.probe_ns()?)
}

fn over_probe_ns(r: &Repetition) -> Option<f64> {
    Some(r.figure.main() - r.probe_ns()?)
}

/// `compare` over the rounds in which both sides count.
fn pairs(
    measured: &Measured,
    regime: Regime,
    (name_a, way_a, task_a): Side,
    (name_b, way_b, task_b): Side,
    compare: impl Fn(f64, f64) -> f64,
) -> Option<Spread> {
    let theirs: Vec<&Repetition> = measured.of(name_b, way_b, task_b, regime).collect();
    Spread::of(measured.of(name_a, way_a, task_a, regime).filter_map(|a| {
        let b = theirs.iter().find(|b| b.round == a.round)?;
        Some(compare(a.figure.main(), b.figure.main()))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(median: f64, count: usize, wanted: Wanted) -> Bar {
        Bar { what: String::new(), found: Some(Spread { median, low: median, high: median, count }), wanted }
    }

    #[test]
    fn a_bar_is_judged_by_its_median_and_only_by_enough_pairs() {
        assert_eq!(bar(0.75, 3, Wanted::AtMost(0.75)).verdict(), Verdict::Holds);
        assert_eq!(bar(0.76, 3, Wanted::AtMost(0.75)).verdict(), Verdict::Fails);
        assert_eq!(bar(1.39, 9, Wanted::AtLeast(1.4)).verdict(), Verdict::Fails);
        assert_eq!(bar(1.4, 9, Wanted::AtLeast(1.4)).verdict(), Verdict::Holds);
        assert_eq!(bar(9.0, 2, Wanted::AtLeast(1.4)).verdict(), Verdict::Unknown);
        let none = Bar { what: String::new(), found: None, wanted: Wanted::AtMost(1.0) };
        assert_eq!(none.verdict(), Verdict::Unknown);
    }

    #[test]
    fn pairs_are_taken_within_rounds() {
        let mut measured = crate::invented::measured();
        let ratio = |measured: &Measured| {
            let bars = all(measured, Regime::Far);
            bars.iter().find(|bar| bar.what.contains("of rtrb's")).and_then(|bar| bar.found).unwrap()
        };
        let found = ratio(&measured);
        assert_eq!(found.count, 5);
        // What a round does to both sides cancels out.
        assert!(found.high - found.low < 1e-9, "{found:?}");
        let slot = measured.cells.iter().position(|c| c.candidate.name == SLOT && c.task == Task::PingPong);
        measured.repetitions.retain(|r| r.round > 0 || Some(r.cell) != slot);
        assert_eq!(ratio(&measured).count, 4);
    }

    #[test]
    fn without_aeron_its_bar_cannot_be_told() {
        let mut measured = crate::invented::measured();
        let aeron: Vec<bool> = measured.cells.iter().map(|c| c.candidate.name == AERON).collect();
        measured.repetitions.retain(|r| !aeron[r.cell]);
        let bars = all(&measured, Regime::Far);
        let unknown: Vec<&Bar> = bars.iter().filter(|bar| bar.verdict() == Verdict::Unknown).collect();
        assert_eq!((unknown.len(), unknown[0].what.contains("Aeron")), (1, true));
    }
}
