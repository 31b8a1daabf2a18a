//! What a thread asks of the machine: a core, a scheduling class, memory that stays. Each refusal is one line
//! that says what to change.

use std::fs;
use std::io;

/// What the machine would not give, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The core does not exist, or the cpuset of this process excludes it.
    #[error("core {core} refused: not in the set {allowed:?} that this process may use")]
    Core {
        /// The core asked for.
        core: usize,
        /// What the kernel allows now.
        allowed: Vec<usize>,
    },
    /// A priority outside what SCHED_FIFO knows.
    #[error("SCHED_FIFO priority {priority} refused: must be 1..=99")]
    Priority {
        /// The priority asked for.
        priority: u8,
    },
    /// Real-time throttling is on: a spinning FIFO thread would be stopped for 50 ms in every second.
    #[error(
        "SCHED_FIFO refused: RT throttling is on (sched_rt_runtime_us = {runtime_us}), which stalls a spinning \
         thread every second; set kernel.sched_rt_runtime_us = -1"
    )]
    Throttled {
        /// Microseconds of each period that real-time threads may run.
        runtime_us: i64,
    },
    /// The state of RT throttling cannot be read, so it counts as on.
    #[error("SCHED_FIFO refused: cannot tell whether RT throttling is off ({path}: {error})")]
    ThrottlingUnknown {
        /// What was read.
        path: &'static str,
        /// Why it failed.
        error: io::Error,
    },
    /// The kernel refused the class, mostly for lack of CAP_SYS_NICE.
    #[error(
        "SCHED_FIFO priority {priority} refused by the kernel ({error}); needs CAP_SYS_NICE or RLIMIT_RTPRIO"
    )]
    Fifo {
        /// The priority asked for.
        priority: u8,
        /// What the kernel said.
        error: io::Error,
    },
    /// Memory may be locked only up to a bound; locking all would make later allocations fail.
    #[error(
        "memory lock refused: RLIMIT_MEMLOCK is {limit_bytes} bytes, must be unlimited (or grant CAP_IPC_LOCK)"
    )]
    LockLimit {
        /// The soft limit.
        limit_bytes: u64,
    },
    /// The kernel refused to lock memory.
    #[error("memory lock refused by the kernel ({error})")]
    Lock {
        /// What the kernel said.
        error: io::Error,
    },
}

const RT_RUNTIME: &str = "/proc/sys/kernel/sched_rt_runtime_us";
const CAP_IPC_LOCK: u32 = 14;

/// Cores that the calling thread may run on, ascending. Ask before pinning: a pinned thread sees one, and so
/// do threads it starts. Empty only when the kernel will not say.
pub fn allowed_cores() -> Vec<usize> {
    let mut cores: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|c| c.id).collect();
    cores.sort_unstable();
    cores
}

/// Core that the calling thread is on at this moment.
pub fn current_core() -> Option<usize> {
    // SAFETY: sched_getcpu takes nothing and only reads.
    let core = unsafe { libc::sched_getcpu() };
    usize::try_from(core).ok()
}

/// Pins the calling thread to `core`, and threads it starts from now on.
///
/// # Errors
/// [`Refused::Core`].
pub fn pin(core: usize) -> Result<(), Refused> {
    // The bound comes first: a cpu_set_t has no bit beyond it.
    let asked = core < libc::CPU_SETSIZE as usize
        && core_affinity::set_for_current(core_affinity::CoreId { id: core });
    let allowed = allowed_cores();
    if asked && allowed == [core] { Ok(()) } else { Err(Refused::Core { core, allowed }) }
}

/// Gives the calling thread class SCHED_FIFO at `priority` (1..=99), provided that RT throttling is off.
///
/// # Errors
/// [`Refused::Priority`], [`Refused::Throttled`], [`Refused::ThrottlingUnknown`], [`Refused::Fifo`]; the
/// thread keeps its class.
pub fn fifo(priority: u8) -> Result<(), Refused> {
    if !(1..=99).contains(&priority) {
        return Err(Refused::Priority { priority });
    }
    let runtime_us =
        rt_runtime_us().map_err(|error| Refused::ThrottlingUnknown { path: RT_RUNTIME, error })?;
    if runtime_us != -1 {
        return Err(Refused::Throttled { runtime_us });
    }
    let param = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: pid 0 is the calling thread, and `param` is valid for the call.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &param) } == 0 {
        Ok(())
    } else {
        Err(Refused::Fifo { priority, error: io::Error::last_os_error() })
    }
}

