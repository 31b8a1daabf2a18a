//! What the venue answers when it refuses, in its own words (`errors.md` of its documentation, 2026-07).

use super::json::put_str;
use super::listing::Unit;
use std::borrow::Cow;
use std::io::Write;
use wire::Ts;

/// A refusal: HTTP status, code and message as the venue words them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reject {
    pub(super) status: u16,
    pub(super) code: i32,
    pub(super) msg: Cow<'static, str>,
    /// Epoch ms from which a retry is welcome (status 429).
    pub(super) retry_after_ms: Option<u64>,
    /// The `data` of the error, JSON: what became of the halves of a cancel-replace.
    pub(super) data: Option<Vec<u8>>,
}

const fn fixed(status: u16, code: i32, msg: &'static str) -> Reject {
    Reject { status, code, msg: Cow::Borrowed(msg), retry_after_ms: None, data: None }
}

const fn bad(code: i32, msg: &'static str) -> Reject {
    fixed(400, code, msg)
}

fn about(code: i32, msg: String) -> Reject {
    Reject { status: 400, code, msg: Cow::Owned(msg), retry_after_ms: None, data: None }
}

impl Reject {
    pub(super) const UNKNOWN: Reject = bad(-1000, "An unknown error occurred while processing the request.");
    pub(super) const INVALID_JSON: Reject = bad(-1135, "Invalid JSON Request");
    pub(super) const UNSUPPORTED: Reject = bad(-1020, "This operation is not supported.");
    pub(super) const DUPLICATE_PARAM: Reject = bad(-1101, "Duplicate values for a parameter detected.");
    pub(super) const SIGNATURE: Reject = bad(-1022, "Signature for this request is not valid.");
    pub(super) const STAMP_LATE: Reject =
        bad(-1021, "Timestamp for this request is outside of the recvWindow.");
    pub(super) const STAMP_AHEAD: Reject =
        bad(-1021, "Timestamp for this request was 1000ms ahead of the server's time.");
    pub(super) const KEY_FORMAT: Reject = fixed(401, -2014, "API-key format invalid.");
    pub(super) const KEY: Reject = fixed(401, -2015, "Invalid API-key, IP, or permissions for action.");
    pub(super) const TIF: Reject = bad(-1115, "Invalid timeInForce.");
    pub(super) const ORDER_TYPE: Reject = bad(-1116, "Invalid orderType.");
    pub(super) const SIDE: Reject = bad(-1117, "Invalid side.");
    pub(super) const SYMBOL: Reject = bad(-1121, "Invalid symbol.");
    pub(super) const CANCEL_RESTRICTIONS: Reject = bad(-1145, "Invalid cancelRestrictions");
    pub(super) const SUBSCRIPTION_ACTIVE: Reject =
        bad(-2035, "User Data Stream subscription already active.");
    pub(super) const SUBSCRIPTION_INACTIVE: Reject = bad(-2036, "User Data Stream subscription not active.");
    pub(super) const CLOSED: Reject = bad(-2010, "Market is closed.");
    pub(super) const BALANCE: Reject = bad(-2010, "Account has insufficient balance for requested action.");
    pub(super) const DUPLICATE_ORDER: Reject = bad(-2010, "Duplicate order sent.");
    pub(super) const WOULD_TAKE: Reject = bad(-2010, "Order would immediately match and take.");
    pub(super) const UNKNOWN_ORDER: Reject = bad(-2011, "Unknown order sent.");
    pub(super) const RESTRICTED_CANCEL: Reject =
        bad(-2011, "Order was not canceled due to cancel restrictions.");
    pub(super) const NO_SUCH_ORDER: Reject = bad(-2013, "Order does not exist.");
    pub(super) const OTHER_CLIENT_ID: Reject =
        bad(-2039, "Client order ID is not correct for this order ID.");
    pub(super) const UNAUTHORIZED: Reject =
        fixed(401, -1002, "You are not authorized to execute this request.");
    pub(super) const UNEXPECTED: Reject = fixed(
        500,
        -1006,
        "An unexpected response was received from the message bus. Execution status unknown.",
    );
    pub(super) const TIMEOUT: Reject = fixed(
        504,
        -1007,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    );
    pub(super) const SPAN: Reject = bad(-1127, "More than 24 hours between startTime and endTime.");
    pub(super) const COMBINATION: Reject = bad(-1128, "Combination of optional parameters invalid.");
    pub(super) const STRATEGY_TYPE: Reject = bad(-1134, "`strategyType` was less than 1000000.");
    pub(super) const STP_MODE: Reject =
        bad(-1013, "This symbol does not allow the specified self-trade prevention mode.");
    pub(super) const COMPOSITION: Reject = bad(-1014, "Unsupported order combination.");
    pub(super) const WOULD_TRIGGER: Reject = bad(-2010, "Order would trigger immediately.");
    pub(super) const THIN_BOOK: Reject =
        bad(-2010, "Order book liquidity is less than `LOT_SIZE` filter minimum quantity.");
    pub(super) const PAIR_PRICES: Reject =
        bad(-2010, "The relationship of the prices for the orders is not correct.");
    pub(super) const LIST_TYPE: Reject = bad(-1158, "Order type not supported in OCO.");
    pub(super) const BUY_LIMIT_BELOW: Reject = bad(-1165, "A limit order in a buy OCO must be below.");
    pub(super) const SELL_LIMIT_ABOVE: Reject = bad(-1166, "A limit order in a sell OCO must be above.");
    pub(super) const BOTH_LIMIT: Reject = bad(-1168, "At least one OCO order must be contingent.");
    pub(super) const BUY_STOP_ABOVE: Reject = bad(-1196, "A stop loss order in a buy OCO must be above.");
    pub(super) const SELL_STOP_BELOW: Reject = bad(-1197, "A stop loss order in a sell OCO must be below.");
    pub(super) const BUY_PROFIT_BELOW: Reject = bad(-1198, "A take profit order in a buy OCO must be below.");
    pub(super) const SELL_PROFIT_ABOVE: Reject =
        bad(-1199, "A take profit order in a sell OCO must be above.");
    pub(super) const REPLACE_HALF_FAILED: Reject =
        fixed(409, -2021, "Order cancel-replace partially failed.");
    pub(super) const REPLACE_FAILED: Reject = bad(-2022, "Order cancel-replace failed.");
    pub(super) const NO_SNAPSHOT: Reject = fixed(
        503,
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
    );

