//! One accepted connection.

use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};

use crate::buffer::RecvBuffer;
use crate::http::{self, Request, RequestParser, Response};
use crate::link::{CloseReason, SendError};
use crate::outbox::Outbox;
use crate::socket::{self, Interest};
use crate::tls::{PlaintextSink, ServerTls, TlsFault, TlsStream};
use crate::ws::handshake::{self, HandshakeError};
use crate::ws::{self, CloseCode, Decoder, Encoder, Event, MessageKind, Role};

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// Plaintext that can arrive behind a whole frame.
const SLACK_BYTES: usize = 64 * 1024;

/// Bounds of a server connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Longest WebSocket message accepted, bytes.
    pub message_bytes_max: usize,
    /// Bytes kept for a peer that does not read; past it, sending is refused.
    pub outbox_bytes_max: usize,
    /// Bounds on HTTP requests.
    pub http: http::Limits,
    /// Subprotocol taken when the client offers it.
    pub subprotocol: Option<String>,
}

impl Default for ServerConfig {
    /// 1 MiB messages, 8 MiB outbox, 1 MiB request bodies.
    fn default() -> Self {
        let http = http::Limits { body_bytes_max: 1 << 20, ..http::Limits::default() };
        Self { message_bytes_max: 1 << 20, outbox_bytes_max: 8 << 20, http, subprotocol: None }
    }
}

/// What a connection tells its host.
#[derive(Debug)]
pub enum ServerEvent<'a> {
    /// A request; answer it with [`ServerConn::respond`]. The next one is read after that.
    Request(Request),
    /// A request to become a WebSocket; answer it with [`ServerConn::accept_upgrade`] or [`ServerConn::respond`].
    Upgrade(Request),
    /// A text message.
    Text(&'a mut [u8]),
    /// A pong; its payload.
    Pong(&'a [u8]),
    /// The connection is over; reported once.
    Closed(CloseReason),
}

/// How to end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerClose {
    /// Close frame with this code (on a WebSocket), close_notify, FIN, after everything queued.
    Clean {
        /// The close code.
        code: u16,
    },
    /// close_notify and FIN without a close frame, after everything queued.
    Eof,
    /// FIN alone, after what the kernel has: what the peer must call truncated.
    Truncate,
    /// Reset; everything queued is dropped.
    Reset,
}

/// One accepted connection; see the module for its states.
#[derive(Debug)]
pub struct ServerConn {
    config: ServerConfig,
    stream: Option<TcpStream>,
    tls: Option<TlsStream>,
    state: State,
    requests: RequestParser,
    decoder: Decoder,
    encoder: Encoder,
    buffer: RecvBuffer,
    outbox: Outbox,
    frame: Vec<u8>,
    sealed: Vec<u8>,
    scratch: Box<[u8]>,
    stalled: bool,
    /// We are closing in order and will report this: FIN once the outbox is empty, then the peer's own end.
    closing: Option<CloseReason>,
    fin_sent: bool,
    ending: Option<CloseReason>,
    /// The request being answered wants no further ones.
    close_asked: bool,
    reported: bool,
}

#[derive(Debug)]
enum State {
    /// Reading a request.
    Http,
    /// A request was handed out and not answered yet; holds the upgrade request, if it was one.
    Asked(Option<Request>),
    /// Upgraded.
    WebSocket,
}

impl ServerConn {
    /// Serves an accepted, non-blocking `stream`; over TLS when `tls` is given.
    ///
    /// # Errors
    /// [`TlsFault`] when the TLS configuration is unusable.
    pub fn new(stream: TcpStream, tls: Option<&ServerTls>, config: ServerConfig) -> Result<Self, TlsFault> {
        let tls = match tls {
            Some(tls) => Some(TlsStream::server(tls).map_err(|error| TlsFault::from_rustls(&error))?),
            None => None,
        };
        let limits = ws::Limits { message_bytes_max: config.message_bytes_max, check_utf8: true };
        let decoder = Decoder::new(Role::Server, limits);
        Ok(Self {
            buffer: RecvBuffer::new(decoder.frame_bytes_max() + SLACK_BYTES),
            decoder,
            encoder: Encoder::server(),
            requests: RequestParser::new(config.http),
            config,
            stream: Some(stream),
            tls,
            state: State::Http,
            outbox: Outbox::default(),
            frame: Vec::new(),
            sealed: Vec::new(),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            stalled: false,
            closing: None,
            fin_sent: false,
            ending: None,
            close_asked: false,
            reported: false,
        })
    }

