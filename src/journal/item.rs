//! What an agent met within a cycle, in the order in which it met it.
//!
//! | code | item | fields after the code, packed |
//! |---|---|---|
//! | 1 | `Up` | link u8 |
//! | 2 | `Down` | link u8, reason u8 |
//! | 3 | `Frame` | link u8, time visible u64, length u32, bytes |
//! | 4 | `Word` | channel u8, value u64 |
//! | 5 | `Stamp` | time u64 |
//! | 6 | `Sent` | link u8, result u8 (0 = handed to the kernel), length u32, bytes |
//! | 7 | `Snapshot` | length u32, bytes: the snapshot in the engine's own form |
//! | 8 | `NoSnapshot` | instrument u32 |
//! | 9 | `Refused` | channel u8: a ring or queue took nothing more |
//! | 10 | `Took` | ring u8, count u32: messages taken, the interleaving |
//! | 11 | `Put` | ring u8, count u32, hash u64: messages published, and the running hash of all of that ring |
//! | 12 | `Abort` | link u8: the agent ended the connection |
//!
//! `Up`, `Down`, `Frame`, `Word`, `Stamp`, `Snapshot`, `NoSnapshot`, `Refused`, the count of `Took` and the
//! result of `Sent` are inputs; the bytes of `Sent`, `Put` and `Abort` are outputs, and replay compares them.

