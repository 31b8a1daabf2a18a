//! Orders given up that live, modes that come and go, stops that trigger: what must not slip between two states.

use super::*;

/// An order of slot 0 that was given up, although it lives.
fn given_up() -> Bench {
    let mut b = Bench::trading();
    b.buy(1);
    b.report(Kind::Sent, 0, [1, 0, 0]);
    b.pass(LATE_MAX_MS + 10);
    b.query(0, QueryStatus::NotFound, 0);
    assert_eq!(b.told(1), Some((OrderState::Rejected, 0)));
    b.pass(1);
    assert_eq!((b.oms.halt(), b.oms.open_orders()), (Halt::None, 0));
    b.said.sent.clear();
    b
}

#[test]
fn an_order_given_up_that_lives_again_is_cancelled() {
    let mut b = given_up();
    b.pass(4_000);
    b.report(Kind::Acked, 0, [0, 900, 0]);
    assert_eq!((b.told(1), b.oms.open_orders()), (Some((OrderState::Live, 0)), 1));
    assert_eq!(b.kinds_sent(), [Kind::SendCancel], "nobody else would: the strategy was told that it ended");
    b.fill(0, 40, 40);
    b.report(Kind::Cancelled, 0, [40, 900, 0]);
    assert_eq!((b.told(1), b.position()), (Some((OrderState::Cancelled, 0)), 40));
    assert_eq!((b.kinds_sent().len(), b.oms.table().len()), (1, 0));
    // The first word of it is an execution.
    let mut b = given_up();
    b.fill(0, 40, 40);
    assert_eq!((b.told(1).map(|t| t.0), b.position()), (Some(OrderState::PartiallyFilled), 40));
    assert_eq!(b.kinds_sent(), [Kind::SendCancel]);
    // It had been cancelled before, in vain: that cancel is as old as the order.
    let mut b = Bench::trading();
    b.buy(1);
    b.report(Kind::Sent, 0, [1, 0, 0]);
    b.cancel(1);
    b.pass(LATE_MAX_MS + 10);
    b.query(0, QueryStatus::NotFound, 0);
    b.said.sent.clear();
    b.report(Kind::Acked, 0, [0, 900, 0]);
    assert_eq!(b.kinds_sent(), [Kind::SendCancel]);
    b.pass(1_010);
    assert_eq!(b.kinds_sent(), [Kind::SendCancel, Kind::SendQuery], "and it is not forgotten");
    // Nobody speaks of it again: the slot is free in the end.
    let mut b = given_up();
    b.pass(KEEP_NS / MS + 10);
    assert_eq!((b.oms.table().len(), b.kinds_sent().len()), (0, 0));
}

#[test]
fn what_lives_again_is_withdrawn_in_every_mode_that_wants_nothing_open() {
    for (mode, halt) in [(Mode::Pause, Halt::Pause), (Mode::Emergency, Halt::Emergency)] {
        let mut b = given_up();
        b.enter(&[mode]);
        b.pass(1);
        assert_eq!((b.oms.halt(), b.oms.is_withdrawing()), (halt, false));
        b.report(Kind::Acked, 0, [0, 900, 0]);
        b.pass(1);
        assert!(b.oms.is_withdrawing(), "{mode:?}");
        // A refused cancel is asked about, and sent again.
        b.report(Kind::CancelRejected, 0, [-2011, 0, 0]);
        b.pass(110);
        b.query(0, QueryStatus::Open, 0);
        b.pass(20);
        assert_eq!(b.kinds_sent(), [Kind::SendCancel, Kind::SendQuery, Kind::SendCancel], "{mode:?}");
        b.report(Kind::Cancelled, 0, [0, 900, 0]);
        b.pass(1);
        assert!(!b.oms.is_withdrawing(), "{mode:?}");
    }
    let mut b = given_up();
    b.enter(&[Mode::Reduce]);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::None);
    b.report(Kind::Acked, 0, [0, 900, 0]);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Withdrawing, "an order that may add to the position is out");
    b.report(Kind::Cancelled, 0, [0, 900, 0]);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::None);
}

#[test]
fn a_mode_that_came_and_went_between_two_looks_is_honoured() {
    let mut b = Bench::resting(1);
    b.enter(&[Mode::Pause, Mode::Normal]);
    b.pass(1);
    assert_eq!((b.kinds_sent(), b.oms.halt()), (vec![Kind::SendCancel], Halt::Withdrawing));
    assert!(b.oms.is_withdrawing(), "not heard before it is done");
    b.report(Kind::Cancelled, 0, [0, 900, 0]);
    b.pass(1);
    assert_eq!((b.oms.halt(), b.oms.is_withdrawing()), (Halt::None, false));
    // A change that is seen from a mode with nothing open withdraws nothing.
    b.enter(&[Mode::Pause]);
    b.pass(1);
    b.enter(&[Mode::Normal]);
    b.pass(1);
    assert_eq!((b.oms.halt(), b.kinds_sent().len()), (Halt::None, 1));
}

