//! Our orders against a recording: the market does not react, and we are filled conservatively.

use crate::clearing::Clearing;
use crate::engine::crosses;
use crate::{
    AccountIx, Balances, ExEvent, ExOrder, ExOrderId, ExReject, ExchangeConfig, ExchangeConfigError,
    ExpireReason, LastTrade, OrderKind, Submit, TopOfBook,
};
use wire::{Instrument, Px, Qty, Side, Ts};

/// A market that plays a recording and holds only our orders.
///
/// Rules, balances, fees and events are those of [`crate::Exchange`]; what differs is who trades with us. The
/// recorded market is [`crate::Party::OUTSIDE`] in every [`ExEvent::Trade`]. No [`ExEvent::Level`] is ever sent:
/// the public book is the recording's. Said for a buy; a sell is the mirror image.
///
/// **Arriving.** A buy whose price reaches the recorded best ask executes at once, as taker, at that recorded
/// price, up to the quantity displayed there. What we take is gone until the next [`RecordedMarket::on_top`].
/// The remainder rests (GTC) or expires (IOC, market); deeper levels are not touched. A maker order that would
/// reach the ask is refused.
///
/// **Resting.** A resting buy fills, as maker, at its own limit price:
/// - *through*: when a recorded trade of either aggressor prints strictly below its price, up to the trade's
///   quantity;
/// - *at*: when a recorded sell prints at its price, for what that trade exceeds the queue ahead. The queue
///   ahead is what the recording displayed at that price when the order arrived **if that was the best bid**,
///   and shrinks only by recorded sells at that price, never by recorded cancels. An order placed at any other
///   price, inside the spread included, has no known queue and fills only when traded through.
///
/// A trade's quantity is shared among our orders of that side by price, then time; what one takes, the next does not get.
/// A quote that merely crosses a resting order fills nothing.
///
/// **Among ourselves.** Orders of different accounts do not see each other. An order that would reach a resting
/// order of its own account first takes what the recording offers at the same price or better, then its
/// remainder expires ([`ExpireReason::SelfTrade`]).
///
/// **Exactness.** A recorded quote off the instrument's tick, not positive, or whose value does not fit 64 bits
/// at 8 decimals counts as an empty side ([`RecordedMarket::quotes_refused`]); recorded quantities are rounded
/// down to the lot where they fill us.
#[derive(Clone, Debug)]
pub struct RecordedMarket {
    clearing: Clearing,
    bid: Option<Quote>,
    ask: Option<Quote>,
    /// Open orders of each side in price-time order.
    buys: Vec<Resting>,
    sells: Vec<Resting>,
    quotes_refused: u64,
}

/// One side of the recorded top of book.
#[derive(Clone, Copy, Debug)]
struct Quote {
    px: Px,
    displayed: Qty,
    /// Displayed less what we took of it; a multiple of the lot.
    takeable: Qty,
}

#[derive(Clone, Copy, Debug)]
struct Resting {
    slot: u32,
    px: Px,
    /// Recorded quantity still ahead at this price; `None` = unknown.
    ahead: Option<Qty>,
}

impl RecordedMarket {
    /// A market with no quote and no orders.
    ///
    /// # Errors
    /// As [`crate::Exchange::new`].
    pub fn new(config: ExchangeConfig) -> Result<RecordedMarket, ExchangeConfigError> {
        Ok(RecordedMarket {
            clearing: Clearing::new(config)?,
            bid: None,
            ask: None,
            buys: Vec::new(),
            sells: Vec::new(),
            quotes_refused: 0,
        })
    }

    /// Adds an account with free balances, mantissas at 8 decimals; clamped to 0..=[`crate::AMOUNT_MAX`].
    pub fn add_account(&mut self, base: i128, quote: i128) -> AccountIx {
        self.clearing.add_account(base, quote)
    }

