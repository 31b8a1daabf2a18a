//! The comparison at the end must be able to fail: one corrupted execution is found, over both transports.

use std::fs;

use corelane::cli::{DemoArgs, Transport};
use corelane::demo;
use venue_binance::sim::SimFaults;

use crate::session::{Scratch, alone, patient_config, report};

fn drill(transport: Transport, faults: SimFaults) -> (i32, serde_json::Value) {
    let scratch = Scratch::new("drill");
    let json = scratch.file("report.json");
    let args = DemoArgs {
        seconds: Some(4.0),
        config: Some(patient_config(&scratch)),
        transport,
        json: Some(json.clone()),
        state_dir: Some(scratch.file("state")),
        ..DemoArgs::default()
    };
    let code = demo::drill(&args, faults);
    assert!(!fs::exists(scratch.file("state/kill.latch")).unwrap_or(true), "a difference is not a trip");
    (code, report(&json))
}

#[test]
fn one_wrong_fill_is_a_difference_and_a_failure() {
    let _machine = alone();
    for transport in [Transport::Memory, Transport::Tls] {
        let faults = SimFaults { corrupt_fill: Some(5), ..SimFaults::default() };
        let (code, r) = drill(transport, faults);
        assert_eq!(code, 1, "{r:#}");
        let failure = r["failure"].as_str().expect("words");
        if transport == Transport::Tls && r["agreement"]["balances"] == true {
            // Every report comes on two connections, and only one of them lies: the truth was first.
            assert!(failure.contains("conflict"), "{failure}");
            continue;
        }
        assert_eq!(r["agreement"]["balances"], false, "{r:#}");
        assert_eq!(r["agreement"]["positions"], false, "{r:#}");
        let differences = r["agreement"]["differences"].as_array().expect("a list");
        assert!(
            differences.iter().any(|d| d.as_str().is_some_and(|d| d.contains("venue minus engine"))),
            "{r:#}"
        );
        assert!(failure.contains("engine and venue differ"), "{failure}");
        println!("{transport:?}: {failure}; trading was off: {}", r["halt"]);
    }
}

#[test]
fn the_same_run_without_the_fault_agrees() {
    let _machine = alone();
    let (code, r) = drill(Transport::Memory, SimFaults::default());
    assert_eq!((code, &r["failure"]), (0, &serde_json::Value::Null), "{r:#}");
}
