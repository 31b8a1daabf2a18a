//! The engine's statistics: every name it declares, and the handles each agent writes through.
//!
//! Agents count in plain integers of their own; on a slow beat they copy them here. Stage times and histograms are
//! written where they happen. Times are of the stage clock, which is the engine's clock when live and the machine's
//! in the one-thread engine, where the engine's own clock is virtual.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agent::{CycleSink, Pulse, RingId, SlowBeat};
use net::{CloseReason, link};
use rings::Ident;
use stats::{
    AgentState, Beat, Counter, Field, Gauge, Hist, Layout, SignalWriter, StatsError, StatsSegment,
    TickReader, TickWriter, TraceWriter,
};
use venue::{ClientOrderId, FeedError};
use wire::{BookState, NotSent, OrderState, RejectReason, Slot, Ts};

use crate::agents::gateway::GatewayCounts;
use crate::feed::{Doubt, FeedCounts};
use crate::oms::OmsCounts;

/// Time between two copies of an agent's counts, ns.
const PUBLISH_NS: u64 = 50_000_000;
/// Rows of the tick table: market events that may lie between an event and the order it causes.
const TICK_ROWS: usize = 8_192;

/// Agents with a heartbeat, in the order of the duty cycle; the kill thread is last.
pub const AGENTS: [&str; 5] = ["feed", "strategy", "oms", "gateway", "kill"];

const FEED: [&str; 17] = [
    "feed.messages",
    "feed.updates_seen",
    "feed.stale_dropped",
    "feed.applied",
    "feed.gaps",
    "feed.overflows",
    "feed.snapshots",
    "feed.snapshots_failed",
    "feed.bbo_samples",
    "feed.bbo_matches",
    "feed.tickers",
    "feed.trades",
    "feed.trade_gaps",
    "feed.crossed",
    "feed.stalled",
    "feed.missed_by_consumers",
    "feed.link_downs",
];
const STRATEGY: [&str; 3] = ["strategy.intents", "strategy.refused_ring_full", "strategy.warm_ups"];
const GATEWAY: [&str; 16] = [
    "gateway.orders_sent",
    "gateway.cancels_sent",
    "gateway.cancels_not_sent",
    "gateway.messages",
    "gateway.refused_messages",
    "gateway.foreign_reports",
    "gateway.trades_listed",
    "gateway.fills_past_end",
    "gateway.rolled_over",
    "gateway.requests_refused",
    "gateway.foreign_open_orders",
    "gateway.cancels_confirmed",
    "gateway.sessions_lost",
    "gateway.aborted_unsent",
    "gateway.warm_ups",
    "gateway.warm_ups_refused",
];
const OMS: [&str; 20] = [
    "oms.intents",
    "oms.orders",
    "oms.acked",
    "oms.rejected",
    "oms.cancelled",
    "oms.expired",
    "oms.filled",
    "oms.fills",
    "oms.duplicates",
    "oms.late",
    "oms.unknown",
    "oms.not_sent",
    "oms.cancel_rejected",
    "oms.queries",
    "oms.conflicts",
    "oms.ledger_errors",
    "oms.refused_other",
    "oms.refused_away",
    "oms.warm_ups",
    "oms.warm_ups_refused",
];
const GAUGES: [&str; 11] = [
    "oms.open_orders",
    "oms.position",
    "oms.realised_pnl",
    "oms.unrealised_pnl",
    "oms.trading",
    "gateway.hash_a",
    "gateway.hash_b",
    "feed.book_state",
    "gateway.venue_clock_offset_us",
    "gateway.venue_clock_error_us",
    "gateway.weight_used",
];
/// Stage histograms, in order.
pub const STAGE_HISTS: [&str; 5] =
    ["gateway.parse", "gateway.signal", "gateway.risk", "gateway.encode", "gateway.tick_to_trade"];
/// Parse time of every message, whether it causes an order or not.
pub const PARSE_ALL: &str = "feed.parse_all";

/// Counter of the messages taken from each ring, by ring number; named after the consumer that writes it.
const CONSUMED: [&str; 6] = [
    "strategy.ring_market_strategy",
    "oms.ring_market_oms",
    "oms.ring_signal",
    "gateway.ring_order",
    "oms.ring_report_oms",
    "strategy.ring_report_strategy",
];

/// FNV-1a, 64 bits: tells builds and configurations apart, guards against nothing.
pub fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ *b as u64).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Identity of the build, for those who join: name and version of the package.
pub fn build_hash() -> u64 {
    fnv(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).as_bytes())
}

