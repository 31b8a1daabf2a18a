//! Figures nobody measured, for tests of what is made of figures.

use crate::candidates;
use crate::contract::Task;
use crate::machine::{Line, Look};
use crate::rounds::{Broken, Cell, Figure, Measured, Repetition};

/// Every candidate that was built, five rounds with the cores far apart and one with them near. A candidate is slower
/// the later it stands in the list; a round changes everything by a hundredth.
pub(crate) fn measured() -> Measured {
    let mut cells = Vec::new();
    let mut repetitions = Vec::new();
    for (place, candidate) in candidates::all().into_iter().enumerate() {
        for &task in candidate.tasks {
            let cell = cells.len();
            cells.push(Cell { candidate, task });
            for round in 0..6 {
                let p50_ns = if round == 5 { 60.0 } else { 150.0 + round as f64 };
                let scale = (1.0 + place as f64 / 10.0) * (1.0 + round as f64 / 100.0);
                let figure = match task {
                    Task::PingPong => {
                        let p50_ns = 160.0 * scale;
                        Figure::Hop { p50_ns, p90_ns: 1.1 * p50_ns, p99_ns: 1.5 * p50_ns }
                    }
                    Task::Single => Figure::Rate { per_us: 80.0 / scale },
                    Task::Batched => Figure::Rate { per_us: 130.0 / scale },
                };
                let line = Line { p50_ns, p99_ns: 2.0 * p50_ns };
                let look = Look { lost_ppm: 9_000, gap_ns: 50_000, line: Some(line) };
                let (before, after, verdict) = (look, look, Ok(line));
                let count = 100_000;
                let repetition =
                    Repetition { round, cell, count, figure, before, after, waited: 0.0, verdict };
                repetitions.push(repetition);
            }
        }
    }
    let broken = vec![Broken { round: 2, cell: 0, why: "a wrong word".into() }];
    let failed = vec![("a rival".into(), "it <would> not".into())];
    Measured { cells, repetitions, broken, rounds: 6, failed }
}
