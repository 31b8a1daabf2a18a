//! Arrows run one way: `cargo metadata` against the table of who may depend on whom; and the engine's dependency tree
//! is reviewed: how large, what never, under which licences, what needs a C compiler.
//!
//! A failure names the arrow and the better way. Dependencies of tests and benches are free, but for their licences.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Crate, its folder, and what it may depend on: crates of the house, then outside libraries.
const ARROWS: &[(&str, &str, &[&str], &[&str])] = &[
    ("corelane-rings", "rings", &[], &["crossbeam-utils", "libc", "loom", "memmap2", "thiserror"]),
    ("corelane-wire", "src/wire", &[], &[]),
    ("corelane-topology", "src/topology", &["wire"], &["rust_decimal", "serde", "thiserror", "toml"]),
    (
        "corelane-agent",
        "src/agent",
        &["rings", "wire"],
        &["core_affinity", "crossbeam-utils", "libc", "thiserror"],
    ),
    ("corelane-stats", "src/stats", &["rings", "wire"], &["libc", "thiserror"]),
    ("corelane-journal-format", "src/journal", &[], &["crc32c", "libc", "memmap2", "rtrb", "thiserror"]),
    ("corelane-net", "src/net", &[], &["io-uring", "libc", "rtrb", "rustls", "sha1", "thiserror"]),
    ("corelane-book", "src/book", &["wire"], &["thiserror"]),
    ("corelane-command", "src/command", &[], &["thiserror"]),
    ("corelane-orders", "src/orders", &["wire"], &["thiserror"]),
    ("corelane-quant", "src/quant", &["wire"], &["thiserror"]),
    ("corelane-kill", "src/kill", &["rings", "wire"], &["libc", "thiserror"]),
    ("corelane-risk", "src/risk", &["wire", "orders", "book"], &["thiserror"]),
    ("corelane-venue", "src/venue", &["wire"], &["thiserror"]),
    ("corelane-strategy", "src/strategy", &["wire", "book"], &["thiserror"]),
    ("corelane-exchange", "src/exchange", &["wire", "book", "orders"], &["thiserror"]),
    (
        "corelane-venue-binance",
        "src/venues/binance",
        &["venue", "exchange", "wire"],
        &["flate2", "hmac", "ring", "rust_decimal", "sha2", "simd-json", "thiserror", "zeroize"],
    ),
    ("corelane-strategies", "src/strategies", &["strategy", "wire", "book", "quant"], &["thiserror"]),
    // A research program: it may use the root's library, which operators' programs never do.
    (
        "corelane-journal",
        "tools/journal",
        &["corelane", "journal-format", "kill", "wire"],
        &["anyhow", "lexopt", "serde_json"],
    ),
    (
        "corelane-simvenue",
        "tools/simvenue",
        &["corelane", "topology", "venue-binance"],
        &["anyhow", "lexopt"],
    ),
    ("corelane-gate", "tools/gate", &["agent"], &["hdrhistogram", "lexopt", "serde_json", "thiserror"]),
    (
        "corelane-stat",
        "tools/stat",
        &["rings", "wire", "stats", "kill", "net"],
        &["anyhow", "base64", "hdrhistogram", "ratatui", "serde_json"],
    ),
    ("corelane-ctl", "tools/ctl", &["command", "kill", "stats", "wire"], &["anyhow", "lexopt", "serde_json"]),
];

/// Never in the engine's dependency graph, however deep.
const BANNED: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "async-executor",
    "hyper",
    "axum",
    "actix-web",
    "warp",
    "rocket",
    "sqlx",
    "diesel",
    "rusqlite",
    "postgres",
    "redis",
    "sled",
    "openssl",
];

/// What the root package itself may use: `lexopt` reads the command line, `libc` waits on sockets and signals,
/// `mimalloc` allocates, `rcgen` makes the simulated venue's certificate, `rtrb` hands over snapshots, `serde_json`
/// writes the report.
const ROOT_OUTSIDE: &[&str] = &["lexopt", "libc", "mimalloc", "rcgen", "rtrb", "serde_json", "thiserror"];

/// Crates with foreign code in them: cryptography and the allocator.
const NATIVE: &[&str] = &["libmimalloc-sys", "ring"];

/// Where the engine runs; the tree is reviewed for it.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Packages that the engine may be built from.
const GRAPH_MAX: usize = 120;

/// Licences whose terms "MIT OR Apache-2.0" can meet.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn cargo(args: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let out = Command::new(cargo)
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs, since this test runs");
    assert!(out.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("cargo prints text")
}

fn metadata() -> Value {
    // Only what this platform needs: a fresh clone has downloaded nothing else.
    let printed =
        cargo(&["metadata", "--format-version=1", "--offline", "--locked", "--filter-platform", PLATFORM]);
    serde_json::from_str(&printed).expect("cargo metadata prints JSON")
}

fn text<'a>(v: &'a Value, key: &str) -> &'a str {
    v[key].as_str().unwrap_or("")
}

