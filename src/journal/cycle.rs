//! The body of a cycle record.
//!
//! | body | bytes | holds |
//! |---|---|---|
//! | 0 | 1 | agent, in the engine's order |
//! | 1 | 1 | flags: 1 = the agent's closing, not a duty cycle |
//! | 2 | 6 | zero |
//! | 8 | 8 | number of the cycle |
//! | 16 | 8 | its time, ns |
//! | 24 | – | items ([`crate::item`]) |

use crate::item::{Item, ItemError};
use crate::layout::u64_at;

/// Bytes before the items.
pub const CYCLE_HEAD: usize = 24;
/// Flag of an agent's closing.
pub const CLOSING: u8 = 1;

/// One duty cycle of one agent, as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cycle<'a> {
    /// Agent, in the engine's order.
    pub agent: u8,
    /// Whether this is the agent's closing.
    pub closing: bool,
    /// Number of the cycle.
    pub number: u64,
    /// Its time, ns.
    pub now_ns: u64,
    body: &'a [u8],
}

/// Why a cycle could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CycleError {
    /// Shorter than its fixed part.
    #[error("a cycle of {bytes} bytes is shorter than its fixed part of {CYCLE_HEAD}")]
    Short {
        /// Its length.
        bytes: usize,
    },
    /// An item is not one.
    #[error(transparent)]
    Item(#[from] ItemError),
}

impl<'a> Cycle<'a> {
    /// Reads the fixed part; items are read by [`Cycle::items`].
    ///
    /// # Errors
    /// [`CycleError::Short`].
    pub fn decode(body: &'a [u8]) -> Result<Cycle<'a>, CycleError> {
        let short = CycleError::Short { bytes: body.len() };
        let (number, now_ns) = (u64_at(body, 8).ok_or(short)?, u64_at(body, 16).ok_or(short)?);
        Ok(Cycle { agent: body[0], closing: body[1] & CLOSING != 0, number, now_ns, body })
    }

    /// The items in order; ends at the first that cannot be read.
    pub fn items(&self) -> impl Iterator<Item = Result<Item<'a>, ItemError>> + use<'a> {
        let (body, mut at, mut bad) = (self.body, CYCLE_HEAD, false);
        std::iter::from_fn(move || {
            if bad || at >= body.len() {
                return None;
            }
            let item = Item::decode(body, &mut at);
            bad = item.is_err();
            Some(item)
        })
    }

    /// Reads every item once.
    ///
    /// # Errors
    /// The first item that is not one.
    pub fn check(&self) -> Result<(), CycleError> {
        self.items().try_for_each(|item| item.map(drop)).map_err(CycleError::Item)
    }
}

/// Writes the fixed part over the first bytes of `out`, which must be there.
#[inline]
pub(crate) fn write_head(out: &mut [u8], agent: u8, flags: u8, number: u64, now_ns: u64) {
    out[..8].copy_from_slice(&(agent as u64 | (flags as u64) << 8).to_le_bytes());
    out[8..16].copy_from_slice(&number.to_le_bytes());
    out[16..24].copy_from_slice(&now_ns.to_le_bytes());
}
