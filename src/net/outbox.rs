//! Bytes the kernel has not taken yet.

use std::io;
use std::os::fd::BorrowedFd;

use crate::socket;

/// A queue of bytes in one vector; bytes before `start` have been sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    start: usize,
}

impl Outbox {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), start: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// Sends `bytes` now if nothing waits, and keeps what the kernel does not take. Returns the bytes it took.
    #[inline]
    pub(crate) fn send(&mut self, fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
        let sent = if self.is_empty() { take(socket::send(fd, bytes))? } else { 0 };
        if sent < bytes.len() {
            self.keep(&bytes[sent..]);
        }
        Ok(sent)
    }

    /// Gives the kernel what waits. Returns the bytes it took.
    pub(crate) fn flush(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        if self.is_empty() {
            return Ok(0);
        }
        let sent = take(socket::send(fd, &self.bytes[self.start..]))?;
        self.start += sent;
        if self.is_empty() {
            self.clear();
        }
        Ok(sent)
    }

    #[cold]
    fn keep(&mut self, rest: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(rest);
    }
}

/// A full send buffer takes nothing, which is no error.
fn take(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        other => other,
    }
}