    /// Sends what waits, reads what has arrived and hands it out. Returns the number of events. After
    /// [`ServerEvent::Closed`] there is nothing more.
    pub fn poll(&mut self, sink: &mut dyn FnMut(ServerEvent<'_>)) -> usize {
        let mut events = 0;
        self.flush();
        loop {
            events += self.deliver(sink);
            if self.ending.is_some() || !self.wants_bytes() || !self.receive() {
                break;
            }
        }
        self.flush();
        self.linger();
        if let (Some(reason), false) = (self.ending, self.reported) {
            self.reported = true;
            self.stream = None;
            events += 1;
            sink(ServerEvent::Closed(reason));
        }
        events
    }

    /// Sends one text message.
    ///
    /// # Errors
    /// [`SendError::Down`] unless this is an open WebSocket; [`SendError::Backlog`] when the outbox is at its bound.
    pub fn send_text(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.send_frame(true, ws::Opcode::Text, payload)
    }

    /// Sends one frame of any kind: pings, fragments.
    ///
    /// # Errors
    /// As [`send_text`](ServerConn::send_text).
    pub fn send_frame(&mut self, fin: bool, opcode: ws::Opcode, payload: &[u8]) -> Result<(), SendError> {
        if !self.is_websocket() {
            return Err(SendError::Down);
        }
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        self.encoder.frame(fin, opcode, payload, &mut frame);
        let result = self.send_raw(&frame);
        self.frame = frame;
        result
    }

    /// Sends plaintext bytes as they are, inside TLS when there is TLS: broken frames, half an answer.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_raw(&mut self, plaintext: &[u8]) -> Result<(), SendError> {
        if self.stream.is_none() || self.ending.is_some() || self.closing.is_some() {
            return Err(SendError::Down);
        }
        if self.outbox.len() > self.config.outbox_bytes_max {
            return Err(SendError::Backlog { bytes: self.outbox.len() });
        }
        self.push(plaintext)
    }

    /// Answers the request that was handed out last. With `Connection: close` in the request or the answer, the
    /// connection ends behind it.
    ///
    /// # Errors
    /// [`SendError::Down`] when no request waits for an answer.
    pub fn respond(&mut self, response: &Response) -> Result<(), SendError> {
        let State::Asked(_) = self.state else { return Err(SendError::Down) };
        let mut bytes = Vec::new();
        response.write(&mut bytes);
        self.send_raw(&bytes)?;
        self.state = State::Http;
        if response.headers.has_token("connection", "close") || self.close_asked {
            self.close(ServerClose::Eof);
        }
        Ok(())
    }

    /// Accepts the upgrade that was handed out last; text messages flow from now on.
    ///
    /// # Errors
    /// [`HandshakeError`] when the request is no proper upgrade, or none waits; then answer with
    /// [`respond`](ServerConn::respond).
    pub fn accept_upgrade(&mut self) -> Result<(), HandshakeError> {
        let State::Asked(Some(request)) = &self.state else {
            return Err(HandshakeError::NotUpgrade { what: "no upgrade waits" });
        };
        let response = handshake::accept(request, self.config.subprotocol.as_deref())?;
        let mut bytes = Vec::new();
        response.write(&mut bytes);
        // A connection that ended meanwhile says so at the next poll.
        let _ = self.send_raw(&bytes);
        self.state = State::WebSocket;
        let early = self.requests.take_rest();
        if self.buffer.append(&early).is_err() {
            self.end(CloseReason::Overrun);
        }
        Ok(())
    }

    /// Ends the connection. [`ServerEvent::Closed`] with [`CloseReason::Aborted`] follows at a later poll: at the
    /// next after a reset, otherwise once the peer has ended its side too.
    pub fn close(&mut self, how: ServerClose) {
        let Some(stream) = &self.stream else { return };
        match how {
            ServerClose::Reset => {
                socket::linger_zero(stream.as_fd());
                // When the disconnect is refused, the close below resets.
                let _ = socket::disconnect(stream.as_fd());
                self.outbox.clear();
                self.end(CloseReason::Aborted);
            }
            ServerClose::Truncate => {
                socket::shutdown_write(stream.as_fd());
                self.outbox.clear();
                self.fin_sent = true;
                self.closing.get_or_insert(CloseReason::Aborted);
            }
            ServerClose::Clean { code } => {
                let mut farewell = Vec::new();
                if self.is_websocket() {
                    self.encoder.close(code, "", &mut farewell);
                }
                self.begin_close(CloseReason::Aborted, &farewell);
            }
            ServerClose::Eof => self.begin_close(CloseReason::Aborted, b""),
        }
    }

