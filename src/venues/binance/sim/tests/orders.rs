//! Every type of order, what the account hears of it, and what it may ask about it afterwards.

use super::*;

/// Bid 100.00 x 1, ask 100.10 x 0.4, then trades at 100.05, 101.00 and 99.00, a second apart each.
fn market() -> SimMarket {
    recording(&[
        (0, top_line(1, ("100.00", "1.00000"), ("100.10", "0.40000"))),
        (1_000_000_000, trade_line(1, "100.05", "0.10000", false)),
        (2_000_000_000, trade_line(2, "101.00", "0.10000", false)),
        (3_000_000_000, trade_line(3, "99.00", "0.10000", true)),
    ])
}

/// With the quote and the first trade played.
fn bench() -> Bench {
    let mut b = Bench::subscribed(config(market()));
    assert_eq!(b.sim.open(STREAMS, "/stream?streams=btcusdt@trade", b.now), Ok(()));
    b.pass_ms(1_001);
    b
}

fn order(kind: &str, side: &str, more: Value) -> Value {
    let mut order = json!({"symbol": "BTCUSDT", "side": side, "type": kind});
    for (name, value) in more.as_object().expect("an object") {
        order[name] = value.clone();
    }
    order
}

fn stop_buy(id: &str) -> Value {
    order(
        "STOP_LOSS_LIMIT",
        "BUY",
        json!({"timeInForce": "GTC", "price": "100.20", "stopPrice": "100.50", "quantity": "1",
               "newClientOrderId": id, "newOrderRespType": "RESULT"}),
    )
}

/// Execution type, status, on the book and expiry reason of every report.
fn told(b: &mut Bench) -> Vec<(String, String, bool, Option<String>)> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
    let reports = b.events().into_iter().filter(|e| e["e"] == json!("executionReport"));
    reports
        .map(|e| {
            let on_book = e["w"].as_bool().expect("a flag");
            (text(&e["x"]), text(&e["X"]), on_book, e["eR"].as_str().map(str::to_string))
        })
        .collect()
}

fn says(
    x: &str,
    status: &str,
    on_book: bool,
    reason: Option<&str>,
) -> (String, String, bool, Option<String>) {
    (x.into(), status.into(), on_book, reason.map(str::to_string))
}

#[test]
fn fill_or_kill_takes_all_or_nothing() {
    let mut b = bench();
    let fok =
        |qty: &str| order("LIMIT", "BUY", json!({"timeInForce": "FOK", "price": "100.20", "quantity": qty}));
    let killed = b.ask("order.place", fok("0.5"));
    assert_eq!(killed["result"]["status"], json!("EXPIRED"));
    assert_eq!(killed["result"]["expiryReason"], json!("UNFILLED_FOK_ORDER_EXPIRED"));
    assert_eq!(killed["result"]["executedQty"], json!("0.00000000"));
    let filled = b.ask("order.place", fok("0.4"));
    assert_eq!(filled["result"]["status"], json!("FILLED"));
    assert_eq!(
        told(&mut b),
        [
            says("NEW", "NEW", true, None),
            says("EXPIRED", "EXPIRED", false, Some("UNFILLED_FOK_ORDER_EXPIRED")),
            says("NEW", "NEW", true, None),
            says("TRADE", "FILLED", false, None),
        ]
    );
}

