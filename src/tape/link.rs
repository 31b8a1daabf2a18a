//! A connection as an agent sees it: what arrives, what is handed to the kernel and what became of it.

use std::io;

use journal::{Item, Tape, Word};
use net::{AbortHandle, CloseReason, Link, LinkEvent, SendError};

use super::channel;

/// Room kept for a message that is being redacted or replayed; one that is longer makes it grow once.
const MESSAGE_ROOM: usize = 64 << 10;

/// A link whose traffic is recorded, or comes from a record.
pub struct TapedLink<L> {
    inner: L,
    tape: Tape,
    id: u8,
    unsent: Word,
    /// A message redacted, or one being replayed.
    bytes: Vec<u8>,
}

impl<L> TapedLink<L> {
    /// Link number `id`.
    pub fn new(inner: L, id: u32, tape: &Tape) -> TapedLink<L> {
        let room = if tape.is_off() { 0 } else { MESSAGE_ROOM };
        let id = id as u8;
        let unsent = Word::new(tape, channel::UNSENT | id);
        TapedLink { inner, tape: tape.clone(), id, unsent, bytes: Vec::with_capacity(room) }
    }

    /// What was heard then.
    fn replay(&mut self, budget: usize, sink: &mut dyn FnMut(LinkEvent<'_>)) -> usize {
        let id = self.id;
        for done in 0..budget {
            let bytes = &mut self.bytes;
            let heard = self.tape.script(|s| {
                s.take(|item| match *item {
                    Item::Up { link } if link == id => Some(Heard::Up),
                    Item::Down { link, .. } if link == id => Some(Heard::Down),
                    Item::Frame { link, ts_ns, bytes: frame } if link == id => {
                        bytes.clear();
                        bytes.extend_from_slice(frame);
                        Some(Heard::Frame(ts_ns))
                    }
                    _ => None,
                })
            });
            match heard.flatten() {
                None => return done,
                Some(Heard::Up) => sink(LinkEvent::Up),
                // The reason is counted and shown; nobody decides on it.
                Some(Heard::Down) => sink(LinkEvent::Down { reason: CloseReason::Reset }),
                Some(Heard::Frame(ts_visible_ns)) => {
                    let n = self.bytes.len();
                    self.bytes.resize(n + net::ws::PADDING, 0);
                    sink(LinkEvent::Message { payload: &mut self.bytes[..n], ts_visible_ns });
                }
            }
        }
        budget
    }

    /// What was offered then must be offered now; what became of it then becomes of it now.
    fn resend(&mut self, payload: &[u8], last_check: &mut dyn FnMut() -> bool) -> Result<(), SendError> {
        redact(payload, &mut self.bytes);
        let (id, bytes) = (self.id, &self.bytes);
        let said = || format!("message on link {id}: {}", String::from_utf8_lossy(bytes));
        let result = self.tape.script(|s| {
            s.demand(&said, |item| match item {
                Item::Sent { link, result, bytes: sent } if *link == id && sent == bytes => Some(*result),
                _ => None,
            })
        });
        match result.flatten() {
            Some(result) => {
                if asked_last(result) {
                    last_check();
                }
                outcome(result)
            }
            None => Err(SendError::Down),
        }
    }
}

enum Heard {
    Up,
    Down,
    Frame(u64),
}

impl<L: Link> Link for TapedLink<L> {
    #[inline]
    fn poll(&mut self, budget: usize, stamp: &dyn Fn() -> u64, sink: &mut dyn FnMut(LinkEvent<'_>)) -> usize {
        if self.tape.is_off() {
            return self.inner.poll(budget, stamp, sink);
        }
        if self.tape.is_replay() {
            return self.replay(budget, sink);
        }
        let (tape, link) = (&self.tape, self.id);
        self.inner.poll(budget, stamp, &mut |event| {
            match &event {
                LinkEvent::Up => tape.note(Item::Up { link }),
                LinkEvent::Down { reason } => tape.note(Item::Down { link, reason: reason.index() as u8 }),
                LinkEvent::Message { payload, ts_visible_ns } => {
                    tape.note(Item::Frame { link, ts_ns: *ts_visible_ns, bytes: payload });
                }
            }
            sink(event);
        })
    }

    fn send(&mut self, payload: &[u8], last_check: &mut dyn FnMut() -> bool) -> Result<(), SendError> {
        if self.tape.is_replay() {
            return self.resend(payload, last_check);
        }
        let result = self.inner.send(payload, last_check);
        if !self.tape.is_off() {
            // After the bytes have left.
            redact(payload, &mut self.bytes);
            self.tape.note(Item::Sent { link: self.id, result: code(&result), bytes: &self.bytes });
        }
        result
    }

    fn warm_up(&mut self, payload: &[u8]) -> Result<(), SendError> {
        // Nobody decides on what becomes of it, so it is not on the tape.
        if self.tape.is_replay() { Ok(()) } else { self.inner.warm_up(payload) }
    }

    fn unsent_bytes(&mut self) -> Result<usize, io::Error> {
        if self.tape.is_off() {
            return self.inner.unsent_bytes();
        }
        let live =
            if self.tape.is_replay() { 0 } else { self.inner.unsent_bytes().map_or(u64::MAX, |n| n as u64) };
        match self.unsent.see(live) {
            u64::MAX => Err(io::Error::other("the question for unsent bytes failed")),
            n => Ok(n as usize),
        }
    }

    fn abort(&mut self) {
        let abort = Item::Abort { link: self.id };
        if self.tape.is_replay() {
            let said = || format!("link {} aborted", self.id);
            self.tape.script(|s| s.demand(&said, |item| (*item == abort).then_some(())));
            return;
        }
        self.inner.abort();
        self.tape.note(abort);
    }

    fn is_up(&self) -> bool {
        self.inner.is_up()
    }

    fn abort_handle(&self) -> Option<AbortHandle> {
        self.inner.abort_handle()
    }
}

/// The result of a send as a byte: 0 = the kernel or the backlog has it.
fn code(result: &Result<(), SendError>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(SendError::Down) => 1,
        Err(SendError::Backlog { .. }) => 2,
        Err(SendError::Withheld) => 3,
        Err(SendError::Poisoned) => 4,
        Err(SendError::TooLong { .. }) => 5,
        Err(_) => 6,
    }
}

/// The same back. Details of an error are shown, not decided on.
fn outcome(code: u8) -> Result<(), SendError> {
    match code {
        0 => Ok(()),
        1 => Err(SendError::Down),
        2 => Err(SendError::Backlog { bytes: 0 }),
        3 => Err(SendError::Withheld),
        4 => Err(SendError::Poisoned),
        5 => Err(SendError::TooLong { length: 0, limit: 0 }),
        _ => Err(SendError::Io { errno: 0 }),
    }
}

/// Whether a send with this result got as far as its last check.
fn asked_last(code: u8) -> bool {
    matches!(code, 0 | 3 | 6)
}

/// Copies a message without the values of `apiKey` and `signature`: neither is needed to replay, and a journal is no
/// place for them.
pub fn redact(message: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let (mut from, mut at) = (0, 0);
    while let Some(value) = next_secret(message, at) {
        out.extend_from_slice(&message[from..value]);
        from = value + message[value..].iter().position(|b| *b == b'"').unwrap_or(message.len() - value);
        at = from;
    }
    out.extend_from_slice(&message[from..]);
}

/// Where the next value that is cut out begins, from `at` on. Looks at a block of bytes at a time for pairs that
/// stand in the keys and hardly anywhere else.
fn next_secret(message: &[u8], mut at: usize) -> Option<usize> {
    const BLOCK: usize = 32;
    // Each with how far in its pair stands.
    const KEYS: [(&[u8], usize); 2] = [(b"\"apiKey\":\"", 3), (b"\"signature\":\"", 2)];
    let pair = |a: u8, b: u8| (a == b'i') & ((b == b'K') | (b == b'g'));
    while let Some(rest) = message.get(at..).filter(|rest| !rest.is_empty()) {
        let block = rest.first_chunk::<{ BLOCK + 1 }>();
        if block.is_some_and(|b| !(0..BLOCK).fold(false, |any, i| any | pair(b[i], b[i + 1]))) {
            at += BLOCK;
            continue;
        }
        let end = rest.len().min(BLOCK);
        for i in (0..end).filter(|i| rest[*i] == b'i') {
            for (key, before) in KEYS {
                if let Some(begins) = (at + i).checked_sub(before)
                    && message[begins..].starts_with(key)
                {
                    return Some(begins + key.len());
                }
            }
        }
        at += end;
    }
    None
}

/// No connection: replay has the messages on its tape.
pub struct NoLink;

impl Link for NoLink {
    fn poll(&mut self, _: usize, _: &dyn Fn() -> u64, _: &mut dyn FnMut(LinkEvent<'_>)) -> usize {
        0
    }

    fn send(&mut self, _: &[u8], _: &mut dyn FnMut() -> bool) -> Result<(), SendError> {
        Err(SendError::Down)
    }

    fn unsent_bytes(&mut self) -> Result<usize, io::Error> {
        Ok(0)
    }

    fn abort(&mut self) {}

    fn is_up(&self) -> bool {
        false
    }

    fn abort_handle(&self) -> Option<AbortHandle> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_signatures_are_cut_out_wherever_they_stand() {
        let mut out = Vec::new();
        let message =
            br#"{"id":"7","params":{"apiKey":"abc","price":"1.5","signature":"00ff","symbol":"X"}}"#;
        redact(message, &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"id":"7","params":{"apiKey":"","price":"1.5","signature":"","symbol":"X"}}"#
        );
        for plain in [&b""[..], b"{}", b"no quotes", br#"{"apiKeys":"abc"}"#, b"\"", b"\"\"\""] {
            redact(plain, &mut out);
            assert_eq!(out, plain);
        }
        redact(b"{\"signature\":\"cut off", &mut out);
        assert_eq!(out, b"{\"signature\":\"");
    }

