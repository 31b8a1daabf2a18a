//! A small engine's worth of journal: two agents on one thread, a drain, a directory.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use journal::{DiskPolicy, Drain, Health, Item, Notes, StoreConfig, StoreError, Tapes};

/// A directory of this test alone, removed at the end.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("corelane-journal-test-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        Dir(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            std::fs::read_dir(&self.0).expect("listed").map(|e| e.expect("entry").path()).collect();
        files.sort();
        files
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.files().iter().map(|f| f.metadata().map_or(0, |m| m.len())).sum()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn config(dir: &Path) -> StoreConfig {
    StoreConfig {
        dir: dir.to_owned(),
        instance: "test".into(),
        started_ns: 1_700_000_000_000_000_000,
        build_hash: 1,
        config_hash: 2,
        file_bytes: 64 << 10,
        budget_bytes: 64 << 20,
        policy: DiskPolicy::Refuse,
    }
}

/// Two agents on one stream, and a drain that nobody steps but the test.
pub(crate) struct Rig {
    pub(crate) tapes: Tapes,
    pub(crate) drain: Drain,
    pub(crate) notes: Notes,
    pub(crate) cycle: u64,
}

impl Rig {
    pub(crate) fn try_new(config: StoreConfig) -> Result<Rig, StoreError> {
        let (tapes, ends) = Tapes::record(&[0, 0], 0, &Health::default());
        let (drain, notes) = Drain::begin(config, b"{}".to_vec(), b"[]".to_vec(), &tapes, ends)?;
        Ok(Rig { tapes, drain, notes, cycle: 0 })
    }

    pub(crate) fn new(config: StoreConfig) -> Rig {
        Rig::try_new(config).expect("begun")
    }

    /// A turn: the first agent hears a frame and publishes, the second takes and sends.
    pub(crate) fn turn(&mut self, bytes: &[u8]) {
        self.cycle += 1;
        let (a, b) = (self.tapes.of(0), self.tapes.of(1));
        let now = 1_000 * self.cycle;
        a.note(Item::Frame { link: 0, ts_ns: now, bytes });
        a.put(0, &[self.cycle; 7]);
        a.end(self.cycle, now);
        b.took(0, 1);
        b.note(Item::Sent { link: 1, result: 0, bytes });
        b.end(self.cycle, now + 1);
        b.flush();
    }
}