#[test]
fn a_stop_sleeps_with_its_funds_locked_until_a_trade_reaches_it() {
    let mut b = bench();
    let placed = b.ask("order.place", stop_buy("stop"));
    assert_eq!(placed["result"]["stopPrice"], json!("100.50000000"));
    assert_eq!(placed["result"]["workingTime"], json!(-1));
    assert_eq!(b.sim.balances()[1].2, Decimal::new(10_020, 2), "price times quantity is locked");
    let events = b.events();
    let new = events.iter().find(|e| e["x"] == json!("NEW")).expect("a report");
    assert_eq!((&new["P"], &new["w"], new.get("W")), (&json!("100.50000000"), &json!(false), None));
    let status = b.ask("order.status", json!({"symbol": "BTCUSDT", "origClientOrderId": "stop"}));
    assert_eq!(status["result"]["isWorking"], json!(false));
    assert_eq!(status["result"]["type"], json!("STOP_LOSS_LIMIT"));

    // 101.00 reaches it: it takes what is offered within its price and rests with the remainder.
    b.pass_ms(1_000);
    assert_eq!(told(&mut b), [says("NEW", "NEW", true, None), says("TRADE", "PARTIALLY_FILLED", true, None)]);
    let status = b.ask("order.status", json!({"symbol": "BTCUSDT", "origClientOrderId": "stop"}));
    let result = &status["result"];
    assert_eq!((&result["isWorking"], &result["executedQty"]), (&json!(true), &json!("0.40000000")));
    assert_eq!(result["workingTime"], json!(b.now.as_ms() - 1));
    let cancelled = b.ask("order.cancel", json!({"symbol": "BTCUSDT", "origClientOrderId": "stop"}));
    assert_eq!(cancelled["result"]["status"], json!("CANCELED"));
    assert_eq!(b.sim.balances()[1].2, Decimal::ZERO);
}

#[test]
fn stops_that_would_work_at_once_are_refused_and_take_profits_wait_the_other_way() {
    let mut b = bench();
    let at = |kind: &str, side: &str, stop: &str| {
        let more = json!({"timeInForce": "GTC", "price": "100.00", "stopPrice": stop, "quantity": "0.1"});
        order(kind, side, more)
    };
    for (kind, side, stop, taken) in [
        ("STOP_LOSS_LIMIT", "BUY", "100.05", false),
        ("STOP_LOSS_LIMIT", "BUY", "100.06", true),
        ("STOP_LOSS_LIMIT", "SELL", "100.05", false),
        ("STOP_LOSS_LIMIT", "SELL", "100.04", true),
        ("TAKE_PROFIT_LIMIT", "BUY", "100.05", false),
        ("TAKE_PROFIT_LIMIT", "BUY", "100.04", true),
        ("TAKE_PROFIT_LIMIT", "SELL", "100.05", false),
        ("TAKE_PROFIT_LIMIT", "SELL", "100.06", true),
    ] {
        let reply = b.ask("order.place", at(kind, side, stop));
        let error = json!({"code": -2010, "msg": "Order would trigger immediately."});
        assert_eq!(reply["status"] == json!(200), taken, "{kind} {side} {stop}");
        assert!(taken || reply["error"] == error, "{reply}");
    }
    // 101.00 sets off the buy stop and the sell profit, 99.00 the others.
    b.events();
    b.pass_ms(1_000);
    let mut kinds: Vec<Value> =
        b.events().iter().filter(|e| e["x"] == json!("NEW")).map(|e| e["o"].clone()).collect();
    assert_eq!(kinds, ["STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"]);
    b.pass_ms(1_000);
    kinds = b.events().iter().filter(|e| e["x"] == json!("NEW")).map(|e| e["o"].clone()).collect();
    assert_eq!(kinds, ["STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"]);
}

#[test]
fn a_stop_without_a_price_becomes_a_market_order() {
    let mut b = bench();
    let stop = order("STOP_LOSS", "SELL", json!({"stopPrice": "99.50", "quantity": "2"}));
    assert_eq!(b.ask("order.place", stop)["status"], json!(200));
    b.events();
    b.pass_ms(2_000);
    assert_eq!(
        told(&mut b),
        [
            says("NEW", "NEW", true, None),
            says("TRADE", "PARTIALLY_FILLED", true, None),
            says("EXPIRED", "EXPIRED", false, Some("INSUFFICIENT_LIQUIDITY")),
        ]
    );
}

