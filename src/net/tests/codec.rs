//! The codec under arbitrary bytes and arbitrary cuts, and against tungstenite as an independent peer.

mod host;

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use corelane_net as net;
use host::{Got, Host, Rig, Seen};
use net::ws::{Decoder, Encoder, Event, Limits, MaskKeys, Opcode, Role, WsError};
use net::{Backend, CloseReason, Link};
use proptest::prelude::*;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

const LIMITS: Limits = Limits { message_bytes_max: 300, check_utf8: true };

/// Feeds `wire` in pieces and writes down everything that comes out.
fn run(role: Role, wire: &[u8], cuts: &[usize]) -> (Vec<String>, Option<WsError>) {
    let mut decoder = Decoder::new(role, LIMITS);
    let (mut seen, mut waiting, mut at) = (Vec::new(), Vec::new(), 0);
    for cut in cuts.iter().copied().chain([wire.len()]) {
        let cut = cut.clamp(at, wire.len());
        waiting.extend_from_slice(&wire[at..cut]);
        at = cut;
        loop {
            match decoder.decode(&mut waiting) {
                Ok(None) => break,
                Ok(Some(decoded)) => {
                    let closed = matches!(decoded.event, Event::Close { .. });
                    seen.push(format!("{:?}", decoded.event));
                    let consumed = decoded.consumed;
                    waiting.drain(..consumed);
                    if closed {
                        return (seen, None);
                    }
                }
                Err(error) => return (seen, Some(error)),
            }
        }
        assert!(waiting.len() <= decoder.frame_bytes_max() + wire.len());
    }
    (seen, None)
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..600usize, 0..40).prop_map(|mut cuts| {
        cuts.sort_unstable();
        cuts
    })
}

/// Text or binary, and its fragments, with a ping in front of every fragment that asks for one.
type Fragmented = (bool, Vec<(Vec<u8>, bool)>);

fn messages() -> impl Strategy<Value = Vec<Fragmented>> {
    let fragment = (proptest::collection::vec(b'a'..=b'z', 0..90), any::<bool>());
    proptest::collection::vec((any::<bool>(), proptest::collection::vec(fragment, 1..4)), 0..6)
}

