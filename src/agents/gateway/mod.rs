//! The gateway: orders that passed the risk check go out, the venue's answers come back.
//!
//! It is the last place where an order can be stopped, and the only sender. Order of checks for a new order: kill
//! epoch (early), age, session, rate budget, unsent bytes, encode and sign, seal, **kill epoch again as the last
//! load before the send call**. Between word and acknowledgement at most one order leaves; after it none.
//!
//! Two connections are always open: orders and the account stream on the first, the account stream again and
//! cancels-when-the-first-is-gone on the second. Reports arrive twice and are told apart by identity.

mod budget;
mod desk;
mod send;
mod stop;
mod venue_clock;

pub use budget::Budget;
pub use desk::{ASSETS_MAX, Aside, Desk, GatewayCounts, SentOrder};
pub use stop::{Ask, Outcome, StopSequence};
pub use venue_clock::VenueClock;

use agent::{Agent, Clock, Cycle, RingId, SlowBeat};
use kill::{KillView, SenderAck};
use net::{Link, LinkEvent};
use stats::TraceReader;
use venue::{OrderSession, QueryKind};
use wire::{InstrumentId, RejectReason, Ts};

use crate::agents::killer::Handles;
use crate::controls::{ControlWord, Controls, GatewayHeard, Mode, StopState};
use crate::meters::GatewayMeters;
use crate::order_hash::OrderHash;
use crate::rate_book::{Need, RateBook, SharedRates};
use crate::tape::{RingIn, RingOut, Tape, Word, channel};

/// How long the account stream may stay out. A connection without it is of no use, and asking twice on one
/// connection tells nothing: what was granted once is refused. So it is replaced.
const SUBSCRIBE_NS: u64 = 2_000_000_000;

/// How long the first connection may wait for the second to be ready to take its place.
const LEAVE_NS: u64 = 2_000_000_000;
/// How long a connection that the venue will close is read on after another has taken its place: every answer to what
/// was sent on it is there by then, or will not come.
const RETIRE_NS: u64 = 1_000_000_000;

/// Time between two looks at what changes by the second: the lives of connections.
const TIMER_NS: u64 = 10_000_000;

/// How long new orders wait when the venue has too many and does not say until when: its shortest window.
const ORDERS_WAIT_NS: u64 = 10_000_000_000;

/// What the gateway is built from.
pub struct GatewayParts<L, O> {
    /// Orders and account stream.
    pub primary: (L, O),
    /// Account stream and cancels when the first is gone.
    pub standby: (L, O),
    /// Orders from the oms.
    pub orders: RingIn,
    /// Reports to the oms.
    pub reports: RingOut,
    /// The kill epoch.
    pub kill: KillView,
    /// Where this sender acknowledges it.
    pub ack: SenderAck,
    /// Where it leaves the means by which the kill thread can cut its order connection.
    pub handles: Handles,
    /// Mode and progress words.
    pub controls: Controls,
    /// Statistics.
    pub meters: GatewayMeters,
    /// Clock of the stage stamps (statistics only).
    pub stage: Clock,
    /// Its end of the journal.
    pub tape: Tape,
    /// Instruments traded, for cancel-all and listing.
    pub instruments: Vec<InstrumentId>,
    /// Order slots of the oms.
    pub slots: usize,
    /// What the venue still takes from this address.
    pub rates: SharedRates,
    /// Settings.
    pub settings: GatewaySettings,
    /// What its predecessors have left; `None` for the one that an engine starts with.
    pub before: Option<Predecessors>,
}

/// What gateways of this engine that lived before this one have left in shared memory.
pub struct Predecessors {
    /// Identities of the orders that they sent.
    pub trace: TraceReader,
    /// There were some: something of ours may rest at the venue.
    pub any: bool,
}

