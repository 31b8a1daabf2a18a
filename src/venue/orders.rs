//! Order entry and account of one venue connection.

use wire::{AssetId, InstrumentId, OrderType, Px, Qty, QueryStatus, RejectReason, Side, Slot, Ts};

/// The client order id that the gateway stamps: `C` + cycle (10 hex) + `-` + monotonic time in ns (15 hex) +
/// `-` + slot (4 hex), 32 bytes of `[0-9A-Za-z-]`. It is the order's identity and idempotency key; the venue's
/// side reads cycle and time out of it to judge the kill switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientOrderId {
    /// Duty cycle of the gateway, low 40 bits.
    pub cycle: u64,
    /// Engine time of the stamp, low 60 bits of [`Ts`].
    pub ts: Ts,
    /// The oms's slot, low 16 bits.
    pub slot: Slot,
}

/// A text that is not a client order id of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client order id of {len} bytes is not of the form C<10 hex>-<15 hex>-<4 hex>")]
pub struct ClientOrderIdError {
    /// Length of the text.
    pub len: usize,
}

impl ClientOrderId {
    /// Length of the text.
    pub const LEN: usize = 32;

    /// As text. No allocation; about 15 ns.
    #[inline]
    pub fn text(&self) -> [u8; Self::LEN] {
        let mut out = [b'-'; Self::LEN];
        out[0] = b'C';
        hex(self.cycle, &mut out[1..11]);
        hex(self.ts.0, &mut out[12..27]);
        hex(self.slot.0 as u64, &mut out[28..32]);
        out
    }

    /// Reads the text back.
    ///
    /// # Errors
    /// The text is not one of ours.
    #[inline]
    pub fn parse(text: &[u8]) -> Result<ClientOrderId, ClientOrderIdError> {
        let err = ClientOrderIdError { len: text.len() };
        if text.len() != Self::LEN || text[0] != b'C' || text[11] != b'-' || text[27] != b'-' {
            return Err(err);
        }
        match (unhex(&text[1..11]), unhex(&text[12..27]), unhex(&text[28..32])) {
            (Some(cycle), Some(ts), Some(slot)) => {
                Ok(ClientOrderId { cycle, ts: Ts(ts), slot: Slot(slot as u32) })
            }
            _ => Err(err),
        }
    }
}

#[inline]
fn hex(mut v: u64, out: &mut [u8]) {
    for b in out.iter_mut().rev() {
        *b = b"0123456789abcdef"[(v & 15) as usize];
        v >>= 4;
    }
}

#[inline]
fn unhex(text: &[u8]) -> Option<u64> {
    let mut v = 0u64;
    for &b in text {
        let d = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            _ => return None,
        };
        v = v << 4 | d as u64;
    }
    Some(v)
}

/// A new order on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// What to trade.
    pub instrument: InstrumentId,
    /// Identity.
    pub id: ClientOrderId,
    /// Side.
    pub side: Side,
    /// Limit price; ignored for a market order.
    pub px: Px,
    /// Quantity.
    pub qty: Qty,
    /// How it trades.
    pub kind: OrderType,
    /// Price at which the market wakes it, zero for kinds that do not wait.
    pub stop_px: Px,
}

/// An order of ours at the venue: what a cancel or a question names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelOrder {
    /// What it trades.
    pub instrument: InstrumentId,
    /// Identity under which it was sent.
    pub id: ClientOrderId,
    /// The venue's id when known (cancelling by it alone is fastest), else 0.
    pub venue_order_id: u64,
}

/// A request that a session can ask on its connection besides orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueryKind {
    /// All open orders of an instrument.
    OpenOrders,
    /// Balances.
    Account,
}

/// A REST request: method, target with query, and headers beyond `Host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestRequest {
    /// `GET`, `POST`, `DELETE`.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
}

/// An execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Price.
    pub px: Px,
    /// Quantity of this execution.
    pub qty: Qty,
    /// Cumulative quantity of the order after it.
    pub cum_qty: Qty,
    /// The venue's trade id: the execution's identity.
    pub trade_id: u64,
    /// Fee, mantissa at 8 decimals of `fee_asset`; positive = paid.
    pub fee: i64,
    /// What the fee was paid in.
    pub fee_asset: AssetId,
    /// We rested.
    pub maker: bool,
}

/// One open order as the venue lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOrder {
    /// What it trades.
    pub instrument: InstrumentId,
    /// Our identity of it; `None` when it is not ours (foreign order).
    pub id: Option<ClientOrderId>,
    /// The venue's id.
    pub venue_order_id: u64,
    /// Side.
    pub side: Side,
    /// Limit price.
    pub px: Px,
    /// Original quantity.
    pub qty: Qty,
    /// Filled so far.
    pub cum_qty: Qty,
}

