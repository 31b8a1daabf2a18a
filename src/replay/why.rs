//! Why an order was sent: the venue's message that caused it, what the strategy wanted, when the gate let it pass,
//! what left and when. Rings are not recorded, so the story is told by replaying up to the order.

use std::collections::HashMap;

use journal::{Cycle, Item, Put, Session};
use serde_json::Value;
use venue::ClientOrderId;
use wire::{Kind, Msg, Slot, Ts};

use super::{Outcome, ReplayError, replay_watched};

/// Market events remembered: as many as may lie between an event and the order that it causes.
const EVENTS: usize = 1 << 16;

/// Where and when something happened: agent's cycle and its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Number of the cycle.
    pub cycle: u64,
    /// Time of the cycle.
    pub ts: Ts,
}

/// The market event that an order names as its cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number: position in the strategy's market ring.
    pub number: u64,
    /// The event as the strategy heard it.
    pub heard: Msg,
    /// When the venue's bytes were visible; `None` = the event came from no message, a snapshot or a lost connection.
    pub visible: Option<Ts>,
    /// The venue's message.
    pub message: String,
    /// The feed's cycle.
    pub feed: Moment,
}

/// An order from its cause to the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// Identity on the wire.
    pub client_id: String,
    /// The message that left, without key and signature.
    pub message: String,
    /// When the gateway last looked at the clock before it left, and in which cycle.
    pub sent: Moment,
    /// Cycle in which it was sent.
    pub gateway: Moment,
    /// Result of the send, 0 = handed to the kernel.
    pub result: u8,
    /// The order as the oms passed it on, after the gate.
    pub passed: Option<(Msg, Moment)>,
    /// The strategy's intent.
    pub intent: Option<(Msg, Moment)>,
    /// The market event behind it; `None` = the strategy acted on time or on an answer.
    pub event: Option<Event>,
}

#[derive(Default)]
struct Desk {
    events: HashMap<u32, Event>,
    next_event: u64,
    intents: HashMap<(u32, u64), (Msg, Moment)>,
    passed: HashMap<u32, (Msg, Moment)>,
    found: Option<Story>,
}

/// Tells the story of the last order whose client order id contains `wanted`, or of the last of all (`None`); `None` when
/// there was none. The outcome of the replay comes with it: a story from a replay that went another way is none.
///
/// # Errors
/// As [`super::replay`].
pub fn why(session: &Session, wanted: Option<&str>) -> Result<(Option<Story>, Outcome), ReplayError> {
    let mut desk = Desk::default();
    let outcome =
        replay_watched(session, Some(&mut |cycle, body, puts| desk.look(cycle, body, puts, wanted)))?;
    Ok((desk.found, outcome))
}

impl Desk {
    fn look(&mut self, cycle: &Cycle<'_>, body: &[u8], puts: &[Put], wanted: Option<&str>) {
        let moment = Moment { cycle: cycle.number, ts: Ts(cycle.now_ns) };
        for put in puts {
            let msg = Msg::from_words(put.words);
            match put.ring {
                0 => self.event(msg, moment, body, put.at),
                // Warm-ups are nobody's story, and bear numbers of others.
                2 | 3 if matches!(msg.kind(), Some(Kind::IntentWarmUp | Kind::SendWarmUp)) => {}
                2 => {
                    self.intents.insert((msg.cause(), msg.body[2] as u64), (msg, moment));
                }
                3 if msg.kind() != Some(Kind::SendTail) => {
                    self.passed.insert(msg.body[2] as u32, (msg, moment));
                }
                _ => {}
            }
        }
        let mut stamp = cycle.now_ns;
        for item in cycle.items().map_while(Result::ok) {
            match item {
                Item::Stamp { ns } => stamp = ns,
                Item::Sent { result, bytes, .. } => {
                    self.sent(bytes, result, Moment { ts: Ts(stamp), ..moment }, moment, wanted);
                }
                _ => {}
            }
        }
    }

    /// A market event was published; the message that brought it is the last one met before.
    fn event(&mut self, heard: Msg, feed: Moment, body: &[u8], at: usize) {
        let (mut visible, mut message) = (None, String::new());
        let met = Cycle::decode(body.get(..at).unwrap_or(body));
        for item in met.iter().flat_map(|c| c.items()).map_while(Result::ok) {
            if let Item::Frame { ts_ns, bytes, .. } = item {
                visible = Some(Ts(ts_ns));
                message = String::from_utf8_lossy(bytes).into_owned();
            }
        }
        let number = self.next_event;
        self.next_event += 1;
        self.events.insert(number as u32, Event { number, heard, visible, message, feed });
        if let Some(old) = number.checked_sub(EVENTS as u64) {
            self.events.remove(&(old as u32));
        }
    }

    fn sent(&mut self, bytes: &[u8], result: u8, sent: Moment, gateway: Moment, wanted: Option<&str>) {
        let Some(client_id) = new_order_id(bytes) else { return };
        if wanted.is_some_and(|w| !client_id.contains(w)) {
            return;
        }
        let slot = ClientOrderId::parse(client_id.as_bytes()).map_or(Slot(u32::MAX), |id| id.slot);
        let passed = self.passed.get(&slot.0).copied();
        let intent = passed.and_then(|(order, _)| {
            // The oms puts its slot where the strategy's own number stood: the newest intent of this cause and price.
            let same = |m: &Msg| m.cause() == order.cause() && m.body[..2] == order.body[..2];
            self.intents.values().filter(|(m, _)| same(m)).max_by_key(|(_, at)| at.ts).copied()
        });
        let on_tick = passed.is_some_and(|(order, _)| order.has(wire::flag::TICK));
        let event =
            passed.filter(|_| on_tick).and_then(|(order, _)| self.events.get(&order.cause()).cloned());
        let message = String::from_utf8_lossy(bytes).into_owned();
        self.found = Some(Story { client_id, message, sent, gateway, result, passed, intent, event });
    }
}

/// The client order id of a message that asks for a new order; `None` for every other message.
fn new_order_id(bytes: &[u8]) -> Option<String> {
    let message: Value = serde_json::from_slice(bytes).ok()?;
    let params = message["params"].as_object()?;
    params.get("side")?;
    let ids = params.iter().filter(|(key, _)| key.to_ascii_lowercase().ends_with("clientorderid"));
    // A replacement names the order that goes as well; the new one's key begins with `new` or names its leg.
    let mut new = ids.filter(|(key, _)| !key.contains("Orig")).filter_map(|(_, id)| id.as_str());
    new.rfind(|id| ClientOrderId::parse(id.as_bytes()).is_ok()).map(str::to_owned)
}
