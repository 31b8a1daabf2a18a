//! A client's whole life with the venue.

use super::*;

#[test]
fn an_order_s_life_in_full() {
    // Recorded, so that every price is known: bid 100.00 x 1, ask 100.10 x 0.4.
    let lines = [
        (0, top_line(1, ("100.00", "1.00000"), ("100.10", "0.40000"))),
        (1_000_000_000, trade_line(1, "100.10", "0.30000", false)),
        (2_000_000_000, trade_line(2, "100.15", "0.20000", false)),
        (3_000_000_000, trade_line(3, "100.30", "0.05000", false)),
    ];
    let mut b = Bench::subscribed(config(recording(&lines)));
    assert_eq!(b.sim.open(STREAMS, "/stream?streams=btcusdt@trade", b.now), Ok(()));
    b.pass_ms(1);
    let ms = b.now.as_ms();

    // It takes 0.4 at the ask and rests with 0.6.
    let id = "C0000000001-17979cfe362a000-0007";
    let mut order = limit("BUY", "100.10", "1", id);
    order["newOrderRespType"] = json!("FULL");
    let reply = b.ask("order.place", order);
    assert_eq!(
        reply,
        json!({
            "id": "r1", "status": 200,
            "result": {
                "symbol": "BTCUSDT", "orderId": 1, "orderListId": -1, "clientOrderId": id, "transactTime": ms,
                "price": "100.10000000", "origQty": "1.00000000", "executedQty": "0.40000000",
                "origQuoteOrderQty": "0.00000000", "cummulativeQuoteQty": "40.04000000",
                "status": "PARTIALLY_FILLED", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
                "workingTime": ms,
                "fills": [{"price": "100.10000000", "qty": "0.40000000", "commission": "0.00080000",
                           "commissionAsset": "BTC", "tradeId": 1}],
                "selfTradePreventionMode": "EXPIRE_TAKER"
            },
            "rateLimits": [
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 1000, "count": 0},
                {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 160000, "count": 0},
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1000000,
                 "count": 7}
            ]
        })
    );
    let new = json!({
        "e": "executionReport", "E": ms, "s": "BTCUSDT", "c": id, "S": "BUY", "o": "LIMIT", "f": "GTC",
        "q": "1.00000000", "p": "100.10000000", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "",
        "x": "NEW", "X": "NEW", "r": "NONE", "i": 1, "l": "0.00000000", "z": "0.00000000", "L": "0.00000000",
        "n": "0", "N": null, "T": ms, "t": -1, "I": 1, "w": true, "m": false, "M": false, "O": ms,
        "Z": "0.00000000", "Y": "0.00000000", "Q": "0.00000000", "W": ms, "V": "EXPIRE_TAKER"
    });
    let mut fill = new.clone();
    for (field, value) in [
        ("x", json!("TRADE")),
        ("X", json!("PARTIALLY_FILLED")),
        ("l", json!("0.40000000")),
        ("z", json!("0.40000000")),
        ("L", json!("100.10000000")),
        ("n", json!("0.00080000")),
        ("N", json!("BTC")),
        ("t", json!(1)),
        ("I", json!(2)),
        ("Z", json!("40.04000000")),
        ("Y", json!("40.04000000")),
    ] {
        fill[field] = value;
    }
    // 0.6 at 100.10 stay locked; the rest of the money is free.
    let position = json!({
        "e": "outboundAccountPosition", "E": ms, "u": ms,
        "B": [{"a": "BTC", "f": "10.39920000", "l": "0.00000000"},
              {"a": "USDT", "f": "999899.90000000", "l": "60.06000000"}]
    });
    assert_eq!(b.events(), [new, fill, position]);

    let status = b.ask("order.status", json!({"symbol": "BTCUSDT", "origClientOrderId": id}));
    let mut open = json!({
        "symbol": "BTCUSDT", "orderId": 1, "orderListId": -1, "clientOrderId": id, "price": "100.10000000",
        "origQty": "1.00000000", "executedQty": "0.40000000", "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "40.04000000", "status": "PARTIALLY_FILLED", "timeInForce": "GTC",
        "type": "LIMIT", "side": "BUY", "stopPrice": "0.00000000", "icebergQty": "0.00000000", "time": ms,
        "updateTime": ms, "isWorking": true, "workingTime": ms, "selfTradePreventionMode": "EXPIRE_TAKER"
    });
    assert_eq!(status["result"], open);
    assert_eq!(b.ask("openOrders.status", json!({"symbol": "BTCUSDT"}))["result"], json!([open]));
    assert_eq!(b.ask("openOrders.status", json!({}))["result"], json!([open]));

    b.now = b.now.plus_ns(5_000_000);
    let (placed, ms) = (ms, b.now.as_ms());
    let reply = b.ask("order.cancel", json!({"symbol": "BTCUSDT", "orderId": 1, "newClientOrderId": "gone"}));
    assert_eq!(
        reply["result"],
        json!({
            "symbol": "BTCUSDT", "origClientOrderId": id, "orderId": 1, "orderListId": -1,
            "clientOrderId": "gone", "transactTime": ms, "price": "100.10000000", "origQty": "1.00000000",
            "executedQty": "0.40000000", "origQuoteOrderQty": "0.00000000",
            "cummulativeQuoteQty": "40.04000000", "status": "CANCELED", "timeInForce": "GTC", "type": "LIMIT",
            "side": "BUY", "selfTradePreventionMode": "EXPIRE_TAKER"
        })
    );
    assert_eq!(reply["rateLimits"].as_array().map(Vec::len), Some(1));
    let events = b.events();
    assert_eq!(events.len(), 2);
    for (field, value) in [
        ("x", json!("CANCELED")),
        ("X", json!("CANCELED")),
        ("c", json!("gone")),
        ("C", json!(id)),
        ("z", json!("0.40000000")),
        ("l", json!("0.00000000")),
        ("w", json!(false)),
        ("t", json!(-1)),
        ("T", json!(ms)),
        ("O", json!(placed)),
    ] {
        assert_eq!(events[0][field], value, "{field}");
    }
    assert_eq!(events[1]["B"][1], json!({"a": "USDT", "f": "999959.96000000", "l": "0.00000000"}));

    open["status"] = json!("CANCELED");
    open["updateTime"] = json!(ms);
    for named in
        [json!({"origClientOrderId": id}), json!({"origClientOrderId": "gone"}), json!({"orderId": 1})]
    {
        let mut params = named;
        params["symbol"] = json!("BTCUSDT");
        assert_eq!(b.ask("order.status", params)["result"], open);
    }
    assert_eq!(b.ask("openOrders.status", json!({}))["result"], json!([]));
    assert_eq!(b.sim.received().len(), 1);
    assert_eq!((b.sim.fills(), b.sim.cancels()), (1, 1));
}

