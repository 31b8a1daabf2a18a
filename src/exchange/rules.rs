//! The instrument's rules: filters, and the exact scales of amounts.

use crate::ledger::Amounts;
use crate::{AMOUNT_DECIMALS, ExReject, ExchangeConfigError, FilterName, FilterRule, OrderKind, Submit};
use wire::{DECIMALS_MAX, Decimal, Instrument, PriceBand, Px, Qty, Side};

/// Largest fee or rebate: all of what is received.
pub const FEE_PPM_MAX: i64 = 1_000_000;

/// Fees in parts per million of the asset received (base for the buyer, quote for the seller), truncated toward
/// zero at 8 decimals. Negative = rebate. Within ±[`FEE_PPM_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fees {
    /// Of the order that rested.
    pub maker_ppm: i64,
    /// Of the order that arrived.
    pub taker_ppm: i64,
}

/// Rules of one account beyond the instrument's own; a rule of zero is not checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Largest price × quantity of an order with a price, mantissa at `px_decimals + qty_decimals`.
    pub notional_max: i128,
    /// Most orders that wait for a trigger.
    pub algo_orders_max: u32,
    /// Most base that the account may come to hold: what it has, with every open buy and the new one, mantissa at
    /// [`AMOUNT_DECIMALS`].
    pub position_max: i128,
}

/// What an account has open and what the market is at, as far as rules ask.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) open_orders: usize,
    pub(crate) algo_orders: usize,
    /// Base held and to be bought by open orders.
    pub(crate) position: i128,
    pub(crate) last_px: Option<Px>,
}

/// What an exchange is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeConfig {
    /// What is traded and its rules; a rule of zero is not checked.
    pub instrument: Instrument,
    /// Fees of every account.
    pub fees: Fees,
}

/// A checked configuration: every price on the tick and quantity on the lot gives exact amounts.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    instrument: Instrument,
    fees: Fees,
    base: Scale,
    quote: Scale,
}

/// From a mantissa to an amount at [`AMOUNT_DECIMALS`]: one of the two factors is 1.
#[derive(Clone, Copy, Debug)]
struct Scale {
    up: i128,
    down: i128,
}

impl Scale {
    /// From mantissas at `decimals` (0..=36).
    fn from_decimals(decimals: u8) -> Scale {
        let pow = |n: u8| 10i128.pow(n as u32);
        Scale {
            up: pow(AMOUNT_DECIMALS.saturating_sub(decimals)),
            down: pow(decimals.saturating_sub(AMOUNT_DECIMALS)),
        }
    }

    fn is_exact(self, mantissa: i128) -> bool {
        mantissa % self.down == 0
    }

    /// Exact when the mantissa is a multiple of an exact step. `None` when it does not fit.
    fn apply(self, mantissa: i128) -> Option<i128> {
        mantissa.checked_mul(self.up).map(|m| m / self.down)
    }

    /// [`Scale::apply`] where it must also fit the 64 bits of a reported amount.
    fn apply_i64(self, mantissa: i128) -> Option<i128> {
        self.apply(mantissa).filter(|a| i64::try_from(*a).is_ok())
    }
}

