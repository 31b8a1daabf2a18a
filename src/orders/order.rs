//! One order and its life.
//!
//! ```text
//!             acked              fill, part                    fill, rest
//!   Pending ─────────▶ Live ───────────────────▶ PartiallyFilled ─────────▶ Filled
//!    │    │             │ ▲                         │ ▲
//!    │    │ cancel sent │ │ cancel rejected         │ │
//!    │    └───────────▶ ▼ │ ◀───────────────────────┘ │
//!    │               CancelPending ───────────────────┘
//!    │ rejected,        │
//!    │ not sent         │ cancelled, expired (also straight from Pending, Live and PartiallyFilled)
//!    ▼                  ▼
//!   Rejected         Cancelled, Expired
//!
//!   any open state ──── no answer, a contradiction, executions missing ────▶ Unknown
//!   Unknown ─────────── ack, query, the missing executions ────────────────▶ any other state
//!   any open state ──── fill, part ──▶ PartiallyFilled, or CancelPending still    ──── fill, rest ──▶ Filled
//!   Rejected, as we concluded or as the venue refutes ─────────────────────▶ Live, PartiallyFilled, Unknown
//! ```
//!
//! An order keeps the facts that reports brought, and its state is what they add up to; so it matters little in
//! which order they come:
//!
//! - an end was reported: that end when every execution up to its quantity is known, `Unknown` before;
//! - else somebody doubts (no answer, a contradiction), or executions are missing: `Unknown`;
//! - else a cancel is on its way: `CancelPending`;
//! - else `PartiallyFilled`, `Live` or `Pending`, by executions and ack.
//!
//! # What every report does to an order in every situation
//!
//! A test reads this table and holds the code to it. Rows are reports, columns the situation before; a cell is
//! the state after, with its verdict before it: none = [`Applied::State`], `+` = [`Applied::Fill`], `=`
//! [`Applied::Duplicate`], `-` [`Applied::Late`], `!` [`Applied::Conflict`], `>` [`Applied::Overfill`], `0`
//! [`Applied::Invalid`].
//!
//! | column | situation: an order of 100 |
//! |---|---|
//! | `Pe`, `Ps` | pending: not sent, sent |
//! | `Li`, `Pa` | live; 10 filled |
//! | `Cs`, `Cp` | cancel pending: not acked, acked with 10 filled |
//! | `Us`, `Ua` | unknown for want of an answer: not acked, acked with 10 filled |
//! | `Um`, `Ue` | unknown for want of 60: open, cancelled |
//! | `Fi` | filled at once |
//! | `Ca`, `Ex` | cancelled, expired with 10 filled |
//! | `Re`, `Rp` | rejected by the venue; presumed so because the venue found nothing |
//!
//! | report                     | Pe  | Ps  | Li  | Pa  | Cs  | Cp  | Us  | Ua  | Um  | Ue  | Fi  | Ca  | Ex  | Re  | Rp  |
//! |----------------------------|-----|-----|-----|-----|-----|-----|-----|-----|-----|-----|-----|-----|-----|-----|-----|
//! | sent                       | Pe  | =Pe | =Li | =Pa | =Cp | =Cp | =Un | =Un | =Un | =Un | =Fi | =Ca | =Ex | =Re | =Re |
//! | not sent                   | Re  | !Un | !Un | !Un | Pe  | Pa  | !Un | !Un | !Un | -Un | -Fi | -Ca | -Ex | -Re | -Re |
//! | acked                      | Li  | Li  | =Li | =Pa | Cp  | =Cp | Li  | =Un | =Un | =Un | -Fi | -Ca | -Ex | !Un | Li  |
//! | acked, other venue id      | !Un | !Un | !Un | !Un | !Un | !Un | !Un | !Un | !Un | !Un | !Fi | !Ca | !Ex | !Un | !Un |
//! | triggered                  | Li  | Li  | =Li | =Pa | Cp  | =Cp | Li  | =Un | =Un | -Un | -Fi | -Ca | -Ex | !Un | Li  |
//! | rejected                   | Re  | Re  | !Un | !Un | Re  | !Un | Re  | !Un | !Un | -Un | -Fi | -Ca | -Ex | =Re | =Re |
//! | fill, 10 to 10             | +Pa | +Pa | +Pa | =Pa | +Cp | =Cp | +Un | =Un | +Un | +Un | !Fi | =Ca | =Ex | +Un | +Pa |
//! | fill, 20 to 30             | +Un | +Un | +Un | +Pa | +Un | +Cp | +Un | +Un | +Un | +Un | !Fi | +Ca | +Ex | +Un | +Un |
//! | fill, the rest             | +Fi | +Fi | +Fi | +Fi | +Fi | +Fi | +Fi | +Fi | +Fi | +Fi | =Fi | +Fi | +Fi | +Fi | +Fi |
//! | fill, same place, other id | !Un | !Un | !Un | !Un | !Un | !Un | !Un | !Un | !Un | !Un | !Fi | !Ca | !Ex | !Un | !Un |
//! | fill, beyond the order     | >Pe | >Pe | >Li | >Pa | >Cp | >Cp | >Un | >Un | >Un | >Un | >Fi | >Ca | >Ex | >Re | >Re |
//! | fill, of nothing           | 0Pe | 0Pe | 0Li | 0Pa | 0Cp | 0Cp | 0Un | 0Un | 0Un | 0Un | 0Fi | 0Ca | 0Ex | 0Re | 0Re |
//! | listed fill of 10          | +Pa | +Pa | +Pa | =Pa | +Cp | =Cp | +Un | =Un | +Un | +Un | >Fi | =Ca | =Ex | +Un | +Pa |
//! | listed fill of 60          | +Pa | +Pa | +Pa | +Pa | +Cp | +Cp | +Un | +Un | +Pa | +Ca | >Fi | +Ca | +Ex | +Un | +Pa |
//! | cancel sent                | Cp  | Cp  | Cp  | Cp  | =Cp | =Cp | Un  | Un  | Un  | -Un | -Fi | -Ca | -Ex | -Re | -Re |
//! | cancel rejected            | -Pe | -Pe | -Li | -Pa | Pe  | Pa  | -Un | -Un | -Un | -Un | -Fi | -Ca | -Ex | -Re | -Re |
//! | cancelled at 10            | Un  | Un  | Un  | Ca  | Un  | Ca  | Un  | Ca  | Un  | =Un | -Fi | =Ca | -Ex | Un  | Un  |
//! | cancelled at 60            | Un  | Un  | Un  | Un  | Un  | Un  | Un  | Un  | Un  | =Un | -Fi | Un  | Un  | Un  | Un  |
//! | expired at 10              | Un  | Un  | Un  | Ex  | Un  | Ex  | Un  | Ex  | Un  | -Un | -Fi | -Ca | =Ex | Un  | Un  |
//! | unknown                    | Un  | Un  | Un  | Un  | Un  | Un  | =Un | =Un | Un  | -Un | -Fi | -Ca | -Ex | -Re | -Re |
//! | query: not found           | Re  | Re  | Un  | Un  | Re  | Un  | Re  | =Un | Un  | -Un | -Fi | -Ca | -Ex | -Re | -Re |
//! | query: open at 10          | Un  | Un  | Un  | Pa  | Un  | Cp  | Un  | Pa  | Un  | -Un | -Fi | -Ca | -Ex | !Un | Un  |
//! | query: open at 60          | Un  | Un  | Un  | Un  | Un  | Un  | Un  | Un  | Un  | -Un | -Fi | -Ca | -Ex | !Un | Un  |
//! | query: filled              | Un  | Un  | Un  | Un  | Un  | Un  | Un  | Un  | Un  | Un  | =Fi | Un  | Un  | Un  | Un  |
//! | query: filled at 10        | Un  | Un  | Un  | Ex  | Un  | Ex  | Un  | Ex  | Un  | -Un | -Fi | -Ca | =Ex | Un  | Un  |
//! | query: cancelled at 10     | Un  | Un  | Un  | Ca  | Un  | Ca  | Un  | Ca  | Un  | =Un | -Fi | =Ca | -Ex | Un  | Un  |
//! | query: ended at 0          | Ex  | Ex  | Ex  | Ex  | Ex  | Ex  | Ex  | Ex  | Un  | -Un | -Fi | -Ca | =Ex | -Re | Ex  |
//!
//! # Two orders that belong together
//!
//! - **Replace** is a cancel of one order and a new one, with two outcomes: tell the old one
//!   [`crate::OrderTable::on_cancel_sent`], insert the new one, and report to each leg what became of it; a leg
//!   that was not attempted is a cancel rejected, or an order rejected. Both count as open risk meanwhile.
//! - **OCO**: each leg is an order; when one executes, the other is reported expired. Both count as open risk
//!   until then, which overstates it.
//! - **A stop** rests at the venue outside the book until it triggers: `Live`, and [`Order::working`] is false.
//!   It is open risk, but it does not meet our own orders.
//!
//! # Executions that went missing
//!
//! A report or a query may name a cumulative quantity above the executions known. [`Order::missing`] says how
//! much, the order is `Unknown`, and [`Order::open_question`] says [`Question::Executions`]: have the venue list
//! the order's executions and give each to [`crate::OrderTable::on_fill`] without a cumulative quantity. Whatever
//! was known, or comes again later, is `Duplicate`: the venue's trade id is the identity.

