//! corelane: a trading engine for bare metal.
//!
//! This package composes the crates of the house into a running engine.
//!
//! ```text
//!   venue ──▶ feed ──▶ strategy ──▶ oms (gate, orders, ledger) ──▶ gateway ──▶ venue
//!               └───────────────────▶ ▲                              │
//!                                     └────────── reports ◀──────────┘
//!   kill ── epoch ──▶ oms, gateway            housekeeping ── sessions, snapshots ──▶ feed, gateway
//! ```
//!
//! - Logic ([`feed`], [`oms`], the strategies) takes messages and times and knows no ring, socket or clock.
//! - [`agents`] bind it to rings, links and statistics ([`meters`]), one file per duty cycle.
//! - [`engine`] joins the agents by rings; [`settings`] turns a configuration's decimals into the instrument's
//!   integers.
//! - [`wiring`] places the agents on threads: the live engine. [`sim`] steps the same agents and the simulated venue
//!   in one thread, from a seed and a virtual clock. [`simvenue`] serves that venue over loopback TLS.
//! - [`apart`] lets agents live in processes of their own.
//! - [`compare`] sets one strategy against the other in it, seed by seed.
//! - [`demo`] runs either and says what it cost; [`cli`] and [`rearm`] are the rest of the program.
//!
//! Deliberately absent: an async runtime, a database, a web framework; a second way for an order to leave than through
//! the gate; anything that resumes by itself after a kill.

pub mod agents;
pub mod allocator;
pub mod apart;
pub mod cli;
pub mod commands;
pub mod compare;
pub mod configured;
pub mod controls;
pub mod demo;
pub mod engine;
pub mod feed;
pub mod interrupt;
pub mod meters;
pub mod oms;
pub mod order_hash;
pub mod rate_book;
pub mod rearm;
pub mod replay;
pub mod run;
pub mod settings;
pub mod sim;
pub mod simvenue;
pub mod tape;
pub mod wiring;
