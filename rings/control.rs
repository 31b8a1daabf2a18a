//! The control words every ring begins with, whichever its form.
//!
//! ```text
//! word   what                                                      written by
//!    0   tag of the form (slot or bulk), written last              creator
//!    1   capacity, slots                                           creator
//!    2   process id of the last producer                           producer, at attach
//!    3   process id of the last consumer                           consumer, at attach
//!   16   released: records the consumer is done with               consumer
//!   17   consumer's beat                                           consumer
//!   18   consumer's epoch                                          consumer, at attach
//!   32   committed: records readable (bulk form; slots: 0)         producer
//!   33   producer's beat                                           producer
//!   34   producer's epoch                                          producer, at attach
//!   48   slots, 8 words each                                       producer
//! ```
//!
//! Each side writes a pair of lines of its own, 128 bytes apart because the adjacent-line prefetcher pulls lines in
//! pairs. Beats and epochs: see `life.rs`.

use std::sync::Arc;

use crate::atomic::Ordering;
use crate::error::SegmentError;
use crate::life::{Hold, Life};
use crate::words::{APART_WORDS, LINE_WORDS, Lines, WordMut, WordsMut};

/// The largest capacity of a ring, slots.
pub const CAPACITY_MAX: usize = 1 << 26;

pub(crate) const W_TAG: usize = 0;
pub(crate) const W_CAPACITY: usize = 1;
pub(crate) const W_PRODUCER_PID: usize = 2;
pub(crate) const W_CONSUMER_PID: usize = 3;
const W_CONSUMER: usize = APART_WORDS;
const W_PRODUCER: usize = 2 * APART_WORDS;
const W_SLOTS: usize = 3 * APART_WORDS;

/// Words of a side's own lines.
const CURSOR: usize = 0;
pub(crate) const BEAT: usize = 1;
pub(crate) const EPOCH: usize = 2;

/// No ring gets this far: at a billion records a second, in 146 years. Below it no number overflows.
pub(crate) const POSITION_MAX: u64 = 1 << 62;

const _: () =
    assert!(EPOCH < LINE_WORDS && W_CONSUMER_PID < LINE_WORDS && W_SLOTS.is_multiple_of(APART_WORDS));

/// What a ring's words are cut into.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) slots: Lines,
    /// Records released, the consumer's.
    pub(crate) released: WordMut,
    /// Records committed, the producer's; only the bulk form moves it.
    pub(crate) committed: WordMut,
    consumer: WordsMut,
    producer: WordsMut,
}

/// Words a ring of `capacity` slots takes.
pub(crate) fn ring_words(capacity: usize) -> usize {
    W_SLOTS + capacity * LINE_WORDS
}

impl Parts {
    /// Cuts `words`; `None` when a ring of `capacity` slots does not lie in them.
    pub(crate) fn cut(words: &WordsMut, capacity: usize) -> Option<Parts> {
        Some(Parts {
            slots: words.lines(W_SLOTS, capacity)?,
            released: words.word(W_CONSUMER + CURSOR)?,
            committed: words.word(W_PRODUCER + CURSOR)?,
            consumer: words.range(W_CONSUMER, APART_WORDS)?,
            producer: words.range(W_PRODUCER, APART_WORDS)?,
        })
    }

    /// A ring on the heap of at least `capacity` slots, and what its ends hold.
    pub(crate) fn heap(capacity: usize, tag: u64) -> (Parts, Hold, Hold) {
        let capacity = capacity.clamp(2, CAPACITY_MAX).next_power_of_two();
        let words = WordsMut::heap(ring_words(capacity));
        words.store(W_CAPACITY, capacity as u64, Ordering::Relaxed);
        words.store(W_TAG, tag, Ordering::Release);
        let Some(parts) = Parts::cut(&words, capacity) else {
            unreachable!("the words were cut for this capacity");
        };
        let (ours, theirs) = (Arc::new(()), Arc::new(()));
        let (see_consumer, see_producer) = (Arc::downgrade(&theirs), Arc::downgrade(&ours));
        let producer = Hold::Token { _mine: ours, peer: see_consumer };
        (parts, producer, Hold::Token { _mine: theirs, peer: see_producer })
    }

    /// Becomes the producer's side. The caller holds the role and has checked what the words say.
    pub(crate) fn as_producer(&self, hold: Hold) -> Life {
        Life::begin(self.producer.clone(), self.consumer.reader(), hold)
    }

    /// Becomes the consumer's side. The caller holds the role and has checked what the words say.
    pub(crate) fn as_consumer(&self, hold: Hold) -> Life {
        Life::begin(self.consumer.clone(), self.producer.reader(), hold)
    }
}

/// Refuses a capacity that is not a power of two in range.
pub(crate) fn check_capacity(capacity: u64) -> Result<(), SegmentError> {
    let max = CAPACITY_MAX as u64;
    if !capacity.is_power_of_two() || !(2..=max).contains(&capacity) {
        return Err(SegmentError::BadCapacity { capacity, max });
    }
    Ok(())
}
