//! `corelane check`, and what a start refuses: named, all at once, before anything is begun.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::rig::{Scratch, config_text, engine};

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn said(command: &mut Command) -> Said {
    let out = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: out.status.code(), out: text(&out.stdout), err: text(&out.stderr) }
}

#[test]
fn every_layer_is_shown_and_judged() {
    let scratch = Scratch::new("check");
    let path = scratch.path().join("c.toml");
    fs::write(&path, "[risk]\ncollar_bps = 60\norders_per_s = 3\n").expect("a file");
    let check = |more: &[&str]| {
        let mut command = engine();
        command.arg("check").arg("--config").arg(&path).args(more);
        command
    };
    let shown = said(
        check(&["--show", "--set", "risk.orders_per_s=4"])
            .env("CORELANE__RISK__ORDER_QTY_MAX", "0.001")
            .env("CORELANE_STATE_DIR", "/var/lib/elsewhere")
            .env("CORELANE_API_SECRET", "hush-hush"),
    );
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    for (value, origin) in [
        ("risk.collar_bps = 60", "# line 2"),
        ("risk.orders_per_s = 4", "# --set"),
        ("risk.order_qty_max = \"0.001\"", "# environment CORELANE__RISK__ORDER_QTY_MAX"),
        ("engine.state_dir = \"/var/lib/elsewhere\"", "# environment CORELANE_STATE_DIR"),
        ("risk.orders_burst = 10", "# default"),
    ] {
        assert!(
            shown.out.lines().any(|l| l.starts_with(value) && l.ends_with(origin)),
            "{value}: {}",
            shown.out
        );
    }
    assert!(!shown.out.contains("hush"));

    fs::write(&path, "[risk]\ncollar_bps = 0\ncolar = 1\n[venue]\napi_secret = 'hush-hush'\nkind = 'nyse'\n")
        .expect("a file");
    let refused = said(check(&["--set", "kill.poll_us=1"]).env("CORELANE__NET__TLS_MS", "never"));
    assert_eq!(refused.code, Some(1));
    let at = path.display();
    for want in [
        format!("{at}: line 2: risk.collar_bps = 0: must be 1..=5000"),
        format!("{at}: line 3: risk.colar: unknown field"),
        format!("{at}: line 5: venue.api_secret: secrets are never in this file"),
        format!("{at}: line 6: venue.kind: unknown variant `nyse`, expected `binance-spot`"),
        "environment CORELANE__NET__TLS_MS: net.tls_ms: invalid type".into(),
        "--set: kill.poll_us = 1: must be 10..=10000".into(),
    ] {
        assert!(refused.err.contains(&want), "{want}: {}", refused.err);
    }
    assert_eq!(refused.err.lines().count(), 6, "{}", refused.err);
    assert!(!refused.err.contains("hush"));
    let run = said(engine().arg("run").arg("--config").arg(&path));
    assert!(run.code == Some(1) && run.err.contains("line 2: risk.collar_bps = 0"), "{}", run.err);
    let missing = said(engine().args(["check", "--config", "/no/such/file"]));
    assert!(missing.code == Some(1) && missing.err.contains("/no/such/file"), "{}", missing.err);
}

#[test]
fn the_demo_reads_the_same_layers() {
    let scratch = Scratch::new("demo-layers");
    let mut demo = engine();
    demo.args(["demo", "--transport", "memory", "--seconds", "1"]).env("TMPDIR", scratch.path());
    let refused = said(demo.args(["--set", "risk.collar_bps=0"]).env("CORELANE__RISK__ORDERS_PER_S", "0"));
    assert_eq!(refused.code, Some(1));
    for want in
        ["--set: risk.collar_bps = 0", "environment CORELANE__RISK__ORDERS_PER_S: risk.orders_per_s = 0"]
    {
        assert!(refused.err.contains(want), "{want}: {}", refused.err);
    }
}

#[test]
fn what_the_host_lacks_is_told_all_at_once() {
    let scratch = Scratch::new("host");
    let path = scratch.path().join("c.toml");
    fs::write(&path, config_text(&scratch, 9, "")).expect("a file");
    fs::write(scratch.path().join("api.key"), "key").expect("a file");
    fs::set_permissions(scratch.path().join("api.key"), fs::Permissions::from_mode(0o644)).expect("its mode");
    let file = said(engine().arg("check").arg("--config").arg(&path));
    assert_eq!(file.code, Some(0), "the file alone is sound: {}", file.err);
    for command in ["check", "run"] {
        let mut host = engine();
        host.arg(command).arg("--config").arg(&path);
        if command == "check" {
            host.arg("--host");
        }
        let refused = said(&mut host);
        assert_eq!(refused.code, Some(1));
        for want in ["api.key has mode 0644, must be 0600 or 0400", "ca.pem"] {
            assert!(refused.err.contains(want), "{want}: {}", refused.err);
        }
        assert!(!scratch.state().exists() && !scratch.shm().exists(), "nothing is begun");
    }
}
