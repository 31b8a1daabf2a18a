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

mod protocol;

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group};
use hdrhistogram::Histogram;
use venue::{CancelOrder, ClientOrderId, FeedSession, MarketEvent, NewOrder, OrderSession};
use venue_binance::{BinanceFeed, BinanceOrders, Credentials};
use wire::{AssetId, Instrument, InstrumentId, OrderType, Px, Qty, Side, Slot, Ts, VenueId};

use protocol::Session;

/// Calls timed together for the latency gate: one takes less than a look at the clock.
const BATCH: usize = 16;
/// Batches of a row in a process of the latency gate.
const GATED_BATCHES: usize = 2_000;

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

/// A message, and the session that reads it.
struct Reader {
    feed: BinanceFeed,
    message: Vec<u8>,
    scratch: Vec<u8>,
}

impl Reader {
    fn new(message: &str) -> Reader {
        let message = message.as_bytes().to_vec();
        Reader { feed: BinanceFeed::new(vec![btcusdt()]), scratch: message.clone(), message }
    }

    #[inline]
    fn read(&mut self) -> i64 {
        self.scratch.copy_from_slice(&self.message);
        let mut sum = 0;
        let read = self.feed.on_message(black_box(&mut self.scratch), |event| {
            sum = match event {
                MarketEvent::Top { bid, ask, .. } => bid.px.0 + ask.px.0,
                MarketEvent::Trade { px, .. } => px.0,
                MarketEvent::Depth { bids, asks, .. } => (bids.len() + asks.len()) as i64,
                _ => 0,
            };
        });
        assert!(read.is_ok() && sum > 0);
        sum
    }
}

fn messages() -> [(&'static str, String); 4] {
    [
        ("book_ticker", TICKER.to_owned()),
        ("book_ticker_raw", TICKER_RAW.to_owned()),
        ("trade", TRADE.to_owned()),
        ("depth_1k", depth()),
    ]
}

/// An order session that is up, with an order and a cancel to write.
struct Writer {
    session: BinanceOrders,
    order: NewOrder,
    cancel: CancelOrder,
    now: Ts,
    out: Vec<u8>,
}

impl Writer {
    fn new() -> Writer {
        let credentials = Credentials::new("k".repeat(64), "s".repeat(64)).expect("letters");
        let mut session = BinanceOrders::new(vec![btcusdt()], vec!["BTC".into(), "USDT".into()], credentials);
        let mut subscribed = br#"{"id":"s","status":200,"result":{"subscriptionId":0}}"#.to_vec();
        session.on_message(&mut subscribed, |_| ()).expect("an answer");
        let now = Ts(1_723_161_253_937_085_768);
        let id = ClientOrderId { cycle: 0x12_3456, ts: now, slot: Slot(7) };
        let order = NewOrder {
            instrument: InstrumentId(0),
            id,
            side: Side::Buy,
            px: Px(6_183_763_000_000),
            qty: Qty(1_000_000),
            kind: OrderType::Limit,
            stop_px: Px(0),
        };
        let cancel = CancelOrder { instrument: InstrumentId(0), id, venue_order_id: 12_569_099_453 };
        Writer { session, order, cancel, now, out: Vec::with_capacity(1024) }
    }

    #[inline]
    fn order(&mut self) -> usize {
        self.now = self.now.plus_ns(1_000);
        self.order.id.ts = self.now;
        self.session.encode_new(black_box(&self.order), self.now, &mut self.out).expect("ready");
        self.out.len()
    }

    #[inline]
    fn cancel(&mut self) -> usize {
        self.now = self.now.plus_ns(1_000);
        self.session.encode_cancel(black_box(&self.cancel), self.now, &mut self.out).expect("known");
        self.out.len()
    }
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
    for (name, message) in messages() {
        let mut reader = Reader::new(&message);
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(name, |b| b.iter(|| reader.read()));
    }
    group.finish();
}

fn write(c: &mut Criterion) {
    let mut writer = Writer::new();
    let mut group = c.benchmark_group("encode");
    group.bench_function("signed_limit_order", |b| b.iter(|| writer.order()));
    group.bench_function("signed_cancel", |b| b.iter(|| writer.cancel()));
    group.finish();
}

/// The rows of the latency gate.
fn speak(mut session: Session) -> Result<(), Box<dyn Error>> {
    for (name, message) in messages() {
        row(&mut session, name, || Reader::new(&message), Reader::read)?;
    }
    row(&mut session, "order", Writer::new, Writer::order)?;
    row(&mut session, "cancel", Writer::new, Writer::cancel)?;
    session.end();
    Ok(())
}

fn row<S, R>(
    session: &mut Session,
    name: &str,
    set_up: impl FnOnce() -> S + Send,
    call: fn(&mut S) -> R,
) -> Result<(), Box<dyn Error>> {
    if !session.is_time() {
        return session.work(name, 100, 200, |_| {
            let mut subject = set_up();
            Ok::<_, String>(move |_| {
                protocol::hot(|| call(&mut subject));
                Ok(())
            })
        });
    }
    let mut subject = set_up();
    let mut spans = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3)?;
    for n in 0..GATED_BATCHES {
        let start = Instant::now();
        for _ in 0..BATCH {
            black_box(call(&mut subject));
        }
        let spent = start.elapsed();
        // The first batches warm caches and predictors.
        if n >= GATED_BATCHES / 8 {
            spans.saturating_record(spent.as_nanos() as u64);
        }
    }
    session.span(name, BATCH, &spans);
    Ok(())
}

criterion_group!(benches, read, write);

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(session) = Session::asked("parse")? {
        return speak(session);
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    Ok(())
}
