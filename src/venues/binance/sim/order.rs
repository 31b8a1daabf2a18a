//! Orders of our account as the venue's order desk keeps them, and how it words them.

use super::json::put_str;
use super::listing::{D8, Listing, Unit};
use exchange::{OrderKind, Tif};
use std::collections::BTreeMap;
use std::io::Write;
use wire::{Px, Qty, Side, Ts};

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    New,
    PartiallyFilled,
    Filled,
    Canceled,
    Expired,
    ExpiredInMatch,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Status::New => "NEW",
            Status::PartiallyFilled => "PARTIALLY_FILLED",
            Status::Filled => "FILLED",
            Status::Canceled => "CANCELED",
            Status::Expired => "EXPIRED",
            Status::ExpiredInMatch => "EXPIRED_IN_MATCH",
        }
    }

    pub(super) fn is_open(self) -> bool {
        matches!(self, Status::New | Status::PartiallyFilled)
    }
}

/// One of our orders, open or done.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) id: u64,
    /// The id it was placed with. Order queries show it for as long as the order is known.
    pub(super) client_id: String,
    /// The id it got when it was cancelled; the cancel's own reply and event carry it as `clientOrderId`.
    pub(super) cancel_id: Option<String>,
    pub(super) side: Side,
    pub(super) kind: OrderKind,
    pub(super) tif: Tif,
    /// Zero for a market order.
    pub(super) px: Px,
    pub(super) qty: Qty,
    pub(super) cum: Qty,
    /// Quote value of the fills, at 8 decimals.
    pub(super) quote_cum: D8,
    pub(super) status: Status,
    pub(super) expiry: Option<&'static str>,
    pub(super) placed: Ts,
    pub(super) changed: Ts,
    pub(super) fills: Vec<OrderFill>,
}

/// One execution of an order.
#[derive(Clone, Copy, Debug)]
pub(super) struct OrderFill {
    pub(super) trade_id: u64,
    pub(super) px: Px,
    pub(super) qty: Qty,
    pub(super) fee: D8,
    pub(super) maker: bool,
}

/// How much a reply to `order.place` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Ack,
    Result,
    Full,
}

/// What one `executionReport` is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Execution {
    /// `NEW`, `TRADE`, `CANCELED`, `EXPIRED`, `TRADE_PREVENTION`.
    pub(super) kind: &'static str,
    /// Running number of the report.
    pub(super) id: u64,
    /// The fill, for `TRADE`.
    pub(super) fill: Option<OrderFill>,
    pub(super) ts: Ts,
}

