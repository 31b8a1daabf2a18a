//! Shows what a corelane engine says of itself: counters, latencies, heartbeats, the last orders, the kill switch.
//!
//! ```text
//! corelane-stat [--once] [--json | --hlog FILE] [--dir DIR] [--orders N] [--worst]
//! ```
//!
//! Reads the engine's shared memory, read-only: the engine does not notice. Works on a dead engine's files as well,
//! and says so. In a terminal it shows itself live, twice a second, until `q`: stages of latency over the last ten
//! seconds beside all since the start, rings, agents, books, positions, refusals, rates. Elsewhere it prints a page
//! a second. Both follow when a newer engine starts. `--once` prints one page, `--json` one object a look, one look
//! a line. `--dir` names an instance directory,
//! or a directory of them; without it the newest living instance under `$CORELANE_SHM_DIR`, else under
//! `/dev/shm/corelane-<uid>`, is shown. `--orders` says how many rows of the order trace (10),
//! `--worst` that they are those that took longest.
//!
//! Exit code 0: shown. 1: no engine was found, and what to do about it. 2: wrong arguments.

#![forbid(unsafe_code)]

mod hlog;
mod json;
mod live;
mod screen;
mod table;
mod view;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use view::{Engine, Sorted, View};

const USAGE: &str = "\
usage: corelane-stat [--once] [--json | --hlog FILE] [--dir DIR] [--orders N] [--worst]

  --once      print one page and end; without it, live in a terminal (q ends it), else a page a second
  --json      one JSON object a look, one look a line
  --hlog FILE latencies as an HdrHistogram interval log: a second an interval until the engine ends,
              with --once all since its start
  --dir DIR   an instance directory, or a directory of them
              (default: the newest under $CORELANE_SHM_DIR, else /dev/shm/corelane-<uid>)
  --orders N  rows of the order trace, 0 to 1000000 (10)
  --worst     of all orders in the trace those that took longest from tick to order, not the latest
";

const REFRESH: Duration = Duration::from_secs(1);
const ORDERS_MAX: usize = 1_000_000;

#[derive(Debug, PartialEq)]
struct Args {
    once: bool,
    json: bool,
    hlog: Option<PathBuf>,
    dir: Option<PathBuf>,
    orders: usize,
    sorted: Sorted,
}

/// What the command line asks for.
#[derive(Debug, PartialEq)]
enum Asked {
    Show(Args),
    Help,
}

fn main() -> ExitCode {
    let args = match parse(std::env::args_os().skip(1)) {
        Ok(Asked::Show(args)) => args,
        Ok(Asked::Help) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprint!("corelane-stat: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("corelane-stat: {e:#}");
            ExitCode::from(1)
        }
    }
}

fn parse(args: impl Iterator<Item = std::ffi::OsString>) -> Result<Asked, String> {
    let mut parsed =
        Args { once: false, json: false, hlog: None, dir: None, orders: 10, sorted: Sorted::Latest };
    let mut args = args;
    while let Some(arg) = args.next() {
        let mut value =
            |what: &str| args.next().ok_or_else(|| format!("{} needs {what}", arg.to_string_lossy()));
        match arg.to_str() {
            Some("--once") => parsed.once = true,
            Some("--json") => parsed.json = true,
            Some("--hlog") => parsed.hlog = Some(PathBuf::from(value("a file")?)),
            Some("--worst") => parsed.sorted = Sorted::Worst,
            Some("--dir") => parsed.dir = Some(PathBuf::from(value("a directory")?)),
            Some("--orders") => {
                let n = value("a number")?;
                let n = n.to_str().and_then(|n| n.parse().ok()).filter(|n| *n <= ORDERS_MAX);
                parsed.orders = n.ok_or_else(|| format!("--orders needs a number from 0 to {ORDERS_MAX}"))?;
            }
            Some("--help" | "-h") => return Ok(Asked::Help),
            _ => return Err(format!("unknown argument {:?}", arg.to_string_lossy())),
        }
    }
    if parsed.json && parsed.hlog.is_some() {
        return Err("--json and --hlog exclude each other".into());
    }
    Ok(Asked::Show(parsed))
}

fn run(args: &Args) -> anyhow::Result<()> {
    let mut engine = Engine::open(&view::find(args.dir.as_deref())?)?;
    if let Some(path) = &args.hlog {
        return hlog::export(&engine, path, args.once, REFRESH);
    }
    if !args.once && !args.json && io::stdout().is_terminal() {
        return live::run(engine, args);
    }
    let mut earlier: Option<View> = None;
    loop {
        let view = engine.view();
        let text = if args.json {
            json::render(&view, args.orders, args.sorted) + "\n"
        } else {
            screen::render(&view, earlier.as_ref(), args.orders, args.sorted)
        };
        write(&text)?;
        if args.once {
            return Ok(());
        }
        earlier = Some(view);
        std::thread::sleep(REFRESH);
        follow(&mut engine, args);
    }
}

/// Turns to a newer engine when this one is dead. One that cannot be read, or none, leaves us with what we have.
fn follow(engine: &mut Engine, args: &Args) {
    if engine.alive() {
        return;
    }
    let newer = view::find(args.dir.as_deref()).and_then(|dir| Engine::open(&dir));
    if let Ok(newer) = newer {
        *engine = newer;
    }
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

fn is_broken_pipe(e: &anyhow::Error) -> bool {
    e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(args: &[&str]) -> Result<Asked, String> {
        parse(args.iter().map(std::ffi::OsString::from))
    }

    #[test]
    fn arguments_are_read_or_refused() {
        let plain =
            Args { once: false, json: false, hlog: None, dir: None, orders: 10, sorted: Sorted::Latest };
        assert_eq!(of(&[]), Ok(Asked::Show(plain)));
        let all = Args {
            once: true,
            json: true,
            hlog: None,
            dir: Some("/x".into()),
            orders: 3,
            sorted: Sorted::Worst,
        };
        assert_eq!(
            of(&["--once", "--json", "--dir", "/x", "--orders", "3", "--worst"]),
            Ok(Asked::Show(all))
        );
        assert_eq!(of(&["--once", "-h"]), Ok(Asked::Help));
        let log = Args {
            hlog: Some("x.hlog".into()),
            once: true,
            json: false,
            dir: None,
            orders: 10,
            sorted: Sorted::Latest,
        };
        assert_eq!(of(&["--hlog", "x.hlog", "--once"]), Ok(Asked::Show(log)));
        assert!(of(&["--hlog", "x", "--json"]).is_err() && of(&["--hlog"]).is_err());
        for bad in [&["--dir"][..], &["--orders", "x"], &["--orders", "1000001"], &["--twice"], &["x"], &[""]]
        {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
