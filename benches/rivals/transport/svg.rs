//! The picture: three panels of bars, medians with their spread, ours in colour, best on top.

use std::fmt::Write as _;

use crate::candidates::Way;
use crate::contract::{DRAIN, RUN, Task};
use crate::machine::Regime;
use crate::rounds::{Measured, Plan};
use crate::summary::{Row, Spread};

const WIDTH: f64 = 980.0;
/// Room for names on the left, and for figures behind all bars on the right.
const LEFT: f64 = 196.0;
const RIGHT: f64 = 196.0;
const BAR: f64 = 16.0;
const STEP: f64 = 25.0;
/// From one panel's title to its first bar, and from its last bar to the next title.
const ABOVE: f64 = 46.0;
const BELOW: f64 = 60.0;
/// Between two lines of small print.
const PRINT: f64 = 17.0;
/// Letters of small print that fit into a line.
const LETTERS: usize = 150;

const OURS: &str = "#1668c7";
const THEIRS: &str = "#a9b3be";
const BARE: &str = "#e3c9b4";
const INK: &str = "#1d2733";
const FAINT: &str = "#5c6873";
const LINE: &str = "#e3e8ed";
const MARK: &str = "#c2410c";

/// Whose bar it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ours,
    Theirs,
    /// No queue, only the machine.
    Bare,
}

impl Kind {
    fn of(name: &str) -> Kind {
        match name {
            "cache line" => Kind::Bare,
            ours if ours.starts_with("rings") => Kind::Ours,
            _ => Kind::Theirs,
        }
    }

    fn fill(self) -> &'static str {
        match self {
            Kind::Ours => OURS,
            Kind::Theirs => THEIRS,
            Kind::Bare => BARE,
        }
    }
}

/// One bar of a panel.
struct Bar {
    name: String,
    kind: Kind,
    spread: Spread,
    /// Median of the 99th percentiles, where there is one.
    tail: Option<f64>,
}

impl Bar {
    /// The rightmost of what is drawn.
    fn end(&self) -> f64 {
        self.tail.map_or(self.spread.high, |tail| tail.max(self.spread.high))
    }
}

/// One panel.
struct Panel<'a> {
    title: &'a str,
    axis: &'a str,
    /// What stands over the figures.
    figures: &'a str,
    digits: usize,
    bars: Vec<Bar>,
    /// A line across all bars, and what it is.
    mark: Option<(f64, String)>,
}

impl Panel<'_> {
    fn height(&self) -> f64 {
        ABOVE + self.bars.len() as f64 * STEP + BELOW
    }

    fn draw(&self, top: f64, page: &mut String) {
        let marked = self.mark.as_ref().map_or(0.0, |(value, _)| *value);
        let largest = self.bars.iter().map(Bar::end).fold(marked, f64::max);
        let step = tick(largest);
        let places = usize::from(step < 1.0);
        let end = (largest / step).ceil().max(1.0) * step;
        let x = |value: f64| LEFT + value / end * (WIDTH - LEFT - RIGHT);
        let (first, last) = (top + ABOVE, top + ABOVE + self.bars.len() as f64 * STEP);
        text(page, Text::bold(16.0, top + 12.0, 15.0), self.title);
        for i in 0..=(end / step).round() as u32 {
            let at = x(f64::from(i) * step);
            let _ = writeln!(
                page,
                r#"<line x1="{at:.1}" y1="{first:.1}" x2="{at:.1}" y2="{last:.1}" stroke="{LINE}"/>"#
            );
            let value = format!("{:.places$}", f64::from(i) * step);
            text(page, Text::small(at, last + 14.0).anchored("middle"), &value);
        }
        text(page, Text::small(x(end / 2.0), last + 31.0).anchored("middle"), self.axis);
        for (i, bar) in self.bars.iter().enumerate() {
            let middle = first + (i as f64 + 0.5) * STEP;
            let words = Text { bold: bar.kind == Kind::Ours, ..Text::ink(LEFT - 10.0, middle + 4.0) };
            text(page, words.anchored("end"), &bar.name);
            draw_bar(page, bar, middle, x);
        }
        if let Some((value, what)) = &self.mark {
            let (at, above) = (x(*value), first - 6.0);
            let _ = writeln!(
                page,
                r#"<line x1="{at:.1}" y1="{above:.1}" x2="{at:.1}" y2="{last:.1}" stroke="{MARK}" stroke-width="1.4" stroke-dasharray="5 4"/>"#
            );
            let words = Text { fill: MARK, ..Text::small(at, above - 4.0) };
            text(page, words.anchored("middle"), what);
        }
        let figures = WIDTH - RIGHT + 24.0;
        text(page, Text::small(figures, first - 10.0), self.figures);
        for (i, bar) in self.bars.iter().enumerate() {
            let (middle, digits) = (first + (i as f64 + 0.5) * STEP, self.digits);
            let Spread { median, low, high, .. } = bar.spread;
            let words = format!("{median:.digits$}  [{low:.digits$}–{high:.digits$}]");
            let bold = bar.kind == Kind::Ours;
            text(page, Text { bold, ..Text::ink(figures, middle + 4.0) }, &words);
        }
    }
}

