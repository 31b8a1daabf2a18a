//! The writing side: files of one session in a directory, rotated by size, within a budget of disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::fault::Fault;
use crate::layout::{
    END_BYTES, END_ROOM, EndReason, FileHeader, HEADER_BYTES, Kind, MAGIC, RECORD_HEAD, record_bytes,
    record_middle,
};
use crate::map::Mapped;
use crate::session::SessionName;

/// What to do when the budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskPolicy {
    /// Remove the oldest files of the directory, whichever session they are of, unless they are being written.
    DropOldest,
    /// Stop: the gate shuts.
    Refuse,
}

/// Where and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Directory of the journals; made when it is missing.
    pub dir: PathBuf,
    /// Name of the instance.
    pub instance: String,
    /// Start of the session, ns by the engine's clock.
    pub started_ns: u64,
    /// Build of the engine.
    pub build_hash: u64,
    /// Its configuration.
    pub config_hash: u64,
    /// Bytes of a file.
    pub file_bytes: u64,
    /// Bytes that all journals of the directory may take together.
    pub budget_bytes: u64,
    /// What to do when they would take more.
    pub policy: DiskPolicy,
}

/// What every file says first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preamble {
    pub(crate) config: Vec<u8>,
    pub(crate) listing: Vec<u8>,
    pub(crate) streams: Vec<u8>,
}

impl Preamble {
    /// In order. A record has a body: what is empty is left out.
    fn records(&self) -> impl Iterator<Item = (Kind, &[u8])> {
        let all: [(Kind, &[u8]); 3] =
            [(Kind::Config, &self.config), (Kind::Listing, &self.listing), (Kind::Streams, &self.streams)];
        all.into_iter().filter(|(_, body)| !body.is_empty())
    }

    fn bytes(&self) -> usize {
        self.records().map(|(_, body)| record_bytes(body.len())).sum()
    }
}

/// Why a journal cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk refused.
    #[error("{what} {}: {error}", path.display())]
    Disk {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The budget is spent.
    #[error("journals in {} take {used} bytes; another {wanted} would exceed the budget of {budget}", dir.display())]
    Budget {
        /// The directory.
        dir: PathBuf,
        /// Bytes taken.
        used: u64,
        /// Bytes wanted.
        wanted: u64,
        /// Bytes allowed.
        budget: u64,
    },
}

impl StoreError {
    /// What this is to the engine.
    pub fn fault(&self) -> Fault {
        match self {
            StoreError::Disk { .. } => Fault::Disk,
            StoreError::Budget { .. } => Fault::Budget,
        }
    }
}

/// What a store has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records.
    pub records: u64,
    /// Cycle records among them.
    pub cycles: u64,
    /// Bytes of records.
    pub bytes: u64,
    /// Files begun.
    pub files: u32,
    /// Files of the past removed to keep the budget.
    pub dropped: u32,
}

/// Writes the files of one session.
#[derive(Debug)]
pub struct Store {
    config: StoreConfig,
    preamble: Preamble,
    file: Option<Mapped>,
    path: PathBuf,
    at: usize,
    next_seq: u64,
    number: u32,
    totals: Totals,
}

impl Store {
    /// Begins a session: its first file stands, with `preamble` in it, when this returns.
    pub(crate) fn create(config: StoreConfig, preamble: Preamble, now_ns: u64) -> Result<Store, StoreError> {
        let failed = |error| StoreError::Disk { what: "making", path: config.dir.clone(), error };
        fs::create_dir_all(&config.dir).map_err(failed)?;
        let mut store = Store {
            path: config.dir.clone(),
            config,
            preamble,
            file: None,
            at: 0,
            next_seq: 1,
            number: 0,
            totals: Totals::default(),
        };
        let first = store.allocate(0)?;
        store.begin(first, now_ns);
        Ok(store)
    }

    /// What has been written so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The file being written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a record whose body is `a` then `b`; rotates when it does not fit.
    ///
    /// # Errors
    /// There is no room for another file. What was written before stands.
    pub(crate) fn append(
        &mut self,
        kind: Kind,
        stream: u8,
        a: &[u8],
        b: &[u8],
        now_ns: u64,
    ) -> Result<(), StoreError> {
        let needed = record_bytes(a.len() + b.len());
        let room = self.file.as_ref().map_or(0, |f| f.len().saturating_sub(self.at + END_ROOM));
        if needed > room {
            // The next file first: when there is none, this one must still be able to say so.
            let next = self.allocate(needed)?;
            self.end(EndReason::Rotated, None);
            self.begin(next, now_ns);
        }
        self.put(kind, stream, a, b);
        Ok(())
    }

