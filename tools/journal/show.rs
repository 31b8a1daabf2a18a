//! `show`: a line a record, a line an item.

use std::collections::VecDeque;
use std::io::Write;

use corelane::replay::agent_name;
use journal::{Cycle, Item, Kind, Record, Session, Tail};
use kill::utc;
use serde_json::{Value, json};
use wire::Ts;

use crate::args::Filter;

/// Longest text shown of a message, characters; `--json` shows all.
const SHOWN: usize = 300;

/// Prints what passes the filter; `false` when the session is damaged.
pub(crate) fn show(
    session: &Session,
    filter: &Filter,
    as_json: bool,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let mut kept = VecDeque::new();
    let mut damage = None;
    for (file, path) in session.files().zip(session.paths()) {
        let file = file?;
        let mut scan = file.scan();
        for record in scan.by_ref() {
            let lines = if as_json { in_json(&record, filter) } else { in_words(&record, filter) };
            let Some(lines) = lines else { continue };
            match filter.last {
                None => write!(out, "{lines}")?,
                Some(n) => {
                    kept.push_back(lines);
                    if kept.len() > n {
                        kept.pop_front();
                    }
                }
            }
        }
        if let Some(Tail::Damaged { at, damage: what }) = scan.tail() {
            damage = Some(format!("{}: damaged at offset {at}: {what}", path.display()));
            break;
        }
    }
    for lines in kept {
        write!(out, "{lines}")?;
    }
    out.flush()?;
    if let Some(damage) = &damage {
        eprintln!("corelane-journal: {damage}; nothing behind it is shown");
    }
    Ok(damage.is_none())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The items of a cycle that pass; `None` when the cycle does not.
fn passing<'a>(cycle: &Cycle<'a>, filter: &Filter) -> Option<Vec<Item<'a>>> {
    let in_span = cycle.now_ns >= filter.from_ns && filter.to_ns.is_none_or(|to| cycle.now_ns <= to);
    if !in_span || filter.agent.as_deref().is_some_and(|a| a != agent_name(cycle.agent)) {
        return None;
    }
    let items: Vec<_> = cycle.items().map_while(Result::ok).collect();
    if let Some(order) = &filter.order {
        let said = |item: &Item<'_>| match item {
            Item::Frame { bytes, .. } | Item::Sent { bytes, .. } => text(bytes).contains(order.as_str()),
            _ => false,
        };
        if !items.iter().any(said) {
            return None;
        }
    }
    match filter.kind.as_deref() {
        None | Some("cycle") => Some(items),
        Some(kind) => {
            let items: Vec<_> = items.into_iter().filter(|i| i.name() == kind).collect();
            (!items.is_empty()).then_some(items)
        }
    }
}

/// Whether a record that is no cycle passes.
fn passes(record: &Record<'_>, filter: &Filter) -> bool {
    let narrow =
        filter.agent.is_some() || filter.order.is_some() || filter.from_ns > 0 || filter.to_ns.is_some();
    match filter.kind.as_deref() {
        Some(kind) => kind == record.kind.name(),
        None => !narrow,
    }
}

/// A record in words, one line or more.
fn in_words(record: &Record<'_>, filter: &Filter) -> Option<String> {
    let head = format!("{:>10}  {:>8}  {:<8}", record.offset, record.seq, record.kind.name());
    if record.kind != Kind::Cycle {
        if !passes(record, filter) {
            return None;
        }
        let said = match record.kind {
            Kind::Note => {
                let (ts, words) = note(record.body);
                format!("{}  {words}", utc(ts))
            }
            Kind::End => end(record.body),
            Kind::Streams => format!("{:?}", record.body),
            _ => cut(&text(record.body)),
        };
        return Some(format!("{head}  {said}\n"));
    }
    let cycle = Cycle::decode(record.body).ok()?;
    let items = passing(&cycle, filter)?;
    let closing = if cycle.closing { "  closing" } else { "" };
    let mut lines =
        format!("{head}  {}  {} {}{closing}\n", utc(Ts(cycle.now_ns)), agent_name(cycle.agent), cycle.number);
    for item in items {
        lines.push_str(&format!("{:>32}{}\n", "", item_in_words(&item)));
    }
    Some(lines)
}

fn note(body: &[u8]) -> (Ts, String) {
    let ts = body.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b));
    (Ts(ts), text(body.get(8..).unwrap_or_default()))
}

