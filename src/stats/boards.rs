//! Boards: the latest top of book and position of each instrument, for observers only.
//!
//! ```text
//! word 0       number of instruments, written last
//! word 16 ..   per instrument: a seqlock board of the top, a seqlock board of the position
//!
//! top (8 words)       0 bid px   1 bid qty   2 ask px   3 ask qty   4 receive time, ns   5 book state
//!                     6 px decimals   7 qty decimals
//! position (8 words)  0 position, base   1,2 realised (low, high)   3,4 unrealised (low, high)   5 open orders
//!                     6 time, ns   7 trading allowed
//! ```
//!
//! The file `boards` stands beside `stats` and can be read after death. Readers map it read-only, never block a
//! writer and never see half a value. Nothing that trades reads a board.

use crate::segment::StatsError;
use rings::{
    Access, BoardReader, BoardWriter, Ident, Ordering, Segment, SegmentError, Words, WordsMut, board_words,
};
use std::path::Path;
use wire::{BookState, InstrumentId, Px, Qty, Ts};

/// Name of the file in the instance directory.
pub const BOARDS_FILE: &str = "boards";
/// Type id in its header.
pub const BOARDS_TYPE_ID: u32 = u32::from_le_bytes(*b"brds");
/// Version of the layout above.
pub const BOARDS_VERSION: u32 = 1;
/// Most instruments of one file.
pub const BOARDS_MAX: usize = 4_096;

const WORDS: usize = 8;
const FIRST: usize = 16;
const PAIR: usize = 2 * board_words(WORDS);
/// Tries of a reader that meets the writer at work.
const ATTEMPTS: u32 = 1_000;

fn ident(of: &Ident) -> Ident {
    Ident { type_id: BOARDS_TYPE_ID, layout_version: BOARDS_VERSION, ..*of }
}

/// Top of book as its board shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopBoard {
    /// Best bid.
    pub bid: (Px, Qty),
    /// Best ask.
    pub ask: (Px, Qty),
    /// Receive time of the message that brought it.
    pub ts_recv: Ts,
    /// State of the book; prices mean nothing unless it is in sync.
    pub state: BookState,
    /// Decimals of the prices.
    pub px_decimals: u8,
    /// Decimals of the quantities.
    pub qty_decimals: u8,
}

/// Position as its board shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PositionBoard {
    /// Position, base mantissa at the quantity scale.
    pub position: i64,
    /// Realised profit before fees, mantissa at the sum of both scales.
    pub realised: i128,
    /// Unrealised profit at the mid, same scale.
    pub unrealised: i128,
    /// Orders that can still trade.
    pub open_orders: u32,
    /// When it was published.
    pub ts: Ts,
    /// Whether new orders are allowed.
    pub trading: bool,
}

fn halves(v: i128) -> [u64; 2] {
    [v as u64, (v >> 64) as u64]
}

fn whole(low: u64, high: u64) -> i128 {
    low as i128 | (high as i128) << 64
}

/// Writing end of one instrument's top, for the feed.
#[derive(Debug)]
pub struct TopWriter(BoardWriter<WORDS>);

impl TopWriter {
    /// Publishes a top. Never waits; about 10 ns.
    #[inline]
    pub fn publish(&mut self, top: &TopBoard) {
        self.0.publish([
            top.bid.0.0 as u64,
            top.bid.1.0 as u64,
            top.ask.0.0 as u64,
            top.ask.1.0 as u64,
            top.ts_recv.0,
            top.state as u64,
            top.px_decimals as u64,
            top.qty_decimals as u64,
        ]);
    }
}

/// Writing end of one instrument's position, for the oms.
#[derive(Debug)]
pub struct PositionWriter(BoardWriter<WORDS>);

impl PositionWriter {
    /// Publishes a position. Never waits; about 10 ns.
    #[inline]
    pub fn publish(&mut self, p: &PositionBoard) {
        let ([rl, rh], [ul, uh]) = (halves(p.realised), halves(p.unrealised));
        self.0.publish([p.position as u64, rl, rh, ul, uh, p.open_orders as u64, p.ts.0, p.trading as u64]);
    }
}

