//! Joining a REST snapshot and the diff-depth stream (Binance `web-socket-streams.md`, "How to manage a local
//! order book correctly", read 2026-07-21).
//!
//! ```text
//!               first update: note U              snapshot, id >= noted U
//!   Buffering ───────────────────────▶ Buffering ─────────────────────────▶ Bridging(id)
//!       ▲                                                                       │ U <= id+1 <= u
//!       │ reset (gap, new connection)                                           ▼
//!       └─────────────────────────────────────────────────────────────────── Following(id): next U == id+1
//! ```

use venue::{DepthSequence, DepthVerdict, SnapshotVerdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No snapshot; `U` of the first update since the last reset, when there was one.
    Buffering { first_id: Option<u64> },
    /// A snapshot with this id; no update has continued it yet.
    Bridging { id: u64 },
    /// Updates up to this id are in the book.
    Following { id: u64 },
}

/// Binance spot's rule: over a snapshot `u <= id` is stale, and the first that is not must cover `id + 1`; every later
/// update must begin where the one before ended. Behind that one an update that overlaps or repeats never occurs on a
/// sound stream and counts as a gap: taken for stale, it would silence the book for as long as one wrong id is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinanceDepthSequence {
    phase: Phase,
}

impl Default for BinanceDepthSequence {
    fn default() -> Self {
        BinanceDepthSequence { phase: Phase::Buffering { first_id: None } }
    }
}

impl DepthSequence for BinanceDepthSequence {
    #[inline]
    fn on_depth(&mut self, first_id: u64, last_id: u64) -> DepthVerdict {
        let continues = match &mut self.phase {
            Phase::Buffering { first_id: noted } => {
                noted.get_or_insert(first_id);
                return DepthVerdict::Buffer;
            }
            Phase::Bridging { id } if last_id <= *id => return DepthVerdict::Stale,
            Phase::Bridging { id } => first_id <= id.saturating_add(1),
            Phase::Following { id } => last_id > *id && first_id == id.saturating_add(1),
        };
        if continues {
            self.phase = Phase::Following { id: last_id };
            DepthVerdict::Apply
        } else {
            DepthVerdict::Gap
        }
    }

    fn on_snapshot(&mut self, last_id: u64) -> SnapshotVerdict {
        if let Phase::Buffering { first_id: Some(first_id) } = self.phase
            && last_id < first_id
        {
            return SnapshotVerdict::Refetch;
        }
        self.phase = Phase::Bridging { id: last_id };
        SnapshotVerdict::Accept
    }

    fn reset(&mut self) {
        *self = BinanceDepthSequence::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DepthVerdict::{Apply, Buffer, Gap, Stale};

    #[test]
    fn bridges_then_follows() {
        let mut s = BinanceDepthSequence::default();
        assert_eq!([(5, 7), (8, 9), (10, 14)].map(|(a, b)| s.on_depth(a, b)), [Buffer; 3]);
        assert_eq!(s.on_snapshot(4), SnapshotVerdict::Refetch);
        assert_eq!(s.on_snapshot(11), SnapshotVerdict::Accept);
        assert_eq!([(5, 7), (8, 9), (10, 14)].map(|(a, b)| s.on_depth(a, b)), [Stale, Stale, Apply]);
        assert_eq!(s.on_depth(15, 15), Apply);
        // Repeat, overlap, hole, and still a gap until the caller resets.
        assert_eq!([(15, 15), (15, 16), (17, 20), (18, 20)].map(|(a, b)| s.on_depth(a, b)), [Gap; 4]);
        s.reset();
        assert_eq!(s.on_depth(30, 31), Buffer);
        assert_eq!(s.on_snapshot(29), SnapshotVerdict::Refetch);
        assert_eq!(s.on_snapshot(30), SnapshotVerdict::Accept);
        assert_eq!(s.on_depth(30, 31), Apply);
    }

    #[test]
    fn a_snapshot_ahead_of_all_updates_waits_for_its_bridge() {
        let mut s = BinanceDepthSequence::default();
        assert_eq!(s.on_snapshot(100), SnapshotVerdict::Accept);
        assert_eq!(s.on_depth(90, 100), Stale);
        assert_eq!(s.on_depth(102, 103), Gap);
        assert_eq!(s.on_depth(101, 103), Apply);
        // Ids at the end of their range do not wrap.
        let mut s = BinanceDepthSequence::default();
        assert_eq!(s.on_snapshot(u64::MAX), SnapshotVerdict::Accept);
        assert_eq!(s.on_depth(u64::MAX, u64::MAX), Stale);
    }
}
