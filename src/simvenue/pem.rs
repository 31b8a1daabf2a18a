//! A certificate as text (RFC 7468), for those who read it from a file.

/// A certificate as PEM.
pub fn pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut body = String::new();
    for chunk in der.chunks(3) {
        let word = chunk.iter().chain([&0, &0]).take(3).fold(0u32, |word, b| word << 8 | u32::from(*b));
        for i in 0..4 {
            let sextet = (word >> (18 - 6 * i)) & 63;
            body.push(if i <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_pads_as_the_standard_does() {
        let body = |der: &[u8]| pem(der).lines().nth(1).map(str::to_owned).expect("a body");
        // RFC 4648, section 10.
        for (plain, coded) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(body(plain.as_bytes()), coded);
        }
        assert_eq!(pem(&[7; 100]).lines().map(str::len).max(), Some(64));
    }
}
