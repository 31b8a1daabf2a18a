//! The demo as several processes: the files that its members read, and the members themselves, this very program again.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use topology::Config;

use super::market;
use crate::apart::Member;
use crate::cli::DemoArgs;
use crate::configured;
use crate::engine::EngineError;
use crate::simvenue::{Handle, pem};

/// How long members may take to end when the engine has.
const PATIENCE: Duration = Duration::from_secs(10);

fn failed(what: &'static str, why: impl ToString) -> EngineError {
    EngineError::Start { what, why: why.to_string() }
}

/// Who lives apart when there are so many processes.
fn apart(processes: u32) -> &'static [Member] {
    match processes {
        0 | 1 => &[],
        2 => &[Member::Strategy],
        _ => &Member::ALL,
    }
}

/// What members are started from; its directory goes with it.
pub(super) struct Files {
    dir: PathBuf,
    file: PathBuf,
    sets: Vec<String>,
    members: &'static [Member],
}

impl Files {
    /// Writes certificate, keys and configuration for the members of this demo.
    ///
    /// # Errors
    /// The file system's refusal.
    pub(super) fn write(args: &DemoArgs, venue: &Handle) -> Result<Files, EngineError> {
        let members = apart(args.processes);
        let dir = std::env::temp_dir().join(format!("corelane-members-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&dir).map_err(|e| failed("directory of members", e))?;
        let file = args.config.clone().unwrap_or_else(|| dir.join("demo.toml"));
        // From here on it is removed whatever happens.
        let mut files = Files { dir, file, sets: args.sets.clone(), members };
        let (key, secret) = market::KEYS;
        for (name, text) in [
            ("ca.pem", pem(venue.cert_der()).as_str()),
            ("api.key", key),
            ("api.secret", secret),
            ("demo.toml", market::DEMO_TOML),
        ] {
            let written =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(files.dir.join(name));
            let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
            written.map_err(|e| failed("files of members", format!("{name}: {e}")))?;
        }
        let at = |name: &str| format!("{:?}", files.dir.join(name).display().to_string());
        let names: Vec<&str> = members.iter().map(|member| member.name()).collect();
        let mut sets = vec![
            "journal.on=false".to_owned(),
            format!("runtime.apart={names:?}"),
            format!("venue.ca_file={}", at("ca.pem")),
            format!("venue.api_key_file={}", at("api.key")),
            format!("venue.api_secret_file={}", at("api.secret")),
        ];
        for endpoint in ["rest", "stream", "order"] {
            sets.push(format!("venue.{endpoint}.host=\"127.0.0.1\""));
            sets.push(format!("venue.{endpoint}.port={}", venue.addr().port()));
        }
        files.sets.append(&mut sets);
        Ok(files)
    }

    /// The configuration as every process of this demo reads it.
    ///
    /// # Errors
    /// It is refused.
    pub(super) fn config(&self) -> Result<Config, EngineError> {
        let layered = configured::load_with_dirs(&self.file, &self.sets);
        layered.map(|layered| layered.config).map_err(|e| failed("configuration", e))
    }

    /// Makes ready to start the members, from a thread that may run on every core: the one that starts the engine is about
    /// to be pinned, and a process inherits that.
    ///
    /// # Errors
    /// The thread is not to be had.
    pub(super) fn ready(self) -> Result<Starter, EngineError> {
        let (instance, told) = mpsc::channel::<PathBuf>();
        let start = move || told.recv().ok().map(|instance| self.start(&instance));
        let thread = std::thread::Builder::new().name("starter".into()).spawn(start);
        Ok(Starter { instance, thread: thread.map_err(|e| failed("thread", e))? })
    }

    /// Starts the members of the engine in this instance directory.
    ///
    /// # Errors
    /// A process that is not to be had; those that were started are ended.
    fn start(self, instance: &Path) -> Result<Members, EngineError> {
        let program = std::env::current_exe().map_err(|e| failed("this program", e))?;
        let mut members = Members { children: Vec::new(), _files: self };
        for member in members._files.members {
            let files = &members._files;
            let mut command = Command::new(&program);
            command.args(["run", "--agents", member.name(), "--config"]).arg(&files.file);
            files.sets.iter().for_each(|set| {
                command.args(["--set", set]);
            });
            // A signal from the terminal is the engine's, which ends its members.
            command.arg("--dir").arg(instance).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
            let child = command.spawn().map_err(|e| failed("process", format!("{}: {e}", member.name())))?;
            members.children.push((*member, child));
        }
        Ok(members)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Waits for the engine.
pub(super) struct Starter {
    instance: mpsc::Sender<PathBuf>,
    thread: JoinHandle<Option<Result<Members, EngineError>>>,
}

impl Starter {
    /// Starts the members of the engine in this instance directory.
    ///
    /// # Errors
    /// A process that is not to be had.
    pub(super) fn start(self, instance: &Path) -> Result<Members, EngineError> {
        let sent = self.instance.send(instance.to_path_buf());
        let started = self.thread.join().ok().flatten().filter(|_| sent.is_ok());
        started.unwrap_or_else(|| Err(failed("members", "their starter has died")))
    }
}

/// Running members.
pub(super) struct Members {
    children: Vec<(Member, Child)>,
    _files: Files,
}

impl Members {
    /// Waits for their end, which is the engine's; what went wrong, a line each.
    pub(super) fn ended(mut self) -> Vec<String> {
        let began = Instant::now();
        let mut wrong = Vec::new();
        for (member, child) in &mut self.children {
            let status = loop {
                match child.try_wait() {
                    Ok(None) if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
                    Ok(Some(status)) => break Ok(status),
                    Ok(None) => break Err("it does not end".to_owned()),
                    Err(error) => break Err(error.to_string()),
                }
            };
            match status {
                Ok(status) if status.success() => {}
                Ok(status) => wrong.push(format!("{}: {status}", member.name())),
                Err(why) => wrong.push(format!("{}: {why}", member.name())),
            }
        }
        wrong
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            // One that has ended is left alone.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
