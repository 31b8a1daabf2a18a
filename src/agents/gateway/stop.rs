//! The stop: cancel everything, see twice that nothing is open, read the balances.
//!
//! A pure state machine. It says what to ask next and is told the answers; the gateway owns the connection on
//! which to ask. The same sequence serves a kill, a clean shutdown and the start of a session that finds orders
//! of an earlier life.
//!
//! ```text
//!   Cancelling ──every cancel-all answered──▶ Listing ──empty twice──▶ Balances ──full account──▶ Confirmed
//!       ▲                                        │
//!       └────────── something is still open ─────┘                 past the deadline ──▶ TimedOut
//! ```
//!
//! An empty list proves nothing while an order is out that the venue has never answered: it may sit unread in the
//! venue's own buffers and rest a moment later. The gateway then asks for [`StopSequence::recheck`], until the order
//! is answered or too old for the venue to take.

use wire::Ts;

/// How long an unanswered question waits before it is asked again.
const RETRY_NS: u64 = 500_000_000;
/// Time between two listings while an order is out that the venue has not answered.
const RECHECK_NS: u64 = 100_000_000;
/// Questions asked again in a row without an answer after which the connection is not believed in any more: 2 s.
const REPEATS_MAX: u8 = 4;

/// What to send to the venue now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Cancel-all of the instrument with this index.
    CancelAll(usize),
    /// The open orders of the instrument with this index.
    OpenOrders(usize),
    /// All balances.
    Account,
}

/// How the stop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The venue listed no open order twice, then the balances.
    Confirmed,
    /// The deadline passed first; what is open at the venue is not known.
    TimedOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Cancelling,
    Listing,
    Balances,
    Ended(Outcome),
}

/// One run of the stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopSequence {
    phase: Phase,
    instruments: usize,
    /// Next instrument to ask about in this phase.
    next: usize,
    /// Questions of this phase still unanswered.
    open: usize,
    /// Orders listed in this round.
    listed: usize,
    /// Rounds in a row that listed nothing.
    empties: u8,
    asked: Ts,
    /// How often in a row a question was asked again because nothing was answered.
    repeats: u8,
    /// Nothing is asked before.
    not_before: Ts,
    /// Something was found still open before: cancelling again waits, so that cancels are no blind repeats.
    found: bool,
    pause: bool,
    deadline: Ts,
}

impl StopSequence {
    /// Starts a stop over `instruments` instruments that must end by `deadline`.
    pub fn new(instruments: usize, now: Ts, deadline: Ts) -> StopSequence {
        StopSequence {
            phase: Phase::Cancelling,
            instruments,
            next: 0,
            open: 0,
            listed: 0,
            empties: 0,
            asked: now,
            repeats: 0,
            not_before: now,
            found: false,
            pause: false,
            deadline,
        }
    }

