//! The demo in one thread: virtual time, the same bytes for the same seed.

use std::path::Path;
use std::time::Instant;

use agent::Clock;
use kill::{KillSwitch, SignalFlag};
use topology::Config;
use venue_binance::sim::{CaptureFiles, CaptureSource, SimFaults};
use wire::Ts;

use super::report::{JournalLine, Report};
use super::{figures, market};
use crate::cli::DemoArgs;
use crate::controls::StopState;
use crate::engine::EngineError;
use crate::interrupt;
use crate::sim::wires::WireSettings;
use crate::sim::{Fate, OneThread, SimSetup};
use crate::wiring::kill_duty;

/// Start of virtual time without a recording: 2024-01-01 00:00 UTC.
const START: Ts = Ts(1_704_067_200_000_000_000);

/// Everything that a memory run is made from.
///
/// # Errors
/// As [`OneThread::new`].
pub fn setup(
    config: &Config,
    args: &DemoArgs,
    state_dir: &Path,
    faults: SimFaults,
    wires: [WireSettings; 3],
) -> Result<SimSetup, EngineError> {
    let venue = market::sim_config(config, args.seed, &args.replay, faults)?;
    let start = match args.replay.first() {
        Some(path) => first_stamp(path)?,
        None => START,
    };
    let signal =
        SignalFlag::install().map_err(|e| EngineError::Start { what: "SIGUSR1", why: e.to_string() })?;
    let kill =
        kill_duty(KillSwitch::heap(&["gateway"])?, config, state_dir, Vec::new(), Some(signal), start)?;
    let seconds = args.seconds.or(if args.replay.is_empty() { Some(20.0) } else { None });
    Ok(SimSetup {
        config: config.clone(),
        credentials: market::credentials()?,
        venue,
        start,
        run_ns: seconds.map(|s| (s * 1e9) as u64),
        seed: args.seed,
        wires,
        kill,
    })
}

/// The stamp of a recording's first line, a little before which virtual time starts.
fn first_stamp(path: &Path) -> Result<Ts, EngineError> {
    let refuse =
        |why: String| EngineError::Start { what: "--replay", why: format!("{}: {why}", path.display()) };
    let mut line = Vec::new();
    let found = CaptureFiles::open(&[path])
        .and_then(|mut files| files.next_line(&mut line))
        .map_err(|e| refuse(e.to_string()))?;
    let digits = line.iter().take_while(|b| b.is_ascii_digit()).count();
    match std::str::from_utf8(&line[..digits]).ok().and_then(|text| text.parse::<u64>().ok()) {
        Some(ns) if found => Ok(Ts(ns.saturating_sub(1_000_000_000))),
        _ => Err(refuse("its first line does not begin with a time stamp in ns".into())),
    }
}

/// Runs the demo in memory.
///
/// # Errors
/// The engine or venue cannot be built; a run that ends badly is a report with a failure.
pub fn run(
    config: &Config,
    args: &DemoArgs,
    state_dir: &Path,
    faults: SimFaults,
    progress: &mut dyn FnMut(&str),
) -> Result<Report, EngineError> {
    let began = Instant::now();
    let mut engine = OneThread::new(setup(config, args, state_dir, faults, [WireSettings::default(); 3])?)?;
    let wall = Clock::live();
    let mut told = wall.now();
    let start = engine.now();
    let mut interrupted = None;
    let fate = loop {
        let fate = engine.step();
        if fate != Fate::Running {
            break fate;
        }
        if interrupted.is_none() && interrupt::asked().is_some() {
            interrupted = interrupt::asked();
            engine.end();
        }
        if wall.now().since_ns(told) > 500_000_000 {
            told = wall.now();
            let stats = engine.stats();
            progress(&format!(
                "{:>8.1} s of market  {:>9} messages  {:>6} orders  {:>6} fills",
                engine.now().since_ns(start) as f64 / 1e9,
                figures::counter(&stats, "feed.messages"),
                figures::counter(&stats, "gateway.orders_sent"),
                figures::counter(&stats, "oms.fills")
            ));
        }
    };
    let assets = engine.assets().to_vec();
    let confirmed = engine.controls().stop() == StopState::Confirmed;
    let recording = figures::Recording::of(engine.venue());
    let at_end = engine.kill();
    let kill = at_end
        .tripped
        .then(|| super::live::judge_kill(&at_end, &at_end, engine.venue(), &engine.stats(), confirmed));
    let outcome = engine.finish(fate);
    let mut report = Report {
        transport: "memory".into(),
        seed: args.seed,
        seconds: outcome.ran_ns as f64 / 1e9,
        wall_seconds: began.elapsed().as_secs_f64(),
        interrupted,
        kill,
        ..Report::default()
    };
    report.journal = outcome.journal.map(|(totals, fault)| JournalLine { totals, fault });
    figures::from_stats(&mut report, &outcome.stats);
    // A run that never had a session has nothing to compare: no order was ever sent.
    report.agreement = figures::agreement(&outcome.oms, &assets, confirmed, outcome.venue_open_orders);
    report.money = figures::money(&outcome.oms, &assets);
    report.halt = figures::halt(&outcome.oms);
    if !confirmed && !report.is_unbegun() {
        report.failure = "the stop was not confirmed within its deadline".into();
    }
    if let Some(recording) = recording {
        recording.tell(&mut report);
    }
    Ok(report)
}
