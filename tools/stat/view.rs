//! What one look at an engine found, before it is shown.

use anyhow::{anyhow, bail};
use kill::{ControlReader, ControlSnapshot};
use rings::{Header, SegmentError};
use stats::boards::{BoardsReader, PositionBoard, TopBoard};
use stats::{
    HistCounts, LAYOUT_VERSION, OrderTrace, STATS_FILE, Snapshot, StatsError, StatsReader, instance,
};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use wire::{InstrumentId, Ts};

/// The mapped segments of one engine. Mapped once; they stay readable when the engine dies or its files go.
pub(crate) struct Engine {
    /// The instance directory.
    pub(crate) dir: PathBuf,
    stats: StatsReader,
    /// Or why there is none.
    control: Result<ControlReader, String>,
    /// `None` when the engine publishes none.
    boards: Option<BoardsReader>,
}

/// The boards of one instrument.
pub(crate) struct Board {
    /// Its number.
    pub(crate) instrument: InstrumentId,
    /// Top of book.
    pub(crate) top: Option<TopBoard>,
    /// Position.
    pub(crate) position: Option<PositionBoard>,
}

/// One look.
pub(crate) struct View {
    /// The instance directory.
    pub(crate) dir: PathBuf,
    /// When we looked, wall clock.
    pub(crate) now: Ts,
    /// Whether a process holds the segment's lock.
    pub(crate) alive: bool,
    /// Header of the statistics segment.
    pub(crate) header: Header,
    /// Statistics.
    pub(crate) stats: Snapshot,
    /// Kill state, or why it cannot be shown.
    pub(crate) kill: Result<ControlSnapshot, String>,
    /// Boards by instrument.
    pub(crate) boards: Vec<Board>,
}

/// Finds the instance directory: `dir` itself when it holds statistics, else the newest instance under it, or under
/// the usual base when none is given.
///
/// # Errors
/// No instance, with what to do next.
pub(crate) fn find(dir: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(dir) = dir.filter(|dir| dir.join(STATS_FILE).exists()) {
        return Ok(dir.to_path_buf());
    }
    let base = match dir {
        Some(dir) => dir.to_path_buf(),
        None => instance::base_dir()?,
    };
    if dir.is_some() && !base.is_dir() {
        bail!("{} is not a directory: give an instance directory or their base", base.display());
    }
    let found = instance::newest(&base)?;
    if !found.dir.join(STATS_FILE).exists() {
        let stage = if found.alive { "is still starting: try again" } else { "ended before it had any" };
        bail!("engine {} has no statistics and {stage}", found.dir.display());
    }
    Ok(found.dir)
}

impl Engine {
    /// Maps the segments in an instance directory, read-only.
    ///
    /// # Errors
    /// When there are no statistics to be read; a missing control segment is only told.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Engine> {
        let path = dir.join(STATS_FILE);
        let stats = StatsReader::open(dir).map_err(|e| {
            let what = what_it_is(&e);
            anyhow!(e).context(format!("cannot read {}: {what}", path.display()))
        })?;
        let control = ControlReader::open(dir).map_err(|e| e.to_string());
        let boards = BoardsReader::open(dir).ok();
        Ok(Engine { dir: dir.to_path_buf(), stats, control, boards })
    }

    /// Looks once.
    pub(crate) fn view(&self) -> View {
        let stats = self.stats.snapshot();
        let kill = match &self.control {
            Ok(control) => Ok(control.snapshot()),
            Err(why) => Err(why.clone()),
        };
        // Read after the cells, so that ages are not negative by our own slowness.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        View {
            dir: self.dir.clone(),
            now: Ts(now.as_nanos() as u64),
            alive: self.stats.owner_alive(),
            header: self.stats.header().unwrap_or(NO_HEADER),
            stats,
            kill,
            boards: self.boards.as_ref().map_or_else(Vec::new, read_boards),
        }
    }

    /// The counts behind each histogram of a look, in its order.
    pub(crate) fn counts(&self, view: &View) -> Vec<HistCounts> {
        let none = || HistCounts::from_counts([]);
        view.stats.hists.iter().map(|(name, _)| self.stats.hist(name).unwrap_or_else(none)).collect()
    }

    /// Whether an engine holds the segment's lock.
    pub(crate) fn alive(&self) -> bool {
        self.stats.owner_alive()
    }
}

