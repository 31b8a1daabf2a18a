//! `corelane run`: the engine as a program of its own, until it is asked to end.
//!
//! A start is refused with one line for each thing that is not as it must be; what the host does not give and the engine
//! can go without is one line as well. While it runs it says a line at each change: of trading, mode, session, kill
//! switch. A trip ends nothing but trading: the engine stays up, tripped, and says how it is re-armed. SIGINT or SIGTERM
//! ends it in order: quoting stops, open orders are cancelled and confirmed, both sides are compared.

pub mod check;
pub mod claim;
pub mod host;

use std::time::Duration;

use kill::Latch;
use stats::instance;

use crate::apart::door::told;
use crate::apart::{Member, Standing};
use crate::cli::RunArgs;
use crate::commands::{CommandLog, CommandRecord, CommandServer, Roles, SocketPlace};
use crate::configured;
use crate::controls::StopState;
use crate::demo::figures;
use crate::engine::{EngineError, in_full};
use crate::interrupt;
use crate::wiring::{KillStop, Live, LiveSetup};
use claim::{CLAIM_FILE, Claim};

/// Time between two looks at the engine.
const LOOK: Duration = Duration::from_millis(50);
/// Dead instances kept in shared memory for whoever asks what happened.
const INSTANCES_KEPT: usize = 4;

/// Runs the engine; returns the process's exit code: 0 when it ended in order and both sides agree.
pub fn main(args: &RunArgs) -> i32 {
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            for line in in_full(&error).lines() {
                eprintln!("corelane: {line}");
            }
            1
        }
    }
}

fn refused(what: &'static str, why: impl ToString) -> EngineError {
    EngineError::Start { what, why: why.to_string() }
}

fn run(args: &RunArgs) -> Result<i32, EngineError> {
    let layered = configured::load_with_dirs(&args.config, &args.sets)
        .map_err(|e| refused("configuration", format!("refused\n{e}")))?;
    let config = &layered.config;
    interrupt::catch().map_err(|e| refused("SIGINT and SIGTERM", e))?;
    let complaints = host::complaints(config);
    if !complaints.is_empty() {
        return Err(refused("this host", format!("refuses the start\n{}", complaints.join("\n"))));
    }
    let state_dir = &config.engine.state_dir;
    Latch::create(state_dir).map_err(|e| refused("engine.state_dir", e))?;
    let _state = claim("engine.state_dir", state_dir)?;
    let base = host::shm_base(config)?;
    instance::make_base(&base).map_err(|e| refused("engine.shm_dir", e))?;
    let _base = claim("engine.shm_dir", &base)?;
    // Whoever starts next cleans up after the dead; a failure here costs memory, not safety.
    let _ = instance::clean(&base, INSTANCES_KEPT);
    let log = CommandLog::open(state_dir).map_err(|e| refused("record of commands", e))?;
    let uid = instance::process_uid().map_err(|e| refused("user id", e))?;
    let live = Live::start(LiveSetup {
        config,
        endpoints: host::endpoints(config)?,
        credentials: host::credentials(config)?,
        state_dir,
        shm_base: &base,
        name: "run",
        seed: u64::from(std::process::id()),
    })?;
    let log = match live.notes() {
        // What only looks changes nothing that a replay would have to know.
        Some(notes) => log.heard_by(Box::new(move |r: &CommandRecord| {
            if !matches!(r.command.as_str(), "status" | "mode" | "orders" | "") {
                notes.say(r.ts.0, format!("command {} by user {}: {}", r.command, r.uid, r.outcome));
            }
        })),
        None => log,
    };
    live.without.iter().for_each(|line| println!("went without: {line}"));
    let place = SocketPlace::choose(&config.control, live.dir());
    let roles = Roles::new(uid, &config.control);
    let server = match CommandServer::start(place, roles, live.console(state_dir), log) {
        Ok(server) => server,
        Err(error) => {
            live.stop();
            return Err(refused("control socket", error));
        }
    };
    let dir = live.dir().display();
    println!("running {} as pid {}", config.instrument.symbol, std::process::id());
    println!("watch: corelane-stat --dir {dir}");
    println!("steer: corelane-ctl --dir {dir} status");
    let mut told = Told::default();
    while interrupt::asked().is_none() && !live.is_dead() {
        told.look(&live);
        std::thread::sleep(LOOK);
    }
    Ok(end(live, server, state_dir))
}

fn claim(key: &'static str, dir: &std::path::Path) -> Result<Claim, EngineError> {
    match Claim::take(dir) {
        Ok(Some(claim)) => Ok(claim),
        Ok(None) => {
            let pid = std::fs::read_to_string(dir.join(CLAIM_FILE)).unwrap_or_default();
            let dir = dir.display();
            Err(refused(
                key,
                format!("{dir}: another engine (pid {}) runs on it: give this one its own", pid.trim()),
            ))
        }
        Err(error) => Err(refused(key, format!("{}: {error}", dir.display()))),
    }
}

/// What was said last, so that only changes are said.
#[derive(Default)]
struct Told {
    state: Option<(&'static str, &'static str, bool)>,
    epoch: u64,
    /// Whether the stop that follows the trip was confirmed, when its end was last said.
    stop: Option<bool>,
    journal_failed: bool,
    standing: Standing,
}