use wire::{InstrumentId, OrderId, OrderState, OrderType, Px, Qty, QueryStatus, Side, Slot, Ts};

use crate::executions::{Admit, Execution, Executions};

/// A new order as the table takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderEntry {
    /// Identity chosen by the strategy.
    pub id: OrderId,
    /// What to trade.
    pub instrument: InstrumentId,
    /// Side.
    pub side: Side,
    /// Limit price, or the worst price assumed for a market order; positive.
    pub px: Px,
    /// Quantity, positive.
    pub qty: Qty,
    /// How it trades.
    pub kind: OrderType,
    /// When it was entered.
    pub now: Ts,
}

/// An execution of one of our orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Price, instrument's price scale.
    pub px: Px,
    /// Quantity of this execution, instrument's quantity scale.
    pub qty: Qty,
    /// Cumulative quantity of the order after it; `None` when the venue did not say, as in a list of executions.
    pub cum_qty: Option<Qty>,
    /// The venue's trade id, unique within the order and the same on every road; 0 = none.
    pub trade_id: u64,
}

/// What a report did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The order is now in this state.
    State(OrderState),
    /// A new execution: book it.
    Fill {
        /// Quantity of this execution.
        qty: Qty,
        /// Quantity that may still execute, as far as reports say.
        leaves: Qty,
        /// The order has ended and every execution is known: it may be released.
        done: bool,
    },
    /// Known before; nothing changed.
    Duplicate,
    /// For an order that has ended, or that is further on already; nothing changed that matters.
    Late,
    /// An execution beyond the order's quantity. It is not applied; trading must stop and reconcile.
    Overfill {
        /// Quantity beyond the order.
        excess: Qty,
    },
    /// The report contradicts what is known. An open order is `Unknown` now and must be queried. A contradicting
    /// execution was not applied: reconcile against the venue's balances.
    Conflict,
    /// A quantity, price or cumulative quantity that cannot be; nothing changed.
    Invalid,
    /// No order in this slot.
    NoOrder,
}

