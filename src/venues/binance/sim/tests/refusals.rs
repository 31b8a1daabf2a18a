//! Every refusal, in the venue's words.

use super::*;

/// A good order with some fields changed; `null` takes a field away.
fn order(changes: Value) -> Value {
    let mut order = json!({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
                           "price": "50000.00", "quantity": "0.01"});
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            order.as_object_mut().expect("an object").remove(name);
        } else {
            order[name] = value.clone();
        }
    }
    order
}

#[test]
fn every_refusal_of_an_order() {
    let mut b = Bench::subscribed(config(crowd(5, 0.0)));
    let late = START.as_ms() - 5_001;
    let cases = [
        (
            json!({"symbol": null}),
            -1102,
            "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
        ),
        (json!({"symbol": "ETHBTC"}), -1121, "Invalid symbol."),
        (json!({"side": "HOLD"}), -1117, "Invalid side."),
        (
            json!({"side": null}),
            -1102,
            "Mandatory parameter 'side' was not sent, was empty/null, or malformed.",
        ),
        (json!({"type": "LIMITED"}), -1116, "Invalid orderType."),
        (
            json!({"type": "STOP_LOSS"}),
            -1102,
            "Mandatory parameter 'stopPrice' was not sent, was empty/null, or malformed.",
        ),
        (json!({"type": "MARKET", "timeInForce": null}), -1106, "Parameter 'price' sent when not required."),
        (json!({"type": "LIMIT_MAKER"}), -1106, "Parameter 'timeInForce' sent when not required."),
        (json!({"timeInForce": "GTX"}), -1115, "Invalid timeInForce."),
        (
            json!({"timeInForce": ""}),
            -1102,
            "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.",
        ),
        (
            json!({"price": "1e5"}),
            -1100,
            "Illegal characters found in parameter 'price'; legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.",
        ),
        (json!({"price": "50000.123456789"}), -1111, "Parameter 'price' has too much precision."),
        (json!({"quantity": "0.010000001"}), -1111, "Parameter 'quantity' has too much precision."),
        (json!({"price": "50000.001"}), -1013, "Filter failure: PRICE_FILTER"),
        (json!({"price": "0"}), -1013, "Filter failure: PRICE_FILTER"),
        (json!({"price": "1000000.01"}), -1013, "Filter failure: PRICE_FILTER"),
        (json!({"quantity": "0.000001"}), -1013, "Filter failure: LOT_SIZE"),
        (json!({"quantity": "0"}), -1013, "Filter failure: LOT_SIZE"),
        (json!({"quantity": "9000.00001"}), -1013, "Filter failure: LOT_SIZE"),
        (json!({"quantity": "0.00009"}), -1013, "Filter failure: NOTIONAL"),
        (json!({"quantity": "20.00001"}), -2010, "Account has insufficient balance for requested action."),
        (
            json!({"side": "SELL", "price": "70000", "quantity": "10.00001"}),
            -2010,
            "Account has insufficient balance for requested action.",
        ),
        (
            json!({"type": "LIMIT_MAKER", "timeInForce": null, "price": "61000"}),
            -2010,
            "Order would immediately match and take.",
        ),
        (
            json!({"newClientOrderId": "a b"}),
            -1100,
            "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.",
        ),
        (
            json!({"newClientOrderId": "x".repeat(37)}),
            -1100,
            "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.",
        ),
        (json!({"newClientOrderId": ""}), -1105, "Parameter 'newClientOrderId' was empty."),
        (
            json!({"newOrderRespType": "LOUD"}),
            -1130,
            "Data sent for parameter 'newOrderRespType' is not valid.",
        ),
        (json!({"icebergQty": "1"}), -2010, "Iceberg orders are not supported for this symbol."),
        (json!({"stopPrice": "1"}), -1106, "Parameter 'stopPrice' sent when not required."),
        (
            json!({"colour": "red"}),
            -1104,
            "Not all sent parameters were read; read '9' parameter(s) but was sent '10'.",
        ),
        (json!({"timestamp": late}), -1021, "Timestamp for this request is outside of the recvWindow."),
        (
            json!({"timestamp": START.as_ms() + 1_000}),
            -1021,
            "Timestamp for this request was 1000ms ahead of the server's time.",
        ),
        (
            json!({"recvWindow": 60_001}),
            -1102,
            "'recvWindow' contains unexpected value. Cannot be greater than 60000.",
        ),
        (
            json!({"timestamp": "soon"}),
            -1100,
            "Illegal characters found in parameter 'timestamp'; legal range is '^[0-9]{1,20}$'.",
        ),
    ];
    for (changes, code, msg) in &cases {
        let reply = b.ask("order.place", order(changes.clone()));
        assert_eq!(reply["error"], json!({"code": code, "msg": msg}), "{changes}");
        assert_eq!((&reply["status"], &reply["id"]), (&json!(400), &json!("r1")), "{changes}");
    }
    assert!(b.events().is_empty());
    assert!(b.sim.open_orders().is_empty());
    assert_eq!(b.sim.received().len(), cases.len());
    assert!(b.sim.received().iter().all(|r| !r.accepted));
    assert_eq!(b.sim.balances()[1], ("USDT".to_string(), Decimal::new(1_000_000, 0), Decimal::ZERO));
    assert_eq!(b.ask("order.place", order(json!({"timestamp": late + 1})))["status"], json!(200));
}

