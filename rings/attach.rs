//! Rings in segments: creating one, and taking an end of it in this process or another.
//!
//! ```text
//! creator                                  other process
//!   let ring = ring_segment("orders", 1024)?;
//!   hand_over(&socket, ring.fd())?;   ->     let fd = receive(&socket)?;
//!   let tx = Producer::attach(&ring)?;       let ring = Segment::from_fd(fd, &RING, Access::ReadWrite)?;
//!                                            let rx = Consumer::attach(&ring)?;
//! ```
//!
//! Each end is one living endpoint's at a time; the kernel frees it when its holder drops it or dies, and the next
//! to attach goes on where the shared words say.

use crate::atomic::Ordering;
use crate::bulk::{BULK_TAG, BulkConsumer, BulkProducer};
use crate::control::{Parts, W_CAPACITY, W_CONSUMER_PID, W_PRODUCER_PID, W_TAG, check_capacity, ring_words};
use crate::error::SegmentError;
use crate::header::Ident;
use crate::life::Hold;
use crate::lock::Role;
use crate::memory::Memory;
use crate::ring::{Consumer, Producer, RING_TAG};
use crate::segment::Segment;

/// What the segment of a slot ring declares itself to be. Who wants mixed versions refused makes and attaches rings
/// with hashes of its own: `Ident { build_hash, config_hash, ..RING }`.
pub const RING: Ident =
    Ident { type_id: u32::from_le_bytes(*b"ring"), layout_version: 2, build_hash: 0, config_hash: 0 };

/// What the segment of a bulk ring declares itself to be.
pub const BULK_RING: Ident =
    Ident { type_id: u32::from_le_bytes(*b"bulk"), layout_version: 1, build_hash: 0, config_hash: 0 };

/// A ring of `capacity` slots in a memfd with both ends attached here. `capacity` is a power of two in
/// 2..=[`CAPACITY_MAX`](crate::CAPACITY_MAX).
///
/// # Errors
/// Those of [`ring_segment`] and [`Producer::attach`].
pub fn ring(name: &str, capacity: usize) -> Result<(Producer, Consumer), SegmentError> {
    let segment = ring_segment(name, capacity)?;
    Ok((Producer::attach(&segment)?, Consumer::attach(&segment)?))
}

/// A bulk ring of `capacity` slots in a memfd with both ends attached here; see [`ring`].
///
/// # Errors
/// Those of [`bulk_ring_segment`] and [`BulkProducer::attach`].
pub fn bulk_ring(name: &str, capacity: usize) -> Result<(BulkProducer, BulkConsumer), SegmentError> {
    let segment = bulk_ring_segment(name, capacity)?;
    Ok((BulkProducer::attach(&segment)?, BulkConsumer::attach(&segment)?))
}

/// The memfd of a ring with neither end attached. `capacity` is a power of two in
/// 2..=[`CAPACITY_MAX`](crate::CAPACITY_MAX); the segment takes 64 bytes a slot and 640 more.
///
/// # Errors
/// [`SegmentError::BadCapacity`]; those of [`Segment::memfd`].
pub fn ring_segment(name: &str, capacity: usize) -> Result<Segment, SegmentError> {
    ring_segment_as(name, capacity, &RING, Memory::default())
}

/// The memfd of a ring with an identity and memory of its own; see [`ring_segment`]. `ident` is checked by those who
/// receive the descriptor, against what they expect.
///
/// # Errors
/// As for [`ring_segment`].
pub fn ring_segment_as(
    name: &str,
    capacity: usize,
    ident: &Ident,
    memory: Memory,
) -> Result<Segment, SegmentError> {
    found(name, capacity, ident, memory, RING_TAG)
}

/// The memfd of a bulk ring with neither end attached; see [`ring_segment`].
///
/// # Errors
/// As for [`ring_segment`].
pub fn bulk_ring_segment(name: &str, capacity: usize) -> Result<Segment, SegmentError> {
    bulk_ring_segment_as(name, capacity, &BULK_RING, Memory::default())
}

/// The memfd of a bulk ring with an identity and memory of its own; see [`ring_segment_as`].
///
/// # Errors
/// As for [`ring_segment`].
pub fn bulk_ring_segment_as(
    name: &str,
    capacity: usize,
    ident: &Ident,
    memory: Memory,
) -> Result<Segment, SegmentError> {
    found(name, capacity, ident, memory, BULK_TAG)
}

