//! One side of a book: a sorted sequence of levels cut into blocks.
//!
//! Levels are ordered by a key that grows towards the touch (price on the bid side, minus price on the ask
//! side), so the best level is always the last one of the last block:
//!
//! ```text
//! directory   [ last key, block ] [ last key, block ] ... [ last key, block ]     worst ──▶ best
//!                   │                                            │
//! blocks        ≤ 64 keys, ≤ 64 quantities                   best level is the last entry
//! ```
//!
//! A flat array moves everything between the changed level and the touch; here an update moves at most one
//! block (512 bytes of keys, 512 of quantities) and, on a split or a merge, the directory behind it.
//!
//! **Why the pool of blocks never runs dry.** Any two neighbours together hold more than `BLOCK / 2` = 32
//! levels: a split leaves halves of 32; a removal takes one level, so a pair that held 33 may fall to 32, and
//! is merged at once; a block that empties had neighbours of at least 32 each, so the pair that meets keeps the
//! rule. Hence `n` levels need at most `2 n / 33 + 1` blocks, and [`blocks_for`] reserves one more.

use std::fmt;

/// Levels in a block.
const BLOCK: usize = 64;
/// Two neighbours that together hold this many or fewer are merged.
const MERGE_MAX: usize = BLOCK / 2;
/// Levels put into each block by a bulk load: room to grow without a split.
const LOAD_FILL: usize = 48;

const _: () = assert!(MERGE_MAX < LOAD_FILL && LOAD_FILL < BLOCK && BLOCK.is_multiple_of(2));

/// What an update did to a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A level appeared.
    Added,
    /// A level has a new quantity (or the same one again).
    Changed,
    /// A level is gone.
    Removed,
    /// Removal of a level that is not in the book; venues send these, and they are harmless.
    Unknown,
    /// The side was full: the worst level (perhaps this one) was dropped.
    Truncated,
    /// Price not positive or quantity negative: nothing changed.
    Refused,
}

#[derive(Clone)]
struct Block {
    len: usize,
    keys: [i64; BLOCK],
    qtys: [i64; BLOCK],
}

#[derive(Clone, Copy)]
struct Entry {
    /// Largest key of the block.
    last: i64,
    block: u32,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Ladder {
    directory: Vec<Entry>,
    blocks: Vec<Block>,
    free: Vec<u32>,
    len: usize,
    capacity: usize,
    truncated: u64,
    /// Every level with this key or a larger one is here; of smaller ones some may be missing.
    complete_from: i64,
}

const fn blocks_for(levels: usize) -> usize {
    2 * levels / (MERGE_MAX + 1) + 2
}

impl Ladder {
    pub(crate) fn with_capacity(levels: usize) -> Ladder {
        let levels = levels.clamp(1, u32::MAX as usize);
        let n = blocks_for(levels);
        Ladder {
            directory: Vec::with_capacity(n),
            blocks: vec![Block { len: 0, keys: [0; BLOCK], qtys: [0; BLOCK] }; n],
            free: (0..n as u32).rev().collect(),
            len: 0,
            capacity: levels,
            truncated: 0,
            complete_from: i64::MIN,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn truncated(&self) -> u64 {
        self.truncated
    }

    /// Key from which on no level is missing.
    #[inline]
    pub(crate) fn complete_from(&self) -> i64 {
        self.complete_from
    }

    /// Levels with keys below `key` may be missing from now on.
    pub(crate) fn complete_only_from(&mut self, key: i64) {
        self.complete_from = self.complete_from.max(key);
    }

    /// The best level, or that there is none, is not certain: better ones may be missing.
    #[inline]
    pub(crate) fn exhausted(&self) -> bool {
        self.complete_from != i64::MIN && self.best().is_none_or(|(key, _)| key < self.complete_from)
    }

    /// A level was dropped: no worse one is certain any more, and this one is not here.
    fn drop_level(&mut self, key: i64) {
        self.truncated += 1;
        self.complete_only_from(key.saturating_add(1));
    }

    pub(crate) fn clear(&mut self) {
        self.complete_from = i64::MIN;
        for e in self.directory.drain(..) {
            self.free.push(e.block);
        }
        self.len = 0;
    }

    /// Key and quantity of the best level.
    #[inline]
    pub(crate) fn best(&self) -> Option<(i64, i64)> {
        let b = &self.blocks[self.directory.last()?.block as usize];
        Some((b.keys[b.len - 1], b.qtys[b.len - 1]))
    }

    /// Quantity at `key`, zero when there is no such level.
    #[inline]
    pub(crate) fn qty(&self, key: i64) -> i64 {
        if self.directory.is_empty() {
            return 0;
        }
        let b = &self.blocks[self.directory[self.locate(key)].block as usize];
        match b.keys[..b.len].binary_search(&key) {
            Ok(at) => b.qtys[at],
            Err(_) => 0,
        }
    }

    /// Levels, best first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.directory.iter().rev().flat_map(|e| {
            let b = &self.blocks[e.block as usize];
            (0..b.len).rev().map(|i| (b.keys[i], b.qtys[i]))
        })
    }