#[test]
fn who_may_not() {
    let mut b = Bench::subscribed(config(crowd(5, 0.0)));
    let mut forged = signed(order(json!({})), b.now);
    forged["quantity"] = json!("0.02");
    b.send("order.place", forged);
    let reply = b.reply().expect("a reply");
    assert_eq!(reply["error"], json!({"code": -1022, "msg": "Signature for this request is not valid."}));
    let mut stranger = signed(order(json!({})), b.now);
    stranger["apiKey"] = json!("somebodyElse");
    b.send("order.place", stranger);
    let reply = b.reply().expect("a reply");
    assert_eq!((&reply["error"]["code"], &reply["status"]), (&json!(-2015), &json!(401)));
    for (missing, code) in [("apiKey", -1102), ("timestamp", -1102), ("signature", -1102)] {
        let mut params = signed(order(json!({})), b.now);
        params.as_object_mut().expect("an object").remove(missing);
        b.send("order.place", params);
        let reply = b.reply().expect("a reply");
        assert_eq!(reply["error"]["code"], json!(code), "{missing}");
        assert!(reply["error"]["msg"].as_str().is_some_and(|m| m.contains(missing)));
    }
    assert_eq!(b.sim.received().iter().filter(|r| r.accepted).count(), 0);
}

#[test]
fn identities_must_be_known_and_unused() {
    let mut b = Bench::subscribed(config(crowd(5, 0.0)));
    assert_eq!(b.ask("order.place", order(json!({"newClientOrderId": "twin"})))["status"], json!(200));
    let mut code = |method: &str, mut params: Value| {
        if params.get("symbol").is_none() {
            params["symbol"] = json!("BTCUSDT");
        }
        b.ask(method, params)["error"].clone()
    };
    let dup = code("order.place", order(json!({"newClientOrderId": "twin"})));
    assert_eq!(dup, json!({"code": -2010, "msg": "Duplicate order sent."}));
    let unknown = json!({"code": -2011, "msg": "Unknown order sent."});
    assert_eq!(code("order.cancel", json!({"orderId": 987_654})), unknown);
    assert_eq!(code("order.cancel", json!({"origClientOrderId": "nobody"})), unknown);
    assert_eq!(code("order.status", json!({"orderId": 987_654}))["code"], json!(-2013));
    assert_eq!(
        code("order.status", json!({"origClientOrderId": "nobody"}))["msg"],
        json!("Order does not exist.")
    );
    assert_eq!(code("order.cancel", json!({}))["code"], json!(-1102));
    assert_eq!(code("order.status", json!({"symbol": "X", "orderId": 1}))["code"], json!(-1121));
    let id = b.sim.open_orders()[0].order_id;
    let mut code = |params: Value| b.ask("order.cancel", params)["error"]["code"].clone();
    assert_eq!(code(json!({"symbol": "BTCUSDT", "orderId": id, "origClientOrderId": "other"})), json!(-2039));
    let part = json!({"symbol": "BTCUSDT", "orderId": id, "cancelRestrictions": "ONLY_PARTIALLY_FILLED"});
    assert_eq!(code(part), json!(-2011));
    assert_eq!(code(json!({"symbol": "BTCUSDT", "orderId": id, "cancelRestrictions": "NO"})), json!(-1145));
    assert_eq!(code(json!({"symbol": "BTCUSDT", "orderId": id, "origClientOrderId": "twin"})), Value::Null);
    assert_eq!(code(json!({"symbol": "BTCUSDT", "orderId": id})), json!(-2011));
}

