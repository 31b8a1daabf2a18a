//! `corelane rearm`: clears the latch of a stopped engine's trip.

use std::path::PathBuf;

use agent::Clock;
use kill::{FileLine, Latch, LatchState, Line, Rearm, RearmError};
use stats::instance;

use crate::demo::STATE_DIR_ENV;
use crate::run::claim::Claim;

/// Why a re-arm was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RearmFailure {
    /// Nobody said which state directory.
    #[error("which state directory? give --state-dir DIR or set {STATE_DIR_ENV}")]
    NoDirectory,
    /// An engine runs on that directory.
    #[error("an engine runs on {0}: ask it with corelane-ctl rearm --trip ID, or end it first")]
    Running(String),
    /// The caller's user id could not be read.
    #[error("user id: {0}")]
    Uid(std::io::Error),
    /// The latch refuses.
    #[error(transparent)]
    Refused(#[from] RearmError),
}

/// Clears the latch, given the trip's id by a user who owns the state directory. A kill line file that stands in
/// the state directory (`kill.line`), or whose absence was the trip, must be healthy.
///
/// # Errors
/// [`RearmFailure`]; the latch is as it was then.
pub fn rearm(trip_id: &str, state_dir: Option<PathBuf>) -> Result<String, RearmFailure> {
    let dir = state_dir
        .or_else(|| std::env::var_os(STATE_DIR_ENV).filter(|d| !d.is_empty()).map(PathBuf::from))
        .ok_or(RearmFailure::NoDirectory)?;
    if Claim::is_taken(&dir) {
        return Err(RearmFailure::Running(dir.display().to_string()));
    }
    let uid = instance::process_uid().map_err(RearmFailure::Uid)?;
    let path = dir.join(LINE_FILE);
    let latch = Latch::new(&dir);
    let was_the_trip = matches!(latch.load(), LatchState::Tripped(trip) if trip.subject == LINE_FILE);
    let watched = was_the_trip || path.try_exists().unwrap_or(true);
    let mut lines: Vec<FileLine> = watched.then(|| FileLine::new(LINE_FILE, &path)).into_iter().collect();
    let samples: Vec<_> = lines.iter_mut().map(|l| l.sample()).collect();
    let named: Vec<_> = lines.iter().map(|l| l.name()).zip(samples).collect();
    latch.rearm(&Rearm { trip_id, uid, ts: Clock::live().now(), lines: &named })?;
    Ok(format!("re-armed: the latch in {} is clear; the next start may trade", dir.display()))
}

/// Name of the simulated kill line in a state directory: its first byte is `1` while the loop is closed.
pub const LINE_FILE: &str = "kill.line";
