//! The host's handle: looking in, and making the network misbehave.

use super::HostError;
use super::host::Host;
use std::any::Any;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use venue_binance::sim::{BinanceSim, ReceivedOrder, SimOpenOrder};

use super::ServerClose;

/// Which connections a fault is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnKind {
    /// WebSocket API: orders, queries, account events.
    Api,
    /// Those of the WebSocket API on which an order has been placed.
    Orders,
    /// Market streams.
    Market,
    /// Not upgraded: REST, or not yet asked.
    Rest,
    /// All of them.
    All,
}

/// What the host's thread is asked to do between two rounds.
pub(super) enum Command {
    /// Runs with the venue in hand.
    Look(Box<dyn FnOnce(&mut BinanceSim) + Send>),
    /// Stops or resumes reading.
    Stall { kind: ConnKind, on: bool },
    /// Stops or resumes reading and sending; what the venue says meanwhile is lost.
    Blackhole { kind: ConnKind, on: bool },
    /// Ends connections, or only the one that has been open longest.
    Close { kind: ConnKind, how: ServerClose, oldest: bool },
    /// Sends bytes as they are, inside TLS.
    Inject { kind: ConnKind, plaintext: Vec<u8> },
    /// Refuses new connections, or takes them again.
    Refuse { on: bool, reply: Sender<()> },
    /// Counts open connections.
    Count { kind: ConnKind, reply: Sender<usize> },
    /// Ends the thread.
    Stop,
}

/// A running venue. Dropping it stops the venue too; [`Handle::stop`] also says how it ended.
///
/// Every call is carried out by the venue's thread between two rounds, in the order of the calls; those with an answer
/// wait for it (about 1 ms when the venue sleeps).
pub struct Handle {
    addr: SocketAddr,
    cert_der: Vec<u8>,
    commands: Sender<Command>,
    thread: Option<JoinHandle<BinanceSim>>,
}

/// Starts the host's thread.
pub(super) fn spawn(mut host: Host, addr: SocketAddr, cert_der: Vec<u8>) -> Result<Handle, HostError> {
    let (commands, asked): (Sender<Command>, Receiver<Command>) = channel();
    let thread = std::thread::Builder::new()
        .name("simvenue".to_string())
        .spawn(move || {
            host.run(&asked);
            host.into_venue()
        })
        .map_err(|source| HostError::Io { what: "thread", source })?;
    Ok(Handle { addr, cert_der, commands, thread: Some(thread) })
}

impl Handle {
    /// Where the venue listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The venue's certificate, DER: the one root a client needs to trust.
    pub fn cert_der(&self) -> &[u8] {
        &self.cert_der
    }

    /// Runs `look` on the venue's thread with the venue in hand; `None` when that thread is gone.
    pub fn look<R: Send + 'static>(
        &self,
        look: impl FnOnce(&mut BinanceSim) -> R + Send + 'static,
    ) -> Option<R> {
        let (reply, answer) = channel();
        self.ask(Command::Look(Box::new(move |venue| {
            // Nobody waiting is no error of the venue's.
            let _ = reply.send(look(venue));
        })));
        answer.recv().ok()
    }

    /// Every request to place an order so far, in order of arrival; empty when the venue is gone.
    pub fn received(&self) -> Vec<ReceivedOrder> {
        self.look(|venue| venue.received().to_vec()).unwrap_or_default()
    }

    /// The account's open orders as the venue has them, oldest first; empty when the venue is gone.
    pub fn open_orders(&self) -> Vec<SimOpenOrder> {
        self.look(|venue| venue.open_orders()).unwrap_or_default()
    }

    /// Whether a recording has been played to its end; also true when the venue is gone.
    pub fn finished(&self) -> bool {
        self.look(|venue| venue.finished()).unwrap_or(true)
    }

    /// Open connections of a kind.
    pub fn connections(&self, kind: ConnKind) -> usize {
        let (reply, answer) = channel();
        self.ask(Command::Count { kind, reply });
        answer.recv().unwrap_or(0)
    }

    /// Stops or resumes reading of open connections: their receive windows close, while the venue goes on sending. Goes
    /// with a small [`recv_buffer_bytes`](super::HostOptions::recv_buffer_bytes).
    pub fn stall(&self, kind: ConnKind, on: bool) {
        self.ask(Command::Stall { kind, on });
    }

    /// Makes open connections silent, or lets them speak again: nothing is read, nothing sent, and what the venue says
    /// meanwhile is lost. TCP stays up.
    pub fn blackhole(&self, kind: ConnKind, on: bool) {
        self.ask(Command::Blackhole { kind, on });
    }

    /// Ends open connections in this way.
    pub fn close(&self, kind: ConnKind, how: ServerClose) {
        self.ask(Command::Close { kind, how, oldest: false });
    }

    /// Ends the one connection of a kind that has been open longest.
    pub fn close_oldest(&self, kind: ConnKind, how: ServerClose) {
        self.ask(Command::Close { kind, how, oldest: true });
    }

    /// Sends these bytes on open connections between two messages, inside TLS and as they are: broken frames, half
    /// a frame, a message that no venue sends.
    pub fn inject(&self, kind: ConnKind, plaintext: &[u8]) {
        self.ask(Command::Inject { kind, plaintext: plaintext.to_vec() });
    }

    /// Resets open connections; what is queued is lost.
    pub fn reset(&self, kind: ConnKind) {
        self.close(kind, ServerClose::Reset);
    }

    /// Refuses new connections (accepted and reset at once), or takes them again.
    pub fn refuse_new(&self, on: bool) {
        let (reply, done) = channel();
        self.ask(Command::Refuse { on, reply });
        // Whoever connects after this call meets the new rule; a venue that is gone refuses anyway.
        let _ = done.recv();
    }

    /// Stops the venue: open connections end without a close frame. Returns it as it was last.
    ///
    /// # Errors
    /// [`HostError::Panicked`].
    pub fn stop(mut self) -> Result<BinanceSim, HostError> {
        self.ask(Command::Stop);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(venue)) => Ok(venue),
            Some(Err(panic)) => Err(HostError::Panicked { message: words(&*panic) }),
            None => Err(HostError::Panicked { message: "no thread".to_string() }),
        }
    }

    /// A thread that is gone hears nothing, which its answers (or their lack) say.
    fn ask(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.ask(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // Whether it panicked is for `stop` to say.
            let _ = thread.join();
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_string())
}
