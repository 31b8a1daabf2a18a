//! The desk through its reports: what it passes on, and what it keeps to itself.

use wire::Px;

use super::*;
use crate::tape::{RingIn, Tape};

const NOW: Ts = Ts(1_000_000_000_000);
const LATE_NS: u64 = 3_000_000_000;

/// A desk with order 5 of 100 sent, and what it reports.
fn desk() -> (Desk, RingIn, ClientOrderId) {
    let (tx, rx) = rings::ring("reports", 256).expect("a ring");
    let mut desk = Desk::new(8, RingOut::new(tx, 4, &Tape::off()), 0, LATE_NS);
    let id = ClientOrderId { cycle: 7, ts: NOW, slot: Slot(5) };
    let order = SentOrder { id, venue_order_id: 900, open: true, cum_max: 100, ..SentOrder::default() };
    assert!(desk.open(id.slot, order));
    (desk, RingIn::new(rx, 4, &Tape::off()), id)
}

fn said(reports: &mut RingIn) -> Vec<(Kind, bool, [i64; 4])> {
    let mut all = Vec::new();
    while let Some((_, words)) = reports.pop() {
        let msg = Msg::from_words(words);
        all.push((msg.kind().expect("a kind"), msg.has(flag::END), msg.body));
    }
    all
}

fn execution(trade_id: u64, qty: i64, cum_qty: i64) -> Fill {
    let (qty, cum_qty) = (Qty(qty), Qty(cum_qty));
    Fill { px: Px(10_000), qty, cum_qty, trade_id, fee: 1, fee_asset: AssetId(1), maker: true }
}

#[test]
fn balances_are_passed_on_when_a_stop_waits_for_them_and_only_then() {
    let (mut desk, mut reports, _) = desk();
    let held = [1, 0].map(|asset| AccountAsset { asset: AssetId(asset), free: 70, locked: 0 });
    let listing = |assets| OrderEvent::Account { assets, full: true };
    desk.on_event(listing(&held), NOW);
    let mut stop = StopSequence::new(1, NOW, NOW.plus_ns(LATE_NS));
    stop.next(NOW);
    stop.on_cancel_all_done();
    for _ in 0..2 {
        stop.next(NOW);
        stop.on_open_orders(0);
    }
    desk.stop = Some(stop.clone());
    desk.on_event(listing(&held), NOW);
    assert_eq!(said(&mut reports), [], "not asked for yet");
    stop.next(NOW);
    desk.stop = Some(stop.clone());
    desk.on_event(OrderEvent::Account { assets: &held, full: false }, NOW);
    assert_eq!(said(&mut reports), [], "changes alone are no listing");
    desk.on_event(listing(&held), NOW);
    let expected = [(Kind::Balance, false, [70, 0, 1, 1]), (Kind::Balance, true, [70, 0, 0, 1])];
    assert_eq!(said(&mut reports), expected);
    // The same question was asked twice: its second answer is of a time when orders trade again.
    desk.on_event(listing(&held), NOW);
    assert_eq!(said(&mut reports), []);
    desk.stop = None;
    desk.on_event(listing(&held), NOW);
    assert_eq!(said(&mut reports), []);
    // An account with nothing in it is a listing too.
    desk.stop = Some(stop);
    desk.on_event(listing(&[]), NOW);
    assert_eq!(said(&mut reports), [(Kind::Balance, true, [0, 0, 0, 1])]);
}

#[test]
fn a_listed_execution_has_no_place_in_its_order() {
    let (mut desk, mut reports, id) = desk();
    fn list(id: ClientOrderId, trades: &[Fill], more: bool) -> OrderEvent<'_> {
        OrderEvent::Trades { id, venue_order_id: 900, trades, more }
    }
    let cums = |said: &[(Kind, bool, [i64; 4])]| -> Vec<i64> {
        said.iter().filter(|s| s.0 == Kind::FillFee).map(|s| s.2[2]).collect()
    };
    // The venue may begin anywhere: whatever stands in the list, no sum over it is the order's.
    desk.expect_trades(id.slot, 0);
    desk.on_event(list(id, &[execution(540, 10, 10), execution(541, 20, 30)], true), NOW);
    let first = said(&mut reports);
    assert_eq!((first.len(), cums(&first)), (5, vec![0, 0]));
    assert_eq!(first[4], (Kind::TradesListed, true, [1, 542, 5, 0]));
    desk.expect_trades(id.slot, 542);
    desk.on_event(list(id, &[execution(541, 20, 20)], false), NOW);
    assert_eq!(said(&mut reports), [], "the answer to an older question");
    desk.on_event(list(id, &[], false), NOW);
    assert_eq!(said(&mut reports), [(Kind::TradesListed, true, [0, 542, 5, 0])]);
}

#[test]
fn an_execution_beyond_the_end_of_its_order_is_noticed_once() {
    let fill = |id, trade, cum| OrderEvent::Fill { id, venue_order_id: 900, fill: execution(trade, 10, cum) };
    let query = |id, status, cum| {
        let (venue_order_id, cum_qty) = (900, Qty(cum));
        OrderEvent::Query(venue::QueryAnswer { id, status, venue_order_id, cum_qty })
    };
    let (_, _, id) = desk();
    let (venue_order_id, cum_qty) = (900, Qty(20));
    let late = NOW.plus_ns(LATE_NS + 1);
    let ends = [
        (OrderEvent::Cancelled { id, venue_order_id, cum_qty }, NOW, 20),
        (OrderEvent::Expired { id, venue_order_id, cum_qty }, NOW, 20),
        (OrderEvent::Rejected { id, code: -2010 }, NOW, 0),
        (query(id, QueryStatus::Cancelled, 20), NOW, 20),
        (query(id, QueryStatus::NotFound, 0), late, 0),
    ];
    for (end, at, cum) in ends {
        let (mut desk, _reports, id) = desk();
        desk.on_event(fill(id, 540, 10), NOW);
        desk.past_end = false;
        desk.on_event(end, at);
        if cum > 0 {
            desk.on_event(fill(id, 540, 10), at);
            desk.on_event(fill(id, 541, 20), at);
            assert!(!desk.past_end, "{end:?}: what it had, on the second stream");
        }
        desk.on_event(fill(id, 542, 30), at);
        assert!(std::mem::take(&mut desk.past_end), "{end:?}");
        desk.on_event(fill(id, 542, 30), at);
        assert!(!desk.past_end && desk.counts.fills_past_end == 1, "{end:?}: once");
    }
    // An order that lives, or that the venue may still take, has no end; its quantity is one.
    let (mut desk, _reports, id) = desk();
    desk.on_event(query(id, QueryStatus::Open, 10), NOW);
    desk.on_event(query(id, QueryStatus::NotFound, 0), NOW);
    desk.on_event(fill(id, 541, 100), NOW);
    assert!(!desk.past_end);
    desk.on_event(fill(id, 542, 110), NOW);
    assert!(desk.past_end);
}
