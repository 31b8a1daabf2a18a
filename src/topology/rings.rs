//! The rings that join the agents, as data.

use std::fmt;

use crate::agents::AgentName;
use crate::machine::RingSizes;

/// Smallest capacity of a ring, messages.
pub const CAPACITY_MIN: usize = 64;

/// Largest capacity of a ring, messages: 64 MiB.
pub const CAPACITY_MAX: usize = 1 << 20;

/// What a producer does when its ring is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackPressure {
    /// Drop and count, tell the consumer that it was lapped; it resynchronises before it acts again. The
    /// producer never waits.
    Lap,
    /// Refuse the new message with a reason; nothing is half done.
    Refuse,
    /// Take no more input until there is room; nothing is lost.
    Hold,
    /// Trading halts until a person has looked: a consumer that missed this must not go on.
    Halt,
}

impl BackPressure {
    /// The policy in words.
    pub const fn text(self) -> &'static str {
        match self {
            BackPressure::Lap => "drop and count; the consumer resynchronises before it acts",
            BackPressure::Refuse => "refuse the message with a reason",
            BackPressure::Hold => "the producer takes no more input until there is room",
            BackPressure::Halt => "trading halts; a consumer that missed an answer must not go on",
        }
    }
}

impl fmt::Display for BackPressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// A ring of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSpec {
    /// Name, also of its key in section `rings`.
    pub name: &'static str,
    /// Who writes.
    pub producer: AgentName,
    /// Who reads.
    pub consumer: AgentName,
    /// Slots, a power of two.
    pub capacity: usize,
    /// What happens when it is full.
    pub when_full: BackPressure,
}

impl RingSizes {
    /// The rings of the engine. A ring's place in this order is its number.
    pub fn table(&self) -> Vec<RingSpec> {
        use AgentName::{Feed, Gateway, Oms, Strategy};
        use BackPressure::{Halt, Hold, Lap, Refuse};
        let ring = |name, producer, consumer, capacity, when_full| RingSpec {
            name,
            producer,
            consumer,
            capacity,
            when_full,
        };
        vec![
            ring("market_strategy", Feed, Strategy, self.market_strategy, Lap),
            ring("market_oms", Feed, Oms, self.market_oms, Lap),
            ring("signal", Strategy, Oms, self.signal, Refuse),
            ring("order", Oms, Gateway, self.order, Refuse),
            ring("report_oms", Gateway, Oms, self.report_oms, Hold),
            ring("report_strategy", Oms, Strategy, self.report_strategy, Halt),
        ]
    }
}
