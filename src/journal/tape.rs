//! What an agent holds: nothing, a recorder, or a script. The agent's code is the same for all three.
//!
//! Whatever an agent learns from outside goes through its tape: off, it passes; recording, it passes and is noted;
//! replaying, the note takes its place. Whatever an agent says is folded into a hash that is recorded or compared.

use std::sync::Arc;

use rtrb::Consumer;

use crate::confined::Confined;
use crate::fault::{Fault, Health};
use crate::item::Item;
use crate::recorder::Recorder;
use crate::script::{Script, tell};

/// One agent's end of the journal. Clones belong to the same agent and are used on its thread alone.
#[derive(Clone, Default)]
pub struct Tape {
    reel: Reel,
    agent: u8,
}

#[derive(Clone, Default)]
enum Reel {
    /// No journal.
    #[default]
    Off,
    Record(Arc<Confined<Recorder>>, Health),
    Replay(Arc<Confined<Script>>),
}

/// The tapes of an engine, one an agent, in the engine's order.
#[derive(Clone, Default)]
pub struct Tapes {
    tapes: Vec<Tape>,
    streams: Vec<u8>,
    health: Health,
}

impl Tapes {
    /// No journal.
    pub fn off() -> Tapes {
        Tapes::default()
    }

    /// Recording tapes: `streams` names for each agent the thread on which it runs, from 0 without gaps. Each thread
    /// has a ring of `ring_bytes`; their other ends come back, for a [`crate::Drain`].
    pub fn record(streams: &[u8], ring_bytes: usize, health: &Health) -> (Tapes, Vec<Consumer<u8>>) {
        let n = streams.iter().map(|s| *s as usize + 1).max().unwrap_or(0);
        let mut ends = Vec::new();
        let mut recorders = Vec::new();
        for _ in 0..n {
            let (recorder, end) = Recorder::new(ring_bytes, health.clone());
            recorders.push(Arc::new(Confined::new(recorder)));
            ends.push(end);
        }
        let tapes = streams.iter().enumerate().map(|(i, s)| Tape {
            reel: Reel::Record(recorders[*s as usize].clone(), health.clone()),
            agent: i as u8,
        });
        (Tapes { tapes: tapes.collect(), streams: streams.to_vec(), health: health.clone() }, ends)
    }

    /// Replaying tapes for `agents` agents, each with a script of its own.
    pub fn replay(agents: usize) -> Tapes {
        let tape = |i: usize| Tape {
            reel: Reel::Replay(Arc::new(Confined::new(Script::default()))),
            agent: i as u8,
        };
        Tapes { tapes: (0..agents).map(tape).collect(), ..Tapes::default() }
    }

    /// The tape of an agent; off when there is none.
    pub fn of(&self, agent: usize) -> Tape {
        self.tapes.get(agent).cloned().unwrap_or_default()
    }

    /// The stream of each agent; empty unless recording.
    pub fn streams(&self) -> &[u8] {
        &self.streams
    }

    /// The fault that recording has met, if any.
    pub fn health(&self) -> &Health {
        &self.health
    }
}

impl Tape {
    /// No journal.
    pub fn off() -> Tape {
        Tape::default()
    }

    /// Whether there is no journal.
    #[inline]
    pub fn is_off(&self) -> bool {
        matches!(self.reel, Reel::Off)
    }

    /// Whether inputs come from a script.
    #[inline]
    pub fn is_replay(&self) -> bool {
        matches!(self.reel, Reel::Replay(_))
    }

    /// Cycle `number` of this agent, which began at `now_ns`, is over.
    #[inline]
    pub fn end(&self, number: u64, now_ns: u64) {
        match &self.reel {
            Reel::Off => {}
            Reel::Record(..) => {
                self.record(|r| r.end(self.agent, number, now_ns));
            }
            Reel::Replay(_) => self.end_script(),
        }
    }

    /// The agent's closing, which began at `now_ns`, is over; it is always recorded.
    pub fn closed(&self, number: u64, now_ns: u64) {
        self.record(|r| r.closed(self.agent, number, now_ns));
        self.end_script();
    }

    /// Replay stands apart, here and below: inlined, its code would lie between the few instructions of the others.
    #[cold]
    #[inline(never)]
    fn end_script(&self) {
        self.script(Script::end);
    }

    /// Every agent of the thread has had its turn: what they recorded goes to the ring. Nothing is on its way to the
    /// wire now that could wait for it.
    #[inline]
    pub fn flush(&self) {
        self.record(Recorder::flush);
    }

    /// The agent acts on time alone: the present cycle is recorded even if nothing else happens in it. Whoever
    /// changes state that decides anything, in a cycle without input, must call this.
    #[inline]
    pub fn mark(&self) {
        self.record(Recorder::mark);
    }

    /// Notes an input that was met; only when recording.
    #[inline(always)]
    pub fn note(&self, item: Item<'_>) {
        // One short way for all kinds, not a choice among twelve: on the way to an order, code that is met for the
        // first time costs more than what it does.
        if let Reel::Record(..) = &self.reel {
            match item.packed() {
                (packed, head, []) => self.note_short(packed, head),
                (packed, head, text) => self.note_long(packed, head, text),
            }
        }
    }

    #[inline(never)]
    fn note_short(&self, packed: u128, bytes: usize) {
        self.record(|r| r.item(packed, bytes));
    }

    #[inline(never)]
    fn note_long(&self, packed: u128, bytes: usize, text: &[u8]) {
        self.record(|r| r.long_item(packed, bytes, text));
    }

    /// Messages taken from a ring in this cycle.
    #[inline]
    pub fn took(&self, ring: u8, count: u32) {
        let took = Item::Took { ring, count };
        match &self.reel {
            Reel::Off => {}
            Reel::Record(..) => self.note(took),
            Reel::Replay(_) => self.demand_took(took),
        }
    }

