//! The one listed instrument: its names, its scales, and how the venue writes numbers and times about it.

use super::config::SimError;
use super::rates::Rates;
use super::reject::Reject;
use exchange::Filters;
use rust_decimal::Decimal;
use std::fmt;
use std::io::Write;
use wire::{Instrument, Px, Qty, QtyRule, Ts};

/// Decimals of every number the venue writes.
const TEXT_DECIMALS: u8 = 8;

/// The instrument as the venue speaks of it.
pub(super) struct Listing {
    pub(super) instrument: Instrument,
    /// `btcusdt@depth@100ms`
    pub(super) depth_fast: String,
    /// `btcusdt@depth`
    pub(super) depth_slow: String,
    /// `btcusdt@bookTicker`
    pub(super) top: String,
    /// `btcusdt@trade`
    pub(super) trade: String,
}

/// A mantissa at 8 decimals, printed with all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct D8(pub(super) i128);

impl fmt::Display for D8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, abs) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}.{:08}", abs / 100_000_000, abs % 100_000_000)
    }
}

/// In which unit a connection wants its times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    #[default]
    Milli,
    Micro,
}

impl Unit {
    pub(super) fn of(self, ts: Ts) -> u64 {
        match self {
            Unit::Milli => ts.0 / 1_000_000,
            Unit::Micro => ts.0 / 1_000,
        }
    }
}

