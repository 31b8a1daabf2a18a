//! The matching engine: one book, price-time priority.

use crate::clearing::Clearing;
use crate::ladder::Ladder;
use crate::{
    AccountIx, Balances, ExEvent, ExOrder, ExOrderId, ExReject, ExchangeConfig, ExchangeConfigError,
    ExpireReason, LastTrade, OrderKind, Submit, TopOfBook,
};
use wire::{Instrument, OrderState, Px, Qty, Side, Ts};

/// An exchange for one instrument.
///
/// Orders match by price, then arrival; a trade happens at the resting order's price. Calls never read a clock:
/// `now` only stamps what happens. Events are appended to `out`, which is never cleared here.
///
/// - **Balances** are locked on acceptance (base for a sell, quote at the limit price for a buy) and released as
///   the order fills, is cancelled or expires; a better price than the limit returns the difference. A market
///   buy is checked against the book's exact cost before it is accepted.
/// - **Self-trade**: when the next resting order in line is of the same account, the incoming order's remainder
///   expires ([`ExpireReason::SelfTrade`]) and the resting order stays.
/// - **Market orders** are immediate-or-cancel for a quantity of base. Their notional is judged at the best
///   opposite price.
///
/// ```
/// # use corelane_exchange::*; use wire::*;
/// # let instrument = Instrument {
/// #     id: InstrumentId(0), venue: VenueId(0), symbol: "BTCUSDT".into(), base: "BTC".into(), quote: "USDT".into(),
/// #     base_id: AssetId(0), quote_id: AssetId(1), px_decimals: 2, qty_decimals: 5, quote_decimals: 8,
/// #     tick: Px(1), px_min: Px(0), px_max: Px(0), lot: Qty(1000), qty_min: Qty(0), qty_max: Qty(0),
/// #     notional_min: 0, open_orders_max: 0, trading: true,
/// # };
/// let mut ex = Exchange::new(ExchangeConfig { instrument, fees: Fees { maker_ppm: 0, taker_ppm: 1_000 } })?;
/// let (maker, taker) = (ex.add_account(100_000_000, 0), ex.add_account(0, 60_000_00000000));
/// let order = |side, qty| Submit {
///     token: 7, side, px: Px(60_000_00), qty, kind: OrderKind::Limit, tif: Tif::Gtc,
/// };
/// let mut out = Vec::new();
/// ex.submit(Ts(1), maker, order(Side::Sell, Qty(100_000)), &mut out)?;
/// ex.submit(Ts(2), taker, order(Side::Buy, Qty(50_000)), &mut out)?;
/// assert_eq!(ex.best(), (None, Some((Px(60_000_00), Qty(50_000)))));
/// assert_eq!(ex.balances(taker).base_free, 50_000_000 - 50_000); // half a coin, less 0.1 %
/// // Nothing is left to pay another half with a price that adds up to more.
/// assert!(matches!(
///     ex.submit(Ts(3), taker, order(Side::Buy, Qty(60_000)), &mut out),
///     Err(ExReject::InsufficientBalance { .. })
/// ));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Exchange {
    clearing: Clearing,
    ladder: Ladder,
    update_id: u64,
}

impl Exchange {
    /// An empty exchange.
    ///
    /// # Errors
    /// A scale, bound or fee is out of range, or `tick × lot` has digits beyond the 8 decimals of amounts.
    pub fn new(config: ExchangeConfig) -> Result<Exchange, ExchangeConfigError> {
        Ok(Exchange { clearing: Clearing::new(config)?, ladder: Ladder::default(), update_id: 0 })
    }

    /// Adds an account with free balances, mantissas at 8 decimals; clamped to 0..=[`crate::AMOUNT_MAX`].
    pub fn add_account(&mut self, base: i128, quote: i128) -> AccountIx {
        self.clearing.add_account(base, quote)
    }

