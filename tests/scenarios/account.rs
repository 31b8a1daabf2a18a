//! What the account side can do to us.

use crate::rig::{MS, ORDERS, Rig, S, agrees, event, json, swap};

#[test]
fn an_account_stream_that_dies_in_silence_is_noticed() {
    let mut rig = Rig::new(201);
    rig.run(2 * S);
    rig.inward(&ORDERS, |m| if json(&m).get("event").is_some() { vec![] } else { vec![(0, m)] });
    rig.run(10 * S);
    // Whatever it does now, it must not go on for long in the dark.
    let sent = rig.orders_in(20 * S);
    assert!(sent <= 20, "{sent} orders in 20 s without a word from the account stream");
    rig.honest();
    rig.run(10 * S);
    let outcome = rig.finish();
    assert_eq!(outcome.venue_open_orders, 0);
    let differs = outcome.oms.assets.iter().any(|a| a.difference != Some(0));
    assert!(!differs || outcome.oms.halt != "none", "{:?}", outcome.oms);
}

#[test]
fn an_account_stream_that_says_it_ends_is_asked_for_anew() {
    let mut rig = Rig::new(202);
    rig.run(2 * S);
    let mut told = false;
    rig.inward(&ORDERS, move |m| {
        let message = json(&m);
        if message.get("event").is_none() {
            return vec![(0, m)];
        }
        if told {
            return vec![]; // nothing more on this subscription
        }
        told = true;
        let id = &message["subscriptionId"];
        let end =
            format!(r#"{{"subscriptionId":{id},"event":{{"e":"eventStreamTerminated","E":1728973001334}}}}"#);
        vec![(0, end.into_bytes())]
    });
    rig.run(3 * S);
    rig.honest();
    rig.run(10 * S);
    assert!(rig.orders_in(5 * S) > 0, "{:?}", rig.counters());
    agrees(rig);
}

#[test]
fn a_fee_in_an_asset_never_heard_of_is_named() {
    let mut rig = Rig::new(203);
    rig.run(2 * S);
    rig.inward(&ORDERS, |m| {
        let message = json(&m);
        let Some(e) = event(&message, "executionReport").filter(|e| e["x"] == "TRADE") else {
            return vec![(0, m)];
        };
        vec![(0, swap(&m, &format!("\"N\":{}", e["N"]), "\"N\":\"BNB\""))]
    });
    rig.run(5 * S);
    rig.honest();
    rig.run(10 * S);
    let outcome = rig.finish();
    assert_eq!(outcome.venue_open_orders, 0);
    let differs = outcome.oms.assets.iter().any(|a| a.difference != Some(0));
    assert!(!differs || outcome.oms.halt != "none", "wrong books and trading on: {:?}", outcome.oms);
}

#[test]
fn orders_and_fills_of_somebody_else_on_the_same_account() {
    let mut rig = Rig::new(204);
    rig.run(2 * S);
    rig.inward(&ORDERS, |m| {
        let message = json(&m);
        let Some(e) = event(&message, "executionReport") else { return vec![(0, m)] };
        let foreign = swap(&m, &format!("\"c\":{}", e["c"]), "\"c\":\"web_0815\"");
        vec![(0, foreign), (0, m)]
    });
    rig.run(5 * S);
    let counters = rig.counters();
    assert!(counters["gateway.foreign_reports"] > 0, "{counters:?}");
    rig.honest();
    rig.run(3 * S);
    agrees(rig);
}

#[test]
fn money_that_leaves_the_account_is_noticed() {
    let mut rig = Rig::new(205);
    rig.run(2 * S);
    // From now on the venue says that there is less quote than our trades explain.
    rig.inward(&ORDERS, |m| {
        let message = json(&m);
        let balances = message.pointer("/event/B").or(message.pointer("/result/balances"));
        let Some(balances) = balances.and_then(|b| b.as_array()) else { return vec![(0, m)] };
        let mut text = m.clone();
        for b in balances {
            let (asset, free) = (b.get("a").or(b.get("asset")), b.get("f").or(b.get("free")));
            if asset.is_some_and(|a| a == "USDT")
                && let Some(free) = free.and_then(|f| f.as_str())
            {
                text = swap(&text, &format!("\"{free}\""), "\"900000.00000000\"");
            }
        }
        vec![(0, text)]
    });
    rig.run(5 * S);
    let outcome = rig.finish();
    assert_eq!(outcome.venue_open_orders, 0);
    assert!(outcome.oms.assets.iter().any(|a| a.difference != Some(0)));
    assert_ne!(outcome.oms.halt, "none");
    assert_ne!(outcome.oms.halt, "quiesce", "the difference is named");
}

#[test]
fn broken_words_on_the_order_connection_cost_trust_and_win_it_back() {
    for (seed, words) in
        [(206, "{"), (207, "[]"), (208, "null"), (209, r#"{"id":7}"#), (210, r#"{"event":{}}"#)]
    {
        let mut rig = Rig::new(seed);
        rig.run(2 * S);
        let mut n = 0;
        rig.inward(&ORDERS, move |m| {
            n += 1;
            if n == 5 { vec![(0, words.as_bytes().to_vec()), (0, m)] } else { vec![(0, m)] }
        });
        rig.run(10 * S);
        rig.honest();
        rig.run(5 * S);
        assert!(rig.orders_in(3 * S) > 0, "{words}: {:?}", rig.counters());
        agrees(rig);
    }
}

#[test]
fn balances_asked_for_twice_are_compared_once() {
    for seed in 211..217 {
        let mut rig = Rig::new(seed);
        // Slower than the patience of whoever asks: the second answer comes when orders trade again.
        rig.inward(&ORDERS, |m| {
            let slow = json(&m)["id"] == "b";
            vec![(if slow { 700 * MS } else { 0 }, m)]
        });
        rig.run(8 * S);
        let counters = rig.counters();
        assert!(rig.orders_in(3 * S) > 0, "seed {seed}: {:?} {counters:?}", rig.engine.controls().halt());
        rig.honest();
        agrees(rig);
    }
}
