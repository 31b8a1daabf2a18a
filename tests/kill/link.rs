//! An order connection that does the worst at the worst moment: it holds an order between its seal and its last
//! check until the word is out, it freezes the sender between that check and the kernel, or it finds the venue's
//! receive window shut.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use corelane::engine::ORDER_LINK;
use kill::{ControlReader, ControlSnapshot};
use net::link::AbortHandle;
use net::{Link, LinkEvent, SendError, WsLink};
use venue::ClientOrderId;

/// Longest that an order is held for the word.
const HELD_MAX: Duration = Duration::from_millis(50);
/// Orders that follow one another within this time are close.
const CLOSE: Duration = Duration::from_millis(2);
/// Longest that a frozen sender waits to be cut.
const FROZEN_MAX: Duration = Duration::from_secs(5);
/// What fills a window: a request that changes nothing at the venue.
const FILLER_BYTES: usize = 8_000;

/// What happens to the next new order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Ambush {
    /// Nothing.
    None = 0,
    /// Sealed, it waits for the word; then it is checked for the last time. Only an order that follows another
    /// closely is held: the venue shall have something to cancel.
    HoldForWord = 1,
    /// Checked for the last time, it waits until the kill thread has cut the connection; then it is sent.
    FreezeUntilCut = 2,
    /// The venue's receive window is filled to the brim before it.
    FillWindow = 3,
}

/// What the connections and the rig tell each other.
#[derive(Default)]
pub(crate) struct Scene {
    ambush: AtomicU8,
    control: Mutex<Option<ControlReader>>,
    /// Orders whose last check came after the word: none of them may reach the venue.
    overtaken: Mutex<Vec<String>>,
    /// Orders that were caught between their last check and the kernel, or before a shut window.
    caught: Mutex<Vec<String>>,
    /// An order is being held.
    in_hand: AtomicBool,
    /// Cancel-alls sent, by connection.
    cancel_alls: [AtomicU64; 3],
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scene {
    /// Where the word is read.
    pub(crate) fn watch(&self, control: ControlReader) {
        *locked(&self.control) = Some(control);
    }

    /// Sets what happens to the next new order.
    pub(crate) fn set(&self, ambush: Ambush) {
        self.ambush.store(ambush as u8, Ordering::Release);
    }

    pub(crate) fn overtaken(&self) -> Vec<String> {
        locked(&self.overtaken).clone()
    }

    pub(crate) fn caught(&self) -> Vec<String> {
        locked(&self.caught).clone()
    }

    pub(crate) fn is_in_hand(&self) -> bool {
        self.in_hand.load(Ordering::Acquire)
    }

    pub(crate) fn cancel_alls(&self, link: u32) -> u64 {
        self.cancel_alls[link as usize].load(Ordering::Acquire)
    }

    /// Takes the ambush, which is for one order; `since` is the time since the one before it.
    fn spring(&self, since: Duration) -> Ambush {
        if self.ambush.load(Ordering::Acquire) == Ambush::HoldForWord as u8 && since > CLOSE {
            return Ambush::None;
        }
        match self.ambush.swap(Ambush::None as u8, Ordering::AcqRel) {
            1 => Ambush::HoldForWord,
            2 => Ambush::FreezeUntilCut,
            3 => Ambush::FillWindow,
            _ => Ambush::None,
        }
    }

    fn wait(&self, most: Duration, done: impl Fn(&ControlSnapshot) -> bool) -> bool {
        let began = Instant::now();
        while began.elapsed() < most {
            if locked(&self.control).as_ref().is_some_and(|control| done(&control.snapshot())) {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }
}

/// One of the engine's connections, with the scene around it.
pub(crate) struct DrillLink {
    number: u32,
    inner: WsLink,
    scene: Arc<Scene>,
    /// When the last order was sent.
    last_order: Instant,
}

impl DrillLink {
    pub(crate) fn new(number: u32, inner: WsLink, scene: Arc<Scene>) -> DrillLink {
        DrillLink { number, inner, scene, last_order: Instant::now() }
    }

    /// Sends what changes nothing until the window takes no more.
    fn fill_window(&mut self) {
        let filler = format!(r#"{{"id":"{}","method":"ping"}}"#, "x".repeat(FILLER_BYTES));
        let began = Instant::now();
        while began.elapsed() < FROZEN_MAX && self.inner.unsent_bytes().is_ok_and(|n| n == 0) {
            if self.inner.send(filler.as_bytes(), &mut || true).is_err() {
                return;
            }
        }
    }
}

/// The identity in a request for a new order, `None` when it is another request.
fn new_order(payload: &[u8]) -> Option<String> {
    let id = payload.strip_prefix(br#"{"id":"p"#)?.get(..ClientOrderId::LEN)?;
    String::from_utf8(id.to_vec()).ok()
}

impl Link for DrillLink {
    fn poll(&mut self, budget: usize, stamp: &dyn Fn() -> u64, sink: &mut dyn FnMut(LinkEvent<'_>)) -> usize {
        self.inner.poll(budget, stamp, sink)
    }

    fn send(&mut self, payload: &[u8], last_check: &mut dyn FnMut() -> bool) -> Result<(), SendError> {
        if payload.starts_with(br#"{"id":"a","#) {
            self.scene.cancel_alls[self.number as usize].fetch_add(1, Ordering::AcqRel);
        }
        let order = if self.number == ORDER_LINK { new_order(payload) } else { None };
        let Some(id) = order else { return self.inner.send(payload, last_check) };
        let scene = self.scene.clone();
        let since = std::mem::replace(&mut self.last_order, Instant::now()).elapsed();
        match scene.spring(since) {
            Ambush::None => self.inner.send(payload, last_check),
            Ambush::HoldForWord => self.inner.send(payload, &mut || {
                scene.in_hand.store(true, Ordering::Release);
                if scene.wait(HELD_MAX, |control| control.tripped) {
                    locked(&scene.overtaken).push(id.clone());
                }
                last_check()
            }),
            Ambush::FreezeUntilCut => self.inner.send(payload, &mut || {
                let may_send = last_check();
                if may_send {
                    locked(&scene.caught).push(id.clone());
                    scene.wait(FROZEN_MAX, |control| control.senders.iter().all(|s| s.aborted.is_some()));
                }
                may_send
            }),
            Ambush::FillWindow => {
                self.fill_window();
                let sent = self.inner.send(payload, last_check);
                if sent.is_ok() && self.inner.unsent_bytes().is_ok_and(|n| n >= payload.len()) {
                    locked(&scene.caught).push(id);
                }
                sent
            }
        }
    }

    fn warm_up(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.inner.warm_up(payload)
    }

    fn unsent_bytes(&mut self) -> Result<usize, io::Error> {
        self.inner.unsent_bytes()
    }

    fn abort(&mut self) {
        self.inner.abort();
    }

    fn is_up(&self) -> bool {
        self.inner.is_up()
    }

    fn abort_handle(&self) -> Option<AbortHandle> {
        self.inner.abort_handle()
    }
}
