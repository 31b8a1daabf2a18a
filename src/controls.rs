//! Words by which the main thread and commands steer the agents, and by which it is learnt that they follow.
//!
//! Each agent reads them once a cycle; they are inputs like any other. The kill epoch is not here: it has a
//! segment of its own that outlives the process (crate `kill`).

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_utils::CachePadded;
use rtrb::{Consumer, Producer, RingBuffer};
use wire::{InstrumentId, OrderId, OrderState, Px, Qty, Side, Ts};

use crate::oms::Halt;

/// What the engine as a whole is doing. Which mode may follow which is the operator's side to judge
/// (crate `command`); here every mode but [`Mode::Quiesce`] can be left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Trading, as far as every check allows.
    #[default]
    Normal = 0,
    /// No new orders; what is open is cancelled, cancels leave.
    Pause = 1,
    /// What is open is cancelled; then only orders that bring the position nearer to zero.
    Reduce = 2,
    /// No new orders; the venue is asked to cancel everything, and listed until it holds nothing.
    Emergency = 3,
    /// Quoting stops, open orders are cancelled and confirmed, balances are read. There is no way back.
    Quiesce = 4,
}

impl Mode {
    fn from_u8(code: u8) -> Mode {
        match code {
            0 => Mode::Normal,
            1 => Mode::Pause,
            2 => Mode::Reduce,
            3 => Mode::Emergency,
            _ => Mode::Quiesce,
        }
    }

    /// Whether a new order may leave at all.
    #[inline]
    pub const fn takes_orders(self) -> bool {
        matches!(self, Mode::Normal | Mode::Reduce)
    }

    /// Name for reports.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Normal => "normal",
            Mode::Pause => "pause",
            Mode::Reduce => "reduce",
            Mode::Emergency => "emergency",
            Mode::Quiesce => "quiesce",
        }
    }
}

/// Everything that an agent is told from outside, in one word that it reads once a cycle: an input like any other.
///
/// ```text
/// bits  0..8    mode
/// bits  8..32   changes of mode so far, wrapping
/// bits 32..48   cancel-all asked for so often, wrapping
/// bits 48..64   listing of open orders asked for so often, wrapping
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlWord(pub u64);

impl ControlWord {
    /// The mode.
    #[inline]
    pub fn mode(self) -> Mode {
        Mode::from_u8(self.0 as u8)
    }

    /// How often the mode has changed, wrapping at 2^24.
    #[inline]
    pub fn change(self) -> u32 {
        (self.0 >> 8) as u32 & 0xff_ffff
    }

    /// How often cancel-all was asked for, wrapping.
    #[inline]
    pub fn cancel_all(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// How often a listing of the open orders was asked for, wrapping.
    #[inline]
    pub fn listing(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The change of mode that follows this one.
    #[inline]
    pub const fn next_change(change: u32) -> u32 {
        change.wrapping_add(1) & 0xff_ffff
    }

    fn with_mode(self, mode: Mode) -> ControlWord {
        let change = ControlWord::next_change(self.change());
        ControlWord(self.0 & !0xffff_ffff | (change as u64) << 8 | mode as u64)
    }

    fn with_cancel_all(self) -> ControlWord {
        let n = self.cancel_all().wrapping_add(1);
        ControlWord(self.0 & !(0xffff << 32) | (n as u64) << 32)
    }

    fn with_listing(self) -> ControlWord {
        let n = self.listing().wrapping_add(1);
        ControlWord(self.0 & !(0xffff << 48) | (n as u64) << 48)
    }
}

/// What the gateway says of the last change of mode that it has followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayHeard {
    /// The change, as [`ControlWord::change`]: every order sent later obeys it.
    pub change: u32,
    /// Orders sent before it, all of them.
    pub orders_sent: u64,
}

/// One open order, as the oms lists it when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOrderLine {
    /// Identity chosen by the strategy.
    pub id: OrderId,
    /// What it trades.
    pub instrument: InstrumentId,
    /// Side.
    pub side: Side,
    /// Limit price.
    pub px: Px,
    /// Ordered quantity.
    pub qty: Qty,
    /// Executed of it.
    pub filled: Qty,
    /// State.
    pub state: OrderState,
    /// When it was entered.
    pub ts_new: Ts,
}

/// What the oms puts into the queue of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// One order.
    Order(OpenOrderLine),
    /// All of listing number so-and-so were given; how many found no room.
    End {
        /// As [`ControlWord::listing`].
        number: u16,
        /// Orders left out.
        left_out: u32,
    },
}

/// Orders of one listing at most.
const LISTED_MAX: usize = 2_048;

/// How far the gateway's stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StopState {
    /// None asked for.
    None = 0,
    /// Under way.
    Running = 1,
    /// The venue listed no open order twice, then the balances.
    Confirmed = 2,
    /// The deadline passed first.
    TimedOut = 3,
}

impl StopState {
    fn from_u8(code: u8) -> StopState {
        match code {
            0 => StopState::None,
            1 => StopState::Running,
            2 => StopState::Confirmed,
            _ => StopState::TimedOut,
        }
    }
}

