//! Strategies, one module each. Every one is pure logic behind [`strategy::Strategy`]; [`Chosen`] is the one that a
//! configuration names.

#![forbid(unsafe_code)]

mod chosen;
mod error;
pub mod maker;
mod quote;
pub mod quoter;

pub use chosen::{Chosen, StrategySpec};
pub use error::{ParamError, SpecError};
