//! The agents by name, and what a thread of theirs does when idle.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::machine::IdleKind;
use crate::refusal::TopologyError;

/// An agent of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentName {
    /// Market data: bytes to books and events.
    Feed,
    /// Events to intents.
    Strategy,
    /// Risk gate, order state, positions.
    Oms,
    /// Orders to the wire, reports from it.
    Gateway,
    /// The kill switch.
    Kill,
    /// Connecting, snapshots, and all that may block.
    Housekeeping,
}

impl AgentName {
    /// All, in the order of the data's way.
    pub const ALL: [AgentName; 6] = [
        AgentName::Feed,
        AgentName::Strategy,
        AgentName::Oms,
        AgentName::Gateway,
        AgentName::Kill,
        AgentName::Housekeeping,
    ];

    /// The agents that every message passes.
    pub(crate) const HOT: [AgentName; 4] =
        [AgentName::Feed, AgentName::Strategy, AgentName::Oms, AgentName::Gateway];

    /// Its name in tables and reports.
    pub const fn name(self) -> &'static str {
        match self {
            AgentName::Feed => "feed",
            AgentName::Strategy => "strategy",
            AgentName::Oms => "oms",
            AgentName::Gateway => "gateway",
            AgentName::Kill => "kill",
            AgentName::Housekeeping => "housekeeping",
        }
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for AgentName {
    type Err = TopologyError;

    fn from_str(text: &str) -> Result<AgentName, TopologyError> {
        let known = AgentName::ALL.into_iter().find(|a| a.name() == text);
        known.ok_or_else(|| TopologyError::UnknownAgent { name: text.to_owned() })
    }
}

/// What a thread does when there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Idle {
    /// Look again at once.
    Spin,
    /// One PAUSE.
    Pause,
    /// `sched_yield`.
    Yield,
    /// Sleep this long, ns.
    Park {
        /// Time, ns, at least 1.
        ns: u64,
    },
}

impl Idle {
    pub(crate) fn of(kind: IdleKind, park_us: u32) -> Idle {
        match kind {
            IdleKind::Spin => Idle::Spin,
            IdleKind::Pause => Idle::Pause,
            IdleKind::Yield => Idle::Yield,
            IdleKind::Park => Idle::Park { ns: u64::from(park_us) * 1_000 },
        }
    }

    /// Whether the core is given away between looks.
    pub const fn sleeps(self) -> bool {
        matches!(self, Idle::Park { .. })
    }

    /// Whether it never lets another thread of its core run.
    pub(crate) const fn hogs(self) -> bool {
        matches!(self, Idle::Spin | Idle::Pause)
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Idle::Spin => f.pad("spin"),
            Idle::Pause => f.pad("pause"),
            Idle::Yield => f.pad("yield"),
            Idle::Park { ns } => f.pad(&format!("park {} us", ns / 1_000)),
        }
    }
}
