//! Positions, fees and expected balances, in double entry.
//!
//! Every amount of an asset is an `i128` mantissa at 16 decimals ([`AMOUNT_DECIMALS`]): fine enough to hold a
//! price times a quantity exactly, so nothing is rounded here and a difference from the venue's balance is a
//! real one. Each event is an [`Entry`] whose legs sum to zero in each asset; it is posted whole or refused
//! whole. So the accounts of each asset sum to zero always, and the positions, which are kept beside them, must
//! say the same as the accounts ([`Ledger::check`]).

#[cfg(test)]
mod tests;

use wire::{AssetId, Instrument, InstrumentId, Px, Qty, Side};

use crate::Position;
use crate::entry::{Account, Entry};

/// Decimals of every asset amount in the ledger.
pub const AMOUNT_DECIMALS: u8 = 16;
/// Decimals of fees and balances as they arrive in messages.
pub const FEE_DECIMALS: u8 = 8;

/// One step at 8 decimals, at 16.
const PER_FEE_UNIT: i128 = 100_000_000;

/// Why a posting was refused. Nothing was posted. Apart from [`LedgerError::Scale`], which is found at
/// construction, each must stop trading: from here on the ledger would not equal the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// A number left its range.
    #[error("{field} overflows")]
    Overflow {
        /// Which number.
        field: &'static str,
    },
    /// The instrument is not of this ledger.
    #[error("instrument {0:?} is not in the ledger")]
    Instrument(InstrumentId),
    /// The asset is not of this ledger.
    #[error("asset {0:?} is not in the ledger")]
    Asset(AssetId),
    /// Price and quantity of an instrument together have more decimals than the ledger carries.
    #[error("instrument {instrument:?}: {decimals} decimals of price × quantity, at most 16 are carried")]
    Scale {
        /// Which instrument.
        instrument: InstrumentId,
        /// Its decimals.
        decimals: u8,
    },
    /// Price or quantity of an execution is zero or less.
    #[error("execution at {px:?} of {qty:?}: both must be positive")]
    NotPositive {
        /// Price.
        px: Px,
        /// Quantity.
        qty: Qty,
    },
}

/// An execution as the ledger books it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerFill {
    /// What traded.
    pub instrument: InstrumentId,
    /// Our side.
    pub side: Side,
    /// Price, instrument's price scale; positive.
    pub px: Px,
    /// Quantity, instrument's quantity scale; positive.
    pub qty: Qty,
    /// Fee at 8 decimals of `fee_asset`; positive = paid, negative = rebate.
    pub fee: i64,
    /// What the fee is in: base, quote or a third asset. Not looked at when `fee` is zero.
    pub fee_asset: AssetId,
}

/// What a booking led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booked {
    /// Position after it, base mantissa at the instrument's quantity scale.
    pub position: i64,
    /// Change of realised profit, at `px_decimals + qty_decimals`.
    pub realised: i128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listing {
    base: AssetId,
    quote: AssetId,
    /// Amount of one quantity unit, and of one unit of price × quantity, at 16 decimals.
    base_unit: i128,
    quote_unit: i128,
    position: Position,
}

/// Positions by instrument and accounts by asset. See the module.
///
/// Nothing allocates after construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    listings: Vec<Option<Listing>>,
    /// By asset number, then by [`Account`].
    assets: Vec<[i128; Account::ALL.len()]>,
}

