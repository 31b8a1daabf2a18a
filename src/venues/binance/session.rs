//! The order session: answers of the WebSocket API and the account stream on one connection.

use venue::{
    AccountAsset, CancelOrder, ClientOrderId, EncodeError, Fill, HalfDone, NewOrder, OpenOrder, OrderError,
    OrderEvent, OrderSession, QueryAnswer, QueryKind,
};
use wire::{Instrument, InstrumentId, Px, Qty, QueryStatus, Side, Ts};

use crate::codes::{code, is_fate_open, reject_reason};
use crate::executions::{self, Decoded, Holdings};
use crate::json::{self, JsonReader, Value};
use crate::limits;
use crate::names::Names;
use crate::orders::{Requests, TRADES_MAX, route};
use crate::place::SelfTrade;
use crate::sign::Credentials;
use crate::trades;

/// Most open orders of one list that are taken: five times the venue's usual `MAX_NUM_ORDERS`.
pub const OPEN_ORDERS_MAX: usize = 1_000;

/// One order connection. Every request is signed, so there is no logon; new orders wait only for the account
/// stream, because without it nobody would hear of their fills.
///
/// ```text
///   reset ──▶ Deaf ──(subscribe answered)──▶ Listening ──(stream ends, reset)──▶ Deaf
///             new orders: NotReady           new orders leave
///             cancels and queries leave      cancels and queries leave
/// ```
pub struct BinanceOrders {
    holdings: Holdings,
    requests: Requests,
    json: JsonReader,
    assets: Vec<AccountAsset>,
    open: Vec<OpenOrder>,
    trades: Vec<Fill>,
    listening: bool,
}

impl BinanceOrders {
    /// A session for these instruments. `assets` are the names of the account's assets by [`wire::AssetId`];
    /// it must name every asset that a fee may be paid in. Reserves about 4 MB, so that no message within the
    /// bounds allocates.
    pub fn new(instruments: Vec<Instrument>, assets: Vec<String>, credentials: Credentials) -> BinanceOrders {
        BinanceOrders {
            holdings: Holdings {
                symbols: Names::new(instruments.iter().map(|i| i.symbol.as_str())),
                instruments,
                assets: Names::new(assets.iter().map(String::as_str)),
            },
            requests: Requests::new(&credentials),
            // An order of a list has about 22 names with values: as many marks as 16 levels, and room to grow.
            json: JsonReader::warmed(OPEN_ORDERS_MAX * 20),
            assets: Vec::with_capacity(assets.len()),
            open: Vec::with_capacity(OPEN_ORDERS_MAX),
            trades: Vec::with_capacity(TRADES_MAX),
            listening: false,
        }
    }

    /// The same session that sends this self-trade prevention with every order; `None` = the account's own setting.
    pub fn with_self_trade(mut self, mode: Option<SelfTrade>) -> BinanceOrders {
        self.requests.set_self_trade(mode);
        self
    }

    /// Whether the account stream is on, that is, whether new orders may leave.
    pub fn is_listening(&self) -> bool {
        self.listening
    }
}

fn instrument(holdings: &Holdings, id: InstrumentId) -> Result<&Instrument, EncodeError> {
    holdings.instruments.iter().find(|i| i.id == id).ok_or(EncodeError::Instrument(id))
}

impl OrderSession for BinanceOrders {
    fn target(&self) -> String {
        "/ws-api/v3".to_owned()
    }

    fn weight(&self) -> u32 {
        self.requests.weight()
    }

    fn encode_time(&mut self, out: &mut Vec<u8>) {
        self.requests.time(out);
    }

    fn encode_subscribe(&mut self, now: Ts, out: &mut Vec<u8>) {
        match self.requests.wants_logon() {
            true => self.requests.logon(now, out),
            false => self.requests.subscribe(now, out),
        }
    }

    #[inline]
    fn encode_new(&mut self, order: &NewOrder, now: Ts, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !self.listening {
            return Err(EncodeError::NotReady);
        }
        let i = instrument(&self.holdings, order.instrument)?;
        self.requests.new_order(order, i, now, out);
        Ok(())
    }