#[test]
fn frames_that_are_not_requests() {
    let mut b = Bench::subscribed(config(crowd(5, 0.0)));
    for (frame, id, code) in [
        ("", Value::Null, -1135),
        ("{", Value::Null, -1135),
        ("[]", Value::Null, -1135),
        (r#"{"id":5}"#, json!(5), -1135),
        (r#"{"id":"x","method":"order.dance"}"#, json!("x"), -1020),
        (r#"{"id":5,"method":"order.place","params":[1]}"#, json!(5), -1135),
        (r#"{"id":5,"method":"order.place","params":{"a":1,"a":2}}"#, json!(5), -1101),
        (r#"{"id":5,"method":"order.place","params":{"a":{}}}"#, json!(5), -1130),
    ] {
        b.sim.on_text(API, frame.as_bytes(), b.now, &mut b.out);
        let reply = b.reply().expect("a reply");
        assert_eq!((&reply["id"], &reply["error"]["code"]), (&id, &json!(code)), "{frame}");
    }
    b.sim.on_text(ConnId(99), b"{}", b.now, &mut b.out);
    assert!(b.out.is_empty(), "nobody there");
}

#[test]
fn too_much_is_refused_until_the_window_ends() {
    let mut cfg = config(crowd(5, 0.0));
    cfg.limits = SimLimits { orders_per_10s: 2, weight_per_min: 60, ..SimLimits::default() };
    let mut b = Bench::subscribed(cfg);
    for n in 0..2 {
        assert_eq!(
            b.ask("order.place", order(json!({"newClientOrderId": format!("n{n}")})))["status"],
            json!(200)
        );
    }
    let reply = b.ask("order.place", order(json!({})));
    assert_eq!(reply["status"], json!(429));
    assert_eq!(
        reply["error"],
        json!({"code": -1015, "msg": "Too many new orders; current limit is 2 orders per 10 SECOND.",
               "data": {"serverTime": START.as_ms(), "retryAfter": START.as_ms() + 10_000}})
    );
    b.pass_ms(10_000);
    assert_eq!(b.ask("order.place", order(json!({})))["status"], json!(200));
    // Opening took 2, subscribing 2, the four orders 4; two account queries of 20 fit, a third does not.
    assert_eq!(b.ask("account.status", json!({}))["status"], json!(200));
    assert_eq!(b.ask("account.status", json!({}))["status"], json!(200));
    let reply = b.ask("account.status", json!({}));
    assert_eq!((&reply["status"], &reply["error"]["code"]), (&json!(429), &json!(-1003)));
    assert_eq!(reply["error"]["data"]["retryAfter"], json!(START.as_ms() + 60_000));
    assert_eq!(b.http("GET", "/api/v3/time").map(|r| r.0), Some(429));
    assert_eq!(b.sim.open(ConnId(9), "/ws-api/v3", b.now), Err(429));
    b.pass_ms(50_000);
    assert_eq!(b.ask("account.status", json!({}))["status"], json!(200));
}

#[test]
fn open_orders_are_bounded_and_a_halt_stops_new_ones() {
    let mut b = Bench::subscribed(config(crowd(5, 0.0)));
    for _ in 0..5 {
        assert_eq!(b.ask("order.place", order(json!({})))["status"], json!(200));
    }
    let full = b.ask("order.place", order(json!({})));
    assert_eq!(full["error"], json!({"code": -1013, "msg": "Filter failure: MAX_NUM_ORDERS"}));
    b.sim.set_trading(false);
    let closed = b.ask("order.place", order(json!({})));
    assert_eq!(closed["error"], json!({"code": -2010, "msg": "Market is closed."}));
    assert_eq!(
        b.http("GET", "/api/v3/exchangeInfo").map(|r| r.1["symbols"][0]["status"].clone()),
        Some(json!("BREAK"))
    );
    assert_eq!(b.ask("openOrders.cancelAll", json!({"symbol": "BTCUSDT"}))["status"], json!(200));
}
