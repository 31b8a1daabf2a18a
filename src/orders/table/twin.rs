//! The table against a naive twin under random traffic: the same answer at every step, the same state after it.
//!
//! The twin keeps of every order a list of all its reports and reads it from the start whenever it is asked. It
//! marks executed units one by one, looks trade ids up in a list and adds exposure up from scratch. Traffic is
//! half plausible and half nonsense; slots, generations and refusals are compared as well.

use std::collections::{HashMap, VecDeque};

use super::*;
use crate::order::Question;
use OrderState::*;
use wire::OrderType;

#[derive(Clone, Copy, Debug)]
enum Report {
    Sent,
    NotSent,
    Acked(u64),
    Triggered,
    Rejected,
    Fill(Fill),
    CancelSent,
    CancelRejected,
    End(OrderState, i64),
    Unknown,
    Query(QueryStatus, u64, i64),
}

fn to_table(t: &mut OrderTable, slot: Slot, report: Report) -> Applied {
    match report {
        Report::Sent => t.on_sent(slot, Ts(7)),
        Report::NotSent => t.on_not_sent(slot),
        Report::Acked(venue) => t.on_acked(slot, venue),
        Report::Triggered => t.on_triggered(slot),
        Report::Rejected => t.on_rejected(slot),
        Report::Fill(fill) => t.on_fill(slot, fill),
        Report::CancelSent => t.on_cancel_sent(slot),
        Report::CancelRejected => t.on_cancel_rejected(slot),
        Report::End(Cancelled, cum) => t.on_cancelled(slot, Qty(cum)),
        Report::End(_, cum) => t.on_expired(slot, Qty(cum)),
        Report::Unknown => t.on_unknown(slot),
        Report::Query(status, venue, cum) => t.on_query(slot, status, venue, Qty(cum)),
    }
}

/// An order as a list of what was said of it.
struct Said {
    entry: OrderEntry,
    generation: u32,
    reports: Vec<Report>,
}

/// What the list adds up to.
#[derive(Default)]
struct Sum {
    sent: bool,
    acked: bool,
    cancel: bool,
    silent: bool,
    contradicted: bool,
    triggered: bool,
    venue: u64,
    /// State, quantity, ours alone.
    end: Option<(OrderState, i64, bool)>,
    /// Units of the order that an execution with a place covers.
    units: Vec<bool>,
    /// Trade id, price, quantity, and whether it has a place.
    fills: Vec<(u64, i64, i64, bool)>,
    told: i64,
}

impl Sum {
    fn of(said: &Said) -> (Sum, Option<Applied>) {
        let mut sum = Sum { units: vec![false; said.entry.qty.0 as usize], ..Sum::default() };
        let applied = said.reports.iter().map(|r| sum.hear(&said.entry, r)).last();
        (sum, applied)
    }

    fn filled(&self) -> i64 {
        self.fills.iter().map(|f| f.2).sum()
    }

    fn doubted(&self) -> bool {
        self.silent || self.contradicted
    }

    fn state(&self, order: &OrderEntry) -> OrderState {
        let filled = self.filled();
        match self.end {
            Some(_) if filled == order.qty.0 => Filled,
            Some((state, cum, _)) if filled >= cum => state,
            None if filled == order.qty.0 => Filled,
            Some(_) => Unknown,
            None if self.doubted() || self.told > filled => Unknown,
            None if self.cancel => CancelPending,
            None if filled > 0 => PartiallyFilled,
            None if self.acked => Live,
            None => Pending,
        }
    }

    fn leaves(&self, order: &OrderEntry) -> i64 {
        (self.end.map_or(order.qty.0, |e| e.1) - self.filled()).max(0)
    }

    fn contradict(&mut self) -> Applied {
        if self.end.is_none() {
            (self.silent, self.contradicted) = (false, true);
        }
        Applied::Conflict
    }

