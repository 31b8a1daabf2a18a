//! Who may steer a running engine: section `control`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::lines::Checker;

/// Longest path of a Unix socket that every system takes, bytes.
const SOCKET_BYTES_MAX: usize = 100;
/// The kernel's "no such user"; never a peer's.
const NOBODY: u32 = u32::MAX;

/// Section `control`. The engine's own user and root are operators, whatever stands here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// Users that may do everything.
    pub operator_uids: Vec<u32>,
    /// Groups that may do everything.
    pub operator_gids: Vec<u32>,
    /// Users that may look.
    pub observer_uids: Vec<u32>,
    /// Groups that may look.
    pub observer_gids: Vec<u32>,
    /// Path of the socket; empty = in the instance's directory, for the engine's own user and root.
    pub socket: PathBuf,
}

impl Control {
    /// Whether anybody but the engine's own user and root is let in.
    pub fn is_shared(&self) -> bool {
        [&self.operator_uids, &self.operator_gids, &self.observer_uids, &self.observer_gids]
            .iter()
            .any(|list| !list.is_empty())
    }

    pub(crate) fn check(&self, c: &mut Checker<'_>) {
        for (key, ids) in [
            ("control.operator_uids", &self.operator_uids),
            ("control.operator_gids", &self.operator_gids),
            ("control.observer_uids", &self.observer_uids),
            ("control.observer_gids", &self.observer_gids),
        ] {
            for (i, id) in ids.iter().enumerate() {
                c.range(&format!("{key}[{i}]"), *id, 0, NOBODY - 1);
            }
        }
        c.absolute_or_none("control.socket", &self.socket);
        let text = self.socket.to_string_lossy();
        let rule = format_args!("must be at most {SOCKET_BYTES_MAX} bytes long");
        c.rule("control.socket", &text, text.len() <= SOCKET_BYTES_MAX, rule);
        let reachable = !self.is_shared() || !self.socket.as_os_str().is_empty();
        let rule =
            "must name a path that the listed users can reach: nobody else enters the instance's directory";
        c.rule("control.socket", &text, reachable, rule);
    }
}
