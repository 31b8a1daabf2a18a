//! The order management logic: intents in, gated orders out; the venue's reports in, states and money out.
//!
//! Sole writer of order states, positions and the ledger. It has no ring, socket or clock: agents hand it messages
//! and times, and it answers through an [`OmsPort`]. Unknown state blocks trading: an order nobody is sure about, a
//! ledger that does not add up, balances not yet known, a session that is down.

mod balances;
mod counts;
mod halt;
mod hearing;
mod intents;
mod members;
#[cfg(test)]
mod tests;

use agent::SlowBeat;
use book::Top;
use orders::{Applied, Fill, Ledger, LedgerError, LedgerFill, Order, OrderTable};
use risk::Gate;
use wire::{
    AssetId, BookState, Instrument, InstrumentId, Kind, Msg, OrderState, Px, Qty, QueryStatus, Slot, Ts, flag,
};

use crate::apart::{Member, Standing};
use crate::controls::{ControlWord, Mode};
pub use balances::VenueBalance;
pub use counts::OmsCounts;
pub use halt::{Halt, reason};
use hearing::Hearing;

/// An unacknowledged order or cancel is asked about after this long.
const ANSWER_NS: u64 = 1_000_000_000;
/// A refused cancel usually crossed with a fill that is on its way; asked about after this long.
const CROSSED_NS: u64 = 100_000_000;
/// Time from the first question about an order to the second; doubles with every one that settles nothing.
const ASK_AGAIN_NS: u64 = 500_000_000;
/// Doublings at most: at that pace a table full of unknown orders leaves the venue's request weight to others.
const PATIENCE_MAX: u8 = 3;
/// Orders given up on our own conclusion stay this long, so that a late report can reopen them: twice the window
/// in which the venue takes a request after its stamp.
const KEEP_NS: u64 = 10_000_000_000;
/// Time between two looks at the deadlines.
const TIMER_NS: u64 = 10_000_000;

/// Where the oms's words go.
pub trait OmsPort {
    /// A gated new order to the gateway; `false` when the ring is full and nothing was sent.
    fn send_new(&mut self, msg: Msg) -> bool;
    /// The same for an order that takes two slots, committed whole.
    fn send_new_run(&mut self, head: Msg, tail: Msg) -> bool;
    /// A cancel or query to the gateway; `false` when the ring is full and nothing was sent.
    fn send(&mut self, msg: Msg) -> bool;
    /// A word to the strategy.
    fn update(&mut self, msg: Msg);
    /// The state of the order in a slot changed.
    fn state(&mut self, slot: Slot, state: OrderState);
    /// The venue's first answer to the order in a slot is here.
    fn acked(&mut self, slot: Slot);
    /// The deadlines were looked at, in a cycle that may have had no input: it is to be recorded.
    fn timer(&mut self) {}
}

/// What an oms reads once a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OmsInputs {
    /// Time of the cycle.
    pub now: Ts,
    /// The kill switch is tripped.
    pub killed: bool,
    /// The engine's mode.
    pub mode: Mode,
    /// How often the mode has changed, wrapping at 2^24.
    pub change: u32,
    /// Some word to the strategy was lost because its ring was full.
    pub updates_lost: bool,
    /// The journal cannot go on: nothing new may be risked unrecorded.
    pub unrecorded: bool,
    /// Who is there of those that live in processes of their own.
    pub standing: Standing,
}

struct Book {
    instrument: Instrument,
    gate: Gate,
    top: Top,
    ts_top: Ts,
    state: BookState,
}