    /// The venue's refusal proves wrong.
    fn refute(&mut self) -> Applied {
        self.end = None;
        self.contradict()
    }

    fn conclude(&mut self, state: OrderState, cum: i64, ours: bool) -> Option<Applied> {
        self.end = Some((state, cum, ours));
        None
    }

    fn reopen(&mut self, silent: bool) -> Option<Applied> {
        (self.end, self.silent, self.contradicted) = (None, silent, false);
        None
    }

    fn hear(&mut self, order: &OrderEntry, report: &Report) -> Applied {
        let was_done = !self.state(order).is_open();
        let other = self.judge(order, report, was_done);
        // The whole quantity, by whatever report: there is nothing left to be open.
        if self.end.is_none() && self.told == order.qty.0 {
            self.end = Some((Filled, order.qty.0, false));
        }
        match other {
            Some(Applied::Fill { qty, .. }) => {
                Applied::Fill { qty, leaves: Qty(self.leaves(order)), done: !self.state(order).is_open() }
            }
            Some(applied) => applied,
            None => Applied::State(self.state(order)),
        }
    }

    /// `None` = the answer is the state.
    fn judge(&mut self, order: &OrderEntry, report: &Report, was_done: bool) -> Option<Applied> {
        let refused_by_venue = self.end.is_some_and(|e| e.0 == Rejected && !e.2);
        let ours = self.end.is_some_and(|e| e.2);
        let or_late = |done: bool, other: Applied| Some(if done { Applied::Late } else { other });
        match *report {
            Report::Sent if self.sent => Some(Applied::Duplicate),
            Report::Sent => {
                self.sent = true;
                if ours { self.reopen(true) } else { was_done.then_some(Applied::Late) }
            }
            Report::NotSent if self.end.is_some() => Some(Applied::Late),
            Report::NotSent if !self.sent && !self.acked && self.told == 0 => {
                self.conclude(Rejected, 0, true)
            }
            Report::NotSent if self.cancel => {
                self.cancel = false;
                None
            }
            Report::NotSent => Some(self.contradict()),
            Report::Acked(venue) => self.hear_ack(venue, was_done),
            Report::Triggered if self.end.is_some() && self.acked => Some(Applied::Late),
            Report::Triggered if self.acked && (self.triggered || !order.kind.has_stop()) => {
                Some(Applied::Duplicate)
            }
            Report::Triggered => {
                self.triggered = true;
                if self.acked { None } else { self.hear_ack(0, was_done) }
            }
            Report::Rejected if self.end.is_some_and(|e| e.0 == Rejected) => {
                self.end = Some((Rejected, self.end.map_or(0, |e| e.1), false));
                Some(Applied::Duplicate)
            }
            Report::Rejected if self.end.is_some() => Some(Applied::Late),
            Report::Rejected if self.acked || self.told > 0 => Some(self.contradict()),
            Report::Rejected => self.conclude(Rejected, 0, false),
            Report::Fill(fill) => Some(self.execute(order, &fill)),
            Report::CancelSent => {
                let again = self.cancel;
                self.cancel = true;
                if self.end.is_some() || again {
                    return or_late(self.end.is_some(), Applied::Duplicate);
                }
                None
            }
            Report::CancelRejected => {
                let waited = self.cancel;
                self.cancel = false;
                (self.end.is_some() || !waited).then_some(Applied::Late)
            }
            Report::End(state, cum) => self.hear_end(order, state, cum, was_done),
            Report::Unknown | Report::Query(QueryStatus::NotFound, ..) if self.end.is_some() => {
                Some(Applied::Late)
            }
            Report::Query(QueryStatus::NotFound, ..) if !self.acked && self.told == 0 => {
                self.conclude(Rejected, 0, true)
            }
            Report::Unknown | Report::Query(QueryStatus::NotFound, ..) => {
                let doubted = self.doubted();
                self.silent |= !doubted;
                doubted.then_some(Applied::Duplicate)
            }
            Report::Query(_, _, cum) if !(0..=order.qty.0).contains(&cum) => {
                Some(if was_done { Applied::Invalid } else { self.contradict() })
            }
            Report::Query(_, venue, _) if !self.name(venue) => Some(self.contradict()),
            Report::Query(status, _, cum) => {
                self.acked = true;
                match status {
                    QueryStatus::Filled if cum < order.qty.0 => self.hear_end(order, Expired, cum, was_done),
                    QueryStatus::Filled => self.hear_end(order, Filled, order.qty.0, was_done),
                    QueryStatus::Cancelled => self.hear_end(order, Cancelled, cum, was_done),
                    QueryStatus::Ended => self.hear_end(order, Expired, cum, was_done),
                    _ if refused_by_venue => Some(self.refute()),
                    _ if self.end.is_some() && !ours => Some(Applied::Late),
                    _ => {
                        self.told = self.told.max(cum);
                        self.reopen(false)
                    }
                }
            }
        }
    }

