//! The opening handshake (RFC 6455 4), both ends, on bytes.

use sha1::{Digest, Sha1};

use crate::http::{self, Headers, HttpError, Limits, Request, Response};

/// Appended to the key before hashing (RFC 6455 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer's HTTP is malformed or too long.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The server answered with another status than 101.
    #[error("status {status} instead of 101: {reason}")]
    Status {
        /// The status.
        status: u16,
        /// The server's words.
        reason: String,
    },
    /// A required header is absent or has another value than RFC 6455 demands.
    #[error("header {name} is missing or wrong")]
    Header {
        /// The header.
        name: &'static str,
    },
    /// The accept value does not belong to our key: a cache or another protocol answered.
    #[error("sec-websocket-accept does not match the key")]
    Accept,
    /// The server claims an extension; none was offered.
    #[error("server claims extension {name:?}; none was offered")]
    Extension {
        /// The header's value.
        name: String,
    },
    /// The server chose a subprotocol that was not offered, or none when one was.
    #[error("server chose subprotocol {chosen:?}")]
    Subprotocol {
        /// Its choice.
        chosen: Option<String>,
    },
    /// The request is not a WebSocket upgrade of version 13.
    #[error("not a WebSocket upgrade: {what}")]
    NotUpgrade {
        /// The part that is missing.
        what: &'static str,
    },
}

/// A client's half.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    key: String,
    subprotocol: Option<String>,
}

impl ClientHandshake {
    /// `nonce` should differ between connections; `subprotocol` is offered when given.
    #[must_use]
    pub fn new(nonce: [u8; 16], subprotocol: Option<&str>) -> Self {
        Self { key: base64(&nonce), subprotocol: subprotocol.map(str::to_owned) }
    }

    /// Appends the request for `target` (path and query) at `host`, with further `headers`.
    pub fn write_request(&self, host: &str, target: &str, headers: &[(String, String)], out: &mut Vec<u8>) {
        let mut request = Request::get(target);
        request.headers.push("Upgrade", "websocket");
        request.headers.push("Connection", "Upgrade");
        request.headers.push("Sec-WebSocket-Key", &self.key);
        request.headers.push("Sec-WebSocket-Version", "13");
        if let Some(subprotocol) = &self.subprotocol {
            request.headers.push("Sec-WebSocket-Protocol", subprotocol);
        }
        for (name, value) in headers {
            request.headers.push(name, value);
        }
        request.write(host, out);
    }

    /// Judges the answer at the front of `input`; `None` asks for more bytes. Returns the length of the answer;
    /// frames may follow it.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub fn read_response(&self, input: &[u8], limits: &Limits) -> Result<Option<usize>, HandshakeError> {
        let Some((head, len)) = http::parse_response_head(input, limits)? else { return Ok(None) };
        if head.status != 101 {
            return Err(HandshakeError::Status { status: head.status, reason: head.reason });
        }
        check_upgrade(&head.headers).map_err(|name| HandshakeError::Header { name })?;
        if head.headers.get("sec-websocket-accept") != Some(accept_value(&self.key).as_str()) {
            return Err(HandshakeError::Accept);
        }
        if let Some(name) = head.headers.get("sec-websocket-extensions") {
            return Err(HandshakeError::Extension { name: name.to_owned() });
        }
        let chosen = head.headers.get("sec-websocket-protocol");
        if chosen != self.subprotocol.as_deref() {
            return Err(HandshakeError::Subprotocol { chosen: chosen.map(str::to_owned) });
        }
        Ok(Some(len))
    }
}

/// A server's half: the answer that accepts `request`, or why it is no upgrade. Extensions the client offers are
/// not taken; a subprotocol is taken only when the client offered `subprotocol`.
///
/// # Errors
/// [`HandshakeError::NotUpgrade`].
pub fn accept(request: &Request, subprotocol: Option<&str>) -> Result<Response, HandshakeError> {
    let missing = |what| HandshakeError::NotUpgrade { what };
    if request.method != "GET" {
        return Err(missing("method GET"));
    }
    check_upgrade(&request.headers).map_err(missing)?;
    if request.headers.get("sec-websocket-version") != Some("13") {
        return Err(missing("sec-websocket-version: 13"));
    }
    let key = request.headers.get("sec-websocket-key").unwrap_or("");
    if !is_key(key) {
        return Err(missing("sec-websocket-key of 16 bytes"));
    }
    let mut headers = Headers::new();
    headers.push("Upgrade", "websocket");
    headers.push("Connection", "Upgrade");
    headers.push("Sec-WebSocket-Accept", &accept_value(key));
    if let Some(name) = subprotocol
        && request.headers.has_token("sec-websocket-protocol", name)
    {
        headers.push("Sec-WebSocket-Protocol", name);
    }
    Ok(Response { status: 101, headers, body: Vec::new() })
}

