//! Every phase has its deadline and every failure its name; one bad venue starves no other link.

mod host;

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use corelane_net as net;
use host::{BACKOFF, Host, Seen, endpoint, tls_pair};
use net::dial::Phase;
use net::tls::TlsFault;
use net::ws::handshake::HandshakeError;
use net::{Backend, Deadlines, DialError, DialSpec, Dialer, Link, LinkConfig, LinkEvent, WsLink, dial};

const SHORT: Deadlines = Deadlines { connect_ms: 80, tls_ms: 80, upgrade_ms: 80, first_message_ms: 0 };

fn silent_listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn failure(spec: &DialSpec) -> DialError {
    let started = Instant::now();
    let error = dial(spec, 1).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(2), "{error} took {:?}", started.elapsed());
    error
}

#[test]
fn nobody_listens() {
    let (listener, port) = silent_listener();
    drop(listener);
    let error = failure(&DialSpec::new(endpoint(port, None), "/"));
    assert!(matches!(error, DialError::Io { phase: Phase::Connect, .. }), "{error}");
}

#[test]
fn a_full_accept_queue_is_a_connect_timeout() {
    let (listener, port) = silent_listener();
    // SAFETY: a second listen on a listening socket only changes the length of its queue.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let _fills: Vec<TcpStream> = (0..2)
        .filter_map(|_| {
            let address = (Ipv4Addr::LOCALHOST, port).into();
            TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok()
        })
        .collect();
    let mut spec = DialSpec::new(endpoint(port, None), "/");
    spec.deadlines = SHORT;
    let error = failure(&spec);
    assert!(matches!(error, DialError::Timeout { phase: Phase::Connect, limit_ms: 80 }), "{error}");
}

#[test]
fn a_name_without_address_is_named() {
    let mut spec = DialSpec::new(endpoint(1, None), "/");
    spec.endpoint.host = "no such host.invalid".to_owned();
    spec.endpoint.address = None;
    spec.deadlines = Deadlines { connect_ms: 1_000, ..SHORT };
    let error = failure(&spec);
    assert_eq!(error.phase(), Phase::Resolve, "{error}");
    assert!(error.to_string().starts_with("resolve"), "{error}");
}

#[test]
fn a_stalled_tls_handshake_meets_its_deadline() {
    let (_listener, port) = silent_listener();
    let (client, _) = tls_pair();
    let mut spec = DialSpec::new(endpoint(port, Some(client)), "/");
    spec.deadlines = SHORT;
    let error = failure(&spec);
    assert!(matches!(error, DialError::Timeout { phase: Phase::Tls, limit_ms: 80 }), "{error}");
}

#[test]
fn a_stalled_or_trickled_upgrade_meets_its_deadline() {
    for trickle in [false, true] {
        let (listener, port) = silent_listener();
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for byte in b"HTTP/1.1 101 Switching Protocols\r\n".iter().cycle() {
                std::thread::sleep(Duration::from_millis(10));
                if trickle && stream.write_all(&[*byte]).is_err() {
                    return;
                }
                if !trickle && stream.peek(&mut [0; 1]).is_ok_and(|got| got == 0) {
                    return;
                }
                if stream.take_error().unwrap().is_some() {
                    return;
                }
                if !trickle {
                    std::thread::sleep(Duration::from_millis(200));
                    return;
                }
            }
        });
        let mut spec = DialSpec::new(endpoint(port, None), "/");
        spec.deadlines = SHORT;
        let error = failure(&spec);
        assert!(matches!(error, DialError::Timeout { phase: Phase::Upgrade, limit_ms: 80 }), "{error}");
        peer.join().unwrap();
    }
}

#[test]
fn a_first_message_can_be_awaited() {
    let host = Host::start(None, |number, connection, seen| {
        if let Seen::Upgrade(_) = seen {
            connection.accept_upgrade().unwrap();
            connection.send_frame(true, net::ws::Opcode::Ping, b"not yet").unwrap();
            if number == 1 {
                connection.send_text(b"hello").unwrap();
            }
        }
    });
    let mut spec = DialSpec::new(endpoint(host.port, None), "/");
    spec.deadlines = Deadlines { first_message_ms: 80, ..Deadlines::default() };
    let error = failure(&spec);
    assert!(matches!(error, DialError::Timeout { phase: Phase::FirstMessage, limit_ms: 80 }), "{error}");
    let session = dial(&spec, 2).unwrap();
    assert_eq!(session.ahead(), b"\x89\x07not yet\x81\x05hello");
    assert_eq!(session.peer().unwrap().port(), host.port);
}

