//! The strategy agent: market ring and order updates in, intents out.

use agent::{Agent, Clock, Cycle, RingId, SlowBeat};
use strategy::{INTENTS_MAX, Intents, Strategy};
use wire::{Kind, Msg, OrderState, Ts, flag};

use crate::controls::{Mode, Told};
use crate::meters::StrategyMeters;
use crate::tape::{RingIn, RingOut, Tape, Word, channel};

/// Time between two timer calls, ns.
const TIMER_NS: u64 = 1_000_000;

const _: () = assert!(INTENTS_MAX <= u16::BITS as usize);

/// Reason code of a refusal that the engine itself makes because the signal ring is full.
pub const REASON_SIGNAL_RING_FULL: i64 = 1;

/// Rings and words of a strategy agent.
pub struct StrategyPorts {
    /// Market data, and its number in the interleaving record.
    pub market: (RingIn, RingId),
    /// Order updates from the oms, and its number.
    pub updates: (RingIn, RingId),
    /// Intents to the oms.
    pub signals: RingOut,
    /// Mode word.
    pub told: Told,
    /// Statistics.
    pub meters: StrategyMeters,
    /// Clock of the stage stamps (statistics only).
    pub stage: Clock,
    /// Its end of the journal.
    pub tape: Tape,
}

/// The strategy agent.
pub struct StrategyAgent<T> {
    strategy: T,
    ports: StrategyPorts,
    intents: Intents,
    mode: Word,
    timer: SlowBeat,
    warm: Option<Warmth>,
    /// When market data was last taken.
    heard: Ts,
    stopped: bool,
    sent: u64,
    refused: u64,
    warm_ups: u64,
}

/// When the way of an order is kept warm.
#[derive(Clone, Copy, Debug)]
struct Warmth {
    /// Without market data for so long, ns.
    quiet_ns: u64,
    beat: SlowBeat,
}

impl<T: Strategy> StrategyAgent<T> {
    /// Runs `strategy` as source number `source`.
    ///
    /// Its intents live `ttl_us` from the receive time of their cause.
    pub fn new(strategy: T, source: u16, ttl_us: u32, ports: StrategyPorts) -> StrategyAgent<T> {
        let mode = Word::new(&ports.tape, channel::CONTROL);
        StrategyAgent {
            strategy,
            ports,
            mode,
            intents: Intents::new(source, ttl_us),
            timer: SlowBeat::new(TIMER_NS),
            warm: None,
            heard: Ts(0),
            stopped: false,
            sent: 0,
            refused: 0,
            warm_ups: 0,
        }
    }

    /// Keeps the way of an order warm: without market data for `quiet_ns` a warm-up goes it, every `every_ns`, both to
    /// the next millisecond. Nothing is done with `quiet_ns` = 0.
    pub fn keeping_warm(mut self, quiet_ns: u64, every_ns: u64) -> Self {
        self.warm = (quiet_ns > 0).then_some(Warmth { quiet_ns, beat: SlowBeat::new(every_ns) });
        self
    }

    /// One order that is none, if it has been quiet for long enough.
    fn keep_warm(&mut self, now: Ts) {
        let Some(warm) = &mut self.warm else { return };
        if now.since_ns(self.heard) < warm.quiet_ns || !warm.beat.due(now) {
            return;
        }
        // Wishes that still wait come first, and a ring that is not emptied is kept for them.
        let room = self.ports.signals.capacity() / 2 + 1;
        if !self.intents.is_empty() || !self.ports.signals.has_room(room) {
            return;
        }
        self.intents.begin_warm_up(now);
        self.strategy.warm_up(&mut self.intents);
        let first = self.intents.as_slice().first().filter(|m| m.kind() == Some(Kind::IntentWarmUp));
        self.warm_ups += first.is_some_and(|m| self.ports.signals.push(m.to_words()).is_ok()) as u64;
        self.intents.clear();
        self.intents.begin_at(now);
    }

