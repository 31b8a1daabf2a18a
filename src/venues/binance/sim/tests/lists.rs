//! Order lists: one cancels the other.

use super::*;

fn market() -> SimMarket {
    recording(&[
        (0, top_line(1, ("100.00", "1.00000"), ("100.10", "0.40000"))),
        (1_000_000_000, trade_line(1, "100.05", "0.10000", false)),
        (2_000_000_000, trade_line(2, "102.50", "0.20000", false)),
        (3_000_000_000, trade_line(3, "98.90", "0.10000", true)),
    ])
}

fn bench() -> Bench {
    let mut b = Bench::subscribed(config(market()));
    assert_eq!(b.sim.open(STREAMS, "/stream?streams=btcusdt@trade", b.now), Ok(()));
    b.pass_ms(1_001);
    b
}

/// Sell half a coin at `limit`, or from 99.00 down.
fn oco(limit: &str) -> Value {
    json!({"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.5", "listClientOrderId": "pair",
           "aboveType": "LIMIT_MAKER", "abovePrice": limit, "aboveClientOrderId": "up",
           "belowType": "STOP_LOSS_LIMIT", "belowPrice": "98.00", "belowStopPrice": "99.00",
           "belowTimeInForce": "GTC", "belowClientOrderId": "down", "newOrderRespType": "RESULT"})
}

/// Client id, execution type and expiry reason of every report, and the word of every list event.
fn story(b: &mut Bench) -> Vec<String> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
    let events = b.events().into_iter();
    events
        .filter_map(|e| match text(&e["e"]).as_str() {
            "executionReport" => Some(format!("{} {} {}", text(&e["c"]), text(&e["x"]), text(&e["eR"]))),
            "listStatus" => Some(format!("{} {}", text(&e["C"]), text(&e["l"]))),
            _ => None,
        })
        .map(|s| s.trim_end().to_string())
        .collect()
}

#[test]
fn both_legs_share_one_lock() {
    let mut b = bench();
    let reply = b.ask("orderList.place.oco", oco("102.00"));
    let result = &reply["result"];
    assert_eq!(reply["status"], json!(200), "{reply}");
    assert_eq!(
        (&result["contingencyType"], &result["listOrderStatus"]),
        (&json!("OCO"), &json!("EXECUTING"))
    );
    let reports = result["orderReports"].as_array().expect("reports");
    assert_eq!(reports.len(), 2);
    assert_eq!(
        (&reports[0]["type"], &reports[1]["type"]),
        (&json!("LIMIT_MAKER"), &json!("STOP_LOSS_LIMIT"))
    );
    assert_eq!((&reports[1]["workingTime"], &reports[1]["orderListId"]), (&json!(-1), &json!(0)));
    assert_eq!(b.sim.balances()[0].2, Decimal::new(5, 1), "half a coin, not a whole one");
    assert_eq!(story(&mut b), ["up NEW", "down NEW", "pair EXEC_STARTED"]);
    assert_eq!(reply["rateLimits"][0]["count"], json!(2), "two orders");
    let open = b.ask("openOrderLists.status", json!({}))["result"].clone();
    assert_eq!(open[0]["orders"].as_array().map(Vec::len), Some(2));
    assert_eq!(b.ask("orderList.place.oco", oco("102.00"))["error"]["msg"], json!("Duplicate order sent."));
}

#[test]
fn a_fill_of_the_limit_leg_ends_the_stop() {
    let mut b = bench();
    assert_eq!(b.ask("orderList.place.oco", oco("102.00"))["status"], json!(200));
    story(&mut b);
    // 102.50 trades through the limit leg, 0.2 of 0.5: that already ends the stop.
    b.pass_ms(1_000);
    assert_eq!(story(&mut b), ["up TRADE", "down EXPIRED OCO_TRIGGER"]);
    b.pass_ms(1_000);
    assert!(story(&mut b).is_empty(), "98.90 finds no stop");
    let cancelled = b.ask("order.cancel", json!({"symbol": "BTCUSDT", "origClientOrderId": "up"}));
    assert_eq!(cancelled["result"]["listOrderStatus"], json!("ALL_DONE"), "{cancelled}");
    assert_eq!(story(&mut b).last().map(String::as_str), Some("pair ALL_DONE"));
    assert_eq!(b.sim.balances()[0].2, Decimal::ZERO);
    let done = b.ask("orderList.status", json!({"origClientOrderId": "pair"}))["result"].clone();
    assert_eq!(done["listStatusType"], json!("ALL_DONE"));
}

