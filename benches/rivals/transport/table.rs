//! The page for the terminal: rows lined up, spreads beside medians, bars below, what is missing last.

use std::fmt::Write as _;

use crate::bars::{Bar, Verdict};
use crate::candidates::Way;
use crate::machine::{Dropped, Regime};
use crate::rounds::{Figure, Measured, Plan};
use crate::summary::Spread;

/// The head: machine and plan.
pub(crate) fn head(machine: &[(&'static str, String)], plan: &Plan) -> String {
    let mut page = String::from("corelane rivals · transport of 64-byte records between two cores\n");
    let values: Vec<String> = machine
        .iter()
        .map(|(key, value)| if value.starts_with(key) { value.clone() } else { format!("{key} {value}") })
        .collect();
    let _ = writeln!(page, "{}", values.join(", "));
    let wait = if plan.hint { "spin_loop" } else { "nothing" };
    let _ = writeln!(
        page,
        "cores {} and {}, seed {}, {wait} between two looks in vain",
        plan.cores.0, plan.cores.1, plan.seed
    );
    page
}

/// The table of one regime.
pub(crate) fn regime(measured: &Measured, regime: Regime) -> String {
    let (probe, probe_p99) = measured.probe(regime);
    let mut rows = vec![
        ["", "", "one way, ns", "", "of probe", "single, M/s", "in runs, M/s"].map(str::to_owned),
        ["candidate", "between", "p50", "p99", "p50", "", ""].map(str::to_owned),
        [
            "probe (8 bytes, no wait)".to_owned(),
            Way::Threads.word().to_owned(),
            spread(probe, 0),
            spread(probe_p99, 0),
            String::new(),
            String::new(),
            String::new(),
        ],
    ];
    for row in measured.rows(regime) {
        rows.push([
            row.name.to_owned(),
            row.way.word().to_owned(),
            spread(row.p50_ns, 0),
            spread(row.p99_ns, 0),
            spread(row.of_probe, 2),
            spread(row.single, 1),
            spread(row.batched, 1),
        ]);
    }
    let here = measured.counted().filter(|r| r.regime() == Some(regime)).count();
    format!("cores {}: {here} repetitions; median [lowest-highest]\n{}", regime.word(), lined_up(&rows, 2))
}

/// The bars.
pub(crate) fn bars(bars: &[Bar]) -> String {
    let mut rows = vec![["bar", "found", "pairs", "wanted", ""].map(str::to_owned)];
    for bar in bars {
        rows.push([
            bar.what.clone(),
            spread(bar.found, 2),
            bar.found.map_or(0, |found| found.count).to_string(),
            bar.wanted.to_string(),
            bar.verdict().word().to_owned(),
        ]);
    }
    let count = |verdict| bars.iter().filter(|b| b.verdict() == verdict).count();
    format!(
        "{}{} bars: {} hold, {} fail, {} cannot be told\n",
        lined_up(&rows, 1),
        bars.len(),
        count(Verdict::Holds),
        count(Verdict::Fails),
        count(Verdict::Unknown)
    )
}

/// What was dropped, what failed, and what was never there.
pub(crate) fn missing(measured: &Measured, absent: &[(&str, &str)]) -> String {
    let dropped = |why| measured.repetitions.iter().filter(|r| r.verdict == Err(why)).count();
    let whys = [Dropped::Load, Dropped::Waited, Dropped::Moved, Dropped::Short];
    let whys: Vec<String> = whys.into_iter().map(|why| format!("{} {why}", dropped(why))).collect();
    let mut page = format!(
        "{} repetitions in {} rounds, {} count; dropped: {}\n",
        measured.repetitions.len(),
        measured.rounds,
        measured.counted().count(),
        whys.join(", ")
    );
    for broken in &measured.broken {
        let name = measured.cells[broken.cell].name();
        let _ = writeln!(page, "went wrong: round {}: {name}: {}", broken.round, broken.why);
    }
    for (name, why) in absent {
        let _ = writeln!(page, "not measured: {name}: {why}");
    }
    for (name, why) in &measured.failed {
        let _ = writeln!(page, "not measured: {name}: {why}");
    }
    page
}

/// One line a repetition, for `--verbose`.
pub(crate) fn repetitions(measured: &Measured) -> String {
    let mut rows =
        vec![["round", "candidate", "between", "task", "found", "probe", "waited", ""].map(str::to_owned)];
    for r in &measured.repetitions {
        let cell = &measured.cells[r.cell];
        let unit = match r.figure {
            Figure::Hop { .. } => "ns",
            Figure::Rate { .. } => "M/s",
        };
        rows.push([
            r.round.to_string(),
            cell.candidate.name.to_owned(),
            cell.candidate.way.word().to_owned(),
            cell.task.word().to_owned(),
            format!("{:.1} {unit}", r.figure.main()),
            r.probe_ns().map_or_else(|| "-".to_owned(), |ns| format!("{ns:.0}")),
            format!("{:.2} %", r.waited * 100.0),
            r.verdict.map_or_else(|why| why.to_string(), |line| Regime::of(line.p50_ns).word().to_owned()),
        ]);
    }
    lined_up(&rows, 4)
}

/// A spread as `median [lowest-highest]`.
fn spread(of: Option<Spread>, digits: usize) -> String {
    of.map_or_else(
        || "-".to_owned(),
        |s| format!("{:.digits$} [{:.digits$}-{:.digits$}]", s.median, s.low, s.high),
    )
}

/// Columns as wide as their widest cell: the first `words` to the left, figures to the right.
fn lined_up<const N: usize>(rows: &[[String; N]], words: usize) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut page = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = if column < words {
                write!(line, "{cell:<width$}  ")
            } else {
                write!(line, "{cell:>width$}  ")
            };
        }
        let _ = writeln!(page, "{}", line.trim_end());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a", "1"], ["longer", "12"]].map(|row| row.map(str::to_owned));
        assert_eq!(lined_up(&rows, 1), "a        1\nlonger  12\n");
    }

    #[test]
    fn a_spread_is_read_at_once() {
        let of = Spread { median: 81.25, low: 80.0, high: 92.5, count: 7 };
        assert_eq!(spread(Some(of), 1), "81.2 [80.0-92.5]");
        assert_eq!(spread(None, 1), "-");
    }

    #[test]
    fn every_candidate_has_its_line() {
        let measured = crate::invented::measured();
        let page = regime(&measured, Regime::Far);
        for cell in &measured.cells {
            let (name, way) = (cell.candidate.name, cell.candidate.way.word());
            assert!(page.lines().any(|l| l.starts_with(name) && l.contains(way)), "{name} {way}\n{page}");
        }
        let widths: Vec<usize> = page.lines().skip(2).map(|l| l.chars().count()).collect();
        assert!(widths.iter().max().unwrap() < &140, "{page}");
        let page = missing(&measured, &[("gone", "why")]);
        assert!(page.contains("went wrong: round 2: ") && page.contains(": a wrong word"), "{page}");
        assert!(page.contains("not measured: gone: why") && page.contains("not measured: a rival"), "{page}");
    }
}