/// The boards of an engine: made once, writing ends handed out once each.
#[derive(Debug)]
pub struct Boards {
    /// `None` on the heap.
    _segment: Option<Segment>,
    words: WordsMut,
    instruments: usize,
    next: [usize; 2],
}

impl Boards {
    /// Makes the file `boards` in `dir`. Of `of` the build and configuration hashes are used.
    ///
    /// # Errors
    /// More than [`BOARDS_MAX`] instruments, or the segment's own refusal.
    pub fn create(dir: &Path, instruments: usize, of: &Ident) -> Result<Boards, StatsError> {
        let len = Boards::len(instruments)? * 8;
        let segment = Segment::create_file(&dir.join(BOARDS_FILE), &ident(of), len)?;
        let words = segment.words_mut()?;
        Ok(Boards::over(Some(segment), words, instruments))
    }

    /// The same on the heap, for an engine that nobody else watches.
    ///
    /// # Errors
    /// More than [`BOARDS_MAX`] instruments.
    pub fn heap(instruments: usize) -> Result<Boards, StatsError> {
        let words = WordsMut::heap(Boards::len(instruments)?);
        Ok(Boards::over(None, words, instruments))
    }

    fn len(instruments: usize) -> Result<usize, StatsError> {
        if instruments > BOARDS_MAX {
            return Err(
                SegmentError::BadLength { len: instruments * PAIR * 8, max: BOARDS_MAX * PAIR * 8 }.into()
            );
        }
        Ok(FIRST + instruments * PAIR)
    }

    fn over(segment: Option<Segment>, words: WordsMut, instruments: usize) -> Boards {
        Boards { _segment: segment, words, instruments, next: [0; 2] }
    }

    fn writer(&mut self, which: usize) -> Result<Option<BoardWriter<WORDS>>, StatsError> {
        let i = self.next[which];
        if i == self.instruments {
            return Ok(None);
        }
        let at = FIRST + i * PAIR + which * board_words(WORDS);
        let cut = self.words.range(at, board_words(WORDS));
        let words = cut.ok_or(SegmentError::BadLength { len: at * 8, max: self.words.len() * 8 })?;
        let writer = BoardWriter::over(&words)?;
        self.next[which] = i + 1;
        if self.next == [self.instruments; 2] {
            // Every board is founded: Release, partner of the Acquire in `BoardsReader::instruments`.
            self.words.store(0, self.instruments as u64, Ordering::Release);
        }
        Ok(Some(writer))
    }

    /// Writing ends of every top not handed out yet, in instrument order.
    ///
    /// # Errors
    /// The segment's refusal.
    pub fn top_writers(&mut self) -> Result<Vec<TopWriter>, StatsError> {
        let mut all = Vec::new();
        while let Some(writer) = self.writer(0)? {
            all.push(TopWriter(writer));
        }
        Ok(all)
    }

    /// Writing ends of every position not handed out yet, in instrument order.
    ///
    /// # Errors
    /// The segment's refusal.
    pub fn position_writers(&mut self) -> Result<Vec<PositionWriter>, StatsError> {
        let mut all = Vec::new();
        while let Some(writer) = self.writer(1)? {
            all.push(PositionWriter(writer));
        }
        Ok(all)
    }

    /// A reader in this process.
    pub fn reader(&self) -> BoardsReader {
        BoardsReader { _segment: None, words: self.words.reader() }
    }
}

/// Reads boards, of a living engine or a dead one.
#[derive(Debug)]
pub struct BoardsReader {
    _segment: Option<Segment>,
    words: Words,
}

impl BoardsReader {
    /// Maps the file `boards` of an instance directory read-only.
    ///
    /// # Errors
    /// Each way an attach can fail has its own [`SegmentError`].
    pub fn open(dir: &Path) -> Result<BoardsReader, StatsError> {
        let segment =
            Segment::open_file(&dir.join(BOARDS_FILE), &ident(&Ident::default()), Access::ReadOnly)?;
        Ok(BoardsReader { words: segment.words(), _segment: Some(segment) })
    }

