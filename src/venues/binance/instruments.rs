//! `exchangeInfo`: symbols, scales, filters and rate limits (`rest-api.md` and `filters.md`, read 2026-07-21).

use venue::FeedError;
use wire::{AssetId, Instrument, InstrumentId, POW10, PriceBand, Px, Qty, QtyRule, VenueId};

use crate::json::{self, JsonReader, Value};

/// Decimals of every price, quantity and balance: the venue's maximum, so that a later change of tick or lot
/// never needs another scale.
pub const DECIMALS: u8 = 8;

/// Why `exchangeInfo` was refused. Nothing of it is used then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InstrumentError {
    /// Not JSON, or a field of the wrong shape.
    #[error("exchangeInfo: {0}")]
    Json(#[from] FeedError),
    /// A wanted symbol is not listed.
    #[error("exchangeInfo lists no symbol {symbol}")]
    NotListed {
        /// The symbol.
        symbol: String,
    },
    /// A symbol lacks a filter without which its orders cannot be checked.
    #[error("symbol {symbol} has no filter {filter}")]
    NoFilter {
        /// The symbol.
        symbol: String,
        /// The filter.
        filter: &'static str,
    },
    /// A field of a symbol broke its rule.
    #[error("symbol {symbol}: {error}")]
    Symbol {
        /// The symbol.
        symbol: String,
        /// Which field, which rule.
        error: FeedError,
    },
    /// More instruments or assets than their numbers can count.
    #[error("instrument {first} + {count} or its assets do not fit their number's range")]
    TooMany {
        /// First instrument number.
        first: u32,
        /// Symbols wanted.
        count: usize,
    },
}

/// What a rate limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateLimitKind {
    /// Weight of requests, per IP.
    RequestWeight,
    /// Unfilled orders, per account.
    Orders,
    /// Requests, per IP.
    RawRequests,
    /// Connection attempts, per IP.
    Connections,
}

/// One rate limit: at most `limit` in every interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// What is counted.
    pub kind: RateLimitKind,
    /// Length of the interval, seconds.
    pub interval_s: u64,
    /// Most in one interval.
    pub limit: u64,
}

/// What `exchangeInfo` says of the wanted symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeInfo {
    /// One per wanted symbol, in the order wanted, numbered on from the first number given.
    pub instruments: Vec<Instrument>,
    /// The limits of address and account. Kinds that this crate does not know are left out.
    pub rate_limits: Vec<RateLimit>,
}

/// Target of the `exchangeInfo` request for these symbols (weight 20).
pub fn exchange_info_target(symbols: &[&str]) -> String {
    let quoted: Vec<String> = symbols.iter().map(|s| format!("%22{s}%22")).collect();
    format!("/api/v3/exchangeInfo?symbols=%5B{}%5D", quoted.join(","))
}

/// Reads the body of `exchangeInfo` in place. Asset numbers run from 0 in order of first use: base, then quote,
/// of each wanted symbol (see [`asset_names`]). Housekeeping only; allocates.
///
/// # Errors
/// [`InstrumentError`] names symbol, field and rule; also a wanted symbol that is missing or lacks its price or
/// lot filter.
pub fn parse_exchange_info_full(
    body: &mut [u8],
    venue: VenueId,
    symbols: &[&str],
    first_instrument_id: InstrumentId,
) -> Result<ExchangeInfo, InstrumentError> {
    let mut reader = JsonReader::once(body.len());
    // The walk answers in two layers: what the JSON layer refuses, and what the listing lacks.
    reader.read(body, |root| {
        let [limits, listed, code] = json::pick(root, ["rateLimits", "symbols", "code"])?;
        if code.is_some() {
            return Err(FeedError::Venue { code: json::code_of(code)? });
        }
        let rate_limits = rate_limits(limits)?;
        let listed = listed.and_then(Value::elements).ok_or(FeedError::Field { field: "symbols" })?;
        let mut found: Vec<Option<Value<'_, '_>>> = vec![None; symbols.len()];
        for entry in listed {
            let [symbol] = json::pick(entry, ["symbol"])?;
            let symbol = json::text_of("symbol", symbol)?;
            for (slot, _) in found.iter_mut().zip(symbols).filter(|(_, wanted)| **wanted == symbol) {
                *slot = Some(entry);
            }
        }
        Ok(instruments(&found, venue, symbols, first_instrument_id)
            .map(|instruments| ExchangeInfo { instruments, rate_limits }))
    })?
}

