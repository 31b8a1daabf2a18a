//! How many messages a second go from one core to another, one at a time and in runs?
//!
//! **Timed**: a pinned producer pushes as fast as it can, a pinned consumer takes and compares every word of every
//! message; the clock runs from the common start to the last message taken. All wait with `spin_loop` on full and on
//! empty, have 1,024 slots, and move 64 bytes a message:
//! * `rings one`, the slot ring by `push` and `pop`; `rtrb one` likewise;
//! * `rings run`, the slot ring by `push_run` of 32 and `poll` of up to 256; `rings claim` by `claim` and `batch`;
//! * `bulk one` and `bulk run`, the bulk ring by `push` and `pop`, and by `push_with` of 32 and `poll` of up to 256;
//! * `rtrb run`, the reference by `write_chunk_uninit` of 32 and `read_chunk` of what is there, up to 256.
//!
//! **Not timed**: latency (see `ring_hop`), the first touch of the memory. Candidates run by turns; a probe of the bare
//! cache line stands before and after each repetition, which is dropped where the two differ by more than a quarter:
//! the host moved a core.
//!
//! **A regression means** that a message moves more lines than it did, or that a side waits where it could go on.
//! Absolute figures change with the host, so ratios to rtrb in the same repetition are judged, as medians: one at a time
//! at least 1.4, in runs the better of the two forms at least 1.5 and the slots not behind.
//!
//! `cargo bench --bench ring_rate` measures; without `--bench` one short repetition runs and judges nothing.

use std::error::Error;
use std::hint::spin_loop;
use std::sync::Barrier;
use std::time::Instant;

use agent::{cpu, probe};
use rings::{Payload, Record};

/// Slots of every ring.
const CAPACITY: usize = 1024;

/// Messages of a run.
const RUN: usize = 32;

/// Most messages taken at once.
const TAKE: usize = 256;

/// Relative difference of two probes above which the host moved a core in between.
const MOVED: f64 = 0.25;

/// A message of the reference, given the alignment ours has by design.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(Record);

/// How much is measured.
struct Plan {
    repetitions: usize,
    messages: u64,
    probe_rounds: usize,
}

const FULL: Plan = Plan { repetitions: 11, messages: 4_000_000, probe_rounds: 20_000 };
const SMOKE: Plan = Plan { repetitions: 1, messages: 4_096, probe_rounds: 200 };

/// Moves so many messages between two cores and returns the seconds it took.
type Candidate = fn(&Cores, u64) -> Result<f64, Box<dyn Error>>;

const CANDIDATES: [(&str, Candidate); 7] = [
    ("rings one", slots_one),
    ("rtrb one", rtrb_one),
    ("bulk one", bulk_one),
    ("rings run", slots_run),
    ("rings claim", slots_claim),
    ("bulk run", bulk_run),
    ("rtrb run", rtrb_run),
];

/// What is compared with what, and how many times it must be.
const BARS: [(&str, &str, f64); 3] =
    [("rings one", "rtrb one", 1.4), ("rings run", "rtrb run", 1.0), ("bulk run", "rtrb run", 1.5)];

struct Cores {
    from: usize,
    to: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let measure = std::env::args().any(|arg| arg == "--bench");
    let plan = if measure { FULL } else { SMOKE };
    let allowed = cpu::allowed_cores();
    let (Some(&from), Some(&to)) = (allowed.first(), allowed.last()) else {
        return Err("no core to run on".into());
    };
    if from == to {
        println!("skipped: two cores are needed, this process may use core {from} only");
        return Ok(());
    }
    let cores = Cores { from, to };
    println!("million messages a second, {} in each figure", plan.messages);
    print!("    probe ns     ");
    CANDIDATES.iter().for_each(|(name, _)| print!("{name:>12}"));
    println!();
    let mut kept: Vec<[f64; CANDIDATES.len()]> = Vec::new();
    let mut before = probe::cache_line_ns(from, to, plan.probe_rounds)?.p50_ns;
    for turn in 0..plan.repetitions {
        let mut rates = [0.0; CANDIDATES.len()];
        for i in 0..CANDIDATES.len() {
            // By turns, so that none always runs on the warmer machine.
            let i = (i + turn) % CANDIDATES.len();
            rates[i] = plan.messages as f64 / CANDIDATES[i].1(&cores, plan.messages)? / 1e6;
        }
        let after = probe::cache_line_ns(from, to, plan.probe_rounds)?.p50_ns;
        let steady = (before - after).abs() <= MOVED * before.min(after);
        print!("{turn:>2} {before:>5.0} -> {after:>4.0}");
        rates.iter().for_each(|rate| print!("{rate:>12.1}"));
        println!("{}", if steady { "" } else { "   dropped: the host moved a core" });
        if steady {
            kept.push(rates);
        }
        before = after;
    }
    summarise(&kept, measure);
    Ok(())
}

