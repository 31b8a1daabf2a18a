//! What the tests trade, and short ways to say it.

use corelane_exchange::*;
use wire::*;

/// One whole unit of an amount: 8 decimals.
pub(crate) const UNIT: i128 = 100_000_000;

/// Prices of 2 decimals on a tick of 0.01, quantities of 4 decimals on a lot of 0.0001: so `px 100.00 × qty
/// 1.0000` is `Px(100_00)`, `Qty(1_0000)`.
pub(crate) fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId(0),
        venue: VenueId(0),
        symbol: "ABCUSD".into(),
        base: "ABC".into(),
        quote: "USD".into(),
        base_id: AssetId(0),
        quote_id: AssetId(1),
        px_decimals: 2,
        qty_decimals: 4,
        quote_decimals: 8,
        tick: Px(1),
        px_min: Px(1),
        px_max: Px(1_000_000_00),
        lot: Qty(1),
        qty_min: Qty(1),
        qty_max: Qty(1_000_000_0000),
        notional_min: 0,
        open_orders_max: 200,
        market_qty: Default::default(),
        band_buy: Default::default(),
        band_sell: Default::default(),
        trading: true,
    }
}

/// Fees of 0.1 % resting and 0.2 % arriving.
pub(crate) const FEES: Fees = Fees { maker_ppm: 1_000, taker_ppm: 2_000 };

pub(crate) fn exchange_with(instrument: Instrument) -> Exchange {
    Exchange::new(ExchangeConfig { instrument, fees: FEES }).expect("a valid configuration")
}

pub(crate) fn limit(side: Side, px: i64, qty: i64) -> Submit {
    Submit { token: 7, ..Submit::limit(side, Px(px), Qty(qty)) }
}

pub(crate) fn ioc(side: Side, px: i64, qty: i64) -> Submit {
    Submit { tif: Tif::Ioc, ..limit(side, px, qty) }
}

pub(crate) fn maker(side: Side, px: i64, qty: i64) -> Submit {
    Submit { kind: OrderKind::LimitMaker, ..limit(side, px, qty) }
}

pub(crate) fn market(side: Side, qty: i64) -> Submit {
    Submit { kind: OrderKind::Market, ..limit(side, 0, qty) }
}

/// `(px, qty, taker order, maker order, taker fee, maker fee)` of every trade.
pub(crate) fn trades(events: &[ExEvent]) -> Vec<(i64, i64, u64, u64, i64, i64)> {
    let trade = |e: &ExEvent| match e {
        ExEvent::Trade { px, qty, taker, maker, .. } => {
            Some((px.0, qty.0, taker.id.0, maker.id.0, taker.fee, maker.fee))
        }
        _ => None,
    };
    events.iter().filter_map(trade).collect()
}

/// `(order, cum, reason)` of every expiry.
pub(crate) fn expiries(events: &[ExEvent]) -> Vec<(u64, i64, ExpireReason)> {
    let expiry = |e: &ExEvent| match e {
        ExEvent::Expired { id, cum, reason, .. } => Some((id.0, cum.0, *reason)),
        _ => None,
    };
    events.iter().filter_map(expiry).collect()
}

/// `(update id, side, px, total)` of every level change.
pub(crate) fn level_events(events: &[ExEvent]) -> Vec<(u64, Side, i64, i64)> {
    let level = |e: &ExEvent| match e {
        ExEvent::Level { update_id, side, px, qty_total } => Some((*update_id, *side, px.0, qty_total.0)),
        _ => None,
    };
    events.iter().filter_map(level).collect()
}

/// Free base, locked base, free quote, locked quote.
pub(crate) fn four(b: Balances) -> [i128; 4] {
    [b.base_free, b.base_locked, b.quote_free, b.quote_locked]
}

/// A small generator for random traffic.
pub(crate) struct Lcg(pub(crate) u64);

impl Lcg {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    pub(crate) fn side(&mut self) -> Side {
        if self.below(2) == 0 { Side::Buy } else { Side::Sell }
    }
}
