//! Our orders against a recording: the market does not react, and we are filled conservatively.

use crate::clearing::Clearing;
use crate::market::{Book, Market, Reach, Want};
use crate::order::crosses;
use crate::{
    AccountIx, ExEvent, ExReject, ExchangeConfig, ExchangeConfigError, ExpireReason, Stp, Submit, TopOfBook,
};
use wire::{OrderState, Px, Qty, Side, Ts};

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
/// order of its own account first takes what the recording offers at the same price or better; then its mode ([`Stp`])
/// says which of the two expires, or that they trade.
///
/// **Triggers** are reached by recorded trades, not by ours.
///
/// **Exactness.** A recorded quote off the instrument's tick, not positive, or whose value does not fit 64 bits
/// at 8 decimals counts as an empty side ([`RecordedMarket::quotes_refused`]); recorded quantities are rounded
/// down to the lot where they fill us.
pub type RecordedMarket = Market<Recording>;

/// What a [`RecordedMarket`] matches against.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    bid: Option<Quote>,
    ask: Option<Quote>,
    /// Open orders of each side in price-time order.
    buys: Vec<Resting>,
    sells: Vec<Resting>,
    /// The latest recorded trade.
    last_px: Option<Px>,
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

impl Market<Recording> {
    /// A market with no quote and no orders.
    ///
    /// # Errors
    /// As [`crate::Exchange::new`].
    pub fn new(config: ExchangeConfig) -> Result<RecordedMarket, ExchangeConfigError> {
        Ok(Market::with(Clearing::new(config)?, Recording::default()))
    }

    /// Plays a recorded trade: fills resting orders by the rule above, then wakes those whose trigger it reached.
    /// `aggressor` is the recording's.
    pub fn on_trade(&mut self, now: Ts, px: Px, qty: Qty, aggressor: Side, out: &mut Vec<ExEvent>) {
        if qty.0 <= 0 || px.0 <= 0 {
            return;
        }
        let from = out.len();
        self.book.last_px = Some(px);
        for side in [Side::Buy, Side::Sell] {
            self.book.play(&mut self.clearing, now, side, px, qty, aggressor, out);
        }
        self.settle(now, from, Some(px), out);
    }

    /// Plays a recorded top of book; `None` or a quantity of zero = the side is empty. Fills nothing by itself.
    pub fn on_top(&mut self, now: Ts, bid: Option<(Px, Qty)>, ask: Option<(Px, Qty)>) {
        let _ = now; // A quote changes no order, so nothing here is stamped.
        self.book.bid = self.book.checked(&self.clearing, bid);
        self.book.ask = self.book.checked(&self.clearing, ask);
    }

    /// Recorded quotes that counted as an empty side because they could not be traded exactly.
    pub fn quotes_refused(&self) -> u64 {
        self.book.quotes_refused
    }
}

impl Recording {
    fn checked(&mut self, clearing: &Clearing, level: Option<(Px, Qty)>) -> Option<Quote> {
        let (px, displayed) = level.filter(|(_, qty)| qty.0 != 0)?;
        let rules = &clearing.rules;
        let usable = displayed.0 > 0 && rules.is_on_tick(px) && rules.quote_amount(px, displayed).is_some();
        if !usable {
            self.quotes_refused += 1;
            return None;
        }
        Some(Quote { px, displayed, takeable: rules.floor_to_lot(displayed) })
    }

    /// Fills one side's resting orders from one recorded trade.
    #[allow(
        clippy::too_many_arguments,
        reason = "the facts of one recorded trade; no second caller to share a type"
    )]
    fn play(
        &mut self,
        clearing: &mut Clearing,
        now: Ts,
        side: Side,
        px: Px,
        qty: Qty,
        aggressor: Side,
        out: &mut Vec<ExEvent>,
    ) {
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
            let leaves = clearing.orders.get(r.slot).leaves();
            let fill = clearing.rules.floor_to_lot(Qty((reach - taken).max(0))).min(leaves);
            if fill.0 > 0 {
                clearing.trade(now, None, Some(r.slot), side.opposite(), r.px, fill, out);
                taken += fill.0;
            }
        }
        if taken > 0 {
            resting.retain(|r| clearing.orders.get(r.slot).is_open());
        }
        *self.resting_mut(side) = resting;
    }

    /// An account's own resting order that one of the other side meets first: its slot and price.
    fn best_own(&self, clearing: &Clearing, account: AccountIx, side: Side) -> Option<(u32, Px)> {
        let resting = if side == Side::Buy { &self.buys } else { &self.sells };
        resting.iter().find(|r| clearing.orders.get(r.slot).account == account).map(|r| (r.slot, r.px))
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

    /// What can be taken of a side.
    fn offer(&self, side: Side) -> Option<Quote> {
        self.quote(side).filter(|q| q.takeable.0 > 0)
    }
}

/// Whether an order of `side` meets `a` before `b`.
fn is_nearer(side: Side, a: Px, b: Px) -> bool {
    if side == Side::Buy { a < b } else { a > b }
}

