//! Bounded views of shared 64-bit words: what every protocol of this crate is written over.
//!
//! A view keeps its memory (a mapping or a heap block) alive, can be cloned and sent, and never reaches outside
//! its bounds. Every access is an atomic of the Rust memory model, so a peer, even in another process, can race
//! for a word but never make the race undefined. [`Words`] only loads; [`WordsMut`] also stores, and a read-only
//! mapping yields no [`WordsMut`]: the refusal is in the type. All the pointer work of the crate is in this file.

use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::atomic::{AtomicU64, Ordering, fence};

/// Words in one cache line of 64 bytes.
pub(crate) const LINE_WORDS: usize = 8;

/// Words in the distance kept between two writers: two lines of 64 bytes, because the adjacent-line prefetcher
/// pulls lines in pairs.
pub(crate) const APART_WORDS: usize = 16;

/// Lines a writer asks for ahead of the one it writes: a run's worth. `ring_rate`, cores far apart, million messages a
/// second: one by one 23 without and 102 with it, the bulk ring 27 and 170, its runs 93 and 174; 8 and 16 lie between.
/// A hop costs the same with and without.
#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
const AHEAD: u64 = 32;

/// Whatever owns the memory of a view; dropped with the last of them.
type Keep = Arc<dyn Any + Send + Sync>;

/// Heap memory aligned as a mapping would be: two cache lines.
#[repr(align(128))]
struct Block(
    #[expect(dead_code, reason = "reached through the pointer cut in `heap`")] [AtomicU64; APART_WORDS],
);

/// A bounded view of shared words that only loads. Cheap to clone; keeps the memory alive.
#[derive(Clone)]
pub struct Words {
    base: NonNull<AtomicU64>,
    len: usize,
    writable: bool,
    keep: Keep,
}

/// A bounded view of shared words that loads and stores. Who may write which word is the caller's protocol; a race
/// between two writers is defined but loses one of the values.
#[derive(Clone)]
pub struct WordsMut(Words);

/// One word, resolved once: loads without a bounds check.
#[derive(Clone, Debug)]
pub struct Word(Words);

/// One word, resolved once: loads and stores without a bounds check.
#[derive(Clone, Debug)]
pub struct WordMut(Word);

/// `N` words in a row, resolved once.
#[derive(Clone)]
pub(crate) struct Row<const N: usize> {
    base: NonNull<[AtomicU64; N]>,
    _keep: Keep,
}

/// A power-of-two run of 64-byte lines, addressed by a number that is masked: no input can leave the bounds.
#[derive(Clone)]
pub(crate) struct Lines {
    base: NonNull<[AtomicU64; LINE_WORDS]>,
    mask: u64,
    _keep: Keep,
    /// One for each line, in which the model checker looks for a race it cannot see in atomics: a write of the line
    /// that is not ordered after the read of what it replaces.
    #[cfg(loom)]
    races: Arc<Vec<loom::cell::UnsafeCell<()>>>,
}

// SAFETY: the view is a pointer to atomics, which may be shared and used from any thread, and an owner that is
// itself Send + Sync.
unsafe impl Send for Words {}
// SAFETY: as for Send; `&Words` gives out nothing but atomic accesses.
unsafe impl Sync for Words {}
// SAFETY: as for `Words`.
unsafe impl<const N: usize> Send for Row<N> {}
// SAFETY: as for `Words`.
unsafe impl<const N: usize> Sync for Row<N> {}
// SAFETY: as for `Words`; `races` is the model checker's, which watches every access to it.
unsafe impl Send for Lines {}
// SAFETY: as for `Send`.
unsafe impl Sync for Lines {}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").field("len", &self.len).field("writable", &self.writable).finish()
    }
}

impl std::fmt::Debug for WordsMut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WordsMut").field("len", &self.0.len).finish()
    }
}

impl<const N: usize> std::fmt::Debug for Row<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("len", &N).finish()
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("count", &self.count()).finish()
    }
}

