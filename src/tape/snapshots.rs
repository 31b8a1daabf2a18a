//! Snapshots as the feed sees them.
//!
//! | snapshot | bytes | holds |
//! |---|---|---|
//! | 0 | 4 | instrument |
//! | 4 | 4 | bids |
//! | 8 | 4 | asks |
//! | 12 | 4 | zero |
//! | 16 | 8 | last update id |
//! | 24 | 16 each | price, quantity: bids, then asks |

use journal::{Item, Tape};
use venue::{Level, Snapshot};
use wire::{InstrumentId, Px, Qty};

use super::channel;
use crate::agents::feed::{SnapshotAnswer, SnapshotSource};

const HEAD: usize = 24;
const LEVEL: usize = 16;
/// Levels for which room is kept: twice what a venue sends at most.
const LEVELS_MAX: usize = 20_000;

/// A source whose answers are recorded.
pub struct TapedSnapshots<S> {
    inner: S,
    tape: Tape,
    bytes: Vec<u8>,
}

impl<S> TapedSnapshots<S> {
    /// Puts the tape around a source.
    pub fn new(inner: S, tape: &Tape) -> TapedSnapshots<S> {
        let room = if tape.is_off() { 0 } else { HEAD + LEVELS_MAX * LEVEL };
        TapedSnapshots { inner, tape: tape.clone(), bytes: Vec::with_capacity(room) }
    }
}

impl<S: SnapshotSource> SnapshotSource for TapedSnapshots<S> {
    fn request(&mut self, instrument: InstrumentId) -> bool {
        // Asked when its time has come, which no input marks.
        self.tape.mark();
        let taken = !self.tape.is_replay() && self.inner.request(instrument);
        !self.tape.refused(channel::SNAPSHOTS, !taken)
    }

    fn poll(&mut self) -> Option<SnapshotAnswer> {
        if self.tape.is_replay() {
            return self.tape.script(|s| s.take(answer)).flatten();
        }
        let answer = self.inner.poll()?;
        if !self.tape.is_off() {
            match &answer {
                SnapshotAnswer::Ready(snapshot) => {
                    encode(snapshot, &mut self.bytes);
                    self.tape.note(Item::Snapshot { bytes: &self.bytes });
                }
                SnapshotAnswer::Failed(instrument) => {
                    self.tape.note(Item::NoSnapshot { instrument: instrument.0 });
                }
            }
        }
        Some(answer)
    }

    fn recycle(&mut self, snapshot: Snapshot) {
        self.inner.recycle(snapshot);
    }
}

fn answer(item: &Item<'_>) -> Option<SnapshotAnswer> {
    match item {
        Item::Snapshot { bytes } => decode(bytes).map(SnapshotAnswer::Ready),
        Item::NoSnapshot { instrument } => Some(SnapshotAnswer::Failed(InstrumentId(*instrument))),
        _ => None,
    }
}

fn encode(snapshot: &Snapshot, out: &mut Vec<u8>) {
    out.clear();
    for word in [snapshot.instrument.0, snapshot.bids.len() as u32, snapshot.asks.len() as u32, 0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&snapshot.last_id.to_le_bytes());
    for level in snapshot.bids.iter().chain(&snapshot.asks) {
        out.extend_from_slice(&level.px.0.to_le_bytes());
        out.extend_from_slice(&level.qty.0.to_le_bytes());
    }
}

/// The snapshot in these bytes; `None` when they are none.
fn decode(bytes: &[u8]) -> Option<Snapshot> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (n, m) = (word(4)? as usize, word(8)? as usize);
    let last_id = u64::from_le_bytes(bytes.get(16..HEAD)?.try_into().ok()?);
    let levels = bytes.get(HEAD..)?;
    if levels.len() != n.checked_add(m)?.checked_mul(LEVEL)? {
        return None;
    }
    let level = |b: &[u8]| {
        let half = |at: usize| Some(i64::from_le_bytes(b.get(at..at + 8)?.try_into().ok()?));
        Some(Level { px: Px(half(0)?), qty: Qty(half(8)?) })
    };
    let mut all = levels.chunks_exact(LEVEL).map(level).collect::<Option<Vec<_>>>()?;
    let asks = all.split_off(n);
    Some(Snapshot { instrument: InstrumentId(word(0)?), last_id, bids: all, asks })
}

/// No source: replay has the answers on its tape.
pub struct NoSnapshots;

impl SnapshotSource for NoSnapshots {
    fn request(&mut self, _: InstrumentId) -> bool {
        false
    }

    fn poll(&mut self) -> Option<SnapshotAnswer> {
        None
    }

    fn recycle(&mut self, _: Snapshot) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_comes_back_and_a_cut_one_does_not() {
        let level = |n| Level { px: Px(n), qty: Qty(-n) };
        let snapshot = Snapshot {
            instrument: InstrumentId(3),
            last_id: 77,
            bids: vec![level(1), level(i64::MAX)],
            asks: vec![level(5)],
        };
        let mut bytes = Vec::new();
        encode(&snapshot, &mut bytes);
        assert_eq!(decode(&bytes), Some(snapshot));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None, "{cut}");
        }
    }
}