impl Rules {
    pub(crate) fn new(config: ExchangeConfig) -> Result<Rules, ExchangeConfigError> {
        let ExchangeConfig { instrument: i, fees } = config;
        for (field, value) in [("px_decimals", i.px_decimals), ("qty_decimals", i.qty_decimals)] {
            if value > DECIMALS_MAX {
                return Err(ExchangeConfigError::Decimals { field, value, max: DECIMALS_MAX });
            }
        }
        for (field, value) in [
            ("tick", i.tick.0 as i128),
            ("px_min", i.px_min.0 as i128),
            ("px_max", i.px_max.0 as i128),
            ("lot", i.lot.0 as i128),
            ("qty_min", i.qty_min.0 as i128),
            ("qty_max", i.qty_max.0 as i128),
            ("notional_min", i.notional_min),
            ("market_qty.min", i.market_qty.min.0 as i128),
            ("market_qty.max", i.market_qty.max.0 as i128),
            ("market_qty.step", i.market_qty.step.0 as i128),
            ("band_buy.up", i.band_buy.up as i128),
            ("band_buy.down", i.band_buy.down as i128),
            ("band_sell.up", i.band_sell.up as i128),
            ("band_sell.down", i.band_sell.down as i128),
        ] {
            if value < 0 {
                return Err(ExchangeConfigError::Negative { field, value });
            }
        }
        for (field, min, max) in [("px_min", i.px_min.0, i.px_max.0), ("qty_min", i.qty_min.0, i.qty_max.0)] {
            if max != 0 && min > max {
                return Err(ExchangeConfigError::Bounds { field, min, max });
            }
        }
        for (field, value) in [("maker_ppm", fees.maker_ppm), ("taker_ppm", fees.taker_ppm)] {
            if !(-FEE_PPM_MAX..=FEE_PPM_MAX).contains(&value) {
                return Err(ExchangeConfigError::Fee { field, value, max: FEE_PPM_MAX });
            }
        }
        let (base, quote) =
            (Scale::from_decimals(i.qty_decimals), Scale::from_decimals(i.notional_decimals()));
        let (tick, lot) = (i.tick.0.max(1) as i128, i.lot.0.max(1) as i128);
        for (field, step, scale, decimals) in
            [("lot", lot, base, i.qty_decimals), ("tick * lot", tick * lot, quote, i.notional_decimals())]
        {
            if !scale.is_exact(step) {
                let value = Decimal { mantissa: step, decimals };
                return Err(ExchangeConfigError::Inexact { field, value, decimals: AMOUNT_DECIMALS });
            }
        }
        Ok(Rules { instrument: i, fees, base, quote })
    }

    pub(crate) fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    pub(crate) fn fees(&self) -> Fees {
        self.fees
    }

    pub(crate) fn set_trading(&mut self, trading: bool) {
        self.instrument.trading = trading;
    }

    /// Filters, in the order of their reporting: trading, price, quantity, notional, open orders, position.
    ///
    /// `best_opposite` prices a market order's notional; with the opposite side empty that is not judged.
    pub(crate) fn judge(
        &self,
        order: &Submit,
        best_opposite: Option<Px>,
        standing: &Standing,
        filters: &Filters,
    ) -> Result<(), ExReject> {
        let i = &self.instrument;
        if !i.trading {
            return Err(ExReject::NotTrading);
        }
        let sleeps = order.trigger.is_some();
        if (sleeps && (order.kind == OrderKind::LimitMaker || order.quote.is_some()))
            || (order.quote.is_some() && order.kind != OrderKind::Market)
        {
            return Err(ExReject::Composition);
        }
        let bounds = (i.px_min.0, i.px_max.0, i.tick.0);
        if let Some(trigger) = order.trigger {
            in_bounds(FilterName::PriceFilter, trigger.px.0, bounds, i.px_decimals)?;
        }
        let px = match order.kind {
            OrderKind::Market if sleeps => order.trigger.map(|t| t.px),
            OrderKind::Market => best_opposite,
            OrderKind::Limit | OrderKind::LimitMaker => {
                in_bounds(FilterName::PriceFilter, order.px.0, bounds, i.px_decimals)?;
                Some(order.px)
            }
        };
        if order.kind != OrderKind::Market
            && let Some(last) = standing.last_px
        {
            let band = if order.side == Side::Buy { i.band_buy } else { i.band_sell };
            self.within(band, order.px, last)?;
        }
        match order.quote {
            Some(quote) => {
                self.judge_quote(quote)?;
                if order.qty.0 > 0 {
                    self.judge_qty(order.kind, order.qty)?;
                }
            }
            None => {
                self.judge_qty(order.kind, order.qty)?;
                self.judge_notional(order, px, filters)?;
            }
        }
        let count = |n: usize| Decimal { mantissa: n as i128, decimals: 0 };
        if order.may_rest() || sleeps {
            let most = i.open_orders_max as usize;
            if most != 0 && standing.open_orders >= most {
                let value = count(standing.open_orders + 1);
                return Err(filter(FilterName::MaxNumOrders, value, FilterRule::AtMost, count(most)));
            }
        }
        let most = filters.algo_orders_max as usize;
        if sleeps && most != 0 && standing.algo_orders >= most {
            let value = count(standing.algo_orders + 1);
            return Err(filter(FilterName::MaxNumAlgoOrders, value, FilterRule::AtMost, count(most)));
        }
        if order.side == Side::Buy && filters.position_max != 0 {
            let amount = |mantissa| Decimal { mantissa, decimals: AMOUNT_DECIMALS };
            let after = standing.position.saturating_add(self.base_amount(order.qty));
            if after > filters.position_max {
                let bound = amount(filters.position_max);
                return Err(filter(FilterName::MaxPosition, amount(after), FilterRule::AtMost, bound));
            }
        }
        Ok(())
    }

