//! The whole configuration as one checked value.

use serde::{Deserialize, Serialize};

use crate::control::Control;
use crate::error::ConfigError;
use crate::journal::Journal;
use crate::layers::Layered;
use crate::lines::Checker;
use crate::machine::{Engine, Net, RingSizes, Runtime, ThreadTable};
use crate::market::{Feed, Instrument, Venue};
use crate::trading::{Kill, Risk, Strategy};

/// The configuration that is shipped: complete, commented, equal to `Config::default()`.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// Everything that can be set. A key that is not in the text has the value of [`DEFAULT_TOML`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Directories and placement.
    pub engine: Engine,
    /// The venue and how it is reached.
    pub venue: Venue,
    /// What is traded.
    pub instrument: Instrument,
    /// Parameters of the strategies.
    pub strategy: Strategy,
    /// Limits of the gate.
    pub risk: Risk,
    /// The kill switch.
    pub kill: Kill,
    /// Who may steer a running engine.
    pub control: Control,
    /// What is recorded.
    pub journal: Journal,
    /// Connections.
    pub net: Net,
    /// Market data.
    pub feed: Feed,
    /// Threads and memory.
    pub runtime: Runtime,
    /// Capacities of the rings.
    pub rings: RingSizes,
    /// An explicit placement; empty = by profile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thread: Vec<ThreadTable>,
}

impl Config {
    /// Reads and checks TOML text of at most 1 MiB.
    ///
    /// ```
    /// use topology::Config;
    ///
    /// let config = Config::parse("[risk]\ncollar_bps = 50\n")?;
    /// assert_eq!(config.risk.collar_bps, 50);
    ///
    /// let refused = Config::parse("[risk]\ncollar_bps = 0\n").expect_err("a collar of nothing");
    /// assert_eq!(refused.to_string(), "line 2: risk.collar_bps = 0: must be 1..=5000");
    /// # Ok::<(), topology::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`]: text that is not TOML, else every unknown key, wrong type and broken rule; behind a wrong type
    /// within an array or an inline table the others may stay unseen until it is mended.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        Layered::read(text, &[]).map(|layered| layered.config)
    }

    pub(crate) fn check(&self, c: &mut Checker<'_>) {
        self.engine.check(c);
        self.venue.check(c);
        self.instrument.check(c);
        self.strategy.check(&self.risk, c);
        self.risk.check(c);
        self.kill.check(c);
        self.control.check(c);
        self.journal.check(c);
        self.net.check(c);
        self.feed.check(c);
        self.runtime.check(self.journal.on, c);
        self.rings.check(c);
        for (i, thread) in self.thread.iter().enumerate() {
            thread.check(i, c);
        }
    }
}