/// The bar itself, its whisker and, where there is a tail, a diamond.
fn draw_bar(page: &mut String, bar: &Bar, middle: f64, x: impl Fn(f64) -> f64) {
    let (y, width, fill) = (middle - BAR / 2.0, x(bar.spread.median) - LEFT, bar.kind.fill());
    let _ = writeln!(
        page,
        r#"<rect class="bar" x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{BAR}" rx="2" fill="{fill}"/>"#
    );
    let (low, high) = (x(bar.spread.low), x(bar.spread.high));
    let (over, under) = (middle - 4.0, middle + 4.0);
    let _ = writeln!(
        page,
        r#"<path d="M{low:.1} {middle:.1}H{high:.1}M{low:.1} {over:.1}V{under:.1}M{high:.1} {over:.1}V{under:.1}" stroke="{INK}" stroke-width="1.3" fill="none"/>"#
    );
    if let Some(tail) = bar.tail {
        diamond(page, x(tail), middle);
    }
}

fn diamond(page: &mut String, x: f64, y: f64) {
    let (top, left) = (y - 4.5, x - 4.0);
    let _ = writeln!(
        page,
        r#"<path d="M{x:.1} {top:.1}l4 4.5l-4 4.5L{left:.1} {y:.1}z" fill="white" stroke="{INK}" stroke-width="1.2"/>"#
    );
}

