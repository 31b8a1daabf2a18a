//! What the venue says, held against what the real one says: names, types, nesting and optional fields, as `shapes.txt`
//! lists them. That list is held against recorded messages, where those are beside the repository.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;

/// Field by field: types, and whether it may be missing.
type Shape = BTreeMap<String, (Vec<String>, bool)>;

struct Shapes(BTreeMap<String, Shape>);

impl Shapes {
    fn read() -> Shapes {
        let mut kinds: BTreeMap<String, Shape> = BTreeMap::new();
        let mut used: Vec<(String, String, String)> = Vec::new();
        let mut kind = String::new();
        for line in include_str!("shapes.txt").lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                kind = name.to_string();
                assert!(kinds.insert(kind.clone(), Shape::new()).is_none(), "{kind} twice");
            } else if let Some((what, at)) = line.strip_prefix("use ").and_then(|l| l.split_once(" at ")) {
                used.push((kind.clone(), what.to_string(), at.trim_matches('.').to_string()));
            } else {
                let (path, types) = line.split_once(' ').expect("a path and its types");
                let (path, optional) = path.strip_suffix('?').map_or((path, false), |p| (p, true));
                let types = types.split('|').map(str::to_string).collect();
                kinds.get_mut(&kind).expect("a kind").insert(path.to_string(), (types, optional));
            }
        }
        // A kind may use one that uses another: twice is deep enough.
        for _ in 0..2 {
            for (kind, what, at) in &used {
                let fields = kinds[what].clone();
                let below = |path: String| if at.is_empty() { path } else { format!("{at}.{path}") };
                kinds.get_mut(kind).expect("a kind").extend(fields.into_iter().map(|(p, f)| (below(p), f)));
            }
        }
        Shapes(kinds)
    }

    /// What is wrong with a message of a kind; `whole` = every field that is not optional must be there.
    fn faults(&self, kind: &str, message: &Value, whole: bool) -> Vec<String> {
        let shape = self.0.get(kind).unwrap_or_else(|| panic!("no kind {kind}"));
        let (mut seen, mut objects) = (Vec::new(), BTreeSet::new());
        walk(message, "", shape, &mut seen, &mut objects);
        let mut faults = Vec::new();
        for (path, found) in &seen {
            match shape.get(path) {
                None => faults.push(format!("{path} is not a field of it")),
                Some((types, _)) if !types.iter().any(|t| t == "any" || fits(found, t)) => {
                    faults.push(format!("{path} is {found}, not {}", types.join("|")));
                }
                Some(_) => {}
            }
        }
        let present: BTreeSet<&str> = seen.iter().map(|(path, _)| path.as_str()).collect();
        for (path, (_, optional)) in shape {
            let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
            let element = path.ends_with("[]");
            if whole && !optional && !element && objects.contains(parent) && !present.contains(path.as_str())
            {
                faults.push(format!("{path} is missing"));
            }
        }
        faults
    }

    fn check(&self, kind: &str, message: &Value) {
        let faults = self.faults(kind, message, true);
        assert!(faults.is_empty(), "{kind}: {}\n{message:#}", faults.join("; "));
    }
}

fn fits(found: &str, allowed: &str) -> bool {
    found == allowed || found == "decimal" && allowed == "text"
}

