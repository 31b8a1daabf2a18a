//! Every way out: what is said, where, with which code, and that the JSON is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use agent::Clock;
use kill::{Latch, LatchRecord, Source, TripId};

use crate::session::{Scratch, alone, corelane, report, run};

/// Starts with `args`, which are refused: code 1, one line of why with `says` in it, and the same in the JSON.
#[track_caller]
fn refused(scratch: &Scratch, args: &[&str], says: &[&str]) {
    let json = scratch.file("refused.json");
    let _ = fs::remove_file(&json);
    let mut demo = corelane(scratch);
    demo.arg("demo").args(args).arg("--json").arg(&json);
    let finished = run(&mut demo);
    finished.exits(1);
    assert_eq!(finished.stdout, "", "no page without a run");
    let line = finished.stderr.lines().last().unwrap_or_default();
    assert!(line.starts_with("corelane: "), "{}", finished.stderr);
    let r = report(&json);
    for word in says {
        assert!(line.contains(word), "{word:?} is not in {line:?}");
        assert!(r["failure"].as_str().is_some_and(|f| f.contains(word)), "{word:?} is not in {r:#}");
    }
    // Nothing was compared, so nothing agrees.
    assert_eq!(r["agreement"]["balances"], false);
    assert_eq!(r["orders"]["sent"], 0);
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn a_start_that_fails_says_why_and_writes_its_json() {
    let scratch = Scratch::new("refused");
    let file = scratch.file("a-file");
    fs::write(&file, "x").expect("a file");
    let under_a_file = file.join("state");
    let missing = scratch.file("missing.jsonl");
    let not_a_recording = scratch.file("not-a-recording");
    fs::write(&not_a_recording, "hello\n").expect("a file");
    let bad_key = scratch.file("bad-key.toml");
    fs::write(&bad_key, "[risk]\norder_qty_maxx = \"1\"\n").expect("a file");
    let zero_limit = scratch.file("zero-limit.toml");
    fs::write(&zero_limit, "[risk]\norders_per_s = 0\n").expect("a file");
    for transport in ["tls", "memory"] {
        let with = |more: &[&'static str]| -> Vec<String> {
            let args = ["--seconds", "1", "--transport", transport];
            args.iter().chain(more).map(|s| s.to_string()).collect()
        };
        let check = |more: &[&str], says: &[&str]| {
            let args = with(&[]);
            let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
            refused(&scratch, &args, says);
        };
        check(&["--state-dir", text(&under_a_file)], &["state directory", text(&under_a_file)]);
        check(&["--replay", text(&missing)], &["--replay", text(&missing), "No such file"]);
        check(&["--config", text(&missing)], &["configuration", text(&missing), "No such file"]);
        check(&["--config", text(&bad_key)], &["configuration", text(&bad_key), "order_qty_maxx"]);
        check(&["--config", text(&zero_limit)], &["risk.orders_per_s"]);
    }
    refused(
        &scratch,
        &["--transport", "memory", "--replay", text(&not_a_recording)],
        &["--replay", text(&not_a_recording), "time stamp"],
    );
}

/// Runs a recording that is no good: there is a page, and it ends with why.
#[track_caller]
fn fails(scratch: &Scratch, recording: &Path, says: &str) {
    let json = scratch.file("failed.json");
    let mut demo = corelane(scratch);
    demo.args(["demo", "--transport", "memory", "--replay"]).arg(recording).arg("--json").arg(&json);
    let finished = run(&mut demo);
    finished.exits(1);
    let last = finished.stdout.lines().rfind(|l| !l.is_empty()).unwrap_or_default();
    assert!(last.starts_with("FAILED: --replay: ") && last.contains(says), "{}", finished.stdout);
    assert!(report(&json)["failure"].as_str().is_some_and(|f| f.contains(says)));
}

#[test]
fn a_recording_that_is_no_good_is_a_failure() {
    let scratch = Scratch::new("recording");
    let empty = scratch.file("empty.jsonl");
    fs::write(&empty, "1000 {}\n2000 {}\n").expect("a file");
    fails(&scratch, &empty, "no market data of this instrument; 2 lines could not be used");
    let recorded = "../shared/data/binance/spot/hftbacktest_btcusdt_20240808.gz";
    let Ok(whole) = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(recorded)) else {
        println!("skipped: {recorded} is not there");
        return;
    };
    let cut = scratch.file("cut.gz");
    fs::write(&cut, &whole[..whole.len() / 8]).expect("a file");
    fails(&scratch, &cut, "the recording broke off");
}

