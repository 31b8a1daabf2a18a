//! The memory under an anonymous segment: page size, locking, node. What is asked for and cannot be had is reported,
//! with the kernel's reason, and the segment is made without it; every page is there from the start either way.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use memmap2::MmapOptions;

use crate::error::SegmentError;
use crate::segment::{allocate, memfd_create};

/// Bytes of a huge page as asked for here: what every x86-64 and most aarch64 hosts have.
const HUGE_BYTES: usize = 2 << 20;

/// `MPOL_PREFERRED` of `linux/mempolicy.h`: this node while it has memory, any other then.
const PREFERRED: libc::c_int = 1;

/// What memory is asked for. The default asks for nothing beyond ordinary pages, touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Pages of 2 MiB out of the host's pool (`vm.nr_hugepages`): fewer address translations for a ring that does not
    /// fit a few ordinary pages. Without a free one: ordinary pages.
    pub huge: bool,
    /// Never paged out (`mlock`). Each process locks its own mapping: who attaches calls
    /// [`Segment::lock_memory`](crate::Segment::lock_memory).
    pub locked: bool,
    /// On the node of this core, by convention the consumer's. Nothing on a host of one node.
    pub near_core: Option<usize>,
}

/// What memory a segment got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryReport {
    /// Size of its pages.
    pub pages: Pages,
    /// Whether this process's mapping is locked.
    pub locked: Locked,
    /// Where it lies.
    pub node: Node,
}

/// Pages a segment got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Ordinary ones, as asked.
    Ordinary,
    /// Huge ones.
    Huge {
        /// Bytes of each.
        bytes: u64,
    },
    /// Ordinary ones, because huge ones were asked for and refused.
    NotHuge {
        /// The kernel's reason; `ENOSPC` and `ENOMEM`: its pool is empty.
        errno: i32,
    },
}

/// Whether a mapping is locked in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// Not asked for.
    NotAsked,
    /// It is.
    Yes,
    /// Refused.
    No {
        /// The kernel's reason; `ENOMEM` and `EPERM`: beyond `RLIMIT_MEMLOCK`.
        errno: i32,
    },
}

/// Where a segment's memory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// Not asked for: wherever it was first touched.
    NotAsked,
    /// The host has one node, so nothing was done.
    Only,
    /// On this node, as long as it has memory.
    Near {
        /// The node's number.
        node: u32,
    },
    /// The core asked for has no node the kernel knows of: nothing was done.
    Unknown {
        /// The core.
        core: usize,
    },
    /// Refused.
    Refused {
        /// The kernel's reason.
        errno: i32,
    },
}

impl MemoryReport {
    /// Whether something that was asked for was refused.
    pub fn is_less_than_asked(&self) -> bool {
        matches!(self.pages, Pages::NotHuge { .. })
            || matches!(self.locked, Locked::No { .. })
            || matches!(self.node, Node::Unknown { .. } | Node::Refused { .. })
    }
}

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = io::Error::from_raw_os_error;
        match self.pages {
            Pages::Ordinary => write!(f, "ordinary pages"),
            Pages::Huge { bytes } => write!(f, "pages of {} KiB", bytes / 1024),
            Pages::NotHuge { errno } => write!(f, "ordinary pages (huge ones refused: {})", why(errno)),
        }?;
        match self.locked {
            Locked::NotAsked => write!(f, ", not locked"),
            Locked::Yes => write!(f, ", locked"),
            Locked::No { errno } => write!(f, ", not locked ({})", why(errno)),
        }?;
        match self.node {
            Node::NotAsked => write!(f, ", any node"),
            Node::Only => write!(f, ", the host's only node"),
            Node::Near { node } => write!(f, ", node {node}"),
            Node::Unknown { core } => write!(f, ", any node (core {core} has none)"),
            Node::Refused { errno } => write!(f, ", any node (placing refused: {})", why(errno)),
        }
    }
}

impl Memory {
    /// An anonymous file of at least `len` bytes, all of them there, and what it got. Not locked yet.
    ///
    /// # Errors
    /// [`SegmentError::Io`] when there is not even ordinary memory.
    pub(crate) fn file(&self, name: &str, len: usize) -> Result<(File, MemoryReport), SegmentError> {
        let mut pages = Pages::Ordinary;
        if self.huge {
            match self.huge_file(name, len) {
                Ok((file, node)) => {
                    let pages = Pages::Huge { bytes: HUGE_BYTES as u64 };
                    return Ok((file, MemoryReport { pages, locked: Locked::NotAsked, node }));
                }
                Err(errno) => pages = Pages::NotHuge { errno },
            }
        }
        let file = memfd_create(name, 0).map_err(SegmentError::io("memfd_create"))?;
        let node = self.place(&file, len);
        allocate(&file, len).map_err(SegmentError::io("posix_fallocate"))?;
        Ok((file, MemoryReport { pages, locked: Locked::NotAsked, node }))
    }

