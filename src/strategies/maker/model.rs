//! How far to quote from the price, and how far to lean against the inventory: two models in closed form.
//!
//! Units: prices in ticks, inventory `q` in orders of the configured size, time in seconds. So γ is in
//! 1/(ticks · orders), σ in ticks/√s, A in orders/s, k in 1/ticks. Both models are of the same shape: quotes at
//! `r ± half spread` around a reservation price `r = s - q · skew`.

use quant::Rates;

use super::Idle;

/// Which model says where to quote.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Model {
    /// Avellaneda and Stoikov, *High-frequency trading in a limit order book*, Quant. Finance 8 (2008), §3:
    ///
    /// ```text
    ///   r = s - q γσ²(T-t)        δa + δb = γσ²(T-t) + (2/γ) ln(1 + γ/k)
    /// ```
    ///
    /// The horizon rolls: `T - t` is always `horizon_s`, for there is no closing bell.
    AvellanedaStoikov {
        /// `T - t`, s.
        horizon_s: f64,
    },
    /// Guéant, Lehalle and Fernandez-Tapia, *Dealing with the inventory risk*, Math. Financ. Econ. 7 (2013): the
    /// closed-form approximation of the asymptotic quotes, far from the horizon and from the inventory bounds (in
    /// Guéant, *Optimal market making*, Appl. Math. Finance 24 (2017), eqs. 4.6 and 4.7 with ξ = γ, Δ = 1):
    ///
    /// ```text
    ///   δb(q) = c1 + (2q + 1)/2 · σ c2        c1 = (1/γ) ln(1 + γ/k)
    ///   δa(q) = c1 - (2q - 1)/2 · σ c2        c2 = sqrt( γ/(2kA) · (1 + γ/k)^(1 + k/γ) )
    /// ```
    ///
    /// so `skew = σ c2` and `half spread = c1 + σ c2 / 2`.
    Glft,
}

/// What a model says, in ticks; both finite and not negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Distance of the innermost quotes from the reservation price.
    pub half_spread: f64,
    /// How far the reservation price lies from the price, against the inventory, for each order of it.
    pub skew: f64,
}