/// Medians over the repetitions kept, and the ratios judged.
fn summarise(kept: &[[f64; CANDIDATES.len()]], judge: bool) {
    if kept.is_empty() {
        println!("nothing to judge: the host never stood still for a repetition; run again");
        return;
    }
    print!("   median        ");
    for i in 0..CANDIDATES.len() {
        print!("{:>12.1}", median(kept.iter().map(|rates| rates[i])));
    }
    println!("   of {} kept", kept.len());
    if !judge {
        return;
    }
    let index = |name| CANDIDATES.iter().position(|(known, _)| *known == name).unwrap_or(0);
    for (ours, theirs, bar) in BARS {
        let (ours_i, theirs_i) = (index(ours), index(theirs));
        let ratio = median(kept.iter().map(|rates| rates[ours_i] / rates[theirs_i]));
        let word = if ratio >= bar { "holds" } else { "FAILS" };
        println!("bar: {ours} is {ratio:.2} x {theirs}, at least {bar:.2} wanted: {word}");
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs the two sides on their cores; each gets the number of messages and returns when they are through.
fn race(
    cores: &Cores,
    messages: u64,
    produce: impl FnOnce(u64) + Send,
    consume: impl FnOnce(u64) + Send,
) -> Result<f64, Box<dyn Error>> {
    let (start, &Cores { from, to }) = (Barrier::new(2), cores);
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let pinned = cpu::pin(from);
            start.wait();
            produce(messages);
            pinned
        });
        let consumer = scope.spawn(|| {
            let pinned = cpu::pin(to);
            start.wait();
            let begin = Instant::now();
            consume(messages);
            let seconds = begin.elapsed().as_secs_f64();
            pinned.map(|()| seconds)
        });
        producer.join().map_err(|_| "the producer panicked")??;
        Ok(consumer.join().map_err(|_| "the consumer panicked")??)
    })
}

fn payload(n: u64) -> Payload {
    std::array::from_fn(|i| n + i as u64)
}

/// Whether these are the words of message `n`, compared one by one, as who decodes them would: comparing arrays whole
/// reads words in groups of four just after they were written one by one, which stalls the processor.
#[inline(always)]
fn same(words: &[u64], n: u64) -> bool {
    let mut differ = 0;
    for (i, word) in words.iter().enumerate() {
        differ |= word ^ (n + i as u64);
    }
    differ == 0
}

fn record(n: u64) -> Record {
    std::array::from_fn(|i| n + i as u64)
}

fn slots_one(cores: &Cores, messages: u64) -> Result<f64, Box<dyn Error>> {
    let (mut tx, mut rx) = rings::ring("rate", CAPACITY)?;
    let produce = |messages| {
        for n in 0..messages {
            while tx.push(payload(n)).is_err() {
                spin_loop();
            }
        }
    };
    let consume = |messages| {
        for n in 0..messages {
            let got = loop {
                if let Some(got) = rx.pop() {
                    break got;
                }
                spin_loop();
            };
            assert!(got.0 == n && same(&got.1, n));
        }
    };
    race(cores, messages, produce, consume)
}

/// Numbers of the next run's first message and one past its last.
fn run_at(n: u64, messages: u64) -> std::ops::Range<u64> {
    n..messages.min(n + RUN as u64)
}

fn slots_run(cores: &Cores, messages: u64) -> Result<f64, Box<dyn Error>> {
    let (mut tx, mut rx) = rings::ring("rate", CAPACITY)?;
    let produce = |messages| {
        let (mut n, mut run) = (0, [Payload::default(); RUN]);
        while n < messages {
            let seqs = run_at(n, messages);
            let count = (seqs.end - n) as usize;
            run.iter_mut().zip(seqs.clone()).for_each(|(slot, n)| *slot = payload(n));
            while tx.push_run(&run[..count]).is_err() {
                spin_loop();
            }
            n = seqs.end;
        }
    };
    let consume = |messages| {
        let mut n = 0;
        while n < messages {
            let got = rx.poll(TAKE, |seq, found| {
                assert!(seq == n && same(found, n));
                n += 1;
            });
            if got == 0 {
                spin_loop();
            }
        }
    };
    race(cores, messages, produce, consume)
}

