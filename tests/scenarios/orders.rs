//! What can happen to orders and the answers about them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use corelane::controls::{Mode, StopState};
use corelane::oms::Halt;
use corelane::sim::Fate;
use corelane::sim::wires::{Tamper, Way};
use serde_json::Value;

use crate::rig::{MS, ORDERS, Rig, S, agrees, event, json, swap};

fn is_reply_to_place(message: &serde_json::Value) -> bool {
    message["id"].as_str().is_some_and(|id| id.starts_with('p'))
}

#[test]
fn an_acknowledgement_two_seconds_behind_its_own_fill() {
    let mut rig = Rig::new(101);
    rig.run(S);
    rig.inward(&ORDERS, |m| {
        let late = is_reply_to_place(&json(&m));
        vec![(if late { 2 * S } else { 0 }, m)]
    });
    rig.run(10 * S);
    rig.honest();
    rig.run(5 * S);
    assert!(rig.orders_in(2 * S) > 0, "{:?}", rig.counters());
    agrees(rig);
}

#[test]
fn fills_three_seconds_behind_every_answer() {
    let mut rig = Rig::new(102);
    rig.run(S);
    rig.inward(&ORDERS, |m| {
        let late = event(&json(&m), "executionReport").is_some_and(|e| e["x"] == "TRADE");
        vec![(if late { 3 * S } else { 0 }, m)]
    });
    rig.run(15 * S);
    rig.honest();
    rig.run(10 * S);
    assert!(rig.orders_in(3 * S) > 0, "{:?}", rig.counters());
    agrees(rig);
}

#[test]
fn reports_shuffled_by_up_to_a_second_on_each_connection() {
    for seed in 103..108 {
        let mut rig = Rig::new(seed);
        rig.run(S);
        let mut n = seed;
        rig.inward(&ORDERS, move |m| {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            vec![((n >> 33) % S, m)]
        });
        rig.run(10 * S);
        rig.honest();
        rig.run(10 * S);
        assert!(rig.orders_in(3 * S) > 0, "seed {seed}: {:?}", rig.counters());
        agrees(rig);
    }
}

#[test]
fn one_connection_that_says_nothing_about_orders_any_more() {
    for quiet in ORDERS {
        let mut rig = Rig::new(110 + quiet as u64);
        rig.run(2 * S);
        rig.inward(&[quiet], |m| if json(&m).get("event").is_some() { vec![] } else { vec![(0, m)] });
        rig.run(10 * S);
        rig.honest();
        rig.run(3 * S);
        agrees(rig);
    }
}

#[test]
fn both_order_connections_down_while_orders_fill() {
    for seed in 117..122 {
        let mut rig = Rig::new(seed);
        rig.run(2 * S);
        for _ in 0..5 {
            for i in ORDERS {
                rig.engine.wires().cut(i);
            }
            rig.run(S);
        }
        rig.run(5 * S);
        assert!(rig.orders_in(5 * S) > 0, "seed {seed}: trading comes back: {:?}", rig.counters());
        agrees(rig);
    }
}

#[test]
fn every_order_is_answered_with_a_timeout_and_lives() {
    let mut rig = Rig::new(113);
    rig.run(S);
    rig.inward(&ORDERS, |m| {
        let reply = json(&m);
        if !is_reply_to_place(&reply) {
            return vec![(0, m)];
        }
        let error = format!(
            r#"{{"id":{},"status":504,"error":{{"code":-1007,"msg":"Timeout waiting for response from backend server. Send status unknown; execution status unknown."}}}}"#,
            reply["id"]
        );
        vec![(0, error.into_bytes())]
    });
    rig.run(10 * S);
    rig.honest();
    rig.run(5 * S);
    assert!(rig.orders_in(3 * S) > 0, "{:?}", rig.counters());
    agrees(rig);
}

#[test]
fn an_answer_that_belongs_to_an_order_of_long_ago() {
    let mut rig = Rig::new(114);
    rig.run(S);
    // Every reply and report comes once more, six seconds later, when its slot belongs to another order.
    rig.inward(&ORDERS, |m| vec![(0, m.clone()), (6 * S, m)]);
    rig.run(20 * S);
    rig.honest();
    rig.run(8 * S);
    assert!(rig.orders_in(2 * S) > 0, "{:?}", rig.counters());
    agrees(rig);
}

#[test]
fn more_filled_than_was_ordered_stops_trading() {
    let mut rig = Rig::new(115);
    rig.run(2 * S);
    rig.inward(&ORDERS, |m| {
        let message = json(&m);
        let Some(e) = event(&message, "executionReport").filter(|e| e["x"] == "TRADE") else {
            return vec![(0, m)];
        };
        let l = format!("\"l\":{}", e["l"]);
        let z = format!("\"z\":{}", e["z"]);
        let lied = swap(&m, &l, "\"l\":\"7.00000000\"");
        vec![(0, swap(&lied, &z, "\"z\":\"7.00000000\""))]
    });
    rig.run(5 * S);
    assert_eq!(rig.orders_in(10 * S), 0);
    let outcome = rig.finish();
    assert_ne!(outcome.oms.halt, "none");
    assert_eq!(outcome.venue_open_orders, 0);
}

