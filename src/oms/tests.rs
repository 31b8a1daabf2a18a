//! The oms through a port that remembers: every word out for every word in.

mod doubt;
mod members;
mod pools;

use risk::{Limits, LimitsSpec, Reject};
use wire::{NotSent, OrderType, Side, VenueId};

use super::*;

const NOW: Ts = Ts(1_000_000_000_000);
const MS: u64 = 1_000_000;
const ID: InstrumentId = InstrumentId(0);
/// What the account holds when the session opens: base and quote, 8 decimals.
const OPENING: [i64; 2] = [10_00000000, 1_000_000_00000000];

/// Remembers what the oms said, and can be as full as a ring.
#[derive(Default)]
struct Said {
    new: Vec<Msg>,
    sent: Vec<Msg>,
    updates: Vec<Msg>,
    states: Vec<(u32, OrderState)>,
    acked: Vec<u32>,
    full: bool,
}

impl OmsPort for Said {
    fn send_new(&mut self, msg: Msg) -> bool {
        if !self.full {
            self.new.push(msg);
        }
        !self.full
    }

    fn send_new_run(&mut self, head: Msg, tail: Msg) -> bool {
        if !self.full {
            self.new.extend([head, tail]);
        }
        !self.full
    }

    fn send(&mut self, msg: Msg) -> bool {
        if !self.full {
            self.sent.push(msg);
        }
        !self.full
    }

    fn update(&mut self, msg: Msg) {
        self.updates.push(msg);
    }

    fn state(&mut self, slot: Slot, state: OrderState) {
        self.states.push((slot.0, state));
    }

    fn acked(&mut self, slot: Slot) {
        self.acked.push(slot.0);
    }
}

fn instrument() -> Instrument {
    Instrument {
        id: ID,
        venue: VenueId(0),
        symbol: "BTCUSDT".into(),
        base: "BTC".into(),
        quote: "USDT".into(),
        base_id: AssetId(0),
        quote_id: AssetId(1),
        px_decimals: 2,
        qty_decimals: 5,
        quote_decimals: 8,
        tick: Px(10),
        px_min: Px(20),
        px_max: Px(2_000_000),
        lot: Qty(5),
        qty_min: Qty(10),
        qty_max: Qty(100_000),
        notional_min: 500_000,
        open_orders_max: 200,
        market_qty: Default::default(),
        band_buy: Default::default(),
        band_sell: Default::default(),
        trading: true,
    }
}

fn gate() -> Gate {
    let spec = LimitsSpec {
        order_qty_max: 1_000,
        order_notional_max: 90_000_000,
        position_max: 2_000,
        position_notional_max: 190_000_000,
        open_orders_max: 5,
        collar_mid_bps: 500,
        collar_touch_bps: 100,
        order_rate_per_s: 100,
        order_burst: 100,
        data_age_max_us: 10_000_000,
        intent_age_max_us: 10_000,
    };
    Gate::new(Limits::new(spec).expect("sound limits"), &instrument()).expect("sound rules")
}

/// An oms and its time.
struct Bench {
    oms: Oms,
    said: Said,
    now: Ts,
    mode: Mode,
    change: u32,
    killed: bool,
    updates_lost: bool,
    standing: Standing,
}

/// How long after it was sent the venue may still take an order.
const LATE_MAX_MS: u64 = 3_000;

impl Bench {
    /// Session down, nothing known.
    fn cold() -> Bench {
        let oms = Oms::new(vec![(instrument(), gate())], 2, 8, LATE_MAX_MS * MS).expect("an oms");
        let (mode, change) = (Mode::Normal, 0);
        Bench {
            oms,
            said: Said::default(),
            now: NOW,
            mode,
            change,
            killed: false,
            updates_lost: false,
            standing: Standing::default(),
        }
    }

    /// In sync, funded, trading.
    fn trading() -> Bench {
        let mut b = Bench::cold();
        b.market();
        b.balances(OPENING);
        b.session(true, true);
        b.pass(1);
        assert_eq!(b.oms.halt(), Halt::None);
        b.said = Said::default();
        b
    }

    fn market(&mut self) {
        let state = Msg::new(Kind::BookState, ID, self.now).body([BookState::InSync as i64, 0, 0, 0]);
        self.oms.on_market(&state);
        self.oms.on_market(&Msg::new(Kind::Top, ID, self.now).body([10_000, 50_000, 10_010, 50_000]));
    }

    fn inputs(&self) -> OmsInputs {
        OmsInputs {
            standing: self.standing,
            now: self.now,
            killed: self.killed,
            mode: self.mode,
            change: self.change,
            updates_lost: self.updates_lost,
            unrecorded: false,
        }
    }