#[test]
fn a_triggered_stop_ends_the_limit_leg() {
    let mut b = bench();
    assert_eq!(b.ask("orderList.place.oco", oco("103.00"))["status"], json!(200));
    story(&mut b);
    b.pass_ms(2_000);
    assert_eq!(story(&mut b), ["down NEW", "up EXPIRED OCO_TRIGGER", "down TRADE", "pair ALL_DONE"]);
    assert_eq!(b.sim.balances()[0].2, Decimal::ZERO);
    assert_eq!(b.sim.fills(), 1);
}

#[test]
fn a_cancel_of_either_is_a_cancel_of_both() {
    for (method, ask) in [
        ("order.cancel", json!({"symbol": "BTCUSDT", "origClientOrderId": "down"})),
        ("orderList.cancel", json!({"symbol": "BTCUSDT", "listClientOrderId": "pair"})),
        ("orderList.cancel", json!({"symbol": "BTCUSDT", "orderListId": 0})),
        ("openOrders.cancelAll", json!({"symbol": "BTCUSDT"})),
    ] {
        let mut b = bench();
        assert_eq!(b.ask("orderList.place.oco", oco("102.00"))["status"], json!(200));
        story(&mut b);
        let reply = b.ask(method, ask.clone());
        let result = if method == "openOrders.cancelAll" { &reply["result"][0] } else { &reply["result"] };
        assert_eq!(result["listOrderStatus"], json!("ALL_DONE"), "{method}: {reply}");
        assert_eq!(result["orderReports"].as_array().map(Vec::len), Some(2), "{method}");
        assert!(b.sim.open_orders().is_empty());
        assert_eq!(b.sim.balances()[0].2, Decimal::ZERO);
        assert_eq!(story(&mut b).last().map(String::as_str), Some("pair ALL_DONE"));
        if method == "orderList.cancel" {
            assert_eq!(b.ask(method, ask)["error"]["code"], json!(-2011), "not twice");
        }
    }
}

#[test]
fn legs_that_stand_wrong_are_refused() {
    let cases = [
        (json!({"aboveType": "LIMIT"}), -1102),
        (json!({"aboveType": "LIMIT", "aboveTimeInForce": "GTC"}), -1158),
        (json!({"side": "BUY"}), -1165),
        (json!({"aboveType": "STOP_LOSS_LIMIT", "aboveStopPrice": "101", "aboveTimeInForce": "GTC"}), -1197),
        (json!({"abovePrice": "100.01"}), -2010),
        (json!({"belowStopPrice": "100.05"}), -2010),
        (json!({"quantity": "10.00001"}), -2010),
        (json!({"quantity": "0.000001"}), -1013),
        (json!({"belowStopPrice": "99.001"}), -1013),
        (json!({"colour": "red"}), -1104),
        (json!({"aboveClientOrderId": "down"}), -2010),
    ];
    for (changes, code) in cases {
        let mut b = bench();
        let mut ask = oco("102.00");
        for (name, value) in changes.as_object().expect("an object") {
            ask[name] = value.clone();
        }
        let reply = b.ask("orderList.place.oco", ask);
        assert_eq!(reply["error"]["code"], json!(code), "{changes}: {reply}");
        assert!(b.sim.open_orders().is_empty() && b.events().is_empty(), "{changes}");
        assert_eq!(b.sim.balances()[0].2, Decimal::ZERO);
    }
    let mut b = bench();
    let buy = json!({"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.5", "aboveType": "STOP_LOSS_LIMIT",
                     "abovePrice": "102", "aboveStopPrice": "101", "aboveTimeInForce": "GTC",
                     "belowType": "LIMIT_MAKER", "belowPrice": "99"});
    assert_eq!(b.ask("orderList.place.oco", buy.clone())["status"], json!(200));
    assert_eq!(b.sim.balances()[1].2, Decimal::new(51, 0), "the dearer leg is what is locked");
    let prices = b.ask("orderList.place.oco", {
        let mut ask = buy;
        ask["aboveStopPrice"] = json!("100.01");
        ask
    });
    assert_eq!(
        prices["error"]["msg"],
        json!("The relationship of the prices for the orders is not correct.")
    );
}
