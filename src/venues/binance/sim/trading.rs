//! The order desk: placing, cancelling and asking.

use super::listing::{D8, Unit};
use super::order::{Order, Reply, Status};
use super::params::Params;
use super::reject::Reject;
use super::{BinanceSim, Outbox};
use exchange::{ExOrderId, ExReject, OrderKind, Submit, Tif};
use std::io::Write;
use wire::{Px, Qty, Side, Ts};

impl BinanceSim {
    /// `order.place`.
    pub(super) fn place(
        &mut self,
        params: &mut Params,
        unit: Unit,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        let (submit, reply) = self.read_order(params)?;
        let client_id = match params.client_id("newClientOrderId")? {
            Some(id) => id,
            None => self.new_client_id(),
        };
        params.all_read()?;
        self.rates.take_order(now)?;
        let taken = self.orders.by_client(&client_id).and_then(|ix| self.orders.get(ix));
        if taken.is_some_and(|o| o.status.is_open() && o.client_id == client_id) {
            return Err(Reject::DUPLICATE_ORDER);
        }
        let mut events = std::mem::take(&mut self.events);
        let ix = self.orders.next_ix();
        let submit = Submit { token: ix as u64, ..submit };
        let submitted = self.market.submit(now, self.account, submit, &mut events);
        let id = match submitted {
            Ok(id) => id,
            Err(error) => {
                self.events = events;
                return Err(refusal(error));
            }
        };
        self.orders.push(Order {
            id: id.0,
            client_id,
            cancel_id: None,
            side: submit.side,
            kind: submit.kind,
            tif: submit.tif,
            px: submit.px,
            qty: submit.qty,
            cum: Qty(0),
            quote_cum: D8(0),
            status: Status::New,
            expiry: None,
            placed: now,
            changed: now,
            fills: Vec::new(),
        });
        self.apply(&mut events, now, out);
        self.events = events;
        let mut result = Vec::with_capacity(640);
        if let Some(order) = self.orders.get(ix) {
            order.put_placed(&mut result, &self.listing, reply, unit);
        }
        Ok(result)
    }

    /// Side, type, price and quantity of a new order, and how much its reply shall say.
    fn read_order(&self, params: &mut Params) -> Result<(Submit, Reply), Reject> {
        let side = match params.need("side")? {
            "BUY" => Side::Buy,
            "SELL" => Side::Sell,
            _ => return Err(Reject::SIDE),
        };
        let kind = match params.need("type")? {
            "LIMIT" => OrderKind::Limit,
            "LIMIT_MAKER" => OrderKind::LimitMaker,
            "MARKET" => OrderKind::Market,
            "STOP_LOSS" => return Err(Reject::unsupported_order("Stop loss orders")),
            "STOP_LOSS_LIMIT" => return Err(Reject::unsupported_order("Stop loss limit orders")),
            "TAKE_PROFIT" => return Err(Reject::unsupported_order("Take profit orders")),
            "TAKE_PROFIT_LIMIT" => return Err(Reject::unsupported_order("Take profit limit orders")),
            _ => return Err(Reject::ORDER_TYPE),
        };
        if kind == OrderKind::Market && params.take("quoteOrderQty").is_some() {
            return Err(Reject::unsupported_order("Quote order qty market orders"));
        }
        if params.take("icebergQty").is_some() {
            return Err(Reject::unsupported_order("Iceberg orders"));
        }
        for other in ["stopPrice", "trailingDelta", "quoteOrderQty"] {
            if params.take(other).is_some() {
                return Err(Reject::not_required(other));
            }
        }
        let tif = match kind {
            OrderKind::Limit => match params.need("timeInForce")? {
                "GTC" => Tif::Gtc,
                "IOC" => Tif::Ioc,
                _ => return Err(Reject::TIF),
            },
            _ if params.take("timeInForce").is_some() => return Err(Reject::not_required("timeInForce")),
            _ => Tif::Gtc,
        };
        let px = match kind {
            OrderKind::Market if params.take("price").is_some() => return Err(Reject::not_required("price")),
            OrderKind::Market => Px(0),
            _ => self.listing.px(params.decimal("price")?)?,
        };
        let qty = self.listing.qty(params.decimal("quantity")?)?;
        let reply = match (params.take("newOrderRespType"), kind) {
            (Some("ACK"), _) | (None, OrderKind::LimitMaker) => Reply::Ack,
            (Some("RESULT"), _) => Reply::Result,
            (Some("FULL"), _) | (None, _) => Reply::Full,
            (Some(_), _) => return Err(Reject::invalid("newOrderRespType")),
        };
        match params.take("selfTradePreventionMode") {
            None | Some("EXPIRE_TAKER") => {}
            Some(_) => return Err(Reject::invalid("selfTradePreventionMode")),
        }
        params.integer("strategyId")?;
        params.integer("strategyType")?;
        Ok((Submit { token: 0, side, px, qty, kind, tif }, reply))
    }

