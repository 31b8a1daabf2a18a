//! The trading link against a scripted peer, on both receive back ends, over TLS and plain.

mod host;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use corelane_net as net;
use host::{Got, Host, Rig, Seen, endpoint, matrix, tls_pair};
use net::ws::{Opcode, WsError};
use net::{Backend, CloseReason, DialSpec, Link, LinkConfig, SendError, ServerClose};

fn upgrade_and_echo(_: usize, connection: &mut net::ServerConn, seen: Seen) {
    match seen {
        Seen::Upgrade(_) => connection.accept_upgrade().unwrap(),
        Seen::Text(payload) => connection.send_text(&payload).unwrap(),
        _ => {}
    }
}

#[test]
fn the_wanted_back_end_serves() {
    let host = Host::start(None, upgrade_and_echo);
    for backend in [Backend::Recv, Backend::Uring] {
        let mut rig = Rig::to(host.port, None, backend);
        assert_eq!(rig.link.backend(), None);
        rig.up();
        if let Some(refusal) = rig.link.io_refusal() {
            // A container may forbid io_uring; then the link must still have come up.
            eprintln!("{refusal}");
            assert_eq!(rig.link.backend(), Some(Backend::Recv));
        } else {
            assert_eq!(rig.link.backend(), Some(backend));
        }
    }
}

#[test]
fn many_messages_of_every_size_come_back_in_order() {
    matrix(|backend, tls| {
        let (client, server) = tls.unzip();
        let host = Host::start(server, upgrade_and_echo);
        let mut rig = Rig::to(host.port, client, backend);
        rig.up();
        let sizes = (0..2_000).map(|i| i % 300).chain([0, 125, 126, 65_535, 65_536, 100_000, 1_000_000, 3]);
        let sent: Vec<Vec<u8>> =
            sizes.enumerate().map(|(i, size)| vec![b'a' + (i % 26) as u8; size]).collect();
        let mut got = Vec::new();
        for message in &sent {
            while let Err(error) = rig.link.send(message, &mut || true) {
                assert!(matches!(error, SendError::Backlog { .. }), "{error}");
                got.extend(rig.poll(7));
            }
        }
        got.extend(rig.gather(sent.len() - got.len()));
        assert_eq!(got.len(), sent.len());
        for (got, sent) in got.into_iter().zip(&sent) {
            assert!(got == Got::Text(sent.clone()), "message of {} bytes differs", sent.len());
        }
        assert_eq!(rig.link.unsent_bytes().unwrap(), 0);
        let counters = *rig.link.counters();
        assert_eq!((counters.messages_in, counters.messages_out), (2_008, 2_008));
        assert_eq!((counters.ups, counters.reconnects()), (1, 0));
        let bytes: usize = sent.iter().map(Vec::len).sum();
        assert!(counters.bytes_in > bytes as u64 && counters.bytes_out > bytes as u64);
    });
}

#[test]
fn a_flood_while_nobody_polls_exhausts_the_buffers_and_loses_nothing() {
    // 3 MiB in small messages: more than the 1 MiB of provided buffers.
    const MESSAGES: usize = 30_000;
    let (done, flooded) = mpsc::channel();
    let host = Host::start(None, move |_, connection, seen| match seen {
        Seen::Upgrade(_) => connection.accept_upgrade().unwrap(),
        Seen::Text(_) => {
            for i in 0..MESSAGES {
                connection.send_text(format!("{i:0100}").as_bytes()).unwrap();
            }
            done.send(()).unwrap();
        }
        _ => {}
    });
    for backend in [Backend::Recv, Backend::Uring] {
        let mut rig = Rig::to(host.port, None, backend);
        rig.up();
        rig.link.send(b"go", &mut || true).unwrap();
        flooded.recv().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        for (i, got) in rig.gather(MESSAGES).into_iter().enumerate() {
            assert_eq!(got, Got::Text(format!("{i:0100}").into_bytes()));
        }
        if rig.link.backend() == Some(Backend::Uring) {
            let counters = rig.link.io_counters();
            assert!(counters.no_buffers > 0 && counters.arms > 1, "{counters:?}");
        }
    }
}

