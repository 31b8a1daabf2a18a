//! An ordinary run: the page people read, the JSON programs read, and the stat tool beside it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::session::{Scratch, alone, assert_agreement, corelane, figure, inside, report, run, start, wait};

const STAGES: [&str; 5] = ["parse", "signal", "risk", "encode", "tick_to_trade"];
/// A page is read in a terminal or pasted into a mail.
const COLUMNS_MAX: usize = 110;

/// Every line fits, is no accident of formatting, and the table has its columns under one another.
fn assert_page(page: &str) {
    for line in page.lines() {
        assert!(line.chars().count() <= COLUMNS_MAX, "{} columns: {line}", line.chars().count());
        assert_eq!(line, line.trim_end(), "blanks at the end of a line");
        for word in line.split(|c: char| !c.is_ascii_alphanumeric()) {
            assert!(!["NaN", "inf", "None", "Some", "null"].contains(&word), "{line}");
        }
        assert!(!line.contains('?') && !line.contains("18446744073709551615"), "{line}");
    }
    let head = page.lines().position(|l| l.starts_with("stage (us)")).expect("a table of stages");
    let rows: Vec<&str> = page.lines().skip(head).take(1 + STAGES.len()).collect();
    for row in &rows {
        assert_eq!(row.chars().count(), rows[0].chars().count(), "one width: {row}");
    }
    for row in &rows[1..] {
        let figures: Vec<f64> = row[38..].split_whitespace().map(|f| f.parse().expect("a figure")).collect();
        // Percentiles and maximum rise; the mean stands behind them.
        assert!(figures.len() == 5 && figures[..4].windows(2).all(|w| w[0] <= w[1]), "{row}");
        assert!(figures[4] <= figures[3], "{row}");
        // More than 10 s for one stage is no latency but a fault.
        assert!(figures[3] < 1e7, "{row}");
    }
    for start in
        ["messages", "orders", "fills", "book", "trades", "refusals", "position", "P&L", "fees", "balance"]
    {
        assert!(page.lines().any(|l| l.starts_with(start)), "no line of {start}:\n{page}");
    }
    assert!(page.contains("engine and venue: open orders agree, positions agree, balances agree"), "{page}");
}

/// What every good report holds, whatever the machine.
fn assert_report(r: &Value) {
    assert_agreement(r);
    assert!(r["kill"]["source"].is_null(), "{r:#}");
    for pointer in ["/kill/orders_after_word", "/kill/orders_after_ack", "/kill/cancels_confirmed"] {
        assert_eq!(figure(r, pointer), 0);
    }
    assert!(figure(r, "/messages/per_second") >= 1_000, "{r:#}");
    let orders = |name: &str| figure(r, &format!("/orders/{name}"));
    assert!(orders("sent") > 50, "{r:#}");
    assert_eq!(orders("sent"), orders("acked") + orders("rejected"), "{r:#}");
    assert!(orders("cancelled") + orders("filled") <= orders("sent"), "{r:#}");
    assert!(figure(r, "/fills") >= orders("filled") && figure(r, "/fills") > 0, "{r:#}");
    let book = |name: &str| figure(r, &format!("/book/{name}"));
    assert!(book("applied") > 10 && book("snapshots") >= 1, "{r:#}");
    assert_eq!(book("bbo_matches"), book("bbo_samples"), "{r:#}");
    assert_eq!((book("gaps"), book("crossed"), book("overflows")), (0, 0, 0), "{r:#}");
    assert_eq!(figure(r, "/trades/gaps"), 0, "{r:#}");
    for stage in STAGES {
        let of = |name: &str| figure(r, &format!("/latency_ns/{stage}/{name}"));
        assert!(of("count") > 0, "{stage}: {r:#}");
        assert!(
            of("p50") <= of("p99") && of("p99") <= of("p999") && of("p999") <= of("max"),
            "{stage}: {r:#}"
        );
    }
    // The stages are the whole: nothing on the way is counted twice or not at all.
    let mean = |stage: &str| figure(r, &format!("/latency_ns/{stage}/mean"));
    let (whole, parts) = STAGES.split_last().expect("stages");
    let sum: u64 = parts.iter().map(|stage| mean(stage)).sum();
    assert!(sum.abs_diff(mean(whole)) * 20 <= mean(whole), "stages add up to {sum} ns, not: {r:#}");
    let hash = r["orders_hash"].as_str().expect("text");
    assert!(hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{hash}");
    assert!(hash.bytes().any(|b| b != b'0'), "{hash}");
    assert!(r["without"].is_array(), "{r:#}");
    if std::thread::available_parallelism().is_ok_and(|n| n.get() > 1) {
        let probe_ns = figure(r, "/probe_ns");
        assert!((1..100_000).contains(&probe_ns), "{probe_ns}");
    }
}

/// The stat tool stands beside the binary; if not, it is built there.
fn stat_tool() -> Option<PathBuf> {
    let profile_dir = Path::new(env!("CARGO_BIN_EXE_corelane")).parent()?;
    let tool = profile_dir.join("corelane-stat");
    if !tool.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "-q", "-p", "corelane-stat", "--target-dir"]).arg(profile_dir.parent()?);
        if profile_dir.ends_with("release") {
            build.arg("--release");
        }
        build.current_dir(env!("CARGO_MANIFEST_DIR")).status().ok()?;
    }
    tool.exists().then_some(tool)
}

