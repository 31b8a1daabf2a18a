//! The order desk: placing orders, alone or in place of another.

use super::listing::{D8, Unit};
use super::order::{Order, Reply, Status};
use super::params::Params;
use super::reject::Reject;
use super::{BinanceSim, Outbox};
use exchange::{ExReject, OrderKind, Stp, Submit, Tif, Trigger, TriggerKind};
use wire::{Px, Qty, Side, Ts};

/// A new order as a request describes it.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) submit: Submit,
    pub(super) client_id: Option<String>,
    pub(super) strategy: [Option<u64>; 2],
    pub(super) reply: Reply,
}

/// Where a request names an order's fields: `price`, or `abovePrice` and `belowPrice` of an order list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    Alone,
    Above,
    Below,
}

impl Leg {
    /// The parameter's name in this leg, from its name standing alone.
    fn name(self, alone: &str) -> String {
        let prefix = match self {
            Leg::Alone => return alone.to_string(),
            Leg::Above => "above",
            Leg::Below => "below",
        };
        let mut rest = alone.chars();
        let first = rest.next().map(|c| c.to_ascii_uppercase()).into_iter();
        prefix.chars().chain(first).chain(rest).collect()
    }
}

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
        let draft = self.read_order(params)?;
        params.all_read()?;
        self.rates.take_orders(now, 1)?;
        let ix = self.enter(&draft, now, out)?;
        Ok(self.placed(ix, draft.reply, unit))
    }

    /// `order.test`: everything that can be said of an order without the matching engine.
    pub(super) fn test_order(&mut self, params: &mut Params) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        let draft = self.read_order(params)?;
        params.all_read()?;
        self.market.judge(self.account, &draft.submit).map_err(refusal)?;
        Ok(b"{}".to_vec())
    }

    /// Gives an order to the market and enters it in the books; its index.
    pub(super) fn enter(&mut self, draft: &Draft, now: Ts, out: &mut Outbox) -> Result<usize, Reject> {
        let client_id = self.free_client_id(draft)?;
        let mut events = std::mem::take(&mut self.events);
        let ix = self.orders.next_ix();
        let submit = Submit { token: ix as u64, ..draft.submit };
        let submitted = self.market.submit(now, self.account, submit, &mut events);
        match submitted {
            Ok(id) => {
                let quantity = match submit.quote {
                    // The quantity that an amount of quote came to is known when it has been matched.
                    Some(_) => self.market.order_qty(id).unwrap_or_default(),
                    None => submit.qty,
                };
                self.push_order(id.0, client_id, draft, quantity, now, None);
                self.apply(&mut events, now, out);
                self.events = events;
                Ok(ix)
            }
            Err(error) => {
                self.events = events;
                Err(refusal(error))
            }
        }
    }

    /// The client id of a new order: its own, unused, or one made here.
    pub(super) fn free_client_id(&mut self, draft: &Draft) -> Result<String, Reject> {
        match &draft.client_id {
            Some(id) if self.orders.is_taken(id) => Err(Reject::DUPLICATE_ORDER),
            Some(id) => Ok(id.clone()),
            None => Ok(self.new_client_id()),
        }
    }

    /// Enters an accepted order in the books, as it was before anything happened to it.
    pub(super) fn push_order(
        &mut self,
        id: u64,
        client_id: String,
        draft: &Draft,
        qty: Qty,
        now: Ts,
        list: Option<u64>,
    ) {
        let submit = &draft.submit;
        self.orders.push(Order {
            id,
            client_id,
            cancel_id: None,
            list,
            side: submit.side,
            kind: submit.kind,
            tif: submit.tif,
            stp: submit.stp,
            trigger: submit.trigger,
            strategy: draft.strategy,
            px: submit.px,
            qty,
            quote_qty: D8(submit.quote.unwrap_or(0)),
            cum: Qty(0),
            quote_cum: D8(0),
            status: Status::New,
            expiry: None,
            placed: now,
            changed: now,
            working: submit.trigger.is_none().then_some(now),
            fills: Vec::new(),
            prevented: Vec::new(),
        });
    }

    /// The result of placing an order.
    pub(super) fn placed(&self, ix: usize, reply: Reply, unit: Unit) -> Vec<u8> {
        let mut result = Vec::with_capacity(640);
        if let Some(order) = self.orders.get(ix) {
            order.put_placed(&mut result, &self.listing, reply, unit);
        }
        result
    }

    /// A new order that stands alone, with the form of its reply.
    pub(super) fn read_order(&self, params: &mut Params) -> Result<Draft, Reject> {
        let side = read_side(params)?;
        let mut draft = self.read_leg(params, Leg::Alone, side, None)?;
        let kind = (draft.submit.kind, draft.submit.trigger);
        draft.reply = read_reply(params, kind)?;
        draft.submit.stp = read_stp(params)?;
        Ok(draft)
    }

    /// Type, prices and quantity of a new order; the quantity of an order list is given once for both.
    pub(super) fn read_leg(
        &self,
        params: &mut Params,
        leg: Leg,
        side: Side,
        qty: Option<Qty>,
    ) -> Result<Draft, Reject> {
        let name = |alone: &str| leg.name(alone);
        let (kind, trigger) = match params.need(&name("type"))? {
            "LIMIT" => (OrderKind::Limit, None),
            "LIMIT_MAKER" => (OrderKind::LimitMaker, None),
            "MARKET" => (OrderKind::Market, None),
            "STOP_LOSS" => (OrderKind::Market, Some(TriggerKind::StopLoss)),
            "STOP_LOSS_LIMIT" => (OrderKind::Limit, Some(TriggerKind::StopLoss)),
            "TAKE_PROFIT" => (OrderKind::Market, Some(TriggerKind::TakeProfit)),
            "TAKE_PROFIT_LIMIT" => (OrderKind::Limit, Some(TriggerKind::TakeProfit)),
            _ => return Err(Reject::ORDER_TYPE),
        };
        for (sent, words) in [
            ("icebergQty", "Iceberg orders"),
            ("trailingDelta", "Trailing stop orders"),
            ("pegPriceType", "Pegged orders"),
        ] {
            if params.take(&name(sent)).is_some() {
                return Err(Reject::unsupported_order(words));
            }
        }
        let trigger = match trigger {
            Some(kind) => Some(Trigger { kind, px: self.listing.px(params.decimal(&name("stopPrice"))?)? }),
            None if params.take(&name("stopPrice")).is_some() => {
                return Err(Reject::not_required(&name("stopPrice")));
            }
            None => None,
        };
        let tif = match kind {
            OrderKind::Limit => match params.need(&name("timeInForce"))? {
                "GTC" => Tif::Gtc,
                "IOC" => Tif::Ioc,
                "FOK" => Tif::Fok,
                _ => return Err(Reject::TIF),
            },
            _ if params.take(&name("timeInForce")).is_some() => {
                return Err(Reject::not_required(&name("timeInForce")));
            }
            _ => Tif::Gtc,
        };
        let px = match kind {
            OrderKind::Market if params.take(&name("price")).is_some() => {
                return Err(Reject::not_required(&name("price")));
            }
            OrderKind::Market => Px(0),
            _ => self.listing.px(params.decimal(&name("price"))?)?,
        };
        let (qty, quote) = match qty {
            Some(qty) => (qty, None),
            None => self.read_quantity(params, kind, trigger)?,
        };
        let strategy = [params.integer(&name("strategyId"))?, params.integer(&name("strategyType"))?];
        if strategy[1].is_some_and(|kind| kind < 1_000_000) {
            return Err(Reject::STRATEGY_TYPE);
        }
        let client_name =
            if leg == Leg::Alone { "newClientOrderId".to_string() } else { name("clientOrderId") };
        let client_id = params.client_id(&client_name)?;
        let submit = Submit { kind, tif, trigger, quote, ..Submit::limit(side, px, qty) };
        Ok(Draft { submit, client_id, strategy, reply: Reply::Ack })
    }

    /// `quantity`, or for a market order an amount of quote.
    fn read_quantity(
        &self,
        params: &mut Params,
        kind: OrderKind,
        trigger: Option<Trigger>,
    ) -> Result<(Qty, Option<i128>), Reject> {
        if params.peek("quoteOrderQty").is_none() {
            return Ok((self.listing.qty(params.decimal("quantity")?)?, None));
        }
        if kind != OrderKind::Market || trigger.is_some() {
            return Err(Reject::not_required("quoteOrderQty"));
        }
        if params.take("quantity").is_some() {
            return Err(Reject::not_required("quantity"));
        }
        let quote = params.decimal("quoteOrderQty")?;
        let up = 10i128.pow(8u32.saturating_sub(quote.scale()));
        Ok((Qty(0), Some(quote.mantissa().saturating_mul(up))))
    }

    pub(super) fn new_client_id(&mut self) -> String {
        self.client_ids_made += 1;
        format!("sim{:019}", self.client_ids_made)
    }
}

