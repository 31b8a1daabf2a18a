//! From the model's distances to prices that the venue takes.

use book::Top;
use wire::{Instrument, Px, Qty, Side};

use super::{Idle, LEVELS_MAX, MakerParams, MakerSpec, Shape};

/// Furthest that a price may lie from the touch, ticks.
const AWAY_MAX: f64 = 1e9;

/// Wanted prices, nearest first; as many on each side as may be quoted there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    px: [[Px; LEVELS_MAX]; 2],
    len: [usize; 2],
}

impl Ladder {
    /// Wanted prices of a side, nearest first.
    #[inline]
    pub fn side(&self, side: Side) -> &[Px] {
        &self.px[side as usize][..self.len[side as usize]]
    }
}

/// The model's answer, with what follows from the volatility alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rungs {
    pub(super) shape: Shape,
    /// From one level to the next, ticks.
    step: i64,
}

impl Rungs {
    pub(super) fn new(shape: Shape, sigma: f64, s: &MakerSpec) -> Result<Rungs, Idle> {
        let step = (sigma * (s.step_us as f64 / 1e6).sqrt()).ceil();
        if step > AWAY_MAX {
            return Err(Idle::ModelRange);
        }
        Ok(Rungs { shape, step: (step as i64).max(s.step_min_ticks) })
    }

    /// The prices, for a position that may be `limit` at most, either way.
    pub(super) fn ladder(
        &self,
        top: &Top,
        position: i64,
        limit: i64,
        params: &MakerParams,
        i: &Instrument,
    ) -> Result<Ladder, Idle> {
        let (s, tick) = (params.spec(), params.tick);
        if !top.is_two_sided() || top.crossed() {
            return Err(Idle::NoTouch);
        }
        // Distances are counted from the best bid's tick: small numbers, whatever the price.
        let base = top.bid_px.0 - top.bid_px.0.rem_euclid(tick);
        let inventory = position as f64 / s.size as f64;
        let mid = ((top.bid_px.0 - base) as f64 + (top.ask_px.0 - base) as f64) / (2.0 * tick as f64);
        let centre = mid - self.shape.skew * inventory;
        let fee = base as f64 / tick as f64 * s.maker_fee_ppm as f64 * 1e-6;
        let half = (self.shape.half_spread + fee).max(s.spread_min_ticks as f64 / 2.0);
        if 2.0 * half > s.spread_max_ticks as f64 {
            return Err(Idle::SpreadWide);
        }
        // At least one tick before the other side: an order must never take.
        let last_bid = (top.ask_px.0 - base).div_euclid(tick) - 1;
        let first = [whole((centre - half).floor())?.min(last_bid), whole((centre + half).ceil())?.max(1)];
        let mut ladder = Ladder::default();
        for side in [Side::Buy, Side::Sell] {
            let out = &mut ladder.len[side as usize];
            let room = limit as i128 - side.sign() as i128 * position as i128;
            let levels = (room / s.size as i128).clamp(0, s.levels as i128) as usize;
            for n in 0..levels as i64 {
                let ticks = first[side as usize] - side.sign() * n * self.step;
                let px = ticks.checked_mul(tick).and_then(|away| base.checked_add(away)).map(Px);
                let Some(px) = px.filter(|px| is_allowed(*px, s.size, i)) else { break };
                ladder.px[side as usize][*out] = px;
                *out += 1;
            }
        }
        Ok(ladder)
    }
}

/// A distance as an integer.
fn whole(ticks: f64) -> Result<i64, Idle> {
    if ticks.abs() <= AWAY_MAX { Ok(ticks as i64) } else { Err(Idle::ModelRange) }
}

/// Whether the venue's price range and smallest notional allow an order there.
fn is_allowed(px: Px, size: i64, i: &Instrument) -> bool {
    let in_range = px.0 > 0 && px >= i.px_min && (i.px_max.0 == 0 || px <= i.px_max);
    in_range && Instrument::notional(px, Qty(size)) >= i.notional_min
}
