//! JSON messages from anywhere: see `entry/json.rs`.
#![no_main]

#[path = "../entry/json.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
