//! What does it cost to read one market message, and to write one signed order?
//!
//! Timed: decrypted bytes to event, through the session that trades, exact decimals and every check included: the
//! scanner for ticker and trade, simd-json's tape for depth and for the raw ticker (the tape's own figure for the
//! same fields). With it goes the copy of the message into a scratch buffer, because reading may rewrite it (about
//! 5 ns a ticker). Also an order and a cancel to signed WebSocket text (HMAC-SHA256, prepared key). Not timed:
//! sockets, TLS, WebSocket frames, rings.
//!
//! Everything is warm and in cache, so these are floors; the engine's own figures come from its histograms.
//!
//! A regression of the readers shows in bytes visible → event, one of the writer in decision → order bytes, each nearly
//! one to one. The line printed first says how the host treats the cores this minute: compare runs of like probes.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use venue::{CancelOrder, ClientOrderId, FeedSession, MarketEvent, NewOrder, OrderSession};
use venue_binance::{BinanceFeed, BinanceOrders, Credentials};
use wire::{AssetId, Instrument, InstrumentId, OrderType, Px, Qty, Side, Slot, Ts, VenueId};

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

const TICKER: &str = r#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#;

/// The same outside a combined stream: not the scanner's layout.
const TICKER_RAW: &str = r#"{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}"#;

const TRADE: &str = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#;

/// A depth update of about 1 KB: 14 levels a side.
fn depth() -> String {
    let side = |cents: u64, step: i64| {
        let level =
            |i| format!(r#"["{}.{:02}000000","{i}.54698000"]"#, cents.wrapping_add_signed(step * i) / 100, i);
        (0..14).map(level).collect::<Vec<_>>().join(",")
    };
    format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,"u":50093239202,"b":[{}],"a":[{}]}}}}"#,
        side(6_183_763, -100),
        side(6_183_864, 100)
    )
}

fn probe() {
    match agent::probe::cache_line_ns(0, 1, 20_000) {
        Ok(report) => println!("probe: {report}"),
        Err(error) => println!("probe: none ({error})"),
    }
}

fn read(c: &mut Criterion) {
    probe();
    let mut group = c.benchmark_group("parse");
    for (name, message) in [
        ("book_ticker", TICKER.to_owned()),
        ("book_ticker_raw", TICKER_RAW.to_owned()),
        ("trade", TRADE.to_owned()),
        ("depth_1k", depth()),
    ] {
        let mut feed = BinanceFeed::new(vec![btcusdt()]);
        let mut scratch = message.clone().into_bytes();
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                scratch.copy_from_slice(message.as_bytes());
                let mut sum = 0;
                let read = feed.on_message(black_box(&mut scratch), |event| {
                    sum = match event {
                        MarketEvent::Top { bid, ask, .. } => bid.px.0 + ask.px.0,
                        MarketEvent::Trade { px, .. } => px.0,
                        MarketEvent::Depth { bids, asks, .. } => (bids.len() + asks.len()) as i64,
                        _ => 0,
                    };
                });
                assert!(read.is_ok() && sum > 0);
                sum
            });
        });
    }
    group.finish();
}

fn write(c: &mut Criterion) {
    let credentials = Credentials::new("k".repeat(64), "s".repeat(64)).expect("letters");
    let mut session = BinanceOrders::new(vec![btcusdt()], vec!["BTC".into(), "USDT".into()], credentials);
    let mut subscribed = br#"{"id":"s","status":200,"result":{"subscriptionId":0}}"#.to_vec();
    session.on_message(&mut subscribed, |_| ()).expect("an answer");
    let id = ClientOrderId { cycle: 0x12_3456, ts: Ts(1_723_161_253_937_085_768), slot: Slot(7) };
    let mut order = NewOrder {
        instrument: InstrumentId(0),
        id,
        side: Side::Buy,
        px: Px(6_183_763_000_000),
        qty: Qty(1_000_000),
        kind: OrderType::Limit,
        stop_px: Px(0),
    };
    let cancel = CancelOrder { instrument: InstrumentId(0), id, venue_order_id: 12_569_099_453 };
    let mut out = Vec::with_capacity(1024);
    let mut now = Ts(1_723_161_253_937_085_768);

    let mut group = c.benchmark_group("encode");
    group.bench_function("signed_limit_order", |b| {
        b.iter(|| {
            now = now.plus_ns(1_000);
            order.id.ts = now;
            session.encode_new(black_box(&order), now, &mut out).expect("ready");
            out.len()
        });
    });
    group.bench_function("signed_cancel", |b| {
        b.iter(|| {
            now = now.plus_ns(1_000);
            session.encode_cancel(black_box(&cancel), now, &mut out).expect("known");
            out.len()
        });
    });
    group.finish();
}

criterion_group!(benches, read, write);
criterion_main!(benches);
