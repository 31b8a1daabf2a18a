//! Who may: HMAC and Ed25519 signatures and the time they are good for.

use super::params::Params;
use super::reject::Reject;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::Sha256;
use std::collections::BTreeMap;
use wire::Ts;

/// `recvWindow` when none is sent, µs.
const WINDOW_DEFAULT_US: u64 = 5_000_000;
/// Largest `recvWindow`, ms.
const WINDOW_MAX_MS: u64 = 60_000;
/// How far ahead of the venue's clock a request may be stamped, µs.
const AHEAD_MAX_US: u64 = 1_000_000;
/// A timestamp from here on is in µs, below it in ms.
const MICROS_FROM: u64 = 100_000_000_000_000;

/// Keys of the one account.
pub(super) struct Keyring {
    keys: BTreeMap<String, Secret>,
}

/// What signatures of a key are checked with.
enum Secret {
    Hmac(String),
    Ed25519([u8; 32]),
}

/// Who is known to speak on a connection, and how a request says who it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claim<'a> {
    /// The key when it comes in a header, not among the parameters.
    pub(super) header_key: Option<&'a str>,
    /// The key that the connection has logged on with.
    pub(super) logon_key: Option<&'a str>,
    /// The text that the signature covers.
    pub(super) signed: &'a str,
}

impl Keyring {
    pub(super) fn new(api_key: String, secret: String) -> Keyring {
        Keyring { keys: BTreeMap::from([(api_key, Secret::Hmac(secret))]) }
    }

    /// Adds an Ed25519 key.
    pub(super) fn add_ed25519(&mut self, api_key: String, public: [u8; 32]) {
        self.keys.insert(api_key, Secret::Ed25519(public));
    }

    /// Takes a key away; whether it was there.
    pub(super) fn revoke(&mut self, api_key: &str) -> bool {
        self.keys.remove(api_key).is_some()
    }

    pub(super) fn knows(&self, api_key: &str) -> bool {
        self.keys.contains_key(api_key)
    }

    /// Whether sessions may log on with this key.
    pub(super) fn may_log_on(&self, api_key: &str) -> bool {
        matches!(self.keys.get(api_key), Some(Secret::Ed25519(_)))
    }

    /// Judges a signed request. Reads `apiKey` (unless the caller took it from a header), `timestamp`, `recvWindow` and
    /// `signature` from the parameters; on a connection that has logged on, a request with neither key nor signature is
    /// the logged-on key's.
    pub(super) fn check(&self, claim: &Claim<'_>, params: &mut Params, now: Ts) -> Result<(), Reject> {
        let anonymous = params.peek("apiKey").is_none() && params.peek("signature").is_none();
        if let Some(key) = claim.logon_key.filter(|_| anonymous && claim.header_key.is_none()) {
            return if self.knows(key) { check_time(params, now) } else { Err(Reject::KEY) };
        }
        let key = match claim.header_key {
            Some(key) => key,
            None => params.need("apiKey")?,
        };
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Reject::KEY_FORMAT);
        }
        let secret = self.keys.get(key).ok_or(Reject::KEY)?;
        check_time(params, now)?;
        if !secret.signed(params.need("signature")?, claim.signed) {
            return Err(Reject::SIGNATURE);
        }
        Ok(())
    }
}

/// Whether `timestamp` is of now.
fn check_time(params: &mut Params, now: Ts) -> Result<(), Reject> {
    let window_us = match params.take("recvWindow") {
        Some(text) => window_us(text)?,
        None => WINDOW_DEFAULT_US,
    };
    params.need("timestamp")?;
    let stamp = params.integer("timestamp")?.unwrap_or(0);
    let stamp_us = if stamp >= MICROS_FROM { stamp } else { stamp.saturating_mul(1000) };
    let now_us = now.0 / 1000;
    if stamp_us >= now_us.saturating_add(AHEAD_MAX_US) {
        return Err(Reject::STAMP_AHEAD);
    }
    if now_us.saturating_sub(stamp_us) > window_us {
        return Err(Reject::STAMP_LATE);
    }
    Ok(())
}

impl Secret {
    fn signed(&self, signature: &str, text: &str) -> bool {
        match self {
            Secret::Hmac(secret) => is_hmac(secret, signature, text),
            Secret::Ed25519(public) => base64_of(signature).is_some_and(|signature| {
                UnparsedPublicKey::new(&ED25519, public).verify(text.as_bytes(), &signature).is_ok()
            }),
        }
    }
}

