//! What was found, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::builds::SETTINGS;
use crate::revision::Revision;
use crate::session::{Found, Plan};
use crate::verdict::{CONFIDENCE, Measure, Row, Verdict};

/// A comparison, ready to be shown.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// Base and head.
    pub(crate) revisions: [&'a Revision; 2],
    /// What was asked for.
    pub(crate) plan: &'a Plan,
    /// What was found.
    pub(crate) found: &'a Found,
    /// Every row, judged.
    pub(crate) rows: &'a [Row],
}

impl Report<'_> {
    /// Rows with this verdict.
    pub(crate) fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|r| r.verdict == verdict).count()
    }

    /// The table.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let [base, head] = self.revisions;
        let _ = writeln!(out, "base  {}\nhead  {}", base.describe(), head.describe());
        let _ = writeln!(
            out,
            "{} rounds by turns in {:.0} s, seed {}; {SETTINGS}, both sides alike",
            self.found.rounds, self.found.took_s, self.plan.seed
        );
        if base.tree == head.tree {
            out.push_str("base and head are the same code\n");
        }
        let mut lines = vec![
            ["bench", "row", "measure", "base", "head", "change", "interval", "confidence", "verdict"]
                .map(str::to_owned),
        ];
        let mut above = ("", "");
        for row in self.rows {
            let name = |same: bool, s: &str| if same { String::new() } else { s.to_owned() };
            lines.push([
                name(above.0 == row.bench, &row.bench),
                name(above == (&row.bench, &row.row), &row.row),
                row.measure.name().to_owned(),
                figure(row.measure, row.base),
                figure(row.measure, row.head),
                change(row),
                row.interval.map_or(String::new(), |(l, h)| format!("{}..{}", percent(l), percent(h))),
                confidence(row.confidence),
                verdict(row),
            ]);
            above = (&row.bench, &row.row);
        }
        out.push('\n');
        aligned(&mut out, &lines);
        out.push('\n');
        self.summary(&mut out);
        out
    }

    fn summary(&self, out: &mut String) {
        for row in self.rows.iter().filter(|r| matches!(r.verdict, Verdict::Slower | Verdict::Accepted)) {
            let accepted = if row.verdict == Verdict::Accepted { ", accepted by a commit" } else { "" };
            let _ = writeln!(
                out,
                "slower: {}/{} {}: {} -> {} ({}){accepted}",
                row.bench,
                row.row,
                row.measure.name(),
                figure(row.measure, row.base),
                figure(row.measure, row.head),
                change(row)
            );
        }
        match self.found.machine.line_ns() {
            Some([median, low, high]) => {
                let _ = write!(
                    out,
                    "this machine: a cache line took {median:.0} ns [{low:.0}..{high:.0}] from core to core"
                );
            }
            None => out.push_str("this machine: one core, or none free, so no cache line was sent"),
        }
        let _ = writeln!(
            out,
            "; a busy loop lost {:.1} % of its time, {:.0} us at once at most",
            self.found.machine.lost() * 100.0,
            self.found.machine.lost_max_ns() as f64 / 1_000.0
        );
        for remark in &self.found.remarks {
            let _ = writeln!(out, "note: {remark}");
        }
        let _ = writeln!(
            out,
            "{} rows: {} slower, {} slower but accepted, {} faster, {} same, {} cannot tell",
            self.rows.len(),
            self.count(Verdict::Slower),
            self.count(Verdict::Accepted),
            self.count(Verdict::Faster),
            self.count(Verdict::Same),
            self.count(Verdict::CannotTell)
        );
    }

    /// The same as JSON.
    pub(crate) fn json(&self) -> Value {
        let revision =
            |r: &Revision| json!({"given": r.given, "commit": r.commit, "tree": r.tree, "title": r.title});
        let row = |r: &Row| {
            json!({
                "bench": r.bench, "row": r.row, "measure": r.measure.name(), "base": r.base, "head": r.head,
                "change": r.change, "interval": r.interval.map(|(l, h)| [l, h]), "confidence": r.confidence,
                "verdict": r.verdict.name().to_lowercase(), "note": r.note,
            })
        };
        let machine = &self.found.machine;
        json!({
            "base": revision(self.revisions[0]),
            "head": revision(self.revisions[1]),
            "settings": SETTINGS,
            "seed": self.plan.seed,
            "rounds": self.found.rounds,
            "took_s": self.found.took_s,
            "false_alarm_confidence": CONFIDENCE,
            "cache_line_ns": machine.line_ns(),
            "lost": machine.lost(),
            "lost_max_ns": machine.lost_max_ns(),
            "notes": self.found.remarks,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "slower": self.count(Verdict::Slower),
        })
    }
}

