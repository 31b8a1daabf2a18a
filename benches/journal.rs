//! What does the journal cost the trading thread?
//!
//! The rig of `tick_to_order`: four agents and the kill thread's duty on one thread, between links that are memory and
//! the simulated venue, with and without a journal by turns. The journal's own thread writes files meanwhile.
//!
//! * `idle`: mean of an agent's duty cycle in which nothing happens, over a batch of turns: what nearly every cycle of a
//!   live engine is;
//! * `busy`: mean of an agent's duty cycle over whole ticks: two messages, an order, its cancel, the venue's answers.
//!   Includes the simulated venue's work, alike on both sides;
//! * `mix`: 99 idle cycles to a busy one, more than the demo has of these;
//! * `frame`, `signed`: the spans of `tick_to_order`, p50.
//!
//! **Timed**: everything on that thread. **Not timed**: the journal's thread, which is on another core where there is
//! one. Sides are run by turns, and each pair is a difference of its own: the median of pairs, lowest and highest.
//!
//! **A regression means** that recording has moved into the path of an order. Bars, judged with `--check`: a cycle of the
//! mix costs at most 15 ns more, `frame` and `signed` at most 5 % at p50. What of it is instructions, cache lines and
//! branches tells callgrind, see `protocol`: `--gate instructions`, rows `without` and `with`, the whole turn of a tick.

#[path = "tick_to_order/frame.rs"]
mod frame;
#[path = "protocol/mod.rs"]
#[allow(dead_code, reason = "the gate asks for spans too; this bench judges its own")]
mod protocol;

use std::error::Error;
use std::process::ExitCode;

use agent::{Clock, cpu};
use hdrhistogram::Histogram;

/// Idle cycles to a busy one.
const IDLE_TO_BUSY: f64 = 99.0;

/// Most that a cycle of the mix may cost, ns.
const MIX_BAR_NS: f64 = 15.0;
/// Most that a span may become longer, percent.
const SPAN_BAR: f64 = 5.0;
const ROWS: [&str; 4] = ["idle", "busy", "frame p50", "signed p50"];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let cores = cpu::allowed_cores();
    // The first core is the journal's, the last the trading thread's.
    let beside = cores.first().copied().unwrap_or(0);
    if let Some(mut session) = protocol::Session::asked("journal")? {
        for (row, journal) in [("without", None), ("with", Some(beside))] {
            session.work(row, 100, 200, |clock| frame::counted(clock, journal))?;
        }
        session.end();
        return Ok(ExitCode::SUCCESS);
    }
    let has = |flag: &str| std::env::args().any(|arg| arg == flag);
    let measure = has("--bench") || has("--check");
    let (pairs, turns, ticks) = if measure { (15, 300_000, 3_000) } else { (1, 1_000, 50) };
    let clock = Clock::live();
    println!("{}", clock.describe());
    if let Some(core) = cores.last()
        && let Err(refused) = cpu::pin(*core)
    {
        println!("not pinned: {refused}");
    }
    let measured = |journal| -> Result<[f64; 4], Box<dyn Error>> {
        let [idle, busy] = frame::cycle_ns(&clock, turns, ticks, journal)?;
        let spans = frame::run(&clock, ticks / 10, ticks, journal)?;
        let [frame, signed] = spans.map(|h| h.value_at_quantile(0.5) as f64);
        Ok([idle, busy, frame, signed])
    };
    let mut all = Vec::new();
    for pair in 0..pairs {
        let (mut off, mut on) = ([0.0; 4], [0.0; 4]);
        // Whoever comes second finds another host: by turns.
        for second in [false, true] {
            if second == (pair % 2 == 0) {
                on = measured(Some(beside))?;
            } else {
                off = measured(None)?;
            }
        }
        all.push((off, on));
    }
    println!("{pairs} pairs, median [lowest-highest]");
    let mut holds = true;
    for (i, row) in ROWS.into_iter().enumerate() {
        let of =
            |f: &dyn Fn(f64, f64) -> f64| Spread::of(all.iter().map(|(off, on)| f(off[i], on[i])).collect());
        let percent = of(&|off, on| 100.0 * (on - off) / off);
        println!(
            "{row:>12}  without {:>7.1} ns  with {:>7.1} ns  difference {} ns  {percent} %",
            of(&|off, _| off).median,
            of(&|_, on| on).median,
            of(&|off, on| on - off),
        );
        if i >= 2 {
            holds &= verdict(row, percent.median, SPAN_BAR, "%");
        }
    }
    let mix = |(off, on): &([f64; 4], [f64; 4])| {
        (IDLE_TO_BUSY * (on[0] - off[0]) + on[1] - off[1]) / (IDLE_TO_BUSY + 1.0)
    };
    let mix = Spread::of(all.iter().map(mix).collect());
    println!("{:>12}  difference {mix} ns", "mix");
    holds &= verdict("mix", mix.median, MIX_BAR_NS, "ns");
    Ok(if has("--check") && !holds { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn verdict(what: &str, more: f64, bar: f64, unit: &str) -> bool {
    let holds = more <= bar;
    let word = if holds { "holds" } else { "FAILS" };
    println!("bar: {what} is {more:.1} {unit} more, at most {bar} {unit} wanted: {word}");
    holds
}

/// Of the pairs.
struct Spread {
    median: f64,
    lowest: f64,
    highest: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Spread {
        values.sort_unstable_by(f64::total_cmp);
        let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
        Spread { median: at(values.len() / 2), lowest: at(0), highest: at(values.len().saturating_sub(1)) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>+6.1} [{:+.1} to {:+.1}]", self.median, self.lowest, self.highest)
    }
}

fn histogram() -> Result<Histogram<u64>, Box<dyn Error>> {
    Ok(Histogram::new_with_bounds(1, 10_000_000_000, 3)?)
}