    /// Changes the mode, as often as there are modes, before the oms looks.
    fn enter(&mut self, modes: &[Mode]) {
        for mode in modes {
            self.mode = *mode;
            self.change += 1;
        }
    }

    /// Lets time pass in steps of a ms.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now = self.now.plus_ns(MS);
            let inputs = self.inputs();
            self.oms.on_cycle(&inputs, &mut self.said);
        }
    }

    fn intent(&mut self, kind: Kind, id: u64, side: Side, px: i64, qty: i64) {
        let flags = if side == Side::Sell { flag::SELL } else { 0 };
        let msg =
            Msg::new(kind, ID, self.now).flags(flags).body([px, qty, id as i64, Msg::pack_cause(7, 5_000)]);
        let inputs = self.inputs();
        self.oms.on_intent(&msg, &inputs, &mut self.said);
    }

    /// An intent of two slots: a buy of 100 at `px` with `id`, and the tail's words.
    fn two(&mut self, kind: Kind, how: OrderType, id: u64, px: i64, tail: [i64; 3]) {
        let cause = Msg::pack_cause(7, 5_000);
        let head = Msg::new(kind, ID, self.now).body([px, 100, id as i64, cause]).with_order_type(how);
        let tail = [tail[0], tail[1], tail[2], 0];
        let tail = Msg::new(Kind::IntentTail, ID, self.now).flags(flag::END).body(tail);
        let inputs = self.inputs();
        self.oms.on_intent(&head, &inputs, &mut self.said);
        self.oms.on_intent(&tail, &inputs, &mut self.said);
    }

    fn buy(&mut self, id: u64) {
        self.intent(Kind::IntentNew, id, Side::Buy, 10_000, 100);
    }

    fn cancel(&mut self, id: u64) {
        self.intent(Kind::IntentCancel, id, Side::Buy, 0, 0);
    }

    fn report(&mut self, kind: Kind, slot: u32, body: [i64; 3]) {
        let msg =
            Msg::new(kind, ID, self.now).flags(flag::END).body([body[0], body[1], slot as i64, body[2]]);
        self.oms.on_report(&msg, self.now, &mut self.said);
    }

    /// An execution of `qty` that brings its order to `cum`, at 100.00, for a fee of a thousandth of the base.
    fn fill(&mut self, slot: u32, qty: i64, cum: i64) {
        let first = Msg::new(Kind::Fill, ID, self.now).body([10_000, qty, slot as i64, 500 + cum]);
        let second = Msg::new(Kind::FillFee, ID, self.now).flags(flag::END).body([qty, 0, cum, 77]);
        self.oms.on_report(&first, self.now, &mut self.said);
        self.oms.on_report(&second, self.now, &mut self.said);
    }

    fn session(&mut self, up: bool, none_open: bool) {
        let msg = Msg::new(Kind::Session, ID, self.now).body([up as i64, none_open as i64, 0, 0]);
        self.oms.on_report(&msg, self.now, &mut self.said);
    }

    fn balances(&mut self, free: [i64; 2]) {
        for (i, free) in free.into_iter().enumerate() {
            let end = if i == 1 { flag::END } else { 0 };
            let msg = Msg::new(Kind::Balance, ID, self.now).flags(end).body([free, 0, i as i64, 1]);
            self.oms.on_report(&msg, self.now, &mut self.said);
        }
    }

    fn query(&mut self, slot: u32, status: QueryStatus, cum: i64) {
        self.report(Kind::QueryResult, slot, [status as i64, 900, cum]);
    }

    /// The last order state that the strategy was told of this order, and why.
    fn told(&self, id: u64) -> Option<(OrderState, i64)> {
        let mut of = self.said.updates.iter().rev();
        let last = of.find(|m| m.kind() == Some(Kind::Order) && m.body[2] as u64 == id)?;
        Some((OrderState::from_u8(last.body[0] as u8), last.body[3]))
    }

    fn kinds_sent(&self) -> Vec<Kind> {
        self.said.sent.iter().filter_map(Msg::kind).collect()
    }

    fn position(&self) -> i64 {
        self.oms.ledger().position(ID).map_or(0, |p| p.base)
    }

    /// An order that rests at the venue, in slot 0.
    fn resting(id: u64) -> Bench {
        let mut b = Bench::trading();
        b.buy(id);
        b.report(Kind::Sent, 0, [1, 0, 0]);
        b.report(Kind::Acked, 0, [0, 900, 0]);
        assert_eq!(b.told(id), Some((OrderState::Live, 0)));
        b
    }
}

fn gate_reason(reject: Reject) -> i64 {
    reason::GATE + reject.index() as i64
}

