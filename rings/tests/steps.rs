//! Death at every instruction: a child is single-stepped through each operation of a ring and killed after 0, 1, 2, ...
//! instructions until it gets to the end of it. After each death the other side is asked: nothing committed is lost,
//! nothing comes twice, nothing hangs, the lock tells at once, and a successor goes on.
//!
//! The child is a fork that attaches, stops itself, and does one operation. It inherits the descriptors of this process
//! and with them the lock of the end held here, which is not the one it dies with; so all runs in one test, alone in
//! its binary.
//!
//! `CORELANE_STEPS=all` stops at every instruction of attaching and every 97th of founding, which are long and mostly the
//! kernel's; the default takes a few of them.
#![cfg(all(target_os = "linux", not(any(loom, miri))))]

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use rings::{
    Access, BulkConsumer, BulkProducer, Consumer, Ident, Payload, Producer, Record, Role, Segment,
    bulk_ring_segment, ring_segment,
};

const CAPACITY: u64 = 4;

/// What a child does while it is stepped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Push,
    PushRun,
    Claim,
    AttachProducer,
    Pop,
    PeekRelease,
    Poll,
    Batch,
    AttachConsumer,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Killed at work.
    Killed,
    /// It got to the end before.
    Through,
}

fn words<const N: usize>(n: u64) -> [u64; N] {
    std::array::from_fn(|i| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i as u64)
}

/// A system call that must not fail.
macro_rules! sys {
    ($call:expr) => {{
        // SAFETY: numbers and pointers to locals only; the children touched are ours.
        let rc = unsafe { $call };
        assert!(rc != -1, "{}: {}", stringify!($call), std::io::Error::last_os_error());
        rc
    }};
}

/// Forks a child that calls `prepare`, stops, calls `act` on what that gave, and stops again; lets it do `steps`
/// instructions after the first stop and kills it.
fn killed_after<T>(steps: u64, prepare: impl FnOnce() -> T, act: impl FnOnce(&mut T)) -> End {
    let child = sys!(libc::fork());
    if child == 0 {
        let work = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut prepared = prepare();
            sys!(libc::ptrace(libc::PTRACE_TRACEME, 0, null_mut::<u8>(), null_mut::<u8>()));
            sys!(libc::raise(libc::SIGSTOP));
            act(&mut prepared);
            sys!(libc::raise(libc::SIGSTOP));
            // Killed here: nothing is dropped.
            std::process::abort();
        }));
        // SAFETY: ends this process without running anything of the parent's.
        unsafe { libc::_exit(if work.is_ok() { 0 } else { 101 }) };
    }
    let wait = || {
        let mut status = 0;
        sys!(libc::waitpid(child, &raw mut status, libc::__WALL));
        assert!(libc::WIFSTOPPED(status), "the child ended by itself: status {status:#x}");
        libc::WSTOPSIG(status)
    };
    assert_eq!(wait(), libc::SIGSTOP, "it has prepared");
    let mut end = End::Killed;
    for _ in 0..steps {
        sys!(libc::ptrace(libc::PTRACE_SINGLESTEP, child, null_mut::<u8>(), null_mut::<u8>()));
        match wait() {
            libc::SIGTRAP => {}
            libc::SIGSTOP => {
                end = End::Through;
                break;
            }
            other => panic!("signal {other}"),
        }
    }
    sys!(libc::kill(child, libc::SIGKILL));
    let mut status = 0;
    sys!(libc::waitpid(child, &raw mut status, libc::__WALL));
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL, "{status:#x}");
    end
}

/// Calls `round` with 0, `stride`, 2 `stride`, ... instructions until the child gets through; returns how many it took.
fn every(what: &str, stride: u64, mut round: impl FnMut(u64) -> End) {
    let begin = Instant::now();
    let (mut steps, mut deaths) = (0, 0);
    while round(steps) == End::Killed {
        assert!(begin.elapsed() < Duration::from_secs(600), "{what}: no end after {steps} steps");
        steps += stride;
        deaths += 1;
    }
    assert!(steps > 20, "{what}: {steps} instructions cannot be all");
    println!(
        "{what:>30}: {deaths:>6} deaths, of {steps} instructions, {:.1} s",
        begin.elapsed().as_secs_f64()
    );
}

/// What the two forms have in common here.
trait Form {
    type Tx;
    type Rx;
    type Item: PartialEq + std::fmt::Debug;
    const NAME: &str;
    fn segment() -> Segment;
    fn producer(segment: &Segment) -> Self::Tx;
    fn consumer(segment: &Segment) -> Self::Rx;
    fn item(n: u64) -> Self::Item;
    fn push(tx: &mut Self::Tx, n: u64);
    fn pop(rx: &mut Self::Rx) -> Option<(u64, Self::Item)>;
    fn next_in(tx: &Self::Tx) -> u64;
    fn next_out(rx: &Self::Rx) -> u64;
    fn producer_alive(rx: &Self::Rx) -> bool;
    fn consumer_alive(tx: &Self::Tx) -> bool;
    fn epochs(tx: &Self::Tx, rx: &Self::Rx) -> (u64, u64);
    /// Does `step` with the end it is for.
    fn produce(tx: &mut Self::Tx, step: Step, next: u64);
    fn consume(rx: &mut Self::Rx, step: Step);
}

