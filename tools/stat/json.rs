//! The view as one JSON object on one line, for programs. Times are ns since 1970, absent values `null`.

use crate::screen::orders_past_word;
use crate::view::{Board, Sorted, View};
use kill::{ControlSnapshot, LatchStatus, SenderSnapshot};
use stats::{AgentSnapshot, HistSnapshot, OrderTrace, STAGES};
use wire::Ts;

/// Renders one look; `orders` is how many rows of the order trace are included, and `sorted` which.
pub(crate) fn render(view: &View, orders: usize, sorted: Sorted) -> String {
    let newest = view.newest_beat();
    object([
        ("instance", text(&view.name())),
        ("dir", text(&view.dir.to_string_lossy())),
        ("pid", view.header.pid.to_string()),
        ("alive", view.alive.to_string()),
        ("read_ns", view.now.0.to_string()),
        ("created_ns", view.header.created_ns.to_string()),
        ("newest_beat_age_ns", opt(newest.and_then(|(ts, _)| view.age_ns(ts)))),
        // Text: a 64-bit hash does not survive readers that take every number for a double.
        ("build_hash", text(&format!("{:016x}", view.header.ident.build_hash))),
        ("config_hash", text(&format!("{:016x}", view.header.ident.config_hash))),
        ("counters", named(view.stats.counters.iter().map(|(name, count)| (name, count.to_string())))),
        ("gauges", named(view.stats.gauges.iter().map(|(name, level)| (name, level.to_string())))),
        ("hists", named(view.stats.hists.iter().map(|(name, figures)| (name, hist(figures))))),
        ("agents", array(view.stats.agents.iter().map(|agent| agent_object(view, agent)))),
        ("orders", array(view.orders(orders, sorted).into_iter().map(order))),
        ("boards", array(view.boards.iter().map(board))),
        ("kill", view.kill.as_ref().map_or("null".to_string(), |control| kill(view, control))),
        ("kill_error", view.kill.as_ref().err().map_or("null".to_string(), |why| text(why))),
        ("refused_entries", view.stats.refused.to_string()),
    ])
}

fn board(board: &Board) -> String {
    let top = board.top.map_or("null".to_string(), |t| {
        object([
            ("state", text(&format!("{:?}", t.state))),
            ("bid_px", t.bid.0.0.to_string()),
            ("bid_qty", t.bid.1.0.to_string()),
            ("ask_px", t.ask.0.0.to_string()),
            ("ask_qty", t.ask.1.0.to_string()),
            ("px_decimals", t.px_decimals.to_string()),
            ("qty_decimals", t.qty_decimals.to_string()),
            ("recv_ns", opt(some_ts(t.ts_recv))),
        ])
    });
    let position = board.position.map_or("null".to_string(), |p| {
        object([
            ("position", p.position.to_string()),
            // Text: wider than a double carries.
            ("realised", text(&p.realised.to_string())),
            ("unrealised", text(&p.unrealised.to_string())),
            ("open_orders", p.open_orders.to_string()),
            ("trading", p.trading.to_string()),
            ("ns", opt(some_ts(p.ts))),
        ])
    });
    object([("instrument", board.instrument.0.to_string()), ("top", top), ("position", position)])
}

fn hist(figures: &HistSnapshot) -> String {
    object([
        ("count", figures.count.to_string()),
        ("p50_ns", figures.p50_ns.to_string()),
        ("p90_ns", figures.p90_ns.to_string()),
        ("p99_ns", figures.p99_ns.to_string()),
        ("p999_ns", figures.p999_ns.to_string()),
        ("max_ns", figures.max_ns.to_string()),
        // Finite by construction: a weighted mean of finite values.
        ("mean_ns", format!("{:.1}", figures.mean_ns)),
    ])
}

fn agent_object(view: &View, agent: &AgentSnapshot) -> String {
    object([
        ("name", text(&agent.name)),
        ("state", text(agent.state.name())),
        ("beat_age_ns", opt(view.age_ns(agent.last_beat))),
        ("cycle", agent.cycle.to_string()),
        ("work", agent.work.to_string()),
        ("busy_ns", agent.busy_ns.to_string()),
        ("busy_ppm", opt(agent.busy_ppm(None))),
        ("slow_cycles", agent.slow.to_string()),
        ("slow_cycle_ns", opt((agent.slow_ns > 0).then_some(agent.slow_ns))),
        ("longest_cycle_ns", agent.longest_ns.to_string()),
        ("longest_cycle_at_ns", opt(some_ts(agent.longest_at))),
    ])
}

fn order(order: &OrderTrace) -> String {
    let stages = STAGES.into_iter().zip(order.stages_ns()).map(|(stage, ns)| (stage, opt(ns)));
    object([
        ("slot", order.slot.0.to_string()),
        ("cause", order.cause.to_string()),
        ("state", text(&format!("{:?}", order.state))),
        ("client_cycle", opt(order.client_cycle)),
        ("client_ts_ns", opt(order.client_ts.map(|ts| ts.0))),
        ("gate_passed_ns", order.risk.0.to_string()),
        ("stages_ns", object(stages)),
        ("tick_to_order_ns", opt(order.tick_to_order_ns())),
    ])
}

fn kill(view: &View, control: &ControlSnapshot) -> String {
    let trip = control.trip.as_ref().map_or("null".to_string(), |trip| {
        object([
            ("id", trip.id.map_or("null".to_string(), |id| text(&id.to_string()))),
            ("source", trip.source.map_or("null".to_string(), |source| text(&source.to_string()))),
            ("subject", text(&trip.subject)),
            ("detail", text(&trip.detail)),
            ("ts_ns", trip.ts.0.to_string()),
        ])
    });
    let latch = match control.latch {
        LatchStatus::None => "none",
        LatchStatus::Pending => "pending",
        LatchStatus::Written => "written",
        LatchStatus::Failed { .. } => "failed",
    };
    object([
        ("tripped", control.tripped.to_string()),
        ("epoch", control.epoch.to_string()),
        ("state", control.state.map_or("null".to_string(), |state| text(state.name()))),
        ("beat_age_ns", opt(view.age_ns(control.kill_beat))),
        ("latch", text(latch)),
        ("trip", trip),
        ("senders", array(control.senders.iter().map(sender))),
    ])
}

fn sender(sender: &SenderSnapshot) -> String {
    object([
        ("name", text(&sender.name)),
        ("cycle", sender.progress.cycle.to_string()),
        ("orders_sent", sender.progress.orders_sent.to_string()),
        ("orders_past_word", opt(orders_past_word(sender))),
        ("acked_ns", opt(sender.acked.map(|(ts, _)| ts.0))),
        ("aborted_ns", opt(sender.aborted.map(|ts| ts.0))),
    ])
}

fn some_ts(ts: Ts) -> Option<u64> {
    (ts != Ts(0)).then_some(ts.0)
}

fn opt(n: Option<u64>) -> String {
    n.map_or("null".to_string(), |n| n.to_string())
}

fn object<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let fields: Vec<String> =
        fields.into_iter().map(|(name, value)| format!("{}:{value}", text(name))).collect();
    format!("{{{}}}", fields.join(","))
}

fn named<'a>(fields: impl Iterator<Item = (&'a String, String)>) -> String {
    object(fields.map(|(name, value)| (name.as_str(), value)))
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn text(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_escaped() {
        let nasty: String = (0..0x80u8).map(char::from).chain("é\u{2028}".chars()).collect();
        assert_eq!(serde_json::from_str::<String>(&text(&nasty)).unwrap(), nasty);
    }
}
