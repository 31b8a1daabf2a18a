//! One engine a directory: a file whose lock is held as long as the engine lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Name of the file.
pub const CLAIM_FILE: &str = "engine.lock";

/// A directory that is ours while this lives; the kernel lets go of it however the program ends.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

impl Claim {
    /// Claims a directory; `None` when a living engine has it.
    ///
    /// # Errors
    /// The file system's refusal.
    pub fn take(dir: &Path) -> io::Result<Option<Claim>> {
        let path = dir.join(CLAIM_FILE);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                // For people; what counts is the lock.
                file.set_len(0)?;
                writeln!(file, "{}", std::process::id())?;
                Ok(Some(Claim { _lock: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether a living engine has this directory. One that cannot be looked at has none.
    pub fn is_taken(dir: &Path) -> bool {
        let opened = File::open(dir.join(CLAIM_FILE));
        opened.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_claimed_once_and_let_go_of() {
        let dir = std::env::temp_dir().join(format!("corelane-claim-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        assert!(!Claim::is_taken(&dir));
        let claim = Claim::take(&dir).expect("a file");
        assert!(claim.is_some() && Claim::is_taken(&dir));
        assert!(Claim::take(&dir).expect("a file").is_none());
        drop(claim);
        assert!(!Claim::is_taken(&dir) && Claim::take(&dir).expect("a file").is_some());
        let _ = std::fs::remove_dir_all(&dir);
        assert!(Claim::take(&dir).is_err());
    }
}
