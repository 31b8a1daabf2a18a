//! Order lists: two orders of which one cancels the other (OCO).

use super::listing::Unit;
use super::order::Reply;
use super::params::Params;
use super::place::{Leg, read_reply, read_side, read_stp, refusal};
use super::queries::rows;
use super::reject::Reject;
use super::{BinanceSim, Outbox};
use exchange::{ExReject, OrderKind, Submit, TriggerKind};
use std::io::Write;
use wire::{Side, Ts};

/// One order list of the account.
#[derive(Clone, Debug)]
pub(super) struct List {
    client_id: String,
    /// Its orders, the one above first.
    legs: [usize; 2],
    changed: Ts,
    done: bool,
}

/// What a leg does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Limit,
    TakeProfit,
    StopLoss,
}

fn role(submit: &Submit) -> Result<Role, Reject> {
    match (submit.kind, submit.trigger.map(|t| t.kind)) {
        (OrderKind::LimitMaker, None) => Ok(Role::Limit),
        (_, Some(TriggerKind::TakeProfit)) => Ok(Role::TakeProfit),
        (_, Some(TriggerKind::StopLoss)) => Ok(Role::StopLoss),
        _ => Err(Reject::LIST_TYPE),
    }
}

/// Which leg may stand where (`errors.md`, -1158 to -1199).
fn check_places(side: Side, above: Role, below: Role) -> Result<(), Reject> {
    match (side, above, below) {
        (_, Role::Limit, Role::Limit) => Err(Reject::BOTH_LIMIT),
        (Side::Buy, Role::Limit, _) => Err(Reject::BUY_LIMIT_BELOW),
        (Side::Sell, _, Role::Limit) => Err(Reject::SELL_LIMIT_ABOVE),
        (Side::Buy, _, Role::StopLoss) => Err(Reject::BUY_STOP_ABOVE),
        (Side::Sell, Role::StopLoss, _) => Err(Reject::SELL_STOP_BELOW),
        (Side::Buy, Role::TakeProfit, _) => Err(Reject::BUY_PROFIT_BELOW),
        (Side::Sell, _, Role::TakeProfit) => Err(Reject::SELL_PROFIT_ABOVE),
        _ => Ok(()),
    }
}

impl BinanceSim {
    /// `orderList.place.oco`.
    pub(super) fn place_oco(
        &mut self,
        params: &mut Params,
        unit: Unit,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        let side = read_side(params)?;
        let qty = self.listing.qty(params.decimal("quantity")?)?;
        let list_client_id = params.client_id("listClientOrderId")?;
        let stp = read_stp(params)?;
        let mut legs = [Leg::Above, Leg::Below].map(|leg| self.read_leg(params, leg, side, Some(qty)));
        for leg in legs.iter_mut().flatten() {
            leg.submit.stp = stp;
        }
        let [above, below] = legs;
        let legs = [above?, below?];
        let reply = read_reply(params, (OrderKind::LimitMaker, None))?;
        params.all_read()?;
        check_places(side, role(&legs[0].submit)?, role(&legs[1].submit)?)?;
        self.rates.take_orders(now, 2)?;
        let taken = |id: &String| self.lists.iter().any(|l| !l.done && l.client_id == *id);
        if list_client_id.as_ref().is_some_and(taken)
            || legs[0].client_id.is_some() && legs[0].client_id == legs[1].client_id
        {
            return Err(Reject::DUPLICATE_ORDER);
        }
        let client_ids = [self.free_client_id(&legs[0])?, self.free_client_id(&legs[1])?];
        let first = self.orders.next_ix();
        let submits = [0, 1].map(|n| Submit { token: (first + n) as u64, ..legs[n].submit });
        let mut events = std::mem::take(&mut self.events);
        let submitted = self.market.submit_pair(now, self.account, submits, &mut events);
        let ids = match submitted {
            Ok(ids) => ids,
            Err(error) => {
                self.events = events;
                return Err(match error {
                    // Of a list, a price that is reached already is one that stands wrong.
                    ExReject::WouldTrigger { .. } => Reject::PAIR_PRICES,
                    error => refusal(error),
                });
            }
        };
        let list = self.lists.len() as u64;
        for ((id, client_id), leg) in ids.into_iter().zip(client_ids).zip(&legs) {
            self.push_order(id.0, client_id, leg, qty, now, Some(list));
        }
        let client_id = list_client_id.unwrap_or_else(|| self.new_client_id());
        self.lists.push(List { client_id, legs: [first, first + 1], changed: now, done: false });
        self.started_list = Some(list);
        self.apply(&mut events, now, out);
        self.events = events;
        let mut result = Vec::with_capacity(1024);
        self.put_list(&mut result, list, unit, Some(reply));
        Ok(result)
    }

