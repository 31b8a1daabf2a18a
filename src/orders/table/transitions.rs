//! The drawn transitions against the code: every report in every situation.
//!
//! `order.rs` shows the table to its readers; here each of its cells is tried on an order brought into that
//! situation by plain reports. What the drawing says and the code does not, or the other way round, fails.

use super::*;
use OrderState::*;

const QTY: i64 = 100;

fn fill(qty: i64, cum: i64) -> Fill {
    Fill { px: Px(50), qty: Qty(qty), cum_qty: Some(Qty(cum)), trade_id: cum as u64 }
}

fn listed(qty: i64, trade_id: u64) -> Fill {
    Fill { px: Px(50), qty: Qty(qty), cum_qty: None, trade_id }
}

type Situation = (&'static str, &'static [fn(&mut OrderTable, Slot)]);

/// How an order gets into each column of the drawing.
const SITUATIONS: [Situation; 15] = [
    ("Pe", &[]),
    ("Ps", &[sent]),
    ("Li", &[sent, acked]),
    ("Pa", &[sent, acked, part]),
    ("Cs", &[sent, cancel_sent]),
    ("Cp", &[sent, acked, part, cancel_sent]),
    ("Us", &[sent, unknown]),
    ("Ua", &[sent, acked, part, unknown]),
    ("Um", &[sent, acked, |t, s| _ = t.on_query(s, QueryStatus::Open, 5, Qty(60))]),
    ("Ue", &[sent, acked, |t, s| _ = t.on_cancelled(s, Qty(60))]),
    ("Fi", &[sent, acked, |t, s| _ = t.on_fill(s, fill(QTY, QTY))]),
    ("Ca", &[sent, acked, part, |t, s| _ = t.on_cancelled(s, Qty(10))]),
    ("Ex", &[sent, acked, part, |t, s| _ = t.on_expired(s, Qty(10))]),
    ("Re", &[sent, |t, s| _ = t.on_rejected(s)]),
    ("Rp", &[sent, |t, s| _ = t.on_query(s, QueryStatus::NotFound, 0, Qty(0))]),
];

fn sent(t: &mut OrderTable, s: Slot) {
    t.on_sent(s, Ts(2));
}

fn acked(t: &mut OrderTable, s: Slot) {
    t.on_acked(s, 5);
}

fn part(t: &mut OrderTable, s: Slot) {
    t.on_fill(s, fill(10, 10));
}

fn cancel_sent(t: &mut OrderTable, s: Slot) {
    t.on_cancel_sent(s);
}

fn unknown(t: &mut OrderTable, s: Slot) {
    t.on_unknown(s);
}

type Report = (&'static str, fn(&mut OrderTable, Slot) -> Applied);

/// The rows of the drawing.
const REPORTS: [Report; 27] = [
    ("sent", |t, s| t.on_sent(s, Ts(3))),
    ("not sent", |t, s| t.on_not_sent(s)),
    ("acked", |t, s| t.on_acked(s, 5)),
    ("acked, other venue id", |t, s| {
        t.on_acked(s, 5);
        t.on_acked(s, 6)
    }),
    ("triggered", |t, s| t.on_triggered(s)),
    ("rejected", |t, s| t.on_rejected(s)),
    ("fill, 10 to 10", |t, s| t.on_fill(s, fill(10, 10))),
    ("fill, 20 to 30", |t, s| t.on_fill(s, fill(20, 30))),
    ("fill, the rest", |t, s| {
        let filled = t.get(s).map_or(0, |o| o.filled.0);
        t.on_fill(s, if filled < QTY { fill(QTY - filled, QTY) } else { fill(QTY, QTY) })
    }),
    ("fill, same place, other id", |t, s| {
        let whole = t.get(s).is_some_and(|o| o.filled.0 == QTY);
        let (qty, id) = if whole { (QTY, 100) } else { (10, 10) };
        t.on_fill(s, Fill { trade_id: id, ..fill(qty, qty) });
        t.on_fill(s, Fill { trade_id: 77, ..fill(qty, qty) })
    }),
    ("fill, beyond the order", |t, s| t.on_fill(s, fill(10, 110))),
    ("fill, of nothing", |t, s| t.on_fill(s, fill(0, 10))),
    ("listed fill of 10", |t, s| t.on_fill(s, listed(10, 10))),
    ("listed fill of 60", |t, s| t.on_fill(s, listed(60, 66))),
    ("cancel sent", |t, s| t.on_cancel_sent(s)),
    ("cancel rejected", |t, s| t.on_cancel_rejected(s)),
    ("cancelled at 10", |t, s| t.on_cancelled(s, Qty(10))),
    ("cancelled at 60", |t, s| t.on_cancelled(s, Qty(60))),
    ("expired at 10", |t, s| t.on_expired(s, Qty(10))),
    ("unknown", |t, s| t.on_unknown(s)),
    ("query: not found", |t, s| t.on_query(s, QueryStatus::NotFound, 0, Qty(0))),
    ("query: open at 10", |t, s| t.on_query(s, QueryStatus::Open, 5, Qty(10))),
    ("query: open at 60", |t, s| t.on_query(s, QueryStatus::Open, 5, Qty(60))),
    ("query: filled", |t, s| t.on_query(s, QueryStatus::Filled, 5, Qty(QTY))),
    ("query: filled at 10", |t, s| t.on_query(s, QueryStatus::Filled, 5, Qty(10))),
    ("query: cancelled at 10", |t, s| t.on_query(s, QueryStatus::Cancelled, 5, Qty(10))),
    ("query: ended at 0", |t, s| t.on_query(s, QueryStatus::Ended, 5, Qty(0))),
];

fn name(state: OrderState) -> &'static str {
    match state {
        Pending => "Pe",
        Live => "Li",
        PartiallyFilled => "Pa",
        CancelPending => "Cp",
        Unknown => "Un",
        Filled => "Fi",
        Cancelled => "Ca",
        Rejected => "Re",
        Expired => "Ex",
    }
}

