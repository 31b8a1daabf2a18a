//! What a bench and the latency gate say to each other: `<bench> --gate MODE`, lines on standard output.
//!
//! ```text
//! corelane-gate 1 tick_to_order             version of these lines, name of the bench
//! span event 1 238:7 239:31 ...             row, calls a sample, then value in ns : samples with it
//! work event 500 allocations 0 calls 0      row, events, what they did; "-" = could not be counted
//! end
//! ```
//!
//! * `--gate time`: spans of one short process, on the machine's clock. The gate starts many, of two builds by turns;
//! * `--gate count`: a fixed amount of work on a clock that stands still between events, so the same in every run.
//!   What is within [`hot`] counts: heap requests by the allocator below, system calls by a seccomp filter;
//! * `--gate instructions`: the same work once more for callgrind, which collects within [`hot`]
//!   (`--toggle-collect=*protocol::hot*`) and writes a part at each [`boundary`] (`--dump-after=*protocol::boundary*`):
//!   for each row in turn one part of its warm-up and one of its events.
//!
//! A change of these lines or of their meaning is a new [`VERSION`]; the gate compares builds of one version only.

#[path = "../../tests/hot_path/syscalls.rs"]
mod syscalls;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::error::Error;
use std::fmt::Write as _;
use std::hint::{black_box, spin_loop};
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use std::time::Duration;

use agent::{Clock, VirtualClock};
use hdrhistogram::Histogram;
use wire::Ts;

/// Of these lines. The gate reads it from the source before it builds a revision.
pub(crate) const VERSION: u32 = 1;

type Failure = Box<dyn Error>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Time,
    Count,
    Instructions,
}

/// What is said in one process.
pub(crate) struct Session {
    mode: Mode,
    said: String,
}

impl Session {
    /// The session that the arguments ask for; `None` without `--gate`.
    ///
    /// # Errors
    /// A mode that is not one of the three.
    pub(crate) fn asked(bench: &str) -> Result<Option<Session>, Failure> {
        let Some(mode) = std::env::args().skip_while(|arg| arg != "--gate").nth(1) else { return Ok(None) };
        let mode = match mode.as_str() {
            "time" => Mode::Time,
            "count" => Mode::Count,
            "instructions" => Mode::Instructions,
            other => return Err(format!("--gate {other:?}: must be time, count or instructions").into()),
        };
        Ok(Some(Session { mode, said: format!("corelane-gate {VERSION} {bench}\n") }))
    }

    /// Counted work that nobody asked for: what is said goes nowhere but to the screen.
    #[allow(dead_code, reason = "for benches whose counted work runs on another clock than their spans")]
    pub(crate) fn trial(bench: &str) -> Session {
        Session { mode: Mode::Count, said: format!("corelane-gate {VERSION} {bench}\n") }
    }

    /// Whether spans are wanted; else work is.
    pub(crate) fn is_time(&self) -> bool {
        self.mode == Mode::Time
    }

    /// Says the spans of `row`, ns for `calls` calls each.
    pub(crate) fn span(&mut self, row: &str, calls: usize, spans: &Histogram<u64>) {
        let _ = write!(self.said, "span {row} {calls}");
        for value in spans.iter_recorded() {
            let _ = write!(self.said, " {}:{}", value.value_iterated_to(), value.count_at_value());
        }
        self.said.push('\n');
    }

    /// Does `events` events of `row` after `warm_up` others, and says what they did. `set_up` makes the event, given
    /// a clock that is moved on before each. Of an event counts what it does within [`hot`].
    ///
    /// # Errors
    /// Those of the work.
    pub(crate) fn work<E, F, W>(
        &mut self,
        row: &str,
        warm_up: usize,
        events: usize,
        set_up: F,
    ) -> Result<(), Failure>
    where
        E: ToString,
        F: FnOnce(Clock) -> Result<W, E> + Send,
        W: FnMut(usize) -> Result<(), E>,
    {
        if self.mode == Mode::Count {
            let (allocations, calls) = watched(warm_up, events, set_up)?;
            let calls = calls.map_or("-".to_owned(), |n| n.to_string());
            let _ = writeln!(self.said, "work {row} {events} allocations {allocations} calls {calls}");
        } else {
            // Callgrind counts, and runs one thread at a time: here there is no other.
            run(warm_up, events, set_up, || ())?;
            let _ = writeln!(self.said, "work {row} {events} allocations - calls -");
        }
        Ok(())
    }

    /// Says it all.
    pub(crate) fn end(self) {
        println!("{}end", self.said);
    }
}

