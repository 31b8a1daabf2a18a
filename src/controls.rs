//! Words by which the main thread and commands steer the agents, and by which it is learnt that they follow.
//!
//! Each agent reads them once a cycle; they are inputs like any other. The kill epoch is not here: it has a
//! segment of its own that outlives the process (crate `kill`).

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rings::{Access, Ident, Ordering, Segment, SegmentError, Words, WordsMut};
use rtrb::{Consumer, Producer, RingBuffer};
use wire::{InstrumentId, OrderId, OrderState, Px, Qty, Side, Ts};

use crate::apart::Standing;
use crate::oms::Halt;
use crate::rate_book::{RATE_WORDS, RateBook, SharedRates, update};

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

/// Words of the segment: what each writer writes lies two lines (16 words) from the next one's, for with an agent a
/// core three agents read the first in every cycle, and the oms writes its count with every order.
///
/// | words | holds | written by |
/// |---|---|---|
/// | 0 | [`ControlWord`] | main thread, commands |
/// | 16..22 | stop, quiescing, session ready, cancel-all ended last, orders sent before the change heard, that change | gateway |
/// | 32..36 | open orders, change followed, why trading is off, [`Standing`] followed | oms |
/// | 48 | [`Standing`] | whoever lets processes in |
/// | 64..69, 80..85 | what the venue still takes: of the gateway, of REST | those two ([`crate::rate_book`]) |
const WORD: usize = 0;
const STOP: usize = 16;
const QUIESCING: usize = 17;
const SESSION_READY: usize = 18;
/// Number of the cancel-all that ended last, in the high half, and how: [`StopState`].
const CANCEL_ALL: usize = 19;
const HEARD_ORDERS_SENT: usize = 20;
const GATEWAY_HEARD: usize = 21;
const ORDERS_OPEN: usize = 32;
/// The change of mode that the oms follows, with every order of an earlier mode gone.
const OMS_HEARD: usize = 33;
const HALT: usize = 34;
const STANDING_HEARD: usize = 35;
const STANDING: usize = 48;
const RATES: [usize; 2] = [64, 80];
const WORDS: usize = 96;

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

/// Name of the segment's file in the instance directory.
pub const WORDS_FILE: &str = "words";
/// Type id in the segment's header.
const TYPE_ID: u32 = u32::from_le_bytes(*b"word");
/// Version of the layout that is written and read here.
const LAYOUT_VERSION: u32 = 1;

/// The same words, for those who are only told: no store is possible through it.
#[derive(Clone, Debug)]
pub struct Told {
    words: Words,
}

impl Told {
    /// Joins the words of a running engine.
    ///
    /// # Errors
    /// [`SegmentError`]: each way to fail has its own.
    pub fn open(dir: &Path, ident: &Ident) -> Result<Told, SegmentError> {
        Ok(Told { words: attach(dir, ident, Access::ReadOnly)?.words() })
    }

    /// What an agent is told, all of it in one load.
    #[inline]
    pub fn word(&self) -> ControlWord {
        // Acquire: partner of the Release in `Controls::change`.
        ControlWord(self.words.load(WORD, Ordering::Acquire))
    }

    /// The current mode.
    #[inline]
    pub fn mode(&self) -> Mode {
        self.word().mode()
    }

    /// Who is there of those that run in processes of their own.
    #[inline]
    pub fn standing(&self) -> Standing {
        // Acquire: partner of the Release in `Controls::publish_standing`.
        Standing(self.words.load(STANDING, Ordering::Acquire))
    }
}

fn attach(dir: &Path, ident: &Ident, access: Access) -> Result<Segment, SegmentError> {
    let ident = Ident { type_id: TYPE_ID, layout_version: LAYOUT_VERSION, ..*ident };
    let segment = Segment::open_file(&dir.join(WORDS_FILE), &ident, access)?;
    let (found, expected) = (segment.words().len(), WORDS);
    if found != expected {
        return Err(SegmentError::WrongSize { found: found as u64 * 8, expected: expected as u64 * 8 });
    }
    Ok(segment)
}