/// Order management of one account at one venue.
pub struct Oms {
    books: Vec<Book>,
    table: OrderTable,
    ledger: Ledger,
    /// When to ask about the order in a slot; zero = never.
    check_at: Box<[Ts]>,
    /// Questions in a row about the order in a slot that settled nothing, at most [`PATIENCE_MAX`].
    patience: Box<[u8]>,
    /// When to offer the cancel of the order in a slot again, which could not leave or was lost; zero = never.
    cancel_at: Box<[Ts]>,
    /// Until when the order in a slot, given up on our own conclusion, is kept for late reports; zero = it was not.
    kept_until: Box<[Ts]>,
    /// How long after it was sent the venue may still take an order, ns.
    order_late_max_ns: u64,
    /// Orders that lived after they had been given up, as far as they have been cancelled.
    reopened: u64,
    half_fill: Option<Msg>,
    /// First slot of an intent whose second has not come yet.
    half_intent: Option<Msg>,
    /// Where orders that are none are entered, and taken out again.
    practice: OrderTable,
    funded: bool,
    venue_balances: Vec<Option<VenueBalance>>,
    /// Inside a run of full balances.
    listing: bool,
    /// Full balances have come that the ledger has not been compared with.
    to_compare: bool,
    session: bool,
    hearing: Hearing,
    /// Trading waits for the account stream.
    deaf: bool,
    fault: Halt,
    halt: Halt,
    mode: Mode,
    /// The change of mode that is followed.
    change: u32,
    /// Orders can still trade that the mode, or a mode left since, wants gone.
    withdrawing: bool,
    unknown_open: bool,
    /// Who is there, as last heard.
    standing: Standing,
    /// It has changed since the last cycle.
    moved: bool,
    /// The first slot of which a new gateway has not been told; `None` = it has been told of all.
    to_introduce: Option<u32>,
    timer: SlowBeat,
    source: u16,
    /// What has been counted.
    pub counts: OmsCounts,
}

/// Why an oms cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OmsError {
    /// The ledger cannot hold these instruments.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Instrument ids are not dense from zero.
    #[error("instrument {symbol} has id {id}, must be {expected}")]
    Dense {
        /// Its symbol.
        symbol: String,
        /// Its id.
        id: u32,
        /// What it must be.
        expected: u32,
    },
}

impl Oms {
    /// An oms for these instruments (ids dense from zero), each with its gate, and `slots` orders. The venue may still
    /// take an order `order_late_max_ns` after it was sent: so long it is not given up.
    ///
    /// # Errors
    /// The ids are not dense, or the ledger cannot carry a scale.
    pub fn new(
        gates: Vec<(Instrument, Gate)>,
        assets: usize,
        slots: usize,
        order_late_max_ns: u64,
    ) -> Result<Oms, OmsError> {
        for (i, (instrument, _)) in gates.iter().enumerate() {
            if instrument.id.0 as usize != i {
                return Err(OmsError::Dense {
                    symbol: instrument.symbol.clone(),
                    id: instrument.id.0,
                    expected: i as u32,
                });
            }
        }
        let instruments: Vec<Instrument> = gates.iter().map(|(i, _)| i.clone()).collect();
        let all_assets: Vec<AssetId> = (0..assets as u16).map(AssetId).collect();
        let ledger = Ledger::new(&instruments, &all_assets)?;
        let book = |(instrument, gate)| Book {
            instrument,
            gate,
            top: Top::default(),
            ts_top: Ts(0),
            state: BookState::Down,
        };
        Ok(Oms {
            table: OrderTable::with_instruments(slots, gates.len()),
            practice: OrderTable::with_instruments(1, gates.len()),
            books: gates.into_iter().map(book).collect(),
            ledger,
            check_at: vec![Ts(0); slots].into_boxed_slice(),
            patience: vec![0; slots].into_boxed_slice(),
            cancel_at: vec![Ts(0); slots].into_boxed_slice(),
            kept_until: vec![Ts(0); slots].into_boxed_slice(),
            order_late_max_ns,
            reopened: 0,
            half_fill: None,
            half_intent: None,
            funded: false,
            venue_balances: vec![None; assets],
            listing: false,
            to_compare: false,
            session: false,
            hearing: Hearing::default(),
            deaf: false,
            fault: Halt::None,
            halt: Halt::Session,
            mode: Mode::Normal,
            change: 0,
            withdrawing: false,
            unknown_open: false,
            standing: Standing::default(),
            moved: false,
            to_introduce: None,
            timer: SlowBeat::new(TIMER_NS),
            source: 0,
            counts: OmsCounts::default(),
        })
    }

    /// Orders that can still trade, all instruments.
    pub fn open_orders(&self) -> u32 {
        self.books.iter().map(|b| self.table.exposure(b.instrument.id).open_orders).sum()
    }