    /// Writes the last record and cuts the file to its length. Nothing can be appended afterwards.
    pub fn end(&mut self, reason: EndReason, fault: Option<Fault>) {
        if self.file.is_none() {
            return;
        }
        let mut body = [0u8; END_BYTES];
        body[0] = reason as u8;
        body[1] = fault.map_or(0, |f| f as u8);
        body[8..16].copy_from_slice(&self.totals.cycles.to_le_bytes());
        body[16..24].copy_from_slice(&self.totals.bytes.to_le_bytes());
        self.put(Kind::End, 0, &body, &[]);
        if let Some(file) = self.file.take() {
            // A file that keeps its zeroes is read just as well.
            let _ = file.close(self.at);
        }
    }

    /// Writes a record for which there is room.
    fn put(&mut self, kind: Kind, stream: u8, a: &[u8], b: &[u8]) {
        let Some(file) = self.file.as_mut() else { return };
        let (at, len) = (self.at, a.len() + b.len());
        let middle = record_middle(self.next_seq, kind, stream);
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&middle), a), b);
        file.write(at + 4, &crc.to_le_bytes());
        file.write(at + 8, &middle);
        file.write(at + RECORD_HEAD, a);
        file.write(at + RECORD_HEAD + a.len(), b);
        file.publish_u32(at, len as u32);
        self.at += record_bytes(len);
        self.next_seq += 1;
        self.totals.records += 1;
        self.totals.cycles += (kind == Kind::Cycle) as u64;
        self.totals.bytes += record_bytes(len) as u64;
    }

    /// Makes the next file, with room for a record of `needed` bytes.
    fn allocate(&mut self, needed: usize) -> Result<(Mapped, PathBuf), StoreError> {
        let least = HEADER_BYTES + self.preamble.bytes() + needed + END_ROOM;
        let bytes = (self.config.file_bytes as usize).max(least).next_multiple_of(4096);
        self.make_room(bytes as u64)?;
        let name = SessionName { instance: self.config.instance.clone(), started_ns: self.config.started_ns };
        let path = self.config.dir.join(name.file(self.number));
        match Mapped::create(&path, bytes) {
            Ok(file) => Ok((file, path)),
            Err(error) => Err(StoreError::Disk { what: "allocating", path, error }),
        }
    }

    /// Begins a file: header, then what every file says first.
    fn begin(&mut self, (mut file, path): (Mapped, PathBuf), now_ns: u64) {
        let header = FileHeader {
            number: self.number,
            started_ns: self.config.started_ns,
            begun_ns: now_ns,
            build_hash: self.config.build_hash,
            config_hash: self.config.config_hash,
            first_seq: self.next_seq,
            capacity: file.len() as u64,
            instance: self.config.instance.clone(),
        };
        file.write(8, &header.encode()[8..]);
        file.publish_u64(0, u64::from_le_bytes(MAGIC));
        self.file = Some(file);
        self.path = path;
        self.at = HEADER_BYTES;
        self.number += 1;
        self.totals.files += 1;
        let preamble = std::mem::take(&mut self.preamble);
        for (kind, body) in preamble.records() {
            self.put(kind, 0, body, &[]);
        }
        self.preamble = preamble;
    }

    /// Keeps the budget: with `wanted` more bytes the directory must not exceed it.
    fn make_room(&mut self, wanted: u64) -> Result<(), StoreError> {
        let dir = self.config.dir.clone();
        let failed = |error| StoreError::Disk { what: "listing", path: dir.clone(), error };
        let mut files = journals(&dir).map_err(failed)?;
        let mut used: u64 = files.iter().map(|f| f.2).sum();
        let budget = self.config.budget_bytes;
        files.sort();
        let mut oldest = files.into_iter();
        while used + wanted > budget {
            let over = StoreError::Budget { dir: dir.clone(), used, wanted, budget };
            if self.config.policy == DiskPolicy::Refuse {
                return Err(over);
            }
            let Some((_, path, bytes)) = oldest.next() else { return Err(over) };
            if is_being_written(&path) {
                continue;
            }
            fs::remove_file(&path).map_err(|error| StoreError::Disk { what: "removing", path, error })?;
            used -= bytes;
            self.totals.dropped += 1;
        }
        Ok(())
    }
}

/// Journals of a directory: when and which in their session, path, bytes.
type Journal = ((u64, u32), PathBuf, u64);

fn journals(dir: &Path) -> io::Result<Vec<Journal>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Some((name, number)) = SessionName::of_file(&entry.file_name()) {
            found.push(((name.started_ns, number), entry.path(), entry.metadata()?.len()));
        }
    }
    Ok(found)
}

/// Whether some process holds the writer's lock. What cannot be opened is left alone.
fn is_being_written(path: &Path) -> bool {
    fs::File::open(path).map_or(true, |file| file.try_lock_shared().is_err())
}
