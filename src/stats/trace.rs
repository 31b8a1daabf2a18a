//! The order trace: one row per order slot, telling when an order passed each stage.
//!
//! ```text
//! row (16 words)   0 client cycle   1 client ts   2 cause   3 recv   4 parsed   5 signal   6 risk
//!                  7 sent           8 acked       9 state   10..16 zero
//! ```
//!
//! Columns, not rows, have writers: oms writes most, the gateway those of the send. A slot is used again when
//! its order is done, so a row mixes an old order with a new one until every column has been written anew.
//! [`OrderTrace`] sorts that out by time: the row's order passed the gate at `risk`; what claims to follow but
//! is earlier, or to precede but is later, belongs to another order and is left out.

use crate::cells::Cell;
use crate::layout::ORDER_WORDS;
use rings::{Ordering, Words};
use wire::{OrderState, Slot, Ts};

/// A column of the order trace. Times are [`Ts`] in ns, 0 = not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Field {
    /// Gateway duty cycle stamped into the client order id.
    ClientCycle = 0,
    /// Time stamped into the client order id.
    ClientTs = 1,
    /// Market-ring sequence (low 32 bits) of the event that caused the order.
    Cause = 2,
    /// The event's bytes became visible.
    RecvNs = 3,
    /// The event was parsed and published.
    ParsedNs = 4,
    /// The strategy decided.
    SignalNs = 5,
    /// The risk gate let it pass. The column that makes a row belong to an order.
    RiskNs = 6,
    /// Its bytes were handed to the kernel.
    SentNs = 7,
    /// The venue's answer became visible.
    AckedNs = 8,
    /// Code of an [`OrderState`].
    State = 9,
}

impl Field {
    /// All columns in order.
    pub const ALL: [Field; 10] = [
        Field::ClientCycle,
        Field::ClientTs,
        Field::Cause,
        Field::RecvNs,
        Field::ParsedNs,
        Field::SignalNs,
        Field::RiskNs,
        Field::SentNs,
        Field::AckedNs,
        Field::State,
    ];

    pub(crate) fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// Labels of the columns, in order.
pub(crate) const LABELS: [&str; Field::ALL.len()] = [
    "client_cycle",
    "client_ns",
    "cause",
    "recv_ns",
    "parsed_ns",
    "signal_ns",
    "risk_ns",
    "sent_ns",
    "acked_ns",
    "state",
];

const _: () = assert!(Field::ALL.len() <= ORDER_WORDS);

/// The writing end of some columns of the order trace.
#[derive(Debug)]
pub struct TraceWriter {
    cell: Cell,
    rows: usize,
    columns: u16,
}

impl TraceWriter {
    pub(crate) fn new(cell: Cell, rows: usize, columns: u16) -> TraceWriter {
        TraceWriter { cell, rows, columns }
    }

    /// Stores one cell. About 2 ns. Returns `false`, and stores nothing, when the slot is beyond the table
    /// or the column is another writer's.
    #[inline]
    pub fn set(&self, slot: Slot, field: Field, value: u64) -> bool {
        let row = slot.0 as usize;
        let may = row < self.rows && self.columns & field.bit() != 0;
        if may {
            self.cell.store(row * ORDER_WORDS + field as usize, value);
        }
        may
    }

    /// Order slots that the table covers.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// Reads single rows, for whoever takes the place of a gateway that is gone.
#[derive(Clone, Debug)]
pub struct TraceReader {
    table: Words,
    rows: usize,
}

impl TraceReader {
    pub(crate) fn new(table: Words, rows: usize) -> TraceReader {
        TraceReader { table, rows }
    }

    /// The row of a slot; `None` when no order ever had it, or it is beyond the table.
    pub fn order(&self, slot: Slot) -> Option<OrderTrace> {
        let row = slot.0 as usize;
        (row < self.rows).then(|| OrderTrace::read(&self.table, row)).flatten()
    }
}

/// One order as its row tells it. `None` = this order has not come that far, or the cell is another order's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderTrace {
    /// The order slot.
    pub slot: Slot,
    /// Gateway duty cycle stamped into the client order id; with `client_ts`.
    pub client_cycle: Option<u64>,
    /// Time stamped into the client order id.
    pub client_ts: Option<Ts>,
    /// Market-ring sequence (low 32 bits) of the event that caused it.
    pub cause: u32,
    /// The event's bytes became visible.
    pub recv: Option<Ts>,
    /// The event was parsed and published.
    pub parsed: Option<Ts>,
    /// The strategy decided.
    pub signal: Option<Ts>,
    /// The risk gate let it pass.
    pub risk: Ts,
    /// Its bytes were handed to the kernel.
    pub sent: Option<Ts>,
    /// The venue's answer became visible.
    pub acked: Option<Ts>,
    /// State as oms last knew it.
    pub state: OrderState,
}

impl OrderTrace {
    /// Reads a row; `None` when no order ever had it.
    pub(crate) fn read(table: &Words, row: usize) -> Option<OrderTrace> {
        let word =
            |field: Field| table.get(row * ORDER_WORDS + field as usize, Ordering::Acquire).unwrap_or(0);
        let risk = word(Field::RiskNs);
        if risk == 0 {
            return None;
        }
        let before = |field| Some(word(field)).filter(|ns| (1..=risk).contains(ns)).map(Ts);
        let after = |field| Some(word(field)).filter(|ns| *ns >= risk).map(Ts);
        let client_ts = after(Field::ClientTs);
        Some(OrderTrace {
            slot: Slot(row as u32),
            client_cycle: client_ts.map(|_| word(Field::ClientCycle)),
            client_ts,
            cause: word(Field::Cause) as u32,
            recv: before(Field::RecvNs),
            parsed: before(Field::ParsedNs),
            signal: before(Field::SignalNs),
            risk: Ts(risk),
            sent: after(Field::SentNs),
            acked: after(Field::AckedNs),
            state: OrderState::from_u8(u8::try_from(word(Field::State)).unwrap_or(u8::MAX)),
        })
    }

    /// What each stage cost, ns, in order: parse, decide, gate, send, answer. `None` where an end is missing.
    pub fn stages_ns(&self) -> [Option<u64>; 5] {
        let cost = |from: Option<Ts>, to: Option<Ts>| to?.0.checked_sub(from?.0);
        [
            cost(self.recv, self.parsed),
            cost(self.parsed, self.signal),
            cost(self.signal, Some(self.risk)),
            cost(Some(self.risk), self.sent),
            cost(self.sent, self.acked),
        ]
    }

    /// From visible bytes to bytes handed to the kernel, ns.
    pub fn tick_to_order_ns(&self) -> Option<u64> {
        self.sent?.0.checked_sub(self.recv?.0)
    }
}

/// Names of [`OrderTrace::stages_ns`].
pub const STAGES: [&str; 5] = ["parse", "decide", "gate", "send", "answer"];
