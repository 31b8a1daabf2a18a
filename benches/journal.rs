//! What does the journal cost the trading thread?
//!
//! The rig of `tick_to_order`: four agents and the kill thread's duty on one thread, between links that are memory and
//! the simulated venue, with and without a journal by turns. The journal's own thread writes files meanwhile.
//!
//! * `idle`: mean of an agent's duty cycle in which nothing happens, over a batch of turns: what nearly every cycle of a
//!   live engine is;
//! * `busy`: mean of an agent's duty cycle over whole ticks: two messages, an order, its cancel, the venue's answers.
//!   Includes the simulated venue's work, alike on both sides;
//! * `frame`, `signed`: the spans of `tick_to_order`, p50.
//!
//! **Timed**: everything on that thread. **Not timed**: the journal's thread; where it shares a core with this one, its
//! time is in the figures.
//!
//! **A regression means** that recording has moved into the path of an order. Bars: at most 15 ns a cycle over the mix of
//! a live engine (99 idle cycles to a busy one, more than the demo has of these), and `frame` and `signed` within 5 % at
//! p50. Printed, not judged: on a shared host only an interleaved comparison can tell.

#[path = "tick_to_order/frame.rs"]
mod frame;
#[path = "protocol/mod.rs"]
#[allow(dead_code, reason = "the rig counts for the gate; this bench does not")]
mod protocol;

use std::error::Error;

use agent::{Clock, cpu};
use hdrhistogram::Histogram;

/// Idle cycles to a busy one.
const IDLE_TO_BUSY: f64 = 99.0;

fn main() -> Result<(), Box<dyn Error>> {
    let measure = std::env::args().any(|arg| arg == "--bench");
    let (repetitions, turns, ticks) = if measure { (9, 500_000, 5_000) } else { (1, 1_000, 50) };
    let clock = Clock::live();
    println!("{}", clock.describe());
    if let Some(core) = cpu::allowed_cores().last()
        && let Err(refused) = cpu::pin(*core)
    {
        println!("not pinned: {refused}");
    }
    let mut sides = [Vec::new(), Vec::new()];
    for _ in 0..repetitions {
        for journal in [false, true] {
            let [idle, busy] = frame::cycle_ns(&clock, turns, ticks, journal)?;
            let spans = frame::run(&clock, ticks / 10, ticks, journal)?;
            let [frame, signed] = spans.map(|h| h.value_at_quantile(0.5) as f64);
            sides[journal as usize].push([idle, busy, frame, signed]);
        }
    }
    println!("ns, median of {repetitions}:      without      with   difference");
    let mut mix = 0.0;
    for (i, name) in ["idle", "busy", "frame p50", "signed p50"].into_iter().enumerate() {
        let [off, on] = [0, 1].map(|side: usize| median(sides[side].iter().map(|r| r[i]).collect()));
        println!(
            "{name:>12}  {off:>20.1} {on:>9.1}  {:>+8.1}  {:>+6.1} %",
            on - off,
            100.0 * (on - off) / off
        );
        mix += match i {
            0 => IDLE_TO_BUSY * (on - off),
            1 => on - off,
            _ => 0.0,
        };
    }
    println!("a cycle of the mix costs {:.1} ns more; the bar is 15", mix / (IDLE_TO_BUSY + 1.0));
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn histogram() -> Result<Histogram<u64>, Box<dyn Error>> {
    Ok(Histogram::new_with_bounds(1, 10_000_000_000, 3)?)
}
