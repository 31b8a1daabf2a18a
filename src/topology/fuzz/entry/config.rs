//! What must hold of the configuration for any bytes. Run by the fuzzer and, over the committed corpus, by the
//! default tests. Rules:
//!
//! - text is taken or refused, the same way every time; a refusal has at least one problem, each on one line of
//!   bounded length, with a line number inside the text;
//! - what is taken keeps the rules that trading rests on, whatever the text said;
//! - what is taken can be placed, or the placement names the rule it breaks; placed threads use allowed cores only.

use topology::{Config, Decimal, Topology};

/// Checks every rule.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = Config::parse(text);
    assert_eq!(read, Config::parse(text), "read differently the second time");
    let config = match read {
        Ok(config) => config,
        Err(error) => {
            assert!(!error.problems.is_empty(), "refused without a reason");
            let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
            for problem in &error.problems {
                assert!(!problem.rule.is_empty(), "a problem without its rule");
                match &problem.origin {
                    topology::Origin::Line(line) => assert!((1..=lines).contains(line), "no such line"),
                    origin => assert_eq!(*origin, topology::Origin::Default, "there is one layer"),
                }
                assert!(!problem.to_string().contains('\n'), "more than one line: {problem}");
            }
            assert_eq!(error.to_string().lines().count(), error.problems.len());
            return;
        }
    };
    assert!(config.risk.collar_bps >= 1, "a gate without a collar");
    assert!(config.risk.order_qty_max > Decimal::ZERO, "a gate without a limit");
    assert!(config.rings.order.is_power_of_two());
    assert!((5..=5_000).contains(&config.feed.snapshot_levels));
    assert!(config.feed.silence_ms >= 100);
    for allowed in [&[][..], &[0], &[0, 1], &[3, 5, 8, 9], &[0, 1, 2, 3, 4, 5, 6, 7]] {
        match Topology::build(&config, allowed) {
            Ok(placed) => {
                let cores = placed.threads.iter().filter_map(|thread| thread.core);
                assert!(cores.into_iter().all(|core| allowed.contains(&core)), "a core that is not ours");
                assert!(!placed.to_string().is_empty());
            }
            Err(refused) => assert!(!refused.to_string().is_empty()),
        }
    }
}
