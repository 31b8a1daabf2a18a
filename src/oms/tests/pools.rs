//! What there is only so much of: slots run out and come back; and orders that are none take nothing of anything.

use super::*;

/// Trading with so many order slots.
fn with_slots(slots: usize) -> Bench {
    let mut b = Bench::cold();
    b.oms = Oms::new(vec![(instrument(), gate())], 2, slots, LATE_MAX_MS * MS).expect("an oms");
    b.market();
    b.balances(OPENING);
    b.session(true, true);
    b.pass(1);
    b.said = Said::default();
    b
}

#[test]
fn slots_that_run_out_refuse_by_name_and_lose_nothing() {
    let mut b = with_slots(3);
    (1..=3).for_each(|id| b.buy(id));
    assert_eq!((b.said.new.len(), b.oms.open_orders()), (3, 3));
    let before = b.oms.table().exposure(ID);
    for id in 4..10 {
        b.buy(id);
        assert_eq!(b.told(id), Some((OrderState::Rejected, reason::TABLE)), "order {id}");
    }
    assert_eq!((b.oms.table().exposure(ID), b.oms.counts.refused_other), (before, 6));
    assert_eq!((b.said.new.len(), b.oms.counts.orders), (3, 3), "nothing of them reached the gateway");
    // Those that are there are managed as ever, and what ends gives its place away.
    (0..3).for_each(|slot| b.report(Kind::Acked, slot, [0, 900 + i64::from(slot), 0]));
    b.cancel(2);
    assert_eq!(b.said.sent.last().and_then(Msg::kind), Some(Kind::SendCancel));
    b.report(Kind::Cancelled, 1, [0, 901, 0]);
    b.buy(10);
    assert_eq!((b.said.new.len(), b.oms.open_orders(), b.told(10)), (4, 3, None));
    b.buy(11);
    assert_eq!(b.told(11), Some((OrderState::Rejected, reason::TABLE)));
}

#[test]
fn a_warm_up_passes_the_gate_and_takes_nothing_of_anything() {
    let mut b = with_slots(2);
    let warm = |b: &mut Bench, px: i64| b.intent(Kind::IntentWarmUp, 1, Side::Buy, px, 100);
    // More than there are tokens, slots and open orders; the id is that of a real order to come.
    for _ in 0..500 {
        warm(&mut b, 10_000);
    }
    assert_eq!(b.said.new.len(), 500);
    assert!(b.said.new.iter().all(|m| m.kind() == Some(Kind::SendWarmUp)), "an order of a kind of its own");
    assert_eq!((b.said.updates.len(), b.said.states.len()), (0, 0), "nobody is told");
    assert_eq!(b.oms.counts, OmsCounts { warm_ups: 500, ..OmsCounts::default() });
    assert_eq!((b.oms.open_orders(), b.oms.table().is_empty()), (0, true));
    assert_eq!(b.oms.table().exposure(ID), orders::Exposure::default());
    // What the gate refuses stops there, and is no refusal of an order.
    warm(&mut b, 20_000);
    assert_eq!((b.said.new.len(), b.oms.counts.warm_ups_refused, b.told(1)), (500, 1, None));
    assert_eq!(b.oms.counts.gate.iter().sum::<u64>(), 0);
    // Real orders find every token, slot and id.
    let before = b.oms.counts;
    b.buy(1);
    b.buy(2);
    assert_eq!((b.oms.counts.orders - before.orders, b.oms.open_orders()), (2, 2));
    // With every slot in use, the way is kept warm all the same: what is open is not looked at.
    warm(&mut b, 10_000);
    assert_eq!((b.oms.counts.warm_ups, b.oms.open_orders()), (501, 2));
    // A full ring is no loss, and a gate that is shut is shut.
    b.said.full = true;
    warm(&mut b, 10_000);
    b.said.full = false;
    b.killed = true;
    warm(&mut b, 10_000);
    assert_eq!((b.oms.counts.warm_ups, b.oms.counts.warm_ups_refused), (501, 3));
    assert_eq!(b.oms.table().len(), 2);
}