#[test]
fn an_order_carries_the_change_of_mode_it_was_judged_under() {
    let mut b = Bench::trading();
    b.buy(1);
    b.report(Kind::Sent, 0, [1, 0, 0]);
    b.enter(&[Mode::Pause]);
    b.pass(1);
    b.report(Kind::Cancelled, 0, [0, 900, 0]);
    b.enter(&[Mode::Normal]);
    b.pass(1);
    b.market();
    b.buy(2);
    let changes: Vec<u32> = b.said.new.iter().map(Msg::mode_change).collect();
    assert_eq!(changes, [0, 2]);
    // The gateway's side of it.
    let msg = Msg::default().with_mode_change(5);
    assert_eq!([3, 4, 5, 6, 7].map(|c| msg.is_of_earlier_mode(c)), [false, false, false, true, true]);
    assert!(Msg::default().with_mode_change(0xff_ffff).is_of_earlier_mode(0), "wraps");
    assert!(!Msg::default().with_mode_change(0).is_of_earlier_mode(0xff_ffff), "wraps");
    assert!(!Msg::default().with_mode_change(9).is_of_earlier_mode(9 + (1 << 24)), "24 bits");
}

#[test]
fn a_stop_that_has_triggered_meets_our_own_orders() {
    let mut b = Bench::trading();
    b.two(Kind::IntentNew, OrderType::StopLimit, 1, 10_060, [10_050, 0, 0]);
    b.report(Kind::Sent, 0, [1, 0, 0]);
    b.report(Kind::Acked, 0, [0, 900, 0]);
    assert_eq!(b.oms.table().exposure(ID).own_bid_px, Px(0), "it waits outside the book");
    b.report(Kind::Triggered, 0, [0, 900, 0]);
    b.report(Kind::Triggered, 0, [0, 900, 0]);
    assert_eq!((b.told(1), b.oms.counts.duplicates), (Some((OrderState::Live, 0)), 1));
    assert_eq!(b.oms.table().exposure(ID).own_bid_px, Px(10_060));
    b.intent(Kind::IntentNew, 2, Side::Sell, 10_050, 100);
    assert_eq!(b.told(2), Some((OrderState::Rejected, gate_reason(Reject::SelfMatch { px: 0, own_px: 0 }))));
    // Under another id at the venue it is two orders.
    b.report(Kind::Triggered, 0, [0, 901, 0]);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Conflict);
    // The trigger may be the first word.
    let mut b = Bench::trading();
    b.two(Kind::IntentNew, OrderType::StopLimit, 1, 10_060, [10_050, 0, 0]);
    b.report(Kind::Triggered, 0, [0, 900, 0]);
    assert_eq!(b.told(1), Some((OrderState::Live, 0)));
    assert_eq!(b.oms.table().exposure(ID).own_bid_px, Px(10_060));
}

#[test]
fn a_filled_order_may_end_short_of_what_was_prevented() {
    let mut b = Bench::resting(1);
    b.fill(0, 60, 60);
    b.query(0, QueryStatus::Filled, 60);
    assert_eq!((b.told(1), b.position()), (Some((OrderState::Expired, 0)), 60));
    assert_eq!((b.oms.open_orders(), b.oms.table().len()), (0, 0));
}

#[test]
fn two_slots_that_are_no_intent_are_no_pair() {
    let mut b = Bench::trading();
    for kind in [Kind::SendPair, Kind::SendReplace] {
        b.two(kind, OrderType::PostOnly, 1, 9_990, [10_050, 10_060, 2]);
    }
    b.two(Kind::SendNew, OrderType::StopLimit, 1, 9_990, [10_050, 10_060, 2]);
    assert_eq!((b.said.new.len(), b.oms.open_orders(), b.oms.counts.refused_other), (0, 0, 3));
}

#[test]
fn ends_that_only_questions_bring_make_trading_wait() {
    let mut b = Bench::trading();
    for (slot, halt) in [(0, Halt::None), (1, Halt::AccountStream)] {
        b.buy(slot as u64 + 1);
        b.report(Kind::Sent, slot, [1, 0, 0]);
        b.report(Kind::Acked, slot, [0, 900, 0]);
        b.cancel(slot as u64 + 1);
        b.pass(1_010);
        b.query(slot, QueryStatus::Cancelled, 0);
        b.pass(1);
        assert_eq!(b.oms.halt(), halt);
        b.market();
    }
    b.pass(511);
    assert_eq!(b.oms.halt(), Halt::None, "and tries again");
}
