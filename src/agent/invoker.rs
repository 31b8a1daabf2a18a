//! Steps agents in a fixed order without a thread of its own.

use wire::Ts;

use crate::{Agent, Clock, Cycle, CycleSink, Pulse};

/// What an agent did in its life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentTotals {
    /// Its name.
    pub name: String,
    /// Duty cycles run.
    pub cycles: u64,
    /// Sum of what they returned.
    pub work: u64,
    /// Longest of them, ns.
    pub longest_ns: u64,
    /// Time in those that found work, ns.
    pub busy_ns: u64,
    /// Those that took longer than the bound.
    pub slow: u64,
}

/// Agents of one thread, in the order in which each turn steps them.
pub struct Invoker<'a, S: CycleSink> {
    agents: Vec<Seat<'a>>,
    clock: Clock,
    sink: S,
    running: usize,
    slow_ns: u64,
}

struct Seat<'a> {
    agent: Box<dyn Agent + 'a>,
    totals: AgentTotals,
    /// What goes out with the next beat; `now` is the time of the last.
    pulse: Pulse,
}

impl<'a, S: CycleSink> Invoker<'a, S> {
    /// Takes the agents in stepping order.
    pub fn new(agents: Vec<Box<dyn Agent + 'a>>, clock: Clock, sink: S) -> Invoker<'a, S> {
        let seat = |agent: Box<dyn Agent + 'a>| Seat {
            totals: AgentTotals { name: agent.name().to_owned(), ..AgentTotals::default() },
            agent,
            pulse: Pulse::default(),
        };
        let slow_ns = Cycle::SLOW_NS;
        Invoker { agents: agents.into_iter().map(seat).collect(), clock, sink, running: 0, slow_ns }
    }

    /// Counts cycles that take longer than `ns` as slow, instead of [`Cycle::SLOW_NS`].
    pub fn with_slow_ns(mut self, ns: u64) -> Self {
        self.slow_ns = ns;
        self
    }

    /// Calls `on_start` of each agent in order.
    pub fn start(&mut self) {
        for i in 0..self.agents.len() {
            self.running = i;
            let now = self.clock.now();
            self.agents[i].agent.on_start(now);
        }
    }

    // ---- per turn: from here to `close` nothing allocates ----

    /// One turn: every agent once, in order. Returns the work done by all. The end of one agent's cycle is
    /// the start of the next one's, so a turn of `n` agents reads the clock `n + 1` times.
    #[inline]
    pub fn step(&mut self) -> usize {
        let mut work = 0usize;
        let mut now = self.clock.now();
        for i in 0..self.agents.len() {
            let done;
            (done, now) = self.cycle(i, now);
            work = work.saturating_add(done);
        }
        work
    }

    /// One duty cycle of agent `i` alone, for runs that choose their own interleaving. An unknown `i` does
    /// nothing.
    #[inline]
    pub fn step_agent(&mut self, i: usize) -> usize {
        let now = self.clock.now();
        self.cycle(i, now).0
    }

    /// A cycle of agent `i` that starts at `started`: the work done, and when it ended.
    #[inline]
    fn cycle(&mut self, i: usize, started: Ts) -> (usize, Ts) {
        let Some(seat) = self.agents.get_mut(i) else { return (0, started) };
        self.running = i;
        seat.totals.cycles += 1;
        let mut cycle = Cycle::at(started, &self.clock, i, seat.totals.cycles, &mut self.sink);
        let work = seat.agent.do_work(&mut cycle);
        self.sink.end(i, seat.totals.cycles, started);
        let now = self.clock.now();
        seat.account(i, started, now, work, self.slow_ns, &mut self.sink);
        (work, now)
    }

    // ---- after the last turn ----

    /// Calls `on_close` of each agent in order.
    pub fn close(&mut self) {
        for i in 0..self.agents.len() {
            self.close_agent(i);
        }
    }

    /// Calls `on_close` of agent `i`.
    pub(crate) fn close_agent(&mut self, i: usize) {
        self.running = i;
        let now = self.clock.now();
        if let Some(seat) = self.agents.get_mut(i) {
            seat.agent.on_close(now);
            self.sink.closed(i, seat.totals.cycles + 1, now);
            self.sink.ended(i, false);
            seat.settle();
        }
    }

    /// Number of agents.
    pub fn len(&self) -> usize {
        self.agents.len()
    }

    /// Whether there is no agent.
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    /// Index of the agent that is running or ran last.
    pub fn running(&self) -> usize {
        self.running
    }