fn slots_claim(cores: &Cores, messages: u64) -> Result<f64, Box<dyn Error>> {
    let (mut tx, mut rx) = rings::ring("rate", CAPACITY)?;
    let produce = |messages| {
        let mut n = 0;
        while n < messages {
            let seqs = run_at(n, messages);
            let Ok(mut claim) = tx.claim((seqs.end - n) as usize) else {
                spin_loop();
                continue;
            };
            seqs.for_each(|n| assert!(claim.put(&payload(n)).is_ok()));
            n += claim.commit() as u64;
        }
    };
    let consume = |messages| {
        let mut n = 0;
        while n < messages {
            let mut batch = rx.batch(TAKE);
            for (seq, found) in &mut batch {
                assert!(seq == n && same(&found, n));
                n += 1;
            }
            if batch.release() == 0 {
                spin_loop();
            }
        }
    };
    race(cores, messages, produce, consume)
}

fn bulk_one(cores: &Cores, messages: u64) -> Result<f64, Box<dyn Error>> {
    let (mut tx, mut rx) = rings::bulk_ring("rate", CAPACITY)?;
    let produce = |messages| {
        for n in 0..messages {
            while tx.push(&record(n)).is_err() {
                spin_loop();
            }
        }
    };
    let consume = |messages| {
        for n in 0..messages {
            let got = loop {
                if let Some(got) = rx.pop() {
                    break got;
                }
                spin_loop();
            };
            assert!(got.0 == n && same(&got.1, n));
        }
    };
    race(cores, messages, produce, consume)
}

fn bulk_run(cores: &Cores, messages: u64) -> Result<f64, Box<dyn Error>> {
    let (mut tx, mut rx) = rings::bulk_ring("rate", CAPACITY)?;
    let produce = |messages| {
        let mut n = 0;
        while n < messages {
            let seqs = run_at(n, messages);
            while tx.push_with((seqs.end - n) as usize, record).is_err() {
                spin_loop();
            }
            n = seqs.end;
        }
    };
    let consume = |messages| {
        let mut n = 0;
        while n < messages {
            let got = rx.poll(TAKE, |seq, found| {
                assert!(seq == n && same(found, n));
                n += 1;
            });
            if got == 0 {
                spin_loop();
            }
        }
    };
    race(cores, messages, produce, consume)
}

fn rtrb_one(cores: &Cores, messages: u64) -> Result<f64, Box<dyn Error>> {
    let (mut tx, mut rx) = rtrb::RingBuffer::new(CAPACITY);
    let produce = |messages| {
        for n in 0..messages {
            while tx.push(Line(record(n))).is_err() {
                spin_loop();
            }
        }
    };
    let consume = |messages| {
        for n in 0..messages {
            let got = loop {
                if let Ok(Line(got)) = rx.pop() {
                    break got;
                }
                spin_loop();
            };
            assert!(same(&got, n));
        }
    };
    race(cores, messages, produce, consume)
}

fn rtrb_run(cores: &Cores, messages: u64) -> Result<f64, Box<dyn Error>> {
    let (mut tx, mut rx) = rtrb::RingBuffer::new(CAPACITY);
    let produce = |messages| {
        let mut n = 0;
        while n < messages {
            let seqs = run_at(n, messages);
            let Ok(chunk) = tx.write_chunk_uninit((seqs.end - n) as usize) else {
                spin_loop();
                continue;
            };
            n += chunk.fill_from_iter(seqs.map(|n| Line(record(n)))) as u64;
        }
    };
    let consume = |messages| {
        let mut n = 0;
        while n < messages {
            let there = rx.slots().min(TAKE);
            let Ok(chunk) = rx.read_chunk(there) else { continue };
            if there == 0 {
                spin_loop();
            }
            for Line(found) in chunk {
                assert!(same(&found, n));
                n += 1;
            }
        }
    };
    race(cores, messages, produce, consume)
}