    /// Why trading is off.
    pub fn halt(&self) -> Halt {
        self.halt
    }

    /// Whether orders can still trade that the mode, or a mode left since, wants gone.
    pub fn is_withdrawing(&self) -> bool {
        self.withdrawing
    }

    /// The order table, for listings.
    pub fn table(&self) -> &OrderTable {
        &self.table
    }

    /// The ledger, for reports.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The venue's balances as of its last full answer, by asset number.
    pub fn venue_balances(&self) -> &[Option<VenueBalance>] {
        &self.venue_balances
    }

    /// The instruments.
    pub fn instruments(&self) -> impl Iterator<Item = &Instrument> {
        self.books.iter().map(|b| &b.instrument)
    }

    /// Mid of an instrument's last top, the mark for unrealised profit; `None` without a two-sided top.
    pub fn mark(&self, instrument: InstrumentId) -> Option<Px> {
        let top = self.books.get(instrument.0 as usize)?.top;
        (top.bid_qty.0 > 0 && top.ask_qty.0 > 0).then(|| Px(top.bid_px.0 + (top.ask_px.0 - top.bid_px.0) / 2))
    }

    // ---- market ------------------------------------------------------------------------------------------

    /// Top of book or book state: what the gate's collar, staleness and sync checks look at.
    #[inline]
    pub fn on_market(&mut self, msg: &Msg) {
        let Some(book) = self.books.get_mut(msg.instrument as usize) else { return };
        match msg.kind() {
            Some(Kind::Top) => {
                book.top = Top::from_msg(msg);
                book.ts_top = msg.ts_recv();
            }
            Some(Kind::BookState) => {
                book.state = BookState::from_u8(msg.body[0] as u8);
                if book.state != BookState::InSync {
                    book.top = Top::default();
                }
            }
            _ => {}
        }
    }

    // ---- reports -----------------------------------------------------------------------------------------

    /// A report of the gateway.
    #[inline]
    pub fn on_report(&mut self, msg: &Msg, now: Ts, port: &mut impl OmsPort) {
        let slot = Slot(msg.body[2] as u32);
        match msg.kind() {
            Some(Kind::Fill) => self.half_fill = Some(*msg),
            Some(Kind::FillFee) => {
                if let Some(first) = self.half_fill.take() {
                    self.on_fill(&first, msg, now, port);
                }
            }
            Some(Kind::Sent) => {
                let applied = self.table.on_sent(slot, now);
                if self.has_reopened() {
                    self.settle(slot, applied, 0, now, port);
                }
            }
            Some(Kind::Acked) => {
                let applied = self.table.on_acked(slot, msg.body[1] as u64);
                if let Applied::State(state) = applied {
                    self.counts.acked += 1;
                    port.acked(slot);
                    if state == OrderState::Live || state == OrderState::PartiallyFilled {
                        self.check_at[slot.0 as usize] = Ts(0);
                    }
                }
                self.settle(slot, applied, 0, now, port);
            }
            Some(Kind::Triggered) => {
                // Whoever works in the book has been taken, even if this is the first word of it.
                let mut applied = self.table.on_acked(slot, msg.body[1] as u64);
                if applied != Applied::Conflict
                    && let triggered @ Applied::State(_) = self.table.on_triggered(slot)
                {
                    applied = triggered;
                }
                self.settle(slot, applied, 0, now, port);
            }
            Some(Kind::Rejected) => {
                let applied = self.table.on_rejected(slot);
                self.counts.rejected += matches!(applied, Applied::State(_)) as u64;
                self.settle(slot, applied, refusal(msg), now, port);
            }
            Some(Kind::Cancelled) => {
                let applied = self.table.on_cancelled(slot, Qty(msg.body[0]));
                self.hearing.heard();
                self.settle(slot, applied, 0, now, port);
            }
            Some(Kind::Expired) => {
                let applied = self.table.on_expired(slot, Qty(msg.body[0]));
                self.hearing.heard();
                self.settle(slot, applied, 0, now, port);
            }
            Some(Kind::CancelRejected) => {
                self.counts.cancel_rejected += 1;
                let applied = self.table.on_cancel_rejected(slot);
                if self.table.get(slot).is_some_and(|o| o.state.is_open()) {
                    sooner(&mut self.check_at[slot.0 as usize], now.plus_ns(CROSSED_NS));
                }
                self.settle(slot, applied, refusal(msg), now, port);
            }
            Some(Kind::NotSent) if msg.body[1] == 1 => {
                // A cancel that could not leave is not handed back to a strategy that would ask again at once.
                self.counts.not_sent += 1;
                self.cancel_later(slot, now);
            }
            Some(Kind::NotSent) => {
                self.counts.not_sent += 1;
                let applied = self.table.on_not_sent(slot);
                self.settle(slot, applied, reason::NOT_SENT + msg.body[0], now, port);
            }
            Some(Kind::Unknown) => {
                let applied = self.table.on_unknown(slot);
                self.settle(slot, applied, msg.body[0], now, port);
                if let Applied::State(_) = applied {
                    self.ask(slot, now, port);
                }
                // Known as unknown: the question itself may have failed, and is asked again in its own time.
            }
            Some(Kind::QueryResult) => self.on_query(slot, msg, now, port),
            Some(Kind::TradesListed) if msg.body[0] == 1 => {
                self.patience[slot.0 as usize] = 0; // it goes on
                self.ask_trades(slot, msg.body[1], now, port);
            }
            Some(Kind::Balance) => self.on_balance(msg),
            Some(Kind::Session) if msg.body[3] != 0 => {
                self.fault = Halt::Credentials;
                self.on_session(false, false, now, port);
            }
            Some(Kind::Session) => self.on_session(msg.body[0] == 1, msg.body[1] == 1, now, port),
            _ => {}
        }
    }

