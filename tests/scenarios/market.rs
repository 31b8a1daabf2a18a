//! What the market side can do to us.

use crate::rig::{MARKET, MS, Rig, S, agrees, json, swap};
use wire::BookState;

fn is_ticker(payload: &[u8]) -> bool {
    json(payload)["stream"].as_str().is_some_and(|s| s.ends_with("@bookTicker"))
}

fn is_depth(payload: &[u8]) -> bool {
    json(payload)["stream"].as_str().is_some_and(|s| s.contains("@depth"))
}

/// Trades again within `ns` of an honest market, and ends well.
fn recovers(mut rig: Rig, ns: u64) {
    rig.honest();
    rig.run(ns);
    assert_eq!(rig.engine.book_state(), BookState::InSync);
    assert!(rig.orders_in(2 * S) > 0, "trades again: {:?}", rig.counters());
    agrees(rig);
}

#[test]
fn a_ticker_that_falls_silent_while_depth_goes_on_is_no_harm() {
    let mut rig = Rig::new(1);
    rig.run(2 * S);
    rig.inward(&[MARKET], |m| if is_ticker(&m) { vec![] } else { vec![(0, m)] });
    rig.run(10 * S);
    recovers(rig, 2 * S);
}

#[test]
fn a_depth_stream_that_falls_silent_while_prices_move_stops_trading() {
    let mut rig = Rig::new(2);
    rig.run(2 * S);
    assert!(rig.orders_in(S) > 0);
    rig.inward(&[MARKET], |m| if is_depth(&m) { vec![] } else { vec![(0, m)] });
    rig.run(4 * S);
    assert_eq!(rig.orders_in(5 * S), 0, "orders on a book that stands still: {:?}", rig.counters());
    recovers(rig, 5 * S);
}

#[test]
fn a_crossed_ticker_causes_no_order() {
    let mut rig = Rig::new(3);
    rig.run(2 * S);
    rig.inward(&[MARKET], |m| {
        if !is_ticker(&m) {
            return vec![(0, m)];
        }
        let text = String::from_utf8(m).expect("text");
        let crossed =
            text.replace("\"b\":", "\"x\":").replace("\"a\":", "\"b\":").replace("\"x\":", "\"a\":");
        vec![(0, crossed.into_bytes())]
    });
    rig.run(100 * MS);
    let sent = rig.engine.venue().received().len();
    rig.run(3 * S);
    let counters = rig.counters();
    assert!(counters["feed.crossed"] > 0, "{counters:?}");
    let caused = rig.engine.venue().received().len() - sent;
    assert_eq!(caused, 0, "orders on a crossed market");
    recovers(rig, 2 * S);
}

#[test]
fn a_price_ten_times_too_high_moves_no_order() {
    for (field, seed) in [("\"b\":\"", 4), ("\"a\":\"", 5)] {
        let mut rig = Rig::new(seed);
        rig.run(2 * S);
        let mut n = 0;
        let field = field.to_string();
        rig.inward(&[MARKET], move |m| {
            n += 1;
            if !is_ticker(&m) || n % 50 != 0 {
                return vec![(0, m)];
            }
            // 60000.12 becomes 960000.12.
            vec![(0, swap(&m, &field, &format!("{field}9")))]
        });
        rig.run(5 * S);
        for order in rig.engine.venue().open_orders() {
            let px = order.px.0 / 100_000_000;
            assert!((59_000..61_000).contains(&px), "{order:?}");
        }
        let counters = rig.counters();
        assert_eq!(counters["oms.rejected"], 0, "{counters:?}");
        recovers(rig, 3 * S);
    }
}

#[test]
fn ids_that_run_backwards_or_to_the_end_of_numbers_are_refused_and_forgotten() {
    for (seed, wild) in [(6, "1"), (7, "9223372036854775806"), (8, "18446744073709551615"), (9, "-1")] {
        let mut rig = Rig::new(seed);
        rig.run(2 * S);
        let mut done = false;
        rig.inward(&[MARKET], move |m| {
            if done || !is_depth(&m) {
                return vec![(0, m)];
            }
            done = true;
            let u = json(&m)["data"]["u"].to_string();
            vec![(0, swap(&m, &format!("\"u\":{u}"), &format!("\"u\":{wild}")))]
        });
        rig.run(2 * S);
        recovers(rig, 5 * S);
    }
}

#[test]
fn a_snapshot_that_is_old_for_ever_is_asked_for_with_patience() {
    let mut rig = Rig::new(10);
    let asked = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = asked.clone();
    rig.engine.tamper_rest(Some(Box::new(move |status, body| {
        count.set(count.get() + 1);
        let id = json(&body)["lastUpdateId"].to_string();
        (status, swap(&body, &format!("\"lastUpdateId\":{id}"), "\"lastUpdateId\":1"))
    })));
    rig.run(30 * S);
    assert_eq!(rig.engine.venue().received().len(), 0);
    assert_ne!(rig.engine.book_state(), BookState::InSync);
    assert!(asked.get() > 1 && asked.get() <= 40, "{} snapshots in 30 s, weight 50 each", asked.get());
    rig.engine.tamper_rest(None);
    recovers(rig, 10 * S);
}

#[test]
fn snapshots_that_are_not_snapshots_are_asked_for_with_patience() {
    for (seed, status, body) in [
        (11, 503, &b"<html>Service Unavailable</html>"[..]),
        (12, 429, br#"{"code":-1003,"msg":"Too many requests."}"#),
        (13, 200, b""),
        (14, 200, br#"{"lastUpdateId":99999999999,"bids":[],"asks":[]}"#),
        (15, 200, br#"{"lastUpdateId":99999999999,"bids":[["2.0","1"]],"asks":[["1.0","1"]]}"#),
    ] {
        let mut rig = Rig::new(seed);
        let asked = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = asked.clone();
        rig.engine.tamper_rest(Some(Box::new(move |_, _| {
            count.set(count.get() + 1);
            (status, body.to_vec())
        })));
        rig.run(30 * S);
        assert_eq!(rig.engine.venue().received().len(), 0, "orders without a book: {status}");
        assert!(asked.get() >= 1 && asked.get() <= 40, "{} snapshots in 30 s for {status}", asked.get());
        rig.engine.tamper_rest(None);
        recovers(rig, 40 * S);
    }
}

#[test]
fn updates_that_change_places_are_a_gap_and_heal() {
    let mut rig = Rig::new(16);
    rig.run(2 * S);
    let mut n = 0;
    rig.inward(&[MARKET], move |m| {
        if !is_depth(&m) {
            return vec![(0, m)];
        }
        n += 1;
        vec![(if n == 3 { 150 * MS } else { 0 }, m)]
    });
    rig.run(2 * S);
    let counters = rig.counters();
    assert_eq!(counters["feed.gaps"], 1, "{counters:?}");
    recovers(rig, 3 * S);
}

#[test]
fn another_symbols_prices_do_not_reach_our_book() {
    let mut rig = Rig::new(17);
    rig.run(2 * S);
    rig.inward(&[MARKET], |m| {
        if !is_ticker(&m) {
            return vec![(0, m)];
        }
        let other = swap(&m, "\"s\":\"BTCUSDT\"", "\"s\":\"BTCUSDC\"");
        let other = swap(&other, "\"b\":\"", "\"b\":\"1");
        vec![(0, other), (0, m)]
    });
    rig.run(3 * S);
    let counters = rig.counters();
    assert!(counters["feed.refused_symbol"] > 100, "{counters:?}");
    assert_eq!(counters["feed.gaps"] + counters["feed.crossed"], 0, "{counters:?}");
    recovers(rig, S);
}
