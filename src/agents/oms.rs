//! The oms agent: rings on every side, [`Oms`] between.

use std::sync::{Arc, Mutex, PoisonError};

use agent::{Agent, Clock, Cycle, RingId};
use kill::KillView;
use orders::AMOUNT_DECIMALS;
use rtrb::Producer as Listing;
use stats::boards::{PositionBoard, PositionWriter};
use wire::{AssetId, Decimal, Kind, Msg, OrderState, Slot, Ts};

use crate::apart::{Away, Member, Standing};
use crate::controls::{ControlWord, Controls, Listed, OpenOrderLine};
use crate::meters::{OmsLevels, OmsMeters};
use crate::oms::{Halt, Oms, OmsInputs, OmsPort};
use crate::tape::{RingIn, RingOut, Tape, Word, channel};

/// Rings and words of the oms agent.
pub struct OmsPorts {
    /// Market data for the gate, and its number in the interleaving record.
    pub market: (RingIn, RingId),
    /// Intents, and their number.
    pub signals: (RingIn, RingId),
    /// Reports, and their number.
    pub reports: (RingIn, RingId),
    /// Orders to the gateway.
    pub orders: RingOut,
    /// Updates to the strategy.
    pub updates: RingOut,
    /// The kill epoch: an early out, the gateway has the last word.
    pub kill: KillView,
    /// Mode and progress words.
    pub controls: Controls,
    /// Statistics.
    pub meters: OmsMeters,
    /// One board an instrument, for observers.
    pub boards: Vec<PositionWriter>,
    /// Clock of the stage stamps (statistics only).
    pub stage: Clock,
    /// Its end of the journal.
    pub tape: Tape,
}

/// One asset at the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetLine {
    /// Asset number.
    pub asset: AssetId,
    /// What the ledger expects, 16 decimals.
    pub expected: i128,
    /// What the venue said last in a full answer: free, locked at 8 decimals.
    pub venue: Option<(i64, i64)>,
    /// Venue minus expected, 16 decimals.
    pub difference: Option<i128>,
    /// Fees paid, 8 decimals.
    pub fees: i128,
}

/// One instrument at the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionLine {
    /// Symbol.
    pub symbol: String,
    /// Base asset number.
    pub base: AssetId,
    /// Quote asset number.
    pub quote: AssetId,
    /// Position, base mantissa.
    pub position: i64,
    /// Decimals of the position.
    pub qty_decimals: u8,
    /// Decimals of the profit figures.
    pub notional_decimals: u8,
    /// Realised profit before fees.
    pub realised: i128,
    /// Unrealised profit at the last mid, `None` without one.
    pub unrealised: Option<i128>,
}

/// What the oms knows when it closes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OmsFinal {
    /// Orders that could still trade.
    pub open_orders: u32,
    /// Why trading was off.
    pub halt: String,
    /// Assets.
    pub assets: Vec<AssetLine>,
    /// Positions.
    pub positions: Vec<PositionLine>,
    /// The legs of every asset sum to zero.
    pub ledger_balances: bool,
}

impl AssetLine {
    /// The difference for people.
    pub fn difference_text(&self) -> String {
        match self.difference {
            None => "the venue's balance is not known".into(),
            Some(d) => Decimal { mantissa: d, decimals: AMOUNT_DECIMALS }.to_string(),
        }
    }
}

struct Port {
    orders: RingOut,
    updates: RingOut,
    meters: OmsMeters,
    stage: Clock,
    tape: Tape,
    /// Updates that the strategy's ring could not take.
    updates_lost: u64,
    /// Who is there: nothing is said to one who is not.
    standing: Standing,
}

impl OmsPort for Port {
    #[inline]
    fn send_new(&mut self, mut msg: Msg) -> bool {
        if self.standing.is_away(Member::Gateway) {
            return false;
        }
        let warm_up = msg.kind() == Some(Kind::SendWarmUp);
        // A ring that is not emptied is kept for orders and cancels.
        if warm_up && !self.orders.has_room(self.orders.capacity() / 2 + 1) {
            return false;
        }
        let at = self.stage.now();
        let unstamped = msg.to_words();
        msg.venue_seq = at.0 as u32;
        let sent = self.orders.push_as(msg.to_words(), &unstamped).is_ok();
        // The trace is of orders.
        if sent && !warm_up {
            self.meters.passed(Slot(msg.body[2] as u32), msg.cause(), at);
        }
        sent
    }

    fn send_new_run(&mut self, mut head: Msg, tail: Msg) -> bool {
        if self.standing.is_away(Member::Gateway) {
            return false;
        }
        let at = self.stage.now();
        let (unstamped, tail_words) = (head.to_words(), tail.to_words());
        head.venue_seq = at.0 as u32;
        let run = [head.to_words(), tail_words];
        let sent = self.orders.push_run_as(&run, &[unstamped, tail_words]).is_ok();
        if sent {
            self.meters.passed(Slot(head.body[2] as u32), head.cause(), at);
            if head.kind() == Some(Kind::SendPair) {
                self.meters.passed(Slot(tail.body[2] as u32), head.cause(), at);
            }
        }
        sent
    }

