//! Why nothing trades, and why an order was refused: codes that travel to strategies and reports.

/// Why trading is off, as strategies and operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Halt {
    /// Trading.
    None = 0,
    /// The kill switch tripped.
    Killed = 1,
    /// A clean stop is under way.
    Quiesce = 2,
    /// No order session, or its opening sequence is not done.
    Session = 3,
    /// Opening balances are not known, or balances listed since have not been compared with the ledger yet.
    Balances = 4,
    /// The state of an order is unknown.
    UnknownOrder = 5,
    /// Reports contradict each other or exceed an order; a person must reconcile.
    Conflict = 6,
    /// The ledger refused a booking; a person must reconcile.
    Ledger = 7,
    /// The strategy's ring overflowed: it missed an answer and must not go on.
    Updates = 8,
    /// With nothing open the venue's balances are not what the ledger expects; a person must reconcile.
    Differs = 9,
    /// An operator has paused trading.
    Pause = 10,
    /// An operator has called an emergency: everything is cancelled.
    Emergency = 11,
    /// Orders of before the reduce mode are being withdrawn.
    Withdrawing = 12,
    /// The journal cannot go on: no record, no new risk. Stays until a restart.
    Journal = 13,
    /// The venue refuses key, signature or permission: no order can succeed until a person has looked.
    Credentials = 14,
    /// Orders ended of which the account stream said nothing. Trading waits, and tries again ever more seldom.
    AccountStream = 15,
    /// The strategy lives in a process of its own, and none is there.
    Strategy = 16,
    /// The gateway lives in a process of its own, and none is there.
    Gateway = 17,
}

impl Halt {
    /// Name for reports.
    pub const fn name(self) -> &'static str {
        match self {
            Halt::None => "none",
            Halt::Killed => "killed",
            Halt::Quiesce => "quiesce",
            Halt::Session => "session",
            Halt::Balances => "balances",
            Halt::UnknownOrder => "unknown_order",
            Halt::Conflict => "conflict",
            Halt::Ledger => "ledger",
            Halt::Updates => "updates_lost",
            Halt::Differs => "balances_differ",
            Halt::Pause => "pause",
            Halt::Emergency => "emergency",
            Halt::Credentials => "credentials_refused",
            Halt::Withdrawing => "withdrawing",
            Halt::Journal => "journal",
            Halt::AccountStream => "account_stream_silent",
            Halt::Strategy => "strategy_away",
            Halt::Gateway => "gateway_away",
        }
    }

    /// All of them, in the order of their codes.
    pub const ALL: [Halt; 18] = [
        Halt::None,
        Halt::Killed,
        Halt::Quiesce,
        Halt::Session,
        Halt::Balances,
        Halt::UnknownOrder,
        Halt::Conflict,
        Halt::Ledger,
        Halt::Updates,
        Halt::Differs,
        Halt::Pause,
        Halt::Emergency,
        Halt::Withdrawing,
        Halt::Journal,
        Halt::Credentials,
        Halt::AccountStream,
        Halt::Strategy,
        Halt::Gateway,
    ];

    /// From its code; what is no code reads as a conflict, which nobody takes for trading.
    pub fn from_u8(code: u8) -> Halt {
        Halt::ALL.get(code as usize).copied().unwrap_or(Halt::Conflict)
    }
}

/// Reason codes of refusals that reach the strategy: gate reasons are 100 + [`risk::Reject::index`].
pub mod reason {
    /// The order table is full, or refuses the order.
    pub const TABLE: i64 = 2;
    /// The order ring is full.
    pub const ORDER_RING_FULL: i64 = 3;
    /// The order to be replaced is not there, not live, or of another instrument.
    pub const NOT_REPLACEABLE: i64 = 4;
    /// First code of the gate's reasons.
    pub const GATE: i64 = 100;
    /// First code of [`wire::RejectReason`]s: the venue refused.
    pub const VENUE: i64 = 300;
    /// First code of [`wire::NotSent`] reasons.
    pub const NOT_SENT: i64 = 200;
}
