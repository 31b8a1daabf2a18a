//! The hot message: one cache line less the ring's sequence word.
//!
//! | offset | size | field | meaning |
//! |---|---|---|---|
//! | 0 | 4 | `instrument` | [`InstrumentId`] |
//! | 4 | 1 | `kind` | [`Kind`] |
//! | 5 | 1 | `flags` | bits of [`flag`] |
//! | 6 | 2 | `source` | venue, strategy or account number of the sender |
//! | 8 | 8 | `ts_recv_ns` | [`Ts`] at which the bytes that caused this message became visible |
//! | 16 | 4 | `exch_delta_us` | exchange time minus receive time, µs; `i32::MIN` = none. Of an order on its way to the gateway: [`Msg::mode_change`] |
//! | 20 | 4 | `venue_seq` | low bits of the venue's sequence number |
//! | 24 | 32 | `body` | four words, meaning by kind (see [`Kind`]) |
//!
//! Every bit pattern is a valid `Msg`: an unknown kind is refused by [`Msg::kind`], never undefined.

use crate::{InstrumentId, OrderType, Ts};

/// Number of 64-bit words of a message in a ring slot (the slot's eighth word is the sequence).
pub const MSG_WORDS: usize = 7;

/// Changes of mode are counted within these bits.
const MODE_CHANGES: u32 = 0xff_ffff;

/// Flag bits.
pub mod flag {
    /// Last message of a run; a run is applied whole.
    pub const END: u8 = 0x80;
    /// Sell side (order, level) or seller was the aggressor (trade).
    pub const SELL: u8 = 0x01;
    /// The bits of an intent or order that hold its [`crate::OrderType`].
    pub const ORDER_TYPE: u8 = 0x0e;
    /// We were the maker of this fill (fills hold no order kind).
    pub const MAKER: u8 = 0x08;
    /// A market event led to this intent directly: its way counts as tick to trade.
    pub const TICK: u8 = 0x10;
}

