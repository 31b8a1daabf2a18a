//! Plain counts of one link; the agent copies them into its statistics cells on its housekeeping beat.

use super::CloseReason;

/// Kinds of [`CloseReason`].
pub const REASONS: usize = 12;

/// Names of the kinds, in the order of [`CloseReason::index`].
pub const REASON_NAMES: [&str; REASONS] = [
    "peer_close",
    "eof",
    "truncated",
    "reset",
    "io",
    "idle",
    "protocol",
    "binary",
    "tls",
    "aborted",
    "backlog",
    "overrun",
];

impl CloseReason {
    /// Which of [`REASON_NAMES`] this is.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::PeerClose { .. } => 0,
            Self::Eof => 1,
            Self::Truncated => 2,
            Self::Reset => 3,
            Self::Io { .. } => 4,
            Self::Idle { .. } => 5,
            Self::Protocol(_) => 6,
            Self::Binary => 7,
            Self::Tls(_) => 8,
            Self::Aborted => 9,
            Self::Backlog => 10,
            Self::Overrun => 11,
        }
    }

    /// The kind in lower case, for counters.
    #[must_use]
    pub fn name(self) -> &'static str {
        REASON_NAMES[self.index()]
    }
}

/// Counts since the link was made; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Bytes received from the socket, before decryption.
    pub bytes_in: u64,
    /// Warm-ups made: frames sealed and thrown away.
    pub warm_ups: u64,
    /// Bytes the kernel took, after encryption.
    pub bytes_out: u64,
    /// Frames decoded, of every kind.
    pub frames_in: u64,
    /// Text messages delivered.
    pub messages_in: u64,
    /// Text messages accepted by `send`.
    pub messages_out: u64,
    /// Pings received, each answered.
    pub pings_in: u64,
    /// Pings sent on a quiet connection.
    pub pings_out: u64,
    /// Pongs received.
    pub pongs_in: u64,
    /// Sessions adopted.
    pub ups: u64,
    /// Messages withheld by the last check.
    pub withheld: u64,
    /// Sends of which the kernel did not take everything at once.
    pub partial_sends: u64,
    /// Ends of connections by [`CloseReason::index`].
    pub downs: [u64; REASONS],
}

impl LinkCounters {
    /// Sessions after the first.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.ups.saturating_sub(1)
    }
}