#[test]
fn a_venue_that_halts_the_symbol_is_not_besieged() {
    let mut rig = Rig::new(116);
    rig.run(2 * S);
    rig.engine.venue_mut().set_trading(false);
    rig.run(S);
    let sent = rig.orders_in(10 * S);
    assert!(sent <= 100, "{sent} orders in 10 s to a venue that refuses every one");
    rig.engine.venue_mut().set_trading(true);
    rig.run(5 * S);
    assert!(rig.orders_in(10 * S) > 0, "{:?}", rig.counters());
    agrees(rig);
}

#[test]
fn an_order_judged_before_the_mode_changed_does_not_leave_after() {
    let mut rig = Rig::new(117);
    let controls = rig.engine.controls().clone();
    // Both quotes are let through at once, and the second waits for the first one's bytes: there the mode changes.
    let tamper: Tamper = Box::new(move |way, payload| {
        if way == Way::Outward && is_reply_to_place(&json(&payload)) {
            let _ = controls.set_mode(Mode::Normal, Mode::Reduce);
        }
        vec![(0, payload)]
    });
    rig.engine.wires().tamper(ORDERS[0], Some(tamper));
    rig.run(3 * S);
    assert_eq!(rig.engine.controls().gateway_heard().change, 1);
    assert_eq!(rig.engine.controls().gateway_heard().orders_sent, 1);
    let counters = rig.counters();
    assert_eq!(counters["gateway.not_sent_mode_changed"], 1, "{counters:?}");
    // Whoever has no position has nothing to reduce.
    assert_eq!(counters["gateway.orders_sent"], 1, "{counters:?}");
    rig.honest();
    agrees(rig);
}

#[test]
fn an_order_that_is_taken_a_second_after_the_venue_has_not_found_it() {
    let mut rig = Rig::new(118);
    rig.run(2 * S);
    // Orders are a second and a half on their way, and what asks about them is not.
    let tamper: Tamper = Box::new(|way, payload| {
        let late = way == Way::Outward && is_reply_to_place(&json(&payload));
        vec![(if late { 3 * S / 2 } else { 0 }, payload)]
    });
    rig.engine.wires().tamper(ORDERS[0], Some(tamper));
    for _ in 0..1_000 {
        rig.run(10 * MS);
        let open = rig.engine.venue().open_orders();
        assert!(open.len() <= 2, "beside the quotes rests one that the strategy was told is gone: {open:?}");
    }
    let counters = rig.counters();
    assert!(counters["oms.queries"] > 0 && counters["oms.unknown"] > 0, "{counters:?}");
    rig.honest();
    rig.run(10 * S);
    assert!(rig.orders_in(3 * S) > 0, "{:?}", rig.counters());
    agrees(rig);
}

#[test]
fn a_kill_with_every_answer_a_second_away() {
    for seed in 123..126 {
        let mut rig = Rig::new(seed);
        rig.run(2 * S);
        rig.inward(&ORDERS, |m| vec![(S, m)]);
        rig.run(100 * MS);
        rig.engine.command_stop();
        let fate = rig.engine.run_for(60 * S);
        assert_eq!(fate, Fate::Killed, "seed {seed}");
        assert_eq!(rig.engine.venue().open_orders(), [], "seed {seed}");
        let outcome = rig.finish();
        for line in &outcome.oms.assets {
            assert_eq!(line.difference, Some(0), "seed {seed} halt {}: {line:?}", outcome.oms.halt);
        }
    }
}

#[test]
fn an_execution_of_an_order_that_had_ended_is_not_traded_past() {
    let mut rig = Rig::new(130);
    rig.run(2 * S);
    // One order is said to have expired; two seconds later it turns out that it was filled.
    let lied_about: Arc<Mutex<Option<Value>>> = Arc::default();
    rig.inward(&ORDERS, move |m| {
        let message = json(&m);
        let Some(e) = event(&message, "executionReport").filter(|e| e["x"] == "TRADE" && e["l"] == e["q"])
        else {
            return vec![(0, m)];
        };
        let mut of = lied_about.lock().expect("one thread");
        if *of.get_or_insert(e["i"].clone()) != e["i"] {
            return vec![(0, m)];
        }
        let ended =
            swap(&swap(&m, "\"x\":\"TRADE\"", "\"x\":\"EXPIRED\""), "\"X\":\"FILLED\"", "\"X\":\"EXPIRED\"");
        vec![(0, swap(&ended, &format!("\"z\":{}", e["z"]), "\"z\":\"0.00000000\"")), (2 * S, m)]
    });
    let mut past_end = 0;
    for _ in 0..200 {
        rig.run(100 * MS);
        past_end = rig.counters()["gateway.fills_past_end"];
        if past_end > 0 {
            break;
        }
    }
    assert_eq!(past_end, 1);
    // What its money did to the books is asked for at once, and the books do not agree.
    rig.run(S);
    assert_eq!(rig.engine.controls().halt(), Halt::Differs);
    assert_eq!(rig.orders_in(5 * S), 0);
    assert_eq!(rig.finish().venue_open_orders, 0);
}

