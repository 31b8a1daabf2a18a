//! What a member and the door say to each other before rings change hands: one frame each way, of JSON.
//!
//! ```text
//! member                                    door
//!   hello: protocol, agent, hashes  ──▶
//!                                    ◀──  refused, and why; or: who you are, the clock, the listing
//!                                    ◀──  a descriptor for each ring, in the order of [`rings_of`]
//!   READY, all of its ends taken     ──▶
//!   (a gateway) the order socket     ──▶  at each new connection, so that the kill thread can reset it
//!   BYE, its agent stopped           ──▶
//!                                    ◀──  ENDED, the engine stopped
//! ```

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use agent::{Calibration, TscClock};
use agent::{Clock, WallClock};
use rings::Ident;
use serde_json::{Value, json};

use super::Member;
use crate::engine::rings::{MARKET_STRATEGY, ORDER, REPORT_OMS, REPORT_STRATEGY, SIGNAL};

/// Name of the socket in the instance directory.
pub const DOOR_FILE: &str = "door";
/// What is spoken.
pub const PROTOCOL: u64 = 1;
/// Longest hello, bytes.
pub const HELLO_BYTES_MAX: usize = 512;
/// Longest answer, bytes: a listing of instruments is in it.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// A member has taken its ring ends.
pub const READY: u8 = b'r';
/// A member leaves in order: its agent has stopped.
pub const BYE: u8 = b'b';
/// The engine has ended in order.
pub const ENDED: u8 = b'e';

/// The rings of which a member has an end, by number.
pub fn rings_of(member: Member) -> &'static [usize] {
    match member {
        Member::Strategy => &[MARKET_STRATEGY, REPORT_STRATEGY, SIGNAL],
        Member::Gateway => &[ORDER, REPORT_OMS],
    }
}

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No hello, or one that nobody understands.
    #[error("malformed hello: {0}")]
    Malformed(String),
    /// Another protocol.
    #[error("protocol {found}, this engine speaks {PROTOCOL}")]
    Protocol {
        /// What was offered.
        found: u64,
    },
    /// Another user's process.
    #[error("user {found}; members are of the engine's own user {own}")]
    Foreign {
        /// Its user.
        found: u32,
        /// The engine's.
        own: u32,
    },
    /// Another build of the program.
    #[error("build {found:016x}, the engine's is {own:016x}")]
    Build {
        /// Its build.
        found: u64,
        /// The engine's.
        own: u64,
    },
    /// Another configuration.
    #[error("configuration {found:016x}, the engine's is {own:016x}: give both the same file and --set")]
    Config {
        /// Its configuration.
        found: u64,
        /// The engine's.
        own: u64,
    },
    /// An agent that lives in the engine's process.
    #[error("{0} does not live apart here (runtime.apart)")]
    NotApart(&'static str),
    /// Somebody is that agent already.
    #[error("{agent} is there already (pid {pid})")]
    There {
        /// The agent.
        agent: &'static str,
        /// Its process.
        pid: i32,
    },
    /// Nothing distinguishes the orders of more.
    #[error("65535 processes have been {0}: restart the engine")]
    UsedUp(&'static str),
    /// The engine has not dealt yet with the one that was there before; ask again.
    #[error("the {0} before is still being dealt with")]
    Settling(&'static str),
    /// The engine ends.
    #[error("the engine is ending")]
    Ending,
}

impl Refusal {
    /// Its code in an answer.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Malformed(_) => "malformed",
            Refusal::Protocol { .. } => "protocol",
            Refusal::Foreign { .. } => "foreign",
            Refusal::Build { .. } => "build",
            Refusal::Config { .. } => "configuration",
            Refusal::NotApart(_) => "not_apart",
            Refusal::There { .. } => "there",
            Refusal::UsedUp(_) => "used_up",
            Refusal::Settling(_) => "settling",
            Refusal::Ending => "ending",
        }
    }

    /// The answer that says so.
    pub fn answer(&self) -> Vec<u8> {
        command::frame(json!({"refused": self.code(), "why": self.to_string()}).to_string().as_bytes())
    }
}

/// A hello.
pub fn hello(member: Member, ident: &Ident) -> Vec<u8> {
    let said = json!({"protocol": PROTOCOL, "agent": member.name(), "build": ident.build_hash,
        "configuration": ident.config_hash});
    command::frame(said.to_string().as_bytes())
}

/// Whom a hello is from, if it is from one of ours.
///
/// # Errors
/// [`Refusal`].
pub fn read_hello(bytes: &[u8], ident: &Ident) -> Result<Member, Refusal> {
    let said: Value = serde_json::from_slice(bytes).map_err(|e| Refusal::Malformed(e.to_string()))?;
    let number = |key: &str| said[key].as_u64().ok_or_else(|| Refusal::Malformed(format!("no number {key}")));
    let protocol = number("protocol")?;
    if protocol != PROTOCOL {
        return Err(Refusal::Protocol { found: protocol });
    }
    let (build, config) = (number("build")?, number("configuration")?);
    if build != ident.build_hash {
        return Err(Refusal::Build { found: build, own: ident.build_hash });
    }
    if config != ident.config_hash {
        return Err(Refusal::Config { found: config, own: ident.config_hash });
    }
    let agent = said["agent"].as_str().unwrap_or_default();
    Member::named(agent).ok_or_else(|| Refusal::Malformed(format!("no member is named {agent:?}")))
}