/// What a message is, and what its four body words mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// Best bid and ask: bid px, bid qty, ask px, ask qty. Zero quantity = side empty.
    Top = 1,
    /// Public trade: px, qty, trade id, 0; SELL = the seller was the aggressor.
    Trade = 2,
    /// One changed level: px, qty (0 = gone), 0, 0; SELL = ask side; END closes the update.
    Depth = 3,
    /// Book state changed: [`BookState`] as u8, 0, 0, 0.
    BookState = 4,

    /// Strategy wants a new order: px, qty, order id, cause | ttl_us << 32. Flags SELL, ORDER_TYPE. A type with a stop
    /// price is followed by IntentTail.
    IntentNew = 16,
    /// Strategy wants an order gone: 0, 0, order id, cause | ttl_us << 32.
    IntentCancel = 17,
    /// Strategy wants all its orders on this instrument gone.
    IntentCancelAll = 18,
    /// Strategy wants an order in place of another: as IntentNew, always followed by IntentTail.
    IntentReplace = 19,
    /// Strategy wants two orders of which one ends the other: as IntentNew for the first, which is post-only; the second
    /// is a stop-limit of the same side and quantity. Followed by IntentTail.
    IntentPair = 20,
    /// Second half of an intent: stop px or 0, second order's px or 0, second order id (of a pair; of a replacement the
    /// order that goes) or 0, 0. Carries END.
    IntentTail = 21,
    /// Strategy says what an order of its would look like now, to keep the way of one warm: as IntentNew, of a type
    /// without a stop price; its id is that of no order. Goes as far as the last gate as SendWarmUp, and nowhere else.
    IntentWarmUp = 22,

    /// oms → gateway, order that passed the gate: px, qty, slot, cause | ttl_us << 32; with the change of mode under
    /// which it did ([`Msg::mode_change`]).
    SendNew = 32,
    /// oms → gateway: 0, venue order id (0 = unknown yet), slot, cause | ttl_us << 32.
    SendCancel = 33,
    /// oms → gateway: cancel everything on this instrument.
    SendCancelAll = 34,
    /// oms → gateway: query one order of unknown state: 0, 0, slot, 0.
    SendQuery = 35,
    /// oms → gateway: list the executions of one order: first trade id wanted (0 = from the first), venue order id, slot, 0.
    SendTrades = 36,
    /// oms → gateway: as SendNew, in place of the order in the tail's slot. Followed by SendTail.
    SendReplace = 37,
    /// oms → gateway: as SendNew for the first of a pair. Followed by SendTail.
    SendPair = 38,
    /// Second half of an order: stop px or 0, second order's px or 0, second slot, 0. Carries END.
    SendTail = 39,
    /// oms → gateway, to one that comes in the place of another: an order that can still trade: qty, venue order id (0 =
    /// unknown yet), slot, 0. Its identity stands in the order trace, if it ever left.
    SendKnown = 40,
    /// oms → gateway: as SendNew, of an order that is none: encoded, signed, sealed and let go. Its slot is that of no order.
    SendWarmUp = 41,

    /// gateway → oms: handed to the kernel: cycle, 0, slot, 0.
    Sent = 48,
    /// gateway → oms: refused before the wire: [`NotSent`] as u8, 0 = new order / 1 = cancel, slot, 0.
    NotSent = 49,
    /// Venue accepted: 0, venue order id, slot, 0.
    Acked = 50,
    /// Venue refused a new order: venue error code, [`crate::RejectReason`] as u8 or 0, slot, 0.
    Rejected = 51,
    /// First half of an execution: px, qty, slot, trade id. MAKER when we rested. Followed by FillFee.
    Fill = 52,
    /// Second half: fee mantissa (8 decimals of the fee asset's scale), fee asset id, cumulative qty after
    /// this fill (0 = not said, as in a list of executions), venue order id. Carries END.
    FillFee = 53,
    /// Order gone by cancel: cumulative filled qty, venue order id, slot, 0.
    Cancelled = 54,
    /// Order gone otherwise (IOC remainder, venue's own act): cumulative filled qty, venue order id, slot, 0.
    Expired = 55,
    /// Venue refused a cancel: venue error code, [`crate::RejectReason`] as u8 or 0, slot, 0.
    CancelRejected = 56,
    /// Nobody knows: request lost, timed out or connection gone: 0, 0, slot, 0.
    Unknown = 57,
    /// Answer to a query: status ([`QueryStatus`] as u8), venue order id, slot, cumulative filled qty.
    QueryResult = 58,
    /// Account balance: free mantissa, locked mantissa, asset id, 0.
    Balance = 59,
    /// Order session state: 1 up / 0 down, 1 = the venue has just listed no order open / 0, 0, why no order can succeed
    /// until a person has looked ([`crate::RejectReason`] as u8) or 0.
    Session = 60,
    /// gateway → oms, behind the executions listed for an order: 1 = there are more / 0, next trade id, slot, 0.
    TradesListed = 61,
    /// A stop has woken up and works in the book: 0, venue order id, slot, 0.
    Triggered = 62,

    /// oms → strategy: order state: [`crate::OrderState`] as u8, cumulative filled qty, order id, reason code.
    Order = 72,
    /// oms → strategy: own fill: px, qty, order id, position after it (base mantissa). Flags SELL, MAKER.
    OwnFill = 73,
    /// oms → strategy: trading allowed changed: 1/0, reason code, 1 = only orders that reduce the position / 0, 0.
    Trading = 74,
    /// oms → strategy, to one that comes in the place of another: 0, 0, 0, position (base mantissa).
    Position = 75,
}

