//! The file for programs: the machine, the plan, every repetition with its verdict, rows and bars.

use serde_json::{Value, json};

use crate::bars::Bar;
use crate::contract::{CAPACITY, DRAIN, RUN};
use crate::machine::{Look, Regime};
use crate::rounds::{Cell, Figure, Measured, Plan, Repetition};
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
    let candidates = candidates(measured);
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
        "command": std::env::args().collect::<Vec<_>>(),
        "machine": machine,
        "seed": plan.seed,
        "spin_loop": plan.hint,
        "smoke": plan.smoke,
        "cores": [plan.cores.0, plan.cores.1],
        "capacity": CAPACITY,
        "run": RUN,
        "drain": DRAIN,
        "repetitions_wanted": plan.wanted,
        "seconds_limit": plan.limit.as_secs(),
        "rounds": measured.rounds,
        "candidates": candidates,
        "regimes": regimes,
        "bars": bars,
        "not_measured": missing,
        "broken": measured.broken.iter().map(|broken| {
            let mut value = cell(&measured.cells[broken.cell]);
            value["round"] = json!(broken.round);
            value["why"] = json!(broken.why);
            value
        }).collect::<Vec<_>>(),
        "repetitions": measured.repetitions.iter().map(|r| repetition(measured, r)).collect::<Vec<_>>(),
    })
}

/// Who was there, from which version, and how often each task counted.
fn candidates(measured: &Measured) -> Vec<Value> {
    let kept = |index: usize| measured.counted().filter(|r| r.cell == index).count();
    let mut values = Vec::new();
    for (index, each) in measured.cells.iter().enumerate() {
        let mut value = cell(each);
        value["crate"] = json!(each.candidate.built.map(|(name, _)| name));
        value["crate_version"] = json!(each.candidate.built.map(|(_, version)| version));
        value["counted"] = json!(kept(index));
        values.push(value);
    }
    values
}

fn cell(cell: &Cell) -> Value {
    json!({
        "candidate": cell.candidate.name,
        "between": cell.candidate.way.word(),
        "task": cell.task.word(),
    })
}

/// A look; the probe is null when the cores were too busy to take it.
fn look(look: Look) -> Value {
    json!({
        "lost_ppm": look.lost_ppm,
        "gap_ns": look.gap_ns,
        "probe_p50_ns": look.line.map(|line| line.p50_ns),
        "probe_p99_ns": look.line.map(|line| line.p99_ns),
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
    let mut value = cell(&measured.cells[r.cell]);
    value["round"] = json!(r.round);
    value["count"] = json!(r.count);
    value["regime"] = json!(r.regime_seen().map(Regime::word));
    value["probe_ns"] = json!(r.probe_ns());
    value["before"] = look(r.before);
    value["after"] = look(r.after);
    value["waited"] = json!(r.waited);
    value["dropped"] = json!(r.verdict.err().map(|why| why.to_string()));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::Dropped;

    const PLAN: Plan =
        Plan { wanted: 5, limit: Duration::from_secs(60), seed: 1, hint: true, cores: (0, 1), smoke: false };

    #[test]
    fn every_repetition_is_there_with_its_regime_or_why_it_was_dropped() {
        let mut measured = crate::invented::measured();
        measured.repetitions[0].verdict = Err(Dropped::Waited);
        measured.repetitions[1].verdict = Err(Dropped::Load);
        measured.repetitions[1].after.line = None;
        let page = page(&[("cpu", "one".into())], &PLAN, &measured, &[], &[("gone", "why")]);
        let repetitions = page["repetitions"].as_array().unwrap();
        assert_eq!(repetitions.len(), measured.repetitions.len());
        // Dropped, but where the cores lay was seen on both sides of it.
        let kept_from = &repetitions[0];
        assert_eq!(
            (&kept_from["dropped"], &kept_from["regime"]),
            (&json!("kept from a core"), &json!("far"))
        );
        assert_eq!(
            (&kept_from["probe_ns"], kept_from["before"]["probe_p50_ns"].is_f64()),
            (&json!(null), true)
        );
        let busy = &repetitions[1];
        assert_eq!((&busy["dropped"], &busy["regime"]), (&json!("foreign load"), &json!(null)));
        for counted in &repetitions[2..] {
            assert!(counted["dropped"].is_null() && counted["regime"].is_string(), "{counted}");
            assert!(counted["probe_ns"].is_f64() && counted["count"].is_u64(), "{counted}");
            assert!(counted["p50_ns"].is_f64() != counted["per_us"].is_f64(), "{counted}");
        }
        assert_eq!(page["broken"][0]["why"], "a wrong word");
        assert_eq!(page["not_measured"].as_array().map(Vec::len), Some(2));
        let spread = &page["regimes"][0]["rows"][0]["p50_ns"];
        assert!(["median", "low", "high", "count"].iter().all(|key| spread[key].is_number()), "{spread}");
    }
}