struct Slots;
struct Bulk;

macro_rules! form {
    ($form:ty, $name:literal, $tx:ty, $rx:ty, $item:ty, $segment:expr, $push:expr, $produce:expr, $consume:expr) => {
        impl Form for $form {
            type Tx = $tx;
            type Rx = $rx;
            type Item = $item;
            const NAME: &str = $name;
            fn segment() -> Segment {
                $segment("steps", CAPACITY as usize).unwrap()
            }
            fn producer(segment: &Segment) -> $tx {
                <$tx>::attach(segment).unwrap()
            }
            fn consumer(segment: &Segment) -> $rx {
                <$rx>::attach(segment).unwrap()
            }
            fn item(n: u64) -> $item {
                words(n)
            }
            fn push(tx: &mut $tx, n: u64) {
                $push(tx, &words(n));
            }
            fn pop(rx: &mut $rx) -> Option<(u64, $item)> {
                rx.pop()
            }
            fn next_in(tx: &$tx) -> u64 {
                tx.next_seq()
            }
            fn next_out(rx: &$rx) -> u64 {
                rx.next_seq()
            }
            fn producer_alive(rx: &$rx) -> bool {
                rx.producer_alive()
            }
            fn consumer_alive(tx: &$tx) -> bool {
                tx.consumer_alive()
            }
            fn epochs(tx: &$tx, rx: &$rx) -> (u64, u64) {
                assert_eq!((tx.epoch(), rx.epoch()), (rx.producer_epoch(), tx.consumer_epoch()));
                (tx.epoch(), rx.epoch())
            }
            fn produce(tx: &mut $tx, step: Step, next: u64) {
                $produce(tx, step, next)
            }
            fn consume(rx: &mut $rx, step: Step) {
                $consume(rx, step)
            }
        }
    };
}

/// Messages of a run.
const RUN: u64 = 3;

form!(
    Slots,
    "slots",
    Producer,
    Consumer,
    Payload,
    ring_segment,
    |tx: &mut Producer, message: &Payload| tx.push(*message).unwrap(),
    |tx: &mut Producer, step, next| match step {
        Step::Push => tx.push(words(next)).unwrap(),
        Step::PushRun => tx.push_run(&[words(next), words(next + 1), words(next + 2)]).unwrap(),
        _ => {
            let mut claim = tx.claim(RUN as usize).unwrap();
            for n in next..next + RUN {
                claim.put(&words(n)).unwrap();
            }
            claim.commit();
        }
    },
    |rx: &mut Consumer, step| match step {
        Step::Pop => _ = rx.pop(),
        Step::PeekRelease => {
            rx.peek();
            rx.release();
        }
        Step::Poll => _ = rx.poll(RUN as usize, |_, _| ()),
        _ => {
            let mut batch = rx.batch(RUN as usize);
            while batch.next().is_some() {}
            batch.release();
        }
    }
);

form!(
    Bulk,
    "bulk",
    BulkProducer,
    BulkConsumer,
    Record,
    bulk_ring_segment,
    |tx: &mut BulkProducer, record: &Record| tx.push(record).unwrap(),
    |tx: &mut BulkProducer, step, next| match step {
        Step::Push => tx.push(&words(next)).unwrap(),
        Step::PushRun => tx.push_run(&[words(next), words(next + 1), words(next + 2)]).unwrap(),
        _ => tx.push_with(RUN as usize, words).unwrap(),
    },
    |rx: &mut BulkConsumer, step| match step {
        Step::Pop | Step::PeekRelease => _ = rx.pop(),
        _ => _ = rx.poll(RUN as usize, |_, _| ()),
    }
);