/// Checked settings of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewaySettings {
    /// New orders and cancels per interval.
    pub budget: u32,
    /// The interval, ns.
    pub budget_interval_ns: u64,
    /// Part of the budget kept for cancels.
    pub cancel_reserve: u32,
    /// A connection is replaced after this long, ns; below the life that the venue gives it.
    pub connection_life_ns: u64,
    /// A kill thread whose beat is older than this refuses orders, ns.
    pub kill_beat_max_ns: u64,
    /// How long a stop may take, ns.
    pub stop_deadline_ns: u64,
    /// How long after its stamp the venue may still take an order, ns. A stop is not confirmed while one so young is
    /// unanswered; should be well below `stop_deadline_ns`.
    pub order_late_max_ns: u64,
}

/// Words of others, as this gateway is to see them.
struct Heard {
    epoch: Word,
    control: Word,
    may_send: Word,
    journal: Word,
    orders_empty: Word,
    /// What REST has used and been told: weight, end of a pause, end of a ban.
    rest: [Word; 3],
}

impl Heard {
    fn new(tape: &Tape) -> Heard {
        Heard {
            epoch: Word::new(tape, channel::KILL),
            control: Word::new(tape, channel::CONTROL),
            may_send: Word::new(tape, channel::MAY_SEND),
            journal: Word::new(tape, channel::JOURNAL),
            orders_empty: Word::new(tape, channel::ORDERS_EMPTY),
            rest: [0, 1, 2].map(|i| Word::new(tape, channel::REST + i)),
        }
    }
}

struct Conn<L, O> {
    link: L,
    codec: O,
    up: bool,
    /// When it came up.
    since: Ts,
    /// Account stream confirmed.
    ready: bool,
    /// A sealed record was withheld, or order bytes may be stuck: nothing may be sent here any more.
    poisoned: bool,
    subscribe_asked: Option<Ts>,
}

/// The gateway agent.
pub struct Gateway<L, O> {
    primary: Conn<L, O>,
    standby: Conn<L, O>,
    desk: Desk,
    orders: RingIn,
    tape: Tape,
    heard: Heard,
    kill: KillView,
    ack: SenderAck,
    handles: Handles,
    /// The epoch under which this gateway may send; any other is a trip.
    armed_epoch: u64,
    /// The trip has been seen and acknowledged: this gateway sends no order again.
    stopped_epoch: u64,
    controls: Controls,
    meters: GatewayMeters,
    stage: Clock,
    instruments: Vec<InstrumentId>,
    budget: Option<Budget>,
    rates: RateBook,
    /// What REST has used, as it stands.
    rest: RateBook,
    rest_seen: [u64; 3],
    clock: VenueClock,
    /// The venue refused key, signature or permission: no order leaves until the next start.
    barred: bool,
    /// The second connection was the first until now: it is cut when this is over.
    retire_at: Option<Ts>,
    /// The venue will close the first connection: it is given up then even with nothing to take its place.
    leave_by: Option<Ts>,
    settings: GatewaySettings,
    /// The first connection carries orders: opening sequence done.
    trading: bool,
    /// It did at least once: something of ours may rest at the venue.
    traded: bool,
    /// The clean stop has begun: from here on no order leaves.
    quiescing: bool,
    /// What this gateway was told, read once a cycle.
    word: ControlWord,
    /// The last stop has not ended with nothing open at the venue.
    unsettled: bool,
    /// The cancel-all that the stop under way answers.
    cancel_all: Option<u16>,
    /// An order was sent in an earlier cycle and its bytes have not been confirmed as gone.
    unconfirmed: bool,
    last_cause: u32,
    timer: SlowBeat,
    out: Vec<u8>,
    hash: OrderHash,
    before: Option<Predecessors>,
    /// Duty cycles that predecessors have named: client order ids go on behind them.
    cycles_before: u64,
    /// Orders that they have sent.
    orders_before: u64,
    /// Ring numbers for the interleaving record.
    ring: RingId,
}

