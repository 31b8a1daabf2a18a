//! Requests by name: what they cost, who may make them, and the WebSocket API's frame around them.

use super::auth::Claim;
use super::conns::Conn;
use super::faults::{Disconnect, UnknownOutcome};
use super::json::{self, Json, put_str};
use super::listing::Unit;
use super::params::Params;
use super::reject::Reject;
use super::{BinanceSim, ConnId, Out, Outbox, ReceivedOrder};
use std::io::Write;
use wire::Ts;

/// Status of a request from a banned address.
const BANNED: u16 = 418;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Ping,
    Time,
    ExchangeInfo,
    Depth,
    Place,
    Test,
    Cancel,
    CancelReplace,
    CancelAll,
    PlaceOco,
    CancelList,
    OrderStatus,
    OpenOrders,
    AllOrders,
    ListStatus,
    OpenLists,
    AllLists,
    MyTrades,
    MyPrevented,
    OrderCounts,
    Account,
    Logon,
    Session,
    Logout,
    Subscribe,
    SubscribeSigned,
    Unsubscribe,
    Subscriptions,
}

impl Call {
    fn named(method: &str) -> Option<Call> {
        Some(match method.strip_prefix("v3/").unwrap_or(method) {
            "ping" => Call::Ping,
            "time" => Call::Time,
            "exchangeInfo" => Call::ExchangeInfo,
            "depth" => Call::Depth,
            "order.place" => Call::Place,
            "order.test" => Call::Test,
            "order.cancel" => Call::Cancel,
            "order.cancelReplace" => Call::CancelReplace,
            "openOrders.cancelAll" => Call::CancelAll,
            "orderList.place.oco" => Call::PlaceOco,
            "orderList.cancel" => Call::CancelList,
            "order.status" => Call::OrderStatus,
            "openOrders.status" => Call::OpenOrders,
            "allOrders" => Call::AllOrders,
            "orderList.status" => Call::ListStatus,
            "openOrderLists.status" => Call::OpenLists,
            "allOrderLists" => Call::AllLists,
            "myTrades" => Call::MyTrades,
            "myPreventedMatches" => Call::MyPrevented,
            "account.rateLimits.orders" => Call::OrderCounts,
            "account.status" => Call::Account,
            "session.logon" => Call::Logon,
            "session.status" => Call::Session,
            "session.logout" => Call::Logout,
            "userDataStream.subscribe" => Call::Subscribe,
            "userDataStream.subscribe.signature" => Call::SubscribeSigned,
            "userDataStream.unsubscribe" => Call::Unsubscribe,
            "session.subscriptions" => Call::Subscriptions,
            _ => return None,
        })
    }

    /// Request weight (`web-socket-api.md`, `rest-api.md`).
    pub(super) fn weight(self, params: &Params) -> u32 {
        match self {
            Call::Ping | Call::Time => 1,
            Call::Place | Call::Cancel | Call::CancelReplace | Call::CancelAll => 1,
            Call::PlaceOco | Call::CancelList | Call::Test => 1,
            Call::Logon | Call::Session | Call::Logout => 2,
            Call::Subscribe | Call::SubscribeSigned | Call::Unsubscribe | Call::Subscriptions => 2,
            Call::OrderStatus | Call::ListStatus => 4,
            Call::OpenOrders if params.peek("symbol").is_some() => 6,
            Call::OpenOrders => 80,
            Call::OpenLists => 6,
            Call::MyTrades if params.peek("orderId").is_some() => 5,
            Call::MyPrevented if params.peek("preventedMatchId").is_some() => 2,
            Call::MyTrades | Call::MyPrevented | Call::AllOrders | Call::AllLists => 20,
            Call::Account | Call::ExchangeInfo => 20,
            Call::OrderCounts => 40,
            Call::Depth => match params.peek("limit").and_then(|l| l.parse::<u64>().ok()).unwrap_or(0) {
                0..=100 => 5,
                101..=500 => 25,
                501..=1000 => 50,
                _ => 250,
            },
        }
    }