    #[inline]
    fn send(&mut self, msg: Msg) -> bool {
        !self.standing.is_away(Member::Gateway) && self.orders.push(msg.to_words()).is_ok()
    }

    #[inline]
    fn update(&mut self, msg: Msg) {
        if !self.standing.is_away(Member::Strategy) {
            self.updates_lost += self.updates.push(msg.to_words()).is_err() as u64;
        }
    }

    #[inline]
    fn state(&mut self, slot: Slot, state: OrderState) {
        self.meters.state(slot, state);
    }

    #[inline]
    fn acked(&mut self, slot: Slot) {
        self.meters.acked(slot, self.stage.now());
    }

    #[inline]
    fn timer(&mut self) {
        self.tape.mark();
    }
}

/// The oms agent.
pub struct OmsAgent {
    oms: Oms,
    market: (RingIn, RingId),
    signals: (RingIn, RingId),
    reports: (RingIn, RingId),
    port: Port,
    boards: Vec<PositionWriter>,
    kill: KillView,
    tripped: Word,
    controls: Controls,
    control: Word,
    journal: Word,
    standing: Word,
    /// The standing that was last acted on.
    present: Standing,
    /// What this agent was told, read once a cycle.
    word: ControlWord,
    /// The change of mode that was last said to be followed.
    heard: u32,
    /// Why trading was off when it was last said.
    halt: Halt,
    listing: Option<Listing<Listed>>,
    open_orders: u32,
    last: Arc<Mutex<Option<OmsFinal>>>,
}

impl OmsAgent {
    /// Puts an oms agent together; what it knows at the end is written to `last`.
    pub fn new(oms: Oms, ports: OmsPorts, last: Arc<Mutex<Option<OmsFinal>>>) -> OmsAgent {
        OmsAgent {
            oms,
            market: ports.market,
            signals: ports.signals,
            reports: ports.reports,
            port: Port {
                orders: ports.orders,
                updates: ports.updates,
                meters: ports.meters,
                stage: ports.stage,
                tape: ports.tape.clone(),
                updates_lost: 0,
                standing: Standing::default(),
            },
            boards: ports.boards,
            kill: ports.kill,
            tripped: Word::new(&ports.tape, channel::KILL),
            control: Word::new(&ports.tape, channel::CONTROL),
            journal: Word::new(&ports.tape, channel::JOURNAL),
            standing: Word::new(&ports.tape, channel::STANDING),
            present: Standing::default(),
            word: ControlWord::default(),
            heard: 0,
            halt: Halt::None,
            listing: ports.controls.take_listing_writer(),
            controls: ports.controls,
            open_orders: 0,
            last,
        }
    }

    #[cold]
    fn on_word(&mut self, word: ControlWord) {
        let asked = self.word.listing() != word.listing();
        self.word = word;
        if asked {
            self.list(word.listing());
        }
    }

    /// Somebody has gone or come.
    #[cold]
    fn on_standing(&mut self, standing: Standing) {
        if standing.joins(Member::Strategy) != self.port.standing.joins(Member::Strategy) {
            self.port.updates_lost = 0; // one who is new has missed nothing
        }
        self.port.standing = standing;
    }

    /// Whether a gateway has come. Nobody comes before the departure of the one before has been acted on, so the reports that
    /// wait are its own: it may have opened its session while this thread had no core.
    #[cold]
    fn is_new_gateway(&self, standing: Standing) -> bool {
        let gateway = standing.of(Member::Gateway);
        matches!(gateway, Away::Here(_)) && gateway != self.present.of(Member::Gateway)
    }

    /// Lists the open orders for whoever asked; one who does not read gets what there is room for, counted.
    fn list(&mut self, number: u16) {
        let Some(listing) = &mut self.listing else { return };
        let mut left_out = 0;
        for (_, order) in self.oms.table().iter().filter(|(_, order)| order.state.is_open()) {
            let line = OpenOrderLine {
                id: order.id,
                instrument: order.instrument,
                side: order.side,
                px: order.px,
                qty: order.qty,
                filled: order.filled,
                state: order.state,
                ts_new: order.ts_new,
            };
            // The last place is for the end.
            let room = listing.slots() > 1 && listing.push(Listed::Order(line)).is_ok();
            left_out += !room as u32;
        }
        let _ = listing.push(Listed::End { number, left_out });
    }

    fn levels(&self) -> OmsLevels {
        let mut levels = OmsLevels {
            open_orders: self.open_orders as i64,
            trading: self.oms.halt() == crate::oms::Halt::None,
            ..OmsLevels::default()
        };
        for i in self.oms.instruments() {
            let Some(p) = self.oms.ledger().position(i.id) else { continue };
            levels.position = p.base;
            levels.realised = p.realised;
            levels.unrealised = self.oms.mark(i.id).and_then(|m| p.unrealised(m)).unwrap_or(0);
        }
        levels
    }

