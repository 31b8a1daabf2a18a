//! The readers for C and Python beside the writers they read: on a living engine's files, a dead one's, and on bytes that
//! no engine wrote. Where `cc` or `python3` is missing, its reader is skipped, and the test says so.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use corelane_stats as stats;
use rings::Ident;
use stats::boards::{BOARDS_FILE, Boards, PositionBoard, TopBoard};
use stats::{AgentState, Beat, Counter, Field, Layout, STATS_FILE, StatsReader, StatsSegment};
use wire::{BookState, Px, Qty, Slot, Ts};

/// First byte of the body.
const BODY: u64 = 256;

/// First byte of the first instrument's top: words of a board, its version among them, count from here.
const TOP: u64 = BODY + 16 * 8;

#[path = "../scratch.rs"]
mod scratch;
use scratch::Scratch;

impl Scratch {
    /// Overwrites bytes of a file as no writer would.
    fn spoil(&self, file: &str, at: u64, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).open(self.path().join(file)).expect("the file");
        file.write_all_at(bytes, at).expect("written");
    }
}

/// A program that shows an instance directory.
#[derive(Clone, Debug)]
struct Reader {
    name: &'static str,
    program: PathBuf,
    first: Option<PathBuf>,
}

impl Reader {
    fn run(&self, dir: &Path, more: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(&self.first).arg(dir).args(more).output().expect("the reader starts")
    }

    /// What it prints; panics when it fails.
    fn shows(&self, dir: &Path, more: &[&str]) -> String {
        let output = self.run(dir, more);
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && why.is_empty(), "{}: {}: {why}", self.name, output.status);
        String::from_utf8(output.stdout).expect("text")
    }

    /// Why it cannot open a file: what stands behind its name on standard error.
    fn refuses(&self, dir: &Path, file: &str) -> Option<String> {
        let output = self.run(dir, &[]);
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        why.lines().find_map(|line| line.strip_prefix(&format!("{file}: ")).map(str::to_owned))
    }
}

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("readers").join(file)
}

fn exists(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: there is no {program} here");
    }
    found
}

/// The readers that can run here.
fn readers() -> Vec<Reader> {
    static READERS: OnceLock<Vec<Reader>> = OnceLock::new();
    let found = READERS.get_or_init(|| {
        let c = exists("cc").then(|| Reader { name: "show.c", program: compile(), first: None });
        let first = Some(source("corelane_stats.py"));
        let python = exists("python3").then(|| Reader { name: "Python", program: "python3".into(), first });
        c.into_iter().chain(python).collect()
    });
    found.clone()
}

/// Compiles `show.c`, every warning an error, and with what catches a wrong step where the compiler brings it.
fn compile() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (program, aside) = (folder.join("show"), folder.join(format!("show-{}", std::process::id())));
    let strict = ["-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-D_GNU_SOURCE"];
    let cc = |more: &[&str]| {
        let mut command = Command::new("cc");
        command.args(["-std=c11"]).args(strict).args(more).arg("-o").arg(&aside).arg(source("show.c"));
        command.arg("-lm").output().expect("cc starts")
    };
    if !cc(&["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]).status.success() {
        let plain = cc(&[]);
        assert!(plain.status.success(), "{}", String::from_utf8_lossy(&plain.stderr));
    }
    fs::rename(&aside, &program).expect("one program for all runs");
    program
}

struct Engine {
    segment: StatsSegment,
    boards: Boards,
    _cells: (Counter, Beat),
}

