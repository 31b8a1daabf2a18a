//! Every input that the fuzzer starts from, and every one that it ever failed on, in the default tests.
#![cfg(all(target_os = "linux", not(any(loom, miri))))]

#[path = "../fuzz/entry/segment.rs"]
mod segment;

use std::path::Path;

#[test]
fn segments() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut files = 0;
    for kind in ["corpus", "regressions"] {
        let Ok(entries) = std::fs::read_dir(fuzz.join(kind).join("segment")) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            segment::run(&std::fs::read(&path).unwrap());
            files += 1;
        }
    }
    assert!(files >= 80);
}
