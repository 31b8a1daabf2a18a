//! A command under way: begun once, then looked at until it is confirmed or its time is up.

use std::time::{Duration, Instant};

use command::{Code, Mode as Wanted, Reply, Request};
use kill::RearmError;
use rtrb::Consumer;
use serde_json::{Value, json};
use wire::{Decimal, Side};

use super::{Console, status};
use crate::controls::{Listed, Mode, OpenOrderLine, StopState};

/// How long a kill, a cancel-all or a change of mode may take to be confirmed by the venue.
const VENUE_PATIENCE: Duration = Duration::from_secs(20);
/// How long the engine's own threads may take.
const ENGINE_PATIENCE: Duration = Duration::from_secs(5);

/// What is waited for.
enum Wait {
    /// The answer is here.
    Answer(Reply),
    /// The gate is shut and the stop has ended; whether it was tripped before.
    Stopped { before: bool },
    /// The kill thread's answer.
    Rearmed { trip: String, uid: u32, asked: bool },
    /// Both gateway and oms follow this change.
    Followed { to: Mode, change: u32 },
    /// The oms's listing of this number.
    Listing { asked: Option<(u16, Consumer<Listed>)>, lines: Vec<OpenOrderLine> },
    /// The cancel-all of this number.
    Cancelled { number: u16 },
}

/// A command under way.
pub(super) struct Job {
    wait: Wait,
    began: Instant,
}

/// A reply with words for people.
pub(super) fn message(code: Code, text: &str) -> Reply {
    Reply { code, body: json!({"message": text}).to_string() }
}

fn done(body: &Value) -> Reply {
    Reply { code: Code::Done, body: body.to_string() }
}

impl Job {
    /// Begins to carry a request out. `uid` owns the state directory.
    pub(super) fn begin(request: &Request, uid: u32, console: &mut Console) -> Job {
        let wait = match request {
            Request::Status => Wait::Answer(done(&status::status(console))),
            Request::Mode => Wait::Answer(done(&status::mode(console))),
            Request::Kill => {
                let before = console.switch().tripped;
                // Asked for even when tripped: of two words that cross, neither is lost.
                console.commander.stop(console.now(), false);
                Wait::Stopped { before }
            }
            Request::Rearm { trip } => match console.controls.stop() {
                StopState::Running if console.switch().tripped => Wait::Answer(message(
                    Code::Refused,
                    "the stop is still under way: ask again when status says that it is confirmed",
                )),
                _ => Wait::Rearmed { trip: trip.clone(), uid, asked: false },
            },
            Request::SetMode { to, confirmed } => set_mode(*to, *confirmed, console),
            Request::Orders => Wait::Listing { asked: None, lines: Vec::new() },
            Request::CancelAll => Wait::Cancelled { number: console.controls.ask_cancel_all() },
        };
        Job { wait, began: Instant::now() }
    }

    /// The reply, when there is one.
    pub(super) fn poll(&mut self, console: &mut Console) -> Option<Reply> {
        let waited = self.began.elapsed();
        let reply = match &mut self.wait {
            Wait::Answer(reply) => Some(reply.clone()),
            Wait::Stopped { before } => stopped(*before, waited, console),
            Wait::Rearmed { trip, uid, asked } => rearmed(trip, *uid, asked, waited, console),
            Wait::Followed { to, change } => followed(*to, *change, waited, console),
            Wait::Listing { asked, lines } => listing(asked, lines, waited, console),
            Wait::Cancelled { number } => cancelled(*number, waited, console),
        };
        if reply.is_none() && console.is_dead() && waited > ENGINE_PATIENCE {
            self.release(console);
            return Some(message(Code::Failed, "a thread of the engine has died; see its own output"));
        }
        reply
    }

    /// Gives back what only one command may hold at a time.
    fn release(&mut self, console: &mut Console) {
        match &mut self.wait {
            Wait::Listing { asked, .. } => {
                console.listing = console.listing.take().or(asked.take().map(|a| a.1))
            }
            Wait::Rearmed { asked: true, .. } => console.rearming = false,
            _ => {}
        }
    }
}

