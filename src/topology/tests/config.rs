//! What a configuration may not be, and how the refusal reads.

use proptest::prelude::*;
use topology::{Config, DEFAULT_TOML, Topology};

fn refusal(text: &str) -> String {
    match Config::parse(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(e) => e.to_string(),
    }
}

/// A setting by its dotted key; what the refusal must be.
const BROKEN: &[(&str, &str)] = &[
    ("engine.state_dir = 'var'", "line 1: engine.state_dir = var: must be an absolute path"),
    ("engine.shm_dir = 'shm'", "line 1: engine.shm_dir = shm: must be an absolute path"),
    ("engine.shm_dir = '/var/lib/corelane'", "must differ from engine.state_dir"),
    ("engine.profile = 'huge'", "unknown variant `huge`, expected one of `auto`, `compact`, `spread`"),
    ("venue.kind = 'nyse'", "unknown variant `nyse`"),
    ("venue.ca_file = 'ca.pem'", "venue.ca_file = ca.pem: must be an absolute path"),
    ("venue.api_key_file = 'key'", "must be an absolute path"),
    ("venue.rest = { host = 'https://x' }", "line 1: venue.rest.host = https://x: must be a DNS name"),
    ("venue.stream = { host = 'x', port = 0 }", "venue.stream.port = 0: must be 1..=65535"),
    ("venue.order = { host = 'x', port = 70000 }", "venue.order.port"),
    ("venue.order = { port = 443 }", "missing field `host`"),
    ("instrument.symbol = 'btcusdt'", "instrument.symbol = btcusdt: must be the venue's symbol"),
    ("strategy.quoter.half_spread_ticks = 1000001", "must be 0..=1000000"),
    ("strategy.quoter.order_life_min_us = 0", "must be 1..=3600000000"),
    ("strategy.quoter.in_flight_max = 3", "must be 1..=2"),
    (
        "strategy.kind = 'taker'",
        "line 1: strategy.kind: unknown variant `taker`, expected `quoter` or `maker`",
    ),
    ("strategy.maker.model = 'ml'", "strategy.maker.model: unknown variant `ml`, expected `as` or `glft`"),
    ("strategy.maker.gamma = '0'", "strategy.maker.gamma = 0: must be 0.000000001 to 1000000"),
    ("strategy.maker.gamma = 0.1", "expected a decimal in quotes"),
    ("strategy.maker.horizon_ms = 0", "must be 1..=86400000"),
    ("strategy.maker.size = '0'", "strategy.maker.size = 0: must be more than 0"),
    ("strategy.maker.levels = 9", "strategy.maker.levels = 9: must be 1..=8"),
    ("strategy.maker.step_min_ticks = 0", "must be 1..=1000000"),
    ("strategy.maker.step_ms = 3600001", "must be 0..=3600000"),
    ("strategy.maker.spread_min_ticks = 1000001", "must be 0..=1000000"),
    ("strategy.maker.spread_max_ticks = 1", "must not be less than spread_min_ticks = 2"),
    ("strategy.maker.maker_fee_ppm = -10001", "must be -10000..=100000"),
    ("strategy.maker.requote_ticks = 0", "must be 1..=1000000"),
    ("strategy.maker.position_max = '0.0001'", "must not be less than size = 0.001"),
    ("strategy.maker.order_life_min_us = 0", "must be 1..=3600000000"),
    ("strategy.maker.orders_per_s = 10001", "must be 1..=10000"),
    ("strategy.maker.in_flight_max = 5", "must be 1..=4"),
    ("strategy.maker.sigma_half_life_ms = 1", "must be 10..=86400000"),
    ("strategy.maker.sigma_sample_ms = 20000", "must not exceed sigma_half_life_ms = 10000"),
    ("strategy.maker.sigma_min_ticks = '0'", "must be 0.000001 to 1000000"),
    ("strategy.maker.sigma_max_ticks = '0.5'", "strategy.maker.sigma_max_ticks = 0.5: must be 1 to 1000000"),
    ("strategy.maker.arrivals_per_s = '-1'", "must be 0.000001 to 1000000"),
    ("strategy.maker.arrivals_decay = '101'", "must be 0.000001 to 100"),
    ("strategy.maker.arrivals_half_life_ms = 99", "must be 0 or 100..=86400000"),
    (
        "strategy = { kind = 'maker', maker = { size = '0.003' } }",
        "must not exceed risk.order_qty_max = 0.002",
    ),
    (
        "strategy = { kind = 'maker', maker = { position_max = '1' } }",
        "must not exceed risk.position_max = 0.01",
    ),
    (
        "strategy = { kind = 'maker', maker = { levels = 3 } }",
        "must not exceed half of risk.open_orders_max = 4",
    ),
    ("strategy = { kind = 'maker', maker = { orders_per_s = 6 } }", "must not exceed risk.orders_per_s = 5"),
    ("risk.collar_mid_bps = 0", "must be 1..=5000"),
    ("risk.position_notional_max = '0'", "must be more than 0"),
    ("strategy.quoter.size = '0.003'", "must not exceed risk.order_qty_max = 0.002"),
    ("strategy.quoter.size = '-0.001'", "strategy.quoter.size = -0.001: must be more than 0"),
    ("strategy.quoter.position_max = '1'", "must not exceed risk.position_max = 0.01"),
    ("strategy.quoter.requote_ticks = 0", "must be 1..=1000000"),
    ("risk.order_qty_max = '0'", "risk.order_qty_max = 0: must be more than 0"),
    ("risk.order_qty_max = '1'", "must not exceed risk.position_max = 0.01"),
    ("risk.order_notional_max = 500", "line 1: risk.order_notional_max: invalid type: integer `500`"),
    ("risk.order_notional_max = 0.5", "expected a decimal in quotes such as \"0.01\""),
    ("risk.order_notional_max = '1e9'", "\"1e9\" is not a plain decimal"),
    ("risk.position_max = '0.0000000000000000001'", "has more than 18 decimals"),
    ("risk.open_orders_max = 0", "must be 1..=1000"),
    ("risk.collar_bps = -5", "line 1: risk.collar_bps"),
    ("risk.collar_bps = 5001", "line 1: risk.collar_bps = 5001: must be 1..=5000"),
    ("risk.orders_per_s = 0", "must be 1..=10000"),
    ("risk.orders_burst = 10001", "must be 1..=10000"),
    ("risk.market_stale_ms = 0", "must be 1..=60000"),
    ("risk.intent_age_us_max = 9", "must be 10..=1000000"),
    ("risk.colar_bps = 50", "line 1: risk.colar_bps: unknown field `colar_bps`, expected one of"),
    ("kill.poll_us = 5", "must be 10..=10000"),
    ("kill.ack_deadline_ms = 0", "must be 1..=10000"),
    ("kill.line_file = 'line'", "must be an absolute path"),
    ("kill = { poll_us = 10000, stale_beat_ms = 49 }", "must be at least 5 polls of kill.poll_us = 10000"),
    ("journal.dir = 'journal'", "must be an absolute path"),
    ("journal.file_mib = 0", "must be 1..=4096"),
    ("journal = { file_mib = 64, budget_mib = 127 }", "must be at least twice journal.file_mib = 64"),
    ("journal.ring_kib = 255", "must be 256..=1048576"),
    ("journal.when_full = 'stop'", "unknown variant `stop`, expected `drop_oldest` or `refuse`"),
    ("net.backend = 'dpdk'", "unknown variant `dpdk`, expected `uring` or `recv`"),
    ("net.tls_ms = 9", "net.tls_ms = 9: must be 10..=120000"),
    ("net.backoff_min_ms = 60000", "not in the file: net.backoff_max_ms = 30000: must not be less than"),
    ("feed.snapshot_levels = 5001", "must be 5..=5000"),
    ("feed.pending_updates_max = 1", "must be 16..=65536"),
    ("feed.silence_ms = 1", "must be 100..=120000"),
    ("feed.depth_silence_ms = 100", "must be 200..=120000"),
    ("runtime.idle = 'sleep'", "unknown variant `sleep`"),
    ("runtime.park_us = 0", "must be 1..=1000000"),
    ("runtime.slow_cycle_us = 0", "must be 1..=1000000"),
    ("runtime.warm_up_quiet_ms = 60001", "must be 0..=60000"),
    ("runtime.warm_up_every_ms = 0", "must be 1..=60000"),
    ("runtime.fifo_priority = 100", "must be 0..=99"),
    ("runtime.mlock = 1", "line 1: runtime.mlock: invalid type: integer `1`, expected a boolean"),
    ("runtime.cores = [1, 2, 1]", "line 1: runtime.cores[2] = 1: must be named once"),
    ("runtime.cores = [1024]", "runtime.cores[0] = 1024: must be 0..=1023"),
    ("rings.signal = 1000", "line 1: rings.signal = 1000: must be a power of two"),
    ("rings.order = 32", "must be 64..=1048576"),
    ("thread = [{ name = 'a b', agents = [] }]", "line 1: thread[0].name = a b: must be 1 to 15 of"),
    ("thread = [{ name = 'a', agents = ['feeed'] }]", "line 1: thread[0].agents[0]: unknown variant `feeed`"),
    ("thread = [{ name = 'a', agents = [], pin = 3 }]", "unknown field `pin`"),
    ("nonsense = 1", "line 1: nonsense: unknown field `nonsense`"),
    ("a = = 1", "line 1: not TOML: "),
];