    /// How many instruments have boards; 0 while the engine starts.
    pub fn instruments(&self) -> usize {
        let claimed = self.words.get(0, Ordering::Acquire).unwrap_or(0);
        let room = self.words.len().saturating_sub(FIRST) / PAIR;
        usize::try_from(claimed).unwrap_or(usize::MAX).min(room)
    }

    fn read(&self, instrument: InstrumentId, which: usize) -> Option<[u64; WORDS]> {
        let i = usize::try_from(instrument.0).ok().filter(|i| *i < self.instruments())?;
        let words = self.words.range(FIRST + i * PAIR + which * board_words(WORDS), board_words(WORDS))?;
        let (published, value) = BoardReader::<WORDS>::over(&words).ok()?.try_read(ATTEMPTS)?;
        (published > 0).then_some(value)
    }

    /// The latest top; `None` before the first, or when its writer died in the middle of publishing.
    pub fn top(&self, instrument: InstrumentId) -> Option<TopBoard> {
        let w = self.read(instrument, 0)?;
        Some(TopBoard {
            bid: (Px(w[0] as i64), Qty(w[1] as i64)),
            ask: (Px(w[2] as i64), Qty(w[3] as i64)),
            ts_recv: Ts(w[4]),
            state: BookState::from_u8(w[5] as u8),
            px_decimals: w[6] as u8,
            qty_decimals: w[7] as u8,
        })
    }

    /// The latest position; `None` as for [`BoardsReader::top`].
    pub fn position(&self, instrument: InstrumentId) -> Option<PositionBoard> {
        let w = self.read(instrument, 1)?;
        Some(PositionBoard {
            position: w[0] as i64,
            realised: whole(w[1], w[2]),
            unrealised: whole(w[3], w[4]),
            open_orders: w[5] as u32,
            ts: Ts(w[6]),
            trading: w[7] == 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn what_is_published_is_read_by_another_mapping() {
        let dir = Scratch::new("boards");
        let mut boards = Boards::create(dir.path(), 2, &Ident::default()).unwrap();
        let reader = BoardsReader::open(dir.path()).unwrap();
        assert_eq!(reader.instruments(), 0, "not before every board is founded");
        let mut tops = boards.top_writers().unwrap();
        let mut positions = boards.position_writers().unwrap();
        assert_eq!((tops.len(), positions.len(), reader.instruments()), (2, 2, 2));
        assert_eq!(reader.top(InstrumentId(1)), None);
        let top = TopBoard {
            bid: (Px(7), Qty(8)),
            ask: (Px(9), Qty(10)),
            ts_recv: Ts(11),
            state: BookState::InSync,
            px_decimals: 8,
            qty_decimals: 5,
        };
        let position = PositionBoard {
            position: -3,
            realised: -(1i128 << 70),
            unrealised: 1i128 << 65,
            open_orders: 2,
            ts: Ts(5),
            trading: true,
        };
        tops[1].publish(&top);
        positions[0].publish(&position);
        assert_eq!(reader.top(InstrumentId(1)), Some(top));
        assert_eq!(reader.position(InstrumentId(0)), Some(position));
        assert_eq!(reader.top(InstrumentId(0)), None);
        assert_eq!(reader.top(InstrumentId(2)), None);
        drop((tops, positions, boards));
        assert_eq!(BoardsReader::open(dir.path()).unwrap().top(InstrumentId(1)), Some(top), "after death");
        assert!(boards_are_handed_out_once());
    }

    fn boards_are_handed_out_once() -> bool {
        let mut boards = Boards::heap(1).unwrap();
        boards.top_writers().unwrap().len() == 1 && boards.top_writers().unwrap().is_empty()
    }

    #[test]
    fn too_many_instruments_are_refused() {
        assert!(Boards::heap(BOARDS_MAX + 1).is_err());
    }
}
