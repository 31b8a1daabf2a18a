//! The account's events on their way to the client: at once, or late, swapped or not at all.

use super::conns::Conns;
use super::faults::FaultState;
use super::listing::Unit;
use super::{Out, Outbox};
use std::collections::VecDeque;
use wire::Ts;

/// Events that have not left yet.
#[derive(Default)]
pub(super) struct AccountStream {
    late: VecDeque<(Ts, Out)>,
    /// A report that lets the next one pass.
    held: Outbox,
}

impl AccountStream {
    /// Tells whoever subscribed an execution report, `copies` times.
    pub(super) fn report(
        &mut self,
        faults: &FaultState,
        conns: &Conns,
        copies: usize,
        now: Ts,
        out: &mut Outbox,
        put: impl FnMut(&mut Vec<u8>, Unit),
    ) {
        if faults.swaps_report() {
            conns.tell(copies, &mut self.held, put);
            return;
        }
        self.tell(faults, conns, copies, now, out, put);
        let held = std::mem::take(&mut self.held);
        self.send(faults, held, now, out);
    }

    /// Tells whoever subscribed an event, `copies` times.
    pub(super) fn tell(
        &mut self,
        faults: &FaultState,
        conns: &Conns,
        copies: usize,
        now: Ts,
        out: &mut Outbox,
        put: impl FnMut(&mut Vec<u8>, Unit),
    ) {
        let mut frames = Outbox::new();
        conns.tell(copies, &mut frames, put);
        self.send(faults, frames, now, out);
    }

    fn send(&mut self, faults: &FaultState, frames: Outbox, now: Ts, out: &mut Outbox) {
        let faults = &faults.faults;
        if faults.account_stream_down {
            return;
        }
        // What is late stays in front of what comes after it.
        if faults.account_delay_ms == 0 && self.late.is_empty() {
            out.extend(frames);
            return;
        }
        let due = now.plus_ns(faults.account_delay_ms.saturating_mul(1_000_000));
        let due = self.late.back().map_or(due, |(last, _)| due.max(*last));
        self.late.extend(frames.into_iter().map(|frame| (due, frame)));
    }

    /// Sends what is due of what is late; whether there was any.
    pub(super) fn flush(&mut self, now: Ts, out: &mut Outbox) -> bool {
        let before = self.late.len();
        while self.late.front().is_some_and(|(due, _)| *due <= now) {
            out.extend(self.late.pop_front().map(|(_, frame)| frame));
        }
        self.late.len() < before
    }

    /// When the next late event is due.
    pub(super) fn due_at(&self) -> Option<Ts> {
        self.late.front().map(|(due, _)| *due)
    }
}
