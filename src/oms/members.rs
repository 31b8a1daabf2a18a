//! Strategy and gateway in processes of their own: what becomes of orders when one of them is gone, and what the next
//! one is told.
//!
//! A strategy that is gone cares for nothing any more: its orders are withdrawn, and until they are gone nothing trades. A
//! gateway that is gone is a session that is down, and more: what was on its way to it never left, or nobody knows. The
//! one that comes is told of every order that can still trade, and opens its session as always.

use wire::{Kind, Msg, Slot, Ts, flag};

use super::{Oms, OmsPort};
use crate::apart::{Away, Member, Standing};

impl Oms {
    /// Somebody has gone or come. Of one who has gone everything is to be heard before, of one who has come nothing: what
    /// a new gateway says of its session holds, what was known of the one before does not.
    #[cold]
    pub fn on_standing(&mut self, standing: Standing, now: Ts, port: &mut impl OmsPort) {
        let before = std::mem::replace(&mut self.standing, standing);
        self.moved = true;
        // First of all a new gateway hears of the orders that there are: of what it does not know it says nothing.
        let gateway = self.standing.of(Member::Gateway);
        if before.of(Member::Gateway) != gateway {
            self.on_session(false, false, now, port);
            self.to_introduce = matches!(gateway, Away::Here(_)).then_some(0);
            self.introduce(now, port);
        }
        let strategy = self.standing.of(Member::Strategy);
        if before.of(Member::Strategy) != strategy {
            // Whoever comes next has not asked for any of this.
            self.half_intent = None;
            self.withdraw_all(now, port);
            if matches!(strategy, Away::Here(_)) {
                self.tell_positions(now, port);
            }
        }
    }

    /// Whether orders of a strategy that is not there are to go.
    #[inline]
    pub(super) fn is_orphaned(&self) -> bool {
        self.standing.is_away(Member::Strategy)
    }

    /// Cancels everything that is open, and lets nothing new through until it is gone.
    pub(super) fn withdraw_all(&mut self, now: Ts, port: &mut impl OmsPort) {
        self.withdrawing = true;
        for i in 0..self.books.len() {
            let all = Msg::new(Kind::IntentCancelAll, self.books[i].instrument.id, now);
            self.on_cancel_all(&all, now, port);
        }
    }

    fn tell_positions(&mut self, now: Ts, port: &mut impl OmsPort) {
        for b in &self.books {
            let position = self.ledger.position(b.instrument.id).map_or(0, |p| p.base);
            let mut msg =
                Msg::new(Kind::Position, b.instrument.id, now).flags(flag::END).body([0, 0, 0, position]);
            msg.source = self.source;
            port.update(msg);
        }
    }

    /// Tells a new gateway of every order that can still trade, from the slot reached on; what finds the ring full is
    /// told in the next cycle. Until all are told nothing is let through.
    #[cold]
    pub(super) fn introduce(&mut self, now: Ts, port: &mut impl OmsPort) {
        let Some(from) = self.to_introduce.take() else { return };
        for i in from..self.table.capacity() as u32 {
            // What was given up on our own conclusion may live: reports of it must find their way.
            let kept = self.kept_until[i as usize] != Ts(0);
            let Some(order) = self.table.get(Slot(i)).filter(|o| kept || o.state.is_open()) else { continue };
            let body = [order.qty.0, order.venue_order_id as i64, i as i64, 0];
            let mut known = Msg::new(Kind::SendKnown, order.instrument, now).flags(flag::END).body(body);
            known.source = self.source;
            if !port.send(known) {
                self.to_introduce = Some(i);
                return;
            }
        }
    }
}
