//! The life of an end of a ring: who holds it, since when, and how lately it moved.
//!
//! A side's epoch counts its attachments from 1, so a peer that sees it change knows that another endpoint, perhaps of
//! another process, stands there now. The beat is whatever the side writes there, by convention the time of its last
//! duty cycle: the lock tells a death at once, a beat that stands still tells a hang.
//!
//! Both are numbers to compare, never to index with: a peer that lies about them is believed about itself and nothing
//! else.
//!
//! Orderings, with their partners: an epoch's release store at attach pairs with the acquire load of the epoch. It comes
//! before anything the new holder commits or releases, so whoever sees a record of the new producer, or a position of
//! the new consumer, sees its epoch as well.

use std::sync::{Arc, Weak};

use crate::atomic::Ordering;
use crate::bulk::{BulkConsumer, BulkProducer};
use crate::control::{BEAT, EPOCH};
#[cfg(not(loom))]
use crate::lock::Held;
use crate::lock::Role;
use crate::ring::{Consumer, Producer};
use crate::words::{Words, WordsMut};

/// The questions an end may be asked about itself and its peer.
macro_rules! life_of {
    ($end:ty, $peer_role:expr, $alive:ident, $peer_epoch:ident, $peer_beat:ident) => {
        impl $end {
            /// Whether the other end is attached and its holder lives. A system call on a segment: for housekeeping, not
            /// for every message. Sees a death at once, a hang not at all.
            pub fn $alive(&self) -> bool {
                self.life.peer_alive($peer_role)
            }

            /// How often this end was attached, this time counted: 1 for the first holder.
            pub fn epoch(&self) -> u64 {
                self.life.epoch()
            }

            /// How often the other end was attached so far; 0 when never. A change says that another endpoint stands
            /// there now. A load of a line the peer writes: for housekeeping.
            pub fn $peer_epoch(&self) -> u64 {
                self.life.peer_epoch()
            }

            /// Writes this end's beat, by convention the monotonic time in nanoseconds. A store, no system call.
            #[inline]
            pub fn beat(&self, value: u64) {
                self.life.beat(value);
            }

            /// The other end's beat as it last wrote it; 0 when never. One that stands still while the lock is held is a
            /// hang. A load of a line the peer writes: for housekeeping.
            pub fn $peer_beat(&self) -> u64 {
                self.life.peer_beat()
            }
        }
    };
}

life_of!(Producer, Role::Consumer, consumer_alive, consumer_epoch, consumer_beat);
life_of!(Consumer, Role::Producer, producer_alive, producer_epoch, producer_beat);
life_of!(BulkProducer, Role::Consumer, consumer_alive, consumer_epoch, consumer_beat);
life_of!(BulkConsumer, Role::Producer, producer_alive, producer_epoch, producer_beat);

/// What an endpoint holds while it has its role: a lock, or on the heap a token.
#[derive(Debug)]
pub(crate) enum Hold {
    /// The role's lock.
    #[cfg(not(loom))]
    Lock(Held),
    /// Our token, which the peer watches, and the peer's.
    Token {
        /// Lives as long as this endpoint.
        _mine: Arc<()>,
        /// Lives as long as the peer.
        peer: Weak<()>,
    },
}

#[cfg(loom)]
impl Hold {
    /// Holds nothing and sees nobody.
    pub(crate) fn nobody() -> Hold {
        Hold::Token { _mine: Arc::new(()), peer: Weak::new() }
    }
}

/// One side of a ring from attach to detach: its lines, its peer's, and its role.
#[derive(Debug)]
pub(crate) struct Life {
    own: WordsMut,
    peer: Words,
    epoch: u64,
    hold: Hold,
}

impl Life {
    pub(crate) fn begin(own: WordsMut, peer: Words, hold: Hold) -> Life {
        // Never 0, which says that nobody came yet.
        let epoch = own.load(EPOCH, Ordering::Relaxed).wrapping_add(1).max(1);
        // Partner: the acquire load in `peer_epoch`.
        own.store(EPOCH, epoch, Ordering::Release);
        Life { own, peer, epoch, hold }
    }

    /// Whether somebody living holds the other role.
    #[cfg_attr(loom, expect(unused_variables, reason = "on the heap a token tells"))]
    fn peer_alive(&self, role: Role) -> bool {
        match &self.hold {
            #[cfg(not(loom))]
            Hold::Lock(held) => held.sees(role),
            Hold::Token { peer, .. } => peer.strong_count() > 0,
        }
    }

    /// Attachments of this side so far, this one counted.
    fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Attachments of the other side so far.
    fn peer_epoch(&self) -> u64 {
        // Partner: the release store in `begin`.
        self.peer.load(EPOCH, Ordering::Acquire)
    }

    fn beat(&self, value: u64) {
        // Partner: the acquire load in `peer_beat`.
        self.own.store(BEAT, value, Ordering::Release);
    }

    fn peer_beat(&self) -> u64 {
        // Partner: the release store in `beat`.
        self.peer.load(BEAT, Ordering::Acquire)
    }
}
