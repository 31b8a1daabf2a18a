//! What a simulated venue does wrong on purpose.

/// Faults on demand; all off by default. Counts run from 1 over the life of the venue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimFaults {
    /// The n-th `executionReport` of a trade sent to a client carries a wrong last and cumulative quantity (one lot too
    /// many); the venue's ledger keeps the truth.
    pub corrupt_fill: Option<u64>,
    /// The n-th reply to `order.place` is not sent; the order and its events are real.
    pub drop_ack_nth: Option<u64>,
    /// The n-th `executionReport` is not sent.
    pub drop_report_nth: Option<u64>,
    /// The n-th `executionReport` is sent twice.
    pub duplicate_report_nth: Option<u64>,
    /// The n-th market message is not sent: a gap when it is a depth update.
    pub drop_market_nth: Option<u64>,
    /// Events of an order leave before the reply to the request that caused them.
    pub events_before_reply: bool,
    /// The n-th `executionReport` leaves after the one that follows it.
    pub swap_report_nth: Option<u64>,
    /// Events of the account leave so much later, ms; replies do not.
    pub account_delay_ms: u64,
    /// Events of the account are lost, while connection and subscription stay: executions happen unheard.
    pub account_stream_down: bool,
    /// The n-th request to place an order (cancel-replace and lists included) is answered with an unknown outcome.
    pub unknown_outcome: Option<UnknownOutcome>,
    /// The connection of the n-th request of the WebSocket API is closed instead of an answer.
    pub disconnect: Option<Disconnect>,
    /// Each of these is sent, as an extra frame, right before the n-th market message.
    pub garbage_frames: Vec<Garbage>,
}

/// An answer that leaves the fate of an order open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownOutcome {
    /// Which request.
    pub nth: u64,
    /// Whether it was carried out.
    pub executed: bool,
    /// -1006 (status 500) rather than -1007 (status 504).
    pub unexpected: bool,
}

/// A connection that ends at a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Which request.
    pub nth: u64,
    /// Whether it was carried out.
    pub executed: bool,
}

/// One bad frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage {
    /// Before which market message.
    pub nth: u64,
    /// What is wrong with it.
    pub kind: GarbageKind,
}

/// What is wrong with a bad frame; each is made from the good frame it precedes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GarbageKind {
    /// The first half of the good frame.
    TruncatedJson,
    /// Text that is not JSON.
    NotJson,
    /// The first number is `NaN`.
    PriceNan,
    /// The first number is `-1`.
    PriceNegative,
    /// The first number is `1e400`.
    PriceExponent,
    /// The first number has 40 digits.
    PriceFortyDigits,
    /// An object of an event type that does not exist.
    UnknownEvent,
    /// No bytes at all.
    Empty,
}

impl GarbageKind {
    /// All of them.
    pub const ALL: [GarbageKind; 8] = [
        GarbageKind::TruncatedJson,
        GarbageKind::NotJson,
        GarbageKind::PriceNan,
        GarbageKind::PriceNegative,
        GarbageKind::PriceExponent,
        GarbageKind::PriceFortyDigits,
        GarbageKind::UnknownEvent,
        GarbageKind::Empty,
    ];

    /// The bad frame that precedes `good`.
    pub(super) fn spoil(self, good: &[u8]) -> Vec<u8> {
        let number = match self {
            GarbageKind::TruncatedJson => return good[..good.len() / 2].to_vec(),
            GarbageKind::NotJson => return b"<html>502 Bad Gateway</html>".to_vec(),
            GarbageKind::UnknownEvent => {
                return br#"{"stream":"!x","data":{"e":"noSuchEvent","E":1}}"#.to_vec();
            }
            GarbageKind::Empty => return Vec::new(),
            GarbageKind::PriceNan => b"NaN".as_slice(),
            GarbageKind::PriceNegative => b"-1",
            GarbageKind::PriceExponent => b"1e400",
            GarbageKind::PriceFortyDigits => b"9999999999999999999999999999999999999999",
        };
        match first_decimal(good) {
            Some((from, to)) => [&good[..from], number, &good[to..]].concat(),
            None => number.to_vec(),
        }
    }
}

/// What the counters of the faults have reached.
#[derive(Default)]
pub(super) struct FaultState {
    pub(super) faults: SimFaults,
    acks: u64,
    placements: u64,
    requests: u64,
    reports: u64,
    trade_reports: u64,
    market: u64,
}