fn write(role: Role, messages: &[Fragmented]) -> (Vec<u8>, Vec<String>) {
    let mut encoder = match role {
        Role::Client => Encoder::client(MaskKeys::new(5)),
        Role::Server => Encoder::server(),
    };
    let (mut wire, mut expected) = (Vec::new(), Vec::new());
    for (text, fragments) in messages {
        for (i, (bytes, ping)) in fragments.iter().enumerate() {
            if *ping {
                encoder.ping(b"?", &mut wire);
                expected.push(format!("{:?}", Event::Ping(b"?")));
            }
            let last = i + 1 == fragments.len();
            let opcode = match (i, text) {
                (0, true) => Opcode::Text,
                (0, false) => Opcode::Binary,
                _ => Opcode::Continuation,
            };
            encoder.frame(last, opcode, bytes, &mut wire);
            if !last {
                expected.push(format!("{:?}", Event::Fragment));
            }
        }
        let kind = if *text { net::ws::MessageKind::Text } else { net::ws::MessageKind::Binary };
        let mut whole: Vec<u8> = fragments.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        expected.push(format!("{:?}", Event::Message { kind, payload: &mut whole }));
    }
    (wire, expected)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn arbitrary_bytes_give_one_answer_however_they_are_cut(
        wire in proptest::collection::vec(any::<u8>(), 0..600),
        cuts in cuts(),
        server in any::<bool>(),
    ) {
        let role = if server { Role::Server } else { Role::Client };
        prop_assert_eq!(run(role, &wire, &[]), run(role, &wire, &cuts));
    }

    #[test]
    fn nearly_valid_bytes_give_one_answer_however_they_are_cut(
        messages in messages(),
        flips in proptest::collection::vec((0..600usize, any::<u8>()), 0..3),
        cuts in cuts(),
    ) {
        let (mut wire, _) = write(Role::Server, &messages);
        for (at, byte) in flips {
            if let Some(place) = wire.get_mut(at) {
                *place = byte;
            }
        }
        prop_assert_eq!(run(Role::Client, &wire, &[]), run(Role::Client, &wire, &cuts));
    }

    #[test]
    fn what_is_written_is_read_back(messages in messages(), cuts in cuts(), client in any::<bool>()) {
        let (writer, reader) =
            if client { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
        let (wire, expected) = write(writer, &messages);
        prop_assert_eq!(run(reader, &wire, &cuts), (expected, None));
    }

    #[test]
    fn http_heads_never_panic_and_cuts_change_nothing(
        wire in proptest::collection::vec(
            prop_oneof![
                Just(b"\r\n".to_vec()),
                Just(b"GET / HTTP/1.1\r\n".to_vec()),
                Just(b"Content-Length: 3\r\n".to_vec()),
                Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
                Just(b"2\r\nab\r\n0\r\n".to_vec()),
                proptest::collection::vec(any::<u8>(), 0..6),
            ],
            0..10,
        ),
        cut in 0..200usize,
    ) {
        let wire: Vec<u8> = wire.concat();
        let cut = cut.min(wire.len());
        let read = |pieces: &[&[u8]]| {
            let limits = net::http::Limits { head_bytes_max: 256, headers_max: 8, body_bytes_max: 64 };
            let mut parser = net::http::RequestParser::new(limits);
            let mut seen = Vec::new();
            for piece in pieces {
                parser.feed(piece);
                loop {
                    match parser.next_request() {
                        Ok(None) => break,
                        Ok(Some(request)) => seen.push(request),
                        Err(error) => return (seen, Some(error)),
                    }
                }
            }
            (seen, None)
        };
        prop_assert_eq!(read(&[&wire]), read(&[&wire[..cut], &wire[cut..]]));
    }
}

fn sizes() -> impl Iterator<Item = usize> {
    [0, 1, 125, 126, 127, 1_000, 65_535, 65_536, 300_000].into_iter()
}

#[test]
fn our_client_and_a_tungstenite_server_understand_each_other() {
    for backend in [Backend::Recv, Backend::Uring] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let peer = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut socket: WebSocket<TcpStream> = tungstenite::accept(stream).unwrap();
            socket.send(Message::Ping(b"hi".to_vec().into())).unwrap();
            let mut pongs = 0;
            loop {
                match socket.read().unwrap() {
                    Message::Text(text) if text.as_str() == "close" => {
                        let code = CloseCode::Away;
                        socket.close(Some(CloseFrame { code, reason: "maintenance".into() })).unwrap();
                    }
                    Message::Text(text) => socket.send(Message::Text(text)).unwrap(),
                    Message::Pong(payload) => {
                        assert_eq!(&payload[..], b"hi");
                        pongs += 1;
                    }
                    Message::Close(frame) => {
                        assert_eq!(frame.unwrap().code, CloseCode::Away);
                        break;
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(pongs, 1);
        });
        let mut rig = Rig::to(port, None, backend);
        rig.up();
        for size in sizes() {
            let message = vec![b'm'; size];
            rig.link.send(&message, &mut || true).unwrap();
            assert!(rig.gather(1) == [Got::Text(message)], "{size}");
        }
        rig.link.send(b"close", &mut || true).unwrap();
        assert_eq!(rig.down(), CloseReason::PeerClose { code: 1001 });
        peer.join().unwrap();
    }
}

#[test]
fn a_tungstenite_client_and_our_server_understand_each_other() {
    let host = Host::start(None, |_, connection, seen| match seen {
        Seen::Upgrade(request) => {
            assert_eq!(request.path(), "/ws");
            connection.accept_upgrade().unwrap();
            connection.send_frame(true, Opcode::Ping, b"there?").unwrap();
        }
        Seen::Pong(payload) => connection.send_text(&payload).unwrap(),
        Seen::Text(payload) if payload == b"fragments" => {
            connection.send_frame(false, Opcode::Text, "é".as_bytes().get(..1).unwrap()).unwrap();
            connection.send_frame(false, Opcode::Continuation, b"").unwrap();
            connection.send_frame(true, Opcode::Continuation, "é".as_bytes().get(1..).unwrap()).unwrap();
        }
        Seen::Text(payload) => connection.send_text(&payload).unwrap(),
        Seen::Closed(reason) => assert_eq!(reason, CloseReason::PeerClose { code: 1000 }),
        _ => {}
    });
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, host.port)).unwrap();
    let url = format!("ws://localhost:{}/ws", host.port);
    let (mut socket, response) = tungstenite::client(url, stream).unwrap();
    assert_eq!(response.status(), 101);
    let read_text = |socket: &mut WebSocket<TcpStream>| loop {
        match socket.read().unwrap() {
            Message::Text(text) => return text.as_str().to_owned(),
            Message::Ping(payload) => assert_eq!(&payload[..], b"there?"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(read_text(&mut socket), "there?");
    for size in sizes() {
        let message = "m".repeat(size);
        socket.send(Message::text(message.as_str())).unwrap();
        assert!(read_text(&mut socket) == message, "{size}");
    }
    socket.send(Message::text("fragments")).unwrap();
    assert_eq!(read_text(&mut socket), "é");
    socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "done".into() })).unwrap();
    loop {
        match socket.read() {
            Ok(Message::Close(Some(frame))) => assert_eq!(frame.code, CloseCode::Normal),
            Ok(other) => panic!("{other:?}"),
            Err(tungstenite::Error::ConnectionClosed) => break,
            Err(error) => panic!("{error}"),
        }
    }
}
