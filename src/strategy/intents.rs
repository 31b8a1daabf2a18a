//! The buffer in which a strategy writes its intents.

use wire::{InstrumentId, Kind, Msg, OrderId, OrderType, Px, Qty, Side, Ts, flag};

/// Most intents that one event can lead to.
pub const INTENTS_MAX: usize = 16;

/// Bits of an order id that count; the source stands above them.
const COUNTER_BITS: u32 = 48;

/// A new order as a strategy asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewIntent {
    /// What to trade.
    pub instrument: InstrumentId,
    /// Side.
    pub side: Side,
    /// Limit price, or the worst price that the gate may assume for a market order.
    pub px: Px,
    /// Quantity.
    pub qty: Qty,
    /// How it trades.
    pub kind: OrderType,
    /// Price at which the market wakes it, zero for kinds that do not wait.
    pub stop_px: Px,
}

/// Why an intent was not taken. Nothing was written and no id was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum IntentError {
    /// The buffer holds [`INTENTS_MAX`] intents.
    #[error("{INTENTS_MAX} intents for one event, no more are taken")]
    Full,
    /// Price, stop price where there is one, or quantity is zero or less; or a pair does not begin with a post-only order.
    #[error("price {px:?} and quantity {qty:?} must be positive, and the first of a pair post-only")]
    NotPositive {
        /// Price.
        px: Px,
        /// Quantity.
        qty: Qty,
    },
    /// All 2^48 ids of this strategy are used.
    #[error("order ids of source {source_id} are used up")]
    IdsUsedUp {
        /// The strategy's source number.
        source_id: u16,
    },
}

/// Intents of one event, as messages ready for the signal ring. Fixed size, never allocates.
///
/// Order ids are `source << 48 | counter`, with the counter running from 1: unique for the life of the engine
/// across strategies. Every intent carries the low 32 bits of its cause's sequence number, the cause's receive
/// time, and the time to live.
///
/// ```
/// # use corelane_strategy as strategy;
/// use strategy::{Intents, NewIntent};
/// use wire::{InstrumentId, OrderType, Px, Qty, Side, Ts};
///
/// let mut out = Intents::new(7, 500);
/// out.begin(41, Ts(1_000));
/// let order = NewIntent {
///     instrument: InstrumentId(0), side: Side::Buy, px: Px(100), qty: Qty(5), kind: OrderType::Limit,
///     stop_px: Px(0),
/// };
/// let id = out.new_order(&order)?;
/// assert_eq!(id.0, 7 << 48 | 1);
/// assert_eq!((out.as_slice()[0].cause(), out.as_slice()[0].ttl_us()), (41, 500));
/// // A price of zero is refused, and uses no id.
/// assert!(out.new_order(&NewIntent { px: Px(0), ..order }).is_err());
/// # Ok::<(), strategy::IntentError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Intents {
    buffer: [Msg; INTENTS_MAX],
    len: usize,
    source: u16,
    ttl_us: u32,
    issued: u64,
    cause: u64,
    ts: Ts,
    refused: u64,
    /// What is written is a warm-up, not a wish.
    warming: bool,
}

impl Intents {
    /// An empty buffer of the strategy with number `source`, whose intents live `ttl_us` from the receive time of
    /// their cause. A time to live of zero makes intents that the gate refuses.
    pub fn new(source: u16, ttl_us: u32) -> Intents {
        Intents {
            buffer: [Msg::default(); INTENTS_MAX],
            len: 0,
            source,
            ttl_us,
            issued: 0,
            cause: 0,
            ts: Ts(0),
            refused: 0,
            warming: false,
        }
    }

    /// Says what the next intents are caused by: a market event with its sequence number and receive time.
    #[inline]
    pub fn begin(&mut self, seq: u64, ts: Ts) {
        self.cause = seq;
        self.begin_at(ts);
    }

    /// The same for an order message, a timer or a stop, which have no number in the market ring: the last
    /// market event stays the cause.
    #[inline]
    pub fn begin_at(&mut self, ts: Ts) {
        self.ts = ts;
        self.warming = false;
    }

    /// What is written until the next beginning is a warm-up: orders become [`Kind::IntentWarmUp`] and use no id, of
    /// types that fit into one slot; anything else is taken and forgotten.
    #[inline]
    pub fn begin_warm_up(&mut self, ts: Ts) {
        self.ts = ts;
        self.warming = true;
    }

