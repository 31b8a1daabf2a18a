//! The reading side: one file in memory, record by record, trusting nothing.

use std::io;
use std::path::{Path, PathBuf};

use crate::fault::Fault;
use crate::layout::{
    BODY_MAX, END_BYTES, EndReason, FileHeader, HEADER_BYTES, Kind, MAGIC, RECORD_HEAD, VERSION,
    record_bytes, u32_at, u64_at,
};

/// Why a file is no journal that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// No byte in it.
    #[error("the file is empty")]
    Empty,
    /// Fewer bytes than a header.
    #[error("the file has {bytes} bytes; a header alone has {HEADER_BYTES}")]
    Short {
        /// Its length.
        bytes: usize,
    },
    /// Its maker died between allocating it and writing its magic: it holds nothing.
    #[error("the file was allocated but never begun: its maker died first, nothing is in it")]
    Unbegun,
    /// Something else.
    #[error("not a journal: it begins with {found:02x?}, a journal with {MAGIC:02x?}")]
    Foreign {
        /// Its first bytes.
        found: [u8; 8],
    },
    /// Another version.
    #[error("journal of layout version {found}; this program reads version {VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// The header's checksum or filling is wrong.
    #[error("the header is damaged: its checksum or filling is wrong")]
    Header,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it begins in its file.
    pub offset: usize,
    /// Its sequence number.
    pub seq: u64,
    /// What it holds.
    pub kind: Kind,
    /// Stream of a cycle.
    pub stream: u8,
    /// Its body.
    pub body: &'a [u8],
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The record would reach past the end of the file.
    #[error("a body of {length} bytes does not fit into the {left} bytes that are left")]
    Length {
        /// The length it claims.
        length: usize,
        /// Bytes behind its head.
        left: usize,
    },
    /// Its bytes are not those that were written.
    #[error("checksum {found:08x}, computed {computed:08x}")]
    Checksum {
        /// As stored.
        found: u32,
        /// As computed.
        computed: u32,
    },
    /// A kind that this version does not know.
    #[error("kind {code} is none of 1..=6")]
    Kind {
        /// Its code.
        code: u8,
    },
    /// Records are missing or repeated.
    #[error("sequence number {found}, expected {expected}")]
    Sequence {
        /// Its number.
        found: u64,
        /// What must come next.
        expected: u64,
    },
    /// Bytes that must be zero are not.
    #[error("the filling behind the record is not zero")]
    Filling,
    /// A length of zero, yet whole records follow.
    #[error("no length here, yet the record with sequence number {seq} follows at offset {at}")]
    Hole {
        /// Number of the record that follows.
        seq: u64,
        /// Where it begins.
        at: usize,
    },
    /// The file is shorter than it was made and was never closed.
    #[error("the file ends here: {bytes} of its {capacity} bytes are left, and it was never closed")]
    Cut {
        /// Its length.
        bytes: usize,
        /// Its length when it was made.
        capacity: u64,
    },
    /// Something behind the record that ends the file.
    #[error("bytes that are not zero behind the end of the journal")]
    Behind,
    /// The last record is malformed.
    #[error("the body of the end record is malformed")]
    End,
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// In order, with its reason.
    Closed {
        /// Why.
        reason: EndReason,
        /// The fault, for [`EndReason::Faulted`].
        fault: Option<Fault>,
    },
    /// Between two records: its writer lives, or died there.
    Open {
        /// Where the next record would begin.
        at: usize,
    },
    /// In the middle of a record whose length was not written yet: its writer died there. The record does not count.
    Torn {
        /// Where that record begins.
        at: usize,
    },
    /// At damage. Nothing behind it is believed.
    Damaged {
        /// Where the damaged record begins.
        at: usize,
        /// What is wrong with it.
        damage: Damage,
    },
}

/// A journal file in memory.
#[derive(Debug)]
pub struct File {
    /// Its header.
    pub header: FileHeader,
    bytes: Vec<u8>,
}

impl File {
    /// Reads a file whole.
    ///
    /// # Errors
    /// [`OpenError`], a variant for each way.
    pub fn open(path: &Path) -> Result<File, OpenError> {
        let bytes = std::fs::read(path).map_err(|error| OpenError::Io { path: path.to_owned(), error })?;
        File::from_bytes(bytes)
    }

    /// The same from bytes.
    ///
    /// # Errors
    /// [`OpenError`], a variant for each way.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<File, OpenError> {
        let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(match bytes.len() {
                0 => OpenError::Empty,
                bytes => OpenError::Short { bytes },
            });
        };
        let mut found = [0u8; 8];
        found.copy_from_slice(&head[..8]);
        if found == [0; 8] {
            return Err(OpenError::Unbegun);
        }
        if found != MAGIC {
            return Err(OpenError::Foreign { found });
        }
        // The version goes before the checksum: another version may have another header.
        match u32_at(head, 8) {
            Some(VERSION) => {}
            found => return Err(OpenError::Version { found: found.unwrap_or(0) }),
        }
        if head[116..].iter().any(|b| *b != 0) {
            return Err(OpenError::Header);
        }
        let header = FileHeader::decode(head).ok_or(OpenError::Header)?;
        Ok(File { header, bytes })
    }

    /// Its length.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: a file has a header.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Its records from the first on.
    pub fn scan(&self) -> Scan<'_> {
        Scan {
            bytes: &self.bytes,
            capacity: self.header.capacity,
            at: HEADER_BYTES,
            next_seq: self.header.first_seq,
            tail: None,
        }
    }
}