#[test]
fn what_the_gate_refuses_reaches_the_strategy_with_its_reason() {
    let mut b = Bench::cold();
    b.buy(1);
    assert_eq!(b.told(1), Some((OrderState::Rejected, gate_reason(Reject::TradingOff))));
    let mut b = Bench::trading();
    b.intent(Kind::IntentNew, 1, Side::Buy, 10_005, 100);
    b.intent(Kind::IntentNew, 2, Side::Buy, 10_000, 1_005);
    b.intent(Kind::IntentNew, 3, Side::Sell, 9_000, 100);
    b.killed = true;
    b.buy(4);
    let reasons: Vec<_> = (1..=4).map(|id| b.told(id)).collect();
    let rejected = |reject| Some((OrderState::Rejected, gate_reason(reject)));
    assert_eq!(
        reasons,
        [
            rejected(Reject::Tick { px: 0, tick: 0 }),
            rejected(Reject::OrderQty { qty: 0, max: 0 }),
            rejected(Reject::CollarMid { px: 0, max_bps: 0 }),
            rejected(Reject::Killed)
        ]
    );
    assert_eq!((b.oms.counts.intents, b.oms.counts.orders, b.said.new.len()), (4, 0, 0));
    assert_eq!(b.oms.counts.gate.iter().sum::<u64>(), 4);
    assert_eq!(b.oms.open_orders(), 0);
}

#[test]
fn an_order_goes_out_with_its_slot_and_comes_back_filled() {
    let mut b = Bench::trading();
    b.buy(41);
    let out = b.said.new[0];
    assert_eq!((out.kind(), out.body[0], out.body[1], out.body[2]), (Some(Kind::SendNew), 10_000, 100, 0));
    assert_eq!((out.cause(), out.ttl_us()), (7, 5_000));
    b.report(Kind::Sent, 0, [1, 0, 0]);
    b.report(Kind::Acked, 0, [0, 900, 0]);
    assert_eq!((b.said.acked.as_slice(), b.oms.counts.acked), ([0].as_slice(), 1));
    b.fill(0, 40, 40);
    assert_eq!((b.told(41), b.position()), (Some((OrderState::PartiallyFilled, 0)), 40));
    let own = b.said.updates.iter().rfind(|m| m.kind() == Some(Kind::OwnFill)).expect("told of the fill");
    assert_eq!(own.body, [10_000, 40, 41, 40]);
    b.fill(0, 40, 40);
    assert_eq!((b.position(), b.oms.counts.duplicates), (40, 1), "the second connection says it too");
    b.fill(0, 60, 100);
    assert_eq!((b.told(41), b.position()), (Some((OrderState::Filled, 0)), 100));
    let counts = b.oms.counts;
    assert_eq!((counts.fills, counts.filled, counts.conflicts, b.oms.open_orders()), (2, 1, 0, 0));
    // 100 × 10⁻⁵ base at 100.00 for 0.1 quote; the fee of 100 × 10⁻⁸ base.
    let expected = |asset| b.oms.ledger().expected_balance(AssetId(asset)) / 100_000_000;
    assert_eq!(expected(0), (OPENING[0] + 100_000 - 100) as i128);
    assert_eq!(expected(1), (OPENING[1] - 10_000_000) as i128);
    assert!(b.oms.ledger().check().is_ok());
    b.fill(0, 60, 100);
    assert_eq!((b.position(), b.oms.counts.late), (100, 1), "after the slot is free");
}

#[test]
fn full_rings_and_tables_refuse_and_leave_nothing_behind() {
    let mut b = Bench::trading();
    b.said.full = true;
    b.buy(1);
    assert_eq!(b.told(1), Some((OrderState::Rejected, reason::ORDER_RING_FULL)));
    assert_eq!((b.oms.open_orders(), b.oms.counts.orders, b.oms.counts.refused_other), (0, 0, 1));
    b.said.full = false;
    b.buy(2);
    b.buy(2);
    assert_eq!(b.told(2), Some((OrderState::Rejected, reason::TABLE)), "an id lives once");
    assert_eq!((b.said.new.len(), b.oms.open_orders()), (1, 1));
    // A cancel that finds the ring full is offered again when there is room.
    b.report(Kind::Acked, 1, [0, 900, 0]);
    b.said.full = true;
    b.cancel(2);
    b.pass(50);
    b.said.full = false;
    assert!(b.said.sent.is_empty());
    b.pass(100);
    assert_eq!(b.kinds_sent(), [Kind::SendCancel]);
}

