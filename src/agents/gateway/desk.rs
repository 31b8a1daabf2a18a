//! What the gateway knows of the orders it sent, and how the venue's answers become reports.

use venue::{AccountAsset, ClientOrderId, Fill, HalfDone, OpenOrder, OrderEvent};
use wire::{AssetId, InstrumentId, Kind, Msg, NotSent, Qty, QueryStatus, RejectReason, Slot, Ts, flag};

use super::stop::StopSequence;
use crate::tape::RingOut;

/// What the gateway counted. One writer; copied to the statistics segment on the slow beat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayCounts {
    /// New orders handed to the kernel.
    pub orders_sent: u64,
    /// Cancels handed to the kernel.
    pub cancels_sent: u64,
    /// Orders refused before the wire, by `NotSent` code − 1.
    pub not_sent: [u64; NotSent::ALL.len()],
    /// Cancels refused before the wire; the oms offers each again after a while.
    pub cancels_not_sent: u64,
    /// Times that the second connection took the first one's place.
    pub rolled_over: u64,
    /// Requests that the venue refused, by [`RejectReason::index`].
    pub rejects: [u64; RejectReason::ALL.len()],
    /// Executions beyond what their order had when it ended.
    pub fills_past_end: u64,
    /// Executions that the venue listed because we had missed some.
    pub trades_listed: u64,
    /// Messages received on the order sessions.
    pub messages: u64,
    /// Messages that could not be decoded.
    pub refused: u64,
    /// Reports that name an order the gateway no longer, or never, knew.
    pub foreign: u64,
    /// Requests refused that belong to no order.
    pub requests_refused: u64,
    /// Open orders of others, or of an earlier life, that a listing showed.
    pub foreign_open: u64,
    /// Orders whose cancellation the venue confirmed after a trip.
    pub cancels_confirmed: u64,
    /// Order sessions lost.
    pub sessions_lost: u64,
    /// Connections aborted with order bytes still unsent.
    pub aborted_unsent: u64,
    /// Warm-ups that came as far as the last gate.
    pub warm_ups: u64,
    /// Warm-ups that did not.
    pub warm_ups_refused: u64,
    /// Order sessions lost, by [`net::CloseReason::index`].
    pub downs: [u64; net::link::REASONS],
}

/// An order as sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct SentOrder {
    /// Identity on the wire; `ts` zero = the slot was never used.
    pub id: ClientOrderId,
    /// The venue's id, 0 until acknowledged.
    pub venue_order_id: u64,
    /// What it trades.
    pub instrument: InstrumentId,
    /// Not known to be done.
    pub open: bool,
    /// Slot and identity of the order that this one replaces, or of the other of its pair.
    pub beside: Option<(Slot, ClientOrderId)>,
    /// First trade id of the list of executions that was asked for last.
    pub trades_from: u64,
    /// The most that it can have executed, quantity mantissa: its whole, or what it had when it ended.
    pub cum_max: i64,
}

/// What a message said that concerns the session, not an order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aside {
    /// Why something was refused, and when requests are taken again, the venue's time.
    pub failed: Option<(RejectReason, i32, Option<Ts>)>,
    /// The session is logged on.
    pub logged_on: bool,
    /// The venue's time.
    pub time: Option<Ts>,
    /// Weight that the venue has counted.
    pub weight: Option<u32>,
    /// New orders that it has counted, of how many, in how many s.
    pub orders: Option<(u32, u32, u32)>,
}

/// Table of sent orders and the way to the oms.
pub struct Desk {
    sent: Box<[SentOrder]>,
    reports: RingOut,
    source: u16,
    /// What has been counted.
    pub counts: GatewayCounts,
    /// The stop under way, if any.
    pub stop: Option<StopSequence>,
    /// After a trip: cancellations are counted as confirmed.
    pub tripped: bool,
    /// The account stream was confirmed since this was last cleared.
    pub subscribed: bool,
    /// The venue wants the connection replaced.
    pub shutdown: bool,
    /// An order executed beyond its end: the oms may have let go of it.
    pub past_end: bool,
    /// The venue said of an order of ours that it has it.
    pub alive: bool,
    /// What one message said beside its reports.
    pub aside: Aside,
    /// How long after its stamp the venue may still take an order, ns.
    order_late_max_ns: u64,
}

