//! What does a strategy take to look at a market event?
//!
//! Timed: one [`Strategy::on_market`] of the quoter and of the maker (three levels, arrivals learnt from trades), with
//! the intents that follow now and then; every fourth event is a trade, the others move the best prices, and once in a
//! hundred the maker asks its model anew. Not timed: rings, the engine's answers, which come between events. Everything
//! is warm and in cache: a floor.
//!
//! The distribution is of single calls, each between two reads of the clock; the cost of such a pair around nothing is
//! printed beside it and is part of every sample. Aim: p50 within 300 ns. A regression is paid by every order.
//!
//! `cargo bench --bench strategy` measures; without `--bench` a short run keeps this file from rotting.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use agent::probe;
use corelane::demo::market::DEMO_TOML;
use corelane::settings;
use hdrhistogram::Histogram;
use strategies::{Chosen, StrategySpec};
use strategy::{Intents, Strategy};
use topology::{Config, StrategyKind};
use wire::{BookState, Instrument, InstrumentId, Kind, Msg, OrderState, Ts};

/// Price around which the market stands, in ticks.
const PRICE_TICKS: i64 = 6_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let measure = std::env::args().any(|arg| arg == "--bench");
    let events = if measure { 2_000_000 } else { 2_000 };
    if measure {
        println!("{}", probe::hiccup(Duration::from_millis(200)));
    }
    let mut config = Config::parse(DEMO_TOML)?;
    config.strategy.maker.levels = 3;
    config.strategy.maker.in_flight_max = 6;
    let instrument = config.instrument.fixed().ok_or("the demo's instrument")?;
    let pair = histogram(events, |_| ())?;
    print("clock pair", &pair, 0);
    for kind in [StrategyKind::Quoter, StrategyKind::Maker] {
        config.strategy.kind = kind;
        let spec = settings::strategy(&config, &instrument)?;
        let name = if kind == StrategyKind::Quoter { "quoter" } else { "maker" };
        let (spans, intents) = run(spec.spec, &instrument, events)?;
        print(name, &spans, intents);
    }
    Ok(())
}

fn run(
    spec: StrategySpec,
    instrument: &Instrument,
    events: usize,
) -> Result<(Histogram<u64>, usize), Box<dyn Error>> {
    let tick = instrument.tick.0;
    let mut strategy = Chosen::new(spec, instrument.clone())?;
    let mut out = Intents::new(1, 1_000);
    let (mut mid, mut seed, mut intents) = (PRICE_TICKS, 7u64, 0);
    let mut now = Ts(1_000_000_000);
    let msg = |kind, now, body| Msg::new(kind, InstrumentId(0), now).body(body);
    strategy.on_order(&msg(Kind::Trading, now, [1, 0, 0, 0]), &mut out);
    strategy.on_market(0, &msg(Kind::BookState, now, [BookState::InSync as i64, 0, 0, 0]), &mut out);
    let spans = histogram_of(events, |n, spans| {
        now = now.plus_ns(500_000);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = (seed >> 33) as i64;
        let event = if n % 4 == 3 {
            msg(Kind::Trade, now, [(mid + random % 4) * tick, 1_000, n as i64, 0])
        } else {
            mid += random % 3 - 1;
            let (bid, ask) = ((mid - 1) * tick, (mid + 1) * tick);
            msg(Kind::Top, now, [bid, 1_000 + random % 97, ask, 1_000 + random % 89])
        };
        out.begin(n as u64, now);
        let began = Instant::now();
        strategy.on_market(n as u64, black_box(&event), &mut out);
        black_box(out.as_slice());
        spans.saturating_record(began.elapsed().as_nanos() as u64);
        intents += out.len();
        answer(&mut strategy, &mut out, now);
    })?;
    Ok((spans, intents))
}

/// The engine's answers: new orders rest, cancelled ones are gone.
fn answer(strategy: &mut Chosen, out: &mut Intents, now: Ts) {
    let sent = out.clone();
    out.clear();
    for m in sent.as_slice() {
        let state = if m.kind() == Some(Kind::IntentNew) { OrderState::Live } else { OrderState::Cancelled };
        let body = [state as i64, 0, m.body[2], 0];
        strategy.on_order(&Msg::new(Kind::Order, InstrumentId(0), now).body(body), out);
        out.clear();
    }
}

fn histogram(n: usize, mut work: impl FnMut(usize)) -> Result<Histogram<u64>, Box<dyn Error>> {
    histogram_of(n, |n, spans| {
        let began = Instant::now();
        work(n);
        spans.saturating_record(began.elapsed().as_nanos() as u64);
    })
}

fn histogram_of(
    n: usize,
    mut work: impl FnMut(usize, &mut Histogram<u64>),
) -> Result<Histogram<u64>, Box<dyn Error>> {
    let mut spans = Histogram::new_with_bounds(1, 1_000_000_000, 3)?;
    (0..n / 10).for_each(|i| work(i, &mut spans));
    spans.reset();
    (n / 10..n).for_each(|i| work(i, &mut spans));
    Ok(spans)
}

fn print(name: &str, h: &Histogram<u64>, intents: usize) {
    let at = |q| h.value_at_quantile(q);
    println!(
        "{name:<10} p50 {:>5} p99 {:>6} p99.9 {:>6} max {:>8} ns, mean {:>6.1}, {} intents in {} events",
        at(0.5),
        at(0.99),
        at(0.999),
        h.max(),
        h.mean(),
        intents,
        h.len()
    );
}