fn stopped(before: bool, waited: Duration, console: &Console) -> Option<Reply> {
    let switch = console.switch();
    let shut = switch.tripped && switch.senders.iter().all(|s| s.acked.is_some() || s.aborted.is_some());
    let stop = console.controls.stop();
    // Who was cut off has said nothing of this stop: what stands there is of an older one.
    let acked = switch.senders.iter().all(|s| s.acked.is_some());
    let ended = shut && acked && matches!(stop, StopState::Confirmed | StopState::TimedOut);
    let over = waited > VENUE_PATIENCE;
    if !ended && !over {
        return None;
    }
    let trip = switch.trip.as_ref();
    let id = trip.and_then(|t| t.id).map(|id| id.to_string());
    let first = switch.senders.first().and_then(|s| s.acked);
    let ack_us = first.zip(trip).map(|((at, _), t)| at.since_ns(t.ts) / 1_000);
    let confirmed = ended && stop == StopState::Confirmed;
    let text = match (confirmed, shut) {
        _ if before => "it was tripped before; the gate is shut".to_owned(),
        (true, _) => "tripped: the gate is shut, and the venue holds no open order".to_owned(),
        (false, true) => {
            "tripped, the gate is shut; that nothing is open is NOT confirmed: look at the venue".to_owned()
        }
        (false, false) => {
            "asked for, and NOT acknowledged: use kill -USR1 on the engine, or end it".to_owned()
        }
    };
    let body = json!({"message": text, "trip": id, "gate_shut": shut, "confirmed": confirmed,
        "stop": status::stop_name(stop), "orders_open": console.controls.orders_open(), "ack_us": ack_us,
        "state_dir": console.state_dir.display().to_string()});
    Some(Reply { code: if confirmed { Code::Done } else { Code::Failed }, body: body.to_string() })
}

fn rearmed(trip: &str, uid: u32, asked: &mut bool, waited: Duration, console: &mut Console) -> Option<Reply> {
    if !*asked {
        if console.rearming {
            return (waited > ENGINE_PATIENCE).then(|| message(Code::Refused, "another re-arm is under way"));
        }
        let _ = console.rearm.answer(); // of a request that nobody waited for
        *asked = console.rearm.ask(trip, uid);
        console.rearming = *asked;
        return None;
    }
    let answer = match console.rearm.answer() {
        Some(answer) => answer,
        None if waited > ENGINE_PATIENCE => {
            console.rearming = false;
            return Some(message(Code::Failed, "the kill thread does not answer"));
        }
        None => return None,
    };
    console.rearming = false;
    Some(match answer {
        Ok(()) => message(
            Code::Done,
            "re-armed: the gateway cancels, lists and compares, then trading goes on by its mode",
        ),
        Err(RearmError::NotTripped) => message(Code::Refused, "not tripped: there is nothing to re-arm"),
        Err(error) => message(Code::Refused, &error.to_string()),
    })
}

fn set_mode(to: Wanted, confirmed: bool, console: &Console) -> Wait {
    let wanted = match to {
        Wanted::Normal => Mode::Normal,
        Wanted::Pause => Mode::Pause,
        Wanted::Reduce => Mode::Reduce,
        Wanted::Emergency => Mode::Emergency,
    };
    let present = console.controls.word();
    let from = match present.mode() {
        Mode::Normal => Wanted::Normal,
        Mode::Pause => Wanted::Pause,
        Mode::Reduce => Wanted::Reduce,
        Mode::Emergency => Wanted::Emergency,
        Mode::Quiesce => {
            return Wait::Answer(message(Code::Refused, "the engine is ending, and no mode follows that"));
        }
    };
    if let Err(error) = from.may_become(to, confirmed) {
        return Wait::Answer(message(Code::Refused, &error.to_string()));
    }
    if from == to {
        return Wait::Followed { to: wanted, change: present.change() };
    }
    match console.controls.set_mode(present.mode(), wanted) {
        Ok(change) => Wait::Followed { to: wanted, change },
        Err(other) => {
            let why = format!("the mode has become {} meanwhile: look, and ask again", other.name());
            Wait::Answer(message(Code::Refused, &why))
        }
    }
}