/// One writer each, on lines of their own: with an agent a core, three agents read `word` in every cycle, and the
/// oms writes its count with every order.
#[derive(Debug, Default)]
struct Words {
    /// Written by the main thread and by whoever carries out commands.
    word: CachePadded<AtomicU64>,
    gateway: CachePadded<GatewayWords>,
    oms: CachePadded<OmsWords>,
    /// Ends of the queue of a listing, each taken once.
    listing: ListingEnds,
}

/// Written by the gateway.
#[derive(Debug, Default)]
struct GatewayWords {
    stop: AtomicU8,
    quiescing: AtomicU8,
    session_ready: AtomicU8,
    /// Number of the cancel-all that ended last, in the high half, and how: [`StopState`].
    cancel_all: AtomicU32,
    heard_orders_sent: AtomicU64,
    heard_change: AtomicU32,
}

/// Written by the oms.
#[derive(Debug, Default)]
struct OmsWords {
    orders_open: AtomicU32,
    /// The change of mode that it follows, with every order of an earlier mode gone.
    heard_change: AtomicU32,
    /// Why trading is off.
    halt: AtomicU8,
}

#[derive(Debug)]
struct ListingEnds {
    writer: Mutex<Option<Producer<Listed>>>,
    reader: Mutex<Option<Consumer<Listed>>>,
}

impl Default for ListingEnds {
    fn default() -> ListingEnds {
        let (writer, reader) = RingBuffer::new(LISTED_MAX);
        ListingEnds { writer: Mutex::new(Some(writer)), reader: Mutex::new(Some(reader)) }
    }
}

/// Shared by the main thread, whoever carries out commands, and the agents.
#[derive(Clone, Debug, Default)]
pub struct Controls {
    words: Arc<Words>,
}

impl Controls {
    /// What an agent is told, all of it in one load.
    #[inline]
    pub fn word(&self) -> ControlWord {
        // Acquire: partner of the Release in `change`.
        ControlWord(self.words.word.load(Ordering::Acquire))
    }

    /// The current mode.
    #[inline]
    pub fn mode(&self) -> Mode {
        self.word().mode()
    }

    /// Asks for a clean stop. There is no way back: nothing resumes by itself.
    pub fn quiesce(&self) {
        self.change(|word| Some(word.with_mode(Mode::Quiesce)));
    }

    /// Puts a mode in force if the present one is still `from`; says the number of the change.
    ///
    /// # Errors
    /// The mode that is in force instead; one that is stopping cannot be left.
    pub fn set_mode(&self, from: Mode, to: Mode) -> Result<u32, Mode> {
        let leaves = |word: ControlWord| word.mode() == from && from != Mode::Quiesce;
        let changed = self.change(|word| leaves(word).then(|| word.with_mode(to)));
        changed.map(ControlWord::change).ok_or_else(|| self.mode())
    }

    /// Asks for everything to be cancelled; says the number of the request.
    pub fn ask_cancel_all(&self) -> u16 {
        self.change(|word| Some(word.with_cancel_all())).map_or(0, ControlWord::cancel_all)
    }

    /// Asks the oms to list its open orders; says the number of the request.
    pub fn ask_listing(&self) -> u16 {
        self.change(|word| Some(word.with_listing())).map_or(0, ControlWord::listing)
    }

    fn change(&self, next: impl Fn(ControlWord) -> Option<ControlWord>) -> Option<ControlWord> {
        let mut made = None;
        let set = |word| {
            made = next(ControlWord(word));
            made.map(|word| word.0)
        };
        let changed = self.words.word.fetch_update(Ordering::Release, Ordering::Acquire, set);
        changed.ok().and(made)
    }

    /// Written by the gateway: it follows this change of mode, after so many orders.
    pub fn publish_heard(&self, heard: GatewayHeard) {
        self.words.gateway.heard_orders_sent.store(heard.orders_sent, Ordering::Relaxed);
        // Release: partner of the Acquire in `gateway_heard`.
        self.words.gateway.heard_change.store(heard.change, Ordering::Release);
    }

    /// The last change of mode that the gateway follows.
    pub fn gateway_heard(&self) -> GatewayHeard {
        let change = self.words.gateway.heard_change.load(Ordering::Acquire);
        GatewayHeard { change, orders_sent: self.words.gateway.heard_orders_sent.load(Ordering::Relaxed) }
    }

    /// Written by the gateway: how the cancel-all of this number ended.
    pub fn publish_cancel_all(&self, number: u16, outcome: StopState) {
        let word = (number as u32) << 16 | outcome as u32;
        self.words.gateway.cancel_all.store(word, Ordering::Release);
    }

    /// The number of the cancel-all that ended last, and how.
    pub fn cancel_all_done(&self) -> (u16, StopState) {
        let word = self.words.gateway.cancel_all.load(Ordering::Acquire);
        ((word >> 16) as u16, StopState::from_u8(word as u8))
    }

