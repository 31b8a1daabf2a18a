//! The codec against RFC 6455 and against tungstenite, an independent peer, without sockets.
//!
//! Random messages in random fragments go both ways between the two; then the corner cases of the RFC, each with the
//! close code that it earns, and with what tungstenite makes of the same bytes.

use std::io::{self, Cursor, Read, Write};

use corelane_net::ws::{Decoder, Encoder, Event, Limits, MaskKeys, MessageKind, Opcode, Role};
use tungstenite::protocol::Role as PeerRole;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Message, WebSocket};

const LIMITS: Limits = Limits { message_bytes_max: 200_000, check_utf8: true };

/// A stream in memory: what is read was there before, what is written is kept.
struct Wire {
    input: Cursor<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn peer(role: PeerRole, input: Vec<u8>) -> WebSocket<Wire> {
    WebSocket::from_raw_socket(Wire { input: Cursor::new(input), output: Vec::new() }, role, None)
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn size(&mut self) -> usize {
        const BORDERS: [usize; 11] = [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537, 131_072];
        match self.below(3) {
            0 => BORDERS[self.below(BORDERS.len())],
            1 => self.below(300),
            _ => self.below(70_000),
        }
    }
}

/// What was said: text or binary, or a ping.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
}

/// One message as fragments, with pings between them: finality, opcode, payload.
fn fragments(random: &mut Random, said: &mut Vec<Said>) -> Vec<(bool, Opcode, Vec<u8>)> {
    let size = random.size();
    let text = random.below(2) == 0;
    // Three bytes a character, so that most cuts fall inside one.
    let payload: Vec<u8> =
        if text { "€".repeat(size / 3).into_bytes() } else { (0..size).map(|i| i as u8).collect() };
    let mut frames = Vec::new();
    let mut rest = payload.as_slice();
    let mut opcode = if text { Opcode::Text } else { Opcode::Binary };
    for _ in 0..random.below(4) {
        let (part, behind) = rest.split_at(random.below(rest.len() + 1));
        frames.push((false, opcode, part.to_vec()));
        (rest, opcode) = (behind, Opcode::Continuation);
        if random.below(2) == 0 {
            let ping = vec![b'p'; random.below(126)];
            frames.push((true, Opcode::Ping, ping.clone()));
            said.push(Said::Ping(ping));
        }
    }
    frames.push((true, opcode, rest.to_vec()));
    said.push(if text { Said::Text(payload) } else { Said::Binary(payload) });
    frames
}

#[test]
fn what_we_write_tungstenite_reads() {
    let mut random = Random(1);
    for round in 0..60 {
        let (ours, theirs) = [(Role::Client, PeerRole::Server), (Role::Server, PeerRole::Client)][round % 2];
        let mut encoder = match ours {
            Role::Client => Encoder::client(MaskKeys::new(round as u64)),
            Role::Server => Encoder::server(),
        };
        let (mut wire, mut said) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            for (fin, opcode, payload) in fragments(&mut random, &mut said) {
                encoder.frame(fin, opcode, &payload, &mut wire);
            }
        }
        encoder.close(1000, "done", &mut wire);
        let mut peer = peer(theirs, wire);
        for said in said {
            let heard = match peer.read().unwrap() {
                Message::Text(text) => Said::Text(text.as_bytes().to_vec()),
                Message::Binary(bytes) => Said::Binary(bytes.to_vec()),
                Message::Ping(bytes) => Said::Ping(bytes.to_vec()),
                other => panic!("{other:?}"),
            };
            assert!(heard == said, "round {round}");
        }
        let Message::Close(Some(frame)) = peer.read().unwrap() else { panic!("no close") };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1000, "done"));
    }
}

