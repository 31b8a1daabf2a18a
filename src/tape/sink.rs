//! Where the cycles of one thread end on its agents' tapes.

use agent::{CycleSink, Pulse, RingId};
use journal::Tape;
use wire::Ts;

/// Tapes of a thread's agents, in stepping order. Put beside the thread's other sink.
#[derive(Default)]
pub struct TapeSink {
    tapes: Vec<Tape>,
    /// One of them that is on: it speaks for the thread.
    spokesman: Tape,
}

impl TapeSink {
    /// Adds the next agent of the thread; an agent without a tape has one that is off.
    pub fn add(&mut self, tape: Tape) {
        if self.spokesman.is_off() {
            self.spokesman = tape.clone();
        }
        self.tapes.push(tape);
    }

    /// After the last of the turn, recorded or not, what was recorded leaves.
    #[inline]
    fn turned(&self, agent: usize) {
        if agent + 1 >= self.tapes.len() {
            self.spokesman.flush();
        }
    }
}

impl CycleSink for TapeSink {
    #[inline]
    fn end(&mut self, agent: usize, cycle: u64, now: Ts) {
        if let Some(tape) = self.tapes.get(agent) {
            tape.end(cycle, now.0);
        }
        self.turned(agent);
    }

    fn closed(&mut self, agent: usize, cycle: u64, now: Ts) {
        if let Some(tape) = self.tapes.get(agent) {
            tape.closed(cycle, now.0);
        }
        self.turned(agent);
    }

    #[inline]
    fn record(&mut self, agent: usize, _cycle: u64, ring: RingId, count: u32) {
        if let Some(tape) = self.tapes.get(agent) {
            tape.took(ring.0 as u8, count);
        }
    }

    fn beat(&mut self, _: usize, _: &Pulse) {}
}
