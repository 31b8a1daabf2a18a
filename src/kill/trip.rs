//! What tripped, when, and under which id.

use crate::line::LineFault;
use crate::random::random_u64;
use std::fmt;
use std::str::FromStr;
use wire::Ts;

/// Who asked for the stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A kill line read as anything but closed.
    Line {
        /// Number of the line, in order of configuration.
        line: u16,
    },
    /// SIGUSR1 arrived.
    Signal,
    /// A watched agent stopped beating.
    StaleBeat {
        /// Number of the agent, in order of configuration.
        agent: u16,
    },
    /// A watched thread has panicked.
    Panic {
        /// Number of the thread, in the order in which they are watched.
        thread: u16,
    },
    /// An operator's command.
    Command,
    /// A drill.
    Test,
    /// The latch of an earlier trip could not be read at start.
    Latch,
}

impl Source {
    /// As one word: code in the low byte, number above.
    pub(crate) fn to_word(self) -> u64 {
        match self {
            Source::Line { line } => 1 | (line as u64) << 8,
            Source::Signal => 2,
            Source::StaleBeat { agent } => 3 | (agent as u64) << 8,
            Source::Command => 4,
            Source::Test => 5,
            Source::Latch => 6,
            Source::Panic { thread } => 7 | (thread as u64) << 8,
        }
    }

    pub(crate) fn from_word(word: u64) -> Option<Source> {
        let number = u16::try_from(word >> 8).ok()?;
        let source = match word as u8 {
            1 => Source::Line { line: number },
            2 => Source::Signal,
            3 => Source::StaleBeat { agent: number },
            4 => Source::Command,
            5 => Source::Test,
            6 => Source::Latch,
            7 => Source::Panic { thread: number },
            _ => return None,
        };
        (source.to_word() == word).then_some(source)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Line { line } => write!(f, "line {line}"),
            Source::Signal => write!(f, "signal"),
            Source::StaleBeat { agent } => write!(f, "stale_beat {agent}"),
            Source::Command => write!(f, "command"),
            Source::Test => write!(f, "test"),
            Source::Latch => write!(f, "latch"),
            Source::Panic { thread } => write!(f, "panic {thread}"),
        }
    }
}

impl FromStr for Source {
    type Err = ();

    fn from_str(text: &str) -> Result<Source, ()> {
        let (name, number) = match text.split_once(' ') {
            Some((name, number)) => (name, Some(number.parse::<u16>().map_err(|_| ())?)),
            None => (text, None),
        };
        let source = match (name, number) {
            ("line", Some(line)) => Source::Line { line },
            ("signal", None) => Source::Signal,
            ("stale_beat", Some(agent)) => Source::StaleBeat { agent },
            ("command", None) => Source::Command,
            ("test", None) => Source::Test,
            ("latch", None) => Source::Latch,
            ("panic", Some(thread)) => Source::Panic { thread },
            _ => return Err(()),
        };
        // Exactly as written by `Display`: no `line 07`.
        if source.to_string() == text { Ok(source) } else { Err(()) }
    }
}

/// What was wrong, in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing was wrong: somebody asked.
    Asked,
    /// How the line read.
    Line(LineFault),
    /// The agent's last beat is older than allowed.
    Stale {
        /// Age of the beat, or of the arming when there was none, ns.
        age_ns: u64,
        /// Allowed age, ns.
        limit_ns: u64,
    },
    /// The agent's last beat lies ahead of the clock by more than a beat may be old: a broken clock or word.
    Ahead {
        /// How far, ns.
        ahead_ns: u64,
        /// Allowed, ns.
        limit_ns: u64,
    },
    /// The agent is watched and its beat was not given.
    Unwatched,
    /// The latch could not be read at start.
    Unreadable,
    /// The thread panicked: none of its agents will ever run again.
    Panicked,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Asked => write!(f, "asked for"),
            Fault::Line(fault) => fault.fmt(f),
            Fault::Stale { age_ns, limit_ns } => write!(f, "beat {age_ns} ns old, limit {limit_ns} ns"),
            Fault::Ahead { ahead_ns, limit_ns } => {
                write!(f, "beat {ahead_ns} ns ahead of the clock, limit {limit_ns} ns")
            }
            Fault::Unwatched => write!(f, "watched agent without a beat"),
            Fault::Unreadable => write!(f, "latch of an earlier trip unreadable"),
            Fault::Panicked => write!(f, "the thread panicked"),
        }
    }
}