    fn publish(&mut self, now: Ts) {
        let levels = self.levels();
        self.port.meters.publish(&self.oms.counts, &levels);
        for (writer, i) in self.boards.iter_mut().zip(self.oms.instruments()) {
            let Some(p) = self.oms.ledger().position(i.id) else { continue };
            writer.publish(&PositionBoard {
                position: p.base,
                realised: p.realised,
                unrealised: self.oms.mark(i.id).and_then(|m| p.unrealised(m)).unwrap_or(0),
                open_orders: self.open_orders,
                ts: now,
                trading: levels.trading,
            });
        }
    }

    fn summary(&self) -> OmsFinal {
        let ledger = self.oms.ledger();
        let assets = self.oms.venue_balances().iter().enumerate().map(|(i, venue)| {
            let asset = AssetId(i as u16);
            AssetLine {
                asset,
                expected: ledger.expected_balance(asset),
                venue: venue.map(|b| (b.free, b.locked)),
                difference: venue.map(|b| ledger.difference(asset, b.free, b.locked)),
                fees: ledger.fees(asset),
            }
        });
        let positions = self.oms.instruments().filter_map(|i| {
            let p = ledger.position(i.id)?;
            Some(PositionLine {
                symbol: i.symbol.clone(),
                base: i.base_id,
                quote: i.quote_id,
                position: p.base,
                qty_decimals: i.qty_decimals,
                notional_decimals: i.notional_decimals(),
                realised: p.realised,
                unrealised: self.oms.mark(i.id).and_then(|m| p.unrealised(m)),
            })
        });
        OmsFinal {
            open_orders: self.oms.open_orders(),
            halt: self.oms.halt().name().to_string(),
            assets: assets.collect(),
            positions: positions.collect(),
            ledger_balances: ledger.check().is_ok(),
        }
    }
}

impl Agent for OmsAgent {
    fn name(&self) -> &str {
        "oms"
    }

    fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
        let word = ControlWord(self.control.see(self.controls.word().0));
        if word != self.word {
            self.on_word(word);
        }
        // From here on nothing goes to one who is gone; what he said before that is heard first.
        let standing = Standing(self.standing.see(self.controls.standing().0));
        if standing != self.port.standing {
            self.on_standing(standing);
        }
        let mut inputs = OmsInputs {
            now: cycle.now(),
            killed: self.tripped.see(self.kill.is_tripped() as u64) != 0,
            mode: word.mode(),
            change: word.change(),
            updates_lost: self.port.updates_lost > 0,
            unrecorded: self.journal.see(self.port.tape.fault_code() as u64) != 0,
            standing,
        };
        if standing != self.present && self.is_new_gateway(standing) {
            self.oms.on_standing(standing, inputs.now, &mut self.port);
            self.present = standing;
            self.controls.publish_standing_heard(standing);
        }
        let (mut markets, mut intents, mut reports) = (0u32, 0u32, 0u32);
        while (reports as usize) < Cycle::LIMIT {
            let Some((_, words)) = self.reports.0.pop() else { break };
            reports += 1;
            self.oms.on_report(&Msg::from_words(words), inputs.now, &mut self.port);
        }
        while (markets as usize) < 2 * Cycle::LIMIT {
            let Some((_, words)) = self.market.0.pop() else { break };
            markets += 1;
            self.oms.on_market(&Msg::from_words(words));
        }
        let all_heard = (reports as usize) < Cycle::LIMIT;
        if !all_heard {
            inputs.standing = self.present;
        }
        self.oms.on_cycle(&inputs, &mut self.port);
        if standing != self.present && all_heard {
            self.present = standing;
            self.controls.publish_standing_heard(standing);
        }
        if self.heard != word.change() && !self.oms.is_withdrawing() {
            self.heard = word.change();
            self.controls.publish_oms_heard(self.heard);
        }
        if self.halt != self.oms.halt() {
            self.halt = self.oms.halt();
            self.controls.publish_halt(self.halt);
        }
        while (intents as usize) < Cycle::LIMIT {
            let Some((_, words)) = self.signals.0.pop() else { break };
            intents += 1;
            let intent = Msg::from_words(words);
            if standing.hears(intent.source) {
                self.oms.on_intent(&intent, &inputs, &mut self.port);
            } else {
                self.oms.counts.refused_away += 1;
            }
        }
        cycle.consumed(self.reports.1, reports);
        cycle.consumed(self.market.1, markets);
        cycle.consumed(self.signals.1, intents);
        let open = self.oms.open_orders();
        if open != self.open_orders {
            self.open_orders = open;
            self.controls.publish_orders_open(open);
        }
        if self.port.meters.due(inputs.now) {
            self.publish(inputs.now);
        }
        (reports + markets + intents) as usize
    }

    fn on_close(&mut self, now: Ts) {
        // What the venue said last is still to be heard, whoever stopped first; no more than the ring holds, for the
        // gateway may not be done.
        let mut heard = 0;
        for _ in 0..self.reports.0.capacity() {
            let Some((_, words)) = self.reports.0.pop() else { break };
            self.oms.on_report(&Msg::from_words(words), now, &mut self.port);
            heard += 1;
        }
        if heard > 0 {
            self.port.tape.took(self.reports.1.0 as u8, heard);
        }
        self.publish(now);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.summary());
    }
}
