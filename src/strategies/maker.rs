//! A market maker by a model of inventory risk: a ladder of bids and one of asks around a reservation price.
//!
//! ```text
//!   r      = mid - skew * position / size               lean against the inventory        (model, in `model.rs`)
//!   bid_i  = r - half spread - maker fee - i * step, down to the tick, never at the best ask or beyond
//!   ask_i  = r + half spread + maker fee + i * step, up to the tick, never at the best bid or beyond
//!   step   = as far as the mid moves in `step_us`, one standard deviation, at least `step_min_ticks`
//! ```
//!
//! Skew and half spread come from the model, which is told the volatility of the mid and how orders arrive, both
//! estimated as the market goes ([`quant`]): they are computed anew when the volatility has a new sample, some times a
//! second, and kept in between. When the market moves more, quotes lean more, stand further out and further apart.
//!
//! - An order is kept while some wanted price is near it, whichever level that is: a move of the market by one step
//!   costs one order on each side, not all. One that is too near is withdrawn at once, one that is too far out when it
//!   has lived long enough, and a place is filled again when the end of its order is confirmed: the risk is never
//!   doubled.
//! - New orders answer a touch just seen; they leave at most at `orders_per_s`, the side that reduces the position and
//!   the nearest level first, so that the gate's rate refuses none. Cancels are at most as many.
//! - If every open order of a side filled, the position would still be within `position_max`; at the bound only the
//!   side that reduces it is quoted.
//! - Everything is pulled when there is a reason not to quote; each has its name ([`Idle`]).
//!
//! Prices are integers; floats appear in the model only, as distances in ticks from the touch. The same events give the
//! same intents.

mod idle;
mod ladder;
mod model;
mod pace;
mod params;
#[cfg(test)]
mod tests;

use book::Top;
use quant::{Intensity, Rates, Volatility};
use strategy::{Intents, NewIntent, Strategy};
use wire::{BookState, Instrument, Kind, Msg, OrderId, OrderState, OrderType, Px, Qty, Side, Ts};

use crate::SpecError;
use crate::quote::{Quote, QuoteState};
pub use idle::Idle;
pub use ladder::Ladder;
use ladder::Rungs;
pub use model::{Model, Shape};
use pace::Pace;
pub use params::{LEVELS_MAX, MakerParams, MakerSpec};

/// The strategy. See the module.
///
/// It relies on an answer for every new order, as [`crate::quoter::Quoter`] does.
#[derive(Clone, Debug)]
pub struct Maker {
    params: MakerParams,
    instrument: Instrument,
    top: Top,
    book_state: BookState,
    trading: bool,
    /// Only orders that reduce the position are wanted.
    reduce_only: bool,
    stopped: bool,
    position: i64,
    now: Ts,
    volatility: Volatility,
    intensity: Intensity,
    /// What the model said last.
    rungs: Result<Rungs, Idle>,
    idle: Option<Idle>,
    pace: Pace,
    orders: [[Quote; LEVELS_MAX]; 2],
}

impl Maker {
    /// A maker that starts with no book, no position and trading off.
    ///
    /// # Errors
    /// A parameter breaks its rule.
    pub fn new(spec: MakerSpec, instrument: Instrument) -> Result<Maker, SpecError> {
        let params = MakerParams::new(spec, &instrument)?;
        Ok(Maker {
            volatility: Volatility::new(params.volatility)?,
            intensity: Intensity::new(params.intensity)?,
            rungs: Err(Idle::WarmingUp),
            idle: Some(Idle::TradingOff),
            pace: Pace::new(spec.orders_per_s as u32, 2 * params.levels as u32),
            orders: [[Quote::default(); LEVELS_MAX]; 2],
            params,
            instrument,
            top: Top::default(),
            book_state: BookState::Down,
            trading: false,
            reduce_only: false,
            stopped: false,
            position: 0,
            now: Ts(0),
        })
    }

    /// Why nothing is quoted, as of the last event; `None` while quoting.
    pub fn idle(&self) -> Option<Idle> {
        self.idle
    }

