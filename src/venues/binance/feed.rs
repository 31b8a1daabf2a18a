//! Market data: combined and raw streams (`web-socket-streams.md`, read 2026-07-21).
//!
//! | stream | event | becomes |
//! |---|---|---|
//! | `<symbol>@depth@100ms` | `depthUpdate` | [`MarketEvent::Depth`] |
//! | `<symbol>@bookTicker` | none, or `bookTicker` | [`MarketEvent::Top`] |
//! | `<symbol>@trade` | `trade` | [`MarketEvent::Trade`] |
//! | `!serverShutdown` | `serverShutdown` | [`MarketEvent::Shutdown`] |
//!
//! A message is checked whole before any of it is delivered. The two hottest, ticker and trade, are read by a
//! scanner (`scan`) where they come in the venue's own layout; everything else, and everything that the scanner
//! declines, by the JSON reader.

use venue::{DepthHead, FeedError, FeedSession, Level, MarketEvent, Snapshot};
use wire::{Instrument, InstrumentId, Px, Qty, Side, Ts};

use crate::json::{self, Elements, JsonReader, Letters, Value, letter_name};
use crate::names::Names;
use crate::{scan, snapshot};

/// Most levels of one depth message, both sides together. A message of 100 ms seldom has 300; as many as one
/// side of the deepest snapshot is generous.
pub const LEVELS_MAX: usize = 5_000;

/// Levels a side that a snapshot is asked for: the venue's maximum (weight 250).
pub const SNAPSHOT_DEPTH: usize = 5_000;

/// One market-data connection.
pub struct BinanceFeed {
    listing: Listing,
    json: JsonReader,
    bids: Vec<Level>,
    asks: Vec<Level>,
    snapshot_levels: u32,
}

/// What is subscribed, by symbol.
pub(crate) struct Listing {
    instruments: Vec<Instrument>,
    symbols: Names,
}

impl Listing {
    #[inline]
    pub(crate) fn by_symbol(&self, symbol: &[u8]) -> Option<&Instrument> {
        self.symbols.index(symbol).and_then(|index| self.instruments.get(index))
    }

    fn instrument(&self, symbol: &str) -> Result<&Instrument, FeedError> {
        self.by_symbol(symbol.as_bytes()).ok_or(FeedError::Symbol)
    }
}

impl BinanceFeed {
    /// A session for these instruments. Reserves about 1.5 MB, so that no message within the bounds allocates.
    pub fn new(instruments: Vec<Instrument>) -> BinanceFeed {
        BinanceFeed {
            listing: Listing {
                symbols: Names::new(instruments.iter().map(|i| i.symbol.as_str())),
                instruments,
            },
            // The levels, and the names and values around them.
            json: JsonReader::warmed(LEVELS_MAX + 64),
            bids: Vec::with_capacity(LEVELS_MAX),
            asks: Vec::with_capacity(LEVELS_MAX),
            snapshot_levels: SNAPSHOT_DEPTH as u32,
        }
    }

    /// The same asking for snapshots of so many levels a side (1 to 5,000, the nearest is taken): shallower ones
    /// cost less of the venue's request weight.
    pub fn with_snapshot_levels(mut self, levels: u32) -> BinanceFeed {
        self.snapshot_levels = levels.clamp(1, SNAPSHOT_DEPTH as u32);
        self
    }
}

impl FeedSession for BinanceFeed {
    fn snapshot_weight(&self) -> u32 {
        // `rest-api.md`, "Order book".
        match self.snapshot_levels {
            0..=100 => 5,
            101..=500 => 25,
            501..=1_000 => 50,
            _ => 250,
        }
    }

    fn stream_target(&self) -> String {
        let streams: Vec<String> = (self.listing.instruments.iter())
            .map(|i| i.symbol.to_ascii_lowercase())
            .map(|s| format!("{s}@depth@100ms/{s}@bookTicker/{s}@trade"))
            .collect();
        format!("/stream?streams={}", streams.join("/"))
    }

    /// Empty when the instrument is not of this session.
    fn snapshot_target(&self, instrument: InstrumentId) -> String {
        match self.listing.instruments.iter().find(|i| i.id == instrument) {
            Some(i) => format!("/api/v3/depth?symbol={}&limit={}", i.symbol, self.snapshot_levels),
            None => String::new(),
        }
    }

