//! The front page, held to what is there: its commands parse, its folders exist, its tables are the engine's own.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use corelane::cli;
use topology::Config;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Lines of the fenced blocks in this language.
fn fenced<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}");
    let mut lines = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == open;
        } else if inside && !line.is_empty() {
            lines.push(line);
        }
    }
    lines
}

/// Rows of the table under this head.
fn table(page: &str, head: &[&str]) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|c| c.trim().to_string()).collect()
    };
    let mut lines = page.lines().skip_while(|l| !l.starts_with('|') || cells(l) != head);
    assert!(lines.next().is_some(), "README.md has lost its table {head:?}");
    lines.skip(1).take_while(|l| l.starts_with('|')).map(cells).collect()
}

/// Names in backticks.
fn ticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Folders of the workspace's packages, the root's as `.`.
fn members() -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let listed = manifest.lines().skip_while(|l| !l.starts_with("members = [")).skip(1);
    let mut folders = BTreeSet::new();
    for pattern in listed.take_while(|l| !l.starts_with(']')).filter_map(|l| l.split('"').nth(1)) {
        match pattern.strip_suffix("/*") {
            None => {
                folders.insert(pattern.to_string());
            }
            Some(parent) => {
                let entries = fs::read_dir(root().join(parent)).unwrap_or_else(|e| panic!("{parent}: {e}"));
                let names = entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned());
                folders.extend(names.map(|n| format!("{parent}/{n}")));
            }
        }
    }
    folders
}

/// What a shell would make of a line without quotes inside words, comment cut off.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" #").next().unwrap_or("");
    line.split_whitespace().map(|w| w.trim_matches(['"', '\'']).to_string()).collect()
}

