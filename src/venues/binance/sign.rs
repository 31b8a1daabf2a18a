//! Keys and signatures: HMAC-SHA256 of every request, or Ed25519 of the logon.

use core::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use ring::signature::Ed25519KeyPair;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::pem;

/// Length of an HMAC signature as text: 32 bytes in lower-case hex.
pub const SIGNATURE_LEN: usize = 64;

/// Longest API key that is taken. Binance's have 64 characters.
pub const API_KEY_LEN_MAX: usize = 128;

/// An API key and its secret. Prints as nothing; an HMAC secret and the text of a private key are overwritten when they are
/// dropped.
#[derive(Clone)]
pub struct Credentials {
    key: Zeroizing<String>,
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    Hmac(Zeroizing<String>),
    /// Read once: a session cannot meet a key that is none.
    Ed25519(Arc<Ed25519KeyPair>),
}

/// Why a key or secret was refused. Carries neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The API key goes into every message as it is.
    #[error("API key of {len} bytes must be 1..={API_KEY_LEN_MAX} ASCII letters and digits")]
    Key {
        /// Its length in bytes.
        len: usize,
    },
    /// An empty secret signs nothing.
    #[error("secret is empty")]
    Secret,
    /// It begins as a PEM file and is none with an Ed25519 private key in PKCS#8.
    #[error("secret is PEM, but no unencrypted Ed25519 private key in PKCS#8 (BEGIN PRIVATE KEY)")]
    Pem,
}

