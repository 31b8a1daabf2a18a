//! Every interleaving of the reports of every life of an order, to a stated depth.
//!
//! A life is what truly happens at the venue: accepted or refused, triggered, executed in parts, cancelled, a
//! cancel refused because it came too late, expired, or nothing further. Of each life, every report may come once,
//! twice (each connection says it) or never, in every order; somewhere one query is answered, with the truth of
//! any moment, somewhere the executions are listed, as of any moment, and somewhere we give up waiting. After
//! every single report the order must be sound, and wherever the reports stop, one query and one list must bring
//! out the truth; where none was lost, the reports alone must.
//!
//! The search walks the tree of interleavings and goes on once from orders that are equal in every fact with the
//! same reports still to come: what follows from them is the same. It counts all interleavings it thereby covers.
//!
//! `CORELANE_ORDER_DEPTH` = reports of the venue in a life, 4 unless set.

use std::collections::HashMap;

use super::*;
use crate::order::Question;
use OrderState::*;

const QTY: i64 = 3;
const PX: i64 = 50;
const ID: u64 = 5;
const BTC: InstrumentId = InstrumentId(0);
const SLOT: Slot = Slot(0);

/// What the venue reports, in the order in which it happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Acked,
    Triggered,
    Rejected,
    /// Of this quantity.
    Fill(i64),
    Cancelled,
    Expired,
    CancelRejected,
}

#[derive(Clone, Debug, Default)]
struct Life {
    stop: bool,
    reports: Vec<Report>,
    /// A cancel leaves us at some time.
    cancel: bool,
    /// Trade ids fall instead of rising.
    ids_fall: bool,
}

impl Life {
    /// Whether the venue has the order, its cumulative quantity and its end, after `n` reports.
    fn truth(&self, n: usize) -> (bool, i64, Option<OrderState>) {
        let reports = &self.reports[..n];
        let cum = reports.iter().map(|r| if let Report::Fill(q) = r { *q } else { 0 }).sum();
        let end = reports.iter().find_map(|r| match r {
            Report::Rejected => Some(Rejected),
            Report::Cancelled => Some(Cancelled),
            Report::Expired => Some(Expired),
            _ => None,
        });
        let end = if cum == QTY { Some(Filled) } else { end };
        (reports.contains(&Report::Acked), cum, end)
    }

    fn trade_id(&self, n: usize) -> u64 {
        if self.ids_fall { 200 - n as u64 } else { 100 + n as u64 }
    }

    fn fill(&self, n: usize, listed: bool) -> Option<Fill> {
        let Report::Fill(qty) = self.reports[n] else { return None };
        let cum = self.truth(n + 1).1;
        let cum_qty = (!listed).then_some(Qty(cum));
        // Each execution has a price of its own, so that the notional tells them apart.
        Some(Fill { px: Px(PX + n as i64), qty: Qty(qty), cum_qty, trade_id: self.trade_id(n) })
    }

    fn notional(&self) -> i128 {
        let fills = (0..self.reports.len()).filter_map(|n| self.fill(n, false));
        fills.map(|f| f.px.0 as i128 * f.qty.0 as i128).sum()
    }

    fn query(&self, t: &mut OrderTable, n: usize) -> Applied {
        let (here, cum, end) = self.truth(n);
        let status = match end {
            _ if !here => QueryStatus::NotFound,
            None => QueryStatus::Open,
            Some(Filled) => QueryStatus::Filled,
            Some(Cancelled) => QueryStatus::Cancelled,
            Some(_) => QueryStatus::Ended,
        };
        t.on_query(SLOT, status, ID * here as u64, Qty(cum))
    }
}

