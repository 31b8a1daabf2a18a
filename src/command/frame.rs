//! Frames: four bytes of length, then so many bytes.

/// Bytes of the length.
pub const HEAD_BYTES: usize = 4;

/// Why bytes are no frame. Nothing more is read from that peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A length of zero.
    #[error("a frame of no bytes")]
    Empty,
    /// More than is taken; nothing of it is kept.
    #[error("a frame of {bytes} bytes, at most {max} are taken")]
    TooLong {
        /// As claimed.
        bytes: u32,
        /// The bound.
        max: usize,
    },
    /// Bytes behind the frame.
    #[error("{bytes} bytes behind the one frame of a connection")]
    Behind {
        /// How many, so far.
        bytes: usize,
    },
}

/// A payload with its length before it. At most [`u32::MAX`] bytes are kept.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut bytes = len.to_le_bytes().to_vec();
    bytes.extend_from_slice(&payload[..len as usize]);
    bytes
}

/// Collects the one frame of a connection from bytes as they come, in pieces of any size.
#[derive(Clone, Debug)]
pub struct Inbox {
    bytes: Vec<u8>,
    max: usize,
}

impl Inbox {
    /// For a frame of at most `max` bytes.
    pub fn new(max: usize) -> Inbox {
        Inbox { bytes: Vec::new(), max }
    }

    /// Takes more bytes; the payload when it is whole.
    ///
    /// # Errors
    /// [`FrameError`]; never keeps more than the bound and its length.
    pub fn take(&mut self, more: &[u8]) -> Result<Option<&[u8]>, FrameError> {
        let mut more = more;
        if self.bytes.len() < HEAD_BYTES {
            let (head, rest) = more.split_at(more.len().min(HEAD_BYTES - self.bytes.len()));
            self.bytes.extend_from_slice(head);
            more = rest;
        }
        let Some(head) = self.bytes.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let len = u32::from_le_bytes(*head);
        if len == 0 {
            return Err(FrameError::Empty);
        }
        if len as usize > self.max {
            return Err(FrameError::TooLong { bytes: len, max: self.max });
        }
        let missing = HEAD_BYTES + len as usize - self.bytes.len();
        if more.len() > missing {
            return Err(FrameError::Behind { bytes: more.len() - missing });
        }
        self.bytes.extend_from_slice(more);
        Ok((more.len() == missing).then(|| &self.bytes[HEAD_BYTES..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_hold_before_anything_is_kept() {
        let mut inbox = Inbox::new(8);
        assert_eq!(inbox.take(&[0, 0, 0, 0]), Err(FrameError::Empty));
        let mut inbox = Inbox::new(8);
        assert_eq!(inbox.take(&[9, 0, 0, 0, 1]), Err(FrameError::TooLong { bytes: 9, max: 8 }));
        assert!(inbox.bytes.len() <= HEAD_BYTES);
        let mut inbox = Inbox::new(8);
        assert_eq!(inbox.take(&[1, 0, 0, 0, 7, 7]), Err(FrameError::Behind { bytes: 1 }));
        let mut inbox = Inbox::new(8);
        assert_eq!(inbox.take(&[1, 0, 0]), Ok(None));
        assert_eq!(inbox.take(&[]), Ok(None));
        assert_eq!(inbox.take(&[0, 7]), Ok(Some(&[7][..])));
        assert_eq!(inbox.take(&[7]), Err(FrameError::Behind { bytes: 1 }));
    }

    proptest! {
        #[test]
        fn any_slicing_gives_the_payload(payload in proptest::collection::vec(any::<u8>(), 1..200), cuts in proptest::collection::vec(1usize..9, 1..60)) {
            let bytes = frame(&payload);
            let mut inbox = Inbox::new(200);
            let (mut at, mut cuts) = (0, cuts.iter().cycle());
            let mut got = None;
            while at < bytes.len() {
                let to = (at + cuts.next().copied().unwrap_or(1)).min(bytes.len());
                prop_assert!(got.is_none());
                got = inbox.take(&bytes[at..to]).expect("a sound frame").map(<[u8]>::to_vec);
                at = to;
            }
            prop_assert_eq!(got, Some(payload));
        }

        #[test]
        fn any_bytes_are_survived_and_bounded(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut inbox = Inbox::new(64);
            for piece in pieces {
                if inbox.take(&piece).is_err() {
                    break;
                }
                prop_assert!(inbox.bytes.len() <= HEAD_BYTES + 64);
            }
        }
    }
}
