//! Latency histograms as an HdrHistogram interval log, version 1.3: what its plotters and analysers read.
//!
//! One line a histogram and interval, tagged by its name, values in ns; the column of maxima is in ms. An interval
//! starts where the one before ended, so all lines of a tag add up to the histogram of the whole time. A histogram
//! without a value in an interval has no line in it.
//!
//! Source: HdrHistogram, `HistogramLogWriter` and `HistogramLogReader`; the encoding is the `hdrhistogram` crate's V2
//! with deflate.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriter, IntervalLogWriterBuilder, Tag};
use stats::{HistCounts, VALUE_MAX_NS};

use crate::view::{Engine, View};

/// Column of maxima: ns to ms, as HdrHistogram's own tools expect.
const MAX_DIVISOR: f64 = 1_000_000.0;

/// Writes `path` anew. With `once` one interval, all since the engine's start; else the time from now on by intervals
/// of `every`, each whole in the file when it has passed, until the engine has died. Then says how much it was.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn export(engine: &Engine, path: &Path, once: bool, every: Duration) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let mut view = engine.view();
    let from = if once { Duration::from_nanos(view.header.created_ns) } else { at(&view) };
    let mut file = File::create(path).with_context(cannot)?;
    let mut serializer = V2DeflateSerializer::new();
    // Times of the lines count from here.
    let start = UNIX_EPOCH + from;
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(&format!("corelane instance {}, pid {}, values in ns", view.name(), view.header.pid))
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(MAX_DIVISOR)
        .begin_log_with(&mut file, &mut serializer)
        .with_context(cannot)?;
    let mut values = 0;
    let mut before: Vec<HistCounts> = Vec::new();
    let mut told = from;
    if !once {
        before = engine.counts(&view);
    }
    loop {
        // Asked first: what a dying engine still wrote belongs to the last interval.
        let last = once || !engine.alive();
        if !last {
            std::thread::sleep(every);
        }
        view = engine.view();
        let counts = engine.counts(&view);
        let took = at(&view).saturating_sub(told);
        for (i, (name, _)) in view.stats.hists.iter().enumerate() {
            let since = match before.get(i) {
                Some(before) => counts[i].since(before),
                None => counts[i].clone(),
            };
            if since.count() > 0 {
                line(&mut log, name, &since, told.saturating_sub(from), took).with_context(cannot)?;
                values += since.count();
            }
        }
        (before, told) = (counts, at(&view));
        if last {
            break;
        }
    }
    eprintln!("{}: {values} values of {} histograms", path.display(), view.stats.hists.len());
    Ok(())
}

fn at(view: &View) -> Duration {
    Duration::from_nanos(view.now.0)
}

fn line(
    log: &mut IntervalLogWriter<'_, '_, File, V2DeflateSerializer>,
    name: &str,
    counts: &HistCounts,
    start: Duration,
    took: Duration,
) -> anyhow::Result<()> {
    let mut hdr = Histogram::<u64>::new_with_bounds(1, VALUE_MAX_NS, 3)?;
    for (value_ns, n) in counts.buckets() {
        hdr.record_n(value_ns, n)?;
    }
    log.write_histogram(&hdr, start, took, Tag::new(name)).map_err(|why| anyhow!("{name}: {why}"))
}