#[test]
fn a_tripped_or_unreadable_latch_starts_nothing() {
    let scratch = Scratch::new("latch");
    let dir = scratch.file("state");
    let latch = Latch::create(&dir).expect("a latch");
    let id: TripId = "7K3F-9Q2M".parse().expect("an id");
    let record = LatchRecord {
        id,
        source: Source::Command,
        subject: String::new(),
        ts: Clock::live().now(),
        detail: "asked by an operator".into(),
    };
    latch.write(&record).expect("a trip on file");
    for transport in ["tls", "memory"] {
        let args = ["--seconds", "1", "--transport", transport, "--state-dir", text(&dir)];
        let command = format!("corelane rearm --trip 7K3F-9Q2M --state-dir {}", text(&dir));
        refused(&scratch, &args, &["kill switch", "tripped by command", "asked by an operator", &command]);
    }
    // What it says to type works, and the next start trades.
    let finished = run(corelane(&scratch).args(["rearm", "--trip", "7K3F-9Q2M", "--state-dir"]).arg(&dir));
    assert!(finished.exits(0).stdout.contains("re-armed"), "{}", finished.stdout);
    let mut demo = corelane(&scratch);
    demo.args(["demo", "--seconds", "1", "--transport", "memory", "--state-dir"]).arg(&dir);
    run(&mut demo).exits(0);

    fs::write(latch.path(), "corelane kill latch 1\nstate: cle").expect("a torn latch");
    for transport in ["tls", "memory"] {
        let args = ["--seconds", "1", "--transport", transport, "--state-dir", text(&dir)];
        refused(&scratch, &args, &["kill switch", "latch"]);
    }
}

#[test]
fn a_report_that_cannot_be_written_is_said_before_the_run() {
    let scratch = Scratch::new("json");
    let dir = scratch.file("dir");
    fs::create_dir(&dir).expect("a directory");
    for path in [dir, scratch.file("no/such/dir/report.json")] {
        let began = std::time::Instant::now();
        let finished = run(corelane(&scratch).args(["demo", "--seconds", "60", "--json"]).arg(&path));
        finished.exits(1);
        assert!(finished.stderr.contains(&format!("--json: {}", path.display())), "{}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        assert!(began.elapsed().as_secs() < 30, "not after the run");
    }
}

#[test]
fn a_bare_user_finds_no_place_for_shared_memory() {
    let _machine = alone();
    let scratch = Scratch::new("shm");
    // A base that others may touch is refused, and so is one that cannot be made.
    let open = scratch.file("open");
    fs::create_dir(&open).expect("a directory");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("its mode");
    let missing = scratch.file("a-file");
    fs::write(&missing, "x").expect("a file");
    for (base, says) in [(open, "mode 700"), (missing.join("base"), "a-file/base")] {
        let json = scratch.file("report.json");
        let mut demo = corelane(&scratch);
        demo.args(["demo", "--seconds", "1", "--json"]).arg(&json).env("CORELANE_SHM_DIR", &base);
        let finished = run(&mut demo);
        finished.exits(1);
        assert!(finished.stderr.contains(says), "{}", finished.stderr);
        assert!(report(&json)["failure"].as_str().is_some_and(|f| f.contains(says)));
    }
}

#[test]
fn usage_errors_name_option_value_and_rule() {
    let scratch = Scratch::new("usage");
    for (line, says) in [
        ("demo --seconds 0", "--seconds \"0\": must be a number above 0 and at most 1000000"),
        ("demo --seconds abc", "--seconds \"abc\": must be a number"),
        ("demo --seconds 1e400", "--seconds \"1e400\""),
        ("demo --seed -1", "--seed \"-1\": must be an integer from 0 to 18446744073709551615"),
        ("demo --seed 18446744073709551616", "--seed \"18446744073709551616\""),
        ("demo --speed fast", "--speed \"fast\": must be a number above 0"),
        ("demo --speed 0", "--speed \"0\": must be a number above 0"),
        ("demo --transport udp", "--transport \"udp\": must be tls or memory"),
        ("demo --frobnicate", "--frobnicate"),
        ("demo extra", "extra"),
        ("demo --json", "--json"),
        ("rearm", "--trip is required"),
        ("fly", "unknown command \"fly\""),
    ] {
        let finished = run(corelane(&scratch).args(line.split_whitespace()));
        finished.exits(2);
        assert_eq!(finished.stdout, "");
        let first = finished.stderr.lines().next().unwrap_or_default();
        assert!(first.starts_with("corelane: ") && first.contains(says), "{line}: {first}");
        assert!(finished.stderr.contains("--transport tls|memory"), "the usage follows");
    }
    let help = run(corelane(&scratch).arg("--help"));
    assert!(help.exits(0).stdout.contains("--state-dir DIR"));
    let nowhere = run(corelane(&scratch).args(["rearm", "--trip", "7K3F-9Q2M"]));
    assert!(nowhere.exits(1).stderr.contains("--state-dir"), "{}", nowhere.stderr);
}