/// Every path of a message with its type, and the paths of its objects.
fn walk(
    value: &Value,
    path: &str,
    shape: &Shape,
    seen: &mut Vec<(String, &'static str)>,
    objects: &mut BTreeSet<String>,
) {
    let mut note = |kind| seen.push((path.to_string(), kind));
    if shape.get(path).is_some_and(|(types, _)| types.iter().any(|t| t == "any")) {
        return note("any");
    }
    match value {
        Value::Null => note("null"),
        Value::Bool(_) => note("bool"),
        Value::Number(n) => note(if n.is_f64() { "float" } else { "int" }),
        Value::String(s) if s.parse::<Decimal>().is_ok() => note("decimal"),
        Value::String(_) => note("text"),
        Value::Array(items) => {
            note("array");
            for item in items {
                walk(item, &format!("{path}[]"), shape, seen, objects);
            }
        }
        Value::Object(fields) => {
            if !path.is_empty() && !path.ends_with("[]") {
                note("object");
            }
            objects.insert(path.to_string());
            for (name, value) in fields {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(value, &below, shape, seen, objects);
            }
        }
    }
}

/// Checks the frame of a reply and hands out its result or error.
fn open(shapes: &Shapes, reply: Value) -> Value {
    shapes.check("frame", &reply);
    reply.get("result").or(reply.get("error")).expect("either").clone()
}

/// Checks every event so far by its kind.
fn events(shapes: &Shapes, b: &mut Bench, met: &mut BTreeSet<String>) {
    for event in b.events() {
        let kind = match event["e"].as_str().expect("a name") {
            "executionReport" => "report",
            "outboundAccountPosition" => "position",
            "listStatus" => "list status",
            _ => "notice",
        };
        met.insert(format!("{kind} {}", event["x"].as_str().unwrap_or_default()).trim().to_string());
        shapes.check(kind, &event);
    }
}

fn market() -> SimMarket {
    recording(&[
        (0, top_line(1, ("100.00", "1.00000"), ("100.10", "9.00000"))),
        (1_000_000_000, trade_line(1, "100.05", "0.10000", false)),
    ])
}

#[test]
fn orders_and_queries_have_the_venue_s_shape() {
    let shapes = Shapes::read();
    let mut config = config(market());
    config.instrument.open_orders_max = 50;
    let mut b = Bench::subscribed(config);
    assert_eq!(b.sim.open(STREAMS, "/stream?streams=btcusdt@trade", b.now), Ok(()));
    b.pass_ms(1_001);
    let mut met = BTreeSet::new();
    let ask = |b: &mut Bench, kind: &str, method: &str, params: Value| {
        let result = open(&shapes, b.ask(method, params));
        match result {
            Value::Array(rows) => {
                assert!(!rows.is_empty(), "{method} shows nothing");
                rows.iter().for_each(|row| shapes.check(kind, row));
            }
            result => shapes.check(kind, &result),
        }
    };
    let placed = |form: &str, id: &str, more: Value| {
        let mut order = limit("BUY", "100.20", "0.1", id);
        order["newOrderRespType"] = json!(form);
        for (name, value) in more.as_object().expect("an object") {
            match value {
                Value::Null => drop(order.as_object_mut().expect("an object").remove(name)),
                value => order[name] = value.clone(),
            }
        }
        order
    };
    ask(&mut b, "ack", "order.place", placed("ACK", "a", json!({})));
    ask(
        &mut b,
        "placed result",
        "order.place",
        placed("RESULT", "b", json!({"strategyId": 7, "strategyType": 1000000})),
    );
    ask(&mut b, "placed full", "order.place", placed("FULL", "c", json!({})));
    ask(
        &mut b,
        "placed full",
        "order.place",
        placed("FULL", "d", json!({"timeInForce": "FOK", "quantity": "99"})),
    );
    ask(
        &mut b,
        "placed full",
        "order.place",
        placed("FULL", "e", json!({"type": "MARKET", "price": null, "timeInForce": null})),
    );
    let stop = json!({"type": "STOP_LOSS_LIMIT", "stopPrice": "101", "side": "BUY"});
    ask(&mut b, "placed result", "order.place", placed("RESULT", "stop", stop));
    ask(&mut b, "placed result", "order.place", placed("RESULT", "rest", json!({"price": "99.00"})));
    ask(
        &mut b,
        "placed full",
        "order.place",
        placed("FULL", "stp", json!({"side": "SELL", "price": "98.00", "quantity": "2"})),
    );
    for mode in ["EXPIRE_MAKER", "EXPIRE_BOTH"] {
        let own = json!({"price": "99.00"});
        ask(&mut b, "placed result", "order.place", placed("RESULT", mode, own));
        let sell =
            json!({"side": "SELL", "price": "98.00", "quantity": "2", "selfTradePreventionMode": mode});
        ask(&mut b, "placed full", "order.place", placed("FULL", &format!("x{mode}"), sell));
    }
    ask(&mut b, "prevented row", "myPreventedMatches", json!({"symbol": "BTCUSDT", "preventedMatchId": 0}));
    ask(&mut b, "status", "openOrders.status", json!({"symbol": "BTCUSDT"}));
    ask(&mut b, "status", "allOrders", json!({"symbol": "BTCUSDT"}));
    ask(&mut b, "status", "order.status", json!({"symbol": "BTCUSDT", "origClientOrderId": "stp"}));
    ask(&mut b, "trade row", "myTrades", json!({"symbol": "BTCUSDT"}));
    ask(&mut b, "account", "account.status", json!({}));
    ask(&mut b, "limit", "account.rateLimits.orders", json!({}));
    ask(&mut b, "cancelled", "order.cancel", json!({"symbol": "BTCUSDT", "origClientOrderId": "stop"}));
    let oco = json!({"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.5", "aboveType": "LIMIT_MAKER",
                     "abovePrice": "103", "belowType": "STOP_LOSS_LIMIT", "belowPrice": "98", "belowStopPrice": "99",
                     "belowTimeInForce": "GTC", "newOrderRespType": "RESULT"});
    ask(&mut b, "list placed", "orderList.place.oco", oco.clone());
    ask(&mut b, "list", "openOrderLists.status", json!({}));
    ask(&mut b, "list", "orderList.status", json!({"orderListId": 0}));
    ask(&mut b, "list cancelled", "orderList.cancel", json!({"symbol": "BTCUSDT", "orderListId": 0}));
    let replace = |old: &str, id: &str, px: &str| {
        let mut new = placed("RESULT", id, json!({"price": px, "type": "LIMIT_MAKER", "timeInForce": null}));
        new["cancelReplaceMode"] = json!("STOP_ON_FAILURE");
        new["cancelOrigClientOrderId"] = json!(old);
        new
    };
    ask(&mut b, "ack", "order.place", placed("ACK", "old", json!({"price": "90.00"})));
    ask(&mut b, "replaced", "order.cancelReplace", replace("old", "new", "91.00"));
    ask(&mut b, "replace half failed", "order.cancelReplace", replace("new", "newer", "100.20"));
    ask(&mut b, "replace not attempted", "order.cancelReplace", replace("nobody", "newest", "91.00"));
    ask(&mut b, "ack", "order.place", placed("ACK", "last", json!({"price": "90.00"})));
    ask(&mut b, "cancelled", "openOrders.cancelAll", json!({"symbol": "BTCUSDT"}));
    events(&shapes, &mut b, &mut met);
    let kinds = ["NEW", "TRADE", "CANCELED", "EXPIRED", "TRADE_PREVENTION"].map(|x| format!("report {x}"));
    for kind in kinds.iter().map(String::as_str).chain(["position", "list status"]) {
        assert!(met.contains(kind), "{kind} was not met: {met:?}");
    }
    // REST says the same; an error of it has no times.
    let (_, order) = b.rest(
        "POST",
        "/api/v3/order",
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.1&price=99",
    );
    shapes.check("placed full", &order);
    let (_, error) = b.rest("GET", "/api/v3/order", "symbol=BTCUSDT&orderId=999");
    shapes.check("rest error", &error);
}

#[test]
fn sessions_and_public_messages_have_the_venue_s_shape() {
    let shapes = Shapes::read();
    let mut config = config(crowd(3, 2_000.0));
    (config.limits.connection_ms, config.limits.shutdown_notice_ms) = (60_000, 10_000);
    config.limits.filters =
        exchange::Filters { algo_orders_max: 5, position_max: 1 << 60, ..Default::default() };
    config.instrument.market_qty = wire::QtyRule { min: Qty(1), max: Qty(100_000), step: Qty(1) };
    let one = wire::PriceBand::ONE;
    config.instrument.band_buy = wire::PriceBand { down: one / 2, up: one * 2 };
    let mut b = Bench::subscribed(config);
    for (kind, method) in [("session", "session.status"), ("session", "session.logout"), ("time", "time")] {
        b.send(method, json!({}));
        shapes.check(kind, &open(&shapes, b.reply().expect("a reply")));
    }
    b.send("session.subscriptions", json!({}));
    shapes.check("subscription", &open(&shapes, b.reply().expect("a reply"))[0]);
    b.send("exchangeInfo", json!({"symbol": "BTCUSDT"}));
    shapes.check("exchange info", &open(&shapes, b.reply().expect("a reply")));
    b.send("depth", json!({"symbol": "BTCUSDT"}));
    shapes.check("depth", &open(&shapes, b.reply().expect("a reply")));
    let streams = ["btcusdt@depth@100ms", "btcusdt@bookTicker", "btcusdt@trade"];
    for (n, stream) in streams.iter().enumerate() {
        assert_eq!(b.sim.open(ConnId(10 + n as u32), &format!("/ws/{stream}"), b.now), Ok(()));
    }
    b.pass_ms(3_000);
    for (n, kind) in ["depth update", "book ticker", "trade"].into_iter().enumerate() {
        let texts = b.texts(ConnId(10 + n as u32));
        assert!(texts.len() > 5, "{kind}");
        for text in texts {
            shapes.check(kind, &serde_json::from_slice(&text).expect("JSON"));
        }
    }
    b.send("userDataStream.unsubscribe", json!({}));
    b.reply();
    for frame in b.texts(API) {
        shapes.check("event frame", &serde_json::from_slice(&frame).expect("JSON"));
    }
    assert_eq!(b.sim.open(STREAMS, "/stream?streams=none", b.now), Ok(()));
    b.sim.announce_shutdown(1_000, b.now);
    b.sim.advance(b.now, &mut b.out);
    for (conn, kind) in [(API, "api notice"), (STREAMS, "stream notice"), (ConnId(10), "notice")] {
        shapes.check(kind, &serde_json::from_slice(&b.texts(conn)[0]).expect("JSON"));
    }
    // Backing off says until when.
    let mut strict = self::config(crowd(3, 0.0));
    strict.limits.weight_per_min = 2;
    let mut b = Bench::new(strict);
    assert_eq!(b.sim.open(API, "/ws-api/v3", b.now), Ok(()));
    b.send("ping", json!({}));
    shapes.check("backoff", &open(&shapes, b.reply().expect("a reply")));
}

#[test]
fn the_table_can_fail() {
    let shapes = Shapes::read();
    let good = json!({"e": "serverShutdown", "E": 1});
    assert!(shapes.faults("notice", &good, true).is_empty());
    for (bad, fault) in [
        (json!({"e": "serverShutdown"}), "E is missing"),
        (json!({"e": "serverShutdown", "E": "1"}), "E is decimal, not int"),
        (json!({"e": "serverShutdown", "E": 1, "x": 1}), "x is not a field of it"),
        (json!({"e": null, "E": 1}), "e is null, not text"),
    ] {
        assert_eq!(shapes.faults("notice", &bad, true), [fault]);
    }
    let list = json!({"lastUpdateId": 1, "bids": [["1", 2]], "asks": []});
    assert_eq!(shapes.faults("depth", &list, true), ["bids[][] is int, not decimal"]);
}

/// A file beside the repository, `None` after saying that it is not there.
fn recorded(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/binance").join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(_) => {
            println!("skipped: {} is not there", path.display());
            None
        }
    }
}