#[test]
fn a_resting_order_fills_as_maker_and_its_fee_is_in_quote() {
    let lines = [
        (0, top_line(1, ("100.00", "1.00000"), ("100.20", "1.00000"))),
        (1_000_000_000, trade_line(1, "100.15", "0.30000", false)),
        (2_000_000_000, trade_line(2, "100.20", "0.50000", false)),
    ];
    let mut b = Bench::subscribed(config(recording(&lines)));
    assert_eq!(b.sim.open(STREAMS, "/stream?streams=btcusdt@trade", b.now), Ok(()));
    b.pass_ms(1);
    let reply = b.ask(
        "order.place",
        json!({
            "symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT_MAKER", "price": "100.10", "quantity": "0.7",
            "newClientOrderId": "m1"
        }),
    );
    assert_eq!(
        reply["result"],
        json!({"symbol": "BTCUSDT", "orderId": 1, "orderListId": -1, "clientOrderId": "m1",
               "transactTime": b.now.as_ms()})
    );
    b.events();
    b.pass_ms(1_000);
    let events = b.events();
    let field =
        |e: &Value, names: &str| -> Vec<Value> { names.chars().map(|n| e[n.to_string()].clone()).collect() };
    assert_eq!(
        field(&events[0], "xXlzLnNtm"),
        [
            json!("TRADE"),
            json!("PARTIALLY_FILLED"),
            json!("0.30000000"),
            json!("0.30000000"),
            json!("100.10000000"),
            json!("0.03003000"),
            json!("USDT"),
            json!(1),
            json!(true)
        ]
    );
    assert_eq!(events[0]["T"], json!(START.as_ms() + 1_000));
    b.pass_ms(1_000);
    let events = b.events();
    assert_eq!(
        field(&events[0], "xXlzw"),
        [json!("TRADE"), json!("FILLED"), json!("0.40000000"), json!("0.70000000"), json!(false)]
    );
    // 0.7 sold at 100.10 less 0.1 %.
    assert_eq!(
        events[1]["B"],
        json!([
            {"a": "BTC", "f": "9.30000000", "l": "0.00000000"},
            {"a": "USDT", "f": "1000069.99993000", "l": "0.00000000"}
        ])
    );
    assert_eq!(
        b.sim.balances(),
        [
            ("BTC".to_string(), Decimal::new(93, 1), Decimal::ZERO),
            ("USDT".to_string(), Decimal::new(100_006_999_993, 5), Decimal::ZERO)
        ]
    );
    assert!(b.sim.finished());
}

