//! From paired figures to a verdict for each row.
//!
//! A difference below the *effect* of its measure is no difference: code moves about in memory with every build, and
//! that alone moves a median by some per cent. So a row is `slower` only when the whole interval of its change lies
//! above the effect, `faster` when it lies below, `same` when it lies within, and else the gate *cannot tell*. The
//! interval is so wide that all timed rows of a comparison together raise a false alarm less often than
//! `1 - CONFIDENCE` (each row of `n` takes its `n`-th part of that, after Bonferroni).
//!
//! Instructions, heap requests and system calls are counted, not sampled: their change is exact.

use std::collections::BTreeMap;

use crate::lines::Said;
use crate::paired::Shift;

/// That no row of a comparison without a difference reads `slower`.
pub(crate) const CONFIDENCE: f64 = 0.99;

/// What a figure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// Median time of a call, ns.
    P50,
    /// 99th percentile of the time of a call, ns.
    P99,
    /// Instructions an event.
    Instructions,
    /// Heap requests an event.
    Allocations,
    /// System calls an event.
    Calls,
}

impl Measure {
    /// Name in table and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Measure::P50 => "p50 ns",
            Measure::P99 => "p99 ns",
            Measure::Instructions => "instructions",
            Measure::Allocations => "allocations",
            Measure::Calls => "system calls",
        }
    }

    /// The smallest change that is one: as a part of base, and in its own unit; the larger of the two holds.
    /// Of what is timed, the second is what reading the clock and placing the code may do.
    pub(crate) fn effect(self) -> (f64, f64) {
        match self {
            Measure::P50 => (0.05, 2.0),
            Measure::P99 => (0.25, 10.0),
            Measure::Instructions => (0.03, 2.0),
            Measure::Allocations | Measure::Calls => (0.0, 0.0),
        }
    }

    fn smallest_change(self, base: f64) -> f64 {
        let (part, own) = self.effect();
        if base > 0.0 { part.max(own / base) } else { 0.0 }
    }
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Better by more than the effect.
    Faster,
    /// No difference as large as the effect.
    Same,
    /// Worse by more than the effect.
    Slower,
    /// Worse, and a commit says that this is the price of what it brings.
    Accepted,
    /// The data do not decide; `note` says why when it is not their spread.
    CannotTell,
}

impl Verdict {
    /// Name in table and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verdict::Faster => "faster",
            Verdict::Same => "same",
            Verdict::Slower => "SLOWER",
            Verdict::Accepted => "slower, accepted",
            Verdict::CannotTell => "cannot tell",
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Bench.
    pub(crate) bench: String,
    /// Its row.
    pub(crate) row: String,
    /// What is compared.
    pub(crate) measure: Measure,
    /// Figure of base; `None` = it has none.
    pub(crate) base: Option<f64>,
    /// Figure of head.
    pub(crate) head: Option<f64>,
    /// Estimated change as a part of base: 0.05 = five per cent more.
    pub(crate) change: Option<f64>,
    /// Interval of the change; `None` = exact, or nothing to go by.
    pub(crate) interval: Option<(f64, f64)>,
    /// Confidence of the verdict, all rows allowed for; 1 where it is exact.
    pub(crate) confidence: Option<f64>,
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// Why it cannot be told, where the figures do not show it.
    pub(crate) note: &'static str,
}

/// Bench and row.
pub(crate) type Key = (String, String);

/// Times of one row, a value a round: `[p50, p99]` in ns of base and of head.
pub(crate) type Rounds = Vec<[[f64; 2]; 2]>;

/// Counts of one row and side, each an event's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    /// Instructions.
    pub(crate) instructions: Option<f64>,
    /// Heap requests.
    pub(crate) allocations: Option<f64>,
    /// System calls.
    pub(crate) calls: Option<f64>,
}

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Timed rows.
    pub(crate) timed: BTreeMap<Key, Rounds>,
    /// Counted rows of base and head.
    pub(crate) counted: [BTreeMap<Key, Counts>; 2],
}

impl Measured {
    /// Takes what both sides said in one round of `bench`. Rows of one side only have nothing to be compared with.
    pub(crate) fn add_round(&mut self, bench: &str, said: [&Said; 2]) {
        for base in &said[0].spans {
            let Some(head) = said[1].spans.iter().find(|s| s.row == base.row) else { continue };
            let pair = [base, head].map(|s| [s.call_ns(0.5), s.call_ns(0.99)]);
            self.timed.entry((bench.to_owned(), base.row.clone())).or_default().push(pair);
        }
    }

