//! Sockets of the one-thread engine: message queues in virtual time with faults on demand.
//!
//! A [`MemLink`] is a [`net::Link`] whose other end is the simulated venue in the same thread. Messages take a
//! seeded time each way; faults are drawn from the same seed, so a failing seed reproduces bit for bit. What a
//! real TCP connection cannot do to a live session (lose, repeat or swap single messages) is done here on demand,
//! to show that the layers above notice or do not care.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent::VirtualClock;
use net::{AbortHandle, CloseReason, Link, LinkEvent, SendError};
use wire::Ts;

/// SplitMix64: the engine's only source of chance in simulation.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// From a seed; different streams of one seed should differ in `stream`.
    pub fn new(seed: u64, stream: u64) -> Seeded {
        Seeded(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..n` (`n` > 0).
    pub fn below(&mut self, n: u64) -> u64 {
        ((self.draw() as u128 * n as u128) >> 64) as u64
    }

    /// True `ppm` times in a million.
    pub fn chance(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.below(1_000_000) < ppm as u64
    }
}

/// Faults of one connection, in parts per million of its messages. All zero = a perfect network. Messages are
/// repeated and swapped towards the engine only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A message never arrives.
    pub lost_ppm: u32,
    /// A message arrives twice.
    pub twice_ppm: u32,
    /// A message changes place with the one before it.
    pub swapped_ppm: u32,
    /// A message is late by up to 50 ms (and everything behind it).
    pub late_ppm: u32,
    /// The connection is cut; what is queued, this message with it, is lost.
    pub cut_ppm: u32,
    /// The venue stops reading for 20 ms: bytes pile up on our side.
    pub stalled_ppm: u32,
}

/// Direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the venue.
    Inward,
    /// From the engine.
    Outward,
}

/// Someone in the middle of a connection: is given each message and says what is delivered in its place, each with
/// an extra delay in ns. A delayed message does not hold up those behind it.
pub type Tamper = Box<dyn FnMut(Way, Vec<u8>) -> Vec<(u64, Vec<u8>)> + Send>;

/// Latency and faults of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireSettings {
    /// Shortest one-way time, ns.
    pub latency_ns: u64,
    /// Added at random, ns.
    pub jitter_ns: u64,
    /// Time from a cut to the next connection, ns.
    pub reconnect_ns: u64,
    /// Faults.
    pub faults: Faults,
}

impl Default for WireSettings {
    fn default() -> Self {
        WireSettings {
            latency_ns: 50_000,
            jitter_ns: 20_000,
            reconnect_ns: 20_000_000,
            faults: Faults::default(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody connected; the next attempt is due then.
    Down {
        next: Ts,
    },
    /// Venue accepted; the agent has not been told.
    Accepted,
    Up,
    /// Gone; the agent has not been told.
    Lost(CloseReason),
}

/// What happened to the wires that the runner must tell the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A connection attempt of the link with this number.
    Connect(u32),
    /// The connection is gone.
    Gone(u32),
}

struct Wire {
    state: State,
    settings: WireSettings,
    chance: Seeded,
    /// To the engine: due time and payload.
    inward: VecDeque<(Ts, Vec<u8>)>,
    /// To the venue.
    outward: VecDeque<(Ts, Vec<u8>)>,
    stalled_until: Ts,
    tell_gone: bool,
    sent: u64,
    tamper: Option<Tamper>,
}

/// Puts a message where its time falls, behind those of the same time.
fn insert(queue: &mut VecDeque<(Ts, Vec<u8>)>, due: Ts, payload: Vec<u8>) {
    let at = queue.iter().rposition(|m| m.0 <= due).map_or(0, |i| i + 1);
    queue.insert(at, (due, payload));
}

impl Wire {
    fn due(&mut self, now: Ts, queue_last: Option<Ts>) -> Ts {
        let mut at =
            now.plus_ns(self.settings.latency_ns + self.chance.below(self.settings.jitter_ns.max(1)));
        if self.chance.chance(self.settings.faults.late_ppm) {
            at = at.plus_ns(self.chance.below(50_000_000));
        }
        // A stream keeps its order.
        queue_last.map_or(at, |last| at.max(last))
    }

    fn lose(&mut self, reason: CloseReason) {
        if matches!(self.state, State::Up | State::Accepted) {
            self.state = State::Lost(reason);
            self.tell_gone = true;
        }
        self.inward.clear();
        self.outward.clear();
        self.stalled_until = Ts(0);
    }

    /// What the one in the middle makes of a message; the message itself without one.
    fn tampered(&mut self, way: Way, payload: Vec<u8>, now: Ts) -> Option<Vec<u8>> {
        let Some(tamper) = &mut self.tamper else { return Some(payload) };
        let made = tamper(way, payload);
        let travel = self.settings.latency_ns;
        let queue = match way {
            Way::Inward => &mut self.inward,
            Way::Outward => &mut self.outward,
        };
        for (delay_ns, payload) in made {
            insert(queue, now.plus_ns(travel + delay_ns), payload);
        }
        None
    }

    fn inward(&mut self, payload: Vec<u8>, now: Ts) {
        if !matches!(self.state, State::Up | State::Accepted) {
            return;
        }
        let Some(payload) = self.tampered(Way::Inward, payload, now) else { return };
        let faults = self.settings.faults;
        if self.chance.chance(faults.cut_ppm) {
            return self.lose(CloseReason::Reset);
        }
        if self.chance.chance(faults.lost_ppm) {
            return;
        }
        let due = self.due(now, self.inward.back().map(|m| m.0));
        if self.chance.chance(faults.twice_ppm) {
            self.inward.push_back((due, payload.clone()));
        }
        self.inward.push_back((due, payload));
        let n = self.inward.len();
        if n >= 2 && self.chance.chance(faults.swapped_ppm) {
            let (a, b) = (self.inward[n - 2].0, self.inward[n - 1].0);
            self.inward.swap(n - 2, n - 1);
            (self.inward[n - 2].0, self.inward[n - 1].0) = (a, b);
        }
    }
}

/// All connections of a one-thread engine.
#[derive(Clone)]
pub struct Wires {
    wires: Arc<Mutex<Vec<Wire>>>,
    clock: VirtualClock,
}

impl Wires {
    /// `n` connections, all down and due to connect at once.
    pub fn new(n: usize, settings: WireSettings, seed: u64, clock: VirtualClock) -> Wires {
        let now = clock.now();
        let wire = |i| Wire {
            state: State::Down { next: now },
            settings,
            chance: Seeded::new(seed, 0x100 + i as u64),
            inward: VecDeque::new(),
            outward: VecDeque::new(),
            stalled_until: Ts(0),
            tell_gone: false,
            sent: 0,
            tamper: None,
        };
        Wires { wires: Arc::new(Mutex::new((0..n).map(wire).collect())), clock }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Wire>> {
        // One thread: nobody else holds it, and a panic elsewhere ends the run anyway.
        self.wires.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine's end of connection `i`.
    pub fn link(&self, i: u32) -> MemLink {
        MemLink { wires: self.clone(), i, buffer: Vec::with_capacity(65_536), poisoned: false }
    }

    /// Sets latency and faults of connection `i`.
    pub fn set(&self, i: u32, settings: WireSettings) {
        if let Some(w) = self.lock().get_mut(i as usize) {
            w.settings = settings;
        }
    }

    /// Puts someone in the middle of connection `i`, for both directions; `None` takes him away.
    pub fn tamper(&self, i: u32, tamper: Option<Tamper>) {
        if let Some(w) = self.lock().get_mut(i as usize) {
            w.tamper = tamper;
        }
    }

    /// Cuts connection `i` now.
    pub fn cut(&self, i: u32) {
        if let Some(w) = self.lock().get_mut(i as usize) {
            w.lose(CloseReason::Reset);
        }
    }

    /// The venue stops reading connection `i` until `until`: a receive window of zero.
    pub fn stall(&self, i: u32, until: Ts) {
        if let Some(w) = self.lock().get_mut(i as usize) {
            w.stalled_until = until;
        }
    }

    /// What the runner must tell the venue now.
    pub fn turn(&self, now: Ts) -> Option<Turn> {
        for (i, w) in self.lock().iter_mut().enumerate() {
            if w.tell_gone {
                w.tell_gone = false;
                return Some(Turn::Gone(i as u32));
            }
            if let State::Down { next } = w.state
                && next <= now
            {
                w.state = State::Down { next: now.plus_ns(w.settings.reconnect_ns) };
                return Some(Turn::Connect(i as u32));
            }
        }
        None
    }

    /// The venue accepted connection `i`.
    pub fn accepted(&self, i: u32) {
        if let Some(w) = self.lock().get_mut(i as usize) {
            w.state = State::Accepted;
        }
    }

    /// The venue closed connection `i`.
    pub fn closed(&self, i: u32) {
        if let Some(w) = self.lock().get_mut(i as usize) {
            w.lose(CloseReason::PeerClose { code: 1000 });
            w.tell_gone = false;
        }
    }

    /// The venue sent a message on connection `i`.
    pub fn to_engine(&self, i: u32, payload: Vec<u8>, now: Ts) {
        if let Some(w) = self.lock().get_mut(i as usize) {
            w.inward(payload, now);
        }
    }

    /// The next message that reached the venue by `now`.
    pub fn to_venue(&self, now: Ts) -> Option<(u32, Vec<u8>)> {
        for (i, w) in self.lock().iter_mut().enumerate() {
            if w.stalled_until > now {
                continue;
            }
            if w.outward.front().is_some_and(|m| m.0 <= now) {
                return w.outward.pop_front().map(|(_, payload)| (i as u32, payload));
            }
        }
        None
    }

    /// When something on the wires is due next.
    pub fn next_at(&self) -> Option<Ts> {
        self.lock()
            .iter()
            .flat_map(|w| {
                let connect = match w.state {
                    State::Down { next } => Some(next),
                    _ => None,
                };
                let outward = w.outward.front().map(|m| m.0.max(w.stalled_until));
                [connect, w.inward.front().map(|m| m.0), outward]
            })
            .flatten()
            .min()
    }

    /// When the next message from the venue is due, on any connection.
    pub fn next_inward_at(&self) -> Option<Ts> {
        self.lock().iter().filter_map(|w| w.inward.front().map(|m| m.0)).min()
    }

    /// Messages that the engine sent on connection `i`.
    pub fn sent(&self, i: u32) -> u64 {
        self.lock().get(i as usize).map_or(0, |w| w.sent)
    }
}

/// The engine's end of one connection in memory.
pub struct MemLink {
    wires: Wires,
    i: u32,
    buffer: Vec<u8>,
    poisoned: bool,
}

impl MemLink {
    fn with<R>(&self, f: impl FnOnce(&mut Wire) -> R) -> R {
        f(&mut self.wires.lock()[self.i as usize])
    }
}

impl Link for MemLink {
    fn poll(&mut self, budget: usize, stamp: &dyn Fn() -> u64, sink: &mut dyn FnMut(LinkEvent<'_>)) -> usize {
        let now = Ts(stamp());
        let mut events = 0;
        match self.with(|w| w.state) {
            State::Accepted => {
                self.with(|w| w.state = State::Up);
                self.poisoned = false;
                sink(LinkEvent::Up);
                events += 1;
            }
            State::Lost(reason) => {
                self.with(|w| w.state = State::Down { next: now.plus_ns(w.settings.reconnect_ns) });
                sink(LinkEvent::Down { reason });
                return 1;
            }
            _ => {}
        }
        while events < budget {
            let next = self.with(|w| match w.inward.front() {
                Some(m) if m.0 <= now => w.inward.pop_front(),
                _ => None,
            });
            let Some((_, payload)) = next else { break };
            self.buffer.clear();
            self.buffer.extend_from_slice(&payload);
            let len = self.buffer.len();
            // Readable padding behind the message, as on the real link.
            self.buffer.resize(len + net::ws::PADDING, 0);
            sink(LinkEvent::Message { payload: &mut self.buffer[..len], ts_visible_ns: now.0 });
            events += 1;
        }
        events
    }

    fn send(&mut self, payload: &[u8], last_check: &mut dyn FnMut() -> bool) -> Result<(), SendError> {
        if self.poisoned {
            return Err(SendError::Poisoned);
        }
        if !self.is_up() {
            return Err(SendError::Down);
        }
        if !last_check() {
            self.poisoned = true;
            return Err(SendError::Withheld);
        }
        let now = self.wires.clock.now();
        self.with(|w| {
            w.sent += 1;
            let faults = w.settings.faults;
            if w.chance.chance(faults.stalled_ppm) {
                w.stalled_until = now.plus_ns(20_000_000);
            }
            if !w.chance.chance(faults.lost_ppm)
                && let Some(payload) = w.tampered(Way::Outward, payload.to_vec(), now)
            {
                let due = w.due(now, w.outward.back().map(|m| m.0));
                w.outward.push_back((due, payload));
            }
            if w.chance.chance(faults.cut_ppm) {
                w.lose(CloseReason::Reset); // after the kernel took it
            }
        });
        Ok(())
    }

    fn unsent_bytes(&mut self) -> Result<usize, io::Error> {
        let now = self.wires.clock.now();
        Ok(self.with(|w| if w.stalled_until <= now { 0 } else { w.outward.iter().map(|m| m.1.len()).sum() }))
    }

    fn abort(&mut self) {
        self.with(|w| w.lose(CloseReason::Aborted));
    }

    fn is_up(&self) -> bool {
        self.with(|w| w.state == State::Up)
    }

    fn abort_handle(&self) -> Option<AbortHandle> {
        None
    }
}
