//! A file of fixed size, allocated on the disk before it is mapped, written through memory.
//!
//! Allocation first: a page of a sparse mapping that finds no room on the disk is a SIGBUS, an allocation that finds
//! none is an error.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use memmap2::MmapMut;

/// A mapped file and the lock that says it is being written.
#[derive(Debug)]
pub(crate) struct Mapped {
    map: MmapMut,
    file: File,
}

impl Mapped {
    /// Makes a new file (mode 0600) of `bytes` zeroes. Nothing is left of it on failure.
    pub(crate) fn create(path: &Path, bytes: usize) -> io::Result<Mapped> {
        within_file_limit(bytes as u64)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        let mapped = allocate(&file, bytes).and_then(|()| {
            file.try_lock()?;
            // SAFETY: the file was made by this call under a name nobody had, is mode 0600, locked, and of its full
            // length with every page allocated. Another process of this user that cuts it makes our next store a
            // SIGBUS, which ends the process; it cannot make memory unsound in a way that goes on.
            unsafe { MmapMut::map_mut(&file) }
        });
        match mapped {
            Ok(map) => Ok(Mapped { map, file }),
            Err(error) => {
                // What is refused leaves nothing behind; that it cannot be removed either adds nothing to the error.
                let _ = std::fs::remove_file(path);
                Err(error)
            }
        }
    }

    /// Bytes of the file.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Copies `bytes` to `at`; the caller has made sure of the room.
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.map[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Publishes a word after everything that was written before it.
    pub(crate) fn publish_u32(&mut self, at: usize, value: u32) {
        assert!(at.is_multiple_of(4));
        let word = self.map[at..at + 4].as_mut_ptr().cast::<u32>();
        // SAFETY: the slice above proves four bytes in bounds; a mapping begins at a page and `at` is a multiple of
        // four, so the word is aligned; the exclusive borrow of `self` keeps others of this process away meanwhile.
        let word = unsafe { AtomicU32::from_ptr(word) };
        // Release: a reader that sees the length sees the record.
        word.store(value, Ordering::Release);
    }

    /// The same for eight bytes.
    pub(crate) fn publish_u64(&mut self, at: usize, value: u64) {
        assert!(at.is_multiple_of(8));
        let word = self.map[at..at + 8].as_mut_ptr().cast::<u64>();
        // SAFETY: as in `publish_u32`, with eight bytes.
        let word = unsafe { AtomicU64::from_ptr(word) };
        word.store(value, Ordering::Release);
    }

    /// Ends the mapping and cuts the file to what was used.
    pub(crate) fn close(self, used: usize) -> io::Result<()> {
        let Mapped { map, file } = self;
        drop(map);
        file.set_len(used as u64)
    }
}

/// Refuses a size beyond RLIMIT_FSIZE: reaching it would be a SIGXFSZ.
fn within_file_limit(bytes: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid, exclusively borrowed rlimit for the duration of the call.
    let got = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
    if got == 0 && limit.rlim_cur != libc::RLIM_INFINITY && bytes > limit.rlim_cur {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    Ok(())
}

fn allocate(file: &File, bytes: usize) -> io::Result<()> {
    let len = libc::off_t::try_from(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    // SAFETY: the descriptor is open for the life of `file`; the call touches no memory of ours.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