/// Walks the records of a file. When it has ended, [`Scan::tail`] says how.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    capacity: u64,
    at: usize,
    next_seq: u64,
    tail: Option<Tail>,
}

impl<'a> Scan<'a> {
    /// How the file ends; `None` while records may follow.
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// Sequence number that comes next.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    fn damaged(&mut self, damage: Damage) {
        self.tail = Some(Tail::Damaged { at: self.at, damage });
    }

    /// Reads the record at `at`, whatever its number.
    fn record_at(&self, at: usize) -> Result<Record<'a>, Damage> {
        let left = self.bytes.len().saturating_sub(at + RECORD_HEAD);
        let length = u32_at(self.bytes, at).unwrap_or(0) as usize;
        if length > BODY_MAX || length.next_multiple_of(8) > left {
            return Err(Damage::Length { length, left });
        }
        let middle = &self.bytes[at + 8..at + RECORD_HEAD];
        let body = &self.bytes[at + RECORD_HEAD..at + RECORD_HEAD + length];
        let computed = crc32c::crc32c_append(crc32c::crc32c(middle), body);
        let found = u32_at(self.bytes, at + 4).unwrap_or(0);
        if found != computed {
            return Err(Damage::Checksum { found, computed });
        }
        let kind = Kind::from_u8(middle[8]).ok_or(Damage::Kind { code: middle[8] })?;
        let filling = &self.bytes[at + RECORD_HEAD + length..at + record_bytes(length)];
        if filling.iter().chain(&middle[10..]).any(|b| *b != 0) {
            return Err(Damage::Filling);
        }
        let seq = u64_at(middle, 0).unwrap_or(0);
        Ok(Record { offset: at, seq, kind, stream: middle[9], body })
    }

    /// Whether a later record may begin at `at`, by its head alone: keeps the search of a large file short.
    fn may_follow(&self, at: usize) -> bool {
        let seq = u64_at(self.bytes, at + 8).unwrap_or(0);
        u32_at(self.bytes, at).is_some_and(|length| length != 0)
            && self.bytes.get(at + 16).is_some_and(|code| Kind::from_u8(*code).is_some())
            && seq.checked_sub(self.next_seq).is_some_and(|ahead| ahead <= self.bytes.len() as u64)
    }

    /// The length at the present place is zero: the end, a torn record, or damage.
    #[cold]
    fn stop(&mut self) {
        let at = self.at;
        let rest = &self.bytes[at.min(self.bytes.len())..];
        let capacity = self.capacity;
        if rest.iter().all(|b| *b == 0) && self.bytes.len() as u64 >= capacity {
            self.tail = Some(Tail::Open { at });
            return;
        }
        // Whole records further on mean that this one's length was lost, not unwritten.
        let last = self.bytes.len().saturating_sub(RECORD_HEAD);
        for look in (at + 8..=last).step_by(8) {
            if self.may_follow(look)
                && let Ok(found) = self.record_at(look)
            {
                return self.damaged(Damage::Hole { seq: found.seq, at: look });
            }
        }
        if (self.bytes.len() as u64) < capacity {
            return self.damaged(Damage::Cut { bytes: self.bytes.len(), capacity });
        }
        self.tail = Some(Tail::Torn { at });
    }

    fn end(&mut self, record: &Record<'a>) {
        let after = record.offset + record_bytes(record.body.len());
        let reason = record.body.first().and_then(|code| EndReason::from_u8(*code));
        let (Some(reason), END_BYTES) = (reason, record.body.len()) else {
            return self.damaged(Damage::End);
        };
        if self.bytes[after..].iter().any(|b| *b != 0) {
            self.at = after;
            return self.damaged(Damage::Behind);
        }
        self.tail = Some(Tail::Closed { reason, fault: Fault::from_u8(record.body[1]) });
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.tail.is_some() {
            return None;
        }
        if u32_at(self.bytes, self.at).unwrap_or(0) == 0 || self.at + RECORD_HEAD > self.bytes.len() {
            self.stop();
            return None;
        }
        let record = match self.record_at(self.at) {
            Ok(record) => record,
            Err(damage) => {
                self.damaged(damage);
                return None;
            }
        };
        if record.seq != self.next_seq {
            self.damaged(Damage::Sequence { found: record.seq, expected: self.next_seq });
            return None;
        }
        if record.kind == Kind::End {
            self.end(&record);
            if matches!(self.tail, Some(Tail::Damaged { .. })) {
                return None;
            }
        }
        self.at += record_bytes(record.body.len());
        self.next_seq += 1;
        Some(record)
    }
}