#[test]
fn what_the_gateway_did_not_send_ends_with_its_reason() {
    let mut b = Bench::trading();
    b.buy(1);
    b.report(Kind::NotSent, 0, [NotSent::Aged as i64, 0, 0]);
    assert_eq!(b.told(1), Some((OrderState::Rejected, reason::NOT_SENT + NotSent::Aged as i64)));
    assert_eq!((b.oms.open_orders(), b.oms.counts.not_sent), (0, 1));
    b.buy(2);
    b.report(Kind::Sent, 1, [1, 0, 0]);
    b.report(Kind::Rejected, 1, [-2010, 0, 0]);
    assert_eq!((b.told(2), b.oms.counts.rejected), (Some((OrderState::Rejected, -2010)), 1));
}

#[test]
fn a_cancel_that_could_not_leave_is_offered_again() {
    let mut b = Bench::resting(1);
    b.cancel(1);
    b.cancel(1);
    assert_eq!(b.kinds_sent(), [Kind::SendCancel], "one cancel at a time");
    assert_eq!(b.said.states.last(), Some(&(0, OrderState::CancelPending)));
    b.report(Kind::NotSent, 0, [NotSent::RateLimited as i64, 1, 0]);
    b.pass(99);
    assert_eq!(b.said.sent.len(), 1);
    b.pass(11);
    assert_eq!(b.kinds_sent(), [Kind::SendCancel; 2]);
    b.report(Kind::Cancelled, 0, [0, 900, 0]);
    assert_eq!((b.told(1), b.oms.counts.cancelled), (Some((OrderState::Cancelled, 0)), 1));
    b.pass(3_000);
    assert_eq!(b.said.sent.len(), 2, "and then no more");
}

#[test]
fn a_lost_cancel_is_found_out_and_sent_anew() {
    let mut b = Bench::resting(1);
    b.cancel(1);
    b.pass(1_010);
    assert_eq!(b.kinds_sent(), [Kind::SendCancel, Kind::SendQuery]);
    b.query(0, QueryStatus::Open, 0);
    b.pass(110);
    assert_eq!(b.kinds_sent(), [Kind::SendCancel, Kind::SendQuery, Kind::SendCancel]);
    assert_eq!(b.oms.halt(), Halt::None, "an order whose cancel was lost is known");
}

#[test]
fn a_refused_cancel_is_asked_about() {
    let mut b = Bench::resting(1);
    b.cancel(1);
    b.report(Kind::CancelRejected, 0, [-2011, 0, 0]);
    assert_eq!((b.told(1), b.oms.counts.cancel_rejected), (Some((OrderState::Live, -2011)), 1));
    b.pass(110);
    assert_eq!(b.kinds_sent(), [Kind::SendCancel, Kind::SendQuery]);
    b.query(0, QueryStatus::Filled, 100);
    assert_eq!(b.told(1), Some((OrderState::Unknown, 0)), "filled, but how is not known");
    b.fill(0, 100, 100);
    assert_eq!((b.told(1), b.position()), (Some((OrderState::Filled, 0)), 100));
}

#[test]
fn a_cancel_refused_over_and_over_does_not_put_off_the_question() {
    // As after an account stream that ended unheard: the order has gone, and every cancel is refused at once.
    let mut b = Bench::resting(1);
    for _ in 0..11 {
        b.cancel(1);
        b.report(Kind::CancelRejected, 0, [-2011, 0, 0]);
        b.pass(10);
    }
    assert_eq!(b.kinds_sent().iter().filter(|k| **k == Kind::SendQuery).count(), 1);
    // Nor do cancels that are refused, or cannot leave, by turns.
    let mut b = Bench::resting(1);
    for _ in 0..13 {
        b.cancel(1);
        b.report(Kind::CancelRejected, 0, [-2011, 0, 0]);
        b.cancel(1);
        b.report(Kind::NotSent, 0, [NotSent::RateLimited as i64, 1, 0]);
        b.pass(101);
        b.report(Kind::CancelRejected, 0, [-2011, 0, 0]);
    }
    assert!(b.kinds_sent().contains(&Kind::SendQuery), "{:?}", b.kinds_sent());
}

