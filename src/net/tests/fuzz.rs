//! Every input that the fuzzer starts from, and every one that it ever failed on, in the default tests.

#[path = "../fuzz/entry/http.rs"]
mod http;
#[path = "../fuzz/entry/ws.rs"]
mod ws;

use std::path::Path;

/// Runs every file of a target; returns how many there were.
fn replay(target: &str, run: fn(&[u8])) -> usize {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut files = 0;
    for kind in ["corpus", "regressions"] {
        let Ok(entries) = std::fs::read_dir(fuzz.join(kind).join(target)) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            run(&std::fs::read(&path).unwrap());
            files += 1;
        }
    }
    files
}

#[test]
fn frames() {
    assert!(replay("ws", ws::run) >= 20);
}

#[test]
fn http_messages() {
    assert!(replay("http", http::run) >= 20);
}
