//! Recorded mode: the capture's bytes, in its order, held where the engine must ask.

use super::*;
use std::io::Read;
use std::path::PathBuf;

const TARGET: &str = "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade";
const DEPTH: &str = "/api/v3/depth?symbol=BTCUSDT&limit=5000";
const SNAPSHOT: &str = r#"{"lastUpdateId":  5,"bids":[["1.00","2"]],"asks":[]}"#;

fn synthetic() -> Vec<(u64, String)> {
    vec![
        (1_000, top_line(1, ("100.00", "1.0"), ("100.10", "1.0"))),
        (2_000, trade_line(1, "100.00", "0.1", true)),
        (3_000, SNAPSHOT.to_string()),
        (4_000, trade_line(2, "100.10", "0.1", false)),
        (5_000, SNAPSHOT.replace("5,", "9,")),
        (6_000, trade_line(3, "100.10", "0.1", false)),
    ]
}

fn frames(lines: &[(u64, String)]) -> Vec<Vec<u8>> {
    lines.iter().filter(|(_, l)| l.contains("\"stream\"")).map(|(_, l)| l.clone().into_bytes()).collect()
}

#[test]
fn play_starts_with_the_first_subscription_and_holds_at_a_snapshot() {
    let lines = synthetic();
    let mut b = Bench::new(config(recording(&lines)));
    assert_eq!((b.sim.next_at(), b.sim.held(), b.sim.finished()), (None, false, false));
    assert_eq!(b.sim.open(API, "/ws-api/v3", b.now), Ok(()));
    assert_eq!(b.sim.next_at(), None, "no market connection");
    assert_eq!(b.sim.open(STREAMS, TARGET, b.now), Ok(()));
    assert_eq!(b.sim.next_at(), Some(START.plus_ns(1_000)));
    b.now = START.plus_ns(1_500);
    b.sim.advance(b.now, &mut b.out);
    assert_eq!(b.texts(STREAMS), frames(&lines[..1]));
    b.pass_ms(1);
    assert_eq!(b.texts(STREAMS), frames(&lines[1..2]));
    assert_eq!((b.sim.held(), b.sim.next_at()), (true, None));
    b.pass_ms(1_000);
    assert!(b.out.is_empty());

    let ask = HttpIn { id: 7, method: "GET".into(), target: DEPTH.into(), ..HttpIn::default() };
    b.sim.http(ask.clone(), b.now, &mut b.out);
    let body = SNAPSHOT.as_bytes().to_vec();
    assert_eq!(b.out, [Out::Http { id: 7, status: 200, headers: weight(254), body }], "byte for byte");
    b.out.clear();
    assert_eq!((b.sim.held(), b.sim.next_at()), (false, Some(START.plus_ns(4_000))));

    // Asked before its line: kept until the line is reached, and nothing is held then.
    b.sim.http(ask.clone(), b.now, &mut b.out);
    assert!(b.out.is_empty());
    b.sim.advance(b.now, &mut b.out);
    let text = |line: &str| Out::Text { conn: STREAMS, payload: line.as_bytes().to_vec() };
    let body = lines[4].1.as_bytes().to_vec();
    assert_eq!(
        b.out,
        [text(&lines[3].1), Out::Http { id: 7, status: 200, headers: weight(504), body }, text(&lines[5].1)]
    );
    assert!(b.sim.finished() && !b.sim.held());

    // Past the end there is nothing to answer with.
    b.out.clear();
    b.sim.http(ask, b.now, &mut b.out);
    assert_eq!(b.http_reply().map(|(status, _)| status), Some(503));
    assert_eq!((b.sim.next_at(), b.sim.capture_lines_bad()), (None, 0));
}

