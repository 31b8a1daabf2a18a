//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

/// Printed by `--help` and after a usage error.
pub(crate) const USAGE: &str = "\
usage: corelane-journal show PATH [options]     what was recorded
       corelane-journal verify PATH [--json]    whether it is whole, and how it ends
       corelane-journal replay PATH [--json]    whether the agents come to the same again

  PATH           a directory (its newest session) or one file
  --why ORDER    why an order was sent: part of its client order id, or `last`
  --kind KIND    only records or items of this kind: config listing streams cycle note end,
                 up down frame word stamp sent snapshot no_snapshot refused took put abort
  --agent NAME   only cycles of feed, strategy, oms or gateway
  --order TEXT   only cycles in whose messages TEXT occurs
  --from T, --to T   only cycles in this span of time, ns since 1970
  --last N       only the last N of what would be shown
  --json         one JSON object a line
";

/// What is to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) kind: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) order: Option<String>,
    pub(crate) from_ns: u64,
    pub(crate) to_ns: Option<u64>,
    pub(crate) last: Option<usize>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Show(Filter),
    Why(String),
    Verify,
    Replay,
}

/// A checked command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) what: What,
    pub(crate) path: PathBuf,
    pub(crate) json: bool,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Run(Command),
    Help,
}

const KINDS: [&str; 18] = [
    "config",
    "listing",
    "streams",
    "cycle",
    "note",
    "end",
    "up",
    "down",
    "frame",
    "word",
    "stamp",
    "sent",
    "snapshot",
    "no_snapshot",
    "refused",
    "took",
    "put",
    "abort",
];
const AGENTS: [&str; 4] = ["feed", "strategy", "oms", "gateway"];

/// Checks a command line (without the program's name).
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Asked, String> {
    read(args).map_err(|e| e.to_string())
}

fn one_of(option: &str, value: String, of: &[&str]) -> Result<Option<String>, lexopt::Error> {
    if of.contains(&value.as_str()) {
        return Ok(Some(value));
    }
    Err(format!("{option} {value:?}: must be one of {}", of.join(" ")).into())
}

fn read(args: impl IntoIterator<Item = OsString>) -> Result<Asked, lexopt::Error> {
    let mut words = lexopt::Parser::from_args(args);
    let (mut command, mut path, mut json, mut why) = (None, None, false, None);
    let mut filter = Filter::default();
    let mut filtered = false;
    while let Some(word) = words.next()? {
        filtered |= matches!(word, Long("kind" | "agent" | "order" | "from" | "to" | "last"));
        match word {
            Value(v) if command.is_none() => command = Some(v.string()?),
            Value(v) if path.is_none() => path = Some(PathBuf::from(v)),
            Long("why") => why = Some(words.value()?.string()?),
            Long("kind") => filter.kind = one_of("--kind", words.value()?.string()?, &KINDS)?,
            Long("agent") => filter.agent = one_of("--agent", words.value()?.string()?, &AGENTS)?,
            Long("order") => filter.order = Some(words.value()?.string()?),
            Long("from") => filter.from_ns = words.value()?.parse()?,
            Long("to") => filter.to_ns = Some(words.value()?.parse()?),
            Long("last") => filter.last = Some(words.value()?.parse()?),
            Long("json") => json = true,
            Long("help") | Short('h') => return Ok(Asked::Help),
            other => return Err(other.unexpected()),
        }
    }
    let what = match (command.as_deref(), why) {
        (Some("show"), Some(_)) if filtered => return Err("--why stands alone".into()),
        (Some("show"), Some(order)) => What::Why(order),
        (Some("show"), None) => What::Show(filter),
        (Some("verify" | "replay"), why) if filtered || why.is_some() => {
            return Err("only show takes filters".into());
        }
        (Some("verify"), _) => What::Verify,
        (Some("replay"), _) => What::Replay,
        (Some(other), _) => {
            return Err(format!("unknown command {other:?}: show, verify and replay exist").into());
        }
        (None, _) => return Err("a command is required: show, verify or replay".into()),
    };
    let path = path.ok_or("PATH is required: a directory of journals, or one file")?;
    Ok(Asked::Run(Command { what, path, json }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Asked, String> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn reads_every_option() {
        let filter = Filter {
            kind: Some("sent".into()),
            agent: Some("gateway".into()),
            order: Some("x1".into()),
            from_ns: 5,
            to_ns: Some(9),
            last: Some(3),
        };
        let line = "show j --kind sent --agent gateway --order x1 --from 5 --to 9 --last 3 --json";
        let command = Command { what: What::Show(filter), path: "j".into(), json: true };
        assert_eq!(read(line), Ok(Asked::Run(command)));
        let why = Command { what: What::Why("last".into()), path: "j".into(), json: false };
        assert_eq!(read("show j --why last"), Ok(Asked::Run(why)));
        assert_eq!(read("replay --help"), Ok(Asked::Help));
    }

    #[test]
    fn refusals_say_what_would_do() {
        for (line, says) in [
            ("", "a command is required"),
            ("fly j", "unknown command \"fly\""),
            ("verify", "PATH is required"),
            ("show j --kind nonsense", "must be one of config listing"),
            ("show j --agent kill", "must be one of feed strategy"),
            ("show j --why last --last 3", "--why stands alone"),
            ("verify j --last 3", "only show takes filters"),
            ("show j --last x", "x"),
            ("show j k", "k"),
        ] {
            let error = read(line).expect_err(line);
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
