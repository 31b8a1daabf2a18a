//! Random numbers from the kernel, without opening a file: it must work when descriptors have run out.

#![allow(unsafe_code, reason = "getrandom has no safe form")]

use std::hash::{BuildHasher, Hasher};

/// Sixty-four random bits. One system call.
pub(crate) fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the pointer and length describe `bytes`, which outlives the call and is written nowhere else.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    if got == bytes.len() as isize {
        return u64::from_ne_bytes(bytes);
    }
    // Only before the kernel's pool is first filled, or where the call is forbidden. A trip needs a name all the
    // same: the standard library keeps random keys of its own.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
