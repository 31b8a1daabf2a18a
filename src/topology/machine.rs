//! How the engine sits on the host: sections `engine`, `net`, `runtime`, `rings` and `thread`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::agents::AgentName;
use crate::lines::Checker;
use crate::rings::{CAPACITY_MAX, CAPACITY_MIN};

/// Which placement of agents is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// `compact` with fewer than six cores, else `spread`.
    #[default]
    Auto,
    /// feed, strategy, oms and gateway on one thread.
    Compact,
    /// A thread and a core for every agent.
    Spread,
}

/// Section `engine`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// Directory of what must survive: the kill latch.
    pub state_dir: PathBuf,
    /// Base directory of the named shared-memory files; empty = `/dev/shm/corelane-<uid>`.
    pub shm_dir: PathBuf,
    /// Placement, unless `thread` tables are given.
    pub profile: Profile,
}

impl Default for Engine {
    fn default() -> Self {
        Engine {
            state_dir: PathBuf::from("/var/lib/corelane"),
            shm_dir: PathBuf::new(),
            profile: Profile::Auto,
        }
    }
}

impl Engine {
    pub(crate) fn check(&self, c: &mut Checker<'_>) {
        c.absolute("engine.state_dir", &self.state_dir);
        c.absolute_or_none("engine.shm_dir", &self.shm_dir);
        c.rule(
            "engine.shm_dir",
            self.shm_dir.display(),
            self.shm_dir != self.state_dir,
            "must differ from engine.state_dir: one is lost at boot, the other must not be",
        );
    }
}

/// How sockets are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// io_uring with multishot receive.
    #[default]
    Uring,
    /// Non-blocking `recv`.
    Recv,
}

/// Section `net`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Net {
    /// I/O back end.
    pub backend: Backend,
    /// Deadline of the TCP connect, name resolution included, ms.
    pub connect_ms: u32,
    /// Deadline of the TLS handshake, ms.
    pub tls_ms: u32,
    /// Deadline of the WebSocket upgrade, ms.
    pub upgrade_ms: u32,
    /// Deadline of the first message after the upgrade, ms.
    pub first_message_ms: u32,
    /// Shortest wait before connecting again, ms.
    pub backoff_min_ms: u32,
    /// Longest wait before connecting again, ms.
    pub backoff_max_ms: u32,
    /// Age at which an order connection is replaced, s.
    pub connection_life_s: u32,
}

impl Default for Net {
    fn default() -> Self {
        Net {
            backend: Backend::Uring,
            connect_ms: 5_000,
            tls_ms: 5_000,
            upgrade_ms: 5_000,
            first_message_ms: 10_000,
            backoff_min_ms: 100,
            backoff_max_ms: 30_000,
            connection_life_s: 82_800,
        }
    }
}

impl Net {
    pub(crate) fn check(&self, c: &mut Checker<'_>) {
        for (key, ms) in [
            ("net.connect_ms", self.connect_ms),
            ("net.tls_ms", self.tls_ms),
            ("net.upgrade_ms", self.upgrade_ms),
            ("net.first_message_ms", self.first_message_ms),
        ] {
            c.range(key, ms, 10, 120_000);
        }
        c.range("net.backoff_min_ms", self.backoff_min_ms, 1, 600_000);
        c.range("net.backoff_max_ms", self.backoff_max_ms, 1, 600_000);
        c.range("net.connection_life_s", self.connection_life_s, 2, 86_400);
        c.rule(
            "net.backoff_max_ms",
            self.backoff_max_ms,
            self.backoff_min_ms <= self.backoff_max_ms,
            format_args!("must not be less than net.backoff_min_ms = {}", self.backoff_min_ms),
        );
    }
}

/// Idle strategy by name; see `agent::Idle` for what each costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdleKind {
    /// Look again at once.
    Spin,
    /// One PAUSE.
    #[default]
    Pause,
    /// `sched_yield`.
    Yield,
    /// Sleep.
    Park,
}

/// Section `runtime`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Runtime {
    /// Idle strategy of threads that have a core to themselves.
    pub idle: IdleKind,
    /// Sleep of a thread that parks, µs.
    pub park_us: u32,
    /// A duty cycle that takes longer is counted as slow, µs.
    pub slow_cycle_us: u32,
    /// Without market data for so long the way of an order is kept warm, ms; 0 = never.
    pub warm_up_quiet_ms: u32,
    /// Time between two orders that keep it warm, ms.
    pub warm_up_every_ms: u32,
    /// SCHED_FIFO priority of threads that never sleep; 0 = normal class.
    pub fifo_priority: u8,
    /// Lock all memory.
    pub mlock: bool,
    /// Rings in pages of 2 MiB.
    pub huge_pages: bool,
    /// Cores to use; empty = all that the process may use.
    pub cores: Vec<usize>,
    /// Agents that live in processes of their own: strategy, gateway or both.
    pub apart: Vec<AgentName>,
    /// How long such an agent may be silent before it counts as gone, ms.
    pub away_ms: u32,
}

