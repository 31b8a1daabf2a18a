//! One agent a thread: the same agents and rings, joined across cores instead of stepped in turn.

use std::process::Command;

use corelane::demo::market::DEMO_TOML;
use serde_json::Value;

const THREADS: &str = r#"
[runtime]
idle = "yield"

[[thread]]
name = "feed"
agents = ["feed"]

[[thread]]
name = "strategy"
agents = ["strategy"]

[[thread]]
name = "oms"
agents = ["oms"]

[[thread]]
name = "gateway"
agents = ["gateway"]

[[thread]]
name = "kill"
agents = ["kill"]
idle = "park"

[[thread]]
name = "housekeeping"
agents = ["housekeeping"]
idle = "park"
"#;

#[test]
fn an_engine_of_one_agent_a_thread_trades_and_agrees_with_the_venue() {
    let dir = std::env::temp_dir().join(format!("corelane-spread-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory of our own");
    let (config, json) = (dir.join("spread.toml"), dir.join("report.json"));
    std::fs::write(&config, format!("{DEMO_TOML}\n{THREADS}")).expect("writes its configuration");
    let run = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(["demo", "--seconds", "4", "--config"])
        .arg(&config)
        .arg("--json")
        .arg(&json)
        .output()
        .expect("the program runs");
    let report: Value =
        serde_json::from_slice(&std::fs::read(&json).expect("the report was written")).expect("JSON");
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{report:#}\n{told}");
    assert_eq!(report["agreement"]["balances"], true, "{report:#}");
    assert_eq!(report["book"]["gaps"], 0, "{report:#}");
    assert!(report["orders"]["sent"].as_u64() > Some(10), "{report:#}");
    assert!(report["fills"].as_u64() > Some(0), "{report:#}");
    std::fs::remove_dir_all(&dir).expect("our own directory");
}