    /// `order.cancel`.
    pub(super) fn cancel(
        &mut self,
        params: &mut Params,
        unit: Unit,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        let ix = self.find_order(params, Reject::UNKNOWN_ORDER)?;
        let wanted = match params.take("cancelRestrictions") {
            None => None,
            Some("ONLY_NEW") => Some(Status::New),
            Some("ONLY_PARTIALLY_FILLED") => Some(Status::PartiallyFilled),
            Some(_) => return Err(Reject::CANCEL_RESTRICTIONS),
        };
        let cancel_id = params.client_id("newClientOrderId")?;
        params.all_read()?;
        let status = self.orders.get(ix).map(|o| o.status).filter(|s| s.is_open());
        let status = status.ok_or(Reject::UNKNOWN_ORDER)?;
        if wanted.is_some_and(|wanted| wanted != status) {
            return Err(Reject::RESTRICTED_CANCEL);
        }
        self.cancel_orders(&[ix], cancel_id, now, out)?;
        let mut result = Vec::with_capacity(512);
        if let Some(order) = self.orders.get(ix) {
            order.put_cancelled(&mut result, &self.listing, unit);
        }
        Ok(result)
    }

    /// `openOrders.cancelAll`.
    pub(super) fn cancel_all(
        &mut self,
        params: &mut Params,
        unit: Unit,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        params.all_read()?;
        let open = self.open_ixs();
        if open.is_empty() {
            return Err(Reject::UNKNOWN_ORDER);
        }
        self.cancel_orders(&open, None, now, out)?;
        Ok(self.list(&open, |order, out| order.put_cancelled(out, &self.listing, unit)))
    }

