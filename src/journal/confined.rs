//! A value that belongs to one thread: the first that uses it.
//!
//! Handles to it lie in several places of one agent (its link, its rings, its thread's sink), move to the agent's
//! thread together, and are used there only. A lock would say so too, for the price of two locked instructions an
//! access; this says it for a comparison.

use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{AtomicU64, Ordering};

/// Owner of a value that nobody has used.
const NOBODY: u64 = 0;

thread_local! {
    /// A number that no other thread of this process has or will have; 0 = not drawn yet.
    static TOKEN: Cell<u64> = const { Cell::new(NOBODY) };
}

static NEXT: AtomicU64 = AtomicU64::new(1);

#[inline]
fn token() -> u64 {
    match TOKEN.get() {
        NOBODY => draw(),
        token => token,
    }
}

#[cold]
fn draw() -> u64 {
    // 64 bits: numbers do not run out.
    let token = NEXT.fetch_add(1, Ordering::Relaxed);
    TOKEN.set(token);
    token
}

/// A value that belongs to the first thread that uses it.
pub(crate) struct Confined<T> {
    owner: AtomicU64,
    /// Touched by the owner only.
    busy: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: `busy` and `value` are touched only after `with` or `leaf` has found the calling thread's token in `owner`. Tokens are
// unique to a thread for the life of the process, and `owner` leaves `NOBODY` once and never changes again, so one
// thread alone ever gets past that check; `T: Send` lets that thread be another than the one that made the value. The
// value is dropped by whoever drops the last reference, which needs `T: Send` too.
unsafe impl<T: Send> Sync for Confined<T> {}

impl<T> Confined<T> {
    pub(crate) fn new(value: T) -> Confined<T> {
        Confined { owner: AtomicU64::new(NOBODY), busy: Cell::new(false), value: UnsafeCell::new(value) }
    }

    /// Runs `f` on the value; `None` when the value is another thread's, or in use by a caller of this one.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        let me = token();
        if self.owner.load(Ordering::Relaxed) != me && !self.adopt(me) {
            return None;
        }
        if self.busy.replace(true) {
            return None;
        }
        let _busy = Busy(&self.busy);
        // SAFETY: this thread is the owner (see `Sync` above), and `busy` was down, so no other reference to the value
        // is alive: the only one ever made is this, and it ends before `busy` goes down again, by return or unwind.
        Some(f(unsafe { &mut *self.value.get() }))
    }

    /// The same without a look at whether the value is in use: three instructions.
    ///
    /// # Safety
    /// The value is only ever used through this function, and `f` runs no code that could come to it again: it uses the
    /// value and plain data, and calls nobody back.
    #[inline(always)]
    pub(crate) unsafe fn leaf<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        let me = token();
        if self.owner.load(Ordering::Relaxed) != me && !self.adopt(me) {
            return None;
        }
        // SAFETY: this thread is the owner (see `Sync` above). Another reference to the value could only be alive if
        // this was called from within `f` or `with`, which the caller rules out.
        Some(f(unsafe { &mut *self.value.get() }))
    }

    #[cold]
    fn adopt(&self, me: u64) -> bool {
        // The maker's writes happen before this by whatever moved the handle to this thread.
        self.owner.compare_exchange(NOBODY, me, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

struct Busy<'a>(&'a Cell<bool>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_first_thread_keeps_it() {
        let value = Arc::new(Confined::new(1));
        let theirs = value.clone();
        std::thread::spawn(move || assert_eq!(theirs.with(|v| *v += 1), Some(()))).join().expect("no panic");
        assert_eq!(value.with(|v| *v), None, "its owner is another thread, even a dead one");
        let fresh = Confined::new(5);
        assert_eq!(fresh.with(|v| *v), Some(5));
        std::thread::scope(|s| {
            s.spawn(|| assert_eq!(fresh.with(|v| *v), None));
        });
    }

    #[test]
    fn it_is_lent_once_at_a_time_and_comes_back_after_a_panic() {
        let value = Confined::new(0);
        assert_eq!(value.with(|_| value.with(|v| *v)), Some(None));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            value.with(|_| panic!("in use"));
        }));
        assert!(panicked.is_err());
        assert_eq!(value.with(|v| *v), Some(0));
    }
}
