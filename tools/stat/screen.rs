//! The view as text for people.

use crate::table::{Align, Table, duration, grouped};
use crate::view::{Board, Sorted, View};
use kill::{ControlSnapshot, LatchStatus, SenderSnapshot};
use stats::{AgentSnapshot, OrderTrace, owner_of};
use wire::Decimal;

/// A beat older than this makes a living engine suspect, ns.
pub(crate) const SUSPECT_NS: u64 = 1_000_000_000;

/// Renders one look. `earlier` gives rates; `orders` is how many rows of the order trace are shown, and `sorted` which.
pub(crate) fn render(view: &View, earlier: Option<&View>, orders: usize, sorted: Sorted) -> String {
    let mut out = String::new();
    head(view, &mut out);
    kill(view, &mut out);
    boards(view, &mut out);
    agents(view, earlier, &mut out);
    counters(view, earlier, &mut out);
    gauges(view, &mut out);
    latencies(view, &mut out);
    trace(view, orders, sorted, &mut out);
    if view.stats.refused > 0 {
        let n = view.stats.refused;
        out.push_str(&format!("\n{n} entries of the directory could not be understood and are not shown\n"));
    }
    out
}

/// Whether the engine lives, and how anybody knows; and whether that is as it should be.
pub(crate) fn life(view: &View) -> (String, bool) {
    let newest = view.newest_beat();
    let beat = match newest {
        Some((ts, whose)) => format!("newest beat {} ago ({whose})", age(view, ts)),
        None => "nobody has beaten".to_string(),
    };
    let stale = newest.is_some_and(|(ts, _)| view.now.since_ns(ts) > SUSPECT_NS);
    match (view.alive, stale) {
        (true, false) => (format!("alive, {beat}"), true),
        (true, true) => (format!("HANGS OR SLEEPS: its lock is held, but {beat}"), false),
        (false, _) => (format!("DEAD: nobody holds its lock; figures are its last, {beat}"), false),
    }
}

fn head(view: &View, out: &mut String) {
    let header = &view.header;
    let (life, _) = life(view);
    out.push_str(&format!("corelane {}  pid {}  {life}\n", view.name(), header.pid));
    let up = view.now.0.saturating_sub(header.created_ns);
    out.push_str(&format!(
        "as its own statistics say in {}, read {}, started {} ago, build {:016x}, configuration {:016x}\n",
        view.dir.display(),
        kill::utc(view.now),
        duration(up),
        header.ident.build_hash,
        header.ident.config_hash,
    ));
}

/// The state of the kill switch in words.
pub(crate) fn kill_state(view: &View, kill: &ControlSnapshot) -> String {
    match (kill.tripped, kill.state) {
        (false, _) if !view.alive => "was armed when it died".to_string(),
        (false, _) if view.age_ns(kill.kill_beat).is_none_or(|ns| ns > SUSPECT_NS) => {
            "armed, but the KILL THREAD IS SILENT: gates shut by themselves".to_string()
        }
        (false, _) => "armed: orders may leave".to_string(),
        (true, Some(state)) => format!("TRIPPED, {}", state.name()),
        (true, None) => "TRIPPED: no kill thread has armed it".to_string(),
    }
}

/// Who tripped, when and why, in a line.
pub(crate) fn trip(view: &View, kill: &ControlSnapshot) -> Option<String> {
    let trip = kill.trip.as_ref()?;
    let source = trip.source.map_or("unknown source".to_string(), |source| source.to_string());
    let id = trip.id.map_or("?".to_string(), |id| id.to_string());
    let space = if trip.subject.is_empty() { "" } else { " " };
    let (at, ago) = (kill::utc(trip.ts), age(view, trip.ts));
    let (subject, detail) = (&trip.subject, &trip.detail);
    Some(format!("trip {id}  {source}{space}{subject}: {detail}, at {at}, {ago} ago, latch {}", latch(kill)))
}

fn kill(view: &View, out: &mut String) {
    out.push_str("\nkill\n");
    let kill = match &view.kill {
        Ok(kill) => kill,
        Err(why) => return out.push_str(&format!("  not shown: {why}\n")),
    };
    let state = kill_state(view, kill);
    let beat = match view.age_ns(kill.kill_beat) {
        Some(_) => format!("beat {} ago", age(view, kill.kill_beat)),
        None => "kill thread has not beaten".to_string(),
    };
    out.push_str(&format!("  {state}  epoch {}  {beat}\n", kill.epoch));
    if let Some(trip) = trip(view, kill) {
        out.push_str(&format!("  {trip}\n"));
    }
    let mut table = Table::new(&[
        ("sender", Align::Left),
        ("cycle", Align::Right),
        ("orders", Align::Right),
        ("past word", Align::Right),
        ("stopped", Align::Left),
    ]);
    for sender in &kill.senders {
        let (cycle, orders) = (sender.progress.cycle, sender.progress.orders_sent);
        table.row(vec![
            sender.name.clone(),
            grouped(cycle),
            grouped(orders),
            past_word(sender),
            stopped(kill, sender),
        ]);
    }
    table.render(out);
}