#[test]
fn every_rule_refuses_and_says_which() {
    for (text, want) in BROKEN {
        let got = refusal(text);
        assert!(got.contains(want), "{text}\n  said   {got}\n  wanted {want}");
        assert!(!got.contains("  "), "{got}");
    }
}

/// The limits of the gate bind the strategy that runs; the other's table need not fit them.
#[test]
fn only_the_strategy_that_runs_must_fit_the_limits() {
    for (runs, rests) in [("quoter", "maker"), ("maker", "quoter")] {
        let large =
            |kind: &str| format!("[strategy]\nkind = '{kind}'\n[strategy.{rests}]\nposition_max = '1'\n");
        assert!(Config::parse(&large(runs)).is_ok());
        assert!(refusal(&large(rests)).contains("must not exceed risk.position_max"));
    }
}

#[test]
fn filters_have_rules_of_their_own() {
    let good = "base = 'BTC'\nquote = 'USDT'\npx_decimals = 2\nqty_decimals = 5\nquote_decimals = 8\ntick = '0.01'\n\
                lot = '0.00001'\nqty_min = '0.0001'\nqty_max = '9'\nnotional_min = '5'\n";
    let with = |from: &str, to: &str| format!("[instrument.filters]\n{}", good.replace(from, to));
    let config = Config::parse(&with("", "")).expect("good filters");
    let i = config.instrument.fixed().expect("filters are given");
    assert_eq!((i.tick.0, i.lot.0, i.qty_min.0, i.qty_max.0), (1, 1, 10, 900_000));
    assert_eq!((i.notional_min, i.notional_decimals(), i.trading), (50_000_000, 7, true));
    assert!(Config::default().instrument.fixed().is_none());
    for (from, to, want) in [
        ("'BTC'", "'btc'", "line 2: instrument.filters.base = btc: must be an asset"),
        ("px_decimals = 2", "px_decimals = 19", "instrument.filters.px_decimals = 19: must be 0..=18"),
        (
            "'0.01'",
            "'0.001'",
            "line 7: instrument.filters.tick = 0.001: must be 0 or more and fit 64 bits at 2",
        ),
        ("'0.01'", "'0'", "instrument.filters.tick = 0: must be more than 0"),
        ("qty_max = '9'", "qty_max = '0.00001'", "must not be less than qty_min = 0.0001"),
        ("notional_min = '5'", "notional_min = '-5'", "fit 128 bits at 7 decimals"),
        ("tick = '0.01'\n", "", "missing field `tick`"),
    ] {
        let got = refusal(&with(from, to));
        assert!(got.contains(want), "{to}\n  said   {got}\n  wanted {want}");
    }
}

