//! What leaves: orders after a last look at everything that forbids them, cancels and questions.

use agent::Cycle;
use kill::Shut;
use net::{Link, SendError};
use venue::{CancelOrder, ClientOrderId, NewOrder, OrderSession};
use wire::{Kind, Msg, NotSent, OrderType, Px, Qty, Slot, Ts, flag};

use super::desk::{self, SentOrder};
use super::{Budget, Conn, Gateway};
use crate::rate_book::Need;

/// What one message to the venue asks for.
enum Request {
    New(NewOrder),
    /// The order that goes, its slot, and the one that takes its place.
    Replace(CancelOrder, Slot, NewOrder),
    Pair(NewOrder, NewOrder),
}

impl Request {
    /// New orders in it.
    fn orders(&self) -> u64 {
        match self {
            Request::Pair(..) => 2,
            _ => 1,
        }
    }
}

impl<L: Link, O: OrderSession> Gateway<L, O> {
    /// In the cycle after an order: its bytes must have left the socket before another may follow.
    fn confirm_unsent(&mut self) -> bool {
        if self.unconfirmed && self.primary.up {
            self.unconfirmed = self.primary.link.unsent_bytes().map_or(true, |n| n > 0);
        }
        !self.unconfirmed
    }

    pub(super) fn drain_orders(&mut self, cycle: &mut Cycle<'_>) -> usize {
        let socket_clear = self.confirm_unsent();
        let mut orders_this_cycle = 0;
        let mut consumed = 0u32;
        while (consumed as usize) < Cycle::LIMIT && self.desk.has_room() {
            let Some((_, words)) = self.orders.peek() else { break };
            let msg = Msg::from_words(words);
            match msg.kind() {
                Some(Kind::SendNew | Kind::SendReplace | Kind::SendPair | Kind::SendWarmUp) => {
                    let warm_up = msg.kind() == Some(Kind::SendWarmUp);
                    if orders_this_cycle > 0 && self.unconfirmed && !warm_up {
                        break; // the next cycle confirms this one's bytes first
                    }
                    let tail = if msg.has_tail() { self.take_tail(&mut consumed) } else { Msg::default() };
                    if socket_clear || warm_up {
                        orders_this_cycle += self.send_order(&msg, &tail, cycle) as u32;
                    } else {
                        self.refuse_order(&msg, &tail, NotSent::Unsent, cycle.now());
                    }
                }
                Some(Kind::SendCancel) => self.send_cancel(&msg, self.stamp(cycle)),
                Some(Kind::SendCancelAll) => self.send_cancel_all(&msg, self.stamp(cycle)),
                Some(Kind::SendQuery | Kind::SendTrades) => self.send_query(&msg, self.stamp(cycle)),
                Some(Kind::SendKnown) => self.on_known(&msg, self.stamp(cycle)),
                _ => self.desk.counts.refused += 1,
            }
            self.orders.release();
            consumed += 1;
        }
        if consumed > 0 {
            cycle.consumed(self.ring, consumed);
        }
        consumed as usize
    }

    /// The second slot of an order. Both were committed as one, so it is there; a stranger in its place makes an order
    /// that cannot be encoded.
    #[cold]
    fn take_tail(&mut self, consumed: &mut u32) -> Msg {
        self.orders.release();
        *consumed += 1;
        self.orders.peek().map_or(Msg::default(), |(_, words)| Msg::from_words(words))
    }