/// [`parse_exchange_info_full`] without the rate limits.
///
/// # Errors
/// As there.
pub fn parse_exchange_info(
    body: &mut [u8],
    venue: VenueId,
    symbols: &[&str],
    first_instrument_id: InstrumentId,
) -> Result<Vec<Instrument>, InstrumentError> {
    parse_exchange_info_full(body, venue, symbols, first_instrument_id).map(|info| info.instruments)
}

/// Names of the assets of these instruments by asset number; a number that none of them uses has no name.
pub fn asset_names(instruments: &[Instrument]) -> Vec<String> {
    let mut names = Vec::new();
    for i in instruments {
        for (id, name) in [(i.base_id, &i.base), (i.quote_id, &i.quote)] {
            let at = id.0 as usize;
            if names.len() <= at {
                names.resize(at + 1, String::new());
            }
            names[at].clone_from(name);
        }
    }
    names
}

fn instruments(
    found: &[Option<Value<'_, '_>>],
    venue: VenueId,
    symbols: &[&str],
    first: InstrumentId,
) -> Result<Vec<Instrument>, InstrumentError> {
    let too_many = || InstrumentError::TooMany { first: first.0, count: symbols.len() };
    let mut assets: Vec<String> = Vec::new();
    let mut instruments = Vec::with_capacity(symbols.len());
    for ((index, symbol), entry) in (0u32..).zip(symbols).zip(found) {
        let entry = entry.ok_or_else(|| InstrumentError::NotListed { symbol: (*symbol).to_owned() })?;
        let named = |error| InstrumentError::Symbol { symbol: (*symbol).to_owned(), error };
        let [status, base, quote, filters] =
            json::pick(entry, ["status", "baseAsset", "quoteAsset", "filters"]).map_err(named)?;
        let base = json::text_of("baseAsset", base).map_err(named)?;
        let quote = json::text_of("quoteAsset", quote).map_err(named)?;
        let status = json::text_of("status", status).map_err(named)?;
        let rules = filter_rules(filters).map_err(named)?;
        let [px_min, px_max, tick] = rules.price.ok_or_else(|| InstrumentError::NoFilter {
            symbol: (*symbol).to_owned(),
            filter: "PRICE_FILTER",
        })?;
        let [qty_min, qty_max, lot] = rules
            .lot
            .ok_or_else(|| InstrumentError::NoFilter { symbol: (*symbol).to_owned(), filter: "LOT_SIZE" })?;
        instruments.push(Instrument {
            id: InstrumentId(first.0.checked_add(index).ok_or_else(too_many)?),
            venue,
            symbol: (*symbol).to_owned(),
            base: base.to_owned(),
            quote: quote.to_owned(),
            base_id: asset_id(&mut assets, base).ok_or_else(too_many)?,
            quote_id: asset_id(&mut assets, quote).ok_or_else(too_many)?,
            px_decimals: DECIMALS,
            qty_decimals: DECIMALS,
            quote_decimals: DECIMALS,
            tick: Px(tick),
            px_min: Px(px_min),
            px_max: Px(px_max),
            lot: Qty(lot),
            qty_min: Qty(qty_min),
            qty_max: Qty(qty_max),
            notional_min: rules.notional_min,
            open_orders_max: rules.open_orders_max,
            market_qty: rules.market_qty,
            band_buy: rules.band_buy,
            band_sell: rules.band_sell,
            trading: status == "TRADING",
        });
    }
    Ok(instruments)
}

fn asset_id(assets: &mut Vec<String>, name: &str) -> Option<AssetId> {
    let at = assets.iter().position(|known| known == name).unwrap_or_else(|| {
        assets.push(name.to_owned());
        assets.len() - 1
    });
    u16::try_from(at).ok().map(AssetId)
}

/// The filters of one symbol that the engine checks before sending.
#[derive(Default)]
struct FilterRules {
    /// Lowest, highest, step.
    price: Option<[i64; 3]>,
    /// Smallest, largest, step.
    lot: Option<[i64; 3]>,
    /// Mantissa at twice [`DECIMALS`].
    notional_min: i128,
    open_orders_max: u32,
    market_qty: QtyRule,
    band_buy: PriceBand,
    band_sell: PriceBand,
}

