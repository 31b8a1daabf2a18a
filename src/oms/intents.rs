//! Intents: through the gate, into the table, to the gateway; or refused with a reason.
//!
//! An order that takes the place of another, or one of a pair, is judged like any other: with everything that is open,
//! the order it replaces included, counted as filled. Whatever half of it the venue does, no limit is broken.
//!
//! A warm-up goes the same way through the same code and leaves no trace on it: judged as if nothing were open or owned
//! and the book were fresh, with no token taken; entered in a table of its own and taken out again; never answered.

use orders::{Applied, OrderEntry, OrderTable};
use risk::{GateInputs, GateOrder};
use wire::{InstrumentId, Kind, Msg, OrderId, OrderState, OrderType, Px, Qty, Slot, Ts, flag};

use super::{ANSWER_NS, CROSSED_NS, Halt, Mode, Oms, OmsInputs, OmsPort, reason, sooner};

impl Oms {
    /// An intent of the strategy, or the first or second half of one.
    #[inline]
    pub fn on_intent(&mut self, msg: &Msg, inputs: &OmsInputs, port: &mut impl OmsPort) {
        if msg.has_tail() {
            self.half_intent = Some(*msg);
            return;
        }
        let warm_up = msg.kind() == Some(Kind::IntentWarmUp);
        self.counts.intents += !warm_up as u64;
        match msg.kind() {
            Some(Kind::IntentNew | Kind::IntentWarmUp) => self.on_new(msg, None, inputs, port),
            Some(Kind::IntentCancel) => self.on_cancel(msg, inputs.now, port),
            Some(Kind::IntentCancelAll) => self.on_cancel_all(msg, inputs.now, port),
            Some(Kind::IntentTail) => match self.half_intent.take() {
                Some(head) => self.on_whole(&head, msg, inputs, port),
                None => self.counts.refused_other += 1,
            },
            _ => self.counts.refused_other += 1,
        }
    }

    #[cold]
    fn on_whole(&mut self, head: &Msg, tail: &Msg, inputs: &OmsInputs, port: &mut impl OmsPort) {
        match head.kind() {
            Some(Kind::IntentNew) => self.on_new(head, Some(tail), inputs, port),
            Some(Kind::IntentReplace) => self.on_replace(head, tail, inputs, port),
            Some(Kind::IntentPair) => self.on_pair(head, tail, inputs, port),
            _ => self.counts.refused_other += 1,
        }
    }

    #[inline]
    fn on_new(&mut self, msg: &Msg, tail: Option<&Msg>, inputs: &OmsInputs, port: &mut impl OmsPort) {
        let stop_px = Px(tail.map_or(0, |t| t.body[0]));
        let slot = match self.admit(msg, stop_px, inputs) {
            Ok(slot) => slot,
            Err(_) if msg.kind() == Some(Kind::IntentWarmUp) => return self.counts.warm_ups_refused += 1,
            Err(why) => return refuse(msg, msg.body[2], why, inputs.now, port),
        };
        let warm_up = msg.kind() == Some(Kind::IntentWarmUp);
        let out = self.outgoing(if warm_up { Kind::SendWarmUp } else { Kind::SendNew }, msg, slot);
        let sent = match tail {
            None => port.send_new(out),
            Some(_) => port.send_new_run(out, self.tail(msg, [stop_px.0, 0, 0])),
        };
        if warm_up {
            withdraw(&mut self.practice, slot);
            self.counts.warm_ups += sent as u64;
            self.counts.warm_ups_refused += !sent as u64;
            return;
        }
        self.sent_or_refused(sent, msg, msg.body[2], slot, inputs.now, port);
    }

    /// One order in place of another. The old one stays as it is unless everything about the new one is in order.
    fn on_replace(&mut self, head: &Msg, tail: &Msg, inputs: &OmsInputs, port: &mut impl OmsPort) {
        let id = head.body[2];
        let old = self.table.by_id(OrderId(tail.body[2] as u64));
        let replaceable = |slot: &Slot| {
            self.table.get(*slot).is_some_and(|o| {
                let live = matches!(o.state, OrderState::Live | OrderState::PartiallyFilled);
                live && o.instrument == head.instrument()
            })
        };
        let Some(old) = old.filter(replaceable) else {
            self.counts.refused_other += 1;
            return refuse(head, id, reason::NOT_REPLACEABLE, inputs.now, port);
        };
        let slot = match self.admit(head, Px(tail.body[0]), inputs) {
            Ok(slot) => slot,
            Err(why) => return refuse(head, id, why, inputs.now, port),
        };
        let out = self.outgoing(Kind::SendReplace, head, slot);
        let sent = port.send_new_run(out, self.tail(head, [tail.body[0], 0, old.0 as i64]));
        if sent {
            sooner(&mut self.check_at[old.0 as usize], inputs.now.plus_ns(ANSWER_NS));
            self.cancel_at[old.0 as usize] = Ts(0);
            if let Applied::State(state) = self.table.on_cancel_sent(old) {
                port.state(old, state);
            }
        }
        self.sent_or_refused(sent, head, id, slot, inputs.now, port);
    }

