//! Recordings through the built program: what it makes of them, byte for byte in memory and over real sockets.
//!
//! A small made-up recording always runs. The recordings of `../shared/data` run where they are; they hold 346 s and
//! 305 s of BTCUSDT (`@depth@100ms`, `@bookTicker`, `@trade`), the first with a REST snapshot in its eighth line.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No run takes longer, on however slow a host.
const DEADLINE: Duration = Duration::from_secs(120);
/// Depth updates of the made-up recording, and how many of them its snapshot includes.
const UPDATES: usize = 203;
const STALE: usize = 2;

/// One run at a time: runs over sockets use both cores.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory of this test, gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("corelane-replay-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary directory");
        Scratch(dir)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the demo over these recordings and returns its report; it must end by itself with exit code 0.
fn demo(files: &[&Path], options: &[&str]) -> Value {
    let scratch = Scratch::new(&format!("{:?}", std::thread::current().id()).replace(['(', ')'], ""));
    let json = scratch.0.join("report.json");
    let output = scratch.0.join("output.txt");
    let log = std::fs::File::create(&output).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
    command.arg("demo").args(options).arg("--json").arg(&json);
    files.iter().for_each(|f| {
        command.arg("--replay").arg(f);
    });
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
    command.env_remove("CORELANE_STATE_DIR").env_remove("CORELANE_DEMO_CORRUPT_FILL");
    let mut child = command.spawn().expect("the program starts");
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("its own child") {
            break status;
        }
        if began.elapsed() > DEADLINE {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "{command:?} runs after {DEADLINE:?}: {}",
                std::fs::read_to_string(&output).unwrap_or_default()
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let said = std::fs::read_to_string(&output).unwrap_or_default();
    assert_eq!(status.code(), Some(0), "{command:?}: {said}");
    let text = std::fs::read_to_string(&json).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert!(report["failure"].is_null(), "{command:?}: {}", report["failure"]);
    for part in ["open_orders", "positions", "balances"] {
        assert_eq!(report["agreement"][part], true, "{command:?}: {}", report["agreement"]);
    }
    report
}

/// What a recording says whatever carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Figures {
    updates_seen: u64,
    stale_dropped: u64,
    applied: u64,
    gaps: u64,
    snapshots: u64,
    bbo_samples: u64,
    bbo_matches: u64,
    crossed: u64,
    overflows: u64,
    trades: u64,
    trade_gaps: u64,
    book_state: String,
}

impl Figures {
    fn of(report: &Value) -> Figures {
        let book =
            |name: &str| report["book"][name].as_u64().unwrap_or_else(|| panic!("book.{name}: {report}"));
        Figures {
            updates_seen: book("updates_seen"),
            stale_dropped: book("stale_dropped"),
            applied: book("applied"),
            gaps: book("gaps"),
            snapshots: book("snapshots"),
            bbo_samples: book("bbo_samples"),
            bbo_matches: book("bbo_matches"),
            crossed: book("crossed"),
            overflows: book("overflows"),
            trades: report["trades"]["total"].as_u64().expect("trades"),
            trade_gaps: report["trades"]["gaps"].as_u64().expect("trade gaps"),
            book_state: report["book_state"].as_str().expect("a state").into(),
        }
    }
}

fn sent(report: &Value) -> u64 {
    report["orders"]["sent"].as_u64().expect("orders sent")
}

const MEMORY: [&str; 4] = ["--speed", "max", "--transport", "memory"];
const TLS: [&str; 4] = ["--speed", "max", "--transport", "tls"];

// ---- the made-up recording ---------------------------------------------------------------------------------------

/// Its lines by kind, in order; every third update moves the touch and one trade in two crosses a quote near it.
struct Made {
    lines: Vec<(Kind, String)>,
    /// Body of a snapshot as of each depth update.
    snapshots: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Depth(usize),
    Ticker,
    Trade,
    Snapshot,
}

fn cents(px: i64) -> String {
    format!("{}.{:02}000000", px / 100, px % 100)
}

