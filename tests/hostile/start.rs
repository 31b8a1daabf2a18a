//! Peers that never become a venue: the wrong certificate, no TLS, no words. No order leaves, the reason is told, and
//! the engine can still be stopped.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use corelane::wiring::Endpoints;
use net::http::Response;
use net::{DialReport, Endpoint};
use wire::BookState;

use crate::peer::{Asked, Peer};
use crate::rig::{Rig, endpoint, venue};

/// Which links of the engine meet the bad peer: market, orders, standby.
const MARKET: &[usize] = &[0];
const ORDERS: &[usize] = &[1, 2];

/// Runs an engine whose links meet a bad peer: it comes up, says why those do not, and never sends an order.
fn never_trades(name: &str, links: &[usize], bad: Endpoint, says: &str, is_counted: fn(&DialReport) -> bool) {
    let rig = Rig::start(venue(), |endpoints| match links {
        MARKET => Endpoints { stream: bad, ..endpoints },
        _ => Endpoints { order: bad, ..endpoints },
    })
    .expect("an engine");
    for &link in links {
        let failed = |r: &Rig| r.live.dials.link(link).is_some_and(|d| d.failures >= 2);
        rig.until(&format!("{name}: two failures of link {link}"), failed);
        let report = rig.live.dials.link(link).expect("a link");
        let error = report.last_error.clone().unwrap_or_default();
        println!("{name}: link {link}: {error}");
        assert!(error.contains(says), "{name}: {report:?}");
        assert!(is_counted(&report) && report.sessions == 0, "{name}: {report:?}");
    }
    if links == MARKET {
        assert_eq!(rig.book(), BookState::Down);
    } else {
        rig.until("book in sync", |r| r.book() == BookState::InSync);
        assert!(!rig.live.controls.session_ready());
    }
    rig.sends_nothing(|_| true);
    assert_eq!((rig.received(), rig.counter("oms.orders")), (0, 0), "{name}\n{}", rig.told());
    rig.lives();
    let ended = rig.stop();
    let reason = if links == MARKET { "none" } else { "session" };
    assert_eq!(ended.oms.halt, reason, "{name}");
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let other = venue();
    // REST comes first at a start, so there it ends.
    let refused = Rig::start(venue(), |endpoints| {
        let wrong = endpoint(endpoints.rest.port, other.cert_der());
        Endpoints { rest: wrong.clone(), stream: wrong.clone(), order: wrong }
    });
    let error = refused.err().expect("no engine").to_string();
    println!("start: {error}");
    assert!(error.contains("exchangeInfo") && error.contains("certificate"), "{error}");
    // Past REST the links meet it: `other` is a venue like ours, but not one we trust.
    let trusted = venue();
    let wrong = || endpoint(other.addr().port(), trusted.cert_der());
    let is_tls = |d: &DialReport| d.tls_failures == d.failures;
    never_trades("wrong certificate", MARKET, wrong(), "certificate", is_tls);
    never_trades("wrong certificate", ORDERS, wrong(), "certificate", is_tls);
    let renamed =
        Endpoint { host: "venue.example".into(), ..endpoint(other.addr().port(), other.cert_der()) };
    never_trades("certificate of another name", MARKET, renamed, "certificate", is_tls);
    assert_eq!((other.received().len(), trusted.received().len()), (0, 0));
}

#[test]
fn a_peer_that_never_speaks_tls_meets_the_deadline() {
    let cert = venue().cert_der().to_vec();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let late = |d: &DialReport| d.timeouts == d.failures && d.tls_failures == d.failures;
    let says = "tls handshake: no progress within 1000 ms";
    never_trades("silence instead of TLS", MARKET, endpoint(port, &cert), says, late);
    never_trades("silence instead of TLS", ORDERS, endpoint(port, &cert), says, late);
    // REST at a start: the same deadline, then no engine.
    let began = Instant::now();
    let refused = Rig::start(venue(), |e| Endpoints { rest: endpoint(port, &cert), ..e });
    let error = refused.err().expect("no engine").to_string();
    assert!(error.contains(says), "{error}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn a_peer_that_is_something_else_is_told_apart() {
    let cert = venue().cert_der().to_vec();
    // A web server without TLS answers in plain text and hangs up.
    let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = plain.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in plain.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let is_tls = |d: &DialReport| d.tls_failures == d.failures;
    never_trades("plain text instead of TLS", MARKET, endpoint(port, &cert), "tls handshake", is_tls);

    // TLS, but no WebSocket behind it.
    let web = Peer::start(|conn, asked| {
        if let Asked::Upgrade = asked {
            let _ = conn.respond(&Response::json(503, r#"{"code":-1000,"msg":"maintenance"}"#));
        }
    });
    let is_upgrade = |d: &DialReport| d.upgrade_failures == d.failures;
    never_trades("no upgrade", MARKET, endpoint(web.port, &web.cert_der), "503", is_upgrade);
    never_trades("no upgrade", ORDERS, endpoint(web.port, &web.cert_der), "503", is_upgrade);

    // Nobody there.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let is_connect = |d: &DialReport| d.connect_failures == d.failures;
    never_trades("nobody there", MARKET, endpoint(port, &cert), "refused", is_connect);
}

/// TLS and upgrade succeed, and then the peer says nothing, ever: a book needs words, an order session an answer.
#[test]
fn a_peer_that_says_nothing_is_left_again_and_again() {
    let mute = Peer::start(|conn, asked| {
        if let Asked::Upgrade = asked {
            let _ = conn.accept_upgrade();
            conn.set_stalled(true); // not even our pings are answered
        }
    });
    let bad = endpoint(mute.port, &mute.cert_der);
    let rig = Rig::start(venue(), |e| Endpoints { stream: bad, ..e }).expect("an engine");
    rig.until("given up twice", |r| r.counter("feed.down_idle") >= 2);
    assert_ne!(rig.book(), BookState::InSync);
    assert_eq!((rig.received(), rig.counter("oms.orders")), (0, 0));
    rig.stop();
}
