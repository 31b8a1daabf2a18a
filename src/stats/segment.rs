//! The engine's end: makes the segment and hands every cell to its one writer.

use crate::beat::{Beat, BeatReader};
use crate::cells::{Cell, SharedCell};
use crate::counter::{Counter, Gauge};
use crate::hist::Hist;
use crate::layout::{CellKind, Entry, Layout, LayoutError, Placed};
use crate::reader::{Snapshot, StatsReader};
use crate::tick::{SignalWriter, TickReader, TickWriter};
use crate::trace::{Field, TraceReader, TraceWriter};
use rings::{Access, Header, Ident, Ordering, Segment, SegmentError, WordsMut};
use std::path::Path;
use std::sync::atomic::AtomicU16;

/// Name of the segment's file in the instance directory.
pub const STATS_FILE: &str = "stats";
/// Type id in the segment's header.
pub const TYPE_ID: u32 = u32::from_le_bytes(*b"stat");
/// Version of the layout that this crate writes and reads.
pub const LAYOUT_VERSION: u32 = 2;

/// Bits by which parts of a cell are marked as handed out. A table has one per column or half.
const WHOLE: u16 = 1;
const FEED_HALF: u16 = 1;
const SIGNAL_HALF: u16 = 2;

/// Why statistics could not be made, opened or handed out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// The declaration is wrong.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The segment could not be made or attached.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// Nothing of this kind was declared under this name.
    #[error("no {kind:?} {name:?} was declared")]
    Unknown {
        /// What was asked for.
        kind: CellKind,
        /// Under which name.
        name: String,
    },
    /// The cell, or one of the columns asked for, has a writer already.
    #[error("{kind:?} {name:?} has a writer already; every cell has one")]
    Taken {
        /// What was asked for.
        kind: CellKind,
        /// Under which name.
        name: String,
    },
}

/// The statistics of one engine, while it runs. Handles keep the memory alive on their own.
#[derive(Debug)]
pub struct StatsSegment {
    /// `None` on the heap.
    segment: Option<Segment>,
    words: WordsMut,
    placed: Placed,
    /// Parts handed out, one mask per entry.
    taken: Vec<AtomicU16>,
}

impl StatsSegment {
    /// Makes the file `stats` in `dir` with everything that `layout` declares. Of `ident` the build and
    /// configuration hashes are used; type and layout version are this crate's.
    ///
    /// # Errors
    /// A wrong declaration, or the segment's own refusal.
    pub fn create(dir: &Path, layout: &Layout, ident: &Ident) -> Result<StatsSegment, StatsError> {
        let placed = layout.place()?;
        let ident = Ident { type_id: TYPE_ID, layout_version: LAYOUT_VERSION, ..*ident };
        let segment = Segment::create_file(&dir.join(STATS_FILE), &ident, placed.words * 8)?;
        let words = segment.words_mut()?;
        Ok(StatsSegment::fill(Some(segment), words, placed))
    }

    /// Joins the statistics of a running engine, for a part of it that lives in another process: it must have been made
    /// from the same `layout`. Who writes which cell is between the two; what is handed out here is told apart here alone.
    ///
    /// # Errors
    /// A wrong declaration; [`SegmentError`] for a file of another build, configuration, layout or size.
    pub fn open(dir: &Path, layout: &Layout, ident: &Ident) -> Result<StatsSegment, StatsError> {
        let placed = layout.place()?;
        let ident = Ident { type_id: TYPE_ID, layout_version: LAYOUT_VERSION, ..*ident };
        let segment = Segment::open_file(&dir.join(STATS_FILE), &ident, Access::ReadWrite)?;
        let words = segment.words_mut()?;
        let (found, expected) = (words.len(), placed.words);
        let same = |(i, word): (usize, &u64)| words.reader().get(i, Ordering::Acquire) == Some(*word);
        if found != expected || !placed.directory().iter().enumerate().all(same) {
            let (found, expected) = (found as u64 * 8, expected as u64 * 8);
            return Err(SegmentError::WrongSize { found, expected }.into());
        }
        let taken = placed.entries.iter().map(|_| AtomicU16::new(0)).collect();
        Ok(StatsSegment { segment: Some(segment), words, placed, taken })
    }

    /// The same on the heap, for a test or an engine that nobody else watches.
    ///
    /// # Errors
    /// A wrong declaration.
    pub fn heap(layout: &Layout) -> Result<StatsSegment, StatsError> {
        let placed = layout.place()?;
        let words = WordsMut::heap(placed.words);
        Ok(StatsSegment::fill(None, words, placed))
    }

    fn fill(segment: Option<Segment>, words: WordsMut, placed: Placed) -> StatsSegment {
        let directory = placed.directory();
        // The count of entries last: a reader that comes early finds an empty directory.
        for (i, word) in directory.iter().enumerate().filter(|(i, _)| *i != 1) {
            words.store(i, *word, Ordering::Relaxed);
        }
        words.store(1, directory[1], Ordering::Release);
        let taken = placed.entries.iter().map(|_| AtomicU16::new(0)).collect();
        StatsSegment { segment, words, placed, taken }
    }

    /// The header of the file; `None` on the heap.
    pub fn header(&self) -> Option<Header> {
        self.segment.as_ref().map(Segment::header)
    }

