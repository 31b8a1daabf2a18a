//! The market connection: how it can end, and what can come over it.

use corelane::simvenue::{ConnKind, ServerClose};
use net::ws::{Encoder, Opcode};
use wire::BookState;

use crate::rig::Rig;

/// One text message as it goes over the wire.
fn text(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(true, Opcode::Text, payload.as_ref())
}

fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Encoder::server().frame(fin, opcode, payload, &mut bytes);
    bytes
}

/// A depth update in the venue's own layout, with this bid.
fn depth(px: &str, qty: &str) -> String {
    format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1770123456789,"s":"BTCUSDT","U":1,"u":2,"b":[["{px}","{qty}"]],"a":[]}}}}"#
    )
}

/// A public trade in the venue's own layout, at this price.
fn trade(px: &str) -> String {
    format!(
        r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":1770123456789,"s":"BTCUSDT","t":1,"p":"{px}","q":"1.0","T":1770123456788,"m":true,"M":true}}}}"#
    )
}

/// A ticker in the venue's own layout, with this bid.
fn ticker(px: &str) -> String {
    format!(
        r#"{{"stream":"btcusdt@bookTicker","data":{{"u":1,"s":"BTCUSDT","b":"{px}","B":"1.0","a":"60001.00","A":"1.0"}}}}"#
    )
}

const FORTY_DIGITS: &str = "9999999999999999999999999999999999999999";

/// The fault strikes while nothing new can connect, so it lasts: its counter rises, the book leaves `InSync`, quotes
/// are pulled and no order is sent. When connections are taken again, trading resumes.
fn strikes(rig: &Rig, name: &str, counter: &str, strike: impl FnOnce(&Rig)) {
    let began = std::time::Instant::now();
    let before = rig.counter(counter);
    rig.venue.refuse_new(true);
    strike(rig);
    rig.until(&format!("{name}: {counter}"), |r| r.counter(counter) > before);
    rig.until(&format!("{name}: book out of sync"), |r| r.book() != BookState::InSync);
    rig.until(&format!("{name}: quotes pulled"), |r| r.venue.open_orders().is_empty());
    rig.sends_nothing(|r| r.book() != BookState::InSync);
    rig.venue.refuse_new(false);
    rig.resumes();
    rig.lives();
    println!("{name}: {counter} rose, trading resumed; {} ms in all", began.elapsed().as_millis());
}

