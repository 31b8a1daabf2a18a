//! The venue over real sockets.

use super::*;
use exchange::{CrowdConfig, Fees};
use net::dial::{Mailbox, MailboxPeer};
use net::http::{CallConfig, Request, Response, call};
use net::tls::{ClientTls, Trust};
use net::{Backend, CloseReason, DialSpec, Endpoint, Link, LinkConfig, LinkEvent, WsLink, dial};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use venue_binance::sim::{CaptureLines, SimAccount, SimFaults, SimLimits, SimMarket};
use wire::{AssetId, Instrument, InstrumentId, Px, Qty, VenueId};

const PATIENCE: Duration = Duration::from_secs(20);
const DEPTH: &str = "/api/v3/depth?symbol=BTCUSDT&limit=5000";

fn config(market: SimMarket) -> SimConfig {
    SimConfig {
        instrument: instrument(),
        market,
        account: SimAccount {
            api_key: "key".into(),
            secret: "secret".into(),
            base: 10.into(),
            quote: 1_000_000.into(),
        },
        fees: Fees { maker_ppm: 0, taker_ppm: 0 },
        depth_interval_ms: 100,
        limits: SimLimits::default(),
        faults: SimFaults::default(),
    }
}

fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId(0),
        venue: VenueId(0),
        symbol: "BTCUSDT".into(),
        base: "BTC".into(),
        quote: "USDT".into(),
        base_id: AssetId(0),
        quote_id: AssetId(1),
        px_decimals: 2,
        qty_decimals: 5,
        quote_decimals: 8,
        tick: Px(1),
        px_min: Px(1),
        px_max: Px(100_000_000),
        lot: Qty(1),
        qty_min: Qty(1),
        qty_max: Qty(900_000_000),
        notional_min: 0,
        open_orders_max: 0,
        market_qty: Default::default(),
        band_buy: Default::default(),
        band_sell: Default::default(),
        trading: true,
    }
}

fn crowd() -> SimMarket {
    SimMarket::Crowd { seed: 1, config: CrowdConfig::around(&instrument(), Px(6_000_000)) }
}

