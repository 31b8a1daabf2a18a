//! `corelane`: the engine's own program. See `corelane --help`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use corelane::allocator;
use corelane::apart::member;
use corelane::cli::{self, Command};
use corelane::compare;
use corelane::demo;
use corelane::rearm;
use corelane::run;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    let command = match cli::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("corelane: {error}\n\n{}", cli::USAGE);
            return ExitCode::from(2);
        }
    };
    match command {
        Command::Help => {
            print!("{}", cli::USAGE);
            ExitCode::SUCCESS
        }
        Command::Demo(args) => ExitCode::from(demo::main(&args) as u8),
        Command::Compare(args) => ExitCode::from(compare::main(&args) as u8),
        Command::Run(args) => ExitCode::from(run::main(&args) as u8),
        Command::Member(args) => ExitCode::from(member::main(&args) as u8),
        Command::Check(args) => ExitCode::from(run::check::check(&args) as u8),
        Command::Rearm { trip, state_dir } => match rearm::rearm(&trip, state_dir) {
            Ok(line) => {
                println!("{line}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("corelane: {error}");
                ExitCode::FAILURE
            }
        },
    }
}
