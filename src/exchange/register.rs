//! All orders: open ones, and each account's latest done ones.

use crate::{AccountIx, ExOrder, ExOrderId, OrderKind, Submit};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use wire::{OrderState, Px, Qty, Ts};

/// Done orders that stay queryable, per account; the oldest goes first. Keeps memory bounded over days.
pub const DONE_KEPT_PER_ACCOUNT: usize = 1024;

/// Orders in a table of reused slots, found by number and by account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Register {
    orders: Vec<ExOrder>,
    free: Vec<u32>,
    by_id: HashMap<u64, u32, BuildHasherDefault<IdHasher>>,
    by_account: Vec<OfAccount>,
    last_id: u64,
}

#[derive(Clone, Debug, Default)]
struct OfAccount {
    open: BTreeMap<ExOrderId, u32>,
    done: VecDeque<u32>,
}

impl Register {
    /// Makes room for one more account; called once per account, in order.
    pub(crate) fn add_account(&mut self) {
        self.by_account.push(OfAccount::default());
    }

    /// Records a new open order of an existing account; returns its slot.
    pub(crate) fn open(&mut self, now: Ts, account: AccountIx, submit: &Submit) -> u32 {
        self.last_id += 1;
        let id = ExOrderId(self.last_id);
        let order = ExOrder {
            id,
            account,
            token: submit.token,
            side: submit.side,
            px: if submit.kind == OrderKind::Market { Px(0) } else { submit.px },
            qty: submit.qty,
            cum: Qty(0),
            quote_cum: 0,
            kind: submit.kind,
            tif: submit.tif,
            stp: submit.stp,
            trigger: submit.trigger,
            working: submit.trigger.is_none(),
            pair: 0,
            holds: true,
            state: OrderState::Live,
            ts_accepted: now,
            ts_changed: now,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.orders[slot as usize] = order;
                slot
            }
            None => {
                self.orders.push(order);
                (self.orders.len() - 1) as u32
            }
        };
        self.by_id.insert(id.0, slot);
        self.by_account[account.0 as usize].open.insert(id, slot);
        slot
    }

    /// Moves an order that is no longer open to its account's done ones. The slot stays readable at least until
    /// the account's next order is done.
    pub(crate) fn close(&mut self, slot: u32) {
        let order = &self.orders[slot as usize];
        debug_assert!(!order.is_open());
        let of = &mut self.by_account[order.account.0 as usize];
        of.open.remove(&order.id);
        of.done.push_back(slot);
        if of.done.len() > DONE_KEPT_PER_ACCOUNT
            && let Some(oldest) = of.done.pop_front()
        {
            self.by_id.remove(&self.orders[oldest as usize].id.0);
            self.free.push(oldest);
        }
    }

    pub(crate) fn get(&self, slot: u32) -> &ExOrder {
        &self.orders[slot as usize]
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> &mut ExOrder {
        &mut self.orders[slot as usize]
    }

    pub(crate) fn find(&self, id: ExOrderId) -> Option<&ExOrder> {
        self.by_id.get(&id.0).map(|slot| self.get(*slot))
    }

    pub(crate) fn open_slot(&self, account: AccountIx, id: ExOrderId) -> Option<u32> {
        self.by_account.get(account.0 as usize)?.open.get(&id).copied()
    }

    pub(crate) fn oldest_open(&self, account: AccountIx) -> Option<ExOrderId> {
        self.by_account.get(account.0 as usize)?.open.first_key_value().map(|(id, _)| *id)
    }

    pub(crate) fn open_count(&self, account: AccountIx) -> usize {
        self.by_account.get(account.0 as usize).map_or(0, |of| of.open.len())
    }

    pub(crate) fn open_orders(&self, account: AccountIx) -> impl Iterator<Item = &ExOrder> {
        self.by_account
            .get(account.0 as usize)
            .into_iter()
            .flat_map(|of| of.open.values())
            .map(|slot| self.get(*slot))
    }
}

/// Order numbers are dense and our own: one multiplication spreads them, with no random state.
#[derive(Clone, Copy, Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u64(*b as u64);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Side;

    #[test]
    fn done_orders_are_kept_in_bounded_number_and_slots_reused() {
        let mut r = Register::default();
        r.add_account();
        let submit = Submit::limit(Side::Buy, Px(1), Qty(1));
        let n = DONE_KEPT_PER_ACCOUNT as u64 + 10;
        for _ in 0..n {
            let slot = r.open(Ts(0), AccountIx(0), &submit);
            r.get_mut(slot).state = OrderState::Cancelled;
            r.close(slot);
        }
        assert_eq!(r.find(ExOrderId(10)), None);
        assert_eq!(r.find(ExOrderId(11)).map(|o| o.id), Some(ExOrderId(11)));
        assert_eq!(r.find(ExOrderId(n)).map(|o| o.state), Some(OrderState::Cancelled));
        assert_eq!(r.orders.len(), DONE_KEPT_PER_ACCOUNT + 1);
        assert_eq!((r.open_count(AccountIx(0)), r.open_count(AccountIx(9))), (0, 0));
    }
}
