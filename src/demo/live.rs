//! The demo over real sockets: the simulated venue serves TLS on loopback, the engine runs its own threads.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use kill::ControlSnapshot;
use net::{ClientTls, Endpoint, Trust};
use stats::instance;
use topology::Config;
use venue::ClientOrderId;
use venue_binance::sim::{BinanceSim, ReceivedOrder, SimFaults};
use wire::Ts;

use super::processes::{self, Members};
use super::report::{JournalLine, KillReport, Report};
use super::{figures, market};
use crate::cli::{DemoArgs, Speed};
use crate::controls::StopState;
use crate::engine::EngineError;
use crate::interrupt;
use crate::simvenue::{Handle, HostIdle, HostOptions, SimVenueHost, Speed as HostSpeed};
use crate::wiring::{Ended, Endpoints, Live, LiveSetup};

/// Time between two looks at the run.
const LOOK: Duration = Duration::from_millis(50);
/// Looks without news after the end of a recording before the run counts as over: 2 s.
const LOOKS_AT_END: u32 = 40;
/// How long the venue listens on after a kill: nothing may arrive.
const LISTEN_ON: Duration = Duration::from_secs(1);
/// Dead instances kept in shared memory for whoever asks what happened.
const INSTANCES_KEPT: usize = 2;

fn failed(what: &'static str, why: impl ToString) -> EngineError {
    EngineError::Start { what, why: why.to_string() }
}

/// Endpoints of a hosted venue; its certificate is the one that is trusted.
///
/// # Errors
/// The certificate cannot be used.
pub fn endpoints(venue: &Handle) -> Result<Endpoints, EngineError> {
    let tls = ClientTls::new(&Trust::Der(vec![venue.cert_der().to_vec()])).map_err(|e| failed("tls", e))?;
    let endpoint = Endpoint {
        host: "localhost".into(),
        port: venue.addr().port(),
        address: Some(IpAddr::from([127, 0, 0, 1])),
        tls: Some(tls),
    };
    Ok(Endpoints { rest: endpoint.clone(), stream: endpoint.clone(), order: endpoint })
}

/// Runs the demo over TLS.
///
/// # Errors
/// Engine or venue cannot be started; a run that ends badly is a report with a failure.
pub fn run(
    config: &Config,
    args: &DemoArgs,
    state_dir: &Path,
    faults: SimFaults,
    progress: &mut dyn FnMut(&str),
) -> Result<Report, EngineError> {
    let began = Instant::now();
    let speed = match args.speed {
        Speed::Max => HostSpeed::Max,
        Speed::Times(x) => HostSpeed::Realtime(x),
    };
    let sim = market::sim_config(config, args.seed, &args.replay, faults)?;
    let venue =
        SimVenueHost::start(sim, HostOptions { speed, idle: HostIdle::Yield, ..HostOptions::default() })
            .map_err(|e| failed("simulated venue", e))?;
    let base = instance::base_dir().map_err(|e| failed("shared memory", e))?;
    // Whoever starts next cleans up after the dead; a failure here costs disk, not safety.
    let _ = instance::clean(&base, INSTANCES_KEPT);
    let files = if args.processes > 1 { Some(processes::Files::write(args, &venue)?) } else { None };
    let several = files.as_ref().map(processes::Files::config).transpose()?;
    let config = several.as_ref().unwrap_or(config);
    let starter = files.map(processes::Files::ready).transpose()?;
    let live = Live::start(LiveSetup {
        config,
        endpoints: endpoints(&venue)?,
        credentials: market::credentials()?,
        state_dir,
        shm_base: &base,
        name: "demo",
        seed: args.seed,
    })?;
    let attach = format!("corelane-stat --dir {}", live.dir().display());
    progress(&format!("running; watch it with: {attach}\n"));
    let mut report = Report {
        transport: "tls".into(),
        processes: args.processes,
        seed: args.seed,
        without: live.without.clone(),
        attach,
        ..Report::default()
    };
    let members = match starter.map(|starter| starter.start(live.dir())).transpose() {
        Ok(members) => members,
        Err(error) => {
            live.stop();
            return Err(error);
        }
    };
    let run = Run { live, venue, members };
    run.go(args, began, &mut report, progress)?;
    Ok(report)
}

