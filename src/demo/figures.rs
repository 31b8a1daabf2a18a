//! From statistics and ledgers to the report's figures.

use orders::AMOUNT_DECIMALS;
use stats::Snapshot;
use venue_binance::sim::BinanceSim;
use wire::{AssetId, BookState, Decimal};

use super::report::{Agreement, Report};
use crate::agents::oms::OmsFinal;
use crate::meters::STAGE_HISTS;
use crate::oms::Halt;

/// Decimals of a profit on the page.
const AMOUNT_SHOWN: u8 = 8;

/// Value of a counter, 0 when there is none of that name.
pub fn counter(stats: &Snapshot, name: &str) -> u64 {
    stats.counters.iter().find(|c| c.0 == name).map_or(0, |c| c.1)
}

/// Value of a gauge, 0 when there is none of that name.
pub fn gauge(stats: &Snapshot, name: &str) -> i64 {
    stats.gauges.iter().find(|g| g.0 == name).map_or(0, |g| g.1)
}

/// Name of the book's state.
pub fn book_state(stats: &Snapshot) -> BookState {
    BookState::from_u8(gauge(stats, "feed.book_state") as u8)
}

/// Fills in everything that statistics know.
pub fn from_stats(report: &mut Report, stats: &Snapshot) {
    let c = |name: &str| counter(stats, name);
    report.messages = c("feed.messages");
    report.sent = c("gateway.orders_sent");
    report.acked = c("oms.acked");
    report.rejected = c("oms.rejected");
    report.cancelled = c("oms.cancelled");
    report.filled = c("oms.filled");
    report.fills = c("oms.fills");
    report.book = [
        "updates_seen",
        "stale_dropped",
        "applied",
        "gaps",
        "snapshots",
        "bbo_samples",
        "bbo_matches",
        "crossed",
        "overflows",
    ]
    .into_iter()
    .map(|name| (name, c(&format!("feed.{name}"))))
    .collect();
    report.book_state = match book_state(stats) {
        BookState::Down => "down",
        BookState::Syncing => "syncing",
        BookState::InSync => "in sync",
        BookState::Gap => "gap",
    }
    .into();
    report.trades = (c("feed.trades"), c("feed.trade_gaps"));
    let prefixes = ["oms.gate_", "gateway.not_sent_", "feed.refused_", "feed.down_", "gateway.down_"];
    report.refusals = stats
        .counters
        .iter()
        .filter(|(name, n)| *n > 0 && prefixes.iter().any(|p| name.starts_with(p)))
        .cloned()
        .collect();
    let others = [
        "oms.conflicts",
        "oms.ledger_errors",
        "oms.unknown",
        "gateway.refused_messages",
        "feed.snapshots_failed",
    ];
    report.refusals.extend(others.iter().map(|n| (n.to_string(), c(n))).filter(|n| n.1 > 0));
    report.latency = STAGE_HISTS
        .iter()
        .map(|name| stats.hists.iter().find(|h| h.0 == *name).map(|h| h.1).unwrap_or_default())
        .collect();
    report.orders_hash = format!(
        "{:016x}{:016x}",
        gauge(stats, "gateway.hash_a") as u64,
        gauge(stats, "gateway.hash_b") as u64
    );
}

/// What a recording held that could not be used.
pub struct Recording {
    lines_bad: u64,
    error: Option<String>,
}

impl Recording {
    /// As played by a venue; `None` when a crowd trades there.
    pub fn of(venue: &BinanceSim) -> Option<Recording> {
        venue.is_recorded().then(|| Recording {
            lines_bad: venue.capture_lines_bad(),
            error: venue.capture_error().map(|e| e.to_string()),
        })
    }

    /// Says so; a recording that broke off, or held nothing of the instrument, is a failure.
    pub fn tell(self, report: &mut Report) {
        if self.lines_bad > 0 {
            report.refusals.push(("recording.lines_bad".into(), self.lines_bad));
        }
        if let Some(error) = self.error {
            report.failure = format!("--replay: the recording broke off: {error}");
        } else if report.messages == 0 {
            report.failure = format!(
                "--replay: the recording held no market data of this instrument; {} lines could not be used",
                self.lines_bad
            );
        }
    }
}

