//! The command line: raw words become one checked value, once.

use corelane::simvenue::Speed;
use lexopt::prelude::*;
use std::path::PathBuf;
use venue_binance::sim::{Garbage, GarbageKind, SimFaults};

/// Printed by `--help` and after a usage error.
pub(crate) const USAGE: &str = "\
usage: corelane-simvenue --out DIR [options]

  --out DIR        where certificate, API keys and a ready configuration are written; made with mode 0700
  --port N         port on 127.0.0.1 (default 0: a free one)
  --seed S         seed of the simulated market (default 1)
  --symbol SYMBOL  what is listed, with the filters of BTCUSDT (default BTCUSDT); quotes are USDT, USDC, FDUSD, EUR,
                   BTC or ETH
  --replay FILE    play a recording instead of the simulated market; may be given several times, with its --symbol
  --speed X|max    speed of a replay (default 1)
  --fault F        do this wrong on purpose; may be given several times:
                     corrupt-fill=N       the n-th report of a trade carries a wrong quantity
                     drop-ack=N           the n-th reply to a new order is not sent
                     drop-report=N        the n-th execution report is not sent
                     duplicate-report=N   the n-th execution report is sent twice
                     drop-market=N        the n-th market message is not sent
                     events-first         events of an order leave before the reply to its request
                     garbage=KIND@N       a bad frame before the n-th market message; KIND is truncated, not-json,
                                          nan, negative, exponent, forty-digits, unknown-event or empty

  SIGINT or SIGTERM ends it with a summary.
  exit code 0: ended as asked; 1: could not serve, and why; 2: wrong arguments
";

/// Quote assets that a symbol may end with, longest first.
const QUOTES: [&str; 6] = ["FDUSD", "USDT", "USDC", "EUR", "BTC", "ETH"];

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Args {
    /// Where files are written.
    pub(crate) out: PathBuf,
    /// Port on 127.0.0.1, 0 = a free one.
    pub(crate) port: u16,
    /// Seed of the market.
    pub(crate) seed: u64,
    /// Base and quote asset; the symbol is both in a row.
    pub(crate) pair: (String, String),
    /// Recordings, in order.
    pub(crate) replay: Vec<PathBuf>,
    /// Their speed.
    pub(crate) speed: Speed,
    /// What goes wrong on purpose.
    pub(crate) faults: SimFaults,
}

/// A checked command line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    /// Serve.
    Serve(Box<Args>),
    /// Print the usage.
    Help,
}

/// Checks a command line, without the program's name.
///
/// # Errors
/// Names option, value and rule.
pub(crate) fn parse(words: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Asked, String> {
    let mut words = lexopt::Parser::from_args(words);
    let mut out = None;
    let mut args = Args {
        out: PathBuf::new(),
        port: 0,
        seed: 1,
        pair: ("BTC".into(), "USDT".into()),
        replay: Vec::new(),
        speed: Speed::Realtime(1.0),
        faults: SimFaults::default(),
    };
    let said = |e: lexopt::Error| e.to_string();
    while let Some(word) = words.next().map_err(said)? {
        let option = match word {
            Long("help") | Short('h') => return Ok(Asked::Help),
            Long(name) => name.to_owned(),
            _ => return Err(word.unexpected().to_string()),
        };
        let value = words.value().map_err(said)?;
        if option == "out" || option == "replay" {
            match option.as_str() {
                "out" => out = Some(PathBuf::from(value)),
                _ => args.replay.push(value.into()),
            }
            continue;
        }
        let value = value.string().map_err(said)?;
        let refuse = |rule: &str| format!("--{option} {value:?}: must be {rule}");
        match option.as_str() {
            "port" => args.port = value.parse().map_err(|_| refuse("a port from 0 to 65535"))?,
            "seed" => {
                args.seed = value.parse().map_err(|_| refuse("an integer from 0 to 18446744073709551615"))?;
            }
            "symbol" => {
                args.pair = pair(&value).ok_or_else(|| refuse("a base asset and one of the quotes listed"))?
            }
            "speed" => args.speed = speed(&value).ok_or_else(|| refuse("a number above 0, or max"))?,
            "fault" => fault(&value, &mut args.faults).ok_or_else(|| refuse("one of the faults listed"))?,
            _ => return Err(format!("unknown option --{option}")),
        }
    }
    args.out = out.ok_or("--out is required: a directory for certificate, keys and configuration")?;
    Ok(Asked::Serve(Box::new(args)))
}

fn pair(symbol: &str) -> Option<(String, String)> {
    let plain = symbol.len() <= 20 && symbol.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let quote = QUOTES.iter().find(|q| symbol.ends_with(**q)).filter(|_| plain)?;
    let base = symbol.strip_suffix(quote).filter(|base| !base.is_empty())?;
    Some((base.to_owned(), (*quote).to_owned()))
}

fn speed(text: &str) -> Option<Speed> {
    if text == "max" {
        return Some(Speed::Max);
    }
    text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0 && *x <= 1e6).map(Speed::Realtime)
}

