//! Damaged recordings: one message of a real market dropped, repeated, swapped with the next or changed in one digit.
//! The feed must notice at the very message at which the venue's rules can see it, and never otherwise.
//!
//! What can be seen, and where, is decided by an oracle that shares no code with the engine: serde_json, 128-bit
//! integers and ordered maps, reading the rules slowly. The recordings lie in `../shared/data`; without them the test
//! says that it was skipped. `CORELANE_MUTATIONS` asks for more mutations, over the whole of both days.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use corelane::feed::{Bounds, Feed, FeedCounts, FeedSettings};
use serde_json::Value;
use venue::FeedSession;
use venue_binance::{BinanceDepthSequence, BinanceFeed, parse_exchange_info};
use wire::{Instrument, InstrumentId, Ts, VenueId};

/// Mutations when nobody asks for more, and the messages of the first day that they fall on.
const FEW: (usize, usize) = (200, 15_000);
/// Messages before which nothing is damaged: the book must have come into sync.
const SOUND: usize = 60;
/// Messages behind the damage in which it may still come to light.
const AFTER: usize = 3_000;
const AHEAD_NS: u64 = 5_000_000_000;
const JUMP_BPS: i128 = 1_000;

/// A line of the recording.
#[derive(Clone)]
struct Line {
    stamp: u64,
    payload: Vec<u8>,
    said: Option<Said>,
}

/// What a message says to somebody who believes everything.
#[derive(Clone, Debug)]
enum Said {
    Snapshot { id: u64, sides: [Vec<(i128, i128)>; 2] },
    Depth { first: u64, last: u64, ms: u64, sides: [Vec<(i128, i128)>; 2] },
    Ticker { id: u64, bid: (i128, i128), ask: (i128, i128) },
    Trade { id: u64, px: i128, ms: u64 },
}

/// Decimal text at eight decimals; `None` when it is not a plain decimal with at most eight.
fn number(text: &Value) -> Option<i128> {
    let (whole, fraction) = text.as_str()?.split_once('.')?;
    format!("{whole}{fraction:0<8}").parse().ok().filter(|_| fraction.len() == 8)
}

fn pairs(list: &Value) -> Option<Vec<(i128, i128)>> {
    list.as_array()?.iter().map(|l| Some((number(&l[0])?, number(&l[1])?))).collect()
}

/// `None` is a message that says nothing sound: that much is seen at once.
fn hear(payload: &[u8]) -> Option<Said> {
    let json: Value = serde_json::from_slice(payload).ok()?;
    if json.get("lastUpdateId").is_some() {
        let sides = [pairs(&json["bids"])?, pairs(&json["asks"])?];
        return Some(Said::Snapshot { id: json["lastUpdateId"].as_u64()?, sides });
    }
    let d = &json["data"];
    match d["e"].as_str() {
        Some("depthUpdate") => {
            let (first, last) = (d["U"].as_u64()?, d["u"].as_u64()?);
            let sides = [pairs(&d["b"])?, pairs(&d["a"])?];
            let sound = first <= last && sides.iter().flatten().all(|l| l.0 > 0);
            sound.then_some(Said::Depth { first, last, ms: d["E"].as_u64()?, sides })
        }
        Some("trade") => {
            let (px, qty) = (number(&d["p"])?, number(&d["q"])?);
            d["E"].as_u64()?;
            (px > 0 && qty > 0).then_some(Said::Trade { id: d["t"].as_u64()?, px, ms: d["T"].as_u64()? })
        }
        _ => {
            let level = |px: &str, qty: &str| Some((number(&d[px])?, number(&d[qty])?));
            let (bid, ask) = (level("b", "B")?, level("a", "A")?);
            let sound = [bid, ask].iter().all(|l| l.0 > 0 || l.1 == 0);
            sound.then_some(Said::Ticker { id: d["u"].as_u64()?, bid, ask })
        }
    }
}

/// A top with its update id.
type Top = (u64, (i128, i128), (i128, i128));

/// The rules, read slowly, until the first that is broken.
#[derive(Default)]
struct Oracle {
    book: [BTreeMap<i128, i128>; 2],
    buffered: Vec<Said>,
    /// Update id of the book, and whether an update has continued the snapshot.
    at: Option<(u64, bool)>,
    tickers: Vec<Top>,
    waiting: Vec<Top>,
    differences: u32,
    top_id: u64,
    mid: Option<i128>,
    last_trade: Option<u64>,
    last_ms: [u64; 2],
}

impl Oracle {
    /// Whether the message is seen to be wrong.
    fn sees(&mut self, line: &Line) -> bool {
        match &line.said {
            None => true,
            Some(Said::Snapshot { id, sides }) => {
                for (book, side) in self.book.iter_mut().zip(sides) {
                    *book = side.iter().copied().collect();
                }
                self.at = Some((*id, false));
                std::mem::take(&mut self.buffered).iter().any(|u| self.depth(u))
            }
            Some(Said::Depth { ms, .. }) => {
                if self.time(0, *ms, line.stamp) {
                    return true;
                }
                match (&line.said, self.at) {
                    (Some(update), Some(_)) => self.depth(update),
                    (Some(update), None) => {
                        self.buffered.push(update.clone());
                        false
                    }
                    _ => false,
                }
            }
            Some(Said::Ticker { id, bid, ask }) => self.ticker((*id, *bid, *ask)),
            Some(Said::Trade { id, px, ms }) => {
                let last = self.last_trade.replace(*id);
                let order = last.is_some_and(|last| *id != last + 1);
                order | self.time(1, *ms, line.stamp) || self.far(*px)
            }
        }
    }

