//! The order desk: cancelling, and replacing one order by another.

use super::listing::Unit;
use super::order::Status;
use super::params::Params;
use super::place::{Draft, refusal};
use super::reject::Reject;
use super::{BinanceSim, Outbox};
use exchange::ExOrderId;
use wire::Ts;

/// Which order a cancel means, and on which terms.
struct Target {
    ids: Ids,
    /// Only in this status.
    wanted: Option<Status>,
    new_id: Option<String>,
}

/// How a request names an order.
pub(super) struct Ids {
    id: Option<u64>,
    client_id: Option<String>,
}

impl Ids {
    pub(super) fn read(params: &mut Params, id: &str, client_id: &str) -> Result<Ids, Reject> {
        let ids = Ids { id: params.integer(id)?, client_id: params.client_id(client_id)? };
        match ids {
            Ids { id: None, client_id: None } => Err(Reject::either(client_id, id)),
            ids => Ok(ids),
        }
    }
}

fn read_restrictions(params: &mut Params) -> Result<Option<Status>, Reject> {
    match params.take("cancelRestrictions") {
        None => Ok(None),
        Some("ONLY_NEW") => Ok(Some(Status::New)),
        Some("ONLY_PARTIALLY_FILLED") => Ok(Some(Status::PartiallyFilled)),
        Some(_) => Err(Reject::CANCEL_RESTRICTIONS),
    }
}

impl BinanceSim {
    /// `order.cancel`.
    pub(super) fn cancel(
        &mut self,
        params: &mut Params,
        unit: Unit,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        let target = Target {
            ids: Ids::read(params, "orderId", "origClientOrderId")?,
            wanted: read_restrictions(params)?,
            new_id: params.client_id("newClientOrderId")?,
        };
        params.all_read()?;
        self.cancel_target(&target, unit, now, out)
    }

    /// Cancels one order and all of its list; the result in the venue's words.
    fn cancel_target(
        &mut self,
        target: &Target,
        unit: Unit,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        let ix = self.find_order(&target.ids, Reject::UNKNOWN_ORDER)?;
        let order = self.orders.get(ix).filter(|o| o.status.is_open()).ok_or(Reject::UNKNOWN_ORDER)?;
        if target.wanted.is_some_and(|wanted| wanted != order.status) {
            return Err(Reject::RESTRICTED_CANCEL);
        }
        if let Some(list) = order.list {
            return self.cancel_list(list, target.new_id.clone(), unit, now, out);
        }
        self.cancel_orders(&[ix], target.new_id.clone(), now, out)?;
        let mut result = Vec::with_capacity(512);
        if let Some(order) = self.orders.get(ix) {
            order.put_cancelled(&mut result, &self.listing, unit);
        }
        Ok(result)
    }