    /// Sends what the strategy decided. An intent that finds the ring full is refused to the strategy at once:
    /// nobody else has seen it.
    fn flush(&mut self, cause: Option<u64>, now: Ts) {
        if self.intents.is_empty() {
            return;
        }
        if let Some(cause) = cause {
            self.ports.meters.signal(cause, self.ports.stage.now());
        }
        // One bit an intent.
        let mut refused = 0u16;
        let tick = if cause.is_some() { flag::TICK } else { 0 };
        let intents = self.intents.as_slice();
        for (i, intent) in intents.iter().enumerate() {
            let words = |mut intent: Msg| {
                intent.flags |= tick;
                intent.to_words()
            };
            let pushed = match (intent.kind(), intents.get(i + 1)) {
                (Some(Kind::IntentTail), _) => continue, // it went with its head
                (_, Some(tail)) if intent.has_tail() => {
                    self.ports.signals.push_run(&[words(*intent), words(*tail)]).is_ok()
                }
                _ => self.ports.signals.push(words(*intent)).is_ok(),
            };
            if pushed {
                self.sent += 1;
            } else {
                refused |= 1 << i;
            }
        }
        if refused != 0 {
            return self.refuse(refused, now);
        }
        self.intents.clear();
    }

    /// Tells the strategy which of its intents, a bit each, found the ring full.
    #[cold]
    fn refuse(&mut self, refused: u16, now: Ts) {
        let mut answers = [Msg::default(); INTENTS_MAX];
        let mut n = 0;
        for (i, intent) in self.intents.as_slice().iter().enumerate() {
            if refused >> i & 1 == 0 {
                continue;
            }
            self.refused += 1;
            // Two slots at most for two answers at most: they fit.
            let second = match (intent.kind(), self.intents.as_slice().get(i + 1)) {
                (Some(Kind::IntentNew | Kind::IntentReplace), _) => None,
                (Some(Kind::IntentPair), Some(tail)) => Some(tail.body[2]),
                _ => continue,
            };
            for id in std::iter::once(intent.body[2]).chain(second) {
                answers[n] = Msg::new(Kind::Order, intent.instrument(), now).flags(flag::END).body([
                    OrderState::Rejected as i64,
                    0,
                    id,
                    REASON_SIGNAL_RING_FULL,
                ]);
                n += 1;
            }
        }
        self.intents.clear();
        for msg in &answers[..n] {
            self.intents.begin_at(now);
            self.strategy.on_order(msg, &mut self.intents);
        }
        // What the strategy answers to a refusal leaves with the next event: no loop here.
    }
}

impl<T: Strategy> Agent for StrategyAgent<T> {
    fn name(&self) -> &str {
        "strategy"
    }

    fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
        let now = cycle.now();
        let mut updates = 0u32;
        while (updates as usize) < Cycle::LIMIT {
            let Some((_, words)) = self.ports.updates.0.pop() else { break };
            updates += 1;
            if !self.stopped {
                self.intents.begin_at(now);
                self.strategy.on_order(&Msg::from_words(words), &mut self.intents);
                self.flush(None, now);
            }
        }
        let mut events = 0u32;
        while (events as usize) < Cycle::LIMIT {
            let Some((seq, words)) = self.ports.market.0.pop() else { break };
            events += 1;
            if !self.stopped {
                let msg = Msg::from_words(words);
                self.intents.begin(seq, msg.ts_recv());
                self.strategy.on_market(seq, &msg, &mut self.intents);
                self.flush(Some(seq), now);
            }
        }
        if updates > 0 {
            cycle.consumed(self.ports.updates.1, updates);
        }
        if events > 0 {
            self.heard = now;
            cycle.consumed(self.ports.market.1, events);
        }
        if !self.stopped && self.timer.due(now) {
            self.ports.tape.mark();
            self.intents.begin_at(now);
            let mode = self.mode.see(self.ports.told.mode() as u64);
            if mode == Mode::Quiesce as u64 {
                self.stopped = true;
                self.strategy.on_stop(&mut self.intents);
            } else {
                self.strategy.on_timer(now, &mut self.intents);
            }
            self.flush(None, now);
            if !self.stopped {
                self.keep_warm(now);
            }
        }
        if self.ports.meters.due(now) {
            self.ports.meters.publish(self.sent, self.refused, self.warm_ups);
        }
        (updates + events) as usize
    }

    fn on_close(&mut self, _now: Ts) {
        self.ports.meters.publish(self.sent, self.refused, self.warm_ups);
    }
}
