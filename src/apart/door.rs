//! Where members come in, and where it is noticed that they have gone.
//!
//! One thread on the housekeeping side of the engine's process. The connection of a member stays open as long as it lives:
//! its end is the death of the process, seen within `LOOK`; a beat older than the bound is a hang. What follows, agents
//! read in one word ([`Standing`]), which this thread alone writes. Nobody is let in before the oms has acted on the
//! departure of the one before.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use agent::Clock;
use command::Inbox;
use net::AbortHandle;
use rings::Ident;
use stats::BeatReader;
use wire::Ts;

use super::hello::{BYE, DOOR_FILE, ENDED, HELLO_BYTES_MAX, READY, Refusal, Welcome, read_hello, rings_of};
use super::pidfd::Process;
use super::{Away, Member, Standing};
use crate::agents::killer::Handles;
use crate::commands::peer;
use crate::controls::Controls;
use crate::engine::rings::Rings;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(2);
/// How long somebody may take to say hello, and to take his ends.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long members may take to leave when the engine ends.
const FAREWELL: Duration = Duration::from_secs(5);
/// Callers heard at once; further ones are closed at once.
const CALLERS_MAX: usize = 8;

/// What the door gives away and looks at.
pub struct DoorParts {
    /// The instance directory.
    pub dir: PathBuf,
    /// Build and configuration.
    pub ident: Ident,
    /// The user whose processes are let in.
    pub uid: u32,
    /// Who lives apart, with the heartbeat of each.
    pub members: Vec<(Member, BeatReader)>,
    /// All rings.
    pub rings: Rings,
    /// The words.
    pub controls: Controls,
    /// Where the gateway's order connection can be reset.
    pub handles: Handles,
    /// The engine's clock.
    pub clock: Clock,
    /// What the venue said of its instruments.
    pub listing: Vec<u8>,
    /// A beat older than this is a hang, ns.
    pub away_ns: u64,
}

/// The thread at the door. Dropping it bids the members farewell and ends the thread.
#[derive(Debug)]
pub struct Door {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    path: PathBuf,
}

impl Door {
    /// Opens it. From here on the words say that nobody is there.
    ///
    /// # Errors
    /// The socket or the thread is not to be had.
    pub fn open(parts: DoorParts) -> io::Result<Door> {
        let path = parts.dir.join(DOOR_FILE);
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let standing = parts.members.iter().fold(Standing::default(), |all, (member, _)| all.gone(*member));
        parts.controls.publish_standing(standing);
        let stop = Arc::new(AtomicBool::new(false));
        let seats = parts.members.iter().map(|(member, beat)| Seat::empty(*member, beat.clone())).collect();
        let mut keeper = Keeper { parts, standing, seats, callers: Vec::new(), listener, stop: stop.clone() };
        let thread = std::thread::Builder::new().name("door".into()).spawn(move || keeper.keep())?;
        Ok(Door { thread: Some(thread), stop, path })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // what it died of, it has said on standard error
        }
        let _ = fs::remove_file(&self.path);
    }
}

/// Somebody who has not said hello yet.
struct Caller {
    stream: UnixStream,
    inbox: Inbox,
    since: Instant,
}

/// The place of one member.
struct Seat {
    member: Member,
    beat: BeatReader,
    guest: Option<Guest>,
}

impl Seat {
    fn empty(member: Member, beat: BeatReader) -> Seat {
        Seat { member, beat, guest: None }
    }
}

/// Who has it.
struct Guest {
    stream: UnixStream,
    process: Process,
    pid: i32,
    join: u16,
    came: Instant,
    /// Since when it is heard; `None` while it has not taken its ends.
    here: Option<Ts>,
    /// It has been declared gone, and lives: it must leave before another comes.
    away: bool,
    /// It has said that its agent is stopped.
    bye: bool,
}

/// What a look at a guest has brought.
enum Seen {
    Nothing,
    Ready,
    Gone,
}

struct Keeper {
    parts: DoorParts,
    standing: Standing,
    seats: Vec<Seat>,
    callers: Vec<Caller>,
    listener: UnixListener,
    stop: Arc<AtomicBool>,
}