    /// `openOrders.cancelAll`: an order list is one element of the result.
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
        let mut result = vec![b'['];
        let mut lists = Vec::new();
        for ix in open {
            let list = self.orders.get(ix).and_then(|o| o.list);
            if list.is_some_and(|list| lists.contains(&list)) {
                continue;
            }
            if result.len() > 1 {
                result.push(b',');
            }
            match list {
                Some(list) => {
                    lists.push(list);
                    self.put_list_cancelled(&mut result, list, unit);
                }
                None => {
                    if let Some(order) = self.orders.get(ix) {
                        order.put_cancelled(&mut result, &self.listing, unit);
                    }
                }
            }
        }
        result.push(b']');
        Ok(result)
    }

    /// `order.cancelReplace`: a cancel and a new order, each with a result of its own.
    pub(super) fn cancel_replace(
        &mut self,
        params: &mut Params,
        unit: Unit,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        let stops = match params.need("cancelReplaceMode")? {
            "STOP_ON_FAILURE" => true,
            "ALLOW_FAILURE" => false,
            _ => return Err(Reject::invalid("cancelReplaceMode")),
        };
        let cancels_always = match params.take("orderRateLimitExceededMode") {
            None | Some("DO_NOTHING") => false,
            Some("CANCEL_ONLY") => true,
            Some(_) => return Err(Reject::invalid("orderRateLimitExceededMode")),
        };
        let target = Target {
            ids: Ids::read(params, "cancelOrderId", "cancelOrigClientOrderId")?,
            wanted: read_restrictions(params)?,
            new_id: params.client_id("cancelNewClientOrderId")?,
        };
        let draft = self.read_order(params)?;
        params.all_read()?;
        // Filters and order counts are judged before anything is done.
        self.market.judge(self.account, &draft.submit).map_err(refusal)?;
        let counted = self.rates.take_orders(now, 1);
        if let (Err(too_many), false) = (&counted, cancels_always) {
            return Err(too_many.clone());
        }
        let cancelled = self.cancel_target(&target, unit, now, out);
        let placed = match (&cancelled, counted) {
            (Err(_), _) if stops => None,
            (_, Err(too_many)) => Some(Err(too_many)),
            (_, Ok(())) => Some(self.enter_draft(&draft, unit, now, out)),
        };
        outcome(cancelled, placed)
    }

    fn enter_draft(
        &mut self,
        draft: &Draft,
        unit: Unit,
        now: Ts,
        out: &mut Outbox,
    ) -> Result<Vec<u8>, Reject> {
        let ix = self.enter(draft, now, out)?;
        Ok(self.placed(ix, draft.reply, unit))
    }

    /// The order that a request names by either id, or by both when they agree.
    pub(super) fn find_order(&self, ids: &Ids, unknown: Reject) -> Result<usize, Reject> {
        match (ids.id, &ids.client_id) {
            (None, None) => Err(unknown),
            (None, Some(client_id)) => self.orders.by_client(client_id).ok_or(unknown),
            (Some(id), client_id) => {
                let ix = self.orders.by_id(id).ok_or(unknown)?;
                let known = self.orders.get(ix).map(|o| &o.client_id);
                match client_id {
                    Some(client_id) if known != Some(client_id) => Err(Reject::OTHER_CLIENT_ID),
                    _ => Ok(ix),
                }
            }
        }
    }

    /// Cancels open orders; those that went with another of their list are passed over.
    pub(super) fn cancel_orders(
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
            let id = ExOrderId(order.id);
            order.cancel_id = Some(cancel_id.clone());
            match self.market.cancel(now, self.account, id, &mut events) {
                Ok(()) => self.orders.renamed(*ix, &cancel_id),
                Err(_) if order.list.is_some() => self.orders.renamed(*ix, &cancel_id),
                Err(error) => {
                    order.cancel_id = None;
                    refused = Some(refusal(error));
                }
            }
        }
        self.apply(&mut events, now, out);
        self.events = events;
        refused.map_or(Ok(()), Err)
    }
}

/// The result of a cancel-replace from those of its halves; `None` = the new order was not attempted.
fn outcome(
    cancelled: Result<Vec<u8>, Reject>,
    placed: Option<Result<Vec<u8>, Reject>>,
) -> Result<Vec<u8>, Reject> {
    let half = |result: &Result<Vec<u8>, Reject>| match result {
        Ok(text) => ("SUCCESS", text.clone()),
        Err(reject) => ("FAILURE", reject.bare()),
    };
    let (cancel_result, cancel_response) = half(&cancelled);
    let (new_result, new_response) = placed.as_ref().map_or(("NOT_ATTEMPTED", b"null".to_vec()), half);
    let data = [
        format!(r#"{{"cancelResult":"{cancel_result}","newOrderResult":"{new_result}","cancelResponse":"#)
            .into_bytes(),
        cancel_response,
        br#","newOrderResponse":"#.to_vec(),
        new_response,
        b"}".to_vec(),
    ]
    .concat();
    match (cancelled.is_ok(), placed.is_some_and(|p| p.is_ok())) {
        (true, true) => Ok(data),
        (false, false) => Err(Reject { data: Some(data), ..Reject::REPLACE_FAILED }),
        _ => Err(Reject { data: Some(data), ..Reject::REPLACE_HALF_FAILED }),
    }
}
