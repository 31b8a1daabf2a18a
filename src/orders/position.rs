//! Position and profit of one instrument at average cost, in exact integers.
//!
//! Closing part of a position takes its share of the cost out by a division that may leave a remainder. The
//! remainder stays in the cost of what is still open, so nothing is ever lost: at every moment
//! `realised + unrealised(mark) == cash + position * mark`, to the last digit.

use wire::{Px, Qty, Side};

/// Position of one instrument. `base` and quantities are at `qty_decimals`; every money field is at
/// `px_decimals + qty_decimals` of the instrument, in quote. Fees are not in here; the ledger keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Net quantity, positive = long.
    pub base: i64,
    /// What the open quantity cost, signed like `base`.
    pub cost: i128,
    /// Realised profit or loss.
    pub realised: i128,
    /// Sum of sells minus sum of buys.
    pub cash: i128,
    /// Bought in total.
    pub bought: i128,
    /// Sold in total.
    pub sold: i128,
    /// Number of executions.
    pub fills: u64,
}

impl Position {
    /// The position after an execution; `None` when a number would overflow.
    pub fn after(&self, side: Side, px: Px, qty: Qty) -> Option<Position> {
        let delta = side.sign().checked_mul(qty.0)?;
        let value = (px.0 as i128).checked_mul(delta as i128)?;
        let mut p = *self;
        p.cash = p.cash.checked_sub(value)?;
        match side {
            Side::Buy => p.bought = p.bought.checked_add(qty.0 as i128)?,
            Side::Sell => p.sold = p.sold.checked_add(qty.0 as i128)?,
        }
        p.fills = p.fills.checked_add(1)?;
        p.base = p.base.checked_add(delta)?;
        let opposite = (self.base > 0 && delta < 0) || (self.base < 0 && delta > 0);
        if !opposite {
            p.cost = p.cost.checked_add(value)?;
            return Some(p);
        }
        if delta.unsigned_abs() >= self.base.unsigned_abs() {
            // Closed, and perhaps turned: the rest opens at this price.
            let opened = (px.0 as i128).checked_mul(p.base as i128)?;
            let closed_value = value.checked_sub(opened)?;
            p.realised = p.realised.checked_sub(closed_value.checked_add(self.cost)?)?;
            p.cost = opened;
            return Some(p);
        }
        let closed_cost = share(self.cost, delta.unsigned_abs(), self.base.unsigned_abs())?;
        p.cost = p.cost.checked_sub(closed_cost)?;
        p.realised = p.realised.checked_sub(value.checked_add(closed_cost)?)?;
        Some(p)
    }

    /// Average entry price, price mantissa rounded towards zero; `None` when flat. The exact value is
    /// `cost / base`.
    pub fn px_entry(&self) -> Option<Px> {
        if self.base == 0 {
            return None;
        }
        i64::try_from(self.cost.checked_div(self.base as i128)?).ok().map(Px)
    }

    /// Unrealised profit or loss if the open quantity were worth `mark`; `None` on overflow.
    pub fn unrealised(&self, mark: Px) -> Option<i128> {
        (mark.0 as i128).checked_mul(self.base as i128)?.checked_sub(self.cost)
    }
}

/// `cost * part / whole` rounded towards zero, for `part < whole`, without leaving 128 bits.
fn share(cost: i128, part: u64, whole: u64) -> Option<i128> {
    let (part, whole) = (part as i128, whole as i128);
    // The remainder is below 2^63 and so is `part`: their product fits.
    let rest = (cost % whole).checked_mul(part)? / whole;
    (cost / whole).checked_mul(part)?.checked_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(fills: &[(Side, i64, i64)]) -> Position {
        fills.iter().fold(Position::default(), |p, f| p.after(f.0, Px(f.1), Qty(f.2)).expect("no overflow"))
    }

    #[test]
    fn averages_realises_and_turns() {
        use Side::{Buy, Sell};
        let p = run(&[(Buy, 100, 10), (Buy, 110, 10)]);
        assert_eq!((p.base, p.px_entry(), p.realised), (20, Some(Px(105)), 0));
        let p = run(&[(Buy, 100, 10), (Buy, 110, 10), (Sell, 120, 5)]);
        assert_eq!((p.base, p.px_entry(), p.realised), (15, Some(Px(105)), 75));
        assert_eq!(p.unrealised(Px(106)), Some(15));
        let p = run(&[(Buy, 100, 10), (Sell, 120, 15)]);
        assert_eq!((p.base, p.px_entry(), p.realised, p.cost), (-5, Some(Px(120)), 200, -600));
        assert_eq!(p.unrealised(Px(110)), Some(50));
        let p = run(&[(Sell, 100, 10), (Buy, 90, 4), (Buy, 110, 6)]);
        assert_eq!((p.base, p.cost, p.realised, p.cash), (0, 0, -20, -20));
        assert_eq!((p.px_entry(), p.bought, p.sold, p.fills), (None, 10, 10, 3));
    }

    #[test]
    fn remainders_are_never_lost() {
        let mut state = 9u64;
        let mut next = |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % n
        };
        for round in 0..200 {
            let mut p = Position::default();
            let (mut base, mut cash) = (0i128, 0i128);
            for _ in 0..100 {
                let side = if next(2) == 0 { Side::Buy } else { Side::Sell };
                // Large in some rounds, so that the division works beyond 64 bits.
                let unit = if round % 2 == 0 { 1 } else { 0x1_0000_0001 };
                let (px, qty) = (1 + next(1_000) as i64 * unit, 1 + next(50) as i64 * unit);
                p = p.after(side, Px(px), Qty(qty)).expect("no overflow");
                base += side.sign() as i128 * qty as i128;
                cash -= side.sign() as i128 * qty as i128 * px as i128;
                assert_eq!((p.base as i128, p.cash, p.bought - p.sold), (base, cash, base));
                for mark in [1, 777, 1_000_000] {
                    let total = p.realised + p.unrealised(Px(mark)).expect("no overflow");
                    assert_eq!(total, cash + base * mark as i128);
                }
                assert!(p.base != 0 || p.cost == 0, "flat has no cost");
                assert_eq!(p.base.signum() as i128, p.cost.signum());
            }
        }
    }

    #[test]
    fn overflow_is_refused() {
        let p = run(&[(Side::Buy, 1, i64::MAX)]);
        assert_eq!(p.after(Side::Buy, Px(1), Qty(1)), None);
        assert!(p.after(Side::Sell, Px(i64::MAX), Qty(i64::MAX)).is_some());
        let p = Position { realised: i128::MAX, base: 1, ..Position::default() };
        assert_eq!(p.after(Side::Sell, Px(5), Qty(1)), None);
    }

    #[test]
    fn share_is_exact_where_the_plain_product_would_overflow() {
        let cost = (i64::MAX as i128) * (i64::MAX as i128);
        assert_eq!(share(cost, i64::MAX as u64 - 1, i64::MAX as u64), Some(cost - i64::MAX as i128));
        assert_eq!(share(-7, 1, 2), Some(-3));
        assert_eq!((share(11, 2, 3), share(-11, 2, 3)), (Some(7), Some(-7)));
    }
}
