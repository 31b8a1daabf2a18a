//! Why a venue refused, in words that are the same for every venue.

/// Why a venue refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum RejectReason {
    /// A rule of the instrument: price, quantity, notional, number of orders.
    Filter = 1,
    /// Too many digits.
    Precision = 2,
    /// The account does not hold enough.
    Balance = 3,
    /// An open order has this identity.
    Duplicate = 4,
    /// A post-only order would take, or a stop would wake at once.
    WouldMatch = 5,
    /// The order does not exist, or no longer.
    UnknownOrder = 6,
    /// The request's time is outside the venue's window.
    Time = 7,
    /// The signature does not fit.
    Signature = 8,
    /// Key, address or account may not do this.
    Permission = 9,
    /// A rate limit is spent.
    Rate = 10,
    /// The address is banned for a while.
    Banned = 11,
    /// The market is closed.
    MarketClosed = 12,
    /// Nobody knows what became of the request.
    UnknownOutcome = 13,
    /// A parameter is wrong, missing or too much: a fault of ours.
    Parameter = 14,
    /// Anything else; the code says more.
    Other = 15,
}

impl RejectReason {
    /// Every reason, in code order.
    pub const ALL: [RejectReason; 15] = [
        RejectReason::Filter,
        RejectReason::Precision,
        RejectReason::Balance,
        RejectReason::Duplicate,
        RejectReason::WouldMatch,
        RejectReason::UnknownOrder,
        RejectReason::Time,
        RejectReason::Signature,
        RejectReason::Permission,
        RejectReason::Rate,
        RejectReason::Banned,
        RejectReason::MarketClosed,
        RejectReason::UnknownOutcome,
        RejectReason::Parameter,
        RejectReason::Other,
    ];

    /// The reason with this code.
    #[inline]
    pub fn from_u8(code: u8) -> Option<RejectReason> {
        Self::ALL.get((code as usize).wrapping_sub(1)).copied()
    }

    /// Position in [`RejectReason::ALL`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    /// Name for counters and reports.
    pub const fn name(self) -> &'static str {
        match self {
            RejectReason::Filter => "filter",
            RejectReason::Precision => "precision",
            RejectReason::Balance => "balance",
            RejectReason::Duplicate => "duplicate",
            RejectReason::WouldMatch => "would_match",
            RejectReason::UnknownOrder => "unknown_order",
            RejectReason::Time => "time",
            RejectReason::Signature => "signature",
            RejectReason::Permission => "permission",
            RejectReason::Rate => "rate",
            RejectReason::Banned => "banned",
            RejectReason::MarketClosed => "market_closed",
            RejectReason::UnknownOutcome => "unknown_outcome",
            RejectReason::Parameter => "parameter",
            RejectReason::Other => "other",
        }
    }

    /// No request of this account can succeed until a person has looked.
    #[inline]
    pub const fn is_ours_to_mend(self) -> bool {
        matches!(self, RejectReason::Signature | RejectReason::Permission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_positions_and_names_their_own() {
        for (i, reason) in RejectReason::ALL.into_iter().enumerate() {
            assert_eq!((reason.index(), RejectReason::from_u8(reason as u8)), (i, Some(reason)));
        }
        assert_eq!((RejectReason::from_u8(0), RejectReason::from_u8(16)), (None, None));
        let names: std::collections::BTreeSet<_> = RejectReason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), RejectReason::ALL.len());
    }
}