impl Listing {
    pub(super) fn new(instrument: Instrument) -> Result<Listing, SimError> {
        for (field, decimals) in
            [("px_decimals", instrument.px_decimals), ("qty_decimals", instrument.qty_decimals)]
        {
            if decimals > TEXT_DECIMALS {
                return Err(SimError::config(field, decimals, "the venue writes at most 8"));
            }
        }
        if instrument.symbol.is_empty() || !instrument.symbol.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(SimError::config("symbol", &instrument.symbol, "must be letters and digits"));
        }
        for (field, asset) in [("base", &instrument.base), ("quote", &instrument.quote)] {
            if asset.is_empty() || !asset.bytes().all(|b| b.is_ascii_alphanumeric()) {
                return Err(SimError::config(field, asset, "must be letters and digits"));
            }
        }
        let name = instrument.symbol.to_lowercase();
        Ok(Listing {
            depth_fast: format!("{name}@depth@100ms"),
            depth_slow: format!("{name}@depth"),
            top: format!("{name}@bookTicker"),
            trade: format!("{name}@trade"),
            instrument,
        })
    }

    pub(super) fn symbol(&self) -> &str {
        &self.instrument.symbol
    }

    /// A price as the venue writes it.
    pub(super) fn px8(&self, px: Px) -> D8 {
        D8(px.0 as i128 * 10i128.pow((TEXT_DECIMALS - self.instrument.px_decimals) as u32))
    }

    /// A quantity as the venue writes it.
    pub(super) fn qty8(&self, qty: Qty) -> D8 {
        D8(qty.0 as i128 * 10i128.pow((TEXT_DECIMALS - self.instrument.qty_decimals) as u32))
    }

    /// Price × quantity as the venue writes it, cut to 8 decimals.
    pub(super) fn value8(&self, px: Px, qty: Qty) -> D8 {
        let (value, decimals) = (Instrument::notional(px, qty), self.instrument.notional_decimals());
        D8(match decimals.checked_sub(TEXT_DECIMALS) {
            Some(beyond) => value / 10i128.pow(beyond as u32),
            None => value.saturating_mul(10i128.pow((TEXT_DECIMALS - decimals) as u32)),
        })
    }

    /// A price from a request; one that the scale cannot carry is off every tick.
    pub(super) fn px(&self, value: Decimal) -> Result<Px, Reject> {
        let px = mantissa(value, self.instrument.px_decimals).map(Px);
        px.ok_or_else(|| Reject::filter("PRICE_FILTER"))
    }

    /// A quantity from a request; one that the scale cannot carry is off every lot.
    pub(super) fn qty(&self, value: Decimal) -> Result<Qty, Reject> {
        let qty = mantissa(value, self.instrument.qty_decimals).map(Qty);
        qty.ok_or_else(|| Reject::filter("LOT_SIZE"))
    }

    /// Appends the `exchangeInfo` object.
    pub(super) fn put_info(&self, out: &mut Vec<u8>, rates: &Rates, now: Ts, unit: Unit) {
        let i = &self.instrument;
        let status = if i.trading { "TRADING" } else { "BREAK" };
        let _ = write!(out, r#"{{"timezone":"UTC","serverTime":{},"rateLimits":"#, unit.of(now));
        rates.put_limits(out);
        let _ = write!(
            out,
            concat!(
                r#","exchangeFilters":[],"symbols":[{{"symbol":"{symbol}","status":"{status}","baseAsset":"{base}","#,
                r#""baseAssetPrecision":8,"quoteAsset":"{quote}","quotePrecision":8,"quoteAssetPrecision":8,"#,
                r#""baseCommissionPrecision":8,"quoteCommissionPrecision":8,"#,
                r#""orderTypes":["LIMIT","LIMIT_MAKER","MARKET","STOP_LOSS","STOP_LOSS_LIMIT","TAKE_PROFIT","#,
                r#""TAKE_PROFIT_LIMIT"],"icebergAllowed":false,"ocoAllowed":true,"#,
                r#""otoAllowed":false,"opoAllowed":false,"quoteOrderQtyMarketAllowed":true,"#,
                r#""allowTrailingStop":false,"cancelReplaceAllowed":true,"amendAllowed":false,"#,
                r#""pegInstructionsAllowed":false,"isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"#,
                r#""filters":[{{"filterType":"PRICE_FILTER","minPrice":"{px_min}","maxPrice":"{px_max}","#,
                r#""tickSize":"{tick}"}},{{"filterType":"LOT_SIZE","minQty":"{qty_min}","maxQty":"{qty_max}","#,
                r#""stepSize":"{lot}"}},{{"filterType":"NOTIONAL","minNotional":"{notional_min}","#,
                r#""applyMinToMarket":true,"maxNotional":"{notional_max}","applyMaxToMarket":false,"#,
                r#""avgPriceMins":0}},{{"filterType":"MAX_NUM_ORDERS","maxNumOrders":{open_orders_max}}}"#
            ),
            symbol = i.symbol,
            status = status,
            base = i.base,
            quote = i.quote,
            px_min = self.px8(i.px_min),
            px_max = self.px8(i.px_max),
            tick = self.px8(i.tick),
            qty_min = self.qty8(i.qty_min),
            qty_max = self.qty8(i.qty_max),
            lot = self.qty8(i.lot),
            notional_min = self.notional8(i.notional_min),
            notional_max = self.notional_max8(&rates.limits().filters),
            open_orders_max = i.open_orders_max,
        );
        self.put_filters(out, &rates.limits().filters);
        out.extend_from_slice(
            concat!(
                r#"],"permissions":[],"permissionSets":[["SPOT"]],"defaultSelfTradePreventionMode":"EXPIRE_TAKER","#,
                r#""allowedSelfTradePreventionModes":["NONE","EXPIRE_TAKER","EXPIRE_MAKER","EXPIRE_BOTH"]}]}"#
            )
            .as_bytes(),
        );
    }

    /// Appends the filters that are set of those that need not be.
    fn put_filters(&self, out: &mut Vec<u8>, f: &Filters) {
        let i = &self.instrument;
        if i.market_qty != QtyRule::default() {
            let _ = write!(
                out,
                r#",{{"filterType":"MARKET_LOT_SIZE","minQty":"{}","maxQty":"{}","stepSize":"{}"}}"#,
                self.qty8(i.market_qty.min),
                self.qty8(i.market_qty.max),
                self.qty8(i.market_qty.step)
            );
        }
        if (i.band_buy, i.band_sell) != Default::default() {
            let factor = |mantissa: i64| D8(mantissa as i128);
            let _ = write!(
                out,
                concat!(
                    r#",{{"filterType":"PERCENT_PRICE_BY_SIDE","bidMultiplierUp":"{}","bidMultiplierDown":"{}","#,
                    r#""askMultiplierUp":"{}","askMultiplierDown":"{}","avgPriceMins":0}}"#
                ),
                factor(i.band_buy.up),
                factor(i.band_buy.down),
                factor(i.band_sell.up),
                factor(i.band_sell.down)
            );
        }
        if f.algo_orders_max != 0 {
            let max = f.algo_orders_max;
            let _ = write!(out, r#",{{"filterType":"MAX_NUM_ALGO_ORDERS","maxNumAlgoOrders":{max}}}"#);
        }
        if f.position_max != 0 {
            let max = D8(f.position_max);
            let _ = write!(out, r#",{{"filterType":"MAX_POSITION","maxPosition":"{max}"}}"#);
        }
    }

    /// The largest notional; the matching engine counts amounts in 64 bits at 8 decimals.
    fn notional_max8(&self, filters: &Filters) -> D8 {
        if filters.notional_max == 0 { D8(i64::MAX as i128) } else { self.notional8(filters.notional_max) }
    }

    /// A notional as the venue writes it.
    fn notional8(&self, mantissa: i128) -> D8 {
        let decimals = self.instrument.notional_decimals();
        D8(match decimals.checked_sub(TEXT_DECIMALS) {
            Some(beyond) => mantissa / 10i128.pow(beyond as u32),
            None => mantissa.saturating_mul(10i128.pow((TEXT_DECIMALS - decimals) as u32)),
        })
    }
}

/// The exact mantissa of a non-negative value at `decimals`, `None` when there is none.
fn mantissa(value: Decimal, decimals: u8) -> Option<i64> {
    let value = value.normalize();
    let up = (decimals as u32).checked_sub(value.scale())?;
    i64::try_from(value.mantissa().checked_mul(10i128.checked_pow(up)?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn decimals_become_mantissas_exactly_or_not_at_all() {
        let d = |s: &str| Decimal::from_str(s).expect("decimal");
        assert_eq!(mantissa(d("1.50"), 1), Some(15));
        assert_eq!(mantissa(d("1.55"), 1), None);
        assert_eq!(mantissa(d("100"), 2), Some(10_000));
        assert_eq!(mantissa(d("99999999999999999999"), 8), None);
    }

    #[test]
    fn numbers_have_eight_decimals() {
        assert_eq!(D8(6_173_763_000_000).to_string(), "61737.63000000");
        assert_eq!(D8(-5).to_string(), "-0.00000005");
        assert_eq!(D8(0).to_string(), "0.00000000");
    }
}
