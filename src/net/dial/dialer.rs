//! One parked housekeeping thread per link: dials on request, with back-off, until it has a session.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer, RingBuffer};

use super::{DialError, DialSpec, Phase, Session, dial};
use crate::backoff::{Backoff, BackoffConfig};
use crate::ws::MaskKeys;

/// How often a parked thread looks for a request. The asker makes no system call; this is the price.
const LOOK_MS: u64 = 5;

/// A link asks for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DialRequest {
    /// How long the last connection lived, ms; `None` for the first one, which is dialled at once.
    lived_ms: Option<u64>,
}

/// The link's end: asks for sessions and takes them, without a system call, lock or wait.
#[derive(Debug)]
pub struct Mailbox {
    requests: Producer<DialRequest>,
    sessions: Consumer<Box<Session>>,
}

impl Mailbox {
    /// Both ends of one mailbox, for a dialer of one's own; [`Dialer::spawn`] makes them otherwise.
    #[must_use]
    pub fn pair() -> (Self, MailboxPeer) {
        let (requests, asked) = RingBuffer::new(2);
        let (made, sessions) = RingBuffer::new(2);
        (Self { requests, sessions }, MailboxPeer { asked, made })
    }

    /// Asks for a session; `lived_ms` is how long the last one lived, `None` if there was none. False when an
    /// earlier request still waits.
    pub fn request(&mut self, lived_ms: Option<u64>) -> bool {
        self.requests.push(DialRequest { lived_ms }).is_ok()
    }

    /// A session, when one has arrived.
    #[inline]
    pub fn take(&mut self) -> Option<Box<Session>> {
        self.sessions.pop().ok()
    }
}

/// The dialling end of a [`Mailbox`].
#[derive(Debug)]
pub struct MailboxPeer {
    asked: Consumer<DialRequest>,
    made: Producer<Box<Session>>,
}

impl MailboxPeer {
    /// The next request: how long the last session lived, ms.
    pub fn next_request(&mut self) -> Option<Option<u64>> {
        self.asked.pop().ok().map(|request| request.lived_ms)
    }

    /// Hands a session over; gives it back when two already wait.
    ///
    /// # Errors
    /// The session itself.
    pub fn deliver(&mut self, session: Box<Session>) -> Result<(), Box<Session>> {
        self.made.push(session).map_err(|rtrb::PushError::Full(session)| session)
    }

    fn is_abandoned(&self) -> bool {
        self.made.is_abandoned()
    }
}

/// What one link's dialling has come to. Counters only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialReport {
    /// Attempts begun.
    pub attempts: u64,
    /// Sessions handed over.
    pub sessions: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Of these, failures while resolving or connecting.
    pub connect_failures: u64,
    /// Of these, failures in the TLS handshake, wrong certificates among them.
    pub tls_failures: u64,
    /// Of these, failures in the upgrade or before the first message.
    pub upgrade_failures: u64,
    /// Of all failures, those by deadline.
    pub timeouts: u64,
    /// Text of the last failure.
    pub last_error: Option<String>,
    /// Wait that precedes the next attempt, ms; zero when none is pending.
    pub wait_ms: u32,
}

/// Readable from any thread; a lock on the cold side only.
#[derive(Clone, Debug)]
pub struct DialReports {
    links: Arc<[Mutex<DialReport>]>,
}