#[test]
fn what_tungstenite_writes_we_read_however_it_is_cut() {
    let mut random = Random(2);
    for round in 0..60 {
        let (ours, theirs) = [(Role::Client, PeerRole::Server), (Role::Server, PeerRole::Client)][round % 2];
        let mut peer = peer(theirs, Vec::new());
        let mut said = Vec::new();
        for _ in 0..4 {
            for (fin, opcode, payload) in fragments(&mut random, &mut said) {
                let frame = match opcode {
                    Opcode::Ping => Frame::ping(payload),
                    Opcode::Text => Frame::message(payload, OpCode::Data(Data::Text), fin),
                    Opcode::Binary => Frame::message(payload, OpCode::Data(Data::Binary), fin),
                    _ => Frame::message(payload, OpCode::Data(Data::Continue), fin),
                };
                peer.send(Message::Frame(frame)).unwrap();
            }
        }
        let wire = std::mem::take(&mut peer.get_mut().output);
        let mut decoder = Decoder::new(ours, LIMITS);
        let (mut heard, mut waiting, mut at) = (Vec::new(), Vec::new(), 0);
        while at < wire.len() {
            let end = (at + 1 + random.below(20_000)).min(wire.len());
            waiting.extend_from_slice(&wire[at..end]);
            at = end;
            while let Some(decoded) = decoder.decode(&mut waiting).unwrap() {
                match decoded.event {
                    Event::Message { kind: MessageKind::Text, payload } => {
                        heard.push(Said::Text(payload.to_vec()))
                    }
                    Event::Message { kind: MessageKind::Binary, payload } => {
                        heard.push(Said::Binary(payload.to_vec()));
                    }
                    Event::Ping(payload) => heard.push(Said::Ping(payload.to_vec())),
                    Event::Fragment => {}
                    other => panic!("{other:?}"),
                }
                let consumed = decoded.consumed;
                waiting.drain(..consumed);
            }
        }
        assert!(heard == said && waiting.is_empty(), "round {round}");
    }
}

/// What a client makes of these bytes of a server: the close code that it answers with, if they break a rule.
fn ours(wire: &[u8]) -> Option<u16> {
    let mut decoder = Decoder::new(Role::Client, LIMITS);
    let mut waiting = wire.to_vec();
    loop {
        match decoder.decode(&mut waiting) {
            Ok(None) => return None,
            Ok(Some(decoded)) => {
                let (consumed, closed) = (decoded.consumed, matches!(decoded.event, Event::Close { .. }));
                if closed {
                    return None;
                }
                waiting.drain(..consumed);
            }
            Err(error) => return Some(error.close_code()),
        }
    }
}

