//! How an order trades: one word instead of flags that contradict each other.

/// How an order trades.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OrderType {
    /// At its price or better; what is left rests until it is cancelled.
    #[default]
    Limit = 0,
    /// At its price or better at once; what is left is cancelled.
    Ioc = 1,
    /// At any price; `px` is the worst price that the gate may assume, not a limit.
    Market = 2,
    /// Rests, or is refused: it never takes.
    PostOnly = 3,
    /// Whole and at once at its price or better, or not at all.
    Fok = 4,
    /// A limit order that enters the book when the market has moved to the stop price against its side: up for a
    /// buy, down for a sell.
    StopLimit = 5,
    /// A limit order that enters the book when the market has moved to the stop price in favour of its side: down
    /// for a buy, up for a sell.
    TakeProfitLimit = 6,
}

impl OrderType {
    /// All kinds, in code order.
    pub const ALL: [OrderType; 7] = [
        OrderType::Limit,
        OrderType::Ioc,
        OrderType::Market,
        OrderType::PostOnly,
        OrderType::Fok,
        OrderType::StopLimit,
        OrderType::TakeProfitLimit,
    ];

    /// The kind with this code, `None` for a code that is none.
    #[inline]
    pub const fn from_u8(code: u8) -> Option<OrderType> {
        if (code as usize) < Self::ALL.len() { Some(Self::ALL[code as usize]) } else { None }
    }

    /// Name for reports.
    pub const fn name(self) -> &'static str {
        match self {
            OrderType::Limit => "limit",
            OrderType::Ioc => "ioc",
            OrderType::Market => "market",
            OrderType::PostOnly => "post_only",
            OrderType::Fok => "fok",
            OrderType::StopLimit => "stop_limit",
            OrderType::TakeProfitLimit => "take_profit_limit",
        }
    }

    /// No limit price: the price that comes with it is only assumed.
    #[inline]
    pub const fn is_market(self) -> bool {
        matches!(self, OrderType::Market)
    }

    /// It waits for a stop price.
    #[inline]
    pub const fn has_stop(self) -> bool {
        matches!(self, OrderType::StopLimit | OrderType::TakeProfitLimit)
    }

    /// What does not trade at once stays, in the book or behind a stop price, and can meet our own order on the other
    /// side later.
    #[inline]
    pub const fn can_rest(self) -> bool {
        !matches!(self, OrderType::Ioc | OrderType::Market | OrderType::Fok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_positions_and_names_their_own() {
        for (code, kind) in OrderType::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, code);
            assert_eq!(OrderType::from_u8(code as u8), Some(kind));
        }
        assert_eq!(OrderType::from_u8(7), None);
        let names: std::collections::BTreeSet<_> = OrderType::ALL.iter().map(|k| k.name()).collect();
        assert_eq!(names.len(), OrderType::ALL.len());
        assert_eq!(OrderType::ALL.iter().filter(|k| k.can_rest()).count(), 4);
    }
}
