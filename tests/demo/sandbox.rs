//! Poor surroundings: no io_uring, no root, little locked memory, little shared memory.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::session::{
    Scratch, alone, assert_agreement, before_exec, corelane, figure, inside, is_root, patient_config, report,
    run, trade_until_signalled,
};

/// What a container runtime gives by default.
const DOCKER_SHM_BYTES: u64 = 64 << 20;
const DOCKER_MEMLOCK_BYTES: u64 = 8 << 20;
const NOBODY: u32 = 65_534;

/// Makes `io_uring_setup` fail with EPERM in this process and all that it starts, as container sandboxes do.
fn forbid_io_uring() -> std::io::Result<()> {
    let ld_nr = libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    let is_setup = libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: libc::SYS_io_uring_setup as u32 };
    let refuse = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x0005_0000 | libc::EPERM as u32 };
    let allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 };
    let mut filter = [ld_nr, is_setup, refuse, allow];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: plain integers; the flag only narrows what this process may do.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: `program` and the filter it points to are alive during the call; the kernel copies them.
    if unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// Runs the demo until it has traded, and ends it in order; returns what it went without.
fn goes_without(scratch: &Scratch, demo: &mut Command) -> Vec<String> {
    let json = scratch.file("report.json");
    let finished = trade_until_signalled(scratch, demo.args(["demo", "--json"]).arg(&json), libc::SIGTERM);
    finished.exits(0);
    let r = report(&json);
    assert_agreement(&r);
    assert!(figure(&r, "/orders/sent") > 0, "{r:#}");
    let list = r["without"].as_array().expect("a list");
    let without: Vec<String> = list.iter().filter_map(|w| Some(w.as_str()?.to_string())).collect();
    for line in &without {
        println!("went without: {line}");
        assert!(!line.contains('\n'), "one line each: {line:?}");
        assert!(finished.stdout.contains(&format!("went without: {line}\n")), "{}", finished.stdout);
    }
    without
}

#[test]
fn without_io_uring_it_says_so_once_and_trades() {
    let _machine = alone();
    let scratch = Scratch::new("no-uring");
    let mut demo = corelane(&scratch);
    before_exec(&mut demo, forbid_io_uring);
    let without = goes_without(&scratch, &mut demo);
    let told: Vec<&String> = without.iter().filter(|w| w.contains("io_uring")).collect();
    assert_eq!(told.len(), 1, "{without:?}");
    assert!(told[0].contains("not permitted") && told[0].contains("recv"), "{told:?}");
}

#[test]
fn nobody_with_little_locked_memory_can_run_it() {
    if !is_root() {
        println!("skipped: not root, so every other test here is already run by an ordinary user");
        return;
    }
    let _machine = alone();
    let scratch = Scratch::new("nobody");
    chown(scratch.path(), Some(NOBODY), Some(NOBODY)).expect("a directory of nobody's");
    // The build directory may lie where nobody can look.
    let binary = scratch.file("corelane");
    fs::copy(env!("CARGO_BIN_EXE_corelane"), &binary).expect("a copy of the binary");
    let as_nobody = || {
        let mut demo = Command::new(&binary);
        inside(&mut demo, &scratch);
        demo.uid(NOBODY).gid(NOBODY);
        before_exec(&mut demo, || {
            let limit = libc::rlimit { rlim_cur: DOCKER_MEMLOCK_BYTES, rlim_max: DOCKER_MEMLOCK_BYTES };
            // SAFETY: `limit` is a valid rlimit that outlives the call.
            match unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
        demo
    };
    let without = goes_without(&scratch, &mut as_nobody());
    assert!(!without.iter().any(|w| w.contains("locked memory")), "not asked for: {without:?}");
    fs::write(scratch.file("extra.toml"), "\n[runtime]\nmlock = true\nhuge_pages = true\n").expect("a file");
    let without = goes_without(&scratch, &mut as_nobody());
    let pool = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    if pool.is_ok_and(|free| free.trim() == "0") {
        let rings: Vec<_> =
            without.iter().filter(|w| w.starts_with("memory of rings market_strategy")).collect();
        assert!(rings.len() == 1 && rings[0].contains("huge ones refused"), "{without:?}");
    }
    assert_eq!(without.iter().filter(|w| w.contains("locked memory")).count(), 1, "{without:?}");
    // Each user has a base of his own.
    let base = format!("/dev/shm/corelane-{NOBODY}");
    assert!(fs::exists(&base).unwrap_or(false), "{base}");
    fs::remove_dir_all(&base).expect("ours to remove");
}

/// Runs a script in a mount namespace of its own with a /dev/shm of `bytes`; `None` when that is not permitted.
fn with_shm(scratch: &Scratch, bytes: u64, script: &str) -> Option<crate::session::Finished> {
    let mount = format!("mount -t tmpfs -o size={bytes} tmpfs /dev/shm || exit 77\n");
    let mut shell = Command::new("unshare");
    inside(&mut shell, scratch);
    shell.args(["--mount", "sh", "-c", &(mount + script), "sh", env!("CARGO_BIN_EXE_corelane")]);
    if !is_root() || Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|s| !s.success()) {
        return None;
    }
    Some(run(&mut shell)).filter(|f| f.code != Some(77))
}

#[test]
fn a_small_dev_shm_is_enough_and_a_tiny_one_is_refused_in_words() {
    let _machine = alone();
    let scratch = Scratch::new("shm");
    patient_config(&scratch);
    let script = "\"$1\" demo --seconds 4 --config patient.toml --json report.json || exit 1\n\
                  df --output=used -B1 /dev/shm | tail -n 1 > used";
    let Some(finished) = with_shm(&scratch, DOCKER_SHM_BYTES, script) else {
        println!("skipped: no mount namespace of our own here");
        return;
    };
    finished.exits(0);
    assert_agreement(&report(&scratch.file("report.json")));
    let used = fs::read_to_string(scratch.file("used")).expect("what df said");
    let used: u64 = used.trim().parse().expect("bytes");
    println!("one instance uses {used} bytes of /dev/shm");
    assert!((1..DOCKER_SHM_BYTES / 8).contains(&used), "{used}");

    let script = "exec \"$1\" demo --seconds 2 --json report.json";
    let Some(finished) = with_shm(&scratch, 256 << 10, script) else { return };
    finished.exits(1);
    assert!(finished.stderr.contains("No space left on device"), "{}", finished.stderr);
    let failure = report(&scratch.file("report.json"))["failure"].to_string();
    assert!(failure.contains("No space left"), "{failure}");
}