/// One balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountAsset {
    /// Which asset.
    pub asset: AssetId,
    /// Free amount, mantissa at 8 decimals.
    pub free: i64,
    /// Locked in open orders, mantissa at 8 decimals.
    pub locked: i64,
}

/// Answer to the query of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryAnswer {
    /// Whose.
    pub id: ClientOrderId,
    /// What the venue says.
    pub status: QueryStatus,
    /// The venue's id, 0 when not found.
    pub venue_order_id: u64,
    /// Filled so far.
    pub cum_qty: Qty,
}

/// What became of one half of a request that does two things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfDone {
    /// Done; the venue's id of the new order, 0 where there is none.
    Done {
        /// The venue's id.
        venue_order_id: u64,
    },
    /// Not done.
    Refused {
        /// The venue's code.
        code: i32,
    },
    /// Nobody knows.
    Unknown {
        /// The venue's code.
        code: i32,
    },
}

/// What an order-session message said. Slices live until the next call.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum OrderEvent<'a> {
    /// A new order is resting (or was accepted; fills follow on the account stream).
    Acked {
        /// Whose.
        id: ClientOrderId,
        /// The venue's id.
        venue_order_id: u64,
    },
    /// A stop has woken up and works in the book.
    Triggered {
        /// Whose.
        id: ClientOrderId,
        /// The venue's id.
        venue_order_id: u64,
    },
    /// A new order was refused.
    Rejected {
        /// Whose.
        id: ClientOrderId,
        /// The venue's code.
        code: i32,
    },
    /// An execution.
    Fill {
        /// Whose.
        id: ClientOrderId,
        /// The venue's id.
        venue_order_id: u64,
        /// What happened.
        fill: Fill,
    },
    /// The order is gone by cancel.
    Cancelled {
        /// Whose.
        id: ClientOrderId,
        /// The venue's id.
        venue_order_id: u64,
        /// Filled before.
        cum_qty: Qty,
    },
    /// The order is gone by the venue's own act or its own terms.
    Expired {
        /// Whose.
        id: ClientOrderId,
        /// The venue's id.
        venue_order_id: u64,
        /// Filled before.
        cum_qty: Qty,
    },
    /// A cancel was refused.
    CancelRejected {
        /// Whose.
        id: ClientOrderId,
        /// The venue's code.
        code: i32,
    },
    /// Answer to a replacement: what became of the order that goes, and of the new one.
    Replaced {
        /// The new order.
        id: ClientOrderId,
        /// The cancel of the old one; that it is gone comes on the account stream.
        cancel: HalfDone,
        /// The new one.
        new: HalfDone,
    },
    /// A pair was not taken, or nobody knows; taken, each of its orders is `Acked`.
    PairNotTaken {
        /// The first order.
        id: ClientOrderId,
        /// Never [`HalfDone::Done`].
        why: HalfDone,
    },
    /// Cancel-all was accepted (`code` 0) or refused; the orders' own events follow on the account stream.
    CancelAllDone {
        /// 0, or the venue's code (Binance: -2011 = there was nothing to cancel).
        code: i32,
    },
    /// Answer to the query of one order.
    Query(QueryAnswer),
    /// Executions of one order as the venue lists them, by trade id ascending.
    Trades {
        /// Whose.
        id: ClientOrderId,
        /// The venue's id, 0 when there is none.
        venue_order_id: u64,
        /// The executions; the list does not say their `cum_qty`, which is zero.
        trades: &'a [Fill],
        /// The list was cut at its bound: more may follow.
        more: bool,
    },
    /// The venue failed in a way that leaves the order's fate open (5xx, timeouts).
    Unknown {
        /// Whose.
        id: ClientOrderId,
        /// The venue's code.
        code: i32,
    },
    /// All open orders of an instrument.
    OpenOrders(&'a [OpenOrder]),
    /// Balances: all of them (`full`) or those that changed.
    Account {
        /// The balances.
        assets: &'a [AccountAsset],
        /// Whether assets not listed are zero.
        full: bool,
    },
    /// The account stream is on.
    Subscribed,
    /// A request that belongs to no order was refused (subscription, query).
    Refused {
        /// The venue's code.
        code: i32,
    },
    /// The venue refused something; what that was follows at once.
    Failed {
        /// The venue's code.
        code: i32,
        /// What it means.
        reason: RejectReason,
        /// When the venue takes requests again, its own time, where it says so.
        retry_at: Option<Ts>,
    },
    /// What the venue has counted of our limits; what it answers to follows.
    Limits {
        /// Request weight used in its current window.
        weight: Option<u32>,
        /// Of the limit on new orders that is nearest to its end: counted, limit, window in s.
        orders: Option<(u32, u32, u32)>,
    },
    /// The session is logged on: from here on requests carry no signature.
    LoggedOn,
    /// The venue's time.
    Time {
        /// When the venue answered, its own clock.
        venue: Ts,
    },
    /// An event about an order that is not ours.
    Foreign,
    /// The venue announces that it will close this connection; reconnect now.
    Shutdown,
    /// Nothing of interest.
    Control,
}