/// Something that an agent met. See the table of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are in the table of the module")]
pub enum Item<'a> {
    /// A connection came up.
    Up { link: u8 },
    /// A connection is gone.
    Down { link: u8, reason: u8 },
    /// A whole message, decrypted.
    Frame { link: u8, ts_ns: u64, bytes: &'a [u8] },
    /// A word of a board or of control differs from what was read before.
    Word { channel: u8, value: u64 },
    /// The clock was read and the time mattered.
    Stamp { ns: u64 },
    /// A message was offered to a connection; result 0 = taken.
    Sent { link: u8, result: u8, bytes: &'a [u8] },
    /// A snapshot was handed over.
    Snapshot { bytes: &'a [u8] },
    /// A snapshot could not be had.
    NoSnapshot { instrument: u32 },
    /// A ring or queue took nothing more.
    Refused { channel: u8 },
    /// Messages taken from a ring.
    Took { ring: u8, count: u32 },
    /// Messages published to a ring, and the running hash over all of that ring so far.
    Put { ring: u8, count: u32, hash: u64 },
    /// The agent ended a connection.
    Abort { link: u8 },
}

/// Why items could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// A code that this version does not know.
    #[error("item code {code} at byte {at} of the cycle is none of 1..=12")]
    Code {
        /// Offset in the body of the cycle.
        at: usize,
        /// The code.
        code: u8,
    },
    /// An item reaches past the end of its cycle.
    #[error("the item at byte {at} of the cycle needs more bytes than there are")]
    Short {
        /// Offset in the body of the cycle.
        at: usize,
    },
}

impl<'a> Item<'a> {
    /// Appends the item to `out`; `false` when `out` has no room left (it never grows), and nothing was written.
    pub fn encode(&self, out: &mut Vec<u8>) -> bool {
        let (packed, head, bytes) = self.packed();
        if out.capacity() - out.len() < head + bytes.len() {
            return false;
        }
        out.extend_from_slice(&packed.to_le_bytes()[..head]);
        out.extend_from_slice(bytes);
        true
    }

    /// The item as its fixed part, packed from the low byte on in the order of the table, how many bytes that is, and
    /// what follows it. For an item whose kind is known where this is called, a few instructions.
    #[inline(always)]
    pub(crate) fn packed(&self) -> (u128, usize, &'a [u8]) {
        let at = |byte: u32, value: u64| (value as u128) << (8 * byte);
        let none: &[u8] = &[];
        match *self {
            Item::Up { link } => (1 | at(1, link as u64), 2, none),
            Item::Down { link, reason } => (2 | at(1, link as u64) | at(2, reason as u64), 3, none),
            Item::Frame { link, ts_ns, bytes } => {
                (3 | at(1, link as u64) | at(2, ts_ns) | at(10, bytes.len() as u64), 14, bytes)
            }
            Item::Word { channel, value } => (4 | at(1, channel as u64) | at(2, value), 10, none),
            Item::Stamp { ns } => (5 | at(1, ns), 9, none),
            Item::Sent { link, result, bytes } => {
                let head = 6 | at(1, link as u64) | at(2, result as u64);
                (head | at(3, bytes.len() as u64), 7, bytes)
            }
            // Longer than a body may be never gets here: the buffer of a recorder is smaller.
            Item::Snapshot { bytes } => (7 | at(1, bytes.len() as u64), 5, bytes),
            Item::NoSnapshot { instrument } => (8 | at(1, instrument as u64), 5, none),
            Item::Refused { channel } => (9 | at(1, channel as u64), 2, none),
            Item::Took { ring, count } => (10 | at(1, ring as u64) | at(2, count as u64), 6, none),
            Item::Put { ring, count, hash } => {
                (11 | at(1, ring as u64) | at(2, count as u64) | at(6, hash), 14, none)
            }
            Item::Abort { link } => (12 | at(1, link as u64), 2, none),
        }
    }

    /// Bytes that [`Item::encode`] writes.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        let (_, head, bytes) = self.packed();
        head + bytes.len()
    }

    /// Reads the item at `*at` and moves `*at` behind it.
    ///
    /// # Errors
    /// The code is not known or the bytes end; `*at` then stands where it was.
    pub fn decode(body: &'a [u8], at: &mut usize) -> Result<Item<'a>, ItemError> {
        let mut r = Reader { body, at: *at };
        let short = ItemError::Short { at: *at };
        let code = r.u8().ok_or(short)?;
        let item = match code {
            1 => r.u8().map(|link| Item::Up { link }),
            2 => r.down(),
            3 => r.frame(),
            4 => r.word(),
            5 => r.u64().map(|ns| Item::Stamp { ns }),
            6 => r.sent(),
            7 => r.text().map(|bytes| Item::Snapshot { bytes }),
            8 => r.u32().map(|instrument| Item::NoSnapshot { instrument }),
            9 => r.u8().map(|channel| Item::Refused { channel }),
            10 => r.took(),
            11 => r.put(),
            12 => r.u8().map(|link| Item::Abort { link }),
            code => return Err(ItemError::Code { at: *at, code }),
        };
        let item = item.ok_or(short)?;
        *at = r.at;
        Ok(item)
    }

    /// Name for people.
    pub const fn name(&self) -> &'static str {
        match self {
            Item::Up { .. } => "up",
            Item::Down { .. } => "down",
            Item::Frame { .. } => "frame",
            Item::Word { .. } => "word",
            Item::Stamp { .. } => "stamp",
            Item::Sent { .. } => "sent",
            Item::Snapshot { .. } => "snapshot",
            Item::NoSnapshot { .. } => "no_snapshot",
            Item::Refused { .. } => "refused",
            Item::Took { .. } => "took",
            Item::Put { .. } => "put",
            Item::Abort { .. } => "abort",
        }
    }
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let bytes = self.body.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let n = self.u32()? as usize;
        self.take(n)
    }

    fn down(&mut self) -> Option<Item<'a>> {
        Some(Item::Down { link: self.u8()?, reason: self.u8()? })
    }

    fn frame(&mut self) -> Option<Item<'a>> {
        Some(Item::Frame { link: self.u8()?, ts_ns: self.u64()?, bytes: self.text()? })
    }

    fn word(&mut self) -> Option<Item<'a>> {
        Some(Item::Word { channel: self.u8()?, value: self.u64()? })
    }

    fn sent(&mut self) -> Option<Item<'a>> {
        Some(Item::Sent { link: self.u8()?, result: self.u8()?, bytes: self.text()? })
    }

    fn took(&mut self) -> Option<Item<'a>> {
        Some(Item::Took { ring: self.u8()?, count: self.u32()? })
    }

    fn put(&mut self) -> Option<Item<'a>> {
        Some(Item::Put { ring: self.u8()?, count: self.u32()?, hash: self.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const ONE_OF_EACH: [Item<'static>; 12] = [
        Item::Up { link: 1 },
        Item::Down { link: 2, reason: 3 },
        Item::Frame { link: 0, ts_ns: 77, bytes: b"{\"u\":1}" },
        Item::Word { channel: 4, value: u64::MAX },
        Item::Stamp { ns: 5 },
        Item::Sent { link: 1, result: 0, bytes: b"order" },
        Item::Snapshot { bytes: &[1, 2, 3] },
        Item::NoSnapshot { instrument: 8 },
        Item::Refused { channel: 3 },
        Item::Took { ring: 2, count: 64 },
        Item::Put { ring: 5, count: 1, hash: 0xdead_beef },
        Item::Abort { link: 1 },
    ];

    #[test]
    fn every_item_comes_back_and_every_cut_is_seen() {
        for item in ONE_OF_EACH {
            let mut bytes = Vec::with_capacity(64);
            assert!(item.encode(&mut bytes));
            assert_eq!(bytes.len(), item.encoded_len(), "{}", item.name());
            let mut at = 0;
            assert_eq!(Item::decode(&bytes, &mut at), Ok(item));
            assert_eq!(at, bytes.len());
            for cut in 0..bytes.len() {
                let mut at = 0;
                assert_eq!(Item::decode(&bytes[..cut], &mut at), Err(ItemError::Short { at: 0 }));
                assert_eq!(at, 0);
            }
        }
    }

    #[test]
    fn an_unknown_code_is_named() {
        let mut at = 1;
        assert_eq!(Item::decode(&[1, 13, 0], &mut at), Err(ItemError::Code { at: 1, code: 13 }));
    }

    #[test]
    fn what_does_not_fit_writes_nothing() {
        let mut out = Vec::with_capacity(16);
        let room = out.capacity();
        assert!(!Item::Frame { link: 0, ts_ns: 0, bytes: &vec![7; room] }.encode(&mut out));
        assert!(out.is_empty() && out.capacity() == room);
    }
}