impl FaultState {
    pub(super) fn new(faults: SimFaults) -> FaultState {
        FaultState { faults, ..FaultState::default() }
    }

    /// Counts a reply to `order.place`; whether it is withheld.
    pub(super) fn withholds_ack(&mut self) -> bool {
        self.acks += 1;
        self.faults.drop_ack_nth == Some(self.acks)
    }

    /// Counts a request to place orders; how it leaves its outcome open, if it does.
    pub(super) fn outcome_unknown(&mut self) -> Option<UnknownOutcome> {
        self.placements += 1;
        self.faults.unknown_outcome.filter(|u| u.nth == self.placements)
    }

    /// Counts a request of the WebSocket API; how its connection ends, if it does.
    pub(super) fn disconnects(&mut self) -> Option<Disconnect> {
        self.requests += 1;
        self.faults.disconnect.filter(|d| d.nth == self.requests)
    }

    /// Whether the report just counted lets the next one pass.
    pub(super) fn swaps_report(&self) -> bool {
        self.faults.swap_report_nth == Some(self.reports)
    }

    /// Counts an execution report; how often it is sent.
    pub(super) fn report_copies(&mut self) -> usize {
        self.reports += 1;
        if self.faults.drop_report_nth == Some(self.reports) {
            0
        } else if self.faults.duplicate_report_nth == Some(self.reports) {
            2
        } else {
            1
        }
    }

    /// Counts an execution report of a trade; whether its quantities are wrong.
    pub(super) fn corrupts_fill(&mut self) -> bool {
        self.trade_reports += 1;
        self.faults.corrupt_fill == Some(self.trade_reports)
    }

    /// Market messages so far, those withheld included.
    pub(super) fn market_messages(&self) -> u64 {
        self.market
    }

    /// Counts a market message: the bad frames before it, and whether it is sent.
    pub(super) fn market_message(&mut self) -> (impl Iterator<Item = GarbageKind> + '_, bool) {
        self.market += 1;
        let nth = self.market;
        let garbage = self.faults.garbage_frames.iter().filter(move |g| g.nth == nth).map(|g| g.kind);
        (garbage, self.faults.drop_market_nth != Some(nth))
    }
}

/// The first quoted decimal number (`"61737.63"`), without its quotes.
fn first_decimal(frame: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    while let Some(open) = frame[at..].iter().position(|b| *b == b'"').map(|i| at + i + 1) {
        let close = open + frame[open..].iter().position(|b| *b == b'"')?;
        let text = &frame[open..close];
        if text.contains(&b'.') && text.iter().all(|b| b.is_ascii_digit() || *b == b'.') {
            return Some((open, close));
        }
        at = close + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_frame_is_spoiled_at_its_first_number() {
        let good = br#"{"stream":"btcusdt@trade","data":{"e":"trade","p":"1.50","q":"2.00"}}"#;
        assert_eq!(
            GarbageKind::PriceNan.spoil(good),
            br#"{"stream":"btcusdt@trade","data":{"e":"trade","p":"NaN","q":"2.00"}}"#
        );
        assert_eq!(GarbageKind::TruncatedJson.spoil(good), good[..good.len() / 2]);
        assert_eq!(GarbageKind::PriceExponent.spoil(b"{}"), b"1e400");
        for kind in GarbageKind::ALL {
            assert_ne!(kind.spoil(good), good);
        }
    }

    #[test]
    fn counts_run_from_one() {
        let garbage = Garbage { nth: 2, kind: GarbageKind::NotJson };
        let mut state = FaultState::new(SimFaults {
            drop_ack_nth: Some(2),
            corrupt_fill: Some(1),
            drop_market_nth: Some(3),
            garbage_frames: vec![garbage, garbage],
            drop_report_nth: Some(1),
            duplicate_report_nth: Some(2),
            ..SimFaults::default()
        });
        assert_eq!(
            [state.withholds_ack(), state.withholds_ack(), state.withholds_ack()],
            [false, true, false]
        );
        assert_eq!([state.corrupts_fill(), state.corrupts_fill()], [true, false]);
        assert_eq!([state.report_copies(), state.report_copies(), state.report_copies()], [0, 2, 1]);
        let seen: Vec<(usize, bool)> = (0..3)
            .map(|_| {
                let (garbage, sent) = state.market_message();
                (garbage.count(), sent)
            })
            .collect();
        assert_eq!(seen, [(0, true), (2, true), (0, false)]);
    }
}