/// Identity of what runs: this build, on this configuration.
pub fn ident(config: &topology::Config) -> Ident {
    let config_hash = fnv(format!("{config:?}").as_bytes());
    Ident { build_hash: build_hash(), config_hash, ..Ident::default() }
}

/// Counter of the connections that one agent lost for a reason of [`link::REASON_NAMES`].
fn down(agent: &str, reason: &str) -> String {
    format!("{agent}.down_{reason}")
}

fn refusal(error: &str) -> String {
    format!("feed.refused_{error}")
}

fn doubt(name: &str) -> String {
    format!("feed.doubted_{name}")
}

fn gate_refusal(reason: &str) -> String {
    format!("oms.gate_{reason}")
}

fn not_sent(reason: NotSent) -> String {
    format!("gateway.not_sent_{}", reason.name())
}

fn rejected(reason: RejectReason) -> String {
    format!("gateway.rejected_{}", reason.name())
}

/// Everything the engine declares, for `slots` order slots.
pub fn layout(slots: usize) -> Layout {
    let mut layout = Layout::new();
    for name in FEED.iter().chain(&STRATEGY).chain(&OMS).chain(&GATEWAY).chain(&CONSUMED) {
        layout.counter(name);
    }
    for name in FeedError::NAMES {
        layout.counter(&refusal(name));
    }
    for name in Doubt::NAMES {
        layout.counter(&doubt(name));
    }
    for reason in link::REASON_NAMES {
        layout.counter(&down("feed", reason));
        layout.counter(&down("gateway", reason));
    }
    for name in risk::Reject::NAMES {
        layout.counter(&gate_refusal(name));
    }
    for reason in NotSent::ALL {
        layout.counter(&not_sent(reason));
    }
    for reason in RejectReason::ALL {
        layout.counter(&rejected(reason));
    }
    for name in GAUGES {
        layout.gauge(name);
    }
    for name in STAGE_HISTS {
        layout.hist(name);
    }
    layout.hist(PARSE_ALL);
    for name in AGENTS {
        layout.agent(name);
    }
    layout.orders(slots).ticks(TICK_ROWS);
    layout
}

/// Counters set to running totals, when their time has come.
struct Totals {
    /// With what others of this name had counted before.
    cells: Vec<(Counter, u64)>,
    beat: SlowBeat,
}

impl Totals {
    fn take(segment: &StatsSegment, names: impl IntoIterator<Item = String>) -> Result<Totals, StatsError> {
        let cell = |name: String| -> Result<_, StatsError> {
            let cell = segment.counter(&name)?;
            let before = cell.count();
            Ok((cell, before))
        };
        let cells = names.into_iter().map(cell).collect::<Result<_, _>>()?;
        Ok(Totals { cells, beat: SlowBeat::new(PUBLISH_NS) })
    }

    #[inline]
    fn due(&mut self, now: Ts) -> bool {
        self.beat.due(now)
    }

    fn set(&self, totals: impl IntoIterator<Item = u64>) {
        for ((cell, before), total) in self.cells.iter().zip(totals) {
            cell.add(before.wrapping_add(total).wrapping_sub(cell.count()));
        }
    }
}

fn owned<'a>(names: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    names.iter().map(|n| n.to_string())
}

/// The feed's handles.
pub struct FeedMeters {
    totals: Totals,
    parse: Hist,
    ticks: TickWriter,
    book_state: Gauge,
    link_downs: [u64; link::REASONS],
}

impl FeedMeters {
    /// Whether the counts should be published now.
    #[inline]
    pub fn due(&mut self, now: Ts) -> bool {
        self.totals.due(now)
    }

    /// A message became visible at `recv` and was published at `parsed` as ring positions `from..to`.
    #[inline]
    pub fn parsed(&self, from: u64, to: u64, recv: Ts, parsed: Ts) {
        self.parse.record(parsed.since_ns(recv));
        for cause in from..to {
            self.ticks.parsed(cause as u32, recv, parsed);
        }
    }

    /// The connection went down.
    pub fn link_down(&mut self, reason: CloseReason) {
        self.link_downs[reason.index()] += 1;
    }

    /// The state of the book changed: observers need not wait for the slow beat.
    pub fn book_state(&self, state: BookState) {
        self.book_state.set(state as i64);
    }

