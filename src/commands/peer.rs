//! Who is at the other end of a Unix socket, as the kernel noted it when the connection was made.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its process id, in our name space.
    pub pid: i32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group; others that it belongs to are not looked at.
    pub gid: u32,
}

/// Asks the kernel (`SO_PEERCRED`, unix(7)). Nothing that the peer says has a part in it.
///
/// # Errors
/// The kernel's refusal.
pub fn of(stream: &UnixStream) -> io::Result<Peer> {
    let mut found = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `found` is a C struct of three integers, alive and ours, and `len` says its size: the kernel writes at most
    // so many bytes into it. The descriptor is open as long as `stream` is borrowed.
    let got = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut len,
        )
    };
    if got != 0 || len as usize != size_of::<libc::ucred>() {
        return Err(io::Error::last_os_error());
    }
    Ok(Peer { pid: found.pid, uid: found.uid, gid: found.gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_us() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        let peer = of(&one).expect("credentials");
        assert_eq!(peer.pid, std::process::id() as i32);
        assert_eq!(Ok(peer.uid), stats::instance::process_uid().map_err(|e| e.to_string()));
    }
}