/// Whether `request` asks for an upgrade at all, well-formed or not.
#[must_use]
pub fn wants_upgrade(request: &Request) -> bool {
    request.headers.has_token("upgrade", "websocket")
}

fn check_upgrade(headers: &Headers) -> Result<(), &'static str> {
    if !headers.has_token("upgrade", "websocket") {
        return Err("upgrade: websocket");
    }
    if !headers.has_token("connection", "upgrade") {
        return Err("connection: upgrade");
    }
    Ok(())
}

fn accept_value(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    base64(&hash.finalize())
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Standard base64 with padding (RFC 4648 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Base64 of exactly 16 bytes: 22 digits and two pads.
fn is_key(key: &str) -> bool {
    key.len() == 24 && key.ends_with("==") && key.bytes().take(22).all(|digit| ALPHABET.contains(&digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_vectors() {
        // RFC 6455 1.3 and RFC 4648 10.
        assert_eq!(accept_value("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(base64(b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    fn exchange(subprotocol: Option<&str>) -> (ClientHandshake, Request) {
        let client = ClientHandshake::new([7; 16], subprotocol);
        let mut wire = Vec::new();
        client.write_request("venue.test", "/ws?x=1", &[("X-A".into(), "b".into())], &mut wire);
        let mut parser = http::RequestParser::new(Limits::default());
        parser.feed(&wire);
        (client, parser.next_request().unwrap().unwrap())
    }

    #[test]
    fn client_and_server_agree() {
        for offered in [None, Some("chat")] {
            let (client, request) = exchange(offered);
            assert_eq!(request.target, "/ws?x=1");
            assert_eq!(request.headers.get("x-a"), Some("b"));
            let mut wire = Vec::new();
            accept(&request, offered).unwrap().write(&mut wire);
            let len = wire.len();
            wire.extend_from_slice(b"\x81\x00");
            assert_eq!(client.read_response(&wire[..len - 1], &Limits::default()), Ok(None));
            assert_eq!(client.read_response(&wire, &Limits::default()), Ok(Some(len)));
        }
    }

    #[test]
    fn a_client_refuses_what_it_did_not_ask_for() {
        let (client, request) = exchange(None);
        let judge = |change: &dyn Fn(&mut Response)| {
            let mut response = accept(&request, None).unwrap();
            change(&mut response);
            let mut wire = Vec::new();
            response.write(&mut wire);
            client.read_response(&wire, &Limits::default()).unwrap_err()
        };
        assert_eq!(
            judge(&|response| response.headers.push("Sec-WebSocket-Extensions", "permessage-deflate")),
            HandshakeError::Extension { name: "permessage-deflate".to_owned() }
        );
        assert_eq!(
            judge(&|response| response.headers.push("Sec-WebSocket-Protocol", "chat")),
            HandshakeError::Subprotocol { chosen: Some("chat".to_owned()) }
        );
        assert_eq!(
            judge(&|response| *response = Response::json(403, "{}")),
            HandshakeError::Status { status: 403, reason: "Forbidden".to_owned() }
        );
        assert_eq!(
            judge(&|response| {
                response.headers = Headers::new();
                response.headers.push("Upgrade", "websocket");
                response.headers.push("Connection", "upgrade");
                response.headers.push("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
            }),
            HandshakeError::Accept
        );
        assert_eq!(
            judge(&|response| response.headers = Headers::new()),
            HandshakeError::Header { name: "upgrade: websocket" }
        );
        let (client, request) = exchange(Some("chat"));
        let mut wire = Vec::new();
        accept(&request, None).unwrap().write(&mut wire);
        assert_eq!(
            client.read_response(&wire, &Limits::default()),
            Err(HandshakeError::Subprotocol { chosen: None })
        );
        let limits = Limits { head_bytes_max: 64, ..Limits::default() };
        assert_eq!(
            client.read_response(&wire, &limits),
            Err(HandshakeError::Http(HttpError::HeadTooLong { limit: 64 }))
        );
    }

    #[test]
    fn a_server_refuses_what_is_no_upgrade() {
        let (_, good) = exchange(None);
        assert!(wants_upgrade(&good));
        let mut post = good.clone();
        post.method = "POST".to_owned();
        assert!(accept(&post, None).is_err());
        for drop in ["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"] {
            let mut bad = Request::get("/");
            for (name, value) in good.headers.iter().filter(|(name, _)| *name != drop) {
                bad.headers.push(name, value);
            }
            assert!(matches!(accept(&bad, None), Err(HandshakeError::NotUpgrade { .. })), "{drop}");
        }
    }
}
