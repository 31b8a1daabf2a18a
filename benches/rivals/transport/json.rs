//! The file for programs: the machine, the plan, every repetition with its verdict, rows and bars.

use serde_json::{Value, json};

use crate::bars::Bar;
use crate::machine::Regime;
use crate::rounds::{Figure, Measured, Plan, Repetition};
use crate::summary::{Row, Spread};

/// Version of this file's keys and their meaning.
const VERSION: u32 = 1;

/// The whole file.
pub(crate) fn page(
    machine: &[(&'static str, String)],
    plan: &Plan,
    measured: &Measured,
    bars: &[(Regime, Vec<Bar>)],
    absent: &[(&str, &str)],
) -> Value {
    let machine: serde_json::Map<String, Value> =
        machine.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let mut missing: Vec<Value> =
        absent.iter().map(|(name, why)| json!({"name": name, "why": why})).collect();
    missing.extend(measured.failed.iter().map(|(name, why)| json!({"name": name, "why": why})));
    let regimes: Vec<Value> = measured
        .regimes()
        .into_iter()
        .map(|regime| {
            let (probe, probe_p99) = measured.probe(regime);
            json!({
                "regime": regime.word(),
                "probe_p50_ns": spread(probe),
                "probe_p99_ns": spread(probe_p99),
                "rows": measured.rows(regime).iter().map(row).collect::<Vec<_>>(),
            })
        })
        .collect();
    let bars: Vec<Value> = bars
        .iter()
        .flat_map(|(regime, bars)| bars.iter().map(move |bar| (regime, bar)))
        .map(|(regime, bar)| {
            json!({
                "regime": regime.word(),
                "bar": bar.what,
                "found": spread(bar.found),
                "wanted": bar.wanted.to_string(),
                "verdict": bar.verdict().word(),
            })
        })
        .collect();
    json!({
        "version": VERSION,
        "machine": machine,
        "seed": plan.seed,
        "spin_loop": plan.hint,
        "cores": [plan.cores.0, plan.cores.1],
        "rounds": measured.rounds,
        "regimes": regimes,
        "bars": bars,
        "not_measured": missing,
        "repetitions": measured.repetitions.iter().map(|r| repetition(measured, r)).collect::<Vec<_>>(),
    })
}

fn row(row: &Row) -> Value {
    json!({
        "candidate": row.name,
        "between": row.way.word(),
        "p50_ns": spread(row.p50_ns),
        "p99_ns": spread(row.p99_ns),
        "p50_of_probe": spread(row.of_probe),
        "single_per_us": spread(row.single),
        "batched_per_us": spread(row.batched),
    })
}

fn spread(of: Option<Spread>) -> Value {
    let places = |x: f64| (x * 1e4).round() / 1e4;
    of.map_or(Value::Null, |s| {
        json!({"median": places(s.median), "low": places(s.low), "high": places(s.high), "count": s.count})
    })
}

fn repetition(measured: &Measured, r: &Repetition) -> Value {
    let cell = &measured.cells[r.cell];
    let mut value = json!({
        "round": r.round,
        "candidate": cell.candidate.name,
        "between": cell.candidate.way.word(),
        "task": cell.task.word(),
        "probe_ns": r.probe_ns(),
        "regime": r.regime().map(Regime::word),
        "waited": r.waited,
        "dropped": r.verdict.err().map(|why| why.to_string()),
    });
    match r.figure {
        Figure::Hop { p50_ns, p90_ns, p99_ns } => {
            value["p50_ns"] = json!(p50_ns);
            value["p90_ns"] = json!(p90_ns);
            value["p99_ns"] = json!(p99_ns);
        }
        Figure::Rate { per_us } => value["per_us"] = json!(per_us),
    }
    value
}
