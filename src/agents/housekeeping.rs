//! The cold side: REST requests on a thread of their own, handed over through in-process queues.
//!
//! Nothing here is on the trading thread's path. The queues are rtrb: both ends live in this process and carry
//! owned memory, so they need no shared segment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use agent::Clock;
use net::Endpoint;
use net::http::{CallConfig, Request, Response, call};
use rtrb::{Consumer, Producer, RingBuffer};
use venue::{FeedSession, Snapshot};
use wire::{InstrumentId, Ts};

use crate::agents::feed::{SnapshotAnswer, SnapshotSource};
use crate::rate_book::{RateBook, SharedRates};

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
    /// Starts the thread. `session` knows the targets and parses the bodies; `rates` says whether a request may leave
    /// and hears what the venue counts.
    ///
    /// # Errors
    /// The system gave no thread.
    pub fn spawn<V: FeedSession + Send + 'static>(
        endpoint: Endpoint,
        session: V,
        config: CallConfig,
        rates: SharedRates,
        clock: Clock,
    ) -> std::io::Result<(SnapshotQueue, SnapshotWorker)> {
        let (requests, request_end) = RingBuffer::new(QUEUE);
        let (answer_end, answers) = RingBuffer::new(QUEUE);
        let (used, used_end) = RingBuffer::new(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let report = Arc::new(Mutex::new(SnapshotReport::default()));
        let told = report.clone();
        let thread = std::thread::Builder::new().name("snapshots".into()).spawn(move || {
            let ask = |instrument| fetch(&endpoint, &session, &config, &rates, &clock, instrument);
            fetch_loop(ask, request_end, answer_end, used_end, &seen, &told);
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

fn fetch_loop(
    ask: impl Fn(InstrumentId) -> Result<Snapshot, String>,
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
        let fetched = ask(instrument);
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
    rates: &SharedRates,
    clock: &Clock,
    instrument: InstrumentId,
) -> Result<Snapshot, String> {
    let target = session.snapshot_target(instrument);
    let failed = |why: String| format!("GET {target}: {why}");
    let now = clock.now();
    if !rates.take_rest(session.snapshot_weight(), now) {
        let why =
            if rates.is_banned(now) { "the venue has banned this address" } else { "no request weight left" };
        return Err(failed(why.to_owned()));
    }
    let mut response =
        call(endpoint, &Request::get(&target), config).map_err(|error| failed(error.to_string()))?;
    hear(&rates.rest, &response, clock.now());
    if response.status != 200 {
        return Err(failed(format!("status {}", response.status)));
    }
    session.parse_snapshot(instrument, &mut response.body).map_err(|error| failed(error.to_string()))
}

/// What a REST answer says of the rate limits: weight used, and when it refuses, for how long (`rest-api.md`, "IP
/// Limits").
fn hear(rates: &RateBook, response: &Response, now: Ts) {
    let number = |name| response.headers.get(name).and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(used) = number("X-MBX-USED-WEIGHT-1M") {
        rates.heard(u32::try_from(used).unwrap_or(u32::MAX), now);
    }
    let until = number("Retry-After").map(|s| now.plus_ns(s.saturating_mul(1_000_000_000)));
    match response.status {
        429 => rates.refused(until, now),
        418 => rates.banned(until, now),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_book::Need;

    const S: u64 = 1_000_000_000;
    const NOW: Ts = Ts(1_700_000_040 * S);

    fn answer(status: u16, headers: &[(&str, &str)]) -> Response {
        let mut response = Response::json(status, "{}");
        headers.iter().for_each(|(name, value)| response.headers.push(name, value));
        response
    }

    #[test]
    fn headers_and_statuses_are_heard() {
        let rates = RateBook::new(6_000);
        hear(&rates, &answer(200, &[("x-mbx-used-weight-1m", "5390")]), NOW);
        assert_eq!(rates.used(NOW), 5_390);
        assert!(!rates.take(50, Need::Order, NOW) && rates.take(50, Need::Cancel, NOW));
        hear(&rates, &answer(429, &[("Retry-After", "7")]), NOW);
        assert!(rates.is_paused(NOW.plus_ns(7 * S - 1)) && !rates.is_paused(NOW.plus_ns(7 * S)));
        assert!(!rates.is_banned(NOW));
        hear(&rates, &answer(418, &[("Retry-After", "120")]), NOW);
        assert!(rates.is_banned(NOW.plus_ns(119 * S)) && !rates.is_banned(NOW.plus_ns(120 * S)));
        hear(&rates, &answer(200, &[("X-MBX-USED-WEIGHT-1M", "none")]), NOW.plus_ns(200 * S));
    }
}
