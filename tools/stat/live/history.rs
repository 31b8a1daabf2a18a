//! What earlier looks saw, so that the screen can say what happened lately.

use crate::view::View;
use stats::{HistCounts, HistSnapshot};
use std::collections::VecDeque;
use wire::Ts;

/// "Lately" for latencies, ns.
const WINDOW_NS: u64 = 10_000_000_000;
/// Looks kept for curves: two minutes at two a second.
const LOOKS_MAX: usize = 240;

struct Look {
    now: Ts,
    counters: Vec<(String, u64)>,
}

/// Earlier looks at one engine, oldest first.
#[derive(Default)]
pub(super) struct History {
    created_ns: u64,
    looks: VecDeque<Look>,
    /// Counts of the histograms; kept no longer than the window.
    hists: VecDeque<(Ts, Vec<HistCounts>)>,
}

impl History {
    /// Adds a look; another engine starts the history anew.
    pub(super) fn add(&mut self, view: &View, counts: Vec<HistCounts>) {
        if self.created_ns != view.header.created_ns {
            *self = History { created_ns: view.header.created_ns, ..History::default() };
        }
        self.looks.push_back(Look { now: view.now, counters: view.stats.counters.clone() });
        if self.looks.len() > LOOKS_MAX {
            self.looks.pop_front();
        }
        self.hists.push_back((view.now, counts));
        while self.hists.len() > 1 && view.now.since_ns(self.hists[0].0) > WINDOW_NS {
            self.hists.pop_front();
        }
    }

    /// Time that [`History::lately`] covers, ns; zero after the first look.
    pub(super) fn window_ns(&self) -> u64 {
        match (self.hists.front(), self.hists.back()) {
            (Some((first, _)), Some((last, _))) => last.since_ns(*first),
            _ => 0,
        }
    }

    /// The `i`-th histogram since the window began; `None` after the first look.
    pub(super) fn lately(&self, i: usize) -> Option<HistSnapshot> {
        let ((_, first), (_, last)) = (self.hists.front()?, self.hists.back()?);
        (self.hists.len() > 1).then(|| Some(last.get(i)?.since(first.get(i)?).summary()))?
    }

    /// A counter's rate between each two looks, per second, oldest first.
    pub(super) fn rates(&self, name: &str) -> Vec<u64> {
        let looks = self.looks.iter().zip(self.looks.iter().skip(1));
        looks.map(|(then, now)| rate(then, now, name)).collect()
    }

    /// A counter's rate over the last second or so.
    pub(super) fn rate(&self, name: &str) -> Option<u64> {
        let now = self.looks.back()?;
        let then = self.looks.iter().rev().nth(2).or(self.looks.front())?;
        (now.now != then.now).then(|| rate(then, now, name))
    }
}

fn rate(then: &Look, now: &Look, name: &str) -> u64 {
    let value = |look: &Look| look.counters.iter().find(|(n, _)| n == name).map_or(0, |(_, v)| *v);
    let elapsed_ns = now.now.since_ns(then.now).max(1);
    (value(now).saturating_sub(value(then)) as f64 * 1e9 / elapsed_ns as f64).round() as u64
}