/// What stands where statistics should, and what to do about it.
fn what_it_is(why: &StatsError) -> String {
    let StatsError::Segment(why) = why else { return "its declaration is broken".to_string() };
    match why {
        SegmentError::WrongLayout { found, .. } if *found > LAYOUT_VERSION => {
            "statistics of a newer release: use its corelane-stat".to_string()
        }
        SegmentError::WrongLayout { .. } => {
            "statistics of an older release: use its corelane-stat".to_string()
        }
        SegmentError::WrongType { found, .. } => {
            let name = found.to_le_bytes().map(|b| if b.is_ascii_graphic() { b as char } else { '?' });
            format!("a corelane segment, but of type {:?}, not statistics", String::from_iter(name))
        }
        SegmentError::WrongMagic { .. } => "no corelane segment, or one of another header".to_string(),
        SegmentError::NotReady => {
            "statistics in the making: try again; if it stays so, their engine died".to_string()
        }
        SegmentError::Truncated { .. } => "statistics that were cut off".to_string(),
        SegmentError::WrongSize { .. } => {
            "statistics with something behind them that is not theirs".to_string()
        }
        SegmentError::Foreign { .. } | SegmentError::Permissions { .. } | SegmentError::Denied { .. } => {
            "statistics that are not this user's alone: run as the engine's user".to_string()
        }
        SegmentError::NotFound { .. } => "they went away: try again".to_string(),
        _ => "no statistics that can be read".to_string(),
    }
}

fn read_boards(boards: &BoardsReader) -> Vec<Board> {
    (0..boards.instruments() as u32)
        .map(InstrumentId)
        .map(|i| Board { instrument: i, top: boards.top(i), position: boards.position(i) })
        .collect()
}

/// Stands in for the header of a segment that has none; a mapped one always has.
const NO_HEADER: Header = Header {
    ident: rings::Ident { type_id: 0, layout_version: 0, build_hash: 0, config_hash: 0 },
    payload_len: 0,
    created_ns: 0,
    pid: 0,
    uid: 0,
    epoch: 0,
};

/// Which orders of the trace come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sorted {
    /// The latest through the gate.
    #[default]
    Latest,
    /// The longest from tick to order, of those that the table still holds.
    Worst,
}

impl Sorted {
    /// As a heading says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Sorted::Latest => "last orders",
            Sorted::Worst => "worst orders",
        }
    }
}

impl View {
    /// At most `most` rows of the order trace.
    pub(crate) fn orders(&self, most: usize, sorted: Sorted) -> Vec<&OrderTrace> {
        let mut orders: Vec<&OrderTrace> = self.stats.orders.iter().collect();
        if sorted == Sorted::Worst {
            // Stable: the latest of equals first. Without both ends there is no time, and no place here.
            orders.retain(|o| o.tick_to_order_ns().is_some());
            orders.sort_by_key(|o| std::cmp::Reverse(o.tick_to_order_ns()));
        }
        orders.truncate(most);
        orders
    }

    /// Name of the instance, or of its directory.
    pub(crate) fn name(&self) -> String {
        let named = instance::Found::at(&self.dir).map(|found| found.name);
        named.or_else(|| Some(self.dir.file_name()?.to_string_lossy().into_owned())).unwrap_or_default()
    }

    /// The newest heartbeat of any agent or the kill thread, and whose; `None` when nobody has beaten.
    pub(crate) fn newest_beat(&self) -> Option<(Ts, &str)> {
        let agents = self.stats.agents.iter().map(|agent| (agent.last_beat, agent.name.as_str()));
        let kill = self.kill.as_ref().ok().map(|kill| (kill.kill_beat, "kill thread"));
        agents.chain(kill).filter(|(beat, _)| *beat != Ts(0)).max_by_key(|(beat, _)| *beat)
    }

    /// Age of a time of the engine's clock at the moment of the look; `None` for `Ts(0)`.
    pub(crate) fn age_ns(&self, ts: Ts) -> Option<u64> {
        (ts != Ts(0)).then(|| self.now.since_ns(ts))
    }
}
