//! Instance directories: where the named segments of one running engine live, and how a tool finds them.
//!
//! ```text
//! /dev/shm/corelane-<uid>/            base, 0700, ours alone; $CORELANE_SHM_DIR names another
//!   main-1790000000123-4242/          one engine: name, start (ms since 1970), process id
//!     lock                            flock held while the engine lives
//!     stats control ...               named segments, readable after death
//! ```
//!
//! Life is told by the lock, never by the process id, which the kernel gives out again. A directory appears
//! under its name only after its lock is held, so nobody mistakes one that is being born for a dead one.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Environment variable that names another base directory.
pub const BASE_ENV: &str = "CORELANE_SHM_DIR";
/// File whose lock says that the engine lives.
pub const LOCK_FILE: &str = "lock";
/// Longest instance name, bytes.
pub const INSTANCE_NAME_MAX: usize = 32;

/// Age at which a directory that never got its name is taken for an abandoned one.
const UNBORN_MAX: Duration = Duration::from_secs(60);

/// Why an instance directory could not be made or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstanceError {
    /// The name is empty, too long, or not plain.
    #[error("instance name {name:?}: 1 to {INSTANCE_NAME_MAX} of a-z 0-9 _ - are allowed")]
    Name {
        /// The name.
        name: String,
    },
    /// Somebody else could read or replace what we put there.
    #[error(
        "{dir}: owned by uid {uid} with mode {mode:o}; must be a directory of uid {own_uid} with mode 700"
    )]
    Unsafe {
        /// The base directory.
        dir: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its mode.
        mode: u32,
        /// Our user.
        own_uid: u32,
    },
    /// No engine has run under this base.
    #[error("no engine instance under {base}: start `corelane`, or name its directory")]
    NoneFound {
        /// The base directory.
        base: PathBuf,
    },
    /// The file system refused.
    #[error("{act} {path}: {source}")]
    Io {
        /// What was attempted.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

fn io_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> InstanceError {
    let path = path.to_path_buf();
    move |source| InstanceError::Io { act, path, source }
}

/// Real user id of this process, from `/proc/self/status`.
///
/// # Errors
/// When `/proc` is not mounted or not readable.
pub fn process_uid() -> io::Result<u32> {
    let status = fs::read_to_string("/proc/self/status")?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no Uid line in /proc/self/status"))
}

/// The base directory: `$CORELANE_SHM_DIR`, else `/dev/shm/corelane-<uid>`.
///
/// # Errors
/// When the user id cannot be read.
pub fn base_dir() -> Result<PathBuf, InstanceError> {
    match std::env::var_os(BASE_ENV).filter(|dir| !dir.is_empty()) {
        Some(dir) => Ok(PathBuf::from(dir)),
        None => {
            let uid = process_uid().map_err(io_error("read", Path::new("/proc/self/status")))?;
            Ok(PathBuf::from(format!("/dev/shm/corelane-{uid}")))
        }
    }
}

/// This engine's own directory. Dropping it lets go of the lock and leaves the files for whoever asks what
/// happened; [`clean`] removes them later.
#[derive(Debug)]
pub struct Instance {
    dir: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl Instance {
    /// Makes the directory of a new instance under `base` (made as well when missing) and takes its lock.
    ///
    /// # Errors
    /// A bad name, a base that others can touch, or the file system's refusal.
    pub fn create(base: &Path, name: &str) -> Result<Instance, InstanceError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        if !(1..=INSTANCE_NAME_MAX).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(InstanceError::Name { name: name.to_string() });
        }
        make_base(base)?;
        let pid = std::process::id();
        let mut created_ms = now_ms();
        let unborn = base.join(format!(".{name}-{created_ms}-{pid}-{}", unborn_number()));
        DirBuilder::new().mode(0o700).create(&unborn).map_err(io_error("make", &unborn))?;
        let lock_path = unborn.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io_error("make", &lock_path))?;
        lock.lock().map_err(io_error("lock", &lock_path))?;
        loop {
            let dir = base.join(format!("{name}-{created_ms}-{pid}"));
            match fs::rename(&unborn, &dir) {
                Ok(()) => return Ok(Instance { dir, _lock: lock }),
                // Two in one process within a millisecond: the other's directory is not empty.
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                    ) =>
                {
                    created_ms += 1;
                }
                Err(e) => return Err(io_error("rename to", &dir)(e)),
            }
        }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes the directory with everything in it.
    ///
    /// # Errors
    /// The file system's refusal.
    pub fn remove(self) -> Result<(), InstanceError> {
        fs::remove_dir_all(&self.dir).map_err(io_error("remove", &self.dir))
    }
}