fn followed(to: Mode, change: u32, waited: Duration, console: &Console) -> Option<Reply> {
    let controls = &console.controls;
    if controls.word().change() != change {
        let why = format!("another command has put {} in force meanwhile", controls.mode().name());
        return Some(message(Code::Failed, &why));
    }
    // An emergency is followed when the venue holds nothing.
    let stop = controls.stop();
    let ended = to != Mode::Emergency || stop != StopState::Running;
    if controls.follows(change) && ended {
        let mut body = status::mode(console);
        let confirmed = to != Mode::Emergency || stop == StopState::Confirmed;
        body["message"] = match (to, confirmed) {
            (Mode::Emergency, false) => {
                json!("emergency; that nothing is open is NOT confirmed: look at the venue")
            }
            (Mode::Emergency, true) => json!("emergency: the venue holds no open order"),
            _ => json!(format!("{} is in force and followed", to.name())),
        };
        let code = if confirmed { Code::Done } else { Code::Failed };
        return Some(Reply { code, body: body.to_string() });
    }
    (waited > VENUE_PATIENCE).then(|| {
        let why = format!(
            "{} is in force; that every order of before is gone is NOT confirmed ({} open)",
            to.name(),
            controls.orders_open()
        );
        message(Code::Failed, &why)
    })
}

fn listing(
    asked: &mut Option<(u16, Consumer<Listed>)>,
    lines: &mut Vec<OpenOrderLine>,
    waited: Duration,
    console: &mut Console,
) -> Option<Reply> {
    if asked.is_none()
        && let Some(mut queue) = console.listing.take()
    {
        while queue.pop().is_ok() {} // of a listing that nobody waited for
        *asked = Some((console.controls.ask_listing(), queue));
    }
    if let Some((number, queue)) = asked {
        while let Ok(listed) = queue.pop() {
            match listed {
                Listed::Order(line) => lines.push(line),
                Listed::End { number: ended, left_out } if ended == *number => {
                    let orders: Vec<Value> = lines.iter().map(|line| order(line, console)).collect();
                    let body = json!({"orders": orders, "left_out": left_out});
                    console.listing = asked.take().map(|a| a.1);
                    return Some(done(&body));
                }
                Listed::End { .. } => lines.clear(),
            }
        }
    }
    (waited > ENGINE_PATIENCE).then(|| {
        console.listing = console.listing.take().or(asked.take().map(|a| a.1));
        message(Code::Failed, "the engine does not list its orders: is it alive? see status")
    })
}

fn order(line: &OpenOrderLine, console: &Console) -> Value {
    let instrument = console.instruments.get(line.instrument.0 as usize);
    let (px, qty) = instrument.map_or((0, 0), |i| (i.px_decimals, i.qty_decimals));
    let decimal = |mantissa: i64, decimals| Decimal { mantissa: mantissa.into(), decimals }.to_string();
    json!({"id": line.id.0, "symbol": instrument.map(|i| i.symbol.as_str()),
        "side": if line.side == Side::Buy { "buy" } else { "sell" }, "px": decimal(line.px.0, px),
        "qty": decimal(line.qty.0, qty), "filled": decimal(line.filled.0, qty), "state": format!("{:?}", line.state),
        "age_ms": console.now().since_ns(line.ts_new) / 1_000_000})
}

fn cancelled(number: u16, waited: Duration, console: &Console) -> Option<Reply> {
    let (ended, outcome) = console.controls.cancel_all_done();
    let over = waited > VENUE_PATIENCE;
    if ended != number && !over {
        return None;
    }
    if ended == number && outcome == StopState::Confirmed {
        let mode = console.controls.mode();
        let next = if mode.takes_orders() { "; the mode is one that trades: new orders follow" } else { "" };
        return Some(message(Code::Done, &format!("the venue holds no open order{next}")));
    }
    let why = "that the venue holds no open order is NOT confirmed: look at the venue, or kill";
    Some(message(Code::Failed, why))
}