/// An engine that has worked a little.
fn engine(dir: &Path) -> Engine {
    let mut layout = Layout::new();
    layout.counter("feed.messages").counter("oms.orders").gauge("oms.position").hist("feed.parse");
    layout.hist("oms.empty").agent("feed").agent("oms").orders(4).ticks(8);
    let ident = Ident { build_hash: 0xb, config_hash: u64::MAX, ..Ident::default() };
    let segment = StatsSegment::create(dir, &layout, &ident).expect("a segment");
    let messages = segment.counter("feed.messages").expect("it");
    messages.add(u64::MAX - 1);
    segment.gauge("oms.position").expect("it").set(-7);
    let parse = segment.hist("feed.parse").expect("it");
    let mut state = 5u64;
    for _ in 0..20_011 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        parse.record((state >> 20) >> (state % 44));
    }
    let beat = segment.beat("oms").expect("it");
    beat.beat(Ts(1_000), 1);
    beat.beat(Ts(5_000), 9);
    beat.duty(600, 2, 100);
    beat.longest(Ts(4_000), 333);
    beat.state(AgentState::Running);
    let trace = segment.trace_writer(&Field::ALL).expect("it");
    let row = |slot, values: [u64; 10]| {
        for (field, value) in Field::ALL.into_iter().zip(values) {
            assert!(trace.set(Slot(slot), field, value));
        }
    };
    row(0, [7, 62, 3, 50, 51, 55, 60, 65, 90, 1]);
    // The slot's next order has come as far as the gate: what follows is still the old one's.
    row(3, [7, 62, 8, 150, 151, 155, 160, 65, 90, 0]);
    segment.tick_writer().expect("it").parsed(6, Ts(10), Ts(12));
    segment.signal_writer().expect("it").signal(6, Ts(15));

    let mut boards = Boards::create(dir, 2, &ident).expect("boards");
    let mut tops = boards.top_writers().expect("writers");
    let mut positions = boards.position_writers().expect("writers");
    tops[0].publish(&top(0));
    tops[1].publish(&top(1));
    tops[1].publish(&top(2));
    let (realised, unrealised) = (-(1i128 << 70) + 5, (1i128 << 65) + 9);
    let (position, ts) = (-3, Ts(5));
    positions[1].publish(&PositionBoard {
        position,
        realised,
        unrealised,
        open_orders: 2,
        ts,
        trading: true,
    });
    Engine { segment, boards, _cells: (messages, beat) }
}

/// A top of which every word follows from `n`.
fn top(n: i64) -> TopBoard {
    TopBoard {
        bid: (Px(n - 9), Qty(n + 1)),
        ask: (Px(n + 2), Qty(n + 3)),
        ts_recv: Ts(n as u64 + 4),
        state: BookState::InSync,
        px_decimals: 8,
        qty_decimals: 5,
    }
}

fn top_line(instrument: usize, published: u64, n: i64) -> String {
    let (bid, ask) = (format!("{}x{}", n - 9, n + 1), format!("{}x{}", n + 2, n + 3));
    let times = format!("recv_ns={} state=2 decimals=8,5", n + 4);
    format!("top {instrument} published={published} bid={bid} ask={ask} {times}\n")
}

/// What both readers must print of that engine: known values, and of the histograms what our own reader answers.
fn expected(dir: &Path, alive: bool) -> String {
    let reader = StatsReader::open(dir).expect("a reader");
    let mut page = format!(
        "stats pid={} epoch=1 build=000000000000000b config=ffffffffffffffff alive={}\n",
        std::process::id(),
        u8::from(alive)
    );
    page += "counter feed.messages 18446744073709551614\ncounter oms.orders 0\ngauge oms.position -7\n";
    for (name, h) in reader.snapshot().hists {
        let (p50, p90, p99, p999) = (h.p50_ns, h.p90_ns, h.p99_ns, h.p999_ns);
        let (count, max) = (h.count, h.max_ns);
        _ = writeln!(page, "hist {name} count={count} p50={p50} p90={p90} p99={p99} p999={p999} max={max}");
    }
    page += "agent feed last_beat_ns=0 cycles=0 longest_cycle_ns=0 longest_cycle_at_ns=0 state=0 work=0 busy_ns=0 \
             slow_cycles=0 slow_cycle_ns=0 first_beat_ns=0\n";
    page += "agent oms last_beat_ns=5000 cycles=9 longest_cycle_ns=333 longest_cycle_at_ns=4000 state=2 work=0 \
             busy_ns=600 slow_cycles=2 slow_cycle_ns=100 first_beat_ns=1000\n";
    page += "order 0 client_cycle=7 client_ns=62 cause=3 recv_ns=50 parsed_ns=51 signal_ns=55 risk_ns=60 sent_ns=65 \
             acked_ns=90 state=1\n";
    page += "order 3 client_cycle=0 client_ns=0 cause=8 recv_ns=150 parsed_ns=151 signal_ns=155 risk_ns=160 \
             sent_ns=0 acked_ns=0 state=0\n";
    page += "tick 6 feed_cause_plus_1=7 recv_ns=10 parsed_ns=12 strategy_cause_plus_1=7 signal_ns=15\nrefused 0\n";
    page += &top_line(0, 1, 0);
    page += &top_line(1, 2, 2);
    page += "position 1 published=1 base=-3 realised=ffffffffffffffc00000000000000005 \
             unrealised=00000000000000020000000000000009 open=2 ts_ns=5 trading=1\n";
    page
}

