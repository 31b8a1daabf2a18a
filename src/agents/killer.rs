//! The kill agent: [`kill::KillDuty`] on a thread of its own, watching lines, SIGUSR1, commands and heartbeats.

use agent::{Agent, Cycle};
use kill::{ControlError, KillDuty, KillView, RearmError, SenderAck};
use net::AbortHandle;
use stats::BeatReader;
use wire::Ts;

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The descriptor through which the kill thread can cut a sender's order connection without its help. Connections
/// that carry no new order are not cut: what the venue says of fills and cancels while a sender hangs waits in them.
#[derive(Clone, Debug, Default)]
pub struct Handles {
    orders: Arc<Mutex<Option<AbortHandle>>>,
    /// Where they go when the kill thread lives in another process.
    door: Option<Arc<UnixStream>>,
}

impl Handles {
    /// Handles of a sender whose kill thread is at the other end of this socket: each is handed over as it is put.
    pub fn across(door: Arc<UnixStream>) -> Handles {
        Handles { orders: Arc::default(), door: Some(door) }
    }

    /// Puts the descriptor of the connection that carries orders in its place; that of an older one is let go.
    pub fn put(&self, handle: AbortHandle) {
        if let Some(door) = &self.door {
            // One who does not take it has ended, and this sender with him.
            let _ = rings::hand_over(door, handle.fd());
            return;
        }
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

/// Where a re-arm of the running engine is asked for; the kill thread, which owns latch and epoch, carries it out in
/// its next cycle.
#[derive(Clone, Debug, Default)]
pub struct RearmDesk {
    asked: Arc<AtomicBool>,
    state: Arc<Mutex<RearmState>>,
}

#[derive(Debug, Default)]
enum RearmState {
    #[default]
    Idle,
    Asked {
        trip_id: String,
        uid: u32,
    },
    Answered(Result<(), RearmError>),
}

impl RearmDesk {
    /// Asks for the trip of this id to be re-armed, as user `uid`, who must own the state directory; `false` while
    /// another request is under way.
    pub fn ask(&self, trip_id: &str, uid: u32) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, RearmState::Asked { .. }) {
            return false;
        }
        *state = RearmState::Asked { trip_id: trip_id.to_owned(), uid };
        // Release: partner of the Acquire in the kill thread's cycle.
        self.asked.store(true, Ordering::Release);
        true
    }

    /// The answer, once; `None` while there is none.
    pub fn answer(&self) -> Option<Result<(), RearmError>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *state) {
            RearmState::Answered(answer) => Some(answer),
            other => {
                *state = other;
                None
            }
        }
    }
}

/// The kill agent.
pub struct KillAgent {
    duty: KillDuty,
    beats: Vec<BeatReader>,
    last: Vec<Ts>,
    senders: Vec<Handles>,
    rearm: RearmDesk,
}

impl KillAgent {
    /// Watches `beats`, in the order in which the duty was told of the agents, and cuts `senders`, in the order of
    /// the switch's.
    pub fn new(duty: KillDuty, beats: Vec<BeatReader>, senders: Vec<Handles>) -> KillAgent {
        let last = vec![Ts(0); beats.len()];
        KillAgent { duty, beats, last, senders, rearm: RearmDesk::default() }
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

    /// Where a re-arm is asked for.
    pub fn rearm_desk(&self) -> RearmDesk {
        self.rearm.clone()
    }

    #[cold]
    fn answer_rearm(&mut self, now: Ts) {
        // Held by whoever asks, for a moment: looked at again in the next cycle.
        let Ok(mut state) = self.rearm.state.try_lock() else { return };
        self.rearm.asked.store(false, Ordering::Relaxed);
        if let RearmState::Asked { trip_id, uid } = &*state {
            let answer = self.duty.rearm(now, &self.last, trip_id, *uid);
            *state = RearmState::Answered(answer);
        }
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
        self.duty.cycle(|| cycle.stamp(), &self.last, abort);
        if self.rearm.asked.load(Ordering::Acquire) {
            self.answer_rearm(cycle.stamp());
        }
        let after = self.duty.state();
        (before != after) as usize
    }
}