    /// Appends the error object.
    pub(super) fn put(&self, out: &mut Vec<u8>, unit: Unit, now: Ts) {
        let _ = write!(out, r#"{{"code":{},"msg":"#, self.code);
        put_str(out, &self.msg);
        if let Some(data) = &self.data {
            out.extend_from_slice(br#","data":"#);
            out.extend_from_slice(data);
        } else if let Some(retry_after_ms) = self.retry_after_ms {
            let now = unit.of(now);
            let _ = write!(out, r#","data":{{"serverTime":{now},"retryAfter":{retry_after_ms}}}"#);
        }
        out.push(b'}');
    }

    /// The error object with code and message alone.
    pub(super) fn bare(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let bare = Reject { retry_after_ms: None, data: None, ..self.clone() };
        bare.put(&mut out, Unit::Milli, Ts(0));
        out
    }

    /// Whole seconds to wait before another try, at least one.
    pub(super) fn retry_after_s(&self, now: Ts) -> Option<u64> {
        self.retry_after_ms.map(|at| at.saturating_sub(now.as_ms()).div_ceil(1_000).max(1))
    }

    pub(super) fn either(first: &str, second: &str) -> Reject {
        about(-1102, format!("Param '{first}' or '{second}' must be sent, but both were empty/null!"))
    }

    pub(super) fn banned(until_ms: u64) -> Reject {
        Reject {
            status: 418,
            retry_after_ms: Some(until_ms),
            ..about(
                -1003,
                format!(
                    "Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams for live \
                     updates to avoid bans."
                ),
            )
        }
    }

    pub(super) fn missing(param: &str) -> Reject {
        about(-1102, format!("Mandatory parameter '{param}' was not sent, was empty/null, or malformed."))
    }

    pub(super) fn too_great(param: &str, max: u64) -> Reject {
        about(-1102, format!("'{param}' contains unexpected value. Cannot be greater than {max}."))
    }

    pub(super) fn illegal(param: &str, legal: &str) -> Reject {
        about(-1100, format!("Illegal characters found in parameter '{param}'; legal range is '{legal}'."))
    }

    pub(super) fn unread(read: usize, sent: usize) -> Reject {
        about(
            -1104,
            format!("Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."),
        )
    }

    pub(super) fn empty(param: &str) -> Reject {
        about(-1105, format!("Parameter '{param}' was empty."))
    }

    pub(super) fn not_required(param: &str) -> Reject {
        about(-1106, format!("Parameter '{param}' sent when not required."))
    }

    pub(super) fn precision(param: &str) -> Reject {
        about(-1111, format!("Parameter '{param}' has too much precision."))
    }

    pub(super) fn invalid(param: &str) -> Reject {
        about(-1130, format!("Data sent for parameter '{param}' is not valid."))
    }

    pub(super) fn filter(name: &str) -> Reject {
        about(-1013, format!("Filter failure: {name}"))
    }

    pub(super) fn unsupported_order(what: &str) -> Reject {
        about(-2010, format!("{what} are not supported for this symbol."))
    }

    pub(super) fn too_many_orders(limit: u32, per: &str, retry_after_ms: u64) -> Reject {
        Reject {
            status: 429,
            retry_after_ms: Some(retry_after_ms),
            ..about(-1015, format!("Too many new orders; current limit is {limit} orders per {per}."))
        }
    }

    pub(super) fn too_much_weight(limit: u32, retry_after_ms: u64) -> Reject {
        Reject {
            status: 429,
            retry_after_ms: Some(retry_after_ms),
            ..about(
                -1003,
                format!(
                    "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. Please use \
                     WebSocket Streams for live updates to avoid polling the API."
                ),
            )
        }
    }
}
