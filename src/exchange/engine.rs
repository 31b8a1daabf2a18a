//! The matching engine: one book, price-time priority.

use crate::clearing::Clearing;
use crate::ladder::Ladder;
use crate::market::{Book, Market, Reach, Want};
use crate::order::crosses;
use crate::{
    AccountIx, ExEvent, ExReject, ExchangeConfig, ExchangeConfigError, ExpireReason, Stp, Submit, TopOfBook,
};
use wire::{OrderState, Px, Qty, Side, Ts};

/// An exchange for one instrument.
///
/// Orders match by price, then arrival; a trade happens at the resting order's price.
///
/// - **Balances** are locked on acceptance (base for a sell, quote at the limit price for a buy) and released as
///   the order fills, is cancelled or expires; a better price than the limit returns the difference. A market
///   buy is checked against the book's exact cost before it is accepted.
/// - **Self-trade**: when the next resting order in line is of the same account, the mode of the order that arrived
///   ([`Stp`]) says which of the two expires, or that they trade.
/// - **Market orders** are immediate-or-cancel for a quantity of base, or for an amount of quote. Their notional is
///   judged at the best opposite price.
/// - **Fill or kill** counts what it may take; with less than all of it, it expires untouched.
/// - **Stop orders** sleep outside the book, their funds locked (but for a stop market buy, which pays as it trades),
///   and wake when a trade reaches their price; see [`ExEvent`] for the order of things.
///
/// ```
/// # use corelane_exchange::*; use wire::*;
/// # let instrument = Instrument {
/// #     id: InstrumentId(0), venue: VenueId(0), symbol: "BTCUSDT".into(), base: "BTC".into(), quote: "USDT".into(),
/// #     base_id: AssetId(0), quote_id: AssetId(1), px_decimals: 2, qty_decimals: 5, quote_decimals: 8,
/// #     tick: Px(1), px_min: Px(0), px_max: Px(0), lot: Qty(1000), qty_min: Qty(0), qty_max: Qty(0),
/// #     notional_min: 0, open_orders_max: 0, market_qty: QtyRule::default(),
/// #     band_buy: PriceBand::default(), band_sell: PriceBand::default(), trading: true,
/// # };
/// let mut ex = Exchange::new(ExchangeConfig { instrument, fees: Fees { maker_ppm: 0, taker_ppm: 1_000 } })?;
/// let (maker, taker) = (ex.add_account(100_000_000, 0), ex.add_account(0, 60_000_00000000));
/// let order = |side, qty| Submit::limit(side, Px(60_000_00), qty);
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
pub type Exchange = Market<OpenBook>;

/// The book of an [`Exchange`].
#[derive(Clone, Debug, Default)]
pub struct OpenBook {
    ladder: Ladder,
    update_id: u64,
}

impl Market<OpenBook> {
    /// An empty exchange.
    ///
    /// # Errors
    /// A scale, bound or fee is out of range, or `tick × lot` has digits beyond the 8 decimals of amounts.
    pub fn new(config: ExchangeConfig) -> Result<Exchange, ExchangeConfigError> {
        Ok(Market::with(Clearing::new(config)?, OpenBook::default()))
    }

    /// The best `n` levels of a side, best first.
    pub fn levels(&self, side: Side, n: usize) -> Vec<(Px, Qty)> {
        self.book.ladder.levels(side, n)
    }

    /// Id of the last [`ExEvent::Level`]; 0 before the first.
    pub fn update_id(&self) -> u64 {
        self.book.update_id
    }
}

impl OpenBook {
    fn publish_level(&mut self, side: Side, px: Px, out: &mut Vec<ExEvent>) {
        self.update_id += 1;
        let qty_total = self.ladder.total(side, px);
        out.push(ExEvent::Level { update_id: self.update_id, side, px, qty_total });
    }
}

impl Book for OpenBook {
    const TRADES_ARE_THE_MARKETS: bool = true;

    fn best_opposite(&self, side: Side) -> Option<Px> {
        self.ladder.best(side.opposite()).map(|(px, _)| px)
    }

    fn last_px(&self, clearing: &Clearing) -> Option<Px> {
        clearing.last_trade().map(|trade| trade.px)
    }

    fn would_take(&self, _: &Clearing, _: AccountIx, order: &Submit) -> Option<Px> {
        self.best_opposite(order.side).filter(|best| crosses(order.kind, order.side, order.px, *best))
    }

    fn room(&self, side: Side, px: Px, qty: Qty) -> Result<(), ExReject> {
        let total = self.ladder.total(side, px);
        match total.0.checked_add(qty.0) {
            Some(_) => Ok(()),
            None => Err(ExReject::LevelFull { px, total, qty }),
        }
    }

    fn reach(&self, clearing: &Clearing, want: &Want) -> Reach {
        let mut reach = Reach::default();
        for (px, slot) in self.ladder.in_order(want.side.opposite()) {
            if !crosses(want.kind, want.side, want.px, px) {
                break;
            }
            let resting = clearing.orders.get(slot);
            match want.stp {
                Stp::ExpireMaker if resting.account == want.account => continue,
                Stp::ExpireTaker | Stp::ExpireBoth if resting.account == want.account => break,
                _ => {}
            }
            if reach.add(clearing, want.budget, px, resting.leaves()) {
                return reach;
            }
        }
        Reach { exhausted: true, ..reach }
    }

    fn take(&mut self, clearing: &mut Clearing, now: Ts, taker: u32, out: &mut Vec<ExEvent>) -> bool {
        let order = *clearing.orders.get(taker);
        let side = order.side.opposite();
        while let Some((px, _)) = self.ladder.best(side).filter(|(px, _)| order.crosses(*px)) {
            let (mut changed, mut expires) = (false, false);
            while let Some(maker) = self.ladder.front(side, px) {
                let leaves = clearing.orders.get(taker).leaves();
                if leaves.0 == 0 {
                    break;
                }
                let resting = *clearing.orders.get(maker);
                if resting.account == order.account && order.stp != Stp::None {
                    clearing.prevent(now, taker, maker, px, order.stp, out);
                    if order.stp != Stp::ExpireTaker {
                        self.ladder.remove(maker, side, px, resting.leaves());
                        clearing.expire(now, maker, ExpireReason::SelfTrade, out);
                        clearing.part(now, maker, out);
                        changed = true;
                    }
                    if order.stp != Stp::ExpireMaker {
                        expires = true;
                        break;
                    }
                    continue;
                }
                let qty = leaves.min(resting.leaves());
                clearing.trade(now, Some(taker), Some(maker), order.side, px, qty, out);
                self.ladder.reduce(side, px, qty);
                if clearing.orders.get(maker).state == OrderState::Filled {
                    self.ladder.remove(maker, side, px, Qty(0));
                }
                changed = true;
            }
            if changed {
                self.publish_level(side, px, out);
            }
            if expires || clearing.orders.get(taker).leaves().0 == 0 {
                return expires;
            }
        }
        false
    }

    fn rest(&mut self, clearing: &Clearing, slot: u32, out: &mut Vec<ExEvent>) {
        let order = clearing.orders.get(slot);
        self.ladder.push(slot, order.side, order.px, order.leaves());
        self.publish_level(order.side, order.px, out);
    }

    fn leave(&mut self, clearing: &Clearing, slot: u32, out: &mut Vec<ExEvent>) {
        let order = clearing.orders.get(slot);
        self.ladder.remove(slot, order.side, order.px, order.leaves());
        self.publish_level(order.side, order.px, out);
    }

    fn top(&self) -> TopOfBook {
        (self.ladder.best(Side::Buy), self.ladder.best(Side::Sell))
    }
}
