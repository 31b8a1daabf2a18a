//! Exponential back-off with full jitter, seeded, so a test replays the very delays.
//!
//! The wait before attempt `n` is drawn uniformly from `[min, min(max, min * 2^(n+1))]`: the whole window is jitter
//! (no two engines return in step), the floor keeps a fast-failing venue from being hammered. Source: "Exponential
//! Backoff And Jitter", AWS Architecture Blog, 2015-03-04 ("full jitter"), with a floor added.

use crate::ws::MaskKeys;

/// The window and the rule that forgets failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffConfig {
    /// Shortest wait, ms. Zero is taken as one.
    pub min_ms: u32,
    /// Longest wait, ms; not less than `min_ms`.
    pub max_ms: u32,
    /// A connection that lived at least this long, ms, forgets all failures before it. One that died sooner counts
    /// as a failure, so a venue that accepts and hangs up is not hammered.
    pub reset_after_ms: u32,
}

impl Default for BackoffConfig {
    /// 100 ms to 30 s, forgotten after 10 s up: below the usual connection budgets of venues.
    fn default() -> Self {
        Self { min_ms: 100, max_ms: 30_000, reset_after_ms: 10_000 }
    }
}

/// The state of one link's back-off.
#[derive(Clone, Debug)]
pub struct Backoff {
    config: BackoffConfig,
    failures: u32,
    words: MaskKeys,
}

impl Backoff {
    /// No failures yet. Different links should get different seeds.
    #[must_use]
    pub fn new(config: BackoffConfig, seed: u64) -> Self {
        let min_ms = config.min_ms.max(1);
        let config = BackoffConfig { min_ms, max_ms: config.max_ms.max(min_ms), ..config };
        Self { config, failures: 0, words: MaskKeys::new(seed) }
    }

    /// A failed attempt: returns the wait before the next one, ms.
    pub fn failed(&mut self) -> u32 {
        let ceiling_ms = self.ceiling_ms();
        self.failures = self.failures.saturating_add(1);
        let span = u64::from(ceiling_ms - self.config.min_ms) + 1;
        self.config.min_ms + (self.words.next_word() % span) as u32
    }

    /// A connection ended after `lived_ms`: returns the wait before the next attempt, ms.
    pub fn ended(&mut self, lived_ms: u64) -> u32 {
        if lived_ms >= u64::from(self.config.reset_after_ms) {
            self.failures = 0;
        }
        self.failed()
    }

    /// Failures since the last reset.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn ceiling_ms(&self) -> u32 {
        let doublings = self.failures.saturating_add(1).min(32);
        let window = u64::from(self.config.min_ms) << doublings;
        u32::try_from(window).unwrap_or(u32::MAX).min(self.config.max_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BackoffConfig = BackoffConfig { min_ms: 10, max_ms: 1_000, reset_after_ms: 500 };

    #[test]
    fn windows_double_up_to_the_bound() {
        let mut highest = [0; 12];
        for seed in 0..500 {
            let mut backoff = Backoff::new(CONFIG, seed);
            for (n, high) in highest.iter_mut().enumerate() {
                let delay = backoff.failed();
                let ceiling = (10u64 << (n + 1)).min(1_000) as u32;
                assert!((10..=ceiling).contains(&delay), "attempt {n}: {delay}");
                *high = delay.max(*high);
            }
        }
        // Full jitter reaches the upper tenth of every window in 500 draws.
        for (n, high) in highest.iter().enumerate() {
            let ceiling = (10u64 << (n + 1)).min(1_000) as u32;
            assert!(*high >= ceiling - ceiling / 10, "attempt {n}: {high} of {ceiling}");
        }
    }

    #[test]
    fn only_a_long_life_forgets() {
        let mut backoff = Backoff::new(CONFIG, 7);
        for _ in 0..5 {
            backoff.failed();
        }
        backoff.ended(499);
        assert_eq!(backoff.failures(), 6);
        assert!(backoff.ended(500) <= 20);
        assert_eq!(backoff.failures(), 1);
    }

    #[test]
    fn the_same_seed_gives_the_same_delays() {
        let run = |seed| {
            let mut backoff = Backoff::new(CONFIG, seed);
            [0; 20].map(|_| backoff.failed())
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn nonsense_bounds_are_repaired() {
        let mut backoff = Backoff::new(BackoffConfig { min_ms: 0, max_ms: 0, reset_after_ms: 0 }, 0);
        for _ in 0..100 {
            assert_eq!(backoff.failed(), 1);
        }
    }
}