    /// Sets the quantity (not negative) at `key`; zero removes.
    #[inline]
    pub(crate) fn set(&mut self, key: i64, qty: i64) -> Change {
        if self.directory.is_empty() {
            return if qty == 0 { Change::Unknown } else { self.insert_first(key, qty) };
        }
        let d = self.locate(key);
        let b = &mut self.blocks[self.directory[d].block as usize];
        let at = b.keys[..b.len].partition_point(|&k| k < key);
        if at < b.len && b.keys[at] == key {
            if qty != 0 {
                b.qtys[at] = qty;
                return Change::Changed;
            }
            self.remove(d, at);
            return Change::Removed;
        }
        if qty == 0 {
            return Change::Unknown;
        }
        if self.len == self.capacity {
            return self.insert_when_full(key, qty);
        }
        self.insert(d, at, key, qty)
    }

    /// Appends a level worse than all others, for a bulk load that runs from the best level down.
    /// [`Ladder::finish_load`] must follow before anything else is called.
    pub(crate) fn load_next(&mut self, key: i64, qty: i64) {
        if self.len == self.capacity {
            self.drop_level(key);
            return;
        }
        let full = match self.directory.last() {
            Some(e) => self.blocks[e.block as usize].len == LOAD_FILL,
            None => true,
        };
        if full {
            let Some(block) = self.free.pop() else {
                self.drop_level(key);
                return;
            };
            self.blocks[block as usize].len = 0;
            // The first level of the block is its best, hence its last key once turned round.
            self.directory.push(Entry { last: key, block });
        }
        if let Some(e) = self.directory.last() {
            let b = &mut self.blocks[e.block as usize];
            b.keys[b.len] = key;
            b.qtys[b.len] = qty;
            b.len += 1;
            self.len += 1;
        }
    }

    /// Turns what [`Ladder::load_next`] laid down best first into the standing order, worst first.
    pub(crate) fn finish_load(&mut self) {
        for e in &self.directory {
            let b = &mut self.blocks[e.block as usize];
            b.keys[..b.len].reverse();
            b.qtys[..b.len].reverse();
        }
        self.directory.reverse();
    }

    /// Index of the directory entry whose block holds `key` or would take it. The directory is not empty.
    #[inline]
    fn locate(&self, key: i64) -> usize {
        let n = self.directory.len();
        // Most updates are near the touch: the last block.
        if n == 1 || key > self.directory[n - 2].last {
            return n - 1;
        }
        self.directory[..n - 1].partition_point(|e| e.last < key)
    }

    fn insert_first(&mut self, key: i64, qty: i64) -> Change {
        let Some(block) = self.free.pop() else {
            self.drop_level(key);
            return Change::Truncated;
        };
        let b = &mut self.blocks[block as usize];
        b.len = 1;
        b.keys[0] = key;
        b.qtys[0] = qty;
        self.directory.push(Entry { last: key, block });
        self.len = 1;
        Change::Added
    }

    #[inline]
    fn insert(&mut self, mut d: usize, mut at: usize, key: i64, qty: i64) -> Change {
        if self.blocks[self.directory[d].block as usize].len == BLOCK {
            if !self.split(d) {
                self.drop_level(key);
                return Change::Truncated;
            }
            if at > BLOCK / 2 {
                d += 1;
                at -= BLOCK / 2;
            }
        }
        let e = &mut self.directory[d];
        let b = &mut self.blocks[e.block as usize];
        b.keys.copy_within(at..b.len, at + 1);
        b.qtys.copy_within(at..b.len, at + 1);
        b.keys[at] = key;
        b.qtys[at] = qty;
        b.len += 1;
        e.last = b.keys[b.len - 1];
        self.len += 1;
        Change::Added
    }

