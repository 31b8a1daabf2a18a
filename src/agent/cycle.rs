//! The contract of a duty cycle: who works, what it is given, where it reports.

use wire::Ts;

use crate::Clock;

/// Number of a ring in the topology's table; names the source of an interleaving record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingId(pub u16);

/// A stage of the engine: polls its inputs, runs pure logic, publishes outputs.
///
/// Setup allocates, maps and validates before the agent is handed to a runner. From `do_work` on nothing
/// allocates, blocks or formats.
pub trait Agent {
    /// Name in the topology's table, for reports. Constant for the life of the agent.
    fn name(&self) -> &str;

    /// Called once on the agent's own thread, already pinned, before the first cycle.
    fn on_start(&mut self, now: Ts) {
        let _ = now;
    }

    /// One duty cycle; returns how much was done, 0 = idle. Bounded: see [`Cycle::room`].
    fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize;

    /// Called once on the agent's own thread after the last cycle; not called on an agent that panicked.
    fn on_close(&mut self, now: Ts) {
        let _ = now;
    }
}

impl<A: Agent + ?Sized> Agent for Box<A> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn on_start(&mut self, now: Ts) {
        (**self).on_start(now);
    }

    fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
        (**self).do_work(cycle)
    }

    fn on_close(&mut self, now: Ts) {
        (**self).on_close(now);
    }
}

impl<A: Agent + ?Sized> Agent for &mut A {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn on_start(&mut self, now: Ts) {
        (**self).on_start(now);
    }

    fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
        (**self).do_work(cycle)
    }

    fn on_close(&mut self, now: Ts) {
        (**self).on_close(now);
    }
}

/// A heartbeat: how far an agent is, and what its duty cycles since the beat before were like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// When the cycle ended.
    pub now: Ts,
    /// Its number.
    pub cycle: u64,
    /// Work done since the beat before.
    pub work: usize,
    /// Longest cycle since the beat before, ns.
    pub longest_ns: u64,
    /// Time since the beat before in cycles that found work, ns.
    pub busy_ns: u64,
    /// Cycles since the beat before that took longer than `slow_ns`.
    pub slow: u64,
    /// What counts as long, ns.
    pub slow_ns: u64,
}

/// Where a thread's agents report. One sink a thread, called on that thread; it must not allocate or block.
///
/// `agent` is the index in the order given to the invoker.
pub trait CycleSink: Send {
    /// Cycle `cycle` of agent `agent`, which began at `now`, is over. Called every cycle: a comparison while nothing
    /// happens. Not called for an agent that panicked.
    #[inline]
    fn end(&mut self, agent: usize, cycle: u64, now: Ts) {
        let _ = (agent, cycle, now);
    }

    /// The agent's `on_close`, which began at `now`, is over; `cycle` is one more than its last.
    fn closed(&mut self, agent: usize, cycle: u64, now: Ts) {
        let _ = (agent, cycle, now);
    }

    /// In cycle `cycle` agent `agent` took `count` (> 0) messages from `ring`. Calls come in the order in
    /// which the agent reported: this is the interleaving that replay follows.
    fn record(&mut self, agent: usize, cycle: u64, ring: RingId, count: u32);

    /// Heartbeat at the end of a cycle: at most every [`Cycle::BEAT_NS`], and always when the cycle was the agent's
    /// longest so far.
    fn beat(&mut self, agent: usize, pulse: &Pulse);

    /// Agent `agent` will not run again: its `on_close` has returned, or it has panicked. The last word about it.
    fn ended(&mut self, agent: usize, by_panic: bool) {
        let _ = (agent, by_panic);
    }
}

impl<S: CycleSink + ?Sized> CycleSink for Box<S> {
    #[inline]
    fn end(&mut self, agent: usize, cycle: u64, now: Ts) {
        (**self).end(agent, cycle, now);
    }

    fn closed(&mut self, agent: usize, cycle: u64, now: Ts) {
        (**self).closed(agent, cycle, now);
    }

    fn record(&mut self, agent: usize, cycle: u64, ring: RingId, count: u32) {
        (**self).record(agent, cycle, ring, count);
    }

    fn beat(&mut self, agent: usize, pulse: &Pulse) {
        (**self).beat(agent, pulse);
    }

    fn ended(&mut self, agent: usize, by_panic: bool) {
        (**self).ended(agent, by_panic);
    }
}

/// Two sinks side by side, told in this order.
impl<A: CycleSink, B: CycleSink> CycleSink for (A, B) {
    #[inline]
    fn end(&mut self, agent: usize, cycle: u64, now: Ts) {
        self.0.end(agent, cycle, now);
        self.1.end(agent, cycle, now);
    }

    fn closed(&mut self, agent: usize, cycle: u64, now: Ts) {
        self.0.closed(agent, cycle, now);
        self.1.closed(agent, cycle, now);
    }

