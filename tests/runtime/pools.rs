//! A strategy whose signal ring is full, and the beat on which its timer runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agent::{Agent, Clock, Invoker, RingId, VirtualClock};
use corelane::agents::strategy::{REASON_SIGNAL_RING_FULL, StrategyAgent, StrategyPorts};
use corelane::controls::Controls;
use corelane::meters::{self, Meters};
use corelane::tape::{RingIn, RingOut, Tape};
use rings::{Consumer, Producer};
use stats::StatsSegment;
use strategy::{INTENTS_MAX, Intents, NewIntent, Strategy};
use wire::{InstrumentId, Kind, Msg, OrderType, Px, Qty, Side, Ts, flag};

/// Slots of every ring.
const RING: usize = 64;
const US: u64 = 1_000;

#[derive(Default)]
struct Heard {
    timers: AtomicU64,
    warm_ups: AtomicU64,
    refused: AtomicU64,
}

/// Asks for as many orders as fit at every event, and for as many warm-ups.
struct Greedy(Arc<Heard>);

fn ask(out: &mut Intents) {
    let order = NewIntent {
        instrument: InstrumentId(0),
        side: Side::Buy,
        px: Px(10),
        qty: Qty(1),
        kind: OrderType::Limit,
        stop_px: Px(0),
    };
    while out.new_order(&order).is_ok() {}
}

impl Strategy for Greedy {
    fn name(&self) -> &str {
        "greedy"
    }

    fn on_market(&mut self, _: u64, _: &Msg, out: &mut Intents) {
        ask(out);
    }

    fn on_order(&mut self, m: &Msg, _: &mut Intents) {
        assert_eq!((m.kind(), m.body[3]), (Some(Kind::Order), REASON_SIGNAL_RING_FULL));
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn on_timer(&mut self, _: Ts, _: &mut Intents) {
        self.0.timers.fetch_add(1, Ordering::Relaxed);
    }

    fn warm_up(&mut self, out: &mut Intents) {
        self.0.warm_ups.fetch_add(1, Ordering::Relaxed);
        ask(out);
    }

    fn on_stop(&mut self, _: &mut Intents) {}
}

struct Rig {
    clock: VirtualClock,
    heard: Arc<Heard>,
    market: Producer,
    signals: Consumer,
    agents: Invoker<'static, ()>,
    _updates: Producer,
    _segment: StatsSegment,
}

fn rig(quiet_ms: u64, every_ms: u64) -> Rig {
    let clock = VirtualClock::new(Ts(1_000_000_000));
    let live = Clock::Virtual(clock.clone());
    let (market, market_rx) = rings::ring("market_strategy", RING).expect("a ring");
    let (signals_tx, signals) = rings::ring("signal", RING).expect("a ring");
    let (updates, updates_rx) = rings::ring("report_strategy", RING).expect("a ring");
    let tape = Tape::off();
    let segment = StatsSegment::heap(&meters::layout(8)).expect("a layout");
    let Meters { strategy: meters, .. } = Meters::take(&segment).expect("its handles");
    let heard = Arc::new(Heard::default());
    let agent = StrategyAgent::new(
        Greedy(heard.clone()),
        1,
        1_000,
        StrategyPorts {
            market: (RingIn::new(market_rx, 0, &tape), RingId(0)),
            updates: (RingIn::new(updates_rx, 5, &tape), RingId(5)),
            signals: RingOut::new(signals_tx, 2, &tape),
            told: Controls::default().told(),
            meters,
            stage: live.clone(),
            tape: tape.clone(),
        },
    )
    .keeping_warm(quiet_ms * 1_000 * US, every_ms * 1_000 * US);
    let agents: Vec<Box<dyn Agent>> = vec![Box::new(agent)];
    Rig {
        agents: Invoker::new(agents, live, ()),
        clock,
        heard,
        market,
        signals,
        _updates: updates,
        _segment: segment,
    }
}

impl Rig {
    /// Cycles of a microsecond.
    fn cycles(&mut self, n: u64) {
        for _ in 0..n {
            self.agents.step();
            self.clock.advance_ns(US);
        }
    }

    fn tick(&mut self) {
        let top = Msg::new(Kind::Top, InstrumentId(0), self.clock.now()).flags(flag::END).body([1, 1, 2, 1]);
        self.market.push(top.to_words()).expect("room");
    }

    fn taken(&mut self) -> Vec<Msg> {
        std::iter::from_fn(|| self.signals.pop().map(|(_, words)| Msg::from_words(words))).collect()
    }
}

#[test]
fn a_full_signal_ring_refuses_each_order_to_its_strategy_and_loses_none() {
    let mut rig = rig(0, 1);
    let mut passed = 0;
    for round in 1..=5u64 {
        for _ in 0..10 {
            rig.tick();
        }
        rig.cycles(1);
        let taken = rig.taken();
        assert_eq!(taken.len(), RING, "as many as the ring holds");
        assert!(taken.iter().all(|m| m.kind() == Some(Kind::IntentNew)));
        passed += taken.len() as u64;
        let refused = rig.heard.refused.load(Ordering::Relaxed);
        assert_eq!(passed + refused, round * 10 * INTENTS_MAX as u64, "each went through or was answered");
    }
}

#[test]
fn timers_run_on_their_slow_beat_and_not_in_every_cycle() {
    let mut rig = rig(0, 1);
    rig.cycles(50_000);
    let timers = rig.heard.timers.load(Ordering::Relaxed);
    assert_eq!(timers, 50, "one a millisecond, in fifty thousand cycles");
    assert_eq!(rig.heard.warm_ups.load(Ordering::Relaxed), 0, "0 ms of quiet is never");
}

#[test]
fn warm_ups_wait_for_quiet_and_come_one_at_a_time() {
    let mut rig = rig(5, 3);
    let warm_ups = |rig: &Rig| rig.heard.warm_ups.load(Ordering::Relaxed);
    // A message every two milliseconds is not quiet. The first look finds that there was never one.
    rig.tick();
    rig.cycles(1);
    for _ in 0..50 {
        rig.tick();
        rig.cycles(2_000);
        assert!(rig.taken().iter().all(|m| m.kind() == Some(Kind::IntentNew)));
    }
    assert_eq!(warm_ups(&rig), 0);
    // Two milliseconds have passed; three more are quiet, then one each three.
    rig.cycles(30_000);
    let taken = rig.taken();
    assert_eq!((warm_ups(&rig), taken.len()), (9, 9), "one of the sixteen goes");
    assert!(taken.iter().all(|m| m.kind() == Some(Kind::IntentWarmUp) && !m.has(flag::TICK)));
    // In a ring that nobody empties they leave half the room to orders.
    rig.cycles(3 * 1_000 * 2 * RING as u64);
    rig.tick();
    rig.cycles(1);
    let taken = rig.taken();
    let (warm, orders) = taken.split_at(RING / 2);
    assert!(warm.iter().all(|m| m.kind() == Some(Kind::IntentWarmUp)));
    assert!(orders.iter().all(|m| m.kind() == Some(Kind::IntentNew)));
    assert_eq!((orders.len(), rig.heard.refused.load(Ordering::Relaxed)), (INTENTS_MAX, 0));
}
