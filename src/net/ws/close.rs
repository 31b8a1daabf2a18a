//! Close codes (RFC 6455 7.4) and the body of a close frame.

use super::WsError;

/// The close codes this crate sends. Constants rather than an enum, because the wire carries any `u16`.
#[derive(Clone, Copy, Debug)]
pub struct CloseCode;

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: u16 = 1000;
    /// The endpoint goes away.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// A kind of message this endpoint does not take (binary on a text link).
    pub const UNSUPPORTED: u16 = 1003;
    /// No code was in the close frame. Local only, never on the wire.
    pub const ABSENT: u16 = 1005;
    /// Payload that is not what it claims, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: u16 = 1007;
    /// A message longer than the bound.
    pub const TOO_BIG: u16 = 1009;
}

/// Accepts a close code that may appear on the wire: 1000–1003, 1007–1014, 3000–4999.
///
/// # Errors
/// [`WsError::CloseCode`] for every other value.
pub fn check_close_code(code: u16) -> Result<(), WsError> {
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(()),
        _ => Err(WsError::CloseCode { code }),
    }
}

/// Splits a close body into code ([`CloseCode::ABSENT`] when empty) and reason.
pub(super) fn parse_close(body: &[u8]) -> Result<(u16, &str), WsError> {
    match body {
        [] => Ok((CloseCode::ABSENT, "")),
        [_] => Err(WsError::ClosePayload),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            check_close_code(code)?;
            let reason = std::str::from_utf8(reason).map_err(|_| WsError::CloseReasonUtf8)?;
            Ok((code, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wire_codes_pass() {
        for code in 0..=u16::MAX {
            let legal =
                matches!(code, 1000 | 1001 | 1002 | 1003 | 1007..=1014) || (3000..5000).contains(&code);
            assert_eq!(check_close_code(code).is_ok(), legal, "{code}");
        }
    }

    #[test]
    fn bodies() {
        assert_eq!(parse_close(b""), Ok((1005, "")));
        assert_eq!(parse_close(&[3]), Err(WsError::ClosePayload));
        assert_eq!(parse_close(&[3, 232, b'o', b'k']), Ok((1000, "ok")));
        assert_eq!(parse_close(&[3, 232, 0xc3]), Err(WsError::CloseReasonUtf8));
        assert_eq!(parse_close(&[3, 237]), Err(WsError::CloseCode { code: 1005 }));
    }
}
