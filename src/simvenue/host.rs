//! The thread that serves: sockets in, the venue's answers out, the market between them.

use super::handle::Command;
use super::pause::Pause;
use super::slot::Slot;
use super::{HostIdle, HostOptions, Speed};
use net::http::{Request, Response};
use net::server::ServerConfig;
use net::socket::Interest;
use net::tls::ServerTls;
use net::ws::Opcode;
use net::{SendError, ServerClose, ServerConn, ServerEvent};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;
use venue_binance::sim::{BinanceSim, CapturePace, ConnId, HttpIn, Out, Outbox};
use wire::Ts;

/// Market steps (lines, turns, depth updates) between two looks at the sockets.
const STEPS: usize = 64;
/// Rounds of [`STEPS`] between two looks for input.
const ROUNDS: usize = 16;
/// Longest sleep, ns: commands are seen this soon.
const SLEEP_NS_MAX: u64 = 1_000_000;
/// Shortest sleep, ns: a busy market is served in bunches rather than by spinning.
const SLEEP_NS_MIN: u64 = 20_000;
/// Receive buffer of a connection that is told to stall, bytes.
const STALLED_RECV_BYTES: u32 = 2_048;
/// A connection whose peer does not end its side for so long after a close is reset, ns.
const CLOSING_NS_MAX: u64 = 5_000_000_000;
/// How long a recording at full speed waits for whoever was answered to hang up, ns: a connection may also be kept.
const ANSWER_NS_MAX: u64 = 1_000_000_000;
/// Close code towards a client that broke a rule (RFC 6455 7.4.1).
const POLICY_VIOLATION: u16 = 1008;

/// Everything the thread owns.
pub(super) struct Host {
    venue: BinanceSim,
    listener: TcpListener,
    tls: ServerTls,
    config: ServerConfig,
    options: HostOptions,
    slots: Vec<Slot>,
    next_id: u32,
    refusing: bool,
    /// The listener can wake the thread.
    accepting: bool,
    out: Outbox,
    pause: Pause,
}

impl Host {
    pub(super) fn new(
        mut venue: BinanceSim,
        listener: TcpListener,
        tls: ServerTls,
        config: ServerConfig,
        options: HostOptions,
    ) -> Host {
        let pace = match options.speed {
            Speed::Realtime(speed) => CapturePace::Scaled(speed),
            Speed::Max => CapturePace::Max,
        };
        venue.set_pace(pace, options.clock.now());
        Host {
            venue,
            listener,
            tls,
            config,
            options,
            slots: Vec::new(),
            next_id: 0,
            refusing: false,
            accepting: true,
            out: Outbox::new(),
            pause: Pause::default(),
        }
    }

    /// Serves until told to stop.
    pub(super) fn run(&mut self, commands: &Receiver<Command>) {
        loop {
            loop {
                match commands.try_recv() {
                    Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return self.end(),
                    Ok(command) => self.obey(command),
                    Err(TryRecvError::Empty) => break,
                }
            }
            self.accept();
            self.read();
            self.move_market();
            self.keep_alive();
            self.drop_closed();
            self.sleep();
        }
    }