    #[inline]
    fn on_message<S: FnMut(MarketEvent<'_>)>(
        &mut self,
        payload: &mut [u8],
        mut sink: S,
    ) -> Result<(), FeedError> {
        let BinanceFeed { listing, json, bids, asks, .. } = self;
        if let Some(event) = scan::event(payload, listing) {
            sink(event);
            return Ok(());
        }
        match json.read(payload, |message| decode(message, listing, bids, asks))? {
            Decoded::Depth(head) => sink(MarketEvent::Depth { head, bids, asks }),
            Decoded::Plain(event) => sink(event),
        }
        Ok(())
    }

    fn parse_snapshot(&self, instrument: InstrumentId, body: &mut [u8]) -> Result<Snapshot, FeedError> {
        let listed = self.listing.instruments.iter().find(|i| i.id == instrument);
        snapshot::parse(listed.ok_or(FeedError::Symbol)?, body)
    }

    fn instruments(&self) -> &[Instrument] {
        &self.listing.instruments
    }
}

/// A decoded message; the levels of a depth update are in the session's vectors.
enum Decoded {
    Depth(DepthHead),
    Plain(MarketEvent<'static>),
}

fn decode(
    message: Value<'_, '_>,
    listing: &Listing,
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
) -> Result<Decoded, FeedError> {
    let [stream, data, result, error, code] =
        json::pick(message, ["stream", "data", "result", "error", "code"])?;
    let event = match (data, error, code) {
        (Some(data), _, _) => data,
        (_, Some(error), _) => {
            let [code] = json::pick(error, ["code"])?;
            return Err(FeedError::Venue { code: json::code_of(code)? });
        }
        (_, _, Some(_)) => return Err(FeedError::Venue { code: json::code_of(code)? }),
        _ if result.is_some() => return Ok(Decoded::Plain(MarketEvent::Control)),
        _ => message,
    };
    if stream.and_then(Value::text) == Some("!serverShutdown") {
        return Ok(Decoded::Plain(MarketEvent::Shutdown));
    }
    let fields = Letters::scan(event).ok_or(FeedError::Field { field: "data" })?;
    let kind = match fields.find(b'e')? {
        Some(kind) => kind.text().ok_or(FeedError::Field { field: "e" })?,
        // Spot's ticker has no event type; its update id tells it from whatever else may come.
        None if fields.find(b'u')?.is_some() => "bookTicker",
        None => return Err(FeedError::UnknownEvent),
    };
    match kind {
        "bookTicker" => top(&fields, listing).map(Decoded::Plain),
        "trade" => trade(&fields, listing).map(Decoded::Plain),
        "depthUpdate" => depth(&fields, listing, bids, asks).map(Decoded::Depth),
        "serverShutdown" => Ok(Decoded::Plain(MarketEvent::Shutdown)),
        _ => Err(FeedError::UnknownEvent),
    }
}

fn top(fields: &Letters<'_, '_>, listing: &Listing) -> Result<MarketEvent<'static>, FeedError> {
    let i = listing.instrument(fields.text(b's')?)?;
    Ok(MarketEvent::Top {
        instrument: i.id,
        update_id: fields.u64(b'u')?,
        bid: best(fields, i, b'b', b'B')?,
        ask: best(fields, i, b'a', b'A')?,
    })
}

/// One side of a ticker; an empty side has quantity zero and may have price zero.
fn best(fields: &Letters<'_, '_>, i: &Instrument, px: u8, qty: u8) -> Result<Level, FeedError> {
    let level =
        Level { px: Px(fields.number(px, i.px_decimals)?), qty: Qty(fields.number(qty, i.qty_decimals)?) };
    if level.px.0 == 0 && level.qty.0 != 0 {
        return Err(zero(letter_name(px)));
    }
    Ok(level)
}

fn trade(fields: &Letters<'_, '_>, listing: &Listing) -> Result<MarketEvent<'static>, FeedError> {
    let i = listing.instrument(fields.text(b's')?)?;
    let px = fields.number(b'p', i.px_decimals)?;
    let qty = fields.number(b'q', i.qty_decimals)?;
    if px == 0 || qty == 0 {
        return Err(zero(if px == 0 { "p" } else { "q" }));
    }
    Ok(MarketEvent::Trade {
        instrument: i.id,
        trade_id: fields.u64(b't')?,
        px: Px(px),
        qty: Qty(qty),
        // m: the buyer rested, so the seller was the aggressor.
        aggressor: if fields.bool(b'm')? { Side::Sell } else { Side::Buy },
        ts_exch: time(fields, b'T')?,
    })
}

