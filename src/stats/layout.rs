//! What a statistics segment holds, declared before it exists, and the directory by which a reader finds it.
//!
//! ```text
//! word      0 words in use   1 entries   2 first word of the directory
//!           3 buckets that a histogram cuts each doubling into   4 largest value that it tells apart, ns
//!           5..16 zero
//! word     16 directory: entries of 8 words
//!               0  kind (bits 0..8), name length in bytes (8..16), rows (16..64)
//!               1  first word of the cell
//!               2..8  name, UTF-8, little endian, 48 bytes
//!             kinds: 1 counter   2 gauge   3 histogram   4 agent   5 orders   6 ticks
//!                    7 the label of a word: `rows` is the kind whose rows it is in, the place is the word's number there
//! behind it   cells, every group starting on a multiple of 16 words (128 bytes, two lines: the
//!             adjacent-line prefetcher pulls pairs)
//! ```
//!
//! The part of a name before its first dot says who writes it: `feed.messages` and `feed.gaps` share a line,
//! `feed.messages` and `oms.orders` never do. So give every thread its own first part.
//!
//! Whoever knows this page reads any engine's statistics: names, labels and the cut of the histograms are all in the
//! segment. Bucket `i` of a histogram with `h` buckets a doubling begins at `i` below `2h`, else at
//! `(h + i mod h) << (i div h - 1)` ns ([`crate::buckets`]).

use crate::buckets::{BUCKETS, HALF, VALUE_MAX_NS};
use crate::{beat, tick, trace};

/// Longest name, bytes.
pub const NAME_MAX: usize = 48;
/// Words before the directory.
pub(crate) const HEAD_WORDS: usize = 16;
/// Words of a directory entry.
pub(crate) const ENTRY_WORDS: usize = 8;
/// Words to which a group of cells is aligned.
const ALIGN_WORDS: usize = 16;
/// Words of an agent's beat cell.
pub(crate) const BEAT_WORDS: usize = 16;
/// Words of an order row.
pub(crate) const ORDER_WORDS: usize = 16;
/// Words of a tick row.
pub(crate) const TICK_WORDS: usize = 8;
/// Most rows of a table.
pub const ROWS_MAX: usize = 1 << 20;

/// What a directory entry describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum CellKind {
    /// Rising count, one word.
    Counter = 1,
    /// Signed level, one word.
    Gauge = 2,
    /// Latency histogram, [`BUCKETS`] words.
    Hist = 3,
    /// Heartbeat of an agent.
    Agent = 4,
    /// Order rows.
    Orders = 5,
    /// Tick rows.
    Ticks = 6,
    /// The label of one word in the rows of another kind.
    Label = 7,
}

impl CellKind {
    pub(crate) fn from_u8(code: u8) -> Option<CellKind> {
        use CellKind::*;
        [Counter, Gauge, Hist, Agent, Orders, Ticks, Label].into_iter().find(|kind| *kind as u8 == code)
    }

    /// Words of a cell with this many rows, `None` when that is beyond any segment.
    pub(crate) fn words(self, rows: usize) -> Option<usize> {
        if rows > ROWS_MAX {
            return None;
        }
        Some(match self {
            CellKind::Counter | CellKind::Gauge | CellKind::Label => 1,
            CellKind::Hist => BUCKETS,
            CellKind::Agent => BEAT_WORDS,
            CellKind::Orders => rows * ORDER_WORDS,
            CellKind::Ticks => rows * TICK_WORDS,
        })
    }
}

/// Why a layout was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A name is empty, too long, or not made of what tools can show and select.
    #[error("name {name:?}: 1 to {NAME_MAX} of a-z 0-9 _ - and dots are allowed")]
    Name {
        /// The name.
        name: String,
    },
    /// One name declared twice for one kind.
    #[error("{kind:?} {name:?} is declared twice")]
    Twice {
        /// What it names.
        kind: CellKind,
        /// The name.
        name: String,
    },
    /// Rows outside their range.
    #[error("{kind:?} of {rows} rows: 1 to {ROWS_MAX} are allowed, and a power of two for ticks")]
    Rows {
        /// Which table.
        kind: CellKind,
        /// Rows asked for.
        rows: usize,
    },
}

/// One declared cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: CellKind,
    pub(crate) name: String,
    pub(crate) rows: usize,
    /// First word of the cell.
    pub(crate) at: usize,
}

/// Names of everything that will be counted; nothing can be added once the segment exists.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    entries: Vec<Entry>,
}

impl Layout {
    /// Nothing yet.
    pub fn new() -> Layout {
        Layout::default()
    }

    /// Declares a rising count, named `owner.what`.
    pub fn counter(&mut self, name: &str) -> &mut Layout {
        self.declare(CellKind::Counter, name, 1)
    }

    /// Declares a signed level, named `owner.what`.
    pub fn gauge(&mut self, name: &str) -> &mut Layout {
        self.declare(CellKind::Gauge, name, 1)
    }

