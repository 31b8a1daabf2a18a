//! Start line and headers (RFC 9112 2–5).

use super::{HttpError, Limits};

/// Header lines in order; names compare without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    lines: Vec<(String, String)>,
}

impl Headers {
    /// No headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line. CR, LF and NUL are replaced by spaces, so no value can start a line of its own.
    pub fn push(&mut self, name: &str, value: &str) {
        let clean = |text: &str| text.replace(['\r', '\n', '\0'], " ");
        self.lines.push((clean(name), clean(value)));
    }

    /// The first value under `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Every value under `name`, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether a comma-separated list under `name` holds `token`, without case.
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
    }

    /// All lines in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in self.iter() {
            for part in [name, ": ", value, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestHead {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Headers,
}

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) headers: Headers,
}

/// Parses a request head at the front of `input`; `None` asks for more bytes. Returns its length with it.
pub(crate) fn parse_request_head(
    input: &[u8],
    limits: &Limits,
) -> Result<Option<(RequestHead, usize)>, HttpError> {
    let Some((start, lines, len)) = split(input, limits)? else { return Ok(None) };
    let start = std::str::from_utf8(start).map_err(|_| HttpError::StartLine)?;
    let mut words = start.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HttpError::StartLine);
    };
    let plain_target = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_token(method.as_bytes()) || !plain_target {
        return Err(HttpError::StartLine);
    }
    check_version(version.as_bytes())?;
    let headers = parse_headers(lines, limits)?;
    Ok(Some((RequestHead { method: method.to_owned(), target: target.to_owned(), headers }, len)))
}

/// Parses the head of an answer at the front of `input`; `None` asks for more bytes. Returns its length with it.
pub(crate) fn parse_response_head(
    input: &[u8],
    limits: &Limits,
) -> Result<Option<(ResponseHead, usize)>, HttpError> {
    let Some((start, lines, len)) = split(input, limits)? else { return Ok(None) };
    let start = std::str::from_utf8(start).map_err(|_| HttpError::StartLine)?;
    let (version, rest) = start.split_once(' ').ok_or(HttpError::StartLine)?;
    check_version(version.as_bytes())?;
    // The reason may be empty, with or without the space before it.
    let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let digits = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    let status: u16 = if digits { status.parse().unwrap_or(0) } else { 0 };
    if !(100..600).contains(&status) || reason.bytes().any(is_control) {
        return Err(HttpError::StartLine);
    }
    let headers = parse_headers(lines, limits)?;
    Ok(Some((ResponseHead { status, reason: reason.to_owned(), headers }, len)))
}

/// Start line, header block and length of the head, once it is whole.
#[expect(clippy::type_complexity, reason = "three parts of one slice, named at the only two callers")]
fn split<'a>(input: &'a [u8], limits: &Limits) -> Result<Option<(&'a [u8], &'a [u8], usize)>, HttpError> {
    let limit = limits.head_bytes_max;
    let within = &input[..input.len().min(limit)];
    let Some(end) = within.windows(4).position(|four| four == b"\r\n\r\n") else {
        if input.len() >= limit {
            return Err(HttpError::HeadTooLong { limit });
        }
        return Ok(None);
    };
    let head = &within[..end + 2];
    let line = head.windows(2).position(|two| two == b"\r\n").unwrap_or(end);
    Ok(Some((&head[..line], &head[line + 2..], end + 4)))
}

fn parse_headers(mut block: &[u8], limits: &Limits) -> Result<Headers, HttpError> {
    let mut headers = Headers::new();
    while !block.is_empty() {
        let line_number = headers.lines.len() + 1;
        let end = block.windows(2).position(|two| two == b"\r\n").unwrap_or(block.len());
        let line = &block[..end];
        block = block.get(end + 2..).unwrap_or(&[]);
        if line_number > limits.headers_max {
            return Err(HttpError::TooManyHeaders { limit: limits.headers_max });
        }
        let bad_name = HttpError::HeaderName { line: line_number };
        let bad_value = HttpError::HeaderValue { line: line_number };
        let colon = line.iter().position(|byte| *byte == b':').ok_or(bad_name)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if !is_token(name) {
            return Err(bad_name);
        }
        let name = std::str::from_utf8(name).map_err(|_| bad_name)?;
        let value = std::str::from_utf8(value).map_err(|_| bad_value)?;
        if value.bytes().any(is_control) {
            return Err(bad_value);
        }
        headers.lines.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    Ok(headers)
}

fn check_version(version: &[u8]) -> Result<(), HttpError> {
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => Ok(()),
        other if other.starts_with(b"HTTP/") => Err(HttpError::Version),
        _ => Err(HttpError::StartLine),
    }
}

fn is_token(bytes: &[u8]) -> bool {
    let mark = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || mark(*byte))
}

fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}
