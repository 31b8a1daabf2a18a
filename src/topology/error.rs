//! What is wrong with a configuration: all of it at once, each with its place.

use std::fmt;

/// Where a value comes from; a later layer goes before an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody has set it.
    #[default]
    Default,
    /// The file, at this line, from 1.
    Line(usize),
    /// This environment variable.
    Env(String),
    /// An argument `--set`.
    Set,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => write!(f, "default"),
            Origin::Line(line) => write!(f, "line {line}"),
            Origin::Env(name) => write!(f, "environment {name}"),
            Origin::Set => write!(f, "--set"),
        }
    }
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value comes from; [`Origin::Default`] when nobody has set the key, so that its default broke the rule.
    pub origin: Origin,
    /// Dotted path of the key, empty when the text is not TOML.
    pub key: String,
    /// The value as text, at most [`Problem::VALUE_CHARS_MAX`] characters; empty where it must not be shown.
    pub value: String,
    /// The rule that it breaks.
    pub rule: String,
}

impl Problem {
    /// Most characters of a value that are shown.
    pub const VALUE_CHARS_MAX: usize = 60;
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default if self.key.is_empty() => {}
            Origin::Default => write!(f, "not in the file: ")?,
            origin => write!(f, "{origin}: ")?,
        }
        if !self.key.is_empty() {
            f.write_str(&self.key)?;
            if !self.value.is_empty() {
                write!(f, " = {}", self.value)?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.rule)
    }
}

/// A configuration that was refused; prints one problem a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
