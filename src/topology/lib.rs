//! What runs where, and by which numbers: the typed configuration and the table of agents, threads, cores and
//! rings that follows from it.
//!
//! ```text
//!   TOML text ── Config::parse ──▶ Config ── Topology::build(cores of this host) ──▶ Topology ──▶ wiring
//!                    │ refused                        │ refused
//!                    ▼                                ▼
//!      ConfigError: every problem, with line    TopologyError: the rule broken
//! ```
//!
//! - Raw text becomes a checked [`Config`] once; only that value travels. Unknown keys are refused, numbers have
//!   ranges, and decimals are quoted text that is read exactly.
//! - [`DEFAULT_TOML`] is complete and says of each key what it does, its unit, its range and what happens when
//!   it is wrong. It parses to exactly `Config::default()`.
//! - Secrets are never in the file. [`Credentials`] reads them from the environment or from files that only
//!   their owner can read, and prints as nothing.
//! - [`Topology`] prints as a table that can be read aloud.
//!
//! Absent on purpose: threads, pinning, rings themselves. This crate starts nothing and asks the host nothing;
//! the cores are an argument.

#![forbid(unsafe_code)]

mod agents;
mod config;
mod control;
mod credentials;
mod error;
mod exact;
mod journal;
mod layers;
mod lines;
mod machine;
mod maker;
mod market;
mod placement;
mod refusal;
mod rings;
mod table;
mod trading;

pub use agents::{AgentName, Idle};
pub use config::{Config, DEFAULT_TOML};
pub use control::Control;
pub use credentials::{Credentials, CredentialsError, Secret};
pub use error::{ConfigError, Origin, Problem};
pub use exact::{ExactError, mantissa, parse_exact};
pub use journal::{Journal, WhenFull};
pub use layers::{ENV_PREFIX, Layered, Override};
pub use machine::{Backend, Engine, IdleKind, Net, Profile, RingSizes, Runtime, ThreadTable};
pub use maker::{Maker, MakerModel};
pub use market::{Endpoint, Feed, Filters, Instrument, Venue, VenueKind};
pub use placement::{Layout, Thread, Topology};
pub use refusal::TopologyError;
pub use rings::{BackPressure, CAPACITY_MAX, CAPACITY_MIN, RingSpec};
pub use rust_decimal::Decimal;
pub use trading::{Kill, Quoter, Risk, SelfTrade, Strategy, StrategyKind};
