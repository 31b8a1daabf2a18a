//! What a run was worth: one page for people, one JSON object for programs.

use serde_json::{Value, json};
use stats::HistSnapshot;

/// Stages of the order path, in order, as the page and the JSON name them.
pub const STAGES: [(&str, &str); 5] = [
    ("parse", "received -> parsed"),
    ("signal", "parsed -> signal"),
    ("risk", "signal -> risk passed"),
    ("encode", "risk passed -> handed to the kernel"),
    ("tick_to_trade", "tick to trade"),
];

/// Whether engine and venue agree at the end, `None` where it was not reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// No order is open on either side.
    pub open_orders: Option<bool>,
    /// The base balance moved by exactly our position.
    pub positions: Option<bool>,
    /// Every balance equals start plus every booked leg.
    pub balances: Option<bool>,
    /// One line for each difference.
    pub differences: Vec<String>,
}

impl Agreement {
    /// All three hold.
    pub fn holds(&self) -> bool {
        [self.open_orders, self.positions, self.balances].iter().all(|a| *a == Some(true))
    }
}

/// What a trip did, judged at the venue's side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KillReport {
    /// What tripped.
    pub source: String,
    /// The trip's id, needed to re-arm.
    pub trip_id: String,
    /// New orders that reached the venue with a stamp later than the word.
    pub orders_after_word: u64,
    /// New orders that reached the venue with a cycle later than the acknowledgement's.
    pub orders_after_ack: u64,
    /// Cancellations that the venue confirmed after the trip.
    pub cancels_confirmed: u64,
    /// Time from word to acknowledgement, ns.
    pub ack_ns: u64,
    /// The venue's total of new orders equals the acknowledgement's.
    pub totals_agree: bool,
    /// Every open order was cancelled and confirmed within the deadline.
    pub confirmed: bool,
}

impl KillReport {
    /// The kill did what it promises.
    pub fn clean(&self) -> bool {
        self.orders_after_ack == 0 && self.orders_after_word <= 1 && self.totals_agree && self.confirmed
    }
}

/// What a run's journal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalLine {
    /// Records and bytes.
    pub totals: journal::Totals,
    /// Why it could not go on, if so.
    pub fault: Option<journal::Fault>,
}

/// Figures of one run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How it ended, in a line; empty = as asked.
    pub failure: String,
    /// The signal that ended it before its time, in order.
    pub interrupted: Option<&'static str>,
    /// Why trading was off at the end, unless it had been ended in order.
    pub halt: Option<String>,
    /// `tls` or `memory`.
    pub transport: String,
    /// Processes of the engine; 0 and 1 are one.
    pub processes: u32,
    /// Seed of the run.
    pub seed: u64,
    /// Seconds of engine time that it ran.
    pub seconds: f64,
    /// Seconds of wall time that it took.
    pub wall_seconds: f64,
    /// Market-data messages.
    pub messages: u64,
    /// Orders handed to the kernel.
    pub sent: u64,
    /// Orders acknowledged.
    pub acked: u64,
    /// Orders refused by the venue.
    pub rejected: u64,
    /// Orders cancelled.
    pub cancelled: u64,
    /// Orders filled whole.
    pub filled: u64,
    /// Executions.
    pub fills: u64,
    /// Book figures by JSON name.
    pub book: Vec<(&'static str, u64)>,
    /// Last state of the book.
    pub book_state: String,
    /// Public trades and missing trade ids.
    pub trades: (u64, u64),
    /// Refusals and lost connections by reason, those that happened.
    pub refusals: Vec<(String, u64)>,
    /// End comparison.
    pub agreement: Agreement,
    /// Stage latencies in the order of [`STAGES`].
    pub latency: Vec<HistSnapshot>,
    /// A trip, if one happened.
    pub kill: Option<KillReport>,
    /// The journal, if there was one.
    pub journal: Option<JournalLine>,
    /// How to clear the trip's latch.
    pub rearm: String,
    /// Hash over the order payloads.
    pub orders_hash: String,
    /// Cache-line probe: one-way p50 between the two cores, ns; `None` with one core.
    pub probe_ns: Option<u64>,
    /// Spread of the probe over its repetitions, ns.
    pub probe_spread_ns: Option<(u64, u64)>,
    /// Longest gap that a busy loop saw, ns, and share of time lost, ppm.
    pub hiccup: Option<(u64, u64)>,
    /// Position, profit and loss lines, already in units.
    pub money: Vec<(String, String)>,
    /// What the run went without, a line each.
    pub without: Vec<String>,
    /// How to attach the stat tool.
    pub attach: String,
}

impl Report {
    /// It was ended before its first order: there is nothing to compare.
    pub fn is_unbegun(&self) -> bool {
        self.interrupted.is_some() && self.sent == 0
    }

    fn per_second(&self) -> u64 {
        if self.seconds > 0.0 { (self.messages as f64 / self.seconds) as u64 } else { 0 }
    }