    /// Takes a new order: judges it, locks its funds, matches it, rests or expires the remainder.
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
        let best = self.ladder.best(order.side.opposite()).map(|(px, _)| px);
        self.clearing.judge(account, &order, best)?;
        let crossed = best.filter(|best| crosses(&order, *best));
        if let (OrderKind::LimitMaker, Some(best)) = (order.kind, crossed) {
            return Err(ExReject::WouldTake { side: order.side, px: order.px, best });
        }
        if order.may_rest() {
            let total = self.ladder.total(order.side, order.px);
            if total.0.checked_add(order.qty.0).is_none() {
                return Err(ExReject::LevelFull { px: order.px, total, qty: order.qty });
            }
        }
        let market_cost = match (order.kind, order.side) {
            (OrderKind::Market, Side::Buy) => self.cost_of_market_buy(account, order.qty),
            _ => 0,
        };
        let slot = self.clearing.accept(now, account, &order, market_cost, out)?;
        let id = self.clearing.orders.get(slot).id;
        let self_trade = self.take(now, slot, &order, out);
        let taken = *self.clearing.orders.get(slot);
        if taken.is_open() {
            if self_trade {
                self.clearing.expire(now, slot, ExpireReason::SelfTrade, out);
            } else if order.may_rest() {
                self.ladder.push(slot, taken.side, taken.px, taken.leaves());
                self.publish_level(taken.side, taken.px, out);
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
        let order = *self.clearing.orders.get(slot);
        self.clearing.cancel(now, slot, out);
        self.ladder.remove(slot, order.side, order.px, order.leaves());
        self.publish_level(order.side, order.px, out);
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

    /// Fees collected so far (base, quote), mantissas at 8 decimals; negative when rebates exceed fees. Balances of
    /// all accounts plus these never change in sum.
    pub fn fees_collected(&self) -> (i128, i128) {
        self.clearing.fees_collected()
    }

    /// Best bid and best ask, each with the level's total.
    pub fn best(&self) -> TopOfBook {
        (self.ladder.best(Side::Buy), self.ladder.best(Side::Sell))
    }

    /// The best `n` levels of a side, best first.
    pub fn levels(&self, side: Side, n: usize) -> Vec<(Px, Qty)> {
        self.ladder.levels(side, n)
    }

    /// Id of the last [`ExEvent::Level`]; 0 before the first.
    pub fn update_id(&self) -> u64 {
        self.update_id
    }

    /// The latest trade.
    pub fn last_trade(&self) -> Option<LastTrade> {
        self.clearing.last_trade()
    }

    /// What is traded, with its rules.
    pub fn instrument(&self) -> &Instrument {
        self.clearing.instrument()
    }

    /// Halts or resumes the instrument: while halted new orders are refused and cancels pass.
    pub fn set_trading(&mut self, trading: bool) {
        self.clearing.set_trading(trading);
    }

    /// Matches an accepted order against the book. Returns whether it stopped at an order of its own account.
    fn take(&mut self, now: Ts, taker: u32, order: &Submit, out: &mut Vec<ExEvent>) -> bool {
        let (account, side) = (self.clearing.orders.get(taker).account, order.side.opposite());
        while let Some((px, _)) = self.ladder.best(side).filter(|(px, _)| crosses(order, *px)) {
            let (mut traded, mut own) = (false, false);
            while let Some(maker) = self.ladder.front(side, px) {
                let leaves = self.clearing.orders.get(taker).leaves();
                let resting = self.clearing.orders.get(maker);
                own = resting.account == account;
                if own || leaves.0 == 0 {
                    break;
                }
                let qty = leaves.min(resting.leaves());
                self.clearing.trade(now, Some(taker), Some(maker), order.side, px, qty, out);
                self.ladder.reduce(side, px, qty);
                if self.clearing.orders.get(maker).state == OrderState::Filled {
                    self.ladder.remove(maker, side, px, Qty(0));
                }
                traded = true;
            }
            if traded {
                self.publish_level(side, px, out);
            }
            let done = self.clearing.orders.get(taker).leaves().0 == 0;
            if own || done {
                return own && !done;
            }
        }
        false
    }

    /// What a market buy would pay now: the book walked as [`Exchange::take`] walks it. `i128` cannot overflow:
    /// each resting order's value fits 64 bits.
    fn cost_of_market_buy(&self, account: AccountIx, qty: Qty) -> i128 {
        let (mut leaves, mut cost) = (qty, 0i128);
        for (px, slot) in self.ladder.asks_in_order() {
            let resting = self.clearing.orders.get(slot);
            if leaves.0 == 0 || resting.account == account {
                break;
            }
            let part = leaves.min(resting.leaves());
            cost += self.clearing.quote_amount(px, part);
            leaves.0 -= part.0;
        }
        cost
    }

    fn publish_level(&mut self, side: Side, px: Px, out: &mut Vec<ExEvent>) {
        self.update_id += 1;
        let qty_total = self.ladder.total(side, px);
        out.push(ExEvent::Level { update_id: self.update_id, side, px, qty_total });
    }
}

/// Whether an order may trade at `px` of the opposite side.
pub(crate) fn crosses(order: &Submit, px: Px) -> bool {
    match (order.kind, order.side) {
        (OrderKind::Market, _) => true,
        (_, Side::Buy) => order.px >= px,
        (_, Side::Sell) => order.px <= px,
    }
}
