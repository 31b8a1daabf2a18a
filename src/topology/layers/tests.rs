//! Which layer goes before which, and what a refusal of each says.

use super::*;

fn env(pairs: &[(&str, &str)]) -> Vec<Override> {
    Override::from_env(pairs.iter().map(|(n, v)| (n.into(), v.into()))).expect("text")
}

fn set(word: &str) -> Override {
    Override::from_set(word).expect("KEY=VALUE")
}

fn refusal(text: &str, over: &[Override]) -> String {
    Layered::read(text, over).expect_err("a refusal").to_string()
}

#[test]
fn arguments_go_before_the_environment_and_that_before_the_file() {
    let text = "[risk]\ncollar_bps = 50\norders_per_s = 7\n[instrument]\nsymbol = 'ETHUSDT'\n";
    let mut over = env(&[
        ("CORELANE__RISK__ORDERS_PER_S", "8"),
        ("CORELANE__RISK__ORDER_QTY_MAX", "0.0015"),
        ("CORELANE_STATE_DIR", "not ours"),
        ("PATH", "/bin"),
    ]);
    over.push(set("risk.orders_per_s=9"));
    over.push(set("instrument.symbol=123"));
    over.push(set("runtime.cores=[1, 2]"));
    let layered = Layered::read(text, &over).expect("sound");
    let risk = &layered.config.risk;
    assert_eq!((risk.collar_bps, risk.orders_per_s), (50, 9));
    assert_eq!(risk.order_qty_max.to_string(), "0.0015", "a decimal needs no quotes");
    assert_eq!(layered.config.instrument.symbol, "123", "text is text, whatever it looks like");
    assert_eq!(layered.config.runtime.cores, [1, 2]);
    let origin = |key| layered.origin(key).to_string();
    assert_eq!(origin("risk.collar_bps"), "line 2");
    assert_eq!(origin("risk.orders_per_s"), "--set");
    assert_eq!(origin("risk.order_qty_max"), "environment CORELANE__RISK__ORDER_QTY_MAX");
    assert_eq!(origin("risk.orders_burst"), "default");
    let shown = layered.values().find(|(key, ..)| *key == "risk.order_qty_max").expect("every key is there");
    assert_eq!(shown.1, "\"0.0015\"");
    assert!(layered.values().count() > 60);
}

#[test]
fn a_refusal_names_the_layer() {
    let over = env(&[("CORELANE__RISK__COLLAR_BPS", "0"), ("CORELANE__RISK__COLAR_BPS", "5")]);
    let said = refusal("", &over);
    let want = "environment CORELANE__RISK__COLLAR_BPS: risk.collar_bps = 0: must be 1..=5000";
    assert!(said.contains(want), "{said}");
    let want = "environment CORELANE__RISK__COLAR_BPS: risk.colar_bps: unknown field";
    assert!(said.contains(want), "{said}");
    let said = refusal("", &[set("risk.collar_bps=wide")]);
    assert!(said.contains("--set: risk.collar_bps: invalid type"), "{said}");
    let said = refusal("", &[set("risk.order_qty_max='1e9'")]);
    assert!(said.contains("--set: risk.order_qty_max: \"1e9\" is not a plain decimal"), "{said}");
    let said = refusal("[net]\nbackoff_max_ms = 200\n", &[set("net.backoff_min_ms=300")]);
    let want = "line 2: net.backoff_max_ms = 200: must not be less than net.backoff_min_ms = 300";
    assert!(said.contains(want), "{said}");
    assert!(Override::from_set("risk.collar_bps").is_err() && Override::from_set("=5").is_err());
}

#[test]
fn a_value_is_a_value_and_never_more_of_the_file() {
    for text in ["5\n[kill]\npoll_us = 10", "'x'\norders_per_s = 1", "5\nx = 2", "[", "5 5"] {
        let over = [Override { key: "risk.collar_bps".into(), text: text.into(), origin: Origin::Set }];
        assert!(refusal("", &over).contains("--set: risk.collar_bps"), "{text}");
    }
    let deep = Override { key: "a.".repeat(100_000), text: "1".into(), origin: Origin::Set };
    assert!(refusal("", &[deep]).contains("at most 4096 bytes"));
}

#[test]
fn secrets_are_refused_in_every_layer_and_never_shown() {
    let over = env(&[("CORELANE__VENUE__API_SECRET", "hush-hush")]);
    for said in [
        refusal("", &over),
        refusal("", &[set("venue.api_secret=hush-hush")]),
        refusal("[venue]\napi_secret = 'hush-hush'\n", &[]),
        refusal("", &[set("venue.api_secret_env=hush-hush")]),
    ] {
        assert!(said.contains("api_secret") && !said.contains("hush"), "{said}");
    }
}

#[test]
fn every_wrong_type_is_told_with_the_broken_rules_beside_it() {
    let text = "[risk]\ncollar_bps = 'wide'\norders_per_s = 0\ncolar = 5\norder_qty_max = 1\n\n[net]\n\
                tls_ms = true\n";
    let said = refusal(text, &[set("kill.poll_us=1")]);
    let lines: Vec<&str> = said.lines().collect();
    for want in [
        "line 2: risk.collar_bps: invalid type",
        "line 4: risk.colar: unknown field",
        "line 5: risk.order_qty_max: invalid type",
        "line 8: net.tls_ms: invalid type",
        "line 3: risk.orders_per_s = 0: must be 1..=10000",
        "--set: kill.poll_us = 1: must be 10..=10000",
    ] {
        assert!(lines.iter().any(|l| l.starts_with(want)), "{want}: {said}");
    }
    assert_eq!(lines.len(), 6, "{said}");
}

#[test]
fn a_table_may_be_completed_by_another_layer() {
    let half = "[venue.rest]\nport = 9443\n";
    assert!(refusal(half, &[]).contains("missing field `host`"));
    let layered = Layered::read(half, &[set("venue.rest.host=localhost")]).expect("both together");
    assert_eq!(
        (layered.config.venue.rest.host.as_str(), layered.config.venue.rest.port),
        ("localhost", 9443)
    );
    assert!(refusal(half, &[set("risk.collar_bps=5")]).contains("missing field `host`"));
}
