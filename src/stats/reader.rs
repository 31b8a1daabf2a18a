//! The observer's end: finds everything by the directory, and believes nothing that it has not checked.

use crate::beat::{self, AgentState};
use crate::buckets::{HistCounts, HistSnapshot};
use crate::layout::{CellKind, Directory, Entry};
use crate::segment::{LAYOUT_VERSION, STATS_FILE, StatsError, TYPE_ID};
use crate::trace::OrderTrace;
use rings::{Access, Header, Ident, Ordering, Segment, Words};
use std::path::Path;
use wire::Ts;

/// Reads the statistics of an engine, alive or dead, of any build with this layout version.
///
/// A copy of a living engine's cells is not taken at one instant: two counters may be a few events apart.
/// Every cell by itself is whole.
#[derive(Debug)]
pub struct StatsReader {
    /// `None` in the writer's own process.
    segment: Option<Segment>,
    words: Words,
    directory: Directory,
}

/// One agent's heartbeat as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSnapshot {
    /// Name of the agent.
    pub name: String,
    /// Time of its last beat; `Ts(0)` = never.
    pub last_beat: Ts,
    /// Duty cycle number at that beat.
    pub cycle: u64,
    /// Longest duty cycle, ns.
    pub longest_ns: u64,
    /// When that one ended; `Ts(0)` = none yet.
    pub longest_at: Ts,
    /// Units of work done in all.
    pub work: u64,
    /// Time of its first beat; `Ts(0)` = never.
    pub since: Ts,
    /// Time in duty cycles that found work, ns in all.
    pub busy_ns: u64,
    /// Duty cycles that took longer than `slow_ns`.
    pub slow: u64,
    /// What counts as long, ns; 0 = not said.
    pub slow_ns: u64,
    /// What the agent last said of itself.
    pub state: AgentState,
}

impl AgentSnapshot {
    /// Parts per million of its time that it spent in duty cycles that found work: since `earlier`, a look at the same
    /// agent, or since its first beat. `None` while there is no time to divide by.
    pub fn busy_ppm(&self, earlier: Option<&AgentSnapshot>) -> Option<u64> {
        let (from, before_ns) = earlier.map_or((self.since, 0), |e| (e.last_beat.max(self.since), e.busy_ns));
        let elapsed_ns = self.last_beat.since_ns(from);
        let busy_ns = self.busy_ns.saturating_sub(before_ns);
        if self.since == Ts(0) || elapsed_ns == 0 {
            return None;
        }
        // The first cycle ended before it could be told from when on to count.
        Some((u128::from(busy_ns) * 1_000_000 / u128::from(elapsed_ns)).min(1_000_000) as u64)
    }
}

/// Everything in a segment at about one moment, in order of declaration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Rising counts.
    pub counters: Vec<(String, u64)>,
    /// Levels.
    pub gauges: Vec<(String, i64)>,
    /// Latencies.
    pub hists: Vec<(String, HistSnapshot)>,
    /// Heartbeats.
    pub agents: Vec<AgentSnapshot>,
    /// Rows of the order trace that an order ever had, latest gate passage first.
    pub orders: Vec<OrderTrace>,
    /// Directory entries that could not be understood; not zero only for another version's or a damaged file.
    pub refused: usize,
}

impl StatsReader {
    /// Opens the file `stats` in an instance directory, read-only.
    ///
    /// # Errors
    /// Each way of failing has its own [`rings::SegmentError`].
    pub fn open(dir: &Path) -> Result<StatsReader, StatsError> {
        let expect = Ident { type_id: TYPE_ID, layout_version: LAYOUT_VERSION, ..Ident::default() };
        let segment = Segment::open_file(&dir.join(STATS_FILE), &expect, Access::ReadOnly)?;
        let mut reader = StatsReader::over(segment.words());
        reader.segment = Some(segment);
        Ok(reader)
    }

    pub(crate) fn over(words: Words) -> StatsReader {
        let load = |i| words.get(i, Ordering::Acquire).unwrap_or(0);
        let directory = Directory::read(words.len(), load);
        StatsReader { segment: None, words, directory }
    }

    /// Header of the file: who made it, when, from which build; `None` for a reader in the writer's process.
    pub fn header(&self) -> Option<Header> {
        self.segment.as_ref().map(Segment::header)
    }

    /// Whether the engine that writes it still lives.
    pub fn owner_alive(&self) -> bool {
        self.segment.as_ref().is_none_or(Segment::owner_alive)
    }