fn is_hmac(secret: &str, hex: &str, signed: &str) -> bool {
    let mut tag = [0u8; 32];
    if hex.len() != 64 {
        return false;
    }
    for (byte, pair) in tag.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        match ((pair[0] as char).to_digit(16), (pair[1] as char).to_digit(16)) {
            (Some(high), Some(low)) => *byte = (high * 16 + low) as u8,
            _ => return false,
        }
    }
    // HMAC takes a key of any length, so a failure here would be a refusal, never a pass.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(signed.as_bytes());
    mac.verify_slice(&tag).is_ok()
}

/// The 64 bytes of a signature in base64 with its padding (RFC 4648), `None` for any other text.
fn base64_of(text: &str) -> Option<[u8; 64]> {
    let digits = text.strip_suffix("==").filter(|digits| digits.len() == 86)?;
    let (mut out, mut at, mut bits, mut held) = ([0u8; 64], 0, 0u32, 0u32);
    for b in digits.bytes() {
        let digit = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 | digit as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            *out.get_mut(at)? = (held >> bits) as u8;
            at += 1;
            held &= (1 << bits) - 1;
        }
    }
    (at == 64 && held == 0).then_some(out)
}

/// `recvWindow` in µs: ms with up to three decimals.
fn window_us(text: &str) -> Result<u64, Reject> {
    let (int, frac) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if int.is_empty() || int.len() > 9 || frac.len() > 3 || !digits(int) || !digits(frac) {
        return Err(Reject::missing("recvWindow"));
    }
    let us = format!("{int}{frac:0<3}").parse::<u64>().map_err(|_| Reject::missing("recvWindow"))?;
    if us > WINDOW_MAX_MS * 1000 {
        return Err(Reject::too_great("recvWindow", WINDOW_MAX_MS));
    }
    Ok(us)
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    const KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
    const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";

    fn keyring() -> Keyring {
        Keyring::new(KEY.into(), SECRET.into())
    }

    #[test]
    fn the_venue_s_own_examples_verify() {
        // web-socket-api.md and rest-api.md of the venue's documentation, "SIGNED request example (HMAC)".
        let text = format!(
            r#"{{"symbol":"BTCUSDT","side":"SELL","type":"LIMIT","timeInForce":"GTC","quantity":"0.01000000","price":"52000.00","recvWindow":100,"timestamp":1645423376532,"apiKey":"{KEY}","signature":"AA1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"}}"#
        );
        let value = json::read(text.as_bytes()).expect("valid JSON");
        let mut params = Params::from_json(Some(&value)).unwrap_or_else(|e| panic!("{e:?}"));
        let signed = params.signed_text();
        let at = |ms: u64| Ts(ms * 1_000_000);
        let claim = |signed| Claim { signed, ..Claim::default() };
        assert_eq!(keyring().check(&claim(&signed), &mut params, at(1645423376632)), Ok(()));
        assert_eq!(keyring().check(&claim(&signed), &mut params, at(1645423376633)), Err(Reject::STAMP_LATE));
        assert_eq!(keyring().check(&claim(&signed), &mut params, at(1645423375533)), Ok(()));
        assert_eq!(
            keyring().check(&claim(&signed), &mut params, at(1645423375532)),
            Err(Reject::STAMP_AHEAD)
        );
        assert_eq!(
            keyring().check(&claim("something else"), &mut params, at(1645423376532)),
            Err(Reject::SIGNATURE)
        );
        let rest = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559";
        assert!(is_hmac(SECRET, "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71", rest));
    }

    #[test]
    fn recv_window_has_three_decimals_and_a_roof() {
        assert_eq!(window_us("6000.346"), Ok(6_000_346));
        assert_eq!(window_us("0.5"), Ok(500));
        assert_eq!(window_us("60000"), Ok(60_000_000));
        for bad in ["60000.001", "", "-1", "1.2345", "x", "9999999999"] {
            assert_eq!(window_us(bad).map_err(|e| e.code), Err(-1102), "{bad}");
        }
    }

    #[test]
    fn keys_are_told_apart() {
        for (key, code) in [("nope", -2015), ("", -2014), ("a b", -2014)] {
            let mut params =
                Params::from_query("timestamp=1&signature=x").unwrap_or_else(|e| panic!("{e:?}"));
            assert_eq!(
                keyring()
                    .check(&Claim { header_key: Some(key), ..Claim::default() }, &mut params, Ts(0))
                    .map_err(|e| e.code),
                Err(code),
                "{key}"
            );
        }
    }
}