fn lines(count: usize, snapshot_at: Option<usize>) -> Vec<String> {
    let pad = "0".repeat(200);
    (0..count)
        .map(|n| match snapshot_at {
            Some(at) if at == n => format!(r#"{n} {{"lastUpdateId":{n},"bids":[],"asks":[]}}"#),
            _ => format!(r#"{n} {{"stream":"x@y","data":{{"n":{n},"pad":"{pad}"}}}}"#),
        })
        .collect()
}

fn recording(lines: &[String]) -> SimMarket {
    SimMarket::Recorded { lines: Box::new(CaptureLines::new(lines.iter().map(|l| l.as_bytes().to_vec()))) }
}

fn endpoint(handle: &Handle) -> Endpoint {
    let trust = Trust::Der(vec![handle.cert_der().to_vec()]);
    Endpoint {
        host: "127.0.0.1".into(),
        port: handle.addr().port(),
        address: None,
        tls: Some(ClientTls::new(&trust).expect("the venue's certificate")),
    }
}

fn get(handle: &Handle, target: &str) -> Response {
    call(&endpoint(handle), &Request::get(target), &CallConfig::default()).expect("an answer")
}

/// A WebSocket client that keeps what it hears.
struct Client {
    link: WsLink,
    _peer: MailboxPeer,
    texts: Vec<String>,
    down: Option<CloseReason>,
}

impl Client {
    fn connect(handle: &Handle, target: &str) -> Client {
        let session = dial(&DialSpec::new(endpoint(handle), target), 7).expect("a connection");
        let (mailbox, mut peer) = Mailbox::pair();
        let config = LinkConfig { backend: Backend::Recv, ..LinkConfig::default() };
        let link = WsLink::new(config, mailbox);
        assert!(peer.deliver(Box::new(session)).is_ok());
        let mut client = Client { link, _peer: peer, texts: Vec::new(), down: None };
        client.until("up", |c| c.link.is_up());
        client
    }

    fn poll(&mut self) {
        let (texts, down) = (&mut self.texts, &mut self.down);
        self.link.poll(1_000, &|| 0, &mut |event| match event {
            LinkEvent::Message { payload, .. } => texts.push(String::from_utf8_lossy(payload).into_owned()),
            LinkEvent::Down { reason } => *down = Some(reason),
            _ => {}
        });
    }

    fn until(&mut self, what: &str, done: impl Fn(&Client) -> bool) {
        let began = Instant::now();
        while !done(self) {
            self.poll();
            assert!(
                began.elapsed() < PATIENCE,
                "no {what} after {} texts, down {:?}",
                self.texts.len(),
                self.down
            );
            std::thread::yield_now();
        }
    }

    fn send(&mut self, text: &str) -> bool {
        self.link.send(text.as_bytes(), &mut || true).is_ok()
    }
}

#[test]
fn one_port_serves_rest_and_both_kinds_of_socket() {
    let handle = SimVenueHost::start(config(crowd()), HostOptions::default()).expect("a venue");
    assert_eq!(get(&handle, "/api/v3/time").status, 200);
    let book = String::from_utf8(get(&handle, DEPTH).body).expect("text");
    assert!(book.starts_with(r#"{"lastUpdateId":"#) && book.contains(r#""bids":[["#), "{book}");
    assert_eq!(get(&handle, "/nowhere").status, 404);
    assert!(dial(&DialSpec::new(endpoint(&handle), "/nowhere"), 1).is_err());

    let mut market = Client::connect(&handle, "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker");
    let mut api = Client::connect(&handle, "/ws-api/v3?returnRateLimits=false");
    let of = |kind| handle.connections(kind);
    assert_eq!((of(ConnKind::Market), of(ConnKind::Api)), (1, 1));
    assert!(api.send(r#"{"id":1,"method":"order.place","params":{"newClientOrderId":"c1"}}"#));
    api.until("reply", |c| !c.texts.is_empty());
    assert!(api.texts[0].starts_with(r#"{"id":1,"status":400,"error":{"code":-1102,"#), "{}", api.texts[0]);
    market.until("depth", |c| c.texts.iter().any(|t| t.contains("depthUpdate")));
    market.until("ticker", |c| c.texts.iter().any(|t| t.contains("btcusdt@bookTicker")));

    let received = handle.received();
    assert_eq!(received.iter().map(|r| r.client_id.as_str()).collect::<Vec<_>>(), ["c1"]);
    assert!(handle.open_orders().is_empty() && !handle.finished());
    let venue = handle.stop().expect("a clean end");
    assert_eq!(venue.received(), received);
    api.until("end", |c| c.down.is_some());
    assert_eq!(api.down, Some(CloseReason::Eof));
}

#[test]
fn a_recording_at_full_speed_loses_nothing_and_waits_for_a_slow_reader() {
    // 12 MB: more than sockets and the backlog hold.
    let lines = lines(50_000, Some(100));
    let options = HostOptions { speed: Speed::Max, ..HostOptions::default() };
    let handle = SimVenueHost::start(config(recording(&lines)), options).expect("a venue");
    let mut client = Client::connect(&handle, "/stream?streams=x@y");
    client.until("hold", |c| c.texts.len() == 100);
    let held = handle.look(|venue| (venue.held(), venue.next_at())).expect("a venue");
    assert_eq!(held, (true, None));
    let snapshot = get(&handle, DEPTH);
    assert_eq!(
        (snapshot.status, snapshot.body),
        (200, br#"{"lastUpdateId":100,"bids":[],"asks":[]}"#.to_vec())
    );
    // Nobody reads: the venue stops rather than pile up or lose.
    std::thread::sleep(Duration::from_millis(300));
    assert!(!handle.finished());
    assert_eq!(handle.connections(ConnKind::Market), 1);
    client.until("all lines", |c| c.texts.len() == 49_999);
    let expected =
        lines.iter().filter(|l| l.contains("stream")).map(|l| l.split_once(' ').expect("a stamp").1);
    assert!(client.texts.iter().map(String::as_str).eq(expected));
    assert!(handle.finished());
    assert_eq!(get(&handle, DEPTH).status, 503);
}

#[test]
fn a_recording_in_real_time_keeps_its_gaps() {
    let stamped: Vec<String> =
        (0..5u64).map(|n| format!(r#"{} {{"stream":"x@y","data":{{"n":{n}}}}}"#, n * 100_000_000)).collect();
    let options = HostOptions { speed: Speed::Realtime(2.0), ..HostOptions::default() };
    let handle = SimVenueHost::start(config(recording(&stamped)), options).expect("a venue");
    let began = Instant::now();
    let mut client = Client::connect(&handle, "/stream?streams=x@y");
    client.until("all lines", |c| c.texts.len() == 5);
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
}

#[test]
fn a_stalled_connection_closes_its_window_and_loses_nothing() {
    let options = HostOptions { recv_buffer_bytes: Some(4_096), ..HostOptions::default() };
    let handle = SimVenueHost::start(config(crowd()), options).expect("a venue");
    let mut api = Client::connect(&handle, "/ws-api/v3?returnRateLimits=false");
    handle.stall(ConnKind::Api, true);
    assert_eq!(handle.connections(ConnKind::Api), 1);
    let request = format!(r#"{{"id":"{}","method":"ping"}}"#, "x".repeat(8_000));
    let (mut sent, began) = (0, Instant::now());
    while api.link.unsent_bytes().expect("a socket") == 0 {
        assert!(api.send(&request), "the link takes it");
        sent += 1;
        assert!(sent < 2_000 && began.elapsed() < PATIENCE, "the window never closed");
    }
    std::thread::sleep(Duration::from_millis(50));
    api.poll();
    assert!(api.link.unsent_bytes().expect("a socket") > 0 && api.texts.is_empty());
    handle.stall(ConnKind::Api, false);
    api.until("every reply", |c| c.texts.len() == sent);
}

#[test]
fn connections_end_as_they_are_told_to() {
    let handle = SimVenueHost::start(config(crowd()), HostOptions::default()).expect("a venue");
    let target = "/stream?streams=btcusdt@bookTicker";
    for (how, reason) in [
        (ServerClose::Clean { code: 1001 }, CloseReason::PeerClose { code: 1001 }),
        (ServerClose::Eof, CloseReason::Eof),
        (ServerClose::Truncate, CloseReason::Truncated),
        (ServerClose::Reset, CloseReason::Reset),
    ] {
        let mut client = Client::connect(&handle, target);
        client.until("ticker", |c| c.texts.len() > 3);
        handle.close(ConnKind::Market, how);
        client.until("end", |c| c.down.is_some());
        assert_eq!(client.down, Some(reason), "{how:?}");
        drop(client);
        let began = Instant::now();
        while handle.connections(ConnKind::All) > 0 {
            assert!(began.elapsed() < PATIENCE, "a connection is left after {how:?}");
        }
    }
    let mut client = Client::connect(&handle, target);
    handle.blackhole(ConnKind::Market, true);
    assert_eq!(handle.connections(ConnKind::Market), 1);
    std::thread::sleep(Duration::from_millis(20));
    client.poll();
    let heard = client.texts.len();
    std::thread::sleep(Duration::from_millis(200));
    client.poll();
    assert_eq!((client.texts.len(), &client.down), (heard, &None), "silence");
    handle.blackhole(ConnKind::Market, false);
    client.until("ticker", |c| c.texts.len() > heard);
    handle.refuse_new(true);
    assert!(dial(&DialSpec::new(endpoint(&handle), target), 1).is_err());
    handle.refuse_new(false);
    Client::connect(&handle, target);
}

#[test]
fn a_silent_client_is_pinged_and_then_dropped() {
    let options = HostOptions { ping_ms: 50, pong_ms: 400, ..HostOptions::default() };
    let handle = SimVenueHost::start(config(crowd()), options).expect("a venue");
    let mut answers = Client::connect(&handle, "/ws-api/v3");
    let mut silent = Client::connect(&handle, "/ws-api/v3");
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_200) {
        answers.poll();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((answers.down, answers.link.is_up()), (None, true));
    assert_eq!(handle.connections(ConnKind::Api), 1);
    silent.until("end", |c| c.down.is_some());
    assert_eq!(silent.down, Some(CloseReason::Reset));
}

#[test]
fn waiting_costs_little() {
    let mut quiet = config(crowd());
    let SimMarket::Crowd { config: crowd, .. } = &mut quiet.market else { unreachable!("made above") };
    crowd.actions_per_s = 0.0;
    let handle = SimVenueHost::start(quiet, HostOptions::default()).expect("a venue");
    let _client = Client::connect(&handle, "/ws-api/v3");
    let cpu_ns = || {
        let (reply, answer) = channel();
        handle.look(move |_| {
            let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
            let ns = text.split(' ').next().and_then(|t| t.parse::<u64>().ok());
            reply.send(ns).is_ok()
        });
        answer.recv().ok().flatten()
    };
    let Some(before) = cpu_ns() else {
        println!("skipped: /proc/thread-self/schedstat is not readable here");
        return;
    };
    std::thread::sleep(Duration::from_millis(500));
    let used = cpu_ns().expect("still readable") - before;
    assert!(used < 100_000_000, "{used} ns of 500 ms");
}

#[test]
fn bad_options_are_named() {
    for value in [0.0, -1.0, f64::NAN] {
        let options = HostOptions { speed: Speed::Realtime(value), ..HostOptions::default() };
        let error = SimVenueHost::start(config(crowd()), options).err();
        assert!(matches!(error, Some(HostError::Speed { .. })), "{value}");
    }
    let first = SimVenueHost::start(config(crowd()), HostOptions::default()).expect("a venue");
    let taken = HostOptions { listen: first.addr(), ..HostOptions::default() };
    let error = SimVenueHost::start(config(crowd()), taken).err();
    assert!(matches!(error, Some(HostError::Io { what: "bind", .. })));
}