    /// What agent `i` did so far.
    pub fn totals(&self, i: usize) -> Option<&AgentTotals> {
        self.agents.get(i).map(|seat| &seat.totals)
    }

    /// What every agent did so far, in stepping order.
    pub fn all_totals(&self) -> impl Iterator<Item = &AgentTotals> {
        self.agents.iter().map(|seat| &seat.totals)
    }

    /// The sink.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }
}

impl Seat<'_> {
    #[inline]
    fn account<S: CycleSink>(
        &mut self,
        i: usize,
        started: Ts,
        now: Ts,
        work: usize,
        slow_ns: u64,
        sink: &mut S,
    ) {
        let cycle_ns = now.since_ns(started);
        self.totals.work = self.totals.work.wrapping_add(work as u64);
        let pulse = &mut self.pulse;
        pulse.work = pulse.work.saturating_add(work);
        pulse.longest_ns = pulse.longest_ns.max(cycle_ns);
        if work > 0 {
            pulse.busy_ns += cycle_ns;
        }
        pulse.slow += (cycle_ns > slow_ns) as u64;
        let longest = cycle_ns > self.totals.longest_ns;
        if longest || self.totals.cycles == 1 || now.since_ns(pulse.now) >= Cycle::BEAT_NS {
            (pulse.now, pulse.cycle, pulse.slow_ns) = (now, self.totals.cycles, slow_ns);
            sink.beat(i, pulse);
            self.settle();
        }
    }

    /// What has gone out with a beat, or never will, belongs to the totals.
    fn settle(&mut self) {
        let Pulse { now, longest_ns, busy_ns, slow, .. } = self.pulse;
        self.totals.longest_ns = self.totals.longest_ns.max(longest_ns);
        self.totals.busy_ns += busy_ns;
        self.totals.slow += slow;
        self.pulse = Pulse { now, ..Pulse::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RingId, VirtualClock};
    use std::cell::RefCell;
    use std::rc::Rc;

    type Log = Rc<RefCell<Vec<String>>>;

    struct Teller {
        name: &'static str,
        log: Log,
        time: VirtualClock,
        takes_ns: u64,
    }

    impl Agent for Teller {
        fn name(&self) -> &str {
            self.name
        }
        fn on_start(&mut self, _: Ts) {
            self.log.borrow_mut().push(format!("{} start", self.name));
        }
        fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
            self.log.borrow_mut().push(format!("{} {}", self.name, cycle.number()));
            cycle.consumed(RingId(7), 2);
            cycle.consumed(RingId(3), 1);
            self.time.advance_ns(self.takes_ns);
            3
        }
        fn on_close(&mut self, _: Ts) {
            self.log.borrow_mut().push(format!("{} close", self.name));
        }
    }

    #[derive(Default)]
    struct Seen {
        records: Vec<(usize, u64, u16, u32)>,
        beats: Vec<(usize, u64, u64, usize, u64)>,
    }

    impl CycleSink for Seen {
        fn record(&mut self, agent: usize, cycle: u64, ring: RingId, count: u32) {
            self.records.push((agent, cycle, ring.0, count));
        }
        fn beat(&mut self, agent: usize, p: &Pulse) {
            self.beats.push((agent, p.now.0, p.cycle, p.work, p.longest_ns));
        }
    }

    fn two(time: &VirtualClock, takes_ns: u64) -> (Log, Invoker<'static, Seen>) {
        let log: Log = Log::default();
        let agent = |name| -> Box<dyn Agent> {
            Box::new(Teller { name, log: log.clone(), time: time.clone(), takes_ns })
        };
        let agents = vec![agent("feed"), agent("oms")];
        let invoker = Invoker::new(agents, Clock::Virtual(time.clone()), Seen::default());
        (log, invoker)
    }

    #[test]
    fn order_is_the_order_given_and_records_follow_it() {
        let (log, mut invoker) = two(&VirtualClock::new(Ts(0)), 10);
        invoker.start();
        assert_eq!(invoker.step(), 6);
        assert_eq!(invoker.step(), 6);
        assert_eq!(invoker.step_agent(1), 3);
        assert_eq!(invoker.step_agent(9), 0);
        invoker.close();
        let want = [
            "feed start",
            "oms start",
            "feed 1",
            "oms 1",
            "feed 2",
            "oms 2",
            "oms 3",
            "feed close",
            "oms close",
        ];
        assert_eq!(*log.borrow(), want);
        let want = [(0, 1), (1, 1), (0, 2), (1, 2), (1, 3)].map(|(a, c)| [(a, c, 7, 2), (a, c, 3, 1)]);
        assert_eq!(invoker.sink_mut().records, want.concat());
    }

    #[test]
    fn beats_come_by_time_and_at_a_new_longest_cycle() {
        let time = VirtualClock::new(Ts(1_000_000));
        let (_, mut invoker) = two(&time, 1_000);
        for _ in 0..50 {
            invoker.step_agent(0);
        }
        // The first cycle is the longest so far; the next 49 are equal and within 100 us of it.
        assert_eq!(invoker.sink_mut().beats, [(0, 1_001_000, 1, 3, 1_000)]);
        time.advance_ns(60_000);
        invoker.step_agent(0);
        assert_eq!(invoker.sink_mut().beats[1..], [(0, 1_111_000, 51, 150, 1_000)]);
        assert_eq!(invoker.totals(0).map(|t| (t.cycles, t.work, t.longest_ns)), Some((51, 153, 1_000)));
    }

    #[test]
    fn busy_time_and_slow_cycles_are_counted_whole() {
        /// Finds work in every second cycle; the n-th takes n us.
        struct Uneven(VirtualClock);
        impl Agent for Uneven {
            fn name(&self) -> &str {
                "uneven"
            }
            fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
                self.0.advance_ns(cycle.number() * 1_000);
                (cycle.number() % 2 * 3) as usize
            }
        }
        #[derive(Default)]
        struct Sum(Pulse, u64);
        impl CycleSink for Sum {
            fn record(&mut self, _: usize, _: u64, _: RingId, _: u32) {}
            fn beat(&mut self, _: usize, p: &Pulse) {
                self.0 = Pulse {
                    work: self.0.work + p.work,
                    busy_ns: self.0.busy_ns + p.busy_ns,
                    slow: self.0.slow + p.slow,
                    longest_ns: self.0.longest_ns.max(p.longest_ns),
                    ..*p
                };
                self.1 += 1;
            }
        }
        for cycles in [1u64, 7, 150, 151] {
            let time = VirtualClock::new(Ts(0));
            let agents: Vec<Box<dyn Agent>> = vec![Box::new(Uneven(time.clone()))];
            let mut invoker = Invoker::new(agents, Clock::Virtual(time), Sum::default()).with_slow_ns(50_000);
            for _ in 0..cycles {
                invoker.step();
            }
            invoker.close();
            let odd_us: u64 = (1..=cycles).step_by(2).sum();
            let want = (odd_us * 1_000, cycles.saturating_sub(50), cycles * 1_000);
            let totals = invoker.totals(0).expect("one").clone();
            assert_eq!((totals.busy_ns, totals.slow, totals.longest_ns), want, "{cycles} cycles");
            // Every cycle is longer than all before: each has beaten, so the beats say the same.
            let Sum(told, beats) = invoker.sink_mut();
            assert_eq!((told.busy_ns, told.slow, told.longest_ns), want, "{cycles} cycles");
            assert_eq!((*beats, told.slow_ns, told.cycle), (cycles, 50_000, cycles));
        }
        // Equal cycles: most go out together, and none is counted twice or lost.
        let time = VirtualClock::new(Ts(0));
        let (_, mut invoker) = two(&time, 60_000);
        for _ in 0..9 {
            invoker.step_agent(0);
        }
        invoker.close();
        let totals = invoker.totals(0).expect("two");
        assert_eq!((totals.busy_ns, totals.slow), (9 * 60_000, 0), "60 us is within the usual bound");
    }

    #[test]
    fn a_longer_cycle_beats_at_once() {
        let time = VirtualClock::new(Ts(0));
        struct Growing(VirtualClock);
        impl Agent for Growing {
            fn name(&self) -> &str {
                "growing"
            }
            fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
                self.0.advance_ns(cycle.number());
                0
            }
        }
        let agents: Vec<Box<dyn Agent>> = vec![Box::new(Growing(time.clone()))];
        let mut invoker = Invoker::new(agents, Clock::Virtual(time), Seen::default());
        for _ in 0..10 {
            invoker.step();
        }
        let longest: Vec<u64> = invoker.sink_mut().beats.iter().map(|b| b.4).collect();
        assert_eq!(longest, (1..=10).collect::<Vec<u64>>());
    }
}