/// Shared by the main thread, whoever carries out commands, and the agents.
#[derive(Clone, Debug)]
pub struct Controls {
    words: WordsMut,
    /// Ends of the queue of a listing, each taken once; both are of the engine's process.
    listing: Arc<ListingEnds>,
}

impl Default for Controls {
    /// On the heap, for an engine in one process that nobody else is part of.
    fn default() -> Controls {
        Controls { words: WordsMut::heap(WORDS), listing: Arc::default() }
    }
}

impl Controls {
    /// Makes the file `words` in the instance directory. Of `ident` the build and configuration hashes are used.
    ///
    /// # Errors
    /// The segment's own refusal.
    pub fn create(dir: &Path, ident: &Ident) -> Result<Controls, SegmentError> {
        let ident = Ident { type_id: TYPE_ID, layout_version: LAYOUT_VERSION, ..*ident };
        let segment = Segment::create_file(&dir.join(WORDS_FILE), &ident, WORDS * 8)?;
        Ok(Controls { words: segment.words_mut()?, listing: Arc::default() })
    }

    /// Joins the words of a running engine.
    ///
    /// # Errors
    /// [`SegmentError`]: each way to fail has its own.
    pub fn open(dir: &Path, ident: &Ident) -> Result<Controls, SegmentError> {
        let words = attach(dir, ident, Access::ReadWrite)?.words_mut()?;
        Ok(Controls { words, listing: Arc::default() })
    }

    /// The same words, without the right to write.
    pub fn told(&self) -> Told {
        Told { words: self.words.reader() }
    }

    /// What the venue still takes from this address, for `limit` request weight a minute.
    pub fn rates(&self, limit: u32) -> SharedRates {
        let [orders, rest] = RATES.map(|at| {
            // Within the words by construction; a range outside would be one that counts for itself.
            let words = self.words.range(at, RATE_WORDS).unwrap_or_else(|| WordsMut::heap(RATE_WORDS));
            RateBook::over(words, limit)
        });
        SharedRates { orders, rest }
    }

    /// Who is there of those that run in processes of their own.
    #[inline]
    pub fn standing(&self) -> Standing {
        // Acquire: partner of the Release in `publish_standing`.
        Standing(self.words.load(STANDING, Ordering::Acquire))
    }

    /// Written by whoever lets processes in.
    pub fn publish_standing(&self, standing: Standing) {
        // Release: what was done for the one who comes is seen by those who hear of it.
        self.words.store(STANDING, standing.0, Ordering::Release);
    }

    /// Written by the oms: it acts on this standing, and nothing of an earlier one is on its way to it.
    pub fn publish_standing_heard(&self, standing: Standing) {
        self.words.store(STANDING_HEARD, standing.0, Ordering::Release);
    }

    /// The standing that the oms acts on.
    pub fn standing_heard(&self) -> Standing {
        Standing(self.words.load(STANDING_HEARD, Ordering::Acquire))
    }

    /// Between two gateways, written in their stead: the one that was there says nothing any more, and what it said of
    /// its session and of its stop holds no longer.
    pub fn publish_gateway_gone(&self) {
        self.words.store(SESSION_READY, 0, Ordering::Release);
        self.words.store(QUIESCING, 0, Ordering::Release);
        self.words.store(STOP, StopState::None as u64, Ordering::Release);
    }

    /// What an agent is told, all of it in one load.
    #[inline]
    pub fn word(&self) -> ControlWord {
        // Acquire: partner of the Release in `change`.
        ControlWord(self.words.load(WORD, Ordering::Acquire))
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
        update(&self.words, WORD, |word| {
            made = next(ControlWord(word));
            made.map(|word| word.0)
        })
        .then_some(made)
        .flatten()
    }

    /// Written by the gateway: it follows this change of mode, after so many orders.
    pub fn publish_heard(&self, heard: GatewayHeard) {
        self.words.store(HEARD_ORDERS_SENT, heard.orders_sent, Ordering::Relaxed);
        // Release: partner of the Acquire in `gateway_heard`.
        self.words.store(GATEWAY_HEARD, heard.change as u64, Ordering::Release);
    }

