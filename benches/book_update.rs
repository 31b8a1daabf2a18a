//! What does one changed level cost the book?
//!
//! Timed: one [`book::L2Book::set`] and one [`book::L2Book::best`] on a book of 5 000 levels a side, for two streams:
//! `touch`, where nearly all updates lie within some twenty levels of the best price, as on a live venue; and
//! `anywhere`, where they fall uniformly over the whole depth, the worst a venue could send; and a snapshot of 2 × 5 000
//! levels. Additions, changes and removals are mixed so that the depth stays level. Not timed: parsing, sequence rules,
//! publishing.
//!
//! The distribution is of single updates, each between two reads of the clock; the cost of such a pair around nothing is
//! printed beside it and is part of every sample. Bar: below 1 µs an update at p99, anywhere in the book. A regression
//! shows in bytes visible → event, once per level of a depth message. Compare runs of like probes only.
//!
//! `cargo bench --bench book_update` measures; without `--bench` everything runs once and judges nothing.

use std::hint::black_box;
use std::time::Instant;

use book::L2Book;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hdrhistogram::Histogram;
use wire::{Px, Qty, Side};

/// Levels that each side starts with.
const LEVELS: i64 = 5_000;
/// Levels that each side can hold.
const CAPACITY: usize = 10_000;
/// Highest bid at the start; the lowest ask is one above.
const BID_PX: i64 = 6_000_000;

type Update = (Side, Px, Qty);

fn next(state: &mut u64, bound: u64) -> i64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state % bound) as i64
}

fn snapshot(side: Side) -> impl Iterator<Item = (Px, Qty)> {
    // Every second price, so that updates find room between levels.
    let (first, step) = if side == Side::Buy { (BID_PX, -2) } else { (BID_PX + 1, 2) };
    (0..LEVELS).map(move |n| (Px(first + step * n), Qty(1 + n)))
}

fn loaded() -> L2Book {
    let mut book = L2Book::with_capacity(CAPACITY);
    book.load(snapshot(Side::Buy), snapshot(Side::Sell)).expect("the snapshot is sound");
    book
}

/// A stream of updates; half of those that hit an empty price add a level, half of those that hit one remove it.
fn updates(n: usize, near: bool) -> Vec<Update> {
    let mut state = 0x2545_f491_4f6c_dd1du64 ^ near as u64;
    (0..n)
        .map(|_| {
            let side = if next(&mut state, 2) == 0 { Side::Buy } else { Side::Sell };
            let depth = if near && next(&mut state, 20) != 0 {
                next(&mut state, 40)
            } else {
                next(&mut state, 2 * LEVELS as u64)
            };
            let px = if side == Side::Buy { BID_PX - depth } else { BID_PX + 1 + depth };
            let qty = if next(&mut state, 2) == 0 { 0 } else { 1 + next(&mut state, 1 << 30) };
            (side, Px(px), Qty(qty))
        })
        .collect()
}

#[inline]
fn apply(book: &mut L2Book, update: &Update) -> i64 {
    let (side, px, qty) = *update;
    book.set(side, px, qty);
    let top = book.best();
    top.bid_px.0 ^ top.ask_qty.0
}

fn distribution(name: &str, stream: &[Update]) {
    let mut book = loaded();
    let mut bare = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3).expect("bounds are sound");
    let mut spent = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3).expect("bounds are sound");
    for update in stream {
        let start = Instant::now();
        let empty = start.elapsed();
        let start = Instant::now();
        black_box(apply(&mut book, black_box(update)));
        let elapsed = start.elapsed();
        bare.saturating_record(empty.as_nanos() as u64);
        spent.saturating_record(elapsed.as_nanos() as u64);
    }
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|q| spent.value_at_quantile(q));
    println!(
        "{name}, clock pair of {} ns included: p50 {p50} ns, p99 {p99} ns, p99.9 {p999} ns, {} samples, {} levels at the end",
        bare.value_at_quantile(0.5),
        spent.len(),
        book.len(Side::Buy) + book.len(Side::Sell),
    );
}

fn probe() {
    match agent::probe::cache_line() {
        Ok(report) => println!("{report}"),
        Err(e) => println!("cache line: {e}"),
    }
}

fn bench(c: &mut Criterion) {
    let measuring = std::env::args().any(|a| a == "--bench");
    if measuring {
        probe();
    }
    let n = if measuring { 500_000 } else { 1_000 };
    for (name, near) in [("touch", true), ("anywhere", false)] {
        let stream = updates(n, near);
        distribution(name, &stream);
        let mut group = c.benchmark_group("book_update");
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |b| {
            let mut book = loaded();
            let mut at = 0;
            b.iter(|| {
                at = (at + 1) % stream.len();
                apply(&mut book, &stream[at])
            });
        });
        group.finish();
    }
    c.bench_function("book_load_2x5000", |b| {
        let mut book = L2Book::with_capacity(CAPACITY);
        b.iter(|| book.load(black_box(snapshot(Side::Buy)), black_box(snapshot(Side::Sell))));
    });
    if measuring {
        probe();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
