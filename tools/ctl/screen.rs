//! Replies for people.

use command::{Code, Reply, Request};
use serde_json::Value;

/// Prints a reply: data on standard output, refusals on standard error.
pub(crate) fn print(request: &Request, reply: &Reply) {
    let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let text = text(request, reply.code, &body);
    if reply.code == Code::Done {
        print!("{text}")
    } else {
        eprint!("corelane-ctl: {}: {text}", reply.code.name())
    }
}

fn text(request: &Request, code: Code, body: &Value) -> String {
    match request {
        Request::Status if code == Code::Done => status(body),
        Request::Orders if code == Code::Done => orders(body),
        Request::Mode if code == Code::Done => mode(body) + "\n",
        Request::Kill => kill(body),
        _ => format!("{}\n", word(&body["message"])),
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

fn mode(body: &Value) -> String {
    let followed = if body["followed"] == true { "followed" } else { "not followed yet" };
    format!("mode {}, {followed}, {} orders open", word(&body["mode"]), word(&body["orders_open"]))
}

fn kill(body: &Value) -> String {
    let mut text = format!("{}\n", word(&body["message"]));
    if body["trip"].is_string() {
        text += &format!(
            "re-arm, when its cause is dealt with: corelane-ctl rearm --trip {}\n",
            word(&body["trip"])
        );
    }
    text
}

fn status(b: &Value) -> String {
    let mut lines = vec![format!("engine     pid {}, {}", word(&b["pid"]), word(&b["dir"]))];
    let trading = if b["trading"] == true { "on".to_owned() } else { format!("off by {}", word(&b["halt"])) };
    let session = if b["session"] == true { "ready" } else { "not ready" };
    lines.push(format!("trading    {trading}, session {session}, book {}", word(&b["book"])));
    lines.push(format!("mode       {}", mode(&b["mode"]).trim_start_matches("mode ")));
    let kill = &b["kill"];
    lines.push(if kill["tripped"] == true {
        let trip = &kill["trip"];
        format!(
            "kill       TRIPPED by {} at {} ({}), stop {}\n           corelane-ctl rearm --trip {}",
            word(&trip["source"]),
            word(&trip["time"]),
            word(&trip["detail"]),
            word(&b["stop"]),
            word(&trip["id"])
        )
    } else {
        format!("kill       armed, epoch {}", word(&kill["epoch"]))
    });
    let (orders, position) = (&b["orders"], &b["position"]);
    let count = |name: &str| word(&orders[name]);
    lines.push(format!(
        "orders     {} open, {} sent, {} acked, {} rejected, {} cancelled, {} filled; {} fills",
        count("open"),
        count("sent"),
        count("acked"),
        count("rejected"),
        count("cancelled"),
        count("filled"),
        word(&b["fills"])
    ));
    lines.push(format!(
        "position   {} {} in {}",
        word(&position["position"]),
        word(&position["base"]),
        word(&position["symbol"])
    ));
    if b["panicked"] == true {
        lines.push("PANIC      a thread of the engine has died; see its own output".into());
    }
    lines.join("\n") + "\n"
}

fn orders(body: &Value) -> String {
    let rows = body["orders"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return "no open orders\n".into();
    }
    let mut text = format!(
        "{:<18} {:<5} {:>16} {:>14} {:>14} {:<16} {:>10}\n",
        "id", "side", "px", "qty", "filled", "state", "age ms"
    );
    for row in rows {
        text += &format!(
            "{:<18} {:<5} {:>16} {:>14} {:>14} {:<16} {:>10}\n",
            word(&row["id"]),
            word(&row["side"]),
            word(&row["px"]),
            word(&row["qty"]),
            word(&row["filled"]),
            word(&row["state"]),
            word(&row["age_ms"])
        );
    }
    if body["left_out"].as_u64().is_some_and(|n| n > 0) {
        text += &format!("and {} more\n", word(&body["left_out"]));
    }
    text
}
