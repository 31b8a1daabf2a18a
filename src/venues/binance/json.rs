//! Walking a JSON message without building a tree.
//!
//! simd-json writes a flat tape of nodes into buffers that are reused for the life of the session; this file reads
//! that tape by position. Nothing is copied, nothing is allocated once the buffers have seen their largest
//! message, and every access is checked: a wrong shape is `None`, never a panic.

use simd_json::{Buffers, Node, StaticNode, Tape};
use venue::FeedError;
use wire::parse_decimal;

/// Deepest nesting that is read. Binance's deepest message (a list of order reports) nests five deep.
const DEPTH_MAX: usize = 16;

/// The parser's reusable memory.
pub(crate) struct JsonReader {
    buffers: Buffers,
    /// Empty between messages; only its allocation is kept.
    tape: Tape<'static>,
}

impl JsonReader {
    /// A reader for one message that is thrown away afterwards.
    pub(crate) fn once(len: usize) -> JsonReader {
        JsonReader { buffers: Buffers::with_max_depth(len, DEPTH_MAX), tape: Tape(Vec::new()) }
    }

    /// A reader that does not allocate for any message with up to `pairs` pairs of strings (levels).
    /// Costs about 200 bytes a pair, address space until touched.
    pub(crate) fn warmed(pairs: usize) -> JsonReader {
        let mut text = Vec::with_capacity(pairs * 44 + 2);
        text.push(b'[');
        for i in 0..pairs {
            text.extend_from_slice(if i == 0 { b"[" } else { b",[" });
            text.extend_from_slice(br#""1234567890.12345678","1234567890.12345678"]"#);
        }
        text.push(b']');
        let mut reader = JsonReader::once(text.len());
        // The text is ours and valid; what counts is the capacity that it leaves behind.
        let _ = reader.read(&mut text, |_| Ok(()));
        reader
    }

    /// Parses `payload` in place (escapes are rewritten) and hands the root to `walk`.
    pub(crate) fn read<'a, R>(
        &mut self,
        payload: &'a mut [u8],
        walk: impl FnOnce(Value<'_, 'a>) -> Result<R, FeedError>,
    ) -> Result<R, FeedError> {
        let len = payload.len();
        let mut tape: Tape<'a> = core::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let answer = match simd_json::fill_tape(payload, &mut self.buffers, &mut tape) {
            Ok(()) => walk(Value { nodes: &tape.0 }),
            Err(_) => Err(FeedError::Syntax { len }),
        };
        self.tape = tape.reset();
        answer
    }
}

/// One value: the tape from its first node on (the slice may go on behind it).
#[derive(Clone, Copy)]
pub(crate) struct Value<'t, 'a> {
    nodes: &'t [Node<'a>],
}

/// Nodes that the value starting with `node` takes.
fn span(node: &Node<'_>) -> usize {
    match node {
        Node::Object { count, .. } | Node::Array { count, .. } => *count + 1,
        _ => 1,
    }
}

impl<'t, 'a> Value<'t, 'a> {
    pub(crate) fn text(self) -> Option<&'a str> {
        match self.nodes.first() {
            Some(Node::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn u64(self) -> Option<u64> {
        match self.nodes.first() {
            Some(Node::Static(StaticNode::U64(v))) => Some(*v),
            Some(Node::Static(StaticNode::I64(v))) => u64::try_from(*v).ok(),
            _ => None,
        }
    }

    pub(crate) fn i64(self) -> Option<i64> {
        match self.nodes.first() {
            Some(Node::Static(StaticNode::U64(v))) => i64::try_from(*v).ok(),
            Some(Node::Static(StaticNode::I64(v))) => Some(*v),
            _ => None,
        }
    }

    pub(crate) fn bool(self) -> Option<bool> {
        match self.nodes.first() {
            Some(Node::Static(StaticNode::Bool(v))) => Some(*v),
            _ => None,
        }
    }

    pub(crate) fn is_null(self) -> bool {
        matches!(self.nodes.first(), Some(Node::Static(StaticNode::Null)))
    }

    /// Keys and values of an object, in the order of the message.
    pub(crate) fn fields(self) -> Option<Fields<'t, 'a>> {
        match self.nodes.first() {
            Some(Node::Object { count, .. }) => Some(Fields { nodes: self.nodes.get(1..=*count)? }),
            _ => None,
        }
    }

    /// Values of an array; its length is known before the first is taken.
    pub(crate) fn elements(self) -> Option<Elements<'t, 'a>> {
        match self.nodes.first() {
            Some(Node::Array { count, len }) => {
                Some(Elements { nodes: self.nodes.get(1..=*count)?, len: *len })
            }
            _ => None,
        }
    }

    /// The first two elements of an array of at least two strings: price and quantity of a level.
    pub(crate) fn pair(self) -> Option<(&'a str, &'a str)> {
        match self.nodes {
            [Node::Array { len: 2.., .. }, Node::String(a), Node::String(b), ..] => Some((a, b)),
            _ => None,
        }
    }
}

/// Keys and values of one object.
pub(crate) struct Fields<'t, 'a> {
    nodes: &'t [Node<'a>],
}

impl<'t, 'a> Iterator for Fields<'t, 'a> {
    type Item = (&'a str, Value<'t, 'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.nodes.split_first()?;
        let Node::String(key) = head else { return None };
        let width = span(rest.first()?);
        self.nodes = rest.get(width..)?;
        Some((key, Value { nodes: rest }))
    }
}

/// Values of one array.
pub(crate) struct Elements<'t, 'a> {
    nodes: &'t [Node<'a>],
    len: usize,
}