    /// The counter of this name, once.
    ///
    /// # Errors
    /// [`StatsError::Unknown`], [`StatsError::Taken`].
    pub fn counter(&self, name: &str) -> Result<Counter, StatsError> {
        self.take(CellKind::Counter, name, WHOLE).map(|(cell, _)| Counter::new(cell))
    }

    /// The gauge of this name, once.
    ///
    /// # Errors
    /// [`StatsError::Unknown`], [`StatsError::Taken`].
    pub fn gauge(&self, name: &str) -> Result<Gauge, StatsError> {
        self.take(CellKind::Gauge, name, WHOLE).map(|(cell, _)| Gauge::new(cell))
    }

    /// The histogram of this name, once.
    ///
    /// # Errors
    /// [`StatsError::Unknown`], [`StatsError::Taken`].
    pub fn hist(&self, name: &str) -> Result<Hist, StatsError> {
        self.take(CellKind::Hist, name, WHOLE).map(|(cell, _)| Hist::new(cell))
    }

    /// The heartbeat of the agent of this name, once.
    ///
    /// # Errors
    /// [`StatsError::Unknown`], [`StatsError::Taken`].
    pub fn beat(&self, agent: &str) -> Result<Beat, StatsError> {
        self.take(CellKind::Agent, agent, WHOLE).map(|(cell, _)| Beat::new(cell))
    }

    /// Reads the heartbeat of the agent of this name, for as many as like.
    ///
    /// # Errors
    /// [`StatsError::Unknown`].
    pub fn beat_reader(&self, agent: &str) -> Result<BeatReader, StatsError> {
        let (_, entry) = self.find(CellKind::Agent, agent)?;
        self.words_of(entry).map(|words| BeatReader::new(SharedCell::new(words.reader())))
    }

    /// The right to write these columns of the order trace, once per column.
    ///
    /// # Errors
    /// [`StatsError::Unknown`] without an order table, [`StatsError::Taken`] when any column has a writer;
    /// then none of them is taken.
    pub fn trace_writer(&self, columns: &[Field]) -> Result<TraceWriter, StatsError> {
        let mask = columns.iter().fold(0, |mask, field| mask | field.bit());
        self.take(CellKind::Orders, "orders", mask).map(|(cell, rows)| TraceWriter::new(cell, rows, mask))
    }

    /// Reads rows of the order trace, for as many as like.
    ///
    /// # Errors
    /// [`StatsError::Unknown`] without an order table.
    pub fn trace_reader(&self) -> Result<TraceReader, StatsError> {
        let (_, entry) = self.find(CellKind::Orders, "orders")?;
        self.words_of(entry).map(|words| TraceReader::new(words.reader(), entry.rows))
    }

    /// The feed's end of the tick table, once.
    ///
    /// # Errors
    /// [`StatsError::Unknown`] without a tick table, [`StatsError::Taken`].
    pub fn tick_writer(&self) -> Result<TickWriter, StatsError> {
        self.take(CellKind::Ticks, "ticks", FEED_HALF).map(|(cell, rows)| TickWriter::new(cell, rows))
    }

    /// The strategy's end of the tick table, once.
    ///
    /// # Errors
    /// [`StatsError::Unknown`] without a tick table, [`StatsError::Taken`].
    pub fn signal_writer(&self) -> Result<SignalWriter, StatsError> {
        self.take(CellKind::Ticks, "ticks", SIGNAL_HALF).map(|(cell, rows)| SignalWriter::new(cell, rows))
    }

    /// Reads the tick table, for as many as like.
    ///
    /// # Errors
    /// [`StatsError::Unknown`] without a tick table.
    pub fn tick_reader(&self) -> Result<TickReader, StatsError> {
        let (_, entry) = self.find(CellKind::Ticks, "ticks")?;
        self.words_of(entry).map(|words| TickReader::new(SharedCell::new(words.reader()), entry.rows))
    }

    /// A reader in this process, as a tool would open it.
    pub fn reader(&self) -> StatsReader {
        StatsReader::over(self.words.reader())
    }

    /// Everything as it stands now. Allocates and reads every bucket: for observers, not for agents.
    pub fn snapshot(&self) -> Snapshot {
        self.reader().snapshot()
    }

    fn find(&self, kind: CellKind, name: &str) -> Result<(usize, &Entry), StatsError> {
        let mut entries = self.placed.entries.iter().enumerate();
        entries
            .find(|(_, entry)| entry.kind == kind && entry.name == name)
            .ok_or_else(|| StatsError::Unknown { kind, name: name.to_string() })
    }

    fn words_of(&self, entry: &Entry) -> Result<WordsMut, StatsError> {
        let words = entry.kind.words(entry.rows).and_then(|words| self.words.range(entry.at, words));
        words.ok_or_else(|| StatsError::Unknown { kind: entry.kind, name: entry.name.clone() })
    }

    /// Marks `parts` of a cell as handed out, all or none.
    fn take(&self, kind: CellKind, name: &str, parts: u16) -> Result<(Cell, usize), StatsError> {
        let (i, entry) = self.find(kind, name)?;
        let words = self.words_of(entry)?;
        // Only uniqueness matters; the handle itself travels by the caller's own synchronisation.
        self.taken[i]
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken & parts == 0).then_some(taken | parts)
            })
            .map_err(|_| StatsError::Taken { kind, name: name.to_string() })?;
        Ok((Cell::new(words), entry.rows))
    }
}
