//! io_uring: one multishot receive into a ring of provided buffers.
//!
//! ```text
//! kernel: multishot recv on fixed file 0 ──fills──► buffer of the ring ──CQE(bid, len)──► look()
//!            ▲ re-armed when a CQE lacks F_MORE                                             │
//!            └───────────────── buffer given back at the next look ◄───────────────────────┘
//! ```
//!
//! `SINGLE_ISSUER | DEFER_TASKRUN | TASKRUN_FLAG`: completions are prepared only when this thread enters the kernel,
//! and a flag in shared memory says when that is worth while. So a look is two loads, and no interrupt is sent to
//! the spinning core. What had to be got right:
//!
//! - The ring descriptor is registered in the one `Submitter` that is kept; a temporary would leak one of 16 slots.
//! - The queues come from `split`, so heads and tails are synchronised by hand.
//! - Every multishot can end: a completion without `F_MORE` re-arms, `ENOBUFS` is counted.
//! - A registered file keeps the socket open: detaching cancels, waits for the last completion, then unregisters.
//! - All entering calls belong to the opening thread; elsewhere they are refused before they reach the kernel.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fixed};
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, opcode, squeue};

use super::{IoCounters, Received};

/// Provided buffers, a power of two.
const BUFFERS: u16 = 256;
/// Bytes the kernel may write into each.
const BUFFER_BYTES: usize = 4096;
/// Distance between buffers: a scanner may read past the end of one.
const STRIDE: usize = BUFFER_BYTES + crate::ws::PADDING;
/// The buffer group's id within this ring.
const GROUP: u16 = 0;
/// User data of cancel requests; receives carry the connection's number, which starts at one.
const CANCEL: u64 = 0;
/// Enters after which a cancel is given up. One is enough in practice.
const CANCEL_ROUNDS: usize = 10_000;

/// Anonymous memory, unmapped on drop.
#[derive(Debug)]
struct Mapping {
    at: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches no existing memory.
        let at = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Self { at, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `at` and `len` are exactly what mmap returned, and the owner drops this once, last of all users.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.len) };
    }
}

/// The ring on the heap, freed after the halves that borrow from it.
#[derive(Debug)]
struct OwnedRing(*mut IoUring);

impl Drop for OwnedRing {
    fn drop(&mut self) {
        // SAFETY: the pointer came from Box::into_raw in `Uring::open` and is freed here only; the halves that
        // borrow from it are fields declared, and so dropped, before this one.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// One ring, its buffers, and the receive that may be armed on it. Fields drop in order: queues, ring, memory.
pub(super) struct Uring {
    submitter: Submitter<'static>,
    submissions: SubmissionQueue<'static>,
    completions: CompletionQueue<'static>,
    _ring: OwnedRing,
    entries: Option<Mapping>,
    buffers: Option<Mapping>,
    tail: u16,
    /// Number of the attached connection, from one.
    connection: u64,
    /// A multishot receive is in flight and will post one more completion at least.
    armed: bool,
    /// The buffer handed out by the last look.
    lent: Option<u16>,
    ring_fd_registered: bool,
    thread_mark: usize,
    counters: IoCounters,
}

// SAFETY: all pointers are to memory this value owns; nothing is tied to the thread but the right to enter the
// ring, and every entering call is guarded by `is_of_this_thread`.
unsafe impl Send for Uring {}

impl std::fmt::Debug for Uring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { connection, armed, counters, .. } = self;
        f.debug_struct("Uring")
            .field("connection", connection)
            .field("armed", armed)
            .field("counters", counters)
            .finish_non_exhaustive()
    }
}

/// An address that differs between live threads.
fn thread_mark() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| ptr::from_ref(mark).addr())
}

// ---- Setup and teardown ----

impl Uring {
    /// Opens a ring for the calling thread; an error carries the step that was refused.
    pub(super) fn open() -> Result<Self, (&'static str, io::Error)> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(1024)
            .build(64)
            .map_err(|error| ("setup", error))?;
        let owned = OwnedRing(Box::into_raw(Box::new(ring)));
        // SAFETY: the box is live until `owned` drops, which is after the three halves; no other reference to it
        // is made, so the exclusive borrow may be called static.
        let ring: &'static mut IoUring = unsafe { &mut *owned.0 };
        let (submitter, submissions, completions) = ring.split();
        let entries = Mapping::new(usize::from(BUFFERS) * size_of::<BufRingEntry>())
            .map_err(|error| ("buffer ring memory", error))?;
        let buffers =
            Mapping::new(usize::from(BUFFERS) * STRIDE).map_err(|error| ("buffer memory", error))?;
        let mut uring = Self {
            submitter,
            submissions,
            completions,
            _ring: owned,
            entries: Some(entries),
            buffers: Some(buffers),
            tail: 0,
            connection: 0,
            armed: false,
            lent: None,
            ring_fd_registered: false,
            thread_mark: thread_mark(),
            counters: IoCounters::default(),
        };
        uring.register()?;
        Ok(uring)
    }