impl Elements<'_, '_> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl<'t, 'a> Iterator for Elements<'t, 'a> {
    type Item = Value<'t, 'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let nodes = self.nodes;
        let width = span(nodes.first()?);
        self.nodes = nodes.get(width..)?;
        Some(Value { nodes })
    }
}

/// The rule that a known key stands once in its object.
fn twice(field: &'static str) -> FeedError {
    FeedError::Range { field, value: 2, rule: "one occurrence in the message" }
}

/// Exact decimal text of `field` as a mantissa at `decimals`.
#[inline]
pub(crate) fn number(field: &'static str, text: &str, decimals: u8) -> Result<i64, FeedError> {
    parse_decimal(text.as_bytes(), decimals).map_err(|error| FeedError::Number { field, error })
}

/// The values of `names` in one object; other keys are passed over.
///
/// # Errors
/// `value` is no object, or one of the names stands in it twice.
pub(crate) fn pick<'t, 'a, const N: usize>(
    value: Value<'t, 'a>,
    names: [&'static str; N],
) -> Result<[Option<Value<'t, 'a>>; N], FeedError> {
    let fields = value.fields().ok_or(FeedError::Field { field: "object" })?;
    let mut found = [None; N];
    for (key, value) in fields {
        for (slot, name) in found.iter_mut().zip(names) {
            if key == name {
                if slot.is_some() {
                    return Err(twice(name));
                }
                *slot = Some(value);
            }
        }
    }
    Ok(found)
}

/// Text of a field that must be there.
pub(crate) fn text_of<'a>(field: &'static str, value: Option<Value<'_, 'a>>) -> Result<&'a str, FeedError> {
    value.and_then(Value::text).ok_or(FeedError::Field { field })
}

/// Integer of a field that must be there.
pub(crate) fn u64_of(field: &'static str, value: Option<Value<'_, '_>>) -> Result<u64, FeedError> {
    value.and_then(Value::u64).ok_or(FeedError::Field { field })
}

/// Decimal text of a field that must be there.
pub(crate) fn number_of(
    field: &'static str,
    value: Option<Value<'_, '_>>,
    decimals: u8,
) -> Result<i64, FeedError> {
    number(field, text_of(field, value)?, decimals)
}

/// A venue's error code of a field that must be there.
pub(crate) fn code_of(value: Option<Value<'_, '_>>) -> Result<i32, FeedError> {
    let code = value.and_then(Value::i64).and_then(|code| i32::try_from(code).ok());
    code.ok_or(FeedError::Field { field: "code" })
}

const LETTERS: usize = (b'z' - b'A' + 1) as usize;

/// The one-letter keys of one object, found in one pass: Binance's stream events are made of them.
pub(crate) struct Letters<'t, 'a> {
    nodes: &'t [Node<'a>],
    /// Position of each letter's value; 0 (the object's own node) = absent.
    at: [u32; LETTERS],
    /// Bit per letter that stood there more than once.
    twice: u64,
}

impl<'t, 'a> Letters<'t, 'a> {
    /// Reads the keys of `value`; longer keys are passed over. `None` when it is no object.
    #[inline]
    pub(crate) fn scan(value: Value<'t, 'a>) -> Option<Letters<'t, 'a>> {
        let Some(Node::Object { count, .. }) = value.nodes.first() else { return None };
        let nodes = value.nodes.get(..=*count)?;
        let mut letters = Letters { nodes, at: [0; LETTERS], twice: 0 };
        let mut at = 1;
        while let (Some(Node::String(key)), Some(value)) = (nodes.get(at), nodes.get(at + 1)) {
            if let [letter] = key.as_bytes() {
                let index = letter.wrapping_sub(b'A') as usize;
                if let Some(slot) = letters.at.get_mut(index) {
                    letters.twice |= ((*slot != 0) as u64) << index;
                    *slot = (at + 1) as u32;
                }
            }
            at += 1 + span(value);
        }
        Some(letters)
    }

