//! A two-sided quoter: one bid and one ask around the microprice, shifted against the position.
//!
//! ```text
//!   centre = microprice - skew_ticks * position / size
//!   bid    = centre - half spread, rounded down to the tick, never at or through the ask (then: the best bid)
//!   ask    = centre + half spread, rounded up   to the tick, never at or through the bid (then: the best ask)
//! ```
//!
//! A quote moves by cancel, confirmation, new on the next touch: slower than a replace, but the risk is never
//! doubled, and every new quote answers a touch just seen. It moves
//! only when it is `requote_ticks` off and has lived long enough. Both quotes are pulled at once when the book
//! leaves `InSync`, the touch is not two-sided, or trading is off; a side is pulled when its fill would break
//! `position_max`, or when the venue's price range or smallest notional forbids it.
//!
//! All arithmetic is on integers; the same events give the same intents.

mod params;
#[cfg(test)]
mod tests;

use book::{Top, microprice};
use strategy::{Intents, NewIntent, Strategy};
use wire::{BookState, Instrument, Kind, Msg, OrderId, OrderState, OrderType, Px, Qty, Side, Ts};

use crate::ParamError;
use crate::quote::Quote;
pub use crate::quote::QuoteState;
pub use params::{QuoterParams, QuoterSpec};

/// The strategy. See the module.
///
/// It relies on an answer for every new order: one that the gate or a full ring refuses must come back as `Order`
/// in state `Rejected`. A cancel that the engine does not speak of for a second is asked for again.
#[derive(Clone, Debug)]
pub struct Quoter {
    params: QuoterParams,
    instrument: Instrument,
    top: Top,
    book_state: BookState,
    trading: bool,
    /// Only quotes that reduce the position are wanted.
    reduce_only: bool,
    stopped: bool,
    position: i64,
    now: Ts,
    quotes: [Quote; 2],
}

/// Prices wanted on each side, `None` = no quote there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Bid.
    pub bid_px: Option<Px>,
    /// Ask.
    pub ask_px: Option<Px>,
}

impl Quoter {
    /// A quoter that starts with no book, no position and trading off.
    ///
    /// # Errors
    /// A parameter breaks its rule.
    pub fn new(spec: QuoterSpec, instrument: Instrument) -> Result<Quoter, ParamError> {
        let params = QuoterParams::new(spec, &instrument)?;
        Ok(Quoter {
            params,
            instrument,
            top: Top::default(),
            book_state: BookState::Down,
            trading: false,
            reduce_only: false,
            stopped: false,
            position: 0,
            now: Ts(0),
            quotes: [Quote::default(); 2],
        })
    }

    /// Where a side's order is.
    pub fn quote_state(&self, side: Side) -> QuoteState {
        self.quotes[side as usize].state
    }

    /// Position as last reported, base mantissa.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Prices wanted now, from the touch and the position alone.
    pub fn wanted(&self) -> Wanted {
        let Some(micro) = microprice(&self.top) else {
            return Wanted::default();
        };
        let s = self.params.spec();
        let tick = self.params.tick as i128;
        // Below 2^63 × 2^63: tick × skew_ticks fits i64 by construction.
        let skew = divide(tick * s.skew_ticks as i128 * self.position as i128, s.size);
        let centre = micro as i128 - skew;
        let half = tick * s.half_spread_ticks as i128;
        let (best_bid, best_ask) = (self.top.bid_px.0 as i128, self.top.ask_px.0 as i128);
        let mut bid = floor_to(centre - half, tick);
        if bid >= best_ask {
            bid = floor_to(best_bid, tick);
        }
        let mut ask = ceil_to(centre + half, tick);
        if ask <= best_bid {
            ask = ceil_to(best_ask, tick);
        }
        let room = |side: Side| {
            let after = side.sign() as i128 * self.position as i128 + s.size as i128;
            after <= s.position_max as i128 && (!self.reduce_only || after <= 0)
        };
        Wanted {
            bid_px: self.allowed(bid).filter(|_| room(Side::Buy)),
            ask_px: self.allowed(ask).filter(|_| room(Side::Sell)),
        }
    }

    /// The price, if the venue's price range and smallest notional allow a quote there.
    fn allowed(&self, px: i128) -> Option<Px> {
        let px = Px(i64::try_from(px).ok()?);
        let i = &self.instrument;
        let in_range = px.0 > 0 && px >= i.px_min && (i.px_max.0 == 0 || px <= i.px_max);
        let large = Instrument::notional(px, Qty(self.params.spec().size)) >= i.notional_min;
        (in_range && large).then_some(px)
    }

    /// Compares what is with what is wanted, and asks for the difference. Quotes are placed only on a `touch` just
    /// seen; they are moved and pulled at any time.
    fn evaluate(&mut self, touch: bool, out: &mut Intents) {
        if self.stopped {
            return;
        }
        let on = self.trading && self.book_state == BookState::InSync && self.top.is_two_sided();
        let wanted = if on { self.wanted() } else { Wanted::default() };
        self.evaluate_side(Side::Buy, wanted.bid_px, on, touch, out);
        self.evaluate_side(Side::Sell, wanted.ask_px, on, touch, out);
    }

    fn evaluate_side(&mut self, side: Side, wanted: Option<Px>, on: bool, touch: bool, out: &mut Intents) {
        let quote = &self.quotes[side as usize];
        match (quote.state, wanted) {
            (QuoteState::None, Some(px)) if touch && self.may_place(side, px) => self.place(side, px, out),
            (QuoteState::Live, Some(px)) if self.should_move(quote, px) => self.cancel(side, out),
            (QuoteState::Live, None) => self.cancel(side, out),
            (QuoteState::Pending, _) if !on => self.cancel(side, out),
            (QuoteState::CancelPending, _) if quote.cancel_lost(self.now) => self.cancel(side, out),
            _ => {}
        }
    }

