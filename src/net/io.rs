//! Receiving bytes without sleeping: two back ends behind one seam.
//!
//! | back end | a look that finds nothing | from bytes to user space | fits |
//! |---|---|---|---|
//! | [`Backend::Uring`] | 1 ns: a load in user space | multishot receive into provided buffers | several links, mixed work |
//! | [`Backend::Recv`] | 320 ns: one system call | one copy | one to four hot links, containers that forbid io_uring |
//!
//! An [`Io`] carries one connection at a time and belongs to the thread that opened it. Orders do not pass here:
//! they leave by plain `send`, which measures faster than a send through the ring.

mod plain;
mod uring;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use plain::Plain;
use uring::Uring;

/// Which back end to open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// io_uring, multishot receive, spinning on the task-run flag.
    #[default]
    Uring,
    /// Non-blocking `recv`.
    Recv,
}

/// What a look found.
#[derive(Debug)]
pub enum Received<'a> {
    /// Bytes, free to be overwritten until the next look.
    Bytes(&'a mut [u8]),
    /// The peer sent FIN.
    End,
    /// The socket failed; nothing more will come.
    Failed {
        /// The `errno`.
        errno: i32,
    },
}

/// Counts of one back end; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoCounters {
    /// System calls made to receive: `recv` or `io_uring_enter`.
    pub enters: u64,
    /// Multishot receives armed, the first of each connection included.
    pub arms: u64,
    /// Times the kernel found no free provided buffer.
    pub no_buffers: u64,
}

/// A receive back end and the connection it serves.
#[derive(Debug)]
pub struct Io {
    kind: Kind,
    fd: Option<OwnedFd>,
}

#[derive(Debug)]
enum Kind {
    Uring(Box<Uring>),
    Plain(Plain),
}

impl Io {
    /// Opens `backend`. When the kernel refuses io_uring (forbidden, too old, no locked memory), opens plain `recv`
    /// instead and returns the reason in one line. Allocates and maps about 1 MiB for io_uring.
    #[must_use]
    pub fn open(backend: Backend) -> (Self, Option<String>) {
        let (kind, refusal) = match backend {
            Backend::Recv => (Kind::Plain(Plain::new()), None),
            Backend::Uring => match Uring::open() {
                Ok(uring) => (Kind::Uring(Box::new(uring)), None),
                Err((step, error)) => {
                    let reason = format!("io_uring refused at {step}: {error}; receiving with recv");
                    (Kind::Plain(Plain::new()), Some(reason))
                }
            },
        };
        (Self { kind, fd: None }, refusal)
    }

    /// The back end in use.
    #[must_use]
    pub fn backend(&self) -> Backend {
        match self.kind {
            Kind::Uring(_) => Backend::Uring,
            Kind::Plain(_) => Backend::Recv,
        }
    }

    /// Whether this thread may use it: always for `recv`, the opening thread alone for io_uring.
    #[must_use]
    pub fn is_of_this_thread(&self) -> bool {
        match &self.kind {
            Kind::Uring(uring) => uring.is_of_this_thread(),
            Kind::Plain(_) => true,
        }
    }

    /// Takes a connected non-blocking socket and begins to receive. A socket already attached is detached and
    /// closed first.
    ///
    /// # Errors
    /// The system's error; the socket is then closed.
    pub fn attach(&mut self, fd: OwnedFd) -> std::io::Result<()> {
        drop(self.detach());
        match &mut self.kind {
            Kind::Uring(uring) => uring.attach(fd.as_fd())?,
            Kind::Plain(plain) => plain.attach(),
        }
        self.fd = Some(fd);
        Ok(())
    }

    /// Ends every operation in flight, gives up the kernel's own reference to the socket, and returns it: closing it
    /// then closes the connection.
    pub fn detach(&mut self) -> Option<OwnedFd> {
        let fd = self.fd.take()?;
        if let Kind::Uring(uring) = &mut self.kind {
            uring.detach();
        }
        Some(fd)
    }

    /// The attached socket.
    #[inline]
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Begins a round of looks: a short read in the last round no longer stops this one.
    #[inline]
    pub fn begin_round(&mut self) {
        if let Kind::Plain(plain) = &mut self.kind {
            plain.begin_round();
        }
    }

    /// Looks for received bytes without sleeping. The bytes of the previous look are given up.
    #[inline]
    pub fn look(&mut self) -> Option<Received<'_>> {
        let fd = self.fd.as_ref()?;
        match &mut self.kind {
            Kind::Uring(uring) => uring.look(),
            Kind::Plain(plain) => plain.look(fd.as_fd()),
        }
    }

    /// Counts since opening.
    #[must_use]
    pub fn counters(&self) -> IoCounters {
        match &self.kind {
            Kind::Uring(uring) => uring.counters(),
            Kind::Plain(plain) => plain.counters(),
        }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        drop(self.detach());
    }
}