    #[cold]
    #[inline(never)]
    fn demand_took(&self, took: Item<'_>) {
        self.script(|s| s.demand(&|| tell(&took), |item| (*item == took).then_some(())));
    }

    /// A message was published to a ring.
    #[inline]
    pub fn put(&self, ring: u8, words: &[u64; 7]) {
        match &self.reel {
            Reel::Off => {}
            Reel::Record(..) => {
                self.record(|r| r.put(ring, words));
            }
            Reel::Replay(_) => self.compare_put(ring, words),
        }
    }

    #[cold]
    #[inline(never)]
    fn compare_put(&self, ring: u8, words: &[u64; 7]) {
        self.script(|s| s.put(ring, words));
    }

    /// A reading of the clock on which something depends; `live` reads it.
    #[inline]
    pub fn stamp(&self, live: impl FnOnce() -> u64) -> u64 {
        match &self.reel {
            Reel::Off => live(),
            Reel::Record(..) => {
                let ns = live();
                self.note(Item::Stamp { ns });
                ns
            }
            Reel::Replay(_) => self.stamp_then(),
        }
    }

    #[cold]
    #[inline(never)]
    fn stamp_then(&self) -> u64 {
        let reading = |s: &mut Script| {
            s.demand(&|| "a reading of the clock".into(), |item| match item {
                Item::Stamp { ns } => Some(*ns),
                _ => None,
            })
        };
        self.script(reading).flatten().unwrap_or(0)
    }

    /// Something refused to take more, if `live` is true; replaying, if it did then.
    #[inline]
    pub fn refused(&self, channel: u8, live: bool) -> bool {
        match &self.reel {
            Reel::Off => live,
            Reel::Record(..) => {
                if live {
                    self.note(Item::Refused { channel });
                }
                live
            }
            Reel::Replay(_) => self.refusal_due(channel),
        }
    }

    /// Replaying: whether a refusal was recorded for what the agent is about to do. Else `false`.
    #[inline]
    pub fn refusal_due(&self, channel: u8) -> bool {
        self.is_replay() && self.take_refusal(channel)
    }

    #[cold]
    #[inline(never)]
    fn take_refusal(&self, channel: u8) -> bool {
        let refusal = Item::Refused { channel };
        self.script(|s| s.take(|item| (*item == refusal).then_some(()))).flatten().is_some()
    }

    /// Whether the record of another order will fit: 0, or the code of the [`Fault`] that says no. To be asked before
    /// an order leaves, and heeded. Replaying, 0: the answer of then is a [`Word`].
    #[inline]
    pub fn ready(&self) -> u8 {
        match &self.reel {
            Reel::Record(..) => self.record(Recorder::ready).unwrap_or(Fault::WriterGone as u8),
            _ => 0,
        }
    }

    /// The code of the journal's fault, 0 = none: the early question, without a look at the ring.
    #[inline]
    pub fn fault_code(&self) -> u8 {
        match &self.reel {
            Reel::Record(_, health) => health.code(),
            _ => 0,
        }
    }

    /// Runs `f` on the script; `None` unless replaying.
    pub fn script<R>(&self, f: impl FnOnce(&mut Script) -> R) -> Option<R> {
        match &self.reel {
            Reel::Replay(script) => script.with(f),
            _ => None,
        }
    }

    /// Runs `f`, one method of the recorder, on it; `None` unless recording.
    #[inline(always)]
    fn record<R>(&self, f: impl FnOnce(&mut Recorder) -> R) -> Option<R> {
        let Reel::Record(recorder, health) = &self.reel else { return None };
        // SAFETY: recorders are used here alone. Every closure of this file calls one method of the recorder with plain
        // data; those methods call the ring, the health and the encoder of items, none of which know a tape.
        let done = unsafe { recorder.leaf(f) };
        if done.is_none() {
            not_its_thread(health);
        }
        done
    }
}

/// A record that nobody can vouch for is no record.
#[cold]
#[inline(never)]
fn not_its_thread(health: &Health) {
    health.raise(Fault::WriterGone);
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mode = match self.reel {
            Reel::Off => "off",
            Reel::Record(..) => "record",
            Reel::Replay(_) => "replay",
        };
        write!(f, "Tape({mode}, agent {})", self.agent)
    }
}

/// A word that an agent reads from a board or control segment: recorded when it differs from what was read before,
/// replayed from the record.
#[derive(Clone, Debug)]
pub struct Word {
    tape: Tape,
    channel: u8,
    /// What was read last, if anything was.
    last: u64,
    read: Read,
}

/// Where a word was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Nowhere,
    Live,
    Script,
}

impl Word {
    /// A word with a channel of its own within the agent.
    pub fn new(tape: &Tape, channel: u8) -> Word {
        Word { tape: tape.clone(), channel, last: 0, read: Read::Nowhere }
    }

    /// What the agent is to see, `live` being what stands there now. A comparison while nothing changes.
    #[inline]
    pub fn see(&mut self, live: u64) -> u64 {
        if (self.read == Read::Live) & (self.last == live) { live } else { self.turn(live) }
    }

    #[cold]
    #[inline(never)]
    fn turn(&mut self, live: u64) -> u64 {
        let mut value = live;
        if self.tape.is_replay() {
            let channel = self.channel;
            let changed = self.tape.script(|s| {
                s.take(|item| match item {
                    Item::Word { channel: c, value } if *c == channel => Some(*value),
                    _ => None,
                })
            });
            value = changed.flatten().unwrap_or(if self.read == Read::Script { self.last } else { live });
            self.read = Read::Script;
        } else {
            self.tape.note(Item::Word { channel: self.channel, value });
            self.read = Read::Live;
        }
        self.last = value;
        value
    }
}