/// Every life of at most `depth` reports.
fn lives(depth: usize) -> Vec<Life> {
    let mut all = vec![Life::default()];
    if depth > 0 {
        all.push(Life { reports: vec![Report::Rejected], ..Life::default() });
        for stop in [false, true] {
            grow(&Life { stop, reports: vec![Report::Acked], ..Life::default() }, depth, &mut all);
        }
    }
    let falling: Vec<Life> = all
        .iter()
        .filter(|l| l.reports.iter().filter(|r| matches!(r, Report::Fill(_))).count() > 1)
        .map(|l| Life { ids_fall: true, ..l.clone() })
        .collect();
    all.extend(falling);
    all
}

fn grow(life: &Life, depth: usize, all: &mut Vec<Life>) {
    all.push(life.clone());
    let (_, cum, end) = life.truth(life.reports.len());
    let refused = life.reports.contains(&Report::CancelRejected);
    if life.reports.len() == depth {
        return;
    }
    let with = |r: Report, cancel: bool| {
        let mut l = life.clone();
        l.reports.push(r);
        l.cancel |= cancel;
        l
    };
    if !refused {
        // Too late, or held back by the venue: then the order lives on.
        grow(&with(Report::CancelRejected, true), depth, all);
    }
    if end.is_some() {
        return;
    }
    if life.stop && !life.reports.contains(&Report::Triggered) {
        grow(&with(Report::Triggered, false), depth, all);
    } else {
        (1..=QTY - cum).for_each(|q| grow(&with(Report::Fill(q), false), depth, all));
    }
    if !refused {
        grow(&with(Report::Cancelled, true), depth, all);
    }
    grow(&with(Report::Expired, false), depth, all);
}

/// A point in the tree: what has come, and what the table makes of it.
#[derive(Clone)]
struct Node {
    table: OrderTable,
    /// Times each report has come.
    came: Vec<u8>,
    sent: bool,
    cancel_sent: bool,
    /// We gave up waiting.
    gave_up: bool,
    /// The query was answered from before the order came.
    missed: bool,
    queried: bool,
    listed: bool,
    /// The venue has made at least this many reports, by what has come.
    at_least: usize,
    /// Executions booked, a bit for each.
    booked: u32,
}

#[derive(PartialEq, Eq, Hash)]
struct Facts<K> {
    order: Order,
    executions: K,
    came: Vec<u8>,
    flags: [bool; 6],
    at_least: usize,
    booked: u32,
}

#[derive(Default)]
struct Search {
    steps: u64,
    ends: u64,
}

impl Search {
    /// Interleavings from here on, this node's stop included.
    fn explore<K: Eq + std::hash::Hash>(
        &mut self,
        life: &Life,
        node: &Node,
        key: &impl Fn(&Node) -> K,
        seen: &mut HashMap<Facts<K>, u128>,
    ) -> u128 {
        let facts = Facts {
            order: *node.table.get(SLOT).expect("in use"),
            executions: key(node),
            came: node.came.clone(),
            flags: [node.sent, node.cancel_sent, node.gave_up, node.missed, node.queried, node.listed],
            at_least: node.at_least,
            booked: node.booked,
        };
        if let Some(count) = seen.get(&facts) {
            return *count;
        }
        self.stop_here(life, node);
        let mut count = 1;
        let mut go = |search: &mut Search, apply: &dyn Fn(&mut Node) -> Applied| {
            let mut next = node.clone();
            let before = *next.table.get(SLOT).expect("in use");
            let applied = apply(&mut next);
            search.steps += 1;
            sound(life, &before, &next, applied);
            count += search.explore(life, &next, key, seen);
        };
        let n = life.reports.len();
        if !node.sent {
            go(self, &|node| {
                node.sent = true;
                node.table.on_sent(SLOT, Ts(2))
            });
        }
        if life.cancel && !node.cancel_sent {
            go(self, &|node| {
                node.cancel_sent = true;
                node.table.on_cancel_sent(SLOT)
            });
        }
        if !node.gave_up {
            go(self, &|node| {
                node.gave_up = true;
                node.table.on_unknown(SLOT)
            });
        }
        for i in 0..n {
            // A cancel is refused after it was sent, and that we know of ourselves.
            if node.came[i] < 2 && (life.reports[i] != Report::CancelRejected || node.cancel_sent) {
                go(self, &|node| {
                    node.came[i] += 1;
                    node.at_least = node.at_least.max(i + 1);
                    deliver(life, node, i)
                });
            }
        }
        if !node.queried {
            for at in 0..=n {
                go(self, &|node| {
                    node.queried = true;
                    node.missed = !life.truth(at).0;
                    node.at_least = node.at_least.max(at);
                    life.query(&mut node.table, at)
                });
            }
        }
        if !node.listed {
            for at in (0..n).filter(|&at| matches!(life.reports[at], Report::Fill(_))) {
                go(self, &|node| {
                    node.listed = true;
                    node.at_least = node.at_least.max(at + 1);
                    list(life, node, at + 1)
                });
            }
        }
        seen.insert(facts, count);
        count
    }

