//! HTTP/1.1, the small part trading needs: one request, one answer, with every length bounded.
//!
//! [`RequestParser`] and [`ResponseParser`] are fed bytes and return whole messages (content-length, chunked, or
//! until the end of the stream for answers); [`Request`] and [`Response`] write themselves. [`call`] is the blocking
//! client for housekeeping threads, with a deadline on every phase. Parsing is strict where leniency has been an
//! attack: line ends are CRLF, names are tokens, folded lines, conflicting lengths and unknown codings are refused.

mod body;
mod call;
mod head;
mod message;
mod parser;

pub use call::{CallConfig, CallError, Phase, call};
pub use head::Headers;
pub use message::{Request, Response};
pub use parser::{RequestParser, ResponseParser};

pub(crate) use head::parse_response_head;

/// Bounds on what a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Start line and headers together, bytes.
    pub head_bytes_max: usize,
    /// Number of header lines.
    pub headers_max: usize,
    /// Body after removing the chunked coding, bytes.
    pub body_bytes_max: usize,
}

impl Default for Limits {
    /// 16 KiB of head, 100 headers, 16 MiB of body: an instrument list of a large venue fits.
    fn default() -> Self {
        Self { head_bytes_max: 16 * 1024, headers_max: 100, body_bytes_max: 16 * 1024 * 1024 }
    }
}

/// A message that breaks RFC 9112 or a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No end of the head within the bound.
    #[error("head exceeds {limit} bytes")]
    HeadTooLong {
        /// The bound, bytes.
        limit: usize,
    },
    /// More header lines than the bound.
    #[error("more than {limit} headers")]
    TooManyHeaders {
        /// The bound.
        limit: usize,
    },
    /// The start line is malformed.
    #[error("malformed start line")]
    StartLine,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    #[error("unsupported HTTP version")]
    Version,
    /// A header line without a valid name, including folded lines and space before the colon.
    #[error("malformed header name in line {line}")]
    HeaderName {
        /// Line number in the head, from 1 for the first header.
        line: usize,
    },
    /// A header value with control characters or that is not UTF-8.
    #[error("malformed header value in line {line}")]
    HeaderValue {
        /// Line number in the head, from 1 for the first header.
        line: usize,
    },
    /// Content-Length is not a plain number, or several differ.
    #[error("malformed or conflicting content-length")]
    ContentLength,
    /// Content-Length together with Transfer-Encoding, the root of request smuggling.
    #[error("both content-length and transfer-encoding")]
    TwoLengths,
    /// A transfer coding other than chunked alone.
    #[error("unsupported transfer-encoding")]
    TransferEncoding,
    /// The body is longer than the bound.
    #[error("body of at least {length} bytes exceeds {limit}")]
    BodyTooLong {
        /// Bytes announced or received so far.
        length: u64,
        /// The bound, bytes.
        limit: u64,
    },
    /// A chunk size line is malformed.
    #[error("malformed chunk size")]
    ChunkSize,
    /// A chunk is not followed by CRLF.
    #[error("chunk not followed by CRLF")]
    ChunkEnd,
    /// The stream ended inside a message.
    #[error("stream ended inside a message")]
    Truncated,
}