    /// Judges everything. `accepted` names rows, `bench/row measure`, whose being slower is accepted.
    pub(crate) fn judge(&self, accepted: &[String]) -> Vec<Row> {
        let tests = 2 * self.timed.len();
        let mut rows = Vec::new();
        for (key, rounds) in &self.timed {
            for (i, measure) in [Measure::P50, Measure::P99].into_iter().enumerate() {
                let of = |side: usize| rounds.iter().map(|r| r[side][i]).collect::<Vec<_>>();
                rows.push(timed(key, measure, &of(0), &of(1), tests));
            }
        }
        let mut keys: Vec<&Key> = self.counted.iter().flat_map(BTreeMap::keys).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let [base, head] = [0, 1].map(|side| self.counted[side].get(key).copied().unwrap_or_default());
            for (measure, base, head) in [
                (Measure::Instructions, base.instructions, head.instructions),
                (Measure::Allocations, base.allocations, head.allocations),
                (Measure::Calls, base.calls, head.calls),
            ] {
                rows.push(counted(key, measure, base, head));
            }
        }
        for row in rows.iter_mut().filter(|r| r.verdict == Verdict::Slower) {
            if accepted.contains(&format!("{}/{} {}", row.bench, row.row, row.measure.name())) {
                row.verdict = Verdict::Accepted;
            }
        }
        rows.sort_by(|a, b| (&a.bench, &a.row, a.measure).cmp(&(&b.bench, &b.row, b.measure)));
        rows
    }
}

fn blank(key: &Key, measure: Measure) -> Row {
    Row {
        bench: key.0.clone(),
        row: key.1.clone(),
        measure,
        base: None,
        head: None,
        change: None,
        interval: None,
        confidence: None,
        verdict: Verdict::CannotTell,
        note: "",
    }
}

/// Judges a timed row from its rounds, one of `tests` judged together.
fn timed(key: &Key, measure: Measure, base: &[f64], head: &[f64], tests: usize) -> Row {
    let mut row = blank(key, measure);
    let ratios: Vec<f64> = base.iter().zip(head).map(|(b, h)| (h / b).ln()).collect();
    let Some(shift) = Shift::of(&ratios) else {
        row.note = "a time of zero, or too many rounds";
        return row;
    };
    let typical = median(base);
    row.base = Some(typical);
    row.head = Some(median(head));
    row.change = Some(shift.estimate().exp_m1());
    let (low, high) = shift.interval((1.0 - CONFIDENCE) / tests as f64);
    if low.is_infinite() {
        row.note = "too few rounds";
        return row;
    }
    row.interval = Some((low.exp_m1(), high.exp_m1()));
    let effect = measure.smallest_change(typical).ln_1p();
    let p = if low > effect {
        row.verdict = Verdict::Slower;
        shift.p_not_above(effect)
    } else if high < -effect {
        row.verdict = Verdict::Faster;
        shift.p_not_below(-effect)
    } else if low > -effect && high < effect {
        row.verdict = Verdict::Same;
        shift.p_not_below(effect).max(shift.p_not_above(-effect))
    } else {
        return row;
    };
    row.confidence = Some((1.0 - p * tests as f64).max(0.0));
    row
}

/// Judges a counted row.
fn counted(key: &Key, measure: Measure, base: Option<f64>, head: Option<f64>) -> Row {
    let mut row = Row { base, head, ..blank(key, measure) };
    let (Some(base), Some(head)) = (base, head) else {
        row.note = match (base, head) {
            (None, Some(_)) => "only in head",
            (Some(_), None) => "only in base",
            _ => "not counted",
        };
        return row;
    };
    row.change = if base > 0.0 { Some(head / base - 1.0) } else { (head == 0.0).then_some(0.0) };
    row.confidence = Some(1.0);
    let effect = base * measure.smallest_change(base);
    row.verdict = match head - base {
        more if more > effect => Verdict::Slower,
        more if more < -effect => Verdict::Faster,
        _ => Verdict::Same,
    };
    row
}

/// The middle value; of an even number the upper one. NaN of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests;
