//! A shared mapping with a header: an anonymous file handed over by descriptor, or a named file.
//!
//! A memfd is sealed against growing and shrinking, so no peer can pull pages from under a mapping. Every page is
//! touched before the segment is given out, so the first message pays for no page fault.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use memmap2::{MmapOptions, MmapRaw};

use crate::atomic::{AtomicU64, Ordering};
use crate::error::SegmentError;
use crate::header::{HEADER_BYTES, HEADER_WORDS, Header, Ident};
use crate::lock::{self, Held, Role};
use crate::memory::{Locked, Memory, MemoryReport, Node, Pages, granule};
use crate::words::{Words, WordsMut};

/// The longest body, bytes: 64 GiB.
pub const BODY_BYTES_MAX: usize = 1 << 36;

const PAGE_WORDS: usize = 4096 / 8;
const SEALS: i32 = libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;

/// How a segment is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Loads only: observers. The kernel refuses the rest.
    ReadOnly,
    /// Loads and stores.
    ReadWrite,
}

/// A shared mapping. The mapping, its descriptors and, for the creator, the owner's lock live until the segment and
/// every view cut from it are dropped.
#[derive(Debug)]
pub struct Segment {
    words: Words,
    header: Header,
    memory: MemoryReport,
    files: Arc<Files>,
}

/// What a mapping stands on.
#[derive(Debug)]
struct Files {
    map: MmapRaw,
    /// The descriptor to hand over.
    file: File,
    /// The owner's lock, on a description that is never handed over.
    owner: Option<Held>,
}

impl Segment {
    /// An anonymous segment of `len` body bytes (rounded up to 8), sealed and pre-faulted, of type 0. `name` only
    /// shows in `/proc`.
    ///
    /// # Errors
    /// [`SegmentError::BadLength`]; [`SegmentError::Io`] when the kernel has no memory or descriptors left.
    pub fn memfd(name: &str, len: usize) -> Result<Segment, SegmentError> {
        Segment::memfd_as(name, &Ident::default(), len)
    }

    /// An anonymous segment with an identity of its own; see [`memfd`](Segment::memfd).
    ///
    /// # Errors
    /// As for [`memfd`](Segment::memfd).
    pub fn memfd_as(name: &str, ident: &Ident, len: usize) -> Result<Segment, SegmentError> {
        Segment::memfd_in(name, ident, len, Memory::default())
    }

    /// An anonymous segment in memory of a kind; see [`memfd`](Segment::memfd). What was asked of `memory` and could not
    /// be had is in the [report](Segment::memory), and no error.
    ///
    /// # Errors
    /// As for [`memfd`](Segment::memfd).
    pub fn memfd_in(name: &str, ident: &Ident, len: usize, memory: Memory) -> Result<Segment, SegmentError> {
        let len = body_len(len)?;
        let (file, report) = memory.file(name, HEADER_BYTES + len)?;
        file.set_permissions(PermissionsExt::from_mode(0o600)).map_err(SegmentError::io("fchmod"))?;
        seal(&file).map_err(SegmentError::io("fcntl(F_ADD_SEALS)"))?;
        let owner = lock::reopen(&file).map_err(SegmentError::io("open(/proc/self/fd)"))?;
        let mut segment = Segment { memory: report, ..Segment::found(file, owner, ident, len, 1)? };
        if memory.locked {
            let errno = |e: io::Error| e.raw_os_error().unwrap_or(libc::EINVAL);
            segment.memory.locked =
                segment.lock_memory().map_or_else(|e| Locked::No { errno: errno(e) }, |()| Locked::Yes);
        }
        Ok(segment)
    }

    /// Maps a descriptor received from the segment's creator, checking it as [`open_file`](Segment::open_file) does
    /// a file, and that it is sealed.
    ///
    /// # Errors
    /// [`SegmentError::NotSealed`], and those of [`open_file`](Segment::open_file) except for paths.
    pub fn from_fd(fd: OwnedFd, expect: &Ident, access: Access) -> Result<Segment, SegmentError> {
        let file = File::from(fd);
        // SAFETY: a plain query on a descriptor open for the life of `file`.
        let found = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
        if found == -1 || found & SEALS != SEALS {
            return Err(SegmentError::NotSealed { found: found.max(0), expected: SEALS });
        }
        check_owner(file.metadata().map_err(SegmentError::io("fstat"))?.uid())?;
        Segment::attach(file, expect, access)
    }

