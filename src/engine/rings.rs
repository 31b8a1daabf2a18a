//! The rings of an engine, and which end is whose.

use rings::{Consumer, Memory, Producer, RING, Segment, SegmentError};
use topology::AgentName;

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

/// Who takes from each ring: its memory is best near that agent's core.
pub const CONSUMERS: [AgentName; RINGS.len()] = [
    AgentName::Strategy,
    AgentName::Oms,
    AgentName::Oms,
    AgentName::Gateway,
    AgentName::Oms,
    AgentName::Strategy,
];

/// Rings without their ends: each end is taken by the one agent whose it is, in this process or in the one that the ring
/// is handed to.
#[derive(Debug, Default)]
pub struct Rings {
    segments: [Option<Segment>; RINGS.len()],
}

impl Rings {
    /// Makes all of them, of these capacities, each in the memory that is asked for as far as it is to be had.
    ///
    /// # Errors
    /// A capacity that is none, or no memory at all.
    pub fn create(
        capacities: &[usize; RINGS.len()],
        memory: [Memory; RINGS.len()],
    ) -> Result<Rings, SegmentError> {
        let mut rings = Rings::default();
        let asked = RINGS.iter().zip(capacities).zip(memory);
        for (segment, ((name, capacity), memory)) in rings.segments.iter_mut().zip(asked) {
            *segment = Some(rings::ring_segment_as(name, *capacity, &RING, memory)?);
        }
        Ok(rings)
    }

    /// What was asked for and refused, in one line: the rings that went without, and the first of the reasons.
    pub fn without(&self) -> Option<String> {
        let refused: Vec<_> = (RINGS.iter().zip(&self.segments))
            .filter_map(|(name, segment)| Some((name, segment.as_ref()?.memory())))
            .filter(|(_, got)| got.is_less_than_asked())
            .collect();
        let (_, why) = refused.first()?;
        let names: Vec<_> = refused.iter().map(|(name, _)| **name).collect();
        Some(format!("memory of rings {}: {why}", names.join(", ")))
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