#[test]
fn a_connection_that_ends_is_named_and_comes_back() {
    let rig = Rig::trading();
    let close = |how| move |r: &Rig| r.venue.close(ConnKind::Market, how);
    strikes(&rig, "close frame", "feed.down_peer_close", close(ServerClose::Clean { code: 1001 }));
    strikes(&rig, "end of stream", "feed.down_eof", close(ServerClose::Eof));
    strikes(&rig, "FIN without close_notify", "feed.down_truncated", close(ServerClose::Truncate));
    strikes(&rig, "reset", "feed.down_reset", close(ServerClose::Reset));
    strikes(&rig, "silence", "feed.down_idle", |r| r.venue.blackhole(ConnKind::Market, true));
    strikes(&rig, "half a frame, then the end", "feed.down_eof", |r| {
        let whole = text(depth("60000.00", "1.0"));
        r.venue.inject(ConnKind::Market, &whole[..whole.len() / 2]);
        r.venue.close(ConnKind::Market, ServerClose::Eof);
    });
    strikes(&rig, "half a frame, then a reset", "feed.down_reset", |r| {
        r.venue.inject(ConnKind::Market, &text(depth("60000.00", "1.0"))[..5]);
        r.venue.reset(ConnKind::Market);
    });
    strikes(&rig, "the venue announces that it will leave", "feed.down_aborted", |r| {
        r.venue.inject(ConnKind::Market, &text(r#"{"e":"serverShutdown","E":1770123456789}"#));
    });
    rig.stops_in_agreement();
}

#[test]
fn frames_that_break_the_protocol_end_the_connection() {
    let rig = Rig::trading();
    let inject = |bytes: Vec<u8>| move |r: &Rig| r.venue.inject(ConnKind::Market, &bytes);
    strikes(&rig, "binary frame", "feed.down_binary", inject(frame(true, Opcode::Binary, &[0xff; 32])));
    // A length of one TiB: refused when announced, not when it has arrived.
    let mut oversized = vec![0x81, 127];
    oversized.extend_from_slice(&(1u64 << 40).to_be_bytes());
    strikes(&rig, "frame of one TiB", "feed.down_protocol", inject(oversized));
    let mut negative = vec![0x81, 127];
    negative.extend_from_slice(&u64::MAX.to_be_bytes());
    strikes(&rig, "frame with a length below zero", "feed.down_protocol", inject(negative));
    // Fragments without an end: the whole is bounded, not the pieces. 8 MiB, twice what is taken.
    let mut endless = frame(false, Opcode::Text, &[b'['; 65_535]);
    (0..128).for_each(|_| endless.extend(frame(false, Opcode::Continuation, &[b'['; 65_535])));
    strikes(&rig, "message without an end", "feed.down_protocol", inject(endless));
    strikes(&rig, "reserved bits", "feed.down_protocol", inject(vec![0xf1, 0x01, b'x']));
    strikes(&rig, "masked by the server", "feed.down_protocol", inject(vec![0x81, 0x81, 1, 2, 3, 4, b'x']));
    strikes(
        &rig,
        "continuation of nothing",
        "feed.down_protocol",
        inject(frame(true, Opcode::Continuation, b"x")),
    );
    // The frames behind half a frame are taken for the rest of it, until nothing makes sense any more.
    let desync = |r: &Rig| {
        let whole = text(depth("60000.00", "1.0"));
        r.venue.inject(ConnKind::Market, &whole[..whole.len() - 100]);
    };
    strikes(&rig, "frames out of step", "feed.refused_syntax", desync);
    rig.stops_in_agreement();
}

#[test]
fn messages_that_are_not_what_they_should_be_cost_the_book() {
    let rig = Rig::trading();
    let say = |payload: String| move |r: &Rig| r.venue.inject(ConnKind::Market, &text(payload));
    let good = depth("60000.00", "1.0");
    strikes(&rig, "not JSON", "feed.refused_syntax", say("<html>502 Bad Gateway</html>".into()));
    strikes(&rig, "JSON cut short", "feed.refused_syntax", say(good[..good.len() / 2].into()));
    for bad in ["NaN", "-1", "1e400", FORTY_DIGITS] {
        let counter = if bad == "-1" { "feed.refused_negative" } else { "feed.refused_number" };
        strikes(&rig, &format!("depth price {bad}"), counter, say(depth(bad, "1.0")));
    }
    strikes(&rig, "nested without end", "feed.refused_syntax", say("[".repeat(1 << 20)));

    // The rest in one stretch: each is counted by its name, and none brings the book back.
    rig.venue.refuse_new(true);
    let level = r#"["60000.00","1.0"]"#;
    let many = good.replace(level, &[level; 6_000].join(","));
    for (name, payload, counter) in [
        ("nothing at all", String::new(), "syntax"),
        ("a trade at NaN", trade("NaN"), "number"),
        ("a ticker at -1", ticker("-1"), "negative"),
        ("quantity NaN", depth("60000.00", "NaN"), "number"),
        ("quantity -1", depth("60000.00", "-1"), "negative"),
        ("price of 1e400", ticker("1e400"), "number"),
        ("forty digits", trade(FORTY_DIGITS), "number"),
        ("no digits", depth("", "1.0"), "number"),
        ("two points", depth("1.2.3", "1.0"), "number"),
        ("a comma", depth("60000,00", "1.0"), "number"),
        ("hexadecimal", depth("0x10", "1.0"), "number"),
        ("infinity", trade("Infinity"), "number"),
        ("more decimals than the scale", depth("60000.000000001", "1.0"), "number"),
        ("a price of zero", depth("0.00", "1.0"), "range"),
        ("ids that run backwards", good.replace(r#""U":1"#, r#""U":9"#), "range"),
        ("an id beyond 64 bits", good.replace(r#""U":1"#, r#""U":99999999999999999999"#), "syntax"),
        ("an id that is negative", good.replace(r#""U":1"#, r#""U":-1"#), "field"),
        ("no first id", good.replace(r#""U":1,"#, ""), "field"),
        ("a number without quotes", good.replace(r#""60000.00""#, "60000.00"), "field"),
        ("levels that are no list", good.replace(&format!("[{level}]"), "{}"), "field"),
        ("another symbol", good.replace("BTCUSDT", "ETHUSDT"), "symbol"),
        ("another event", good.replace("depthUpdate", "kline"), "unknown_event"),
        ("an error of the venue", r#"{"code":-1003,"msg":"Too many requests."}"#.into(), "venue_error"),
        ("more levels than are taken", many, "too_many_levels"),
    ] {
        let counter = format!("feed.refused_{counter}");
        let before = rig.counter(&counter);
        rig.venue.inject(ConnKind::Market, &text(payload));
        rig.until(&format!("{name}: {counter}"), |r| r.counter(&counter) > before);
        assert_ne!(rig.book(), BookState::InSync, "{name}");
    }
    let mut not_utf8 = text(&good);
    let at = not_utf8.windows(3).position(|w| w == b"dep").expect("the event's name");
    not_utf8[at] = 0xff;
    let before = rig.counter("feed.refused_syntax");
    rig.venue.inject(ConnKind::Market, &not_utf8);
    rig.until("text that is not UTF-8", |r| r.counter("feed.refused_syntax") > before);
    rig.sends_nothing(|r| r.book() != BookState::InSync);
    rig.venue.refuse_new(false);
    rig.resumes();
    assert_eq!(rig.counter("feed.link_downs"), 0, "words cost the book, not the connection");
    rig.stops_in_agreement();
}
