//! Volatility of the mid, from irregular samples with noise on them.

use wire::{Px, Ts};

use crate::{QuantError, Unready, decay, seconds, twice_mid, within};

/// Samples before there is an estimate.
const WARM_SAMPLES: u32 = 20;

/// Parameters of a [`Volatility`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VolatilitySpec {
    /// Price step, mantissa; more than 0.
    pub tick: Px,
    /// Time after which a sample counts half, ns; 1 ms to a day, and at least `sample_ns`.
    pub half_life_ns: u64,
    /// Shortest time between two samples, ns; 1 ms to an hour. Shorter lets more noise in, longer uses less of the data.
    pub sample_ns: u64,
    /// Least volatility that is reported, ticks per √s; above 0. What looks calmer is reported as this.
    pub sigma_min: f64,
    /// Most volatility that is reported, ticks per √s; above that the answer is [`Unready::VolatilityHigh`].
    pub sigma_max: f64,
}

/// Volatility σ of the mid in ticks per √second: the price is `dS = σ dW`.
///
/// The mid is looked at when `sample_ns` have passed since the last look, whatever came between. With the changes
/// `r_i` over the times `dt_i`, the estimate is
///
/// ```text
///   σ² = Σ w_i (r_i² + 2 r_i r_{i-1}) / Σ w_i dt_i        w_i = 2^(-age / half life)
/// ```
///
/// - Dividing the sums, not averaging `r_i²/dt_i`, makes it the realised variance of elapsed time, so that irregular
///   sampling needs no grid. The weights are those of an EWMA over irregular times (Eckner, *Algorithms for Unevenly
///   Spaced Time Series*, 2012; RiskMetrics Technical Document, 4th ed. 1996, ch. 5, for regular ones).
/// - `2 r_i r_{i-1}` takes out the noise that quotes carry on top of the price: independent noise of variance ω² adds
///   `2ω²` to `E r_i²` and `-ω²` to `E r_i r_{i-1}`, so the sum is free of it (Zhou, *High-frequency data and
///   volatility in foreign-exchange rates*, J. Bus. Econ. Stat. 14, 1996). The sum can come out at or below zero;
///   then, as whenever σ would be below `sigma_min`, `sigma_min` is reported.
///
/// Cost: two comparisons an event, an `exp` a sample.
///
/// ```
/// # use corelane_quant as quant;
/// use quant::{Unready, Volatility, VolatilitySpec};
/// use wire::{Px, Ts};
///
/// let spec = VolatilitySpec {
///     tick: Px(1), half_life_ns: 10_000_000_000, sample_ns: 100_000_000, sigma_min: 0.5, sigma_max: 1_000.0,
/// };
/// let mut v = Volatility::new(spec)?;
/// assert_eq!(v.sigma(), Err(Unready::WarmingUp));
/// for i in 0..100 {
///     v.on_touch(Ts(i * 100_000_000), Px(1_000), Px(1_002));
/// }
/// assert_eq!(v.sigma(), Ok(0.5)); // nothing moved: the floor
/// assert!(Volatility::new(VolatilitySpec { sigma_min: f64::NAN, ..spec }).is_err());
/// # Ok::<(), quant::QuantError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Volatility {
    spec: VolatilitySpec,
    half_life_s: f64,
    last: Option<(Ts, i64)>,
    /// The change before, ticks.
    before: Option<f64>,
    sum: f64,
    time_s: f64,
    samples: u32,
}

impl Volatility {
    /// An estimate of nothing yet.
    ///
    /// # Errors
    /// The first parameter that breaks its rule.
    pub fn new(spec: VolatilitySpec) -> Result<Volatility, QuantError> {
        let (half_life, sample) = (spec.half_life_ns as f64, spec.sample_ns as f64);
        within("tick", spec.tick.0 as f64, (1.0, f64::MAX), "must be positive")?;
        within("sample_ns", sample, (1e6, 3.6e12), "must be 1 ms to an hour")?;
        within("half_life_ns", half_life, (sample, 8.64e13), "must be at least sample_ns, at most a day")?;
        within("sigma_min", spec.sigma_min, (1e-9, 1e9), "must be above 0, at most 1e9")?;
        within("sigma_max", spec.sigma_max, (spec.sigma_min, 1e9), "must be sigma_min to 1e9")?;
        Ok(Volatility {
            spec,
            half_life_s: half_life / 1e9,
            last: None,
            before: None,
            sum: 0.0,
            time_s: 0.0,
            samples: 0,
        })
    }

