//! Error codes of Binance spot by name (`errors.md`, read 2026-07-21): for reports and counters.

use wire::RejectReason;

/// Codes with a meaning of their own in this crate.
pub mod code {
    /// An unknown error while processing the request.
    pub const UNKNOWN: i32 = -1000;
    /// An internal connection was lost while processing the request.
    pub const DISCONNECTED: i32 = -1001;
    /// An internal answer was not understood: the request may have been executed.
    pub const UNEXPECTED_RESP: i32 = -1006;
    /// Timed out waiting for the matching engine: the request may have been executed.
    pub const TIMEOUT: i32 = -1007;
    /// A new order was refused by the matching engine.
    pub const NEW_ORDER_REJECTED: i32 = -2010;
    /// Nothing to cancel under that id, or on that symbol.
    pub const CANCEL_REJECTED: i32 = -2011;
    /// Of a replacement one half was done, the other not.
    pub const REPLACE_PARTLY: i32 = -2021;
    /// Of a replacement nothing was done.
    pub const REPLACE_FAILED: i32 = -2022;
    /// A queried order does not exist.
    pub const NO_SUCH_ORDER: i32 = -2013;
    /// A queried order ended without execution over 90 days ago.
    pub const ORDER_ARCHIVED: i32 = -2026;
}

/// What a refusal means. Where one code stands for several things, the words tell them apart (`errors.md`, "Messages for
/// -1010, -2010 and -2011").
pub fn reject_reason(status: u64, code: i32, words: &str) -> RejectReason {
    match code {
        _ if status == 418 => RejectReason::Banned,
        -1003 if words.contains("banned") => RejectReason::Banned,
        -1003 | -1015 | -1034 => RejectReason::Rate,
        _ if status == 429 => RejectReason::Rate,
        _ if is_fate_open(status, code) => RejectReason::UnknownOutcome,
        -1008 => RejectReason::Rate,
        -1013 => RejectReason::Filter,
        -1111 => RejectReason::Precision,
        -1021 => RejectReason::Time,
        -1022 => RejectReason::Signature,
        -1002 | -2014 | -2015 => RejectReason::Permission,
        -2011 | -2013 | -2026 | -2039 => RejectReason::UnknownOrder,
        -2016 | -1220 => RejectReason::MarketClosed,
        -2010 if words.contains("insufficient balance") => RejectReason::Balance,
        -2010 if words.contains("uplicate order") => RejectReason::Duplicate,
        -2010 if words.contains("immediately match") || words.contains("trigger immediately") => {
            RejectReason::WouldMatch
        }
        -2010 if words.contains("arket is closed") => RejectReason::MarketClosed,
        -1199..=-1100 => RejectReason::Parameter,
        _ => RejectReason::Other,
    }
}

/// Every known code with its name, ascending.
pub const REASONS: [(i32, &str); 57] = [
    (-2043, "no_reference_price"),
    (-2042, "maximum_subscription_ids"),
    (-2039, "client_order_id_invalid"),
    (-2038, "order_amend_rejected"),
    (-2036, "subscription_inactive"),
    (-2035, "subscription_active"),
    (-2026, "order_archived"),
    (-2022, "order_cancel_replace_failed"),
    (-2021, "order_cancel_replace_partially_failed"),
    (-2016, "no_trading_window"),
    (-2015, "rejected_mbx_key"),
    (-2014, "bad_api_key_fmt"),
    (-2013, "no_such_order"),
    (-2011, "cancel_rejected"),
    (-2010, "new_order_rejected"),
    (-1220, "symbol_does_not_match_status"),
    (-1194, "invalid_time_unit"),
    (-1191, "too_many_subscriptions"),
    (-1190, "invalid_request_id"),
    (-1151, "duplicate_symbols"),
    (-1145, "invalid_cancel_restrictions"),
    (-1135, "invalid_json"),
    (-1134, "bad_strategy_type"),
    (-1130, "invalid_parameter"),
    (-1128, "optional_params_bad_combo"),
    (-1122, "invalid_symbolstatus"),
    (-1121, "bad_symbol"),
    (-1119, "empty_org_cl_ord_id"),
    (-1118, "empty_new_cl_ord_id"),
    (-1117, "invalid_side"),
    (-1116, "invalid_order_type"),
    (-1115, "invalid_tif"),
    (-1114, "tif_not_required"),
    (-1111, "bad_precision"),
    (-1108, "param_overflow"),
    (-1106, "param_not_required"),
    (-1105, "param_empty"),
    (-1104, "unread_parameters"),
    (-1103, "unknown_param"),
    (-1102, "mandatory_param_empty_or_malformed"),
    (-1101, "too_many_parameters"),
    (-1100, "illegal_chars"),
    (-1034, "too_many_connections"),
    (-1022, "invalid_signature"),
    (-1021, "invalid_timestamp"),
    (-1020, "unsupported_operation"),
    (-1016, "service_shutting_down"),
    (-1015, "too_many_orders"),
    (-1014, "unknown_order_composition"),
    (-1013, "invalid_message_or_filter"),
    (-1008, "server_busy"),
    (-1007, "timeout"),
    (-1006, "unexpected_resp"),
    (-1003, "too_many_requests"),
    (-1002, "unauthorized"),
    (-1001, "disconnected"),
    (-1000, "unknown"),
];

