//! Words by which the main thread steers the agents and learns that they are done.
//!
//! Each agent reads them once a cycle; they are inputs like any other. The kill epoch is not here: it has a
//! segment of its own that outlives the process (crate `kill`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crossbeam_utils::CachePadded;

/// What the engine as a whole is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Trading, as far as every check allows.
    Run = 0,
    /// Quoting stops, open orders are cancelled and confirmed, balances are read.
    Quiesce = 1,
}

/// How far the gateway's stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StopState {
    /// None asked for.
    None = 0,
    /// Under way.
    Running = 1,
    /// The venue listed no open order twice, then the balances.
    Confirmed = 2,
    /// The deadline passed first.
    TimedOut = 3,
}

/// One writer each, on lines of their own: with an agent a core, three agents read `mode` in every cycle, and the
/// oms writes its count with every order.
#[derive(Debug, Default)]
struct Words {
    /// Written by the main thread.
    mode: CachePadded<AtomicU8>,
    gateway: CachePadded<GatewayWords>,
    /// Written by the oms.
    orders_open: CachePadded<AtomicU32>,
}

/// Written by the gateway.
#[derive(Debug, Default)]
struct GatewayWords {
    stop: AtomicU8,
    quiescing: AtomicU8,
    session_ready: AtomicU8,
}

/// Shared by the main thread and the agents.
#[derive(Clone, Debug, Default)]
pub struct Controls {
    words: Arc<Words>,
}

impl Controls {
    /// The current mode.
    #[inline]
    pub fn mode(&self) -> Mode {
        // Acquire: partner of the Release in `quiesce`.
        if self.words.mode.load(Ordering::Acquire) == Mode::Run as u8 { Mode::Run } else { Mode::Quiesce }
    }

    /// Asks for a clean stop. There is no way back: nothing resumes by itself.
    pub fn quiesce(&self) {
        self.words.mode.store(Mode::Quiesce as u8, Ordering::Release);
    }

    /// Written by the gateway.
    pub fn publish_stop(&self, state: StopState) {
        // Release: partner of the Acquire in `stop`, so that reports sent before it have been sent.
        self.words.gateway.stop.store(state as u8, Ordering::Release);
    }

    /// Progress of the stop.
    pub fn stop(&self) -> StopState {
        match self.words.gateway.stop.load(Ordering::Acquire) {
            0 => StopState::None,
            1 => StopState::Running,
            2 => StopState::Confirmed,
            _ => StopState::TimedOut,
        }
    }

    /// Written by the gateway: the order session is ready for orders.
    pub fn publish_session(&self, ready: bool) {
        // Release: partner of the Acquire in `session_ready`; whoever sees it false sees the stop that ended it.
        self.words.gateway.session_ready.store(ready as u8, Ordering::Release);
    }

    /// Whether the order session was ready when last said.
    pub fn session_ready(&self) -> bool {
        self.words.gateway.session_ready.load(Ordering::Acquire) == 1
    }

    /// Written by the gateway: it has seen [`Controls::quiesce`], and what it publishes of its stop from here on is
    /// about that.
    pub fn publish_quiescing(&self) {
        // Release: partner of the Acquire in `is_quiet`, so that the stop it began is seen with it.
        self.words.gateway.quiescing.store(1, Ordering::Release);
    }

    /// Whether the gateway is done with a clean stop: its stop, begun after that was asked for, has ended, and no
    /// session carries orders.
    pub fn has_stopped(&self) -> bool {
        self.words.gateway.quiescing.load(Ordering::Acquire) == 1
            && !self.session_ready()
            && self.stop() != StopState::Running
    }

    /// Whether a clean stop has nothing left to do: the gateway is done with it, and no order of ours can still
    /// trade.
    pub fn is_quiet(&self) -> bool {
        self.has_stopped() && self.orders_open() == 0
    }

    /// Written by the oms each cycle in which it changed: orders that can still trade.
    pub fn publish_orders_open(&self, n: u32) {
        self.words.orders_open.store(n, Ordering::Release);
    }

    /// Orders that could still trade when the oms last said.
    pub fn orders_open(&self) -> u32 {
        self.words.orders_open.load(Ordering::Acquire)
    }
}
