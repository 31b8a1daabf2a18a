//! TLS that fails: each way has its name, carries no message, and is tried again with pauses that grow.

mod host;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Instant;

use corelane_net as net;
use host::{Got, Host, Rig, Seen, endpoint};
use net::dial::Phase;
use net::tls::TlsFault;
use net::ws::handshake::accept;
use net::{Backend, ClientTls, CloseReason, DialError, DialSpec, Link, ServerTls, TlsStream, Trust, dial};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

/// An authority and a leaf that it signed, the leaf as `change` left it.
fn issued(change: impl Fn(&mut CertificateParams)) -> (Vec<u8>, ServerTls) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut leaf);
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    (authority.der().to_vec(), ServerTls::new(vec![leaf.der().to_vec()], key.serialize_der()).unwrap())
}

fn trusting(authority: Vec<u8>) -> ClientTls {
    ClientTls::new(&Trust::Der(vec![authority])).unwrap()
}

fn serve(tls: ServerTls) -> Host {
    Host::start(Some(tls), |_, connection, seen| {
        if let Seen::Upgrade(_) = seen {
            connection.accept_upgrade().unwrap();
        }
    })
}

/// A refusal of the certificate whose text holds `word`.
fn refused(client: ClientTls, port: u16, word: &str) {
    let error = dial(&DialSpec::new(endpoint(port, Some(client)), "/"), 1).unwrap_err();
    assert!(
        matches!(error, DialError::Tls { phase: Phase::Tls, fault: TlsFault::Certificate, .. }),
        "{error}"
    );
    assert!(error.to_string().to_lowercase().contains(word), "{error}");
}

#[test]
fn certificates_that_are_not_good_are_refused_by_name() {
    let (authority, good) = issued(|_| {});
    let sound = serve(good);
    dial(&DialSpec::new(endpoint(sound.port, Some(trusting(authority))), "/"), 1).unwrap();

    let (authority, expired) = issued(|leaf| leaf.not_after = date_time_ymd(2020, 1, 1));
    refused(trusting(authority), serve(expired).port, "expired");
    let (authority, early) = issued(|leaf| leaf.not_before = date_time_ymd(2200, 1, 1));
    refused(trusting(authority), serve(early).port, "not valid yet");
    let other = |leaf: &mut CertificateParams| {
        leaf.subject_alt_names =
            CertificateParams::new(vec!["venue.example".to_owned()]).unwrap().subject_alt_names;
    };
    let (authority, other) = issued(other);
    refused(trusting(authority), serve(other).port, "not valid for name");
    let (stranger, _) = issued(|_| {});
    // An authority of the same name with another key.
    refused(trusting(stranger), sound.port, "signature");
}

#[test]
fn the_systems_roots_do_not_trust_a_certificate_of_nobody() {
    let (_, server) = issued(|_| {});
    match ClientTls::new(&Trust::System) {
        Ok(client) => refused(client, serve(server).port, "unknownissuer"),
        Err(error) => println!("skipped: {error}"),
    }
}

/// A peer that answers the first bytes of a handshake with these, then reads until the end.
fn answers(bytes: Vec<u8>) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).unwrap() > 0);
        stream.write_all(&bytes).unwrap();
        while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
    });
    (port, peer)
}

#[test]
fn peers_that_do_not_speak_tls_1_3_are_refused_by_name() {
    // A ServerHello of TLS 1.1: version, 32 bytes of chance, no session, AES-128-CBC, no compression.
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    let mut old = vec![22, 3, 2, 0, hello.len() as u8 + 4, 2, 0, 0, hello.len() as u8];
    old.extend(hello);
    let mut oversized = vec![22, 3, 3, 0x48, 0x01];
    oversized.resize(5 + 0x4801, 0);
    let alert = vec![21, 3, 3, 0, 2, 2, 70];
    let plain = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    for (name, bytes, faults) in [
        ("TLS 1.1 only", old, &[TlsFault::Incompatible, TlsFault::Protocol][..]),
        ("a record of 18 KiB", oversized, &[TlsFault::Protocol]),
        ("an alert: protocol_version", alert, &[TlsFault::Alert { code: 70 }]),
        ("no TLS at all", plain, &[TlsFault::Protocol]),
    ] {
        let (port, peer) = answers(bytes);
        let (authority, _) = issued(|_| {});
        let error = dial(&DialSpec::new(endpoint(port, Some(trusting(authority))), "/"), 1).unwrap_err();
        let DialError::Tls { phase: Phase::Tls, fault, .. } = &error else { panic!("{name}: {error}") };
        assert!(faults.contains(fault), "{name}: {error}");
        peer.join().unwrap();
    }
}

