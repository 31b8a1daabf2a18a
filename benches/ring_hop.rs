//! How long does one message take from one core to another through our ring?
//!
//! **Timed**: a closed loop of two pinned threads. One pushes a message, the other pops it and pushes it back through
//! a second ring; the first stamps each return. A sample is half a round trip, so it holds push, the way of the cache
//! line, pop, every word of the message read and compared, and half a clock read (about 5 ns, the same for all).
//! Three candidates run by turns within each repetition, all spinning with `spin_loop` on an empty poll:
//! * `rings`, the slot ring in a memfd: 56 bytes and their number in one line;
//! * `rtrb`, the reference: 64 bytes in an aligned slot, on the heap;
//! * the bare cache line (`agent::probe`): what the machine allows this very second.
//!
//! **Not timed**: throughput, batches, waiting behind a queue (nothing queues in a closed loop), the first touch of
//! the memory. The probe stands before and after each repetition; where the two differ by more than a quarter the host
//! moved a core meanwhile and the repetition is dropped, and said to be. Tails are the machine's interrupts as much as
//! the ring: read p99 beside the probe's.
//!
//! **A regression means** that a hop now moves or waits for more than one line. Absolute figures change with the host
//! (near 50-65 ns, far about 230, hyperthreads about 35 on the machine this was written on), so two ratios are judged,
//! as medians over repetitions: at most the probe + 25 ns (in the far regime at most 1.25 x the probe), and at
//! least a quarter under rtrb. The usual causes: a second shared line touched per message (the position read while
//! there is room, an end's state sharing a line with the other's), the sequence no longer in the payload's line, or
//! a lock-prefixed store.
//!
//! `cargo bench --bench ring_hop` measures; without `--bench` (as under `cargo test`) one short repetition runs, to
//! keep this file from rotting, and judges nothing.

mod protocol;

use std::error::Error;
use std::hint::spin_loop;

use agent::{Clock, cpu, probe};
use hdrhistogram::Histogram;
use rings::{Consumer, Payload, Producer};

/// Slots of every ring: what a pipeline would use.
const CAPACITY: usize = 1024;

/// Nanoseconds over the probe a hop may take, with both cores near.
const OVER_PROBE_NS: f64 = 25.0;

/// Times the probe a hop may take, with the cores far apart.
const OVER_PROBE_FAR: f64 = 1.25;

/// Times rtrb's hop ours may take.
const OVER_RTRB: f64 = 0.75;

/// A probe above this is of cores far apart, ns.
const FAR_NS: f64 = 100.0;

/// Relative difference of two probes above which the host moved a core in between.
const MOVED: f64 = 0.25;

/// A message of the reference, given the alignment ours has by design.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; 8]);

/// How much is measured.
struct Plan {
    repetitions: usize,
    warm_up: u64,
    round_trips: u64,
    probe_rounds: usize,
}

const FULL: Plan = Plan { repetitions: 11, warm_up: 20_000, round_trips: 100_000, probe_rounds: 20_000 };
/// One of the many processes of a latency gate.
const GATED: Plan = Plan { repetitions: 1, warm_up: 5_000, round_trips: 40_000, probe_rounds: 0 };
const SMOKE: Plan = Plan { repetitions: 1, warm_up: 10, round_trips: 200, probe_rounds: 200 };

/// One-way times of one candidate in one repetition, ns.
#[derive(Clone, Copy)]
struct Hop {
    p50: f64,
    p99: f64,
}

impl Hop {
    fn of(round_trips: &Histogram<u64>) -> Hop {
        let one_way = |quantile| round_trips.value_at_quantile(quantile) as f64 / 2.0;
        Hop { p50: one_way(0.5), p99: one_way(0.99) }
    }
}

/// One repetition between two probes.
struct Repetition {
    probe_ns: f64,
    probe_p99_ns: f64,
    ours: Hop,
    rtrb: Hop,
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(session) = protocol::Session::asked("ring_hop")? {
        return speak(session);
    }
    let measure = std::env::args().any(|arg| arg == "--bench");
    let plan = if measure { FULL } else { SMOKE };
    let cores = cpu::allowed_cores();
    let (Some(&a), Some(&b)) = (cores.first(), cores.last()) else { return Err("no core to run on".into()) };
    if a == b {
        println!("skipped: a hop needs two cores, this process may use core {a} only");
        return Ok(());
    }
    let clock = Clock::live();
    describe_host(&clock);

