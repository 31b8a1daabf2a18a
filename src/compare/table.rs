//! The comparison for people and for programs.

use serde_json::{Value, json};

use super::{Outcome, Pair};
use crate::cli::CompareArgs;

/// Mean and spread of some numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spread {
    pub(super) mean: f64,
    /// Standard deviation, of a sample; 0 with fewer than two.
    pub(super) sd: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    pub(super) fn of(x: &[f64]) -> Spread {
        if x.is_empty() {
            return Spread::default();
        }
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let squares = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        let sd = if x.len() < 2 { 0.0 } else { (squares / (x.len() - 1) as f64).sqrt() };
        let (min, max) = x.iter().fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
        Spread { mean, sd, min, max }
    }

    /// Mean over standard deviation; 0 when nothing spreads.
    pub(super) fn ratio(&self) -> f64 {
        if self.sd > 0.0 { self.mean / self.sd } else { 0.0 }
    }
}

/// What is compared, and the titles of the columns.
pub(super) fn head(args: &CompareArgs) -> String {
    format!(
        "maker against quoter · {} seeds from {} · {} s of {} market each · fee {} ppm\n\
         profit after fees, marked to the mid, quote; inventory as standard deviation and largest, base; sharpe of 1 s\n\n\
         seed |   profit       fees  inv sd  inv max  sharpe  orders  fills |   profit       fees  inv sd  inv max  \
         sharpe  orders  fills | calmer  no poorer\n     | quoter{} | maker",
        args.seeds,
        args.first_seed,
        args.seconds,
        if args.gusts { "gusty" } else { "steady" },
        args.fee_ppm,
        " ".repeat(53),
    )
}

/// One seed.
pub(super) fn row(pair: &Pair) -> String {
    let half = |o: &Outcome| {
        format!(
            "{:>9.5} {:>10.5} {:>7.5} {:>8.5} {:>7.3} {:>7} {:>6}",
            o.profit,
            o.fees,
            o.inventory_variance.sqrt(),
            o.inventory_max,
            o.sharpe_1s,
            o.orders,
            o.fills
        )
    };
    let yes = |b: bool| if b { "yes" } else { "no" };
    format!(
        "{:>4} |{} |{} | {:<6}  {}",
        pair.seed,
        half(&pair.quoter),
        half(&pair.maker),
        yes(pair.calmer()),
        yes(pair.no_poorer())
    )
}

/// What all seeds say together.
pub(super) fn summary(pairs: &[Pair]) -> String {
    let spread =
        |who: fn(&Pair) -> &Outcome| Spread::of(&pairs.iter().map(|p| who(p).profit).collect::<Vec<_>>());
    let line = |name: &str, who: fn(&Pair) -> &Outcome| {
        let s = spread(who);
        let of = |what: fn(&Outcome) -> f64| {
            Spread::of(&pairs.iter().map(|p| what(who(p))).collect::<Vec<_>>()).mean
        };
        format!(
            "{name}: profit {:.5} a seed, sd {:.5}, from {:.5} to {:.5}, mean / sd {:.2}; inventory sd {:.5}; \
             {:.0} orders, {:.0} fills, {:.0} refused",
            s.mean,
            s.sd,
            s.min,
            s.max,
            s.ratio(),
            of(|o| o.inventory_variance).sqrt(),
            of(|o| o.orders as f64),
            of(|o| o.fills as f64),
            of(|o| o.refused as f64),
        )
    };
    let count = |what: fn(&Pair) -> bool| pairs.iter().filter(|p| what(p)).count();
    format!(
        "\n{}\n{}\n{} of {}: lower inventory variance; {}: no less profit; {}: both",
        line("quoter", |p| &p.quoter),
        line("maker ", |p| &p.maker),
        count(Pair::calmer),
        pairs.len(),
        count(Pair::no_poorer),
        count(Pair::better),
    )
}

/// The same for programs.
pub(super) fn json(args: &CompareArgs, pairs: &[Pair]) -> Value {
    let half = |o: &Outcome| {
        json!({
            "profit": o.profit,
            "fees": o.fees,
            "inventory_mean": o.inventory_mean,
            "inventory_variance": o.inventory_variance,
            "inventory_max": o.inventory_max,
            "sharpe_1s": o.sharpe_1s,
            "orders": o.orders,
            "fills": o.fills,
            "refused": o.refused,
        })
    };
    let rows: Vec<Value> = pairs
        .iter()
        .map(|p| {
            json!({
                "seed": p.seed,
                "quoter": half(&p.quoter),
                "maker": half(&p.maker),
                "calmer": p.calmer(),
                "no_poorer": p.no_poorer(),
            })
        })
        .collect();
    json!({
        "seconds": args.seconds,
        "gusts": args.gusts,
        "fee_ppm": args.fee_ppm,
        "better": pairs.iter().filter(|p| p.better()).count(),
        "seeds": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_of_a_few() {
        let s = Spread::of(&[1.0, 2.0, 3.0, 6.0]);
        assert_eq!((s.mean, s.min, s.max), (3.0, 1.0, 6.0));
        // Squares about the mean: 4 + 1 + 0 + 9 = 14, over three.
        assert!((s.sd - (14.0f64 / 3.0).sqrt()).abs() < 1e-12 && (s.ratio() - 3.0 / s.sd).abs() < 1e-12);
        assert_eq!(Spread::of(&[]), Spread::default());
        assert_eq!(Spread::of(&[2.0]).ratio(), 0.0);
    }

    #[test]
    fn the_verdict_needs_both() {
        let o = |profit, inventory_variance| Outcome { profit, inventory_variance, ..Outcome::default() };
        let pair = |maker| Pair { seed: 1, quoter: o(1.0, 4.0), maker };
        assert!(pair(o(1.0, 3.9)).better(), "no less is enough");
        assert!(!pair(o(0.99, 3.9)).better() && !pair(o(2.0, 4.0)).better());
        let said = summary(&[pair(o(1.0, 3.0)), pair(o(0.5, 3.0)), pair(o(2.0, 5.0))]);
        assert!(said.ends_with("2 of 3: lower inventory variance; 2: no less profit; 1: both"), "{said}");
    }
}
