//! The maker against the naive quoter on a few seeds: what `corelane compare` shows of twenty, held on a bounded few.
//!
//! The parameters were chosen on seeds from 101, in both markets; these are others. `CORELANE_COMPARE_SEEDS` asks for
//! more than the default three.

use corelane::compare::{self, Market, Pair};
use corelane::demo::market::DEMO_TOML;
use topology::Config;

const GUSTY: Market = Market { seconds: 12.0, fee_ppm: 0, gust_factor: 4.0 };

fn pairs(market: &Market) -> Vec<Pair> {
    let seeds = std::env::var("CORELANE_COMPARE_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3u64);
    let config = Config::parse(DEMO_TOML).expect("the demo's configuration");
    (1..=seeds).map(|seed| compare::pair(&config, seed, market).expect("a run that ends in order")).collect()
}

fn sum(pairs: &[Pair], what: impl Fn(&Pair) -> f64) -> f64 {
    pairs.iter().map(what).sum()
}

/// In the steady market both earn their spread; the maker with less inventory.
#[test]
fn a_steady_market() {
    let pairs = pairs(&Market { gust_factor: 1.0, ..GUSTY });
    let (maker, quoter) =
        (sum(&pairs, |p| p.maker.inventory_variance), sum(&pairs, |p| p.quoter.inventory_variance));
    assert!(maker < quoter, "inventory variance: maker {maker}, quoter {quoter}: {pairs:#?}");
    let (maker, quoter) = (sum(&pairs, |p| p.maker.profit), sum(&pairs, |p| p.quoter.profit));
    // Seconds, not minutes: profits of so few fills are told apart only roughly.
    assert!(maker > 0.8 * quoter && quoter > 0.0, "profit: maker {maker}, quoter {quoter}: {pairs:#?}");
    for p in &pairs {
        assert!(p.maker.fills > 20 && p.quoter.fills > 20, "both trade: {p:?}");
        assert_eq!(p.maker.fees, 0.0);
        assert_eq!(p.maker.refused, 0, "the maker keeps within the gate's rate: {p:?}");
    }
}

/// When volatility comes in gusts, the maker stands back: it risks less than half, and still earns.
#[test]
fn a_market_with_gusts() {
    let pairs = pairs(&GUSTY);
    let (maker, quoter) =
        (sum(&pairs, |p| p.maker.inventory_variance), sum(&pairs, |p| p.quoter.inventory_variance));
    assert!(maker < 0.5 * quoter, "inventory variance: maker {maker}, quoter {quoter}: {pairs:#?}");
    // Whose profit is larger in so short a time is chance; that of twenty minutes is in the table of README.md.
    assert!(sum(&pairs, |p| p.maker.profit) > 0.0, "{pairs:#?}");
}

/// The same seed is the same market and the same outcome; a fee is found in fees and profit alike.
#[test]
fn outcomes_repeat_and_fees_count() {
    let config = Config::parse(DEMO_TOML).expect("the demo's configuration");
    let market = Market { seconds: 4.0, ..GUSTY };
    let once = compare::pair(&config, 5, &market).expect("a run");
    assert_eq!(once, compare::pair(&config, 5, &market).expect("a run"));
    let dear = compare::pair(&config, 5, &Market { fee_ppm: 1_000, ..market }).expect("a run");
    for (free, dear) in [(once.quoter, dear.quoter), (once.maker, dear.maker)] {
        assert!(dear.fees > 0.0 && free.fees == 0.0);
        // Fees change nothing that the strategies see.
        assert_eq!((free.orders, free.fills), (dear.orders, dear.fills));
        let lost = free.profit - dear.profit;
        assert!((lost - dear.fees).abs() < 1e-6 + 1e-3 * dear.fees, "lost {lost}, fees {}", dear.fees);
    }
}
