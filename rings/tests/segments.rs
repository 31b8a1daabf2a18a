//! Segments: what is written is found again, and every way to fail at attaching has its own name.
#![cfg(not(any(loom, miri)))]

use std::fs::{File, OpenOptions, Permissions};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rings::{Access, BODY_BYTES_MAX, HEADER_BYTES, Ident, MAGIC, Ordering, Segment, SegmentError};

const IDENT: Ident = Ident { type_id: 0x1234, layout_version: 3, build_hash: 0xb11d, config_hash: 0xc0f1 };

/// A directory of the test's own, 0700, gone afterwards.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = Path::new("/dev/shm").join(format!("corelane-rings-{}-{name}", std::process::id()));
        _ = std::fs::remove_dir_all(&dir);
        Dir(dir)
    }

    fn file(&self) -> PathBuf {
        self.0.join("stats")
    }

    /// A sound segment whose creator is gone.
    fn dead(&self) -> PathBuf {
        let segment = Segment::create_file(&self.file(), &IDENT, 4096).unwrap();
        segment.words_mut().unwrap().store(5, 55, Ordering::Release);
        self.file()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

fn read(path: &Path) -> Result<Segment, SegmentError> {
    Segment::open_file(path, &IDENT, Access::ReadOnly)
}

fn patch(path: &Path, offset: u64, value: u64) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(&value.to_le_bytes(), offset).unwrap();
}

fn resize(path: &Path, len: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

#[test]
fn a_named_segment_is_read_alive_and_dead() {
    let dir = Dir::new("named");
    let before = std::time::SystemTime::now();
    let segment = Segment::create_file(&dir.file(), &IDENT, 1001).unwrap();
    let header = segment.header();
    assert_eq!((header.ident, header.payload_len, header.epoch), (IDENT, 1008, 1));
    assert_eq!(header.pid, std::process::id());
    assert!(header.created_ns >= before.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64);
    let meta = std::fs::metadata(dir.file()).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.len()), (0o600, 1008 + HEADER_BYTES as u64));
    assert_eq!(std::fs::metadata(&dir.0).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(std::fs::read_dir(&dir.0).unwrap().count(), 1, "what was built aside is gone");

    let observer = read(&dir.file()).unwrap();
    assert_eq!(observer.header(), header);
    assert!(observer.owner_alive() && segment.owner_alive());
    assert!(matches!(observer.words_mut(), Err(SegmentError::ReadOnly)));
    let words = segment.words_mut().unwrap();
    assert_eq!((words.len(), observer.words().len()), (126, 126));
    words.store(125, 77, Ordering::Release);
    assert_eq!(observer.words().load(125, Ordering::Acquire), 77);
    assert_eq!(observer.words().load(125, Ordering::SeqCst), 77);
    let other = Segment::open_file(&dir.file(), &IDENT, Access::ReadWrite).unwrap();
    other.words_mut().unwrap().store(0, 1, Ordering::Relaxed);
    assert_eq!(words.load(0, Ordering::Relaxed), 1);

    drop(segment);
    assert!(observer.owner_alive(), "a view still stands on the mapping");
    drop(words);
    assert!(!observer.owner_alive());
    assert_eq!(
        read(&dir.file()).unwrap().words().get(125, Ordering::Acquire),
        Some(77),
        "readable after death"
    );
}

#[test]
fn a_dead_owners_file_is_replaced_and_a_living_ones_is_not() {
    let dir = Dir::new("epochs");
    for epoch in 1..=3 {
        let segment = Segment::create_file(&dir.file(), &IDENT, 64).unwrap();
        assert_eq!(segment.header().epoch, epoch);
        assert_eq!(segment.words().load(0, Ordering::Relaxed), 0, "a fresh body");
        segment.words_mut().unwrap().store(0, epoch, Ordering::Relaxed);
        let again = Segment::create_file(&dir.file(), &IDENT, 64);
        assert!(matches!(again, Err(SegmentError::InUse { pid, .. }) if pid == std::process::id()));
        let observer = read(&dir.file()).unwrap();
        drop(segment);
        let next = Segment::create_file(&dir.file(), &IDENT, 64).unwrap();
        assert_eq!(observer.words().load(0, Ordering::Relaxed), epoch, "the old mapping is left alone");
        assert!(!observer.owner_alive() && next.owner_alive());
        drop(next);
        patch(&dir.file(), 40, epoch);
    }
    std::fs::write(dir.file(), b"short").unwrap();
    assert_eq!(Segment::create_file(&dir.file(), &IDENT, 64).unwrap().header().epoch, 1, "not a segment");
}

