//! Orders that wait for their stop price, by the price that sets them off.

use crate::ExOrder;
use std::collections::BTreeSet;
use wire::Px;

/// Stop price, number, slot.
type Bed = (Px, u64, u32);

/// Sleeping orders: those that wait for a rise and those that wait for a fall, each by stop price, then arrival.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sleeping {
    rise: BTreeSet<Bed>,
    fall: BTreeSet<Bed>,
}

impl Sleeping {
    pub(crate) fn is_empty(&self) -> bool {
        self.rise.is_empty() && self.fall.is_empty()
    }

    /// Puts an order with a trigger to sleep.
    pub(crate) fn add(&mut self, slot: u32, order: &ExOrder) {
        if let Some((set, px)) = self.place(order) {
            set.insert((px, order.id.0, slot));
        }
    }

    /// Takes an order out; one that does not sleep is no error.
    pub(crate) fn remove(&mut self, slot: u32, order: &ExOrder) {
        if let Some((set, px)) = self.place(order) {
            set.remove(&(px, order.id.0, slot));
        }
    }

    /// Takes out every order that a trade between `low` and `high` reaches, in order of arrival: (number, slot).
    pub(crate) fn take_reached(&mut self, low: Px, high: Px) -> Vec<(u64, u32)> {
        let mut reached = Vec::new();
        while let Some(first) = self.rise.first().copied().filter(|(px, ..)| *px <= high) {
            self.rise.remove(&first);
            reached.push((first.1, first.2));
        }
        while let Some(last) = self.fall.last().copied().filter(|(px, ..)| *px >= low) {
            self.fall.remove(&last);
            reached.push((last.1, last.2));
        }
        reached.sort_unstable();
        reached
    }

    fn place(&mut self, order: &ExOrder) -> Option<(&mut BTreeSet<Bed>, Px)> {
        let trigger = order.trigger?;
        let set = if trigger.waits_for_rise(order.side) { &mut self.rise } else { &mut self.fall };
        Some((set, trigger.px))
    }
}