impl Order {
    fn side_name(&self) -> &'static str {
        match self.side {
            Side::Buy => "BUY",
            Side::Sell => "SELL",
        }
    }

    fn kind_name(&self) -> &'static str {
        match self.kind {
            OrderKind::Limit => "LIMIT",
            OrderKind::Market => "MARKET",
            OrderKind::LimitMaker => "LIMIT_MAKER",
        }
    }

    fn tif_name(&self) -> &'static str {
        match self.tif {
            Tif::Gtc => "GTC",
            Tif::Ioc => "IOC",
        }
    }

    /// Which asset its fees are paid in.
    fn fee_asset<'a>(&self, listing: &'a Listing) -> &'a str {
        match self.side {
            Side::Buy => &listing.instrument.base,
            Side::Sell => &listing.instrument.quote,
        }
    }

    /// Appends the result of `order.place`.
    pub(super) fn put_placed(&self, out: &mut Vec<u8>, listing: &Listing, reply: Reply, unit: Unit) {
        let _ = write!(
            out,
            r#"{{"symbol":"{}","orderId":{},"orderListId":-1,"clientOrderId":"{}","transactTime":{}"#,
            listing.symbol(),
            self.id,
            self.client_id,
            unit.of(self.changed)
        );
        if reply != Reply::Ack {
            self.put_middle(out, listing);
            let _ = write!(out, r#","workingTime":{}"#, unit.of(self.placed));
            if let Some(reason) = self.expiry {
                let _ = write!(out, r#","expiryReason":"{reason}""#);
            }
            if reply == Reply::Full {
                out.extend_from_slice(br#","fills":["#);
                for (i, fill) in self.fills.iter().enumerate() {
                    let _ = write!(
                        out,
                        r#"{}{{"price":"{}","qty":"{}","commission":"{}","commissionAsset":"{}","tradeId":{}}}"#,
                        if i == 0 { "" } else { "," },
                        listing.px8(fill.px),
                        listing.qty8(fill.qty),
                        fill.fee,
                        self.fee_asset(listing),
                        fill.trade_id
                    );
                }
                out.push(b']');
            }
            out.extend_from_slice(br#","selfTradePreventionMode":"EXPIRE_TAKER""#);
        }
        out.push(b'}');
    }

    /// Appends the result of `order.cancel`.
    pub(super) fn put_cancelled(&self, out: &mut Vec<u8>, listing: &Listing, unit: Unit) {
        let _ = write!(
            out,
            r#"{{"symbol":"{}","origClientOrderId":"{}","orderId":{},"orderListId":-1,"clientOrderId":"{}","transactTime":{}"#,
            listing.symbol(),
            self.client_id,
            self.id,
            self.cancel_id.as_deref().unwrap_or_default(),
            unit.of(self.changed)
        );
        self.put_middle(out, listing);
        out.extend_from_slice(br#","selfTradePreventionMode":"EXPIRE_TAKER"}"#);
    }

    /// Appends the result of `order.status`.
    pub(super) fn put_status(&self, out: &mut Vec<u8>, listing: &Listing, unit: Unit) {
        let _ = write!(
            out,
            r#"{{"symbol":"{}","orderId":{},"orderListId":-1,"clientOrderId":"{}""#,
            listing.symbol(),
            self.id,
            self.client_id,
        );
        self.put_middle(out, listing);
        let _ = write!(
            out,
            concat!(
                r#","stopPrice":"0.00000000","icebergQty":"0.00000000","time":{placed},"updateTime":{changed},"#,
                r#""isWorking":true,"workingTime":{placed},"selfTradePreventionMode":"EXPIRE_TAKER"}}"#
            ),
            placed = unit.of(self.placed),
            changed = unit.of(self.changed)
        );
    }

    /// The fields that every answer about an order shares.
    fn put_middle(&self, out: &mut Vec<u8>, listing: &Listing) {
        let _ = write!(
            out,
            concat!(
                r#","price":"{}","origQty":"{}","executedQty":"{}","origQuoteOrderQty":"0.00000000","#,
                r#""cummulativeQuoteQty":"{}","status":"{}","timeInForce":"{}","type":"{}","side":"{}""#
            ),
            listing.px8(self.px),
            listing.qty8(self.qty),
            listing.qty8(self.cum),
            self.quote_cum,
            self.status.name(),
            self.tif_name(),
            self.kind_name(),
            self.side_name()
        );
    }

    /// Appends an `executionReport` about this order as it is now; `lie` is added to the quantities of a fill.
    pub(super) fn put_report(
        &self,
        out: &mut Vec<u8>,
        listing: &Listing,
        execution: &Execution,
        lie: Qty,
        unit: Unit,
    ) {
        let (shown, original) = match (&self.cancel_id, execution.kind) {
            (Some(cancel), "CANCELED") => (cancel.as_str(), self.client_id.as_str()),
            _ => (self.client_id.as_str(), ""),
        };
        let _ = write!(out, r#"{{"e":"executionReport","E":{},"s":""#, unit.of(execution.ts));
        let _ = write!(out, r#"{}","c":"#, listing.symbol());
        put_str(out, shown);
        let _ = write!(
            out,
            concat!(
                r#","S":"{}","o":"{}","f":"{}","q":"{}","p":"{}","P":"0.00000000","F":"0.00000000","g":-1,"#,
                r#""C":"{}","x":"{}","X":"{}","r":"NONE","i":{},"#
            ),
            self.side_name(),
            self.kind_name(),
            self.tif_name(),
            listing.qty8(self.qty),
            listing.px8(self.px),
            original,
            execution.kind,
            self.status.name(),
            self.id
        );
        let (last_qty, last_px, last_quote) = match &execution.fill {
            Some(fill) => (Qty(fill.qty.0 + lie.0), fill.px, listing.value8(fill.px, fill.qty)),
            None => (Qty(0), Px(0), D8(0)),
        };
        let _ = write!(
            out,
            r#""l":"{}","z":"{}","L":"{}","#,
            listing.qty8(last_qty),
            listing.qty8(Qty(self.cum.0 + lie.0)),
            listing.px8(last_px)
        );
        let (trade_id, maker) = match &execution.fill {
            Some(fill) => {
                let _ = write!(out, r#""n":"{}","N":"{}","#, fill.fee, self.fee_asset(listing));
                (fill.trade_id as i64, fill.maker)
            }
            None => {
                out.extend_from_slice(br#""n":"0","N":null,"#);
                (-1, false)
            }
        };
        let _ = write!(
            out,
            concat!(
                r#""T":{},"t":{},"I":{},"w":{},"m":{},"M":false,"O":{},"Z":"{}","Y":"{}","Q":"0.00000000","#,
                r#""W":{},"V":"EXPIRE_TAKER""#
            ),
            unit.of(execution.ts),
            trade_id,
            execution.id,
            self.status.is_open(),
            maker,
            unit.of(self.placed),
            self.quote_cum,
            last_quote,
            unit.of(self.placed)
        );
        if let (Some(reason), "EXPIRED") = (self.expiry, execution.kind) {
            let _ = write!(out, r#","eR":"{reason}""#);
        }
        out.push(b'}');
    }
}

/// All orders of the account, found by either of their identities.
#[derive(Default)]
pub(super) struct Orders {
    list: Vec<Order>,
    by_id: BTreeMap<u64, usize>,
    /// The latest order placed or cancelled under each client id.
    by_client: BTreeMap<String, usize>,
}

impl Orders {
    /// Index that the next order will have: its token in the matching engine.
    pub(super) fn next_ix(&self) -> usize {
        self.list.len()
    }

    pub(super) fn push(&mut self, order: Order) {
        let ix = self.list.len();
        self.by_id.insert(order.id, ix);
        self.by_client.insert(order.client_id.clone(), ix);
        self.list.push(order);
    }

    pub(super) fn get_mut(&mut self, ix: usize) -> Option<&mut Order> {
        self.list.get_mut(ix)
    }

    pub(super) fn get(&self, ix: usize) -> Option<&Order> {
        self.list.get(ix)
    }

    pub(super) fn by_id(&self, id: u64) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn by_client(&self, client_id: &str) -> Option<usize> {
        self.by_client.get(client_id).copied()
    }

    /// Notes the client id that a cancelled order got; an id already in use stays with its order.
    pub(super) fn renamed(&mut self, ix: usize, cancel_id: &str) {
        self.by_client.entry(cancel_id.to_string()).or_insert(ix);
    }
}
