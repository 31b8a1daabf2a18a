//! Single messages as the venue documents them, from files beside the repository: what other projects test with.
//! Each file that is there must read as serde_json reads it; each that is not there is named as skipped.

use std::path::PathBuf;

use corelane_venue_binance::{
    BinanceFeed, BinanceOrders, Credentials, InstrumentError, RateLimitKind, parse_exchange_info,
    parse_exchange_info_full,
};
use serde_json::Value;
use venue::{ClientOrderId, FeedError, FeedSession, OrderEvent, OrderSession};
use wire::{AssetId, Instrument, InstrumentId, Px, Qty, Slot, Ts, VenueId};

/// The file's text, or `None` after saying so.
fn fixture(name: &str) -> Option<String> {
    let path =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/data/binance")).join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(_) => {
            eprintln!("SKIPPED: no fixture at {}", path.display());
            None
        }
    }
}

fn instrument(id: u32, symbol: &str) -> Instrument {
    Instrument {
        id: InstrumentId(id),
        venue: VenueId(0),
        symbol: symbol.into(),
        base: symbol[..3].into(),
        quote: symbol[3..].into(),
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

const SYMBOLS: [&str; 6] = ["ETHUSDT", "BTCUSDT", "ETHBTC", "LTCBTC", "BNBBTC", "BTCUSD"];

fn instruments() -> Vec<Instrument> {
    (0..).zip(SYMBOLS).map(|(id, symbol)| instrument(id, symbol)).collect()
}

fn id() -> ClientOrderId {
    ClientOrderId { cycle: 1, ts: Ts(2), slot: Slot(3) }
}

fn session() -> BinanceOrders {
    let assets = ["BTC", "ETH", "USDT", "USD", "LTC"].map(String::from).to_vec();
    let credentials = Credentials::new("key".into(), "secret".into()).expect("plain");
    BinanceOrders::new(instruments(), assets, credentials)
}

/// What the event said, kept beyond the call.
fn hear<R>(message: &str, mut read: impl FnMut(OrderEvent<'_>) -> R) -> Result<R, FeedError> {
    let mut said = None;
    session().on_message(&mut message.as_bytes().to_vec(), |event| said = Some(read(event)))?;
    Ok(said.expect("one event"))
}

fn mantissa(text: &Value) -> i64 {
    let text = text.as_str().expect("decimal text");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<8}").parse().expect("at most 8 decimals")
}

#[test]
fn execution_reports() {
    let nautilus = ["new", "canceled", "expired", "stop_loss", "trade", "wrapped"]
        .map(|n| format!("nautilus/spot/user_data_json/execution_report_{n}.json"));
    let recorded = [
        "binance_us",
        "canceled",
        "custom_client_id",
        "expired",
        "new",
        "pending_cancel",
        "rejected",
        "trade",
        "trade_prevention",
    ]
    .map(|n| format!("nautilus_int/ws_messages/ws_spot_execution_report_{n}.json"));
    for name in nautilus.iter().chain(&recorded) {
        let Some(text) = fixture(name) else { continue };
        assert_eq!(hear(&text, |e| e == OrderEvent::Foreign), Ok(true), "{name}: somebody else's order");

        let mut message: Value = serde_json::from_str(&text).expect("JSON");
        let key = ["event", "data"].into_iter().find(|k| message.get(k).is_some());
        let event = match key {
            Some(key) => &mut message[key],
            None => &mut message,
        };
        event["c"] = Value::String(String::from_utf8(id().text().to_vec()).expect("ASCII"));
        let event = event.clone();
        let venue_id = event["i"].as_u64().expect("order id");
        hear(&message.to_string(), |said| match (event["x"].as_str().expect("type"), said) {
            ("NEW", OrderEvent::Acked { id: of, venue_order_id }) => {
                assert_eq!((of, venue_order_id), (id(), venue_id));
            }
            // A stop that is on the book, and so no longer sleeps.
            ("NEW", OrderEvent::Triggered { id: of, venue_order_id }) => {
                assert_eq!((of, venue_order_id), (id(), venue_id));
                assert_eq!(event["w"], true);
                assert!(event["o"].as_str().is_some_and(|o| o.contains("STOP") || o.contains("TAKE_PROFIT")));
            }
            ("CANCELED", OrderEvent::Cancelled { id: of, venue_order_id, cum_qty })
            | ("EXPIRED" | "TRADE_PREVENTION", OrderEvent::Expired { id: of, venue_order_id, cum_qty }) => {
                assert_eq!((of, venue_order_id, cum_qty.0), (id(), venue_id, mantissa(&event["z"])));
            }
            ("REJECTED", OrderEvent::Rejected { id: of, code: -2010 }) => assert_eq!(of, id()),
            ("TRADE", OrderEvent::Fill { id: of, venue_order_id, fill }) => {
                assert_eq!((of, venue_order_id), (id(), venue_id));
                assert_eq!((fill.px.0, fill.qty.0), (mantissa(&event["L"]), mantissa(&event["l"])));
                assert_eq!((fill.cum_qty.0, fill.fee), (mantissa(&event["z"]), mantissa(&event["n"])));
                assert_eq!(Some(fill.trade_id), event["t"].as_u64());
                assert_eq!(Some(fill.maker), event["m"].as_bool());
                let asset = match event["N"].as_str() {
                    Some("ETH") => AssetId(1),
                    Some("USD") => AssetId(3),
                    other => panic!("asset {other:?}"),
                };
                assert_eq!(fill.fee_asset, asset);
            }
            (kind, said) => panic!("{name}: {kind} became {said:?}"),
        })
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn reports_that_cannot_be_are_refused() {
    for (name, refusal) in [
        // A trade at price zero, one of nothing, and an execution type of futures.
        ("trade_l_zero", "L"),
        ("trade_l_zero_canceled", "L"),
        ("trade_l_zero_partial", "L"),
        ("calculated", ""),
    ] {
        let Some(text) = fixture(&format!("nautilus_int/ws_messages/ws_spot_execution_report_{name}.json"))
        else {
            continue;
        };
        let mut message: Value = serde_json::from_str(&text).expect("JSON");
        message["data"]["c"] = Value::String(String::from_utf8(id().text().to_vec()).expect("ASCII"));
        match hear(&message.to_string(), |said| format!("{said:?}")) {
            Err(FeedError::Range { field, .. }) if field == refusal => {}
            Err(FeedError::UnknownEvent) if refusal.is_empty() => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn account_events() {
    for (name, count) in [("account_position", 2), ("account_position_wrapped", 1)] {
        let Some(text) = fixture(&format!("nautilus/spot/user_data_json/{name}.json")) else { continue };
        let message: Value = serde_json::from_str(&text).expect("JSON");
        let list = message.get("event").unwrap_or(&message)["B"].clone();
        hear(&text, |said| match said {
            OrderEvent::Account { assets, full: false } => {
                assert_eq!(assets.len(), count);
                for (asset, entry) in assets.iter().zip(list.as_array().expect("list")) {
                    assert_eq!((asset.free, asset.locked), (mantissa(&entry["f"]), mantissa(&entry["l"])));
                }
            }
            other => panic!("{name}: {other:?}"),
        })
        .expect("valid");
    }
    for name in ["balance_update", "balance_update_wrapped", "list_status_wrapped"] {
        let Some(text) = fixture(&format!("nautilus/spot/user_data_json/{name}.json")) else { continue };
        assert_eq!(hear(&text, |said| said == OrderEvent::Control), Ok(true), "{name}");
    }
    for name in [
        "nautilus/spot/http_json/account_response.json",
        "nautilus_int/http_responses/http_spot_wallet_account.json",
    ] {
        let Some(text) = fixture(name) else { continue };
        hear(&format!(r#"{{"id":"b","status":200,"result":{text}}}"#), |said| match said {
            OrderEvent::Account { assets, full: true } => {
                let found: Vec<_> = assets.iter().map(|a| (a.asset, a.free)).collect();
                assert_eq!(found, [(AssetId(0), 472_384_689_208_129), (AssetId(4), 476_336_868_006_011)]);
            }
            other => panic!("{name}: {other:?}"),
        })
        .expect("valid");
    }
}

#[test]
fn order_lists() {
    let Some(text) = fixture("nautilus/spot/http_json/open_orders_response.json") else { return };
    hear(&format!(r#"{{"id":"o","status":200,"result":{text}}}"#), |said| match said {
        OrderEvent::OpenOrders([order]) => {
            assert_eq!((order.instrument, order.id, order.venue_order_id), (InstrumentId(3), None, 1));
            assert_eq!((order.px.0, order.qty.0, order.cum_qty.0), (10_000_000, 100_000_000, 0));
        }
        other => panic!("{other:?}"),
    })
    .expect("valid");
}

#[test]
fn combined_frames_of_public_and_account_streams() {
    let Some(text) = fixture("spot/gct_wsHandleData.json") else { return };
    let mut feed = BinanceFeed::new(instruments());
    let (mut market, mut account) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let mut said = String::from("nothing");
        let answer = feed.on_message(&mut line.as_bytes().to_vec(), |e| said = format!("{e:?}"));
        market.push(answer.map(|()| said.split([' ', '{']).next().unwrap_or_default().to_owned()));
        account
            .push(hear(line, |e| format!("{e:?}").split([' ', '{']).next().unwrap_or_default().to_owned()));
    }
    let unknown = || Err(FeedError::UnknownEvent);
    let said = |word: &str| Ok(word.to_owned());
    assert_eq!(market[..4], [unknown(), unknown(), said("Trade"), said("Depth")]);
    assert!(market[4..].iter().all(|m| *m == unknown()));
    assert_eq!(account[..4], [unknown(), unknown(), unknown(), unknown()]);
    assert_eq!(account[4..], [said("Control"), said("Control"), said("Foreign"), said("Account")]);
}

#[test]
fn snapshots() {
    let feed = BinanceFeed::new(instruments());
    for name in [
        "nautilus/spot/http_json/depth_response.json",
        "nautilus_int/http_responses/http_spot_market_depth.json",
    ] {
        let Some(text) = fixture(name) else { continue };
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let read = feed.parse_snapshot(InstrumentId(0), &mut text.into_bytes());
        let book = read.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(Some(book.last_id), json["lastUpdateId"].as_u64());
        for (ours, side) in [(&book.bids, "bids"), (&book.asks, "asks")] {
            let list = json[side].as_array().expect("levels");
            assert_eq!(ours.len(), list.len());
            for (level, entry) in ours.iter().zip(list) {
                assert_eq!((level.px.0, level.qty.0), (mantissa(&entry[0]), mantissa(&entry[1])));
            }
        }
    }
}

#[test]
fn exchange_info() {
    if let Some(text) = fixture("nautilus_int/http_responses/http_spot_market_exchange_info.json") {
        let symbols = ["ETHUSDT", "BTCUSDT"];
        let info = parse_exchange_info_full(&mut text.into_bytes(), VenueId(1), &symbols, InstrumentId(10))
            .expect("valid");
        let [eth, btc] = &info.instruments[..] else { panic!("two wanted") };
        assert_eq!((eth.id, btc.id), (InstrumentId(10), InstrumentId(11)));
        assert_eq!(
            (eth.base_id, eth.quote_id, btc.base_id, btc.quote_id),
            (AssetId(0), AssetId(1), AssetId(2), AssetId(1))
        );
        assert_eq!((eth.lot, btc.lot, btc.tick), (Qty(10_000), Qty(1_000), Px(1_000_000)));
        assert_eq!((btc.notional_min, btc.open_orders_max), (10 * 10i128.pow(16), 200));
        let kinds: Vec<_> = info.rate_limits.iter().map(|l| (l.kind, l.interval_s, l.limit)).collect();
        assert_eq!(
            kinds,
            [
                (RateLimitKind::RequestWeight, 60, 1_200),
                (RateLimitKind::Orders, 10, 50),
                (RateLimitKind::Orders, 86_400, 160_000),
                (RateLimitKind::RawRequests, 300, 6_100),
            ]
        );
    }
    if let Some(text) = fixture("nautilus/spot/http_json/exchange_info_response.json") {
        let refused = parse_exchange_info(&mut text.into_bytes(), VenueId(0), &["ETHBTC"], InstrumentId(0));
        let symbol = "ETHBTC".to_owned();
        assert_eq!(refused, Err(InstrumentError::NoFilter { symbol, filter: "PRICE_FILTER" }));
    }
}

#[test]
fn signing_vectors() {
    let Some(text) = fixture("../signing-vectors.json") else { return };
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let mut checked = 0;
    for vector in file["vectors"].as_array().expect("list") {
        let text = |name: &str| vector[name].as_str().unwrap_or_default().to_owned();
        if text("venue") != "binance" || !text("scheme").starts_with("HMAC-SHA256 hex") {
            continue;
        }
        let credentials = Credentials::new("key".into(), text("secret")).expect("published secret");
        assert_eq!(credentials.sign(text("message").as_bytes()), text("expected").as_bytes(), "{vector}");
        checked += 1;
    }
    assert_eq!(checked, 3);
}
