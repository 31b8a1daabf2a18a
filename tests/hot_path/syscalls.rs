//! Counts the system calls of one thread that are not on its list.
//!
//! The thread puts a seccomp filter on itself that lets its list pass at full speed and reports everything else to a
//! listener, which notes the number and lets the call go on. Nothing is refused, so a failing test names what it
//! found instead of dying of it. Needs Linux 5.5 and no other listener above this process.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// `SIOCOUTQNSD` of `linux/sockios.h`: unsent bytes of a socket.
const SIOCOUTQNSD: u32 = 0x894b;

/// Puts the filter on the calling thread for the rest of its life: `allowed` numbers pass, and `ioctl` when it asks
/// for unsent bytes. Returns the listener's end, which must be served until the thread has ended.
///
/// # Errors
/// The system knows no such filter, or forbids it.
pub(crate) fn watch_this_thread(allowed: &[i64]) -> io::Result<OwnedFd> {
    // Offsets into `seccomp_data`: the number, and the low half of the second argument.
    const NR: u32 = 0;
    const ARG1: u32 = 24;
    let jump = |k: u32, jt: usize, jf: usize| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: jt as u8,
        jf: jf as u8,
        k,
    };
    let op = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let load = |at| op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at);
    let mut code = vec![load(NR)];
    for (i, nr) in allowed.iter().enumerate() {
        // To `allow`, over the rest of the list and the four lines of ioctl.
        code.push(jump(*nr as u32, allowed.len() - i - 1 + 4, 0));
    }
    code.push(jump(libc::SYS_ioctl as u32, 0, 2));
    code.push(load(ARG1));
    code.push(jump(SIOCOUTQNSD, 1, 0));
    code.push(op(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF));
    code.push(op(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    // SAFETY: sets a flag of this thread; takes no pointer.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    // SAFETY: `program` and the code it points to live across the call, and the kernel copies them.
    let fd = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Serves a filter's reports on a thread of its own.
pub(crate) struct Listener {
    thread: JoinHandle<()>,
    shared: Arc<Shared>,
}

struct Shared {
    counting: &'static AtomicBool,
    over: AtomicBool,
    calls: Mutex<BTreeMap<i64, u64>>,
}

impl Listener {
    /// Listens at `fd` and counts while `counting` is set, until [`Listener::counted`] clears it. A thread whose call
    /// is being looked at waits for the answer, so what it has set itself is seen exactly.
    pub(crate) fn new(fd: OwnedFd, counting: &'static AtomicBool) -> Listener {
        let shared = Arc::new(Shared { counting, over: AtomicBool::new(false), calls: Mutex::default() });
        let seen = shared.clone();
        let thread = std::thread::spawn(move || {
            while !seen.over.load(Ordering::Acquire) {
                serve(&fd, &seen);
            }
        });
        Listener { thread, shared }
    }

    /// Ends counting; calls not on the list so far, by number. They still go on afterwards.
    pub(crate) fn counted(&self) -> BTreeMap<i64, u64> {
        self.shared.counting.store(false, Ordering::SeqCst);
        self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets calls go on until the thread has ended: under a filter that nobody serves it could not.
    pub(crate) fn serve_to_the_end(self) {
        self.thread.join().expect("the listener");
    }
}

fn serve(fd: &OwnedFd, shared: &Shared) {
    let mut ready = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one live, exclusively borrowed pollfd.
    let n = unsafe { libc::poll(&raw mut ready, 1, 20) };
    if n <= 0 || ready.revents & libc::POLLIN == 0 {
        if ready.revents & libc::POLLHUP != 0 {
            shared.over.store(true, Ordering::Release); // the thread has ended
        }
        return;
    }
    // SAFETY: all-zero is a valid value of this plain structure, and the kernel demands it.
    let mut report: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live structure of the kind this request fills.
    if unsafe { libc::ioctl(fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut report) } != 0 {
        return; // the caller was interrupted meanwhile and asks again
    }
    if shared.counting.load(Ordering::SeqCst) {
        let mut calls = shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry(i64::from(report.data.nr)).or_default() += 1;
    }
    let go_on = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
    let mut answer = libc::seccomp_notif_resp { id: report.id, val: 0, error: 0, flags: go_on };
    // SAFETY: the pointer is to a live structure of the kind this request reads. An error means that the caller is
    // gone, which is no concern of ours.
    unsafe { libc::ioctl(fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
}