impl<L: Link, O: OrderSession> Gateway<L, O> {
    /// Puts a gateway together; it connects when its links come up.
    pub fn new(parts: GatewayParts<L, O>, ring: RingId) -> Gateway<L, O> {
        let conn = |(link, codec)| Conn {
            link,
            codec,
            up: false,
            since: Ts(0),
            ready: false,
            poisoned: false,
            subscribe_asked: None,
        };
        let (cycles_before, orders_before) = parts.before.as_ref().map_or((0, 0), |_| parts.ack.before());
        // One that finds the switch tripped was allowed under the epoch before: the trip is still to be obeyed.
        let epoch = parts.kill.epoch();
        let armed_epoch = epoch - u64::from(kill::is_tripped(epoch));
        Gateway {
            primary: conn(parts.primary),
            standby: conn(parts.standby),
            desk: Desk::new(parts.slots, parts.reports, 0, parts.settings.order_late_max_ns),
            orders: parts.orders,
            armed_epoch,
            stopped_epoch: 0,
            heard: Heard::new(&parts.tape),
            tape: parts.tape,
            kill: parts.kill,
            ack: parts.ack,
            handles: parts.handles,
            controls: parts.controls,
            meters: parts.meters,
            stage: parts.stage,
            instruments: parts.instruments,
            budget: None,
            rates: parts.rates.orders,
            rest: parts.rates.rest,
            rest_seen: [0; 3],
            clock: VenueClock::new(),
            barred: false,
            retire_at: None,
            leave_by: None,
            settings: parts.settings,
            trading: false,
            traded: parts.before.as_ref().is_some_and(|before| before.any),
            quiescing: false,
            word: ControlWord::default(),
            unsettled: false,
            cancel_all: None,
            unconfirmed: false,
            last_cause: u32::MAX,
            timer: SlowBeat::new(TIMER_NS),
            out: Vec::with_capacity(4096),
            hash: OrderHash::default(),
            before: parts.before,
            cycles_before,
            orders_before,
            ring,
        }
    }

    /// The number of a duty cycle, as the venue and the kill switch are told it.
    #[inline]
    fn number(&self, cycle: &Cycle<'_>) -> u64 {
        self.cycles_before + cycle.number()
    }

    /// Orders sent, by this gateway and those before it.
    #[inline]
    fn orders_sent(&self) -> u64 {
        self.orders_before + self.desk.counts.orders_sent
    }

    /// What has been counted.
    pub fn counts(&self) -> &GatewayCounts {
        &self.desk.counts
    }

    /// The clock again, where the time decides or leaves with a message.
    #[inline]
    fn stamp(&self, cycle: &Cycle<'_>) -> Ts {
        Ts(self.tape.stamp(|| cycle.stamp().0))
    }

    // ---- start and stop ----------------------------------------------------------------------------------

    /// The kill epoch moved: no order is in flight inside this function, so the acknowledgement is true.
    #[cold]
    fn on_trip(&mut self, epoch: u64, cycle: &Cycle<'_>) {
        let now = self.stamp(cycle);
        self.stopped_epoch = epoch;
        let stopped_before = std::mem::replace(&mut self.desk.tripped, true);
        self.trading = false;
        if !stopped_before {
            // Whoever sees the acknowledgement sees a stop under way, not the outcome of an older one.
            self.controls.publish_stop(StopState::Running);
        }
        self.controls.publish_session(false);
        // Unsent order bytes must never leave: the connection dies with them.
        let unsent = self.primary.up && self.primary.link.unsent_bytes().map_or(true, |n| n > 0);
        if unsent || self.primary.poisoned {
            self.desk.counts.aborted_unsent += unsent as u64;
            self.abort_primary();
        }
        // Only now is the gate shut: nothing of ours can leave any more.
        self.ack.acknowledge(epoch, cycle.stamp(), self.number(cycle), self.orders_sent());
        if !stopped_before {
            self.start_stop(now);
        }
    }

