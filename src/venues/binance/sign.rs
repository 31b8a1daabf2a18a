//! Keys and HMAC-SHA256 signatures.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of a signature as text: 32 bytes in lower-case hex.
pub const SIGNATURE_LEN: usize = 64;

/// Longest API key that is taken. Binance's have 64 characters.
pub const API_KEY_LEN_MAX: usize = 128;

/// An API key and its secret. Prints as nothing, and the secret is overwritten when it is dropped.
#[derive(Clone)]
pub struct Credentials {
    key: Zeroizing<String>,
    secret: Zeroizing<String>,
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
}

impl Credentials {
    /// Takes key and secret; surrounding white space (a file's last newline) is not part of either.
    ///
    /// # Errors
    /// The key has a character besides ASCII letters and digits or a wrong length, or the secret is empty.
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
        Ok(Credentials {
            key: Zeroizing::new(key_text.to_owned()),
            secret: Zeroizing::new(secret_text.to_owned()),
        })
    }

    /// The API key: goes in the clear into messages and the `X-MBX-APIKEY` header, never into logs.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Signature of `payload` in lower-case hex. Prepares the key anew; sessions keep it prepared.
    pub fn sign(&self, payload: &[u8]) -> [u8; SIGNATURE_LEN] {
        Signer::new(self, b"").sign(payload)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// The secret as a prepared HMAC state that has also taken in what every payload begins with.
///
/// A payload sorted by name begins with `apiKey=<key>`, 71 bytes and so a whole SHA-256 block that need not be
/// hashed again per order. The state is overwritten when dropped.
pub(crate) struct Signer {
    prepared: Hmac<Sha256>,
}

impl Signer {
    /// Prepares the secret for payloads that begin with `prefix`.
    pub(crate) fn new(credentials: &Credentials, prefix: &[u8]) -> Signer {
        let mut prepared = match Hmac::<Sha256>::new_from_slice(credentials.secret.as_bytes()) {
            Ok(mac) => mac,
            // HMAC is defined for keys of every length (RFC 2104, section 2).
            Err(_) => unreachable!("HMAC refuses no key length"),
        };
        prepared.update(prefix);
        Signer { prepared }
    }

    /// Signature of prefix + `rest` in lower-case hex. About 150 ns for an order; no allocation.
    #[inline]
    pub(crate) fn sign(&self, rest: &[u8]) -> [u8; SIGNATURE_LEN] {
        let mut mac = self.prepared.clone();
        mac.update(rest);
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        let mut text = [0u8; SIGNATURE_LEN];
        for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
            pair[0] = HEX[(byte >> 4) as usize];
            pair[1] = HEX[(byte & 15) as usize];
        }
        text
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
        let signer = Signer::new(&official(), format!("apiKey={KEY}").as_bytes());
        for _ in 0..2 {
            let text = signer.sign(rest);
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
}