#[test]
fn silence_makes_an_order_unknown_and_trading_waits_for_the_answer() {
    let mut b = Bench::trading();
    b.buy(1);
    b.report(Kind::Sent, 0, [1, 0, 0]);
    b.pass(1_010);
    assert_eq!((b.told(1), b.oms.counts.unknown), (Some((OrderState::Unknown, 0)), 1));
    assert_eq!((b.kinds_sent(), b.oms.halt()), (vec![Kind::SendQuery], Halt::UnknownOrder));
    let off = b.said.updates.iter().rfind(|m| m.kind() == Some(Kind::Trading)).expect("told");
    assert_eq!(off.body[..2], [0, Halt::UnknownOrder as i64]);
    b.market();
    b.buy(2);
    assert_eq!(b.told(2), Some((OrderState::Rejected, gate_reason(Reject::TradingOff))));
    b.pass(500);
    assert_eq!(b.said.sent.len(), 2, "asked again");
    // A question that fails is no reason to ask the next at once.
    b.report(Kind::Unknown, 0, [-1007, 0, 0]);
    assert_eq!(b.said.sent.len(), 2);
    // The venue has not found it, and may still take it: it stays unknown until that cannot be any more.
    b.query(0, QueryStatus::NotFound, 0);
    b.pass(1);
    assert_eq!((b.told(1).map(|t| t.0), b.oms.open_orders()), (Some(OrderState::Unknown), 1));
    assert_eq!((b.oms.halt(), b.oms.table().exposure(ID).open_buy_qty), (Halt::UnknownOrder, 100));
    b.pass(LATE_MAX_MS - 1_511 - 1);
    assert_eq!(b.said.sent.len(), 3, "asked with patience");
    b.query(0, QueryStatus::NotFound, 0);
    assert_eq!(b.told(1).map(|t| t.0), Some(OrderState::Unknown));
    b.pass(11);
    assert_eq!(b.said.sent.len(), 4, "and once more when it is over");
    b.query(0, QueryStatus::NotFound, 0);
    assert_eq!(b.told(1), Some((OrderState::Rejected, 0)));
    b.pass(1);
    assert_eq!((b.oms.halt(), b.oms.open_orders()), (Halt::None, 0));
}

#[test]
fn an_order_that_the_venue_takes_late_was_never_given_up() {
    let mut b = Bench::trading();
    b.buy(1);
    b.report(Kind::Sent, 0, [1, 0, 0]);
    // A timeout at the venue is asked about at once.
    b.report(Kind::Unknown, 0, [-1007, 0, 0]);
    assert_eq!(b.kinds_sent(), [Kind::SendQuery]);
    b.query(0, QueryStatus::NotFound, 0);
    b.pass(1);
    assert_eq!((b.told(1).map(|t| t.0), b.oms.halt()), (Some(OrderState::Unknown), Halt::UnknownOrder));
    b.pass(1_000);
    b.report(Kind::Acked, 0, [0, 900, 0]);
    b.pass(1);
    assert_eq!((b.told(1), b.oms.halt()), (Some((OrderState::Live, 0)), Halt::None));
    let asked = b.said.sent.len();
    b.pass(5_000);
    assert_eq!((b.said.sent.len(), b.kinds_sent()[asked - 1]), (asked, Kind::SendQuery), "and it stays");
}

#[test]
fn a_lost_session_stops_trading_and_a_new_one_asks_about_what_is_open() {
    let mut b = Bench::resting(1);
    b.buy(2);
    b.session(false, false);
    b.pass(1);
    assert_eq!(b.told(2).map(|t| t.0), Some(OrderState::Unknown), "sent, and nobody has answered");
    assert_eq!(b.told(1).map(|t| t.0), Some(OrderState::Live));
    assert_eq!(b.oms.halt(), Halt::Session);
    b.buy(3);
    assert_eq!(b.told(3), Some((OrderState::Rejected, gate_reason(Reject::TradingOff))));
    b.said.sent.clear();
    b.balances(OPENING);
    b.session(true, true);
    assert_eq!(b.kinds_sent(), [Kind::SendQuery; 2], "the venue listed nothing: both are asked about");
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Balances, "not compared while an order is open");
    b.query(0, QueryStatus::Cancelled, 0);
    b.pass(LATE_MAX_MS);
    b.query(1, QueryStatus::NotFound, 0);
    b.pass(1);
    assert_eq!((b.oms.halt(), b.oms.open_orders()), (Halt::None, 0));
}

#[test]
fn balances_that_differ_after_recovery_keep_trading_off() {
    let mut b = Bench::trading();
    b.session(false, false);
    b.balances([OPENING[0] + 1, OPENING[1]]);
    b.session(true, true);
    b.pass(1);
    assert_eq!((b.oms.halt(), b.oms.halt().name()), (Halt::Differs, "balances_differ"));
    b.balances(OPENING);
    b.pass(10);
    assert_eq!(b.oms.halt(), Halt::Differs, "a person must look");
    // An asset that a full answer leaves out is zero.
    let mut b = Bench::trading();
    let msg = Msg::new(Kind::Balance, ID, b.now).flags(flag::END).body([OPENING[0], 0, 0, 1]);
    b.oms.on_report(&msg, b.now, &mut b.said);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Differs);
    assert_eq!(b.oms.venue_balances()[1], Some(VenueBalance { free: 0, locked: 0 }));
}