/// What would settle an order of unknown state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Ask the venue for the order.
    Order,
    /// Ask the venue for the order's executions.
    Executions,
}

/// An order. Read it through [`crate::OrderTable::get`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// Identity chosen by the strategy.
    pub id: OrderId,
    /// What it trades.
    pub instrument: InstrumentId,
    /// Side.
    pub side: Side,
    /// Limit price, or the worst price assumed for a market order.
    pub px: Px,
    /// Ordered quantity.
    pub qty: Qty,
    /// How it trades.
    pub kind: OrderType,
    /// It can execute once it is accepted: false for a stop that has not triggered as far as is known.
    pub working: bool,
    /// State as in the module's picture.
    pub state: OrderState,
    /// How many orders used this slot before.
    pub generation: u32,
    /// The venue's id, 0 until known.
    pub venue_order_id: u64,
    /// Sum of the executions applied.
    pub filled: Qty,
    /// Sum of price × quantity of the executions applied, mantissa at `px_decimals + qty_decimals`.
    pub notional: i128,
    /// Highest cumulative quantity that any report named; above `filled` while executions are missing.
    pub cum_reported: Qty,
    /// When it was entered.
    pub ts_new: Ts,
    /// When it was handed to the kernel, zero before.
    pub ts_sent: Ts,
    /// Whether the venue has accepted it.
    pub acked: bool,
    /// A cancel is on its way, and nothing was heard of it.
    pub cancel_sent: bool,
    doubt: Doubt,
    /// End that the venue reported, or that we concluded, with its cumulative quantity.
    end: Option<End>,
}