pub(super) fn read_side(params: &mut Params) -> Result<Side, Reject> {
    match params.need("side")? {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(Reject::SIDE),
    }
}

/// How much the reply shall say: by default all of plain limit and market orders, little of others.
pub(super) fn read_reply(
    params: &mut Params,
    (kind, trigger): (OrderKind, Option<Trigger>),
) -> Result<Reply, Reject> {
    match params.take("newOrderRespType") {
        Some("ACK") => Ok(Reply::Ack),
        Some("RESULT") => Ok(Reply::Result),
        Some("FULL") => Ok(Reply::Full),
        Some(_) => Err(Reject::invalid("newOrderRespType")),
        None if kind == OrderKind::LimitMaker || trigger.is_some() => Ok(Reply::Ack),
        None => Ok(Reply::Full),
    }
}

pub(super) fn read_stp(params: &mut Params) -> Result<Stp, Reject> {
    match params.take("selfTradePreventionMode") {
        None | Some("EXPIRE_TAKER") => Ok(Stp::ExpireTaker),
        Some("NONE") => Ok(Stp::None),
        Some("EXPIRE_MAKER") => Ok(Stp::ExpireMaker),
        Some("EXPIRE_BOTH") => Ok(Stp::ExpireBoth),
        Some("DECREMENT" | "TRANSFER") => Err(Reject::STP_MODE),
        Some(_) => Err(Reject::invalid("selfTradePreventionMode")),
    }
}

/// The venue's words for a refusal of its matching engine.
pub(super) fn refusal(error: ExReject) -> Reject {
    match error {
        ExReject::Filter { name, .. } => Reject::filter(name.name()),
        ExReject::InsufficientBalance { .. } => Reject::BALANCE,
        ExReject::WouldTake { .. } => Reject::WOULD_TAKE,
        ExReject::WouldTrigger { .. } => Reject::WOULD_TRIGGER,
        ExReject::ThinBook { .. } => Reject::THIN_BOOK,
        ExReject::PairPrices => Reject::PAIR_PRICES,
        ExReject::PairShape | ExReject::Composition => Reject::COMPOSITION,
        ExReject::UnknownOrder { .. } => Reject::UNKNOWN_ORDER,
        ExReject::NotTrading => Reject::CLOSED,
        _ => Reject::UNKNOWN,
    }
}
