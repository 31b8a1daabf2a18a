//! Price levels of the book, each a queue in order of arrival.
//!
//! Levels live in ordered maps; a queue is a doubly linked list threaded through one table indexed by order
//! slot, so that joining, leaving from the middle and taking from the front cost O(log levels).

use std::collections::BTreeMap;
use wire::{Px, Qty, Side};

const NIL: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Queue {
    head: u32,
    tail: u32,
    total: i64,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    prev: u32,
    next: u32,
}

/// Both sides of the book. Knows slots and sums, not orders.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ladder {
    bids: BTreeMap<Px, Queue>,
    asks: BTreeMap<Px, Queue>,
    links: Vec<Link>,
}

impl Ladder {
    /// Best price of a side and the total there.
    pub(crate) fn best(&self, side: Side) -> Option<(Px, Qty)> {
        let entry = match side {
            Side::Buy => self.bids.last_key_value(),
            Side::Sell => self.asks.first_key_value(),
        };
        entry.map(|(px, queue)| (*px, Qty(queue.total)))
    }

    /// The best `n` levels of a side, best first.
    pub(crate) fn levels(&self, side: Side, n: usize) -> Vec<(Px, Qty)> {
        let level = |(px, queue): (&Px, &Queue)| (*px, Qty(queue.total));
        match side {
            Side::Buy => self.bids.iter().rev().take(n).map(level).collect(),
            Side::Sell => self.asks.iter().take(n).map(level).collect(),
        }
    }

    /// Total resting at a price.
    pub(crate) fn total(&self, side: Side, px: Px) -> Qty {
        Qty(self.side(side).get(&px).map_or(0, |queue| queue.total))
    }

    /// First order in line at a price.
    pub(crate) fn front(&self, side: Side, px: Px) -> Option<u32> {
        self.side(side).get(&px).map(|queue| queue.head)
    }

    /// Every resting order of a side with its price, in the order in which it would be matched.
    pub(crate) fn in_order(&self, side: Side) -> impl Iterator<Item = (Px, u32)> {
        let (bids, asks) = match side {
            Side::Buy => (Some(self.bids.iter().rev()), None),
            Side::Sell => (None, Some(self.asks.iter())),
        };
        bids.into_iter().flatten().chain(asks.into_iter().flatten()).flat_map(|(px, queue)| {
            let next = |slot: &u32| Some(self.links[*slot as usize].next).filter(|n| *n != NIL);
            std::iter::successors(Some(queue.head), next).map(|slot| (*px, slot))
        })
    }

    /// Adds an order at the end of its level's queue. The caller has checked that the total fits.
    pub(crate) fn push(&mut self, slot: u32, side: Side, px: Px, leaves: Qty) {
        if self.links.len() <= slot as usize {
            self.links.resize(slot as usize + 1, Link { prev: NIL, next: NIL });
        }
        let queue = self.side_mut(side).entry(px).or_insert(Queue { head: NIL, tail: NIL, total: 0 });
        queue.total += leaves.0;
        let prev = std::mem::replace(&mut queue.tail, slot);
        if prev == NIL {
            queue.head = slot;
        } else {
            self.links[prev as usize].next = slot;
        }
        self.links[slot as usize] = Link { prev, next: NIL };
    }

    /// Takes a traded quantity off a level's total; the order itself leaves by [`Ladder::remove`].
    pub(crate) fn reduce(&mut self, side: Side, px: Px, qty: Qty) {
        if let Some(queue) = self.side_mut(side).get_mut(&px) {
            queue.total -= qty.0;
        }
    }

    /// Unlinks a resting order whose remainder is `leaves`; an empty level goes with it.
    pub(crate) fn remove(&mut self, slot: u32, side: Side, px: Px, leaves: Qty) {
        let Link { prev, next } = self.links[slot as usize];
        if prev != NIL {
            self.links[prev as usize].next = next;
        }
        if next != NIL {
            self.links[next as usize].prev = prev;
        }
        let levels = self.side_mut(side);
        let Some(queue) = levels.get_mut(&px) else { return };
        queue.total -= leaves.0;
        if prev == NIL {
            queue.head = next;
        }
        if next == NIL {
            queue.tail = prev;
        }
        if queue.head == NIL {
            debug_assert_eq!(queue.total, 0, "level {px:?} is empty of orders but not of quantity");
            levels.remove(&px);
        }
    }

    fn side(&self, side: Side) -> &BTreeMap<Px, Queue> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Px, Queue> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask_slots(l: &Ladder) -> Vec<u32> {
        l.in_order(Side::Sell).map(|(_, slot)| slot).collect()
    }

    #[test]
    fn leaves_from_front_middle_and_back() {
        let mut l = Ladder::default();
        for slot in 0..5 {
            l.push(slot, Side::Sell, Px(10), Qty(1 + slot as i64));
        }
        l.push(5, Side::Sell, Px(9), Qty(7));
        assert_eq!(ask_slots(&l), [5, 0, 1, 2, 3, 4]);
        assert_eq!(l.levels(Side::Sell, 9), [(Px(9), Qty(7)), (Px(10), Qty(15))]);
        l.remove(2, Side::Sell, Px(10), Qty(3));
        l.remove(0, Side::Sell, Px(10), Qty(1));
        l.remove(4, Side::Sell, Px(10), Qty(5));
        assert_eq!(ask_slots(&l), [5, 1, 3]);
        l.push(2, Side::Sell, Px(10), Qty(1));
        assert_eq!((ask_slots(&l), l.total(Side::Sell, Px(10))), (vec![5, 1, 3, 2], Qty(7)));
        l.reduce(Side::Sell, Px(9), Qty(7));
        l.remove(5, Side::Sell, Px(9), Qty(0));
        assert_eq!((l.best(Side::Sell), l.best(Side::Buy)), (Some((Px(10), Qty(7))), None));
        assert_eq!(l.front(Side::Sell, Px(10)), Some(1));
    }
}
