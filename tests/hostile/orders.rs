//! The order connections: cut in the middle of the flow, unread, silent, talking nonsense.

use std::time::{Duration, Instant};

use corelane::controls::StopState;
use corelane::demo::figures;
use corelane::simvenue::{ConnKind, ServerClose};
use net::ws::{Encoder, Opcode};
use wire::BookState;

use crate::rig::Rig;

/// Both connections, one after the other: the one that carries orders, and the one that only listens. What one does
/// not hear the other does, so nothing is lost and trading goes on by itself.
#[test]
fn orders_survive_the_loss_of_either_connection() {
    let rig = Rig::trading();
    let (mut carrying, mut listening) = (0, 0);
    let endings = [ServerClose::Reset, ServerClose::Reset, ServerClose::Truncate, ServerClose::Truncate];
    for how in endings {
        let before = rig.counter("gateway.sessions_lost");
        rig.venue.refuse_new(true);
        rig.venue.close_oldest(ConnKind::Api, how);
        rig.until("session lost", |r| r.counter("gateway.sessions_lost") > before);
        if rig.live.controls.session_ready() {
            listening += 1;
            rig.resumes();
        } else {
            carrying += 1;
            rig.sends_nothing(|r| !r.live.controls.session_ready());
            assert_eq!(rig.book(), BookState::InSync, "the market is as it was");
        }
        rig.venue.refuse_new(false);
        rig.until("both connections", |r| r.venue.connections(ConnKind::Api) == 2);
        rig.until("order session", |r| r.live.controls.session_ready());
        rig.resumes();
    }
    assert_eq!((carrying, listening), (2, 2));
    assert_eq!((rig.counter("gateway.down_reset"), rig.counter("gateway.down_truncated")), (2, 2));
    println!(
        "unknown orders {}, questions {}, acks {}",
        rig.counter("oms.unknown"),
        rig.counter("oms.queries"),
        rig.counter("oms.acked")
    );
    rig.stops_in_agreement();
}

/// The venue takes the bytes and does not read them: answers are missed, the orders count as unknown and nothing
/// follows them. When it reads again, they are resolved by asking.
#[test]
fn a_venue_that_does_not_read_stops_the_flow() {
    let rig = Rig::trading();
    let before = rig.counter("oms.unknown");
    rig.venue.stall(ConnKind::Api, true);
    rig.until("an unknown order", |r| r.counter("oms.unknown") > before);
    rig.sends_nothing(|r| r.counter("oms.unknown") > before);
    let queries = rig.counter("oms.queries");
    assert!(queries > 0, "unknown orders are asked about\n{}", rig.told());
    rig.venue.stall(ConnKind::Api, false);
    rig.resumes();
    println!("unknown orders {}, questions {queries}", rig.counter("oms.unknown") - before);
    rig.stops_in_agreement();
}

fn text(payload: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    Encoder::server().frame(true, Opcode::Text, payload.as_bytes(), &mut frame);
    frame
}

/// The report of an execution as the account stream brings it.
fn execution(client_id: &str, px: &str, last_qty: &str, cum_qty: &str, fee: &str) -> String {
    format!(
        r#"{{"subscriptionId":0,"event":{{"e":"executionReport","E":1770123456789,"s":"BTCUSDT","c":"{client_id}","S":"BUY","C":"","x":"TRADE","X":"PARTIALLY_FILLED","r":"NONE","i":1,"l":"{last_qty}","z":"{cum_qty}","L":"{px}","n":"{fee}","N":"BTC","T":1770123456789,"t":77,"m":true}}}}"#
    )
}

/// An order of ours that rests at the venue right now.
fn resting(rig: &Rig) -> String {
    rig.until("a resting order", |r| !r.venue.open_orders().is_empty());
    rig.venue.open_orders().first().map(|o| o.client_id.clone()).unwrap_or_default()
}

