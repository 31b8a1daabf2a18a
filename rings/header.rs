//! The header every segment begins with.
//!
//! ```text
//! offset  size  what
//!      0     8  magic, written last with release: a segment without it is not ready
//!      8     4  layout version of the body      12     4  type id of the body
//!     16     8  body length, bytes (a multiple of 8)
//!     24     8  creation time, ns since 1970 UTC
//!     32     4  creator's process id            36     4  creator's effective user id
//!     40     8  epoch: 1, or one more than the named file this one replaced
//!     48     8  build hash                      56     8  configuration hash
//!     64   192  zero
//!    256     -  body
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::atomic::Ordering;
use crate::error::SegmentError;
use crate::words::{Words, WordsMut};

/// First word of every segment: the header above in its version 1.
pub const MAGIC: u64 = u64::from_le_bytes(*b"corelan1");

/// Bytes before the body.
pub const HEADER_BYTES: usize = 256;

/// Words before the body.
pub(crate) const HEADER_WORDS: usize = HEADER_BYTES / 8;

const W_MAGIC: usize = 0;
const W_KIND: usize = 1;
const W_LEN: usize = 2;
const W_CREATED: usize = 3;
const W_OWNER: usize = 4;
const W_EPOCH: usize = 5;
const W_BUILD: usize = 6;
const W_CONFIG: usize = 7;
const _: () = assert!(HEADER_BYTES.is_multiple_of(128) && W_CONFIG < HEADER_WORDS);

/// What a segment is, as its creator declares and who attaches expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Ident {
    /// Type of the body.
    pub type_id: u32,
    /// Version of the body's layout.
    pub layout_version: u32,
    /// Hash of the build; expected as 0 by those who read any build's.
    pub build_hash: u64,
    /// Hash of the configuration; expected as 0 by those who read any configuration's.
    pub config_hash: u64,
}

/// The header as found (or written) at attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Type, layout version and hashes.
    pub ident: Ident,
    /// Length of the body, bytes, a multiple of 8.
    pub payload_len: u64,
    /// Creation time, nanoseconds since 1970 UTC.
    pub created_ns: u64,
    /// The creator's process id.
    pub pid: u32,
    /// The creator's effective user id.
    pub uid: u32,
    /// 1, or one more than the epoch of the named file this one replaced.
    pub epoch: u64,
}

impl Header {
    /// Writes the header at the start of `words`, the magic last.
    pub(crate) fn write(&self, words: &WordsMut) {
        let put = |i, v| words.store(i, v, Ordering::Relaxed);
        put(W_KIND, pair(self.ident.layout_version, self.ident.type_id));
        put(W_LEN, self.payload_len);
        put(W_CREATED, self.created_ns);
        put(W_OWNER, pair(self.pid, self.uid));
        put(W_EPOCH, self.epoch);
        put(W_BUILD, self.ident.build_hash);
        put(W_CONFIG, self.ident.config_hash);
        // Partner: the acquire load of the magic in `read`.
        words.store(W_MAGIC, MAGIC, Ordering::Release);
    }

    /// Reads and checks the header at the start of `words`, a whole mapping of a file of `size` bytes, which is the
    /// length the header implies rounded up to `granule`.
    ///
    /// # Errors
    /// `NotReady`, `WrongMagic`, `WrongType`, `WrongLayout`, `WrongBuild`, `WrongConfig`, `Truncated`, `WrongSize`.
    pub(crate) fn read(
        words: &Words,
        size: u64,
        granule: u64,
        expect: &Ident,
    ) -> Result<Header, SegmentError> {
        // Partner: the release store of the magic in `write`.
        match words.load(W_MAGIC, Ordering::Acquire) {
            MAGIC => {}
            0 => return Err(SegmentError::NotReady),
            found => return Err(SegmentError::WrongMagic { found, expected: MAGIC }),
        }
        let get = |i| words.load(i, Ordering::Relaxed);
        let ((layout_version, type_id), (pid, uid)) = (unpair(get(W_KIND)), unpair(get(W_OWNER)));
        let ident = Ident { type_id, layout_version, build_hash: get(W_BUILD), config_hash: get(W_CONFIG) };
        ident.check(expect)?;
        let header = Header {
            ident,
            payload_len: get(W_LEN),
            created_ns: get(W_CREATED),
            pid,
            uid,
            epoch: get(W_EPOCH),
        };
        let implied = header.payload_len.saturating_add(HEADER_BYTES as u64);
        if size < implied {
            return Err(SegmentError::Truncated { found: size, expected: implied });
        }
        if implied.checked_next_multiple_of(granule) != Some(size) || !implied.is_multiple_of(8) {
            return Err(SegmentError::WrongSize { found: size, expected: implied });
        }
        Ok(header)
    }
}

impl Ident {
    /// Type and layout always, each hash unless expected as 0.
    fn check(&self, expect: &Ident) -> Result<(), SegmentError> {
        if self.type_id != expect.type_id {
            return Err(SegmentError::WrongType { found: self.type_id, expected: expect.type_id });
        }
        if self.layout_version != expect.layout_version {
            return Err(SegmentError::WrongLayout {
                found: self.layout_version,
                expected: expect.layout_version,
            });
        }
        if expect.build_hash != 0 && self.build_hash != expect.build_hash {
            return Err(SegmentError::WrongBuild { found: self.build_hash, expected: expect.build_hash });
        }
        if expect.config_hash != 0 && self.config_hash != expect.config_hash {
            return Err(SegmentError::WrongConfig { found: self.config_hash, expected: expect.config_hash });
        }
        Ok(())
    }
}

/// The epoch in the header of `file`, 0 when it has none.
pub(crate) fn epoch_of(file: &File) -> u64 {
    match (read_word(file, W_MAGIC), read_word(file, W_EPOCH)) {
        (Some(MAGIC), Some(epoch)) => epoch,
        _ => 0,
    }
}

/// The creator's process id in the header of `file`, 0 when it has none.
pub(crate) fn pid_of(file: &File) -> u32 {
    read_word(file, W_OWNER).map_or(0, |w| unpair(w).0)
}

fn read_word(file: &File, word: usize) -> Option<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, word as u64 * 8).ok()?;
    Some(u64::from_le_bytes(bytes))
}

fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

fn unpair(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}
