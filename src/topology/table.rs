//! The topology as text.

use std::fmt;

use crate::agents::AgentName;
use crate::placement::Topology;
use crate::rings::RingSpec;

impl fmt::Display for Topology {
    /// One row an agent in the order of the data's way, then one row a ring.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores: Vec<String> = self.cores.iter().map(usize::to_string).collect();
        writeln!(f, "layout {}, cores {}", self.layout, cores.join(" "))?;
        writeln!(f)?;
        let head = ["agent", "thread", "core", "idle", "class", "reads", "writes"].map(str::to_owned);
        rows(f, head, &self.agent_rows())?;
        writeln!(f)?;
        let head = ["ring", "from", "to", "slots", "when full"].map(str::to_owned);
        rows(f, head, &self.ring_rows())
    }
}

impl Topology {
    fn agent_rows(&self) -> Vec<[String; 7]> {
        let row = |agent: AgentName| {
            let thread = self.thread_of(agent)?;
            Some([
                agent.to_string(),
                thread.name.clone(),
                thread.core.map_or_else(|| "any".to_owned(), |c| c.to_string()),
                thread.idle.to_string(),
                thread.fifo.map_or_else(|| "normal".to_owned(), |p| format!("fifo {p}")),
                self.names(|r| r.consumer == agent),
                self.names(|r| r.producer == agent),
            ])
        };
        AgentName::ALL.into_iter().filter_map(row).collect()
    }

    fn names(&self, of: impl Fn(&RingSpec) -> bool) -> String {
        let names: Vec<&str> = self.rings.iter().filter(|r| of(r)).map(|r| r.name).collect();
        if names.is_empty() { "-".to_owned() } else { names.join(", ") }
    }

    fn ring_rows(&self) -> Vec<[String; 5]> {
        let row = |r: &RingSpec| {
            [
                r.name.to_owned(),
                r.producer.to_string(),
                r.consumer.to_string(),
                r.capacity.to_string(),
                r.when_full.to_string(),
            ]
        };
        self.rings.iter().map(row).collect()
    }
}

fn rows<const N: usize>(f: &mut fmt::Formatter<'_>, head: [String; N], body: &[[String; N]]) -> fmt::Result {
    let width = |column: usize| {
        let cells = std::iter::once(&head).chain(body).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in std::iter::once(&head).chain(body) {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, w)| format!("{cell:<w$}")).collect();
        writeln!(f, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}