    /// The same of huge pages, or the kernel's reason why not.
    fn huge_file(&self, name: &str, len: usize) -> Result<(File, Node), i32> {
        let errno = |e: io::Error| e.raw_os_error().unwrap_or(libc::EINVAL);
        let len = len.next_multiple_of(HUGE_BYTES);
        let file = memfd_create(name, libc::MFD_HUGETLB | libc::MFD_HUGE_2MB).map_err(errno)?;
        let node = self.place(&file, len);
        allocate(&file, len).map_err(errno)?;
        Ok((file, node))
    }

    /// Says where the pages of `file` are to lie, before there are any.
    fn place(&self, file: &File, len: usize) -> Node {
        let Some(core) = self.near_core else { return Node::NotAsked };
        if has_one_node(Path::new("/sys/devices/system/node")) {
            return Node::Only;
        }
        let Some(node) = node_of(Path::new("/sys/devices/system/cpu"), core) else {
            return Node::Unknown { core };
        };
        match prefer(file, len, node) {
            Ok(()) => Node::Near { node },
            Err(e) => Node::Refused { errno: e.raw_os_error().unwrap_or(libc::EINVAL) },
        }
    }
}

/// What a file's size is a multiple of: its pages when they are huge, nothing otherwise.
pub(crate) fn granule(file: &File) -> io::Result<u64> {
    let mut found = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the descriptor is open for the life of `file`, and `found` is room for a `struct statfs`.
    let rc = unsafe { libc::fstatfs(file.as_raw_fd(), found.as_mut_ptr()) };
    if rc == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed, which is a valid `statfs`, and filled in by the kernel.
    let found = unsafe { found.assume_init() };
    Ok(if found.f_type == libc::HUGETLBFS_MAGIC { found.f_bsize.max(1) as u64 } else { 1 })
}

/// Whether the host whose nodes are listed in `nodes` has only one, or does not say.
fn has_one_node(nodes: &Path) -> bool {
    let online = std::fs::read_to_string(nodes.join("online")).unwrap_or_default();
    online.trim().parse::<u32>().is_ok() || online.trim().is_empty()
}

/// The node of `core`, as the folder of the core under `cpus` names it.
fn node_of(cpus: &Path, core: usize) -> Option<u32> {
    let entries = std::fs::read_dir(cpus.join(format!("cpu{core}"))).ok()?;
    entries.flatten().find_map(|e| e.file_name().to_str()?.strip_prefix("node")?.parse().ok())
}

/// Has the pages of `file`, of which there are none yet, lie on `node`. The policy is the file's: it holds for every
/// process that maps it.
fn prefer(file: &File, len: usize, node: u32) -> io::Result<()> {
    file.set_len(len as u64)?;
    let map = MmapOptions::new().len(len).map_raw(file)?;
    let mut nodes = [0u64; 16];
    let Some(word) = nodes.get_mut(node as usize / 64) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    *word |= 1 << (node % 64);
    // SAFETY: `map` is `len` bytes mapped until the end of this function, and `nodes` holds the bits declared. The call
    // changes no memory.
    let rc = unsafe {
        libc::syscall(libc::SYS_mbind, map.as_mut_ptr(), len, PREFERRED, nodes.as_ptr(), nodes.len() * 64, 0)
    };
    if rc == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_the_policy_and_the_pages_come() {
        let file = memfd_create("near", 0).unwrap();
        match prefer(&file, 1 << 20, 0) {
            Ok(()) => {}
            Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => {
                eprintln!("skipped: this kernel knows no nodes");
                return;
            }
            Err(e) => panic!("{e}"),
        }
        allocate(&file, 1 << 20).unwrap();
        assert_eq!(prefer(&file, 1 << 20, 5000).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn nodes_are_read_from_the_kernels_folders() {
        let dir = std::env::temp_dir().join(format!("corelane-nodes-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("cpu3/node1")).unwrap();
        std::fs::create_dir_all(dir.join("cpu4/cache")).unwrap();
        assert_eq!((node_of(&dir, 3), node_of(&dir, 4), node_of(&dir, 5)), (Some(1), None, None));
        assert!(has_one_node(&dir), "a host that says nothing");
        for (online, one) in [("0\n", true), ("0-1\n", false), ("0,2\n", false), ("3\n", true)] {
            std::fs::write(dir.join("online"), online).unwrap();
            assert_eq!(has_one_node(&dir), one, "{online}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_report_reads_as_a_sentence() {
        let report = MemoryReport {
            pages: Pages::NotHuge { errno: libc::ENOMEM },
            locked: Locked::No { errno: libc::EPERM },
            node: Node::Unknown { core: 7 },
        };
        assert_eq!(
            report.to_string(),
            "ordinary pages (huge ones refused: Cannot allocate memory (os error 12)), not locked (Operation not \
             permitted (os error 1)), any node (core 7 has none)"
        );
        let report = MemoryReport {
            pages: Pages::Huge { bytes: 2 << 20 },
            locked: Locked::Yes,
            node: Node::Near { node: 1 },
        };
        assert_eq!(report.to_string(), "pages of 2048 KiB, locked, node 1");
    }
}
