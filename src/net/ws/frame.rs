//! One frame header (RFC 6455 5.2) and the mask.
//!
//! ```text
//! byte 0: FIN RSV1 RSV2 RSV3 opcode(4)     byte 1: MASK length(7)
//! length 126: two more bytes    length 127: eight more bytes    MASK: four more bytes
//! ```

use super::WsError;

/// Longest header: two bytes, eight of length, four of mask.
pub const HEADER_BYTES_MAX: usize = 14;

/// Which end we are. A client masks what it sends and refuses masked frames; a server the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We opened the connection.
    Client,
    /// We accepted it.
    Server,
}

/// The six opcodes RFC 6455 defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A further part of a fragmented message.
    Continuation,
    /// A text message or its first part.
    Text,
    /// A binary message or its first part.
    Binary,
    /// Closing handshake.
    Close,
    /// Asks for a pong with the same payload.
    Ping,
    /// Answers a ping, or comes unasked.
    Pong,
}

impl Opcode {
    /// The four bits on the wire.
    #[must_use]
    pub fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    /// Whether this is close, ping or pong.
    #[must_use]
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn from_bits(bits: u8) -> Result<Self, WsError> {
        Ok(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            opcode => return Err(WsError::ReservedOpcode { opcode }),
        })
    }
}

/// A header that passed every rule that needs no state beyond the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Last frame of its message.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The mask key when the frame is masked.
    pub mask: Option<[u8; 4]>,
    /// Bytes of header before the payload, 2..=14.
    pub header_len: usize,
    /// Bytes of payload.
    pub payload_len: u64,
}

impl FrameHeader {
    /// Reads the header at the front of `input` as `role` must see it. `None` asks for more bytes. Rules that the
    /// first two bytes decide are applied as soon as two bytes are there. Costs about 4 ns.
    ///
    /// # Errors
    /// [`WsError`] naming the broken rule.
    #[inline]
    pub fn parse(input: &[u8], role: Role) -> Result<Option<Self>, WsError> {
        let [first, second, rest @ ..] = input else { return Ok(None) };
        let (first, second) = (*first, *second);
        let bits = (first >> 4) & 0b111;
        if bits != 0 {
            return Err(WsError::ReservedBits { bits });
        }
        let opcode = Opcode::from_bits(first & 0x0f)?;
        let fin = first & 0x80 != 0;
        let masked = second & 0x80 != 0;
        match role {
            Role::Client if masked => return Err(WsError::Masked),
            Role::Server if !masked => return Err(WsError::Unmasked),
            _ => {}
        }
        let length_code = second & 0x7f;
        if opcode.is_control() {
            if !fin {
                return Err(WsError::FragmentedControl { opcode: opcode.bits() });
            }
            if length_code > 125 {
                return Err(WsError::ControlTooLong { length_code });
            }
        }
        let (payload_len, rest, length_bytes) = match length_code {
            126 => {
                let Some((bytes, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
                let length = u64::from(u16::from_be_bytes(*bytes));
                if length < 126 {
                    return Err(WsError::LengthNotMinimal { length });
                }
                (length, rest, 2)
            }
            127 => {
                let Some((bytes, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
                let length = u64::from_be_bytes(*bytes);
                if length >> 63 != 0 {
                    return Err(WsError::LengthTopBit { length });
                }
                if length <= u64::from(u16::MAX) {
                    return Err(WsError::LengthNotMinimal { length });
                }
                (length, rest, 8)
            }
            short => (u64::from(short), rest, 0),
        };
        let mask = if masked {
            let Some(key) = rest.first_chunk::<4>() else { return Ok(None) };
            Some(*key)
        } else {
            None
        };
        let header_len = 2 + length_bytes + if masked { 4 } else { 0 };
        Ok(Some(Self { fin, opcode, mask, header_len, payload_len }))
    }

    /// Appends this header; `header_len` is not read, the shortest form is written.
    pub fn write(&self, out: &mut Vec<u8>) {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        out.push(if self.fin { 0x80 } else { 0 } | self.opcode.bits());
        if self.payload_len < 126 {
            out.push(masked | self.payload_len as u8);
        } else if let Ok(length) = u16::try_from(self.payload_len) {
            out.push(masked | 126);
            out.extend_from_slice(&length.to_be_bytes());
        } else {
            out.push(masked | 127);
            out.extend_from_slice(&self.payload_len.to_be_bytes());
        }
        if let Some(key) = self.mask {
            out.extend_from_slice(&key);
        }
    }
}

/// Masks or unmasks in place (RFC 6455 5.3), the key's first byte falling on the slice's first.
#[inline]
pub fn apply_mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mask_matches_the_naive_twin() {
        for len in 0..67 {
            let key = [0x37, 0xfa, 0x21, 0x3d];
            let mut fast: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let naive: Vec<u8> = fast.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            apply_mask(&mut fast, key);
            assert_eq!(fast, naive, "{len}");
        }
    }

    #[test]
    fn headers_round_trip_at_every_length_border() {
        for payload_len in [0, 1, 125, 126, 127, 65535, 65536, 1 << 40] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let role = if mask.is_some() { Role::Server } else { Role::Client };
                let header =
                    FrameHeader { fin: true, opcode: Opcode::Text, mask, header_len: 0, payload_len };
                let mut out = Vec::new();
                header.write(&mut out);
                for cut in 0..out.len() {
                    assert_eq!(FrameHeader::parse(&out[..cut], role), Ok(None));
                }
                let parsed = FrameHeader::parse(&out, role).unwrap().unwrap();
                assert_eq!(parsed, FrameHeader { header_len: out.len(), ..header });
            }
        }
    }

    #[test]
    fn each_rule_has_its_error() {
        let client = |bytes: &[u8]| FrameHeader::parse(bytes, Role::Client).unwrap_err();
        assert_eq!(client(&[0xc1, 0]), WsError::ReservedBits { bits: 0b100 });
        assert_eq!(client(&[0xa1, 0]), WsError::ReservedBits { bits: 0b010 });
        assert_eq!(client(&[0x91, 0]), WsError::ReservedBits { bits: 0b001 });
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            assert_eq!(client(&[0x80 | opcode, 0]), WsError::ReservedOpcode { opcode });
        }
        for opcode in [8, 9, 10] {
            assert_eq!(client(&[opcode, 0]), WsError::FragmentedControl { opcode });
            assert_eq!(client(&[0x80 | opcode, 126]), WsError::ControlTooLong { length_code: 126 });
            assert_eq!(client(&[0x80 | opcode, 127]), WsError::ControlTooLong { length_code: 127 });
        }
        assert_eq!(client(&[0x81, 0x85]), WsError::Masked);
        assert_eq!(FrameHeader::parse(&[0x81, 5], Role::Server), Err(WsError::Unmasked));
        assert_eq!(client(&[0x81, 126, 0, 125]), WsError::LengthNotMinimal { length: 125 });
        assert_eq!(
            client(&[0x81, 127, 0, 0, 0, 0, 0, 0, 255, 255]),
            WsError::LengthNotMinimal { length: 65535 }
        );
        assert_eq!(
            client(&[0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            WsError::LengthTopBit { length: 1 << 63 }
        );
    }
}
