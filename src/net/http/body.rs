//! Where a body ends (RFC 9112 6) and the chunked coding (7.1).

use super::head::Headers;
use super::{HttpError, Limits};

/// Longest chunk size line or trailer line, bytes.
const LINE_BYTES_MAX: usize = 1024;

/// The state of one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// `left` bytes to come.
    Length { left: u64 },
    /// Chunked, in the given state.
    Chunked(Chunk),
    /// Everything until the stream ends in order; answers only.
    UntilEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Before a size line.
    Size,
    /// Inside a chunk, `left` bytes to come.
    Data { left: u64 },
    /// Before the CRLF behind a chunk.
    End,
    /// After the last chunk: trailer lines until an empty one.
    Trailer { lines: usize },
}

/// What the headers say; `None` when they say nothing.
pub(super) fn framing(headers: &Headers, limits: &Limits) -> Result<Option<Body>, HttpError> {
    let mut length: Option<u64> = None;
    for value in headers.all("content-length") {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let this: u64 = if digits { value.parse().ok() } else { None }.ok_or(HttpError::ContentLength)?;
        if length.is_some_and(|earlier| earlier != this) {
            return Err(HttpError::ContentLength);
        }
        length = Some(this);
    }
    let mut codings = headers.all("transfer-encoding");
    let coding = codings.next();
    if codings.next().is_some() || coding.is_some_and(|name| !name.eq_ignore_ascii_case("chunked")) {
        return Err(HttpError::TransferEncoding);
    }
    match (coding, length) {
        (Some(_), Some(_)) => Err(HttpError::TwoLengths),
        (Some(_), None) => Ok(Some(Body::Chunked(Chunk::Size))),
        (None, Some(left)) => {
            check_length(left, limits)?;
            Ok(Some(Body::Length { left }))
        }
        (None, None) => Ok(None),
    }
}

impl Body {
    /// Moves body bytes from the front of `input` to `body`. Returns how many bytes of input are done with and
    /// whether the body is whole.
    pub(super) fn take(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(usize, bool), HttpError> {
        match self {
            Self::Length { left } => {
                let taken = move_bytes(left, input, body);
                Ok((taken, *left == 0))
            }
            Self::UntilEnd => {
                // Of what is too long, one byte too many is told, however much of it has come.
                check_length(
                    (body.len() + input.len()).min(limits.body_bytes_max.saturating_add(1)) as u64,
                    limits,
                )?;
                body.extend_from_slice(input);
                Ok((input.len(), false))
            }
            Self::Chunked(state) => {
                let mut at = 0;
                loop {
                    let rest = &input[at..];
                    match state {
                        Chunk::Size => {
                            let Some(line) = take_line(rest, HttpError::ChunkSize)? else {
                                return Ok((at, false));
                            };
                            at += line.len() + 2;
                            let left = chunk_size(line)?;
                            check_length((body.len() as u64).saturating_add(left), limits)?;
                            *state =
                                if left == 0 { Chunk::Trailer { lines: 0 } } else { Chunk::Data { left } };
                        }
                        Chunk::Data { left } => {
                            at += move_bytes(left, rest, body);
                            if *left > 0 {
                                return Ok((at, false));
                            }
                            *state = Chunk::End;
                        }
                        Chunk::End => match rest {
                            [b'\r', b'\n', ..] => {
                                at += 2;
                                *state = Chunk::Size;
                            }
                            [] | [b'\r'] => return Ok((at, false)),
                            _ => return Err(HttpError::ChunkEnd),
                        },
                        Chunk::Trailer { lines } => {
                            let Some(line) =
                                take_line(rest, HttpError::HeadTooLong { limit: LINE_BYTES_MAX })?
                            else {
                                return Ok((at, false));
                            };
                            at += line.len() + 2;
                            if line.is_empty() {
                                return Ok((at, true));
                            }
                            *lines += 1;
                            if *lines > limits.headers_max {
                                return Err(HttpError::TooManyHeaders { limit: limits.headers_max });
                            }
                        }
                    }
                }
            }
        }
    }
}

fn move_bytes(left: &mut u64, input: &[u8], body: &mut Vec<u8>) -> usize {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    body.extend_from_slice(&input[..taken]);
    *left -= taken as u64;
    taken
}

fn check_length(length: u64, limits: &Limits) -> Result<(), HttpError> {
    let limit = limits.body_bytes_max as u64;
    if length > limit { Err(HttpError::BodyTooLong { length, limit }) } else { Ok(()) }
}

fn take_line(input: &[u8], too_long: HttpError) -> Result<Option<&[u8]>, HttpError> {
    match input.windows(2).position(|two| two == b"\r\n") {
        Some(end) if end <= LINE_BYTES_MAX => Ok(Some(&input[..end])),
        None if input.len() <= LINE_BYTES_MAX + 1 => Ok(None),
        _ => Err(too_long),
    }
}

/// Hexadecimal size, with an extension behind a semicolon ignored.
fn chunk_size(line: &[u8]) -> Result<u64, HttpError> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or(line).trim_ascii_end();
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(HttpError::ChunkSize);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| HttpError::ChunkSize)?;
    u64::from_str_radix(digits, 16).map_err(|_| HttpError::ChunkSize)
}