    /// The descriptor, to hand to another process. For a named file it carries no lock either.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.files.file.as_fd()
    }

    /// The header as it was at attach.
    pub fn header(&self) -> Header {
        self.header
    }

    /// What memory it lies in, as far as this process asked.
    pub fn memory(&self) -> MemoryReport {
        self.memory
    }

    /// Keeps this process's mapping from being paged out (`mlock`), until it is dropped.
    ///
    /// # Errors
    /// The kernel's: `ENOMEM` or `EPERM` beyond `RLIMIT_MEMLOCK`.
    pub fn lock_memory(&self) -> io::Result<()> {
        self.files.map.lock()
    }

    /// The body, load only.
    pub fn words(&self) -> Words {
        self.words.clone()
    }

    /// The body, loads and stores.
    ///
    /// # Errors
    /// [`SegmentError::ReadOnly`] for a read-only mapping.
    pub fn words_mut(&self) -> Result<WordsMut, SegmentError> {
        WordsMut::of(self.words.clone()).ok_or(SegmentError::ReadOnly)
    }

    /// Whether the creator (or a view it has cut) still lives: one system call, no side effect. Sees a death at
    /// once; a hang is for heartbeats to tell.
    pub fn owner_alive(&self) -> bool {
        self.files.owner.is_some() || self.role_held(Role::Owner)
    }

    /// Whether some living endpoint holds `role`: one system call, no side effect.
    pub fn role_held(&self, role: Role) -> bool {
        lock::is_locked(&self.files.file, role).unwrap_or(false)
    }

    /// Takes `role` until the returned lock is dropped or the process dies. `pid_word` is the body word that holds
    /// the process id of the last to take it.
    ///
    /// # Errors
    /// [`SegmentError::RoleTaken`], [`SegmentError::ReadOnly`], [`SegmentError::Io`].
    pub(crate) fn claim(&self, role: Role, pid_word: usize) -> Result<Held, SegmentError> {
        let words = self.words_mut()?;
        let file = lock::reopen(self.fd()).map_err(SegmentError::io("open(/proc/self/fd)"))?;
        let Some(held) = Held::take(file, role).map_err(SegmentError::io("fcntl(F_OFD_SETLK)"))? else {
            let pid = words.reader().get(pid_word, Ordering::Relaxed).unwrap_or(0) as u32;
            return Err(SegmentError::RoleTaken { role, pid });
        };
        words.store(pid_word, std::process::id() as u64, Ordering::Relaxed);
        Ok(held)
    }

    /// Founds a segment on a fresh file: takes the owner's lock, maps, writes the header, the magic last.
    pub(crate) fn found(
        file: File,
        owner: File,
        ident: &Ident,
        len: usize,
        epoch: u64,
    ) -> Result<Segment, SegmentError> {
        let Some(owner) = Held::take(owner, Role::Owner).map_err(SegmentError::io("fcntl(F_OFD_SETLK)"))?
        else {
            return Err(SegmentError::RoleTaken { role: Role::Owner, pid: 0 });
        };
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let header = Header {
            ident: *ident,
            payload_len: len as u64,
            created_ns: created.as_nanos() as u64,
            pid: std::process::id(),
            uid: euid(),
            epoch,
        };
        let granule = granule(&file).map_err(SegmentError::io("fstatfs"))?;
        let size = (HEADER_BYTES + len).next_multiple_of(granule as usize);
        let (all, files) = map(file, Some(owner), size, Access::ReadWrite)?;
        header.write(&WordsMut::of(all.clone()).ok_or(SegmentError::ReadOnly)?);
        Segment::over(&all, header, granule, files)
    }

    /// Maps an existing file and checks its header.
    pub(crate) fn attach(file: File, expect: &Ident, access: Access) -> Result<Segment, SegmentError> {
        let size = file.metadata().map_err(SegmentError::io("fstat"))?.len();
        if size == 0 {
            return Err(SegmentError::NotReady);
        }
        if size < HEADER_BYTES as u64 {
            return Err(SegmentError::Truncated { found: size, expected: HEADER_BYTES as u64 });
        }
        let max = HEADER_BYTES + BODY_BYTES_MAX;
        if size > max as u64 {
            return Err(SegmentError::WrongSize { found: size, expected: max as u64 });
        }
        // Only whole words are mapped; a stray tail is reported below as the wrong size.
        let granule = granule(&file).map_err(SegmentError::io("fstatfs"))?;
        let (all, files) = map(file, None, size as usize & !7, access)?;
        let header = Header::read(&all, size, granule, expect)?;
        Segment::over(&all, header, granule, files)
    }

    /// The segment over a whole mapping, its views beginning at the body and ending with it: huge pages may go on.
    fn over(all: &Words, header: Header, granule: u64, files: Arc<Files>) -> Result<Segment, SegmentError> {
        let body = header.payload_len as usize / 8;
        let words = all.range(HEADER_WORDS, body).ok_or(SegmentError::NotReady)?;
        let pages = if granule > 1 { Pages::Huge { bytes: granule } } else { Pages::Ordinary };
        let memory = MemoryReport { pages, locked: Locked::NotAsked, node: Node::NotAsked };
        Ok(Segment { words, header, memory, files })
    }
}