impl Ledger {
    /// A ledger for these instruments, their base and quote assets, and `further` assets with the numbers
    /// behind those (fee tokens). All balances zero.
    ///
    /// # Errors
    /// An instrument's scale is too fine.
    pub fn new(instruments: &[Instrument], further: &[AssetId]) -> Result<Ledger, LedgerError> {
        let mut listings = vec![None; instruments.iter().map(|i| i.id.0 as usize + 1).max().unwrap_or(0)];
        let named = instruments.iter().flat_map(|i| [i.base_id, i.quote_id]);
        let assets = named.chain(further.iter().copied()).map(|a| a.0 as usize + 1).max().unwrap_or(0);
        for i in instruments {
            let decimals = i.px_decimals.saturating_add(i.qty_decimals);
            if decimals > AMOUNT_DECIMALS {
                return Err(LedgerError::Scale { instrument: i.id, decimals });
            }
            listings[i.id.0 as usize] = Some(Listing {
                base: i.base_id,
                quote: i.quote_id,
                base_unit: 10i128.pow((AMOUNT_DECIMALS - i.qty_decimals) as u32),
                quote_unit: 10i128.pow((AMOUNT_DECIMALS - decimals) as u32),
                position: Position::default(),
            });
        }
        Ok(Ledger { listings, assets: vec![[0; Account::ALL.len()]; assets] })
    }

    /// Adds an opening balance, deposit (positive) or withdrawal (negative), mantissa at 8 decimals.
    ///
    /// # Errors
    /// The asset is unknown, or the balance would overflow.
    pub fn deposit(&mut self, asset: AssetId, amount: i64) -> Result<(), LedgerError> {
        self.post(&Entry::transfer(asset, amount as i128 * PER_FEE_UNIT))
    }

    /// Books an execution: both assets, the fee, the position. All of it or nothing.
    ///
    /// # Errors
    /// See [`LedgerError`]: stop trading.
    #[inline]
    pub fn apply(&mut self, fill: &LedgerFill) -> Result<Booked, LedgerError> {
        let entry = self.entry(fill)?;
        let listing = self.listing(fill.instrument)?;
        let overflow = LedgerError::Overflow { field: "position" };
        let position = listing.position.after(fill.side, fill.px, fill.qty).ok_or(overflow)?;
        let realised = position.realised.checked_sub(listing.position.realised).ok_or(overflow)?;
        self.post(&entry)?;
        if let Some(Some(listing)) = self.listings.get_mut(fill.instrument.0 as usize) {
            listing.position = position;
        }
        Ok(Booked { position: position.base, realised })
    }

    /// The entry that an execution posts.
    ///
    /// # Errors
    /// The instrument is unknown, a number is not positive, or a leg overflows.
    #[inline]
    pub fn entry(&self, fill: &LedgerFill) -> Result<Entry, LedgerError> {
        if fill.px.0 <= 0 || fill.qty.0 <= 0 {
            return Err(LedgerError::NotPositive { px: fill.px, qty: fill.qty });
        }
        let l = self.listing(fill.instrument)?;
        let overflow = |field| LedgerError::Overflow { field };
        let base = (fill.qty.0 as i128).checked_mul(l.base_unit).ok_or(overflow("base leg"))?;
        let value = Instrument::notional(fill.px, fill.qty);
        let quote = value.checked_mul(l.quote_unit).ok_or(overflow("quote leg"))?;
        let trade = Entry::trade(fill.side, (l.base, base), (l.quote, quote));
        // 64 bits times 10^8: fits.
        Ok(trade.with_fee(fill.fee_asset, fill.fee as i128 * PER_FEE_UNIT))
    }

    /// Posts every leg, or takes back those posted and refuses. One asset may appear in several pairs (a fee in
    /// the quote asset), so each leg is written before the next is read.
    #[inline]
    fn post(&mut self, entry: &Entry) -> Result<(), LedgerError> {
        for (n, leg) in entry.legs().iter().enumerate() {
            let sum = match self.assets.get(leg.asset.0 as usize) {
                Some(accounts) => accounts[leg.account as usize]
                    .checked_add(leg.amount)
                    .ok_or(LedgerError::Overflow { field: "balance" }),
                None => Err(LedgerError::Asset(leg.asset)),
            };
            match sum {
                Ok(sum) => self.assets[leg.asset.0 as usize][leg.account as usize] = sum,
                Err(refused) => {
                    self.take_back(entry, n);
                    return Err(refused);
                }
            }
        }
        Ok(())
    }