    /// Asks for a new order and names it.
    ///
    /// # Errors
    /// The buffer is full, a number is not positive, or the ids are used up.
    #[inline]
    pub fn new_order(&mut self, order: &NewIntent) -> Result<OrderId, IntentError> {
        let id = self.next_id(order)?;
        if self.warming {
            return self.push_warm_up(order, id);
        }
        self.push_order(Kind::IntentNew, order, id, [order.stop_px.0, 0, 0])?;
        self.issued += 1;
        Ok(id)
    }

    /// Asks for a new order in the place of another, both in one step at the venue; names the new one. Until the venue
    /// has answered both count. When the gate refuses the new one, or the venue cannot cancel the old one, the old
    /// one is as it was.
    ///
    /// # Errors
    /// As [`Intents::new_order`].
    #[inline]
    pub fn replace(&mut self, old: OrderId, order: &NewIntent) -> Result<OrderId, IntentError> {
        let id = self.next_id(order)?;
        if self.warming {
            return self.push_warm_up(order, id);
        }
        self.push_order(Kind::IntentReplace, order, id, [order.stop_px.0, 0, old.0 as i64])?;
        self.issued += 1;
        Ok(id)
    }

    /// Asks for two orders of which the end of one ends the other: `order`, which must be post-only, takes the profit;
    /// a stop-limit of the same side and quantity at `stop_px` and `limit_px` stops the loss. Names both.
    ///
    /// # Errors
    /// As [`Intents::new_order`]; a price that is not positive, or an order that is not post-only.
    #[inline]
    pub fn pair(
        &mut self,
        order: &NewIntent,
        stop_px: Px,
        limit_px: Px,
    ) -> Result<(OrderId, OrderId), IntentError> {
        let first = self.next_id(order)?;
        if stop_px.0 <= 0 || limit_px.0 <= 0 || order.kind != OrderType::PostOnly {
            self.refused += 1;
            return Err(IntentError::NotPositive { px: stop_px.min(limit_px), qty: order.qty });
        }
        let second = OrderId(first.0 + 1);
        if second.0 & ((1 << COUNTER_BITS) - 1) == 0 {
            self.refused += 1;
            return Err(IntentError::IdsUsedUp { source_id: self.source });
        }
        if self.warming {
            return self.push_warm_up(order, first).map(|first| (first, second));
        }
        self.push_order(Kind::IntentPair, order, first, [stop_px.0, limit_px.0, second.0 as i64])?;
        self.issued += 2;
        Ok((first, second))
    }

    /// Asks for an order to be cancelled.
    ///
    /// # Errors
    /// The buffer is full.
    #[inline]
    pub fn cancel(&mut self, instrument: InstrumentId, id: OrderId) -> Result<(), IntentError> {
        if self.warming {
            return Ok(());
        }
        self.push(Kind::IntentCancel, instrument, flag::END, [0, 0, id.0 as i64])
    }

    /// Asks for all orders of this strategy on an instrument to be cancelled.
    ///
    /// # Errors
    /// The buffer is full.
    #[inline]
    pub fn cancel_all(&mut self, instrument: InstrumentId) -> Result<(), IntentError> {
        if self.warming {
            return Ok(());
        }
        self.push(Kind::IntentCancelAll, instrument, flag::END, [0; 3])
    }

    /// The intents written since the last clear, oldest first.
    #[inline]
    pub fn as_slice(&self) -> &[Msg] {
        &self.buffer[..self.len]
    }

    /// Forgets the intents; ids go on.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Number of intents.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// No intents.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Intents that still fit.
    #[inline]
    pub fn free(&self) -> usize {
        INTENTS_MAX - self.len
    }

    /// The strategy's source number.
    pub fn source(&self) -> u16 {
        self.source
    }

    /// Receive time of the cause.
    pub fn ts(&self) -> Ts {
        self.ts
    }

    /// Intents refused since the buffer was made.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    #[inline]
    fn next_id(&mut self, order: &NewIntent) -> Result<OrderId, IntentError> {
        if order.px.0 <= 0 || order.qty.0 <= 0 || (order.kind.has_stop() && order.stop_px.0 <= 0) {
            self.refused += 1;
            return Err(IntentError::NotPositive { px: order.px, qty: order.qty });
        }
        let counter = self.issued + 1;
        if counter >> COUNTER_BITS != 0 {
            self.refused += 1;
            return Err(IntentError::IdsUsedUp { source_id: self.source });
        }
        Ok(OrderId((self.source as u64) << COUNTER_BITS | counter))
    }

