//! Where in the text a key stands, so that a broken rule can name its line; and the rules' common forms.

use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

use rust_decimal::Decimal;
use toml::de::{DeTable, DeValue};

use crate::error::{ConfigError, Origin, Problem};

/// Longest configuration that is read, bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Every key of a text: dotted path and the bytes from its name to the end of its value.
pub(crate) struct Keys<'t> {
    text: &'t str,
    keys: Vec<(String, Range<usize>)>,
    /// Keys that a later layer has set, and which.
    over: Vec<(String, Origin)>,
}

impl<'t> Keys<'t> {
    /// Reads the text as TOML, whatever its keys.
    ///
    /// # Errors
    /// It is too long, or not TOML: one problem, with its line.
    pub(crate) fn read(text: &'t str) -> Result<Keys<'t>, ConfigError> {
        let mut keys = Keys { text, keys: Vec::new(), over: Vec::new() };
        if text.len() > TEXT_BYTES_MAX {
            let rule = format!("the text has {} bytes, at most {TEXT_BYTES_MAX} are read", text.len());
            return Err(ConfigError { problems: vec![keys.problem("", "", rule)] });
        }
        match DeTable::parse(text) {
            Ok(table) => {
                keys.table("", table.get_ref());
                Ok(keys)
            }
            Err(e) => {
                let origin = e.span().map(|s| Origin::Line(keys.line_at(s.start))).unwrap_or_default();
                let rule = format!("not TOML: {}", one_line(e.message()));
                let problem = Problem { origin, key: String::new(), value: String::new(), rule };
                Err(ConfigError { problems: vec![problem] })
            }
        }
    }

    /// Turns a refusal by type or name into a problem that names the key and never echoes a secret.
    pub(crate) fn refusal(&self, error: &toml::de::Error) -> Problem {
        let at = error.span().map(|s| s.start);
        let key = at.and_then(|at| self.key_at(at)).unwrap_or_default().to_owned();
        let origin = at.map(|at| Origin::Line(self.line_at(at))).unwrap_or_default();
        Problem { origin, value: String::new(), rule: type_rule(&key, error.message()), key }
    }

    /// Where the value of a key comes from.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        let within = |set: &str| {
            key.strip_prefix(set).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        if let Some((_, origin)) = self.over.iter().rev().find(|(set, _)| within(set)) {
            return origin.clone();
        }
        let found = self.keys.iter().find(|(k, _)| k == key);
        found.map(|(_, at)| Origin::Line(self.line_at(at.start))).unwrap_or_default()
    }

    /// Notes that a later layer has set this key.
    pub(crate) fn set(&mut self, key: &str, origin: Origin) {
        self.over.push((key.to_owned(), origin));
    }

    /// Bytes from the name of a key to the end of its value.
    pub(crate) fn span(&self, key: &str) -> Option<Range<usize>> {
        self.keys.iter().find(|(k, _)| k == key).map(|(_, at)| at.clone())
    }

    fn problem(&self, key: &str, value: &str, rule: String) -> Problem {
        Problem { origin: self.origin(key), key: key.to_owned(), value: shown(value), rule }
    }

    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = match prefix {
                "" => name.get_ref().to_string(),
                _ => format!("{prefix}.{}", name.get_ref()),
            };
            let (from, to) = (name.span().start, value.span().end);
            self.keys.push((path.clone(), from..to.max(name.span().end)));
            self.value(&path, value.get_ref());
        }
    }

    fn value(&mut self, path: &str, value: &DeValue<'_>) {
        match value {
            DeValue::Table(inner) => self.table(path, inner),
            DeValue::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    let path = format!("{path}[{i}]");
                    self.keys.push((path.clone(), item.span()));
                    self.value(&path, item.get_ref());
                }
            }
            _ => {}
        }
    }

    /// The innermost key whose name or value covers byte `at`.
    fn key_at(&self, at: usize) -> Option<&str> {
        let covering = self.keys.iter().filter(|(_, span)| span.contains(&at));
        covering
            .min_by_key(|(path, span)| (span.len(), usize::MAX - path.len()))
            .map(|(path, _)| path.as_str())
    }

    fn line_at(&self, at: usize) -> usize {
        let upto = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        1 + upto.iter().filter(|&&b| b == b'\n').count()
    }
}

