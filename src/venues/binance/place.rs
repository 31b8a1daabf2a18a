//! What a request that places orders says of them. Names in sorted order, as the signature wants them.

use venue::NewOrder;
use wire::{Instrument, OrderType, Side, Ts};

use crate::orders::{Draft, RECV_WINDOW};

/// What the venue does when an order of ours would meet another of ours (`faqs/stp_faq.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTrade {
    /// They trade.
    None,
    /// The one that takes expires.
    ExpireTaker,
    /// The one that rests expires.
    ExpireMaker,
    /// Both expire.
    ExpireBoth,
    /// Both shrink by what would have traded.
    Decrement,
}

impl SelfTrade {
    /// Every mode.
    pub const ALL: [SelfTrade; 5] = [
        SelfTrade::None,
        SelfTrade::ExpireTaker,
        SelfTrade::ExpireMaker,
        SelfTrade::ExpireBoth,
        SelfTrade::Decrement,
    ];

    /// As the venue writes it.
    pub const fn name(self) -> &'static str {
        match self {
            SelfTrade::None => "NONE",
            SelfTrade::ExpireTaker => "EXPIRE_TAKER",
            SelfTrade::ExpireMaker => "EXPIRE_MAKER",
            SelfTrade::ExpireBoth => "EXPIRE_BOTH",
            SelfTrade::Decrement => "DECREMENT",
        }
    }

    /// The mode that the venue writes so.
    pub fn from_name(name: &str) -> Option<SelfTrade> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// `recvWindow`, self-trade prevention and side.
#[inline]
fn common(d: &mut Draft<'_>, side: Side, self_trade: Option<SelfTrade>) {
    d.names(r#","recvWindow":"#, "&recvWindow=");
    d.value(RECV_WINDOW.as_bytes());
    if let Some(mode) = self_trade {
        d.names(r#","selfTradePreventionMode":""#, "&selfTradePreventionMode=");
        d.value(mode.name().as_bytes());
        d.names(r#"""#, "");
    }
    match side {
        Side::Buy => d.names(r#","side":"BUY""#, "&side=BUY"),
        Side::Sell => d.names(r#","side":"SELL""#, "&side=SELL"),
    }
}

/// One order, from `newClientOrderId` on.
#[inline]
pub(crate) fn order(
    d: &mut Draft<'_>,
    order: &NewOrder,
    id: &[u8],
    self_trade: Option<SelfTrade>,
    i: &Instrument,
    now: Ts,
) {
    d.names(r#","newClientOrderId":""#, "&newClientOrderId=");
    d.value(id);
    if order.kind.is_market() {
        d.names(r#"","newOrderRespType":"ACK","quantity":""#, "&newOrderRespType=ACK&quantity=");
    } else {
        d.names(r#"","newOrderRespType":"ACK","price":""#, "&newOrderRespType=ACK&price=");
        d.decimal(order.px.0, i.px_decimals);
        d.names(r#"","quantity":""#, "&quantity=");
    }
    d.decimal(order.qty.0, i.qty_decimals);
    d.names(r#"""#, "");
    common(d, order.side, self_trade);
    if order.kind.has_stop() {
        d.names(r#","stopPrice":""#, "&stopPrice=");
        d.decimal(order.stop_px.0, i.px_decimals);
        d.names(r#"""#, "");
    }
    d.names(r#","symbol":""#, "&symbol=");
    d.value(i.symbol.as_bytes());
    match order.kind {
        OrderType::Market | OrderType::PostOnly => d.names(r#"""#, ""),
        OrderType::Ioc => d.names(r#"","timeInForce":"IOC""#, "&timeInForce=IOC"),
        OrderType::Fok => d.names(r#"","timeInForce":"FOK""#, "&timeInForce=FOK"),
        OrderType::Limit | OrderType::StopLimit | OrderType::TakeProfitLimit => {
            d.names(r#"","timeInForce":"GTC""#, "&timeInForce=GTC");
        }
    }
    d.timestamp(now);
    match order.kind {
        OrderType::Limit | OrderType::Ioc | OrderType::Fok => d.names(r#","type":"LIMIT""#, "&type=LIMIT"),
        OrderType::Market => d.names(r#","type":"MARKET""#, "&type=MARKET"),
        OrderType::PostOnly => d.names(r#","type":"LIMIT_MAKER""#, "&type=LIMIT_MAKER"),
        OrderType::StopLimit => d.names(r#","type":"STOP_LOSS_LIMIT""#, "&type=STOP_LOSS_LIMIT"),
        OrderType::TakeProfitLimit => d.names(r#","type":"TAKE_PROFIT_LIMIT""#, "&type=TAKE_PROFIT_LIMIT"),
    }
}

/// A pair, whole: the post-only order is above the market for a sell, below it for a buy.
pub(crate) fn pair(
    d: &mut Draft<'_>,
    first: &NewOrder,
    second: &NewOrder,
    key: Option<&[u8]>,
    self_trade: Option<SelfTrade>,
    i: &Instrument,
    now: Ts,
) {
    let (above, below) = match first.side {
        Side::Sell => (first, second),
        Side::Buy => (second, first),
    };
    d.names(r#"","params":{"aboveClientOrderId":""#, "aboveClientOrderId=");
    d.value(&above.id.text());
    d.names(r#"","abovePrice":""#, "&abovePrice=");
    d.decimal(above.px.0, i.px_decimals);
    if above.kind.has_stop() {
        d.names(r#"","aboveStopPrice":""#, "&aboveStopPrice=");
        d.decimal(above.stop_px.0, i.px_decimals);
        d.names(r#"","aboveTimeInForce":"GTC"#, "&aboveTimeInForce=GTC");
        d.names(r#"","aboveType":"STOP_LOSS_LIMIT"#, "&aboveType=STOP_LOSS_LIMIT");
    } else {
        d.names(r#"","aboveType":"LIMIT_MAKER"#, "&aboveType=LIMIT_MAKER");
    }
    if let Some(key) = key {
        d.names(r#"","apiKey":""#, "&apiKey=");
        d.value(key);
    }
    d.names(r#"","belowClientOrderId":""#, "&belowClientOrderId=");
    d.value(&below.id.text());
    d.names(r#"","belowPrice":""#, "&belowPrice=");
    d.decimal(below.px.0, i.px_decimals);
    if below.kind.has_stop() {
        d.names(r#"","belowStopPrice":""#, "&belowStopPrice=");
        d.decimal(below.stop_px.0, i.px_decimals);
        d.names(r#"","belowTimeInForce":"GTC"#, "&belowTimeInForce=GTC");
        d.names(r#"","belowType":"STOP_LOSS_LIMIT""#, "&belowType=STOP_LOSS_LIMIT");
    } else {
        d.names(r#"","belowType":"LIMIT_MAKER""#, "&belowType=LIMIT_MAKER");
    }
    d.names(r#","newOrderRespType":"ACK","quantity":""#, "&newOrderRespType=ACK&quantity=");
    d.decimal(first.qty.0, i.qty_decimals);
    d.names(r#"""#, "");
    common(d, first.side, self_trade);
    d.names(r#","symbol":""#, "&symbol=");
    d.value(i.symbol.as_bytes());
    d.names(r#"""#, "");
    d.timestamp(now);
}
