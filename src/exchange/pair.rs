//! Pairs of orders of which one at most is carried out (one cancels the other).

use crate::clearing::Clearing;
use crate::ledger::Amounts;
use crate::{AccountIx, ExEvent, ExOrderId, ExpireReason, Submit};
use wire::Ts;

/// Two open orders of one side and quantity. What they lock together is what the dearer of them needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) slots: [u32; 2],
    account: AccountIx,
    /// Locked beyond what the orders hold themselves.
    extra: Amounts,
}

impl Clearing {
    /// Checks the balance for two judged orders, locks, records and announces them. Returns their slots.
    pub(crate) fn accept_pair(
        &mut self,
        now: Ts,
        account: AccountIx,
        orders: &[Submit; 2],
        out: &mut Vec<ExEvent>,
    ) -> Result<[u32; 2], crate::ExReject> {
        let locks = orders.map(|o| self.rules.lock(o.side, o.kind, o.px, o.qty));
        let whole =
            Amounts { base: locks[0].base.max(locks[1].base), quote: locks[0].quote.max(locks[1].quote) };
        self.afford(account, whole)?;
        let mut extra = whole;
        for (order, lock) in orders.iter().zip(locks) {
            if order.trigger.is_none() {
                extra = Amounts { base: extra.base - lock.base, quote: extra.quote - lock.quote };
            }
        }
        let slots = orders.each_ref().map(|order| {
            let slot = self.orders.open(now, account, order);
            if order.trigger.is_some() {
                self.orders.get_mut(slot).holds = false;
            }
            slot
        });
        self.ledger.lock(account, whole);
        let pair = self.orders.get(slots[0]).id.0;
        self.pairs.insert(pair, Pair { slots, account, extra });
        for slot in slots {
            self.orders.get_mut(slot).pair = pair;
            self.announce(now, slot, out);
        }
        Ok(slots)
    }

    /// The pair that an order belongs to.
    pub(crate) fn pair(&self, slot: u32) -> Option<Pair> {
        self.pairs.get(&self.orders.get(slot).pair).copied()
    }

    /// The other order of a pair, while both are open.
    pub(crate) fn partner(&self, slot: u32) -> Option<u32> {
        self.pair(slot)?.slots.into_iter().find(|other| *other != slot)
    }

    /// Ends the pair of an order that traded, ended or woke: its partner expires, and what they locked together is
    /// given back. The partner has left the book before.
    pub(crate) fn part(&mut self, now: Ts, slot: u32, out: &mut Vec<ExEvent>) {
        let Some(partner) = self.partner(slot) else { return };
        let freed = self.unpair(slot);
        if self.orders.get(partner).is_open() {
            self.expire(now, partner, ExpireReason::PairDone, out);
        }
        self.give_back(freed);
    }

    /// Forgets the pair of an order; what it locked beyond its orders is the caller's to give back, after they ended.
    pub(crate) fn unpair(&mut self, slot: u32) -> Option<Pair> {
        let pair = self.pairs.remove(&self.orders.get(slot).pair)?;
        for slot in pair.slots {
            self.orders.get_mut(slot).pair = 0;
        }
        Some(pair)
    }

    /// Unlocks what a forgotten pair held beyond its orders.
    pub(crate) fn give_back(&mut self, pair: Option<Pair>) {
        if let Some(Pair { account, extra, .. }) = pair {
            self.ledger.unlock(account, extra);
        }
    }

    /// Numbers of the orders in these slots.
    pub(crate) fn ids(&self, slots: [u32; 2]) -> [ExOrderId; 2] {
        slots.map(|slot| self.orders.get(slot).id)
    }
}
