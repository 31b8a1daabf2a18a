//! No strategy allocates once it is built: counted by the allocator itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use corelane_strategies::maker::{LEVELS_MAX, MakerSpec, Model};
use corelane_strategies::quoter::QuoterSpec;
use corelane_strategies::{Chosen, StrategySpec};
use strategy::{Intents, Strategy};
use wire::{AssetId, BookState, Instrument, InstrumentId, Kind, Msg, OrderState, Px, Qty, Ts, VenueId, flag};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting what this thread asks of it.
struct Counting;

fn count() {
    // At a thread's end the cell may be gone; what is allocated then is not counted.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: every method hands its arguments on to `System` unchanged, and `System` keeps the contract; counting
// touches a plain thread-local cell that needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `layout` are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `ptr` came from `System` with this `layout`, as all our blocks do.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: `ptr` came from `System` with this `layout`; the caller vouches for `new_size`.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId(0),
        venue: VenueId(0),
        symbol: "BTCUSDT".into(),
        base: "BTC".into(),
        quote: "USDT".into(),
        base_id: AssetId(0),
        quote_id: AssetId(1),
        px_decimals: 2,
        qty_decimals: 5,
        quote_decimals: 8,
        tick: Px(1),
        px_min: Px(1),
        px_max: Px(0),
        lot: Qty(1),
        qty_min: Qty(1),
        qty_max: Qty(0),
        notional_min: 0,
        open_orders_max: 200,
        market_qty: Default::default(),
        band_buy: Default::default(),
        band_sell: Default::default(),
        trading: true,
    }
}

/// Allocations and intents of 20,000 rounds: the market walks, trades are seen, orders rest, fill and go.
fn run(spec: StrategySpec) -> (u64, usize) {
    let mut strategy = Chosen::new(spec, instrument()).expect("sound parameters");
    let mut out = Intents::new(1, 1_000);
    let mut open: Vec<(i64, bool)> = Vec::with_capacity(1_000);
    let (mut intents, mut mid, mut position, mut seed) = (0, 6_000_000i64, 0i64, 7u64);
    let before = ALLOCATIONS.get();
    for n in 0..20_000u64 {
        let now = Ts(1_000_000_000 + n * 1_000_000);
        let msg = |kind, body| Msg::new(kind, InstrumentId(0), now).body(body);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        mid += (seed >> 33) as i64 % 5 - 2;
        out.begin(n, now);
        if n == 0 {
            strategy.on_order(&msg(Kind::Trading, [1, 0, 0, 0]), &mut out);
            strategy.on_market(n, &msg(Kind::BookState, [BookState::InSync as i64, 0, 0, 0]), &mut out);
        }
        strategy.on_market(n, &msg(Kind::Top, [mid - 1, 5, mid + 1, 5]), &mut out);
        strategy.on_market(n, &msg(Kind::Trade, [mid + 3, 5, n as i64, 0]), &mut out);
        strategy.on_timer(now, &mut out);
        if n % 3 == 0
            && let Some((id, sell)) = open.pop()
        {
            position += if sell { -10 } else { 10 };
            strategy.on_order(&msg(Kind::OwnFill, [mid, 10, id, position]), &mut out);
        }
        intents += out.len();
        let mut made = [Msg::default(); 2 * LEVELS_MAX];
        let count = out.len();
        made[..count].copy_from_slice(out.as_slice());
        out.clear();
        for m in &made[..count] {
            let id = m.body[2];
            let state = if m.kind() == Some(Kind::IntentNew) {
                open.push((id, m.has(flag::SELL)));
                OrderState::Live
            } else {
                open.retain(|o| o.0 != id);
                OrderState::Cancelled
            };
            strategy.on_order(&msg(Kind::Order, [state as i64, 0, id, 0]), &mut out);
        }
        out.clear();
    }
    (ALLOCATIONS.get() - before, intents)
}

#[test]
fn the_quoter_does_not_allocate() {
    let (allocations, intents) = run(StrategySpec::Quoter(QuoterSpec {
        size: 10,
        half_spread_ticks: 1,
        skew_ticks: 1,
        requote_ticks: 1,
        position_max: 100,
        order_life_min_us: 1,
        in_flight_max: 2,
    }));
    assert_eq!(allocations, 0);
    assert!(intents > 1_000, "{intents}");
}

#[test]
fn the_maker_does_not_allocate() {
    for model in [Model::Glft, Model::AvellanedaStoikov { horizon_s: 1.0 }] {
        let (allocations, intents) = run(StrategySpec::Maker(MakerSpec {
            model,
            gamma: 0.01,
            size: 10,
            levels: LEVELS_MAX as i64,
            step_min_ticks: 1,
            step_us: 1_000,
            spread_min_ticks: 2,
            spread_max_ticks: 100_000,
            maker_fee_ppm: 0,
            requote_ticks: 1,
            position_max: 200,
            order_life_min_us: 1,
            orders_per_s: 10_000,
            in_flight_max: 2 * LEVELS_MAX as i64,
            sigma_half_life_us: 1_000_000,
            sigma_sample_us: 2_000,
            sigma_min: 1.0,
            sigma_max: 10_000.0,
            arrivals_per_s: 50.0,
            arrivals_decay: 1.0,
            arrivals_half_life_us: Some(1_000_000),
        }));
        assert_eq!(allocations, 0);
        assert!(intents > 1_000, "{intents}");
    }
}
