//! Modes of a running engine, and which may follow which.
//!
//! | from \ to | normal | pause | reduce | emergency |
//! |---|---|---|---|---|
//! | normal | – | yes | yes | yes |
//! | pause | yes | – | yes | yes |
//! | reduce | yes | yes | – | yes |
//! | emergency | by way of pause | with confirmation | by way of pause | – |

use std::fmt;
use std::str::FromStr;

/// What the engine as a whole may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Everything that the limits allow.
    Normal = 0,
    /// No new orders; open ones are cancelled.
    Pause = 1,
    /// Open orders are cancelled, then only orders that bring the position nearer to zero.
    Reduce = 2,
    /// No new orders; the venue is asked to cancel everything, and listed until it holds nothing.
    Emergency = 3,
}

/// Why a mode may not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModeError {
    /// Another mode comes between.
    #[error("{from} is left by way of {by}: ask for that first")]
    ByWayOf {
        /// The present mode.
        from: Mode,
        /// The one between.
        by: Mode,
    },
    /// Whoever asks must say that it is meant.
    #[error("{from} to {to} needs --confirm")]
    Unconfirmed {
        /// The present mode.
        from: Mode,
        /// The wanted one.
        to: Mode,
    },
    /// No such mode.
    #[error("no such mode: normal, pause, reduce and emergency exist")]
    Unknown,
}

impl Mode {
    /// All of them, in the order of their codes.
    pub const ALL: [Mode; 4] = [Mode::Normal, Mode::Pause, Mode::Reduce, Mode::Emergency];

    /// The mode with this code.
    ///
    /// # Errors
    /// [`ModeError::Unknown`].
    pub fn from_u8(code: u8) -> Result<Mode, ModeError> {
        Mode::ALL.get(usize::from(code)).copied().ok_or(ModeError::Unknown)
    }

    /// Name, as people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Normal => "normal",
            Mode::Pause => "pause",
            Mode::Reduce => "reduce",
            Mode::Emergency => "emergency",
        }
    }

    /// Whether `to` may follow; the mode itself always may.
    ///
    /// # Errors
    /// [`ModeError`].
    pub fn may_become(self, to: Mode, confirmed: bool) -> Result<(), ModeError> {
        match (self, to) {
            (Mode::Emergency, Mode::Pause) if !confirmed => Err(ModeError::Unconfirmed { from: self, to }),
            (Mode::Emergency, Mode::Normal | Mode::Reduce) => {
                Err(ModeError::ByWayOf { from: self, by: Mode::Pause })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Mode, ModeError> {
        Mode::ALL.into_iter().find(|mode| mode.name() == text).ok_or(ModeError::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_is_done() {
        let doc: Vec<&str> = include_str!("mode.rs").lines().filter(|l| l.starts_with("//! | ")).collect();
        for from in Mode::ALL {
            let row = doc.iter().find(|l| l.starts_with(&format!("//! | {from} |"))).expect("a row");
            for (to, cell) in Mode::ALL.into_iter().zip(row.split(" | ").skip(2)) {
                let may = from.may_become(to, false);
                let want = match cell.trim_end_matches(" |") {
                    "yes" | "–" => Ok(()),
                    "with confirmation" => Err(ModeError::Unconfirmed { from, to }),
                    _ => Err(ModeError::ByWayOf { from, by: Mode::Pause }),
                };
                assert_eq!(may, want, "{from} to {to}");
                let never = matches!(want, Err(ModeError::ByWayOf { .. }));
                assert_eq!(from.may_become(to, true).is_err(), never, "confirmation opens no other way");
            }
        }
    }

    #[test]
    fn names_and_codes_go_both_ways() {
        for mode in Mode::ALL {
            assert_eq!((mode.name().parse(), Mode::from_u8(mode as u8)), (Ok(mode), Ok(mode)));
        }
        assert_eq!(
            ("Normal".parse::<Mode>(), Mode::from_u8(4)),
            (Err(ModeError::Unknown), Err(ModeError::Unknown))
        );
    }
}
