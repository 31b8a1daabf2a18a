//! One session: both builds by turns on one machine, within one budget of time.
//!
//! Counted work first, which needs no quiet: heap requests and system calls natively, instructions under callgrind.
//! Then rounds of short processes. In a round each bench runs once for either side, one right after the other; which
//! goes first changes from round to round (ABBA, the first of all by seed), and so does the order of the benches.
//! A round that no longer fits the budget is not begun.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::builds::Built;
use crate::lines::{self, LinesError, Said};
use crate::machine::Machine;
use crate::shuffle::Shuffle;
use crate::verdict::{Counts, Measured};

/// The longest that one process may take; a bench that hangs is ended.
const PATIENCE: Duration = Duration::from_secs(120);

/// Times that a timed process is started until it must have ended well.
const ATTEMPTS: usize = 3;

/// Names of the sides.
pub(crate) const SIDES: [&str; 2] = ["base", "head"];

/// How much is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Benches, of [`crate::builds::BENCHES`].
    pub(crate) benches: Vec<&'static str>,
    /// Timed rounds at most.
    pub(crate) rounds: usize,
    /// Time for all of it, s.
    pub(crate) budget_s: u64,
    /// Seed of the orders.
    pub(crate) seed: u64,
}

/// Why a session ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// A process could not be started or heard.
    #[error("{what}: {why}")]
    Start {
        /// The program.
        what: String,
        /// What the system said.
        why: io::Error,
    },
    /// A bench failed.
    #[error("bench {bench} of {side} ended with {status}: {said}; run it by hand: {path} --gate {mode}")]
    Failed {
        /// The bench.
        bench: &'static str,
        /// Base or head.
        side: &'static str,
        /// How it ended.
        status: String,
        /// The end of what it said.
        said: String,
        /// Its executable.
        path: PathBuf,
        /// What it was asked for.
        mode: &'static str,
    },
    /// A bench said what the gate does not understand.
    #[error("bench {bench} of {side}: {why}")]
    Lines {
        /// The bench.
        bench: &'static str,
        /// Base or head.
        side: &'static str,
        /// What is wrong.
        why: LinesError,
    },
}

/// What a session has found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The figures.
    pub(crate) measured: Measured,
    /// Rounds done.
    pub(crate) rounds: usize,
    /// How long it took, s.
    pub(crate) took_s: f64,
    /// The machine meanwhile.
    pub(crate) machine: Machine,
    /// What could not be had, and why.
    pub(crate) remarks: Vec<String>,
}

/// Runs both builds. `scratch` holds callgrind's output.
///
/// # Errors
/// [`SessionError`]; without valgrind there are no instructions and a remark.
pub(crate) fn run(built: [&Built; 2], plan: &Plan, scratch: &Path) -> Result<Found, SessionError> {
    let began = Instant::now();
    let mut machine = Machine::default();
    machine.send_lines();
    machine.spin();
    let mut measured = Measured::default();
    let mut remarks = Vec::new();
    let [base, head] = std::thread::scope(|scope| {
        let sides = [0, 1].map(|side| scope.spawn(move || count(side, built[side], &plan.benches, scratch)));
        sides.map(|s| s.join().unwrap_or_else(|_| Err(panicked(SIDES[0]))))
    });
    // Head first: a base that fails alone is another matter than one that fails as head does.
    let head = head?;
    for (side, (counts, remark)) in [base?, head].into_iter().enumerate() {
        measured.counted[side] = counts;
        remarks.extend(remark);
    }
    remarks.dedup();

    let mut shuffle = Shuffle::new(plan.seed);
    let head_first = shuffle.below(2) as usize;
    let budget = Duration::from_secs(plan.budget_s);
    let mut rounds = 0;
    let mut longest = Duration::ZERO;
    while rounds < plan.rounds && began.elapsed() + longest <= budget {
        let round = Instant::now();
        let mut benches = plan.benches.clone();
        shuffle.order(&mut benches);
        // AB, BA, BA, AB, ...: a drift of the host falls on both alike.
        let first = [0, 1, 1, 0][rounds % 4] ^ head_first;
        for bench in benches {
            let mut said = [Said::default(), Said::default()];
            for side in [first, 1 - first] {
                let pad = shuffle.below(4_096) as usize;
                said[side] = timed(built[side], SIDES[side], bench, pad)?;
            }
            measured.add_round(bench, said.each_ref());
        }
        machine.spin();
        rounds += 1;
        longest = longest.max(round.elapsed());
        eprint!("\rround {rounds} of {}, {} s of {}", plan.rounds, began.elapsed().as_secs(), plan.budget_s);
    }
    eprintln!();
    machine.send_lines();
    if rounds < plan.rounds {
        remarks.push(format!(
            "{rounds} of {} rounds fitted the budget of {} s: this machine is slow or busy",
            plan.rounds, plan.budget_s
        ));
    }
    Ok(Found { measured, rounds, took_s: began.elapsed().as_secs_f64(), machine, remarks })
}

fn panicked(side: &str) -> SessionError {
    SessionError::Start { what: format!("counting {side}"), why: io::Error::other("a thread panicked") }
}

type Counted = (BTreeMap<(String, String), Counts>, Option<String>);

