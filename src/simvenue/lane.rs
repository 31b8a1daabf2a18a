//! One direction of a connection through the proxy, and what its plan does to the bytes.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use super::plan::{Fault, FaultKind, Trigger};

/// Bytes held back at most; beyond them nothing is read, as behind a slow network.
const HELD_BYTES_MAX: usize = 64 * 1024;
/// Time between two slices.
const SLICE_GAP: Duration = Duration::from_micros(500);

/// What became of one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// It goes on.
    On,
    /// The direction has ended: say so to whoever it led to.
    End,
    /// The whole connection is to be reset.
    Reset,
}

/// Bytes on their way.
struct Held {
    due: Instant,
    bytes: VecDeque<u8>,
}

/// A direction.
pub(super) struct Lane {
    plan: VecDeque<Fault>,
    /// The fault that lasts, and until when.
    lasting: Option<(Fault, Instant)>,
    /// Whether the lasting fault has struck anything yet.
    struck: bool,
    /// Since when the network is noisy for this lane, and bytes that have passed since.
    noisy: Option<(Instant, u64)>,
    held: VecDeque<Held>,
    held_bytes: usize,
    /// When the next slice may leave.
    next_slice: Option<Instant>,
    corrupt: bool,
    /// Bytes vanish from here on.
    swallows: bool,
    has_swallowed: bool,
    /// The far end of this direction will hear nothing more.
    ended: bool,
    /// Whoever sends has ended.
    eof: bool,
    blocked: bool,
}

impl Lane {
    pub(super) fn new(plan: Vec<Fault>) -> Lane {
        Lane {
            plan: plan.into(),
            lasting: None,
            struck: false,
            noisy: None,
            held: VecDeque::new(),
            held_bytes: 0,
            next_slice: None,
            corrupt: false,
            swallows: false,
            has_swallowed: false,
            ended: false,
            eof: false,
            blocked: false,
        }
    }

    /// The network becomes noisy, or quiet: then every fault ends.
    pub(super) fn turn(&mut self, noisy: bool, now: Instant) {
        self.noisy = noisy.then_some((now, 0));
        if !noisy {
            self.lasting = None;
            self.corrupt = false;
            self.next_slice = None;
            self.held.iter_mut().for_each(|held| held.due = now);
        }
    }

    /// Whether bytes have vanished, or would: what comes after them is of no use to anybody.
    pub(super) fn has_lost(&self) -> bool {
        self.swallows
    }

    /// Whether nothing more will pass.
    pub(super) fn has_ended(&self) -> bool {
        self.ended && self.eof
    }

    /// Whether it reads.
    pub(super) fn takes(&self) -> bool {
        !self.eof && !self.is_stalled() && self.held_bytes < HELD_BYTES_MAX
    }

    /// Whether it waits until its far end takes bytes.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether it has something to do when time has passed.
    pub(super) fn holds(&self) -> bool {
        self.held_bytes > 0 || self.lasting.is_some()
    }

    fn is(&self, kind: FaultKind) -> Option<Fault> {
        self.lasting.map(|(fault, _)| fault).filter(|fault| fault.kind == kind)
    }

    fn is_stalled(&self) -> bool {
        self.is(FaultKind::Stall).is_some()
    }

    /// Reads, holds and writes as the plan wants it; `count` is told of every fault that strikes.
    pub(super) fn pass(
        &mut self,
        read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
        write: &mut dyn FnMut(&[u8]) -> io::Result<usize>,
        now: Instant,
        count: &mut dyn FnMut(FaultKind),
    ) -> Passed {
        let mut end = false;
        match self.strike(now, count) {
            Passed::Reset => return Passed::Reset,
            Passed::End => end = true,
            Passed::On => {}
        }
        if self.take(read, now, count).is_err() || self.give(write, now, count).is_err() {
            return Passed::Reset;
        }
        if self.eof && self.held_bytes == 0 && !self.ended {
            self.ended = true;
            end = true;
        }
        if end { Passed::End } else { Passed::On }
    }

