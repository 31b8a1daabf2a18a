//! Handing a descriptor to another process over a Unix socket (`SCM_RIGHTS`): one byte carries one descriptor.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

const FD_BYTES: u32 = size_of::<RawFd>() as u32;

/// Room for one control message with one descriptor, aligned as `cmsghdr` asks.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Sends `fd`; the receiver gets a descriptor of its own on the same open file.
///
/// # Errors
/// Those of `sendmsg`.
pub fn hand_over(socket: &UnixStream, fd: BorrowedFd<'_>) -> io::Result<()> {
    let (mut control, mut byte) = (Control([0; 64]), [1u8]);
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut message = empty_message();
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: arithmetic on a small constant.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(FD_BYTES) } as usize;
    // SAFETY: `message` points to `control`, 64 zeroed bytes, of which `CMSG_SPACE` of one descriptor (24) is
    // declared: room for one header.
    let first = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: `first` lies in `control`, which is aligned for a `cmsghdr` and larger than one.
    let header = unsafe { &mut *first };
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: arithmetic on a small constant.
    header.cmsg_len = unsafe { libc::CMSG_LEN(FD_BYTES) } as usize;
    // SAFETY: the data of `first` begins inside `control`.
    let data = unsafe { libc::CMSG_DATA(first) };
    // SAFETY: `CMSG_SPACE` left room for one descriptor at `data`; the write may be unaligned.
    unsafe { data.cast::<RawFd>().write_unaligned(fd.as_raw_fd()) };
    loop {
        // SAFETY: every pointer in `message` refers to a live local.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
        if sent == 1 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Receives a descriptor sent by [`hand_over`], close-on-exec. Waits as the socket does.
///
/// # Errors
/// Those of `recvmsg`; [`io::ErrorKind::UnexpectedEof`] when the peer closed;
/// [`io::ErrorKind::InvalidData`] when what came carries no descriptor.
pub fn receive(socket: &UnixStream) -> io::Result<OwnedFd> {
    let (mut control, mut byte) = (Control([0; 64]), [0u8]);
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut message = empty_message();
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // Room for exactly one descriptor: the kernel drops what a peer sends beyond it.
    // SAFETY: arithmetic on a small constant.
    message.msg_controllen = unsafe { libc::CMSG_LEN(FD_BYTES) } as usize;
    let got = loop {
        // SAFETY: every pointer in `message` refers to a live local, writable for the length declared.
        let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        if got >= 0 {
            break got;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    if got == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // SAFETY: the kernel wrote `msg_controllen` bytes of control messages into `control`.
    let first = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if first.is_null() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // SAFETY: `first` lies in `control` and the kernel filled it in.
    let header = unsafe { first.read() };
    // SAFETY: arithmetic on a small constant.
    let one = unsafe { libc::CMSG_LEN(FD_BYTES) } as usize;
    if (header.cmsg_level, header.cmsg_type, header.cmsg_len) != (libc::SOL_SOCKET, libc::SCM_RIGHTS, one) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // SAFETY: the data of `first` begins inside `control`.
    let data = unsafe { libc::CMSG_DATA(first) };
    // SAFETY: `cmsg_len` says one descriptor follows; the read may be unaligned.
    let fd = unsafe { data.cast::<RawFd>().read_unaligned() };
    // SAFETY: the kernel just installed this descriptor for us, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn empty_message() -> libc::msghdr {
    // SAFETY: a `msghdr` of zeros is valid: null pointers and zero lengths.
    unsafe { MaybeUninit::zeroed().assume_init() }
}