/// Why nobody knows whether an order without an end is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Doubt {
    None,
    /// No answer came.
    Silence,
    /// Reports contradict each other.
    Conflict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct End {
    state: OrderState,
    cum_qty: i64,
    /// Our conclusion, not the venue's word.
    presumed: bool,
}

/// What an order adds to the open risk of its instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Risk {
    pub(crate) open: bool,
    pub(crate) leaves: i64,
    /// It may stand in the book, where our own order on the other side would meet it.
    pub(crate) rests: bool,
}

impl Order {
    pub(crate) fn new(order: &OrderEntry, generation: u32) -> Order {
        Order {
            id: order.id,
            instrument: order.instrument,
            side: order.side,
            px: order.px,
            qty: order.qty,
            kind: order.kind,
            working: !order.kind.has_stop(),
            state: OrderState::Pending,
            generation,
            venue_order_id: 0,
            filled: Qty(0),
            notional: 0,
            cum_reported: Qty(0),
            ts_new: order.now,
            ts_sent: Ts(0),
            acked: false,
            cancel_sent: false,
            doubt: Doubt::None,
            end: None,
        }
    }

    /// Quantity that may still execute or has executed without our knowing how: what counts as open risk.
    #[inline]
    pub fn leaves(&self) -> Qty {
        let target = self.end.map_or(self.qty.0, |e| e.cum_qty);
        Qty((target - self.filled.0).max(0))
    }

    /// Quantity that the venue says has executed but whose executions have not arrived.
    #[inline]
    pub fn missing(&self) -> Qty {
        Qty((self.cum_reported.0 - self.filled.0).max(0))
    }

    /// What to ask the venue about an order in state `Unknown`; `None` in every other state. An order may need
    /// both: first the order, then its executions.
    pub fn open_question(&self) -> Option<Question> {
        match (self.state, self.end) {
            (OrderState::Unknown, None) if self.doubt != Doubt::None => Some(Question::Order),
            (OrderState::Unknown, _) => Some(Question::Executions),
            _ => None,
        }
    }

    /// Ended, with every execution known.
    #[inline]
    pub fn is_done(&self) -> bool {
        !self.state.is_open()
    }

    /// Ended by our own conclusion (never sent, or not found by the venue): a late report can still reopen it.
    #[inline]
    pub fn is_presumed(&self) -> bool {
        self.end.is_some_and(|e| e.presumed)
    }

    /// It can rest in the book and meet our own order on the other side: see [`OrderType::can_rest`]; and it is no
    /// stop that has yet to trigger.
    #[inline]
    pub fn can_rest(&self) -> bool {
        self.kind.can_rest() && self.working
    }

    #[inline]
    pub(crate) fn risk(&self) -> Risk {
        if self.is_done() {
            return Risk::default();
        }
        Risk { open: true, leaves: self.leaves().0, rests: self.can_rest() }
    }

    /// Average price of the executions weighted by quantity, price mantissa rounded down; `None` before the
    /// first. The exact value is [`Order::notional`] over [`Order::filled`].
    pub fn px_avg(&self) -> Option<Px> {
        if self.filled.0 <= 0 {
            return None;
        }
        // A mean of i64 prices fits i64.
        i64::try_from(self.notional.div_euclid(self.filled.0 as i128)).ok().map(Px)
    }

    pub(crate) fn on_sent(&mut self, now: Ts) -> Applied {
        if self.ts_sent.0 != 0 {
            return Applied::Duplicate;
        }
        self.ts_sent = now;
        if self.is_presumed() {
            // Concluded too early that it never left.
            return self.reopen(Doubt::Silence);
        }
        if self.is_done() { Applied::Late } else { Applied::State(self.state) }
    }

    pub(crate) fn on_not_sent(&mut self) -> Applied {
        if self.end.is_some() {
            return Applied::Late;
        }
        let on_wire = self.ts_sent.0 != 0 || self.acked || self.cum_reported.0 > 0;
        if !on_wire {
            // The new order itself was withheld.
            return self.finish(OrderState::Rejected, 0, true);
        }
        if self.cancel_sent {
            // The order is at the venue, so it was the cancel that was withheld.
            self.cancel_sent = false;
            return self.settle();
        }
        self.conflict()
    }