/// An instance directory as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The directory.
    pub dir: PathBuf,
    /// Name of the instance.
    pub name: String,
    /// Start, ms since 1970, wall clock.
    pub created_ms: u64,
    /// Process id it had.
    pub pid: u32,
    /// Whether its lock is held.
    pub alive: bool,
}

impl Found {
    /// Reads what one directory's name and lock say; `None` when it is not an instance directory.
    pub fn at(dir: &Path) -> Option<Found> {
        let mut parts = dir.file_name()?.to_str()?.rsplitn(3, '-');
        let pid = parts.next()?.parse().ok()?;
        let created_ms = parts.next()?.parse().ok()?;
        let name = parts.next().filter(|name| !name.is_empty() && !name.starts_with('.'))?.to_string();
        let alive = lock_held(&dir.join(LOCK_FILE));
        Some(Found { dir: dir.to_path_buf(), name, created_ms, pid, alive })
    }
}

/// All instances under `base`, living before dead, then newest first. A base that does not exist has none.
///
/// # Errors
/// When `base` exists and cannot be listed.
pub fn list(base: &Path) -> Result<Vec<Found>, InstanceError> {
    let mut found: Vec<Found> = entries(base)?.iter().filter_map(|dir| Found::at(dir)).collect();
    found.sort_by(|a, b| (b.alive, b.created_ms, &b.dir).cmp(&(a.alive, a.created_ms, &a.dir)));
    Ok(found)
}

/// The newest living instance under `base`, else the newest dead one.
///
/// # Errors
/// [`InstanceError::NoneFound`] when there is neither.
pub fn newest(base: &Path) -> Result<Found, InstanceError> {
    list(base)?.into_iter().next().ok_or_else(|| InstanceError::NoneFound { base: base.to_path_buf() })
}

/// Removes the directories of dead instances except the newest `keep`, and those that never got their name.
/// Returns how many went. Who starts next calls this, so deaths never pile up.
///
/// # Errors
/// When `base` cannot be listed or a directory cannot be removed; the others have been tried.
pub fn clean(base: &Path, keep: usize) -> Result<usize, InstanceError> {
    let dead = list(base)?.into_iter().filter(|found| !found.alive).skip(keep).map(|found| found.dir);
    let unborn = entries(base)?.into_iter().filter(|dir| is_abandoned(dir));
    let mut removed = 0;
    let mut failed = None;
    for dir in dead.chain(unborn) {
        match fs::remove_dir_all(&dir) {
            Ok(()) => removed += 1,
            // Another start cleans up as well.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => failed = Some(io_error("remove", &dir)(e)),
        }
    }
    failed.map_or(Ok(removed), Err)
}

fn entries(base: &Path) -> Result<Vec<PathBuf>, InstanceError> {
    let listing = match fs::read_dir(base) {
        Ok(listing) => listing,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io_error("list", base)(e)),
    };
    let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    Ok(listing.flatten().filter(is_dir).map(|entry| entry.path()).collect())
}

fn is_abandoned(dir: &Path) -> bool {
    let unborn = dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let age = fs::metadata(dir).and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
    unborn && age.is_some_and(|age| age > UNBORN_MAX) && !lock_held(&dir.join(LOCK_FILE))
}