impl Told {
    fn look(&mut self, live: &Live) {
        let controls = &live.controls;
        let state = (controls.mode().name(), controls.halt().name(), controls.session_ready());
        let now = kill::utc(live.clock.now());
        if self.state != Some(state) {
            self.state = Some(state);
            let (mode, halt, session) = state;
            let trading = if halt == "none" { "on".to_owned() } else { format!("off by {halt}") };
            let session = if session { "ready" } else { "not ready" };
            println!("{now} trading {trading}, mode {mode}, session {session}");
        }
        let standing = controls.standing();
        for member in Member::ALL.into_iter().filter(|m| standing.of(*m) != self.standing.of(*m)) {
            println!("{now} {}: {}", member.name(), told(standing.of(member)));
        }
        self.standing = standing;
        let kill = live.kill();
        if let Some(fault) = live.journal_fault().filter(|_| !self.journal_failed) {
            self.journal_failed = true;
            println!("{now} the journal has failed ({}): no order leaves", fault.name());
        }
        if kill.epoch == self.epoch {
            if kill.tripped {
                self.look_at_stop(live, &now);
            }
            return;
        }
        let Some(trip) = kill.trip.filter(|_| kill.tripped) else {
            if !kill.tripped {
                let again = self.epoch != 0;
                self.epoch = kill.epoch;
                println!("{now} the kill switch is armed{}", if again { " again" } else { "" });
            }
            return;
        };
        (self.epoch, self.stop) = (kill.epoch, None);
        let source = trip.source.map_or_else(|| "unknown".into(), |s| s.to_string());
        let id = trip.id.map_or_else(String::new, |id| id.to_string());
        println!("{now} TRIPPED by {source} {} ({}): no order leaves", trip.subject, trip.detail);
        println!(
            "  re-arm, when its cause is dealt with: corelane-ctl --dir {} rearm --trip {id}",
            live.dir().display()
        );
    }

    /// One that was not confirmed may be later; one that was stays so: no order leaves.
    fn look_at_stop(&mut self, live: &Live, now: &str) {
        match live.kill_stop() {
            KillStop::Confirmed if self.stop != Some(true) => {
                self.stop = Some(true);
                println!("{now} the stop has ended: the venue holds no open order");
            }
            KillStop::NotConfirmed(doubt) if self.stop.is_none() => {
                self.stop = Some(false);
                println!("{now} the stop has ended: NOT confirmed, {doubt}: look at the venue");
            }
            _ => {}
        }
    }
}

/// Ends in order and says how it stands.
fn end(live: Live, server: CommandServer, state_dir: &std::path::Path) -> i32 {
    let dead = live.is_dead();
    if let Some(signal) = interrupt::asked() {
        println!("{signal}: quoting stops, open orders are cancelled");
    }
    let mut tripped = live.kill().tripped;
    if !tripped && !dead {
        live.controls.quiesce();
        tripped = live.wait_quiet();
    }
    if tripped || live.kill().tripped {
        tripped = true;
        live.wait_stopped();
    }
    drop(server);
    let confirmed = live.controls.stop() == StopState::Confirmed;
    let assets = live.assets.clone();
    let dials = live.dials.clone();
    let ended = live.stop();
    let sent = figures::counter(&ended.stats, "gateway.orders_sent");
    let mut failures = ended.panics.clone();
    let count = |name| figures::counter(&ended.stats, name);
    println!(
        "orders     {sent} sent, {} rejected, {} cancelled, {} filled; {} fills",
        count("oms.rejected"),
        count("oms.cancelled"),
        count("oms.filled"),
        count("oms.fills")
    );
    for (name, value) in figures::money(&ended.oms, &assets) {
        println!("{name:<10} {value}");
    }
    if confirmed || sent > 0 {
        // What is open at the venue, the stop itself has listed.
        let agreement = figures::agreement(&ended.oms, &assets, confirmed, 0);
        if agreement.holds() {
            println!("engine and venue: nothing is open, positions and balances agree");
        } else {
            failures.extend(agreement.differences.iter().map(|d| format!("engine and venue differ: {d}")));
        }
    } else {
        println!("no order was sent");
        let error = (0..3).filter_map(|i| dials.link(i)?.last_error).next();
        error.into_iter().for_each(|e| println!("last connection error: {e}"));
    }
    if tripped || ended.kill.tripped {
        let id = ended.kill.trip.and_then(|t| t.id).map_or_else(String::new, |id| id.to_string());
        failures.push(format!(
            "ended tripped; before the next start: corelane rearm --trip {id} --state-dir {}",
            state_dir.display()
        ));
    }
    if let Some((totals, fault)) = &ended.journal {
        println!("journal    {} records, {} bytes in {} files", totals.records, totals.bytes, totals.files);
        failures.extend(fault.iter().map(|fault| format!("the journal could not go on: {}", fault.name())));
    }
    failures.iter().for_each(|why| println!("FAILED: {why}"));
    i32::from(!failures.is_empty())
}
