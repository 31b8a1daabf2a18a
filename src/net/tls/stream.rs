//! One TLS connection without its socket.

use std::io::{self, BufRead, Write};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};

use super::{ClientTls, ServerTls, TlsFault};

/// Where decrypted bytes go: a vector on cold paths, a bounded receive buffer on the hot one.
pub trait PlaintextSink {
    /// Appends all of `bytes`.
    ///
    /// # Errors
    /// [`TlsFault::Full`] when they do not fit; then nothing was appended.
    fn append(&mut self, bytes: &[u8]) -> Result<(), TlsFault>;
}

impl PlaintextSink for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> Result<(), TlsFault> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// The state of one connection: handshake, then records both ways.
#[derive(Debug)]
pub struct TlsStream {
    connection: Connection,
    closed: bool,
    last_error: Option<rustls::Error>,
}

impl TlsStream {
    /// A client that will accept a certificate for `server_name` (DNS name or IP address) only.
    ///
    /// # Errors
    /// [`rustls::Error`] when the name cannot be in a certificate.
    pub fn client(tls: &ClientTls, server_name: &str) -> Result<Self, rustls::Error> {
        let name =
            ServerName::try_from(server_name.to_owned()).map_err(|_| rustls::Error::UnsupportedNameType)?;
        Ok(Self::new(Connection::Client(ClientConnection::new(tls.config.clone(), name)?)))
    }

    /// A server's side.
    ///
    /// # Errors
    /// [`rustls::Error`] when the configuration is unusable.
    pub fn server(tls: &ServerTls) -> Result<Self, rustls::Error> {
        Ok(Self::new(Connection::Server(ServerConnection::new(tls.config.clone())?)))
    }

    fn new(mut connection: Connection) -> Self {
        // Every caller drains at once and bounds what it hands in.
        connection.set_buffer_limit(None);
        Self { connection, closed: false, last_error: None }
    }

    /// Whether the handshake still runs.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the peer sent close_notify: the stream ended in order. A FIN before this is a truncation.
    #[must_use]
    pub fn peer_has_closed(&self) -> bool {
        self.closed
    }

    /// What rustls said about the last fault, for the cold side to print.
    #[must_use]
    pub fn last_error(&self) -> Option<&rustls::Error> {
        self.last_error.as_ref()
    }