    pub(crate) fn on_acked(&mut self, venue_order_id: u64) -> Applied {
        if !self.is_named(venue_order_id) {
            return self.conflict();
        }
        if self.acked {
            return if self.is_done() { Applied::Late } else { Applied::Duplicate };
        }
        self.acked = true;
        match self.end {
            Some(e) if e.presumed => self.reopen(Doubt::None),
            Some(e) if e.state == OrderState::Rejected => self.refute(),
            Some(_) => Applied::Late,
            None => {
                // The answer that was missed. It settles no contradiction.
                if self.doubt == Doubt::Silence {
                    self.doubt = Doubt::None;
                }
                self.settle()
            }
        }
    }

    pub(crate) fn on_triggered(&mut self) -> Applied {
        match self.end {
            Some(_) if self.acked => Applied::Late,
            None if self.acked && self.working => Applied::Duplicate,
            _ => {
                self.working = true;
                if self.acked { self.settle() } else { self.on_acked(0) }
            }
        }
    }

    pub(crate) fn on_rejected(&mut self) -> Applied {
        match &mut self.end {
            Some(e) if e.state == OrderState::Rejected => {
                e.presumed = false;
                return Applied::Duplicate;
            }
            Some(_) => return Applied::Late,
            None => {}
        }
        if self.acked || self.cum_reported.0 > 0 {
            return self.conflict();
        }
        self.finish(OrderState::Rejected, 0, false)
    }

    pub(crate) fn on_fill(&mut self, slot: Slot, fill: &Fill, executions: &mut Executions) -> Applied {
        if fill.qty.0 <= 0 || fill.px.0 <= 0 {
            return Applied::Invalid;
        }
        let place = match fill.cum_qty {
            None if fill.trade_id == 0 => return Applied::Invalid,
            None => None,
            Some(cum) if cum < fill.qty => return Applied::Invalid,
            Some(cum) if cum > self.qty => return Applied::Overfill { excess: Qty(cum.0 - self.qty.0) },
            Some(cum) => Some((cum.0 - fill.qty.0, cum.0)),
        };
        let room = self.qty.0 - self.filled.0;
        let execution = Execution { trade_id: fill.trade_id, qty: fill.qty.0, place, room };
        match executions.admit(slot, &execution) {
            Admit::New => {}
            Admit::Known => return Applied::Duplicate,
            Admit::Beyond(excess) => return Applied::Overfill { excess: Qty(excess) },
            Admit::Contradiction => return self.conflict(),
        }
        // Both stay in range: the sum of the quantities is at most the order's, so that of price × quantity is
        // below 2^126.
        self.filled.0 += fill.qty.0;
        self.notional += fill.px.0 as i128 * fill.qty.0 as i128;
        self.cum_reported = self.cum_reported.max(fill.cum_qty.unwrap_or_default()).max(self.filled);
        self.working = true;
        match &mut self.end {
            // It was accepted after all. After our own conclusion that is no surprise; after the venue's word it
            // is a contradiction that only a query resolves.
            Some(e) if e.state == OrderState::Rejected => {
                self.acked = true;
                self.doubt = if e.presumed { Doubt::None } else { Doubt::Conflict };
                self.end = None;
            }
            // More executed than the end said: the end's quantity was wrong, the execution is real.
            Some(e) => e.cum_qty = e.cum_qty.max(self.cum_reported.0),
            None => {}
        }
        self.settle();
        Applied::Fill { qty: fill.qty, leaves: self.leaves(), done: self.is_done() }
    }

    pub(crate) fn on_cancel_sent(&mut self) -> Applied {
        let again = std::mem::replace(&mut self.cancel_sent, true);
        match self.end {
            // Kept all the same: an end of our own conclusion may not last.
            Some(_) => Applied::Late,
            None if again => Applied::Duplicate,
            None => self.settle(),
        }
    }

    pub(crate) fn on_end(&mut self, state: OrderState, cum_qty: Qty) -> Applied {
        if cum_qty.0 < 0 || cum_qty > self.qty {
            return if self.is_done() { Applied::Invalid } else { self.conflict() };
        }
        if let Some(e) = self.end
            && !e.presumed
        {
            // The first end stands, unless it was a refusal; a higher quantity in a later report is believed.
            if cum_qty.0 > e.cum_qty {
                self.cum_reported = self.cum_reported.max(cum_qty);
                let state = if e.state == OrderState::Rejected { state } else { e.state };
                return self.finish(state, cum_qty.0, false);
            }
            return if e.state == state { Applied::Duplicate } else { Applied::Late };
        }
        self.cum_reported = self.cum_reported.max(cum_qty);
        // An end that names less than has executed cannot take executions back.
        self.finish(state, self.cum_reported.0, false)
    }

