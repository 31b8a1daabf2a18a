//! How the venue words an order: replies, queries, reports.

use super::json::put_str;
use super::listing::{D8, Listing, Unit};
use super::order::{Execution, Order, Prevented, Reply, stp_name};
use std::io::Write;
use wire::{Px, Qty};

impl Order {
    fn list_id(&self) -> i64 {
        self.list.map_or(-1, |id| id as i64)
    }

    /// Appends the result of `order.place`.
    pub(super) fn put_placed(&self, out: &mut Vec<u8>, listing: &Listing, reply: Reply, unit: Unit) {
        let _ = write!(
            out,
            r#"{{"symbol":"{}","orderId":{},"orderListId":{},"clientOrderId":"{}","transactTime":{}"#,
            listing.symbol(),
            self.id,
            self.list_id(),
            self.client_id,
            unit.of(self.changed)
        );
        if reply != Reply::Ack {
            self.put_middle(out, listing);
            self.put_set(out, listing);
            match self.working {
                Some(working) => {
                    let _ = write!(out, r#","workingTime":{}"#, unit.of(working));
                }
                None => out.extend_from_slice(br#","workingTime":-1"#),
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
            if !self.prevented.is_empty() {
                out.extend_from_slice(br#","preventedMatches":["#);
                for (i, prevented) in self.prevented.iter().enumerate() {
                    let _ = write!(
                        out,
                        r#"{}{{"preventedMatchId":{},"makerOrderId":{},"price":"{}""#,
                        if i == 0 { "" } else { "," },
                        prevented.id,
                        prevented.maker,
                        listing.px8(prevented.px)
                    );
                    prevented.put_quantities(out, listing);
                    out.push(b'}');
                }
                out.push(b']');
            }
            self.put_stp(out, listing);
        }
        out.push(b'}');
    }

    /// Appends the result of `order.cancel`.
    pub(super) fn put_cancelled(&self, out: &mut Vec<u8>, listing: &Listing, unit: Unit) {
        let _ = write!(
            out,
            r#"{{"symbol":"{}","origClientOrderId":"{}","orderId":{},"orderListId":{},"clientOrderId":"{}","transactTime":{}"#,
            listing.symbol(),
            self.client_id,
            self.id,
            self.list_id(),
            self.cancel_id.as_deref().unwrap_or_default(),
            unit.of(self.changed)
        );
        self.put_middle(out, listing);
        self.put_set(out, listing);
        self.put_stp(out, listing);
        out.push(b'}');
    }

    /// Appends the result of `order.status`.
    pub(super) fn put_status(&self, out: &mut Vec<u8>, listing: &Listing, unit: Unit) {
        let _ = write!(
            out,
            r#"{{"symbol":"{}","orderId":{},"orderListId":{},"clientOrderId":"{}""#,
            listing.symbol(),
            self.id,
            self.list_id(),
            self.client_id,
        );
        self.put_middle(out, listing);
        let _ = write!(
            out,
            concat!(
                r#","stopPrice":"{}","icebergQty":"0.00000000","time":{},"updateTime":{},"isWorking":{},"#,
                r#""workingTime":{}"#
            ),
            listing.px8(self.trigger.map_or(Px(0), |t| t.px)),
            unit.of(self.placed),
            unit.of(self.changed),
            self.working.is_some(),
            self.working.map_or(-1, |working| unit.of(working) as i64)
        );
        self.put_strategy(out);
        self.put_stp(out, listing);
        out.push(b'}');
    }

    /// The fields that every answer about an order shares.
    fn put_middle(&self, out: &mut Vec<u8>, listing: &Listing) {
        let _ = write!(
            out,
            concat!(
                r#","price":"{}","origQty":"{}","executedQty":"{}","origQuoteOrderQty":"{}","#,
                r#""cummulativeQuoteQty":"{}","status":"{}","timeInForce":"{}","type":"{}","side":"{}""#
            ),
            listing.px8(self.px),
            listing.qty8(self.qty),
            listing.qty8(self.cum),
            self.quote_qty,
            self.quote_cum,
            self.status.name(),
            self.tif_name(),
            self.kind_name(),
            self.side_name()
        );
    }

    /// The fields that are there only for an order that sets them.
    fn put_set(&self, out: &mut Vec<u8>, listing: &Listing) {
        if let Some(trigger) = self.trigger {
            let _ = write!(out, r#","stopPrice":"{}""#, listing.px8(trigger.px));
        }
        self.put_strategy(out);
    }

    fn put_strategy(&self, out: &mut Vec<u8>) {
        for (name, value) in [("strategyId", self.strategy[0]), ("strategyType", self.strategy[1])] {
            if let Some(value) = value {
                let _ = write!(out, r#","{name}":{value}"#);
            }
        }
    }

    /// Self-trade prevention, and why the order ended if it has expired.
    fn put_stp(&self, out: &mut Vec<u8>, listing: &Listing) {
        let _ = write!(out, r#","selfTradePreventionMode":"{}""#, stp_name(self.stp));
        if let Some((prevented, qty)) = self.ended_by_prevention() {
            let (id, qty) = (prevented.id, listing.qty8(qty));
            let _ = write!(out, r#","preventedMatchId":{id},"preventedQuantity":"{qty}""#);
        }
        if let Some(reason) = self.expiry {
            let _ = write!(out, r#","expiryReason":"{reason}""#);
        }
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
                r#","S":"{}","o":"{}","f":"{}","q":"{}","p":"{}","P":"{}","F":"0.00000000","g":{},"#,
                r#""C":"{}","x":"{}","X":"{}","r":"NONE","i":{},"#
            ),
            self.side_name(),
            self.kind_name(),
            self.tif_name(),
            listing.qty8(self.qty),
            listing.px8(self.px),
            listing.px8(self.trigger.map_or(Px(0), |t| t.px)),
            self.list_id(),
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
        let _ = write!(out, r#""T":{},"t":{trade_id},"#, unit.of(execution.ts));
        let prevented = self.ended_by_prevention().filter(|_| execution.kind == "TRADE_PREVENTION");
        if let Some((prevented, qty)) = prevented {
            let counter = if prevented.taker == self.id { prevented.maker } else { prevented.taker };
            let _ = write!(
                out,
                concat!(
                    r#""v":{},"A":"{qty}","B":"{qty}","u":-1,"U":{counter},"Cs":"{}","pl":"{qty}","pL":"{}","#,
                    r#""pY":"{}","#
                ),
                prevented.id,
                listing.symbol(),
                listing.px8(prevented.px),
                listing.value8(prevented.px, qty),
                qty = listing.qty8(qty),
                counter = counter,
            );
        }
        let _ = write!(
            out,
            r#""I":{},"w":{},"m":{},"M":false,"O":{},"Z":"{}","Y":"{}","Q":"{}","#,
            execution.id,
            self.status.is_open() && self.working.is_some(),
            maker,
            unit.of(self.placed),
            self.quote_cum,
            last_quote,
            self.quote_qty
        );
        if let Some(working) = self.working {
            let _ = write!(out, r#""W":{},"#, unit.of(working));
        }
        let _ = write!(out, r#""V":"{}""#, stp_name(self.stp));
        for (name, value) in [("j", self.strategy[0]), ("J", self.strategy[1])] {
            if let Some(value) = value {
                let _ = write!(out, r#","{name}":{value}"#);
            }
        }
        if let (Some(reason), "EXPIRED") = (self.expiry, execution.kind) {
            let _ = write!(out, r#","eR":"{reason}""#);
        }
        out.push(b'}');
    }

    /// Appends one row of `myTrades`.
    pub(super) fn put_trade(
        &self,
        out: &mut Vec<u8>,
        listing: &Listing,
        fill: &super::order::OrderFill,
        unit: Unit,
    ) {
        let _ = write!(
            out,
            concat!(
                r#"{{"symbol":"{}","id":{},"orderId":{},"orderListId":{},"price":"{}","qty":"{}","quoteQty":"{}","#,
                r#""commission":"{}","commissionAsset":"{}","time":{},"isBuyer":{},"isMaker":{},"isBestMatch":true}}"#
            ),
            listing.symbol(),
            fill.trade_id,
            self.id,
            self.list_id(),
            listing.px8(fill.px),
            listing.qty8(fill.qty),
            listing.value8(fill.px, fill.qty),
            fill.fee,
            self.fee_asset(listing),
            unit.of(fill.ts),
            self.side == wire::Side::Buy,
            fill.maker
        );
    }
}

impl Prevented {
    fn put_quantities(&self, out: &mut Vec<u8>, listing: &Listing) {
        for (name, qty) in
            [("takerPreventedQuantity", self.taker_qty), ("makerPreventedQuantity", self.maker_qty)]
        {
            if let Some(qty) = qty {
                let _ = write!(out, r#","{name}":"{}""#, listing.qty8(qty));
            }
        }
    }

    /// Appends one row of `myPreventedMatches`.
    pub(super) fn put(&self, out: &mut Vec<u8>, listing: &Listing, unit: Unit) {
        let _ = write!(
            out,
            concat!(
                r#"{{"symbol":"{symbol}","preventedMatchId":{},"takerOrderId":{},"makerSymbol":"{symbol}","#,
                r#""makerOrderId":{},"tradeGroupId":-1,"selfTradePreventionMode":"{}","price":"{}""#
            ),
            self.id,
            self.taker,
            self.maker,
            stp_name(self.mode),
            listing.px8(self.px),
            symbol = listing.symbol(),
        );
        self.put_quantities(out, listing);
        let _ = write!(out, r#","transactTime":{}}}"#, unit.of(self.ts));
    }
}
