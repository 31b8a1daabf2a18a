//! Requests of the WebSocket API, written and signed (`web-socket-api.md`, read 2026-07-21).
//!
//! A signature covers every parameter as `name=value`, sorted by name and joined with `&`. Each request is
//! therefore written twice side by side: as JSON into the caller's buffer, as payload into one of ours, both in
//! the sorted order and from the same values. Both buffers are reused.
//!
//! | request | method | `id` |
//! |---|---|---|
//! | new order | `order.place` | `p` + client order id |
//! | replacement | `order.cancelReplace` | `r` + client order id of the new order |
//! | pair | `orderList.place.oco` | `l` + client order id of the first |
//! | cancel | `order.cancel` | `c` + client order id |
//! | query of one order | `order.status` | `q` + client order id |
//! | executions of one order | `myTrades` | `t` + client order id |
//! | cancel all | `openOrders.cancelAll` | `a` |
//! | open orders | `openOrders.status` | `o` |
//! | balances | `account.status` | `b` |
//! | the venue's time | `time` | `n` |
//! | logon (Ed25519) | `session.logon` | `g` |
//! | account stream | `userDataStream.subscribe.signature`, logged on `userDataStream.subscribe` | `s` |
//!
//! So an answer finds its order without a table, over a reconnect too.

use venue::{CancelOrder, ClientOrderId, NewOrder};
use wire::{Instrument, Ts, write_decimal};

use crate::place::{self, SelfTrade};
use crate::sign::{Credentials, Signer};

/// What a request's `id` begins with.
pub(crate) mod route {
    pub(crate) const PLACE: u8 = b'p';
    pub(crate) const REPLACE: u8 = b'r';
    pub(crate) const PAIR: u8 = b'l';
    pub(crate) const CANCEL: u8 = b'c';
    pub(crate) const QUERY: u8 = b'q';
    pub(crate) const TRADES: u8 = b't';
    pub(crate) const CANCEL_ALL: u8 = b'a';
    pub(crate) const OPEN_ORDERS: u8 = b'o';
    pub(crate) const ACCOUNT: u8 = b'b';
    pub(crate) const SUBSCRIBE: u8 = b's';
    pub(crate) const TIME: u8 = b'n';
    pub(crate) const LOGON: u8 = b'g';
}

/// Longest request; the buffers are made for it.
const REQUEST_LEN_MAX: usize = 1024;

// The venue takes ids of up to 36 characters; the route is one of them.
const _: () = assert!(ClientOrderId::LEN < 36);

/// Writes requests.
pub(crate) struct Requests {
    signer: Signer,
    /// For payloads that do not begin with the key.
    whole: Signer,
    key: String,
    /// The connection vouches for us: requests carry neither key nor signature.
    logged_on: bool,
    /// Of the request written last.
    weight: u32,
    /// What goes with every order; `None` = the account's own setting.
    self_trade: Option<SelfTrade>,
    /// `","params":{"apiKey":"<key>"`: what follows the method in every request.
    params: Vec<u8>,
    /// The payload behind `apiKey=<key>`.
    payload: Vec<u8>,
}

/// One request under way: the JSON and the payload, kept in step.
pub(crate) struct Draft<'a> {
    pub(crate) json: &'a mut Vec<u8>,
    pub(crate) payload: &'a mut Vec<u8>,
}

