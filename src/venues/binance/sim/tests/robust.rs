//! Same calls, same bytes; any bytes, no panic.

use super::*;

/// A small generator, so that a failing run can be repeated.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n.max(1)
    }
}

/// A busy half minute: orders, cancels, queries and streams.
fn session(seed: u64) -> (Outbox, Vec<ReceivedOrder>, Vec<(String, Decimal, Decimal)>) {
    let mut b = Bench::subscribed(config(crowd(seed, 500.0)));
    let target = "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade";
    assert_eq!(b.sim.open(STREAMS, target, b.now), Ok(()));
    let (mut rng, mut all) = (Lcg(1), Outbox::new());
    for n in 0..600 {
        let side = ["BUY", "SELL"][rng.below(2)];
        let px = format!("{}.{:02}", 59_990 + rng.below(20), rng.below(100));
        let (method, params) = match rng.below(6) {
            0..=2 => ("order.place", limit(side, &px, "0.002", &format!("n{n}"))),
            3 => ("openOrders.cancelAll", json!({"symbol": "BTCUSDT"})),
            4 => ("order.status", json!({"symbol": "BTCUSDT", "origClientOrderId": format!("n{}", n / 2)})),
            _ => ("account.status", json!({})),
        };
        b.send(method, signed(params, b.now));
        b.pass_ms(1 + rng.below(100) as u64);
        all.append(&mut b.out);
    }
    (all, b.sim.received().to_vec(), b.sim.balances())
}

#[test]
fn the_same_seed_and_calls_give_the_same_bytes() {
    let (first, second) = (session(77), session(77));
    assert!(first.0.len() > 10_000 && first.1.iter().any(|r| r.accepted));
    assert_eq!(first, second);
    assert_ne!(session(78).0, first.0);
}

#[test]
fn any_bytes_are_answered_or_ignored() {
    let mut rng = Lcg(2026);
    let mut cfg = config(crowd(3, 50.0));
    cfg.limits.weight_per_min = u32::MAX;
    let mut b = Bench::subscribed(cfg);
    assert_eq!(b.sim.open(STREAMS, "/ws/btcusdt@trade", b.now), Ok(()));
    let spice: &[&str] = &[
        "",
        "null",
        "-1",
        "1e400",
        "NaN",
        "99999999999999999999999999",
        "0.00000001",
        "é",
        "BTCUSDT",
        "SELL",
        "MARKET",
        "GTC",
        "true",
        "18446744073709551615",
    ];
    let methods = [
        "order.place",
        "order.cancel",
        "openOrders.cancelAll",
        "order.status",
        "openOrders.status",
        "account.status",
        "exchangeInfo",
        "depth",
        "time",
        "userDataStream.unsubscribe",
    ];
    for round in 0..30_000 {
        // Noise.
        let noise: Vec<u8> = (0..rng.below(80)).map(|_| rng.below(256) as u8).collect();
        b.sim.on_text([API, STREAMS][rng.below(2)], &noise, b.now, &mut b.out);
        // A signed request with absurd values, which gets past the signature.
        let mut params = limit("BUY", "60000.00", "0.001", "z");
        params["symbol"] = json!("BTCUSDT");
        for name in [
            "price",
            "quantity",
            "side",
            "type",
            "timeInForce",
            "orderId",
            "origClientOrderId",
            "limit",
            "newClientOrderId",
            "recvWindow",
        ] {
            if rng.below(4) == 0 {
                params[name] = json!(spice[rng.below(spice.len())]);
            }
        }
        let text = json!({"id": round, "method": methods[rng.below(methods.len())], "params": signed(params, b.now)});
        let mut text = text.to_string().into_bytes();
        if rng.below(2) == 0 {
            let at = rng.below(text.len());
            text[at] = rng.below(256) as u8;
        }
        b.sim.on_text(API, &text, b.now, &mut b.out);
        // A request line of bits and pieces.
        let target: String = (0..rng.below(8))
            .map(|_| {
                [
                    "/api/v3/",
                    "depth",
                    "order",
                    "?",
                    "symbol=BTCUSDT",
                    "&",
                    "limit=",
                    "%zz",
                    "9",
                    "signature=",
                    "account",
                    "é",
                ][rng.below(12)]
            })
            .collect();
        let method = ["GET", "POST", "DELETE", "PATCH"][rng.below(4)].to_string();
        let body = noise.clone();
        b.sim.http(HttpIn { id: 1, method, target, headers: Vec::new(), body }, b.now, &mut b.out);
        for item in b.out.drain(..) {
            if let Out::Text { conn: API, payload } = item {
                assert!(
                    serde_json::from_slice::<Value>(&payload).is_ok(),
                    "{}",
                    String::from_utf8_lossy(&payload)
                );
            }
        }
        if round % 16 == 0 {
            b.pass_ms(rng.below(50) as u64);
            b.sim.open(STREAMS, "/ws/btcusdt@trade", b.now).ok();
        }
    }
    let opened: Decimal = b.sim.balances().iter().map(|(_, free, locked)| free + locked).sum();
    assert!(opened > Decimal::ZERO);
}

#[test]
fn bad_configurations_are_named() {
    let mut cfg = config(crowd(1, 1.0));
    cfg.depth_interval_ms = 0;
    assert!(matches!(BinanceSim::new(cfg, START), Err(SimError::Config { field: "depth_interval_ms", .. })));
    let mut cfg = config(crowd(1, 1.0));
    cfg.instrument.px_decimals = 9;
    assert!(matches!(BinanceSim::new(cfg, START), Err(SimError::Config { field: "px_decimals", .. })));
    let mut cfg = config(crowd(1, 1.0));
    cfg.account.quote = Decimal::new(-1, 0);
    assert!(matches!(BinanceSim::new(cfg, START), Err(SimError::Config { field: "account.quote", .. })));
    let mut cfg = config(crowd(1, 1.0));
    cfg.instrument.symbol = "BTC/USDT".into();
    assert!(matches!(BinanceSim::new(cfg, START), Err(SimError::Config { field: "symbol", .. })));
}