/// Checks one command, or says what is wrong with it.
fn check(words: &[String]) -> Result<(), String> {
    let is_setting = |w: &&String| {
        w.split('=').next().is_some_and(|n| n.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let settings = words.iter().take_while(|w| w.contains('=') && is_setting(w)).count();
    // A setting in quotes may hold blanks: its rest is skipped with it.
    let start = words.iter().position(|w| w == "cargo").filter(|_| settings > 0).unwrap_or(settings);
    let words: Vec<&str> = words[start..].iter().map(String::as_str).collect();
    match words.as_slice() {
        ["cargo", command, rest @ ..] => cargo(command, rest),
        [".ci/run"] => {
            let mode = fs::metadata(root().join(".ci/run")).map_err(|e| e.to_string())?.permissions().mode();
            if mode & 0o111 == 0 { Err(".ci/run is not executable".into()) } else { Ok(()) }
        }
        ["kill", "-USR1", "$(pidof", "corelane)"] => Ok(()),
        ["echo", "0" | "1", ">", file] if file.ends_with(corelane::rearm::LINE_FILE) => Ok(()),
        ["mkdir", "-p", _] => Ok(()),
        _ => Err("no test knows this command: teach tests/readme.rs what it must find".into()),
    }
}

fn cargo(command: &str, rest: &[&str]) -> Result<(), String> {
    match (command, rest) {
        ("install", ["cargo-fuzz"]) => return Ok(()),
        ("fuzz", ["run", "--fuzz-dir", folder, "--sanitizer", "none", target, "--", ..]) => {
            let found = root().join(folder).join(format!("fuzz_targets/{target}.rs")).exists();
            return if found { Ok(()) } else { Err(format!("there is no fuzz target {target} in {folder}")) };
        }
        _ => {}
    }
    let (own, theirs) = match rest.iter().position(|w| *w == "--") {
        Some(i) => (&rest[..i], &rest[i + 1..]),
        None => (rest, &[][..]),
    };
    if let ["--release", "--manifest-path", manifest, "--bin", program] = own {
        return apart(command, manifest, program, theirs);
    }
    let mut package = "corelane";
    let mut own = own.iter();
    while let Some(word) = own.next() {
        let mut value = || own.next().copied().ok_or(format!("{word} needs a value"));
        match *word {
            "-p" => package = value()?,
            "--test" => {
                let name = value()?;
                let folder = if package == "corelane" { String::new() } else { folder_of(package)? + "/" };
                let found = [format!("{folder}tests/{name}.rs"), format!("{folder}tests/{name}/main.rs")]
                    .iter()
                    .any(|p| root().join(p).exists());
                if !found {
                    return Err(format!("there is no test {name} in {package}"));
                }
            }
            "--bench" => {
                let name = value()?;
                let found = [format!("benches/{name}.rs"), format!("benches/{name}/main.rs")]
                    .iter()
                    .any(|p| root().join(p).exists());
                if !found {
                    return Err(format!("there is no bench {name}"));
                }
            }
            "--release" | "--workspace" => {}
            other => return Err(format!("unknown option of cargo {other}")),
        }
    }
    let folder = folder_of(package)?;
    match (command, package) {
        ("run", "corelane") => match cli::parse(theirs.iter().map(OsString::from)) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        ("run", _) => {
            let program: String = ["main.rs", "args.rs"]
                .iter()
                .filter_map(|f| fs::read_to_string(root().join(&folder).join(f)).ok())
                .collect();
            let reads = |w: &str| {
                // By its whole word, or as `lexopt` has it, without the dashes.
                program.contains(&format!("\"{w}\""))
                    || program.contains(&format!("\"{}\"", w.trim_start_matches('-')))
            };
            let unknown = theirs.iter().find(|w| w.starts_with("--") && !reads(w));
            unknown.map_or(Ok(()), |w| Err(format!("{package} knows no {w}")))
        }
        ("test" | "bench", _) => Ok(()),
        _ => Err(format!("cargo {command} is not for the front page")),
    }
}

/// A program of a workspace of its own, in the folder of its name beside the manifest. It is not run from here: that
/// takes libraries nothing else needs, and minutes.
fn apart(command: &str, manifest: &str, program: &str, options: &[&str]) -> Result<(), String> {
    let text = fs::read_to_string(root().join(manifest)).map_err(|e| format!("{manifest}: {e}"))?;
    if command != "run" || !text.contains("[workspace]\n") {
        return Err(format!("{manifest} is of this workspace: use -p"));
    }
    let path = format!("{program}/main.rs");
    if !text.contains(&format!("[[bin]]\nname = \"{program}\"\npath = \"{path}\"\n")) {
        return Err(format!("{manifest} has no program {program} at {path}"));
    }
    let args = root().join(manifest).with_file_name(program).join("args.rs");
    let args = fs::read_to_string(&args).map_err(|e| format!("{}: {e}", args.display()))?;
    let reads = |w: &str| args.contains(&format!("Arg::Long(\"{}\")", w.trim_start_matches('-')));
    let unknown = options.iter().find(|w| w.starts_with("--") && !reads(w));
    unknown.map_or(Ok(()), |w| Err(format!("{program} knows no {w}")))
}

fn folder_of(package: &str) -> Result<String, String> {
    members()
        .into_iter()
        .find(|folder| {
            let manifest = if folder == "." { "Cargo.toml".into() } else { format!("{folder}/Cargo.toml") };
            read(&manifest).lines().any(|l| l == format!("name = \"{package}\""))
        })
        .ok_or(format!("no package {package}"))
}

#[test]
fn every_command_shown_is_one_that_works() {
    let page = read("README.md");
    let lines = fenced(&page, "sh");
    assert!(lines.len() > 10, "{} commands", lines.len());
    let wrong: Vec<String> = lines
        .iter()
        .filter_map(|line| check(&words(line)).err().map(|why| format!("{line}\n    {why}")))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    for bad in [
        "cargo run --release -- --sedes 4",
        "cargo run --release -p corelane-stat -- --for-ever",
        "cargo run -p corelane-nobody",
        "cargo bench --bench nothing",
        "cargo run --release --manifest-path benches/rivals/Cargo.toml --bin nothing",
        "cargo run --release --manifest-path benches/rivals/Cargo.toml --bin transport -- --fast",
        "cargo run --release --manifest-path rings/Cargo.toml --bin transport",
        "cargo fuzz run --fuzz-dir src/net/fuzz --sanitizer none nothing -- -max_total_time=1",
        "rm -r state",
    ] {
        assert!(check(&words(bad)).is_err(), "{bad}");
    }
}

#[test]
fn what_it_shows_is_what_the_programs_print() {
    let page = read("README.md");
    let shown = fenced(&page, "text");
    for (_, title) in corelane::demo::report::STAGES {
        let rows = shown.iter().filter(|l| l.starts_with(title)).count();
        assert!(
            rows >= 2,
            "README.md shows no page with the stage {title:?}: paste one that a run has printed"
        );
    }
    for hist in corelane::meters::STAGE_HISTS {
        assert!(
            shown.iter().any(|l| l.trim_start().starts_with(hist)),
            "README.md shows no statistics of {hist}"
        );
    }
    for head in ["corelane demo · tls", "corelane demo · memory", "corelane demo  pid"] {
        assert!(
            shown.iter().any(|l| l.starts_with(head)),
            "README.md shows nothing that begins with {head:?}"
        );
    }
    assert!(shown.contains(&"engine and venue: open orders agree, positions agree, balances agree"));
    assert!(!page.contains("@@"), "README.md has a blank to be filled in");
}

#[test]
fn the_two_commands_come_first() {
    let page = read("README.md");
    let first: Vec<Vec<String>> = fenced(&page, "sh").iter().take(2).map(|l| words(l)).collect();
    assert_eq!(first, [vec!["cargo", "run", "--release"], vec!["cargo", "test"]]);
}

#[test]
fn the_code_map_is_the_tree() {
    let page = read("README.md");
    let rows = table(&page, &["folder", "what it is", "what is deliberately absent"]);
    let named: BTreeSet<&str> = rows.iter().flat_map(|r| ticked(&r[0])).collect();
    for folder in &named {
        assert!(root().join(folder).is_dir(), "{folder} is in the code map and not in the tree");
    }
    for row in &rows {
        assert!(
            row.iter().all(|cell| !cell.is_empty()),
            "{row:?}: each folder says what it is and what it is not"
        );
    }
    let mut wanted = members();
    wanted.remove(".");
    // Folders of the root package count as well; what lies beside single files goes with them.
    for entry in fs::read_dir(root().join("src")).expect("src") {
        let path = entry.expect("an entry").path();
        let beside = path.with_extension("rs").exists();
        let plural = path.is_dir() && !path.join("lib.rs").exists() && !path.join("mod.rs").exists();
        if path.is_dir() && !beside && !plural {
            wanted.insert(path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned());
        }
    }
    let missing: Vec<&String> = wanted.iter().filter(|f| !named.contains(f.as_str())).collect();
    assert!(missing.is_empty(), "give each a line in the code map of README.md: {missing:?}");
    for file in page.split(['(', '`', ' ']).filter_map(|w| w.split([')', '`']).next()) {
        // What `corelane-simvenue --out venue` writes is not in the tree.
        let written = file.starts_with("venue/");
        if (file.ends_with(".rs") || file.ends_with(".toml")) && file.contains('/') && !written {
            assert!(root().join(file).exists(), "README.md names {file}, which is not there");
        }
    }
}

#[test]
fn every_bench_is_shown() {
    let page = read("README.md");
    for entry in fs::read_dir(root().join("benches")).expect("benches") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.join("main.rs").exists() {
            continue; // shared by benches, none itself
        }
        let name = path.file_stem().and_then(|n| n.to_str()).expect("a name").to_string();
        assert!(
            page.contains(&format!("cargo bench --bench {name}")),
            "say in README.md what bench {name} measures"
        );
    }
}

#[test]
fn the_rings_are_those_of_the_topology() {
    let page = read("README.md");
    let shown = table(&page, &["ring", "from", "to", "slots", "when full"]);
    let real: Vec<Vec<String>> = Config::default()
        .rings
        .table()
        .iter()
        .map(|r| {
            vec![
                format!("`{}`", r.name),
                r.producer.to_string(),
                r.consumer.to_string(),
                r.capacity.to_string(),
                r.when_full.to_string(),
            ]
        })
        .collect();
    assert_eq!(shown, real, "README.md tells the rings as they were");
    let engine: Vec<String> = corelane::engine::RINGS.iter().map(|name| format!("`{name}`")).collect();
    let names: Vec<&String> = real.iter().map(|r| &r[0]).collect();
    assert_eq!(names, engine.iter().collect::<Vec<_>>(), "topology and engine number the rings alike");
}

#[test]
fn the_libraries_serve_where_the_page_says() {
    let page = read("README.md");
    let rows = table(&page, &["crate", "in", "for"]);
    let mut named = BTreeSet::new();
    for row in &rows {
        for library in ticked(&row[0]) {
            named.insert(library);
            for folder in ticked(&row[1]) {
                let manifest =
                    if folder == "." { "Cargo.toml".into() } else { format!("{folder}/Cargo.toml") };
                let text = read(&manifest);
                let own = text.split("[workspace.dependencies]").next().unwrap_or("");
                assert!(
                    own.lines().any(|l| l.starts_with(&format!("{library} = "))),
                    "README.md says that {folder} uses {library}; its Cargo.toml does not"
                );
            }
        }
    }
    for prescribed in [
        "core_affinity",
        "criterion",
        "crossbeam-utils",
        "hdrhistogram",
        "io-uring",
        "libc",
        "memmap2",
        "mimalloc",
        "rtrb",
        "rust_decimal",
        "simd-json",
    ] {
        assert!(named.contains(prescribed), "{prescribed} has its place in the engine: name it in README.md");
    }
    let uses_rppal = members().iter().any(|m| m != "." && read(&format!("{m}/Cargo.toml")).contains("rppal"));
    assert!(uses_rppal == named.contains("rppal"), "README.md says of rppal what is so");
    if !uses_rppal {
        assert!(page.contains("`rppal` is not used"), "README.md says plainly that rppal is not used yet");
    }
}
