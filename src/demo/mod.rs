//! The demo: the whole engine against the simulated venue, and one page about what it cost.

pub mod figures;
pub mod live;
pub mod market;
pub mod memory;
mod processes;
pub mod report;

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::probe;
use topology::Config;
use venue_binance::sim::SimFaults;

use crate::cli::{DemoArgs, Transport};
use crate::configured;
use crate::engine::{EngineError, in_full};
use crate::interrupt;
use crate::oms::Halt;
use report::{Agreement, Report};

/// Environment variable that names the state directory.
pub const STATE_DIR_ENV: &str = "CORELANE_STATE_DIR";

/// The directory of the kill latch: given, or private to this run and removed afterwards.
enum StateDir {
    Given(PathBuf),
    Private(PathBuf),
}

impl StateDir {
    /// In this order: the argument, the environment, the configuration that was given, a directory of our own.
    fn choose(args: &DemoArgs, config: &Config) -> StateDir {
        if let Some(dir) = &args.state_dir {
            return StateDir::Given(dir.clone());
        }
        let default = Config::default().engine.state_dir;
        let named = config.engine.state_dir != default;
        match std::env::var_os(STATE_DIR_ENV) {
            Some(dir) if !dir.is_empty() => StateDir::Given(dir.into()),
            _ if named => StateDir::Given(config.engine.state_dir.clone()),
            _ => {
                StateDir::Private(std::env::temp_dir().join(format!("corelane-demo-{}", std::process::id())))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            StateDir::Given(p) | StateDir::Private(p) => p,
        }
    }
}

impl StateDir {
    /// How to clear the latch of a trip, in a line.
    fn rearm(&self, trip_id: &str) -> String {
        match self {
            StateDir::Given(dir) => {
                format!("re-arm with: corelane rearm --trip {trip_id} --state-dir {}", dir.display())
            }
            StateDir::Private(_) => "its latch was private to this run: there is nothing to re-arm".into(),
        }
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if let StateDir::Private(dir) = self {
            // A trip in a private directory concerns this run only, and the report names it.
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

fn config(args: &DemoArgs) -> Result<Config, EngineError> {
    let mut config = configured::load(args.config.as_deref(), market::DEMO_TOML, &args.sets)
        .map(|layered| layered.config)
        .map_err(|e| EngineError::Start { what: "configuration", why: e.to_string() })?;
    // A file that was written for an engine says where that engine's journal is; a demo does not add to it unasked.
    config.journal.on = args.journal.is_some();
    if let Some(dir) = &args.journal {
        config.journal.dir = dir.clone();
    }
    Ok(config)
}

/// Runs the demo and writes its page and, if asked, its JSON. Returns the process's exit code.
///
/// The JSON is written on every way out, a refusal to start included.
pub fn main(args: &DemoArgs) -> i32 {
    drill(args, SimFaults::default())
}

/// The same against a venue that does these things wrong on purpose: what the demo promises to notice, it must.
pub fn drill(args: &DemoArgs, faults: SimFaults) -> i32 {
    // A report that cannot be written is better known now than after the run.
    let writable = args.json.as_deref().map_or(Ok(()), json_writable);
    let mut report = match writable.and_then(|()| run(args, faults)) {
        Ok(report) => report,
        Err(error) => Report { failure: in_full(&error), seed: args.seed, ..Report::default() },
    };
    if report.is_unbegun() {
        report.agreement = Agreement::default();
    }
    if report.failure.is_empty() {
        report.failure = judge(&report);
    }
    if let Some(path) = &args.json
        && let Err(error) = write_json(path, &report)
    {
        let error = cannot_write(path, &error).to_string();
        if report.failure.is_empty() {
            report.failure = error;
        } else if report.failure != error {
            report.failure = format!("{}; {error}", report.failure);
        }
    }
    if report.latency.is_empty() {
        eprintln!("corelane: {}", report.failure);
    } else {
        println!("{}", report.page());
    }
    i32::from(!report.failure.is_empty())
}

/// Why a finished run is no success, empty when it is one.
fn judge(report: &Report) -> String {
    if report.kill.as_ref().is_some_and(|kill| !kill.clean()) {
        return "the kill was not clean".into();
    }
    if !report.is_unbegun() && !report.agreement.holds() {
        return format!("engine and venue differ: {}", report.agreement.differences.join("; "));
    }
    // Both sides may agree after a contradiction, when the truth came first; still one of them has lied.
    let for_a_person = [Halt::Conflict, Halt::Ledger, Halt::Updates, Halt::Differs].map(Halt::name);
    match &report.halt {
        Some(halt) if for_a_person.contains(&halt.as_str()) => {
            format!("trading was off: {halt}: a person must look")
        }
        _ => String::new(),
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> EngineError {
    EngineError::Start { what: "--json", why: format!("{}: {error}", path.display()) }
}

/// Whether a report can be written there; what stands there already stays until it is.
fn json_writable(path: &Path) -> Result<(), EngineError> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map(drop).map_err(|error| cannot_write(path, &error))
}

fn write_json(path: &Path, report: &Report) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    writeln!(file, "{:#}", report.json())?;
    file.sync_all()
}

fn run(args: &DemoArgs, faults: SimFaults) -> Result<Report, EngineError> {
    let config = config(args)?;
    interrupt::catch().map_err(|e| EngineError::Start { what: "SIGINT and SIGTERM", why: e.to_string() })?;
    let state_dir = StateDir::choose(args, &config);
    let interactive = std::io::stderr().is_terminal();
    let mut progress = |line: &str| {
        if interactive {
            eprint!("\r{line}\x1b[K");
        } else {
            eprintln!("{}", line.trim_end());
        }
    };
    let machine = Machine::look();
    let mut report = match args.transport {
        Transport::Memory => memory::run(&config, args, state_dir.path(), faults, &mut progress)?,
        Transport::Tls => live::run(&config, args, state_dir.path(), faults, &mut progress)?,
    };
    if interactive {
        eprint!("\r\x1b[K");
    }
    if let Some(kill) = &report.kill {
        report.rearm = state_dir.rearm(&kill.trip_id);
    }
    machine.tell(&mut report);
    Ok(report)
}

/// The machine's own limits, measured before the run.
struct Machine {
    probe: Result<probe::ProbeReport, probe::ProbeError>,
    hiccup: probe::HiccupReport,
}

impl Machine {
    fn look() -> Machine {
        Machine { probe: probe::cache_line(), hiccup: probe::hiccup(Duration::from_millis(200)) }
    }

    fn tell(&self, report: &mut Report) {
        match &self.probe {
            Ok(p) => {
                report.probe_ns = Some(p.p50_ns.round() as u64);
                report.probe_spread_ns = Some((p.p50_min_ns.round() as u64, p.p50_max_ns.round() as u64));
            }
            Err(error) => report.without.push(format!("cache-line probe: {error}")),
        }
        report.hiccup = Some((self.hiccup.max_ns, self.hiccup.lost_ppm));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_before_the_first_order_is_no_failure_and_one_after_it_must_agree() {
        let early = Report { interrupted: Some("SIGINT"), ..Report::default() };
        assert_eq!(judge(&early), "");
        let late = Report { sent: 1, ..early };
        assert!(judge(&late).contains("differ"));
        assert!(judge(&Report::default()).contains("differ"), "nobody asked for that end");
    }
}