/// Kills the producer at every instruction of `step`.
fn producer_dies<F: Form>(step: Step, run: u64, stride: u64) {
    let segment = F::segment();
    let mut rx = F::consumer(&segment);
    // A part of a lap ahead, so that a run crosses the end of the slots.
    let mut next = 2;
    let mut tx = F::producer(&segment);
    (0..next).for_each(|n| F::push(&mut tx, n));
    (0..next).for_each(|n| assert_eq!(F::pop(&mut rx), Some((n, F::item(n)))));
    let mut epoch = F::epochs(&tx, &rx).0;
    drop(tx);
    every(&format!("{}, producer, {step:?}", F::NAME), stride, |steps| {
        let end = if step == Step::AttachProducer {
            killed_after(steps, || None, |tx| *tx = Some(F::producer(&segment)))
        } else {
            killed_after(steps, || F::producer(&segment), |tx| F::produce(tx, step, next))
        };
        assert!(!F::producer_alive(&rx) && !segment.role_held(Role::Producer), "its death is seen at once");
        let committed = next;
        while let Some(got) = F::pop(&mut rx) {
            assert_eq!(got, (next, F::item(next)), "{steps} steps");
            next += 1;
        }
        assert!(
            next == committed || next == committed + run,
            "{steps} steps: {} of a run of {run}",
            next - committed
        );
        assert!(end == End::Killed || next == committed + run, "what was committed is here");
        // Who follows goes on, and the slots bear no trace of the dead.
        let mut tx = F::producer(&segment);
        assert_eq!(F::next_in(&tx), next, "{steps} steps");
        let (now, _) = F::epochs(&tx, &rx);
        assert!((epoch + 1..=epoch + 2).contains(&now), "{epoch} then {now}");
        epoch = now;
        for _ in 0..2 * CAPACITY + 1 {
            F::push(&mut tx, next);
            assert_eq!(F::pop(&mut rx), Some((next, F::item(next))));
            assert_eq!(F::pop(&mut rx), None);
            next += 1;
        }
        end
    });
}

/// Kills the consumer at every instruction of `step`.
fn consumer_dies<F: Form>(step: Step, run: u64, stride: u64) {
    let segment = F::segment();
    let mut tx = F::producer(&segment);
    let (mut sent, mut next) = (0, 0);
    every(&format!("{}, consumer, {step:?}", F::NAME), stride, |steps| {
        while sent - next < CAPACITY {
            F::push(&mut tx, sent);
            sent += 1;
        }
        let end = if step == Step::AttachConsumer {
            killed_after(steps, || None, |rx| *rx = Some(F::consumer(&segment)))
        } else {
            killed_after(steps, || F::consumer(&segment), |rx| F::consume(rx, step))
        };
        assert!(!F::consumer_alive(&tx) && !segment.role_held(Role::Consumer), "its death is seen at once");
        // All or nothing of what it took is released; the rest is here, in order.
        let mut rx = F::consumer(&segment);
        let position = F::next_out(&rx);
        assert!(position == next || position == next + run, "{steps} steps: {next} then {position}");
        assert!(end == End::Killed || position == next + run, "what was released is gone");
        next = position;
        let rest = (sent - next).min(2 + steps % 2);
        for _ in 0..rest {
            assert_eq!(F::pop(&mut rx), Some((next, F::item(next))), "{steps} steps");
            next += 1;
        }
        end
    });
}

/// Kills who founds a named segment at every instruction: the next founds it, and nothing lies beside it.
fn creator_dies(stride: u64) {
    let dir = std::path::Path::new("/dev/shm").join(format!("corelane-steps-{}", std::process::id()));
    let path = dir.join("stats");
    let mut epoch = 0;
    every("named, creator", stride, |steps| {
        let create = || Segment::create_file(&path, &Ident::default(), 64).unwrap();
        let end = killed_after(steps, || None, |made| *made = Some(create()));
        let left = Segment::open_file(&path, &Ident::default(), Access::ReadOnly);
        assert!(left.as_ref().map_or(true, |left| !left.owner_alive()), "its death is seen at once");
        let next = create();
        let now = next.header().epoch;
        assert!((epoch + 1..=epoch + 2).contains(&now), "{epoch} then {now}, {steps} steps");
        epoch = now;
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "{steps} steps");
        end
    });
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn death_at_every_instruction_is_repaired() {
    let all = std::env::var("CORELANE_STEPS").is_ok_and(|v| v == "all");
    let (attach, create) = if all { (1, 97) } else { (197, 2_003) };
    producer_dies::<Slots>(Step::Push, 1, 1);
    producer_dies::<Slots>(Step::PushRun, RUN, 1);
    producer_dies::<Slots>(Step::Claim, RUN, 1);
    producer_dies::<Slots>(Step::AttachProducer, 0, attach);
    consumer_dies::<Slots>(Step::Pop, 1, 1);
    consumer_dies::<Slots>(Step::PeekRelease, 1, 1);
    consumer_dies::<Slots>(Step::Poll, RUN, 1);
    consumer_dies::<Slots>(Step::Batch, RUN, 1);
    consumer_dies::<Slots>(Step::AttachConsumer, 0, attach);
    producer_dies::<Bulk>(Step::Push, 1, 1);
    producer_dies::<Bulk>(Step::PushRun, RUN, 1);
    consumer_dies::<Bulk>(Step::Pop, 1, 1);
    consumer_dies::<Bulk>(Step::Poll, RUN, 1);
    creator_dies(create);
}