impl Producer {
    /// Takes the producing end of the ring in `segment`, going on after the last message committed.
    ///
    /// # Errors
    /// [`SegmentError::RoleTaken`] while another producer lives; [`SegmentError::ReadOnly`];
    /// [`SegmentError::NotReady`], [`SegmentError::WrongMagic`], [`SegmentError::BadCapacity`],
    /// [`SegmentError::WrongSize`] or [`SegmentError::BadPosition`] for a body that is not a sound ring;
    /// [`SegmentError::Io`].
    pub fn attach(segment: &Segment) -> Result<Producer, SegmentError> {
        let parts = open_parts(segment, RING_TAG)?;
        Producer::resume(&parts, take(segment, Role::Producer)?)
    }
}

impl Consumer {
    /// Takes the consuming end of the ring in `segment`, going on at the published position: what the last consumer
    /// had taken and not released is delivered again.
    ///
    /// # Errors
    /// As for [`Producer::attach`], [`SegmentError::RoleTaken`] while another consumer lives.
    pub fn attach(segment: &Segment) -> Result<Consumer, SegmentError> {
        let parts = open_parts(segment, RING_TAG)?;
        Consumer::resume(&parts, take(segment, Role::Consumer)?)
    }
}

impl BulkProducer {
    /// Takes the producing end of the bulk ring in `segment`, going on after the last record committed.
    ///
    /// # Errors
    /// As for [`Producer::attach`], with [`SegmentError::BadCount`] for [`SegmentError::BadPosition`].
    pub fn attach(segment: &Segment) -> Result<BulkProducer, SegmentError> {
        let parts = open_parts(segment, BULK_TAG)?;
        BulkProducer::resume(&parts, take(segment, Role::Producer)?)
    }
}

impl BulkConsumer {
    /// Takes the consuming end of the bulk ring in `segment`, going on at the released count.
    ///
    /// # Errors
    /// As for [`BulkProducer::attach`], [`SegmentError::RoleTaken`] while another consumer lives.
    pub fn attach(segment: &Segment) -> Result<BulkConsumer, SegmentError> {
        let parts = open_parts(segment, BULK_TAG)?;
        BulkConsumer::resume(&parts, take(segment, Role::Consumer)?)
    }
}

fn take(segment: &Segment, role: Role) -> Result<Hold, SegmentError> {
    let pid_word = if role == Role::Producer { W_PRODUCER_PID } else { W_CONSUMER_PID };
    segment.claim(role, pid_word).map(Hold::Lock)
}

/// Founds a ring of either form.
fn found(
    name: &str,
    capacity: usize,
    ident: &Ident,
    memory: Memory,
    tag: u64,
) -> Result<Segment, SegmentError> {
    check_capacity(capacity as u64)?;
    let segment = Segment::memfd_in(name, ident, ring_words(capacity) * 8, memory)?;
    let words = segment.words_mut()?;
    words.store(W_CAPACITY, capacity as u64, Ordering::Relaxed);
    // Partner: the acquire load in `open_parts`.
    words.store(W_TAG, tag, Ordering::Release);
    Ok(segment)
}

/// Checks the body of a ring and cuts its parts.
fn open_parts(segment: &Segment, tag: u64) -> Result<Parts, SegmentError> {
    let words = segment.words_mut()?;
    let body = words.reader();
    // Partner: the release store in `found`.
    match body.get(W_TAG, Ordering::Acquire) {
        Some(found) if found == tag => {}
        None | Some(0) => return Err(SegmentError::NotReady),
        Some(found) => return Err(SegmentError::WrongMagic { found, expected: tag }),
    }
    let capacity = body.get(W_CAPACITY, Ordering::Relaxed).unwrap_or(0);
    check_capacity(capacity)?;
    let (found, expected) = (words.len(), ring_words(capacity as usize));
    if found != expected {
        return Err(SegmentError::WrongSize { found: found as u64 * 8, expected: expected as u64 * 8 });
    }
    Parts::cut(&words, capacity as usize)
        .ok_or(SegmentError::WrongSize { found: found as u64 * 8, expected: expected as u64 * 8 })
}
