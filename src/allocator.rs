//! The program's allocator, told to keep what it has.
//!
//! mimalloc gives freed pages back to the kernel after a second, from whichever thread happens to allocate next. On
//! the trading thread that is a system call (`madvise`) in the middle of a message, and a page fault when the memory
//! is wanted again. An engine's memory is bounded by its configuration, so nothing is lost by keeping it.

use std::ffi::{c_int, c_long};

// The option belongs to the library that this crate brings along.
use mimalloc as _;

/// `mi_option_purge_delay` of `mimalloc.h`, the same in versions 2 and 3 of the library.
const PURGE_DELAY: c_int = 15;

unsafe extern "C" {
    /// Sets an option of mimalloc. Not thread safe against other changes of options.
    fn mi_option_set(option: c_int, value: c_long);
}

/// Keeps freed pages from now on. To be called first of all in `main`, before there are other threads.
pub fn keep_freed_memory() {
    // SAFETY: takes numbers only; a word in the library's table of options is stored, which allocating threads read
    // as a plain number, and nobody else of ours changes options.
    unsafe { mi_option_set(PURGE_DELAY, -1) }
}