#[test]
fn contradictions_stop_for_good() {
    let mut b = Bench::resting(1);
    b.fill(0, 200, 200);
    b.pass(1);
    assert_eq!((b.oms.halt(), b.oms.counts.conflicts, b.position()), (Halt::Conflict, 1, 0));
    let mut b = Bench::resting(1);
    b.fill(0, 60, 60);
    b.fill(0, 60, 90);
    b.pass(1);
    assert_eq!((b.oms.halt(), b.position()), (Halt::Conflict, 60), "overlapping executions");
    let mut b = Bench::resting(1);
    let first = Msg::new(Kind::Fill, ID, b.now).body([10_000, 100, 0, 501]);
    let second = Msg::new(Kind::FillFee, ID, b.now).body([5, 99, 100, 77]);
    b.oms.on_report(&first, b.now, &mut b.said);
    b.oms.on_report(&second, b.now, &mut b.said);
    b.pass(1);
    assert_eq!(
        (b.oms.halt(), b.oms.counts.ledger_errors),
        (Halt::Ledger, 1),
        "a fee in an asset nobody knows"
    );
    assert!(b.oms.ledger().check().is_ok(), "nothing is half posted");
}

#[test]
fn every_reason_to_stop_has_its_name() {
    let mut b = Bench::cold();
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Session);
    b.session(true, true);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Balances);
    let mut b = Bench::resting(1);
    b.enter(&[Mode::Quiesce]);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Quiesce);
    b.report(Kind::Unknown, 0, [-1007, 0, 0]);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::UnknownOrder, "what holds a stop up is more telling than the stop");
    b.updates_lost = true;
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Updates);
    b.killed = true;
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Killed);
    for halt in Halt::ALL {
        assert_eq!(Halt::from_u8(halt as u8), halt, "as an operator is told");
    }
}

#[test]
fn cancel_all_cancels_what_is_open() {
    let mut b = Bench::resting(1);
    b.buy(2);
    b.intent(Kind::IntentCancelAll, 0, Side::Buy, 0, 0);
    assert_eq!(b.kinds_sent(), [Kind::SendCancel; 2]);
    let slots: Vec<i64> = b.said.sent.iter().map(|m| m.body[2]).collect();
    assert_eq!(slots, [0, 1]);
    b.intent(Kind::Order, 0, Side::Buy, 0, 0);
    assert_eq!(b.oms.counts.refused_other, 1, "not an intent");
}

#[test]
fn listings_that_are_not_dense_are_refused() {
    let other = Instrument { id: InstrumentId(1), ..instrument() };
    let refused = Oms::new(vec![(other, gate())], 2, 8, 0).map(|_| ());
    assert!(matches!(refused, Err(OmsError::Dense { id: 1, expected: 0, .. })));
}

#[test]
fn executions_missed_with_the_session_are_listed_and_booked_once() {
    let mut b = Bench::resting(1);
    b.fill(0, 10, 10);
    b.said.sent.clear();
    b.session(false, false);
    b.pass(1);
    assert_eq!(b.oms.halt(), Halt::Session);
    // A new session: nothing rests, and the order is asked about.
    b.balances([10_00090000, OPENING[1] - 10_00000000]);
    b.session(true, true);
    assert_eq!(b.kinds_sent(), [Kind::SendQuery]);
    b.query(0, QueryStatus::Filled, 100);
    b.pass(1);
    assert_eq!((b.told(1), b.oms.halt()), (Some((OrderState::Unknown, 0)), Halt::Balances));
    b.pass(110);
    let asked = *b.said.sent.last().expect("asked for what is missing");
    assert_eq!((asked.kind(), asked.body), (Some(Kind::SendTrades), [0, 900, 0, 0]));
    // The first page: one execution is known; the next begins behind it.
    b.fill(0, 10, 10);
    b.fill(0, 30, 40);
    b.report(Kind::TradesListed, 0, [1, 541, 0]);
    let next = *b.said.sent.last().expect("the next page");
    assert_eq!((next.kind(), next.body), (Some(Kind::SendTrades), [541, 900, 0, 0]));
    b.fill(0, 60, 100);
    b.report(Kind::TradesListed, 0, [0, 601, 0]);
    assert_eq!((b.told(1), b.position()), (Some((OrderState::Filled, 0)), 100));
    assert_eq!((b.oms.counts.fills, b.oms.counts.duplicates, b.oms.open_orders()), (3, 1, 0));
    // Late word of the stream: known.
    b.fill(0, 60, 100);
    assert_eq!(b.position(), 100);
    let sent = b.said.sent.len();
    b.pass(1_200);
    assert_eq!(b.said.sent.len(), sent, "nothing is left to ask");
}

