//! The latch: a stop that outlives the program.
//!
//! One small text file in the state directory, read by people as well:
//!
//! ```text
//! corelane kill latch 1
//! state: tripped
//! id: 7K3F-9Q2M
//! source: line 0
//! subject: estop
//! ts_ns: 1790000000123456789
//! time: 2026-09-21T14:13:20.123456789Z
//! detail: loop open: read byte 0x30, closed reads 0x31
//! check: 93f1c0d2e4b5a697
//! ```
//!
//! It is replaced whole (written aside, flushed, renamed, directory flushed), so a crash leaves the old or the new
//! one. The last line is an FNV-1a hash of all before it: a file cut anywhere, or edited by hand, is unreadable,
//! and unreadable comes up tripped. Only an absent file in a present directory, or a whole one that says
//! `state: clear`, lets an engine arm.

use crate::control::cut;
use crate::line::{LineFault, LineSample};
use crate::trip::{Source, TripId};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use wire::Ts;

/// Name of the latch in the state directory.
pub const LATCH_FILE: &str = "kill.latch";
/// Where an unreadable latch is kept for people when a new one takes its place.
pub const LATCH_UNREADABLE_FILE: &str = "kill.latch.unreadable";

const TITLE: &str = "corelane kill latch 1";
/// Longest subject and detail on file, bytes.
const TEXT_MAX: usize = 240;
/// No latch is longer; a longer file is something else.
const FILE_MAX: u64 = 4096;

/// What a latch says of a trip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatchRecord {
    /// Name of the trip.
    pub id: TripId,
    /// Who asked.
    pub source: Source,
    /// Name of the line or agent, `""` when it has none.
    pub subject: String,
    /// When it was decided.
    pub ts: Ts,
    /// What was wrong.
    pub detail: String,
}

/// What is found in a state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LatchState {
    /// No trip, or one that was re-armed.
    Clear,
    /// A trip that nobody has re-armed.
    Tripped(LatchRecord),
    /// Something that cannot be trusted: treated as a trip.
    Unreadable {
        /// What is wrong with it.
        why: String,
    },
}

/// Why a latch could not be written.
#[derive(Debug, thiserror::Error)]
#[error("latch: {act} {path}: {source}")]
pub struct LatchError {
    /// What was attempted.
    pub act: &'static str,
    /// On what.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

/// Why a re-arm was refused. The latch is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RearmError {
    /// There is nothing to re-arm.
    #[error("not tripped: the latch is clear")]
    NotTripped,
    /// The latch cannot be read, so nobody can say which trip is meant.
    #[error("latch unreadable ({why}): start the engine, which names the trip anew, and re-arm with that id")]
    Unreadable {
        /// What is wrong with it.
        why: String,
    },
    /// The id is not that of the latched trip.
    #[error("trip id {given:?} is not the one that tripped: read it from the latch")]
    WrongId {
        /// What was given.
        given: String,
    },
    /// Only who owns the state directory may re-arm.
    #[error("uid {uid} may not re-arm: the state directory belongs to uid {owner}")]
    NotOwner {
        /// Who asked.
        uid: u32,
        /// Who may.
        owner: u32,
    },
    /// A kill line is not closed.
    #[error("line {line} is not healthy: {fault}")]
    Line {
        /// Name of the line, or its number.
        line: String,
        /// How it reads.
        fault: LineFault,
    },
    /// The lines have not been closed for long enough.
    #[error("lines closed for {closed_ns} ns, {settle_ns} ns are required")]
    Settling {
        /// For how long, ns.
        closed_ns: u64,
        /// Required, ns.
        settle_ns: u64,
    },
    /// Another source still asks for the stop.
    #[error("{source_name} {subject} is not healthy: {fault}")]
    Source {
        /// Which source.
        source_name: String,
        /// Name of the agent, `""` when it has none.
        subject: String,
        /// What is wrong.
        fault: String,
    },
    /// The gate has not shut yet.
    #[error("the gate is not shut: a sender has neither acknowledged nor been aborted")]
    NotShut,
    /// The file system refused; the latch may be the old or the new one, and is read again.
    #[error(transparent)]
    Latch(#[from] LatchError),
}

/// A request to re-arm.
#[derive(Clone, Copy, Debug)]
pub struct Rearm<'a> {
    /// The id of the trip as its latch prints it.
    pub trip_id: &'a str,
    /// Who asks: the peer of the control socket, or the user of the tool.
    pub uid: u32,
    /// When.
    pub ts: Ts,
    /// Every configured line, sampled just now, with its name.
    pub lines: &'a [(&'a str, LineSample)],
}