    /// The order as a warm-up, if it fits into one slot.
    fn push_warm_up(&mut self, order: &NewIntent, id: OrderId) -> Result<OrderId, IntentError> {
        if !order.kind.has_stop() {
            let side = if order.side == Side::Sell { flag::SELL } else { 0 };
            let flags = side | (order.kind as u8) << 1 | flag::END;
            self.push(Kind::IntentWarmUp, order.instrument, flags, [order.px.0, order.qty.0, id.0 as i64])?;
        }
        Ok(id)
    }

    /// One slot, or two with what does not fit into one.
    #[inline]
    fn push_order(
        &mut self,
        kind: Kind,
        order: &NewIntent,
        id: OrderId,
        tail: [i64; 3],
    ) -> Result<(), IntentError> {
        let side = if order.side == Side::Sell { flag::SELL } else { 0 };
        let flags = side | (order.kind as u8) << 1;
        let body = [order.px.0, order.qty.0, id.0 as i64];
        if kind == Kind::IntentNew && !order.kind.has_stop() {
            return self.push(kind, order.instrument, flags | flag::END, body);
        }
        if self.free() < 2 {
            self.refused += 1;
            return Err(IntentError::Full);
        }
        self.push(kind, order.instrument, flags, body)?;
        self.push(Kind::IntentTail, order.instrument, flag::END, tail)
    }