impl Kind {
    /// The kind with this code.
    #[inline]
    pub const fn from_u8(code: u8) -> Option<Kind> {
        Some(match code {
            1 => Kind::Top,
            2 => Kind::Trade,
            3 => Kind::Depth,
            4 => Kind::BookState,
            16 => Kind::IntentNew,
            17 => Kind::IntentCancel,
            18 => Kind::IntentCancelAll,
            19 => Kind::IntentReplace,
            20 => Kind::IntentPair,
            21 => Kind::IntentTail,
            22 => Kind::IntentWarmUp,
            32 => Kind::SendNew,
            33 => Kind::SendCancel,
            34 => Kind::SendCancelAll,
            35 => Kind::SendQuery,
            36 => Kind::SendTrades,
            37 => Kind::SendReplace,
            38 => Kind::SendPair,
            39 => Kind::SendTail,
            40 => Kind::SendKnown,
            41 => Kind::SendWarmUp,
            48 => Kind::Sent,
            49 => Kind::NotSent,
            50 => Kind::Acked,
            51 => Kind::Rejected,
            52 => Kind::Fill,
            53 => Kind::FillFee,
            54 => Kind::Cancelled,
            55 => Kind::Expired,
            56 => Kind::CancelRejected,
            57 => Kind::Unknown,
            58 => Kind::QueryResult,
            59 => Kind::Balance,
            60 => Kind::Session,
            61 => Kind::TradesListed,
            62 => Kind::Triggered,
            72 => Kind::Order,
            73 => Kind::OwnFill,
            74 => Kind::Trading,
            75 => Kind::Position,
            _ => return None,
        })
    }
}

/// State of a venue's book as the feed sees it. Nothing trades unless `InSync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BookState {
    /// No connection yet, or the connection is gone.
    #[default]
    Down = 0,
    /// Connected, waiting for a snapshot that bridges the updates.
    Syncing = 1,
    /// Snapshot applied and every update since.
    InSync = 2,
    /// A sequence number is missing; a new snapshot has been asked for.
    Gap = 3,
}

impl BookState {
    /// The state with this code; anything unknown is `Down` (fail safe).
    #[inline]
    pub const fn from_u8(code: u8) -> BookState {
        match code {
            1 => BookState::Syncing,
            2 => BookState::InSync,
            3 => BookState::Gap,
            _ => BookState::Down,
        }
    }
}

/// Life of an order as the oms knows it. What each report does in each state: `orders/order.rs`.
///
/// ```text
///             acked              fill, part                    fill, rest
///   Pending ─────────▶ Live ───────────────────▶ PartiallyFilled ─────────▶ Filled
///    │    │             │ ▲                         │ ▲
///    │    │ cancel sent │ │ cancel rejected         │ │
///    │    └───────────▶ ▼ │ ◀───────────────────────┘ │
///    │               CancelPending ───────────────────┘
///    │ rejected,        │
///    │ not sent         │ cancelled, expired (also straight from Pending, Live and PartiallyFilled)
///    ▼                  ▼
///   Rejected         Cancelled, Expired
///
///   any open state ──── no answer, a contradiction, executions missing ────▶ Unknown
///   Unknown ─────────── ack, query, the missing executions ────────────────▶ any other state
///   any open state ──── fill, part ──▶ PartiallyFilled, or CancelPending still    ──── fill, rest ──▶ Filled
///   Rejected, as we concluded or as the venue refutes ─────────────────────▶ Live, PartiallyFilled, Unknown
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OrderState {
    /// Passed the gate; not acknowledged by the venue.
    #[default]
    Pending = 0,
    /// Resting at the venue.
    Live = 1,
    /// Resting with a part done.
    PartiallyFilled = 2,
    /// Cancel is on its way.
    CancelPending = 3,
    /// Nobody knows; counts as open risk until resolved by query.
    Unknown = 4,
    /// Done: all of it.
    Filled = 5,
    /// Done: cancelled.
    Cancelled = 6,
    /// Done: never accepted.
    Rejected = 7,
    /// Done: ended by the venue.
    Expired = 8,
}