    /// Takes a new order: judges it, locks its funds, executes what the recorded quote allows, rests or expires
    /// the remainder.
    ///
    /// # Errors
    /// The order was refused whole; nothing changed and nothing was appended to `out`.
    pub fn submit(
        &mut self,
        now: Ts,
        account: AccountIx,
        order: Submit,
        out: &mut Vec<ExEvent>,
    ) -> Result<ExOrderId, ExReject> {
        let opposite = order.side.opposite();
        let quote = self.quote(opposite).filter(|q| q.takeable.0 > 0);
        self.clearing.judge(account, &order, quote.map(|q| q.px))?;
        let own = self.best_own(account, opposite).filter(|px| crosses(&order, *px));
        let quote = quote.filter(|q| crosses(&order, q.px));
        let reached = quote.map(|q| q.px).into_iter().chain(own);
        let nearest = if order.side == Side::Buy { reached.min() } else { reached.max() };
        if let (OrderKind::LimitMaker, Some(best)) = (order.kind, nearest) {
            return Err(ExReject::WouldTake { side: order.side, px: order.px, best });
        }
        // The recorded queue came first at an equal price; an own order at a better one stops us before it.
        let offer = quote.filter(|q| nearest == Some(q.px));
        let take = offer.map_or(Qty(0), |q| order.qty.min(q.takeable));
        let market_cost = match (order.kind, order.side, offer) {
            (OrderKind::Market, Side::Buy, Some(q)) => self.clearing.quote_amount(q.px, take),
            _ => 0,
        };
        let slot = self.clearing.accept(now, account, &order, market_cost, out)?;
        let id = self.clearing.orders.get(slot).id;
        if let (Some(q), true) = (offer, take.0 > 0) {
            self.clearing.trade(now, Some(slot), None, order.side, q.px, take, out);
            if let Some(q) = self.quote_mut(opposite) {
                q.takeable.0 -= take.0;
            }
        }
        if self.clearing.orders.get(slot).is_open() {
            if own.is_some() {
                self.clearing.expire(now, slot, ExpireReason::SelfTrade, out);
            } else if order.may_rest() {
                self.rest(slot);
            } else {
                let reason = match order.kind {
                    OrderKind::Market => ExpireReason::NoLiquidity,
                    _ => ExpireReason::ImmediateOrCancel,
                };
                self.clearing.expire(now, slot, reason, out);
            }
        }
        Ok(id)
    }

    /// Cancels an open order of `account`.
    ///
    /// # Errors
    /// [`ExReject::UnknownOrder`]: it is not open, or not this account's.
    pub fn cancel(
        &mut self,
        now: Ts,
        account: AccountIx,
        id: ExOrderId,
        out: &mut Vec<ExEvent>,
    ) -> Result<(), ExReject> {
        let slot = self.clearing.open_slot(account, id)?;
        let side = self.clearing.orders.get(slot).side;
        self.clearing.cancel(now, slot, out);
        self.resting_mut(side).retain(|r| r.slot != slot);
        Ok(())
    }

    /// Cancels every open order of `account`, oldest first. Returns how many.
    pub fn cancel_all(&mut self, now: Ts, account: AccountIx, out: &mut Vec<ExEvent>) -> usize {
        let mut cancelled = 0;
        while let Some(id) = self.clearing.oldest_open(account) {
            if self.cancel(now, account, id, out).is_err() {
                break;
            }
            cancelled += 1;
        }
        cancelled
    }

    /// Plays a recorded trade: fills resting orders by the rule above. `aggressor` is the recording's.
    pub fn on_trade(&mut self, now: Ts, px: Px, qty: Qty, aggressor: Side, out: &mut Vec<ExEvent>) {
        if qty.0 <= 0 || px.0 <= 0 {
            return;
        }
        for side in [Side::Buy, Side::Sell] {
            self.play(now, side, px, qty, aggressor, out);
        }
    }

    /// Plays a recorded top of book; `None` or a quantity of zero = the side is empty. Fills nothing by itself.
    pub fn on_top(&mut self, now: Ts, bid: Option<(Px, Qty)>, ask: Option<(Px, Qty)>) {
        let _ = now; // A quote changes no order, so nothing here is stamped.
        self.bid = self.checked(bid);
        self.ask = self.checked(ask);
    }

    /// An order, open, or among the last [`crate::DONE_KEPT_PER_ACCOUNT`] done ones of its account.
    pub fn order(&self, id: ExOrderId) -> Option<&ExOrder> {
        self.clearing.orders.find(id)
    }

    /// Open orders of an account, oldest first.
    pub fn open_orders(&self, account: AccountIx) -> impl Iterator<Item = &ExOrder> {
        self.clearing.orders.open_orders(account)
    }

    /// Balances of an account; all zero for one that was never added.
    pub fn balances(&self, account: AccountIx) -> Balances {
        self.clearing.balances(account)
    }

