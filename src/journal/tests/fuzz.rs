//! Every input that the fuzzer starts from, and every one that it ever failed on, in the default tests.

#[path = "../fuzz/entry/journal.rs"]
mod entry;

use std::path::Path;

#[test]
fn journals() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut files = 0;
    for kind in ["corpus", "regressions"] {
        let Ok(found) = std::fs::read_dir(fuzz.join(kind).join("journal")) else { continue };
        for file in found {
            let path = file.expect("an entry").path();
            println!("{}", path.display());
            entry::run(&std::fs::read(&path).expect("read"));
            files += 1;
        }
    }
    assert!(files >= 12, "{files} files");
}