    /// Best prices at a time; whether they made a sample. Times that run backwards make none.
    #[inline]
    pub fn on_touch(&mut self, ts: Ts, bid: Px, ask: Px) -> bool {
        match self.last {
            Some((at, _)) if ts.since_ns(at) < self.spec.sample_ns => false,
            _ => self.sample(ts, bid, ask),
        }
    }

    /// The price was out of sight: the next change is not one.
    pub fn on_gap(&mut self) {
        self.last = None;
        self.before = None;
    }

    /// σ in ticks per √s, within `sigma_min..=sigma_max`.
    ///
    /// # Errors
    /// Fewer than 20 samples so far, or more than `sigma_max`.
    pub fn sigma(&self) -> Result<f64, Unready> {
        if self.samples < WARM_SAMPLES {
            return Err(Unready::WarmingUp);
        }
        // `max` also turns a NaN into the floor; a sum of nothing never gets here.
        let sigma = (self.sum / self.time_s).max(0.0).sqrt().max(self.spec.sigma_min);
        if sigma <= self.spec.sigma_max { Ok(sigma) } else { Err(Unready::VolatilityHigh) }
    }

    /// Samples so far, at most `u32::MAX`.
    pub fn samples(&self) -> u32 {
        self.samples
    }

    fn sample(&mut self, ts: Ts, bid: Px, ask: Px) -> bool {
        let Some(mid2) = twice_mid(bid, ask) else { return false };
        let Some((at, before2)) = self.last.replace((ts, mid2)) else { return false };
        let dt_s = seconds(ts, at);
        // Twice a price fits, their difference may not: as wide integers, it does.
        let change = (mid2 as i128 - before2 as i128) as f64 / (2.0 * self.spec.tick.0 as f64);
        let left = decay(dt_s, self.half_life_s);
        let square = change * change + 2.0 * change * self.before.replace(change).unwrap_or(0.0);
        self.sum = self.sum * left + square;
        self.time_s = self.time_s * left + dt_s;
        self.samples = self.samples.saturating_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: VolatilitySpec = VolatilitySpec {
        tick: Px(10),
        half_life_ns: 20_000_000_000,
        sample_ns: 100_000_000,
        sigma_min: 0.01,
        sigma_max: 1e6,
    };

    /// SplitMix64, and normals as sums of twelve uniforms less six.
    struct Seed(u64);

    impl Seed {
        fn unit(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
        }

        fn normal(&mut self) -> f64 {
            (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
        }
    }

    /// σ that is reported for a walk of σ `ticks` looked at after Poisson times of mean `gap_ms`, with noise on top.
    fn measured(seed: u64, ticks: f64, gap_ms: f64, noise_ticks: f64) -> f64 {
        let (mut rng, mut v) = (Seed(seed), Volatility::new(SPEC).expect("sound"));
        let (mut ts, mut price) = (0.0, 1e6);
        let (mut reported, mut n) = (0.0, 0.0);
        while ts < 600e9 {
            let dt = -rng.unit().max(1e-12).ln() * gap_ms * 1e6;
            ts += dt;
            price += ticks * (dt / 1e9).sqrt() * rng.normal();
            let seen = ((price + noise_ticks * rng.normal()) * 10.0) as i64;
            if v.on_touch(Ts(ts as u64), Px(seen - 5), Px(seen + 5)) && ts > 60e9 {
                reported += v.sigma().expect("warm").powi(2);
                n += 1.0;
            }
        }
        (reported / n).sqrt()
    }

    #[test]
    fn finds_the_volatility_of_a_walk_however_it_is_sampled() {
        for (ticks, gap_ms) in [(6.0, 1.0), (6.0, 40.0), (6.0, 500.0), (300.0, 20.0)] {
            let found = (1..=4).map(|seed| measured(seed, ticks, gap_ms, 0.0)).sum::<f64>() / 4.0;
            assert!((found / ticks - 1.0).abs() < 0.06, "{ticks} at {gap_ms} ms: {found}");
        }
    }

    #[test]
    fn noise_on_the_quotes_is_not_volatility() {
        // Noise of 2 ticks makes each change of 100 ms twice 4 square ticks too large: plain squares would say
        // sqrt(6² + 8 / 0.1) = 10.8 at a σ of 6.
        let found = (1..=6).map(|seed| measured(seed, 6.0, 5.0, 2.0)).sum::<f64>() / 6.0;
        assert!((found / 6.0 - 1.0).abs() < 0.1, "{found}");
    }

    #[test]
    fn a_worked_sequence() {
        let mut v = Volatility::new(SPEC).expect("sound");
        // Mid up by 1 tick each 0.2 s: changes 1, squares 1 then 1 + 2 = 3. With h = 2^(-0.01) the sums are
        // S_n = S_{n-1} h + 3 and T_n = T_{n-1} h + 0.2, S_1 = 1.
        let (mut sum, mut time) = (0.0f64, 0.0);
        for i in 0..=30u64 {
            let px = Px(1_000 + 10 * i as i64);
            let made = v.on_touch(Ts(i * 200_000_000), px, Px(px.0 + 10));
            assert_eq!(made, i > 0);
            if i > 0 {
                let h = 2f64.powf(-0.01);
                (sum, time) = (sum * h + if i == 1 { 1.0 } else { 3.0 }, time * h + 0.2);
            }
        }
        let sigma = v.sigma().expect("30 samples");
        assert!((sigma - (sum / time).sqrt()).abs() < 1e-12, "{sigma}");
    }

    #[test]
    fn half_of_the_weight_is_gone_after_a_half_life() {
        let mut v = Volatility::new(VolatilitySpec { half_life_ns: 2_000_000_000, ..SPEC }).expect("sound");
        let mut rng = Seed(9);
        let (mut px, mut ts) = (1e6, 0u64);
        for _ in 0..2_000 {
            px += 10.0 * rng.normal();
            ts += 100_000_000;
            v.on_touch(Ts(ts), Px(px as i64 * 10), Px(px as i64 * 10 + 10));
        }
        let before = v.sigma().expect("warm").powi(2);
        for _ in 0..20 {
            ts += 100_000_000;
            v.on_touch(Ts(ts), Px(px as i64 * 10), Px(px as i64 * 10 + 10));
        }
        let after = v.sigma().expect("warm").powi(2);
        assert!((after / before - 0.5).abs() < 0.02, "{before} {after}");
    }

    #[test]
    fn a_gap_is_no_move_and_a_jump_out_of_range_is_said() {
        let spec = VolatilitySpec { sigma_max: 50.0, ..SPEC };
        let mut v = Volatility::new(spec).expect("sound");
        let feed = |v: &mut Volatility, n: u64, px: i64| {
            for i in n..n + 30 {
                v.on_touch(Ts(i * 100_000_000), Px(px), Px(px + 10));
            }
        };
        feed(&mut v, 0, 1_000);
        v.on_gap();
        feed(&mut v, 30, 90_000);
        assert_eq!(v.sigma(), Ok(0.01), "a jump nobody saw is no volatility");
        feed(&mut v, 60, 1_000);
        assert_eq!(v.sigma(), Err(Unready::VolatilityHigh));
    }

    #[test]
    fn whatever_comes_in_what_goes_out_is_a_number_in_range() {
        let mut rng = Seed(3);
        let mut v = Volatility::new(SPEC).expect("sound");
        let ends = [i64::MIN, i64::MIN / 2, -1, 0, 1, i64::MAX / 2, i64::MAX];
        for _ in 0..20_000 {
            let pick = |rng: &mut Seed| ends[(rng.unit() * 7.0) as usize];
            let ts = Ts((rng.unit() * u64::MAX as f64) as u64);
            let (bid, ask) = (Px(pick(&mut rng)), Px(pick(&mut rng)));
            v.on_touch(ts, bid, ask);
            match v.sigma() {
                Ok(sigma) => assert!((SPEC.sigma_min..=SPEC.sigma_max).contains(&sigma), "{sigma}"),
                Err(why) => assert!(matches!(why, Unready::WarmingUp | Unready::VolatilityHigh)),
            }
        }
    }

    #[test]
    fn refuses_what_it_cannot_work_with() {
        let field = |spec| Volatility::new(spec).expect_err("broken").field;
        assert_eq!(field(VolatilitySpec { tick: Px(0), ..SPEC }), "tick");
        assert_eq!(field(VolatilitySpec { sample_ns: 0, ..SPEC }), "sample_ns");
        assert_eq!(field(VolatilitySpec { half_life_ns: SPEC.sample_ns - 1, ..SPEC }), "half_life_ns");
        assert_eq!(field(VolatilitySpec { sigma_min: 0.0, ..SPEC }), "sigma_min");
        assert_eq!(field(VolatilitySpec { sigma_max: 0.001, ..SPEC }), "sigma_max");
        assert_eq!(field(VolatilitySpec { sigma_max: f64::INFINITY, ..SPEC }), "sigma_max");
    }
}