    fn register(&mut self) -> Result<(), (&'static str, io::Error)> {
        let Some(entries) = &self.entries else {
            return Err(("buffer ring memory", io::ErrorKind::OutOfMemory.into()));
        };
        let at = entries.at.as_ptr().addr() as u64;
        // SAFETY: the mapping is page-aligned, holds BUFFERS entries, and outlives the ring: it is unmapped only
        // after the ring is closed, or never.
        unsafe { self.submitter.register_buf_ring_with_flags(at, BUFFERS, GROUP, 0) }
            .map_err(|error| ("buffer ring", error))?;
        self.submitter.register_files_sparse(1).map_err(|error| ("file table", error))?;
        // Sixteen slots per thread; a seventeenth ring works without one, 20 ns slower per enter.
        self.ring_fd_registered = self.submitter.register_ring_fd().is_ok();
        for buffer in 0..BUFFERS {
            self.give_back(buffer);
        }
        Ok(())
    }

    pub(super) fn attach(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.check_thread()?;
        self.submitter.register_files_update(0, &[fd.as_raw_fd()])?;
        self.connection += 1;
        self.arm()
    }

    /// Cancels the receive, takes every completion of it, and drops the kernel's reference to the socket.
    pub(super) fn detach(&mut self) {
        self.take_back();
        if self.check_thread().is_err() {
            return;
        }
        if self.armed {
            let cancel = opcode::AsyncCancel::new(self.connection).build().user_data(CANCEL);
            let mut asked = self.submit(&cancel).is_ok();
            for _ in 0..CANCEL_ROUNDS {
                while let Some(completion) = self.pop() {
                    self.settle(&completion);
                }
                if !self.armed {
                    break;
                }
                if !asked {
                    asked = self.submit(&cancel).is_ok();
                }
                // An error shows as a receive that stays armed, which the rounds bound.
                let _ = self.enter();
            }
        }
        // Refused only when the table is gone, and then so is the reference.
        let _ = self.submitter.register_files_update(0, &[-1]);
    }

    /// Takes note of a completion whose bytes nobody wants.
    fn settle(&mut self, completion: &cqueue::Entry) {
        if let Some(buffer) = cqueue::buffer_select(completion.flags())
            && buffer < BUFFERS
        {
            self.give_back(buffer);
        }
        if completion.user_data() == self.connection && !cqueue::more(completion.flags()) {
            self.armed = false;
        }
    }

    pub(super) fn is_of_this_thread(&self) -> bool {
        self.thread_mark == thread_mark()
    }

    fn check_thread(&self) -> io::Result<()> {
        // A registered descriptor means another ring on another thread, so the call must not be made at all.
        if self.is_of_this_thread() { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EXDEV)) }
    }

    pub(super) fn counters(&self) -> IoCounters {
        self.counters
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        if self.check_thread().is_ok() {
            // Both fail only when the ring is already gone.
            let _ = self.submitter.unregister_buf_ring(GROUP);
            if self.ring_fd_registered {
                let _ = self.submitter.unregister_ring_fd();
            }
        }
        if self.armed {
            // The kernel may still write: this memory must never be anyone else's. 1 MiB at most, and only when a
            // cancel was impossible.
            let _kept = std::mem::ManuallyDrop::new((self.entries.take(), self.buffers.take()));
        }
    }
}

// ---- Per look ----