impl OrderState {
    /// The state with this code; anything unknown is `Unknown` (fail safe).
    #[inline]
    pub const fn from_u8(code: u8) -> OrderState {
        match code {
            0 => OrderState::Pending,
            1 => OrderState::Live,
            2 => OrderState::PartiallyFilled,
            3 => OrderState::CancelPending,
            5 => OrderState::Filled,
            6 => OrderState::Cancelled,
            7 => OrderState::Rejected,
            8 => OrderState::Expired,
            _ => OrderState::Unknown,
        }
    }

    /// Whether the order can still trade.
    #[inline]
    pub const fn is_open(self) -> bool {
        (self as u8) <= OrderState::Unknown as u8
    }
}

/// Why the gateway refused to put an order on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum NotSent {
    /// The kill epoch is ahead of this sender.
    Killed = 1,
    /// No order session.
    NoSession = 2,
    /// The intent's time to live ran out.
    Aged = 3,
    /// Bytes of an earlier order are still unsent in the socket.
    Unsent = 4,
    /// The venue's rate budget is spent.
    RateLimited = 5,
    /// The message could not be encoded.
    Encode = 6,
    /// The socket refused the bytes.
    Socket = 7,
    /// A control word or heartbeat that must be fresh was not.
    Unsafe = 8,
    /// The journal cannot take the order's record.
    Journal = 9,
    /// The venue has banned this address for a while.
    Banned = 10,
    /// It was judged under a mode that has been left since.
    ModeChanged = 11,
}

impl NotSent {
    /// All reasons, in code order.
    pub const ALL: [NotSent; 11] = [
        NotSent::Killed,
        NotSent::NoSession,
        NotSent::Aged,
        NotSent::Unsent,
        NotSent::RateLimited,
        NotSent::Encode,
        NotSent::Socket,
        NotSent::Unsafe,
        NotSent::Journal,
        NotSent::Banned,
        NotSent::ModeChanged,
    ];

    /// The reason with this code.
    #[inline]
    pub fn from_u8(code: u8) -> Option<NotSent> {
        Self::ALL.get((code as usize).wrapping_sub(1)).copied()
    }

    /// Name for counters and reports.
    pub const fn name(self) -> &'static str {
        match self {
            NotSent::Killed => "killed",
            NotSent::NoSession => "no_session",
            NotSent::Aged => "aged",
            NotSent::Unsent => "unsent_bytes",
            NotSent::RateLimited => "rate_limited",
            NotSent::Encode => "encode",
            NotSent::Socket => "socket",
            NotSent::Unsafe => "unsafe",
            NotSent::Journal => "journal",
            NotSent::Banned => "banned",
            NotSent::ModeChanged => "mode_changed",
        }
    }
}

/// What the venue says of an order that was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum QueryStatus {
    /// The venue never saw it.
    NotFound = 0,
    /// Open.
    Open = 1,
    /// Fully filled.
    Filled = 2,
    /// Cancelled.
    Cancelled = 3,
    /// Rejected or expired.
    Ended = 4,
}

impl QueryStatus {
    /// The status with this code.
    #[inline]
    pub const fn from_u8(code: u8) -> Option<QueryStatus> {
        Some(match code {
            0 => QueryStatus::NotFound,
            1 => QueryStatus::Open,
            2 => QueryStatus::Filled,
            3 => QueryStatus::Cancelled,
            4 => QueryStatus::Ended,
            _ => return None,
        })
    }
}

/// A hot message. See the module's table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Msg {
    /// [`InstrumentId`].
    pub instrument: u32,
    /// Code of a [`Kind`].
    pub kind: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// Venue, strategy or account number of the sender.
    pub source: u16,
    /// Receive time of the bytes that caused this, [`Ts`], ns.
    pub ts_recv_ns: u64,
    /// Exchange time minus receive time, µs; `i32::MIN` = none.
    pub exch_delta_us: i32,
    /// Low bits of the venue's sequence number.
    pub venue_seq: u32,
    /// Four words, meaning by kind.
    pub body: [i64; 4],
}

