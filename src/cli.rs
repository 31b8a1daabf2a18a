//! The command line of `corelane`: raw words become one checked value, once.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::apart::Member;

/// Printed by `--help` and after a usage error.
pub const USAGE: &str = "\
corelane: a trading engine for bare metal

  corelane [demo] [options]   run the whole engine against the simulated venue and say what it cost
  corelane compare [options]  run maker and quoter on the same seeds and say which was worth more
  corelane run --config FILE  run the engine until it is asked to end
  corelane run --config FILE --agents NAME
                              run one agent of it that lives apart (runtime.apart): strategy or gateway
  corelane check --config FILE
                              say what is wrong with a configuration: every key, value, rule and line
  corelane rearm --trip ID    clear the latch of a stopped engine's trip, after its cause has been dealt with

demo options
  --seconds N          how long to trade (default 20; with --replay: until the recording ends)
  --seed S             seed of the simulated market (default 1)
  --replay FILE        play a recording instead of the simulated market; may be given several times
  --speed X|max        speed of a replay (default 1)
  --transport tls|memory
                       tls: real sockets, real threads, real time (default)
                       memory: everything in one thread, virtual time, the same bytes for the same seed
  --processes N        1: one process (default); 2: the strategy in a second; 3: the gateway in a third; over tls, unjournalled
  --json FILE          write the report as JSON too, on every way out
  --config FILE        configuration instead of the shipped default
  --set KEY=VALUE      a value that goes before the file's and the environment's (CORELANE__RISK__COLLAR_BPS=50 says the
                       same as --set risk.collar_bps=50); may be given several times
  --journal DIR        record everything there; corelane-journal shows, verifies and replays it
  --state-dir DIR      where the kill latch lives (environment CORELANE_STATE_DIR; default: private to this run)

  SIGINT or SIGTERM ends a run in order: quoting stops, open orders are cancelled and confirmed.
  SIGUSR1 trips the kill switch.
  exit code 0: all went as asked, engine and venue agree; 1: not so, and why; 2: wrong arguments

compare options
  --seeds N            how many seeds (default 20)
  --first-seed S       the first of them (default 1)
  --seconds N          seconds of market on each seed (default 60)
  --gusts              a market whose volatility comes in gusts, instead of the demo's steady one
  --fee-ppm N          the venue's fee, parts per million, -1000 to 10000 (default 0)
  --config FILE        configuration with both strategies and the limits of both (default: the demo's)
  --json FILE          write the figures as JSON too

run options
  --config FILE        the configuration; tools/simvenue writes one that is ready to use
  --set KEY=VALUE      as above
  --agents NAME        this agent alone, as part of a running engine of the same configuration: strategy or gateway
  --dir DIR            with --agents: the engine's instance directory, or the directory of instances (default: the newest)

check options
  --config FILE        the configuration
  --set KEY=VALUE      as above
  --show               print every value in force, and which layer it comes from
  --host               look at this host too: credentials, certificate authorities, directories, cores

rearm options
  --trip ID            the id that was printed when it tripped
  --state-dir DIR      as above; one of the two is required
";

/// Real sockets or the one-thread engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS over loopback.
    Tls,
    /// One thread, virtual time.
    Memory,
}

/// How fast a recording plays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// Times real time, above zero.
    Times(f64),
    /// As fast as it goes.
    Max,
}

/// What `demo` was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoArgs {
    /// Seconds of trading; `None` = 20, or the length of the recording.
    pub seconds: Option<f64>,
    /// Seed.
    pub seed: u64,
    /// Recordings, in order.
    pub replay: Vec<PathBuf>,
    /// Their speed.
    pub speed: Speed,
    /// Transport.
    pub transport: Transport,
    /// Processes of the engine, 1 to 3.
    pub processes: u32,
    /// Where to write the JSON report.
    pub json: Option<PathBuf>,
    /// Configuration file.
    pub config: Option<PathBuf>,
    /// `key=value` over it.
    pub sets: Vec<String>,
    /// State directory.
    pub state_dir: Option<PathBuf>,
    /// Directory of the journal; `None` = none, unless the configuration file has one.
    pub journal: Option<PathBuf>,
}

impl Default for DemoArgs {
    fn default() -> Self {
        DemoArgs {
            seconds: None,
            seed: 1,
            replay: Vec::new(),
            speed: Speed::Times(1.0),
            transport: Transport::Tls,
            processes: 1,
            json: None,
            config: None,
            sets: Vec::new(),
            state_dir: None,
            journal: None,
        }
    }
}

