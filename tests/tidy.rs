//! Style, held by a test: size, names, words, unsafe code and ways to panic. Each message names the better way.
//!
//! What ships is told apart from what tests it: `tests/`, `benches/`, `fuzz/`, and modules declared under `cfg(test)`
//! are free to panic.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file at most.
const LINES_MAX: usize = 800;

/// Names that say nothing, of files, folders and modules.
const EMPTY_NAMES: &[&str] =
    &["common", "helper", "helpers", "manager", "managers", "misc", "util", "utilities", "utils"];

/// Shipping files that hold unsafe code, and what for.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("rings/handover.rs", "control messages of a socket"),
    ("rings/lock.rs", "fcntl"),
    ("rings/memory.rs", "fstatfs, mbind"),
    ("rings/segment.rs", "memfd, seals, mapping"),
    ("rings/words.rs", "the only view of mapped memory"),
    ("src/agent/clock.rs", "clock_gettime"),
    ("src/agent/cpu.rs", "affinity, scheduling class, locked memory"),
    ("src/agent/tsc.rs", "rdtsc and cpuid"),
    ("src/allocator.rs", "one option of mimalloc"),
    ("src/apart/pidfd.rs", "pidfd_open and pidfd_send_signal"),
    ("src/commands/peer.rs", "credentials of a socket's peer"),
    ("src/interrupt.rs", "signal handlers"),
    ("src/journal/confined.rs", "a value that one thread owns, without a lock"),
    ("src/journal/map.rs", "allocation and mapping of files"),
    ("src/journal/tape.rs", "the one use of such a value on the way to an order"),
    ("src/kill/random.rs", "getrandom"),
    ("src/kill/signal.rs", "signal handler"),
    ("src/net/io/uring.rs", "submission of operations over owned buffers"),
    ("src/net/socket.rs", "socket options and abort"),
    ("src/simvenue/pause.rs", "ppoll"),
];

/// Crates that do not forbid unsafe code, by folder: those of the files above.
const UNSAFE_CRATES: &[&str] = &["", "rings", "src/agent", "src/journal", "src/kill", "src/net"];

/// Shipping lines that panic, by file: how many, and why no input reaches them.
const PANICS: &[(&str, usize, &str)] = &[
    ("rings/board.rs", 1, "the view was cut to size two lines above"),
    ("rings/control.rs", 1, "the view was cut to size two lines above"),
    ("src/kill/control.rs", 1, "constant offsets within a segment whose length was checked at attach"),
    ("src/venues/binance/sign.rs", 1, "HMAC takes a key of any length"),
];

/// What may lie at the top of the repository.
const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "rings",
    "src",
    "tests",
    "tools",
    "tuning",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One source file.
struct Source {
    /// Path from the root, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Part of a workspace of its own: a fuzzer, or the rivals our parts are measured beside.
    fn is_apart(&self) -> bool {
        self.path.split('/').any(|part| part == "fuzz") || self.path.starts_with("benches/rivals/")
    }

    /// Lines that ship: no comments, and nothing from a module under `cfg(test)` in this file.
    fn shipped(&self) -> Vec<(usize, &str)> {
        let mut lines = Vec::new();
        let mut numbered = self.text.lines().enumerate().peekable();
        while let Some((i, line)) = numbered.next() {
            let module = numbered.peek().is_some_and(|(_, next)| is_module(next) && next.ends_with('{'));
            if is_cfg_test(line) && module {
                // Formatted source: what opened at the margin closes at the margin.
                for (_, inner) in numbered.by_ref() {
                    if inner == "}" {
                        break;
                    }
                }
            } else if !line.trim_start().starts_with("//") {
                lines.push((i + 1, line));
            }
        }
        lines
    }

    /// Paths, without `.rs`, of the modules that this file declares under `cfg(test)` and keeps elsewhere.
    fn test_modules(&self) -> Vec<String> {
        let stem = match self.file_name() {
            "lib.rs" | "main.rs" | "mod.rs" => self.path.trim_end_matches(self.file_name()).to_owned(),
            _ => format!("{}/", self.path.trim_end_matches(".rs")),
        };
        let lines: Vec<&str> = self.text.lines().collect();
        let pairs = lines.windows(2).filter(|w| is_cfg_test(w[0]) && is_module(w[1]));
        pairs
            .filter_map(|w| w[1].rsplit_once(' ')?.1.strip_suffix(';'))
            .map(|name| format!("{stem}{name}"))
            .collect()
    }
}

fn is_cfg_test(line: &str) -> bool {
    line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test,")
}