impl Uring {
    #[inline]
    pub(super) fn look(&mut self) -> Option<Received<'_>> {
        self.take_back();
        if self.submissions.taskrun()
            && let Err(error) = self.enter()
        {
            return Some(failed(&error));
        }
        loop {
            let completion = self.pop()?;
            let (result, flags) = (completion.result(), completion.flags());
            let buffer = cqueue::buffer_select(flags).filter(|buffer| *buffer < BUFFERS);
            if completion.user_data() != self.connection {
                self.settle(&completion);
                continue;
            }
            let more = cqueue::more(flags);
            self.armed = more;
            match result {
                0 => {
                    self.settle(&completion);
                    return Some(Received::End);
                }
                1.. => {
                    let Some(buffer) = buffer else { return Some(Received::Failed { errno: libc::EIO }) };
                    self.lent = Some(buffer);
                    if !more && let Err(error) = self.arm() {
                        return Some(failed(&error));
                    }
                    return self.lend(buffer, result as usize);
                }
                negative => {
                    self.settle(&completion);
                    match -negative {
                        libc::ENOBUFS => {
                            self.counters.no_buffers += 1;
                            if !more && let Err(error) = self.arm() {
                                return Some(failed(&error));
                            }
                        }
                        libc::EINTR | libc::EAGAIN => {
                            if !more && let Err(error) = self.arm() {
                                return Some(failed(&error));
                            }
                        }
                        errno => return Some(Received::Failed { errno }),
                    }
                }
            }
        }
    }

    #[inline]
    fn lend(&mut self, buffer: u16, len: usize) -> Option<Received<'_>> {
        let base = self.buffers.as_ref()?.at;
        let len = len.min(BUFFER_BYTES);
        // SAFETY: `buffer` is below BUFFERS (checked by every caller), so the offset stays inside the mapping.
        let at = unsafe { base.add(usize::from(buffer) * STRIDE) };
        // SAFETY: `len` is at most BUFFER_BYTES, which fits the stride; the kernel has given the buffer up with
        // this completion and gets it back only in `take_back`, which needs `&mut self` and so ends this borrow.
        Some(Received::Bytes(unsafe { std::slice::from_raw_parts_mut(at.as_ptr(), len) }))
    }

    #[inline]
    fn take_back(&mut self) {
        if let Some(buffer) = self.lent.take() {
            self.give_back(buffer);
        }
    }

    /// Offers a buffer to the kernel.
    #[inline]
    fn give_back(&mut self, buffer: u16) {
        let (Some(entries), Some(buffers)) = (&self.entries, &self.buffers) else { return };
        let ring: *mut BufRingEntry = entries.at.as_ptr().cast();
        let slot = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: `slot` is below BUFFERS, the number of entries the mapping holds.
        let entry = unsafe { ring.add(slot) };
        // SAFETY: the kernel reads entries only between its head and the published tail; this one lies behind the
        // tail until the store below, so nobody else looks at it.
        let entry = unsafe { &mut *entry };
        entry.set_addr((buffers.at.as_ptr().addr() + usize::from(buffer) * STRIDE) as u64);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `ring` is the base of a registered buffer ring, where the tail lives.
        let tail = unsafe { BufRingEntry::tail(ring) };
        // SAFETY: the tail is an aligned u16 inside the mapping, shared with the kernel, which only reads it.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        // Release: the entry must be whole before the kernel, which loads with acquire, can see it.
        tail.store(self.tail, Ordering::Release);
    }

    #[inline]
    fn pop(&mut self) -> Option<cqueue::Entry> {
        self.completions.sync();
        let completion = self.completions.next();
        if completion.is_some() {
            // Publishes the head at once, so the queue can never fill up behind a slow reader.
            self.completions.sync();
        }
        completion
    }

    /// Runs the kernel's deferred work for this ring, without waiting.
    #[inline]
    fn enter(&mut self) -> io::Result<()> {
        self.check_thread()?;
        self.counters.enters += 1;
        /// `IORING_ENTER_GETEVENTS`.
        const GET_EVENTS: u32 = 1;
        // SAFETY: no argument structure is passed; nothing waits to be submitted that could be invalid.
        match unsafe { self.submitter.enter::<libc::sigset_t>(0, 0, GET_EVENTS, None) } {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    #[cold]
    fn arm(&mut self) -> io::Result<()> {
        self.counters.arms += 1;
        let receive = opcode::RecvMulti::new(Fixed(0), GROUP).build().user_data(self.connection);
        self.submit(&receive)?;
        self.armed = true;
        Ok(())
    }

    #[cold]
    fn submit(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        self.check_thread()?;
        // SAFETY: both kinds of entry used here (multishot receive into registered buffers, cancel by number) point
        // to no memory of ours beyond the registered mappings, which outlive the ring.
        unsafe { self.submissions.push(entry) }.map_err(|_| io::Error::from_raw_os_error(libc::EBUSY))?;
        self.submissions.sync();
        self.counters.enters += 1;
        self.submitter.submit().map(drop)
    }
}

fn failed(error: &io::Error) -> Received<'static> {
    Received::Failed { errno: error.raw_os_error().unwrap_or(libc::EIO) }
}
