//! Parameters of a request, from a WebSocket object or a REST query, with a note of which were read.

use super::json::Json;
use super::reject::Reject;
use rust_decimal::Decimal;
use std::str::FromStr;

/// What the venue allows as the text of a number.
const DECIMAL_LEGAL: &str = "^([0-9]{1,20})(\\.[0-9]{1,20})?$";
/// Decimals beyond which the venue refuses a price or quantity before any filter.
const PRECISION_MAX: u32 = 8;
/// What the venue allows as a client order id.
const CLIENT_ID_LEGAL: &str = "^[a-zA-Z0-9-_]{1,36}$";

/// Parameters in the order they were sent.
pub(super) struct Params {
    list: Vec<Param>,
}

struct Param {
    name: String,
    value: String,
    read: bool,
}

impl Params {
    /// From the `params` of a WebSocket request; absent or null is empty.
    pub(super) fn from_json(value: Option<&Json<'_>>) -> Result<Params, Reject> {
        let fields = match value {
            None | Some(Json::Null) => &[],
            Some(Json::Obj(fields)) => fields.as_slice(),
            Some(_) => return Err(Reject::INVALID_JSON),
        };
        let mut params = Params { list: Vec::with_capacity(fields.len()) };
        for (name, value) in fields {
            let text =
                scalar(value).or_else(|| list_of_strings(value)).ok_or_else(|| Reject::invalid(name))?;
            params.add(name, text)?;
        }
        Ok(params)
    }

    /// From a query string or form body, percent-decoded.
    pub(super) fn from_query(query: &str) -> Result<Params, Reject> {
        let mut params = Params { list: Vec::new() };
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decode(name).ok_or(Reject::invalid("name"))?;
            let value = percent_decode(value).ok_or_else(|| Reject::invalid(&name))?;
            params.add(&name, value)?;
        }
        Ok(params)
    }

    fn add(&mut self, name: &str, value: String) -> Result<(), Reject> {
        if self.list.iter().any(|p| p.name == name) {
            return Err(Reject::DUPLICATE_PARAM);
        }
        self.list.push(Param { name: name.to_string(), value, read: false });
        Ok(())
    }

    /// What a WebSocket signature covers: all but `signature`, sorted by name, `k=v` joined by `&`.
    pub(super) fn signed_text(&self) -> String {
        let mut pairs: Vec<(&str, &str)> = self
            .list
            .iter()
            .filter(|p| p.name != "signature")
            .map(|p| (p.name.as_str(), p.value.as_str()))
            .collect();
        pairs.sort_unstable();
        let pairs: Vec<String> = pairs.into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join("&")
    }

    /// The value without a note that it was read.
    pub(super) fn peek(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|p| p.name == name).map(|p| p.value.as_str())
    }

    /// The value when it was sent.
    pub(super) fn take(&mut self, name: &str) -> Option<&str> {
        let param = self.list.iter_mut().find(|p| p.name == name)?;
        param.read = true;
        Some(&param.value)
    }

    /// The value, which must be there and not empty.
    pub(super) fn need(&mut self, name: &str) -> Result<&str, Reject> {
        self.take(name).filter(|v| !v.is_empty() && *v != "null").ok_or_else(|| Reject::missing(name))
    }

    /// An unsigned integer when it was sent.
    pub(super) fn integer(&mut self, name: &str) -> Result<Option<u64>, Reject> {
        match self.take(name) {
            None => Ok(None),
            Some(v) if v.bytes().all(|b| b.is_ascii_digit()) => {
                v.parse().map(Some).map_err(|_| Reject::missing(name))
            }
            Some(_) => Err(Reject::illegal(name, "^[0-9]{1,20}$")),
        }
    }

    /// A price or quantity, which must be there.
    pub(super) fn decimal(&mut self, name: &str) -> Result<Decimal, Reject> {
        let text = self.need(name)?;
        let (int, frac) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |s: &str| (1..=20).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(int) || !digits(frac) {
            return Err(Reject::illegal(name, DECIMAL_LEGAL));
        }
        let value = Decimal::from_str(text).map_err(|_| Reject::illegal(name, DECIMAL_LEGAL))?.normalize();
        if value.scale() > PRECISION_MAX {
            return Err(Reject::precision(name));
        }
        Ok(value)
    }

    /// A client order id when it was sent.
    pub(super) fn client_id(&mut self, name: &str) -> Result<Option<String>, Reject> {
        match self.take(name) {
            None => Ok(None),
            Some("") => Err(Reject::empty(name)),
            Some(v)
                if v.len() <= 36
                    && v.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) =>
            {
                Ok(Some(v.to_string()))
            }
            Some(_) => Err(Reject::illegal(name, CLIENT_ID_LEGAL)),
        }
    }

    /// Whether everything that was sent has been read.
    pub(super) fn all_read(&self) -> Result<(), Reject> {
        let read = self.list.iter().filter(|p| p.read).count();
        if read == self.list.len() { Ok(()) } else { Err(Reject::unread(read, self.list.len())) }
    }
}

