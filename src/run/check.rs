//! `corelane check`: what a start would say of a configuration, without starting.

use crate::cli::CheckArgs;
use crate::configured;
use crate::run::host;

/// Checks and prints; the exit code is 0 when a start would not be refused by what was looked at.
pub fn check(args: &CheckArgs) -> i32 {
    let layered = match configured::load_with_dirs(&args.config, &args.sets) {
        Ok(layered) => layered,
        Err(error) => {
            eprintln!("{error}");
            return 1;
        }
    };
    if args.show {
        for (key, value, origin) in layered.values() {
            println!("{:<60} # {origin}", format!("{key} = {value}"));
        }
    }
    let complaints = if args.host { host::complaints(&layered.config) } else { Vec::new() };
    complaints.iter().for_each(|why| eprintln!("this host: {why}"));
    if complaints.is_empty() {
        println!("{}: sound", args.config.display());
    }
    i32::from(!complaints.is_empty())
}
