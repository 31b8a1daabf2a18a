//! After start a running thread allocates nothing: counted by the global allocator, thread by thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use agent::{Agent, Clock, Cycle, CycleSink, Idle, Pool, Pulse, RingId, Runner, ThreadSpec};

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call is passed on unchanged to the system allocator, which keeps the contract; the counter
// is a plain thread-local that neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count();
        // SAFETY: `ptr` came from `System.alloc` with this layout, as the caller promises.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as `dealloc`; the caller promises a valid new size.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Uses all that a cycle offers, and keeps the allocator's count of its own thread.
struct Worker {
    pool: Pool<[u64; 64]>,
    base: u64,
    since_start: Arc<AtomicU64>,
    cycles: Arc<AtomicU64>,
    leak_in: u64,
}

impl Agent for Worker {
    fn name(&self) -> &str {
        "worker"
    }

    fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
        if cycle.number() == 1 {
            self.base = CALLS.get();
        }
        let mut done = 0;
        while cycle.room(done) {
            if let Ok(mut object) = self.pool.take() {
                object[0] = cycle.stamp().since_ns(cycle.now());
                let _ = self.pool.put(object);
            }
            done += 1;
        }
        cycle.consumed(RingId(0), done as u32);
        if cycle.number() == self.leak_in {
            std::hint::black_box(Vec::<u64>::with_capacity(std::hint::black_box(9)));
        }
        self.since_start.store(CALLS.get() - self.base, Ordering::Release);
        self.cycles.store(cycle.number(), Ordering::Release);
        if cycle.number().is_multiple_of(2) { 0 } else { done }
    }
}

#[derive(Default)]
struct Sink {
    taken: u64,
    beats: u64,
}

impl CycleSink for Sink {
    fn record(&mut self, _: usize, _: u64, _: RingId, count: u32) {
        self.taken += u64::from(count);
    }

    fn beat(&mut self, _: usize, _: &Pulse) {
        self.beats += 1;
    }
}

fn allocations_in_a_life(idle: Idle, leak_in: u64) -> u64 {
    let (since_start, cycles) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let pool = Pool::new(4, || [0u64; 64]);
    let worker = Worker { pool, base: 0, since_start: since_start.clone(), cycles: cycles.clone(), leak_in };
    let spec = ThreadSpec { name: "counted".to_owned(), core: None, idle, fifo: None, slow_ns: 1 };
    let agents: Vec<Box<dyn Agent + Send>> = vec![Box::new(worker)];
    let handle = Runner::spawn(spec, agents, Clock::live(), Sink::default(), stop.clone()).expect("a thread");
    let due = Instant::now() + Duration::from_secs(20);
    while cycles.load(Ordering::Acquire) < 2_000 {
        assert!(Instant::now() < due, "2000 cycles take less than 20 s");
        std::thread::sleep(Duration::from_millis(1));
    }
    stop.store(true, Ordering::Release);
    handle.join().expect("no panic");
    since_start.load(Ordering::Acquire)
}

#[test]
fn cycles_allocate_nothing_under_any_idle_strategy() {
    for idle in [Idle::Spin, Idle::Pause, Idle::Yield, Idle::Park { ns: 1_000 }] {
        assert_eq!(allocations_in_a_life(idle, 0), 0, "{idle:?}");
    }
}

#[test]
fn the_count_sees_a_single_allocation() {
    assert_eq!(allocations_in_a_life(Idle::Pause, 1_000), 2, "one allocation and its release");
}