    /// Nothing more comes. Then the truth must be here, or within reach.
    fn stop_here(&mut self, life: &Life, node: &Node) {
        self.ends += 1;
        let n = life.reports.len();
        let (here, cum, end) = life.truth(n);
        let refusal_came = (0..n).any(|i| life.reports[i] == Report::CancelRejected && node.came[i] > 0);
        let is_true = |node: &Node| {
            let o = node.table.get(SLOT).expect("in use");
            let natural = match end {
                Some(end) => end,
                None if !here => Rejected,
                None if node.cancel_sent && !refusal_came => CancelPending,
                None if cum > 0 => PartiallyFilled,
                None => Live,
            };
            (o.state, o.filled.0, o.notional) == (natural, cum, life.notional())
        };
        let all_came = here && node.came.iter().all(|&c| c > 0);
        // Once in doubt, only a newer word of the venue tells that an order is still open.
        if all_came && (end.is_some() || !(node.gave_up || node.missed)) {
            assert!(is_true(node), "every report came: {life:?} {:?}", node.table.get(SLOT));
        }
        let mut node = Node { at_least: n, queried: true, ..node.clone() };
        node.table.on_unknown(SLOT);
        let applied = life.query(&mut node.table, n);
        assert!(!matches!(applied, Applied::Conflict | Applied::Invalid), "{life:?}");
        let o = node.table.get(SLOT).expect("in use");
        assert_ne!(o.open_question(), Some(Question::Order), "the query answered it: {life:?} {o:?}");
        let asked = o.open_question() == Some(Question::Executions);
        assert_eq!(asked, o.missing().0 > 0, "{life:?} {o:?}");
        if asked {
            list(life, &mut node, n);
        }
        assert!(is_true(&node), "asked, and still not true: {life:?} {:?}", node.table.get(SLOT));
        assert_eq!(end.is_some() || !here, node.table.clone().release(SLOT), "{life:?}");
    }
}

fn deliver(life: &Life, node: &mut Node, i: usize) -> Applied {
    let t = &mut node.table;
    let cum = Qty(life.truth(i + 1).1);
    match life.reports[i] {
        Report::Acked => t.on_acked(SLOT, ID),
        Report::Triggered => t.on_triggered(SLOT),
        Report::Rejected => t.on_rejected(SLOT),
        Report::Cancelled => t.on_cancelled(SLOT, cum),
        Report::Expired => t.on_expired(SLOT, cum),
        Report::CancelRejected => t.on_cancel_rejected(SLOT),
        Report::Fill(_) => book(life, node, i, false),
    }
}

fn list(life: &Life, node: &mut Node, upto: usize) -> Applied {
    let mut last = Applied::Late;
    for i in (0..upto).filter(|&i| matches!(life.reports[i], Report::Fill(_))) {
        let before = *node.table.get(SLOT).expect("in use");
        last = book(life, node, i, true);
        sound(life, &before, node, last);
    }
    last
}

