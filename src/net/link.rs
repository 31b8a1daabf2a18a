//! One logical connection of an agent: it comes up, carries WebSocket text messages, goes down, comes up again.
//!
//! ```text
//!            request ─► dialer                     sealed bytes left over
//!   Down ───────────────────► Waiting ─Session─► Up ◄──────────────► Up (backlog)
//!    ▲                                            │
//!    └── LinkEvent::Down: close, FIN, reset, idle, protocol, abort ◄┘
//! ```
//!
//! [`Link`] is what agents are written against; [`WsLink`] is the one that trades. A link never blocks and, after
//! warm-up, allocates nothing of its own in `poll` and `send`; rustls allocates once per record.

mod counters;
mod ws_link;

use std::io;

pub use crate::socket::AbortHandle;
pub use counters::{LinkCounters, REASON_NAMES, REASONS};
pub use ws_link::{LinkConfig, WsLink};

use crate::tls::TlsFault;
use crate::ws::WsError;

/// A connection slot of an agent.
pub trait Link: Send {
    /// Looks for work without blocking: adopts a new session, flushes the backlog, receives, decodes, and hands at
    /// most `budget` messages to `sink`. `stamp` reads the engine's clock in nanoseconds; it is called right when
    /// received bytes are seen, before decryption, and for the idle deadline. Returns the number of events handed
    /// out. Every [`LinkEvent::Up`] is followed by exactly one [`LinkEvent::Down`].
    fn poll(&mut self, budget: usize, stamp: &dyn Fn() -> u64, sink: &mut dyn FnMut(LinkEvent<'_>)) -> usize;

    /// Sends one text message: frames, masks and seals it, asks `last_check`, then calls `send` at once. `Ok` means
    /// the kernel has the bytes or the link's own backlog keeps the rest: [`unsent_bytes`](Link::unsent_bytes)
    /// tells.
    ///
    /// # Errors
    /// [`SendError`]; except for [`SendError::Withheld`] and [`SendError::Io`] nothing has changed and the message
    /// may be offered again. After `Withheld` the link must be aborted.
    fn send(&mut self, payload: &[u8], last_check: &mut dyn FnMut() -> bool) -> Result<(), SendError>;

    /// Does with a message what [`send`](Link::send) does up to its last check, and throws it away: framed, masked and
    /// sealed with keys that no peer has, in buffers that no socket sees. Keeps code and data of that way warm; the
    /// connection is as it was. Does nothing unless a link has such a way.
    ///
    /// # Errors
    /// [`SendError`]: what would have kept the message from its last check.
    fn warm_up(&mut self, payload: &[u8]) -> Result<(), SendError> {
        let _ = payload;
        if self.is_up() { Ok(()) } else { Err(SendError::Down) }
    }

    /// Bytes accepted by `send` that have not left this host: the own backlog and what the kernel has not sent
    /// (`SIOCOUTQNSD`). One `ioctl`, about 0.2 us. Zero when the link is down.
    ///
    /// # Errors
    /// The error of the `ioctl`.
    fn unsent_bytes(&mut self) -> Result<usize, io::Error>;

    /// Ends the connection with a reset and drops everything queued, in this call. The next `poll` reports
    /// [`LinkEvent::Down`] with [`CloseReason::Aborted`]. Nothing to do when the link is down.
    fn abort(&mut self);

    /// Whether messages can be sent.
    fn is_up(&self) -> bool;

    /// A descriptor of its own with which another thread can do what [`abort`](Link::abort) does to the present
    /// connection. `None` when the link is down or the descriptor table is full. Costs one `dup`; not for the hot
    /// path.
    fn abort_handle(&self) -> Option<AbortHandle>;
}

/// What a link tells its agent.
#[derive(Debug)]
pub enum LinkEvent<'a> {
    /// A new connection carries messages from now on; what was pending on the old one is unknown.
    Up,
    /// One whole text message.
    Message {
        /// The bytes, free to be overwritten; at least [`crate::ws::PADDING`] further bytes of the same allocation
        /// lie behind them.
        payload: &'a mut [u8],
        /// When the bytes that completed the message were seen in user space, before decryption; ns on the
        /// caller's clock.
        ts_visible_ns: u64,
    },
    /// The connection is gone; a new one has been asked for.
    Down {
        /// Why.
        reason: CloseReason,
    },
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer sent a close frame.
    #[error("peer closed with code {code}")]
    PeerClose {
        /// Its code, 1005 when there was none.
        code: u16,
    },
    /// The stream ended in order (TLS close_notify, or FIN on a plain socket) but without a close frame.
    #[error("stream ended without a close frame")]
    Eof,
    /// FIN without TLS close_notify: an attacker or a dying peer may have cut messages off.
    #[error("stream truncated: FIN without close_notify")]
    Truncated,
    /// The peer reset the connection.
    #[error("connection reset by peer")]
    Reset,
    /// The socket failed otherwise.
    #[error("socket error {errno}")]
    Io {
        /// The `errno`.
        errno: i32,
    },
    /// No byte arrived for the configured time.
    #[error("no byte for {idle_ms} ms")]
    Idle {
        /// The deadline that passed.
        idle_ms: u32,
    },
    /// The peer broke RFC 6455 or the size bound.
    #[error("WebSocket: {0}")]
    Protocol(WsError),
    /// A binary message on a text link.
    #[error("binary message on a text link")]
    Binary,
    /// TLS failed after the handshake.
    #[error("TLS: {0}")]
    Tls(TlsFault),
    /// [`Link::abort`] or an [`AbortHandle`] of this link ended it.
    #[error("aborted")]
    Aborted,
    /// Answers to the peer's pings could not leave and reached the backlog bound: the peer reads nothing.
    #[error("backlog reached its bound")]
    Backlog,
    /// More plaintext than the receive buffer can hold; impossible with peers that keep the record size.
    #[error("receive buffer overrun")]
    Overrun,
}

impl CloseReason {
    /// What a failed socket call means for the connection.
    #[cold]
    pub(crate) fn of_errno(errno: i32) -> Self {
        match errno {
            libc::ECONNRESET | libc::EPIPE => Self::Reset,
            _ => Self::Io { errno },
        }
    }
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No connection.
    #[error("link is down")]
    Down,
    /// Bytes of an earlier message have not reached the kernel.
    #[error("backlog of {bytes} bytes")]
    Backlog {
        /// The backlog.
        bytes: usize,
    },
    /// The last check said no after the record was sealed. Nothing left; the record sequence has a gap, so the
    /// link can send nothing more and must be aborted.
    #[error("withheld by the last check")]
    Withheld,
    /// An earlier message was withheld; only [`Link::abort`] helps.
    #[error("link is poisoned by a withheld message")]
    Poisoned,
    /// Longer than the configured bound.
    #[error("message of {length} bytes exceeds the bound of {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// The socket refused; whether anything left is unknown. The next `poll` reports the end of the connection.
    #[error("socket error {errno}")]
    Io {
        /// The `errno`.
        errno: i32,
    },
    /// TLS refused to seal.
    #[error("TLS: {0}")]
    Tls(TlsFault),
}
