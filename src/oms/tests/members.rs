//! Strategy and gateway come and go; orders do not get lost between them.

use super::*;
use crate::apart::{Member, Standing};

/// Both apart and there, trading.
fn joined() -> Bench {
    let mut b = Bench::cold();
    b.standing = b.standing.gone(Member::Strategy).gone(Member::Gateway);
    b.market();
    b.balances(OPENING);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Gateway);
    b.standing = b.standing.here(Member::Gateway, 1);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Strategy);
    b.standing = b.standing.here(Member::Strategy, 1);
    b.session(true, true);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::None);
    b.said = Said::default();
    b
}

fn acked(b: &mut Bench, id: u64, slot: u32) {
    b.buy(id);
    b.report(Kind::Sent, slot, [1, 0, 0]);
    b.report(Kind::Acked, slot, [0, 900 + i64::from(slot), 0]);
}

#[test]
fn orders_of_a_strategy_that_is_gone_are_withdrawn_and_the_next_one_hears_where_it_stands() {
    let mut b = joined();
    acked(&mut b, 1, 0);
    b.fill(0, 40, 40);
    b.standing = b.standing.gone(Member::Strategy);
    b.pass(1);
    assert_eq!((b.oms.halt(), b.kinds_sent()), (Halt::Strategy, vec![Kind::SendCancel]));
    b.buy(2);
    assert_eq!(b.said.new.len(), 1, "nothing new while nobody is there");
    b.said.updates.clear();
    // The next one is there before the order is gone.
    b.standing = b.standing.here(Member::Strategy, 2);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Withdrawing);
    let told = b.said.updates.iter().find(|m| m.kind() == Some(Kind::Position)).map(|m| m.body[3]);
    assert_eq!(told, Some(40));
    b.report(Kind::Cancelled, 0, [40, 900, 0]);
    b.pass(1);
    let trading = b.said.updates.iter().rfind(|m| m.kind() == Some(Kind::Trading)).map(|m| m.body[0]);
    assert_eq!((b.oms.halt(), trading), (Halt::None, Some(1)));
}

#[test]
fn a_strategy_that_was_replaced_unseen_leaves_nothing_either() {
    let mut b = joined();
    acked(&mut b, 1, 0);
    b.standing = b.standing.here(Member::Strategy, 2);
    b.pass(1);
    assert_eq!((b.oms.halt(), b.kinds_sent()), (Halt::Withdrawing, vec![Kind::SendCancel]));
}

#[test]
fn what_was_in_flight_to_a_gateway_that_is_gone_is_unknown_and_the_next_one_is_told_of_all_of_it() {
    let mut b = joined();
    acked(&mut b, 1, 0);
    b.buy(2);
    b.standing = b.standing.gone(Member::Gateway);
    // The ring of one who is gone takes nothing.
    b.said.full = true;
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Gateway);
    assert_eq!((b.told(1), b.told(2)), (Some((OrderState::Live, 0)), Some((OrderState::Unknown, 0))));
    b.standing = b.standing.here(Member::Gateway, 2);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Gateway, "until it has been told of everything");
    b.said.full = false;
    b.said.sent.clear();
    b.pass(1);
    let known = b.said.sent.iter().filter(|m| m.kind() == Some(Kind::SendKnown)).map(|m| m.body);
    assert_eq!(known.collect::<Vec<_>>(), [[100, 900, 0, 0], [100, 0, 1, 0]]);
    assert_eq!(b.oms.halt(), Halt::Session);
    // The second never left; the first is what the venue says.
    b.report(Kind::NotSent, 1, [NotSent::NoSession as i64, 0, 0]);
    assert_eq!(b.told(2).map(|told| told.0), Some(OrderState::Rejected));
    b.session(true, true);
    b.query(0, QueryStatus::Cancelled, 0);
    b.pass(1);
    assert_eq!((b.oms.open_orders(), b.oms.halt()), (0, Halt::None));
    assert_eq!(b.oms.counts.conflicts, 0);
}

#[test]
fn orders_given_up_are_told_of_too_as_long_as_they_may_come_back() {
    let mut b = joined();
    b.buy(1);
    b.report(Kind::Sent, 0, [1, 0, 0]);
    b.pass(LATE_MAX_MS + 1_100);
    b.query(0, QueryStatus::NotFound, 0);
    assert_eq!(b.oms.open_orders(), 0);
    b.standing = b.standing.gone(Member::Gateway);
    b.pass(1);
    b.said.sent.clear();
    b.standing = b.standing.here(Member::Gateway, 2);
    b.pass(1);
    assert_eq!(b.kinds_sent(), [Kind::SendKnown]);
}

#[test]
fn agents_of_the_engines_own_process_are_always_there() {
    let mut b = Bench::resting(1);
    assert_eq!(b.standing, Standing::default());
    b.pass(100);
    assert_eq!((b.oms.halt(), b.oms.is_withdrawing()), (Halt::None, false));
}

#[test]
fn what_a_gateway_says_before_its_arrival_is_acted_on_holds() {
    let mut b = joined();
    acked(&mut b, 1, 0);
    b.standing = b.standing.gone(Member::Gateway);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Gateway);
    // It has come and opened its session while nobody looked: the arrival comes first, its reports after.
    b.standing = b.standing.here(Member::Gateway, 2);
    b.oms.on_standing(b.standing, b.now, &mut b.said);
    b.session(true, true);
    b.pass(1);
    assert_eq!(b.kinds_sent().into_iter().filter(|k| *k == Kind::SendKnown).count(), 1);
    b.report(Kind::QueryResult, 0, [QueryStatus::Cancelled as i64, 900, 0]);
    b.pass(1);
    let trading = b.said.updates.iter().rfind(|m| m.kind() == Some(Kind::Trading)).map(|m| m.body[0]);
    assert_eq!((b.oms.halt(), trading), (Halt::None, Some(1)));
}

#[test]
fn a_new_gateway_hears_of_every_order_before_anything_is_asked_of_it() {
    let mut b = joined();
    acked(&mut b, 1, 0);
    b.buy(2);
    b.standing = b.standing.gone(Member::Gateway);
    b.said.full = true;
    b.killed = true;
    b.pass(1);
    // Questions and a cancel have been due for long, and it has done its stop before anybody has seen it.
    b.cancel(1);
    b.pass(2_000);
    b.said.full = false;
    b.said.sent.clear();
    b.standing = b.standing.here(Member::Gateway, 2);
    b.oms.on_standing(b.standing, b.now, &mut b.said);
    b.session(false, true);
    b.pass(200);
    let kinds = b.kinds_sent();
    assert_eq!(kinds[..2], [Kind::SendKnown; 2], "{kinds:?}");
    let asked: Vec<i64> =
        b.said.sent.iter().filter(|m| m.kind() == Some(Kind::SendQuery)).map(|m| m.body[2]).collect();
    assert!(asked.contains(&0) && asked.contains(&1), "{kinds:?}");
    assert!(!kinds[2..].contains(&Kind::SendKnown), "{kinds:?}");
    b.query(0, QueryStatus::Cancelled, 0);
    b.report(Kind::NotSent, 1, [NotSent::NoSession as i64, 0, 0]);
    b.pass(1);
    assert_eq!((b.oms.open_orders(), b.oms.halt()), (0, Halt::Killed));
}
