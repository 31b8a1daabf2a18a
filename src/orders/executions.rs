//! Which executions of each order are known, so that none is booked twice.
//!
//! An execution reaches us by two roads: as a report, with the order's cumulative quantity after it, and in a
//! list that the venue gives when asked, without one. Its identity on both is the venue's trade id, unique within
//! the order. The cumulative quantity is a second witness: it gives the execution its place in the order, and two
//! executions at one place contradict each other. A venue without trade ids (0) is served by the place alone.
//!
//! Memory is one pool for all orders, taken at construction. When it is used up, an execution with a place is
//! still taken, by its place; one from a list is refused, because nothing could tell it from those.

use wire::Slot;

use crate::place::{Cover, Covered};

/// Trade ids held at once, for each order of the table on average.
const IDS_PER_ORDER: usize = 8;
/// Fewest trade ids that a table holds.
const IDS_MIN: usize = 64;

const NONE: u32 = u32::MAX;

/// An execution to be judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Execution {
    /// The venue's id, 0 = none.
    pub(crate) trade_id: u64,
    /// Quantity, positive.
    pub(crate) qty: i64,
    /// Cumulative quantity before and after it, `0 <= from < to`; `None` when it comes from a list.
    pub(crate) place: Option<(i64, i64)>,
    /// Quantity that the order has left for executions not yet known.
    pub(crate) room: i64,
}

/// What an execution is to those known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admit {
    /// New; it is known now.
    New,
    /// Known before.
    Known,
    /// More than the order has room for, by this quantity. Nothing changed.
    Beyond(i64),
    /// It contradicts those known, or cannot be told from them. Nothing changed.
    Contradiction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Known {
    /// Places of the executions that came with one.
    covered: Covered,
    /// Head of the chain of trade ids, newest first.
    first: u32,
    /// Highest trade id. Ids rise on most venues, so a new one is mostly known as new by this alone.
    id_max: u64,
    /// Some execution is known by its place alone.
    by_place: bool,
    /// Some execution is known by its trade id alone.
    by_id: bool,
}

const UNTOUCHED: Known =
    Known { covered: Covered::NOTHING, first: NONE, id_max: 0, by_place: false, by_id: false };

#[derive(Clone, Copy, Debug)]
struct Cell {
    id: u64,
    next: u32,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Executions {
    orders: Vec<Known>,
    cells: Vec<Cell>,
    /// Head of the chain of free cells.
    free: u32,
}

impl Executions {
    pub(crate) fn with_capacity(orders: usize) -> Executions {
        Executions::with_ids(orders, (orders * IDS_PER_ORDER).max(IDS_MIN))
    }

    fn with_ids(orders: usize, ids: usize) -> Executions {
        let next = |i: usize| if i + 1 < ids { i as u32 + 1 } else { NONE };
        Executions {
            orders: vec![UNTOUCHED; orders],
            cells: (0..ids).map(|i| Cell { id: 0, next: next(i) }).collect(),
            free: if ids > 0 { 0 } else { NONE },
        }
    }

    /// Judges an execution and, when it is new and fits, makes it known.
    ///
    /// Costs a few steps for an execution with the highest trade id yet, else at most one for each known
    /// execution of the order.
    pub(crate) fn admit(&mut self, slot: Slot, e: &Execution) -> Admit {
        if self.holds(slot, e.trade_id) {
            return Admit::Known;
        }
        let Some(known) = self.orders.get_mut(slot.0 as usize) else {
            return Admit::Contradiction;
        };
        // On a copy, so that a refusal changes nothing.
        let mut covered = known.covered;
        let mut placed = false;
        if let Some((from, to)) = e.place {
            match covered.cover(from, to) {
                Cover::Overlap => return Admit::Contradiction,
                // Its place is taken by an execution with another id, or by one whose id was not kept.
                Cover::Duplicate if e.trade_id == 0 || known.by_place => return Admit::Known,
                Cover::Duplicate => return Admit::Contradiction,
                Cover::New => placed = true,
                Cover::TooMany => {}
            }
        }
        let told_apart = if e.trade_id == 0 { placed && !known.by_id } else { placed || !known.by_place };
        if !told_apart {
            return Admit::Contradiction;
        }
        if e.qty > e.room {
            return Admit::Beyond(e.qty - e.room);
        }
        let kept = e.trade_id != 0 && self.keep(slot, e.trade_id);
        if !kept && !placed {
            return Admit::Contradiction;
        }
        if let Some(known) = self.orders.get_mut(slot.0 as usize) {
            known.covered = covered;
            known.by_place |= !kept;
            known.by_id |= !placed;
        }
        Admit::New
    }