impl Book for Recording {
    const TRADES_ARE_THE_MARKETS: bool = false;

    fn best_opposite(&self, side: Side) -> Option<Px> {
        self.offer(side.opposite()).map(|q| q.px)
    }

    fn last_px(&self, _: &Clearing) -> Option<Px> {
        self.last_px
    }

    fn would_take(&self, clearing: &Clearing, account: AccountIx, order: &Submit) -> Option<Px> {
        let own = self.best_own(clearing, account, order.side.opposite()).map(|(_, px)| px);
        let reached = self.best_opposite(order.side).into_iter().chain(own);
        let reached = reached.filter(|px| crosses(order.kind, order.side, order.px, *px));
        if order.side == Side::Buy { reached.min() } else { reached.max() }
    }

    fn room(&self, _: Side, _: Px, _: Qty) -> Result<(), ExReject> {
        Ok(())
    }

    fn reach(&self, clearing: &Clearing, want: &Want) -> Reach {
        let side = want.side.opposite();
        let mut offer = self.offer(side).filter(|q| crosses(want.kind, want.side, want.px, q.px));
        let mut reach = Reach::default();
        let resting = if side == Side::Buy { &self.buys } else { &self.sells };
        let own = resting.iter().filter(|r| clearing.orders.get(r.slot).account == want.account);
        for r in own.filter(|r| crosses(want.kind, want.side, want.px, r.px)) {
            // The recorded queue came first at an equal price.
            if let Some(q) = offer.take_if(|q| !is_nearer(want.side, r.px, q.px))
                && reach.add(clearing, want.budget, q.px, q.takeable)
            {
                return reach;
            }
            match want.stp {
                Stp::ExpireMaker => continue,
                Stp::ExpireTaker | Stp::ExpireBoth => return Reach { exhausted: true, ..reach },
                Stp::None => {}
            }
            if reach.add(clearing, want.budget, r.px, clearing.orders.get(r.slot).leaves()) {
                return reach;
            }
        }
        if let Some(q) = offer
            && reach.add(clearing, want.budget, q.px, q.takeable)
        {
            return reach;
        }
        Reach { exhausted: true, ..reach }
    }

    fn take(&mut self, clearing: &mut Clearing, now: Ts, taker: u32, out: &mut Vec<ExEvent>) -> bool {
        let order = *clearing.orders.get(taker);
        let side = order.side.opposite();
        loop {
            let leaves = clearing.orders.get(taker).leaves();
            if leaves.0 == 0 {
                return false;
            }
            let own = self.best_own(clearing, order.account, side).filter(|(_, px)| order.crosses(*px));
            let offer = self.offer(side).filter(|q| order.crosses(q.px));
            match (own, offer) {
                (own, Some(q)) if own.is_none_or(|(_, px)| !is_nearer(order.side, px, q.px)) => {
                    let qty = leaves.min(q.takeable);
                    clearing.trade(now, Some(taker), None, order.side, q.px, qty, out);
                    if let Some(q) = self.quote_mut(side) {
                        q.takeable.0 -= qty.0;
                    }
                }
                (Some((maker, px)), _) if order.stp == Stp::None => {
                    let qty = leaves.min(clearing.orders.get(maker).leaves());
                    clearing.trade(now, Some(taker), Some(maker), order.side, px, qty, out);
                    if clearing.orders.get(maker).state == OrderState::Filled {
                        self.resting_mut(side).retain(|r| r.slot != maker);
                    }
                }
                (Some((maker, px)), _) => {
                    clearing.prevent(now, taker, maker, px, order.stp, out);
                    if order.stp != Stp::ExpireTaker {
                        self.resting_mut(side).retain(|r| r.slot != maker);
                        clearing.expire(now, maker, ExpireReason::SelfTrade, out);
                        clearing.part(now, maker, out);
                    }
                    if order.stp != Stp::ExpireMaker {
                        return true;
                    }
                }
                (None, _) => return false,
            }
        }
    }

    fn rest(&mut self, clearing: &Clearing, slot: u32, _: &mut Vec<ExEvent>) {
        let (side, px) = (clearing.orders.get(slot).side, clearing.orders.get(slot).px);
        let ahead = self.quote(side).filter(|q| q.px == px).map(|q| q.displayed);
        let resting = self.resting_mut(side);
        let at = resting.partition_point(|r| match side {
            Side::Buy => r.px >= px,
            Side::Sell => r.px <= px,
        });
        resting.insert(at, Resting { slot, px, ahead });
    }

    fn leave(&mut self, clearing: &Clearing, slot: u32, _: &mut Vec<ExEvent>) {
        let side = clearing.orders.get(slot).side;
        self.resting_mut(side).retain(|r| r.slot != slot);
    }

    fn top(&self) -> TopOfBook {
        let level = |q: Option<Quote>| q.map(|q| (q.px, q.displayed));
        (level(self.bid), level(self.ask))
    }
}