#[test]
fn both_show_what_the_engine_wrote_while_it_lives_and_after() {
    let scratch = Scratch::new("readers-whole");
    let engine = engine(scratch.path());
    assert!(StatsReader::open(scratch.path()).expect("it").snapshot().hists[0].1.p999_ns > 1_000_000);
    for reader in readers() {
        assert_eq!(reader.shows(scratch.path(), &[]), expected(scratch.path(), true), "{}", reader.name);
    }
    drop(engine);
    for reader in readers() {
        assert_eq!(reader.shows(scratch.path(), &[]), expected(scratch.path(), false), "{}", reader.name);
    }
}

#[test]
fn quantiles_are_those_of_our_own_reader() {
    // One value has its bucket's end for every quantile, at every width; of three, the middle one is the median.
    let scratch = Scratch::new("readers-quantiles");
    for values in [&[1][..], &[1025], &[2049], &[4097], &[1 << 20 | 1], &[1 << 36 | 1], &[10, 1_000, 100_000]]
    {
        let _ = fs::remove_file(scratch.path().join(STATS_FILE));
        let mut layout = Layout::new();
        layout.hist("a");
        let segment = StatsSegment::create(scratch.path(), &layout, &Ident::default()).expect("a segment");
        let hist = segment.hist("a").expect("it");
        values.iter().for_each(|ns| hist.record(*ns));
        let own = segment.snapshot().hists[0].1;
        let line = format!(
            "hist a count={} p50={} p90={} p99={} p999={} max={}\n",
            own.count, own.p50_ns, own.p90_ns, own.p99_ns, own.p999_ns, own.max_ns
        );
        for reader in readers() {
            let output = reader.run(scratch.path(), &[]);
            let page = String::from_utf8_lossy(&output.stdout);
            assert!(page.contains(&line), "{}: {page} instead of {line}", reader.name);
        }
    }
}

/// What is done to the files, to which of them, and the name of the refusal.
type Spoilt = (&'static str, fn(&Scratch), &'static str);

#[test]
fn every_way_not_to_open_has_its_name() {
    fn set_len(scratch: &Scratch, len: u64) {
        let file = OpenOptions::new().write(true).open(scratch.path().join(STATS_FILE)).expect("the file");
        file.set_len(len).expect("cut");
    }
    fn mode(scratch: &Scratch, mode: u32) {
        fs::set_permissions(scratch.path().join(STATS_FILE), PermissionsExt::from_mode(mode)).expect("chmod");
    }
    fn remove(scratch: &Scratch) {
        fs::remove_file(scratch.path().join(STATS_FILE)).expect("removed");
    }
    let ways: [Spoilt; 14] = [
        (STATS_FILE, remove, "not_found"),
        (
            STATS_FILE,
            |s| (remove(s), fs::create_dir(s.path().join(STATS_FILE)).expect("made")).1,
            "not_a_file",
        ),
        (
            STATS_FILE,
            |s| (remove(s), symlink(s.path().join(BOARDS_FILE), s.path().join(STATS_FILE)).expect("made")).1,
            "not_a_file",
        ),
        (STATS_FILE, |s| mode(s, 0o640), "permissions"),
        (STATS_FILE, |s| set_len(s, 0), "not_ready"),
        (STATS_FILE, |s| s.spoil(STATS_FILE, 0, &[0; 8]), "not_ready"),
        (STATS_FILE, |s| s.spoil(STATS_FILE, 0, b"x"), "wrong_magic"),
        (STATS_FILE, |s| s.spoil(STATS_FILE, 12, b"brds"), "wrong_type"),
        (STATS_FILE, |s| s.spoil(STATS_FILE, 8, &[1]), "wrong_layout"),
        (BOARDS_FILE, |s| s.spoil(BOARDS_FILE, 8, &[9]), "wrong_layout"),
        (STATS_FILE, |s| set_len(s, 255), "truncated"),
        (STATS_FILE, |s| set_len(s, 4096), "truncated"),
        (STATS_FILE, |s| s.spoil(STATS_FILE, 16, &[0xff; 8]), "truncated"),
        (STATS_FILE, |s| s.spoil(STATS_FILE, 16, &16u64.to_le_bytes()), "wrong_size"),
    ];
    for (i, (file, spoil, why)) in ways.into_iter().enumerate() {
        let scratch = Scratch::new(&format!("readers-way-{i}"));
        let engine = engine(scratch.path());
        spoil(&scratch);
        for reader in readers() {
            let found = reader.refuses(scratch.path(), file);
            assert_eq!(found.as_deref(), Some(why), "{}: way {i}", reader.name);
        }
        drop(engine);
    }
    let nowhere = Scratch::new("readers-nowhere");
    for reader in readers() {
        assert_eq!(reader.run(&nowhere.path().join("gone"), &[]).status.code(), Some(1), "{}", reader.name);
    }
}