    /// Sends a new order unless something forbids it; `true` when bytes were handed to the kernel.
    fn send_order(&mut self, msg: &Msg, tail: &Msg, cycle: &Cycle<'_>) -> bool {
        let slot = slot_of(msg);
        let now = self.stamp(cycle);
        // From here to the last gate one way for both; behind it this one sees no socket.
        let warm_up = msg.kind() == Some(Kind::SendWarmUp);
        if let Err(why) = self.may_send(msg, now) {
            self.refuse_order(msg, tail, why, now);
            return false;
        }
        let Some(request) = self.request(msg, tail, now, self.number(cycle)) else {
            self.refuse_order(msg, tail, NotSent::Encode, now);
            return false;
        };
        let (codec, at) = (&mut self.primary.codec, self.clock.at_venue(now));
        let encoded = match &request {
            Request::New(order) => codec.encode_new(order, at, &mut self.out),
            Request::Replace(old, _, order) => codec.encode_replace(old, order, at, &mut self.out),
            Request::Pair(first, second) => codec.encode_pair(first, second, at, &mut self.out),
        };
        if warm_up {
            let warm = encoded.is_ok()
                && self.kill.allows(self.armed_epoch)
                && self.primary.link.warm_up(&self.out).is_ok();
            self.desk.counts.warm_ups += warm as u64;
            self.desk.counts.warm_ups_refused += !warm as u64;
            return false;
        }
        if encoded.is_ok() && !self.rates.take(codec.weight(), Need::Order, now) {
            let why = if self.rates.is_banned(now) { NotSent::Banned } else { NotSent::RateLimited };
            self.refuse_order(msg, tail, why, now);
            return false;
        }
        if encoded.is_err() || !self.note(&request, now) {
            self.refuse_order(msg, tail, NotSent::Encode, now);
            return false;
        }
        let (kill, armed, ack) = (&self.kill, self.armed_epoch, &self.ack);
        let sent_so_far = self.desk.counts.orders_sent + request.orders();
        let (number, in_all) = (self.number(cycle), self.orders_before + sent_so_far);
        let result = self.primary.link.send(&self.out, &mut || {
            ack.sent(number, in_all);
            kill.allows(armed)
        });
        let why = match result {
            Ok(()) => {
                let sent_ns = self.stage.now();
                self.desk.counts.orders_sent = sent_so_far;
                self.unconfirmed = true;
                let first = msg.has(flag::TICK) && msg.cause() != self.last_cause;
                if first {
                    self.last_cause = msg.cause();
                }
                // The oms put the low bits of its stage stamp into the message.
                let behind_ns = (sent_ns.0 as u32).wrapping_sub(msg.venue_seq);
                let risk = Ts(sent_ns.0.saturating_sub(behind_ns as u64));
                self.meters.sent(slot, msg.cause(), risk, sent_ns, first);
                self.hash.add(&self.out);
                self.desk.report(Kind::Sent, slot, number as i64, 0, 0, now);
                if let Request::Pair(_, second) = &request {
                    self.desk.report(Kind::Sent, second.id.slot, number as i64, 0, 0, now);
                }
                return true;
            }
            Err(SendError::Withheld) => {
                // The record was sealed, so the connection's sequence has a hole: nothing may follow on it.
                self.abort_primary();
                NotSent::Killed
            }
            Err(SendError::Backlog { .. }) => {
                self.unconfirmed = true;
                NotSent::Unsent
            }
            Err(_) => NotSent::Socket,
        };
        self.desk.close(slot);
        if let Request::Pair(_, second) = &request {
            self.desk.close(second.id.slot);
        }
        self.refuse_order(msg, tail, why, now);
        false
    }

    /// Puts identity on what the oms asks for; `None` when it makes no sense.
    #[inline]
    fn request(&self, msg: &Msg, tail: &Msg, now: Ts, cycle: u64) -> Option<Request> {
        let id = |slot| ClientOrderId { cycle: cycle & 0xff_ffff_ffff, ts: Ts(now.0 & desk::TS_MASK), slot };
        let mut order = NewOrder {
            instrument: msg.instrument(),
            id: id(slot_of(msg)),
            side: msg.side(),
            px: Px(msg.body[0]),
            qty: Qty(msg.body[1]),
            kind: msg.order_type()?,
            stop_px: Px(0),
        };
        if matches!(msg.kind(), Some(Kind::SendNew | Kind::SendWarmUp)) && !order.kind.has_stop() {
            return Some(Request::New(order));
        }
        if tail.kind() != Some(Kind::SendTail) {
            return None;
        }
        let stop_px = Px(tail.body[0]);
        match msg.kind()? {
            Kind::SendReplace => {
                order.stop_px = stop_px;
                let gone = slot_of(tail);
                let &SentOrder { id, venue_order_id, instrument, .. } = self.desk.sent(gone)?;
                Some(Request::Replace(CancelOrder { instrument, id, venue_order_id }, gone, order))
            }
            Kind::SendPair => {
                let (kind, px) = (OrderType::StopLimit, Px(tail.body[1]));
                let second = NewOrder { id: id(slot_of(tail)), kind, px, stop_px, ..order };
                Some(Request::Pair(order, second))
            }
            _ => {
                order.stop_px = stop_px;
                Some(Request::New(order))
            }
        }
    }

