//! Entries of the ledger: what moved from which account to which.
//!
//! | | position | cash | trading | fees | external |
//! |---|---|---|---|---|---|
//! | buy: base asset | `+qty` | | `-qty` | | |
//! | buy: quote asset | | `-px*qty` | `+px*qty` | | |
//! | sell: base asset | `-qty` | | `+qty` | | |
//! | sell: quote asset | | `+px*qty` | `-px*qty` | | |
//! | fee, in any asset (a rebate is negative) | | `-fee` | | `+fee` | |
//! | opening balance, deposit (a withdrawal is negative) | | `+amount` | | | `-amount` |
//!
//! The legs of an entry sum to zero in each asset. Amounts are `i128` mantissas at 16 decimals.

use wire::{AssetId, Side};

/// Where an amount of an asset is booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Account {
    /// Ours: what trading it as a base asset has brought.
    Position = 0,
    /// Ours: the rest, by transfers, as the other side of trades, and less fees. Together with `Position` this is
    /// what the venue must say we hold.
    Cash = 1,
    /// The market's side of our trades.
    Trading = 2,
    /// Fees paid, less rebates.
    Fees = 3,
    /// The world outside: negative by what was brought in.
    External = 4,
}

impl Account {
    /// All accounts, in code order.
    pub const ALL: [Account; 5] =
        [Account::Position, Account::Cash, Account::Trading, Account::Fees, Account::External];
}

/// One line of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Account that it changes.
    pub account: Account,
    /// Asset that moves.
    pub asset: AssetId,
    /// By how much, mantissa at 16 decimals.
    pub amount: i128,
}

const NOTHING: Leg = Leg { account: Account::Position, asset: AssetId(0), amount: 0 };

/// Legs that are posted together or not at all: two for a transfer, four for a trade, six with its fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    legs: [Leg; 6],
    n: usize,
}

impl Entry {
    /// Its legs.
    #[inline]
    pub fn legs(&self) -> &[Leg] {
        self.legs.get(..self.n).unwrap_or(&[])
    }

    /// An amount that comes from outside, or leaves when it is negative; above `i128::MIN`.
    #[inline]
    pub(crate) fn transfer(asset: AssetId, amount: i128) -> Entry {
        let mut entry = Entry { legs: [NOTHING; 6], n: 0 };
        entry.pair(asset, amount, Account::Cash, Account::External);
        entry
    }

    /// Base against quote, both amounts positive.
    #[inline]
    pub(crate) fn trade(side: Side, base: (AssetId, i128), quote: (AssetId, i128)) -> Entry {
        let sign = side.sign() as i128;
        let mut entry = Entry { legs: [NOTHING; 6], n: 0 };
        entry.pair(base.0, sign * base.1, Account::Position, Account::Trading);
        entry.pair(quote.0, -sign * quote.1, Account::Cash, Account::Trading);
        entry
    }

    /// The same with a fee; nothing is added for zero.
    #[inline]
    pub(crate) fn with_fee(mut self, asset: AssetId, fee: i128) -> Entry {
        if fee != 0 {
            self.pair(asset, -fee, Account::Cash, Account::Fees);
        }
        self
    }

    #[inline]
    fn pair(&mut self, asset: AssetId, amount: i128, ours: Account, theirs: Account) {
        if let Some([first, second]) = self.legs.get_mut(self.n..self.n + 2) {
            *first = Leg { account: ours, asset, amount };
            *second = Leg { account: theirs, asset, amount: -amount };
            self.n += 2;
        }
    }
}
