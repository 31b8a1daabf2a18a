//! What does the risk gate cost an order that passes every check?
//!
//! Timed: one [`risk::Gate::check`] with all checks on (state, staleness, venue rules, size, notional, worst-case
//! position, open orders, collars, self-match, order rate), the order and the inputs changing from call to call as
//! they do live; and the part of the table around it, one insert, one refusal and one release. Not timed: rings,
//! reading the clock, building the inputs from messages. Everything is warm and in cache: a floor, not the engine's
//! own figure, which is in its histograms.
//!
//! The distribution is of single calls, each between two reads of the clock; the cost of such a pair around nothing is
//! printed beside it and is part of every sample. Bars: p50 at most 100 ns, p99 at most 250 ns, the pair included.
//! A regression here is paid by every order, one to one. Compare runs of like probes only (the line printed first).
//!
//! `cargo bench --bench gate` measures; without `--bench` everything runs once and judges nothing.

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use hdrhistogram::Histogram;
use orders::{OrderEntry, OrderTable};
use risk::{Gate, GateInputs, GateOrder, Limits, LimitsSpec, Top};
use wire::{AssetId, BookState, Instrument, InstrumentId, OrderId, OrderType, Px, Qty, Side, Ts, VenueId};

/// Orders prepared and judged by turns, so that no branch is learnt by heart.
const ORDERS: usize = 1024;

fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId(0),
        venue: VenueId(0),
        symbol: "BTCUSDT".into(),
        base: "BTC".into(),
        quote: "USDT".into(),
        base_id: AssetId(0),
        quote_id: AssetId(1),
        px_decimals: 8,
        qty_decimals: 8,
        quote_decimals: 8,
        tick: Px(1_000_000),
        px_min: Px(1_000_000),
        px_max: Px(100_000_000_000_000),
        lot: Qty(1_000),
        qty_min: Qty(1_000),
        qty_max: Qty(900_000_000_000),
        notional_min: 5 * 10i128.pow(16),
        open_orders_max: 200,
        market_qty: Default::default(),
        band_buy: Default::default(),
        band_sell: Default::default(),
        trading: true,
    }
}

fn gate() -> Gate {
    let spec = LimitsSpec {
        order_qty_max: 100_000_000,
        order_notional_max: 100_000 * 10i128.pow(16),
        position_max: 1_000_000_000,
        position_notional_max: 1_000_000 * 10i128.pow(16),
        open_orders_max: 50,
        collar_mid_bps: 100,
        collar_touch_bps: 50,
        order_rate_per_s: 1_000_000,
        order_burst: 1_000_000,
        data_age_max_us: 1_000_000,
        intent_age_max_us: 1_000_000,
    };
    let limits = Limits::new(spec).expect("limits of this bench are sound");
    Gate::new(limits, &instrument()).expect("rules of this bench are sound")
}

/// Orders that pass, with the inputs they pass with.
fn orders() -> Vec<(GateOrder, GateInputs)> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound) as i64
    };
    (0..ORDERS as u64)
        .map(|n| {
            let now = Ts(1_000_000_000_000 + n * 10_000);
            let bid = (6_000_000 + next(10_000)) * 1_000_000;
            let ask = bid + (1 + next(20)) * 1_000_000;
            let side = if next(2) == 0 { Side::Buy } else { Side::Sell };
            let px =
                if side == Side::Buy { bid - next(100) * 1_000_000 } else { ask + next(100) * 1_000_000 };
            let order = GateOrder {
                side,
                px: Px(px),
                qty: Qty((10 + next(1_000)) * 1_000 + 100_000),
                kind: if next(2) == 0 { OrderType::Ioc } else { OrderType::Limit },
                stop_px: Px(0),
                ts_intent: Ts(now.0 - next(400_000) as u64),
                ttl_us: 1_000,
            };
            let inputs = GateInputs {
                now,
                top: Top {
                    bid_px: Px(bid),
                    bid_qty: Qty(1 + next(1 << 30)),
                    ask_px: Px(ask),
                    ask_qty: Qty(1),
                },
                ts_top: Ts(now.0 - next(1_000_000) as u64),
                book_state: BookState::InSync,
                position: next(200_000_000) - 100_000_000,
                open_buy_qty: next(100_000_000),
                open_sell_qty: next(100_000_000),
                open_orders: next(50) as u32,
                own_bid_px: Px(bid - 200_000_000),
                own_ask_px: Px(ask + 200_000_000),
                killed: false,
                trading: true,
                reduce_only: false,
            };
            (order, inputs)
        })
        .collect()
}

fn probe() {
    match agent::probe::cache_line() {
        Ok(report) => println!("{report}"),
        Err(e) => println!("cache line: {e}"),
    }
}

/// Percentiles of single calls.
fn distribution(rounds: usize) {
    let prepared = orders();
    let mut bare = Histogram::<u64>::new(3).expect("3 digits are allowed");
    let mut judged = Histogram::<u64>::new(3).expect("3 digits are allowed");
    for _ in 0..rounds {
        // A fresh budget each round, so that every order passes.
        let mut gate = gate();
        for (order, inputs) in &prepared {
            let start = Instant::now();
            let empty = start.elapsed();
            let start = Instant::now();
            let verdict = gate.check(black_box(order), black_box(inputs));
            let spent = start.elapsed();
            assert_eq!(black_box(verdict), Ok(()), "orders of this bench pass");
            bare.saturating_record(empty.as_nanos() as u64);
            judged.saturating_record(spent.as_nanos() as u64);
        }
    }
    for (name, h) in [("clock pair alone", &bare), ("gate, clock pair included", &judged)] {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|q| h.value_at_quantile(q));
        println!("{name}: p50 {p50} ns, p99 {p99} ns, p99.9 {p999} ns, {} samples", h.len());
    }
}

fn bench(c: &mut Criterion) {
    let measuring = std::env::args().any(|a| a == "--bench");
    if measuring {
        probe();
    }
    distribution(if measuring { 1_000 } else { 1 });

    let prepared = orders();
    c.bench_function("gate_check_1024_orders", |b| {
        b.iter_batched_ref(
            gate,
            |gate| prepared.iter().filter(|(o, i)| gate.check(black_box(o), black_box(i)).is_ok()).count(),
            criterion::BatchSize::SmallInput,
        );
    });
    c.bench_function("table_insert_end_release", |b| {
        let mut table = OrderTable::with_capacity(1_024);
        let mut id = 0;
        b.iter(|| {
            id += 1;
            let entry = OrderEntry {
                id: OrderId(1 << 48 | id),
                instrument: InstrumentId(0),
                side: Side::Buy,
                px: Px(100),
                qty: Qty(10),
                kind: OrderType::Limit,
                now: Ts(id),
            };
            let slot = table.insert(black_box(&entry)).expect("each order is released");
            table.on_rejected(slot);
            table.release(slot)
        });
    });
    if measuring {
        probe();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
