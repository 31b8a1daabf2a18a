//! `replay`: whether the agents come to the same again.

use std::io::Write;

use corelane::replay::{self, agent_name};
use journal::Session;
use kill::utc;
use serde_json::json;
use wire::Ts;

use crate::whole::tail_in_words;

/// Prints the verdict; `false` when something came out differently, or the journal is damaged.
pub(crate) fn replay(session: &Session, as_json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let outcome = replay::replay(session)?;
    if as_json {
        let divergence = outcome.divergence.as_ref().map(|d| {
            json!({
                "agent": agent_name(d.agent),
                "cycle": d.cycle,
                "ts": d.now_ns,
                "recorded": d.recorded,
                "replayed": d.replayed,
            })
        });
        let value = json!({
            "same": outcome.is_same(),
            "cycles": outcome.cycles,
            "sent": outcome.sent,
            "published": outcome.published,
            "last_seq": outcome.last_seq,
            "waiting": outcome.waiting,
            "end": tail_in_words(outcome.tail),
            "damage": outcome.damage,
            "divergence": divergence,
        });
        writeln!(out, "{value}")?;
        return Ok(outcome.is_same());
    }
    let agents: Vec<String> =
        outcome.cycles.iter().enumerate().map(|(i, n)| format!("{} {n}", agent_name(i as u8))).collect();
    writeln!(out, "replayed to record {}  cycles: {}", outcome.last_seq, agents.join("  "))?;
    writeln!(
        out,
        "compared {} published hashes and {} messages at the wire",
        outcome.published, outcome.sent
    )?;
    if outcome.waiting > 0 {
        writeln!(out, "{} cycles wait for messages whose record died with the process", outcome.waiting)?;
    }
    if let Some(d) = &outcome.divergence {
        writeln!(out, "DIFFERENT: {} cycle {} of {}", agent_name(d.agent), d.cycle, utc(Ts(d.now_ns)))?;
        writeln!(out, "  recorded: {}", d.recorded)?;
        writeln!(out, "  replayed: {}", d.replayed)?;
    }
    match &outcome.damage {
        Some(damage) => writeln!(out, "DAMAGED: {damage}")?,
        None if outcome.divergence.is_none() => {
            writeln!(out, "the same; the journal ends {}", tail_in_words(outcome.tail))?;
        }
        None => {}
    }
    Ok(outcome.is_same())
}
