//! One order and its life.
//!
//! ```text
//!             on_acked                on_fill (part)           on_fill (rest)
//!  Pending ─────────────▶ Live ─────────────────▶ PartiallyFilled ───────────▶ Filled
//!   │   │                  │ ▲  on_cancel_rejected   │  ▲
//!   │   │                  ▼ │                       ▼  │
//!   │   └────────────▶ CancelPending ◀──────────────────┘
//!   │ on_not_sent          │ on_cancelled(cum) / on_expired(cum) / on_query
//!   │ on_rejected          ▼
//!   ▼                  Cancelled / Expired / Filled
//!  Rejected
//!
//!  any open state ── on_unknown, or a report that contradicts another ──▶ Unknown ── on_query ──▶ any state
//!  end reported with cum above the known fills ──▶ Unknown ── the missing fills ──▶ that end
//! ```
//!
//! Rules for reports that come late, twice or in another order than they happened:
//!
//! - **Fill before ack**: applied; the ack that follows only brings the venue's id.
//! - **Fill twice**: known by its interval of the cumulative quantity; `Duplicate`.
//! - **Fill after the end**: an execution is money; it is applied, and counted as late.
//! - **End before its last fills**: the end's cumulative quantity says what is missing. The order stays open
//!   risk for exactly that much, shows as `Unknown`, and ends when the fills are there.
//! - **Ack after the end**: only counted, unless the end was our own conclusion that the venue never saw the
//!   order (a query that found nothing, a refusal to send): then the order lives after all, and reopens.
//! - **Reports that contradict** each other make the order `Unknown`: open risk until a query resolves it.

use wire::{InstrumentId, OrderId, OrderState, OrderType, Px, Qty, QueryStatus, Side, Ts};

use crate::fills::{Cover, Covered};

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
    /// Cumulative quantity of the order after it.
    pub cum_qty: Qty,
    /// The venue's trade id.
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

