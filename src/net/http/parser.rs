//! From bytes to whole messages, however the bytes are cut.

use super::body::{Body, framing};
use super::head::{ResponseHead, parse_request_head, parse_response_head};
use super::message::{Request, Response, has_body};
use super::{HttpError, Limits};

/// Reads requests off a connection, one after the other. After an error the connection is finished.
#[derive(Debug)]
pub struct RequestParser {
    limits: Limits,
    input: Vec<u8>,
    current: Option<(Request, Body)>,
}

impl RequestParser {
    /// A parser for one connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, input: Vec::new(), current: None }
    }

    /// Adds received bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next whole request, or `None` until more bytes are fed.
    ///
    /// # Errors
    /// [`HttpError`]; then answer 400 and close.
    pub fn next_request(&mut self) -> Result<Option<Request>, HttpError> {
        if self.current.is_none() {
            let Some((head, len)) = parse_request_head(&self.input, &self.limits)? else { return Ok(None) };
            let body = framing(&head.headers, &self.limits)?.unwrap_or(Body::Length { left: 0 });
            self.input.drain(..len);
            let request =
                Request { method: head.method, target: head.target, headers: head.headers, body: Vec::new() };
            self.current = Some((request, body));
        }
        let Some((request, body)) = &mut self.current else { return Ok(None) };
        let (taken, whole) = body.take(&self.input, &mut request.body, &self.limits)?;
        self.input.drain(..taken);
        Ok(if whole { self.current.take().map(|(request, _)| request) } else { None })
    }

    /// Bytes behind the last request, for the protocol an upgrade switches to.
    #[must_use]
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }
}

/// Reads one answer off a connection. Interim answers (1xx other than 101) are skipped.
#[derive(Debug)]
pub struct ResponseParser {
    limits: Limits,
    input: Vec<u8>,
    current: Option<(Response, Body)>,
}