/// The ten levels a side around a mid, in cents, with quantities that tell their price.
fn levels(mid: i64) -> [Vec<(i64, String)>; 2] {
    let side = |sign: i64| {
        (1..=10)
            .map(|k| mid + sign * k)
            .map(|px| (px, format!("{}.{:05}000", 1 + px % 7, px % 100_000)))
            .collect()
    };
    [side(-1), side(1)]
}

/// What turns one side into another, as a depth update says it.
fn changes(from: &[(i64, String)], to: &[(i64, String)]) -> String {
    let gone = from
        .iter()
        .filter(|(px, _)| !to.iter().any(|l| l.0 == *px))
        .map(|(px, _)| (*px, "0.00000000".into()));
    let new = to.iter().filter(|l| !from.contains(l)).cloned();
    pairs(&gone.chain(new).collect::<Vec<(i64, String)>>())
}

fn pairs(levels: &[(i64, String)]) -> String {
    let text: Vec<String> = levels.iter().map(|(px, qty)| format!(r#"["{}","{qty}"]"#, cents(*px))).collect();
    format!("[{}]", text.join(","))
}

impl Made {
    /// 18 s of a market in which each update comes after its ticker and before a trade, the snapshot behind the second
    /// update.
    fn new() -> Made {
        let mut made = Made { lines: Vec::new(), snapshots: Vec::new() };
        let (mut mid, mut id, mut state) = (6_000_000i64, 1_000u64, 7u64);
        let mut book = levels(mid);
        for n in 0..UPDATES {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            mid += [0, 0, 1, -1, 2, -2][(state >> 33) as usize % 6];
            let ms = 1_700_000_000_000 + 100 * n as u64;
            let (first, last) = (id + 1, id + 3);
            id = last;
            let gone = std::mem::replace(&mut book, levels(mid));
            let best = |side: usize| (cents(book[side][0].0), book[side][0].1.clone());
            let ((bid, bid_qty), (ask, ask_qty)) = (best(0), best(1));
            made.line(
                Kind::Ticker,
                &format!(
                    r#"{{"stream":"btcusdt@bookTicker","data":{{"u":{last},"s":"BTCUSDT","b":"{bid}","B":"{bid_qty}","a":"{ask}","A":"{ask_qty}"}}}}"#
                ),
            );
            made.line(
                Kind::Depth(n),
                &format!(
                    r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{ms},"s":"BTCUSDT","U":{first},"u":{last},"b":{},"a":{}}}}}"#,
                    changes(&gone[0], &book[0]),
                    changes(&gone[1], &book[1])
                ),
            );
            let buyer_rested = n % 2 == 0;
            let px = mid + if buyer_rested { -3 } else { 3 };
            made.line(
                Kind::Trade,
                &format!(
                    r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{ms},"s":"BTCUSDT","t":{},"p":"{}","q":"0.00200000","T":{ms},"m":{buyer_rested},"M":true}}}}"#,
                    5_000 + n,
                    cents(px)
                ),
            );
            let (bids, asks) = (pairs(&book[0]), pairs(&book[1]));
            made.snapshots.push(format!(r#"{{"lastUpdateId":{last},"bids":{bids},"asks":{asks}}}"#));
        }
        made.snapshot_after(STALE - 1);
        made
    }

    fn line(&mut self, kind: Kind, payload: &str) {
        self.lines.push((kind, payload.to_string()));
    }

    /// Puts a snapshot behind the n-th update and what came with it.
    fn snapshot_after(&mut self, n: usize) {
        let at = self.lines.iter().position(|l| l.0 == Kind::Depth(n + 1)).expect("not the last");
        self.lines.insert(at, (Kind::Snapshot, self.snapshots[n].clone()));
    }

    fn without(&self, leave_out: impl Fn(Kind) -> bool) -> Made {
        let lines = self.lines.iter().filter(|l| !leave_out(l.0)).cloned().collect();
        Made { lines, snapshots: self.snapshots.clone() }
    }

    /// As a file: 30 ms between two lines.
    fn text(&self) -> String {
        let mut text = String::new();
        for (i, (_, payload)) in self.lines.iter().enumerate() {
            let _ = writeln!(text, "{} {payload}", 1_700_000_000_000_000_000u64 + 30_000_000 * i as u64);
        }
        text
    }
}

