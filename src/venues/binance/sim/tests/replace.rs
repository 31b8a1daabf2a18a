//! Cancel-replace: every combination of its halves, as `web-socket-api.md` tabulates them.

use super::*;

fn replace(mode: &str, cancels: &str, px: &str) -> Value {
    json!({"symbol": "BTCUSDT", "cancelReplaceMode": mode, "cancelOrigClientOrderId": cancels, "side": "BUY",
           "type": "LIMIT_MAKER", "price": px, "quantity": "0.01", "newOrderRespType": "RESULT"})
}

fn bench() -> Bench {
    let mut b = Bench::subscribed(config(crowd(5, 0.0)));
    assert_eq!(b.ask("order.place", limit("BUY", "50000.00", "0.01", "old"))["status"], json!(200));
    b.events();
    b
}

#[test]
fn halves_succeed_and_fail_apart() {
    const UNKNOWN: &str = "Unknown order sent.";
    const TAKES: &str = "Order would immediately match and take.";
    for (mode, cancels, px, status, code, halves) in [
        ("STOP_ON_FAILURE", "old", "50001", 200, None, ["SUCCESS", "SUCCESS"]),
        ("ALLOW_FAILURE", "old", "50001", 200, None, ["SUCCESS", "SUCCESS"]),
        ("STOP_ON_FAILURE", "no", "50001", 400, Some(-2022), ["FAILURE", "NOT_ATTEMPTED"]),
        ("ALLOW_FAILURE", "no", "50001", 409, Some(-2021), ["FAILURE", "SUCCESS"]),
        ("STOP_ON_FAILURE", "old", "61000", 409, Some(-2021), ["SUCCESS", "FAILURE"]),
        ("ALLOW_FAILURE", "old", "61000", 409, Some(-2021), ["SUCCESS", "FAILURE"]),
        ("ALLOW_FAILURE", "no", "61000", 400, Some(-2022), ["FAILURE", "FAILURE"]),
    ] {
        let mut b = bench();
        let reply = b.ask("order.cancelReplace", replace(mode, cancels, px));
        assert_eq!(reply["status"], json!(status), "{mode} {cancels} {px}: {reply}");
        let data = match code {
            None => &reply["result"],
            Some(code) => {
                let msg = match code {
                    -2021 => "Order cancel-replace partially failed.",
                    _ => "Order cancel-replace failed.",
                };
                assert_eq!((&reply["error"]["code"], &reply["error"]["msg"]), (&json!(code), &json!(msg)));
                &reply["error"]["data"]
            }
        };
        assert_eq!([&data["cancelResult"], &data["newOrderResult"]], [&json!(halves[0]), &json!(halves[1])]);
        match halves[0] {
            "SUCCESS" => {
                assert_eq!(data["cancelResponse"]["status"], json!("CANCELED"));
                assert_eq!(data["cancelResponse"]["origClientOrderId"], json!("old"));
            }
            _ => assert_eq!(data["cancelResponse"], json!({"code": -2011, "msg": UNKNOWN})),
        }
        match halves[1] {
            "SUCCESS" => assert_eq!(data["newOrderResponse"]["status"], json!("NEW")),
            "FAILURE" => assert_eq!(data["newOrderResponse"], json!({"code": -2010, "msg": TAKES})),
            _ => assert_eq!(data["newOrderResponse"], Value::Null),
        }
        // The count of orders rises whether or not the new one was attempted.
        assert_eq!(reply["rateLimits"][0]["count"], json!(2), "{mode} {cancels} {px}");
        let open = b.sim.open_orders();
        let left = (halves[0] == "FAILURE") as usize + (halves[1] == "SUCCESS") as usize;
        assert_eq!(open.len(), left, "{mode} {cancels} {px}");
        let accepted = b.sim.received().last().map(|r| r.accepted);
        assert_eq!(accepted, Some(halves[1] == "SUCCESS"), "{mode} {cancels} {px}");
    }
}

#[test]
fn filters_and_counts_are_judged_before_anything_is_done() {
    let mut b = bench();
    let reply = b.ask("order.cancelReplace", replace("ALLOW_FAILURE", "old", "50000.001"));
    assert_eq!(reply["error"], json!({"code": -1013, "msg": "Filter failure: PRICE_FILTER"}));
    assert_eq!(b.sim.open_orders().len(), 1, "nothing was cancelled");

    let mut config = config(crowd(5, 0.0));
    config.limits.orders_per_10s = 1;
    let mut b = Bench::subscribed(config);
    assert_eq!(b.ask("order.place", limit("BUY", "50000.00", "0.01", "old"))["status"], json!(200));
    let reply = b.ask("order.cancelReplace", replace("STOP_ON_FAILURE", "old", "50001"));
    assert_eq!((&reply["status"], &reply["error"]["code"]), (&json!(429), &json!(-1015)));
    assert_eq!(b.sim.open_orders().len(), 1, "DO_NOTHING is the default");
    let mut only = replace("STOP_ON_FAILURE", "old", "50001");
    only["orderRateLimitExceededMode"] = json!("CANCEL_ONLY");
    let reply = b.ask("order.cancelReplace", only);
    assert_eq!((&reply["status"], &reply["error"]["code"]), (&json!(409), &json!(-2021)));
    assert_eq!(reply["error"]["data"]["newOrderResponse"]["code"], json!(-1015));
    assert!(b.sim.open_orders().is_empty());
}

#[test]
fn the_new_order_may_take_the_old_one_s_name() {
    let mut b = bench();
    let mut same = replace("STOP_ON_FAILURE", "old", "50002");
    same["newClientOrderId"] = json!("old");
    let reply = b.ask("order.cancelReplace", same);
    assert_eq!(reply["result"]["newOrderResponse"]["clientOrderId"], json!("old"));
    let kinds: Vec<Value> =
        b.events().iter().filter(|e| e.get("x").is_some()).map(|e| e["x"].clone()).collect();
    assert_eq!(kinds, ["CANCELED", "NEW"]);
    let status = b.ask("order.status", json!({"symbol": "BTCUSDT", "origClientOrderId": "old"}));
    assert_eq!(status["result"]["status"], json!("NEW"), "the latest of that name");
    for (changes, code) in [
        (json!({"cancelReplaceMode": "SOMEHOW"}), -1130),
        (json!({"cancelOrigClientOrderId": ""}), -1105),
        (json!({"cancelRestrictions": "ONLY_OLD"}), -1145),
        (json!({"orderRateLimitExceededMode": "X"}), -1130),
    ] {
        let mut ask = replace("STOP_ON_FAILURE", "old", "50003");
        for (name, value) in changes.as_object().expect("an object") {
            ask[name] = value.clone();
        }
        assert_eq!(b.ask("order.cancelReplace", ask)["error"]["code"], json!(code), "{changes}");
    }
}

#[test]
fn rest_speaks_of_it_in_the_same_words() {
    let mut b = bench();
    let query = "symbol=BTCUSDT&cancelReplaceMode=STOP_ON_FAILURE&cancelOrigClientOrderId=no&side=BUY&type=LIMIT_MAKER&price=50001&quantity=0.01";
    let (status, body) = b.rest("POST", "/api/v3/order/cancelReplace", query);
    assert_eq!((status, &body["code"]), (400, &json!(-2022)));
    assert_eq!(body["data"]["cancelResponse"], json!({"code": -2011, "msg": "Unknown order sent."}));
    assert_eq!(body["data"]["newOrderResponse"], Value::Null);
}
