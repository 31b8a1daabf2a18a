//! From a recipe to a live WebSocket connection.

use std::net::{SocketAddr, TcpStream};

use super::{Deadline, DialError, DialSpec, Phase, Progress, Wire};
use crate::http::Limits;
use crate::tls::TlsStream;
use crate::ws::handshake::{ClientHandshake, HandshakeError};
use crate::ws::{FrameHeader, MaskKeys, Role};

/// Bytes after the upgrade that are read ahead at most while waiting for a first message; one read more may arrive.
const AHEAD_BYTES_MAX: usize = 32 * 1024;

/// A live connection on its way to the thread that will poll it.
#[derive(Debug)]
pub struct Session {
    pub(crate) stream: TcpStream,
    pub(crate) tls: Option<TlsStream>,
    pub(crate) ahead: Vec<u8>,
    peer: Option<SocketAddr>,
}

impl Session {
    /// The peer's address, when it was still connected.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Plaintext bytes that arrived behind the upgrade.
    #[must_use]
    pub fn ahead(&self) -> &[u8] {
        &self.ahead
    }
}

/// Connects, shakes hands and upgrades, blocking. `seed` makes the handshake key; connections should differ in it.
///
/// # Errors
/// [`DialError`] naming the phase.
pub fn dial(spec: &DialSpec, seed: u64) -> Result<Session, DialError> {
    let deadlines = spec.deadlines;
    let mut wire = Wire::open(&spec.endpoint, deadlines.connect_ms, deadlines.tls_ms)?;
    wire.tune(spec);
    let mut ahead = upgrade(&mut wire, spec, seed)?;
    if deadlines.first_message_ms > 0 {
        let deadline = Deadline::start(Phase::FirstMessage, deadlines.first_message_ms);
        while !has_message(&ahead)? && ahead.len() < AHEAD_BYTES_MAX {
            read_more(&mut wire, deadline, &mut ahead)?;
        }
    }
    let peer = wire.stream.peer_addr().ok();
    Ok(Session { stream: wire.stream, tls: wire.tls, ahead, peer })
}

fn upgrade(wire: &mut Wire, spec: &DialSpec, seed: u64) -> Result<Vec<u8>, DialError> {
    let deadline = Deadline::start(Phase::Upgrade, spec.deadlines.upgrade_ms);
    let mut words = MaskKeys::new(seed);
    let mut nonce = [0; 16];
    for four in nonce.as_chunks_mut::<4>().0 {
        *four = words.next_key();
    }
    let handshake = ClientHandshake::new(nonce, spec.subprotocol.as_deref());
    let mut bytes = Vec::new();
    handshake.write_request(&spec.endpoint.authority(), &spec.target, &spec.headers, &mut bytes);
    wire.write(deadline, &bytes)?;
    bytes.clear();
    let limits = Limits::default();
    loop {
        if let Some(len) = handshake.read_response(&bytes, &limits)? {
            bytes.drain(..len);
            return Ok(bytes);
        }
        read_more(wire, deadline, &mut bytes)?;
    }
}

fn read_more(wire: &mut Wire, deadline: Deadline, bytes: &mut Vec<u8>) -> Result<(), DialError> {
    let before = bytes.len();
    match wire.read(deadline, bytes)? {
        Progress::Bytes => Ok(()),
        // What came with the end is judged first: a refusal is more telling than the hang-up behind it.
        Progress::End { .. } if bytes.len() > before => Ok(()),
        Progress::End { in_order } => Err(DialError::Ended { phase: deadline.phase, in_order }),
    }
}

/// Whether a whole data frame is among `bytes`; control frames are stepped over.
fn has_message(mut bytes: &[u8]) -> Result<bool, DialError> {
    while let Some(header) = FrameHeader::parse(bytes, Role::Client)? {
        let Ok(payload_len) = usize::try_from(header.payload_len) else { return Ok(false) };
        let Some(rest) = bytes.get(header.header_len.saturating_add(payload_len)..) else { return Ok(false) };
        if !header.opcode.is_control() {
            return Ok(true);
        }
        bytes = rest;
    }
    Ok(false)
}

impl From<crate::http::HttpError> for DialError {
    fn from(error: crate::http::HttpError) -> Self {
        Self::Handshake(HandshakeError::Http(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_data_frame_is_a_message() {
        assert!(!has_message(b"").unwrap());
        assert!(!has_message(b"\x89\x01p").unwrap());
        assert!(!has_message(b"\x89\x01p\x81\x02a").unwrap());
        assert!(has_message(b"\x89\x01p\x81\x02ab").unwrap());
        assert!(has_message(b"\xff\x01p").is_err());
    }
}