fn sound() -> Figures {
    let (seen, stale) = (UPDATES as u64, STALE as u64);
    let applied = seen - stale;
    Figures {
        updates_seen: seen,
        stale_dropped: stale,
        applied,
        snapshots: 1,
        bbo_samples: applied,
        bbo_matches: applied,
        trades: seen,
        book_state: "in sync".into(),
        ..Figures::default()
    }
}

#[test]
fn a_made_up_recording_gives_its_figures_whatever_carries_it() {
    let _alone = alone();
    let scratch = Scratch::new("sound");
    let file = scratch.file("sound.txt", &Made::new().text());
    let once = demo(&[&file], &MEMORY);
    assert_eq!(Figures::of(&once), sound());
    assert!(sent(&once) > 0 && once["fills"].as_u64() > Some(0), "quotes and trades against them: {once}");
    let again = demo(&[&file], &MEMORY);
    assert_eq!(once["orders_hash"], again["orders_hash"], "one seed, one stream of bytes");
    assert_eq!(once["orders"], again["orders"]);
    let other = demo(&[&file], &[&MEMORY[..], &["--seed", "2"]].concat());
    assert_ne!(once["orders_hash"], other["orders_hash"], "another seed, other times on the wires");
    assert_eq!(Figures::of(&other), sound());
    let tls = demo(&[&file], &TLS);
    assert_eq!(Figures::of(&tls), sound());
    assert_eq!(tls["transport"], "tls");
}

#[test]
fn a_missing_update_is_a_gap_that_only_a_snapshot_heals() {
    let _alone = alone();
    let scratch = Scratch::new("gap");
    let lost = 150;
    let made = Made::new().without(|kind| kind == Kind::Depth(lost));
    let file = scratch.file("gap.txt", &made.text());
    let applied = (lost - STALE) as u64;
    let gap = Figures {
        updates_seen: UPDATES as u64 - 1,
        applied,
        gaps: 1,
        bbo_samples: applied,
        bbo_matches: applied,
        book_state: "gap".into(),
        ..sound()
    };
    for transport in [MEMORY, TLS] {
        assert_eq!(Figures::of(&demo(&[&file], &transport)), gap, "{transport:?}");
    }
    // A second snapshot, twenty updates on.
    let mut healed = made;
    healed.snapshot_after(lost + 20);
    let file = scratch.file("healed.txt", &healed.text());
    let later = (UPDATES - lost - 21) as u64;
    for transport in [MEMORY, TLS] {
        let found = Figures::of(&demo(&[&file], &transport));
        let applied = applied + later;
        let healed = Figures {
            // Updates between gap and snapshot are older than it.
            stale_dropped: STALE as u64 + 20,
            applied,
            snapshots: 2,
            bbo_samples: applied,
            bbo_matches: applied,
            book_state: "in sync".into(),
            ..gap.clone()
        };
        assert_eq!(found, healed, "{transport:?}");
    }
}

#[test]
fn without_a_snapshot_nothing_trades() {
    let _alone = alone();
    let scratch = Scratch::new("bare");
    let file = scratch.file("bare.txt", &Made::new().without(|kind| kind == Kind::Snapshot).text());
    let config = scratch.file("small.toml", &small_buffer());
    let config = config.to_str().expect("a plain path");
    for transport in [MEMORY, TLS] {
        let report = demo(&[&file], &[&transport[..], &["--config", config]].concat());
        let figures = Figures::of(&report);
        let expected = Figures {
            updates_seen: UPDATES as u64,
            // 64 fit; the one that finds the buffer full is dropped with it.
            overflows: UPDATES as u64 / 65,
            trades: UPDATES as u64,
            book_state: "syncing".into(),
            ..Figures::default()
        };
        assert_eq!(figures, expected, "{transport:?}");
        assert_eq!(sent(&report), 0, "{transport:?}");
    }
}

