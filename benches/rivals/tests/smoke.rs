//! The program as people start it: every candidate does every task once, between threads and between processes, and
//! the files are whole. How fast that was is not looked at.

use std::env;
use std::fs;
use std::process::{self, Command};

use serde_json::Value;

const EVERYONE: [(&str, &str, usize); 11] = [
    ("cache line", "threads", 1),
    ("rings slot", "threads", 3),
    ("rings slot", "processes", 3),
    ("rings bulk", "threads", 3),
    ("rings bulk", "processes", 3),
    ("rtrb", "threads", 3),
    ("ArrayQueue", "threads", 2),
    ("disruptor", "threads", 3),
    ("std mpsc", "threads", 2),
    ("iceoryx2", "threads", 2),
    ("iceoryx2", "processes", 2),
];

const AERON: [(&str, &str, usize); 2] = [("Aeron IPC", "threads", 3), ("Aeron IPC", "processes", 3)];

#[test]
fn every_candidate_runs_once_and_is_in_the_file() {
    let file = env::temp_dir().join(format!("corelane-rivals-{}.json", process::id()));
    let done = Command::new(env!("CARGO_BIN_EXE_transport"))
        .args(["--smoke", "--json"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let page: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(page["broken"], Value::Array(Vec::new()), "{said}");
    let everyone = EVERYONE.iter().chain(AERON.iter().filter(|_| cfg!(feature = "aeron")));
    let mut total = 0;
    for &(name, between, tasks) in everyone {
        let repetitions = page["repetitions"].as_array().unwrap().iter();
        let found = repetitions.filter(|r| r["candidate"] == name && r["between"] == between).count();
        assert_eq!(found, tasks, "{name} between {between}\n{said}");
        total += tasks;
    }
    assert_eq!(page["repetitions"].as_array().map(Vec::len), Some(total));
    let absent = page["not_measured"].as_array().unwrap();
    assert_eq!(absent.len(), usize::from(cfg!(not(feature = "aeron"))), "{absent:?}");
}

#[test]
fn a_wrong_argument_is_named_and_ends_with_2() {
    let done = Command::new(env!("CARGO_BIN_EXE_transport")).args(["--repetitions", "0"]).output().unwrap();
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stderr).contains("--repetitions 0: must be a number in 1..=1000"));
}