    /// A person has re-armed. What was allowed under an earlier epoch is void: this gateway starts as at the opening
    /// of a session, with everything cancelled, listed and compared before an order may leave.
    #[cold]
    fn on_rearm(&mut self, epoch: u64, cycle: &Cycle<'_>) {
        let tripped = epoch.wrapping_sub(1);
        if self.stopped_epoch != tripped {
            // It was cut off while it hung, and wakes up only now.
            self.on_trip(tripped, cycle);
        }
        let now = self.stamp(cycle);
        self.armed_epoch = epoch;
        self.desk.tripped = false;
        self.trading = false;
        self.controls.publish_session(false);
        self.desk.session(false, false, now);
        self.desk.stop = None;
        if self.primary.ready && !self.primary.poisoned && !self.quiescing {
            self.start_stop(now);
        } // Otherwise the opening sequence begins when the first connection is ready.
    }

    /// What this gateway is told has changed. From this cycle on no order leaves that the new mode forbids.
    #[cold]
    fn on_word(&mut self, word: ControlWord, now: Ts) {
        let before = std::mem::replace(&mut self.word, word);
        let entered = before.change() != word.change();
        let emergency = |word: ControlWord| word.mode() == Mode::Emergency;
        let asked = before.cancel_all() != word.cancel_all();
        if asked {
            self.cancel_all = Some(word.cancel_all());
        }
        // Leaving an emergency is the opening of a session again.
        if (asked || entered && (emergency(word) || emergency(before))) && !self.quiescing {
            self.distrust(now);
        }
        if entered {
            let heard = GatewayHeard { change: word.change(), orders_sent: self.orders_sent() };
            self.controls.publish_heard(heard);
        }
    }

    fn abort_primary(&mut self) {
        self.primary.link.abort();
        self.primary.poisoned = true;
        self.primary.ready = false;
    }

    /// The clean stop begins. A stop that is under way, the opening sequence's, serves as well: what could be in
    /// flight before it is older than it.
    #[cold]
    fn on_quiesce(&mut self, now: Ts) {
        self.quiescing = true;
        self.trading = false;
        // Without a session ever there is nobody to ask and nothing to ask about.
        if self.traded && self.desk.stop.is_none() && !self.desk.tripped {
            self.start_stop(now);
        }
        self.controls.publish_session(false);
        self.controls.publish_quiescing();
    }

    fn start_stop(&mut self, now: Ts) {
        let deadline = now.plus_ns(self.settings.stop_deadline_ns);
        self.desk.stop = Some(StopSequence::new(self.instruments.len(), now, deadline));
        self.unsettled = true;
        self.controls.publish_stop(StopState::Running);
    }

