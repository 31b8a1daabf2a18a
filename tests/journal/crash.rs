//! Death in the middle of flow: what reached the files is whole, verifies, and replays up to its last record.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use corelane::replay::replay;
use corelane::sim::wires::Seeded;
use journal::{Session, Tail, verify};

use crate::rig::Dir;

/// Kills in the default run; `CORELANE_KILLS` asks for more.
const KILLS: u64 = 4;
/// How long a start may take on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(dir: &Dir, seed: u64) -> Child {
    Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(["demo", "--seconds", "600", "--seed", &seed.to_string()])
        .arg("--journal")
        .arg(dir.journal())
        .arg("--state-dir")
        .arg(dir.path().join("state"))
        .env("CORELANE_SHM_DIR", dir.path().join("shm"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the demo starts")
}

/// Cycles in the files of a living engine. What is being written is read as it stands.
fn cycles(dir: &Dir) -> u64 {
    Session::find(&dir.journal()).map_or(0, |session| verify(&session).cycles_total())
}

#[test]
fn a_killed_engine_leaves_a_journal_that_is_whole_up_to_its_last_record() {
    let kills = std::env::var("CORELANE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let mut chance = Seeded::new(kills, 7);
    let (mut records, mut sent, mut torn, mut open) = (0, 0, 0, 0);
    for n in 1..=kills {
        let dir = Dir::new();
        let mut child = start(&dir, n);
        let began = Instant::now();
        while cycles(&dir) < 200 {
            assert!(began.elapsed() < PATIENCE, "kill {n}: no flow; exit {:?}", child.try_wait());
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_micros(chance.below(1_500_000)));
        child.kill().expect("SIGKILL");
        child.wait().expect("reaped");

        let report = verify(&dir.session());
        assert!(report.is_whole() && report.from_start, "kill {n}: {report:?}");
        match report.tail() {
            Some(Tail::Open { .. }) => open += 1,
            Some(Tail::Torn { .. }) => torn += 1,
            other => panic!("kill {n}: nobody closed it, and it ends {other:?}"),
        }
        let outcome = replay(&dir.session()).expect("replayed");
        assert!(outcome.is_same(), "kill {n}: {:?} {:?}", outcome.divergence, outcome.damage);
        let last = report.files.last().and_then(|f| f.last).map(|l| l.1);
        assert_eq!(Some(outcome.last_seq), last, "kill {n}: to the last whole record");
        assert_eq!(outcome.cycles_total() + outcome.waiting, report.cycles_total(), "kill {n}");
        records += report.records;
        sent += outcome.sent;
    }
    println!(
        "{kills} kills: {records} records, {sent} messages at the wire replayed; ends: {open} open, {torn} torn"
    );
    assert!(sent > kills, "orders were flowing: {sent} messages");
}
