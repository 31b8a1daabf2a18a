//! Compares the latency of two revisions on this machine, and says which rows got slower and by how much.
//!
//! ```text
//! corelane-gate run --base REV --head REV      compare; WORK is the working tree
//! corelane-gate prove                          plant regressions, and see that each is caught and nothing else
//! ```
//!
//! Both revisions are checked out under `target/gate` and their benches built, once each; then `tick_to_order`,
//! `ring_hop`, `parse` and `gate` of both run by turns in one session. Times are compared by a paired test
//! ([`paired`]); heap requests, system calls and instructions are counted (`benches/protocol/mod.rs`).
//!
//! Exit code 0: nothing is slower, or skipped with `--or-skip`. 1: at least one row is slower. 2: wrong arguments.
//! 3: there is nothing to compare (no such revision, one from before the gate, one that does not build), and what to
//! do about it. What cannot be told is shown and fails nothing.

#![forbid(unsafe_code)]

mod builds;
mod lines;
mod machine;
mod paired;
mod plant;
mod prove;
mod revision;
mod session;
mod shuffle;
mod table;
mod verdict;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use builds::{BuildError, Builds, Built};
use lexopt::prelude::*;
use prove::Proof;
use revision::{Repository, Revision, RevisionError};
use session::{Plan, SessionError};
use table::Report;
use verdict::Verdict;

const USAGE: &str = "\
usage: corelane-gate run --base REV --head REV [options]
       corelane-gate prove [--trials N] [--case NAME]... [options]

run: compares the latency of two revisions; REV is what git understands, or WORK for the working tree
  --or-skip      where there is nothing to compare: say why, and end with exit code 0

prove: plants regressions in a copy of the working tree; each must be caught, and nothing in code that is the same
  --trials N     comparisons of each case, 1 to 1000 (10; of the cases without a regression twice as many)
  --case NAME    only this one: same, apart, unrelated, allocation, call or instructions; may be given several times

options
  --bench NAME   only this bench: gate, parse, ring_hop or tick_to_order; may be given several times
  --rounds N     timed rounds at most, 0 to 200 (30)
  --budget-s N   time for one comparison once both are built, 1 to 3600 (85)
  --seed N       seed of the order in which builds and benches run (1)
  --json FILE    write the result as JSON too
  --dir DIR      where worktrees and builds are kept (default: gate in $CARGO_TARGET_DIR, else in target)

exit code 0: nothing slower (prove: all as it must be); 1: something is; 2: wrong arguments; 3: nothing to compare
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Help,
    Run { base: String, head: String, or_skip: bool, options: Options },
    Prove { trials: usize, cases: Vec<String>, options: Options },
}

/// Options of both commands.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    plan: Plan,
    json: Option<PathBuf>,
    dir: Option<PathBuf>,
}

