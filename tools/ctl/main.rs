//! Steers a running engine: how it stands, stop, re-arm, modes, open orders, cancel-all.
//!
//! ```text
//! corelane-ctl [--dir DIR] [--json] status | kill | rearm --trip ID | mode [MODE [--confirm]] | orders | cancel-all
//! ```
//!
//! It talks to the engine's control socket; the engine asks the kernel who is talking and records every command. A kill
//! also goes by the engine's control segment when the socket does not answer, for those who may write it. The reply comes
//! when the venue has confirmed what was asked for, or when that has not happened in time.
//!
//! Exit code 0: done, and confirmed. 1: refused, failed or not confirmed, and what to do. 2: wrong arguments. 3: not
//! permitted. 4: no engine was found.

#![forbid(unsafe_code)]

mod args;
mod screen;
mod talk;

use anyhow::Result;
use args::{Args, Asked};
use command::{Code, Request};
use std::process::ExitCode;
use talk::{Found, NoEngine, Unanswered};

fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os().skip(1)) {
        Ok(Asked::Do(args)) => args,
        Ok(Asked::Help) => {
            print!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprint!("corelane-ctl: {why}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("corelane-ctl: {error:#}");
            ExitCode::from(if error.is::<NoEngine>() { 4 } else { 1 })
        }
    }
}

fn run(args: &Args) -> Result<ExitCode> {
    let found = Found::look(args)?;
    let reply = match talk::ask(&found.socket, &args.request) {
        Ok(reply) => reply,
        Err(error) if args.request == Request::Kill && error.is::<Unanswered>() => {
            eprintln!("corelane-ctl: {error:#}; the stop is asked for in the control segment");
            return talk::kill_by_segment(&found).map(|()| ExitCode::SUCCESS);
        }
        Err(error) => return Err(error),
    };
    if args.json {
        println!("{}", reply.body);
    } else {
        screen::print(&args.request, &reply);
    }
    Ok(match reply.code {
        Code::Done => ExitCode::SUCCESS,
        Code::NotPermitted => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    })
}
