//! `corelane demo` as a user meets it: the built binary, its page, its JSON, its exit code.
//!
//! Runs over TLS take a core each, so they go one after the other. Figures that depend on the machine are bounded
//! generously; latencies are printed, never judged.

mod drill;
mod exits;
mod page;
mod sandbox;
mod session;
mod signals;
