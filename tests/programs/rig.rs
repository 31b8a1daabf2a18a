//! A venue, an engine as a process of its own, and the program that steers it.

use std::fs::{self, DirBuilder};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use corelane::demo::market::{self, DEMO_TOML};
use corelane::simvenue::{Handle, HostOptions, SimVenueHost};
use serde_json::Value;
use topology::Config;
use venue_binance::sim::SimFaults;

/// Longest wait for anything: the host is shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// One engine at a time: several would fight for two cores.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn newest(dir: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    let times = entries.filter_map(|entry| {
        let path = entry.path();
        if path.is_dir() { newest(&path) } else { entry.metadata().ok()?.modified().ok() }
    });
    times.max()
}

/// A program of this workspace, beside the engine's; built when it is missing or older than its sources. Whoever runs
/// all tests has it already.
pub(crate) fn program(name: &str, folder: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let engine = Path::new(env!("CARGO_BIN_EXE_corelane"));
    let path = engine.with_file_name(name);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = [root.join(folder), root.join("src/command")].iter().filter_map(|d| newest(d)).max();
    let built = fs::metadata(&path).and_then(|meta| meta.modified()).ok();
    if built.is_none() || built < sources {
        let done = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
            .args(["build", "--quiet", "--offline", "--locked", "-p", name])
            .current_dir(root)
            .status();
        assert!(done.is_ok_and(|status| status.success()) && path.exists(), "cargo build -p {name}");
    }
    path
}

/// A directory of this test's own, removed at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("corelane-programs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        DirBuilder::new().mode(0o700).recursive(true).create(&dir).expect("a directory");
        Scratch(fs::canonicalize(dir).expect("its path"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn shm(&self) -> PathBuf {
        self.0.join("shm")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.join("state")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The demo's key and secret are constants of the simulated venue; these are their files.
pub(crate) fn config_text(scratch: &Scratch, port: u16, more: &str) -> String {
    let at = |name: &str| scratch.path().join(name).display().to_string();
    let endpoint = |name: &str| format!("[venue.{name}]\nhost = \"127.0.0.1\"\nport = {port}\n");
    format!(
        "[engine]\nstate_dir = \"{}\"\nshm_dir = \"{}\"\n[venue]\nca_file = \"{}\"\napi_key_file = \"{}\"\n\
         api_secret_file = \"{}\"\n{}{}{}{more}\n{}",
        at("state"),
        at("shm"),
        at("ca.pem"),
        at("api.key"),
        at("api.secret"),
        endpoint("rest"),
        endpoint("stream"),
        endpoint("order"),
        DEMO_TOML.replace("on = false", &format!("dir = \"{}\"", at("journal"))),
    )
}

fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode");
}

/// A venue in this process, so that what it received can be looked at, and the files that an engine needs for it.
pub(crate) fn venue(scratch: &Scratch, seed: u64, more: &str) -> (Handle, PathBuf) {
    let config = Config::parse(DEMO_TOML).expect("the demo's configuration");
    let mut sim = market::sim_config(&config, seed, &[], SimFaults::default()).expect("a crowd");
    sim.account.api_key = "programsTestKeyOfTheSimulatedVenue".into();
    sim.account.secret = "programsTestSecretOfTheSimulatedVenue".into();
    private(&scratch.path().join("api.key"), &sim.account.api_key);
    private(&scratch.path().join("api.secret"), &sim.account.secret);
    let venue = SimVenueHost::start(sim, HostOptions::default()).expect("a venue");
    let pem = corelane::simvenue::pem(venue.cert_der());
    fs::write(scratch.path().join("ca.pem"), pem).expect("a certificate");
    let path = scratch.path().join("corelane.toml");
    fs::write(&path, config_text(scratch, venue.addr().port(), more)).expect("a configuration");
    (venue, path)
}

/// A process whose output is kept.
pub(crate) struct Running {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("it starts");
        let said = Arc::new(Mutex::new(Vec::new()));
        let (kept, out) = (said.clone(), child.stdout.take().expect("its output"));
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Running { child, said }
    }

    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a line that holds this, among those from `from` on.
    pub(crate) fn wait_for(&mut self, from: usize, text: &str) -> String {
        let began = Instant::now();
        loop {
            let said = self.said();
            if let Some(line) = said.iter().skip(from).find(|line| line.contains(text)) {
                return line.clone();
            }
            let ended = self.child.try_wait().expect("its state");
            assert!(
                ended.is_none() && began.elapsed() < PATIENCE,
                "no {text:?} ({ended:?}): {}\n{}",
                said.join("\n"),
                stands(&said)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.pid()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }

    /// Stops it; back when none of its threads runs any more.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
        let stopped = |task: &Path| {
            // The state follows the name, which is in brackets.
            let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        };
        until("it has stopped", || {
            let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("its threads");
            tasks.flatten().all(|task| stopped(&task.path()))
        });
    }

    /// Waits for its end: exit code and everything it said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end: {}", self.said().join("\n"));
            std::thread::sleep(Duration::from_millis(20));
        };
        std::thread::sleep(Duration::from_millis(100)); // its last lines
        (status.code(), self.said().join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The engine, by the binary under test.
pub(crate) fn engine() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
    command.env_remove("CORELANE_STATE_DIR").env_remove("CORELANE_SHM_DIR");
    command
}

/// An engine that runs on this configuration and trades.
pub(crate) fn trading(config: &Path) -> Running {
    let mut running = Running::start(engine().arg("run").arg("--config").arg(config));
    running.wait_for(0, "trading on");
    running
}

/// What `corelane-ctl` said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Its output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// How an engine that said this stands, by its own word: halt, stop, open orders, who is there. Nothing of who is no
/// engine.
fn stands(said: &[String]) -> String {
    let Some((_, dir)) = said.iter().find_map(|line| line.split_once("corelane-stat --dir ")) else {
        return String::new();
    };
    ["--json status", "--json orders"].map(|ask| format!("{ask}: {:?}", ctl(Path::new(dir), ask))).join("\n")
}

/// Runs `corelane-ctl` on the instances under this directory.
pub(crate) fn ctl(shm: &Path, line: &str) -> Said {
    let mut command = Command::new(program("corelane-ctl", "tools/ctl"));
    let out = command.arg("--dir").arg(shm).args(line.split_whitespace()).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: out.status.code(), out: text(&out.stdout), err: text(&out.stderr) }
}

/// The same, which must be done.
pub(crate) fn ctl_done(shm: &Path, line: &str) -> Said {
    let said = ctl(shm, line);
    assert_eq!(said.code, Some(0), "{line}: {said:?}");
    said
}

/// Waits until this holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}