/// What `compare` was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct CompareArgs {
    /// Seeds.
    pub seeds: u32,
    /// The first of them.
    pub first_seed: u64,
    /// Seconds of market on each.
    pub seconds: f64,
    /// Volatility in gusts.
    pub gusts: bool,
    /// The venue's fee for makers and takers, parts per million.
    pub fee_ppm: i64,
    /// Configuration file.
    pub config: Option<PathBuf>,
    /// Where to write the figures as JSON.
    pub json: Option<PathBuf>,
}

impl Default for CompareArgs {
    fn default() -> Self {
        CompareArgs {
            seeds: 20,
            first_seed: 1,
            seconds: 60.0,
            gusts: false,
            fee_ppm: 0,
            config: None,
            json: None,
        }
    }
}

/// What `run` was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunArgs {
    /// Configuration file.
    pub config: PathBuf,
    /// `key=value` over it.
    pub sets: Vec<String>,
}

/// What `run --agents` was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberArgs {
    /// The agent.
    pub member: Member,
    /// Configuration file.
    pub config: PathBuf,
    /// `key=value` over it.
    pub sets: Vec<String>,
    /// The engine's instance directory, or the directory of instances.
    pub dir: Option<PathBuf>,
}

/// What `check` was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckArgs {
    /// Configuration file.
    pub config: PathBuf,
    /// `key=value` over it.
    pub sets: Vec<String>,
    /// Print every value in force.
    pub show: bool,
    /// Look at this host too.
    pub host: bool,
}

/// A checked command line.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Print the usage.
    Help,
    /// Run the demo.
    Demo(DemoArgs),
    /// Set maker against quoter.
    Compare(CompareArgs),
    /// Run the engine.
    Run(RunArgs),
    /// Run one agent of it.
    Member(MemberArgs),
    /// Check a configuration.
    Check(CheckArgs),
    /// Clear the latch.
    Rearm {
        /// The printed trip id.
        trip: String,
        /// State directory.
        state_dir: Option<PathBuf>,
    },
}