#[test]
fn what_came_with_the_upgrade_reaches_the_link() {
    let (client, server) = tls_pair();
    let host = Host::start(Some(server), |_, connection, seen| {
        if let Seen::Upgrade(_) = seen {
            connection.accept_upgrade().unwrap();
            connection.send_text(b"hello").unwrap();
        }
    });
    let mut spec = DialSpec::new(endpoint(host.port, Some(client)), "/");
    spec.deadlines.first_message_ms = 1_000;
    let (mailbox, mut peer) = net::Mailbox::pair();
    let mut link = WsLink::new(LinkConfig { backend: Backend::Recv, ..LinkConfig::default() }, mailbox);
    assert_eq!(link.poll(8, &|| 5, &mut |_| panic!("down")), 0);
    assert_eq!(peer.next_request(), Some(None));
    let session = dial(&spec, 3).unwrap();
    assert!(!session.ahead().is_empty());
    peer.deliver(Box::new(session)).unwrap();
    let mut seen = Vec::new();
    link.poll(8, &|| 7, &mut |event| {
        seen.push(match event {
            LinkEvent::Message { payload, ts_visible_ns } => (ts_visible_ns, payload.to_vec()),
            LinkEvent::Up => (0, b"up".to_vec()),
            LinkEvent::Down { reason } => panic!("{reason}"),
        });
    });
    assert_eq!(seen, [(0, b"up".to_vec()), (7, b"hello".to_vec())]);
}

#[test]
fn a_refused_upgrade_carries_the_status() {
    let host = Host::start(None, |_, connection, seen| {
        if let Seen::Upgrade(_) = seen {
            connection.respond(&net::http::Response::json(429, "{}")).unwrap();
        }
    });
    let error = failure(&DialSpec::new(endpoint(host.port, None), "/"));
    let DialError::Handshake(HandshakeError::Status { status: 429, .. }) = error else { panic!("{error}") };
}

#[test]
fn a_wrong_certificate_is_named_and_counted_and_starves_nobody() {
    let (client, server) = tls_pair();
    let (stranger, _) = tls_pair();
    let good = Host::start(Some(server), |_, connection, seen| {
        if let Seen::Upgrade(_) = seen {
            connection.accept_upgrade().unwrap();
        }
    });
    let (_listener, stalled) = silent_listener();
    let mut wrong_name = DialSpec::new(endpoint(good.port, Some(client.clone())), "/");
    wrong_name.endpoint.host = "venue.example".to_owned();
    assert!(matches!(
        failure(&wrong_name),
        DialError::Tls { phase: Phase::Tls, fault: TlsFault::Certificate, .. }
    ));

    let mut hanging = DialSpec::new(endpoint(stalled, Some(client.clone())), "/");
    hanging.deadlines.tls_ms = 700;
    let specs = vec![
        hanging,
        DialSpec::new(endpoint(good.port, Some(stranger)), "/"),
        DialSpec::new(endpoint(good.port, Some(client)), "/"),
    ];
    let (dialer, mut mailboxes) = Dialer::spawn(specs, BACKOFF, 9).unwrap();
    for mailbox in &mut mailboxes {
        assert!(mailbox.request(None));
    }
    let started = Instant::now();
    while mailboxes[2].take().is_none() {
        assert!(started.elapsed() < Duration::from_millis(600), "starved");
        std::thread::sleep(Duration::from_millis(1));
    }
    let reports = dialer.reports();
    while reports.link(1).unwrap().failures < 3 {
        assert!(started.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(1));
    }
    let refused = reports.link(1).unwrap();
    assert!(refused.tls_failures >= 3 && refused.sessions == 0, "{refused:?}");
    let text = refused.last_error.unwrap();
    assert!(text.contains("tls handshake") && text.contains("certificate"), "{text}");
    while reports.link(0).unwrap().timeouts == 0 {
        assert!(started.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(reports.link(0).unwrap().last_error.unwrap(), "tls handshake: no progress within 700 ms");
    assert!(reports.link(3).is_none());
    let stopping = Instant::now();
    dialer.stop();
    assert!(stopping.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_dropped_mailbox_ends_its_thread() {
    let (_listener, port) = silent_listener();
    let (dialer, mailboxes) =
        Dialer::spawn(vec![DialSpec::new(endpoint(port, None), "/")], BACKOFF, 1).unwrap();
    drop(mailboxes);
    let (done, finished) = mpsc::channel();
    std::thread::spawn(move || {
        dialer.stop();
        done.send(()).unwrap();
    });
    finished.recv_timeout(Duration::from_secs(2)).unwrap();
}