    /// Two orders of which one ends the other: both or none. Both count as if they could fill.
    fn on_pair(&mut self, head: &Msg, tail: &Msg, inputs: &OmsInputs, port: &mut impl OmsPort) {
        let ids = [head.body[2], tail.body[2]];
        let mut second = *head;
        second.body[0] = tail.body[1];
        second.body[2] = ids[1];
        second = second.with_order_type(OrderType::StopLimit);
        let first = match head.order_type() {
            Some(OrderType::PostOnly) => self.admit(head, Px(0), inputs),
            _ => {
                self.counts.refused_other += 1;
                Err(reason::TABLE)
            }
        };
        let slots = first.and_then(|first| match self.admit(&second, Px(tail.body[0]), inputs) {
            Ok(second) => Ok([first, second]),
            Err(why) => {
                withdraw(&mut self.table, first);
                Err(why)
            }
        });
        let slots = match slots {
            Ok(slots) => slots,
            Err(why) => return ids.into_iter().for_each(|id| refuse(head, id, why, inputs.now, port)),
        };
        let out = self.outgoing(Kind::SendPair, head, slots[0]);
        let sent = port.send_new_run(out, self.tail(head, [tail.body[0], tail.body[1], slots[1].0 as i64]));
        for (id, slot) in ids.into_iter().zip(slots) {
            self.sent_or_refused(sent, head, id, slot, inputs.now, port);
        }
    }

    /// Judges one order and enters it; the reason when it was refused.
    #[inline]
    fn admit(&mut self, msg: &Msg, stop_px: Px, inputs: &OmsInputs) -> Result<Slot, i64> {
        let warm_up = msg.kind() == Some(Kind::IntentWarmUp);
        let (Some(book), Some(kind)) = (self.books.get_mut(msg.instrument as usize), msg.order_type()) else {
            self.counts.refused_other += !warm_up as u64;
            return Err(reason::TABLE);
        };
        let (px, qty) = (Px(msg.body[0]), Qty(msg.body[1]));
        let exposure = self.table.exposure(book.instrument.id);
        let order = GateOrder {
            side: msg.side(),
            px,
            qty,
            kind,
            stop_px,
            ts_intent: msg.ts_recv(),
            ttl_us: msg.ttl_us(),
        };
        let mut gate_inputs = GateInputs {
            now: inputs.now,
            top: book.top,
            ts_top: book.ts_top,
            book_state: book.state,
            position: self.ledger.position(book.instrument.id).map_or(0, |p| p.base),
            open_buy_qty: exposure.open_buy_qty,
            open_sell_qty: exposure.open_sell_qty,
            open_orders: exposure.open_orders,
            own_bid_px: exposure.own_bid_px,
            own_ask_px: exposure.own_ask_px,
            killed: inputs.killed,
            trading: self.halt == Halt::None,
            reduce_only: self.mode == Mode::Reduce,
        };
        if warm_up {
            // All checks, whatever they would say of a real one now; what is read above is as warm as it gets.
            gate_inputs = GateInputs {
                ts_top: inputs.now,
                position: 0,
                open_buy_qty: 0,
                open_sell_qty: 0,
                open_orders: 0,
                own_bid_px: Px(0),
                own_ask_px: Px(0),
                reduce_only: false,
                ..gate_inputs
            };
        }
        if let Err(reject) = book.gate.judge(&order, &gate_inputs, !warm_up) {
            self.counts.gate[reject.index()] += !warm_up as u64;
            return Err(reason::GATE + reject.index() as i64);
        }
        let entry = OrderEntry {
            id: OrderId(msg.body[2] as u64),
            instrument: book.instrument.id,
            side: msg.side(),
            px,
            qty,
            kind,
            now: inputs.now,
        };
        let table = if warm_up { &mut self.practice } else { &mut self.table };
        table.insert(&entry).map_err(|_| {
            self.counts.refused_other += !warm_up as u64;
            reason::TABLE
        })
    }

