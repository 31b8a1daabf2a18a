//! The hot side: collects what happens in a cycle and hands the finished record to a ring of bytes.
//!
//! Nothing here waits, allocates or asks the kernel. What is on the way to an order is a few stores: items are written to
//! a buffer that stays in the cache, messages that were published are laid beside it. When every agent of the thread
//! has had its turn, and an order has left, the messages are hashed and the records copied to the ring in one piece: its
//! lines belong to the other core by then, and fetching them is what costs. The other side sees whole cycles only.
//! Before an order leaves, all that is asked is whether its record will fit ([`Recorder::ready`]).

use std::sync::atomic::{AtomicU64, Ordering};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::cycle::{CLOSING, CYCLE_HEAD, write_head};
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
/// Both heads of a record.
const HEADS: usize = RING_HEAD + CYCLE_HEAD;
/// Messages of one turn that wait for their hash.
const SAID_MAX: usize = 64;
/// Bytes that they and what was hashed before them may become: an item each.
const PUTS_BYTES_MAX: usize = (SAID_MAX + RINGS_MAX) * 14;
/// Records of one turn; the engine has four agents.
const FINISHED_MAX: usize = 8;
/// Rings that can be hashed; the engine has six.
pub(crate) const RINGS_MAX: usize = 16;

/// The cycle is recorded whatever happens in it.
const MARKED: u8 = 1;
/// It did not fit the buffer.
const OVERFLOW: u8 = 2;
/// Some of what it published is hashed already.
const FOLDED: u8 = 4;

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

/// A message that was published, and to which ring. Atomics for their stores, which are of one word: a message comes
/// word by word from where it was just written, and a copy in wider pieces would wait until all of that is in the cache.
struct Said {
    words: [AtomicU64; 7],
    ring: AtomicU64,
}

impl Said {
    #[inline(always)]
    fn set(&self, ring: u8, words: &[u64; 7]) {
        for (to, word) in self.words.iter().zip(words) {
            to.store(*word, Ordering::Relaxed);
        }
        self.ring.store(ring as u64, Ordering::Relaxed);
    }

    fn get(&self) -> (u8, [u64; 7]) {
        let words = std::array::from_fn(|i| self.words[i].load(Ordering::Relaxed));
        (self.ring.load(Ordering::Relaxed) as u8, words)
    }
}

