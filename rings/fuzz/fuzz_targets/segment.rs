//! Shared memory from anywhere: see `entry/segment.rs`.
#![no_main]

#[path = "../entry/segment.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
