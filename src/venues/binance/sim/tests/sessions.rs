//! Logging on with Ed25519, and the life of a connection.

use super::*;
use ring::signature::{Ed25519KeyPair, KeyPair};

const ED_KEY: &str = "edKey0123456789";

/// The key pair of the venue's own FIX example (`fix-api.md`): its seed in PKCS#8.
const PKCS8: &str =
    "302e020100300506032b6570042204208244616b4606b8400a66fd0efcbea9af1611fd2540e975b380 8b20007d9bcf6e";

fn pair() -> Ed25519KeyPair {
    let hex: String = PKCS8.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes: Vec<u8> =
        (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).expect("hex")).collect();
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes).expect("a key")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let held = chunk.iter().fold(0u32, |n, b| n << 8 | *b as u32) << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let digit = DIGITS[(held >> (18 - 6 * n) & 63) as usize] as char;
            text.push(if n <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

fn signed_by_pair(mut params: Value, now: Ts) -> Value {
    params["apiKey"] = json!(ED_KEY);
    params["timestamp"] = json!(now.as_ms());
    let mut pairs: Vec<String> = (params.as_object().expect("an object").iter())
        .map(|(k, v)| format!("{k}={}", v.as_str().map_or_else(|| v.to_string(), str::to_string)))
        .collect();
    pairs.sort();
    params["signature"] = json!(base64(pair().sign(pairs.join("&").as_bytes()).as_ref()));
    params
}

fn bench() -> Bench {
    let mut b = Bench::new(config(crowd(5, 0.0)));
    let public: [u8; 32] = pair().public_key().as_ref().try_into().expect("32 bytes");
    b.sim.add_ed25519_key(ED_KEY, public);
    assert_eq!(b.sim.open(API, "/ws-api/v3", b.now), Ok(()));
    b
}

fn send(b: &mut Bench, method: &str, params: Value) -> Value {
    b.send(method, params);
    b.reply().expect("a reply")
}

#[test]
fn the_venue_s_own_signature_verifies() {
    // fix-api.md: the RawData of a logon, signed with the example key.
    let text = "A\u{1}EXAMPLE\u{1}SPOT\u{1}1\u{1}20240627-11:17:25.223";
    let published =
        "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA==";
    assert_eq!(base64(pair().sign(text.as_bytes()).as_ref()), published);
}

#[test]
fn after_a_logon_requests_need_neither_key_nor_signature() {
    let mut b = bench();
    let ms = b.now.as_ms();
    let nobody = json!({"apiKey": null, "authorizedSince": null, "connectedSince": ms, "returnRateLimits": true,
                        "serverTime": ms, "userDataStream": false});
    assert_eq!(send(&mut b, "session.status", json!({}))["result"], nobody);
    let bare = |b: &Bench| {
        let mut order = limit("BUY", "50000", "0.01", "bare");
        order["timestamp"] = json!(b.now.as_ms());
        order
    };
    let refused = send(&mut b, "order.place", bare(&bench()));
    assert_eq!(refused["error"]["code"], json!(-1102), "no key yet");
    assert_eq!(send(&mut b, "userDataStream.subscribe", json!({}))["error"]["code"], json!(-1002));

    let logon = signed_by_pair(json!({}), b.now);
    let reply = send(&mut b, "session.logon", logon);
    let mut somebody = nobody.clone();
    somebody["apiKey"] = json!(ED_KEY);
    somebody["authorizedSince"] = json!(ms);
    assert_eq!(reply["result"], somebody);
    let placed = bare(&b);
    assert_eq!(send(&mut b, "order.place", placed)["status"], json!(200));
    let mut untimed = limit("BUY", "50000", "0.01", "untimed");
    assert_eq!(
        send(&mut b, "order.place", untimed.clone())["error"]["code"],
        json!(-1102),
        "a time is needed"
    );
    untimed["timestamp"] = json!(ms - 5_001);
    assert_eq!(send(&mut b, "order.place", untimed)["error"]["code"], json!(-1021));
    // A key and a signature still go before the session's.
    let by_hmac = signed(json!({"symbol": "BTCUSDT", "origClientOrderId": "bare"}), b.now);
    assert_eq!(send(&mut b, "order.status", by_hmac)["status"], json!(200));

    let sub = send(&mut b, "userDataStream.subscribe", json!({}));
    assert_eq!(sub["result"], json!({"subscriptionId": 0}));
    somebody["userDataStream"] = json!(true);
    assert_eq!(send(&mut b, "session.status", json!({}))["result"], somebody);
    let out = send(&mut b, "session.logout", json!({}));
    assert_eq!(out["result"], nobody);
    assert_eq!(b.events(), [json!({"e": "eventStreamTerminated", "E": ms})], "a logon's subscription ends");
    let placed = bare(&b);
    assert_eq!(send(&mut b, "order.place", placed)["error"]["code"], json!(-1102));
}

#[test]
fn wrong_signatures_and_keys_do_not_log_on() {
    let mut b = bench();
    let mut forged = signed_by_pair(json!({}), b.now);
    forged["recvWindow"] = json!(1_000);
    assert_eq!(send(&mut b, "session.logon", forged)["error"]["code"], json!(-1022));
    for spoil in ["", "x", "!!", "===="] {
        let mut params = signed_by_pair(json!({}), b.now);
        params["signature"] =
            json!(format!("{spoil}{}", &params["signature"].as_str().expect("text")[spoil.len()..]));
        if !spoil.is_empty() {
            assert_eq!(send(&mut b, "session.logon", params)["error"]["code"], json!(-1022), "{spoil}");
        }
    }
    // Ed25519 only.
    let by_hmac = signed(json!({}), b.now);
    assert_eq!(send(&mut b, "session.logon", by_hmac)["error"]["code"], json!(-1022));
    assert_eq!(send(&mut b, "session.status", json!({}))["result"]["apiKey"], Value::Null);
}

#[test]
fn a_revoked_key_ends_its_sessions_at_the_next_request() {
    let mut b = bench();
    let logon = signed_by_pair(json!({}), b.now);
    assert_eq!(send(&mut b, "session.logon", logon)["status"], json!(200));
    assert!(b.sim.revoke_key(ED_KEY) && !b.sim.revoke_key(ED_KEY));
    let mut order = limit("BUY", "50000", "0.01", "late");
    order["timestamp"] = json!(b.now.as_ms());
    let reply = send(&mut b, "order.place", order);
    assert_eq!(
        (&reply["id"], &reply["status"], &reply["error"]["code"]),
        (&Value::Null, &json!(401), &json!(-2015))
    );
    assert_eq!(send(&mut b, "session.status", json!({}))["result"]["apiKey"], Value::Null);
    assert!(b.sim.open_orders().is_empty());
}

#[test]
fn a_connection_is_warned_and_then_ended() {
    let mut config = config(crowd(5, 0.0));
    (config.limits.connection_ms, config.limits.shutdown_notice_ms) = (10_000, 2_000);
    let mut b = Bench::new(config);
    let raw = ConnId(3);
    for (conn, target) in [(API, "/ws-api/v3"), (STREAMS, "/stream?streams=btcusdt@trade"), (raw, "/ws")] {
        assert_eq!(b.sim.open(conn, target, b.now), Ok(()));
    }
    b.pass_ms(7_999);
    assert!(b.out.is_empty());
    b.pass_ms(1);
    let ms = b.now.as_ms();
    let event = json!({"e": "serverShutdown", "E": ms});
    let frames = [API, STREAMS, raw].map(|conn| {
        let [text] = &b.texts(conn)[..] else { panic!("one frame each") };
        serde_json::from_slice::<Value>(text).expect("JSON")
    });
    assert_eq!(frames, [json!({"event": event}), json!({"stream": "!serverShutdown", "data": event}), event]);
    b.pass_ms(1_999);
    assert!(b.out.is_empty(), "once");
    b.pass_ms(1);
    assert_eq!(b.out, [API, STREAMS, raw].map(|conn| Out::Close { conn }));
    b.out.clear();
    b.send("ping", json!({}));
    assert!(b.out.is_empty(), "nobody is there");
    assert_eq!(b.sim.open(API, "/ws-api/v3", b.now), Ok(()));
    // On demand, too.
    b.sim.announce_shutdown(500, b.now);
    b.pass_ms(0);
    assert_eq!(b.texts(API).len(), 1);
    b.pass_ms(500);
    assert_eq!(b.out, [Out::Close { conn: API }]);
}
