//! Start, kill, start: engines that are killed at any moment leave nothing that stops or outlives the next.
//!
//! An engine here is a forked child that founds three named segments in one instance directory, as a real one does its
//! statistics, boards and control words, over and over until it is killed. All runs in one test, alone in its binary,
//! because a fork inherits every descriptor and the locks that stand on them.
//!
//! `CORELANE_ROUNDS` says how many are started and killed; 20 when it is not set.
#![cfg(all(target_os = "linux", not(any(loom, miri))))]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rings::{Access, Ident, Ordering, Segment, SegmentError};

const NAMES: [&str; 3] = ["board", "control", "stats"];
const IDENT: Ident = Ident { type_id: 7, layout_version: 1, build_hash: 0xb, config_hash: 0xc };

fn found(dir: &Path) -> Result<Vec<Segment>, SegmentError> {
    NAMES.iter().map(|name| Segment::create_file(&dir.join(name), &IDENT, 4096)).collect()
}

/// Starts an engine that founds its segments `times` over and then waits.
fn start(dir: &Path, times: u32) -> libc::pid_t {
    // SAFETY: the child only founds segments, and ends without unwinding into what is the parent's.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let work = std::panic::catch_unwind(|| {
            for time in 0..times {
                let segments = found(dir).unwrap();
                segments.iter().for_each(|s| s.words_mut().unwrap().store(0, 77, Ordering::Release));
                if time + 1 == times {
                    std::thread::sleep(Duration::from_secs(600));
                }
            }
        });
        // SAFETY: ends this process without running anything of the parent's.
        unsafe { libc::_exit(if work.is_ok() { 0 } else { 101 }) };
    }
    child
}

fn kill(child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: the child is ours and not yet waited for; `status` is a local.
    let killed =
        unsafe { libc::kill(child, libc::SIGKILL) == 0 && libc::waitpid(child, &raw mut status, 0) == child };
    assert!(killed && libc::WIFSIGNALED(status), "the engine ended by itself: status {status:#x}");
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn rounds_of_start_and_kill_leave_no_file_behind() {
    let rounds: u64 = std::env::var("CORELANE_ROUNDS").map_or(20, |v| v.parse().unwrap());
    let dir: PathBuf = Path::new("/dev/shm").join(format!("corelane-restarts-{}", std::process::id()));
    drop(found(&dir).unwrap());
    let (before, mut seed) = (descriptors(), 0x2545_f491_4f6c_dd1du64);
    let mut worst = 0;
    for round in 0..rounds {
        let child = start(&dir, u32::MAX);
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        std::thread::sleep(Duration::from_micros(seed % 3_000));
        kill(child);
        worst = worst.max(names(&dir).len() - NAMES.len());
        // Who starts next gets every name at once, and nothing else is left.
        let epochs: Vec<u64> = found(&dir).unwrap().iter().map(|segment| segment.header().epoch).collect();
        assert_eq!(names(&dir), NAMES, "round {round}");
        assert!(epochs.iter().all(|epoch| *epoch >= round + 2), "{epochs:?}");
    }
    println!("{rounds} rounds; at most {worst} files lay aside after a kill");
    assert_eq!(descriptors(), before);

    // Of two engines in one directory the second is refused, by name, as long as the first lives.
    let first = start(&dir, 1);
    let begin = Instant::now();
    let alive = |name: &str| {
        Segment::open_file(&dir.join(name), &IDENT, Access::ReadOnly).is_ok_and(|s| {
            s.header().pid == first as u32 && s.owner_alive() && s.words().load(0, Ordering::Acquire) == 77
        })
    };
    while !NAMES.iter().all(|name| alive(name)) {
        assert!(begin.elapsed() < Duration::from_secs(60), "the first engine did not start");
        std::thread::yield_now();
    }
    let second = found(&dir);
    assert!(
        matches!(&second, Err(SegmentError::InUse { path, pid }) if *pid == first as u32 && path.ends_with("board")),
        "{second:?}"
    );
    assert!(NAMES.iter().all(|name| alive(name)), "the first is not disturbed");
    kill(first);
    assert!(!NAMES.iter().any(|name| alive(name)), "its death is seen at once");
    drop(found(&dir).unwrap());
    std::fs::remove_dir_all(&dir).unwrap();
}
