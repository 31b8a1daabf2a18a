//! The gate: every check an order must pass, in one straight line.

#[cfg(test)]
mod tests;

use book::Top;
use wire::{BookState, Instrument, OrderType, PriceBand, Px, Qty, Side, Ts};

use crate::{LimitError, Limits, Reject, TokenBucket};

/// How far a time may lie ahead of `now`. An agent reads its clock once a cycle, and another core may stamp a
/// message a little later in the same cycle; more than this is a broken clock.
pub const TIME_AHEAD_MAX_NS: u64 = 1_000_000;

/// The order to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateOrder {
    /// Side.
    pub side: Side,
    /// Limit price, or the worst price to assume for a market order.
    pub px: Px,
    /// Quantity.
    pub qty: Qty,
    /// How it trades.
    pub kind: OrderType,
    /// Price at which the market wakes it, zero for kinds that do not wait.
    pub stop_px: Px,
    /// Receive time of what caused the intent.
    pub ts_intent: Ts,
    /// Its time to live from `ts_intent`, µs. Zero = none was given, and is refused.
    pub ttl_us: u32,
}

/// The state of the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateInputs {
    /// Time now.
    pub now: Ts,
    /// Best bid and ask.
    pub top: Top,
    /// Receive time of the newest market data of this instrument.
    pub ts_top: Ts,
    /// State of the book.
    pub book_state: BookState,
    /// Position, base mantissa at the instrument's quantity scale.
    pub position: i64,
    /// Open buy quantity, pending and unknown orders included.
    pub open_buy_qty: i64,
    /// Open sell quantity, pending and unknown orders included.
    pub open_sell_qty: i64,
    /// Open orders, pending and unknown ones included.
    pub open_orders: u32,
    /// Highest price of an own buy order that can rest; zero = none.
    pub own_bid_px: Px,
    /// Lowest price of an own sell order that can rest; zero = none.
    pub own_ask_px: Px,
    /// The kill switch is tripped.
    pub killed: bool,
    /// Trading is allowed.
    pub trading: bool,
    /// Only orders that bring the position nearer to zero are allowed.
    pub reduce_only: bool,
}

/// Gate of one instrument of one account. Some 25 ns for an order that passes (`benches/gate.rs`).
#[derive(Clone, Debug)]
pub struct Gate {
    limits: Limits,
    rules: Rules,
    rate: TokenBucket,
}

/// The venue's rules, with "not checked" already turned into bounds that always hold.
#[derive(Clone, Copy, Debug)]
struct Rules {
    trading: bool,
    tick: i64,
    px_min: i64,
    px_max: i64,
    lot: i64,
    qty_min: i64,
    qty_max: i64,
    market_lot: i64,
    market_qty_min: i64,
    market_qty_max: i64,
    band_buy: PriceBand,
    band_sell: PriceBand,
    notional_min: i128,
    open_orders_max: u32,
    data_age_max_ns: u64,
    intent_age_max_ns: u64,
}

impl Rules {
    fn new(limits: &Limits, i: &Instrument) -> Rules {
        let s = limits.spec();
        let or_max = |v: i64| if v == 0 { i64::MAX } else { v };
        let venue_orders = if i.open_orders_max == 0 { u32::MAX } else { i.open_orders_max };
        Rules {
            trading: i.trading,
            tick: i.tick.0,
            px_min: i.px_min.0.max(1),
            px_max: or_max(i.px_max.0),
            lot: i.lot.0,
            qty_min: i.qty_min.0.max(1),
            qty_max: or_max(i.qty_max.0),
            // Both rules hold for a market order: of steps the coarser is checked, the finer one is its divisor.
            market_lot: i.market_qty.step.0.max(i.lot.0),
            market_qty_min: i.market_qty.min.0.max(i.qty_min.0).max(1),
            market_qty_max: or_max(i.market_qty.max.0).min(or_max(i.qty_max.0)),
            band_buy: i.band_buy,
            band_sell: i.band_sell,
            notional_min: i.notional_min,
            open_orders_max: venue_orders.min(s.open_orders_max as u32),
            data_age_max_ns: s.data_age_max_us as u64 * 1_000,
            intent_age_max_ns: s.intent_age_max_us as u64 * 1_000,
        }
    }
}

