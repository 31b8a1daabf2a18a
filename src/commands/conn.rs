//! One connection: a request comes in pieces, is carried out, and its reply leaves in pieces. Nothing is waited for.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use command::{Code, Inbox, REQUEST_BYTES_MAX, Reply, Request, Role, frame};

use super::job::{Job, message};
use super::peer::{self, Peer};
use super::{CommandRecord, Desk};

/// How long a peer may take to send its request, and to take its reply.
const PEER_PATIENCE: Duration = Duration::from_secs(2);

enum State {
    Reading(Inbox),
    Working { request: Request, role: Role, job: Job },
    Writing { bytes: Vec<u8>, sent: usize },
    Over,
}

/// A connection.
pub(super) struct Conn {
    stream: UnixStream,
    peer: Peer,
    state: State,
    since: Instant,
}

impl Conn {
    /// `None` when the peer is gone already.
    pub(super) fn new(stream: UnixStream) -> Option<Conn> {
        stream.set_nonblocking(true).ok()?;
        let peer = peer::of(&stream).ok()?;
        Some(Conn {
            stream,
            peer,
            state: State::Reading(Inbox::new(REQUEST_BYTES_MAX)),
            since: Instant::now(),
        })
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Does what can be done now; whether anything was.
    pub(super) fn turn(&mut self, desk: &mut Desk) -> bool {
        match &mut self.state {
            State::Reading(_) => self.read(desk),
            State::Working { job, .. } => match job.poll(&mut desk.console) {
                Some(reply) => {
                    self.end_job(reply, desk);
                    true
                }
                None => false,
            },
            State::Writing { .. } => self.write(),
            State::Over => false,
        }
    }

    /// The engine ends: a command under way is answered as not confirmed.
    pub(super) fn part(&mut self, desk: &mut Desk) {
        if matches!(self.state, State::Working { .. }) {
            self.end_job(message(Code::Failed, "the engine is ending"), desk);
        }
        self.write();
    }

    fn read(&mut self, desk: &mut Desk) -> bool {
        let State::Reading(inbox) = &mut self.state else { return false };
        let mut bytes = [0; REQUEST_BYTES_MAX + 8];
        let got = match self.stream.read(&mut bytes) {
            Ok(n) if n > 0 => n,
            Err(e) if e.kind() == ErrorKind::WouldBlock && self.since.elapsed() < PEER_PATIENCE => {
                return false;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => return true,
            // Gone, or too slow: nothing was asked.
            _ => {
                self.state = State::Over;
                return true;
            }
        };
        let request = match inbox.take(&bytes[..got]) {
            Ok(None) => return true,
            Ok(Some(payload)) => Request::decode(payload).map_err(|e| e.to_string()),
            Err(e) => Err(e.to_string()),
        };
        match request {
            Ok(request) => self.begin(request, desk),
            Err(why) => {
                let role = desk.roles.of(&self.peer);
                let _ = desk.log.write(&self.record(desk, role, "", format!("malformed: {why}")));
                self.reply(&message(Code::Malformed, &why));
            }
        }
        true
    }

    fn begin(&mut self, request: Request, desk: &mut Desk) {
        let role = desk.roles.of(&self.peer);
        let command = request.to_string();
        let Some(role) = role.filter(|role| *role >= request.role()) else {
            let uid = self.peer.uid;
            let why = match role {
                Some(_) => {
                    format!("user {uid} is an observer; {command} is for operators (control.operator_uids)")
                }
                None => {
                    format!("user {uid} is neither observer nor operator of this engine (section [control])")
                }
            };
            let _ = desk.log.write(&self.record(desk, role, &command, "not permitted".into()));
            return self.reply(&message(Code::NotPermitted, &why));
        };
        let asked = self.record(desk, Some(role), &command, "asked".into());
        // A stop is never held up by a disk: its record follows.
        let job = if request == Request::Kill {
            let job = Job::begin(&request, desk.roles.own_uid(), &mut desk.console);
            let _ = desk.log.write(&asked);
            job
        } else if let Err(error) = desk.log.write(&asked) {
            let why =
                format!("the command cannot be recorded ({error}), so it is not carried out; kill still is");
            return self.reply(&message(Code::Failed, &why));
        } else {
            Job::begin(&request, desk.roles.own_uid(), &mut desk.console)
        };
        self.state = State::Working { request, role, job };
        self.turn(desk);
    }

    fn end_job(&mut self, reply: Reply, desk: &mut Desk) {
        if let State::Working { request, role, .. } = &self.state {
            let said = serde_json::from_str::<serde_json::Value>(&reply.body).unwrap_or_default();
            let outcome = match said["message"].as_str() {
                Some(why) => format!("{}: {why}", reply.code.name()),
                None => reply.code.name().to_owned(),
            };
            let record = self.record(desk, Some(*role), &request.to_string(), outcome);
            // It has happened, whether or not the disk takes it.
            let _ = desk.log.write(&record);
        }
        self.reply(&reply);
    }

    fn reply(&mut self, reply: &Reply) {
        self.state = State::Writing { bytes: frame(&reply.encode()), sent: 0 };
        self.since = Instant::now();
        self.write();
    }

    fn write(&mut self) -> bool {
        let State::Writing { bytes, sent } = &mut self.state else { return false };
        match self.stream.write(&bytes[*sent..]) {
            Ok(n) if n > 0 => *sent += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock && self.since.elapsed() < PEER_PATIENCE => {
                return false;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            _ => *sent = bytes.len(), // gone, or it does not read
        }
        if *sent == bytes.len() {
            self.state = State::Over;
        }
        true
    }

    fn record(&self, desk: &Desk, role: Option<Role>, command: &str, outcome: String) -> CommandRecord {
        CommandRecord {
            ts: desk.console.now(),
            uid: self.peer.uid,
            gid: self.peer.gid,
            pid: self.peer.pid,
            role: role.map_or("nobody", Role::name),
            command: command.to_owned(),
            outcome,
        }
    }
}
