//! The program itself, on segments that the test makes as an engine would.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use kill::{Fault, KillSwitch, LatchStatus, Source, State, Trip, TripId};
use rings::Ident;
use serde_json::Value;
use stats::instance::Instance;
use stats::{AgentState, Field, Layout, StatsSegment};
use std::fs::{self, DirBuilder};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};
use wire::{OrderState, Slot, Ts};

const TOOL: &str = env!("CARGO_BIN_EXE_corelane-stat");

struct Base(PathBuf);

impl Base {
    fn new(name: &str) -> Base {
        let dir = std::env::temp_dir().join(format!("corelane-stat-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        DirBuilder::new().mode(0o700).create(&dir).unwrap();
        Base(dir)
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(TOOL).args(args).env("CORELANE_SHM_DIR", &self.0).output().unwrap()
    }

    fn text(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.text(args)).unwrap()
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Engine {
    stats: StatsSegment,
    switch: KillSwitch,
    messages: stats::Counter,
    beat: stats::Beat,
    instance: Instance,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn engine(base: &Path, name: &str) -> Engine {
    let instance = Instance::create(base, name).unwrap();
    let mut layout = Layout::new();
    layout.counter("feed.messages").counter("oms.orders").counter("feed.gaps").gauge("oms.position");
    layout.hist("feed.parse").hist("gateway.send").agent("feed").agent("oms").orders(16).ticks(16);
    let ident = Ident { build_hash: 0xb, config_hash: 0xc, ..Ident::default() };
    let stats = StatsSegment::create(instance.dir(), &layout, &ident).unwrap();
    let messages = stats.counter("feed.messages").unwrap();
    messages.add(1_234_567);
    stats.gauge("oms.position").unwrap().set(-2_500);
    let parse = stats.hist("feed.parse").unwrap();
    (1..=1000).for_each(|ns| parse.record(ns));
    let beat = stats.beat("feed").unwrap();
    beat.beat(Ts(now()), 77);
    beat.longest(Ts(now()), 21_000);
    beat.duty(0, 3, 20_000);
    beat.state(AgentState::Running);
    let trace = stats.trace_writer(&Field::ALL).unwrap();
    for order in 0..12u64 {
        let at = 1_790_000_000_000_000_000 + order * 1_000_000;
        let cells = [
            (Field::ClientCycle, 900 + order),
            (Field::ClientTs, at + 310),
            (Field::Cause, order),
            (Field::RecvNs, at),
            (Field::ParsedNs, at + 100),
            (Field::SignalNs, at + 200),
            (Field::RiskNs, at + 300),
            (Field::SentNs, at + if order == 3 { 51_300 } else { 1_300 }),
            (Field::State, OrderState::Live as u64),
        ];
        cells.into_iter().for_each(|(field, value)| assert!(trace.set(Slot(order as u32), field, value)));
    }
    let mut switch = KillSwitch::create(instance.dir(), &["gateway"], &ident).unwrap();
    switch.beat(Ts(now()), 5);
    switch.tell_state(State::Armed, LatchStatus::None);
    switch.arm();
    Engine { stats, switch, messages, beat, instance }
}

#[test]
fn a_living_engine_is_shown_whole() {
    let base = Base::new("alive");
    let mut engine = engine(&base.0, "main");
    // On a busy host a look can come later than beats may be old; then both beat again.
    let mut text = String::new();
    for cycle in 77..97 {
        engine.beat.beat(Ts(now()), 77);
        engine.switch.beat(Ts(now()), cycle);
        text = base.text(&["--once"]);
        if !text.contains("HANGS OR SLEEPS") && !text.contains("SILENT") {
            break;
        }
    }
    let has = |what: &str| assert!(text.contains(what), "{what:?} is missing from\n{text}");
    has(&format!("corelane main  pid {}  alive, newest beat ", std::process::id()));
    has(&format!("in {}, read 20", engine.instance.dir().display()));
    has("build 000000000000000b, configuration 000000000000000c");
    has("armed: orders may leave  epoch 2  beat ");
    has("feed counters\n");
    has("oms counters\n");
    let row = |start: &str| {
        let mut rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        rows.find(|row| row.starts_with(start)).unwrap_or_default()
    };
    assert_eq!(row("feed.messages"), "feed.messages 1 234 567 -");
    assert_eq!(row("oms.position"), "oms.position -2 500");
    assert_eq!(row("feed.parse"), "feed.parse 1 000 500 ns 900 ns 990 ns 999 ns 1.00 us 500 ns");
    assert_eq!(row("gateway.send"), "gateway.send 0");
    // Busy: none of the little time there was between two beats.
    let feed = row("feed running");
    assert!(feed.contains("77 0 0.0 % 3 over 20.0 us 21.0 us"), "{feed}");
    assert!(row("oms absent").starts_with("oms absent never 0 0 - - 0 ns"), "{}", row("oms absent"));
    has("last orders (10 of 12 slots used)\n");
    assert_eq!(
        row("11 2026"),
        "11 2026-09-21T14:13:20.011000300Z 11 100 ns 100 ns 100 ns 1.00 us - 1.30 us Live 911"
    );
    assert!(!text.contains('\x1b'), "no control codes where there is no terminal");
    let starts: Vec<usize> = ["feed.messages", "feed.gaps"]
        .iter()
        .map(|name| text.lines().find(|line| line.contains(name)).unwrap().find(name).unwrap())
        .collect();
    assert_eq!(starts, [2, 2]);
    drop(engine);
}

#[test]
fn json_says_the_same() {
    let base = Base::new("json");
    let engine = engine(&base.0, "main");
    let json = base.json(&["--once", "--json", "--orders", "2"]);
    assert_eq!(json["instance"], "main");
    assert_eq!(json["alive"], true);
    assert_eq!(json["counters"]["feed.messages"], 1_234_567);
    assert_eq!(json["gauges"]["oms.position"], -2_500);
    assert_eq!(json["hists"]["feed.parse"]["p99_ns"], 990);
    assert_eq!(json["agents"][0]["longest_cycle_ns"], 21_000);
    assert_eq!(json["agents"][0]["slow_cycles"], 3);
    assert_eq!(json["agents"][0]["slow_cycle_ns"], 20_000);
    assert_eq!(json["agents"][1]["beat_age_ns"], Value::Null);
    assert_eq!(json["agents"][1]["slow_cycle_ns"], Value::Null);
    assert_eq!(json["agents"][1]["busy_ppm"], Value::Null);
    assert_eq!(json["orders"].as_array().unwrap().len(), 2);
    assert_eq!(json["orders"][0]["slot"], 11);
    let worst = base.json(&["--once", "--json", "--orders", "2", "--worst"]);
    let slots: Vec<&Value> = worst["orders"].as_array().unwrap().iter().map(|o| &o["slot"]).collect();
    assert_eq!(slots, [3, 11], "the slowest, then the latest of equals");
    assert!(base.text(&["--once", "--worst"]).contains("worst orders (10 of 12 slots used)\n"));
    assert_eq!(json["orders"][0]["stages_ns"]["send"], 1_000);
    assert_eq!(json["orders"][0]["stages_ns"]["answer"], Value::Null);
    assert_eq!(json["kill"]["tripped"], false);
    assert_eq!(json["kill_error"], Value::Null);
    assert!(json["newest_beat_age_ns"].as_u64().unwrap() < 600_000_000_000);
    drop(engine);
}

#[test]
fn a_dead_tripped_engine_still_tells() {
    let base = Base::new("dead");
    let mut engine = engine(&base.0, "main");
    let ack = engine.switch.sender("gateway").unwrap();
    ack.sent(8, 41);
    let trip = Trip { source: Source::Line { line: 0 }, fault: Fault::Asked, ts: Ts(now()) };
    let epoch = engine.switch.trip();
    let id = TripId::random();
    engine.switch.tell_trip(&trip, id, "estop", "loop open");
    engine.switch.tell_state(State::Acked, LatchStatus::Failed { errno: 28 });
    ack.sent(9, 42);
    ack.acknowledge(epoch, trip.ts.plus_ns(150_000), 9, 42);
    drop((engine, ack));
    let text = base.text(&["--once"]);
    let has = |what: &str| assert!(text.contains(what), "{what:?} is missing from\n{text}");
    has("DEAD: nobody holds its lock; figures are its last, newest beat ");
    has("TRIPPED, acked  epoch 3");
    has(&format!("trip {id}  line 0 estop: loop open, at "));
    has("latch NOT ON DISK: No space left on device");
    has("acknowledged after 150.0 us");
    let json = base.json(&["--once", "--json"]);
    assert_eq!((&json["alive"], &json["kill"]["latch"]), (&Value::Bool(false), &Value::from("failed")));
    assert_eq!(json["kill"]["trip"]["id"], id.to_string());
    assert_eq!(json["kill"]["senders"][0]["orders_past_word"], 1);
    assert_eq!(json["counters"]["feed.messages"], 1_234_567);
}

#[test]
fn the_newest_living_engine_is_chosen_and_dir_overrides() {
    let base = Base::new("newest");
    let old = engine(&base.0, "old");
    let young = engine(&base.0, "young");
    assert_eq!(base.json(&["--once", "--json"])["instance"], "young");
    let old_dir = old.instance.dir().to_str().unwrap().to_string();
    assert_eq!(base.json(&["--once", "--json", "--dir", &old_dir])["instance"], "old");
    let other = Base::new("newest-empty");
    let base_dir = base.0.to_str().unwrap();
    assert_eq!(other.json(&["--once", "--json", "--dir", base_dir])["instance"], "young");
    drop(young);
    assert_eq!(base.json(&["--once", "--json"])["instance"], "old");
    drop(old);
    assert!(base.text(&["--once"]).contains("  was armed when it died  "));
    assert_eq!(base.json(&["--once", "--json"])["instance"], "young", "of the dead, the newest");
}

#[test]
fn it_repeats_with_rates_until_its_reader_goes() {
    let base = Base::new("live");
    let engine = engine(&base.0, "main");
    let mut child =
        Command::new(TOOL).env("CORELANE_SHM_DIR", &base.0).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next_row =
        || lines.by_ref().map(Result::unwrap).find(|line| line.contains("feed.messages")).unwrap();
    assert!(next_row().ends_with('-'));
    engine.messages.add(1_000_000);
    let second = next_row();
    assert!(second.contains("2 234 567") && !second.ends_with('-'), "{second}");
    drop(lines);
    assert!(child.wait().unwrap().success(), "a closed pipe is no error");
}

#[test]
fn what_cannot_be_shown_is_said() {
    let base = Base::new("none");
    let fails = |args: &[&str], code: i32, what: &str| {
        let output = base.run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(what), "{what:?} is missing from {stderr:?}");
        assert!(output.stdout.is_empty());
    };
    fails(&["--once"], 1, "no engine instance under");
    fails(&["--once"], 1, "start `corelane`");
    fails(&["--once", "--dir", "/nonexistent"], 1, "not a directory");
    fails(&["--often"], 2, "unknown argument \"--often\"");
    fails(&["--dir"], 2, "--dir needs a directory");
    let instance = Instance::create(&base.0, "main").unwrap();
    fails(&["--once"], 1, "is still starting: try again");
    fs::write(instance.dir().join("stats"), vec![7u8; 4096]).unwrap();
    fails(&["--once"], 1, "cannot read ");
    let help = base.run(&["--help"]);
    assert!(
        help.status.success() && String::from_utf8_lossy(&help.stdout).starts_with("usage: corelane-stat")
    );
}

#[test]
fn busy_shares_are_of_all_time_or_of_the_time_between_two_looks() {
    let base = Base::new("busy");
    let engine = engine(&base.0, "main");
    let oms = engine.stats.beat("oms").unwrap();
    let start = now();
    oms.beat(Ts(start), 1);
    oms.beat(Ts(start + 1_000_000_000), 2);
    oms.duty(250_000_000, 0, 100_000);
    oms.state(AgentState::Running);
    let share = |text: &str| {
        let row = text.lines().find(|line| line.trim_start().starts_with("oms  ")).unwrap().to_string();
        row.split_whitespace().collect::<Vec<_>>().windows(2).find(|w| w[1] == "%").unwrap()[0].to_string()
    };
    assert_eq!(share(&base.text(&["--once"])), "25.0");
    assert_eq!(base.json(&["--once", "--json"])["agents"][1]["busy_ppm"], 250_000);
    // A page a second: the first of all time, the next of what came between.
    let mut child =
        Command::new(TOOL).env("CORELANE_SHM_DIR", &base.0).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut next = || share(&lines.by_ref().find(|line| line.trim_start().starts_with("oms  ")).unwrap());
    assert_eq!(next(), "25.0");
    oms.beat(Ts(start + 3_000_000_000), 3);
    oms.duty(1_500_000_000, 0, 100_000);
    assert_eq!(next(), "75.0");
    drop(lines);
    assert!(child.wait().unwrap().success());
}

/// Statistics of an engine that has died, changed by `f`.
fn spoilt(base: &Base, f: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let dead = engine(&base.0, "spoilt");
    let file = dead.instance.dir().join("stats");
    drop(dead);
    let mut bytes = fs::read(&file).unwrap();
    f(&mut bytes);
    fs::write(&file, bytes).unwrap();
    file
}

#[test]
fn what_stands_where_statistics_should_is_named() {
    let base = Base::new("foreign");
    let said = |f: &dyn Fn(&mut Vec<u8>)| {
        let file = spoilt(&base, f);
        let dir = file.parent().unwrap();
        let output = base.run(&["--once", "--dir", dir.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty(), "nothing is shown of what is not understood");
        let stderr = String::from_utf8(output.stderr).unwrap();
        let cannot = format!("corelane-stat: cannot read {}: ", file.display());
        let said = stderr.strip_prefix(&cannot).unwrap_or_else(|| panic!("{stderr:?}")).to_string();
        fs::remove_dir_all(dir).unwrap();
        said
    };
    let version = stats::LAYOUT_VERSION;
    let put =
        |at: usize, word: u32| move |b: &mut Vec<u8>| b[at..at + 4].copy_from_slice(&word.to_le_bytes());
    assert_eq!(
        said(&put(8, version + 1)),
        format!(
            "statistics of a newer release: use its corelane-stat: layout version is {}, this program reads {version}\n",
            version + 1
        )
    );
    assert!(
        said(&put(8, version - 1)).starts_with("statistics of an older release: use its corelane-stat: ")
    );
    let other = said(&put(12, u32::from_le_bytes(*b"brds")));
    assert!(other.starts_with("a corelane segment, but of type \"brds\", not statistics: "), "{other}");
    assert!(
        said(&|b| b[..8].fill(7)).starts_with("no corelane segment, or one of another header: magic is 0x07")
    );
    assert!(said(&|b| b[..8].fill(0)).starts_with("statistics in the making: try again"));
    assert!(said(&|b| b.truncate(b.len() / 2)).starts_with("statistics that were cut off: "));
    assert!(said(&|b| b.truncate(100)).starts_with("statistics that were cut off: "));
    assert!(
        said(&|b| b.extend([0; 8192]))
            .starts_with("statistics with something behind them that is not theirs: ")
    );
    assert!(said(&|b| b.clear()).starts_with("statistics in the making: try again"));
    let open = spoilt(&base, |_| {});
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let output = base.run(&["--once", "--dir", open.parent().unwrap().to_str().unwrap()]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("statistics that are not this user's alone: run as the engine's user"),
        "{stderr}"
    );
    // One that has died and was not touched is shown, as dead.
    fs::set_permissions(&open, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(
        base.text(&["--once", "--dir", open.parent().unwrap().to_str().unwrap()])
            .contains("DEAD: nobody holds")
    );
}

#[test]
fn figures_are_those_of_hdrhistogram_on_the_same_samples() {
    let base = Base::new("exact");
    let engine = engine(&base.0, "main");
    let send = engine.stats.hist("gateway.send").unwrap();
    let mut hdr = Histogram::<u64>::new_with_bounds(1, stats::VALUE_MAX_NS, 3).unwrap();
    for i in 1..20_000u64 {
        let ns = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (28 + i % 33);
        send.record(ns);
        hdr.record(ns.min(stats::VALUE_MAX_NS)).unwrap();
    }
    let shown = &base.json(&["--once", "--json"])["hists"]["gateway.send"];
    assert_eq!(shown["count"], hdr.len());
    for (name, quantile) in [("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99), ("p999_ns", 0.999)] {
        assert_eq!(shown[name], hdr.value_at_quantile(quantile), "{name}");
    }
    assert_eq!(shown["max_ns"], hdr.max());
    assert_eq!(shown["mean_ns"], (hdr.mean() * 10.0).round() / 10.0);
}

#[test]
fn statistics_without_a_kill_switch_are_shown() {
    let base = Base::new("nokill");
    let engine = engine(&base.0, "main");
    fs::remove_file(engine.instance.dir().join("control")).unwrap();
    assert!(base.text(&["--once"]).contains("kill\n  not shown: no segment at"));
    assert_eq!(base.json(&["--once", "--json"])["kill"], Value::Null);
    assert!(engine.stats.header().is_some());
}

#[test]
fn boards_are_shown_with_their_scales() {
    use stats::boards::{Boards, PositionBoard, TopBoard};
    use wire::{BookState, Px, Qty};
    let base = Base::new("boards");
    let engine = engine(&base.0, "main");
    let mut boards = Boards::create(engine.instance.dir(), 1, &Ident::default()).unwrap();
    let (mut tops, mut positions) = (boards.top_writers().unwrap(), boards.position_writers().unwrap());
    tops[0].publish(&TopBoard {
        bid: (Px(6_173_763), Qty(150)),
        ask: (Px(6_173_764), Qty(25)),
        ts_recv: Ts(now()),
        state: BookState::InSync,
        px_decimals: 2,
        qty_decimals: 2,
    });
    positions[0].publish(&PositionBoard { position: -5, trading: true, ..PositionBoard::default() });
    let text = base.text(&["--once"]);
    assert!(text.contains("61737.63") && text.contains("1.5") && text.contains("-0.05"), "{text}");
    let json = base.json(&["--once", "--json"]);
    assert_eq!(json["boards"][0]["top"]["bid_px"], 6_173_763);
    assert_eq!(json["boards"][0]["position"]["position"], -5);
}

/// What an interval log holds, all intervals of a tag added up.
fn logged(text: &str, tag: &str) -> (usize, Histogram<u64>) {
    let mut whole = Histogram::<u64>::new_with_bounds(1, stats::VALUE_MAX_NS, 3).unwrap();
    let mut lines = 0;
    // A line is whole when its end is there: the tool may be writing the next.
    let text = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    for entry in IntervalLogIterator::new(text.as_bytes()) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        if interval.tag().unwrap().as_str() == tag {
            let bytes = BASE64.decode(interval.encoded_histogram()).unwrap();
            let part: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
            whole.add(&part).unwrap();
            lines += 1;
        }
    }
    (lines, whole)
}

#[test]
fn latencies_are_exported_as_hdrhistogram_reads_them() {
    let base = Base::new("hlog");
    let engine = engine(&base.0, "main");
    let send = engine.stats.hist("gateway.send").unwrap();
    let mut want = Histogram::<u64>::new_with_bounds(1, stats::VALUE_MAX_NS, 3).unwrap();
    for i in 0..5_000u64 {
        let ns = (i * i * 7_919) % 90_000_000_000;
        send.record(ns);
        want.record(ns).unwrap();
    }
    let log = base.0.join("once.hlog");
    base.text(&["--once", "--hlog", log.to_str().unwrap()]);
    let text = fs::read_to_string(&log).unwrap();
    assert!(
        text.starts_with("#[Histogram log format version 1.3]\n") && text.contains("#[BaseTime: "),
        "{text}"
    );
    let (lines, got) = logged(&text, "gateway.send");
    assert_eq!((lines, got.len()), (1, 5_000));
    for step in 0..=1_000 {
        let quantile = f64::from(step) / 1_000.0;
        assert_eq!(got.value_at_quantile(quantile), want.value_at_quantile(quantile), "{quantile}");
    }
    assert_eq!(logged(&text, "feed.parse").1.len(), 1_000);

    // Live: what comes after its start, by intervals, until the engine has died.
    let log = base.0.join("live.hlog");
    let mut tool = Command::new(TOOL)
        .args(["--hlog", log.to_str().unwrap()])
        .env("CORELANE_SHM_DIR", &base.0)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let wait = |enough: &dyn Fn(&str) -> bool| {
        let began = std::time::Instant::now();
        while !enough(&fs::read_to_string(&log).unwrap_or_default()) {
            assert!(began.elapsed().as_secs() < 60, "the log does not grow");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    wait(&|text| text.contains("#[MaxValueDivisor"));
    let mut recorded = 0;
    for part in 1..=2 {
        // The first look may come after the first of these; then they are in no interval.
        while logged(&fs::read_to_string(&log).unwrap(), "gateway.send").0 < part {
            send.record(1_500);
            recorded += 1;
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    drop((engine, send)); // a cell keeps its segment
    assert!(tool.wait().unwrap().success(), "it ends with the engine");
    let (lines, got) = logged(&fs::read_to_string(&log).unwrap(), "gateway.send");
    assert!(
        lines >= 2 && got.len() <= recorded && got.len() + 400 > recorded,
        "{lines} {} {recorded}",
        got.len()
    );
    assert_eq!(got.max(), want.highest_equivalent(1_500));
}

#[test]
fn a_log_that_cannot_be_written_is_told() {
    let base = Base::new("hlog-refused");
    let _engine = engine(&base.0, "main");
    let output = base.run(&["--once", "--hlog", "/proc/no/such.hlog"]);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && err.contains("/proc/no/such.hlog"), "{err}");
}
