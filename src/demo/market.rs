//! The simulated venue of the demo: its one instrument, its account, and where its prices come from.

use std::path::PathBuf;

use exchange::{CrowdConfig, Fees};
use topology::{Config, Decimal};
use venue_binance::Credentials;
use venue_binance::sim::{CaptureFiles, SimAccount, SimConfig, SimFaults, SimLimits, SimMarket};
use wire::{Instrument, Px};

use crate::engine::EngineError;

/// Shipped configuration of the demo.
pub const DEMO_TOML: &str = include_str!("demo.toml");

/// Price around which the simulated market moves, quote.
const REFERENCE: i64 = 60_000;
/// Turns of the crowd in a second; they make some 1,700 messages.
const CROWD_ACTIONS_PER_S: f64 = 4_000.0;
/// Opening balances: base, quote.
const BASE: i64 = 10;
const QUOTE: i64 = 1_000_000;
/// Fees of the venue's entry tier, parts per million of what is received.
const FEES: Fees = Fees { maker_ppm: 1_000, taker_ppm: 1_000 };
/// Key and secret of the simulated account; they open nothing else.
pub(super) const KEYS: (&str, &str) = (API_KEY, API_SECRET);
const API_KEY: &str = "corelaneDemoKeyOfTheSimulatedVenueOnly00000000000000000000000001";
const API_SECRET: &str = "corelaneDemoSecretOfTheSimulatedVenueOnly0000000000000000000001";

/// The instrument that the configuration fixes.
///
/// # Errors
/// It has no filters.
pub fn instrument(config: &Config) -> Result<Instrument, EngineError> {
    config.instrument.fixed().ok_or(EngineError::Start {
        what: "instrument.filters",
        why: "the simulated venue lists what this table says: give all of it".into(),
    })
}

/// The credentials of the simulated account.
///
/// # Errors
/// None in practice: the constants are valid.
pub fn credentials() -> Result<Credentials, EngineError> {
    Ok(Credentials::new(API_KEY.into(), API_SECRET.into())?)
}

/// The venue: a seeded crowd, or recordings one after the other.
///
/// # Errors
/// A recording that cannot be opened, or an instrument without filters.
pub fn sim_config(
    config: &Config,
    seed: u64,
    replay: &[PathBuf],
    faults: SimFaults,
) -> Result<SimConfig, EngineError> {
    let instrument = instrument(config)?;
    let market = if replay.is_empty() {
        let reference = REFERENCE * wire::POW10[instrument.px_decimals as usize];
        let crowd = CrowdConfig::around(&instrument, Px(reference));
        SimMarket::Crowd { seed, config: CrowdConfig { actions_per_s: CROWD_ACTIONS_PER_S, ..crowd } }
    } else {
        let files = CaptureFiles::open(replay)
            .map_err(|e| EngineError::Start { what: "--replay", why: e.to_string() })?;
        SimMarket::Recorded { lines: Box::new(files) }
    };
    Ok(SimConfig {
        instrument,
        market,
        account: SimAccount {
            api_key: API_KEY.into(),
            secret: API_SECRET.into(),
            base: Decimal::from(BASE),
            quote: Decimal::from(QUOTE),
        },
        fees: FEES,
        depth_interval_ms: 100,
        // Wide enough that the engine's own limits, which are the ones on show, bind first.
        limits: SimLimits { orders_per_10s: 5_000, weight_per_min: 600_000, ..SimLimits::default() },
        faults,
    })
}
