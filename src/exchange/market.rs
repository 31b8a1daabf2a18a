//! What both markets do with an order: judge, lock, match or put to sleep, wake, cancel.

use crate::clearing::Clearing;
use crate::{
    AccountIx, Balances, ExEvent, ExOrder, ExOrderId, ExReject, ExpireReason, Filters, LastTrade, OrderKind,
    Stp, Submit, Tif, TopOfBook, TriggerKind,
};
use std::collections::VecDeque;
use wire::{Instrument, Px, Qty, Side, Ts};

/// How far an order may go through the opposite side.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    pub(crate) account: AccountIx,
    pub(crate) side: Side,
    pub(crate) kind: OrderKind,
    pub(crate) px: Px,
    pub(crate) stp: Stp,
    pub(crate) budget: Budget,
}

/// What limits an order besides its price.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Budget {
    /// A quantity.
    Base(Qty),
    /// An amount of quote, in whole lots.
    Quote(i128),
}

/// How far it would go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Quantity that it would trade.
    pub(crate) qty: Qty,
    /// What that is worth.
    pub(crate) quote: i128,
    /// Whether the opposite side ended before the budget.
    pub(crate) exhausted: bool,
}

impl Reach {
    /// Adds what one resting order or quote offers; whether the budget is spent.
    pub(crate) fn add(&mut self, clearing: &Clearing, budget: Budget, px: Px, offered: Qty) -> bool {
        let most = match budget {
            Budget::Base(qty) => Qty(qty.0 - self.qty.0),
            Budget::Quote(quote) => clearing.rules.qty_for(px, quote - self.quote),
        };
        let part = offered.min(most);
        self.qty.0 += part.0;
        self.quote += clearing.quote_amount(px, part);
        part < offered || (part == most && matches!(budget, Budget::Base(_)))
    }
}

/// Where orders meet others: a book of everybody's, or a recording. Only this crate has any.
pub trait Book {
    /// Whether our own trades are the market's, so that they set off triggers.
    const TRADES_ARE_THE_MARKETS: bool;

    /// Best price that an order of `side` could take, nobody's in particular.
    fn best_opposite(&self, side: Side) -> Option<Px>;
    /// The price of the market's latest trade.
    fn last_px(&self, clearing: &Clearing) -> Option<Px>;
    /// The first price at which a maker order would take.
    fn would_take(&self, clearing: &Clearing, account: AccountIx, order: &Submit) -> Option<Px>;
    /// Whether so much more can rest at a price.
    ///
    /// # Errors
    /// [`ExReject::LevelFull`].
    fn room(&self, side: Side, px: Px, qty: Qty) -> Result<(), ExReject>;
    /// What an order would trade now.
    fn reach(&self, clearing: &Clearing, want: &Want) -> Reach;
    /// Matches an accepted order; whether it is to expire because it met one of its own account.
    fn take(&mut self, clearing: &mut Clearing, now: Ts, slot: u32, out: &mut Vec<ExEvent>) -> bool;
    /// Puts an order in line.
    fn rest(&mut self, clearing: &Clearing, slot: u32, out: &mut Vec<ExEvent>);
    /// Takes a resting order out of line, just before or just after it ends.
    fn leave(&mut self, clearing: &Clearing, slot: u32, out: &mut Vec<ExEvent>);
    /// Best bid and ask as shown to the public.
    fn top(&self) -> TopOfBook;
}

/// A market for one instrument: [`crate::Exchange`] or [`crate::RecordedMarket`].
///
/// Calls never read a clock: `now` only stamps what happens. Events are appended to `out`, which is never cleared here.
#[derive(Clone, Debug)]
pub struct Market<B> {
    pub(crate) clearing: Clearing,
    pub(crate) book: B,
    /// Orders whose trigger was reached and that have not been carried out: number, slot.
    woken: VecDeque<(u64, u32)>,
}

impl<B: Book> Market<B> {
    pub(crate) fn with(clearing: Clearing, book: B) -> Market<B> {
        Market { clearing, book, woken: VecDeque::new() }
    }

