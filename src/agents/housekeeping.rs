//! The cold side: REST requests on a thread of their own, handed over through in-process queues.
//!
//! Nothing here is on the trading thread's path. The queues are rtrb: both ends live in this process and carry
//! owned memory, so they need no shared segment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use net::Endpoint;
use net::http::{CallConfig, Request, call};
use rtrb::{Consumer, Producer, RingBuffer};
use venue::{FeedSession, Snapshot};
use wire::InstrumentId;

use crate::agents::feed::{SnapshotAnswer, SnapshotSource};

/// Snapshot requests and answers under way at most.
const QUEUE: usize = 16;
/// How long the thread sleeps when there is nothing to do.
const NAP: Duration = Duration::from_millis(1);

/// The feed's end: asks, and takes parsed snapshots.
pub struct SnapshotQueue {
    requests: Producer<InstrumentId>,
    answers: Consumer<SnapshotAnswer>,
    used: Producer<Snapshot>,
}

impl SnapshotSource for SnapshotQueue {
    fn request(&mut self, instrument: InstrumentId) -> bool {
        self.requests.push(instrument).is_ok()
    }

    fn poll(&mut self) -> Option<SnapshotAnswer> {
        self.answers.pop().ok()
    }

    fn recycle(&mut self, snapshot: Snapshot) {
        // A full queue cannot happen (as many as were asked for); then the memory is freed here.
        let _ = self.used.push(snapshot);
    }
}

/// What fetching has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotReport {
    /// Snapshots fetched and parsed.
    pub fetched: u64,
    /// Requests that brought none.
    pub failed: u64,
    /// Why the last of these did not.
    pub last_error: Option<String>,
}

/// The thread that fetches and parses snapshots.
pub struct SnapshotWorker {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    report: Arc<Mutex<SnapshotReport>>,
}

impl SnapshotWorker {
    /// Starts the thread. `session` knows the targets and parses the bodies.
    ///
    /// # Errors
    /// The system gave no thread.
    pub fn spawn<V: FeedSession + Send + 'static>(
        endpoint: Endpoint,
        session: V,
        config: CallConfig,
    ) -> std::io::Result<(SnapshotQueue, SnapshotWorker)> {
        let (requests, request_end) = RingBuffer::new(QUEUE);
        let (answer_end, answers) = RingBuffer::new(QUEUE);
        let (used, used_end) = RingBuffer::new(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let report = Arc::new(Mutex::new(SnapshotReport::default()));
        let told = report.clone();
        let thread = std::thread::Builder::new().name("snapshots".into()).spawn(move || {
            fetch_loop(&endpoint, &session, &config, request_end, answer_end, used_end, &seen, &told);
        })?;
        Ok((SnapshotQueue { requests, answers, used }, SnapshotWorker { thread: Some(thread), stop, report }))
    }

    /// What fetching has come to so far.
    pub fn report(&self) -> SnapshotReport {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the thread; a request under way ends by its own deadlines and is not waited for.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.is_finished()
        {
            let _ = thread.join();
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "ends of queues and what to ask for, moved in once")]
fn fetch_loop<V: FeedSession>(
    endpoint: &Endpoint,
    session: &V,
    config: &CallConfig,
    mut requests: Consumer<InstrumentId>,
    mut answers: Producer<SnapshotAnswer>,
    mut used: Consumer<Snapshot>,
    stop: &AtomicBool,
    report: &Mutex<SnapshotReport>,
) {
    while !stop.load(Ordering::Acquire) {
        while used.pop().is_ok() {}
        let Ok(instrument) = requests.pop() else {
            std::thread::sleep(NAP);
            continue;
        };
        let fetched = fetch(endpoint, session, config, instrument);
        {
            let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
            report.fetched += fetched.is_ok() as u64;
            report.failed += fetched.is_err() as u64;
            if let Err(why) = &fetched {
                report.last_error = Some(why.clone());
            }
        }
        let answer = match fetched {
            Ok(snapshot) => SnapshotAnswer::Ready(snapshot),
            Err(_) => SnapshotAnswer::Failed(instrument),
        };
        if answers.push(answer).is_err() {
            return; // the feed is gone
        }
    }
}

fn fetch<V: FeedSession>(
    endpoint: &Endpoint,
    session: &V,
    config: &CallConfig,
    instrument: InstrumentId,
) -> Result<Snapshot, String> {
    let target = session.snapshot_target(instrument);
    let failed = |why: String| format!("GET {target}: {why}");
    let mut response =
        call(endpoint, &Request::get(&target), config).map_err(|error| failed(error.to_string()))?;
    if response.status != 200 {
        return Err(failed(format!("status {}", response.status)));
    }
    session.parse_snapshot(instrument, &mut response.body).map_err(|error| failed(error.to_string()))
}