    fn may_place(&self, side: Side, px: Px) -> bool {
        let quote = &self.quotes[side as usize];
        self.now >= quote.not_before && self.in_flight_room() && !self.meets_own(side, px)
    }

    fn should_move(&self, quote: &Quote, px: Px) -> bool {
        let threshold = (self.params.tick * self.params.spec().requote_ticks) as u64;
        let lived = self.now.since_ns(quote.placed) >= self.params.order_life_min_ns;
        px.0.abs_diff(quote.px.0) >= threshold && lived && self.in_flight_room()
    }

    fn in_flight_room(&self) -> bool {
        let in_flight = self.quotes.iter().filter(|q| q.in_flight()).count() as i64;
        in_flight < self.params.spec().in_flight_max
    }

    /// A quote at this price could trade with our own on the other side, which has not moved yet.
    fn meets_own(&self, side: Side, px: Px) -> bool {
        let other = &self.quotes[side.opposite() as usize];
        !other.is_none()
            && match side {
                Side::Buy => px >= other.px,
                Side::Sell => px <= other.px,
            }
    }

    fn place(&mut self, side: Side, px: Px, out: &mut Intents) {
        let qty = Qty(self.params.spec().size);
        let order = NewIntent {
            instrument: self.instrument.id,
            side,
            px,
            qty,
            kind: OrderType::Limit,
            stop_px: Px(0),
        };
        // Refused only when the buffer is full: the next event tries again.
        if let Ok(id) = out.new_order(&order) {
            self.quotes[side as usize].on_placed(id, px, qty, self.now);
        }
    }

    fn cancel(&mut self, side: Side, out: &mut Intents) {
        let quote = &mut self.quotes[side as usize];
        if out.cancel(self.instrument.id, quote.id).is_ok() {
            quote.on_cancel_asked(self.now);
        }
    }

    fn quote_of(&mut self, id: OrderId) -> Option<&mut Quote> {
        self.quotes.iter_mut().find(|q| !q.is_none() && q.id == id)
    }
}

impl Strategy for Quoter {
    fn name(&self) -> &str {
        "quoter"
    }

    fn on_market(&mut self, _seq: u64, m: &Msg, out: &mut Intents) {
        if m.instrument() != self.instrument.id {
            return;
        }
        self.now = self.now.max(m.ts_recv());
        match m.kind() {
            Some(Kind::Top) => self.top = Top::from_msg(m),
            Some(Kind::BookState) => {
                self.book_state = BookState::from_u8(u8::try_from(m.body[0]).unwrap_or(0));
                if self.book_state != BookState::InSync {
                    self.top = Top::default();
                }
            }
            _ => return,
        }
        self.evaluate(true, out);
    }

    fn on_order(&mut self, m: &Msg, out: &mut Intents) {
        let kind = m.kind();
        if m.instrument() != self.instrument.id && kind != Some(Kind::Trading) {
            return;
        }
        self.now = self.now.max(m.ts_recv());
        let (now, pause_ns) = (self.now, self.params.order_life_min_ns);
        match kind {
            Some(Kind::Order) => {
                let state = OrderState::from_u8(u8::try_from(m.body[0]).unwrap_or(OrderState::Unknown as u8));
                if let Some(quote) = self.quote_of(OrderId(m.body[2] as u64)) {
                    quote.on_state(state, now, pause_ns);
                }
            }
            Some(Kind::OwnFill) => {
                self.position = m.body[3];
                if let Some(quote) = self.quote_of(OrderId(m.body[2] as u64)) {
                    quote.on_fill(Qty(m.body[1]));
                }
            }
            Some(Kind::Position) => self.position = m.body[3],
            Some(Kind::Trading) => {
                self.trading = m.body[0] == 1;
                self.reduce_only = m.body[2] == 1;
            }
            _ => return,
        }
        self.evaluate(false, out);
    }

    fn on_timer(&mut self, now: Ts, out: &mut Intents) {
        self.now = self.now.max(now);
        self.evaluate(false, out);
    }

    fn warm_up(&mut self, out: &mut Intents) {
        // The whole decision, as if nothing were quoted yet; then all is as it was.
        let quotes = std::mem::take(&mut self.quotes);
        self.evaluate(true, out);
        self.quotes = quotes;
    }

    fn on_stop(&mut self, out: &mut Intents) {
        self.stopped = true;
        // Refused only when the buffer is full, which the runner clears before every callback.
        if out.cancel_all(self.instrument.id).is_ok() {
            for quote in self.quotes.iter_mut().filter(|q| !q.is_none()) {
                quote.on_cancel_asked(self.now);
            }
        }
    }
}

/// `a / b`, rounded towards zero; one 64-bit division where `a` fits.
fn divide(a: i128, b: i64) -> i128 {
    match i64::try_from(a) {
        Ok(a) if b > 0 => (a / b) as i128,
        _ => a / b as i128,
    }
}

fn floor_to(px: i128, tick: i128) -> i128 {
    // One 64-bit division where it fits, which is always but for prices at the end of the scale.
    match (i64::try_from(px), i64::try_from(tick)) {
        (Ok(px), Ok(tick)) if tick > 0 => px as i128 - px.rem_euclid(tick) as i128,
        _ => px.div_euclid(tick) * tick,
    }
}

fn ceil_to(px: i128, tick: i128) -> i128 {
    -floor_to(-px, tick)
}
