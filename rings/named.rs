//! Named segments: files in an instance directory, for observers and for who comes after a crash.
//!
//! A file is 0600 in a directory 0700 of the same user. It appears under its name complete: built aside, then linked
//! there, or renamed over the file of a dead owner. It stays readable after its owner died, and no living owner's
//! file is ever replaced. What a creator that died left aside is removed by the next.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64 as Counter;

use crate::atomic::Ordering;
use crate::error::SegmentError;
use crate::header::{HEADER_BYTES, Ident, epoch_of, pid_of};
use crate::lock::{self, Held, Role};
use crate::segment::{Access, Segment, allocate, body_len, check_owner};

impl Segment {
    /// Creates the named segment of `len` body bytes (rounded up to 8), taking the owner's lock. The directory is
    /// made when missing. A file left by a dead owner is replaced, its epoch continued.
    ///
    /// # Errors
    /// [`SegmentError::InUse`] when a living process owns the name; [`SegmentError::Permissions`] or
    /// [`SegmentError::Foreign`] for a directory others can reach or own; [`SegmentError::BadLength`];
    /// [`SegmentError::NotAFile`]; [`SegmentError::Denied`]; [`SegmentError::Io`], among them no space left.
    pub fn create_file(path: &Path, ident: &Ident, len: usize) -> Result<Segment, SegmentError> {
        let len = body_len(len)?;
        make_dir(parent(path))?;
        sweep(path)?;
        // A pass is repeated only when another creator came or went in between; each such pass someone made
        // progress.
        for _ in 0..16 {
            let previous = match claim_previous(path)? {
                Previous::Moved => continue,
                Previous::None => None,
                Previous::Dead(held) => Some(held),
            };
            let epoch = previous.as_ref().map_or(1, |held| epoch_of(held.file()).wrapping_add(1).max(1));
            let (aside, file) = create_aside(path)?;
            let built = build_aside(file, ident, len, epoch).and_then(|segment| {
                let named = match &previous {
                    // `previous` is locked until the end of the pass: no other creator renames over it.
                    Some(_) => std::fs::rename(&aside, path),
                    None => std::fs::hard_link(&aside, path),
                };
                match named {
                    Ok(()) => Ok(Some(segment)),
                    // Another came first, or took what lay aside for a dead creator's.
                    Err(e) if matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                        Ok(None)
                    }
                    Err(e) => Err(at(path, "rename", e)),
                }
            });
            if previous.is_none() || !matches!(built, Ok(Some(_))) {
                remove(&aside)?;
            }
            match built {
                Ok(Some(segment)) => return Ok(segment),
                // Swept by another creator before it was locked.
                Ok(None) | Err(SegmentError::RoleTaken { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Err(SegmentError::InUse { path: path.to_path_buf(), pid: 0 })
    }

    /// Opens the named segment and checks it against `expect`: type and layout always, each hash unless expected
    /// as 0.
    ///
    /// # Errors
    /// Each way to fail has its own: [`NotFound`](SegmentError::NotFound), [`Denied`](SegmentError::Denied),
    /// [`NotAFile`](SegmentError::NotAFile), [`Foreign`](SegmentError::Foreign),
    /// [`Permissions`](SegmentError::Permissions), [`NotReady`](SegmentError::NotReady),
    /// [`WrongMagic`](SegmentError::WrongMagic), [`Truncated`](SegmentError::Truncated),
    /// [`WrongSize`](SegmentError::WrongSize), [`WrongType`](SegmentError::WrongType),
    /// [`WrongLayout`](SegmentError::WrongLayout), [`WrongBuild`](SegmentError::WrongBuild),
    /// [`WrongConfig`](SegmentError::WrongConfig), [`Io`](SegmentError::Io).
    pub fn open_file(path: &Path, expect: &Ident, access: Access) -> Result<Segment, SegmentError> {
        let file = open(path, access == Access::ReadWrite)?;
        check_private(path, &file.metadata().map_err(SegmentError::io("fstat"))?)?;
        let dir = parent(path);
        check_private(dir, &std::fs::metadata(dir).map_err(|e| at(dir, "stat", e))?)?;
        Segment::attach(file, expect, access)
    }
}

/// What stood under the name of a new segment.
enum Previous {
    /// Nothing.
    None,
    /// A file nobody living owns; its owner's lock is now ours.
    Dead(Held),
    /// A file that left the name while it was looked at.
    Moved,
}

/// Opens and locks whatever stands at `path`.
fn claim_previous(path: &Path) -> Result<Previous, SegmentError> {
    let file = match open(path, true) {
        Ok(file) => file,
        Err(SegmentError::NotFound { .. }) => return Ok(Previous::None),
        Err(e) => return Err(e),
    };
    let theirs = pid_of(&file);
    let Some(held) = Held::take(file, Role::Owner).map_err(SegmentError::io("fcntl(F_OFD_SETLK)"))? else {
        return Err(SegmentError::InUse { path: path.to_path_buf(), pid: theirs });
    };
    let ours = held.file().metadata().map_err(SegmentError::io("fstat"))?;
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.ino() == ours.ino() && there.dev() == ours.dev() => Ok(Previous::Dead(held)),
        Ok(_) => Ok(Previous::Moved),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Previous::Moved),
        Err(e) => Err(at(path, "stat", e)),
    }
}

/// Removes what creators of `path` that are dead left beside it. A living one's is locked, or will be made again.
fn sweep(path: &Path) -> Result<(), SegmentError> {
    let dir = parent(path);
    let Some(name) = path.file_name().and_then(std::ffi::OsStr::to_str) else { return Ok(()) };
    for entry in std::fs::read_dir(dir).map_err(|e| at(dir, "readdir", e))? {
        let entry = entry.map_err(SegmentError::io("readdir"))?.file_name();
        let aside = entry.to_str().and_then(|e| e.strip_prefix('.')?.strip_prefix(name)?.strip_prefix('.'));
        let is_ours = aside.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
        if !is_ours {
            continue;
        }
        let aside = dir.join(entry);
        match open(&aside, true) {
            Ok(file) => {
                if Held::take(file, Role::Owner).map_err(SegmentError::io("fcntl(F_OFD_SETLK)"))?.is_some() {
                    remove(&aside)?;
                }
            }
            // Gone meanwhile.
            Err(SegmentError::NotFound { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> Result<(), SegmentError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(at(path, "unlink", e)),
        _ => Ok(()),
    }
}

/// A fresh file beside `path`, under a name no other creation uses.
fn create_aside(path: &Path) -> Result<(PathBuf, File), SegmentError> {
    static SERIAL: Counter = Counter::new(0);
    let name = path.file_name().ok_or_else(|| SegmentError::NotAFile { path: path.to_path_buf() })?;
    let mut aside = std::ffi::OsString::from(".");
    aside.push(name);
    aside.push(format!(".{}.{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
    let aside = parent(path).join(aside);
    // Left by a process of our number, if it is there.
    remove(&aside)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)
        .map_err(|e| at(&aside, "open", e))?;
    Ok((aside, file))
}

fn build_aside(owner: File, ident: &Ident, len: usize, epoch: u64) -> Result<Segment, SegmentError> {
    owner.set_permissions(PermissionsExt::from_mode(0o600)).map_err(SegmentError::io("fchmod"))?;
    allocate(&owner, HEADER_BYTES + len).map_err(SegmentError::io("posix_fallocate"))?;
    let file = lock::reopen(&owner).map_err(SegmentError::io("open(/proc/self/fd)"))?;
    Segment::found(file, owner, ident, len, epoch)
}

/// Opens a regular file without following a link or waiting for a pipe.
fn open(path: &Path, write: bool) -> Result<File, SegmentError> {
    let file = OpenOptions::new()
        .read(true)
        .write(write)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(|e| at(path, "open", e))?;
    if !file.metadata().map_err(SegmentError::io("fstat"))?.is_file() {
        return Err(SegmentError::NotAFile { path: path.to_path_buf() });
    }
    Ok(file)
}

/// Names the failures of a call on `path` that have names.
fn at(path: &Path, call: &'static str, e: io::Error) -> SegmentError {
    let path = path.to_path_buf();
    match e.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => SegmentError::NotFound { path },
        Some(libc::EACCES | libc::EPERM) => SegmentError::Denied { path },
        Some(libc::ELOOP | libc::EISDIR | libc::ENXIO) => SegmentError::NotAFile { path },
        _ => SegmentError::Io { call, source: e },
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

fn make_dir(dir: &Path) -> Result<(), SegmentError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| at(dir, "mkdir", e))?;
    check_private(dir, &std::fs::metadata(dir).map_err(|e| at(dir, "stat", e))?)
}

fn check_private(path: &Path, meta: &std::fs::Metadata) -> Result<(), SegmentError> {
    check_owner(meta.uid())?;
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SegmentError::Permissions { path: path.to_path_buf(), mode });
    }
    Ok(())
}