const WARMING: u8 = 0;
const COUNTING: u8 = 1;
const DONE: u8 = 2;
const OVER: u8 = 3;

/// Runs a row on a thread of its own, under a filter that reports its system calls. Heap requests and system calls of
/// the events; no calls when the kernel gives no such filter.
fn watched<E, F, W>(warm_up: usize, events: usize, set_up: F) -> Result<(u64, Option<u64>), String>
where
    E: ToString,
    F: FnOnce(Clock) -> Result<W, E> + Send,
    W: FnMut(usize) -> Result<(), E>,
{
    let filter = AtomicI32::new(0);
    let phase = AtomicU8::new(WARMING);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let done = run(warm_up, events, set_up, || {
                let made = syscalls::watch_this_thread(&[]).map_or(-1, IntoRawFd::into_raw_fd);
                filter.store(made, Ordering::Release);
                spin_until(|| phase.load(Ordering::Acquire) >= COUNTING);
                ALLOCATIONS.set(0);
            });
            let allocations = ALLOCATIONS.get();
            // Without a filter, because the warm-up failed, there is nothing to wait for.
            let _ = filter.compare_exchange(0, -1, Ordering::AcqRel, Ordering::Acquire);
            phase.fetch_max(DONE, Ordering::AcqRel);
            // Ending is made of calls, and none of ours.
            spin_until(|| phase.load(Ordering::Acquire) == OVER);
            done.map(|()| allocations)
        });
        sleep_until(|| filter.load(Ordering::Acquire) != 0);
        let fd = filter.load(Ordering::Acquire);
        let listener = (fd > 0).then(|| {
            // SAFETY: the worker has given this descriptor away.
            syscalls::Listener::new(unsafe { OwnedFd::from_raw_fd(fd) }, &IN_HOT)
        });
        phase.fetch_max(COUNTING, Ordering::AcqRel);
        sleep_until(|| phase.load(Ordering::Acquire) >= DONE);
        let calls = listener.as_ref().map(|listener| listener.counted().values().sum::<u64>());
        phase.store(OVER, Ordering::Release);
        let allocations = worker.join().map_err(|_| "the working thread panicked".to_owned());
        if let Some(listener) = listener {
            listener.serve_to_the_end();
        }
        Ok((allocations??, calls))
    })
}

fn spin_until(done: impl Fn() -> bool) {
    while !done() {
        spin_loop();
    }
}

fn sleep_until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Warm-up, `warm` once, events; each part ends at a boundary.
fn run<E, F, W>(warm_up: usize, events: usize, set_up: F, warm: impl FnOnce()) -> Result<(), String>
where
    E: ToString,
    F: FnOnce(Clock) -> Result<W, E>,
    W: FnMut(usize) -> Result<(), E>,
{
    let text = |e: E| e.to_string();
    let clock = VirtualClock::new(Ts(1_700_000_000_000_000_000));
    let mut event = set_up(Clock::Virtual(clock.clone())).map_err(text)?;
    let mut times = |from: usize, to: usize| {
        (from..to).try_for_each(|n| {
            clock.advance_ns(EVENT_NS);
            event(n).map_err(text)
        })
    };
    times(0, warm_up)?;
    boundary();
    warm();
    times(warm_up, warm_up + events)?;
    boundary();
    Ok(())
}

/// Time between two events of counted work, ns.
const EVENT_NS: u64 = 10_000;

// ---- what counts -------------------------------------------------------------------------------------------

/// The part of an event that counts. By this function's name callgrind knows it, so it is never inlined.
#[inline(never)]
pub(crate) fn hot<R>(work: impl FnOnce() -> R) -> R {
    HOT.set(true);
    IN_HOT.store(true, Ordering::SeqCst);
    let done = black_box(work());
    IN_HOT.store(false, Ordering::SeqCst);
    HOT.set(false);
    done
}

/// Callgrind writes a part at the end of this.
#[inline(never)]
fn boundary() {
    black_box(&IN_HOT);
}

thread_local! {
    /// This thread is within [`hot`].
    static HOT: Cell<bool> = const { Cell::new(false) };
    /// Heap requests from within.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The same for the listener, whose look is exact: a thread that it has a report of is waiting in its call.
static IN_HOT: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

fn count() {
    if HOT.get() {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    }
}

// SAFETY: every method hands its arguments on to the system's allocator unchanged, which keeps the contract; counting
// touches no memory of the request and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `layout` are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `layout` are those that the system's allocator asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from the system's allocator with this `layout`, as all our blocks do.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `at` came from the system's allocator with this `layout`; the caller vouches for `size`.
        unsafe { System.realloc(at, layout, size) }
    }
}
