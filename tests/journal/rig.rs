//! Runs of the one-thread engine with a journal.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use corelane::cli::DemoArgs;
use corelane::demo::market::DEMO_TOML;
use corelane::demo::memory;
use corelane::sim::wires::{Faults, WireSettings};
use corelane::sim::{Fate, OneThread, SimOutcome};
use journal::Session;
use topology::Config;
use venue_binance::sim::SimFaults;

/// A directory of this test alone, removed at the end.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("corelane-taped-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        Dir(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    pub(crate) fn session(&self) -> Session {
        Session::find(&self.journal()).expect("a session")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The demo's configuration with a journal in `dir`.
pub(crate) fn config(dir: &Dir) -> Config {
    let mut config = Config::parse(DEMO_TOML).expect("the demo's own");
    config.journal.on = true;
    config.journal.dir = dir.journal();
    config.journal.file_mib = 4;
    config
}

/// An engine of this seed and these faults.
pub(crate) fn engine(config: &Config, dir: &Dir, seed: u64, seconds: f64, faults: [Faults; 2]) -> OneThread {
    let args = DemoArgs { seconds: Some(seconds), seed, ..DemoArgs::default() };
    let wire = |faults| WireSettings { faults, ..WireSettings::default() };
    let wires = [wire(faults[0]), wire(faults[1]), wire(faults[1])];
    let state = dir.path().join("state");
    let setup = memory::setup(config, &args, &state, SimFaults::default(), wires).expect("a setup");
    OneThread::new(setup).expect("an engine")
}

/// Runs to the end.
pub(crate) fn run(config: &Config, dir: &Dir, seed: u64, seconds: f64, faults: [Faults; 2]) -> SimOutcome {
    let mut engine = engine(config, dir, seed, seconds, faults);
    loop {
        let fate = engine.step();
        if fate != Fate::Running {
            return engine.finish(fate);
        }
    }
}
