//! How many new orders may leave: a leaky bucket, so that the gate's need not refuse any.

use wire::Ts;

/// At most `rate` a second, and `burst` at once after a pause.
///
/// One number says it all: the time at which the bucket would be empty of debt (the virtual scheduling form of the
/// leaky bucket, ITU-T I.371).
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    interval_ns: u64,
    slack_ns: u64,
    due: Ts,
}

impl Pace {
    /// Both 1 and more.
    pub(super) fn new(rate_per_s: u32, burst: u32) -> Pace {
        let interval_ns = 1_000_000_000u64.div_ceil(rate_per_s.max(1) as u64);
        Pace { interval_ns, slack_ns: interval_ns * (burst.max(1) as u64 - 1), due: Ts(0) }
    }

    /// Whether one more may leave now.
    #[inline]
    pub(super) fn allows(&self, now: Ts) -> bool {
        self.due.since_ns(now) <= self.slack_ns
    }

    /// One has left.
    #[inline]
    pub(super) fn spend(&mut self, now: Ts) {
        self.due = self.due.max(now).plus_ns(self.interval_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let mut pace = Pace::new(10, 3);
        let mut sent = Vec::new();
        for ms in 0..1_000u64 {
            let now = Ts((5_000 + ms) * 1_000_000);
            while pace.allows(now) {
                pace.spend(now);
                sent.push(ms);
            }
        }
        assert_eq!(sent, [0, 0, 0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
        // After a pause the burst is back, and no more than it.
        let now = Ts(60_000_000_000);
        let mut n = 0;
        while pace.allows(now) {
            pace.spend(now);
            n += 1;
        }
        assert_eq!(n, 3);
    }
}
