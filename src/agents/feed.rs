//! The feed agent: a market-data connection on one side, market rings on the other, [`Feed`] between.

use agent::{Agent, Clock, Cycle};
use net::{Link, LinkEvent};
use stats::boards::{TopBoard, TopWriter};
use venue::{DepthSequence, FeedSession, Snapshot};
use wire::{BookState, InstrumentId, Kind, Msg, Ts};

use crate::apart::{Member, Standing};
use crate::controls::Told;
use crate::feed::{Feed, FeedCounts, Heard};
use crate::meters::FeedMeters;
use crate::tape::{RingOut, Tape, Word, channel};

/// Messages taken from the connection in one duty cycle at most: few, so that a burst does not keep the agents behind
/// this one from acting on its beginning.
const BUDGET: usize = 8;
/// Slots that must be free for one message of the venue; below that a consumer counts as lapped.
const ROOM: usize = 8;

/// Answer to a snapshot request.
#[derive(Debug)]
pub enum SnapshotAnswer {
    /// Here it is.
    Ready(Snapshot),
    /// It could not be had; ask again later.
    Failed(InstrumentId),
}

/// Where snapshots come from: live, the housekeeping thread; in the one-thread engine, the simulated venue.
pub trait SnapshotSource {
    /// Asks for the snapshot of a book; `false` when the request could not be taken.
    fn request(&mut self, instrument: InstrumentId) -> bool;
    /// The next answer.
    fn poll(&mut self) -> Option<SnapshotAnswer>;
    /// Takes a used snapshot back, so that its memory is freed elsewhere.
    fn recycle(&mut self, snapshot: Snapshot);
}

/// What a consumer of market data wants to hear; book states are always sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Best bid and ask.
    pub top: bool,
    /// Public trades.
    pub trades: bool,
    /// Every changed level.
    pub depth: bool,
}

impl Interest {
    /// Tops only.
    pub const TOP: Interest = Interest { top: true, trades: false, depth: false };
    /// Tops and trades.
    pub const TOP_AND_TRADES: Interest = Interest { top: true, trades: true, depth: false };
    /// Everything.
    pub const ALL: Interest = Interest { top: true, trades: true, depth: true };
}

/// One consumer's market ring.
///
/// A consumer that falls behind is *lapped*: it hears nothing until its ring is empty enough, then the current
/// state and top of every book. The feed never waits.
pub struct Outlet {
    ring: RingOut,
    interest: Interest,
    lapped: bool,
    /// Messages this consumer did not get.
    pub missed: u64,
}

impl Outlet {
    /// An outlet over a ring.
    pub fn new(ring: RingOut, interest: Interest) -> Outlet {
        Outlet { ring, interest, lapped: false, missed: 0 }
    }

    #[inline]
    fn offer(&mut self, msg: &Msg) {
        let wanted = match msg.kind() {
            Some(Kind::Top) => self.interest.top,
            Some(Kind::Trade) => self.interest.trades,
            Some(Kind::Depth) => self.interest.depth,
            _ => true,
        };
        if wanted && (self.lapped || self.ring.push(msg.to_words()).is_err()) {
            self.lapped = true;
            self.missed += 1;
        }
    }
}

/// The feed agent.
pub struct FeedAgent<L, S, V, Q> {
    link: L,
    snapshots: S,
    feed: Feed<V, Q>,
    /// First outlet: the strategy, whose ring positions number the causes of orders.
    outlets: Vec<Outlet>,
    meters: FeedMeters,
    /// One board an instrument, for observers, and what it shows.
    boards: Vec<(TopWriter, TopBoard)>,
    /// Clock of the stage stamps (statistics only).
    stage: Clock,
    /// Whether the stage clock is the clock that stamped the bytes.
    stage_is_cycle_clock: bool,
    /// As last published.
    book_state: BookState,
    /// Where it is told who is there.
    standing: Option<(Told, Word)>,
    /// Strategies that have joined from processes of their own.
    joins: u16,
}

impl<L: Link, S: SnapshotSource, V: FeedSession, Q: DepthSequence> FeedAgent<L, S, V, Q> {
    /// Puts a feed agent together; it connects when its link comes up.
    #[allow(clippy::too_many_arguments, reason = "parts of different types, told apart by the compiler")]
    pub fn new(
        link: L,
        snapshots: S,
        feed: Feed<V, Q>,
        outlets: Vec<Outlet>,
        meters: FeedMeters,
        boards: Vec<TopWriter>,
        stage: Clock,
        stage_is_cycle_clock: bool,
    ) -> Self {
        let boards = boards.into_iter().map(|w| (w, TopBoard::default())).collect();
        FeedAgent {
            link,
            snapshots,
            feed,
            outlets,
            meters,
            boards,
            stage,
            stage_is_cycle_clock,
            book_state: BookState::Down,
            standing: None,
            joins: 0,
        }
    }

