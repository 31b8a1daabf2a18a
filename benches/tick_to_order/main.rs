//! How long does a market event take to become an order?
//!
//! Three spans of one tick that leads to one order, all real parts of the engine, one thread as in the compact
//! profile, closed loop, TSC stamps, first order of the tick:
//! * `event`: from the push of a new best price into the market rings, over strategy and the full gate, until its
//!   order stands in the order ring. Only strategy and oms are stepped, everything is in cache: the floor;
//! * `frame`: from one decrypted WebSocket message at the feed's link (parse and book check included) to the order
//!   ring, with all four agents and the kill thread's duty stepped, after the work of the tick before has gone through
//!   the caches: cancel, answers of the simulated venue, their parsing;
//! * `signed`: the same until the gateway hands the encoded and HMAC-signed order to its link.
//!
//! **Timed** with each: ring pushes and pops, the agents' whole duty cycles, the clock reads of cycles and stages, all
//! statistics. `frame` and `signed` carry one more agent, which stamps (two clock reads, about 20 ns).
//! **Not timed**: sockets, TLS, WebSocket frames, the venue. A closed loop has no queue, so nothing waits and there is
//! no omitted waiting to correct; what a burst does to latency is for the live histograms to say. The market moves by
//! turns through prices and sizes, so that no branch is learnt by heart.
//!
//! **A regression means** that every order leaves later, one to one. The bars, as medians over repetitions: `event` at
//! most 350 ns p50 and 1.5 us p99.9. It stays on one core, so the cache-line probe printed beside it does not scale
//! them. The tail is judged over those repetitions during which a loop that does nothing lost at most 3 % of its time,
//! when there are three: who shares a core loses its caches too, and that is no finding about this code.
//!
//! `cargo bench --bench tick_to_order` measures and judges; `-- --check` ends with exit code 1 when a bar fails.
//! `-- --gate MODE` speaks to the latency gate (`tools/gate`). Without `--bench` (as under `cargo test`) one short repetition runs, to keep this file from rotting.

mod event;
mod frame;
#[path = "../protocol/mod.rs"]
mod protocol;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use agent::{Clock, cpu, probe};
use hdrhistogram::Histogram;

/// The longest p50 of `event`, ns.
const P50_BAR_NS: f64 = 350.0;
/// The longest p99.9 of `event`, ns.
const P999_BAR_NS: f64 = 1_500.0;
/// Most that a quiet repetition may lose of its time, parts per million.
const QUIET_PPM: u64 = 30_000;
/// Quiet repetitions that it takes to judge a tail.
const QUIET_MIN: usize = 3;
/// How long the loop that does nothing runs beside each repetition.
const SPIN: Duration = Duration::from_millis(20);

/// How much is measured.
struct Plan {
    repetitions: usize,
    warm_up: usize,
    event_ticks: usize,
    frame_ticks: usize,
    probe_rounds: usize,
}

const FULL: Plan =
    Plan { repetitions: 7, warm_up: 2_000, event_ticks: 200_000, frame_ticks: 10_000, probe_rounds: 20_000 };
/// One of the many processes of a latency gate.
const GATED: Plan =
    Plan { repetitions: 1, warm_up: 500, event_ticks: 20_000, frame_ticks: 1_500, probe_rounds: 0 };
const SMOKE: Plan =
    Plan { repetitions: 1, warm_up: 50, event_ticks: 500, frame_ticks: 100, probe_rounds: 200 };

