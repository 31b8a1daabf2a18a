//! Strategy and gateway as processes of their own: the same topology, joined, killed, stopped and continued, judged by what
//! the venue received.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use corelane::apart::{Member, hello};
use corelane::simvenue::Handle;
use stats::StatsReader;
use stats::instance;

use super::rig::{PATIENCE, Running, Scratch, alone, ctl_done, engine, program, until, venue};

/// A shared host may keep a process waiting for longer than the demo's 20 ms.
const PATIENT: &str = "risk.intent_age_us_max=500000";

/// Both apart; an agent counts as gone after this many ms of silence.
fn apart(away_ms: u32) -> String {
    format!("[runtime]\napart = [\"strategy\", \"gateway\"]\naway_ms = {away_ms}\n")
}

fn run(config: &Path, more: &[&str]) -> Running {
    Running::start(
        engine()
            .args(["run", "--set", "journal.on=false", "--set", PATIENT, "--config"])
            .arg(config)
            .args(more),
    )
}

/// A venue, an engine and its two members.
struct Three {
    venue: Handle,
    config: PathBuf,
    shm: PathBuf,
    engine: Running,
    strategy: Running,
    gateway: Running,
}

impl Three {
    /// All three, trading.
    fn trading(scratch: &Scratch, seed: u64, away_ms: u32) -> Three {
        let (venue, config) = venue(scratch, seed, &apart(away_ms));
        let mut engine = run(&config, &[]);
        engine.wait_for(0, "trading off by gateway_away");
        let gateway = run(&config, &["--agents", "gateway"]);
        engine.wait_for(0, "gateway: here, number 1");
        engine.wait_for(0, "trading off by strategy_away");
        let strategy = run(&config, &["--agents", "strategy"]);
        engine.wait_for(0, "trading on");
        let three = Three { venue, config, shm: scratch.shm(), engine, strategy, gateway };
        three.until_more_orders();
        three
    }

