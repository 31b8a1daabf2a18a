//! REST: the same requests by path and query, signed over the text as it was sent.

use super::calls::{Call, Proof};
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
            ("DELETE", "/api/v3/order") => Call::Cancel,
            ("GET", "/api/v3/order") => Call::OrderStatus,
            ("DELETE", "/api/v3/openOrders") => Call::CancelAll,
            ("GET", "/api/v3/openOrders") => Call::OpenOrders,
            ("GET", "/api/v3/account") => Call::Account,
            _ => return Some(Out::Http { id: request.id, status: 404, body: b"{}".to_vec() }),
        };
        match self.serve_call(call, query, request, now, caused) {
            Ok(Some(body)) => Some(Out::Http { id: request.id, status: 200, body }),
            Ok(None) => None,
            Err(reject) => Some(refused(request.id, &reject)),
        }
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
        let proof = Proof { header_key: Some(header("X-MBX-APIKEY").unwrap_or_default()), signed };
        if call == Call::Depth && self.is_recorded() {
            self.need_symbol(&mut params)?;
            params.integer("limit")?;
            params.all_read()?;
            self.ask_snapshot(request.id, now, caused);
            return Ok(None);
        }
        self.call(call, &mut params, &proof, unit, now, caused).map(Some)
    }
}

/// The answer that refuses a request.
pub(super) fn refused(id: u64, reject: &Reject) -> Out {
    let mut body = Vec::new();
    Reject { retry_after_ms: None, ..reject.clone() }.put(&mut body, Unit::Milli, Ts(0));
    Out::Http { id, status: reject.status, body }
}
