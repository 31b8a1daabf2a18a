//! The picture: three panels of bars, medians with their spread, ours in colour, best on top.

use std::fmt::Write as _;

use crate::candidates::Way;
use crate::machine::Regime;
use crate::rounds::Measured;
use crate::summary::{Row, Spread};

const WIDTH: f64 = 940.0;
/// Room for names on the left, and for figures behind the longest bar on the right.
const LEFT: f64 = 210.0;
const RIGHT: f64 = 170.0;
const BAR: f64 = 16.0;
const STEP: f64 = 25.0;
/// From one panel's title to its first bar, and from its last bar to the next title.
const ABOVE: f64 = 34.0;
const BELOW: f64 = 58.0;

const OURS: &str = "#1668c7";
const THEIRS: &str = "#a9b3be";
const INK: &str = "#1d2733";
const FAINT: &str = "#5c6873";
const LINE: &str = "#e3e8ed";
const MARK: &str = "#c2410c";

/// One panel.
struct Panel<'a> {
    title: &'a str,
    axis: &'a str,
    digits: usize,
    bars: Vec<(String, bool, Spread)>,
    /// A line across all bars, and what it is.
    mark: Option<(f64, String)>,
}

impl Panel<'_> {
    fn height(&self) -> f64 {
        ABOVE + self.bars.len() as f64 * STEP + BELOW
    }

    fn draw(&self, top: f64, page: &mut String) {
        let largest = self.bars.iter().map(|(_, _, s)| s.high).fold(0.0, f64::max);
        let step = tick(largest.max(self.mark.as_ref().map_or(0.0, |m| m.0)));
        let end = (largest / step).ceil().max(1.0) * step;
        let x = |value: f64| LEFT + value / end * (WIDTH - LEFT - RIGHT);
        let (first, last) = (top + ABOVE, top + ABOVE + self.bars.len() as f64 * STEP);
        text(page, 16.0, top + 12.0, "start", 15.0, INK, true, self.title);
        for i in 0..=(end / step).round() as u32 {
            let at = x(f64::from(i) * step);
            let _ = writeln!(
                page,
                r#"<line x1="{at:.1}" y1="{first:.1}" x2="{at:.1}" y2="{last:.1}" stroke="{LINE}"/>"#
            );
            text(page, at, last + 14.0, "middle", 11.0, FAINT, false, &format!("{}", f64::from(i) * step));
        }
        text(page, x(end / 2.0), last + 31.0, "middle", 12.0, FAINT, false, self.axis);
        for (i, (name, ours, spread)) in self.bars.iter().enumerate() {
            let y = first + i as f64 * STEP + (STEP - BAR) / 2.0;
            let middle = y + BAR / 2.0;
            let fill = if *ours { OURS } else { THEIRS };
            text(page, LEFT - 10.0, middle + 4.0, "end", 12.5, INK, *ours, name);
            let width = x(spread.median) - LEFT;
            let _ = writeln!(
                page,
                r#"<rect x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{BAR}" rx="2" fill="{fill}"/>"#
            );
            let (low, high) = (x(spread.low), x(spread.high));
            let (over, under) = (middle - 4.0, middle + 4.0);
            let _ = writeln!(
                page,
                r#"<path d="M{low:.1} {middle:.1}H{high:.1}M{low:.1} {over:.1}V{under:.1}M{high:.1} {over:.1}V{under:.1}" stroke="{INK}" stroke-width="1.3" fill="none"/>"#
            );
            let digits = self.digits;
            let figures =
                format!("{:.digits$}  [{:.digits$}–{:.digits$}]", spread.median, spread.low, spread.high);
            text(page, high.max(x(spread.median)) + 9.0, middle + 4.0, "start", 12.0, INK, *ours, &figures);
        }
        if let Some((value, what)) = &self.mark {
            let (at, above) = (x(*value), first - 6.0);
            let _ = writeln!(
                page,
                r#"<line x1="{at:.1}" y1="{above:.1}" x2="{at:.1}" y2="{last:.1}" stroke="{MARK}" stroke-width="1.4" stroke-dasharray="5 4"/>"#
            );
            text(page, at, above - 4.0, "middle", 11.5, MARK, false, what);
        }
    }
}