/// An order. Read it through [`crate::OrderTable::get`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// End that the venue reported, or that we concluded, with its cumulative quantity.
    end: Option<End>,
    covered: Covered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    state: OrderState,
    cum_qty: i64,
    /// Our conclusion, not the venue's word.
    presumed: bool,
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
            state: OrderState::Pending,
            generation,
            venue_order_id: 0,
            filled: Qty(0),
            notional: 0,
            cum_reported: Qty(0),
            ts_new: order.now,
            ts_sent: Ts(0),
            acked: false,
            end: None,
            covered: Covered::default(),
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

    /// Ended, with every execution known.
    #[inline]
    pub fn is_done(&self) -> bool {
        !self.state.is_open()
    }

    /// It can rest and meet our own order on the other side: see [`OrderType::can_rest`].
    #[inline]
    pub fn can_rest(&self) -> bool {
        self.kind.can_rest()
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
        if self.end.is_some_and(|e| e.presumed) {
            // Concluded too early that it never left.
            return self.reopen();
        }
        if self.is_done() { Applied::Late } else { Applied::State(self.state) }
    }

    pub(crate) fn on_not_sent(&mut self) -> Applied {
        if self.end.is_some() {
            return Applied::Late;
        }
        let on_wire = self.ts_sent.0 != 0 || self.acked || self.filled.0 > 0;
        match (on_wire, self.state) {
            // The new order itself was withheld.
            (false, _) => self.finish(OrderState::Rejected, 0, true),
            // The order is at the venue, so it was the cancel that was withheld.
            (true, OrderState::CancelPending) => self.resume(),
            (true, _) => self.conflict(),
        }
    }

    pub(crate) fn on_acked(&mut self, venue_order_id: u64) -> Applied {
        if self.venue_order_id == 0 {
            self.venue_order_id = venue_order_id;
        }
        if self.acked {
            return if self.is_done() { Applied::Late } else { Applied::Duplicate };
        }
        self.acked = true;
        match self.end {
            Some(e) if e.presumed => self.reopen(),
            Some(_) => Applied::Late,
            None => match self.state {
                OrderState::Pending | OrderState::Unknown => self.resume(),
                // A cancel is on its way, or a fill overtook the ack: the state stands.
                state => Applied::State(state),
            },
        }
    }

    pub(crate) fn on_rejected(&mut self) -> Applied {
        match self.end {
            Some(e) if e.state == OrderState::Rejected => {
                self.end = Some(End { presumed: false, ..e });
                return Applied::Duplicate;
            }
            Some(_) => return Applied::Late,
            None => {}
        }
        if self.acked || self.filled.0 > 0 || self.cum_reported.0 > 0 {
            return self.conflict();
        }
        self.finish(OrderState::Rejected, 0, false)
    }

    pub(crate) fn on_fill(&mut self, fill: &Fill) -> Applied {
        let from = match fill.cum_qty.0.checked_sub(fill.qty.0) {
            Some(from) if from >= 0 && fill.qty.0 > 0 && fill.px.0 > 0 => from,
            _ => return Applied::Invalid,
        };
        if fill.cum_qty > self.qty {
            return Applied::Overfill { excess: Qty(fill.cum_qty.0 - self.qty.0) };
        }
        match self.covered.cover(from, fill.cum_qty.0) {
            Cover::New => {}
            Cover::Duplicate => return Applied::Duplicate,
            Cover::Overlap | Cover::TooMany => return self.conflict(),
        }
        self.filled.0 += fill.qty.0;
        self.notional += fill.px.0 as i128 * fill.qty.0 as i128;
        self.cum_reported = self.cum_reported.max(fill.cum_qty);
        if let Some(e) = self.end
            && e.state == OrderState::Rejected
        {
            // It was accepted after all. After our own conclusion that is no surprise; after the venue's word
            // it is a contradiction that only a query resolves.
            self.acked = true;
            self.end = None;
            self.state = if e.presumed { OrderState::PartiallyFilled } else { OrderState::Unknown };
        }
        match &mut self.end {
            // More executed than the end said: the end's quantity was wrong, the execution is real.
            Some(e) => e.cum_qty = e.cum_qty.max(fill.cum_qty.0),
            None if self.cum_reported == self.qty => {
                self.end = Some(End { state: OrderState::Filled, cum_qty: self.qty.0, presumed: false });
            }
            None => {
                if matches!(self.state, OrderState::Pending | OrderState::Live) {
                    self.state = OrderState::PartiallyFilled;
                }
            }
        }
        self.settle();
        Applied::Fill { qty: fill.qty, leaves: self.leaves(), done: self.is_done() }
    }

    pub(crate) fn on_cancel_sent(&mut self) -> Applied {
        match self.state {
            _ if self.is_done() => Applied::Late,
            OrderState::CancelPending => Applied::Duplicate,
            // Stays unknown: a cancel on its way does not tell whether the order lives.
            OrderState::Unknown => Applied::State(OrderState::Unknown),
            _ => {
                self.state = OrderState::CancelPending;
                Applied::State(self.state)
            }
        }
    }

    pub(crate) fn on_end(&mut self, state: OrderState, cum_qty: Qty) -> Applied {
        if cum_qty.0 < 0 || cum_qty > self.qty {
            return if self.is_done() { Applied::Invalid } else { self.conflict() };
        }
        match self.end {
            Some(e) if !e.presumed => {
                // The first end stands; a higher quantity in a later report is believed.
                if cum_qty.0 > e.cum_qty {
                    self.cum_reported = self.cum_reported.max(cum_qty);
                    return self.finish(e.state, cum_qty.0, false);
                }
                return if e.state == state { Applied::Duplicate } else { Applied::Late };
            }
            _ => {}
        }
        self.cum_reported = self.cum_reported.max(cum_qty);
        // An end that names less than has executed cannot take executions back.
        let state = if self.cum_reported == self.qty { OrderState::Filled } else { state };
        self.finish(state, self.cum_reported.0, false)
    }

    pub(crate) fn on_cancel_rejected(&mut self) -> Applied {
        if self.is_done() || self.state != OrderState::CancelPending {
            return Applied::Late;
        }
        self.resume()
    }

    pub(crate) fn on_unknown(&mut self) -> Applied {
        match self.state {
            _ if self.is_done() => Applied::Late,
            OrderState::Unknown => Applied::Duplicate,
            _ => {
                self.state = OrderState::Unknown;
                Applied::State(self.state)
            }
        }
    }

    pub(crate) fn on_query(&mut self, status: QueryStatus, venue_order_id: u64, cum_qty: Qty) -> Applied {
        if self.is_done() && !self.end.is_some_and(|e| e.presumed && status != QueryStatus::NotFound) {
            return Applied::Late;
        }
        if cum_qty.0 < 0 || cum_qty > self.qty {
            return self.conflict();
        }
        if status != QueryStatus::NotFound {
            self.acked = true;
            if self.venue_order_id == 0 {
                self.venue_order_id = venue_order_id;
            }
        }
        match status {
            QueryStatus::NotFound if self.acked || self.filled.0 > 0 => self.conflict(),
            QueryStatus::NotFound => self.finish(OrderState::Rejected, 0, true),
            QueryStatus::Open => {
                self.cum_reported = self.cum_reported.max(cum_qty);
                match self.end {
                    Some(e) if e.presumed => self.reopen(),
                    // The venue ended it, and only executions are missing: an older answer.
                    Some(_) => Applied::Late,
                    None => match self.state {
                        OrderState::Pending | OrderState::Unknown => self.resume(),
                        state => Applied::State(state),
                    },
                }
            }
            QueryStatus::Filled => self.on_end(OrderState::Filled, self.qty),
            QueryStatus::Cancelled => self.on_end(OrderState::Cancelled, cum_qty),
            QueryStatus::Ended => self.on_end(OrderState::Expired, cum_qty),
        }
    }

    fn finish(&mut self, state: OrderState, cum_qty: i64, presumed: bool) -> Applied {
        self.end = Some(End { state, cum_qty, presumed });
        self.settle();
        Applied::State(self.state)
    }

    /// With an end reported: that end once every execution is there, `Unknown` until then.
    #[inline]
    fn settle(&mut self) {
        if let Some(e) = self.end {
            self.state = if self.filled.0 >= e.cum_qty { e.state } else { OrderState::Unknown };
        }
    }

    /// Back to what acks and fills say.
    fn resume(&mut self) -> Applied {
        self.state = if self.filled.0 > 0 || self.cum_reported.0 > 0 {
            OrderState::PartiallyFilled
        } else if self.acked {
            OrderState::Live
        } else {
            OrderState::Pending
        };
        Applied::State(self.state)
    }

    fn reopen(&mut self) -> Applied {
        self.end = None;
        self.resume()
    }

    fn conflict(&mut self) -> Applied {
        if !self.is_done() {
            self.state = OrderState::Unknown;
        }
        Applied::Conflict
    }
}
