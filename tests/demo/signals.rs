//! SIGINT and SIGTERM: quoting stops, open orders are cancelled and confirmed, the page comes, the code is 0.

use crate::session::{Scratch, alone, assert_agreement, corelane, figure, report, trade_until_signalled};

/// Runs the demo until it has traded, sends it a signal, and looks at what it leaves.
fn ends_in_order(transport: &str, signal: libc::c_int, name: &str) {
    let _machine = alone();
    let scratch = Scratch::new("signal");
    let json = scratch.file("report.json");
    let mut demo = corelane(&scratch);
    demo.args(["demo", "--transport", transport, "--json"]).arg(&json);
    let finished = trade_until_signalled(&scratch, &mut demo, signal);
    finished.exits(0);
    let r = report(&json);
    assert_agreement(&r);
    assert_eq!(r["interrupted"], name);
    assert!(r["kill"]["source"].is_null(), "a clean stop is no trip: {r:#}");
    assert!(figure(&r, "/orders/sent") > 0, "{r:#}");
    let first = finished.stdout.lines().next().unwrap_or_default();
    assert!(first.ends_with(&format!("ended by {name}")), "{first}");
    assert!(finished.stdout.contains("open orders agree"), "{}", finished.stdout);
    println!("{first}");
}

#[test]
fn sigint_ends_a_run_over_tls_in_order() {
    ends_in_order("tls", libc::SIGINT, "SIGINT");
}

#[test]
fn sigterm_ends_a_run_over_tls_in_order() {
    ends_in_order("tls", libc::SIGTERM, "SIGTERM");
}

#[test]
fn sigint_ends_virtual_time_too() {
    ends_in_order("memory", libc::SIGINT, "SIGINT");
}
