//! Liveness and exclusive roles by file lock: the kernel drops them the instant their holder dies.
//!
//! Each lock is one byte of the segment's file, taken as an *open file description* lock (`F_OFD_SETLK`). Against
//! the alternatives: `flock` cannot be probed without taking it for a moment, a process-wide `fcntl` lock is lost
//! when anything in the process closes the file, and a process id in a word outlives its process. The holder keeps
//! a description of its own (reopened through `/proc/self/fd`), because a descriptor handed to another process, or
//! inherited by a fork, shares its description and with it the lock. Everything is close-on-exec; a process that
//! forks without exec would carry the locks into the child.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// What one living holder at a time may be to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Its creator; held as long as the creator lives.
    Owner = 0,
    /// The producing end of a ring.
    Producer = 1,
    /// The consuming end of a ring.
    Consumer = 2,
    /// The writer of a board.
    Writer = 3,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Owner => "owner",
            Role::Producer => "producer",
            Role::Consumer => "consumer",
            Role::Writer => "writer",
        })
    }
}

/// A description of our own of the file behind `fd`, read and write.
///
/// # Errors
/// The kernel's, when the file may not be opened again.
pub(crate) fn reopen(fd: impl AsFd) -> io::Result<File> {
    File::options().read(true).write(true).open(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// A role held, until dropped or the process dies. Dropping unlocks rather than only closes, so that a descriptor
/// some fork has just copied and not yet lost to its exec does not keep the role.
#[derive(Debug)]
pub(crate) struct Held {
    file: File,
    role: Role,
}

impl Held {
    /// Takes `role` on the description of `file`; `None` when another description holds it.
    ///
    /// # Errors
    /// The kernel's, for a file that cannot be locked.
    pub(crate) fn take(file: File, role: Role) -> io::Result<Option<Held>> {
        match fcntl(&file, libc::F_OFD_SETLK, libc::F_WRLCK, role) {
            Ok(_) => Ok(Some(Held { file, role })),
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether another description holds `role`; see [`is_locked`].
    pub(crate) fn sees(&self, role: Role) -> bool {
        is_locked(&self.file, role).unwrap_or(false)
    }

    /// The file, locked as long as `self` lives.
    #[cfg(not(loom))]
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing would do but for copies of the descriptor; there is no one to tell of a failure.
        _ = fcntl(&self.file, libc::F_OFD_SETLK, libc::F_UNLCK, self.role);
    }
}

/// Whether a description other than that of `file` holds `role`; takes nothing.
///
/// # Errors
/// The kernel's, for a file that cannot be locked.
pub(crate) fn is_locked(file: &File, role: Role) -> io::Result<bool> {
    fcntl(file, libc::F_OFD_GETLK, libc::F_WRLCK, role)
        .map(|lock| lock.l_type != libc::F_UNLCK as libc::c_short)
}

fn fcntl(file: &File, command: libc::c_int, kind: libc::c_int, role: Role) -> io::Result<libc::flock> {
    let mut lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: role as libc::off_t,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open for the life of `file`, and `lock` is a valid `struct flock` the kernel may
    // read and write during the call.
    let rc = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) };
    if rc == -1 { Err(io::Error::last_os_error()) } else { Ok(lock) }
}
