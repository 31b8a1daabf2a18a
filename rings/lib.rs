//! Shared-memory segments, SPSC rings, boards and liveness: how threads and processes of one host speak.
//!
//! * [`Segment`]: a mapping with a header, anonymous (memfd, handed over by descriptor) or a named file; each way to
//!   fail at creating or attaching has its own [`SegmentError`]. Its body is seen through [`Words`].
//! * [`ring`]: [`Producer`] and [`Consumer`] of 56-byte messages, one cache line a hop.
//! * [`board`]: the latest value of a few words, read whole by anyone.
//! * [`hand_over`] and [`receive`]: a descriptor to another process.
//!
//! Liveness is by file lock ([`Role`]): the kernel frees what a dead process held, so an end of a ring has one living
//! holder, and who starts next goes on at the published positions. A hang is for heartbeats to tell, not for locks.
//!
//! Deliberately absent: any word of the trade, clocks (but for the creation time in a header), threads, waiting,
//! many-to-many rings, overwriting, and trust in what a peer wrote. After set-up nothing here allocates or calls the
//! kernel, except where a docstring says so.
//!
//! ```
//! let (mut tx, mut rx) = rings::ring("doc", 4)?;
//! tx.push([1, 2, 3, 4, 5, 6, 7])?;
//! tx.push_run(&[[8; 7], [9; 7], [10; 7]])?;
//! assert_eq!(tx.push([0; 7]), Err(rings::Full { wanted: 1, free: 0 }));
//! assert_eq!(rx.pop(), Some((0, [1, 2, 3, 4, 5, 6, 7])));
//! assert_eq!(rx.poll(64, |seq, payload| assert_eq!(payload[0], seq + 7)), 3);
//! assert_eq!(rx.peek(), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An end moves between threads but is not shared:
//!
//! ```
//! fn moves<T: Send>() {}
//! moves::<rings::Producer>();
//! moves::<rings::Consumer>();
//! ```
//! ```compile_fail,E0277
//! fn shared<T: Sync>() {}
//! shared::<rings::Producer>();
//! ```
//! ```compile_fail,E0277
//! fn shared<T: Sync>() {}
//! shared::<rings::Consumer>();
//! ```

// The model checker compiles only what runs on the heap, and so not every caller.
#![cfg_attr(loom, allow(dead_code))]

mod atomic;
mod board;
mod bulk;
mod control;
mod error;
mod life;
mod lock;
mod ring;
mod words;

// What stands on a mapping; the model checker sees the protocols on the heap only.
#[cfg(not(loom))]
mod attach;
#[cfg(not(loom))]
mod handover;
#[cfg(not(loom))]
mod header;
#[cfg(not(loom))]
mod memory;
#[cfg(not(loom))]
mod named;
#[cfg(not(loom))]
mod segment;

pub use atomic::Ordering;
pub use board::{BoardReader, BoardWriter, board_words, heap_board};
pub use bulk::{BulkConsumer, BulkProducer, Record, heap_bulk_ring};
pub use control::CAPACITY_MAX;
pub use error::SegmentError;
pub use lock::Role;
#[cfg(loom)]
pub use ring::HeapRing;
pub use ring::{Batch, Claim, Consumer, Full, Payload, Producer, heap_ring};
pub use words::{Word, WordMut, Words, WordsMut};

#[cfg(not(loom))]
pub use attach::{
    BULK_RING, RING, bulk_ring, bulk_ring_segment, bulk_ring_segment_as, ring, ring_segment, ring_segment_as,
};
#[cfg(not(loom))]
pub use board::{BOARD, board};
#[cfg(not(loom))]
pub use handover::{hand_over, receive};
#[cfg(not(loom))]
pub use header::{HEADER_BYTES, Header, Ident, MAGIC};
#[cfg(not(loom))]
pub use memory::{Locked, Memory, MemoryReport, Node, Pages};
#[cfg(not(loom))]
pub use segment::{Access, BODY_BYTES_MAX, Segment};