#[test]
fn a_kill_that_could_not_cancel_does_so_when_the_venue_is_back() {
    let mut rig = Rig::new(131);
    rig.run(2 * S);
    while rig.engine.venue().open_orders().is_empty() {
        rig.run(10 * MS);
    }
    // What rests goes on resting, and nothing that leaves arrives any more.
    rig.engine.venue_mut().set_trading(false);
    for conn in ORDERS {
        let deaf: Tamper = Box::new(|way, m| if way == Way::Outward { vec![] } else { vec![(0, m)] });
        rig.engine.wires().tamper(conn, Some(deaf));
    }
    rig.engine.command_stop();
    assert_eq!(rig.engine.run_for(60 * S), Fate::TimedOut);
    let received = rig.engine.venue().received().len();
    assert!(!rig.engine.venue().open_orders().is_empty(), "what rests");
    rig.honest();
    let by = rig.engine.now().plus_ns(20 * S);
    while rig.engine.controls().stop() != StopState::Confirmed && rig.engine.now() < by {
        rig.engine.step();
    }
    assert_eq!(rig.engine.controls().stop(), StopState::Confirmed);
    assert_eq!(rig.engine.venue().open_orders(), []);
    assert_eq!(rig.engine.venue().received().len(), received, "cancels alone");
    let until = rig.engine.now().plus_ns(5 * S);
    while rig.engine.now() < until {
        rig.engine.step();
    }
    assert_eq!(rig.engine.venue().received().len(), received);
    rig.finish();
}

#[test]
fn a_stop_does_not_wait_for_a_first_connection_that_answers_nothing() {
    for (seed, way) in [(132, None), (133, Some(Way::Outward)), (134, Some(Way::Inward))] {
        let mut rig = Rig::new(seed);
        rig.run(2 * S);
        while rig.engine.venue().open_orders().is_empty() {
            rig.run(10 * MS);
        }
        // It looks open, and what goes one way, or both, vanishes; the second is as it should be.
        let hole: Tamper =
            Box::new(move |w, m| if way.is_none_or(|way| way == w) { vec![] } else { vec![(0, m)] });
        rig.engine.wires().tamper(ORDERS[0], Some(hole));
        rig.engine.command_stop();
        assert_eq!(rig.engine.run_for(7 * S), Fate::Killed, "seed {seed}: {:?}", rig.counters());
        assert_eq!(rig.engine.venue().open_orders(), [], "seed {seed}");
        agrees_killed(rig);
    }
}

/// Nothing is open, and ledger and venue agree to the last digit.
fn agrees_killed(rig: Rig) {
    let outcome = rig.finish();
    assert_eq!((outcome.oms.open_orders, outcome.venue_open_orders), (0, 0));
    for line in &outcome.oms.assets {
        assert_eq!(line.difference, Some(0), "halt {}: {line:?}", outcome.oms.halt);
    }
}

#[test]
fn an_order_that_lives_after_a_kill_was_confirmed_is_cancelled_by_another_stop() {
    let mut rig = Rig::new(135);
    rig.run(2 * S);
    rig.engine.command_stop();
    assert_eq!(rig.engine.run_for(7 * S), Fate::Killed);
    assert_eq!(rig.engine.controls().stop(), StopState::Confirmed);
    let last = rig.engine.venue().received().last().expect("an order").client_id.clone();
    // One that came so late that the stop had not waited for it, as a new gateway may have to find out.
    let said = Arc::new(AtomicBool::new(false));
    let once = said.clone();
    rig.inward(&ORDERS[1..], move |payload| {
        let mut all = vec![(0, payload)];
        if !once.swap(true, Ordering::AcqRel) {
            let result = r#"{"symbol":"BTCUSDT","orderId":999999,"status":"NEW","executedQty":"0.00000000"}"#;
            all.push((0, format!(r#"{{"id":"q{last}","status":200,"result":{result}}}"#).into_bytes()));
        }
        all
    });
    rig.engine.wires().cut(ORDERS[1]);
    let by = rig.engine.now().plus_ns(2 * S);
    while rig.engine.controls().stop() != StopState::Running {
        assert!(rig.engine.now() < by, "it is left to itself (said: {})", said.load(Ordering::Acquire));
        rig.engine.step();
    }
    let by = rig.engine.now().plus_ns(2 * S);
    while rig.engine.controls().stop() != StopState::Confirmed {
        assert!(rig.engine.now() < by, "the second stop");
        rig.engine.step();
    }
    rig.finish();
}
