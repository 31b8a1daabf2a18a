//! Repetitions made into rows: median and extremes of each cell, within one regime.

use crate::candidates::Way;
use crate::contract::Task;
use crate::machine::Regime;
use crate::rounds::{Cell, Figure, Measured, Repetition};

/// Median and extremes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The middle one; of an even number the mean of the middle two.
    pub(crate) median: f64,
    /// The lowest.
    pub(crate) low: f64,
    /// The highest.
    pub(crate) high: f64,
    /// Of how many.
    pub(crate) count: usize,
}

impl Spread {
    /// Of these values; `None` of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (&low, &high) = (values.first()?, values.last()?);
        let half = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 };
        Some(Spread { median, low, high, count: values.len() })
    }
}

/// One candidate in one regime.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: &'static str,
    /// Where its sides live.
    pub(crate) way: Way,
    /// One way, median, ns.
    pub(crate) p50_ns: Option<Spread>,
    /// One way, 99th percentile, ns.
    pub(crate) p99_ns: Option<Spread>,
    /// Its median as a multiple of the probe's, each repetition by its own probe.
    pub(crate) of_probe: Option<Spread>,
    /// One record at a time, millions a second.
    pub(crate) single: Option<Spread>,
    /// In runs, millions a second.
    pub(crate) batched: Option<Spread>,
}

impl Measured {
    /// The regimes with repetitions that count, that with the most of them first.
    pub(crate) fn regimes(&self) -> Vec<Regime> {
        let count = |regime| self.counted().filter(|r| r.regime() == Some(regime)).count();
        let mut regimes: Vec<(usize, Regime)> =
            [Regime::Near, Regime::Far].map(|regime| (count(regime), regime)).to_vec();
        regimes.retain(|(count, _)| *count > 0);
        regimes.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        regimes.into_iter().map(|(_, regime)| regime).collect()
    }

    /// Repetitions that count.
    pub(crate) fn counted(&self) -> impl Iterator<Item = &Repetition> {
        self.repetitions.iter().filter(|r| r.verdict.is_ok())
    }

    /// Those of one cell in one regime.
    pub(crate) fn of<'a>(
        &'a self,
        name: &'a str,
        way: Way,
        task: Task,
        regime: Regime,
    ) -> impl Iterator<Item = &'a Repetition> {
        let is_cell = move |c: &Cell| c.candidate.name == name && c.candidate.way == way && c.task == task;
        self.counted().filter(move |r| r.regime() == Some(regime) && is_cell(&self.cells[r.cell]))
    }

    /// The probe itself: its median and its 99th percentile, ns.
    pub(crate) fn probe(&self, regime: Regime) -> (Option<Spread>, Option<Spread>) {
        let lines = || self.counted().filter_map(|r| r.verdict.ok());
        let here = || lines().filter(move |line| Regime::of(line.p50_ns) == regime);
        (Spread::of(here().map(|line| line.p50_ns)), Spread::of(here().map(|line| line.p99_ns)))
    }

    /// A row for every candidate that has a repetition in this regime, in the order they were given.
    pub(crate) fn rows(&self, regime: Regime) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for cell in &self.cells {
            let (name, way) = (cell.candidate.name, cell.candidate.way);
            if rows.iter().any(|r| r.name == name && r.way == way) {
                continue;
            }
            let of = |task| self.of(name, way, task, regime);
            let p99 = |r: &Repetition| match r.figure {
                Figure::Hop { p99_ns, .. } => Some(p99_ns),
                Figure::Rate { .. } => None,
            };
            let row = Row {
                name,
                way,
                p50_ns: Spread::of(of(Task::PingPong).map(|r| r.figure.main())),
                p99_ns: Spread::of(of(Task::PingPong).filter_map(p99)),
                of_probe: Spread::of(
                    of(Task::PingPong).filter_map(|r| Some(r.figure.main() / r.probe_ns()?)),
                ),
                single: Spread::of(of(Task::Single).map(|r| r.figure.main())),
                batched: Spread::of(of(Task::Batched).map(|r| r.figure.main())),
            };
            if row.p50_ns.is_some() || row.single.is_some() || row.batched.is_some() {
                rows.push(row);
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_medians_and_extremes() {
        assert_eq!(Spread::of([]), None);
        let spread = |values: &[f64]| Spread::of(values.iter().copied()).unwrap();
        assert_eq!(spread(&[3.0]), Spread { median: 3.0, low: 3.0, high: 3.0, count: 1 });
        assert_eq!(spread(&[9.0, 1.0, 2.0]), Spread { median: 2.0, low: 1.0, high: 9.0, count: 3 });
        assert_eq!(spread(&[4.0, 1.0, 2.0, 9.0]).median, 3.0);
    }

    #[test]
    fn rows_are_of_one_regime_and_complete() {
        let measured = crate::invented::measured();
        assert_eq!(measured.regimes(), [Regime::Far, Regime::Near]);
        let far = measured.rows(Regime::Far);
        assert_eq!(far.len(), crate::candidates::all().len());
        let slot = far.iter().find(|r| r.name == "rings slot" && r.way == Way::Threads).unwrap();
        assert_eq!(slot.p50_ns.map(|s| s.count), Some(5));
        let (_, probe_p99) = measured.probe(Regime::Far);
        assert_eq!(probe_p99.map(|s| (s.low, s.high)), Some((300.0, 308.0)));
        assert_eq!(measured.rows(Regime::Near)[0].p50_ns.map(|s| s.count), Some(1));
    }
}