    fn encode_replace(
        &mut self,
        old: &CancelOrder,
        order: &NewOrder,
        now: Ts,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if !self.listening {
            return Err(EncodeError::NotReady);
        }
        self.requests.replace(old, order, instrument(&self.holdings, order.instrument)?, now, out);
        Ok(())
    }

    fn encode_pair(
        &mut self,
        first: &NewOrder,
        second: &NewOrder,
        now: Ts,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if !self.listening {
            return Err(EncodeError::NotReady);
        }
        self.requests.pair(first, second, instrument(&self.holdings, first.instrument)?, now, out);
        Ok(())
    }

    fn encode_cancel(&mut self, cancel: &CancelOrder, now: Ts, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let i = instrument(&self.holdings, cancel.instrument)?;
        self.requests.cancel(cancel, i, now, out);
        Ok(())
    }

    fn encode_cancel_all(
        &mut self,
        instrument_id: InstrumentId,
        now: Ts,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.requests.cancel_all(instrument(&self.holdings, instrument_id)?, now, out);
        Ok(())
    }

    fn encode_query_order(
        &mut self,
        instrument_id: InstrumentId,
        id: ClientOrderId,
        now: Ts,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.requests.query_order(id, instrument(&self.holdings, instrument_id)?, now, out);
        Ok(())
    }

    fn encode_trades(
        &mut self,
        order: &CancelOrder,
        from: u64,
        now: Ts,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.requests.trades(order, from, instrument(&self.holdings, order.instrument)?, now, out);
        Ok(())
    }

    fn encode_query(
        &mut self,
        kind: QueryKind,
        instrument_id: InstrumentId,
        now: Ts,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let i = instrument(&self.holdings, instrument_id)?;
        match kind {
            QueryKind::OpenOrders => self.requests.open_orders(i, now, out),
            QueryKind::Account => self.requests.account(now, out),
        }
        Ok(())
    }

