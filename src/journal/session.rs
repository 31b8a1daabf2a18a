//! The files of one session, by name: `<instance>-<start of the session, ns>-<number>.journal`.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crate::layout::SUFFIX;
use crate::read::{File, OpenError};

/// What names a session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionName {
    /// Start of the session, ns. First, so that names sort by time.
    pub started_ns: u64,
    /// Name of the instance.
    pub instance: String,
}

impl SessionName {
    /// Name of the session's file with this number.
    pub fn file(&self, number: u32) -> String {
        format!("{}-{:020}-{number:06}.{SUFFIX}", self.instance, self.started_ns)
    }

    /// Session and number from a file's name; `None` for anything else.
    pub fn of_file(name: &OsStr) -> Option<(SessionName, u32)> {
        let stem = name.to_str()?.strip_suffix(SUFFIX)?.strip_suffix('.')?;
        let (rest, number) = stem.rsplit_once('-')?;
        let (instance, started) = rest.rsplit_once('-')?;
        let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(number, 6) || !digits(started, 20) {
            return None;
        }
        let name = SessionName { instance: instance.to_owned(), started_ns: started.parse().ok()? };
        Some((name, number.parse().ok()?))
    }
}

/// Why no session could be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The path cannot be looked at.
    #[error("{}: {error}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A directory without a journal.
    #[error("{} holds no journal (files named <instance>-<start>-<number>.{SUFFIX})", dir.display())]
    None {
        /// The directory.
        dir: PathBuf,
    },
}

/// The files of a session, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    paths: Vec<PathBuf>,
}

impl Session {
    /// A directory: its newest session. A file: that file alone.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn find(path: &Path) -> Result<Session, SessionError> {
        let failed = |error| SessionError::Io { path: path.to_owned(), error };
        if !std::fs::metadata(path).map_err(failed)?.is_dir() {
            return Ok(Session { paths: vec![path.to_owned()] });
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Some((name, number)) = SessionName::of_file(&entry.file_name()) {
                files.push((name, number, entry.path()));
            }
        }
        files.sort();
        let Some((newest, ..)) = files.last().cloned() else {
            return Err(SessionError::None { dir: path.to_owned() });
        };
        Ok(Session { paths: files.into_iter().filter(|f| f.0 == newest).map(|f| f.2).collect() })
    }

    /// Paths of its files, in order.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Opens one file after the other.
    pub fn files(&self) -> impl Iterator<Item = Result<File, OpenError>> + '_ {
        self.paths.iter().map(|path| File::open(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_are_left_alone() {
        let name = SessionName { instance: "demo-7".into(), started_ns: 1_704_067_200_000_000_000 };
        let file = name.file(12);
        assert_eq!(file, "demo-7-01704067200000000000-000012.journal");
        assert_eq!(SessionName::of_file(OsStr::new(&file)), Some((name, 12)));
        for other in ["x.journal", "a-1-000001.journal", "notes.txt", "a-01704067200000000000-1.journal", ""]
        {
            assert_eq!(SessionName::of_file(OsStr::new(other)), None, "{other}");
        }
    }
}
