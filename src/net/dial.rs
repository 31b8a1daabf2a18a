//! Everything that may block on the way to a live connection, for housekeeping threads.
//!
//! [`dial`] resolves, connects, shakes hands and upgrades, each phase under a deadline of its own, and returns a
//! [`Session`]: a non-blocking socket with its TLS state and the bytes that followed the upgrade. [`Dialer`] runs one
//! parked thread per link, so a venue that stalls on one link cannot starve another; requests and sessions cross
//! bounded rings, failures are counted and their last text kept.

mod dialer;
mod resolve;
mod session;
mod wire;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

pub use dialer::{DialReport, DialReports, Dialer, Mailbox, MailboxPeer};
pub use session::{Session, dial};
pub(crate) use wire::{Progress, Wire};

use crate::tls::{ClientTls, TlsFault};
use crate::ws::WsError;
use crate::ws::handshake::HandshakeError;

/// Where to connect.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// DNS name or IP address: resolved, sent as `Host`, and demanded in the certificate.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Connect here instead of resolving `host`.
    pub address: Option<IpAddr>,
    /// TLS with this trust; `None` speaks plain TCP.
    pub tls: Option<ClientTls>,
}

impl Endpoint {
    /// `host:port`, or `host` alone on the scheme's default port: the `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        let default_port = if self.tls.is_some() { 443 } else { 80 };
        if self.port == default_port { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// How long each phase of [`dial`] may take, ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Name resolution and TCP connect, each.
    pub connect_ms: u32,
    /// TLS handshake.
    pub tls_ms: u32,
    /// WebSocket upgrade: request out, answer in.
    pub upgrade_ms: u32,
    /// First data frame after the upgrade; zero does not wait for one.
    pub first_message_ms: u32,
}

impl Default for Deadlines {
    /// 3 s, 3 s, 3 s, no wait for a first message.
    fn default() -> Self {
        Self { connect_ms: 3_000, tls_ms: 3_000, upgrade_ms: 3_000, first_message_ms: 0 }
    }
}

/// One link's recipe.
#[derive(Clone, Debug)]
pub struct DialSpec {
    /// Where.
    pub endpoint: Endpoint,
    /// Path and query of the upgrade request: `/ws/btcusdt@depth`.
    pub target: String,
    /// Further headers of the upgrade request.
    pub headers: Vec<(String, String)>,
    /// Subprotocol to offer and insist on.
    pub subprotocol: Option<String>,
    /// Phase deadlines.
    pub deadlines: Deadlines,
    /// `SO_RCVBUF` in bytes, zero for the kernel's default.
    pub recv_buffer_bytes: u32,
    /// `SO_SNDBUF` in bytes, zero for the kernel's default.
    pub send_buffer_bytes: u32,
}

impl DialSpec {
    /// A recipe with default deadlines and nothing extra.
    #[must_use]
    pub fn new(endpoint: Endpoint, target: &str) -> Self {
        Self {
            endpoint,
            target: target.to_owned(),
            headers: Vec::new(),
            subprotocol: None,
            deadlines: Deadlines::default(),
            recv_buffer_bytes: 0,
            send_buffer_bytes: 0,
        }
    }
}

/// The phase a failure belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Name to address.
    Resolve,
    /// TCP connect.
    Connect,
    /// TLS handshake.
    Tls,
    /// WebSocket upgrade.
    Upgrade,
    /// First data frame after the upgrade.
    FirstMessage,
    /// Writing an HTTP request.
    Write,
    /// Waiting for the head of an HTTP answer.
    ResponseHead,
    /// Reading the body of an HTTP answer.
    ResponseBody,
}

impl Phase {
    /// Lower-case words for messages and counters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls handshake",
            Self::Upgrade => "upgrade",
            Self::FirstMessage => "first message",
            Self::Write => "write",
            Self::ResponseHead => "response head",
            Self::ResponseBody => "response body",
        }
    }
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// A phase took longer than its deadline.
    #[error("{}: no progress within {limit_ms} ms", phase.name())]
    Timeout {
        /// The phase.
        phase: Phase,
        /// Its deadline.
        limit_ms: u32,
    },
    /// The name has no address, or the resolver failed.
    #[error("resolve {host}: {what}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's words.
        what: String,
    },
    /// The system refused a socket call.
    #[error("{}: {source}", phase.name())]
    Io {
        /// The phase.
        phase: Phase,
        /// The system's error.
        source: io::Error,
    },
    /// TLS failed: wrong certificate, incompatible peer, alert.
    #[error("{}: {fault}: {detail}", phase.name())]
    Tls {
        /// The phase; failures after the handshake carry the later phase.
        phase: Phase,
        /// What kind.
        fault: TlsFault,
        /// What rustls says about it.
        detail: String,
    },
    /// The upgrade was refused or wrong.
    #[error("upgrade: {0}")]
    Handshake(#[from] HandshakeError),
    /// The first frames break RFC 6455.
    #[error("first message: {0}")]
    WebSocket(#[from] WsError),
    /// The peer ended the stream.
    #[error("{}: peer ended the stream{}", phase.name(), if *in_order { "" } else { " without close_notify" })]
    Ended {
        /// The phase.
        phase: Phase,
        /// Whether it ended in order.
        in_order: bool,
    },
}

impl DialError {
    /// The phase that failed.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Timeout { phase, .. }
            | Self::Io { phase, .. }
            | Self::Tls { phase, .. }
            | Self::Ended { phase, .. } => *phase,
            Self::Resolve { .. } => Phase::Resolve,
            Self::Handshake(_) => Phase::Upgrade,
            Self::WebSocket(_) => Phase::FirstMessage,
        }
    }
}

/// A phase and when it must be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) phase: Phase,
    limit_ms: u32,
    at: std::time::Instant,
}

impl Deadline {
    pub(crate) fn start(phase: Phase, limit_ms: u32) -> Self {
        let at = std::time::Instant::now() + Duration::from_millis(u64::from(limit_ms));
        Self { phase, limit_ms, at }
    }

    fn left(&self) -> Result<Duration, DialError> {
        let left = self.at.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() { Err(self.timeout()) } else { Ok(left) }
    }

    fn timeout(&self) -> DialError {
        DialError::Timeout { phase: self.phase, limit_ms: self.limit_ms }
    }

    fn error(&self, source: io::Error) -> DialError {
        if source.kind() == io::ErrorKind::TimedOut {
            return self.timeout();
        }
        DialError::Io { phase: self.phase, source }
    }
}