    fn on_message<S: FnMut(OrderEvent<'_>)>(
        &mut self,
        payload: &mut [u8],
        mut sink: S,
    ) -> Result<(), OrderError> {
        let BinanceOrders { holdings, requests, json, assets, open, trades, listening } = self;
        let mut lists = Lists { assets, open, trades };
        let (decoded, limits) = json
            .read(payload, |message| Ok((decode(message, holdings, &mut lists)?, limits::read(message))))?;
        if let Some(limits) = limits {
            sink(limits);
        }
        match decoded {
            Decoded::Plain(event) => {
                *listening |= event == OrderEvent::Subscribed;
                if event == OrderEvent::LoggedOn {
                    requests.set_logged_on(true);
                }
                sink(event);
            }
            Decoded::Refused { failed: first, event: second }
            | Decoded::Last { fill: first, end: second } => {
                sink(first);
                sink(second);
            }
            Decoded::Pair(orders) => {
                for (id, venue_order_id) in orders {
                    sink(OrderEvent::Acked { id, venue_order_id });
                }
            }
            Decoded::Trades { id, venue_order_id } => {
                let more = trades.len() >= TRADES_MAX;
                sink(OrderEvent::Trades { id, venue_order_id, trades, more });
            }
            Decoded::OpenOrders => sink(OrderEvent::OpenOrders(open)),
            Decoded::Account { full } => sink(OrderEvent::Account { assets, full }),
            Decoded::StreamEnded => {
                *listening = false;
                sink(OrderEvent::Shutdown);
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.listening = false;
        self.requests.set_logged_on(false);
    }
}

/// What comes as a list, decoded.
struct Lists<'a> {
    assets: &'a mut Vec<AccountAsset>,
    open: &'a mut Vec<OpenOrder>,
    trades: &'a mut Vec<Fill>,
}

fn decode(message: Value<'_, '_>, holdings: &Holdings, lists: &mut Lists<'_>) -> Result<Decoded, OrderError> {
    let [event, data, status, id, result, error] =
        json::pick(message, ["event", "data", "status", "id", "result", "error"])?;
    match (event.or(data), status) {
        (Some(event), _) => executions::decode(event, holdings, lists.assets),
        (None, Some(_)) => {
            let status = json::u64_of("status", status)?;
            if status == 200 && error.is_none() {
                accepted(id, result, holdings, lists)
            } else {
                let error = error.ok_or(OrderError::Field { field: "error" })?;
                let [code, words, data] = json::pick(error, ["code", "msg", "data"])?;
                let code = json::code_of(code)?;
                let failed = failed(status, code, words, data)?;
                refused(id, status, code, data).map(|event| Decoded::Refused { failed, event })
            }
        }
        (None, None) => executions::decode(message, holdings, lists.assets),
    }
}

/// A request's `id`, taken apart: its route and, for requests about one order, the order.
fn routed(id: &str) -> Result<(u8, Option<ClientOrderId>), OrderError> {
    match id.as_bytes() {
        [
            route @ (route::PLACE
            | route::REPLACE
            | route::PAIR
            | route::CANCEL
            | route::QUERY
            | route::TRADES),
            id @ ..,
        ] => {
            let id = ClientOrderId::parse(id).map_err(|_| OrderError::Field { field: "id" })?;
            Ok((*route, Some(id)))
        }
        [
            route @ (route::CANCEL_ALL
            | route::OPEN_ORDERS
            | route::ACCOUNT
            | route::SUBSCRIBE
            | route::TIME
            | route::LOGON),
        ] => Ok((*route, None)),
        _ => Err(OrderError::Field { field: "id" }),
    }
}

fn accepted(
    id: Option<Value<'_, '_>>,
    result: Option<Value<'_, '_>>,
    holdings: &Holdings,
    lists: &mut Lists<'_>,
) -> Result<Decoded, OrderError> {
    let result = result.ok_or(OrderError::Field { field: "result" });
    Ok(match routed(json::text_of("id", id)?)? {
        (route::PLACE, Some(id)) => {
            let [order_id] = json::pick(result?, ["orderId"])?;
            let venue_order_id = json::u64_of("orderId", order_id)?;
            Decoded::Plain(OrderEvent::Acked { id, venue_order_id })
        }
        (route::REPLACE, Some(id)) => {
            let [cancel, new] = json::pick(result?, ["cancelResult", "newOrderResult"])?;
            for (field, half) in [("cancelResult", cancel), ("newOrderResult", new)] {
                if json::text_of(field, half)? != "SUCCESS" {
                    return Err(OrderError::Field { field });
                }
            }
            let cancel = HalfDone::Done { venue_order_id: 0 };
            Decoded::Plain(OrderEvent::Replaced { id, cancel, new: new_half(result?)? })
        }
        (route::PAIR, Some(_)) => Decoded::Pair(pair(result?)?),
        (route::QUERY, Some(id)) => Decoded::Plain(OrderEvent::Query(answer(id, result?, holdings)?)),
        (route::TRADES, Some(id)) => {
            let venue_order_id = trades::decode(result?, holdings, lists.trades)?;
            Decoded::Trades { id, venue_order_id }
        }
        (route::CANCEL_ALL, _) => Decoded::Plain(OrderEvent::CancelAllDone { code: 0 }),
        (route::SUBSCRIBE, _) => Decoded::Plain(OrderEvent::Subscribed),
        (route::LOGON, _) => Decoded::Plain(OrderEvent::LoggedOn),
        (route::TIME, _) => {
            let [time] = json::pick(result?, ["serverTime"])?;
            let ms = json::u64_of("serverTime", time)?;
            let venue = Ts(ms.checked_mul(1_000_000).ok_or(OrderError::Field { field: "serverTime" })?);
            Decoded::Plain(OrderEvent::Time { venue })
        }
        (route::OPEN_ORDERS, _) => {
            open_orders(result?, holdings, lists.open)?;
            Decoded::OpenOrders
        }
        (route::ACCOUNT, _) => {
            let [list] = json::pick(result?, ["balances"])?;
            let list = list.and_then(Value::elements).ok_or(OrderError::Field { field: "balances" })?;
            executions::balances(list, ["asset", "free", "locked"], holdings, lists.assets)?;
            Decoded::Account { full: true }
        }
        // A cancel was accepted. That the order is gone, and what was filled before, comes on the account
        // stream, in order with its fills.
        _ => Decoded::Plain(OrderEvent::Control),
    })
}

/// The new order of a replacement that was placed.
fn new_half(result: Value<'_, '_>) -> Result<HalfDone, OrderError> {
    let field = "newOrderResponse";
    let [response] = json::pick(result, [field])?;
    let [order_id] = json::pick(response.ok_or(OrderError::Field { field })?, ["orderId"])?;
    Ok(HalfDone::Done { venue_order_id: json::u64_of("orderId", order_id)? })
}

/// Both orders of a pair that was taken.
fn pair(result: Value<'_, '_>) -> Result<[(ClientOrderId, u64); 2], OrderError> {
    let field = "orders";
    let [orders] = json::pick(result, [field])?;
    let mut list = orders.and_then(Value::elements).ok_or(OrderError::Field { field })?;
    let mut next = || {
        let [id, order_id] =
            json::pick(list.next().ok_or(OrderError::Field { field })?, ["clientOrderId", "orderId"])?;
        let id = ClientOrderId::parse(json::text_of("clientOrderId", id)?.as_bytes());
        let id = id.map_err(|_| OrderError::Field { field: "clientOrderId" })?;
        Ok((id, json::u64_of("orderId", order_id)?))
    };
    Ok([next()?, next()?])
}

/// A replacement of which not both halves were done: the error carries what became of each
/// (`web-socket-api.md`, "Cancel and replace order").
fn half_replaced(
    id: ClientOrderId,
    status: u64,
    code: i32,
    data: Option<Value<'_, '_>>,
) -> Result<OrderEvent<'static>, OrderError> {
    let whole =
        if is_fate_open(status, code) { HalfDone::Unknown { code } } else { HalfDone::Refused { code } };
    let Some(data) = data.filter(|_| matches!(code, code::REPLACE_PARTLY | code::REPLACE_FAILED)) else {
        return Ok(OrderEvent::Replaced { id, cancel: whole, new: whole });
    };
    let [cancel, new, cancel_said, new_said] =
        json::pick(data, ["cancelResult", "newOrderResult", "cancelResponse", "newOrderResponse"])?;
    let half = |field, result: Option<Value<'_, '_>>, said: Option<Value<'_, '_>>| {
        Ok(match json::text_of(field, result)? {
            "SUCCESS" => HalfDone::Done { venue_order_id: 0 },
            "FAILURE" => {
                let [of] = json::pick(said.ok_or(OrderError::Field { field })?, ["code"])?;
                let code = json::code_of(of)?;
                match is_fate_open(400, code) {
                    true => HalfDone::Unknown { code },
                    false => HalfDone::Refused { code },
                }
            }
            "NOT_ATTEMPTED" => HalfDone::Refused { code },
            _ => return Err(OrderError::Field { field }),
        })
    };
    let cancel = half("cancelResult", cancel, cancel_said)?;
    let new = match half("newOrderResult", new, new_said)? {
        HalfDone::Done { .. } => new_half(data)?,
        half => half,
    };
    Ok(OrderEvent::Replaced { id, cancel, new })
}

