//! Open connections, what each has subscribed, and how messages reach them.

use super::config::SimLimits;
use super::faults::FaultState;
use super::json::{self, Json, put_str};
use super::listing::Unit;
use super::{ConnId, Out, Outbox};
use std::collections::BTreeMap;
use std::io::Write;
use wire::Ts;

/// Most streams on one connection (`web-socket-streams.md`).
const STREAMS_MAX: usize = 1024;

/// A connection by what it is for.
pub(super) enum Conn {
    Market(MarketConn),
    Api(ApiConn),
}

/// A connection to market streams.
pub(super) struct MarketConn {
    /// Frames are wrapped in `{"stream":..,"data":..}`.
    combined: bool,
    unit: Unit,
    streams: Vec<String>,
    second: u64,
    requests: u32,
}

/// A connection to the WebSocket API.
pub(super) struct ApiConn {
    /// Replies carry `rateLimits` unless a request says otherwise.
    pub(super) rate_limits: bool,
    pub(super) unit: Unit,
    /// The active subscription to the account's events.
    pub(super) subscription: Option<u32>,
    /// Whether that came by the session's logon.
    pub(super) by_logon: bool,
    pub(super) subscriptions_made: u32,
    pub(super) opened: Ts,
    /// The key that the session has logged on with, and since when.
    pub(super) logon: Option<(String, Ts)>,
}

/// When a connection is told to go, and when it has to.
struct Life {
    warn_at: Option<Ts>,
    ends_at: Ts,
}

/// All open connections, in the order of their numbers.
#[derive(Default)]
pub(super) struct Conns {
    open: BTreeMap<u32, Conn>,
    lives: BTreeMap<u32, Life>,
    /// The earliest of all warnings and ends.
    due_at: Option<Ts>,
}