/// Recorded messages: each field that they have is one of the table's, with its type. (They are of many years, so that
/// fields of today may be missing.)
#[test]
fn recorded_messages_fit_the_table() {
    let shapes = Shapes::read();
    let http = |name: &str| format!("nautilus/spot/http_json/{name}.json");
    let user = |name: &str| format!("nautilus/spot/user_data_json/{name}.json");
    let socket = |name: &str| format!("nautilus_int/ws_messages/ws_spot_{name}.json");
    let rest = |name: &str| format!("nautilus_int/http_responses/http_spot_{name}.json");
    let mut files = vec![
        ("account", http("account_response")),
        ("trade row", http("account_trades_response")),
        ("status", http("all_orders_response")),
        ("cancelled", http("cancel_open_orders_response")),
        ("cancelled", http("cancel_order_response")),
        ("depth", http("depth_response")),
        ("exchange info", http("exchange_info_response")),
        ("placed full", http("new_order_full_response")),
        ("status", http("open_orders_response")),
        ("status", http("order_response")),
        ("time", http("server_time_response")),
        ("position", user("account_position")),
        ("position", user("account_position_wrapped")),
        ("list status", user("list_status_wrapped")),
        ("account", rest("wallet_account")),
        ("depth", rest("market_depth")),
        ("exchange info", rest("market_exchange_info")),
        ("time", rest("market_time")),
        ("trade", socket("trade")),
        ("book ticker", socket("ticker_book")),
    ];
    files.extend(
        ["canceled", "expired", "new", "stop_loss", "trade", "wrapped"]
            .map(|n| ("report", user(&format!("execution_report_{n}")))),
    );
    files.extend(
        [
            "canceled",
            "expired",
            "new",
            "rejected",
            "trade",
            "trade_prevention",
            "custom_client_id",
            "binance_us",
        ]
        .map(|n| ("report", socket(&format!("execution_report_{n}")))),
    );
    let mut faults = Vec::new();
    let mut read = 0;
    for (kind, name) in files {
        let Some(bytes) = recorded(&name) else { continue };
        let mut message: Value = serde_json::from_slice(&bytes).expect("JSON");
        for wrapping in ["event", "data"] {
            if message.get(wrapping).is_some_and(Value::is_object) {
                message = message[wrapping].take();
            }
        }
        let rows = if let Value::Array(rows) = message { rows } else { vec![message] };
        for row in rows {
            read += 1;
            let kind = if row.get("contingencyType").is_some() { "list cancelled" } else { kind };
            faults.extend(shapes.faults(kind, &row, false).into_iter().map(|f| format!("{name}: {f}")));
        }
    }
    faults.retain(|fault| !GONE.iter().any(|(of, field)| fault.contains(of) && fault.contains(field)));
    assert!(faults.is_empty(), "{read} messages:\n{}", faults.join("\n"));
    let Some(bytes) = recorded("spot/hftbacktest_btcusdt_20240808.gz") else { return };
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("a capture");
    for line in text.lines().take(3_000) {
        let message: Value = serde_json::from_str(line.split_once(' ').expect("a stamp").1).expect("JSON");
        let Some(stream) = message["stream"].as_str() else { continue };
        let kind = match stream.split_once('@').map(|(_, name)| name) {
            Some("trade") => "trade",
            Some("bookTicker") => "book ticker",
            _ => "depth update",
        };
        shapes.check(kind, &message["data"]);
    }
}

/// Fields of recorded messages that the venue's documentation no longer has, or that are of its features that are not
/// simulated: (part of the file's name, the field).
const GONE: &[(&str, &str)] = &[
    // Iceberg orders and smart routing.
    ("cancel_open_orders_response", "icebergQty"),
    ("exchange_info_response", "sors"),
    // Buyer's and seller's order numbers of trades, until 2024.
    ("ws_spot_trade", "a is not a field"),
    ("ws_spot_trade", "b is not a field"),
    // Times of a book ticker are those of futures.
    ("ws_spot_ticker_book", "E is not a field"),
    ("ws_spot_ticker_book", "T is not a field"),
];