    fn on_query(&mut self, slot: Slot, msg: &Msg, now: Ts, port: &mut impl OmsPort) {
        let Some(status) = QueryStatus::from_u8(msg.body[0] as u8) else { return };
        let taken_by = self.table.get(slot).filter(|o| o.state.is_open()).map(|o| self.taken_by(o));
        if status == QueryStatus::NotFound
            && let Some(by) = taken_by.filter(|by| now < *by)
        {
            // Not found yet. It may still be on its way: asked again when it no longer can be, if not before.
            let applied = self.table.on_unknown(slot);
            self.settle(slot, applied, 0, now, port);
            let at = &mut self.check_at[slot.0 as usize];
            *at = if *at <= now { by } else { (*at).min(by) };
            return;
        }
        let acked = self.table.get(slot).filter(|o| o.acked && o.state.is_open()).map(|o| o.ts_new);
        let applied = self.table.on_query(slot, status, msg.body[1] as u64, Qty(msg.body[3]));
        let ended = matches!(status, QueryStatus::Filled | QueryStatus::Cancelled | QueryStatus::Ended);
        if let (Some(ts_new), true, Applied::State(_)) = (acked, ended, applied) {
            self.hearing.missed(ts_new, now);
            self.deaf = self.hearing.is_waiting(now);
        }
        if status == QueryStatus::NotFound
            && taken_by.is_some()
            && self.table.get(slot).is_some_and(|o| !o.state.is_open())
        {
            // Our own conclusion: the order stays a while, in case the venue thinks otherwise.
            self.kept_until[slot.0 as usize] = now.plus_ns(KEEP_NS);
            self.check_at[slot.0 as usize] = Ts(0);
            self.tell(slot, 0, now, port);
            return;
        }
        match self.table.get(slot).map(|o| o.state) {
            Some(OrderState::Live | OrderState::PartiallyFilled) => self.check_at[slot.0 as usize] = Ts(0),
            // Still there long after its cancel: that one was lost.
            Some(OrderState::CancelPending) if status == QueryStatus::Open => {
                self.check_at[slot.0 as usize] = Ts(0);
                self.cancel_later(slot, now);
            }
            _ => {}
        }
        self.settle(slot, applied, 0, now, port);
    }

