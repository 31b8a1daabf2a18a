//! The venue's balances: where the ledger starts from, and what it is held against whenever nothing is open.

use orders::LedgerError;
use wire::{AssetId, Msg, flag};

use super::{Halt, Oms};

/// A balance as the venue said it in a full answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VenueBalance {
    /// Free, 8 decimals.
    pub free: i64,
    /// Locked, 8 decimals.
    pub locked: i64,
}

impl Oms {
    pub(super) fn on_balance(&mut self, msg: &Msg) {
        let full = msg.body[3] == 1;
        if !full {
            return; // changes arrive on two streams; only full answers are in step with the reports before them
        }
        if !self.listing {
            // An asset that a full answer does not name is zero.
            self.venue_balances.fill(Some(VenueBalance { free: 0, locked: 0 }));
        }
        self.listing = !msg.has(flag::END);
        if let Some(cell) = self.venue_balances.get_mut(msg.body[2] as usize) {
            *cell = Some(VenueBalance { free: msg.body[0], locked: msg.body[1] });
        }
        if self.listing {
            return;
        }
        if self.funded {
            self.to_compare = true;
        } else {
            self.fund();
        }
    }

    /// The first full answer: what the account holds is what the ledger starts from.
    fn fund(&mut self) {
        for (i, balance) in self.venue_balances.iter().enumerate() {
            let Some(b) = balance else { continue };
            let booked = b
                .free
                .checked_add(b.locked)
                .ok_or(LedgerError::Overflow { field: "opening balance" })
                .and_then(|total| self.ledger.deposit(AssetId(i as u16), total));
            if booked.is_err() {
                self.counts.ledger_errors += 1;
                self.fault = Halt::Ledger;
            }
        }
        self.funded = true;
    }

    /// Compares a later full answer with the ledger, as soon as no order of ours can still change either.
    #[cold]
    pub(super) fn compare(&mut self) {
        if self.open_orders() > 0 {
            return;
        }
        self.to_compare = false;
        let differs = self.venue_balances.iter().enumerate().any(|(i, b)| {
            b.is_some_and(|b| self.ledger.difference(AssetId(i as u16), b.free, b.locked) != 0)
        });
        if differs && self.fault == Halt::None {
            self.fault = Halt::Differs;
        }
    }
}