impl Keeper {
    fn keep(&mut self) {
        while !self.stop.load(Ordering::Acquire) {
            self.look();
            std::thread::sleep(LOOK);
        }
        self.farewell();
    }

    fn look(&mut self) {
        while self.callers.len() < CALLERS_MAX
            && let Ok((stream, _)) = self.listener.accept()
        {
            if stream.set_nonblocking(true).is_ok() {
                let inbox = Inbox::new(HELLO_BYTES_MAX);
                self.callers.push(Caller { stream, inbox, since: Instant::now() });
            }
        }
        for i in 0..self.seats.len() {
            self.look_at(i);
        }
        let mut waiting = Vec::new();
        for mut caller in std::mem::take(&mut self.callers) {
            match caller.hear() {
                Ok(None) if caller.since.elapsed() < PATIENCE => waiting.push(caller),
                Ok(None) | Err(None) => {}
                Ok(Some(bytes)) => self.receive(caller.stream, &bytes),
                Err(Some(refusal)) => refuse(caller.stream, &refusal),
            }
        }
        self.callers = waiting;
    }

    /// Sees whether the member in a place is still there.
    fn look_at(&mut self, i: usize) {
        let Some(seat) = self.seats.get_mut(i) else { return };
        let (member, beat) = (seat.member, seat.beat.last());
        let Some(guest) = &mut seat.guest else { return };
        let seen = guest.look(member, &self.parts.handles);
        let (join, heard) = (guest.join, guest.here.is_some() && !guest.away);
        match seen {
            Seen::Gone => {
                if member == Member::Gateway && !guest.bye {
                    guest.process.end(); // nothing of it may leave any more, whatever it is doing
                }
                seat.guest = None;
                if heard {
                    self.gone(member);
                }
            }
            Seen::Ready => {
                guest.here = Some(self.parts.clock.now());
                self.standing = self.standing.here(member, join);
                self.parts.controls.publish_standing(self.standing);
            }
            Seen::Nothing => {
                let late = guest.here.is_none() && guest.came.elapsed() > PATIENCE;
                let silent = guest.here.filter(|_| heard).is_some_and(|since| {
                    self.parts.clock.now().since_ns(since.max(beat)) > self.parts.away_ns
                });
                if late || silent && member == Member::Gateway {
                    // One who hangs could send what has been waiting for him when he wakes up: he does not.
                    guest.process.end();
                } else if silent {
                    guest.away = true;
                    self.gone(member);
                }
            }
        }
    }

    /// Nobody is there any more.
    fn gone(&mut self, member: Member) {
        if member == Member::Gateway {
            // A copy of the socket would keep the connection alive, and what the kernel has not sent yet must not leave.
            self.parts.handles.abort();
            self.parts.controls.publish_gateway_gone();
        }
        self.standing = self.standing.gone(member);
        self.parts.controls.publish_standing(self.standing);
    }

    fn receive(&mut self, stream: UnixStream, hello: &[u8]) {
        if let Err((stream, refusal)) = self.let_in(stream, hello) {
            refuse(stream, &refusal);
        }
    }