    /// Takes received bytes, all of them, and appends what they decrypt to. Plaintext of records before a bad one
    /// is appended before the fault is returned. Handshake and alert bytes to be sent afterwards, also after a
    /// fault, come from [`pending`](TlsStream::pending). Bytes behind close_notify are ignored.
    ///
    /// # Errors
    /// [`TlsFault`]; the connection is finished.
    pub fn feed(&mut self, mut received: &[u8], plaintext: &mut impl PlaintextSink) -> Result<(), TlsFault> {
        while !received.is_empty() {
            match self.connection.read_tls(&mut received) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(_) => return Err(TlsFault::Internal),
            }
            let processed = self.connection.process_new_packets();
            self.drain(plaintext)?;
            match processed {
                Ok(state) => self.closed = state.peer_has_closed(),
                Err(error) => return Err(self.fault(error)),
            }
        }
        Ok(())
    }

    /// Appends the records that carry `plaintext` to `out`, after anything else that waits to be sent. Records hold
    /// at most 16 KiB each.
    ///
    /// # Errors
    /// [`TlsFault`] when the keys are exhausted or the connection has failed; then `out` is as before.
    pub fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), TlsFault> {
        if self.last_error.is_some() {
            return Err(TlsFault::Internal);
        }
        self.connection.writer().write_all(plaintext).map_err(|_| TlsFault::Internal)?;
        self.pending(out);
        Ok(())
    }

    /// Appends handshake, alert and key update bytes that wait to be sent; nothing most of the time.
    pub fn pending(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            // A vector takes everything; an error here would have no bytes left to lose.
            if self.connection.write_tls(out).is_err() {
                return;
            }
        }
    }

    /// Appends close_notify, which ends our direction in order.
    pub fn close_notify(&mut self, out: &mut Vec<u8>) {
        self.connection.send_close_notify();
        self.pending(out);
    }

    fn drain(&mut self, plaintext: &mut impl PlaintextSink) -> Result<(), TlsFault> {
        let mut reader = self.connection.reader();
        loop {
            let taken = match reader.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(chunk) => {
                    plaintext.append(chunk)?;
                    chunk.len()
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(TlsFault::Internal),
            };
            reader.consume(taken);
        }
    }

    #[cold]
    fn fault(&mut self, error: rustls::Error) -> TlsFault {
        let fault = TlsFault::from_rustls(&error);
        self.last_error = Some(error);
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Trust;

    fn pair(names: &str, wanted: &str) -> (TlsStream, TlsStream) {
        let made = rcgen::generate_simple_self_signed(vec![names.to_owned()]).unwrap();
        let client = ClientTls::new(&Trust::Der(vec![made.cert.der().to_vec()])).unwrap();
        let server =
            ServerTls::new(vec![made.cert.der().to_vec()], made.signing_key.serialize_der()).unwrap();
        (TlsStream::client(&client, wanted).unwrap(), TlsStream::server(&server).unwrap())
    }

    /// Runs both ends until neither has bytes to send, `step` bytes at a time.
    fn shake(client: &mut TlsStream, server: &mut TlsStream, step: usize) -> Result<(), TlsFault> {
        let (mut wire, mut plain) = (Vec::new(), Vec::new());
        loop {
            wire.clear();
            client.pending(&mut wire);
            for part in wire.chunks(step) {
                server.feed(part, &mut plain)?;
            }
            let quiet = wire.is_empty();
            wire.clear();
            server.pending(&mut wire);
            for part in wire.chunks(step) {
                client.feed(part, &mut plain)?;
            }
            if quiet && wire.is_empty() {
                assert!(plain.is_empty());
                return Ok(());
            }
        }
    }

    #[test]
    fn plaintext_arrives_however_the_ciphertext_is_cut() {
        let message: Vec<u8> = (0..50_000u32).map(|i| i as u8).collect();
        for step in [1, 7, 4096, usize::MAX] {
            let (mut client, mut server) = pair("localhost", "localhost");
            shake(&mut client, &mut server, step).unwrap();
            assert!(!client.is_handshaking() && !server.is_handshaking());
            let (mut wire, mut plain) = (Vec::new(), Vec::new());
            client.seal(&message, &mut wire).unwrap();
            for part in wire.chunks(step.min(wire.len())) {
                server.feed(part, &mut plain).unwrap();
            }
            assert!(plain == message, "cut every {step}");
            assert!(!server.peer_has_closed());
            wire.clear();
            client.close_notify(&mut wire);
            server.feed(&wire, &mut plain).unwrap();
            assert!(server.peer_has_closed());
        }
    }

    #[test]
    fn a_wrong_name_is_a_certificate_fault_and_tells_the_peer() {
        let (mut client, mut server) = pair("localhost", "example.org");
        assert_eq!(shake(&mut client, &mut server, usize::MAX), Err(TlsFault::Certificate));
        assert!(client.last_error().unwrap().to_string().contains("certificate"));
        let (mut alert, mut plain) = (Vec::new(), Vec::new());
        client.pending(&mut alert);
        assert!(matches!(server.feed(&alert, &mut plain), Err(TlsFault::Alert { .. })));
    }

    #[test]
    fn an_unknown_issuer_is_a_certificate_fault() {
        let (mut client, _) = pair("localhost", "localhost");
        let (_, mut server) = pair("localhost", "localhost");
        assert_eq!(shake(&mut client, &mut server, usize::MAX), Err(TlsFault::Certificate));
    }

    #[test]
    fn a_flipped_bit_is_a_decrypt_fault_after_the_good_records() {
        let (mut client, mut server) = pair("localhost", "localhost");
        shake(&mut client, &mut server, usize::MAX).unwrap();
        let (mut wire, mut plain) = (Vec::new(), Vec::new());
        client.seal(b"good", &mut wire).unwrap();
        client.seal(b"bad", &mut wire).unwrap();
        *wire.last_mut().unwrap() ^= 1;
        assert_eq!(server.feed(&wire, &mut plain), Err(TlsFault::Decrypt));
        assert_eq!(plain, b"good");
    }
}
