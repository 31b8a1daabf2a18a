//! Faults on demand: the client hears a lie, the ledger keeps the truth.

use super::*;

fn bench(faults: SimFaults) -> Bench {
    let mut cfg = config(crowd(5, 0.0));
    cfg.faults = faults;
    Bench::subscribed(cfg)
}

fn taker(b: &mut Bench, id: &str) -> Value {
    let (_, ask) = b.best();
    limit("BUY", &ask.px.to_string(), "0.0001", id)
}

#[test]
fn a_corrupt_fill_does_not_touch_the_ledger() {
    let mut b = bench(SimFaults { corrupt_fill: Some(2), ..SimFaults::default() });
    for id in ["f1", "f2", "f3"] {
        let order = taker(&mut b, id);
        assert_eq!(b.ask("order.place", order)["result"]["executedQty"], json!("0.00010000"));
    }
    let fills: Vec<(Value, Value)> = b
        .events()
        .iter()
        .filter(|e| e["x"] == json!("TRADE"))
        .map(|e| (e["l"].clone(), e["z"].clone()))
        .collect();
    let (truth, lie) = (json!("0.00010000"), json!("0.00011000"));
    assert_eq!(fills, [(truth.clone(), truth.clone()), (lie.clone(), lie), (truth.clone(), truth.clone())]);
    let asked = b.ask("order.status", json!({"symbol": "BTCUSDT", "origClientOrderId": "f2"}));
    assert_eq!(asked["result"]["executedQty"], truth);
    assert_eq!(b.sim.balances()[0].1, Decimal::new(1_000_029_940, 8));
}

#[test]
fn a_withheld_reply_hides_a_real_order() {
    let mut b = bench(SimFaults { drop_ack_nth: Some(1), ..SimFaults::default() });
    b.send("order.place", signed(limit("BUY", "50000", "0.01", "lost"), b.now));
    assert_eq!(b.reply(), None);
    assert_eq!(b.events()[0]["x"], json!("NEW"));
    assert_eq!(b.sim.open_orders().len(), 1);
    let asked = b.ask("order.status", json!({"symbol": "BTCUSDT", "origClientOrderId": "lost"}));
    assert_eq!(asked["result"]["status"], json!("NEW"));
    assert_eq!(b.ask("order.place", limit("BUY", "50000", "0.01", "next"))["status"], json!(200));
}

#[test]
fn reports_can_be_lost_doubled_or_early() {
    let mut b = bench(SimFaults {
        drop_report_nth: Some(1),
        duplicate_report_nth: Some(2),
        events_before_reply: true,
        ..SimFaults::default()
    });
    let order = taker(&mut b, "x");
    b.send("order.place", signed(order, b.now));
    let texts = b.texts(API);
    let kinds: Vec<String> = texts
        .iter()
        .map(|t| {
            let v: Value = serde_json::from_slice(t).expect("JSON");
            v["event"]["x"].as_str().or(v["event"]["e"].as_str()).unwrap_or("reply").to_string()
        })
        .collect();
    assert_eq!(kinds, ["TRADE", "TRADE", "outboundAccountPosition", "reply"]);
    assert_eq!(texts[0], texts[1]);
}

#[test]
fn garbage_precedes_the_good_frame_and_loss_makes_a_gap() {
    let garbage = GarbageKind::ALL.map(|kind| Garbage { nth: 2, kind });
    let run = |faults: SimFaults| {
        let mut cfg = config(crowd(5, 300.0));
        cfg.faults = faults;
        let mut b = Bench::new(cfg);
        assert_eq!(b.sim.open(STREAMS, "/ws/btcusdt@depth@100ms", b.now), Ok(()));
        b.pass_ms(1_000);
        b.texts(STREAMS)
    };
    let clean = run(SimFaults::default());
    assert_eq!(clean.len(), 10);
    let dirty = run(SimFaults { garbage_frames: garbage.to_vec(), ..SimFaults::default() });
    assert_eq!(dirty.len(), clean.len() + GarbageKind::ALL.len());
    assert_eq!((&dirty[0], &dirty[9..]), (&clean[0], &clean[1..]));
    for bad in &dirty[1..9] {
        assert!(!clean.contains(bad));
    }
    let lossy = run(SimFaults { drop_market_nth: Some(3), ..SimFaults::default() });
    assert_eq!((&lossy[..2], &lossy[2..]), (&clean[..2], &clean[3..]));
}

