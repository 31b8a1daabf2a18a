//! Why a journal cannot go on. Raised once, never taken back: no record, no new risk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Why a journal cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Fault {
    /// The ring of a hot thread has no room for another order's record: the disk side is behind.
    RingFull = 1,
    /// One cycle brought more than the ring can ever hold.
    RecordTooLong = 2,
    /// The disk budget is spent, and the configuration says to refuse rather than drop.
    Budget = 3,
    /// The disk refused: full, or an error.
    Disk = 4,
    /// The thread that writes the files is gone.
    WriterGone = 5,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 5] =
        [Fault::RingFull, Fault::RecordTooLong, Fault::Budget, Fault::Disk, Fault::WriterGone];

    /// The fault with this code.
    pub fn from_u8(code: u8) -> Option<Fault> {
        Self::ALL.into_iter().find(|f| *f as u8 == code)
    }

    /// Name for reports.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::RingFull => "ring_full",
            Fault::RecordTooLong => "record_too_long",
            Fault::Budget => "disk_budget",
            Fault::Disk => "disk",
            Fault::WriterGone => "writer_gone",
        }
    }
}

/// The fault of one journal, shared by its writers and by those who must not trade without it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    code: Arc<Line>,
}

/// On a line of its own: hot threads read it every cycle.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU8);

impl Health {
    /// The fault, if there is one.
    #[inline]
    pub fn fault(&self) -> Option<Fault> {
        Fault::from_u8(self.code())
    }

    /// The fault's code, 0 = none. About 1 ns.
    #[inline]
    pub fn code(&self) -> u8 {
        self.code.0.load(Ordering::Acquire)
    }

    /// Raises a fault; the first stands.
    #[cold]
    pub fn raise(&self, fault: Fault) {
        // Whether it was the first does not matter to anybody; either way one stands.
        let _ = self.code.0.compare_exchange(0, fault as u8, Ordering::AcqRel, Ordering::Acquire);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_stands() {
        let health = Health::default();
        assert_eq!((health.fault(), health.code()), (None, 0));
        let other = health.clone();
        other.raise(Fault::Disk);
        health.raise(Fault::RingFull);
        assert_eq!(health.fault(), Some(Fault::Disk));
        for fault in Fault::ALL {
            assert_eq!(Fault::from_u8(fault as u8), Some(fault));
        }
    }
}