    /// Copies the counts.
    pub fn publish(&mut self, c: &FeedCounts, missed: u64, state: BookState) {
        self.book_state.set(state as i64);
        let fixed = [
            c.messages,
            c.updates_seen,
            c.stale_dropped,
            c.applied,
            c.gaps,
            c.overflows,
            c.snapshots,
            c.snapshots_failed,
            c.bbo_samples,
            c.bbo_matches,
            c.tickers,
            c.trades,
            c.trade_gaps,
            c.crossed,
            c.stalled,
            missed,
            self.link_downs.iter().sum(),
        ];
        self.totals.set(fixed.into_iter().chain(c.refused).chain(c.doubted).chain(self.link_downs));
    }
}

/// The strategy's handles.
pub struct StrategyMeters {
    totals: Totals,
    signals: SignalWriter,
}

impl StrategyMeters {
    /// Whether the counts should be published now.
    #[inline]
    pub fn due(&mut self, now: Ts) -> bool {
        self.totals.due(now)
    }

    /// The strategy decided on the market event at this ring position.
    #[inline]
    pub fn signal(&self, cause: u64, at: Ts) {
        self.signals.signal(cause as u32, at);
    }

    /// Copies the counts.
    pub fn publish(&mut self, intents: u64, refused: u64, warm_ups: u64) {
        self.totals.set([intents, refused, warm_ups]);
    }
}

/// The oms's handles.
pub struct OmsMeters {
    totals: Totals,
    gauges: [Gauge; 5],
    trace: TraceWriter,
    ticks: TickReader,
}

/// Levels that the oms publishes; money at the notional scale, saturated to 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OmsLevels {
    /// Orders that can still trade.
    pub open_orders: i64,
    /// Position, base mantissa.
    pub position: i64,
    /// Realised profit and loss before fees.
    pub realised: i128,
    /// Unrealised profit and loss against the mid.
    pub unrealised: i128,
    /// Whether new orders are allowed.
    pub trading: bool,
}

impl OmsMeters {
    /// Whether the counts should be published now.
    #[inline]
    pub fn due(&mut self, now: Ts) -> bool {
        self.totals.due(now)
    }

    /// An order passed the gate: what is known of its cause goes into its trace row.
    #[inline]
    pub fn passed(&self, slot: Slot, cause: u32, at: Ts) {
        let tick = self.ticks.read(cause);
        let ns = |t: Option<Ts>| t.map_or(0, |t| t.0);
        self.trace.set(slot, Field::Cause, cause as u64);
        self.trace.set(slot, Field::RecvNs, ns(tick.recv));
        self.trace.set(slot, Field::ParsedNs, ns(tick.parsed));
        self.trace.set(slot, Field::SignalNs, ns(tick.signal));
        self.trace.set(slot, Field::RiskNs, at.0);
        self.trace.set(slot, Field::State, OrderState::Pending as u64);
    }

    /// The state of an order changed.
    #[inline]
    pub fn state(&self, slot: Slot, state: OrderState) {
        self.trace.set(slot, Field::State, state as u64);
    }

    /// The venue's answer became visible.
    #[inline]
    pub fn acked(&self, slot: Slot, at: Ts) {
        self.trace.set(slot, Field::AckedNs, at.0);
    }

    /// Copies the counts.
    pub fn publish(&mut self, c: &OmsCounts, levels: &OmsLevels) {
        let fixed = [
            c.intents,
            c.orders,
            c.acked,
            c.rejected,
            c.cancelled,
            c.expired,
            c.filled,
            c.fills,
            c.duplicates,
            c.late,
            c.unknown,
            c.not_sent,
            c.cancel_rejected,
            c.queries,
            c.conflicts,
            c.ledger_errors,
            c.refused_other,
            c.refused_away,
            c.warm_ups,
            c.warm_ups_refused,
        ];
        self.totals.set(fixed.into_iter().chain(c.gate));
        let clamp = |v: i128| v.clamp(i64::MIN as i128, i64::MAX as i128) as i64;
        let levels = [
            levels.open_orders,
            levels.position,
            clamp(levels.realised),
            clamp(levels.unrealised),
            levels.trading as i64,
        ];
        for (gauge, level) in self.gauges.iter().zip(levels) {
            gauge.set(level);
        }
    }
}

/// The gateway's handles.
pub struct GatewayMeters {
    totals: Totals,
    hash: [Gauge; 2],
    session: [Gauge; 3],
    trace: TraceWriter,
    ticks: TickReader,
    stages: [Hist; 5],
}

