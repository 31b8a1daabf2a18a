//! The machine meanwhile: a cache line from core to core, and what a loop that does nothing lost to others.

use std::time::Duration;

use agent::probe;

use crate::verdict::median;

/// Round trips of a look.
const ROUNDS: usize = 2_000;
/// How long the loop that does nothing runs in a look.
const SPIN: Duration = Duration::from_millis(20);

/// Looks at it: cache lines before the first round and after the last, lost time after each as well.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    line_ns: Vec<f64>,
    spun_ns: u64,
    lost_ns: u64,
    lost_max_ns: u64,
}

impl Machine {
    /// Sends cache lines: 5 ms on a free machine; on a crowded one its two threads seldom run at once, and it takes
    /// seconds.
    pub(crate) fn send_lines(&mut self) {
        let cores = agent::cpu::allowed_cores();
        if let (Some(&a), Some(&b)) = (cores.first(), cores.last()) {
            // Without a second core, or with none free, there is no figure to stand beside the others.
            self.line_ns.extend(probe::cache_line_ns(a, b, ROUNDS).ok().map(|r| r.p50_ns));
        }
    }

    /// Does nothing for 20 ms, and sees how much of it was lost.
    pub(crate) fn spin(&mut self) {
        let lost = probe::hiccup(SPIN);
        self.spun_ns += lost.elapsed_ns;
        self.lost_ns += lost.lost_ns;
        self.lost_max_ns = self.lost_max_ns.max(lost.max_ns);
    }

    /// Median, lowest and highest time of a cache line, ns; `None` without two cores.
    pub(crate) fn line_ns(&self) -> Option<[f64; 3]> {
        let lowest = self.line_ns.iter().copied().reduce(f64::min)?;
        let highest = self.line_ns.iter().copied().reduce(f64::max)?;
        Some([median(&self.line_ns), lowest, highest])
    }

    /// Part of its time that a busy loop lost, 0..=1.
    pub(crate) fn lost(&self) -> f64 {
        self.lost_ns as f64 / self.spun_ns.max(1) as f64
    }

    /// Longest time it lost at once, ns.
    pub(crate) fn lost_max_ns(&self) -> u64 {
        self.lost_max_ns
    }
}
