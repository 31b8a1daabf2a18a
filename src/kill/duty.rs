//! One duty cycle of the kill thread: look, decide, give the word, latch, wait, abort.
//!
//! The order of a trip is fixed. First the word (SeqCst), for it costs nanoseconds and stops every sender that
//! looks. Then the latch, flushed to disk, so that the stop outlives whatever happens next. Then the
//! acknowledgements, and past the deadline the aborts of those that have not given theirs.

use crate::command::command_source;
use crate::control::{KillSwitch, LatchStatus};
use crate::latch::{Latch, LatchRecord, LatchState, Rearm, RearmError};
use crate::line::{Line, LineSample};
use crate::logic::{Inputs, KillConfig, KillLogic, Settle, State, Watched};
use crate::signal::SignalFlag;
use crate::trip::{Fault, Source, Trip, TripId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wire::Ts;

/// What a kill thread is made of.
pub struct KillParts {
    /// The writing end of the control segment.
    pub switch: KillSwitch,
    /// The latch of the state directory.
    pub latch: Latch,
    /// Lines to sample.
    pub lines: Vec<Box<dyn Line>>,
    /// Agents to watch, in the order in which their beats will be given.
    pub agents: Vec<Watched>,
    /// SIGUSR1, when it is to trip.
    pub signal: Option<SignalFlag>,
    /// How long senders have to acknowledge, ns from the trip. A latch on a slow disk adds the time of its
    /// flush before aborts begin.
    pub ack_deadline_ns: u64,
    /// How long all lines must have been closed before a re-arm, ns.
    pub settle_ns: u64,
}

/// The kill thread without its thread: owns its lines and latch, is given time and beats.
pub struct KillDuty {
    switch: KillSwitch,
    latch: Latch,
    lines: Vec<Box<dyn Line>>,
    samples: Vec<LineSample>,
    signal: Option<SignalFlag>,
    /// Raised by a thread that panics, in the order of the names that the logic knows.
    panics: Vec<Arc<AtomicBool>>,
    /// Command word as last taken note of.
    command_seen: u64,
    logic: KillLogic,
    trip: Option<LatchRecord>,
    latch_status: LatchStatus,
    /// Drawn beforehand, so that a trip needs nothing but a disk.
    next_id: TripId,
    cycle: u64,
}

impl KillDuty {
    /// Comes up armed when the latch is clear and every line closed at this moment; else tripped, as the latch
    /// has it or by a trip of its own. What SIGUSR1 and commands asked before this counts in the first cycle.
    /// Watched agents have their limit from here for a first beat: start this thread when theirs run.
    pub fn start(parts: KillParts, now: Ts) -> KillDuty {
        let config = KillConfig {
            lines: parts.lines.iter().map(|line| line.name().to_string()).collect(),
            agents: parts.agents,
            threads: Vec::new(),
            ack_deadline_ns: parts.ack_deadline_ns,
            settle_ns: parts.settle_ns,
        };
        let mut duty = KillDuty {
            switch: parts.switch,
            latch: parts.latch,
            samples: Vec::with_capacity(parts.lines.len()),
            lines: parts.lines,
            signal: parts.signal,
            panics: Vec::new(),
            command_seen: 0,
            logic: KillLogic::new(config),
            trip: None,
            latch_status: LatchStatus::None,
            next_id: TripId::random(),
            cycle: 0,
        };
        duty.come_up(now);
        duty
    }

    /// Watches threads from now on, by name: each raises its flag when it panics, and that trips.
    pub fn watch_threads(&mut self, threads: Vec<(String, Arc<AtomicBool>)>) {
        let (names, flags) = threads.into_iter().unzip();
        self.logic.watch_threads(names);
        self.panics = flags;
    }

    /// One cycle. `now` is asked once, after the lines have been sampled, so that a trip's time is that of its word
    /// and not of the look that led to it. `beats` are the last beats of the watched agents in their order. `abort`
    /// cuts the connection of the sender of this number and says whether it is cut (or was never up): only then it
    /// counts as the sender's acknowledgement. Allocates and touches the disk only when something trips.
    pub fn cycle(
        &mut self,
        now: impl FnOnce() -> Ts,
        beats: &[Ts],
        abort: &mut dyn FnMut(usize) -> bool,
    ) -> State {
        self.cycle += 1;
        self.sample();
        let now = now();
        self.switch.beat(now, self.cycle);
        let (signal, command) = (self.signal_raised(), self.commanded());
        let panicked = self.panicked();
        let inputs = Inputs { lines: &self.samples, beats, signal, panicked, command };
        if let Some(trip) = self.logic.poll(now, &inputs) {
            self.give_the_word(&trip);
        }
        if matches!(self.latch_status, LatchStatus::Pending | LatchStatus::Failed { .. }) {
            self.write_latch();
        }
        self.settle(now, abort);
        self.logic.state()
    }

    /// Clears the latch and lets orders leave again: who asks owns the state directory and names the trip, the
    /// gate is shut, and no source is unhealthy. A signal or command that came before counts as answered.
    ///
    /// # Errors
    /// What is not so. Nothing has changed then.
    pub fn rearm(&mut self, now: Ts, beats: &[Ts], trip_id: &str, uid: u32) -> Result<(), RearmError> {
        match self.logic.state() {
            State::Armed => return Err(RearmError::NotTripped),
            State::Tripped => return Err(RearmError::NotShut),
            State::Acked | State::Aborted => {}
        }
        // Whatever arrives from here on trips in the next cycle.
        let signals = self.signal.as_ref().map_or(0, SignalFlag::count);
        let command = self.switch.command();
        self.sample();
        let panicked = self.panicked();
        let inputs = Inputs { lines: &self.samples, beats, signal: false, panicked, command: None };
        self.logic.poll(now, &inputs);
        let lines: Vec<(&str, LineSample)> =
            self.lines.iter().map(|line| line.name()).zip(self.samples.iter().copied()).collect();
        if let Some((line, Err(fault))) = lines.iter().find(|(_, sample)| sample.is_err()) {
            return Err(RearmError::Line { line: line.to_string(), fault: *fault });
        }
        if let Err(trip) = self.logic.health(now, &inputs) {
            return Err(RearmError::Source {
                source_name: trip.source.to_string(),
                subject: self.logic.subject(trip.source).to_string(),
                fault: trip.fault.to_string(),
            });
        }
        let (closed_ns, settle_ns) = (self.logic.closed_ns(now), self.logic.config().settle_ns);
        if closed_ns < settle_ns {
            return Err(RearmError::Settling { closed_ns, settle_ns });
        }
        self.latch.rearm(&Rearm { trip_id, uid, ts: now, lines: &lines })?;
        if let Some(flag) = &mut self.signal {
            flag.forget(signals);
        }
        self.command_seen = command;
        self.trip = None;
        self.arm(now);
        Ok(())
    }

    /// Where the switch stands.
    pub fn state(&self) -> State {
        self.logic.state()
    }

    /// What tripped; `None` while armed. Its id is what the operator must be shown.
    pub fn trip(&self) -> Option<&LatchRecord> {
        self.trip.as_ref()
    }

    /// Whether the present trip is on disk.
    pub fn latch_status(&self) -> LatchStatus {
        self.latch_status
    }

    /// The switch, for handing out views and acknowledging ends.
    pub fn switch(&self) -> &KillSwitch {
        &self.switch
    }

    fn come_up(&mut self, now: Ts) {
        self.switch.beat(now, 0);
        self.sample();
        let unhealthy = self.samples.iter().enumerate().find_map(|(i, sample)| Some((i, sample.err()?)));
        match (self.latch.load(), unhealthy) {
            (LatchState::Tripped(record), _) => {
                let trip = Trip { source: record.source, fault: Fault::Asked, ts: record.ts };
                self.latch_status = LatchStatus::Written;
                self.show(&trip, record);
            }
            (LatchState::Unreadable { why }, _) => {
                let trip = Trip { source: Source::Latch, fault: Fault::Unreadable, ts: now };
                self.latch_anew(&trip, why);
            }
            (LatchState::Clear, Some((line, fault))) => {
                let trip =
                    Trip { source: Source::Line { line: line as u16 }, fault: Fault::Line(fault), ts: now };
                self.latch_anew(&trip, fault.to_string());
            }
            (LatchState::Clear, None) => self.arm(now),
        }
    }

    fn arm(&mut self, now: Ts) {
        self.latch_status = LatchStatus::None;
        self.logic.arm(now);
        self.switch.tell_state(State::Armed, LatchStatus::None);
        self.switch.arm();
    }

    #[cold]
    fn give_the_word(&mut self, trip: &Trip) {
        self.switch.trip();
        self.latch_anew(trip, trip.fault.to_string());
    }

    /// Names a trip and puts it on disk.
    fn latch_anew(&mut self, trip: &Trip, detail: String) {
        let subject = self.logic.subject(trip.source).to_string();
        let record = LatchRecord { id: self.next_id, source: trip.source, subject, ts: trip.ts, detail };
        self.next_id = TripId::random();
        self.latch_status = LatchStatus::Pending;
        self.show(trip, record);
        self.write_latch();
    }

    fn show(&mut self, trip: &Trip, record: LatchRecord) {
        self.switch.tell_trip(trip, record.id, &record.subject, &record.detail);
        self.switch.tell_state(self.logic.state(), self.latch_status);
        self.trip = Some(record);
    }

    fn write_latch(&mut self) {
        let Some(record) = &self.trip else { return };
        let before = self.latch_status;
        self.latch_status = match self.latch.write(record) {
            Ok(()) => LatchStatus::Written,
            Err(e) => LatchStatus::Failed { errno: e.source.raw_os_error().unwrap_or(0) },
        };
        if self.latch_status != before {
            self.switch.tell_state(self.logic.state(), self.latch_status);
        }
    }

    fn settle(&mut self, now: Ts, abort: &mut dyn FnMut(usize) -> bool) {
        if self.logic.state() != State::Tripped {
            return;
        }
        let mut verdict = self.take_account(now);
        if verdict == Settle::Abort {
            for sender in 0..self.switch.senders().len() {
                if !self.has_stopped(sender) && abort(sender) {
                    self.switch.aborted(sender, now);
                }
            }
            verdict = self.take_account(now);
        }
        if verdict == Settle::Shut {
            self.switch.tell_state(self.logic.state(), self.latch_status);
        }
    }

    fn take_account(&mut self, now: Ts) -> Settle {
        let senders = 0..self.switch.senders().len();
        let all = senders.clone().all(|sender| self.has_stopped(sender));
        let any_aborted =
            senders.clone().any(|sender| self.switch.was_aborted(sender) && !self.switch.has_acked(sender));
        self.logic.settle(now, all, any_aborted)
    }

    fn has_stopped(&self, sender: usize) -> bool {
        self.switch.has_acked(sender) || self.switch.was_aborted(sender)
    }

    fn sample(&mut self) {
        self.samples.clear();
        self.samples.extend(self.lines.iter_mut().map(|line| line.sample()));
    }

    fn signal_raised(&self) -> bool {
        self.signal.as_ref().is_some_and(SignalFlag::is_raised)
    }

    fn panicked(&self) -> Option<u16> {
        // Acquire: partner of the flag's raising in the panic hook.
        self.panics.iter().position(|flag| flag.load(Ordering::Acquire)).map(|thread| thread as u16)
    }

    fn commanded(&self) -> Option<Source> {
        let word = self.switch.command();
        (word != self.command_seen).then(|| command_source(word))
    }
}

#[cfg(test)]
mod tests;