/// Bits of a time that a client order id carries.
pub(super) const TS_MASK: u64 = (1 << 60) - 1;

/// Assets that one listing of balances may name.
pub const ASSETS_MAX: usize = 64;
/// Ring slots that one message of the venue may need at most: balances of every asset, or an execution.
const REPORTS_PER_MESSAGE: usize = ASSETS_MAX;

impl Desk {
    /// A desk for `slots` orders. The venue may still take an order `order_late_max_ns` after its stamp.
    pub fn new(slots: usize, reports: RingOut, source: u16, order_late_max_ns: u64) -> Desk {
        Desk {
            sent: vec![SentOrder::default(); slots].into_boxed_slice(),
            reports,
            source,
            counts: GatewayCounts::default(),
            stop: None,
            tripped: false,
            subscribed: false,
            shutdown: false,
            past_end: false,
            alive: false,
            aside: Aside::default(),
            order_late_max_ns,
        }
    }

    /// Whether the report ring can take whatever one more message may bring.
    #[inline]
    pub fn has_room(&mut self) -> bool {
        self.reports.has_room(2 * REPORTS_PER_MESSAGE)
    }

    /// The order in a slot, as sent.
    #[inline]
    pub fn sent(&self, slot: Slot) -> Option<&SentOrder> {
        self.sent.get(slot.0 as usize).filter(|o| o.id.ts.0 != 0)
    }

    /// Notes an order that is about to be sent.
    #[inline]
    pub fn open(&mut self, slot: Slot, order: SentOrder) -> bool {
        match self.sent.get_mut(slot.0 as usize) {
            Some(o) => {
                *o = order;
                true
            }
            None => false,
        }
    }

    /// Forgets an order that did not leave.
    #[inline]
    pub fn close(&mut self, slot: Slot) {
        if let Some(o) = self.sent.get_mut(slot.0 as usize) {
            o.open = false;
        }
    }

    /// Tells the oms something about a slot.
    #[inline]
    pub fn report(&mut self, kind: Kind, slot: Slot, body0: i64, body1: i64, body3: i64, now: Ts) {
        let instrument = self.sent.get(slot.0 as usize).map_or(InstrumentId(0), |o| o.instrument);
        self.push(Msg::new(kind, instrument, now).flags(flag::END).body([
            body0,
            body1,
            slot.0 as i64,
            body3,
        ]));
    }

    /// Tells the oms that a new order was refused before the wire, and counts why.
    #[cold]
    pub fn refuse(&mut self, slot: Slot, why: NotSent, now: Ts) {
        self.counts.not_sent[why as usize - 1] += 1;
        self.report(Kind::NotSent, slot, why as i64, 0, 0, now);
    }

    /// The same for a cancel; the order it meant is as it was.
    #[cold]
    pub fn refuse_cancel(&mut self, slot: Slot, why: NotSent, now: Ts) {
        self.counts.cancels_not_sent += 1;
        self.report(Kind::NotSent, slot, why as i64, 1, 0, now);
    }

    /// Tells the oms whether the order session is ready, and whether the venue has just listed nothing open.
    pub fn session(&mut self, ready: bool, none_open: bool, now: Ts) {
        self.push(Msg::new(Kind::Session, InstrumentId(0), now).flags(flag::END).body([
            ready as i64,
            none_open as i64,
            0,
            0,
        ]));
    }

    /// Tells the oms that no order can succeed until a person has looked, and why.
    pub fn barred(&mut self, why: RejectReason, now: Ts) {
        self.push(Msg::new(Kind::Session, InstrumentId(0), now).flags(flag::END).body([0, 0, 0, why as i64]));
    }

