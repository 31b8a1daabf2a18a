//! What must hold of everything that reads the venue's JSON, for any bytes. Run by the fuzzer and, over the
//! committed corpus, by the default tests.
//!
//! Byte 0 chooses the reader: market message, order session, account event, snapshot, `exchangeInfo`; the rest is the
//! message. Rules:
//!
//! - a refused message has delivered nothing; a taken one is JSON, says one thing, and says it again;
//! - the scanners and the tape agree: a blank in front of a message means nothing to JSON and turns the scanners away;
//! - what a market message says is what serde_json and plain arithmetic read in it;
//! - a snapshot that is taken is in order and not crossed; no rule of an instrument that is taken is negative.

use std::cell::RefCell;

use corelane_venue_binance::{BinanceFeed, BinanceOrders, Credentials, parse_exchange_info};
use serde_json::Value;
use venue::{FeedError, FeedSession, Level, MarketEvent, OrderSession};
use wire::{Instrument, InstrumentId, Px, Qty, Side, VenueId};

/// Checks every rule.
pub(crate) fn run(data: &[u8]) {
    let [choice, message @ ..] = data else { return };
    READERS.with_borrow_mut(|readers| match choice % 5 {
        0 => readers.market(message),
        1 => readers.session(message),
        2 => readers.session(&[br#"{"subscriptionId":0,"event":"#, message, b"}"].concat()),
        3 => readers.snapshot(message),
        _ => listing(message),
    });
}

thread_local! {
    /// Kept over all inputs, as an engine keeps them over all messages: none may depend on the one before.
    static READERS: RefCell<Readers> = RefCell::new(Readers::new());
}

struct Readers {
    feed: BinanceFeed,
    orders: BinanceOrders,
}

fn btcusdt() -> Instrument {
    const LISTING: &[u8] = br#"{"rateLimits":[],"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01","maxPrice":"1000000.00","tickSize":"0.01"},{"filterType":"LOT_SIZE","minQty":"0.00001","maxQty":"9000","stepSize":"0.00001"},{"filterType":"NOTIONAL","minNotional":"5.0"},{"filterType":"MAX_NUM_ORDERS","maxNumOrders":200}]}]}"#;
    let listed = parse_exchange_info(&mut LISTING.to_vec(), VenueId(0), &["BTCUSDT"], InstrumentId(0));
    listed.expect("a sound listing").remove(0)
}

/// What a market message said, in a form that both readings share.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Depth { ids: (u64, u64), ts_ns: u64, bids: Vec<Level>, asks: Vec<Level> },
    Top { update_id: u64, bid: Level, ask: Level },
    Trade { trade_id: u64, level: Level, aggressor: Side, ts_ns: u64 },
    Control,
    Shutdown,
}

impl Readers {
    fn new() -> Readers {
        let credentials = Credentials::new("key".into(), "secret".into()).expect("plain text");
        let assets = vec!["BTC".into(), "USDT".into()];
        Readers {
            feed: BinanceFeed::new(vec![btcusdt()]),
            orders: BinanceOrders::new(vec![btcusdt()], assets, credentials),
        }
    }

    fn hear(&mut self, message: &[u8]) -> Result<Said, FeedError> {
        let mut said = Vec::new();
        let answer = self.feed.on_message(&mut message.to_vec(), |event| {
            said.push(match event {
                MarketEvent::Depth { head, bids, asks } => Said::Depth {
                    ids: (head.first_id, head.last_id),
                    ts_ns: head.ts_exch.expect("depth has a time").0,
                    bids: bids.to_vec(),
                    asks: asks.to_vec(),
                },
                MarketEvent::Top { update_id, bid, ask, .. } => Said::Top { update_id, bid, ask },
                MarketEvent::Trade { trade_id, px, qty, aggressor, ts_exch, .. } => {
                    Said::Trade { trade_id, level: Level { px, qty }, aggressor, ts_ns: ts_exch.0 }
                }
                MarketEvent::Shutdown => Said::Shutdown,
                _ => Said::Control,
            });
        });
        match answer {
            Ok(()) => {
                assert_eq!(said.len(), 1, "one message says one thing");
                Ok(said.remove(0))
            }
            Err(error) => {
                assert!(said.is_empty(), "part of a refused message was delivered");
                Err(error)
            }
        }
    }

    fn market(&mut self, message: &[u8]) {
        let said = self.hear(message);
        let by_tape = match self.hear(&[b" ", message].concat()) {
            Err(FeedError::Syntax { len }) => Err(FeedError::Syntax { len: len - 1 }),
            other => other,
        };
        assert_eq!(said, by_tape, "scanner and tape disagree, or a message left something behind");
        let Ok(said) = said else { return };
        let json: Value = serde_json::from_slice(message).expect("what is taken is JSON");
        let data = json.get("data").unwrap_or(&json);
        match said {
            Said::Depth { .. } | Said::Top { .. } | Said::Trade { .. } => {
                assert_eq!(Some(said), oracle(data), "not what the message says");
            }
            Said::Control | Said::Shutdown => {}
        }
    }

    fn session(&mut self, message: &[u8]) {
        let mut hear = |message: &[u8]| {
            let mut said = Vec::new();
            let answer =
                self.orders.on_message(&mut message.to_vec(), |event| said.push(format!("{event:?}")));
            // What is refused says nothing; what is taken says something, a failure and limits beside the answer.
            assert_eq!(!said.is_empty(), answer.is_ok(), "{answer:?}, yet {said:?}");
            (answer, said)
        };
        let first = hear(message);
        assert_eq!(first, hear(message), "a message left something behind");
        if first.0.is_ok() {
            let json = serde_json::from_slice::<Value>(message);
            assert!(json.is_ok(), "taken, but {json:?}");
        }
    }

    fn snapshot(&mut self, message: &[u8]) {
        let Ok(s) = self.feed.parse_snapshot(InstrumentId(0), &mut message.to_vec()) else { return };
        let json: Value = serde_json::from_slice(message).expect("what is taken is JSON");
        assert_eq!(whole(&json["lastUpdateId"]), Some(s.last_id));
        assert_eq!(
            (levels(&json["bids"]), levels(&json["asks"])),
            (Some(s.bids.clone()), Some(s.asks.clone()))
        );
        assert!(s.bids.windows(2).all(|w| w[0].px > w[1].px) && s.asks.windows(2).all(|w| w[0].px < w[1].px));
        assert!(s.bids.first().zip(s.asks.first()).is_none_or(|(bid, ask)| bid.px < ask.px), "crossed");
        assert!(s.bids.iter().chain(&s.asks).all(|level| level.px.0 > 0 && level.qty.0 > 0));
    }
}

fn listing(message: &[u8]) {
    let read = parse_exchange_info(&mut message.to_vec(), VenueId(0), &["BTCUSDT"], InstrumentId(3));
    let Ok(instruments) = read else { return };
    let json = serde_json::from_slice::<Value>(message);
    assert!(json.is_ok(), "taken, but {json:?}");
    let [i] = instruments.as_slice() else { panic!("one was wanted, {} came", instruments.len()) };
    assert_eq!((i.id, i.symbol.as_str()), (InstrumentId(3), "BTCUSDT"));
    // Zero turns a rule off; the gate refuses to trade without tick and lot.
    assert!(
        i.tick.0 >= 0
            && i.lot.0 >= 0
            && i.px_min.0 >= 0
            && i.px_max.0 >= 0
            && i.qty_min.0 >= 0
            && i.qty_max.0 >= 0
            && i.notional_min >= 0
    );
}

/// A number without sign and fraction; `-0`, which the reference takes for a float, is zero.
fn whole(number: &Value) -> Option<u64> {
    number.as_u64().or_else(|| (number.as_f64() == Some(0.0)).then_some(0))
}

/// Text at 8 decimals as a mantissa, by splitting it at the dot.
fn mantissa(text: &Value) -> Option<i64> {
    let (whole, fraction) = text.as_str()?.split_once('.').unwrap_or((text.as_str()?, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 8 || !format!("{whole}{fraction}").bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{fraction:0<8}").parse().ok()
}

fn level(px: &Value, qty: &Value) -> Option<Level> {
    Some(Level { px: Px(mantissa(px)?), qty: Qty(mantissa(qty)?) })
}

fn levels(list: &Value) -> Option<Vec<Level>> {
    list.as_array()?.iter().map(|l| level(l.get(0)?, l.get(1)?)).collect()
}

fn oracle(data: &Value) -> Option<Said> {
    let ns = |name: &str| whole(&data[name])?.checked_mul(1_000_000);
    assert_eq!(data["s"].as_str(), Some("BTCUSDT"), "a symbol that nobody asked for");
    Some(match data["e"].as_str() {
        Some("depthUpdate") => Said::Depth {
            ids: (whole(&data["U"])?, whole(&data["u"])?),
            ts_ns: ns("E")?,
            bids: levels(&data["b"])?,
            asks: levels(&data["a"])?,
        },
        Some("trade") => Said::Trade {
            trade_id: whole(&data["t"])?,
            level: level(&data["p"], &data["q"])?,
            aggressor: if data["m"].as_bool()? { Side::Sell } else { Side::Buy },
            ts_ns: ns("T")?,
        },
        _ => Said::Top {
            update_id: whole(&data["u"])?,
            bid: level(&data["b"], &data["B"])?,
            ask: level(&data["a"], &data["A"])?,
        },
    })
}
