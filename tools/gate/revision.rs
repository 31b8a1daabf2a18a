//! Revisions: what the words on the command line mean in this repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lines;

/// The word for what lies in the working tree, committed or not.
pub(crate) const WORK: &str = "WORK";

/// Where a revision says which lines its benches speak.
const PROTOCOL: &str = "benches/protocol/mod.rs";

/// A revision of this repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revision {
    /// As given.
    pub(crate) given: String,
    /// Commit; of the working tree one that no branch holds.
    pub(crate) commit: String,
    /// Its tree: equal trees are equal code.
    pub(crate) tree: String,
    /// First line of its message.
    pub(crate) title: String,
}

impl Revision {
    /// For the head of the table.
    pub(crate) fn describe(&self) -> String {
        let short: String = self.commit.chars().take(10).collect();
        if self.given == WORK { self.title.clone() } else { format!("{short} {:?}", self.title) }
    }
}

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevisionError {
    /// git could not be run, or refused.
    #[error("git {command}: {why}; run the gate inside a git checkout of corelane")]
    Git {
        /// Its arguments.
        command: String,
        /// What it said.
        why: String,
    },
    /// No such revision here.
    #[error(
        "no revision {given:?} in this repository: give a commit, branch or tag that `git log {given}` shows, or \
         {WORK} for the working tree; a shallow clone gets older commits by `git fetch --deepen=1`"
    )]
    Unknown {
        /// As given.
        given: String,
    },
    /// The revision is from before the gate.
    #[error("{given} has no {PROTOCOL}: its benches do not speak to the gate; choose a later revision")]
    Mute {
        /// As given.
        given: String,
    },
    /// Its benches speak other lines than this gate reads.
    #[error(
        "the benches of {given} speak version {found} of the gate's lines, this gate version {}: compare it with \
             the gate of its own tree",
        lines::VERSION
    )]
    Version {
        /// As given.
        given: String,
        /// The version found.
        found: String,
    },
}

/// A repository and git.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    /// Top of the working tree.
    pub(crate) root: PathBuf,
}

impl Repository {
    /// The one around `dir`.
    ///
    /// # Errors
    /// [`RevisionError::Git`].
    pub(crate) fn around(dir: &Path) -> Result<Repository, RevisionError> {
        let here = Repository { root: dir.to_owned() };
        let root = here.git(&["rev-parse", "--show-toplevel"])?;
        Ok(Repository { root: root.into() })
    }

    /// Output of git, without the last line's end.
    ///
    /// # Errors
    /// [`RevisionError::Git`].
    pub(crate) fn git(&self, args: &[&str]) -> Result<String, RevisionError> {
        self.git_with(args, &[])
    }

    fn git_with(&self, args: &[&str], env: &[(&str, &Path)]) -> Result<String, RevisionError> {
        let failed = |why: String| RevisionError::Git { command: args.join(" "), why };
        let mut git = Command::new("git");
        git.args(args).current_dir(&self.root).envs(env.iter().copied());
        let out = git.output().map_err(|e| failed(e.to_string()))?;
        if !out.status.success() {
            return Err(failed(String::from_utf8_lossy(&out.stderr).trim().replace('\n', ": ")));
        }
        Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
    }

    /// The revision called `given`, whose benches speak our lines. `scratch` is a directory for the index that
    /// [`WORK`] needs; the repository's own index is left alone.
    ///
    /// # Errors
    /// [`RevisionError`].
    pub(crate) fn resolve(&self, given: &str, scratch: &Path) -> Result<Revision, RevisionError> {
        let commit = if given == WORK {
            self.working_tree(scratch)?
        } else {
            let unknown = |_| RevisionError::Unknown { given: given.to_owned() };
            let name = format!("{given}^{{commit}}");
            self.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name]).map_err(unknown)?
        };
        let tree = self.git(&["rev-parse", &format!("{commit}^{{tree}}")])?;
        let title = self.git(&["log", "-1", "--format=%s", &commit])?;
        let revision = Revision { given: given.to_owned(), commit, tree, title };
        let given = || revision.given.clone();
        let source = format!("{}:{PROTOCOL}", revision.commit);
        let source = self.git(&["show", &source]).map_err(|_| RevisionError::Mute { given: given() })?;
        let found = source.lines().find_map(|l| l.split_once("const VERSION: u32 = ")?.1.strip_suffix(';'));
        match found {
            Some(version) if version == lines::VERSION.to_string() => Ok(revision),
            other => {
                let found = other.unwrap_or("unknown").to_owned();
                Err(RevisionError::Version { given: given(), found })
            }
        }
    }

    /// A commit of all that lies in the working tree and is not ignored; no branch moves.
    fn working_tree(&self, scratch: &Path) -> Result<String, RevisionError> {
        let index = scratch.join("work.index");
        let env: &[(&str, &Path)] = &[("GIT_INDEX_FILE", &index)];
        self.git_with(&["read-tree", "HEAD"], env)?;
        self.git_with(&["add", "--all"], env)?;
        let tree = self.git_with(&["write-tree"], env)?;
        let head = self.git(&["rev-parse", "HEAD"])?;
        let short: String = head.chars().take(10).collect();
        let clean = self.git(&["rev-parse", "HEAD^{tree}"])? == tree;
        let title = if clean {
            format!("working tree, clean at {short}")
        } else {
            format!("working tree over {short}")
        };
        self.commit(&tree, &head, &title)
    }

    /// The tree of `base` with the blob `blob` at `path`.
    ///
    /// # Errors
    /// [`RevisionError::Git`].
    pub(crate) fn with_file(
        &self,
        base: &Revision,
        path: &str,
        blob: &str,
        scratch: &Path,
    ) -> Result<String, RevisionError> {
        let index = scratch.join("planted.index");
        let env: &[(&str, &Path)] = &[("GIT_INDEX_FILE", &index)];
        self.git_with(&["read-tree", &base.commit], env)?;
        self.git_with(&["update-index", "--cacheinfo", &format!("100644,{blob},{path}")], env)?;
        self.git_with(&["write-tree"], env)
    }

    /// A commit of `tree` on top of `parent` that no branch holds.
    ///
    /// # Errors
    /// [`RevisionError::Git`].
    pub(crate) fn commit(&self, tree: &str, parent: &str, title: &str) -> Result<String, RevisionError> {
        let who = ["-c", "user.name=corelane-gate", "-c", "user.email=gate@localhost"];
        self.git(&[&who[..], &["commit-tree", tree, "-p", parent, "-m", title]].concat())
    }

    /// Rows whose being slower the commits from `base` to `head` accept, each by a line
    /// `Gate-Accepts: bench/row measure` at the end of its message.
    ///
    /// # Errors
    /// [`RevisionError::Git`].
    pub(crate) fn accepted(&self, base: &Revision, head: &Revision) -> Result<Vec<String>, RevisionError> {
        let range = format!("{}..{}", base.commit, head.commit);
        let said = self.git(&["log", "--format=%(trailers:key=Gate-Accepts,valueonly)", &range])?;
        Ok(said.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect())
    }
}