    /// Begins what is due, and ends what is over.
    fn strike(&mut self, now: Instant, count: &mut dyn FnMut(FaultKind)) -> Passed {
        if self.lasting.is_some_and(|(_, until)| until <= now) {
            self.lasting = None;
            self.next_slice = None;
        }
        let Some((since, bytes)) = self.noisy else { return Passed::On };
        let due = |fault: &Fault| match fault.at {
            Trigger::Ms(ms) => now.duration_since(since) >= Duration::from_millis(ms as u64),
            Trigger::Bytes(n) => bytes >= n as u64,
        };
        // One after the other: a second one waits for the first to end.
        if self.lasting.is_some() || !self.plan.front().is_some_and(due) {
            return Passed::On;
        }
        let Some(fault) = self.plan.pop_front() else { return Passed::On };
        match fault.kind {
            FaultKind::Reset => {
                count(FaultKind::Reset);
                return Passed::Reset;
            }
            FaultKind::HalfClose if !self.ended => {
                count(FaultKind::HalfClose);
                (self.ended, self.swallows) = (true, true);
                self.held.clear();
                self.held_bytes = 0;
                return Passed::End;
            }
            FaultKind::Blackhole => self.swallows = true,
            FaultKind::Corrupt => self.corrupt = true,
            FaultKind::Stall => {
                count(FaultKind::Stall);
                self.lasting = Some((fault, now + Duration::from_millis(fault.for_ms as u64)));
            }
            _ => {
                self.struck = false;
                self.lasting = Some((fault, now + Duration::from_millis(fault.for_ms as u64)));
            }
        }
        Passed::On
    }

    /// A lasting fault counts once, when there are bytes for it to strike.
    fn note(&mut self, kind: FaultKind, count: &mut dyn FnMut(FaultKind)) {
        if !std::mem::replace(&mut self.struck, true) {
            count(kind);
        }
    }