    fn push(&mut self, mut msg: Msg) {
        msg.source = self.source;
        let pushed = self.reports.push(msg.to_words());
        debug_assert!(pushed.is_ok(), "room is checked before each message");
    }

    /// The slot of a report's order if the identity is exactly the one sent last in that slot.
    #[inline]
    fn slot_of(&mut self, id: ClientOrderId) -> Option<Slot> {
        let known = self.sent.get(id.slot.0 as usize).is_some_and(|o| o.id == id);
        if !known {
            self.counts.foreign += 1;
        }
        known.then_some(id.slot)
    }

    fn done(&mut self, kind: Kind, id: ClientOrderId, venue_order_id: u64, cum: i64, now: Ts) {
        let Some(slot) = self.slot_of(id) else { return };
        let order = &mut self.sent[slot.0 as usize];
        order.cum_max = order.cum_max.min(cum);
        let was_open = core::mem::replace(&mut order.open, false);
        if kind == Kind::Cancelled && self.tripped && was_open {
            self.counts.cancels_confirmed += 1;
        }
        self.report(kind, slot, cum, venue_order_id as i64, 0, now);
    }

    /// Why the message at hand was refused, as reports carry it; zero when it was not.
    fn why(&self) -> i64 {
        self.aside.failed.map_or(0, |(reason, ..)| reason as i64)
    }

    #[inline]
    fn fill(&mut self, slot: Slot, venue_order_id: u64, fill: &Fill, now: Ts) {
        let instrument = self.sent[slot.0 as usize].instrument;
        let maker = if fill.maker { flag::MAKER } else { 0 };
        let mut first = Msg::new(Kind::Fill, instrument, now).flags(maker).body([
            fill.px.0,
            fill.qty.0,
            slot.0 as i64,
            fill.trade_id as i64,
        ]);
        let mut second = Msg::new(Kind::FillFee, instrument, now).flags(flag::END).body([
            fill.fee,
            fill.fee_asset.0 as i64,
            fill.cum_qty.0,
            venue_order_id as i64,
        ]);
        first.source = self.source;
        second.source = self.source;
        let pushed = self.reports.push_run(&[first.to_words(), second.to_words()]);
        debug_assert!(pushed.is_ok(), "room is checked before each message");
    }

    /// Executions as listed. A list does not say what the order had executed after each, and a sum over it would be a
    /// guess: the trade id alone is their identity.
    #[cold]
    fn on_trades(&mut self, id: ClientOrderId, venue_order_id: u64, trades: &[Fill], more: bool, now: Ts) {
        let Some(slot) = self.slot_of(id) else { return };
        let order = self.sent[slot.0 as usize];
        if trades.first().is_some_and(|t| t.trade_id < order.trades_from) {
            return; // the answer to an older question
        }
        if venue_order_id != 0 && order.venue_order_id != 0 && venue_order_id != order.venue_order_id {
            self.counts.refused += 1;
            return;
        }
        for listed in trades {
            self.fill(slot, venue_order_id, &Fill { cum_qty: Qty(0), ..*listed }, now);
        }
        let next = trades.last().map_or(order.trades_from, |t| t.trade_id + 1);
        self.counts.trades_listed += trades.len() as u64;
        self.report(Kind::TradesListed, slot, more as i64, next as i64, 0, now);
    }

    /// Notes from which trade on the executions of an order are about to be asked for.
    pub fn expect_trades(&mut self, slot: Slot, from: u64) {
        if let Some(order) = self.sent.get_mut(slot.0 as usize) {
            order.trades_from = from;
        }
    }

    /// The order that an order of ours replaces, or the other of its pair.
    fn beside(&self, id: ClientOrderId) -> Option<ClientOrderId> {
        let order = self.sent(id.slot).filter(|o| o.id == id)?;
        order.beside.map(|(_, other)| other)
    }