    /// Moves the stop on by at most one question a cycle.
    fn drive_stop(&mut self, now: Ts) {
        let use_primary = self.primary.ready && !self.primary.poisoned;
        let connected = use_primary || (self.standby.ready && !self.standby.poisoned);
        let Some(stop) = &mut self.desk.stop else { return };
        let before = stop.clone();
        let ask = if connected { stop.next(now) } else { stop.expire(now) };
        if *stop != before {
            self.tape.mark(); // time alone may have moved it
        }
        if let Some(ask) = ask {
            let conn = if use_primary { &mut self.primary } else { &mut self.standby };
            let out = &mut self.out;
            let at = self.clock.at_venue(now);
            let need = if matches!(ask, Ask::CancelAll(_)) { Need::Cancel } else { Need::Stop };
            let encoded = match ask {
                Ask::CancelAll(i) => conn.codec.encode_cancel_all(self.instruments[i], at, out),
                Ask::OpenOrders(i) => {
                    conn.codec.encode_query(QueryKind::OpenOrders, self.instruments[i], at, out)
                }
                Ask::Account => conn.codec.encode_query(QueryKind::Account, self.instruments[0], at, out),
            };
            let sent = encoded.is_ok()
                && self.rates.take(conn.codec.weight(), need, now)
                && conn.link.send(out, &mut || true).is_ok();
            if sent {
                self.hash.add(out);
                self.desk.counts.cancels_sent += matches!(ask, Ask::CancelAll(_)) as u64;
            } else {
                stop.repeat_later(now);
            }
            if stop.gives_up_connection() {
                // Asked for long enough on one that takes everything and answers nothing: the other has its turn, and
                // this one comes back by itself.
                conn.link.abort();
            }
        }
        let Some(outcome) = stop.outcome() else { return };
        self.desk.stop = None;
        self.unsettled = outcome != Outcome::Confirmed;
        self.controls.publish_stop(match outcome {
            Outcome::Confirmed => StopState::Confirmed,
            Outcome::TimedOut => StopState::TimedOut,
        });
        if let Some(number) = self.cancel_all.take() {
            self.controls.publish_cancel_all(number, self.controls.stop());
        }
        match outcome {
            Outcome::Confirmed
                if !self.desk.tripped
                    && !self.barred
                    && use_primary
                    && !self.quiescing
                    && !matches!(self.word.mode(), Mode::Emergency | Mode::Quiesce) =>
            {
                self.trading = true;
                self.traded = true;
                self.desk.session(true, true, now);
                self.controls.publish_session(true);
            }
            Outcome::Confirmed => self.desk.session(false, true, now),
            // Past the deadline nothing is known of what rests at the venue: the sessions die, so that nothing of
            // ours can still be on its way. On the next connection it is tried again: cancels alone while tripped
            // or stopping, else the opening sequence, and no order before that has been confirmed.
            Outcome::TimedOut => {
                self.abort_primary();
                self.standby.link.abort();
            }
        }
    }

    // ---- receiving ---------------------------------------------------------------------------------------

