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
use crate::error::SegmentError;
use crate::header::Ident;
use crate::lock::Role;
use crate::ring::{
    CAPACITY_MAX, Consumer, Hold, Producer, RING_TAG, W_CAPACITY, W_CONSUMER_PID, W_PRODUCER_PID, W_TAG,
    parts, ring_words,
};
use crate::segment::Segment;
use crate::words::{Lines, WordMut};

/// What the segment of a ring declares itself to be.
pub const RING: Ident =
    Ident { type_id: u32::from_le_bytes(*b"ring"), layout_version: 1, build_hash: 0, config_hash: 0 };

/// A ring of `capacity` slots in a memfd with both ends attached here. `capacity` is a power of two in
/// 2..=[`CAPACITY_MAX`].
///
/// # Errors
/// Those of [`ring_segment`] and [`Producer::attach`].
pub fn ring(name: &str, capacity: usize) -> Result<(Producer, Consumer), SegmentError> {
    let segment = ring_segment(name, capacity)?;
    Ok((Producer::attach(&segment)?, Consumer::attach(&segment)?))
}

/// The memfd of a ring with neither end attached. `capacity` is a power of two in 2..=[`CAPACITY_MAX`]; the segment
/// takes 64 bytes a slot and 512 more.
///
/// # Errors
/// [`SegmentError::BadCapacity`]; those of [`Segment::memfd`].
pub fn ring_segment(name: &str, capacity: usize) -> Result<Segment, SegmentError> {
    check_capacity(capacity as u64)?;
    let segment = Segment::memfd_as(name, &RING, ring_words(capacity) * 8)?;
    let words = segment.words_mut()?;
    words.store(W_CAPACITY, capacity as u64, Ordering::Relaxed);
    // Partner: the acquire load in `open_parts`.
    words.store(W_TAG, RING_TAG, Ordering::Release);
    Ok(segment)
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
        let (slots, position) = open_parts(segment)?;
        let hold = Hold::Lock(segment.claim(Role::Producer, W_PRODUCER_PID)?);
        Producer::resume(slots, position, hold)
    }

    /// Whether a consumer is attached and its holder lives. A system call on a segment: for housekeeping, not for
    /// every message. Sees a death at once, a hang not at all.
    pub fn consumer_alive(&self) -> bool {
        peer_alive(&self.hold, Role::Consumer)
    }
}

impl Consumer {
    /// Takes the consuming end of the ring in `segment`, going on at the published position: what the last consumer
    /// had taken and not released is delivered again.
    ///
    /// # Errors
    /// As for [`Producer::attach`], [`SegmentError::RoleTaken`] while another consumer lives.
    pub fn attach(segment: &Segment) -> Result<Consumer, SegmentError> {
        let (slots, position) = open_parts(segment)?;
        let hold = Hold::Lock(segment.claim(Role::Consumer, W_CONSUMER_PID)?);
        Consumer::resume(slots, position, hold)
    }

    /// Whether a producer is attached and its holder lives; see [`Producer::consumer_alive`].
    pub fn producer_alive(&self) -> bool {
        peer_alive(&self.hold, Role::Producer)
    }
}

fn peer_alive(hold: &Hold, peer_role: Role) -> bool {
    match hold {
        Hold::Lock(held) => held.sees(peer_role),
        Hold::Token { peer, .. } => peer.strong_count() > 0,
    }
}

fn check_capacity(capacity: u64) -> Result<(), SegmentError> {
    let max = CAPACITY_MAX as u64;
    if !capacity.is_power_of_two() || !(2..=max).contains(&capacity) {
        return Err(SegmentError::BadCapacity { capacity, max });
    }
    Ok(())
}

/// Checks the body of a ring and cuts its parts.
fn open_parts(segment: &Segment) -> Result<(Lines, WordMut), SegmentError> {
    let words = segment.words_mut()?;
    let body = words.reader();
    // Partner: the release store in `ring_segment`.
    match body.get(W_TAG, Ordering::Acquire) {
        Some(RING_TAG) => {}
        None | Some(0) => return Err(SegmentError::NotReady),
        Some(found) => return Err(SegmentError::WrongMagic { found, expected: RING_TAG }),
    }
    let capacity = body.get(W_CAPACITY, Ordering::Relaxed).unwrap_or(0);
    check_capacity(capacity)?;
    let (found, expected) = (words.len(), ring_words(capacity as usize));
    if found != expected {
        return Err(SegmentError::WrongSize { found: found as u64 * 8, expected: expected as u64 * 8 });
    }
    parts(&words, capacity as usize)
        .ok_or(SegmentError::WrongSize { found: found as u64 * 8, expected: expected as u64 * 8 })
}