impl GatewayMeters {
    /// Whether the counts should be published now.
    #[inline]
    pub fn due(&mut self, now: Ts) -> bool {
        self.totals.due(now)
    }

    /// The identity of an order that is about to be sent.
    #[inline]
    pub fn trace_identity(&self, slot: Slot, id: &ClientOrderId, now: Ts) {
        self.trace.set(slot, Field::ClientCycle, id.cycle);
        // Whole, though the identity carries its low bits only: who reads the row compares it with other times.
        self.trace.set(slot, Field::ClientTs, now.0);
    }

    /// An order was handed to the kernel at `sent`; it passed the gate at `risk`. The first order of a tick goes
    /// into the stage histograms.
    #[inline]
    pub fn sent(&self, slot: Slot, cause: u32, risk: Ts, sent: Ts, first: bool) {
        self.trace.set(slot, Field::SentNs, sent.0);
        if !first {
            return;
        }
        let tick = self.ticks.read(cause);
        if let (Some(recv), Some(parsed), Some(signal)) = (tick.recv, tick.parsed, tick.signal) {
            let spans = [
                parsed.since_ns(recv),
                signal.since_ns(parsed),
                risk.since_ns(signal),
                sent.since_ns(risk),
                sent.since_ns(recv),
            ];
            for (hist, ns) in self.stages.iter().zip(spans) {
                hist.record(ns);
            }
        }
    }

    /// The venue's clock (offset and its error, ns) and the request weight used.
    pub fn venue_clock(&mut self, (offset_ns, error_ns): (i64, u64), weight: u32) {
        self.session[0].set(offset_ns / 1_000);
        self.session[1].set(i64::try_from(error_ns / 1_000).unwrap_or(i64::MAX));
        self.session[2].set(weight as i64);
    }

    /// Copies the counts and the order hash.
    pub fn publish(&mut self, c: &GatewayCounts, hash: [u64; 2]) {
        let fixed = [
            c.orders_sent,
            c.cancels_sent,
            c.cancels_not_sent,
            c.messages,
            c.refused,
            c.foreign,
            c.trades_listed,
            c.fills_past_end,
            c.rolled_over,
            c.requests_refused,
            c.foreign_open,
            c.cancels_confirmed,
            c.sessions_lost,
            c.aborted_unsent,
            c.warm_ups,
            c.warm_ups_refused,
        ];
        self.totals.set(fixed.into_iter().chain(c.not_sent).chain(c.rejects).chain(c.downs));
        self.hash[0].set(hash[0] as i64);
        self.hash[1].set(hash[1] as i64);
    }
}

/// Every agent's handles, taken once.
pub struct Meters {
    /// For the feed agent.
    pub feed: FeedMeters,
    /// For the strategy agent.
    pub strategy: StrategyMeters,
    /// For the oms agent.
    pub oms: OmsMeters,
    /// For the gateway agent.
    pub gateway: GatewayMeters,
    /// Heartbeats and ring counters, to be handed to the threads' sinks.
    pub sinks: Sinks,
}

/// Heartbeats by agent and consumption counters by ring, each handed out once.
pub struct Sinks {
    beats: Vec<(&'static str, Beat)>,
    rings: Vec<Option<Counter>>,
}

/// Where one thread's agents report: heartbeats into the segment, consumption into its counters. A journal can be
/// put beside it without touching an agent.
#[derive(Default)]
pub struct BeatSink {
    beats: Vec<Beat>,
    rings: [Option<Counter>; CONSUMED.len()],
    /// A drill: this agent's beats are withheld while the flag is up.
    muted: Option<(usize, Arc<AtomicBool>)>,
}

impl BeatSink {
    /// Adds the next agent of the thread, in stepping order.
    pub fn add(&mut self, sinks: &mut Sinks, agent: &str) {
        if let Some(i) = sinks.beats.iter().position(|b| b.0 == agent) {
            self.beats.push(sinks.beats.swap_remove(i).1);
        }
        for (i, name) in CONSUMED.iter().enumerate() {
            if stats::owner_of(name) == agent {
                self.rings[i] = sinks.rings[i].take();
            }
        }
    }
}

impl BeatSink {
    /// For drills: the beats of the agent added last are withheld while `flag` is up.
    pub fn mute(&mut self, flag: Arc<AtomicBool>) {
        self.muted = self.beats.len().checked_sub(1).map(|agent| (agent, flag));
    }