/// The picture of one regime.
pub(crate) fn page(
    machine: &[(&'static str, String)],
    plan: &Plan,
    measured: &Measured,
    absent: &[(&str, &str)],
    regime: Regime,
) -> String {
    let rows = measured.rows(regime);
    let (probe, _) = measured.probe(regime);
    let runs = format!("In runs, handed over by {RUN} and taken by up to {DRAIN}: more is better");
    let panels = [
        Panel {
            title: "One way, closed loop: less is better",
            axis: "ns from core to core, half a round trip (linear)",
            figures: "median [extremes], ns",
            digits: 0,
            bars: bars(&rows, Task::PingPong),
            mark: probe.map(|p| (p.median, format!("bare line, 8 bytes: {:.0} ns", p.median))),
        },
        Panel {
            title: "A stream, one record at a time: more is better",
            axis: "million records a second (linear)",
            figures: "median [extremes], M/s",
            digits: 1,
            bars: bars(&rows, Task::Single),
            mark: None,
        },
        Panel {
            title: &runs,
            axis: "million records a second (linear)",
            figures: "median [extremes], M/s",
            digits: 1,
            bars: bars(&rows, Task::Batched),
            mark: None,
        },
    ];
    let above = wrapped(&conditions(machine, plan, measured, regime));
    let below = wrapped(&small_print(measured, absent));
    let head = 64.0 + above.len() as f64 * PRINT + 34.0;
    let drawn = head + panels.iter().map(Panel::height).sum::<f64>();
    let height = drawn + below.len() as f64 * PRINT + 4.0;
    let mut page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\" font-family=\"'DejaVu Sans', Verdana, sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    text(&mut page, Text::bold(16.0, 30.0, 19.0), "A 64-byte record from one core to another");
    let mut y = 52.0;
    for line in &above {
        text(&mut page, Text::small(16.0, y), line);
        y += PRINT;
    }
    legend(&mut page, y + 6.0);
    let mut top = head;
    for panel in panels {
        panel.draw(top, &mut page);
        top += panel.height();
    }
    for (i, line) in below.iter().enumerate() {
        text(&mut page, Text::small(16.0, drawn - 4.0 + i as f64 * PRINT), line);
    }
    page.push_str("</svg>\n");
    page
}

/// What the figures are worth nothing without.
fn conditions(
    machine: &[(&'static str, String)],
    plan: &Plan,
    measured: &Measured,
    regime: Regime,
) -> Vec<String> {
    let value = |key: &str| machine.iter().find(|(k, _)| *k == key).map_or("unknown", |(_, v)| v.as_str());
    let here = measured.counted().filter(|r| r.regime() == Some(regime)).count();
    let (probe, _) = measured.probe(regime);
    let probe = probe.map_or_else(String::new, |p| {
        format!(" (a bare line takes {:.0} ns one way, {:.0}–{:.0})", p.median, p.low, p.high)
    });
    let wait = if plan.hint { "spin_loop" } else { "nothing" };
    vec![
        format!(
            "{}, Linux {}, governor {}, commit {}; cores {} and {}, {}{probe}",
            value("cpu"),
            value("kernel"),
            value("governor"),
            value("commit"),
            plan.cores.0,
            plan.cores.1,
            regime.word()
        ),
        format!(
            "Bars: medians of repetitions, interleaved; whiskers: lowest and highest. {here} of {} \
             repetitions count; the rest met foreign load, lost a core, or ran in another regime. All words checked; {wait} between two looks in vain.",
            measured.repetitions.len()
        ),
    ]
}

/// What was built, what has no bar, and why.
fn small_print(measured: &Measured, absent: &[(&str, &str)]) -> Vec<String> {
    let mut without: Vec<&str> = Vec::new();
    for cell in &measured.cells {
        let (name, tasks) = (cell.candidate.name, cell.candidate.tasks);
        if Kind::of(name) != Kind::Bare && !tasks.contains(&Task::Batched) && !without.contains(&name) {
            without.push(name);
        }
    }
    let mut built: Vec<String> = Vec::new();
    for (name, version) in measured.cells.iter().filter_map(|cell| cell.candidate.built) {
        let crate_built = format!("{name} {version}");
        if !built.contains(&crate_built) {
            built.push(crate_built);
        }
    }
    let mut lines = vec![format!("Crates: {}.", built.join(", "))];
    if !without.is_empty() {
        lines.push(format!("No runs: {}.", without.join(", ")));
    }
    if measured.cells.iter().any(|cell| cell.candidate.brings_a_process) {
        lines.push("Aeron's media driver, a process of its own, runs on the same two cores.".to_owned());
    }
    lines.extend(absent.iter().map(|(name, why)| format!("Not measured: {name}, {why}.")));
    lines.extend(measured.failed.iter().map(|(name, why)| format!("Not measured: {name}: {why}.")));
    lines
}

/// Lines no longer than the picture is wide.
fn wrapped(lines: &[String]) -> Vec<String> {
    let mut wrapped = Vec::new();
    for line in lines {
        let mut now = String::new();
        for word in line.split(' ') {
            if !now.is_empty() && now.chars().count() + 1 + word.chars().count() > LETTERS {
                wrapped.push(std::mem::take(&mut now));
            }
            if !now.is_empty() {
                now.push(' ');
            }
            now.push_str(word);
        }
        wrapped.push(now);
    }
    wrapped
}

fn legend(page: &mut String, y: f64) {
    let mut x = 16.0;
    for (kind, what) in [
        (Kind::Ours, "corelane's rings, in a memfd"),
        (Kind::Theirs, "rivals"),
        (Kind::Bare, "one line of 64 bytes, no queue"),
    ] {
        let (top, fill) = (y - 10.0, kind.fill());
        let _ = writeln!(page, r#"<rect x="{x}" y="{top:.1}" width="22" height="12" rx="2" fill="{fill}"/>"#);
        text(page, Text::ink(x + 29.0, y), what);
        x += 58.0 + what.chars().count() as f64 * 7.2;
    }
    diamond(page, x + 6.0, y - 4.0);
    text(page, Text::ink(x + 18.0, y), "99th percentile (median)");
}

/// Names and figures of the rows that know a task, the best first.
fn bars(rows: &[Row], task: Task) -> Vec<Bar> {
    let mut bars: Vec<Bar> = rows
        .iter()
        .filter_map(|row| {
            let (spread, tail) = match task {
                Task::PingPong => (row.p50_ns?, row.p99_ns.map(|p99| p99.median)),
                Task::Single => (row.single?, None),
                Task::Batched => (row.batched?, None),
            };
            let name = match row.way {
                Way::Threads => row.name.to_owned(),
                Way::Processes => format!("{}, 2 processes", row.name),
            };
            Some(Bar { name, kind: Kind::of(row.name), spread, tail })
        })
        .collect();
    bars.sort_by(|a, b| a.spread.median.total_cmp(&b.spread.median));
    if task != Task::PingPong {
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

/// How and where words stand.
#[derive(Clone, Copy)]
struct Text {
    x: f64,
    y: f64,
    anchor: &'static str,
    size: f64,
    fill: &'static str,
    bold: bool,
}

impl Text {
    fn ink(x: f64, y: f64) -> Text {
        Text { x, y, anchor: "start", size: 12.0, fill: INK, bold: false }
    }

    fn small(x: f64, y: f64) -> Text {
        Text { size: 11.0, fill: FAINT, ..Text::ink(x, y) }
    }

    fn bold(x: f64, y: f64, size: f64) -> Text {
        Text { size, bold: true, ..Text::ink(x, y) }
    }

    fn anchored(self, anchor: &'static str) -> Text {
        Text { anchor, ..self }
    }
}

fn text(page: &mut String, at: Text, words: &str) {
    let Text { x, y, anchor, size, fill, bold } = at;
    let weight = if bold { " font-weight=\"600\"" } else { "" };
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        page,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}" fill="{fill}"{weight} stroke="white" stroke-width="3" paint-order="stroke">{words}</text>"#
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PLAN: Plan =
        Plan { wanted: 5, limit: Duration::from_secs(60), seed: 1, hint: true, cores: (0, 1), smoke: false };

    /// Of each element of this kind: its number under this key.
    fn numbers(picture: &str, element: &str, key: &str) -> Vec<f64> {
        let key = format!(" {key}=\"");
        let found = picture.lines().filter(|line| line.starts_with(element));
        found
            .map(|line| line.split(&key).nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect()
    }

    #[test]
    fn ticks_are_round_and_few() {
        for (largest, step) in [(150.0, 50.0), (620.0, 200.0), (60.0, 10.0), (3.0, 0.5), (1.0, 0.2)] {
            assert!((tick(largest) - step).abs() < 1e-9, "{largest}: {}", tick(largest));
        }
    }

    #[test]
    fn words_cannot_break_the_file() {
        let mut page = String::new();
        text(&mut page, Text::ink(0.0, 0.0), "a<b & c>d");
        assert!(page.contains("a&lt;b &amp; c&gt;d"));
    }

    #[test]
    fn long_lines_are_broken_and_lose_no_word() {
        let line = "twelve words ".repeat(40).trim_end().to_owned();
        let broken = wrapped(&[line.clone(), "short".to_owned()]);
        assert!(broken.len() > 3 && broken.iter().all(|l| l.chars().count() <= LETTERS), "{broken:?}");
        assert_eq!(broken.join(" "), format!("{line} short"));
    }

    #[test]
    fn every_bar_lies_within_the_picture_and_no_two_on_each_other() {
        let measured = crate::invented::measured();
        let absent = [("gone", "for a reason")];
        let picture = page(&[("cpu", "A & B".into())], &PLAN, &measured, &absent, Regime::Far);
        let rows = measured.rows(Regime::Far);
        let bars: usize = rows.iter().map(|r| [r.p50_ns, r.single, r.batched].iter().flatten().count()).sum();
        let widths = numbers(&picture, "<rect class=\"bar\"", "width");
        assert_eq!(widths.len(), bars);
        assert!(widths.iter().all(|&w| w > 1.0 && w <= WIDTH - LEFT - RIGHT), "{widths:?}");
        let tops = numbers(&picture, "<rect class=\"bar\"", "y");
        assert!(tops.windows(2).all(|pair| pair[1] - pair[0] >= STEP), "{tops:?}");
        let height = numbers(&picture, "<svg", "height")[0];
        assert!(numbers(&picture, "<text", "y").iter().all(|&y| y > 0.0 && y < height - 4.0), "{height}");
        assert!(picture.contains("A &amp; B") && picture.ends_with("</svg>\n"));
        for said in [
            "disruptor 4.",
            "Not measured: gone, for a reason.",
            "No runs: ArrayQueue, std mpsc, iceoryx2.",
            "far (",
        ] {
            assert!(picture.contains(said), "{said}");
        }
    }

    #[test]
    fn the_best_is_on_top() {
        let measured = crate::invented::measured();
        let rows = measured.rows(Regime::Far);
        let hops = bars(&rows, Task::PingPong);
        assert!(hops.windows(2).all(|pair| pair[0].spread.median <= pair[1].spread.median));
        assert!(hops.iter().all(|bar| bar.tail.is_some_and(|tail| tail > bar.spread.median)));
        let rates = bars(&rows, Task::Single);
        assert!(rates.windows(2).all(|pair| pair[0].spread.median >= pair[1].spread.median));
    }
}
