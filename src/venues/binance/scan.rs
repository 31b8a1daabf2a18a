//! The two hottest messages, read straight from their bytes: combined `bookTicker` and `trade`.
//!
//! A scanner knows one layout, the one that the venue sends, key by key. Whatever differs by a byte (another order,
//! a space, an escape, a number out of its rule) is not its business: it answers `None` without having changed or
//! delivered anything, and the JSON reader takes the message or names what is wrong with it. So a scanner may be
//! strict, and must be: what it takes, the reader takes too, with the same event (tested on damaged messages).

use venue::{Level, MarketEvent};
use wire::{Instrument, Px, Qty, Side, Ts, parse_decimal};

use crate::feed::Listing;

/// The event of a combined `bookTicker` or `trade` in the venue's own layout. About 80 ns.
#[inline]
pub(crate) fn event(message: &[u8], listing: &Listing) -> Option<MarketEvent<'static>> {
    let mut at = Cursor(message);
    at.skip(br#"{"stream":""#)?;
    if at.word()?.starts_with(b"!") {
        return None;
    }
    at.skip(br#","data":{""#)?;
    if at.0.first() == Some(&b'u') { ticker(at, listing) } else { trade(at, listing) }
}

fn ticker(mut at: Cursor<'_>, listing: &Listing) -> Option<MarketEvent<'static>> {
    at.skip(br#"u":"#)?;
    let update_id = at.integer()?;
    at.skip(br#","s":""#)?;
    let i = listing.by_symbol(at.word()?)?;
    at.skip(br#","b":""#)?;
    let bid_px = at.number(i.px_decimals)?;
    at.skip(br#","B":""#)?;
    let bid_qty = at.number(i.qty_decimals)?;
    at.skip(br#","a":""#)?;
    let ask_px = at.number(i.px_decimals)?;
    at.skip(br#","A":""#)?;
    let ask_qty = at.number(i.qty_decimals)?;
    at.end(b"}}")?;
    Some(MarketEvent::Top {
        instrument: i.id,
        update_id,
        bid: level(bid_px, bid_qty)?,
        ask: level(ask_px, ask_qty)?,
    })
}

fn level(px: i64, qty: i64) -> Option<Level> {
    (px != 0 || qty == 0).then_some(Level { px: Px(px), qty: Qty(qty) })
}

fn trade(mut at: Cursor<'_>, listing: &Listing) -> Option<MarketEvent<'static>> {
    at.skip(br#"e":"trade","E":"#)?;
    at.integer()?;
    at.skip(br#","s":""#)?;
    let i: &Instrument = listing.by_symbol(at.word()?)?;
    at.skip(br#","t":"#)?;
    let trade_id = at.integer()?;
    at.skip(br#","p":""#)?;
    let px = at.number(i.px_decimals)?;
    at.skip(br#","q":""#)?;
    let qty = at.number(i.qty_decimals)?;
    at.skip(br#","T":"#)?;
    let ts_exch = Ts(at.integer()?.checked_mul(1_000_000)?);
    at.skip(br#","m":"#)?;
    let buyer_rested = at.flag()?;
    at.skip(br#","M":"#)?;
    at.flag()?;
    at.end(b"}}")?;
    (px != 0 && qty != 0).then_some(MarketEvent::Trade {
        instrument: i.id,
        trade_id,
        px: Px(px),
        qty: Qty(qty),
        aggressor: if buyer_rested { Side::Sell } else { Side::Buy },
        ts_exch,
    })
}

/// Digits of an integer that always fit 64 bits; ids of the venue have twelve. Longer ones are the reader's.
const INTEGER_DIGITS_MAX: usize = 19;

/// Bytes of a [`Cursor::word`].
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut b = 0;
    while b < 256 {
        plain[b] = (b as u8).is_ascii_alphanumeric() || matches!(b as u8, b'@' | b'.' | b'_' | b'-' | b'!');
        b += 1;
    }
    plain
};

/// What is left of the message.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    #[inline]
    fn skip(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    fn end(&self, text: &[u8]) -> Option<()> {
        (self.0 == text).then_some(())
    }

    /// Text up to its closing quote, which is passed: letters, digits and what stream names have besides, so
    /// nothing that JSON would escape.
    #[inline]
    fn word(&mut self) -> Option<&'a [u8]> {
        let len = self.0.iter().position(|b| !PLAIN[*b as usize])?;
        let (word, rest) = self.0.split_at_checked(len)?;
        self.0 = rest.strip_prefix(b"\"")?;
        Some(word)
    }

    #[inline]
    fn number(&mut self, decimals: u8) -> Option<i64> {
        parse_decimal(self.word()?, decimals).ok()
    }

    /// A JSON integer without sign: no digit behind a leading zero.
    #[inline]
    fn integer(&mut self) -> Option<u64> {
        let mut value = 0u64;
        let mut len = 0;
        for byte in self.0.iter().take_while(|b| b.is_ascii_digit()) {
            // Wraps with the twentieth digit at the earliest, and then it is not taken.
            value = value.wrapping_mul(10).wrapping_add((byte - b'0') as u64);
            len += 1;
        }
        if len == 0 || len > INTEGER_DIGITS_MAX || (len > 1 && self.0.first() == Some(&b'0')) {
            return None;
        }
        self.0 = self.0.get(len..)?;
        Some(value)
    }

    #[inline]
    fn flag(&mut self) -> Option<bool> {
        if self.skip(b"true").is_some() {
            return Some(true);
        }
        self.skip(b"false").map(|()| false)
    }
}