    fn time(&mut self, stream: usize, ms: u64, stamp: u64) -> bool {
        let back = ms < self.last_ms[stream];
        self.last_ms[stream] = ms;
        back || ms as u128 * 1_000_000 > stamp as u128 + AHEAD_NS as u128
    }

    fn far(&self, px: i128) -> bool {
        self.mid.is_some_and(|mid| px > 0 && (px - mid).abs() * 10_000 > mid * JUMP_BPS)
    }

    fn believe(&mut self, (id, bid, ask): Top) {
        self.top_id = id;
        self.mid = Some((bid.0 + ask.0) / 2);
    }

    fn depth(&mut self, update: &Said) -> bool {
        let (Said::Depth { first, last, sides, .. }, Some((id, continued))) = (update, self.at) else {
            return false;
        };
        if !continued && *last <= id {
            return false;
        }
        let follows = if continued { *first == id + 1 } else { *first <= id + 1 };
        if !follows {
            return true;
        }
        self.at = Some((*last, true));
        for (book, side) in self.book.iter_mut().zip(sides) {
            for (px, qty) in side {
                if *qty == 0 {
                    book.remove(px);
                } else {
                    book.insert(*px, *qty);
                }
            }
        }
        let best = (self.book[0].last_key_value(), self.book[1].first_key_value());
        let (Some((bid, bid_qty)), Some((ask, ask_qty))) = best else { return true };
        let top = (*last, (*bid, *bid_qty), (*ask, *ask_qty));
        if bid >= ask || self.far(*bid) || self.far(*ask) {
            return true;
        }
        let broken = match self.tickers.last() {
            Some(newest) if newest.0 >= *last => {
                let of_its_id = self.tickers.iter().rev().find(|t| t.0 <= *last).copied();
                of_its_id.is_some_and(|t| self.differs(t, top))
            }
            Some(_) => {
                self.waiting.push(top);
                false
            }
            None => false,
        };
        if !continued || *last > self.top_id {
            let newest = self.tickers.last().copied().filter(|t| !continued && t.0 > *last);
            self.believe(newest.unwrap_or(top));
        }
        broken
    }

    fn ticker(&mut self, ticker: Top) -> bool {
        let (id, bid, ask) = ticker;
        let crossed = bid.0 >= ask.0 && bid.1 > 0 && ask.1 > 0;
        if self.tickers.last().is_some_and(|t| id <= t.0) || crossed || self.far(bid.0) || self.far(ask.0) {
            return true;
        }
        let mut broken = false;
        let before = self.tickers.last().copied();
        let (reached, waiting): (Vec<Top>, Vec<Top>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|w| w.0 <= id);
        self.waiting = waiting;
        for book in reached {
            let of_its_id = if book.0 == id { Some(ticker) } else { before };
            broken |= of_its_id.is_some_and(|t| self.differs(t, book));
        }
        self.tickers.push(ticker);
        if matches!(self.at, Some((_, true))) && id > self.top_id {
            self.believe(ticker);
        }
        broken
    }

    /// The second difference in a row is seen.
    fn differs(&mut self, ticker: Top, book: Top) -> bool {
        self.differences = if (ticker.1, ticker.2) == (book.1, book.2) { 0 } else { self.differences + 1 };
        self.differences >= 2
    }
}

fn btcusdt() -> Instrument {
    const LISTING: &str = r#"{"rateLimits":[],"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01","maxPrice":"1000000.00","tickSize":"0.01"},{"filterType":"LOT_SIZE","minQty":"0.00001","maxQty":"9000","stepSize":"0.00001"},{"filterType":"NOTIONAL","minNotional":"5.0"},{"filterType":"MAX_NUM_ORDERS","maxNumOrders":200}]}]}"#;
    let mut body = LISTING.as_bytes().to_vec();
    parse_exchange_info(&mut body, VenueId(0), &["BTCUSDT"], InstrumentId(0)).expect("a listing").remove(0)
}

/// Everything that the engine counts when it sees something wrong.
fn alarms(c: &FeedCounts) -> u64 {
    c.gaps
        + c.trade_gaps
        + c.crossed
        + c.stalled
        + c.overflows
        + c.refused.iter().chain(&c.doubted).sum::<u64>()
}

