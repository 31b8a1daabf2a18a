//! The receive buffer: plaintext of one connection in one contiguous, bounded piece of memory.

use crate::tls::{PlaintextSink, TlsFault};
use crate::ws::PADDING;

/// Bytes wait between `start` and `end`; at least [`PADDING`] bytes of the allocation lie behind `end`.
///
/// ```text
/// 0 ... start ......... end ............ capacity ..... capacity + PADDING
///  done       waiting        free                 never written
/// ```
#[derive(Debug)]
pub(crate) struct RecvBuffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl RecvBuffer {
    /// Room for `capacity` waiting bytes, with its pages touched now rather than on the first message.
    pub(crate) fn new(capacity: usize) -> Self {
        // Not zero, so that the allocator cannot hand out untouched zero pages.
        let bytes = vec![0x20; capacity + PADDING].into_boxed_slice();
        Self { bytes, start: 0, end: 0 }
    }

    /// The waiting bytes.
    #[inline]
    pub(crate) fn waiting(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Drops `count` waiting bytes from the front.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    fn capacity(&self) -> usize {
        self.bytes.len() - PADDING
    }
}

impl PlaintextSink for RecvBuffer {
    #[inline]
    fn append(&mut self, bytes: &[u8]) -> Result<(), TlsFault> {
        if self.capacity() - self.end < bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.capacity() - self.end < bytes.len() {
                return Err(TlsFault::Full);
            }
        }
        let end = self.end + bytes.len();
        self.bytes[self.end..end].copy_from_slice(bytes);
        self.end = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_moves_and_refuses() {
        let mut buffer = RecvBuffer::new(8);
        buffer.append(b"abcdef").unwrap();
        buffer.consume(4);
        buffer.append(b"ghij").unwrap();
        assert_eq!(buffer.waiting(), b"efghij");
        assert_eq!(buffer.append(b"klm"), Err(TlsFault::Full));
        assert_eq!(buffer.waiting(), b"efghij");
        buffer.consume(6);
        buffer.append(b"12345678").unwrap();
        assert_eq!(buffer.waiting(), b"12345678");
    }
}