/// Collects what is wrong with values that have the right type.
pub(crate) struct Checker<'t> {
    keys: &'t Keys<'t>,
    pub(crate) problems: Vec<Problem>,
}

impl<'t> Checker<'t> {
    pub(crate) fn new(keys: &'t Keys<'t>) -> Checker<'t> {
        Checker { keys, problems: Vec::new() }
    }

    /// A rule in words.
    pub(crate) fn rule(&mut self, key: &str, value: impl Display, holds: bool, rule: impl Display) {
        if !holds {
            self.problems.push(self.keys.problem(key, &value.to_string(), rule.to_string()));
        }
    }

    /// A number within `min..=max`.
    pub(crate) fn range<N: PartialOrd + Display + Copy>(&mut self, key: &str, value: N, min: N, max: N) {
        self.rule(key, value, min <= value && value <= max, format_args!("must be {min}..={max}"));
    }

    /// A decimal above zero.
    pub(crate) fn positive(&mut self, key: &str, value: Decimal) {
        self.rule(key, value, value > Decimal::ZERO, "must be more than 0");
    }

    /// A path from the root, so that it means the same whatever directory the program starts in.
    pub(crate) fn absolute(&mut self, key: &str, path: &Path) {
        let (text, holds) = (path.display(), path.is_absolute() && !path.to_string_lossy().contains('\0'));
        self.rule(key, text, holds, "must be an absolute path");
    }

    /// An optional path; empty = none.
    pub(crate) fn absolute_or_none(&mut self, key: &str, path: &Path) {
        if !path.as_os_str().is_empty() {
            self.absolute(key, path);
        }
    }
}

/// What a refusal by type or name says; never a byte of what may be a secret.
pub(crate) fn type_rule(key: &str, message: &str) -> String {
    if !looks_secret(key) {
        return one_line(message);
    }
    if message.starts_with("unknown field") {
        "secrets are never in this file, nor beside it; name an environment variable (venue.api_key_env, \
         venue.api_secret_env) or a file of mode 0600 (venue.api_key_file, venue.api_secret_file)"
            .to_owned()
    } else {
        "has the wrong type; its value is not shown".to_owned()
    }
}

fn looks_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["secret", "api_key", "apikey", "password", "passphrase", "token", "private"]
        .iter()
        .any(|w| key.contains(w))
}

/// A value fit for one line of a terminal.
fn shown(value: &str) -> String {
    let mut out: String = value.chars().take(Problem::VALUE_CHARS_MAX).flat_map(char::escape_debug).collect();
    if value.chars().nth(Problem::VALUE_CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_know_their_lines() {
        let text = "a = 1\n[b]\nc = 2\n\n[[t]]\nx = [1,\n 2]\n[[t]]\nx = 5\n";
        let keys = Keys::read(text).expect("TOML");
        for (key, line) in [("a", 1), ("b.c", 3), ("t[0].x", 6), ("t[0].x[1]", 7), ("t[1].x", 9)] {
            assert_eq!(keys.problem(key, "", String::new()).origin, Origin::Line(line), "{key}");
        }
        assert_eq!(keys.problem("b.d", "", String::new()).origin, Origin::Default);
        assert_eq!(keys.key_at(text.find('2').expect("there")), Some("b.c"));
    }

    #[test]
    fn values_are_cut_and_escaped() {
        assert_eq!(shown("a\nb\u{1b}"), "a\\nb\\u{1b}");
        assert_eq!(shown(&"x".repeat(61)), format!("{}…", "x".repeat(60)));
    }
}
