//! The program itself, on small repositories with benches that say what the test wants them to.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

const GATE: &str = env!("CARGO_BIN_EXE_corelane-gate");
/// Two of the four are enough here.
const BENCHES: [&str; 2] = ["gate", "parse"];

/// A repository of its own, deleted with it.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("corelane-gate-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    fn repository(name: &str) -> Scratch {
        let scratch = Scratch::new(name);
        scratch.git(&["init", "--quiet"]);
        scratch.write(".gitignore", "/target\n");
        scratch
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn git(&self, args: &[&str]) -> String {
        let who = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"];
        let out = Command::new("git").args(who).args(args).current_dir(&self.0).output().unwrap();
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    fn gate(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut gate = Command::new(GATE);
        gate.args(args).current_dir(&self.0).env_remove("CARGO_TARGET_DIR");
        let Output { status, stdout, stderr } = gate.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }
}

fn run<'a>(base: &'a str, head: &'a str) -> Vec<&'a str> {
    vec!["run", "--base", base, "--head", head]
}

#[test]
fn wrong_arguments_are_told_with_the_usage() {
    let here = Scratch::new("usage");
    let (code, out, err) = here.gate(&["run", "--base", "HEAD"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("--head") && err.contains("usage: corelane-gate run"), "{err}");
    let (code, out, _) = here.gate(&["--help"]);
    assert!(code == Some(0) && out.contains("exit code 0"));
}

#[test]
fn what_cannot_be_compared_is_told_with_what_to_do() {
    let here = Scratch::new("nowhere");
    let (code, _, err) = here.gate(&run("HEAD", "HEAD"));
    assert!(code == Some(3) && err.contains("inside a git checkout"), "{err}");

    let here = Scratch::repository("mute");
    here.write("README.md", "nothing here speaks\n");
    here.commit("first");
    here.write("benches/protocol/mod.rs", "pub(crate) const VERSION: u32 = 1;\n");
    here.commit("second");

    for bad in ["nobody", "HEAD~7", "--exec=true", "HEAD:README.md"] {
        let (code, _, err) = here.gate(&run(bad, "HEAD"));
        assert_eq!(code, Some(3), "{bad}: {err}");
        assert!(err.contains(&format!("no revision {bad:?}")) && err.contains("git fetch --deepen"), "{err}");
    }
    let (code, _, err) = here.gate(&run("HEAD^", "HEAD"));
    assert!(code == Some(3) && err.contains("HEAD^ has no benches/protocol/mod.rs"), "{err}");

    // Automation goes on, and says why.
    for (base, why) in [("HEAD^", "HEAD^ has no"), ("HEAD~7", "no revision \"HEAD~7\"")] {
        let (code, out, _) = here.gate(&[&run(base, "HEAD")[..], &["--or-skip"]].concat());
        assert_eq!(code, Some(0), "{out}");
        assert!(out.starts_with("skipped: ") && out.contains(why), "{out}");
    }

    // What is in the working tree counts, committed or not, and stays as it was.
    fs::remove_file(here.0.join("benches/protocol/mod.rs")).unwrap();
    here.write("benches/protocol/mod.rs", "pub(crate) const VERSION: u32 = 9;\n");
    let before = here.git(&["status", "--porcelain"]);
    let (code, _, err) = here.gate(&run("HEAD", "WORK"));
    assert!(code == Some(3) && err.contains("WORK speak version 9"), "{err}");
    assert_eq!(here.git(&["status", "--porcelain"]), before);

    // What does not build fails even where skipping is allowed: the change is at fault.
    here.write("benches/protocol/mod.rs", "pub(crate) const VERSION: u32 = 1;\n");
    let (code, _, err) = here.gate(&[&run("HEAD", "WORK")[..], &["--or-skip"]].concat());
    assert!(code == Some(3) && err.contains("do not build"), "{err}");
}

/// Benches that say how long a call takes and what it allocates.
fn benches(here: &Scratch, ns: u64, allocations: u64) {
    let mut manifest = "[package]\nname = \"mute\"\nversion = \"0.1.0\"\nedition = \"2024\"\n".to_owned();
    for bench in BENCHES {
        manifest += &format!("[[bench]]\nname = \"{bench}\"\nharness = false\n");
        here.write(
            &format!("benches/{bench}.rs"),
            &format!(
                r#"fn main() {{
                    println!("corelane-gate 1 {bench}");
                    match std::env::args().nth(2).as_deref() {{
                        Some("time") => println!("span row 1 {ns}:990 {}:10"),
                        _ => println!("work row 10 allocations {allocations} calls 0"),
                    }}
                    println!("end");
                }}"#,
                3 * ns
            ),
        );
    }
    here.write("Cargo.toml", &manifest);
    here.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"mute\"\nversion = \"0.1.0\"\n");
    here.write("src/lib.rs", "");
    here.write("benches/protocol/mod.rs", "pub(crate) const VERSION: u32 = 1;\n");
}