fn end(body: &[u8]) -> String {
    let code = |at: usize| body.get(at).copied().unwrap_or(0);
    let reason = journal::EndReason::from_u8(code(0)).map_or("unknown", |r| r.name());
    match journal::Fault::from_u8(code(1)) {
        Some(fault) => format!("{reason}: {}", fault.name()),
        None => reason.to_owned(),
    }
}

/// An item in a line.
pub(crate) fn item_in_words(item: &Item<'_>) -> String {
    let name = item.name();
    match item {
        Item::Frame { link, ts_ns, bytes } => {
            format!("{name} link {link} at {} {}", utc(Ts(*ts_ns)), cut(&text(bytes)))
        }
        Item::Sent { link, result, bytes } => {
            let fate = if *result == 0 { String::new() } else { format!(" refused ({result})") };
            format!("{name} link {link}{fate} {}", cut(&text(bytes)))
        }
        Item::Up { link } | Item::Abort { link } => format!("{name} link {link}"),
        Item::Down { link, reason } => format!("{name} link {link} reason {reason}"),
        Item::Word { channel, value } => format!("{name} {channel} = {value:#x}"),
        Item::Stamp { ns } => format!("{name} {}", utc(Ts(*ns))),
        Item::Snapshot { bytes } => format!("{name} of {} bytes", bytes.len()),
        Item::NoSnapshot { instrument } => format!("{name} of instrument {instrument}"),
        Item::Refused { channel } => format!("{name} by {channel}"),
        Item::Took { ring, count } => format!("{name} {count} from {}", ring_name(*ring)),
        Item::Put { ring, count, hash } => format!("{name} {count} to {} hash {hash:016x}", ring_name(*ring)),
    }
}

fn ring_name(ring: u8) -> &'static str {
    corelane::engine::RINGS.get(ring as usize).copied().unwrap_or("unknown")
}

/// A record as one JSON object and a line's end.
fn in_json(record: &Record<'_>, filter: &Filter) -> Option<String> {
    let mut value = json!({ "offset": record.offset, "seq": record.seq, "kind": record.kind.name() });
    if record.kind == Kind::Cycle {
        let cycle = Cycle::decode(record.body).ok()?;
        let items: Vec<Value> = passing(&cycle, filter)?.iter().map(item_in_json).collect();
        value["agent"] = agent_name(cycle.agent).into();
        value["cycle"] = cycle.number.into();
        value["ts"] = cycle.now_ns.into();
        value["closing"] = cycle.closing.into();
        value["items"] = items.into();
    } else {
        if !passes(record, filter) {
            return None;
        }
        match record.kind {
            Kind::Note => {
                let (ts, words) = note(record.body);
                value["ts"] = ts.0.into();
                value["text"] = words.into();
            }
            Kind::End => value["reason"] = end(record.body).into(),
            Kind::Streams => value["streams"] = record.body.into(),
            _ => value["text"] = text(record.body).into(),
        }
    }
    Some(format!("{value}\n"))
}

fn item_in_json(item: &Item<'_>) -> Value {
    let name = item.name();
    match item {
        Item::Frame { link, ts_ns, bytes } => {
            json!({ "item": name, "link": link, "ts": ts_ns, "text": text(bytes) })
        }
        Item::Sent { link, result, bytes } => {
            json!({ "item": name, "link": link, "result": result, "text": text(bytes) })
        }
        Item::Up { link } | Item::Abort { link } => json!({ "item": name, "link": link }),
        Item::Down { link, reason } => json!({ "item": name, "link": link, "reason": reason }),
        Item::Word { channel, value } => json!({ "item": name, "channel": channel, "value": value }),
        Item::Stamp { ns } => json!({ "item": name, "ts": ns }),
        Item::Snapshot { bytes } => json!({ "item": name, "bytes": bytes.len() }),
        Item::NoSnapshot { instrument } => json!({ "item": name, "instrument": instrument }),
        Item::Refused { channel } => json!({ "item": name, "channel": channel }),
        Item::Took { ring, count } => json!({ "item": name, "ring": ring_name(*ring), "count": count }),
        Item::Put { ring, count, hash } => {
            json!({ "item": name, "ring": ring_name(*ring), "count": count, "hash": format!("{hash:016x}") })
        }
    }
}