/// Gathers the cycles of the agents of one thread.
///
/// The buffer always ends in the present record: room for its heads, which are written when it ends, and what was met so
/// far.
pub(crate) struct Recorder {
    /// Bytes of `scratch` in use.
    len: usize,
    /// Where the present record begins.
    start: usize,
    /// Messages in `waiting`.
    said: usize,
    /// The first of them that is of the present cycle.
    first_said: usize,
    /// Records finished in this turn.
    finished: usize,
    /// Where each of them ends in `scratch`, and in `waiting`.
    ends: Box<[(u32, u32); FINISHED_MAX]>,
    /// Records: ring head, cycle head, items. Never grows.
    scratch: Box<[u8]>,
    /// What was published and is not hashed yet: the message, and the ring.
    waiting: Box<[Said; SAID_MAX]>,
    /// What is unusual about the present cycle: [`MARKED`], [`OVERFLOW`], [`FOLDED`].
    unusual: u8,
    /// A record was lost: nothing after it may be kept, or a hole would look like a whole.
    stopped: bool,
    puts: Puts,
    /// Records as they go to the ring. Never grows.
    out: Vec<u8>,
    ring: Producer<u8>,
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
        let room = ring_bytes / 2 + FLUSH_BYTES;
        let mut out = vec![1u8; room + PUTS_BYTES_MAX];
        out.clear();
        let recorder = Recorder {
            len: HEADS,
            start: 0,
            said: 0,
            first_said: 0,
            scratch: vec![1u8; room].into_boxed_slice(),
            finished: 0,
            ends: Box::new([(1, 1); FINISHED_MAX]),
            waiting: Box::new(
                [const { Said { words: [const { AtomicU64::new(1) }; 7], ring: AtomicU64::new(1) } };
                    SAID_MAX],
            ),
            unusual: 0,
            stopped: false,
            puts: Puts::default(),
            out,
            ring,
            health,
        };
        (recorder, end)
    }

    /// The present cycle is recorded even if nothing else happens in it: the agent acts on time alone.
    #[inline]
    pub(crate) fn mark(&mut self) {
        self.unusual |= MARKED;
    }

    /// Something happened: the first `bytes` of `packed`, see [`Item`]. All of it is stored, which is one way through
    /// for every kind, and what was too much is written over.
    #[inline(always)]
    pub(crate) fn item(&mut self, packed: u128, bytes: usize) {
        match self.scratch.get_mut(self.len..).and_then(|room| room.first_chunk_mut()) {
            Some(room) => {
                *room = packed.to_le_bytes();
                self.len += bytes;
            }
            None => self.unusual |= OVERFLOW,
        }
    }

    /// The same with bytes that follow it.
    #[inline(always)]
    pub(crate) fn long_item(&mut self, packed: u128, bytes: usize, text: &[u8]) {
        let room = self.scratch.get_mut(self.len..).unwrap_or_default();
        if let Some(head) = room.first_chunk_mut() {
            *head = packed.to_le_bytes();
            if let Some(room) = room.get_mut(bytes..bytes + text.len()) {
                room.copy_from_slice(text);
                self.len += bytes + text.len();
                return;
            }
        }
        self.unusual |= OVERFLOW;
    }

    /// Something was published. It is hashed when the turn is over.
    #[inline(always)]
    pub(crate) fn put(&mut self, ring: u8, words: &[u64; 7]) {
        match self.waiting.get(self.said) {
            Some(slot) => {
                slot.set(ring, words);
                self.said += 1;
            }
            None => self.put_late(ring, words),
        }
    }

    #[cold]
    #[inline(never)]
    fn put_late(&mut self, ring: u8, words: &[u64; 7]) {
        self.fold();
        if let Some(slot) = self.waiting.get(self.said) {
            slot.set(ring, words);
            self.said += 1;
        }
    }

    /// The cycle is over, and its record finished if something happened in it.
    #[inline(always)]
    pub(crate) fn end(&mut self, agent: u8, number: u64, now_ns: u64) {
        let happened = (self.len ^ (self.start + HEADS)) | (self.said ^ self.first_said);
        if happened | self.unusual as usize != 0 {
            self.finish(agent, 0, number, now_ns);
        }
    }

    /// The same for an agent's closing, which is always recorded.
    pub(crate) fn closed(&mut self, agent: u8, number: u64, now_ns: u64) {
        self.finish(agent, CLOSING, number, now_ns);
    }

    #[inline(never)]
    fn finish(&mut self, agent: u8, flags: u8, number: u64, now_ns: u64) {
        if let Some(heads) = self.scratch.get_mut(self.start..).and_then(|s| s.first_chunk_mut::<HEADS>()) {
            write_head(&mut heads[RING_HEAD..], agent, flags, number, now_ns);
        }
        match self.ends.get_mut(self.finished) {
            Some(end) if self.unusual <= MARKED && self.len < FLUSH_BYTES => {
                *end = (self.len as u32, self.said as u32);
                self.finished += 1;
                self.unusual = 0;
                self.start = self.len;
                self.len += HEADS;
                self.first_said = self.said;
            }
            _ => self.finish_unusual(),
        }
    }

    /// A long record, or one of which a part is hashed: it leaves at once, with all before it.
    #[cold]
    #[inline(never)]
    fn finish_unusual(&mut self) {
        if self.finished == FINISHED_MAX {
            self.hand_over();
        }
        let unusual = std::mem::take(&mut self.unusual);
        if unusual & OVERFLOW != 0 || self.scratch.len() - self.len < HEADS {
            self.len = self.start + HEADS;
            self.flush();
            return self.stop(Fault::RecordTooLong);
        }
        if let Some(end) = self.ends.get_mut(self.finished) {
            *end = (self.len as u32, self.said as u32);
        }
        self.finished += 1;
        self.start = self.len;
        self.len += HEADS;
        self.first_said = self.said;
        self.flush();
    }

    /// The turn is over: finished records go to the ring, all of them or none.
    #[inline]
    pub(crate) fn flush(&mut self) {
        if self.start > 0 {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        self.out.clear();
        let (mut at, mut said) = (0, 0);
        for &(end, next) in self.ends.iter().take(self.finished) {
            let (end, next, begins) = (end as usize, next as usize, self.out.len());
            self.out.extend_from_slice(self.scratch.get(at..end).unwrap_or_default());
            for message in self.waiting.get(said..next).unwrap_or_default() {
                let (ring, words) = message.get();
                self.puts.add(ring, &words);
            }
            while let Some((ring, count, hash)) = self.puts.take() {
                Item::Put { ring, count, hash }.encode(&mut self.out);
            }
            let body = (self.out.len() - begins - RING_HEAD) as u64 | (Kind::Cycle as u64) << 32;
            if let Some(head) = self.out.get_mut(begins..).and_then(|s| s.first_chunk_mut::<RING_HEAD>()) {
                *head = body.to_le_bytes();
            }
            (at, said) = (end, next);
        }
        if !self.stopped && self.ring.push_entire_slice(&self.out).is_err() {
            self.stop(Fault::RingFull);
        }
        // The present record, as far as it has come.
        self.scratch.copy_within(self.start..self.len, 0);
        for (to, from) in (self.first_said..self.said).enumerate() {
            let (ring, words) = self.waiting[from].get();
            self.waiting[to].set(ring, &words);
        }
        self.len -= self.start;
        self.said -= self.first_said;
        (self.start, self.first_said, self.finished) = (0, 0, 0);
    }

    /// More was published in this turn than can wait: the records before go to the ring, and the present one's
    /// messages are hashed now.
    #[cold]
    fn fold(&mut self) {
        self.flush();
        for message in self.waiting.iter().take(self.said) {
            let (ring, words) = message.get();
            self.puts.add(ring, &words);
        }
        self.said = 0;
        self.unusual |= FOLDED;
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
        let needed = self.len + RECORD_RESERVE;
        if self.ring.cached_slots() < needed && self.ring.slots() < needed {
            self.health.raise(Fault::RingFull);
        }
        self.health.code()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(r: &mut Recorder, item: Item<'_>) {
        match item.packed() {
            (packed, head, []) => r.item(packed, head),
            (packed, head, text) => r.long_item(packed, head, text),
        }
    }

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
            r.end(0, n, n);
        }
        assert!(end.is_empty());
        note(&mut r, Item::Up { link: 1 });
        r.put(3, &words(1));
        r.put(3, &words(2));
        r.end(2, 7, 70);
        r.end(2, 8, 80);
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
    fn however_much_is_published_in_a_turn_each_record_has_its_own() {
        for messages in [1, SAID_MAX - 2, SAID_MAX - 1, SAID_MAX, 3 * SAID_MAX] {
            let (mut r, mut end) = Recorder::new(0, Health::default());
            let (mut puts, mut want) = (Puts::default(), Vec::new());
            // An agent before it, the one that publishes much between two items, one after it.
            for (agent, count) in [(0, 1), (1, messages), (2, 1)] {
                note(&mut r, Item::Stamp { ns: agent as u64 });
                for n in 0..count {
                    let ring = (n % 2) as u8;
                    r.put(ring, &words(n as u64));
                    puts.add(ring, &words(n as u64));
                }
                note(&mut r, Item::Took { ring: agent, count: 7 });
                r.end(agent, 1, 0);
                want.push((
                    agent,
                    vec![Item::Stamp { ns: agent as u64 }, Item::Took { ring: agent, count: 7 }],
                ));
                while let Some((ring, count, hash)) = puts.take() {
                    want[agent as usize].1.push(Item::Put { ring, count, hash });
                }
            }
            r.flush();
            let mut bytes = vec![0; end.slots()];
            end.pop_entire_slice(&mut bytes).expect("all of it");
            let mut rest = bytes.as_slice();
            for (agent, want) in want {
                let body = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
                let cycle = crate::Cycle::decode(&rest[RING_HEAD..RING_HEAD + body]).expect("a cycle");
                let items: Vec<_> = cycle.items().collect::<Result<_, _>>().expect("items");
                assert_eq!((cycle.agent, items), (agent, want), "{messages} messages");
                rest = &rest[RING_HEAD + body..];
            }
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn a_ring_without_room_for_an_order_is_a_fault_before_anything_is_lost() {
        let health = Health::default();
        let (mut r, mut end) = Recorder::new(0, health.clone());
        assert_eq!(r.ready(), 0);
        let frame = vec![7u8; 10_000];
        let mut written = 0;
        while r.ready() == 0 {
            note(&mut r, Item::Frame { link: 0, ts_ns: 0, bytes: &frame });
            r.end(0, written, 0);
            written += 1;
        }
        assert_eq!(health.fault(), Some(Fault::RingFull));
        assert!(written > 10);
        // Cancels go on being recorded as long as there is room.
        note(&mut r, Item::Sent { link: 1, result: 0, bytes: b"cancel" });
        r.end(3, written, 0);
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
        note(&mut r, Item::Frame { link: 0, ts_ns: 0, bytes: &vec![0; RING_BYTES_MIN] });
        r.end(0, 1, 0);
        assert_eq!(health.fault(), Some(Fault::RecordTooLong));
        note(&mut r, Item::Up { link: 0 });
        r.end(0, 2, 0);
        r.flush();
        assert!(end.is_empty() && end.pop().is_err());
    }
}