    /// Stops or resumes reading. A stalled connection's receive window closes, and its peer's bytes pile up there.
    pub fn set_stalled(&mut self, stalled: bool) {
        self.stalled = stalled;
    }

    /// Asks for a receive buffer of `bytes`, so that a stalled window closes soon.
    pub fn set_recv_buffer(&self, bytes: u32) {
        if let Some(stream) = &self.stream {
            socket::set_recv_buffer(stream.as_fd(), bytes);
        }
    }

    /// Whether text messages can be sent.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        matches!(self.state, State::WebSocket) && self.closing.is_none() && self.ending.is_none()
    }

    /// Whether the connection is over and reported; it can be dropped.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.reported
    }

    /// Bytes that wait for the peer to read.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.outbox.len()
    }

    /// What to wait for on this connection; `None` when it is over, or stalled with nothing to send.
    #[must_use]
    pub fn interest(&self) -> Option<Interest> {
        let stream = self.stream.as_ref()?;
        let read = if self.closing.is_some() { self.fin_sent } else { self.wants_bytes() };
        let write = !self.outbox.is_empty();
        // With nothing to do a hang-up must not wake the host again and again.
        (read || write).then_some(Interest { fd: stream.as_raw_fd(), read, write })
    }

    /// Whether bytes would be read now: not while stalled or closing, nor before a request has its answer.
    fn wants_bytes(&self) -> bool {
        !self.stalled && self.closing.is_none() && !matches!(self.state, State::Asked(_))
    }

    /// Reads once. False when nothing was there.
    fn receive(&mut self) -> bool {
        let Some(stream) = &self.stream else { return false };
        let got = match socket::recv(stream.as_fd(), &mut self.scratch) {
            Ok(got) => got,
            Err(error) => {
                match error.raw_os_error() {
                    Some(libc::EAGAIN | libc::EINTR) => {}
                    errno => self.end(CloseReason::of_errno(errno.unwrap_or(libc::EIO))),
                }
                return false;
            }
        };
        if got == 0 {
            let in_order = self.tls.as_ref().is_none_or(TlsStream::peer_has_closed);
            self.end(if in_order { CloseReason::Eof } else { CloseReason::Truncated });
            return true;
        }
        let received = &self.scratch[..got];
        let sink = &mut Inlet {
            websocket: matches!(self.state, State::WebSocket),
            requests: &mut self.requests,
            buffer: &mut self.buffer,
        };
        let (result, closed) = match &mut self.tls {
            None => (sink.append(received), false),
            Some(tls) => (tls.feed(received, sink), tls.peer_has_closed()),
        };
        self.send_pending_tls();
        match result {
            Err(TlsFault::Full) => self.end(CloseReason::Overrun),
            Err(fault) => self.end(CloseReason::Tls(fault)),
            Ok(()) if closed => self.end(CloseReason::Eof),
            Ok(()) => {}
        }
        true
    }

    fn deliver(&mut self, sink: &mut dyn FnMut(ServerEvent<'_>)) -> usize {
        if self.closing.is_some() || self.reported {
            return 0;
        }
        match self.state {
            State::Asked(_) => 0,
            State::Http => self.deliver_request(sink),
            State::WebSocket => self.deliver_messages(sink),
        }
    }

    fn deliver_request(&mut self, sink: &mut dyn FnMut(ServerEvent<'_>)) -> usize {
        match self.requests.next_request() {
            Ok(None) => 0,
            Ok(Some(request)) => {
                self.close_asked = request.headers.has_token("connection", "close");
                if handshake::wants_upgrade(&request) {
                    self.state = State::Asked(Some(request.clone()));
                    sink(ServerEvent::Upgrade(request));
                } else {
                    self.state = State::Asked(None);
                    sink(ServerEvent::Request(request));
                }
                1
            }
            Err(error) => {
                self.state = State::Asked(None);
                let mut response = Response::new(400, "text/plain", error.to_string());
                response.headers.push("Connection", "close");
                // The connection ends either way.
                let _ = self.respond(&response);
                0
            }
        }
    }

    fn deliver_messages(&mut self, sink: &mut dyn FnMut(ServerEvent<'_>)) -> usize {
        let mut events = 0;
        let mut reply = Vec::new();
        let mut over = None;
        while over.is_none() {
            let decoded = match self.decoder.decode(self.buffer.waiting()) {
                Ok(None) => break,
                Ok(Some(decoded)) => decoded,
                Err(error) => {
                    over = Some((CloseReason::Protocol(error), error.close_code()));
                    break;
                }
            };
            match decoded.event {
                Event::Message { kind: MessageKind::Text, payload } => {
                    events += 1;
                    sink(ServerEvent::Text(payload));
                }
                Event::Message { kind: MessageKind::Binary, .. } => {
                    over = Some((CloseReason::Binary, CloseCode::UNSUPPORTED));
                }
                Event::Fragment => {}
                Event::Ping(payload) => self.encoder.pong(payload, &mut reply),
                Event::Pong(payload) => {
                    events += 1;
                    sink(ServerEvent::Pong(payload));
                }
                Event::Close { code, .. } => {
                    let answer = if code == CloseCode::ABSENT { CloseCode::NORMAL } else { code };
                    over = Some((CloseReason::PeerClose { code }, answer));
                }
            }
            let consumed = decoded.consumed;
            self.buffer.consume(consumed);
        }
        if let Some((reason, code)) = over {
            self.encoder.close(code, "", &mut reply);
            // What the frames decide comes before an end of the stream that was read with them.
            self.ending = None;
            self.begin_close(reason, &reply);
        } else if !reply.is_empty() {
            // An ended or overfull connection loses the courtesy only.
            let _ = self.send_raw(&reply);
        }
        events
    }

    /// `farewell` and close_notify now, FIN when the outbox is empty, `reason` when the peer has ended its side.
    fn begin_close(&mut self, reason: CloseReason, farewell: &[u8]) {
        if self.closing.is_some() || self.stream.is_none() {
            return;
        }
        self.closing = Some(reason);
        // A farewell that cannot be sealed is not said.
        let _ = self.push(farewell);
        self.sealed.clear();
        if let Some(tls) = &mut self.tls {
            tls.close_notify(&mut self.sealed);
            self.transmit();
        }
        self.flush();
    }

    /// After our FIN, reads and drops until the peer's: closing over unread bytes would reset the connection and
    /// could take our last bytes with it.
    fn linger(&mut self) {
        let (Some(stream), Some(reason), true) = (&self.stream, self.closing, self.fin_sent) else { return };
        loop {
            match socket::recv(stream.as_fd(), &mut self.scratch) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => return,
                Err(_) => break,
            }
        }
        self.end(reason);
    }

    fn send_pending_tls(&mut self) {
        self.sealed.clear();
        if let Some(tls) = &mut self.tls {
            tls.pending(&mut self.sealed);
        }
        if !self.sealed.is_empty() {
            self.transmit();
        }
    }

    /// Seals and sends.
    fn push(&mut self, plaintext: &[u8]) -> Result<(), SendError> {
        self.sealed.clear();
        match &mut self.tls {
            Some(tls) => tls.seal(plaintext, &mut self.sealed).map_err(SendError::Tls)?,
            None => self.sealed.extend_from_slice(plaintext),
        }
        self.transmit();
        Ok(())
    }

    fn transmit(&mut self) {
        let Some(stream) = &self.stream else { return };
        if let Err(error) = self.outbox.send(stream.as_fd(), &self.sealed) {
            self.write_failed(&error);
        }
    }

    /// A peer that is gone has nothing to be told; while closing, the reason stays the one that closed.
    fn write_failed(&mut self, error: &std::io::Error) {
        let reason = CloseReason::of_errno(error.raw_os_error().unwrap_or(libc::EIO));
        self.end(self.closing.unwrap_or(reason));
    }

    fn flush(&mut self) {
        let Some(stream) = &self.stream else { return };
        if let Err(error) = self.outbox.flush(stream.as_fd()) {
            return self.write_failed(&error);
        }
        if self.closing.is_some() && !self.fin_sent && self.outbox.is_empty() {
            socket::shutdown_write(stream.as_fd());
            self.fin_sent = true;
        }
    }

    fn end(&mut self, reason: CloseReason) {
        self.ending.get_or_insert(reason);
    }
}

/// Where plaintext goes: requests before the upgrade, the frame buffer after it.
struct Inlet<'a> {
    websocket: bool,
    requests: &'a mut RequestParser,
    buffer: &'a mut RecvBuffer,
}

impl PlaintextSink for Inlet<'_> {
    fn append(&mut self, bytes: &[u8]) -> Result<(), TlsFault> {
        if self.websocket {
            return self.buffer.append(bytes);
        }
        self.requests.feed(bytes);
        Ok(())
    }
}