#[test]
fn all_problems_are_told_at_once_with_their_lines() {
    let got = refusal("[risk]\ncollar_bps = 0\norders_per_s = 0\n\n[net]\n# a comment\ntls_ms = 1\n");
    let want = "line 2: risk.collar_bps = 0: must be 1..=5000\nline 3: risk.orders_per_s = 0: must be 1..=10000\n\
                line 7: net.tls_ms = 1: must be 10..=120000";
    assert_eq!(got, want);
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
    for key in ["api_secret", "api_key", "secret", "token", "password"] {
        let got = refusal(&format!("[venue]\n{key} = '{SECRET}'\n"));
        assert!(got.starts_with(&format!("line 2: venue.{key}: secrets are never in this file")), "{got}");
        assert!(!got.contains(&SECRET[..8]), "{got}");
    }
    for text in [
        format!("[venue]\napi_secret_env = '{SECRET}'\n"),
        format!("[venue]\napi_secret = '{SECRET}\n"),
        format!("[venue]\napi_secret = {SECRET}\n"),
    ] {
        let got = refusal(&text);
        assert!(got.contains("line 2") && !got.contains(&SECRET[..8]), "{got}");
    }
}

#[test]
fn hostile_texts_end_in_an_error() {
    let deep = "a.".repeat(200_000) + "a = 1";
    let nested = format!("a = {}", "[".repeat(200_000));
    let tables = format!("a = {}", "{a=".repeat(200_000));
    let headers = format!("[{}a]", "a.".repeat(200_000));
    for text in [deep, nested, tables, headers, "\u{feff}".repeat(9), "\0".to_owned(), "'''".to_owned()] {
        assert!(Config::parse(&text).is_err());
    }
    let long = refusal(&"#".repeat((1 << 20) + 1));
    assert!(long.contains("at most 1048576 are read"), "{long}");
}

fn survives(text: &str) {
    if let Ok(config) = Config::parse(text) {
        for cores in [&[][..], &[0], &[0, 1], &[3, 5, 7, 9, 11, 13, 15]] {
            if let Ok(topology) = Topology::build(&config, cores) {
                assert!(topology.validate().is_ok() && topology.to_string().contains("kill"));
            }
        }
        let _ = config.instrument.fixed();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_toml_like_text_never_panics(text in "([a-z_.\\[\\]='\"0-9 {},#-]|\n){0,300}") {
        survives(&text);
    }

    #[test]
    fn a_damaged_default_never_panics(
        from in 0..DEFAULT_TOML.len(), cut in 0usize..40, patch in "[a-z0-9\"'=.\\[\\]\n-]{0,12}",
    ) {
        let mut bytes = DEFAULT_TOML.as_bytes().to_vec();
        let to = (from + cut).min(bytes.len());
        bytes.splice(from..to, patch.bytes());
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_numbers_are_in_range_or_refused(
        which in 0usize..BROKEN.len(), value in prop_oneof![any::<i64>(), -3i64..70_000],
    ) {
        if let Some((key, _)) = BROKEN[which].0.split_once(" = ") {
            survives(&format!("{key} = {value}"));
            survives(&format!("{key} = '{value}'"));
            survives(&format!("{key} = [{value}]"));
        }
    }
}
