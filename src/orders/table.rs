//! The table of orders and the open risk it adds up to.

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transitions;
#[cfg(test)]
mod twin;

use wire::{InstrumentId, OrderId, OrderState, Px, Qty, QueryStatus, Side, Slot, Ts};

use crate::executions::Executions;
use crate::id_map::IdMap;
use crate::order::{Applied, Fill, Order, OrderEntry, Risk};

/// Slots that a client order id can name.
const SLOTS_MAX: usize = 1 << 16;
/// Instruments that [`OrderTable::with_capacity`] provides for.
const INSTRUMENTS_DEFAULT: usize = 64;

/// Why an order was not taken. The table is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// Every slot is in use.
    #[error("order table is full: {capacity} orders")]
    Full {
        /// Slots.
        capacity: usize,
    },
    /// An order with this id is in the table.
    #[error("order id {id:?} is already in the table")]
    Duplicate {
        /// The id.
        id: OrderId,
    },
    /// Price or quantity is zero or less.
    #[error("price {px:?} and quantity {qty:?} must be positive")]
    NotPositive {
        /// Price.
        px: Px,
        /// Quantity.
        qty: Qty,
    },
    /// The table was not made for this instrument.
    #[error("instrument {instrument:?} is beyond the {instruments} that the table was made for")]
    Instrument {
        /// The instrument.
        instrument: InstrumentId,
        /// How many the table was made for.
        instruments: usize,
    },
}

/// Open risk of one instrument: every order that has not ended, pending and unknown ones included, with the
/// quantity that may still execute or has executed unseen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Orders that have not ended.
    pub open_orders: u32,
    /// Sum of their quantities on the buy side, saturated at `i64::MAX`.
    pub open_buy_qty: i64,
    /// Sum of their quantities on the sell side, saturated at `i64::MAX`.
    pub open_sell_qty: i64,
    /// Highest price of an open buy order that can rest; zero when there is none.
    pub own_bid_px: Px,
    /// Lowest price of an open sell order that can rest; zero when there is none.
    pub own_ask_px: Px,
}

/// Reports that were more than the plain course of an order, since the table was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Reports for an order that had ended.
    pub late: u64,
    /// Reports that said what was known.
    pub duplicate: u64,
    /// Reports that contradict others.
    pub conflict: u64,
    /// Executions beyond the order's quantity.
    pub overfill: u64,
    /// Reports with impossible values.
    pub invalid: u64,
    /// Reports for a free slot.
    pub no_order: u64,
    /// Orders that lived after they had been given up.
    pub reopened: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Sums {
    orders: u32,
    qty: [i128; 2],
    best: [i64; 2],
}

/// Every order that has not been released, in fixed slots.
///
/// Capacity is taken at construction; nothing allocates afterwards. A slot is free again only after
/// [`OrderTable::release`], and free slots are reused oldest first, so a stray late report finds an empty slot
/// rather than a stranger. An insert, a report and a release together take some 30 ns.
#[derive(Clone)]
pub struct OrderTable {
    slots: Vec<Option<Order>>,
    generations: Vec<u32>,
    /// Slots in use, dense, and where each slot stands in it.
    used: Vec<u32>,
    used_at: Vec<u32>,
    /// Free slots as a queue: `free[(head + i) % capacity]`, `capacity - used.len()` of them.
    free: Vec<u32>,
    free_head: usize,
    ids: IdMap,
    executions: Executions,
    sums: Vec<Sums>,
    tally: Tally,
}

impl OrderTable {
    /// A table of `orders` slots (1 to 65 536, the nearest is taken) for instruments 0 to 63.
    pub fn with_capacity(orders: usize) -> OrderTable {
        OrderTable::with_instruments(orders, INSTRUMENTS_DEFAULT)
    }

    /// A table of `orders` slots (1 to 65 536, the nearest is taken) for instruments `0..instruments`.
    pub fn with_instruments(orders: usize, instruments: usize) -> OrderTable {
        let orders = orders.clamp(1, SLOTS_MAX);
        OrderTable {
            slots: vec![None; orders],
            generations: vec![0; orders],
            used: Vec::with_capacity(orders),
            used_at: vec![0; orders],
            free: (0..orders as u32).collect(),
            free_head: 0,
            ids: IdMap::with_capacity(orders),
            executions: Executions::with_capacity(orders),
            sums: vec![Sums::default(); instruments],
            tally: Tally::default(),
        }
    }

    /// Takes a new order as `Pending`.
    ///
    /// # Errors
    /// The table is full, the id is known, a number is not positive, or the instrument is not of this table.
    #[inline]
    pub fn insert(&mut self, order: &OrderEntry) -> Result<Slot, InsertError> {
        let capacity = self.slots.len();
        if order.px.0 <= 0 || order.qty.0 <= 0 {
            return Err(InsertError::NotPositive { px: order.px, qty: order.qty });
        }
        if order.instrument.0 as usize >= self.sums.len() {
            let instruments = self.sums.len();
            return Err(InsertError::Instrument { instrument: order.instrument, instruments });
        }
        if self.ids.get(order.id).is_some() {
            return Err(InsertError::Duplicate { id: order.id });
        }
        if self.used.len() == capacity {
            return Err(InsertError::Full { capacity });
        }
        let slot = self.free[self.free_head];
        self.free_head = (self.free_head + 1) % capacity;
        self.used_at[slot as usize] = self.used.len() as u32;
        self.used.push(slot);
        let entered = Order::new(order, self.generations[slot as usize]);
        let risk = entered.risk();
        self.slots[slot as usize] = Some(entered);
        self.ids.insert(order.id, Slot(slot));
        self.carry(order.instrument, order.side, order.px, Risk::default(), risk);
        Ok(Slot(slot))
    }

