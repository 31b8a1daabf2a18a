//! Non-blocking `recv`: one system call a look, nothing to set up.

use std::io::ErrorKind;
use std::os::fd::BorrowedFd;

use super::{IoCounters, Received};
use crate::socket;

/// Bytes taken at once: one whole TLS record.
const READ_BYTES: usize = 16 * 1024 + 256;

#[derive(Debug)]
pub(super) struct Plain {
    buffer: Box<[u8]>,
    /// The last read was short: the socket was empty, so this round asks no more.
    drained: bool,
    counters: IoCounters,
}

impl Plain {
    pub(super) fn new() -> Self {
        // Not zero, so that the pages are touched now.
        Self {
            buffer: vec![0x20; READ_BYTES].into_boxed_slice(),
            drained: false,
            counters: IoCounters::default(),
        }
    }

    pub(super) fn attach(&mut self) {
        self.drained = false;
        self.counters.arms += 1;
    }

    #[inline]
    pub(super) fn begin_round(&mut self) {
        self.drained = false;
    }

    #[inline]
    pub(super) fn look(&mut self, fd: BorrowedFd<'_>) -> Option<Received<'_>> {
        if self.drained {
            return None;
        }
        self.counters.enters += 1;
        match socket::recv(fd, &mut self.buffer) {
            Ok(0) => Some(Received::End),
            Ok(got) => {
                self.drained = got < self.buffer.len();
                Some(Received::Bytes(&mut self.buffer[..got]))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
            Err(error) => Some(Received::Failed { errno: error.raw_os_error().unwrap_or(libc::EIO) }),
        }
    }

    pub(super) fn counters(&self) -> IoCounters {
        self.counters
    }
}