/// Whether somebody holds the lock of `path`. Without a readable lock file nobody does.
fn lock_held(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    // A shared probe: two tools that look at once do not take each other for an engine.
    match file.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
    }
}

/// Makes a base directory (0700) when it is missing, and sees that it is ours alone.
///
/// # Errors
/// A base that others can touch, or the file system's refusal.
pub fn make_base(base: &Path) -> Result<(), InstanceError> {
    match DirBuilder::new().mode(0o700).create(base) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(io_error("make", base)(e)),
    }
    // The parent may be writable by all: what already lies there must be ours and no link.
    let meta = fs::symlink_metadata(base).map_err(io_error("look at", base))?;
    let own_uid = process_uid().map_err(io_error("read", Path::new("/proc/self/status")))?;
    let mode = meta.mode() & 0o7777;
    if !meta.is_dir() || meta.uid() != own_uid || mode & 0o077 != 0 {
        return Err(InstanceError::Unsafe { dir: base.to_path_buf(), uid: meta.uid(), mode, own_uid });
    }
    Ok(())
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn unborn_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn newest_living_comes_before_newer_dead() {
        let scratch = Scratch::new("instance-newest");
        let base = scratch.path().join("base");
        assert!(matches!(newest(&base), Err(InstanceError::NoneFound { .. })));
        let first = Instance::create(&base, "main").unwrap();
        let second = Instance::create(&base, "paper").unwrap();
        let third = Instance::create(&base, "paper").unwrap();
        assert_eq!(fs::metadata(first.dir()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(first.dir().join(LOCK_FILE)).unwrap().mode() & 0o777, 0o600);
        let third_dir = third.dir().to_path_buf();
        assert!(Found::at(&third_dir).unwrap().alive);
        drop(third);
        assert!(!Found::at(&third_dir).unwrap().alive);
        let found = newest(&base).unwrap();
        assert!(found.alive);
        assert_ne!(found.dir, third_dir);
        assert_eq!(found.pid, std::process::id());
        let second_dir = second.dir().to_path_buf();
        drop((first, second));
        let found = newest(&base).unwrap();
        assert!(!found.alive && (found.dir == third_dir || found.dir == second_dir));
        assert_eq!(found.name, "paper");
    }

    #[test]
    fn cleaning_takes_the_dead_and_keeps_the_living() {
        let scratch = Scratch::new("instance-clean");
        let base = scratch.path().join("base");
        let living = Instance::create(&base, "main").unwrap();
        for _ in 0..20 {
            drop(Instance::create(&base, "main").unwrap());
        }
        assert_eq!(clean(&base, 3).unwrap(), 17);
        assert_eq!(list(&base).unwrap().len(), 4);
        assert!(living.dir().join(LOCK_FILE).exists());
        // One just being born is left alone.
        fs::create_dir(base.join(".main-1-1-0")).unwrap();
        assert_eq!(clean(&base, 0).unwrap(), 3);
        assert!(base.join(".main-1-1-0").exists());
        living.remove().unwrap();
        assert!(list(&base).unwrap().is_empty());
    }

    #[test]
    fn refuses_bad_names_and_open_bases() {
        let scratch = Scratch::new("instance-refuse");
        let base = scratch.path().join("base");
        for name in ["", "a/b", "..", "UP", &"x".repeat(33)] {
            assert!(matches!(Instance::create(&base, name), Err(InstanceError::Name { .. })), "{name}");
        }
        DirBuilder::new().mode(0o755).create(&base).unwrap();
        assert!(matches!(Instance::create(&base, "main"), Err(InstanceError::Unsafe { mode: 0o755, .. })));
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(scratch.path(), &link).unwrap();
        assert!(matches!(Instance::create(&link, "main"), Err(InstanceError::Unsafe { .. })));
    }
}