    /// What the model says now.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn shape(&self) -> Result<Shape, Idle> {
        self.rungs.map(|r| r.shape)
    }

    /// Volatility of the mid, ticks/√s.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn sigma(&self) -> Result<f64, Idle> {
        Ok(self.volatility.sigma()?)
    }

    /// How orders arrive.
    ///
    /// # Errors
    /// Why that is not known.
    pub fn arrivals(&self) -> Result<Rates, Idle> {
        Ok(self.intensity.rates()?)
    }

    /// Position as last reported, base mantissa.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Prices wanted now, from the touch, the position and the model's last answer.
    ///
    /// # Errors
    /// Why none are.
    pub fn wanted(&self) -> Result<Ladder, Idle> {
        self.rungs?.ladder(&self.top, self.position, self.position_limit(), &self.params, &self.instrument)
    }

    /// Where the orders of a side are.
    pub fn order_states(&self, side: Side) -> impl Iterator<Item = QuoteState> {
        self.side(side).iter().map(|q| q.state)
    }

    fn side(&self, side: Side) -> &[Quote] {
        &self.orders[side as usize][..self.params.levels]
    }

    /// A touch to measure and to quote on.
    fn has_touch(&self) -> bool {
        self.book_state == BookState::InSync && self.top.is_two_sided() && !self.top.crossed()
    }

    fn on_top(&mut self, m: &Msg) {
        self.top = Top::from_msg(m);
        if self.has_touch() && self.volatility.on_touch(self.now, self.top.bid_px, self.top.ask_px) {
            self.rungs = self.think();
        }
    }

    fn on_trade(&mut self, m: &Msg) {
        if self.has_touch() {
            let delta_us = if m.exch_delta_us == i32::MIN { 0 } else { m.exch_delta_us as i64 };
            let exchange_us = (m.ts_recv_ns / 1_000) as i64 + delta_us;
            let touch = (self.top.bid_px, self.top.ask_px);
            self.intensity.on_trade(self.now, exchange_us, m.side(), Px(m.body[0]), touch);
        }
    }

    fn on_book_state(&mut self, m: &Msg) {
        self.book_state = BookState::from_u8(u8::try_from(m.body[0]).unwrap_or(0));
        if self.book_state != BookState::InSync {
            self.top = Top::default();
            self.volatility.on_gap();
            self.intensity.on_gap();
        }
    }

    /// Asks the model, a few times a second.
    fn think(&self) -> Result<Rungs, Idle> {
        let s = self.params.spec();
        let sigma = self.volatility.sigma()?;
        let shape = s.model.shape(s.gamma, sigma, self.intensity.rates()?)?;
        Rungs::new(shape, sigma, s)
    }

    fn judge(&self) -> Result<Ladder, Idle> {
        if !self.trading {
            return Err(Idle::TradingOff);
        }
        if self.book_state != BookState::InSync {
            return Err(Idle::BookNotInSync);
        }
        self.wanted()
    }

    /// Compares what is with what is wanted, and asks for the difference. Orders are placed only on a `touch` just
    /// seen; they are pulled at any time.
    fn evaluate(&mut self, touch: bool, out: &mut Intents) {
        if self.stopped {
            return;
        }
        let wanted = self.judge();
        self.idle = wanted.err();
        let ladder = wanted.unwrap_or_default();
        let first = if self.position > 0 { Side::Sell } else { Side::Buy };
        for side in [first, first.opposite()] {
            let unmet = self.review(side, ladder.side(side), out);
            if touch {
                self.fill_up(side, unmet, out);
            }
        }
    }

    /// Gives each order a wanted price to stand for, withdraws those that have none, and says what prices are left.
    fn review(&mut self, side: Side, wanted: &[Px], out: &mut Intents) -> Unmet {
        let mut unmet = Unmet::of(wanted);
        let near_ticks = self.params.spec().requote_ticks.saturating_mul(self.params.tick) as u64;
        for n in 0..self.params.levels {
            let quote = self.orders[side as usize][n];
            let gone = match quote.state {
                QuoteState::None => false,
                QuoteState::CancelPending => quote.cancel_lost(self.now),
                _ if unmet.meet(quote.px, near_ticks) => false,
                QuoteState::Live => self.must_go(side, &quote, wanted, near_ticks),
                QuoteState::Pending => self.idle.is_some(),
                QuoteState::Unknown => false,
            };
            if gone {
                self.cancel(side, n, out);
            }
        }
        unmet
    }

    /// Whether an order that stands for no wanted price is withdrawn now.
    fn must_go(&self, side: Side, quote: &Quote, wanted: &[Px], near: u64) -> bool {
        let Some(nearest) = wanted.first() else { return true };
        let inward = side.sign() as i128 * (quote.px.0 as i128 - nearest.0 as i128);
        let too_near = inward >= near as i128;
        let lived = self.now.since_ns(quote.placed) >= self.params.order_life_min_ns;
        too_near || self.room(side) < 0 || (lived && self.in_flight_room())
    }

    /// Largest position that orders may lead to.
    fn position_limit(&self) -> i64 {
        if self.reduce_only { 0 } else { self.params.spec().position_max }
    }

    /// What the position limit leaves for more orders of a side, after all that are open.
    fn room(&self, side: Side) -> i128 {
        let open: i128 = self.side(side).iter().map(|q| q.leaves.0 as i128).sum();
        self.position_limit() as i128 - side.sign() as i128 * self.position as i128 - open
    }

    fn in_flight_room(&self) -> bool {
        let in_flight = self.orders.iter().flatten().filter(|q| q.in_flight()).count() as i64;
        in_flight < self.params.spec().in_flight_max
    }

    fn fill_up(&mut self, side: Side, unmet: Unmet, out: &mut Intents) {
        let mut place = 0;
        for px in unmet.left() {
            let free = |q: &Quote| q.is_none() && q.not_before <= self.now;
            let Some(n) = self.side(side)[place..].iter().position(free).map(|n| n + place) else { return };
            let allowed = self.pace.allows(self.now)
                && self.in_flight_room()
                && self.room(side) >= self.params.spec().size as i128;
            if !allowed {
                return;
            }
            if !self.meets_own(side, px) && !self.place(side, n, px, out) {
                return;
            }
            place = n + 1;
        }
    }

    /// An order at this price could trade with our own of the other side that have not moved yet.
    fn meets_own(&self, side: Side, px: Px) -> bool {
        self.side(side.opposite()).iter().filter(|q| !q.is_none()).any(|q| match side {
            Side::Buy => px >= q.px,
            Side::Sell => px <= q.px,
        })
    }

    fn place(&mut self, side: Side, n: usize, px: Px, out: &mut Intents) -> bool {
        let qty = Qty(self.params.spec().size);
        let order = NewIntent {
            instrument: self.instrument.id,
            side,
            px,
            qty,
            // Priced behind the touch just seen; should the market get there first, it is refused, not filled.
            kind: OrderType::PostOnly,
            stop_px: Px(0),
        };
        // Refused only when the buffer is full: the next event tries again.
        let Ok(id) = out.new_order(&order) else { return false };
        self.orders[side as usize][n].on_placed(id, px, qty, self.now);
        self.pace.spend(self.now);
        true
    }

    fn cancel(&mut self, side: Side, n: usize, out: &mut Intents) {
        let quote = &mut self.orders[side as usize][n];
        if out.cancel(self.instrument.id, quote.id).is_ok() {
            quote.on_cancel_asked(self.now);
        }
    }

    fn order_of(&mut self, id: OrderId) -> Option<&mut Quote> {
        self.orders.iter_mut().flatten().find(|q| !q.is_none() && q.id == id)
    }
}