fn depth(
    fields: &Letters<'_, '_>,
    listing: &Listing,
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
) -> Result<DepthHead, FeedError> {
    let i = listing.instrument(fields.text(b's')?)?;
    let (first_id, last_id) = (fields.u64(b'U')?, fields.u64(b'u')?);
    if first_id > last_id {
        return Err(FeedError::Range { field: "U", value: first_id, rule: "first id <= last id u" });
    }
    let ts_exch = Some(time(fields, b'E')?);
    let (b, a) = (fields.elements(b'b')?, fields.elements(b'a')?);
    let levels = b.len() + a.len();
    if levels > LEVELS_MAX {
        return Err(FeedError::TooManyLevels { levels, max: LEVELS_MAX });
    }
    read_levels("b", b, i, bids)?;
    read_levels("a", a, i, asks)?;
    Ok(DepthHead { instrument: i.id, first_id, last_id, ts_exch })
}

/// Reads levels into `out`, which is cleared first. The caller has bounded their number.
pub(crate) fn read_levels(
    field: &'static str,
    levels: Elements<'_, '_>,
    i: &Instrument,
    out: &mut Vec<Level>,
) -> Result<(), FeedError> {
    out.clear();
    for level in levels {
        let (px, qty) = level.pair().ok_or(FeedError::Field { field })?;
        let px = json::number(field, px, i.px_decimals)?;
        let qty = json::number(field, qty, i.qty_decimals)?;
        if px == 0 {
            return Err(zero(field));
        }
        out.push(Level { px: Px(px), qty: Qty(qty) });
    }
    Ok(())
}

/// Milliseconds on the wire.
fn time(fields: &Letters<'_, '_>, letter: u8) -> Result<Ts, FeedError> {
    let ms = fields.u64(letter)?;
    ms.checked_mul(1_000_000).map(Ts).ok_or(FeedError::Range {
        field: letter_name(letter),
        value: ms,
        rule: "milliseconds whose nanoseconds fit 64 bits",
    })
}

