//! Files and records, byte by byte. Everything is little-endian; records begin at multiples of eight.
//!
//! A file is a header of 128 bytes, then records without a gap, then zeroes (the file is allocated whole when it is
//! made, and cut to its end when it is closed in order).
//!
//! | header | bytes | holds |
//! |---|---|---|
//! | 0 | 8 | magic `CLJOURN1`, **written last** |
//! | 8 | 4 | version of this layout: 1 |
//! | 12 | 4 | number of this file in its session, from 0 |
//! | 16 | 8 | start of the session, ns since 1970 by the engine's clock; names the session |
//! | 24 | 8 | when this file was begun, same clock |
//! | 32 | 8 | build hash |
//! | 40 | 8 | configuration hash |
//! | 48 | 8 | sequence number of this file's first record; the session's first is 1 |
//! | 56 | 8 | bytes allocated |
//! | 64 | 48 | name of the instance, UTF-8, zero-padded |
//! | 112 | 4 | CRC-32C of bytes 8..112 |
//! | 116 | 12 | zero |
//!
//! | record | bytes | holds |
//! |---|---|---|
//! | 0 | 4 | length of the body, **written last** (release); 0 = nothing here yet |
//! | 4 | 4 | CRC-32C of bytes 8..24 and the body |
//! | 8 | 8 | sequence number, one more than the record's before, across files |
//! | 16 | 1 | [`Kind`] |
//! | 17 | 1 | stream (hot thread) of a cycle, else 0 |
//! | 18 | 6 | zero |
//! | 24 | – | body, then zeroes up to a multiple of eight |
//!
//! | kind | body |
//! |---|---|
//! | 1 `Config` | the configuration, text |
//! | 2 `Listing` | the venue's description of the instruments, as it came |
//! | 3 `Streams` | one byte an agent, in the engine's order: its stream |
//! | 4 `Cycle` | see [`crate::cycle`] |
//! | 5 `Note` | time u64, then text: a command, or a word about the engine |
//! | 6 `End` | reason u8 ([`EndReason`]), [`Fault`](crate::Fault) u8, 6 zero, cycles u64, bytes u64: the last record of a file that was closed in order |
//!
//! Every file repeats the session's `Config`, `Listing` and `Streams` first, so that each can be shown by itself.
//! Replay needs a session from its first file on: state is not stored.

/// First bytes of a file.
pub const MAGIC: [u8; 8] = *b"CLJOURN1";
/// Version that this crate writes and reads.
pub const VERSION: u32 = 1;
/// Bytes of the file header.
pub const HEADER_BYTES: usize = 128;
/// Bytes of a record before its body.
pub const RECORD_HEAD: usize = 24;
/// Longest body, bytes.
pub const BODY_MAX: usize = 64 << 20;
/// Longest instance name, bytes.
pub const NAME_MAX: usize = 48;
/// Ending of the files' names.
pub const SUFFIX: &str = "journal";
/// Bytes of the body of an `End` record.
pub const END_BYTES: usize = 24;
/// Room kept in every file for its `End` record.
pub const END_ROOM: usize = RECORD_HEAD + END_BYTES;

const CRC_FROM: usize = 8;
const CRC_AT: usize = 112;
const NAME_AT: usize = 64;

const _: () = {
    assert!(NAME_AT + NAME_MAX == CRC_AT);
    assert!(CRC_AT + 4 <= HEADER_BYTES && HEADER_BYTES.is_multiple_of(8));
    assert!(RECORD_HEAD.is_multiple_of(8) && END_BYTES.is_multiple_of(8));
};

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The configuration.
    Config = 1,
    /// The venue's description of the instruments.
    Listing = 2,
    /// Which agent writes on which stream.
    Streams = 3,
    /// A duty cycle.
    Cycle = 4,
    /// A command, or a word about the engine.
    Note = 5,
    /// The end of a file.
    End = 6,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 6] =
        [Kind::Config, Kind::Listing, Kind::Streams, Kind::Cycle, Kind::Note, Kind::End];

    /// The kind with this code.
    pub fn from_u8(code: u8) -> Option<Kind> {
        Self::ALL.into_iter().find(|k| *k as u8 == code)
    }

    /// Name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Config => "config",
            Kind::Listing => "listing",
            Kind::Streams => "streams",
            Kind::Cycle => "cycle",
            Kind::Note => "note",
            Kind::End => "end",
        }
    }
}

/// Why a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EndReason {
    /// It is full; the session goes on in the next.
    Rotated = 1,
    /// The engine stopped in order.
    Closed = 2,
    /// The journal could not go on: the fault beside it says why. What the engine did afterwards is not recorded.
    Faulted = 3,
}