#[test]
fn what_nobody_answers_is_asked_ever_more_seldom() {
    let mut b = Bench::resting(1);
    b.session(false, false);
    b.session(true, true);
    b.said.sent.clear();
    let mut asked = Vec::new();
    for ms in 1..=12_000u32 {
        b.pass(1);
        if !b.said.sent.is_empty() {
            asked.push(ms);
            b.said.sent.clear();
        }
    }
    let gaps: Vec<u32> = asked.windows(2).map(|pair| (pair[1] - pair[0]).div_ceil(100) * 100).collect();
    assert!(gaps.len() >= 3 && gaps.is_sorted() && gaps.last() == Some(&4_000), "{asked:?}");
    // An answer that settles it, and the next time begins anew.
    b.query(0, QueryStatus::Open, 0);
    b.session(true, true);
    b.said.sent.clear();
    b.pass(600);
    assert_eq!(b.kinds_sent(), [Kind::SendQuery]);
}

#[test]
fn an_open_order_that_executed_unseen_is_completed() {
    let mut b = Bench::resting(1);
    b.query(0, QueryStatus::Open, 30);
    assert_eq!(b.told(1), Some((OrderState::Unknown, 0)));
    b.pass(110);
    assert_eq!(b.kinds_sent(), [Kind::SendTrades]);
    b.fill(0, 30, 30);
    assert_eq!((b.position(), b.told(1)), (30, Some((OrderState::PartiallyFilled, 0))));
    b.pass(600);
    b.query(0, QueryStatus::Open, 30);
    let sent = b.said.sent.len();
    b.pass(1_200);
    assert_eq!(b.said.sent.len(), sent);
}

#[test]
fn a_replacement_counts_both_orders_and_leaves_the_old_one_when_it_is_refused() {
    let mut b = Bench::resting(1);
    b.said.new.clear();
    b.two(Kind::IntentReplace, OrderType::Limit, 2, 9_990, [0, 0, 1]);
    let [head, tail] = b.said.new[..] else { panic!("{:?}", b.said.new) };
    assert_eq!((head.kind(), head.body[..3].to_vec()), (Some(Kind::SendReplace), vec![9_990, 100, 1]));
    assert_eq!((tail.kind(), tail.body[2]), (Some(Kind::SendTail), 0));
    assert_eq!(b.oms.table().exposure(ID).open_buy_qty, 200, "either may fill");
    assert_eq!(b.oms.table().get(Slot(0)).map(|o| o.state), Some(OrderState::CancelPending));
    // Done: the new one lives, the old one goes by its own report.
    b.report(Kind::Sent, 1, [1, 0, 0]);
    b.report(Kind::Acked, 1, [0, 901, 0]);
    b.report(Kind::Cancelled, 0, [0, 900, 0]);
    assert_eq!((b.told(1), b.told(2)), (Some((OrderState::Cancelled, 0)), Some((OrderState::Live, 0))));
    assert_eq!(b.oms.open_orders(), 1);
    // Cancelled, and the new one refused.
    b.two(Kind::IntentReplace, OrderType::PostOnly, 3, 10_000, [0, 0, 2]);
    b.report(Kind::Rejected, 2, [-2010, 0, 0]);
    b.report(Kind::Cancelled, 1, [0, 901, 0]);
    assert_eq!((b.told(3), b.oms.open_orders()), (Some((OrderState::Rejected, -2010)), 0));
    // Neither half: the old one rests on, and is asked about.
    let mut b = Bench::resting(1);
    b.two(Kind::IntentReplace, OrderType::Limit, 2, 9_990, [0, 0, 1]);
    b.report(Kind::CancelRejected, 0, [-2011, 0, 0]);
    b.report(Kind::Rejected, 1, [-2022, 0, 0]);
    assert_eq!(
        (b.told(1), b.told(2)),
        (Some((OrderState::Live, -2011)), Some((OrderState::Rejected, -2022)))
    );
    b.pass(110);
    assert_eq!(b.kinds_sent(), [Kind::SendQuery]);
    // Neither answered: both are unknown, and both are open risk.
    let mut b = Bench::resting(1);
    b.two(Kind::IntentReplace, OrderType::Limit, 2, 9_990, [0, 0, 1]);
    b.report(Kind::Unknown, 0, [-1007, 0, 0]);
    b.report(Kind::Unknown, 1, [-1007, 0, 0]);
    b.pass(1);
    assert_eq!((b.oms.halt(), b.oms.table().exposure(ID).open_buy_qty), (Halt::UnknownOrder, 200));
}

