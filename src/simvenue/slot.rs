//! One accepted connection and what it has become.

use super::handle::ConnKind;
use net::ServerConn;
use wire::Ts;

/// A connection being served.
pub(super) struct Slot {
    /// Its number with the venue.
    pub(super) id: u32,
    pub(super) conn: ServerConn,
    pub(super) kind: ConnKind,
    /// An order has been placed on it.
    pub(super) placed: bool,
    pub(super) blackhole: bool,
    /// Has something to do besides what its socket says.
    pub(super) busy: bool,
    /// Place in the pause's list.
    pub(super) place: Option<usize>,
    /// When an HTTP request on it was last answered.
    pub(super) answered_at: Option<Ts>,
    /// When it was told to end.
    pub(super) closing_at: Option<Ts>,
    pub(super) pinged_at: Ts,
    pub(super) ponged_at: Ts,
}

impl Slot {
    pub(super) fn new(id: u32, conn: ServerConn) -> Slot {
        Slot {
            id,
            conn,
            kind: ConnKind::Rest,
            placed: false,
            blackhole: false,
            busy: true,
            place: None,
            answered_at: None,
            closing_at: None,
            pinged_at: Ts(0),
            ponged_at: Ts(0),
        }
    }

    pub(super) fn is(&self, kind: ConnKind) -> bool {
        match kind {
            ConnKind::All => true,
            ConnKind::Orders => self.placed,
            _ => kind == self.kind,
        }
    }

    /// It has been upgraded for `target`.
    pub(super) fn upgraded(&mut self, target: &str, now: Ts) {
        self.kind = if target.starts_with("/ws-api/") { ConnKind::Api } else { ConnKind::Market };
        self.pinged_at = now;
        self.ponged_at = now;
        self.busy = true;
    }
}
