//! `show --why`: an order from its cause to the wire.

use std::io::Write;

use anyhow::bail;
use corelane::replay::{Story, why as tell};
use journal::Session;
use kill::utc;
use serde_json::{Value, json};
use wire::{Kind, Msg, Side, Ts};

/// Prints the story; `false` when there is none that can be vouched for.
pub(crate) fn why(
    session: &Session,
    order: &str,
    as_json: bool,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let wanted = (order != "last").then_some(order);
    let (story, outcome) = tell(session, wanted)?;
    if let Some(d) = &outcome.divergence {
        bail!(
            "the replay went another way at cycle {} (see corelane-journal replay): no story can be told",
            d.cycle
        );
    }
    let Some(story) = story else {
        bail!("no order {} was sent", wanted.map_or("at all".into(), |w| format!("with {w:?} in its id")));
    };
    if as_json {
        writeln!(out, "{}", in_json(&story))?;
    } else {
        in_words(&story, out)?;
    }
    if let Some(damage) = &outcome.damage {
        eprintln!("corelane-journal: {damage}; the story is of what came before");
    }
    Ok(outcome.damage.is_none())
}

fn side(side: Side) -> &'static str {
    if side == Side::Buy { "buy" } else { "sell" }
}

fn us(later: Ts, earlier: Ts) -> String {
    format!("{:.3} us", later.since_ns(earlier) as f64 / 1_000.0)
}

/// An intent or order: side, price and quantity are mantissas at the instrument's decimals.
fn order(msg: &Msg) -> String {
    format!(
        "{} {} at {} (mantissas), instrument {}",
        side(msg.side()),
        msg.body[1],
        msg.body[0],
        msg.instrument().0
    )
}

fn heard(msg: &Msg) -> String {
    match msg.kind() {
        Some(Kind::Top) => {
            format!(
                "top: bid {} x {}, ask {} x {} (mantissas)",
                msg.body[0], msg.body[1], msg.body[2], msg.body[3]
            )
        }
        Some(Kind::Trade) => format!("trade: {} x {} (mantissas)", msg.body[0], msg.body[1]),
        Some(kind) => format!("{kind:?}"),
        None => "unknown".into(),
    }
}

fn in_words(s: &Story, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "order {}", s.client_id)?;
    match &s.event {
        Some(e) => {
            writeln!(out, "  caused by market event {}", e.number)?;
            match e.visible {
                Some(at) => {
                    writeln!(out, "    {}  bytes visible", utc(at))?;
                    writeln!(out, "    {}", e.message)?;
                }
                None => {
                    writeln!(out, "    {}  no message: a snapshot, or a connection lost", utc(e.feed.ts))?
                }
            }
            writeln!(out, "    feed cycle {}: {}", e.feed.cycle, heard(&e.heard))?;
        }
        None => writeln!(out, "  caused by no market event: by time, or by an answer of the venue")?,
    }
    if let Some((intent, at)) = &s.intent {
        writeln!(out, "  {}  strategy cycle {}: wants {}", utc(at.ts), at.cycle, order(intent))?;
    }
    if let Some((passed, at)) = &s.passed {
        writeln!(
            out,
            "  {}  oms cycle {}: every check of the gate passed, slot {}",
            utc(at.ts),
            at.cycle,
            passed.body[2]
        )?;
    }
    let fate = if s.result == 0 { "handed to the kernel" } else { "REFUSED by the connection" };
    writeln!(out, "  {}  gateway cycle {}: {fate}", utc(s.sent.ts), s.gateway.cycle)?;
    writeln!(out, "    {}", s.message)?;
    if let Some(visible) = s.event.as_ref().and_then(|e| e.visible) {
        writeln!(out, "  from bytes visible to the gateway's stamp: {}", us(s.sent.ts, visible))?;
    }
    Ok(())
}

fn in_json(s: &Story) -> Value {
    let msg = |m: &Option<(Msg, _)>| -> Value {
        m.as_ref().map_or(Value::Null, |(m, at): &(Msg, corelane::replay::Moment)| {
            json!({
                "ts": at.ts.0,
                "cycle": at.cycle,
                "side": side(m.side()),
                "px": m.body[0],
                "qty": m.body[1],
            })
        })
    };
    json!({
        "client_id": s.client_id,
        "event": s.event.as_ref().map(|e| json!({
            "number": e.number,
            "visible_ts": e.visible.map(|t| t.0),
            "message": e.message,
            "feed_cycle": e.feed.cycle,
            "heard": heard(&e.heard),
        })),
        "intent": msg(&s.intent),
        "passed": msg(&s.passed),
        "sent": { "ts": s.sent.ts.0, "cycle": s.gateway.cycle, "result": s.result, "message": s.message },
    })
}