    let mut kept = Vec::new();
    let mut moved = 0;
    let mut before = probe::cache_line_ns(a, b, plan.probe_rounds)?;
    for turn in 0..plan.repetitions {
        // By turns, so that neither always runs on the warmer machine.
        let (ours, rtrb) = if turn % 2 == 0 {
            let ours = Hop::of(&round_trips_ours(a, b, &plan, &clock)?);
            (ours, hop_rtrb(a, b, &plan, &clock)?)
        } else {
            let rtrb = hop_rtrb(a, b, &plan, &clock)?;
            (Hop::of(&round_trips_ours(a, b, &plan, &clock)?), rtrb)
        };
        let after = probe::cache_line_ns(a, b, plan.probe_rounds)?;
        let probe_ns = (before.p50_ns + after.p50_ns) / 2.0;
        let steady = (before.p50_ns - after.p50_ns).abs() <= MOVED * before.p50_ns.min(after.p50_ns);
        println!(
            "{turn:>2}  probe {:>5.0} -> {:>5.0}   rings p50 {:>5.0} p99 {:>6.0}   rtrb p50 {:>5.0} p99 {:>6.0}{}",
            before.p50_ns,
            after.p50_ns,
            ours.p50,
            ours.p99,
            rtrb.p50,
            rtrb.p99,
            if steady { "" } else { "   dropped: the host moved a core" }
        );
        if steady {
            kept.push(Repetition { probe_ns, probe_p99_ns: after.p99_ns, ours, rtrb });
        } else {
            moved += 1;
        }
        before = after;
    }
    summarise(&kept, moved, measure);
    Ok(())
}

/// The rows of the latency gate: the hop, and a message's push and pop counted on one thread.
fn speak(mut session: protocol::Session) -> Result<(), Box<dyn Error>> {
    if session.is_time() {
        let cores = cpu::allowed_cores();
        let (Some(&a), Some(&b)) = (cores.first(), cores.last()) else {
            return Err("no core to run on".into());
        };
        // On one core there is no hop, so there is no row.
        if a != b {
            session.span("hop", 2, &round_trips_ours(a, b, &GATED, &Clock::live())?);
        }
    } else {
        session.work("push_pop", 2 * CAPACITY, 2 * CAPACITY, |_| {
            let (mut tx, mut rx) = rings::ring("hop-counted", CAPACITY).map_err(|e| e.to_string())?;
            Ok::<_, String>(move |n: usize| {
                protocol::hot(|| {
                    push_ours(&mut tx, n as u64);
                    pop_ours(&mut rx)
                });
                Ok(())
            })
        })?;
    }
    session.end();
    Ok(())
}

/// Median and extremes over the repetitions kept, and the two ratios.
fn summarise(kept: &[Repetition], moved: usize, judge: bool) {
    println!("\n{} repetitions kept, {moved} dropped; one way, ns: median [lowest-highest]", kept.len());
    if kept.is_empty() {
        println!("nothing to judge: the host never stood still for a repetition; run again");
        return;
    }
    let row = |name: &str, p50: &dyn Fn(&Repetition) -> f64, p99: &dyn Fn(&Repetition) -> f64| {
        println!("{name:>8}  p50 {}   p99 {}", spread(kept, p50), spread(kept, p99));
    };
    row("probe", &|r| r.probe_ns, &|r| r.probe_p99_ns);
    row("rings", &|r| r.ours.p50, &|r| r.ours.p99);
    row("rtrb", &|r| r.rtrb.p50, &|r| r.rtrb.p99);
    if !judge {
        return;
    }
    // Each repetition is judged against its own probe and its own rtrb; the bar holds when the median does.
    let over_probe = median(kept, &|r| r.ours.p50 / allowed_ns(r.probe_ns));
    let over_rtrb = median(kept, &|r| r.ours.p50 / r.rtrb.p50);
    verdict("of what the probe allows", over_probe, 1.0);
    verdict("of rtrb", over_rtrb, OVER_RTRB);
}

/// The longest hop the bar allows beside a probe, ns.
fn allowed_ns(probe_ns: f64) -> f64 {
    if probe_ns > FAR_NS { OVER_PROBE_FAR * probe_ns } else { probe_ns + OVER_PROBE_NS }
}

