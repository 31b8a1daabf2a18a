//! The loops of both sides. Every candidate goes through the same ones, with the same wait on an empty or full end.

use std::fs;
use std::hint::{black_box, spin_loop};
use std::time::{Duration, Instant};

use agent::Clock;

use crate::contract::{DRAIN, Failure, RUN, Rx, Tx};
use crate::record::{Record, differs};

/// Longest wait for one record: past it the other side is dead, or does not get to run.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks in vain between two looks at the time.
const LOOKS: u32 = 1 << 16;

/// Times to look at the time before patience may end: a waiting side that did not get to run itself has seen nothing.
const TIMES_MIN: u32 = 100;

/// How much is done in one repetition, and how to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Round trips, or records, before anything counts.
    pub(crate) warm_up: u64,
    /// Round trips, or records, that count.
    pub(crate) count: u64,
    /// Whether a look in vain is followed by `spin_loop`.
    pub(crate) hint: bool,
}

/// What a side was kept from running while it worked, as the scheduler tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Waited {
    /// Waiting for its core, ns.
    pub(crate) ns: u64,
    /// Of this much, ns.
    pub(crate) of_ns: u64,
}

impl Waited {
    /// As a share of the time.
    pub(crate) fn share(self) -> f64 {
        self.ns as f64 / self.of_ns.max(1) as f64
    }
}

/// How long the calling thread waits for its core from now to [`Watch::stop`].
struct Watch {
    waited_ns: u64,
    begin: Instant,
}

impl Watch {
    fn start() -> Watch {
        Watch { waited_ns: run_queue_ns(), begin: Instant::now() }
    }

    fn stop(self) -> Waited {
        let of_ns = self.begin.elapsed().as_nanos() as u64;
        Waited { ns: run_queue_ns().saturating_sub(self.waited_ns), of_ns }
    }
}

/// Time the calling thread has waited in a run queue, ns; zero where the kernel does not count.
fn run_queue_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Polls until something comes.
#[inline(always)]
fn until<T>(hint: bool, mut poll: impl FnMut() -> Option<T>) -> Result<T, Failure> {
    let mut begin = None;
    let mut times = 0;
    loop {
        for _ in 0..LOOKS {
            if let Some(value) = poll() {
                return Ok(value);
            }
            if hint {
                spin_loop();
            }
        }
        times += 1;
        if begin.get_or_insert_with(Instant::now).elapsed() > PATIENCE && times > TIMES_MIN {
            return Err("the other side does not move".into());
        }
    }
}

/// Waits until the ends say that the other side is there.
pub(crate) fn connect(mut connected: impl FnMut() -> bool) -> Result<(), Failure> {
    let begin = Instant::now();
    while !connected() {
        if begin.elapsed() > PATIENCE {
            return Err("the two sides did not find each other".into());
        }
        std::thread::yield_now();
    }
    Ok(())
}

/// Refuses a stream with a wrong bit in it.
fn whole(wrong: u64) -> Result<(), Failure> {
    if wrong == 0 { Ok(()) } else { Err(format!("records came with wrong bits: {wrong:#018x}").into()) }
}

/// The side that times: round trips in ns, in the order they happened.
pub(crate) fn ping(
    tx: &mut impl Tx,
    rx: &mut impl Rx,
    load: Load,
    clock: &Clock,
) -> Result<(Vec<u32>, Waited), Failure> {
    let mut trips = vec![0u32; load.count as usize];
    let mut wrong = 0;
    let mut last = 0;
    let mut watch = None;
    for n in 0..load.warm_up + load.count {
        if n == load.warm_up {
            watch = Some(Watch::start());
            last = clock.now().0;
        }
        let record = Record::number(n);
        until(load.hint, || tx.send(&record).then_some(()))?;
        wrong |= differs(&until(load.hint, || rx.receive())?.0, n);
        if n >= load.warm_up {
            let now = clock.now().0;
            trips[(n - load.warm_up) as usize] = u32::try_from(now.saturating_sub(last)).unwrap_or(u32::MAX);
            last = now;
        }
    }
    let waited = watch.map(Watch::stop).unwrap_or_default();
    whole(wrong)?;
    Ok((trips, waited))
}

/// The side that answers each record with itself.
pub(crate) fn echo(tx: &mut impl Tx, rx: &mut impl Rx, load: Load) -> Result<Waited, Failure> {
    let watch = Watch::start();
    let mut wrong = 0;
    for n in 0..load.warm_up + load.count {
        let record = until(load.hint, || rx.receive())?;
        wrong |= differs(&record.0, n);
        until(load.hint, || tx.send(&record).then_some(()))?;
    }
    let waited = watch.stop();
    whole(wrong)?;
    Ok(waited)
}

/// The side a stream comes from.
pub(crate) fn produce(tx: &mut impl Tx, load: Load, batched: bool) -> Result<Waited, Failure> {
    let total = load.warm_up + load.count;
    let watch = Watch::start();
    if batched {
        let mut n = 0;
        while n < total {
            let wanted = RUN.min((total - n) as usize);
            n += until(load.hint, || Some(tx.send_run(n, wanted)).filter(|&sent| sent > 0))? as u64;
        }
    } else {
        for n in 0..total {
            let record = Record::number(n);
            until(load.hint, || tx.send(&record).then_some(()))?;
        }
    }
    Ok(watch.stop())
}

/// The side a stream goes to: ns from the end of the warm-up to the last record, every word of all of them checked.
pub(crate) fn consume(rx: &mut impl Rx, load: Load, batched: bool) -> Result<(u64, Waited), Failure> {
    let total = load.warm_up + load.count;
    let (mut n, mut wrong) = (0, 0);
    let mut begun = None;
    while n < total {
        if batched {
            let mut each = |words: &[u64; 8]| {
                wrong |= differs(words, n);
                n += 1;
            };
            until(load.hint, || Some(rx.drain(DRAIN, &mut each)).filter(|&got| got > 0))?;
        } else {
            wrong |= differs(&until(load.hint, || rx.receive())?.0, n);
            n += 1;
        }
        if begun.is_none() && n >= load.warm_up {
            begun = Some((n, Watch::start()));
        }
    }
    let Some((from, watch)) = begun else { return Err("a stream without records".into()) };
    let waited = watch.stop();
    whole(black_box(wrong))?;
    // A run may have reached beyond the warm-up: time goes by the records that came after it.
    let counted = total - from;
    Ok(((waited.of_ns as f64 * load.count as f64 / counted.max(1) as f64) as u64, waited))
}
