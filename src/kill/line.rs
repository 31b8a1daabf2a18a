//! Kill lines: closed is healthy, and everything else is not.
//!
//! A line is a normally-closed loop. A pressed button, a cut wire, a pulled plug, a gone chip, a failed read: all
//! read as not closed, because none of them can be told from a press by a machine that must not guess. One bad
//! sample trips; there is no debounce on the way down.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why a line did not read as closed. Small and `Copy`: it travels with the trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LineFault {
    /// The loop is open: a press, a cut wire, a pulled plug.
    Open {
        /// What was read where `'1'` is healthy.
        byte: u8,
    },
    /// There was nothing to read.
    Empty,
    /// The line does not exist.
    Missing,
    /// The line could not be read.
    Io {
        /// The system's error number, 0 when it gave none.
        errno: i32,
    },
    /// The line is configured and was not sampled.
    Unsampled,
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineFault::Open { byte } => write!(f, "loop open: read byte 0x{byte:02x}, closed reads 0x31"),
            LineFault::Empty => write!(f, "nothing to read, closed reads 0x31"),
            LineFault::Missing => write!(f, "line missing"),
            LineFault::Io { errno } => {
                write!(f, "line unreadable: {}", io::Error::from_raw_os_error(*errno))
            }
            LineFault::Unsampled => write!(f, "line not sampled"),
        }
    }
}

/// One sample of a line: closed, or why not.
pub type LineSample = Result<(), LineFault>;

/// A kill line of any make.
pub trait Line: Send {
    /// Name for the latch and for people.
    fn name(&self) -> &str;

    /// Reads the line now. Must return within the kill thread's period whatever the line does.
    ///
    /// # Errors
    /// Anything but a closed loop, the failure to read included.
    fn sample(&mut self) -> LineSample;
}

/// A simulated line: a file whose first byte is `'1'` while the loop is closed.
///
/// Opened anew at every sample, so that a removed or replaced file is seen. Write it by renaming another over
/// it: a file that is truncated to be written again reads as open for a moment, and a moment trips.
#[derive(Debug)]
pub struct FileLine {
    name: String,
    path: PathBuf,
}

impl FileLine {
    /// A line named `name` in the file `path`.
    pub fn new(name: &str, path: &Path) -> FileLine {
        FileLine { name: name.to_string(), path: path.to_path_buf() }
    }
}

impl Line for FileLine {
    fn name(&self) -> &str {
        &self.name
    }

    fn sample(&mut self) -> LineSample {
        // Non-blocking: a pipe put in the file's place must not hold up the kill thread.
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&self.path);
        let mut byte = [0u8; 1];
        match opened.and_then(|mut file| file.read(&mut byte)) {
            Ok(0) => Err(LineFault::Empty),
            Ok(_) if byte[0] == b'1' => Ok(()),
            Ok(_) => Err(LineFault::Open { byte: byte[0] }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(LineFault::Missing),
            Err(e) => Err(LineFault::Io { errno: e.raw_os_error().unwrap_or(0) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;

    #[test]
    fn only_a_closed_loop_is_healthy() {
        let scratch = Scratch::new("line");
        let path = scratch.path().join("estop");
        let mut line = FileLine::new("estop", &path);
        assert_eq!(line.sample(), Err(LineFault::Missing));
        for healthy in ["1", "1\n", "10"] {
            fs::write(&path, healthy).unwrap();
            assert_eq!(line.sample(), Ok(()), "{healthy:?}");
        }
        for byte in (0..=255u8).filter(|byte| *byte != b'1') {
            fs::write(&path, [byte, b'1']).unwrap();
            assert_eq!(line.sample(), Err(LineFault::Open { byte }));
        }
        fs::write(&path, "").unwrap();
        assert_eq!(line.sample(), Err(LineFault::Empty));
        fs::remove_file(&path).unwrap();
        assert_eq!(line.sample(), Err(LineFault::Missing));
        fs::create_dir(&path).unwrap();
        assert_eq!(line.sample(), Err(LineFault::Io { errno: libc::EISDIR }));
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink(&path, &path).unwrap();
        assert_eq!(line.sample(), Err(LineFault::Io { errno: libc::ELOOP }));
        fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        if made.is_ok_and(|status| status.success()) {
            assert_eq!(line.sample(), Err(LineFault::Empty));
        }
    }

    #[test]
    fn an_unreadable_line_is_open() {
        let scratch = Scratch::new("line-denied");
        let path = scratch.path().join("estop");
        fs::write(&path, "1").unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        if fs::read(&path).is_ok() {
            println!("skipped: this user reads everything");
            return;
        }
        assert_eq!(FileLine::new("estop", &path).sample(), Err(LineFault::Io { errno: libc::EACCES }));
    }
}