/// Distribution of one span in one repetition, ns.
#[derive(Clone, Copy)]
struct Span {
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Span {
    fn of(h: &Histogram<u64>) -> Span {
        let at = |q| h.value_at_quantile(q) as f64;
        Span { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: h.max() as f64 }
    }
}

const SPANS: [&str; 3] = ["event", "frame", "signed"];

struct Repetition {
    /// Of its time, what a loop that does nothing lost just before and after, parts per million.
    lost_ppm: u64,
    spans: [Span; 3],
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if let Some(session) = protocol::Session::asked("tick_to_order")? {
        return speak(session).map(|()| ExitCode::SUCCESS);
    }
    let has = |flag: &str| std::env::args().any(|arg| arg == flag);
    let measure = has("--bench") || has("--check");
    let plan = if measure { FULL } else { SMOKE };
    let clock = Clock::live();
    describe_host(&clock);
    let cores = cpu::allowed_cores();
    let (first, last) = (cores.first().copied().unwrap_or(0), cores.last().copied().unwrap_or(0));
    if measure {
        println!("{}", probe::hiccup(Duration::from_millis(200)));
    }
    let mut repetitions = Vec::new();
    for turn in 0..plan.repetitions {
        let before = (probe::cache_line_ns(first, last, plan.probe_rounds).ok(), probe::hiccup(SPIN));
        let spans = spans(last, &clock, &plan)?.each_ref().map(Span::of);
        let after = (probe::cache_line_ns(first, last, plan.probe_rounds).ok(), probe::hiccup(SPIN));
        let probe_ns = before.0.zip(after.0).map(|(b, a)| (b.p50_ns + a.p50_ns) / 2.0);
        let lost_ppm = before.1.lost_ppm.max(after.1.lost_ppm);
        let probe = probe_ns.map_or("none".into(), |ns| format!("{ns:.0}"));
        print!("{turn:>2}  probe {probe:>4}  lost {:>4.1} %", lost_ppm as f64 / 10_000.0);
        for (name, s) in SPANS.iter().zip(&spans) {
            print!(
                "   {name} p50 {:>5.0} p99 {:>6.0} p99.9 {:>6.0} max {:>8.0}",
                s.p50, s.p99, s.p999, s.max
            );
        }
        println!();
        repetitions.push(Repetition { lost_ppm, spans });
    }
    if !measure {
        // The latency gate's counted work, once: it runs on another clock.
        speak(protocol::Session::trial("tick_to_order"))?;
    }
    let holds = summarise(&repetitions, clock_pair_ns(&clock), measure);
    Ok(if has("--check") && !holds { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The rows of the latency gate.
fn speak(mut session: protocol::Session) -> Result<(), Box<dyn Error>> {
    if session.is_time() {
        let clock = Clock::live();
        let spans = spans(cpu::allowed_cores().last().copied().unwrap_or(0), &clock, &GATED)?;
        for (row, spans) in SPANS.iter().zip(&spans) {
            session.span(row, 1, spans);
        }
    } else {
        session.work("event", 200, 500, event::counted)?;
        session.work("signed", 100, 200, |clock| frame::counted(clock, None))?;
    }
    session.end();
    Ok(())
}

/// One repetition, on a thread of its own pinned to `core`.
fn spans(core: usize, clock: &Clock, plan: &Plan) -> Result<[Histogram<u64>; 3], Box<dyn Error>> {
    let work = || {
        // Refused on a machine that forbids it; then the scheduler has its say in the tails.
        if let Err(refused) = cpu::pin(core) {
            eprintln!("not pinned: {refused}");
        }
        let event = event::run(clock, plan.warm_up, plan.event_ticks).map_err(|e| e.to_string())?;
        let [frame, signed] =
            frame::run(clock, plan.warm_up, plan.frame_ticks, None).map_err(|e| e.to_string())?;
        Ok::<_, String>([event, frame, signed])
    };
    let spans = std::thread::scope(|scope| scope.spawn(work).join());
    Ok(spans.map_err(|_| "the measuring thread panicked")??)
}

/// Prints medians and extremes; whether the gate holds, which is `true` when nothing is judged.
fn summarise(all: &[Repetition], clock_ns: f64, judge: bool) -> bool {
    println!("\n{} repetitions, ns: median [lowest-highest]; two clock reads {clock_ns:.0}", all.len());
    for (i, name) in SPANS.iter().enumerate() {
        let of = |f: fn(&Span) -> f64| spread(all.iter().map(|r| f(&r.spans[i])).collect());
        println!(
            "{name:>8}  p50 {}   p99 {}   p99.9 {}   max {}",
            of(|s| s.p50),
            of(|s| s.p99),
            of(|s| s.p999),
            of(|s| s.max)
        );
    }
    if !judge {
        return true;
    }
    let p50 = median(all.iter().map(|r| r.spans[0].p50).collect());
    let quiet: Vec<f64> = all.iter().filter(|r| r.lost_ppm <= QUIET_PPM).map(|r| r.spans[0].p999).collect();
    let mut holds = verdict("p50", p50, P50_BAR_NS);
    if quiet.len() >= QUIET_MIN {
        holds &= verdict("p99.9", median(quiet), P999_BAR_NS);
    } else {
        println!("bar: event p99.9 is not judged: {} quiet repetitions, {QUIET_MIN} wanted", quiet.len());
    }
    holds
}

fn verdict(what: &str, ns: f64, bar_ns: f64) -> bool {
    let holds = ns <= bar_ns;
    let word = if holds { "holds" } else { "FAILS" };
    println!("bar: event {what} is {ns:.0} ns, at most {bar_ns:.0} wanted: {word}");
    holds
}

fn spread(values: Vec<f64>) -> String {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(0.0, f64::max);
    format!("{:>5.0} [{lowest:.0}-{highest:.0}]", median(values))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What a pair of clock reads around nothing shows: part of every sample, once.
fn clock_pair_ns(clock: &Clock) -> f64 {
    let pairs = (0..10_001).map(|_| {
        let began = clock.now();
        clock.now().since_ns(began) as f64
    });
    median(pairs.collect())
}

fn histogram() -> Result<Histogram<u64>, Box<dyn Error>> {
    Ok(Histogram::new_with_bounds(1, 10_000_000_000, 3)?)
}

/// What a figure is worth without: the host, its kernel, the commit and the clock.
fn describe_host(clock: &Clock) {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown cpu");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let governor = std::fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    let commit = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let commit = commit.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default();
    println!(
        "{}, Linux {}, governor {}, commit {}",
        cpu.trim_start_matches([' ', '\t', ':']),
        kernel.trim(),
        governor.as_deref().map_or("unknown", str::trim),
        if commit.is_empty() { "unknown" } else { &commit },
    );
    println!("{}", clock.describe());
}
