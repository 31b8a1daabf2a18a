//! The shipped default is complete and true.

use std::collections::BTreeSet;

use topology::{Config, DEFAULT_TOML, Filters, IdleKind, Instrument, ThreadTable, parse_exact};

/// Every optional part present, written out in full: a new field does not compile until it is here.
fn everything() -> Config {
    let zero = parse_exact("0").expect("a decimal");
    let filters = Filters {
        base: String::new(),
        quote: String::new(),
        px_decimals: 0,
        qty_decimals: 0,
        quote_decimals: 0,
        tick: zero,
        lot: zero,
        qty_min: zero,
        qty_max: zero,
        notional_min: zero,
    };
    let thread = ThreadTable {
        name: String::new(),
        agents: Vec::new(),
        core: Some(0),
        idle: Some(IdleKind::Spin),
        park_us: Some(1),
    };
    Config {
        instrument: Instrument { filters: Some(filters), ..Instrument::default() },
        thread: vec![thread],
        ..Config::default()
    }
}

fn paths(prefix: &str, value: &toml::Value, out: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (name, inner) in table {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                paths(&path, inner, out);
            }
        }
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            items.iter().for_each(|item| paths(prefix, item, out));
        }
        _ => {
            out.insert(prefix.to_owned());
        }
    }
}

/// The text with its examples switched on: `# key = value` and `# [table]` lose their mark.
fn with_examples() -> String {
    let example = |line: &str| {
        let Some(rest) = line.strip_prefix("# ") else { return line.to_owned() };
        let name = rest.split(" = ").next().unwrap_or_default();
        let is_key = rest.contains(" = ") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if is_key || rest.starts_with('[') { rest.to_owned() } else { line.to_owned() }
    };
    DEFAULT_TOML.lines().map(|l| example(l) + "\n").collect()
}

#[test]
fn it_parses_to_the_default() {
    assert_eq!(Config::parse(DEFAULT_TOML).map_err(|e| e.to_string()), Ok(Config::default()));
    assert_eq!(Config::parse("").map_err(|e| e.to_string()), Ok(Config::default()));
}

#[test]
fn it_mentions_every_key_and_no_other() {
    let (mut wanted, mut written) = (BTreeSet::new(), BTreeSet::new());
    paths("", &toml::Value::try_from(everything()).expect("plain data"), &mut wanted);
    let text: toml::Table = toml::from_str(&with_examples()).expect("the examples are TOML");
    paths("", &toml::Value::Table(text), &mut written);
    assert_eq!(written, wanted);
    assert!(wanted.len() > 60, "{} keys", wanted.len());
}

#[test]
fn its_examples_are_valid_values() {
    // The example thread alone leaves agents without a place, which is for the topology to say.
    let config =
        Config::parse(&with_examples()).map_err(|e| e.to_string()).expect("examples hold their rules");
    let fixed = config.instrument.fixed().expect("filters are given");
    assert_eq!((fixed.tick.0, fixed.lot.0, fixed.notional_min), (1_000_000, 1_000, 5 * 10i128.pow(16)));
    assert_eq!(config.thread.len(), 1);
}

#[test]
fn every_key_is_explained() {
    // A key follows a comment, or another key of the same explanation.
    let mut explained = false;
    for (i, line) in DEFAULT_TOML.lines().enumerate() {
        let is_key = line.contains(" = ") && !line.starts_with('#');
        assert!(!is_key || explained, "line {}: {line}", i + 1);
        explained = line.starts_with('#') || line.starts_with('[') || (is_key && explained);
    }
}
