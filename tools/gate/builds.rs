//! Builds of revisions: one scratch worktree, one target directory, and the executables kept by tree.
//!
//! Both sides are built at the same path and with the same settings, so that equal code gives equal machine code, and
//! dependencies are compiled once for both. LTO is thin here where what ships has fat: both sides alike, and a third
//! of the time. The repository's own `.cargo/config.toml` lies above the scratch worktree and holds for both.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::revision::{Repository, Revision, RevisionError};

/// The benches that are compared.
pub(crate) const BENCHES: [&str; 4] = ["gate", "parse", "ring_hop", "tick_to_order"];

/// Name of the worktree in which revisions are built: one for all, so that equal code gives equal machine code.
pub(crate) const TREE: &str = "tree";

/// What is said of the builds in the head of the table.
pub(crate) const SETTINGS: &str = "release profile, thin LTO, one codegen unit";

/// Settings of both sides beside the profile's own.
const ENV: [(&str, &str); 6] = [
    ("CARGO_INCREMENTAL", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "thin"),
    ("CARGO_PROFILE_BENCH_LTO", "thin"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_BENCH_CODEGEN_UNITS", "1"),
    ("CARGO_TERM_COLOR", "never"),
];

/// Builds kept; the oldest beyond are deleted.
const KEPT: usize = 16;

/// Why a revision could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// git refused.
    #[error(transparent)]
    Git(#[from] RevisionError),
    /// A file or directory of ours.
    #[error("{path}: {why}; is there room, and may this user write there?")]
    File {
        /// Where.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// cargo ended with an error; what it said stands above.
    #[error("the benches of {given} do not build: `cargo bench --no-run` failed, its messages are above")]
    Cargo {
        /// The revision.
        given: String,
    },
    /// cargo built something else than was asked for.
    #[error("cargo built no bench {bench} of {given}")]
    Missing {
        /// The revision.
        given: String,
        /// The bench.
        bench: &'static str,
    },
}

/// Executables of one revision.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    dir: PathBuf,
}

impl Built {
    /// The executable of a bench.
    pub(crate) fn executable(&self, bench: &str) -> PathBuf {
        self.dir.join(bench)
    }
}

/// The gate's directory.
#[derive(Debug)]
pub(crate) struct Builds {
    repository: Repository,
    dir: PathBuf,
    /// Two gates must not check out over each other, nor measure at the same time.
    _lock: File,
}

fn file_error<T>(path: &Path, result: io::Result<T>) -> Result<T, BuildError> {
    result.map_err(|why| BuildError::File { path: path.to_owned(), why })
}

impl Builds {
    /// Opens `dir`, made when missing, and keeps other gates out; waits for one that is at work there.
    ///
    /// # Errors
    /// [`BuildError::File`].
    pub(crate) fn open(repository: Repository, dir: &Path) -> Result<Builds, BuildError> {
        file_error(dir, fs::create_dir_all(dir.join("builds")))?;
        let dir = file_error(dir, dir.canonicalize())?;
        let path = dir.join("lock");
        let lock = file_error(&path, File::create(&path))?;
        if lock.try_lock().is_err() {
            eprintln!("another gate is at work in {}: waiting for it", dir.display());
            file_error(&path, lock.lock())?;
        }
        Ok(Builds { repository, dir, _lock: lock })
    }

    /// The gate's directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The executables of `benches` of `revision`, built in the worktree called `place` unless they are there.
    ///
    /// # Errors
    /// [`BuildError`].
    pub(crate) fn build(
        &self,
        revision: &Revision,
        place: &str,
        benches: &[&'static str],
    ) -> Result<Built, BuildError> {
        let key = format!("{:.20}-{place}-{:016x}", revision.tree, self.settings_hash());
        let dir = self.dir.join("builds").join(&key);
        if benches.iter().all(|b| dir.join(b).is_file()) {
            return Ok(Built { dir });
        }
        eprintln!("building {} ({SETTINGS})", revision.describe());
        let tree = self.check_out(revision, place)?;
        let made = self.cargo(revision, &tree, benches)?;
        let partial = self.dir.join("builds").join(format!("{key}.partial"));
        let _ = fs::remove_dir_all(&partial);
        file_error(&partial, fs::create_dir_all(&partial))?;
        for (bench, path) in benches.iter().zip(made) {
            file_error(&path, fs::copy(&path, partial.join(bench)))?;
        }
        let _ = fs::remove_dir_all(&dir);
        file_error(&dir, fs::rename(&partial, &dir))?;
        self.forget_old();
        Ok(Built { dir })
    }

    /// What, beside the tree, decides on the machine code.
    fn settings_hash(&self) -> u64 {
        let rustc = Command::new("rustc").arg("-vV").current_dir(&self.repository.root).output();
        let mut text = rustc.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        text.extend(ENV.iter().flat_map(|(k, v)| [*k, *v]));
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
    }

    /// A worktree at the gate's own place, holding `revision` and nothing else.
    fn check_out(&self, revision: &Revision, place: &str) -> Result<PathBuf, BuildError> {
        let tree = self.dir.join(place);
        let path = tree.to_string_lossy();
        let usable = Repository { root: tree.clone() }.git(&["rev-parse", "--show-toplevel"]);
        if !usable.is_ok_and(|top| Path::new(&top) == tree) {
            let _ = fs::remove_dir_all(&tree);
            self.repository.git(&["worktree", "prune"])?;
            self.repository.git(&[
                "worktree",
                "add",
                "--quiet",
                "--force",
                "--detach",
                &path,
                &revision.commit,
            ])?;
        }
        // Only what differs is written, so only that is compiled anew.
        let scratch = Repository { root: tree.clone() };
        scratch.git(&["checkout", "--quiet", "--force", "--detach", &revision.commit])?;
        scratch.git(&["clean", "--quiet", "--force", "-d"])?;
        Ok(tree)
    }

    /// Paths of the executables, in the order of `benches`. Progress goes to standard error.
    fn cargo(
        &self,
        revision: &Revision,
        tree: &Path,
        benches: &[&'static str],
    ) -> Result<Vec<PathBuf>, BuildError> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["bench", "--no-run", "--locked", "--message-format=json-render-diagnostics"]);
        cargo.args(benches.iter().flat_map(|b| ["--bench", *b]));
        cargo.current_dir(tree).envs(ENV).env("CARGO_TARGET_DIR", self.dir.join("target"));
        for foreign in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS"]
        {
            cargo.env_remove(foreign);
        }
        let failed = || BuildError::Cargo { given: revision.given.clone() };
        let out = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let out = out.inspect_err(|e| eprintln!("cargo: {e}")).map_err(|_| failed())?;
        if !out.status.success() {
            return Err(failed());
        }
        let text = String::from_utf8_lossy(&out.stdout);
        let built: Vec<Value> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        let find = |bench: &'static str| {
            let made = built.iter().filter(|v| v["target"]["name"] == bench);
            let path = made.filter_map(|v| v["executable"].as_str()).next_back();
            path.map(PathBuf::from).ok_or(BuildError::Missing { given: revision.given.clone(), bench })
        };
        benches.iter().copied().map(find).collect()
    }

    /// Deletes the oldest builds beyond [`KEPT`]. What cannot be deleted only takes room.
    fn forget_old(&self) {
        let Ok(entries) = fs::read_dir(self.dir.join("builds")) else { return };
        let mut dirs: Vec<_> =
            entries.flatten().filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path()))).collect();
        dirs.sort_unstable();
        let beyond = dirs.len().saturating_sub(KEPT);
        for (_, dir) in &dirs[..beyond] {
            let _ = fs::remove_dir_all(dir);
        }
    }
}
