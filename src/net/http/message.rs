//! Whole requests and answers, and how they are written.

use super::Headers;

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, `DELETE`, ...
    pub method: String,
    /// Path and query, as sent: `/api/v3/time`.
    pub target: String,
    /// Headers besides those the writer adds.
    pub headers: Headers,
    /// Body bytes; may be empty.
    pub body: Vec<u8>,
}

impl Request {
    /// A request with neither headers nor body.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), ..Self::default() }
    }

    /// A `GET` request.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// The path before the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or(&self.target)
    }

    /// The query after `?`, empty when there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// Appends the bytes of this request. Adds `Host` and, for a body or a method that implies one,
    /// `Content-Length`. Characters that would break the start line are replaced by `_`.
    pub fn write(&self, host: &str, out: &mut Vec<u8>) {
        let plain = |text: &str| text.replace(|c: char| !c.is_ascii_graphic(), "_");
        for part in
            [&plain(&self.method), " ", &plain(&self.target), " HTTP/1.1\r\nHost: ", &plain(host), "\r\n"]
        {
            out.extend_from_slice(part.as_bytes());
        }
        self.headers.write(out);
        if !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            out.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 100..=599.
    pub status: u16,
    /// Headers besides those the writer adds.
    pub headers: Headers,
    /// Body bytes, with the chunked coding removed.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer with a body of the given media type.
    #[must_use]
    pub fn new(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut headers = Headers::new();
        headers.push("Content-Type", media_type);
        Self { status, headers, body: body.into() }
    }

    /// An `application/json` answer.
    #[must_use]
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// Appends the bytes of this answer; adds `Content-Length` where an answer may have a body.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)).as_bytes());
        self.headers.write(out);
        if has_body(self.status) {
            out.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        if has_body(self.status) {
            out.extend_from_slice(&self.body);
        }
    }
}

/// Whether an answer with this status has a body at all (RFC 9110 6.4.1).
pub(super) fn has_body(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 304)
}

fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        418 => "I'm a teapot",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