fn filter_rules(filters: Option<Value<'_, '_>>) -> Result<FilterRules, FeedError> {
    let filters = filters.and_then(Value::elements).ok_or(FeedError::Field { field: "filters" })?;
    let mut rules = FilterRules::default();
    for filter in filters {
        let [kind] = json::pick(filter, ["filterType"])?;
        match json::text_of("filterType", kind)? {
            "PRICE_FILTER" => rules.price = Some(numbers(filter, ["minPrice", "maxPrice", "tickSize"])?),
            "LOT_SIZE" => rules.lot = Some(numbers(filter, ["minQty", "maxQty", "stepSize"])?),
            // NOTIONAL took the place of MIN_NOTIONAL; where both stand, the stricter one binds.
            "NOTIONAL" | "MIN_NOTIONAL" => {
                let [min] = numbers(filter, ["minNotional"])?;
                let min = min as i128 * POW10[DECIMALS as usize] as i128;
                rules.notional_min = rules.notional_min.max(min);
            }
            "MAX_NUM_ORDERS" => {
                let [max] = json::pick(filter, ["maxNumOrders"])?;
                let max = json::u64_of("maxNumOrders", max)?;
                rules.open_orders_max = u32::try_from(max).unwrap_or(u32::MAX);
            }
            "MARKET_LOT_SIZE" => {
                let [min, max, step] = numbers(filter, ["minQty", "maxQty", "stepSize"])?;
                rules.market_qty = QtyRule { min: Qty(min), max: Qty(max), step: Qty(step) };
            }
            "PERCENT_PRICE" => {
                let [up, down] = numbers(filter, ["multiplierUp", "multiplierDown"])?;
                (rules.band_buy, rules.band_sell) = (PriceBand { down, up }, PriceBand { down, up });
            }
            "PERCENT_PRICE_BY_SIDE" => {
                let names = ["bidMultiplierUp", "bidMultiplierDown", "askMultiplierUp", "askMultiplierDown"];
                let [buy_up, buy_down, sell_up, sell_down] = numbers(filter, names)?;
                rules.band_buy = PriceBand { down: buy_down, up: buy_up };
                rules.band_sell = PriceBand { down: sell_down, up: sell_up };
            }
            _ => {}
        }
    }
    Ok(rules)
}