    /// The last change of mode that the gateway follows.
    pub fn gateway_heard(&self) -> GatewayHeard {
        let change = self.words.load(GATEWAY_HEARD, Ordering::Acquire) as u32;
        GatewayHeard { change, orders_sent: self.words.load(HEARD_ORDERS_SENT, Ordering::Relaxed) }
    }

    /// Written by the gateway: how the cancel-all of this number ended.
    pub fn publish_cancel_all(&self, number: u16, outcome: StopState) {
        let word = (number as u64) << 16 | outcome as u64;
        self.words.store(CANCEL_ALL, word, Ordering::Release);
    }

    /// The number of the cancel-all that ended last, and how.
    pub fn cancel_all_done(&self) -> (u16, StopState) {
        let word = self.words.load(CANCEL_ALL, Ordering::Acquire);
        ((word >> 16) as u16, StopState::from_u8(word as u8))
    }

    /// Written by the oms: it follows this change of mode, and no order of an earlier mode can still trade.
    pub fn publish_oms_heard(&self, change: u32) {
        // Release: partner of the Acquire in `oms_heard`.
        self.words.store(OMS_HEARD, change as u64, Ordering::Release);
    }

    /// The last change of mode that the oms follows, with every order of an earlier mode gone.
    pub fn oms_heard(&self) -> u32 {
        self.words.load(OMS_HEARD, Ordering::Acquire) as u32
    }

    /// Whether both the gateway and the oms follow this change of mode: what the mode forbids no longer happens.
    pub fn follows(&self, change: u32) -> bool {
        self.gateway_heard().change == change && self.oms_heard() == change
    }

    /// Written by the oms when it changes: why trading is off.
    pub fn publish_halt(&self, halt: Halt) {
        self.words.store(HALT, halt as u64, Ordering::Release);
    }

    /// Why trading was off when the oms last said.
    pub fn halt(&self) -> Halt {
        Halt::from_u8(self.words.load(HALT, Ordering::Acquire) as u8)
    }

    /// The oms's end of a listing, once.
    pub fn take_listing_writer(&self) -> Option<Producer<Listed>> {
        self.listing.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The other end, once.
    pub fn take_listing_reader(&self) -> Option<Consumer<Listed>> {
        self.listing.reader.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Written by the gateway.
    pub fn publish_stop(&self, state: StopState) {
        // Release: partner of the Acquire in `stop`, so that reports sent before it have been sent.
        self.words.store(STOP, state as u64, Ordering::Release);
    }

    /// Progress of the stop.
    pub fn stop(&self) -> StopState {
        StopState::from_u8(self.words.load(STOP, Ordering::Acquire) as u8)
    }

    /// Written by the gateway: the order session is ready for orders.
    pub fn publish_session(&self, ready: bool) {
        // Release: partner of the Acquire in `session_ready`; whoever sees it false sees the stop that ended it.
        self.words.store(SESSION_READY, ready as u64, Ordering::Release);
    }

    /// Whether the order session was ready when last said.
    pub fn session_ready(&self) -> bool {
        self.words.load(SESSION_READY, Ordering::Acquire) == 1
    }

    /// Written by the gateway: it has seen [`Controls::quiesce`], and what it publishes of its stop from here on is
    /// about that.
    pub fn publish_quiescing(&self) {
        // Release: partner of the Acquire in `is_quiet`, so that the stop it began is seen with it.
        self.words.store(QUIESCING, 1, Ordering::Release);
    }

    /// Whether the gateway is done with a clean stop: its stop, begun after that was asked for, has ended, and no
    /// session carries orders.
    pub fn has_stopped(&self) -> bool {
        self.words.load(QUIESCING, Ordering::Acquire) == 1
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
        self.words.store(ORDERS_OPEN, n as u64, Ordering::Release);
    }

    /// Orders that could still trade when the oms last said.
    pub fn orders_open(&self) -> u32 {
        self.words.load(ORDERS_OPEN, Ordering::Acquire) as u32
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