/// Words that cannot be read, on both connections: counted and passed over. They were no report, so nothing is
/// missing.
#[test]
fn nonsense_on_the_order_connections_is_counted_and_outlived() {
    let rig = Rig::trading();
    let id = rig.venue.received().last().map(|o| o.client_id.clone()).expect("an order");
    let forty = "9".repeat(40);
    for payload in [
        "<html>502 Bad Gateway</html>",
        "",
        r#"{"id":"x","status":200"#,
        r#"{"event":{"e":"noSuchEvent","E":1}}"#,
        &execution(&id, "NaN", "0.001", "0.001", "0"),
        &execution(&id, "-1", "0.001", "0.001", "0"),
        &execution(&id, "1e400", "0.001", "0.001", "0"),
        &execution(&id, &forty, "0.001", "0.001", "0"),
        &execution(&id, "60000", "NaN", "0.001", "0"),
        &execution(&id, "60000", "0.002", "0.001", "0"),
        &execution(&id, "60000", "0.001", "0.001", "1e400"),
        &execution(&id, "0", "0.001", "0.001", "0"),
    ] {
        let before = rig.counter("gateway.refused_messages");
        rig.venue.inject(ConnKind::Api, &text(payload));
        rig.until(payload, |r| r.counter("gateway.refused_messages") >= before + 2);
    }
    let foreign = rig.counter("gateway.foreign_reports");
    rig.venue.inject(ConnKind::Api, &text(&execution("somebody-else", "60000", "0.001", "0.001", "0")));
    rig.until("an order of somebody else's", |r| r.counter("gateway.foreign_reports") >= foreign + 2);
    rig.resumes();
    rig.stops_in_agreement();
}

/// A report that reads well and cannot be true: more executed than was ever ordered. It is not booked, trading is off
/// by name, and what rests is cancelled.
#[test]
fn an_execution_larger_than_its_order_ends_trading() {
    let rig = Rig::trading();
    // The order may be filled or cancelled before the lie arrives, which is then late and changes nothing.
    let began = Instant::now();
    while rig.counter("oms.conflicts") == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", rig.told());
        let id = resting(&rig);
        rig.venue.inject(ConnKind::Api, &text(&execution(&id, "60000", "5", "5", "0")));
        std::thread::sleep(Duration::from_millis(60));
    }
    rig.sends_nothing(|r| r.counter("oms.conflicts") > 0);
    rig.live.controls.quiesce();
    rig.until("the gateway's stop", |r| r.live.controls.has_stopped());
    assert!(rig.venue.open_orders().is_empty(), "nothing is left at the venue");
    let (open, assets) = (rig.venue.open_orders().len(), rig.live.assets.clone());
    let ended = rig.stop();
    assert_eq!(figures::halt(&ended.oms).as_deref(), Some("conflict"));
    println!("{:?}", figures::agreement(&ended.oms, &assets, true, open).differences);
}

/// What the venue says while nobody can hear it is lost for good: fills among it. Then the engine either agrees with
/// the venue after all, or trades no more and says why. Which of the two depends on the moment.
fn agrees_or_stays_off(rig: Rig, name: &str, strike: impl FnOnce(&Rig), relieve: impl FnOnce(&Rig)) {
    strike(&rig);
    rig.sends_nothing(|_| true);
    relieve(&rig);
    rig.until("order session", |r| r.live.controls.session_ready());
    let (began, mut sent) = (Instant::now(), rig.received());
    let mut trades = false;
    while !trades && began.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(50));
        trades = rig.received() > sent + 1;
    }
    rig.lives();
    if trades {
        println!("{name}: trades again");
        return rig.stops_in_agreement();
    }
    sent = rig.received();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(rig.received(), sent, "{name}: off is off");
    let told = rig.told();
    rig.live.controls.quiesce();
    rig.until("the gateway's stop", |r| r.live.controls.has_stopped());
    assert_eq!(rig.live.controls.stop(), StopState::Confirmed);
    assert!(rig.venue.open_orders().is_empty(), "{name}: nothing is left at the venue");
    let ended = rig.stop();
    let halt = figures::halt(&ended.oms);
    println!("{name}: trading stayed off: {halt:?}");
    assert!(halt.is_some(), "{name}: off without a reason\n{told}");
}

#[test]
fn both_order_connections_cut_at_once() {
    let cut = |r: &Rig| {
        r.venue.refuse_new(true);
        r.venue.reset(ConnKind::Api);
    };
    agrees_or_stays_off(Rig::trading(), "both cut", cut, |r| r.venue.refuse_new(false));
}

#[test]
fn both_order_connections_silent() {
    let silence = |r: &Rig| {
        r.venue.blackhole(ConnKind::Api, true);
        std::thread::sleep(Duration::from_millis(1_500));
    };
    agrees_or_stays_off(Rig::trading(), "both silent", silence, |r| r.venue.blackhole(ConnKind::Api, false));
}
