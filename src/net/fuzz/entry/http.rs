//! What must hold of the HTTP parsers and the handshake for any bytes, cut anywhere. Run by the fuzzer and, over the
//! committed corpus, by the default tests.
//!
//! Byte 0 chooses requests, an answer, or the answer to an upgrade; byte 1 the seed of the cuts; the rest is the
//! wire. Rules:
//!
//! - the messages, the error and what is left over do not depend on how the bytes were cut;
//! - bounds hold: no body, head or number of headers beyond them is delivered;
//! - a delivered message, written by us, is read back as the same message;
//! - no bytes but the right ones upgrade a connection.

use corelane_net::http::{HttpError, Limits, Request, RequestParser, Response, ResponseParser};
use corelane_net::ws::handshake::{self, ClientHandshake};

const LIMITS: Limits = Limits { head_bytes_max: 512, headers_max: 8, body_bytes_max: 96 };

/// Checks every rule.
pub(crate) fn run(data: &[u8]) {
    let [choice, seed, wire @ ..] = data else { return };
    let seed = u64::from(*seed) + 1;
    match choice % 3 {
        0 => requests(wire, seed),
        1 => answer(wire, seed),
        _ => upgrade(wire),
    }
}

/// Pieces of `wire` drawn from `seed`; one piece when it is zero.
fn pieces(wire: &[u8], seed: u64) -> Vec<&[u8]> {
    let (mut state, mut rest, mut pieces) = (seed, wire, Vec::new());
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let step = if seed == 0 { rest.len() } else { 1 + (state >> 33) as usize % 9 };
        let (piece, behind) = rest.split_at(step.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

fn read_requests(wire: &[u8], seed: u64) -> (Vec<Request>, Option<HttpError>, Vec<u8>) {
    let mut parser = RequestParser::new(LIMITS);
    let mut seen = Vec::new();
    for piece in pieces(wire, seed) {
        parser.feed(piece);
        loop {
            match parser.next_request() {
                Ok(None) => break,
                Ok(Some(request)) => seen.push(request),
                // What lies behind a broken message is nobody's.
                Err(error) => return (seen, Some(error), Vec::new()),
            }
        }
    }
    let rest = parser.take_rest();
    (seen, None, rest)
}

fn requests(wire: &[u8], seed: u64) {
    let whole = read_requests(wire, 0);
    assert_eq!(whole, read_requests(wire, seed), "the cuts changed the answer");
    for request in whole.0 {
        assert!(request.body.len() <= LIMITS.body_bytes_max);
        assert!(request.headers.iter().count() <= LIMITS.headers_max);
        // Ours to write are host and length: they are left out, and so is a coding that has been removed.
        let mut again = Request::new(&request.method, &request.target);
        let ours = ["host", "content-length", "transfer-encoding"];
        for (name, value) in
            request.headers.iter().filter(|(name, _)| !ours.iter().any(|o| name.eq_ignore_ascii_case(o)))
        {
            again.headers.push(name, value);
        }
        again.body.clone_from(&request.body);
        let mut bytes = Vec::new();
        again.write("h", &mut bytes);
        let limits = Limits { head_bytes_max: 2_048, headers_max: 16, ..LIMITS };
        let mut parser = RequestParser::new(limits);
        parser.feed(&bytes);
        let back = parser.next_request().expect("our own bytes").expect("whole");
        assert_eq!((&back.method, &back.target, &back.body), (&again.method, &again.target, &again.body));
        for (name, value) in again.headers.iter() {
            assert!(back.headers.all(name).any(|v| v == value), "lost {name}: {value}");
        }
        assert!(parser.take_rest().is_empty(), "a header or target has become a message of its own");
        // Whatever asks for an upgrade is either accepted with 101 or refused with a reason.
        if handshake::wants_upgrade(&request)
            && let Ok(response) = handshake::accept(&request, Some("v1"))
        {
            assert_eq!(response.status, 101);
        }
    }
}

fn read_answer(wire: &[u8], seed: u64, in_order: bool) -> Result<Response, HttpError> {
    let mut parser = ResponseParser::new(LIMITS);
    for piece in pieces(wire, seed) {
        parser.feed(piece);
        if let Some(response) = parser.next_response()? {
            return Ok(response);
        }
    }
    parser.finish(in_order)
}

fn answer(wire: &[u8], seed: u64) {
    let whole = read_answer(wire, 0, true);
    assert_eq!(whole, read_answer(wire, seed, true), "the cuts changed the answer");
    let cut_off = read_answer(wire, 0, false);
    assert!(
        cut_off == whole || cut_off == Err(HttpError::Truncated),
        "an end out of order invented an answer"
    );
    if let Ok(response) = whole {
        assert!((100..600).contains(&response.status));
        assert!(response.body.len() <= LIMITS.body_bytes_max);
        assert!(response.headers.iter().count() <= LIMITS.headers_max);
    }
}

/// The only answer that upgrades is one that carries the hash of our key; the fuzzer would have to invert SHA-1.
fn upgrade(wire: &[u8]) {
    let client = ClientHandshake::new([7; 16], None);
    if let Ok(Some(len)) = client.read_response(wire, &LIMITS) {
        assert!(len <= wire.len() && len <= LIMITS.head_bytes_max);
        let head = std::str::from_utf8(&wire[..len]).expect("a head is text").to_ascii_lowercase();
        assert!(head.contains("\r\nsec-websocket-accept:"));
        assert!(!head.contains("\r\nsec-websocket-extensions:"));
    }
}
