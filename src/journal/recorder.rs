//! The hot side: collects what happens in a cycle and hands the finished record to a ring of bytes.
//!
//! Nothing here waits, allocates or asks the kernel. Cycles are gathered in a buffer of fixed size that stays in the cache;
//! when every agent of the thread has had its turn, and an order has left, they are copied to the ring in one piece: its
//! lines belong to the other core by then, and fetching them is what costs. The other side sees whole cycles only. Before
//! an order leaves, all that is asked is whether its record will fit ([`Recorder::ready`]).

use rtrb::{Consumer, Producer, RingBuffer};

use crate::cycle::{CYCLE_HEAD, write_head};
use crate::fault::{Fault, Health};
use crate::item::Item;
use crate::layout::Kind;

/// Room that must be left in the ring before another order may leave: the rest of its cycle, and the cancels after it.
pub const RECORD_RESERVE: usize = 64 << 10;
/// Bytes of finished records that are not kept back any longer, wherever the turn stands.
const FLUSH_BYTES: usize = RECORD_RESERVE / 2;
/// Smallest ring, bytes.
pub(crate) const RING_BYTES_MIN: usize = 4 * RECORD_RESERVE;
/// Bytes of a record in the ring before its body: length u32, kind u8, three zero.
pub(crate) const RING_HEAD: usize = 8;
/// Rings that can be hashed; the engine has six.
pub(crate) const RINGS_MAX: usize = 16;

/// Running hashes of what was published, by ring.
#[derive(Clone, Debug, Default)]
pub(crate) struct Puts {
    hashes: [u64; RINGS_MAX],
    counts: [u32; RINGS_MAX],
    touched: u16,
}

impl Puts {
    /// Another message was published to a ring.
    #[inline]
    pub(crate) fn add(&mut self, ring: u8, words: &[u64; 7]) {
        let i = ring as usize % RINGS_MAX;
        self.hashes[i] = mix(self.hashes[i], words);
        self.counts[i] += 1;
        self.touched |= 1 << i;
    }

    /// Whether nothing was published since the last [`Puts::take`].
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.touched == 0
    }

    /// What was published to the lowest ring since it was last taken: ring, count, running hash.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<(u8, u32, u64)> {
        if self.touched == 0 {
            return None;
        }
        let i = self.touched.trailing_zeros() as usize;
        self.touched &= self.touched - 1;
        Some((i as u8, std::mem::take(&mut self.counts[i]), self.hashes[i]))
    }
}

/// Folds a message into a running hash: four multiplications of 64 by 64 bits (after wyhash), about 3 ns. Guards
/// against difference, not against an adversary.
#[inline]
fn mix(hash: u64, w: &[u64; 7]) -> u64 {
    const K: [u64; 7] = [
        0x2d35_8dcc_aa6c_78a5,
        0x8bb8_4b93_962e_acc9,
        0x4b33_a62e_d433_d4a3,
        0x4d5a_2da5_1de1_aa47,
        0xa076_1d64_78bd_642f,
        0xe703_7ed1_a0b4_28db,
        0x9e37_79b9_7f4a_7c15,
    ];
    let fold = |a: u64, b: u64| {
        let wide = a as u128 * b as u128;
        wide as u64 ^ (wide >> 64) as u64
    };
    let three = fold(w[0] ^ K[0] ^ hash, w[1] ^ K[1])
        ^ fold(w[2] ^ K[2], w[3] ^ K[3]).rotate_left(17)
        ^ fold(w[4] ^ K[4], w[5] ^ K[5]).rotate_left(34);
    fold(three ^ w[6], K[6] ^ hash.rotate_left(29))
}

/// Gathers the cycles of the agents of one thread.
pub(crate) struct Recorder {
    ring: Producer<u8>,
    /// Records: ring head, cycle head, items. Never grows.
    scratch: Vec<u8>,
    /// Where the present record begins.
    start: usize,
    agent: u8,
    closing: bool,
    number: u64,
    now_ns: u64,
    /// The present cycle has something to record.
    open: bool,
    /// It did not fit the buffer.
    overflow: bool,
    /// A record was lost: nothing after it may be kept, or a hole would look like a whole.
    stopped: bool,
    puts: Puts,
    health: Health,
}

