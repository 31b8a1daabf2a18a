//! What does a look at a board cost, and what do lookers cost its writer?
//!
//! **Timed**: three things, each with a board of a top of book (5 words) in a segment and its reader on a read-only
//! mapping of it:
//! * `read`, alone: batches of 1,000 reads on one core, nothing written meanwhile; bar 20 ns a read.
//! * `publish`, alone and watched: a pinned writer publishes a million values a second for a while and the time inside
//!   `publish` is summed, in batches so that the clock does not count; on the other core nobody, or a reader that looks
//!   1,000 times a second. By turns; bar: watched costs at most 1 % of the writer's time more, that is 10 ns a value.
//!
//! **Not timed**: a reader that polls as fast as it can, which costs the writer a line a look.
//!
//! **A regression means** that the value no longer lies within its lines, or that a reader writes to them.
//!
//! `cargo bench --bench board` measures; without `--bench` one short repetition runs and judges nothing.

use std::error::Error;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::cpu;
use rings::{Access, BOARD, BoardReader, BoardWriter, Segment, board_words};

/// Words of the value: bid and ask, their sizes, a time.
const WORDS: usize = 5;

/// Longest a read may take, ns.
const READ_NS: f64 = 20.0;

/// Share of its time that the reader may cost the writer.
const WATCHED: f64 = 0.01;

/// Values a second.
const RATE: u64 = 1_000_000;

/// Values between two looks at the clock: all of a batch are published, then the rest of its time is waited for.
const BATCH: u64 = 10;

/// Looks a second.
const LOOKS: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let measure = std::env::args().any(|arg| arg == "--bench");
    let (repetitions, span) = if measure { (11, 500) } else { (1, 5) };
    let span = Duration::from_millis(span);
    let cores = cpu::allowed_cores();
    let (Some(&near), Some(&far)) = (cores.first(), cores.last()) else { return Err("no core".into()) };
    let segment = Segment::memfd_as("board", &BOARD, board_words(WORDS) * 8)?;
    let mut writer = BoardWriter::<WORDS>::attach(&segment)?;
    let watch = Segment::from_fd(segment.fd().try_clone_to_owned()?, &BOARD, Access::ReadOnly)?;
    let reader = BoardReader::<WORDS>::attach(&watch)?;

    let read_ns = median((0..repetitions).map(|_| read_ns(&reader)));
    println!("read, uncontended: {read_ns:.1} ns");
    if near == far {
        println!("skipped: watching needs two cores, this process may use core {near} only");
        return Ok(());
    }
    let (mut alone, mut watched) = (Vec::new(), Vec::new());
    for turn in 0..repetitions * 2 {
        let looks = if turn % 2 == 0 { 0 } else { LOOKS };
        let (ns, values, seen) = publish_ns(&mut writer, &reader, (near, far), span, looks)?;
        let name = if looks == 0 { "alone" } else { "watched" };
        println!("publish, {name:>7}: {ns:>5.2} ns a value, {values} values, {seen} looks");
        if looks == 0 { &mut alone } else { &mut watched }.push(ns);
    }
    let (alone, watched) = (median(alone.into_iter()), median(watched.into_iter()));
    let share = (watched - alone) * RATE as f64 / 1e9;
    println!(
        "medians: alone {alone:.2}, watched {watched:.2} ns: {:.3} % of the writer's time",
        share * 100.0
    );
    if measure {
        verdict("a read, ns", read_ns, READ_NS);
        verdict("what watching costs, share of the writer's time", share, WATCHED);
    }
    Ok(())
}

fn verdict(what: &str, found: f64, bar: f64) {
    println!(
        "bar: {what}: {found:.4}, at most {bar} wanted: {}",
        if found <= bar { "holds" } else { "FAILS" }
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One read, from the fastest of many batches: what is slower is the machine's.
fn read_ns(reader: &BoardReader<WORDS>) -> f64 {
    let batch = || {
        let begin = Instant::now();
        (0..1000).for_each(|_| _ = black_box(black_box(reader).read()));
        begin.elapsed().as_nanos() as f64 / 1000.0
    };
    median((0..101).map(|_| batch()))
}

/// Publishes at the rate for `span` and returns the mean time inside `publish`, ns a value, how many values, and how
/// many looks there were on the other core.
fn publish_ns(
    writer: &mut BoardWriter<WORDS>,
    reader: &BoardReader<WORDS>,
    (near, far): (usize, usize),
    span: Duration,
    looks: u64,
) -> Result<(f64, u64, u64), Box<dyn Error>> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looker = scope.spawn(|| {
            cpu::pin(far)?;
            let (begin, mut seen) = (Instant::now(), 0);
            while !done.load(Ordering::Relaxed) {
                if looks == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                } else if begin.elapsed().as_nanos() as u64 >= seen * (1_000_000_000 / looks) {
                    let [first, .., last] = reader.read();
                    assert_eq!(first, last, "torn");
                    seen += 1;
                } else {
                    spin_loop();
                }
            }
            Ok::<u64, agent::cpu::Refused>(seen)
        });
        let publisher = scope.spawn(|| {
            cpu::pin(near)?;
            let (begin, mut values, mut spent) = (Instant::now(), 0u64, Vec::with_capacity(1 << 20));
            while begin.elapsed() < span {
                let start = Instant::now();
                for _ in 0..BATCH {
                    values += 1;
                    writer.publish([values; WORDS]);
                }
                spent.push(start.elapsed().as_nanos() as u64);
                while (begin.elapsed().as_nanos() as u64) < values * (1_000_000_000 / RATE) {
                    spin_loop();
                }
            }
            done.store(true, Ordering::Relaxed);
            // The mean counts every look; what took over 10 us was the machine's.
            spent.retain(|ns| *ns < 10_000);
            let mean = spent.iter().sum::<u64>() as f64 / (spent.len().max(1) as u64 * BATCH) as f64;
            Ok::<_, agent::cpu::Refused>((mean, values))
        });
        let (ns, values) = publisher.join().map_err(|_| "the writer panicked")??;
        Ok((ns, values, looker.join().map_err(|_| "the reader panicked")??))
    })
}