/// What a peer does once the WebSocket is open.
type Then = fn(&mut TlsStream, &mut TcpStream);

/// A TLS server on bare sockets, for two connections: opens the WebSocket, says `first`, hears an answer, misbehaves.
fn misbehaves(tls: ServerTls, then: Then) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut session = TlsStream::server(&tls).unwrap();
            let mut parser = net::http::RequestParser::new(net::http::Limits::default());
            let (mut buffer, mut plain, mut out) = ([0; 4096], Vec::new(), Vec::new());
            let request = loop {
                let n = stream.read(&mut buffer).unwrap();
                session.feed(&buffer[..n], &mut plain).unwrap();
                parser.feed(&plain);
                plain.clear();
                session.pending(&mut out);
                stream.write_all(&out).unwrap();
                out.clear();
                if let Some(request) = parser.next_request().unwrap() {
                    break request;
                }
            };
            let mut answer = Vec::new();
            accept(&request, None).unwrap().write(&mut answer);
            answer.extend(b"\x81\x05first");
            session.seal(&answer, &mut out).unwrap();
            stream.write_all(&out).unwrap();
            // The client says that it is up: from here on it is the link that reads.
            assert!(stream.read(&mut buffer).unwrap() > 0);
            then(&mut session, &mut stream);
            while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
        }
    });
    (port, peer)
}

fn sealed(session: &mut TlsStream, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    session.seal(plain, &mut out).unwrap();
    out
}

#[test]
fn a_session_that_goes_wrong_ends_by_name_and_comes_back() {
    let cases: [(&str, Then, CloseReason); 6] = [
        ("FIN without close_notify", |_, s| s.shutdown(Shutdown::Write).unwrap(), CloseReason::Truncated),
        (
            "a record that is not authentic",
            |t, s| {
                let mut record = sealed(t, b"\x81\x03bad");
                *record.last_mut().unwrap() ^= 1;
                s.write_all(&record).unwrap();
            },
            CloseReason::Tls(TlsFault::Decrypt),
        ),
        (
            "garbage between records",
            |_, s| s.write_all(b"\x00garbage that is no record").unwrap(),
            CloseReason::Tls(TlsFault::Protocol),
        ),
        (
            "a record longer than any may be",
            |_, s| {
                let mut record = vec![23, 3, 3, 0x48, 0x01];
                record.resize(5 + 0x4801, 0);
                s.write_all(&record).unwrap();
            },
            CloseReason::Tls(TlsFault::Protocol),
        ),
        (
            "close_notify inside a frame",
            |t, s| {
                let mut out = sealed(t, b"\x81\x05hal");
                t.close_notify(&mut out);
                s.write_all(&out).unwrap();
            },
            CloseReason::Eof,
        ),
        (
            "FIN inside a record",
            |t, s| {
                let record = sealed(t, b"\x81\x04lost");
                s.write_all(&record[..record.len() / 2]).unwrap();
                s.shutdown(Shutdown::Write).unwrap();
            },
            CloseReason::Truncated,
        ),
    ];
    for (name, then, expected) in cases {
        for backend in [Backend::Recv, Backend::Uring] {
            let (authority, server) = issued(|_| {});
            let (port, peer) = misbehaves(server, then);
            let mut rig = Rig::to(port, Some(trusting(authority)), backend);
            for _ in 0..2 {
                let mut got = Vec::new();
                let started = Instant::now();
                while !matches!(got.last(), Some(Got::Down(_))) {
                    assert!(started.elapsed().as_secs() < 10, "{name}: {got:?}");
                    got.extend(rig.poll(8));
                    if got.last() == Some(&Got::Text(b"first".to_vec())) && rig.link.is_up() {
                        let _ = rig.link.send(b"go on", &mut || true);
                    }
                }
                assert_eq!(
                    got,
                    [Got::Up, Got::Text(b"first".to_vec()), Got::Down(expected)],
                    "{name} on {backend:?}: nothing but what was whole is delivered"
                );
            }
            assert_eq!(rig.link.counters().downs[expected.index()], 2, "{name}");
            assert!(!rig.link.is_up());
            drop(rig);
            peer.join().unwrap();
        }
    }
}