    fn poll_links(&mut self, cycle: &Cycle<'_>) -> usize {
        let now = cycle.now();
        let mut work = 0;
        let stamp = || cycle.stamp().0;
        let mut unreadable = false;
        let (mut leaving, mut begin) = (false, false);
        for (is_primary, conn) in [(true, &mut self.primary), (false, &mut self.standby)] {
            if !self.desk.has_room() {
                break; // the oms is behind: what is unread stays in the socket
            }
            let Conn { link, codec, up, since, ready, poisoned, subscribe_asked } = conn;
            let desk = &mut self.desk;
            desk.subscribed = false;
            desk.shutdown = false;
            let (mut lost, mut came_up) = (false, false);
            let unreadable = &mut unreadable;
            work += link.poll(1, &stamp, &mut |event| match event {
                LinkEvent::Up => {
                    codec.reset();
                    *up = true;
                    *since = now;
                    *ready = false;
                    *poisoned = false;
                    *subscribe_asked = None;
                    came_up = true;
                }
                LinkEvent::Message { payload, .. } => {
                    desk.counts.messages += 1;
                    desk.aside = Aside::default();
                    if codec.on_message(payload, |event| desk.on_event(event, now)).is_err() {
                        desk.counts.refused += 1;
                        *unreadable = true;
                    }
                }
                LinkEvent::Down { reason } => {
                    desk.counts.downs[reason.index()] += 1;
                    *up = false;
                    *ready = false;
                    lost = true;
                }
            });
            let heard = std::mem::take(&mut desk.aside);
            if heard.logged_on {
                *subscribe_asked = None;
            }
            if let Some(venue) = heard.time {
                self.clock.on_answer(venue.0, now);
            }
            limits(&self.rates, &mut self.clock, &heard, now);
            if let Some((why, ..)) = heard.failed.filter(|(why, ..)| why.is_ours_to_mend() && !self.barred) {
                // Nothing that is asked for will be granted: a person must look.
                self.barred = true;
                self.trading = false;
                desk.barred(why, now);
                self.controls.publish_session(false);
            }
            if *up && !*poisoned && self.clock.wants_to_ask(now) && !self.rates.is_paused(now) {
                codec.encode_time(&mut self.out);
                if self.rates.take(codec.weight(), Need::Cancel, now)
                    && link.send(&self.out, &mut || true).is_ok()
                {
                    self.clock.on_asked(now);
                }
            }
            if came_up
                && is_primary
                && let Some(handle) = link.abort_handle()
            {
                self.handles.put(handle);
            }
            if desk.shutdown && is_primary {
                leaving = true;
            } else if desk.shutdown {
                link.abort(); // the venue is leaving; the link comes back by itself
            }
            if *up && !*ready {
                if desk.subscribed {
                    *ready = true;
                    if is_primary && !desk.tripped && !self.quiescing {
                        // Opening sequence: nothing of an earlier life may rest at the venue.
                        begin = true;
                    } else if is_primary && let Some(stop) = &mut desk.stop {
                        // What it had seen, it had seen of a connection that is gone.
                        stop.restart();
                    } else if self.unsettled && (desk.tripped || self.quiescing) && desk.stop.is_none() {
                        // Something of ours may rest at the venue still.
                        begin = true;
                    }
                } else if !*poisoned {
                    match *subscribe_asked {
                        Some(at) if now.since_ns(at) > SUBSCRIBE_NS => {
                            *subscribe_asked = Some(now);
                            link.abort(); // it comes back by itself
                        }
                        Some(_) => {}
                        None if !self.clock.is_known() => {} // a stamp that is wrong is refused
                        None => {
                            codec.encode_subscribe(self.clock.at_venue(now), &mut self.out);
                            if self.rates.take(codec.weight(), Need::Cancel, now)
                                && link.send(&self.out, &mut || true).is_ok()
                            {
                                *subscribe_asked = Some(now);
                                self.hash.add(&self.out);
                            }
                        }
                    }
                }
            }
            if lost {
                desk.counts.sessions_lost += 1;
                self.clock.on_lost(now);
                if is_primary {
                    self.leave_by = None;
                    self.trading = false;
                    self.unconfirmed = false;
                    self.controls.publish_session(false);
                    desk.session(false, false, now);
                }
                if let Some(stop) = &mut desk.stop {
                    stop.repeat();
                }
            }
        }
        if leaving && self.leave_by.is_none() {
            self.leave_by = Some(now.plus_ns(LEAVE_NS));
            self.timer.hurry();
        }
        // A stop that has ended has missed what lives after it: it came late, or the gateway before this one sent it.
        let alive = std::mem::take(&mut self.desk.alive);
        begin |= alive && (self.desk.tripped || self.quiescing) && self.desk.stop.is_none();
        if begin {
            self.start_stop(now);
        }
        let past_end = std::mem::take(&mut self.desk.past_end);
        if (unreadable || past_end) && self.trading {
            self.distrust(now);
        }
        work
    }

    /// Replaces connections before the venue ends them: the second when half its life is over and the first is no
    /// younger, so that both never end together; the first by the second.
    fn renew(&mut self, now: Ts) {
        if self.retire_at.is_some_and(|at| at <= now) {
            self.retire_at = None;
            self.standby.link.abort(); // it comes back by itself, with a whole life before it
        }
        let life_ns = self.settings.connection_life_ns;
        let age = |conn: &Conn<L, O>| if conn.ready { now.since_ns(conn.since) } else { 0 };
        if self.leave_by.is_none() && age(&self.primary) >= life_ns {
            self.leave_by = Some(now.plus_ns(LEAVE_NS));
        }
        if let Some(by) = self.leave_by {
            self.roll_over(by, now);
        } else if self.retire_at.is_none() && age(&self.standby).min(age(&self.primary)) >= life_ns / 2 {
            self.standby.link.abort();
        }
    }