impl Recorder {
    /// A recorder over a ring of `ring_bytes` (at least 256 KiB), both warmed, and the other end of the ring. A record
    /// may be half as long as the ring.
    pub(crate) fn new(ring_bytes: usize, health: Health) -> (Recorder, Consumer<u8>) {
        let ring_bytes = ring_bytes.max(RING_BYTES_MIN);
        let (mut ring, mut end) = RingBuffer::new(ring_bytes);
        // Touch every page now rather than in the middle of a cycle.
        if let Ok(chunk) = ring.write_chunk(ring_bytes) {
            chunk.commit_all();
        }
        if let Ok(chunk) = end.read_chunk(ring_bytes) {
            chunk.commit_all();
        }
        let mut scratch = vec![1u8; ring_bytes / 2 + FLUSH_BYTES];
        scratch.clear();
        let recorder = Recorder {
            ring,
            scratch,
            start: 0,
            agent: 0,
            closing: false,
            number: 0,
            now_ns: 0,
            open: false,
            overflow: false,
            stopped: false,
            puts: Puts::default(),
            health,
        };
        (recorder, end)
    }

    /// A cycle begins. Costs four stores; nothing is recorded before something happens.
    #[inline]
    pub(crate) fn begin(&mut self, agent: u8, closing: bool, number: u64, now_ns: u64) {
        (self.agent, self.closing, self.number, self.now_ns) = (agent, closing, number, now_ns);
        if closing {
            self.mark();
        }
    }

    /// The present cycle is recorded even if nothing else happens in it: the agent acts on time alone.
    #[inline]
    pub(crate) fn mark(&mut self) {
        if !self.open {
            self.open = true;
            self.start = self.scratch.len();
            self.scratch.extend_from_slice(&[0; RING_HEAD + CYCLE_HEAD]);
        }
    }

    /// Something happened.
    #[inline]
    pub(crate) fn item(&mut self, item: Item<'_>) {
        self.mark();
        self.overflow |= !item.encode(&mut self.scratch);
    }

    /// Something was published.
    #[inline]
    pub(crate) fn put(&mut self, ring: u8, words: &[u64; 7]) {
        self.puts.add(ring, words);
    }

    /// The cycle is over: its record is finished.
    #[inline]
    pub(crate) fn end(&mut self) {
        if self.open || !self.puts.is_empty() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        while let Some((ring, count, hash)) = self.puts.take() {
            self.item(Item::Put { ring, count, hash });
        }
        self.open = false;
        if self.overflow {
            self.overflow = false;
            self.scratch.truncate(self.start);
            self.flush();
            return self.stop(Fault::RecordTooLong);
        }
        let record = &mut self.scratch[self.start..];
        let body = record.len() - RING_HEAD;
        record[..4].copy_from_slice(&(body as u32).to_le_bytes());
        record[4..8].copy_from_slice(&[Kind::Cycle as u8, 0, 0, 0]);
        let head = &mut record[RING_HEAD..RING_HEAD + CYCLE_HEAD];
        write_head(head, self.agent, self.closing, self.number, self.now_ns);
        if self.scratch.len() >= FLUSH_BYTES {
            self.flush();
        }
    }

    /// The turn is over: finished records go to the ring, all of them or none.
    #[inline]
    pub(crate) fn flush(&mut self) {
        if !self.scratch.is_empty() && !self.open {
            if !self.stopped && self.ring.push_entire_slice(&self.scratch).is_err() {
                self.stop(Fault::RingFull);
            }
            self.scratch.clear();
        }
    }

    #[cold]
    fn stop(&mut self, fault: Fault) {
        self.stopped = true;
        self.health.raise(fault);
    }