    fn name(&mut self, venue: u64) -> bool {
        if self.venue == 0 {
            self.venue = venue;
        }
        venue == 0 || venue == self.venue
    }

    fn hear_ack(&mut self, venue: u64, was_done: bool) -> Option<Applied> {
        if !self.name(venue) {
            return Some(self.contradict());
        }
        if self.acked {
            return Some(if was_done { Applied::Late } else { Applied::Duplicate });
        }
        self.acked = true;
        match self.end {
            Some((_, _, true)) => self.reopen(false),
            Some((Rejected, ..)) => Some(self.refute()),
            Some(_) => Some(Applied::Late),
            None => {
                self.silent = false;
                None
            }
        }
    }

    fn hear_end(
        &mut self,
        order: &OrderEntry,
        state: OrderState,
        cum: i64,
        was_done: bool,
    ) -> Option<Applied> {
        if !(0..=order.qty.0).contains(&cum) {
            return Some(if was_done { Applied::Invalid } else { self.contradict() });
        }
        match self.end {
            Some((first, known, false)) if cum > known => {
                self.told = self.told.max(cum);
                self.conclude(if first == Rejected { state } else { first }, cum, false)
            }
            Some((first, _, false)) => Some(if first == state { Applied::Duplicate } else { Applied::Late }),
            _ => {
                self.told = self.told.max(cum);
                self.conclude(state, self.told, false)
            }
        }
    }

    fn execute(&mut self, order: &OrderEntry, fill: &Fill) -> Applied {
        let (qty, id) = (fill.qty.0, fill.trade_id);
        if qty <= 0 || fill.px.0 <= 0 || fill.cum_qty.is_none() && id == 0 {
            return Applied::Invalid;
        }
        if let Some(cum) = fill.cum_qty {
            if cum.0 < qty {
                return Applied::Invalid;
            }
            if cum > order.qty {
                return Applied::Overfill { excess: Qty(cum.0 - order.qty.0) };
            }
        }
        if id != 0 && self.fills.iter().any(|f| f.0 == id) {
            return Applied::Duplicate;
        }
        let nameless = self.fills.iter().any(|f| f.0 == 0);
        let unplaced = self.fills.iter().any(|f| !f.3);
        let place = fill.cum_qty.map(|cum| (cum.0 - qty) as usize..cum.0 as usize);
        if let Some(place) = place.clone() {
            let taken = self.units[place].iter().filter(|&&u| u).count() as i64;
            if taken == qty && (id == 0 || nameless) {
                return Applied::Duplicate;
            }
            if taken > 0 || id == 0 && unplaced {
                return self.contradict();
            }
        } else if nameless {
            return self.contradict();
        }
        let excess = self.filled() + qty - order.qty.0;
        if excess > 0 {
            return Applied::Overfill { excess: Qty(excess) };
        }
        self.fills.push((id, fill.px.0, qty, place.is_some()));
        if let Some(place) = place {
            self.units[place].fill(true);
        }
        self.told = self.told.max(fill.cum_qty.map_or(0, |c| c.0)).max(self.filled());
        self.triggered = true;
        match &mut self.end {
            Some((Rejected, _, ours)) => {
                (self.acked, self.silent, self.contradicted) = (true, false, !*ours);
                self.end = None;
            }
            Some((_, cum, _)) => *cum = (*cum).max(self.told),
            None => {}
        }
        Applied::Fill { qty: fill.qty, leaves: Qty(0), done: false }
    }
}

