//! The link that trades: io, TLS and WebSocket joined, and the life of a connection around them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{AbortHandle, CloseReason, Link, LinkCounters, LinkEvent, SendError};
use crate::buffer::RecvBuffer;
use crate::dial::{Mailbox, Session};
use crate::io::{Backend, Io, IoCounters, Received};
use crate::outbox::Outbox;
use crate::socket;
use crate::tls::{PlaintextSink, PracticeSeal, TlsFault, TlsStream};
use crate::ws::{self, CloseCode, Decoded, Decoder, Encoder, Event, MaskKeys, MessageKind, Role};

/// Plaintext that can arrive behind a whole frame: a full TLS record and one read, with room to spare.
const SLACK_BYTES: usize = 64 * 1024;
/// Polls that find nothing between two looks at the clock.
const QUIET_POLLS: u32 = 16;
/// Framing and sealing add at most this much to a message that fits one record.
const OVERHEAD_BYTES: usize = 1024;

/// How one link behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Receive back end.
    pub backend: Backend,
    /// Longest message accepted, bytes. The receive buffer is this plus 64 KiB, allocated at start.
    pub message_bytes_max: usize,
    /// Longest message sent, bytes.
    pub send_bytes_max: usize,
    /// Bytes the link may keep that the kernel does not take; reached, the connection ends.
    pub backlog_bytes_max: usize,
    /// End the connection when no byte arrives for so long, ms; zero never does.
    pub idle_ms: u32,
    /// Send a ping when no byte arrives for so long, ms; zero never does. Should be well below `idle_ms`.
    pub ping_after_ms: u32,
    /// Check text messages for UTF-8.
    pub check_utf8: bool,
    /// Seed of the mask keys.
    pub seed: u64,
}

impl Default for LinkConfig {
    /// io_uring; 1 MiB in, 16 KiB out, 64 KiB backlog; a ping after 10 s of silence, the end after 30 s.
    fn default() -> Self {
        Self {
            backend: Backend::Uring,
            message_bytes_max: 1 << 20,
            send_bytes_max: 16 << 10,
            backlog_bytes_max: 64 << 10,
            idle_ms: 30_000,
            ping_after_ms: 10_000,
            check_utf8: false,
            seed: 1,
        }
    }
}

/// A [`Link`] over a WebSocket, usually over TLS. Made on any thread; the receive back end is opened by the thread
/// that first polls a session.
#[derive(Debug)]
pub struct WsLink {
    config: LinkConfig,
    mailbox: Mailbox,
    io: Option<Io>,
    io_refusal: Option<String>,
    tls: Option<TlsStream>,
    decoder: Decoder,
    encoder: Encoder,
    buffer: RecvBuffer,
    outbox: Outbox,
    frame: Vec<u8>,
    sealed: Vec<u8>,
    practice: Practice,
    state: State,
    poisoned: bool,
    /// The end has been seen; messages received before it are delivered first.
    ending: Option<CloseReason>,
    /// A send failed; what the peer said before it left is read first, and decides the reason if it can.
    write_failed: Option<CloseReason>,
    aborted: Arc<AtomicBool>,
    asked: bool,
    lived_ms: Option<u64>,
    up_since_ns: u64,
    last_bytes_ns: u64,
    visible_ns: u64,
    pinged: bool,
    quiet_polls: u32,
    counters: LinkCounters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No connection; a session is awaited.
    Down,
    /// Messages flow.
    Up,
    /// The connection was cut by `abort`; the next poll says so.
    Cut,
}

/// What a warm-up uses instead of the connection's own. Nothing here is ever given to a socket.
#[derive(Debug)]
struct Practice {
    encoder: Encoder,
    frame: Vec<u8>,
    sealed: Vec<u8>,
    seal: Option<PracticeSeal>,
}

/// What one decoded frame asks of the link.
enum Step {
    Next,
    Pong { len: usize },
    End(CloseReason),
}

// ---- Setup ----