impl DialReports {
    /// The report of link `index`, in the order of the specs; `None` past the last.
    #[must_use]
    pub fn link(&self, index: usize) -> Option<DialReport> {
        self.links.get(index).map(|report| report.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut DialReport)) {
        if let Some(report) = self.links.get(index) {
            change(&mut report.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// The housekeeping threads of a set of links. Dropping it asks them to stop; [`stop`](Dialer::stop) waits as well.
#[derive(Debug)]
pub struct Dialer {
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    reports: DialReports,
}

impl Dialer {
    /// One thread per spec, named `dial-<index>`, and its mailbox, in the same order. Each link draws its delays
    /// from `seed` and its index.
    ///
    /// # Errors
    /// The error of a thread that cannot be made; those already made are stopped.
    pub fn spawn(
        specs: Vec<DialSpec>,
        backoff: BackoffConfig,
        seed: u64,
    ) -> io::Result<(Self, Vec<Mailbox>)> {
        let links = specs.iter().map(|_| Mutex::new(DialReport::default())).collect();
        let mut dialer = Self {
            threads: Vec::with_capacity(specs.len()),
            stop: Arc::default(),
            reports: DialReports { links },
        };
        let mut mailboxes = Vec::with_capacity(specs.len());
        for (index, spec) in specs.into_iter().enumerate() {
            let (mailbox, peer) = Mailbox::pair();
            let seed = seed ^ (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let worker = Worker {
                index,
                spec,
                peer,
                backoff: Backoff::new(backoff, seed),
                words: MaskKeys::new(seed.rotate_left(32)),
                stop: Arc::clone(&dialer.stop),
                reports: dialer.reports.clone(),
            };
            let name = format!("dial-{index}");
            dialer.threads.push(thread::Builder::new().name(name).spawn(move || worker.run())?);
            mailboxes.push(mailbox);
        }
        Ok((dialer, mailboxes))
    }

    /// The reports of all links.
    #[must_use]
    pub fn reports(&self) -> DialReports {
        self.reports.clone()
    }

    /// Stops all threads and waits for them: at most as long as the deadlines of an attempt under way.
    pub fn stop(mut self) {
        self.ask_to_stop();
        for thread in std::mem::take(&mut self.threads) {
            // A panic there has been printed by the runtime and must not take this thread along.
            let _ = thread.join();
        }
    }

    fn ask_to_stop(&self) {
        // Relaxed: the flag guards no other memory.
        self.stop.store(true, Ordering::Relaxed);
        for thread in &self.threads {
            thread.thread().unpark();
        }
    }
}

impl Drop for Dialer {
    fn drop(&mut self) {
        self.ask_to_stop();
    }
}

struct Worker {
    index: usize,
    spec: DialSpec,
    peer: MailboxPeer,
    backoff: Backoff,
    words: MaskKeys,
    stop: Arc<AtomicBool>,
    reports: DialReports,
}

impl Worker {
    fn run(mut self) {
        while !self.is_over() {
            match self.peer.next_request() {
                None => thread::park_timeout(Duration::from_millis(LOOK_MS)),
                Some(lived_ms) => self.serve(lived_ms),
            }
        }
    }

    /// Dials until a session is handed over or the engine stops.
    fn serve(&mut self, lived_ms: Option<u64>) {
        if let Some(lived_ms) = lived_ms {
            let wait_ms = self.backoff.ended(lived_ms);
            self.sleep(wait_ms);
        }
        while !self.is_over() {
            self.reports.update(self.index, |report| report.attempts += 1);
            match dial(&self.spec, self.words.next_word()) {
                Ok(session) => {
                    // Full only if the link asked again without taking; then the older sessions serve as well.
                    let _ = self.peer.deliver(Box::new(session));
                    self.reports.update(self.index, |report| report.sessions += 1);
                    return;
                }
                Err(error) => {
                    self.reports.update(self.index, |report| note(report, &error));
                    let wait_ms = self.backoff.failed();
                    self.sleep(wait_ms);
                }
            }
        }
    }

    fn sleep(&self, wait_ms: u32) {
        self.reports.update(self.index, |report| report.wait_ms = wait_ms);
        let until = Instant::now() + Duration::from_millis(u64::from(wait_ms));
        while !self.is_over() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
        self.reports.update(self.index, |report| report.wait_ms = 0);
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.peer.is_abandoned()
    }
}

fn note(report: &mut DialReport, error: &DialError) {
    report.failures += 1;
    match error.phase() {
        Phase::Resolve | Phase::Connect => report.connect_failures += 1,
        Phase::Tls => report.tls_failures += 1,
        _ => report.upgrade_failures += 1,
    }
    if matches!(error, DialError::Timeout { .. }) {
        report.timeouts += 1;
    }
    report.last_error = Some(error.to_string());
}