fn numbers<const N: usize>(filter: Value<'_, '_>, names: [&'static str; N]) -> Result<[i64; N], FeedError> {
    let found = json::pick(filter, names)?;
    let mut values = [0; N];
    for ((value, name), found) in values.iter_mut().zip(names).zip(found) {
        *value = json::number_of(name, found, DECIMALS)?;
    }
    Ok(values)
}

fn rate_limits(limits: Option<Value<'_, '_>>) -> Result<Vec<RateLimit>, FeedError> {
    let limits = limits.and_then(Value::elements).ok_or(FeedError::Field { field: "rateLimits" })?;
    let mut known = Vec::with_capacity(limits.len());
    for entry in limits {
        let [kind, interval, num, limit] =
            json::pick(entry, ["rateLimitType", "interval", "intervalNum", "limit"])?;
        let kind = match json::text_of("rateLimitType", kind)? {
            "REQUEST_WEIGHT" => RateLimitKind::RequestWeight,
            "ORDERS" => RateLimitKind::Orders,
            "RAW_REQUESTS" => RateLimitKind::RawRequests,
            "CONNECTIONS" => RateLimitKind::Connections,
            _ => continue,
        };
        let unit_s = match json::text_of("interval", interval)? {
            "SECOND" => 1,
            "MINUTE" => 60,
            "HOUR" => 3_600,
            "DAY" => 86_400,
            _ => return Err(FeedError::Field { field: "interval" }),
        };
        let num = json::u64_of("intervalNum", num)?;
        let interval_s = num.checked_mul(unit_s).filter(|s| *s > 0).ok_or(FeedError::Range {
            field: "intervalNum",
            value: num,
            rule: "one interval or more, in 64 bits of seconds",
        })?;
        known.push(RateLimit { kind, interval_s, limit: json::u64_of("limit", limit)? });
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(status: &str, filters: &str) -> Vec<u8> {
        format!(
            r#"{{"timezone":"UTC","rateLimits":[
                {{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":100}},
                {{"rateLimitType":"NEW_KIND","interval":"FORTNIGHT","intervalNum":1,"limit":1}},
                {{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000}}],
              "symbols":[{{"symbol":"ETHBTC"}},
                {{"symbol":"BTCUSDT","status":"{status}","baseAsset":"BTC","quoteAsset":"USDT","filters":[{filters}]}}]}}"#
        )
        .into_bytes()
    }

    const PRICE: &str = r#"{"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00","tickSize":"0.01000000"}"#;
    const LOT: &str =
        r#"{"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"}"#;

    fn parse(status: &str, filters: &str) -> Result<ExchangeInfo, InstrumentError> {
        parse_exchange_info_full(&mut body(status, filters), VenueId(3), &["BTCUSDT"], InstrumentId(7))
    }

    #[test]
    fn reads_scales_filters_and_limits() {
        let filters = format!(
            r#"{PRICE},{LOT},{{"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true}},
               {{"filterType":"MAX_NUM_ORDERS","maxNumOrders":200}},{{"filterType":"NEW_FILTER"}},
               {{"filterType":"MARKET_LOT_SIZE","minQty":"0","maxQty":"98.5","stepSize":"0.00000000"}},
               {{"filterType":"PERCENT_PRICE_BY_SIDE","bidMultiplierUp":"5","bidMultiplierDown":"0.2",
                 "askMultiplierUp":"4","askMultiplierDown":"0.25","avgPriceMins":5}}"#
        );
        let info = parse("TRADING", &filters).expect("valid");
        let [i] = &info.instruments[..] else { panic!("one wanted") };
        assert_eq!(
            (i.id, i.venue, i.base_id, i.quote_id),
            (InstrumentId(7), VenueId(3), AssetId(0), AssetId(1))
        );
        assert_eq!((i.tick, i.px_min, i.px_max), (Px(1_000_000), Px(1_000_000), Px(100_000_000_000_000)));
        assert_eq!((i.lot, i.qty_min, i.qty_max), (Qty(1_000), Qty(1_000), Qty(900_000_000_000)));
        assert_eq!((i.notional_min, i.notional_decimals()), (5 * 10i128.pow(16), 16));
        assert_eq!((i.open_orders_max, i.trading), (200, true));
        assert_eq!(i.market_qty, QtyRule { min: Qty(0), max: Qty(9_850_000_000), step: Qty(0) });
        assert_eq!(i.band_buy, PriceBand { down: 20_000_000, up: 500_000_000 });
        assert_eq!(i.band_sell, PriceBand { down: 25_000_000, up: 400_000_000 });
        assert_eq!(asset_names(&info.instruments), ["BTC", "USDT"]);
        assert_eq!(
            info.rate_limits,
            [
                RateLimit { kind: RateLimitKind::Orders, interval_s: 10, limit: 100 },
                RateLimit { kind: RateLimitKind::RequestWeight, interval_s: 60, limit: 6000 }
            ]
        );
        let halted = parse("BREAK", &filters).expect("valid");
        assert!(!halted.instruments[0].trading);
    }

    #[test]
    fn the_stricter_notional_filter_binds() {
        let filters = format!(
            r#"{PRICE},{LOT},{{"filterType":"MIN_NOTIONAL","minNotional":"10.0"}},
               {{"filterType":"NOTIONAL","minNotional":"5.0"}}"#
        );
        assert_eq!(parse("TRADING", &filters).expect("valid").instruments[0].notional_min, 10i128.pow(17));
    }

    #[test]
    fn names_what_is_missing_or_too_fine() {
        let symbol = || "BTCUSDT".to_owned();
        assert_eq!(
            parse("TRADING", LOT),
            Err(InstrumentError::NoFilter { symbol: symbol(), filter: "PRICE_FILTER" })
        );
        assert_eq!(
            parse("TRADING", PRICE),
            Err(InstrumentError::NoFilter { symbol: symbol(), filter: "LOT_SIZE" })
        );
        let fine = PRICE.replace(r#"tickSize":"0.01000000"#, r#"tickSize":"0.000000001"#);
        let error = FeedError::Number {
            field: "tickSize",
            error: wire::DecimalError::Precision { decimals: DECIMALS },
        };
        assert_eq!(
            parse("TRADING", &format!("{fine},{LOT}")),
            Err(InstrumentError::Symbol { symbol: symbol(), error })
        );
        let missing =
            parse_exchange_info(&mut body("TRADING", ""), VenueId(0), &["DOGEUSDT"], InstrumentId(0));
        assert_eq!(missing, Err(InstrumentError::NotListed { symbol: "DOGEUSDT".into() }));
        let refused = parse_exchange_info(
            &mut br#"{"code":-1121,"msg":"Invalid symbol."}"#.to_vec(),
            VenueId(0),
            &["X"],
            InstrumentId(0),
        );
        assert_eq!(refused, Err(InstrumentError::Json(FeedError::Venue { code: -1121 })));
    }

    #[test]
    fn the_target_asks_for_the_wanted_symbols_only() {
        assert_eq!(
            exchange_info_target(&["BTCUSDT", "ETHBTC"]),
            "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22,%22ETHBTC%22%5D"
        );
    }
}