#[test]
fn of_many_creators_one_wins() {
    let dir = Dir::new("race");
    for _ in 0..50 {
        let path = dir.file();
        let made: Vec<_> = std::thread::scope(|scope| {
            let creators: Vec<_> =
                (0..4).map(|_| scope.spawn(|| Segment::create_file(&path, &IDENT, 64))).collect();
            creators.into_iter().map(|c| c.join().unwrap()).collect()
        });
        let won = made.iter().filter(|m| m.is_ok()).count();
        assert_eq!(won, 1, "{made:?}");
        assert!(made.iter().all(|m| matches!(m, Ok(_) | Err(SegmentError::InUse { .. }))), "{made:?}");
        assert!(read(&path).unwrap().owner_alive());
        assert_eq!(std::fs::read_dir(&dir.0).unwrap().count(), 1);
    }
}

#[test]
fn every_unsound_file_is_refused_by_name() {
    let dir = Dir::new("unsound");
    let missing = read(&dir.0.join("none").join("stats"));
    assert!(matches!(missing, Err(SegmentError::NotFound { .. })), "{missing:?}");

    macro_rules! refused {
        ($spoil:expr, $why:pat $(if $guard:expr)?) => {{
            let path = dir.dead();
            read(&path).unwrap();
            #[allow(clippy::redundant_closure_call, reason = "the macro takes a closure for its name of the path")]
            ($spoil)(path.as_path());
            let found = read(&path);
            assert!(matches!(found, Err($why) $(if $guard)?), "{found:?}");
            _ = std::fs::remove_file(&path);
        }};
    }
    refused!(|p: &Path| std::fs::remove_file(p).unwrap(), SegmentError::NotFound { .. });
    refused!(|p: &Path| patch(p, 0, 0), SegmentError::NotReady);
    refused!(|p: &Path| resize(p, 0), SegmentError::NotReady);
    refused!(|p: &Path| patch(p, 0, MAGIC + 1), SegmentError::WrongMagic { found, .. } if found == MAGIC + 1);
    refused!(|p: &Path| patch(p, 8, 3 | 9 << 32), SegmentError::WrongType { found: 9, expected: 0x1234 });
    refused!(|p: &Path| patch(p, 8, 4 | 0x1234 << 32), SegmentError::WrongLayout { found: 4, expected: 3 });
    refused!(|p: &Path| patch(p, 48, 1), SegmentError::WrongBuild { found: 1, expected: 0xb11d });
    refused!(|p: &Path| patch(p, 56, 2), SegmentError::WrongConfig { found: 2, expected: 0xc0f1 });
    refused!(|p: &Path| resize(p, 255), SegmentError::Truncated { found: 255, expected: 256 });
    refused!(|p: &Path| resize(p, 256), SegmentError::Truncated { found: 256, expected: 4352 });
    refused!(|p: &Path| resize(p, 4351), SegmentError::Truncated { found: 4351, expected: 4352 });
    refused!(|p: &Path| resize(p, 4353), SegmentError::WrongSize { found: 4353, expected: 4352 });
    refused!(|p: &Path| resize(p, 1 << 40), SegmentError::WrongSize { .. });
    refused!(|p: &Path| patch(p, 16, u64::MAX), SegmentError::Truncated { expected: u64::MAX, .. });
    refused!(|p: &Path| patch(p, 16, 4088), SegmentError::WrongSize { found: 4352, expected: 4344 });
    refused!(
        |p: &Path| std::fs::set_permissions(p, Permissions::from_mode(0o640)).unwrap(),
        SegmentError::Permissions { mode: 0o640, .. }
    );
    refused!(
        |p: &Path| {
            std::fs::rename(p, p.with_extension("real")).unwrap();
            symlink(p.with_extension("real"), p).unwrap();
        },
        SegmentError::NotAFile { .. }
    );
    assert!(matches!(read(&dir.0), Err(SegmentError::NotAFile { .. })), "a directory");

    let path = dir.dead();
    std::fs::set_permissions(&dir.0, Permissions::from_mode(0o701)).unwrap();
    assert!(matches!(read(&path), Err(SegmentError::Permissions { mode: 0o701, .. })));
    let made = Segment::create_file(&path, &IDENT, 8);
    assert!(matches!(made, Err(SegmentError::Permissions { mode: 0o701, .. })));
}

#[test]
fn hashes_expected_as_zero_match_any() {
    let dir = Dir::new("any");
    let path = dir.dead();
    let any = Ident { build_hash: 0, config_hash: 0, ..IDENT };
    assert_eq!(Segment::open_file(&path, &any, Access::ReadOnly).unwrap().header().ident, IDENT);
}

/// Needs root: a file of another user, and a thread that becomes another user.
#[test]
fn other_users_are_kept_out() {
    let dir = Dir::new("users");
    let path = dir.dead();
    if chown(&path, Some(1), None).is_err() {
        eprintln!("skipped: giving a file away needs root");
        return;
    }
    assert!(matches!(read(&path), Err(SegmentError::Foreign { found: 1, expected: 0 })));
    chown(&path, Some(0), None).unwrap();
    let denied = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // The raw call changes the user of this thread only.
            // SAFETY: three numbers; the thread ends with the block.
            let rc = unsafe { libc::syscall(libc::SYS_setresuid, -1, 1, -1) };
            assert_eq!(rc, 0);
            (read(&path), Segment::create_file(&path, &IDENT, 64))
        });
        thread.join().unwrap()
    });
    assert!(matches!(denied.0, Err(SegmentError::Denied { .. })), "{:?}", denied.0);
    let made = denied.1;
    assert!(matches!(made, Err(SegmentError::Foreign { found: 0, expected: 1 })), "{made:?}");
}