    fn is_signed(self) -> bool {
        !matches!(
            self,
            Call::Ping
                | Call::Time
                | Call::ExchangeInfo
                | Call::Depth
                | Call::Session
                | Call::Logout
                | Call::Subscribe
                | Call::Unsubscribe
                | Call::Subscriptions
        )
    }

    /// Whether it is about the connection that it came by.
    fn is_of_session(self) -> bool {
        matches!(
            self,
            Call::Logon
                | Call::Session
                | Call::Logout
                | Call::Subscribe
                | Call::SubscribeSigned
                | Call::Unsubscribe
                | Call::Subscriptions
        )
    }

    /// Whether it places orders, so that their counts go with its answer.
    pub(super) fn places(self) -> bool {
        matches!(self, Call::Place | Call::CancelReplace | Call::PlaceOco)
    }
}

impl BinanceSim {
    /// Charges, checks and performs a request that needs no connection; its result as JSON.
    pub(super) fn call(
        &mut self,
        call: Call,
        params: &mut Params,
        claim: &Claim<'_>,
        unit: Unit,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        let unknown = if call.places() { self.faults.outcome_unknown() } else { None };
        let orders_before = self.orders.next_ix();
        let result = match unknown {
            Some(UnknownOutcome { executed: false, .. }) => Err(Reject::TIMEOUT),
            _ => {
                self.admit(call, params, claim, now).and_then(|()| self.perform(call, params, unit, now, out))
            }
        };
        let accepted = self.orders.next_ix() > orders_before;
        let ids: &[&str] = match call {
            Call::Place | Call::CancelReplace => &["newClientOrderId"],
            Call::PlaceOco => &["aboveClientOrderId", "belowClientOrderId"],
            _ => &[],
        };
        for id in ids {
            let client_id = params.peek(id).unwrap_or_default().to_string();
            self.received.push(ReceivedOrder { client_id, ts: now, accepted });
        }
        match unknown {
            Some(UnknownOutcome { unexpected: true, .. }) => Err(Reject::UNEXPECTED),
            Some(_) => Err(Reject::TIMEOUT),
            None => result,
        }
    }

    /// Charges the weight of a request and checks its signature.
    pub(super) fn admit(
        &mut self,
        call: Call,
        params: &mut Params,
        claim: &Claim<'_>,
        now: Ts,
    ) -> Result<(), Reject> {
        self.rates.charge(now, call.weight(params))?;
        if call.is_signed() {
            self.keyring.check(claim, params, now)?;
        }
        Ok(())
    }