    /// The venue will close the first connection. The second has been logged on and listening all along: it takes the
    /// first one's place at once, and what the first has still to answer is waited for before it is cut.
    #[cold]
    fn roll_over(&mut self, by: Ts, now: Ts) {
        let ready = self.standby.ready && !self.standby.poisoned && self.retire_at.is_none();
        if !ready || self.desk.stop.is_some() || self.desk.tripped || self.unconfirmed {
            if by <= now {
                self.leave_by = None;
                self.primary.link.abort(); // as if it were lost: it comes back by itself
            }
            return;
        }
        self.leave_by = None;
        std::mem::swap(&mut self.primary, &mut self.standby);
        if let Some(handle) = self.primary.link.abort_handle() {
            self.handles.put(handle);
        }
        self.retire_at = Some(now.plus_ns(RETIRE_NS));
        self.desk.counts.rolled_over += 1;
    }

    /// Something was said about our orders that nobody could read, or that cannot be: what rests at the venue is
    /// cancelled, listed and compared with the balances before another order may leave, as at the opening of a session.
    #[cold]
    fn distrust(&mut self, now: Ts) {
        self.trading = false;
        self.desk.session(false, false, now);
        self.start_stop(now);
        self.controls.publish_session(false);
    }
}

/// What a message said of limits and time is kept.
fn limits(rates: &RateBook, clock: &mut VenueClock, heard: &Aside, now: Ts) {
    if let Some(used) = heard.weight {
        rates.heard(used, now);
    }
    if let Some((count, limit, seconds)) = heard.orders
        && count >= limit
    {
        let window_ns = seconds as u64 * 1_000_000_000;
        let ends = Ts((clock.at_venue(now).0 / window_ns.max(1) + 1).saturating_mul(window_ns));
        rates.orders_refused(clock.at_home(ends));
    }
    let Some((why, code, retry_at)) = heard.failed else { return };
    let until = retry_at.map(|at| clock.at_home(at));
    match why {
        RejectReason::Time => clock.distrust(now),
        RejectReason::Banned => rates.banned(until, now),
        // Too many new orders: cancels are not of that kind.
        RejectReason::Rate if code == -1015 => {
            rates.orders_refused(until.unwrap_or(now.plus_ns(ORDERS_WAIT_NS)))
        }
        RejectReason::Rate => rates.refused(until, now),
        _ => {}
    }
}

impl<L: Link, O: OrderSession> Agent for Gateway<L, O> {
    fn name(&self) -> &str {
        "gateway"
    }

    fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
        let live = self.rest.words();
        let rest: [u64; 3] = std::array::from_fn(|i| self.heard.rest[i].see(live[i]));
        if rest != self.rest_seen {
            self.rest_seen = rest;
            self.rates.follow(rest, cycle.now());
        }
        let epoch = self.heard.epoch.see(self.kill.epoch());
        if epoch != self.armed_epoch && epoch != self.stopped_epoch {
            if kill::is_tripped(epoch) {
                self.on_trip(epoch, cycle);
            } else {
                self.on_rearm(epoch, cycle);
            }
        }
        let word = ControlWord(self.heard.control.see(self.controls.word().0));
        if word != self.word {
            self.on_word(word, cycle.now());
        }
        if !self.quiescing
            && word.mode() == Mode::Quiesce
            && self.heard.orders_empty.see(self.orders.is_empty() as u64) != 0
        {
            self.on_quiesce(cycle.now());
        }
        // Orders first: what the sockets bring can wait the microseconds that an order must not.
        let mut work = self.drain_orders(cycle);
        work += self.poll_links(cycle);
        if self.timer.due(cycle.now()) {
            self.tape.mark();
            self.renew(cycle.now());
        }
        self.drive_stop(cycle.now());
        if self.meters.due(cycle.now()) {
            self.meters.publish(&self.desk.counts, self.hash.digest());
            self.meters.venue_clock(self.clock.offset(cycle.now()), self.rates.used(cycle.now()));
        }
        work
    }

    fn on_close(&mut self, _now: Ts) {
        self.meters.publish(&self.desk.counts, self.hash.digest());
    }
}
