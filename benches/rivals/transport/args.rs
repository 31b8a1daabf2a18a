//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt as _};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
transport: our rings beside their rivals, one 64-byte record from core to core

usage: transport [options]
  --json FILE         writes everything that was measured
  --svg FILE          draws the rows of the regime that was seen most
  --repetitions N     that must count, of every cell; 1..=1000, default 7
  --seconds N         rounds end after this, in whole rounds; 1..=86400, default 600
  --seed N            of the order within rounds; default 1
  --only TEXT         candidates whose name contains this; may be given again
  --idle spin|none    after a look in vain: spin_loop (default), or nothing, for all alike
  --smoke             each cell once and short, judges nothing
  --verbose           prints each repetition
  --help

exit code: 0 all bars hold that could be judged, 1 a bar fails or a candidate went wrong, 2 wrong arguments,
3 nothing could be measured
";

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Args {
    /// File for programs.
    pub(crate) json: Option<PathBuf>,
    /// Picture.
    pub(crate) svg: Option<PathBuf>,
    /// Repetitions that must count.
    pub(crate) repetitions: usize,
    /// When rounds end.
    pub(crate) limit: Duration,
    /// Of the order.
    pub(crate) seed: u64,
    /// Parts of names; all when empty.
    pub(crate) only: Vec<String>,
    /// `spin_loop` after a look in vain.
    pub(crate) hint: bool,
    /// Everything once, short.
    pub(crate) smoke: bool,
    /// Each repetition.
    pub(crate) verbose: bool,
    /// Only the help.
    pub(crate) help: bool,
}

/// Reads the arguments behind the program's name.
///
/// # Errors
/// One line that names the option, its value and the rule.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Args, String> {
    let mut asked = Args {
        json: None,
        svg: None,
        repetitions: 7,
        limit: Duration::from_secs(600),
        seed: 1,
        only: Vec::new(),
        hint: true,
        smoke: false,
        verbose: false,
        help: false,
    };
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Arg::Long("json") => asked.json = Some(value(&mut parser, "--json")?.into()),
            Arg::Long("svg") => asked.svg = Some(value(&mut parser, "--svg")?.into()),
            Arg::Long("repetitions") => {
                asked.repetitions = number(&mut parser, "--repetitions", 1, 1_000)? as usize;
            }
            Arg::Long("seconds") => {
                asked.limit = Duration::from_secs(number(&mut parser, "--seconds", 1, 86_400)?);
            }
            Arg::Long("seed") => asked.seed = number(&mut parser, "--seed", 0, u64::MAX)?,
            Arg::Long("only") => {
                let text = value(&mut parser, "--only")?.string().map_err(|e| format!("--only: {e}"))?;
                asked.only.push(text);
            }
            Arg::Long("idle") => {
                let word = value(&mut parser, "--idle")?;
                asked.hint = match word.to_str() {
                    Some("spin") => true,
                    Some("none") => false,
                    _ => return Err(format!("--idle {}: must be spin or none", word.display())),
                };
            }
            Arg::Long("smoke") => asked.smoke = true,
            Arg::Long("verbose") => asked.verbose = true,
            Arg::Long("help") | Arg::Short('h') => asked.help = true,
            other => return Err(other.unexpected().to_string()),
        }
    }
    Ok(asked)
}

fn value(parser: &mut Parser, option: &str) -> Result<OsString, String> {
    parser.value().map_err(|_| format!("{option} needs a value"))
}

fn number(parser: &mut Parser, option: &str, low: u64, high: u64) -> Result<u64, String> {
    let text = value(parser, option)?;
    let number = text.to_str().and_then(|t| t.parse().ok()).filter(|n| (low..=high).contains(n));
    number.ok_or_else(|| format!("{option} {}: must be a number in {low}..={high}", text.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Args, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_are_read() {
        let asked = read("--json a.json --svg b.svg --only rings --only rtrb --seed 9 --idle none").unwrap();
        assert_eq!((asked.json, asked.svg), (Some("a.json".into()), Some("b.svg".into())));
        assert_eq!((asked.only, asked.seed, asked.hint), (vec!["rings".into(), "rtrb".into()], 9, false));
        assert!(read("").unwrap().hint);
    }

    #[test]
    fn wrong_values_are_named_with_their_rule() {
        for (line, said) in [
            ("--repetitions 0", "--repetitions 0: must be a number in 1..=1000"),
            ("--seconds soon", "--seconds soon: must be a number in 1..=86400"),
            ("--idle sleep", "--idle sleep: must be spin or none"),
            ("--json", "--json needs a value"),
        ] {
            assert_eq!(read(line).unwrap_err(), said);
        }
        assert!(read("--fast").is_err() && read("more").is_err());
    }
}
