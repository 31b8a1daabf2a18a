//! The record of commands: one JSON object a line, appended and flushed to disk, in the state directory.
//!
//! A command is noted when it is about to be carried out (`asked`), and again with its outcome. At `BYTES_MAX` the file
//! is put aside; `KEPT` of those are kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use wire::Ts;

/// Name of the file in the state directory.
pub const LOG_FILE: &str = "commands.log";
/// Longest file, bytes.
const BYTES_MAX: u64 = 8 << 20;
/// Files put aside that are kept.
const KEPT: usize = 4;

/// One command, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRecord {
    /// When.
    pub ts: Ts,
    /// Who, as the kernel says: user, group, process.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Process id.
    pub pid: i32,
    /// As what: `operator`, `observer`, or `nobody`.
    pub role: &'static str,
    /// What, as it would be typed; empty when the bytes were no request.
    pub command: String,
    /// `asked`, or how it ended.
    pub outcome: String,
}

/// Who else wants to know of every record, in the order in which they are written.
pub type Recorder = Box<dyn FnMut(&CommandRecord) + Send>;

/// The file.
pub struct CommandLog {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    recorder: Option<Recorder>,
}

impl CommandLog {
    /// Opens the file in a state directory, made with mode 0600 when missing.
    ///
    /// # Errors
    /// The file system's refusal.
    pub fn open(state_dir: &Path) -> io::Result<CommandLog> {
        let mut log = CommandLog { path: state_dir.join(LOG_FILE), file: None, bytes: 0, recorder: None };
        log.reopen()?;
        Ok(log)
    }

    /// The same, with somebody who hears every record too.
    pub fn heard_by(mut self, recorder: Recorder) -> CommandLog {
        self.recorder = Some(recorder);
        self
    }

    /// Appends a record and waits until it is on disk.
    ///
    /// # Errors
    /// The file system's refusal; part of the line may stand there, ended by the next one.
    pub fn write(&mut self, record: &CommandRecord) -> io::Result<()> {
        if let Some(recorder) = &mut self.recorder {
            recorder(record);
        }
        if self.bytes >= BYTES_MAX {
            self.rotate()?;
        }
        if self.file.is_none() {
            self.reopen()?;
        }
        let line = json!({"ts_ns": record.ts.0, "time": kill::utc(record.ts), "uid": record.uid, "gid": record.gid,
            "pid": record.pid, "role": record.role, "command": record.command, "outcome": record.outcome});
        let line = format!("{line}\n");
        let Some(file) = &mut self.file else { return Err(io::Error::other("no file")) };
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
        match &written {
            Ok(()) => self.bytes += line.len() as u64,
            Err(_) => self.file = None, // opened anew next time, behind whatever stands there
        }
        written
    }

    fn reopen(&mut self) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        self.bytes = file.metadata()?.len();
        if self.bytes > 0 && !ends_a_line(&self.path)? {
            file.write_all(b"\n")?; // a line cut off by a crash stays one line
            self.bytes += 1;
        }
        self.file = Some(file);
        Ok(())
    }

    fn aside(&self, n: usize) -> PathBuf {
        self.path.with_extension(format!("log.{n}"))
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        for n in (1..KEPT).rev() {
            match fs::rename(self.aside(n), self.aside(n + 1)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        fs::rename(&self.path, self.aside(1))?;
        self.reopen()
    }
}

fn ends_a_line(path: &Path) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn record(n: u64) -> CommandRecord {
        CommandRecord {
            ts: Ts(n),
            uid: 3,
            gid: 4,
            pid: 5,
            role: "operator",
            command: "mode \"x\"\n".into(),
            outcome: "asked".into(),
        }
    }

    #[test]
    fn every_record_is_a_line_whatever_stood_there() {
        let dir = std::env::temp_dir().join(format!("corelane-commands-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join(LOG_FILE);
        fs::write(&path, "{\"cut").expect("a damaged file");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        let recorder: Recorder = Box::new(move |r| hears.lock().expect("alive").push(r.clone()));
        let mut log = CommandLog::open(&dir).expect("a log").heard_by(recorder);
        for n in 0..3 {
            log.write(&record(n)).expect("written");
        }
        let text = fs::read_to_string(&path).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        let read: serde_json::Value = serde_json::from_str(lines[3]).expect("JSON");
        assert_eq!((read["ts_ns"].as_u64(), read["command"].as_str()), (Some(2), Some("mode \"x\"\n")));
        assert_eq!(*heard.lock().expect("alive"), [record(0), record(1), record(2)]);
        // Full: put aside, and never more than so many.
        for _ in 0..KEPT + 2 {
            log.bytes = BYTES_MAX;
            log.write(&record(9)).expect("written");
        }
        assert_eq!(fs::read_dir(&dir).expect("a directory").count(), KEPT + 1);
        assert_eq!(fs::read_to_string(&path).expect("text").lines().count(), 1);
        let _ = fs::remove_dir_all(&dir);
        assert!(CommandLog::open(&dir).is_err(), "no directory, no log");
    }
}