    fn take(
        &mut self,
        read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
        now: Instant,
        count: &mut dyn FnMut(FaultKind),
    ) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        if !self.takes() {
            return Ok(());
        }
        let bytes = match read(&mut buffer) {
            Ok(0) => {
                self.eof = true;
                return Ok(());
            }
            Ok(n) => &mut buffer[..n],
            Err(e) if e.kind() == ErrorKind::WouldBlock || e.kind() == ErrorKind::Interrupted => {
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        if let Some((_, passed)) = &mut self.noisy {
            *passed += bytes.len() as u64;
        }
        if self.swallows {
            if !std::mem::replace(&mut self.has_swallowed, true) && !self.ended {
                count(FaultKind::Blackhole);
            }
            return Ok(());
        }
        if std::mem::replace(&mut self.corrupt, false) {
            count(FaultKind::Corrupt);
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }
        let mut due = now;
        if let Some(fault) = self.is(FaultKind::Delay) {
            self.note(FaultKind::Delay, count);
            due += Duration::from_millis(fault.size as u64);
        }
        // Nothing overtakes.
        due = self.held.back().map_or(due, |held| held.due.max(due));
        self.held_bytes += bytes.len();
        self.held.push_back(Held { due, bytes: bytes.iter().copied().collect() });
        Ok(())
    }

    fn give(
        &mut self,
        write: &mut dyn FnMut(&[u8]) -> io::Result<usize>,
        now: Instant,
        count: &mut dyn FnMut(FaultKind),
    ) -> io::Result<()> {
        self.blocked = false;
        if self.is_stalled() {
            return Ok(());
        }
        let slice = match self.lasting.map(|(fault, _)| fault) {
            Some(fault) if fault.kind == FaultKind::SlowLoris => {
                Some((1, Duration::from_millis(fault.size as u64), FaultKind::SlowLoris))
            }
            Some(fault) if fault.kind == FaultKind::Slice => {
                Some((fault.size as usize, SLICE_GAP, FaultKind::Slice))
            }
            _ => None,
        };
        while let Some(held) = self.held.front_mut() {
            if held.due > now || slice.is_some() && self.next_slice.is_some_and(|at| at > now) {
                return Ok(());
            }
            let (front, _) = held.bytes.as_slices();
            let most = slice.map_or(front.len(), |(n, ..)| n.min(front.len()));
            match write(&front[..most]) {
                Ok(n) => {
                    held.bytes.drain(..n);
                    self.held_bytes -= n;
                    if held.bytes.is_empty() {
                        self.held.pop_front();
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock || e.kind() == ErrorKind::Interrupted => {
                    self.blocked = true;
                    return Ok(());
                }
                Err(e) => return Err(e),
            }
            if let Some((_, gap, kind)) = slice {
                self.note(kind, count);
                self.next_slice = Some(now + gap);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A lane, what waits to be read, and what has come out.
    struct Bench {
        lane: Lane,
        input: Vec<u8>,
        output: Vec<u8>,
        writes: Vec<usize>,
        struck: Vec<FaultKind>,
        now: Instant,
        last: Passed,
    }

    impl Bench {
        fn of(kind: FaultKind, at: Trigger, for_ms: u32, size: u32) -> Bench {
            let now = Instant::now();
            let mut lane = Lane::new(vec![Fault { kind, at, for_ms, size }]);
            lane.turn(true, now);
            let (input, output, writes, struck) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            Bench { lane, input, output, writes, struck, now, last: Passed::On }
        }

        /// Lets ms pass, a round each.
        fn pass(&mut self, ms: u32) {
            for _ in 0..ms {
                if self.last == Passed::Reset {
                    return; // there is no connection any more
                }
                self.now += MS;
                let mut read = |buffer: &mut [u8]| match self.input.len() {
                    0 => Err(ErrorKind::WouldBlock.into()),
                    n => {
                        buffer[..n].copy_from_slice(&self.input);
                        self.input.clear();
                        Ok(n)
                    }
                };
                let mut write = |bytes: &[u8]| {
                    self.output.extend_from_slice(bytes);
                    self.writes.push(bytes.len());
                    Ok(bytes.len())
                };
                let mut count = |kind| self.struck.push(kind);
                let passed = self.lane.pass(&mut read, &mut write, self.now, &mut count);
                if passed != Passed::On {
                    self.last = passed;
                }
            }
        }
    }

    #[test]
    fn what_waits_comes_whole_and_in_order() {
        // Kind, its size, when the first byte is out, when all are: ms.
        for (kind, size, first, all) in [
            (FaultKind::Delay, 30, 31, 31),
            (FaultKind::Stall, 0, 52, 52),
            (FaultKind::Slice, 2, 2, 6),
            (FaultKind::SlowLoris, 4, 2, 40),
        ] {
            let mut b = Bench::of(kind, Trigger::Ms(1), 50, size);
            b.pass(1);
            b.input = (0..10).collect();
            let mut out = Vec::new();
            for _ in 2..=70 {
                b.pass(1);
                out.push(b.output.len());
            }
            let at = |n: usize| out.iter().position(|o| *o >= n).expect("all come") + 2;
            assert!(
                at(1).abs_diff(first) <= 1 && at(10).abs_diff(all) <= 2,
                "{kind:?}: {} {}",
                at(1),
                at(10)
            );
            assert_eq!((b.output, b.struck, b.last), ((0..10).collect(), vec![kind], Passed::On), "{kind:?}");
            let most = match kind {
                FaultKind::Slice => 2,
                FaultKind::SlowLoris => 1,
                _ => 10,
            };
            assert_eq!(b.writes.iter().max(), Some(&most), "{kind:?}");
        }
    }

    #[test]
    fn what_is_lost_is_lost_and_what_ends_says_so() {
        for (kind, passed) in [
            (FaultKind::Reset, Passed::Reset),
            (FaultKind::HalfClose, Passed::End),
            (FaultKind::Blackhole, Passed::On),
        ] {
            let mut b = Bench::of(kind, Trigger::Bytes(4), 0, 0);
            b.input = vec![7; 4];
            b.pass(1);
            assert_eq!((b.output.len(), b.last), (4, Passed::On), "{kind:?}");
            b.input = vec![8; 4];
            b.pass(2);
            assert_eq!((b.output.len(), b.last, &b.struck), (4, passed, &vec![kind]), "{kind:?}");
            assert!(kind == FaultKind::Reset || b.lane.has_lost());
            // Quiet or not: it does not come back by itself.
            b.lane.turn(false, b.now);
            b.input = vec![9; 4];
            b.pass(1);
            assert!(kind == FaultKind::Reset || b.output.len() == 4, "{kind:?}");
        }
        let mut b = Bench::of(FaultKind::Corrupt, Trigger::Ms(1), 0, 0);
        b.pass(1);
        b.input = vec![7; 5];
        b.pass(1);
        b.input = vec![7; 5];
        b.pass(1);
        let bits: u32 = b.output.iter().map(|byte| (byte ^ 7).count_ones()).sum();
        assert_eq!((b.output.len(), bits, b.struck), (10, 1, vec![FaultKind::Corrupt]), "one bit, once");
    }

    #[test]
    fn a_quiet_network_has_no_faults_and_lets_go_of_what_it_held() {
        let mut b = Bench::of(FaultKind::Delay, Trigger::Ms(0), 1_000, 500);
        b.input = vec![1; 3];
        b.pass(2);
        assert!(b.output.is_empty() && b.lane.holds());
        b.lane.turn(false, b.now);
        b.pass(1);
        assert_eq!(b.output.len(), 3);
        let mut b = Bench::of(FaultKind::Reset, Trigger::Ms(0), 0, 0);
        b.lane.turn(false, b.now);
        b.pass(10);
        assert_eq!((b.last, b.struck.len()), (Passed::On, 0));
    }
}