    fn let_in(&mut self, stream: UnixStream, hello: &[u8]) -> Result<(), (UnixStream, Refusal)> {
        let peer = match peer::of(&stream) {
            Ok(peer) => peer,
            Err(e) => return Err((stream, Refusal::Malformed(e.to_string()))),
        };
        let own = self.parts.uid;
        if peer.uid != own {
            return Err((stream, Refusal::Foreign { found: peer.uid, own }));
        }
        let member = match read_hello(hello, &self.parts.ident) {
            Ok(member) => member,
            Err(refusal) => return Err((stream, refusal)),
        };
        let name = member.name();
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.member == member) else {
            return Err((stream, Refusal::NotApart(name)));
        };
        if let Some(guest) = &seat.guest {
            return Err((stream, Refusal::There { agent: name, pid: guest.pid }));
        }
        if self.parts.controls.standing_heard() != self.standing {
            return Err((stream, Refusal::Settling(name)));
        }
        let Some(join) = self.standing.joins(member).checked_add(1) else {
            return Err((stream, Refusal::UsedUp(name)));
        };
        let process = match Process::of(peer.pid) {
            Ok(process) => process,
            Err(e) => return Err((stream, Refusal::Malformed(e.to_string()))),
        };
        let welcome = Welcome { join, clock: self.parts.clock.clone(), listing: self.parts.listing.clone() };
        if give(&stream, &welcome, member, &self.parts.rings).is_ok() {
            seat.guest = Some(Guest {
                stream,
                process,
                pid: peer.pid,
                join,
                came: Instant::now(),
                here: None,
                away: false,
                bye: false,
            });
        } // else it is gone again, or does not listen
        Ok(())
    }

    /// The engine has stopped: members hear so, and are waited for.
    fn farewell(&mut self) {
        for caller in self.callers.drain(..) {
            refuse(caller.stream, &Refusal::Ending);
        }
        for guest in self.seats.iter_mut().filter_map(|seat| seat.guest.as_mut()) {
            let _ = guest.stream.write_all(&[ENDED]);
        }
        let began = Instant::now();
        while self.seats.iter().any(|seat| seat.guest.is_some()) && began.elapsed() < FAREWELL {
            for seat in &mut self.seats {
                let handles = &self.parts.handles;
                if seat.guest.as_mut().is_some_and(|g| matches!(g.look(seat.member, handles), Seen::Gone)) {
                    seat.guest = None;
                }
            }
            std::thread::sleep(LOOK);
        }
        // Who does not go is no use to anybody: the rings are about to be nobody's.
        self.seats.iter().filter_map(|seat| seat.guest.as_ref()).for_each(|guest| guest.process.end());
    }
}

impl Caller {
    /// A whole hello; nothing yet; or the end of it, with or without a word.
    fn hear(&mut self) -> Result<Option<Vec<u8>>, Option<Refusal>> {
        let mut bytes = [0; HELLO_BYTES_MAX];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(None),
            Ok(n) => match self.inbox.take(&bytes[..n]) {
                Ok(hello) => Ok(hello.map(<[u8]>::to_vec)),
                Err(e) => Err(Some(Refusal::Malformed(e.to_string()))),
            },
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            Err(_) => Err(None),
        }
    }
}

impl Guest {
    /// Reads what has come: that it is ready, that it leaves, or the socket by which a gateway's orders leave.
    fn look(&mut self, member: Member, handles: &Handles) -> Seen {
        loop {
            let mut byte = [0];
            // A descriptor travels with a byte of its own, which a plain read would take without it.
            if self.here.is_some() && member == Member::Gateway {
                match rings::receive(&self.stream) {
                    Ok(fd) => handles.put(AbortHandle::adopt(fd)),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return Seen::Nothing,
                    // A byte without one: it leaves.
                    Err(e) if e.kind() == ErrorKind::InvalidData => self.bye = true,
                    Err(_) => return Seen::Gone,
                }
                continue;
            }
            match self.stream.read(&mut byte) {
                Ok(1) if byte[0] == READY && self.here.is_none() => return Seen::Ready,
                Ok(1) if byte[0] == BYE => self.bye = true,
                Ok(_) => return Seen::Gone,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Seen::Nothing,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Seen::Gone,
            }
        }
    }
}

/// Says why not. Whoever does not read it is not waited for.
fn refuse(mut stream: UnixStream, refusal: &Refusal) {
    let _ = stream.write_all(&refusal.answer());
}

/// Gives a member what is its own, and nothing else.
fn give(mut stream: &UnixStream, welcome: &Welcome, member: Member, rings: &Rings) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(&welcome.answer())?;
    for &ring in rings_of(member) {
        let segment = rings.segment(ring).map_err(|e| io::Error::other(e.to_string()))?;
        rings::hand_over(stream, segment.fd())?;
    }
    stream.set_nonblocking(true)
}

/// How a member's place is told to people.
pub fn told(away: Away) -> String {
    match away {
        Away::Never => "in the engine's process".into(),
        Away::Here(join) => format!("here, number {join}"),
        Away::Since(0) => "not here yet".into(),
        Away::Since(join) => format!("gone, number {join}"),
    }
}
