//! Best bid and ask, and the prices derived from them.

use wire::{Msg, Px, Qty, Side};

/// Best bid and ask. A quantity of zero means that the side is empty; its price is then zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Top {
    /// Best bid price, instrument's price scale.
    pub bid_px: Px,
    /// Quantity at the best bid, instrument's quantity scale.
    pub bid_qty: Qty,
    /// Best ask price, instrument's price scale.
    pub ask_px: Px,
    /// Quantity at the best ask, instrument's quantity scale.
    pub ask_qty: Qty,
}

impl Top {
    /// Reads the body of a `Kind::Top` message. The kind is not checked.
    #[inline]
    pub fn from_msg(m: &Msg) -> Top {
        Top { bid_px: Px(m.body[0]), bid_qty: Qty(m.body[1]), ask_px: Px(m.body[2]), ask_qty: Qty(m.body[3]) }
    }

    /// As the body of a `Kind::Top` message.
    #[inline]
    pub fn to_body(self) -> [i64; 4] {
        [self.bid_px.0, self.bid_qty.0, self.ask_px.0, self.ask_qty.0]
    }

    /// Both sides hold a positive price and a positive quantity.
    #[inline]
    pub fn is_two_sided(&self) -> bool {
        self.bid_px.0 > 0 && self.ask_px.0 > 0 && self.bid_qty.0 > 0 && self.ask_qty.0 > 0
    }

    /// Both sides are there and the bid is at or above the ask: impossible on one venue, so the data is wrong.
    #[inline]
    pub fn crossed(&self) -> bool {
        self.is_two_sided() && self.bid_px >= self.ask_px
    }

    /// Price and quantity of one side; a zero quantity means empty.
    #[inline]
    pub fn side(&self, side: Side) -> (Px, Qty) {
        match side {
            Side::Buy => (self.bid_px, self.bid_qty),
            Side::Sell => (self.ask_px, self.ask_qty),
        }
    }
}

/// The mid weighted by the quantity of the *other* side: `bid + spread * bid_qty / (bid_qty + ask_qty)`.
/// More on the bid pulls it towards the ask.
///
/// Returns a price mantissa at the instrument's price scale, rounded down; `bid_px <= result <= ask_px`.
/// `None` when a side is empty or the top is crossed. Exact integer arithmetic, cannot overflow.
/// One 64-bit division; a 128-bit one when spread times quantity exceeds 64 bits.
#[inline]
pub fn microprice(top: &Top) -> Option<i64> {
    if !top.is_two_sided() || top.crossed() {
        return None;
    }
    // Both operands of each are positive i64, so the u64 arithmetic below cannot wrap.
    let spread = (top.ask_px.0 - top.bid_px.0) as u64;
    let (bid_qty, total) = (top.bid_qty.0 as u64, top.bid_qty.0 as u64 + top.ask_qty.0 as u64);
    let above_bid = match spread.checked_mul(bid_qty) {
        Some(product) => product / total,
        None => (spread as u128 * bid_qty as u128 / total as u128) as u64,
    };
    Some(top.bid_px.0 + above_bid as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(bid: (i64, i64), ask: (i64, i64)) -> Top {
        Top { bid_px: Px(bid.0), bid_qty: Qty(bid.1), ask_px: Px(ask.0), ask_qty: Qty(ask.1) }
    }

    #[test]
    fn microprice_leans_away_from_the_heavy_side() {
        assert_eq!(microprice(&top((100, 1), (110, 1))), Some(105));
        assert_eq!(microprice(&top((100, 9), (110, 1))), Some(109));
        assert_eq!(microprice(&top((100, 1), (110, 9))), Some(101));
        assert_eq!(microprice(&top((100, 1), (101, 1))), Some(100), "rounds down");
    }

    #[test]
    fn microprice_needs_two_uncrossed_sides() {
        assert_eq!(microprice(&top((100, 0), (110, 1))), None);
        assert_eq!(microprice(&top((100, 1), (110, 0))), None);
        assert_eq!(microprice(&top((0, 1), (110, 1))), None);
        assert_eq!(microprice(&top((110, 1), (110, 1))), None);
        assert_eq!(microprice(&Top::default()), None);
    }

    #[test]
    fn microprice_does_not_overflow_at_the_ends() {
        let max = i64::MAX;
        assert_eq!(microprice(&top((1, max), (max, max))), Some(1 + (max - 1) / 2));
        assert_eq!(microprice(&top((1, max), (max, 1))), Some(max - 1));
        assert_eq!(microprice(&top((max - 1, 1), (max, max))), Some(max - 1));
    }

    #[test]
    fn message_body_round_trips() {
        let t = top((1, 2), (3, 4));
        let m = Msg::new(wire::Kind::Top, wire::InstrumentId(0), wire::Ts(0)).body(t.to_body());
        assert_eq!(Top::from_msg(&m), t);
        assert_eq!((t.side(Side::Buy), t.side(Side::Sell)), ((Px(1), Qty(2)), (Px(3), Qty(4))));
    }
}