fn verdict(what: &str, ratio: f64, bar: f64) {
    let word = if ratio <= bar { "holds" } else { "FAILS" };
    println!("bar: rings p50 is {ratio:.2} {what}, at most {bar:.2} wanted: {word}");
}

fn spread(kept: &[Repetition], of: &dyn Fn(&Repetition) -> f64) -> String {
    let lowest = kept.iter().map(of).fold(f64::INFINITY, f64::min);
    let highest = kept.iter().map(of).fold(0.0, f64::max);
    format!("{:>5.0} [{lowest:.0}-{highest:.0}]", median(kept, of))
}

fn median(kept: &[Repetition], of: &dyn Fn(&Repetition) -> f64) -> f64 {
    let mut values: Vec<f64> = kept.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn message(n: u64) -> Payload {
    [n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6]
}

fn round_trips_ours(
    a: usize,
    b: usize,
    plan: &Plan,
    clock: &Clock,
) -> Result<Histogram<u64>, Box<dyn Error>> {
    let (out, inn) = rings::ring("hop-there", CAPACITY)?;
    let (back_out, back_in) = rings::ring("hop-back", CAPACITY)?;
    ping_pong(a, b, plan, clock, (out, back_in), (back_out, inn), push_ours, pop_ours)
}

fn push_ours(tx: &mut Producer, n: u64) {
    while tx.push(message(n)).is_err() {
        spin_loop();
    }
}

fn pop_ours(rx: &mut Consumer) -> u64 {
    loop {
        if let Some((seq, payload)) = rx.pop() {
            assert_eq!(payload, message(seq));
            return seq;
        }
        spin_loop();
    }
}

fn hop_rtrb(a: usize, b: usize, plan: &Plan, clock: &Clock) -> Result<Hop, Box<dyn Error>> {
    let (out, inn) = rtrb::RingBuffer::new(CAPACITY);
    let (back_out, back_in) = rtrb::RingBuffer::new(CAPACITY);
    let round_trips = ping_pong(a, b, plan, clock, (out, back_in), (back_out, inn), push_rtrb, pop_rtrb)?;
    Ok(Hop::of(&round_trips))
}

fn push_rtrb(tx: &mut rtrb::Producer<Line>, n: u64) {
    let [p0, p1, p2, p3, p4, p5, p6] = message(n);
    while tx.push(Line([p0, p1, p2, p3, p4, p5, p6, n])).is_err() {
        spin_loop();
    }
}

fn pop_rtrb(rx: &mut rtrb::Consumer<Line>) -> u64 {
    loop {
        if let Ok(Line([payload @ .., seq])) = rx.pop() {
            assert_eq!(payload, message(seq));
            return seq;
        }
        spin_loop();
    }
}

/// Round trips between a thread on core `a` and one on core `b`, each with a sending and a receiving end.
#[expect(clippy::too_many_arguments, reason = "two cores, two threads, two ways to move a message")]
fn ping_pong<Tx: Send, Rx: Send>(
    a: usize,
    b: usize,
    plan: &Plan,
    clock: &Clock,
    (mut there, mut back): (Tx, Rx),
    (mut reply, mut hear): (Tx, Rx),
    push: fn(&mut Tx, u64),
    pop: fn(&mut Rx) -> u64,
) -> Result<Histogram<u64>, Box<dyn Error>> {
    let total = plan.warm_up + plan.round_trips;
    std::thread::scope(|scope| {
        let echo = scope.spawn(move || {
            let pinned = cpu::pin(b);
            for _ in 0..total {
                let n = pop(&mut hear);
                push(&mut reply, n);
            }
            pinned
        });
        let timer = scope.spawn(move || {
            let pinned = cpu::pin(a);
            let mut round_trips = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3)?;
            let mut last = clock.now().0;
            for n in 0..total {
                push(&mut there, n);
                assert_eq!(pop(&mut back), n);
                let now = clock.now().0;
                if n >= plan.warm_up {
                    round_trips.saturating_record(now.saturating_sub(last).max(1));
                }
                last = now;
            }
            pinned?;
            Ok::<_, Box<dyn Error + Send + Sync>>(round_trips)
        });
        let round_trips = timer.join().map_err(|_| "the timing thread panicked")?;
        echo.join().map_err(|_| "the echoing thread panicked")??;
        round_trips
    })
    .map_err(|e| e as Box<dyn Error>)
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