impl Model {
    /// The shape at this risk aversion (above 0), volatility (0 and more) and arrival intensity. A few `ln`, `exp` and
    /// `sqrt`: for slow beats.
    ///
    /// # Errors
    /// [`Idle::ModelRange`]: the result is not a number, or infinite.
    pub fn shape(&self, gamma: f64, sigma: f64, rates: Rates) -> Result<Shape, Idle> {
        let (a, k) = (rates.rate_per_s, rates.decay_per_tick);
        // ln(1 + x) that keeps its digits for small x: at γ → 0 this is 1/k.
        let c1 = (gamma / k).ln_1p() / gamma;
        let skew = match *self {
            Model::AvellanedaStoikov { horizon_s } => gamma * sigma * sigma * horizon_s,
            Model::Glft => {
                // (1 + γ/k)^(1 + k/γ), which is e at γ → 0.
                let power = ((1.0 + k / gamma) * (gamma / k).ln_1p()).exp();
                sigma * (gamma / (2.0 * k * a) * power).sqrt()
            }
        };
        let shape = Shape { half_spread: c1 + skew / 2.0, skew };
        let sound = |x: f64| x.is_finite() && x >= 0.0;
        if sound(shape.half_spread) && sound(shape.skew) { Ok(shape) } else { Err(Idle::ModelRange) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates { rate_per_s: 140.0, decay_per_tick: 1.5 };

    fn shape(model: Model, gamma: f64, sigma: f64, rates: Rates) -> Shape {
        model.shape(gamma, sigma, rates).expect("in range")
    }

    fn near(a: f64, b: f64, digits: f64) {
        assert!((a - b).abs() < digits, "{a} is not {b}");
    }

    /// The paper's own example (s = 100, T = 1, σ = 2, k = 1.5) reports the time average of the spread over the
    /// day: 1.49 for γ = 0.1, 1.35 for γ = 0.01, 3.02 for γ = 1. Averaged over T - t = 1 .. 0, γσ²(T-t) is γσ²/2, which
    /// the formula has at T - t = 1/2:
    ///   γ = 0.1:   0.1·4/2 = 0.2,    20 ln(1 + 0.1/1.5)   = 20·0.0645385  = 1.29077,  together 1.49077
    ///   γ = 0.01:  0.01·4/2 = 0.02,  200 ln(1 + 0.01/1.5) = 200·0.0066445 = 1.32891,  together 1.34891
    ///   γ = 1:     1·4/2 = 2,        2 ln(1 + 1/1.5)      = 2·0.5108256   = 1.02165,  together 3.02165
    #[test]
    fn avellaneda_and_stoikov_as_in_the_paper() {
        let model = Model::AvellanedaStoikov { horizon_s: 0.5 };
        for (gamma, spread) in [(0.1, 1.49077), (0.01, 1.34891), (1.0, 3.02165)] {
            let s = shape(model, gamma, 2.0, RATES);
            near(2.0 * s.half_spread, spread, 1e-5);
            near(s.skew, gamma * 4.0 * 0.5, 1e-12);
        }
    }

    /// Worked to twenty digits with Python's `decimal`, from the formula as printed above:
    ///   γ = 0.1,  σ = 2,   A = 140, k = 1.5: c1 = 0.645385211375711717, c2 = 0.025858608060983000
    ///   γ = 0.05, σ = 0.3, A = 0.9, k = 0.3: c1 = 3.083013596545166086, c2 = 0.521917532305341642
    ///   γ = 1,    σ = 6,   A = 50,  k = 0.8: c1 = 0.810930216216328764, c2 = 0.231963296924643987
    #[test]
    fn glft_as_worked_by_hand() {
        for (gamma, sigma, a, k, c1, c2) in [
            (0.1, 2.0, 140.0, 1.5, 0.645385211375711, 0.025858608060983),
            (0.05, 0.3, 0.9, 0.3, 3.083013596545166, 0.521917532305341),
            (1.0, 6.0, 50.0, 0.8, 0.810930216216328, 0.231963296924643),
        ] {
            let s = shape(Model::Glft, gamma, sigma, Rates { rate_per_s: a, decay_per_tick: k });
            near(s.skew, sigma * c2, 1e-12);
            near(s.half_spread, c1 + sigma * c2 / 2.0, 1e-12);
        }
    }

    /// Without risk aversion the best distance is 1/k whatever the inventory: both models come down to it.
    #[test]
    fn without_risk_aversion_nothing_is_left_but_the_decay_of_the_flow() {
        for model in [Model::AvellanedaStoikov { horizon_s: 10.0 }, Model::Glft] {
            let s = shape(model, 1e-12, 5.0, RATES);
            near(s.half_spread, 1.0 / 1.5, 1e-4);
            near(s.skew, 0.0, 1e-4);
        }
        // And c2 / sqrt(γ) goes to sqrt(e / (2kA)).
        let s = shape(Model::Glft, 1e-9, 1.0, RATES);
        near(s.skew / 1e-9f64.sqrt(), (std::f64::consts::E / (2.0 * 1.5 * 140.0)).sqrt(), 1e-6);
    }

    #[test]
    fn more_volatility_more_spread_and_more_lean() {
        for model in [Model::AvellanedaStoikov { horizon_s: 2.0 }, Model::Glft] {
            for gamma in [0.001, 0.1, 3.0] {
                let mut last = shape(model, gamma, 0.0, RATES);
                near(last.skew, 0.0, 1e-15);
                for n in 1..50 {
                    let s = shape(model, gamma, n as f64, RATES);
                    assert!(s.half_spread > last.half_spread && s.skew > last.skew, "{s:?} {last:?}");
                    last = s;
                }
            }
        }
    }

    #[test]
    fn more_risk_aversion_more_lean() {
        for model in [Model::AvellanedaStoikov { horizon_s: 2.0 }, Model::Glft] {
            let skews: Vec<f64> = (1..60).map(|n| shape(model, n as f64 * 0.05, 4.0, RATES).skew).collect();
            assert!(skews.windows(2).all(|w| w[1] > w[0]), "{skews:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_not_quoted() {
        let no = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e-320, 1e308];
        for gamma in no {
            for sigma in no {
                for a in no {
                    for k in no {
                        let rates = Rates { rate_per_s: a, decay_per_tick: k };
                        for model in [Model::Glft, Model::AvellanedaStoikov { horizon_s: sigma }] {
                            if let Ok(s) = model.shape(gamma, sigma, rates) {
                                assert!(s.half_spread.is_finite() && s.half_spread >= 0.0, "{s:?}");
                                assert!(s.skew.is_finite() && s.skew >= 0.0, "{s:?}");
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(Model::Glft.shape(f64::NAN, 1.0, RATES), Err(Idle::ModelRange));
    }
}