/// A decision to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trip {
    /// Who asked.
    pub source: Source,
    /// What was wrong.
    pub fault: Fault,
    /// When it was decided.
    pub ts: Ts,
}

/// Name of one trip: forty random bits, printed as `7K3F-9Q2M`. Not a secret; having read it shows that the
/// operator who re-arms means this trip and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TripId(u64);

/// Crockford's base 32: no I, L, O or U to misread.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ID_BITS: u32 = 40;

impl TripId {
    /// A fresh id from the kernel's random numbers; never the all-zero one.
    pub fn random() -> TripId {
        TripId((random_u64() >> (64 - ID_BITS)).max(1))
    }

    /// As a word of the control segment.
    pub(crate) fn to_word(self) -> u64 {
        self.0
    }

    pub(crate) fn from_word(word: u64) -> Option<TripId> {
        (word != 0 && word >> ID_BITS == 0).then_some(TripId(word))
    }
}

impl fmt::Display for TripId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |i: u32| DIGITS[(self.0 >> (5 * i)) as usize & 31] as char;
        (4..8).rev().try_for_each(|i| write!(f, "{}", digit(i)))?;
        write!(f, "-")?;
        (0..4).rev().try_for_each(|i| write!(f, "{}", digit(i)))
    }
}

impl FromStr for TripId {
    type Err = ();

    /// Reads an id as people type it: either case, with or without the dash, `O` for `0`, `I` or `L` for `1`.
    fn from_str(text: &str) -> Result<TripId, ()> {
        let mut word = 0u64;
        let mut digits = 0;
        for byte in text.trim().bytes().filter(|byte| *byte != b'-') {
            let byte = match byte.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                byte => byte,
            };
            let value = DIGITS.iter().position(|digit| *digit == byte).ok_or(())?;
            digits += 1;
            if digits > 8 {
                return Err(());
            }
            word = word << 5 | value as u64;
        }
        if digits == 8 { TripId::from_word(word).ok_or(()) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_round_trip_as_word_and_text() {
        let all = [
            Source::Line { line: 0 },
            Source::Line { line: u16::MAX },
            Source::Signal,
            Source::StaleBeat { agent: 7 },
            Source::Command,
            Source::Test,
            Source::Latch,
            Source::Panic { thread: 2 },
        ];
        for source in all {
            assert_eq!(Source::from_word(source.to_word()), Some(source));
            assert_eq!(source.to_string().parse(), Ok(source));
        }
        for text in ["", "line", "line 07", "line -1", "signal 0", "Line 1", "line 65536", "line 1 "] {
            assert_eq!(text.parse::<Source>(), Err(()), "{text:?}");
        }
        for word in [0, 8, 2 | 1 << 8, 1 | 1 << 24, u64::MAX] {
            assert_eq!(Source::from_word(word), None);
        }
    }

    #[test]
    fn ids_are_read_as_people_type_them() {
        let id = TripId(0x12_3456_789a);
        assert_eq!(id.to_string(), "28T5-CY4T");
        for text in ["28T5-CY4T", "28t5cy4t", " 28T5-CY4T\n", "2-8-T-5-C-Y-4-T"] {
            assert_eq!(text.parse(), Ok(id), "{text:?}");
        }
        assert_eq!("OIL0-0000".parse::<TripId>(), Ok(TripId(0b00000_00001_00001 << 25)));
        for text in ["", "28T5-CY4", "28T5-CY4TT", "28T5-CY4U", "0000-0000", "28T5_CY4T"] {
            assert_eq!(text.parse::<TripId>(), Err(()), "{text:?}");
        }
    }

    #[test]
    fn ids_differ() {
        let ids: std::collections::HashSet<u64> = (0..1000).map(|_| TripId::random().0).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| TripId(*id).to_string().parse() == Ok(TripId(*id))));
    }
}
