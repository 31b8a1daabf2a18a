//! Finding an engine and asking it.

use anyhow::{Context, Result, bail};
use command::{Inbox, REPLY_BYTES_MAX, Reply, Request, SOCKET_FILE, frame};
use kill::{Commander, ControlReader};
use stats::instance::{self, Found as Instance};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wire::Ts;

use crate::args::Args;

/// How long a reply may take: longer than the engine waits for the venue.
const PATIENCE: Duration = Duration::from_secs(40);
/// A kill goes another way sooner when the engine takes no connection or no byte.
const DOOR_PATIENCE: Duration = Duration::from_secs(2);
/// How long a kill by the segment may take to be acknowledged.
const ACK_PATIENCE: Duration = Duration::from_secs(10);

/// There is none.
#[derive(Debug)]
pub(crate) struct NoEngine(String);

impl std::fmt::Display for NoEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no running engine found {}; start one: corelane run --config FILE", self.0)
    }
}

impl std::error::Error for NoEngine {}

/// The socket gave no reply.
#[derive(Debug)]
pub(crate) struct Unanswered(String);

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unanswered {}

/// An engine's socket and directory.
pub(crate) struct Found {
    pub(crate) socket: PathBuf,
    /// `None` when only the socket was given.
    dir: Option<PathBuf>,
}

impl Found {
    /// The engine that is meant; two are one too many.
    pub(crate) fn look(args: &Args) -> Result<Found> {
        if let Some(socket) = &args.socket {
            return Ok(Found { socket: socket.clone(), dir: args.dir.clone() });
        }
        let base = match &args.dir {
            Some(dir) => dir.clone(),
            None => instance::base_dir()?,
        };
        let one = Instance::at(&base);
        let all = if let Some(one) = one {
            vec![one]
        } else {
            instance::list(&base).with_context(|| base.display().to_string())?
        };
        // The demo lives there too, and has no socket.
        let mut alive =
            all.into_iter().filter(|i| i.alive && i.dir.join(SOCKET_FILE).symlink_metadata().is_ok());
        let Some(found) = alive.next() else {
            return Err(NoEngine(format!("at {}", base.display())).into());
        };
        if let Some(other) = alive.next() {
            bail!(
                "more than one engine runs: say which with --dir {} or --dir {}",
                found.dir.display(),
                other.dir.display()
            );
        }
        Ok(Found { socket: found.dir.join(SOCKET_FILE), dir: Some(found.dir) })
    }
}

/// Asks, and waits for the reply.
pub(crate) fn ask(socket: &std::path::Path, request: &Request) -> Result<Reply> {
    let at = socket.display();
    let unanswered = |why: &dyn std::fmt::Display| Unanswered(format!("{at}: {why}"));
    let mut stream = UnixStream::connect(socket).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => anyhow::Error::from(NoEngine(format!("at {at}"))),
        std::io::ErrorKind::ConnectionRefused => NoEngine(format!("at {at}: its socket is dead")).into(),
        std::io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!(
                "{at}: not permitted: run as the engine's user, or be listed in its section [control]"
            )
        }
        _ => unanswered(&e).into(),
    })?;
    stream.set_write_timeout(Some(DOOR_PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&frame(&request.encode())).map_err(|e| unanswered(&e))?;
    let mut inbox = Inbox::new(REPLY_BYTES_MAX);
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let n = stream.read(&mut bytes).map_err(|e| unanswered(&e))?;
        if n == 0 {
            return Err(unanswered(&"the engine closed the connection without a reply").into());
        }
        if let Some(payload) = inbox.take(&bytes[..n])? {
            return Ok(Reply::decode(payload)?);
        }
    }
}

/// Asks for a stop without the engine's help but that of its kill thread, and waits for the acknowledgement.
pub(crate) fn kill_by_segment(found: &Found) -> Result<()> {
    let Some(dir) = &found.dir else { bail!("give the instance with --dir: its control segment is there") };
    let commander = Commander::open(dir).with_context(|| dir.display().to_string())?;
    let reader = ControlReader::open(dir).with_context(|| dir.display().to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    commander.stop(Ts(now), false);
    let began = Instant::now();
    while began.elapsed() < ACK_PATIENCE {
        let switch = reader.snapshot();
        let shut = switch.senders.iter().all(|s| s.acked.is_some() || s.aborted.is_some());
        if switch.tripped && shut {
            let id = switch.trip.and_then(|t| t.id).map_or_else(String::new, |id| id.to_string());
            println!("tripped: the gate is shut, trip {id}; what is open at the venue is for you to look at");
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("the kill thread does not acknowledge: use kill -KILL on the engine and cancel at the venue")
}
