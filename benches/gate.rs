//! What does the risk gate cost an order that passes every check?
//!
//! Timed: one [`risk::Gate::check`] with all checks on (state, staleness, venue rules, size, notional, worst-case
//! position, open orders, collars, self-match, order rate), the order and the inputs changing from call to call as
//! they do live; and the part of the table around it, one insert, one refusal and one release. Not timed: rings,
//! reading the clock, building the inputs from messages. Everything is warm and in cache: a floor, not the engine's
//! own figure, which is in its histograms.
//!
//! The distribution is of single calls, each between two reads of the clock; the cost of such a pair around nothing is
//! printed beside it and is part of every sample. Bar: p50 at most 120 ns, the pair included, as the median over
//! repetitions; `-- --check` ends with exit code 1 when it fails.
//! A regression here is paid by every order, one to one. Compare runs of like probes only (the line printed first).
//!
//! `cargo bench --bench gate` measures; without `--bench` everything runs once and judges nothing.

mod protocol;

use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use criterion::Criterion;
use hdrhistogram::Histogram;
use orders::{OrderEntry, OrderTable};
use risk::{Gate, GateInputs, GateOrder, Limits, LimitsSpec, Top};
use wire::{AssetId, BookState, Instrument, InstrumentId, OrderId, OrderType, Px, Qty, Side, Ts, VenueId};

use protocol::Session;

/// Orders prepared and judged by turns, so that no branch is learnt by heart.
const ORDERS: usize = 1024;
/// The longest p50 of one check, clock pair included, ns. The gate stays on one core, so no probe scales it.
const BAR_NS: u64 = 120;
/// Repetitions, of which the median is judged.
const REPETITIONS: usize = 5;
/// Calls timed together for it: one takes less than a look at the clock.
const BATCH: usize = 16;
/// Times that a process of the latency gate judges all orders.
const GATED_ROUNDS: usize = 400;

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

/// Times of single calls and of a clock pair around nothing.
fn spans(rounds: usize) -> Result<[Histogram<u64>; 2], Box<dyn Error>> {
    let prepared = orders();
    let mut bare = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3)?;
    let mut judged = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3)?;
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
    Ok([bare, judged])
}

/// One order's stay in the table: in, refused, out.
fn stay(table: &mut OrderTable, id: u64) {
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
    table.release(slot);
}

fn measure(c: &mut Criterion, measuring: bool) -> Result<bool, Box<dyn Error>> {
    if measuring {
        probe();
    }
    let repetitions = if measuring { REPETITIONS } else { 1 };
    let mut p50s = Vec::new();
    for _ in 0..repetitions {
        let [bare, judged] = spans(if measuring { 200 } else { 1 })?;
        for (name, h) in [("clock pair alone", &bare), ("gate, clock pair included", &judged)] {
            let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|q| h.value_at_quantile(q));
            println!("{name}: p50 {p50} ns, p99 {p99} ns, p99.9 {p999} ns, {} samples", h.len());
        }
        p50s.push(judged.value_at_quantile(0.5));
    }
    p50s.sort_unstable();
    let p50 = p50s[p50s.len() / 2];
    let holds = p50 <= BAR_NS;
    if measuring {
        let word = if holds { "holds" } else { "FAILS" };
        println!("bar: gate p50 is {p50} ns, at most {BAR_NS} wanted: {word}");
    }
    if std::env::args().any(|a| a == "--check") {
        return Ok(holds);
    }
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
            stay(&mut table, id);
        });
    });
    if measuring {
        probe();
    }
    Ok(true)
}

/// The rows of the latency gate.
fn speak(mut session: Session) -> Result<(), Box<dyn Error>> {
    let prepared = orders();
    if session.is_time() {
        let mut check = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3)?;
        let mut table_stay = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3)?;
        let mut table = OrderTable::with_capacity(1_024);
        let mut id = 0;
        for round in 0..GATED_ROUNDS {
            let mut gate = gate();
            for batch in prepared.chunks_exact(BATCH) {
                let start = Instant::now();
                let passed = batch.iter().filter(|(o, i)| gate.check(black_box(o), black_box(i)).is_ok());
                let passed = black_box(passed.count());
                let checked = start.elapsed();
                let start = Instant::now();
                for _ in 0..BATCH {
                    id += 1;
                    stay(&mut table, id);
                }
                let stayed = start.elapsed();
                assert_eq!(passed, BATCH, "orders of this bench pass");
                // The first rounds warm caches and predictors.
                if round >= GATED_ROUNDS / 8 {
                    check.saturating_record(checked.as_nanos() as u64);
                    table_stay.saturating_record(stayed.as_nanos() as u64);
                }
            }
        }
        session.span("check", BATCH, &check);
        session.span("table", BATCH, &table_stay);
    } else {
        session.work("check", 100, ORDERS - 100, |_| {
            let mut gate = gate();
            let prepared = &prepared;
            Ok::<_, String>(move |n: usize| {
                let (order, inputs) = &prepared[n];
                let verdict = protocol::hot(|| gate.check(black_box(order), black_box(inputs)));
                verdict.map_err(|why| format!("order {n} is refused: {why}"))
            })
        })?;
        session.work("table", 2_000, 1_000, |_| {
            let mut table = OrderTable::with_capacity(1_024);
            Ok::<_, String>(move |n: usize| {
                protocol::hot(|| stay(&mut table, 1 + n as u64));
                Ok(())
            })
        })?;
    }
    session.end();
    Ok(())
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if let Some(session) = Session::asked("gate")? {
        return speak(session).map(|()| ExitCode::SUCCESS);
    }
    let has = |flag: &str| std::env::args().any(|a| a == flag);
    if has("--check") {
        let holds = measure(&mut Criterion::default(), true)?;
        return Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let mut criterion = Criterion::default().configure_from_args();
    measure(&mut criterion, has("--bench"))?;
    criterion.final_summary();
    Ok(ExitCode::SUCCESS)
}