    /// Moves the better half of a full block into a block of its own. False only if the pool were dry.
    #[cold]
    fn split(&mut self, d: usize) -> bool {
        let Some(upper) = self.free.pop() else {
            return false;
        };
        let lower = self.directory[d].block;
        let half = BLOCK / 2;
        if let Ok([low, up]) = self.blocks.get_disjoint_mut([lower as usize, upper as usize]) {
            up.keys[..half].copy_from_slice(&low.keys[half..]);
            up.qtys[..half].copy_from_slice(&low.qtys[half..]);
            up.len = half;
            low.len = half;
            self.directory.insert(d + 1, Entry { last: self.directory[d].last, block: upper });
            self.directory[d].last = low.keys[half - 1];
        }
        true
    }

    #[cold]
    fn insert_when_full(&mut self, key: i64, qty: i64) -> Change {
        let worst = self.blocks[self.directory[0].block as usize].keys[0];
        self.drop_level(worst.min(key));
        if key > worst {
            self.remove(0, 0);
            self.set(key, qty);
        }
        Change::Truncated
    }

    #[inline]
    fn remove(&mut self, d: usize, at: usize) {
        let e = &mut self.directory[d];
        let b = &mut self.blocks[e.block as usize];
        b.keys.copy_within(at + 1..b.len, at);
        b.qtys.copy_within(at + 1..b.len, at);
        b.len -= 1;
        self.len -= 1;
        let left = b.len;
        if left > 0 {
            e.last = b.keys[left - 1];
        }
        if left <= MERGE_MAX {
            self.rebalance(d, left);
        }
    }

    #[inline]
    fn rebalance(&mut self, d: usize, left: usize) {
        if left == 0 {
            let e = self.directory.remove(d);
            self.free.push(e.block);
        } else if d > 0 && self.block_len(d - 1) + left <= MERGE_MAX {
            self.merge_with_next(d - 1);
        } else if d + 1 < self.directory.len() && self.block_len(d + 1) + left <= MERGE_MAX {
            self.merge_with_next(d);
        }
    }

    fn block_len(&self, d: usize) -> usize {
        self.blocks[self.directory[d].block as usize].len
    }

    #[cold]
    fn merge_with_next(&mut self, d: usize) {
        let gone = self.directory.remove(d + 1);
        let e = &mut self.directory[d];
        if let Ok([low, up]) = self.blocks.get_disjoint_mut([e.block as usize, gone.block as usize]) {
            low.keys[low.len..low.len + up.len].copy_from_slice(&up.keys[..up.len]);
            low.qtys[low.len..low.len + up.len].copy_from_slice(&up.qtys[..up.len]);
            low.len += up.len;
        }
        e.last = gone.last;
        self.free.push(gone.block);
    }

    /// Capacities of everything that could grow. For tests.
    #[cfg(test)]
    pub(crate) fn footprint(&self) -> (usize, usize, usize) {
        (self.directory.capacity(), self.blocks.capacity(), self.free.capacity())
    }

    /// Checks order, lengths, the directory's keys, the pair rule and that no block is lost. For tests.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let mut previous = i64::MIN;
        let mut total = 0;
        for (d, e) in self.directory.iter().enumerate() {
            let b = &self.blocks[e.block as usize];
            assert!(b.len > 0 && b.len <= BLOCK);
            assert_eq!(e.last, b.keys[b.len - 1]);
            for i in 0..b.len {
                assert!(b.keys[i] > previous, "order");
                assert!(b.qtys[i] > 0, "quantity");
                previous = b.keys[i];
            }
            if d > 0 {
                assert!(self.block_len(d - 1) + b.len > MERGE_MAX, "pair rule");
            }
            total += b.len;
        }
        assert_eq!(total, self.len);
        assert!(self.len <= self.capacity);
        assert_eq!(self.free.len() + self.directory.len(), self.blocks.len());
    }
}

impl fmt::Debug for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
