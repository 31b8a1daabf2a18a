//! The crowd: the same from the same seed, and alive.

use crate::listing::*;
use corelane_exchange::*;
use wire::*;

const SECOND: u64 = 1_000_000_000;

fn market_with_crowd(seed: u64) -> (Exchange, Crowd, Vec<ExEvent>) {
    let rules = Instrument { notional_min: 5_000_000, ..instrument() };
    let mut ex = exchange_with(rules);
    let mut crowd = Crowd::new(seed, CrowdConfig::around(ex.instrument(), Px(1_000_00)));
    let mut out = Vec::new();
    crowd.start(Ts(SECOND), &mut ex, &mut out);
    (ex, crowd, out)
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_seed_others() {
    let run = |seed, step_ns: u64| {
        let (mut ex, mut crowd, mut out) = market_with_crowd(seed);
        let us = ex.add_account(1_000 * UNIT, 1_000_000 * UNIT);
        let mut now = SECOND;
        while now < 4 * SECOND {
            now += step_ns;
            crowd.step(Ts(now), &mut ex, &mut out);
            if now.is_multiple_of(SECOND / 10) {
                ex.cancel_all(Ts(now), us, &mut out);
                let (bid, _) = ex.best();
                ex.submit(Ts(now), us, limit(Side::Buy, bid.map_or(1, |b| b.0.0), 1_0000), &mut out)
                    .expect("fits");
            }
        }
        out
    };
    let first = run(5, 100_000);
    assert_eq!(first, run(5, 100_000));
    // How often it is asked does not matter, only what it meets.
    assert_eq!(first, run(5, 20_000_000));
    assert_ne!(first, run(6, 100_000));
    assert!(first.len() > 10_000, "{}", first.len());
}

#[test]
fn actions_come_at_the_configured_rate_in_time_order_and_never_late() {
    let (mut ex, mut crowd, mut out) = market_with_crowd(1);
    out.clear();
    let mut last = Ts(0);
    while crowd.next_at() <= Ts(11 * SECOND) {
        let due = crowd.next_at();
        assert!(due > last);
        let before = crowd.stats().actions;
        crowd.step(Ts(due.0 - 1), &mut ex, &mut out);
        assert_eq!(crowd.stats().actions, before, "not yet due");
        crowd.step(due, &mut ex, &mut out);
        assert_eq!(crowd.stats().actions, before + 1);
        last = due;
        for e in out.drain(..) {
            if let ExEvent::Accepted { ts, .. } | ExEvent::Trade { ts, .. } | ExEvent::Cancelled { ts, .. } =
                e
            {
                assert_eq!(ts, due);
            }
        }
    }
    let per_s = crowd.stats().actions / 10;
    assert!((2_350..=2_650).contains(&per_s), "{per_s} actions a second");

    let mut ex = exchange_with(instrument());
    let asleep = CrowdConfig { actions_per_s: 0.0, ..CrowdConfig::around(ex.instrument(), Px(1_000_00)) };
    let mut crowd = Crowd::new(1, asleep);
    crowd.step(Ts(u64::MAX), &mut ex, &mut out);
    crowd.start(Ts(1), &mut ex, &mut out);
    crowd.step(Ts(u64::MAX), &mut ex, &mut out);
    assert_eq!((crowd.stats().actions, crowd.next_at()), (0, Ts(u64::MAX)));
    assert!(ex.best().0.is_some() && ex.best().1.is_some());
}

#[test]
fn the_book_lives() {
    for seed in 1..=3 {
        let (mut ex, mut crowd, mut out) = market_with_crowd(seed);
        // A quoter with small orders at the touch, looking 200 times a second.
        let us = ex.add_account(1_000_000 * UNIT, 1_000_000_000 * UNIT);
        let (mut spreads, mut empty, mut requotes, mut fills, mut trades_all) =
            (vec![], 0u64, 0u64, 0u64, 0u64);
        let (mut lo, mut hi) = (i64::MAX, 0);
        let seconds = 20u64;
        for n in 1..=200 * seconds {
            let now = Ts(SECOND + n * SECOND / 200);
            out.clear();
            crowd.step(now, &mut ex, &mut out);
            for e in &out {
                if let ExEvent::Trade { maker, .. } = e {
                    trades_all += 1;
                    fills += (maker.account == us) as u64;
                }
            }
            let (Some((bid, _)), Some((ask, _))) = ex.best() else {
                empty += 1;
                continue;
            };
            assert!(bid < ask, "crossed: {bid:?} {ask:?}");
            spreads.push(ask.0 - bid.0);
            (lo, hi) = (lo.min(bid.0), hi.max(ask.0));
            for (side, px) in [(Side::Buy, bid), (Side::Sell, ask)] {
                let open = ex.open_orders(us).find(|o| o.side == side).map(|o| (o.id, o.px));
                if open.is_some_and(|(_, at)| at == px) {
                    continue;
                }
                if let Some((id, _)) = open {
                    ex.cancel(now, us, id, &mut out).expect("open");
                    requotes += 1;
                }
                ex.submit(now, us, maker(side, px.0, 100), &mut out).expect("rests");
            }
        }
        spreads.sort_unstable();
        let (median, p99) = (spreads[spreads.len() / 2], spreads[spreads.len() * 99 / 100]);
        let per_s = |n: u64| n as f64 / seconds as f64;
        let stats = crowd.stats();
        println!(
            "seed {seed}: spread median {median} p99 {p99} ticks, trades {}/s, our requotes {}/s, our fills {}/s, \
             range {} ticks, one-sided {empty} of {}, {stats:?}",
            per_s(trades_all),
            per_s(requotes),
            per_s(fills),
            hi - lo,
            200 * seconds
        );
        assert!((1..=5).contains(&median) && p99 <= 12, "spread median {median}, p99 {p99}");
        assert!(empty * 100 < 200 * seconds, "one-sided {empty} of {} looks", 200 * seconds);
        assert!((100.0..2_000.0).contains(&per_s(trades_all)), "{} trades a second", per_s(trades_all));
        assert!(per_s(requotes) >= 5.0, "{} requotes a second", per_s(requotes));
        assert!((10.0..200.0).contains(&per_s(fills)), "{} fills a second", per_s(fills));
        assert!(hi - lo >= 10, "range {}", hi - lo);
        assert!(stats.refused * 20 < stats.actions, "{stats:?}");
    }
}

#[test]
fn a_real_listing_with_a_fine_tick_and_bounded_orders_works_too() {
    // The scales of a large pair: price tick 0.01, lot 0.00001, both carried at 8 decimals.
    let rules = Instrument {
        px_decimals: 8,
        qty_decimals: 8,
        tick: Px(1_000_000),
        px_min: Px(1_000_000),
        px_max: Px(100_000_000_000_000),
        lot: Qty(1_000),
        qty_min: Qty(1_000),
        qty_max: Qty(900_000_000_000),
        notional_min: 5 * 10i128.pow(16),
        open_orders_max: 20,
        ..instrument()
    };
    let mut ex = exchange_with(rules);
    let mut crowd = Crowd::new(9, CrowdConfig::around(ex.instrument(), Px(60_000 * 100_000_000)));
    let mut out = Vec::new();
    crowd.start(Ts(0), &mut ex, &mut out);
    crowd.step(Ts(5 * SECOND), &mut ex, &mut out);
    let stats = crowd.stats();
    assert!(trades(&out).len() > 500 && stats.refused * 20 < stats.actions, "{stats:?}");
    assert!(matches!(ex.best(), (Some(_), Some(_))));
}