    #[inline]
    fn outgoing(&self, kind: Kind, intent: &Msg, slot: Slot) -> Msg {
        let mut out = *intent;
        out.kind = kind as u8;
        out.source = self.source;
        out.body[2] = slot.0 as i64;
        out.with_mode_change(self.change)
    }

    fn tail(&self, head: &Msg, body: [i64; 3]) -> Msg {
        let body = [body[0], body[1], body[2], 0];
        let mut tail =
            Msg::new(Kind::SendTail, head.instrument(), head.ts_recv()).flags(flag::END).body(body);
        tail.source = self.source;
        tail
    }

    #[inline]
    fn sent_or_refused(
        &mut self,
        sent: bool,
        msg: &Msg,
        id: i64,
        slot: Slot,
        now: Ts,
        port: &mut impl OmsPort,
    ) {
        if sent {
            self.counts.orders += 1;
            self.check_at[slot.0 as usize] = now.plus_ns(ANSWER_NS);
            self.patience[slot.0 as usize] = 0;
            self.cancel_at[slot.0 as usize] = Ts(0);
        } else {
            self.counts.refused_other += 1;
            withdraw(&mut self.table, slot);
            refuse(msg, id, reason::ORDER_RING_FULL, now, port);
        }
    }

    fn on_cancel(&mut self, msg: &Msg, now: Ts, port: &mut impl OmsPort) {
        // An order that is not here has ended; the strategy has been or will be told.
        if let Some(slot) = self.table.by_id(OrderId(msg.body[2] as u64)) {
            self.cancel(slot, msg, now, port);
        }
    }

    pub(super) fn cancel(&mut self, slot: Slot, cause: &Msg, now: Ts, port: &mut impl OmsPort) {
        let Some(order) = self.table.get(slot) else { return };
        if !order.state.is_open() || order.state == OrderState::CancelPending {
            return;
        }
        self.send_cancel(slot, cause, now, port);
    }

    pub(super) fn send_cancel(&mut self, slot: Slot, cause: &Msg, now: Ts, port: &mut impl OmsPort) {
        let Some(order) = self.table.get(slot) else { return };
        self.cancel_at[slot.0 as usize] = Ts(0);
        let mut out = Msg::new(Kind::SendCancel, order.instrument, cause.ts_recv()).flags(flag::END).body([
            0,
            order.venue_order_id as i64,
            slot.0 as i64,
            cause.body[3],
        ]);
        out.source = self.source;
        if port.send(out) {
            sooner(&mut self.check_at[slot.0 as usize], now.plus_ns(ANSWER_NS));
            if let Applied::State(state) = self.table.on_cancel_sent(slot) {
                port.state(slot, state);
            }
        } else {
            self.counts.refused_other += 1;
            self.cancel_later(slot, now);
        }
    }

    /// The wish to cancel stands: it is offered again after a while.
    pub(super) fn cancel_later(&mut self, slot: Slot, now: Ts) {
        if let Some(at) = self.cancel_at.get_mut(slot.0 as usize) {
            *at = now.plus_ns(CROSSED_NS);
        }
    }

    /// Offers a cancel again if there is still something to cancel; of an order of unknown state once that is known.
    pub(super) fn cancel_anew(&mut self, slot: Slot, now: Ts, port: &mut impl OmsPort) {
        match self.table.get(slot).map(|o| o.state) {
            Some(OrderState::Unknown) => {}
            Some(state) if state.is_open() => {
                let cause = Msg::new(Kind::IntentCancel, InstrumentId(0), now);
                self.send_cancel(slot, &cause, now, port);
            }
            _ => self.cancel_at[slot.0 as usize] = Ts(0),
        }
    }

    pub(super) fn on_cancel_all(&mut self, msg: &Msg, now: Ts, port: &mut impl OmsPort) {
        for slot in 0..self.table.capacity() as u32 {
            if self.table.get(Slot(slot)).is_some_and(|o| o.instrument == msg.instrument()) {
                self.cancel(Slot(slot), msg, now, port);
            }
        }
    }
}

/// Takes out an order that nobody else has seen.
fn withdraw(table: &mut OrderTable, slot: Slot) {
    table.on_not_sent(slot);
    table.release(slot);
}

#[cold]
fn refuse(intent: &Msg, id: i64, why: i64, now: Ts, port: &mut impl OmsPort) {
    let body = [OrderState::Rejected as i64, 0, id, why];
    port.update(Msg::new(Kind::Order, intent.instrument(), now).flags(flag::END).body(body));
}
