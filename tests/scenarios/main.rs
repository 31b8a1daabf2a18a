//! Hostile scenarios: what a real venue or network has done to somebody, done to the engine through its public ends.
//!
//! Each scenario states what must hold for money's sake: the ledger is the venue's, or trading is off and says why.

mod account;
mod market;
mod orders;
mod rig;
