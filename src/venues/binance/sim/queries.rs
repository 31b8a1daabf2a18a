//! What the account may ask: orders, trades, balances.

use super::BinanceSim;
use super::cancel::Ids;
use super::listing::{D8, Unit};
use super::order::{Order, OrderFill};
use super::params::Params;
use super::reject::Reject;
use std::io::Write;
use wire::Ts;

/// Rows of a history when no number is asked for, and at most.
const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: u64 = 1_000;
/// Longest time span of a history, ms.
const SPAN_MAX_MS: u64 = 86_400_000;
/// A time from here on is in µs, below it in ms.
const MICROS_FROM: u64 = 100_000_000_000_000;

/// Which part of a history is meant.
struct Span {
    from: Option<u64>,
    start: Option<Ts>,
    end: Option<Ts>,
    limit: usize,
}

impl Span {
    /// Reads `startTime`, `endTime`, `limit` and the id to begin at.
    fn read(params: &mut Params, from: &str) -> Result<Span, Reject> {
        let from = params.integer(from)?;
        let mut time = |name| -> Result<Option<Ts>, Reject> {
            let scale =
                |t: u64| if t >= MICROS_FROM { Ts(t * 1_000) } else { Ts(t.saturating_mul(1_000_000)) };
            Ok(params.integer(name)?.map(scale))
        };
        let (start, end) = (time("startTime")?, time("endTime")?);
        if let (Some(start), Some(end)) = (start, end)
            && end.since_ns(start) > SPAN_MAX_MS * 1_000_000
        {
            return Err(Reject::SPAN);
        }
        let limit = match params.integer("limit")? {
            Some(limit @ 1..=LIMIT_MAX) => limit as usize,
            Some(0) => return Err(Reject::invalid("limit")),
            Some(_) => LIMIT_MAX as usize,
            None => LIMIT_DEFAULT,
        };
        Ok(Span { from, start, end, limit })
    }

    fn has_time(&self) -> bool {
        self.start.is_some() || self.end.is_some()
    }

    fn holds(&self, at: Ts) -> bool {
        // Times are asked for in ms, so that a whole ms belongs to its end.
        self.start.is_none_or(|start| at >= start) && self.end.is_none_or(|end| at.as_ms() <= end.as_ms())
    }

    /// The rows asked for of those that match, oldest first: the oldest after a beginning, else the latest.
    fn cut<T>(&self, mut rows: Vec<T>) -> Vec<T> {
        if self.start.is_some() || self.from.is_some() {
            rows.truncate(self.limit);
        } else {
            rows.drain(..rows.len().saturating_sub(self.limit));
        }
        rows
    }
}