/// Name of a code, `"other"` for one that is not listed. Static text: fit for a counter's name.
pub fn reason_name(code: i32) -> &'static str {
    match REASONS.binary_search_by_key(&code, |(known, _)| *known) {
        Ok(at) => REASONS[at].1,
        Err(_) => "other",
    }
}

/// Whether an answer leaves open what became of the request: any 5xx status, or a code of an internal failure
/// (`web-socket-api.md`, "Status codes").
pub fn is_fate_open(status: u64, code: i32) -> bool {
    status >= 500
        || matches!(code, code::UNKNOWN | code::DISCONNECTED | code::UNEXPECTED_RESP | code::TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_names_are_theirs_alone() {
        assert!(REASONS.windows(2).all(|w| w[0].0 < w[1].0));
        let names: std::collections::BTreeSet<_> = REASONS.iter().map(|r| r.1).collect();
        assert_eq!(names.len(), REASONS.len());
        assert_eq!(reason_name(code::CANCEL_REJECTED), "cancel_rejected");
        assert_eq!((reason_name(0), reason_name(i32::MIN)), ("other", "other"));
    }

    #[test]
    fn codes_and_words_have_one_meaning() {
        use RejectReason::*;
        for (status, code, words, reason) in [
            (400, -1013, "Filter failure: PRICE_FILTER", Filter),
            (400, -1111, "Precision is over the maximum defined for this asset.", Precision),
            (400, -2010, "Account has insufficient balance for requested action.", Balance),
            (400, -2010, "Duplicate order sent.", Duplicate),
            (400, -2010, "Order would immediately match and take.", WouldMatch),
            (400, -2010, "Stop price would trigger immediately.", WouldMatch),
            (400, -2010, "Market is closed.", MarketClosed),
            (400, -2010, "This action is disabled on this account.", Other),
            (400, -2011, "Unknown order sent.", UnknownOrder),
            (400, -2013, "Order does not exist.", UnknownOrder),
            (400, -1021, "Timestamp for this request is outside of the recvWindow.", Time),
            (400, -1022, "Signature for this request is not valid.", Signature),
            (401, -2015, "Invalid API-key, IP, or permissions for action.", Permission),
            (429, -1003, "Too much request weight used; current limit is 6000", Rate),
            (429, -1015, "Too many new orders; current limit is 50 orders per 10 SECOND.", Rate),
            (418, -1003, "Way too much request weight used; IP banned until 1659146400000.", Banned),
            (503, -1008, "Server is currently overloaded with other requests.", UnknownOutcome),
            (400, -1007, "Timeout waiting for response from backend server.", UnknownOutcome),
            (400, -1102, "Mandatory parameter 'symbol' was not sent", Parameter),
            (400, -9999, "", Other),
        ] {
            assert_eq!(reject_reason(status, code, words), reason, "{code} {words}");
        }
    }

    #[test]
    fn server_errors_and_timeouts_leave_the_fate_open() {
        assert!(is_fate_open(503, -1008) && is_fate_open(400, -1007) && is_fate_open(400, -1006));
        assert!(!is_fate_open(400, -2010) && !is_fate_open(429, -1003));
    }
}
