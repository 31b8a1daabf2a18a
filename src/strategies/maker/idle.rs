//! Why nothing is quoted.

use quant::Unready;

/// Why the maker quotes nothing. What is open is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Idle {
    /// Trading is off.
    #[error("trading is off")]
    TradingOff,
    /// The book is not in sync.
    #[error("the book is not in sync")]
    BookNotInSync,
    /// A side of the book is empty, or the touch is crossed.
    #[error("the touch is not two-sided")]
    NoTouch,
    /// Too few samples of the price.
    #[error("volatility is not known yet")]
    WarmingUp,
    /// Volatility is above `sigma_max`.
    #[error("volatility is above its range")]
    VolatilityHigh,
    /// Rate or decay of the arriving orders is outside of what can be worked with.
    #[error("order arrivals are outside of their range")]
    IntensityRange,
    /// The model's answer is not a number, or a billion ticks away.
    #[error("the model's answer is out of range")]
    ModelRange,
    /// The spread would be more than `spread_max_ticks`.
    #[error("the spread is above its range")]
    SpreadWide,
}

impl From<Unready> for Idle {
    fn from(why: Unready) -> Idle {
        match why {
            Unready::WarmingUp => Idle::WarmingUp,
            Unready::VolatilityHigh => Idle::VolatilityHigh,
            _ => Idle::IntensityRange,
        }
    }
}