fn rt_runtime_us() -> io::Result<i64> {
    let text = fs::read_to_string(RT_RUNTIME)?;
    text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not a number"))
}

/// Locks every page of the process, present and future, so that no page fault meets the message path.
///
/// With a finite RLIMIT_MEMLOCK the lock could succeed now and an allocation fail later, so it is refused.
///
/// # Errors
/// [`Refused::LockLimit`], [`Refused::Lock`]; nothing is locked.
pub fn lock_memory() -> Result<(), Refused> {
    let limit_bytes = memlock_limit_bytes()?;
    if limit_bytes != libc::RLIM_INFINITY && !has_capability(CAP_IPC_LOCK) {
        return Err(Refused::LockLimit { limit_bytes });
    }
    // SAFETY: mlockall takes flags only; it changes residency, never content or addresses.
    if unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) } == 0 {
        Ok(())
    } else {
        Err(Refused::Lock { error: io::Error::last_os_error() })
    }
}

fn memlock_limit_bytes() -> Result<u64, Refused> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid, exclusively borrowed rlimit for the duration of the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) } == 0 {
        Ok(limit.rlim_cur)
    } else {
        Err(Refused::Lock { error: io::Error::last_os_error() })
    }
}

/// Whether the process holds an effective capability; unreadable counts as no.
fn has_capability(bit: u32) -> bool {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return false };
    let hex = status.lines().find_map(|l| l.strip_prefix("CapEff:")).map(str::trim);
    hex.and_then(|h| u64::from_str_radix(h, 16).ok()).is_some_and(|set| set >> bit & 1 == 1)
}

/// Lets sleeps of the calling thread end on time: the default slack of the kernel adds up to 50 us to each.
pub(crate) fn wake_on_time() {
    // SAFETY: PR_SET_TIMERSLACK takes one number and affects the calling thread's timers only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1u64, 0u64, 0u64, 0u64) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_where_asked_and_refuses_what_is_not_there() {
        let cores = allowed_cores();
        assert!(!cores.is_empty());
        for core in cores {
            let seen = std::thread::spawn(move || pin(core).map(|()| current_core())).join();
            assert_eq!(seen.expect("no panic").expect("an allowed core"), Some(core));
        }
        for core in [1_000_000, libc::CPU_SETSIZE as usize - 1] {
            let refused = std::thread::spawn(move || pin(core)).join().expect("no panic");
            let Err(Refused::Core { core: named, .. }) = refused else { panic!("core {core}: {refused:?}") };
            assert_eq!(named, core);
        }
    }

    #[test]
    fn fifo_follows_the_throttling_of_this_host() {
        assert!(matches!(fifo(0), Err(Refused::Priority { priority: 0 })));
        assert!(matches!(fifo(100), Err(Refused::Priority { priority: 100 })));
        let got = std::thread::spawn(|| fifo(10)).join().expect("no panic");
        match rt_runtime_us() {
            Ok(-1) => assert!(matches!(got, Ok(()) | Err(Refused::Fifo { .. })), "{got:?}"),
            Ok(us) => {
                let Err(Refused::Throttled { runtime_us }) = got else { panic!("{got:?}") };
                assert_eq!(runtime_us, us);
            }
            Err(_) => assert!(matches!(got, Err(Refused::ThrottlingUnknown { .. })), "{got:?}"),
        }
    }

    #[test]
    fn refusals_are_one_line() {
        let all = [
            Refused::Core { core: 9, allowed: vec![0, 1] },
            Refused::Priority { priority: 0 },
            Refused::Throttled { runtime_us: 950_000 },
            Refused::ThrottlingUnknown { path: RT_RUNTIME, error: io::Error::other("gone") },
            Refused::Fifo { priority: 5, error: io::Error::other("no") },
            Refused::LockLimit { limit_bytes: 8 },
            Refused::Lock { error: io::Error::other("no") },
        ];
        for refused in all {
            let text = refused.to_string();
            assert!(text.contains("refused") && !text.contains('\n') && !text.contains("  "), "{text}");
        }
    }
}