struct Run {
    live: Live,
    venue: Handle,
    members: Option<Members>,
}

impl Run {
    fn go(
        self,
        args: &DemoArgs,
        began: Instant,
        report: &mut Report,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), EngineError> {
        let trading = Instant::now();
        let why = self.trade(args, progress);
        let mut killed = why == Why::Killed;
        if !killed && why != Why::Dead {
            self.live.controls.quiesce();
            killed = self.live.wait_quiet();
        }
        if killed {
            // The stop runs by itself after the word; the venue then listens on for anything that should not come.
            self.live.wait_stopped();
            std::thread::sleep(LISTEN_ON);
        } else if self.live.kill().tripped {
            // Tripped after the clean stop had ended: it is a kill all the same.
            killed = true;
            self.live.wait_stopped();
        }
        let stop = self.live.controls.stop();
        let at_word = self.live.kill();
        let assets = self.live.assets.clone();
        let (dials, snapshots) = (self.live.dials.clone(), self.live.snapshot_report());
        let Run { live, venue, members } = self;
        let seconds = trading.elapsed().as_secs_f64();
        let Ended { oms, stats, kill, mut panics, journal } = live.stop();
        panics.extend(members.map(Members::ended).unwrap_or_default());
        let venue = venue.stop().map_err(|e| failed("simulated venue", e))?;

        report.journal = journal.map(|(totals, fault)| JournalLine { totals, fault });
        report.interrupted = (why == Why::Interrupted).then(interrupt::asked).flatten();
        report.seconds = seconds;
        report.wall_seconds = began.elapsed().as_secs_f64();
        figures::from_stats(report, &stats);
        let confirmed = stop == StopState::Confirmed;
        report.agreement = figures::agreement(&oms, &assets, confirmed, venue.open_orders().len());
        report.money = figures::money(&oms, &assets);
        report.halt = figures::halt(&oms);
        if killed || kill.tripped {
            report.kill = Some(judge_kill(&at_word, &kill, &venue, &stats, confirmed));
        }
        if let Some(recording) = figures::Recording::of(&venue) {
            recording.tell(report);
        }
        if !panics.is_empty() {
            report.failure = panics.join("; ");
        } else if report.sent == 0 && args.replay.is_empty() && !report.is_unbegun() {
            let error = (0..3).filter_map(|i| dials.link(i)?.last_error).next();
            report.failure = match error.or(snapshots.last_error) {
                Some(error) => format!("no order was sent; last connection error: {error}"),
                None => format!("no order was sent; book {}, trading off by {}", report.book_state, oms.halt),
            };
        }
        Ok(())
    }

