//! The program on real journals: what it shows, what it says of damage, and its exit codes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use corelane::cli::DemoArgs;
use corelane::demo::{market, memory};
use corelane::sim::wires::WireSettings;
use corelane::sim::{Fate, OneThread};
use serde_json::Value;
use topology::Config;

fn ask(args: &[&str], path: &Path) -> Output {
    let mut words = vec![args[0].to_owned(), path.display().to_string()];
    words.extend(args[1..].iter().map(|a| a.to_string()));
    Command::new(env!("CARGO_BIN_EXE_corelane-journal")).args(words).output().expect("the program runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Two seconds of trading in one thread, recorded once for all tests; another copy each.
fn journal() -> Vec<(String, Vec<u8>)> {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    let record = || {
        let dir = scratch();
        let mut config = Config::parse(market::DEMO_TOML).expect("the demo's own");
        config.journal.on = true;
        config.journal.dir = dir.join("journal");
        let args = DemoArgs { seconds: Some(2.0), ..DemoArgs::default() };
        let wires = [WireSettings::default(); 3];
        let setup = memory::setup(&config, &args, &dir.join("state"), Default::default(), wires);
        let mut engine = OneThread::new(setup.expect("a setup")).expect("an engine");
        engine.note("a word from the operator");
        while engine.step() == Fate::Running {}
        engine.finish(Fate::Quiesced);
        let entries = std::fs::read_dir(dir.join("journal")).expect("listed");
        let files = entries.map(|e| {
            let path = e.expect("entry").path();
            (
                path.file_name().expect("name").to_string_lossy().into_owned(),
                std::fs::read(&path).expect("read"),
            )
        });
        let files = files.collect();
        std::fs::remove_dir_all(dir).expect("removed");
        files
    };
    FILES.get_or_init(record).clone()
}

fn scratch() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("corelane-journal-tool-{}-{n}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("made");
    dir
}

/// The journal in a directory, after `change` to its first file.
fn with(change: impl FnOnce(&mut Vec<u8>), look: impl FnOnce(&Path)) {
    let dir = scratch();
    let mut files = journal();
    files.sort();
    change(&mut files[0].1);
    for (name, bytes) in &files {
        std::fs::write(dir.join(name), bytes).expect("written");
    }
    look(&dir);
    std::fs::remove_dir_all(dir).expect("removed");
}

#[test]
fn a_whole_journal_is_shown_verified_replayed_and_says_why() {
    with(
        |_| {},
        |dir| {
            let verified = ask(&["verify"], dir);
            assert!(verified.status.success(), "{verified:?}");
            assert!(said(&verified).contains("closed, in order") && said(&verified).ends_with("whole\n"));
            let replayed = ask(&["replay"], dir);
            assert!(replayed.status.success(), "{replayed:?}");
            assert!(said(&replayed).contains("the same; the journal ends closed, in order"));
            let notes = said(&ask(&["show", "--kind", "note"], dir));
            assert!(notes.contains("a word from the operator"), "{notes}");

            let sent =
                said(&ask(&["show", "--kind", "sent", "--agent", "gateway", "--last", "5", "--json"], dir));
            assert_eq!(sent.lines().count(), 5);
            for line in sent.lines() {
                let value: Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(value["agent"], "gateway");
            }
            assert!(!said(&ask(&["show"], dir)).contains("signature\":\"0"), "no signature is kept");

            let why = ask(&["show", "--why", "last"], dir);
            let text = said(&why);
            assert!(why.status.success(), "{why:?}");
            for part in
                ["caused by", "strategy cycle", "every check of the gate passed", "handed to the kernel"]
            {
                assert!(text.contains(part), "{part} in {text}");
            }
            let id = text.split_whitespace().nth(1).expect("an id").to_owned();
            let again = said(&ask(&["show", "--why", &id, "--json"], dir));
            let value: Value = serde_json::from_str(&again).expect("JSON");
            assert_eq!(value["client_id"], id.as_str());
            assert!(value["sent"]["message"].as_str().is_some_and(|m| m.contains(&id)));
            // The order's own cycle is found by its id.
            assert!(said(&ask(&["show", "--order", &id], dir)).contains(&id));
            assert!(!ask(&["show", "--why", "nobody's"], dir).status.success());
        },
    );
}

#[test]
fn damage_is_named_with_its_offset_and_ends_in_exit_code_1() {
    let middle = |bytes: &[u8]| bytes.len() / 2;
    with(
        |bytes| {
            let at = middle(bytes);
            bytes[at] ^= 0x10;
        },
        |dir| {
            for command in ["verify", "replay", "show"] {
                let output = ask(&[command], dir);
                assert_eq!(output.status.code(), Some(1), "{command}");
                let all = said(&output) + &String::from_utf8_lossy(&output.stderr);
                assert!(all.contains("offset") && all.contains("checksum"), "{command}: {all}");
            }
        },
    );
    with(
        |bytes| bytes.truncate(bytes.len() - 40),
        |dir| assert!(said(&ask(&["verify"], dir)).contains("NOT WHOLE")),
    );
}

#[test]
fn what_is_no_journal_is_told_apart() {
    let dir = scratch();
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("empty", Vec::new(), "the file is empty"),
        ("foreign", vec![7; 4096], "not a journal"),
        ("unbegun", vec![0; 4096], "never begun"),
        ("short", b"CLJOURN1".to_vec(), "a header alone has 128"),
    ];
    for (name, bytes, says) in cases {
        let path = dir.join(name);
        std::fs::write(&path, bytes).expect("written");
        let output = ask(&["verify"], &path);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(says), "{name}: {}", said(&output));
        assert!(String::from_utf8_lossy(&ask(&["show"], &path).stderr).contains(says), "{name}");
    }
    with(
        |bytes| bytes[8] = 9,
        |dir| {
            assert!(said(&ask(&["verify"], dir)).contains("layout version 9; this program reads version 1"))
        },
    );
    assert!(String::from_utf8_lossy(&ask(&["verify"], &dir).stderr).contains("holds no journal"));
    assert_eq!(ask(&["fly"], &dir).status.code(), Some(2));
    std::fs::remove_dir_all(dir).expect("removed");
}