    /// Whether the record of another order will fit: 0, or the code of the fault that says no. A ring without that
    /// room is a fault while there still is some, so that the cancels that follow are recorded.
    #[inline]
    pub(crate) fn ready(&mut self) -> u8 {
        let needed = self.scratch.len() + RECORD_RESERVE;
        if self.ring.cached_slots() < needed && self.ring.slots() < needed {
            self.health.raise(Fault::RingFull);
        }
        self.health.code()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(n: u64) -> [u64; 7] {
        std::array::from_fn(|i| n.wrapping_mul(i as u64 + 3))
    }

    #[test]
    fn hashes_tell_any_bit_and_any_order_apart() {
        let base = mix(0, &words(9));
        for i in 0..7 {
            for bit in 0..64 {
                let mut w = words(9);
                w[i] ^= 1 << bit;
                assert_ne!(mix(0, &w), base, "word {i} bit {bit}");
            }
        }
        let (ab, ba) = (mix(mix(0, &words(1)), &words(2)), mix(mix(0, &words(2)), &words(1)));
        assert_ne!(ab, ba);
        assert_ne!(mix(0, &[0; 7]), 0);
    }

    #[test]
    fn idle_cycles_leave_nothing_and_busy_ones_one_record() {
        let (mut r, mut end) = Recorder::new(0, Health::default());
        for n in 0..1_000 {
            r.begin(0, false, n, n);
            r.end();
        }
        assert!(end.is_empty());
        r.begin(2, false, 7, 70);
        r.item(Item::Up { link: 1 });
        r.put(3, &words(1));
        r.put(3, &words(2));
        r.end();
        r.begin(2, false, 8, 80);
        r.end();
        r.flush();
        let mut bytes = vec![0; end.slots()];
        end.pop_entire_slice(&mut bytes).expect("all of it");
        assert_eq!(bytes.len(), RING_HEAD + CYCLE_HEAD + 2 + 14);
        let cycle = crate::Cycle::decode(&bytes[RING_HEAD..]).expect("a cycle");
        assert_eq!((cycle.agent, cycle.number, cycle.now_ns, cycle.closing), (2, 7, 70, false));
        let items: Vec<_> = cycle.items().collect::<Result<_, _>>().expect("items");
        let hash = mix(mix(0, &words(1)), &words(2));
        assert_eq!(items, [Item::Up { link: 1 }, Item::Put { ring: 3, count: 2, hash }]);
    }

    #[test]
    fn a_ring_without_room_for_an_order_is_a_fault_before_anything_is_lost() {
        let health = Health::default();
        let (mut r, mut end) = Recorder::new(0, health.clone());
        assert_eq!(r.ready(), 0);
        let frame = vec![7u8; 10_000];
        let mut written = 0;
        while r.ready() == 0 {
            r.begin(0, false, written, 0);
            r.item(Item::Frame { link: 0, ts_ns: 0, bytes: &frame });
            r.end();
            written += 1;
        }
        assert_eq!(health.fault(), Some(Fault::RingFull));
        assert!(written > 10);
        // Cancels go on being recorded as long as there is room.
        r.begin(3, false, written, 0);
        r.item(Item::Sent { link: 1, result: 0, bytes: b"cancel" });
        r.end();
        r.flush();
        let mut records = 0;
        while let Ok(chunk) = end.read_chunk(RING_HEAD) {
            let (a, b) = chunk.as_slices();
            let head: Vec<u8> = a.iter().chain(b).copied().collect();
            chunk.commit_all();
            let body = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
            end.read_chunk(body).expect("whole records only").commit_all();
            records += 1;
        }
        assert_eq!(records, written + 1);
        assert_eq!(r.ready(), Fault::RingFull as u8, "room again, but a fault is never taken back");
    }

    #[test]
    fn after_a_lost_record_nothing_is_kept() {
        let health = Health::default();
        let (mut r, mut end) = Recorder::new(0, health.clone());
        r.begin(0, false, 1, 0);
        r.item(Item::Frame { link: 0, ts_ns: 0, bytes: &vec![0; RING_BYTES_MIN] });
        r.end();
        assert_eq!(health.fault(), Some(Fault::RecordTooLong));
        r.begin(0, false, 2, 0);
        r.item(Item::Up { link: 0 });
        r.end();
        r.flush();
        assert!(end.is_empty() && end.pop().is_err());
    }
}