fn is_module(line: &str) -> bool {
    ["mod ", "pub mod ", "pub(crate) mod "].iter().any(|m| line.starts_with(m))
}

fn walk(dir: &Path, wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    for entry in entries {
        let path = entry.expect("an entry of the directory").path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or("");
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            walk(&path, wanted, found);
        } else if wanted(&path) {
            found.push(path);
        }
    }
}

fn files(extensions: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let wanted = |p: &Path| p.extension().and_then(OsStr::to_str).is_some_and(|e| extensions.contains(&e));
    walk(root(), &wanted, &mut found);
    found.sort();
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
        path: path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned(),
    };
    found.into_iter().map(read).collect()
}

/// Rust sources of what ships.
fn shipping() -> Vec<Source> {
    let all = files(&["rs"]);
    assert!(all.len() > 100, "the tree was found: {} files", all.len());
    let tests: Vec<String> = all.iter().flat_map(Source::test_modules).collect();
    let is_test = |path: &str| {
        path.split('/').any(|part| ["tests", "benches", "fuzz"].contains(&part))
            || tests.iter().any(|t| path == format!("{t}.rs") || path.starts_with(&format!("{t}/")))
    };
    all.into_iter().filter(|s| !is_test(&s.path)).collect()
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn files_are_short_and_open_with_what_they_are() {
    let mut wrong = Vec::new();
    for s in files(&["rs"]) {
        let lines = s.text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!(
                "{}: {lines} lines. Past {LINES_MAX} it is two nouns sharing a coat: give each a file, or move its \
                 tests to {}/tests.rs",
                s.path,
                s.path.trim_end_matches(".rs")
            ));
        }
        if !s.text.trim_start().starts_with("//!") {
            wrong.push(format!("{}: open with `//!`: what it is, and what it refuses to do", s.path));
        }
    }
    report(&wrong);
}

#[test]
fn names_say_something() {
    let mut wrong = Vec::new();
    for s in files(&["rs", "toml"]) {
        let parts = s.path.split('/').map(|p| p.split('.').next().unwrap_or(p));
        let modules = s.text.lines().filter(|l| is_module(l.trim_start()));
        let modules =
            modules.filter_map(|l| l.split("mod ").nth(1)?.split([';', ' ', '{']).next()).map(str::to_owned);
        for name in parts.map(str::to_owned).chain(modules).filter(|n| EMPTY_NAMES.contains(&n.as_str())) {
            wrong.push(format!("{}: {name:?} names nothing: call it by the noun of the trade in it", s.path));
        }
    }
    report(&wrong);
}

#[test]
fn nothing_is_left_for_later_and_nothing_speaks_of_one_machine() {
    let words: &[(&str, &str)] = &[
        ("todo!", "write it, or leave out what needs it"),
        ("unimplemented!", "write it, or leave out what needs it"),
        ("dbg!", "a counter or a test says it better"),
        ("TODO", "do it, or say in the README that it is absent"),
        ("FIXME", "fix it"),
        ("XXX", "say what is meant"),
        ("#[ignore", "delete the test or make it pass"),
        ("/work/", "find files from CARGO_MANIFEST_DIR or an argument"),
        ("/root/", "find files from CARGO_MANIFEST_DIR or an argument"),
        ("/home/", "find files from CARGO_MANIFEST_DIR or an argument"),
        ("/Users/", "find files from CARGO_MANIFEST_DIR or an argument"),
        ("/tmp/", "std::env::temp_dir() knows where"),
    ];
    let mut wrong = Vec::new();
    for s in files(&["rs", "toml", "md"]).iter().filter(|s| s.path != "tests/tidy.rs") {
        for (i, line) in s.text.lines().enumerate() {
            for (word, better) in words.iter().filter(|(word, _)| line.contains(word)) {
                wrong.push(format!("{}:{}: {word:?}: {better}", s.path, i + 1));
            }
        }
    }
    report(&wrong);
}

#[test]
fn exceptions_to_lints_give_their_reason() {
    let mut wrong = Vec::new();
    for s in files(&["rs"]) {
        let lines: Vec<&str> = s.text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let line = line.trim_start();
            let opens =
                ["#[allow(", "#![allow(", "#[expect(", "#![expect("].iter().any(|a| line.starts_with(a));
            let end = lines[i..].iter().position(|l| l.contains(")]")).unwrap_or(0);
            if opens && !lines[i..=i + end].iter().any(|l| l.contains("reason = ")) {
                wrong.push(format!("{}:{}: say why the lint is wrong here: reason = \"...\"", s.path, i + 1));
            }
        }
    }
    report(&wrong);
}