impl Words {
    /// A view over foreign memory.
    ///
    /// # Safety
    /// `base` points to `len` initialised words, aligned for `u64`, which stay mapped as long as `keep` lives and
    /// are accessed by nothing but atomics of 64 bits (other processes: by whole aligned words). The memory is
    /// writable if `writable`.
    #[cfg(not(loom))]
    pub(crate) unsafe fn from_raw(base: NonNull<AtomicU64>, len: usize, writable: bool, keep: Keep) -> Words {
        Words { base, len, writable, keep }
    }

    /// Number of words in view.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the view has no words.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Loads word `i`. Acquire and stronger are made of a relaxed load and a fence where the mapping is read-only
    /// (only relaxed loads are defined there); on x86-64 the acquire costs nothing. A store ordering loads acquire.
    ///
    /// # Panics
    /// When `i` is not below [`len`](Words::len): the index is the caller's layout, not input. For an index that
    /// came from outside use [`get`](Words::get).
    #[inline]
    pub fn load(&self, i: usize, order: Ordering) -> u64 {
        assert!(i < self.len, "word {i} is outside a view of {} words", self.len);
        load(self.cell(i), order, self.writable)
    }

    /// Loads word `i`, or `None` when it is outside the view.
    #[inline]
    pub fn get(&self, i: usize, order: Ordering) -> Option<u64> {
        (i < self.len).then(|| load(self.cell(i), order, self.writable))
    }

    /// The view of `len` words from word `start`, or `None` when that leaves this view.
    pub fn range(&self, start: usize, len: usize) -> Option<Words> {
        let end = start.checked_add(len)?;
        if end > self.len {
            return None;
        }
        // SAFETY: `start <= end <= self.len`, so the offset stays inside (or one past) the block `base` points to.
        let base = unsafe { self.base.add(start) };
        Some(Words { base, len, writable: self.writable, keep: Arc::clone(&self.keep) })
    }

    /// Word `i` on its own, or `None` when it is outside the view.
    pub fn word(&self, i: usize) -> Option<Word> {
        self.range(i, 1).map(Word)
    }

    /// The `N` words from word `start`, or `None` when that leaves this view. Only relaxed loads are defined on them
    /// while the mapping may be read-only.
    pub(crate) fn row<const N: usize>(&self, start: usize) -> Option<Row<N>> {
        let within = self.range(start, N)?;
        Some(Row { base: within.base.cast(), _keep: within.keep })
    }

    /// Word `i`; every caller has checked it, as the debug assertion repeats.
    #[inline(always)]
    fn cell(&self, i: usize) -> &AtomicU64 {
        debug_assert!(i < self.len);
        // SAFETY: every caller checks `i < self.len`, and `base` points to `len` words (`from_raw`, `heap`).
        let at = unsafe { self.base.add(i) };
        // SAFETY: `keep` keeps the word mapped for at least the life of `&self`, it is initialised and aligned,
        // and is only ever accessed atomically.
        unsafe { at.as_ref() }
    }
}

impl WordsMut {
    /// Zeroed heap memory of `len` words, aligned to 128 bytes: the same views without a mapping, for tests, model
    /// checkers and a process that needs no observer.
    pub fn heap(len: usize) -> WordsMut {
        let blocks: Vec<Block> = (0..len.div_ceil(APART_WORDS))
            .map(|_| Block(std::array::from_fn(|_| AtomicU64::new(0))))
            .collect();
        let keep: Arc<Vec<Block>> = Arc::new(blocks);
        // A `Block` is exactly its words (the alignment divides their size), so `blocks` is one run of words.
        const { assert!(size_of::<Block>() == APART_WORDS * size_of::<AtomicU64>()) };
        let base = NonNull::from(keep.as_slice()).cast::<AtomicU64>();
        WordsMut(Words { base, len, writable: true, keep })
    }

    /// The writable form of `words`, or `None` when its memory is mapped read-only.
    #[cfg(not(loom))]
    pub(crate) fn of(words: Words) -> Option<WordsMut> {
        words.writable.then_some(WordsMut(words))
    }