#[test]
fn a_market_order_for_an_amount_of_quote_buys_whole_lots_within_it() {
    let mut b = bench();
    let reply = b.ask("order.place", order("MARKET", "BUY", json!({"quoteOrderQty": "30.5"})));
    let result = &reply["result"];
    // 30.5 / 100.10 = 0.304695..
    assert_eq!(result["origQuoteOrderQty"], json!("30.50000000"));
    assert_eq!((&result["origQty"], &result["executedQty"]), (&json!("0.30469000"), &json!("0.30469000")));
    assert_eq!((&result["status"], &result["price"]), (&json!("FILLED"), &json!("0.00000000")));
    assert_eq!(result["cummulativeQuoteQty"], json!("30.49946900"));
    let q = b.events().iter().find(|e| e["x"] == json!("TRADE")).map(|e| e["Q"].clone());
    assert_eq!(q, Some(json!("30.50000000")));
    for (more, code) in [
        (json!({"quoteOrderQty": "30", "quantity": "1"}), -1106),
        (json!({"quoteOrderQty": "4.99"}), -1013),
        (json!({"quoteOrderQty": "30", "price": "1"}), -1106),
    ] {
        assert_eq!(b.ask("order.place", order("MARKET", "BUY", more))["error"]["code"], json!(code));
    }
}

#[test]
fn self_trades_end_as_the_taker_s_mode_says() {
    for (mode, taker, maker) in [
        ("NONE", "FILLED", "FILLED"),
        ("EXPIRE_TAKER", "EXPIRED_IN_MATCH", "NEW"),
        ("EXPIRE_MAKER", "NEW", "EXPIRED_IN_MATCH"),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"),
    ] {
        let mut b = bench();
        let resting = order(
            "LIMIT_MAKER",
            "BUY",
            json!({"price": "100.05", "quantity": "0.5", "newClientOrderId": "m"}),
        );
        assert_eq!(b.ask("order.place", resting)["status"], json!(200));
        let crossing = order(
            "LIMIT",
            "SELL",
            json!({"timeInForce": "GTC", "price": "100.05", "quantity": "0.5", "selfTradePreventionMode": mode}),
        );
        let reply = b.ask("order.place", crossing);
        let result = reply["result"].clone();
        assert_eq!(result["status"], json!(taker), "{mode}");
        assert_eq!(result["selfTradePreventionMode"], json!(mode));
        let ask = json!({"symbol": "BTCUSDT", "origClientOrderId": "m"});
        let status = b.ask("order.status", ask)["result"].clone();
        assert_eq!(status["status"], json!(maker), "{mode}");
        let quantities = |v: &Value| {
            ["takerPreventedQuantity", "makerPreventedQuantity"].map(|name| v.get(name).is_some())
        };
        let prevented = &result["preventedMatches"][0];
        match mode {
            "NONE" => assert!(result.get("preventedMatches").is_none()),
            "EXPIRE_TAKER" => assert_eq!(quantities(prevented), [true, false]),
            "EXPIRE_MAKER" => assert_eq!(quantities(prevented), [false, true]),
            _ => assert_eq!(quantities(prevented), [true, true]),
        }
        if maker == "EXPIRED_IN_MATCH" {
            assert_eq!(status["preventedQuantity"], json!("0.50000000"));
            assert_eq!(status["preventedMatchId"], json!(0));
        }
        let reports: Vec<Value> =
            b.events().into_iter().filter(|e| e["x"] == json!("TRADE_PREVENTION")).collect();
        let ended = [taker, maker].iter().filter(|s| **s == "EXPIRED_IN_MATCH").count();
        assert_eq!(reports.len(), ended, "{mode}");
        for report in reports {
            assert_eq!((&report["A"], &report["pL"]), (&json!("0.50000000"), &json!("100.05000000")));
        }
        let matches =
            b.ask("myPreventedMatches", json!({"symbol": "BTCUSDT", "orderId": 1}))["result"].clone();
        assert_eq!(matches.as_array().map(Vec::len), Some((mode != "NONE") as usize), "{mode}");
        // What is locked is what is open.
        let locked = if maker == "NEW" { Decimal::new(50_025, 3) } else { Decimal::ZERO };
        assert_eq!(b.sim.balances()[1].2, locked, "{mode}");
    }
}

