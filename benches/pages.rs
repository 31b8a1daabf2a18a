//! What are pages of 2 MiB worth to a ring?
//!
//! Slot rings of three sizes, each in ordinary pages and in huge ones, by turns:
//! * `lap`: one core fills the ring in runs and empties it again, ns a message: every line and every page of it is met, and
//!   nothing else;
//! * `stream`: one core pushes, another pops, million messages a second.
//!
//! **Timed**: pushing and popping. **Not timed**: making the ring, whose pages are all touched when it is made.
//!
//! **A regression means** that rings no longer lie on the pages that were asked for: the memory report stands beside the
//! figures. Without pages in the host's pool (`vm.nr_hugepages`, 17 for the longest ring) the bench says so and measures
//! ordinary ones alone.
//!
//! `cargo bench --bench pages` measures; without `--bench` one short repetition runs.

use std::error::Error;
use std::hint::{black_box, spin_loop};
use std::time::Instant;

use agent::cpu;
use rings::{Consumer, Memory, Pages, Payload, Producer, RING, Segment, ring_segment_as};

/// Slots of the rings: 64 KiB, 4 MiB, 32 MiB.
const CAPACITIES: [usize; 3] = [1 << 10, 1 << 16, 1 << 19];
/// Messages of a run.
const RUN: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let measure = std::env::args().any(|arg| arg == "--bench");
    let (repetitions, messages) = if measure { (9, 4 << 20) } else { (1, 1 << 12) };
    let cores = cpu::allowed_cores();
    let (Some(&from), Some(&to)) = (cores.first(), cores.last()) else { return Err("no core".into()) };
    println!(
        "slots    pages         lap ns [lowest-highest]    stream M/s [lowest-highest]   {repetitions} by turns"
    );
    for capacity in CAPACITIES {
        let mut kept = [(); 2].map(|()| (Vec::new(), Vec::new(), None));
        for turn in 0..repetitions {
            for i in 0..2 {
                let i = (i + turn) % 2;
                let memory = Memory { huge: i == 1, ..Memory::default() };
                let segment = ring_segment_as("pages", capacity, &RING, memory)?;
                let (laps, streams, report) = &mut kept[i];
                laps.push(lap(&segment, to, messages)?);
                streams.push(stream(&segment, from, to, messages)?);
                *report = Some(segment.memory());
            }
        }
        for (laps, streams, report) in &mut kept {
            let Some(report) = report else { continue };
            if matches!(report.pages, Pages::NotHuge { .. }) {
                println!("{capacity:>6}   not measured: {report}");
                continue;
            }
            let pages = if matches!(report.pages, Pages::Huge { .. }) { "2 MiB" } else { "ordinary" };
            println!("{capacity:>6}   {pages:<8}  {:>18}   {:>26}", spread(laps), spread(streams));
        }
    }
    Ok(())
}

/// Median, lowest and highest.
fn spread(values: &mut [f64]) -> String {
    values.sort_unstable_by(f64::total_cmp);
    format!("{:.2} [{:.2}-{:.2}]", values[values.len() / 2], values[0], values[values.len() - 1])
}

fn ends(segment: &Segment) -> Result<(Producer, Consumer), Box<dyn Error>> {
    Ok((Producer::attach(segment)?, Consumer::attach(segment)?))
}

/// Fills and empties the ring until so many messages have gone through; ns a message.
fn lap(segment: &Segment, core: usize, messages: usize) -> Result<f64, Box<dyn Error>> {
    // Elsewhere is slower, not wrong.
    let _ = cpu::pin(core);
    let (mut tx, mut rx) = ends(segment)?;
    let (mut run, mut sent, mut sum) = ([[0u64; 7]; RUN], 0u64, 0u64);
    let began = Instant::now();
    while (sent as usize) < messages {
        while tx.has_room(RUN) {
            run.iter_mut().enumerate().for_each(|(i, message)| message[0] = sent + i as u64);
            tx.push_run(&run)?;
            sent += RUN as u64;
        }
        while rx.poll(tx.capacity(), |_, message: &Payload| sum = sum.wrapping_add(message[0])) > 0 {}
    }
    let ns = began.elapsed().as_nanos() as f64 / sent as f64;
    if black_box(sum) != (0..sent).sum() {
        return Err("a message was lost".into());
    }
    Ok(ns)
}

/// Million messages a second from one core to another.
fn stream(segment: &Segment, from: usize, to: usize, messages: usize) -> Result<f64, Box<dyn Error>> {
    if from == to {
        return Ok(f64::NAN);
    }
    let (mut tx, mut rx) = ends(segment)?;
    let first = tx.next_seq();
    std::thread::scope(|scope| {
        let producer = scope.spawn(move || {
            let _ = cpu::pin(from);
            for n in 0..messages as u64 {
                while tx.push([n; 7]).is_err() {
                    spin_loop();
                }
            }
        });
        let _ = cpu::pin(to);
        let (mut next, mut began) = (first, None);
        while next < first + messages as u64 {
            let Some((seq, message)) = rx.pop() else {
                spin_loop();
                continue;
            };
            began.get_or_insert_with(Instant::now);
            if seq != next || message != [next - first; 7] {
                return Err(format!("message {next} came as {seq}: {message:?}").into());
            }
            next += 1;
        }
        producer.join().map_err(|_| "the producer panicked")?;
        let seconds = began.map_or(f64::NAN, |began| began.elapsed().as_secs_f64());
        Ok(messages as f64 / seconds / 1e6)
    })
}
