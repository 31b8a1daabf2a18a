//! The simulated venue on a real socket: HTTPS and WSS on a loopback port, one thread.
//!
//! [`SimVenueHost::start`] makes a certificate, listens on `127.0.0.1` and serves a
//! [`BinanceSim`]: a GET with an upgrade becomes a WebSocket, anything else is REST.
//! The [`Handle`] looks into the venue for audits and tests, and makes the network misbehave on purpose: connections
//! that stop reading, go silent, end, or are reset. A [`FaultProxy`] before it does the like to the bytes below TLS.
//!
//! The thread sleeps in `ppoll(2)` until a socket is ready or the market has something to do, at most 1 ms at a time:
//! it shares a core with the engine it serves. Only at [`Speed::Max`] it does not sleep while lines can leave.

mod handle;
mod host;
mod lane;
mod pause;
mod pem;
mod plan;
mod proxy;
mod slot;
#[cfg(test)]
mod tests;

pub use handle::{ConnKind, Handle};
pub use net::ServerClose;
pub use pem::pem;
pub use plan::{ConnPlan, Fault, FaultKind, Trigger, Way, outage};
pub use proxy::FaultProxy;

use agent::Clock;
use net::server::ServerConfig;
use net::tls::{ServerTls, TlsSetupError};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use venue_binance::sim::{BinanceSim, SimConfig, SimError};

/// How fast a recording is played. A crowd always lives in the host's own time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// This many times as fast as recorded; above 0, 1.0 = as recorded.
    Realtime(f64),
    /// As fast as the sockets take it: no line leaves while a connection has more than
    /// [`HostOptions::backlog_bytes`] waiting.
    Max,
}

/// What the host does when no socket is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostIdle {
    /// Sleep until one is, or the market has something to do. Whoever sends to a sleeping host pays for waking its
    /// core: some 10 to 20 us on virtual machines.
    Sleep,
    /// Look again, letting other threads of the core run: a peer that is awake, as a far venue's network card is.
    Yield,
}

/// How the host serves.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// What to do when no socket is ready. Default sleep.
    pub idle: HostIdle,
    /// Pace of a recording. Default as recorded.
    pub speed: Speed,
    /// Where to listen. Default a free port on 127.0.0.1.
    pub listen: SocketAddr,
    /// The venue's clock: what requests are judged and events stamped by. Default the live clock.
    pub clock: Clock,
    /// Receive buffer asked for on every accepted connection, bytes (the kernel doubles it); small ones let a stalled
    /// window close soon. Default: the kernel's.
    pub recv_buffer_bytes: Option<u32>,
    /// Bytes waiting on a connection beyond which [`Speed::Max`] pauses. Default 256 KiB.
    pub backlog_bytes: usize,
    /// Gap between WebSocket pings, ms. Default 20000, the venue's.
    pub ping_ms: u64,
    /// A WebSocket without a pong for so long is closed, ms. Default 60000, the venue's.
    pub pong_ms: u64,
}

impl Default for HostOptions {
    fn default() -> HostOptions {
        HostOptions {
            idle: HostIdle::Sleep,
            speed: Speed::Realtime(1.0),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clock: Clock::live(),
            recv_buffer_bytes: None,
            backlog_bytes: 256 * 1024,
            ping_ms: 20_000,
            pong_ms: 60_000,
        }
    }
}

/// Why a venue could not be hosted, or did not survive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// A speed of zero, below it, or not a number.
    #[error("speed is {value}, must be above 0")]
    Speed {
        /// The speed.
        value: f64,
    },
    /// The venue's own configuration.
    #[error(transparent)]
    Venue(#[from] SimError),
    /// The certificate could not be made.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The certificate could not be used.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// The socket or the thread.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The host's thread has panicked.
    #[error("the venue's thread panicked: {message}")]
    Panicked {
        /// With these words.
        message: String,
    },
}

/// The host; all it does is start.
pub struct SimVenueHost;

impl SimVenueHost {
    /// Makes the venue and a certificate for `127.0.0.1` and `localhost`, and serves from a thread named `simvenue`.
    ///
    /// # Errors
    /// [`HostError`].
    pub fn start(config: SimConfig, options: HostOptions) -> Result<Handle, HostError> {
        if let Speed::Realtime(value) = options.speed
            && (value <= 0.0 || value.is_nan())
        {
            return Err(HostError::Speed { value });
        }
        let venue = BinanceSim::new(config, options.clock.now())?;
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_string(), "localhost".to_string()])?;
        let cert_der = made.cert.der().to_vec();
        let tls = ServerTls::new(vec![cert_der.clone()], made.signing_key.serialize_der())?;
        let io = |what| move |source| HostError::Io { what, source };
        let listener = TcpListener::bind(options.listen).map_err(io("bind"))?;
        listener.set_nonblocking(true).map_err(io("set_nonblocking"))?;
        let addr = listener.local_addr().map_err(io("local_addr"))?;
        let host = host::Host::new(venue, listener, tls, ServerConfig::default(), options);
        handle::spawn(host, addr, cert_der)
    }
}