/// What an error means. Of a replacement it is the half that failed that says why.
fn failed(
    status: u64,
    code: i32,
    words: Option<Value<'_, '_>>,
    data: Option<Value<'_, '_>>,
) -> Result<OrderEvent<'static>, OrderError> {
    let (mut code, mut words, mut retry_at) = (code, words.and_then(Value::text).unwrap_or(""), None);
    if let Some(data) = data.filter(|d| !d.is_null()) {
        let [until, new, cancel] = json::pick(data, ["retryAfter", "newOrderResponse", "cancelResponse"])?;
        retry_at = until.and_then(Value::u64).and_then(|ms| ms.checked_mul(1_000_000)).map(Ts);
        for half in [new, cancel].into_iter().flatten().filter(|half| !half.is_null()) {
            if let [Some(of), said] = json::pick(half, ["code", "msg"])? {
                (code, words) = (json::code_of(Some(of))?, said.and_then(Value::text).unwrap_or(""));
                break;
            }
        }
    }
    Ok(OrderEvent::Failed { code, reason: reject_reason(status, code, words), retry_at })
}

fn refused(
    id: Option<Value<'_, '_>>,
    status: u64,
    code: i32,
    data: Option<Value<'_, '_>>,
) -> Result<OrderEvent<'static>, OrderError> {
    // The venue could not read the request, or closes the session: `"id": null`.
    let Some(id) = id.filter(|id| !id.is_null()) else {
        return Ok(OrderEvent::Refused { code });
    };
    Ok(match routed(json::text_of("id", Some(id))?)? {
        // A question that failed tells nothing about its order.
        (route::TRADES, _) => OrderEvent::Refused { code },
        (route::REPLACE, Some(id)) => half_replaced(id, status, code, data)?,
        (route::PAIR, Some(id)) => OrderEvent::PairNotTaken {
            id,
            why: match is_fate_open(status, code) {
                true => HalfDone::Unknown { code },
                false => HalfDone::Refused { code },
            },
        },
        (_, Some(id)) if is_fate_open(status, code) => OrderEvent::Unknown { id, code },
        (route::PLACE, Some(id)) => OrderEvent::Rejected { id, code },
        (route::CANCEL, Some(id)) => OrderEvent::CancelRejected { id, code },
        (route::QUERY, Some(id)) if code == code::NO_SUCH_ORDER => {
            let (status, cum_qty) = (QueryStatus::NotFound, Qty(0));
            OrderEvent::Query(QueryAnswer { id, status, venue_order_id: 0, cum_qty })
        }
        // Ended over 90 days ago without any execution.
        (route::QUERY, Some(id)) if code == code::ORDER_ARCHIVED => {
            let (status, cum_qty) = (QueryStatus::Ended, Qty(0));
            OrderEvent::Query(QueryAnswer { id, status, venue_order_id: 0, cum_qty })
        }
        (route::CANCEL_ALL, _) => OrderEvent::CancelAllDone { code },
        _ => OrderEvent::Refused { code },
    })
}

