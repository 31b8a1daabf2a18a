//! A blocking byte stream over an optional TLS layer, every call under a deadline.

use std::net::TcpStream;
use std::os::fd::AsFd;

use super::resolve::resolve;
use super::{Deadline, DialError, DialSpec, Endpoint, Phase};
use crate::socket;
use crate::tls::{TlsFault, TlsStream};

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Something arrived; possibly no plaintext yet.
    Bytes,
    /// The stream ended.
    End { in_order: bool },
}

/// A connected socket, non-blocking underneath, and its TLS state.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(super) stream: TcpStream,
    pub(super) tls: Option<TlsStream>,
    scratch: Box<[u8]>,
    sealed: Vec<u8>,
}

impl Wire {
    /// Resolves and connects under one deadline, then shakes hands under another. Addresses are tried in order;
    /// each gets an equal part of the time that is left, so one that swallows packets cannot eat it all.
    pub(crate) fn open(endpoint: &Endpoint, connect_ms: u32, tls_ms: u32) -> Result<Self, DialError> {
        let stream = connect(endpoint, connect_ms)?;
        let mut wire =
            Self { stream, tls: None, scratch: vec![0; READ_BYTES].into_boxed_slice(), sealed: Vec::new() };
        if let Some(tls) = &endpoint.tls {
            let deadline = Deadline::start(Phase::Tls, tls_ms);
            let stream = TlsStream::client(tls, &endpoint.host).map_err(|error| DialError::Tls {
                phase: Phase::Tls,
                fault: TlsFault::from_rustls(&error),
                detail: error.to_string(),
            })?;
            wire.tls = Some(stream);
            wire.shake(deadline)?;
        }
        Ok(wire)
    }

    /// Applies the buffer sizes of `spec`.
    pub(super) fn tune(&self, spec: &DialSpec) {
        if spec.recv_buffer_bytes > 0 {
            socket::set_recv_buffer(self.stream.as_fd(), spec.recv_buffer_bytes);
        }
        if spec.send_buffer_bytes > 0 {
            socket::set_send_buffer(self.stream.as_fd(), spec.send_buffer_bytes);
        }
    }

    fn shake(&mut self, deadline: Deadline) -> Result<(), DialError> {
        let mut early = Vec::new();
        loop {
            self.flush_tls(deadline)?;
            if !self.tls.as_ref().is_some_and(TlsStream::is_handshaking) {
                return Ok(());
            }
            if let Progress::End { in_order } = self.read(deadline, &mut early)? {
                return Err(DialError::Ended { phase: deadline.phase, in_order });
            }
        }
    }

    /// Writes all of `plaintext`.
    pub(crate) fn write(&mut self, deadline: Deadline, plaintext: &[u8]) -> Result<(), DialError> {
        let Some(tls) = &mut self.tls else { return self.write_raw(deadline, plaintext) };
        let mut sealed = std::mem::take(&mut self.sealed);
        sealed.clear();
        let result = tls.seal(plaintext, &mut sealed);
        let result = result
            .map_err(|fault| self.tls_error(deadline, fault))
            .and_then(|()| self.write_raw(deadline, &sealed));
        self.sealed = sealed;
        result
    }

    /// Waits for bytes and appends what they decrypt to.
    pub(crate) fn read(
        &mut self,
        deadline: Deadline,
        plaintext: &mut Vec<u8>,
    ) -> Result<Progress, DialError> {
        let got = loop {
            match socket::recv(self.stream.as_fd(), &mut self.scratch) {
                Ok(got) => break got,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    socket::wait_until(&self.stream, false, deadline.at)
                        .map_err(|error| deadline.error(error))?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(deadline.error(error)),
            }
        };
        // A peer that trickles must not outlive the deadline.
        deadline.left()?;
        let Some(tls) = &mut self.tls else {
            plaintext.extend_from_slice(&self.scratch[..got]);
            return Ok(if got == 0 { Progress::End { in_order: true } } else { Progress::Bytes });
        };
        if got == 0 {
            return Ok(Progress::End { in_order: tls.peer_has_closed() });
        }
        if let Err(fault) = tls.feed(&self.scratch[..got], plaintext) {
            // The alert is a courtesy; the fault is what counts.
            let _ = self.flush_tls(deadline);
            return Err(self.tls_error(deadline, fault));
        }
        if tls.peer_has_closed() {
            return Ok(Progress::End { in_order: true });
        }
        self.flush_tls(deadline)?;
        Ok(Progress::Bytes)
    }

    fn flush_tls(&mut self, deadline: Deadline) -> Result<(), DialError> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let mut sealed = std::mem::take(&mut self.sealed);
        sealed.clear();
        tls.pending(&mut sealed);
        let result = self.write_raw(deadline, &sealed);
        self.sealed = sealed;
        result
    }

    fn write_raw(&self, deadline: Deadline, mut bytes: &[u8]) -> Result<(), DialError> {
        while !bytes.is_empty() {
            match socket::send(self.stream.as_fd(), bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    socket::wait_until(&self.stream, true, deadline.at)
                        .map_err(|error| deadline.error(error))?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(deadline.error(error)),
            }
        }
        Ok(())
    }

    fn tls_error(&self, deadline: Deadline, fault: TlsFault) -> DialError {
        let said = self.tls.as_ref().and_then(TlsStream::last_error);
        DialError::Tls {
            phase: deadline.phase,
            fault,
            detail: said.map_or_else(String::new, ToString::to_string),
        }
    }
}

fn connect(endpoint: &Endpoint, connect_ms: u32) -> Result<TcpStream, DialError> {
    let addresses = resolve(endpoint, Deadline::start(Phase::Resolve, connect_ms))?;
    let deadline = Deadline::start(Phase::Connect, connect_ms);
    let mut last = None;
    for (tried, address) in addresses.iter().enumerate() {
        let share = deadline.left()? / u32::try_from(addresses.len() - tried).unwrap_or(1).max(1);
        match TcpStream::connect_timeout(address, share.max(std::time::Duration::from_millis(1))) {
            Ok(stream) => {
                stream.set_nonblocking(true).map_err(|error| deadline.error(error))?;
                stream.set_nodelay(true).map_err(|error| deadline.error(error))?;
                return Ok(stream);
            }
            Err(error) => last = Some(deadline.error(error)),
        }
    }
    Err(last.unwrap_or_else(|| deadline.timeout()))
}
