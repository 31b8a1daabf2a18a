//! What the venue counts: weights, orders, bans, and how an answer says so.

use super::*;
use std::collections::BTreeMap;

fn headers(b: &mut Bench, target: &str) -> (u16, BTreeMap<String, String>) {
    let request = HttpIn { id: 7, method: "GET".into(), target: target.into(), ..HttpIn::default() };
    b.sim.http(request, b.now, &mut b.out);
    match b.out.pop() {
        Some(Out::Http { status, headers, .. }) => (status, headers.into_iter().collect()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_request_costs_its_documented_weight() {
    let mut b = Bench::subscribed(config(crowd(5, 0.0)));
    let symbol = json!({"symbol": "BTCUSDT"});
    let of = |name: &str, value: Value| json!({"symbol": "BTCUSDT", name: value});
    let costs = [
        ("order.place", limit("BUY", "50000", "0.01", "w"), 1),
        ("order.test", limit("BUY", "50000", "0.01", "w2"), 1),
        ("order.cancel", of("orderId", json!(99_999)), 1),
        ("order.status", of("origClientOrderId", json!("w")), 4),
        ("openOrders.status", symbol.clone(), 6),
        ("openOrders.status", json!({}), 80),
        ("allOrders", symbol.clone(), 20),
        ("myTrades", symbol.clone(), 20),
        ("myTrades", of("orderId", json!(1)), 5),
        ("myPreventedMatches", of("preventedMatchId", json!(1)), 2),
        ("myPreventedMatches", of("orderId", json!(1)), 20),
        ("account.status", json!({}), 20),
        ("account.rateLimits.orders", json!({}), 40),
        ("orderList.status", json!({"orderListId": 0}), 4),
        ("openOrderLists.status", json!({}), 6),
        ("allOrderLists", json!({}), 20),
        ("openOrders.cancelAll", symbol.clone(), 1),
    ];
    let used =
        |reply: &Value| reply["rateLimits"].as_array().expect("limits").last().expect("one")["count"].clone();
    let mut before = 4; // connecting and subscribing
    for (method, params, weight) in costs {
        let reply = b.ask(method, params);
        before += weight;
        assert_eq!(used(&reply), json!(before), "{method}");
        let orders = reply["rateLimits"].as_array().map(Vec::len);
        assert_eq!(orders, Some(if method == "order.place" { 3 } else { 1 }), "{method}");
    }
    for (method, weight) in
        [("ping", 1), ("time", 1), ("exchangeInfo", 20), ("session.status", 2), ("depth", 5)]
    {
        b.send(method, if method == "depth" { symbol.clone() } else { json!({}) });
        before += weight;
        assert_eq!(used(&b.reply().expect("a reply")), json!(before), "{method}");
    }
}

#[test]
fn rest_says_in_headers_what_is_used() {
    let mut b = Bench::new(config(crowd(5, 0.0)));
    let (status, said) = headers(&mut b, "/api/v3/time");
    assert_eq!((status, said["X-MBX-USED-WEIGHT-1M"].as_str()), (200, "1"));
    assert_eq!(said["X-MBX-USED-WEIGHT"], "1");
    assert!(!said.contains_key("X-MBX-ORDER-COUNT-10S") && !said.contains_key("Retry-After"));
    assert_eq!(headers(&mut b, "/api/v3/exchangeInfo").1["X-MBX-USED-WEIGHT-1M"], "21");
    let query = format!(
        "symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=0.01&price=50000&timestamp={}",
        b.now.as_ms()
    );
    let request = HttpIn {
        id: 7,
        method: "POST".into(),
        target: format!("/api/v3/order?{query}&signature={}", hmac_hex(&query)),
        headers: vec![("X-MBX-APIKEY".into(), KEY.into())],
        body: Vec::new(),
    };
    b.sim.http(request, b.now, &mut b.out);
    let Some(Out::Http { status: 200, headers, .. }) = b.out.iter().find(|o| matches!(o, Out::Http { .. }))
    else {
        panic!("{:?}", b.out)
    };
    let headers: BTreeMap<&str, &str> = headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(headers["X-MBX-ORDER-COUNT-10S"], "1");
    assert_eq!(headers["X-MBX-ORDER-COUNT-1D"], "1");
}

#[test]
fn too_much_weight_is_429_and_going_on_is_418() {
    let mut config = config(crowd(5, 0.0));
    (config.limits.weight_per_min, config.limits.ban_after) = (10, 3);
    let mut b = Bench::new(config);
    assert_eq!(b.sim.open(API, "/ws-api/v3", b.now), Ok(()));
    for _ in 0..8 {
        b.send("ping", json!({}));
        assert_eq!(b.reply().expect("a reply")["status"], json!(200));
    }
    b.pass_ms(500);
    b.send("ping", json!({}));
    let reply = b.reply().expect("a reply");
    let (now, minute) = (b.now.as_ms(), START.as_ms() + 60_000);
    assert_eq!((&reply["status"], &reply["error"]["code"]), (&json!(429), &json!(-1003)));
    assert_eq!(reply["error"]["data"], json!({"serverTime": now, "retryAfter": minute}));
    let (status, said) = headers(&mut b, "/api/v3/time");
    assert_eq!((status, said["Retry-After"].as_str()), (429, "60"));
    assert_eq!(b.sim.open(STREAMS, "/ws", b.now), Err(429));
    b.send("ping", json!({}));
    let reply = b.reply().expect("a reply");
    let until = now + 120_000;
    let msg = format!(
        "Way too much request weight used; IP banned until {until}. Please use WebSocket Streams for live updates to avoid bans."
    );
    assert_eq!(reply["status"], json!(418));
    assert_eq!(
        reply["error"],
        json!({"code": -1003, "msg": msg, "data": {"serverTime": now, "retryAfter": until}})
    );
    assert_eq!(b.out, [Out::Close { conn: API }], "a banned address is disconnected");
    b.out.clear();
    let (status, said) = headers(&mut b, "/api/v3/time");
    assert_eq!((status, said["Retry-After"].as_str()), (418, "120"));
    b.pass_ms(119_999);
    assert_eq!(b.sim.open(API, "/ws-api/v3", b.now), Err(418));
    b.pass_ms(1);
    assert_eq!(b.sim.open(API, "/ws-api/v3", b.now), Ok(()));
}

#[test]
fn filters_of_the_account_are_listed_and_held() {
    let mut config = config(crowd(5, 0.0));
    config.limits.filters =
        exchange::Filters { algo_orders_max: 1, position_max: 12_00000000, notional_max: 100_000_0000000 };
    config.instrument.market_qty = wire::QtyRule { min: Qty(100), max: Qty(200_000), step: Qty(100) };
    let one = wire::PriceBand::ONE;
    config.instrument.band_buy = wire::PriceBand { down: one / 2, up: one + one / 100 };
    config.instrument.band_sell = wire::PriceBand { down: one - one / 100, up: one * 2 };
    let mut b = Bench::subscribed(config);
    b.send("exchangeInfo", json!({}));
    let info = b.reply().expect("a reply");
    let filters = info["result"]["symbols"][0]["filters"].as_array().expect("filters").clone();
    let filter = |name: &str| {
        filters.iter().find(|f| f["filterType"] == json!(name)).unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!(filter("MAX_NUM_ALGO_ORDERS")["maxNumAlgoOrders"], json!(1));
    assert_eq!(filter("MAX_POSITION")["maxPosition"], json!("12.00000000"));
    assert_eq!(filter("NOTIONAL")["maxNotional"], json!("100000.00000000"));
    assert_eq!(filter("PERCENT_PRICE_BY_SIDE")["bidMultiplierUp"], json!("1.01000000"));
    assert_eq!(filter("MARKET_LOT_SIZE")["stepSize"], json!("0.00100000"));
    // The last price is near 60000 from here on.
    let market = |qty: &str| json!({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": qty});
    assert_eq!(b.ask("order.place", market("0.001"))["result"]["status"], json!("FILLED"));
    let stop = |id: &str, px: &str| {
        json!({"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "price": "59500",
               "stopPrice": px, "quantity": "0.01", "newClientOrderId": id})
    };
    assert_eq!(b.ask("order.place", stop("s1", "59000"))["status"], json!(200));
    for (params, filter) in [
        (stop("s2", "59000"), "MAX_NUM_ALGO_ORDERS"),
        (stop("s3", "59000.001"), "PRICE_FILTER"),
        (market("0.0005"), "MARKET_LOT_SIZE"),
        (market("2.001"), "MARKET_LOT_SIZE"),
        (market("0.0011"), "MARKET_LOT_SIZE"),
        (limit("BUY", "61000", "0.01", "p1"), "PERCENT_PRICE_BY_SIDE"),
        (limit("BUY", "29000", "0.01", "p2"), "PERCENT_PRICE_BY_SIDE"),
        (limit("SELL", "59000", "0.01", "p3"), "PERCENT_PRICE_BY_SIDE"),
        (limit("BUY", "50000", "2.00001", "n"), "NOTIONAL"),
        (limit("BUY", "50000", "0.00009", "m"), "NOTIONAL"),
    ] {
        let reply = b.ask("order.place", params.clone());
        let words = format!("Filter failure: {filter}");
        assert_eq!(reply["error"], json!({"code": -1013, "msg": words}), "{params}");
    }
    // Ten coins at the start and what was bought: two more at most, one of them is asked for already.
    assert_eq!(b.ask("order.place", limit("BUY", "50000", "1.9", "q1"))["status"], json!(200));
    let over = b.ask("order.place", limit("BUY", "50000", "0.1", "q2"));
    assert_eq!(over["error"]["msg"], json!("Filter failure: MAX_POSITION"));
}
