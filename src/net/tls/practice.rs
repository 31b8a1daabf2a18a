//! Sealing for its own sake: the work of a record, for no connection.

use rustls::crypto::cipher::{AeadKey, Iv, MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::crypto::ring;
use rustls::{CipherSuite, ContentType, ProtocolVersion, SupportedCipherSuite};

use super::TlsFault;

/// Seals records with a key of its own, drawn at random and known to nobody, by the code that seals for a connection:
/// to keep that code warm. A connection cannot be asked to do so, for what it has sealed it must send.
///
/// The suite is AES-256-GCM, whatever the connection's is: rustls takes bytes as a key of that length alone.
pub struct PracticeSeal {
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl PracticeSeal {
    /// A fresh key. `None` without random numbers.
    #[must_use]
    pub fn new() -> Option<Self> {
        let provider = ring::default_provider();
        let aes_256 = |suite: &SupportedCipherSuite| match suite {
            SupportedCipherSuite::Tls13(tls13) if suite.suite() == SUITE => Some(*tls13),
            _ => None,
        };
        let suite = provider.cipher_suites.iter().find_map(aes_256)?;
        let mut key = [0; AES_256_KEY_LEN];
        provider.secure_random.fill(&mut key).ok()?;
        let encrypter = suite.aead_alg.encrypter(AeadKey::from(key), Iv::from([0; 12]));
        Some(Self { encrypter, sequence: 0 })
    }

    /// Seals `plaintext` as one record and appends it to `out`. Allocates once, as every record of rustls does.
    ///
    /// # Errors
    /// [`TlsFault::Internal`]: the plaintext is longer than a record may be.
    pub fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), TlsFault> {
        let record = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_3,
            payload: OutboundChunks::Single(plaintext),
        };
        self.sequence += 1;
        let sealed = self.encrypter.encrypt(record, self.sequence).map_err(|_| TlsFault::Internal)?;
        out.extend_from_slice(&sealed.encode());
        Ok(())
    }
}

/// Its rounds are those of AES-128-GCM, only more of them.
const SUITE: CipherSuite = CipherSuite::TLS13_AES_256_GCM_SHA384;
/// Bytes of the key.
const AES_256_KEY_LEN: usize = 32;

impl std::fmt::Debug for PracticeSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PracticeSeal").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_looks_like_one_and_no_two_are_alike() {
        let mut seal = PracticeSeal::new().expect("random numbers");
        let (mut first, mut second) = (Vec::new(), Vec::new());
        seal.seal(b"an order that is none", &mut first).expect("a record");
        seal.seal(b"an order that is none", &mut second).expect("a record");
        // Header (RFC 8446 5.2), the text, its type and the tag.
        assert_eq!((&first[..3], first.len()), (&[23, 3, 3][..], 5 + 21 + 1 + 16));
        assert_ne!(first, second);
        let mut other = Vec::new();
        PracticeSeal::new().expect("random numbers").seal(b"an order that is none", &mut other).expect("it");
        assert_ne!(first, other, "a key of its own");
    }
}
