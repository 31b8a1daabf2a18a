//! The board: one writer's latest value of `N` words, read whole by anyone.
//!
//! A sequence lock. The version is even while the value is whole and odd while it is being written; a reader that
//! sees the same even version before and after its loads has a whole value. The writer never waits and never looks
//! at the readers; readers retry, and cost the writer a line when they look. Values between two reads are lost: a
//! board says how things are, a ring what happened.
//!
//! ```text
//! word   what                                          written by
//!    0   tag of the board format, written last         first writer
//!    1   N                                             first writer
//!    2   process id of the last writer                 writer, at attach
//!   16   version                                       writer
//!   17   value, N words                                writer
//! ```
//!
//! Fences, with their partners: the writer's release fence after the odd version pairs with the reader's acquire
//! fence after its loads of the value, so whoever saw a word of a new value sees at least its odd version; the
//! writer's release store of the even version pairs with the acquire fence after the reader's first look.

use crate::atomic::{Ordering, fence, spin};
use crate::error::SegmentError;
#[cfg(not(loom))]
use crate::header::Ident;
#[cfg(not(loom))]
use crate::lock::{Held, Role};
#[cfg(not(loom))]
use crate::segment::Segment;
use crate::words::{APART_WORDS, Row, Word, WordMut, Words, WordsMut};

/// First word of a board.
const BOARD_TAG: u64 = u64::from_le_bytes(*b"seqboard");

const W_TAG: usize = 0;
const W_COUNT: usize = 1;
#[cfg(not(loom))]
const W_WRITER_PID: usize = 2;
const W_VERSION: usize = APART_WORDS;
const W_VALUE: usize = APART_WORDS + 1;

/// What a segment made by [`board`] declares itself to be.
#[cfg(not(loom))]
pub const BOARD: Ident =
    Ident { type_id: u32::from_le_bytes(*b"brd\0"), layout_version: 1, build_hash: 0, config_hash: 0 };

/// Words a board of `n` words takes, rounded up so that boards in a row do not share a pair of cache lines.
pub const fn board_words(n: usize) -> usize {
    (W_VALUE + n).next_multiple_of(APART_WORDS)
}

/// The writing end of a board of `N` words. Not shared: one thread at a time publishes.
#[derive(Debug)]
pub struct BoardWriter<const N: usize> {
    version: WordMut,
    value: Row<N>,
    /// The version in memory; odd only when a predecessor died while publishing.
    current: u64,
    #[cfg(not(loom))]
    _role: Option<Held>,
}

/// A reading end of a board of `N` words. Any number, on read-only mappings too.
#[derive(Clone, Debug)]
pub struct BoardReader<const N: usize> {
    version: Word,
    value: Row<N>,
}

/// A board in a memfd, with its writer and a reader.
///
/// # Errors
/// Those of [`Segment::memfd`] and [`BoardWriter::attach`].
#[cfg(not(loom))]
pub fn board<const N: usize>(name: &str) -> Result<(BoardWriter<N>, BoardReader<N>), SegmentError> {
    let segment = Segment::memfd_as(name, &BOARD, board_words(N) * 8)?;
    let writer = BoardWriter::attach(&segment)?;
    let reader = BoardReader::attach(&segment)?;
    Ok((writer, reader))
}

/// A board on the heap, for threads of one process: the same protocol without the mapping.
pub fn heap_board<const N: usize>() -> (BoardWriter<N>, BoardReader<N>) {
    let words = WordsMut::heap(board_words(N));
    match (BoardWriter::over(&words), BoardReader::over(&words.reader())) {
        (Ok(writer), Ok(reader)) => (writer, reader),
        _ => unreachable!("the words were cut for this board"),
    }
}

impl<const N: usize> BoardWriter<N> {
    /// Becomes the writer of the board at the start of `segment`'s body, founding it in a fresh (zeroed) one. The
    /// value published last stays until the next.
    ///
    /// # Errors
    /// [`SegmentError::RoleTaken`] while another writer lives; [`SegmentError::ReadOnly`];
    /// [`SegmentError::WrongMagic`] or [`SegmentError::WrongSize`] for a body that is another thing;
    /// [`SegmentError::Io`].
    #[cfg(not(loom))]
    pub fn attach(segment: &Segment) -> Result<BoardWriter<N>, SegmentError> {
        let words = segment.words_mut()?;
        check_len::<N>(words.len())?;
        let role = segment.claim(Role::Writer, W_WRITER_PID)?;
        Ok(BoardWriter { _role: Some(role), ..BoardWriter::over(&words)? })
    }