impl BinanceSim {
    /// `order.status`.
    pub(super) fn order_status(&mut self, params: &mut Params, unit: Unit) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        let ids = Ids::read(params, "orderId", "origClientOrderId")?;
        let ix = self.find_order(&ids, Reject::NO_SUCH_ORDER)?;
        params.all_read()?;
        let mut result = Vec::with_capacity(512);
        if let Some(order) = self.orders.get(ix) {
            order.put_status(&mut result, &self.listing, unit);
        }
        Ok(result)
    }

    /// `openOrders.status`.
    pub(super) fn open_orders_status(&mut self, params: &mut Params, unit: Unit) -> Result<Vec<u8>, Reject> {
        if params.peek("symbol").is_some() {
            self.need_symbol(params)?;
        }
        params.all_read()?;
        let open = self.open_ixs().into_iter().filter_map(|ix| self.orders.get(ix));
        Ok(rows(open, |order, out| order.put_status(out, &self.listing, unit)))
    }

    /// `allOrders`: by time of the last change, or from an order's number on, or the latest.
    pub(super) fn all_orders(&mut self, params: &mut Params, unit: Unit) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        let span = Span::read(params, "orderId")?;
        params.all_read()?;
        let wanted = |o: &&Order| match span.has_time() {
            true => span.holds(o.changed),
            false => span.from.is_none_or(|from| o.id >= from),
        };
        let orders = span.cut(self.orders.all().iter().filter(wanted).collect());
        Ok(rows(orders, |order, out| order.put_status(out, &self.listing, unit)))
    }

    /// `myTrades`: of an order, by time, from a trade's number on, or the latest.
    pub(super) fn my_trades(&mut self, params: &mut Params, unit: Unit) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        let order_id = params.integer("orderId")?;
        let span = Span::read(params, "fromId")?;
        params.all_read()?;
        if span.has_time() && (span.from.is_some() || order_id.is_some()) {
            return Err(Reject::COMBINATION);
        }
        let of_order = |o: &&Order| order_id.is_none_or(|id| o.id == id);
        let mut trades: Vec<(&Order, &OrderFill)> = (self.orders.all().iter().filter(of_order))
            .flat_map(|o| o.fills.iter().map(move |fill| (o, fill)))
            .filter(|(_, fill)| span.holds(fill.ts) && span.from.is_none_or(|from| fill.trade_id >= from))
            .collect();
        trades.sort_by_key(|(order, fill)| (fill.trade_id, order.id));
        Ok(rows(span.cut(trades), |(order, fill), out| order.put_trade(out, &self.listing, fill, unit)))
    }

    /// `myPreventedMatches`: by its own number, or of an order.
    pub(super) fn my_prevented(&mut self, params: &mut Params, unit: Unit) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        let (id, order_id) = (params.integer("preventedMatchId")?, params.integer("orderId")?);
        let span = Span::read(params, "fromPreventedMatchId")?;
        params.all_read()?;
        if id.is_none() && order_id.is_none() {
            return Err(Reject::either("preventedMatchId", "orderId"));
        }
        let taken = self.orders.all().iter().flat_map(|o| o.prevented.iter().filter(|p| p.taker == o.id));
        let found = taken.filter(|p| {
            id.is_none_or(|id| p.id == id)
                && order_id.is_none_or(|order| p.taker == order || p.maker == order)
                && span.from.is_none_or(|from| p.id >= from)
        });
        Ok(rows(span.cut(found.collect()), |prevented, out| prevented.put(out, &self.listing, unit)))
    }

    /// `account.rateLimits.orders`.
    pub(super) fn order_counts(&mut self, params: &mut Params, now: Ts) -> Result<Vec<u8>, Reject> {
        params.all_read()?;
        let mut result = Vec::with_capacity(256);
        self.rates.put_orders_used(&mut result, now);
        Ok(result)
    }

    /// `account.status`.
    pub(super) fn account_status(&mut self, params: &mut Params, unit: Unit) -> Result<Vec<u8>, Reject> {
        let omit_zero = match params.take("omitZeroBalances") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Reject::invalid("omitZeroBalances")),
        };
        params.all_read()?;
        let rate = |ppm: i64| (ppm / 100, D8(ppm as i128 * 100));
        let ((maker_bp, maker), (taker_bp, taker)) = (rate(self.fees.maker_ppm), rate(self.fees.taker_ppm));
        let mut result = Vec::with_capacity(640);
        let _ = write!(
            result,
            concat!(
                r#"{{"makerCommission":{},"takerCommission":{},"buyerCommission":0,"sellerCommission":0,"#,
                r#""canTrade":true,"canWithdraw":false,"canDeposit":false,"commissionRates":{{"maker":"{}","#,
                r#""taker":"{}","buyer":"0.00000000","seller":"0.00000000"}},"brokered":false,"#,
                r#""requireSelfTradePrevention":false,"preventSor":false,"updateTime":{},"accountType":"SPOT","#,
                r#""balances":["#
            ),
            maker_bp,
            taker_bp,
            maker,
            taker,
            unit.of(self.account_changed_at)
        );
        let mut comma = "";
        for (asset, free, locked) in self.assets() {
            if !omit_zero || free.0 != 0 || locked.0 != 0 {
                let _ = write!(result, r#"{comma}{{"asset":"{asset}","free":"{free}","locked":"{locked}"}}"#);
                comma = ",";
            }
        }
        let _ = write!(result, r#"],"permissions":["SPOT"],"uid":1}}"#);
        Ok(result)
    }

    /// The one symbol that is listed.
    pub(super) fn need_symbol(&self, params: &mut Params) -> Result<(), Reject> {
        if params.need("symbol")? == self.listing.symbol() { Ok(()) } else { Err(Reject::SYMBOL) }
    }

    /// What the account holds: asset, free, locked.
    pub(super) fn assets(&self) -> [(&str, D8, D8); 2] {
        let held = self.market.balances(self.account);
        let instrument = &self.listing.instrument;
        [
            (&instrument.base, D8(held.base_free), D8(held.base_locked)),
            (&instrument.quote, D8(held.quote_free), D8(held.quote_locked)),
        ]
    }

    /// Indices of the account's open orders, oldest first.
    pub(super) fn open_ixs(&self) -> Vec<usize> {
        self.market.open_orders(self.account).iter().map(|o| o.token as usize).collect()
    }
}

/// A JSON array of what `put` appends for each item.
pub(super) fn rows<T>(items: impl IntoIterator<Item = T>, put: impl Fn(T, &mut Vec<u8>)) -> Vec<u8> {
    let mut result = vec![b'['];
    for item in items {
        if result.len() > 1 {
            result.push(b',');
        }
        put(item, &mut result);
    }
    result.push(b']');
    result
}
