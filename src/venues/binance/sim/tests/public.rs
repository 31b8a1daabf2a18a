//! Market streams: a client that follows them has the venue's book.

use super::*;
use std::collections::BTreeMap;

/// A naive book built by the venue's own instructions.
#[derive(Default)]
struct Replayer {
    id: u64,
    bids: BTreeMap<Decimal, Decimal>,
    asks: BTreeMap<Decimal, Decimal>,
}

impl Replayer {
    fn load(book: &Value) -> Replayer {
        let mut r = Replayer { id: book["lastUpdateId"].as_u64().expect("an id"), ..Replayer::default() };
        r.set(book["bids"].as_array().expect("levels"), true);
        r.set(book["asks"].as_array().expect("levels"), false);
        r
    }

    fn set(&mut self, levels: &[Value], bids: bool) {
        let side = if bids { &mut self.bids } else { &mut self.asks };
        for level in levels {
            let Level { px, qty } = Level::of(level);
            if qty.is_zero() {
                side.remove(&px);
            } else {
                side.insert(px, qty);
            }
        }
    }

    fn apply(&mut self, update: &Value) {
        let (first, last) = (update["U"].as_u64().expect("U"), update["u"].as_u64().expect("u"));
        if last <= self.id {
            return;
        }
        assert!(first <= self.id + 1, "gap: {first} after {}", self.id);
        self.set(update["b"].as_array().expect("levels"), true);
        self.set(update["a"].as_array().expect("levels"), false);
        self.id = last;
    }

    fn same_as(&self, other: &Replayer) -> bool {
        self.bids == other.bids && self.asks == other.asks
    }
}

#[test]
fn depth_stream_and_snapshot_make_the_exchange_s_book() {
    let mut b = Bench::subscribed(config(crowd(42, 400.0)));
    let target = "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade";
    assert_eq!(b.sim.open(STREAMS, target, b.now), Ok(()));
    assert_eq!(b.sim.open(ConnId(3), "/ws/btcusdt@depth", b.now), Ok(()));
    b.pass_ms(1_100);
    let snapshot = |b: &mut Bench| {
        let (status, book) = b.http("GET", "/api/v3/depth?symbol=BTCUSDT&limit=5000").expect("a snapshot");
        assert_eq!(status, 200);
        Replayer::load(&book)
    };
    let (mut book, mut slow) = (snapshot(&mut b), snapshot(&mut b));
    let (mut compared, mut tops, mut trades, mut last_trade, mut last_u) = (0, 0, 0, 0, None);
    let mut ticker: Option<Value> = None;
    for round in 0..300 {
        if round % 50 == 10 {
            let id = format!("p{round}");
            assert_eq!(b.ask("order.place", limit("BUY", "59990.00", "0.5", &id))["status"], json!(200));
        }
        if round % 50 == 40 {
            b.ask("openOrders.cancelAll", json!({"symbol": "BTCUSDT"}));
        }
        b.pass_ms(100);
        for text in b.texts(STREAMS) {
            let frame: Value = serde_json::from_slice(&text).expect("JSON");
            let data = &frame["data"];
            match frame["stream"].as_str() {
                Some("btcusdt@depth@100ms") => {
                    assert_eq!((&data["e"], &data["s"]), (&json!("depthUpdate"), &json!("BTCUSDT")));
                    let (first, last) = (data["U"].as_u64(), data["u"].as_u64());
                    assert_eq!(data["E"].as_u64().map(|e| e % 100), Some(0));
                    if let Some(before) = last_u {
                        assert_eq!(first, Some(before + 1), "every update starts where the last one ended");
                    }
                    last_u = last;
                    book.apply(data);
                }
                Some("btcusdt@bookTicker") => ticker = Some(data.clone()),
                Some("btcusdt@trade") => {
                    let id = data["t"].as_u64().expect("a trade id");
                    assert!(last_trade == 0 || id == last_trade + 1, "trade {id} after {last_trade}");
                    last_trade = id;
                    trades += 1;
                }
                other => panic!("unexpected stream {other:?}"),
            }
        }
        for text in b.texts(ConnId(3)) {
            slow.apply(&serde_json::from_slice(&text).expect("JSON"));
        }
        let now = snapshot(&mut b);
        if now.id == book.id {
            assert!(book.same_as(&now), "round {round}");
            compared += 1;
            if let Some(t) = ticker.as_ref().filter(|t| t["u"].as_u64() <= Some(book.id)) {
                let bid = book.bids.last_key_value().map(|(p, q)| (*p, *q));
                let ask = book.asks.first_key_value().map(|(p, q)| (*p, *q));
                assert_eq!(bid, Some((dec(&t["b"]), dec(&t["B"]))));
                assert_eq!(ask, Some((dec(&t["a"]), dec(&t["A"]))));
                tops += 1;
            }
        }
        if now.id == slow.id {
            assert!(slow.same_as(&now));
        }
    }
    assert!(compared > 200 && tops > 200 && trades > 100, "{compared} {tops} {trades}");
    assert!(slow.id > 0 && !slow.bids.is_empty());
}

#[test]
fn a_raw_connection_subscribes_by_request() {
    let mut b = Bench::new(config(crowd(42, 400.0)));
    assert_eq!(b.sim.open(STREAMS, "/ws", b.now), Ok(()));
    b.pass_ms(500);
    assert!(b.texts(STREAMS).is_empty());
    let ask = br#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#;
    b.sim.on_text(STREAMS, ask, b.now, &mut b.out);
    assert_eq!(b.texts(STREAMS), [br#"{"result":null,"id":1}"#.to_vec()]);
    b.pass_ms(2_000);
    let frames = b.texts(STREAMS);
    let first: Value = serde_json::from_slice(&frames[0]).expect("JSON");
    assert_eq!(first["e"], json!("trade"));
    assert_eq!(first.as_object().map(|o| o.len()), Some(9));
    b.sim.close(STREAMS);
    b.pass_ms(500);
    assert!(b.texts(STREAMS).is_empty());
}

#[test]
fn a_client_that_asks_too_often_is_dropped() {
    let mut cfg = config(crowd(42, 400.0));
    cfg.limits.stream_requests_per_s = 2;
    let mut b = Bench::new(cfg);
    assert_eq!(b.sim.open(STREAMS, "/ws/btcusdt@trade", b.now), Ok(()));
    for _ in 0..3 {
        b.sim.on_text(STREAMS, br#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#, b.now, &mut b.out);
    }
    assert_eq!(b.out.last(), Some(&Out::Close { conn: STREAMS }));
    b.out.clear();
    b.pass_ms(1_000);
    assert!(b.out.is_empty());
}

#[test]
fn time_steps_do_not_change_what_is_sent() {
    let run = |step_ms: u64, by_next: bool| {
        let mut b = Bench::new(config(crowd(9, 300.0)));
        let target = "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade";
        assert_eq!(b.sim.open(STREAMS, target, b.now), Ok(()));
        let end = START.plus_ns(3_000_000_000);
        while b.now < end {
            let next = if by_next {
                b.sim.next_at().expect("a crowd always goes on")
            } else {
                b.now.plus_ns(step_ms * 1_000_000)
            };
            b.now = next.min(end);
            b.sim.advance(b.now, &mut b.out);
        }
        b.texts(STREAMS)
    };
    let whole = run(3_000, false);
    assert!(whole.len() > 100);
    assert_eq!(run(7, false), whole);
    assert_eq!(run(0, true), whole);
}