impl Draft<'_> {
    /// What stands around values: the same names in both notations.
    #[inline]
    pub(crate) fn names(&mut self, json: &str, payload: &str) {
        self.json.extend_from_slice(json.as_bytes());
        self.payload.extend_from_slice(payload.as_bytes());
    }

    #[inline]
    pub(crate) fn value(&mut self, text: &[u8]) {
        self.json.extend_from_slice(text);
        self.payload.extend_from_slice(text);
    }

    /// A decimal without trailing zeros: `52000`, `0.01`.
    #[inline]
    pub(crate) fn decimal(&mut self, mantissa: i64, decimals: u8) {
        let start = self.payload.len();
        write_decimal(mantissa, decimals, self.payload);
        if decimals > 0 {
            let digits = self.payload.iter().rposition(|b| *b != b'0').unwrap_or(start);
            self.payload.truncate(if self.payload[digits] == b'.' { digits } else { digits + 1 });
        }
        self.json.extend_from_slice(&self.payload[start..]);
    }

    #[inline]
    pub(crate) fn integer(&mut self, value: u64) {
        // Ids and times are below 2^63: the venue's own type for them is a signed 64-bit integer.
        self.decimal(value.min(i64::MAX as u64) as i64, 0);
    }

    pub(crate) fn timestamp(&mut self, now: Ts) {
        self.names(r#","timestamp":"#, "&timestamp=");
        self.integer(now.as_ms());
    }
}

