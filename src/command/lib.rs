//! What an operator may ask of a running engine, and how it is put into bytes.
//!
//! ```text
//!  corelane-ctl ── Request ── frame ──▶ Unix socket ──▶ Inbox ── Request ──▶ engine
//!               ◀── Reply ─── frame ◀──             ◀────────── Reply ◀──
//! ```
//!
//! A connection carries one request and one reply. A frame is its length (4 bytes, little end first, of what follows) and
//! a payload: version, code, fields. Lengths are bounded before anything is kept, every field is checked, and nothing may
//! follow the last one: whatever the bytes, the answer is a [`Request`] or an error that says what is wrong with them.
//!
//! Deliberately absent: sockets, threads, clocks, any knowledge of how a request is carried out. Who asks is for the
//! kernel to say, never for the request.

#![forbid(unsafe_code)]

mod frame;
mod mode;
mod reply;
mod request;

pub use frame::{FrameError, HEAD_BYTES, Inbox, frame};
pub use mode::{Mode, ModeError};
pub use reply::{Code, REPLY_BYTES_MAX, Reply, ReplyError};
pub use request::{REQUEST_BYTES_MAX, Request, RequestError, Role, TRIP_BYTES_MAX, VERSION};

/// Name of the socket in an instance's directory.
pub const SOCKET_FILE: &str = "ctl.sock";
