//! What a bench says to the gate, read back: the lines of `benches/protocol/mod.rs`, checked one by one.

use hdrhistogram::Histogram;

/// Version of the lines that this gate understands.
pub(crate) const VERSION: u32 = 1;

/// Longest name of a row.
const NAME_MAX: usize = 40;

/// Spans of one row in one process.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// Row.
    pub(crate) row: String,
    /// Calls that each sample holds.
    pub(crate) calls: u64,
    /// Samples, ns for `calls` calls.
    pub(crate) ns: Histogram<u64>,
}

impl Span {
    /// Time of one call at quantile `q` (0..=1), ns.
    pub(crate) fn call_ns(&self, q: f64) -> f64 {
        self.ns.value_at_quantile(q) as f64 / self.calls as f64
    }
}

/// What a fixed amount of work did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// Row.
    pub(crate) row: String,
    /// Events counted.
    pub(crate) events: u64,
    /// Heap requests in them; `None` = not counted.
    pub(crate) allocations: Option<u64>,
    /// System calls in them; `None` = not counted.
    pub(crate) calls: Option<u64>,
}

/// All that one process said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Timed rows.
    pub(crate) spans: Vec<Span>,
    /// Counted rows.
    pub(crate) work: Vec<Work>,
}

/// Why a process was not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinesError {
    /// The first line is not `corelane-gate VERSION BENCH`.
    #[error("first line {line:?}: must be \"corelane-gate {VERSION} {bench}\"")]
    Head {
        /// What was there.
        line: String,
        /// The bench that was started.
        bench: String,
    },
    /// A line broke its rule.
    #[error("line {number} {line:?}: must be {rule}")]
    Line {
        /// From 1.
        number: usize,
        /// Its beginning.
        line: String,
        /// The rule.
        rule: &'static str,
    },
    /// The last line, `end`, is missing: the process died on the way.
    #[error("output ends without \"end\": the bench did not finish")]
    Truncated,
}

const SPAN: &str = "\"span ROW CALLS VALUE:COUNT ...\" with at least one sample, values up to an hour in ns";
const WORK: &str = "\"work ROW EVENTS allocations N calls N\", where N may be \"-\"";

/// Reads the output of `bench`.
///
/// # Errors
/// [`LinesError`].
pub(crate) fn parse(text: &str, bench: &str) -> Result<Said, LinesError> {
    let mut lines = text.lines().enumerate();
    let head = lines.next().map_or("", |l| l.1);
    if head != format!("corelane-gate {VERSION} {bench}") {
        return Err(LinesError::Head { line: clip(head), bench: bench.to_owned() });
    }
    let mut said = Said::default();
    for (i, line) in lines {
        let wrong = |rule| LinesError::Line { number: i + 1, line: clip(line), rule };
        match line.split_once(' ') {
            Some(("span", rest)) => said.spans.push(span(rest).ok_or_else(|| wrong(SPAN))?),
            Some(("work", rest)) => said.work.push(work(rest).ok_or_else(|| wrong(WORK))?),
            None if line == "end" => return Ok(said),
            _ => return Err(wrong("span, work or end")),
        }
    }
    Err(LinesError::Truncated)
}

fn clip(line: &str) -> String {
    line.chars().take(80).collect()
}

fn name(word: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (!word.is_empty() && word.len() <= NAME_MAX && word.chars().all(fits)).then(|| word.to_owned())
}

fn span(rest: &str) -> Option<Span> {
    let mut words = rest.split(' ');
    let row = name(words.next()?)?;
    let calls = words.next()?.parse().ok().filter(|n| *n > 0)?;
    let mut ns = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).ok()?;
    for pair in words {
        let (value, count) = pair.split_once(':')?;
        let count: u64 = count.parse().ok().filter(|n| *n > 0)?;
        ns.record_n(value.parse().ok()?, count).ok()?;
    }
    (!ns.is_empty()).then_some(Span { row, calls, ns })
}

fn work(rest: &str) -> Option<Work> {
    let number = |word: &str| if word == "-" { Some(None) } else { word.parse().ok().map(Some) };
    match rest.split(' ').collect::<Vec<_>>()[..] {
        [row, events, "allocations", allocations, "calls", calls] => Some(Work {
            row: name(row)?,
            events: events.parse().ok().filter(|n| *n > 0)?,
            allocations: number(allocations)?,
            calls: number(calls)?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_bench_says_is_read_back() {
        let text =
            "corelane-gate 1 parse\nspan trade 16 640:3 800:1\nwork trade 200 allocations 0 calls -\nend\n";
        let said = parse(text, "parse").unwrap();
        let span = &said.spans[0];
        assert_eq!((span.row.as_str(), span.calls, span.ns.len()), ("trade", 16, 4));
        assert_eq!((span.call_ns(0.5), span.call_ns(0.99)), (40.0, 50.0));
        let work = Work { row: "trade".into(), events: 200, allocations: Some(0), calls: None };
        assert_eq!(said.work, [work]);
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let line = |l: &str| parse(&format!("corelane-gate 1 parse\n{l}\nend\n"), "parse").unwrap_err();
        for bad in [
            "span",
            "span trade",
            "span trade 16",
            "span trade 0 1:1",
            "span trade 1 1:0",
            "span trade 1 5",
            "span trade 1 x:1",
            "span trade 1 3600000000000000:1",
            "span Tr/ade 1 1:1",
            "span trade 1 -1:1",
            "work trade 0 allocations 0 calls 0",
            "work trade 5 allocations 0",
            "work trade 5 allocations x calls 0",
            "work trade 5 allocations 0 calls 0 0",
            "hello world",
            "",
        ] {
            assert!(matches!(line(bad), LinesError::Line { number: 2, .. }), "{bad:?}: {:?}", line(bad));
        }
        for head in ["", "corelane-gate 2 parse\nend\n", "corelane-gate 1 gate\nend\n"] {
            assert!(matches!(parse(head, "parse"), Err(LinesError::Head { .. })), "{head:?}");
        }
        assert_eq!(parse("corelane-gate 1 parse\n", "parse").unwrap_err(), LinesError::Truncated);
        assert_eq!(
            parse("corelane-gate 1 parse\nspan t 1 5:1\n", "parse").unwrap_err(),
            LinesError::Truncated
        );
    }
}
