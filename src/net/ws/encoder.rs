//! Writing frames: header, mask, payload, appended to the caller's buffer.

use super::frame::{FrameHeader, Opcode, Role, apply_mask};

/// Mask keys from a seeded xorshift64* generator. The mask keeps intermediaries from reading application bytes as
/// protocol; between two programs that both speak for themselves it hides nothing, so the seed only has to differ
/// between connections.
#[derive(Clone, Debug)]
pub struct MaskKeys {
    state: u64,
}

impl MaskKeys {
    /// A generator from any seed; zero is replaced by a fixed odd constant.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: if seed == 0 { 0x9e37_79b9_7f4a_7c15 } else { seed } }
    }

    /// The next key.
    pub fn next_key(&mut self) -> [u8; 4] {
        ((self.next_word() >> 32) as u32).to_ne_bytes()
    }

    pub(crate) fn next_word(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Appends frames to an output buffer. Never allocates when the buffer has room for payload + 14 bytes.
#[derive(Clone, Debug)]
pub struct Encoder {
    keys: Option<MaskKeys>,
}

impl Encoder {
    /// A client's encoder: every frame is masked with a fresh key.
    #[must_use]
    pub fn client(keys: MaskKeys) -> Self {
        Self { keys: Some(keys) }
    }

    /// A server's encoder: nothing is masked.
    #[must_use]
    pub fn server() -> Self {
        Self { keys: None }
    }

    /// Which end this encodes for.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.keys.is_some() { Role::Client } else { Role::Server }
    }

    /// One whole text message. The bytes are not checked to be UTF-8.
    pub fn text(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.frame(true, Opcode::Text, payload, out);
    }

    /// A ping; payloads past 125 bytes are cut to 125.
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.frame(true, Opcode::Ping, &payload[..payload.len().min(125)], out);
    }

    /// A pong; payloads past 125 bytes are cut to 125.
    pub fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.frame(true, Opcode::Pong, &payload[..payload.len().min(125)], out);
    }

    /// A close frame with `code` and `reason`, the reason cut to 123 bytes at a character border.
    pub fn close(&mut self, code: u16, reason: &str, out: &mut Vec<u8>) {
        let mut body = [0u8; 125];
        let [high, low] = code.to_be_bytes();
        (body[0], body[1]) = (high, low);
        let fits = |cut: &usize| reason.is_char_boundary(*cut);
        let cut = (0..=reason.len().min(123)).rev().find(fits).unwrap_or(0);
        let reason = &reason.as_bytes()[..cut];
        body[2..2 + reason.len()].copy_from_slice(reason);
        self.frame(true, Opcode::Close, &body[..2 + reason.len()], out);
    }

    /// Any frame, for peers that fragment.
    #[inline]
    pub fn frame(&mut self, fin: bool, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        let mask = self.keys.as_mut().map(MaskKeys::next_key);
        FrameHeader { fin, opcode, mask, header_len: 0, payload_len: payload.len() as u64 }.write(out);
        let at = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = mask {
            apply_mask(&mut out[at..], key);
        }
    }
}
