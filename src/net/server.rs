//! The accepting end, for a simulated venue: HTTP requests or one WebSocket, over TLS or plain, without blocking.
//!
//! ```text
//! Listener::accept ─► ServerConn: [TLS] ─► HTTP ─ Request ─► respond ─► HTTP ...
//!                                            └─ Upgrade ─► accept_upgrade ─► WebSocket ─ Text ─► send_text
//! ```
//!
//! One thread serves tens of connections: [`wait`] sleeps in `poll(2)` until one of them or the listener is ready,
//! then each is polled. A connection can misbehave on purpose: stop reading ([`ServerConn::set_stalled`]), hang up
//! without close_notify or reset ([`ServerClose`]), send bytes of any kind ([`ServerConn::send_raw`]).

mod conn;
mod listener;

pub use conn::{ServerClose, ServerConfig, ServerConn, ServerEvent};
pub use listener::{Listener, wait};
