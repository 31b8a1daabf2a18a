//! One order that quotes: where it is, and what the engine's words make of it.
//!
//! ```text
//!   None ──new──▶ Pending ──Live──▶ Live ──cancel──▶ CancelPending ──gone──▶ None
//!                    │               ▲                     │
//!                    └──pull─────────┼────────────────────▶│
//!                                    └────cancel refused───┘
//!   Pending / Live / CancelPending ──Unknown──▶ Unknown ──Live / PartiallyFilled──▶ Live,  gone ──▶ None
//! ```
//!
//! Its place takes a new order only after the end of the old one is confirmed.

use wire::{OrderId, OrderState, Px, Qty, Ts};

/// A cancel that the engine has not spoken of for this long is asked for again.
const CANCEL_PATIENCE_NS: u64 = 1_000_000_000;

/// Where an order is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuoteState {
    /// There is none.
    #[default]
    None,
    /// Asked for, not known to rest.
    Pending,
    /// Resting.
    Live,
    /// Its cancel was asked for.
    CancelPending,
    /// The engine is finding out; nothing is done meanwhile.
    Unknown,
}

/// An order and its place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quote {
    pub(crate) state: QuoteState,
    pub(crate) id: OrderId,
    pub(crate) px: Px,
    pub(crate) leaves: Qty,
    pub(crate) placed: Ts,
    /// Whether it was ever seen resting: tells an ack that crosses a cancel from a refused cancel.
    acked: bool,
    /// When its cancel was asked for, and whether the engine has spoken of that cancel.
    cancel_asked: Ts,
    cancel_heard: bool,
    /// Rejects in a row, and when to try again.
    rejects: u32,
    pub(crate) not_before: Ts,
}

impl Quote {
    pub(crate) fn is_none(&self) -> bool {
        self.state == QuoteState::None
    }

    /// Waits for an answer.
    pub(crate) fn in_flight(&self) -> bool {
        !matches!(self.state, QuoteState::None | QuoteState::Live)
    }

    pub(crate) fn on_placed(&mut self, id: OrderId, px: Px, qty: Qty, now: Ts) {
        self.state = QuoteState::Pending;
        self.id = id;
        self.px = px;
        self.leaves = qty;
        self.placed = now;
        self.acked = false;
        self.cancel_heard = false;
    }

    pub(crate) fn on_cancel_asked(&mut self, now: Ts) {
        self.state = QuoteState::CancelPending;
        self.cancel_asked = now;
        self.cancel_heard = false;
    }

    /// The cancel was asked for long ago and the engine never spoke of it: the intent was lost on a full ring.
    pub(crate) fn cancel_lost(&self, now: Ts) -> bool {
        self.state == QuoteState::CancelPending
            && !self.cancel_heard
            && now.since_ns(self.cancel_asked) >= CANCEL_PATIENCE_NS
    }

    /// An order message about this order.
    pub(crate) fn on_state(&mut self, state: OrderState, now: Ts, pause_ns: u64) {
        match state {
            OrderState::Pending => {}
            OrderState::Live | OrderState::PartiallyFilled => {
                self.rejects = 0;
                let crossed_cancel = self.state == QuoteState::CancelPending && !self.acked;
                if !crossed_cancel {
                    self.state = QuoteState::Live;
                }
                self.acked = true;
            }
            OrderState::CancelPending => {
                self.state = QuoteState::CancelPending;
                self.cancel_heard = true;
            }
            OrderState::Unknown => self.state = QuoteState::Unknown,
            OrderState::Filled | OrderState::Cancelled | OrderState::Expired => self.clear(),
            OrderState::Rejected => {
                // The pause doubles with each reject in a row, up to 1024 times.
                self.not_before = now.plus_ns(pause_ns.saturating_mul(1 << self.rejects.min(10)));
                self.rejects = self.rejects.saturating_add(1);
                self.clear();
            }
        }
    }

    /// An execution of this order.
    pub(crate) fn on_fill(&mut self, qty: Qty) {
        self.leaves = Qty(self.leaves.0.saturating_sub(qty.0));
        self.acked = true;
        if self.leaves.0 <= 0 {
            self.clear();
        } else if self.state == QuoteState::Pending {
            self.state = QuoteState::Live;
        }
    }

    fn clear(&mut self) {
        *self = Quote { rejects: self.rejects, not_before: self.not_before, ..Quote::default() };
    }
}