impl ResponseParser {
    /// A parser for one answer.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, input: Vec::new(), current: None }
    }

    /// Adds received bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Whether the head has been read, so that a deadline can be set for the body alone.
    #[must_use]
    pub fn has_head(&self) -> bool {
        self.current.is_some()
    }

    /// The answer once it is whole, or `None` until more bytes are fed.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn next_response(&mut self) -> Result<Option<Response>, HttpError> {
        while self.current.is_none() {
            let Some((head, len)) = parse_response_head(&self.input, &self.limits)? else { return Ok(None) };
            self.input.drain(..len);
            let ResponseHead { status, headers, .. } = head;
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let body = if has_body(status) {
                framing(&headers, &self.limits)?.unwrap_or(Body::UntilEnd)
            } else {
                Body::Length { left: 0 }
            };
            self.current = Some((Response { status, headers, body: Vec::new() }, body));
        }
        let Some((response, body)) = &mut self.current else { return Ok(None) };
        let (taken, whole) = body.take(&self.input, &mut response.body, &self.limits)?;
        self.input.drain(..taken);
        Ok(if whole { self.current.take().map(|(response, _)| response) } else { None })
    }

    /// The stream has ended: `in_order` for TLS close_notify or a plain FIN. Returns the answer when it was one that
    /// lasts until the end of the stream.
    ///
    /// # Errors
    /// [`HttpError::Truncated`] when the answer is not whole; a stream cut out of order never completes one.
    pub fn finish(mut self, in_order: bool) -> Result<Response, HttpError> {
        if let Some(response) = self.next_response()? {
            return Ok(response);
        }
        match self.current {
            Some((response, Body::UntilEnd)) if in_order => Ok(response),
            _ => Err(HttpError::Truncated),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head_bytes_max: 256, headers_max: 4, body_bytes_max: 64 };

    fn request(bytes: &[u8]) -> Result<Option<Request>, HttpError> {
        let mut parser = RequestParser::new(LIMITS);
        parser.feed(bytes);
        parser.next_request()
    }

    fn response(bytes: &[u8]) -> Result<Option<Response>, HttpError> {
        let mut parser = ResponseParser::new(LIMITS);
        parser.feed(bytes);
        parser.next_response()
    }

    #[test]
    fn what_is_written_is_read_back_at_every_cut() {
        let mut sent = Request::new("POST", "/order?symbol=BTC");
        sent.headers.push("X-Key", "abc");
        sent.body = b"{\"a\":1}".to_vec();
        let mut wire = Vec::new();
        sent.write("venue.test", &mut wire);
        for cut in 0..wire.len() {
            let mut parser = RequestParser::new(LIMITS);
            parser.feed(&wire[..cut]);
            assert_eq!(parser.next_request(), Ok(None), "{cut}");
            parser.feed(&wire[cut..]);
            let read = parser.next_request().unwrap().unwrap();
            assert_eq!((read.method.as_str(), read.path(), read.query()), ("POST", "/order", "symbol=BTC"));
            assert_eq!(read.headers.get("x-key"), Some("abc"));
            assert_eq!(read.headers.get("HOST"), Some("venue.test"));
            assert_eq!(read.body, sent.body);
        }
    }

    #[test]
    fn chunked_answers_at_every_cut() {
        let wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            4;x=y\r\nWiki\r\n5\r\npedia\r\n0\r\nTrailer: 1\r\n\r\n";
        for cut in 0..wire.len() {
            let mut parser = ResponseParser::new(LIMITS);
            parser.feed(&wire[..cut]);
            assert_eq!(parser.next_response(), Ok(None), "{cut}");
            parser.feed(&wire[cut..]);
            assert_eq!(parser.next_response().unwrap().unwrap().body, b"Wikipedia");
        }
    }

    #[test]
    fn pipelined_requests_come_one_by_one() {
        let mut parser = RequestParser::new(LIMITS);
        parser.feed(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nrest");
        assert_eq!(parser.next_request().unwrap().unwrap().target, "/a");
        assert_eq!(parser.next_request().unwrap().unwrap().target, "/b");
        assert_eq!(parser.next_request(), Ok(None));
        assert_eq!(parser.take_rest(), b"rest");
    }

    #[test]
    fn an_answer_without_length_needs_an_orderly_end() {
        let parser = || {
            let mut parser = ResponseParser::new(LIMITS);
            parser.feed(b"HTTP/1.1 200 OK\r\n\r\nall of it");
            assert_eq!(parser.next_response(), Ok(None));
            parser
        };
        assert_eq!(parser().finish(true).unwrap().body, b"all of it");
        assert_eq!(parser().finish(false), Err(HttpError::Truncated));
        let mut cut = ResponseParser::new(LIMITS);
        cut.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort");
        assert_eq!(cut.finish(true), Err(HttpError::Truncated));
    }

    #[test]
    fn interim_and_bodiless_answers() {
        let got = response(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap();
        assert_eq!(got.status, 204);
        assert!(response(b"HTTP/1.1 204\r\n\r\n").unwrap().is_some());
    }

    #[test]
    fn each_refusal_has_its_error() {
        let head = |lines: &str| request(format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n").as_bytes());
        assert_eq!(head("A b: c"), Err(HttpError::HeaderName { line: 1 }));
        assert_eq!(head("A: b\r\n c"), Err(HttpError::HeaderName { line: 2 }));
        assert_eq!(head("A : b"), Err(HttpError::HeaderName { line: 1 }));
        assert_eq!(head("no colon"), Err(HttpError::HeaderName { line: 1 }));
        assert_eq!(head("A: b\nc: d"), Err(HttpError::HeaderValue { line: 1 }));
        assert_eq!(head("A: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1"), Err(HttpError::TooManyHeaders { limit: 4 }));
        assert_eq!(head("Content-Length: +1"), Err(HttpError::ContentLength));
        assert_eq!(head("Content-Length: 1\r\nContent-Length: 2"), Err(HttpError::ContentLength));
        assert_eq!(head("Content-Length: 99999999999999999999999"), Err(HttpError::ContentLength));
        assert_eq!(head("Content-Length: 65"), Err(HttpError::BodyTooLong { length: 65, limit: 64 }));
        assert_eq!(head("Content-Length: 1\r\nTransfer-Encoding: chunked"), Err(HttpError::TwoLengths));
        assert_eq!(head("Transfer-Encoding: gzip, chunked"), Err(HttpError::TransferEncoding));
        assert_eq!(request(b"GET / HTTP/2.0\r\n\r\n"), Err(HttpError::Version));
        assert_eq!(request(b"GET  / HTTP/1.1\r\n\r\n"), Err(HttpError::StartLine));
        assert_eq!(request(b"\x16\x03\x01 nonsense\r\n\r\n"), Err(HttpError::StartLine));
        assert_eq!(request(&[b'a'; 256]), Err(HttpError::HeadTooLong { limit: 256 }));
        assert_eq!(response(b"HTTP/1.1 20 OK\r\n\r\n"), Err(HttpError::StartLine));
        assert_eq!(response(b"HTTP/1.1 999 OK\r\n\r\n"), Err(HttpError::StartLine));

        let chunks = |body: &str| {
            response(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}").as_bytes())
        };
        assert_eq!(chunks("g\r\n"), Err(HttpError::ChunkSize));
        assert_eq!(chunks("\r\n"), Err(HttpError::ChunkSize));
        assert_eq!(chunks("1\r\nabc"), Err(HttpError::ChunkEnd));
        assert_eq!(chunks("41\r\n"), Err(HttpError::BodyTooLong { length: 65, limit: 64 }));
        assert_eq!(
            chunks("fffffffffffffff\r\n"),
            Err(HttpError::BodyTooLong { length: 0xfff_ffff_ffff_ffff, limit: 64 })
        );
        assert_eq!(chunks(&"1".repeat(2_000)), Err(HttpError::ChunkSize));
    }

    #[test]
    fn a_header_value_cannot_start_a_line() {
        let mut sent = Request::get("/a b\r\nEvil: 1");
        sent.headers.push("X", "1\r\nEvil: 1");
        let mut wire = Vec::new();
        sent.write("h", &mut wire);
        let read = request(&wire).unwrap().unwrap();
        assert_eq!(read.headers.get("evil"), None);
    }
}