#[test]
fn four_seconds_over_tls_trade_and_agree_and_can_be_watched() {
    let tool = stat_tool();
    let _machine = alone();
    let scratch = Scratch::new("tls");
    let (json, shm) = (scratch.file("report.json"), scratch.file("shm"));
    let mut demo = corelane(&scratch);
    demo.args(["demo", "--seconds", "4", "--seed", "3", "--json"]).arg(&json).env("CORELANE_SHM_DIR", &shm);
    let child = start(&mut demo);
    match tool {
        None => println!("skipped: corelane-stat is not there and cannot be built"),
        Some(tool) => {
            let began = Instant::now();
            loop {
                let mut stat = Command::new(&tool);
                inside(&mut stat, &scratch);
                let seen = run(stat.args(["--once", "--json"]).env("CORELANE_SHM_DIR", &shm));
                let view: Value = serde_json::from_str(&seen.stdout).unwrap_or_default();
                if figure_of(&view, "/counters/gateway.orders_sent") > 0 {
                    assert_eq!((seen.code, &view["alive"]), (Some(0), &Value::Bool(true)), "{view:#}");
                    assert_eq!(view["pid"], child.id(), "{view:#}");
                    assert_eq!(view["kill"]["state"], "armed", "{view:#}");
                    break;
                }
                assert!(began.elapsed() < Duration::from_secs(30), "nothing seen: {} {view:#}", seen.stderr);
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
    let finished = wait(child);
    let r = report(&json);
    if r["kill"]["source"].as_str().is_some_and(|s| s.starts_with("stale_beat")) {
        println!("skipped: this host took a core away for seconds, which trips the kill switch as it should");
        return;
    }
    finished.exits(0);
    print!("{}", finished.stdout);
    assert_page(&finished.stdout);
    assert_report(&r);
    assert_eq!((&r["transport"], figure(&r, "/seed")), (&Value::from("tls"), 3));
    // Progress goes where errors go, a line a second, and says first how to watch.
    let mut lines = finished.stderr.lines();
    assert!(lines.next().is_some_and(|l| l.starts_with("running; watch it with: corelane-stat --dir ")));
    assert!(lines.all(|l| l.contains(" messages ") && l.contains(" orders ")), "{}", finished.stderr);
    // Dead, but still to be read: what people ask about is usually over.
    let left = std::fs::read_dir(&shm).expect("the base directory").count();
    assert_eq!(left, 1, "one instance directory is left to look at");
}

fn figure_of(view: &Value, pointer: &str) -> u64 {
    view.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

#[test]
fn four_seconds_in_memory_are_the_same_bytes_for_the_same_seed() {
    let scratch = Scratch::new("memory");
    let once = |seed: &str, name: &str| {
        let json = scratch.file(name);
        let mut demo = corelane(&scratch);
        demo.args(["--seconds", "4", "--transport", "memory", "--seed", seed, "--json"]).arg(&json);
        let finished = run(&mut demo);
        finished.exits(0);
        assert_page(&finished.stdout);
        let r = report(&json);
        assert_report(&r);
        assert_eq!(r["transport"], "memory");
        r
    };
    let (first, again, other) = (once("7", "a"), once("7", "b"), once("8", "c"));
    for same in ["messages", "orders", "fills", "book", "trades", "orders_hash", "refusals", "seconds"] {
        assert_eq!(first[same], again[same], "{same}");
    }
    assert_ne!(first["orders_hash"], other["orders_hash"]);
}