/// Compares what the engine expects with what the venue listed last, to the last digit.
///
/// `venue_open_orders` is what the venue itself holds, where it can be asked; the engine's own listing, twice
/// empty, is part of the stop.
pub fn agreement(
    oms: &OmsFinal,
    assets: &[String],
    stop_confirmed: bool,
    venue_open_orders: usize,
) -> Agreement {
    let mut differences = Vec::new();
    if !stop_confirmed {
        differences.push("the stop was not confirmed by the venue".into());
    }
    let open_orders = oms.open_orders == 0 && venue_open_orders == 0 && stop_confirmed;
    if oms.open_orders != 0 || venue_open_orders != 0 {
        differences.push(format!("open orders: engine {}, venue {venue_open_orders}", oms.open_orders));
    }
    let name = |i: usize| assets.get(i).cloned().unwrap_or_else(|| format!("asset {i}"));
    for line in oms.assets.iter().filter(|l| l.difference != Some(0)) {
        differences.push(format!(
            "{}: venue minus engine = {}",
            name(line.asset.0 as usize),
            line.difference_text()
        ));
    }
    if !oms.ledger_balances {
        differences.push("the ledger's own legs do not sum to zero".into());
    }
    // A position is right when the base balance moved by it (less fees paid in base), which is what the ledger
    // expects of that asset.
    let positions =
        oms.positions.iter().all(|p| oms.assets.iter().any(|l| l.asset == p.base && l.difference == Some(0)))
            && !oms.positions.is_empty();
    let balances =
        !oms.assets.is_empty() && oms.assets.iter().all(|l| l.difference == Some(0)) && oms.ledger_balances;
    Agreement {
        open_orders: Some(open_orders),
        positions: Some(positions && stop_confirmed),
        balances: Some(balances && stop_confirmed),
        differences,
    }
}

/// Why trading was off at the end, `None` when it was off only because it had been ended in order.
pub fn halt(oms: &OmsFinal) -> Option<String> {
    let in_order = ["", Halt::None.name(), Halt::Quiesce.name(), Halt::Killed.name()];
    (!in_order.contains(&oms.halt.as_str())).then(|| oms.halt.clone())
}

/// Position, profit and fees for people.
pub fn money(oms: &OmsFinal, assets: &[String]) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let name = |asset: AssetId| assets.get(asset.0 as usize).map_or("?", |s| s.as_str());
    for p in &oms.positions {
        let amount = |mantissa, decimals| Decimal { mantissa, decimals };
        // Profit is exact to price and quantity decimals together; people read eight.
        let profit = |mantissa: i128| {
            let beyond = p.notional_decimals.saturating_sub(AMOUNT_SHOWN);
            amount(mantissa / 10i128.pow(beyond as u32), p.notional_decimals - beyond)
        };
        lines.push((
            "position".into(),
            format!("{} {} in {}", amount(p.position as i128, p.qty_decimals), name(p.base), p.symbol),
        ));
        let quote = name(p.quote);
        let unrealised = match p.unrealised {
            Some(u) => format!("{} {quote}", profit(u)),
            None => "unknown".into(),
        };
        lines.push((
            "P&L".into(),
            format!("realised {} {quote}, unrealised {unrealised}, before fees", profit(p.realised)),
        ));
    }
    let fees: Vec<String> = oms
        .assets
        .iter()
        .filter(|l| l.fees != 0)
        .map(|l| {
            let fee = Decimal { mantissa: l.fees, decimals: orders::FEE_DECIMALS };
            format!("{fee} {}", name(l.asset))
        })
        .collect();
    lines.push(("fees".into(), if fees.is_empty() { "none".into() } else { fees.join(", ") }));
    for l in &oms.assets {
        let expected = Decimal { mantissa: l.expected, decimals: AMOUNT_DECIMALS };
        lines.push(("balance".into(), format!("{expected} {}", name(l.asset))));
    }
    lines
}
