//! A scripted peer on loopback for the tests: one thread, `poll(2)`, certificates made on the spot.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use corelane_net as net;
use net::http::Request;
use net::{
    Backend, BackoffConfig, ClientTls, CloseReason, DialSpec, Dialer, Endpoint, Link, LinkConfig, LinkEvent,
    Listener, ServerConfig, ServerConn, ServerEvent, ServerTls, Trust, WsLink,
};

/// A [`ServerEvent`] that can outlive the poll.
#[derive(Debug)]
pub enum Seen {
    Accepted,
    Request(Request),
    Upgrade(Request),
    Text(Vec<u8>),
    Pong(Vec<u8>),
    Closed(CloseReason),
    /// Nothing happened for a beat.
    Beat,
}

/// Client and server configurations that trust each other, for `localhost`.
pub fn tls_pair() -> (ClientTls, ServerTls) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().to_vec();
    let client = ClientTls::new(&Trust::Der(vec![certificate.clone()])).unwrap();
    (client, ServerTls::new(vec![certificate], made.signing_key.serialize_der()).unwrap())
}

pub struct Host {
    pub port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Serves with `script`, which is called with the connection's number, the connection and what happened.
    pub fn start(
        tls: Option<ServerTls>,
        mut script: impl FnMut(usize, &mut ServerConn, Seen) + Send + 'static,
    ) -> Self {
        let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let serve = move || {
            let mut connections: Vec<ServerConn> = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                net::server::wait(Some(&listener), &connections, Duration::from_millis(2)).unwrap();
                while let Some(stream) = listener.accept().unwrap() {
                    let mut made = ServerConn::new(stream, tls.as_ref(), ServerConfig::default()).unwrap();
                    script(connections.len(), &mut made, Seen::Accepted);
                    connections.push(made);
                }
                for (number, connection) in connections.iter_mut().enumerate() {
                    let mut seen = Vec::new();
                    connection.poll(&mut |event| {
                        seen.push(match event {
                            ServerEvent::Request(request) => Seen::Request(request),
                            ServerEvent::Upgrade(request) => Seen::Upgrade(request),
                            ServerEvent::Text(payload) => Seen::Text(payload.to_vec()),
                            ServerEvent::Pong(payload) => Seen::Pong(payload.to_vec()),
                            ServerEvent::Closed(reason) => Seen::Closed(reason),
                        });
                    });
                    if seen.is_empty() && !connection.is_closed() {
                        seen.push(Seen::Beat);
                    }
                    for event in seen {
                        script(number, connection, event);
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("host".to_owned()).spawn(serve).unwrap();
        Self { port, stop, thread: Some(thread) }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let result = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            result.unwrap();
        }
    }
}

pub fn endpoint(port: u16, tls: Option<ClientTls>) -> Endpoint {
    Endpoint { host: "localhost".to_owned(), port, address: Some(Ipv4Addr::LOCALHOST.into()), tls }
}

pub const BACKOFF: BackoffConfig = BackoffConfig { min_ms: 5, max_ms: 40, reset_after_ms: 60_000 };

/// What a link under test has seen.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    Up,
    Text(Vec<u8>),
    Down(CloseReason),
}

/// A link, its dialer, and a clock that runs by itself unless it is moved.
pub struct Rig {
    pub link: WsLink,
    pub dialer: Dialer,
    pub ahead_ns: AtomicU64,
    pub started: Instant,
}

impl Rig {
    pub fn new(config: LinkConfig, spec: DialSpec) -> Self {
        let (dialer, mut mailboxes) = Dialer::spawn(vec![spec], BACKOFF, 42).unwrap();
        let link = WsLink::new(config, mailboxes.remove(0));
        Self { link, dialer, ahead_ns: AtomicU64::new(0), started: Instant::now() }
    }

    pub fn to(port: u16, tls: Option<ClientTls>, backend: Backend) -> Self {
        let config = LinkConfig { backend, send_bytes_max: 1 << 20, ..LinkConfig::default() };
        Self::new(config, DialSpec::new(endpoint(port, tls), "/ws"))
    }

    pub fn poll(&mut self, budget: usize) -> Vec<Got> {
        let mut got = Vec::new();
        let (started, ahead_ns) = (self.started, &self.ahead_ns);
        let stamp = || started.elapsed().as_nanos() as u64 + ahead_ns.load(Ordering::Relaxed);
        let events = self.link.poll(budget, &stamp, &mut |event| {
            got.push(match event {
                LinkEvent::Up => Got::Up,
                LinkEvent::Message { payload, ts_visible_ns } => {
                    assert!(ts_visible_ns > 0 && ts_visible_ns <= stamp());
                    Got::Text(payload.to_vec())
                }
                LinkEvent::Down { reason } => Got::Down(reason),
            });
        });
        assert_eq!(events, got.len());
        got
    }

    /// Polls until `enough` events have come; fails after ten seconds.
    pub fn gather(&mut self, enough: usize) -> Vec<Got> {
        let mut got = Vec::new();
        let started = Instant::now();
        while got.len() < enough {
            let new = self.poll(64);
            if new.is_empty() {
                std::thread::yield_now();
            }
            got.extend(new);
            if started.elapsed() >= Duration::from_secs(10) {
                let unsent = self.link.unsent_bytes();
                let (counters, io) = (self.link.counters(), self.link.io_counters());
                let report = self.dialer.reports().link(0);
                panic!("{} of {enough}; {counters:?}; {io:?}; unsent {unsent:?}; {report:?}", got.len());
            }
        }
        got
    }

    /// Polls until the link is up, and takes nothing beyond that.
    pub fn up(&mut self) {
        let started = Instant::now();
        loop {
            let got = self.poll(1);
            if !got.is_empty() {
                assert_eq!(got, [Got::Up]);
                return;
            }
            let report = self.dialer.reports().link(0);
            assert!(started.elapsed() < Duration::from_secs(10), "not up; {report:?}");
            std::thread::yield_now();
        }
    }

    /// Polls until the connection has ended and says why.
    pub fn down(&mut self) -> CloseReason {
        loop {
            if let Some(Got::Down(reason)) = self.gather(1).pop() {
                assert!(!self.link.is_up());
                return reason;
            }
        }
    }
}

/// Every back end, over TLS and plain.
pub fn matrix(test: impl Fn(Backend, Option<(ClientTls, ServerTls)>)) {
    for backend in [Backend::Recv, Backend::Uring] {
        for secure in [false, true] {
            eprintln!("{backend:?}, tls {secure}");
            test(backend, secure.then(tls_pair));
        }
    }
}
