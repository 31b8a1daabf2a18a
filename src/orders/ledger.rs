//! Positions, fees and expected balances, in double entry.
//!
//! Every amount of an asset is an `i128` mantissa at 16 decimals ([`AMOUNT_DECIMALS`]): fine enough to hold a
//! price times a quantity exactly, so nothing is rounded here and a difference from the venue's balance is a
//! real one. An execution posts legs that sum to zero in each asset:
//!
//! | | our account | market | fees | equity |
//! |---|---|---|---|---|
//! | buy, base | `+qty` | `-qty` | | |
//! | buy, quote | `-px*qty` | `+px*qty` | | |
//! | fee | `-fee` | | `+fee` | |
//! | opening balance, deposit | `+amount` | | | `-amount` |
//!
//! So for each asset `account + market + fees + equity == 0` always ([`Ledger::check`]).

#[cfg(test)]
mod tests;

use wire::{AssetId, Instrument, InstrumentId, Px, Qty, Side};

use crate::Position;

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

#[derive(Clone, Copy, Debug, Default)]
struct Accounts {
    account: i128,
    market: i128,
    fees: i128,
    equity: i128,
}

#[derive(Clone, Copy, Debug)]
struct Listing {
    base: usize,
    quote: usize,
    /// Amount of one quantity unit, and of one unit of price × quantity, at 16 decimals.
    base_unit: i128,
    quote_unit: i128,
    position: Position,
}

/// Positions by instrument and accounts by asset. See the module.
///
/// Nothing allocates after construction.
#[derive(Clone, Debug)]
pub struct Ledger {
    listings: Vec<Option<Listing>>,
    assets: Vec<Accounts>,
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
                base: i.base_id.0 as usize,
                quote: i.quote_id.0 as usize,
                base_unit: 10i128.pow((AMOUNT_DECIMALS - i.qty_decimals) as u32),
                quote_unit: 10i128.pow((AMOUNT_DECIMALS - decimals) as u32),
                position: Position::default(),
            });
        }
        Ok(Ledger { listings, assets: vec![Accounts::default(); assets] })
    }

    /// Adds an opening balance, deposit (positive) or withdrawal (negative), mantissa at 8 decimals.
    ///
    /// # Errors
    /// The asset is unknown, or the balance would overflow.
    pub fn deposit(&mut self, asset: AssetId, amount: i64) -> Result<(), LedgerError> {
        let accounts = self.assets.get_mut(asset.0 as usize).ok_or(LedgerError::Asset(asset))?;
        let amount = amount as i128 * PER_FEE_UNIT;
        let overflow = LedgerError::Overflow { field: "balance" };
        let account = accounts.account.checked_add(amount).ok_or(overflow)?;
        accounts.equity = accounts.equity.checked_sub(amount).ok_or(overflow)?;
        accounts.account = account;
        Ok(())
    }

    /// Books an execution: both legs, the fee, the position. All of it or nothing.
    ///
    /// # Errors
    /// See [`LedgerError`]: stop trading.
    #[inline]
    pub fn apply(&mut self, fill: &LedgerFill) -> Result<Booked, LedgerError> {
        if fill.px.0 <= 0 || fill.qty.0 <= 0 {
            return Err(LedgerError::NotPositive { px: fill.px, qty: fill.qty });
        }
        let unknown = LedgerError::Instrument(fill.instrument);
        let listing =
            self.listings.get_mut(fill.instrument.0 as usize).and_then(Option::as_mut).ok_or(unknown)?;
        let overflow = |field| LedgerError::Overflow { field };
        let position = listing.position.after(fill.side, fill.px, fill.qty).ok_or(overflow("position"))?;
        let sign = fill.side.sign() as i128;
        let base = (sign * fill.qty.0 as i128).checked_mul(listing.base_unit).ok_or(overflow("base leg"))?;
        let value = Instrument::notional(fill.px, fill.qty);
        let quote = (-sign * value).checked_mul(listing.quote_unit).ok_or(overflow("quote leg"))?;
        let fee = fill.fee as i128 * PER_FEE_UNIT;

        // Staged on copies, so that a refusal leaves nothing half posted. Base, quote and fee asset may coincide,
        // so each leg is written before the next is read, and taken back if a later one fails.
        let (b, q, f) = (listing.base, listing.quote, fill.fee_asset.0 as usize);
        let saved_base = *self.assets.get(b).ok_or(LedgerError::Asset(AssetId(b as u16)))?;
        let saved_quote = *self.assets.get(q).ok_or(LedgerError::Asset(AssetId(q as u16)))?;
        if fee != 0 && f >= self.assets.len() {
            return Err(LedgerError::Asset(fill.fee_asset));
        }
        let posted = trade(&mut self.assets[b], base)
            .and_then(|()| trade(&mut self.assets[q], quote))
            .and_then(|()| if fee == 0 { Some(()) } else { charge(&mut self.assets[f], fee) });
        if posted.is_none() {
            self.assets[q] = saved_quote;
            self.assets[b] = saved_base;
            return Err(overflow("balance"));
        }
        let realised = position.realised - listing.position.realised;
        listing.position = position;
        Ok(Booked { position: position.base, realised })
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
        let position = self.position(instrument).ok_or(LedgerError::Instrument(instrument))?;
        position.unrealised(mark).ok_or(LedgerError::Overflow { field: "unrealised" })
    }

    /// What the venue must say we hold of an asset, free and locked together, at 16 decimals. Zero for an asset
    /// that is not of this ledger.
    #[inline]
    pub fn expected_balance(&self, asset: AssetId) -> i128 {
        self.assets.get(asset.0 as usize).map_or(0, |a| a.account)
    }

    /// Fees paid in an asset, at 8 decimals; negative = rebates outweigh.
    pub fn fees(&self, asset: AssetId) -> i128 {
        // Only whole fee units are ever posted, so the division is exact.
        self.assets.get(asset.0 as usize).map_or(0, |a| a.fees / PER_FEE_UNIT)
    }

    /// The venue's balance (both at 8 decimals) minus the expected one, at 16 decimals. Zero = equal to the last
    /// digit.
    pub fn difference(&self, asset: AssetId, free: i64, locked: i64) -> i128 {
        (free as i128 + locked as i128) * PER_FEE_UNIT - self.expected_balance(asset)
    }

    /// Number of assets, numbered from 0.
    pub fn assets(&self) -> usize {
        self.assets.len()
    }

    /// Verifies that the legs of every asset sum to zero; on failure names the first asset that does not.
    ///
    /// # Errors
    /// The asset whose accounts do not balance: memory corruption or a bug. Stop trading.
    pub fn check(&self) -> Result<(), AssetId> {
        for (n, a) in self.assets.iter().enumerate() {
            let sum = a
                .account
                .checked_add(a.market)
                .and_then(|s| s.checked_add(a.fees))
                .and_then(|s| s.checked_add(a.equity));
            if sum != Some(0) {
                return Err(AssetId(n as u16));
            }
        }
        Ok(())
    }
}

#[inline]
fn trade(a: &mut Accounts, amount: i128) -> Option<()> {
    let account = a.account.checked_add(amount)?;
    a.market = a.market.checked_sub(amount)?;
    a.account = account;
    Some(())
}

#[inline]
fn charge(a: &mut Accounts, fee: i128) -> Option<()> {
    let account = a.account.checked_sub(fee)?;
    a.fees = a.fees.checked_add(fee)?;
    a.account = account;
    Some(())
}
