//! Changes of the book, gathered between two depth updates.

use super::listing::{Listing, Unit};
use std::collections::BTreeMap;
use std::io::Write;
use wire::{Px, Qty, Side, Ts};

/// One depth stream: what changed since its last update.
pub(super) struct DepthStream {
    interval_ns: u64,
    /// Last update id that has been sent.
    sent: u64,
    bids: BTreeMap<Px, Qty>,
    asks: BTreeMap<Px, Qty>,
    due_at: Option<Ts>,
}

impl DepthStream {
    /// A stream of the book from update id `sent` on.
    pub(super) fn new(interval_ns: u64, sent: u64) -> DepthStream {
        DepthStream { interval_ns, sent, bids: BTreeMap::new(), asks: BTreeMap::new(), due_at: None }
    }

    /// A level is now this.
    pub(super) fn change(&mut self, side: Side, px: Px, qty: Qty, ts: Ts) {
        match side {
            Side::Buy => self.bids.insert(px, qty),
            Side::Sell => self.asks.insert(px, qty),
        };
        if self.due_at.is_none() {
            self.due_at = Some(Ts((ts.0 / self.interval_ns + 1).saturating_mul(self.interval_ns)));
        }
    }

    /// When the next update leaves; `None` while nothing has changed.
    pub(super) fn due_at(&self) -> Option<Ts> {
        self.due_at
    }

    /// Appends the `depthUpdate` of everything up to update id `last`.
    pub(super) fn put(&self, out: &mut Vec<u8>, listing: &Listing, last: u64, now: Ts, unit: Unit) {
        let _ = write!(
            out,
            r#"{{"e":"depthUpdate","E":{},"s":"{}","U":{},"u":{last},"b":"#,
            unit.of(now),
            listing.symbol(),
            self.sent + 1
        );
        put_levels(out, listing, self.bids.iter().rev().map(|(px, qty)| (*px, *qty)));
        out.extend_from_slice(br#","a":"#);
        put_levels(out, listing, self.asks.iter().map(|(px, qty)| (*px, *qty)));
        out.push(b'}');
    }

    /// The update up to `last` has left.
    pub(super) fn clear(&mut self, last: u64) {
        self.sent = last;
        self.bids.clear();
        self.asks.clear();
        self.due_at = None;
    }
}

/// Appends `[["px","qty"],..]`.
pub(super) fn put_levels(out: &mut Vec<u8>, listing: &Listing, levels: impl Iterator<Item = (Px, Qty)>) {
    out.push(b'[');
    for (i, (px, qty)) in levels.enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(out, r#"{comma}["{}","{}"]"#, listing.px8(px), listing.qty8(qty));
    }
    out.push(b']');
}