/// The demo's configuration with room for 64 updates while a snapshot is awaited.
fn small_buffer() -> String {
    let shipped = include_str!("../src/demo/demo.toml");
    let small: String = shipped
        .lines()
        .map(|l| {
            if l.starts_with("pending_updates_max") {
                "pending_updates_max = 64\n".into()
            } else {
                format!("{l}\n")
            }
        })
        .collect();
    assert!(small.contains("pending_updates_max = 64"), "the shipped configuration names it");
    small
}

#[test]
fn a_pace_and_an_end_are_kept() {
    let _alone = alone();
    let scratch = Scratch::new("pace");
    let file = scratch.file("pace.txt", &Made::new().text());
    // 18.3 s of market at twice its pace, of which one second is played.
    let report = demo(&[&file], &["--speed", "2", "--seconds", "1", "--transport", "tls"]);
    let figures = Figures::of(&report);
    assert!(figures.updates_seen < UPDATES as u64 / 2, "one second of nine: {figures:?}");
    assert_eq!((figures.gaps, figures.trade_gaps), (0, 0), "{figures:?}");
    // In memory time is the recording's own.
    let report = demo(&[&file], &["--seconds", "3", "--transport", "memory"]);
    let figures = Figures::of(&report);
    assert!((10..40).contains(&figures.updates_seen), "two of eighteen seconds: {figures:?}");
}

// ---- the recordings of 2024-08 -----------------------------------------------------------------------------------

fn recording(day: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../shared/data/binance/spot/hftbacktest_btcusdt_{day}.gz"));
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
    }
    path.exists().then_some(path)
}

fn first_day() -> Figures {
    Figures {
        updates_seen: 3_451,
        stale_dropped: 2,
        applied: 3_449,
        snapshots: 1,
        bbo_samples: 3_449,
        bbo_matches: 3_449,
        trades: 9_757,
        book_state: "in sync".into(),
        ..Figures::default()
    }
}

#[test]
fn a_day_in_memory_gives_the_same_bytes_twice() {
    let Some(day) = recording("20240808") else { return };
    let _alone = alone();
    let once = demo(&[&day], &MEMORY);
    assert_eq!(Figures::of(&once), first_day());
    assert!(sent(&once) > 100, "{} orders", sent(&once));
    let again = demo(&[&day], &MEMORY);
    assert_eq!((&once["orders_hash"], &once["orders"]), (&again["orders_hash"], &again["orders"]));
    println!("{} orders, hash {}", sent(&once), once["orders_hash"]);
}

#[test]
fn a_day_over_sockets_gives_the_same_market() {
    let Some(day) = recording("20240808") else { return };
    let _alone = alone();
    for run in 0..5 {
        let report = demo(&[&day], &TLS);
        assert_eq!(Figures::of(&report), first_day(), "run {run}");
        println!("run {run}: {} orders, {} s", sent(&report), report["wall_seconds"]);
    }
    let paced = Figures::of(&demo(&[&day], &["--speed", "200", "--seconds", "2", "--transport", "tls"]));
    assert!(paced.applied > 0 && paced.gaps == 0 && paced.overflows == 0, "{paced:?}");
    assert!(paced.bbo_samples > paced.applied / 2 && paced.bbo_matches == paced.bbo_samples, "{paced:?}");
}

#[test]
fn a_second_day_follows_without_a_gap_and_alone_has_no_book() {
    let (Some(first), Some(second)) = (recording("20240808"), recording("20240809")) else { return };
    let _alone = alone();
    let both = Figures {
        updates_seen: 6_495,
        applied: 6_493,
        bbo_samples: 6_492,
        // Two states that the ticker left out: no two in a row.
        bbo_matches: 6_490,
        trades: 19_904,
        ..first_day()
    };
    for transport in [MEMORY, TLS] {
        assert_eq!(Figures::of(&demo(&[&first, &second], &transport)), both, "{transport:?}");
        let report = demo(&[&second], &transport);
        let alone = Figures::of(&report);
        assert_eq!((alone.updates_seen, alone.applied, alone.trades), (3_044, 0, 10_147), "{transport:?}");
        assert_eq!((alone.book_state.as_str(), sent(&report)), ("syncing", 0), "{transport:?}");
    }
}
