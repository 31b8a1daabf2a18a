//! The decision to stop, and the wait until the gate is shut. Pure: samples, beats, flags and time come in.
//!
//! ```text
//!            first bad sample            every sender acknowledged
//!   Armed ──────────────────▶ Tripped ─────────────────────────────▶ Acked
//!     ▲                          │ deadline: the rest aborted             │
//!     │                          └──────────────────────────▶ Aborted     │
//!     └───────────────── re-armed by a person ◀──────────────┴────────────┘
//! ```
//!
//! In `Acked` and `Aborted` the gate is shut. Nothing leads back to `Armed` but [`KillLogic::arm`].

use crate::line::{LineFault, LineSample};
use crate::trip::{Fault, Source, Trip};
use wire::Ts;

/// An agent whose silence trips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Name for the latch and for people.
    pub agent: String,
    /// Oldest beat allowed, ns. Beats come about every 100 us; the limit must also cover the longest duty
    /// cycle and whatever else shares the core.
    pub limit_ns: u64,
}

/// What the logic must know beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillConfig {
    /// Names of the lines, in the order of the samples.
    pub lines: Vec<String>,
    /// Agents, in the order of the beats.
    pub agents: Vec<Watched>,
    /// Names of the threads whose panic trips.
    pub threads: Vec<String>,
    /// How long senders have to acknowledge before they are aborted, ns from the trip.
    pub ack_deadline_ns: u64,
    /// How long every line must have been closed before a re-arm is considered, ns. The only debounce there is.
    pub settle_ns: u64,
}

/// Where the switch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Orders may leave.
    Armed = 1,
    /// The word is out; some sender has not acknowledged.
    Tripped = 2,
    /// Gate shut: every sender has acknowledged.
    Acked = 3,
    /// Gate shut: some senders had to be aborted.
    Aborted = 4,
}

impl State {
    /// The state with this code, `None` when there is none.
    pub const fn from_u8(code: u8) -> Option<State> {
        match code {
            1 => Some(State::Armed),
            2 => Some(State::Tripped),
            3 => Some(State::Acked),
            4 => Some(State::Aborted),
            _ => None,
        }
    }

    /// Name for people.
    pub const fn name(self) -> &'static str {
        match self {
            State::Armed => "armed",
            State::Tripped => "tripped",
            State::Acked => "acked",
            State::Aborted => "aborted",
        }
    }
}

/// Everything the kill thread looked at in one cycle.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// One sample per configured line. A missing one trips.
    pub lines: &'a [LineSample],
    /// Time of the last beat per watched agent, `Ts(0)` = never. A missing one trips.
    pub beats: &'a [Ts],
    /// Whether SIGUSR1 has arrived.
    pub signal: bool,
    /// Number of a watched thread that has panicked.
    pub panicked: Option<u16>,
    /// Command word: [`Source::Command`] or [`Source::Test`] when somebody asked.
    pub command: Option<Source>,
}

/// What to do next about senders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Nothing to wait for: armed, or shut already.
    Idle,
    /// Before the deadline; look again.
    Wait,
    /// Past the deadline: abort what has not acknowledged.
    Abort,
    /// The last one is in: the gate has just shut.
    Shut,
}

/// The state machine above.
#[derive(Clone, Debug)]
pub struct KillLogic {
    config: KillConfig,
    state: State,
    armed_at: Ts,
    tripped_at: Ts,
    closed_since: Option<Ts>,
}

impl KillLogic {
    /// Shut, with nothing to wait for: nobody has been allowed to send yet.
    pub fn new(config: KillConfig) -> KillLogic {
        KillLogic { config, state: State::Acked, armed_at: Ts(0), tripped_at: Ts(0), closed_since: None }
    }

    /// The configuration.
    pub fn config(&self) -> &KillConfig {
        &self.config
    }

    /// Names of the threads whose panic trips from now on.
    pub fn watch_threads(&mut self, names: Vec<String>) {
        self.config.threads = names;
    }

    /// Where the switch stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Lets orders leave from `now` on. Whether that is right has been decided elsewhere.
    pub fn arm(&mut self, now: Ts) {
        (self.state, self.armed_at) = (State::Armed, now);
    }

    /// Looks at everything; the first thing wrong while armed is a trip. In any other state only keeps account
    /// of how long the lines have been closed.
    pub fn poll(&mut self, now: Ts, inputs: &Inputs<'_>) -> Option<Trip> {
        let closed = self.line_fault(inputs.lines).is_none();
        self.closed_since = if closed { self.closed_since.or(Some(now)) } else { None };
        if self.state != State::Armed {
            return None;
        }
        let (source, fault) = self.fault(now, inputs, self.armed_at)?;
        (self.state, self.tripped_at) = (State::Tripped, now);
        Some(Trip { source, fault, ts: now })
    }

