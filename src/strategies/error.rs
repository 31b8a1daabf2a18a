//! Parameters that cannot be traded with.

use quant::QuantError;

/// A whole number that breaks its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{field} = {value}: {rule}")]
pub struct ParamError {
    /// Field of the strategy's parameters, or of the instrument.
    pub field: &'static str,
    /// Its value.
    pub value: i64,
    /// What it must satisfy.
    pub rule: &'static str,
}

/// Why a strategy cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A whole number breaks its rule.
    #[error(transparent)]
    Whole(#[from] ParamError),
    /// A real number breaks its rule.
    #[error(transparent)]
    Real(#[from] QuantError),
}