const _: () = {
    assert!(size_of::<Msg>() == 56 && align_of::<Msg>() == 8);
    assert!(core::mem::offset_of!(Msg, instrument) == 0);
    assert!(core::mem::offset_of!(Msg, kind) == 4);
    assert!(core::mem::offset_of!(Msg, flags) == 5);
    assert!(core::mem::offset_of!(Msg, source) == 6);
    assert!(core::mem::offset_of!(Msg, ts_recv_ns) == 8);
    assert!(core::mem::offset_of!(Msg, exch_delta_us) == 16);
    assert!(core::mem::offset_of!(Msg, venue_seq) == 20);
    assert!(core::mem::offset_of!(Msg, body) == 24);
};

impl Msg {
    /// An empty message of a kind.
    #[inline]
    pub fn new(kind: Kind, instrument: InstrumentId, ts_recv: Ts) -> Msg {
        Msg {
            instrument: instrument.0,
            kind: kind as u8,
            ts_recv_ns: ts_recv.0,
            exch_delta_us: i32::MIN,
            ..Msg::default()
        }
    }

    /// The same with these flags.
    #[inline]
    pub fn flags(mut self, flags: u8) -> Msg {
        self.flags = flags;
        self
    }

    /// The same with this body.
    #[inline]
    pub fn body(mut self, body: [i64; 4]) -> Msg {
        self.body = body;
        self
    }