    /// The writer of the board at the start of `words`, founded when they are zero. That there is no other writer
    /// is the caller's to see to: the form for many boards in one segment.
    ///
    /// # Errors
    /// [`SegmentError::WrongMagic`], [`SegmentError::WrongSize`].
    pub fn over(words: &WordsMut) -> Result<BoardWriter<N>, SegmentError> {
        check_len::<N>(words.len())?;
        if words.load(W_TAG, Ordering::Acquire) == 0 {
            words.store(W_COUNT, N as u64, Ordering::Relaxed);
            // Partner: the acquire load in `check`.
            words.store(W_TAG, BOARD_TAG, Ordering::Release);
        }
        check::<N>(&words.reader())?;
        let (Some(version), Some(value)) = (words.word(W_VERSION), words.row(W_VALUE)) else {
            return Err(wrong_len::<N>(words.len()));
        };
        // A predecessor's last store, ordered by whatever told us it is gone; acquire costs nothing here.
        let current = version.load(Ordering::Acquire);
        Ok(BoardWriter {
            version,
            value,
            current,
            #[cfg(not(loom))]
            _role: None,
        })
    }

    /// Publishes `value`. Never waits; about 1 ns a word while the lines are ours.
    #[inline]
    pub fn publish(&mut self, value: [u64; N]) {
        // The next odd number: one on from an even version, two on from one left odd.
        let writing = self.current.wrapping_add(1) | 1;
        self.version.store(writing, Ordering::Relaxed);
        // Partner: the acquire fence of `BoardReader::try_once`.
        fence(Ordering::Release);
        for (cell, word) in self.value.cells().iter().zip(value) {
            cell.store(word, Ordering::Relaxed);
        }
        self.current = writing.wrapping_add(1);
        // Partner: the acquire load of the version in `BoardReader::try_once`.
        self.version.store(self.current, Ordering::Release);
    }

    /// Values published on this board so far, by this writer and those before.
    pub fn published(&self) -> u64 {
        self.current / 2
    }
}

impl<const N: usize> BoardReader<N> {
    /// A reader of the board at the start of `segment`'s body.
    ///
    /// # Errors
    /// [`SegmentError::NotReady`] before its writer founded it; [`SegmentError::WrongMagic`] or
    /// [`SegmentError::WrongSize`] for a body that is another thing.
    #[cfg(not(loom))]
    pub fn attach(segment: &Segment) -> Result<BoardReader<N>, SegmentError> {
        BoardReader::over(&segment.words())
    }

    /// A reader of the board at the start of `words`.
    ///
    /// # Errors
    /// As for [`attach`](BoardReader::attach).
    pub fn over(words: &Words) -> Result<BoardReader<N>, SegmentError> {
        check_len::<N>(words.len())?;
        check::<N>(words)?;
        let (Some(version), Some(value)) = (words.word(W_VERSION), words.row(W_VALUE)) else {
            return Err(wrong_len::<N>(words.len()));
        };
        Ok(BoardReader { version, value })
    }

    /// The latest value, whole; zeros before the first. Retries while it is being written, and so waits forever on a
    /// writer that died while publishing: where that can be, [`try_read`](BoardReader::try_read).
    #[inline]
    pub fn read(&self) -> [u64; N] {
        loop {
            if let Some((_, value)) = self.try_once() {
                return value;
            }
            spin();
        }
    }

    /// How many values were published and the latest, whole; `None` when `attempts` tries all met the writer at work
    /// (or dead at it).
    #[inline]
    pub fn try_read(&self, attempts: u32) -> Option<(u64, [u64; N])> {
        for _ in 0..attempts {
            if let Some(found) = self.try_once() {
                return Some(found);
            }
            spin();
        }
        None
    }

    /// How many values were published; a change says there is something new. Less work than a read.
    #[inline]
    pub fn published(&self) -> u64 {
        self.version.load(Ordering::Relaxed) / 2
    }

    #[inline(always)]
    fn try_once(&self) -> Option<(u64, [u64; N])> {
        // Partner: the release store that ends `BoardWriter::publish`.
        let before = self.version.load(Ordering::Acquire);
        if before & 1 == 1 {
            return None;
        }
        let mut value = [0; N];
        for (word, cell) in value.iter_mut().zip(self.value.cells()) {
            *word = cell.load(Ordering::Relaxed);
        }
        // Partner: the release fence of `BoardWriter::publish`.
        fence(Ordering::Acquire);
        (self.version.load(Ordering::Relaxed) == before).then_some((before / 2, value))
    }
}