    /// Number of accounts; they are `AccountIx(0)` up to this.
    pub fn accounts(&self) -> usize {
        self.clearing.accounts()
    }

    /// Fees collected so far (base, quote), mantissas at 8 decimals; negative when rebates exceed fees.
    pub fn fees_collected(&self) -> (i128, i128) {
        self.clearing.fees_collected()
    }

    /// The recorded best bid and ask as last played, with the quantities displayed.
    pub fn best(&self) -> TopOfBook {
        let level = |q: Option<Quote>| q.map(|q| (q.px, q.displayed));
        (level(self.bid), level(self.ask))
    }

    /// Our latest trade.
    pub fn last_trade(&self) -> Option<LastTrade> {
        self.clearing.last_trade()
    }

    /// What is traded, with its rules.
    pub fn instrument(&self) -> &Instrument {
        self.clearing.instrument()
    }

    /// Halts or resumes the instrument: while halted new orders are refused, cancels pass, and the recording still
    /// fills what rests.
    pub fn set_trading(&mut self, trading: bool) {
        self.clearing.set_trading(trading);
    }

    /// Recorded quotes that counted as an empty side because they could not be traded exactly.
    pub fn quotes_refused(&self) -> u64 {
        self.quotes_refused
    }

    fn checked(&mut self, level: Option<(Px, Qty)>) -> Option<Quote> {
        let (px, displayed) = level.filter(|(_, qty)| qty.0 != 0)?;
        let rules = &self.clearing.rules;
        let usable = displayed.0 > 0 && rules.is_on_tick(px) && rules.quote_amount(px, displayed).is_some();
        if !usable {
            self.quotes_refused += 1;
            return None;
        }
        Some(Quote { px, displayed, takeable: rules.floor_to_lot(displayed) })
    }

    /// Puts an accepted order in line.
    fn rest(&mut self, slot: u32) {
        let (side, px) = (self.clearing.orders.get(slot).side, self.clearing.orders.get(slot).px);
        let ahead = self.quote(side).filter(|q| q.px == px).map(|q| q.displayed);
        let resting = self.resting_mut(side);
        let at = resting.partition_point(|r| match side {
            Side::Buy => r.px >= px,
            Side::Sell => r.px <= px,
        });
        resting.insert(at, Resting { slot, px, ahead });
    }

    /// Fills one side's resting orders from one recorded trade.
    fn play(&mut self, now: Ts, side: Side, px: Px, qty: Qty, aggressor: Side, out: &mut Vec<ExEvent>) {
        let mut resting = std::mem::take(self.resting_mut(side));
        // What our orders further in front took of this trade.
        let mut taken = 0i64;
        for r in &mut resting {
            let through = match side {
                Side::Buy => px < r.px,
                Side::Sell => px > r.px,
            };
            let reach = if through {
                qty.0
            } else if px == r.px && aggressor != side {
                let Some(ahead) = &mut r.ahead else { continue };
                let reach = (qty.0 - ahead.0).max(0);
                ahead.0 = (ahead.0 - qty.0).max(0);
                reach
            } else {
                continue;
            };
            let leaves = self.clearing.orders.get(r.slot).leaves();
            let fill = self.clearing.rules.floor_to_lot(Qty((reach - taken).max(0))).min(leaves);
            if fill.0 > 0 {
                self.clearing.trade(now, None, Some(r.slot), side.opposite(), r.px, fill, out);
                taken += fill.0;
            }
        }
        if taken > 0 {
            resting.retain(|r| self.clearing.orders.get(r.slot).is_open());
        }
        *self.resting_mut(side) = resting;
    }

    /// Best price of an account's own resting orders of a side.
    fn best_own(&self, account: AccountIx, side: Side) -> Option<Px> {
        let resting = if side == Side::Buy { &self.buys } else { &self.sells };
        resting.iter().find(|r| self.clearing.orders.get(r.slot).account == account).map(|r| r.px)
    }

    fn resting_mut(&mut self, side: Side) -> &mut Vec<Resting> {
        match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        }
    }

    fn quote(&self, side: Side) -> Option<Quote> {
        match side {
            Side::Buy => self.bid,
            Side::Sell => self.ask,
        }
    }

    fn quote_mut(&mut self, side: Side) -> Option<&mut Quote> {
        match side {
            Side::Buy => self.bid.as_mut(),
            Side::Sell => self.ask.as_mut(),
        }
    }
}