#[test]
fn unsafe_code_lies_where_it_is_said_to() {
    const SIGNS: &[&str] = &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait"];
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for s in shipping() {
        let lines: Vec<usize> = s
            .shipped()
            .into_iter()
            .filter(|(_, l)| SIGNS.iter().any(|sign| l.contains(sign)))
            .map(|l| l.0)
            .collect();
        let Some(first) = lines.first() else { continue };
        if !UNSAFE_FILES.iter().any(|f| f.0 == s.path) {
            wrong.push(format!(
                "{}:{first}: unsafe code: put it behind a safe type in one of the files that hold it already, or add \
                 a row that says what for",
                s.path
            ));
        }
        seen.insert(s.path);
    }
    for (path, _) in UNSAFE_FILES.iter().filter(|f| !seen.contains(f.0)) {
        wrong.push(format!("{path}: no unsafe code is left: delete its row"));
    }
    for s in files(&["toml"]).iter().filter(|s| s.file_name() == "Cargo.toml" && !s.is_apart()) {
        let folder = s.path.trim_end_matches("Cargo.toml").trim_end_matches('/');
        if UNSAFE_CRATES.contains(&folder) {
            continue;
        }
        let entry =
            ["lib.rs", "main.rs"].iter().find_map(|f| fs::read_to_string(root().join(folder).join(f)).ok());
        if !entry.is_some_and(|text| text.contains("#![forbid(unsafe_code)]")) {
            wrong.push(format!("{folder}: write #![forbid(unsafe_code)] below the doc of its first file"));
        }
    }
    report(&wrong);
}

#[test]
fn what_ships_does_not_panic_on_input() {
    const SIGNS: &[&str] =
        &[".unwrap()", ".expect(", ".unwrap_err()", ".expect_err(", "panic!(", "unreachable!("];
    let mut wrong = Vec::new();
    for s in shipping() {
        let lines: Vec<usize> = s
            .shipped()
            .into_iter()
            .filter(|(_, l)| SIGNS.iter().any(|sign| l.contains(sign)))
            .map(|l| l.0)
            .collect();
        let allowed = PANICS.iter().find(|p| p.0 == s.path).map_or(0, |p| p.1);
        if lines.len() > allowed {
            wrong.push(format!(
                "{}: may panic at lines {lines:?}, {allowed} allowed: return a typed error, or make the type unable \
                 to hold the wrong value",
                s.path
            ));
        }
        if lines.len() < allowed {
            wrong.push(format!("{}: {allowed} allowed, {} left: lower its row", s.path, lines.len()));
        }
    }
    report(&wrong);
}

#[test]
fn versions_lints_and_profiles_are_set_once() {
    let mut wrong = Vec::new();
    let manifest = |s: &&Source| s.file_name() == "Cargo.toml" && s.path != "Cargo.toml" && !s.is_apart();
    for s in files(&["toml"]).iter().filter(manifest) {
        if !s.text.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{}: take the lints of the workspace: [lints] workspace = true", s.path));
        }
        let mut section = "";
        for (i, line) in s.text.lines().enumerate() {
            if line.starts_with('[') {
                section = line;
            }
            let named = section.ends_with("dependencies]") && line.contains('=') && !line.starts_with('#');
            if named && !line.contains("workspace = true") {
                wrong.push(format!(
                    "{}:{}: versions stand in the table of the root Cargo.toml; here only `{{ workspace = true }}`",
                    s.path,
                    i + 1
                ));
            }
            if line.starts_with("[profile") || line.starts_with("[patch") {
                wrong.push(format!("{}:{}: {line} belongs to the root Cargo.toml", s.path, i + 1));
            }
        }
    }
    report(&wrong);
}

#[test]
fn the_top_of_the_tree_stays_small() {
    let listed = std::process::Command::new("git").args(["ls-files"]).current_dir(root()).output();
    let Some(listed) = listed.ok().filter(|o| o.status.success()) else {
        println!("skipped: this tree is not a git checkout");
        return;
    };
    let text = String::from_utf8_lossy(&listed.stdout);
    let tops: BTreeSet<&str> = text.lines().filter_map(|l| l.split('/').next()).collect();
    let strange: Vec<&&str> = tops.iter().filter(|t| !t.starts_with('.') && !TOP.contains(t)).collect();
    assert!(
        strange.is_empty(),
        "{strange:?} at the top: code goes to src, rings or tools, settings of hosts to tuning, checks to tests"
    );
}
