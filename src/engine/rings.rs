//! The rings of an engine, and which end is whose.

use rings::{Consumer, Producer, Segment, SegmentError};

use super::{EngineError, RINGS};
use crate::tape::{RingIn, RingOut, Tape};

/// Number of the ring `market_strategy`.
pub const MARKET_STRATEGY: usize = 0;
/// Number of the ring `market_oms`.
pub const MARKET_OMS: usize = 1;
/// Number of the ring `signal`.
pub const SIGNAL: usize = 2;
/// Number of the ring `order`.
pub const ORDER: usize = 3;
/// Number of the ring `report_oms`.
pub const REPORT_OMS: usize = 4;
/// Number of the ring `report_strategy`.
pub const REPORT_STRATEGY: usize = 5;

/// Rings without their ends: each end is taken by the one agent whose it is, in this process or in the one that the ring
/// is handed to.
#[derive(Debug, Default)]
pub struct Rings {
    segments: [Option<Segment>; RINGS.len()],
}

impl Rings {
    /// Makes all of them, of these capacities.
    ///
    /// # Errors
    /// A capacity that is none, or no memory.
    pub fn create(capacities: &[usize; RINGS.len()]) -> Result<Rings, SegmentError> {
        let mut rings = Rings::default();
        for (segment, (name, capacity)) in rings.segments.iter_mut().zip(RINGS.iter().zip(capacities)) {
            *segment = Some(rings::ring_segment(name, *capacity)?);
        }
        Ok(rings)
    }

    /// Puts one that was handed over in its place.
    pub fn put(&mut self, ring: usize, segment: Segment) {
        if let Some(place) = self.segments.get_mut(ring) {
            *place = Some(segment);
        }
    }

    /// One of them, to be handed over.
    ///
    /// # Errors
    /// It is not here.
    pub fn segment(&self, ring: usize) -> Result<&Segment, EngineError> {
        self.segments.get(ring).and_then(Option::as_ref).ok_or_else(|| EngineError::Start {
            what: "ring",
            why: format!("{} is not of this process", RINGS.get(ring).unwrap_or(&"?")),
        })
    }

    /// The producing end.
    ///
    /// # Errors
    /// The ring is not here, or another producer of it lives.
    pub fn out(&self, ring: usize, tape: &Tape) -> Result<RingOut, EngineError> {
        Ok(RingOut::new(Producer::attach(self.segment(ring)?)?, ring as u8, tape))
    }

    /// The consuming end.
    ///
    /// # Errors
    /// The ring is not here, or another consumer of it lives.
    pub fn input(&self, ring: usize, tape: &Tape) -> Result<RingIn, EngineError> {
        Ok(RingIn::new(Consumer::attach(self.segment(ring)?)?, ring as u8, tape))
    }
}
