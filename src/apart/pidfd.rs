//! A hold on a process that its number, which the kernel gives out again, is not (pidfd_open(2)).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A process, as long as this lives; dead, it stays the same one.
#[derive(Debug)]
pub(super) struct Process(OwnedFd);

impl Process {
    /// The process that has this number now.
    ///
    /// # Errors
    /// There is none, or the kernel is older than 5.3.
    pub(super) fn of(pid: i32) -> io::Result<Process> {
        // SAFETY: two integers, no memory of ours; what comes back is an error or a descriptor of its own.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
        // SAFETY: the kernel just opened this descriptor for us, and nothing else owns it.
        Ok(Process(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Ends it (SIGKILL), stopped or not; one that has ended already is left alone.
    pub(super) fn end(&self) {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is open as long as `self` lives; without a siginfo the kernel reads nothing of ours.
        let _ =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), libc::SIGKILL, none, 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn one_that_lives_is_ended_and_one_that_ended_is_left_alone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a process");
        let process = Process::of(child.id() as i32).expect("it lives");
        process.end();
        assert_eq!(child.wait().expect("its end").signal(), Some(libc::SIGKILL));
        process.end();
        assert!(Process::of(i32::MAX).is_err());
    }
}
