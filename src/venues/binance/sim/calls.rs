//! Requests by name: what they cost, who may make them, and the WebSocket API's frame around them.

use super::conns::Conn;
use super::json::{self, Json, put_str};
use super::listing::Unit;
use super::params::Params;
use super::reject::Reject;
use super::{BinanceSim, ConnId, Out, Outbox, ReceivedOrder};
use std::io::Write;
use wire::Ts;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Ping,
    Time,
    ExchangeInfo,
    Depth,
    Place,
    Cancel,
    CancelAll,
    OrderStatus,
    OpenOrders,
    Account,
    Subscribe,
    Unsubscribe,
    Subscriptions,
}

/// How a signed request proves itself.
pub(super) struct Proof<'a> {
    /// The key when it comes in a header, not among the parameters.
    pub(super) header_key: Option<&'a str>,
    /// The text that the signature covers.
    pub(super) signed: &'a str,
}

impl Call {
    fn named(method: &str) -> Option<Call> {
        Some(match method.strip_prefix("v3/").unwrap_or(method) {
            "ping" => Call::Ping,
            "time" => Call::Time,
            "exchangeInfo" => Call::ExchangeInfo,
            "depth" => Call::Depth,
            "order.place" => Call::Place,
            "order.cancel" => Call::Cancel,
            "openOrders.cancelAll" => Call::CancelAll,
            "order.status" => Call::OrderStatus,
            "openOrders.status" => Call::OpenOrders,
            "account.status" => Call::Account,
            "userDataStream.subscribe.signature" => Call::Subscribe,
            "userDataStream.unsubscribe" => Call::Unsubscribe,
            "session.subscriptions" => Call::Subscriptions,
            _ => return None,
        })
    }

    /// Request weight (`web-socket-api.md`, `rest-api.md`).
    fn weight(self, params: &Params) -> u32 {
        match self {
            Call::Ping | Call::Time | Call::Place | Call::Cancel | Call::CancelAll => 1,
            Call::Subscribe | Call::Unsubscribe | Call::Subscriptions => 2,
            Call::OrderStatus => 4,
            Call::OpenOrders if params.peek("symbol").is_some() => 6,
            Call::OpenOrders => 80,
            Call::Account | Call::ExchangeInfo => 20,
            Call::Depth => match params.peek("limit").and_then(|l| l.parse::<u64>().ok()).unwrap_or(0) {
                0..=100 => 5,
                101..=500 => 25,
                501..=1000 => 50,
                _ => 250,
            },
        }
    }

    fn is_signed(self) -> bool {
        matches!(
            self,
            Call::Place
                | Call::Cancel
                | Call::CancelAll
                | Call::OrderStatus
                | Call::OpenOrders
                | Call::Account
                | Call::Subscribe
        )
    }
}

impl BinanceSim {
    /// Charges, checks and performs a request that needs no connection; its result as JSON.
    pub(super) fn call(
        &mut self,
        call: Call,
        params: &mut Params,
        proof: &Proof<'_>,
        unit: Unit,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        let result =
            self.admit(call, params, proof, now).and_then(|()| self.perform(call, params, unit, now, out));
        if call == Call::Place {
            let client_id = params.peek("newClientOrderId").unwrap_or_default().to_string();
            self.received.push(ReceivedOrder { client_id, ts: now, accepted: result.is_ok() });
        }
        result
    }

    /// Charges the weight of a request and checks its signature.
    fn admit(&mut self, call: Call, params: &mut Params, proof: &Proof<'_>, now: Ts) -> Result<(), Reject> {
        self.rates.charge(now, call.weight(params))?;
        if call.is_signed() {
            self.keyring.check(proof.header_key, params, proof.signed, now)?;
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
            Call::Cancel => self.cancel(params, unit, now, out),
            Call::CancelAll => self.cancel_all(params, unit, now, out),
            Call::OrderStatus => self.order_status(params, unit),
            Call::OpenOrders => self.open_orders_status(params, unit),
            Call::Account => self.account_status(params, unit),
            Call::Subscribe | Call::Unsubscribe | Call::Subscriptions => Err(Reject::UNSUPPORTED),
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
        let Some(Conn::Api(api)) = self.conns.get_mut(conn) else { return None };
        let (unit, mut show_limits) = (api.unit, api.rate_limits);
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
        let result = match (method, call, params) {
            (Some(_), Some(call), Some(Ok(mut params))) => {
                match params.take("returnRateLimits") {
                    Some("false") => show_limits = false,
                    Some("true") => show_limits = true,
                    _ => {}
                }
                let signed = params.signed_text();
                let proof = Proof { header_key: None, signed: &signed };
                match call {
                    Call::Subscribe | Call::Unsubscribe | Call::Subscriptions => {
                        self.subscription(conn, call, &mut params, &proof, now)
                    }
                    Call::Depth if self.is_recorded() => Err(Reject::UNSUPPORTED),
                    _ => self.call(call, &mut params, &proof, unit, now, caused),
                }
            }
            (_, _, Some(Err(reject))) => Err(reject),
            (Some(_), None, _) => Err(Reject::UNSUPPORTED),
            (None, _, _) | (_, _, None) => Err(Reject::INVALID_JSON),
        };
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
            }
        }
        if show_limits {
            reply.extend_from_slice(br#","rateLimits":"#);
            self.rates.put_used(&mut reply, call == Some(Call::Place), now);
        }
        reply.push(b'}');
        Some(Out::Text { conn, payload: reply })
    }

    /// Starts, ends or lists the subscription of a connection to the account's events.
    fn subscription(
        &mut self,
        conn: ConnId,
        call: Call,
        params: &mut Params,
        proof: &Proof<'_>,
        now: Ts,
    ) -> Result<Vec<u8>, Reject> {
        self.admit(call, params, proof, now)?;
        let wanted = params.integer("subscriptionId")?;
        params.all_read()?;
        let Some(Conn::Api(api)) = self.conns.get_mut(conn) else { return Err(Reject::UNSUPPORTED) };
        match call {
            Call::Subscribe if api.subscription.is_some() => Err(Reject::SUBSCRIPTION_ACTIVE),
            Call::Subscribe => {
                let id = api.subscriptions_made;
                api.subscription = Some(id);
                api.subscriptions_made += 1;
                Ok(format!(r#"{{"subscriptionId":{id}}}"#).into_bytes())
            }
            Call::Unsubscribe => match (api.subscription, wanted) {
                (Some(id), wanted) if wanted.is_none_or(|w| w == id as u64) => {
                    api.subscription = None;
                    Ok(b"{}".to_vec())
                }
                _ => Err(Reject::SUBSCRIPTION_INACTIVE),
            },
            _ => Ok(match api.subscription {
                Some(id) => format!(r#"[{{"subscriptionId":{id}}}]"#).into_bytes(),
                None => b"[]".to_vec(),
            }),
        }
    }
}