impl Credentials {
    /// Takes key and secret; surrounding white space (a file's last newline) is not part of either. A secret that is an
    /// Ed25519 private key in PEM makes sessions that log on; any other signs each request with HMAC-SHA256.
    ///
    /// # Errors
    /// The key has a character besides ASCII letters and digits or a wrong length, the secret is empty, or it is PEM
    /// without an Ed25519 key.
    pub fn new(key: String, secret: String) -> Result<Credentials, CredentialsError> {
        let (key, secret) = (Zeroizing::new(key), Zeroizing::new(secret));
        let (key_text, secret_text) = (key.trim(), secret.trim());
        if key_text.is_empty()
            || key_text.len() > API_KEY_LEN_MAX
            || !key_text.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return Err(CredentialsError::Key { len: key_text.len() });
        }
        if secret_text.is_empty() {
            return Err(CredentialsError::Secret);
        }
        let secret = if secret_text.starts_with("-----BEGIN") {
            let der = pem::private_key(secret_text).ok_or(CredentialsError::Pem)?;
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der);
            Secret::Ed25519(Arc::new(pair.map_err(|_| CredentialsError::Pem)?))
        } else {
            Secret::Hmac(Zeroizing::new(secret_text.to_owned()))
        };
        Ok(Credentials { key: Zeroizing::new(key_text.to_owned()), secret })
    }

    /// The API key: goes in the clear into messages and the `X-MBX-APIKEY` header, never into logs.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether sessions log on once instead of signing each request.
    pub fn logs_on(&self) -> bool {
        matches!(self.secret, Secret::Ed25519(_))
    }

    /// Signature of `payload`: lower-case hex of HMAC-SHA256, base64 of Ed25519. Prepares the key anew; sessions keep it
    /// prepared.
    pub fn sign(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Signer::new(self, b"").sign(payload, &mut out);
        out
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// The secret, prepared for payloads that begin with what every payload begins with.
///
/// A payload sorted by name begins with `apiKey=<key>`, 71 bytes and so a whole SHA-256 block that need not be
/// hashed again per order. The state is overwritten when dropped.
pub(crate) enum Signer {
    Hmac(Hmac<Sha256>),
    /// The key, and the payload: what it begins with, then what is signed. Used for the logon, not for orders.
    Ed25519(Arc<Ed25519KeyPair>, Vec<u8>, usize),
}

impl Signer {
    /// Prepares the secret for payloads that begin with `prefix`.
    pub(crate) fn new(credentials: &Credentials, prefix: &[u8]) -> Signer {
        match &credentials.secret {
            Secret::Hmac(secret) => {
                let mut prepared = match Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
                    Ok(mac) => mac,
                    // HMAC is defined for keys of every length (RFC 2104, section 2).
                    Err(_) => unreachable!("HMAC refuses no key length"),
                };
                prepared.update(prefix);
                Signer::Hmac(prepared)
            }
            Secret::Ed25519(pair) => {
                let mut payload = Vec::with_capacity(2_048);
                payload.extend_from_slice(prefix);
                Signer::Ed25519(pair.clone(), payload, prefix.len())
            }
        }
    }

    /// Whether a signature costs so much that a session logs on instead.
    pub(crate) fn is_slow(&self) -> bool {
        matches!(self, Signer::Ed25519(..))
    }

    /// Appends the signature of prefix + `rest`. HMAC: about 150 ns for an order, no allocation. Ed25519: some 15 us.
    #[inline]
    pub(crate) fn sign(&mut self, rest: &[u8], out: &mut Vec<u8>) {
        match self {
            Signer::Hmac(prepared) => {
                let mut mac = prepared.clone();
                mac.update(rest);
                let digest: [u8; 32] = mac.finalize().into_bytes().into();
                let mut text = [0u8; SIGNATURE_LEN];
                for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
                    pair[0] = HEX[(byte >> 4) as usize];
                    pair[1] = HEX[(byte & 15) as usize];
                }
                out.extend_from_slice(&text);
            }
            Signer::Ed25519(pair, payload, prefix) => {
                payload.truncate(*prefix);
                payload.extend_from_slice(rest);
                pem::base64(pair.sign(payload).as_ref(), out);
            }
        }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    /// Key pair of the examples in Binance's `rest-api.md` and `web-socket-api.md`.
    const KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
    const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";

    fn official() -> Credentials {
        Credentials::new(KEY.into(), format!("{SECRET}\n")).expect("published pair")
    }

    #[test]
    fn signs_the_published_examples() {
        // rest-api.md, "SIGNED Endpoint Examples", ASCII and percent-encoded symbol.
        for (payload, signature) in [
            (
                "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000\
                 &timestamp=1499827319559",
                "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
            ),
            (
                "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=BUY&type=LIMIT\
                 &timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
                "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
            ),
        ] {
            assert_eq!(official().sign(payload.as_bytes()), signature.as_bytes());
        }
    }

    #[test]
    fn a_prefix_taken_in_before_changes_nothing() {
        // web-socket-api.md, "Signed request example (HMAC)".
        let rest =
            b"&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC\
            &timestamp=1645423376532&type=LIMIT";
        let mut signer = Signer::new(&official(), format!("apiKey={KEY}").as_bytes());
        for _ in 0..2 {
            let mut text = Vec::new();
            signer.sign(rest, &mut text);
            assert_eq!(&text, b"aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24");
        }
    }

    #[test]
    fn keys_are_checked_and_never_printed() {
        let shown = format!("{:?} {:#?}", official(), official());
        assert!(!shown.contains(KEY) && !shown.contains(SECRET), "{shown}");
        for key in ["", " ", "a\"b", "é", &"k".repeat(API_KEY_LEN_MAX + 1)] {
            let refused = Credentials::new(key.into(), "s".into()).expect_err("not a key");
            assert_eq!(refused, CredentialsError::Key { len: key.trim().len() });
        }
        assert_eq!(Credentials::new("k".into(), "\n".into()).err(), Some(CredentialsError::Secret));
    }

    /// Key and logon of the examples in Binance's `fix-api.md`.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u\n-----END PRIVATE KEY-----\n";

    #[test]
    fn an_ed25519_key_signs_the_published_logon() {
        let ed = Credentials::new("k".into(), PEM.into()).expect("published key");
        assert!(ed.logs_on() && !official().logs_on());
        let message = b"A\x01EXAMPLE\x01SPOT\x011\x0120240627-11:17:25.223";
        let signature =
            b"4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA==";
        assert_eq!(ed.sign(message), signature);
        let (prefix, rest) = message.split_at(9);
        let mut signer = Signer::new(&ed, prefix);
        for _ in 0..2 {
            let mut out = Vec::new();
            signer.sign(rest, &mut out);
            assert_eq!(out, signature);
        }
        assert_eq!(format!("{ed:?}"), "Credentials(..)");
    }

    #[test]
    fn what_begins_as_pem_must_be_an_ed25519_key() {
        let bad = [
            PEM.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
            PEM.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
            PEM.replace("MC4C", "MC4D"),
            PEM.replace("m89u", "m89"),
            PEM.replace("-----END PRIVATE KEY-----", ""),
            "-----BEGIN PRIVATE KEY-----".to_owned(),
        ];
        for text in bad {
            let refused = Credentials::new("k".into(), text.clone()).map(|_| ());
            assert_eq!(refused, Err(CredentialsError::Pem), "{text}");
        }
    }
}
