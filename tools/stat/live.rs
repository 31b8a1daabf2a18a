//! The live screen: a terminal in its own mode, a look twice a second, three pages.
//!
//! | key | does |
//! |---|---|
//! | `1` `2` `3` or Tab | overview, orders, counters |
//! | `w` | orders by their time from tick to order, longest first; again: the latest first |
//! | `j` `k` or arrows | down and up on a page that is longer than the screen |
//! | space | holds the picture still; the engine does not notice |
//! | `q`, Esc, Ctrl-C | ends |

mod history;
mod pages;

use crate::view::{Engine, Sorted, View};
use crate::{Args, follow};
use history::History;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use std::time::{Duration, Instant};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// What the screen shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Page {
    #[default]
    Overview,
    Orders,
    Counters,
}

impl Page {
    fn next(self) -> Page {
        match self {
            Page::Overview => Page::Orders,
            Page::Orders => Page::Counters,
            Page::Counters => Page::Overview,
        }
    }
}

/// What the keys have chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Choice {
    page: Page,
    /// First row shown.
    row: usize,
    held: bool,
    /// Which orders come first.
    sorted: Sorted,
    ended: bool,
}

impl Choice {
    fn on_key(&mut self, code: KeyCode, modifiers: KeyModifiers) {
        let turn = |page| Choice { page, row: 0, ..*self };
        *self = match code {
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => {
                Choice { ended: true, ..*self }
            }
            KeyCode::Char('q') | KeyCode::Esc => Choice { ended: true, ..*self },
            KeyCode::Char('1') => turn(Page::Overview),
            KeyCode::Char('2') => turn(Page::Orders),
            KeyCode::Char('3') => turn(Page::Counters),
            KeyCode::Tab => turn(self.page.next()),
            KeyCode::Char('j') | KeyCode::Down => Choice { row: self.row.saturating_add(1), ..*self },
            KeyCode::Char('k') | KeyCode::Up => Choice { row: self.row.saturating_sub(1), ..*self },
            KeyCode::Char('w') => {
                let sorted = if self.sorted == Sorted::Worst { Sorted::Latest } else { Sorted::Worst };
                Choice { sorted, page: Page::Orders, row: 0, ..*self }
            }
            KeyCode::Char(' ') => Choice { held: !self.held, ..*self },
            _ => *self,
        };
    }
}

/// Shows an engine until a key ends it. The terminal is given back as it was, after a panic too.
///
/// # Errors
/// The terminal cannot be used.
pub(crate) fn run(mut engine: Engine, args: &Args) -> anyhow::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut engine, args, &mut terminal);
    ratatui::try_restore()?;
    shown
}

fn show(engine: &mut Engine, args: &Args, terminal: &mut ratatui::DefaultTerminal) -> anyhow::Result<()> {
    let mut history = History::default();
    let mut choice = Choice { sorted: args.sorted, ..Choice::default() };
    let mut view: View = engine.view();
    history.add(&view, engine.counts(&view));
    let mut due = Instant::now() + LOOK;
    while !choice.ended {
        terminal.draw(|frame| choice.row = pages::draw(frame, &view, &history, choice))?;
        if event::poll(due.saturating_duration_since(Instant::now()))? {
            if let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
            {
                choice.on_key(key.code, key.modifiers);
            }
            continue;
        }
        due = Instant::now() + LOOK;
        if !choice.held {
            follow(engine, args);
            view = engine.view();
            history.add(&view, engine.counts(&view));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_choose() {
        let mut choice = Choice::default();
        let mut press = |code| {
            choice.on_key(code, KeyModifiers::NONE);
            choice
        };
        assert_eq!(press(KeyCode::Char('3')).page, Page::Counters);
        assert_eq!(press(KeyCode::Down).row, 1);
        assert_eq!(press(KeyCode::Tab), Choice::default(), "another page begins at its top");
        assert_eq!(press(KeyCode::Up).row, 0);
        assert!(press(KeyCode::Char(' ')).held && !press(KeyCode::Char(' ')).held);
        assert_eq!((press(KeyCode::Char('w')).page, choice.sorted), (Page::Orders, Sorted::Worst));
        let mut press = |code| {
            choice.on_key(code, KeyModifiers::NONE);
            choice
        };
        assert_eq!(press(KeyCode::Char('w')).sorted, Sorted::Latest);
        assert!(!press(KeyCode::Char('c')).ended);
        choice.on_key(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert!(choice.ended);
    }
}