#[test]
fn an_unknown_outcome_may_have_been_carried_out_or_not() {
    for (executed, unexpected, status, code) in
        [(true, false, 504, -1007), (false, false, 504, -1007), (true, true, 500, -1006)]
    {
        let unknown = UnknownOutcome { nth: 2, executed, unexpected };
        let mut b = bench(SimFaults { unknown_outcome: Some(unknown), ..SimFaults::default() });
        assert_eq!(b.ask("order.place", limit("BUY", "50000", "0.01", "u1"))["status"], json!(200));
        let reply = b.ask("order.place", limit("BUY", "50000", "0.01", "u2"));
        assert_eq!((&reply["status"], &reply["error"]["code"]), (&json!(status), &json!(code)));
        assert_eq!(b.sim.open_orders().len(), 1 + executed as usize);
        assert_eq!(b.sim.received()[1].accepted, executed);
        let asked = b.ask("order.status", json!({"symbol": "BTCUSDT", "origClientOrderId": "u2"}));
        assert_eq!(asked["status"], json!(if executed { 200 } else { 400 }), "a query tells");
        assert_eq!(b.ask("order.place", limit("BUY", "50000", "0.01", "u3"))["status"], json!(200));
    }
}

#[test]
fn a_connection_ends_at_a_request_before_or_after_it_is_carried_out() {
    for executed in [false, true] {
        // The subscription is the first request.
        let mut b =
            bench(SimFaults { disconnect: Some(Disconnect { nth: 2, executed }), ..SimFaults::default() });
        b.send("order.place", signed(limit("BUY", "50000", "0.01", "d"), b.now));
        assert!(b.out.contains(&Out::Close { conn: API }) && b.reply().is_none());
        assert_eq!(b.sim.open_orders().len(), executed as usize);
        assert_eq!(b.sim.open(API, "/ws-api/v3", b.now), Ok(()), "the next connection is well");
        assert_eq!(b.ask("openOrders.status", json!({}))["status"], json!(200));
    }
}

#[test]
fn reports_swap_come_late_or_not_at_all_while_replies_do_not() {
    let seen = |b: &mut Bench| -> Vec<String> {
        let reports = b.events().into_iter().filter(|e| e["e"] == json!("executionReport"));
        reports
            .map(|e| format!("{} {}", e["c"].as_str().expect("text"), e["x"].as_str().expect("text")))
            .collect()
    };
    let mut b = bench(SimFaults { swap_report_nth: Some(1), ..SimFaults::default() });
    let order = taker(&mut b, "s");
    b.ask("order.place", order);
    assert_eq!(seen(&mut b), ["s TRADE", "s NEW"]);

    let mut b = bench(SimFaults { account_delay_ms: 250, ..SimFaults::default() });
    assert_eq!(b.ask("order.place", limit("BUY", "50000", "0.01", "l"))["status"], json!(200));
    assert!(seen(&mut b).is_empty());
    let due = b.now.plus_ns(250_000_000);
    assert!(b.sim.next_at().is_some_and(|at| at <= due));
    // What comes after does not overtake it, whatever the delay is by then.
    b.sim.faults_mut().account_delay_ms = 0;
    b.pass_ms(100);
    b.ask("order.place", limit("BUY", "50000", "0.01", "m"));
    assert!(seen(&mut b).is_empty());
    b.pass_ms(150);
    assert_eq!(seen(&mut b), ["l NEW", "m NEW"]);

    let mut b = bench(SimFaults::default());
    b.sim.faults_mut().account_stream_down = true;
    let order = taker(&mut b, "unheard");
    assert_eq!(b.ask("order.place", order)["result"]["status"], json!("FILLED"));
    assert!(b.events().is_empty(), "not even balances");
    b.sim.faults_mut().account_stream_down = false;
    assert_eq!(b.ask("order.place", limit("BUY", "50000", "0.01", "heard"))["status"], json!(200));
    assert_eq!(seen(&mut b), ["heard NEW"]);
    let trades = b.ask("myTrades", json!({"symbol": "BTCUSDT"}))["result"].clone();
    assert_eq!(trades.as_array().map(Vec::len), Some(1), "what was missed can be asked for");
}
