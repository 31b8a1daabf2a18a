//! The snapshot over REST: refused, cut short, malformed, endless.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use corelane::simvenue::{ConnKind, ServerClose};
use net::ServerConn;
use net::http::{CallConfig, Response, call};
use wire::BookState;

use crate::peer::{Asked, Peer};
use crate::rig::{Rig, endpoint, venue};

/// What is wrong with a snapshot, and words of the error that says so.
const WRONGS: [(&str, &str); 10] = [
    ("status 503", "status 503"),
    ("status 429", "status 429"),
    ("not JSON", "not valid JSON"),
    ("half of it", "not valid JSON"),
    ("price NaN", "bids"),
    ("price of forty digits", "bids"),
    ("crossed", "breaks"),
    ("cut off in the body", "ended"),
    ("no HTTP", "start line"),
    ("a body of one TiB", "exceeds"),
];

fn spoil(conn: &mut ServerConn, wrong: &str, good: Vec<u8>) {
    let text = String::from_utf8_lossy(&good).into_owned();
    let best =
        text.split_once(r#""bids":[["#).and_then(|(_, rest)| rest.split('"').nth(1)).unwrap_or("").to_owned();
    let json = |body: String| Response::json(200, body);
    let raw = |conn: &mut ServerConn, bytes: &str| {
        let _ = conn.send_raw(bytes.as_bytes());
        conn.close(ServerClose::Eof);
    };
    let answer = match wrong {
        "status 503" => Response::json(503, r#"{"code":-1000,"msg":"down"}"#),
        "status 429" => Response::json(429, r#"{"code":-1003,"msg":"too many"}"#),
        "not JSON" => json("<html>502 Bad Gateway</html>".into()),
        "half of it" => json(text[..text.len() / 2].into()),
        "price NaN" => json(text.replacen(&best, "NaN", 1)),
        "price of forty digits" => json(text.replacen(&best, &"9".repeat(40), 1)),
        "crossed" => json(text.replacen(&best, "999999.99", 1)),
        "cut off in the body" => {
            return raw(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"lastUp");
        }
        "no HTTP" => return raw(conn, "\u{1}\u{2}garbage\r\n\r\n"),
        "a body of one TiB" => return raw(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n{"),
        other => unreachable!("{other}"),
    };
    let _ = conn.respond(&answer);
}

#[test]
fn a_snapshot_that_cannot_be_trusted_is_named_and_asked_for_again() {
    let venue = venue();
    // 0 = as the venue says it, else what is wrong, from 1.
    let wrong = Arc::new(AtomicUsize::new(0));
    let chosen = wrong.clone();
    let behind = endpoint(venue.addr().port(), venue.cert_der());
    let front = Peer::start(move |conn, asked| {
        let Asked::Request(request) = asked else { return };
        match call(&behind, &request, &CallConfig::default()) {
            Ok(answer) => match chosen.load(Ordering::Relaxed) {
                n @ 1.. if request.path() == "/api/v3/depth" => spoil(conn, WRONGS[n - 1].0, answer.body),
                _ => {
                    let _ = conn.respond(&Response::json(answer.status, answer.body));
                }
            },
            Err(error) => {
                let _ = conn.respond(&Response::json(502, error.to_string()));
            }
        }
    });
    let rest = endpoint(front.port, &front.cert_der);
    let rig = Rig::start(venue, |mut endpoints| {
        endpoints.rest = rest;
        endpoints
    })
    .expect("an engine");
    rig.resumes();
    for (i, (name, says)) in WRONGS.iter().enumerate() {
        let before = rig.counter("feed.snapshots_failed");
        wrong.store(i + 1, Ordering::Relaxed);
        rig.venue.close(ConnKind::Market, ServerClose::Eof);
        rig.until(name, |r| r.counter("feed.snapshots_failed") > before);
        rig.sends_nothing(|r| r.book() != BookState::InSync);
        let error = rig.live.snapshot_report().last_error.expect("words");
        println!("{name}: {error}");
        // After a 429 the engine asks no more until the venue's pause is over, and says that instead.
        let waits = name.contains("429") && error.contains("no request weight left");
        assert!(
            error.contains("GET /api/v3/depth?symbol=BTCUSDT") && (error.contains(says) || waits),
            "{name}: {error}"
        );
        wrong.store(0, Ordering::Relaxed);
        rig.resumes();
    }
    rig.stops_in_agreement();
}