    /// How it ended, `None` while it runs.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.phase {
            Phase::Ended(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// When it gives up.
    pub fn deadline(&self) -> Ts {
        self.deadline
    }

    /// Starts over on a new connection, under the same deadline.
    pub fn restart(&mut self) {
        if self.outcome().is_none() {
            self.empties = 0;
            self.enter(Phase::Cancelling);
        }
    }

    /// The next question, `None` when there is nothing to send now.
    pub fn next(&mut self, now: Ts) -> Option<Ask> {
        if self.outcome().is_some() {
            return None;
        }
        if now >= self.deadline {
            self.phase = Phase::Ended(Outcome::TimedOut);
            return None;
        }
        if std::mem::take(&mut self.pause) {
            self.not_before = now.plus_ns(RECHECK_NS);
        }
        if now < self.not_before {
            return None;
        }
        let questions = if self.phase == Phase::Balances { 1 } else { self.instruments };
        if self.next == questions {
            if self.open == 0 || now.since_ns(self.asked) < RETRY_NS {
                return None;
            }
            self.repeat();
            self.repeats = self.repeats.saturating_add(1);
        }
        let at = self.next;
        self.next += 1;
        self.open += 1;
        self.asked = now;
        Some(match self.phase {
            Phase::Cancelling => Ask::CancelAll(at),
            Phase::Listing => Ask::OpenOrders(at),
            _ => Ask::Account,
        })
    }

    /// Whether what was asked has gone unanswered for so long that the connection must be dead, whatever it looks like.
    /// Says so once: the next connection has as long.
    pub fn gives_up_connection(&mut self) -> bool {
        let dead = self.repeats >= REPEATS_MAX;
        if dead {
            self.repeats = 0;
        }
        dead
    }

    /// There is no connection to ask on: only the deadline can move this stop.
    pub fn expire(&mut self, now: Ts) -> Option<Ask> {
        if self.outcome().is_none() && now >= self.deadline {
            self.phase = Phase::Ended(Outcome::TimedOut);
        }
        None
    }

    /// The last question could not be sent: ask this phase's questions again after the usual wait.
    pub fn repeat_later(&mut self, now: Ts) {
        self.next = if self.phase == Phase::Balances { 1 } else { self.instruments };
        self.open = 1;
        self.asked = now;
    }

    /// The connection on which the questions went out is gone: ask again from the start of this phase.
    pub fn repeat(&mut self) {
        self.next = 0;
        self.open = 0;
        self.listed = 0;
    }

    /// A cancel-all was answered. Refusals count as answers: whether anything is left is for the listing to say.
    pub fn on_cancel_all_done(&mut self) {
        self.repeats = 0;
        if self.phase == Phase::Cancelling && self.answered() {
            self.enter(Phase::Listing);
        }
    }

    /// The venue listed `n` open orders of one instrument.
    pub fn on_open_orders(&mut self, n: usize) {
        self.repeats = 0;
        if self.phase != Phase::Listing {
            return;
        }
        self.listed += n;
        if !self.answered() {
            return;
        }
        if self.listed > 0 {
            self.empties = 0;
            self.pause = std::mem::replace(&mut self.found, true);
            self.enter(Phase::Cancelling);
        } else {
            self.empties += 1;
            self.enter(if self.empties < 2 { Phase::Listing } else { Phase::Balances });
        }
    }

    /// An order is out that the venue has not answered: empty lists so far prove nothing. Lists again after a while.
    pub fn recheck(&mut self, now: Ts) {
        if matches!(self.phase, Phase::Listing | Phase::Balances) {
            self.empties = 0;
            self.not_before = now.plus_ns(RECHECK_NS);
            self.enter(Phase::Listing);
        }
    }

    /// The venue listed all balances; `true` when this stop waits for them, and they say what is held with nothing
    /// open. A question that was slow is asked again, and its second answer is of a time when orders trade again.
    pub fn on_account(&mut self) -> bool {
        let awaited = self.phase == Phase::Balances && self.open > 0;
        if awaited {
            self.phase = Phase::Ended(Outcome::Confirmed);
        }
        awaited
    }

    fn answered(&mut self) -> bool {
        self.open = self.open.saturating_sub(1);
        self.open == 0 && self.next == self.instruments
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.repeat();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn stop() -> StopSequence {
        StopSequence::new(1, Ts(0), Ts(5_000 * MS))
    }

    #[test]
    fn cancels_then_sees_nothing_twice_then_reads_balances() {
        let mut s = stop();
        assert_eq!(s.next(Ts(1)), Some(Ask::CancelAll(0)));
        assert_eq!(s.next(Ts(2)), None);
        s.on_cancel_all_done();
        assert_eq!(s.next(Ts(3)), Some(Ask::OpenOrders(0)));
        s.on_open_orders(0);
        assert_eq!(s.next(Ts(4)), Some(Ask::OpenOrders(0)));
        assert_eq!(s.outcome(), None);
        s.on_open_orders(0);
        assert!(!s.on_account(), "nobody has asked");
        assert_eq!(s.next(Ts(5)), Some(Ask::Account));
        assert!(s.on_account());
        assert_eq!(s.outcome(), Some(Outcome::Confirmed));
        assert_eq!(s.next(Ts(6)), None);
        assert!(!s.on_account(), "the answer to a question that was asked twice");
    }

    #[test]
    fn what_is_still_open_is_cancelled_again() {
        let mut s = stop();
        s.next(Ts(1));
        s.on_cancel_all_done();
        s.next(Ts(1));
        s.on_open_orders(0);
        s.next(Ts(1));
        s.on_open_orders(3);
        assert_eq!(s.next(Ts(2)), Some(Ask::CancelAll(0)));
        s.on_cancel_all_done();
        s.next(Ts(2));
        s.on_open_orders(1);
        assert_eq!(s.next(Ts(2)), None, "not as a blind repeat");
        let later = Ts(2 + RECHECK_NS);
        assert_eq!(s.next(later), Some(Ask::CancelAll(0)));
        s.on_cancel_all_done();
        for _ in 0..2 {
            assert_eq!(s.next(later), Some(Ask::OpenOrders(0)));
            s.on_open_orders(0);
        }
        assert_eq!(s.next(later), Some(Ask::Account));
    }

    #[test]
    fn silence_is_asked_again_until_the_deadline() {
        let mut s = stop();
        assert_eq!(s.next(Ts(0)), Some(Ask::CancelAll(0)));
        assert_eq!(s.next(Ts(499 * MS)), None);
        assert_eq!(s.next(Ts(500 * MS)), Some(Ask::CancelAll(0)));
        assert_eq!(s.next(Ts(5_000 * MS)), None);
        assert_eq!(s.outcome(), Some(Outcome::TimedOut));
    }

    #[test]
    fn a_connection_that_answers_nothing_is_given_up_and_one_that_is_slow_is_not() {
        let mut s = stop();
        for round in 0..4 {
            assert!(s.next(Ts(round * 500 * MS)).is_some() && !s.gives_up_connection(), "{round}");
        }
        assert!(s.next(Ts(2_000 * MS)).is_some() && s.gives_up_connection());
        assert!(!s.gives_up_connection(), "the next one has as long");
        let mut s = stop();
        for round in 0..8 {
            assert!(s.next(Ts(round * 500 * MS)).is_some() && !s.gives_up_connection(), "{round}");
            if round == 3 {
                s.on_cancel_all_done();
            }
        }
    }

    #[test]
    fn a_new_connection_starts_over_and_keeps_the_deadline() {
        let mut s = stop();
        s.next(Ts(0));
        s.on_cancel_all_done();
        s.next(Ts(1));
        s.on_open_orders(0);
        s.restart();
        assert_eq!(s.next(Ts(2)), Some(Ask::CancelAll(0)));
        s.on_cancel_all_done();
        for _ in 0..2 {
            assert_eq!(s.next(Ts(3)), Some(Ask::OpenOrders(0)), "what was empty before counts for nothing");
            s.on_open_orders(0);
        }
        assert_eq!(s.next(Ts(4)), Some(Ask::Account));
        assert_eq!((s.deadline(), s.next(Ts(5_000 * MS))), (Ts(5_000 * MS), None));
        s.restart();
        assert_eq!(s.outcome(), Some(Outcome::TimedOut), "an end is an end");
    }

    #[test]
    fn an_order_without_an_answer_makes_empty_lists_prove_nothing() {
        let mut s = stop();
        s.next(Ts(1));
        s.on_cancel_all_done();
        for round in 1..=5 {
            let now = Ts(round * 100 * MS);
            assert_eq!(s.next(now), Some(Ask::OpenOrders(0)));
            s.on_open_orders(0);
            s.recheck(now);
            assert_eq!(s.next(now.plus_ns(99 * MS)), None);
        }
        // It has rested meanwhile.
        assert_eq!(s.next(Ts(600 * MS)), Some(Ask::OpenOrders(0)));
        s.on_open_orders(1);
        s.recheck(Ts(600 * MS));
        assert_eq!(s.next(Ts(601 * MS)), Some(Ask::CancelAll(0)));
        s.on_cancel_all_done();
        for now in [602, 603] {
            assert_eq!(s.next(Ts(now * MS)), Some(Ask::OpenOrders(0)));
            s.on_open_orders(0);
        }
        assert_eq!(s.next(Ts(604 * MS)), Some(Ask::Account));
    }

    #[test]
    fn every_instrument_is_asked_about() {
        let mut s = StopSequence::new(2, Ts(0), Ts(1_000 * MS));
        assert_eq!(s.next(Ts(0)), Some(Ask::CancelAll(0)));
        s.on_cancel_all_done();
        assert_eq!(s.next(Ts(0)), Some(Ask::CancelAll(1)));
        s.on_cancel_all_done();
        assert_eq!(s.next(Ts(0)), Some(Ask::OpenOrders(0)));
        assert_eq!(s.next(Ts(0)), Some(Ask::OpenOrders(1)));
        s.on_open_orders(0);
        s.on_open_orders(1);
        assert_eq!(s.next(Ts(0)), Some(Ask::CancelAll(0)), "one of two had an order left");
    }
}
