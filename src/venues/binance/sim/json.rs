//! The simulated venue's own reader and writer of JSON.
//!
//! It shares nothing with the client half on purpose: a mistake would have to be made twice to go unseen.
//! Numbers stay text, because a signature covers them exactly as they were sent.

use std::borrow::Cow;

/// Deepest nesting that is read; a request of this venue needs three.
const DEPTH_MAX: usize = 16;

/// A JSON value. Numbers are their text, objects keep the order and the duplicates of their keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Num(&'a str),
    Str(Cow<'a, str>),
    Arr(Vec<Json<'a>>),
    Obj(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// The value of a key, the first when it is there more than once.
    pub(super) fn get(&self, key: &str) -> Option<&Json<'a>> {
        match self {
            Json::Obj(fields) => fields.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text of a string.
    pub(super) fn str(&self) -> Option<&str> {
        match self {
            Json::Str(s) => Some(s),
            _ => None,
        }
    }
}

/// Reads one JSON text (RFC 8259), `None` when it is not exactly that or nests deeper than 16.
pub(super) fn read(bytes: &[u8]) -> Option<Json<'_>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    (reader.at == text.len()).then_some(value)
}

/// Appends a string with its quotes, escaped.
pub(super) fn put_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if (c as u32) < 0x20 => out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Option<Json<'a>> {
        self.text.get(self.at..)?.starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    fn value(&mut self, depth: usize) -> Option<Json<'a>> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.space();
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Json::Str),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json<'a>> {
        self.take(b'{')?;
        let mut fields = Vec::new();
        self.space();
        if self.take(b'}').is_some() {
            return Some(Json::Obj(fields));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.take(b':')?;
            fields.push((key, self.value(depth + 1)?));
            self.space();
            if self.take(b'}').is_some() {
                return Some(Json::Obj(fields));
            }
            self.take(b',')?;
        }
    }

    fn array(&mut self, depth: usize) -> Option<Json<'a>> {
        self.take(b'[')?;
        let mut items = Vec::new();
        self.space();
        if self.take(b']').is_some() {
            return Some(Json::Arr(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']').is_some() {
                return Some(Json::Arr(items));
            }
            self.take(b',')?;
        }
    }

    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }

    fn number(&mut self) -> Option<Json<'a>> {
        let from = self.at;
        let _ = self.take(b'-');
        let lead = self.peek()?;
        let int = self.at;
        self.digits()?;
        if lead == b'0' && self.at > int + 1 {
            return None;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        self.text.get(from..self.at).map(Json::Num)
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.take(b'"')?;
        let from = self.at;
        let mut owned: Option<String> = None;
        loop {
            let run = self.at;
            while !matches!(self.peek()?, b'"' | b'\\' | 0..0x20) {
                self.at += 1;
            }
            let plain = self.text.get(run..self.at)?;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(match owned {
                        Some(mut s) => {
                            s.push_str(plain);
                            Cow::Owned(s)
                        }
                        None => Cow::Borrowed(self.text.get(from..self.at - 1)?),
                    });
                }
                b'\\' => {
                    self.at += 1;
                    let c = self.escape()?;
                    let s = owned.get_or_insert_default();
                    s.push_str(plain);
                    s.push(c);
                }
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let byte = self.peek()?;
        self.at += 1;
        Some(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex4()?;
                if !(0xd800..0xdc00).contains(&high) {
                    return char::from_u32(high);
                }
                self.take(b'\\')?;
                self.take(b'u')?;
                let low = self.hex4()?;
                if !(0xdc00..0xe000).contains(&low) {
                    return None;
                }
                return char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00));
            }
            _ => return None,
        })
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_rfc_allows_and_nothing_else() {
        let v = read(br#" {"a":[1,-2.5e+3,"x\u00e9\ud83d\ude00\n"],"b":{},"c":null,"d":true} "#);
        let v = v.expect("valid");
        assert_eq!(
            v.get("a"),
            Some(&Json::Arr(vec![Json::Num("1"), Json::Num("-2.5e+3"), Json::Str("xé😀\n".into())]))
        );
        assert_eq!((v.get("c"), v.get("d")), (Some(&Json::Null), Some(&Json::Bool(true))));
        for bad in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "01",
            "1.",
            ".5",
            "+1",
            "\"\n\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "nul",
            "1 2",
            "{\"a\":1,}",
            "\"",
            "-",
            "[1 2]",
            "\"\\u12g4\"",
            "NaN",
        ] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(read(b"\"\xff\""), None);
        assert_eq!(read(&[b'['; 100_000]), None);
    }

    #[test]
    fn agrees_with_another_reader_on_mutated_requests() {
        let seed = br#"{"id":"a\u0031","method":"order.place","params":{"price":"0.1","t":1499827319559,"x":[1.5,null,true]}}"#;
        let mut state = 11u64;
        for _ in 0..20_000 {
            let mut text = seed.to_vec();
            for _ in 0..2 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let at = (state >> 33) as usize % text.len();
                text[at] = b"{}[]\",:\\0a1.u-"[(state >> 20) as usize % 14];
            }
            let theirs = serde_json::from_slice::<serde_json::Value>(&text).is_ok();
            assert_eq!(read(&text).is_some(), theirs, "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let text = "a\"\\\n\r\t\u{1}é😀";
        let mut out = Vec::new();
        put_str(&mut out, text);
        assert_eq!(read(&out), Some(Json::Str(text.into())));
    }
}