    fn perform(
        &mut self,
        call: Call,
        params: &mut Params,
        unit: Unit,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        match call {
            Call::Ping => params.all_read().map(|()| b"{}".to_vec()),
            Call::Time => {
                params.all_read().map(|()| format!(r#"{{"serverTime":{}}}"#, unit.of(now)).into_bytes())
            }
            Call::ExchangeInfo => self.exchange_info(params, unit, now),
            Call::Depth => self.snapshot(params),
            Call::Place => self.place(params, unit, now, out),
            Call::Test => self.test_order(params),
            Call::Cancel => self.cancel(params, unit, now, out),
            Call::CancelReplace => self.cancel_replace(params, unit, now, out),
            Call::CancelAll => self.cancel_all(params, unit, now, out),
            Call::PlaceOco => self.place_oco(params, unit, now, out),
            Call::CancelList => self.cancel_order_list(params, unit, now, out),
            Call::OrderStatus => self.order_status(params, unit),
            Call::OpenOrders => self.open_orders_status(params, unit),
            Call::AllOrders => self.all_orders(params, unit),
            Call::ListStatus => self.list_status(params, unit),
            Call::OpenLists => self.list_lists(params, unit, false),
            Call::AllLists => self.list_lists(params, unit, true),
            Call::MyTrades => self.my_trades(params, unit),
            Call::MyPrevented => self.my_prevented(params, unit),
            Call::OrderCounts => self.order_counts(params, now),
            Call::Account => self.account_status(params, unit),
            Call::Logon
            | Call::Session
            | Call::Logout
            | Call::Subscribe
            | Call::SubscribeSigned
            | Call::Unsubscribe
            | Call::Subscriptions => Err(Reject::UNSUPPORTED),
        }
    }

    fn exchange_info(&self, params: &mut Params, unit: Unit, now: Ts) -> Result<Vec<u8>, Reject> {
        let symbol = self.listing.symbol();
        if params.take("symbol").is_some_and(|s| s != symbol) {
            return Err(Reject::SYMBOL);
        }
        if params.take("symbols").is_some_and(|list| list != format!("[\"{symbol}\"]")) {
            return Err(Reject::SYMBOL);
        }
        params.take("showPermissionSets");
        params.all_read()?;
        let mut info = Vec::with_capacity(2048);
        self.listing.put_info(&mut info, &self.rates, now, unit);
        Ok(info)
    }

    /// One frame on a WebSocket API connection. What it caused goes to `caused`; the reply is returned, unless a
    /// fault withholds it.
    pub(super) fn request(
        &mut self,
        conn: ConnId,
        payload: &[u8],
        now: Ts,
        caused: &mut Outbox,
    ) -> Option<Out> {
        let disconnects = self.faults.disconnects();
        if matches!(disconnects, Some(Disconnect { executed: false, .. })) {
            self.conns.close(conn);
            return Some(Out::Close { conn });
        }
        let Some(Conn::Api(api)) = self.conns.get_mut(conn) else { return None };
        let (unit, mut show_limits) = (api.unit, api.rate_limits);
        let logon_key = api.logon.as_ref().map(|(key, _)| key.clone());
        let request = json::read(payload);
        let mut id = Vec::new();
        match request.as_ref().and_then(|r| r.get("id")) {
            Some(Json::Num(n)) => id.extend_from_slice(n.as_bytes()),
            Some(Json::Str(s)) => put_str(&mut id, s),
            _ => id.extend_from_slice(b"null"),
        }
        let method = request.as_ref().and_then(|r| r.get("method")).and_then(Json::str);
        let call = method.and_then(Call::named);
        let params = request.as_ref().map(|r| Params::from_json(r.get("params")));
        if let Some(reply) = self.revoked(conn, logon_key.as_deref()) {
            return Some(reply);
        }
        let result = match (method, call, params) {
            (Some(_), Some(call), Some(Ok(mut params))) => {
                match params.take("returnRateLimits") {
                    Some("false") => show_limits = false,
                    Some("true") => show_limits = true,
                    _ => {}
                }
                let signed = params.signed_text();
                let claim = Claim { header_key: None, logon_key: logon_key.as_deref(), signed: &signed };
                match call {
                    _ if call.is_of_session() => self.session(conn, call, &mut params, &claim, now, caused),
                    Call::Depth if self.is_recorded() => Err(Reject::UNSUPPORTED),
                    _ => self.call(call, &mut params, &claim, unit, now, caused),
                }
            }
            (_, _, Some(Err(reject))) => Err(reject),
            (Some(_), None, _) => Err(Reject::UNSUPPORTED),
            (None, _, _) | (_, _, None) => Err(Reject::INVALID_JSON),
        };
        if disconnects.is_some() {
            self.conns.close(conn);
            return Some(Out::Close { conn });
        }
        if call == Some(Call::Place) && self.faults.withholds_ack() {
            return None;
        }
        let mut reply = br#"{"id":"#.to_vec();
        reply.extend_from_slice(&id);
        match &result {
            Ok(result) => {
                reply.extend_from_slice(br#","status":200,"result":"#);
                reply.extend_from_slice(result);
            }
            Err(reject) => {
                let _ = write!(reply, r#","status":{},"error":"#, reject.status);
                reject.put(&mut reply, unit, now);
                if reject.status == BANNED {
                    // A banned address is also disconnected.
                    self.conns.close(conn);
                    caused.push(Out::Close { conn });
                }
            }
        }
        if show_limits {
            reply.extend_from_slice(br#","rateLimits":"#);
            self.rates.put_used(&mut reply, call.is_some_and(Call::places), now);
        }
        reply.push(b'}');
        Some(Out::Text { conn, payload: reply })
    }
}
