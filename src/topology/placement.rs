//! Agents on threads, threads on cores, joined by rings: built from the configuration, checked once.

use std::fmt;

use crate::agents::{AgentName, Idle};
use crate::config::Config;
use crate::machine::{IdleKind, Profile, Runtime, ThreadTable};
use crate::refusal::TopologyError;
use crate::rings::{CAPACITY_MAX, CAPACITY_MIN, RingSpec};

/// A thread of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Its name.
    pub name: String,
    /// Its agents in stepping order.
    pub agents: Vec<AgentName>,
    /// Its core; `None` = left to the scheduler.
    pub core: Option<usize>,
    /// Its idle strategy.
    pub idle: Idle,
    /// Its SCHED_FIFO priority, 1..=99; `None` = normal class.
    pub fifo: Option<u8>,
}

/// How the placement came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The hot agents on one thread.
    Compact,
    /// A thread for every agent.
    Spread,
    /// By `thread` tables.
    Explicit,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Layout::Compact => "compact",
            Layout::Spread => "spread",
            Layout::Explicit => "explicit",
        })
    }
}

/// What runs where, joined by what. Prints as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Where the placement came from.
    pub layout: Layout,
    /// Cores in use, ascending.
    pub cores: Vec<usize>,
    /// Threads.
    pub threads: Vec<Thread>,
    /// Rings; a ring's index is its number.
    pub rings: Vec<RingSpec>,
}

impl Topology {
    /// Fewest cores for which `auto` means `spread`.
    pub const SPREAD_CORES: usize = AgentName::ALL.len();

    /// The placement that `config` asks for on a host whose cores are `allowed`.
    ///
    /// # Errors
    /// [`TopologyError`]: the first rule broken.
    pub fn build(config: &Config, allowed: &[usize]) -> Result<Topology, TopologyError> {
        let cores = chosen(&config.runtime.cores, allowed)?;
        let layout = match config.engine.profile {
            _ if !config.thread.is_empty() => Layout::Explicit,
            Profile::Compact => Layout::Compact,
            Profile::Spread => Layout::Spread,
            Profile::Auto if cores.len() < Self::SPREAD_CORES => Layout::Compact,
            Profile::Auto => Layout::Spread,
        };
        let mut threads = match layout {
            Layout::Compact => compact(config, &cores)?,
            Layout::Spread => spread(config, &cores)?,
            Layout::Explicit => config.thread.iter().map(|t| explicit(t, &config.runtime)).collect(),
        };
        let fifo = Some(config.runtime.fifo_priority).filter(|&p| p > 0);
        for thread in threads.iter_mut().filter(|t| !t.idle.sleeps()) {
            thread.fifo = fifo;
        }
        let topology = Topology { layout, cores, threads, rings: config.rings.table() };
        topology.validate()?;
        topology.check_apart(&config.runtime.apart)?;
        Ok(topology)
    }

    /// Checks every rule; `build` has done so.
    ///
    /// # Errors
    /// [`TopologyError`]: the first rule broken.
    pub fn validate(&self) -> Result<(), TopologyError> {
        self.check_agents()?;
        self.check_threads()?;
        self.check_sharing()?;
        self.check_rings()
    }

    /// Whether agents that live apart share no thread with others.
    fn check_apart(&self, apart: &[AgentName]) -> Result<(), TopologyError> {
        for &agent in apart {
            let shared =
                self.thread_of(agent).and_then(|t| Some((t, t.agents.iter().find(|&&a| a != agent)?)));
            if let Some((thread, &with)) = shared {
                return Err(TopologyError::NotApart { agent, thread: thread.name.clone(), with });
            }
        }
        Ok(())
    }

    /// The thread that an agent is on.
    pub fn thread_of(&self, agent: AgentName) -> Option<&Thread> {
        self.threads.iter().find(|t| t.agents.contains(&agent))
    }

    /// The ring of this name and its number.
    pub fn ring(&self, name: &str) -> Option<(usize, &RingSpec)> {
        self.rings.iter().enumerate().find(|(_, r)| r.name == name)
    }

    fn check_agents(&self) -> Result<(), TopologyError> {
        for agent in AgentName::ALL {
            let mut places = self
                .threads
                .iter()
                .flat_map(|t| t.agents.iter().filter(|&&a| a == agent).map(|_| t.name.clone()));
            let Some(first) = places.next() else { return Err(TopologyError::NotPlaced { agent }) };
            if let Some(second) = places.next() {
                return Err(TopologyError::PlacedTwice { agent, first, second });
            }
        }
        let with_kill = self.threads.iter().find(|t| t.agents.contains(&AgentName::Kill));
        if let Some(thread) = with_kill
            && let Some(&with) = thread.agents.iter().find(|&&a| a != AgentName::Kill)
        {
            return Err(TopologyError::KillNotAlone { thread: thread.name.clone(), with });
        }
        Ok(())
    }

    fn check_threads(&self) -> Result<(), TopologyError> {
        for (i, thread) in self.threads.iter().enumerate() {
            let name = thread.name.clone();
            if thread.agents.is_empty() {
                return Err(TopologyError::ThreadEmpty { name });
            }
            if self.threads.iter().take(i).any(|t| t.name == name) {
                return Err(TopologyError::ThreadTwice { name });
            }
            match thread.core {
                Some(core) if !self.cores.contains(&core) => {
                    return Err(TopologyError::NoSuchCore { thread: name, core, cores: self.cores.clone() });
                }
                None if thread.fifo.is_some() => return Err(TopologyError::FifoUnpinned { thread: name }),
                _ => {}
            }
        }
        Ok(())
    }