impl Conns {
    /// Opens a connection for an upgrade target; the HTTP status of the refusal otherwise.
    pub(super) fn open(
        &mut self,
        conn: ConnId,
        target: &str,
        limits: &SimLimits,
        now: Ts,
    ) -> Result<(), u16> {
        if self.open.contains_key(&conn.0) {
            return Err(409);
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = |name: &str| {
            let pairs = query.split('&').filter_map(|p| p.split_once('='));
            pairs.filter(|(k, _)| *k == name).map(|(_, v)| v).next()
        };
        let unit = match query("timeUnit") {
            None | Some("MILLISECOND" | "millisecond") => Unit::Milli,
            Some("MICROSECOND" | "microsecond") => Unit::Micro,
            Some(_) => return Err(400),
        };
        let market = |combined, names: &str| -> Result<Conn, u16> {
            let mut conn = MarketConn { combined, unit, streams: Vec::new(), second: 0, requests: 0 };
            let asked = names.split('/').filter(|n| !n.is_empty());
            if conn.subscribe(asked) { Ok(Conn::Market(conn)) } else { Err(400) }
        };
        let opened = match path {
            "/ws-api/v3" => Conn::Api(ApiConn {
                rate_limits: query("returnRateLimits") != Some("false"),
                unit,
                subscription: None,
                by_logon: false,
                subscriptions_made: 0,
                opened: now,
                logon: None,
            }),
            "/stream" => market(true, query("streams").unwrap_or_default())?,
            "/ws" => market(false, "")?,
            _ => match path.strip_prefix("/ws/") {
                Some(names) => market(false, names)?,
                None => return Err(404),
            },
        };
        self.open.insert(conn.0, opened);
        let ends_at = now.plus_ns(limits.connection_ms.saturating_mul(1_000_000));
        self.lives.insert(conn.0, Life { warn_at: warning(ends_at, limits.shutdown_notice_ms), ends_at });
        self.find_due();
        Ok(())
    }

    pub(super) fn close(&mut self, conn: ConnId) {
        self.open.remove(&conn.0);
        self.lives.remove(&conn.0);
        self.find_due();
    }

    /// Says to every connection that the server is about to shut down, and ends them all at `ends_at`.
    pub(super) fn shut_down(&mut self, ends_at: Ts, now: Ts) {
        for life in self.lives.values_mut() {
            *life = Life { warn_at: Some(now), ends_at };
        }
        self.find_due();
    }

    /// Warns and ends the connections whose time has come; whether there were any.
    pub(super) fn pass_time(&mut self, now: Ts, out: &mut Outbox) -> bool {
        if self.due_at.is_none_or(|due| due > now) {
            return false;
        }
        for (id, life) in &mut self.lives {
            let conn = ConnId(*id);
            if life.warn_at.take_if(|at| *at <= now).is_some()
                && let Some(payload) = self.open.get(id).map(|c| c.shutdown_event(now))
            {
                out.push(Out::Text { conn, payload });
            }
            if life.ends_at <= now {
                self.open.remove(id);
                out.push(Out::Close { conn });
            }
        }
        self.lives.retain(|_, life| life.ends_at > now);
        self.find_due();
        true
    }

    fn find_due(&mut self) {
        self.due_at = self.lives.values().map(|l| l.warn_at.map_or(l.ends_at, |at| at.min(l.ends_at))).min();
    }

    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Conn> {
        self.open.get_mut(&conn.0)
    }

    /// Whether any connection has subscribed a market stream.
    pub(super) fn any_stream(&self) -> bool {
        self.open.values().any(|c| matches!(c, Conn::Market(m) if !m.streams.is_empty()))
    }

    /// Sends market data to whoever subscribed `stream`; `put` appends the data object in a time unit.
    pub(super) fn publish(
        &self,
        stream: &str,
        faults: &mut FaultState,
        out: &mut Outbox,
        mut put: impl FnMut(&mut Vec<u8>, Unit),
    ) {
        for (conn, market) in self.markets(stream) {
            let mut payload = Vec::with_capacity(192);
            if market.combined {
                let _ = write!(payload, r#"{{"stream":"{stream}","data":"#);
            }
            put(&mut payload, market.unit);
            if market.combined {
                payload.push(b'}');
            }
            send_market(conn, payload, faults, out);
        }
    }

    /// Sends a recorded frame (combined form) as it is; a raw connection gets its data object.
    pub(super) fn replay(&self, stream: &str, frame: &[u8], faults: &mut FaultState, out: &mut Outbox) {
        for (conn, market) in self.markets(stream) {
            let payload = if market.combined { frame } else { data_of(frame) };
            send_market(conn, payload.to_vec(), faults, out);
        }
    }

    /// Sends an account event to whoever subscribed them, `copies` times; `put` appends the event object.
    pub(super) fn tell(&self, copies: usize, out: &mut Outbox, mut put: impl FnMut(&mut Vec<u8>, Unit)) {
        for (conn, api) in &self.open {
            let Conn::Api(ApiConn { unit, subscription: Some(id), .. }) = api else { continue };
            let mut payload = Vec::with_capacity(640);
            let _ = write!(payload, r#"{{"subscriptionId":{id},"event":"#);
            put(&mut payload, *unit);
            payload.push(b'}');
            for _ in 1..copies {
                out.push(Out::Text { conn: ConnId(*conn), payload: payload.clone() });
            }
            if copies > 0 {
                out.push(Out::Text { conn: ConnId(*conn), payload });
            }
        }
    }

    fn markets(&self, stream: &str) -> impl Iterator<Item = (ConnId, &MarketConn)> {
        self.open.iter().filter_map(move |(conn, c)| match c {
            Conn::Market(m) if m.streams.iter().any(|s| s == stream) => Some((ConnId(*conn), m)),
            _ => None,
        })
    }
}

/// When a connection that ends is told so.
fn warning(ends_at: Ts, notice_ms: u64) -> Option<Ts> {
    (notice_ms > 0).then(|| Ts(ends_at.0.saturating_sub(notice_ms.saturating_mul(1_000_000))))
}

impl Conn {
    /// The event that announces a shutdown, in the form of this kind of connection.
    fn shutdown_event(&self, now: Ts) -> Vec<u8> {
        let event = |unit: Unit| format!(r#"{{"e":"serverShutdown","E":{}}}"#, unit.of(now));
        match self {
            Conn::Api(api) => format!(r#"{{"event":{}}}"#, event(api.unit)),
            Conn::Market(m) if m.combined => {
                format!(r#"{{"stream":"!serverShutdown","data":{}}}"#, event(m.unit))
            }
            Conn::Market(m) => event(m.unit),
        }
        .into_bytes()
    }
}

impl MarketConn {
    /// Adds streams; `false` when that would be too many.
    fn subscribe<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> bool {
        for name in names {
            if !self.streams.iter().any(|s| s == name) {
                self.streams.push(name.to_string());
            }
        }
        self.streams.len() <= STREAMS_MAX
    }

    /// Answers a control request; `None` when the connection has asked too often and is to be closed.
    pub(super) fn control(&mut self, payload: &[u8], limits: &SimLimits, now: Ts) -> Option<Vec<u8>> {
        let second = now.0 / 1_000_000_000;
        if second != self.second {
            (self.second, self.requests) = (second, 0);
        }
        self.requests += 1;
        if self.requests > limits.stream_requests_per_s {
            return None;
        }
        let Some(request) = json::read(payload) else {
            return Some(refusal(3, "Invalid JSON: expected value at line 1 column 1", None));
        };
        let id = match request.get("id") {
            Some(Json::Num(n)) if n.parse::<i64>().is_ok() => n.to_string(),
            Some(Json::Null) => "null".to_string(),
            Some(Json::Str(s)) if s.len() <= 36 && s.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                format!("\"{s}\"")
            }
            _ => {
                let msg = "Invalid request: request ID must be an unsigned integer";
                return Some(refusal(2, msg, None));
            }
        };
        let refuse = |code, msg: &str| Some(refusal(code, msg, Some(&id)));
        let params = match request.get("params") {
            Some(Json::Arr(items)) => items.as_slice(),
            None => &[],
            Some(_) => return refuse(2, "Invalid request: params must be an array"),
        };
        let names: Vec<&str> = params.iter().filter_map(Json::str).collect();
        let result = match request.get("method").and_then(Json::str) {
            Some(method @ ("SUBSCRIBE" | "UNSUBSCRIBE")) => {
                if names.len() != params.len() || names.is_empty() {
                    return refuse(2, "Invalid request: params must be stream names");
                }
                if method == "UNSUBSCRIBE" {
                    self.streams.retain(|s| !names.contains(&s.as_str()));
                } else if !self.subscribe(names.into_iter()) {
                    return None;
                }
                "null".to_string()
            }
            Some("LIST_SUBSCRIPTIONS") => {
                let mut list = Vec::new();
                for name in &self.streams {
                    list.push(if list.is_empty() { b'[' } else { b',' });
                    put_str(&mut list, name);
                }
                if list.is_empty() {
                    list.push(b'[');
                }
                list.push(b']');
                String::from_utf8(list).unwrap_or_default()
            }
            Some("SET_PROPERTY") => match params {
                [name, Json::Bool(on)] if name.str() == Some("combined") => {
                    self.combined = *on;
                    "null".to_string()
                }
                [name, _] if name.str() == Some("combined") => {
                    return refuse(1, "Invalid value type: expected Boolean");
                }
                _ => return refuse(0, "Unknown property"),
            },
            Some("GET_PROPERTY") if names == ["combined"] => self.combined.to_string(),
            Some("GET_PROPERTY") => return refuse(0, "Unknown property"),
            Some(_) => {
                let msg = "Invalid request: unknown variant, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, \
                           `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`";
                return refuse(2, msg);
            }
            None => return refuse(2, "Invalid request: missing field `method`"),
        };
        Some(format!(r#"{{"result":{result},"id":{id}}}"#).into_bytes())
    }
}

fn refusal(code: i32, msg: &str, id: Option<&str>) -> Vec<u8> {
    let id = id.map(|id| format!(r#","id":{id}"#)).unwrap_or_default();
    format!(r#"{{"error":{{"code":{code},"msg":"{msg}"}}{id}}}"#).into_bytes()
}

fn send_market(conn: ConnId, payload: Vec<u8>, faults: &mut FaultState, out: &mut Outbox) {
    let (garbage, sent) = faults.market_message();
    for kind in garbage {
        out.push(Out::Text { conn, payload: kind.spoil(&payload) });
    }
    if sent {
        out.push(Out::Text { conn, payload });
    }
}

/// The data object of a combined frame: what stands between `"data":` and the last brace.
fn data_of(frame: &[u8]) -> &[u8] {
    const MARK: &[u8] = b"\"data\":";
    let Some(at) = frame.windows(MARK.len()).position(|w| w == MARK) else { return frame };
    let data = frame[at + MARK.len()..].trim_ascii();
    data.strip_suffix(b"}").unwrap_or(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(conn: &mut MarketConn, text: &str, now: Ts) -> Option<String> {
        let limits = SimLimits { stream_requests_per_s: 3, ..SimLimits::default() };
        conn.control(text.as_bytes(), &limits, now).map(|r| String::from_utf8(r).expect("text"))
    }

    #[test]
    fn targets_decide_what_a_connection_is() {
        let mut conns = Conns::default();
        let limits = SimLimits::default();
        let mut open = |id, target: &str| conns.open(id, target, &limits, Ts(0));
        assert_eq!(open(ConnId(1), "/stream?streams=a@trade/b@depth&timeUnit=MICROSECOND"), Ok(()));
        assert_eq!(open(ConnId(1), "/ws"), Err(409));
        assert_eq!(open(ConnId(2), "/ws/a@trade"), Ok(()));
        assert_eq!(open(ConnId(3), "/ws-api/v3?returnRateLimits=false"), Ok(()));
        assert_eq!(open(ConnId(4), "/elsewhere"), Err(404));
        assert_eq!(open(ConnId(4), "/ws?timeUnit=NANO"), Err(400));
        assert_eq!(conns.markets("a@trade").map(|(c, _)| c.0).collect::<Vec<_>>(), [1, 2]);
        let (mut faults, mut out) = (FaultState::default(), Outbox::new());
        conns.replay("a@trade", br#"{"stream":"a@trade","data":{"p":{}}}"#, &mut faults, &mut out);
        let sent: Vec<&[u8]> =
            out.iter().map(|o| if let Out::Text { payload, .. } = o { &payload[..] } else { b"" }).collect();
        assert_eq!(sent, [br#"{"stream":"a@trade","data":{"p":{}}}"#.as_slice(), br#"{"p":{}}"#]);
    }

    #[test]
    fn control_requests_follow_the_venue() {
        let mut c =
            MarketConn { combined: false, unit: Unit::Milli, streams: Vec::new(), second: 0, requests: 0 };
        let at = |s: u64| Ts(s * 1_000_000_000);
        let ask = r#"{"method":"SUBSCRIBE","params":["a@trade","b@trade"],"id":1}"#;
        assert_eq!(control(&mut c, ask, at(1)).as_deref(), Some(r#"{"result":null,"id":1}"#));
        let list = r#"{"method":"LIST_SUBSCRIPTIONS","id":"x3"}"#;
        assert_eq!(
            control(&mut c, list, at(1)).as_deref(),
            Some(r#"{"result":["a@trade","b@trade"],"id":"x3"}"#)
        );
        let leave = r#"{"method":"UNSUBSCRIBE","params":["a@trade"],"id":null}"#;
        assert_eq!(control(&mut c, leave, at(1)).as_deref(), Some(r#"{"result":null,"id":null}"#));
        assert_eq!(control(&mut c, list, at(1)), None, "the fourth in a second");
        assert_eq!(control(&mut c, list, at(2)).as_deref(), Some(r#"{"result":["b@trade"],"id":"x3"}"#));
        let set = r#"{"method":"SET_PROPERTY","params":["combined",true],"id":5}"#;
        assert_eq!(control(&mut c, set, at(2)).as_deref(), Some(r#"{"result":null,"id":5}"#));
        assert!(c.combined);
        for (bad, code) in [
            ("nope", 3),
            (r#"{"method":"SUBSCRIBE","params":["a"]}"#, 2),
            (r#"{"method":"DANCE","id":1}"#, 2),
            (r#"{"method":"SET_PROPERTY","params":["x",true],"id":1}"#, 0),
            (r#"{"method":"SET_PROPERTY","params":["combined",1],"id":1}"#, 1),
            (r#"{"id":1}"#, 2),
        ] {
            c.requests = 0;
            let reply = control(&mut c, bad, at(3)).expect("a refusal");
            assert!(reply.starts_with(&format!(r#"{{"error":{{"code":{code},"#)), "{bad} gave {reply}");
        }
    }
}