/// The latch of one state directory.
#[derive(Clone, Debug)]
pub struct Latch {
    dir: PathBuf,
}

impl Latch {
    /// The latch in `dir`, which is not looked at yet.
    pub fn new(dir: &Path) -> Latch {
        Latch { dir: dir.to_path_buf() }
    }

    /// Makes the state directory (0700) when it is missing: part of setting up a host, not of a start, for a start
    /// that finds no directory must not take that for "never tripped".
    ///
    /// # Errors
    /// The file system's refusal.
    pub fn create(dir: &Path) -> Result<Latch, LatchError> {
        match DirBuilder::new().recursive(true).mode(0o700).create(dir) {
            Ok(()) => Ok(Latch::new(dir)),
            Err(source) => Err(LatchError { act: "make", path: dir.to_path_buf(), source }),
        }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.dir.join(LATCH_FILE)
    }

    /// Reads the latch. Never fails: what cannot be read is [`LatchState::Unreadable`].
    pub fn load(&self) -> LatchState {
        let path = self.path();
        let unreadable = |why: String| LatchState::Unreadable { why };
        // A pipe or device in the file's place must not hold up a start.
        let opened =
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(&path);
        let mut text = Vec::new();
        match opened.and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut text)) {
            Ok(_) if text.len() as u64 > FILE_MAX => unreadable(format!("longer than {FILE_MAX} bytes")),
            Ok(_) => parse(&text).unwrap_or_else(unreadable),
            Err(e) if e.kind() == io::ErrorKind::NotFound => match fs::metadata(&self.dir) {
                Ok(meta) if meta.is_dir() => LatchState::Clear,
                Ok(_) => unreadable(format!("{} is not a directory", self.dir.display())),
                Err(e) => unreadable(format!("state directory {}: {e}", self.dir.display())),
            },
            Err(e) => unreadable(format!("{}: {e}", path.display())),
        }
    }

    /// Puts a trip on disk, flushed with its directory. An unreadable latch that stood there is kept beside it.
    ///
    /// # Errors
    /// The file system's refusal; the old latch stands.
    pub fn write(&self, record: &LatchRecord) -> Result<(), LatchError> {
        if matches!(self.load(), LatchState::Unreadable { .. }) {
            // A second name, not a move: should the new latch fail to be written, the old must still stand, for
            // an absent one is clear. Evidence, not protection, so failing to keep it stops nothing.
            let kept = self.dir.join(LATCH_UNREADABLE_FILE);
            let _ = fs::remove_file(&kept);
            let _ = fs::hard_link(self.path(), kept);
        }
        self.replace(&tripped_text(record))
    }

    /// Clears the latch: who asks owns the state directory and names the trip, and every line is closed.
    ///
    /// # Errors
    /// Which of these is not so, or the file system's refusal.
    pub fn rearm(&self, request: &Rearm<'_>) -> Result<(), RearmError> {
        let record = match self.load() {
            LatchState::Clear => return Err(RearmError::NotTripped),
            LatchState::Unreadable { why } => return Err(RearmError::Unreadable { why }),
            LatchState::Tripped(record) => record,
        };
        let owner = fs::metadata(&self.dir).map_err(|e| self.error("look at", &self.dir, e))?.uid();
        if request.uid != owner {
            return Err(RearmError::NotOwner { uid: request.uid, owner });
        }
        if request.trip_id.parse() != Ok(record.id) {
            return Err(RearmError::WrongId { given: request.trip_id.to_string() });
        }
        if let Some((line, Err(fault))) = request.lines.iter().find(|(_, sample)| sample.is_err()) {
            return Err(RearmError::Line { line: line.to_string(), fault: *fault });
        }
        Ok(self.replace(&clear_text(&record, request))?)
    }

    fn replace(&self, text: &str) -> Result<(), LatchError> {
        let path = self.path();
        let aside = self.dir.join(format!(".{LATCH_FILE}.{}", std::process::id()));
        let write = || {
            // Left by a write that failed, or put there to hold us up: never opened, only replaced.
            match fs::remove_file(&aside) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|e| self.error("write", &aside, e))?;
        fs::rename(&aside, &path).map_err(|e| self.error("replace", &path, e))?;
        // Without this the rename itself may not survive a power cut.
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(|e| self.error("flush", &self.dir, e))
    }

    fn error(&self, act: &'static str, path: &Path, source: io::Error) -> LatchError {
        LatchError { act, path: path.to_path_buf(), source }
    }
}

