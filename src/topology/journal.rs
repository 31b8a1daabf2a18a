//! What is recorded, where, and how much of it: section `journal`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::lines::Checker;

/// What happens when the disk budget is spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The oldest files go.
    #[default]
    DropOldest,
    /// The gate shuts.
    Refuse,
}

/// Section `journal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// Whether there is one.
    pub on: bool,
    /// Directory of the files.
    pub dir: PathBuf,
    /// Size of a file, MiB.
    pub file_mib: u32,
    /// Size of all files of the directory together, MiB.
    pub budget_mib: u32,
    /// What happens then.
    pub when_full: WhenFull,
    /// Size of the ring between a hot thread and the files, KiB.
    pub ring_kib: u32,
}

impl Default for Journal {
    fn default() -> Self {
        Journal {
            on: true,
            dir: PathBuf::from("/var/lib/corelane/journal"),
            file_mib: 64,
            budget_mib: 4_096,
            when_full: WhenFull::DropOldest,
            ring_kib: 8_192,
        }
    }
}

impl Journal {
    pub(crate) fn check(&self, c: &mut Checker<'_>) {
        c.absolute("journal.dir", &self.dir);
        c.range("journal.file_mib", self.file_mib, 1, 4_096);
        c.range("journal.budget_mib", self.budget_mib, 2, 16_777_216);
        c.range("journal.ring_kib", self.ring_kib, 256, 1_048_576);
        c.rule(
            "journal.budget_mib",
            self.budget_mib,
            u64::from(self.budget_mib) >= 2 * u64::from(self.file_mib),
            format_args!("must be at least twice journal.file_mib = {}", self.file_mib),
        );
    }
}
