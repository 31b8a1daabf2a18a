//! Shows, verifies and replays the journals of an engine.
//!
//! ```text
//! corelane-journal show PATH [--why ORDER|last] [--kind KIND] [--agent NAME] [--order TEXT] [--from T] [--to T]
//!                            [--last N] [--json]
//! corelane-journal verify PATH [--json]
//! corelane-journal replay PATH [--json]
//! ```
//!
//! `PATH` is a directory, of which the newest session is meant, or one file. `show` prints a line a record and a line
//! an item; `--why` replays the session up to an order and tells what caused it: the venue's message, the strategy's
//! intent, the gate's word, the bytes and the times. `verify` reads every checksum, and tells where the session ends
//! and how. `replay` rebuilds the agents from the journal and holds them to every hash and every byte; it needs no
//! credentials.
//!
//! Exit code 0: shown, whole, or the same. 1: damaged, different, or not there, and why. 2: wrong arguments.

#![forbid(unsafe_code)]

mod again;
mod args;
mod show;
mod whole;
mod why;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use args::{Asked, Command, USAGE};
use journal::Session;

fn main() -> ExitCode {
    let command = match args::parse(std::env::args_os().skip(1)) {
        Ok(Asked::Run(command)) => command,
        Ok(Asked::Help) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprint!("corelane-journal: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Whoever read our output has seen enough.
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("corelane-journal: {e:#}");
            ExitCode::from(1)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// `false` when what was asked about is not so.
fn run(command: &Command) -> anyhow::Result<bool> {
    let path = &command.path;
    let session = Session::find(path).context("no journal")?;
    let out = &mut io::BufWriter::new(io::stdout().lock());
    let good = match &command.what {
        args::What::Show(filter) => show::show(&session, filter, command.json, out)?,
        args::What::Why(order) => why::why(&session, order, command.json, out)?,
        args::What::Verify => whole::verify(&session, command.json, out)?,
        args::What::Replay => again::replay(&session, command.json, out)?,
    };
    out.flush()?;
    Ok(good)
}
