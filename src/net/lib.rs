//! Sockets, TLS, WebSocket and HTTP/1.1 without a runtime; knows no venue.
//!
//! ```text
//! housekeeping threads                      the agent's own thread
//! dialer: connect → TLS → upgrade ─Session─► WsLink: io → TlsStream → ws::Decoder → LinkEvent
//!    ▲                                          │
//!    └──────────── DialRequest ◄────────────────┘ on every loss
//! ```
//!
//! Protocol code takes bytes and returns messages: [`ws`], [`http`] and [`tls`] own no socket and no clock. Sockets
//! appear in [`io`] (io_uring or plain `recv` behind one seam), [`socket`], [`mod@dial`], [`link`] and
//! [`server`].
//! Everything that may block (name resolution, connecting, handshakes) happens in [`mod@dial`] on housekeeping
//! threads; a [`link::Link`] only polls. Time reaches a link through the caller's `stamp`; randomness through seeds.
//!
//! Deliberately absent: an async runtime, connection pools, compression, HTTP/2, proxies, any word about a venue.

pub mod backoff;
mod buffer;
pub mod dial;
pub mod http;
pub mod io;
pub mod link;
mod outbox;
pub mod server;
pub mod socket;
pub mod tls;
pub mod ws;

pub use backoff::{Backoff, BackoffConfig};
pub use dial::{Deadlines, DialError, DialReport, DialSpec, Dialer, Endpoint, Mailbox, Session, dial};
pub use io::Backend;
pub use link::{CloseReason, Link, LinkConfig, LinkCounters, LinkEvent, SendError, WsLink};
pub use server::{Listener, ServerClose, ServerConfig, ServerConn, ServerEvent};
pub use socket::AbortHandle;
pub use tls::{ClientTls, ServerTls, TlsStream, Trust};