fn scalar(value: &Json<'_>) -> Option<String> {
    match value {
        Json::Null => Some("null".to_string()),
        Json::Bool(b) => Some(b.to_string()),
        Json::Num(n) => Some(n.to_string()),
        Json::Str(s) => Some(s.to_string()),
        Json::Arr(_) | Json::Obj(_) => None,
    }
}

fn list_of_strings(value: &Json<'_>) -> Option<String> {
    let Json::Arr(items) = value else { return None };
    let items: Option<Vec<String>> = items.iter().map(|i| i.str().map(|s| format!("\"{s}\""))).collect();
    Some(format!("[{}]", items?.join(",")))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'%' => {
                let (high, low) = (bytes.next()? as char, bytes.next()? as char);
                (high.to_digit(16)? * 16 + low.to_digit(16)?) as u8
            }
            b'+' => b' ',
            b => b,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn params(text: &str) -> Params {
        let value = json::read(text.as_bytes()).expect("valid JSON");
        Params::from_json(Some(&value)).unwrap_or_else(|e| panic!("{e:?}"))
    }

    #[test]
    fn signed_text_is_sorted_and_raw() {
        let p = params(r#"{"symbol":"BTCUSDT","signature":"x","apiKey":"k","t":1.50,"flag":true}"#);
        assert_eq!(p.signed_text(), "apiKey=k&flag=true&symbol=BTCUSDT&t=1.50");
    }

    #[test]
    fn numbers_are_read_exactly_or_refused() {
        let mut p = params(
            r#"{"a":"1.50000000","b":"0.000000001","c":"1e4","d":"-1","e":"","f":1.5,"g":"1.500000000"}"#,
        );
        assert_eq!(p.decimal("a"), Ok(Decimal::new(15, 1)));
        assert_eq!(p.decimal("b").map_err(|e| e.code), Err(-1111));
        assert_eq!(p.decimal("c").map_err(|e| e.code), Err(-1100));
        assert_eq!(p.decimal("d").map_err(|e| e.code), Err(-1100));
        assert_eq!(p.decimal("e").map_err(|e| e.code), Err(-1102));
        assert_eq!(p.decimal("f"), Ok(Decimal::new(15, 1)));
        assert_eq!(p.decimal("g"), Ok(Decimal::new(15, 1)));
        assert_eq!(p.decimal("h").map_err(|e| e.code), Err(-1102));
        assert!(p.all_read().is_ok());
    }

    #[test]
    fn duplicates_nesting_and_leftovers_are_refused() {
        let twice = json::read(br#"{"a":1,"a":2}"#).expect("valid JSON");
        assert_eq!(Params::from_json(Some(&twice)).err().map(|e| e.code), Some(-1101));
        let nested = json::read(br#"{"a":{"b":1}}"#).expect("valid JSON");
        assert_eq!(Params::from_json(Some(&nested)).err().map(|e| e.code), Some(-1130));
        let mut p = Params::from_query("a=%7E1&b=x").unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(p.take("a"), Some("~1"));
        assert_eq!(p.all_read().map_err(|e| e.code), Err(-1104));
        assert!(Params::from_query("a=%zz").is_err());
    }
}