/// What one who is let in is told.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// The so-manieth process of its name.
    pub join: u16,
    /// The engine's clock.
    pub clock: Clock,
    /// What the venue said of its instruments, as it came.
    pub listing: Vec<u8>,
}

impl Welcome {
    /// The answer that says so.
    pub fn answer(&self) -> Vec<u8> {
        let clock = match &self.clock {
            Clock::Tsc(tsc) => {
                let Calibration { tsc, ts_ns, ns_per_tick_q32 } = tsc.calibration();
                json!({"tsc": [tsc, ts_ns, ns_per_tick_q32]})
            }
            Clock::Wall(wall) => json!({"offset_ns": wall.offset_ns()}),
            Clock::Virtual(_) => Value::Null,
        };
        let listing = String::from_utf8_lossy(&self.listing);
        let said = json!({"join": self.join, "clock": clock, "listing": listing});
        command::frame(said.to_string().as_bytes())
    }
}

/// What the door said.
///
/// # Errors
/// Code and reason of a refusal, or `malformed`.
pub fn read_answer(bytes: &[u8]) -> Result<Welcome, (String, String)> {
    let malformed = |why: &str| ("malformed".to_owned(), format!("the engine's answer: {why}"));
    let said: Value = serde_json::from_slice(bytes).map_err(|e| malformed(&e.to_string()))?;
    if let Some(code) = said["refused"].as_str() {
        return Err((code.to_owned(), said["why"].as_str().unwrap_or_default().to_owned()));
    }
    let join = said["join"].as_u64().and_then(|join| u16::try_from(join).ok());
    let join = join.ok_or_else(|| malformed("no number"))?;
    let tsc = |i: usize| said["clock"]["tsc"][i].as_u64();
    let clock = match (tsc(0), tsc(1), tsc(2), said["clock"]["offset_ns"].as_u64()) {
        (Some(tsc), Some(ts_ns), Some(ns_per_tick_q32), _) => {
            Clock::Tsc(TscClock::from_calibration(Calibration { tsc, ts_ns, ns_per_tick_q32 }))
        }
        (.., Some(offset_ns)) => Clock::Wall(WallClock::with_offset(offset_ns)),
        _ => return Err(malformed("no clock")),
    };
    let listing = said["listing"].as_str().ok_or_else(|| malformed("no listing"))?.as_bytes().to_vec();
    Ok(Welcome { join, clock, listing })
}

/// Says hello and waits for the answer, as long as the socket lets it.
///
/// # Errors
/// The socket's, an answer that is too long, or nobody there.
pub fn ask(stream: &mut UnixStream, member: Member, ident: &Ident) -> io::Result<Vec<u8>> {
    stream.write_all(&hello(member, ident))?;
    let mut head = [0; command::HEAD_BYTES];
    stream.read_exact(&mut head)?;
    let len = u32::from_le_bytes(head) as usize;
    if len > ANSWER_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an answer of {len} bytes")));
    }
    // Exactly so many: what follows are descriptors.
    let mut answer = vec![0; len];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Ident = Ident { type_id: 0, layout_version: 0, build_hash: 7, config_hash: 9 };

    fn said(bytes: &[u8]) -> Result<Member, Refusal> {
        read_hello(bytes, &OWN)
    }

    #[test]
    fn a_hello_is_read_back_and_everything_else_has_its_own_refusal() {
        for member in Member::ALL {
            assert_eq!(said(&hello(member, &OWN)[command::HEAD_BYTES..]), Ok(member));
        }
        let other = |build_hash, config_hash| {
            let hello = hello(Member::Strategy, &Ident { build_hash, config_hash, ..OWN });
            said(&hello[command::HEAD_BYTES..])
        };
        assert_eq!(other(8, 9), Err(Refusal::Build { found: 8, own: 7 }));
        assert_eq!(other(7, 8), Err(Refusal::Config { found: 8, own: 9 }));
        let later = br#"{"protocol":2}"#;
        assert_eq!(said(later), Err(Refusal::Protocol { found: 2 }));
        for bytes in [&b""[..], b"{", b"[]", b"{}", br#"{"protocol":1,"build":7}"#, b"\xff\xff"] {
            assert!(matches!(said(bytes), Err(Refusal::Malformed(_))), "{bytes:?}");
        }
        let oms = br#"{"protocol":1,"build":7,"configuration":9,"agent":"oms"}"#;
        assert!(matches!(said(oms), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn a_welcome_is_read_back_and_a_refusal_keeps_its_code() {
        let clock = Clock::Wall(WallClock::with_offset(u64::MAX - 3));
        let welcome = Welcome { join: 3, clock, listing: br#"{"a":"b"}"#.to_vec() };
        let read = read_answer(&welcome.answer()[command::HEAD_BYTES..]).expect("a welcome");
        assert_eq!((read.join, read.listing), (3, welcome.listing));
        assert!(matches!(read.clock, Clock::Wall(wall) if wall.offset_ns() == u64::MAX - 3));
        let refusal = Refusal::There { agent: "strategy", pid: 4 };
        let (code, why) = read_answer(&refusal.answer()[command::HEAD_BYTES..]).expect_err("a refusal");
        assert_eq!((code.as_str(), why), ("there", refusal.to_string()));
        assert!(read_answer(b"{}").is_err() && read_answer(br#"{"join":65536}"#).is_err());
    }
}