    /// The same words, load only.
    pub fn reader(&self) -> Words {
        self.0.clone()
    }

    /// Number of words in view.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether the view has no words.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Loads word `i`; see [`Words::load`].
    ///
    /// # Panics
    /// When `i` is not below [`len`](WordsMut::len).
    #[inline]
    pub fn load(&self, i: usize, order: Ordering) -> u64 {
        self.0.load(i, order)
    }

    /// Stores `value` into word `i`. A load ordering stores release.
    ///
    /// # Panics
    /// When `i` is not below [`len`](WordsMut::len): the index is the caller's layout, not input.
    #[inline]
    pub fn store(&self, i: usize, value: u64, order: Ordering) {
        assert!(i < self.0.len, "word {i} is outside a view of {} words", self.0.len);
        store(self.0.cell(i), value, order);
    }

    /// Adds `value`, wrapping, to word `i` in one atomic step (about 5 ns; a single writer is cheaper off with a
    /// load and a store), returning what was there.
    ///
    /// # Panics
    /// When `i` is not below [`len`](WordsMut::len).
    #[inline]
    pub fn fetch_add(&self, i: usize, value: u64, order: Ordering) -> u64 {
        assert!(i < self.0.len, "word {i} is outside a view of {} words", self.0.len);
        self.0.cell(i).fetch_add(value, order)
    }

    /// Replaces `current` by `new` in word `i` in one atomic step (acquire and release).
    ///
    /// # Errors
    /// What the word holds, when it is not `current`.
    ///
    /// # Panics
    /// When `i` is not below [`len`](WordsMut::len).
    #[inline]
    pub fn compare_exchange(&self, i: usize, current: u64, new: u64) -> Result<u64, u64> {
        assert!(i < self.0.len, "word {i} is outside a view of {} words", self.0.len);
        self.0.cell(i).compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
    }

    /// The view of `len` words from word `start`, or `None` when that leaves this view.
    pub fn range(&self, start: usize, len: usize) -> Option<WordsMut> {
        self.0.range(start, len).map(WordsMut)
    }

    /// Word `i` on its own, or `None` when it is outside the view.
    pub fn word(&self, i: usize) -> Option<WordMut> {
        self.0.word(i).map(WordMut)
    }

    /// The `N` words from word `start`, or `None` when that leaves this view.
    pub(crate) fn row<const N: usize>(&self, start: usize) -> Option<Row<N>> {
        self.0.row(start)
    }

    /// `count` lines from word `start`; `None` unless the count is a power of two, `start` is on a line and the
    /// lines lie in view.
    #[cfg_attr(loom, expect(clippy::arc_with_non_send_sync, reason = "`Lines` says itself that it is both"))]
    pub(crate) fn lines(&self, start: usize, count: usize) -> Option<Lines> {
        let within = self.0.range(start, count.checked_mul(LINE_WORDS)?)?;
        if !count.is_power_of_two() || !start.is_multiple_of(LINE_WORDS) {
            return None;
        }
        Some(Lines {
            base: within.base.cast(),
            mask: count as u64 - 1,
            _keep: within.keep,
            #[cfg(loom)]
            races: Arc::new((0..count).map(|_| loom::cell::UnsafeCell::new(())).collect()),
        })
    }
}

impl Word {
    /// Loads the word; see [`Words::load`].
    #[inline(always)]
    pub fn load(&self, order: Ordering) -> u64 {
        load(self.0.cell(0), order, self.0.writable)
    }
}

impl WordMut {
    /// The same word, load only.
    pub fn reader(&self) -> Word {
        self.0.clone()
    }

    /// Loads the word.
    #[inline(always)]
    pub fn load(&self, order: Ordering) -> u64 {
        load(self.0.0.cell(0), order, true)
    }

    /// Stores `value`. A load ordering stores release.
    #[inline(always)]
    pub fn store(&self, value: u64, order: Ordering) {
        store(self.0.0.cell(0), value, order);
    }