fn latch(kill: &ControlSnapshot) -> String {
    match kill.latch {
        LatchStatus::None => "not told".to_string(),
        LatchStatus::Pending => "being written".to_string(),
        LatchStatus::Written => "on disk".to_string(),
        LatchStatus::Failed { errno } => {
            format!("NOT ON DISK: {}", std::io::Error::from_raw_os_error(errno))
        }
    }
}

/// Orders that left between the word and the acknowledgement.
pub(crate) fn orders_past_word(sender: &SenderSnapshot) -> Option<u64> {
    let (word, (_, acked)) = (sender.at_word?, sender.acked?);
    Some(acked.orders_sent.saturating_sub(word.orders_sent))
}

fn past_word(sender: &SenderSnapshot) -> String {
    orders_past_word(sender).map_or("-".to_string(), grouped)
}

fn stopped(kill: &ControlSnapshot, sender: &SenderSnapshot) -> String {
    let after = |ts: wire::Ts| kill.trip.as_ref().map_or(0, |trip| ts.since_ns(trip.ts));
    match (kill.tripped, sender.acked, sender.aborted) {
        (false, _, _) => "-".to_string(),
        (true, Some((ts, _)), _) => format!("acknowledged after {}", duration(after(ts))),
        (true, None, Some(ts)) => format!("ABORTED after {}", duration(after(ts))),
        (true, None, None) => "not acknowledged".to_string(),
    }
}

fn agents(view: &View, earlier: Option<&View>, out: &mut String) {
    if view.stats.agents.is_empty() {
        return;
    }
    out.push_str("\nagents\n");
    let mut table = Table::new(&[
        ("agent", Align::Left),
        ("state", Align::Left),
        ("beat age", Align::Right),
        ("cycle", Align::Right),
        ("work", Align::Right),
        ("busy", Align::Right),
        ("slow cycles", Align::Right),
        ("longest cycle", Align::Right),
        ("when", Align::Left),
    ]);
    for agent in &view.stats.agents {
        table.row(agent_row(view, earlier, agent));
    }
    table.render(out);
}

/// Name, state, age of the beat, cycle, work, share of its time in cycles that found work, cycles that took too long,
/// longest cycle and when it was.
pub(crate) fn agent_row(view: &View, earlier: Option<&View>, agent: &AgentSnapshot) -> Vec<String> {
    let beat = view.age_ns(agent.last_beat).map_or("never".to_string(), |_| age(view, agent.last_beat));
    let when = view.age_ns(agent.longest_at).map_or(String::new(), |ns| format!("{} ago", duration(ns)));
    let longest = duration(agent.longest_ns);
    let state = agent.state.name().to_string();
    let busy = busy_ppm(view, earlier, agent)
        .map_or("-".to_string(), |ppm| format!("{}.{} %", ppm / 10_000, ppm / 1_000 % 10));
    let slow = match agent.slow_ns {
        0 => "-".to_string(),
        limit_ns => format!("{} over {}", grouped(agent.slow), duration(limit_ns)),
    };
    let (cycle, work) = (grouped(agent.cycle), grouped(agent.work));
    vec![agent.name.clone(), state, beat, cycle, work, busy, slow, longest, when]
}

/// Parts per million of an agent's time that were busy since the earlier look, if that was at the same engine, or since
/// its first beat.
pub(crate) fn busy_ppm(view: &View, earlier: Option<&View>, agent: &AgentSnapshot) -> Option<u64> {
    let then = earlier.filter(|earlier| earlier.header.created_ns == view.header.created_ns);
    let then = then.and_then(|earlier| earlier.stats.agents.iter().find(|other| other.name == agent.name));
    agent.busy_ppm(then)
}

/// Age of a time of the engine, said to be ahead when its clock is.
fn age(view: &View, ts: wire::Ts) -> String {
    match ts.since_ns(view.now) {
        0 => duration(view.now.since_ns(ts)),
        ahead => format!("-{} (ahead of our clock)", duration(ahead)),
    }
}

fn counters(view: &View, earlier: Option<&View>, out: &mut String) {
    let mut counters: Vec<&(String, u64)> = view.stats.counters.iter().collect();
    // Stable: within an owner the order of declaration stays.
    counters.sort_by_key(|(name, _)| owner_of(name).to_string());
    for group in counters.chunk_by(|a, b| owner_of(&a.0) == owner_of(&b.0)) {
        out.push_str(&format!("\n{} counters\n", owner_of(&group[0].0)));
        let mut table =
            Table::new(&[("counter", Align::Left), ("count", Align::Right), ("per s", Align::Right)]);
        for (name, count) in group {
            let rate = earlier.and_then(|earlier| rate(view, earlier, name, *count));
            table.row(vec![name.clone(), grouped(*count), rate.map_or("-".to_string(), grouped)]);
        }
        table.render(out);
    }
}

