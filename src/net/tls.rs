//! TLS 1.3 on buffers: rustls with the ring provider, AES-128-GCM first.
//!
//! [`TlsStream`] is fed received ciphertext and appends plaintext to the caller's buffer; it seals plaintext into the
//! caller's output buffer. It owns no socket. Only TLS 1.3 is compiled in; a peer that speaks less is refused with a
//! named error. rustls allocates once per record; nothing else here does after the handshake.

mod config;
mod practice;
mod stream;

pub use config::{ClientTls, SYSTEM_ROOTS, ServerTls, TlsSetupError, Trust};
pub use practice::PracticeSeal;
pub use stream::{PlaintextSink, TlsStream};

/// A TLS failure as a small value, for the hot path and counters. The text of a failed handshake is in
/// [`crate::dial::DialError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// The peer's certificate was not accepted: unknown issuer, wrong name, expired.
    #[error("certificate refused")]
    Certificate,
    /// A record failed authentication: corruption or an attack.
    #[error("record failed authentication")]
    Decrypt,
    /// The peer sent a fatal alert.
    #[error("peer sent alert {code}")]
    Alert {
        /// The alert's number (RFC 8446 6).
        code: u8,
    },
    /// The peer does not speak TLS 1.3 with a cipher suite and group we have.
    #[error("peer is incompatible")]
    Incompatible,
    /// The peer broke the protocol.
    #[error("peer broke the protocol")]
    Protocol,
    /// Plaintext did not fit the caller's buffer.
    #[error("plaintext buffer is full")]
    Full,
    /// Anything else: our side could not seal or is misconfigured.
    #[error("TLS failed internally")]
    Internal,
}

impl TlsFault {
    pub(crate) fn from_rustls(error: &rustls::Error) -> Self {
        use rustls::Error;
        match error {
            Error::InvalidCertificate(_) | Error::NoCertificatesPresented | Error::UnsupportedNameType => {
                Self::Certificate
            }
            Error::DecryptError => Self::Decrypt,
            Error::AlertReceived(alert) => Self::Alert { code: u8::from(*alert) },
            Error::PeerIncompatible(_) => Self::Incompatible,
            Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord => Self::Protocol,
            _ => Self::Internal,
        }
    }
}
