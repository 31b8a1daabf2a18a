//! Why a placement is refused: one variant a rule.

use crate::agents::AgentName;
use crate::placement::Layout;

/// Why a placement was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// A name that is no agent's.
    #[error("agent {name:?} is unknown; agents are feed, strategy, oms, gateway, kill, housekeeping")]
    UnknownAgent {
        /// The name.
        name: String,
    },
    /// An agent without a thread.
    #[error("agent {agent} is on no thread; each must be on exactly one")]
    NotPlaced {
        /// Which.
        agent: AgentName,
    },
    /// An agent with two places.
    #[error("agent {agent} is on thread {first:?} and again on {second:?}; each must be on exactly one")]
    PlacedTwice {
        /// Which.
        agent: AgentName,
        /// First place.
        first: String,
        /// Second place, maybe the same thread.
        second: String,
    },
    /// The kill switch must not wait for anybody's cycle.
    #[error("kill shares thread {thread:?} with {with}; it must have a thread of its own")]
    KillNotAlone {
        /// The thread.
        thread: String,
        /// Whom it shares with.
        with: AgentName,
    },
    /// An agent that lives in a process of its own.
    #[error("{agent} lives apart, but shares thread {thread:?} with {with}; give it a thread of its own")]
    NotApart {
        /// The agent.
        agent: AgentName,
        /// The thread.
        thread: String,
        /// Whom it shares with.
        with: AgentName,
    },
    /// Two threads of one name.
    #[error("thread {name:?} is named twice")]
    ThreadTwice {
        /// The name.
        name: String,
    },
    /// A thread without agents.
    #[error("thread {name:?} has no agent")]
    ThreadEmpty {
        /// The name.
        name: String,
    },
    /// A thread on a core that is not there.
    #[error("thread {thread:?} is on core {core}, but this process may use {cores:?}")]
    NoSuchCore {
        /// The thread.
        thread: String,
        /// The core.
        core: usize,
        /// What there is.
        cores: Vec<usize>,
    },
    /// `runtime.cores` names a core that is not there.
    #[error("runtime.cores names core {core}, but this process may use {cores:?}")]
    NotAllowed {
        /// The core.
        core: usize,
        /// What there is.
        cores: Vec<usize>,
    },
    /// A profile that needs more cores.
    #[error("profile {layout} needs {need} cores, there are {have}; use profile \"compact\"")]
    TooFewCores {
        /// The profile.
        layout: Layout,
        /// How many it needs.
        need: usize,
        /// How many there are.
        have: usize,
    },
    /// A spinning thread that has its core not to itself.
    #[error(
        "thread {spins:?} spins on core {core}, which {other:?} does not leave to it; let {spins:?} yield, or \
         {other:?} park"
    )]
    CoreContended {
        /// The core.
        core: usize,
        /// Who spins.
        spins: String,
        /// Who else never sleeps there.
        other: String,
    },
    /// A FIFO thread that never sleeps starves everybody else on its core.
    #[error(
        "thread {thread:?} would run SCHED_FIFO without ever sleeping and starve {other:?} on core {core}; set \
         runtime.fifo_priority = 0"
    )]
    Starved {
        /// The core.
        core: usize,
        /// The FIFO thread.
        thread: String,
        /// Who starves.
        other: String,
    },
    /// A FIFO thread without a core of its own.
    #[error(
        "thread {thread:?} would run SCHED_FIFO unpinned; give it a core, or set runtime.fifo_priority = 0"
    )]
    FifoUnpinned {
        /// The thread.
        thread: String,
    },
    /// A capacity that masks cannot address.
    #[error("ring {ring}: capacity {capacity} must be a power of two, 64..=1048576")]
    RingCapacity {
        /// The ring.
        ring: &'static str,
        /// Its capacity.
        capacity: usize,
    },
    /// A ring from an agent to itself.
    #[error("ring {ring} leads from {agent} to itself")]
    RingLoop {
        /// The ring.
        ring: &'static str,
        /// The agent.
        agent: AgentName,
    },
    /// Two rings of one name.
    #[error("ring {ring} is named twice")]
    RingTwice {
        /// The name.
        ring: &'static str,
    },
}