    /// Takes account of who has acknowledged. `all_acked` counts an abort as acknowledgement, `any_aborted`
    /// says that there was one.
    pub fn settle(&mut self, now: Ts, all_acked: bool, any_aborted: bool) -> Settle {
        if self.state != State::Tripped {
            return Settle::Idle;
        }
        if all_acked {
            self.state = if any_aborted { State::Aborted } else { State::Acked };
            return Settle::Shut;
        }
        if now >= self.deadline() { Settle::Abort } else { Settle::Wait }
    }

    /// When senders that have not acknowledged are aborted.
    pub fn deadline(&self) -> Ts {
        self.tripped_at.plus_ns(self.config.ack_deadline_ns)
    }

    /// How long every line has been closed at `now`, ns; 0 when one is not.
    pub fn closed_ns(&self, now: Ts) -> u64 {
        self.closed_since.map_or(0, |since| now.since_ns(since))
    }

    /// Whether all is well at `now`, without the grace that agents have after an arming: the condition of a re-arm.
    ///
    /// # Errors
    /// What would trip.
    pub fn health(&self, now: Ts, inputs: &Inputs<'_>) -> Result<(), Trip> {
        match self.fault(now, inputs, Ts(0)) {
            Some((source, fault)) => Err(Trip { source, fault, ts: now }),
            None => Ok(()),
        }
    }

    /// The name of what tripped, `""` when it needs none.
    pub fn subject(&self, source: Source) -> &str {
        let name = match source {
            Source::Line { line } => self.config.lines.get(line as usize),
            Source::StaleBeat { agent } => self.config.agents.get(agent as usize).map(|w| &w.agent),
            Source::Panic { thread } => self.config.threads.get(thread as usize),
            _ => None,
        };
        name.map_or("", String::as_str)
    }

    fn fault(&self, now: Ts, inputs: &Inputs<'_>, grace_from: Ts) -> Option<(Source, Fault)> {
        if let Some((line, fault)) = self.line_fault(inputs.lines) {
            return Some((Source::Line { line: line as u16 }, Fault::Line(fault)));
        }
        if inputs.signal {
            return Some((Source::Signal, Fault::Asked));
        }
        if let Some(source) = inputs.command {
            return Some((source, Fault::Asked));
        }
        // Before the beats: those of all its agents go stale with it, and say less.
        if let Some(thread) = inputs.panicked {
            return Some((Source::Panic { thread }, Fault::Panicked));
        }
        self.config.agents.iter().enumerate().find_map(|(i, watched)| {
            let fault = match inputs.beats.get(i) {
                Some(beat) => beat_fault(now, *beat, watched.limit_ns, grace_from)?,
                None => Fault::Unwatched,
            };
            Some((Source::StaleBeat { agent: i as u16 }, fault))
        })
    }

    fn line_fault(&self, lines: &[LineSample]) -> Option<(usize, LineFault)> {
        (0..self.config.lines.len())
            .find_map(|i| Some((i, lines.get(i).copied().unwrap_or(Err(LineFault::Unsampled)).err()?)))
    }
}

