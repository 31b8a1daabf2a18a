//! Counts what one thread allocates, by the stack from which it does.
//!
//! The allocator below is the program's own (mimalloc) with a look at each request of a watched thread: the return
//! addresses are hashed, and the first request from each stack keeps that stack with its symbols. So a count can be
//! laid at somebody's door afterwards, without a marker in the code under test. A look costs a few microseconds,
//! and only while somebody is watching.

use std::alloc::{GlobalAlloc, Layout};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use mimalloc::MiMalloc;

/// Different stacks that can be told apart; more are counted together.
const STACKS_MAX: usize = 512;
/// Frames of a stack that are looked at, from the allocator outward.
const FRAMES_MAX: usize = 64;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

thread_local! {
    /// This thread is looked at. Cleared while a look is under way, for looking allocates.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

static COUNTING: AtomicBool = AtomicBool::new(false);
static SITES: [Site; STACKS_MAX] =
    [const { Site { hash: AtomicU64::new(0), count: AtomicU64::new(0) } }; STACKS_MAX];
static STACKS: Mutex<Vec<(u64, Backtrace)>> = Mutex::new(Vec::new());

/// One stack's requests.
struct Site {
    /// Hash of its return addresses; zero = unused.
    hash: AtomicU64,
    count: AtomicU64,
}

/// What was allocated, by who asked for it.
#[derive(Debug, Default)]
pub(crate) struct Allocations {
    /// From inside rustls.
    pub(crate) tls: u64,
    /// From anywhere else.
    pub(crate) own: u64,
    /// Where `own` came from: a count and a stack each.
    pub(crate) stacks: Vec<(u64, String)>,
}

/// Watches the calling thread from now on; nothing is counted before [`start`].
pub(crate) fn watch_this_thread() {
    // The unwinder and the first capture set themselves up with system calls: now, not while calls are counted.
    note(stack_hash());
    WATCHED.set(true);
}

/// Begins to count.
pub(crate) fn start() {
    for site in &SITES {
        site.hash.store(0, Ordering::Relaxed);
        site.count.store(0, Ordering::Relaxed);
    }
    STACKS.lock().unwrap_or_else(PoisonError::into_inner).clear();
    COUNTING.store(true, Ordering::SeqCst);
}

/// Ends counting.
pub(crate) fn stop() {
    COUNTING.store(false, Ordering::SeqCst);
}

/// What was counted between the last [`start`] and [`stop`].
pub(crate) fn counted() -> Allocations {
    let stacks = STACKS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all = Allocations::default();
    for site in &SITES {
        let (hash, count) = (site.hash.load(Ordering::SeqCst), site.count.load(Ordering::SeqCst));
        if count == 0 {
            continue;
        }
        let stack = stacks.iter().find(|s| s.0 == hash).map(|s| s.1.to_string()).unwrap_or_default();
        if stack.contains("rustls::") {
            all.tls += count;
        } else {
            all.own += count;
            all.stacks.push((count, stack));
        }
    }
    all
}

struct Watching;

// SAFETY: every method hands its arguments on to mimalloc unchanged, which keeps the contract; looking at the stack
// touches no memory of the request.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        look();
        // SAFETY: the caller's promises about `layout` are those that mimalloc asks for.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        look();
        // SAFETY: the caller's promises about `layout` are those that mimalloc asks for.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from mimalloc with this `layout`, as all our blocks do.
        unsafe { MiMalloc.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        look();
        // SAFETY: `at` came from mimalloc with this `layout`; the caller vouches for `size`.
        unsafe { MiMalloc.realloc(at, layout, size) }
    }
}

#[inline]
fn look() {
    if WATCHED.get() && COUNTING.load(Ordering::Relaxed) {
        WATCHED.set(false);
        note(stack_hash());
        WATCHED.set(true);
    }
}

#[cold]
fn note(hash: u64) {
    for probe in 0..STACKS_MAX {
        let site = &SITES[(hash as usize + probe) % STACKS_MAX];
        // Only one thread is watched at a time, so a plain look and a store do.
        let seen = site.hash.load(Ordering::Relaxed);
        if seen == 0 {
            site.hash.store(hash, Ordering::Relaxed);
            let stack = Backtrace::force_capture();
            STACKS.lock().unwrap_or_else(PoisonError::into_inner).push((hash, stack));
        }
        if seen == 0 || seen == hash || probe + 1 == STACKS_MAX {
            site.count.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
}

// ---- the unwinder that every Rust program carries -----------------------------------------------------------

unsafe extern "C" {
    /// Calls `each` for every frame of the calling thread, innermost first, until it answers other than zero.
    fn _Unwind_Backtrace(each: extern "C" fn(*mut c_void, *mut c_void) -> c_int, with: *mut c_void) -> c_int;
    /// Return address of a frame that `each` was given.
    fn _Unwind_GetIP(frame: *mut c_void) -> usize;
}

struct Trail {
    hash: u64,
    frames: usize,
}

extern "C" fn step(frame: *mut c_void, with: *mut c_void) -> c_int {
    // SAFETY: `with` is the exclusive borrow of a `Trail` that `stack_hash` holds across the walk.
    let trail = unsafe { &mut *with.cast::<Trail>() };
    // SAFETY: the unwinder gave this frame to this call.
    let at = unsafe { _Unwind_GetIP(frame) };
    trail.hash = (trail.hash ^ at as u64).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    trail.frames += 1;
    c_int::from(trail.frames >= FRAMES_MAX)
}

fn stack_hash() -> u64 {
    let mut trail = Trail { hash: 0xcbf2_9ce4_8422_2325, frames: 0 };
    // SAFETY: `step` has the signature the unwinder calls, and `trail` outlives the walk.
    unsafe { _Unwind_Backtrace(step, (&raw mut trail).cast()) };
    trail.hash | 1
}
