//! Journal files from anywhere: see `entry/journal.rs`.
#![no_main]

#[path = "../entry/journal.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