struct Twin {
    orders: HashMap<u32, Said>,
    free: VecDeque<u32>,
    generations: Vec<u32>,
    instruments: u32,
}

impl Twin {
    fn insert(&mut self, entry: &OrderEntry) -> Option<u32> {
        let known = self.orders.values().any(|s| s.entry.id == entry.id);
        let sound = entry.px.0 > 0 && entry.qty.0 > 0 && entry.instrument.0 < self.instruments;
        if known || !sound {
            return None;
        }
        let slot = self.free.pop_front()?;
        let generation = self.generations[slot as usize];
        self.orders.insert(slot, Said { entry: *entry, generation, reports: Vec::new() });
        Some(slot)
    }

    fn report(&mut self, slot: u32, report: Report) -> Applied {
        let Some(said) = self.orders.get_mut(&slot) else { return Applied::NoOrder };
        said.reports.push(report);
        Sum::of(said).1.expect("one report at least")
    }

    fn release(&mut self, slot: u32) -> bool {
        let done = self.orders.get(&slot).is_some_and(|s| !Sum::of(s).0.state(&s.entry).is_open());
        if done {
            self.orders.remove(&slot);
            self.generations[slot as usize] += 1;
            self.free.push_back(slot);
        }
        done
    }

    fn exposure(&self, instrument: InstrumentId) -> Exposure {
        let mut e = Exposure::default();
        for said in self.orders.values().filter(|s| s.entry.instrument == instrument) {
            let (sum, order) = (Sum::of(said).0, &said.entry);
            if !sum.state(order).is_open() {
                continue;
            }
            e.open_orders += 1;
            let rests = order.kind.can_rest() && (!order.kind.has_stop() || sum.triggered);
            match order.side {
                Side::Buy => {
                    e.open_buy_qty += sum.leaves(order);
                    e.own_bid_px = if rests { e.own_bid_px.max(order.px) } else { e.own_bid_px };
                }
                Side::Sell => {
                    e.open_sell_qty += sum.leaves(order);
                    let best = e.own_ask_px.0 == 0 || order.px < e.own_ask_px;
                    e.own_ask_px = if rests && best { order.px } else { e.own_ask_px };
                }
            }
        }
        e
    }
}

fn compare(t: &OrderTable, twin: &Twin, context: &str) {
    assert_eq!(t.len(), twin.orders.len(), "{context}");
    for (slot, said) in &twin.orders {
        let o = t.get(Slot(*slot)).expect("in both");
        let (sum, entry) = (Sum::of(said).0, &said.entry);
        assert_eq!((o.id, o.qty, o.generation), (entry.id, entry.qty, said.generation), "{context}");
        assert_eq!(t.by_id(o.id), Some(Slot(*slot)), "{context}");
        let notional: i128 = sum.fills.iter().map(|f| f.1 as i128 * f.2 as i128).sum();
        assert_eq!(
            (o.state, o.filled.0, o.notional, o.missing().0, o.venue_order_id),
            (sum.state(entry), sum.filled(), notional, (sum.told - sum.filled()).max(0), sum.venue),
            "{context}: {said:?}",
            said = said.reports
        );
        let question = match sum.state(entry) {
            Unknown if sum.end.is_none() && sum.doubted() => Some(Question::Order),
            Unknown => Some(Question::Executions),
            _ => None,
        };
        assert_eq!(o.open_question(), question, "{context}");
    }
    for i in (0..3).map(InstrumentId) {
        assert_eq!(t.exposure(i), twin.exposure(i), "{context}");
    }
}

