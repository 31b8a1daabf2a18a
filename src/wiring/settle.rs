//! Waiting for the end of a clean stop, or of the stop that follows a trip.

use std::time::{Duration, Instant};

use super::Live;
use crate::controls::StopState;

/// How long a clean stop may take before it is reported as not confirmed.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
/// How long after it the answers to questions about single orders may take.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(5);

impl Live {
    /// Waits until the clean stop has nothing left to do, at most for its deadline; `true` when a trip came in
    /// between.
    pub fn wait_quiet(&self) -> bool {
        let began = Instant::now();
        let mut stopped: Option<Instant> = None;
        while began.elapsed() < STOP_DEADLINE && !self.controls.is_quiet() {
            if self.controls.has_stopped()
                && stopped.get_or_insert_with(Instant::now).elapsed() > LAST_ANSWERS
            {
                return false; // orders that no answer explains: the comparison will say so
            }
            if self.kill().tripped {
                return true;
            }
            if self.is_dead() {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        false
    }

    /// Whether the stop that follows a trip has ended, and the oms knows how every order ended.
    pub fn has_stopped(&self) -> bool {
        let shut = self.kill().senders.iter().all(|s| s.acked.is_some() || s.aborted.is_some());
        let ended = matches!(self.controls.stop(), StopState::Confirmed | StopState::TimedOut);
        shut && ended && self.controls.orders_open() == 0
    }

    /// Waits for that, at most for its deadline.
    pub fn wait_stopped(&self) {
        let began = Instant::now();
        // The gateway acknowledges and publishes `Running` in one cycle; before that an older outcome may stand.
        while began.elapsed() < STOP_DEADLINE && !self.is_dead() && !self.has_stopped() {
            std::thread::sleep(LOOK);
        }
    }
}