    #[cold]
    fn on_half(&mut self, id: ClientOrderId, new: HalfDone, now: Ts) {
        self.on_event(
            match new {
                HalfDone::Done { venue_order_id } => OrderEvent::Acked { id, venue_order_id },
                HalfDone::Refused { code } => OrderEvent::Rejected { id, code },
                HalfDone::Unknown { code } => OrderEvent::Unknown { id, code },
            },
            now,
        );
    }

    /// Each half of a replacement is as if it had been asked for alone.
    #[cold]
    fn on_replaced(&mut self, id: ClientOrderId, cancel: HalfDone, new: HalfDone, now: Ts) {
        if let Some(gone) = self.beside(id) {
            match cancel {
                HalfDone::Done { .. } => {} // that it is gone comes on the account stream
                HalfDone::Refused { code } => {
                    self.on_event(OrderEvent::CancelRejected { id: gone, code }, now)
                }
                HalfDone::Unknown { code } => self.on_event(OrderEvent::Unknown { id: gone, code }, now),
            }
        }
        self.on_half(id, new, now);
    }

    /// Turns one event of the order session into reports.
    pub fn on_event(&mut self, event: OrderEvent<'_>, now: Ts) {
        match event {
            OrderEvent::Acked { id, venue_order_id } => {
                if let Some(slot) = self.slot_of(id) {
                    self.alive = true;
                    self.sent[slot.0 as usize].venue_order_id = venue_order_id;
                    self.report(Kind::Acked, slot, 0, venue_order_id as i64, 0, now);
                }
            }
            OrderEvent::Triggered { id, venue_order_id } => {
                if let Some(slot) = self.slot_of(id) {
                    self.sent[slot.0 as usize].venue_order_id = venue_order_id;
                    self.report(Kind::Triggered, slot, 0, venue_order_id as i64, 0, now);
                }
            }
            // The same identity twice: the first of them may live.
            OrderEvent::Rejected { id, code } if self.why() == RejectReason::Duplicate as i64 => {
                if let Some(slot) = self.slot_of(id) {
                    self.report(Kind::Unknown, slot, code as i64, 0, 0, now);
                }
            }
            OrderEvent::Rejected { id, code } => {
                if let Some(slot) = self.slot_of(id) {
                    let order = &mut self.sent[slot.0 as usize];
                    (order.open, order.cum_max) = (false, 0);
                    self.report(Kind::Rejected, slot, code as i64, self.why(), 0, now);
                }
            }
            OrderEvent::Fill { id, venue_order_id, fill } => {
                let Some(slot) = self.slot_of(id) else { return };
                let order = &mut self.sent[slot.0 as usize];
                order.venue_order_id = venue_order_id;
                if fill.cum_qty.0 > order.cum_max {
                    order.cum_max = fill.cum_qty.0;
                    self.counts.fills_past_end += 1;
                    self.past_end = true;
                }
                self.fill(slot, venue_order_id, &fill, now);
            }
            OrderEvent::Cancelled { id, venue_order_id, cum_qty } => {
                self.done(Kind::Cancelled, id, venue_order_id, cum_qty.0, now);
            }
            OrderEvent::Expired { id, venue_order_id, cum_qty } => {
                self.done(Kind::Expired, id, venue_order_id, cum_qty.0, now);
            }
            OrderEvent::CancelRejected { id, code } => {
                if let Some(slot) = self.slot_of(id) {
                    self.report(Kind::CancelRejected, slot, code as i64, self.why(), 0, now);
                }
            }
            OrderEvent::Unknown { id, code } => {
                if let Some(slot) = self.slot_of(id) {
                    self.report(Kind::Unknown, slot, code as i64, 0, 0, now);
                }
            }
            OrderEvent::Query(answer) => {
                if let Some(slot) = self.slot_of(answer.id) {
                    let late = !self.may_come(&self.sent[slot.0 as usize], now);
                    let order = &mut self.sent[slot.0 as usize];
                    if answer.venue_order_id != 0 {
                        order.venue_order_id = answer.venue_order_id;
                    }
                    match answer.status {
                        QueryStatus::Open => self.alive = true,
                        QueryStatus::Filled => {}
                        QueryStatus::NotFound if !late => {} // the venue may still take it
                        _ => order.cum_max = order.cum_max.min(answer.cum_qty.0),
                    }
                    self.report(
                        Kind::QueryResult,
                        slot,
                        answer.status as i64,
                        answer.venue_order_id as i64,
                        answer.cum_qty.0,
                        now,
                    );
                }
            }
            OrderEvent::Trades { id, venue_order_id, trades, more } => {
                self.on_trades(id, venue_order_id, trades, more, now);
            }
            OrderEvent::Replaced { id, cancel, new } => self.on_replaced(id, cancel, new, now),
            OrderEvent::PairNotTaken { id, why } => {
                let other = self.beside(id);
                for id in std::iter::once(id).chain(other) {
                    self.on_half(id, why, now);
                }
            }
            OrderEvent::CancelAllDone { .. } => {
                if let Some(stop) = &mut self.stop {
                    stop.on_cancel_all_done();
                }
            }
            OrderEvent::OpenOrders(list) => self.on_open_orders(list, now),
            OrderEvent::Account { assets, full: true } => self.on_account(assets, now),
            OrderEvent::Subscribed => self.subscribed = true,
            OrderEvent::Failed { code, reason, retry_at } => {
                self.counts.rejects[reason.index()] += 1;
                self.aside.failed = Some((reason, code, retry_at));
            }
            OrderEvent::LoggedOn => self.aside.logged_on = true,
            OrderEvent::Time { venue } => self.aside.time = Some(venue),
            OrderEvent::Limits { weight, orders } => {
                (self.aside.weight, self.aside.orders) = (weight, orders);
            }
            OrderEvent::Refused { .. } => self.counts.requests_refused += 1,
            OrderEvent::Foreign => self.counts.foreign += 1,
            OrderEvent::Shutdown => self.shutdown = true,
            _ => {}
        }
    }

