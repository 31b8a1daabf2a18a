//! Moving the market: the crowd's turns or recorded lines, and what the public streams say about them.

use super::depth::put_levels;
use super::json::{self, Json};
use super::market::Market;
use super::params::Params;
use super::reject::Reject;
use super::tape::{Content, Line};
use super::{BinanceSim, Out, Outbox};
use exchange::ExEvent;
use rust_decimal::Decimal;
use std::io::Write;
use std::str::FromStr;
use wire::{Px, Qty, Side, Ts};

/// Levels of a snapshot when the request does not say, and at most.
const DEPTH_LIMIT_DEFAULT: u64 = 100;
const DEPTH_LIMIT_MAX: u64 = 5_000;

impl BinanceSim {
    /// Moves the market up to `now`, at most `steps` turns of the crowd, depth updates or recorded lines; returns how
    /// many it took. Less than `steps` means that nothing more is due.
    pub fn advance_at_most(&mut self, now: Ts, steps: usize, out: &mut Outbox) -> usize {
        for done in 0..steps {
            if self.stream.flush(now, out) | self.conns.pass_time(now, out) {
                continue;
            }
            let moved = match &self.market {
                Market::Live { .. } => self.step_crowd(now, out),
                Market::Recorded { .. } => self.play_line(now, out),
            };
            if !moved {
                return done;
            }
        }
        steps
    }

    /// The next thing that is due of a live book.
    fn step_crowd(&mut self, now: Ts, out: &mut Outbox) -> bool {
        let Market::Live { exchange, crowd } = &mut self.market else { return false };
        let turn = crowd.next_at();
        let flush = self.depth.iter().filter_map(|d| d.due_at()).min();
        if let Some(at) = flush.filter(|at| *at <= turn && *at <= now) {
            self.flush_depth(at, out);
            return true;
        }
        if turn > now {
            return false;
        }
        let mut events = std::mem::take(&mut self.events);
        crowd.step(turn, exchange, &mut events);
        self.apply(&mut events, turn, out);
        self.events = events;
        true
    }

    fn flush_depth(&mut self, now: Ts, out: &mut Outbox) {
        let last = self.market.update_id();
        for (depth, stream) in self.depth.iter_mut().zip([&self.listing.depth_fast, &self.listing.depth_slow])
        {
            if depth.due_at().is_some_and(|at| at <= now) {
                self.conns.publish(stream, &mut self.faults, out, |payload, unit| {
                    depth.put(payload, &self.listing, last, now, unit);
                });
                depth.clear(last);
            }
        }
    }

    /// The next recorded line, if it is due.
    fn play_line(&mut self, now: Ts, out: &mut Outbox) -> bool {
        let Market::Recorded { tape, .. } = &mut self.market else { return false };
        let Some(line) = tape.due(now).cloned() else { return false };
        match &line.content {
            Content::Snapshot if self.snapshots_asked.is_empty() => tape.hold(),
            Content::Snapshot => self.answer_snapshots(&line, out),
            Content::Frame(stream) => {
                self.conns.replay(stream, tape.payload(&line), &mut self.faults, out);
                let at = tape.plays_at(now);
                self.feed_market(&line, stream, at, out);
                if let Market::Recorded { tape, .. } = &mut self.market {
                    tape.read_on();
                }
            }
        }
        self.refuse_snapshots_at_the_end(out);
        true
    }

    /// Gives a recorded trade or quote to the market that fills our orders.
    fn feed_market(&mut self, line: &Line, stream: &str, at: Ts, out: &mut Outbox) {
        let is_trade = stream == self.listing.trade;
        if !is_trade && stream != self.listing.top {
            return;
        }
        let Market::Recorded { market, tape } = &mut self.market else { return };
        let value = json::read(tape.payload(line));
        let data = value.as_ref().and_then(|v| v.get("data"));
        let number = |name: &str| {
            let text = data?.get(name)?.str()?;
            Decimal::from_str(text).ok()
        };
        let level = |px: &str, qty: &str| -> Option<(Px, Qty)> {
            Some((self.listing.px(number(px)?).ok()?, self.listing.qty(number(qty)?).ok()?))
        };
        let mut events = std::mem::take(&mut self.events);
        if is_trade {
            match (level("p", "q"), data.and_then(|d| d.get("m"))) {
                (Some((px, qty)), Some(Json::Bool(buyer_rested))) => {
                    let aggressor = if *buyer_rested { Side::Sell } else { Side::Buy };
                    market.on_trade(at, px, qty, aggressor, &mut events);
                }
                _ => tape.count_bad(),
            }
        } else {
            match (level("b", "B"), level("a", "A")) {
                (Some(bid), Some(ask)) => market.on_top(at, Some(bid), Some(ask)),
                _ => tape.count_bad(),
            }
        }
        self.apply(&mut events, at, out);
        self.events = events;
    }

