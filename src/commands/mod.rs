//! The control socket: what an operator may ask of the running engine, carried out beside it.
//!
//! One thread on the housekeeping side serves a Unix socket: one request and one reply a connection, nothing ever waited
//! for on a read or a write. Who asks is what the kernel says of the peer ([`peer`]); what each may ask is the
//! configuration's ([`roles`]); each command is on disk ([`record`]) before it is carried out, but for a kill, which no
//! disk may hold up. Commands reach the agents as words that they read once a cycle, and the kill thread as its own
//! command word: the trading thread never waits for anything here.
//!
//! The socket is not the only way to a stop: SIGUSR1, the line file and the control segment need none of this.

mod conn;
pub mod console;
mod job;
pub mod peer;
pub mod record;
pub mod roles;
mod status;

pub use console::Console;
pub use record::{CommandLog, CommandRecord, Recorder};
pub use roles::Roles;

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use conn::Conn;

/// Connections served at once; further ones are closed at once.
pub const CONNECTIONS_MAX: usize = 16;
/// How long the thread sleeps when nothing has happened.
const NAP: Duration = Duration::from_millis(5);

/// Where the socket is, and for whom.
#[derive(Clone, Debug)]
pub struct SocketPlace {
    /// Its path.
    pub path: PathBuf,
    /// Where a link to it is left, when it lies elsewhere than tools look.
    pub link: Option<PathBuf>,
    /// Everybody may connect, and the peer's credentials decide; else only this user.
    pub shared: bool,
}

impl SocketPlace {
    /// In the instance's directory, or where the configuration says.
    pub fn choose(config: &topology::Control, dir: &Path) -> SocketPlace {
        let usual = dir.join(command::SOCKET_FILE);
        if config.socket.as_os_str().is_empty() {
            return SocketPlace { path: usual, link: None, shared: false };
        }
        SocketPlace { path: config.socket.clone(), link: Some(usual), shared: config.is_shared() }
    }
}

/// The thread that serves the socket. Dropping it ends the thread and removes the socket.
pub struct CommandServer {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    place: SocketPlace,
}

impl CommandServer {
    /// Listens and serves.
    ///
    /// # Errors
    /// The path cannot be had, or somebody serves it already.
    pub fn start(
        place: SocketPlace,
        roles: Roles,
        console: Console,
        log: CommandLog,
    ) -> io::Result<CommandServer> {
        let listener = listen(&place)?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let mut desk = Desk { roles, console, log };
        let thread = std::thread::Builder::new()
            .name("commands".into())
            .spawn(move || serve(&listener, &mut desk, &seen))?;
        Ok(CommandServer { thread: Some(thread), stop, place })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.place.path
    }
}

impl Drop for CommandServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // what it died of, it has said on standard error
        }
        let _ = fs::remove_file(&self.place.path);
        if let Some(link) = &self.place.link {
            let _ = fs::remove_file(link);
        }
    }
}

/// What every connection needs.
struct Desk {
    roles: Roles,
    console: Console,
    log: CommandLog,
}

fn listen(place: &SocketPlace) -> io::Result<UnixListener> {
    let path = &place.path;
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "something else than a socket is there",
            ));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another engine serves it"));
        }
        Ok(_) => fs::remove_file(path)?, // left by one that was killed
    }
    let listener = UnixListener::bind(path)?;
    // Connecting needs the right to write: until this call nobody else has it.
    fs::set_permissions(path, fs::Permissions::from_mode(if place.shared { 0o666 } else { 0o600 }))?;
    listener.set_nonblocking(true)?;
    if let Some(link) = &place.link {
        let _ = fs::remove_file(link);
        symlink(path, link)?;
    }
    Ok(listener)
}

fn serve(listener: &UnixListener, desk: &mut Desk, stop: &AtomicBool) {
    let mut conns: Vec<Conn> = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let mut busy = false;
        // As many as there is room for: a crowd at the door does not keep those inside from being served.
        for _ in 0..CONNECTIONS_MAX {
            let Ok((stream, _)) = listener.accept() else { break };
            busy = true;
            if conns.len() < CONNECTIONS_MAX {
                conns.extend(Conn::new(stream));
            }
        }
        for conn in &mut conns {
            busy |= conn.turn(desk);
        }
        conns.retain(|conn| !conn.is_over());
        if !busy {
            std::thread::sleep(NAP);
        }
    }
    // Whoever waits for an answer hears that there will be none.
    conns.iter_mut().for_each(|conn| conn.part(desk));
}
