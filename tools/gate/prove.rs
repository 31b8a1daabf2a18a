//! The gate's own proof: regressions planted on the hot path are caught each time, equal code never alarms.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::builds::{Builds, Built, TREE};
use crate::plant::{self, Plant};
use crate::revision::{Repository, Revision, WORK};
use crate::session::{self, Plan};
use crate::{Failure, compare};

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    /// Name on the command line.
    pub(crate) name: &'static str,
    what: &'static str,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The very same executables.
    Same,
    /// The same revision, built at another path.
    Apart,
    /// Something is planted; the row that must read slower, or none.
    Planted(Plant, Option<&'static str>),
}

/// All cases.
pub(crate) const CASES: [Case; 6] = [
    Case { name: "same", what: "identical code, one build", kind: Kind::Same },
    Case { name: "apart", what: "identical code, built apart", kind: Kind::Apart },
    Case { name: "unrelated", what: "another word on a page", kind: Kind::Planted(plant::UNRELATED, None) },
    Case {
        name: "allocation",
        what: "an allocation an order",
        kind: Kind::Planted(plant::ALLOCATION, Some("tick_to_order/event allocations")),
    },
    Case {
        name: "call",
        what: "a system call an order",
        kind: Kind::Planted(plant::CALL, Some("tick_to_order/event system calls")),
    },
    Case {
        name: "instructions",
        what: "+20 % instructions",
        kind: Kind::Planted(plant::INSTRUCTIONS, Some(EVENT)),
    },
];

/// Row by which the planted instructions are sized, and caught.
const EVENT: &str = "tick_to_order/event instructions";
/// Part of the event's instructions that is planted: a fifth, and at most a quarter of that more.
const PLANTED: std::ops::RangeInclusive<f64> = 0.20..=0.25;
/// Instructions of a turn of the planted loop, as a first guess.
const TURN: f64 = 4.0;

/// What became of a case.
#[derive(Debug)]
struct Outcome {
    case: &'static Case,
    trials: usize,
    /// Trials that went as they must.
    right: usize,
    /// How often each row read slower.
    slower: BTreeMap<String, usize>,
    longest_s: f64,
}

/// All outcomes.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    outcomes: Vec<Outcome>,
}

impl Proof {
    /// Runs the cases named, all when none is: `trials` comparisons of each planted regression, twice as many of each
    /// case without one. Seeds count up from the plan's.
    ///
    /// # Errors
    /// [`Failure`]: what kept a comparison from being made.
    pub(crate) fn run(
        &mut self,
        repository: &Repository,
        builds: &Builds,
        trials: usize,
        names: &[String],
        plan: &Plan,
    ) -> Result<(), Failure> {
        let base = repository.resolve(WORK, builds.dir())?;
        let base_built = builds.build(&base, TREE, &plan.benches)?;
        for case in CASES.iter().filter(|c| names.is_empty() || names.iter().any(|n| n == c.name)) {
            let (head, head_built, wanted) = match &case.kind {
                Kind::Same => (base.clone(), base_built.clone(), None),
                Kind::Apart => (base.clone(), builds.build(&base, "apart", &plan.benches)?, None),
                Kind::Planted(what, wanted) => {
                    let (head, built) =
                        planted(repository, builds, (&base, &base_built), what, *wanted, &plan.benches)?;
                    (head, built, *wanted)
                }
            };
            let trials = if wanted.is_none() { 2 * trials } else { trials };
            let mut outcome = Outcome { case, trials, right: 0, slower: BTreeMap::new(), longest_s: 0.0 };
            for trial in 0..trials {
                let plan = Plan { seed: plan.seed.wrapping_add(trial as u64), ..plan.clone() };
                let began = std::time::Instant::now();
                let built = [&base_built, &head_built];
                let (slower, text, _) = compare([&base, &head], built, &plan, &[], builds.dir())?;
                let right = wanted.map_or(slower.is_empty(), |row| slower.iter().any(|s| s == row));
                outcome.right += usize::from(right);
                outcome.longest_s = outcome.longest_s.max(began.elapsed().as_secs_f64());
                println!("{} {}: {} {slower:?}", case.name, trial + 1, if right { "right" } else { "WRONG" });
                if !right || trial == 0 {
                    println!("{text}");
                }
                for row in slower {
                    *outcome.slower.entry(row).or_default() += 1;
                }
            }
            self.outcomes.push(outcome);
        }
        Ok(())
    }

    /// Whether every trial went as it must.
    pub(crate) fn holds(&self) -> bool {
        self.outcomes.iter().all(|o| o.right == o.trials)
    }

    /// The table.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{:<28}  {:>8}  {:>9}  rows that read slower, and how often",
            "case", "as must", "longest"
        );
        for o in &self.outcomes {
            let mut rows: Vec<String> = o.slower.iter().map(|(row, n)| format!("{row} x{n}")).collect();
            if rows.is_empty() {
                rows.push("none".to_owned());
            }
            let as_must = format!("{} of {}", o.right, o.trials);
            let _ = writeln!(
                out,
                "{:<28}  {as_must:>8}  {:>7.0} s  {}",
                o.case.what,
                o.longest_s,
                rows.join(", ")
            );
        }
        out
    }

    /// The same as JSON.
    pub(crate) fn json(&self) -> Value {
        let case = |o: &Outcome| json!({"case": o.case.name, "trials": o.trials, "right": o.right, "slower": o.slower, "longest_s": o.longest_s});
        json!({"holds": self.holds(), "cases": self.outcomes.iter().map(case).collect::<Vec<_>>()})
    }
}

/// Plants and builds. Instructions are sized by what callgrind counts: planted, counted, corrected.
fn planted(
    repository: &Repository,
    builds: &Builds,
    (base, base_built): (&Revision, &Built),
    plant: &Plant,
    wanted: Option<&str>,
    benches: &[&'static str],
) -> Result<(Revision, Built), Failure> {
    let mut turns = 1.0;
    let only_counts = Plan { benches: vec!["tick_to_order"], rounds: 0, budget_s: 1, seed: 0 };
    let event = |built: [&Built; 2]| -> Result<[f64; 2], Failure> {
        let found = session::run(built, &only_counts, builds.dir())?;
        let key = ("tick_to_order".to_owned(), "event".to_owned());
        let of =
            |side: usize| found.measured.counted[side].get(&key).and_then(|c| c.instructions).unwrap_or(0.0);
        Ok([of(0), of(1)])
    };
    if wanted == Some(EVENT) {
        turns = event([base_built, base_built])?[0] * PLANTED.start() / TURN;
    }
    for _ in 0..4 {
        let head = plant::plant(repository, base, plant, turns.max(1.0).round() as u64, builds.dir())?;
        let built = builds.build(&head, TREE, benches)?;
        if wanted != Some(EVENT) {
            return Ok((head, built));
        }
        let [before, after] = event([base_built, &built])?;
        let more = after / before - 1.0;
        println!(
            "{turns:.0} turns planted: {before:.0} -> {after:.0} instructions an event ({:+.1} %)",
            more * 100.0
        );
        if PLANTED.contains(&more) {
            return Ok((head, built));
        }
        let middle = (PLANTED.start() + PLANTED.end()) / 2.0;
        turns *= if more > 0.001 { middle / more } else { 10.0 };
    }
    Err(plant::PlantError::Size.into())
}