#[test]
fn a_writer_dead_at_its_board_leaves_nothing_to_show() {
    let scratch = Scratch::new("readers-odd");
    let engine = engine(scratch.path());
    let line = top_line(0, 1, 0);
    for reader in readers() {
        assert!(reader.shows(scratch.path(), &[]).contains(&line), "{}", reader.name);
    }
    scratch.spoil(BOARDS_FILE, TOP + 16 * 8, &3u64.to_le_bytes());
    for reader in readers() {
        let page = reader.shows(scratch.path(), &[]);
        assert!(!page.contains("top 0") && page.contains("top 1"), "{}: {page}", reader.name);
    }
    scratch.spoil(BOARDS_FILE, TOP + 16 * 8, &4u64.to_le_bytes());
    scratch.spoil(BOARDS_FILE, TOP, b"x");
    for reader in readers() {
        let page = reader.shows(scratch.path(), &[]);
        assert!(!page.contains("top 0"), "{}: no board has this tag: {page}", reader.name);
    }
    drop(engine);
}

#[test]
fn nobody_reads_half_a_top() {
    let scratch = Scratch::new("readers-torn");
    let mut boards = Boards::create(scratch.path(), 1, &Ident::default()).expect("boards");
    let mut writer = boards.top_writers().expect("writers").remove(0);
    boards.position_writers().expect("writers");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            for n in (1..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                writer.publish(&top(n));
                // A slow reader finds the board whole in the pauses, a quick one meets the writer at work.
                if n % (1 << 16) == 0 {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        });
        let looked: Vec<(&str, Output)> = readers()
            .into_iter()
            .map(|reader| {
                let looks = if reader.name == "Python" { "2000" } else { "20000" };
                (reader.name, reader.run(scratch.path(), &[looks]))
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        for (name, output) in looked {
            let page = String::from_utf8(output.stdout).expect("text");
            let mut last = 0;
            for line in page.lines() {
                let published = line.strip_prefix("top 0 published=").and_then(|l| l.split(' ').next());
                let published: u64 = published.and_then(|n| n.parse().ok()).expect("a line of a top");
                assert!(published >= last, "{name}: {line} after {last}");
                assert_eq!(format!("{line}\n"), top_line(0, published, published as i64), "{name}");
                last = published;
            }
            assert!(last > 0, "{name}: nothing was seen in so many looks");
        }
    });
}

/// Any bytes in the directory, the heads and the boards: shown, refused, never followed out of the file.
#[test]
fn bytes_that_no_engine_wrote_do_no_harm() {
    let scratch = Scratch::new("readers-hostile");
    let engine = engine(scratch.path());
    let mut state = 11u64;
    let mut roll = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state ^ state >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd)
    };
    let sane = [STATS_FILE, BOARDS_FILE].map(|file| fs::read(scratch.path().join(file)).expect("bytes"));
    let directory_words = engine.segment.header().map_or(0, |_| 16 + 8 * 34);
    for round in 0..60 {
        for _ in 0..1 + roll() % 6 {
            let value = match roll() % 5 {
                0 => 0,
                1 => u64::MAX,
                2 => 1 << (roll() % 64),
                3 => roll() % 4096,
                _ => roll(),
            };
            scratch.spoil(STATS_FILE, BODY + roll() % directory_words * 8, &value.to_le_bytes());
            scratch.spoil(BOARDS_FILE, BODY + roll() % (16 + 2 * 64) * 8, &value.to_le_bytes());
        }
        // Python starts slowly: a look every few rounds, and then both must refuse the same entries.
        let mut refused = Vec::new();
        for reader in readers().into_iter().filter(|r| r.name != "Python" || round % 5 == 0) {
            let output = reader.run(scratch.path(), &[]);
            let why = String::from_utf8_lossy(&output.stderr);
            let told = output.status.code() == Some(0) && why.is_empty();
            assert!(told, "{} in round {round}: {}: {why}", reader.name, output.status);
            let page = String::from_utf8(output.stdout).expect("text");
            refused.extend(page.lines().find(|line| line.starts_with("refused ")).map(str::to_owned));
        }
        assert!(!refused.is_empty() || readers().is_empty(), "round {round}");
        assert!(refused.windows(2).all(|pair| pair[0] == pair[1]), "round {round}: {refused:?}");
        if round % 6 == 5 {
            scratch.spoil(STATS_FILE, 0, &sane[0]);
            scratch.spoil(BOARDS_FILE, 0, &sane[1]);
        }
    }
    drop(engine.boards);
}
