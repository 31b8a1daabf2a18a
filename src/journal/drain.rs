//! From the hot threads' rings to the files. Stepped by whoever has a thread for it; never waited for.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use rtrb::Consumer;

use crate::fault::{Fault, Health};
use crate::layout::{EndReason, Kind};
use crate::recorder::RING_HEAD;
use crate::store::{Preamble, Store, StoreConfig, StoreError, Totals};
use crate::tape::Tapes;

/// Records taken from one ring before the next is looked at.
const BATCH: usize = 256;
/// Notes that may wait.
const NOTES_MAX: usize = 256;

/// A command, or a word about the engine, for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When, ns.
    pub ts_ns: u64,
    /// What.
    pub text: String,
}

/// Where cold threads leave notes. For many.
#[derive(Clone, Debug)]
pub struct Notes {
    sender: SyncSender<Note>,
    health: Health,
}

impl Notes {
    /// Leaves a note; it is in the journal soon. A journal that is so far behind that notes pile up has failed, and a
    /// command that cannot be recorded is a record lost.
    pub fn say(&self, ts_ns: u64, text: impl Into<String>) {
        match self.sender.try_send(Note { ts_ns, text: text.into() }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.health.raise(Fault::RingFull),
            Err(TrySendError::Disconnected(_)) => self.health.raise(Fault::WriterGone),
        }
    }
}

/// Takes records from rings and notes from a queue, and appends them to a [`Store`].
#[derive(Debug)]
pub struct Drain {
    ends: Vec<Consumer<u8>>,
    notes: Receiver<Note>,
    store: Store,
    health: Health,
    error: Option<StoreError>,
    closed: bool,
}

impl Drain {
    /// Begins a session with the configuration, the venue's listing and the tapes' streams in its first file. `ends`
    /// are those of [`Tapes::record`].
    ///
    /// # Errors
    /// The directory, the budget or the disk.
    pub fn begin(
        config: StoreConfig,
        text: Vec<u8>,
        listing: Vec<u8>,
        tapes: &Tapes,
        ends: Vec<Consumer<u8>>,
    ) -> Result<(Drain, Notes), StoreError> {
        let started = config.started_ns;
        let preamble = Preamble { config: text, listing, streams: tapes.streams().to_vec() };
        let store = Store::create(config, preamble, started)?;
        let (sender, notes) = sync_channel(NOTES_MAX);
        let health = tapes.health().clone();
        let drain = Drain { ends, notes, store, health: health.clone(), error: None, closed: false };
        Ok((drain, Notes { sender, health }))
    }

    /// Writes what has come; returns how many records. A disk that refuses raises the fault, and what comes after is
    /// taken and thrown away, so that the hot side is not held up by a lost cause.
    pub fn poll(&mut self, now_ns: u64) -> usize {
        let mut done = 0;
        for stream in 0..self.ends.len() {
            for _ in 0..BATCH {
                if !self.next(stream, now_ns) {
                    break;
                }
                done += 1;
            }
        }
        while let Ok(note) = self.notes.try_recv() {
            let result = if self.error.is_none() {
                self.store.append(Kind::Note, 0, &note.ts_ns.to_le_bytes(), note.text.as_bytes(), now_ns)
            } else {
                Ok(())
            };
            self.failed(result);
            done += 1;
        }
        done
    }

    /// One record of a stream; `false` when there is none.
    fn next(&mut self, stream: usize, now_ns: u64) -> bool {
        let Some(end) = self.ends.get_mut(stream) else { return false };
        let Ok(head) = end.read_chunk(RING_HEAD) else { return false };
        let mut bytes = [0u8; RING_HEAD];
        let (a, b) = head.as_slices();
        bytes[..a.len()].copy_from_slice(a);
        bytes[a.len()..].copy_from_slice(b);
        let body = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        // Whole records only are ever committed to the ring.
        let Ok(record) = end.read_chunk(RING_HEAD + body) else { return false };
        let (a, b) = record.as_slices();
        let (a, b) = match a.len().checked_sub(RING_HEAD) {
            Some(_) => (&a[RING_HEAD..], b),
            None => (&b[RING_HEAD - a.len()..], &b[..0]),
        };
        let result = match self.error {
            None => self.store.append(Kind::Cycle, stream as u8, a, b, now_ns),
            Some(_) => Ok(()),
        };
        record.commit_all();
        self.failed(result);
        true
    }

    fn failed(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.health.raise(error.fault());
            self.error = Some(error);
        }
    }

    /// Why writing stopped, if it did.
    pub fn error(&self) -> Option<&StoreError> {
        self.error.as_ref()
    }

    /// The journal's fault, if it has one.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// What has been written so far.
    pub fn totals(&self) -> Totals {
        self.store.totals()
    }

    /// The files.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Writes what is left and ends the session. The hot threads must have stopped.
    pub fn close(&mut self, now_ns: u64) {
        while self.poll(now_ns) > 0 {}
        let fault = self.health.fault();
        self.store.end(if fault.is_none() { EndReason::Closed } else { EndReason::Faulted }, fault);
        self.closed = true;
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if !self.closed {
            self.health.raise(Fault::WriterGone);
        }
    }
}
