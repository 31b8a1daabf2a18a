//! What stands where on each page.

use super::history::History;
use super::{Choice, Page};
use crate::screen;
use crate::table::{duration, grouped};
use crate::view::{Sorted, View};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table};

const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const QUIET: Style = Style::new().fg(Color::DarkGray);
const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);

/// Curves on the overview: counter, name.
const CURVES: [(&str, &str); 3] =
    [("feed.messages", "messages/s"), ("gateway.orders_sent", "orders/s"), ("oms.fills", "fills/s")];

/// Draws the page that was chosen; answers the first row shown, which is never beyond the last.
pub(super) fn draw(frame: &mut Frame, view: &View, history: &History, choice: Choice) -> usize {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(4), Constraint::Min(0), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(heading(view)), head);
    let row = match choice.page {
        Page::Overview => overview(frame, body, view, history),
        Page::Orders => scrolled(frame, body, choice.row, orders(view, choice.sorted)),
        Page::Counters => scrolled(frame, body, choice.row, counters(view, history)),
    };
    let held = if choice.held { "HELD  " } else { "" };
    let keys = "1 overview  2 orders  3 counters  w worst orders  j/k down/up  space hold  q end";
    frame.render_widget(Line::from(vec![Span::styled(held, BAD), Span::styled(keys, QUIET)]), foot);
    row
}

fn heading(view: &View) -> Vec<Line<'static>> {
    let (life, well) = screen::life(view);
    let mut lines = vec![Line::from(vec![
        Span::styled(format!("corelane {}", view.name()), HEAD),
        Span::raw(format!("  pid {}  ", view.header.pid)),
        Span::styled(life, if well { GOOD } else { BAD }),
    ])];
    let up = view.now.0.saturating_sub(view.header.created_ns);
    let started = format!("{}  started {} ago", view.dir.display(), duration(up));
    lines.push(Line::styled(started, QUIET));
    match &view.kill {
        Ok(kill) => {
            let armed = !kill.tripped && view.alive;
            let state = screen::kill_state(view, kill);
            lines.push(Line::from(vec![
                Span::raw("kill  "),
                Span::styled(state, if armed { GOOD } else { BAD }),
                Span::raw(format!("  epoch {}", kill.epoch)),
            ]));
            lines.extend(screen::trip(view, kill).map(|trip| Line::styled(trip, BAD)));
        }
        Err(why) => lines.push(Line::styled(format!("kill  not shown: {why}"), BAD)),
    }
    lines
}

fn overview(frame: &mut Frame, area: Rect, view: &View, history: &History) -> usize {
    let (agents, books) = (view.stats.agents.len() as u16, view.boards.len() as u16);
    let latencies = view.stats.hists.len() as u16;
    let [books_area, middle, bottom] = Layout::vertical([
        Constraint::Length(books + 3),
        Constraint::Length(latencies.max(agents) + 3),
        Constraint::Min(0),
    ])
    .areas(area);
    books_and_positions(frame, books_area, view);
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(62), Constraint::Percentage(38)]).areas(middle);
    stages(frame, left, view, history);
    agents_pane(frame, right, view);
    let [curves, rings, refusals] = Layout::horizontal([
        Constraint::Percentage(40),
        Constraint::Percentage(30),
        Constraint::Percentage(30),
    ])
    .areas(bottom);
    curves_pane(frame, curves, history);
    rings_pane(frame, rings, view, history);
    refusals_pane(frame, refusals, view, history);
    0
}

fn pane(title: &str) -> Block<'_> {
    Block::bordered().border_style(QUIET).title(Span::styled(format!(" {title} "), HEAD))
}

