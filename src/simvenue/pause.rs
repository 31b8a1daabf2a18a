//! Sleeping until a socket is ready, finer than a millisecond.

use net::socket::Interest;
use std::time::Duration;

/// Descriptors to watch; kept between rounds for its memory.
#[derive(Default)]
pub(super) struct Pause {
    fds: Vec<libc::pollfd>,
}

impl Pause {
    /// Forgets what was watched.
    pub(super) fn clear(&mut self) {
        self.fds.clear();
    }

    /// Watches a descriptor; returns its place for [`Pause::is_ready`].
    pub(super) fn watch(&mut self, interest: Interest) -> usize {
        let events =
            if interest.read { libc::POLLIN } else { 0 } | if interest.write { libc::POLLOUT } else { 0 };
        self.fds.push(libc::pollfd { fd: interest.fd, events, revents: 0 });
        self.fds.len() - 1
    }

    /// Sleeps until a descriptor is ready or `timeout` has passed. An interruption or an error counts as nothing
    /// ready: the next round looks again.
    pub(super) fn sleep(&mut self, timeout: Duration) {
        for fd in &mut self.fds {
            fd.revents = 0;
        }
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: timeout.subsec_nanos() as libc::c_long,
        };
        let (fds, count) = (self.fds.as_mut_ptr(), self.fds.len() as libc::nfds_t);
        // SAFETY: pointer and count describe one live, exclusively borrowed vector of pollfd; the timespec lives for
        // the call; a null signal mask leaves the mask alone.
        unsafe { libc::ppoll(fds, count, &raw const timeout, std::ptr::null()) };
    }

    /// Whether the descriptor at this place is ready, has ended or failed.
    pub(super) fn is_ready(&self, place: usize) -> bool {
        self.fds.get(place).is_some_and(|fd| fd.revents != 0)
    }
}