impl Default for Runtime {
    fn default() -> Self {
        Runtime {
            idle: IdleKind::Pause,
            park_us: 200,
            slow_cycle_us: 100,
            warm_up_quiet_ms: 10,
            warm_up_every_ms: 10,
            fifo_priority: 0,
            mlock: false,
            huge_pages: false,
            cores: Vec::new(),
            apart: Vec::new(),
            away_ms: 500,
        }
    }
}

/// Highest core number that the kernel's affinity mask can name.
const CORE_MAX: usize = 1_023;

impl Runtime {
    pub(crate) fn check(&self, journal_on: bool, c: &mut Checker<'_>) {
        c.range("runtime.park_us", self.park_us, 1, 1_000_000);
        c.range("runtime.slow_cycle_us", self.slow_cycle_us, 1, 1_000_000);
        c.range("runtime.warm_up_quiet_ms", self.warm_up_quiet_ms, 0, 60_000);
        c.range("runtime.warm_up_every_ms", self.warm_up_every_ms, 1, 60_000);
        c.range("runtime.fifo_priority", self.fifo_priority, 0, 99);
        for (i, core) in self.cores.iter().enumerate() {
            let key = format!("runtime.cores[{i}]");
            c.range(&key, *core, 0, CORE_MAX);
            let first = self.cores.iter().position(|other| other == core) == Some(i);
            c.rule(&key, core, first, "must be named once");
        }
        c.range("runtime.away_ms", self.away_ms, 10, 60_000);
        for (i, agent) in self.apart.iter().enumerate() {
            let key = format!("runtime.apart[{i}]");
            c.rule(
                &key,
                agent,
                matches!(agent, AgentName::Strategy | AgentName::Gateway),
                "must be strategy or gateway: the others live in the engine's process",
            );
            let first = self.apart.iter().position(|other| other == agent) == Some(i);
            c.rule(&key, agent, first, "must be named once");
        }
        c.rule(
            "runtime.apart",
            format_args!("[{}]", self.apart.iter().map(|a| a.name()).collect::<Vec<_>>().join(", ")),
            self.apart.is_empty() || !journal_on,
            "must be empty while journal.on = true: a journal holds the one order of all that happens in a process",
        );
    }
}

/// Section `rings`: capacities in messages of 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RingSizes {
    /// Market data, feed to strategy.
    pub market_strategy: usize,
    /// Market data, feed to oms.
    pub market_oms: usize,
    /// Intents, strategy to oms.
    pub signal: usize,
    /// Orders, oms to gateway.
    pub order: usize,
    /// What the venue said, gateway to oms.
    pub report_oms: usize,
    /// Order states and fills, oms to strategy.
    pub report_strategy: usize,
}

impl Default for RingSizes {
    /// Market rings hold several snapshots of 1,000 levels a side; the others more orders than can be open.
    fn default() -> Self {
        RingSizes {
            market_strategy: 16_384,
            market_oms: 16_384,
            signal: 1_024,
            order: 1_024,
            report_oms: 4_096,
            report_strategy: 4_096,
        }
    }
}

impl RingSizes {
    pub(crate) fn check(&self, c: &mut Checker<'_>) {
        for (key, capacity) in [
            ("rings.market_strategy", self.market_strategy),
            ("rings.market_oms", self.market_oms),
            ("rings.signal", self.signal),
            ("rings.order", self.order),
            ("rings.report_oms", self.report_oms),
            ("rings.report_strategy", self.report_strategy),
        ] {
            c.range(key, capacity, CAPACITY_MIN, CAPACITY_MAX);
            c.rule(key, capacity, capacity.is_power_of_two(), "must be a power of two");
        }
    }
}

/// A `thread` table: an explicit placement, instead of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThreadTable {
    /// Name of the thread.
    pub name: String,
    /// Its agents, in the order in which each turn steps them.
    pub agents: Vec<AgentName>,
    /// Core to pin to; absent = left to the scheduler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core: Option<usize>,
    /// Idle strategy; absent = `runtime.idle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdleKind>,
    /// Sleep when it parks, µs; absent = `runtime.park_us`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub park_us: Option<u32>,
}

impl ThreadTable {
    pub(crate) fn check(&self, i: usize, c: &mut Checker<'_>) {
        let key = |name: &str| format!("thread[{i}].{name}");
        let word = (1..=15).contains(&self.name.len())
            && self.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        c.rule(&key("name"), &self.name, word, "must be 1 to 15 of a-z, A-Z, 0-9, - and _");
        c.range(&key("core"), self.core.unwrap_or(0), 0, CORE_MAX);
        c.range(&key("park_us"), self.park_us.unwrap_or(1), 1, 1_000_000);
    }
}