    /// When the venue can no longer take an order that it has not taken.
    fn taken_by(&self, order: &Order) -> Ts {
        let sent = if order.ts_sent == Ts(0) { order.ts_new } else { order.ts_sent };
        sent.plus_ns(self.order_late_max_ns)
    }

    fn on_fill(&mut self, first: &Msg, second: &Msg, now: Ts, port: &mut impl OmsPort) {
        let slot = Slot(first.body[2] as u32);
        let fill = Fill {
            px: Px(first.body[0]),
            qty: Qty(first.body[1]),
            cum_qty: (second.body[2] != 0).then_some(Qty(second.body[2])),
            trade_id: first.body[3] as u64,
        };
        if fill.cum_qty.is_some() {
            self.hearing.heard(); // a list does not say it
        }
        let Some(order) = self.table.get(slot).copied() else {
            self.counts.late += 1;
            return;
        };
        let applied = self.table.on_fill(slot, fill);
        if let Applied::Fill { .. } = applied {
            self.counts.fills += 1;
            let booked = self.ledger.apply(&LedgerFill {
                instrument: order.instrument,
                side: order.side,
                px: fill.px,
                qty: fill.qty,
                fee: second.body[0],
                fee_asset: AssetId(second.body[1] as u16),
            });
            match booked {
                Ok(booked) => {
                    let side = if order.side == wire::Side::Sell { flag::SELL } else { 0 };
                    let mut own = Msg::new(Kind::OwnFill, order.instrument, now)
                        .flags(flag::END | side | (first.flags & flag::MAKER))
                        .body([fill.px.0, fill.qty.0, order.id.0 as i64, booked.position]);
                    own.source = self.source;
                    port.update(own);
                }
                Err(_) => {
                    self.counts.ledger_errors += 1;
                    self.fault = Halt::Ledger;
                }
            }
        }
        self.settle(slot, applied, 0, now, port);
    }

    /// After any report: count what it did, tell the strategy, free the slot of a finished order.
    fn settle(&mut self, slot: Slot, applied: Applied, why: i64, now: Ts, port: &mut impl OmsPort) {
        match applied {
            Applied::State(_) | Applied::Fill { .. } => {}
            Applied::Duplicate => {
                self.counts.duplicates += 1;
                return;
            }
            Applied::Late | Applied::NoOrder => {
                self.counts.late += 1;
                return;
            }
            Applied::Overfill { .. } | Applied::Conflict | Applied::Invalid => {
                self.counts.conflicts += 1;
                self.fault = Halt::Conflict;
            }
        }
        self.tell(slot, why, now, port);
        let Some(order) = self.table.get(slot) else { return };
        if order.state == OrderState::Unknown || order.missing().0 > 0 {
            sooner(&mut self.check_at[slot.0 as usize], now.plus_ns(CROSSED_NS));
            if order.state == OrderState::Unknown {
                self.counts.unknown += matches!(applied, Applied::State(_)) as u64;
                self.unknown_open = true;
            }
        } else {
            self.patience[slot.0 as usize] = 0;
        }
        if order.is_done() {
            match order.state {
                OrderState::Filled => self.counts.filled += 1,
                OrderState::Cancelled => self.counts.cancelled += 1,
                OrderState::Expired => self.counts.expired += 1,
                _ => {}
            }
            self.check_at[slot.0 as usize] = Ts(0);
            self.kept_until[slot.0 as usize] = Ts(0);
            self.table.release(slot);
        } else if self.has_reopened() {
            self.on_reopened(slot, now, port);
        }
    }

    /// Whether an order lives again that had been given up.
    #[inline]
    fn has_reopened(&self) -> bool {
        self.table.tally().reopened != self.reopened
    }

    /// An order lives that was given up: the strategy was told that it had ended, and no longer cares for it.
    #[cold]
    fn on_reopened(&mut self, slot: Slot, now: Ts, port: &mut impl OmsPort) {
        self.reopened = self.table.tally().reopened;
        self.kept_until[slot.0 as usize] = Ts(0);
        // It may add to the position, and what has been let through since was judged without it.
        self.withdrawing |= self.mode == Mode::Reduce;
        let cause = Msg::new(Kind::IntentCancel, InstrumentId(0), now);
        self.send_cancel(slot, &cause, now, port);
    }