#[test]
fn the_budget_bounds_a_poll_and_what_waits_is_kept() {
    let host = Host::start(None, |_, connection, seen| {
        if let Seen::Upgrade(_) = seen {
            connection.accept_upgrade().unwrap();
            for i in 0..10 {
                connection.send_text(&[b'0' + i]).unwrap();
            }
            connection.close(ServerClose::Clean { code: 1001 });
        }
    });
    let mut rig = Rig::to(host.port, None, Backend::Recv);
    let mut got = Vec::new();
    while got.last() != Some(&Got::Down(CloseReason::PeerClose { code: 1001 })) {
        let new = rig.poll(3);
        // The end is reported beyond the budget, never instead of a message.
        assert!(new.iter().filter(|got| matches!(got, Got::Text(_))).count() <= 3);
        got.extend(new);
    }
    assert_eq!(got.len(), 12);
}

#[test]
fn every_end_has_its_reason_and_is_followed_by_a_new_session() {
    matrix(|backend, tls| {
        let secure = tls.is_some();
        let (client, server) = tls.unzip();
        let host = Host::start(server, |number, connection, seen| match seen {
            Seen::Upgrade(_) => {
                connection.accept_upgrade().unwrap();
                connection.send_text(format!("session {number}").as_bytes()).unwrap();
            }
            Seen::Text(_) => match number {
                0 => connection.close(ServerClose::Clean { code: 1001 }),
                1 => connection.close(ServerClose::Eof),
                2 => connection.close(ServerClose::Truncate),
                3 => connection.close(ServerClose::Reset),
                4 => connection.send_raw(b"\xc1\x00").unwrap(),
                5 => connection.send_frame(true, Opcode::Binary, b"zip").unwrap(),
                _ => connection.send_raw(b"\x81\x7f\x00\x00\x00\x00\x40\x00\x00\x00").unwrap(),
            },
            _ => {}
        });
        let mut rig = Rig::to(host.port, client, backend);
        let truncated = if secure { CloseReason::Truncated } else { CloseReason::Eof };
        let expected = [
            CloseReason::PeerClose { code: 1001 },
            CloseReason::Eof,
            truncated,
            CloseReason::Reset,
            CloseReason::Protocol(WsError::ReservedBits { bits: 0b100 }),
            CloseReason::Binary,
            CloseReason::Protocol(WsError::TooBig { length: 1 << 30, limit: 1 << 20 }),
        ];
        for (number, reason) in expected.into_iter().enumerate() {
            let hello = Got::Text(format!("session {number}").into_bytes());
            assert_eq!(rig.gather(2), [Got::Up, hello]);
            rig.link.send(b"end it", &mut || true).unwrap();
            assert_eq!(rig.down(), reason);
        }
        rig.gather(2);
        let counters = rig.link.counters();
        assert_eq!(counters.reconnects(), 7);
        assert_eq!(counters.downs.iter().sum::<u64>(), 7);
        let report = rig.dialer.reports().link(0).unwrap();
        assert_eq!((report.attempts, report.sessions, report.failures), (8, 8, 0));
    });
}

#[test]
fn the_peer_is_told_1009_before_the_message_could_be_stored() {
    let (told, telling) = mpsc::channel();
    let host = Host::start(None, move |number, connection, seen| match seen {
        Seen::Upgrade(_) if number == 0 => {
            connection.accept_upgrade().unwrap();
            connection.send_raw(b"\x82\x7f\x00\x00\x00\xff\xff\xff\xff\xff").unwrap();
        }
        Seen::Closed(reason) => told.send(reason).unwrap(),
        _ => {}
    });
    let mut rig = Rig::to(host.port, None, Backend::Uring);
    rig.up();
    assert!(matches!(rig.down(), CloseReason::Protocol(WsError::TooBig { .. })));
    let heard = telling.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(heard, CloseReason::PeerClose { code: 1009 });
}

