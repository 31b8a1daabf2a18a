//! What an answer says of our rate limits: its `rateLimits` array (`web-socket-api.md`, "Rate limits").

use venue::OrderEvent;

use crate::json::{self, Value};

/// Reads the array of an answer; `None` when there is none or nothing in it is of use. It is advice: what cannot be read
/// is passed over, and our own count stands.
pub(crate) fn read(message: Value<'_, '_>) -> Option<OrderEvent<'static>> {
    let [Some(list)] = json::pick(message, ["rateLimits"]).ok()? else { return None };
    let (mut weight, mut orders): (Option<u32>, Option<(u32, u32, u32)>) = (None, None);
    for entry in list.elements()? {
        let Ok([Some(kind), Some(unit), Some(num), Some(limit), Some(count)]) =
            json::pick(entry, ["rateLimitType", "interval", "intervalNum", "limit", "count"])
        else {
            continue;
        };
        let number = |v: Value<'_, '_>| v.u64().and_then(|n| u32::try_from(n).ok());
        let (Some(num), Some(limit), Some(count)) = (number(num), number(limit), number(count)) else {
            continue;
        };
        let unit_s = match unit.text() {
            Some("SECOND") => 1,
            Some("MINUTE") => 60,
            Some("HOUR") => 3_600,
            Some("DAY") => 86_400,
            _ => continue,
        };
        match kind.text() {
            Some("REQUEST_WEIGHT") => weight = Some(weight.unwrap_or(0).max(count)),
            Some("ORDERS") => {
                let left = |o: &(u32, u32, u32)| o.1.saturating_sub(o.0);
                let this = (count, limit, num.saturating_mul(unit_s));
                if orders.as_ref().is_none_or(|known| left(&this) < left(known)) {
                    orders = Some(this);
                }
            }
            _ => {}
        }
    }
    (weight.is_some() || orders.is_some()).then_some(OrderEvent::Limits { weight, orders })
}

#[cfg(test)]
mod tests {
    use crate::session::tests::session;
    use venue::OrderEvent;

    fn heard(limits: &str) -> Vec<String> {
        let mut said = Vec::new();
        let mut message =
            format!(r#"{{"id":"a","status":200,"result":[],"rateLimits":{limits}}}"#).into_bytes();
        session().on_message(&mut message, |event| said.push(format!("{event:?}"))).expect("valid");
        said
    }

    use venue::OrderSession;

    #[test]
    fn the_nearest_limit_counts_and_nonsense_is_passed_over() {
        // The documented example.
        let list = r#"[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":50,"count":12},
            {"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":160000,"count":4043},
            {"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":321}]"#;
        let done = format!("{:?}", OrderEvent::CancelAllDone { code: 0 });
        let limits = |weight, orders| format!("{:?}", OrderEvent::Limits { weight, orders });
        assert_eq!(heard(list), [limits(Some(321), Some((12, 50, 10))), done.clone()]);
        let day = list.replace("4043", "159990");
        assert_eq!(heard(&day)[0], limits(Some(321), Some((159_990, 160_000, 86_400))));
        for nothing in ["[]", "[{}]", "7", r#"[{"rateLimitType":"ORDERS","count":-1}]"#] {
            assert_eq!(heard(nothing), std::slice::from_ref(&done), "{nothing}");
        }
    }
}