/// Why a command line was refused: names option, value and rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// An unknown option, a missing value, bytes that are not text.
    #[error("{0}")]
    Words(#[from] lexopt::Error),
    /// A value that breaks its option's rule.
    #[error("{option} {value:?}: must be {rule}")]
    Value {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// The rule.
        rule: &'static str,
    },
    /// An option that must be given was not.
    #[error("{0} is required")]
    Required(&'static str),
    /// A command that does not exist.
    #[error("unknown command {0:?}: demo, run, check, compare and rearm exist")]
    Unknown(String),
}

fn positive(option: &'static str, value: &str) -> Result<f64, CliError> {
    match value.parse::<f64>() {
        Ok(v) if v.is_finite() && v > 0.0 && v <= 1e6 => Ok(v),
        _ => {
            Err(CliError::Value { option, value: value.into(), rule: "a number above 0 and at most 1000000" })
        }
    }
}

/// Checks a command line (without the program's name).
///
/// # Errors
/// [`CliError`].
pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Command, CliError> {
    let mut args = args.into_iter().peekable();
    let command = args.next_if(|a| !a.to_string_lossy().starts_with('-'));
    let words = lexopt::Parser::from_args(args);
    match command.as_deref().map(|c| c.to_str()) {
        // The demo is the main job: no command means it.
        None | Some(Some("demo")) => demo(words),
        Some(Some("compare")) => compare(words),
        Some(Some("run")) => run_args(words),
        Some(Some("check")) => check_args(words),
        Some(Some("rearm")) => rearm(words),
        Some(Some("help")) => Ok(Command::Help),
        Some(_) => Err(CliError::Unknown(command.unwrap_or_default().to_string_lossy().into_owned())),
    }
}

fn demo(mut words: lexopt::Parser) -> Result<Command, CliError> {
    let mut args = DemoArgs::default();
    while let Some(word) = words.next()? {
        match word {
            Long("seconds") => args.seconds = Some(positive("--seconds", &words.value()?.string()?)?),
            Long("seed") => {
                let value = words.value()?.string()?;
                args.seed = value.parse().map_err(|_| CliError::Value {
                    option: "--seed",
                    value,
                    rule: "an integer from 0 to 18446744073709551615",
                })?;
            }
            Long("replay") => args.replay.push(words.value()?.into()),
            Long("speed") => {
                let value = words.value()?.string()?;
                args.speed =
                    if value == "max" { Speed::Max } else { Speed::Times(positive("--speed", &value)?) };
            }
            Long("transport") => {
                let value = words.value()?.string()?;
                args.transport = match value.as_str() {
                    "tls" => Transport::Tls,
                    "memory" => Transport::Memory,
                    _ => {
                        return Err(CliError::Value { option: "--transport", value, rule: "tls or memory" });
                    }
                };
            }
            Long("processes") => {
                args.processes = whole("--processes", words.value()?.string()?, 1..=3, "1, 2 or 3")?;
            }
            Long("json") => args.json = Some(words.value()?.into()),
            Long("config") => args.config = Some(words.value()?.into()),
            Long("set") => args.sets.push(words.value()?.string()?),
            Long("state-dir") => args.state_dir = Some(words.value()?.into()),
            Long("journal") => args.journal = Some(words.value()?.into()),
            Long("help") | Short('h') => return Ok(Command::Help),
            _ => return Err(word.unexpected().into()),
        }
    }
    // One thread is one process, and a journal holds the one order of all that happens in one.
    if args.processes > 1 && (args.transport == Transport::Memory || args.journal.is_some()) {
        let rule = "1 with --transport memory and with --journal";
        return Err(CliError::Value { option: "--processes", value: args.processes.to_string(), rule });
    }
    Ok(Command::Demo(args))
}

fn compare(mut words: lexopt::Parser) -> Result<Command, CliError> {
    let mut args = CompareArgs::default();
    while let Some(word) = words.next()? {
        match word {
            Long("seeds") => {
                args.seeds = whole("--seeds", words.value()?.string()?, 1..=1_000_000, "1 to 1000000")?
            }
            Long("first-seed") => {
                let all = 0..=u64::MAX;
                args.first_seed = whole(
                    "--first-seed",
                    words.value()?.string()?,
                    all,
                    "an integer from 0 to 18446744073709551615",
                )?;
            }
            Long("seconds") => args.seconds = positive("--seconds", &words.value()?.string()?)?,
            Long("gusts") => args.gusts = true,
            Long("fee-ppm") => {
                args.fee_ppm =
                    whole("--fee-ppm", words.value()?.string()?, -1_000..=10_000, "-1000 to 10000")?;
            }
            Long("config") => args.config = Some(words.value()?.into()),
            Long("json") => args.json = Some(words.value()?.into()),
            Long("help") | Short('h') => return Ok(Command::Help),
            _ => return Err(word.unexpected().into()),
        }
    }
    Ok(Command::Compare(args))
}

/// An integer within a range.
fn whole<N: std::str::FromStr + PartialOrd>(
    option: &'static str,
    value: String,
    range: std::ops::RangeInclusive<N>,
    rule: &'static str,
) -> Result<N, CliError> {
    match value.parse() {
        Ok(n) if range.contains(&n) => Ok(n),
        _ => Err(CliError::Value { option, value, rule }),
    }
}

fn run_args(mut words: lexopt::Parser) -> Result<Command, CliError> {
    let (mut config, mut sets, mut member, mut dir) = (None, Vec::new(), None, None);
    while let Some(word) = words.next()? {
        match word {
            Long("config") => config = Some(words.value()?.into()),
            Long("set") => sets.push(words.value()?.string()?),
            Long("agents") => {
                let value = words.value()?.string()?;
                let rule = "strategy or gateway, one a process";
                member =
                    Some(Member::named(&value).ok_or(CliError::Value { option: "--agents", value, rule })?);
            }
            Long("dir") => dir = Some(words.value()?.into()),
            Long("help") | Short('h') => return Ok(Command::Help),
            _ => return Err(word.unexpected().into()),
        }
    }
    let config = config.ok_or(CliError::Required("--config"))?;
    match (member, dir) {
        (Some(member), dir) => Ok(Command::Member(MemberArgs { member, config, sets, dir })),
        (None, Some(_)) => Err(CliError::Required("--agents, when --dir is given,")),
        (None, None) => Ok(Command::Run(RunArgs { config, sets })),
    }
}

fn check_args(mut words: lexopt::Parser) -> Result<Command, CliError> {
    let (mut config, mut sets, mut show, mut host) = (None, Vec::new(), false, false);
    while let Some(word) = words.next()? {
        match word {
            Long("config") => config = Some(words.value()?.into()),
            Long("set") => sets.push(words.value()?.string()?),
            Long("show") => show = true,
            Long("host") => host = true,
            Long("help") | Short('h') => return Ok(Command::Help),
            _ => return Err(word.unexpected().into()),
        }
    }
    let config = config.ok_or(CliError::Required("--config"))?;
    Ok(Command::Check(CheckArgs { config, sets, show, host }))
}

fn rearm(mut words: lexopt::Parser) -> Result<Command, CliError> {
    let (mut trip, mut state_dir) = (None, None);
    while let Some(word) = words.next()? {
        match word {
            Long("trip") => trip = Some(words.value()?.string()?),
            Long("state-dir") => state_dir = Some(words.value()?.into()),
            Long("help") | Short('h') => return Ok(Command::Help),
            _ => return Err(word.unexpected().into()),
        }
    }
    Ok(Command::Rearm { trip: trip.ok_or(CliError::Required("--trip"))?, state_dir })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Command, CliError> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn reads_every_option() {
        let Ok(Command::Demo(args)) = run(
            "demo --seconds 2.5 --seed 7 --replay a.gz --replay b.gz --speed max --transport memory --json r.json \
             --config c.toml --state-dir s",
        ) else {
            panic!("a full command line parses")
        };
        assert_eq!(args.seconds, Some(2.5));
        assert_eq!(args.seed, 7);
        assert_eq!(args.replay, [PathBuf::from("a.gz"), PathBuf::from("b.gz")]);
        assert_eq!((args.speed, args.transport), (Speed::Max, Transport::Memory));
        let sets = vec!["a.b=1".to_owned(), "c=2".to_owned()];
        let want = CheckArgs { config: "c.toml".into(), sets: sets.clone(), show: true, host: true };
        let line = "check --config c.toml --set a.b=1 --show --set c=2 --host";
        assert_eq!(run(line).ok(), Some(Command::Check(want)));
        let want = RunArgs { config: "c.toml".into(), sets };
        assert_eq!(run("run --set a.b=1 --config c.toml --set c=2").ok(), Some(Command::Run(want)));
        let want = MemberArgs {
            member: Member::Gateway,
            config: "c.toml".into(),
            sets: Vec::new(),
            dir: Some("d".into()),
        };
        assert_eq!(run("run --agents gateway --config c.toml --dir d").ok(), Some(Command::Member(want)));
        assert_eq!(run("").ok(), Some(Command::Demo(DemoArgs::default())));
        assert_eq!(run("--help").ok(), Some(Command::Help));
        let Ok(Command::Compare(args)) =
            run("compare --seeds 3 --first-seed 101 --seconds 5 --fee-ppm -50 --config c.toml --json r.json")
        else {
            panic!("a full command line parses")
        };
        assert_eq!((args.seeds, args.first_seed, args.seconds, args.fee_ppm), (3, 101, 5.0, -50));
        assert_eq!(run("compare").ok(), Some(Command::Compare(CompareArgs::default())));
        assert_eq!(
            run("rearm --trip AB-CD").ok(),
            Some(Command::Rearm { trip: "AB-CD".into(), state_dir: None })
        );
    }

    #[test]
    fn refusals_name_option_value_and_rule() {
        for (line, says) in [
            ("demo --seconds 0", "--seconds \"0\": must be a number above 0"),
            ("demo --seconds NaN", "--seconds \"NaN\""),
            ("demo --seed -1", "--seed \"-1\""),
            ("demo --speed fast", "--speed \"fast\""),
            ("demo --processes 4", "--processes \"4\": must be 1, 2 or 3"),
            ("demo --processes 3 --transport memory", "--processes \"3\": must be 1 with --transport memory"),
            ("demo --journal d --processes 2", "--processes \"2\": must be 1 with"),
            ("demo --transport udp", "--transport \"udp\": must be tls or memory"),
            ("demo --frobnicate", "--frobnicate"),
            ("compare --seeds 0", "--seeds \"0\": must be 1 to 1000000"),
            ("compare --fee-ppm 10001", "--fee-ppm \"10001\": must be -1000 to 10000"),
            ("compare --seed 1", "--seed"),
            ("rearm", "--trip is required"),
            ("run", "--config is required"),
            ("check --show", "--config is required"),
            ("run --seed 1", "--seed"),
            ("run --config c.toml --agents oms", "--agents \"oms\": must be strategy or gateway"),
            ("run --config c.toml --dir d", "--agents, when --dir is given, is required"),
            ("fly", "unknown command \"fly\""),
            ("demo --json", "--json"),
        ] {
            let error = run(line).expect_err(line).to_string();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
