//! Is the maker worth more than the naive quoter? The same seeds, the same market, the same limits, one after the other.
//!
//! Each strategy runs in the one-thread engine against the simulated venue ([`crate::sim`]). What it is worth is read
//! from the venue's own account, not from our books: inventory is how far the base balance has moved, and profit is
//! how far the quote balance has moved, plus the inventory at the mid. Fees are in both, for the venue has taken them.
//! The account is looked at every [`SAMPLE_NS`] of virtual time.

mod table;

use std::path::{Path, PathBuf};

use exchange::Fees;
use topology::{Config, Decimal, Layered, Override, StrategyKind};
use venue_binance::sim::{BinanceSim, SimFaults, SimMarket};

use crate::cli::{CompareArgs, DemoArgs};
use crate::controls::StopState;
use crate::demo::{figures, market, memory};
use crate::engine::{EngineError, in_full};
use crate::sim::wires::WireSettings;
use crate::sim::{Fate, OneThread};

/// Time between two looks at the account, ns.
pub const SAMPLE_NS: u64 = 10_000_000;
/// Looks in a second, for the spread of profits.
const SAMPLES_PER_S: usize = (1_000_000_000 / SAMPLE_NS) as usize;

/// Times that volatility is multiplied by in a gust.
const GUST_FACTOR: f64 = 4.0;

/// The market that both face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Market {
    /// Seconds of it.
    pub seconds: f64,
    /// The venue's fee for makers and takers, parts per million.
    pub fee_ppm: i64,
    /// Times that volatility is multiplied by in a gust; 1 = steady.
    pub gust_factor: f64,
}

impl Market {
    fn of(args: &CompareArgs) -> Market {
        let gust_factor = if args.gusts { GUST_FACTOR } else { 1.0 };
        Market { seconds: args.seconds, fee_ppm: args.fee_ppm, gust_factor }
    }
}

/// What one strategy made of one seed. Amounts in quote and base as people write them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Profit, marked to the mid at the end, after fees; quote.
    pub profit: f64,
    /// Fees paid, base ones at the mid at the end; quote.
    pub fees: f64,
    /// Mean of the inventory over time, base.
    pub inventory_mean: f64,
    /// Variance of the inventory over time, base².
    pub inventory_variance: f64,
    /// Largest inventory either way, base.
    pub inventory_max: f64,
    /// Mean profit of a second over its standard deviation; 0 when nothing moved.
    pub sharpe_1s: f64,
    /// Executions.
    pub fills: u64,
    /// New orders sent.
    pub orders: u64,
    /// New orders that the gate refused.
    pub refused: u64,
}

/// Both strategies on one seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Seed of the market.
    pub seed: u64,
    /// The naive one.
    pub quoter: Outcome,
    /// The other.
    pub maker: Outcome,
}

impl Pair {
    /// The maker's inventory varies less.
    pub fn calmer(&self) -> bool {
        self.maker.inventory_variance < self.quoter.inventory_variance
    }

    /// The maker earns no less.
    pub fn no_poorer(&self) -> bool {
        self.maker.profit >= self.quoter.profit
    }

    /// Both.
    pub fn better(&self) -> bool {
        self.calmer() && self.no_poorer()
    }
}

/// Runs the comparison, prints its table and writes its JSON. Returns the process's exit code: 0 when every run went
/// as asked, whoever won.
pub fn main(args: &CompareArgs) -> i32 {
    let done = config(args).and_then(|config| {
        let mut pairs = Vec::new();
        for seed in args.first_seed..args.first_seed.saturating_add(args.seeds as u64) {
            let pair = pair(&config, seed, &Market::of(args))?;
            if pairs.is_empty() {
                println!("{}", table::head(args));
            }
            println!("{}", table::row(&pair));
            pairs.push(pair);
        }
        println!("{}", table::summary(&pairs));
        match &args.json {
            Some(path) => write_json(path, args, &pairs),
            None => Ok(()),
        }
    });
    match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("corelane: {}", in_full(&error));
            1
        }
    }
}

/// Both strategies on one seed: one configuration, in which only the name of the strategy differs.
///
/// # Errors
/// An engine that cannot be built, or a run that did not end in order, with engine and venue agreeing.
pub fn pair(config: &Config, seed: u64, market: &Market) -> Result<Pair, EngineError> {
    let run = |kind| {
        let mut config = config.clone();
        config.strategy.kind = kind;
        outcome(&config, seed, market)
    };
    Ok(Pair { seed, quoter: run(StrategyKind::Quoter)?, maker: run(StrategyKind::Maker)? })
}

