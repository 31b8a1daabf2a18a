//! Every way a segment can fail to be created or attached, each under its own name.

use std::io;
use std::path::PathBuf;

use crate::lock::Role;

/// Why a segment could not be created, opened or attached to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// No file of that name. Usually: the engine has not started, or another instance directory was meant.
    #[error("no segment at {path:?}")]
    NotFound {
        /// The path that was tried.
        path: PathBuf,
    },
    /// The segment exists and its magic is not written yet. Usually: its creator is still at it; try again.
    #[error("the segment is not ready: its magic is not written yet")]
    NotReady,
    /// The first word is neither zero nor the magic. Usually: not a segment, or one of another header version.
    #[error("magic is {found:#018x}, not {expected:#018x}")]
    WrongMagic {
        /// What the first word holds.
        found: u64,
        /// The magic of this header version.
        expected: u64,
    },
    /// Another version of the body's layout. Usually: tool and engine come from different releases.
    #[error("layout version is {found}, this program reads {expected}")]
    WrongLayout {
        /// The version in the header.
        found: u32,
        /// The version asked for.
        expected: u32,
    },
    /// Another type of body. Usually: a path or descriptor mixed up.
    #[error("type id is {found:#010x}, expected {expected:#010x}")]
    WrongType {
        /// The type in the header.
        found: u32,
        /// The type asked for.
        expected: u32,
    },
    /// Shorter than its header says. Usually: cut off after creation.
    #[error("the segment is {found} bytes, its header says {expected}")]
    Truncated {
        /// Length of the file, bytes.
        found: u64,
        /// Length the header implies (or the header itself needs), bytes.
        expected: u64,
    },
    /// The size does not fit what is in it. Usually: appended to, or a body of another capacity.
    #[error("the size is {found} bytes, the contents need exactly {expected}")]
    WrongSize {
        /// The size found, bytes.
        found: u64,
        /// The size the contents imply, bytes.
        expected: u64,
    },
    /// Written by another build. Usually: the binary was replaced and only one side restarted.
    #[error("build hash is {found:#018x}, expected {expected:#018x}")]
    WrongBuild {
        /// The hash in the header.
        found: u64,
        /// The hash asked for.
        expected: u64,
    },
    /// Written under another configuration. Usually: the file was edited and only one side restarted.
    #[error("configuration hash is {found:#018x}, expected {expected:#018x}")]
    WrongConfig {
        /// The hash in the header.
        found: u64,
        /// The hash asked for.
        expected: u64,
    },
    /// Owned by another user. Usually: a tool run under the wrong account.
    #[error("owned by uid {found}, this process is uid {expected}")]
    Foreign {
        /// Owner of the file or directory.
        found: u32,
        /// Effective user of this process.
        expected: u32,
    },
    /// Group or others may reach the file or its directory; they must be 0600 and 0700.
    #[error("{path:?} has mode {mode:#o}: group and others must have no access")]
    Permissions {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The kernel refused the access. Usually: another user's instance directory.
    #[error("access to {path:?} denied")]
    Denied {
        /// The path that was tried.
        path: PathBuf,
    },
    /// Not a regular file: a directory, a link, a pipe.
    #[error("{path:?} is not a regular file")]
    NotAFile {
        /// The path that was tried.
        path: PathBuf,
    },
    /// A descriptor whose size could change under the mapping. Usually: not made by [`Segment::memfd`].
    ///
    /// [`Segment::memfd`]: crate::Segment::memfd
    #[error("descriptor carries seals {found:#x}, needs at least {expected:#x}")]
    NotSealed {
        /// Its seals, `F_SEAL_*`.
        found: i32,
        /// The seals required.
        expected: i32,
    },
    /// A living process owns the file of that name.
    #[error("{path:?} is in use by process {pid}")]
    InUse {
        /// The path that was tried.
        path: PathBuf,
        /// Its owner as the header says; 0 when the header is unreadable.
        pid: u32,
    },
    /// Another living endpoint has the role.
    #[error("the {role} is already attached, process {pid}")]
    RoleTaken {
        /// The role asked for.
        role: Role,
        /// Who attached last, as the control line says; 0 when unknown.
        pid: u32,
    },
    /// A store was asked of a read-only mapping.
    #[error("the segment is mapped read-only")]
    ReadOnly,
    /// A body length outside its range.
    #[error("body length {len} is outside 1..={max} bytes")]
    BadLength {
        /// The length asked for, bytes.
        len: usize,
        /// The largest accepted, bytes.
        max: usize,
    },
    /// A ring capacity that is not a power of two in range.
    #[error("capacity {capacity} is not a power of two in 2..={max}")]
    BadCapacity {
        /// The capacity asked for or found, slots.
        capacity: u64,
        /// The largest accepted, slots.
        max: u64,
    },
    /// A consumer position that contradicts the slots. Usually: memory overwritten by something else.
    #[error("consumer position {found} does not fit the slot before it, which holds sequence {slot}")]
    BadPosition {
        /// The position found.
        found: u64,
        /// Sequence word of the slot before it.
        slot: u64,
    },
    /// The counts of a bulk ring contradict each other. Usually: memory overwritten by something else.
    #[error("{released} records released of {committed} committed do not fit a ring of {capacity}")]
    BadCount {
        /// The released count found.
        released: u64,
        /// The committed count found.
        committed: u64,
        /// Slots of the ring.
        capacity: u64,
    },
    /// The kernel failed a call for a reason without a name here.
    #[error("{call} failed")]
    Io {
        /// The call.
        call: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl SegmentError {
    /// Names a failed call.
    pub(crate) fn io(call: &'static str) -> impl FnOnce(io::Error) -> SegmentError {
        move |source| SegmentError::Io { call, source }
    }
}