fn list(v: &Value) -> &[Value] {
    v.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn normal_dependencies(package: &Value) -> Vec<(String, bool)> {
    list(&package["dependencies"])
        .iter()
        .filter(|d| d["kind"].is_null() || d["kind"] == "build")
        .map(|d| (text(d, "name").to_string(), d["path"].is_string()))
        .collect()
}

#[test]
fn arrows_follow_the_table() {
    let metadata = metadata();
    let members: Vec<&str> =
        metadata["workspace_members"].as_array().expect("members").iter().filter_map(Value::as_str).collect();
    let mut seen = BTreeMap::new();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        if !members.contains(&text(package, "id")) {
            continue;
        }
        let name = text(package, "name");
        if name == "corelane" {
            continue; // the root composes all
        }
        let Some((_, folder, inside, outside)) = ARROWS.iter().find(|a| a.0 == name) else {
            wrong.push(format!("{name} is not in the table: add its row, with the layer it belongs to"));
            continue;
        };
        seen.insert(name, ());
        if !text(package, "manifest_path").ends_with(&format!("/{folder}/Cargo.toml")) {
            wrong.push(format!("{name} must live in {folder}"));
        }
        for (dependency, is_house) in normal_dependencies(package) {
            let short = dependency.strip_prefix("corelane-").unwrap_or(&dependency);
            let allowed = if is_house { inside } else { outside };
            if !allowed.contains(&short) {
                wrong.push(format!(
                    "{name} -> {dependency} points the wrong way: move the shared part down to a layer that both \
                     may use, or pass the value in"
                ));
            }
        }
    }
    for (name, ..) in ARROWS {
        if !seen.contains_key(name) {
            wrong.push(format!("{name} is in the table but not in the workspace: delete its row"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Packages that the engine is built from on its platform, procedural macros included, features as shipped: name and
/// version.
fn engine_graph() -> BTreeSet<(String, String)> {
    let tree = cargo(&[
        "tree",
        "--package=corelane",
        "--edges=normal",
        "--prefix=none",
        "--format={p}",
        "--offline",
        "--locked",
        "--target",
        PLATFORM,
    ]);
    let pair = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_string(), words.next()?.to_string()))
    };
    let graph: BTreeSet<_> = tree.lines().filter_map(pair).collect();
    assert!(graph.len() > 20, "the graph was read: {} packages", graph.len());
    graph
}

#[test]
fn the_engine_drags_in_no_runtime_database_or_web_framework() {
    let graph = engine_graph();
    let names: BTreeSet<&str> = graph.iter().map(|p| p.0.as_str()).collect();
    let banned: Vec<_> = names.iter().filter(|n| BANNED.contains(n)).collect();
    assert!(banned.is_empty(), "the engine depends on {banned:?}");
    println!("the engine is built from {} packages", graph.len());
    assert!(graph.len() <= GRAPH_MAX, "{} packages: review the tree before it grows further", graph.len());
    let twice: Vec<_> = graph.iter().filter(|p| graph.iter().any(|q| p.0 == q.0 && p.1 != q.1)).collect();
    assert!(twice.is_empty(), "two versions of one library are compiled and shipped: {twice:?}");
}

#[test]
fn only_known_crates_need_a_c_compiler() {
    let metadata = metadata();
    let graph = engine_graph();
    // A crate may name a library only to reserve it; one that compiles asks for a compiler.
    let native: Vec<&str> = list(&metadata["packages"])
        .iter()
        .filter(|p| graph.iter().any(|g| g.0 == text(p, "name")))
        .filter(|p| list(&p["dependencies"]).iter().any(|d| d["kind"] == "build" && text(d, "name") == "cc"))
        .map(|p| text(p, "name"))
        .collect();
    assert_eq!(native, NATIVE, "these compile foreign code: prefer Rust, or name it in NATIVE");
}

#[test]
fn every_licence_permits_mit_or_apache() {
    let metadata = metadata();
    let wrong: Vec<String> = list(&metadata["packages"])
        .iter()
        .filter(|p| !permits(text(p, "license")))
        .map(|p| format!("{} {}: {:?}", text(p, "name"), text(p, "version"), text(p, "license")))
        .collect();
    assert!(wrong.is_empty(), "licences that do not fit, or are not stated:\n{}", wrong.join("\n"));
    for bad in ["", "GPL-3.0", "MPL-2.0 AND MIT", "MIT AND (GPL-2.0 OR LGPL-3.0)", "(MIT"] {
        assert!(!permits(bad), "{bad:?}");
    }
    for good in ["GPL-2.0 OR MIT", "Apache-2.0/MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
        assert!(permits(good), "{good:?}");
    }
}

/// Whether a licence expression can be met by permissive terms: `OR` and `/` need one side, `AND` both. `WITH`
/// exceptions only widen, and are part of the word before.
fn permits(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = either(&words, &mut at);
    met && at == words.len()
}

fn either(words: &[&str], at: &mut usize) -> bool {
    let mut met = both(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= both(words, at);
    }
    met
}

fn both(words: &[&str], at: &mut usize) -> bool {
    let mut met = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at);
    }
    met
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = either(words, at);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return met && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
    }
    LICENCES.contains(word)
}

#[test]
fn plain_cargo_test_covers_every_member() {
    let metadata = metadata();
    let ids =
        |key: &str| -> BTreeSet<&str> { list(&metadata[key]).iter().filter_map(Value::as_str).collect() };
    let (members, default) = (ids("workspace_members"), ids("workspace_default_members"));
    let missing: Vec<_> = members.difference(&default).collect();
    assert!(missing.is_empty(), "add to default-members in Cargo.toml: {missing:?}");
}

#[test]
fn the_root_needs_no_library_but_these() {
    let metadata = metadata();
    let root = list(&metadata["packages"]).iter().find(|p| text(p, "name") == "corelane").expect("the root");
    let strange: Vec<String> = normal_dependencies(root)
        .into_iter()
        .filter(|(name, is_house)| !is_house && !ROOT_OUTSIDE.contains(&name.as_str()))
        .map(|d| d.0)
        .collect();
    assert!(
        strange.is_empty(),
        "{strange:?}: belongs behind a crate of the house, or name here what it replaces and drags in"
    );
}
