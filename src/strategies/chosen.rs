//! The strategy that a configuration names.

use strategy::{Intents, Strategy};
use wire::{Instrument, Msg, Ts};

use crate::SpecError;
use crate::maker::{Maker, MakerSpec};
use crate::quoter::{Quoter, QuoterSpec};

/// Which strategy, with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StrategySpec {
    /// One bid and one ask around the microprice.
    Quoter(QuoterSpec),
    /// Ladders by a model of inventory risk.
    Maker(MakerSpec),
}

/// One of the strategies of the house. A call costs one branch more than the strategy's own.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// See [`Quoter`].
    Quoter(Box<Quoter>),
    /// See [`Maker`].
    Maker(Box<Maker>),
}

impl Chosen {
    /// Builds the strategy for an instrument.
    ///
    /// # Errors
    /// A parameter breaks its rule.
    pub fn new(spec: StrategySpec, instrument: Instrument) -> Result<Chosen, SpecError> {
        Ok(match spec {
            StrategySpec::Quoter(spec) => Chosen::Quoter(Box::new(Quoter::new(spec, instrument)?)),
            StrategySpec::Maker(spec) => Chosen::Maker(Box::new(Maker::new(spec, instrument)?)),
        })
    }
}

impl Strategy for Chosen {
    fn name(&self) -> &str {
        match self {
            Chosen::Quoter(s) => s.name(),
            Chosen::Maker(s) => s.name(),
        }
    }

    #[inline]
    fn on_market(&mut self, seq: u64, m: &Msg, out: &mut Intents) {
        match self {
            Chosen::Quoter(s) => s.on_market(seq, m, out),
            Chosen::Maker(s) => s.on_market(seq, m, out),
        }
    }

    #[inline]
    fn on_order(&mut self, m: &Msg, out: &mut Intents) {
        match self {
            Chosen::Quoter(s) => s.on_order(m, out),
            Chosen::Maker(s) => s.on_order(m, out),
        }
    }

    fn on_timer(&mut self, now: Ts, out: &mut Intents) {
        match self {
            Chosen::Quoter(s) => s.on_timer(now, out),
            Chosen::Maker(s) => s.on_timer(now, out),
        }
    }

    fn warm_up(&mut self, out: &mut Intents) {
        match self {
            Chosen::Quoter(s) => s.warm_up(out),
            Chosen::Maker(s) => s.warm_up(out),
        }
    }

    fn on_stop(&mut self, out: &mut Intents) {
        match self {
            Chosen::Quoter(s) => s.on_stop(out),
            Chosen::Maker(s) => s.on_stop(out),
        }
    }
}