impl Gate {
    /// A gate with a full rate budget.
    ///
    /// # Errors
    /// The instrument's tick or lot is unknown, its rules contradict themselves, or no order could satisfy rules
    /// and limits both.
    pub fn new(limits: Limits, instrument: &Instrument) -> Result<Gate, LimitError> {
        limits.check_instrument(instrument)?;
        let s = limits.spec();
        let rate = TokenBucket::new(s.order_rate_per_s as u32, s.order_burst as u32);
        Ok(Gate { rules: Rules::new(&limits, instrument), limits, rate })
    }

    /// Puts other limits or rules in force, both at once. The rate budget is not refilled by it.
    ///
    /// # Errors
    /// As [`Gate::new`]; what was in force stays in force.
    pub fn update(&mut self, limits: Limits, instrument: &Instrument) -> Result<(), LimitError> {
        limits.check_instrument(instrument)?;
        let s = limits.spec();
        self.rate = self.rate.with_rate(s.order_rate_per_s as u32, s.order_burst as u32);
        self.rules = Rules::new(&limits, instrument);
        self.limits = limits;
        Ok(())
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Judges an order. `Ok` takes one token of the order rate; a refusal takes nothing and changes nothing.
    ///
    /// Total over its inputs: no value of any field panics or wraps.
    ///
    /// # Errors
    /// The first rule broken, in the order of [`Reject::index`] from state to order to rate.
    #[inline]
    pub fn check(&mut self, order: &GateOrder, at: &GateInputs) -> Result<(), Reject> {
        self.judge(order, at, true)
    }

    /// The same; with `take` = false the token must be there and stays, so that nothing at all changes.
    ///
    /// # Errors
    /// As [`Gate::check`].
    #[inline]
    pub fn judge(&mut self, order: &GateOrder, at: &GateInputs, take: bool) -> Result<(), Reject> {
        self.check_state(order, at)?;
        self.check_rules(order)?;
        self.check_limits(order, at)?;
        if at.reduce_only {
            check_reduces(order, at)?;
        }
        check_collar(&self.limits, order, &at.top)?;
        self.check_type(order, &at.top)?;
        check_self_match(order, at)?;
        if !(if take { self.rate.take(at.now) } else { self.rate.has(at.now) }) {
            let s = self.limits.spec();
            return Err(Reject::Rate { rate_per_s: s.order_rate_per_s as u32, burst: s.order_burst as u32 });
        }
        Ok(())
    }

    /// Is anything allowed at all, and on knowledge that is fresh?
    #[inline]
    fn check_state(&self, order: &GateOrder, at: &GateInputs) -> Result<(), Reject> {
        if at.killed {
            return Err(Reject::Killed);
        }
        if !at.trading {
            return Err(Reject::TradingOff);
        }
        if !self.rules.trading {
            return Err(Reject::InstrumentOff);
        }
        if at.book_state != BookState::InSync {
            return Err(Reject::BookNotInSync { state: at.book_state });
        }
        if !at.top.is_two_sided() || at.top.crossed() {
            return Err(Reject::NoTouch { bid_px: at.top.bid_px.0, ask_px: at.top.ask_px.0 });
        }
        let ahead_ns = at.ts_top.since_ns(at.now).max(order.ts_intent.since_ns(at.now));
        if ahead_ns > TIME_AHEAD_MAX_NS {
            return Err(Reject::TimeAhead { ahead_ns, max_ns: TIME_AHEAD_MAX_NS });
        }
        let age_ns = at.now.since_ns(at.ts_top);
        if age_ns > self.rules.data_age_max_ns {
            return Err(Reject::StaleData { age_ns, max_ns: self.rules.data_age_max_ns });
        }
        let age_ns = at.now.since_ns(order.ts_intent);
        let max_ns = (order.ttl_us as u64 * 1_000).min(self.rules.intent_age_max_ns);
        if age_ns > max_ns || max_ns == 0 {
            return Err(Reject::IntentAged { age_ns, max_ns });
        }
        if at.open_buy_qty < 0 || at.open_sell_qty < 0 {
            return Err(Reject::Input { value: at.open_buy_qty.min(at.open_sell_qty) });
        }
        Ok(())
    }

    /// Would the venue take it?
    #[inline]
    fn check_rules(&self, order: &GateOrder) -> Result<(), Reject> {
        let r = &self.rules;
        let (px, qty) = (order.px.0, order.qty.0);
        if order.kind.is_market() {
            if px <= 0 {
                return Err(Reject::PxRange { px, bound: 1 });
            }
        } else {
            if px < r.px_min {
                return Err(Reject::PxRange { px, bound: r.px_min });
            }
            if px > r.px_max {
                return Err(Reject::PxRange { px, bound: r.px_max });
            }
            if px % r.tick != 0 {
                return Err(Reject::Tick { px, tick: r.tick });
            }
        }
        let (qty_min, qty_max, lot) = match order.kind.is_market() {
            false => (r.qty_min, r.qty_max, r.lot),
            true => (r.market_qty_min, r.market_qty_max, r.market_lot),
        };
        if qty < qty_min {
            return Err(Reject::QtyRange { qty, bound: qty_min });
        }
        if qty > qty_max {
            return Err(Reject::QtyRange { qty, bound: qty_max });
        }
        if qty % lot != 0 {
            return Err(Reject::Lot { qty, lot });
        }
        let notional = Instrument::notional(order.px, order.qty);
        if notional < r.notional_min {
            return Err(Reject::NotionalMin { notional, min: r.notional_min });
        }
        Ok(())
    }

    /// What its type asks for beyond price and quantity. Px, bid and ask are positive and within the collar here.
    #[inline]
    fn check_type(&self, order: &GateOrder, top: &Top) -> Result<(), Reject> {
        match order.kind {
            OrderType::StopLimit | OrderType::TakeProfitLimit => self.check_stop(order, top)?,
            _ if order.stop_px.0 != 0 => {
                return Err(Reject::StopLimit { px: order.stop_px.0, max_bps: 0 });
            }
            OrderType::PostOnly => {
                let (touch_px, crosses) = match order.side {
                    Side::Buy => (top.ask_px.0, order.px >= top.ask_px),
                    Side::Sell => (top.bid_px.0, order.px <= top.bid_px),
                };
                if crosses {
                    return Err(Reject::WouldCross { px: order.px.0, touch_px });
                }
            }
            _ => {}
        }
        let band = match order.side {
            Side::Buy => &self.rules.band_buy,
            Side::Sell => &self.rules.band_sell,
        };
        if order.kind.is_market() || (band.up | band.down) == 0 {
            return Ok(());
        }
        // All factors are below 2^63 and prices too: products fit. The middle stands for the venue's average price,
        // which has the last word.
        let px = 2 * order.px.0 as i128 * PriceBand::ONE as i128;
        let mid_twice = top.bid_px.0 as i128 + top.ask_px.0 as i128;
        for (factor, breaks) in
            [(band.up, px > mid_twice * band.up as i128), (band.down, px < mid_twice * band.down as i128)]
        {
            if factor != 0 && breaks {
                return Err(Reject::PriceBand { px: order.px.0, factor });
            }
        }
        Ok(())
    }

    /// Is the stop price one that the venue takes, beyond the market, and near the limit price that it wakes?
    #[cold]
    fn check_stop(&self, order: &GateOrder, top: &Top) -> Result<(), Reject> {
        let (r, stop) = (&self.rules, order.stop_px.0);
        if stop < r.px_min {
            return Err(Reject::PxRange { px: stop, bound: r.px_min });
        }
        if stop > r.px_max {
            return Err(Reject::PxRange { px: stop, bound: r.px_max });
        }
        if stop % r.tick != 0 {
            return Err(Reject::Tick { px: stop, tick: r.tick });
        }
        let above = (order.kind == OrderType::StopLimit) == (order.side == Side::Buy);
        let (touch_px, beyond) = match above {
            true => (top.ask_px.0, stop > top.ask_px.0),
            false => (top.bid_px.0, stop < top.bid_px.0),
        };
        if !beyond {
            return Err(Reject::StopSide { px: stop, touch_px });
        }
        let max_bps = self.limits.spec().collar_touch_bps;
        let through = order.side.sign() as i128 * (order.px.0 as i128 - stop as i128);
        if through * 10_000 > stop as i128 * max_bps as i128 {
            return Err(Reject::StopLimit { px: stop, max_bps });
        }
        Ok(())
    }

    /// Do we want it? Px and qty are positive here.
    #[inline]
    fn check_limits(&self, order: &GateOrder, at: &GateInputs) -> Result<(), Reject> {
        let s = self.limits.spec();
        if order.qty.0 > s.order_qty_max {
            return Err(Reject::OrderQty { qty: order.qty.0, max: s.order_qty_max });
        }
        // A buy costs at most its price; a sell below the bid fetches the bid.
        let px = match order.side {
            Side::Buy => order.px,
            Side::Sell => order.px.max(at.top.bid_px),
        };
        let notional = Instrument::notional(px, order.qty);
        if notional > s.order_notional_max {
            return Err(Reject::OrderNotional { notional, max: s.order_notional_max });
        }
        // Sums of three i64 in i128 cannot wrap.
        let (worst, size) = match order.side {
            Side::Buy => {
                let worst = at.position as i128 + at.open_buy_qty as i128 + order.qty.0 as i128;
                (worst, worst)
            }
            Side::Sell => {
                let worst = at.position as i128 - at.open_sell_qty as i128 - order.qty.0 as i128;
                (worst, -worst)
            }
        };
        // `size` is the position in the direction of the order: an order that only reduces has it at or below
        // zero, and always passes.
        if size > s.position_max as i128 {
            return Err(Reject::Position { position: worst, max: s.position_max });
        }
        // `size` is within i64 by now: at most `position_max`, and at least `-i64::MAX - 1`, as open quantities are
        // not negative. So the product fits.
        let notional = size * at.top.ask_px.max(order.px).0 as i128;
        if notional > s.position_notional_max {
            return Err(Reject::PositionNotional { notional, max: s.position_notional_max });
        }
        if at.open_orders >= self.rules.open_orders_max {
            return Err(Reject::OpenOrders {
                open: at.open_orders.saturating_add(1),
                max: self.rules.open_orders_max,
            });
        }
        Ok(())
    }
}

/// Is the price sane? Px, bid and ask are positive here, so nothing below wraps: all are below 2^64 × 2^15.
#[inline]
fn check_collar(limits: &Limits, order: &GateOrder, top: &Top) -> Result<(), Reject> {
    let s = limits.spec();
    let px = order.px.0 as i128;
    let mid_twice = top.bid_px.0 as i128 + top.ask_px.0 as i128;
    if (2 * px - mid_twice).abs() * 10_000 > mid_twice * s.collar_mid_bps as i128 {
        return Err(Reject::CollarMid { px: order.px.0, max_bps: s.collar_mid_bps });
    }
    if order.kind.has_stop() {
        return Ok(()); // it is the stop price that its price may not reach through
    }
    let (through, touch) = match order.side {
        Side::Buy => (px - top.ask_px.0 as i128, top.ask_px.0 as i128),
        Side::Sell => (top.bid_px.0 as i128 - px, top.bid_px.0 as i128),
    };
    if through * 10_000 > touch * s.collar_touch_bps as i128 {
        return Err(Reject::CollarTouch { px: order.px.0, max_bps: s.collar_touch_bps });
    }
    Ok(())
}

/// Does it bring the position nearer to zero, and not past it, with every open order of its side filled before?
#[cold]
fn check_reduces(order: &GateOrder, at: &GateInputs) -> Result<(), Reject> {
    // Sums of three i64 in i128 cannot wrap.
    let (position, qty) = (at.position as i128, order.qty.0 as i128);
    let (after, reduces) = match order.side {
        Side::Buy => {
            let after = position + at.open_buy_qty as i128 + qty;
            (after, after <= 0)
        }
        Side::Sell => {
            let after = position - at.open_sell_qty as i128 - qty;
            (after, after >= 0)
        }
    };
    if reduces { Ok(()) } else { Err(Reject::ReduceOnly { position: after }) }
}

/// Could it meet an own order?
#[inline]
fn check_self_match(order: &GateOrder, at: &GateInputs) -> Result<(), Reject> {
    let (own, meets) = match order.side {
        Side::Buy => (at.own_ask_px.0, order.px.0 >= at.own_ask_px.0),
        Side::Sell => (at.own_bid_px.0, order.px.0 <= at.own_bid_px.0),
    };
    if own > 0 && meets {
        return Err(Reject::SelfMatch { px: order.px.0, own_px: own });
    }
    Ok(())
}