#[test]
fn what_cannot_be_replaced_is_refused_and_stays() {
    let mut b = Bench::resting(1);
    b.said.new.clear();
    let why = |b: &Bench, id| b.told(id).map(|t| t.1);
    b.two(Kind::IntentReplace, OrderType::Limit, 2, 9_990, [0, 0, 77]);
    assert_eq!(why(&b, 2), Some(reason::NOT_REPLACEABLE));
    // Both would be too much together: 2 000 is the most.
    b.two(Kind::IntentReplace, OrderType::Limit, 3, 9_995, [0, 0, 1]);
    assert_eq!(why(&b, 3), Some(gate_reason(Reject::Tick { px: 0, tick: 0 })));
    b.said.full = true;
    b.two(Kind::IntentReplace, OrderType::Limit, 4, 9_990, [0, 0, 1]);
    assert_eq!(why(&b, 4), Some(reason::ORDER_RING_FULL));
    assert_eq!((b.said.new.len(), b.oms.open_orders()), (0, 1));
    assert_eq!(b.oms.table().get(Slot(0)).map(|o| o.state), Some(OrderState::Live));
    b.said.full = false;
    b.cancel(1);
    b.two(Kind::IntentReplace, OrderType::Limit, 5, 9_990, [0, 0, 1]);
    assert_eq!(why(&b, 5), Some(reason::NOT_REPLACEABLE), "its cancel is on the way");
}

#[test]
fn a_pair_is_taken_whole_counted_whole_and_ends_by_report() {
    let mut b = Bench::trading();
    // Buys: the profit is below the market, the stop above it.
    b.two(Kind::IntentPair, OrderType::PostOnly, 1, 9_990, [10_050, 10_060, 2]);
    let [head, tail] = b.said.new[..] else { panic!("{:?}", b.said.new) };
    assert_eq!((head.kind(), head.order_type()), (Some(Kind::SendPair), Some(OrderType::PostOnly)));
    assert_eq!((tail.kind(), tail.body), (Some(Kind::SendTail), [10_050, 10_060, 1, 0]));
    let open = b.oms.table().exposure(ID);
    assert_eq!((open.open_orders, open.open_buy_qty), (2, 200));
    for slot in [0, 1] {
        b.report(Kind::Sent, slot, [1, 0, 0]);
        b.report(Kind::Acked, slot, [0, 900 + slot as i64, 0]);
    }
    b.fill(0, 100, 100);
    b.report(Kind::Expired, 1, [0, 901, 0]);
    assert_eq!((b.told(1), b.told(2)), (Some((OrderState::Filled, 0)), Some((OrderState::Expired, 0))));
    assert_eq!((b.position(), b.oms.open_orders()), (100, 0));
    // A leg that the gate refuses takes the other with it.
    b.said.new.clear();
    b.two(Kind::IntentPair, OrderType::PostOnly, 3, 9_990, [10_005, 10_060, 4]);
    b.two(Kind::IntentPair, OrderType::PostOnly, 5, 10_010, [10_050, 10_060, 6]);
    b.two(Kind::IntentPair, OrderType::Limit, 7, 9_990, [10_050, 10_060, 8]);
    let refused = |reject| Some((OrderState::Rejected, gate_reason(reject)));
    for id in [3, 4] {
        assert_eq!(b.told(id), refused(Reject::Tick { px: 0, tick: 0 }));
    }
    for id in [5, 6] {
        assert_eq!(b.told(id), refused(Reject::WouldCross { px: 0, touch_px: 0 }));
    }
    assert_eq!(b.told(8), Some((OrderState::Rejected, reason::TABLE)));
    assert_eq!((b.said.new.len(), b.oms.open_orders()), (0, 0));
}

#[test]
fn a_stop_waits_with_its_price_beside_it() {
    let mut b = Bench::trading();
    b.two(Kind::IntentNew, OrderType::StopLimit, 1, 10_060, [10_050, 0, 0]);
    let [head, tail] = b.said.new[..] else { panic!("{:?}", b.said.new) };
    assert_eq!((head.kind(), head.order_type()), (Some(Kind::SendNew), Some(OrderType::StopLimit)));
    assert_eq!((head.body[2], tail.body[0]), (0, 10_050));
    b.two(Kind::IntentNew, OrderType::StopLimit, 2, 10_010, [10_000, 0, 0]);
    let refused = Some((OrderState::Rejected, gate_reason(Reject::StopSide { px: 0, touch_px: 0 })));
    assert_eq!((b.told(2), b.oms.open_orders()), (refused, 1));
}
