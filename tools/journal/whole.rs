//! `verify`: checksums, order, gaps, totals, and how the session ends.

use std::io::Write;

use corelane::replay::agent_name;
use journal::{Report, Session, Tail};
use kill::utc;
use serde_json::json;
use wire::Ts;

/// How a file ends, in words.
pub(crate) fn tail_in_words(tail: Option<Tail>) -> String {
    match tail {
        Some(Tail::Closed { reason, fault: None }) => format!("{}, in order", reason.name()),
        Some(Tail::Closed { reason, fault: Some(fault) }) => format!("{}: {}", reason.name(), fault.name()),
        Some(Tail::Open { at }) => {
            format!("open at offset {at}: its writer lives, or died between two records")
        }
        Some(Tail::Torn { at }) => {
            format!("torn at offset {at}: its writer died within a record, which does not count")
        }
        Some(Tail::Damaged { at, damage }) => format!("damaged at offset {at}: {damage}"),
        None => "unknown".into(),
    }
}

/// Prints the verdict; `false` when the session is not whole.
pub(crate) fn verify(session: &Session, as_json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let report = journal::verify(session);
    if as_json {
        writeln!(out, "{}", in_json(&report))?;
    } else {
        in_words(&report, out)?;
    }
    Ok(report.is_whole())
}

fn in_words(report: &Report, out: &mut impl Write) -> anyhow::Result<()> {
    for file in &report.files {
        writeln!(out, "{}", file.path.display())?;
        if let Some(h) = &file.header {
            writeln!(
                out,
                "  {} file {}, session of {}, build {:016x}, configuration {:016x}",
                h.instance,
                h.number,
                utc(Ts(h.started_ns)),
                h.build_hash,
                h.config_hash
            )?;
        }
        writeln!(out, "  records {}  cycles {}", file.records, file.cycles)?;
        if let Some((offset, seq, kind)) = file.last {
            writeln!(out, "  last whole record: {seq} ({}) at offset {offset}", kind.name())?;
        }
        match &file.problem {
            Some(problem) => writeln!(out, "  NOT WHOLE: {problem}")?,
            None => writeln!(out, "  {}", tail_in_words(file.tail))?,
        }
    }
    let agents: Vec<String> =
        report.cycles.iter().enumerate().map(|(i, n)| format!("{} {n}", agent_name(i as u8))).collect();
    writeln!(out, "records {}  cycles: {}", report.records, agents.join("  "))?;
    if let Some((from, to)) = report.span_ns {
        writeln!(out, "from {} to {}", utc(Ts(from)), utc(Ts(to)))?;
    }
    if !report.from_start {
        writeln!(out, "the session's first file is not here: it can be shown, not replayed")?;
    }
    writeln!(out, "{}", if report.is_whole() { "whole" } else { "damaged" })?;
    Ok(())
}

fn in_json(report: &Report) -> serde_json::Value {
    let files = report.files.iter().map(|file| {
        json!({
            "path": file.path.display().to_string(),
            "number": file.header.as_ref().map(|h| h.number),
            "records": file.records,
            "cycles": file.cycles,
            "last_seq": file.last.map(|l| l.1),
            "last_offset": file.last.map(|l| l.0),
            "end": tail_in_words(file.tail),
            "problem": file.problem.as_ref().map(|p| p.to_string()),
        })
    });
    json!({
        "whole": report.is_whole(),
        "from_start": report.from_start,
        "records": report.records,
        "cycles": report.cycles,
        "files": files.collect::<Vec<_>>(),
    })
}