/// Why an order-session message was refused. Shares the feed's shape.
pub type OrderError = crate::FeedError;

/// Why a request could not be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The instrument is not of this session.
    #[error("instrument {0:?} is not of this session")]
    Instrument(InstrumentId),
    /// The session is not ready (logon or subscription outstanding).
    #[error("session is not ready")]
    NotReady,
}

/// Order half of a venue connection, sans I/O. `out` is cleared, then holds one WebSocket text payload.
/// After warm-up nothing allocates.
pub trait OrderSession {
    /// HTTP target of the WebSocket upgrade.
    fn target(&self) -> String;

    /// Weight of the request written last, as the venue counts it.
    fn weight(&self) -> u32;

    /// Writes the question for the venue's time.
    fn encode_time(&mut self, out: &mut Vec<u8>);

    /// Writes the next request on the way to the account stream: the logon where there is one, then the stream itself.
    fn encode_subscribe(&mut self, now: Ts, out: &mut Vec<u8>);

    /// Writes a signed new order.
    ///
    /// # Errors
    /// The instrument is unknown, or the session not ready.
    fn encode_new(&mut self, order: &NewOrder, now: Ts, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Writes a signed request that cancels `old` and, when that succeeds, places `order`.
    ///
    /// # Errors
    /// The instrument is unknown, or the session not ready.
    fn encode_replace(
        &mut self,
        old: &CancelOrder,
        order: &NewOrder,
        now: Ts,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError>;

    /// Writes a signed pair of which one order ends the other: `first` post-only, `second` a stop-limit of the same side
    /// and quantity.
    ///
    /// # Errors
    /// The instrument is unknown, or the session not ready.
    fn encode_pair(
        &mut self,
        first: &NewOrder,
        second: &NewOrder,
        now: Ts,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError>;

    /// Writes a signed cancel.
    ///
    /// # Errors
    /// The instrument is unknown, or the session not ready.
    fn encode_cancel(&mut self, cancel: &CancelOrder, now: Ts, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Writes a signed cancel of every open order of an instrument.
    ///
    /// # Errors
    /// The instrument is unknown, or the session not ready.
    fn encode_cancel_all(
        &mut self,
        instrument: InstrumentId,
        now: Ts,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError>;

    /// Writes the signed query of one order.
    ///
    /// # Errors
    /// The instrument is unknown, or the session not ready.
    fn encode_query_order(
        &mut self,
        instrument: InstrumentId,
        id: ClientOrderId,
        now: Ts,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError>;

    /// Writes a signed query of the executions of one order, from the trade with id `from` on (0 = the first).
    ///
    /// # Errors
    /// The instrument is unknown, or the session not ready.
    fn encode_trades(
        &mut self,
        order: &CancelOrder,
        from: u64,
        now: Ts,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError>;

    /// Writes a signed query of open orders or balances.
    ///
    /// # Errors
    /// The instrument is unknown, or the session not ready.
    fn encode_query(
        &mut self,
        kind: QueryKind,
        instrument: InstrumentId,
        now: Ts,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError>;

    /// Decodes one WebSocket text message in place (the bytes are rewritten) and calls `sink` for each event.
    ///
    /// # Errors
    /// The message was refused whole.
    fn on_message<S: FnMut(OrderEvent<'_>)>(&mut self, payload: &mut [u8], sink: S)
    -> Result<(), OrderError>;

    /// Forgets what belongs to the old connection.
    fn reset(&mut self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_order_id_round_trips_and_fits_the_venue() {
        let id =
            ClientOrderId { cycle: 0xff_ffff_ffff, ts: Ts(1_723_161_253_937_085_768), slot: Slot(0xfffe) };
        let text = id.text();
        assert!(text.len() <= 36 && text.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-'));
        // 60 bits of time: the top nibble of an epoch time in this century does not fit in 15 hex digits only
        // when it is above 2^60 = year 2006; so the low 60 bits are kept and compared.
        let back = ClientOrderId::parse(&text).expect("own text");
        assert_eq!((back.cycle, back.slot), (id.cycle, id.slot));
        assert_eq!(back.ts.0, id.ts.0 & ((1 << 60) - 1));
    }

    #[test]
    fn foreign_ids_are_refused() {
        for t in ["", "web_abc", "C0000000001-000000000000001-00g1", "c0000000001-000000000000001-0001"] {
            assert!(ClientOrderId::parse(t.as_bytes()).is_err(), "{t}");
        }
    }
}
