//! The account's own events: what the market did to our orders, and what the client is told of it.

use super::listing::D8;
use super::order::{Execution, OrderFill, Prevented, Status};
use super::{BinanceSim, Outbox};
use exchange::{ExEvent, ExpireReason, Party, Stp};
use std::io::Write;
use wire::{Qty, Ts};

impl BinanceSim {
    /// What an event of the market means for our orders; tells the account about it.
    pub(super) fn on_account_event(&mut self, event: &ExEvent, out: &mut Outbox) {
        match event {
            ExEvent::Accepted { account, token, ts, .. } if *account == self.account => {
                self.report(*token, "NEW", None, *ts, out);
            }
            ExEvent::Trade { trade_id, px, qty, taker, maker, ts, .. } => {
                for (party, rested) in [(taker, false), (maker, true)] {
                    if party.account == self.account {
                        let (id, fee) = (*trade_id, D8(party.fee as i128));
                        let fill =
                            OrderFill { trade_id: id, px: *px, qty: *qty, fee, maker: rested, ts: *ts };
                        self.on_fill(party, fill, *ts, out);
                    }
                }
            }
            ExEvent::Cancelled { account, token, ts, .. } if *account == self.account => {
                self.cancels += 1;
                self.end(*token, Status::Canceled, None, *ts);
                self.report(*token, "CANCELED", None, *ts, out);
            }
            ExEvent::Expired { account, token, reason, ts, .. } if *account == self.account => {
                let (status, kind, reason) = match reason {
                    ExpireReason::ImmediateOrCancel => {
                        (Status::Expired, "EXPIRED", Some("UNFILLED_IOC_QUANTITY_EXPIRED"))
                    }
                    ExpireReason::FillOrKill => {
                        (Status::Expired, "EXPIRED", Some("UNFILLED_FOK_ORDER_EXPIRED"))
                    }
                    ExpireReason::NoLiquidity => (Status::Expired, "EXPIRED", Some("INSUFFICIENT_LIQUIDITY")),
                    ExpireReason::PairDone => (Status::Expired, "EXPIRED", Some("OCO_TRIGGER")),
                    ExpireReason::Rejected => (Status::Expired, "EXPIRED", Some("REJECTED")),
                    ExpireReason::SelfTrade => (Status::ExpiredInMatch, "TRADE_PREVENTION", None),
                };
                self.end(*token, status, reason, *ts);
                self.report(*token, kind, None, *ts, out);
            }
            // The venue does not say what it tells when a stop price is reached: a second NEW here, now on the book.
            ExEvent::Triggered { account, token, ts, .. } if *account == self.account => {
                if let Some(order) = self.orders.get_mut(*token as usize) {
                    order.working = Some(*ts);
                    order.changed = *ts;
                }
                self.report(*token, "NEW", None, *ts, out);
            }
            ExEvent::Prevented { account, .. } if *account == self.account => self.on_prevented(event),
            _ => {}
        }
    }

    /// Notes a prevented self-trade with both orders; that they expire is said by what follows.
    fn on_prevented(&mut self, event: &ExEvent) {
        let ExEvent::Prevented {
            match_id,
            taker_token,
            maker_token,
            px,
            taker_leaves,
            maker_leaves,
            mode,
            ts,
            ..
        } = event
        else {
            return;
        };
        let tokens = [*taker_token as usize, *maker_token as usize];
        let [taker, maker] = tokens.map(|token| self.orders.get(token).map_or(0, |o| o.id));
        let prevented = Prevented {
            id: *match_id,
            taker,
            maker,
            px: *px,
            mode: *mode,
            taker_qty: (*mode != Stp::ExpireMaker).then_some(*taker_leaves),
            maker_qty: (*mode != Stp::ExpireTaker).then_some(*maker_leaves),
            ts: *ts,
        };
        for token in tokens {
            if let Some(order) = self.orders.get_mut(token) {
                order.prevented.push(prevented);
            }
        }
    }

    fn on_fill(&mut self, party: &Party, fill: OrderFill, ts: Ts, out: &mut Outbox) {
        self.fills += 1;
        let value = self.listing.value8(fill.px, fill.qty);
        let Some(order) = self.orders.get_mut(party.token as usize) else { return };
        if order.fills.is_empty() {
            self.rates.first_fill(ts, fill.maker);
        }
        order.cum = party.cum;
        order.quote_cum.0 += value.0;
        order.changed = ts;
        order.status = if party.leaves.0 == 0 { Status::Filled } else { Status::PartiallyFilled };
        order.fills.push(fill);
        self.report(party.token, "TRADE", Some(fill), ts, out);
    }

    fn end(&mut self, token: u64, status: Status, expiry: Option<&'static str>, ts: Ts) {
        if let Some(order) = self.orders.get_mut(token as usize) {
            order.status = status;
            order.expiry = expiry;
            order.changed = ts;
        }
    }

    fn report(&mut self, token: u64, kind: &'static str, fill: Option<OrderFill>, ts: Ts, out: &mut Outbox) {
        self.account_changed_at = ts;
        self.account_changed = true;
        self.executions += 1;
        let Some(order) = self.orders.get(token as usize) else { return };
        let lie = match fill {
            Some(_) if self.faults.corrupts_fill() => self.listing.instrument.lot.max(Qty(1)),
            _ => Qty(0),
        };
        let execution = Execution { kind, id: self.executions, fill, ts };
        let copies = self.faults.report_copies();
        self.stream.report(&self.faults, &self.conns, copies, ts, out, |payload, unit| {
            order.put_report(payload, &self.listing, &execution, lie, unit);
        });
    }

    /// Tells the account its balances when they may have changed.
    pub(super) fn tell_position(&mut self, out: &mut Outbox) {
        if !std::mem::take(&mut self.account_changed) {
            return;
        }
        let assets = self.assets().map(|(asset, free, locked)| (asset.to_string(), free, locked));
        let at = self.account_changed_at;
        self.stream.tell(&self.faults, &self.conns, 1, at, out, |payload, unit| {
            let _ = write!(
                payload,
                r#"{{"e":"outboundAccountPosition","E":{at},"u":{at},"B":["#,
                at = unit.of(at)
            );
            for (i, (asset, free, locked)) in assets.iter().enumerate() {
                let comma = if i == 0 { "" } else { "," };
                let _ = write!(payload, r#"{comma}{{"a":"{asset}","f":"{free}","l":"{locked}"}}"#);
            }
            payload.extend_from_slice(b"]}");
        });
    }
}