    /// Forgets the executions of an order, for the next one in its slot.
    pub(crate) fn forget(&mut self, slot: Slot) {
        let Some(known) = self.orders.get_mut(slot.0 as usize) else { return };
        let mut at = known.first;
        if at == NONE && !known.by_place {
            return; // it never executed
        }
        *known = UNTOUCHED;
        while let Some(cell) = self.cells.get_mut(at as usize) {
            let next = cell.next;
            cell.next = self.free;
            self.free = at;
            at = next;
        }
    }

    fn holds(&self, slot: Slot, trade_id: u64) -> bool {
        let Some(known) = self.orders.get(slot.0 as usize) else { return false };
        if trade_id == 0 || trade_id > known.id_max {
            return false;
        }
        let mut at = known.first;
        while let Some(cell) = self.cells.get(at as usize) {
            if cell.id == trade_id {
                return true;
            }
            at = cell.next;
        }
        false
    }

    /// Keeps a trade id; `false` when the pool is used up.
    fn keep(&mut self, slot: Slot, trade_id: u64) -> bool {
        let at = self.free;
        let Some(cell) = self.cells.get_mut(at as usize) else { return false };
        let Some(known) = self.orders.get_mut(slot.0 as usize) else { return false };
        self.free = cell.next;
        *cell = Cell { id: trade_id, next: known.first };
        known.first = at;
        known.id_max = known.id_max.max(trade_id);
        true
    }

