//! How fast do our rings hand a 64-byte record from one core to another, beside the best known ways to do it?
//!
//! **Timed**: every candidate goes through the same loops (`work.rs`), on the same two pinned cores, in two threads
//! and, where it can, in two processes.
//! * *One way*: half a round trip of a closed loop, 100,000 round trips a repetition, one clock read each (about 10 ns
//!   of a round trip, the same for all). Nothing queues.
//! * *Single* and *in runs*: a stream of about 60 ms, one record at a time, or handed over by 32 and taken by up to 256
//!   where the candidate can; the consumer times it.
//!
//! Every word of every record is checked where it arrives. After a look in vain all wait alike, with `spin_loop`.
//!
//! **Not timed**: waking a sleeping peer, many producers or consumers, records that are not 64 bytes, first touches.
//!
//! **Fair**: rounds go through all candidates in an order drawn anew (`rounds.rs`); each repetition stands between two
//! looks at the machine and counts only when both were quiet and saw the cores in one place (`machine.rs`); medians
//! and extremes are shown for each regime, ratios are taken within rounds (`bars.rs`). Heap rivals get the same aligned
//! records. Aeron's driver is a process of its own, on the same two cores, which its tails show.
//!
//! **A regression means** that a ring moves or waits for more lines than it did, or that a rival has learnt something.

#![forbid(unsafe_code)]

mod args;
mod bars;
mod candidates;
mod contract;
#[cfg(test)]
mod invented;
mod json;
mod machine;
mod record;
mod rounds;
mod sides;
mod summary;
mod svg;
mod table;
mod work;

use std::env;
use std::fs;
use std::process::ExitCode;

use agent::cpu;

use crate::args::Args;
use crate::bars::Verdict;
use crate::contract::Failure;
use crate::rounds::Plan;
use crate::sides::Job;

fn main() -> ExitCode {
    let words: Vec<String> = env::args_os().skip(1).map(|w| w.to_string_lossy().into_owned()).collect();
    // Not for people: what this program starts beside itself.
    match words.split_first() {
        Some((first, [name, job @ ..])) if first == sides::PEER => {
            return end(Job::read(job).and_then(|job| candidates::peer(name, job)));
        }
        #[cfg(feature = "aeron")]
        Some((first, [folder])) if first == candidates::DRIVER => {
            return end(candidates::media_driver(folder));
        }
        _ => {}
    }
    let asked = match args::parse(env::args_os().skip(1)) {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("transport: {why}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    if asked.help {
        print!("{}", args::HELP);
        return ExitCode::SUCCESS;
    }
    match measure(&asked) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("transport: {why}");
            ExitCode::from(3)
        }
    }
}

fn end(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("transport, beside: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(asked: &Args) -> Result<ExitCode, Failure> {
    let cores = cpu::allowed_cores();
    let (Some(&a), Some(&b)) = (cores.first(), cores.last()) else { return Err("no core to run on".into()) };
    if a == b {
        return Err(format!("two cores wanted, this process may use core {a} only").into());
    }
    let plan = Plan {
        wanted: asked.repetitions,
        limit: asked.limit,
        seed: asked.seed,
        hint: asked.hint,
        cores: (a, b),
        smoke: asked.smoke,
    };
    let mut candidates = candidates::all();
    if !asked.only.is_empty() {
        candidates.retain(|c| asked.only.iter().any(|part| c.name.contains(part.as_str())));
    }
    if candidates.is_empty() {
        return Err(format!("no candidate is called anything like {:?}", asked.only).into());
    }
    let machine = machine::describe();
    println!("{}", table::head(&machine, &plan));
    let measured = rounds::run(&plan, &candidates, |line| eprintln!("{line}"))?;

    if asked.verbose {
        println!("{}", table::repetitions(&measured));
    }
    let regimes = measured.regimes();
    for &regime in &regimes {
        println!("{}", table::regime(&measured, regime));
    }
    // Judged where most was seen.
    let judged: Vec<_> =
        regimes.first().map(|&regime| (regime, bars::all(&measured, regime))).into_iter().collect();
    if !asked.smoke {
        for (regime, bars) in &judged {
            println!("bars, cores {}:\n{}", regime.word(), table::bars(bars));
        }
    }
    let absent = candidates::absent();
    print!("{}", table::missing(&measured, &absent));
    if let Some(path) = &asked.json {
        let page = json::page(&machine, &plan, &measured, &judged, &absent);
        fs::write(path, format!("{page:#}\n")).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if let (Some(path), Some(&regime)) = (&asked.svg, regimes.first()) {
        let page = svg::page(&machine, &plan, &measured, &absent, regime);
        fs::write(path, page).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let wrong = !(measured.broken.is_empty() && measured.failed.is_empty());
    if asked.smoke {
        return Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let fails = judged.iter().flat_map(|(_, bars)| bars).any(|bar| bar.verdict() == Verdict::Fails);
    Ok(match regimes.is_empty() {
        true => {
            println!("nothing to judge: the machine never was quiet for a repetition; run again");
            ExitCode::from(3)
        }
        false if fails || wrong => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}
