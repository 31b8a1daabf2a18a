//! A trip outlives the program, however it ended.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use corelane::rearm::LINE_FILE;
use corelane::wiring::latch_state;
use kill::LatchState;

use crate::ALONE;
use crate::rig::Scratch;

const PATIENCE: Duration = Duration::from_secs(60);

fn corelane(args: &[&str], state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
    command.args(args).arg("--state-dir").arg(state).stdin(Stdio::null());
    command
}

fn ran(args: &[&str], state: &Path) -> (Output, String) {
    let output = corelane(args, state).output().expect("the program runs");
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    (output, text)
}

/// A child that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended has nothing left to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the child says that orders have been sent.
fn wait_for_flow(child: &mut Child) {
    let stderr = BufReader::new(child.stderr.take().expect("piped"));
    let began = Instant::now();
    for line in stderr.lines() {
        let line = line.expect("text");
        let words: Vec<&str> = line.split_whitespace().collect();
        let orders = words.iter().position(|w| *w == "orders").and_then(|at| words.get(at.checked_sub(1)?));
        if orders.and_then(|n| n.parse::<u64>().ok()).is_some_and(|n| n > 0) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "no order in {PATIENCE:?}");
    }
    panic!("the program ended before its first order");
}

/// Starts the demo and waits until it trades.
fn trading(state: &Path) -> Running {
    let mut command = corelane(&["demo", "--seconds", "60"], state);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut child = Running(child);
    wait_for_flow(&mut child.0);
    child
}

/// The id of the trip in a state directory, as soon as its latch is there.
fn tripped(state: &Path) -> String {
    let began = Instant::now();
    loop {
        if let LatchState::Tripped(record) = latch_state(state) {
            return record.id.to_string();
        }
        assert!(began.elapsed() < PATIENCE, "no latch in {PATIENCE:?}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

#[test]
fn a_line_that_is_gone_must_be_back_before_a_rearm() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::make("line");
    let state = scratch.0.join("state");
    std::fs::create_dir(&state).expect("a directory");
    std::fs::write(state.join(LINE_FILE), "1").expect("a closed line");
    let mut child = trading(&state);
    std::fs::remove_file(state.join(LINE_FILE)).expect("the line");
    let id = tripped(&state);
    child.0.wait().expect("it ends by itself");
    let (refused, text) = ran(&["rearm", "--trip", &id], &state);
    assert!(!refused.status.success() && text.contains(LINE_FILE), "{text}");
    std::fs::write(state.join(LINE_FILE), "1").expect("a closed line");
    let (right, text) = ran(&["rearm", "--trip", &id], &state);
    assert!(right.status.success(), "{text}");
}

#[test]
fn a_trip_survives_sigkill_until_it_is_rearmed_by_name() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::make("sigkill");
    let state = scratch.0.join("state");
    let mut child = trading(&state);
    let pid = i32::try_from(child.0.id()).expect("a process id");
    // SAFETY: takes two integers and no memory; the child is ours and has not been waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGUSR1) }, 0);
    let id = tripped(&state);
    // SIGKILL, at once.
    child.0.kill().expect("the child is ours");
    child.0.wait().expect("it has ended");

    let (start, text) = ran(&["demo", "--seconds", "2"], &state);
    assert!(!start.status.success(), "{text}");
    assert!(text.contains("corelane rearm") && text.contains(&id), "trip {id}: {text}");

    let (wrong, text) = ran(&["rearm", "--trip", "0000-0000"], &state);
    assert!(!wrong.status.success(), "{text}");
    assert!(matches!(latch_state(&state), LatchState::Tripped(_)), "still tripped after a wrong id");
    let (start, text) = ran(&["demo", "--seconds", "2"], &state);
    assert!(!start.status.success() && text.contains(&id), "{text}");

    let (right, text) = ran(&["rearm", "--trip", &id], &state);
    assert!(right.status.success(), "{text}");
    let (start, text) = ran(&["demo", "--seconds", "2"], &state);
    assert!(start.status.success(), "{text}");
}
