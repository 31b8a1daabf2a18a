//! Replies: version, code, and a JSON object as text.

use crate::request::VERSION;

/// Longest payload of a reply, bytes.
pub const REPLY_BYTES_MAX: usize = 1 << 20;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// As asked.
    Done = 0,
    /// Not carried out: a rule forbids it. Nothing has changed.
    Refused = 1,
    /// Not carried out: this peer may not ask it. Nothing has changed.
    NotPermitted = 2,
    /// Begun, and not confirmed within its time, or not possible.
    Failed = 3,
    /// The bytes were no request.
    Malformed = 4,
}

impl Code {
    /// All of them, in the order of their codes.
    pub const ALL: [Code; 5] = [Code::Done, Code::Refused, Code::NotPermitted, Code::Failed, Code::Malformed];

    /// Name for records.
    pub const fn name(self) -> &'static str {
        match self {
            Code::Done => "done",
            Code::Refused => "refused",
            Code::NotPermitted => "not permitted",
            Code::Failed => "failed",
            Code::Malformed => "malformed",
        }
    }
}

/// What the engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it ended.
    pub code: Code,
    /// A JSON object; its `message`, when there is one, is for people.
    pub body: String,
}

/// Why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// Too few bytes, another version, or a code that does not exist.
    #[error("the reply does not begin as one: use the corelane-ctl that was built with the engine")]
    Head,
    /// Not text.
    #[error("the reply is not text")]
    Text,
}

impl Reply {
    /// The payload of its frame, cut to nothing when it is too long to be sent.
    pub fn encode(&self) -> Vec<u8> {
        let body = if self.body.len() + 2 > REPLY_BYTES_MAX { "{}" } else { &self.body };
        [&[VERSION, self.code as u8], body.as_bytes()].concat()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`ReplyError`].
    pub fn decode(payload: &[u8]) -> Result<Reply, ReplyError> {
        let [VERSION, code, body @ ..] = payload else { return Err(ReplyError::Head) };
        let code = Code::ALL.get(usize::from(*code)).copied().ok_or(ReplyError::Head)?;
        let body = std::str::from_utf8(body).map_err(|_| ReplyError::Text)?.to_owned();
        Ok(Reply { code, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_go_both_ways_and_damage_is_seen() {
        for code in Code::ALL {
            let reply = Reply { code, body: "{\"message\":\"é\"}".into() };
            assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        }
        for (bytes, error) in [
            (&[][..], ReplyError::Head),
            (&[1], ReplyError::Head),
            (&[2, 0], ReplyError::Head),
            (&[1, 5], ReplyError::Head),
            (&[1, 0, 0xff], ReplyError::Text),
        ] {
            assert_eq!(Reply::decode(bytes), Err(error), "{bytes:?}");
        }
        let long = Reply { code: Code::Done, body: "x".repeat(REPLY_BYTES_MAX) };
        assert!(long.encode().len() <= REPLY_BYTES_MAX);
    }
}
