//! SIGINT and SIGTERM as a request to stop in order: quoting ends, open orders are cancelled and confirmed.
//!
//! The handler stores one word and nothing else: an atomic store is async-signal-safe, whatever the interrupted
//! thread was doing. Each signal is caught once; a second one of its kind ends the program the usual way.

use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

/// The signal that has arrived, zero when none has.
static ARRIVED: AtomicI32 = AtomicI32::new(0);

const SIGNALS: [(libc::c_int, &str); 2] = [(libc::SIGINT, "SIGINT"), (libc::SIGTERM, "SIGTERM")];

extern "C" fn arrived(signal: libc::c_int) {
    // Relaxed: the word guards no other memory.
    ARRIVED.store(signal, Ordering::Relaxed);
}

/// Catches both signals from now on, and forgets one that came for an earlier run.
///
/// # Errors
/// The system's refusal; then a signal ends the program at once.
pub fn catch() -> io::Result<()> {
    ARRIVED.store(0, Ordering::Relaxed);
    for (signal, _) in SIGNALS {
        // SAFETY: `sigaction` is a C struct of integers, a nullable pointer and a handler address, for all of which
        // zero is a valid value.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = arrived as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // After the first one the kernel's own way of ending a program is back.
        action.sa_flags = libc::SA_RESTART | libc::SA_RESETHAND;
        // SAFETY: the pointer is to the mask inside `action`, which is alive and ours.
        unsafe { libc::sigemptyset(&raw mut action.sa_mask) };
        // SAFETY: `action` is fully set and outlives the call; the handler has the type that flags without
        // SA_SIGINFO ask for, and only stores to an atomic. The old action is not wanted.
        if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Name of the signal that has asked for a stop, if one has.
pub fn asked() -> Option<&'static str> {
    let arrived = ARRIVED.load(Ordering::Relaxed);
    SIGNALS.iter().find(|(signal, _)| *signal == arrived).map(|(_, name)| *name)
}