    /// Everything as it stands now. Reads each histogram's 28672 buckets.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot { refused: self.directory.refused, ..Snapshot::default() };
        for entry in &self.directory.entries {
            let Some(cell) = self.cell(entry) else { continue };
            let word = |i| cell.get(i, Ordering::Acquire).unwrap_or(0);
            let name = entry.name.clone();
            match entry.kind {
                CellKind::Counter => snapshot.counters.push((name, word(0))),
                CellKind::Gauge => snapshot.gauges.push((name, word(0) as i64)),
                CellKind::Hist => snapshot.hists.push((name, counts(&cell).summary())),
                CellKind::Agent => snapshot.agents.push(AgentSnapshot {
                    name,
                    last_beat: Ts(word(beat::LAST)),
                    cycle: word(beat::CYCLE),
                    longest_ns: word(beat::LONGEST_NS),
                    longest_at: Ts(word(beat::LONGEST_AT)),
                    work: word(beat::WORK),
                    since: Ts(word(beat::SINCE)),
                    busy_ns: word(beat::BUSY_NS),
                    slow: word(beat::SLOW),
                    slow_ns: word(beat::SLOW_NS),
                    state: AgentState::from_u8(u8::try_from(word(beat::STATE)).unwrap_or(u8::MAX)),
                }),
                CellKind::Orders => {
                    snapshot.orders.extend((0..entry.rows).filter_map(|row| OrderTrace::read(&cell, row)));
                }
                CellKind::Ticks | CellKind::Label => {}
            }
        }
        snapshot.orders.sort_by_key(|order| std::cmp::Reverse(order.risk));
        snapshot
    }

    /// The level of one gauge; `None` when there is none of this name. Reads nothing else.
    pub fn gauge(&self, name: &str) -> Option<i64> {
        let named = |entry: &&Entry| entry.kind == CellKind::Gauge && entry.name == name;
        let entry = self.directory.entries.iter().find(named)?;
        self.cell(entry)?.get(0, Ordering::Acquire).map(|word| word as i64)
    }

    /// The buckets of one histogram; `None` when there is none of this name.
    pub fn hist(&self, name: &str) -> Option<HistCounts> {
        let named = |entry: &&Entry| entry.kind == CellKind::Hist && entry.name == name;
        let entry = self.directory.entries.iter().find(named)?;
        self.cell(entry).map(|cell| counts(&cell))
    }

    fn cell(&self, entry: &Entry) -> Option<Words> {
        self.words.range(entry.at, entry.kind.words(entry.rows)?)
    }
}

