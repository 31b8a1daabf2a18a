//! What the oms counted.

use risk::Reject;

/// What the oms counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OmsCounts {
    /// Intents received.
    pub intents: u64,
    /// Orders that passed the gate and went to the gateway.
    pub orders: u64,
    /// Orders acknowledged.
    pub acked: u64,
    /// Orders refused by the venue.
    pub rejected: u64,
    /// Orders cancelled.
    pub cancelled: u64,
    /// Orders ended otherwise.
    pub expired: u64,
    /// Orders filled whole.
    pub filled: u64,
    /// Executions booked.
    pub fills: u64,
    /// Reports known before.
    pub duplicates: u64,
    /// Reports for orders that had ended.
    pub late: u64,
    /// Times that an order became unknown.
    pub unknown: u64,
    /// Orders and cancels that the gateway refused.
    pub not_sent: u64,
    /// Cancels that the venue refused.
    pub cancel_rejected: u64,
    /// Questions asked about orders.
    pub queries: u64,
    /// Reports that contradict others, or exceed the order.
    pub conflicts: u64,
    /// Bookings that the ledger refused.
    pub ledger_errors: u64,
    /// Intents refused because table or ring were full, or malformed.
    pub refused_other: u64,
    /// Intents of a strategy that was not, or no longer, the one that is heard.
    pub refused_away: u64,
    /// Warm-ups that passed the gate.
    pub warm_ups: u64,
    /// Warm-ups that it, or a full ring, did not let through.
    pub warm_ups_refused: u64,
    /// Intents refused by the gate, by [`Reject::index`].
    pub gate: [u64; Reject::NAMES.len()],
}
