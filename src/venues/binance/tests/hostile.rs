//! Bytes from anywhere: no panic, no half delivery, and nothing accepted that is not JSON.

use std::cell::RefCell;

use corelane_venue_binance::{BinanceFeed, BinanceOrders, Credentials, parse_exchange_info};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use venue::{FeedSession, OrderSession};
use wire::{AssetId, Instrument, InstrumentId, Px, Qty, VenueId};

fn instrument() -> Instrument {
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
        tick: Px(1),
        px_min: Px(0),
        px_max: Px(0),
        lot: Qty(1),
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

const ID: &str = "C0000000abc-00000000000004d-0005";

/// Valid messages of every kind, to be damaged.
fn seeds() -> Vec<Vec<u8>> {
    [
        r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":157,"u":160,"b":[["61737.63000000","0.00000000"],["56854.58000000","1.5"]],"a":[["61837.64000000","1.54698000"]]}}"#,
        r#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#,
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#,
        r#"{"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"],["3.9","1"]],"asks":[["4.00000200","12.00000000"]]}"#,
        r#"{"rateLimits":[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":100}],"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01","maxPrice":"1000000.00","tickSize":"0.01"},{"filterType":"LOT_SIZE","minQty":"0.00001","maxQty":"9000","stepSize":"0.00001"},{"filterType":"NOTIONAL","minNotional":"5.0"}]}]}"#,
        r#"{"subscriptionId":0,"event":{"e":"executionReport","E":1,"s":"BTCUSDT","c":"ID","S":"BUY","C":"","x":"TRADE","X":"FILLED","q":"0.75","i":4293153,"l":"0.25","z":"0.75","L":"0.102644","n":"0.0001","N":"BTC","T":1,"t":77,"m":true}}"#,
        r#"{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":1,"u":1,"B":[{"a":"BTC","f":"1.0","l":"0.5"}]}}"#,
        r#"{"id":"pID","status":200,"result":{"symbol":"BTCUSDT","orderId":12569099453,"clientOrderId":"ID"}}"#,
        r#"{"id":"qID","status":200,"result":{"symbol":"BTCUSDT","orderId":1,"status":"FILLED","executedQty":"1"}}"#,
        r#"{"id":"o","status":200,"result":[{"symbol":"BTCUSDT","orderId":1,"clientOrderId":"ID","price":"1","origQty":"2","executedQty":"1","side":"SELL"}]}"#,
        r#"{"id":"b","status":200,"result":{"balances":[{"asset":"BTC","free":"1","locked":"2"}]}}"#,
        r#"{"id":"cID","status":400,"error":{"code":-2011,"msg":"Unknown order sent."}}"#,
    ]
    .map(|text| text.replace("ID", ID).replace("lastUpdateC0000000abc-00000000000004d-0005", "lastUpdateId").into_bytes())
    .to_vec()
}

/// Everything that reads bytes, kept over the cases: a message must not depend on the one before.
struct Readers {
    feed: BinanceFeed,
    orders: BinanceOrders,
}

impl Readers {
    fn new() -> RefCell<Readers> {
        let credentials = Credentials::new("key".into(), "secret".into()).expect("plain");
        RefCell::new(Readers {
            feed: BinanceFeed::new(vec![instrument()]),
            orders: BinanceOrders::new(vec![instrument()], vec!["BTC".into(), "USDT".into()], credentials),
        })
    }

    /// Gives `bytes` to all of them; how many took them.
    fn read(&mut self, bytes: &[u8]) -> Result<usize, TestCaseError> {
        let mut delivered = 0;
        let feed = self.feed.on_message(&mut bytes.to_vec(), |_| delivered += 1);
        prop_assert_eq!(delivered, feed.is_ok() as usize);
        delivered = 0;
        let orders = self.orders.on_message(&mut bytes.to_vec(), |_| delivered += 1);
        // What is refused says nothing; what is taken says something, a failure and its limits beside the answer.
        prop_assert_eq!(delivered > 0, orders.is_ok());
        let snapshot = self.feed.parse_snapshot(InstrumentId(0), &mut bytes.to_vec());
        let info = parse_exchange_info(&mut bytes.to_vec(), VenueId(0), &["BTCUSDT"], InstrumentId(0));
        let taken = [feed.is_ok(), orders.is_ok(), snapshot.is_ok(), info.is_ok()];
        let taken = taken.into_iter().filter(|t| *t).count();
        if taken > 0 {
            let oracle = serde_json::from_slice::<serde::de::IgnoredAny>(bytes);
            prop_assert!(oracle.is_ok(), "taken, but {:?}", oracle);
        }
        Ok(taken)
    }
}

fn run<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&strategy, test).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn arbitrary_bytes() {
    let readers = Readers::new();
    run(5_000, prop::collection::vec(any::<u8>(), 0..200), |bytes| {
        readers.borrow_mut().read(&bytes).map(|_| ())
    });
}

#[test]
fn bytes_of_json_letters() {
    let readers = Readers::new();
    let letters = prop::sample::select(br#"{}[]",:\ 0123456789.-+eEtrunlfasbABuUsdzZ"#.to_vec());
    run(10_000, prop::collection::vec(letters, 0..80), |bytes| readers.borrow_mut().read(&bytes).map(|_| ()));
}

#[derive(Clone, Debug)]
enum Damage {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Cut(prop::sample::Index),
    Repeat(prop::sample::Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    let text = prop::sample::select(vec![
        "null",
        "-1",
        "1e400",
        "NaN",
        "\"\"",
        "[]",
        "{}",
        "\\u0000",
        "99999999999999999999",
    ]);
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(i, b)| Damage::Set(i, b)),
        (at(), text).prop_map(|(i, t)| Damage::Insert(i, t.as_bytes().to_vec())),
        (at(), 1usize..20).prop_map(|(i, n)| Damage::Remove(i, n)),
        at().prop_map(Damage::Cut),
        (at(), 1usize..20).prop_map(|(i, n)| Damage::Repeat(i, n)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: Damage) {
    if bytes.is_empty() {
        return;
    }
    match damage {
        Damage::Set(i, b) => *i.get_mut(bytes) = b,
        Damage::Insert(i, text) => {
            let at = i.index(bytes.len());
            bytes.splice(at..at, text);
        }
        Damage::Remove(i, n) => {
            let at = i.index(bytes.len());
            bytes.drain(at..(at + n).min(bytes.len()));
        }
        Damage::Cut(i) => bytes.truncate(i.index(bytes.len())),
        Damage::Repeat(i, n) => {
            let at = i.index(bytes.len());
            let copy = bytes[at..(at + n).min(bytes.len())].to_vec();
            bytes.splice(at..at, copy);
        }
    }
}

#[test]
fn damaged_messages() {
    let readers = Readers::new();
    let strategy = (prop::sample::select(seeds()), prop::collection::vec(damage(), 1..4));
    run(20_000, strategy, |(mut bytes, damages)| {
        for damage in damages {
            apply(&mut bytes, damage);
        }
        readers.borrow_mut().read(&bytes).map(|_| ())
    });
}

#[test]
fn the_seeds_themselves_are_taken() {
    let readers = Readers::new();
    for seed in seeds() {
        let taken = readers.borrow_mut().read(&seed).expect("no rule broken");
        assert!(taken >= 1, "{}", String::from_utf8_lossy(&seed));
    }
}
