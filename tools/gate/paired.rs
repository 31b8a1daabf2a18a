//! Wilcoxon's signed-rank test, turned into an interval: how much slower is head than base, and how sure is that?
//!
//! Each round measures both builds one right after the other, so whatever the host did to that minute it did to both;
//! what is left is the logarithm of their ratio, `x`. Under "head is slower by exactly `s`" the signs of `x - s` are
//! coin tosses whatever their sizes, and the sum of the ranks of the positive ones has an exact, known distribution.
//! The values of `s` that this test does not reject form an interval, whose ends are order statistics of the means of
//! all pairs `(x_i + x_j) / 2`, `i <= j` (Walsh averages), and whose centre is their median (Hodges-Lehmann).
//! A few rounds that the host spoilt, however badly, move it little.
//!
//! Source: M. Hollander, D. Wolfe, E. Chicken, Nonparametric Statistical Methods, 3rd ed., sections 3.1-3.3.

/// Most rounds that are judged: the exact distribution of more is not needed.
pub(crate) const PAIRS_MAX: usize = 200;

/// Estimate of a shift and what may be said about it.
#[derive(Clone, Debug)]
pub(crate) struct Shift {
    /// Walsh averages, ascending.
    averages: Vec<f64>,
    /// `at_most[t]`: probability of a rank sum of at most `t`.
    at_most: Vec<f64>,
}

impl Shift {
    /// Of paired differences `x`, at most [`PAIRS_MAX`] of them; `None` when there is none or one is not finite.
    /// Costs n² log n.
    pub(crate) fn of(x: &[f64]) -> Option<Shift> {
        if x.is_empty() || x.len() > PAIRS_MAX || x.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let pairs = x.iter().enumerate().flat_map(|(i, a)| x[i..].iter().map(move |b| (a + b) / 2.0));
        let mut averages: Vec<f64> = pairs.collect();
        averages.sort_unstable_by(f64::total_cmp);
        Some(Shift { averages, at_most: rank_sum(x.len()) })
    }

    /// Hodges-Lehmann estimate.
    pub(crate) fn estimate(&self) -> f64 {
        let n = self.averages.len();
        (self.averages[(n - 1) / 2] + self.averages[n / 2]) / 2.0
    }

    /// Bounds that the true shift is below, and above, with probability at most `alpha` each. Infinite when there are
    /// too few pairs for it.
    pub(crate) fn interval(&self, alpha: f64) -> (f64, f64) {
        let n = self.averages.len();
        // The k-th average from either end, for the largest k whose k-1 is as rare as alpha.
        let k = self.at_most.partition_point(|p| *p <= alpha);
        if k == 0 { (f64::NEG_INFINITY, f64::INFINITY) } else { (self.averages[k - 1], self.averages[n - k]) }
    }

    /// Probability of data that speak so much for a shift above `s`, if it were `s` or less.
    pub(crate) fn p_not_above(&self, s: f64) -> f64 {
        self.at_most[self.averages.partition_point(|a| *a <= s)]
    }

    /// The same for a shift below `s`, if it were `s` or more.
    pub(crate) fn p_not_below(&self, s: f64) -> f64 {
        self.at_most[self.averages.len() - self.averages.partition_point(|a| *a < s)]
    }
}

/// Cumulative distribution of the sum of those of the ranks 1..=n that a coin picks: n(n+1)/2 + 1 values.
fn rank_sum(n: usize) -> Vec<f64> {
    let mut p = vec![0.0; n * (n + 1) / 2 + 1];
    p[0] = 1.0;
    for rank in 1..=n {
        for t in (0..p.len()).rev() {
            let with = if t >= rank { p[t - rank] } else { 0.0 };
            p[t] = (p[t] + with) / 2.0;
        }
    }
    let mut sum: f64 = 0.0;
    for v in &mut p {
        sum += *v;
        *v = sum.min(1.0);
    }
    p
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_sums_are_those_of_the_printed_tables() {
        let p = rank_sum(5);
        let counts: Vec<u32> = std::iter::once(p[0])
            .chain(p.windows(2).map(|w| w[1] - w[0]))
            .map(|v| (v * 32.0).round() as u32)
            .collect();
        // Ways to write t as a sum of different ranks of 1..=5.
        assert_eq!(counts, [1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 2, 2, 1, 1, 1]);
        // Hollander, Wolfe, Chicken, table A.4: for n = 10, P(T+ >= 45) = P(T+ <= 10) = 0.042.
        assert!((rank_sum(10)[10] - 0.042).abs() < 5e-4, "{}", rank_sum(10)[10]);
        assert!((rank_sum(20)[60] - 0.049).abs() < 5e-4, "{}", rank_sum(20)[60]);
    }

    #[test]
    fn the_interval_holds_the_shifts_that_the_test_does_not_reject() {
        let x: Vec<f64> = (0..24).map(|i| f64::from(i * i % 17) * 0.01 - 0.03).collect();
        let shift = Shift::of(&x).unwrap();
        for alpha in [0.05, 0.001, 0.000_01] {
            let (low, high) = shift.interval(alpha);
            assert!(low < shift.estimate() && shift.estimate() < high);
            let e = 1e-9;
            assert!(shift.p_not_above(low - e) <= alpha && shift.p_not_above(low + e) > alpha);
            assert!(shift.p_not_below(high + e) <= alpha && shift.p_not_below(high - e) > alpha);
        }
    }

    #[test]
    fn too_few_pairs_say_nothing() {
        let shift = Shift::of(&[0.5; 9]).unwrap();
        assert_eq!(shift.interval(0.001), (f64::NEG_INFINITY, f64::INFINITY));
        assert_eq!(Shift::of(&[0.5; 10]).unwrap().interval(0.001), (0.5, 0.5));
        assert_eq!(shift.estimate(), 0.5);
        assert!(Shift::of(&[]).is_none() && Shift::of(&[0.1, f64::NAN]).is_none());
        assert!(Shift::of(&[f64::INFINITY]).is_none() && Shift::of(&vec![0.0; PAIRS_MAX + 1]).is_none());
    }

    #[test]
    fn spoilt_rounds_move_it_little() {
        let mut x = vec![0.10; 25];
        for (i, v) in x.iter_mut().enumerate() {
            *v += (i as f64 - 12.0) * 0.001;
        }
        let clean = Shift::of(&x).unwrap().interval(0.000_1);
        x[3] = 4.0;
        x[17] = 6.0;
        let spoilt = Shift::of(&x).unwrap().interval(0.000_1);
        assert!(spoilt.0 >= clean.0 && spoilt.0 < 0.11 && spoilt.1 < 4.0, "{clean:?} {spoilt:?}");
    }
}
