//! The agents: one file per duty cycle. Each binds a piece of logic to its rings, link and statistics.

pub mod feed;
pub mod gateway;
pub mod housekeeping;
pub mod killer;
pub mod oms;
pub mod strategy;
