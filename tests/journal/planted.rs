//! A replay that could not fail would prove nothing: inputs and outputs are changed in the file, checksum mended, and
//! each change is found at the agent and cycle where it matters.

use corelane::replay::{Outcome, agent_name, replay};
use corelane::sim::wires::Faults;
use journal::{Cycle, File, Item, Kind};

use crate::rig::{Dir, config, run};

/// Bytes of a record before its body, and of a cycle before its items: see `journal::layout`.
const RECORD_HEAD: usize = 24;

/// A run, its one file changed at the offset within a record that `choose` names: the byte there gets another value.
fn planted(choose: impl Fn(&Cycle<'_>, &[u8]) -> Option<usize>) -> (u8, u64, Outcome) {
    let dir = Dir::new();
    run(&config(&dir), &dir, 9, 2.0, [Faults::default(); 2]);
    let path = dir.session().paths()[0].clone();
    let mut bytes = std::fs::read(&path).expect("read");
    let file = File::from_bytes(bytes.clone()).expect("whole");
    let cycles = file.scan().filter(|r| r.kind == Kind::Cycle);
    // Well into the run, when orders flow.
    let found = cycles.skip(500).find_map(|r| {
        let cycle = Cycle::decode(r.body).expect("a cycle");
        Some((r.offset, r.body.len(), cycle.agent, cycle.number, choose(&cycle, r.body)?))
    });
    let (offset, len, agent, number, at) = found.expect("such a record");
    bytes[offset + RECORD_HEAD + at] ^= 1;
    let crc = crc32c::crc32c(&bytes[offset + 8..offset + RECORD_HEAD + len]);
    bytes[offset + 4..offset + 8].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&path, bytes).expect("written");
    (agent, number, replay(&dir.session()).expect("replayed"))
}

fn find(body: &[u8], what: &[u8]) -> Option<usize> {
    body.windows(what.len()).position(|w| w == what)
}

fn red(what: &str, (agent, number, outcome): (u8, u64, Outcome), must_be_there: bool) {
    let d = outcome.divergence.unwrap_or_else(|| {
        panic!("{what}: the replay noticed nothing: {:?} {:?}", outcome.damage, outcome.tail)
    });
    println!("{what}: found at {} cycle {}: {} / {}", agent_name(d.agent), d.cycle, d.recorded, d.replayed);
    if must_be_there {
        assert_eq!((d.agent, d.cycle), (agent, number), "{what}");
    }
}

#[test]
fn a_planted_change_is_found_where_it_is() {
    // A digit of a price that the venue sent: the feed publishes something else.
    let digit = |cycle: &Cycle<'_>, body: &[u8]| {
        let told = cycle.items().any(|i| matches!(i, Ok(Item::Put { ring: 0, .. })));
        find(body, b"bookTicker").filter(|_| told && cycle.agent == 0 && find(body, b"@trade").is_none())?;
        find(body, b"\"b\":\"").map(|at| at + 9)
    };
    red("a digit from the venue", planted(digit), true);
    // A byte of an order that left.
    let order = |_: &Cycle<'_>, body: &[u8]| find(body, b"\"price\":\"").map(|at| at + 10);
    red("a digit of an order", planted(order), true);
    // The hash of what was published.
    let hash = |cycle: &Cycle<'_>, body: &[u8]| {
        let last = cycle.items().last()?.ok()?;
        matches!(last, Item::Put { .. }).then_some(body.len() - 1)
    };
    red("a published hash", planted(hash), true);
    // How many messages an agent took: the interleaving.
    let took = |cycle: &Cycle<'_>, body: &[u8]| {
        let first = cycle.items().next()?.ok()?;
        let Item::Took { count, .. } = first else { return None };
        // One becomes none: `count` is the low byte behind agent's head, code and ring.
        (count == 1 && body.len() > 30).then_some(24 + 2)
    };
    red("an interleaving", planted(took), true);
    // The time of a strategy's cycle.
    let stamp = |cycle: &Cycle<'_>, _: &[u8]| {
        let item = cycle.items().find_map(|i| matches!(i, Ok(Item::Stamp { .. })).then_some(()));
        (cycle.agent == 3 && item.is_some()).then_some(24 + 1)
    };
    let (agent, number, outcome) = planted(stamp);
    red("a reading of the clock", (agent, number, outcome), false);
}