    /// Whether an order was sent that the venue has neither taken nor refused, and that it may still take.
    #[cold]
    fn is_any_unanswered(&self, now: Ts) -> bool {
        self.sent.iter().any(|o| o.open && o.venue_order_id == 0 && self.may_come(o, now))
    }

    /// Whether the venue may still take this order, had it never got it.
    fn may_come(&self, order: &SentOrder, now: Ts) -> bool {
        Ts(now.0 & TS_MASK).since_ns(order.id.ts) <= self.order_late_max_ns
    }

    /// All balances, as the stop under way has asked for them. What nobody waits for is of no use: it would be compared
    /// with a ledger that has traded on. Changes alone come on two streams, out of step with the reports.
    #[cold]
    fn on_account(&mut self, assets: &[AccountAsset], now: Ts) {
        if !self.stop.as_mut().is_some_and(|stop| stop.on_account()) {
            return;
        }
        // Assets that are not listed are zero: with nothing listed, the first stands for all.
        let nothing = [AccountAsset { asset: AssetId(0), free: 0, locked: 0 }];
        let assets = if assets.is_empty() { &nothing[..] } else { assets };
        let last = assets.len() - 1;
        for (i, a) in assets.iter().enumerate().take(REPORTS_PER_MESSAGE) {
            let end = if i == last { flag::END } else { 0 };
            let body = [a.free, a.locked, a.asset.0 as i64, 1];
            self.push(Msg::new(Kind::Balance, InstrumentId(0), now).flags(end).body(body));
        }
    }

    fn on_open_orders(&mut self, list: &[OpenOrder], now: Ts) {
        let ours = |o: &&OpenOrder| {
            o.id.is_some_and(|id| self.sent.get(id.slot.0 as usize).is_some_and(|s| s.id == id))
        };
        self.counts.foreign_open += (list.len() - list.iter().filter(ours).count()) as u64;
        let unanswered = self.is_any_unanswered(now);
        if let Some(stop) = &mut self.stop {
            stop.on_open_orders(list.len());
            if unanswered {
                stop.recheck(now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
