//! The runtime around the agents: how threads idle, what duty cycles cost, how long nobody trips, and the orders that
//! are none.

mod dead_man;
mod duty;
mod pools;
mod warm_up;
