//! Peers that are no venue at all: a scripted TLS server, and a relay that damages what passes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use net::http::Request;
use net::server::wait;
use net::{Listener, ServerConfig, ServerConn, ServerEvent, ServerTls};

/// What a script is asked to answer.
pub(crate) enum Asked {
    Request(Request),
    Upgrade,
}

/// A TLS server whose every answer comes from a script.
pub(crate) struct Peer {
    pub(crate) port: u16,
    pub(crate) cert_der: Vec<u8>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    pub(crate) fn start(mut script: impl FnMut(&mut ServerConn, Asked) + Send + 'static) -> Peer {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let cert_der = made.cert.der().to_vec();
        let tls = ServerTls::new(vec![cert_der.clone()], made.signing_key.serialize_der()).expect("a server");
        let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let serve = move || {
            let mut open: Vec<ServerConn> = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                wait(Some(&listener), &open, Duration::from_millis(2)).expect("poll");
                while let Some(stream) = listener.accept().expect("accept") {
                    open.push(ServerConn::new(stream, Some(&tls), ServerConfig::default()).expect("TLS"));
                }
                for conn in &mut open {
                    let mut asked = Vec::new();
                    conn.poll(&mut |event| match event {
                        ServerEvent::Request(request) => asked.push(Asked::Request(request)),
                        ServerEvent::Upgrade(_) => asked.push(Asked::Upgrade),
                        _ => {}
                    });
                    asked.into_iter().for_each(|asked| script(conn, asked));
                }
                open.retain(|conn| !conn.is_closed());
            }
        };
        let thread = std::thread::Builder::new().name("peer".into()).spawn(serve).expect("a thread");
        Peer { port, cert_der, stop, thread: Some(thread) }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the peer's script panicked");
        }
    }
}

/// Passes bytes on between whoever connects and a port of this host; when told to, damages one byte that comes back.
/// Its threads end with their connections.
pub(crate) struct Relay {
    pub(crate) port: u16,
    damage: Arc<AtomicBool>,
}

impl Relay {
    pub(crate) fn to(target: u16) -> Relay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let damage = Arc::new(AtomicBool::new(false));
        let asked = damage.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else { continue };
                let (Ok(client_read), Ok(server_read)) = (client.try_clone(), server.try_clone()) else {
                    continue;
                };
                std::thread::spawn(move || pass(client_read, server, None));
                let asked = asked.clone();
                std::thread::spawn(move || pass(server_read, client, Some(&asked)));
            }
        });
        Relay { port, damage }
    }

    /// Flips one bit of the next bytes that come from the server.
    pub(crate) fn damage(&self) {
        self.damage.store(true, Ordering::Relaxed);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, damage: Option<&AtomicBool>) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if damage.is_some_and(|d| d.swap(false, Ordering::Relaxed)) {
            bytes[n - 1] ^= 1;
        }
        if to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
