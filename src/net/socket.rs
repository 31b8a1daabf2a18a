//! The socket calls a link needs, each one small and safe to call.
//!
//! Sockets are non-blocking with `TCP_NODELAY`. Sending is plain `send` with `MSG_DONTWAIT | MSG_NOSIGNAL`.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A descriptor of its own for one connection, to end that connection from another thread.
///
/// [`abort`](AbortHandle::abort) disconnects the socket in the kernel (`connect` with `AF_UNSPEC`): the peer gets a
/// reset, everything queued and unsent is dropped, and it works while the owner has operations in flight on its own
/// descriptor. The handle keeps the kernel's socket object, not the connection, alive: a link shuts its connection
/// down before it closes.
#[derive(Debug)]
pub struct AbortHandle {
    fd: OwnedFd,
    aborted: Arc<AtomicBool>,
}

impl AbortHandle {
    /// Duplicates `fd`; `aborted` tells the owner that the end of the connection was ours.
    pub(crate) fn new(fd: BorrowedFd<'_>, aborted: Arc<AtomicBool>) -> io::Result<Self> {
        Ok(Self { fd: fd.try_clone_to_owned()?, aborted })
    }

    /// A handle that another process has handed over, on its own connection.
    pub fn adopt(fd: OwnedFd) -> Self {
        Self { fd, aborted: Arc::default() }
    }

    /// The descriptor, to hand over to another process: who has it can reset the connection.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Resets the connection now. Safe to call more than once and after the link has closed.
    ///
    /// # Errors
    /// The error of `connect`; then the socket is shut down in both directions instead, which still lets the
    /// kernel send what it has queued.
    pub fn abort(&self) -> io::Result<()> {
        // Before the disconnect, so the owner cannot see the one without the other. Pairs with the load there.
        self.aborted.store(true, Ordering::Release);
        let result = disconnect(self.fd.as_fd());
        if result.is_err() {
            shutdown_both(self.fd.as_fd());
        }
        result
    }
}

/// Reads what has arrived, without blocking; `Ok(0)` is the end of the stream.
///
/// # Errors
/// `WouldBlock` when nothing is there, else the socket's error.
#[inline]
pub fn recv(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let (at, len) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: `at` points to `len` bytes exclusively borrowed for the call; the kernel writes at most `len`.
    let got = unsafe { libc::recv(fd.as_raw_fd(), at, len, libc::MSG_DONTWAIT) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// Gives bytes to the kernel, without blocking and without SIGPIPE; returns how many it took.
///
/// # Errors
/// `WouldBlock` when the send buffer is full, else the socket's error.
#[inline]
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the pointer and length come from one live slice; the kernel only reads it.
    let sent = unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Bytes in the kernel's send queue that have not been sent once (`SIOCOUTQNSD`).
///
/// # Errors
/// The error of the `ioctl`.
pub fn unsent_bytes(fd: BorrowedFd<'_>) -> io::Result<usize> {
    /// From `linux/sockios.h`; absent from the libc crate.
    const SIOCOUTQNSD: libc::c_ulong = 0x894b;
    let mut count: libc::c_int = 0;
    // SAFETY: SIOCOUTQNSD writes one int through the pointer, which is to a live int.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), SIOCOUTQNSD, &raw mut count) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Disconnects in the kernel: `connect` with `AF_UNSPEC`. The peer gets a reset and queued bytes are dropped.
///
/// # Errors
/// The error of `connect`.
pub fn disconnect(fd: BorrowedFd<'_>) -> io::Result<()> {
    let address = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    let len = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: `address` is a live sockaddr of exactly `len` bytes; the kernel only reads it.
    let result = unsafe { libc::connect(fd.as_raw_fd(), &raw const address, len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes the close that follows a reset (`SO_LINGER` with zero seconds). Failure is harmless: the close is then an
/// ordinary one.
pub fn linger_zero(fd: BorrowedFd<'_>) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    set_option(fd, libc::SOL_SOCKET, libc::SO_LINGER, &linger);
}

/// Asks for a receive buffer of `bytes` (the kernel doubles it and applies its own bounds).
pub fn set_recv_buffer(fd: BorrowedFd<'_>, bytes: u32) {
    set_option(
        fd,
        libc::SOL_SOCKET,
        libc::SO_RCVBUF,
        &libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX),
    );
}

/// Asks for a send buffer of `bytes` (the kernel doubles it and applies its own bounds).
pub fn set_send_buffer(fd: BorrowedFd<'_>, bytes: u32) {
    set_option(
        fd,
        libc::SOL_SOCKET,
        libc::SO_SNDBUF,
        &libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX),
    );
}

fn set_option<T>(fd: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: &T) {
    let len = size_of::<T>() as libc::socklen_t;
    // A refusal leaves the kernel's default in force, which every caller can live with.
    // SAFETY: pointer and length describe one live `T`; the kernel copies at most `len` bytes out of it.
    unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), len) };
}

/// Ends both directions; a descriptor duplicated elsewhere cannot keep the connection open after this.
pub fn shutdown_both(fd: BorrowedFd<'_>) {
    // SAFETY: takes a descriptor and a constant, no memory. An error means there is no connection to end.
    unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_RDWR) };
}

/// Ends our sending direction with a FIN after what is queued.
pub fn shutdown_write(fd: BorrowedFd<'_>) {
    // SAFETY: takes a descriptor and a constant, no memory. An error means there is no connection to end.
    unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_WR) };
}

/// What [`wait`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// The descriptor.
    pub fd: RawFd,
    /// Wake when it can be read, or has ended.
    pub read: bool,
    /// Wake when it can be written, or has failed.
    pub write: bool,
}

/// Blocks in `poll(2)` until one of `interests` is ready or `timeout` has passed; returns how many are ready.
/// Interests with neither direction set wake on errors and hang-ups only.
///
/// # Errors
/// The error of `poll`; an interruption counts as zero ready.
pub fn wait(interests: &[Interest], timeout: Duration) -> io::Result<usize> {
    let mut fds: Vec<libc::pollfd> = interests
        .iter()
        .map(|interest| libc::pollfd {
            fd: interest.fd,
            events: if interest.read { libc::POLLIN } else { 0 }
                | if interest.write { libc::POLLOUT } else { 0 },
            revents: 0,
        })
        .collect();
    // Round up, so a deadline is not spun on for its last millisecond.
    let millis = timeout.as_micros().div_ceil(1_000);
    let millis = libc::c_int::try_from(millis).unwrap_or(libc::c_int::MAX);
    // SAFETY: pointer and count describe one live, exclusively borrowed vector of pollfd.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, millis) };
    match usize::try_from(ready) {
        Ok(ready) => Ok(ready),
        Err(_) => {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted { Ok(0) } else { Err(error) }
        }
    }
}

/// Blocks until `stream` is ready in the given direction.
///
/// # Errors
/// `TimedOut` when `deadline` passes first, else the error of `poll`.
pub(crate) fn wait_until(stream: &TcpStream, write: bool, deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if wait(&[Interest { fd: stream.as_raw_fd(), read: !write, write }], left)? > 0 {
            return Ok(());
        }
    }
}