    /// Written by the oms: it follows this change of mode, and no order of an earlier mode can still trade.
    pub fn publish_oms_heard(&self, change: u32) {
        // Release: partner of the Acquire in `oms_heard`.
        self.words.oms.heard_change.store(change, Ordering::Release);
    }

    /// The last change of mode that the oms follows, with every order of an earlier mode gone.
    pub fn oms_heard(&self) -> u32 {
        self.words.oms.heard_change.load(Ordering::Acquire)
    }

    /// Whether both the gateway and the oms follow this change of mode: what the mode forbids no longer happens.
    pub fn follows(&self, change: u32) -> bool {
        self.gateway_heard().change == change && self.oms_heard() == change
    }

    /// Written by the oms when it changes: why trading is off.
    pub fn publish_halt(&self, halt: Halt) {
        self.words.oms.halt.store(halt as u8, Ordering::Release);
    }

    /// Why trading was off when the oms last said.
    pub fn halt(&self) -> Halt {
        Halt::from_u8(self.words.oms.halt.load(Ordering::Acquire))
    }

    /// The oms's end of a listing, once.
    pub fn take_listing_writer(&self) -> Option<Producer<Listed>> {
        self.words.listing.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The other end, once.
    pub fn take_listing_reader(&self) -> Option<Consumer<Listed>> {
        self.words.listing.reader.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Written by the gateway.
    pub fn publish_stop(&self, state: StopState) {
        // Release: partner of the Acquire in `stop`, so that reports sent before it have been sent.
        self.words.gateway.stop.store(state as u8, Ordering::Release);
    }

    /// Progress of the stop.
    pub fn stop(&self) -> StopState {
        StopState::from_u8(self.words.gateway.stop.load(Ordering::Acquire))
    }

    /// Written by the gateway: the order session is ready for orders.
    pub fn publish_session(&self, ready: bool) {
        // Release: partner of the Acquire in `session_ready`; whoever sees it false sees the stop that ended it.
        self.words.gateway.session_ready.store(ready as u8, Ordering::Release);
    }

    /// Whether the order session was ready when last said.
    pub fn session_ready(&self) -> bool {
        self.words.gateway.session_ready.load(Ordering::Acquire) == 1
    }

    /// Written by the gateway: it has seen [`Controls::quiesce`], and what it publishes of its stop from here on is
    /// about that.
    pub fn publish_quiescing(&self) {
        // Release: partner of the Acquire in `is_quiet`, so that the stop it began is seen with it.
        self.words.gateway.quiescing.store(1, Ordering::Release);
    }

    /// Whether the gateway is done with a clean stop: its stop, begun after that was asked for, has ended, and no
    /// session carries orders.
    pub fn has_stopped(&self) -> bool {
        self.words.gateway.quiescing.load(Ordering::Acquire) == 1
            && !self.session_ready()
            && self.stop() != StopState::Running
    }

    /// Whether a clean stop has nothing left to do: the gateway is done with it, and no order of ours can still
    /// trade.
    pub fn is_quiet(&self) -> bool {
        self.has_stopped() && self.orders_open() == 0
    }

    /// Written by the oms each cycle in which it changed: orders that can still trade.
    pub fn publish_orders_open(&self, n: u32) {
        self.words.oms.orders_open.store(n, Ordering::Release);
    }

    /// Orders that could still trade when the oms last said.
    pub fn orders_open(&self) -> u32 {
        self.words.oms.orders_open.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_told_apart_and_a_stop_is_final() {
        let controls = Controls::default();
        assert_eq!((controls.mode(), controls.word().change()), (Mode::Normal, 0));
        assert_eq!(controls.set_mode(Mode::Normal, Mode::Pause), Ok(1));
        assert_eq!(controls.set_mode(Mode::Normal, Mode::Reduce), Err(Mode::Pause), "somebody was faster");
        assert_eq!((controls.ask_cancel_all(), controls.ask_listing(), controls.ask_listing()), (1, 1, 2));
        let word = controls.word();
        assert_eq!((word.mode(), word.change(), word.cancel_all(), word.listing()), (Mode::Pause, 1, 1, 2));
        assert!(!controls.follows(1));
        controls.publish_heard(GatewayHeard { change: 1, orders_sent: 7 });
        assert!(!controls.follows(1));
        controls.publish_oms_heard(1);
        assert!(controls.follows(1));
        controls.quiesce();
        assert_eq!(controls.set_mode(Mode::Quiesce, Mode::Normal), Err(Mode::Quiesce));
        let word = controls.word();
        assert_eq!((word.mode(), word.change(), word.cancel_all(), word.listing()), (Mode::Quiesce, 2, 1, 2));
    }

    #[test]
    fn counts_wrap_within_their_bits() {
        let full = ControlWord(u64::MAX).with_cancel_all().with_listing().with_mode(Mode::Reduce);
        assert_eq!((full.mode(), full.change(), full.cancel_all(), full.listing()), (Mode::Reduce, 0, 0, 0));
    }
}
