//! Verdicts on made-up hosts, of fixed seeds.

use super::*;
use crate::shuffle::Shuffle;

/// A bad host: three speeds, changed in mid-round now and then, noise of some per cent, and every thirtieth process
/// disturbed by up to ten times.
fn host(seed: u64, rows: usize, rounds: usize, slower_p50: f64, slower_p99: f64) -> Measured {
    let mut random = Shuffle::new(seed);
    let mut unit = move || random.below(1 << 30) as f64 / f64::from(1 << 30);
    let mut measured = Measured::default();
    for row in 0..rows {
        let mut speed = 1.0;
        let mut rounds_of_row = Rounds::new();
        for _ in 0..rounds {
            let pair = [0, 1].map(|side| {
                if unit() < 0.04 {
                    speed = [0.7, 1.0, 3.5][(unit() * 3.0) as usize];
                }
                let noise = 1.0 + 0.04 * (unit() + unit() + unit() - 1.5);
                let spoilt = if unit() < 1.0 / 30.0 { 1.0 + 9.0 * unit() } else { 1.0 };
                let (p50, p99) = if side == 1 { (slower_p50, slower_p99) } else { (1.0, 1.0) };
                let at = 250.0 * speed * noise * spoilt;
                [at * p50, at * (1.5 + unit()) * p99]
            });
            rounds_of_row.push(pair);
        }
        measured.timed.insert(("bench".to_owned(), format!("row_{row:02}")), rounds_of_row);
    }
    measured
}

fn count(rows: &[Row], verdict: Verdict) -> usize {
    rows.iter().filter(|r| r.verdict == verdict).count()
}

#[test]
fn a_thousand_comparisons_of_the_same_raise_no_alarm() {
    let mut same = 0;
    for seed in 0..1_000 {
        let rows = host(seed, 13, 30, 1.0, 1.0).judge(&[]);
        assert_eq!(rows.len(), 26);
        assert_eq!(count(&rows, Verdict::Slower), 0, "seed {seed}");
        assert_eq!(count(&rows, Verdict::Faster), 0, "seed {seed}");
        same += rows.iter().filter(|r| r.measure == Measure::P50 && r.verdict == Verdict::Same).count();
    }
    // It is not for want of saying anything.
    assert!(same > 13_000 / 2, "{same} of 13000 medians told to be the same");
}

#[test]
fn at_the_edge_of_the_effect_alarms_are_as_rare_as_stated() {
    // The hardest case of all: each row slower by exactly the effect, which is not to be told yet.
    let alarmed = (0..500).filter(|s| count(&host(*s, 13, 30, 1.05, 1.25).judge(&[]), Verdict::Slower) > 0);
    // Expected at most 5; more than 12 has a probability of 0.002.
    let alarmed = alarmed.count();
    assert!(alarmed <= 12, "{alarmed} of 500");
}

#[test]
fn what_is_slower_is_caught() {
    let mut all = 0;
    for seed in 0..200 {
        let rows = host(seed, 13, 30, 1.20, 1.0).judge(&[]);
        let caught =
            rows.iter().filter(|r| r.measure == Measure::P50 && r.verdict == Verdict::Slower).count();
        all += caught;
        let row = rows.iter().find(|r| r.verdict == Verdict::Slower).unwrap();
        let (low, high) = row.interval.unwrap();
        assert!(low > 0.05 && low <= row.change.unwrap() && row.change.unwrap() <= high);
        assert!(row.confidence.unwrap() >= CONFIDENCE);
        let rows = host(seed, 13, 30, 1.0 / 1.2, 1.0).judge(&[]);
        all += count(&rows, Verdict::Faster);
        assert_eq!(count(&rows, Verdict::Slower), 0, "seed {seed}");
    }
    // Of single rows on such a host more than four of five.
    assert!(all > 2 * 200 * 13 * 4 / 5, "{all} of {}", 2 * 200 * 13);
}

#[test]
fn few_rounds_cannot_tell() {
    let rows = host(1, 13, 10, 3.0, 3.0).judge(&[]);
    assert_eq!(count(&rows, Verdict::CannotTell), 26);
    assert!(rows.iter().all(|r| r.note == "too few rounds" && r.change.unwrap() > 1.0));
}

fn counts(instructions: f64, allocations: f64, calls: f64) -> Counts {
    Counts { instructions: Some(instructions), allocations: Some(allocations), calls: Some(calls) }
}

fn judged(base: Counts, head: Counts) -> [Verdict; 3] {
    let mut measured = Measured::default();
    let key = ("b".to_owned(), "r".to_owned());
    measured.counted = [[(key.clone(), base)].into(), [(key, head)].into()];
    let rows = measured.judge(&[]);
    [0, 1, 2].map(|i| rows[i].verdict)
}

#[test]
fn counts_are_exact() {
    use Verdict::*;
    let base = counts(1_000.0, 0.0, 0.0);
    assert_eq!(judged(base, base), [Same; 3]);
    assert_eq!(judged(base, counts(1_030.0, 0.002, 0.002)), [Same, Slower, Slower]);
    assert_eq!(judged(base, counts(1_031.0, 1.0, 1.0)), [Slower; 3]);
    assert_eq!(judged(counts(1_031.0, 1.0, 1.0), counts(1_000.0, 0.0, 0.0)), [Faster; 3]);
    // A few instructions of very few are no finding.
    assert_eq!(judged(counts(10.0, 0.0, 0.0), counts(12.0, 0.0, 0.0))[0], Same);
    assert_eq!(judged(counts(10.0, 0.0, 0.0), counts(13.0, 0.0, 0.0))[0], Slower);
    assert_eq!(judged(base, Counts { calls: None, ..base }), [Same, Same, CannotTell]);
    assert_eq!(judged(Counts::default(), base), [CannotTell; 3]);
}

#[test]
fn an_accepted_row_is_named_exactly() {
    let mut measured = Measured::default();
    let key = ("tick_to_order".to_owned(), "event".to_owned());
    measured.counted =
        [[(key.clone(), counts(100.0, 0.0, 0.0))].into(), [(key, counts(200.0, 1.0, 0.0))].into()];
    let rows = measured.judge(&["tick_to_order/event instructions".to_owned()]);
    assert_eq!(rows[0].verdict, Verdict::Accepted);
    assert_eq!(rows[1].verdict, Verdict::Slower);
    assert_eq!(count(&measured.judge(&["tick_to_order/event".to_owned()]), Verdict::Slower), 2);
}