impl EndReason {
    /// The reason with this code.
    pub fn from_u8(code: u8) -> Option<EndReason> {
        [EndReason::Rotated, EndReason::Closed, EndReason::Faulted].into_iter().find(|r| *r as u8 == code)
    }

    /// Name for people.
    pub const fn name(self) -> &'static str {
        match self {
            EndReason::Rotated => "rotated",
            EndReason::Closed => "closed",
            EndReason::Faulted => "faulted",
        }
    }
}

/// The header of a file, without its magic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileHeader {
    /// Number of the file in its session, from 0.
    pub number: u32,
    /// Start of the session, ns.
    pub started_ns: u64,
    /// When the file was begun, ns.
    pub begun_ns: u64,
    /// Build of the engine.
    pub build_hash: u64,
    /// Its configuration.
    pub config_hash: u64,
    /// Sequence number of the first record.
    pub first_seq: u64,
    /// Bytes allocated.
    pub capacity: u64,
    /// Name of the instance.
    pub instance: String,
}

impl FileHeader {
    /// The header as bytes, magic included. A name longer than [`NAME_MAX`] is cut at a character.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut b = [0u8; HEADER_BYTES];
        b[..8].copy_from_slice(&MAGIC);
        b[8..12].copy_from_slice(&VERSION.to_le_bytes());
        b[12..16].copy_from_slice(&self.number.to_le_bytes());
        let words = [
            self.started_ns,
            self.begun_ns,
            self.build_hash,
            self.config_hash,
            self.first_seq,
            self.capacity,
        ];
        for (i, word) in words.into_iter().enumerate() {
            b[16 + 8 * i..24 + 8 * i].copy_from_slice(&word.to_le_bytes());
        }
        let end = (0..=NAME_MAX.min(self.instance.len())).rev().find(|n| self.instance.is_char_boundary(*n));
        let name = &self.instance.as_bytes()[..end.unwrap_or(0)];
        b[NAME_AT..NAME_AT + name.len()].copy_from_slice(name);
        let crc = crc32c::crc32c(&b[CRC_FROM..CRC_AT]);
        b[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        b
    }

    /// Reads a header whose magic and version have been looked at. `None` = its checksum is wrong.
    pub(crate) fn decode(b: &[u8; HEADER_BYTES]) -> Option<FileHeader> {
        if crc32c::crc32c(&b[CRC_FROM..CRC_AT]) != u32_at(b, CRC_AT)? {
            return None;
        }
        let name = &b[NAME_AT..NAME_AT + NAME_MAX];
        let end = name.iter().position(|c| *c == 0).unwrap_or(NAME_MAX);
        Some(FileHeader {
            number: u32_at(b, 12)?,
            started_ns: u64_at(b, 16)?,
            begun_ns: u64_at(b, 24)?,
            build_hash: u64_at(b, 32)?,
            config_hash: u64_at(b, 40)?,
            first_seq: u64_at(b, 48)?,
            capacity: u64_at(b, 56)?,
            instance: String::from_utf8_lossy(&name[..end]).into_owned(),
        })
    }
}

/// The four bytes at `at`, if they are there.
pub(crate) fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(b.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The eight bytes at `at`, if they are there.
pub(crate) fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(b.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// Bytes of a whole record with a body of `body` bytes.
pub(crate) const fn record_bytes(body: usize) -> usize {
    RECORD_HEAD + body.next_multiple_of(8)
}

/// Bytes 8..24 of a record.
pub(crate) fn record_middle(seq: u64, kind: Kind, stream: u8) -> [u8; 16] {
    let mut b = [0u8; 16];
    b[..8].copy_from_slice(&seq.to_le_bytes());
    b[8] = kind as u8;
    b[9] = stream;
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_a_flipped_bit_does_not() {
        let header = FileHeader {
            number: 3,
            started_ns: 1,
            begun_ns: 2,
            build_hash: 4,
            config_hash: 5,
            first_seq: 6,
            capacity: 7,
            instance: "demo-ä".into(),
        };
        let bytes = header.encode();
        assert_eq!(FileHeader::decode(&bytes), Some(header));
        for bit in 8 * CRC_FROM..8 * (CRC_AT + 4) {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FileHeader::decode(&bad), None, "bit {bit}");
        }
    }

    #[test]
    fn a_long_name_is_cut_at_a_character() {
        let header = FileHeader { instance: "ä".repeat(40), ..FileHeader::default() };
        let back = FileHeader::decode(&header.encode()).expect("whole");
        assert_eq!(back.instance, "ä".repeat(24));
    }

    #[test]
    fn codes_and_names_are_each_their_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_u8(kind as u8), Some(kind));
            assert_eq!(Kind::ALL.iter().filter(|k| k.name() == kind.name()).count(), 1);
        }
        assert_eq!((Kind::from_u8(0), Kind::from_u8(7), EndReason::from_u8(0)), (None, None, None));
    }
}
