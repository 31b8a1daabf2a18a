//! The blocking client: one connection, one request, one answer, every phase under a deadline.

use super::{HttpError, Limits, Request, Response, ResponseParser};
use crate::dial::{Deadline, DialError, Endpoint, Progress, Wire};

pub use crate::dial::Phase;

/// Deadlines and bounds of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallConfig {
    /// Name resolution and TCP connect, each, ms.
    pub connect_ms: u32,
    /// TLS handshake, ms.
    pub tls_ms: u32,
    /// Writing the request, ms.
    pub write_ms: u32,
    /// From the request to the whole head of the answer, ms.
    pub head_ms: u32,
    /// From there to the end of the body, ms.
    pub body_ms: u32,
    /// Bounds on the answer.
    pub limits: Limits,
}

impl Default for CallConfig {
    /// 3 s a phase, 10 s for the body.
    fn default() -> Self {
        Self {
            connect_ms: 3_000,
            tls_ms: 3_000,
            write_ms: 3_000,
            head_ms: 3_000,
            body_ms: 10_000,
            limits: Limits::default(),
        }
    }
}

/// Why a call brought no answer. Answers with an error status are answers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The connection failed; names the phase.
    #[error("{0}")]
    Dial(#[from] DialError),
    /// The answer is malformed, too long or cut off.
    #[error("answer: {0}")]
    Http(#[from] HttpError),
}

/// Sends `request` to `endpoint` on a connection of its own and returns the whole answer. Blocks, at most for the
/// sum of the deadlines.
///
/// # Errors
/// [`CallError`]; the request may have been carried out unless the phase is before [`Phase::Write`].
pub fn call(endpoint: &Endpoint, request: &Request, config: &CallConfig) -> Result<Response, CallError> {
    let mut wire = Wire::open(endpoint, config.connect_ms, config.tls_ms)?;
    let mut bytes = Vec::new();
    let mut request = request.clone();
    request.headers.push("Connection", "close");
    request.write(&endpoint.authority(), &mut bytes);
    wire.write(Deadline::start(Phase::Write, config.write_ms), &bytes)?;

    let mut parser = ResponseParser::new(config.limits);
    let mut deadline = Deadline::start(Phase::ResponseHead, config.head_ms);
    loop {
        bytes.clear();
        let progress = wire.read(deadline, &mut bytes)?;
        parser.feed(&bytes);
        if let Some(response) = parser.next_response()? {
            return Ok(response);
        }
        if let Progress::End { in_order } = progress {
            return Ok(parser.finish(in_order)?);
        }
        if parser.has_head() && deadline.phase == Phase::ResponseHead {
            deadline = Deadline::start(Phase::ResponseBody, config.body_ms);
        }
    }
}
