//! Who may: HMAC signatures and the time they are good for.

use super::params::Params;
use super::reject::Reject;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wire::Ts;

/// `recvWindow` when none is sent, µs.
const WINDOW_DEFAULT_US: u64 = 5_000_000;
/// Largest `recvWindow`, ms.
const WINDOW_MAX_MS: u64 = 60_000;
/// How far ahead of the venue's clock a request may be stamped, µs.
const AHEAD_MAX_US: u64 = 1_000_000;
/// A timestamp from here on is in µs, below it in ms.
const MICROS_FROM: u64 = 100_000_000_000_000;

/// The one key that is known.
pub(super) struct Keyring {
    api_key: String,
    secret: String,
}

impl Keyring {
    pub(super) fn new(api_key: String, secret: String) -> Keyring {
        Keyring { api_key, secret }
    }

    /// Judges a signed request whose signature covers `signed`. Reads `apiKey` (unless the caller took it from a
    /// header), `timestamp`, `recvWindow` and `signature` from the parameters.
    pub(super) fn check(
        &self,
        header_key: Option<&str>,
        params: &mut Params,
        signed: &str,
        now: Ts,
    ) -> Result<(), Reject> {
        let key = match header_key {
            Some(key) => key,
            None => params.need("apiKey")?,
        };
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Reject::KEY_FORMAT);
        }
        if key != self.api_key {
            return Err(Reject::KEY);
        }
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
        let signature = params.need("signature")?;
        if !self.signature_is(signature, signed) {
            return Err(Reject::SIGNATURE);
        }
        Ok(())
    }

    fn signature_is(&self, hex: &str, signed: &str) -> bool {
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
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()) else { return false };
        mac.update(signed.as_bytes());
        mac.verify_slice(&tag).is_ok()
    }
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
        assert_eq!(keyring().check(None, &mut params, &signed, at(1645423376632)), Ok(()));
        assert_eq!(keyring().check(None, &mut params, &signed, at(1645423376633)), Err(Reject::STAMP_LATE));
        assert_eq!(keyring().check(None, &mut params, &signed, at(1645423375533)), Ok(()));
        assert_eq!(keyring().check(None, &mut params, &signed, at(1645423375532)), Err(Reject::STAMP_AHEAD));
        assert_eq!(
            keyring().check(None, &mut params, "something else", at(1645423376532)),
            Err(Reject::SIGNATURE)
        );
        let rest = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559";
        assert!(
            keyring().signature_is("c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71", rest)
        );
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
                keyring().check(Some(key), &mut params, "", Ts(0)).map_err(|e| e.code),
                Err(code),
                "{key}"
            );
        }
    }
}
