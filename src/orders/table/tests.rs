//! Orders against reports in every order, scripted and random.

use super::*;
use crate::order::Question;
use wire::OrderState::*;
use wire::OrderType;

const BTC: InstrumentId = InstrumentId(0);

struct Seed(u64);

impl Seed {
    fn next(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn entry(id: u64, side: Side, px: i64, qty: i64) -> OrderEntry {
    OrderEntry {
        id: OrderId(id),
        instrument: BTC,
        side,
        px: Px(px),
        qty: Qty(qty),
        kind: OrderType::Limit,
        now: Ts(1),
    }
}

/// A table with one buy of 100 at 50.
fn one() -> (OrderTable, Slot) {
    let mut t = OrderTable::with_capacity(4);
    let slot = t.insert(&entry(1, Side::Buy, 50, 100)).expect("room");
    (t, slot)
}

fn fill(qty: i64, cum_qty: i64) -> Fill {
    Fill { px: Px(50), qty: Qty(qty), cum_qty: Some(Qty(cum_qty)), trade_id: cum_qty as u64 }
}

fn state(t: &OrderTable, slot: Slot) -> (OrderState, i64, i64) {
    let o = t.get(slot).expect("in use");
    assert_eq!(t.exposure(BTC), t.exposure_recount(BTC));
    (o.state, o.filled.0, o.leaves().0)
}

#[test]
fn the_plain_course() {
    let (mut t, s) = one();
    assert_eq!(t.on_sent(s, Ts(2)), Applied::State(Pending));
    assert_eq!(t.on_acked(s, 77), Applied::State(Live));
    assert_eq!(t.on_fill(s, fill(40, 40)), Applied::Fill { qty: Qty(40), leaves: Qty(60), done: false });
    assert_eq!(state(&t, s), (PartiallyFilled, 40, 60));
    assert!(!t.release(s), "open");
    let rest = Fill { px: Px(53), ..fill(60, 100) };
    assert_eq!(t.on_fill(s, rest), Applied::Fill { qty: Qty(60), leaves: Qty(0), done: true });
    let o = *t.get(s).expect("in use");
    assert_eq!(
        (o.state, o.venue_order_id, o.notional, o.px_avg()),
        (Filled, 77, 40 * 50 + 60 * 53, Some(Px(51)))
    );
    assert_eq!(t.exposure(BTC), Exposure::default());
    assert!(t.release(s) && !t.release(s));
    assert_eq!((t.get(s), t.by_id(OrderId(1))), (None, None));
    assert_eq!(t.tally(), Tally::default());
}

#[test]
fn cancel_meets_partial_fill_and_refusal() {
    let (mut t, s) = one();
    t.on_sent(s, Ts(2));
    t.on_acked(s, 77);
    assert_eq!(t.on_cancel_sent(s), Applied::State(CancelPending));
    assert_eq!(t.on_cancel_sent(s), Applied::Duplicate);
    t.on_fill(s, fill(10, 10));
    assert_eq!(state(&t, s), (CancelPending, 10, 90));
    assert_eq!(t.on_cancel_rejected(s), Applied::State(PartiallyFilled));
    assert_eq!(t.on_cancel_rejected(s), Applied::Late);
    t.on_cancel_sent(s);
    assert_eq!(t.on_not_sent(s), Applied::State(PartiallyFilled), "the cancel was withheld, not the order");
    t.on_cancel_sent(s);
    assert_eq!(t.on_cancelled(s, Qty(10)), Applied::State(Cancelled));
    assert_eq!(state(&t, s), (Cancelled, 10, 0));
    assert_eq!(t.on_cancelled(s, Qty(10)), Applied::Duplicate);
    assert_eq!(t.on_expired(s, Qty(10)), Applied::Late);
    assert_eq!(t.on_acked(s, 77), Applied::Late);
    assert_eq!(t.on_unknown(s), Applied::Late);
    assert_eq!(t.on_cancel_sent(s), Applied::Late);
    assert_eq!(state(&t, s), (Cancelled, 10, 0));
}

#[test]
fn an_end_ahead_of_its_fills_stays_open_for_what_is_missing() {
    let (mut t, s) = one();
    t.on_acked(s, 77);
    assert_eq!(t.on_cancelled(s, Qty(30)), Applied::State(Unknown));
    assert_eq!(state(&t, s), (Unknown, 0, 30));
    assert_eq!((t.exposure(BTC).open_orders, t.exposure(BTC).open_buy_qty), (1, 30));
    assert_eq!(t.get(s).map(Order::missing), Some(Qty(30)));
    assert!(!t.release(s), "executions are missing");
    assert_eq!(t.unknown().collect::<Vec<_>>(), [s]);
    assert_eq!(t.on_fill(s, fill(20, 30)), Applied::Fill { qty: Qty(20), leaves: Qty(10), done: false });
    assert_eq!(t.on_fill(s, fill(20, 30)), Applied::Duplicate);
    assert_eq!(t.on_fill(s, fill(10, 10)), Applied::Fill { qty: Qty(10), leaves: Qty(0), done: true });
    assert_eq!(state(&t, s), (Cancelled, 30, 0));
    assert!(t.release(s));
}

#[test]
fn the_last_fill_ahead_of_an_earlier_one() {
    let (mut t, s) = one();
    t.on_fill(s, fill(60, 100));
    assert_eq!(state(&t, s), (Unknown, 60, 40));
    t.on_fill(s, fill(40, 40));
    assert_eq!(state(&t, s), (Filled, 100, 0));
}

#[test]
fn fill_before_ack() {
    let (mut t, s) = one();
    t.on_fill(s, fill(10, 10));
    assert_eq!(state(&t, s), (PartiallyFilled, 10, 90));
    assert_eq!(t.on_acked(s, 5), Applied::State(PartiallyFilled));
    assert_eq!(t.get(s).map(|o| o.venue_order_id), Some(5));
}

#[test]
fn a_fill_after_the_end_is_still_money() {
    let (mut t, s) = one();
    t.on_acked(s, 5);
    t.on_cancelled(s, Qty(0));
    assert_eq!(t.on_fill(s, fill(10, 10)), Applied::Fill { qty: Qty(10), leaves: Qty(0), done: true });
    assert_eq!(state(&t, s), (Cancelled, 10, 0));
    assert_eq!(t.tally().late, 1);
}

#[test]
fn refusals_before_and_by_the_venue() {
    let (mut t, s) = one();
    assert_eq!(t.on_not_sent(s), Applied::State(Rejected));
    assert_eq!(t.on_not_sent(s), Applied::Late);
    assert!(t.release(s));
    let (mut t, s) = one();
    t.on_cancel_sent(s);
    assert_eq!(t.on_not_sent(s), Applied::State(Rejected), "never left, so it was the order");
    let (mut t, s) = one();
    t.on_sent(s, Ts(2));
    assert_eq!(t.on_rejected(s), Applied::State(Rejected));
    assert_eq!(t.on_rejected(s), Applied::Duplicate);
    assert_eq!(state(&t, s), (Rejected, 0, 0));
}

#[test]
fn contradictions_become_unknown_and_a_query_resolves_them() {
    let (mut t, s) = one();
    t.on_acked(s, 5);
    assert_eq!(t.on_rejected(s), Applied::Conflict);
    assert_eq!(state(&t, s), (Unknown, 0, 100));
    assert_eq!(t.get(s).and_then(Order::open_question), Some(Question::Order));
    assert_eq!(t.on_acked(s, 5), Applied::Duplicate, "an ack settles no contradiction");
    assert_eq!(t.on_query(s, QueryStatus::NotFound, 0, Qty(0)), Applied::Duplicate, "as unknown as before");
    assert_eq!(t.on_query(s, QueryStatus::Open, 5, Qty(0)), Applied::State(Live));
    assert_eq!(t.on_query(s, QueryStatus::NotFound, 0, Qty(0)), Applied::State(Unknown), "ask again");
    assert_eq!(t.on_query(s, QueryStatus::Open, 6, Qty(0)), Applied::Conflict, "two orders at the venue");
    assert_eq!(t.on_acked(s, 6), Applied::Conflict);
    assert_eq!(t.on_query(s, QueryStatus::Open, 5, Qty(0)), Applied::State(Live));
    t.on_sent(s, Ts(2));
    assert_eq!(t.on_not_sent(s), Applied::Conflict);
    assert_eq!(t.on_query(s, QueryStatus::Cancelled, 5, Qty(0)), Applied::State(Cancelled));
    let (mut t, s) = one();
    t.on_fill(s, fill(10, 10));
    assert_eq!(t.on_fill(s, fill(10, 15)), Applied::Conflict);
    assert_eq!(state(&t, s), (Unknown, 10, 90));
    assert_eq!(t.on_cancelled(s, Qty(101)), Applied::Conflict);
    let (mut t, s) = one();
    t.on_rejected(s);
    assert!(matches!(t.on_fill(s, fill(10, 10)), Applied::Fill { done: false, .. }));
    assert_eq!(state(&t, s), (Unknown, 10, 90));
    assert_eq!(t.tally().reopened, 1);
}

#[test]
fn impossible_fills_are_not_applied() {
    let (mut t, s) = one();
    assert_eq!(t.on_fill(s, fill(10, 101)), Applied::Overfill { excess: Qty(1) });
    for bad in [fill(0, 10), fill(-1, 10), fill(20, 10), fill(i64::MIN, 1), fill(i64::MAX, i64::MIN)] {
        assert_eq!(t.on_fill(s, bad), Applied::Invalid);
    }
    assert_eq!(t.on_fill(s, Fill { px: Px(0), ..fill(10, 10) }), Applied::Invalid);
    assert_eq!(state(&t, s), (Pending, 0, 100));
    assert_eq!((t.tally().overfill, t.tally().invalid), (1, 6));
}

#[test]
fn unknown_counts_as_open_until_the_query_answers() {
    for (status, cum, expect) in [
        (QueryStatus::NotFound, 0, (Rejected, 0, 0)),
        (QueryStatus::Open, 0, (Live, 0, 100)),
        (QueryStatus::Open, 40, (Unknown, 0, 100)),
        (QueryStatus::Open, 100, (Unknown, 0, 100)),
        (QueryStatus::Filled, 100, (Unknown, 0, 100)),
        // The venue prevented the rest.
        (QueryStatus::Filled, 40, (Unknown, 0, 40)),
        (QueryStatus::Cancelled, 0, (Cancelled, 0, 0)),
        (QueryStatus::Cancelled, 40, (Unknown, 0, 40)),
        (QueryStatus::Ended, 0, (Expired, 0, 0)),
    ] {
        let (mut t, s) = one();
        t.on_sent(s, Ts(2));
        t.on_unknown(s);
        assert_eq!(t.on_unknown(s), Applied::Duplicate);
        assert_eq!(state(&t, s), (Unknown, 0, 100));
        assert_eq!(t.on_query(s, status, 9, Qty(cum)), Applied::State(expect.0));
        assert_eq!(state(&t, s), expect, "{status:?}");
    }
}

#[test]
fn given_up_too_early_lives_again() {
    let give_up = || {
        let (mut t, s) = one();
        t.on_sent(s, Ts(2));
        t.on_unknown(s);
        t.on_query(s, QueryStatus::NotFound, 0, Qty(0));
        assert_eq!(state(&t, s), (Rejected, 0, 0));
        (t, s)
    };
    let (mut t, s) = give_up();
    assert_eq!(t.on_acked(s, 5), Applied::State(Live));
    assert_eq!(state(&t, s), (Live, 0, 100));
    let (mut t, s) = give_up();
    assert_eq!(t.on_fill(s, fill(10, 10)), Applied::Fill { qty: Qty(10), leaves: Qty(90), done: false });
    assert_eq!(state(&t, s), (PartiallyFilled, 10, 90));
    let (mut t, s) = give_up();
    assert_eq!(t.on_query(s, QueryStatus::Open, 5, Qty(0)), Applied::State(Live));
    assert_eq!(t.tally().reopened, 1);
    let (mut t, s) = give_up();
    assert_eq!(t.on_rejected(s), Applied::Duplicate);
    assert_eq!(t.on_acked(s, 5), Applied::Conflict, "the venue says both");
    assert_eq!((state(&t, s), t.tally().reopened), ((Unknown, 0, 100), 1));
}

/// Both connections were cut while the order executed: a query names the quantity, a list brings the executions.
#[test]
fn executions_missed_on_every_connection_are_listed() {
    let listed = |trade_id, px, qty| Fill { px: Px(px), qty: Qty(qty), cum_qty: None, trade_id };
    let booked = |qty, leaves, done| Applied::Fill { qty: Qty(qty), leaves: Qty(leaves), done };
    let (mut t, s) = one();
    t.on_acked(s, 5);
    t.on_fill(s, Fill { trade_id: 71, ..fill(10, 10) });
    t.on_unknown(s);
    assert_eq!(t.get(s).and_then(Order::open_question), Some(Question::Order));
    assert_eq!(t.on_query(s, QueryStatus::Open, 5, Qty(60)), Applied::State(Unknown));
    let o = t.get(s).expect("in use");
    assert_eq!((o.open_question(), o.missing()), (Some(Question::Executions), Qty(50)));
    assert_eq!(t.on_fill(s, listed(71, 50, 10)), Applied::Duplicate, "came by stream");
    assert_eq!(t.on_fill(s, listed(74, 49, 30)), booked(30, 60, false));
    assert_eq!(state(&t, s), (Unknown, 40, 60));
    assert_eq!(t.on_fill(s, listed(73, 48, 20)), booked(20, 40, false));
    assert_eq!(state(&t, s), (PartiallyFilled, 60, 40));
    assert_eq!(t.get(s).and_then(Order::open_question), None);
    // The streams come back and tell the end of the gap once more.
    assert_eq!(t.on_fill(s, Fill { trade_id: 74, ..fill(30, 60) }), Applied::Duplicate);
    assert_eq!(t.on_fill(s, Fill { trade_id: 75, ..fill(40, 100) }), booked(40, 0, true));
    assert_eq!(state(&t, s), (Filled, 100, 0));
    assert_eq!(t.get(s).map(|o| o.notional), Some(10 * 50 + 30 * 49 + 20 * 48 + 40 * 50));
    assert_eq!(t.on_fill(s, listed(76, 50, 1)), Applied::Overfill { excess: Qty(1) });
    assert!(t.release(s));
    // A list that already holds what was never reported ends the order by itself.
    let (mut t, s) = one();
    t.on_unknown(s);
    assert_eq!(t.on_fill(s, listed(1, 50, 100)), booked(100, 0, true));
    assert_eq!(state(&t, s), (Filled, 100, 0));
}

#[test]
fn a_stop_works_once_it_triggers() {
    let stop = || {
        let mut t = OrderTable::with_capacity(4);
        let s = t
            .insert(&OrderEntry { kind: OrderType::StopLimit, ..entry(1, Side::Buy, 50, 100) })
            .expect("room");
        t.on_sent(s, Ts(2));
        (t, s)
    };
    let rests = |t: &OrderTable| (t.exposure(BTC).own_bid_px.0, t.exposure(BTC).open_buy_qty);
    let (mut t, s) = stop();
    assert_eq!(t.on_acked(s, 5), Applied::State(Live));
    assert_eq!(rests(&t), (0, 100), "open risk, not in the book");
    assert_eq!(t.on_triggered(s), Applied::State(Live));
    assert_eq!(rests(&t), (50, 100));
    assert_eq!(t.on_triggered(s), Applied::Duplicate);
    t.on_cancelled(s, Qty(0));
    assert_eq!((t.on_triggered(s), rests(&t)), (Applied::Late, (0, 0)));
    // Ahead of its ack; by its first execution; after it was given up.
    let (mut t, s) = stop();
    assert_eq!((t.on_triggered(s), t.on_acked(s, 5)), (Applied::State(Live), Applied::Duplicate));
    assert_eq!(rests(&t), (50, 100));
    let (mut t, s) = stop();
    t.on_fill(s, fill(10, 10));
    assert_eq!(rests(&t), (50, 90));
    let (mut t, s) = stop();
    t.on_query(s, QueryStatus::NotFound, 0, Qty(0));
    assert!(t.get(s).is_some_and(Order::is_presumed));
    assert_eq!((t.on_triggered(s), rests(&t)), (Applied::State(Live), (50, 100)));
}

#[test]
fn a_replace_is_a_cancel_and_a_new_order_with_two_outcomes() {
    let both = || {
        let (mut t, old) = one();
        t.on_acked(old, 5);
        t.on_cancel_sent(old);
        let new = t.insert(&entry(2, Side::Buy, 51, 100)).expect("room");
        assert_eq!((t.exposure(BTC).open_orders, t.exposure(BTC).open_buy_qty), (2, 200), "either may stand");
        (t, old, new)
    };
    let open = |t: &OrderTable| (t.exposure(BTC).open_buy_qty, t.exposure(BTC).own_bid_px.0);
    let (mut t, old, new) = both();
    t.on_acked(new, 6);
    t.on_cancelled(old, Qty(0));
    assert_eq!((state(&t, old).0, state(&t, new).0, open(&t)), (Cancelled, Live, (100, 51)));
    let (mut t, old, new) = both();
    t.on_cancel_rejected(old);
    t.on_rejected(new);
    assert_eq!((state(&t, old).0, state(&t, new).0, open(&t)), (Live, Rejected, (100, 50)));
    let (mut t, old, new) = both();
    t.on_rejected(new);
    t.on_cancelled(old, Qty(0));
    assert_eq!((state(&t, old).0, state(&t, new).0, open(&t)), (Cancelled, Rejected, (0, 0)));
    let (mut t, old, new) = both();
    t.on_cancel_rejected(old);
    t.on_acked(new, 6);
    assert_eq!((state(&t, old).0, state(&t, new).0, open(&t)), (Live, Live, (200, 51)));
}

#[test]
fn own_touch_follows_the_resting_orders() {
    let mut t = OrderTable::with_capacity(8);
    let a = t.insert(&entry(1, Side::Buy, 50, 1)).expect("room");
    let b = t.insert(&entry(2, Side::Buy, 52, 1)).expect("room");
    let ioc = OrderEntry { kind: OrderType::Ioc, ..entry(3, Side::Buy, 99, 1) };
    t.insert(&ioc).expect("room");
    t.insert(&OrderEntry { instrument: InstrumentId(1), ..entry(4, Side::Sell, 7, 1) }).expect("room");
    let c = t.insert(&entry(5, Side::Sell, 60, 1)).expect("room");
    let px = |t: &OrderTable| (t.exposure(BTC).own_bid_px.0, t.exposure(BTC).own_ask_px.0);
    assert_eq!(px(&t), (52, 60));
    t.on_rejected(b);
    assert_eq!(px(&t), (50, 60));
    t.on_fill(a, fill(1, 1));
    t.on_cancelled(c, Qty(0));
    assert_eq!(px(&t), (0, 0));
    assert_eq!(t.exposure(InstrumentId(1)).own_ask_px, Px(7));
}

#[test]
fn full_duplicate_and_foreign_are_refused() {
    let mut t = OrderTable::with_instruments(2, 1);
    let bad = |px, qty| InsertError::NotPositive { px: Px(px), qty: Qty(qty) };
    assert_eq!(t.insert(&entry(1, Side::Buy, 0, 1)), Err(bad(0, 1)));
    assert_eq!(t.insert(&entry(1, Side::Buy, 1, -1)), Err(bad(1, -1)));
    let foreign = OrderEntry { instrument: InstrumentId(1), ..entry(1, Side::Buy, 1, 1) };
    assert_eq!(
        t.insert(&foreign),
        Err(InsertError::Instrument { instrument: InstrumentId(1), instruments: 1 })
    );
    let a = t.insert(&entry(1, Side::Buy, i64::MAX, i64::MAX)).expect("room");
    assert_eq!(t.insert(&entry(1, Side::Buy, 1, 1)), Err(InsertError::Duplicate { id: OrderId(1) }));
    t.insert(&entry(2, Side::Buy, i64::MAX, i64::MAX)).expect("room");
    assert_eq!(t.exposure(BTC).open_buy_qty, i64::MAX, "saturates");
    assert_eq!(t.insert(&entry(3, Side::Buy, 1, 1)), Err(InsertError::Full { capacity: 2 }));
    t.on_rejected(a);
    assert_eq!(t.insert(&entry(3, Side::Buy, 1, 1)), Err(InsertError::Full { capacity: 2 }), "not released");
    let generation = t.get(a).map(|o| o.generation).expect("in use");
    assert!(t.is_current(a, generation) && t.release(a) && !t.is_current(a, generation));
    assert_eq!(t.insert(&entry(3, Side::Buy, 1, 1)), Ok(a));
    assert!(!t.is_current(a, generation) && t.is_current(a, generation + 1));
    assert_eq!(t.on_acked(Slot(9), 1), Applied::NoOrder);
    assert_eq!(t.tally().no_order, 1);
}

#[test]
fn slots_are_reused_oldest_first() {
    let mut t = OrderTable::with_capacity(3);
    let slots: Vec<u32> = (0..9)
        .map(|id| {
            let s = t.insert(&entry(id, Side::Buy, 1, 1)).expect("room");
            t.on_rejected(s);
            assert!(t.release(s));
            s.0
        })
        .collect();
    assert_eq!(slots, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

#[derive(Clone, Copy, Debug)]
enum Report {
    Sent,
    Acked,
    Rejected,
    Fill(Fill),
    Cancelled(i64),
    Expired(i64),
    CancelSent,
    Unknown,
    QueryOpen(i64),
    QueryEnd(QueryStatus, i64),
}

fn deliver(t: &mut OrderTable, s: Slot, r: Report) -> Applied {
    match r {
        Report::Sent => t.on_sent(s, Ts(2)),
        Report::Acked => t.on_acked(s, 42),
        Report::Rejected => t.on_rejected(s),
        Report::Fill(f) => t.on_fill(s, f),
        Report::Cancelled(cum) => t.on_cancelled(s, Qty(cum)),
        Report::Expired(cum) => t.on_expired(s, Qty(cum)),
        Report::CancelSent => t.on_cancel_sent(s),
        Report::Unknown => t.on_unknown(s),
        Report::QueryOpen(cum) => t.on_query(s, QueryStatus::Open, 42, Qty(cum)),
        Report::QueryEnd(status, cum) => t.on_query(s, status, 42, Qty(cum)),
    }
}

/// One true life of an order, reported in a random order and with repeats. Whatever the order: known plus open
/// never falls below the truth, each execution is booked once, and in the end the table tells the truth.
#[test]
fn true_reports_in_any_order_end_in_the_truth() {
    for seed in 0..4_000u64 {
        let mut rng = Seed(0xdead_beef_1234_5678 ^ (seed << 20 | 1));
        let (mut t, s) = one();
        let mut reports = vec![Report::Sent];
        let mut cum = 0;
        let mut notional = 0i128;
        let life = rng.next(4);
        if life == 0 {
            reports.push(Report::Rejected);
        } else {
            reports.push(Report::Acked);
            let parts = if life == 1 { 1 + rng.next(6) as i64 } else { rng.next(6) as i64 };
            for part in 0..parts {
                let last = life == 1 && part == parts - 1;
                let qty = if last { 100 - cum } else { 1 + rng.next(15) as i64 };
                cum += qty;
                let px = 40 + rng.next(20) as i64;
                notional += px as i128 * qty as i128;
                reports.push(Report::Fill(Fill { px: Px(px), ..fill(qty, cum) }));
                if rng.next(4) == 0 && !last {
                    reports.push(Report::QueryOpen(cum));
                }
            }
            reports.extend((0..rng.next(2)).map(|_| Report::CancelSent));
            reports.extend((0..rng.next(2)).map(|_| Report::Unknown));
            let queried = rng.next(2) == 0;
            match life {
                1 if queried => reports.push(Report::QueryEnd(QueryStatus::Filled, 100)),
                1 => {}
                2 if queried => reports.push(Report::QueryEnd(QueryStatus::Cancelled, cum)),
                2 => reports.push(Report::Cancelled(cum)),
                _ => reports.push(Report::Expired(cum)),
            }
        }
        for i in 0..reports.len() {
            if rng.next(3) == 0 {
                reports.push(reports[i]);
            }
        }
        for i in (1..reports.len()).rev() {
            reports.swap(i, rng.next(i as u64 + 1) as usize);
        }
        let mut booked = 0;
        for (n, r) in reports.iter().enumerate() {
            let applied = deliver(&mut t, s, *r);
            if let Applied::Fill { qty, .. } = applied {
                booked += qty.0;
            }
            assert!(
                !matches!(applied, Applied::Conflict | Applied::Invalid),
                "seed {seed} step {n}: {reports:?}"
            );
            let (_, filled, leaves) = state(&t, s);
            assert!(filled == booked && filled <= cum, "seed {seed} step {n}");
            assert!(
                filled + leaves >= cum,
                "seed {seed} step {n}: open risk is below the truth: {reports:?}"
            );
        }
        let o = *t.get(s).expect("in use");
        let expect = [Rejected, Filled, Cancelled, Expired][life as usize];
        assert_eq!((o.state, o.filled.0, o.notional), (expect, cum, notional), "seed {seed}: {reports:?}");
        assert!(t.release(s));
    }
}

/// Any call with any values: the sums equal the recount, nothing fills beyond its size, no slot is lost.
#[test]
fn nonsense_never_breaks_the_sums() {
    for seed in 1..60u64 {
        let mut rng = Seed(seed << 32 | 0x5bd1);
        let mut t = OrderTable::with_instruments(16, 2);
        let mut id = 0;
        for step in 0..3_000 {
            let slot = Slot(rng.next(18) as u32);
            let number = |rng: &mut Seed| Qty(rng.next(130) as i64 - 5);
            match rng.next(16) {
                0..=3 => {
                    id += rng.next(2);
                    let side = if rng.next(2) == 0 { Side::Buy } else { Side::Sell };
                    let order = OrderEntry {
                        instrument: InstrumentId(rng.next(3) as u32),
                        kind: OrderType::ALL[rng.next(7) as usize],
                        ..entry(id, side, rng.next(100) as i64, rng.next(101) as i64)
                    };
                    if let Ok(s) = t.insert(&order) {
                        assert_eq!(t.by_id(order.id), Some(s));
                    }
                }
                4 => _ = t.on_sent(slot, Ts(step)),
                5 => _ = t.on_not_sent(slot),
                6 => _ = t.on_acked(slot, rng.next(9)),
                7 => _ = t.on_rejected(slot),
                8 | 9 => {
                    let (qty, cum) = (number(&mut rng), number(&mut rng));
                    let cum_qty = (rng.next(4) > 0).then_some(cum);
                    let fill =
                        Fill { px: Px(rng.next(100) as i64), qty, cum_qty, trade_id: rng.next(step + 2) };
                    t.on_fill(slot, fill);
                }
                10 => _ = t.on_cancel_sent(slot),
                11 => _ = t.on_cancelled(slot, number(&mut rng)),
                12 => _ = t.on_expired(slot, number(&mut rng)),
                13 => _ = t.on_unknown(slot),
                14 => {
                    let status = QueryStatus::from_u8(rng.next(5) as u8).expect("a status");
                    t.on_query(slot, status, 1, number(&mut rng));
                }
                _ => {
                    t.on_cancel_rejected(slot);
                    t.release(slot);
                }
            }
            for i in [InstrumentId(0), InstrumentId(1)] {
                assert_eq!(t.exposure(i), t.exposure_recount(i), "seed {seed} step {step}");
            }
            for (s, o) in t.iter() {
                assert!(o.filled >= Qty(0) && o.filled <= o.qty && o.leaves().0 <= o.qty.0 - o.filled.0);
                assert!(!o.is_done() || o.leaves() == Qty(0));
                assert_eq!(t.by_id(o.id), Some(s));
            }
        }
        let free = t.capacity() - t.len();
        let mut taken = 0;
        while t.insert(&entry(1 << 40 | taken, Side::Buy, 1, 1)).is_ok() {
            taken += 1;
        }
        assert_eq!(taken as usize, free, "every free slot can be taken");
    }
}