fn table<'a>(rows: Vec<Row<'a>>, head: &[&'static str], widths: Vec<Constraint>) -> Table<'a> {
    Table::new(rows, widths).header(Row::new(head.to_vec()).style(QUIET)).column_spacing(1)
}

fn books_and_positions(frame: &mut Frame, area: Rect, view: &View) {
    let rows = view.boards.iter().map(|board| {
        let sound = board.top.is_some_and(|top| top.state == wire::BookState::InSync)
            && board.position.is_none_or(|p| p.trading);
        Row::new(screen::board_row(view, board)).style(if sound { Style::new() } else { BAD })
    });
    let head =
        ["", "book", "bid", "bid qty", "ask", "ask qty", "age", "position", "realised", "unrealised", "open"];
    let mut widths = vec![Constraint::Length(3), Constraint::Length(8)];
    widths.extend([Constraint::Fill(1); 8]);
    widths.push(Constraint::Length(18));
    frame.render_widget(table(rows.collect(), &head, widths).block(pane("books and positions")), area);
}

fn stages(frame: &mut Frame, area: Rect, view: &View, history: &History) {
    let rows = view.stats.hists.iter().enumerate().map(|(i, (name, all))| {
        let mut cells = vec![name.clone()];
        match history.lately(i).filter(|lately| lately.count > 0) {
            Some(lately) => {
                cells.push(grouped(lately.count));
                cells.extend([lately.p50_ns, lately.p99_ns, lately.max_ns].map(duration));
            }
            None => cells.extend(std::iter::repeat_n("-".to_string(), 4)),
        }
        match all.count {
            0 => cells.extend(std::iter::repeat_n("-".to_string(), 3)),
            _ => cells.extend([all.p50_ns, all.p99_ns, all.p999_ns].map(duration)),
        }
        Row::new(cells)
    });
    let head = ["stage", "count", "p50", "p99", "max", "all p50", "p99", "p99.9"];
    let mut widths = vec![Constraint::Length(22)];
    widths.extend([Constraint::Fill(1); 7]);
    let title = format!("latency, last {} and since start", duration(history.window_ns()));
    frame.render_widget(table(rows.collect(), &head, widths).block(pane(&title)), area);
}

fn agents_pane(frame: &mut Frame, area: Rect, view: &View) {
    let rows = view.stats.agents.iter().map(|agent| {
        let cells = screen::agent_row(view, None, agent);
        let late = view.age_ns(agent.last_beat).is_none_or(|ns| ns > screen::SUSPECT_NS);
        let shown = [0, 1, 2, 5, 7].map(|i| cells.get(i).cloned().unwrap_or_default());
        Row::new(shown).style(if late { BAD } else { Style::new() })
    });
    let head = ["agent", "state", "beat age", "busy", "longest"];
    frame.render_widget(
        table(rows.collect(), &head, vec![Constraint::Fill(1); 5]).block(pane("agents")),
        area,
    );
}

fn curves_pane(frame: &mut Frame, area: Rect, history: &History) {
    let rows = Layout::vertical([Constraint::Fill(1); CURVES.len()]).split(area);
    for ((counter, name), area) in CURVES.iter().zip(rows.iter()) {
        let rates = history.rates(counter);
        let width = area.width.saturating_sub(2) as usize;
        let from = rates.len().saturating_sub(width);
        let title = format!("{name} {}", history.rate(counter).map_or("-".to_string(), grouped));
        let curve = Sparkline::default().data(&rates[from..]).style(Style::new().fg(Color::Cyan));
        frame.render_widget(curve.block(pane(&title)), *area);
    }
}

/// A counter named after its consumer and `ring_` says how many messages that took from the ring.
fn rings_pane(frame: &mut Frame, area: Rect, view: &View, history: &History) {
    let rows = view.stats.counters.iter().filter_map(|(name, count)| {
        let (_, ring) = name.split_once(".ring_")?;
        let rate = history.rate(name).map_or("-".to_string(), grouped);
        Some(Row::new([ring.to_string(), rate, grouped(*count)]))
    });
    let head = ["ring", "taken per s", "taken"];
    let widths = vec![Constraint::Length(16), Constraint::Fill(1), Constraint::Fill(1)];
    frame.render_widget(table(rows.collect(), &head, widths).block(pane("rings")), area);
}

/// Counters that say no to somebody.
fn is_refusal(counter: &str) -> bool {
    const WORDS: [&str; 8] =
        ["refused", "reject", "not_sent", "gate_", "gaps", "crossed", "stalled", "missed"];
    WORDS.iter().any(|word| counter.contains(word))
}

fn refusals_pane(frame: &mut Frame, area: Rect, view: &View, history: &History) {
    let mut refusals: Vec<&(String, u64)> =
        view.stats.counters.iter().filter(|(name, count)| *count > 0 && is_refusal(name)).collect();
    refusals.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let rows = refusals.iter().map(|(name, count)| {
        let rate = history.rate(name).unwrap_or(0);
        let style = if rate > 0 { Style::new().fg(Color::Yellow) } else { Style::new() };
        Row::new([name.clone(), grouped(*count), grouped(rate)]).style(style)
    });
    let widths = vec![Constraint::Fill(3), Constraint::Fill(1), Constraint::Fill(1)];
    let head = ["refused, lost, out of order", "count", "per s"];
    frame.render_widget(table(rows.collect(), &head, widths).block(pane("refusals")), area);
}

/// A page of rows: title, heading, widths, rows.
struct Rows {
    title: String,
    head: Vec<&'static str>,
    widths: Vec<Constraint>,
    rows: Vec<Vec<String>>,
}

fn orders(view: &View, sorted: Sorted) -> Rows {
    let mut head = vec!["slot", "gate passed", "cause"];
    head.extend(stats::STAGES);
    head.extend(["tick to order", "state", "cycle"]);
    let mut widths = vec![Constraint::Length(5), Constraint::Length(31)];
    widths.resize(head.len(), Constraint::Fill(1));
    Rows {
        title: format!("{}, {} slots used", sorted.name(), view.stats.orders.len()),
        rows: view.orders(usize::MAX, sorted).into_iter().map(screen::order_row).collect(),
        head,
        widths,
    }
}

fn counters(view: &View, history: &History) -> Rows {
    let counted = view.stats.counters.iter().map(|(name, count)| {
        vec![name.clone(), grouped(*count), history.rate(name).map_or("-".to_string(), grouped)]
    });
    let levels = view.stats.gauges.iter().map(|(name, level)| {
        let sign = if *level < 0 { "-" } else { "" };
        vec![name.clone(), format!("{sign}{}", grouped(level.unsigned_abs())), "level".to_string()]
    });
    Rows {
        title: "counters and levels".to_string(),
        head: vec!["name", "value", "per s"],
        widths: vec![Constraint::Length(40), Constraint::Length(28), Constraint::Fill(1)],
        rows: counted.chain(levels).collect(),
    }
}

fn scrolled(frame: &mut Frame, area: Rect, row: usize, page: Rows) -> usize {
    let fits = area.height.saturating_sub(3) as usize;
    let first = row.min(page.rows.len().saturating_sub(fits));
    let rows = page.rows.into_iter().skip(first).take(fits).map(Row::new).collect();
    frame.render_widget(table(rows, &page.head, page.widths).block(pane(&page.title)), area);
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use kill::KillSwitch;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use rings::Ident;
    use stats::instance::Instance;
    use stats::{AgentState, Layout as Cells, StatsSegment};
    use wire::Ts;

    use crate::view::Engine;

    /// The text on the screen.
    fn screen_of(view: &View, history: &History, choice: Choice) -> (String, usize) {
        let mut terminal = Terminal::new(TestBackend::new(160, 48)).expect("a screen");
        let mut row = 0;
        terminal.draw(|frame| row = draw(frame, view, history, choice)).expect("drawn");
        let buffer = terminal.backend().buffer();
        let lines: Vec<String> = (0..48)
            .map(|y| (0..160).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_string())
            .collect();
        (lines.join("\n"), row)
    }

    #[test]
    fn every_page_shows_what_the_segment_holds() {
        let base = std::env::temp_dir().join(format!("corelane-stat-live-{}", std::process::id()));
        let instance = Instance::create(&base, "live").expect("an instance");
        let mut cells = Cells::new();
        cells.counter("feed.messages").counter("oms.ring_signal").counter("oms.gate_collar");
        cells.hist("gateway.tick_to_trade").agent("feed").orders(4).ticks(4);
        for i in 0..60 {
            cells.counter(&format!("feed.more_{i}"));
        }
        let ident = Ident::default();
        let segment = StatsSegment::create(instance.dir(), &cells, &ident).expect("a segment");
        let mut switch = KillSwitch::create(instance.dir(), &["gateway"], &ident).expect("a switch");
        switch.arm();
        let beat = segment.beat("feed").expect("a beat");
        beat.state(AgentState::Running);
        let (messages, refused) =
            (segment.counter("feed.messages").expect("it"), segment.counter("oms.gate_collar").expect("it"));
        let hist = segment.hist("gateway.tick_to_trade").expect("it");
        (0..100).for_each(|_| hist.record(1_000));
        refused.add(7);
        let engine = Engine::open(instance.dir()).expect("an engine");
        let mut history = History::default();
        let mut view = engine.view();
        history.add(&view, engine.counts(&view));
        // Two seconds later: 3,000 more messages, and every order took nine times as long.
        (0..100).for_each(|_| hist.record(9_000));
        messages.add(3_000);
        let later = Ts(view.now.0 + 2_000_000_000);
        view = engine.view();
        view.now = later;
        history.add(&view, engine.counts(&view));

        let (text, _) = screen_of(&view, &history, Choice::default());
        assert!(text.contains("messages/s 1 500"), "{text}");
        assert!(text.contains("latency, last 2.00 s and since start"), "{text}");
        let stage = text.lines().find(|l| l.contains("gateway.tick_to_trade")).expect("the stage");
        assert!(stage.contains("9.01 us") && stage.contains("1.00 us"), "lately and since start: {stage}");
        let refusal = text.lines().find(|l| l.contains("oms.gate_collar")).expect("the refusal");
        assert!(refusal.contains('7'), "{refusal}");
        assert!(text.lines().any(|l| l.contains("│signal ")), "the ring: {text}");
        assert!(text.contains("KILL THREAD IS SILENT"), "{text}");

        let page = Choice { page: Page::Counters, row: 1_000, ..Choice::default() };
        let (text, row) = screen_of(&view, &history, page);
        assert!(text.contains("feed.more_59") && !text.contains("feed.messages"), "{text}");
        assert!(row < 1_000, "no further than the last row");
        let page = Choice { page: Page::Orders, held: true, ..Choice::default() };
        let (text, _) = screen_of(&view, &history, page);
        assert!(text.contains("last orders") && text.contains("HELD"), "{text}");
        let page = Choice { page: Page::Orders, sorted: Sorted::Worst, ..Choice::default() };
        assert!(screen_of(&view, &history, page).0.contains("worst orders"));
        drop(instance);
        let _ = std::fs::remove_dir_all(base);
    }
}