    /// Sees who joins: a strategy that comes hears how every book stands, as one does that was lapped.
    #[must_use]
    pub fn watching(mut self, told: Told, tape: &Tape) -> Self {
        self.standing = Some((told, Word::new(tape, channel::STANDING)));
        self
    }

    #[inline]
    fn look_who_is_there(&mut self) {
        if let Some((told, word)) = &mut self.standing {
            let standing = Standing(word.see(told.standing().0));
            let joins = standing.joins(Member::Strategy);
            if joins != self.joins {
                self.joins = joins;
                self.outlets.first_mut().into_iter().for_each(|o| o.lapped = true);
            }
        }
    }

    /// What has been counted.
    pub fn counts(&self) -> &FeedCounts {
        &self.feed.counts
    }

    fn poll_link(&mut self, cycle: &Cycle<'_>) -> usize {
        let FeedAgent { link, feed, outlets, meters, stage, stage_is_cycle_clock, .. } = self;
        let mut leave = false;
        let stamp = || cycle.stamp().0;
        let work = link.poll(BUDGET, &stamp, &mut |event| match event {
            LinkEvent::Message { payload, ts_visible_ns } => {
                let visible = if *stage_is_cycle_clock { Ts(ts_visible_ns) } else { stage.now() };
                let cause = outlets.first().map_or(0, |o| o.ring.next_seq());
                let heard = feed.on_message(payload, Ts(ts_visible_ns), &mut |msg| {
                    for o in outlets.iter_mut() {
                        o.offer(&msg);
                    }
                });
                meters.parsed(cause, outlets.first().map_or(0, |o| o.ring.next_seq()), visible, stage.now());
                if heard == Ok(Heard::Shutdown) {
                    leave = true;
                }
            }
            LinkEvent::Up => {
                feed.on_up(cycle.now(), &mut |msg| outlets.iter_mut().for_each(|o| o.offer(&msg)))
            }
            LinkEvent::Down { reason } => {
                meters.link_down(reason);
                feed.on_down(cycle.now(), &mut |msg| outlets.iter_mut().for_each(|o| o.offer(&msg)));
            }
        });
        if leave {
            self.link.abort(); // it comes back by itself
        }
        work
    }

    fn snapshots(&mut self, cycle: &Cycle<'_>) -> usize {
        let now = cycle.now();
        let mut work = 0;
        while let Some(answer) = self.snapshots.poll() {
            work += 1;
            match answer {
                SnapshotAnswer::Ready(snapshot) => {
                    let outlets = &mut self.outlets;
                    self.feed.on_snapshot(&snapshot, now, &mut |msg| {
                        outlets.iter_mut().for_each(|o| o.offer(&msg));
                    });
                    self.snapshots.recycle(snapshot);
                }
                SnapshotAnswer::Failed(instrument) => self.feed.on_snapshot_failed(instrument, now),
            }
        }
        if let Some(instrument) = self.feed.take_snapshot_wish(now)
            && !self.snapshots.request(instrument)
        {
            self.feed.on_snapshot_failed(instrument, now);
        }
        work
    }

    /// At most once a cycle, however many messages it brought.
    fn publish_boards(&mut self) {
        for ((writer, shown), (instrument, state, top)) in self.boards.iter_mut().zip(self.feed.tops()) {
            let top = TopBoard {
                bid: (top.bid.px, top.bid.qty),
                ask: (top.ask.px, top.ask.qty),
                ts_recv: top.ts_recv,
                state,
                px_decimals: instrument.px_decimals,
                qty_decimals: instrument.qty_decimals,
            };
            if *shown != top {
                *shown = top;
                writer.publish(&top);
            }
        }
    }

    #[cold]
    fn relieve(&mut self, now: Ts) {
        for o in self.outlets.iter_mut().filter(|o| o.lapped) {
            if o.ring.has_room(o.ring.capacity() / 2 + ROOM + 1) {
                // The consumer made room; nothing else tells this cycle from the one before.
                o.lapped = false;
                self.feed.repeat(now, &mut |msg| o.offer(&msg));
            }
        }
    }
}

impl<L: Link, S: SnapshotSource, V: FeedSession, Q: DepthSequence> Agent for FeedAgent<L, S, V, Q> {
    fn name(&self) -> &str {
        "feed"
    }

    fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
        self.look_who_is_there();
        let mut work = self.poll_link(cycle);
        work += self.snapshots(cycle);
        if work > 0 {
            self.publish_boards();
        }
        if self.outlets.iter().any(|o| o.lapped) {
            self.relieve(cycle.now());
        }
        let state = self.feed.worst_state();
        if state != self.book_state {
            self.book_state = state;
            self.meters.book_state(state);
        }
        if self.meters.due(cycle.now()) {
            let missed = self.outlets.iter().map(|o| o.missed).sum();
            self.meters.publish(&self.feed.counts, missed, state);
        }
        work
    }

    fn on_close(&mut self, _now: Ts) {
        let missed = self.outlets.iter().map(|o| o.missed).sum();
        self.meters.publish(&self.feed.counts, missed, self.feed.worst_state());
    }
}
