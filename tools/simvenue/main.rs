//! The simulated venue as a server of its own: Binance's spot protocol on a loopback TLS port, with a seeded crowd or a
//! recording as its market, one account, and faults on demand.
//!
//! ```text
//! corelane-simvenue --out DIR [--port N] [--seed S] [--symbol SYMBOL] [--replay FILE]... [--speed X|max] [--fault F]...
//! ```
//!
//! Into `DIR` it writes its certificate (`ca.pem`), the account's key and secret (`api.key`, `api.secret`, mode 0600)
//! and a configuration (`corelane.toml`), and prints the command that runs an engine against it. SIGINT or SIGTERM ends
//! it with a summary: orders, fills, what is open, balances.
//!
//! Exit code 0: ended as asked. 1: could not serve, and why. 2: wrong arguments.

#![forbid(unsafe_code)]

mod args;
mod out;

use anyhow::{Context, Result};
use args::{Args, Asked, USAGE};
use corelane::demo::market;
use corelane::interrupt;
use corelane::simvenue::{HostOptions, SimVenueHost};
use out::{Keys, Out};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use venue_binance::sim::BinanceSim;

/// Time between two looks for a signal.
const LOOK: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os().skip(1)) {
        Ok(Asked::Serve(args)) => args,
        Ok(Asked::Help) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprint!("corelane-simvenue: {why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corelane-simvenue: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<()> {
    interrupt::catch().context("SIGINT and SIGTERM")?;
    let out = Out::create(&args.out)?;
    let keys = Keys::random()?;
    let config = out.listing(&args.pair)?;
    let mut venue = market::sim_config(&config, args.seed, &args.replay, args.faults.clone())?;
    venue.account.api_key.clone_from(&keys.key);
    venue.account.secret.clone_from(&keys.secret);
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let options = HostOptions { speed: args.speed, listen, ..HostOptions::default() };
    let venue = SimVenueHost::start(venue, options).with_context(|| format!("listen on {listen}"))?;
    let path = out.write(venue.cert_der(), &keys, venue.addr().port(), &args.pair)?;
    let symbol = format!("{}{}", args.pair.0, args.pair.1);
    println!("simulated venue of {symbol} on https and wss {}, seed {}", venue.addr(), args.seed);
    println!("next: corelane run --config {}", path.display());
    std::io::stdout().flush()?;
    while interrupt::asked().is_none() {
        std::thread::sleep(LOOK);
    }
    summary(&venue.stop()?);
    Ok(())
}

fn summary(venue: &BinanceSim) {
    println!("orders   {} arrived, {} cancelled", venue.received().len(), venue.cancels());
    println!("fills    {}", venue.fills());
    let open = venue.open_orders();
    println!("open     {}", open.len());
    for order in open {
        println!("         {order:?}");
    }
    for (asset, free, locked) in venue.balances() {
        println!("balance  {} {asset}, {locked} of it locked", free + locked);
    }
    if let Some(error) = venue.capture_error() {
        println!("the recording broke off: {error}");
    }
}
