//! What is traded: identities, scales and the venue's rules.

use crate::{Px, Qty};

/// Engine-wide instrument number, dense from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct InstrumentId(pub u32);

/// Venue number, dense from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct VenueId(pub u16);

/// Account number, dense from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct AccountId(pub u16);

/// Asset number, dense from 0; an instrument names its base and quote asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct AssetId(pub u16);

/// Order identity chosen by the strategy: unique for the life of the engine, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct OrderId(pub u64);

/// Index of an order in the oms's table and in the trace table; reused after the order is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Slot(pub u32);

/// A listed instrument with its exact scales and the venue's current rules.
///
/// Scales never change for the life of an `InstrumentId`; ticks, lots and limits may. A rule of zero is
/// "not checked", as on the venues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// Engine-wide number.
    pub id: InstrumentId,
    /// Where it trades.
    pub venue: VenueId,
    /// The venue's symbol, upper case (`BTCUSDT`).
    pub symbol: String,
    /// Name of the base asset (`BTC`).
    pub base: String,
    /// Name of the quote asset (`USDT`).
    pub quote: String,
    /// Base asset number.
    pub base_id: AssetId,
    /// Quote asset number.
    pub quote_id: AssetId,
    /// Decimals of every `Px` of this instrument.
    pub px_decimals: u8,
    /// Decimals of every `Qty` of this instrument, and of its base asset's amounts.
    pub qty_decimals: u8,
    /// Decimals of the quote asset's amounts as the venue reports them (balances, fees).
    pub quote_decimals: u8,
    /// Price step.
    pub tick: Px,
    /// Lowest price.
    pub px_min: Px,
    /// Highest price.
    pub px_max: Px,
    /// Quantity step.
    pub lot: Qty,
    /// Smallest order.
    pub qty_min: Qty,
    /// Largest order.
    pub qty_max: Qty,
    /// Smallest price × quantity, mantissa at `px_decimals + qty_decimals`.
    pub notional_min: i128,
    /// Most open orders of one account on this instrument.
    pub open_orders_max: u32,
    /// Quantities of market orders, where the venue is stricter with them; zeros = as for every order.
    pub market_qty: QtyRule,
    /// How far the price of a buy may lie from the average price.
    pub band_buy: PriceBand,
    /// How far the price of a sell may lie from the average price.
    pub band_sell: PriceBand,
    /// Whether the venue currently accepts orders for it.
    pub trading: bool,
}

/// Rule of a quantity. Zero = not checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QtyRule {
    /// Smallest.
    pub min: Qty,
    /// Largest.
    pub max: Qty,
    /// Step.
    pub step: Qty,
}

/// How far a price may lie from the venue's average price, as factors of it. Zero = not checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriceBand {
    /// Lowest price over average price, mantissa at 8 decimals.
    pub down: i64,
    /// Highest price over average price, mantissa at 8 decimals.
    pub up: i64,
}

impl PriceBand {
    /// One, as the factors are written.
    pub const ONE: i64 = 100_000_000;
}

impl Instrument {
    /// Exact price × quantity, mantissa at `px_decimals + qty_decimals`. Cannot overflow.
    #[inline]
    pub fn notional(px: Px, qty: Qty) -> i128 {
        px.0 as i128 * qty.0 as i128
    }

    /// Decimals of [`Instrument::notional`].
    #[inline]
    pub fn notional_decimals(&self) -> u8 {
        self.px_decimals + self.qty_decimals
    }
}