impl WsLink {
    /// A link that is down and will ask `mailbox` for a session at its first poll. All buffers are allocated here.
    #[must_use]
    pub fn new(config: LinkConfig, mailbox: Mailbox) -> Self {
        let limits =
            ws::Limits { message_bytes_max: config.message_bytes_max, check_utf8: config.check_utf8 };
        let decoder = Decoder::new(Role::Client, limits);
        let buffer = RecvBuffer::new(decoder.frame_bytes_max() + SLACK_BYTES);
        // One record's overhead is about 22 bytes and a record carries 16 KiB.
        let sealed_max = config.send_bytes_max + config.send_bytes_max / 256 + OVERHEAD_BYTES;
        Self {
            mailbox,
            io: None,
            io_refusal: None,
            tls: None,
            decoder,
            encoder: Encoder::client(MaskKeys::new(config.seed)),
            buffer,
            outbox: Outbox::with_capacity(config.backlog_bytes_max + sealed_max),
            frame: Vec::with_capacity(sealed_max),
            sealed: Vec::with_capacity(sealed_max),
            practice: Practice {
                encoder: Encoder::client(MaskKeys::new(!config.seed)),
                frame: Vec::with_capacity(sealed_max),
                sealed: Vec::with_capacity(sealed_max),
                seal: PracticeSeal::new(),
            },
            state: State::Down,
            poisoned: false,
            ending: None,
            write_failed: None,
            aborted: Arc::default(),
            asked: false,
            lived_ms: None,
            up_since_ns: 0,
            last_bytes_ns: 0,
            visible_ns: 0,
            pinged: false,
            quiet_polls: 0,
            counters: LinkCounters::default(),
            config,
        }
    }

    /// Counts since the link was made.
    #[must_use]
    pub fn counters(&self) -> &LinkCounters {
        &self.counters
    }

    /// Counts of the receive back end; zero before the first session.
    #[must_use]
    pub fn io_counters(&self) -> IoCounters {
        self.io.as_ref().map_or_else(IoCounters::default, Io::counters)
    }

    /// The receive back end in use, once opened.
    #[must_use]
    pub fn backend(&self) -> Option<Backend> {
        self.io.as_ref().map(Io::backend)
    }

    /// Why io_uring was refused, in one line, when it was.
    #[must_use]
    pub fn io_refusal(&self) -> Option<&str> {
        self.io_refusal.as_deref()
    }
}

impl Link for WsLink {
    #[inline]
    fn poll(&mut self, budget: usize, stamp: &dyn Fn() -> u64, sink: &mut dyn FnMut(LinkEvent<'_>)) -> usize {
        match self.state {
            State::Up => self.poll_up(budget, stamp, sink),
            State::Down => self.poll_down(budget, stamp, sink),
            State::Cut => {
                self.finish(CloseReason::Aborted, stamp(), sink);
                1
            }
        }
    }

    #[inline]
    fn send(&mut self, payload: &[u8], last_check: &mut dyn FnMut() -> bool) -> Result<(), SendError> {
        self.takes(payload)?;
        self.frame.clear();
        self.encoder.text(payload, &mut self.frame);
        self.seal_frame().map_err(SendError::Tls)?;
        if !last_check() {
            self.poisoned = true;
            self.counters.withheld += 1;
            return Err(SendError::Withheld);
        }
        self.transmit().map_err(|errno| SendError::Io { errno })?;
        self.counters.messages_out += 1;
        Ok(())
    }

    fn warm_up(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.takes(payload)?;
        let Practice { encoder, frame, sealed, seal } = &mut self.practice;
        frame.clear();
        sealed.clear();
        encoder.text(payload, frame);
        if self.tls.is_some() {
            let seal = seal.as_mut().ok_or(SendError::Tls(TlsFault::Internal))?;
            seal.seal(frame, sealed).map_err(SendError::Tls)?;
        }
        self.counters.warm_ups += 1;
        Ok(())
    }

    fn unsent_bytes(&mut self) -> Result<usize, io::Error> {
        if self.state != State::Up {
            return Ok(0);
        }
        let Some(fd) = self.io.as_ref().and_then(Io::fd) else { return Ok(0) };
        Ok(self.outbox.len() + socket::unsent_bytes(fd)?)
    }

    fn abort(&mut self) {
        if self.state == State::Up {
            self.cut();
            self.state = State::Cut;
        }
    }

    #[inline]
    fn is_up(&self) -> bool {
        self.state == State::Up && self.ending.is_none() && self.write_failed.is_none()
    }

    fn abort_handle(&self) -> Option<AbortHandle> {
        if self.state != State::Up {
            return None;
        }
        AbortHandle::new(self.io.as_ref()?.fd()?, Arc::clone(&self.aborted)).ok()
    }
}

// ---- Per message ----

impl WsLink {
    /// Whether a message may be sent at all.
    #[inline]
    fn takes(&self, payload: &[u8]) -> Result<(), SendError> {
        if !self.is_up() {
            return Err(SendError::Down);
        }
        if self.poisoned {
            return Err(SendError::Poisoned);
        }
        if !self.outbox.is_empty() {
            return Err(SendError::Backlog { bytes: self.outbox.len() });
        }
        let (length, limit) = (payload.len(), self.config.send_bytes_max);
        if length > limit {
            return Err(SendError::TooLong { length, limit });
        }
        Ok(())
    }