    /// Slot of an order that has not been released.
    #[inline]
    pub fn by_id(&self, id: OrderId) -> Option<Slot> {
        self.ids.get(id)
    }

    /// The order in a slot, `None` when the slot is free or does not exist.
    #[inline]
    pub fn get(&self, slot: Slot) -> Option<&Order> {
        self.slots.get(slot.0 as usize)?.as_ref()
    }

    /// Whether the slot still holds the order that it held when `generation` was read from it.
    #[inline]
    pub fn is_current(&self, slot: Slot, generation: u32) -> bool {
        self.get(slot).is_some_and(|o| o.generation == generation)
    }

    /// Every order not released, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Order)> + '_ {
        self.used.iter().filter_map(|&s| self.get(Slot(s)).map(|o| (Slot(s), o)))
    }

    /// Orders not released.
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// Whether every slot is free.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    /// Slots.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Frees a slot whose order has ended with every execution known. Returns whether it was freed.
    ///
    /// An order given up on our own conclusion (a query that found nothing) should be kept for a while: a late
    /// report can only reopen it while it is here.
    pub fn release(&mut self, slot: Slot) -> bool {
        let id = match self.get(slot) {
            Some(order) if order.is_done() => order.id,
            _ => return false,
        };
        let (at, capacity) = (slot.0 as usize, self.slots.len());
        self.ids.remove(id);
        self.executions.forget(slot);
        self.slots[at] = None;
        self.generations[at] = self.generations[at].wrapping_add(1);
        self.free[(self.free_head + capacity - self.used.len()) % capacity] = slot.0;
        let hole = self.used_at[at] as usize;
        self.used.swap_remove(hole);
        if let Some(&moved) = self.used.get(hole) {
            self.used_at[moved as usize] = hole as u32;
        }
        true
    }

    /// The gateway handed the order to the kernel.
    #[inline]
    pub fn on_sent(&mut self, slot: Slot, now: Ts) -> Applied {
        self.report(slot, |o, _| o.on_sent(now))
    }

    /// The gateway refused before the wire: the new order, or, when that is out, its cancel.
    #[inline]
    pub fn on_not_sent(&mut self, slot: Slot) -> Applied {
        self.report(slot, |o, _| o.on_not_sent())
    }

    /// The venue accepted; `venue_order_id` 0 = not said.
    #[inline]
    pub fn on_acked(&mut self, slot: Slot, venue_order_id: u64) -> Applied {
        self.report(slot, |o, _| o.on_acked(venue_order_id))
    }

    /// The venue refused the new order.
    #[inline]
    pub fn on_rejected(&mut self, slot: Slot) -> Applied {
        self.report(slot, |o, _| o.on_rejected())
    }

    /// A stop order has triggered: it works in the book now.
    #[inline]
    pub fn on_triggered(&mut self, slot: Slot) -> Applied {
        self.report(slot, |o, _| o.on_triggered())
    }

    /// An execution, from a report or from a list that the venue gave when asked. Book it in the
    /// [`crate::Ledger`] exactly when the answer is [`Applied::Fill`]: each trade id is answered so once.
    #[inline]
    pub fn on_fill(&mut self, slot: Slot, fill: Fill) -> Applied {
        self.report(slot, |o, executions| o.on_fill(slot, &fill, executions))
    }

    /// A cancel was handed to the gateway.
    #[inline]
    pub fn on_cancel_sent(&mut self, slot: Slot) -> Applied {
        self.report(slot, |o, _| o.on_cancel_sent())
    }

    /// The order is gone by cancel, after `cum_qty` of executions.
    #[inline]
    pub fn on_cancelled(&mut self, slot: Slot, cum_qty: Qty) -> Applied {
        self.report(slot, |o, _| o.on_end(OrderState::Cancelled, cum_qty))
    }

    /// The order is gone otherwise, after `cum_qty` of executions.
    #[inline]
    pub fn on_expired(&mut self, slot: Slot, cum_qty: Qty) -> Applied {
        self.report(slot, |o, _| o.on_end(OrderState::Expired, cum_qty))
    }

    /// The venue refused a cancel. The order is open again as far as we know; a venue that says "no such order"
    /// deserves a query.
    #[inline]
    pub fn on_cancel_rejected(&mut self, slot: Slot) -> Applied {
        self.report(slot, |o, _| o.on_cancel_rejected())
    }

    /// Nobody knows: request lost, timed out, or the connection is gone.
    #[inline]
    pub fn on_unknown(&mut self, slot: Slot) -> Applied {
        self.report(slot, |o, _| o.on_unknown())
    }

    /// Answer to a query; `venue_order_id` 0 = not said. `NotFound` is believed of an order that was never accepted:
    /// whoever may still have it on the way to the venue says [`OrderTable::on_unknown`] instead, and asks again.
    #[inline]
    pub fn on_query(
        &mut self,
        slot: Slot,
        status: QueryStatus,
        venue_order_id: u64,
        cum_qty: Qty,
    ) -> Applied {
        self.report(slot, |o, _| o.on_query(status, venue_order_id, cum_qty))
    }

    /// Open risk of an instrument.
    #[inline]
    pub fn exposure(&self, instrument: InstrumentId) -> Exposure {
        self.sums.get(instrument.0 as usize).map_or(Exposure::default(), |s| Exposure {
            open_orders: s.orders,
            open_buy_qty: i64::try_from(s.qty[0]).unwrap_or(i64::MAX),
            open_sell_qty: i64::try_from(s.qty[1]).unwrap_or(i64::MAX),
            own_bid_px: Px(s.best[0]),
            own_ask_px: Px(s.best[1]),
        })
    }

    /// The same, added up from every order: what [`OrderTable::exposure`] must equal.
    pub fn exposure_recount(&self, instrument: InstrumentId) -> Exposure {
        let open = || self.iter().map(|(_, o)| o).filter(|o| o.instrument == instrument && !o.is_done());
        let qty = |side| {
            let sum: i128 = open().filter(|o| o.side == side).map(|o| o.leaves().0 as i128).sum();
            i64::try_from(sum).unwrap_or(i64::MAX)
        };
        let resting = |side| open().filter(move |o| o.side == side && o.can_rest()).map(|o| o.px);
        Exposure {
            open_orders: open().count() as u32,
            open_buy_qty: qty(Side::Buy),
            open_sell_qty: qty(Side::Sell),
            own_bid_px: resting(Side::Buy).max().unwrap_or_default(),
            own_ask_px: resting(Side::Sell).min().unwrap_or_default(),
        }
    }

    /// Orders that no report is clear about. [`Order::open_question`] says what to ask the venue about each, and
    /// [`Order::missing`] the quantity whose executions are missing.
    pub fn unknown(&self) -> impl Iterator<Item = Slot> + '_ {
        self.iter().filter(|(_, o)| o.state == OrderState::Unknown).map(|(s, _)| s)
    }

    /// Reports beside the plain course.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    #[inline]
    fn report(&mut self, slot: Slot, apply: impl FnOnce(&mut Order, &mut Executions) -> Applied) -> Applied {
        let Some(order) = self.slots.get_mut(slot.0 as usize).and_then(Option::as_mut) else {
            self.tally.no_order += 1;
            return Applied::NoOrder;
        };
        let before = order.risk();
        let applied = apply(order, &mut self.executions);
        let after = order.risk();
        if before != after {
            let (instrument, side, px) = (order.instrument, order.side, order.px);
            self.carry(instrument, side, px, before, after);
        }
        self.tally.reopened += (!before.open && after.open) as u64;
        match applied {
            Applied::State(_) => {}
            Applied::Fill { .. } => self.tally.late += !before.open as u64,
            Applied::Late => self.tally.late += 1,
            Applied::Duplicate => self.tally.duplicate += 1,
            Applied::Conflict => self.tally.conflict += 1,
            Applied::Overfill { .. } => self.tally.overfill += 1,
            Applied::Invalid => self.tally.invalid += 1,
            Applied::NoOrder => self.tally.no_order += 1,
        }
        applied
    }

    /// Brings the sums from what an order added before to what it adds now; the table already holds it as it is
    /// now.
    #[inline]
    fn carry(&mut self, instrument: InstrumentId, side: Side, px: Px, before: Risk, after: Risk) {
        let at = instrument.0 as usize;
        let Some(sums) = self.sums.get_mut(at) else {
            return;
        };
        sums.orders = sums.orders + after.open as u32 - before.open as u32;
        sums.qty[side as usize] += after.leaves as i128 - before.leaves as i128;
        let best = &mut sums.best[side as usize];
        if after.rests {
            if *best == 0 || better(side, px.0, *best) {
                *best = px.0;
            }
        } else if before.rests && px.0 == *best {
            let best = self.best_open_px(instrument, side);
            self.sums[at].best[side as usize] = best;
        }
    }

    /// Best price of the open resting orders of a side; zero when there is none. Runs when the best order has
    /// ended, over the orders in use.
    fn best_open_px(&self, instrument: InstrumentId, side: Side) -> i64 {
        let mut best = 0;
        for (_, o) in self.iter() {
            let counts = o.instrument == instrument && o.side == side && o.can_rest() && !o.is_done();
            if counts && (best == 0 || better(side, o.px.0, best)) {
                best = o.px.0;
            }
        }
        best
    }
}

#[inline]
fn better(side: Side, px: i64, than: i64) -> bool {
    match side {
        Side::Buy => px > than,
        Side::Sell => px < than,
    }
}