#[test]
fn early_deaths_wait_longer_each_time() {
    let host = Host::start(None, |_, connection, seen| {
        if let Seen::Upgrade(_) = seen {
            connection.accept_upgrade().unwrap();
            connection.close(ServerClose::Eof);
        }
    });
    let mut rig = Rig::to(host.port, None, Backend::Recv);
    let started = Instant::now();
    for _ in 0..8 {
        rig.up();
        assert_eq!(rig.down(), CloseReason::Eof);
    }
    rig.up();
    // Eight waits of at least the 5 ms floor.
    assert!(started.elapsed() >= Duration::from_millis(40), "{:?}", started.elapsed());
}

#[test]
fn pings_are_answered_with_their_payload_and_silence_is_probed_then_ended() {
    matrix(|backend, tls| {
        let (client, server) = tls.unzip();
        let (ponged, pongs) = mpsc::channel();
        let host = Host::start(server, move |_, connection, seen| match seen {
            Seen::Upgrade(_) => {
                connection.accept_upgrade().unwrap();
                connection.send_frame(true, Opcode::Ping, b"are you there").unwrap();
            }
            Seen::Pong(payload) => {
                connection.set_stalled(true);
                ponged.send(payload).unwrap();
            }
            _ => {}
        });
        let mut rig = Rig::to(host.port, client, backend);
        rig.up();
        let started = Instant::now();
        let pong = loop {
            assert_eq!(rig.poll(1), []);
            if let Ok(pong) = pongs.try_recv() {
                break pong;
            }
            assert!(started.elapsed() < Duration::from_secs(5));
        };
        assert_eq!(pong, b"are you there");
        let silence = |rig: &mut Rig, ms: u64| {
            rig.ahead_ns.fetch_add(ms * 1_000_000, Ordering::Relaxed);
            (0..40).flat_map(|_| rig.poll(1)).collect::<Vec<_>>()
        };
        assert_eq!(silence(&mut rig, 9_000), []);
        assert_eq!(rig.link.counters().pings_out, 0);
        assert_eq!(silence(&mut rig, 2_000), []);
        assert_eq!(silence(&mut rig, 15_000), []);
        assert_eq!(rig.link.counters().pings_out, 1);
        assert_eq!(silence(&mut rig, 5_000), [Got::Down(CloseReason::Idle { idle_ms: 30_000 })]);
        assert_eq!(rig.link.counters().downs[CloseReason::Idle { idle_ms: 0 }.index()], 1);
    });
}

/// A peer that reads nothing until told, and counts the messages it reads then.
struct StalledPeer {
    host: Host,
    read_on: Arc<AtomicBool>,
    texts: Arc<AtomicUsize>,
    closed: mpsc::Receiver<CloseReason>,
}