#[test]
fn table_and_twin_agree_at_every_step() {
    const SLOTS: u64 = 6;
    let (mut tally, mut released) = (Tally::default(), 0);
    for seed in 1..=40u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |bound: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) % bound
        };
        let mut t = OrderTable::with_instruments(SLOTS as usize, 2);
        let mut twin = Twin {
            orders: HashMap::new(),
            free: (0..SLOTS as u32).collect(),
            generations: vec![0; SLOTS as usize],
            instruments: 2,
        };
        let mut id = 0;
        for step in 0..1_500 {
            let context = format!("seed {seed} step {step}");
            let slot = next(SLOTS + 1) as u32;
            match next(12) {
                0 | 1 => {
                    id += (next(8) > 0) as u64;
                    let entry = OrderEntry {
                        id: OrderId(id),
                        instrument: InstrumentId((next(16) / 7) as u32),
                        side: if next(2) == 0 { Side::Buy } else { Side::Sell },
                        px: Px(next(20) as i64),
                        qty: Qty(next(8) as i64),
                        kind: OrderType::ALL[next(7) as usize],
                        now: Ts(1),
                    };
                    let taken = t.insert(&entry).ok().map(|s| s.0);
                    assert_eq!(taken, twin.insert(&entry), "{context}");
                }
                2 => {
                    assert_eq!(t.release(Slot(slot)), twin.release(slot), "{context}");
                    released += 1;
                }
                _ => {
                    let qty = t.get(Slot(slot)).map_or(5, |o| o.qty.0);
                    let filled = t.get(Slot(slot)).map_or(0, |o| o.filled.0);
                    let venue = [0, 5, 5, 5, 5, 5, 5, 6][next(8) as usize];
                    let cum = match next(8) {
                        0 => next(12) as i64 - 2,
                        1..4 => filled,
                        _ => next(qty as u64 + 1) as i64,
                    };
                    let report = match next(22) {
                        0 => Report::Sent,
                        1 => Report::NotSent,
                        2 | 3 => Report::Acked(venue),
                        4 => Report::Triggered,
                        5 => Report::Rejected,
                        6..=13 => {
                            let part = if next(9) == 0 { next(9) as i64 - 1 } else { 1 + next(2) as i64 };
                            let after = if next(2) == 0 { filled + part } else { cum };
                            let id = if next(7) == 0 { next(9) } else { (100 + after) as u64 };
                            let cum_qty = (next(4) > 0).then_some(Qty(after));
                            let px = Px(if next(20) == 0 { 0 } else { 10 + next(9) as i64 });
                            Report::Fill(Fill { px, qty: Qty(part), cum_qty, trade_id: id })
                        }
                        14 => Report::CancelSent,
                        15 => Report::CancelRejected,
                        16 => Report::End(Cancelled, cum),
                        17 => Report::End(Expired, cum),
                        18 => Report::Unknown,
                        _ => {
                            let status = QueryStatus::from_u8(next(5) as u8).expect("a status");
                            Report::Query(status, venue, cum)
                        }
                    };
                    let applied = to_table(&mut t, Slot(slot), report);
                    assert_eq!(applied, twin.report(slot, report), "{context}: {report:?}");
                }
            }
            compare(&t, &twin, &context);
        }
        let of = t.tally();
        tally.conflict += of.conflict;
        tally.overfill += of.overfill;
        tally.reopened += of.reopened;
        tally.duplicate += of.duplicate;
        tally.late += of.late;
    }
    let Tally { conflict, overfill, reopened, duplicate, late, .. } = tally;
    assert!([conflict, overfill, reopened, duplicate, late].iter().all(|&n| n > 200), "{tally:?}");
    assert!(released > 1_000);
}