    /// `orderList.cancel`.
    pub(super) fn cancel_order_list(
        &mut self,
        params: &mut Params,
        unit: Unit,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        let (id, client_id) = (params.integer("orderListId")?, params.client_id("listClientOrderId")?);
        let new_id = params.client_id("newClientOrderId")?;
        params.all_read()?;
        let list = match (id, &client_id) {
            (None, None) => return Err(Reject::either("listClientOrderId", "orderListId")),
            (Some(id), _) => self.lists.get(id as usize).map(|_| id),
            (None, Some(client_id)) => self.list_by_client(client_id),
        };
        let known = list.and_then(|id| Some((id, self.lists.get(id as usize)?)));
        match known {
            Some((id, list)) if !list.done && client_id.is_none_or(|c| c == list.client_id) => {
                self.cancel_list(id, new_id, unit, now, out)
            }
            _ => Err(Reject::UNKNOWN_ORDER),
        }
    }

    /// Cancels what is open of a list; the result in the venue's words.
    pub(super) fn cancel_list(
        &mut self,
        list: u64,
        new_id: Option<String>,
        unit: Unit,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        let legs = self.lists.get(list as usize).map(|l| l.legs).ok_or(Reject::UNKNOWN_ORDER)?;
        let is_open = |ix: &usize| self.orders.get(*ix).is_some_and(|o| o.status.is_open());
        let open: Vec<usize> = legs.into_iter().filter(is_open).collect();
        self.cancel_orders(&open, new_id, now, out)?;
        let mut result = Vec::with_capacity(1024);
        self.put_list_cancelled(&mut result, list, unit);
        Ok(result)
    }

    /// `orderList.status`.
    pub(super) fn list_status(&mut self, params: &mut Params, unit: Unit) -> Result<Vec<u8>, Reject> {
        let (id, client_id) = (params.integer("orderListId")?, params.client_id("origClientOrderId")?);
        params.all_read()?;
        let list = match (id, client_id) {
            (None, None) => return Err(Reject::either("origClientOrderId", "orderListId")),
            (_, Some(client_id)) => self.list_by_client(&client_id),
            (Some(id), None) => self.lists.get(id as usize).map(|_| id),
        };
        let mut result = Vec::with_capacity(512);
        self.put_list(&mut result, list.ok_or(Reject::NO_SUCH_ORDER)?, unit, None);
        Ok(result)
    }

    /// `openOrderLists.status`, and all of them for `allOrderLists`.
    pub(super) fn list_lists(
        &mut self,
        params: &mut Params,
        unit: Unit,
        all: bool,
    ) -> Result<Vec<u8>, Reject> {
        params.all_read()?;
        let wanted = (0u64..).zip(&self.lists).filter(|(_, list)| all || !list.done).map(|(id, _)| id);
        Ok(rows(wanted, |id, out| self.put_list(out, id, unit, None)))
    }

