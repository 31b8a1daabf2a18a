//! One run of the binary: where it may write, how it is started, how long it may take.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than any run here may take, on a host that has other things to do.
const PATIENCE: Duration = Duration::from_secs(90);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static SCRATCHES: AtomicU32 = AtomicU32::new(0);

/// Waits for the machine: a run that trades in real time wants it for itself.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory of this test, removed with it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        let n = SCRATCHES.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("corelane-test-{name}-{}-{n}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a scratch directory");
        Scratch(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a run left behind.
pub(crate) struct Finished {
    /// Exit code, `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// It ended with this code; otherwise everything it said.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Finished {
        assert_eq!(self.code, Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }
}

/// The binary, with nothing of the caller's settings and its directories under `scratch`.
pub(crate) fn corelane(scratch: &Scratch) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
    inside(&mut command, scratch);
    command
}

/// Gives any command the surroundings of [`corelane`].
pub(crate) fn inside(command: &mut Command, scratch: &Scratch) {
    command.env_remove("CORELANE_STATE_DIR").env_remove("CORELANE_SHM_DIR").env("TMPDIR", scratch.path());
    command.current_dir(scratch.path());
}

/// Starts it with both outputs kept.
pub(crate) fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the binary starts")
}

/// Starts a run without an end, waits until its progress tells of orders, and ends it by a signal: however slow the
/// host, it has traded.
#[track_caller]
pub(crate) fn trade_until_signalled(
    scratch: &Scratch,
    command: &mut Command,
    signal: libc::c_int,
) -> Finished {
    let said = scratch.file("stderr");
    let heard = || fs::read_to_string(&said).unwrap_or_default();
    command.args(["--seconds", "1000000", "--config"]).arg(patient_config(scratch));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(&said).expect("a file"));
    let mut child = command.spawn().expect("the binary starts");
    let began = Instant::now();
    let traded = |line: &str| line.contains(" orders ") && !line.contains(" 0 orders ");
    while !heard().lines().any(traded) && child.try_wait().expect("a child of ours").is_none() {
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("no order in {PATIENCE:?}: {}", heard());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = libc::pid_t::try_from(child.id()).expect("a process id");
    // SAFETY: signals the child that was started above and has not been waited for, so the id is still its own.
    unsafe { libc::kill(pid, signal) };
    let finished = wait(child);
    Finished { stderr: heard(), ..finished }
}

/// The demo's configuration without a trip for a host that takes a core away for seconds.
pub(crate) fn patient_config(scratch: &Scratch) -> PathBuf {
    let path = scratch.file("patient.toml");
    let text = corelane::demo::market::DEMO_TOML.replace("stale_beat_ms = 3000", "stale_beat_ms = 60000");
    assert!(text.contains("stale_beat_ms = 60000"), "the demo's configuration has changed");
    let extra = fs::read_to_string(scratch.file("extra.toml")).unwrap_or_default();
    fs::write(&path, text + &extra).expect("a configuration");
    path
}

/// Waits for its end; what hangs is ended and fails the test.
#[track_caller]
pub(crate) fn wait(mut child: Child) -> Finished {
    let began = Instant::now();
    while child.try_wait().expect("a child of ours").is_none() {
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            let output = child.wait_with_output().expect("its output");
            panic!("no end after {PATIENCE:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("its output");
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

#[track_caller]
pub(crate) fn run(command: &mut Command) -> Finished {
    wait(start(command))
}

/// The report that was written to a file.
#[track_caller]
pub(crate) fn report(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}: {text}", path.display()))
}

/// A figure of a report.
#[track_caller]
pub(crate) fn figure(report: &Value, pointer: &str) -> u64 {
    let value = report.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is missing in {report:#}"));
    value.as_u64().unwrap_or_else(|| panic!("{pointer} is {value}, must be an integer of 0 or more"))
}

/// Engine and venue agree in all three ways, nothing failed.
#[track_caller]
pub(crate) fn assert_agreement(report: &Value) {
    for what in ["open_orders", "positions", "balances"] {
        assert_eq!(report["agreement"][what], true, "{what}: {report:#}");
    }
    assert!(report["failure"].is_null() && report["halt"].is_null(), "{report:#}");
}

/// Runs `prepare` in the child between fork and exec.
pub(crate) fn before_exec(
    command: &mut Command,
    prepare: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: the closures given here make plain system calls over integers and memory they own; they allocate
    // nothing and take no lock that another thread of the parent may have held.
    unsafe { command.pre_exec(prepare) };
}

pub(crate) fn is_root() -> bool {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() == 0 }
}
