//! REST: the same requests by path and query, signed over the text as it was sent.

use super::auth::Claim;
use super::calls::Call;
use super::listing::Unit;
use super::params::Params;
use super::reject::Reject;
use super::{BinanceSim, HttpIn, Out, Outbox};
use wire::Ts;

impl BinanceSim {
    /// One request; the answer to a snapshot request of a recording may come later.
    pub(super) fn serve(&mut self, request: &HttpIn, now: Ts, caused: &mut Outbox) -> Option<Out> {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let call = match (request.method.as_str(), path) {
            ("GET", "/api/v3/ping") => Call::Ping,
            ("GET", "/api/v3/time") => Call::Time,
            ("GET", "/api/v3/exchangeInfo") => Call::ExchangeInfo,
            ("GET", "/api/v3/depth") => Call::Depth,
            ("POST", "/api/v3/order") => Call::Place,
            ("POST", "/api/v3/order/test") => Call::Test,
            ("POST", "/api/v3/order/cancelReplace") => Call::CancelReplace,
            ("POST", "/api/v3/orderList/oco") => Call::PlaceOco,
            ("DELETE", "/api/v3/orderList") => Call::CancelList,
            ("GET", "/api/v3/orderList") => Call::ListStatus,
            ("GET", "/api/v3/openOrderList") => Call::OpenLists,
            ("GET", "/api/v3/allOrderList") => Call::AllLists,
            ("GET", "/api/v3/allOrders") => Call::AllOrders,
            ("GET", "/api/v3/myTrades") => Call::MyTrades,
            ("GET", "/api/v3/myPreventedMatches") => Call::MyPrevented,
            ("GET", "/api/v3/rateLimit/order") => Call::OrderCounts,
            ("DELETE", "/api/v3/order") => Call::Cancel,
            ("GET", "/api/v3/order") => Call::OrderStatus,
            ("DELETE", "/api/v3/openOrders") => Call::CancelAll,
            ("GET", "/api/v3/openOrders") => Call::OpenOrders,
            ("GET", "/api/v3/account") => Call::Account,
            _ => return Some(self.answer(request.id, 404, b"{}".to_vec(), false, None)),
        };
        match self.serve_call(call, query, request, now, caused) {
            Ok(Some(body)) => Some(self.answer(request.id, 200, body, call.places(), None)),
            Ok(None) => None,
            Err(reject) => Some(self.refused(request.id, &reject, now)),
        }
    }

    /// An answer with the headers that say what is used.
    pub(super) fn answer(
        &self,
        id: u64,
        status: u16,
        body: Vec<u8>,
        orders: bool,
        retry_after_s: Option<u64>,
    ) -> Out {
        Out::Http { id, status, headers: self.rates.headers(orders, retry_after_s), body }
    }

    /// The answer that refuses a request. That of REST has no times; when to try again is a header.
    pub(super) fn refused(&self, id: u64, reject: &Reject, now: Ts) -> Out {
        let mut body = Vec::new();
        Reject { retry_after_ms: None, ..reject.clone() }.put(&mut body, Unit::Milli, Ts(0));
        self.answer(id, reject.status, body, false, reject.retry_after_s(now))
    }

    fn serve_call(
        &mut self,
        call: Call,
        query: &str,
        request: &HttpIn,
        now: Ts,
        caused: &mut Outbox,
    ) -> Result<Option<Vec<u8>>, Reject> {
        let header = |name: &str| {
            let found = request.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name));
            found.map(|(_, v)| v.trim())
        };
        let unit = match header("X-MBX-TIME-UNIT") {
            Some("MICROSECOND" | "microsecond") => Unit::Micro,
            _ => Unit::Milli,
        };
        let body = std::str::from_utf8(&request.body).map_err(|_| Reject::invalid("body"))?;
        let sent = format!("{query}{body}");
        // The signature is the last parameter and covers what comes before it.
        let signed = sent.rfind("signature=").map_or(sent.as_str(), |at| sent[..at].trim_end_matches('&'));
        let joined =
            if query.is_empty() || body.is_empty() { sent.clone() } else { format!("{query}&{body}") };
        let mut params = Params::from_query(&joined)?;
        let header_key = Some(header("X-MBX-APIKEY").unwrap_or_default());
        let claim = Claim { header_key, logon_key: None, signed };
        if call == Call::Depth && self.is_recorded() {
            self.rates.charge(now, call.weight(&params))?;
            self.need_symbol(&mut params)?;
            params.integer("limit")?;
            params.all_read()?;
            self.ask_snapshot(request.id, now, caused);
            return Ok(None);
        }
        self.call(call, &mut params, &claim, unit, now, caused).map(Some)
    }
}