/// The message at which the engine raises its first alarm.
fn engine_sees(lines: impl Iterator<Item = Line>) -> Option<usize> {
    let settings = FeedSettings {
        pending_updates_max: 64,
        depth_silence_ns: 3_000_000_000,
        bounds: Bounds { price_change_max_bps: JUMP_BPS as u32, exchange_ahead_max_ns: AHEAD_NS },
    };
    let parser = BinanceFeed::new(vec![btcusdt()]);
    let mut feed: Feed<_, BinanceDepthSequence> = Feed::new(BinanceFeed::new(vec![btcusdt()]), 0, settings);
    feed.on_up(Ts(0), &mut |_| {});
    for (i, mut line) in lines.enumerate() {
        let now = Ts(line.stamp);
        if matches!(line.said, Some(Said::Snapshot { .. })) {
            assert!(feed.take_snapshot_wish(now).is_some(), "an update has asked");
            let snapshot =
                parser.parse_snapshot(InstrumentId(0), &mut line.payload).expect("a sound snapshot");
            feed.on_snapshot(&snapshot, now, &mut |_| {});
        } else {
            // Whether it is refused, the counters say.
            let _ = feed.on_message(&mut line.payload, now, &mut |_| {});
        }
        if alarms(&feed.counts) > 0 {
            return Some(i);
        }
    }
    None
}

fn oracle_sees(lines: impl Iterator<Item = Line>) -> Option<usize> {
    let mut oracle = Oracle::default();
    lines.enumerate().find_map(|(i, line)| oracle.sees(&line).then_some(i))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    Drop,
    Repeat,
    Swap,
    /// The n-th digit becomes another.
    Digit(usize, u8),
}

/// The lines up to `AFTER` behind the damage at `at`.
fn damaged(lines: &[Line], at: usize, mutation: Mutation) -> Vec<Line> {
    let mut damaged: Vec<Line> = lines[..(at + AFTER).min(lines.len())].to_vec();
    match mutation {
        Mutation::Drop => {
            damaged.remove(at);
        }
        Mutation::Repeat => damaged.insert(at + 1, damaged[at].clone()),
        Mutation::Swap => {
            damaged.swap(at, at + 1);
            let (a, b) = (damaged[at].stamp, damaged[at + 1].stamp);
            (damaged[at].stamp, damaged[at + 1].stamp) = (b, a);
        }
        Mutation::Digit(nth, to) => {
            let line = &mut damaged[at];
            let digits: Vec<usize> =
                (0..line.payload.len()).filter(|i| line.payload[*i].is_ascii_digit()).collect();
            let place = digits[nth % digits.len()];
            line.payload[place] = if line.payload[place] == to { b'0' + (to - b'0' + 1) % 10 } else { to };
            line.said = hear(&line.payload);
        }
    }
    damaged
}

fn recordings(days: &[&str]) -> Option<Vec<Line>> {
    let mut lines = Vec::new();
    for day in days {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../shared/data/binance/spot/hftbacktest_btcusdt_{day}.gz"));
        let Ok(file) = std::fs::File::open(&path) else {
            println!("skipped: {} is not there", path.display());
            return None;
        };
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).expect("a recording");
        for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let space = line.iter().position(|b| *b == b' ').expect("stamp and payload");
            let stamp = std::str::from_utf8(&line[..space]).expect("text").parse().expect("a stamp");
            let payload = line[space + 1..].to_vec();
            lines.push(Line { stamp, said: hear(&payload), payload });
        }
    }
    Some(lines)
}

#[test]
fn a_damaged_message_is_noticed_where_it_can_be_and_nowhere_else() {
    let wanted = std::env::var("CORELANE_MUTATIONS").ok().and_then(|n| n.parse::<usize>().ok());
    let days: &[&str] = if wanted.is_some() { &["20240808", "20240809"] } else { &["20240808"] };
    let Some(mut lines) = recordings(days) else { return };
    let count = wanted.unwrap_or(FEW.0);
    if wanted.is_none() {
        lines.truncate(FEW.1);
    }
    assert_eq!(oracle_sees(lines.iter().cloned()), None, "the recording is sound");
    assert_eq!(engine_sees(lines.iter().cloned()), None, "a false alarm on the recording itself");

    let mut state = 7u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut seen, mut late, mut unseen, mut wrong) = (0, 0, 0, Vec::new());
    for n in 0..count {
        let at = SOUND + random(lines.len() - SOUND - 2);
        let mutation = match n % 4 {
            0 => Mutation::Drop,
            1 => Mutation::Repeat,
            2 => Mutation::Swap,
            _ => Mutation::Digit(random(4_096), b'0' + random(10) as u8),
        };
        let damaged = damaged(&lines, at, mutation);
        let oracle = oracle_sees(damaged.iter().cloned());
        let engine = engine_sees(damaged.into_iter());
        match oracle {
            Some(i) if i <= at + 1 => seen += 1,
            Some(_) => late += 1,
            None => unseen += 1,
        }
        if oracle != engine {
            let what = String::from_utf8_lossy(&lines[at].payload).chars().take(160).collect::<String>();
            wrong.push(format!("{mutation:?} at {at}: seen at {oracle:?}, noticed at {engine:?}: {what}"));
        }
    }
    println!(
        "{count} mutations: {seen} seen at once, {late} later, {unseen} nobody can see; {} wrong",
        wrong.len()
    );
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(seen * 3 > count, "too few could be seen to judge by");
}
