//! Agents in processes of their own: the same rings, the same words, other address spaces.
//!
//! The engine's process creates every ring, owns the instance directory, the kill switch, feed and oms. The
//! configuration names the agents that live apart ([`topology::Runtime::apart`]); each is a *member*, a process that joins
//! through the [`door`], a socket in the instance directory, and is handed exactly the ring ends that are its own. Rings
//! keep their positions when a member dies; who comes next goes on there ([`member`]).
//!
//! | what happens | what is done |
//! |---|---|
//! | strategy dies, or hangs for longer than `runtime.away_ms` | its orders are cancelled, its intents refused; another may join, and trades when the old orders are gone |
//! | gateway dies | its order connection is reset; every order in flight is `unknown`; nothing is sent until another has joined, which opens its session as always: cancelled, listed, compared, asked about |
//! | gateway hangs for longer than `runtime.away_ms` | it is ended, and is dead |
//! | engine dies | its members end; a gateway cancels what is open first |

pub mod door;
pub mod hello;
pub mod member;
mod pidfd;
mod standing;

pub use standing::{Away, Member, Standing};
