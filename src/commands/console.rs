//! The engine as commands see it: words to write, and what it says of itself.

use agent::Clock;
use kill::{Commander, ControlReader, ControlSnapshot};
use rtrb::Consumer;
use stats::StatsReader;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wire::{Instrument, Ts};

use crate::agents::killer::RearmDesk;
use crate::controls::{Controls, Listed};

/// Handles of a running engine; none of them can hold it up.
pub struct Console {
    /// Mode and progress words.
    pub controls: Controls,
    /// The kill switch, to read.
    pub kill: ControlReader,
    /// The kill thread's command word.
    pub commander: Commander,
    /// Where a re-arm is asked for.
    pub rearm: RearmDesk,
    /// Statistics.
    pub stats: StatsReader,
    /// The engine's clock.
    pub clock: Clock,
    /// What it trades, by number.
    pub instruments: Vec<Instrument>,
    /// Its instance directory.
    pub dir: PathBuf,
    /// Where its latch is.
    pub state_dir: PathBuf,
    /// Raised by each thread that dies by panic.
    pub dead: Vec<Arc<AtomicBool>>,
    /// The reading end of listings, while no listing is under way.
    pub listing: Option<Consumer<Listed>>,
    /// A re-arm is under way.
    pub rearming: bool,
}

impl Console {
    /// Time now.
    pub fn now(&self) -> Ts {
        self.clock.now()
    }

    /// The kill switch right now.
    pub fn switch(&self) -> ControlSnapshot {
        self.kill.snapshot()
    }

    /// Some thread has died: nobody may be left to carry anything out.
    pub fn is_dead(&self) -> bool {
        self.dead.iter().any(|flag| flag.load(Ordering::Acquire))
    }
}
