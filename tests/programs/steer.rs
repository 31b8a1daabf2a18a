//! Every command against a running engine, judged by the venue.

use std::fs;
use std::time::Duration;

use super::rig::{Running, Scratch, alone, ctl, ctl_done, engine, trading, until, venue};
use corelane::simvenue::Handle;
use topology::Decimal;

fn arrived(venue: &Handle) -> u64 {
    venue.received().len() as u64
}

fn trades_again(venue: &Handle) {
    let before = arrived(venue);
    until("orders arrive again", || arrived(venue) > before + 3);
}

/// Nothing more arrives than what was sent before, and nothing is open.
fn stays_quiet(venue: &Handle, sent: u64) {
    until("what was under way has arrived", || arrived(venue) == sent);
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(arrived(venue), sent, "an order arrived after the mode was followed");
    }
    assert_eq!(venue.open_orders().len(), 0);
}

fn moved(venue: &Handle) -> Decimal {
    let base = venue.look(|v| v.balances().first().map(|(_, free, locked)| *free + *locked));
    base.flatten().unwrap_or_default() - Decimal::from(10)
}

#[test]
fn every_command_does_what_it_says() {
    let _machine = alone();
    let scratch = Scratch::new("steer");
    let (venue, config) = venue(&scratch, 5, "");
    let mut running = trading(&config);
    let shm = scratch.shm();
    trades_again(&venue);

    let status = ctl_done(&shm, "--json status").json();
    assert_eq!((status["trading"].as_bool(), status["mode"]["mode"].as_str()), (Some(true), Some("normal")));
    assert_eq!(status["kill"]["tripped"], false);
    assert_eq!(status["pid"].to_string(), running.pid());
    let screen = ctl_done(&shm, "status").out;
    for text in ["trading    on", "kill       armed", "position", "BTCUSDT"] {
        assert!(screen.contains(text), "{text}: {screen}");
    }

    // Pause: withdrawn, and nothing new.
    ctl_done(&shm, "mode pause");
    let mode = ctl_done(&shm, "--json mode").json();
    assert_eq!((mode["mode"].as_str(), mode["followed"].as_bool()), (Some("pause"), Some(true)));
    stays_quiet(&venue, mode["orders_sent_before"].as_u64().expect("a number"));
    assert_eq!(ctl_done(&shm, "orders").out, "no open orders\n");
    assert!(ctl_done(&shm, "status").out.contains("off by pause"));
    ctl_done(&shm, "mode normal");
    trades_again(&venue);

    // Orders: the venue's own, by price and side.
    let mut seen = false;
    until("an open order seen on both sides", || {
        let listed = ctl_done(&shm, "--json orders").json();
        let open = venue.open_orders();
        let rows = listed["orders"].as_array().expect("orders").clone();
        assert!(rows.len() <= 6);
        seen |= rows.iter().any(|row| {
            let px: Decimal = row["px"].as_str().expect("a price").parse().expect("a decimal");
            open.iter().any(|o| Decimal::new(o.px.0, 8) == px)
        });
        seen
    });

    // Cancel-all: confirmed by the venue; in normal mode trading goes on.
    let said = ctl_done(&shm, "cancel-all").out;
    assert!(said.contains("the venue holds no open order"), "{said}");
    trades_again(&venue);

    // Reduce: the position never grows.
    until("a position", || moved(&venue).abs() >= Decimal::new(2, 3));
    ctl_done(&shm, "mode reduce");
    let mut last = moved(&venue);
    for _ in 0..60 {
        std::thread::sleep(Duration::from_millis(50));
        let now = moved(&venue);
        assert!(now.abs() <= last.abs(), "from {last} to {now}");
        last = now;
    }

    // Emergency: the venue holds nothing; it is left for pause only, and only when that is meant.
    ctl_done(&shm, "mode emergency");
    let sent = ctl_done(&shm, "--json mode").json()["orders_sent_before"].as_u64().expect("a number");
    stays_quiet(&venue, sent);
    for (line, says) in [("mode normal", "by way of pause"), ("mode pause", "needs --confirm")] {
        let said = ctl(&shm, line);
        assert!(said.code == Some(1) && said.err.contains(says), "{said:?}");
    }
    ctl_done(&shm, "mode pause --confirm");
    stays_quiet(&venue, sent);
    ctl_done(&shm, "mode normal");
    trades_again(&venue);

    // Kill: waits for the confirmed stop, says how it is re-armed; nothing resumes by itself.
    let heard = running.said().len();
    let said = ctl_done(&shm, "--json kill").json();
    assert_eq!((said["gate_shut"].as_bool(), said["confirmed"].as_bool()), (Some(true), Some(true)));
    let trip = said["trip"].as_str().expect("its id").to_owned();
    running.wait_for(heard, &format!("rearm --trip {trip}"));
    let sent = arrived(&venue);
    stays_quiet(&venue, sent);
    let status = ctl_done(&shm, "--json status").json();
    assert_eq!((status["kill"]["tripped"].as_bool(), status["halt"].as_str()), (Some(true), Some("killed")));
    assert_eq!(status["kill"]["trip"]["id"].as_str(), Some(trip.as_str()));
    // The program for stopped engines knows that this one runs.
    let rearm = engine().args(["rearm", "--trip", &trip, "--state-dir"]).arg(scratch.state()).output();
    let rearm = String::from_utf8_lossy(&rearm.expect("it runs").stderr).into_owned();
    assert!(rearm.contains("corelane-ctl rearm"), "{rearm}");
    let wrong = ctl(&shm, "rearm --trip 0000-0000");
    assert!(wrong.code == Some(1) && wrong.err.contains("is not the one that tripped"), "{wrong:?}");
    stays_quiet(&venue, sent);
    until("re-armed", || ctl(&shm, &format!("rearm --trip {trip}")).code == Some(0));
    trades_again(&venue);

    // Both locks: a second engine on the same directories is refused.
    let second = engine().arg("run").arg("--config").arg(&config).output().expect("it runs");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.code() == Some(1) && said.contains("another engine"), "{said}");
    assert!(said.contains(&running.pid()), "{said}");

    running.signal("-TERM");
    let (code, said) = running.end();
    assert!(code == Some(0) && said.contains("positions and balances agree"), "{said}");
    let venue = venue.stop().expect("the venue");
    assert_eq!(venue.open_orders().len(), 0);

    // Every command is on record, with who asked and how it ended.
    let log = fs::read_to_string(scratch.state().join("commands.log")).expect("a record");
    let records: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let uid = stats::instance::process_uid().expect("a user");
    assert!(records.iter().all(|r| r["uid"] == uid && r["role"] == "operator" && r["pid"].is_number()));
    for (command, outcome) in [
        ("status", "asked"),
        ("status", "done"),
        ("mode pause", "done: pause is in force and followed"),
        ("mode normal", "refused: emergency is left by way of pause: ask for that first"),
        ("mode pause confirmed", "done: pause is in force and followed"),
        ("orders", "done"),
        ("cancel-all", "done: the venue holds no open order; the mode is one that trades: new orders follow"),
        ("kill", "asked"),
        ("kill", "done: tripped: the gate is shut, and the venue holds no open order"),
        (
            "rearm 0000-0000",
            "refused: trip id \"0000-0000\" is not the one that tripped: read it from the latch",
        ),
    ] {
        let found = records.iter().any(|r| r["command"] == command && r["outcome"] == outcome);
        assert!(found, "{command} / {outcome}:\n{log}");
    }
}

#[test]
fn an_end_while_tripped_says_how_the_next_start_is_had() {
    let _machine = alone();
    let scratch = Scratch::new("tripped");
    let (_venue, config) = venue(&scratch, 6, "");
    let mut running = trading(&config);
    running.signal("-USR1");
    let line = running.wait_for(0, "TRIPPED by signal");
    assert!(line.contains("no order leaves"), "{line}");
    running.wait_for(0, "the stop has ended: the venue holds no open order");
    running.signal("-INT");
    let (code, said) = running.end();
    assert!(code == Some(1) && said.contains("before the next start: corelane rearm --trip "), "{said}");
    let again = engine().arg("run").arg("--config").arg(&config).output().expect("it runs");
    let refused = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(1) && refused.contains("tripped by signal"), "{refused}");
    let command = said.split("corelane rearm ").nth(1).and_then(|l| l.lines().next()).expect("a command");
    let done = engine().arg("rearm").args(command.split_whitespace()).output().expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let running: Running = trading(&config);
    running.signal("-TERM");
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
}