    /// What happened, told to the public and to the account.
    pub(super) fn apply(&mut self, events: &mut Vec<ExEvent>, now: Ts, out: &mut Outbox) {
        let live = matches!(self.market, Market::Live { .. });
        for event in events.iter() {
            match event {
                ExEvent::Level { side, px, qty_total, .. } => {
                    for depth in &mut self.depth {
                        depth.change(*side, *px, *qty_total, now);
                    }
                }
                ExEvent::Trade { trade_id, px, qty, taker_side, ts, .. } if live => {
                    self.publish_trade(*trade_id, *px, *qty, *taker_side, *ts, out);
                }
                _ => {}
            }
            self.on_account_event(event, out);
        }
        events.clear();
        self.tell_position(out);
        self.tell_lists(now, out);
        self.publish_top(out);
    }

    fn publish_trade(&mut self, id: u64, px: Px, qty: Qty, taker: Side, ts: Ts, out: &mut Outbox) {
        let listing = &self.listing;
        self.conns.publish(&listing.trade, &mut self.faults, out, |payload, unit| {
            let at = unit.of(ts);
            let _ = write!(
                payload,
                r#"{{"e":"trade","E":{at},"s":"{}","t":{id},"p":"{}","q":"{}","T":{at},"m":{},"M":true}}"#,
                listing.symbol(),
                listing.px8(px),
                listing.qty8(qty),
                taker == Side::Sell
            );
        });
    }

    /// Tells the best bid and ask when they changed and both are there.
    fn publish_top(&mut self, out: &mut Outbox) {
        let Some(top) = self.market.live_top().filter(|top| *top != self.top) else { return };
        self.top = top;
        let (Some(bid), Some(ask)) = top else { return };
        let (listing, update_id) = (&self.listing, self.market.update_id());
        self.conns.publish(&listing.top, &mut self.faults, out, |payload, _| {
            let _ = write!(
                payload,
                r#"{{"u":{update_id},"s":"{}","b":"{}","B":"{}","a":"{}","A":"{}"}}"#,
                listing.symbol(),
                listing.px8(bid.0),
                listing.qty8(bid.1),
                listing.px8(ask.0),
                listing.qty8(ask.1)
            );
        });
    }

    /// The body of a snapshot of a live book.
    pub(super) fn snapshot(&mut self, params: &mut Params) -> Result<Vec<u8>, Reject> {
        self.need_symbol(params)?;
        let limit = match params.integer("limit")? {
            Some(0) => return Err(Reject::invalid("limit")),
            Some(limit) => limit.min(DEPTH_LIMIT_MAX),
            None => DEPTH_LIMIT_DEFAULT,
        };
        params.all_read()?;
        let mut body = Vec::new();
        let _ = write!(body, r#"{{"lastUpdateId":{},"bids":"#, self.market.update_id());
        put_levels(&mut body, &self.listing, self.market.levels(Side::Buy, limit as usize).into_iter());
        body.extend_from_slice(br#","asks":"#);
        put_levels(&mut body, &self.listing, self.market.levels(Side::Sell, limit as usize).into_iter());
        body.push(b'}');
        Ok(body)
    }

    /// Notes a request for the recorded snapshot; answers it when the tape is held at one.
    pub(super) fn ask_snapshot(&mut self, id: u64, now: Ts, out: &mut Outbox) {
        self.snapshots_asked.push(id);
        if let Market::Recorded { tape, .. } = &mut self.market
            && let Some(line) = tape.resume(now)
        {
            self.answer_snapshots(&line, out);
        }
        self.refuse_snapshots_at_the_end(out);
    }

    /// Answers every request so far with this line, and goes past it.
    fn answer_snapshots(&mut self, line: &Line, out: &mut Outbox) {
        if let Market::Recorded { tape, .. } = &mut self.market {
            for id in self.snapshots_asked.drain(..) {
                let headers = self.rates.headers(false, None);
                out.push(Out::Http { id, status: 200, headers, body: tape.payload(line).to_vec() });
            }
            tape.read_on();
        }
    }

    /// Refuses what was asked and can no longer be answered.
    fn refuse_snapshots_at_the_end(&mut self, out: &mut Outbox) {
        if self.finished() {
            for id in std::mem::take(&mut self.snapshots_asked) {
                out.push(self.refused(id, &Reject::NO_SNAPSHOT, Ts(0)));
            }
        }
    }
}