fn verdict(applied: Applied) -> &'static str {
    match applied {
        Applied::State(_) => "",
        Applied::Fill { .. } => "+",
        Applied::Duplicate => "=",
        Applied::Late => "-",
        Applied::Conflict => "!",
        Applied::Overfill { .. } => ">",
        Applied::Invalid => "0",
        Applied::NoOrder => "?",
    }
}

/// An order in a situation.
fn into(situation: &Situation) -> (OrderTable, Slot) {
    let mut t = OrderTable::with_capacity(1);
    let entry = OrderEntry {
        id: OrderId(1),
        instrument: InstrumentId(0),
        side: Side::Buy,
        px: Px(50),
        qty: Qty(QTY),
        kind: wire::OrderType::Limit,
        now: Ts(1),
    };
    let s = t.insert(&entry).expect("room");
    situation.1.iter().for_each(|step| step(&mut t, s));
    (t, s)
}

/// What the code does, cell by cell.
fn of_the_code(situation: &Situation, report: &Report) -> String {
    let (mut t, s) = into(situation);
    let applied = (report.1)(&mut t, s);
    let state = t.get(s).expect("in use").state;
    if let Applied::State(said) = applied {
        assert_eq!(said, state, "the answer names the state");
    }
    assert_eq!(t.exposure(InstrumentId(0)), t.exposure_recount(InstrumentId(0)));
    format!("{}{}", verdict(applied), name(state))
}

#[test]
fn the_drawn_table_is_what_the_code_does() {
    let mut rows = vec![row("report", &SITUATIONS.map(|s| s.0.to_string()))];
    rows.extend(REPORTS.iter().map(|r| row(r.0, &SITUATIONS.map(|s| of_the_code(&s, r)))));
    let source = include_str!("../order.rs");
    let drawn = source.lines().skip_while(|l| !l.starts_with("//! | report ")).take_while(|l| l.len() > 3);
    let drawn: Vec<&str> = drawn.filter(|l| !l.starts_with("//! |-")).collect();
    let wrong: Vec<&String> = rows.iter().filter(|r| !drawn.contains(&r.as_str())).collect();
    assert!(wrong.is_empty(), "the code would have it drawn so:\n{wrong:#?}");
    assert_eq!(drawn.len(), rows.len(), "rows drawn that no report makes");
}

fn row(name: &str, cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|c| format!("{c:3}")).collect();
    format!("//! | {name:26} | {} |", cells.join(" | "))
}

#[test]
fn every_state_has_its_column_and_is_entered() {
    for state in (0..9).map(OrderState::from_u8) {
        let stands = |s: &Situation| into(s).0.iter().any(|(_, o)| o.state == state);
        assert!(SITUATIONS.iter().any(stands), "{state:?}");
        let enters = |s: &Situation| REPORTS.iter().any(|r| of_the_code(s, r).ends_with(name(state)));
        assert!(SITUATIONS.iter().any(|s| !stands(s) && enters(s)), "{state:?}");
    }
}

/// The picture above the table, and the one beside [`OrderState`], are the same.
#[test]
fn both_crates_show_the_same_picture() {
    let picture = |source: &str, comment: &str| -> Vec<String> {
        let lines = source.lines().map(str::trim_start).filter_map(|l| l.strip_prefix(comment));
        let from_fence = lines.skip_while(|l| !l.contains("```text")).skip(1).map(str::trim_end);
        from_fence.take_while(|l| !l.contains("```")).map(str::to_string).collect()
    };
    let here = picture(include_str!("../order.rs"), "//!");
    let beside = include_str!("../../wire/msg.rs");
    let at = beside.find("/// Life of an order").expect("the doc of OrderState");
    assert!(here.len() > 10);
    assert_eq!(here, picture(&beside[at..], "///"));
}