impl StalledPeer {
    fn start(tls: Option<net::ServerTls>, recv_buffer_bytes: u32) -> Self {
        let (read_on, texts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (closing, closed) = mpsc::channel();
        let (go, count) = (Arc::clone(&read_on), Arc::clone(&texts));
        let host = Host::start(tls, move |_, connection, seen| {
            match seen {
                Seen::Accepted => connection.set_recv_buffer(recv_buffer_bytes),
                Seen::Upgrade(_) => {
                    connection.accept_upgrade().unwrap();
                    connection.set_stalled(true);
                }
                Seen::Text(_) => {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                // The other side may have asked for a new session by the time the test ends.
                Seen::Closed(reason) => drop(closing.send(reason)),
                _ => {}
            }
            if go.load(Ordering::SeqCst) {
                connection.set_stalled(false);
            }
        });
        Self { host, read_on, texts, closed }
    }

    /// Lets the peer read everything that ever reached it; returns how many messages that was and how it ended.
    fn read_out(&self) -> (usize, CloseReason) {
        self.read_on.store(true, Ordering::SeqCst);
        let reason = self.closed.recv_timeout(Duration::from_secs(5)).unwrap();
        (self.texts.load(Ordering::SeqCst), reason)
    }
}

/// Sends until the link itself has to keep bytes; returns how many messages were accepted.
fn fill(rig: &mut Rig) -> usize {
    for sent in 0..100_000 {
        match rig.link.send(&[b'x'; 4_000], &mut || true) {
            Ok(()) => {}
            Err(SendError::Backlog { bytes }) => {
                assert!(bytes > 0);
                return sent;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the peer reads");
}

fn small_send_buffer(port: u16, tls: Option<net::ClientTls>, backend: Backend) -> Rig {
    let config = LinkConfig { backend, ..LinkConfig::default() };
    let mut spec = DialSpec::new(endpoint(port, tls), "/ws");
    spec.send_buffer_bytes = 64 * 1024;
    Rig::new(config, spec)
}

#[test]
fn after_an_abort_nothing_more_arrives() {
    matrix(|backend, tls| {
        let (client, server) = tls.unzip();
        let peer = StalledPeer::start(server, 8 * 1024);
        let mut rig = small_send_buffer(peer.host.port, client, backend);
        rig.up();
        let sent = fill(&mut rig);
        let unsent = rig.link.unsent_bytes().unwrap();
        assert!(unsent > 4_000, "{unsent}");
        assert_eq!(rig.poll(1), []);
        assert!(rig.link.is_up());
        rig.link.abort();
        assert!(!rig.link.is_up());
        assert_eq!(rig.link.unsent_bytes().unwrap(), 0);
        assert_eq!(rig.link.send(b"more", &mut || true), Err(SendError::Down));
        let (arrived, reason) = peer.read_out();
        assert_eq!(reason, CloseReason::Reset);
        // At least what was reported unsent has been dropped.
        assert!(arrived <= sent - unsent / 4_100, "{arrived} of {sent}, {unsent} bytes unsent");
        assert_eq!(rig.down(), CloseReason::Aborted);
    });
}

#[test]
fn an_abort_handle_cuts_from_another_thread_while_a_receive_is_armed() {
    matrix(|backend, tls| {
        let (client, server) = tls.unzip();
        let peer = StalledPeer::start(server, 8 * 1024);
        let mut rig = small_send_buffer(peer.host.port, client, backend);
        assert!(rig.link.abort_handle().is_none());
        rig.up();
        let handle = rig.link.abort_handle().unwrap();
        let sent = fill(&mut rig);
        let unsent = rig.link.unsent_bytes().unwrap();
        // The link's own thread does nothing at all meanwhile.
        std::thread::spawn(move || handle.abort()).join().unwrap().unwrap();
        let (arrived, reason) = peer.read_out();
        assert_eq!(reason, CloseReason::Reset);
        assert!(arrived <= sent - unsent / 4_100, "{arrived} of {sent}, {unsent} bytes unsent");
        assert_eq!(rig.down(), CloseReason::Aborted);
        rig.up();
    });
}

#[test]
fn a_held_abort_handle_does_not_keep_a_connection_open() {
    matrix(|backend, tls| {
        let (client, server) = tls.unzip();
        let (closing, closed) = mpsc::channel();
        let host = Host::start(server, move |number, connection, seen| match seen {
            Seen::Upgrade(_) => connection.accept_upgrade().unwrap(),
            Seen::Text(_) if number == 0 => {
                connection.send_frame(true, Opcode::Close, &[3, 232]).unwrap();
            }
            Seen::Closed(reason) if number == 0 => closing.send(reason).unwrap(),
            _ => {}
        });
        let mut rig = Rig::to(host.port, client, backend);
        rig.up();
        let handle = rig.link.abort_handle().unwrap();
        rig.link.send(b"close", &mut || true).unwrap();
        assert_eq!(rig.down(), CloseReason::PeerClose { code: 1000 });
        let heard = closed.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(heard, CloseReason::PeerClose { code: 1000 });
        rig.up();
        // Too late to matter, and it must not touch the new connection.
        let _ = handle.abort();
        assert_eq!(rig.poll(1), []);
        assert!(rig.link.is_up());
    });
}

#[test]
fn a_backlog_drains_when_the_peer_reads_again() {
    matrix(|backend, tls| {
        let (client, server) = tls.unzip();
        // Room for whole loopback segments, or the kernel's window probes set the pace.
        let peer = StalledPeer::start(server, 256 * 1024);
        let mut rig = small_send_buffer(peer.host.port, client, backend);
        rig.up();
        let sent = fill(&mut rig);
        peer.read_on.store(true, Ordering::SeqCst);
        let started = Instant::now();
        while rig.link.unsent_bytes().unwrap() > 0 || peer.texts.load(Ordering::SeqCst) < sent {
            assert_eq!(rig.poll(1), []);
            assert!(started.elapsed() < Duration::from_secs(5));
        }
        rig.link.send(b"one more", &mut || true).unwrap();
        while peer.texts.load(Ordering::SeqCst) < sent + 1 {
            assert!(started.elapsed() < Duration::from_secs(5));
        }
    });
}

#[test]
fn a_withheld_message_leaves_nothing_and_poisons_the_link() {
    matrix(|backend, tls| {
        let (client, server) = tls.unzip();
        let peer = StalledPeer::start(server, 8 * 1024);
        let mut rig = Rig::to(peer.host.port, client, backend);
        rig.up();
        rig.link.send(b"first", &mut || true).unwrap();
        let mut asked = 0;
        let refuse = &mut || {
            asked += 1;
            false
        };
        assert_eq!(rig.link.send(b"second", refuse), Err(SendError::Withheld));
        assert_eq!(asked, 1);
        assert_eq!(rig.link.send(b"third", &mut || panic!("asked again")), Err(SendError::Poisoned));
        assert_eq!(rig.link.counters().withheld, 1);
        std::thread::sleep(Duration::from_millis(20));
        rig.link.abort();
        let (arrived, reason) = peer.read_out();
        assert_eq!((arrived, reason), (1, CloseReason::Reset));
        assert_eq!(rig.down(), CloseReason::Aborted);
        rig.up();
        rig.link.send(b"fresh", &mut || true).unwrap();
    });
}

#[test]
fn a_warm_up_leaves_nothing_on_the_wire_or_on_the_link() {
    matrix(|backend, tls| {
        let (client, server) = tls.unzip();
        let host = Host::start(server, upgrade_and_echo);
        let mut rig = Rig::to(host.port, client, backend);
        assert_eq!(rig.link.warm_up(b"early"), Err(SendError::Down));
        rig.up();
        let long = vec![b'x'; (1 << 20) + 1];
        assert!(matches!(rig.link.warm_up(&long), Err(SendError::TooLong { .. })));
        for round in 0..50 {
            let before = *rig.link.counters();
            for _ in 0..20 {
                rig.link.warm_up(b"secret").unwrap();
            }
            let after = *rig.link.counters();
            assert_eq!((after.bytes_out, after.messages_out), (before.bytes_out, before.messages_out));
            assert_eq!((after.warm_ups, rig.link.unsent_bytes().unwrap()), (before.warm_ups + 20, 0));
            // The peer decrypts and unmasks what is sent in between: keys, sequence and stream are as they were.
            let message = format!("message {round}").into_bytes();
            rig.link.send(&message, &mut || true).unwrap();
            assert_eq!(rig.gather(1), [Got::Text(message)]);
        }
        assert_eq!(rig.link.send(b"withheld", &mut || false), Err(SendError::Withheld));
        assert_eq!(rig.link.warm_up(b"secret"), Err(SendError::Poisoned));
        let counters = *rig.link.counters();
        assert_eq!((counters.messages_in, counters.messages_out, counters.frames_in), (50, 50, 50));
    });
}

#[test]
fn a_withheld_message_does_not_leave_with_the_farewell_either() {
    matrix(|backend, tls| {
        let (client, server) = tls.unzip();
        let (seen_by_peer, at_peer) = mpsc::channel();
        let host = Host::start(server, move |number, connection, seen| match seen {
            Seen::Upgrade(_) => connection.accept_upgrade().unwrap(),
            Seen::Text(payload) if payload == b"close" => {
                connection.send_frame(true, Opcode::Close, &[3, 232]).unwrap();
            }
            Seen::Text(payload) => seen_by_peer.send(format!("{payload:?}")).unwrap(),
            Seen::Closed(reason) if number == 0 => seen_by_peer.send(reason.name().to_owned()).unwrap(),
            _ => {}
        });
        let secure = client.is_some();
        let mut rig = Rig::to(host.port, client, backend);
        rig.up();
        rig.link.send(b"close", &mut || true).unwrap();
        assert_eq!(rig.link.send(b"secret", &mut || false), Err(SendError::Withheld));
        assert_eq!(rig.down(), CloseReason::PeerClose { code: 1000 });
        let heard = at_peer.recv_timeout(Duration::from_secs(5)).unwrap();
        // No farewell can be sealed after the gap, so the stream just ends.
        assert_eq!(heard, if secure { "truncated" } else { "eof" });
    });
}

#[test]
fn the_last_check_is_not_asked_when_nothing_could_be_sent() {
    let (client, server) = tls_pair();
    let host = Host::start(Some(server), upgrade_and_echo);
    let mut rig = Rig::to(host.port, Some(client), Backend::Uring);
    let asked = &mut || panic!("asked");
    assert_eq!(rig.link.send(b"early", asked), Err(SendError::Down));
    rig.up();
    let long = vec![b'x'; (1 << 20) + 1];
    assert_eq!(
        rig.link.send(&long, asked),
        Err(SendError::TooLong { length: (1 << 20) + 1, limit: 1 << 20 })
    );
}

#[test]
fn a_peer_that_pings_and_never_reads_is_cut_off_at_the_backlog_bound() {
    let (sent, pinged) = mpsc::channel();
    let host = Host::start(None, move |number, connection, seen| match seen {
        Seen::Accepted => connection.set_recv_buffer(4 * 1024),
        Seen::Upgrade(_) => {
            connection.accept_upgrade().unwrap();
            connection.set_stalled(true);
            for _ in 0..400 {
                connection.send_frame(true, Opcode::Ping, &[b'p'; 120]).unwrap();
            }
        }
        // All pings are with the link's kernel before the link answers one: a full receive buffer drops segments
        // and with them the acknowledgements our own sending would need.
        Seen::Beat if number == 0 && connection.is_websocket() && connection.queued_bytes() == 0 => {
            let _ = sent.send(());
        }
        _ => {}
    });
    let config = LinkConfig { backlog_bytes_max: 2_048, ..LinkConfig::default() };
    let mut spec = DialSpec::new(endpoint(host.port, None), "/ws");
    spec.send_buffer_bytes = 4 * 1024;
    let mut rig = Rig::new(config, spec);
    rig.up();
    pinged.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(rig.down(), CloseReason::Backlog);
    assert!(rig.link.counters().pings_in < 400, "{:?}", rig.link.counters());
}

#[test]
fn a_link_may_move_to_another_thread() {
    let host = Host::start(None, upgrade_and_echo);
    let mut rig = Rig::to(host.port, None, Backend::Uring);
    rig.up();
    if rig.link.backend() == Some(Backend::Recv) {
        return eprintln!("skipped: {:?}", rig.link.io_refusal());
    }
    let echo = |rig: &mut Rig| {
        rig.link.send(b"hello", &mut || true).unwrap();
        assert_eq!(rig.gather(1), [Got::Text(b"hello".to_vec())]);
    };
    echo(&mut rig);
    let moved = std::thread::spawn(move || {
        // The ring belongs to the thread that opened it: the connection ends by name, the next one works here.
        rig.link.send(b"wake the ring", &mut || true).unwrap();
        assert_eq!(rig.down(), CloseReason::Io { errno: libc::EXDEV });
        rig.up();
        echo(&mut rig);
        rig
    });
    drop(moved.join().unwrap());
}