fn tripped_text(record: &LatchRecord) -> String {
    with_check(format!(
        "{TITLE}\nstate: tripped\nid: {}\nsource: {}\nsubject: {}\nts_ns: {}\ntime: {}\ndetail: {}\n",
        record.id,
        record.source,
        one_line(&record.subject),
        record.ts.0,
        utc(record.ts),
        one_line(&record.detail),
    ))
}

fn clear_text(record: &LatchRecord, request: &Rearm<'_>) -> String {
    with_check(format!(
        "{TITLE}\nstate: clear\nrearmed: {}\nby_uid: {}\nts_ns: {}\ntime: {}\n",
        record.id,
        request.uid,
        request.ts.0,
        utc(request.ts),
    ))
}

fn with_check(mut text: String) -> String {
    let check = fnv1a(text.as_bytes());
    text.push_str(&format!("check: {check:016x}\n"));
    text
}

/// Reads a whole latch, or says what is wrong with it.
fn parse(bytes: &[u8]) -> Result<LatchState, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not text".to_string())?;
    let body_len = text.rfind("check: ").ok_or("no check line: cut off?")?;
    let body = &text[..body_len];
    if with_check(body.to_string()) != text {
        return Err("check line does not fit: cut off or edited".to_string());
    }
    let mut lines = body.lines();
    let title = lines.next().unwrap_or("");
    if title != TITLE {
        return Err(format!("starts with {title:?}, this version reads {TITLE:?}"));
    }
    let mut field = |name: &str| {
        let line = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(str::to_string).ok_or_else(|| format!("no {name} where it belongs"))
    };
    match field("state")?.as_str() {
        "clear" => Ok(LatchState::Clear),
        "tripped" => {
            let bad = |name: &'static str| move |_| format!("{name} cannot be read");
            let id = field("id")?.parse().map_err(bad("id"))?;
            let source = field("source")?.parse().map_err(bad("source"))?;
            let subject = field("subject")?;
            let ts = field("ts_ns")?.parse().map(Ts).map_err(|_| "ts_ns cannot be read".to_string())?;
            field("time")?;
            let detail = field("detail")?;
            Ok(LatchState::Tripped(LatchRecord { id, source, subject, ts, detail }))
        }
        state => Err(format!("state {state:?} is unknown")),
    }
}

/// Text that fits a line: no control characters, at most [`TEXT_MAX`] bytes.
fn one_line(text: &str) -> String {
    cut(text, TEXT_MAX).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ *byte as u64).wrapping_mul(0x0000_0100_0000_01b3))
}