/// What is wrong with a beat. An agent that has not beaten yet has its limit from the arming on.
fn beat_fault(now: Ts, beat: Ts, limit_ns: u64, grace_from: Ts) -> Option<Fault> {
    let ahead_ns = beat.since_ns(now);
    if ahead_ns > limit_ns {
        return Some(Fault::Ahead { ahead_ns, limit_ns });
    }
    let age_ns = now.since_ns(beat.max(grace_from));
    (age_ns > limit_ns).then_some(Fault::Stale { age_ns, limit_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const GOOD: Inputs<'_> =
        Inputs { lines: &[Ok(()), Ok(())], beats: &[], signal: false, panicked: None, command: None };

    fn logic(agents: &[u64]) -> KillLogic {
        let agents = agents.iter().enumerate();
        let agents = agents.map(|(i, limit_ns)| Watched { agent: format!("agent{i}"), limit_ns: *limit_ns });
        let mut logic = KillLogic::new(KillConfig {
            lines: vec!["estop".into(), "door".into()],
            agents: agents.collect(),
            threads: vec!["hot".into(), "cold".into()],
            ack_deadline_ns: 5 * MS,
            settle_ns: 0,
        });
        assert_eq!(logic.state(), State::Acked);
        logic.arm(Ts(1_000 * MS));
        logic
    }

    fn tripped(inputs: &Inputs<'_>) -> (Source, Fault) {
        let mut logic = logic(&[]);
        let trip = logic.poll(Ts(1_001 * MS), inputs).expect("a trip");
        assert_eq!((logic.state(), trip.ts), (State::Tripped, Ts(1_001 * MS)));
        // Nothing trips twice.
        assert_eq!(logic.poll(Ts(1_002 * MS), inputs), None);
        (trip.source, trip.fault)
    }

    #[test]
    fn each_source_trips_on_its_first_bad_sample() {
        assert_eq!(logic(&[]).poll(Ts(1_001 * MS), &GOOD), None);
        let faults = [
            LineFault::Open { byte: b'0' },
            LineFault::Empty,
            LineFault::Missing,
            LineFault::Io { errno: libc::ENODEV },
        ];
        for fault in faults {
            for line in 0..2u16 {
                let mut samples = [Ok(()), Ok(())];
                samples[line as usize] = Err(fault);
                let got = tripped(&Inputs { lines: &samples, ..GOOD });
                assert_eq!(got, (Source::Line { line }, Fault::Line(fault)));
            }
        }
        let unsampled = (Source::Line { line: 1 }, Fault::Line(LineFault::Unsampled));
        assert_eq!(tripped(&Inputs { lines: &[Ok(())], ..GOOD }), unsampled);
        assert_eq!(tripped(&Inputs { signal: true, ..GOOD }), (Source::Signal, Fault::Asked));
        let panicked = tripped(&Inputs { panicked: Some(1), ..GOOD });
        assert_eq!(panicked, (Source::Panic { thread: 1 }, Fault::Panicked));
        for source in [Source::Command, Source::Test] {
            assert_eq!(tripped(&Inputs { command: Some(source), ..GOOD }), (source, Fault::Asked));
        }
    }

    #[test]
    fn a_stale_beat_trips_past_its_limit() {
        let start = 1_000 * MS;
        let beats = |a: u64, b: u64| [Ts(a), Ts(b)];
        let poll = |now: u64, beats: &[Ts]| {
            let mut logic = logic(&[2 * MS, 3 * MS]);
            logic.poll(Ts(now), &Inputs { beats, ..GOOD }).map(|trip| (trip.source, trip.fault))
        };
        // Never beaten: the limit counts from the arming.
        assert_eq!(poll(start + 2 * MS, &beats(0, 0)), None);
        let stale = Fault::Stale { age_ns: 2 * MS + 1, limit_ns: 2 * MS };
        assert_eq!(poll(start + 2 * MS + 1, &beats(0, 0)), Some((Source::StaleBeat { agent: 0 }, stale)));
        let now = start + 50 * MS;
        assert_eq!(poll(now, &beats(now - 2 * MS, now - 3 * MS)), None);
        let stale = Fault::Stale { age_ns: 3 * MS + 1, limit_ns: 3 * MS };
        assert_eq!(poll(now, &beats(now, now - 3 * MS - 1)), Some((Source::StaleBeat { agent: 1 }, stale)));
        // A beat from the future must not hide a dead agent for as long.
        assert_eq!(poll(now, &beats(now + MS, now)), None);
        assert!(matches!(poll(now, &beats(u64::MAX, now)), Some((_, Fault::Ahead { .. }))));
        // A beat that nobody passes on is a dead agent.
        assert_eq!(poll(now, &[Ts(now)]), Some((Source::StaleBeat { agent: 1 }, Fault::Unwatched)));
    }

    #[test]
    fn the_gate_shuts_by_acknowledgement_or_by_abort() {
        let bad = Inputs { signal: true, ..GOOD };
        let t = |ms: u64| Ts(1_000 * MS + ms * MS);
        let mut by_ack = logic(&[]);
        assert_eq!(by_ack.settle(t(0), true, false), Settle::Idle);
        by_ack.poll(t(0), &bad).unwrap();
        assert_eq!(by_ack.deadline(), t(5));
        assert_eq!(by_ack.settle(t(1), false, false), Settle::Wait);
        assert_eq!(by_ack.settle(t(2), true, false), Settle::Shut);
        assert_eq!((by_ack.state(), by_ack.settle(t(3), true, false)), (State::Acked, Settle::Idle));

        let mut by_abort = logic(&[]);
        by_abort.poll(t(0), &bad).unwrap();
        assert_eq!(by_abort.settle(Ts(t(5).0 - 1), false, false), Settle::Wait);
        assert_eq!(by_abort.settle(t(5), false, false), Settle::Abort);
        // An abort that failed is asked for again.
        assert_eq!(by_abort.settle(t(6), false, true), Settle::Abort);
        assert_eq!(by_abort.settle(t(6), true, true), Settle::Shut);
        assert_eq!(by_abort.state(), State::Aborted);
    }

    #[test]
    fn health_has_no_grace_and_closed_time_starts_anew() {
        let mut logic = logic(&[MS]);
        logic.poll(Ts(1_000 * MS), &Inputs { signal: true, ..GOOD }).unwrap();
        assert_eq!(logic.closed_ns(Ts(1_004 * MS)), 4 * MS);
        let open = [Ok(()), Err(LineFault::Empty)];
        assert_eq!(logic.poll(Ts(1_005 * MS), &Inputs { lines: &open, ..GOOD }), None);
        assert_eq!(logic.closed_ns(Ts(1_006 * MS)), 0);
        assert_eq!(logic.poll(Ts(1_007 * MS), &GOOD), None);
        assert_eq!(logic.closed_ns(Ts(1_009 * MS)), 2 * MS);
        let now = Ts(1_009 * MS);
        assert!(logic.health(now, &Inputs { beats: &[Ts(0)], ..GOOD }).is_err());
        assert!(logic.health(now, &Inputs { beats: &[now], ..GOOD }).is_ok());
        assert!(logic.health(now, &Inputs { beats: &[now], lines: &open, ..GOOD }).is_err());
    }
}