#[cold]
fn zero(field: &'static str) -> FeedError {
    FeedError::Range { field, value: 0, rule: "greater than zero" }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use wire::{AssetId, DecimalError, VenueId};

    /// An instrument with the venue's scales.
    pub(crate) fn btcusdt() -> Instrument {
        Instrument {
            id: InstrumentId(4),
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
            px_min: Px(1_000_000),
            px_max: Px(100_000_000_000_000),
            lot: Qty(1_000),
            qty_min: Qty(1_000),
            qty_max: Qty(900_000_000_000),
            notional_min: 0,
            open_orders_max: 200,
            market_qty: Default::default(),
            band_buy: Default::default(),
            band_sell: Default::default(),
            trading: true,
        }
    }

    /// What one message said; levels as (px, qty) of bids, then asks.
    fn read(message: &str) -> Result<String, FeedError> {
        let mut said = None;
        let answer = BinanceFeed::new(vec![btcusdt()])
            .on_message(&mut message.as_bytes().to_vec(), |event| said = Some(format!("{event:?}")));
        match answer {
            Ok(()) => Ok(said.expect("one event")),
            Err(error) => {
                assert_eq!(said, None, "nothing of a refused message is delivered");
                Err(error)
            }
        }
    }

    const DEPTH: &str = r#"{"e":"depthUpdate","E":1672515782136,"s":"BTCUSDT","U":157,"u":160,"b":[["0.0024","10"]],"a":[["0.0026","100"],["0.0027","0.00000000"]]}"#;
    const TICKER: &str = r#"{"u":400900217,"s":"BTCUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}"#;
    const TRADE: &str = r#"{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}"#;

    #[test]
    fn reads_the_documented_examples_raw_and_combined() {
        let level = |px, qty| Level { px: Px(px), qty: Qty(qty) };
        let depth = MarketEvent::Depth {
            head: DepthHead {
                instrument: InstrumentId(4),
                first_id: 157,
                last_id: 160,
                ts_exch: Some(Ts(1_672_515_782_136_000_000)),
            },
            bids: &[level(240_000, 1_000_000_000)],
            asks: &[level(260_000, 10_000_000_000), level(270_000, 0)],
        };
        let top = MarketEvent::Top {
            instrument: InstrumentId(4),
            update_id: 400_900_217,
            bid: level(2_535_190_000, 3_121_000_000),
            ask: level(2_536_520_000, 4_066_000_000),
        };
        let trade = MarketEvent::Trade {
            instrument: InstrumentId(4),
            trade_id: 12_345,
            px: Px(100_000),
            qty: Qty(10_000_000_000),
            aggressor: Side::Sell,
            ts_exch: Ts(1_672_515_782_136_000_000),
        };
        for (message, event) in [(DEPTH, depth), (TICKER, top), (TRADE, trade)] {
            assert_eq!(read(message), Ok(format!("{event:?}")));
            assert_eq!(read(&format!(r#"{{"stream":"x","data":{message}}}"#)), Ok(format!("{event:?}")));
            assert_eq!(read(&format!(r#"{{"data":{message},"new":[{{}}]}}"#)), Ok(format!("{event:?}")));
        }
        let buyer_took = TRADE.replace(r#""m":true"#, r#""m":false"#);
        assert!(read(&buyer_took).expect("valid").contains("aggressor: Buy"));
    }

    #[test]
    fn control_shutdown_and_errors() {
        for control in [r#"{"result":null,"id":1}"#, r#"{"id":null,"result":["btcusdt@trade"]}"#] {
            assert_eq!(read(control), Ok("Control".into()));
        }
        for shutdown in [
            r#"{"e":"serverShutdown","E":1770123456789}"#,
            r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#,
        ] {
            assert_eq!(read(shutdown), Ok("Shutdown".into()));
        }
        for refused in [r#"{"error":{"code":2,"msg":"x"},"id":1}"#, r#"{"code":2,"msg":"x"}"#] {
            assert_eq!(read(refused), Err(FeedError::Venue { code: 2 }));
        }
        for unknown in [r#"{"e":"kline","k":{}}"#, "{}", r#"{"lastUpdateId":1,"bids":[],"asks":[]}"#] {
            assert_eq!(read(unknown), Err(FeedError::UnknownEvent), "{unknown}");
        }
    }

    #[test]
    fn each_refusal_names_field_and_rule() {
        let field = |field| FeedError::Field { field };
        let number = |field, error| FeedError::Number { field, error };
        let byte = |byte, at| DecimalError::Byte { byte, at };
        let digits = "1".repeat(40);
        let ticker = |from: &str, to: &str| read(&TICKER.replace(from, to));
        assert_eq!(ticker("25.35190000", "NaN"), Err(number("b", byte(b'N', 0))));
        assert_eq!(ticker("25.35190000", "-1"), Err(number("b", DecimalError::Negative)));
        assert_eq!(ticker("40.66000000", "1e400"), Err(number("A", byte(b'e', 1))));
        assert_eq!(ticker("40.66000000", &digits), Err(number("A", DecimalError::Overflow)));
        assert_eq!(
            ticker("40.66000000", &format!("{digits}0")),
            Err(number("A", DecimalError::TooLong { len: 41 }))
        );
        assert_eq!(ticker("25.35190000", ""), Err(number("b", DecimalError::Empty)));
        assert_eq!(
            ticker("25.35190000", "0.000000001"),
            Err(number("b", DecimalError::Precision { decimals: 8 }))
        );
        assert_eq!(ticker(r#""25.35190000""#, "25.35"), Err(field("b")));
        assert_eq!(ticker(r#""25.35190000""#, "null"), Err(field("b")));
        assert_eq!(ticker("400900217", r#""400900217""#), Err(field("u")));
        assert_eq!(ticker("400900217", "-1"), Err(field("u")));
        assert_eq!(ticker("400900217", "1.5"), Err(field("u")));
        assert_eq!(ticker("BTCUSDT", "ETHUSDT"), Err(FeedError::Symbol));
        assert_eq!(ticker("25.35190000", "0"), Err(zero("b")));
        assert_eq!(
            ticker(r#""A":"#, r#""A":"1","A":"#),
            Err(FeedError::Range { field: "A", value: 2, rule: "one occurrence in the message" })
        );
        let depth = |from: &str, to: &str| read(&DEPTH.replace(from, to));
        assert_eq!(
            depth(r#""U":157"#, r#""U":161"#),
            Err(FeedError::Range { field: "U", value: 161, rule: "first id <= last id u" })
        );
        assert_eq!(depth(r#"["0.0024","10"]"#, r#"["0.0024"]"#), Err(field("b")));
        assert_eq!(depth(r#"["0.0024","10"]"#, r#"["0.0024",10]"#), Err(field("b")));
        assert_eq!(depth(r#"["0.0024","10"]"#, r#""0.0024""#), Err(field("b")));
        assert_eq!(depth(r#"["0.0027","0.00000000"]"#, r#"["0","1"]"#), Err(zero("a")));
        assert_eq!(depth(r#""a":["#, r#""x":["#), Err(field("a")));
        let many = vec![r#"["1","1"]"#; LEVELS_MAX].join(",");
        assert_eq!(
            depth(r#"["0.0024","10"]"#, &many),
            Err(FeedError::TooManyLevels { levels: LEVELS_MAX + 2, max: LEVELS_MAX })
        );
        let trade = |from: &str, to: &str| read(&TRADE.replace(from, to));
        assert_eq!(trade("100", "0.000"), Err(zero("q")));
        assert_eq!(trade(r#""m":true"#, r#""m":1"#), Err(field("m")));
        assert!(matches!(
            trade(r#""T":1672515782136"#, r#""T":18446744073709551615"#),
            Err(FeedError::Range { field: "T", .. })
        ));
        for not_an_object in ["[]", "1", "\"x\"", "null"] {
            assert_eq!(read(not_an_object), Err(field("object")));
        }
        assert_eq!(read(r#"{"data":[]}"#), Err(field("data")));
        assert_eq!(read(r#"{"e":1}"#), Err(field("e")));
    }

    #[test]
    fn empty_side_of_a_ticker_is_taken() {
        let empty = TICKER.replace("25.35190000", "0.00000000").replace("31.21000000", "0.00000000");
        assert!(read(&empty).expect("valid").contains("bid: Level { px: Px(0), qty: Qty(0) }"));
    }

    #[test]
    fn targets_name_every_stream_and_the_snapshot() {
        let mut eth = btcusdt();
        (eth.id, eth.symbol) = (InstrumentId(5), "ETHUSDT".into());
        let feed = BinanceFeed::new(vec![btcusdt(), eth]);
        assert_eq!(
            feed.stream_target(),
            "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade\
             /ethusdt@depth@100ms/ethusdt@bookTicker/ethusdt@trade"
        );
        assert_eq!(feed.snapshot_target(InstrumentId(5)), "/api/v3/depth?symbol=ETHUSDT&limit=5000");
        assert_eq!(feed.snapshot_target(InstrumentId(9)), "");
        assert_eq!(feed.parse_snapshot(InstrumentId(9), &mut []), Err(FeedError::Symbol));
    }

    /// What the scanner takes, the reader takes too, with the same event.
    #[test]
    fn the_scanner_agrees_with_the_reader_on_damaged_messages() {
        let listing = BinanceFeed::new(vec![btcusdt()]).listing;
        let mut reader = JsonReader::once(512);
        let (mut bids, mut asks) = (Vec::new(), Vec::new());
        let mut state = 1u64;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let (mut taken, mut declined) = (0, 0);
        for round in 0..100_000 {
            let message = [TICKER, TRADE][round % 2];
            let mut bytes = format!(r#"{{"stream":"btcusdt@x","data":{message}}}"#).into_bytes();
            // Up to two bytes become others; digits mostly become digits, so that many stay well-formed.
            for _ in 0..random(3) {
                let at = random(bytes.len());
                let letters = br#"0123456789"{}:,.-eabstTrue @\"#;
                bytes[at] = match bytes[at].is_ascii_digit() {
                    true => letters[random(13)],
                    false => letters[random(letters.len())],
                };
            }
            let Some(scanned) = scan::event(&bytes, &listing) else {
                declined += 1;
                continue;
            };
            taken += 1;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            match reader.read(&mut bytes, |m| decode(m, &listing, &mut bids, &mut asks)) {
                Ok(Decoded::Plain(event)) => assert_eq!(event, scanned, "{text}"),
                Ok(Decoded::Depth(_)) => panic!("{text}"),
                Err(error) => panic!("{text}: {error}"),
            }
        }
        assert!(taken > 20_000 && declined > 20_000, "{taken} taken, {declined} declined");
    }
}