    /// Notes what is about to be sent; the identity is in shared memory before the order can be at the venue.
    #[inline]
    fn note(&mut self, request: &Request, now: Ts) -> bool {
        let (first, second, beside) = match request {
            Request::New(order) => (order, None, None),
            Request::Replace(_, gone, order) => (order, None, Some(*gone)),
            Request::Pair(first, second) => (first, Some(second), Some(second.id.slot)),
        };
        let sent = |order: &NewOrder, beside: Option<Slot>| SentOrder {
            id: order.id,
            venue_order_id: 0,
            instrument: order.instrument,
            open: true,
            beside: beside.map(|slot| (slot, self.desk.sent(slot).map_or(order.id, |o| o.id))),
            trades_from: 0,
            cum_max: order.qty.0,
        };
        let mut entry = sent(first, beside);
        if let Some(second) = second {
            entry.beside = Some((second.id.slot, second.id));
            let entry = sent(second, None);
            if !self.desk.open(second.id.slot, entry) {
                return false;
            }
            self.meters.trace_identity(second.id.slot, &second.id, now);
        }
        self.meters.trace_identity(first.id.slot, &first.id, now);
        self.desk.open(first.id.slot, entry)
    }

    /// Refuses what a message asks for, whole.
    #[cold]
    fn refuse_order(&mut self, msg: &Msg, tail: &Msg, why: NotSent, now: Ts) {
        if msg.kind() == Some(Kind::SendWarmUp) {
            return self.desk.counts.warm_ups_refused += 1;
        }
        self.desk.refuse(slot_of(msg), why, now);
        match msg.kind() {
            Some(Kind::SendPair) => self.desk.refuse(slot_of(tail), why, now),
            // The order that was to go is as it was.
            Some(Kind::SendReplace) => self.desk.report(Kind::CancelRejected, slot_of(tail), 0, 0, 0, now),
            _ => {}
        }
    }

    #[inline]
    fn may_send(&mut self, msg: &Msg, now: Ts) -> Result<(), NotSent> {
        let live = match self.kill.check(now, self.armed_epoch, self.settings.kill_beat_max_ns) {
            Ok(()) => 0,
            Err(Shut::Epoch { .. }) => NotSent::Killed as u64,
            Err(Shut::KillBeat { .. }) => NotSent::Unsafe as u64,
        };
        let shut = self.heard.may_send.see(live);
        if shut != 0 {
            let beat = shut == NotSent::Unsafe as u64 && !self.desk.tripped;
            return Err(if beat { NotSent::Unsafe } else { NotSent::Killed });
        }
        // No record, no new risk: room for this order's is all that the order waits for.
        if self.heard.journal.see(self.tape.ready() as u64) != 0 {
            return Err(NotSent::Journal);
        }
        if !self.trading || !self.word.mode().takes_orders() {
            return Err(NotSent::NoSession);
        }
        // What the oms let through before it heard of a change may be what the new mode forbids.
        if msg.is_of_earlier_mode(self.word.change()) {
            return Err(NotSent::ModeChanged);
        }
        if now.since_ns(msg.ts_recv()) > msg.ttl_us() as u64 * 1_000 {
            return Err(NotSent::Aged);
        }
        if msg.kind() == Some(Kind::SendWarmUp) {
            return Ok(()); // it takes nothing from any budget
        }
        let settings = &self.settings;
        let budget = self.budget.get_or_insert_with(|| {
            Budget::new(settings.budget, settings.budget_interval_ns, settings.cancel_reserve, now)
        });
        let orders = if msg.kind() == Some(Kind::SendPair) { 2 } else { 1 };
        if !budget.take_orders(orders, now) {
            return Err(NotSent::RateLimited);
        }
        Ok(())
    }

