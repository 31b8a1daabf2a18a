//! How many messages a second go through a chain of agents, each a thread of its own, when there are fewer cores than
//! threads?
//!
//! One thread puts messages into a ring, 1, 2, 4 or 8 agents hand them on from ring to ring, one thread takes them out.
//! Threads are spread over the allowed cores by turns, and all yield when a look was in vain: more threads than cores is
//! what that idle strategy is for.
//!
//! **Timed**: from the first message put in to the last taken out, by the thread that takes. Chains are run by turns, in
//! an order that changes, a repetition each. **Not timed**: starting the threads.
//!
//! **Checked**: every agent looks at the number of every message and mixes a word into it; the last thread compares with
//! what the mixing must give. A message lost, doubled, out of order or changed ends the bench with an error.
//!
//! **A regression means** that a ring or the runner costs more a message, or that yielding threads stand in each other's
//! way.
//!
//! `cargo bench --bench agents` measures; without `--bench` one short repetition runs.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use agent::{Agent, Clock, Cycle, Idle, RingId, Runner, ThreadSpec, cpu};
use rings::{Consumer, Producer, heap_ring};

/// Agents of each chain.
const CHAINS: [usize; 4] = [1, 2, 4, 8];
/// Slots of each ring.
const SLOTS: usize = 1_024;
/// Longest wait for the next message, longer than any host stops a thread for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Width of the longest bar of the curve.
const BAR: f64 = 40.0;

/// Hands messages on, each with a word mixed in.
struct Stage {
    name: String,
    from: Consumer,
    to: Producer,
    next: u64,
    /// Messages that were not the next one.
    wrong: Arc<AtomicU64>,
}

/// What a stage makes of a word.
fn mix(word: u64, number: u64) -> u64 {
    (word ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
}

impl Agent for Stage {
    fn name(&self) -> &str {
        &self.name
    }

    fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
        let mut done = 0u32;
        while (done as usize) < Cycle::LIMIT && self.to.has_room(1) {
            let Some((seq, mut words)) = self.from.pop() else { break };
            if seq != self.next || words[0] != self.next {
                self.wrong.fetch_add(1, Ordering::Relaxed);
            }
            self.next = seq + 1;
            words[1..].iter_mut().for_each(|word| *word = mix(*word, seq));
            if self.to.push(words).is_err() {
                self.wrong.fetch_add(1, Ordering::Relaxed);
            }
            done += 1;
        }
        if done > 0 {
            cycle.consumed(RingId(0), done);
        }
        done as usize
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let measure = std::env::args().any(|arg| arg == "--bench");
    let (repetitions, messages) = if measure { (9, 400_000) } else { (1, 2_000) };
    let cores = cpu::allowed_cores();
    let mut rates = CHAINS.map(|_| Vec::new());
    for repetition in 0..repetitions {
        for i in 0..CHAINS.len() {
            let i = (i + repetition) % CHAINS.len();
            rates[i].push(run(CHAINS[i], messages, &cores)?);
        }
    }
    println!(
        "{} cores, all threads yield, {messages} messages a repetition, every word checked",
        cores.len()
    );
    println!("agents  threads   median M/s  [lowest-highest]   {repetitions} repetitions by turns");
    rates.iter_mut().for_each(|rates| rates.sort_unstable_by(f64::total_cmp));
    let median = |rates: &[f64]| rates[rates.len() / 2];
    let most = rates.iter().map(|rates| median(rates)).fold(f64::MIN_POSITIVE, f64::max);
    for (agents, rates) in CHAINS.iter().zip(&rates) {
        println!(
            "{agents:>6}  {:>7}  {:>11.2}  [{:.2}-{:.2}]  {}",
            agents + 2,
            median(rates),
            rates[0],
            rates[rates.len() - 1],
            "#".repeat((median(rates) / most * BAR).round() as usize),
        );
    }
    Ok(())
}

/// Million messages a second through a chain of `agents`.
fn run(agents: usize, messages: u64, cores: &[usize]) -> Result<f64, Box<dyn Error>> {
    let (stop, wrong) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let core = |thread: usize| cores.get(thread % cores.len().max(1)).copied();
    let (mut first, mut from) = heap_ring(SLOTS);
    let mut running = Vec::new();
    for n in 0..agents {
        let (to, next) = heap_ring(SLOTS);
        let stage = Stage {
            name: format!("stage-{n}"),
            from: std::mem::replace(&mut from, next),
            to,
            next: 0,
            wrong: wrong.clone(),
        };
        let spec = ThreadSpec {
            name: stage.name.clone(),
            core: core(n + 1),
            idle: Idle::Yield,
            fifo: None,
            slow_ns: u64::MAX,
        };
        running.push(Runner::spawn(spec, vec![Box::new(stage)], Clock::live(), (), stop.clone())?);
    }
    let source = {
        let (stop, core) = (stop.clone(), core(0));
        std::thread::Builder::new().name("source".into()).spawn(move || {
            let pinned = core.map_or(Ok(()), cpu::pin);
            for n in 0..messages {
                let words = std::array::from_fn(|i| if i == 0 { n } else { n.rotate_left(i as u32 * 9) });
                while first.push(words).is_err() {
                    if stop.load(Ordering::Relaxed) {
                        return pinned;
                    }
                    Idle::Yield.idle();
                }
            }
            pinned
        })?
    };
    let taken = take(&mut from, agents, messages, core(agents + 1));
    stop.store(true, Ordering::Relaxed);
    if source.join().is_err() {
        return Err("the source panicked".into());
    }
    for thread in running {
        let exit = thread.join()?;
        let work: u64 = exit.agents.iter().map(|agent| agent.work).sum();
        if taken.is_ok() && work != messages {
            return Err(format!("{work} messages handed on, not {messages}").into());
        }
    }
    let elapsed = taken?;
    match wrong.load(Ordering::Relaxed) {
        0 => Ok(messages as f64 / elapsed.as_secs_f64() / 1e6),
        wrong => Err(format!("{wrong} messages were not the next one").into()),
    }
}

/// Takes all messages and compares each; how long it took.
fn take(from: &mut Consumer, agents: usize, messages: u64, core: Option<usize>) -> Result<Duration, String> {
    if let Some(core) = core {
        // Elsewhere is slower, not wrong.
        let _ = cpu::pin(core);
    }
    let began = Instant::now();
    for n in 0..messages {
        let waits = Instant::now;
        let mut since = None;
        let (seq, words) = loop {
            match from.pop() {
                Some(message) => break message,
                None if since.get_or_insert_with(waits).elapsed() > PATIENCE => {
                    return Err(format!("message {n} did not come in {PATIENCE:?}"));
                }
                None => Idle::Yield.idle(),
            }
        };
        let of = |i: usize| (0..agents).fold(n.rotate_left(i as u32 * 9), |word, _| mix(word, n));
        if seq != n || words[0] != n || (1..words.len()).any(|i| words[i] != of(i)) {
            return Err(format!("message {n} of a chain of {agents}: {seq}: {words:x?}"));
        }
    }
    Ok(began.elapsed())
}