    /// What this message is, `None` when the code is unknown.
    #[inline]
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_u8(self.kind)
    }

    /// The instrument.
    #[inline]
    pub fn instrument(&self) -> InstrumentId {
        InstrumentId(self.instrument)
    }

    /// Receive time of the cause.
    #[inline]
    pub fn ts_recv(&self) -> Ts {
        Ts(self.ts_recv_ns)
    }

    /// Whether all bits of `flags` are set.
    #[inline]
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// Side by the SELL flag.
    #[inline]
    pub fn side(&self) -> crate::Side {
        if self.has(flag::SELL) { crate::Side::Sell } else { crate::Side::Buy }
    }

    /// The same with this order kind in its flags.
    #[inline]
    pub fn with_order_type(mut self, kind: OrderType) -> Msg {
        self.flags = self.flags & !flag::ORDER_TYPE | (kind as u8) << 1;
        self
    }

    /// The order kind in the flags of an intent or order, `None` when the bits are no kind.
    #[inline]
    pub fn order_type(&self) -> Option<OrderType> {
        OrderType::from_u8((self.flags & flag::ORDER_TYPE) >> 1)
    }

    /// The same, judged under this change of mode (24 bits): what the gateway holds an order against.
    #[inline]
    pub fn with_mode_change(mut self, change: u32) -> Msg {
        self.exch_delta_us = (change & MODE_CHANGES) as i32;
        self
    }

    /// The change of mode under which an order on its way to the gateway was judged, wrapping at 2^24.
    #[inline]
    pub fn mode_change(&self) -> u32 {
        self.exch_delta_us as u32 & MODE_CHANGES
    }

    /// Whether an order on its way to the gateway was judged under an earlier mode than that of `change`.
    #[inline]
    pub fn is_of_earlier_mode(&self, change: u32) -> bool {
        let behind = change.wrapping_sub(self.mode_change()) & MODE_CHANGES;
        behind != 0 && behind <= MODE_CHANGES / 2
    }

    /// Whether this intent or order is the first of two slots.
    #[inline]
    pub fn has_tail(&self) -> bool {
        match self.kind() {
            Some(Kind::IntentNew | Kind::SendNew) => self.order_type().is_some_and(OrderType::has_stop),
            Some(Kind::IntentReplace | Kind::IntentPair | Kind::SendReplace | Kind::SendPair) => true,
            _ => false,
        }
    }

    /// Cause and time to live packed as intents carry them in `body[3]`.
    #[inline]
    pub fn pack_cause(cause: u32, ttl_us: u32) -> i64 {
        (cause as u64 | (ttl_us as u64) << 32) as i64
    }

    /// Market-ring sequence number (low bits) of the event that caused this intent.
    #[inline]
    pub fn cause(&self) -> u32 {
        self.body[3] as u64 as u32
    }

    /// Time to live of this intent from `ts_recv`, µs.
    #[inline]
    pub fn ttl_us(&self) -> u32 {
        (self.body[3] as u64 >> 32) as u32
    }

    /// As ring words.
    #[inline]
    pub fn to_words(&self) -> [u64; MSG_WORDS] {
        [
            self.instrument as u64
                | (self.kind as u64) << 32
                | (self.flags as u64) << 40
                | (self.source as u64) << 48,
            self.ts_recv_ns,
            self.exch_delta_us as u32 as u64 | (self.venue_seq as u64) << 32,
            self.body[0] as u64,
            self.body[1] as u64,
            self.body[2] as u64,
            self.body[3] as u64,
        ]
    }

    /// From ring words. Total: any words are a message.
    #[inline]
    pub fn from_words(w: [u64; MSG_WORDS]) -> Msg {
        Msg {
            instrument: w[0] as u32,
            kind: (w[0] >> 32) as u8,
            flags: (w[0] >> 40) as u8,
            source: (w[0] >> 48) as u16,
            ts_recv_ns: w[1],
            exch_delta_us: w[2] as u32 as i32,
            venue_seq: (w[2] >> 32) as u32,
            body: [w[3] as i64, w[4] as i64, w[5] as i64, w[6] as i64],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_follow_the_byte_table() {
        let m = Msg {
            instrument: 0x0403_0201,
            kind: 0x05,
            flags: 0x06,
            source: 0x0807,
            ts_recv_ns: 0x100f_0e0d_0c0b_0a09,
            exch_delta_us: -2,
            venue_seq: 0x1817_1615,
            body: [1, -1, i64::MAX, i64::MIN],
        };
        let w = m.to_words();
        assert_eq!(Msg::from_words(w), m);
        let bytes: Vec<u8> = w.iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!(&bytes[..16], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(&bytes[16..24], &[0xfe, 0xff, 0xff, 0xff, 0x15, 0x16, 0x17, 0x18]);
    }

    #[test]
    fn every_kind_code_round_trips() {
        let known: Vec<u8> = (0..=255).filter(|c| Kind::from_u8(*c).is_some()).collect();
        assert_eq!(known.len(), 40);
        for c in known {
            assert_eq!(Kind::from_u8(c).map(|k| k as u8), Some(c));
        }
        for s in 0..9 {
            assert_eq!(OrderState::from_u8(s) as u8, s);
        }
        assert!(OrderState::from_u8(200).is_open());
        for r in NotSent::ALL {
            assert_eq!(NotSent::from_u8(r as u8), Some(r));
        }
        assert_eq!(NotSent::from_u8(0), None);
    }

    #[test]
    fn order_types_travel_in_flags_and_touch_no_other() {
        for flags in 0..=u8::MAX {
            let m = Msg::new(Kind::IntentNew, InstrumentId(1), Ts(5)).flags(flags);
            for kind in OrderType::ALL {
                let with = m.with_order_type(kind);
                assert_eq!(with.order_type(), Some(kind));
                assert_eq!(with.flags & !flag::ORDER_TYPE, flags & !flag::ORDER_TYPE);
            }
        }
        assert_eq!(Msg::default().flags(flag::ORDER_TYPE).order_type(), None);
    }

    #[test]
    fn cause_and_ttl_share_a_word() {
        let m =
            Msg::new(Kind::IntentNew, InstrumentId(1), Ts(5)).body([1, 2, 3, Msg::pack_cause(u32::MAX, 7)]);
        assert_eq!((m.cause(), m.ttl_us()), (u32::MAX, 7));
    }
}
