//! RFC 6455 without extensions and without I/O: bytes in, frames and messages out.
//!
//! Arrows: [`Decoder`] finds whole frames in the caller's receive buffer and hands the payload out in place; only
//! a fragmented message is copied, into one bounded buffer that is reused. [`Encoder`] appends frames to the
//! caller's output buffer. [`handshake`] writes and judges the opening HTTP exchange. Nothing here owns a socket,
//! a clock or an entropy source: mask keys come from a generator seeded by the caller.
//!
//! No extension is ever offered or accepted, so a set reserved bit is always an error.

mod close;
mod decoder;
mod encoder;
mod frame;
pub mod handshake;

pub use close::{CloseCode, check_close_code};
pub use decoder::{Decoded, Decoder, Event, Limits, MessageKind};
pub use encoder::{Encoder, MaskKeys};
pub use frame::{FrameHeader, HEADER_BYTES_MAX, Opcode, Role, apply_mask};

/// Bytes that stay readable behind every delivered payload, so a scanner may load whole vectors past its end.
pub const PADDING: usize = 64;

/// A violation of RFC 6455 by the peer. The connection cannot continue; [`close_code`](WsError::close_code) says
/// what to tell the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WsError {
    /// A reserved bit is set although no extension was negotiated (RFC 6455 5.2).
    #[error("frame sets reserved bits {bits:#05b}; no extension was negotiated")]
    ReservedBits {
        /// The three bits, RSV1 highest.
        bits: u8,
    },
    /// Opcode 3..=7 or 11..=15 (RFC 6455 5.2).
    #[error("frame opcode {opcode} is reserved")]
    ReservedOpcode {
        /// The four bits found.
        opcode: u8,
    },
    /// A control frame without FIN (RFC 6455 5.5).
    #[error("control frame with opcode {opcode} is fragmented")]
    FragmentedControl {
        /// The four bits found.
        opcode: u8,
    },
    /// A control frame longer than 125 bytes (RFC 6455 5.5).
    #[error("control frame uses length code {length_code}; the most is 125")]
    ControlTooLong {
        /// The seven-bit length found: 126 or 127.
        length_code: u8,
    },
    /// A 64-bit length whose top bit is set (RFC 6455 5.2).
    #[error("frame length {length:#x} has its top bit set")]
    LengthTopBit {
        /// The length found.
        length: u64,
    },
    /// A length not written in the fewest bytes (RFC 6455 5.2).
    #[error("frame length {length} is not written in the fewest bytes")]
    LengthNotMinimal {
        /// The length found.
        length: u64,
    },
    /// A client sent a frame without a mask (RFC 6455 5.1).
    #[error("client frame is not masked")]
    Unmasked,
    /// A server sent a masked frame (RFC 6455 5.1).
    #[error("server frame is masked")]
    Masked,
    /// A frame, or a message with its earlier fragments, is longer than the configured bound.
    #[error("message of {length} bytes exceeds the bound of {limit}")]
    TooBig {
        /// Bytes announced so far, saturating.
        length: u64,
        /// The bound.
        limit: u64,
    },
    /// A continuation frame with no message begun (RFC 6455 5.4).
    #[error("continuation frame without a begun message")]
    UnexpectedContinuation,
    /// A new data frame while a fragmented message is unfinished (RFC 6455 5.4).
    #[error("data frame inside an unfinished fragmented message")]
    InterruptedMessage,
    /// A close code that must not appear on the wire (RFC 6455 7.4).
    #[error("close code {code} must not be sent")]
    CloseCode {
        /// The code found.
        code: u16,
    },
    /// A close frame with a one-byte body (RFC 6455 5.5.1).
    #[error("close frame body of one byte")]
    ClosePayload,
    /// A close reason that is not UTF-8 (RFC 6455 5.5.1).
    #[error("close reason is not UTF-8")]
    CloseReasonUtf8,
    /// A text message that is not UTF-8, found only when the check is asked for (RFC 6455 8.1).
    #[error("text message is not UTF-8")]
    TextUtf8,
}

impl WsError {
    /// The close code this violation earns: 1009 for size, 1007 for UTF-8, 1002 for everything else.
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::TooBig { .. } => CloseCode::TOO_BIG,
            Self::CloseReasonUtf8 | Self::TextUtf8 => CloseCode::INVALID_PAYLOAD,
            _ => CloseCode::PROTOCOL,
        }
    }
}