/// `len` rounded up to whole words, checked against its range.
pub(crate) fn body_len(len: usize) -> Result<usize, SegmentError> {
    if len == 0 || len > BODY_BYTES_MAX {
        return Err(SegmentError::BadLength { len, max: BODY_BYTES_MAX });
    }
    Ok(len.next_multiple_of(8))
}

/// Refuses what belongs to another user.
pub(crate) fn check_owner(found: u32) -> Result<(), SegmentError> {
    let expected = euid();
    if found == expected { Ok(()) } else { Err(SegmentError::Foreign { found, expected }) }
}

fn euid() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

/// An empty anonymous file that can be sealed, close-on-exec, with `flags` besides.
pub(crate) fn memfd_create(name: &str, flags: libc::c_uint) -> io::Result<File> {
    let name = std::ffi::CString::new(name).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    // SAFETY: `name` is a nul-terminated string that outlives the call.
    let fd =
        unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | flags) };
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor to us, and nothing else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(File::from(fd))
}

fn seal(file: &File) -> io::Result<()> {
    // SAFETY: a plain call on a descriptor open for the life of `file`.
    let rc = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, SEALS) };
    if rc == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives the file its size and its memory, so that a full filesystem is an error now and not a signal later.
///
/// # Errors
/// The kernel's; what it had given is not taken back.
pub(crate) fn allocate(file: &File, len: usize) -> io::Result<()> {
    // SAFETY: a plain call on a descriptor open for the life of `file`; `len` is far below the range of `off_t`.
    let code = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len as libc::off_t) };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// Maps `len` bytes of `file`, a multiple of 8 that it has, and touches every page.
fn map(
    file: File,
    owner: Option<Held>,
    len: usize,
    access: Access,
) -> Result<(Words, Arc<Files>), SegmentError> {
    let mut options = MmapOptions::new();
    options.len(len).populate();
    let map = match access {
        Access::ReadWrite => options.map_raw(&file),
        Access::ReadOnly => options.map_raw_read_only(&file),
    }
    .map_err(SegmentError::io("mmap"))?;
    let files = Arc::new(Files { map, file, owner });
    let base = NonNull::new(files.map.as_mut_ptr().cast::<AtomicU64>()).ok_or(SegmentError::NotReady)?;
    let (writable, keep) = (access == Access::ReadWrite, Arc::clone(&files));
    // SAFETY: the mapping is `len` bytes from a page-aligned base, kept by `keep`, initialised by the kernel, and
    // accessed through these views only; a memfd cannot shrink (seals), a named file is private to this user, whose
    // programs never shrink one. `writable` says how it was mapped.
    let words = unsafe { Words::from_raw(base, len / 8, writable, keep) };
    for first in (0..words.len()).step_by(PAGE_WORDS) {
        match WordsMut::of(words.clone()) {
            // A write that changes nothing, whoever else is at the word.
            Some(words) => _ = words.fetch_add(first, 0, Ordering::Relaxed),
            None => _ = words.load(first, Ordering::Relaxed),
        }
    }
    Ok((words, files))
}