    fn check_sharing(&self) -> Result<(), TopologyError> {
        for thread in &self.threads {
            let Some(core) = thread.core else { continue };
            let mut others = self.threads.iter().filter(|t| t.core == Some(core) && t.name != thread.name);
            if thread.fifo.is_some()
                && let Some(other) = others.clone().next()
            {
                let (thread, other) = (thread.name.clone(), other.name.clone());
                return Err(TopologyError::Starved { core, thread, other });
            }
            if thread.idle.hogs()
                && let Some(other) = others.find(|t| !t.idle.sleeps())
            {
                let (spins, other) = (thread.name.clone(), other.name.clone());
                return Err(TopologyError::CoreContended { core, spins, other });
            }
        }
        Ok(())
    }

    fn check_rings(&self) -> Result<(), TopologyError> {
        for (i, ring) in self.rings.iter().enumerate() {
            let &RingSpec { name, producer, consumer, capacity, .. } = ring;
            if !capacity.is_power_of_two() || !(CAPACITY_MIN..=CAPACITY_MAX).contains(&capacity) {
                return Err(TopologyError::RingCapacity { ring: name, capacity });
            }
            if producer == consumer {
                return Err(TopologyError::RingLoop { ring: name, agent: producer });
            }
            if self.rings.iter().take(i).any(|r| r.name == name) {
                return Err(TopologyError::RingTwice { ring: name });
            }
        }
        Ok(())
    }
}

/// The cores to use, ascending and each once.
fn chosen(wanted: &[usize], allowed: &[usize]) -> Result<Vec<usize>, TopologyError> {
    if let Some(&core) = wanted.iter().find(|c| !allowed.contains(c)) {
        return Err(TopologyError::NotAllowed { core, cores: allowed.to_vec() });
    }
    let mut cores = if wanted.is_empty() { allowed.to_vec() } else { wanted.to_vec() };
    cores.sort_unstable();
    cores.dedup();
    Ok(cores)
}

fn thread(name: &str, agents: &[AgentName], core: usize, idle: Idle) -> Thread {
    Thread { name: name.to_owned(), agents: agents.to_vec(), core: Some(core), idle, fifo: None }
}

/// A thread and a process for each agent that lives apart: on cores of their own, from the last but one downwards, as long
/// as there are enough; else on the last, which then nobody may keep for himself.
fn apart(config: &Config, cores: &[usize], hot: &mut Thread) -> Vec<Thread> {
    let rt = &config.runtime;
    hot.agents.retain(|agent| !rt.apart.contains(agent));
    let own = cores.len() >= rt.apart.len() + 2;
    if !own && !rt.apart.is_empty() {
        hot.idle = Idle::Yield;
    }
    let place = |(i, agent): (usize, &AgentName)| {
        let core = if own { cores[cores.len() - 2 - i] } else { cores[cores.len() - 1] };
        thread(agent.name(), &[*agent], core, if own { Idle::of(rt.idle, rt.park_us) } else { Idle::Yield })
    };
    rt.apart.iter().enumerate().map(place).collect()
}

/// The hot agents on the last core, away from where interrupts tend to land; the rest sleeps on the first. On
/// a single core the hot thread yields, so that kill and housekeeping run when they wake.
fn compact(config: &Config, cores: &[usize]) -> Result<Vec<Thread>, TopologyError> {
    let (Some(&first), Some(&last)) = (cores.first(), cores.last()) else {
        return Err(TopologyError::TooFewCores { layout: Layout::Compact, need: 1, have: 0 });
    };
    let rt = &config.runtime;
    let hot = if first == last { Idle::Yield } else { Idle::of(rt.idle, rt.park_us) };
    let kill = Idle::of(IdleKind::Park, config.kill.poll_us);
    let rest = Idle::of(IdleKind::Park, rt.park_us);
    let mut hot = thread("hot", &AgentName::HOT, last, hot);
    let apart = apart(config, cores, &mut hot);
    let mut threads = vec![
        hot,
        thread("kill", &[AgentName::Kill], first, kill),
        thread("housekeeping", &[AgentName::Housekeeping], first, rest),
    ];
    threads.extend(apart);
    Ok(threads)
}

/// The hot agents on the last four cores in the order of the data's way, kill beside them, housekeeping first.
fn spread(config: &Config, cores: &[usize]) -> Result<Vec<Thread>, TopologyError> {
    let few = TopologyError::TooFewCores {
        layout: Layout::Spread,
        need: Topology::SPREAD_CORES,
        have: cores.len(),
    };
    let Some((own, &[feed, strategy, oms, gateway])) = cores.split_last_chunk::<4>() else { return Err(few) };
    let (&[housekeeping, ..], Some(&kill)) = (own, own.last()) else { return Err(few) };
    if housekeeping == kill {
        return Err(few);
    }
    let rt = &config.runtime;
    let idle = Idle::of(rt.idle, rt.park_us);
    Ok(vec![
        thread("feed", &[AgentName::Feed], feed, idle),
        thread("strategy", &[AgentName::Strategy], strategy, idle),
        thread("oms", &[AgentName::Oms], oms, idle),
        thread("gateway", &[AgentName::Gateway], gateway, idle),
        thread("kill", &[AgentName::Kill], kill, idle),
        thread(
            "housekeeping",
            &[AgentName::Housekeeping],
            housekeeping,
            Idle::of(IdleKind::Park, rt.park_us),
        ),
    ])
}

fn explicit(table: &ThreadTable, rt: &Runtime) -> Thread {
    let idle = Idle::of(table.idle.unwrap_or(rt.idle), table.park_us.unwrap_or(rt.park_us));
    Thread { name: table.name.clone(), agents: table.agents.clone(), core: table.core, idle, fifo: None }
}
