//! Recordings from anywhere: see `entry/capture.rs`.
#![no_main]

#[path = "../entry/capture.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