fn counts(cell: &Words) -> HistCounts {
    HistCounts::from_counts((0..cell.len()).map(|i| cell.get(i, Ordering::Relaxed).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use crate::{Field, Layout, StatsSegment};
    use rings::WordsMut;
    use wire::{OrderState, Slot};

    fn layout() -> Layout {
        let mut layout = Layout::new();
        layout.counter("feed.messages").counter("oms.orders").gauge("oms.open").hist("feed.parse");
        layout.agent("feed").agent("oms").orders(4).ticks(8);
        layout
    }

    #[test]
    fn what_is_written_is_read_alive_and_dead() {
        let scratch = Scratch::new("reader-dead");
        let ident = Ident { build_hash: 7, config_hash: 9, ..Ident::default() };
        let segment = StatsSegment::create(scratch.path(), &layout(), &ident).unwrap();
        let messages = segment.counter("feed.messages").unwrap();
        messages.add(41);
        messages.inc();
        segment.gauge("oms.open").unwrap().set(-3);
        let hist = segment.hist("feed.parse").unwrap();
        (1..=1000).for_each(|ns| hist.record(ns));
        let beat = segment.beat("feed").unwrap();
        beat.beat(Ts(5_000), 17);
        beat.work(3);
        beat.duty(2_000, 1, 800);
        beat.beat(Ts(9_000), 18);
        beat.duty(1_000, 0, 800);
        assert!(beat.longest(Ts(5_100), 900));
        assert!(!beat.longest(Ts(5_200), 899));
        beat.state(AgentState::Running);

        let reader = StatsReader::open(scratch.path()).unwrap();
        assert!(reader.owner_alive());
        let header = reader.header().unwrap();
        assert_eq!((header.ident.build_hash, header.ident.config_hash), (7, 9));
        let alive = reader.snapshot();
        assert_eq!(alive, segment.snapshot());
        assert_eq!((reader.gauge("oms.open"), reader.gauge("feed.messages")), (Some(-3), None));
        drop((segment, messages, hist, beat));
        assert!(!reader.owner_alive());
        let dead = StatsReader::open(scratch.path()).unwrap().snapshot();
        assert_eq!(dead, alive);
        assert_eq!(dead.counters, [("feed.messages".to_string(), 42), ("oms.orders".to_string(), 0)]);
        assert_eq!(dead.gauges, [("oms.open".to_string(), -3)]);
        let (name, figures) = &dead.hists[0];
        assert_eq!(
            (name.as_str(), figures.count, figures.p50_ns, figures.p99_ns),
            ("feed.parse", 1000, 500, 990)
        );
        let feed = &dead.agents[0];
        assert_eq!(
            (feed.last_beat, feed.cycle, feed.longest_ns, feed.longest_at),
            (Ts(9_000), 18, 900, Ts(5_100))
        );
        assert_eq!((feed.since, feed.busy_ns, feed.slow, feed.slow_ns), (Ts(5_000), 3_000, 1, 800));
        assert_eq!(feed.busy_ppm(None), Some(750_000));
        let earlier = AgentSnapshot { last_beat: Ts(7_000), busy_ns: 2_800, ..feed.clone() };
        assert_eq!(feed.busy_ppm(Some(&earlier)), Some(100_000));
        assert_eq!(feed.busy_ppm(Some(feed)), None);
        assert_eq!(dead.agents[1].busy_ppm(None), None);
        assert_eq!((feed.work, feed.state), (3, AgentState::Running));
        assert_eq!(dead.agents[1].state, AgentState::Absent);
        assert_eq!(dead.refused, 0);
    }

    #[test]
    fn each_handle_is_taken_once() {
        let segment = StatsSegment::heap(&layout()).unwrap();
        let first = segment.counter("feed.messages").unwrap();
        assert!(matches!(segment.counter("feed.messages"), Err(StatsError::Taken { .. })));
        drop(first);
        assert!(matches!(segment.counter("feed.messages"), Err(StatsError::Taken { .. })));
        assert!(matches!(segment.counter("feed.nothing"), Err(StatsError::Unknown { .. })));
        assert!(matches!(segment.gauge("feed.messages"), Err(StatsError::Unknown { .. })));
        segment.trace_writer(&[Field::RiskNs, Field::State]).unwrap();
        assert!(matches!(
            segment.trace_writer(&[Field::SentNs, Field::State]),
            Err(StatsError::Taken { .. })
        ));
        // The refusal took nothing.
        segment.trace_writer(&[Field::SentNs]).unwrap();
        segment.tick_writer().unwrap();
        segment.signal_writer().unwrap();
        assert!(matches!(segment.tick_writer(), Err(StatsError::Taken { .. })));
        assert!(matches!(segment.signal_writer(), Err(StatsError::Taken { .. })));
    }

    #[test]
    fn a_reused_slot_never_shows_the_old_order_as_the_new() {
        let segment = StatsSegment::heap(&layout()).unwrap();
        let oms = segment
            .trace_writer(&[Field::RecvNs, Field::SignalNs, Field::RiskNs, Field::AckedNs, Field::State])
            .unwrap();
        let gateway = segment.trace_writer(&[Field::ClientCycle, Field::ClientTs, Field::SentNs]).unwrap();
        let slot = Slot(2);
        assert!(segment.snapshot().orders.is_empty());
        for (field, value) in [(Field::RecvNs, 100), (Field::SignalNs, 130), (Field::RiskNs, 150)] {
            assert!(oms.set(slot, field, value));
        }
        for (field, value) in [(Field::ClientCycle, 9), (Field::ClientTs, 160), (Field::SentNs, 170)] {
            assert!(gateway.set(slot, field, value));
        }
        assert!(oms.set(slot, Field::AckedNs, 900));
        assert!(oms.set(slot, Field::State, OrderState::Live as u64));
        let order = segment.snapshot().orders[0];
        assert_eq!((order.slot, order.client_cycle, order.client_ts), (slot, Some(9), Some(Ts(160))));
        assert_eq!(order.stages_ns(), [None, None, Some(20), Some(20), Some(730)]);
        assert_eq!(order.tick_to_order_ns(), Some(70));
        assert_eq!(order.state, OrderState::Live);
        // The next order in this slot has passed the gate and not been sent.
        for (field, value) in [(Field::RecvNs, 2000), (Field::SignalNs, 2010), (Field::RiskNs, 2020)] {
            assert!(oms.set(slot, field, value));
        }
        let order = segment.snapshot().orders[0];
        assert_eq!((order.sent, order.acked, order.client_cycle), (None, None, None));
        assert_eq!(order.stages_ns(), [None, None, Some(10), None, None]);
        // Beyond the table and beyond one's columns nothing is written.
        assert!(!oms.set(Slot(4), Field::RiskNs, 1));
        assert!(!oms.set(Slot(u32::MAX), Field::RiskNs, 1));
        assert!(!gateway.set(slot, Field::RiskNs, 1));
        assert_eq!(segment.snapshot().orders.len(), 1);
    }

    #[test]
    fn ticks_are_known_until_overwritten() {
        let segment = StatsSegment::heap(&layout()).unwrap();
        let (feed, strategy) = (segment.tick_writer().unwrap(), segment.signal_writer().unwrap());
        let oms = segment.tick_reader().unwrap();
        assert_eq!(oms.read(0), crate::Tick::default());
        feed.parsed(3, Ts(10), Ts(12));
        strategy.signal(3, Ts(15));
        let tick = oms.read(3);
        assert_eq!((tick.recv, tick.parsed, tick.signal), (Some(Ts(10)), Some(Ts(12)), Some(Ts(15))));
        feed.parsed(11, Ts(20), Ts(21));
        let tick = oms.read(3);
        assert_eq!((tick.recv, tick.parsed, tick.signal), (None, None, Some(Ts(15))));
        let tick = oms.read(11);
        assert_eq!((tick.recv, tick.parsed, tick.signal), (Some(Ts(20)), Some(Ts(21)), None));
        feed.parsed(u32::MAX, Ts(30), Ts(31));
        assert_eq!(oms.read(u32::MAX).recv, Some(Ts(30)));
    }

    #[test]
    fn beats_age() {
        let segment = StatsSegment::heap(&layout()).unwrap();
        let (beat, reader) = (segment.beat("oms").unwrap(), segment.beat_reader("oms").unwrap());
        assert_eq!((reader.age_ns(Ts(1_000)), reader.last()), (u64::MAX, Ts(0)));
        beat.beat(Ts(1_000), 1);
        assert_eq!(reader.age_ns(Ts(1_250)), 250);
        assert_eq!(reader.age_ns(Ts(900)), 0);
    }

    #[test]
    fn any_words_at_all_are_survived() {
        let good = StatsSegment::heap(&layout()).unwrap();
        let source = good.reader().words;
        let mut state = 3u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state ^ state >> 29
        };
        for round in 0..400 {
            let len = if round % 4 == 0 { (random() % 200) as usize } else { source.len() };
            let words = WordsMut::heap(len);
            for i in 0..len {
                words.store(i, source.get(i, Ordering::Relaxed).unwrap_or(0), Ordering::Relaxed);
            }
            for _ in 0..random() % 12 {
                if len == 0 {
                    break;
                }
                let at = random() as usize % len.min(96);
                let value = [random(), random() % 40, u64::MAX, random() >> 40, 1 << (random() % 64)];
                words.store(at, value[random() as usize % value.len()], Ordering::Relaxed);
            }
            let reader = StatsReader::over(words.reader());
            for entry in &reader.directory.entries {
                assert!(reader.cell(entry).is_some(), "an entry outside the segment was believed");
            }
            let snapshot = reader.snapshot();
            assert!(snapshot.counters.len() + snapshot.refused < usize::MAX);
        }
    }

    #[test]
    fn a_live_histogram_always_answers_from_its_own_sum() {
        let segment = StatsSegment::heap(&layout()).unwrap();
        let hist = segment.hist("feed.parse").unwrap();
        let reader = segment.reader();
        std::thread::scope(|scope| {
            scope.spawn(move || (0..400_000u64).for_each(|i| hist.record(i % 50_000)));
            let mut last = 0;
            while last < 400_000 {
                let counts = reader.hist("feed.parse").unwrap();
                let figures = counts.summary();
                assert!(figures.count >= last && figures.p50_ns <= figures.p999_ns);
                assert!(figures.p999_ns <= figures.max_ns && figures.max_ns < 50_048);
                last = figures.count;
            }
        });
    }

    #[test]
    fn cost_of_a_record() {
        let scratch = Scratch::new("reader-cost");
        let segment = StatsSegment::create(scratch.path(), &layout(), &Ident::default()).unwrap();
        let counter = segment.counter("feed.messages").unwrap();
        let hist = segment.hist("feed.parse").unwrap();
        let rounds = 2_000_000u64;
        let mut best = [f64::MAX; 2];
        for _ in 0..5 {
            let start = std::time::Instant::now();
            (0..rounds).for_each(|_| std::hint::black_box(&counter).inc());
            best[0] = best[0].min(start.elapsed().as_nanos() as f64 / rounds as f64);
            let start = std::time::Instant::now();
            (0..rounds).for_each(|i| std::hint::black_box(&hist).record(200 + (i & 0xfff)));
            best[1] = best[1].min(start.elapsed().as_nanos() as f64 / rounds as f64);
        }
        println!("counter {:.2} ns, histogram {:.2} ns (batched mean, best of 5)", best[0], best[1]);
        assert_eq!(segment.snapshot().counters[0].1, 5 * rounds);
        // Far above the bars of 2 and 5 ns: catches a locked instruction or a system call, not a busy host.
        assert!(best[0] < 200.0 && best[1] < 200.0);
    }
}