/// Wanted prices of a side, nearest first, and which of them no order stands for yet.
#[derive(Clone, Copy)]
struct Unmet {
    px: [Px; LEVELS_MAX],
    len: usize,
    met: [bool; LEVELS_MAX],
}

impl Unmet {
    fn of(wanted: &[Px]) -> Unmet {
        let mut px = [Px(0); LEVELS_MAX];
        let len = wanted.len().min(LEVELS_MAX);
        px[..len].copy_from_slice(&wanted[..len]);
        Unmet { px, len, met: [false; LEVELS_MAX] }
    }

    /// An order at `px` stands for the nearest free price within less than `near`; whether there was one.
    fn meet(&mut self, px: Px, near: u64) -> bool {
        let away = |n: &usize| self.px[*n].0.abs_diff(px.0);
        let free = (0..self.len).filter(|n| !self.met[*n]).min_by_key(away);
        let Some(n) = free.filter(|n| away(n) < near) else { return false };
        self.met[n] = true;
        true
    }

    fn left(self) -> impl Iterator<Item = Px> {
        (0..self.len).filter(move |n| !self.met[*n]).map(move |n| self.px[n])
    }
}

impl Strategy for Maker {
    fn name(&self) -> &str {
        "maker"
    }

    fn on_market(&mut self, _seq: u64, m: &Msg, out: &mut Intents) {
        if m.instrument() != self.instrument.id {
            return;
        }
        self.now = self.now.max(m.ts_recv());
        match m.kind() {
            Some(Kind::Top) => self.on_top(m),
            Some(Kind::BookState) => self.on_book_state(m),
            Some(Kind::Trade) => return self.on_trade(m),
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
                if let Some(quote) = self.order_of(OrderId(m.body[2] as u64)) {
                    quote.on_state(state, now, pause_ns);
                }
            }
            Some(Kind::OwnFill) => {
                self.position = m.body[3];
                if let Some(quote) = self.order_of(OrderId(m.body[2] as u64)) {
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
        let (orders, pace, idle) = (self.orders, self.pace, self.idle);
        self.orders = [[Quote::default(); LEVELS_MAX]; 2];
        self.evaluate(true, out);
        (self.orders, self.pace, self.idle) = (orders, pace, idle);
    }

    fn on_stop(&mut self, out: &mut Intents) {
        self.stopped = true;
        // Refused only when the buffer is full, which the runner clears before every callback.
        if out.cancel_all(self.instrument.id).is_ok() {
            for quote in self.orders.iter_mut().flatten().filter(|q| !q.is_none()) {
                quote.on_cancel_asked(self.now);
            }
        }
    }
}
