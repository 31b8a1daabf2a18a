//! What must hold of the WebSocket decoder for any bytes, cut anywhere. Run by the fuzzer and, over the committed
//! corpus, by the default tests.
//!
//! Byte 0 chooses role and UTF-8 check, byte 1 the seed of the cuts; the rest is the wire. Rules:
//!
//! - the answer does not depend on how the bytes were cut;
//! - it is the answer of a naive reading of RFC 6455 that shares no code with the decoder;
//! - a delivered message, written by our encoder, is read back as the same message.

use corelane_net::ws::{
    Decoder, Encoder, Event, Limits, MaskKeys, MessageKind, Opcode, Role, check_close_code,
};

const LIMIT: usize = 300;

/// What came out, in a form that both readings share.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Message {
        text: bool,
        bytes: Vec<u8>,
    },
    Fragment,
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
    /// The connection fails with this close code.
    Fails(u16),
}

/// Checks every rule.
pub(crate) fn run(data: &[u8]) {
    let [choice, seed, wire @ ..] = data else { return };
    let role = if choice & 1 == 0 { Role::Client } else { Role::Server };
    let utf8 = choice & 2 != 0;
    let whole = decode(role, utf8, wire, 0);
    assert_eq!(whole, decode(role, utf8, wire, u64::from(*seed) + 1), "the cuts changed the answer");
    assert_eq!(whole, naive(role, utf8, wire), "not what RFC 6455 says");
    for said in &whole {
        if let Said::Message { text, bytes } = said {
            let mut out = Vec::new();
            let mut encoder = match role {
                Role::Client => Encoder::server(),
                Role::Server => Encoder::client(MaskKeys::new(u64::from(*seed))),
            };
            encoder.frame(true, if *text { Opcode::Text } else { Opcode::Binary }, bytes, &mut out);
            assert_eq!(decode(role, utf8, &out, 0), std::slice::from_ref(said), "not read back as written");
        }
    }
}

/// Our decoder, fed in pieces drawn from `seed`; whole when it is zero.
fn decode(role: Role, check_utf8: bool, wire: &[u8], seed: u64) -> Vec<Said> {
    let mut decoder = Decoder::new(role, Limits { message_bytes_max: LIMIT, check_utf8 });
    let mut state = seed;
    let (mut said, mut waiting, mut at) = (Vec::new(), Vec::new(), 0);
    while at < wire.len() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let step = if seed == 0 { wire.len() } else { 1 + (state >> 33) as usize % 9 };
        let end = (at + step).min(wire.len());
        waiting.extend_from_slice(&wire[at..end]);
        at = end;
        loop {
            let (consumed, what) = match decoder.decode(&mut waiting) {
                Ok(None) => break,
                Ok(Some(decoded)) => (
                    decoded.consumed,
                    match decoded.event {
                        Event::Message { kind, payload } => {
                            Said::Message { text: kind == MessageKind::Text, bytes: payload.to_vec() }
                        }
                        Event::Fragment => Said::Fragment,
                        Event::Ping(payload) => Said::Ping(payload.to_vec()),
                        Event::Pong(payload) => Said::Pong(payload.to_vec()),
                        Event::Close { code, reason } => Said::Close(code, reason.to_owned()),
                    },
                ),
                Err(error) => {
                    check_close_code(error.close_code()).expect("a code that may be sent");
                    said.push(Said::Fails(error.close_code()));
                    return said;
                }
            };
            assert!(consumed <= waiting.len());
            waiting.drain(..consumed);
            let closed = matches!(what, Said::Close(..));
            said.push(what);
            if closed {
                return said;
            }
        }
        assert!(waiting.len() <= decoder.frame_bytes_max() + wire.len(), "more kept than a frame can need");
    }
    said
}

/// RFC 6455 section 5, read slowly. A frame's header is judged as soon as it is there, its payload when it is whole.
fn naive(role: Role, check_utf8: bool, mut wire: &[u8]) -> Vec<Said> {
    let mut said = Vec::new();
    let mut begun: Option<(bool, Vec<u8>)> = None;
    loop {
        let [first, second, rest @ ..] = wire else { return said };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        let masked = second & 0x80 != 0;
        let control = opcode >= 8;
        let broken = first & 0x70 != 0
            || !matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10)
            || masked != (role == Role::Server)
            || control && (!fin || second & 0x7f > 125);
        if broken {
            said.push(Said::Fails(1002));
            return said;
        }
        let (length, rest) = match second & 0x7f {
            126 => {
                let Some((length, rest)) = rest.split_first_chunk::<2>() else { return said };
                let length = u64::from(u16::from_be_bytes(*length));
                if length < 126 {
                    said.push(Said::Fails(1002));
                    return said;
                }
                (length, rest)
            }
            127 => {
                let Some((length, rest)) = rest.split_first_chunk::<8>() else { return said };
                let length = u64::from_be_bytes(*length);
                if length <= 65_535 || length >> 63 != 0 {
                    said.push(Said::Fails(1002));
                    return said;
                }
                (length, rest)
            }
            short => (u64::from(short), rest),
        };
        let (key, rest) = if masked {
            let Some((key, rest)) = rest.split_first_chunk::<4>() else { return said };
            (*key, rest)
        } else {
            ([0; 4], rest)
        };
        if !control {
            if (opcode == 0) != begun.is_some() {
                said.push(Said::Fails(1002));
                return said;
            }
            let before = begun.as_ref().map_or(0, |(_, bytes)| bytes.len() as u64);
            if before.saturating_add(length) > LIMIT as u64 {
                said.push(Said::Fails(1009));
                return said;
            }
        }
        if (rest.len() as u64) < length {
            return said;
        }
        let (payload, rest) = rest.split_at(length as usize);
        let payload: Vec<u8> = payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
        wire = rest;
        match opcode {
            8 => {
                said.push(match payload.as_slice() {
                    [] => Said::Close(1005, String::new()),
                    [_] => Said::Fails(1002),
                    [high, low, reason @ ..] => {
                        let code = u16::from(*high) << 8 | u16::from(*low);
                        // RFC 6455 7.4 and the register: what may be sent.
                        let legal = matches!(code, 1000..=1003 | 1007..=1014) || (3000..5000).contains(&code);
                        match String::from_utf8(reason.to_vec()) {
                            _ if !legal => Said::Fails(1002),
                            Ok(reason) => Said::Close(code, reason),
                            Err(_) => Said::Fails(1007),
                        }
                    }
                });
                return said;
            }
            9 => said.push(Said::Ping(payload)),
            10 => said.push(Said::Pong(payload)),
            _ => {
                let (text, mut bytes) = begun.take().unwrap_or((opcode == 1, Vec::new()));
                bytes.extend_from_slice(&payload);
                if !fin {
                    begun = Some((text, bytes));
                    said.push(Said::Fragment);
                } else if check_utf8 && text && std::str::from_utf8(&bytes).is_err() {
                    said.push(Said::Fails(1007));
                    return said;
                } else {
                    said.push(Said::Message { text, bytes });
                }
            }
        }
    }
}