    #[inline]
    fn poll_up(
        &mut self,
        budget: usize,
        stamp: &dyn Fn() -> u64,
        sink: &mut dyn FnMut(LinkEvent<'_>),
    ) -> usize {
        if !self.outbox.is_empty() {
            self.flush();
        }
        let mut events = 0;
        let mut received = false;
        if let Some(io) = &mut self.io {
            io.begin_round();
        }
        loop {
            if let Some(reason) = self.deliver(budget, &mut events, sink) {
                self.finish(reason, stamp(), sink);
                return events + 1;
            }
            if events >= budget {
                break;
            }
            if let Some(reason) = self.ending {
                self.finish(reason, stamp(), sink);
                return events + 1;
            }
            if !self.receive(stamp) {
                if let Some(reason) = self.write_failed {
                    self.finish(reason, stamp(), sink);
                    return events + 1;
                }
                break;
            }
            received = true;
        }
        if !received && events == 0 {
            self.quiet(stamp);
        }
        events
    }

    /// Takes one chunk from the socket into the receive buffer. False when nothing was there.
    #[inline]
    fn receive(&mut self, stamp: &dyn Fn() -> u64) -> bool {
        let Some(io) = &mut self.io else { return false };
        match io.look() {
            None => false,
            Some(Received::Bytes(bytes)) => {
                self.visible_ns = stamp();
                self.last_bytes_ns = self.visible_ns;
                self.pinged = false;
                self.quiet_polls = 0;
                self.counters.bytes_in += bytes.len() as u64;
                let Some(tls) = &mut self.tls else {
                    if self.buffer.append(bytes).is_err() {
                        self.end(CloseReason::Overrun);
                    }
                    return true;
                };
                match tls.feed(bytes, &mut self.buffer) {
                    Ok(()) if tls.peer_has_closed() => self.end(CloseReason::Eof),
                    Ok(()) => {}
                    Err(TlsFault::Full) => self.end(CloseReason::Overrun),
                    Err(fault) => self.end(CloseReason::Tls(fault)),
                }
                true
            }
            Some(Received::End) => {
                let in_order = self.tls.as_ref().is_none_or(TlsStream::peer_has_closed);
                self.end(if in_order { CloseReason::Eof } else { CloseReason::Truncated });
                true
            }
            Some(Received::Failed { errno }) => {
                self.end(CloseReason::of_errno(errno));
                true
            }
        }
    }

    /// Decodes what waits in the receive buffer, up to the budget. Returns the end the frames themselves decide.
    #[inline]
    fn deliver(
        &mut self,
        budget: usize,
        events: &mut usize,
        sink: &mut dyn FnMut(LinkEvent<'_>),
    ) -> Option<CloseReason> {
        let mut pong = [0; 125];
        while *events < budget {
            let (consumed, step) = match self.decoder.decode(self.buffer.waiting()) {
                Ok(None) => return None,
                Ok(Some(Decoded { consumed, event })) => {
                    self.counters.frames_in += 1;
                    let step = match event {
                        Event::Message { kind: MessageKind::Text, payload } => {
                            self.counters.messages_in += 1;
                            *events += 1;
                            sink(LinkEvent::Message { payload, ts_visible_ns: self.visible_ns });
                            Step::Next
                        }
                        Event::Message { kind: MessageKind::Binary, .. } => Step::End(CloseReason::Binary),
                        Event::Fragment => Step::Next,
                        Event::Pong(_) => {
                            self.counters.pongs_in += 1;
                            Step::Next
                        }
                        Event::Ping(payload) => {
                            self.counters.pings_in += 1;
                            pong[..payload.len()].copy_from_slice(payload);
                            Step::Pong { len: payload.len() }
                        }
                        Event::Close { code, .. } => Step::End(CloseReason::PeerClose { code }),
                    };
                    (consumed, step)
                }
                Err(error) => return Some(CloseReason::Protocol(error)),
            };
            self.buffer.consume(consumed);
            match step {
                Step::Next => {}
                Step::Pong { len } => self.send_control(|encoder, out| encoder.pong(&pong[..len], out)),
                Step::End(reason) => return Some(reason),
            }
        }
        None
    }

    /// Seals the frame buffer into the sealed buffer; without TLS they change places.
    #[inline]
    fn seal_frame(&mut self) -> Result<(), TlsFault> {
        match &mut self.tls {
            Some(tls) => {
                self.sealed.clear();
                tls.seal(&self.frame, &mut self.sealed)
            }
            None => {
                std::mem::swap(&mut self.frame, &mut self.sealed);
                Ok(())
            }
        }
    }

    /// Gives the sealed buffer to the kernel and keeps what it does not take.
    #[inline]
    fn transmit(&mut self) -> Result<(), i32> {
        let Some(fd) = self.io.as_ref().and_then(Io::fd) else { return Err(libc::ENOTCONN) };
        match self.outbox.send(fd, &self.sealed) {
            Ok(sent) => {
                self.counters.bytes_out += sent as u64;
                if sent < self.sealed.len() {
                    self.counters.partial_sends += 1;
                }
                Ok(())
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                self.write_failed.get_or_insert(CloseReason::of_errno(errno));
                Err(errno)
            }
        }
    }
}

// ---- Rare ----

impl WsLink {
    /// Remembers the first end that was seen.
    #[cold]
    fn end(&mut self, reason: CloseReason) {
        self.ending.get_or_insert(reason);
    }

    /// A control frame of ours; not counted as a message, and kept behind a backlog rather than refused.
    #[cold]
    fn send_control(&mut self, write: impl FnOnce(&mut Encoder, &mut Vec<u8>)) {
        if self.poisoned || !self.is_up() {
            return;
        }
        self.frame.clear();
        write(&mut self.encoder, &mut self.frame);
        if let Err(fault) = self.seal_frame() {
            return self.end(CloseReason::Tls(fault));
        }
        // A failed transmit has noted the end itself.
        if self.transmit().is_ok() && self.outbox.len() > self.config.backlog_bytes_max {
            self.end(CloseReason::Backlog);
        }
    }

    #[cold]
    fn flush(&mut self) {
        let Some(fd) = self.io.as_ref().and_then(Io::fd) else { return };
        match self.outbox.flush(fd) {
            Ok(sent) => self.counters.bytes_out += sent as u64,
            Err(error) => {
                let reason = CloseReason::of_errno(error.raw_os_error().unwrap_or(libc::EIO));
                self.write_failed.get_or_insert(reason);
                self.outbox.clear();
            }
        }
    }

    /// Nothing arrived: every few polls, compares the silence with the deadlines.
    #[inline]
    fn quiet(&mut self, stamp: &dyn Fn() -> u64) {
        self.quiet_polls += 1;
        if self.quiet_polls >= QUIET_POLLS {
            self.quiet_polls = 0;
            self.check_silence(stamp());
        }
    }

    fn check_silence(&mut self, now_ns: u64) {
        let silent_ms = now_ns.saturating_sub(self.last_bytes_ns) / 1_000_000;
        let LinkConfig { idle_ms, ping_after_ms, .. } = self.config;
        if idle_ms > 0 && silent_ms >= u64::from(idle_ms) {
            self.end(CloseReason::Idle { idle_ms });
        } else if ping_after_ms > 0 && silent_ms >= u64::from(ping_after_ms) && !self.pinged {
            self.pinged = true;
            self.counters.pings_out += 1;
            self.send_control(|encoder, out| encoder.ping(b"", out));
        }
    }

    #[cold]
    fn poll_down(
        &mut self,
        budget: usize,
        stamp: &dyn Fn() -> u64,
        sink: &mut dyn FnMut(LinkEvent<'_>),
    ) -> usize {
        if !self.asked {
            self.asked = self.mailbox.request(self.lived_ms);
        }
        let Some(session) = self.mailbox.take() else { return 0 };
        // Asked again only after this session's end, or at once if it cannot be adopted.
        self.asked = false;
        let now_ns = stamp();
        if let Err(reason) = self.adopt(*session, now_ns) {
            self.counters.downs[reason.index()] += 1;
            self.lived_ms = Some(0);
            return 0;
        }
        self.counters.ups += 1;
        sink(LinkEvent::Up);
        1 + self.poll_up(budget.saturating_sub(1), stamp, sink)
    }

    fn adopt(&mut self, session: Session, now_ns: u64) -> Result<(), CloseReason> {
        if self.io.as_ref().is_none_or(|io| !io.is_of_this_thread()) {
            let (io, refusal) = Io::open(self.config.backend);
            (self.io, self.io_refusal) = (Some(io), refusal);
        }
        self.decoder.reset();
        self.buffer.clear();
        self.outbox.clear();
        (self.poisoned, self.pinged, self.quiet_polls) = (false, false, 0);
        (self.ending, self.write_failed) = (None, None);
        self.aborted = Arc::default();
        self.tls = session.tls;
        self.buffer.append(&session.ahead).map_err(|_| CloseReason::Overrun)?;
        let fd = OwnedFd::from(session.stream);
        let Some(io) = &mut self.io else { return Err(CloseReason::Io { errno: libc::ENODEV }) };
        io.attach(fd).map_err(|error| CloseReason::of_errno(error.raw_os_error().unwrap_or(libc::EIO)))?;
        (self.up_since_ns, self.last_bytes_ns, self.visible_ns) = (now_ns, now_ns, now_ns);
        self.state = State::Up;
        Ok(())
    }

    /// Ends the connection as `reason` demands, reports it, and asks for another.
    #[cold]
    fn finish(&mut self, reason: CloseReason, now_ns: u64, sink: &mut dyn FnMut(LinkEvent<'_>)) {
        // Pairs with the store in AbortHandle::abort: our own reset must not be blamed on the peer.
        let reason = if self.aborted.load(Ordering::Acquire) { CloseReason::Aborted } else { reason };
        match reason {
            CloseReason::PeerClose { code } => {
                let answer = if code == CloseCode::ABSENT { CloseCode::NORMAL } else { code };
                self.say_goodbye(answer);
            }
            CloseReason::Protocol(error) => self.say_goodbye(error.close_code()),
            CloseReason::Binary => self.say_goodbye(CloseCode::UNSUPPORTED),
            CloseReason::Tls(_) => {
                self.sealed.clear();
                if let Some(tls) = &mut self.tls {
                    // The alert that tells the peer what was wrong.
                    tls.pending(&mut self.sealed);
                }
                self.hang_up();
            }
            CloseReason::Eof => self.hang_up_in_order(),
            _ => self.cut(),
        }
        self.tls = None;
        (self.ending, self.write_failed) = (None, None);
        self.state = State::Down;
        self.counters.downs[reason.index()] += 1;
        self.lived_ms = Some(now_ns.saturating_sub(self.up_since_ns) / 1_000_000);
        self.asked = self.mailbox.request(self.lived_ms);
        sink(LinkEvent::Down { reason });
    }

    /// Close frame, close_notify, FIN.
    fn say_goodbye(&mut self, code: u16) {
        if !self.poisoned {
            self.frame.clear();
            self.encoder.close(code, "", &mut self.frame);
            if self.seal_frame().is_err() {
                self.sealed.clear();
            }
        } else {
            self.sealed.clear();
        }
        if let (Some(tls), false) = (&mut self.tls, self.poisoned) {
            tls.close_notify(&mut self.sealed);
        }
        self.hang_up();
    }

    fn hang_up_in_order(&mut self) {
        self.sealed.clear();
        if let (Some(tls), false) = (&mut self.tls, self.poisoned) {
            tls.close_notify(&mut self.sealed);
        }
        self.hang_up();
    }

    /// Sends the sealed buffer as far as the kernel takes it, then FIN, then closes. The shutdown comes first, so a
    /// duplicated descriptor cannot keep the connection open.
    fn hang_up(&mut self) {
        let Some(io) = &mut self.io else { return };
        if let Some(fd) = io.fd() {
            if self.outbox.is_empty() && !self.sealed.is_empty() {
                // A farewell: whether it arrives changes nothing here.
                let _ = socket::send(fd, &self.sealed);
            }
            socket::shutdown_both(fd);
        }
        drop(io.detach());
        self.outbox.clear();
    }

    /// Reset, now: everything queued is dropped.
    fn cut(&mut self) {
        let Some(io) = &mut self.io else { return };
        let disconnected = io.fd().is_none_or(|fd| socket::disconnect(fd).is_ok());
        if let Some(fd) = io.detach() {
            // With the operations ended and the kernel's reference gone, closing resets what is still connected.
            socket::linger_zero(fd.as_fd());
            if !disconnected {
                // A second refusal leaves the close below to do it.
                let _ = socket::disconnect(fd.as_fd());
            }
        }
        self.outbox.clear();
        self.buffer.clear();
    }
}

impl Drop for WsLink {
    fn drop(&mut self) {
        if self.state == State::Up {
            self.cut();
        }
    }
}
