//! The venue from outside: bytes in, bytes out, judged with another JSON reader.

mod conversation;
mod faults;
mod limits;
mod lists;
mod orders;
mod public;
mod recorded;
mod refusals;
mod replace;
mod robust;
mod sessions;
mod shape;

use super::*;
use exchange::CrowdConfig;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use wire::{AssetId, Instrument, InstrumentId, VenueId};

const KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
/// Start of every test: a full minute, a full ten seconds and a full 100 ms.
const START: Ts = Ts(1_700_000_040_000_000_000);
const API: ConnId = ConnId(1);
const STREAMS: ConnId = ConnId(2);

fn btcusdt() -> Instrument {
    Instrument {
        id: InstrumentId(0),
        venue: VenueId(0),
        symbol: "BTCUSDT".into(),
        base: "BTC".into(),
        quote: "USDT".into(),
        base_id: AssetId(0),
        quote_id: AssetId(1),
        px_decimals: 2,
        qty_decimals: 5,
        quote_decimals: 8,
        tick: Px(1),
        px_min: Px(1),
        px_max: Px(100_000_000),
        lot: Qty(1),
        qty_min: Qty(1),
        qty_max: Qty(900_000_000),
        notional_min: 5_0000000,
        open_orders_max: 5,
        market_qty: Default::default(),
        band_buy: Default::default(),
        band_sell: Default::default(),
        trading: true,
    }
}

fn config(market: SimMarket) -> SimConfig {
    SimConfig {
        instrument: btcusdt(),
        market,
        account: SimAccount {
            api_key: KEY.into(),
            secret: SECRET.into(),
            base: Decimal::new(10, 0),
            quote: Decimal::new(1_000_000, 0),
        },
        fees: Fees { maker_ppm: 1_000, taker_ppm: 2_000 },
        depth_interval_ms: 100,
        limits: SimLimits {
            weight_per_min: 1_000_000,
            orders_per_10s: 1_000,
            stream_requests_per_s: 100,
            ..SimLimits::default()
        },
        faults: SimFaults::default(),
    }
}

/// A crowd around 60000.00; with `actions_per_s` 0 only its first quotes are there.
fn crowd(seed: u64, actions_per_s: f64) -> SimMarket {
    let config = CrowdConfig { actions_per_s, ..CrowdConfig::around(&btcusdt(), Px(6_000_000)) };
    SimMarket::Crowd { seed, config }
}

/// A recording: lines of (ns after START, payload).
fn recording(lines: &[(u64, String)]) -> SimMarket {
    let lines: Vec<String> = lines.iter().map(|(at, text)| format!("{} {text}", START.0 + at)).collect();
    SimMarket::Recorded { lines: Box::new(CaptureLines::new(lines)) }
}

fn trade_line(id: u64, px: &str, qty: &str, buyer_rested: bool) -> String {
    format!(
        r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":1,"s":"BTCUSDT","t":{id},"p":"{px}","q":"{qty}","T":1,"m":{buyer_rested},"M":true}}}}"#
    )
}

fn top_line(id: u64, bid: (&str, &str), ask: (&str, &str)) -> String {
    format!(
        r#"{{"stream":"btcusdt@bookTicker","data":{{"u":{id},"s":"BTCUSDT","b":"{}","B":"{}","a":"{}","A":"{}"}}}}"#,
        bid.0, bid.1, ask.0, ask.1
    )
}

fn hmac_hex(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect()
}

/// Adds key, time and signature to the parameters of a request.
fn signed(mut params: Value, now: Ts) -> Value {
    params["apiKey"] = json!(KEY);
    if params.get("timestamp").is_none() {
        params["timestamp"] = json!(now.as_ms());
    }
    let object = params.as_object().expect("an object");
    let mut pairs: Vec<String> = object
        .iter()
        .map(|(k, v)| match v {
            Value::String(s) => format!("{k}={s}"),
            other => format!("{k}={other}"),
        })
        .collect();
    pairs.sort();
    params["signature"] = json!(hmac_hex(&pairs.join("&")));
    params
}

/// A venue and the clock around it.
struct Bench {
    sim: BinanceSim,
    now: Ts,
    /// Everything the venue has sent that nobody has looked at yet.
    out: Outbox,
}

impl Bench {
    fn new(config: SimConfig) -> Bench {
        let sim = BinanceSim::new(config, START).expect("a valid configuration");
        Bench { sim, now: START, out: Outbox::new() }
    }