/// Runs the configured strategy on a seed.
///
/// # Errors
/// As [`pair`].
pub fn outcome(config: &Config, seed: u64, market: &Market) -> Result<Outcome, EngineError> {
    let latch = Latch::here();
    let args = DemoArgs { seconds: Some(market.seconds), seed, ..DemoArgs::default() };
    let wires = [WireSettings::default(); 3];
    let mut setup = memory::setup(config, &args, &latch.0, SimFaults::default(), wires)?;
    setup.venue.fees = Fees { maker_ppm: market.fee_ppm, taker_ppm: market.fee_ppm };
    if let SimMarket::Crowd { config, .. } = &mut setup.venue.market {
        config.gust_factor = market.gust_factor;
    }
    let mut engine = OneThread::new(setup)?;
    let mut account = Account::open(config, engine.venue())?;
    let fate = loop {
        let fate = engine.run_for(SAMPLE_NS);
        account.look(engine.venue());
        if fate != Fate::Running {
            break fate;
        }
    };
    let confirmed = engine.controls().stop() == StopState::Confirmed;
    let assets = engine.assets().to_vec();
    let (fills, mid) = (engine.venue().fills(), account.mid);
    let ended = engine.finish(fate);
    let agreement = figures::agreement(&ended.oms, &assets, confirmed, ended.venue_open_orders);
    if fate != Fate::Quiesced || !agreement.holds() {
        let why = format!("seed {seed}: {fate:?}; {}", agreement.differences.join("; "));
        return Err(EngineError::Start { what: "comparison", why });
    }
    let fees = |n: usize| ended.oms.assets.get(n).map_or(0.0, |a| a.fees as f64 / 1e8);
    let refused = |n: &&(String, u64)| n.0.starts_with("oms.gate_");
    Ok(Outcome {
        fees: fees(0) * mid + fees(1),
        fills,
        orders: figures::counter(&ended.stats, "gateway.orders_sent"),
        refused: ended.stats.counters.iter().filter(refused).map(|n| n.1).sum(),
        ..account.outcome()
    })
}

fn config(args: &CompareArgs) -> Result<Config, EngineError> {
    let refuse = |why: String| EngineError::Start { what: "configuration", why };
    let text = match &args.config {
        None => market::DEMO_TOML.to_owned(),
        Some(path) => {
            std::fs::read_to_string(path).map_err(|e| refuse(format!("{}: {e}", path.display())))?
        }
    };
    let mut config = Config::default();
    // The limits must admit both strategies, not only the one that the file names.
    for kind in ["quoter", "maker"] {
        let chosen = Override::from_set(&format!("strategy.kind={kind}"));
        let layered = chosen.and_then(|chosen| Layered::read(&text, &[chosen]));
        config = layered.map_err(|e| refuse(e.to_string()))?.config;
    }
    let (quoter, maker) = (&config.strategy.quoter, &config.strategy.maker);
    if maker.size * Decimal::from(maker.levels) > quoter.size || maker.position_max > quoter.position_max {
        let why = "strategy.maker: must quote and hold no more than strategy.quoter: levels * size and position_max";
        return Err(refuse(why.into()));
    }
    Ok(config)
}

fn write_json(path: &Path, args: &CompareArgs, pairs: &[Pair]) -> Result<(), EngineError> {
    let text = format!("{:#}\n", table::json(args, pairs));
    std::fs::write(path, text)
        .map_err(|e| EngineError::Start { what: "--json", why: format!("{}: {e}", path.display()) })
}

/// A directory for the kill latch of one run, removed with it.
struct Latch(PathBuf);

impl Latch {
    fn here() -> Latch {
        use std::sync::atomic::{AtomicU64, Ordering};
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        Latch(std::env::temp_dir().join(format!("corelane-compare-{}-{run}", std::process::id())))
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        // It concerns this run only; what cannot be removed says whose it was.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The venue's account over time.
struct Account {
    /// Balances at the start: base, quote.
    start: (f64, f64),
    px_scale: f64,
    mid: f64,
    inventory: f64,
    profit: f64,
    samples: u64,
    sum: f64,
    squares: f64,
    max: f64,
    /// Profit at the end of each second.
    seconds: Vec<f64>,
}

impl Account {
    fn open(config: &Config, venue: &BinanceSim) -> Result<Account, EngineError> {
        let px_decimals = market::instrument(config)?.px_decimals;
        Ok(Account {
            start: held(venue),
            px_scale: 10f64.powi(px_decimals as i32),
            mid: 0.0,
            inventory: 0.0,
            profit: 0.0,
            samples: 0,
            sum: 0.0,
            squares: 0.0,
            max: 0.0,
            seconds: Vec::new(),
        })
    }

    fn look(&mut self, venue: &BinanceSim) {
        if let (Some((bid, _)), Some((ask, _))) = venue.best() {
            self.mid = (bid.0 as f64 + ask.0 as f64) / 2.0 / self.px_scale;
        }
        let (base, quote) = held(venue);
        self.inventory = base - self.start.0;
        self.profit = quote - self.start.1 + self.inventory * self.mid;
        self.samples += 1;
        self.sum += self.inventory;
        self.squares += self.inventory * self.inventory;
        self.max = self.max.max(self.inventory.abs());
        if self.samples.is_multiple_of(SAMPLES_PER_S as u64) {
            self.seconds.push(self.profit);
        }
    }

    fn outcome(&self) -> Outcome {
        let n = self.samples.max(1) as f64;
        let mean = self.sum / n;
        let steps: Vec<f64> = self.seconds.windows(2).map(|w| w[1] - w[0]).collect();
        Outcome {
            profit: self.profit,
            inventory_mean: mean,
            inventory_variance: (self.squares / n - mean * mean).max(0.0),
            inventory_max: self.max,
            sharpe_1s: table::Spread::of(&steps).ratio(),
            ..Outcome::default()
        }
    }
}

/// What the account holds, free and locked: base, quote.
fn held(venue: &BinanceSim) -> (f64, f64) {
    let total = |n: usize| {
        let held = venue.balances().get(n).map(|(_, free, locked)| *free + *locked);
        held.and_then(|d| f64::try_from(d).ok()).unwrap_or(0.0)
    };
    (total(0), total(1))
}
