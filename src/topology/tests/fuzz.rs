//! Every input that the fuzzer starts from, and every one that it ever failed on, in the default tests.

#[path = "../fuzz/entry/config.rs"]
mod config;

use std::path::Path;

#[test]
fn configurations() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut files = 0;
    for kind in ["corpus", "regressions"] {
        let Ok(entries) = std::fs::read_dir(fuzz.join(kind).join("config")) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            config::run(&std::fs::read(&path).unwrap());
            files += 1;
        }
    }
    assert!(files >= 20, "{files} files");
    config::run(topology::DEFAULT_TOML.as_bytes());
}