#[test]
fn against_a_live_book_the_taker_pays_what_the_book_showed() {
    let mut b = Bench::subscribed(config(crowd(5, 0.0)));
    let (_, ask) = b.best();
    let more = ask.qty + Decimal::ONE;
    let mut order = limit("BUY", &ask.px.to_string(), &more.to_string(), "t1");
    order["timeInForce"] = json!("IOC");
    let result = b.ask("order.place", order)["result"].clone();
    assert_eq!(result["executedQty"], json!(d8(ask.qty)));
    assert_eq!(result["cummulativeQuoteQty"], json!(d8(ask.qty * ask.px)));
    assert_eq!(
        (&result["status"], &result["expiryReason"]),
        (&json!("EXPIRED"), &json!("UNFILLED_IOC_QUANTITY_EXPIRED"))
    );
    let kinds: Vec<Value> = b.events().iter().map(|e| e["x"].clone()).filter(|x| !x.is_null()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&json!("NEW")), Some(&json!("EXPIRED"))));
    assert!(kinds.len() >= 3);
    let bought = ask.qty - ask.qty * Decimal::new(2, 3);
    // Every fill's fee is cut at 8 decimals, so the sum may keep a few of the last digit.
    let held = b.sim.balances()[0].1 - Decimal::new(10, 0);
    assert!(held >= bought && held - bought < Decimal::new(10, 8), "{held} of {bought}");

    let market = json!({"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.001"});
    let result = b.ask("order.place", market)["result"].clone();
    assert_eq!((&result["status"], &result["price"]), (&json!("FILLED"), &json!("0.00000000")));
    assert_eq!(result["fills"][0]["commissionAsset"], json!("USDT"));
    assert_eq!(result["clientOrderId"].as_str().map(str::len), Some(22));
}

#[test]
fn cancel_all_takes_every_order_and_then_has_nothing_to_take() {
    let mut b = Bench::subscribed(config(crowd(5, 0.0)));
    for n in 0..3 {
        let px = format!("5000{n}.00");
        assert_eq!(b.ask("order.place", limit("BUY", &px, "0.01", &format!("o{n}")))["status"], json!(200));
    }
    b.events();
    assert_eq!(
        b.sim.open_orders().iter().map(|o| o.client_id.as_str()).collect::<Vec<_>>(),
        ["o0", "o1", "o2"]
    );
    assert_eq!(b.sim.open_orders()[1].px, Px(5_000_100));
    let reply = b.ask("openOrders.cancelAll", json!({"symbol": "BTCUSDT"}));
    let list = reply["result"].as_array().expect("a list");
    let pick = |f: &str| list.iter().map(|o| o[f].clone()).collect::<Vec<_>>();
    assert_eq!(pick("origClientOrderId"), [json!("o0"), json!("o1"), json!("o2")]);
    assert_eq!(pick("status"), [json!("CANCELED"), json!("CANCELED"), json!("CANCELED")]);
    let events = b.events();
    assert_eq!(
        events.iter().map(|e| e["C"].clone()).collect::<Vec<_>>(),
        [json!("o0"), json!("o1"), json!("o2"), Value::Null]
    );
    assert_eq!(events[3]["B"][1]["l"], json!("0.00000000"));
    let again = b.ask("openOrders.cancelAll", json!({"symbol": "BTCUSDT"}));
    assert_eq!(again["error"], json!({"code": -2011, "msg": "Unknown order sent."}));
    assert!(b.sim.open_orders().is_empty());
    // The id of a cancelled order is free again.
    assert_eq!(b.ask("order.place", limit("BUY", "50000", "0.01", "o1"))["status"], json!(200));
}

