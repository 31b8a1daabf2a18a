//! Snapshots in memory: the feed's request becomes an HTTP request to the simulated venue in the same thread.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use venue::Snapshot;
use wire::InstrumentId;

use crate::agents::feed::{SnapshotAnswer, SnapshotSource};

#[derive(Debug, Default)]
struct Queues {
    requests: VecDeque<InstrumentId>,
    answers: VecDeque<SnapshotAnswer>,
}

/// Both ends of the queue between feed and runner.
#[derive(Clone, Debug, Default)]
pub struct MemSnapshots {
    queues: Arc<Mutex<Queues>>,
}

impl MemSnapshots {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // One thread: never contended.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runner's end: the next request.
    pub fn take_request(&self) -> Option<InstrumentId> {
        self.lock().requests.pop_front()
    }

    /// The runner's end: an answer.
    pub fn answer(&self, answer: SnapshotAnswer) {
        self.lock().answers.push_back(answer);
    }
}

impl SnapshotSource for MemSnapshots {
    fn request(&mut self, instrument: InstrumentId) -> bool {
        self.lock().requests.push_back(instrument);
        true
    }

    fn poll(&mut self) -> Option<SnapshotAnswer> {
        self.lock().answers.pop_front()
    }

    fn recycle(&mut self, _: Snapshot) {}
}