    /// What is known of an order, without where in the pool it lies. For tests.
    #[cfg(test)]
    pub(crate) fn known(&self, slot: Slot) -> (impl Eq + std::hash::Hash + Copy + use<>, Vec<u64>) {
        let known = self.orders[slot.0 as usize];
        let mut ids = Vec::new();
        let mut at = known.first;
        while at != NONE {
            ids.push(self.cells[at as usize].id);
            at = self.cells[at as usize].next;
        }
        ids.sort_unstable();
        (Known { first: 0, ..known }, ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Slot = Slot(0);

    fn report(trade_id: u64, from: i64, to: i64) -> Execution {
        Execution { trade_id, qty: to - from, place: Some((from, to)), room: 1_000 }
    }

    fn listed(trade_id: u64, qty: i64) -> Execution {
        Execution { trade_id, qty, place: None, room: 1_000 }
    }

    #[test]
    fn either_road_first_and_an_execution_is_known_once() {
        let mut e = Executions::with_ids(2, 16);
        assert_eq!(e.admit(S, &report(7, 0, 10)), Admit::New);
        assert_eq!(e.admit(S, &listed(7, 10)), Admit::Known);
        assert_eq!(e.admit(S, &listed(9, 5)), Admit::New);
        assert_eq!(e.admit(S, &report(9, 20, 25)), Admit::Known);
        assert_eq!(e.admit(S, &report(8, 10, 20)), Admit::New);
        assert_eq!(e.admit(S, &listed(8, 10)), Admit::Known);
        // Another order knows nothing of it.
        assert_eq!(e.admit(Slot(1), &listed(8, 10)), Admit::New);
        assert_eq!(e.admit(Slot(2), &listed(8, 10)), Admit::Contradiction, "no such order");
    }

    #[test]
    fn one_place_under_two_ids_is_a_contradiction() {
        let mut e = Executions::with_ids(1, 16);
        assert_eq!(e.admit(S, &report(7, 0, 10)), Admit::New);
        for bad in [report(8, 0, 10), report(8, 5, 15), report(6, 0, 10)] {
            assert_eq!(e.admit(S, &bad), Admit::Contradiction);
        }
        assert_eq!(e.admit(S, &report(8, 10, 20)), Admit::New, "the refused ones left nothing");
    }

    #[test]
    fn without_ids_the_place_serves_and_the_two_do_not_mix() {
        let mut e = Executions::with_ids(1, 16);
        assert_eq!(e.admit(S, &report(0, 0, 10)), Admit::New);
        assert_eq!(e.admit(S, &report(0, 0, 10)), Admit::Known);
        assert_eq!(e.admit(S, &listed(5, 10)), Admit::Contradiction, "perhaps the one without an id");
        assert_eq!(e.admit(S, &report(5, 10, 20)), Admit::New, "its place tells it apart");
        let mut e = Executions::with_ids(1, 16);
        assert_eq!(e.admit(S, &listed(5, 10)), Admit::New);
        assert_eq!(e.admit(S, &report(0, 0, 10)), Admit::Contradiction, "perhaps the listed one");
        assert_eq!(e.admit(S, &listed(0, 10)), Admit::Contradiction);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_not_remembered() {
        let mut e = Executions::with_ids(1, 16);
        for beyond in [Execution { room: 4, ..report(7, 0, 10) }, Execution { room: 4, ..listed(7, 10) }] {
            assert_eq!(e.admit(S, &beyond), Admit::Beyond(6));
        }
        assert_eq!(e.admit(S, &report(7, 0, 10)), Admit::New);
        assert_eq!(e.admit(S, &Execution { room: 0, ..report(7, 0, 10) }), Admit::Known);
    }

    #[test]
    fn a_full_pool_knows_reports_by_their_place_and_refuses_lists() {
        let mut e = Executions::with_ids(2, 2);
        assert_eq!(e.admit(S, &report(1, 0, 1)), Admit::New);
        assert_eq!(e.admit(S, &report(2, 1, 2)), Admit::New);
        assert_eq!(e.admit(S, &report(3, 2, 3)), Admit::New);
        assert_eq!(e.admit(S, &report(3, 2, 3)), Admit::Known);
        assert_eq!(e.admit(S, &listed(4, 1)), Admit::Contradiction);
        assert_eq!(e.admit(Slot(1), &listed(4, 1)), Admit::Contradiction);
        e.forget(S);
        assert_eq!(e.admit(Slot(1), &listed(4, 1)), Admit::New);
        assert_eq!(e.admit(S, &report(1, 0, 1)), Admit::New, "forgotten");
        assert_eq!(e.admit(S, &report(2, 1, 2)), Admit::New);
        let none = Executions::with_ids(1, 0);
        assert_eq!(none.free, NONE);
    }

    #[test]
    fn with_an_id_more_may_wait_than_places_can_be_kept() {
        let mut e = Executions::with_ids(1, 64);
        for i in 1..=20 {
            assert_eq!(e.admit(S, &report(i as u64, 10 * i, 10 * i + 1)), Admit::New);
            assert_eq!(e.admit(S, &report(i as u64, 10 * i, 10 * i + 1)), Admit::Known);
        }
        let mut e = Executions::with_ids(1, 64);
        let taken = (1..=20).filter(|i| e.admit(S, &report(0, 10 * i, 10 * i + 1)) == Admit::New).count();
        assert_eq!(taken, 8, "without one, places are all there is");
    }

    #[test]
    fn ids_in_any_order_are_each_known_once_and_cells_come_back() {
        let mut state = 5u64;
        let mut next = move |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % n
        };
        let mut e = Executions::with_ids(3, 120);
        let mut twin = [(); 3].map(|()| std::collections::HashSet::new());
        for _ in 0..20_000 {
            let s = next(3) as usize;
            if next(60) == 0 {
                e.forget(Slot(s as u32));
                twin[s].clear();
                continue;
            }
            let id = 1 + next(40);
            let expect = if twin[s].insert(id) { Admit::New } else { Admit::Known };
            assert_eq!(e.admit(Slot(s as u32), &listed(id, 1)), expect);
        }
        (0..3).for_each(|s| e.forget(Slot(s)));
        let fresh = (1..=121).filter(|&id| e.admit(S, &listed(id, 1)) == Admit::New).count();
        assert_eq!(fresh, 120, "every cell is free again");
    }
}