    fn tell(&mut self, slot: Slot, why: i64, now: Ts, port: &mut impl OmsPort) {
        if let Some(order) = self.table.get(slot) {
            port.state(slot, order.state);
            let mut msg = Msg::new(Kind::Order, order.instrument, now).flags(flag::END).body([
                order.state as i64,
                order.filled.0,
                order.id.0 as i64,
                why,
            ]);
            msg.source = self.source;
            port.update(msg);
        }
    }

    fn on_session(&mut self, up: bool, none_open: bool, now: Ts, port: &mut impl OmsPort) {
        if up {
            self.hearing.begin(now);
        }
        self.session = up;
        for i in 0..self.table.capacity() as u32 {
            let slot = Slot(i);
            let Some(order) = self.table.get(slot) else { continue };
            if !order.state.is_open() {
                continue;
            }
            if none_open {
                // The venue has just listed nothing open: whatever is open here must be asked about.
                self.ask(slot, now, port);
            } else if matches!(order.state, OrderState::Pending | OrderState::CancelPending) {
                let applied = self.table.on_unknown(slot);
                self.settle(slot, applied, 0, now, port);
            }
        }
    }

    /// Asks the venue about an order: what executed when that is all that is missing, else what became of it.
    fn ask(&mut self, slot: Slot, now: Ts, port: &mut impl OmsPort) {
        let Some(order) = self.table.get(slot) else { return };
        if order.missing().0 > 0 && order.venue_order_id != 0 {
            return self.ask_trades(slot, 0, now, port);
        }
        let mut out =
            Msg::new(Kind::SendQuery, order.instrument, now).flags(flag::END).body([0, 0, slot.0 as i64, 0]);
        out.source = self.source;
        self.question(slot, out, now, port);
    }

    /// Asks for the executions of an order from a trade on.
    fn ask_trades(&mut self, slot: Slot, from: i64, now: Ts, port: &mut impl OmsPort) {
        let Some(order) = self.table.get(slot) else { return };
        let body = [from, order.venue_order_id as i64, slot.0 as i64, 0];
        let mut out = Msg::new(Kind::SendTrades, order.instrument, now).flags(flag::END).body(body);
        out.source = self.source;
        self.question(slot, out, now, port);
    }

    /// Sends a question about an order, and notes when it will be time for the next.
    fn question(&mut self, slot: Slot, out: Msg, now: Ts, port: &mut impl OmsPort) {
        self.counts.queries += port.send(out) as u64;
        let patience = &mut self.patience[slot.0 as usize];
        self.check_at[slot.0 as usize] = now.plus_ns(ASK_AGAIN_NS << *patience);
        *patience = (*patience + 1).min(PATIENCE_MAX);
    }

    // ---- time --------------------------------------------------------------------------------------------

    /// Once a cycle: whether trading is on, and every 10 ms the deadlines.
    #[inline]
    pub fn on_cycle(&mut self, inputs: &OmsInputs, port: &mut impl OmsPort) {
        if self.timer.due(inputs.now) {
            port.timer();
            self.deadlines(inputs.now, port);
        }
        if self.unknown_open {
            self.unknown_open = self.table.unknown().next().is_some();
        }
        if self.to_compare {
            self.compare();
        }
        let entered = inputs.change != self.change;
        if entered {
            self.on_mode(inputs, port);
        }
        if inputs.standing != self.standing {
            self.on_standing(inputs.standing, inputs.now, port);
        }
        let moved = std::mem::take(&mut self.moved);
        if self.to_introduce.is_some() {
            self.introduce(inputs.now, port);
        }
        // In a mode in which nothing may be open, whatever is open is to go, however it came to be.
        self.withdrawing |= matches!(self.mode, Mode::Pause | Mode::Emergency) || self.is_orphaned();
        self.withdrawing = self.withdrawing && self.open_orders() > 0;
        let halt = self.judge(inputs);
        if halt != self.halt || entered || moved {
            // Whoever hears that trading is on hears with it what kind of orders it is for.
            self.halt = halt;
            self.tell_trading(inputs.now, port);
        }
    }