    /// Lets the engine trade until its time is up, the recording ends, or something stops it.
    fn trade(&self, args: &DemoArgs, progress: &mut dyn FnMut(&str)) -> Why {
        let replay = !args.replay.is_empty();
        let seconds = args.seconds.or((!replay).then_some(20.0));
        let began = Instant::now();
        let mut told = Instant::now();
        let mut at_end = 0u32;
        let mut last_messages = 0;
        loop {
            std::thread::sleep(LOOK);
            if self.live.kill().tripped {
                return Why::Killed;
            }
            if self.live.is_dead() {
                return Why::Dead;
            }
            if interrupt::asked().is_some() {
                return Why::Interrupted;
            }
            if seconds.is_some_and(|s| began.elapsed().as_secs_f64() >= s) {
                return Why::Over;
            }
            let stats = self.live.stats();
            let messages = figures::counter(&stats, "feed.messages");
            if replay {
                // Over when the venue has played everything and all of it was heard; or nothing more is, for a while:
                // what was sent on a connection that was lost never arrives.
                let sent = self.venue.look(|v| v.finished().then(|| v.market_messages()));
                at_end = if sent != Some(None) && messages == last_messages { at_end + 1 } else { 0 };
                last_messages = messages;
                if at_end >= LOOKS_AT_END || sent.flatten().is_some_and(|sent| messages >= sent) {
                    return Why::Over;
                }
            }
            if told.elapsed() >= Duration::from_secs(1) {
                told = Instant::now();
                let tick = stats.hists.iter().find(|h| h.0 == "gateway.tick_to_trade").map(|h| h.1);
                let tick = tick.unwrap_or_default();
                progress(&format!(
                    "{:>6.1} s  {:>9} messages  {:>6} orders  {:>6} fills  tick to trade p50 {:.1} us, p99 {:.1} us",
                    began.elapsed().as_secs_f64(),
                    messages,
                    figures::counter(&stats, "gateway.orders_sent"),
                    figures::counter(&stats, "oms.fills"),
                    tick.p50_ns as f64 / 1_000.0,
                    tick.p99_ns as f64 / 1_000.0,
                ));
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Over,
    Interrupted,
    Killed,
    Dead,
}

/// Judges a kill by what the venue received: cycle and time are read out of the client order ids.
pub fn judge_kill(
    told: &ControlSnapshot,
    at_end: &ControlSnapshot,
    venue: &BinanceSim,
    stats: &stats::Snapshot,
    confirmed: bool,
) -> KillReport {
    let trip = at_end.trip.as_ref().or(told.trip.as_ref());
    let gateway = at_end.senders.first();
    let acked = gateway.and_then(|s| s.acked);
    let word_ts = trip.map_or(Ts(u64::MAX), |t| t.ts);
    let mut counts = classify(venue.received(), word_ts, acked.map_or(u64::MAX, |a| a.1.cycle));
    // A sender that had to be cut has no cycle of acknowledgement: what it stamped after the cut counts.
    let cut = gateway.and_then(|s| s.aborted);
    if let (None, Some(cut)) = (acked, cut) {
        counts.after_ack = classify(venue.received(), cut, u64::MAX).after_word;
    }
    let shut = acked.map(|a| a.0).or(cut);
    KillReport {
        source: trip.and_then(|t| t.source).map_or_else(|| "unknown".into(), |s| s.to_string()),
        trip_id: trip.and_then(|t| t.id).map_or_else(String::new, |id| id.to_string()),
        orders_after_word: counts.after_word,
        orders_after_ack: counts.after_ack,
        cancels_confirmed: figures::counter(stats, "gateway.cancels_confirmed"),
        ack_ns: shut.map_or(0, |at| at.since_ns(word_ts)),
        // Orders that were cut off with their connection never arrived: the venue may have fewer, never more.
        totals_agree: trip.is_some()
            && match acked {
                Some((_, progress)) => {
                    let aborted = figures::counter(stats, "gateway.down_aborted") > 0;
                    counts.total == progress.orders_sent
                        || (aborted && counts.total + 1 == progress.orders_sent)
                }
                None => cut.is_some(),
            },
        confirmed,
    }
}

/// New orders by when they left, as the venue counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// All of ours.
    pub total: u64,
    /// Stamped later than the word.
    pub after_word: u64,
    /// From a duty cycle later than the acknowledgement's.
    pub after_ack: u64,
}

/// Sorts the venue's arrivals around a trip's word and acknowledgement.
pub fn classify(received: &[ReceivedOrder], word: Ts, ack_cycle: u64) -> Arrivals {
    const MASK: u64 = (1 << 60) - 1;
    let mut arrivals = Arrivals::default();
    for order in received {
        let Ok(id) = ClientOrderId::parse(order.client_id.as_bytes()) else { continue };
        arrivals.total += 1;
        arrivals.after_word += (id.ts.0 > word.0 & MASK) as u64;
        arrivals.after_ack += (id.cycle >= ack_cycle & 0xff_ffff_ffff) as u64;
    }
    arrivals
}
