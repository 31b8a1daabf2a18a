//! The command line: raw words become one checked value, once.

use command::{Mode, Request, TRIP_BYTES_MAX};
use lexopt::prelude::*;
use std::path::PathBuf;

/// Printed by `--help` and after a usage error.
pub(crate) const USAGE: &str = "\
usage: corelane-ctl [--dir DIR] [--json] COMMAND

  status               how the engine stands, one screen
  kill                 trip the kill switch; waits until nothing is open at the venue
  rearm --trip ID      let orders leave again after a trip, named by the id that was printed
  mode                 the mode
  mode MODE            normal, pause, reduce or emergency; waits until it is followed
       --confirm       emergency is left only with this, and only for pause
  orders               open orders
  cancel-all           cancel everything now; waits until the venue holds nothing open

  --dir DIR            an instance directory, or a directory of them
                       (default: $CORELANE_SHM_DIR, else /dev/shm/corelane-<uid>)
  --socket PATH        the control socket itself, when it lies elsewhere (control.socket)
  --json               the reply as one JSON object

  exit code 0: done, and confirmed; 1: refused, failed or not confirmed; 2: wrong arguments; 3: not permitted;
  4: no engine found
";

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) dir: Option<PathBuf>,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) request: Request,
}

/// A checked command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Do(Args),
    Help,
}

/// Checks a command line, without the program's name.
pub(crate) fn parse(words: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Asked, String> {
    let mut words = lexopt::Parser::from_args(words);
    let said = |e: lexopt::Error| e.to_string();
    let (mut dir, mut socket, mut json, mut confirmed, mut trip) = (None, None, false, false, None);
    let mut plain: Vec<String> = Vec::new();
    while let Some(word) = words.next().map_err(said)? {
        match word {
            Long("help") | Short('h') => return Ok(Asked::Help),
            Long("dir") => dir = Some(words.value().map_err(said)?.into()),
            Long("socket") => socket = Some(words.value().map_err(said)?.into()),
            Long("json") => json = true,
            Long("confirm") => confirmed = true,
            Long("trip") => trip = Some(words.value().map_err(said)?.string().map_err(said)?),
            Value(value) => plain.push(value.string().map_err(said)?),
            _ => return Err(word.unexpected().to_string()),
        }
    }
    let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
    let request = match plain.as_slice() {
        ["status"] => Request::Status,
        ["kill"] => Request::Kill,
        ["rearm"] => {
            let trip: String =
                trip.take().ok_or("rearm needs --trip ID, the id that was printed when it tripped")?;
            let plain = trip.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if !plain || !(1..=TRIP_BYTES_MAX).contains(&trip.len()) {
                return Err(format!("--trip {trip:?}: must be an id such as 7K3F-9Q2M"));
            }
            Request::Rearm { trip }
        }
        ["mode"] if !confirmed => Request::Mode,
        ["mode", mode] => {
            let to: Mode = mode
                .parse()
                .map_err(|_| format!("mode {mode:?}: must be normal, pause, reduce or emergency"))?;
            Request::SetMode { to, confirmed: std::mem::take(&mut confirmed) }
        }
        ["orders"] => Request::Orders,
        ["cancel-all"] => Request::CancelAll,
        [] => return Err("which command?".into()),
        _ => return Err(format!("unknown command {:?}", plain.join(" "))),
    };
    if confirmed || trip.is_some() {
        return Err(format!("{request} takes no {}", if confirmed { "--confirm" } else { "--trip" }));
    }
    Ok(Asked::Do(Args { dir, socket, json, request }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Asked, String> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn every_command_is_read() {
        for (line, request) in [
            ("status", Request::Status),
            ("kill", Request::Kill),
            ("rearm --trip 7K3F-9Q2M", Request::Rearm { trip: "7K3F-9Q2M".into() }),
            ("mode", Request::Mode),
            ("mode pause", Request::SetMode { to: Mode::Pause, confirmed: false }),
            ("mode pause --confirm", Request::SetMode { to: Mode::Pause, confirmed: true }),
            ("orders", Request::Orders),
            ("cancel-all", Request::CancelAll),
        ] {
            let Ok(Asked::Do(args)) = of(&format!("--json --dir d {line}")) else { panic!("{line}") };
            assert_eq!((args.request, args.json, args.dir), (request, true, Some("d".into())));
        }
        assert_eq!(of("--help"), Ok(Asked::Help));
    }

    #[test]
    fn what_is_not_meant_is_refused() {
        for (line, says) in [
            ("", "which command?"),
            ("fly", "unknown command \"fly\""),
            ("kill all", "unknown command"),
            ("rearm", "needs --trip"),
            ("rearm --trip x/y", "must be an id"),
            ("mode fast", "mode \"fast\""),
            ("kill --trip 7K3F-9Q2M", "takes no --trip"),
            ("cancel-all --confirm", "takes no --confirm"),
            ("status --fly", "--fly"),
        ] {
            let error = of(line).expect_err(line);
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