fn book(life: &Life, node: &mut Node, i: usize, listed: bool) -> Applied {
    let fill = life.fill(i, listed).expect("an execution");
    let applied = node.table.on_fill(SLOT, fill);
    if let Applied::Fill { qty, .. } = applied {
        assert_eq!(qty, fill.qty);
        assert_eq!(node.booked & 1 << i, 0, "booked twice: {life:?}");
        node.booked |= 1 << i;
    }
    applied
}

/// What must hold after every report.
fn sound(life: &Life, before: &Order, node: &Node, applied: Applied) {
    let t = &node.table;
    let o = t.get(SLOT).expect("in use");
    let context = || format!("{life:?} {:?}: {before:?} -> {o:?}, {applied:?}", node.came);
    let contradiction = matches!(applied, Applied::Conflict | Applied::Invalid | Applied::Overfill { .. });
    assert!(!contradiction, "true reports contradict nothing: {}", context());
    let booked = (0..life.reports.len()).filter(|i| node.booked & 1 << i != 0);
    let (mut qty, mut notional) = (0, 0i128);
    for f in booked.filter_map(|i| life.fill(i, false)) {
        qty += f.qty.0;
        notional += f.px.0 as i128 * f.qty.0 as i128;
    }
    assert_eq!((o.filled.0, o.notional), (qty, notional), "{}", context());
    assert!(o.filled <= o.qty, "{}", context());
    assert_eq!(t.exposure(BTC), t.exposure_recount(BTC), "{}", context());
    let last = life.reports.len();
    if o.is_done() && !o.is_presumed() {
        let (_, cum, end) = life.truth(last);
        assert_eq!((Some(o.state), o.filled.0), (end, cum), "ended too early: {}", context());
        assert_eq!(t.exposure(BTC), Exposure::default());
    }
    if !o.is_done() {
        assert!(o.filled.0 + o.leaves().0 >= life.truth(last).1, "executions unseen: {}", context());
        for at in node.at_least..=last {
            let (here, cum, end) = life.truth(at);
            let open = if here && end.is_none() { QTY - cum } else { 0 };
            assert!(t.exposure(BTC).open_buy_qty >= open, "open risk understated: {}", context());
        }
    }
    if before.is_done() && !o.is_done() {
        assert!(before.is_presumed(), "an end that the venue reported stands: {}", context());
    }
    if o.is_presumed() && !before.is_presumed() {
        assert!(node.queried, "only an answer from before the order came: {}", context());
    }
}

fn depth() -> usize {
    std::env::var("CORELANE_ORDER_DEPTH").ok().and_then(|d| d.parse().ok()).unwrap_or(4)
}

#[test]
fn every_interleaving_is_sound_and_ends_in_the_truth() {
    let depth = depth();
    let (mut lives_seen, mut covered) = (0u64, 0u128);
    let mut search = Search::default();
    for life in lives(depth) {
        let mut table = OrderTable::with_instruments(1, 1);
        let entry = OrderEntry {
            id: OrderId(1),
            instrument: BTC,
            side: Side::Buy,
            px: Px(PX),
            qty: Qty(QTY),
            kind: if life.stop { wire::OrderType::StopLimit } else { wire::OrderType::Limit },
            now: Ts(1),
        };
        assert_eq!(table.insert(&entry), Ok(SLOT));
        let root = Node {
            table,
            came: vec![0; life.reports.len()],
            sent: false,
            cancel_sent: false,
            gave_up: false,
            missed: false,
            queried: false,
            listed: false,
            at_least: 0,
            booked: 0,
        };
        let mut seen = HashMap::new();
        covered += search.explore(&life, &root, &|n| n.table.executions.known(SLOT), &mut seen);
        lives_seen += 1;
    }
    println!(
        "depth {depth}: {lives_seen} lives, {covered} interleavings covered by {} reports applied and {} stops judged",
        search.steps, search.ends
    );
    assert!(depth < 4 || covered > 1_000_000, "the search has shrunk: {covered}");
}