    /// The report as one JSON object; every latency in integer ns.
    pub fn json(&self) -> Value {
        let book: serde_json::Map<String, Value> =
            self.book.iter().map(|(k, v)| (k.to_string(), json!(v))).collect();
        let latency: serde_json::Map<String, Value> = STAGES
            .iter()
            .zip(&self.latency)
            .map(|((name, _), h)| {
                let figures = json!({"count": h.count, "p50": h.p50_ns, "p99": h.p99_ns, "p999": h.p999_ns,
                    "max": h.max_ns, "mean": h.mean_ns.round() as u64});
                (name.to_string(), figures)
            })
            .collect();
        let refusals: serde_json::Map<String, Value> =
            self.refusals.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        let kill = match &self.kill {
            None => {
                json!({"source": null, "orders_after_word": 0, "orders_after_ack": 0, "cancels_confirmed": 0})
            }
            Some(k) => {
                json!({"source": k.source, "trip_id": k.trip_id, "orders_after_word": k.orders_after_word,
                "orders_after_ack": k.orders_after_ack, "cancels_confirmed": k.cancels_confirmed,
                "ack_ns": k.ack_ns, "totals_agree": k.totals_agree, "confirmed": k.confirmed, "clean": k.clean()})
            }
        };
        json!({
            "failure": if self.failure.is_empty() { Value::Null } else { json!(self.failure) },
            "interrupted": self.interrupted,
            "halt": self.halt,
            "transport": self.transport,
            "processes": self.processes.max(1),
            "seed": self.seed,
            "seconds": self.seconds,
            "wall_seconds": self.wall_seconds,
            "messages": {"total": self.messages, "per_second": self.per_second()},
            "orders": {"sent": self.sent, "acked": self.acked, "rejected": self.rejected,
                "cancelled": self.cancelled, "filled": self.filled},
            "fills": self.fills,
            "book": book,
            "book_state": self.book_state,
            "trades": {"total": self.trades.0, "gaps": self.trades.1},
            "refusals": refusals,
            "agreement": {"open_orders": self.agreement.open_orders == Some(true),
                "positions": self.agreement.positions == Some(true),
                "balances": self.agreement.balances == Some(true),
                "differences": self.agreement.differences},
            "latency_ns": latency,
            "kill": kill,
            "orders_hash": self.orders_hash,
            "journal": self.journal.map(|j| json!({
                "records": j.totals.records,
                "cycles": j.totals.cycles,
                "bytes": j.totals.bytes,
                "files": j.totals.files,
                "fault": j.fault.map(|f| f.name()),
            })),
            "probe_ns": self.probe_ns,
            "hiccup": self.hiccup.map(|(max_ns, lost_ppm)| json!({"max_ns": max_ns, "lost_ppm": lost_ppm})),
            "without": self.without,
        })
    }

