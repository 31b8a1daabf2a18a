//! Frames from anywhere: see `entry/ws.rs`.
#![no_main]

#[path = "../entry/ws.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
