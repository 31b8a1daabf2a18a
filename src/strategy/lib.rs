//! The strategy contract: what a strategy hears, and how it says what it wants.
//!
//! A strategy is pure logic. It has no clock (time arrives with events), no ring, no socket and no random
//! source, so the same code runs live, on paper, in backtest and in replay, and the same events give the same
//! intents. It asks; the risk gate decides.
//!
//! Per event the runner calls [`Intents::begin`] with the event's sequence number and receive time, then one
//! callback, then sends [`Intents::as_slice`] and calls [`Intents::clear`].

#![forbid(unsafe_code)]

mod intents;

use wire::{Msg, Ts};

pub use intents::{INTENTS_MAX, IntentError, Intents, NewIntent};

/// A strategy. Callbacks must not allocate, block, or panic, and should take a few hundred nanoseconds.
pub trait Strategy: Send {
    /// Name for logs and counters.
    fn name(&self) -> &str;

    /// Market data: `Top`, `Trade`, `Depth`, `BookState`. `seq` is the event's number in the market ring.
    fn on_market(&mut self, seq: u64, m: &Msg, out: &mut Intents);

    /// What became of our wishes: `Order`, `OwnFill`, `Trading`.
    fn on_order(&mut self, m: &Msg, out: &mut Intents);

    /// Time passed. Called on the engine's slow beat.
    fn on_timer(&mut self, now: Ts, out: &mut Intents);

    /// Nothing has happened for a while: ask for an order as it would be asked for now, to keep the way of one warm.
    /// Nothing may be remembered of it: what is written into `out` here is no order, has no id, and gets no answer. Asking
    /// for none keeps nothing warm.
    fn warm_up(&mut self, out: &mut Intents) {
        let _ = out;
    }

    /// Trading ends: withdraw what is open. Nothing else is called afterwards.
    fn on_stop(&mut self, out: &mut Intents);
}