    /// With an API connection that hears its account's events.
    fn subscribed(config: SimConfig) -> Bench {
        let mut b = Bench::new(config);
        assert_eq!(b.sim.open(API, "/ws-api/v3", b.now), Ok(()));
        let reply = b.ask("userDataStream.subscribe.signature", json!({}));
        assert_eq!(reply["result"], json!({"subscriptionId": 0}));
        b
    }

    fn pass_ms(&mut self, ms: u64) {
        self.now = self.now.plus_ns(ms * 1_000_000);
        self.sim.advance(self.now, &mut self.out);
    }

    fn send(&mut self, method: &str, params: Value) {
        let text = json!({"id": "r1", "method": method, "params": params}).to_string();
        self.sim.on_text(API, text.as_bytes(), self.now, &mut self.out);
    }

    /// Sends a signed request and takes its reply; events stay.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.send(method, signed(params, self.now));
        self.reply().expect("a reply")
    }

    fn reply(&mut self) -> Option<Value> {
        let at = self.out.iter().position(|o| match o {
            Out::Text { conn: API, payload } => payload.starts_with(b"{\"id\":"),
            _ => false,
        })?;
        let Out::Text { payload, .. } = self.out.remove(at) else { return None };
        Some(serde_json::from_slice(&payload).expect("a reply is JSON"))
    }

    /// The account's events so far.
    fn events(&mut self) -> Vec<Value> {
        let texts = self.texts(API);
        texts
            .into_iter()
            .map(|text| {
                let mut frame: Value = serde_json::from_slice(&text).expect("an event is JSON");
                assert_eq!(frame["subscriptionId"], json!(0));
                frame["event"].take()
            })
            .collect()
    }

    /// Frames so far of one connection, as sent.
    fn texts(&mut self, wanted: ConnId) -> Vec<Vec<u8>> {
        let (mut texts, mut rest) = (Vec::new(), Outbox::new());
        for item in self.out.drain(..) {
            match item {
                Out::Text { conn, payload } if conn == wanted => texts.push(payload),
                other => rest.push(other),
            }
        }
        self.out = rest;
        texts
    }

    fn http(&mut self, method: &str, target: &str) -> Option<(u16, Value)> {
        let request = HttpIn {
            id: 7,
            method: method.into(),
            target: target.into(),
            headers: vec![("x-mbx-apikey".into(), KEY.into())],
            body: Vec::new(),
        };
        self.sim.http(request, self.now, &mut self.out);
        self.http_reply()
    }

    fn http_reply(&mut self) -> Option<(u16, Value)> {
        let at = self.out.iter().position(|o| matches!(o, Out::Http { .. }))?;
        let Out::Http { id, status, body, .. } = self.out.remove(at) else { return None };
        assert_eq!(id, 7);
        Some((status, serde_json::from_slice(&body).expect("a body is JSON")))
    }

    /// A signed REST request.
    fn rest(&mut self, method: &str, path: &str, query: &str) -> (u16, Value) {
        let query = format!("{query}&timestamp={}", self.now.as_ms());
        let query = query.trim_start_matches('&');
        let target = format!("{path}?{query}&signature={}", hmac_hex(query));
        self.http(method, &target).expect("an answer")
    }

    fn best(&mut self) -> (Level, Level) {
        let (status, book) = self.http("GET", "/api/v3/depth?symbol=BTCUSDT&limit=1").expect("a snapshot");
        assert_eq!(status, 200);
        (Level::of(&book["bids"][0]), Level::of(&book["asks"][0]))
    }
}

/// A price level as text.
#[derive(Clone, Debug, PartialEq)]
struct Level {
    px: Decimal,
    qty: Decimal,
}

impl Level {
    fn of(pair: &Value) -> Level {
        Level { px: dec(&pair[0]), qty: dec(&pair[1]) }
    }
}

fn dec(text: &Value) -> Decimal {
    text.as_str().expect("a number as text").parse().expect("a decimal number")
}

/// A value with the venue's eight decimals.
fn d8(value: Decimal) -> String {
    let mut value = value;
    value.rescale(8);
    value.to_string()
}

fn limit(side: &str, px: &str, qty: &str, id: &str) -> Value {
    json!({"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC", "price": px, "quantity": qty,
           "newClientOrderId": id, "newOrderRespType": "RESULT"})
}
