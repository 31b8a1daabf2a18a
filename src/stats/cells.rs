//! The words behind every handle: with one writer, or for anyone to read.

use rings::{Ordering, Words, WordsMut};
use std::marker::PhantomData;

/// A run of words that anyone may read.
#[derive(Clone, Debug)]
pub(crate) struct SharedCell {
    words: Words,
}

impl SharedCell {
    pub(crate) fn new(words: Words) -> SharedCell {
        SharedCell { words }
    }

    /// Word `i` of the cell, which its owner keeps in bounds. Acquire: partner of [`Cell::store`].
    #[inline]
    pub(crate) fn load(&self, i: usize) -> u64 {
        self.words.load(i, Ordering::Acquire)
    }
}

/// A run of words with one writer: movable to its thread, not shareable between two.
#[derive(Debug)]
pub(crate) struct Cell {
    words: WordsMut,
    _one_thread: PhantomData<std::cell::Cell<()>>,
}

impl Cell {
    pub(crate) fn new(words: WordsMut) -> Cell {
        Cell { words, _one_thread: PhantomData }
    }

    /// Word `i` as this thread last stored it, so no ordering is needed.
    #[inline]
    pub(crate) fn load(&self, i: usize) -> u64 {
        self.words.load(i, Ordering::Relaxed)
    }

    /// Stores word `i`, Release: a reader that sees it with Acquire sees what this thread wrote before. On
    /// x86 both are plain moves.
    #[inline]
    pub(crate) fn store(&self, i: usize, value: u64) {
        self.words.store(i, value, Ordering::Release);
    }
}
