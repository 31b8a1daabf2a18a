//! What the table says of a thread is what the thread is; what its duty cycles cost stands in the statistics.

use agent::Idle;
use corelane::wiring::thread_spec;
use topology::{Config, Topology};

#[test]
fn each_idle_strategy_of_the_table_reaches_its_thread() {
    let toml = r#"
        [runtime]
        slow_cycle_us = 70
        [[thread]]
        name = "a"
        agents = ["feed"]
        idle = "spin"
        core = 0
        [[thread]]
        name = "b"
        agents = ["strategy"]
        idle = "pause"
        core = 1
        [[thread]]
        name = "c"
        agents = ["oms", "gateway"]
        idle = "yield"
        core = 2
        [[thread]]
        name = "d"
        agents = ["kill"]
        idle = "park"
        park_us = 30
        [[thread]]
        name = "e"
        agents = ["housekeeping"]
        idle = "park"
    "#;
    let config = Config::parse(toml).map_err(|e| e.to_string()).expect("a configuration");
    let topology = Topology::build(&config, &[0, 1, 2]).expect("three cores");
    let specs: Vec<_> =
        topology.threads.iter().map(|t| thread_spec(t, config.runtime.slow_cycle_us)).collect();
    let idle: Vec<(&str, Idle)> = specs.iter().map(|s| (s.name.as_str(), s.idle)).collect();
    let park = |us: u64| Idle::Park { ns: us * 1_000 };
    let want = [("a", Idle::Spin), ("b", Idle::Pause), ("c", Idle::Yield), ("d", park(30)), ("e", park(200))];
    assert_eq!(idle, want);
    assert!(specs.iter().all(|s| s.slow_ns == 70_000));
}