/// Whether tungstenite takes them.
fn theirs(wire: &[u8]) -> bool {
    let mut peer = peer(PeerRole::Client, wire.to_vec());
    loop {
        match peer.read() {
            Ok(Message::Close(_)) => return true,
            Ok(_) => {}
            // The stream is at its end: everything before it was taken.
            Err(tungstenite::Error::Io(_) | tungstenite::Error::ConnectionClosed) => return true,
            Err(tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => return true,
            Err(_) => return false,
        }
    }
}

#[test]
fn each_corner_of_rfc_6455_earns_its_close_code() {
    let close = |code: u16| [&[0x88, 2][..], &code.to_be_bytes()].concat();
    let ping = |len: u8| [&[0x89, len][..], &vec![b'p'; len as usize]].concat();
    let text = |bytes: &[u8]| [&[0x81, bytes.len() as u8][..], bytes].concat();
    let mut cases: Vec<(&str, Vec<u8>, Option<u16>)> = vec![
        ("5.2 RSV1 without extension", vec![0xc1, 0], Some(1002)),
        ("5.2 RSV2", vec![0xa1, 0], Some(1002)),
        ("5.2 RSV3 on a control frame", vec![0x99, 0], Some(1002)),
        ("5.1 a masked frame from a server", vec![0x81, 0x81, 1, 2, 3, 4, 5], Some(1002)),
        ("5.5 a fragmented ping", vec![0x09, 0], Some(1002)),
        ("5.5 a fragmented close", vec![0x08, 0], Some(1002)),
        ("5.5 a ping of 125 bytes", ping(125), None),
        ("5.5 a ping of 126 bytes", [&[0x89, 126, 0, 126][..], &[0; 126]].concat(), Some(1002)),
        ("5.5.3 a pong that nobody asked for", vec![0x8a, 1, b'x'], None),
        ("5.4 a continuation of nothing", vec![0x80, 1, b'x'], Some(1002)),
        ("5.4 an unfinished continuation of nothing", vec![0x00, 1, b'x'], Some(1002)),
        ("5.4 text inside a fragmented text", vec![0x01, 1, b'a', 0x81, 1, b'b'], Some(1002)),
        ("5.4 fragments of nothing", vec![0x01, 0, 0x00, 0, 0x80, 0], None),
        ("5.4 a ping between fragments", vec![0x01, 1, b'a', 0x89, 0, 0x80, 1, b'b'], None),
        ("5.4 a close between fragments", [vec![0x01, 1, b'a'], close(1000)].concat(), None),
        ("5.5.1 a close without a body", vec![0x88, 0], None),
        ("5.5.1 a close of one byte", vec![0x88, 1, 3], Some(1002)),
        ("5.5.1 a reason that is not UTF-8", vec![0x88, 3, 3, 0xe8, 0xff], Some(1007)),
        ("8.1 text of two bytes", text("é".as_bytes()), None),
        ("8.1 a lone continuation byte", text(&[0x80]), Some(1007)),
        ("8.1 an overlong slash", text(&[0xc0, 0xaf]), Some(1007)),
        ("8.1 a surrogate", text(&[0xed, 0xa0, 0x80]), Some(1007)),
        ("8.1 beyond the last code point", text(&[0xf4, 0x90, 0x80, 0x80]), Some(1007)),
        ("8.1 the last code point", text(&[0xf4, 0x8f, 0xbf, 0xbf]), None),
        ("8.1 a character cut off by the end", text(&[0xe2, 0x82]), Some(1007)),
        ("8.1 a character across fragments", vec![0x01, 1, 0xe2, 0x00, 1, 0x82, 0x80, 1, 0xac], None),
        ("8.1 a character across a ping", vec![0x01, 1, 0xc3, 0x89, 0, 0x80, 1, 0xa9], None),
        ("8.1 never finished across fragments", vec![0x01, 1, 0xe2, 0x80, 1, 0x82], Some(1007)),
        ("8.1 binary may be anything", vec![0x82, 2, 0xff, 0xfe], None),
    ];
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push(("5.2 a reserved opcode", vec![0x80 | opcode, 0], Some(1002)));
    }
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(("7.4 a code that may be sent", close(code), None));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999] {
        cases.push(("7.4 a code that must not be sent", close(code), Some(1002)));
    }
    let flood: Vec<u8> = (0..10_000).flat_map(|_| ping(3)).chain(text(b"through")).collect();
    cases.push(("a flood of pings", flood, None));
    for (name, wire, code) in &cases {
        assert_eq!(ours(wire), *code, "{name}: {:02x?}", &wire[..wire.len().min(8)]);
        // A close code is the receiver's to judge: tungstenite maps what it does not know. All else is the RFC's.
        if !name.starts_with("7.4") {
            assert_eq!(
                theirs(wire),
                code.is_none(),
                "tungstenite, {name}: {:02x?}",
                &wire[..wire.len().min(8)]
            );
        }
    }

    // Rules that tungstenite does not enforce or whose bound is ours.
    for (name, wire, code) in [
        ("5.2 a length of 125 in 16 bits", [&[0x82, 126, 0, 125][..], &[0; 125]].concat(), 1002),
        ("5.2 a length of 65535 in 64 bits", vec![0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255], 1002),
        ("5.2 the top bit of a length", vec![0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], 1002),
        ("a message beyond the bound, when announced", vec![0x82, 127, 0, 0, 0, 0, 0, 3, 0x0d, 0x41], 1009),
    ] {
        assert_eq!(ours(&wire), Some(code), "{name}");
    }
}