    pub(super) fn into_venue(self) -> BinanceSim {
        self.venue
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Look(look) => look(&mut self.venue),
            Command::Stall { kind, on } => {
                for slot in self.slots.iter_mut().filter(|s| s.is(kind)) {
                    if on {
                        slot.conn.set_recv_buffer(STALLED_RECV_BYTES);
                    }
                    slot.conn.set_stalled(on);
                    slot.busy = true;
                }
            }
            Command::Blackhole { kind, on } => {
                for slot in self.slots.iter_mut().filter(|s| s.is(kind)) {
                    slot.blackhole = on;
                    slot.conn.set_stalled(on);
                    slot.busy = true;
                }
            }
            Command::Close { kind, how, oldest } => {
                let now = self.options.clock.now();
                // New connections are put at the end.
                let most = if oldest { 1 } else { usize::MAX };
                let meant = |s: &&mut Slot| s.is(kind) && !(oldest && s.closing_at.is_some());
                for slot in self.slots.iter_mut().filter(meant).take(most) {
                    slot.conn.close(how);
                    slot.closing_at = Some(now);
                    slot.busy = true;
                }
            }
            Command::Inject { kind, plaintext } => {
                for slot in self.slots.iter_mut().filter(|s| s.is(kind)) {
                    // A connection that is ending hears nothing more.
                    let _ = slot.conn.send_raw(&plaintext);
                    slot.busy = true;
                }
            }
            Command::Refuse { on, reply } => {
                self.refusing = on;
                // Nobody waiting is no error of ours.
                let _ = reply.send(());
            }
            Command::Count { kind, reply } => {
                // Nobody waiting is no error of ours.
                let _ = reply.send(self.slots.iter().filter(|s| s.is(kind)).count());
            }
            Command::Stop => {}
        }
    }

    fn accept(&mut self) {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // One that fails (no descriptor left) is tried again in the next round, but wakes nobody.
                    self.accepting = error.kind() == ErrorKind::WouldBlock;
                    return;
                }
            };
            if stream.set_nonblocking(true).is_err() || stream.set_nodelay(true).is_err() {
                continue;
            }
            let Ok(mut conn) = ServerConn::new(stream, Some(&self.tls), self.config.clone()) else {
                continue;
            };
            if self.refusing {
                conn.close(ServerClose::Reset);
                continue;
            }
            if let Some(bytes) = self.options.recv_buffer_bytes {
                conn.set_recv_buffer(bytes);
            }
            self.next_id = self.next_id.wrapping_add(1);
            self.slots.push(Slot::new(self.next_id, conn));
        }
    }

    /// Hands the venue what has arrived on every connection that is ready.
    fn read(&mut self) {
        for at in 0..self.slots.len() {
            let slot = &mut self.slots[at];
            let ready = slot.place.is_none_or(|place| self.pause.is_ready(place));
            if !ready && !slot.busy {
                continue;
            }
            slot.busy = false;
            let (id, clock) = (slot.id, &self.options.clock);
            let (venue, out) = (&mut self.venue, &mut self.out);
            let (mut upgrade, mut ponged) = (None, false);
            let placed = venue.received().len();
            slot.conn.poll(&mut |event| match event {
                ServerEvent::Text(payload) => venue.on_text(ConnId(id), payload, clock.now(), out),
                ServerEvent::Request(request) => venue.http(http_in(id, request), clock.now(), out),
                ServerEvent::Upgrade(request) => upgrade = Some(request),
                ServerEvent::Pong(_) => ponged = true,
                ServerEvent::Closed(_) => venue.close(ConnId(id)),
            });
            let now = self.options.clock.now();
            slot.placed |= venue.received().len() > placed;
            if ponged {
                slot.ponged_at = now;
            }
            if let Some(request) = upgrade {
                upgrade_slot(slot, venue, &request, now);
            }
            self.send_out();
        }
    }

    /// Moves the market as far as time, or the sockets, allow.
    fn move_market(&mut self) {
        for _ in 0..ROUNDS {
            if self.is_backed_up() {
                break;
            }
            let moved = self.venue.advance_at_most(self.options.clock.now(), STEPS, &mut self.out);
            self.send_out();
            if moved < STEPS {
                break;
            }
        }
    }

    /// Whether a recording played at full speed has to wait for a reader: of the streams, or of an answer. A snapshot
    /// must not be overtaken by minutes of updates while it is on its way; its reader has it when it hangs up.
    fn is_backed_up(&self) -> bool {
        if self.options.speed != Speed::Max || !self.venue.is_recorded() {
            return false;
        }
        let now = self.options.clock.now();
        let unread = |s: &Slot| s.answered_at.is_some_and(|at| now.since_ns(at) < ANSWER_NS_MAX);
        let over = |s: &Slot| s.conn.queued_bytes() > self.options.backlog_bytes;
        self.slots.iter().any(|s| over(s) || unread(s))
    }

    /// Sends what the venue has said.
    fn send_out(&mut self) {
        for item in self.out.drain(..) {
            let (id, is_text) = match &item {
                Out::Text { conn, .. } => (conn.0, true),
                Out::Close { conn } => (conn.0, false),
                Out::Http { id, .. } => ((*id >> 32) as u32, false),
            };
            // A connection that has gone meanwhile needs no answer.
            let Some(slot) = self.slots.iter_mut().find(|s| s.id == id) else {
                continue;
            };
            if slot.blackhole {
                continue;
            }
            slot.busy |= !is_text;
            let sent = match item {
                Out::Text { payload, .. } => slot.conn.send_text(&payload),
                Out::Http { status, headers, body, .. } => {
                    slot.answered_at = Some(self.options.clock.now());
                    let mut response = Response::json(status, body);
                    for (name, value) in &headers {
                        response.headers.push(name, value);
                    }
                    slot.conn.respond(&response)
                }
                Out::Close { .. } => {
                    slot.conn.close(ServerClose::Clean { code: POLICY_VIOLATION });
                    slot.closing_at = Some(self.options.clock.now());
                    Ok(())
                }
            };
            // A connection that is closing needs nothing more. One that does not read while 8 MiB wait for it is
            // dropped, as a venue drops a slow client.
            if let Err(SendError::Backlog { .. }) = sent {
                slot.conn.close(ServerClose::Reset);
                slot.busy = true;
            }
        }
    }

    /// Pings open WebSockets and ends those that do not answer.
    fn keep_alive(&mut self) {
        let now = self.options.clock.now();
        let (ping_ns, pong_ns) =
            (self.options.ping_ms.saturating_mul(1_000_000), self.options.pong_ms.saturating_mul(1_000_000));
        for slot in &mut self.slots {
            if slot.closing_at.is_some_and(|at| now.since_ns(at) > CLOSING_NS_MAX) {
                slot.closing_at = None;
                slot.conn.close(ServerClose::Reset);
                slot.busy = true;
            }
            if slot.blackhole || !slot.conn.is_websocket() {
                continue;
            }
            if now.since_ns(slot.ponged_at) > pong_ns {
                // Nobody is there to close in order with.
                slot.conn.close(ServerClose::Reset);
                slot.busy = true;
            } else if now.since_ns(slot.pinged_at) >= ping_ns {
                slot.pinged_at = now;
                let payload = now.as_ms().to_string();
                // A full outbox costs the ping only; its missing pong ends the connection in time.
                let _ = slot.conn.send_frame(true, Opcode::Ping, payload.as_bytes());
            }
        }
    }

    fn drop_closed(&mut self) {
        self.slots.retain(|slot| !slot.conn.is_closed());
    }

    fn sleep(&mut self) {
        self.pause.clear();
        if self.accepting {
            self.pause.watch(Interest { fd: self.listener.as_raw_fd(), read: true, write: false });
        }
        for slot in &mut self.slots {
            slot.place = slot.conn.interest().map(|interest| self.pause.watch(interest));
        }
        let timeout_ns = self.sleep_ns();
        match self.options.idle {
            HostIdle::Sleep => self.pause.sleep(Duration::from_nanos(timeout_ns)),
            HostIdle::Yield => {
                std::thread::yield_now();
                self.pause.sleep(Duration::ZERO);
            }
        }
    }

    fn sleep_ns(&self) -> u64 {
        if self.slots.iter().any(|s| s.busy) {
            return SLEEP_NS_MIN;
        }
        match self.venue.next_at() {
            _ if self.is_backed_up() => SLEEP_NS_MAX,
            Some(_) if self.options.speed == Speed::Max && self.venue.is_recorded() => 0,
            Some(at) => at.since_ns(self.options.clock.now()).clamp(SLEEP_NS_MIN, SLEEP_NS_MAX),
            None => SLEEP_NS_MAX,
        }
    }

    /// Ends every connection: queued bytes leave as far as the kernel takes them.
    fn end(&mut self) {
        for slot in &mut self.slots {
            slot.conn.close(ServerClose::Eof);
            self.venue.close(ConnId(slot.id));
        }
        self.slots.clear();
    }
}

fn upgrade_slot(slot: &mut Slot, venue: &mut BinanceSim, request: &Request, now: Ts) {
    let answered = match venue.open(ConnId(slot.id), &request.target, now) {
        Ok(()) => match slot.conn.accept_upgrade() {
            Ok(()) => {
                slot.upgraded(&request.target, now);
                true
            }
            Err(error) => {
                venue.close(ConnId(slot.id));
                slot.conn.respond(&Response::new(400, "text/plain", error.to_string())).is_ok()
            }
        },
        Err(status) => slot.conn.respond(&Response::json(status, "{}")).is_ok(),
    };
    slot.busy = true;
    if !answered {
        slot.conn.close(ServerClose::Reset);
    }
}

/// The request as the venue takes it; its number leads the answer back to the connection.
fn http_in(conn: u32, request: Request) -> HttpIn {
    HttpIn {
        id: (conn as u64) << 32,
        headers: request.headers.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        method: request.method,
        target: request.target,
        body: request.body,
    }
}