    /// The value of `letter`, `None` when absent.
    ///
    /// # Errors
    /// It stands there twice.
    #[inline]
    pub(crate) fn find(&self, letter: u8) -> Result<Option<Value<'t, 'a>>, FeedError> {
        let index = letter.wrapping_sub(b'A') as usize;
        let at = self.at.get(index).copied().unwrap_or(0) as usize;
        if at == 0 {
            return Ok(None);
        }
        if self.twice >> index & 1 != 0 {
            return Err(twice(letter_name(letter)));
        }
        Ok(self.nodes.get(at..).map(|nodes| Value { nodes }))
    }

    #[inline]
    fn need<T>(&self, letter: u8, read: impl FnOnce(Value<'t, 'a>) -> Option<T>) -> Result<T, FeedError> {
        self.find(letter)?.and_then(read).ok_or(FeedError::Field { field: letter_name(letter) })
    }

    #[inline]
    pub(crate) fn text(&self, letter: u8) -> Result<&'a str, FeedError> {
        self.need(letter, Value::text)
    }

    #[inline]
    pub(crate) fn u64(&self, letter: u8) -> Result<u64, FeedError> {
        self.need(letter, Value::u64)
    }

    #[inline]
    pub(crate) fn bool(&self, letter: u8) -> Result<bool, FeedError> {
        self.need(letter, Value::bool)
    }

    #[inline]
    pub(crate) fn elements(&self, letter: u8) -> Result<Elements<'t, 'a>, FeedError> {
        self.need(letter, Value::elements)
    }

    /// Decimal text as a mantissa at `decimals`.
    #[inline]
    pub(crate) fn number(&self, letter: u8, decimals: u8) -> Result<i64, FeedError> {
        number(letter_name(letter), self.text(letter)?, decimals)
    }
}

/// The letter as a field's name.
pub(crate) fn letter_name(letter: u8) -> &'static str {
    const ALL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz";
    let index = letter.wrapping_sub(b'A') as usize;
    ALL.get(index..index + 1).unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<R>(text: &str, walk: impl FnOnce(Value<'_, '_>) -> Result<R, FeedError>) -> Result<R, FeedError> {
        JsonReader::once(64).read(&mut text.as_bytes().to_vec(), walk)
    }

    #[test]
    fn letters_find_values_behind_nested_ones_and_see_doubles() {
        let text = r#"{"long":{"a":[1,{"a":2}]},"a":[[],["1","2"]],"b":"x","b":"y","Z":-1,"c":null}"#;
        read(text, |root| {
            let letters = Letters::scan(root).expect("object");
            assert_eq!(letters.elements(b'a').map(|e| e.len()), Ok(2));
            let pairs: Vec<_> = letters.elements(b'a').expect("array").map(|e| e.pair()).collect();
            assert_eq!(pairs, [None, Some(("1", "2"))]);
            assert_eq!(letters.text(b'b'), Err(twice("b")));
            assert_eq!(letters.u64(b'Z'), Err(FeedError::Field { field: "Z" }));
            assert_eq!(letters.u64(b'q'), Err(FeedError::Field { field: "q" }));
            assert!(letters.find(b'c').expect("once").expect("there").is_null());
            let [long] = pick(root, ["long"])?;
            assert_eq!(long.and_then(Value::fields).map(|f| f.count()), Some(1));
            assert!(matches!(pick(root, ["b"]), Err(FeedError::Range { field: "b", .. })));
            Ok(())
        })
        .expect("valid");
    }

    #[test]
    fn what_is_not_json_says_its_length() {
        for text in ["", "{", "[1,]", "{\"a\":1e400}", "nul", "{\"a\":NaN}", "\u{0}", "{\"a\":01}"] {
            assert_eq!(read(text, |_| Ok(())), Err(FeedError::Syntax { len: text.len() }), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(DEPTH_MAX + 1), "]".repeat(DEPTH_MAX + 1));
        assert_eq!(read(&deep, |_| Ok(())), Err(FeedError::Syntax { len: deep.len() }));
    }

    #[test]
    fn letters_have_names() {
        assert_eq!((letter_name(b'A'), letter_name(b'z'), letter_name(b'!')), ("A", "z", "?"));
    }
}
