//! HTTP from anywhere: see `entry/http.rs`.
#![no_main]

#[path = "../entry/http.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