    /// Declares a latency histogram (224 KiB), named `owner.stage`.
    pub fn hist(&mut self, name: &str) -> &mut Layout {
        self.declare(CellKind::Hist, name, 1)
    }

    /// Declares the heartbeat of the agent of this name.
    pub fn agent(&mut self, name: &str) -> &mut Layout {
        self.declare(CellKind::Agent, name, 1)
    }

    /// Declares the order trace table with one row (128 bytes) per order slot.
    pub fn orders(&mut self, rows: usize) -> &mut Layout {
        self.declare(CellKind::Orders, "orders", rows)
    }

    /// Declares the tick table with this many rows (64 bytes each, a power of two). It should cover the
    /// market events that can arrive between an event and the order it causes.
    pub fn ticks(&mut self, rows: usize) -> &mut Layout {
        self.declare(CellKind::Ticks, "ticks", rows)
    }

    fn declare(&mut self, kind: CellKind, name: &str, rows: usize) -> &mut Layout {
        self.entries.push(Entry { kind, name: name.to_string(), rows, at: 0 });
        self
    }

    /// Checks every declaration and gives each its place.
    pub(crate) fn place(&self) -> Result<Placed, LayoutError> {
        let mut entries = self.entries.clone();
        for (i, entry) in entries.iter().enumerate() {
            check(entry)?;
            if entries[..i].iter().any(|other| other.kind == entry.kind && other.name == entry.name) {
                return Err(LayoutError::Twice { kind: entry.kind, name: entry.name.clone() });
            }
        }
        let labels = labels(&entries);
        // Words that one owner writes lie together; a stable sort keeps the order of declaration within.
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by(|a, b| group(&entries[*a]).cmp(&group(&entries[*b])));
        let mut at = HEAD_WORDS + (entries.len() + labels.len()) * ENTRY_WORDS;
        let mut previous: Option<(u8, String)> = None;
        for i in order {
            let (rank, owner) = group(&entries[i]);
            let this = Some((rank, owner.to_string()));
            if rank != 0 || previous != this {
                at = at.next_multiple_of(ALIGN_WORDS);
            }
            previous = this;
            entries[i].at = at;
            // `check` bounds the rows.
            at += entries[i].kind.words(entries[i].rows).unwrap_or(0);
        }
        entries.extend(labels);
        Ok(Placed { entries, words: at.next_multiple_of(ALIGN_WORDS) })
    }
}

/// The labels of the words in the rows of every kind that is declared.
fn labels(entries: &[Entry]) -> Vec<Entry> {
    let tables: [(CellKind, &[&str]); 3] = [
        (CellKind::Agent, &beat::LABELS),
        (CellKind::Orders, &trace::LABELS),
        (CellKind::Ticks, &tick::LABELS),
    ];
    let declared = tables.into_iter().filter(|(kind, _)| entries.iter().any(|entry| entry.kind == *kind));
    let label = |kind: CellKind| {
        move |(at, name): (usize, &&str)| Entry {
            kind: CellKind::Label,
            name: name.to_string(),
            rows: kind as usize,
            at,
        }
    };
    declared.flat_map(|(kind, names)| names.iter().enumerate().map(label(kind))).collect()
}

/// Sort key of placement: single words by owner first, then everything larger on lines of its own.
fn group(entry: &Entry) -> (u8, &str) {
    match entry.kind {
        CellKind::Counter | CellKind::Gauge => (0, owner_of(&entry.name)),
        kind => (kind as u8, entry.name.as_str()),
    }
}

/// The part of a name before its first dot: who writes it.
pub fn owner_of(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn check(entry: &Entry) -> Result<(), LayoutError> {
    let fits = (1..=NAME_MAX).contains(&entry.name.len());
    let shown = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    if !fits || !entry.name.bytes().all(shown) {
        return Err(LayoutError::Name { name: entry.name.clone() });
    }
    let power = entry.kind != CellKind::Ticks || entry.rows.is_power_of_two();
    if !(1..=ROWS_MAX).contains(&entry.rows) || !power {
        return Err(LayoutError::Rows { kind: entry.kind, rows: entry.rows });
    }
    Ok(())
}

/// A checked layout with every cell in its place.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) entries: Vec<Entry>,
    pub(crate) words: usize,
}

impl Placed {
    /// The head and directory as words from word 0.
    pub(crate) fn directory(&self) -> Vec<u64> {
        let mut words = vec![0u64; HEAD_WORDS];
        words[0] = self.words as u64;
        words[1] = self.entries.len() as u64;
        words[2] = HEAD_WORDS as u64;
        words[3] = HALF as u64;
        words[4] = VALUE_MAX_NS;
        for entry in &self.entries {
            words.push(entry.kind as u64 | (entry.name.len() as u64) << 8 | (entry.rows as u64) << 16);
            words.push(entry.at as u64);
            let mut name = [0u8; NAME_MAX];
            name[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
            words.extend(name.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)));
        }
        words
    }
}

/// What a directory says, as far as it can be believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pub(crate) entries: Vec<Entry>,
    /// Entries whose kind is unknown or whose place lies outside the segment.
    pub(crate) refused: usize,
}

