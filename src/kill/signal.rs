//! A signal as a flag that the kill thread reads.
//!
//! The handler adds one to a static word and nothing else: an atomic add is async-signal-safe, whatever the
//! interrupted thread was doing.

#![allow(unsafe_code, reason = "a signal handler has no safe form")]

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often the signal has arrived since the program started.
static ARRIVED: AtomicU64 = AtomicU64::new(0);

extern "C" fn arrived(_signal: libc::c_int) {
    // SeqCst: a signal is rare, and this order needs no argument.
    ARRIVED.fetch_add(1, Ordering::SeqCst);
}

/// Whether SIGUSR1 has arrived since it was last taken note of.
#[derive(Debug)]
pub struct SignalFlag {
    seen: u64,
}

impl SignalFlag {
    /// Installs the handler for SIGUSR1 in this process. Interrupted system calls are restarted.
    ///
    /// # Errors
    /// The system's refusal; then the signal would end the program, which also sends no more orders.
    pub fn install() -> io::Result<SignalFlag> {
        let seen = ARRIVED.load(Ordering::SeqCst);
        // SAFETY: `sigaction` is a C struct of integers, a nullable pointer and a handler address, for all of which
        // zero is a valid value.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = arrived as extern "C" fn(libc::c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the pointer is to the mask inside `action`, which is alive and ours.
        unsafe { libc::sigemptyset(&mut action.sa_mask) };
        // SAFETY: `action` is fully set and outlives the call; the handler has the type that flags without
        // SA_SIGINFO ask for, and only adds to an atomic. The old action is not wanted.
        let done = unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
        if done == 0 { Ok(SignalFlag { seen }) } else { Err(io::Error::last_os_error()) }
    }

    /// How often it has arrived; to be given to [`SignalFlag::forget`].
    pub fn count(&self) -> u64 {
        ARRIVED.load(Ordering::SeqCst)
    }

    /// Whether it has arrived since the last [`SignalFlag::forget`].
    pub fn is_raised(&self) -> bool {
        self.count() != self.seen
    }

    /// Takes note of all arrivals up to `count`; a later one raises the flag again.
    pub fn forget(&mut self, count: u64) {
        self.seen = count;
    }
}

/// Sends SIGUSR1 to this process.
#[cfg(test)]
pub(crate) fn raise() {
    // SAFETY: raising a signal touches no memory; its handler is installed by the caller.
    unsafe { libc::raise(libc::SIGUSR1) };
}
