//! A venue that means harm, or is merely broken: what it does is named and counted, the book leaves `InSync`, no
//! order is sent meanwhile, and trading resumes when it can be trusted again. Nothing panics or hangs.
//!
//! Real sockets, real TLS, the engine's own threads; the venue is the simulated one, made to misbehave. Scenarios run
//! one after the other in the few engines below, for each engine wants a core.

mod link;
mod market;
mod orders;
mod peer;
mod rest;
mod rig;
mod start;
mod virtual_time;