impl Requests {
    pub(crate) fn new(credentials: &Credentials) -> Requests {
        let key = credentials.key();
        Requests {
            signer: Signer::new(credentials, format!("apiKey={key}").as_bytes()),
            whole: Signer::new(credentials, b""),
            key: key.to_owned(),
            logged_on: false,
            weight: 0,
            self_trade: None,
            params: format!(r#"","params":{{"apiKey":"{key}""#).into_bytes(),
            payload: Vec::with_capacity(REQUEST_LEN_MAX),
        }
    }

    /// Sends this self-trade prevention with every order.
    pub(crate) fn set_self_trade(&mut self, mode: Option<SelfTrade>) {
        self.self_trade = mode;
    }

    /// Writes a whole request: head, the parameters that `rest` adds behind `apiKey` in sorted order, signature.
    #[inline]
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        route: u8,
        id: &[u8],
        method: &str,
        rest: impl FnOnce(&mut Draft<'_>),
    ) {
        self.begin(out, route, id, method);
        if self.logged_on {
            return self.write_bare(out, rest);
        }
        out.extend_from_slice(&self.params);
        rest(&mut Draft { json: out, payload: &mut self.payload });
        self.sign(out, false);
    }

    /// The parameters alone, on a connection that has logged on.
    fn write_bare(&mut self, out: &mut Vec<u8>, rest: impl FnOnce(&mut Draft<'_>)) {
        out.extend_from_slice(br#"","params":{"#);
        let first = out.len();
        rest(&mut Draft { json: out, payload: &mut self.payload });
        if out.get(first) == Some(&b',') {
            out.remove(first);
        }
        out.extend_from_slice(b"}}");
    }

    /// Closes a request with the signature of its payload: the whole payload, or what follows the key.
    #[inline]
    fn sign(&mut self, out: &mut Vec<u8>, whole: bool) {
        out.extend_from_slice(br#","signature":""#);
        if whole { &mut self.whole } else { &mut self.signer }.sign(&self.payload, out);
        out.extend_from_slice(br#""}}"#);
    }

    /// Weight of the request written last.
    pub(crate) fn weight(&self) -> u32 {
        self.weight
    }

    /// Whether the connection has to log on before it may do anything else.
    pub(crate) fn wants_logon(&self) -> bool {
        self.signer.is_slow() && !self.logged_on
    }

    /// The connection has logged on, or is a new one that has not.
    pub(crate) fn set_logged_on(&mut self, logged_on: bool) {
        self.logged_on = logged_on;
    }

    pub(crate) fn logon(&mut self, now: Ts, out: &mut Vec<u8>) {
        self.write(out, route::LOGON, b"", "session.logon", |d| {
            d.names(r#","recvWindow":"#, "&recvWindow=");
            d.value(RECV_WINDOW.as_bytes());
            d.timestamp(now);
        });
    }

    pub(crate) fn time(&mut self, out: &mut Vec<u8>) {
        self.weight = weight(route::TIME);
        out.clear();
        out.extend_from_slice(br#"{"id":"n","method":"time"}"#);
    }

    #[inline]
    fn begin(&mut self, out: &mut Vec<u8>, route: u8, id: &[u8], method: &str) {
        self.weight = weight(route);
        out.clear();
        out.reserve(REQUEST_LEN_MAX);
        self.payload.clear();
        out.extend_from_slice(br#"{"id":""#);
        out.push(route);
        out.extend_from_slice(id);
        out.extend_from_slice(br#"","method":""#);
        out.extend_from_slice(method.as_bytes());
    }

    pub(crate) fn subscribe(&mut self, now: Ts, out: &mut Vec<u8>) {
        if self.logged_on {
            self.begin(out, route::SUBSCRIBE, b"", "userDataStream.subscribe");
            out.extend_from_slice(br#"","params":{}}"#);
            return;
        }
        self.write(out, route::SUBSCRIBE, b"", "userDataStream.subscribe.signature", |d| d.timestamp(now));
    }

    #[inline]
    pub(crate) fn new_order(&mut self, order: &NewOrder, i: &Instrument, now: Ts, out: &mut Vec<u8>) {
        let (id, stp) = (order.id.text(), self.self_trade);
        self.write(out, route::PLACE, &id, "order.place", |d| place::order(d, order, &id, stp, i, now));
    }

    /// Cancels one order and, only when that succeeds, places another.
    pub(crate) fn replace(
        &mut self,
        old: &CancelOrder,
        order: &NewOrder,
        i: &Instrument,
        now: Ts,
        out: &mut Vec<u8>,
    ) {
        let (id, stp) = (order.id.text(), self.self_trade);
        self.write(out, route::REPLACE, &id, "order.cancelReplace", |d| {
            if old.venue_order_id != 0 {
                d.names(r#","cancelOrderId":"#, "&cancelOrderId=");
                d.integer(old.venue_order_id);
            } else {
                d.names(r#","cancelOrigClientOrderId":""#, "&cancelOrigClientOrderId=");
                d.value(&old.id.text());
                d.names(r#"""#, "");
            }
            d.names(r#","cancelReplaceMode":"STOP_ON_FAILURE""#, "&cancelReplaceMode=STOP_ON_FAILURE");
            place::order(d, order, &id, stp, i, now);
        });
    }

    /// Two orders of one side of which the end of one ends the other: `first` post-only, `second` a stop-limit. The
    /// names of what is above the market sort before `apiKey`, so nothing of the signature is prepared.
    pub(crate) fn pair(
        &mut self,
        first: &NewOrder,
        second: &NewOrder,
        i: &Instrument,
        now: Ts,
        out: &mut Vec<u8>,
    ) {
        let id = first.id.text();
        self.begin(out, route::PAIR, &id, "orderList.place.oco");
        let mut d = Draft { json: out, payload: &mut self.payload };
        let key = (!self.logged_on).then_some(self.key.as_bytes());
        place::pair(&mut d, first, second, key, self.self_trade, i, now);
        match self.logged_on {
            true => out.extend_from_slice(b"}}"),
            false => self.sign(out, true),
        }
    }

    pub(crate) fn cancel(&mut self, cancel: &CancelOrder, i: &Instrument, now: Ts, out: &mut Vec<u8>) {
        let id = cancel.id.text();
        self.write(out, route::CANCEL, &id, "order.cancel", |d| {
            // By the venue's id alone is fastest (web-socket-api.md, "Cancel order").
            if cancel.venue_order_id != 0 {
                d.names(r#","orderId":"#, "&orderId=");
                d.integer(cancel.venue_order_id);
            } else {
                d.names(r#","origClientOrderId":""#, "&origClientOrderId=");
                d.value(&id);
                d.names(r#"""#, "");
            }
            of_symbol(d, i, now);
        });
    }

    pub(crate) fn query_order(&mut self, id: ClientOrderId, i: &Instrument, now: Ts, out: &mut Vec<u8>) {
        let id = id.text();
        self.write(out, route::QUERY, &id, "order.status", |d| {
            d.names(r#","origClientOrderId":""#, "&origClientOrderId=");
            d.value(&id);
            d.names(r#"""#, "");
            of_symbol(d, i, now);
        });
    }

    /// Executions of one order: by the venue's id, the only one that the venue takes here. Without `fromId` the venue
    /// lists the latest, not the first.
    pub(crate) fn trades(
        &mut self,
        order: &CancelOrder,
        from: u64,
        i: &Instrument,
        now: Ts,
        out: &mut Vec<u8>,
    ) {
        let id = order.id.text();
        self.write(out, route::TRADES, &id, "myTrades", |d| {
            d.names(r#","fromId":"#, "&fromId=");
            d.integer(from);
            d.names(r#","limit":"#, "&limit=");
            d.integer(TRADES_MAX as u64);
            d.names(r#","orderId":"#, "&orderId=");
            d.integer(order.venue_order_id);
            of_symbol(d, i, now);
        });
    }

    pub(crate) fn cancel_all(&mut self, i: &Instrument, now: Ts, out: &mut Vec<u8>) {
        self.write(out, route::CANCEL_ALL, b"", "openOrders.cancelAll", |d| of_symbol(d, i, now));
    }

    pub(crate) fn open_orders(&mut self, i: &Instrument, now: Ts, out: &mut Vec<u8>) {
        self.write(out, route::OPEN_ORDERS, b"", "openOrders.status", |d| of_symbol(d, i, now));
    }

    pub(crate) fn account(&mut self, now: Ts, out: &mut Vec<u8>) {
        self.write(out, route::ACCOUNT, b"", "account.status", |d| {
            d.names(r#","omitZeroBalances":true,"recvWindow":"#, "&omitZeroBalances=true&recvWindow=");
            d.value(RECV_WINDOW.as_bytes());
            d.timestamp(now);
        });
    }
}

/// Weight of a request (`web-socket-api.md`, the "Weight" of each method).
fn weight(of: u8) -> u32 {
    match of {
        route::QUERY => 4,
        route::TRADES => 5, // with an order id
        route::OPEN_ORDERS => 6,
        route::ACCOUNT => 20,
        route::LOGON | route::SUBSCRIBE => 2,
        _ => 1,
    }
}

/// How long after its timestamp the venue may still take a request, ms. Less than the venue's default of 5000, for stamps
/// follow the venue's own clock: what is later than this is better refused, and a session that was lost knows the sooner
/// that nothing of it can still arrive.
pub const RECV_WINDOW_MS: u64 = 2_000;
/// Executions asked for at once: as many as the engine's report ring takes from one message.
pub const TRADES_MAX: usize = 24;
/// The same as it is written.
pub(crate) const RECV_WINDOW: &str = "2000";

/// The parameters that every request about one symbol ends with.
fn of_symbol(d: &mut Draft<'_>, i: &Instrument, now: Ts) {
    d.names(r#","recvWindow":"#, "&recvWindow=");
    d.value(RECV_WINDOW.as_bytes());
    d.names(r#","symbol":""#, "&symbol=");
    d.value(i.symbol.as_bytes());
    d.names(r#"""#, "");
    d.timestamp(now);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::tests::btcusdt;
    use std::collections::BTreeMap;
    use wire::{InstrumentId, OrderType, Px, Qty, Side, Slot};

    const NOW: Ts = Ts(1_645_423_376_532_999_999);

    #[test]
    fn the_window_is_written_as_it_is_counted() {
        assert_eq!(RECV_WINDOW.parse(), Ok(RECV_WINDOW_MS));
    }

    fn credentials() -> Credentials {
        Credentials::new("testkey1".into(), "testsecret".into()).expect("plain")
    }

    fn id() -> ClientOrderId {
        ClientOrderId { cycle: 0xabc, ts: Ts(77), slot: Slot(5) }
    }

    fn order() -> NewOrder {
        NewOrder {
            instrument: InstrumentId(4),
            id: id(),
            side: Side::Sell,
            px: Px(5_200_000_000_000),
            qty: Qty(1_000_000),
            kind: OrderType::Limit,
            stop_px: Px(0),
        }
    }

    /// Parses the request independently, signs its parameters anew from the documented rule, and returns
    /// (id, method, parameters without signature).
    fn check(out: &[u8]) -> (String, String, BTreeMap<String, String>) {
        let request: serde_json::Value = serde_json::from_slice(out).expect("JSON");
        let mut params: BTreeMap<String, String> = (request["params"].as_object().expect("params").iter())
            .map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned)))
            .collect();
        let signature = params.remove("signature").expect("signed");
        let payload: Vec<String> = params.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(credentials().sign(payload.join("&").as_bytes()), signature.as_bytes(), "{payload:?}");
        assert_eq!(params.remove("apiKey").as_deref(), Some("testkey1"));
        assert_eq!(params.remove("timestamp").as_deref(), Some("1645423376532"));
        let text = |name: &str| request[name].as_str().expect("text").to_owned();
        (text("id"), text("method"), params)
    }

    fn written(
        write: impl FnOnce(&mut Requests, &mut Vec<u8>),
    ) -> (String, String, BTreeMap<String, String>) {
        let mut out = b"left over from before".to_vec();
        write(&mut Requests::new(&credentials()), &mut out);
        check(&out)
    }

    fn params(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    const ID: &str = "C0000000abc-00000000000004d-0005";

    #[test]
    fn limit_orders_are_placed_as_documented() {
        let (request, method, sent) = written(|r, out| r.new_order(&order(), &btcusdt(), NOW, out));
        assert_eq!((request, method.as_str()), (format!("p{ID}"), "order.place"));
        let mut expected = params(&[
            ("newClientOrderId", ID),
            ("newOrderRespType", "ACK"),
            ("price", "52000"),
            ("quantity", "0.01"),
            ("recvWindow", "2000"),
            ("side", "SELL"),
            ("symbol", "BTCUSDT"),
            ("timeInForce", "GTC"),
            ("type", "LIMIT"),
        ]);
        assert_eq!(sent, expected);
        let ioc = NewOrder {
            kind: OrderType::Ioc,
            side: Side::Buy,
            px: Px(1),
            qty: Qty(123_456_789_012),
            ..order()
        };
        let (_, _, sent) = written(|r, out| r.new_order(&ioc, &btcusdt(), NOW, out));
        expected.extend(params(&[
            ("timeInForce", "IOC"),
            ("side", "BUY"),
            ("price", "0.00000001"),
            ("quantity", "1234.56789012"),
        ]));
        assert_eq!(sent, expected);
    }

    #[test]
    fn market_orders_have_neither_price_nor_time_in_force() {
        let market = NewOrder { kind: OrderType::Market, ..order() };
        let (_, _, sent) = written(|r, out| r.new_order(&market, &btcusdt(), NOW, out));
        assert_eq!(sent.get("type").map(String::as_str), Some("MARKET"));
        assert_eq!(sent.get("quantity").map(String::as_str), Some("0.01"));
        assert!(!sent.contains_key("price") && !sent.contains_key("timeInForce"));
    }

    #[test]
    fn every_kind_has_the_parameters_that_the_venue_wants_for_it() {
        let stop_px = Px(5_300_000_000_000);
        for (kind, name, tif, price, stop) in [
            (OrderType::Limit, "LIMIT", Some("GTC"), true, false),
            (OrderType::Ioc, "LIMIT", Some("IOC"), true, false),
            (OrderType::Fok, "LIMIT", Some("FOK"), true, false),
            (OrderType::Market, "MARKET", None, false, false),
            (OrderType::PostOnly, "LIMIT_MAKER", None, true, false),
            (OrderType::StopLimit, "STOP_LOSS_LIMIT", Some("GTC"), true, true),
            (OrderType::TakeProfitLimit, "TAKE_PROFIT_LIMIT", Some("GTC"), true, true),
        ] {
            let order = NewOrder { kind, stop_px, ..order() };
            let (_, _, sent) = written(|r, out| r.new_order(&order, &btcusdt(), NOW, out));
            let value = |name: &str| sent.get(name).map(String::as_str);
            assert_eq!((value("type"), value("timeInForce")), (Some(name), tif));
            assert_eq!(value("price"), price.then_some("52000"), "{name}");
            assert_eq!(value("stopPrice"), stop.then_some("53000"), "{name}");
            assert_eq!(value("quantity"), Some("0.01"), "{name}");
        }
    }

    #[test]
    fn cancels_go_by_the_venues_id_when_it_is_known() {
        let mut cancel =
            CancelOrder { instrument: InstrumentId(4), id: id(), venue_order_id: 12_569_099_453 };
        let (request, method, sent) = written(|r, out| r.cancel(&cancel, &btcusdt(), NOW, out));
        assert_eq!((request, method.as_str()), (format!("c{ID}"), "order.cancel"));
        let symbol = [("recvWindow", "2000"), ("symbol", "BTCUSDT")];
        assert_eq!(sent, params(&[symbol[0], symbol[1], ("orderId", "12569099453")]));
        cancel.venue_order_id = 0;
        let (_, _, sent) = written(|r, out| r.cancel(&cancel, &btcusdt(), NOW, out));
        assert_eq!(sent, params(&[symbol[0], symbol[1], ("origClientOrderId", ID)]));
        let (request, method, sent) = written(|r, out| r.query_order(id(), &btcusdt(), NOW, out));
        assert_eq!((request, method.as_str()), (format!("q{ID}"), "order.status"));
        assert_eq!(sent, params(&[symbol[0], symbol[1], ("origClientOrderId", ID)]));
    }

    #[test]
    fn a_replacement_names_both_orders() {
        let mut old = CancelOrder { instrument: InstrumentId(4), id: id(), venue_order_id: 12 };
        let new = NewOrder { id: ClientOrderId { slot: Slot(6), ..id() }, ..order() };
        let (request, method, sent) = written(|r, out| r.replace(&old, &new, &btcusdt(), NOW, out));
        let new_id = String::from_utf8(new.id.text().to_vec()).expect("text");
        assert_eq!((request, method.as_str()), (format!("r{new_id}"), "order.cancelReplace"));
        let value = |name: &str| sent.get(name).map(String::as_str);
        assert_eq!((value("cancelOrderId"), value("newClientOrderId")), (Some("12"), Some(&new_id[..])));
        assert_eq!((value("cancelReplaceMode"), value("type")), (Some("STOP_ON_FAILURE"), Some("LIMIT")));
        old.venue_order_id = 0;
        let (_, _, sent) = written(|r, out| r.replace(&old, &new, &btcusdt(), NOW, out));
        assert_eq!(sent.get("cancelOrigClientOrderId").map(String::as_str), Some(ID));
    }

    #[test]
    fn a_pair_has_its_legs_where_the_market_is() {
        for (side, stop, limit, profit) in [
            (Side::Sell, ["belowStopPrice", "belowPrice", "belowClientOrderId"], "belowType", "abovePrice"),
            (Side::Buy, ["aboveStopPrice", "abovePrice", "aboveClientOrderId"], "aboveType", "belowPrice"),
        ] {
            let first = NewOrder { kind: OrderType::PostOnly, side, ..order() };
            let (stop_px, px) = (Px(5_000_000_000_000), Px(4_990_000_000_000));
            let at = ClientOrderId { slot: Slot(6), ..id() };
            let second = NewOrder { kind: OrderType::StopLimit, id: at, stop_px, px, ..first };
            let (request, method, sent) = written(|r, out| {
                r.set_self_trade(Some(SelfTrade::ExpireMaker));
                r.pair(&first, &second, &btcusdt(), NOW, out)
            });
            assert_eq!((request, method.as_str()), (format!("l{ID}"), "orderList.place.oco"));
            let value = |name: &str| sent.get(name).map(String::as_str);
            assert_eq!((value(stop[0]), value(stop[1])), (Some("50000"), Some("49900")), "{sent:?}");
            assert_eq!(value(stop[2]), Some("C0000000abc-00000000000004d-0006"));
            assert_eq!((value(limit), value(profit)), (Some("STOP_LOSS_LIMIT"), Some("52000")));
            assert_eq!((value("quantity"), value("type"), value("price")), (Some("0.01"), None, None));
            assert_eq!(value("selfTradePreventionMode"), Some("EXPIRE_MAKER"));
            let legs = sent.iter().filter(|(name, _)| name.ends_with("TimeInForce")).count();
            assert_eq!(legs, 1, "LIMIT_MAKER takes none");
        }
    }

    #[test]
    fn after_a_logon_requests_carry_neither_key_nor_signature() {
        let mut r = Requests::new(&credentials());
        r.set_logged_on(true);
        let first = NewOrder { kind: OrderType::PostOnly, ..order() };
        let second = NewOrder { kind: OrderType::StopLimit, stop_px: Px(1), ..first };
        let old = CancelOrder { instrument: InstrumentId(4), id: id(), venue_order_id: 12 };
        let mut out = Vec::new();
        let mut check = |write: &mut dyn FnMut(&mut Requests, &mut Vec<u8>), stamped: bool| {
            write(&mut r, &mut out);
            let request: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
            let params = request["params"].as_object().expect("params");
            assert!(!params.contains_key("apiKey") && !params.contains_key("signature"), "{request}");
            assert_eq!(params.contains_key("timestamp"), stamped, "{request}");
        };
        check(&mut |r, out| r.new_order(&order(), &btcusdt(), NOW, out), true);
        check(&mut |r, out| r.replace(&old, &first, &btcusdt(), NOW, out), true);
        check(&mut |r, out| r.pair(&first, &second, &btcusdt(), NOW, out), true);
        check(&mut |r, out| r.cancel(&old, &btcusdt(), NOW, out), true);
        check(&mut |r, out| r.account(NOW, out), true);
        check(&mut |r, out| r.subscribe(NOW, out), false);
    }

    #[test]
    fn self_trade_prevention_goes_with_every_order_once_configured() {
        for mode in SelfTrade::ALL {
            let (_, _, sent) = written(|r, out| {
                r.set_self_trade(Some(mode));
                r.new_order(&order(), &btcusdt(), NOW, out);
            });
            assert_eq!(sent.get("selfTradePreventionMode").map(String::as_str), Some(mode.name()));
        }
    }

    #[test]
    fn executions_are_asked_for_by_the_venues_id() {
        let order = CancelOrder { instrument: InstrumentId(4), id: id(), venue_order_id: 12_569_099_453 };
        let (request, method, sent) = written(|r, out| r.trades(&order, 0, &btcusdt(), NOW, out));
        assert_eq!((request, method.as_str()), (format!("t{ID}"), "myTrades"));
        // Without it the venue would list the latest, and an order with more of them would never be complete.
        let mut expected = params(&[
            ("fromId", "0"),
            ("limit", "24"),
            ("orderId", "12569099453"),
            ("recvWindow", "2000"),
            ("symbol", "BTCUSDT"),
        ]);
        assert_eq!(sent, expected);
        let (_, _, sent) = written(|r, out| r.trades(&order, 1_650_422_481, &btcusdt(), NOW, out));
        expected.extend(params(&[("fromId", "1650422481")]));
        assert_eq!(sent, expected);
    }

    #[test]
    fn requests_about_no_order() {
        let symbol = params(&[("recvWindow", "2000"), ("symbol", "BTCUSDT")]);
        let same = |id: &str, method: &str, sent| (id.to_owned(), method.to_owned(), sent);
        assert_eq!(
            written(|r, out| r.cancel_all(&btcusdt(), NOW, out)),
            same("a", "openOrders.cancelAll", symbol.clone())
        );
        assert_eq!(
            written(|r, out| r.open_orders(&btcusdt(), NOW, out)),
            same("o", "openOrders.status", symbol)
        );
        assert_eq!(
            written(|r, out| r.account(NOW, out)),
            same("b", "account.status", params(&[("omitZeroBalances", "true"), ("recvWindow", "2000")]))
        );
        assert_eq!(
            written(|r, out| r.subscribe(NOW, out)),
            same("s", "userDataStream.subscribe.signature", BTreeMap::new())
        );
    }
}