    /// The report as one page.
    pub fn page(&self) -> String {
        let mut p = String::new();
        let mut line = |s: String| {
            p.push_str(&s);
            p.push('\n');
        };
        line(format!(
            "corelane demo · {}{} · seed {} · {:.1} s of market in {:.1} s{}",
            self.transport,
            if self.processes > 1 { format!(" · {} processes", self.processes) } else { String::new() },
            self.seed,
            self.seconds,
            self.wall_seconds,
            self.interrupted.map_or(String::new(), |signal| format!(" · ended by {signal}"))
        ));
        line(String::new());
        line(format!(
            "{:<38}{:>10}{:>10}{:>10}{:>12}{:>10}",
            "stage (us)", "p50", "p99", "p99.9", "max", "mean"
        ));
        for ((_, title), h) in STAGES.iter().zip(&self.latency) {
            let us = |ns: u64| format!("{:.2}", ns as f64 / 1_000.0);
            line(format!(
                "{title:<38}{:>10}{:>10}{:>10}{:>12}{:>10}",
                us(h.p50_ns),
                us(h.p99_ns),
                us(h.p999_ns),
                us(h.max_ns),
                us(h.mean_ns.round() as u64)
            ));
        }
        if let Some(h) = self.latency.last() {
            line(format!("  over the {} market events that caused an order, first order of each", h.count));
        }
        line(String::new());
        line(format!("messages   {:>9} total {:>9} a second", self.messages, self.per_second()));
        line(format!(
            "orders     {:>9} sent  {:>9} acked {:>9} rejected {:>7} cancelled {:>7} filled",
            self.sent, self.acked, self.rejected, self.cancelled, self.filled
        ));
        line(format!("fills      {:>9}", self.fills));
        let book = |name: &str| self.book.iter().find(|(k, _)| *k == name).map_or(0, |(_, v)| *v);
        line(format!(
            "book       {}: updates {}, applied {}, older than the snapshot {}, gaps {}, crossed {}",
            self.book_state,
            book("updates_seen"),
            book("applied"),
            book("stale_dropped"),
            book("gaps"),
            book("crossed")
        ));
        line(format!(
            "           snapshots {}, overflows {}, best prices as the ticker's in {} of {} samples",
            book("snapshots"),
            book("overflows"),
            book("bbo_matches"),
            book("bbo_samples")
        ));
        line(format!("trades     {:>9} seen  {:>9} ids missing", self.trades.0, self.trades.1));
        if self.refusals.is_empty() {
            line("refusals   none".into());
        }
        for (i, (reason, n)) in self.refusals.iter().enumerate() {
            line(format!("{:<10} {n:>9} {reason}", if i == 0 { "refusals" } else { "" }));
        }
        for (k, v) in &self.money {
            line(format!("{k:<10} {v}"));
        }
        if let Some(halt) = &self.halt {
            line(format!("trading was off: {halt}"));
        }
        line(String::new());
        let word = |a: Option<bool>| match a {
            Some(true) => "agree",
            Some(false) => "DIFFER",
            None => "not compared",
        };
        line(format!(
            "engine and venue: open orders {}, positions {}, balances {}",
            word(self.agreement.open_orders),
            word(self.agreement.positions),
            word(self.agreement.balances)
        ));
        self.agreement.differences.iter().for_each(|d| line(format!("  {d}")));
        if let Some(k) = &self.kill {
            line(format!(
                "KILL by {}, {}: gate shut {:.1} us after the word, {} cancels confirmed",
                k.source,
                if k.clean() { "clean" } else { "NOT CLEAN" },
                k.ack_ns as f64 / 1_000.0,
                k.cancels_confirmed
            ));
            line(format!(
                "  orders that reached the venue after the word {} (at most 1), after the gate was shut {} (none)",
                k.orders_after_word, k.orders_after_ack
            ));
            line(self.rearm.clone());
        }
        if let Some(j) = &self.journal {
            let journal::Totals { records, bytes, files, .. } = j.totals;
            line(format!("journal     {records} records, {bytes} bytes in {files} files"));
            if let Some(fault) = j.fault {
                line(format!("  it could not go on ({}): trading was off from there", fault.name()));
            }
        }
        line(format!("orders hash {}", self.orders_hash));
        match (self.probe_ns, self.probe_spread_ns) {
            (Some(ns), Some((low, high))) => {
                line(format!("this machine: a cache line takes {ns} ns [{low}..{high}] from core to core"))
            }
            _ => line("this machine: no cache-line probe".to_string()),
        }
        if let Some((max_ns, lost_ppm)) = self.hiccup {
            line(format!(
                "              a busy loop lost {:.2} % of its time, {:.0} us at once at most",
                lost_ppm as f64 / 10_000.0,
                max_ns as f64 / 1_000.0
            ));
        }
        self.without.iter().for_each(|w| line(format!("went without: {w}")));
        if !self.attach.is_empty() {
            line(format!("its statistics: {}", self.attach));
        }
        if !self.failure.is_empty() {
            line(format!("FAILED: {}", self.failure));
        }
        p
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_every_promised_key() {
        let hist = HistSnapshot::default();
        let report = Report { latency: vec![hist; 5], book: vec![("applied", 7)], ..Report::default() };
        let j = report.json();
        for path in [
            "/messages/total",
            "/messages/per_second",
            "/orders/sent",
            "/orders/acked",
            "/orders/rejected",
            "/orders/cancelled",
            "/orders/filled",
            "/fills",
            "/book/applied",
            "/agreement/open_orders",
            "/agreement/positions",
            "/agreement/balances",
            "/latency_ns/parse/p50",
            "/latency_ns/signal/p99",
            "/latency_ns/risk/p999",
            "/latency_ns/encode/max",
            "/latency_ns/tick_to_trade/p50",
            "/latency_ns/tick_to_trade/mean",
            "/kill/source",
            "/kill/orders_after_word",
            "/kill/orders_after_ack",
            "/kill/cancels_confirmed",
            "/orders_hash",
            "/probe_ns",
        ] {
            assert!(j.pointer(path).is_some(), "{path} is missing in {j}");
        }
        assert!(j["kill"]["source"].is_null());
        assert_eq!(j["agreement"]["balances"], false, "what was not compared does not agree");
        assert!(report.page().contains("not compared"));
    }

    #[test]
    fn a_kill_is_clean_only_when_all_of_it_is() {
        let clean = KillReport { totals_agree: true, confirmed: true, ..KillReport::default() };
        assert!(clean.clean());
        assert!(KillReport { orders_after_word: 1, ..clean.clone() }.clean());
        for bad in [
            KillReport { orders_after_ack: 1, ..clean.clone() },
            KillReport { orders_after_word: 2, ..clean.clone() },
            KillReport { totals_agree: false, ..clean.clone() },
            KillReport { confirmed: false, ..clean.clone() },
        ] {
            assert!(!bad.clean());
        }
    }
}
