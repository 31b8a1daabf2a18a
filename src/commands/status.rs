//! How the engine stands, as one JSON object.

use serde_json::{Value, json};
use wire::{BookState, Decimal};

use super::Console;
use crate::apart::Member;
use crate::apart::door::told;
use crate::controls::StopState;

pub(super) fn stop_name(stop: StopState) -> &'static str {
    match stop {
        StopState::None => "none",
        StopState::Running => "under way",
        StopState::Confirmed => "confirmed",
        StopState::TimedOut => "not confirmed",
    }
}

/// The mode in force, and whether the agents follow it.
pub(super) fn mode(console: &Console) -> Value {
    let word = console.controls.word();
    json!({"mode": word.mode().name(), "followed": console.controls.follows(word.change()),
        "orders_open": console.controls.orders_open(),
        "orders_sent_before": console.controls.gateway_heard().orders_sent})
}

/// Everything that fits a screen.
pub(super) fn status(console: &Console) -> Value {
    let stats = console.stats.snapshot();
    let counter = |name: &str| stats.counters.iter().find(|c| c.0 == name).map_or(0, |c| c.1);
    let gauge = |name: &str| stats.gauges.iter().find(|g| g.0 == name).map_or(0, |g| g.1);
    let controls = &console.controls;
    let switch = console.switch();
    let now = console.now();
    let book = match BookState::from_u8(u8::try_from(gauge("feed.book_state")).unwrap_or(0)) {
        BookState::Down => "down",
        BookState::Syncing => "syncing",
        BookState::InSync => "in sync",
        BookState::Gap => "gap",
    };
    let trip = switch.trip.as_ref().map(|trip| {
        json!({"id": trip.id.map(|id| id.to_string()), "source": trip.source.map(|s| s.to_string()),
            "subject": trip.subject, "detail": trip.detail, "time": kill::utc(trip.ts)})
    });
    let halt = controls.halt();
    let first = console.instruments.first();
    let position = first.map(|i| {
        let position = i128::from(gauge("oms.position"));
        json!({"symbol": i.symbol, "base": i.base,
            "position": Decimal { mantissa: position, decimals: i.qty_decimals }.to_string()})
    });
    json!({
        "pid": std::process::id(),
        "dir": console.dir.display().to_string(),
        "state_dir": console.state_dir.display().to_string(),
        "time": kill::utc(now),
        "mode": mode(console),
        "trading": halt.name() == "none",
        "halt": halt.name(),
        "session": controls.session_ready(),
        "stop": stop_name(controls.stop()),
        "strategy": told(controls.standing().of(Member::Strategy)),
        "gateway": told(controls.standing().of(Member::Gateway)),
        "panicked": console.is_dead(),
        "kill": {"tripped": switch.tripped, "epoch": switch.epoch, "state": switch.state.map(|s| s.name()), "trip": trip,
            "beat_age_us": now.since_ns(switch.kill_beat) / 1_000},
        "book": book,
        "position": position,
        "orders": {"open": controls.orders_open(), "sent": counter("gateway.orders_sent"), "acked": counter("oms.acked"),
            "rejected": counter("oms.rejected"), "cancelled": counter("oms.cancelled"), "filled": counter("oms.filled"),
            "unknown": counter("oms.unknown")},
        "fills": counter("oms.fills"),
        "messages": counter("feed.messages"),
    })
}
