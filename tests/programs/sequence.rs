//! The front page's own sequence, typed as it stands there: start a venue, run an engine, steer it, end both.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use super::rig::{Running, Scratch, alone, engine, program, until};

/// Commands of the section, in order.
fn shown() -> Vec<String> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("README.md");
    let section = page.split("\n## Operating it\n").nth(1).expect("the section").split("\n## ").next();
    let mut inside = false;
    let mut lines = Vec::new();
    for line in section.expect("text").lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside && !line.is_empty() {
            lines.push(line.split(" #").next().unwrap_or(line).trim().to_owned());
        }
    }
    lines
}

/// The program that a line starts, and its arguments.
fn words(line: &str) -> (PathBuf, Vec<String>) {
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let at = words.iter().position(|w| w == "--").unwrap_or(words.len());
    let own: Vec<String> = words.drain(..(at + 1).min(words.len())).collect();
    let package = own.iter().position(|w| w == "-p").and_then(|i| own.get(i + 1));
    let path = match package.map(String::as_str) {
        None => engine().get_program().into(),
        Some("corelane-ctl") => program("corelane-ctl", "tools/ctl"),
        Some("corelane-simvenue") => program("corelane-simvenue", "tools/simvenue"),
        Some("corelane-stat") => program("corelane-stat", "tools/stat"),
        Some(other) => panic!("{other} is not started here: teach this test"),
    };
    (path, words)
}

#[test]
fn the_front_pages_sequence_works_as_it_stands() {
    let _machine = alone();
    let scratch = Scratch::new("sequence");
    let command = |line: &str| {
        let (path, words) = words(line);
        let mut command = Command::new(path);
        command.args(words).current_dir(scratch.path()).env("CORELANE_SHM_DIR", scratch.shm());
        command.env_remove("CORELANE_STATE_DIR");
        command
    };
    let (mut venue, mut run): (Option<Running>, Option<Running>) = (None, None);
    let mut trip = String::new();
    let mut done = Vec::new();
    for line in shown() {
        let (_, args) = words(&line);
        match args.first().map(String::as_str) {
            Some("--out") => {
                let mut started = Running::start(&mut command(&line));
                started.wait_for(0, "next: corelane run --config");
                venue = Some(started);
            }
            Some("run") => {
                let mut started = Running::start(&mut command(&line));
                started.wait_for(0, "trading on");
                run = Some(started);
            }
            _ => {
                let line = line.replace("S5AW-7XYK", &trip);
                let mut out: Option<Output> = None;
                // An engine that has just been re-armed, or a book that has just come, needs its moment.
                until(&line, || {
                    let said = command(&line).output().expect("it runs");
                    let good = said.status.success();
                    out = Some(said);
                    good
                });
                let text = out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
                if let Some(id) = text.split("--trip ").nth(1).and_then(|l| l.split_whitespace().next()) {
                    trip = id.to_owned();
                }
            }
        }
        done.push(args.join(" "));
    }
    for wanted in ["check", "status", "mode pause", "mode normal", "orders", "cancel-all", "kill", "rearm"] {
        assert!(done.iter().any(|line| line.starts_with(wanted)), "README.md shows no {wanted}: {done:?}");
    }
    let mut run = run.expect("an engine");
    run.wait_for(0, "armed again");
    run.signal("-INT");
    let (code, said) = run.end();
    assert!(code == Some(0) && said.contains("nothing is open, positions and balances agree"), "{said}");
    let sent =
        said.lines().find_map(|l| l.strip_prefix("orders")?.split_whitespace().next()?.parse::<u64>().ok());
    let venue = venue.expect("a venue");
    venue.signal("-INT");
    let (code, summary) = venue.end();
    assert_eq!(code, Some(0), "{summary}");
    assert!(summary.contains("open     0"), "{summary}");
    let arrived =
        summary.lines().find_map(|l| l.strip_prefix("orders")?.split_whitespace().next()?.parse().ok());
    assert_eq!(arrived, sent, "engine and venue count alike: {said}\n{summary}");
    // Balances, to the last digit, as both sides print them.
    for line in said.lines().filter(|l| l.starts_with("balance")) {
        let mut words = line.split_whitespace().skip(1);
        let (amount, asset) = (words.next().expect("an amount"), words.next().expect("an asset"));
        let mine: topology::Decimal = amount.parse().expect("a decimal");
        let theirs = summary.lines().filter(|l| l.starts_with("balance")).find_map(|l| {
            let words: Vec<&str> = l.split_whitespace().collect();
            (words.get(2)?.trim_end_matches(',') == asset)
                .then(|| words.get(1)?.parse::<topology::Decimal>().ok())?
        });
        assert_eq!(Some(mine.normalize()), theirs.map(|d| d.normalize()), "{asset}\n{said}\n{summary}");
    }
}
