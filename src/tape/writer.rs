//! The journal of a running engine: begun before its agents, drained on a thread of the cold side, closed after them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use agent::Clock;
use journal::{DiskPolicy, Drain, Health, Notes, StoreConfig, StoreError, Tapes, Totals};
use serde_json::json;
use topology::{Config, WhenFull};
use wire::Ts;

use crate::meters::AGENTS;

/// How long the thread sleeps when there is nothing to write.
const NAP: Duration = Duration::from_micros(500);

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The disk or the budget.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration could not be written down.
    #[error("configuration: {0}")]
    Text(#[from] serde_json::Error),
    /// The system gave no thread.
    #[error("thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Number of an agent in journals: its place in the duty cycle.
pub fn agent_index(name: &str) -> Option<usize> {
    AGENTS[..4].iter().position(|a| *a == name)
}

/// A journal that has begun.
pub struct Taping {
    /// A tape for each agent.
    pub tapes: Tapes,
    /// What writes the files.
    pub drain: Drain,
    /// Where commands are noted.
    pub notes: Notes,
}

/// What a session is begun with.
pub struct Session<'a> {
    /// The configuration; its section `journal` says where and how much.
    pub config: &'a Config,
    /// The venue's description of the instruments.
    pub listing: &'a [u8],
    /// Name of the instance.
    pub instance: &'a str,
    /// Thread of each agent, in the order of the duty cycle.
    pub streams: [u8; 4],
    /// The kill epoch under which the gateway is armed.
    pub armed_epoch: u64,
    /// Hashes of build and configuration.
    pub hashes: (u64, u64),
    /// Now.
    pub now: Ts,
}

/// Begins a session: its first file stands when this returns.
///
/// # Errors
/// [`JournalError`].
pub fn begin(session: &Session<'_>) -> Result<Taping, JournalError> {
    let section = &session.config.journal;
    let text = json!({ "armed_epoch": session.armed_epoch, "config": session.config }).to_string();
    let (tapes, ends) =
        Tapes::record(&session.streams, (section.ring_kib as usize) << 10, &Health::default());
    let store = StoreConfig {
        dir: section.dir.clone(),
        instance: session.instance.to_owned(),
        started_ns: session.now.0,
        build_hash: session.hashes.0,
        config_hash: session.hashes.1,
        file_bytes: (section.file_mib as u64) << 20,
        budget_bytes: (section.budget_mib as u64) << 20,
        policy: match section.when_full {
            WhenFull::DropOldest => DiskPolicy::DropOldest,
            WhenFull::Refuse => DiskPolicy::Refuse,
        },
    };
    let (drain, notes) = Drain::begin(store, text.into_bytes(), session.listing.to_vec(), &tapes, ends)?;
    Ok(Taping { tapes, drain, notes })
}

/// The thread that writes the files.
#[derive(Debug)]
pub struct JournalWriter {
    thread: Option<JoinHandle<Totals>>,
    stop: Arc<AtomicBool>,
    health: Health,
}

impl JournalWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gave no thread.
    pub fn spawn(mut drain: Drain, clock: Clock) -> std::io::Result<JournalWriter> {
        let (stop, health) = (Arc::new(AtomicBool::new(false)), drain.health().clone());
        let seen = stop.clone();
        // A drain that is dropped unclosed, by a panic here, raises the fault: the gate shuts.
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || {
            while !seen.load(Ordering::Acquire) {
                if drain.poll(clock.now().0) == 0 {
                    std::thread::sleep(NAP);
                }
            }
            drain.close(clock.now().0);
            drain.totals()
        })?;
        Ok(JournalWriter { thread: Some(thread), stop, health })
    }

    /// The journal's fault, if it has one.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Writes what is left and ends the session. The hot threads must have stopped.
    pub fn stop(mut self) -> Totals {
        self.stop.store(true, Ordering::Release);
        // A thread that panicked has raised the fault; it wrote what it wrote.
        self.thread.take().and_then(|t| t.join().ok()).unwrap_or_default()
    }
}