#[test]
fn the_account_s_history_can_be_asked_for() {
    let mut b = bench();
    let buy = |id: &str, qty: &str| {
        order(
            "LIMIT",
            "BUY",
            json!({"timeInForce": "GTC", "price": "100.10", "quantity": qty, "newClientOrderId": id}),
        )
    };
    assert_eq!(b.ask("order.place", buy("a", "0.1"))["result"]["status"], json!("FILLED"));
    b.pass_ms(10);
    let middle = b.now.as_ms();
    assert_eq!(b.ask("order.place", buy("b", "0.2"))["result"]["status"], json!("FILLED"));
    assert_eq!(b.ask("order.place", buy("c", "0.3"))["result"]["status"], json!("PARTIALLY_FILLED"));
    assert_eq!(b.ask("order.cancel", json!({"symbol": "BTCUSDT", "orderId": 3}))["status"], json!(200));
    let trades = |b: &mut Bench, more: Value| -> Vec<(u64, u64)> {
        let mut ask = json!({"symbol": "BTCUSDT"});
        for (name, value) in more.as_object().expect("an object") {
            ask[name] = value.clone();
        }
        let reply = b.ask("myTrades", ask);
        let rows = reply["result"].as_array().unwrap_or_else(|| panic!("{reply}")).clone();
        let number = |v: &Value| v.as_u64().expect("a number");
        rows.iter().map(|t| (number(&t["id"]), number(&t["orderId"]))).collect()
    };
    assert_eq!(trades(&mut b, json!({})), [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(trades(&mut b, json!({"limit": 2})), [(2, 2), (3, 3)], "the latest");
    assert_eq!(trades(&mut b, json!({"fromId": 2})), [(2, 2), (3, 3)]);
    assert_eq!(trades(&mut b, json!({"fromId": 1, "limit": 1})), [(1, 1)], "the oldest from there");
    assert_eq!(trades(&mut b, json!({"orderId": 2})), [(2, 2)]);
    assert_eq!(trades(&mut b, json!({"startTime": middle})), [(2, 2), (3, 3)]);
    assert_eq!(trades(&mut b, json!({"endTime": middle - 1})), [(1, 1)]);
    for (more, code) in [
        (json!({"fromId": 1, "startTime": 1}), -1128),
        (json!({"orderId": 1, "endTime": 1}), -1128),
        (json!({"startTime": 0, "endTime": 86_400_001u64}), -1127),
    ] {
        let mut ask = more;
        ask["symbol"] = json!("BTCUSDT");
        assert_eq!(b.ask("myTrades", ask)["error"]["code"], json!(code));
    }
    let orders = b.ask("allOrders", json!({"symbol": "BTCUSDT", "orderId": 2}))["result"].clone();
    let statuses: Vec<&Value> = orders.as_array().expect("rows").iter().map(|o| &o["status"]).collect();
    assert_eq!(statuses, [&json!("FILLED"), &json!("CANCELED")]);
    // A cancelled order is still found; one that never was is not.
    let by_old_id = json!({"symbol": "BTCUSDT", "origClientOrderId": "c"});
    assert_eq!(b.ask("order.status", by_old_id)["result"]["status"], json!("CANCELED"));
    let nobody = b.ask("order.status", json!({"symbol": "BTCUSDT", "orderId": 99}));
    assert_eq!(nobody["error"], json!({"code": -2013, "msg": "Order does not exist."}));
    // The same over REST.
    let (status, rows) = b.rest("GET", "/api/v3/myTrades", "symbol=BTCUSDT&orderId=2");
    assert_eq!((status, rows.as_array().map(Vec::len)), (200, Some(1)));
}

#[test]
fn a_test_order_is_judged_and_not_placed() {
    let mut b = bench();
    let good = limit("BUY", "99.00", "1", "t");
    assert_eq!(b.ask("order.test", good)["result"], json!({}));
    let bad = b.ask("order.test", limit("BUY", "99.001", "1", "t"));
    assert_eq!(bad["error"]["msg"], json!("Filter failure: PRICE_FILTER"));
    assert!(b.sim.open_orders().is_empty() && b.events().is_empty());
}
