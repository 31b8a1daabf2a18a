//! The runtime around the agents: how threads idle, what duty cycles cost, and the orders that are none.

mod duty;
mod pools;
mod warm_up;
