//! Shared-memory segments, SPSC rings, boards and liveness: how threads and processes of one host speak. No word of the
//! trade, no threads, no waiting, and no trust in what a peer wrote.
//!
// The manual follows; its examples are tests. The model checker's build lacks half of what they name.
#![cfg_attr(not(loom), doc = include_str!("README.md"))]
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