/// The picture of one regime.
pub(crate) fn page(machine: &[(&'static str, String)], measured: &Measured, regime: Regime) -> String {
    let rows = measured.rows(regime);
    let (probe, _) = measured.probe(regime);
    let panels = [
        Panel {
            title: "One way, median: less is better",
            axis: "ns from core to core (half a round trip)",
            digits: 0,
            bars: bars(&rows, |row| row.p50_ns, true),
            mark: probe.map(|p| (p.median, format!("probe {:.0} ns", p.median))),
        },
        Panel {
            title: "One record at a time: more is better",
            axis: "million records a second",
            digits: 1,
            bars: bars(&rows, |row| row.single, false),
            mark: None,
        },
        Panel {
            title: "In runs of 32: more is better",
            axis: "million records a second",
            digits: 1,
            bars: bars(&rows, |row| row.batched, false),
            mark: None,
        },
    ];
    let head = 74.0;
    let height = head + panels.iter().map(Panel::height).sum::<f64>() - 12.0;
    let mut page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let title = "64-byte records from one core to another";
    text(&mut page, 16.0, 28.0, "start", 19.0, INK, true, title);
    let value = |key: &str| machine.iter().find(|(k, _)| *k == key).map_or("unknown", |(_, v)| v.as_str());
    let here = format!(
        "{}, Linux {}, commit {}; cores {}; bars: median, whiskers: lowest and highest repetition",
        value("cpu"),
        value("kernel"),
        value("commit"),
        regime.word()
    );
    text(&mut page, 16.0, 48.0, "start", 11.5, FAINT, false, &here);
    let mut top = head;
    for panel in panels {
        panel.draw(top, &mut page);
        top += panel.height();
    }
    page.push_str("</svg>\n");
    page
}

/// Names, whether ours, and figures of the rows that have them, the best first.
fn bars(
    rows: &[Row],
    of: impl Fn(&Row) -> Option<Spread>,
    less_is_better: bool,
) -> Vec<(String, bool, Spread)> {
    let mut bars: Vec<(String, bool, Spread)> = rows
        .iter()
        .filter_map(|row| {
            let name = match row.way {
                Way::Threads => row.name.to_owned(),
                Way::Processes => format!("{}, processes", row.name),
            };
            Some((name, row.name.starts_with("rings"), of(row)?))
        })
        .collect();
    bars.sort_by(|a, b| a.2.median.total_cmp(&b.2.median));
    if !less_is_better {
        bars.reverse();
    }
    bars
}

/// Distance of ticks, of 1, 2 or 5 times a power of ten, so that some six fit.
fn tick(largest: f64) -> f64 {
    let rough = (largest / 6.0).max(1e-3);
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    steps.into_iter().map(|s| s * power).find(|&step| step >= rough).unwrap_or(10.0 * power)
}

#[expect(clippy::too_many_arguments, reason = "the attributes of one element")]
fn text(page: &mut String, x: f64, y: f64, anchor: &str, size: f64, fill: &str, bold: bool, words: &str) {
    let weight = if bold { " font-weight=\"600\"" } else { "" };
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        page,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}" fill="{fill}"{weight}>{words}</text>"#
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for (largest, step) in [(150.0, 50.0), (620.0, 200.0), (60.0, 10.0), (3.0, 0.5), (1.0, 0.2)] {
            assert!((tick(largest) - step).abs() < 1e-9, "{largest}: {}", tick(largest));
        }
    }

    #[test]
    fn words_cannot_break_the_file() {
        let mut page = String::new();
        text(&mut page, 0.0, 0.0, "start", 9.0, INK, false, "a<b & c>d");
        assert!(page.contains("a&lt;b &amp; c&gt;d"));
    }

    #[test]
    fn every_bar_lies_within_the_picture() {
        let measured = crate::invented::measured();
        let picture = page(&[("cpu", "A & B".into())], &measured, Regime::Far);
        let rows = measured.rows(Regime::Far);
        let bars = rows.iter().map(|r| [r.p50_ns, r.single, r.batched].iter().flatten().count()).sum();
        let widths: Vec<f64> = picture
            .lines()
            .filter(|l| l.starts_with("<rect x="))
            .map(|l| l.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(widths.len(), bars);
        assert!(widths.iter().all(|&w| w > 1.0 && w <= WIDTH - LEFT - RIGHT), "{widths:?}");
        assert!(picture.contains("A &amp; B") && picture.ends_with("</svg>\n"));
    }
}