    /// The same, a byte at a time.
    fn naive(message: &[u8]) -> Vec<u8> {
        let (mut out, mut at) = (Vec::new(), 0);
        while at < message.len() {
            let key = [&b"\"apiKey\":\""[..], b"\"signature\":\""]
                .into_iter()
                .find(|k| message[at..].starts_with(k));
            out.push(message[at]);
            at += 1;
            if let Some(key) = key {
                out.extend_from_slice(&key[1..]);
                at += key.len() - 1;
                at += message[at..].iter().position(|b| *b == b'"').unwrap_or(message.len() - at);
            }
        }
        out
    }

    #[test]
    fn whatever_stands_around_a_key_and_wherever_in_a_block_it_is_found() {
        const PIECES: [&[u8]; 12] = [
            b"\"apiKey\":\"",
            b"\"signature\":\"",
            b"\"apiKey\"",
            b"\"sig",
            b"iK",
            b"ig",
            b"i",
            b"\"",
            b"\",",
            b"0123456789abcdef",
            b"{\"params\":{",
            b":",
        ];
        // A linear congruence is random enough to mix twelve pieces.
        let (mut state, mut out) = (1u64, Vec::new());
        for _ in 0..20_000 {
            let mut message = Vec::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                message.extend_from_slice(PIECES[(state >> 33) as usize % PIECES.len()]);
            }
            redact(&message, &mut out);
            let want = naive(&message);
            assert_eq!(out, want, "{}", String::from_utf8_lossy(&message));
        }
    }

    #[test]
    fn results_keep_their_meaning() {
        for c in 0..=6 {
            assert_eq!(code(&outcome(c)), c);
        }
    }
}