    /// Quantity bounds, and those of market orders.
    pub(crate) fn judge_qty(&self, kind: OrderKind, qty: Qty) -> Result<(), ExReject> {
        let i = &self.instrument;
        in_bounds(FilterName::LotSize, qty.0, (i.qty_min.0, i.qty_max.0, i.lot.0), i.qty_decimals)?;
        if kind == OrderKind::Market {
            let bounds = (i.market_qty.min.0, i.market_qty.max.0, i.market_qty.step.0);
            in_bounds(FilterName::MarketLotSize, qty.0, bounds, i.qty_decimals)?;
        }
        if self.base.apply_i64(qty.0 as i128).is_none() {
            let value = Decimal { mantissa: qty.0 as i128, decimals: i.qty_decimals };
            return Err(too_large(FilterName::LotSize, value));
        }
        Ok(())
    }

    fn judge_notional(&self, order: &Submit, px: Option<Px>, filters: &Filters) -> Result<(), ExReject> {
        let i = &self.instrument;
        let Some(px) = px else { return Ok(()) };
        let value =
            Decimal { mantissa: Instrument::notional(px, order.qty), decimals: i.notional_decimals() };
        if value.mantissa < i.notional_min {
            let bound = Decimal { mantissa: i.notional_min, ..value };
            return Err(filter(FilterName::Notional, value, FilterRule::AtLeast, bound));
        }
        if order.kind == OrderKind::Market {
            return Ok(());
        }
        if self.quote_amount(px, order.qty).is_none() {
            return Err(too_large(FilterName::Notional, value));
        }
        if filters.notional_max != 0 && value.mantissa > filters.notional_max {
            let bound = Decimal { mantissa: filters.notional_max, ..value };
            return Err(filter(FilterName::Notional, value, FilterRule::AtMost, bound));
        }
        Ok(())
    }

    /// An amount of quote to spend or to get, against the smallest notional.
    fn judge_quote(&self, quote: i128) -> Result<(), ExReject> {
        let amount = |mantissa| Decimal { mantissa, decimals: AMOUNT_DECIMALS };
        let least = self.quote.apply(self.instrument.notional_min).unwrap_or(i128::MAX).max(1);
        if quote < least {
            let (value, bound) = (amount(quote), amount(least));
            return Err(filter(FilterName::Notional, value, FilterRule::AtLeast, bound));
        }
        match i64::try_from(quote) {
            Ok(_) => Ok(()),
            Err(_) => Err(too_large(FilterName::Notional, amount(quote))),
        }
    }

    /// A price against the last traded one.
    fn within(&self, band: PriceBand, px: Px, last: Px) -> Result<(), ExReject> {
        let (scaled, last) = (px.0 as i128 * PriceBand::ONE as i128, last.0 as i128);
        let number = |mantissa: i128| Decimal { mantissa, decimals: self.instrument.px_decimals };
        for (factor, rule) in [(band.up, FilterRule::AtMost), (band.down, FilterRule::AtLeast)] {
            let bound = last * factor as i128;
            let broken = if rule == FilterRule::AtMost { scaled > bound } else { scaled < bound };
            if factor != 0 && broken {
                let bound = number(bound / PriceBand::ONE as i128);
                return Err(filter(FilterName::PercentPriceBySide, number(px.0 as i128), rule, bound));
            }
        }
        Ok(())
    }

