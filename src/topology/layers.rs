//! Layers of a configuration: the file, then the environment, then arguments; each value knows where it comes from.
//!
//! `CORELANE__RISK__ORDER_QTY_MAX=0.001` and `--set risk.order_qty_max=0.001` say the same as `order_qty_max = "0.001"`
//! in section `[risk]`. A value is read as TOML, and when that does not fit its key, as plain text: decimals and names
//! need no quotes here.

#[cfg(test)]
mod tests;

use std::ffi::OsString;

use serde::Deserialize;
use toml::{Table, Value};

use crate::config::Config;
use crate::error::{ConfigError, Origin, Problem};
use crate::lines::{Checker, Keys, type_rule};

/// What the name of an environment variable that sets a key begins with; two underscores stand for each dot.
pub const ENV_PREFIX: &str = "CORELANE__";
/// Most wrong types and unknown keys of one file that are told.
const TYPE_PROBLEMS_MAX: usize = 64;
/// Longest dotted path of a key set outside the file, and longest value, bytes.
const OVERRIDE_BYTES_MAX: usize = 4_096;

/// One key set outside the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Dotted path.
    pub key: String,
    /// The value: TOML, or plain text.
    pub text: String,
    /// Which layer, and how it is named there.
    pub origin: Origin,
}

impl Override {
    /// Every `CORELANE__SECTION__KEY` among these variables, in the order of their names.
    ///
    /// # Errors
    /// A value that is not text; it is not shown.
    pub fn from_env(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Vec<Override>, ConfigError> {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for (name, value) in vars {
            let Some(path) = name.to_str().and_then(|n| n.strip_prefix(ENV_PREFIX)) else { continue };
            let key = path.to_ascii_lowercase().replace("__", ".");
            let origin = Origin::Env(format!("{ENV_PREFIX}{path}"));
            match value.into_string() {
                Ok(text) => found.push(Override { key, text, origin }),
                Err(_) => problems.push(refused(&key, origin, "is not text".into())),
            }
        }
        found.sort_by(|a, b| a.origin.cmp(&b.origin));
        if problems.is_empty() { Ok(found) } else { Err(ConfigError { problems }) }
    }

    /// What `--set KEY=VALUE` says.
    ///
    /// # Errors
    /// No `=`, or no key before it.
    pub fn from_set(word: &str) -> Result<Override, ConfigError> {
        match word.split_once('=') {
            Some((key, text)) if !key.is_empty() => {
                Ok(Override { key: key.to_owned(), text: text.to_owned(), origin: Origin::Set })
            }
            _ => {
                let rule = "must be KEY=VALUE, such as risk.order_qty_max=0.001";
                Err(ConfigError { problems: vec![refused("", Origin::Set, rule.into())] })
            }
        }
    }

    /// The value as its key takes it, or why it does not.
    fn value(&self) -> Result<Value, Problem> {
        let refuse = |rule: String| refused(&self.key, self.origin.clone(), rule);
        if self.key.len().max(self.text.len()) > OVERRIDE_BYTES_MAX {
            return Err(refuse(format!("key and value must have at most {OVERRIDE_BYTES_MAX} bytes")));
        }
        // Alone it may lack keys that stand in the file; those are looked at together.
        let fits = |value: &Value| match Config::deserialize(nested(&self.key, value.clone())) {
            Ok(_) => Ok(()),
            Err(e) if e.message().starts_with("missing field") => Ok(()),
            Err(e) => Err(e.message().to_owned()),
        };
        let whole = toml::from_str::<Table>(&format!("v = {}", self.text)).ok();
        let read = whole.filter(|table| table.len() == 1).and_then(|mut table| table.remove("v"));
        let mut why = None;
        for value in read.into_iter().chain([Value::String(self.text.clone())]) {
            match fits(&value) {
                Ok(()) => return Ok(value),
                Err(refusal) => {
                    why.get_or_insert(refusal);
                }
            }
        }
        Err(refuse(type_rule(&self.key, &why.unwrap_or_default())))
    }
}

fn refused(key: &str, origin: Origin, rule: String) -> Problem {
    Problem { origin, key: key.to_owned(), value: String::new(), rule }
}

/// A table with this one value at the end of a dotted path.
fn nested(key: &str, value: Value) -> Table {
    let mut names = key.rsplit('.');
    let mut table = Table::from_iter(names.next().map(|name| (name.to_owned(), value)));
    for name in names {
        table = Table::from_iter([(name.to_owned(), Value::Table(table))]);
    }
    table
}

/// Lays one table over another; a value that is no table takes the place of what was there.
fn lay(over: Table, under: &mut Table) {
    for (name, value) in over {
        match (value, under.get_mut(&name)) {
            (Value::Table(over), Some(Value::Table(under))) => lay(over, under),
            (value, _) => {
                under.insert(name, value);
            }
        }
    }
}

/// A checked configuration and where each value comes from.
#[derive(Clone, Debug)]
pub struct Layered {
    /// The values.
    pub config: Config,
    values: Vec<(String, String, Origin)>,
}

impl Layered {
    /// Reads and checks the file's text with these set over it, later ones last.
    ///
    /// # Errors
    /// As [`Config::parse`], of every layer.
    pub fn read(text: &str, over: &[Override]) -> Result<Layered, ConfigError> {
        let mut keys = Keys::read(text)?;
        let (rest, mut problems) = typed(text, &keys, !over.is_empty());
        let mut merged = rest.as_deref().and_then(|text| toml::from_str::<Table>(text).ok());
        for one in over {
            match one.value() {
                Ok(value) => {
                    keys.set(&one.key, one.origin.clone());
                    if let Some(merged) = &mut merged {
                        lay(nested(&one.key, value), merged);
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        let Some(merged) = merged else { return Err(ConfigError { problems }) };
        let config = match Config::deserialize(merged) {
            Ok(config) => config,
            Err(e) => {
                problems.push(refused("", Origin::Default, type_rule("", e.message())));
                return Err(ConfigError { problems });
            }
        };
        let mut checker = Checker::new(&keys);
        config.check(&mut checker);
        // A default in the place of a value that could not be read breaks no rule of anybody's.
        let unread: Vec<String> = problems.iter().map(|p| p.key.clone()).filter(|k| !k.is_empty()).collect();
        let fair = |p: &Problem| !unread.iter().any(|key| p.key == *key || p.rule.contains(key.as_str()));
        problems.extend(checker.problems.into_iter().filter(fair));
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        let mut values = Vec::new();
        if let Ok(table) = Table::try_from(&config) {
            leaves("", &table, &mut |key, value| {
                values.push((key.to_owned(), written(value), keys.origin(key)));
            });
        }
        Ok(Layered { config, values })
    }

    /// Every value in force: dotted key, value as TOML, where it comes from.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str, &Origin)> {
        self.values.iter().map(|(key, value, origin)| (key.as_str(), value.as_str(), origin))
    }

    /// Where the value of a key comes from.
    pub fn origin(&self, key: &str) -> Origin {
        self.values.iter().find(|(k, ..)| k == key).map(|(.., origin)| origin.clone()).unwrap_or_default()
    }
}

fn leaves(prefix: &str, table: &Table, each: &mut impl FnMut(&str, &Value)) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => leaves(&key, inner, each),
            _ => each(&key, value),
        }
    }
}

/// A value as TOML writes it.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Integer(n) => n.to_string(),
        Value::Float(x) => x.to_string(),
        Value::Boolean(b) => b.to_string(),
        Value::Datetime(at) => at.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let pair = |(name, value): (&String, &Value)| format!("{name} = {}", written(value));
            format!("{{ {} }}", table.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Finds keys that do not exist and values of the wrong type, and blanks each so that the rest can be read: the text
/// without them, unless one could not be blanked, and the problems.
fn typed(text: &str, keys: &Keys<'_>, more: bool) -> (Option<String>, Vec<Problem>) {
    let mut rest = text.to_owned();
    let mut problems = Vec::new();
    while problems.len() < TYPE_PROBLEMS_MAX {
        let Err(error) = toml::from_str::<Config>(&rest) else { return (Some(rest), problems) };
        if more && error.message().starts_with("missing field") {
            return (Some(rest), problems); // another layer may have it
        }
        if !problems.is_empty() && toml::from_str::<Table>(&rest).is_err() {
            break; // what was blanked stood in an array or an inline table
        }
        let problem = keys.refusal(&error);
        let span = keys.span(&problem.key);
        problems.push(problem);
        let Some((span, old)) = span.and_then(|span| Some((span.clone(), rest.get(span)?))) else { break };
        let blank: String = old.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        if blank.len() != span.len() || blank == old {
            break; // other than ASCII, so that places would move; or it has been blanked already
        }
        rest.replace_range(span, &blank);
    }
    (None, problems)
}
