//! Order id to slot: open addressing in a fixed array, linear probing, no tombstones.
//!
//! The array has at least twice as many cells as orders, so a probe ends soon and always. Removal moves later
//! cells of the same run back, so the map never degrades and never needs a rebuild.

use wire::{OrderId, Slot};

#[derive(Clone, Copy)]
struct Cell {
    id: u64,
    /// Slot + 1; 0 = empty.
    slot: u32,
}

const EMPTY: Cell = Cell { id: 0, slot: 0 };

#[derive(Clone)]
pub(crate) struct IdMap {
    cells: Vec<Cell>,
    shift: u32,
}

impl IdMap {
    pub(crate) fn with_capacity(orders: usize) -> IdMap {
        let bits = (orders.max(1) * 2).next_power_of_two().trailing_zeros().max(1);
        IdMap { cells: vec![EMPTY; 1 << bits], shift: 64 - bits }
    }

    #[inline]
    fn home(&self, id: u64) -> usize {
        // Multiplicative hashing: ids are counters, so the high bits of the product spread evenly.
        (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    /// Cell of `id`, or the empty cell that ends its run.
    #[inline]
    fn find(&self, id: u64) -> usize {
        let mask = self.cells.len() - 1;
        let mut at = self.home(id);
        while self.cells[at].slot != 0 && self.cells[at].id != id {
            at = (at + 1) & mask;
        }
        at
    }

    #[inline]
    pub(crate) fn get(&self, id: OrderId) -> Option<Slot> {
        self.cells[self.find(id.0)].slot.checked_sub(1).map(Slot)
    }

    /// The caller keeps the number of ids at or below the capacity, and inserts no id twice.
    #[inline]
    pub(crate) fn insert(&mut self, id: OrderId, slot: Slot) {
        let at = self.find(id.0);
        self.cells[at] = Cell { id: id.0, slot: slot.0 + 1 };
    }

    #[inline]
    pub(crate) fn remove(&mut self, id: OrderId) {
        let mask = self.cells.len() - 1;
        let mut hole = self.find(id.0);
        if self.cells[hole].slot == 0 {
            return;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            if self.cells[at].slot == 0 {
                break;
            }
            // A cell may fill the hole unless its home lies cyclically after the hole.
            let home = self.home(self.cells[at].id);
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.cells[hole] = self.cells[at];
                hole = at;
            }
        }
        self.cells[hole] = EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn random_traffic_equals_a_hash_map() {
        for capacity in [1usize, 2, 7, 64] {
            let mut map = IdMap::with_capacity(capacity);
            let mut twin: HashMap<u64, u32> = HashMap::new();
            let mut state = 11u64;
            for _ in 0..50_000 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                // Few distinct ids, so that runs collide and wrap; the zero id included.
                let id = (state >> 33) % (3 * capacity as u64);
                let id = if state & 4 == 0 { id } else { id << 48 };
                if twin.contains_key(&id) {
                    map.remove(OrderId(id));
                    twin.remove(&id);
                } else if twin.len() < capacity {
                    map.insert(OrderId(id), Slot((state >> 20) as u32 & 0xffff));
                    twin.insert(id, (state >> 20) as u32 & 0xffff);
                }
                for k in 0..3 * capacity as u64 {
                    for id in [k, k << 48] {
                        assert_eq!(map.get(OrderId(id)).map(|s| s.0), twin.get(&id).copied());
                    }
                }
            }
        }
    }
}