    /// The most that `amount` of quote is worth in whole lots at `px`.
    pub(crate) fn qty_for(&self, px: Px, amount: i128) -> Qty {
        let mantissa = amount.max(0).saturating_mul(self.quote.down) / self.quote.up;
        let qty = i64::try_from(mantissa / px.0.max(1) as i128).unwrap_or(i64::MAX);
        self.floor_to_lot(Qty(qty))
    }

    /// Amount of base in `qty`, at 8 decimals. Exact for a multiple of the lot; an order that passed
    /// [`Rules::judge`] fits.
    pub(crate) fn base_amount(&self, qty: Qty) -> i128 {
        self.base.apply(qty.0 as i128).unwrap_or(i128::MAX)
    }

    /// Amount of quote in `px × qty`, at 8 decimals. Exact for multiples of tick and lot; `None` when it does not
    /// fit the 64 bits of a reported amount.
    pub(crate) fn quote_amount(&self, px: Px, qty: Qty) -> Option<i128> {
        self.quote.apply_i64(Instrument::notional(px, qty))
    }

    /// What `qty` of a resting or limit order holds locked: base for a sell, quote at its own price for a buy. A
    /// market buy locks nothing: it is paid as it trades.
    pub(crate) fn lock(&self, side: Side, kind: OrderKind, px: Px, qty: Qty) -> Amounts {
        match (side, kind) {
            (Side::Sell, _) => Amounts { base: self.base_amount(qty), quote: 0 },
            (Side::Buy, OrderKind::Market) => Amounts::default(),
            (Side::Buy, _) => Amounts { base: 0, quote: self.quote_amount(px, qty).unwrap_or(i128::MAX) },
        }
    }

    /// Whether trades at `px` are exact.
    pub(crate) fn is_on_tick(&self, px: Px) -> bool {
        px.0 > 0 && px.0 % self.instrument.tick.0.max(1) == 0
    }

    /// The largest tradable quantity not above `qty`.
    pub(crate) fn floor_to_lot(&self, qty: Qty) -> Qty {
        Qty(qty.0 - qty.0 % self.instrument.lot.0.max(1))
    }
}

/// Fee on an amount received, truncated toward zero. `amount` fits 64 bits and `ppm` is within
/// ±[`FEE_PPM_MAX`], so the fee fits 64 bits too.
pub(crate) fn fee(amount: i128, ppm: i64) -> i64 {
    (amount * ppm as i128 / FEE_PPM_MAX as i128) as i64
}

/// Positive, at least `min`, at most `max`, a multiple of `step`; a bound of zero is not checked.
fn in_bounds(
    name: FilterName,
    value: i64,
    (min, max, step): (i64, i64, i64),
    decimals: u8,
) -> Result<(), ExReject> {
    let broken = if value < min.max(1) {
        Some((FilterRule::AtLeast, min.max(1)))
    } else if max != 0 && value > max {
        Some((FilterRule::AtMost, max))
    } else if step != 0 && value % step != 0 {
        Some((FilterRule::MultipleOf, step))
    } else {
        None
    };
    let number = |n: i64| Decimal { mantissa: n as i128, decimals };
    broken.map_or(Ok(()), |(rule, bound)| Err(filter(name, number(value), rule, number(bound))))
}

fn too_large(name: FilterName, value: Decimal) -> ExReject {
    let bound = Decimal { mantissa: i64::MAX as i128, decimals: AMOUNT_DECIMALS };
    filter(name, value, FilterRule::AtMost, bound)
}

fn filter(name: FilterName, value: Decimal, rule: FilterRule, bound: Decimal) -> ExReject {
    ExReject::Filter { name, value, rule, bound }
}