    #[inline]
    fn push(
        &mut self,
        kind: Kind,
        instrument: InstrumentId,
        flags: u8,
        body: [i64; 3],
    ) -> Result<(), IntentError> {
        let Some(cell) = self.buffer.get_mut(self.len) else {
            self.refused += 1;
            return Err(IntentError::Full);
        };
        let cause = Msg::pack_cause(self.cause as u32, self.ttl_us);
        *cell = Msg::new(kind, instrument, self.ts).flags(flags).body([body[0], body[1], body[2], cause]);
        cell.source = self.source;
        self.len += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> NewIntent {
        NewIntent {
            instrument: InstrumentId(3),
            side: Side::Sell,
            px: Px(10),
            qty: Qty(20),
            kind: OrderType::Ioc,
            stop_px: Px(0),
        }
    }

    #[test]
    fn messages_are_as_the_wire_says() {
        let mut out = Intents::new(0xffff, 250);
        out.begin(0x1_0000_0002, Ts(99));
        let id = out.new_order(&order()).expect("fits");
        assert_eq!(id.0, 0xffff_0000_0000_0001);
        out.begin_at(Ts(100));
        out.cancel(InstrumentId(3), id).expect("fits");
        out.cancel_all(InstrumentId(3)).expect("fits");
        let [new, cancel, all] = out.as_slice() else { panic!("three intents") };
        assert_eq!(
            (new.kind(), new.instrument(), new.source),
            (Some(Kind::IntentNew), InstrumentId(3), 0xffff)
        );
        assert_eq!(
            (new.flags, new.ts_recv()),
            (flag::END | flag::SELL | (OrderType::Ioc as u8) << 1, Ts(99))
        );
        assert_eq!((new.body[0], new.body[1], new.body[2] as u64), (10, 20, id.0));
        assert_eq!((new.cause(), new.ttl_us()), (2, 250));
        assert_eq!((cancel.kind(), cancel.body[2] as u64), (Some(Kind::IntentCancel), id.0));
        assert_eq!((cancel.cause(), cancel.ttl_us(), cancel.ts_recv()), (2, 250, Ts(100)));
        assert_eq!((all.kind(), all.body[2]), (Some(Kind::IntentCancelAll), 0));
    }

    #[test]
    fn what_does_not_fit_one_slot_takes_two() {
        let mut out = Intents::new(1, 1);
        let stop = NewIntent { kind: OrderType::StopLimit, stop_px: Px(9), ..order() };
        let id = out.new_order(&stop).expect("fits");
        let new = out.replace(id, &order()).expect("fits");
        let take = NewIntent { kind: OrderType::PostOnly, ..order() };
        let (first, second) = out.pair(&take, Px(8), Px(7)).expect("fits");
        assert_eq!([id.0, new.0, first.0, second.0].map(|id| id & 0xff), [1, 2, 3, 4]);
        let said: Vec<_> = out.as_slice().iter().map(|m| (m.kind(), m.has(flag::END), m.body[2])).collect();
        let (head, tail) = (
            |kind, id: OrderId| (Some(kind), false, id.0 as i64),
            |id: u64| (Some(Kind::IntentTail), true, id as i64),
        );
        assert_eq!(
            said,
            [
                head(Kind::IntentNew, id),
                tail(0),
                head(Kind::IntentReplace, new),
                tail(id.0),
                head(Kind::IntentPair, first),
                tail(second.0),
            ]
        );
        assert!(out.as_slice().iter().step_by(2).all(Msg::has_tail));
        assert_eq!(out.as_slice()[1].body[0], 9);
        assert_eq!(out.as_slice()[5].body[..2], [8, 7]);
        assert!(out.pair(&order(), Px(8), Px(7)).is_err() && out.pair(&take, Px(0), Px(7)).is_err());
        assert!(out.new_order(&NewIntent { stop_px: Px(0), ..stop }).is_err());
        // Two slots or none.
        (0..INTENTS_MAX - 7).for_each(|_| assert!(out.new_order(&order()).is_ok()));
        assert_eq!((out.free(), out.new_order(&stop)), (1, Err(IntentError::Full)));
        assert_eq!(out.len(), INTENTS_MAX - 1);
    }

    #[test]
    fn a_full_buffer_refuses_and_uses_no_id() {
        let mut out = Intents::new(1, 1);
        for n in 1..=INTENTS_MAX as u64 {
            assert_eq!(out.new_order(&order()).map(|i| i.0 & 0xffff), Ok(n));
        }
        assert_eq!(out.new_order(&order()), Err(IntentError::Full));
        assert_eq!(out.cancel_all(InstrumentId(0)), Err(IntentError::Full));
        assert_eq!((out.free(), out.refused()), (0, 2));
        out.clear();
        assert!(out.is_empty());
        assert_eq!(out.new_order(&order()).map(|i| i.0 & 0xffff), Ok(INTENTS_MAX as u64 + 1));
    }

    #[test]
    fn impossible_orders_are_refused() {
        let mut out = Intents::new(1, 1);
        for (px, qty) in [(0, 1), (1, 0), (-1, 1), (1, -1)] {
            let bad = NewIntent { px: Px(px), qty: Qty(qty), ..order() };
            assert_eq!(out.new_order(&bad), Err(IntentError::NotPositive { px: Px(px), qty: Qty(qty) }));
        }
        out.issued = (1 << 48) - 2;
        assert_eq!(out.new_order(&order()).map(|i| i.0), Ok((1 << 48) + (1 << 48) - 1));
        assert_eq!(out.new_order(&order()), Err(IntentError::IdsUsedUp { source_id: 1 }));
    }

    #[test]
    fn a_warm_up_uses_no_id_and_is_no_wish() {
        let mut out = Intents::new(2, 250);
        out.begin(4, Ts(1));
        let first = out.new_order(&order()).expect("fits");
        out.clear();
        out.begin_warm_up(Ts(9));
        let stop = NewIntent { kind: OrderType::StopLimit, stop_px: Px(3), ..order() };
        let post = NewIntent { kind: OrderType::PostOnly, ..order() };
        out.new_order(&order()).expect("taken");
        out.new_order(&stop).expect("taken");
        out.replace(first, &order()).expect("taken");
        out.pair(&post, Px(3), Px(2)).expect("taken");
        out.cancel(InstrumentId(3), first).expect("taken");
        out.cancel_all(InstrumentId(3)).expect("taken");
        assert!(out.new_order(&NewIntent { px: Px(0), ..order() }).is_err());
        let kinds: Vec<_> = out.as_slice().iter().map(|m| (m.kind(), m.has_tail(), m.ts_recv())).collect();
        assert_eq!(kinds, [(Some(Kind::IntentWarmUp), false, Ts(9)); 3], "what fits into a slot");
        assert!(out.as_slice()[0].has(flag::SELL) && out.as_slice()[0].ttl_us() == 250);
        out.clear();
        // A real order is named as if nothing had been.
        out.begin_at(Ts(10));
        let second = out.new_order(&order()).expect("fits");
        assert_eq!((second.0, out.as_slice()[0].kind()), (first.0 + 1, Some(Kind::IntentNew)));
    }
}