#[test]
fn rest_says_the_same_as_the_socket() {
    let mut b = Bench::subscribed(config(crowd(5, 0.0)));
    let (status, placed) = b.rest(
        "POST",
        "/api/v3/order",
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=50000&newClientOrderId=r%2D1&newOrderRespType=RESULT",
    );
    assert_eq!((status, &placed["clientOrderId"], &placed["status"]), (200, &json!("r-1"), &json!("NEW")));
    let open = b.rest("GET", "/api/v3/openOrders", "symbol=BTCUSDT").1;
    assert_eq!(open, b.ask("openOrders.status", json!({}))["result"]);
    assert_eq!(
        b.rest("GET", "/api/v3/order", "symbol=BTCUSDT&orderId=9999"),
        (400, json!({"code": -2013, "msg": "Order does not exist."}))
    );
    let account = b.rest("GET", "/api/v3/account", "omitZeroBalances=true").1;
    assert_eq!(account, b.ask("account.status", json!({}))["result"]);
    assert_eq!(
        account["balances"][1],
        json!({"asset": "USDT", "free": "999500.00000000", "locked": "500.00000000"})
    );
    assert_eq!(account["commissionRates"]["taker"], json!("0.00200000"));
    let gone = b.rest("DELETE", "/api/v3/openOrders", "symbol=BTCUSDT").1;
    assert_eq!(gone[0]["origClientOrderId"], json!("r-1"));
    assert_eq!(
        b.rest("DELETE", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=r-1").1["code"],
        json!(-2011)
    );

    let (_, time) = b.http("GET", "/api/v3/time").expect("the time");
    assert_eq!(time, json!({"serverTime": START.as_ms()}));
    assert_eq!(b.http("GET", "/api/v3/nowhere").map(|r| r.0), Some(404));
    let bad = "/api/v3/account?timestamp=1700000040000&signature=00";
    assert_eq!(
        b.http("GET", bad),
        Some((400, json!({"code": -1022, "msg": "Signature for this request is not valid."})))
    );
    assert_eq!(b.sim.received(), [ReceivedOrder { client_id: "r-1".into(), ts: START, accepted: true }]);
}

#[test]
fn exchange_info_carries_the_instrument() {
    let mut b = Bench::new(config(crowd(5, 0.0)));
    let (status, info) = b.http("GET", "/api/v3/exchangeInfo?symbol=BTCUSDT").expect("an answer");
    assert_eq!(status, 200);
    let symbol = &info["symbols"][0];
    assert_eq!((&symbol["symbol"], &symbol["status"]), (&json!("BTCUSDT"), &json!("TRADING")));
    assert_eq!(
        symbol["filters"],
        json!([
            {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": true,
             "maxNotional": "92233720368.54775807", "applyMaxToMarket": false, "avgPriceMins": 0},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 5}
        ])
    );
    assert_eq!(
        info["rateLimits"][0],
        json!({"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 1000})
    );
    assert_eq!(b.sim.open(API, "/ws-api/v3?returnRateLimits=false", b.now), Ok(()));
    b.send("exchangeInfo", json!({"symbols": ["BTCUSDT"]}));
    assert_eq!(b.reply(), Some(json!({"id": "r1", "status": 200, "result": info})));
    let (_, unknown) = b.http("GET", "/api/v3/exchangeInfo?symbols=[%22ETHBTC%22]").expect("an answer");
    assert_eq!(unknown["code"], json!(-1121));
}

#[test]
fn a_microsecond_connection_gets_microseconds() {
    let mut b = Bench::new(config(crowd(5, 0.0)));
    assert_eq!(b.sim.open(API, "/ws-api/v3?timeUnit=MICROSECOND", b.now), Ok(()));
    b.send("time", json!({"returnRateLimits": false}));
    assert_eq!(b.reply(), Some(json!({"id": "r1", "status": 200, "result": {"serverTime": START.0 / 1000}})));
    let order = json!({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "price": "50000", "quantity": "1",
                       "timestamp": START.0 / 1000});
    assert_eq!(b.ask("order.place", order)["result"]["transactTime"], json!(START.0 / 1000));
}

#[test]
fn subscriptions_are_one_per_connection_and_can_end() {
    let mut b = Bench::subscribed(config(crowd(5, 0.0)));
    assert_eq!(b.ask("userDataStream.subscribe.signature", json!({}))["error"]["code"], json!(-2035));
    b.send("session.subscriptions", json!({}));
    assert_eq!(b.reply().map(|r| r["result"].clone()), Some(json!([{"subscriptionId": 0}])));
    b.send("userDataStream.unsubscribe", json!({"subscriptionId": 3}));
    assert_eq!(b.reply().map(|r| r["error"]["code"].clone()), Some(json!(-2036)));
    b.send("userDataStream.unsubscribe", json!({}));
    assert_eq!(b.reply().map(|r| r["result"].clone()), Some(json!({})));
    assert_eq!(b.events(), [json!({"e": "eventStreamTerminated", "E": b.now.as_ms()})]);
    b.ask("order.place", limit("BUY", "50000", "0.01", "quiet"));
    assert!(b.events().is_empty());
    assert_eq!(
        b.ask("userDataStream.subscribe.signature", json!({}))["result"],
        json!({"subscriptionId": 1})
    );
}