fn rows<'a>(json: &'a Value, measure: &str, verdict: &str) -> Vec<&'a Value> {
    let rows = json["rows"].as_array().unwrap();
    rows.iter().filter(|r| r["measure"] == measure && r["verdict"] == verdict).collect()
}

#[test]
fn two_revisions_are_built_compared_and_judged() {
    let here = Scratch::repository("whole");
    benches(&here, 200, 0);
    here.commit("first");
    benches(&here, 200, 10);
    here.commit("a block an event\n\nGate-Accepts: gate/row allocations");
    benches(&here, 300, 10);

    let report = here.0.join("target/report.json");
    let judge = |base: &str, head: &str| {
        let more =
            ["--bench", "gate", "--bench", "parse", "--rounds", "10", "--json", report.to_str().unwrap()];
        let (code, out, err) = here.gate(&[&run(base, head)[..], &more].concat());
        assert!(report.exists(), "{code:?}\n{out}\n{err}");
        let json: Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
        fs::remove_file(&report).unwrap();
        (code, out, json)
    };

    let (code, out, json) = judge("HEAD^", "HEAD");
    assert_eq!(code, Some(1), "{out}");
    assert_eq!(rows(&json, "allocations", "slower").len(), 1, "{out}");
    assert_eq!(rows(&json, "p50 ns", "same").len(), 2, "{out}");
    assert_eq!(json["rounds"], 10);
    assert_eq!(rows(&json, "allocations", "slower, accepted").len(), 1, "{out}");
    assert!(out.contains("slower: parse/row allocations: 0 -> 1 (from none)"), "{out}");
    assert!(out.contains("slower: gate/row allocations: 0 -> 1 (from none), accepted by a commit"), "{out}");

    let (code, out, json) = judge("HEAD", "WORK");
    assert_eq!(code, Some(1), "{out}");
    assert_eq!(rows(&json, "p50 ns", "slower").len(), 2, "{out}");
    assert!(out.contains("slower: gate/row p50 ns: 200.0 -> 300.0 (+50.0%)"), "{out}");

    let (code, out, json) = judge("WORK", "HEAD");
    assert_eq!(code, Some(0), "faster is no reason to fail\n{out}");
    assert_eq!(rows(&json, "p50 ns", "faster").len(), 2, "{out}");

    // Each revision was built once; the working tree of the repository was not touched by it.
    assert_eq!(fs::read_dir(here.0.join("target/gate/builds")).unwrap().count(), 3);
    assert!(
        here.git(&["status", "--porcelain"]).lines().all(|l| l.contains("benches/")),
        "only what this test wrote"
    );

    // A bench that dies is named, with the command that shows it.
    let dies = fs::read_to_string(here.0.join("benches/parse.rs"))
        .unwrap()
        .replace("fn main() {", "fn main() { panic!();");
    here.write("benches/parse.rs", &dies);
    let judge = |base: &str, head: &str| {
        here.gate(&[&run(base, head)[..], &["--bench", "parse", "--or-skip"]].concat())
    };
    let (code, _, err) = judge("HEAD", "WORK");
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("bench parse of head ended") && err.contains("--gate count"), "{err}");

    // One that dies in the base alone may be what the change mends; one that dies in both is not mended.
    let (code, out, err) = judge("WORK", "HEAD");
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("skipped: bench parse of base ended"), "{out}");
    let (code, _, err) = judge("WORK", "WORK");
    assert!(code == Some(3) && err.contains("bench parse of head ended"), "{err}");
}