    #[inline]
    fn record(&mut self, agent: usize, cycle: u64, ring: RingId, count: u32) {
        self.0.record(agent, cycle, ring, count);
        self.1.record(agent, cycle, ring, count);
    }

    fn beat(&mut self, agent: usize, pulse: &Pulse) {
        self.0.beat(agent, pulse);
        self.1.beat(agent, pulse);
    }

    fn ended(&mut self, agent: usize, by_panic: bool) {
        self.0.ended(agent, by_panic);
        self.1.ended(agent, by_panic);
    }
}

/// Nobody listens: for benches and tests that look elsewhere.
impl CycleSink for () {
    fn record(&mut self, _: usize, _: u64, _: RingId, _: u32) {}

    fn beat(&mut self, _: usize, _: &Pulse) {}
}

/// What an agent is given for one duty cycle.
pub struct Cycle<'a> {
    now: Ts,
    number: u64,
    agent: usize,
    clock: &'a Clock,
    sink: &'a mut dyn CycleSink,
}

impl<'a> Cycle<'a> {
    /// Most messages that one cycle handles.
    pub const LIMIT: usize = 64;

    /// Longest that one cycle goes on taking messages, ns.
    pub const BUDGET_NS: u64 = 20_000;

    /// A cycle that took longer counts as slow unless the thread is told otherwise, ns: five budgets.
    pub const SLOW_NS: u64 = 100_000;

    /// Shortest time between two heartbeats of an agent, ns.
    pub const BEAT_NS: u64 = 100_000;

    /// A cycle outside an invoker, for testing an agent by itself. Reads the clock once.
    pub fn new(clock: &'a Clock, agent: usize, number: u64, sink: &'a mut dyn CycleSink) -> Cycle<'a> {
        Cycle::at(clock.now(), clock, agent, number, sink)
    }

    /// A cycle that starts at a time already read.
    #[inline]
    pub(crate) fn at(
        now: Ts,
        clock: &'a Clock,
        agent: usize,
        number: u64,
        sink: &'a mut dyn CycleSink,
    ) -> Cycle<'a> {
        Cycle { now, number, agent, clock, sink }
    }

    /// Engine time at the start of this cycle, read once.
    #[inline]
    pub fn now(&self) -> Ts {
        self.now
    }

    /// Number of this cycle of this agent, from 1.
    #[inline]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Reads the clock again. For stage stamps only: logic decides on [`Cycle::now`], on the time of its event, or on
    /// a stamp that its tape has recorded.
    #[inline]
    pub fn stamp(&self) -> Ts {
        self.clock.now()
    }

    /// Reports `count` messages taken from `ring`. Nothing is reported for 0.
    #[inline]
    pub fn consumed(&mut self, ring: RingId, count: u32) {
        if count > 0 {
            self.sink.record(self.agent, self.number, ring, count);
        }
    }

    /// Whether this cycle may take another message after `done`: fewer than [`Cycle::LIMIT`] and within
    /// [`Cycle::BUDGET_NS`]. The clock is read at every eighth message only, so that the bound costs an eighth
    /// of a clock read a message and overshoots by at most eight messages.
    #[inline]
    pub fn room(&self, done: usize) -> bool {
        if !done.is_multiple_of(8) || done == 0 {
            return done < Self::LIMIT;
        }
        done < Self::LIMIT && self.stamp().since_ns(self.now) < Self::BUDGET_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VirtualClock;

    #[test]
    fn a_cycle_is_bounded_in_messages_and_in_time() {
        let time = VirtualClock::new(Ts(1));
        let clock = Clock::Virtual(time.clone());
        let mut sink = ();
        let cycle = Cycle::new(&clock, 0, 1, &mut sink);
        let mut done = 0;
        while cycle.room(done) {
            done += 1;
        }
        assert_eq!(done, Cycle::LIMIT);

        let cycle = Cycle::new(&clock, 0, 2, &mut sink);
        let mut done = 0;
        while cycle.room(done) {
            done += 1;
            time.advance_ns(1_500);
        }
        assert_eq!(done, 16, "20 us at 1.5 us a message, seen at the next eighth");
        assert_eq!(cycle.now(), Ts(1), "now stands still");
        assert_eq!(cycle.stamp(), Ts(1 + 16 * 1_500));
    }

    #[test]
    fn nothing_consumed_is_not_a_record() {
        struct Count(usize);
        impl CycleSink for Count {
            fn record(&mut self, _: usize, _: u64, _: RingId, _: u32) {
                self.0 += 1;
            }
            fn beat(&mut self, _: usize, _: &Pulse) {}
        }
        let clock = Clock::Virtual(VirtualClock::new(Ts(0)));
        let mut sink = Count(0);
        let mut cycle = Cycle::new(&clock, 0, 1, &mut sink);
        cycle.consumed(RingId(1), 0);
        cycle.consumed(RingId(1), 3);
        assert_eq!(sink.0, 1);
    }
}