fn check_len<const N: usize>(found: usize) -> Result<(), SegmentError> {
    if found < board_words(N) { Err(wrong_len::<N>(found)) } else { Ok(()) }
}

fn wrong_len<const N: usize>(found: usize) -> SegmentError {
    SegmentError::WrongSize { found: found as u64 * 8, expected: board_words(N) as u64 * 8 }
}

/// Checks the first words of a board; the length has been checked.
fn check<const N: usize>(words: &Words) -> Result<(), SegmentError> {
    match words.load(W_TAG, Ordering::Acquire) {
        BOARD_TAG => {}
        0 => return Err(SegmentError::NotReady),
        found => return Err(SegmentError::WrongMagic { found, expected: BOARD_TAG }),
    }
    let count = words.load(W_COUNT, Ordering::Relaxed);
    if count != N as u64 {
        return Err(SegmentError::WrongSize { found: count.saturating_mul(8), expected: N as u64 * 8 });
    }
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_back_with_its_count() {
        let (mut writer, reader) = heap_board::<3>();
        assert_eq!((reader.read(), reader.try_read(1)), ([0; 3], Some((0, [0; 3]))));
        for n in 1..10 {
            writer.publish([n, n * 2, n * 3]);
            assert_eq!(reader.try_read(1), Some((n, [n, n * 2, n * 3])));
            assert_eq!((reader.published(), writer.published()), (n, n));
        }
    }

    #[test]
    fn a_writer_that_died_publishing_shows_no_torn_value_and_can_be_followed() {
        let words = WordsMut::heap(board_words(2));
        let mut writer = BoardWriter::<2>::over(&words).unwrap();
        let reader = BoardReader::<2>::over(&words.reader()).unwrap();
        writer.publish([1, 1]);
        words.store(W_VERSION, 3, Ordering::Relaxed);
        words.store(W_VALUE, 2, Ordering::Relaxed);
        assert_eq!(reader.try_read(10), None);
        let mut writer = BoardWriter::<2>::over(&words).unwrap();
        assert_eq!(reader.try_read(10), None, "attaching does not make the torn value whole");
        writer.publish([3, 3]);
        assert_eq!(reader.read(), [3, 3]);
        assert_eq!(words.load(W_VERSION, Ordering::Relaxed), 6);
    }

    #[test]
    fn another_body_is_refused() {
        let words = WordsMut::heap(board_words(2));
        assert!(matches!(BoardReader::<2>::over(&words.reader()), Err(SegmentError::NotReady)));
        BoardWriter::<2>::over(&words).unwrap();
        assert!(matches!(BoardReader::<3>::over(&words.reader()), Err(SegmentError::WrongSize { .. })));
        assert!(matches!(BoardWriter::<3>::over(&words), Err(SegmentError::WrongSize { .. })));
        assert!(matches!(BoardReader::<64>::over(&words.reader()), Err(SegmentError::WrongSize { .. })));
        words.store(W_TAG, 77, Ordering::Relaxed);
        assert!(matches!(
            BoardReader::<2>::over(&words.reader()),
            Err(SegmentError::WrongMagic { found: 77, .. })
        ));
        assert!(matches!(BoardWriter::<2>::over(&words), Err(SegmentError::WrongMagic { found: 77, .. })));
    }

    /// Short enough for Miri as well.
    #[test]
    fn two_threads_never_see_a_torn_value() {
        let count = if cfg!(miri) { 100 } else { 200_000 };
        let (mut writer, reader) = heap_board::<9>();
        let thread = std::thread::spawn(move || {
            for n in 1..=count {
                writer.publish(std::array::from_fn(|i| n + i as u64));
                if n % 64 == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let mut last = 0;
        while last < count {
            let Some((published, value)) = reader.try_read(100) else {
                std::thread::yield_now();
                continue;
            };
            assert!(published >= last, "{published} after {last}");
            let expected =
                if published == 0 { [0; 9] } else { std::array::from_fn(|i| published + i as u64) };
            assert_eq!(value, expected);
            if published == last {
                std::thread::yield_now();
            }
            last = published;
        }
        thread.join().unwrap();
    }
}