    /// Adds `value`, wrapping, as the word's only writer: a plain load and a release store, no locked instruction.
    #[inline(always)]
    pub fn add_alone(&self, value: u64) {
        let cell = self.0.0.cell(0);
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(value), Ordering::Release);
    }
}

impl<const N: usize> Row<N> {
    /// The words.
    #[inline(always)]
    pub(crate) fn cells(&self) -> &[AtomicU64; N] {
        // SAFETY: `_keep` keeps the `N` words mapped (`row` checked the bounds), they are initialised, aligned, and
        // only accessed atomically.
        unsafe { self.base.as_ref() }
    }
}

impl Lines {
    /// The line of slot `seq`, modulo the number of lines.
    #[inline(always)]
    pub(crate) fn at(&self, seq: u64) -> &[AtomicU64; LINE_WORDS] {
        // SAFETY: masked below the count of lines, all of which lie in the view this was cut from (`lines`).
        let at = unsafe { self.base.add((seq & self.mask) as usize) };
        // SAFETY: `_keep` keeps the line mapped, it is initialised, aligned for its words, and only accessed
        // atomically.
        unsafe { at.as_ref() }
    }

    /// Tells the model checker that the payload of slot `seq` is about to be written; nothing otherwise.
    #[inline(always)]
    pub(crate) fn writes(&self, _seq: u64) {
        #[cfg(loom)]
        self.races[(_seq & self.mask) as usize].with_mut(|_| ());
    }

    /// Tells the model checker that the payload of slot `seq` is about to be read; nothing otherwise.
    #[inline(always)]
    pub(crate) fn reads(&self, _seq: u64) {
        #[cfg(loom)]
        self.races[(_seq & self.mask) as usize].with(|_| ());
    }

    /// The words of slot `seq`, each whole. What the line holds as one is for the caller's protocol to know: a load of a
    /// ready flag with acquire goes before.
    #[cfg(all(target_arch = "x86_64", target_feature = "avx", not(miri), not(loom)))]
    #[inline(always)]
    pub(crate) fn read(&self, seq: u64) -> [u64; LINE_WORDS] {
        // Two loads of 32 bytes into registers. Word by word (below) the line goes through memory in pieces of 8, and a
        // reader that takes it on in larger ones waits until those are written (`ring_rate`: runs of the bulk ring at
        // 25 or 154 million a second, by how the compiler arranged the reader).
        let (a, b): (std::arch::x86_64::__m256i, std::arch::x86_64::__m256i);
        // SAFETY: the line is mapped, initialised and aligned to 64 bytes (`lines`, `at`). Its atomics are plain memory
        // to the processor, which loads each aligned word whole, and what other threads write meanwhile is no race to
        // assembly. Not `nomem`: no access is moved across.
        unsafe {
            std::arch::asm!(
                "vmovdqa {a}, ymmword ptr [{line}]",
                "vmovdqa {b}, ymmword ptr [{line} + 32]",
                line = in(reg) self.at(seq).as_ptr(),
                a = out(ymm_reg) a,
                b = out(ymm_reg) b,
                options(nostack, preserves_flags, readonly),
            );
        }
        // SAFETY: two vectors of 32 bytes are 64 bytes, of which any are eight words.
        unsafe { std::mem::transmute::<[std::arch::x86_64::__m256i; 2], [u64; LINE_WORDS]>([a, b]) }
    }

    /// The words of slot `seq`, each whole.
    #[cfg(not(all(target_arch = "x86_64", target_feature = "avx", not(miri), not(loom))))]
    #[inline(always)]
    pub(crate) fn read(&self, seq: u64) -> [u64; LINE_WORDS] {
        let mut line = [0; LINE_WORDS];
        for (word, cell) in line.iter_mut().zip(self.at(seq)) {
            *word = cell.load(Ordering::Relaxed);
        }
        line
    }

    /// Asks, as the writer of slot `seq`, for the line [`AHEAD`] slots on, so that it is here when its turn comes: the
    /// store queue alone covers only a few lines of the way from another core. Changes nothing and cannot fail; in a
    /// ring so short that the line is one the consumer is at, it is not done.
    #[inline(always)]
    pub(crate) fn ask_ahead(&self, _seq: u64) {
        #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
        if self.mask >= 4 * AHEAD - 1 {
            self.prefetch_to_write(_seq + AHEAD);
        }
    }