/// A time as people write it, UTC. Days to date after Howard Hinnant, `civil_from_days`.
pub fn utc(ts: Ts) -> String {
    let (secs, nanos) = (ts.0 / 1_000_000_000, ts.0 % 1_000_000_000);
    let (days, secs) = (secs / 86_400, secs % 86_400);
    // Days from 0000-03-01, so that a leap day ends its year.
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + (month <= 2) as u64;
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn record() -> LatchRecord {
        LatchRecord {
            id: TripId::random(),
            source: Source::StaleBeat { agent: 3 },
            subject: "gateway".into(),
            ts: Ts(1_790_000_000_123_456_789),
            detail: "beat 12000000 ns old, limit 10000000 ns".into(),
        }
    }

    fn own_uid(dir: &Path) -> u32 {
        fs::metadata(dir).unwrap().uid()
    }

    #[test]
    fn a_trip_outlives_the_program() {
        let scratch = Scratch::new("latch");
        let dir = scratch.path().join("state");
        assert!(
            matches!(Latch::new(&dir).load(), LatchState::Unreadable { .. }),
            "no directory is not clear"
        );
        let latch = Latch::create(&dir).unwrap();
        assert_eq!(latch.load(), LatchState::Clear);
        let record = record();
        latch.write(&record).unwrap();
        assert_eq!(Latch::new(&dir).load(), LatchState::Tripped(record.clone()));
        assert_eq!(fs::metadata(latch.path()).unwrap().mode() & 0o777, 0o600);
        let text = fs::read_to_string(latch.path()).unwrap();
        assert!(text.starts_with("corelane kill latch 1\nstate: tripped\nid: "), "{text}");
        assert!(text.contains("\ntime: 2026-09-21T14:13:20.123456789Z\n"), "{text}");
        let files: Vec<_> = fs::read_dir(&dir).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(files, [LATCH_FILE], "nothing is left beside it");
    }

    #[test]
    fn cut_anywhere_it_is_unreadable() {
        let scratch = Scratch::new("latch-cut");
        let latch = Latch::new(scratch.path());
        let request = |id: &str| {
            let (trip_id, uid) = (id.to_string(), own_uid(scratch.path()));
            latch.rearm(&Rearm { trip_id: &trip_id, uid, ts: Ts(5), lines: &[] }).unwrap();
        };
        for clear in [false, true] {
            let record = record();
            latch.write(&record).unwrap();
            if clear {
                request(&record.id.to_string());
            }
            let whole = fs::read(latch.path()).unwrap();
            let want = if clear { LatchState::Clear } else { LatchState::Tripped(record) };
            assert_eq!(latch.load(), want);
            for len in 0..whole.len() {
                fs::write(latch.path(), &whole[..len]).unwrap();
                assert!(matches!(latch.load(), LatchState::Unreadable { .. }), "cut at {len}");
                let mut flipped = whole.clone();
                flipped[len] ^= 1;
                fs::write(latch.path(), &flipped).unwrap();
                assert!(matches!(latch.load(), LatchState::Unreadable { .. }), "flipped at {len}");
            }
            let mut longer = whole.clone();
            longer.push(b'\n');
            fs::write(latch.path(), &longer).unwrap();
            assert!(matches!(latch.load(), LatchState::Unreadable { .. }));
            fs::write(latch.path(), &whole).unwrap();
            assert_eq!(latch.load(), want);
        }
    }

    #[test]
    fn other_things_in_its_place_are_unreadable() {
        let scratch = Scratch::new("latch-odd");
        let latch = Latch::new(scratch.path());
        fs::create_dir(latch.path()).unwrap();
        assert!(matches!(latch.load(), LatchState::Unreadable { .. }));
        fs::remove_dir(latch.path()).unwrap();
        std::os::unix::fs::symlink("/dev/zero", latch.path()).unwrap();
        assert!(matches!(latch.load(), LatchState::Unreadable { .. }));
        fs::remove_file(latch.path()).unwrap();
        fs::write(latch.path(), vec![b'x'; 10_000]).unwrap();
        assert!(matches!(latch.load(), LatchState::Unreadable { .. }));
        let future = with_check("corelane kill latch 2\nstate: clear\n".to_string());
        fs::write(latch.path(), future).unwrap();
        assert!(matches!(latch.load(), LatchState::Unreadable { .. }), "another version is not believed");
        // A new trip keeps what stood there.
        latch.write(&record()).unwrap();
        assert!(matches!(latch.load(), LatchState::Tripped(_)));
        assert!(scratch.path().join(LATCH_UNREADABLE_FILE).exists());
    }

    #[test]
    fn text_cannot_forge_a_field() {
        let scratch = Scratch::new("latch-forge");
        let latch = Latch::new(scratch.path());
        let subject = "x\nstate: clear\ncheck: 0".to_string();
        let record = LatchRecord { subject, detail: "d\r\n".repeat(500), ..record() };
        latch.write(&record).unwrap();
        let LatchState::Tripped(read) = latch.load() else { panic!("{:?}", latch.load()) };
        assert_eq!((read.id, read.subject.as_str()), (record.id, "x state: clear check: 0"));
    }

    #[test]
    fn rearming_needs_the_owner_the_id_and_closed_lines() {
        let scratch = Scratch::new("latch-rearm");
        let latch = Latch::new(scratch.path());
        let uid = own_uid(scratch.path());
        let record = record();
        let id = record.id.to_string();
        let good = Rearm { trip_id: &id, uid, ts: Ts(9), lines: &[("estop", Ok(()))] };
        assert!(matches!(latch.rearm(&good), Err(RearmError::NotTripped)));
        latch.write(&record).unwrap();
        let before = fs::read(latch.path()).unwrap();
        let wrong_uid = Rearm { uid: uid.wrapping_add(1), ..good };
        assert!(matches!(latch.rearm(&wrong_uid), Err(RearmError::NotOwner { .. })));
        let other = TripId::random().to_string();
        for trip_id in ["", "0000-0000", &other, "7K3F"] {
            let refused = latch.rearm(&Rearm { trip_id, ..good });
            assert!(matches!(refused, Err(RearmError::WrongId { .. })), "{trip_id:?}");
        }
        let open = Rearm { lines: &[("door", Ok(())), ("estop", Err(LineFault::Empty))], ..good };
        let refused = latch.rearm(&open).unwrap_err();
        assert!(matches!(&refused, RearmError::Line { line, fault: LineFault::Empty } if line == "estop"));
        assert_eq!(fs::read(latch.path()).unwrap(), before, "a refusal changes nothing");
        fs::write(latch.path(), &before[..50]).unwrap();
        assert!(matches!(latch.rearm(&good), Err(RearmError::Unreadable { .. })));
        fs::write(latch.path(), &before).unwrap();
        latch.rearm(&Rearm { trip_id: &id.to_lowercase(), ..good }).unwrap();
        assert_eq!(Latch::new(scratch.path()).load(), LatchState::Clear);
        assert!(fs::read_to_string(latch.path()).unwrap().contains(&format!("rearmed: {id}\n")));
    }

    #[test]
    fn a_disk_that_refuses_is_an_error() {
        let scratch = Scratch::new("latch-full");
        let dir = scratch.path().join("gone");
        assert_eq!(Latch::new(&dir).write(&record()).unwrap_err().act, "write");
        // An unreadable latch is not lost to a new one that could not be written.
        let latch = Latch::new(scratch.path());
        fs::write(latch.path(), "damaged").unwrap();
        fs::create_dir(scratch.path().join(format!(".{LATCH_FILE}.{}", std::process::id()))).unwrap();
        assert!(latch.write(&record()).is_err());
        assert!(matches!(latch.load(), LatchState::Unreadable { .. }));
    }

    #[test]
    fn dates_are_right() {
        let at = |secs: u64| utc(Ts(secs * 1_000_000_000));
        assert_eq!(at(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000000000Z");
        assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59.000000000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000000000Z");
    }
}
