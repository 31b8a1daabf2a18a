//! A recorded quarter of an hour of BTCUSDT (depth@100ms, bookTicker, trade; one REST snapshot inline), decoded
//! and compared message by message with an independent reading by serde_json and rust_decimal.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::str::FromStr;

use corelane_venue_binance::{BinanceDepthSequence, BinanceFeed};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;
use venue::{DepthSequence, DepthVerdict, FeedSession, Level, MarketEvent, SnapshotVerdict};
use wire::{AssetId, Instrument, InstrumentId, Px, Qty, Side, Ts, VenueId};

const RECORDING: &str = "../shared/data/binance/spot/hftbacktest_btcusdt_20240808.gz";

fn btcusdt() -> Instrument {
    Instrument {
        id: InstrumentId(0),
        venue: VenueId(0),
        symbol: "BTCUSDT".into(),
        base: "BTC".into(),
        quote: "USDT".into(),
        base_id: AssetId(0),
        quote_id: AssetId(1),
        px_decimals: 8,
        qty_decimals: 8,
        quote_decimals: 8,
        tick: Px(1_000_000),
        px_min: Px(0),
        px_max: Px(0),
        lot: Qty(1_000),
        qty_min: Qty(0),
        qty_max: Qty(0),
        notional_min: 0,
        open_orders_max: 200,
        market_qty: Default::default(),
        band_buy: Default::default(),
        band_sell: Default::default(),
        trading: true,
    }
}

/// What a message says, in a form that both readings share.
#[derive(Debug, PartialEq)]
enum Said {
    Depth { first_id: u64, last_id: u64, ts_ns: u64, bids: Vec<Level>, asks: Vec<Level> },
    Top { update_id: u64, bid: Level, ask: Level },
    Trade { trade_id: u64, px: i64, qty: i64, aggressor: Side, ts_ns: u64 },
}

fn ours(event: MarketEvent<'_>) -> Said {
    match event {
        MarketEvent::Depth { head, bids, asks } => Said::Depth {
            first_id: head.first_id,
            last_id: head.last_id,
            ts_ns: head.ts_exch.expect("depth carries a time").0,
            bids: bids.to_vec(),
            asks: asks.to_vec(),
        },
        MarketEvent::Top { update_id, bid, ask, .. } => Said::Top { update_id, bid, ask },
        MarketEvent::Trade { trade_id, px, qty, aggressor, ts_exch, .. } => {
            Said::Trade { trade_id, px: px.0, qty: qty.0, aggressor, ts_ns: ts_exch.0 }
        }
        other => panic!("the recording has no {other:?}"),
    }
}

fn mantissa(text: &Value) -> i64 {
    let number = Decimal::from_str(text.as_str().expect("text")).expect("decimal");
    (number * Decimal::from(100_000_000)).to_i64().expect("whole at 8 decimals")
}

fn level(px: &Value, qty: &Value) -> Level {
    Level { px: Px(mantissa(px)), qty: Qty(mantissa(qty)) }
}

fn levels(list: &Value) -> Vec<Level> {
    list.as_array().expect("levels").iter().map(|l| level(&l[0], &l[1])).collect()
}

fn oracle(data: &Value) -> Said {
    let ns = |name: &str| data[name].as_u64().expect("time") * 1_000_000;
    let id = |name: &str| data[name].as_u64().expect("id");
    match data["e"].as_str() {
        Some("depthUpdate") => Said::Depth {
            first_id: id("U"),
            last_id: id("u"),
            ts_ns: ns("E"),
            bids: levels(&data["b"]),
            asks: levels(&data["a"]),
        },
        Some("trade") => Said::Trade {
            trade_id: id("t"),
            px: mantissa(&data["p"]),
            qty: mantissa(&data["q"]),
            aggressor: if data["m"] == Value::Bool(true) { Side::Sell } else { Side::Buy },
            ts_ns: ns("T"),
        },
        _ => Said::Top {
            update_id: id("u"),
            bid: level(&data["b"], &data["B"]),
            ask: level(&data["a"], &data["A"]),
        },
    }
}

#[test]
fn every_message_of_the_recording_reads_as_the_oracle_reads_it() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../..")).join(RECORDING);
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("SKIPPED: no recording at {}", path.display());
        return;
    };
    let mut feed = BinanceFeed::new(vec![btcusdt()]);
    let mut sequence = BinanceDepthSequence::default();
    let mut buffered: Vec<(u64, u64)> = Vec::new();
    let (mut depth, mut top, mut trades, mut snapshots) = (0, 0, 0, 0);
    let (mut stale, mut applied) = (0, 0);
    let mut last_trade_id = None;
    for line in BufReader::new(flate2::read::GzDecoder::new(file)).lines() {
        let line = line.expect("readable");
        let (stamp, payload) = line.split_once(' ').expect("stamp and payload");
        assert!(stamp.parse::<u64>().is_ok());
        let json: Value = serde_json::from_str(payload).expect("JSON");
        let mut bytes = payload.as_bytes().to_vec();
        if json.get("data").is_none() {
            let snapshot = feed.parse_snapshot(InstrumentId(0), &mut bytes).expect("a sound snapshot");
            assert_eq!(Some(snapshot.last_id), json["lastUpdateId"].as_u64());
            assert_eq!(snapshot.bids, levels(&json["bids"]));
            assert_eq!(snapshot.asks, levels(&json["asks"]));
            assert_eq!(sequence.on_snapshot(snapshot.last_id), SnapshotVerdict::Accept);
            for (first, last) in buffered.drain(..) {
                match sequence.on_depth(first, last) {
                    DepthVerdict::Stale => stale += 1,
                    DepthVerdict::Apply => applied += 1,
                    other => panic!("buffered {first}..={last}: {other:?}"),
                }
            }
            snapshots += 1;
            continue;
        }
        let mut said = None;
        feed.on_message(&mut bytes, |event| {
            assert!(said.is_none(), "one event a message");
            said = Some(ours(event));
        })
        .unwrap_or_else(|error| panic!("{error}: {payload}"));
        let said = said.expect("one event");
        assert_eq!(said, oracle(&json["data"]), "{payload}");
        match said {
            Said::Depth { first_id, last_id, ts_ns, .. } => {
                depth += 1;
                assert!(Ts(ts_ns).as_ms() > 1_723_161_000_000);
                match sequence.on_depth(first_id, last_id) {
                    DepthVerdict::Buffer => buffered.push((first_id, last_id)),
                    DepthVerdict::Apply => applied += 1,
                    other => panic!("{first_id}..={last_id}: {other:?}"),
                }
            }
            Said::Top { .. } => top += 1,
            Said::Trade { trade_id, .. } => {
                trades += 1;
                let previous = last_trade_id.replace(trade_id);
                assert!(previous.is_none_or(|p| p + 1 == trade_id), "{previous:?} then {trade_id}");
            }
        }
    }
    assert_eq!((depth, top, trades, snapshots), (3_451, 28_040, 9_757, 1));
    assert_eq!((stale, applied), (2, 3_449));
}