    #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
    #[inline(always)]
    fn prefetch_to_write(&self, seq: u64) {
        // SAFETY: a hint; it neither reads nor writes, and a processor that does not know it does nothing. (The
        // compiler's intrinsic becomes a prefetch for reading where the baseline does not promise this one.)
        unsafe {
            std::arch::asm!("prefetchw [{}]", in(reg) self.at(seq).as_ptr(), options(nostack, preserves_flags));
        }
    }

    /// Number of lines, a power of two.
    #[inline(always)]
    pub(crate) fn count(&self) -> u64 {
        self.mask + 1
    }
}

#[inline(always)]
fn load(cell: &AtomicU64, order: Ordering, writable: bool) -> u64 {
    match order {
        Ordering::Relaxed => cell.load(Ordering::Relaxed),
        Ordering::SeqCst if writable => cell.load(Ordering::SeqCst),
        Ordering::SeqCst => {
            fence(Ordering::SeqCst);
            let value = cell.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            value
        }
        _ => {
            // Partner: the release store of whoever wrote the word.
            let value = cell.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            value
        }
    }
}

#[inline(always)]
fn store(cell: &AtomicU64, value: u64, order: Ordering) {
    match order {
        Ordering::Relaxed => cell.store(value, Ordering::Relaxed),
        Ordering::SeqCst => cell.store(value, Ordering::SeqCst),
        _ => cell.store(value, Ordering::Release),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn views_are_bounded_and_share_memory() {
        let words = WordsMut::heap(20);
        assert_eq!(words.len(), 20);
        words.store(19, 7, Ordering::Release);
        assert_eq!(words.reader().get(19, Ordering::Acquire), Some(7));
        assert_eq!(words.reader().get(20, Ordering::Acquire), None);
        let tail = words.range(16, 4).unwrap();
        assert_eq!(tail.load(3, Ordering::SeqCst), 7);
        assert!(words.range(16, 5).is_none());
        assert!(words.range(usize::MAX, 2).is_none());
        assert!(words.range(20, 0).unwrap().is_empty());
        drop(words);
        assert_eq!(tail.fetch_add(3, 1, Ordering::Relaxed), 7);
        assert_eq!(tail.compare_exchange(3, 7, 9), Err(8));
        assert_eq!(tail.compare_exchange(3, 8, 9), Ok(8));
    }

    #[test]
    #[should_panic(expected = "outside a view")]
    fn a_load_outside_panics() {
        WordsMut::heap(16).load(16, Ordering::Relaxed);
    }

    #[test]
    #[should_panic(expected = "outside a view")]
    fn a_store_outside_panics() {
        WordsMut::heap(16).store(16, 0, Ordering::Relaxed);
    }

    #[test]
    fn single_words_outlive_the_view_they_came_from() {
        let words = WordsMut::heap(3);
        let word = words.word(2).unwrap();
        assert!(words.word(3).is_none());
        drop(words);
        word.store(5, Ordering::Relaxed);
        word.add_alone(2);
        assert_eq!(word.reader().load(Ordering::Acquire), 7);
    }

    #[test]
    fn lines_wrap_and_refuse_odd_shapes() {
        let words = WordsMut::heap(64);
        let lines = words.lines(16, 4).unwrap();
        assert_eq!(lines.count(), 4);
        lines.at(5)[7].store(3, Ordering::Relaxed);
        assert_eq!(words.load(16 + 8 + 7, Ordering::Relaxed), 3);
        assert!(std::ptr::eq(lines.at(u64::MAX), lines.at(3)));
        assert!(words.lines(16, 3).is_none());
        assert!(words.lines(16, 8).is_none());
        assert!(words.lines(3, 4).is_none());
        assert!(words.lines(0, usize::MAX / 2 + 1).is_none());
    }
}
