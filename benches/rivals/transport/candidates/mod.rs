//! One file a candidate: how its two ends are made and used, and nothing about measuring.

#[cfg(feature = "aeron")]
mod aeron;
mod array_queue;
mod cache_line;
mod disruptor;
mod iceoryx;
mod mpsc;
mod rings_bulk;
mod rings_slot;
mod rtrb;

use ::iceoryx2::service::{ipc, local};

use crate::contract::{Across, Failure, Task, Transport};
use crate::sides::{self, Done, Job};

/// Where the two sides live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// Two threads of one process.
    Threads,
    /// Two processes.
    Processes,
}

impl Way {
    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Way::Threads => "threads",
            Way::Processes => "processes",
        }
    }
}

/// A candidate, ready to be run.
#[derive(Clone, Copy)]
pub(crate) struct Candidate {
    /// Its name.
    pub(crate) name: &'static str,
    /// The crate it comes from and its version; `None` for ours and the standard library's.
    pub(crate) built: Option<(&'static str, &'static str)>,
    /// Where its sides live.
    pub(crate) way: Way,
    /// What it can be asked.
    pub(crate) tasks: &'static [Task],
    /// Whether time taken by another process is its own.
    pub(crate) brings_a_process: bool,
    /// One repetition.
    pub(crate) run: fn(Job) -> Result<Done, Failure>,
    peer: Option<fn(Job) -> Result<(), Failure>>,
}

impl Candidate {
    fn threads<T: Transport>() -> Candidate {
        Candidate {
            name: T::NAME,
            built: T::CRATE.and_then(|of| Some((of, version(of)?))),
            way: Way::Threads,
            tasks: T::TASKS,
            brings_a_process: T::BRINGS_A_PROCESS,
            run: sides::in_threads::<T>,
            peer: None,
        }
    }

    fn processes<T: Across>() -> Candidate {
        Candidate {
            way: Way::Processes,
            run: sides::in_processes::<T>,
            peer: Some(sides::peer::<T>),
            ..Candidate::threads::<T>()
        }
    }
}

/// The version of a crate that was built, as locked.
fn version(of: &str) -> Option<&'static str> {
    let mut lines = include_str!("../../Cargo.lock").lines();
    let name = format!("name = \"{of}\"");
    lines.find(|line| *line == name)?;
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

/// All that were built, ours first.
pub(crate) fn all() -> Vec<Candidate> {
    vec![
        Candidate::threads::<cache_line::CacheLine>(),
        Candidate::threads::<rings_slot::RingsSlot>(),
        Candidate::processes::<rings_slot::RingsSlot>(),
        Candidate::threads::<rings_bulk::RingsBulk>(),
        Candidate::processes::<rings_bulk::RingsBulk>(),
        Candidate::threads::<rtrb::Rtrb>(),
        Candidate::threads::<array_queue::Crossbeam>(),
        Candidate::threads::<disruptor::Disruptor>(),
        Candidate::threads::<mpsc::Mpsc>(),
        Candidate::threads::<iceoryx::Iceoryx<local::Service>>(),
        Candidate::processes::<iceoryx::Iceoryx<ipc::Service>>(),
        #[cfg(feature = "aeron")]
        Candidate::threads::<aeron::Aeron>(),
        #[cfg(feature = "aeron")]
        Candidate::processes::<aeron::Aeron>(),
    ]
}

/// What was not built, and why.
pub(crate) fn absent() -> Vec<(&'static str, &'static str)> {
    if cfg!(feature = "aeron") {
        Vec::new()
    } else {
        vec![(
            "Aeron IPC",
            "built without `--features aeron`, which compiles its C driver: cmake 3.30 or later, clang",
        )]
    }
}

/// The other process of a candidate.
pub(crate) fn peer(name: &str, job: Job) -> Result<(), Failure> {
    let peer = all()
        .into_iter()
        .find(|c| c.name == name)
        .and_then(|_| all().into_iter().filter(|c| c.name == name).find_map(|c| c.peer));
    peer.ok_or_else(|| format!("{name} does not cross processes"))?(job)
}

/// The media driver that Aeron's candidates start beside themselves, until it is told to stop.
#[cfg(feature = "aeron")]
pub(crate) fn media_driver(folder: &str) -> Result<(), Failure> {
    aeron::drive(folder)
}

/// First argument of that process.
#[cfg(feature = "aeron")]
pub(crate) use aeron::DRIVER;

#[cfg(test)]
mod tests {
    use agent::cpu;

    use super::*;
    use crate::work::Load;

    /// Every candidate does every task it says it can, between threads, and every word arrives. What starts this
    /// program again is left to `tests/smoke.rs`, which has the program.
    #[test]
    fn every_candidate_delivers_every_word() {
        let cores = cpu::allowed_cores();
        let (core_a, core_b) = (cores[0], cores[cores.len() - 1]);
        for candidate in all().into_iter().filter(|c| c.way == Way::Threads && !c.brings_a_process) {
            for &task in candidate.tasks {
                let load = Load { warm_up: 50, count: 3_000, hint: true };
                let done = (candidate.run)(Job { task, load, core_a, core_b });
                let done = done.unwrap_or_else(|e| panic!("{} {}: {e}", candidate.name, task.word()));
                match task {
                    Task::PingPong => assert_eq!(done.trips_ns.len(), 3_000),
                    Task::Single | Task::Batched => assert!(done.stream_ns > 0),
                }
            }
        }
    }

    #[test]
    fn names_and_ways_are_unique() {
        let all = all();
        for c in &all {
            assert_eq!(all.iter().filter(|o| o.name == c.name && o.way == c.way).count(), 1, "{}", c.name);
            assert_eq!(c.peer.is_some(), c.way == Way::Processes);
            let ours = ["cache line", "rings slot", "rings bulk", "std mpsc"].contains(&c.name);
            assert_eq!(c.built.is_none(), ours, "{}: {:?}", c.name, c.built);
        }
    }
}