fn figure(measure: Measure, value: Option<f64>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    match measure {
        Measure::P50 | Measure::P99 => format!("{value:.1}"),
        _ if value == value.round() => format!("{value:.0}"),
        Measure::Instructions => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn percent(part: f64) -> String {
    let sign = if part >= 0.0005 { "+" } else { "" };
    // So that nothing reads "-0.0 %".
    let part = if part.abs() < 0.0005 { 0.0 } else { part };
    format!("{sign}{:.1}%", part * 100.0)
}

fn change(row: &Row) -> String {
    match (row.change, row.base, row.head) {
        (Some(change), ..) => percent(change),
        (None, Some(base), Some(head)) if head > base => "from none".to_owned(),
        _ => "-".to_owned(),
    }
}

fn confidence(p: Option<f64>) -> String {
    match p {
        None => String::new(),
        Some(1.0) => "exact".to_owned(),
        // Rounded down: 99.99 is not 100.
        Some(p) => format!("{:.2}%", (p * 10_000.0).floor() / 100.0),
    }
}

fn verdict(row: &Row) -> String {
    if row.note.is_empty() {
        row.verdict.name().to_owned()
    } else {
        format!("{}: {}", row.verdict.name(), row.note)
    }
}

/// Names to the left, figures to the right.
fn aligned<const N: usize>(out: &mut String, lines: &[[String; N]]) {
    let mut width = [0; N];
    for line in lines {
        for (w, cell) in width.iter_mut().zip(line) {
            *w = cell.chars().count().max(*w);
        }
    }
    for line in lines {
        let mut text = String::new();
        for (i, (cell, w)) in line.iter().zip(width).enumerate() {
            let figure = (3..=7).contains(&i);
            let _ = if figure { write!(text, "{cell:>w$}  ") } else { write!(text, "{cell:<w$}  ") };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines;
    use crate::machine::Machine;
    use crate::verdict::Measured;

    fn revision(given: &str, tree: &str) -> Revision {
        let commit = "0123456789abcdef".to_owned();
        Revision { given: given.into(), commit, tree: tree.into(), title: "book: a level".into() }
    }

    /// Thirty rounds: `event` a fifth slower, `trade` the same; one allocation more.
    fn found() -> Found {
        let mut measured = Measured::default();
        for n in 0..30 {
            let said = |event: u64, trade: u64| {
                let text = format!(
                    "corelane-gate 1 b\nspan event 1 {event}:97 {}:3\nspan trade 16 {trade}:100\nend\n",
                    2 * event
                );
                lines::parse(&text, "b").unwrap()
            };
            measured.add_round("b", [&said(250 + n, 1_600 + n), &said(300 + n, 1_600 + n)]);
        }
        for (side, allocations) in [0.0, 1.0].into_iter().enumerate() {
            let counts = crate::verdict::Counts {
                instructions: Some(1_834.5),
                allocations: Some(allocations),
                calls: None,
            };
            measured.counted[side].insert(("b".into(), "event".into()), counts);
        }
        Found {
            measured,
            rounds: 30,
            took_s: 61.2,
            machine: Machine::default(),
            remarks: vec!["no system calls counted".into()],
        }
    }

    #[test]
    fn a_stranger_reads_what_got_slower_and_by_how_much() {
        let found = found();
        let rows = found.measured.judge(&[]);
        let (base, head) = (revision("HEAD^", "a"), revision("HEAD", "b"));
        let plan = Plan { benches: Vec::new(), rounds: 30, budget_s: 85, seed: 7 };
        let report = Report { revisions: [&base, &head], plan: &plan, found: &found, rows: &rows };
        let text = report.text();
        println!("{text}");
        for line in [
            "base  0123456789 \"book: a level\"",
            "30 rounds by turns in 61 s, seed 7",
            "slower: b/event allocations: 0 -> 1 (from none)",
            "slower: b/event p50 ns: 265.0 -> 315.0 (+18.9%)",
            "note: no system calls counted",
        ] {
            assert!(text.contains(line), "{line}");
        }
        assert!(text.lines().any(|l| l.contains("system calls") && l.ends_with("cannot tell: not counted")));
        assert!(text.lines().any(|l| l.contains("trade") && l.contains("p50 ns") && l.ends_with("same")));
        assert!(
            text.lines().any(|l| l.contains("instructions") && l.contains("1834.5") && l.contains("exact"))
        );
        let table: Vec<&str> = text.lines().skip_while(|l| !l.starts_with("bench")).collect();
        let at = table[0].find("measure").unwrap();
        assert!(table[1..=7].iter().all(|l| l.as_bytes()[at - 1] == b' ' && l.as_bytes()[at] != b' '));
        let json = report.json();
        assert_eq!(json["slower"], 2);
        let event = &json["rows"][0];
        assert_eq!((event["row"].as_str(), event["verdict"].as_str()), (Some("event"), Some("slower")));
        assert!(event["interval"][0].as_f64().unwrap() > 0.05);
        assert!(json["rows"][4]["base"].is_null());
    }
}