    /// Adds an account with free balances, mantissas at 8 decimals; clamped to 0..=[`crate::AMOUNT_MAX`].
    pub fn add_account(&mut self, base: i128, quote: i128) -> AccountIx {
        self.clearing.add_account(base, quote)
    }

    /// Sets an account's rules beyond the instrument's own, for orders from now on.
    pub fn set_filters(&mut self, account: AccountIx, filters: Filters) {
        self.clearing.set_filters(account, filters);
    }

    /// Judges an order by the rules, as [`Market::submit`] would, without balance and book.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn judge(&self, account: AccountIx, order: &Submit) -> Result<(), ExReject> {
        self.judge_nth(account, order, 0)
    }

    /// Takes a new order: judges it, locks its funds, matches it, rests or expires the remainder; or, with a trigger,
    /// puts it to sleep until a trade reaches that.
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
        self.judge(account, &order)?;
        let from = out.len();
        if order.trigger.is_some() {
            self.refuse_reached(&order)?;
            let slot = self.clearing.accept(now, account, &order, 0, out)?;
            self.clearing.sleeping.add(slot, self.clearing.orders.get(slot));
            return Ok(self.clearing.orders.get(slot).id);
        }
        let order = self.in_base(account, order)?;
        self.refuse_taking(account, &order)?;
        if order.may_rest() {
            self.book.room(order.side, order.px, order.qty)?;
        }
        let cost = self.market_cost(account, &order);
        let slot = self.clearing.accept(now, account, &order, cost, out)?;
        let id = self.clearing.orders.get(slot).id;
        self.work(now, slot, out);
        self.settle(now, from, None, out);
        Ok(id)
    }

    /// Takes two orders of which one at most is carried out: a maker order or take-profit, and a stop-loss, of one side
    /// and quantity. When either trades, wakes or ends, the other expires. Both lock together what the dearer one needs.
    ///
    /// # Errors
    /// Both were refused; nothing changed and nothing was appended to `out`.
    pub fn submit_pair(
        &mut self,
        now: Ts,
        account: AccountIx,
        orders: [Submit; 2],
        out: &mut Vec<ExEvent>,
    ) -> Result<[ExOrderId; 2], ExReject> {
        let role = |o: &Submit| match (o.kind, o.trigger.map(|t| t.kind)) {
            (OrderKind::LimitMaker, None)
            | (OrderKind::Limit | OrderKind::Market, Some(TriggerKind::TakeProfit)) => {
                Some(TriggerKind::TakeProfit)
            }
            (OrderKind::Limit | OrderKind::Market, Some(TriggerKind::StopLoss)) => {
                Some(TriggerKind::StopLoss)
            }
            _ => None,
        };
        let [a, b] = &orders;
        let roles = (role(a), role(b));
        if roles.0.is_none() || roles.1.is_none() || roles.0 == roles.1 || a.side != b.side || a.qty != b.qty
        {
            return Err(ExReject::PairShape);
        }
        for (nth, order) in orders.iter().enumerate() {
            self.judge_nth(account, order, nth)?;
        }
        let last = self.book.last_px(&self.clearing);
        for order in &orders {
            let wrong_side = |last: Px| match order.trigger {
                Some(trigger) => trigger.is_reached(order.side, last),
                None if order.side == Side::Buy => order.px >= last,
                None => order.px <= last,
            };
            if last.is_some_and(wrong_side) {
                return Err(ExReject::PairPrices);
            }
            self.refuse_taking(account, order)?;
            if order.trigger.is_none() {
                self.book.room(order.side, order.px, order.qty)?;
            }
        }
        let from = out.len();
        let slots = self.clearing.accept_pair(now, account, &orders, out)?;
        for slot in slots {
            if self.clearing.orders.get(slot).working {
                self.work(now, slot, out);
            } else {
                self.clearing.sleeping.add(slot, self.clearing.orders.get(slot));
            }
        }
        let ids = self.clearing.ids(slots);
        self.settle(now, from, None, out);
        Ok(ids)
    }

    /// Cancels an open order of `account`, and the other order of its pair.
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
        match self.clearing.pair(slot) {
            Some(pair) => {
                let forgotten = self.clearing.unpair(slot);
                for slot in pair.slots {
                    self.cancel_one(now, slot, out);
                }
                self.clearing.give_back(forgotten);
            }
            None => self.cancel_one(now, slot, out),
        }
        Ok(())
    }

    /// Cancels every open order of `account`, oldest first. Returns how many requests that would have been: a pair
    /// counts once.
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

    /// An order, open, or among the last [`crate::DONE_KEPT_PER_ACCOUNT`] done ones of its account.
    pub fn order(&self, id: ExOrderId) -> Option<&ExOrder> {
        self.clearing.orders.find(id)
    }

    /// Open orders of an account, sleeping ones included, oldest first.
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

    /// Fees collected so far (base, quote), mantissas at 8 decimals; negative when rebates exceed fees. In a live book
    /// the balances of all accounts plus these never change in sum.
    pub fn fees_collected(&self) -> (i128, i128) {
        self.clearing.fees_collected()
    }

    /// Best bid and best ask as the public sees them, each with the quantity shown there.
    pub fn best(&self) -> TopOfBook {
        self.book.top()
    }

    /// The latest trade of an account.
    pub fn last_trade(&self) -> Option<LastTrade> {
        self.clearing.last_trade()
    }

    /// The price of the market's latest trade: what triggers and price bands look at.
    pub fn last_px(&self) -> Option<Px> {
        self.book.last_px(&self.clearing)
    }

    /// What is traded, with its rules.
    pub fn instrument(&self) -> &Instrument {
        self.clearing.instrument()
    }

    /// Halts or resumes the instrument: while halted new orders are refused and cancels pass.
    pub fn set_trading(&mut self, trading: bool) {
        self.clearing.set_trading(trading);
    }

    fn judge_nth(&self, account: AccountIx, order: &Submit, more: usize) -> Result<(), ExReject> {
        let last = self.book.last_px(&self.clearing);
        self.clearing.judge(account, order, self.book.best_opposite(order.side), last, more)
    }

    fn refuse_reached(&self, order: &Submit) -> Result<(), ExReject> {
        match (order.trigger, self.book.last_px(&self.clearing)) {
            (Some(trigger), Some(last)) if trigger.is_reached(order.side, last) => {
                Err(ExReject::WouldTrigger { side: order.side, px: trigger.px, last })
            }
            _ => Ok(()),
        }
    }

    fn refuse_taking(&self, account: AccountIx, order: &Submit) -> Result<(), ExReject> {
        if order.kind != OrderKind::LimitMaker {
            return Ok(());
        }
        match self.book.would_take(&self.clearing, account, order) {
            Some(best) => Err(ExReject::WouldTake { side: order.side, px: order.px, best }),
            None => Ok(()),
        }
    }

    /// A market order for an amount of quote as one for the quantity that it buys or sells.
    fn in_base(&self, account: AccountIx, order: Submit) -> Result<Submit, ExReject> {
        let Some(quote) = order.quote else { return Ok(order) };
        let reach = self.book.reach(&self.clearing, &want(account, &order, Budget::Quote(quote)));
        let i = self.clearing.instrument();
        let min = i.qty_min.max(i.lot).max(Qty(1));
        if reach.exhausted && reach.qty < min {
            return Err(ExReject::ThinBook { qty: reach.qty, min });
        }
        // Less than one lot is refused as a quantity of zero would be.
        let order = Submit { qty: reach.qty, ..order };
        let judged = Submit { quote: if reach.qty.0 > 0 { order.quote } else { None }, ..order };
        self.judge(account, &judged)?;
        Ok(Submit { quote: None, ..order })
    }

    /// What a market buy would pay now; zero for any other.
    fn market_cost(&self, account: AccountIx, order: &Submit) -> i128 {
        match (order.kind, order.side) {
            (OrderKind::Market, Side::Buy) => {
                self.book.reach(&self.clearing, &want(account, order, Budget::Base(order.qty))).quote
            }
            _ => 0,
        }
    }

    /// Carries out an order that is not asleep: matches it, then rests or expires what is left.
    fn work(&mut self, now: Ts, slot: u32, out: &mut Vec<ExEvent>) {
        let order = *self.clearing.orders.get(slot);
        let Market { clearing, book, .. } = self;
        if order.kind == OrderKind::Limit && order.tif == Tif::Fok {
            let whole = Want {
                account: order.account,
                side: order.side,
                kind: order.kind,
                px: order.px,
                stp: order.stp,
                budget: Budget::Base(order.qty),
            };
            if book.reach(clearing, &whole).qty < order.qty {
                return clearing.expire(now, slot, ExpireReason::FillOrKill, out);
            }
        }
        let self_trade = book.take(clearing, now, slot, out);
        if !clearing.orders.get(slot).is_open() {
            return;
        }
        if self_trade {
            clearing.expire(now, slot, ExpireReason::SelfTrade, out);
        } else if order.may_rest() {
            book.rest(clearing, slot, out);
        } else {
            let reason = match (order.kind, order.tif) {
                (OrderKind::Market, _) => ExpireReason::NoLiquidity,
                (_, Tif::Fok) => ExpireReason::FillOrKill,
                _ => ExpireReason::ImmediateOrCancel,
            };
            clearing.expire(now, slot, reason, out);
        }
    }

    /// Wakes every order whose trigger was reached, by the market's trades among the events from `from` on or by
    /// `outside`, until none is left.
    pub(crate) fn settle(&mut self, now: Ts, from: usize, outside: Option<Px>, out: &mut Vec<ExEvent>) {
        let (mut seen, mut outside) = (from, outside);
        while !self.clearing.sleeping.is_empty() || !self.woken.is_empty() {
            let ours = out[seen..].iter().filter_map(|event| match event {
                ExEvent::Trade { px, .. } if B::TRADES_ARE_THE_MARKETS => Some(*px),
                _ => None,
            });
            let range = ours.chain(outside.take()).fold(None, |range: Option<(Px, Px)>, px| {
                Some(range.map_or((px, px), |(low, high)| (low.min(px), high.max(px))))
            });
            seen = out.len();
            if let Some((low, high)) = range {
                self.woken.extend(self.clearing.sleeping.take_reached(low, high));
            }
            let Some((id, slot)) = self.woken.pop_front() else { return };
            let order = self.clearing.orders.get(slot);
            // The other order of its pair may have come first.
            if order.id.0 == id && order.is_open() {
                self.wake(now, slot, out);
            }
        }
    }

    fn wake(&mut self, now: Ts, slot: u32, out: &mut Vec<ExEvent>) {
        if let Some(partner) = self.clearing.partner(slot)
            && self.clearing.orders.get(partner).working
        {
            self.book.leave(&self.clearing, partner, out);
        }
        let funded = self.clearing.wake(now, slot, out);
        let order = *self.clearing.orders.get(slot);
        let submit = Submit {
            kind: order.kind,
            tif: order.tif,
            stp: order.stp,
            ..Submit::limit(order.side, order.px, order.qty)
        };
        let payable = self.market_cost(order.account, &submit) <= self.balances(order.account).quote_free;
        let room = !order.may_rest() || self.book.room(order.side, order.px, order.qty).is_ok();
        if funded && payable && room {
            self.work(now, slot, out);
        } else {
            self.clearing.expire(now, slot, ExpireReason::Rejected, out);
        }
    }

    fn cancel_one(&mut self, now: Ts, slot: u32, out: &mut Vec<ExEvent>) {
        let working = self.clearing.orders.get(slot).working;
        self.clearing.cancel(now, slot, out);
        if working {
            self.book.leave(&self.clearing, slot, out);
        }
    }
}

fn want(account: AccountIx, order: &Submit, budget: Budget) -> Want {
    Want { account, side: order.side, kind: order.kind, px: order.px, stp: order.stp, budget }
}