#[test]
fn lengths_are_bounded() {
    for len in [0, BODY_BYTES_MAX + 1, usize::MAX] {
        assert!(matches!(Segment::memfd("len", len), Err(SegmentError::BadLength { .. })));
        let dir = Dir::new("len");
        assert!(matches!(
            Segment::create_file(&dir.file(), &IDENT, len),
            Err(SegmentError::BadLength { .. })
        ));
    }
    assert!(matches!(Segment::memfd("nul\0", 8), Err(SegmentError::Io { call: "memfd_create", .. })));
}

#[test]
fn a_memfd_is_sealed_and_checked_by_who_receives_it() {
    let segment = Segment::memfd_as("sealed", &IDENT, 100).unwrap();
    let fd = || segment.fd().try_clone_to_owned().unwrap();
    assert_eq!(File::from(fd()).set_len(64).unwrap_err().raw_os_error(), Some(libc::EPERM));
    assert_eq!(File::from(fd()).set_len(1 << 20).unwrap_err().raw_os_error(), Some(libc::EPERM));
    let wrong = |expect: Ident| Segment::from_fd(fd(), &expect, Access::ReadWrite);
    assert!(matches!(wrong(Ident { type_id: 1, ..IDENT }), Err(SegmentError::WrongType { .. })));
    assert!(matches!(wrong(Ident { layout_version: 1, ..IDENT }), Err(SegmentError::WrongLayout { .. })));
    assert!(matches!(wrong(Ident { build_hash: 1, ..IDENT }), Err(SegmentError::WrongBuild { .. })));

    let peer = wrong(IDENT).unwrap();
    assert_eq!((peer.header(), peer.words().len()), (segment.header(), 13));
    assert!(peer.owner_alive());
    peer.words_mut().unwrap().store(12, 9, Ordering::Relaxed);
    assert_eq!(segment.words().load(12, Ordering::Relaxed), 9);
    drop(segment);
    assert!(!peer.owner_alive(), "the lock does not travel with the descriptor");

    // SAFETY: a plain call with a nul-terminated name; the descriptor is ours.
    let plain = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"plain".as_ptr(), libc::MFD_CLOEXEC)) };
    let unsealed = Segment::from_fd(plain, &IDENT, Access::ReadWrite);
    assert!(matches!(unsealed, Err(SegmentError::NotSealed { .. })));
    let dir = Dir::new("fd");
    let file = File::options().read(true).write(true).open(dir.dead()).unwrap();
    assert!(matches!(
        Segment::from_fd(file.into(), &IDENT, Access::ReadWrite),
        Err(SegmentError::NotSealed { .. })
    ));
}

#[test]
fn a_pipe_does_not_hang_the_reader() {
    let dir = Dir::new("pipe");
    _ = dir.dead();
    let pipe = dir.0.join("pipe");
    let name = std::ffi::CString::new(pipe.to_str().unwrap()).unwrap();
    // SAFETY: a nul-terminated path that outlives the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert!(matches!(read(&pipe), Err(SegmentError::NotAFile { .. })));
}

#[test]
fn every_page_is_there_from_the_start() {
    let segment = Segment::memfd("pages", 1 << 20).unwrap();
    let blocks = File::from(segment.fd().try_clone_to_owned().unwrap()).metadata().unwrap().blocks();
    assert!(blocks * 512 >= 1 << 20, "{blocks} blocks");
    // Nothing else of this process maps this descriptor.
    let inode = File::from(segment.fd().try_clone_to_owned().unwrap()).metadata().unwrap().ino();
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let of_ours = maps.split_once(&format!(" {inode} ")).unwrap().1;
    let rss = of_ours.lines().find(|l| l.starts_with("Rss:")).unwrap();
    let kib: u64 = rss.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib >= 1024, "{rss}");
    assert!(segment.fd().as_raw_fd() > 2);
}

#[test]
fn a_file_opened_for_writing_elsewhere_takes_no_role() {
    let dir = Dir::new("bystander");
    let segment = Segment::create_file(&dir.file(), &IDENT, 64).unwrap();
    // Opening and closing the file anywhere in the process must not drop the owner's lock.
    drop(OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(dir.file()).unwrap());
    drop(read(&dir.file()).unwrap());
    assert!(read(&dir.file()).unwrap().owner_alive());
    drop(segment);
    assert!(!read(&dir.file()).unwrap().owner_alive());
}