    /// An order that the oms had open when this gateway came. Its identity was in shared memory before a byte of it could
    /// leave: where none is, it never left.
    #[cold]
    fn on_known(&mut self, msg: &Msg, now: Ts) {
        let slot = slot_of(msg);
        let Some(before) = &self.before else {
            self.desk.counts.refused += 1;
            return;
        };
        let identity = before.trace.order(slot).and_then(|row| Some((row.client_cycle?, row.client_ts?)));
        let Some((cycle, ts)) = identity else {
            return self.desk.refuse(slot, NotSent::NoSession, now);
        };
        let known = SentOrder {
            id: ClientOrderId { cycle, ts: Ts(ts.0 & desk::TS_MASK), slot },
            venue_order_id: msg.body[1] as u64,
            instrument: msg.instrument(),
            open: true,
            beside: None,
            trades_from: 0,
            cum_max: msg.body[0],
        };
        self.desk.open(slot, known);
    }

    /// The connection on which a cancel may leave now.
    fn cancel_conn(&mut self) -> Option<&mut Conn<L, O>> {
        if self.primary.ready && !self.primary.poisoned {
            Some(&mut self.primary)
        } else if self.standby.ready && !self.standby.poisoned {
            Some(&mut self.standby)
        } else {
            None
        }
    }

    fn send_cancel(&mut self, msg: &Msg, now: Ts) {
        let slot = slot_of(msg);
        let Some(&SentOrder { id, venue_order_id, instrument, .. }) = self.desk.sent(slot) else {
            return self.desk.refuse_cancel(slot, NotSent::Encode, now);
        };
        if self.budget.as_mut().is_some_and(|b| !b.take_cancel(now)) {
            return self.desk.refuse_cancel(slot, NotSent::RateLimited, now);
        }
        let cancel = CancelOrder { instrument, id, venue_order_id };
        let mut out = core::mem::take(&mut self.out);
        let (at, rates) = (self.clock.at_venue(now), self.rates.clone());
        let sent = self.cancel_conn().is_some_and(|conn| {
            conn.codec.encode_cancel(&cancel, at, &mut out).is_ok()
                && rates.take(conn.codec.weight(), Need::Cancel, now)
                && conn.link.send(&out, &mut || true).is_ok()
        });
        self.out = out;
        if sent {
            self.hash.add(&self.out);
            self.desk.counts.cancels_sent += 1;
        } else {
            self.desk.refuse_cancel(slot, NotSent::NoSession, now);
        }
    }

    fn send_cancel_all(&mut self, msg: &Msg, now: Ts) {
        let mut out = core::mem::take(&mut self.out);
        let (at, rates) = (self.clock.at_venue(now), self.rates.clone());
        let sent = self.cancel_conn().is_some_and(|conn| {
            conn.codec.encode_cancel_all(msg.instrument(), at, &mut out).is_ok()
                && rates.take(conn.codec.weight(), Need::Cancel, now)
                && conn.link.send(&out, &mut || true).is_ok()
        });
        self.out = out;
        if sent {
            self.hash.add(&self.out);
            self.desk.counts.cancels_sent += 1;
        }
    }

    fn send_query(&mut self, msg: &Msg, now: Ts) {
        let slot = slot_of(msg);
        let Some(&SentOrder { id, instrument, .. }) = self.desk.sent(slot) else { return };
        let trades = (msg.kind() == Some(Kind::SendTrades)).then_some(msg.body[0] as u64);
        let order = CancelOrder { instrument, id, venue_order_id: msg.body[1] as u64 };
        if let Some(from) = trades {
            self.desk.expect_trades(slot, from);
        }
        let mut out = core::mem::take(&mut self.out);
        let (at, rates) = (self.clock.at_venue(now), self.rates.clone());
        let sent = self.cancel_conn().is_some_and(|conn| {
            let encoded = match trades {
                Some(from) => conn.codec.encode_trades(&order, from, at, &mut out),
                None => conn.codec.encode_query_order(instrument, id, at, &mut out),
            };
            encoded.is_ok()
                && rates.take(conn.codec.weight(), Need::Question, now)
                && conn.link.send(&out, &mut || true).is_ok()
        });
        self.out = out;
        if sent {
            self.hash.add(&self.out);
        }
    }
}

fn slot_of(msg: &Msg) -> Slot {
    Slot(msg.body[2] as u32)
}