impl Directory {
    /// Reads the directory of a segment of `len` words. Another process wrote it, so every place is checked
    /// against `len` before anyone follows it.
    pub(crate) fn read(len: usize, load: impl Fn(usize) -> u64) -> Directory {
        let mut directory = Directory::default();
        if len < HEAD_WORDS {
            return directory;
        }
        let first = usize::try_from(load(2)).unwrap_or(usize::MAX);
        let room = len.saturating_sub(first) / ENTRY_WORDS;
        let claimed = usize::try_from(load(1)).unwrap_or(usize::MAX);
        directory.refused = claimed.saturating_sub(room);
        for i in 0..claimed.min(room) {
            let base = first + i * ENTRY_WORDS;
            match read_entry(len, base, &load) {
                Some(entry) => directory.entries.push(entry),
                None => directory.refused += 1,
            }
        }
        directory
    }
}

fn read_entry(len: usize, base: usize, load: &impl Fn(usize) -> u64) -> Option<Entry> {
    let head = load(base);
    let kind = CellKind::from_u8(head as u8)?;
    let name_len = (head >> 8) as u8 as usize;
    let rows = usize::try_from(head >> 16).ok()?;
    let at = usize::try_from(load(base + 1)).ok()?;
    let end = at.checked_add(kind.words(rows)?)?;
    if end > len || rows == 0 || (kind == CellKind::Ticks && !rows.is_power_of_two()) {
        return None;
    }
    let mut name = Vec::with_capacity(NAME_MAX);
    for word in 2..ENTRY_WORDS {
        name.extend_from_slice(&load(base + word).to_le_bytes());
    }
    // A name is shown on terminals: anything else than what `check` allows becomes a question mark.
    let name = name.get(..name_len)?.iter().map(|b| if b.is_ascii_graphic() { *b as char } else { '?' });
    Some(Entry { kind, name: name.collect(), rows, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Layout {
        let mut layout = Layout::new();
        layout.counter("feed.messages").counter("oms.orders").gauge("feed.depth").counter("feed.gaps");
        layout.hist("feed.parse").agent("feed").agent("oms").orders(8).ticks(16);
        layout
    }

    #[test]
    fn owners_share_lines_with_nobody() {
        let placed = sample().place().unwrap();
        let mut line_owner = std::collections::HashMap::new();
        let mut end = HEAD_WORDS + placed.entries.len() * ENTRY_WORDS;
        let mut by_place = placed.entries.clone();
        by_place.retain(|entry| entry.kind != CellKind::Label);
        by_place.sort_by_key(|entry| entry.at);
        for entry in &by_place {
            assert!(entry.at >= end, "{} overlaps", entry.name);
            let words = entry.kind.words(entry.rows).unwrap();
            end = entry.at + words;
            for line in entry.at / ALIGN_WORDS..=(end - 1) / ALIGN_WORDS {
                let owner = match entry.kind {
                    CellKind::Counter | CellKind::Gauge => owner_of(&entry.name).to_string(),
                    kind => format!("{kind:?} {}", entry.name),
                };
                let known = line_owner.entry(line).or_insert_with(|| owner.clone());
                assert_eq!(*known, owner);
            }
        }
        assert!(end <= placed.words);
        let at = |name: &str| placed.entries.iter().find(|e| e.name == name).unwrap().at;
        assert_eq!(at("feed.depth"), at("feed.messages") + 1);
    }

    #[test]
    fn directory_round_trips() {
        let placed = sample().place().unwrap();
        let words = placed.directory();
        let read = Directory::read(placed.words, |i| words.get(i).copied().unwrap_or(0));
        assert_eq!(read.entries, placed.entries);
        assert_eq!(read.refused, 0);
    }

    #[test]
    fn refuses_with_the_reason() {
        let err = |f: &dyn Fn(&mut Layout)| {
            let mut layout = Layout::new();
            f(&mut layout);
            layout.place().unwrap_err()
        };
        assert!(matches!(err(&|l| _ = l.counter("")), LayoutError::Name { .. }));
        assert!(matches!(err(&|l| _ = l.counter("a b")), LayoutError::Name { .. }));
        assert!(matches!(err(&|l| _ = l.counter(&"x".repeat(49))), LayoutError::Name { .. }));
        assert!(matches!(err(&|l| _ = l.counter("a").counter("a")), LayoutError::Twice { .. }));
        assert!(matches!(err(&|l| _ = l.orders(0)), LayoutError::Rows { rows: 0, .. }));
        assert!(matches!(err(&|l| _ = l.ticks(24)), LayoutError::Rows { rows: 24, .. }));
        assert!(matches!(err(&|l| _ = l.orders(ROWS_MAX + 1)), LayoutError::Rows { .. }));
        let mut same_name_other_kind = Layout::new();
        same_name_other_kind.counter("a").gauge("a").agent("a");
        assert!(same_name_other_kind.place().is_ok());
    }
}
