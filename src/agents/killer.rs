//! The kill agent: [`kill::KillDuty`] on a thread of its own, watching lines, SIGUSR1, commands and heartbeats.

use agent::{Agent, Cycle};
use kill::{ControlError, KillDuty, KillView, SenderAck};
use net::AbortHandle;
use stats::BeatReader;
use wire::Ts;

use std::sync::{Arc, Mutex, PoisonError};

/// The descriptor through which the kill thread can cut a sender's order connection without its help. Connections
/// that carry no new order are not cut: what the venue says of fills and cancels while a sender hangs waits in them.
#[derive(Clone, Debug, Default)]
pub struct Handles {
    orders: Arc<Mutex<Option<AbortHandle>>>,
}

impl Handles {
    /// Puts the descriptor of the connection that carries orders in its place; that of an older one is let go.
    pub fn put(&self, handle: AbortHandle) {
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
    }

    /// Cuts the connection that carries orders, if there is one.
    pub fn abort(&self) -> bool {
        match self.orders.try_lock() {
            Ok(mut handle) => {
                if let Some(handle) = handle.take() {
                    // A connection that has ended by itself cannot be cut again.
                    let _ = handle.abort();
                }
                true
            }
            // The sender holds it this very moment: looked at again in the next cycle.
            Err(_) => false,
        }
    }
}

/// The kill agent.
pub struct KillAgent {
    duty: KillDuty,
    beats: Vec<BeatReader>,
    last: Vec<Ts>,
    senders: Vec<Handles>,
}

impl KillAgent {
    /// Watches `beats`, in the order in which the duty was told of the agents, and cuts `senders`, in the order of
    /// the switch's.
    pub fn new(duty: KillDuty, beats: Vec<BeatReader>, senders: Vec<Handles>) -> KillAgent {
        let last = vec![Ts(0); beats.len()];
        KillAgent { duty, beats, last, senders }
    }

    /// What senders look at.
    pub fn view(&self) -> KillView {
        self.duty.switch().view()
    }

    /// The acknowledging end of a sender, once.
    ///
    /// # Errors
    /// No such sender, or handed out before.
    pub fn sender(&self, name: &str) -> Result<SenderAck, ControlError> {
        self.duty.switch().sender(name)
    }

    /// The duty.
    pub fn duty(&self) -> &KillDuty {
        &self.duty
    }
}

impl Agent for KillAgent {
    fn name(&self) -> &str {
        "kill"
    }

    fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
        for (last, beat) in self.last.iter_mut().zip(&self.beats) {
            *last = beat.last();
        }
        let senders = &self.senders;
        let before = self.duty.state();
        // An agent may beat after this cycle's time was read: the clock is read again.
        let abort = &mut |i: usize| senders.get(i).is_none_or(Handles::abort);
        let after = self.duty.cycle(|| cycle.stamp(), &self.last, abort);
        (before != after) as usize
    }
}