fn rate(view: &View, earlier: &View, name: &str, count: u64) -> Option<u64> {
    let (_, then) = earlier.stats.counters.iter().find(|(other, _)| other == name)?;
    let elapsed_ns = view.now.since_ns(earlier.now);
    let same_engine = earlier.header.created_ns == view.header.created_ns;
    (same_engine && elapsed_ns > 0)
        .then(|| (count.wrapping_sub(*then) as f64 * 1e9 / elapsed_ns as f64) as u64)
}

fn gauges(view: &View, out: &mut String) {
    if view.stats.gauges.is_empty() {
        return;
    }
    out.push_str("\ngauges\n");
    let mut table = Table::new(&[("gauge", Align::Left), ("level", Align::Right)]);
    for (name, level) in &view.stats.gauges {
        let sign = if *level < 0 { "-" } else { "" };
        table.row(vec![name.clone(), format!("{sign}{}", grouped(level.unsigned_abs()))]);
    }
    table.render(out);
}

fn boards(view: &View, out: &mut String) {
    if view.boards.is_empty() {
        return;
    }
    out.push_str("\nbooks and positions\n");
    let columns =
        ["book", "bid", "bid qty", "ask", "ask qty", "age", "position", "realised", "unrealised", "open"];
    let aligned: Vec<(&str, Align)> = std::iter::once(("instrument", Align::Left))
        .chain(columns.iter().map(|c| (*c, if *c == "book" { Align::Left } else { Align::Right })))
        .collect();
    let mut table = Table::new(&aligned);
    for board in &view.boards {
        table.row(board_row(view, board));
    }
    table.render(out);
}

/// Instrument, state, prices and quantities, age, position, profits, open orders.
pub(crate) fn board_row(view: &View, board: &Board) -> Vec<String> {
    let mut row = vec![board.instrument.0.to_string()];
    let top = board.top.unwrap_or_default();
    let px = |v: i64| decimal(v as i128, top.px_decimals);
    let qty = |v: i64| decimal(v as i128, top.qty_decimals);
    let state = format!("{:?}", top.state);
    row.push(state);
    for (p, q) in [top.bid, top.ask] {
        row.extend(if q.0 > 0 { [px(p.0), qty(q.0)] } else { ["-".into(), "-".into()] });
    }
    row.push(age(view, top.ts_recv));
    match board.position {
        Some(p) => {
            let money = |v: i128| decimal(v, top.px_decimals + top.qty_decimals);
            row.extend([qty(p.position), money(p.realised), money(p.unrealised)]);
            row.push(format!("{}{}", p.open_orders, if p.trading { "" } else { " (trading off)" }));
        }
        None => row.extend(std::iter::repeat_n("-".to_string(), 4)),
    }
    row
}

fn decimal(mantissa: i128, decimals: u8) -> String {
    Decimal { mantissa, decimals }.to_string()
}

fn latencies(view: &View, out: &mut String) {
    if view.stats.hists.is_empty() {
        return;
    }
    out.push_str("\nlatency since start\n");
    let mut table = Table::new(&[
        ("stage", Align::Left),
        ("count", Align::Right),
        ("p50", Align::Right),
        ("p90", Align::Right),
        ("p99", Align::Right),
        ("p99.9", Align::Right),
        ("max", Align::Right),
        ("mean", Align::Right),
    ]);
    for (name, figures) in &view.stats.hists {
        let mut row = vec![name.clone(), grouped(figures.count)];
        let values = [figures.p50_ns, figures.p90_ns, figures.p99_ns, figures.p999_ns, figures.max_ns];
        if figures.count > 0 {
            row.extend(values.map(duration));
            row.push(duration(figures.mean_ns as u64));
        }
        table.row(row);
    }
    table.render(out);
}

fn trace(view: &View, orders: usize, sorted: Sorted, out: &mut String) {
    let rows = view.orders(orders, sorted);
    if rows.is_empty() {
        return;
    }
    let (name, shown, used) = (sorted.name(), rows.len(), view.stats.orders.len());
    out.push_str(&format!("\n{name} ({shown} of {used} slots used)\n"));
    let mut columns = vec![("slot", Align::Right), ("gate passed", Align::Left), ("cause", Align::Right)];
    columns.extend(stats::STAGES.map(|stage| (stage, Align::Right)));
    columns.extend([("tick to order", Align::Right), ("state", Align::Left), ("cycle", Align::Right)]);
    let mut table = Table::new(&columns);
    for order in rows {
        table.row(order_row(order));
    }
    table.render(out);
}

/// Slot, gate passage, cause, stages, tick to order, state, cycle.
pub(crate) fn order_row(order: &OrderTrace) -> Vec<String> {
    let cost = |ns: Option<u64>| ns.map_or("-".to_string(), duration);
    let mut row = vec![order.slot.0.to_string(), kill::utc(order.risk), order.cause.to_string()];
    row.extend(order.stages_ns().map(cost));
    row.push(cost(order.tick_to_order_ns()));
    row.push(format!("{:?}", order.state));
    row.push(order.client_cycle.map_or("-".to_string(), |cycle| cycle.to_string()));
    row
}