    /// `order.status`.
    pub(super) fn order_status(&mut self, params: &mut Params, unit: Unit) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        let ix = self.find_order(params, Reject::NO_SUCH_ORDER)?;
        params.all_read()?;
        let mut result = Vec::with_capacity(512);
        if let Some(order) = self.orders.get(ix) {
            order.put_status(&mut result, &self.listing, unit);
        }
        Ok(result)
    }

    /// `openOrders.status`.
    pub(super) fn open_orders_status(&mut self, params: &mut Params, unit: Unit) -> Result<Vec<u8>, Reject> {
        if params.peek("symbol").is_some() {
            self.need_symbol(params)?;
        }
        params.all_read()?;
        Ok(self.list(&self.open_ixs(), |order, out| order.put_status(out, &self.listing, unit)))
    }

    /// `account.status`.
    pub(super) fn account_status(&mut self, params: &mut Params, unit: Unit) -> Result<Vec<u8>, Reject> {
        let omit_zero = match params.take("omitZeroBalances") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Reject::invalid("omitZeroBalances")),
        };
        params.all_read()?;
        let rate = |ppm: i64| (ppm / 100, D8(ppm as i128 * 100));
        let ((maker_bp, maker), (taker_bp, taker)) = (rate(self.fees.maker_ppm), rate(self.fees.taker_ppm));
        let mut result = Vec::with_capacity(640);
        let _ = write!(
            result,
            concat!(
                r#"{{"makerCommission":{},"takerCommission":{},"buyerCommission":0,"sellerCommission":0,"#,
                r#""canTrade":true,"canWithdraw":false,"canDeposit":false,"commissionRates":{{"maker":"{}","#,
                r#""taker":"{}","buyer":"0.00000000","seller":"0.00000000"}},"brokered":false,"#,
                r#""requireSelfTradePrevention":false,"preventSor":false,"updateTime":{},"accountType":"SPOT","#,
                r#""balances":["#
            ),
            maker_bp,
            taker_bp,
            maker,
            taker,
            unit.of(self.account_changed_at)
        );
        let mut comma = "";
        for (asset, free, locked) in self.assets() {
            if !omit_zero || free.0 != 0 || locked.0 != 0 {
                let _ = write!(result, r#"{comma}{{"asset":"{asset}","free":"{free}","locked":"{locked}"}}"#);
                comma = ",";
            }
        }
        let _ = write!(result, r#"],"permissions":["SPOT"],"uid":1}}"#);
        Ok(result)
    }

    /// The one symbol that is listed.
    pub(super) fn need_symbol(&self, params: &mut Params) -> Result<(), Reject> {
        if params.need("symbol")? == self.listing.symbol() { Ok(()) } else { Err(Reject::SYMBOL) }
    }

    /// What the account holds: asset, free, locked.
    pub(super) fn assets(&self) -> [(&str, D8, D8); 2] {
        let held = self.market.balances(self.account);
        let instrument = &self.listing.instrument;
        [
            (&instrument.base, D8(held.base_free), D8(held.base_locked)),
            (&instrument.quote, D8(held.quote_free), D8(held.quote_locked)),
        ]
    }

    /// Indices of the account's open orders, oldest first.
    pub(super) fn open_ixs(&self) -> Vec<usize> {
        self.market.open_orders(self.account).iter().map(|o| o.token as usize).collect()
    }

    fn list(&self, ixs: &[usize], put: impl Fn(&Order, &mut Vec<u8>)) -> Vec<u8> {
        let mut result = vec![b'['];
        for order in ixs.iter().filter_map(|ix| self.orders.get(*ix)) {
            if result.len() > 1 {
                result.push(b',');
            }
            put(order, &mut result);
        }
        result.push(b']');
        result
    }

    /// The order that a request names by either id, or by both when they agree.
    fn find_order(&self, params: &mut Params, unknown: Reject) -> Result<usize, Reject> {
        let id = params.integer("orderId")?;
        let client_id = params.client_id("origClientOrderId")?;
        match (id, client_id) {
            (None, None) => Err(Reject::EITHER_ID),
            (None, Some(client_id)) => self.orders.by_client(&client_id).ok_or(unknown),
            (Some(id), client_id) => {
                let ix = self.orders.by_id(id).ok_or(unknown)?;
                let known = self.orders.get(ix).map(|o| o.client_id.as_str());
                match client_id {
                    Some(client_id) if known != Some(&client_id) => Err(Reject::OTHER_CLIENT_ID),
                    _ => Ok(ix),
                }
            }
        }
    }

    fn cancel_orders(
        &mut self,
        ixs: &[usize],
        cancel_id: Option<String>,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<(), Reject> {
        let mut events = std::mem::take(&mut self.events);
        let mut refused = None;
        for ix in ixs {
            let cancel_id = cancel_id.clone().unwrap_or_else(|| self.new_client_id());
            let Some(order) = self.orders.get_mut(*ix) else { continue };
            match self.market.cancel(now, self.account, ExOrderId(order.id), &mut events) {
                Ok(()) => {
                    order.cancel_id = Some(cancel_id.clone());
                    self.orders.renamed(*ix, &cancel_id);
                }
                Err(error) => refused = Some(refusal(error)),
            }
        }
        self.apply(&mut events, now, out);
        self.events = events;
        refused.map_or(Ok(()), Err)
    }

    fn new_client_id(&mut self) -> String {
        self.client_ids_made += 1;
        format!("sim{:019}", self.client_ids_made)
    }
}

/// The venue's words for a refusal of its matching engine.
fn refusal(error: ExReject) -> Reject {
    match error {
        ExReject::Filter { name, .. } => Reject::filter(name.name()),
        ExReject::InsufficientBalance { .. } => Reject::BALANCE,
        ExReject::WouldTake { .. } => Reject::WOULD_TAKE,
        ExReject::UnknownOrder { .. } => Reject::UNKNOWN_ORDER,
        ExReject::NotTrading => Reject::CLOSED,
        _ => Reject::UNKNOWN,
    }
}