/// All that is counted of one side.
fn count(
    side: usize,
    built: &Built,
    benches: &[&'static str],
    scratch: &Path,
) -> Result<Counted, SessionError> {
    let mut counts = BTreeMap::new();
    let mut remark = None;
    for &bench in benches {
        let said = hear(built, SIDES[side], bench, "count", 0)?;
        let instructions =
            match callgrind(&built.executable(bench), &scratch.join(format!("{}.{bench}", SIDES[side]))) {
                Ok(parts) => parts,
                Err(why) => {
                    remark = Some(format!("no instructions counted: {why}"));
                    Vec::new()
                }
            };
        for (i, work) in said.work.iter().enumerate() {
            let an_event = |n: u64| n as f64 / work.events as f64;
            // A part of warm-up, then one of events.
            let instructions = instructions.get(2 * i + 1).copied().map(an_event);
            let counted = Counts {
                instructions,
                allocations: work.allocations.map(an_event),
                calls: work.calls.map(an_event),
            };
            if counted.calls.is_none() {
                remark.get_or_insert_with(|| {
                    "no system calls counted: the kernel gives no seccomp listener".into()
                });
            }
            counts.insert((bench.to_owned(), work.row.clone()), counted);
        }
    }
    Ok((counts, remark))
}

/// Spans of one process. A crowded host may stop it for longer than the engine's own deadlines, and then it fails: it
/// has [`ATTEMPTS`].
fn timed(built: &Built, side: &'static str, bench: &'static str, pad: usize) -> Result<Said, SessionError> {
    let mut said = hear(built, side, bench, "time", pad);
    for _ in 1..ATTEMPTS {
        if said.is_ok() {
            break;
        }
        said = hear(built, side, bench, "time", pad);
    }
    said
}

/// What a bench says in `mode`. `pad` bytes of environment move its stack about: a different place in each process.
fn hear(
    built: &Built,
    side: &'static str,
    bench: &'static str,
    mode: &'static str,
    pad: usize,
) -> Result<Said, SessionError> {
    let path = built.executable(bench);
    let mut command = Command::new(&path);
    command.args(["--gate", mode]).env("CORELANE_GATE_PAD", "x".repeat(pad));
    let (status, said, complaint) = run_to_end(&mut command)
        .map_err(|why| SessionError::Start { what: path.to_string_lossy().into_owned(), why })?;
    if !status.success() {
        let said = tail(&complaint);
        return Err(SessionError::Failed { bench, side, status: status.to_string(), said, path, mode });
    }
    lines::parse(&said, bench).map_err(|why| SessionError::Lines { bench, side, why })
}

/// The last line that says something.
fn tail(text: &str) -> String {
    text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing").to_owned()
}

/// Status and both outputs; ends a process that takes longer than [`PATIENCE`].
fn run_to_end(command: &mut Command) -> io::Result<(ExitStatus, String, String)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let began = Instant::now();
    std::thread::scope(|scope| {
        let out = scope.spawn(|| drain(out.as_mut()));
        let err = scope.spawn(|| drain(err.as_mut()));
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() > PATIENCE {
                child.kill()?;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Ok((status, out.join().unwrap_or_default(), err.join().unwrap_or_default()))
    })
}

fn drain(pipe: Option<&mut impl Read>) -> String {
    let mut bytes = Vec::new();
    // What cannot be read any more is missed by the reader of the lines.
    let _ = pipe.map(|p| p.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Instructions within the hot part, a number for each part that callgrind wrote.
fn callgrind(executable: &Path, out: &Path) -> Result<Vec<u64>, String> {
    let _ = fs::remove_file(out);
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--combine-dumps=yes"]);
    valgrind.args(["--toggle-collect=*protocol::hot*", "--dump-after=*protocol::boundary*"]);
    valgrind.arg(format!("--callgrind-out-file={}", out.display())).arg(executable);
    valgrind.args(["--gate", "instructions"]);
    let (status, _, complaint) = run_to_end(&mut valgrind).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => "valgrind is not installed".to_owned(),
        _ => format!("valgrind: {e}"),
    })?;
    if !status.success() {
        return Err(format!("valgrind ended with {status}: {}", tail(&complaint)));
    }
    let text = fs::read_to_string(out).map_err(|e| format!("{}: {e}", out.display()))?;
    let parts = parts(&text);
    if parts.is_empty() { Err("callgrind wrote no parts".to_owned()) } else { Ok(parts) }
}

/// Totals of the parts of a combined dump, in order.
fn parts(text: &str) -> Vec<u64> {
    let totals = text.lines().filter_map(|l| l.strip_prefix("totals:"));
    totals.filter_map(|n| n.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_of_a_combined_dump() {
        let text = "version: 1\npart: 1\ndesc: Trigger: --dump-after\nevents: Ir\nsummary: 5\nfn=(1) a\n3 5\n\
                    totals: 5\n\npart: 2\nsummary: 12\ntotals: 12\n";
        assert_eq!(parts(text), [5, 12]);
    }

    #[test]
    fn a_process_is_heard_to_its_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo first >&2; echo last >&2; exit 3"]);
        let (status, out, err) = run_to_end(&mut command).unwrap();
        assert_eq!((status.code(), out.as_str(), tail(&err).as_str()), (Some(3), "out\n", "last"));
        assert!(run_to_end(&mut Command::new("there-is-no-such-program")).is_err());
    }
}