#[test]
fn a_request_that_no_line_answers_is_refused_at_the_end() {
    let lines: Vec<(u64, String)> = (0..3).map(|n| (n, trade_line(n, "1.00", "1", true))).collect();
    let mut b = Bench::new(config(recording(&lines)));
    assert_eq!(b.http("GET", DEPTH), None);
    assert_eq!(b.sim.open(STREAMS, "/ws/btcusdt@trade", b.now), Ok(()));
    b.sim.set_pace(CapturePace::Max, b.now);
    assert_eq!(b.sim.advance_at_most(b.now, 2, &mut b.out), 2);
    assert_eq!(b.http_reply(), None);
    assert_eq!(b.sim.advance_at_most(b.now, 2, &mut b.out), 1);
    assert_eq!(b.http_reply().map(|(status, _)| status), Some(503));
    let first = b.texts(STREAMS).remove(0);
    assert!(first.starts_with(br#"{"e":"trade""#), "a raw connection gets the data object");
    assert!(serde_json::from_slice::<Value>(&first).is_ok());
}

#[test]
fn pace_scales_the_gaps_and_skips_the_hold() {
    let lines = synthetic();
    let mut b = Bench::new(config(recording(&lines)));
    b.now = Ts(5_000_000_000);
    b.sim.set_pace(CapturePace::Scaled(0.5), b.now);
    assert_eq!(b.sim.open(STREAMS, TARGET, b.now), Ok(()));
    assert_eq!(b.sim.next_at(), Some(b.now));
    b.sim.advance(b.now, &mut b.out);
    assert_eq!(b.sim.next_at(), Some(b.now.plus_ns(2_000)));
    b.now = b.now.plus_ns(4_000);
    b.sim.advance(b.now, &mut b.out);
    assert!(b.sim.held());
    b.now = b.now.plus_ns(9_000_000);
    b.http("GET", DEPTH).expect("the snapshot");
    assert_eq!(b.sim.next_at(), Some(b.now.plus_ns(2_000)));
}

#[test]
fn a_real_capture_plays_byte_for_byte() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../../shared/data/binance/spot/hftbacktest_btcusdt_20240808.gz");
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return;
    }
    let mut text = String::new();
    let file = std::fs::File::open(&path).expect("open");
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).expect("decompress");
    let payloads: Vec<&str> = text.lines().map(|l| l.split_once(' ').expect("a stamp").1).collect();

    let source = CaptureFiles::open(&[&path]).expect("open");
    let mut config = config(SimMarket::Recorded { lines: Box::new(source) });
    // The capture is of another year than the connection.
    config.limits.connection_ms = u64::MAX;
    let mut b = Bench::new(config);
    assert_eq!(b.sim.open(STREAMS, TARGET, b.now), Ok(()));
    let mut heard: Vec<Vec<u8>> = Vec::new();
    let mut snapshots = 0;
    // Stepped from stamp to stamp, as the one-thread engine does.
    while !b.sim.finished() {
        if b.sim.held() {
            let ask = HttpIn { id: 7, method: "GET".into(), target: DEPTH.into(), ..HttpIn::default() };
            b.sim.http(ask, b.now, &mut b.out);
            snapshots += 1;
        }
        b.now = b.sim.next_at().unwrap_or(b.now);
        b.sim.advance(b.now, &mut b.out);
        for item in b.out.drain(..) {
            match item {
                Out::Text { payload, .. } => heard.push(payload),
                Out::Http { body, status: 200, .. } => heard.push(body),
                other => panic!("unexpected {other:?}"),
            }
        }
    }
    assert_eq!((heard.len(), snapshots), (41_249, 1));
    assert!(heard.iter().map(Vec::as_slice).eq(payloads.iter().map(|p| p.as_bytes())));
    assert_eq!(b.sim.capture_lines_bad(), 0);
}

/// The headers of an answer after so much weight.
fn weight(used: u32) -> Vec<(String, String)> {
    ["X-MBX-USED-WEIGHT", "X-MBX-USED-WEIGHT-1M"].map(|name| (name.to_string(), used.to_string())).to_vec()
}
