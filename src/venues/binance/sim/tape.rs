//! A recording as it is played: which line is next, when it falls due, and where play stands.

use super::capture::{CaptureError, CaptureSource};
use super::config::CapturePace;
use super::json;
use std::ops::Range;
use wire::Ts;

/// A recording and the place in it.
///
/// ```text
///            first subscription          snapshot line, nobody asked
///  Waiting ─────────────────────▶ Playing ──────────────────────────▶ Held
///                                  │   ▲         snapshot request      │
///                       last line  ▼   └───────────────────────────────┘
///                               Finished
/// ```
pub(super) struct Tape {
    source: Box<dyn CaptureSource>,
    line: Vec<u8>,
    next: Option<Line>,
    started: bool,
    held: bool,
    pace: CapturePace,
    /// Venue time and stamp at which play (re)started.
    base: (Ts, Ts),
    lines_bad: u64,
    error: Option<CaptureError>,
}

/// The next line, its payload lying in the tape's buffer.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) stamp: Ts,
    payload: Range<usize>,
    pub(super) content: Content,
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A frame of this stream.
    Frame(String),
    /// The body of a REST depth snapshot.
    Snapshot,
}

impl Tape {
    pub(super) fn new(source: Box<dyn CaptureSource>) -> Tape {
        let mut tape = Tape {
            source,
            line: Vec::new(),
            next: None,
            started: false,
            held: false,
            pace: CapturePace::default(),
            base: (Ts(0), Ts(0)),
            lines_bad: 0,
            error: None,
        };
        tape.read_on();
        tape
    }

    pub(super) fn set_pace(&mut self, pace: CapturePace, now: Ts) {
        self.pace = pace;
        self.rebase(now);
    }

    /// Starts play, once.
    pub(super) fn start(&mut self, now: Ts) {
        if !self.started {
            self.started = true;
            self.rebase(now);
        }
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    pub(super) fn is_finished(&self) -> bool {
        self.next.is_none()
    }

    pub(super) fn lines_bad(&self) -> u64 {
        self.lines_bad
    }

    pub(super) fn error(&self) -> Option<&CaptureError> {
        self.error.as_ref()
    }

    /// When the next line falls due; `None` when nothing will until something else happens.
    pub(super) fn due_at(&self) -> Option<Ts> {
        let line = self.next.as_ref().filter(|_| self.started && !self.held)?;
        let (began, stamp) = self.base;
        Some(match self.pace {
            CapturePace::Stamps => line.stamp,
            CapturePace::Scaled(speed) if speed > 0.0 => {
                began.plus_ns((line.stamp.since_ns(stamp) as f64 / speed) as u64)
            }
            CapturePace::Scaled(_) | CapturePace::Max => began,
        })
    }

    /// The line that is due at `now`.
    pub(super) fn due(&self, now: Ts) -> Option<&Line> {
        if self.due_at()? <= now { self.next.as_ref() } else { None }
    }

    /// The venue time at which a line that is due at `now` happens.
    pub(super) fn plays_at(&self, now: Ts) -> Ts {
        match self.pace {
            CapturePace::Max => now,
            _ => self.due_at().unwrap_or(now).min(now),
        }
    }

    pub(super) fn payload(&self, line: &Line) -> &[u8] {
        self.line.get(line.payload.clone()).unwrap_or_default()
    }

    /// Stops before the next line, which is a snapshot.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Ends a hold and returns the snapshot line it was at, which is still the next; the time the hold took does
    /// not count.
    pub(super) fn resume(&mut self, now: Ts) -> Option<Line> {
        if !std::mem::take(&mut self.held) {
            return None;
        }
        self.rebase(now);
        self.next.clone()
    }

    /// Moves on to the next line that can be played. Lines without stamp or content are counted and left out; a
    /// recording that cannot be read on ends here.
    pub(super) fn read_on(&mut self) {
        loop {
            self.next = None;
            match self.source.next_line(&mut self.line) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    self.error = Some(error);
                    return;
                }
            }
            self.next = classify(&self.line);
            if self.next.is_some() {
                return;
            }
            self.lines_bad += 1;
        }
    }

    pub(super) fn count_bad(&mut self) {
        self.lines_bad += 1;
    }

    fn rebase(&mut self, now: Ts) {
        if let Some(line) = &self.next {
            self.base = (now, line.stamp);
        }
    }
}

/// Splits `<stamp> <payload>`. A payload with a `stream` is a frame, one with a `lastUpdateId` a snapshot.
fn classify(line: &[u8]) -> Option<Line> {
    let space = line.iter().position(|b| *b == b' ')?;
    let stamp = std::str::from_utf8(&line[..space]).ok()?.parse().ok().map(Ts)?;
    let payload = space + 1..line.len();
    let text = &line[payload.clone()];
    const OPENING: &[u8] = br#"{"stream":""#;
    if let Some(rest) = text.strip_prefix(OPENING) {
        let end = rest.iter().position(|b| *b == b'"')?;
        let name = std::str::from_utf8(&rest[..end]).ok()?.to_string();
        return Some(Line { stamp, payload, content: Content::Frame(name) });
    }
    let value = json::read(text)?;
    let content = match (value.get("stream").and_then(json::Json::str), value.get("lastUpdateId")) {
        (Some(name), _) => Content::Frame(name.to_string()),
        (None, Some(_)) => Content::Snapshot,
        (None, None) => return None,
    };
    Some(Line { stamp, payload, content })
}

#[cfg(test)]
mod tests {
    use super::super::capture::CaptureLines;
    use super::*;

    fn tape(lines: &[&str]) -> Tape {
        Tape::new(Box::new(CaptureLines::new(lines.iter().map(|l| l.as_bytes().to_vec()))))
    }

    #[test]
    fn lines_are_told_apart_and_bad_ones_counted() {
        let mut t = tape(&[
            r#"5 {"stream":"a@trade","data":{}}"#,
            "not a line",
            r#"6 { "lastUpdateId": 7, "bids":[], "asks":[] }"#,
            r#"7 {"other":1}"#,
            r#"8 {"data":{},"stream":"b"}"#,
        ]);
        let mut seen = Vec::new();
        while let Some(line) = t.next.clone() {
            seen.push((line.stamp.0, line.content));
            t.read_on();
        }
        assert_eq!(
            seen,
            [(5, Content::Frame("a@trade".into())), (6, Content::Snapshot), (8, Content::Frame("b".into()))]
        );
        assert_eq!(t.lines_bad(), 2);
    }

    #[test]
    fn pace_decides_when_a_line_is_due() {
        let mut t = tape(&[r#"1000 {"stream":"a"}"#, r#"3000 {"stream":"a"}"#]);
        assert_eq!(t.due_at(), None, "not started");
        t.start(Ts(50));
        assert_eq!(t.due_at(), Some(Ts(1000)));
        t.set_pace(CapturePace::Scaled(2.0), Ts(50));
        assert_eq!(t.due_at(), Some(Ts(50)));
        t.read_on();
        assert_eq!(t.due_at(), Some(Ts(1050)));
        t.hold();
        assert_eq!(t.due_at(), None);
        assert_eq!(t.resume(Ts(9000)).map(|l| l.stamp), Some(Ts(3000)));
        assert_eq!(t.due_at(), Some(Ts(9000)));
        t.set_pace(CapturePace::Max, Ts(7));
        assert!(t.due(Ts(7)).is_some());
        t.read_on();
        assert!(t.is_finished() && t.due_at().is_none());
    }
}
