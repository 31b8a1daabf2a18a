//! The blocking HTTP client against the sans-I/O server and against peers that break off.

mod host;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use corelane_net as net;
use host::{Host, Seen, endpoint, tls_pair};
use net::dial::Phase;
use net::http::{CallConfig, CallError, HttpError, Limits, Request, Response, call};
use net::{DialError, ServerClose};

const SHORT: CallConfig = CallConfig {
    connect_ms: 1_000,
    tls_ms: 1_000,
    write_ms: 80,
    head_ms: 80,
    body_ms: 80,
    limits: Limits { head_bytes_max: 4_096, headers_max: 32, body_bytes_max: 1 << 20 },
};

/// Answers one connection with `answer`, after having read the request, then does `after`.
fn raw_peer(
    answer: &'static [u8],
    after: fn(&mut std::net::TcpStream),
) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4_096];
        assert!(stream.read(&mut request).unwrap() > 0);
        stream.write_all(answer).unwrap();
        after(&mut stream);
    });
    (port, peer)
}

fn wait_for_hang_up(stream: &mut std::net::TcpStream) {
    let _ = stream.read(&mut [0; 16]);
}

#[test]
fn requests_and_answers_over_tls_and_plain() {
    for secure in [false, true] {
        let (client, server) = tls_pair();
        let host = Host::start(secure.then_some(server), |_, connection, seen| {
            if let Seen::Request(request) = seen {
                let body = format!(
                    "{} {} {} {:?}",
                    request.method,
                    request.target,
                    request.body.len(),
                    request.headers.get("x-key")
                );
                connection.respond(&Response::json(200, body)).unwrap();
            }
        });
        let at = endpoint(host.port, secure.then_some(client));
        let answer = call(&at, &Request::get("/time?a=1"), &CallConfig::default()).unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers.get("content-type"), Some("application/json"));
        assert_eq!(answer.body, b"GET /time?a=1 0 None");
        let mut order = Request::new("POST", "/order");
        order.headers.push("X-Key", "secret");
        order.body = vec![b'x'; 200_000];
        let answer = call(&at, &order, &CallConfig::default()).unwrap();
        assert_eq!(answer.body, b"POST /order 200000 Some(\"secret\")");
    }
}

#[test]
fn large_answers_arrive_whole() {
    let (client, server) = tls_pair();
    let host = Host::start(Some(server), |_, connection, seen| {
        if let Seen::Request(_) = seen {
            connection.respond(&Response::json(200, vec![b'y'; 3_000_000])).unwrap();
        }
    });
    let answer =
        call(&endpoint(host.port, Some(client.clone())), &Request::get("/"), &CallConfig::default()).unwrap();
    assert!(answer.body == vec![b'y'; 3_000_000]);
    let refused = call(&endpoint(host.port, Some(client)), &Request::get("/"), &SHORT).unwrap_err();
    let CallError::Http(HttpError::BodyTooLong { length: 3_000_000, limit: 1_048_576 }) = refused else {
        panic!("{refused}")
    };
}

#[test]
fn a_truncated_tls_stream_never_completes_an_answer() {
    for (how, complete) in [(ServerClose::Truncate, false), (ServerClose::Eof, true)] {
        let (client, server) = tls_pair();
        let host = Host::start(Some(server), move |_, connection, seen| {
            if let Seen::Request(_) = seen {
                connection.send_raw(b"HTTP/1.1 200 OK\r\n\r\npart or whole?").unwrap();
                connection.close(how);
            }
        });
        let result = call(&endpoint(host.port, Some(client)), &Request::get("/"), &CallConfig::default());
        match result {
            Ok(answer) => assert!(complete && answer.body == b"part or whole?"),
            Err(CallError::Http(HttpError::Truncated)) => assert!(!complete),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn each_phase_has_its_deadline() {
    let check = |answer: &'static [u8], phase: Phase| {
        let (port, peer) = raw_peer(answer, wait_for_hang_up);
        let started = Instant::now();
        let error = call(&endpoint(port, None), &Request::get("/"), &SHORT).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(1));
        let CallError::Dial(DialError::Timeout { phase: found, limit_ms: 80 }) = error else {
            panic!("{error}")
        };
        assert_eq!(found, phase);
        peer.join().unwrap();
    };
    check(b"HTTP/1.1 200 OK\r\nContent-", Phase::ResponseHead);
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", Phase::ResponseBody);
}

#[test]
fn a_request_nobody_reads_meets_the_write_deadline() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut request = Request::new("POST", "/");
    request.body = vec![0; 32 << 20];
    let error = call(&endpoint(port, None), &request, &SHORT).unwrap_err();
    let CallError::Dial(DialError::Timeout { phase: Phase::Write, .. }) = error else { panic!("{error}") };
}

#[test]
fn chunked_and_cut_answers() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let (port, peer) = raw_peer(chunked, wait_for_hang_up);
    assert_eq!(call(&endpoint(port, None), &Request::get("/"), &SHORT).unwrap().body, b"abc");
    peer.join().unwrap();
    let cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let (port, peer) = raw_peer(cut, |_| {});
    let error = call(&endpoint(port, None), &Request::get("/"), &SHORT).unwrap_err();
    assert!(matches!(error, CallError::Http(HttpError::Truncated)), "{error}");
    peer.join().unwrap();
}

#[test]
fn a_bad_request_is_answered_400_and_closed() {
    let host = Host::start(None, |_, _, seen| assert!(!matches!(seen, Seen::Request(_))));
    let mut stream = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, host.port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