fn answer(id: ClientOrderId, result: Value<'_, '_>, holdings: &Holdings) -> Result<QueryAnswer, OrderError> {
    let [symbol, order_id, status, executed] =
        json::pick(result, ["symbol", "orderId", "status", "executedQty"])?;
    let i = holdings.instrument(json::text_of("symbol", symbol)?)?;
    Ok(QueryAnswer {
        id,
        status: match json::text_of("status", status)? {
            "NEW" | "PENDING_NEW" | "PARTIALLY_FILLED" | "PENDING_CANCEL" => QueryStatus::Open,
            "FILLED" => QueryStatus::Filled,
            "CANCELED" => QueryStatus::Cancelled,
            "REJECTED" | "EXPIRED" | "EXPIRED_IN_MATCH" => QueryStatus::Ended,
            _ => return Err(OrderError::Field { field: "status" }),
        },
        venue_order_id: json::u64_of("orderId", order_id)?,
        cum_qty: Qty(json::number_of("executedQty", executed, i.qty_decimals)?),
    })
}

fn open_orders(
    list: Value<'_, '_>,
    holdings: &Holdings,
    open: &mut Vec<OpenOrder>,
) -> Result<(), OrderError> {
    open.clear();
    let list = list.elements().ok_or(OrderError::Field { field: "result" })?;
    if list.len() > OPEN_ORDERS_MAX {
        return Err(OrderError::TooManyLevels { levels: list.len(), max: OPEN_ORDERS_MAX });
    }
    for entry in list {
        let [symbol, id, order_id, side, px, qty, executed] = json::pick(
            entry,
            ["symbol", "clientOrderId", "orderId", "side", "price", "origQty", "executedQty"],
        )?;
        let i = holdings.instrument(json::text_of("symbol", symbol)?)?;
        open.push(OpenOrder {
            instrument: i.id,
            id: ClientOrderId::parse(json::text_of("clientOrderId", id)?.as_bytes()).ok(),
            venue_order_id: json::u64_of("orderId", order_id)?,
            side: match json::text_of("side", side)? {
                "BUY" => Side::Buy,
                "SELL" => Side::Sell,
                _ => return Err(OrderError::Field { field: "side" }),
            },
            px: Px(json::number_of("price", px, i.px_decimals)?),
            qty: Qty(json::number_of("origQty", qty, i.qty_decimals)?),
            cum_qty: Qty(json::number_of("executedQty", executed, i.qty_decimals)?),
        });
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