    fn until_more_orders(&self) {
        let (before, began) = (self.venue.received().len(), Instant::now());
        while self.venue.received().len() <= before + 10 {
            assert!(began.elapsed() < PATIENCE, "no more orders: {}", self.engine.said().join("\n"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn counter(&self, name: &str) -> u64 {
        let dir = instance::newest(&self.shm).expect("an instance").dir;
        let stats = StatsReader::open(&dir).expect("statistics").snapshot();
        stats.counters.iter().find(|c| c.0 == name).map_or(0, |c| c.1)
    }

    /// Has orders let through to a gateway that is stopped and takes none of them; how many wait at least. Nothing else is
    /// open: with quotes resting a strategy asks for cancels alone, however long one waits.
    fn leave_orders_waiting(&self) -> u64 {
        ctl_done(&self.shm, "mode pause");
        self.gateway.freeze();
        // Whoever asks is told when the gateway has followed, which it does not.
        let mut resume = Command::new(program("corelane-ctl", "tools/ctl"));
        let _asking = Running::start(resume.arg("--dir").arg(&self.shm).args(["mode", "normal"]));
        let mut waiting = 0;
        until("orders wait for the gateway", || {
            let listed = ctl_done(&self.shm, "--json orders").json();
            waiting = listed["orders"].as_array().map_or(0, Vec::len);
            waiting > 0
        });
        waiting as u64
    }

    /// Ends in order: everything agrees, nobody is left, and no order was ever sent twice.
    fn end(self) {
        let Three { venue, engine, strategy, gateway, shm, .. } = self;
        engine.signal("-TERM");
        let (code, said) = engine.end();
        assert!(said.contains("nothing is open, positions and balances agree"), "{said}");
        assert_eq!(code, Some(0), "{said}");
        for member in [strategy, gateway] {
            let (code, said) = member.end();
            assert!(code == Some(0) && said.contains("the engine has ended"), "{code:?} {said}");
        }
        assert!(venue.open_orders().is_empty());
        let received = venue.received();
        let ids: BTreeSet<&str> = received.iter().map(|order| order.client_id.as_str()).collect();
        assert_eq!(ids.len(), received.len(), "an order was sent twice");
        let dir = instance::newest(&shm).expect("an instance").dir;
        assert!(!dir.join(hello::DOOR_FILE).exists());
    }
}

/// Nothing more arrives for a while.
fn silent(venue: &Handle) {
    let before = venue.received().len();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(venue.received().len(), before, "orders of nobody");
}

#[test]
fn three_processes_trade_and_agree_with_the_venue() {
    let _machine = alone();
    let scratch = Scratch::new("apart");
    let three = Three::trading(&scratch, 21, 5_000);
    three.until_more_orders();
    assert_eq!(three.counter("oms.refused_away"), 0);
    three.end();
}

#[test]
fn orders_of_a_strategy_that_dies_are_cancelled_and_another_goes_on() {
    let _machine = alone();
    let scratch = Scratch::new("strategy-dies");
    let mut three = Three::trading(&scratch, 22, 5_000);
    for n in 1..=3 {
        let from = three.engine.said().len();
        three.strategy.signal("-KILL");
        three.engine.wait_for(from, &format!("strategy: gone, number {n}"));
        until("its orders are gone", || three.venue.open_orders().is_empty());
        silent(&three.venue);
        three.strategy = run(&three.config, &["--agents", "strategy"]);
        three.engine.wait_for(from, &format!("strategy: here, number {}", n + 1));
        three.until_more_orders();
    }
    three.end();
}

#[test]
fn a_strategy_that_hangs_counts_as_gone_and_starts_anew_when_it_wakes() {
    let _machine = alone();
    let scratch = Scratch::new("strategy-hangs");
    let mut three = Three::trading(&scratch, 23, 300);
    let (from, said) = (three.engine.said().len(), three.strategy.said().len());
    let joins = three.strategy.said().iter().filter(|line| line.contains("has joined")).count();
    three.strategy.signal("-STOP");
    let began = Instant::now();
    three.engine.wait_for(from, "strategy: gone");
    until("its orders are gone", || three.venue.open_orders().is_empty());
    silent(&three.venue);
    // Nobody takes the place of one who may wake up.
    let second = run(&three.config, &["--agents", "strategy"]);
    let (code, _) = second.end();
    assert_eq!(code, Some(1));
    std::thread::sleep(Duration::from_secs(1).saturating_sub(began.elapsed()));
    three.strategy.signal("-CONT");
    three.strategy.wait_for(said, "it joins anew");
    until("it has joined again", || {
        three.strategy.said().iter().filter(|line| line.contains("has joined")).count() > joins
    });
    three.until_more_orders();
    three.end();
}

#[test]
fn what_a_strategy_decides_on_a_market_of_a_second_ago_is_refused_for_its_age() {
    let _machine = alone();
    let scratch = Scratch::new("strategy-late");
    // Long enough that its silence is none.
    let three = Three::trading(&scratch, 24, 60_000);
    let aged = || three.counter("oms.gate_intent_aged");
    let before = aged();
    until("late intents were refused", || {
        three.strategy.signal("-STOP");
        std::thread::sleep(Duration::from_secs(1));
        three.strategy.signal("-CONT");
        std::thread::sleep(Duration::from_millis(200)); // counts are published on a slow beat
        aged() > before
    });
    three.until_more_orders();
    assert_eq!(three.counter("oms.refused_away"), 0);
    three.end();
}

#[test]
fn orders_of_a_gateway_that_dies_are_asked_about_and_never_sent_again() {
    let _machine = alone();
    let scratch = Scratch::new("gateway-dies");
    let mut three = Three::trading(&scratch, 25, 60_000);
    for n in 1..=4 {
        let from = three.engine.said().len();
        // At some moment, with whatever is under way in it; then with orders before it that it will never take.
        let waiting = if n % 2 == 0 { three.leave_orders_waiting() } else { 0 };
        let not_sent = three.counter("oms.not_sent");
        three.gateway.signal("-KILL");
        three.engine.wait_for(from, &format!("gateway: gone, number {n}"));
        three.engine.wait_for(from, "trading off by gateway_away");
        silent(&three.venue);
        three.gateway = run(&three.config, &["--agents", "gateway"]);
        three.engine.wait_for(from, &format!("gateway: here, number {}", n + 1));
        until("what waited is known not to have left", || {
            three.counter("oms.not_sent") >= not_sent + waiting
        });
        three.until_more_orders();
    }
    assert!(three.counter("oms.unknown") > 0);
    three.end();
}

#[test]
fn orders_that_waited_for_a_gateway_that_slept_are_refused_for_their_age() {
    let _machine = alone();
    let scratch = Scratch::new("gateway-late");
    // Long enough that its silence is none.
    let three = Three::trading(&scratch, 30, 60_000);
    let aged = || three.counter("gateway.not_sent_aged");
    let before = aged();
    until("late orders were refused", || {
        three.leave_orders_waiting();
        std::thread::sleep(Duration::from_secs(1));
        three.gateway.signal("-CONT");
        std::thread::sleep(Duration::from_millis(200)); // counts are published on a slow beat
        aged() > before
    });
    three.until_more_orders();
    three.end();
}

#[test]
fn a_gateway_that_hangs_is_ended() {
    let _machine = alone();
    let scratch = Scratch::new("gateway-hangs");
    let mut three = Three::trading(&scratch, 26, 300);
    let from = three.engine.said().len();
    three.gateway.signal("-STOP");
    three.engine.wait_for(from, "gateway: gone");
    silent(&three.venue);
    let replaced = std::mem::replace(&mut three.gateway, run(&three.config, &["--agents", "gateway"]));
    let (code, _) = replaced.end();
    assert_eq!(code, None, "ended by a signal");
    three.until_more_orders();
    three.end();
}

#[test]
fn a_kill_while_the_gateway_is_gone_is_carried_out_by_the_next_one() {
    let _machine = alone();
    let scratch = Scratch::new("kill-away");
    let mut three = Three::trading(&scratch, 27, 60_000);
    let from = three.engine.said().len();
    three.gateway.signal("-KILL");
    three.engine.wait_for(from, "gateway: gone");
    three.engine.signal("-USR1");
    three.engine.wait_for(from, "TRIPPED by");
    let before = three.venue.received().len();
    three.gateway = run(&three.config, &["--agents", "gateway"]);
    three.engine.wait_for(from, "the stop has ended: the venue holds no open order");
    assert!(three.venue.open_orders().is_empty());
    silent(&three.venue);
    assert_eq!(three.venue.received().len(), before);
    let Three { engine, strategy, gateway, .. } = three;
    engine.signal("-TERM");
    let (code, said) = engine.end();
    assert!(code == Some(1) && said.contains("ended tripped"), "{said}");
    assert!(said.contains("positions and balances agree"), "{said}");
    assert_eq!([strategy, gateway].map(|member| member.end().0), [Some(0); 2]);
}

#[test]
fn a_kill_to_which_no_gateway_comes_ends_within_its_bound_and_is_confirmed_by_one_that_does() {
    let _machine = alone();
    let scratch = Scratch::new("kill-nobody");
    let mut three = Three::trading(&scratch, 31, 60_000);
    let from = three.engine.said().len();
    three.gateway.signal("-KILL");
    three.engine.wait_for(from, "gateway: gone");
    three.engine.signal("-USR1");
    three.engine.wait_for(from, "the stop has ended: NOT confirmed, no gateway is there: look at the venue");
    three.gateway = run(&three.config, &["--agents", "gateway"]);
    three.engine.wait_for(from, "the stop has ended: the venue holds no open order");
    assert!(three.venue.open_orders().is_empty());
}

#[test]
fn members_of_a_dead_engine_end_and_leave_nothing_open() {
    let _machine = alone();
    let scratch = Scratch::new("engine-dies");
    let three = Three::trading(&scratch, 28, 60_000);
    until("something is open", || !three.venue.open_orders().is_empty());
    three.engine.signal("-KILL");
    let (code, said) = three.strategy.end();
    assert!(code == Some(1) && said.contains("the engine is gone"), "{code:?} {said}");
    let (code, said) = three.gateway.end();
    assert!(code == Some(1) && said.contains("the venue holds no open order"), "{code:?} {said}");
    assert!(three.venue.open_orders().is_empty());
    let dir = instance::newest(&three.shm).expect("an instance");
    assert!(!dir.alive, "somebody holds its lock");
    // Nobody has it mapped any more.
    let look = format!("grep -l '{}' /proc/*/maps 2>/dev/null", dir.dir.display());
    let users = Command::new("sh").args(["-c", &look]).output().expect("it runs");
    assert!(users.stdout.is_empty(), "{}", String::from_utf8_lossy(&users.stdout));
}

/// Says something at the door; the answer.
fn at_the_door(shm: &Path, said: &[u8]) -> String {
    let dir = instance::newest(shm).expect("an instance").dir;
    let mut stream = UnixStream::connect(dir.join(hello::DOOR_FILE)).expect("a door");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(said).expect("a listener");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(answer.get(command::HEAD_BYTES..).unwrap_or_default()).into_owned()
}

#[test]
fn whoever_is_not_what_the_engine_expects_is_told_why_not() {
    let _machine = alone();
    let scratch = Scratch::new("door");
    let (_venue, config) = venue(&scratch, 29, "[runtime]\napart = [\"strategy\"]\n");
    let mut engine = run(&config, &[]);
    engine.wait_for(0, "trading off by strategy_away");
    let shm = scratch.shm();
    let text = std::fs::read_to_string(&config).expect("its configuration");
    let path = config.display().to_string();
    let parsed = corelane::configured::load(
        Some(Path::new(&path)),
        &text,
        &["journal.on=false".into(), PATIENT.into()],
    );
    let own = corelane::meters::ident(&parsed.expect("a configuration").config);
    for (ident, code) in [
        (rings::Ident { build_hash: 1, ..own }, "build"),
        (rings::Ident { config_hash: 1, ..own }, "configuration"),
    ] {
        let answer = at_the_door(&shm, &hello::hello(Member::Strategy, &ident));
        assert!(answer.contains(&format!("\"refused\":\"{code}\"")), "{answer}");
    }
    let answer = at_the_door(&shm, &hello::hello(Member::Gateway, &own));
    assert!(answer.contains("\"refused\":\"not_apart\""), "{answer}");
    for bytes in [&b"\x03\0\0\0abc"[..], b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x02\0\0\0{}"] {
        let answer = at_the_door(&shm, bytes);
        assert!(answer.contains("\"refused\":\"malformed\""), "{answer}");
    }
    let ended = |more: &[&str]| {
        let out = engine_once(&config, more);
        assert_eq!(out.status.code(), Some(1));
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let other = ended(&["--agents", "strategy", "--set", "risk.orders_per_s=49"]);
    assert!(other.contains("refused by the engine (configuration)"), "{other}");
    let here = ended(&["--agents", "gateway"]);
    assert!(here.contains("refused by the engine (not_apart)"), "{here}");
    let mut strategy = run(&config, &["--agents", "strategy"]);
    strategy.wait_for(0, "has joined");
    let second = ended(&["--agents", "strategy"]);
    assert!(second.contains("refused by the engine (there): strategy is there already (pid "), "{second}");
    engine.wait_for(0, "trading on");
    // A member that is asked to leave does; the engine goes on without.
    let from = engine.said().len();
    strategy.signal("-TERM");
    assert_eq!(strategy.end().0, Some(0));
    engine.wait_for(from, "trading off by strategy_away");
    engine.signal("-TERM");
    assert_eq!(engine.end().0, Some(0));
    // With no engine there is nothing to join.
    let gone = ended(&["--agents", "strategy", "--dir", &shm.display().to_string()]);
    assert!(gone.contains("no engine is to be found"), "{gone}");
}

fn engine_once(config: &Path, more: &[&str]) -> std::process::Output {
    let mut command = engine();
    command.args(["run", "--set", "journal.on=false", "--set", PATIENT, "--config"]).arg(config).args(more);
    command.output().expect("it runs")
}

#[test]
fn the_demo_as_several_processes_agrees_to_the_last_digit() {
    let _machine = alone();
    let scratch = Scratch::new("demo-apart");
    for processes in ["2", "3"] {
        let json = scratch.path().join("report.json");
        let mut demo = engine();
        demo.args(["demo", "--seconds", "3", "--processes", processes, "--set", PATIENT, "--json"])
            .arg(&json);
        let out = demo.env("CORELANE_SHM_DIR", scratch.shm()).output().expect("it runs");
        let told = String::from_utf8_lossy(&out.stderr);
        let text = std::fs::read(&json).expect("the report was written");
        let report: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert!(out.status.success(), "{report:#}\n{told}");
        assert_eq!(report["processes"].to_string(), processes);
        assert_eq!(report["agreement"]["balances"], true, "{report:#}");
        assert!(report["orders"]["sent"].as_u64() > Some(10), "{report:#}");
        assert!(report["fills"].as_u64() > Some(0), "{report:#}");
        let page = String::from_utf8_lossy(&out.stdout);
        assert!(page.contains(&format!("tls · {processes} processes · seed 1")), "{page}");
    }
}
