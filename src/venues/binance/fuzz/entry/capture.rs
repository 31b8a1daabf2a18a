//! What must hold of a recording with any content. Run by the fuzzer and, over the committed corpus, by the default
//! tests.
//!
//! The bytes are the lines of a recording, played at once by the simulated venue to a connection that asks for every
//! stream and for each snapshot. Rules:
//!
//! - play ends, and every line is played, answered as a snapshot or counted as bad: none twice, none lost;
//! - frames come byte for byte and in order, and so do the bodies of snapshots;
//! - what a damaged line does to the market leaves the account whole.

use corelane_venue_binance::parse_exchange_info;
use corelane_venue_binance::sim::{
    BinanceSim, CaptureLines, CapturePace, ConnId, HttpIn, Out, Outbox, SimAccount, SimConfig, SimFaults,
    SimLimits, SimMarket,
};
use exchange::Fees;
use rust_decimal::Decimal;
use wire::{Instrument, InstrumentId, Ts, VenueId};

const TARGET: &str = "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade";
const START: Ts = Ts(1_700_000_000_000_000_000);

/// Checks every rule.
pub(crate) fn run(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let config = SimConfig {
        instrument: btcusdt(),
        market: SimMarket::Recorded { lines: Box::new(CaptureLines::new(lines.iter().map(|l| l.to_vec()))) },
        account: SimAccount {
            api_key: "key".into(),
            secret: "secret".into(),
            base: Decimal::from(10),
            quote: Decimal::from(1_000_000),
        },
        fees: Fees::default(),
        depth_interval_ms: 100,
        limits: SimLimits::default(),
        faults: SimFaults::default(),
    };
    let mut sim = BinanceSim::new(config, START).expect("a sound configuration");
    let mut out = Outbox::new();
    sim.open(ConnId(1), TARGET, START).expect("the streams are there");
    sim.set_pace(CapturePace::Max, START);
    let (mut played, mut asked) = (Vec::new(), 0);
    for _ in 0..=2 * lines.len() + 2 {
        if sim.finished() {
            break;
        }
        sim.advance(START, &mut out);
        if sim.held() {
            asked += 1;
            let target = "/api/v3/depth?symbol=BTCUSDT&limit=5000".to_owned();
            let request = HttpIn { id: asked, method: "GET".into(), target, ..HttpIn::default() };
            sim.http(request, START, &mut out);
        }
        for o in out.drain(..) {
            match o {
                Out::Text { payload, .. } => played.push(payload),
                Out::Http { status: 200, body, .. } => played.push(body),
                Out::Http { status, .. } => assert_ne!(status, 0),
                Out::Close { .. } => panic!("nobody asked for the end of the connection"),
            }
        }
    }
    assert!(sim.finished(), "play does not end");
    // Each thing played is the payload of a line, in the order of the lines.
    let mut rest = lines.iter().filter_map(|line| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        Some(&line[space + 1..])
    });
    for payload in &played {
        assert!(rest.any(|line| line == payload), "played what no line says, or out of order");
    }
    assert!(played.len() as u64 + sim.capture_lines_bad() <= 2 * lines.len() as u64);
    assert!(sim.open_orders().is_empty() && sim.received().is_empty());
}

fn btcusdt() -> Instrument {
    const LISTING: &[u8] = br#"{"rateLimits":[],"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01","maxPrice":"1000000.00","tickSize":"0.01"},{"filterType":"LOT_SIZE","minQty":"0.00001","maxQty":"9000","stepSize":"0.00001"},{"filterType":"NOTIONAL","minNotional":"5.0"},{"filterType":"MAX_NUM_ORDERS","maxNumOrders":200}]}]}"#;
    let listed = parse_exchange_info(&mut LISTING.to_vec(), VenueId(0), &["BTCUSDT"], InstrumentId(0));
    listed.expect("a sound listing").remove(0)
}