    #[cold]
    fn take_back(&mut self, entry: &Entry, posted: usize) {
        // Backwards, each step is the inverse of one that fitted.
        for leg in entry.legs().iter().take(posted).rev() {
            self.assets[leg.asset.0 as usize][leg.account as usize] -= leg.amount;
        }
    }

    #[inline]
    fn listing(&self, instrument: InstrumentId) -> Result<&Listing, LedgerError> {
        let listing = self.listings.get(instrument.0 as usize).and_then(Option::as_ref);
        listing.ok_or(LedgerError::Instrument(instrument))
    }

    /// Balance of an account, mantissa at 16 decimals. Zero for an asset that is not of this ledger.
    #[inline]
    pub fn balance(&self, account: Account, asset: AssetId) -> i128 {
        self.assets.get(asset.0 as usize).map_or(0, |a| a[account as usize])
    }

    /// The position of an instrument, `None` when it is not of this ledger.
    #[inline]
    pub fn position(&self, instrument: InstrumentId) -> Option<&Position> {
        self.listings.get(instrument.0 as usize)?.as_ref().map(|l| &l.position)
    }

    /// Unrealised profit of an instrument at `mark`, at `px_decimals + qty_decimals`.
    ///
    /// # Errors
    /// The instrument is unknown, or the value overflows.
    pub fn unrealised(&self, instrument: InstrumentId, mark: Px) -> Result<i128, LedgerError> {
        self.listing(instrument)?
            .position
            .unrealised(mark)
            .ok_or(LedgerError::Overflow { field: "unrealised" })
    }

    /// What the venue must say we hold of an asset, free and locked together, at 16 decimals; saturated. Zero for
    /// an asset that is not of this ledger.
    #[inline]
    pub fn expected_balance(&self, asset: AssetId) -> i128 {
        self.balance(Account::Position, asset).saturating_add(self.balance(Account::Cash, asset))
    }

    /// Fees paid in an asset, at 8 decimals; negative = rebates outweigh.
    pub fn fees(&self, asset: AssetId) -> i128 {
        // Only whole fee units are ever posted, so the division is exact.
        self.balance(Account::Fees, asset) / PER_FEE_UNIT
    }

    /// The venue's balance (both at 8 decimals) minus the expected one, at 16 decimals; saturated. Zero = equal to
    /// the last digit.
    pub fn difference(&self, asset: AssetId, free: i64, locked: i64) -> i128 {
        ((free as i128 + locked as i128) * PER_FEE_UNIT).saturating_sub(self.expected_balance(asset))
    }

    /// Number of assets, numbered from 0.
    pub fn assets(&self) -> usize {
        self.assets.len()
    }

    /// Verifies that the accounts of every asset sum to zero, and that they say of the positions what the
    /// positions say of themselves; on failure names the first asset that does not.
    ///
    /// # Errors
    /// The asset whose accounts do not agree: memory corruption or a bug. Stop trading.
    pub fn check(&self) -> Result<(), AssetId> {
        for n in 0..self.assets.len() {
            let asset = AssetId(n as u16);
            if self.agrees(asset) != Some(true) {
                return Err(asset);
            }
        }
        Ok(())
    }

    fn agrees(&self, asset: AssetId) -> Option<bool> {
        let trial = Account::ALL.iter().try_fold(0i128, |sum, &a| sum.checked_add(self.balance(a, asset)))?;
        let (mut held, mut paid) = (0i128, 0i128);
        for l in self.listings.iter().flatten() {
            if l.base == asset {
                held = held.checked_add((l.position.base as i128).checked_mul(l.base_unit)?)?;
            }
            if l.quote == asset {
                paid = paid.checked_add(l.position.cash.checked_mul(l.quote_unit)?)?;
            }
        }
        let trading = held.checked_add(paid)?.checked_neg()?;
        Some(
            trial == 0
                && self.balance(Account::Position, asset) == held
                && self.balance(Account::Trading, asset) == trading,
        )
    }
}
