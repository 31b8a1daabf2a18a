//! A reader that shares no line with the writer: the file's bytes and the page that `layout.rs` and rings' `header.rs`
//! begin with are all it has. What it finds under which name is what the engine wrote.

use std::collections::BTreeMap;
use std::fs;

use corelane_stats as stats;
use hdrhistogram::Histogram;
use rings::Ident;
use stats::{AgentState, Field, Layout, STATS_FILE, StatsReader, StatsSegment, VALUE_MAX_NS};
use wire::{Slot, Ts};

/// Bytes of a segment's header.
const HEADER: usize = 256;

#[path = "../scratch.rs"]
mod scratch;
use scratch::Scratch;

/// The stranger.
struct Stranger {
    words: Vec<u64>,
    /// By kind and name: rows and place.
    cells: BTreeMap<(u8, String), (u64, usize)>,
    /// By kind and label: the word in a row.
    labels: BTreeMap<(u64, String), usize>,
}

impl Stranger {
    fn read(bytes: &[u8]) -> Stranger {
        assert_eq!(&bytes[..8], b"corelan1", "the magic of a segment");
        assert_eq!((&bytes[12..16], &bytes[8..12]), (&b"stat"[..], &2u32.to_le_bytes()[..]), "type, version");
        let (words, rest) = bytes[HEADER..].as_chunks::<8>();
        assert!(rest.is_empty());
        let words: Vec<u64> = words.iter().map(|w| u64::from_le_bytes(*w)).collect();
        let (entries, first) = (words[1] as usize, words[2] as usize);
        let (mut cells, mut labels) = (BTreeMap::new(), BTreeMap::new());
        for entry in words[first..].chunks(8).take(entries) {
            let (kind, len, rows) = (entry[0] as u8, (entry[0] >> 8) as u8 as usize, entry[0] >> 16);
            let name: Vec<u8> = entry[2..].iter().flat_map(|w| w.to_le_bytes()).take(len).collect();
            let name = String::from_utf8(name).expect("text");
            let old = match kind {
                7 => labels.insert((rows, name), entry[1] as usize).is_some(),
                _ => cells.insert((kind, name), (rows, entry[1] as usize)).is_some(),
            };
            assert!(!old, "a name twice");
        }
        Stranger { words, cells, labels }
    }

    fn word(&self, kind: u8, name: &str) -> u64 {
        self.words[self.cells[&(kind, name.to_string())].1]
    }

    fn labelled(&self, kind: u8, name: &str, row_words: usize, row: usize, label: &str) -> u64 {
        let at = self.cells[&(kind, name.to_string())].1;
        self.words[at + row * row_words + self.labels[&(kind as u64, label.to_string())]]
    }

    /// Buckets of a histogram that are not empty: lowest value and count.
    fn buckets(&self, name: &str) -> Vec<(u64, u64)> {
        let half = self.words[3] as usize;
        let at = self.cells[&(3, name.to_string())].1;
        let lowest =
            |i: usize| if i < 2 * half { i as u64 } else { ((half + i % half) as u64) << (i / half - 1) };
        let mut buckets = Vec::new();
        for i in (0..).take_while(|i| lowest(*i) <= self.words[4]) {
            if self.words[at + i] > 0 {
                buckets.push((lowest(i), self.words[at + i]));
            }
        }
        buckets
    }
}

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*state ^ *state >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd)
}

#[test]
fn every_name_label_and_value_is_read_from_the_file_alone() {
    let scratch = Scratch::new("stranger-whole");
    let mut layout = Layout::new();
    layout.counter("feed.messages").counter("oms.orders").gauge("oms.position").hist("feed.parse");
    layout.agent("feed").agent("oms").orders(4).ticks(8);
    let segment = StatsSegment::create(scratch.path(), &layout, &Ident::default()).expect("a segment");
    segment.counter("oms.orders").expect("it").add(41);
    segment.gauge("oms.position").expect("it").set(-7);
    let hist = segment.hist("feed.parse").expect("it");
    let mut hdr = Histogram::<u64>::new_with_bounds(1, VALUE_MAX_NS, 3).expect("bounds");
    let mut state = 5;
    for _ in 0..50_000 {
        let ns = (random(&mut state) >> (random(&mut state) % 64)).min(VALUE_MAX_NS);
        hist.record(ns);
        hdr.record(ns).expect("within bounds");
    }
    let beat = segment.beat("oms").expect("it");
    beat.beat(Ts(1_000), 1);
    beat.beat(Ts(5_000), 9);
    beat.duty(600, 2, 100);
    beat.longest(Ts(4_000), 333);
    beat.state(AgentState::Running);
    let trace = segment.trace_writer(&Field::ALL).expect("it");
    trace.set(Slot(3), Field::RiskNs, 77);
    trace.set(Slot(3), Field::AckedNs, 99);
    segment.tick_writer().expect("it").parsed(6, Ts(10), Ts(12));
    segment.signal_writer().expect("it").signal(6, Ts(15));

    let bytes = fs::read(scratch.path().join(STATS_FILE)).expect("the file");
    let stranger = Stranger::read(&bytes);
    assert_eq!((stranger.word(1, "oms.orders"), stranger.word(1, "feed.messages")), (41, 0));
    assert_eq!(stranger.word(2, "oms.position") as i64, -7);
    let oms = |label| stranger.labelled(4, "oms", 16, 0, label);
    assert_eq!(["first_beat_ns", "last_beat_ns", "cycles", "state"].map(oms), [1_000, 5_000, 9, 2]);
    assert_eq!(["busy_ns", "slow_cycles", "slow_cycle_ns", "longest_cycle_ns"].map(oms), [600, 2, 100, 333]);
    let order = |label| stranger.labelled(5, "orders", 16, 3, label);
    assert_eq!(["risk_ns", "acked_ns", "sent_ns"].map(order), [77, 99, 0]);
    let tick = |label| stranger.labelled(6, "ticks", 8, 6, label);
    assert_eq!(["feed_cause_plus_1", "recv_ns", "parsed_ns", "signal_ns"].map(tick), [7, 10, 12, 15]);

    // The same samples in HdrHistogram: bucket by bucket, and every percentile that our own reader answers.
    let buckets: Vec<(u64, u64)> = stranger.buckets("feed.parse");
    let theirs: Vec<(u64, u64)> = hdr
        .iter_recorded()
        .map(|v| (hdr.lowest_equivalent(v.value_iterated_to()), v.count_since_last_iteration()))
        .collect();
    assert_eq!(buckets, theirs);
    drop((segment, hist));
    let ours = StatsReader::open(scratch.path()).expect("a reader").hist("feed.parse").expect("it");
    for step in 0..=100_000 {
        let quantile = f64::from(step) / 100_000.0;
        assert_eq!(ours.quantile_ns(quantile), hdr.value_at_quantile(quantile), "{quantile}");
    }
    assert_eq!(ours.count(), hdr.len());
}