    /// Tells the account what became of its lists since it was last told.
    pub(super) fn tell_lists(&mut self, now: Ts, out: &mut Outbox) {
        if let Some(list) = self.started_list.take() {
            self.open_lists.push(list);
            self.tell_list(list, now, out);
        }
        for id in self.open_lists.clone() {
            let Some(list) = self.lists.get_mut(id as usize) else { continue };
            let is_open = |ix: &usize| self.orders.get(*ix).is_some_and(|o| o.status.is_open());
            if !list.legs.iter().any(is_open) {
                list.done = true;
                list.changed = now;
                self.tell_list(id, now, out);
                self.open_lists.retain(|open| *open != id);
            }
        }
    }

    fn tell_list(&mut self, id: u64, now: Ts, out: &mut Outbox) {
        let Some(list) = self.lists.get(id as usize) else { return };
        let (kind, status) = list.words();
        let (listing, orders) = (&self.listing, &self.orders);
        self.stream.tell(&self.faults, &self.conns, 1, now, out, |payload, unit| {
            let symbol = listing.symbol();
            let at = unit.of(now);
            let _ = write!(
                payload,
                concat!(
                    r#"{{"e":"listStatus","E":{at},"s":"{symbol}","g":{id},"c":"OCO","l":"{kind}","#,
                    r#""L":"{status}","r":"NONE","C":"{client_id}","T":{at},"O":"#
                ),
                at = at,
                symbol = symbol,
                id = id,
                kind = kind,
                status = status,
                client_id = list.client_id
            );
            let legs = list.legs.iter().filter_map(|ix| orders.get(*ix));
            payload.extend(rows(legs, |o, out| {
                let _ = write!(out, r#"{{"s":"{symbol}","i":{},"c":"{}"}}"#, o.id, o.client_id);
            }));
            payload.push(b'}');
        });
    }

    fn list_by_client(&self, client_id: &str) -> Option<u64> {
        (0u64..).zip(&self.lists).filter(|(_, l)| l.client_id == client_id).map(|(id, _)| id).last()
    }

    /// Appends a list after its cancel, with what was cancelled.
    pub(super) fn put_list_cancelled(&self, out: &mut Vec<u8>, id: u64, unit: Unit) {
        self.put_list(out, id, unit, None);
        let Some(list) = self.lists.get(id as usize) else { return };
        let cancelled =
            list.legs.iter().filter_map(|ix| self.orders.get(*ix)).filter(|o| o.cancel_id.is_some());
        out.pop();
        out.extend_from_slice(br#","orderReports":"#);
        out.extend(rows(cancelled, |order, out| order.put_cancelled(out, &self.listing, unit)));
        out.push(b'}');
    }

    /// Appends a list, with its orders as placed when `reply` says how much of them.
    fn put_list(&self, out: &mut Vec<u8>, id: u64, unit: Unit, reply: Option<Reply>) {
        let Some(list) = self.lists.get(id as usize) else { return };
        let (kind, status) = list.words();
        let symbol = self.listing.symbol();
        let _ = write!(
            out,
            concat!(
                r#"{{"orderListId":{},"contingencyType":"OCO","listStatusType":"{}","listOrderStatus":"{}","#,
                r#""listClientOrderId":"{}","transactionTime":{},"symbol":"{}","orders":"#
            ),
            id,
            kind,
            status,
            list.client_id,
            unit.of(list.changed),
            symbol
        );
        let legs = || list.legs.iter().filter_map(|ix| self.orders.get(*ix));
        out.extend(rows(legs(), |o, out| {
            let (id, client_id) = (o.id, &o.client_id);
            let _ = write!(out, r#"{{"symbol":"{symbol}","orderId":{id},"clientOrderId":"{client_id}"}}"#);
        }));
        if let Some(reply) = reply {
            out.extend_from_slice(br#","orderReports":"#);
            out.extend(rows(legs(), |o, out| o.put_placed(out, &self.listing, reply, unit)));
        }
        out.push(b'}');
    }
}

impl List {
    /// `listStatusType` and `listOrderStatus`.
    fn words(&self) -> (&'static str, &'static str) {
        if self.done { ("ALL_DONE", "ALL_DONE") } else { ("EXEC_STARTED", "EXECUTING") }
    }
}