/// Why a command line was refused.
#[derive(Debug, thiserror::Error)]
enum Usage {
    #[error("{0}")]
    Words(#[from] lexopt::Error),
    #[error("say what to do: run or prove")]
    NoCommand,
    #[error("unknown command {0:?}: must be run or prove")]
    Command(String),
    #[error("run needs {0} REV: a commit, branch or tag, or WORK for the working tree")]
    Missing(&'static str),
    #[error("{option} {value:?}: must be {rule}")]
    Value { option: &'static str, value: String, rule: String },
}

/// Why nothing was compared.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Revision(#[from] RevisionError),
    #[error("{0}")]
    Base(RevisionError),
    #[error("{0}")]
    BaseSilent(SessionError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Plant(#[from] plant::PlantError),
    #[error("{path}: {why}")]
    Json { path: PathBuf, why: std::io::Error },
}

fn main() -> ExitCode {
    let asked = match parse(std::env::args_os().skip(1)) {
        Ok(asked) => asked,
        Err(why) => {
            eprint!("corelane-gate: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let (done, or_skip) = match asked {
        Asked::Help => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Asked::Run { base, head, or_skip, options } => (run(&base, &head, &options), or_skip),
        Asked::Prove { trials, cases, options } => (prove(trials, &cases, &options), false),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // A base that is not there, or not able to speak, is no fault of the change.
        Err(why @ (Failure::Base(_) | Failure::BaseSilent(_))) if or_skip => {
            println!("skipped: {why}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("corelane-gate: {why}");
            ExitCode::from(3)
        }
    }
}

fn parse(args: impl Iterator<Item = OsString>) -> Result<Asked, Usage> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut command = None;
    let (mut base, mut head, mut or_skip) = (None, None, false);
    let (mut trials, mut cases) = (10, Vec::new());
    let plan = Plan { benches: Vec::new(), rounds: 30, budget_s: 85, seed: 1 };
    let mut options = Options { plan, json: None, dir: None };
    while let Some(arg) = parser.next()? {
        let is = |name: &str| command.as_deref() == Some(name);
        match arg {
            Short('h') | Long("help") => return Ok(Asked::Help),
            Value(word) if command.is_none() => match word.string()? {
                word if word == "run" || word == "prove" => command = Some(word),
                word => return Err(Usage::Command(word)),
            },
            Long("base") if is("run") => base = Some(parser.value()?.string()?),
            Long("head") if is("run") => head = Some(parser.value()?.string()?),
            Long("or-skip") if is("run") => or_skip = true,
            Long("trials") if is("prove") => trials = number("--trials", parser.value()?, 1, 1_000)? as usize,
            Long("case") if is("prove") => {
                let name = parser.value()?.string()?;
                if !prove::CASES.iter().any(|c| c.name == name) {
                    let names: Vec<&str> = prove::CASES.iter().map(|c| c.name).collect();
                    let rule = format!("one of {}", names.join(", "));
                    return Err(Usage::Value { option: "--case", value: name, rule });
                }
                cases.push(name);
            }
            Long("bench") => {
                let name = parser.value()?.string()?;
                let known = builds::BENCHES.into_iter().find(|b| *b == name);
                let rule = format!("one of {}", builds::BENCHES.join(", "));
                let bench = known.ok_or(Usage::Value { option: "--bench", value: name, rule })?;
                options.plan.benches.push(bench);
            }
            Long("rounds") => {
                let most = paired::PAIRS_MAX as u64;
                options.plan.rounds = number("--rounds", parser.value()?, 0, most)? as usize;
            }
            Long("budget-s") => options.plan.budget_s = number("--budget-s", parser.value()?, 1, 3_600)?,
            Long("seed") => options.plan.seed = number("--seed", parser.value()?, 0, u64::MAX)?,
            Long("json") => options.json = Some(parser.value()?.into()),
            Long("dir") => options.dir = Some(parser.value()?.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.plan.benches.is_empty() {
        options.plan.benches = builds::BENCHES.to_vec();
    }
    match command.as_deref() {
        None => Err(Usage::NoCommand),
        Some("prove") => Ok(Asked::Prove { trials, cases, options }),
        Some(_) => {
            let base = base.ok_or(Usage::Missing("--base"))?;
            let head = head.ok_or(Usage::Missing("--head"))?;
            Ok(Asked::Run { base, head, or_skip, options })
        }
    }
}

fn number(option: &'static str, value: OsString, least: u64, most: u64) -> Result<u64, Usage> {
    let parsed = value.to_str().and_then(|v| v.parse().ok()).filter(|n| (least..=most).contains(n));
    parsed.ok_or_else(|| Usage::Value {
        option,
        value: value.to_string_lossy().into_owned(),
        rule: format!("a whole number from {least} to {most}"),
    })
}

/// The repository around the current directory, and the gate's own directory in it.
fn open(options: &Options) -> Result<(Repository, Builds), Failure> {
    let repository = Repository::around(Path::new(".")).map_err(Failure::Base)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(repository.root.join("target"), PathBuf::from);
    let dir = options.dir.clone().unwrap_or_else(|| target.join("gate"));
    let builds = Builds::open(repository.clone(), &dir)?;
    Ok((repository, builds))
}

/// Compares; whether nothing is slower.
fn run(base: &str, head: &str, options: &Options) -> Result<bool, Failure> {
    let (repository, builds) = open(options)?;
    // Head first: what is wrong with it is the asker's to mend.
    let head = repository.resolve(head, builds.dir())?;
    let base = repository.resolve(base, builds.dir()).map_err(Failure::Base)?;
    let accepted = repository.accepted(&base, &head)?;
    let build = |revision| builds.build(revision, builds::TREE, &options.plan.benches);
    let built = [build(&base)?, build(&head)?];
    let compared = compare([&base, &head], built.each_ref(), &options.plan, &accepted, builds.dir());
    let (slower, text, json) = compared.map_err(|why| match why {
        // What ails the base alone the change may be there to mend.
        SessionError::Failed { side, .. } if side == session::SIDES[0] => Failure::BaseSilent(why),
        why => Failure::Session(why),
    })?;
    print!("{text}");
    write_json(options, &json)?;
    Ok(slower.is_empty())
}

type Compared = (Vec<String>, String, serde_json::Value);

/// One comparison: names of the rows that are slower, the table, the JSON.
fn compare(
    revisions: [&Revision; 2],
    built: [&Built; 2],
    plan: &Plan,
    accepted: &[String],
    scratch: &Path,
) -> Result<Compared, SessionError> {
    let found = session::run(built, plan, scratch)?;
    let rows = found.measured.judge(accepted);
    let slower = rows.iter().filter(|r| r.verdict == Verdict::Slower);
    let slower = slower.map(|r| format!("{}/{} {}", r.bench, r.row, r.measure.name())).collect();
    let report = Report { revisions, plan, found: &found, rows: &rows };
    Ok((slower, report.text(), report.json()))
}

fn prove(trials: usize, cases: &[String], options: &Options) -> Result<bool, Failure> {
    let (repository, builds) = open(options)?;
    let mut proof = Proof::default();
    proof.run(&repository, &builds, trials, cases, &options.plan)?;
    print!("{}", proof.text());
    write_json(options, &proof.json())?;
    Ok(proof.holds())
}

fn write_json(options: &Options, json: &serde_json::Value) -> Result<(), Failure> {
    let Some(path) = &options.json else { return Ok(()) };
    std::fs::write(path, format!("{json:#}\n")).map_err(|why| Failure::Json { path: path.clone(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Asked, Usage> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn lines_are_read() {
        let plan = Plan { benches: builds::BENCHES.to_vec(), rounds: 12, budget_s: 40, seed: 9 };
        let options = Options { plan, json: Some("x.json".into()), dir: Some("d".into()) };
        let line =
            "run --base HEAD^ --head WORK --rounds 12 --budget-s 40 --seed 9 --json x.json --dir d --or-skip";
        let want = Asked::Run { base: "HEAD^".into(), head: "WORK".into(), or_skip: true, options };
        assert_eq!(asked(line).unwrap(), want);
        match asked("prove --trials 3 --case call --case same").unwrap() {
            Asked::Prove { trials: 3, cases, .. } => assert_eq!(cases, ["call", "same"]),
            other => panic!("{other:?}"),
        }
        assert_eq!(asked("--help").unwrap(), Asked::Help);
    }

    #[test]
    fn wrong_lines_name_option_value_and_rule() {
        for (line, says) in [
            ("", "run or prove"),
            ("walk", "\"walk\""),
            ("run --head x", "--base"),
            ("run --base x", "--head"),
            ("run --base x --head y --rounds 201", "--rounds \"201\": must be a whole number from 0 to 200"),
            ("run --base x --head y --budget-s 0", "--budget-s \"0\""),
            ("run --base x --head y --trials 3", "--trials"),
            ("run --base x --head y z", "\"z\""),
            ("prove --base x", "--base"),
            ("prove --case nothing", "\"nothing\""),
            ("prove --trials 0", "--trials \"0\""),
            ("run --base x --head y --bench z", "--bench \"z\": must be one of gate,"),
            ("run --base", "--base"),
        ] {
            let why = asked(line).unwrap_err().to_string();
            assert!(why.contains(says), "{line}: {why}");
        }
    }
}
