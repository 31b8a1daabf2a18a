//! The replaying side: hands an agent the inputs of a recorded cycle, in order, and compares what it says.

use crate::cycle::{CYCLE_HEAD, Cycle};
use crate::item::Item;
use crate::recorder::{Puts, RINGS_MAX};

/// Where a replay first differs from its journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The agent, in the engine's order.
    pub agent: u8,
    /// Its cycle.
    pub cycle: u64,
    /// Time of the cycle, ns.
    pub now_ns: u64,
    /// What the journal has.
    pub recorded: String,
    /// What the replay did.
    pub replayed: String,
}

/// A message that was published in a replayed cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// Where the agent stood in its items: every input before this offset of the body had been met.
    pub at: usize,
    /// The ring.
    pub ring: u8,
    /// The message.
    pub words: [u64; 7],
}

/// The recorded cycles of one stream, one at a time.
#[derive(Debug, Default)]
pub struct Script {
    body: Vec<u8>,
    at: usize,
    agent: u8,
    cycle: u64,
    now_ns: u64,
    /// Messages that may still be taken in this cycle, by ring.
    allowed: [u32; RINGS_MAX],
    puts: Puts,
    /// What was published in this cycle, when somebody wants to know.
    said: Option<Vec<Put>>,
    divergence: Option<Divergence>,
}

impl Script {
    /// Sets the stage for one cycle. Items that cannot be read end it: the reader has checked them before.
    pub fn load(&mut self, cycle: &Cycle<'_>, body: &[u8]) {
        self.body.clear();
        self.body.extend_from_slice(body);
        self.at = CYCLE_HEAD;
        (self.agent, self.cycle, self.now_ns) = (cycle.agent, cycle.number, cycle.now_ns);
        self.allowed = [0; RINGS_MAX];
        if let Some(said) = &mut self.said {
            said.clear();
        }
        for item in cycle.items().map_while(Result::ok) {
            if let Item::Took { ring, count } = item {
                self.allowed[ring as usize % RINGS_MAX] += count;
            }
        }
    }

    /// The next item of the cycle.
    fn peek(&self) -> Option<Item<'_>> {
        let mut at = self.at;
        Item::decode(&self.body, &mut at).ok()
    }

    /// Hands over the next item if `wanted` makes something of it; the item is then used up.
    pub fn take<R>(&mut self, wanted: impl FnOnce(&Item<'_>) -> Option<R>) -> Option<R> {
        let mut at = self.at;
        let item = Item::decode(&self.body, &mut at).ok()?;
        let taken = wanted(&item)?;
        self.at = at;
        Some(taken)
    }

    /// The same for an item that must come now: what the agent did is `replayed`.
    pub fn demand<R>(
        &mut self,
        replayed: &dyn Fn() -> String,
        wanted: impl FnOnce(&Item<'_>) -> Option<R>,
    ) -> Option<R> {
        let taken = self.take(wanted);
        if taken.is_none() {
            let recorded = self.peek().map_or_else(|| "nothing more in this cycle".into(), |i| tell(&i));
            self.diverge(recorded, replayed());
        }
        taken
    }

    /// From now on what is published is kept, a cycle at a time.
    pub fn listen(&mut self) {
        self.said = Some(Vec::new());
    }

    /// What was published in the present cycle.
    pub fn said(&self) -> &[Put] {
        self.said.as_deref().unwrap_or_default()
    }

    /// Whether the agent may take another message from a ring: as many as it took then.
    pub fn may_take(&mut self, ring: u8) -> bool {
        let left = &mut self.allowed[ring as usize % RINGS_MAX];
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }

    /// Whether [`Script::may_take`] would say so.
    pub fn is_due(&self, ring: u8) -> bool {
        self.allowed[ring as usize % RINGS_MAX] > 0
    }

    /// The agent published a message.
    pub fn put(&mut self, ring: u8, words: &[u64; 7]) {
        self.puts.add(ring, words);
        if let Some(said) = &mut self.said {
            said.push(Put { at: self.at, ring, words: *words });
        }
    }

    /// The cycle is over: what was published must be what was recorded, and nothing recorded may be left.
    pub fn end(&mut self) {
        while let Some((ring, count, hash)) = self.puts.take() {
            let put = Item::Put { ring, count, hash };
            self.demand(&|| tell(&put), |item| (*item == put).then_some(()));
        }
        if self.at < self.body.len() {
            let recorded = self.peek().map_or_else(|| "bytes that are no item".into(), |i| tell(&i));
            self.diverge(recorded, "the end of the cycle".into());
        }
        self.at = self.body.len();
    }

    /// Notes a difference; the first stands.
    #[cold]
    pub fn diverge(&mut self, recorded: String, replayed: String) {
        let (agent, cycle, now_ns) = (self.agent, self.cycle, self.now_ns);
        self.divergence.get_or_insert(Divergence { agent, cycle, now_ns, recorded, replayed });
    }

    /// Where the replay first differed.
    pub fn divergence(&self) -> Option<&Divergence> {
        self.divergence.as_ref()
    }
}

/// An item in words, long bytes cut.
pub(crate) fn tell(item: &Item<'_>) -> String {
    const SHOWN: usize = 400;
    let text = |bytes: &[u8]| {
        let cut = &bytes[..bytes.len().min(SHOWN)];
        format!("{}{}", String::from_utf8_lossy(cut), if bytes.len() > SHOWN { "…" } else { "" })
    };
    match item {
        Item::Frame { link, ts_ns, bytes } => format!("frame on link {link} at {ts_ns}: {}", text(bytes)),
        Item::Sent { link, result, bytes } => {
            format!("message on link {link} with result {result}: {}", text(bytes))
        }
        Item::Snapshot { bytes } => format!("snapshot of {} bytes", bytes.len()),
        Item::Put { ring, count, hash } => {
            format!("{count} messages published to ring {ring}, hash {hash:016x}")
        }
        Item::Took { ring, count } => format!("{count} messages taken from ring {ring}"),
        Item::Word { channel, value } => format!("word {channel} = {value}"),
        Item::Stamp { ns } => format!("clock read as {ns}"),
        other => format!("{other:?}"),
    }
}
