//! The exchange from outside: hand-worked examples, a naive twin, conservation, the crowd, the recorded market.

mod conservation;
mod crowd;
mod filters;
mod listing;
mod naive;
mod recorded;
mod twin;
mod worked;