    fn is_muted(&self, agent: usize) -> bool {
        self.muted.as_ref().is_some_and(|(i, flag)| *i == agent && flag.load(Ordering::Acquire))
    }
}

impl CycleSink for BeatSink {
    #[inline]
    fn record(&mut self, _agent: usize, _cycle: u64, ring: RingId, count: u32) {
        if let Some(Some(counter)) = self.rings.get(ring.0 as usize) {
            counter.add(count as u64);
        }
    }

    fn beat(&mut self, agent: usize, pulse: &Pulse) {
        if let Some(beat) = self.beats.get(agent)
            && !self.is_muted(agent)
        {
            beat.beat(pulse.now, pulse.cycle);
            beat.state(AgentState::Running);
            beat.work(pulse.work as u64);
            beat.longest(pulse.now, pulse.longest_ns);
            beat.duty(pulse.busy_ns, pulse.slow, pulse.slow_ns);
        }
    }

    fn ended(&mut self, agent: usize, by_panic: bool) {
        if let Some(beat) = self.beats.get(agent) {
            beat.state(if by_panic { AgentState::Panicked } else { AgentState::Closed });
        }
    }
}

impl Meters {
    /// Takes every handle of a segment made from [`layout`].
    ///
    /// # Errors
    /// The segment was made from another layout, or its handles have been taken.
    pub fn take(segment: &StatsSegment) -> Result<Meters, StatsError> {
        let feed = owned(&FEED)
            .chain(FeedError::NAMES.iter().map(|n| refusal(n)))
            .chain(Doubt::NAMES.iter().map(|n| doubt(n)))
            .chain(link::REASON_NAMES.iter().map(|r| down("feed", r)));
        let oms = owned(&OMS).chain(risk::Reject::NAMES.iter().map(|n| gate_refusal(n)));
        let gateway = owned(&GATEWAY)
            .chain(NotSent::ALL.iter().map(|r| not_sent(*r)))
            .chain(RejectReason::ALL.iter().map(|r| rejected(*r)))
            .chain(link::REASON_NAMES.iter().map(|r| down("gateway", r)));
        let oms_columns = [
            Field::Cause,
            Field::RecvNs,
            Field::ParsedNs,
            Field::SignalNs,
            Field::RiskNs,
            Field::AckedNs,
            Field::State,
        ];
        let gateway_columns = [Field::ClientCycle, Field::ClientTs, Field::SentNs];
        let [
            open,
            position,
            realised,
            unrealised,
            trading,
            hash_a,
            hash_b,
            book_state,
            clock_offset,
            clock_error,
            weight,
        ] = GAUGES;
        let [parse, signal, risk, encode, total] = STAGE_HISTS;
        Ok(Meters {
            feed: FeedMeters {
                totals: Totals::take(segment, feed)?,
                parse: segment.hist(PARSE_ALL)?,
                ticks: segment.tick_writer()?,
                book_state: segment.gauge(book_state)?,
                link_downs: [0; link::REASONS],
            },
            strategy: StrategyMeters {
                totals: Totals::take(segment, owned(&STRATEGY))?,
                signals: segment.signal_writer()?,
            },
            oms: OmsMeters {
                totals: Totals::take(segment, oms)?,
                gauges: [
                    segment.gauge(open)?,
                    segment.gauge(position)?,
                    segment.gauge(realised)?,
                    segment.gauge(unrealised)?,
                    segment.gauge(trading)?,
                ],
                trace: segment.trace_writer(&oms_columns)?,
                ticks: segment.tick_reader()?,
            },
            gateway: GatewayMeters {
                totals: Totals::take(segment, gateway)?,
                hash: [segment.gauge(hash_a)?, segment.gauge(hash_b)?],
                session: [segment.gauge(clock_offset)?, segment.gauge(clock_error)?, segment.gauge(weight)?],
                trace: segment.trace_writer(&gateway_columns)?,
                ticks: segment.tick_reader()?,
                stages: [
                    segment.hist(parse)?,
                    segment.hist(signal)?,
                    segment.hist(risk)?,
                    segment.hist(encode)?,
                    segment.hist(total)?,
                ],
            },
            sinks: Sinks {
                beats: AGENTS
                    .iter()
                    .map(|a| Ok((*a, segment.beat(a)?)))
                    .collect::<Result<_, StatsError>>()?,
                rings: CONSUMED.iter().map(|n| segment.counter(n).map(Some)).collect::<Result<_, _>>()?,
            },
        })
    }
}