    #[inline]
    fn judge(&self, inputs: &OmsInputs) -> Halt {
        if inputs.killed {
            Halt::Killed
        } else if self.fault != Halt::None {
            self.fault
        } else if inputs.unrecorded {
            Halt::Journal
        } else if inputs.updates_lost {
            Halt::Updates
        } else if inputs.mode == Mode::Quiesce {
            if self.unknown_open { Halt::UnknownOrder } else { Halt::Quiesce }
        } else if inputs.mode == Mode::Emergency {
            Halt::Emergency
        } else if inputs.mode == Mode::Pause {
            Halt::Pause
        } else if self.standing.is_away(Member::Gateway) || self.to_introduce.is_some() {
            Halt::Gateway
        } else if self.is_orphaned() {
            Halt::Strategy
        } else if self.withdrawing {
            Halt::Withdrawing
        } else if !self.session {
            Halt::Session
        } else if !self.funded || self.to_compare {
            Halt::Balances
        } else if self.unknown_open {
            Halt::UnknownOrder
        } else if self.deaf {
            Halt::AccountStream
        } else {
            Halt::None
        }
    }

    /// The mode has changed: what was asked for under the earlier one is withdrawn, unless everything is allowed now and
    /// no mode came and went unseen.
    #[cold]
    fn on_mode(&mut self, inputs: &OmsInputs, port: &mut impl OmsPort) {
        let unseen = inputs.change != ControlWord::next_change(self.change) && inputs.mode != Mode::Quiesce;
        (self.mode, self.change) = (inputs.mode, inputs.change);
        self.withdrawing = unseen || matches!(inputs.mode, Mode::Pause | Mode::Reduce | Mode::Emergency);
        if self.withdrawing {
            self.withdraw_all(inputs.now, port);
        }
    }

    #[cold]
    fn tell_trading(&mut self, now: Ts, port: &mut impl OmsPort) {
        for b in &self.books {
            let on = self.halt == Halt::None;
            let mut msg = Msg::new(Kind::Trading, b.instrument.id, now).flags(flag::END).body([
                on as i64,
                self.halt as i64,
                (self.mode == Mode::Reduce) as i64,
                0,
            ]);
            msg.source = self.source;
            port.update(msg);
        }
    }

    fn deadlines(&mut self, now: Ts, port: &mut impl OmsPort) {
        self.deaf = self.hearing.is_waiting(now);
        for i in 0..self.table.capacity() as u32 {
            let slot = Slot(i);
            let at = self.check_at[i as usize];
            let kept_until = &mut self.kept_until[i as usize];
            if *kept_until != Ts(0) && *kept_until <= now {
                *kept_until = Ts(0);
                self.table.release(slot);
            }
            let wanted = self.cancel_at[i as usize];
            if wanted == Ts(0) && at == Ts(0) && self.withdrawing {
                // A cancel that was refused is no blind repeat: the order has been asked about since.
                let cause = Msg::new(Kind::IntentCancel, InstrumentId(0), now);
                self.cancel(slot, &cause, now, port);
            } else if wanted != Ts(0) && wanted <= now {
                self.cancel_anew(slot, now, port);
            }
            if at == Ts(0) || at > now {
                continue;
            }
            match self.table.get(slot).map(|o| o.state) {
                Some(OrderState::Pending) => {
                    let applied = self.table.on_unknown(slot);
                    self.settle(slot, applied, 0, now, port);
                    self.ask(slot, now, port);
                }
                Some(state) if state.is_open() => self.ask(slot, now, port),
                _ => self.check_at[i as usize] = Ts(0),
            }
        }
    }
}

/// An order is looked at by then, or sooner if that was planned: whatever is done about it meanwhile, and however often,
/// does not put its question off.
fn sooner(check_at: &mut Ts, by: Ts) {
    *check_at = if *check_at == Ts(0) { by } else { (*check_at).min(by) };
}

/// What the strategy is told of a refusal: its meaning where the venue's code has one.
fn refusal(report: &Msg) -> i64 {
    if report.body[1] != 0 { reason::VENUE + report.body[1] } else { report.body[0] }
}
