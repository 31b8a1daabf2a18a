//! The little of PEM and base64 (RFC 7468, RFC 4648) that an Ed25519 key needs.

use zeroize::Zeroizing;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// The DER inside one unencrypted PKCS#8 block; `None` when the text is anything else.
pub(crate) fn private_key(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let body = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let mut der = Zeroizing::new(Vec::with_capacity(body.len()));
    let (mut bits, mut held, mut padding) = (0u32, 0, 0);
    for c in body.bytes().filter(|c| !c.is_ascii_whitespace()) {
        if c == b'=' {
            padding += 1;
            continue;
        }
        let value = ALPHABET.iter().position(|a| *a == c)? as u32;
        if padding > 0 {
            return None;
        }
        bits = bits << 6 | value;
        held += 6;
        if held >= 8 {
            held -= 8;
            der.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    // What the last character holds beyond whole bytes is nothing, and padding fills up its group of four.
    (bits == 0 && held < 6 && padding < 3 && (held / 2) as usize == padding && !der.is_empty()).then_some(der)
}

/// Appends `bytes` in base64 with padding.
pub(crate) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.chunks(3) {
        let at = |i: usize| chunk.get(i).copied().unwrap_or(0) as u32;
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { digit } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard() {
        // RFC 4648, section 10.
        for (plain, text) in [
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            base64(plain.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
            let pem = format!("{BEGIN}\n{text}\n{END}\n");
            assert_eq!(private_key(&pem).as_deref().map(Vec::as_slice), Some(plain.as_bytes()));
        }
        for bad in ["", "Z", "Zg=", "Zh==", "Zg==Zg", "Z!==", "Zg==="] {
            assert!(private_key(&format!("{BEGIN}{bad}{END}")).is_none(), "{bad}");
        }
    }
}