fn fault(text: &str, faults: &mut SimFaults) -> Option<()> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let nth = |value: &str| value.parse::<u64>().ok().filter(|n| *n > 0);
    match name {
        "corrupt-fill" => faults.corrupt_fill = Some(nth(value)?),
        "drop-ack" => faults.drop_ack_nth = Some(nth(value)?),
        "drop-report" => faults.drop_report_nth = Some(nth(value)?),
        "duplicate-report" => faults.duplicate_report_nth = Some(nth(value)?),
        "drop-market" => faults.drop_market_nth = Some(nth(value)?),
        "events-first" if value.is_empty() => faults.events_before_reply = true,
        "garbage" => {
            let (kind, at) = value.split_once('@')?;
            let kind = match kind {
                "truncated" => GarbageKind::TruncatedJson,
                "not-json" => GarbageKind::NotJson,
                "nan" => GarbageKind::PriceNan,
                "negative" => GarbageKind::PriceNegative,
                "exponent" => GarbageKind::PriceExponent,
                "forty-digits" => GarbageKind::PriceFortyDigits,
                "unknown-event" => GarbageKind::UnknownEvent,
                "empty" => GarbageKind::Empty,
                _ => return None,
            };
            faults.garbage_frames.push(Garbage { nth: nth(at)?, kind });
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Asked, String> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn every_option_is_read() {
        let line = "--out d --port 9443 --seed 7 --symbol ETHBTC --replay a.gz --replay b.gz --speed max --fault \
                    drop-ack=3 --fault events-first --fault garbage=nan@9";
        let Ok(Asked::Serve(args)) = of(line) else { panic!("a full command line") };
        assert_eq!((args.out, args.port, args.seed), ("d".into(), 9443, 7));
        assert_eq!(args.pair, ("ETH".into(), "BTC".into()));
        assert_eq!((args.replay.len(), args.speed), (2, Speed::Max));
        let garbage = vec![Garbage { nth: 9, kind: GarbageKind::PriceNan }];
        let faults = SimFaults {
            drop_ack_nth: Some(3),
            events_before_reply: true,
            garbage_frames: garbage,
            ..SimFaults::default()
        };
        assert_eq!(args.faults, faults);
        assert_eq!(of("--help"), Ok(Asked::Help));
    }

    #[test]
    fn refusals_name_option_value_and_rule() {
        for (line, says) in [
            ("", "--out is required"),
            ("--out d --port 70000", "--port \"70000\": must be a port"),
            ("--out d --seed x", "--seed \"x\""),
            ("--out d --symbol usdt", "--symbol \"usdt\""),
            ("--out d --symbol USDT", "--symbol \"USDT\""),
            ("--out d --speed 0", "--speed \"0\""),
            ("--out d --fault drop-ack=0", "--fault \"drop-ack=0\""),
            ("--out d --fault fly", "--fault \"fly\""),
            ("--out d --fault garbage=nan", "--fault \"garbage=nan\""),
            ("--out d --fly 1", "unknown option --fly"),
            ("--out", "out"),
            ("d", "d"),
        ] {
            let error = of(line).expect_err(line);
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