    pub(crate) fn on_cancel_rejected(&mut self) -> Applied {
        let waited = std::mem::replace(&mut self.cancel_sent, false);
        if self.end.is_some() || !waited { Applied::Late } else { self.settle() }
    }

    pub(crate) fn on_unknown(&mut self) -> Applied {
        match (self.end, self.doubt) {
            (Some(_), _) => Applied::Late,
            (None, Doubt::None) => {
                self.doubt = Doubt::Silence;
                self.settle()
            }
            _ => Applied::Duplicate,
        }
    }

    pub(crate) fn on_query(&mut self, status: QueryStatus, venue_order_id: u64, cum_qty: Qty) -> Applied {
        if status == QueryStatus::NotFound {
            return self.on_not_found();
        }
        if cum_qty.0 < 0 || cum_qty > self.qty {
            return if self.is_done() { Applied::Invalid } else { self.conflict() };
        }
        if !self.is_named(venue_order_id) {
            return self.conflict();
        }
        self.acked = true;
        match status {
            QueryStatus::NotFound | QueryStatus::Open => match self.end {
                Some(e) if e.state == OrderState::Rejected && !e.presumed => self.refute(),
                // An answer from before the end.
                Some(e) if !e.presumed => Applied::Late,
                _ => {
                    self.cum_reported = self.cum_reported.max(cum_qty);
                    self.reopen(Doubt::None)
                }
            },
            // Without the part that self-trade prevention took away, a filled order ends short of its quantity.
            QueryStatus::Filled if cum_qty < self.qty => self.on_end(OrderState::Expired, cum_qty),
            QueryStatus::Filled => self.on_end(OrderState::Filled, cum_qty),
            QueryStatus::Cancelled => self.on_end(OrderState::Cancelled, cum_qty),
            QueryStatus::Ended => self.on_end(OrderState::Expired, cum_qty),
        }
    }

    fn on_not_found(&mut self) -> Applied {
        if self.end.is_some() {
            return Applied::Late;
        }
        if !self.acked && self.cum_reported.0 == 0 {
            return self.finish(OrderState::Rejected, 0, true);
        }
        // The question overtook the order, and the answer is old; or the venue has lost it. Ask again.
        self.on_unknown()
    }

    /// Takes the venue's id, 0 = not said; false when the order is known under another: then the venue has two.
    #[inline]
    fn is_named(&mut self, venue_order_id: u64) -> bool {
        if self.venue_order_id == 0 {
            self.venue_order_id = venue_order_id;
        }
        venue_order_id == 0 || venue_order_id == self.venue_order_id
    }

    fn finish(&mut self, state: OrderState, cum_qty: i64, presumed: bool) -> Applied {
        self.end = Some(End { state, cum_qty, presumed });
        self.settle()
    }

    fn reopen(&mut self, doubt: Doubt) -> Applied {
        self.end = None;
        self.doubt = doubt;
        self.settle()
    }

    /// The venue refused the order, and says now that it has it: open risk until a query resolves it.
    #[cold]
    fn refute(&mut self) -> Applied {
        self.reopen(Doubt::Conflict);
        Applied::Conflict
    }

    fn conflict(&mut self) -> Applied {
        if self.end.is_none() {
            self.doubt = Doubt::Conflict;
            self.settle();
        }
        Applied::Conflict
    }

    /// The state that the facts add up to. See the module.
    #[inline]
    fn settle(&mut self) -> Applied {
        if self.end.is_none() && self.cum_reported >= self.qty {
            self.end = Some(End { state: OrderState::Filled, cum_qty: self.qty.0, presumed: false });
        }
        self.state = match self.end {
            Some(_) if self.filled == self.qty => OrderState::Filled,
            Some(e) if self.filled.0 >= e.cum_qty => e.state,
            Some(_) => OrderState::Unknown,
            None if self.doubt != Doubt::None || self.missing().0 > 0 => OrderState::Unknown,
            None if self.cancel_sent => OrderState::CancelPending,
            None if self.filled.0 > 0 => OrderState::PartiallyFilled,
            None if self.acked => OrderState::Live,
            None => OrderState::Pending,
        };
        Applied::State(self.state)
    }
}
